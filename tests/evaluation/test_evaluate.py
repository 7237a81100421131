"""evaluate: what is measured, what is hidden, what is refused."""

import dataclasses
import pickle
import warnings

import numpy as np
import pyarrow as pa
import pytest
from methods import Fixed
from raising import raises

from hinaug.datasets import planted
from hinaug.ensembles import RankFusion
from hinaug.errors import LeakError, UnknownNameError
from hinaug.evaluation.compare import compare
from hinaug.evaluation.evaluate import evaluate
from hinaug.generators import random_delta
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.predictors import ALS, EASE, Popularity
from hinaug.split.last import leave_last
from hinaug.split.random import random_split
from hinaug.training.estimator import Searched

RATES = ("user", "rates", "item")


def world():
    """Three users, five items; the last two pairs of each are held out: valid, then test."""
    rows = [("a", "vwx"), ("b", "wxy"), ("c", "xvzy")]
    pairs = [(u, i, t) for u, items in rows for t, i in enumerate(items)]
    hin = HIN.from_tables(
        {"user": {"id": list("abc")}, "item": {"id": list("vwxyz")}},
        {
            RATES: {
                "src": [p[0] for p in pairs],
                "dst": [p[1] for p in pairs],
                "time": [p[2] for p in pairs],
            }
        },
        lineage="row",
    )
    return leave_last(hin, RATES)


#         v  w  x  y  z
SCORES = [[9, 8, 3, 2, 1], [1, 9, 8, 2, 3], [9, 1, 9, 4, 3]]


def test_ndcg_by_hand_with_train_and_valid_hidden():
    split = world()
    model = Fixed(RATES, SCORES).fit(split.train)
    test = evaluate(model, split.train_valid, split, k=(1, 2), on="test")
    # a has met v, w: ranks x first. b has met w, x: ranks z, then y. c has met x, v, z: ranks y
    # first
    assert test.users.to_pylist() == ["a", "b", "c"]
    np.testing.assert_allclose(test.values["NDCG@2"], [1, 1 / np.log2(3), 1])
    np.testing.assert_allclose(test.values["NDCG@1"], [1, 0, 1])
    np.testing.assert_allclose(test.values["MRR@2"], [1, 0.5, 1])
    assert test["Recall@2"] == 1
    assert test["Hit@1"] == pytest.approx(2 / 3)
    # on valid only train is hidden. a ranks w first; b has met w, ranks x first; c has met x, v and
    # ranks y, then z
    valid = evaluate(model, split.train, split, k=2, on="valid")
    np.testing.assert_allclose(valid.values["NDCG@2"], [1, 1, 1 / np.log2(3)])
    assert valid["Precision@2"] == 0.5
    assert "NDCG@2 0.87" in repr(valid)


def test_valid_pairs_are_hidden_on_test_even_when_the_graph_lacks_them():
    split = world()
    model = Fixed(RATES, SCORES).fit(split.train)
    one, two = (
        evaluate(model, graph, split, k=2, on="test") for graph in (split.train, split.train_valid)
    )
    np.testing.assert_array_equal(one.values["NDCG@2"], two.values["NDCG@2"])


def test_train_pairs_are_hidden_even_when_the_graph_lacks_them():
    split = world()
    model = Fixed(RATES, SCORES).fit(split.train)
    bare = split.train.filter_edges(RATES, np.zeros(split.train.n(RATES), bool))
    np.testing.assert_array_equal(
        evaluate(model, bare, split, k=2).values["NDCG@2"],
        evaluate(model, split.train, split, k=2).values["NDCG@2"],
    )


def test_users_without_held_out_pairs_are_left_out_and_unscored_ones_count_as_empty():
    hin = HIN.from_tables(
        {"user": {"id": ["a", "b", "once"]}, "item": {"id": list("vwxyz")}},
        {
            RATES: {
                "src": ["a", "a", "b", "b", "once"],
                "dst": list("vwxyz"),
                "time": [1, 2, 1, 2, 1],
            }
        },
    )
    split = leave_last(hin, RATES, valid=0)
    scores = np.array([[1, 9, 2, 3, 4], [np.nan] * 5, [1] * 5])
    result = evaluate(Fixed(RATES, scores).fit(split.train), split.train, split, k=3, on="test")
    assert result.users.to_pylist() == ["a", "b"]
    assert result.values["NDCG@3"].tolist() == [1, 0]
    assert result["Coverage@3"] == 3 / 5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nothing = evaluate(
            Fixed(RATES, scores * np.nan).fit(split.train), split.train, split, k=3, on="test"
        )
    assert nothing["NDCG@3"] == 0
    assert np.isnan(nothing["Novelty@3"])


def test_generated_rows_change_what_is_scored_but_neither_what_is_ranked_nor_who_is_judged():
    split = world()
    model = Fixed(RATES, SCORES).fit(split.train)
    delta = Delta(
        nodes={"user": {"id": ["ghost"]}, "item": {"id": ["new"]}},
        edges={
            RATES: {"src": ["a", "ghost", "b"], "dst": ["x", "v", "new"]}
        },  # a - x is what test holds out
    )
    plain = evaluate(model, split.train_valid, split, k=3, on="test")
    more = evaluate(model, split.train_valid + delta, split, k=3, on="test")
    assert more.users.equals(plain.users)
    for name, values in plain.values.items():
        np.testing.assert_array_equal(values, more.values[name])
    assert plain.overall == more.overall


def test_a_cut_beyond_the_catalogue():
    split = world()
    result = evaluate(Fixed(RATES, SCORES).fit(split.train), split.train, split, k=50)
    assert result["Recall@50"] == 1
    assert result["Precision@50"] == pytest.approx(1 / 50)


# ---- what is refused -----------------------------------------------------------------------------


def test_a_predictor_that_saw_the_pairs():
    split = world()
    for graph, on in (
        (split.source, "test"),
        (split.source, "valid"),
        (split.train_valid, "valid"),
    ):
        model = Popularity(RATES).fit(graph)
        with raises(LeakError, names="train"):
            evaluate(model, split.train, split, k=2, on=on)
    refitted = Popularity(RATES).fit(split.train).refit(split.train_valid)
    assert evaluate(refitted, split.train_valid, split, k=2, on="test")["Recall@2"] > 0


def test_a_graph_to_score_on_that_holds_the_pairs_their_twins_or_their_evidence():
    hin = planted(30, 20, 2, rng=0)
    src, dst = (
        hin.ids(t).take(pa.array(p))
        for t, p in zip(("user", "item"), hin.links(RATES), strict=True)
    )
    hin = hin.with_edges(("item", "bought by", "user"), {"src": dst, "dst": src}, "row")
    split = random_split(hin, RATES, evidence=["review"], rng=0)
    model = Popularity(RATES).fit(split.train)
    with raises(LeakError, asked="the graph to score on"):
        evaluate(model, split.source, split)
    with raises(LeakError, asked="the graph to score on"):
        evaluate(model, split.train_valid, split, on="valid")
    there = set(zip(*split.train.links(RATES), strict=True))
    only_train = np.array([p in there for p in zip(*hin.links(RATES), strict=True)])
    without = hin.filter_edges(RATES, only_train)
    with raises(LeakError, asked=("item", "bought by", "user")):
        evaluate(model, without, split)
    with raises(LeakError, asked="review"):
        evaluate(model, without.drop(("item", "bought by", "user")), split)
    kept = random_split(
        hin, RATES, evidence=["review"], keep=[("item", "bought by", "user")], rng=0
    )
    evaluate(Popularity(RATES).fit(kept.train), kept.train, kept)


def test_a_predictor_of_unknown_pairs_needs_trust():
    split = world()
    sample = split.train.filter_edges(RATES, np.arange(split.train.n(RATES)) != 0)
    model = Popularity(RATES).fit(sample)
    with raises(
        LeakError, asked="f31856100be5e4251b2e5ab86445f2dc1d1f9330257d60296aae4ea402f7c8fc"
    ) as refused:
        evaluate(model, split.train, split, k=2)
    assert refused.value.there == ["split.train"]
    assert evaluate(model, split.train, split, k=2, trust=True)["Recall@2"] > 0
    for graph, on in ((split.source, "test"), (split.train_valid, "valid")):  # known to leak
        with pytest.raises(LeakError):
            evaluate(Popularity(RATES).fit(graph), split.train, split, on=on, trust=True)


def test_other_columns_rows_and_deltas_of_the_fitted_graph_do_not_matter():
    split = world()
    n = split.train.n(RATES)
    delta = Delta(edges={RATES: {"src": ["a"], "dst": ["z"]}})
    for graph in (
        split.train.with_column(RATES, "rating", np.arange(n)),
        split.train + delta,
        split.train.with_edges(RATES, {"src": ["a"], "dst": ["v"], "time": [0]}),  # a second row
    ):
        model = Popularity(RATES).fit(graph)
        assert evaluate(model, split.train, split, k=2)["Recall@2"] > 0


def test_a_split_whose_train_holds_the_pairs():
    split = world()
    wrong = dataclasses.replace(split, train=split.train_valid)
    model = Popularity(RATES).fit(wrong.train)
    with raises(LeakError, asked="split.train"):
        evaluate(model, split.train, wrong)


def test_nobody_is_ranked_for_oneself():
    follows = ("user", "follows", "user")
    src, dst = list("aaabbbccc"), list("abcabcabc")  # everybody follows everybody, oneself too
    hin = HIN.from_tables(
        {"user": {"id": list("abcd")}}, {follows: {"src": src, "dst": dst, "time": [1, 2, 3] * 3}}
    )
    split = leave_last(hin, follows, valid=0, test=2)
    model = Fixed(follows, [[9, 1, 1, 0], [1, 9, 1, 0], [1, 1, 9, 0], [1, 1, 1, 9]])
    result = evaluate(model.fit(split.train), split.train, split, k=2, on="test")
    # a has b and c held out; b has c (and itself, which is not judged); c has b (and itself)
    assert result["Recall@2"] == 1
    np.testing.assert_allclose(result.values["Precision@2"], [1, 0.5, 0.5])
    alone = dataclasses.replace(split, test=split.test.slice(2, 1))
    assert alone.test.to_pylist()[0]["src"] == alone.test.to_pylist()[0]["dst"]
    with raises(ValueError, asked="test"):
        evaluate(model, split.train, alone, on="test")


def test_errors():
    split = world()
    model = Popularity(RATES).fit(split.train)
    with raises(ValueError, asked="train"):
        evaluate(model, split.train, split, on="train")
    with raises(ValueError, names="evaluate"):
        evaluate(model, split.train, split, k=0)
    with raises(ValueError, asked="valid"):
        evaluate(model, split.train, dataclasses.replace(split, valid=split.valid.slice(0, 0)))
    with raises(ValueError, asked=("user", "likes", "item")):
        evaluate(Popularity(("user", "likes", "item")), split.train, split)
    result = evaluate(model, split.train, split, k=2)
    with raises(UnknownNameError, asked="NDCG@3"):
        result["NDCG@3"]
    with raises(UnknownNameError, asked="age"):
        result.by("age", "NDCG@2")


def test_the_table_and_the_interval():
    split = world()
    result = evaluate(Fixed(RATES, SCORES).fit(split.train), split.train, split, k=2)
    rows = {r["metric"]: r for r in result.table().to_pylist()}
    assert rows["NDCG@2"]["mean"] == result["NDCG@2"]
    assert rows["NDCG@2"]["low"] < result["NDCG@2"] < rows["NDCG@2"]["high"]
    assert rows["Coverage@2"]["low"] is None
    low, high = result.interval("NDCG@2", 0.5)
    assert high - low < rows["NDCG@2"]["high"] - rows["NDCG@2"]["low"]


# ---- slices --------------------------------------------------------------------------------------


def test_slices_part_the_users():
    split = random_split(planted(150, 60, 4, rng=0), RATES, evidence=["review"], rng=0)
    result = evaluate(Popularity(RATES).fit(split.train), split.train, split, k=20)
    assert set(result.slices) == {"train degree", "tail items held out"}
    for name, labels in result.slices.items():
        parts = result.by(name, "NDCG@20")
        assert sum(n for n, _ in parts.values()) == len(result.users) == len(labels)
        whole = sum(n * mean for n, mean in parts.values()) / len(labels)
        assert whole == pytest.approx(result["NDCG@20"])
    degree = np.bincount(split.train.links(RATES)[0], minlength=150)
    of = dict(zip(split.train.ids("user").to_pylist(), degree, strict=True))
    for user, label in zip(result.users.to_pylist(), result.slices["train degree"], strict=True):
        assert label == (
            "1-3"
            if 0 < of[user] <= 3
            else "4-5"
            if 3 < of[user] <= 5
            else "6-20"
            if of[user] <= 20
            else "21-60"
        )


def test_a_planted_world_where_the_better_model_wins_and_a_shuffled_one_where_it_does_not():
    gain = {}
    for shuffle in (False, True):
        a, b = [], []
        for seed in range(8):  # as many splits as a verdict needs
            split = random_split(
                planted(200, 80, 4, thin=0, dim=0, rng=seed, shuffle=shuffle),
                RATES,
                evidence=["review"],
                rng=seed,
            )
            for out, model in ((a, Popularity(RATES)), (b, EASE(RATES, l2=20.0))):
                model.fit(split.train).refit(split.train_valid)
                out.append([evaluate(model, split.train_valid, split, k=20, on="test")])
        gain[shuffle] = compare(a, b, splits=True)
    assert gain[False].difference > 0.1
    assert gain[False].p < 1e-9
    assert "helps" in gain[False].verdict()
    assert gain[True].difference < 0.03
    assert "helps" not in gain[True].verdict()


@pytest.fixture(scope="module")
def planted_split():
    hin = planted(60, 30, 4, thin=0, dim=0, rng=0)
    return random_split(hin, RATES, evidence=["review"], rng=0)


def test_results_know_their_split_and_whether_another_fit_would_be_the_same(planted_split):
    split = planted_split
    other = random_split(split.source, RATES, evidence=["review"], rng=99)
    closed = evaluate(EASE(RATES, l2=20.0).fit(split.train), split.train, split)
    assert closed.deterministic
    random = ALS(RATES, embedding_dim=4).fit(split.train, rng=0)
    assert not evaluate(random, split.train, split).deterministic
    both = RankFusion([EASE(RATES), Popularity(RATES)]).fit(split.train)
    assert evaluate(both, split.train, split).deterministic
    mixed = RankFusion([EASE(RATES), ALS(RATES, embedding_dim=4)]).fit(split.train, rng=0)
    assert not evaluate(mixed, split.train, split).deterministic
    again = evaluate(Popularity(RATES).fit(split.train), split.train, split)
    elsewhere = evaluate(Popularity(RATES).fit(other.train), other.train, other)
    assert closed.split == again.split != elsewhere.split


def test_a_delta_was_drawn_so_one_fit_with_it_is_not_enough(planted_split):
    src, dst = (planted_split.train.ids(node)[:1] for node in ("user", "item"))
    delta = Delta(edges={RATES: {"src": src, "dst": dst, "confidence": [0.5]}}, origin="one")
    graph = planted_split.train + random_delta(planted_split.train, delta, rng=0)
    fitted = EASE(RATES, l2=20.0).fit(graph)
    assert not evaluate(fitted, graph, planted_split).deterministic
    assert not evaluate(fitted, planted_split.train, planted_split).deterministic


def test_results_carry_how_the_model_was_searched(planted_split):
    searched = Searched(("l2",), 7)
    model = (
        EASE(RATES, l2=20.0)
        ._mark(searched)
        .clone()
        .fit(planted_split.train)
        .refit(planted_split.train)
    )
    found = evaluate(model, planted_split.train, planted_split)
    assert (found.edges, found.trials) == (("l2",), 7)
    ensemble = RankFusion([model, Popularity(RATES)._mark(Searched((), 3))]).fit(
        planted_split.train
    )
    found = evaluate(ensemble, planted_split.train, planted_split)
    assert (found.edges, found.trials) == (("l2",), 10)
    assert (
        evaluate(EASE(RATES).fit(planted_split.train), planted_split.train, planted_split).trials
        is None
    )
    assert pickle.loads(pickle.dumps(model)).searched == searched
