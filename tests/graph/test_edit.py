"""Editing a graph that has deltas: what leaves, what still fits, and the types of ids."""

from __future__ import annotations

import pickle

import numpy as np
import pyarrow as pa
import pytest
from raising import raises

import hinaug
from hinaug.errors import SchemaError
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN

RATES = ("user", "rates", "item")
TAGS = ("user", "tags", "item")
KNOWS = ("user", "knows", "user")
NOT_FIRST = np.array([False, True, True, True])


@pytest.fixture
def hin():
    return HIN.from_tables(
        {
            "user": {"id": ["u1", "u2", "u3", "u4"], "age": [1, None, 3, 4]},
            "item": {"id": ["i1", "i2"]},
        },
        {RATES: {"src": ["u1", "u2", "u3"], "dst": ["i1", "i2", "i2"], "stars": [1, None, 2]}},
    )


def assert_kept(hin, folder):
    """A store and a pickle hold the graph as it is, and its deltas with what they were before."""
    hinaug.save(hin, folder)
    for again in (
        hinaug.load(folder),
        hinaug.load(folder, verify=False),
        pickle.loads(pickle.dumps(hin)),
    ):
        assert again == hin
        assert again.fingerprint() == hin.fingerprint()
        assert [d.identity for d in again.deltas] == [d.identity for d in hin.deltas]


@pytest.mark.parametrize("part", ["masks", "columns"])
def test_an_edge_type_that_loses_its_last_edge_leaves_the_other_deltas(hin, part, tmp_path):
    tags = Delta(edges={TAGS: {"src": ["u1"], "dst": ["i1"]}})
    cells = {"src": ["u1", "u2"], "dst": ["i1", "i1"]}
    both = Delta(**{"masks": {TAGS: cells}, "columns": {(TAGS, "n"): {**cells, "value": [1, 2]}}})
    other = Delta(**{part: getattr(both, part)})
    left = (hin + tags + other).filter_nodes("user", NOT_FIRST)
    assert TAGS not in left.edges
    assert_kept(left, tmp_path / "store")
    assert left - other - tags == hin.filter_nodes("user", NOT_FIRST)


def test_a_column_that_loses_its_last_cell_leaves_with_the_values_in_it(hin, tmp_path):
    column = Delta(columns={("user", "c"): {"id": ["u1"], "value": [1]}})
    values = Delta(values={("user", "c"): {"id": ["u2"], "value": [5]}})
    left = (hin + column + values).filter_nodes("user", NOT_FIRST)
    assert left.nodes["user"].column_names == ["id", "age"]
    assert_kept(left, tmp_path / "store")
    assert left - values - column == hin.filter_nodes("user", NOT_FIRST)


def test_values_in_an_observed_column_stay_when_nodes_leave(hin):
    values = Delta(values={("user", "age"): {"id": ["u2"], "value": [5]}})
    left = (hin + values).filter_nodes("user", NOT_FIRST)
    assert left.nodes["user"]["age"].to_pylist() == [5, 3, 4]


def test_new_edges_cannot_bring_a_column_that_a_delta_adds(hin):
    added = Delta(columns={(RATES, "c"): {"src": ["u1"], "dst": ["i1"], "value": [1]}})
    with raises(SchemaError, asked="c"):
        (hin + added).with_edges(RATES, {"src": ["u4"], "dst": ["i1"], "c": [3]})


@pytest.mark.parametrize("type", [RATES, TAGS])
def test_new_edges_cannot_have_a_column_that_generated_edges_do_not_fit(hin, type):
    added = Delta(edges={type: {"src": ["u4"], "dst": ["i2"], "w": ["text"]}})
    with raises(SchemaError, names="string"):
        (hin + added).with_edges(type, {"src": ["u4"], "dst": ["i1"], "w": [3]})


def test_a_column_of_nulls_fits_every_delta_before_and_after(hin):
    delta = Delta(
        {"user": {"id": ["new"], "age": [7]}},
        values={("user", "age"): {"id": ["u2"], "value": [5]}},
    )
    nulls = [None] * 4
    after = (hin + delta).with_column("user", "age", nulls)
    assert after == hin.with_column("user", "age", nulls) + delta
    assert after.nodes["user"]["age"].to_pylist() == [None, 5, None, None, 7]


def test_a_column_of_nulls_is_refused_where_deltas_then_disagree():
    hin = HIN.from_tables({"user": {"id": ["a", "b"], "name": [None, "x"]}}, {})
    hin += Delta(values={("user", "name"): {"id": ["a"], "value": [1]}})  # becomes "1"
    hin += Delta({"user": {"id": ["c"], "name": ["y"]}})
    with raises(SchemaError, names="user"):
        hin.with_column("user", "name", [None, None])


# ---- types of ids --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        (pa.array([1, 2]), pa.array([], pa.null()), "int64"),
        (pa.array([], pa.string()), pa.array([1, 2]), "int64"),
        (pa.array([1, 2], pa.int32()), pa.array([3], pa.int64()), "int64"),
        (pa.array([1, 2], pa.int64()), pa.array([3], pa.int8()), "int64"),
        (pa.array([1], pa.uint8()), pa.array([-3], pa.int8()), "int16"),
        (pa.array([2**64 - 1], pa.uint64()), pa.array([-3], pa.int64()), "string"),
        (pa.array([1, 2]), pa.array(["x"]), "string"),
    ],
)
def test_ids_stay_integers_where_all_are(old, new, kind):
    hin = HIN.from_tables({"user": {"id": old}}, {}).with_nodes("user", {"id": new})
    assert hin.ids("user").type == kind
    assert hin.ids("user").to_pylist() == [
        id if kind != "string" else str(id) for id in [*old.to_pylist(), *new.to_pylist()]
    ]


def test_missing_nodes_take_the_type_of_the_ids_that_name_them():
    edges = {KNOWS: {"src": pa.array([1, 2], pa.int32()), "dst": pa.array([2, 300])}}
    for nodes in ({}, {"user": {"id": []}}):
        assert HIN.from_tables(nodes, edges, missing="add").ids("user").to_pylist() == [1, 2, 300]


def test_a_short_edge_type_is_said_to_be_none_when_nodes_are_added():
    with raises(SchemaError, names="user"):
        HIN.from_tables({}, {("user",): {"src": [1], "dst": [2]}}, missing="add")
