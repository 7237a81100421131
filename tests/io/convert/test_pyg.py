"""PyG there and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from raising import raises
from seen import marks, seen
from torch_geometric.data import Data, HeteroData

from hinaug.errors import SchemaError, UnknownNameError
from hinaug.io import convert

RATES = ("user", "rates", "item")


@given(st.data())
def test_pyg_keeps_numbers_vectors_text_and_ids(drawn, data):
    hin = drawn(data)
    graph = convert.to_pyg(hin)
    back = convert.from_pyg(graph)
    assert seen(back, floats=True) == seen(hin, floats=True)
    assert marks(back) == marks(hin)


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
    with raises(SchemaError, asked="title", there=["x", "bert"]):
        convert.to_pyg(hin, {"item": "title"})
    with raises(UnknownNameError, names="did you mean 'bert'"):
        convert.to_pyg(hin, {"item": "bart"})
    with raises(SchemaError, asked="edge_index"):
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
    with raises(SchemaError, asked=RATES, there=1):
        convert.from_pyg(data)
    data["item"].num_nodes = 2
    for value, says in (
        (torch.zeros(2, 2, 2), "(2, 2, 2)"),
        (torch.zeros(3), "(3,)"),
        ("text", "str"),
        (3, "int"),
        (torch.tensor(3), "()"),
    ):
        data["user"].odd = value
        with raises(SchemaError, asked="odd", there=says):
            convert.from_pyg(data)
    del data["user"].odd
    convert.from_pyg(data)
    del data[RATES].edge_index
    data[RATES].adj_t = torch.eye(2)
    with raises(SchemaError, asked=RATES):
        convert.from_pyg(data)
    with raises(SchemaError, asked="Data", there="HeteroData"):
        convert.from_pyg(Data())


def test_generated_rows_of_pyg_without_their_origin_stay_generated(augmented):
    data = convert.to_pyg(augmented)
    del data["user"].origin
    del data["user"].key
    back = convert.from_pyg(data)
    assert back.n_observed("user") == 3
    assert back.column("user", "origin").to_pylist()[3] == "unnamed"


def test_without_the_mask_the_marks_of_pyg_are_refused(augmented):
    data = convert.to_pyg(augmented)
    del data["user"].generated  # observed rows have confidence 1, but no origin and no key
    with pytest.raises(SchemaError) as error:
        convert.from_pyg(data)
    assert error.value.asked == ["origin", "confidence", "key"]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("key", ["k1", "k2", "k3"]),
        ("origin", ["France", None, None]),
        ("confidence", torch.tensor([0.5, 1.0, 1.0])),
        ("confidence", ["high", None, "low"]),
    ],
)
def test_own_columns_beside_the_mask_are_refused(tiny, name, values):
    data = convert.to_pyg(tiny)
    data["user"][name] = values
    with pytest.raises(SchemaError) as error:
        convert.from_pyg(data)
    assert error.value.asked == [name]


def test_own_keys_on_generated_rows_of_pyg_are_refused(augmented):
    data = convert.to_pyg(augmented)
    data["user"].key = [None, None, None, "mine"]
    with pytest.raises(SchemaError) as error:
        convert.from_pyg(data)
    assert "key" in error.value.asked


def test_pyg_marks_stay_when_all_generated_rows_are_taken_out(augmented):
    data = convert.to_pyg(augmented)
    for type in ("user", RATES):
        store = data[type]
        keep = ~store.generated
        for name, value in list(store.items()):
            if name == "edge_index":
                store[name] = value[:, keep]
            elif name == "num_nodes":
                store[name] = int(keep.sum())
            elif isinstance(value, list):
                store[name] = [v for v, k in zip(value, keep, strict=True) if k]
            else:
                store[name] = value[keep]
    back = convert.from_pyg(data)
    assert back.deltas == ()
    assert back.ids("user").to_pylist() == ["ann", "bob", "cid"]
    assert back.edges[RATES].column_names == ["src", "dst", "rating", "time"]
