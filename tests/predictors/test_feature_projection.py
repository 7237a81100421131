"""FeatureProjection: what it learns and where it stops, both ends, and scores by hand."""

import numpy as np
import pytest

from hinaug.datasets import planted
from hinaug.errors import FoldInError, ParameterError
from hinaug.features.axes import principal_axes
from hinaug.graph.hin import HIN
from hinaug.predictors import FeatureProjection
from hinaug.testing import check_folds_in_items, check_predictor
from hinaug.training import ranking

RATES = ("user", "rates", "item")
FAST = {"lr": 0.03, "batch_size": 4096, "epochs": 25, "dropout": 0.0}


def cosines(a, b):
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    return a @ b.T


def noisy(end, seed=0, n=150, topics=6):
    """Links by topic. The nodes at one end have vectors whose topic drowns in ten wide columns of
    noise; the last thirty of them have no links.
    """
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, topics, (2, n))
    x = (rng.random((n, n)) < 0.02) | ((user[:, None] == item) & (rng.random((n, n)) < 0.5))
    (x if end == "user" else x.T)[-30:] = False
    topic = user if end == "user" else item
    vectors = np.c_[np.eye(topics)[topic], 2.0 * rng.standard_normal((n, 10))]
    nodes = {"user": {"id": np.arange(n)}, "item": {"id": np.arange(n)}}
    nodes[end]["x"] = vectors
    src, dst = np.nonzero(x)
    return HIN.from_tables(nodes, {RATES: {"src": src, "dst": dst}}), user[:, None] == item


def precision(model, hin, same, end):
    """The share of the first five new items, or of the first five items of new users, that are of
    the topic.
    """
    scores = model.score(hin, np.arange(hin.n("user")))
    if end == "user":
        scores, same = scores[-30:], same[-30:]
    else:
        linked = hin.adjacency(RATES).sum(axis=1) > 0
        scores, same = scores[linked][:, -30:], same[linked][:, -30:]
    ranked, _ = ranking.top_k(scores, 5)
    return np.take_along_axis(same, ranked, axis=1).mean()


@pytest.mark.parametrize(("end", "node"), [("target", "item"), ("source", "user")])
def test_it_learns_which_features_count(end, node):
    hin, same = noisy(node)
    model = FeatureProjection(RATES, end=end, **FAST).fit(hin, rng=0)
    frozen = FeatureProjection(RATES, end=end, epochs=1, lr=1e-12).fit(hin, rng=0)
    learned, plain = (precision(m, hin, same, node) for m in (model, frozen))
    assert learned > plain + 0.3
    assert learned > 0.7
    assert model.epochs_ > 0
    assert max(model.curve_) == model.curve_[model.epochs_] > model.curve_[0]


def test_where_nothing_is_to_be_learned_it_stays_the_cosine():
    """The topic is all that there is, so every step is away from it."""
    rng = np.random.default_rng(0)
    topic = np.arange(80) % 4
    x = (topic[:, None] == topic) & (rng.random((80, 80)) < 0.4)
    src, dst = np.nonzero(x)
    hin = HIN.from_tables(
        {"user": {"id": np.arange(80)}, "item": {"id": np.arange(80), "x": np.eye(4)[topic]}},
        {RATES: {"src": src, "dst": dst}},
    )
    model = FeatureProjection(RATES, lr=0.5, epochs=3).fit(hin, rng=0)
    assert model.epochs_ == 0
    np.testing.assert_array_equal(model.weights_, np.eye(len(model.weights_)))
    model.refit(hin, rng=0)
    np.testing.assert_array_equal(model.weights_, np.eye(len(model.weights_)))


def test_scores_by_hand_at_both_ends():
    hin = planted(n_users=40, n_items=25, dim=6, rng=0)
    links = hin.adjacency(RATES).toarray()
    model = FeatureProjection(RATES, "x", epochs=2).fit(hin, rng=0)
    p = principal_axes(hin, "item", "x", 128) @ model.weights_
    np.testing.assert_allclose(model.targets_, p, atol=1e-5)
    np.testing.assert_allclose(model.score(hin, np.arange(40)), cosines(links @ p, p), atol=1e-4)
    model = FeatureProjection(RATES, ["age", "job"], "source", epochs=2).fit(hin, rng=0)
    p = principal_axes(hin, "user", ["age", "job"], 128) @ model.weights_
    expected = cosines(p, links.T @ p)
    np.testing.assert_allclose(model.score(hin, np.arange(40)), expected, atol=1e-4)
    people = hin.nodes["user"].select(["age", "job"])
    folded = model.fold_in([[]] * 40, attributes=people)
    np.testing.assert_allclose(folded, expected, atol=1e-4)
    with pytest.raises(FoldInError) as told:
        model.fold_in([["i0"]])
    assert told.value.asked == "source"


def test_items_without_features_and_users_without_history_cannot_be_told():
    hin = planted(n_users=30, n_items=20, dim=4, rng=0)
    hin = hin.with_nodes("item", {"id": ["bare", "new"], "x": np.array([[np.nan] * 4, [1.0] * 4])})
    hin = hin.with_nodes("user", {"id": ["nobody"]})
    scores = FeatureProjection(RATES, epochs=1).fit(hin, rng=0).score(hin, np.arange(31))
    assert np.isnan(scores[:, 20]).all()
    assert np.isnan(scores[30]).all()
    assert not np.isnan(scores[:30, 21]).any()


def test_links_of_confidence_0_say_nothing():
    hin = planted(n_users=30, n_items=20, dim=4, rng=0)
    sure = np.random.default_rng(0).random(hin.n(RATES)) < 0.7
    weighed = hin.with_column(RATES, "w", sure.astype(float))
    model = FeatureProjection(RATES, weight="w", epochs=2).fit(weighed, rng=0)
    fewer = weighed.filter_edges(RATES, sure)
    expected = model.clone().fit(fewer, rng=0).score(fewer, np.arange(30))
    np.testing.assert_array_equal(model.score(weighed, np.arange(30)), expected)


@pytest.mark.parametrize(
    "changes",
    [{"end": "both"}, {"holdout": 0.0}, {"dropout": 1.0}, {"temperature": 0.0}, {"epochs": 0}],
)
def test_parameters_that_make_no_sense(changes):
    hin = planted(n_users=20, n_items=15, dim=4, rng=0)
    with pytest.raises(ParameterError):
        FeatureProjection(RATES, **changes).fit(hin, rng=0)


def test_without_links_there_is_nothing_to_learn():
    hin = planted(n_users=20, n_items=15, dim=4, rng=0)
    nothing = hin.filter_edges(RATES, np.zeros(hin.n(RATES), bool))
    with pytest.raises(ParameterError):
        FeatureProjection(RATES).fit(nothing, rng=0)


def test_contract_of_the_other_end():
    model = FeatureProjection(RATES, ["age", "job"], end="source", epochs=2, dim=4)
    check_predictor(model)
    check_folds_in_items(model)
