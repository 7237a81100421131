"""Popularity, ItemKNN, EASE and NearestNeighbors against a few lines of plain numpy."""

import subprocess
import sys

import numpy as np
import pytest
from raising import raises

from hinaug.datasets import planted
from hinaug.errors import NotFittedError, ParameterError
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.predictors import EASE, ItemKNN, NearestNeighbors, Popularity, ease

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


def half_sure(hin: HIN, src: str, dst: str) -> Delta:
    return Delta(edges={RATES: {"src": [src], "dst": [dst], "confidence": [0.5]}}, origin="guess")


# ---- Popularity ----------------------------------------------------------------------------------


def test_popularity_counts(three):
    assert Popularity(RATES).fit(three).score(three, [0, 2]).tolist() == [[2, 3, 2], [2, 3, 2]]


def test_popularity_counts_guesses_by_confidence_where_asked(three):
    guessed = three + half_sure(three, "a", "r")
    assert Popularity(RATES).fit(guessed).score(three, [0]).tolist() == [[2, 3, 3]]
    assert Popularity(RATES, weight="confidence").fit(guessed).score(three, [0]).tolist() == [
        [2, 3, 2.5]
    ]


def test_popularity_serves_new_users_and_does_not_know_new_items(three):
    model = Popularity(RATES).fit(three)
    more = three.with_nodes("user", {"id": ["d"]}).with_nodes("item", {"id": ["s"]})
    np.testing.assert_equal(model.score(more, [3]), np.float32([[2, 3, 2, np.nan]]))


# ---- EASE ----------------------------------------------------------------------------------------


def test_ease_by_hand(three):
    """X^T X + I = [[3, 2, 1], [2, 4, 2], [1, 2, 3]], whose inverse is [[8, -4, 0], [-4, 8, -4], [0,
    -4, 8]] / 16.
    """
    model = EASE(RATES, l2=1.0).fit(three)
    np.testing.assert_allclose(model.weights_, [[0, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0]], atol=1e-6)
    np.testing.assert_allclose(model.score(three, [0]), [[0.5, 0.5, 0.5]], atol=1e-6)


@pytest.mark.parametrize("l2", [0.5, 20.0])
def test_ease_equals_the_dense_formula_over_several_blocks(l2, monkeypatch):
    monkeypatch.setattr(ease, "BLOCK", 7)
    hin, x = world()
    p = np.linalg.inv(x.T @ x + l2 * np.eye(x.shape[1]))
    b = -p / np.diag(p)
    np.fill_diagonal(b, 0)
    model = EASE(RATES, l2=l2).fit(hin)
    assert model.weights_.dtype == np.float32
    np.testing.assert_allclose(model.weights_, b, atol=2e-5)
    np.testing.assert_allclose(model.score(hin, np.arange(40)), x @ b, atol=1e-4)


def test_ease_weighs_guesses_by_confidence(three):
    x = np.array([[1, 1, 0.5], [0, 1, 1], [1, 1, 1]])
    p = np.linalg.inv(x.T @ x + np.eye(3))
    b = -p / np.diag(p)
    np.fill_diagonal(b, 0)
    guessed = three + half_sure(three, "a", "r")
    scores = EASE(RATES, l2=1.0, weight="confidence").fit(guessed).score(guessed, [0, 1, 2])
    np.testing.assert_allclose(scores, x @ b, atol=1e-5)


def test_ease_refuses_what_does_not_fit_in_memory(monkeypatch, three):
    monkeypatch.setattr(ease, "available_memory", lambda: 10)
    with raises(MemoryError, names="EASE"):
        EASE(RATES).fit(three)
    assert ease.available_memory is not None


def test_available_memory_is_told_here():
    there = ease.available_memory()
    assert there is None or there > 10_000_000


def test_ease_needs_a_positive_l2(three):
    with raises(ValueError, asked=0.0):
        EASE(RATES, l2=0.0).fit(three)


# ---- ItemKNN -------------------------------------------------------------------------------------


def naive_item_knn(x, k, shrinkage):
    n = x.shape[1]
    s = np.zeros((n, n))
    for j in range(n):
        row = np.zeros(n)
        for i in range(n):
            if i != j:
                row[i] = (
                    x[:, i]
                    @ x[:, j]
                    / (np.linalg.norm(x[:, i]) * np.linalg.norm(x[:, j]) + shrinkage)
                )
        best = np.argsort(-np.float32(row), kind="stable")[:k]
        s[best, j] = row[best]
    return s


@pytest.mark.parametrize(("k", "shrinkage"), [(3, 0.0), (5, 2.0), (100, 10.0)])
def test_item_knn_equals_a_naive_loop_over_several_blocks(k, shrinkage, monkeypatch):
    monkeypatch.setattr("hinaug.features.similarity.BLOCK_PRODUCTS", 150)
    hin, x = world(seed=3)
    model = ItemKNN(RATES, k=k, shrinkage=shrinkage).fit(hin)
    s = naive_item_knn(x, k, shrinkage)
    np.testing.assert_allclose(model.similarity_.toarray(), s, atol=1e-6)
    np.testing.assert_allclose(model.score(hin, np.arange(40)), x @ s, atol=1e-5)


@pytest.mark.parametrize("method", [EASE, ItemKNN])
def test_a_new_user_with_history_is_served_and_what_nobody_had_is_nan(method, three):
    base = three.with_nodes("item", {"id": ["nobody's"]}).with_nodes("user", {"id": ["bare"]})
    model = method(RATES).fit(base)
    grown = base.with_nodes("user", {"id": ["new"]}).with_edges(
        RATES, {"src": ["new", "new"], "dst": ["p", "q"]}
    )
    scores = model.score(grown, [0, 3, 4])
    np.testing.assert_array_equal(scores[0], scores[2])
    assert np.isnan(scores[1]).all()
    assert np.isnan(scores[:, 3]).all()
    assert not np.isnan(scores[0, :3]).any()


@pytest.mark.parametrize("bad", [{"k": 0}, {"shrinkage": -1.0}])
def test_item_knn_says_what_it_takes(bad, three):
    with pytest.raises(ParameterError) as error:
        ItemKNN(RATES, **bad).fit(three)
    assert error.value.asked in bad.values()


@pytest.mark.parametrize("method", [EASE, ItemKNN, Popularity])
def test_a_graph_without_links_gives_nothing(method):
    hin = HIN.from_tables(
        {"user": {"id": ["a"]}, "item": {"id": ["p", "q"]}}, {RATES: {"src": [], "dst": []}}
    )
    scores = method(RATES).fit(hin).score(hin, [0])
    assert scores.tolist() == [[0, 0]] if method is Popularity else np.isnan(scores).all()


# ---- NearestNeighbors ----------------------------------------------------------------------------


@pytest.fixture
def places() -> HIN:
    """Vectors (1, 0), (0, 1), (1, 1), none, (-1, 0); ann had the first two, bob the one without a
    vector, cid nothing.
    """
    x = np.array([[1, 0], [0, 1], [1, 1], [np.nan, 0], [-1, 0]])
    return HIN.from_tables(
        {"user": {"id": ["ann", "bob", "cid"]}, "item": {"id": list("pqrst"), "x": x}},
        {RATES: {"src": ["ann", "ann", "bob"], "dst": ["p", "q", "s"]}},
    )


def test_nearest_by_hand(places):
    scores = NearestNeighbors(RATES, centre=False).fit(places).score(places, [0, 1, 2])
    half = np.sqrt(0.5)
    np.testing.assert_allclose(scores[0], [half, half, 1, np.nan, -half], atol=1e-6)
    assert np.isnan(scores[1:]).all()


def test_nearest_centres_on_the_fitted_items(places):
    model = NearestNeighbors(RATES).fit(places)
    mean = np.array([0.25, 0.5])
    np.testing.assert_allclose(model.mean_, mean)
    profile = np.array([0.5, 0.5]) - mean
    vectors = np.array([[1, 0], [0, 1], [1, 1], [-1, 0]]) - mean
    expected = vectors @ profile / np.linalg.norm(vectors, axis=1) / np.linalg.norm(profile)
    np.testing.assert_allclose(model.score(places, [0])[0, [0, 1, 2, 4]], expected, atol=1e-6)


def test_nearest_weighs_the_profile(places):
    guessed = places + half_sure(places, "cid", "p") + half_sure(places, "ann", "r")
    model = NearestNeighbors(RATES, centre=False, weight="confidence").fit(guessed)
    scores = model.score(guessed, [0, 2])
    np.testing.assert_allclose(scores[0, :3], [np.sqrt(0.5), np.sqrt(0.5), 1], atol=1e-6)
    np.testing.assert_allclose(scores[1, :3], [1, 0, np.sqrt(0.5)], atol=1e-6)


def test_nearest_scores_items_that_did_not_exist(places):
    model = NearestNeighbors(RATES, centre=False).fit(places)
    new = Delta({"item": {"id": ["new"], "x": np.array([[2.0, 2.0]])}}, origin="guess")
    assert model.score(places + new, [0])[0, 5] == pytest.approx(1)
    assert model.score(places, [0]).shape == (1, 5)


def test_nearest_items_alone_by_hand(places):
    """The linked items with a vector are p and q; of these r is as near to one as to the other,
    and t is near to none.
    """
    half = np.sqrt(0.5)
    model = NearestNeighbors(RATES, k=5, centre=False).fit(places)
    scores = model.score(places, [0, 1, 2])
    np.testing.assert_allclose(scores[0], [np.nan, np.nan, 2 * half, np.nan, np.nan], atol=1e-6)
    assert np.isnan(scores[1:]).all()
    guessed = places + half_sure(places, "cid", "r")
    model = NearestNeighbors(RATES, k=1, centre=False, weight="confidence").fit(guessed)
    scores = model.score(guessed, [0, 2])
    np.testing.assert_allclose(scores[0, 2], half, atol=1e-6)  # p or q, not both
    np.testing.assert_allclose(scores[1, :2], [half / 2, half / 2], atol=1e-6)
    assert np.isnan(scores[1, 4])
    with pytest.raises(ParameterError) as told:
        NearestNeighbors(RATES, k=0).fit(places)
    assert told.value.asked == 0


def test_nearest_says_which_column_is_missing(places):
    with raises(KeyError, names="column"):
        NearestNeighbors(RATES, column="y").fit(places)
    model = NearestNeighbors(RATES).fit(places)
    with raises(ValueError, asked=3):
        model.score(places.with_column("item", "x", np.ones((5, 3))), [0])


# ---- the package ---------------------------------------------------------------------------------


def test_import_loads_no_torch():
    names = "ALS BSPM EASE GFCF ItemKNN KernelRidge NearestNeighbors Popularity SLIM UserKNN"
    code = (
        f"import sys, hinaug.predictors as p; [getattr(p, n) for n in '{names}'.split()]; "
        "print('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_unknown_names_say_what_there_is():
    import hinaug.predictors as package

    with raises(AttributeError, names="EASY"):
        _ = package.EASY
    assert set(package.__all__) <= set(dir(package))


def test_a_fit_that_fails_leaves_the_model_as_it_was():
    hin = planted(rng=0)
    model = EASE(RATES)
    model.l2 = -1.0
    with raises(ValueError, asked=-1):
        model.fit(hin)
    with pytest.raises(NotFittedError):
        model.score(hin, [0])
    model.l2 = 100.0
    before = model.fit(hin).score(hin, [0, 1])
    model.l2 = -1
    with raises(ValueError, asked=-1):
        model.fit(hin)
    assert np.array_equal(model.score(hin, [0, 1]), before, equal_nan=True)


def test_nearest_through_reviews_is_the_mean_of_the_reviews_that_are_there():
    about = ("review", "about", "item")
    hin = HIN.from_tables(
        {
            "user": {"id": ["a"]},
            "item": {"id": ["p", "q", "r"]},
            "review": {
                "id": ["1", "2", "3", "4"],
                "x": np.array([[1.0, 0], [0, 1], [1, 1], [np.nan, 0]]),
            },
        },
        {
            RATES: {"src": ["a"], "dst": ["p"]},
            about: {"src": ["1", "2", "3", "4"], "dst": ["p", "p", "q", "r"]},
        },
    )
    model = NearestNeighbors(RATES, through="review", centre=False).fit(hin)
    scores = model.score(hin, [0])[0]
    assert scores[:2] == pytest.approx([1, 1])  # p is (.5, .5), q is (1, 1)
    assert np.isnan(scores[2])  # its only review has no vector
    fewer = hin.filter_nodes("review", np.array([True, False, True, True]))
    assert model.score(fewer, [0])[0][1] == pytest.approx(
        1 / np.sqrt(2)
    )  # without review 2, p is (1, 0)
