"""Evaluation, comparison and recommendation by hand, and what they refuse."""

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

import hinaug
from hinaug.base import LeakError, LinkPredictor
from hinaug.datasets import planted
from hinaug.delta import Delta
from hinaug.evaluation import Result, compare, evaluate, holm
from hinaug.hin import HIN
from hinaug.predictors import EASE, Popularity
from hinaug.ranking import recommend
from hinaug.split import Split, random_split

RATES = ("user", "rates", "item")


class Fixed(LinkPredictor):
    """Scores items by their names: p best, s worst; what it knows is in `table`."""

    def __init__(self, table):
        super().__init__(RATES)
        self.table = table

    def _fit(self, hin, valid, rng):
        self.ready_ = True

    def _score(self, hin, src):
        return np.array([[self.table.get(i, np.nan) for i in hin.ids("item").to_pylist()]] * len(src), np.float32)


def graph(rows):
    src, dst = zip(*rows, strict=True)
    return HIN.from_tables(
        {"user": {"id": ["a", "b", "c"]}, "item": {"id": ["p", "q", "r", "s"]}}, {RATES: {"src": src, "dst": dst}}
    )


@pytest.fixture
def case():
    train = graph([("a", "p"), ("b", "q"), ("c", "s")])
    both = graph([("a", "p"), ("b", "q"), ("c", "s"), ("a", "q")])
    source = graph([("a", "p"), ("b", "q"), ("c", "s"), ("a", "q"), ("a", "s"), ("b", "p")])
    valid, test = pa.table({"src": ["a"], "dst": ["q"]}), pa.table({"src": ["a", "b"], "dst": ["s", "p"]})
    return Split(source, RATES, train, both, valid, test)


SCORES = {"p": 4.0, "q": 3.0, "r": 2.0, "s": 1.0}


def test_full_ranking_by_hand(case):
    model = Fixed(SCORES).fit(case.train_valid)
    result = evaluate(model, case.train_valid, case, k=(1, 2), on="test")
    assert result.users.to_pylist() == ["a", "b"]  # c has nothing held out
    # a knows p and q: ranks r, s, and s is right at rank 2. b knows q: ranks p, r, and p is right at rank 1.
    assert result.values["NDCG@2"] == pytest.approx([1 / np.log2(3), 1])
    assert result.values["Hit@1"].tolist() == [0, 1]
    assert result.values["MRR@2"] == pytest.approx([0.5, 1])
    assert result["Recall@2"] == 1
    assert result["Coverage@2"] == 3 / 4


def test_on_test_valid_is_not_ranked_even_when_the_graph_is_train(case):
    result = evaluate(Fixed(SCORES).fit(case.train), case.train, case, k=1, on="test")
    assert result.values["Hit@1"].tolist() == [0, 1]
    assert evaluate(Fixed(SCORES).fit(case.train), case.train, case, k=1, on="valid").values["Hit@1"].tolist() == [1]


def test_what_cannot_be_scored_counts_as_nothing_found(case):
    result = evaluate(Fixed({"r": 1.0}).fit(case.train), case.train, case, k=2, on="test")
    assert result["NDCG@2"] == 0
    assert len(result.users) == 2


def test_leaks_are_refused(case):
    with pytest.raises(LeakError, match="fitted on"):
        evaluate(Fixed(SCORES).fit(case.source), case.train, case, on="test", k=1)
    with pytest.raises(LeakError, match="graph to score on"):
        evaluate(Fixed(SCORES).fit(case.train), case.source, case, on="test", k=1)
    with pytest.raises(LeakError):
        evaluate(Fixed(SCORES).fit(case.train_valid), case.train_valid, case, on="valid", k=1)
    hin = planted(rng=0)
    split = random_split(hin, RATES, evidence=["review"], rng=0)
    reviews = split.train.drop(RATES).with_edges(RATES, {"src": [], "dst": []})
    whole = hin.drop(RATES).with_edges(RATES, {"src": [], "dst": []})
    model = Popularity(RATES).fit(split.train)
    assert evaluate(model, reviews, split, k=5).on == "valid"
    with pytest.raises(LeakError, match="'review' nodes"):
        evaluate(model, whole, split, k=5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"on": "train"}, "expected 'valid' or 'test'"), ({"k": 0}, "at least 1"), ({"k": ()}, "at least 1")],
)
def test_bad_arguments(case, arguments, words):
    with pytest.raises(ValueError, match=words):
        evaluate(Fixed(SCORES).fit(case.train), case.train, case, **arguments)


def test_generated_rows_are_neither_judged_nor_recommended(case):
    delta = Delta(
        nodes={"user": {"id": ["g"]}, "item": {"id": ["new"]}},
        edges={RATES: {"src": ["g", "a", "a"], "dst": ["p", "s", "new"]}},
    )
    augmented = case.train + delta
    model = Fixed({**SCORES, "new": 99.0}).fit(augmented)
    assert evaluate(model, augmented, case, k=2, on="test").users.to_pylist() == ["a", "b"]
    found = recommend(model, augmented, ["a"], k=10)
    assert found["item"].to_pylist() == ["q", "r", "s"]  # s is only guessed, so it may be recommended; new never
    assert found["rank"].to_pylist() == [1, 2, 3]
    assert recommend(model, augmented, ["g"], k=2)["item"].to_pylist() == ["p", "q"]  # a made-up user has no history


def test_recommend_choices(case):
    model = Fixed({"p": 4.0, "r": 2.0, "s": 1.0}).fit(case.train)
    assert recommend(model, case.train, ["a"], k=9, exclude_observed=False)["item"].to_pylist() == ["p", "r", "s"]
    assert recommend(model, case.train, ["a"], candidates=["s", "q"])["item"].to_pylist() == ["s"]
    assert recommend(model, case.train, [], k=3).num_rows == 0
    with pytest.raises(ValueError, match="'nobody'"):
        recommend(model, case.train, ["nobody"])
    with pytest.raises(ValueError, match="at least 1"):
        recommend(model, case.train, ["a"], k=0)


def test_integer_ids_come_back_as_integers():
    hin = HIN.from_tables({"user": {"id": [7, 8]}, "item": {"id": [1, 2]}}, {RATES: {"src": [7, 8], "dst": [1, 2]}})
    found = recommend(Popularity(RATES).fit(hin), hin, [8])
    assert found.to_pydict() == {"user": [8], "item": [1], "score": [1.0], "rank": [1]}


# ---- comparing -------------------------------------------------------------------------------------------------------


def result(values, users=None, labels=None):
    users = pa.array(users or [f"u{i}" for i in range(len(values))])
    labels = np.array(labels) if labels is not None else np.array(["x"] * len(values))
    return Result("m", "test", users, {"NDCG@20": np.array(values, float)}, {}, {"part": labels})


def test_compare_is_a_paired_t_test_over_users():
    rng = np.random.default_rng(0)
    a, b = rng.random(40), rng.random(40)
    labels = rng.choice(["x", "y", "z"], 40)
    found = compare(result(a, labels=labels), result(b, labels=labels))
    assert found.p == pytest.approx(stats.ttest_rel(b, a).pvalue)
    assert found.difference == pytest.approx((b - a).mean())
    interval = stats.ttest_rel(b, a).confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert (found.wins, found.losses) == ((b > a).sum(), (b < a).sum())
    parts = found.slices["part"].values()
    assert sum(p["users"] for p in parts) == 40
    assert sum(p["users"] * p["difference"] for p in parts) / 40 == pytest.approx(found.difference)


def test_seeds_are_averaged_per_user_first():
    a = [result([0.0, 0.0]), result([0.0, 0.0])]
    b = [result([1.0, 0.0]), result([0.0, 1.0])]
    found = compare(a, b)
    assert (found.users, found.seeds, found.difference) == (2, 2, 0.5)
    assert (found.low, found.high) == (0.5, 0.5)  # both users gain one half


def test_no_difference_is_said_plainly():
    found = compare(result([0.1, 0.2, 0.3]), result([0.1, 0.2, 0.3]))
    assert found.p == 1
    assert "no difference" in found.verdict()


def test_compare_refuses_unlike_users():
    with pytest.raises(ValueError, match="unlike users"):
        compare(result([1, 2]), result([1, 2], users=["u0", "other"]))
    with pytest.raises(ValueError, match="one of each per seed"):
        compare([result([1, 2])], [])
    with pytest.raises(ValueError, match="did you mean 'NDCG@20'"):
        compare(result([1, 2]), result([1, 2]), "NDCG@2")


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    assert holm({"a": 0.5, "b": 0.6}) == {"a": 1.0, "b": 1.0}


@pytest.mark.parametrize(("shuffle", "gains"), [(False, True), (True, False)])
def test_the_planted_signal_is_found_and_vanishes_when_shuffled(shuffle, gains):
    split = random_split(planted(rng=0, shuffle=shuffle), RATES, evidence=["review"], rng=0)
    results = []
    for model in (Popularity(RATES), EASE(RATES, l2=30.0)):
        model.fit(split.train, valid=split.valid).refit(split.train_valid)
        results.append(hinaug.evaluate(model, split.train_valid, split, on="test"))
    found = compare(*results)
    assert (found.p < 1e-4 and found.relative > 0.5) == gains
    assert gains or found.difference < 0.02
