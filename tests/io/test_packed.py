"""Packed files, whatever their name, and what is broken in them."""

import bz2
import gzip
import io
import lzma
import tomllib
import zipfile
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from files import EDGE, links, made
from raising import raises

from hinaug.errors import ParameterError
from hinaug.io.tables import build, columns, example
from hinaug.io.tables.graph import NO_TIME


def zipped(members):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return data.getvalue()


PACKED = {
    "gz": lambda data: gzip.compress(data, mtime=0),
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
    "zip": lambda data: zipped({"a.csv": data}),
}


@pytest.mark.parametrize("packer", PACKED)
@pytest.mark.parametrize("is_named", [True, False])
def test_packed_files_are_unpacked_whatever_their_name(tmp_path, packer, is_named):
    rows = b"u,i,t\n1,7,soon\n2,8,9\n"
    path = tmp_path / (f"a.csv.{packer}" if is_named else "a.csv")
    hin, counts = made(path, PACKED[packer](rows), EDGE + 'time = "t"\n')
    assert links(hin) == [("1", "7"), ("2", "8")]
    assert counts[1].first == {NO_TIME: ["'soon', line 2"]}
    assert columns([path]) == {path.name: ["u", "i", "t"]}
    assert f'file = "{path.name}"' in example([path])


@pytest.mark.parametrize("packer", ["bz2", "xz", "zst", "zip"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_a_packed_file_that_is_none_is_named(tmp_path, packer, name):
    path = tmp_path / f"{name}.{packer}"
    with raises(ParameterError, asked=str(path), names=path.name):
        made(path, b"not packed")


def test_a_zip_file_holds_one_file(tmp_path):
    rows = b"u,i\n1,7\n"
    path = tmp_path / "a.zip"
    path.write_bytes(zipped({"x.csv": rows, "__MACOSX/x.csv": b"-"}))
    assert links(build([path], tomllib.loads(EDGE))[0]) == [("1", "7")]
    assert example([path]).startswith("# a.zip: u, i\n")
    path.write_bytes(zipped({"x.csv": rows, "y.csv": rows}))
    with raises(ParameterError, asked=str(path), there=["x.csv", "y.csv"]):
        build([path], tomllib.loads(EDGE))
    assert "y.csv" in example([tmp_path])


@pytest.mark.parametrize(("at", "byte"), [(6, 1), (8, 99)])  # a password, an unknown method
def test_a_zip_file_that_python_cannot_unpack_is_named(tmp_path, at, byte):
    path, data = tmp_path / "a.zip", bytearray(zipped({"x.csv": b"u,i\n1,7\n"}))
    data[at] = data[data.find(b"PK\x01\x02") + at + 2] = byte
    with raises(ParameterError, asked=str(path), names=path.name):
        made(path, bytes(data))
    assert "a.zip: cannot be read" in example([path])


@pytest.mark.parametrize("packer", [None, *PACKED])
@pytest.mark.parametrize("ending", ["parquet", "arrow", "feather"])
def test_files_with_types_may_be_packed(tmp_path, packer, ending):
    table, data = (
        pa.table({"u": [1, 2], "i": [Decimal("7"), Decimal("8")]}),
        pa.BufferOutputStream(),
    )
    if ending == "parquet":
        pq.write_table(table, data)
    else:
        new = pa.ipc.new_stream if ending == "arrow" else pa.ipc.new_file
        with new(data, table.schema) as writer:
            writer.write_table(table)
    content = data.getvalue().to_pybytes()
    name = f"a.{ending}" if packer is None else f"a.{ending}.{packer}"
    hin, _ = made(tmp_path / name, content if packer is None else PACKED[packer](content))
    assert links(hin) == [("1", "7"), ("2", "8")]
    assert columns([tmp_path / name]) == {name: ["u", "i"]}


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_a_damaged_file_with_types_is_named(tmp_path, ending):
    table, path = (
        pa.table({"u": ["1", "2"] * 5000, "i": ["7", "8"] * 5000}),
        tmp_path / f"a.{ending}",
    )
    if ending == "parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_stream(path, table.schema) as writer:
            writer.write_table(table, 1000)
    data = path.read_bytes()
    damaged = b"PAR1" + bytes(80) + data[84:] if ending == "parquet" else data[: len(data) // 2]
    with raises(ParameterError, asked=str(path), names=path.name):
        made(path, damaged)
