"""MetapathSimilarity: scores by hand, which paths there are, what weights are learned."""

import numpy as np
import pytest

from hinaug.datasets import planted
from hinaug.errors import FoldInError, ParameterError, UnknownNameError
from hinaug.graph.hin import HIN
from hinaug.predictors import MetapathSimilarity
from hinaug.split.cold import cold_items
from hinaug.testing import check_folds_in_items, check_predictor

RATES, IN, FOLLOWS = ("user", "rates", "item"), ("item", "in", "genre"), ("user", "follows", "user")
GENRE = ("item", "genre", "item")


def small():
    """Items p, q of genre g, r of g and h, new of h; ann had p and r, bob q."""
    return HIN.from_tables(
        {
            "user": {"id": ["ann", "bob", "cid"]},
            "item": {"id": ["p", "q", "r", "new", "bare"]},
            "genre": {"id": ["g", "h"]},
        },
        {
            RATES: {"src": ["ann", "ann", "bob"], "dst": ["p", "r", "q"]},
            IN: {"src": ["p", "q", "r", "r", "new"], "dst": ["g", "g", "g", "h", "h"]},
        },
    )


def topics(seed=0, n=120, known=0.6):
    """Links by topic; items have the tag of their topic, most of the time, and a tag of chance;
    users follow users of their topic.
    """
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, 4, (2, n))
    x = (rng.random((n, n)) < 0.02) | ((user[:, None] == item) & (rng.random((n, n)) < 0.3))
    src, dst = np.nonzero(x)
    tag = np.where(rng.random(n) < known, item, rng.integers(0, 4, n))
    f_src, f_dst = np.nonzero(
        (user[:, None] == user) & (rng.random((n, n)) < 0.1) & ~np.eye(n, dtype=bool)
    )
    return (
        HIN.from_tables(
            {
                t: {"id": np.arange(m)}
                for t, m in {"user": n, "item": n, "tag": 4, "shop": 4}.items()
            },
            {
                RATES: {"src": src, "dst": dst},
                ("item", "has", "tag"): {"src": np.arange(n), "dst": tag},
                ("item", "in", "shop"): {"src": np.arange(n), "dst": rng.integers(0, 4, n)},
                FOLLOWS: {"src": f_src, "dst": f_dst},
            },
        ),
        user,
        item,
    )


def test_scores_along_one_path_by_hand():
    """PathSim: p - q 1, p - r 2/3, r - new 2/3; and of the others 0."""
    hin = small()
    model = MetapathSimilarity(RATES, [GENRE]).fit(hin, rng=0)
    assert model.weights_.tolist() == [1.0]
    scores = model.score(hin, [0, 1, 2])
    np.testing.assert_allclose(scores[0, :4], [1 / 3, (1 + 2 / 3) / 2, 1 / 3, 1 / 3], atol=1e-6)
    np.testing.assert_allclose(scores[1, :4], [1, 0, 2 / 3, 0], atol=1e-6)
    assert np.isnan(scores[:, 4]).all()
    assert np.isnan(scores[2]).all()
    near = MetapathSimilarity(RATES, [GENRE], k=1).fit(hin, rng=0).score(hin, [0])
    np.testing.assert_allclose(near[0, :4], [0, 1 / 2, 1 / 3, 1 / 3], atol=1e-6)


def test_paths_of_sources_and_of_a_relation_within_a_type():
    hin = HIN.from_tables(
        {"user": {"id": list("abcd")}}, {FOLLOWS: {"src": list("aabbc"), "dst": list("cdcda")}}
    )
    path = [(FOLLOWS, FOLLOWS)]  # who follow the same
    model = MetapathSimilarity(FOLLOWS, path, holdout=0.4).fit(hin, rng=0)
    assert len(model.weights_) == 3  # from the targets, from the sources, within
    model.weights_ = np.array([0.0, 1.0, 0.0])
    scores = model.score(hin, np.arange(4))
    np.testing.assert_allclose(scores[0], [0, 0, 1, 1])  # b is as a, and follows c and d
    assert np.isnan(scores[2:]).all()
    model = model.clone().fit(hin, rng=0)
    model.weights_ = np.array([0.0, 0.0, 1.0])
    np.testing.assert_allclose(model.score(hin, [0])[0], [0, 1, 0, 0], atol=1e-6)


def test_short_paths_are_found_and_do_not_turn_back():
    hin, *_ = topics()
    model = MetapathSimilarity(RATES, max_steps=1).fit(hin, rng=0)
    names = {tuple(edge[1] for edge, _ in half) for half in model.from_targets_}
    assert names == {("has",), ("in",), ("rates",)}
    assert [half[0][1] for half in model.from_sources_] == [True, True, False]  # follows: both ways
    longer = MetapathSimilarity(RATES, max_steps=2).fit(hin, rng=0)
    walks = [tuple(half) for half in longer.from_targets_]
    assert len(walks) == len(set(walks))
    assert not any(len(w) == 2 and w[0] == (w[1][0], not w[1][1]) for w in walks)
    assert any(len(w) == 2 and w[1] == (FOLLOWS, False) for w in walks)


def test_paths_that_take_too_much_memory_are_left_out(monkeypatch):
    monkeypatch.setattr("hinaug.predictors.metapath_similarity.MEMORY", 20_000)
    hin, *_ = topics()
    model = MetapathSimilarity(RATES).fit(hin, rng=0)
    assert all(len(half) == 1 for half in model.from_targets_)


@pytest.mark.parametrize("given", [True, False], ids=["valid", "holdout"])
def test_the_path_that_tells_new_items_gets_the_weight(given):
    hin, user, item = topics()
    split = cold_items(hin, RATES, valid=0.2, test=0.2, rng=0)
    model = MetapathSimilarity(RATES, max_steps=1)
    model.fit(split.train, valid=split.valid if given else None, rng=0)
    weight = {
        half[0][0][1]: w for half, w in zip(model.from_targets_, model.weights_, strict=False)
    }
    assert weight["has"] > 0.8
    assert weight["rates"] < 0.1  # new items have no links
    assert model.summary().splitlines()[0].endswith("targets  item - tag and back")
    new = np.unique(split.test["dst"].to_numpy())
    scores = model.score(split.train, np.arange(120))[:, new]
    same = user[:, None] == item[new]
    assert np.nanmean(scores[same]) > 1.5 * np.nanmean(scores[~same])
    kept = model.weights_.copy()
    np.testing.assert_array_equal(model.refit(split.train_valid).weights_, kept)


def test_warm_pairs_give_weight_to_the_links_themselves():
    from hinaug.split.random import random_split

    hin, *_ = topics(known=0.0)
    split = random_split(hin, RATES, rng=0)
    model = MetapathSimilarity(RATES, max_steps=1).fit(split.train, valid=split.valid, rng=0)
    weight = {
        half[0][0][1]: w for half, w in zip(model.from_targets_, model.weights_, strict=False)
    }
    assert weight["rates"] > 3 * weight["has"]


def test_equal_items_are_cut_by_a_hash_and_not_by_position():
    """Forty items of one genre: which of them are near does not follow their place."""
    n = 40
    hin = HIN.from_tables(
        {"user": {"id": np.arange(n)}, "item": {"id": np.arange(n)}, "genre": {"id": ["g"]}},
        {
            RATES: {"src": np.arange(n), "dst": np.arange(n)},
            IN: {"src": np.arange(n), "dst": ["g"] * n},
        },
    )
    scores = MetapathSimilarity(RATES, [GENRE], k=5).fit(hin, rng=0).score(hin, np.arange(n))
    chosen = np.flatnonzero(scores[:, -1] > 0)
    assert len(chosen) == 5
    assert chosen.max() > 10


@pytest.mark.parametrize(
    ("paths", "error"),
    [
        ([("item", "genre")], ParameterError),
        ([(IN,)], ParameterError),
        ([("genre", "item", "genre")], ParameterError),
        ([("item", "gnere", "item")], UnknownNameError),
    ],
)
def test_paths_that_make_no_sense(paths, error):
    with pytest.raises(error):
        MetapathSimilarity(RATES, paths).fit(small(), rng=0)


@pytest.mark.parametrize("changes", [{"k": 0}, {"max_steps": 0}, {"holdout": 1.0}])
def test_parameters_that_make_no_sense(changes):
    with pytest.raises(ParameterError):
        MetapathSimilarity(RATES, **changes).fit(small(), rng=0)


def test_evidence_leaves_with_the_links_that_weights_are_learned_from():
    """Reviews join the very pairs that are held out: with them the path over them would win."""
    hin = planted(n_users=80, n_items=60, tags=True, rng=0)
    blind = MetapathSimilarity(RATES).fit(hin, rng=0)
    fair = MetapathSimilarity(RATES, evidence=["review"]).fit(hin, rng=0)

    def over_reviews(model):
        return sum(
            weight
            for half, weight in zip(model.from_targets_, model.weights_, strict=False)
            if half[0][0] == ("review", "about", "item")
        )

    assert over_reviews(blind) > 0.2 > 0.05 > over_reviews(fair)


def test_a_relation_without_links_weighs_all_paths_alike():
    hin = small()
    empty = hin.filter_edges(RATES, np.zeros(hin.n(RATES), bool))
    model = MetapathSimilarity(RATES, max_steps=1).fit(empty, rng=0)
    np.testing.assert_allclose(model.weights_, 1 / len(model.weights_))
    assert np.isnan(model.score(empty, [0])).all()


def test_contracts():
    hin, *_ = topics(n=40)
    for relation in (RATES, FOLLOWS):
        check_predictor(MetapathSimilarity(relation, max_steps=1), hin)
    check_folds_in_items(MetapathSimilarity(RATES, evidence=["review"]))
    model = MetapathSimilarity(RATES, max_steps=1).fit(hin, rng=0)
    with pytest.raises(FoldInError):
        model.fold_in([[0]])
