"""Splitters by hand, and the properties that every split keeps."""

import numpy as np
import pytest

import hinaug
from hinaug.datasets import planted
from hinaug.hin import HIN
from hinaug.split import cold_items, cold_users, leave_last, random_split, temporal_split, thin, without_pairs
from hinaug.tables import SchemaError

RATES, BUYS, BACK = ("user", "rates", "item"), ("user", "buys", "item"), ("item", "rated by", "user")
WROTE, ABOUT = ("user", "wrote", "review"), ("review", "about", "item")


def pairs(graph, edge=RATES):
    src, dst = graph.links(edge)
    left, right = graph.ids(edge[0]).to_pylist(), graph.ids(edge[2]).to_pylist()
    return sorted((left[s], right[d]) for s, d in zip(src, dst, strict=True))


def table(rows):
    return sorted(zip(rows["src"].to_pylist(), rows["dst"].to_pylist(), strict=True))


@pytest.fixture
def timed():
    """a: p 1, q 2, r 3; b: p 5, q 5, r 4, p again 9; c: q 6."""
    rows = [
        ("a", "p", 1),
        ("a", "q", 2),
        ("a", "r", 3),
        ("b", "p", 5),
        ("b", "q", 5),
        ("b", "r", 4),
        ("b", "p", 9),
        ("c", "q", 6),
    ]
    src, dst, time = (list(c) for c in zip(*rows, strict=True))
    return HIN.from_tables(
        {"user": {"id": ["a", "b", "c"]}, "item": {"id": ["p", "q", "r"]}},
        {RATES: {"src": src, "dst": dst, "time": time}},
    )


def test_leave_last_by_hand(timed):
    split = leave_last(timed, RATES)
    assert table(split.test) == [("a", "r"), ("b", "q")]  # b: p and q tie at 5, the later row counts as later
    assert table(split.valid) == [("a", "q"), ("b", "p")]
    assert pairs(split.train) == [("a", "p"), ("b", "r"), ("c", "q")]
    assert pairs(split.train_valid) == sorted([*pairs(split.train), ("a", "q"), ("b", "p")])  # not the later repeat
    assert split.how["ties"] == 1
    assert split.test["time"].to_pylist() == [3, 5]


def test_temporal_by_hand(timed):
    split = temporal_split(timed, RATES, cuts=(3, 5))
    assert pairs(split.train) == [("a", "p"), ("a", "q"), ("a", "r")]
    assert table(split.valid) == [("b", "p"), ("b", "q"), ("b", "r")]
    assert table(split.test) == [("c", "q")]
    assert pairs(split.train_valid) == [
        ("a", "p"),
        ("a", "q"),
        ("a", "r"),
        ("b", "p"),
        ("b", "q"),
        ("b", "r"),
    ]  # not the 9
    assert split.how["ties"] == 3
    by_share = temporal_split(timed, RATES, valid=2 / 7, test=1 / 7)
    assert by_share.how["cuts"] == [4, 5]


def test_temporal_cuts_every_table():
    hin = planted(rng=0).with_edges(("user", "knows", "user"), {"src": ["u000"], "dst": ["u001"], "time": [10**12]})
    split = temporal_split(hin, RATES, evidence=["review"])
    for graph, cut in zip((split.train, split.train_valid), split.how["cuts"], strict=True):
        assert max(graph.edges[RATES]["time"].to_pylist()) <= cut
        assert max(graph.nodes["review"]["time"].to_pylist()) <= cut
        assert graph.n(("user", "knows", "user")) == 0


def test_times_that_are_missing_are_an_error(timed):
    with pytest.raises(SchemaError, match="null in 1 rows"):
        leave_last(timed.with_column(RATES, "time", [1, 2, 3, 4, 5, 6, 7, None]), RATES)
    with pytest.raises(SchemaError, match="no column 'when'"):
        leave_last(timed, RATES, time="when")


def test_random_split_counts_and_min_train():
    hin = planted(rng=0)
    split = random_split(hin, RATES, evidence=["review"], valid=1, test=2, min_train=2, rng=0)
    degree = np.diff(hin.adjacency(RATES).indptr)
    left = np.diff(split.train.adjacency(RATES).indptr)
    assert (left >= np.minimum(degree, 2)).all()
    assert (degree - left <= 3).all()
    assert (left[degree >= 5] == degree[degree >= 5] - 3).all()


def test_random_shares_are_unbiased():
    hin = planted(rng=0)
    shares = [random_split(hin, RATES, valid=0.1, test=0.1, rng=s).test.num_rows / hin.n(RATES) for s in range(20)]
    assert np.mean(shares) == pytest.approx(0.1, abs=0.006)


ALL = {
    "random": lambda h: random_split(h, RATES, evidence=["review"], rng=3),
    "leave_last": lambda h: leave_last(h, RATES, evidence=["review"]),
    "temporal": lambda h: temporal_split(h, RATES, evidence=["review"]),
    "cold_users": lambda h: cold_users(h, RATES, evidence=["review"], rng=3),
    "cold_items": lambda h: cold_items(h, RATES, evidence=["review"], rng=3),
    "thin": lambda h: thin(random_split(h, RATES, evidence=["review"], rng=3), 0.2, rng=3),
}


@pytest.mark.parametrize("name", ALL)
def test_what_every_split_keeps(name):
    hin = planted(rng=1)
    split, again = ALL[name](hin), ALL[name](hin)
    assert split.train == again.train
    assert split.test.equals(again.test)
    train, both, source = set(pairs(split.train)), set(pairs(split.train_valid)), set(pairs(hin))
    valid, test = set(table(split.valid)), set(table(split.test))
    assert not valid & test
    assert valid
    assert test
    assert train < both < source
    assert not train & (valid | test)
    assert not both & test
    if name != "thin":
        assert both == train | valid
        assert source == both | test
    for graph in (split.train, split.train_valid):
        assert graph.ids("user").equals(hin.ids("user"))
        assert graph.ids("item").equals(hin.ids("item"))
        reviewed = (graph.adjacency(WROTE) @ graph.adjacency(ABOUT)).nnz
        assert (
            reviewed == graph.adjacency(RATES).nnz == graph.n("review")
        )  # a review for each pair that is left, no other
    assert hinaug.audit(split).leaks == []


def test_cold_users_and_items_lose_everything_but_the_known():
    hin = planted(rng=0)
    for split, axis in ((cold_users(hin, RATES, rng=0, known=1), 0), (cold_items(hin, RATES, rng=0, known=1), 1)):
        held = {p[axis] for p in table(split.test)}
        left = [p[axis] for p in pairs(split.train)]
        assert all(left.count(h) == 1 for h in held)


def test_thin_keeps_the_test_and_a_fifth_of_the_rest():
    full = random_split(planted(rng=0), RATES, evidence=["review"], rng=0)
    split = thin(full, 0.2, rng=0)
    assert split.test.equals(full.test)
    assert split.valid.equals(full.valid)
    before, after = (np.diff(s.train.adjacency(RATES).indptr) for s in (full, split))
    assert (np.abs(after - np.maximum(0.2 * before, 1)) <= 1).all()
    assert split.train_valid.n(RATES) - split.train.n(RATES) < 0.4 * full.valid.num_rows


def test_twins_and_reverses_leave_unless_kept():
    hin = planted(rng=0)
    src, dst = (
        hin.ids(n).take(i).to_pylist() for n, i in zip(("user", "item"), map(list, hin.links(RATES)), strict=True)
    )
    hin = hin.with_edges(BUYS, {"src": src, "dst": dst}).with_edges(BACK, {"src": dst, "dst": src})
    split = random_split(hin, RATES, evidence=["review"], rng=0)
    assert pairs(split.train, BUYS) == pairs(split.train)
    assert sorted((u, i) for i, u in pairs(split.train, BACK)) == pairs(split.train)
    assert split.train.n(("review", "about", "item")) == split.train.n(RATES)
    kept = random_split(hin, RATES, evidence=["review"], keep=[BUYS], rng=0)
    assert kept.train.n(BUYS) == hin.n(BUYS)
    assert {f.kind for f in hinaug.audit(kept).leaks} == {"twin"}


def test_evidence_over_two_nodes():
    """An order with two lines: the line of the held-out pair goes, the order and its other line stay."""
    placed, has, of = ("user", "placed", "order"), ("order", "has", "line"), ("line", "of", "item")
    hin = HIN.from_tables(
        {"user": {"id": ["a"]}, "item": {"id": ["p", "q"]}, "order": {"id": ["o"]}, "line": {"id": ["1", "2"]}},
        {
            RATES: {"src": ["a", "a"], "dst": ["p", "q"]},
            placed: {"src": ["a"], "dst": ["o"]},
            has: {"src": ["o", "o"], "dst": ["1", "2"]},
            of: {"src": ["1", "2"], "dst": ["p", "q"]},
        },
    )
    left = without_pairs(hin, RATES, np.array([0]), np.array([1]), ["order", "line"])
    assert left.ids("line").to_pylist() == ["1"]
    assert left.ids("order").to_pylist() == ["o"]


def test_a_relation_from_a_type_to_itself_loses_both_directions():
    knows = ("user", "knows", "user")
    hin = HIN.from_tables({"user": {"id": ["a", "b", "c"]}}, {knows: {"src": ["a", "b", "b"], "dst": ["b", "a", "c"]}})
    left = without_pairs(hin, knows, np.array([0]), np.array([1]))
    assert pairs(left, knows) == [("b", "c")]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda h: random_split(h, ("user", "rate", "item")), "did you mean"),
        (lambda h: random_split(h, RATES, evidence=["reviews"]), "did you mean 'review'"),
        (lambda h: random_split(h, RATES, evidence=["item"]), "is an end of"),
        (lambda h: random_split(h, RATES, test=1.5), "a share in"),
        (lambda h: temporal_split(h, RATES, valid=0.6, test=0.6), "leave something to train on"),
        (lambda h: temporal_split(h, RATES, cuts=(5, 3)), "the first comes before the second"),
        (lambda h: thin(random_split(h, RATES, rng=0), 0), "a number in"),
    ],
)
def test_bad_input_is_one_clear_error(make, words):
    with pytest.raises(ValueError, match=words):
        make(planted(rng=0))


def test_why_evidence_matters():
    """Hiding the rating alone leaves its review: counting paths then finds every held-out item, and none by skill."""

    def recall_by_paths(split):
        graph = split.train
        paths = (graph.adjacency(WROTE) @ graph.adjacency(ABOUT)).toarray() - 2 * graph.adjacency(RATES).toarray()
        users, items = graph.positions("user", split.test["src"]), graph.positions("item", split.test["dst"])
        return np.mean([i in np.argsort(-paths[u], kind="stable")[:10] for u, i in zip(users, items, strict=True)])

    hin = planted(rng=0)
    assert recall_by_paths(random_split(hin, RATES, rng=0)) == 1.0
    assert (
        recall_by_paths(random_split(hin, RATES, evidence=["review"], rng=0)) < 0.2
    )  # 10 of 120 items by chance: 0.08
