"""EASE with side columns and a prior, KernelRidge and their Features, against dense formulas and
worlds with a known answer.
"""

import numpy as np
import pytest
from raising import raises

from hinaug.datasets import planted
from hinaug.errors import ParameterError, SchemaError
from hinaug.evaluation.evaluate import evaluate
from hinaug.features.columns import Features
from hinaug.graph.hin import HIN
from hinaug.predictors import EASE, KernelRidge, ease
from hinaug.split.random import random_split
from hinaug.testing import check_predictor

RATES = ("user", "rates", "item")
ABOUT = ("review", "about", "item")


def small(seed=0, n_users=30, n_items=18):
    """Links, a vector for each user and item, and a category for each user."""
    rng = np.random.default_rng(seed)
    x = (rng.random((n_users, n_items)) < 0.25).astype(float)
    x[np.arange(n_users), np.arange(n_users) % n_items] = 1
    nodes = {
        "user": {
            "id": np.arange(n_users),
            "x": rng.normal(size=(n_users, 3)),
            "job": ["ab"[i % 2] for i in range(n_users)],
        },
        "item": {"id": np.arange(n_items), "x": rng.normal(size=(n_items, 4))},
    }
    src, dst = np.nonzero(x)
    return HIN.from_tables(nodes, {RATES: {"src": src, "dst": dst}}), x


# ---- Features ------------------------------------------------------------------------------------


@pytest.fixture
def people() -> HIN:
    return HIN.from_tables(
        {
            "user": {"id": list("abcd"), "age": [10, 20, None, 30], "job": ["x", None, "y", "x"]},
            "review": {"id": list("1234"), "x": np.array([[1.0, 0], [0, 1], [2, 2], [np.nan, 0]])},
        },
        {("user", "wrote", "review"): {"src": list("aabc"), "dst": list("1234")}},
    )


def test_numbers_are_standardised_and_nulls_are_the_mean(people):
    rows, there = Features("user", "age").fit(people).encode(people)
    np.testing.assert_allclose(rows[:, 0], np.array([-10, 0, 0, 10]) / np.sqrt(200 / 3), rtol=1e-6)
    assert there.tolist() == [True, True, False, True]


def test_categories_are_centred_columns(people):
    encoder = Features("user", "job").fit(people)
    rows, there = encoder.encode(people)
    third = np.array([[1, -1], [0, 0], [-2, 2], [1, -1]]) / 3
    np.testing.assert_allclose(rows, third / np.sqrt(12 / 27), rtol=1e-6)
    assert there.tolist() == [True, False, True, True]
    more = people.with_nodes("user", {"id": ["e"], "age": [10], "job": ["unheard of"]})
    rows, there = encoder.encode(more)
    assert not rows[4].any()
    assert not there[4]


def test_neighbours_are_averaged_over_those_that_have_a_vector(people):
    rows, there = Features("user", ("review", "x")).fit(people).encode(people)
    assert there.tolist() == [True, True, False, False]  # c's only review has none, d wrote none
    mean = np.array([[0.5, 0.5], [2, 2]])
    centred = mean - mean.mean(axis=0)
    np.testing.assert_allclose(rows[:2], centred / np.sqrt((centred**2).sum() / 2), rtol=1e-6)
    assert not rows[2:].any()


def test_every_column_counts_alike_and_scales_do_not_matter(people):
    both = Features("user", ["age", ("review", "x")]).fit(people).encode(people)[0]
    assert both.shape == (4, 3)
    years = people.column("user", "age").to_numpy(zero_copy_only=False) * 365
    days = people.with_column("user", "age", years)
    np.testing.assert_allclose(
        Features("user", ["age", ("review", "x")]).fit(days).encode(days)[0], both, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ("agge", {"names": "agge"}),
        (("movie", "x"), {"asked": "movie", "there": ["user", "review"]}),
        ([("user", "age", "x")], {"asked": ("user", "age", "x")}),
        (7, {"asked": 7}),
    ],
)
def test_features_say_what_is_wrong(columns, told, people):
    with raises(SchemaError if columns in ("agge", ("movie", "x")) else ParameterError, **told):
        Features("user", columns).fit(people)


def test_text_is_no_category(people, monkeypatch):
    monkeypatch.setattr("hinaug.features.columns.MOST_CATEGORIES", 1)
    with raises(ValueError, asked=2):
        Features("user", "job").fit(people)


def test_vectors_of_another_width_are_refused(people):
    encoder = Features("user", ("review", "x")).fit(people)
    with raises(ValueError, asked=3):
        encoder.encode(people.with_column("review", "x", np.ones((4, 3))))


# ---- EASE ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [None, ["x", "job"]])
@pytest.mark.parametrize("constant", [0.0, 0.7])
@pytest.mark.parametrize("prior", [None, "x"])
def test_ease_solves_its_equations_over_several_blocks(side, constant, prior, monkeypatch):
    """Each item's column solves its own ridge regression with the weight of the item itself held at
    0.
    """
    monkeypatch.setattr(ease, "BLOCK", 5)
    hin, x = small()
    model = EASE(
        RATES,
        l2=2.0,
        side=side,
        side_weight=1.5,
        constant=constant,
        prior=prior,
        prior_weight=0.8,
        prior_k=3,
    ).fit(hin)
    a = np.c_[x, np.full((30, 1), constant)] if constant else x
    if side is not None:
        a = np.c_[a, 1.5 * Features("user", side).fit(hin).encode(hin)[0]]
    toward = np.zeros((a.shape[1], 18))
    if prior is not None:
        f = Features("item", prior).fit(hin).encode(hin)[0]
        f /= np.linalg.norm(f, axis=1, keepdims=True)
        cosine = f @ f.T
        np.fill_diagonal(cosine, 0)
        for j in range(18):
            for i in np.argsort(-cosine[j])[:3]:
                toward[i, j] = 0.4 * max(cosine[j, i], 0)
    expected = np.zeros(toward.shape)
    for j in range(18):
        rest = [i for i in range(a.shape[1]) if i != j]
        gram = a[:, rest].T @ a[:, rest] + 2 * np.eye(len(rest))
        expected[rest, j] = np.linalg.solve(gram, a[:, rest].T @ x[:, j] + 2 * toward[rest, j])
    np.testing.assert_allclose(model.weights_, expected, atol=1e-4)
    np.testing.assert_allclose(model.score(hin, np.arange(30)), a @ expected, atol=1e-3)


def test_weights_of_zero_are_plain_ease():
    hin, _ = small()
    plain = EASE(RATES, l2=5.0).fit(hin).score(hin, np.arange(30))
    none = EASE(RATES, l2=5.0, side="x", side_weight=0.0, prior="x", prior_weight=0.0).fit(hin)
    np.testing.assert_allclose(none.score(hin, np.arange(30)), plain, atol=1e-5)


def test_side_serves_users_without_history_and_prior_serves_items_that_nobody_had():
    hin, _ = small()
    hin = hin.with_nodes(
        "user", {"id": [98, 99], "x": np.array([[1.0, 2, 3], [np.nan] * 3]), "job": ["a", None]}
    )
    hin = hin.with_nodes("item", {"id": [77, 78], "x": np.array([[1.0, 2, 3, 4], [np.nan] * 4])})
    scores = EASE(RATES, l2=2.0, side=["x", "job"], prior="x").fit(hin).score(hin, [0, 30, 31])
    assert not np.isnan(scores[:2, :19]).any()
    assert np.isnan(scores[2]).all()  # neither history nor columns
    assert np.isnan(scores[:, 19]).all()  # neither links nor a vector
    assert np.isnan(EASE(RATES).fit(hin).score(hin, [0, 30])[1]).all()


def test_side_and_prior_help_where_they_tell_the_topic_and_not_when_permuted():
    """Thin users of a planted world, whose job tells the topic."""
    ndcg = {}
    for seed in range(2):
        split = random_split(
            planted(300, 120, thin=0.9, rng=seed), RATES, evidence=["review"], rng=seed
        )
        order = np.random.default_rng(seed).permutation(300)
        job = split.train.column("user", "job").take(order)
        shuffled = split.train.with_column("user", "job", job)
        for name, graph, model in (
            ("plain", split.train, EASE(RATES, l2=20.0)),
            ("side", split.train, EASE(RATES, l2=20.0, side="job", side_weight=1.0)),
            ("constant", split.train, EASE(RATES, l2=20.0, constant=1.0)),
            ("permuted", shuffled, EASE(RATES, l2=20.0, side="job", side_weight=1.0)),
            ("prior", split.train, EASE(RATES, l2=20.0, prior="x", prior_weight=6.0)),
        ):
            result = evaluate(model.fit(graph, rng=0), graph, split)["NDCG@20"]
            ndcg[name] = ndcg.get(name, 0) + result / 2
    assert ndcg["side"] > 1.1 * max(ndcg["plain"], ndcg["constant"])
    assert ndcg["prior"] > 1.1 * ndcg["plain"]
    assert ndcg["permuted"] < 1.05 * ndcg["plain"]


def test_ease_counts_side_columns_when_it_asks_for_memory(monkeypatch):
    hin, _ = small()
    monkeypatch.setattr(ease, "available_memory", lambda: 10)
    with raises(MemoryError, names="EASE"):
        EASE(RATES, side=["x", "job"]).fit(hin)


def test_nearest_rows_by_hand():
    rows = np.array([[1.0, 0], [0.6, 0.8], [0, 1], [-1, 0]], np.float32)
    near = ease.nearest_rows(rows, 1).toarray()
    np.testing.assert_allclose(
        near, [[0, 0.6, 0, 0], [0, 0, 0.8, 0], [0, 0.8, 0, 0], [0, 0, 0, 0]], atol=1e-7
    )


# ---- KernelRidge ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["rbf", "cosine"])
def test_kernel_ridge_equals_the_dense_formula(kernel):
    hin, x = small()
    x[:, 4] = 0  # strict cold: it teaches nothing and is scored
    src, dst = np.nonzero(x)
    hin = hin.drop(RATES).with_edges(RATES, {"src": src, "dst": dst})
    f = Features("item", "x").fit(hin).encode(hin)[0].astype(float)
    if kernel == "rbf":
        k = np.exp(-((f[:, None] - f[None]) ** 2).sum(axis=2) / 0.7**2)
    else:
        f /= np.linalg.norm(f, axis=1, keepdims=True)
        k = f @ f.T
    warm = np.arange(18) != 4
    y = x[:, warm]
    mean = y.mean(axis=1, keepdims=True)
    expected = mean + (y - mean) @ np.linalg.solve(
        k[np.ix_(warm, warm)] + 0.3 * np.eye(17), k[warm]
    )
    model = KernelRidge(RATES, kernel=kernel, width=0.7, l2=0.3).fit(hin)
    np.testing.assert_allclose(model.score(hin, np.arange(30)), expected, atol=2e-4)


def test_kernel_ridge_scores_items_that_did_not_exist_and_leaves_out_what_has_no_features():
    hin, _ = small()
    model = KernelRidge(RATES, l2=0.1).fit(hin)
    vectors = hin.vectors("item")
    grown = hin.with_nodes("item", {"id": [50, 51], "x": np.stack([vectors[3], [np.nan] * 4])})
    grown = grown.with_nodes("user", {"id": [70], "x": np.ones((1, 3)), "job": ["a"]})
    scores = model.score(grown, [0, 30])
    assert scores[0, 18] == pytest.approx(scores[0, 3])
    assert np.isnan(scores[0, 19])
    assert np.isnan(scores[1]).all()


def test_kernel_ridge_forgets_the_kernel_of_an_earlier_fit():
    hin, _ = small()
    more = hin.with_nodes("item", {"id": [50], "x": [[1.0, 2, 3, 4]]}).with_edges(
        RATES, {"src": [0], "dst": [50]}
    )
    model = KernelRidge(RATES, l2=1.0).fit(hin)
    model.score(hin, [0])
    again = model.refit(more).score(hin, np.arange(30))
    np.testing.assert_array_equal(again, model.clone().fit(more).score(hin, np.arange(30)))


def test_kernel_ridge_finds_cold_items_of_the_users_topic():
    hin, truth = planted(200, 120, degree=15, rng=0, return_truth=True)
    _, dst = hin.links(RATES)
    cold = np.random.default_rng(0).permutation(120)[:30]
    hin = hin.filter_edges(RATES, ~np.isin(dst, cold))
    scores = KernelRidge(RATES, l2=1.0).fit(hin).score(hin, np.arange(200))[:, cold]
    same = truth["user_topic"][:, None] == truth["item_topic"][cold][None, :]
    best = np.take_along_axis(same, np.argsort(-scores, axis=1)[:, :5], axis=1)
    assert best.mean() > 0.7  # a quarter by chance


@pytest.mark.parametrize(
    ("name", "value"), [("kernel", "rfb"), ("l2", 0.0), ("l2", np.inf), ("width", -1.0)]
)
def test_parameters_that_make_no_sense(name, value):
    with pytest.raises(ParameterError) as error:
        KernelRidge(RATES, **{name: value})
    assert error.value.asked == value


def test_kernel_ridge_without_links_gives_nothing():
    hin = HIN.from_tables(
        {"user": {"id": ["a"]}, "item": {"id": ["p", "q"], "x": np.eye(2)}},
        {RATES: {"src": [], "dst": []}},
    )
    assert np.isnan(KernelRidge(RATES).fit(hin).score(hin, [0])).all()


@pytest.mark.parametrize(
    "model",
    [
        EASE(RATES, side=["age", "job", ("review", "x")], prior=["x", ("review", "x")]),
        EASE(RATES, side="age", constant=1.0, weight="confidence"),
        KernelRidge(RATES, columns=["x", ("review", "x")]),
        KernelRidge(RATES, kernel="cosine", weight="confidence"),
    ],
)
def test_contract(model):
    check_predictor(model)
