"""UserKNN against a naive loop."""

import numpy as np
import pytest

from hinaug.errors import ParameterError
from hinaug.features import similarity as neighbours
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.predictors import UserKNN
from hinaug.testing import check_predictor

RATES = ("user", "rates", "item")


@pytest.fixture
def three() -> HIN:
    """X = [[1, 1, 0], [0, 1, 1], [1, 1, 1]]."""
    return HIN.from_tables(
        {"user": {"id": ["a", "b", "c"]}, "item": {"id": ["p", "q", "r"]}},
        {RATES: {"src": list("aabbccc"), "dst": list("pqqrpqr")}},
    )


def world(n_users=40, n_items=25, share=0.2, seed=0):
    dense = np.random.default_rng(seed).random((n_users, n_items)) < share
    dense[np.arange(n_users), np.arange(n_users) % n_items] = True
    src, dst = np.nonzero(dense)
    hin = HIN.from_tables(
        {"user": {"id": np.arange(n_users)}, "item": {"id": np.arange(n_items)}},
        {RATES: {"src": src, "dst": dst}},
    )
    return hin, dense.astype(float)


def test_by_hand(three):
    """s(a, b) = 1 / 2, s(a, c) = 2 / sqrt 6; c is nearer."""
    near = 2 / np.sqrt(6)
    np.testing.assert_allclose(
        UserKNN(RATES, k=1, shrinkage=0.0).fit(three).score(three, [0]), [[near] * 3]
    )
    both = UserKNN(RATES, shrinkage=0.0).fit(three).score(three, [0])
    np.testing.assert_allclose(both, [[near, near + 0.5, near + 0.5]], rtol=1e-6)


@pytest.mark.parametrize(("k", "shrinkage"), [(3, 0.0), (5, 2.0), (100, 10.0)])
def test_equals_a_naive_loop_over_several_blocks(k, shrinkage, monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK_PRODUCTS", 150)
    hin, x = world(seed=3)
    expected = np.zeros(x.shape)
    norm = np.sqrt((x**2).sum(axis=1)).astype(np.float32)  # so that what ties here ties there
    for u in range(len(x)):
        s = np.zeros(len(x))
        for v in range(len(x)):
            if v != u:
                s[v] = np.float32(x[u] @ x[v]) / (norm[u] * norm[v] + np.float32(shrinkage))
        for v in np.argsort(-np.float32(s), kind="stable")[:k]:
            expected[u] += s[v] * x[v]
    scores = UserKNN(RATES, k=k, shrinkage=shrinkage).fit(hin).score(hin, np.arange(40))
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_a_new_user_meets_the_fitted_ones_and_nobody_meets_himself(three):
    model = UserKNN(RATES, shrinkage=0.0).fit(three)
    grown = three.with_nodes("user", {"id": ["new"]}).with_edges(
        RATES, {"src": ["new"], "dst": ["p"]}
    )
    s = [1 / np.sqrt(2), 1 / np.sqrt(3)]  # with a and c
    np.testing.assert_allclose(
        model.score(grown, [3]), [[s[0] + s[1], s[0] + s[1], s[1]]], rtol=1e-6
    )


def test_nan_where_there_is_nobody_to_ask(three):
    base = three.with_nodes("user", {"id": ["bare", "alone"]}).with_nodes(
        "item", {"id": ["nobody's", "own"]}
    )
    base = base.with_edges(RATES, {"src": ["alone"], "dst": ["own"]})
    scores = UserKNN(RATES).fit(base).score(base, np.arange(5))
    assert np.isnan(scores[3:]).all()  # no history; a history that no other has
    assert np.isnan(scores[:3, 3]).all()
    assert (scores[:3, 4] == 0).all()


def test_guesses_count_by_confidence(three):
    delta = Delta(edges={RATES: {"src": ["a"], "dst": ["r"], "confidence": [0.5]}}, origin="guess")
    x = np.array([[1, 1, 0.5], [0, 1, 1], [1, 1, 1]])
    length = np.linalg.norm(x, axis=1)
    s = x @ x.T / np.outer(length, length)
    np.fill_diagonal(s, 0)
    guessed = three + delta
    scores = (
        UserKNN(RATES, shrinkage=0.0, weight="confidence").fit(guessed).score(guessed, [0, 1, 2])
    )
    np.testing.assert_allclose(scores, s @ x, atol=1e-6)


@pytest.mark.parametrize("bad", [{"k": 0}, {"shrinkage": -1.0}])
def test_it_says_what_it_takes(bad, three):
    with pytest.raises(ParameterError) as error:
        UserKNN(RATES, **bad).fit(three)
    assert error.value.asked in bad.values()


def test_a_graph_without_links_gives_nothing():
    hin = HIN.from_tables(
        {"user": {"id": ["a"]}, "item": {"id": ["p", "q"]}}, {RATES: {"src": [], "dst": []}}
    )
    assert np.isnan(UserKNN(RATES).fit(hin).score(hin, [0])).all()


@pytest.mark.filterwarnings("ignore:.*holds training data")
@pytest.mark.parametrize("model", [UserKNN(RATES, k=5), UserKNN(RATES, weight="confidence")])
def test_contract(model):
    check_predictor(model)
