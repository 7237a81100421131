"""Training on several processes: the same losses and models whatever their number, a share of the
memory each, and a killed training goes on, also with another number of processes.
"""

import numpy as np
import pytest
from rank_processes import on_ranks
from rank_tasks import RATES, fitted, graph, train

import hinaug.training.distributed as distributed
from hinaug.errors import ParameterError
from hinaug.predictors import MF, LightGCN, XSimGCL
from hinaug.training.distributed import Columns, Ranks

CASES = {
    "MF": MF(RATES, embedding_dim=5, epochs=8),
    "LightGCN batches": LightGCN(RATES, embedding_dim=5, epochs=8, batch_size=100),
    "LightGCN draws": LightGCN(
        RATES, embedding_dim=5, epochs=8, prior="draws", mean_over="sources", features=["x"]
    ),
    "MF softmax": MF(RATES, embedding_dim=5, epochs=8, loss="softmax"),
    "LightGCN softmax batches": LightGCN(
        RATES, embedding_dim=5, epochs=8, loss="softmax", batch_size=100, temperature=0.5
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_two_ranks_learn_what_one_learns(name):
    losses, alone = fitted(CASES[name].clone(), Ranks())
    answers = on_ranks(train, 2, CASES[name])
    for found, model, sent in answers:
        assert np.abs(np.subtract(found, losses)).max() < 1e-8
        assert np.abs(model.users_ - alone.users_).max() < 1e-5
        assert np.array_equal(model.items_, answers[0][1].items_)
        for part, array in model.fold_in_.items():
            assert array.shape == alone.fold_in_[part].shape
        assert sent > 0


def swapped(ranks):
    import torch

    parts = [torch.full((5,), 10.0 * ranks.rank + other) for other in range(ranks.size)]
    got = ranks.exchange(parts, [(5,)] * ranks.size)
    return [float(part[0]) for part in got], ranks.sent


def test_what_stays_at_a_rank_is_not_sent():
    for rank, (got, sent) in enumerate(on_ranks(swapped, 3)):
        assert got == [rank, 10.0 + rank, 20.0 + rank]
        assert sent == 2 * 5 * 4


def test_batches_without_ranks_are_those_of_one_rank():
    model = CASES["LightGCN batches"]
    assert fitted(model.clone(), None)[0] == fitted(model.clone(), Ranks())[0]


def test_all_links_at_every_step_learn_what_the_usual_training_learns():
    """Only the draws differ: after many steps both rank alike."""
    model = MF(RATES, embedding_dim=5, epochs=80)
    usual, ranked = fitted(model.clone(), None)[0], fitted(model.clone(), Ranks())[0]
    assert usual[0] == pytest.approx(ranked[0], rel=0.02)
    assert usual[-1] == pytest.approx(ranked[-1], rel=0.05)


def held_out():
    import pyarrow as pa

    hin = graph()
    return pa.table({"src": hin.ids("user")[:30], "dst": hin.ids("item")[:30]})


def test_ranks_stop_together_and_keep_the_best():
    model = MF(RATES, embedding_dim=5, epochs=12, check_every=2, patience=2)
    _, alone = fitted(model.clone(), Ranks(), valid=held_out())
    for _, found, _ in on_ranks(validated, 2, model, held_out()):
        assert found.epochs_ == alone.epochs_
        assert found.curve_ == pytest.approx(alone.curve_, abs=1e-9)


def validated(ranks, model, valid):
    return train(ranks, model, valid=valid)


@pytest.mark.parametrize("at", [1, 5])
def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path, at):
    model = CASES["LightGCN batches"]
    whole = on_ranks(train, 2, model)
    answers = on_ranks(train, 2, model, tmp_path, at, "kill", timeout=5.0)
    assert answers[1] == "killed"
    again = on_ranks(train, 2, model, tmp_path)
    for (losses, found, _), (want, model, _) in zip(again, whole, strict=True):
        assert losses == want[-len(losses) :]
        assert found.users_.tobytes() == model.users_.tobytes()


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (3, 2)])
def test_another_number_of_ranks_goes_on(tmp_path, before, after):
    short, whole = MF(RATES, embedding_dim=5, epochs=4), MF(RATES, embedding_dim=5, epochs=4)
    want, _ = fitted(whole.clone(), Ranks())
    on_ranks(stopped, before, short, tmp_path)
    for losses, model, _ in on_ranks(train, after, whole, tmp_path):
        assert len(losses) == 2
        assert np.abs(np.subtract(losses, want[2:])).max() < 1e-8
        assert model.users_.shape == (60, 5)


class Stop(Exception):
    """Ends a training in the middle, at all ranks at once."""


def stop():
    raise Stop


def stopped(ranks, model, folder):
    try:
        fitted(model, ranks, folder, at=3, then=stop)
    except Stop:
        return "stopped"


def test_what_has_no_columns_is_refused():
    with pytest.raises(ParameterError), XSimGCL(RATES).training(ranks=Ranks()):
        pass
    for settings in ({"loss": "sampled"}, {"loss": "softmax", "cosine": True}):
        with pytest.raises(ParameterError):
            fitted(MF(RATES, epochs=1, batch_size=9, **settings), None)
    with pytest.raises(ParameterError):
        XSimGCL(RATES, epochs=1, batch_size=9).fit(graph())
    with pytest.raises(ParameterError) as caught:
        Columns(Ranks(0, 3), 2, seed=0)
    assert (caught.value.asked, caught.value.there) == (3, 2)


def test_examples():
    import doctest

    for module in (distributed.columns, distributed.ranks):
        assert doctest.testmod(module).failed == 0
