"""Parquet there and back."""

from __future__ import annotations

import json
import shutil
import tempfile

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from raising import raises
from seen import marks

from hinaug.datasets import planted
from hinaug.errors import SchemaError
from hinaug.graph import spill
from hinaug.graph.hin import HIN
from hinaug.io import convert

RATES = ("user", "rates", "item")


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


def test_parquet_files_are_plain_and_may_be_written_anew(augmented, tmp_path):
    convert.to_parquet(augmented, tmp_path / "p")
    names = sorted(str(p.relative_to(tmp_path / "p")) for p in (tmp_path / "p").rglob("*.*"))
    assert names == [
        "edges/item__has__genre/part-0.parquet",
        "edges/user__rates__item/part-0.parquet",
        "nodes/genre/part-0.parquet",
        "nodes/item/part-0.parquet",
        "nodes/user/part-0.parquet",
        "schema.json",
    ]
    parts = tmp_path / "p" / "edges" / "user__rates__item"
    rates = pl.read_parquet(parts / "part-0.parquet")
    assert rates["dst"].to_list()[-1] == "i4"
    rates.head(6).write_parquet(parts / "part-0.parquet")
    assert convert.from_parquet(tmp_path / "p").n(RATES) == 6
    with raises(SchemaError, asked=str(tmp_path / "p")):
        convert.to_parquet(augmented, tmp_path / "p")

    rates.head(4).write_parquet(parts / "part-0.parquet")  # several parts, as Spark writes them
    rates.tail(3).write_parquet(parts / "part-1.parquet")
    assert convert.from_parquet(tmp_path / "p").equals(augmented, ordered=False)
    for kind in ("nodes", "edges"):  # one file a type, without a schema, as older versions wrote
        for place in (tmp_path / "p" / kind).iterdir():
            table = pl.read_parquet(place / "*.parquet")
            table.write_parquet(f"{place.parent}/{place.name.replace('__', '.')}.parquet")
            shutil.rmtree(place)
    (tmp_path / "p" / "schema.json").unlink()
    assert convert.from_parquet(tmp_path / "p").equals(augmented, ordered=False)


def rich():
    """Every kind of column that other programs change: categories, seconds, vectors, widths."""
    n = 5
    words = pa.DictionaryArray.from_arrays(
        pa.array([2, 0, None, 2, 0], pa.int8()), ["b", "unused", "a"], ordered=True
    )
    users = {
        "id": pa.array([7, 5, 3, 1, 9], pa.uint16()),
        "kind": words,
        "born": pa.array([1, None, 3, 4, 5], pa.date32()),
        "x": [[0.5, 1.0], None, [2.0, 3.0], [0.0, 1.0], [1.0, 1.0]],
        "years": pa.array([[1, 2], [], None, [3], [4]], pa.list_(pa.int16())),
        "flag": [True, None, False, True, False],
        "nothing": pa.nulls(n),
    }
    edges = {
        "src": pa.array([7, 7, 5, 1], pa.uint16()),
        "dst": ["i b", "ï", "ï", "i b"],
        "rating": pa.array([1, None, 5, 3], pa.uint8()),
        "time": pa.array([1, 2, 3, None], pa.timestamp("s")),
        "zoned": pa.array([1, 2, 3, None], pa.timestamp("ns", "UTC")),
        "weight": pa.array([0.1, 0.2, None, 0.3], pa.float32()),
        "took": pa.array([1, None, 2, 3], pa.duration("s")),
    }
    return HIN.from_tables(
        {"user": users, "it__em_": {"id": ["ï", "i b"]}},
        {("user", "_rates", "it__em_"): edges},
        lineage={"user": "row", ("user", "_rates", "it__em_"): "aggregate"},
    )


def through_pyarrow(path):
    table = pq.read_table(path, partitioning=None).replace_schema_metadata(None)
    fields = [field.remove_metadata() for field in table.schema]
    pq.write_table(table.cast(pa.schema(fields)), path, store_schema=False)


def through_polars(path):
    pl.read_parquet(path).write_parquet(path)


def through_duckdb(path):
    new = path.with_suffix(".new")
    with duckdb.connect() as base:
        base.execute("set timezone = 'UTC'")
        base.execute(f"copy (select * from read_parquet('{path}')) to '{new}' (format parquet)")
    new.rename(path)


@pytest.mark.parametrize("through", [through_pyarrow, through_polars, through_duckdb])
def test_other_programs_give_the_same_graph_back(through, tmp_path):
    for number, hin in enumerate((rich(), planted(rng=0))):
        folder = tmp_path / str(number)
        convert.to_parquet(hin, folder)
        assert convert.from_parquet(folder).fingerprint() == hin.fingerprint()
        for path in folder.rglob("*.parquet"):
            through(path)
        assert convert.from_parquet(folder).fingerprint() == hin.fingerprint()


def test_what_came_back_with_another_type_is_an_error(tmp_path):
    convert.to_parquet(rich(), tmp_path / "p")
    (path,) = (tmp_path / "p" / "edges").rglob("*.parquet")
    table = pl.read_parquet(path).with_columns(rating=pl.lit("good"))
    table.write_parquet(path)
    with pytest.raises(SchemaError) as error:
        convert.from_parquet(tmp_path / "p")
    assert error.value.there == pa.uint8()
    (tmp_path / "p" / "schema.json").write_text("{}")
    with raises(SchemaError, asked=str(tmp_path / "p" / "schema.json")):
        convert.from_parquet(tmp_path / "p")


def test_large_tables_are_written_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(spill, "BLOCK", 3)
    convert.to_parquet(rich(), tmp_path / "p")
    assert convert.from_parquet(tmp_path / "p").fingerprint() == rich().fingerprint()


def test_parquet_names_hold_any_type(tmp_path):
    odd = ("a.b/c", "..", "深 x-_%2E")
    hin = HIN({odd[0]: {"id": ["1"]}, odd[2]: {"id": ["2"]}}, {odd: {"src": [0], "dst": [0]}})
    convert.to_parquet(hin, tmp_path / "p")
    assert len(list((tmp_path / "p").rglob("*.parquet"))) == 3
    assert convert.from_parquet(tmp_path / "p") == hin


def test_parquet_that_cannot_be_read(tiny, tmp_path):
    with raises(SchemaError, asked=str(tmp_path)):
        convert.from_parquet(tmp_path)
    convert.to_parquet(tiny, tmp_path / "p")
    (tmp_path / "p" / "edges" / "likes.parquet").write_bytes(b"")
    with raises(SchemaError, asked="likes.parquet", there="edges/SOURCE__RELATION__TARGET"):
        convert.from_parquet(tmp_path / "p")
    (tmp_path / "p" / "edges" / "likes.parquet").unlink()
    bad = tmp_path / "p" / "nodes" / "user" / "part-0.parquet"
    bad.write_bytes(b"not parquet")
    with raises(SchemaError, asked=str(bad.parent)):
        convert.from_parquet(tmp_path / "p")


@pytest.mark.parametrize(("name", "size"), [("n" * 241, 241), ("é" * 121, 242)])
def test_parquet_names_that_are_too_long(name, size, tmp_path):
    hin = HIN({name: {"id": ["1"]}}, {})
    with pytest.raises(SchemaError) as error:
        convert.to_parquet(hin, tmp_path / "p")
    assert (error.value.asked, error.value.there) == (size, 240)
    assert not (tmp_path / "p").exists()


def test_a_graph_without_types_comes_back(tmp_path):
    convert.to_parquet(HIN({}, {}), tmp_path / "p")
    assert convert.from_parquet(tmp_path / "p").fingerprint() == HIN({}, {}).fingerprint()


@pytest.mark.parametrize("arrow", ["AAAA", "#", None])
def test_a_schema_that_was_damaged(arrow, tiny, tmp_path):
    convert.to_parquet(tiny, tmp_path / "p")
    path = tmp_path / "p" / "schema.json"
    said = json.loads(path.read_text())
    said["tables"][0]["arrow"] = arrow
    path.write_text(json.dumps(said))
    with pytest.raises(SchemaError):
        convert.from_parquet(tmp_path / "p")
