"""ALS against the equations that its factors solve."""

import numpy as np
import pytest
from raising import raises

from hinaug.datasets import planted
from hinaug.evaluation.evaluate import evaluate
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.predictors import ALS, Popularity, als
from hinaug.split.random import random_split
from hinaug.testing import check_predictor

RATES = ("user", "rates", "item")


def world(n_users=30, n_items=20, share=0.2, seed=0):
    rng = np.random.default_rng(seed)
    dense = rng.random((n_users, n_items)) < share
    dense[np.arange(n_users), np.arange(n_users) % n_items] = True
    src, dst = np.nonzero(dense)
    values = rng.integers(1, 6, len(src)).astype(float)
    hin = HIN.from_tables(
        {"user": {"id": np.arange(n_users)}, "item": {"id": np.arange(n_items)}},
        {RATES: {"src": src, "dst": dst, "rating": values}},
    )
    dense = dense.astype(float)
    dense[src, dst] = values
    return hin, dense


def exact(c, h, l2, unobserved):
    """Each row's ridge regression, one by one."""
    out = np.zeros((len(c), h.shape[1]))
    for u, row in enumerate(c):
        ridge = l2 * (row.sum() + unobserved * len(row))
        a = unobserved * h.T @ h + (h * row[:, None]).T @ h + ridge * np.eye(h.shape[1])
        out[u] = np.linalg.solve(a, h.T @ row)
    return out


@pytest.mark.parametrize("weight", [None, "rating"])
@pytest.mark.parametrize("block", [1, 17, 10_000])
def test_rounds_of_many_steps_are_exact_alternating_least_squares(weight, block, monkeypatch):
    monkeypatch.setattr(als, "BLOCK", block)
    hin, c = world()
    c = c if weight else (c > 0).astype(float)
    model = ALS(
        RATES, embedding_dim=5, l2=0.02, unobserved_weight=0.3, epochs=3, steps=40, weight=weight
    ).fit(hin, rng=1)
    rng = np.random.default_rng(1)
    rng.normal(size=(30, 5))  # the sources' start, which the first round overwrites
    h = rng.normal(size=(20, 5)) * 0.1 / np.sqrt(5)
    for _ in range(3):
        w = exact(c, h, 0.02, 0.3)
        h = exact(c.T, w, 0.02, 0.3)
    np.testing.assert_allclose(model.items_, h, atol=2e-3 * np.abs(h).max())
    np.testing.assert_allclose(
        model.score(hin, np.arange(30)), exact(c, h, 0.02, 0.3) @ h.T, atol=3e-3
    )


def test_few_steps_reach_the_same_objective():
    hin, c = world(seed=2)
    c = (c > 0).astype(float)

    def objective(model):
        h = model.items_
        w = exact(c, h, 0.01, 0.1)
        n, m = c.sum(axis=1), c.sum(axis=0)
        fit = (c * (w @ h.T - 1) ** 2).sum() + 0.1 * ((w @ h.T) ** 2).sum()
        return fit + 0.01 * ((n + 2) @ (w**2).sum(axis=1) + (m + 3) @ (h**2).sum(axis=1))

    few, many = (ALS(RATES, embedding_dim=4, epochs=40, steps=s).fit(hin, rng=0) for s in (2, 40))
    assert objective(few) == pytest.approx(objective(many), rel=0.02)
    assert objective(few) < objective(
        ALS(RATES, embedding_dim=4, epochs=1, steps=2).fit(hin, rng=0)
    )


def test_a_new_user_is_folded_in_and_what_nobody_had_is_nan():
    hin, _ = world()
    hin = hin.with_nodes("user", {"id": [100, 101]}).with_nodes("item", {"id": [200]})
    model = ALS(RATES, embedding_dim=6).fit(hin, rng=0)
    src, dst = hin.links(RATES)
    twin = {
        "src": [100] * int((src == 0).sum()),
        "dst": dst[src == 0],
        "rating": [1.0] * int((src == 0).sum()),
    }
    scores = model.score(hin.with_edges(RATES, twin), [0, 30, 31])
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-4)
    assert np.isnan(scores[2]).all()
    assert np.isnan(scores[0, 20])
    assert not np.isnan(scores[0, :20]).any()
    only_new = hin.with_edges(RATES, {"src": [101], "dst": [200], "rating": [1.0]})
    assert np.isnan(model.score(only_new, [31])).all()


def test_a_guess_of_confidence_zero_changes_nothing():
    hin, c = world()
    row, col = np.argwhere(c == 0)[0]
    delta = Delta(
        edges={RATES: {"src": [str(row)], "dst": [str(col)], "confidence": [0.0]}}, origin="guess"
    )
    plain, guessed = (
        ALS(RATES, embedding_dim=4, weight="confidence").fit(g, rng=0).score(hin, [0, 5])
        for g in (hin, hin + delta)
    )
    np.testing.assert_allclose(plain, guessed, rtol=1e-3)


def test_it_finds_what_was_planted():
    split = random_split(planted(rng=1), RATES, rng=0)
    ndcg = [
        evaluate(m.fit(split.train, rng=0), split.train, split)["NDCG@20"]
        for m in (ALS(RATES, embedding_dim=8), Popularity(RATES))
    ]
    assert ndcg[0] > 1.3 * ndcg[1]


def test_negative_weights_are_refused():
    hin = HIN.from_tables(
        {"user": {"id": ["a"]}, "item": {"id": ["p"]}},
        {RATES: {"src": ["a"], "dst": ["p"], "rating": [-1.0]}},
    )
    with raises(ValueError, names="rating"):
        ALS(RATES, weight="rating").fit(hin)


def test_a_graph_without_links_gives_nothing():
    hin = HIN.from_tables(
        {"user": {"id": ["a"]}, "item": {"id": ["p", "q"]}}, {RATES: {"src": [], "dst": []}}
    )
    assert np.isnan(ALS(RATES).fit(hin).score(hin, [0])).all()


@pytest.mark.parametrize(
    "model", [ALS(RATES, embedding_dim=8), ALS(RATES, embedding_dim=8, weight="confidence")]
)
def test_contract(model):
    check_predictor(model)
