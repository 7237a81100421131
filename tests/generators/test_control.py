"""The random control: as many changes as the delta it stands beside, and nothing else in common."""

import numpy as np
import pyarrow as pa
import pytest
from raising import raises

from hinaug.datasets import planted
from hinaug.datasets.planted import RATES
from hinaug.generators import RelationGenerator, random_delta
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.predictors import EASE


def counts(column):
    return sorted(c["counts"] for c in column.value_counts().to_pylist())


@pytest.mark.parametrize("by", ["uniform", "popularity"])
def test_edges_keep_sources_and_confidence_and_avoid_what_is_observed(by):
    hin = planted(80, 60, rng=0)
    like = RelationGenerator(EASE(RATES, l2=10)).fit(hin, rng=0).generate(hin, 0.5)
    made = random_delta(hin, like, 0, by=by)
    a, b = like.edges[RATES], made.edges[RATES]
    assert b["src"].equals(a["src"])
    assert b["confidence"].equals(a["confidence"])
    src, dst = hin.positions("user", b["src"]), hin.positions("item", b["dst"])
    assert len(np.unique(src * 60 + dst)) == len(like)
    assert hin.adjacency(RATES)[src, dst].sum() == 0
    assert random_delta(hin, like, 0, by=by) == made != random_delta(hin, like, 1, by=by)
    degree = np.asarray(hin.adjacency(RATES).sum(axis=0)).ravel()
    drawn = np.corrcoef(degree, np.bincount(dst, minlength=60))[0, 1]
    assert drawn > 0.5 if by == "popularity" else drawn < 0.2
    assert (hin + like + made) - made - like == hin


def test_nodes_keep_degrees_and_real_margins_but_no_dependence():
    hin = planted(100, 40, rng=0, missing=0.2)
    n = 400
    rng = np.random.default_rng(0)
    rows = np.repeat(np.arange(n), rng.integers(1, 6, n))
    ids = np.array([f"new{i}" for i in range(n)])
    links = {
        "src": ids[rows],
        "dst": [f"i{(7 * k) % 40:02d}" for k in range(len(rows))],
        "rating": rng.integers(1, 6, len(rows)),
    }
    like = Delta({"user": {"id": ids, "job": ["musician"] * n, "age": [30] * n}}, {RATES: links})
    made = random_delta(hin, like, 0)
    users, edges = made.nodes["user"], made.edges[RATES]
    assert users.num_rows == n
    assert not set(users["id"].to_pylist()) & set(ids)
    assert counts(edges["src"]) == counts(like.edges[RATES]["src"])
    assert edges["rating"].equals(like.edges[RATES]["rating"])
    pairs = list(zip(edges["src"].to_pylist(), edges["dst"].to_pylist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    real = hin.nodes["user"]
    for name in ("job", "age"):
        assert abs(users[name].null_count / n - real[name].null_count / 100) < 0.07
    assert set(users["job"].to_pylist()) == set(real["job"].to_pylist())
    assert hin.n("user") + n == (hin + like + made - like).n("user")


def test_generated_items_masks_and_values():
    hin = planted(50, 30, rng=0, missing=0.3)
    hole = [
        i
        for i, v in zip(
            hin.ids("user").to_pylist(), hin.column("user", "job").to_pylist(), strict=True
        )
        if v is None
    ]
    src, dst = hin.links(RATES)
    first = pa.table({"src": hin.ids("user", src[:5]), "dst": hin.ids("item", dst[:5])})
    like = Delta(
        {"item": {"id": ["x1", "x2"], "x": np.zeros((2, 32))}},
        {RATES: {"src": ["u00", "u01", "u02", "u03"], "dst": ["x1", "x1", "x1", "x2"]}},
        {RATES: first},
        {("user", "job"): {"id": hole, "value": ["baker"] * len(hole)}},
    )
    made = random_delta(hin, like, 0)
    assert counts(made.edges[RATES]["dst"]) == [1, 3]
    assert set(made.edges[RATES]["dst"].to_pylist()) == set(made.nodes["item"]["id"].to_pylist())
    assert made.masks[RATES].num_rows == 5
    assert made.values["user", "job"]["id"].to_pylist() == hole
    assert (hin + made).n(RATES) == hin.n(RATES) - 5 + 4
    assert hin + made - made == hin


def test_bad_input():
    hin = planted(10, 5, rng=0)
    with raises(ValueError, asked="degree"):
        random_delta(hin, Delta(), 0, by="degree")
    stranger = Delta(edges={RATES: {"src": ["nobody"], "dst": ["i0"]}})
    with raises(ValueError, asked=["nobody"]):
        random_delta(hin, stranger, 0)
    greedy = Delta(edges={RATES: {"src": ["u0"] * 5, "dst": [f"i{k}" for k in range(5)]}})
    with raises(ValueError, asked=5):
        random_delta(hin, greedy, 0)
    assert len(random_delta(hin, Delta(), 0)) == 0


def test_cells_of_edges_keep_their_pairs_and_take_values_of_their_column():
    pairs = {"src": ["a", "b"], "dst": ["x", "y"]}
    hin = HIN.from_tables(
        {"user": {"id": ["a", "b", "c"]}, "item": {"id": ["x", "y"]}},
        {RATES: {"src": ["a", "b", "c"], "dst": ["x", "y", "y"], "stars": [None, None, 7]}},
    )
    like = Delta(
        values={(RATES, "stars"): {**pairs, "value": [1, 2]}},
        columns={(RATES, "mood"): {**pairs, "value": ["p", "q"]}},
    )
    made = random_delta(hin, like, 0)
    assert made.values[RATES, "stars"]["value"].to_pylist() == [7, 7]
    assert sorted(made.columns[RATES, "mood"]["value"].to_pylist()) == ["p", "q"]
    for cells in (made.values[RATES, "stars"], made.columns[RATES, "mood"]):
        assert cells.select(["src", "dst"]).to_pydict() == pairs
    assert (hin + made) - made == hin


def test_columns_are_shuffled_and_what_fills_them_is_drawn_from_them():
    n = 200
    ids = [str(i) for i in range(n)]
    hin = HIN.from_tables({"user": {"id": ids}}, {})
    half = n // 2
    like = Delta(
        columns={("user", "c"): {"id": ids[:half], "value": list(range(half))}},
        values={("user", "c"): {"id": ids[half:], "value": [-1] * half}},
    )
    made = random_delta(hin, like, 0)
    shuffled = made.columns["user", "c"]["value"].to_pylist()
    assert sorted(shuffled) == list(range(half))
    assert abs(np.corrcoef(shuffled, range(half))[0, 1]) < 0.3
    assert set(made.values["user", "c"]["value"].to_pylist()) <= set(range(half))
    assert (hin + made).nodes["user"]["c"].null_count == 0


def test_cells_of_generated_nodes_and_edges_move_to_those_of_the_control():
    hin = HIN.from_tables(
        {"user": {"id": ["a", "b"], "age": [1, 2]}, "item": {"id": ["x", "y", "z"]}},
        {RATES: {"src": ["a", "b"], "dst": ["x", "y"]}},
    )
    like = Delta(
        {"user": {"id": ["new"]}},
        {RATES: {"src": ["new", "a"], "dst": ["x", "y"]}},
        values={("user", "age"): {"id": ["new"], "value": [9]}},
        columns={(RATES, "w"): {"src": ["new", "a"], "dst": ["x", "y"], "value": [1, 2]}},
    )
    made = random_delta(hin, like, 0)
    new = made.nodes["user"]["id"].to_pylist()
    assert made.values["user", "age"]["id"].to_pylist() == new
    cells, edges = made.columns[RATES, "w"], made.edges[RATES]
    assert cells.select(["src", "dst"]).to_pydict() == edges.select(["src", "dst"]).to_pydict()
    assert sorted((hin + made).edges[RATES]["w"].drop_null().to_pylist()) == [1, 2]


def test_masks_are_drawn_among_observed_pairs_alone():
    ids = [str(i) for i in range(30)]
    hin = HIN.from_tables(
        {"user": {"id": ids}, "item": {"id": ["x", "y"]}}, {RATES: {"src": ids, "dst": ["x"] * 30}}
    )
    guessed = hin + Delta(edges={RATES: {"src": ids, "dst": ["y"] * 30}})
    like = Delta(masks={RATES: {"src": ids, "dst": ["x"] * 30}})
    assert set(random_delta(guessed, like, 0).masks[RATES]["dst"].to_pylist()) == {"x"}


def test_a_symmetric_relation_of_new_nodes_stays_so():
    """The new node stands at either end of a row; two new nodes stay joined."""
    friend = ("user", "friend", "user")
    rng = np.random.default_rng(0)
    pairs = rng.integers(40, size=(80, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    links = np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0).astype(str)
    hin = HIN.from_tables(
        {"user": {"id": np.arange(40).astype(str)}},
        {friend: {"src": links[:, 0], "dst": links[:, 1]}},
    )
    one_way = [("new0", str(u)) for u in range(9)] + [(str(u), "new1") for u in range(5, 12)]
    both = [*one_way, ("new0", "new1")]
    both = [pair for a, b in both for pair in ((a, b), (b, a))]
    src, dst = zip(*both, strict=True)
    since = [k // 2 for k in range(len(both))]
    like = Delta(
        nodes={"user": {"id": ["new0", "new1"]}},
        edges={friend: {"src": src, "dst": dst, "since": since}},
    )
    made = random_delta(hin, like, 0)
    rows = made.edges[friend]
    found = list(zip(rows["src"].to_pylist(), rows["dst"].to_pylist(), strict=True))
    assert len(set(found)) == len(found) == len(both)
    assert {pair[::-1] for pair in found} == set(found)
    assert rows["since"].to_pylist() == since
    new = made.nodes["user"]["id"].to_pylist()
    degree = [sum(a == node for a, _ in found) for node in new]
    assert degree == [10, 8]
    assert [found[k] == found[k + 1][::-1] for k in range(0, len(found), 2)] == [True] * 17
    assert not made.edges[friend].equals(like.edges[friend])
    hin + made
