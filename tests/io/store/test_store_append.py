"""Edges in streams and edges appended to a store are those of one table."""

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from raising import raises

from hinaug.errors import SchemaError, StoreError, UnknownNameError
from hinaug.graph import spill
from hinaug.graph.hin import HIN
from hinaug.io.store import append_edges, load, save

RATES = ("user", "rates", "item")
NODES = {"user": {"id": [f"u{i}" for i in range(9)]}, "item": {"id": np.arange(7) * 10}}


def rows(seed, n=20):
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "src": [f"u{i}" for i in rng.integers(0, 9, n)],
            "dst": 10 * rng.integers(0, 7, n),
            "rating": pa.array(rng.integers(1, 6, n), pa.uint8(), mask=rng.random(n) < 0.2),
            "time": pa.array(rng.integers(0, 99, n), pa.timestamp("s")),
            "note": pa.array(["ab", None, "é", ""] * (n // 4)),
        }
    )


def streams(tables):
    whole = pa.concat_tables(tables)
    yield iter(tables)
    yield pa.RecordBatchReader.from_batches(whole.schema, whole.to_batches(max_chunksize=7))
    yield ds.dataset(whole)


@pytest.mark.parametrize(("lookup", "large"), [(10, 0), (25, 10**9)])
def test_a_stream_of_tables_is_one_table(lookup, large, monkeypatch):
    monkeypatch.setattr(spill, "LOOKUP", lookup)
    monkeypatch.setattr(spill, "LARGE", large)
    tables = [rows(seed) for seed in range(4)]
    whole = HIN.from_tables(NODES, {RATES: pa.concat_tables(tables)}, lineage="row")
    for stream in streams(tables):
        found = HIN.from_tables(NODES, {RATES: stream}, lineage="row")
        assert found.fingerprint() == whole.fingerprint()


def test_nodes_of_a_stream_can_be_added():
    tables = [rows(seed) for seed in range(3)]
    whole = HIN.from_tables({}, {RATES: pa.concat_tables(tables)}, missing="add")
    for stream in streams(tables):
        found = HIN.from_tables({}, {RATES: stream}, missing="add")
        assert found.fingerprint() == whole.fingerprint()
    with pytest.raises(SchemaError):
        HIN.from_tables({}, {RATES: iter([])}, missing="add")


def test_a_stream_whose_tables_differ_names_the_column_and_the_rows(monkeypatch):
    monkeypatch.setattr(spill, "LOOKUP", 1)
    other = rows(1).set_column(2, "rating", pa.array(["good"] * 20))
    with pytest.raises(SchemaError) as error:
        HIN.from_tables(NODES, {RATES: iter([rows(0), other])})
    assert error.value.there == pa.uint8()
    with pytest.raises(SchemaError) as error:
        HIN.from_tables(NODES, {RATES: iter([rows(0).drop_columns(["note"]), rows(1)])})
    assert error.value.asked == ["note"]
    strange = rows(1).set_column(0, "src", pa.array(["nobody"] * 20))
    with raises(SchemaError, names="rows from 20"):
        HIN.from_tables(NODES, {RATES: iter([rows(0), strange])})


@pytest.mark.parametrize("large", [0, 10**9])
def test_appended_edges_are_those_of_one_graph(tmp_path, large, monkeypatch):
    monkeypatch.setattr(spill, "LARGE", large)
    first, second, third = (rows(seed) for seed in range(3))
    save(HIN.from_tables(NODES, {RATES: first}, lineage="row"), tmp_path / "g")
    before = {path.name: path.read_bytes() for path in (tmp_path / "g").glob("*.arrow")}
    assert append_edges(tmp_path / "g", RATES, iter([second])) == 20
    assert append_edges(tmp_path / "g", RATES, third.drop_columns(["note"])) == 20
    for name, content in before.items():
        assert (tmp_path / "g" / name).read_bytes() == content
    whole = HIN.from_tables(NODES, {RATES: first}, lineage="row")
    whole = whole.with_edges(RATES, second).with_edges(RATES, third.drop_columns(["note"]))
    for verify in (True, False):
        assert load(tmp_path / "g", verify=verify).fingerprint() == whole.fingerprint()
    save(load(tmp_path / "g"), tmp_path / "g")  # one file again
    assert len(list((tmp_path / "g").glob("*.arrow"))) == 3
    assert load(tmp_path / "g").fingerprint() == whole.fingerprint()


def test_a_refused_append_leaves_the_store_as_it_was(tmp_path):
    hin = HIN.from_tables(NODES, {RATES: rows(0)})
    save(hin, tmp_path / "g")
    before = {path.name: path.read_bytes() for path in (tmp_path / "g").iterdir()}
    strange = rows(1).set_column(0, "src", pa.array(["nobody"] * 20))
    for error, type, table in (
        (SchemaError, RATES, strange),
        (SchemaError, RATES, rows(1).append_column("more", pa.nulls(20))),
        (UnknownNameError, ("user", "sees", "item"), rows(1)),
    ):
        with pytest.raises(error):
            append_edges(tmp_path / "g", type, table)
    with pytest.raises(StoreError):
        append_edges(tmp_path / "nothing", RATES, rows(1))
    assert {path.name: path.read_bytes() for path in (tmp_path / "g").iterdir()} == before


KINDS = {
    "text": pa.array(["b", "c"]),
    "categories": pa.array(["c", "b"]).dictionary_encode(),
    "short categories": pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.int8()), ["d", "e"]),
    "nulls": pa.nulls(2),
}


@pytest.mark.parametrize("lookup", [1, 100])
@pytest.mark.parametrize("kind", ["text", "categories"])
def test_text_and_categories_are_appended_to_either(tmp_path, kind, lookup, monkeypatch):
    monkeypatch.setattr(spill, "LOOKUP", lookup)
    first = KINDS[kind]

    def table(values):
        return pa.table({"src": ["u1", "u2"], "dst": [10, 20], "kind": values})

    for orders in (KINDS, reversed(KINDS)):
        save(HIN.from_tables(NODES, {RATES: table(first)}), tmp_path / "g")
        given = [KINDS[name] for name in orders]
        assert append_edges(tmp_path / "g", RATES, map(table, given)) == 8
        found = load(tmp_path / "g").edges[RATES]["kind"]
        assert found.type == first.type
        assert found.to_pylist() == [v for values in (first, *given) for v in values.to_pylist()]


def test_values_after_a_stream_began_without_any_are_an_error(monkeypatch):
    monkeypatch.setattr(spill, "LOOKUP", 1)
    ends = {"src": ["u1"], "dst": [10]}
    stream = [pa.table({**ends, "kind": values}) for values in (pa.nulls(1), ["a"])]
    with pytest.raises(SchemaError) as error:
        HIN.from_tables(NODES, {RATES: iter(stream)})
    assert error.value.there == pa.null()


def test_a_damaged_part_is_an_error(tmp_path):
    save(HIN.from_tables(NODES, {RATES: rows(0)}), tmp_path / "g")
    before = set((tmp_path / "g").glob("*.arrow"))
    append_edges(tmp_path / "g", RATES, rows(1))
    (part,) = set((tmp_path / "g").glob("*.arrow")) - before
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    with pytest.raises(StoreError):
        load(tmp_path / "g")
    part.unlink()
    with pytest.raises(StoreError):
        load(tmp_path / "g", verify=False)
