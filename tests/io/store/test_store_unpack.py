"""A manifest that cannot be put together is a StoreError, and never a wrong graph."""

from __future__ import annotations

import dataclasses
import sys
import types

import pyarrow as pa
import pytest
from raising import raises
from stores import RATES, Outsider, forge

from hinaug.errors import StoreError
from hinaug.graph.edit import State
from hinaug.graph.hin import HIN
from hinaug.io.store import load, save


def test_classes_are_imported_from_hinaug_only(tmp_path, monkeypatch):
    save(Outsider(RATES), tmp_path / "s")
    with raises(StoreError, asked="stores:Outsider", names="classes=[Outsider]"):
        load(tmp_path / "s")

    fake = types.ModuleType("hinaug.fake")
    fake.Good = dataclasses.make_dataclass(
        "Good", [("a", int)], namespace={"__module__": "hinaug.fake"}
    )  # type: ignore[attr-defined]
    fake.Plain = type("Plain", (), {"__module__": "hinaug.fake"})  # type: ignore[attr-defined]
    fake.Outsider = Outsider  # type: ignore[attr-defined]
    fake.run = pytest.fail  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hinaug.fake", fake)
    save(fake.Good(3), tmp_path / "g")
    assert load(tmp_path / "g") == fake.Good(3)
    for path, says in {
        "hinaug.fake:Plain": "does not have",
        "hinaug.fake:run": "does not have",
        "hinaug.fake:Outsider": "does not have",
        "hinaug.fake:Missing": "does not have",
        "hinaug.nowhere:Good": "cannot be imported",
        "os:system": "only classes of hinaug",
        "hinaugx:Good": "only classes of hinaug",
        "hinaug.__main__:Good": "only classes of hinaug",
        "hinaug.fake.:Good": "only classes of hinaug",
        "hinaug.fake": "does not have",
        ".fake:Good": "only classes of hinaug",
    }.items():

        def rename(manifest, path=path):
            manifest["root"]["class"] = path

        forge(tmp_path / "g", rename)
        with pytest.raises(StoreError) as error:
            load(tmp_path / "g")
        assert says in str(error.value), path


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda root: root["fields"].update(b=1), "has no field 'b'"),
        (lambda root: root["fields"].clear(), "does not accept the fields"),
        (lambda root: root["learned"].update(__class__=1), "no name of a learned attribute"),
        (lambda root: root["learned"].update(fit=1), "no name of a learned attribute"),
        (
            lambda root: root["learned"].update(x_={"$": "array", "array": "none"}),
            "does not describe an object",
        ),
        (lambda root: root["learned"].update(x_={"$": "pickle"}), "unknown form 'pickle'"),
        (lambda root: root["learned"].update(x_={"$": "tuple"}), "does not describe an object"),
        (
            lambda root: root["learned"].update(x_={"$": "dict", "items": [[[], 1]]}),
            "does not describe an object",
        ),
    ],
)
def test_an_estimator_that_cannot_be_put_together(tmp_path, edit, says):
    save(Outsider(RATES), tmp_path / "s")
    forge(tmp_path / "s", lambda manifest: edit(manifest["root"]))
    with pytest.raises(StoreError) as error:
        load(tmp_path / "s", classes=[Outsider])
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda m: m.update(kind="matrix"), "unknown kind 'matrix'"),
        (lambda m: m.update(kind="delta"), "says 'delta' and holds a 'hin'"),
        (lambda m: m.pop("root"), "'root' missing"),
        (lambda m: m.update(tables=[]), "tables missing or of the wrong form"),
        (lambda m: m.update(root=None), "save takes"),
        (lambda m: m.update(root=[1]), "save takes"),
        (lambda m: m["tables"].pop("nodes/0"), "does not describe an object"),
        (lambda m: m["tables"]["nodes/0"].pop("file"), "without file name"),
        (lambda m: m["tables"].update({"nodes/0": 3}), "without file name"),
        (
            lambda m: m["tables"]["nodes/0"].update(rows=4),
            "table 'nodes/0' has 3 rows instead of 4",
        ),
        (lambda m: m["tables"]["nodes/0"].update(bytes=4), "bytes instead of 4"),
        (lambda m: m["root"]["tables"][0].update(role="other"), "does not describe an object"),
        (lambda m: m["root"]["tables"][0].update(type=["a", "b", "c"]), "does not fit together"),
        (lambda m: m["root"]["tables"][0].update(type="usr"), "no node type 'user'"),
        (
            lambda m: m["root"]["tables"].append(m["root"]["tables"][0]),
            "stands in schema.json more than once",
        ),
        (lambda m: m["root"]["tables"][3].update(table="nodes/0"), "does not fit together"),
        (lambda m: m["root"]["deltas"].append(m["root"]["deltas"][0]), "already applied"),
        (lambda m: m["root"]["deltas"][0].update(uid="0" * 64), "was saved as 000000000000"),
        (lambda m: m["root"]["deltas"][0]["tables"].pop(), "and was saved as"),
        (lambda m: m["root"]["deltas"].reverse() or m["root"]["deltas"].pop(), None),
    ],
)
def test_a_schema_that_contradicts_itself(stored, edit, says):
    forge(stored, edit)
    if says is None:  # still a graph, though not the same one
        assert len(load(stored).deltas) == 1
        return
    with pytest.raises(StoreError) as error:
        load(stored)
    assert says in str(error.value)


def test_positions_out_of_range_and_ids_twice_are_found_when_verifying(tiny, tmp_path):
    rates = tiny.edges[RATES]
    for at, bad in enumerate((3, -1)):
        wrong = rates.set_column(0, "src", pa.array([0, 0, 1, 0, bad, 1], pa.int32()))
        save(HIN._of(State(dict(tiny._nodes), {**tiny._edges, RATES: wrong})), tmp_path / str(at))
        with raises(StoreError, names="3 nodes of 'user'"):
            load(tmp_path / str(at))
    twice = pa.table({"id": ["a", "a", "b"]})
    save(HIN._of(State({**tiny._nodes, "user": twice}, dict(tiny._edges))), tmp_path / "twice")
    with raises(StoreError, names="'a'"):
        load(tmp_path / "twice")
    ids = pa.table(
        {"id": pa.array(["a"])},
        schema=pa.schema([pa.field("id", pa.string(), metadata={b"hinaug.id_type": b"float64"})]),
    )
    save(HIN._of(State({"user": ids}, {})), tmp_path / "type")
    with raises(StoreError, names="float64"):
        load(tmp_path / "type")


@pytest.mark.parametrize("identity", ["", "x" * 64, 3, None, "0" * 63, "A" * 64])
def test_an_identity_that_is_none(stored, identity):
    forge(stored, lambda manifest: manifest["root"]["deltas"][0].update(identity=identity))
    with pytest.raises(StoreError) as error:
        load(stored)
    assert error.value.asked == identity


@pytest.mark.parametrize("type", [3, [["user", ["rates"]], "x"], [3, "x"], ["user"], []])
def test_a_type_of_another_form(stored, type):
    tables = {"role": "values", "type": type, "table": "deltas/1/values/0/"}
    forge(stored, lambda manifest: manifest["root"]["deltas"][1]["tables"].append(tables))
    with pytest.raises(StoreError):
        load(stored)
