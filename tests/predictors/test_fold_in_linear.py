"""New users and new items without a refit: closed forms against `score`, a refit, and solvers."""

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from raising import raises

from hinaug.errors import FoldInError, ParameterError
from hinaug.graph.hin import HIN
from hinaug.predictors import (
    ALS,
    BSPM,
    EASE,
    GFCF,
    SLIM,
    HasVectors,
    ItemKNN,
    KernelRidge,
    NearestNeighbors,
    Popularity,
    UserKNN,
)

RATES = ("user", "rates", "item")
WROTE = ("user", "wrote", "review")
N_USERS, N_ITEMS, NEW_USERS, NEW_ITEMS = 40, 25, 6, 4

MODELS = [
    Popularity(RATES),
    ItemKNN(RATES, k=5, shrinkage=2.0),
    ItemKNN(RATES, k=100, shrinkage=20.0, weight="rating"),
    UserKNN(RATES, k=5, shrinkage=2.0),
    SLIM(RATES, k=6, l2=2.0),
    EASE(RATES, l2=3.0),
    EASE(RATES, l2=3.0, constant=0.7, weight="rating"),
    EASE(RATES, l2=3.0, prior="x", prior_k=3),
    GFCF(RATES, dim=6),
    BSPM(RATES, dim=6),
    ALS(RATES, embedding_dim=6),
    ALS(RATES, embedding_dim=6, weight="rating"),
    KernelRidge(RATES, columns="x"),
    KernelRidge(RATES, columns="x", kernel="cosine"),
]
# methods whose fold-in of items is a refit with the same users
EXACT = [
    *MODELS[:4],
    UserKNN(RATES, k=5, weight="rating"),
    EASE(RATES, l2=3.0),
    EASE(RATES, l2=3.0, weight="rating"),
    EASE(RATES, l2=3.0, constant=0.7),
    EASE(RATES, l2=3.0, side=["job", "taste"], side_weight=2.0, constant=0.5),
    EASE(RATES, l2=3.0, side=["job", ("review", "x")]),
]


def name(model):
    return repr(model)


def world(seed=0):
    """All users and items with links, ratings and columns; the last of each are the new ones."""
    rng = np.random.default_rng(seed)
    n_users, n_items = N_USERS + NEW_USERS, N_ITEMS + NEW_ITEMS
    dense = (rng.random((n_users, n_items)) < 0.25) * rng.integers(1, 6, (n_users, n_items))
    dense[np.arange(n_users), np.arange(n_users) % N_ITEMS] = 3
    dense[:NEW_ITEMS, N_ITEMS:] = np.diag([1, 2, 3, 4])
    src, dst = np.nonzero(dense)
    nodes = {
        "user": {
            "id": [f"u{i}" for i in range(n_users)],
            "job": ["abc"[i % 3] for i in range(n_users)],
            "taste": rng.standard_normal((n_users, 2)),
        },
        "item": {
            "id": [f"i{i}" for i in range(n_items)],
            "x": rng.standard_normal((n_items, 3)),
        },
        "review": {"id": [f"r{i}" for i in range(n_users)], "x": rng.random((n_users, 2))},
    }
    wrote = {"src": nodes["user"]["id"], "dst": nodes["review"]["id"]}
    edges = {
        RATES: {
            "src": [f"u{i}" for i in src],
            "dst": [f"i{i}" for i in dst],
            "rating": dense[src, dst].astype(float),
        },
        WROTE: wrote,
    }
    return HIN.from_tables(nodes, edges), dense


def without(hin, new_users=False, new_items=False):
    """The graph before the new users or items came."""
    if new_users:
        hin = hin.filter_nodes("user", np.arange(hin.n("user")) < N_USERS)
    return hin.filter_nodes("item", np.arange(hin.n("item")) < N_ITEMS) if new_items else hin


# ---- new users -----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS, ids=name)
def test_new_users_score_as_on_a_graph_that_has_them(model):
    hin, dense = world()
    new = np.arange(N_USERS, N_USERS + NEW_USERS)
    model = model.clone().fit(without(hin, new_users=True), rng=0)
    rows = dense[new] if getattr(model, "weight", None) else dense[new] > 0
    scores = model.fold_in(sp.csr_array(rows.astype(np.float32)))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, model.score(hin, new), atol=1e-5)


@pytest.mark.parametrize("model", [m for m in MODELS if not getattr(m, "weight", None)], ids=name)
def test_histories_may_be_ids_and_may_be_empty(model):
    hin, dense = world()
    new = np.arange(N_USERS, N_USERS + NEW_USERS)
    model = model.clone().fit(without(hin, new_users=True), rng=0)
    ids = [[f"i{i}" for i in np.flatnonzero(row)] for row in dense[new]]
    ids[0] += ["never seen", ids[0][0]]
    expected = model.fold_in(sp.csr_array((dense[new] > 0).astype(np.float32)))
    scores = model.fold_in([*ids, []])
    np.testing.assert_allclose(scores[:-1], expected, atol=1e-6)
    unknown = not isinstance(model, Popularity)
    assert np.isnan(scores[-1]).all() == unknown
    assert model.fold_in([]).shape == (0, N_ITEMS + NEW_ITEMS)


def test_ease_folds_in_by_its_formula():
    hin, dense = world()
    x = (dense > 0).astype(float)
    fitted, new = x[:N_USERS], x[N_USERS:]
    p = np.linalg.inv(fitted.T @ fitted + 3 * np.eye(x.shape[1]))
    b = -p / np.diag(p)
    np.fill_diagonal(b, 0)
    model = EASE(RATES, l2=3.0).fit(without(hin, new_users=True))
    np.testing.assert_allclose(model.fold_in(sp.csr_array(new)), new @ b, atol=1e-5)


def exact_rows(c, h, l2, unobserved):
    """The ridge regression of each row of c [n, m] on the factors h [m, d]."""
    out = np.zeros((len(c), h.shape[1]))
    for u, row in enumerate(c):
        ridge = l2 * (row.sum() + unobserved * len(row))
        a = unobserved * h.T @ h + (h * row[:, None]).T @ h + ridge * np.eye(h.shape[1])
        out[u] = np.linalg.solve(a, h.T @ row)
    return out


@pytest.mark.parametrize("weight", [None, "rating"])
def test_als_solves_the_row_of_a_new_user(weight):
    hin, dense = world()
    c = dense.astype(float) if weight else (dense > 0).astype(float)
    model = ALS(RATES, embedding_dim=6, l2=0.02, unobserved_weight=0.3, weight=weight)
    model.fit(without(hin, new_users=True), rng=0)
    h = model.items_.astype(float)
    rows = exact_rows(c[N_USERS:], h, 0.02, 0.3)
    np.testing.assert_allclose(model.fold_in(sp.csr_array(c[N_USERS:])), rows @ h.T, atol=1e-5)


def test_als_keeps_the_vectors_of_its_users_and_solves_them_again_to_the_same():
    hin, _ = world()
    hin = hin.with_nodes("user", {"id": ["bare"], "job": ["a"], "taste": [[0.0, 0.0]]})
    model = ALS(RATES, embedding_dim=6).fit(hin, rng=0)
    assert isinstance(model, HasVectors)
    users, items = model.vectors()
    assert users.shape == (hin.n("user"), 6)
    assert not users[-1].any()
    src = np.arange(hin.n("user") - 1)
    np.testing.assert_allclose(model.score(hin, src), users[:-1] @ items.T, atol=1e-5)
    refused = sp.csr_array(np.full((1, hin.n("item")), -1.0))
    with raises(ParameterError, names="fold_in"):
        model.fold_in(refused)


def test_ease_reads_side_columns_of_new_users_from_a_table():
    hin, dense = world()
    new = np.arange(N_USERS, N_USERS + NEW_USERS)
    model = EASE(RATES, l2=3.0, side=["job", "taste"], side_weight=2.0, constant=0.5)
    model.fit(without(hin, new_users=True))
    table = hin.nodes["user"].select(["job", "taste"]).take(pa.array(new))
    history = sp.csr_array((dense[new] > 0).astype(np.float32))
    np.testing.assert_allclose(model.fold_in(history, table), model.score(hin, new), atol=1e-5)
    nothing = sp.csr_array(history.shape, dtype=np.float32)
    assert not np.isnan(model.fold_in(nothing, table)).any()  # served by the columns alone
    assert np.isnan(model.fold_in(nothing)).all()
    missing = pa.table({"job": pa.nulls(NEW_USERS, pa.string()), "taste": table["taste"]})
    assert not np.array_equal(model.fold_in(history, missing), model.fold_in(history, table))
    with raises(ParameterError, asked=2) as caught:
        model.fold_in(history, table.slice(0, 2))
    assert (caught.value.asked, caught.value.there) == (2, 6)


def test_ease_cannot_read_reviews_from_a_table():
    hin, _ = world()
    model = EASE(RATES, side=["job", ("review", "x")]).fit(hin)
    with raises(FoldInError, asked=("review", "x")):
        model.fold_in([["i0"]], {"job": ["a"]})
    assert not np.isnan(model.fold_in([["i0"]])).all()  # without a table the columns are missing


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_histories_are_finite(bad):
    hin, _ = world()
    model = EASE(RATES).fit(hin)
    history = sp.csr_array(([bad], ([0], [0])), shape=(1, hin.n("item")))
    with raises(ParameterError, asked=1):
        model.fold_in(history)


# ---- new items -----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", EXACT, ids=name)
def test_new_items_are_as_after_a_refit(model):
    hin, _ = world()
    before = without(hin, new_items=True)
    fitted = model.clone().fit(before)
    old = fitted.score(before, np.arange(10)).tobytes()
    grown = fitted.fold_in_items(hin)
    everybody = np.arange(hin.n("user"))
    expected = model.clone().fit(hin).score(hin, everybody)
    np.testing.assert_allclose(grown.score(hin, everybody), expected, atol=1e-5, rtol=1e-5)
    assert fitted.score(before, np.arange(10)).tobytes() == old
    assert grown.dst_ids_.to_pylist() == hin.nodes["item"]["id"].to_pylist()


@pytest.mark.parametrize("model", [EASE(RATES, l2=3.0), EASE(RATES, l2=3.0, side="job")], ids=name)
def test_items_that_come_one_after_another_are_as_those_that_come_together(model):
    hin, _ = world()
    step = hin.filter_nodes("item", np.arange(hin.n("item")) < N_ITEMS + 1)
    fitted = model.clone().fit(without(hin, new_items=True))
    both = fitted.fold_in_items(step).fold_in_items(hin)
    np.testing.assert_allclose(
        both.score(hin, np.arange(20)),
        fitted.fold_in_items(hin).score(hin, np.arange(20)),
        atol=1e-5,
    )
    assert both.fold_in_items(hin).weights_ is both.weights_  # nothing new


def test_users_and_items_are_matched_by_id():
    """The graph with the new items has its users in another order, and new users too."""
    hin, _ = world()
    before = without(hin, new_users=True, new_items=True)
    order = np.random.default_rng(1).permutation(hin.n("user"))
    nodes = {
        "user": hin.nodes["user"].take(pa.array(order)),
        "item": hin.nodes["item"].take(pa.array(np.arange(hin.n("item"))[::-1])),
    }
    src, dst = hin.links(RATES)
    links = {"src": hin.ids("user", src), "dst": hin.ids("item", dst)}
    moved = HIN.from_tables(nodes, {RATES: links})
    only_known = without(hin, new_users=True)
    models = (
        EASE(RATES, l2=3.0),
        ItemKNN(RATES, k=5, shrinkage=2.0),
        UserKNN(RATES, k=5),
        Popularity(RATES),
    )
    for model in models:
        grown = model.clone().fit(before).fold_in_items(moved)
        expected = model.clone().fit(only_known).score(only_known, [3, 4])
        at = moved.positions("user", ["u3", "u4"])
        scores = grown.score(moved, at)[:, ::-1]
        np.testing.assert_allclose(scores, expected, atol=1e-5)


@pytest.mark.parametrize("weight", [None, "rating"])
def test_als_solves_the_row_of_a_new_item_against_its_users(weight):
    hin, dense = world()
    c = dense.astype(float) if weight else (dense > 0).astype(float)
    before = without(hin, new_items=True)
    fitted = ALS(RATES, embedding_dim=6, l2=0.02, unobserved_weight=0.3, weight=weight).fit(
        before, rng=0
    )
    grown = fitted.fold_in_items(hin)
    rows = exact_rows(c[:, N_ITEMS:].T, fitted.users_.astype(float), 0.02, 0.3)
    np.testing.assert_allclose(grown.items_[N_ITEMS:], rows, atol=1e-5)
    np.testing.assert_array_equal(grown.items_[:N_ITEMS], fitted.items_)
    assert not np.isnan(grown.score(hin, np.arange(5))).any()


@pytest.mark.parametrize(
    "model",
    [
        KernelRidge(RATES, columns="x"),
        KernelRidge(RATES, columns="x", kernel="cosine"),
        NearestNeighbors(RATES, column="x"),
    ],
    ids=name,
)
def test_items_that_are_read_from_attributes_need_nothing_learned(model):
    hin, dense = world()
    before = without(hin, new_items=True)
    fitted = model.clone().fit(before)
    grown = fitted.fold_in_items(hin)
    if isinstance(model, KernelRidge):
        np.testing.assert_allclose(grown.score(hin, [0, 7]), fitted.score(hin, [0, 7]), atol=1e-6)
        history = sp.csr_array((dense[[0, 7]] > 0).astype(np.float32))
        np.testing.assert_allclose(grown.fold_in(history), grown.score(hin, [0, 7]), atol=1e-5)
    assert not np.isnan(grown.score(hin, [0, 7])).any()


# ---- what needs a refit --------------------------------------------------------------------------


@pytest.mark.parametrize("model", [SLIM(RATES), GFCF(RATES), BSPM(RATES)], ids=name)
def test_methods_that_cannot_add_items_say_why(model):
    hin, _ = world()
    with raises(FoldInError, asked=type(model).__name__, names=model.NO_FOLD_IN_ITEMS):
        model.fit(without(hin, new_items=True), rng=0).fold_in_items(hin)


def test_ease_with_a_prior_cannot_add_items():
    hin, _ = world()
    with raises(FoldInError, asked="x") as caught:
        EASE(RATES, prior="x").fit(without(hin, new_items=True)).fold_in_items(hin)
    assert caught.value.asked == "x"


def test_ease_notices_histories_that_it_was_not_fitted_on():
    hin, _ = world()
    few = without(hin, new_items=True)
    few = few.filter_edges(RATES, np.arange(few.n(RATES)) < 5)
    with raises(FoldInError, names="EASE"):
        EASE(RATES, l2=0.01).fit(few).fold_in_items(hin)


def test_nearest_neighbours_say_why_they_do_not_fold_in_users():
    hin, _ = world()
    with raises(FoldInError, asked="NearestNeighbors"):
        NearestNeighbors(RATES, column="x").fit(hin).fold_in([["i0"]])
