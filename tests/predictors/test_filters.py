"""GFCF and BSPM against dense matrices, matrix exponentials and each other."""

import numpy as np
import pytest
from raising import raises
from scipy.linalg import expm

from hinaug.errors import ParameterError
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.predictors import BSPM, GFCF, bspm
from hinaug.testing import check_predictor

RATES = ("user", "rates", "item")


def world(n_users=30, n_items=20, share=0.2, seed=0):
    dense = np.random.default_rng(seed).random((n_users, n_items)) < share
    dense[np.arange(n_users), np.arange(n_users) % n_items] = True
    src, dst = np.nonzero(dense)
    hin = HIN.from_tables(
        {"user": {"id": np.arange(n_users)}, "item": {"id": np.arange(n_items)}},
        {RATES: {"src": src, "dst": dst}},
    )
    return hin, dense.astype(float)


def parts(x, dim):
    """The linear filter P and the ideal low pass, [items, items] each."""
    of_user, of_item = x.sum(axis=1), x.sum(axis=0)
    r = x / np.sqrt(of_user)[:, None] / np.sqrt(of_item)
    v = np.linalg.svd(r)[2][:dim]
    return r.T @ r, v.T @ v / np.sqrt(of_item)[:, None] * np.sqrt(of_item)


@pytest.mark.parametrize("dim", [1, 6, 19, 20, 500])
def test_gfcf_equals_the_dense_formula(dim):
    hin, x = world()
    p, ideal = parts(x, dim)
    scores = GFCF(RATES, dim=dim, alpha=0.7).fit(hin, rng=0).score(hin, np.arange(30))
    np.testing.assert_allclose(scores, x @ (p + 0.7 * ideal), atol=2e-5)


def test_gfcf_by_hand():
    """One user with items p and q, another with q: R = [[1/sqrt 2, 1/2], [0, 1/sqrt 2]]; its
    largest right singular vector is (1, sqrt 2) / sqrt 3, since R^T R (1, sqrt 2) = (1, sqrt 2).
    """
    hin = HIN.from_tables(
        {"user": {"id": ["a", "b"]}, "item": {"id": ["p", "q"]}},
        {RATES: {"src": list("aab"), "dst": list("pqq")}},
    )
    linear = np.array([[1 / 2, np.sqrt(1 / 8)], [np.sqrt(1 / 8), 3 / 4]])
    ideal = np.array([[1, 2], [1, 2]]) / 3  # D^-1/2 v v^T D^1/2
    scores = GFCF(RATES, dim=1, alpha=1.0).fit(hin).score(hin, [0, 1])
    np.testing.assert_allclose(scores, np.array([[1, 1], [0, 1]]) @ (linear + ideal), atol=1e-6)


@pytest.mark.parametrize("method", [GFCF, BSPM])
def test_confidence_and_history_are_read_where_they_stand(method):
    hin, x = world()
    row, col = np.argwhere(x == 0)[0]
    delta = Delta(
        edges={RATES: {"src": [str(row)], "dst": [str(col)], "confidence": [0.5]}}, origin="guess"
    )
    x[row, col] = 0.5
    p, ideal = parts(x, 3)
    plain = {"alpha": 0.3} if method is GFCF else {"beta": 0.3, "sharpen": 0.0}
    model = method(RATES, dim=3, weight="confidence", **plain).fit(hin + delta, rng=0)
    expected = x[row] @ (p + 0.3 * ideal)
    np.testing.assert_allclose(model.score(hin + delta, [row])[0], expected, atol=1e-5)
    x[row, col] = 0
    np.testing.assert_allclose(model.score(hin, [row])[0], x[row] @ (p + 0.3 * ideal), atol=1e-5)


@pytest.mark.parametrize("method", [GFCF, BSPM])
def test_nan_for_no_history_and_for_what_nobody_had(method):
    hin, _ = world()
    hin = hin.with_nodes("user", {"id": [100]}).with_nodes("item", {"id": [200]})
    model = method(RATES, dim=4).fit(hin, rng=0)
    scores = model.score(hin, [0, 30])
    assert np.isnan(scores[1]).all()
    assert np.isnan(scores[0, 20])
    assert not np.isnan(scores[0, :20]).any()
    served = hin.with_edges(RATES, {"src": [100, 100], "dst": [3, 200]})
    assert not np.isnan(model.score(served, [30])[0, :20]).any()
    only_new = hin.with_edges(RATES, {"src": [100], "dst": [200]})
    assert np.isnan(model.score(only_new, [30])).all()


def test_bspm_without_sharpening_is_gfcf():
    hin, _ = world()
    one = BSPM(RATES, dim=5, beta=0.3, sharpen=0.0).fit(hin, rng=0).score(hin, np.arange(30))
    np.testing.assert_allclose(
        one, GFCF(RATES, dim=5, alpha=0.3).fit(hin, rng=0).score(hin, np.arange(30)), atol=1e-5
    )


@pytest.mark.parametrize(("solver", "steps"), [("euler", 1), ("euler", 3), ("rk4", 1), ("rk4", 2)])
def test_bspm_equals_the_solver_of_the_book_over_several_blocks(solver, steps, monkeypatch):
    monkeypatch.setattr(bspm, "BLOCK", 7)
    hin, x = world()
    p, ideal = parts(x, 5)
    s = x
    for _ in range(2):  # the blurring
        s = s + 0.4 * (s @ p - s)
    s = s + 0.3 * x @ ideal
    h = 1.5 / steps
    for _ in range(steps):
        k1 = -s @ p
        k2 = -(s + h / 2 * k1) @ p
        k3 = -(s + h / 2 * k2) @ p
        k4 = -(s + h * k3) @ p
        s = s + h * (k1 if solver == "euler" else (k1 + 2 * k2 + 2 * k3 + k4) / 6)
    times = {"blur": 0.8, "blur_steps": 2, "sharpen": 1.5, "sharpen_steps": steps}
    model = BSPM(RATES, dim=5, beta=0.3, solver=solver, **times).fit(hin, rng=0)
    np.testing.assert_allclose(model.score(hin, np.arange(30)), s, atol=5e-5)


def test_bspm_with_many_steps_nears_the_exponential():
    hin, x = world()
    p, _ = parts(x, 5)
    model = BSPM(RATES, dim=5, beta=0.0, blur=0.0, sharpen=2.0, sharpen_steps=4).fit(hin, rng=0)
    np.testing.assert_allclose(model.score(hin, np.arange(30)), x @ expm(-2 * p), atol=1e-3)


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (GFCF, "dim", 0),
        (GFCF, "alpha", -1.0),
        (BSPM, "solver", "rk5"),
        (BSPM, "sharpen", -1.0),
        (BSPM, "blur_steps", 0),
    ],
)
def test_parameters_that_make_no_sense(make, name, value):
    with pytest.raises(ParameterError) as error:
        make(RATES, **{name: value})
    assert error.value.asked == value


@pytest.mark.parametrize("method", [GFCF, BSPM])
def test_negative_weights_are_refused(method):
    hin = HIN.from_tables(
        {"user": {"id": ["a"]}, "item": {"id": ["p"]}},
        {RATES: {"src": ["a"], "dst": ["p"], "rating": [-1.0]}},
    )
    with raises(ValueError, names="0"):
        method(RATES, weight="rating").fit(hin)


@pytest.mark.parametrize("method", [GFCF, BSPM])
def test_a_graph_without_links_gives_nothing(method):
    hin = HIN.from_tables(
        {"user": {"id": ["a"]}, "item": {"id": ["p", "q"]}}, {RATES: {"src": [], "dst": []}}
    )
    assert np.isnan(method(RATES).fit(hin).score(hin, [0])).all()


@pytest.mark.filterwarnings("ignore:.*holds training data")
@pytest.mark.parametrize("model", [GFCF(RATES, dim=8), BSPM(RATES, dim=8, weight="confidence")])
def test_contract(model):
    check_predictor(model)
