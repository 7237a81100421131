"""Every door, there and back: what the module's docstring says is kept is kept, and what it says is
lost is all.
"""

from __future__ import annotations

import builtins
import tempfile

import networkx as nx
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data, HeteroData

from hinaug.errors import SchemaError, UnknownNameError
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.io import convert

RATES = ("user", "rates", "item")
KNOWS = ("user", "knows", "user")


@pytest.fixture(scope="session")
def drawn(graphs, deltas):
    """A random graph, half of the time with deltas."""

    def draw(data) -> HIN:
        hin = data.draw(graphs())
        if data.draw(st.booleans()):
            hin = hin + data.draw(deltas(hin, "a", 0)) + data.draw(deltas(hin, "b", 1))
        return hin

    return draw


def marks(hin: HIN) -> dict:
    types = [*hin.nodes, *hin.edges]
    return {
        (t, c): hin.column(t, c).to_pylist() for t in types for c in ("origin", "confidence", "key")
    }


# ---- there and back ------------------------------------------------------------------------------


@given(st.data())
def test_parquet_loses_nothing(drawn, data):
    hin = drawn(data)
    with tempfile.TemporaryDirectory() as folder:
        convert.to_parquet(hin, folder)
        back = convert.from_parquet(folder)
    assert back == hin
    assert marks(back) == marks(hin)
    for type, columns in hin.schema.nodes.items():
        assert {n: c for n, c in back.schema.nodes[type].items() if n in columns} == columns
    assert back.ids("item", []).type == hin.ids("item", []).type == pa.int64()


@given(st.data())
def test_pandas_loses_lineage_only(drawn, data):
    hin = drawn(data)
    back = convert.from_pandas(convert.to_pandas(hin))
    assert seen(back) == seen(hin)
    assert marks(back) == marks(hin)


def seen(hin: HIN, floats: bool = False) -> dict:
    """All rows by type; a column of nothing but nulls has no type to speak of. floats: every number
    as a float.
    """
    out = {}
    for type in [*hin.nodes, *hin.edges]:
        table = hin.table(type)
        for name in table.column_names:
            column = table[name]
            if (
                floats
                and column.null_count
                and (pa.types.is_integer(column.type) or pa.types.is_boolean(column.type))
            ):
                column = column.cast(pa.float64())
            kind = column.type if column.null_count < len(column) else None
            out[type, name] = (kind, column.to_pylist())
    return out


@given(st.data())
def test_networkx_keeps_all_but_the_order_of_edges(drawn, data):
    hin = drawn(data)
    graph = convert.to_networkx(hin)
    back = convert.from_networkx(graph)
    assert back.equals(hin, ordered=False)
    assert [back.nodes[t] for t in back.nodes] == [hin.nodes[t] for t in hin.nodes]
    for type, columns in hin.schema.edges.items():
        assert {n: c for n, c in back.schema.edges[type].items() if n in columns} == columns
    del graph.graph["hinaug_schema"]
    plain = convert.from_networkx(graph)
    for type in plain.nodes:
        assert plain.nodes[type]["id"].equals(hin.nodes[type]["id"])
    for type in plain.edges:
        assert plain.n(type) == hin.n(type)


@given(st.data())
def test_pyg_keeps_numbers_vectors_text_and_ids(drawn, data):
    hin = drawn(data)
    graph = convert.to_pyg(hin)
    back = convert.from_pyg(graph)
    assert seen(back, floats=True) == seen(hin, floats=True)
    assert marks(back) == marks(hin)


@given(st.data())
def test_scipy_keeps_one_weighted_relation(graphs, data):
    hin = data.draw(graphs())
    matrix = hin.adjacency(RATES)
    back = convert.from_scipy(matrix, RATES, row_ids=hin.ids("user"), col_ids=hin.ids("item"))
    assert (back.adjacency(RATES) != matrix).nnz == 0
    assert back.ids("item").equals(hin.ids("item"))
    assert back.edges[RATES].column_names == ["src", "dst"]


# ---- PyG -----------------------------------------------------------------------------------------


@pytest.fixture
def augmented(tiny) -> HIN:
    return tiny + Delta(
        {"user": {"id": ["g"], "age": [5]}},
        {RATES: {"src": ["g"], "dst": ["i4"], "confidence": [0.25]}},
        origin="gan",
    )


def test_to_pyg_by_hand(augmented):
    data = convert.to_pyg(augmented)
    assert data["user"].num_nodes == 4
    assert data["user"].id == ["ann", "bob", "cid", "g"]
    assert data["genre"].id == [10, 20]
    torch.testing.assert_close(
        data["user"].age,
        torch.tensor([30, float("nan"), 41, 5], dtype=torch.float64),
        equal_nan=True,
    )
    assert data["user"].generated.tolist() == [False, False, False, True]
    assert data["user"].origin == [None, None, None, "gan"]
    assert data["item"].x.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert data["item"].title == ["One", None, "Three", "Four"]
    assert not data["item"].generated.any()
    assert data[RATES].edge_index.dtype == torch.int64
    assert data[RATES].edge_index.tolist() == [[0, 0, 1, 0, 2, 1, 3], [0, 1, 0, 0, 2, 2, 3]]
    assert data[RATES].generated.tolist() == [False] * 6 + [True]
    assert data[RATES].confidence.tolist() == [1] * 6 + [0.25]
    assert torch.isnan(data[RATES].rating[6])
    assert data[RATES].time[:6].tolist() == [1, 2, 3, 4, 5, 6]


def test_pyg_shares_memory_with_the_graph(tiny):
    data = convert.to_pyg(tiny)
    assert data["item"].x.data_ptr() == tiny.vectors("item").ctypes.data
    assert (
        data[RATES].rating.data_ptr() == tiny.edges[RATES]["rating"].chunk(0).to_numpy().ctypes.data
    )


def test_pyg_vectors_can_be_chosen(tiny):
    hin = tiny.with_column("item", "bert", np.ones((4, 3))).with_column(
        "user", "emb", [[1.0, 2.0], None, [3.0, 4.0]]
    )
    data = convert.to_pyg(hin, {"item": "bert", "user": "emb"})
    assert data["item"].x.shape == (4, 3)
    assert "bert" not in data["item"]
    torch.testing.assert_close(
        data["user"].x, torch.tensor([[1, 2], [np.nan, np.nan], [3, 4]]), equal_nan=True
    )
    assert convert.to_pyg(hin)["item"].bert.shape == (4, 3)
    with pytest.raises(SchemaError, match="'title' is no vector column"):
        convert.to_pyg(hin, {"item": "title"})
    with pytest.raises(UnknownNameError, match="did you mean 'bert'"):
        convert.to_pyg(hin, {"item": "bart"})
    with pytest.raises(SchemaError, match="cannot be called 'edge_index'"):
        convert.to_pyg(hin.with_column("item", "edge_index", [1, 2, 3, 4]))


def test_from_pyg_of_a_graph_made_elsewhere():
    data = HeteroData()
    data["user"].num_nodes = 2
    data["item"].x = torch.tensor([[1, 2], [3, 4], [5, 6]])
    data["item"].train_mask = torch.tensor([True, False, True])
    data[RATES].edge_index = torch.tensor([[0, 1], [2, 0]])
    data[RATES].edge_attr = torch.tensor([[0.5], [float("nan")]], requires_grad=True)
    data[RATES].stars = torch.tensor([4, 5])
    hin = convert.from_pyg(data)
    assert hin.ids("user").to_pylist() == [0, 1]
    assert hin.vectors("item").tolist() == [[1, 2], [3, 4], [5, 6]]
    assert hin.nodes["item"]["train_mask"].to_pylist() == [True, False, True]
    assert hin.edges[RATES].to_pylist() == [
        {"src": 0, "dst": 2, "edge_attr": [0.5], "stars": 4},
        {"src": 1, "dst": 0, "edge_attr": None, "stars": 5},
    ]


def test_from_pyg_says_what_it_cannot_take():
    data = HeteroData()
    data["user"].num_nodes = 2
    data["item"].num_nodes = 1
    data[RATES].edge_index = torch.tensor([[0, 1], [0, 1]])
    with pytest.raises(SchemaError, match="points past the 1 nodes of 'item'"):
        convert.from_pyg(data)
    data["item"].num_nodes = 2
    for value, says in (
        (torch.zeros(2, 2, 2), r"\(2, 2, 2\)"),
        (torch.zeros(3), r"\(3,\)"),
        ("text", "str"),
        (3, "int"),
        (torch.tensor(3), r"\(\)"),
    ):
        data["user"].odd = value
        with pytest.raises(
            SchemaError,
            match=rf"'odd' of 'user' \({says}\) has not one value for each of 2 rows; del it",
        ):
            convert.from_pyg(data)
    del data["user"].odd
    convert.from_pyg(data)
    del data[RATES].edge_index
    data[RATES].adj_t = torch.eye(2)
    with pytest.raises(SchemaError, match="has no edge_index"):
        convert.from_pyg(data)
    with pytest.raises(SchemaError, match="takes a HeteroData, got Data"):
        convert.from_pyg(Data())


def test_generated_rows_of_pyg_without_their_origin_stay_generated(augmented):
    data = convert.to_pyg(augmented)
    del data["user"].origin
    del data["user"].key
    back = convert.from_pyg(data)
    assert back.n_observed("user") == 3
    assert back.column("user", "origin").to_pylist()[3] == "unnamed"


# ---- networkx ------------------------------------------------------------------------------------


def test_to_networkx_by_hand(augmented):
    graph = convert.to_networkx(augmented)
    assert isinstance(graph, nx.MultiDiGraph)
    assert graph.number_of_nodes() == 10
    assert graph.number_of_edges() == 11
    assert graph.nodes["user", "ann"] == {"age": 30}
    assert graph.nodes["user", "bob"] == {}
    assert graph.nodes["item", "i2"] == {"x": [2.0, 3.0]}
    ann, one = ("user", "ann"), ("item", "i1")
    assert graph[ann][one] == {
        "rates": {"rating": 5.0, "time": 1},
        ("rates", 1): {"rating": 1.0, "time": 4},
    }
    made = graph["user", "g"]["item", "i4"]["rates"]
    assert (made["origin"], made["confidence"], made["key"]) == (
        "gan",
        0.25,
        augmented.deltas[0].edges[RATES]["key"][0].as_py(),
    )
    assert graph.has_edge(("item", "i3"), ("genre", 20), "has")


def test_from_networkx_of_a_graph_made_elsewhere():
    graph = nx.MultiDiGraph()
    graph.add_node(("user", "a"), age=3)
    graph.add_edge(("user", "a"), ("item", 7), key="rates", stars=4)
    graph.add_edge(("user", "b"), ("item", 7), key=("rates", "again"))
    hin = convert.from_networkx(graph)
    assert hin.nodes["user"].to_pylist() == [{"id": "a", "age": 3}, {"id": "b", "age": None}]
    assert hin.ids("item").to_pylist() == [7]
    assert hin.edges[RATES].to_pylist() == [
        {"src": 0, "dst": 0, "stars": 4},
        {"src": 1, "dst": 0, "stars": None},
    ]
    for change, says in (
        (lambda g: g.add_node("plain"), "nodes are (type, id), this one is 'plain'"),
        (lambda g: g.add_edge(("user", "a"), ("user", "b")), "edge keys are relations"),
        (lambda g: g.add_node(("user", "c"), age="old"), "not of one type"),
        (lambda g: g.add_node(("user", 3)), "not of one type"),
    ):
        wrong = graph.copy()
        change(wrong)
        with pytest.raises(SchemaError) as error:
            convert.from_networkx(wrong)
        assert says in str(error.value)
    with pytest.raises(SchemaError, match="takes a MultiDiGraph, got Graph"):
        convert.from_networkx(nx.Graph())


def test_networkx_attributes_that_changed_since_are_read_anew(tiny):
    graph = convert.to_networkx(tiny)
    graph.nodes["user", "ann"]["age"] = "thirty"
    graph.nodes["user", "cid"]["age"] = "old"
    graph.nodes["user", "bob"]["city"] = "Rome"
    back = convert.from_networkx(graph)
    assert back.nodes["user"].to_pydict() == {
        "id": ["ann", "bob", "cid"],
        "age": ["thirty", None, "old"],
        "city": [None, "Rome", None],
    }


# ---- scipy ---------------------------------------------------------------------------------------


def test_from_scipy_by_hand():
    matrix = sp.csr_matrix(np.array([[0, 2.0], [1, 0], [0, 0.5]]))
    hin = convert.from_scipy(matrix)
    assert hin.ids("user").to_pylist() == [0, 1, 2]
    assert hin.adjacency(RATES, "weight").toarray().tolist() == matrix.toarray().tolist()
    named = convert.from_scipy(np.eye(2), ("a", "b", "c"), row_ids=["x", "y"], col_ids=[5, 6])
    assert named.ids("a").to_pylist() == ["x", "y"]
    assert named.edges["a", "b", "c"].column_names == ["src", "dst"]
    parallel = sp.coo_array(([1.0, 3.0], ([0, 0], [1, 1])), shape=(1, 2))
    assert convert.from_scipy(parallel).n(RATES) == 2
    same = convert.from_scipy(np.array([[0, 1], [0, 0]]), KNOWS, row_ids=["p", "q"])
    assert same.n("user") == 2
    assert convert.from_scipy(sp.csr_array((0, 3))).n("item") == 3
    for bad, ids in ((np.eye(2)[:1], {}), (np.eye(2), {"col_ids": [1, 2]})):
        with pytest.raises(SchemaError, match="square"):
            convert.from_scipy(bad, KNOWS, **ids)
    with pytest.raises(SchemaError, match="3 ids for the 2 'user' nodes"):
        convert.from_scipy(np.eye(2), row_ids=[1, 2, 3])
    with pytest.raises(SchemaError, match=r"array of shape \(2,\)"):
        convert.from_scipy(np.ones(2))


# ---- pandas --------------------------------------------------------------------------------------


def test_to_pandas_by_hand(augmented):
    frames = convert.to_pandas(augmented)
    assert list(frames) == [*augmented.nodes, *augmented.edges]
    rates = frames[RATES]
    assert rates["src"].tolist() == ["ann", "ann", "bob", "ann", "cid", "bob", "g"]
    assert rates["origin"].isna().tolist() == [True] * 6 + [False]
    assert frames["user"]["age"].dtype == pd.Int64Dtype()
    assert frames["item", "has", "genre"]["dst"].tolist() == [10, 10, 10, 20]
    assert frames["item"]["x"][1].tolist() == [2, 3]
    joined = rates.merge(frames["user"], left_on="src", right_on="id")
    assert len(joined) == 7


def test_without_pandas_the_error_says_what_to_install(tiny, monkeypatch):
    real = builtins.__import__

    def none(name, *args, **kwargs):
        if name.split(".")[0] in ("pandas", "networkx", "torch_geometric"):
            raise ImportError(f"No module named {name!r}")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(convert.importlib, "import_module", none)
    for door, package in (
        (convert.to_pandas, "pandas"),
        (convert.to_networkx, "networkx"),
        (convert.to_pyg, "torch-geometric"),
    ):
        with pytest.raises(ImportError, match=f"needs {package}, .* pip install {package}"):
            door(tiny)


# ---- Parquet -------------------------------------------------------------------------------------


def test_parquet_files_are_plain_and_may_be_written_anew(augmented, tmp_path):
    convert.to_parquet(augmented, tmp_path / "p")
    names = sorted(str(p.relative_to(tmp_path / "p")) for p in (tmp_path / "p").rglob("*.parquet"))
    assert names == [
        "edges/item.has.genre.parquet",
        "edges/user.rates.item.parquet",
        "nodes/genre.parquet",
        "nodes/item.parquet",
        "nodes/user.parquet",
    ]
    rates = pl.read_parquet(tmp_path / "p" / "edges" / "user.rates.item.parquet")
    assert rates["dst"].to_list()[-1] == "i4"
    rates.head(6).write_parquet(tmp_path / "p" / "edges" / "user.rates.item.parquet")
    assert convert.from_parquet(tmp_path / "p").n(RATES) == 6
    with pytest.raises(SchemaError, match="not an empty folder"):
        convert.to_parquet(augmented, tmp_path / "p")

    parts = (
        tmp_path / "p" / "edges" / "user.rates.item.parquet"
    )  # a folder of parts, as Spark writes it
    parts.unlink()
    parts.mkdir()
    rates.head(4).write_parquet(parts / "part-0.parquet")
    rates.tail(3).write_parquet(parts / "part-1.parquet")
    assert convert.from_parquet(tmp_path / "p").equals(augmented, ordered=False)


def test_parquet_names_hold_any_type(tmp_path):
    odd = ("a.b/c", "..", "深 x-_%2E")
    hin = HIN({odd[0]: {"id": ["1"]}, odd[2]: {"id": ["2"]}}, {odd: {"src": [0], "dst": [0]}})
    convert.to_parquet(hin, tmp_path / "p")
    assert len(list((tmp_path / "p").rglob("*.parquet"))) == 3
    assert convert.from_parquet(tmp_path / "p") == hin


def test_parquet_that_cannot_be_read(tiny, tmp_path):
    with pytest.raises(SchemaError, match=r"has no nodes/\*.parquet"):
        convert.from_parquet(tmp_path)
    convert.to_parquet(tiny, tmp_path / "p")
    (tmp_path / "p" / "edges" / "likes.parquet").write_bytes(b"")
    with pytest.raises(SchemaError, match=r"not named edges/SOURCE.RELATION.TARGET.parquet"):
        convert.from_parquet(tmp_path / "p")
    (tmp_path / "p" / "edges" / "likes.parquet").unlink()
    (tmp_path / "p" / "nodes" / "user.parquet").write_bytes(b"not parquet")
    with pytest.raises(SchemaError, match="cannot be read as Parquet"):
        convert.from_parquet(tmp_path / "p")


def test_filled_cells_and_masks_are_what_is_lost(tiny):
    both = tiny + Delta(
        masks={RATES: {"src": ["ann"], "dst": ["i1"]}},
        values={("user", "age"): {"id": ["bob"], "value": [9]}},
    )
    back = convert.from_pandas(convert.to_pandas(both))
    assert back == both
    assert back.deltas == ()
    assert pc.sum(back.nodes["user"]["age"]).as_py() == 80
