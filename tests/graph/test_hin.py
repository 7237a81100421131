"""The graph as a value: small cases by hand, every source of tables, and what is refused."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from raising import raises

from hinaug.errors import ParameterError, ReadOnlyError, SchemaError, UnknownNameError
from hinaug.graph import edit, spill
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.schema import Column
from hinaug.io import from_scipy


def with_lineage(hin, lineage):
    """The graph with words for where its columns come from."""
    return HIN._of(edit.with_lineage(hin._state, lineage))


RATES = ("user", "rates", "item")
KNOWS = ("user", "knows", "user")

HAS = ("item", "has", "genre")


# ---- matrices by hand ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "duplicates", "ann_i1"),
    [
        (None, None, 1),
        (None, "binary", 1),
        (None, "sum", 2),
        ("rating", "binary", 1),
        ("rating", "sum", 6),
        ("rating", "mean", 3),
        ("rating", "max", 5),
        ("rating", "last", 1),
        ("time", "max", 4),
        ("time", "last", 4),
    ],
)
@pytest.mark.parametrize("large", [0, 10**9])  # bytes above which arrays lie in files
def test_adjacency_of_parallel_rows(tiny, weight, duplicates, ann_i1, large, monkeypatch):
    monkeypatch.setattr(spill, "LARGE", large)
    single = {None: [1, 1, 1, 1], "rating": [3, 4, 2, 5], "time": [2, 3, 5, 6]}[
        None if duplicates == "binary" else weight
    ]
    a, b, c, d = single
    matrix = tiny.adjacency(RATES, weight, duplicates)
    assert matrix.toarray().tolist() == [[ann_i1, a, 0, 0], [b, 0, d, 0], [0, 0, c, 0]]
    assert isinstance(matrix, sp.csr_array)
    assert matrix.dtype == np.float32
    assert matrix.has_canonical_format


def test_adjacency_is_cached_and_read_only(tiny):
    matrix = tiny.adjacency(RATES)
    assert tiny.adjacency(RATES) is matrix
    for part in (matrix.data, matrix.indices, matrix.indptr):
        with pytest.raises(ValueError, match="read-only"):
            part[0] = 0
    src, dst = tiny.links(RATES)
    for part in (src, dst, tiny.vectors("item")):
        with pytest.raises(ValueError, match="read-only"):
            part[0] = 0
    assert src.dtype == dst.dtype == np.int32


def test_adjacency_says_what_it_needs(tiny):
    with raises(ValueError, names="duplicates"):
        tiny.adjacency(RATES, "rating")
    with raises(ValueError, names="first"):
        tiny.adjacency(RATES, "rating", "first")
    with raises(UnknownNameError, names="ratings"):
        tiny.adjacency(RATES, "ratings", "sum")
    text = tiny.with_column(RATES, "text", list("abcdef"))
    with raises(SchemaError, names="text"):
        text.adjacency(RATES, "text", "sum")
    holes = tiny.with_column(RATES, "rating", [1.0, None, 2.0, 1.0, float("nan"), 1.0])
    with raises(SchemaError, names="rating"):
        holes.adjacency(RATES, "rating", "sum")


def test_confidence_of_observed_edges_counts_as_one(tiny):
    assert (
        tiny.adjacency(RATES, "confidence", "max").toarray().tolist()
        == tiny.adjacency(RATES).toarray().tolist()
    )
    assert tiny.adjacency(RATES, "confidence", "sum")[0, 0] == 2


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 2), st.floats(-4, 4, width=16)), max_size=12
    ),
    st.sampled_from(["sum", "mean", "max", "last", "binary"]),
)
def test_adjacency_against_a_loop(rows, duplicates):
    hin = HIN(
        {"user": {"id": ["a", "b", "c"]}, "item": {"id": ["x", "y", "z"]}},
        {
            RATES: {
                "src": pa.array([r[0] for r in rows], pa.int32()),
                "dst": pa.array([r[1] for r in rows], pa.int32()),
                "w": pa.array([r[2] for r in rows], pa.float64()),
            }
        },
    )
    cells: dict = {}
    for u, i, w in rows:
        cells.setdefault((u, i), []).append(w)
    merge = {
        "sum": sum,
        "mean": lambda v: sum(v) / len(v),
        "max": max,
        "last": lambda v: v[-1],
        "binary": lambda v: 1,
    }
    expected = np.zeros((3, 3), np.float32)
    for at, values in cells.items():
        expected[at] = merge[duplicates](values)
    matrix = hin.adjacency(RATES, "w", duplicates)
    np.testing.assert_allclose(matrix.toarray(), expected, rtol=1e-6)
    assert matrix.nnz == len(cells)


def test_metapaths_by_hand(tiny):
    # rates: ann i1 i2, bob i1 i3, cid i3; has: i1 -> 10, i2 -> 10, i3 -> 10 20
    assert tiny.metapath("user", "item", "user").toarray().tolist() == [
        [2, 1, 0],
        [1, 2, 1],
        [0, 1, 1],
    ]
    assert tiny.metapath(RATES, HAS).toarray().tolist() == [[2, 0], [2, 1], [1, 1]]
    assert tiny.metapath("user", "item", "genre").toarray().tolist() == [[2, 0], [2, 1], [1, 1]]
    assert tiny.metapath("genre", "item", "user").toarray().tolist() == [[2, 2, 1], [0, 1, 1]]
    assert tiny.metapath(RATES).toarray().tolist() == tiny.adjacency(RATES).toarray().tolist()
    assert tiny.metapath(RATES, RATES).toarray().tolist() == [[2, 1, 0], [1, 2, 1], [0, 1, 1]]
    assert tiny.metapath(HAS, RATES).toarray().tolist() == [[2, 2, 1], [0, 1, 1]]
    assert tiny.metapath("user", "item", "genre", "item").toarray()[2].tolist() == [1, 1, 2, 0]


def test_pathsim_by_hand(tiny):
    expected = [[1, 2 * 1 / (2 + 2), 0], [0.5, 1, 2 * 1 / (2 + 1)], [0, 2 / 3, 1]]
    np.testing.assert_allclose(
        tiny.metapath("user", "item", "user", pathsim=True).toarray(), expected, rtol=1e-6
    )
    with raises(ValueError, names="symmetric"):
        tiny.metapath("user", "item", "genre", pathsim=True)
    follows = HIN.from_tables(
        {"user": {"id": ["a", "b", "c"]}}, {KNOWS: {"src": ["a", "b"], "dst": ["b", "c"]}}
    )
    assert follows.metapath("user", "user").toarray().tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    with raises(ValueError, names="symmetric"):
        follows.metapath(KNOWS, KNOWS, pathsim=True)
    both_ways = follows.with_edges(KNOWS, {"src": ["b", "c"], "dst": ["a", "b"]})
    assert both_ways.metapath(KNOWS, KNOWS, pathsim=True).toarray()[0].tolist() == [1, 0, 1]


@given(st.data())
def test_metapaths_in_blocks_are_those_at_once(data):
    n = data.draw(st.integers(1, 6))
    at = st.integers(0, n - 1)
    rows = data.draw(st.lists(st.tuples(at, at), max_size=20))
    ends = {
        "src": pa.array([a for a, _ in rows], pa.int32()),
        "dst": pa.array([b for _, b in rows], pa.int32()),
    }
    hin = HIN(
        {"user": {"id": np.arange(n)}, "item": {"id": np.arange(n)}}, {RATES: ends, KNOWS: ends}
    )
    for path in (
        ("user", "item", "user"),
        (KNOWS, RATES),
        ("user", "item", "user", "item"),
        (KNOWS, KNOWS, KNOWS),
    ):
        whole = hin.metapath(*path)
        need = whole.nnz * 8 * 4 // 3 + 8
        for memory in (need, 10 * need, 10**6):
            blocked = hin.metapath(*path, memory=memory)
            assert blocked.toarray().tolist() == whole.toarray().tolist()
            assert blocked.dtype == whole.dtype == np.float32
    sims = [hin.metapath("user", "item", "user", pathsim=True, memory=m) for m in (None, 10**6)]
    np.testing.assert_array_equal(sims[0].toarray(), sims[1].toarray())


def test_a_metapath_that_does_not_fit_says_what_it_needs():
    dense = {"src": np.repeat(np.arange(50), 20), "dst": np.tile(np.arange(20), 50)}
    hin = HIN({"user": {"id": np.arange(50)}, "item": {"id": np.arange(20)}}, {RATES: dense})
    with raises(MemoryError, names="memory"):
        hin.metapath("user", "item", "user", memory=2000)
    with raises(MemoryError, names="memory"):
        hin.metapath("user", "item", "user", memory=0)
    assert hin.metapath("user", "item", "user", memory=30_000).nnz == 2500


def test_pathsim_needs_a_way_back_to_oneself():
    friends = HIN.from_tables(
        {"user": {"id": list("ab")}}, {KNOWS: {"src": list("ab"), "dst": list("ba")}}
    )
    with raises(ValueError, names="PathSim"):
        friends.metapath(KNOWS, pathsim=True)


def test_metapaths_that_do_not_exist(tiny):
    with raises(UnknownNameError, asked=("user", "genre")):
        tiny.metapath("user", "genre")
    with raises(UnknownNameError, asked="usr"):
        tiny.metapath("usr", "item")
    knowing = tiny.with_edges(KNOWS, {"src": ["ann"], "dst": ["bob"]})
    with raises(ValueError, names="metapath"):
        knowing.metapath(HAS, KNOWS)
    with raises(ValueError, names="metapath"):
        tiny.metapath("user")
    with raises(ValueError, names="metapath"):
        tiny.metapath()
    two = tiny.with_edges(("user", "buys", "item"), {"src": ["ann"], "dst": ["i4"]})
    with raises(UnknownNameError, asked=("user", "item")):
        two.metapath("user", "item")


def test_vectors_and_what_fills_holes(tiny):
    assert tiny.vectors("item").tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert tiny.vectors(RATES, "time").tolist() == [[1], [2], [3], [4], [5], [6]]
    holes = tiny.with_column("item", "x", [[1.0, 2.0], None, [3.0, 4.0], None])
    with raises(SchemaError, names="item"):
        holes.vectors("item")
    assert holes.vectors("item", fill=-1)[[1, 3]].tolist() == [[-1, -1], [-1, -1]]
    assert holes.vectors("item", fill="mean")[[0, 1]].tolist() == [[1, 2], [2, 3]]
    assert tiny.vectors("user", "age", fill="mean").tolist() == [[30], [35.5], [41]]
    nothing = tiny.with_column("item", "x", pa.array([None] * 4, pa.list_(pa.float32(), 2)))
    assert nothing.vectors("item", fill="mean").tolist() == [[0, 0]] * 4
    with raises(ValueError, names="median"):
        holes.vectors("item", fill="median")
    with raises(SchemaError, names="item"):
        tiny.vectors("item", "title")


# ---- tables from anywhere ------------------------------------------------------------------------


def test_pandas_polars_arrow_and_dicts_give_equal_graphs(tiny):
    users = {"id": ["ann", "bob", "cid"], "age": [30, None, 41]}
    items = {
        "id": ["i1", "i2", "i3", "i4"],
        "title": ["One", None, "Three", "Four"],
        "x": np.arange(8.0).reshape(4, 2).tolist(),
    }
    genres = {"id": [10, 20]}
    rates = {
        "src": ["ann", "ann", "bob", "ann", "cid", "bob"],
        "dst": ["i1", "i2", "i1", "i1", "i3", "i3"],
        "rating": [5.0, 3.0, 4.0, 1.0, 2.0, 5.0],
        "time": [1, 2, 3, 4, 5, 6],
    }
    has = {"src": ["i1", "i2", "i3", "i3"], "dst": [10, 10, 10, 20]}
    sources = {
        "arrow": pa.table,
        "polars": pl.DataFrame,
        "pandas": lambda t: (
            pd.DataFrame(t).astype({"age": "Int64"}) if "age" in t else pd.DataFrame(t)
        ),
        "large": lambda t: pa.table(pl.DataFrame(t)).cast(
            pa.schema(
                [
                    pa.field(n, pa.large_string())
                    if pl.DataFrame(t)[n].dtype == pl.String
                    else pa.table(pl.DataFrame(t)).schema.field(n)
                    for n in t
                ]
            )
        ),
    }
    prints = {tiny.fingerprint()}
    for name, make in sources.items():
        hin = HIN.from_tables(
            {"user": make(users), "item": make(items), "genre": make(genres)},
            {RATES: make(rates), HAS: make(has)},
        )
        assert hin == tiny, name
        prints.add(hin.fingerprint())
    assert len(prints) == 1


def test_integer_ids_come_back_as_integers(tiny):
    assert tiny.ids("genre").to_pylist() == [10, 20]
    assert tiny.ids("genre", [1]).to_pylist() == [20]
    assert tiny.ids("user", np.array([2, 0])).to_pylist() == ["cid", "ann"]
    assert tiny.positions("genre", [20, 10]).tolist() == [1, 0]
    assert tiny.positions("genre", ["20"]).tolist() == [1]
    small = HIN.from_tables({"u": {"id": np.array([3, 1], np.uint8)}}, {})
    assert small.ids("u").type == pa.uint8()
    more = small.with_nodes("u", {"id": np.array([9], np.uint8)})
    assert more.ids("u").to_pylist() == [3, 1, 9]
    assert small.with_nodes("u", {"id": ["text"]}).ids("u").to_pylist() == ["3", "1", "text"]
    generated = tiny + Delta({"genre": {"id": ["new"]}})
    assert generated.ids("genre").to_pylist() == ["10", "20", "new"]
    assert generated.ids("genre", [1]).to_pylist() == [20]


def test_unicode_and_right_to_left_ids():
    ids = ["مستخدم", "משתמש", "用户", "e\u0301", "é", "", " ", "a\x00b", "👩‍👩‍👧"]
    hin = HIN.from_tables(
        {"user": {"id": ids}, "item": {"id": ids}}, {RATES: {"src": ids, "dst": ids[::-1]}}
    )
    assert hin.ids("user").to_pylist() == ids
    assert hin.positions("item", ids).tolist() == list(range(9))
    assert hin.adjacency(RATES).toarray().tolist() == np.eye(9)[::-1].tolist()


def test_empty_types_isolated_nodes_and_the_smallest_graphs():
    nothing = HIN({}, {})
    assert repr(nothing) == "HIN(; )"
    assert nothing == HIN({}, {})
    empty = HIN.from_tables(
        {"user": {"id": []}, "item": {"id": []}}, {RATES: {"src": [], "dst": []}}
    )
    assert empty.adjacency(RATES).shape == (0, 0)
    assert empty.ids("user").to_pylist() == []
    one = HIN.from_tables(
        {"user": {"id": ["u"]}, "item": {"id": ["i"]}}, {RATES: {"src": ["u"], "dst": ["i"]}}
    )
    assert one.adjacency(RATES).toarray().tolist() == [[1]]
    assert one.metapath("user", "item", "user", pathsim=True).toarray().tolist() == [[1]]
    lonely = HIN.from_tables(
        {"user": {"id": ["u"]}, "item": {"id": ["i"]}},
        {RATES: {"src": [], "dst": [], "rating": []}},
    )
    assert lonely.adjacency(RATES).nnz == 0
    assert lonely.metapath("user", "item", "user", pathsim=True).nnz == 0
    for hin in (nothing, empty, one, lonely):
        assert hin.summary()
        assert hin._repr_html_()
        assert len(hin.fingerprint()) == 64
    assert (
        HIN.from_tables(
            {"user": pl.DataFrame({"id": []}), "item": pd.DataFrame({"id": []})},
            {RATES: pd.DataFrame({"src": [], "dst": []})},
        )
        == empty
    )


def test_a_graph_does_not_change_with_the_arrays_it_was_made_from():
    ages, x, frame = (
        np.array([1.0, 2.0]),
        np.ones((2, 2), np.float32),
        pd.DataFrame({"id": ["i", "j"], "year": [3, 4]}),
    )
    ends, series = np.array([0, 1], np.int32), pd.Series([5, 6])
    hin = HIN(
        {"user": {"id": ["a", "b"], "age": ages, "x": x}, "item": frame},
        {RATES: {"src": ends, "dst": ends}},
    )
    hin = hin.with_column("user", "visits", series).with_column("item", "x", x)
    matrix = sp.coo_array(
        (np.ones(2), (np.array([0, 1], np.int32), np.array([1, 0], np.int32))), shape=(2, 2)
    )
    other = from_scipy(matrix)
    before = hin.fingerprint(), other.fingerprint()
    ages[0], x[0, 0], ends[0], series[0], matrix.coords[0][0] = 9, 9, 9, 9, 9
    frame.loc[0, "year"] = 9
    hin._cache.clear()
    other._cache.clear()
    assert (hin.fingerprint(), other.fingerprint()) == before
    arrow = pa.array([1.0, 2.0])
    shared = hin.with_column("user", "age", arrow).column("user", "age")
    assert (
        shared.buffers()[1].address == arrow.buffers()[1].address
    )  # Arrow's own arrays cannot be written to


def test_ids_as_categories_are_looked_up_word_by_word(tiny):
    users = pd.Series(["bob", "ann", "bob"]).astype("category")
    hin = tiny.with_edges(KNOWS, {"src": users, "dst": ["cid", "cid", "ann"]})
    assert hin.links(KNOWS)[0].tolist() == [1, 0, 1]
    with raises(SchemaError, names="src"):
        tiny.with_edges(KNOWS, {"src": pd.Categorical(["ann", "zed"]), "dst": ["cid", "cid"]})
    with raises(SchemaError, names="src"):
        tiny.with_edges(KNOWS, {"src": pd.Categorical(["ann", None]), "dst": ["cid", "cid"]})


# ---- what is refused -----------------------------------------------------------------------------

USERS, ITEMS = {"id": ["a", "b"]}, {"id": ["x"]}


@pytest.mark.parametrize(
    ("nodes", "edges", "says"),
    [
        ({"user": {"name": ["a"]}}, {}, "nodes 'user': no column 'id'; there is ['name']"),
        ({"user": {"ids": ["a"]}}, {}, "there is ['ids']; did you mean 'ids'?"),
        (
            {"user": {"id": ["a", "b", "a", "b", "c"]}},
            {},
            "ids must be unique; 'a', 'b' stand again in rows 0, 1, 2, 3; drop or merge",
        ),
        (
            {"user": {"id": ["a", None]}},
            {},
            "no id (null) in rows 1; give each row an id or drop it",
        ),
        (
            {"user": {"id": [1.0, 2.0]}},
            {},
            "ids are strings or integers, these are double; ids read as floats",
        ),
        ({"user": pd.DataFrame({"id": [1, np.nan]})}, {}, "no id (null) in rows 1"),
        ({"user": {"id": ["a"], "x": [{"deep": 1}]}}, {}, "nested records (struct<deep: int64>)"),
        (
            {"user": pd.DataFrame({"id": ["a", "b"], "m": [1, "x"]})},
            {},
            "column 'm': the values are not of one type",
        ),
        ({"user": {"id": ["a", "b"], "x": [[1.0], [1.0, 2.0]]}}, {}, "vectors of uneven length"),
        ({"user": {"id": ["a", "b"], "x": [1]}}, {}, "columns of unlike length {'id': 2, 'x': 1}"),
        ({"user": {"id": ["a"], "origin": ["x"]}}, {}, "column 'origin' is reserved"),
        ({"user": {"id": ["a"], "key": ["x"]}}, {}, "column 'key' is reserved"),
        ({"": USERS}, {}, "a node type is a non-empty string"),
        ({3: USERS}, {}, "a node type is a non-empty string, such as 'user'; got 3"),
        ({"user": [1]}, {}, "expected a table"),
        (
            {"user": USERS, "item": ITEMS},
            {("usr", "rates", "item"): {"src": [], "dst": []}},
            "no node type 'usr'; this graph has ['user', 'item']; did you mean 'user'?",
        ),
        (
            {"user": USERS, "item": ITEMS},
            {("user", "item"): {"src": [], "dst": []}},
            "an edge type is a tuple (source, relation, target)",
        ),
        (
            {"user": USERS, "item": ITEMS},
            {"rates": {"src": [], "dst": []}},
            "an edge type is a tuple (source, relation, target)",
        ),
        (
            {"user": USERS, "item": ITEMS},
            {RATES: {"src": ["a"]}},
            "no column 'dst', the ids of 'item' nodes",
        ),
        (
            {"user": USERS, "item": ITEMS},
            {RATES: {"src": ["a", "z", "aa"], "dst": ["x", "x", "x"]}},
            "2 of 3 ids are no 'user' nodes: 'z', 'aa' (first rows 1, 2)",
        ),
        (
            {"user": USERS, "item": ITEMS},
            {RATES: {"src": ["a"], "dst": [None]}},
            "column 'dst': no id (null) in rows 0",
        ),
        (
            {"user": USERS, "item": ITEMS},
            {RATES: {"src": ["a"], "dst": [1.0]}},
            "ids are strings or integers",
        ),
        (
            {"user": USERS, "item": ITEMS},
            {RATES: {"src": ["a"], "dst": ["x"], "confidence": [1]}},
            "column 'confidence' is reserved",
        ),
    ],
)
def test_tables_that_do_not_fit(nodes, edges, says):
    with pytest.raises(SchemaError) as error:
        HIN.from_tables(nodes, edges)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("edges", "says"),
    [
        ({"src": ["a"], "dst": [0]}, "positions are integers without nulls, these are string"),
        ({"src": [None, 1], "dst": [0, 0]}, "these are int64 with 1 nulls"),
        (
            {"src": [0, 2], "dst": [0, 0]},
            "position 2 in row 1 points past the 2 nodes of 'user' (1 such rows)",
        ),
        ({"src": [0, -1], "dst": [0, 0]}, "position -1 in row 1"),
        (
            {"src": np.array([0, 2**63], np.uint64), "dst": [0, 0]},
            "position 9223372036854775808 in row 1",
        ),
        ({"dst": [0]}, "no column 'src'"),
    ],
)
def test_positions_that_do_not_fit(edges, says):
    with pytest.raises(SchemaError) as error:
        HIN({"user": USERS, "item": ITEMS}, {RATES: edges})
    assert says in str(error.value)


def test_unknown_names_suggest_the_nearest(tiny):
    for call, says in (
        (
            lambda: tiny.nodes["usr"],
            "no node type 'usr'; this graph has ['user', 'item', 'genre']; did you mean 'user'?",
        ),
        (lambda: tiny.edges["user", "rate", "item"], "did you mean ('user', 'rates', 'item')?"),
        (lambda: tiny.adjacency(("a", "b", "c")), "no edge type ('a', 'b', 'c'); this graph has"),
        (lambda: tiny.column("item", "titel"), "no column 'titel' in 'item'"),
        (lambda: tiny.vectors("item", "y"), "it has ['id', 'title', 'x']"),
        (lambda: tiny.n("films"), "no node type 'films'"),
        (
            lambda: tiny.positions("user", ["anna"]),
            "1 of 1 ids are no 'user' nodes: 'anna' (first rows 0); there are 3; did you mean "
            "'ann'?",
        ),
        (lambda: tiny.filter_nodes("usr", []), "did you mean 'user'"),
        (lambda: tiny.drop("usr"), "did you mean 'user'"),
        (lambda: with_lineage(tiny, {"item": {"titel": "row"}}), "did you mean 'title'"),
    ):
        with pytest.raises(SchemaError) as error:
            call()
        assert says in str(error.value)
    with pytest.raises(KeyError):
        tiny.nodes["usr"]
    assert "usr" not in tiny.nodes
    assert "user" in tiny.nodes


# ---- new graphs ----------------------------------------------------------------------------------


def test_views_cannot_be_written(tiny):
    with pytest.raises(TypeError):
        tiny.nodes["user"] = tiny.nodes["item"]
    with pytest.raises(TypeError):
        del tiny.edges[RATES]
    with pytest.raises(AttributeError):
        tiny.schema.nodes = {}


def test_changes_give_new_graphs_that_share_the_old_columns(tiny):
    before = tiny.fingerprint()
    wider = tiny.with_column("user", "city", ["Rome", None, "Oslo"], lineage="row")
    assert wider.schema.nodes["user"]["city"] == Column(pa.string(), "row")
    assert wider.nodes["item"] is tiny.nodes["item"]
    assert (
        wider.nodes["user"]["age"].chunk(0).buffers()[1].address
        == tiny.nodes["user"]["age"].chunk(0).buffers()[1].address
    )
    assert wider.with_column("user", "city", [1, 2, 3]).column("user", "city").to_pylist() == [
        1,
        2,
        3,
    ]
    more = tiny.with_edges(RATES, {"src": ["cid"], "dst": ["i4"], "rating": [1.0], "note": ["new"]})
    assert more.n(RATES) == 7
    assert more.edges[RATES].column_names == ["src", "dst", "rating", "time", "note"]
    similar = tiny.with_edges(
        ("item", "similar", "item"), {"src": ["i1"], "dst": ["i2"]}, lineage="aggregate"
    )
    assert similar.schema.edge_lineage["item", "similar", "item"] == "aggregate"
    grown = tiny.with_nodes("shop", {"id": ["s"]}).with_nodes("user", {"id": ["dee"]})
    assert grown.n("user") == 4
    assert grown.nodes["user"]["age"].to_pylist() == [30, None, 41, None]
    assert tiny.fingerprint() == before
    assert tiny.filter_edges(RATES, np.ones(6, bool)) is tiny
    for call, says in (
        (lambda: tiny.with_column("user", "id", [1, 2, 3]), "the store's own"),
        (lambda: tiny.with_column("user", "key", [1, 2, 3]), "the store's own"),
        (lambda: tiny.with_column("user", "z", [1]), "1 values for 3 observed rows"),
        (
            lambda: tiny.with_column("user", "z", [1, 2, 3], lineage="rows"),
            "lineage 'rows' is not one of",
        ),
        (lambda: tiny.with_nodes("user", {"id": ["ann"]}), "ids must be unique"),
        (lambda: tiny.with_edges(RATES, {"src": ["x"], "dst": ["i1"]}), "ids are no 'user' nodes"),
        (lambda: tiny.filter_edges(RATES, [1, 0]), "one bool per observed row"),
        (
            lambda: tiny.filter_nodes("user", np.ones(2, bool)),
            "there are 3, the mask has bool (2,)",
        ),
    ):
        with pytest.raises((SchemaError, ValueError)) as error:
            call()
        assert says in str(error.value)


def test_filtering_and_dropping(tiny):
    few = tiny.filter_edges(RATES, np.array([True, False, True, False, False, True]))
    assert few.edges[RATES]["time"].to_pylist() == [1, 3, 6]
    without_ann = tiny.filter_nodes("user", np.array([False, True, True]))
    assert without_ann.ids("user").to_pylist() == ["bob", "cid"]
    assert without_ann.adjacency(RATES).toarray().tolist() == [[1, 0, 1, 0], [0, 0, 1, 0]]
    without_i1 = tiny.filter_nodes("item", np.array([False, True, True, True]))
    assert without_i1.adjacency(HAS).toarray().tolist() == [[1, 0], [1, 1], [0, 0]]
    assert list(tiny.drop("genre").edges) == [RATES]
    assert list(tiny.drop(RATES).edges) == [HAS]
    knows = HIN.from_tables(
        {"user": {"id": list("abc")}}, {KNOWS: {"src": list("aab"), "dst": list("bcc")}}
    )
    assert knows.filter_nodes("user", np.array([True, False, True])).adjacency(
        KNOWS
    ).toarray().tolist() == [
        [0, 1],
        [0, 0],
    ]


def test_lineage(tiny):
    every = HIN.from_tables(
        {"u": {"id": ["a"], "x": [1]}},
        {("u", "r", "u"): {"src": ["a"], "dst": ["a"], "w": [1]}},
        lineage="row",
    )
    assert (
        every.schema.nodes["u"]["x"].lineage
        == every.schema.edges["u", "r", "u"]["w"].lineage
        == "row"
    )
    assert every.schema.edge_lineage["u", "r", "u"] == "row"
    some = with_lineage(tiny, {"item": {"x": "aggregate"}, RATES: "row"})
    assert some.schema.nodes["item"] == {
        "title": Column(pa.string()),
        "x": Column(pa.list_(pa.float32(), 2), "aggregate"),
    }
    assert some.schema.edges[RATES]["time"].lineage == "row"
    assert tiny.schema.edge_lineage == {RATES: None, HAS: None}
    for changed in (
        some.filter_edges(RATES, np.arange(6) < 2),
        some.filter_nodes("item", np.arange(4) < 2),
        some + Delta({"item": {"id": ["n"]}}),
    ):
        assert changed.schema.nodes == some.schema.nodes
        assert changed.schema.edges == some.schema.edges


# ---- comparing and showing -----------------------------------------------------------------------


def test_equality_ordered_and_not(tiny):
    order = np.array([3, 0, 5, 1, 4, 2])
    shuffled = HIN(dict(tiny.nodes), {RATES: tiny.edges[RATES].take(order), HAS: tiny.edges[HAS]})
    assert shuffled != tiny
    assert shuffled.equals(tiny, ordered=False)
    assert shuffled.fingerprint() != tiny.fingerprint()
    users = tiny.nodes["user"].take([2, 0, 1])
    moved = HIN.from_tables(
        {**tiny.nodes, "user": users},
        {
            RATES: {
                **{c: tiny.edges[RATES][c] for c in ("rating", "time")},
                "src": tiny.ids("user", tiny.links(RATES)[0]),
                "dst": tiny.ids("item", tiny.links(RATES)[1]),
            },
            HAS: {
                "src": tiny.ids("item", tiny.links(HAS)[0]),
                "dst": tiny.ids("genre", tiny.links(HAS)[1]),
            },
        },
    )
    assert moved.equals(tiny, ordered=False)
    assert moved != tiny
    once = tiny.filter_edges(RATES, np.arange(6) != 3)
    assert not once.equals(tiny, ordered=False)
    assert tiny != 3
    assert tiny != tiny.drop("genre")
    with pytest.raises(TypeError):
        hash(tiny)


@given(st.data())
def test_fingerprints_follow_equality(graphs, data):
    one, two = data.draw(graphs()), data.draw(graphs())
    assert (one.fingerprint() == two.fingerprint()) == (one == two)
    again = HIN(dict(one.nodes), dict(one.edges))
    assert again == one
    assert again.fingerprint() == one.fingerprint()
    assert again.equals(one, ordered=False)


def test_repr_summary_and_html(tiny):
    both = tiny.with_column("item", "cost", [1.0, None, None, 2.0], lineage="row") + Delta(
        {"user": {"id": ["g"]}}, {RATES: {"src": ["g"], "dst": ["i4"]}}, origin="vae"
    )
    assert repr(tiny) == "HIN(user 3, item 4, genre 2; user rates item 6, item has genre 4)"
    assert (
        repr(both) == "HIN(user 4, item 4, genre 2; user rates item 7, item has genre 4; 1 deltas)"
    )
    summary = both.summary()
    for words in (
        "+ 1 generated",
        "x vector[2]",
        "cost double(row) 50% null",
        "title string 25% null",
        "Delta(1 user nodes, 1 user rates item edges by vae)",
    ):
        assert words in summary
    assert "origin" not in summary
    many = HIN(
        {"n": {"id": range(300), "a": [None, *range(299)], "b": [1, *[None] * 299]}},
        {},
    )
    joined = pa.table({"src": [0], "dst": [1], "kind": pa.array(["x"]).dictionary_encode()})
    words = many.with_edges(("n", "to", "n"), joined, lineage="row").summary()
    assert "a int64 <1% null, b int64 >99% null" in words
    assert "kind category, edges(row)" in words
    wide = HIN({"n": {"id": [1], **{f"c{n}": [1] for n in range(3000)}}}, {}).summary()
    assert "c29 int64, and 2,970 more" in wide
    assert "c30" not in wide
    html = both._repr_html_()
    assert "<td>user</td><td>3</td><td>1</td>" in html
    assert "<td>user → rates → item</td><td>6</td><td>1</td>" in html
    nasty = HIN({"<b>u</b>": {"id": ["a"], "<script>": [1]}}, {})
    assert "<script>" not in nasty._repr_html_()
    assert "&lt;b&gt;u&lt;/b&gt;" in nasty._repr_html_()
    assert str(tiny.schema).splitlines()[1] == "item: title string, x vector[2]"
    assert "user -rates-> item: rating double, time int64" in str(tiny.schema)


def test_a_graph_is_read_only(tiny):
    for name in ("edges", "nodes", "deltas", "anything"):
        with pytest.raises(ReadOnlyError) as error:
            setattr(tiny, name, {})
        assert error.value.asked == name
    with pytest.raises(ReadOnlyError):
        del tiny.nodes
    with pytest.raises(TypeError):
        tiny._nodes["user"] = None
    assert tiny.n("user") == 3


def test_graphs_are_pickled_and_copied(tiny):
    again = pickle.loads(pickle.dumps(tiny))
    assert again == tiny
    assert again.fingerprint() == tiny.fingerprint()
    assert copy.deepcopy(tiny) is tiny


def test_nodes_may_be_made_of_the_ids_that_edges_name():
    edges = {RATES: {"src": [1, 2, 1], "dst": ["x", "y", "y"]}}
    hin = HIN.from_tables({}, edges, missing="add")
    assert hin.ids("user").to_pylist() == [1, 2]
    assert hin.ids("item").to_pylist() == ["x", "y"]
    assert hin.n(RATES) == 3
    turned = {RATES: {"src": [2, 1, 1], "dst": ["y", "y", "x"]}}
    again = HIN.from_tables({}, turned, missing="add")
    assert again.ids("user").to_pylist() == [1, 2], "the order of edges tells nothing"
    assert again.ids("item").to_pylist() == ["x", "y"]
    known = {"user": {"id": [2, 9], "age": [20, 90]}}
    hin = HIN.from_tables(known, edges, missing="add")
    assert hin.ids("user").to_pylist() == [2, 9, 1]
    assert hin.column("user", "age").to_pylist() == [20, 90, None]
    with pytest.raises(UnknownNameError):
        HIN.from_tables({}, edges)
    with pytest.raises(ParameterError) as error:
        HIN.from_tables({}, edges, missing="drop")
    assert error.value.there == ("error", "add")


def test_what_has_no_order_or_no_value_is_refused():
    users = {"id": ["a", "b"]}
    for tags in ([{"x", "y"}, {"z"}], {"x", "y"}, pd.Series([{"x"}, None])):
        with raises(SchemaError, asked="set"):
            HIN.from_tables({"user": {**users, "tags": tags}}, {})
    with raises(SchemaError, asked="Object") as error:
        HIN.from_tables({"user": pl.DataFrame({**users, "thing": [object(), object()]})}, {})
    assert error.value.asked == "Object"


def test_edges_whose_rows_share_objects_are_those_of_a_list():
    users, items = [f"user {i}" for i in range(5)], np.arange(4).astype(object)
    twice = [*users, *("user " + name[-1] for name in users)]  # equal ids, other objects
    rng = np.random.default_rng(0)
    src = np.array(twice, object)[rng.integers(0, len(twice), 100)]
    dst = items[rng.integers(0, 4, 100)]
    nodes = {"user": {"id": users}, "item": {"id": np.arange(4)}}

    def built(src, dst):
        return HIN.from_tables(nodes, {RATES: {"src": src, "dst": dst}})

    expected = built(src.tolist(), dst.tolist()).fingerprint()
    assert built(src, dst).fingerprint() == expected
    assert built(pd.Series(src), pd.Series(dst)).fingerprint() == expected
    for wrong, said in (("user 9", "user 9"), (None, "src")):
        unlike = src.copy()
        unlike[unlike == users[0]] = wrong
        with raises(SchemaError, names=said):
            built(unlike, dst)
