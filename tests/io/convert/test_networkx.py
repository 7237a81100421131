"""networkx there and back."""

from __future__ import annotations

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from raising import raises

from hinaug.errors import SchemaError
from hinaug.io import convert

RATES = ("user", "rates", "item")


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
    with raises(SchemaError, asked="Graph", there="MultiDiGraph"):
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
