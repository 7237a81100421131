"""The laws of deltas: random graphs and random deltas against plain loops, and small cases by hand."""

from __future__ import annotations

import copy
import pickle
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from raising import raises

from hinaug.errors import ParameterError, ReadOnlyError, SchemaError, UnknownNameError
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.merge import merge

RATES = ("user", "rates", "item")
KNOWS = ("user", "knows", "user")


def edge_rows(hin: HIN, type=RATES) -> list[tuple]:
    """(source id, target id, origin or None) of every row."""
    src, dst = hin.links(type)
    origin = hin.column(type, "origin").to_pylist()
    sources, targets = hin.nodes[type[0]]["id"].to_pylist(), hin.nodes[type[2]]["id"].to_pylist()
    return [
        (sources[a], targets[b], o)
        for a, b, o in zip(src.tolist(), dst.tolist(), origin, strict=True)
    ]


def pairs_of(table: pa.Table) -> list[tuple[str, str]]:
    return list(zip(table["src"].to_pylist(), table["dst"].to_pylist(), strict=True))


# ---- laws ----------------------------------------------------------------------------------------


@given(st.data())
def test_undo_is_exact_and_the_observed_tables_are_never_touched(graphs, deltas, data):
    hin = data.draw(graphs())
    delta = data.draw(deltas(hin))
    both = hin + delta
    assert not both.equals(hin)
    assert (both - delta).equals(hin)
    assert (both - delta).fingerprint() == hin.fingerprint() != both.fingerprint()
    for seen in (both.observed(), both - delta):
        assert all(seen.table(t) is hin.table(t) for t in [*hin.nodes, *hin.edges])
    assert hin.deltas == ()
    assert both.deltas == (delta,)


@given(st.data())
def test_what_is_seen_is_what_a_plain_loop_says(graphs, deltas, data):
    hin = data.draw(graphs())
    delta = data.draw(deltas(hin))
    both = hin + delta
    observed = [(u, i) for u, i, _ in edge_rows(hin)]
    hidden = set(pairs_of(delta.masks[RATES])) if RATES in delta.masks else set()
    expected = [(u, i, None) for u, i in observed if (u, i) not in hidden]
    for table in delta.edges.values():
        expected += [
            (u, i, "g")
            for u, i in pairs_of(table)
            if (u, i) not in hidden and (u, i) not in set(observed)
        ]
    assert edge_rows(both) == expected

    year = dict(
        zip(hin.nodes["item"]["id"].to_pylist(), hin.nodes["item"]["year"].to_pylist(), strict=True)
    )
    for table in delta.values.values():
        for item, value in zip(table["id"].to_pylist(), table["value"].to_pylist(), strict=True):
            year[item] = value if year[item] is None else year[item]
    for table in [delta.nodes["item"]] if "item" in delta.nodes else []:
        year |= dict(zip(table["id"].to_pylist(), table["year"].to_pylist(), strict=True))
    assert (
        dict(
            zip(
                both.nodes["item"]["id"].to_pylist(),
                both.nodes["item"]["year"].to_pylist(),
                strict=True,
            )
        )
        == year
    )


@given(st.data())
def test_positions_of_observed_nodes_never_move(graphs, deltas, data):
    hin = data.draw(graphs())
    first, second = data.draw(deltas(hin, "a", 0)), data.draw(deltas(hin, "b", 1))
    both = hin + first + second
    for type in hin.nodes:
        n = hin.n(type)
        assert both.n_observed(type) == n
        assert both.nodes[type]["id"].slice(0, n).equals(hin.nodes[type]["id"])
        assert both.ids(type, np.arange(n)).equals(hin.ids(type))
        assert both.column(type, "origin").null_count == n
    assert both.schema == hin.schema


@given(st.data())
def test_independent_deltas_commute_up_to_row_order(graphs, deltas, data):
    hin = data.draw(graphs())
    first, second = data.draw(deltas(hin, "a", 0)), data.draw(deltas(hin, "b", 1))
    assert (hin + first + second).equals(hin + second + first, ordered=False)
    assert (hin + first + second - first).equals(hin + second)
    assert (hin + first + second - second - first).equals(hin)
    assert (hin + first + second).fingerprint() == (hin + second + first).fingerprint()


@given(st.data())
def test_uid_and_keys_are_deterministic_and_keys_survive(graphs, deltas, data):
    hin = data.draw(graphs())
    seed = data.draw(deltas(hin))
    parts = [
        {t: table.drop_columns(["key"]) for t, table in part.items()}
        for part in (seed.nodes, seed.edges, seed.masks, seed.values)
    ]
    again = Delta(*parts, fitted_on=seed.fitted_on)
    assert again == seed
    assert hash(again) == hash(seed)
    assert again.keys().equals(seed.keys())
    assert len(set(seed.keys().to_pylist())) == len(seed)
    half = seed.select(lambda table: np.arange(table.num_rows) % 2 == 0)
    assert set(half.keys().to_pylist()) <= set(seed.keys().to_pylist())
    assert set(merge([half, seed]).keys().to_pylist()) <= set(seed.keys().to_pylist())
    assert seed.select(lambda table: np.ones(table.num_rows, bool)) == seed
    hin + half  # what select leaves still fits


def test_the_same_values_however_built_have_one_uid():
    plain = Delta({"user": {"id": ["a", "b"], "age": [1.0, None]}})
    masked = Delta(
        {
            "user": {
                "id": pa.array(["a", "b"]),
                "age": pa.array(np.array([1.0, 9.0]), mask=np.array([False, True])),
            }
        }
    )
    nan = Delta(
        {"user": {"id": pa.array(["x", "a", "b"]).slice(1), "age": np.array([1.0, np.nan])}}
    )
    assert plain == masked == nan
    assert plain != Delta({"user": {"id": ["a", "b"], "age": [1.0, 9.0]}})
    assert plain != Delta({"user": {"id": ["a", "b"], "age": [1.0, None]}}, origin="other")


def test_applied_twice_removed_when_absent_and_removed_while_used_are_errors(tiny):
    users = Delta({"user": {"id": ["g"]}}, origin="users")
    edges = Delta(edges={RATES: {"src": ["g"], "dst": ["i4"]}}, origin="edges")
    with raises(SchemaError, asked=users):
        tiny + users + users
    with raises(SchemaError, asked=users):
        tiny - users
    with raises(SchemaError, asked=["g"]):
        tiny + edges
    with raises(SchemaError, asked=users):
        tiny + users + edges - users
    for other in (
        Delta(masks={RATES: {"src": ["g"], "dst": ["i4"]}}),
        Delta(values={("user", "age"): {"id": ["g"], "value": [3]}}),
    ):
        with raises(SchemaError, asked=users):
            tiny + users + other - users
    assert (tiny + users + edges - edges - users).equals(tiny)
    likes = ("user", "likes", "item")
    new_type = Delta(edges={likes: {"src": ["ann"], "dst": ["i4"]}})
    mask = Delta(masks={likes: {"src": ["ann"], "dst": ["i4"]}})
    assert (tiny + new_type + mask).n(likes) == 0
    with raises(SchemaError, asked=new_type):
        tiny + new_type + mask - new_type
    with pytest.raises(TypeError):
        tiny + 1
    with pytest.raises(TypeError):
        tiny - 1


def test_a_selection_cannot_be_applied_beside_the_whole(tiny):
    whole = Delta(
        edges={RATES: {"src": ["ann", "bob"], "dst": ["i4", "i4"], "confidence": [0.9, 0.2]}}
    )
    part = whole.select(pc.field("confidence") > 0.5)
    assert part.keys().to_pylist() == whole.keys().to_pylist()[:1]
    for a, b in ((whole, part), (part, whole)):
        with raises(SchemaError, asked=b):
            tiny + a + b
    rest = whole.select(pc.field("confidence") <= 0.5)
    assert (tiny + part + rest).equals(tiny + whole, ordered=False)


def test_a_delta_made_on_train_applies_to_more_edges_and_the_observation_wins(tiny):
    train = tiny.filter_edges(RATES, np.arange(6) < 4)
    delta = Delta(
        edges={RATES: {"src": ["bob", "cid"], "dst": ["i3", "i4"], "rating": [1.0, 1.0]}},
        origin="g",
    )
    assert edge_rows(train + delta)[4:] == [("bob", "i3", "g"), ("cid", "i4", "g")]
    assert edge_rows(tiny + delta)[4:] == [
        ("cid", "i3", None),
        ("bob", "i3", None),
        ("cid", "i4", "g"),
    ]
    assert (tiny + delta).adjacency(RATES, "rating", "last")[1, 2] == 5.0


def test_a_value_that_was_observed_wins_over_one_that_was_filled(tiny):
    fill = Delta(values={("user", "age"): {"id": ["ann", "bob"], "value": [99, 55.0]}})
    assert (tiny + fill).nodes["user"]["age"].to_pylist() == [30, 55, 41]
    with raises(SchemaError, asked=["bob"]):
        tiny + fill + Delta(values={("user", "age"): {"id": ["bob"], "value": [1]}})
    vectors = tiny.with_column("item", "x", [[1.0, 1.0], None, [2.0, 2.0], None])
    filled = vectors + Delta(
        values={("item", "x"): {"id": ["i4"], "value": np.array([[7.0, 8.0]])}}
    )
    assert filled.nodes["item"]["x"].to_pylist() == [[1, 1], None, [2, 2], [7, 8]]
    unknown = tiny.with_column("user", "city", [None, None, None])
    city = Delta(values={("user", "city"): {"id": ["cid"], "value": ["Rome"]}})
    assert (unknown + city).nodes["user"]["city"].to_pylist() == [None, None, "Rome"]
    assert (unknown + city - city).equals(unknown)


def test_a_mask_covers_parallel_rows_and_generated_rows_of_its_pair(tiny):
    mask = Delta(masks={RATES: {"src": ["ann", "cid"], "dst": ["i1", "i4"]}})
    edge = Delta(edges={RATES: {"src": ["cid"], "dst": ["i4"]}}, origin="g")
    assert edge_rows(tiny + mask) == [
        ("ann", "i2", None),
        ("bob", "i1", None),
        ("cid", "i3", None),
        ("bob", "i3", None),
    ]
    assert edge_rows(tiny + mask + edge) == edge_rows(tiny + edge + mask) == edge_rows(tiny + mask)


def test_generated_rows_say_so_and_lack_what_they_do_not_have(tiny):
    both = tiny + Delta(
        {"user": {"id": ["g"], "age": [7]}},
        {RATES: {"src": ["g"], "dst": ["i4"], "why": ["text"], "confidence": [0.25]}},
        origin="maker",
    )
    last = both.edges[RATES].slice(6).to_pylist()
    key = both.deltas[0].edges[RATES]["key"][0].as_py()
    assert last == [
        {
            "src": 3,
            "dst": 3,
            "rating": None,
            "time": None,
            "why": "text",
            "confidence": 0.25,
            "origin": "maker",
            "key": key,
        }
    ]
    assert both.edges[RATES]["why"].null_count == 6
    assert both.adjacency(RATES, "confidence", "max").toarray().tolist() == [
        [1, 1, 0, 0],
        [1, 0, 1, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 0.25],
    ]
    assert both.n("user") == 4
    assert both.n_observed("user") == 3
    with raises(SchemaError, names="rating"):
        both.adjacency(RATES, "rating", "max")


# ---- what does not fit ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        (({"user": {"id": ["ann"]}},), "ids are in the graph already: 'ann'"),
        (({"usr": {"id": ["z"]}},), "did you mean 'user'"),
        (({"user": {"id": ["z"], "age": ["old"]}},), "the graph has int64, the delta string"),
        (
            ({}, {RATES: {"src": ["ann"], "dst": ["nope"]}}),
            "1 ids are no 'item' nodes of this graph: 'nope'",
        ),
        (
            ({}, {RATES: {"src": ["ann"], "dst": ["i1"], "rating": ["good"]}}),
            "the graph has double, the delta string",
        ),
        (({}, {("user", "saw", "film"): {"src": ["ann"], "dst": ["i1"]}}), "no node type 'film'"),
        (({}, {}, {("user", "rate", "item"): {"src": ["ann"], "dst": ["i1"]}}), "did you mean"),
        (({}, {}, {RATES: {"src": ["ann"], "dst": ["nope"]}}), "ids are no 'item' nodes"),
        (({}, {}, {}, {("user", "agee"): {"id": ["bob"], "value": [1]}}), "did you mean 'age'"),
        (
            ({}, {}, {}, {("user", "age"): {"id": ["zed"], "value": [1]}}),
            "1 ids are no 'user' nodes of this graph: 'zed'",
        ),
        (
            ({}, {}, {}, {("user", "age"): {"id": ["bob"], "value": [1.5]}}),
            "the graph has int64, the delta double",
        ),
        (({}, {}, {}, {("user", "id"): {"id": ["bob"], "value": ["x"]}}), "ids are never missing"),
    ],
)
def test_a_delta_that_does_not_fit_the_graph(tiny, parts, says):
    with pytest.raises(SchemaError) as error:
        tiny + Delta(*parts)
    assert says in str(error.value)


def test_deltas_of_unlike_types_are_refused_when_put_on(tiny):
    first = Delta({"user": {"id": ["a"], "mood": ["good"]}})
    with raises(SchemaError, names="user"):
        tiny + first + Delta({"user": {"id": ["b"], "mood": [3]}})


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Delta({"user": {"id": ["a", "a"]}}), "'a' stand more than once"),
        (lambda: Delta({"user": {"name": ["a"]}}), "no column 'id'"),
        (lambda: Delta({("user",): {"id": ["a"]}}), "the key of nodes is a node type"),
        (
            lambda: Delta(edges={"rates": {"src": ["a"], "dst": ["b"]}}),
            "(source, relation, target)",
        ),
        (lambda: Delta(edges={RATES: {"src": ["a"]}}), "no column 'dst'"),
        (lambda: Delta(edges={RATES: {"src": [None], "dst": ["b"]}}), "no id (null) in rows 0"),
        (
            lambda: Delta(values={("user", "age"): {"id": ["a"], "value": [None]}}),
            "a filled value cannot be null",
        ),
        (lambda: Delta({"user": {"id": ["a"], "origin": [None]}}), "'origin': text without nulls"),
        (lambda: Delta({"user": {"id": ["a"], "key": [1]}}), "'key': text without nulls"),
        (
            lambda: Delta({"user": {"id": ["a", "b"], "key": ["k", "k"]}}),
            "some stand more than once",
        ),
        *[
            (lambda c=c: Delta({"user": {"id": ["a"], "confidence": [c]}}), "numbers in [0, 1]")
            for c in (-0.001, 1.001, float("nan"), float("inf"), None, "high")
        ],
    ],
)
def test_a_delta_that_makes_no_sense(make, says):
    with pytest.raises(SchemaError) as error:
        make()
    assert says in str(error.value)


def test_confidence_at_its_bounds_and_of_any_number_type():
    delta = Delta({"user": {"id": ["a", "b"], "confidence": [0, 1]}})
    assert delta.nodes["user"]["confidence"].type == pa.float32()
    assert delta.summary().to_pylist() == [
        {
            "part": "nodes",
            "type": "user",
            "origin": "unnamed",
            "rows": 2,
            "min": 0,
            "mean": 0.5,
            "max": 1,
        }
    ]


# ---- select and top ------------------------------------------------------------------------------


@pytest.fixture
def proposal() -> Delta:
    return Delta(
        {"user": {"id": ["g1", "g2"], "confidence": [0.9, 0.1]}},
        {
            RATES: {
                "src": ["ann", "ann", "ann", "g1", "g2", "bob"],
                "dst": ["i3", "i4", "i2", "i1", "i1", "i4"],
                "confidence": [0.5, 0.75, 0.75, 0.2, 0.9, 0.75],
            }
        },
        {RATES: {"src": ["g2", "ann"], "dst": ["i1", "i1"]}},
        {("user", "age"): {"id": ["g2", "bob"], "value": [1, 2]}},
        origin="maker",
    )


def test_select_takes_the_edges_masks_and_values_of_a_dropped_node_along(tiny, proposal):
    kept = proposal.select({"user": np.array([True, False])})
    assert kept.nodes["user"]["id"].to_pylist() == ["g1"]
    assert pairs_of(kept.edges[RATES]) == [
        ("ann", "i3"),
        ("ann", "i4"),
        ("ann", "i2"),
        ("g1", "i1"),
        ("bob", "i4"),
    ]
    assert pairs_of(kept.masks[RATES]) == [("ann", "i1")]
    assert kept.values["user", "age"]["id"].to_pylist() == ["bob"]
    assert set(kept.keys().to_pylist()) < set(proposal.keys().to_pylist())
    tiny + kept


def test_select_by_expression_and_function(proposal):
    sure = proposal.select(pc.field("confidence") >= 0.75)
    assert pairs_of(sure.edges[RATES]) == [
        ("ann", "i4"),
        ("ann", "i2"),
        ("bob", "i4"),
    ]  # g2 went, with its edge
    assert proposal.select(pc.field("nowhere") > 1) == proposal
    by_function = proposal.select(lambda table: pc.greater_equal(table["confidence"], 0.75))
    assert by_function == sure
    with raises(ValueError, asked=(2,)):
        proposal.select({RATES: np.ones(2, bool)})
    with raises(ValueError, asked="all"):
        proposal.select("all")
    assert len(proposal.select(lambda t: np.zeros(t.num_rows, bool))) == 0


def test_top_by_hand(proposal):
    assert pairs_of(proposal.top(1).edges[RATES]) == [("g2", "i1")]
    assert pairs_of(proposal.top(1, per="src").edges[RATES]) == [
        ("ann", "i4"),
        ("g1", "i1"),
        ("g2", "i1"),
        ("bob", "i4"),
    ]
    assert pairs_of(proposal.top(1, per="dst").edges[RATES]) == [
        ("ann", "i3"),
        ("ann", "i4"),
        ("ann", "i2"),
        ("g2", "i1"),
    ]
    assert RATES not in proposal.top(0).edges
    assert proposal.top(9) == proposal
    assert len(proposal.top(1).nodes["user"]) == 2
    for bad in ({"k": -1}, {"k": 1, "per": "user"}):
        with raises(ValueError, names="top"):
            proposal.top(**bad)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"), st.sampled_from("xyz"), st.sampled_from([0.0, 0.25, 0.5, 1.0])
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(0, 4),
)
def test_top_against_a_loop(rows, k):
    delta = Delta(
        edges={
            RATES: {
                "src": [r[0] for r in rows],
                "dst": [r[1] for r in rows],
                "confidence": [r[2] for r in rows],
            }
        }
    )
    for per, side in (("src", 0), ("dst", 1), (None, None)):
        taken: Counter = Counter()
        expected = []
        for at in sorted(range(len(rows)), key=lambda at: -rows[at][2]):
            group = rows[at][side] if side is not None else None
            if taken[group] < k:
                taken[group] += 1
                expected.append(at)
        kept = delta.top(k, per).edges.get(RATES)
        assert ([] if kept is None else pairs_of(kept)) == [rows[at][:2] for at in sorted(expected)]


# ---- merge ---------------------------------------------------------------------------------------


def claims(*rows, origin) -> Delta:
    return Delta(
        edges={
            RATES: {
                "src": [r[0] for r in rows],
                "dst": [r[1] for r in rows],
                "confidence": [r[2] for r in rows],
            }
        },
        origin=origin,
    )


def test_merge_by_hand():
    a = claims(("u", "1", 0.25), ("u", "2", 0.5), ("u", "3", 1.0), origin="a")
    b = claims(("u", "2", 0.75), ("u", "3", 0.25), origin="b")
    c = claims(("v", "1", 0.5), ("u", "3", 0.25), origin="c")

    union = merge([a, b, c])
    rows = {
        (r["src"], r["dst"]): (r["confidence"], r["origin"], r["key"])
        for r in union.edges[RATES].to_pylist()
    }
    keys = {d: d.edges[RATES]["key"].to_pylist() for d in (a, b, c)}
    assert rows == {
        ("u", "1"): (0.25, "a", keys[a][0]),
        ("u", "2"): (0.75, "b", keys[b][0]),
        ("u", "3"): (1.0, "a", keys[a][2]),
        ("v", "1"): (0.5, "c", keys[c][0]),
    }
    majority = merge([a, b, c], "majority").edges[RATES].to_pylist()
    assert [
        (r["src"], r["dst"], r["confidence"], r["votes"], r["origin"])
        for r in sorted(majority, key=lambda r: r["dst"])
    ] == [
        ("u", "2", 0.625, 2, "b"),
        ("u", "3", 0.5, 3, "a"),
    ]
    everyone = merge([a, b, c], "intersection").edges[RATES].to_pylist()
    assert [(r["src"], r["dst"], r["votes"]) for r in everyone] == [("u", "3", 3)]
    assert len(merge([a, b], "majority")) == 2  # more than half of two is both
    assert merge([a]) == a
    assert len(merge([])) == 0
    assert merge([a, a, b]) == merge([a, b])
    with raises(ValueError, asked="most"):
        merge([a], "most")


def test_merge_keeps_generated_nodes_with_their_edges_and_votes_on_masks_and_values():
    a = Delta(
        {"user": {"id": ["g"]}},
        {RATES: {"src": ["g"], "dst": ["i1"]}},
        {RATES: {"src": ["ann"], "dst": ["i1"]}},
        fitted_on=["f2"],
    )
    b = Delta(
        masks={RATES: {"src": ["ann", "bob"], "dst": ["i1", "i1"]}},
        values={("user", "age"): {"id": ["bob"], "value": [3]}},
        fitted_on=["f1"],
    )
    both = merge([a, b], "intersection")
    assert both.nodes["user"]["id"].to_pylist() == ["g"]
    assert pairs_of(both.edges[RATES]) == [("g", "i1")]
    assert pairs_of(both.masks[RATES]) == [("ann", "i1")]
    assert both.values == {}
    assert both.fitted_on == ("f1", "f2")
    union = merge([a, b])
    assert pairs_of(union.masks[RATES]) == [("ann", "i1"), ("bob", "i1")]
    assert union.values["user", "age"]["value"].to_pylist() == [3]


@given(st.data())
def test_merging_independent_deltas_is_putting_on_both(graphs, deltas, data):
    hin = data.draw(graphs())
    first, second = data.draw(deltas(hin, "a", 0)), data.draw(deltas(hin, "b", 1))
    for part in ("edges", "masks"):  # merge keeps a pair once
        for delta in (first, second):
            for table in getattr(delta, part).values():
                if len(set(pairs_of(table))) < table.num_rows:
                    return
    first_pairs = set(pairs_of(first.edges[RATES])) if RATES in first.edges else set()
    if RATES in second.edges and first_pairs & set(pairs_of(second.edges[RATES])):
        return
    assert (hin + merge([first, second])).equals(hin + first + second, ordered=False)


def test_repr_and_empty(tiny):
    assert repr(Delta()) == "Delta(empty)"
    assert len(Delta()) == 0
    assert len(Delta().keys()) == 0
    assert Delta().summary().num_rows == 0
    assert (tiny + Delta()).equals(tiny)
    assert repr(claims(("ann", "i4", 1.0), origin="knn")) == "Delta(1 user rates item edges by knn)"
    assert Delta(edges={RATES: {"src": [], "dst": []}}) == Delta()
    assert Delta({"user": {"id": [], "confidence": [], "origin": [], "key": []}}) == Delta()
    assert Delta() != "Delta(empty)"


def test_self_relations_and_types_that_only_a_delta_has(tiny):
    similar = ("item", "similar", "item")
    both = tiny + Delta(
        edges={
            similar: {"src": ["i1", "i4"], "dst": ["i2", "i1"], "weight": [1.0, 2.0]},
            KNOWS: {"src": ["ann"], "dst": ["bob"]},
        }
    )
    assert set(both.edges) - set(tiny.edges) == {similar, KNOWS}
    assert both.adjacency(similar, "weight").toarray().nonzero()[0].tolist() == [0, 3]
    for change in (
        lambda: both.filter_edges(KNOWS, np.array([True])),
        lambda: both.with_column(KNOWS, "since", [1]),
    ):
        with raises(UnknownNameError, asked=("user", "knows", "user")):
            change()
    with raises(UnknownNameError, asked=("user", "knows", "user")):
        both.observed().edges[KNOWS]


# ---- editing a graph with deltas -----------------------------------------------------------------


def everywhere(hin: HIN) -> Delta:
    """New users and edges of two types, a mask, a filled value and a new column."""
    return Delta(
        {"user": {"id": ["new"], "age": [20]}},
        {
            RATES: {"src": ["new", "bob"], "dst": ["i4", "i2"]},
            ("item", "like", "item"): {"src": ["i1", "i2"], "dst": ["i2", "i3"]},
        },
        {RATES: {"src": ["cid"], "dst": ["i3"]}},
        {("user", "age"): {"id": ["bob"], "value": [33]}},
        {("item", "blurb"): {"id": ["i1", "i3"], "value": ["one", "three"]}},
        origin="all",
    )


def test_drop_takes_a_type_out_of_the_deltas_too(tiny):
    delta = everywhere(tiny)
    hin = (tiny + delta).drop(RATES)
    assert list(hin.edges) == [("item", "has", "genre"), ("item", "like", "item")]
    assert hin.n("user") == 4
    assert (hin - delta).equals(tiny.drop(RATES)), "the whole delta still comes off"
    bare = (tiny + delta).drop("item")
    assert list(bare.nodes) == ["user", "genre"]
    assert not len(bare.edges)
    assert bare.column("user", "age").to_pylist() == [30, 33, 41, 20]
    assert (bare - delta).equals(tiny.drop("item"))


def test_filtered_nodes_leave_the_deltas_too(tiny):
    delta = everywhere(tiny)
    hin = (tiny + delta).filter_nodes("item", np.array([True, False, True, False]))
    assert hin.nodes["item"]["id"].to_pylist() == ["i1", "i3"]
    assert hin.column("item", "blurb").to_pylist() == ["one", "three"]
    assert ("new", "i4", "all") not in edge_rows(hin)
    assert ("item", "like", "item") not in hin.edges
    plain = tiny.filter_nodes("item", np.array([True, False, True, False]))
    assert (hin - delta).equals(plain)
    assert (tiny + delta).filter_nodes("user", np.array([True, False, True])).n("user") == 3


def test_a_column_of_a_graph_with_deltas_is_that_of_the_graph_without(tiny):
    delta = everywhere(tiny)
    hin = (tiny + delta).with_column("user", "city", ["Rome", None, "Oslo"])
    assert hin.column("user", "city").to_pylist() == ["Rome", None, "Oslo", None]
    assert (hin - delta).equals(tiny.with_column("user", "city", ["Rome", None, "Oslo"]))
    with raises(SchemaError, asked="blurb"):
        (tiny + delta).with_column("item", "blurb", ["a"] * 4)
    with raises(SchemaError, names="user"):
        (tiny + delta).with_column("user", "age", np.ones((3, 2)))


def test_edits_do_not_look_at_deltas_again(tiny, monkeypatch):
    hin = tiny + everywhere(tiny)
    monkeypatch.setattr("hinaug.graph.overlay.check_applicable", None)
    hin = hin.with_column("user", "city", ["a", "b", "c"]).drop("genre")
    hin = hin.filter_edges(RATES, np.arange(6) > 0).filter_nodes("user", np.arange(3) > 0)
    assert hin.n("user") == 3


@given(st.data())
def test_editing_and_taking_off_commute(graphs, deltas, data):
    hin = data.draw(graphs())
    delta = data.draw(deltas(hin))
    mask = np.array(
        data.draw(st.lists(st.booleans(), min_size=hin.n("user"), max_size=hin.n("user"))), bool
    )
    for edit in (
        lambda g: g.drop(RATES),
        lambda g: g.drop("item"),
        lambda g: g.filter_nodes("user", mask),
        lambda g: g.with_column("user", "extra", list(range(len(mask)))),
    ):
        assert (edit(hin + delta) - delta).equals(edit(hin))


# ---- columns -------------------------------------------------------------------------------------


def test_a_delta_adds_columns_and_takes_them_off_exactly(tiny):
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(4, dtype=np.float32)), 2)
    lineage = pa.field("value", vectors.type, metadata={b"hinaug.lineage": b"row"})
    table = pa.table(
        [pa.array(["i3", "i1"]), vectors], schema=pa.schema([("id", pa.string()), lineage])
    )
    delta = Delta(columns={("item", "picture"): table}, origin="camera")
    hin = tiny + delta
    assert hin.column("item", "picture").to_pylist() == [[2, 3], None, [0, 1], None]
    field = hin.nodes["item"].schema.field("picture")
    assert field.metadata == {b"hinaug.lineage": b"row", b"hinaug.origin": b"camera"}
    assert (hin - delta).equals(tiny)
    assert (hin - delta).fingerprint() == tiny.fingerprint() != hin.fingerprint()
    filled = Delta(values={("item", "picture"): {"id": ["i2"], "value": [[7.0, 8.0]]}})
    assert (hin + filled).column("item", "picture").to_pylist()[1] == [7, 8]
    with raises(SchemaError, asked=delta) as error:
        hin + filled - delta
    assert error.value.there == filled
    with raises(SchemaError, asked="title") as error:
        tiny + Delta(columns={("item", "title"): {"id": ["i1"], "value": ["x"]}})
    assert error.value.asked == "title"
    with raises(SchemaError, asked=["nobody"]):
        tiny + Delta(columns={("item", "new"): {"id": ["nobody"], "value": ["x"]}})


def test_columns_and_values_of_edges_hold_for_all_rows_of_a_pair(tiny):
    hin = tiny.with_column(RATES, "mood", ["good", None, None, None, "bad", None])
    cells = {"src": ["ann", "bob"], "dst": ["i1", "i3"]}
    column = Delta(columns={(RATES, "why"): {**cells, "value": ["plot", "cast"]}}, origin="a")
    values = Delta(values={(RATES, "mood"): {**cells, "value": ["fine", "sad"]}}, origin="b")
    both = hin + column + values
    assert both.column(RATES, "why").to_pylist() == ["plot", None, None, "plot", None, "cast"]
    assert both.column(RATES, "mood").to_pylist() == ["good", None, None, "fine", "bad", "sad"]
    assert (both - column - values).equals(hin)
    assert both.equals(hin + values + column, ordered=False)


def test_a_delta_is_read_only_and_can_be_pickled(tiny):
    delta = everywhere(tiny)
    with pytest.raises(ReadOnlyError) as error:
        delta.uid = "x"
    assert error.value.asked == "uid"
    with pytest.raises(TypeError):
        delta.nodes["user"] = None
    again = pickle.loads(pickle.dumps(tiny + delta))
    assert again.equals(tiny + delta)
    assert (again - delta).equals(tiny)
    assert copy.deepcopy(delta) == delta


def test_a_delta_takes_a_confidence_of_ones_own(tiny):
    delta = everywhere(tiny)
    same = delta.with_confidence(0.25)
    assert same.keys() == delta.keys()
    assert {c for *_, table in same.tables() for c in table["confidence"].to_pylist()} == {0.25}
    ranked = delta.with_confidence(lambda table: np.arange(table.num_rows) / 100)
    for *_, table in ranked.tables():
        np.testing.assert_allclose(table["confidence"], np.arange(table.num_rows) / 100)
    assert ((tiny + ranked) - ranked).equals(tiny)
    for wrong in (1.5, -0.1, float("nan"), lambda table: [0.5]):
        with pytest.raises(ParameterError) as error:
            delta.with_confidence(wrong)
        assert error.value.asked is wrong
