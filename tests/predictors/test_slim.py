"""SLIM against EASE and against one regression an item."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.predictors import EASE, SLIM, ItemKNN, LocalEASE, slim
from hinaug.testing import check_predictor

RATES = ("user", "rates", "item")


def world(n_users=40, n_items=25, share=0.15, seed=0):
    dense = np.random.default_rng(seed).random((n_users, n_items)) < share
    dense[np.arange(n_users), np.arange(n_users) % n_items] = True
    src, dst = np.nonzero(dense)
    hin = HIN.from_tables(
        {"user": {"id": np.arange(n_users)}, "item": {"id": np.arange(n_items)}},
        {RATES: {"src": src, "dst": dst}},
    )
    return hin, dense.astype(float)


@pytest.mark.parametrize("k", [24, 500])
@pytest.mark.parametrize("numbers", [1, 2**21])
def test_with_all_items_as_neighbours_it_is_ease(k, numbers, monkeypatch):
    monkeypatch.setattr(slim, "BLOCK_NUMBERS", numbers)
    hin, _ = world()
    ours, theirs = SLIM(RATES, k=k, l2=3.0).fit(hin), EASE(RATES, l2=3.0).fit(hin)
    np.testing.assert_allclose(ours.weights_.toarray(), theirs.weights_, atol=1e-5)
    np.testing.assert_allclose(
        ours.score(hin, np.arange(40)), theirs.score(hin, np.arange(40)), atol=1e-4
    )


def test_the_same_with_guesses_by_confidence():
    hin, x = world()
    row, col = np.argwhere(x == 0)[0]
    hin += Delta(
        edges={RATES: {"src": [str(row)], "dst": [str(col)], "confidence": [0.5]}}, origin="guess"
    )
    ours, theirs = (
        m.fit(hin).score(hin, [row])
        for m in (
            SLIM(RATES, k=24, l2=3.0, weight="confidence"),
            EASE(RATES, l2=3.0, weight="confidence"),
        )
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_each_item_is_a_ridge_regression_on_its_neighbours():
    hin, x = world(seed=4)
    model = SLIM(RATES, k=4, l2=2.0, shrinkage=1.0).fit(hin)
    similar = ItemKNN(RATES, k=4, shrinkage=1.0).fit(hin).similarity_.toarray()
    weights = model.weights_.toarray()
    for j in range(25):
        near = np.flatnonzero(similar[:, j])
        assert len(near) == 4
        gram = x[:, near].T @ x[:, near] + 2 * np.eye(4)
        np.testing.assert_allclose(
            weights[near, j], np.linalg.solve(gram, x[:, near].T @ x[:, j]), atol=1e-5
        )
        assert not np.delete(weights[:, j], near).any()


def test_neighbours_are_filled_up_with_popular_items():
    similar = sp.csr_array(
        np.array([[0, 0.5, 0, 0], [0.5, 0, 0.2, 0], [0, 0.2, 0, 0], [0, 0, 0, 0]])
    )
    near = slim.neighbours(similar, np.array([1, 5, 3, 9]), 2, np.arange(4))
    assert [set(row) for row in near.tolist()] == [{1, 3}, {0, 2}, {1, 3}, {1, 2}]


def test_nan_for_no_history_and_for_what_nobody_had():
    hin, _ = world()
    hin = hin.with_nodes("user", {"id": [100]}).with_nodes("item", {"id": [200]})
    model = SLIM(RATES, k=5).fit(hin)
    scores = model.score(hin, [0, 40])
    assert np.isnan(scores[1]).all()
    assert np.isnan(scores[0, 25])
    assert not np.isnan(scores[0, :25]).any()
    served = hin.with_edges(RATES, {"src": [100], "dst": [3]})
    assert not np.isnan(model.score(served, [40])[0, :25]).any()


def test_a_graph_without_links_gives_nothing():
    hin = HIN.from_tables(
        {"user": {"id": ["a"]}, "item": {"id": ["p", "q"]}}, {RATES: {"src": [], "dst": []}}
    )
    assert np.isnan(SLIM(RATES).fit(hin).score(hin, [0])).all()


@pytest.mark.parametrize("model", [SLIM(RATES, k=5), SLIM(RATES, k=5, weight="confidence")])
def test_contract(model):
    check_predictor(model)


def test_local_ease_with_all_items_is_ease():
    hin, _ = world()
    local = LocalEASE(RATES, k=500, l2=20.0).fit(hin).weights_.toarray()
    assert np.abs(local - EASE(RATES, l2=20.0).fit(hin).weights_).max() < 1e-4


def test_sources_without_links_cost_little():
    """A block of items holds numbers for the sources of its items, not for all sources."""
    n, at = 400_000, np.arange(600)
    edges = {"src": at * 7 % 97, "dst": at % 60}
    hin = HIN({"user": {"id": np.arange(n)}, "item": {"id": np.arange(60)}}, {RATES: edges})
    tracemalloc.start()
    LocalEASE(RATES, k=20).fit(hin)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * n


def test_blocks_do_not_change_a_byte(monkeypatch):
    hin, _ = world()
    whole = LocalEASE(RATES, k=9, l2=3.0).fit(hin).weights_
    for numbers in (1, 200, 400):
        monkeypatch.setattr(slim, "BLOCK_NUMBERS", numbers)
        parts = LocalEASE(RATES, k=9, l2=3.0).fit(hin).weights_
        assert (parts != whole).nnz == 0
