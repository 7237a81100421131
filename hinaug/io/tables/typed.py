"""Files whose columns have types: Parquet and Arrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hinaug.errors import ParameterError
from hinaug.graph import arrow as tb
from hinaug.io.packed import opener, packer_of, unpacking
from hinaug.io.tables.kinds import is_stated, stated


def typed_table(path: Path, form: str) -> pa.Table:
    """The table of a file of Parquet or Arrow, with columns in the types of the store."""
    with unpacking(path):
        source = _seekable(path)
    try:
        table = pq.read_table(source, partitioning=None) if form == "parquet" else _ipc(source)
    except (pa.ArrowException, OSError) as error:
        if getattr(error, "errno", None) is not None:  # of the disk, not of what stands on it
            raise
        raise ParameterError(
            f"{path}: cannot be read as {form.title()}: {error}", asked=str(path)
        ) from error
    for at, of in enumerate(table.schema):
        if is_stated(of.type):
            column = stated(tb.one_chunk(table[at]), of, f"{path.name}, column {of.name!r}")
            table = table.set_column(at, of.name, column)
    return table


def _seekable(path: Path) -> Any:
    """A file for readers that go back and forth in it."""
    if packer_of(path) is None:
        return pa.OSFile(str(path))
    with opener(path)() as stream:
        return pa.BufferReader(stream.read())


def _ipc(source: Any) -> pa.Table:
    """The rows of an Arrow file, or of an Arrow stream."""
    try:
        return pa.ipc.open_file(source).read_all()
    except pa.ArrowInvalid:
        source.seek(0)
        return pa.ipc.open_stream(source).read_all()


def typed_schema(path: Path, form: str) -> pa.Schema:
    """Names and types of the columns of such a file, as they stand there."""
    if form == "parquet":
        with unpacking(path):
            source = _seekable(path)
        return pq.read_schema(source)
    return typed_table(path, form).schema
