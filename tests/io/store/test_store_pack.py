"""What goes into a store comes out; what has no disk form says where it is."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from raising import raises
from stores import RATES, Outsider, files

from hinaug.errors import StoreError
from hinaug.graph.delta import PARTS, Delta
from hinaug.graph.hin import HIN
from hinaug.io.store import load, save
from hinaug.io.store.pack import class_path
from hinaug.predictors import EASE
from hinaug.split.base import Split
from hinaug.split.random import random_split


@given(st.data())
def test_graphs_and_deltas_come_back_as_they_were(graphs, deltas, data):
    hin = data.draw(graphs())
    delta = data.draw(deltas(hin))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        for verify in (True, False):
            save(hin + delta, path)
            back = load(path, verify=verify)
            assert back == hin + delta
            assert back.fingerprint() == (hin + delta).fingerprint()
            assert back - delta == hin
            assert back.observed().schema == hin.schema
            assert back.deltas[0].fitted_on == delta.fitted_on
            assert back.deltas[0].keys().equals(delta.keys())
            assert back.ids("item", []).type == pa.int64()
            once = files(path)
            save(back, path)
            assert files(path) == once
            save(delta, path)
            assert load(path, verify=verify) == delta
        shutil.rmtree(path)


def test_lineage_and_integer_ids_survive(augmented, tmp_path):
    save(augmented, tmp_path / "s")
    back = load(tmp_path / "s")
    assert back.schema == augmented.schema
    assert back.schema.nodes["item"]["x"].lineage == "row"
    assert back.schema.edge_lineage[RATES] == "aggregate"
    assert back.ids("genre").to_pylist() == [10, 20]


def test_empty_graphs_and_odd_type_names(tmp_path):
    for at, hin in enumerate(
        [
            HIN({}, {}),
            HIN(
                {"u": {"id": []}},
                {
                    ("u", "likes", "u"): {
                        "src": pa.array([], pa.int32()),
                        "dst": pa.array([], pa.int32()),
                    }
                },
            ),
            HIN(
                {"../x": {"id": ["a"]}, "深": {"id": ["b"]}, "$": {"id": ["c"]}},
                {("../x", "/", "深"): {"src": [0], "dst": [0]}},
            ),
        ]
    ):
        save(hin, tmp_path / str(at))
        assert load(tmp_path / str(at)) == hin
    assert sorted(os.listdir(tmp_path)) == ["0", "1", "2"]
    save(Delta(), tmp_path / "d")
    assert load(tmp_path / "d") == Delta()


def test_a_split_stores_what_its_graphs_share_once(tiny, tmp_path):
    split = random_split(tiny, RATES, valid=1, test=1, min_train=0, rng=0)
    save(split, tmp_path / "s")
    back = load(tmp_path / "s")
    assert type(back) is Split
    for field in dataclasses.fields(Split):
        assert getattr(back, field.name) == getattr(split, field.name), field.name
    assert json.loads((tmp_path / "s" / "schema.json").read_text())["kind"] == "split"
    assert back.train.nodes["item"]["x"].chunk(0).buffers() is not None
    names = {
        name for name, table in _tables(tmp_path / "s").items() if "title" in table.column_names
    }
    assert len(names) == 1


def _tables(folder: Path) -> dict[str, pa.Table]:
    return {p.name: pa.ipc.open_file(pa.OSFile(str(p))).read_all() for p in folder.glob("*.arrow")}


def test_estimators_come_back_with_fields_and_what_was_learned(tmp_path):
    old = Outsider(
        RATES,
        rate=float("inf"),
        inner=[Outsider(RATES).learn(), {"x": Outsider(("a", "b", "c"), 0.25)}],
    ).learn()
    save(old, tmp_path / "s")
    new = load(tmp_path / "s", classes=[Outsider])
    assert (new.relation, new.rate) == (RATES, float("inf"))
    assert new.inner[1]["x"].relation == ("a", "b", "c")
    assert not hasattr(new, "_cache")
    assert not hasattr(new, "not_learned")
    for one, two in ((old, new), (old.inner[0], new.inner[0])):
        for name in ("weights_", "point_", "none_"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name), strict=True)
        for dtype, values in one.numbers_.items():
            np.testing.assert_array_equal(values, two.numbers_[dtype])
        assert two.numbers_[">i4"].dtype == np.int32
        assert type(two.matrix_) is sp.csr_array
        assert type(two.column_) is sp.csc_matrix
        assert (one.matrix_ != two.matrix_).nnz == (one.column_ != two.column_).nnz == 0
        assert two.matrix_.dtype == np.float32
        assert two.ids_.equals(one.ids_)
        assert two.chunked_.to_pylist() == [1, 2]
        assert two.table_.equals(one.table_)
        assert type(two.scalar_) is np.float32
        assert type(two.flag_) is np.bool_
        assert (two.scalar_, two.flag_) == (one.scalar_, one.flag_)
        assert repr(two.odd_) == repr(one.odd_)
        assert two.keys_ == one.keys_
        assert two.graph_ == one.graph_
        assert two.nested_ == one.nested_
    save(new, tmp_path / "t")
    assert files(tmp_path / "s") == files(tmp_path / "t")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (object(), "learned_ is builtins.object"),
        (lambda: 0, "has no disk form"),
        (np.array(["text"]), "arrays of <U4 have no disk form"),
        (np.array([None]), "arrays of object"),
        ({"deep": [np.array([1j])]}, "learned_/deep/0: numpy arrays of complex128"),
        (sp.coo_array(np.eye(2)), "saved as CSR or CSC, this is coo"),
        ({1, 2}, "builtins.set"),
    ],
)
def test_what_has_no_disk_form_says_where_it_is(tmp_path, value, says):
    thing = Outsider(RATES)
    thing.learned_ = value
    with pytest.raises(StoreError) as error:
        save(thing, tmp_path / "s")
    assert says in str(error.value)
    assert not (tmp_path / "s").exists()


def test_only_graphs_deltas_splits_and_estimators_are_saved(tmp_path):
    for thing in (3, {"a": 1}, pa.table({"a": [1]}), Outsider, None):
        with raises(StoreError, asked=type(thing).__name__):
            save(thing, tmp_path / "s")


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda v: (
            st.lists(v, max_size=3)
            | st.dictionaries(st.text(max_size=2) | st.just("$") | st.integers(), v, max_size=3)
            | st.tuples(v, v)
        ),
        max_leaves=8,
    )
)
def test_any_json_value_as_a_field(value):
    with tempfile.TemporaryDirectory() as folder:
        save(Outsider(RATES, inner=value), Path(folder) / "s")
        assert repr(load(Path(folder) / "s", classes=[Outsider]).inner) == repr(value)


# ---- versions ------------------------------------------------------------------------------------


def version(folder: Path) -> int:
    return json.loads((folder / "schema.json").read_text())["version"]


@pytest.mark.parametrize("name", ["store-v1", "delta-v1"])
def test_what_version_1_can_hold_is_saved_byte_for_byte_as_before(name, tmp_path):
    then = Path(__file__).parents[2] / "data" / name
    save(load(then), tmp_path / "s")
    assert files(tmp_path / "s") == files(then)


def test_a_fitted_estimator_is_of_the_version_of_its_graphs(tiny, tmp_path):
    words = pa.table({"id": ["ann"], "value": ["Rome"]})
    inside = Outsider(RATES, inner=[tiny + Delta(columns={("user", "city"): words})])
    for thing, number in ((Outsider(RATES, inner=[tiny]), 1), (inside, 2)):
        save(thing, tmp_path / "s")
        assert version(tmp_path / "s") == number
        assert load(tmp_path / "s", classes=[Outsider]).inner == thing.inner


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize(
    "parts",
    [
        {"columns": {("user", "city"): {"id": ["ann", "cid"], "value": ["Rome", "Oslo"]}}},
        {"columns": {(RATES, "mood"): {"src": ["ann"], "dst": ["i1"], "value": [0.5]}}},
        {"values": {(RATES, "note"): {"src": ["ann"], "dst": ["i1"], "value": ["good"]}}},
        {
            "nodes": {"user": {"id": ["new"]}},
            "edges": {RATES: {"src": ["new"], "dst": ["i4"]}},
            "masks": {RATES: {"src": ["bob"], "dst": ["i1"]}},
            "values": {("user", "age"): {"id": ["bob"], "value": [9]}},
            "columns": {
                ("user", "city"): {"id": ["ann", "new"], "value": ["Rome", "Oslo"]},
                (("item", "has", "genre"), "w"): {"src": ["i1"], "dst": [10], "value": [1]},
            },
        },
    ],
    ids=["column of nodes", "column of edges", "values of edges", "all"],
)
def test_columns_and_values_of_edges_need_version_2(tiny, tmp_path, parts, verify):
    tiny = tiny.with_column(RATES, "note", pa.nulls(6, pa.string()))
    delta = Delta(**parts, origin="maker", fitted_on=[tiny.fingerprint()])
    save(delta, tmp_path / "d")
    assert version(tmp_path / "d") == 2
    back = load(tmp_path / "d", verify=verify)
    assert (back.uid, back.fitted_on) == (delta.uid, delta.fitted_on)
    assert {p: list(getattr(back, p)) for p in PARTS} == {p: list(getattr(delta, p)) for p in PARTS}

    save(tiny + delta, tmp_path / "h")
    assert version(tmp_path / "h") == 2
    hin = load(tmp_path / "h", verify=verify)
    assert hin == tiny + delta
    assert hin.fingerprint() == (tiny + delta).fingerprint()
    assert hin - delta == tiny
    once = files(tmp_path / "h")
    save(hin, tmp_path / "h")
    assert files(tmp_path / "h") == once


def test_types_of_columns_on_disk(tmp_path):
    delta = Delta(
        columns={
            ("user", "city"): {"id": ["ann"], "value": ["Rome"]},
            (RATES, "mood"): {"src": ["ann"], "dst": ["i1"], "value": [0.5]},
        }
    )
    save(delta, tmp_path / "d")
    tables = json.loads((tmp_path / "d" / "schema.json").read_text())["root"]["tables"]
    assert [(t["role"], t["type"]) for t in tables] == [
        ("columns", ["user", "city"]),
        ("columns", [["user", "rates", "item"], "mood"]),
    ]


def test_a_delta_that_the_graph_restricted_keeps_its_identity(tiny, tmp_path):
    whole = Delta(edges={RATES: {"src": ["ann", "bob"], "dst": ["i4", "i4"]}})
    hin = (tiny + whole).filter_nodes("user", [True, False, True])
    assert hin.deltas[0].identity == whole.uid != hin.deltas[0].uid
    save(hin, tmp_path / "s")
    assert version(tmp_path / "s") == 2
    back = load(tmp_path / "s")
    assert (back.deltas[0].uid, back.deltas[0].identity) == (hin.deltas[0].uid, whole.uid)
    assert back - whole == hin - whole
    save(tiny + whole, tmp_path / "s")
    assert version(tmp_path / "s") == 1


def test_a_class_is_named_by_the_highest_folder_that_shows_it(tmp_path):
    save(EASE(RATES), tmp_path / "s")
    assert json.loads((tmp_path / "s" / "schema.json").read_text())["root"]["class"] == (
        "hinaug.predictors:EASE"
    )
    assert type(load(tmp_path / "s")) is EASE
    assert class_path(Outsider) == "stores:Outsider"
