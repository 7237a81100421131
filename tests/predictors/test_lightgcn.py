"""LightGCN: the fast step against plain autograd, a world whose answer is known, and what is
remembered.
"""

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
import torch
from raising import raises

from hinaug.checks import COUNT
from hinaug.datasets import planted
from hinaug.errors import ParameterError
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.predictors import LightGCN, Popularity
from hinaug.split.random import random_split
from hinaug.training.objectives import BPR, Gap
from hinaug.training.threads import torch_threads
from hinaug.training.validation import Validation, seen

RATES = ("user", "rates", "item")


def tiny(seed=0, n_users=6, n_items=5):
    dense = np.random.default_rng(seed).random((n_users, n_items)) < 0.4
    dense[:, 0] |= ~dense.any(axis=1)
    src, dst = np.nonzero(dense)
    return HIN.from_tables(
        {"user": {"id": np.arange(n_users)}, "item": {"id": np.arange(n_items)}},
        {RATES: {"src": src, "dst": dst}},
    )


def reference(links, loss, rng, embedding_dim, n_layers, lr, l2, epochs):
    """The paper's formulas on dense float64 matrices, by autograd and plain Adam."""
    r = torch.from_numpy(links.toarray().astype(np.float64))
    n, m = r.shape
    users, items = (
        torch.from_numpy(0.1 * rng.standard_normal((k, embedding_dim), np.float32))
        .double()
        .requires_grad_()
        for k in (n, m)
    )
    a = torch.zeros(n + m, n + m, dtype=torch.float64)
    a[:n, n:], a[n:, :n] = r, r.T
    scale = a.sum(1).clamp(min=1e-30).rsqrt()
    a = scale[:, None] * a * scale
    src, pos = r.nonzero(as_tuple=True)
    sampler = BPR(links, rng)
    adam = torch.optim.Adam([users, items], lr=lr)
    share = r[src, pos] / r.sum()
    for _ in range(epochs):
        adam.zero_grad()
        layer = torch.cat([users, items])
        z = layer
        for _ in range(n_layers):
            layer = a @ layer
            z = z + layer
        z = z / (n_layers + 1)
        scores = z[:n] @ z[n:].T
        if loss == "bpr":
            neg = torch.from_numpy(sampler.negatives())
            per_link = -torch.nn.functional.logsigmoid(scores[src, pos] - scores[src, neg])
        else:
            per_link = -torch.log_softmax(scores, 1)[src, pos]
        prior = l2 / 2 * (users.square().sum() + items.square().sum()) / r.sum()
        ((share * per_link).sum() + prior).backward()
        adam.step()
    layer = torch.cat([users, items])
    z = sum(torch.linalg.matrix_power(a, k) @ layer for k in range(n_layers + 1)) / (n_layers + 1)
    return (z[:n] @ z[n:].T).detach().numpy()


@pytest.mark.parametrize("loss", ["bpr", "softmax"])
@pytest.mark.parametrize("weight", [None, "confidence"])
def test_training_equals_plain_autograd(loss, weight):
    hin = tiny()
    there = hin.adjacency(RATES).toarray()
    src, dst = (side[:3] for side in np.nonzero(there == 0))
    guess = {"src": src.astype(str), "dst": dst.astype(str), "confidence": [0.5, 0.25, 1.0]}
    hin += Delta(edges={RATES: guess}, origin="guess")
    links = sp.csr_array(hin.adjacency(RATES, weight=weight, duplicates="max" if weight else None))
    settings = {"embedding_dim": 4, "n_layers": 2, "lr": 0.05, "l2": 0.3}
    expected = reference(links, loss, np.random.default_rng(1), epochs=3, **settings)
    model = LightGCN(RATES, loss=loss, epochs=3, weight=weight, **settings)
    model.fit(hin, rng=np.random.default_rng(1))
    np.testing.assert_allclose(model.score(hin, np.arange(6)), expected, atol=2e-5)


def test_gap_gradients():
    rng = torch.Generator().manual_seed(0)
    users, items = (
        torch.randn(n, 3, generator=rng, dtype=torch.float64, requires_grad=True) for n in (4, 5)
    )
    src, pos, neg = (
        torch.tensor([0, 0, 1, 3]),
        torch.tensor([1, 2, 1, 4]),
        torch.tensor([0, 0, 4, 1]),
    )
    assert torch.autograd.gradcheck(lambda u, i: Gap.apply(u, i, src, pos, neg), (users, items))


def test_negatives_are_uniform_over_what_a_user_has_not():
    dense = np.array([[1, 0, 1, 0, 0], [0, 0, 0, 0, 1], [1, 1, 1, 1, 1]])
    sampler = BPR(sp.csr_array(dense.astype(np.float32)), np.random.default_rng(0))
    drawn = np.stack([sampler.negatives() for _ in range(3000)])
    for row, user in enumerate(sampler.src):
        share = np.bincount(drawn[:, row], minlength=5) / len(drawn)
        free = dense[user] == 0
        if free.any():
            np.testing.assert_allclose(share, free / free.sum(), atol=0.04)
        else:
            assert share[sampler.pos[row]] == 1  # nothing to learn: its gap is 0


@pytest.fixture(scope="module")
def splits():
    return {
        shuffle: random_split(
            planted(n_users=150, n_items=80, shuffle=shuffle, rng=1), RATES, rng=0
        )
        for shuffle in (False, True)
    }


def ndcg(model, split):
    measure = Validation(split.train_valid, RATES, split.test)
    return measure(lambda src: model.score(split.train_valid, src))


@pytest.mark.parametrize("loss", ["bpr", "softmax"])
def test_learns_the_planted_world_and_nothing_from_chance(loss, splits):
    gains = {}
    for shuffle, split in splits.items():
        model = LightGCN(RATES, loss=loss, embedding_dim=32, lr=0.03).fit(
            split.train, valid=split.valid, rng=0
        )
        model.refit(split.train_valid, rng=0)
        popular = Popularity(RATES).fit(split.train_valid)
        gains[shuffle] = ndcg(model, split) - ndcg(popular, split)
    assert gains[False] > 0.08
    assert gains[True] < 0.03


def test_early_stopping_keeps_the_best_and_refit_trains_as_long(splits):
    split = splits[False]
    model = LightGCN(RATES, embedding_dim=16, lr=0.1, l2=0.0, epochs=100, check_every=5, patience=2)
    model.fit(split.train, valid=split.valid, rng=0)
    best = int(np.argmax(model.curve_))
    assert model.epochs_ == 5 * (best + 1)
    assert len(model.curve_) == best + 3
    measure = Validation(split.train, RATES, split.valid)
    assert measure(lambda src: model.score(split.train, src)) == pytest.approx(max(model.curve_))
    plain = LightGCN(RATES, embedding_dim=16, lr=0.1, l2=0.0, epochs=model.epochs_).fit(
        split.train, rng=0
    )
    np.testing.assert_array_equal(plain.users_, model.users_)
    epochs = model.epochs_
    model.refit(split.train_valid, rng=0)
    assert (model.epochs_, model.curve_) == (epochs, [])


def test_unknown_and_bare_nodes_are_nan():
    hin = tiny().with_nodes("user", {"id": ["bare"]}).with_nodes("item", {"id": ["nobody's"]})
    model = LightGCN(RATES, embedding_dim=4, epochs=2).fit(hin, rng=0)
    grown = hin.with_nodes("user", {"id": ["new"]}).with_nodes("item", {"id": ["new"]})
    scores = model.score(grown, [0, 6, 7])
    assert np.isnan(scores[1:]).all()
    assert np.isnan(scores[0, 5:]).all()
    known = hin.adjacency(RATES).toarray()[:, :5].any(axis=0)
    np.testing.assert_array_equal(~np.isnan(scores[0, :5]), known)


@pytest.mark.parametrize(
    ("name", "value", "there"),
    [
        ("loss", "bce", ("bpr", "softmax", "sampled")),
        ("embedding_dim", 0, COUNT),
        ("epochs", 0, COUNT),
    ],
)
def test_says_what_it_takes(name, value, there):
    with raises(ParameterError, asked=value, there=there, names=name):
        LightGCN(RATES, **{name: value}).fit(tiny())


def test_a_graph_without_links_is_an_error():
    hin = tiny().filter_edges(RATES, np.zeros(tiny().n(RATES), bool))
    with raises(ValueError, names="LightGCN"):
        LightGCN(RATES).fit(hin)


# ---- shared parts --------------------------------------------------------------------------------


def test_threads_are_put_back_even_after_an_error():
    before = torch.get_num_threads()

    def work():
        with torch_threads(before + 1):
            assert torch.get_num_threads() == before + 1
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        work()
    assert torch.get_num_threads() == before


def test_seen_is_what_was_observed():
    hin = tiny()
    made = Delta(
        {"user": {"id": ["g"]}, "item": {"id": ["h"]}},
        {RATES: {"src": ["g", "0"], "dst": ["1", "h"]}},
        origin="guess",
    )
    rows = seen(hin + made, RATES, np.array([6, 2, 0]))
    expected = np.zeros((3, 6))
    expected[1:, :5] = hin.adjacency(RATES).toarray()[[2, 0]]
    np.testing.assert_array_equal(rows.toarray(), expected)


def test_validation_masks_what_is_known():
    """ann knows p; of q, r, s she likes s: score order p > s > q > r puts it first."""
    hin = HIN.from_tables(
        {"user": {"id": ["ann"]}, "item": {"id": list("pqrs")}},
        {RATES: {"src": ["ann"], "dst": ["p"]}},
    )
    measure = Validation(hin, RATES, pa.table({"src": ["ann"], "dst": ["s"]}))
    assert measure(lambda src: np.array([[9.0, 2.0, 1.0, 3.0]])) == 1
    assert measure(lambda src: np.array([[9.0, 4.0, 1.0, 3.0]])) == pytest.approx(1 / np.log2(3))
