"""Parquet there and back."""

from __future__ import annotations

import tempfile

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seen import marks

from hinaug.errors import SchemaError
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


def test_parquet_names_that_are_too_long(tmp_path):
    hin = HIN({"n" * 241: {"id": ["1"]}}, {})
    with pytest.raises(SchemaError) as error:
        convert.to_parquet(hin, tmp_path / "p")
    assert (error.value.asked, error.value.there) == (241, 240)
    assert not (tmp_path / "p").exists()
