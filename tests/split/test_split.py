"""The splitters by hand: what is held out, what leaves with it, what stays where it was."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raising import raises

from hinaug.datasets import planted
from hinaug.datasets.planted import ABOUT, RATES, WROTE
from hinaug.errors import SchemaError, UnknownNameError
from hinaug.graph.hin import HIN
from hinaug.predictors import Popularity
from hinaug.split.audit import audit
from hinaug.split.cold import cold_items, cold_users
from hinaug.split.last import leave_last
from hinaug.split.random import random_split
from hinaug.split.temporal import temporal_split
from hinaug.split.thin import thin


def graph(rows, **more):
    """rows: (user, item, time); more: {edge name: rows} between users and items."""
    rows = list(rows)
    users = {u: None for r in (rows, *more.values()) for u, *_ in r}
    items = {i: None for r in (rows, *more.values()) for _, i, *_ in r}
    edges = {
        RATES: {
            "src": [r[0] for r in rows],
            "dst": [r[1] for r in rows],
            "time": [r[2] for r in rows],
        }
    }
    for name, other in more.items():
        edges["user", name, "item"] = {"src": [r[0] for r in other], "dst": [r[1] for r in other]}
    return HIN.from_tables(
        {"user": {"id": list(users)}, "item": {"id": list(items)}}, edges, lineage="row"
    )


def pairs(hin, type=RATES):
    a, b = (hin.ids(t).to_pylist() for t in (type[0], type[2]))
    return [(a[s], b[d]) for s, d in zip(*hin.links(type), strict=True)]


def table(t):
    return list(zip(t["src"].to_pylist(), t["dst"].to_pylist(), strict=True))


A, B = "ann", "bob"
FIVE = [(A, "v", 1), (A, "w", 2), (A, "x", 3), (A, "y", 4), (A, "z", 5), (B, "v", 9), (B, "w", 7)]


# ---- each splitter by hand -----------------------------------------------------------------------


def test_leave_last():
    split = leave_last(graph(FIVE), RATES)
    assert table(split.test) == [(A, "z"), (B, "v")]
    assert table(split.valid) == [(A, "y")]  # bob keeps one for train
    assert pairs(split.train) == [(A, "v"), (A, "w"), (A, "x"), (B, "w")]
    assert pairs(split.train_valid) == [*pairs(split.train)[:3], (A, "y"), (B, "w")]
    assert split.test["time"].to_pylist() == [5, 9]
    assert repr(split) == "Split(leave_last: 4 train, 1 valid, 2 test of ('user', 'rates', 'item'))"


def test_leave_last_counts_and_min_train():
    split = leave_last(graph(FIVE), RATES, valid=2, test=2, min_train=2)
    assert table(split.test) == [(A, "y"), (A, "z")]
    assert table(split.valid) == [(A, "x")]
    assert (B, "v") in pairs(split.train)


def test_ties_in_time_are_broken_by_row_order_and_counted():
    split = leave_last(graph([(A, "x", 1), (A, "y", 1), (A, "z", 1)]), RATES)
    assert (table(split.valid), table(split.test)) == ([(A, "y")], [(A, "z")])
    assert split.how["ties"] == 2
    assert leave_last(graph(FIVE), RATES).how["ties"] == 0


def test_a_pair_happens_when_it_is_first_seen_and_all_its_rows_go_together():
    rows = [(A, "x", 1), (A, "y", 2), (A, "z", 3), (A, "x", 9), (A, "z", 10)]
    split = leave_last(graph(rows), RATES)
    assert table(split.test) == [(A, "z")]
    assert split.test["time"].to_pylist() == [3]
    assert table(split.valid) == [(A, "y")]
    assert pairs(split.train) == [(A, "x")]  # its second row is later than what is held out
    assert pairs(random_split(graph(rows), RATES, valid=0, test=2, rng=0).train).count(
        (A, "x")
    ) in (0, 2)


def test_temporal_split_by_hand():
    rows = [
        (A, "v", 1),
        (A, "w", 2),
        (B, "v", 3),
        (B, "w", 4),
        (A, "x", 5),
        (B, "x", 6),
        (A, "y", 7),
        (B, "y", 8),
    ]
    split = temporal_split(graph(rows), RATES, valid=0.25, test=0.25)
    assert split.how["cuts"] == [4, 6]
    assert (table(split.valid), table(split.test)) == ([(A, "x"), (B, "x")], [(A, "y"), (B, "y")])
    assert pairs(split.train) == [(u, i) for u, i, t in rows if t <= 4]
    by_hand = temporal_split(graph(rows), RATES, cuts=(2, 2))
    assert by_hand.valid.num_rows == 0
    assert by_hand.how["ties"] == 2
    with raises(ValueError, asked=(5, 2)):
        temporal_split(graph(rows), RATES, cuts=(5, 2))


def test_temporal_split_reads_time_stamps():
    hin = graph(FIVE).with_column(
        RATES, "when", pa.array([r[2] * 1_000_000 for r in FIVE], pa.timestamp("us")), "row"
    )
    assert table(temporal_split(hin, RATES, time="when", cuts=(3, 5)).test) == [(B, "v"), (B, "w")]
    with raises(SchemaError, names="time"):
        temporal_split(hin.with_column(RATES, "t", ["a"] * 7), RATES, time="t")


def test_times_that_are_missing_are_an_error_that_names_the_rows():
    hin = graph([(A, "x", 1), (A, "y", None), (B, "x", 2)])
    for make in (leave_last, temporal_split):
        with raises(SchemaError, asked="time"):
            make(hin, RATES)


def test_random_split_holds_out_shares_without_bias_and_leaves_min_train():
    hin = graph([(f"u{k}", f"i{j}", 0) for k in range(300) for j in range(5)])
    split = random_split(hin, RATES, valid=0.1, test=0.3, rng=0)
    assert abs(split.test.num_rows / 1500 - 0.3) < 0.03
    assert abs(split.valid.num_rows / 1500 - 0.1) < 0.03
    split = random_split(hin, RATES, valid=2, test=9, min_train=2, rng=0)
    assert np.bincount(split.train.links(RATES)[0]).tolist() == [2] * 300
    assert split.test.num_rows == 900
    assert split.valid.num_rows == 0
    for bad in (1.5, -1, -0.1):
        with raises(ValueError, asked=bad):
            random_split(hin, RATES, test=bad)


def parallel_world(n_rows=3000, n_users=60, n_items=90):
    """Rows in random order, many of them parallel; times tie often."""
    rng = np.random.default_rng(7)
    src, dst = rng.integers(0, n_users, n_rows), rng.integers(0, n_items, n_rows)
    nodes = {
        "user": {"id": [f"u{i}" for i in range(n_users)]},
        "item": {"id": [f"i{i}" for i in range(n_items)]},
    }
    return HIN(nodes, {RATES: {"src": src, "dst": dst, "time": rng.integers(0, 30, n_rows)}})


def held_out_rows(hin, parts, first_row):
    """(rows of train, first rows of valid, first rows of test) for a dict {pair: part}."""
    links = list(zip(*(end.tolist() for end in hin.links(RATES)), strict=True))
    train = [row for row, pair in enumerate(links) if parts[pair] == "train"]
    valid, test = (
        sorted(first_row[pair] for pair, part in parts.items() if part == name)
        for name in ("valid", "test")
    )
    return train, valid, test


def naive_random_split(hin, valid, test, seed):
    """A loop over users, in the order of draws that random_split has: pairs, valid, test."""
    rng = np.random.default_rng(seed)
    links = list(zip(*(end.tolist() for end in hin.links(RATES)), strict=True))
    first_row = {pair: row for row, pair in reversed(list(enumerate(links)))}
    draws = dict(zip(sorted(first_row), rng.random(len(first_row)), strict=True))
    users = sorted({user for user, _ in draws})
    of = {u: sorted((p for p in draws if p[0] == u), key=draws.__getitem__) for u in users}
    wanted = [
        dict(zip(users, rng.random(len(users)), strict=True)) for _ in range(2)
    ]  # what rounds valid, then test
    parts = {}
    for user in users:
        n, spare = len(of[user]), len(of[user]) - 1
        n_test = min(int(np.floor(n * test + wanted[1][user])), spare)
        n_valid = min(int(np.floor(n * valid + wanted[0][user])), spare - n_test)
        for place, pair in enumerate(reversed(of[user])):
            parts[pair] = (
                "test" if place < n_test else "valid" if place < n_test + n_valid else "train"
            )
    return held_out_rows(hin, parts, first_row)


def naive_leave_last(hin, valid, test):
    links = list(zip(*(end.tolist() for end in hin.links(RATES)), strict=True))
    times = hin.column(RATES, "time").to_pylist()
    first_row = {}
    for row, pair in enumerate(links):
        if pair not in first_row or times[row] < times[first_row[pair]]:
            first_row[pair] = row
    parts = {}
    for user in {user for user, _ in links}:
        mine = sorted(
            (pair for pair in first_row if pair[0] == user),
            key=lambda pair: (times[first_row[pair]], first_row[pair]),
        )
        for place, pair in enumerate(reversed(mine[1:])):
            parts[pair] = "test" if place < test else "valid" if place < test + valid else "train"
        parts[mine[0]] = "train"
    return held_out_rows(hin, parts, first_row)


@pytest.mark.parametrize("how", ["random", "last"])
def test_splits_against_a_loop_over_users(how):
    hin = parallel_world()
    if how == "random":
        split = random_split(hin, RATES, valid=0.2, test=0.25, rng=3)
        train, valid, test = naive_random_split(hin, 0.2, 0.25, 3)
    else:
        split = leave_last(hin, RATES, valid=2, test=3)
        train, valid, test = naive_leave_last(hin, 2, 3)
    edges, ids = hin.edges[RATES], {t: hin.ids(t).to_pylist() for t in ("user", "item")}
    for part, rows in ((split.valid, valid), (split.test, test)):
        expected = edges.take(rows)
        named = [
            (ids["user"][s], ids["item"][d])
            for s, d in zip(*(expected[c].to_pylist() for c in ("src", "dst")), strict=True)
        ]
        assert table(part) == named
        assert part["time"].equals(expected["time"])
    if how == "random":
        assert split.train.edges[RATES].equals(edges.take(train))
    else:  # later rows of a user's train pairs leave as well
        assert set(pairs(split.train)) == {
            (ids["user"][s], ids["item"][d])
            for s, d in zip(
                *(edges.take(train)[c].to_pylist() for c in ("src", "dst")), strict=True
            )
        }


def test_cold_items_beside_warm_ones():
    hin = planted(60, 40, 4, dim=0, rng=2)
    split = cold_items(hin, RATES, evidence=["review"], valid=0.1, test=0.2, warm=0.25, rng=0)
    alone = cold_items(hin, RATES, evidence=["review"], valid=0.1, test=0.2, rng=0)
    new = {part: {item for _, item in table(getattr(alone, part))} for part in ("valid", "test")}
    for part in ("valid", "test"):
        held = table(getattr(split, part))
        assert {pair for pair in held if pair[1] in new[part]} == set(table(getattr(alone, part)))
        assert not {item for _, item in held} & new["test" if part == "valid" else "valid"]
    warm = {part: table(getattr(split, part)) for part in ("valid", "test")}
    warm = {part: [p for p in held if p[1] not in new[part]] for part, held in warm.items()}
    n_warm = len(pairs(alone.train))
    assert len(warm["valid"]) == pytest.approx(n_warm / 4, rel=0.15)
    assert len(warm["test"]) == pytest.approx(n_warm / 4, rel=0.15)
    users = {user for user, _ in pairs(alone.train)}
    assert {user for user, _ in pairs(split.train)} == users  # each keeps one
    assert audit(split).leaks == []
    with raises(ValueError, names="0.5"):
        cold_items(hin, RATES, evidence=["review"], warm=0.5, rng=0)


@pytest.mark.parametrize("make", [cold_users, cold_items])
def test_cold_nodes_lose_all_but_the_known(make):
    hin = graph([(f"u{k}", f"i{j}", 0) for k in range(20) for j in range(10)])
    side = 1 if make is cold_items else 0
    split = make(hin, RATES, valid=0.1, test=0.2, known=2, rng=0)
    test, valid = ({p[side] for p in table(t)} for t in (split.test, split.valid))
    n = 10 if side else 20
    assert (len(test), len(valid)) == (round(0.2 * n), round(0.1 * n))
    assert not test & valid
    count = {x: [p[side] for p in pairs(split.train)].count(x) for x in test | valid}
    assert set(count.values()) == {2}
    split = make(hin, RATES, valid=0.1, test=0.2, rng=0)
    assert not {p[side] for p in table(split.test)} & {p[side] for p in pairs(split.train)}
    with raises(ValueError, names="valid"):
        make(hin, RATES, valid=0.5, test=0.5)


def test_the_same_rng_the_same_split_and_another_another():
    hin = graph([(f"u{k}", f"i{j}", 0) for k in range(20) for j in range(6)])
    for make in (random_split, cold_users, cold_items):
        one, same, other = (make(hin, RATES, rng=r) for r in (1, 1, 2))
        assert one.test.equals(same.test)
        assert one.train.fingerprint() == same.train.fingerprint() != other.train.fingerprint()


# ---- what leaves with a pair ---------------------------------------------------------------------


def test_twins_and_reverses_leave_unless_kept():
    rows = [(A, "x", 1), (A, "y", 2), (A, "z", 3), (B, "x", 1), (B, "y", 2), (B, "z", 3)]
    hin = graph(rows, buys=[(A, "z"), (A, "x"), (B, "q")])
    hin = hin.with_edges(
        ("item", "sold to", "user"), {"src": ["z", "y", "x"], "dst": [A, A, A]}, "row"
    )
    hin = hin.with_edges(("user", "knows", "user"), {"src": [A], "dst": [B]}, "row")
    split = leave_last(hin, RATES)
    assert pairs(split.train, ("user", "buys", "item")) == [(A, "x"), (B, "q")]
    assert pairs(split.train, ("item", "sold to", "user")) == [("x", A)]
    assert pairs(split.train_valid, ("item", "sold to", "user")) == [("y", A), ("x", A)]
    assert pairs(split.train, ("user", "knows", "user")) == [(A, B)]
    kept = leave_last(hin, RATES, keep=[("user", "buys", "item")])
    assert (A, "z") in pairs(kept.train, ("user", "buys", "item"))
    assert kept.how["keep"] == [["user", "buys", "item"]]
    with pytest.raises(UnknownNameError):
        leave_last(hin, RATES, keep=[("user", "buy", "item")])


def shop(orders):
    """orders: {order: (user, items)}; each item of an order is a line."""
    rows = list(dict.fromkeys((u, i) for u, items in orders.values() for i in items))
    lines = [(f"{o}:{i}", o, i) for o, (_, items) in orders.items() for i in items]
    ends = [list(dict.fromkeys(r[k] for r in rows)) for k in (0, 1)]
    nodes = {
        "user": ends[0],
        "item": ends[1],
        "order": list(orders),
        "line": [line for line, _, _ in lines],
    }
    edges = {
        RATES: rows,
        ("user", "placed", "order"): [(u, o) for o, (u, _) in orders.items()],
        ("line", "of", "order"): [(line, o) for line, o, _ in lines],
        ("line", "names", "item"): [(line, i) for line, _, i in lines],
    }
    return HIN.from_tables(
        {t: {"id": n} for t, n in nodes.items()},
        {
            t: {"src": [r[0] for r in rows], "dst": [r[1] for r in rows]}
            for t, rows in edges.items()
        },
        lineage="row",
    )


def test_evidence_over_a_chain_of_orders_and_lines():
    hin = shop({"o1": (A, "xy"), "o2": (A, "z"), "o3": (B, "xz"), "o4": (B, "x")})
    split = random_split(hin, RATES, evidence=["order", "line"], valid=0, test=1, rng=3)
    out = table(split.test)
    assert len(out) == 2
    for line in split.train.ids("line").to_pylist():
        order, item = line.split(":")
        user = A if order in ("o1", "o2") else B
        assert (user, item) not in out
    names = {"o1": (A, "xy"), "o2": (A, "z"), "o3": (B, "xz"), "o4": (B, "x")}
    for order, (
        user,
        items,
    ) in names.items():  # an order goes when all its pairs are held out, and stays otherwise
        left = [i for i in items if (user, i) not in out]
        assert (order in split.train.ids("order").to_pylist()) == bool(left), (order, out)
    assert audit(split).clean
    assert split.evidence == ("order", "line")
    assert random_split(hin, RATES, evidence="line", rng=3).evidence == ("line",)


def test_a_shared_witness_leaves_when_it_still_joins_a_held_out_pair():
    hin = HIN.from_tables(
        {"user": {"id": [A, B]}, "item": {"id": ["x", "y", "z"]}, "party": {"id": ["p", "q"]}},
        {
            RATES: {"src": [A, A, B, B], "dst": ["x", "y", "x", "z"], "time": [1, 2, 1, 2]},
            ("user", "at", "party"): {"src": [A, B, A, B], "dst": ["p", "p", "q", "q"]},
            ("party", "served", "item"): {"src": ["p", "q"], "dst": ["x", "y"]},
        },
        lineage="row",
    )
    split = leave_last(hin, RATES, evidence=["party"], valid=0)
    assert table(split.test) == [(A, "y"), (B, "z")]
    assert split.train.ids("party").to_pylist() == ["p"]


def test_evidence_must_lie_between_the_ends():
    with raises(ValueError, asked="user"):
        leave_last(graph(FIVE), RATES, evidence=["user"])
    with pytest.raises(UnknownNameError):
        leave_last(graph(FIVE), RATES, evidence=["reviews"])


def test_the_reverse_of_a_pair_among_users_leaves_and_is_counted():
    follows = ("user", "follows", "user")
    rows = [("a", "b"), ("b", "a"), ("a", "c"), ("c", "b"), ("b", "d"), ("d", "a")]
    hin = HIN.from_tables(
        {"user": {"id": list("abcd")}},
        {follows: {"src": [r[0] for r in rows], "dst": [r[1] for r in rows]}},
        lineage="row",
    )
    for seed in range(6):
        split = random_split(hin, follows, valid=0, test=1, rng=seed)
        out = table(split.test)
        assert all((b, a) not in pairs(split.train, follows) for a, b in out)
        assert split.how["reversed"] == sum((b, a) in rows and (b, a) not in out for a, b in out)
        assert audit(split).clean


# ---- what holds for all --------------------------------------------------------------------------

MAKES = {
    "random": lambda h, r: random_split(h, RATES, evidence=["note"], valid=0.2, test=0.3, rng=r),
    "last": lambda h, r: leave_last(h, RATES, evidence=["note"]),
    "temporal": lambda h, r: temporal_split(h, RATES, evidence=["note"], valid=0.2, test=0.2),
    "users": lambda h, r: cold_users(
        h, RATES, evidence=["note"], valid=0.2, test=0.3, known=1, rng=r
    ),
    "items": lambda h, r: cold_items(h, RATES, evidence=["note"], valid=0.2, test=0.3, rng=r),
}


@st.composite
def graphs(draw):
    n = draw(st.integers(1, 25))
    rows = [
        (draw(st.integers(0, 4)), draw(st.integers(0, 5)), draw(st.integers(0, 9)))
        for _ in range(n)
    ]
    notes = [f"n{k}" for k in range(n)]
    users, items = [f"u{k}" for k in range(5)], [f"i{k}" for k in range(6)]
    edges = {
        RATES: {
            "src": [users[r[0]] for r in rows],
            "dst": [items[r[1]] for r in rows],
            "time": [r[2] for r in rows],
        },
        ("user", "wrote", "note"): {"src": [users[r[0]] for r in rows], "dst": notes},
        ("note", "on", "item"): {"src": notes, "dst": [items[r[1]] for r in rows]},
        ("user", "saw", "item"): {
            "src": users,
            "dst": items[:5],
            "time": [draw(st.integers(0, 9)) for _ in users],
        },
    }
    nodes = {
        "user": {"id": users},
        "item": {"id": items},
        "note": {"id": notes, "time": [r[2] for r in rows]},
    }
    return HIN.from_tables(nodes, edges, lineage="row")


@pytest.mark.parametrize("name", MAKES)
@settings(max_examples=25, deadline=None)
@given(hin=graphs(), seed=st.integers(0, 3))
def test_the_parts_are_the_source_and_nothing_leaks(name, hin, seed):
    split = MAKES[name](hin, seed)
    train, both = set(pairs(split.train)), set(pairs(split.train_valid))
    valid, test = set(table(split.valid)), set(table(split.test))
    assert train | valid | test == set(pairs(hin))
    assert len(train) + len(valid) + len(test) == len(set(pairs(hin)))
    assert train <= both <= set(pairs(hin))
    assert both == train | valid
    for part in (split.train, split.train_valid):
        assert part.ids("user").equals(hin.ids("user"))
        assert part.ids("item").equals(hin.ids("item"))
    if name == "temporal":
        for part, cut in zip((split.train, split.train_valid), split.how["cuts"], strict=True):
            for type in (RATES, ("user", "saw", "item"), "note"):
                assert max(part.column(type, "time").to_pylist(), default=0) <= cut
    leaks = [
        f for f in audit(split).leaks if f.kind not in ("aggregate", "derived edges")
    ]  # five users agree by chance
    assert not leaks, leaks


@pytest.mark.parametrize("name", MAKES)
@settings(max_examples=15, deadline=None)
@given(hin=graphs(), seed=st.integers(0, 3))
def test_thin_keeps_the_test_and_takes_evidence_along(name, hin, seed):
    split = MAKES[name](hin, seed)
    sparse = thin(split, 0.5, rng=seed)
    assert sparse.test.equals(split.test)
    assert sparse.valid.equals(split.valid)
    assert set(pairs(sparse.train)) <= set(pairs(split.train))
    assert {u for u, _ in pairs(sparse.train)} == {u for u, _ in pairs(split.train)}
    noted = {
        (u, i)
        for (u, n) in pairs(sparse.train, ("user", "wrote", "note"))
        for (m, i) in pairs(sparse.train, ("note", "on", "item"))
        if m == n
    }
    assert noted <= set(pairs(sparse.train))
    assert set(pairs(sparse.train)) <= set(pairs(sparse.train_valid))
    same = thin(split, 1.0, rng=seed)
    assert sorted(pairs(same.train)) == sorted(pairs(split.train))


def test_thin_shares_and_errors():
    hin = graph([(f"u{k}", f"i{j}", j) for k in range(100) for j in range(12)])
    split = leave_last(hin, RATES)
    sparse = thin(split, 0.3, rng=0)
    assert abs(len(pairs(sparse.train)) / 1000 - 0.3) < 0.03
    assert abs(len(pairs(sparse.train_valid)) - len(pairs(sparse.train)) - 30) < 20
    assert sparse.how["thin"] == 0.3
    for bad in (0, 1.5):
        with raises(ValueError, names="share"):
            thin(split, bad)


def test_late_items_keep_their_ids_alone():
    hin = graph([(A, "x", 1), (A, "y", 2), (B, "x", 3), (B, "y", 4), (A, "z", 5)])
    hin = hin.with_column("item", "time", [0, 1, 5], "row").with_column(
        "item", "name", ["X", "Y", "Z"], "row"
    )
    split = temporal_split(hin, RATES, cuts=(3, 4))
    assert split.train.nodes["item"]["id"].to_pylist() == ["x", "y", "z"]
    assert split.train.nodes["item"]["name"].to_pylist() == ["X", "Y", None]
    assert split.train.nodes["item"]["time"].to_pylist() == [0, 1, None]


def test_a_review_left_behind_gives_every_held_out_pair_away():
    """What a splitter that knows only edge types leaves: counting paths over reviews is then a
    perfect recommender.
    """
    hin = planted(120, 150, 4, dim=0, rng=0)
    recall = {}
    for evidence in ((), ("review",)):
        split = random_split(hin, RATES, evidence=evidence, valid=0, test=0.2, rng=0)
        train = split.train
        paths = (train.adjacency(WROTE) @ train.adjacency(ABOUT)).toarray()
        paths[train.adjacency(RATES).toarray() > 0] = -1
        paths = paths + np.random.default_rng(0).random(paths.shape) / 2  # ties at random
        users, items = (
            train.positions("user", split.test["src"]),
            train.positions("item", split.test["dst"]),
        )
        best = np.argsort(-paths, axis=1)[:, :10]
        hit = (best[users] == items[:, None]).any(axis=1)
        recall[evidence] = np.mean([hit[users == u].mean() for u in np.unique(users)])
    assert recall[()] == 1.0
    assert recall["review",] < 0.15  # chance is 10 of about 143


def test_the_train_graph_can_be_fitted_on():
    split = random_split(planted(30, 20, 2, rng=0), RATES, evidence=["review"], rng=0)
    model = Popularity(RATES).fit(split.train, valid=split.valid, rng=0)
    assert model.score(split.train, [0]).shape == (1, 20)
