"""The training loop: what it keeps, when it stops, whom it tells, and that a killed training ends
as if it had not been killed.
"""

import copy
import pickle

import numpy as np
import pytest
import torch
from raising import raises
from safetensors import SafetensorError
from safetensors.torch import save_file

import hinaug
from hinaug.datasets import planted
from hinaug.errors import DivergenceError, StoreError
from hinaug.predictors import EASE, MF, HeteroGNN, LightGCN, MultVAE, XSimGCL
from hinaug.split.random import random_split
from hinaug.training.estimator import Estimator
from hinaug.training.loop import train

RATES = ("user", "rates", "item")


class Kill(Exception):
    """What a callback raises to end a training in the middle."""


def kill_at(number):
    def callback(epoch):
        if epoch.number == number:
            raise Kill

    return callback


@pytest.fixture(scope="module")
def split():
    return random_split(planted(60, 40, 3, rng=0), RATES, evidence=["review"], rng=0)


class Line(torch.nn.Module):
    """One number, pulled upwards a step an epoch."""

    def __init__(self):
        super().__init__()
        self.x = torch.nn.Parameter(torch.zeros(()))


def climb(measures=None, epochs=9, owner=None, lr=1.0, **settings):
    """Train a `Line`; x is the number of epochs. measures: what the measure says, in order."""
    network = Line()
    optimizer = torch.optim.SGD(network.parameters(), lr=lr)

    def epoch(number):
        optimizer.zero_grad()
        loss = -network.x
        loss.backward()
        optimizer.step()
        return {"loss": loss}

    said = iter(measures or [])
    trained = train(
        owner or EASE(RATES),
        network,
        epoch,
        epochs=epochs,
        optimizers=[optimizer],
        generators=[],
        measure=None if measures is None else lambda: next(said),
        **settings,
    )
    return trained, float(network.x.detach())


# ---- what is kept --------------------------------------------------------------------------------


def test_without_a_measure_all_epochs_are_done_and_the_last_is_kept():
    trained, x = climb(epochs=4)
    assert (trained.epochs, trained.curve, x) == (4, [], 4.0)
    assert [row["loss"] for row in trained.losses] == [0.0, -1.0, -2.0, -3.0]


def test_the_best_is_kept_and_patience_counts_measures():
    # measured after epochs 2, 4, 6, 8: two in a row without a better one end it
    trained, x = climb([0.1, 0.4, 0.4, 0.3, 0.9], epochs=20, check_every=2, patience=2)
    assert (trained.epochs, trained.curve, x) == (4, [0.1, 0.4, 0.4, 0.3], 4.0)
    assert len(trained.losses) == 8


def test_the_last_epoch_is_measured_too():
    trained, x = climb([0.1, 0.2, 0.3], epochs=5, check_every=2, patience=2)
    assert (trained.epochs, trained.curve, x) == (5, [0.1, 0.2, 0.3], 5.0)


def test_measures_may_be_negative():
    assert climb([-5.0, -3.0, -4.0], epochs=3)[0].epochs == 2


# ---- divergence ----------------------------------------------------------------------------------


def test_a_parameter_that_is_not_finite_ends_the_training():
    with raises(DivergenceError, asked=2) as raised:
        climb(lr=3e38)
    assert raised.value.asked == 2


@pytest.mark.parametrize(
    "model", [MultVAE(RATES, lr=1e4, epochs=60), MF(RATES, lr=1e38), HeteroGNN(RATES, lr=1e30)]
)
def test_a_diverged_fit_says_at_which_epoch_and_leaves_the_model_as_it_was(model, split):
    with raises(DivergenceError, names="lr") as raised:
        model.fit(split.train, rng=0)
    assert raised.value.asked >= 1
    with pytest.raises(hinaug.errors.NotFittedError):
        model.score(split.train, [0])


# ---- callbacks -----------------------------------------------------------------------------------


def test_callbacks_are_told_of_each_epoch_inside_the_block_alone(split):
    model = MF(RATES, embedding_dim=4, epochs=6, check_every=3)
    told = []
    with model.training(callbacks=[told.append]) as same:
        assert same is model
        model.fit(split.train, valid=split.valid, rng=0)
    assert [e.number for e in told] == [1, 2, 3, 4, 5, 6]
    assert [e.value for e in told] == [None, None, model.curve_[0], None, None, model.curve_[1]]
    assert all(np.isfinite(e.losses["loss"]) for e in told)
    model.fit(split.train, valid=split.valid, rng=0)
    assert len(told) == 6


def test_callbacks_are_no_part_of_the_model(split):
    model = MF(RATES, embedding_dim=4, epochs=2)
    plain = model.clone().fit(split.train, rng=0)
    told = []
    with model.training(callbacks=[told.append]):
        for other in (model.clone(), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            other.fit(split.train, rng=0)
        assert not told
        model.fit(split.train, rng=0)
    assert vars(model).keys() == vars(plain).keys()
    assert model.get_params() == plain.get_params()


def test_blocks_inside_each_other_end_in_order(split):
    model = MF(RATES, embedding_dim=4, epochs=1)
    outer, inner = [], []
    with model.training(callbacks=[outer.append]):
        with model.training(callbacks=[inner.append]):
            model.fit(split.train, rng=0)
        model.fit(split.train, rng=0)
    assert (len(outer), len(inner)) == (1, 1)


def test_every_is_a_whole_number():
    with raises(ValueError, names="every"), MF(RATES).training(every=0):
        pass


# ---- checkpoints ---------------------------------------------------------------------------------

MODELS = {
    "MF": MF(RATES, embedding_dim=4, epochs=20, check_every=4, lr=0.1),
    "LightGCN": LightGCN(
        RATES, loss="sampled", negatives=10, embedding_dim=4, epochs=20, check_every=4
    ),
    "XSimGCL": XSimGCL(RATES, embedding_dim=4, epochs=20, check_every=4, sample=9),
    "MultVAE": MultVAE(RATES, latent=4, hidden=8, epochs=12, batch_size=16, check_every=3, lr=0.01),
    "HeteroGNN": HeteroGNN(
        RATES,
        hidden=8,
        embedding_dim=8,
        epochs=12,
        check_every=3,
        ids=True,
        dropout=0.2,
        device="cpu",
    ),
    "HeteroGNN in batches": HeteroGNN(
        RATES,
        hidden=8,
        embedding_dim=8,
        epochs=12,
        check_every=3,
        batch_size=30,
        fanout=3,
        device="cpu",
    ),
}


def state(model, hin):
    """What a fit left, as bytes and numbers."""
    epochs = model.epochs_
    return model.score(hin, np.arange(hin.n("user"))).tobytes(), model.curve_, epochs


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("with_valid", [True, False])
def test_a_resumed_training_equals_one_that_was_not_killed(name, with_valid, split, tmp_path):
    model = MODELS[name]
    valid = split.valid if with_valid else None
    whole = model.clone().fit(split.train, valid=valid, rng=5)
    numbers = []
    for stop in (8, 11):  # in the middle of two checkpoints, after a measure and before one
        killed = model.clone()
        callbacks = [lambda e: numbers.append(e.number), kill_at(stop)]
        with (
            pytest.raises(Kill),
            killed.training(checkpoint=tmp_path, every=5, callbacks=callbacks),
        ):
            killed.fit(split.train, valid=valid, rng=5)
    resumed = model.clone()
    with resumed.training(
        checkpoint=tmp_path, every=5, callbacks=[lambda e: numbers.append(e.number)]
    ):
        resumed.fit(split.train, valid=valid, rng=5)
    assert numbers[:14] == [*range(1, 9), *range(6, 12)]
    assert numbers[14] == 11  # after the checkpoint of epoch 10
    assert state(resumed, split.train) == state(whole, split.train)
    whole.refit(split.train_valid, rng=6)
    resumed.refit(split.train_valid, rng=6)
    assert state(resumed, split.train_valid) == state(whole, split.train_valid)


def test_the_generator_goes_on_as_if_nothing_had_happened(split, tmp_path):
    model = MODELS["MF"]
    rng = np.random.default_rng(3)
    model.clone().fit(split.train, rng=rng)
    expected = rng.random(5)
    for ends in (False, True):
        rng, again = np.random.default_rng(3), model.clone()
        callbacks = [] if ends else [kill_at(13)]
        with again.training(checkpoint=tmp_path, every=4, callbacks=callbacks):
            try:
                again.fit(split.train, rng=rng)
            except Kill:
                continue
    np.testing.assert_array_equal(rng.random(5), expected)


def test_a_finished_training_is_not_done_again(split, tmp_path):
    numbers = []
    for _ in range(2):
        model = MODELS["MF"].clone()
        with model.training(checkpoint=tmp_path, callbacks=[lambda e: numbers.append(e.number)]):
            model.fit(split.train, valid=split.valid, rng=0)
        assert numbers == list(range(1, numbers[-1] + 1))
    assert len(list(tmp_path.iterdir())) == 1


def test_a_checkpoint_belongs_to_one_training(split, tmp_path):
    """Another seed, graph, set of pairs or parameter starts from the beginning."""
    model = MODELS["MF"].clone()
    fits = [
        lambda: model.fit(split.train, valid=split.valid, rng=0),
        lambda: model.fit(split.train, valid=split.valid, rng=1),
        lambda: model.fit(split.train_valid, rng=0),
        lambda: model.fit(split.train, valid=split.valid.slice(0, 20), rng=0),
    ]
    for n, fit in enumerate(fits, start=1):
        first = []
        with model.training(checkpoint=tmp_path, callbacks=[lambda e, f=first: f.append(e)]):
            fit()
        assert first[0].number == 1
        assert len(list(tmp_path.iterdir())) == n
    other = model.clone(l2=0.5)
    with other.training(checkpoint=tmp_path):
        other.fit(split.train, rng=0)
    assert len(list(tmp_path.iterdir())) == len(fits) + 1


def test_a_write_that_fails_leaves_the_old_checkpoint(split, tmp_path, monkeypatch):
    model = MODELS["MF"].clone()
    whole = model.clone().fit(split.train, rng=0)
    with pytest.raises(Kill), model.training(checkpoint=tmp_path, every=5, callbacks=[kill_at(8)]):
        model.fit(split.train, rng=0)
    (file,) = tmp_path.iterdir()
    before = file.read_bytes()

    def broken(*_):
        raise OSError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("hinaug.training.checkpoint.os.replace", broken)
        with (
            pytest.raises(OSError, match="disk is full"),
            model.training(checkpoint=tmp_path, every=5),
        ):
            model.fit(split.train, rng=0)
    assert [f.name for f in tmp_path.iterdir()] == [file.name]
    assert file.read_bytes() == before
    with model.training(checkpoint=tmp_path, every=5):
        model.fit(split.train, rng=0)
    assert state(model, split.train) == state(whole, split.train)


def test_a_file_that_is_no_checkpoint_says_so(split, tmp_path):
    model = MODELS["MF"].clone()
    with model.training(checkpoint=tmp_path):
        model.fit(split.train, rng=0)
        (file,) = tmp_path.iterdir()
        file.write_bytes(b"something else")
        with raises(
            StoreError,
            asked=str(file),
        ):
            model.fit(split.train, rng=0)


def flip_a_bit(file):
    data = bytearray(file.read_bytes())
    data[-5] ^= 0x40
    file.write_bytes(data)


def write_checkpoint(tensors, metadata):
    return lambda file: save_file(tensors, file, metadata)


@pytest.mark.parametrize(
    "damage",
    [
        flip_a_bit,
        write_checkpoint({"a": torch.zeros(2)}, None),
        write_checkpoint({"a": torch.zeros(2)}, {"progress": "{}"}),
        write_checkpoint({"a": torch.zeros(2)}, {"progress": "[1]"}),
        write_checkpoint({"network/y": torch.zeros(2)}, {"progress": '{"version": 2}'}),
    ],
)
def test_a_checkpoint_that_is_damaged_or_foreign_is_not_resumed(damage, split, tmp_path):
    model = MODELS["MF"].clone()
    with model.training(checkpoint=tmp_path, every=5):
        model.fit(split.train, rng=0)
        before = state(model, split.train)
        (file,) = tmp_path.iterdir()
        damage(file)
        with raises(StoreError, asked=str(file)):
            model.fit(split.train, rng=0)
    assert state(model, split.train) == before


def test_a_full_disk_names_the_checkpoint(split, tmp_path, monkeypatch):
    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise SafetensorError("No space left on device")

    monkeypatch.setattr("hinaug.training.checkpoint.save_file", full)
    model = MODELS["MF"].clone()
    with (
        pytest.raises(OSError, match=r"cannot write the checkpoint .* No space left"),
        model.training(checkpoint=tmp_path),
    ):
        model.fit(split.train, rng=0)
    assert list(tmp_path.iterdir()) == []


def test_a_measure_that_is_not_finite_ends_the_training():
    """NaN would stay the best for ever: nothing is greater."""
    for wrong in (float("nan"), float("inf")):
        with raises(DivergenceError, asked=2) as raised:
            climb([0.1, wrong, 0.3], epochs=3)
        assert raised.value.asked == 2


def test_every_estimator_can_be_asked(split):
    """A method without a loop takes callbacks and never calls them."""
    model = EASE(RATES)
    assert isinstance(model, Estimator)
    with model.training(callbacks=[kill_at(1)]):
        model.fit(split.train)
