"""Arrays and tables in temporary files, for what would not fit into memory.

The files have no name in the folder of temporary files (`TMPDIR`), so nothing is left of them when
the arrays are gone or the process is killed. Their pages belong to the system, which writes them
out and takes them back as it needs memory. A `TMPDIR` that itself lies in memory gains nothing.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

import numpy as np
import pyarrow as pa

from hinaug.errors import SchemaError, some
from hinaug.graph import arrow as tb

LARGE = 2**27  # bytes above which new arrays and tables lie in files
BLOCK = 2**22  # rows that are worked on at once
LOOKUP = 2**23  # rows whose ids are looked up at once: each time the ids are hashed anew


def blocks(n: int, size: int | None = None) -> Iterator[slice]:
    """Slices of at most `size` rows (BLOCK) that cover n rows."""
    size = size or BLOCK
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def empty(n: int, dtype: Any) -> np.ndarray:
    """An array of n numbers: in memory, above LARGE bytes mapped from a file."""
    dtype = np.dtype(dtype)
    if n * dtype.itemsize <= LARGE:
        return np.empty(n, dtype)
    with tempfile.TemporaryFile() as file:
        file.truncate(n * dtype.itemsize)
        return _mapped(file, dtype)


def filed(array: np.ndarray) -> np.ndarray:
    """The same numbers; above LARGE bytes a copy that is mapped from a file."""
    if array.nbytes <= LARGE:
        return array
    out = empty(array.size, array.dtype).reshape(array.shape)
    out[...] = array
    return out


def _mapped(file: IO[bytes], dtype: Any) -> np.ndarray:
    """All of a file as an array that shares its pages."""
    return np.frombuffer(mmap.mmap(file.fileno(), 0), dtype)


def filtered(table: pa.Table, mask: np.ndarray) -> pa.Table:
    """The rows of a table where `mask` is true; a large table goes through a file in blocks."""
    if table.nbytes <= LARGE:
        return table.filter(pa.array(mask))
    rows = Rows(table.schema)
    for block in blocks(table.num_rows):
        part = table.slice(block.start, block.stop - block.start)
        rows.append(part.filter(pa.array(mask[block])))
    return rows.table()


def alike(table: pa.Table, schema: pa.Schema, where: str) -> pa.Table:
    """The table with the columns of the schema in their order and types; columns that it lacks are
    null. SchemaError for columns that the schema lacks, and for values that cannot have its types.
    """
    unknown = [name for name in table.column_names if name not in schema.names]
    if unknown:
        raise SchemaError(
            f"{where}: column {some(unknown)} is not among {schema.names}; drop it",
            asked=unknown,
            there=schema.names,
        )
    columns = [
        _cast(table[field.name], field, where)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, names=schema.names)


def with_types(table: pa.Table, fields: Iterable[pa.Field], where: str) -> pa.Table:
    """The table with the types of these fields where it has columns of their names."""
    for field in fields:
        if field.name in table.column_names:
            at = table.column_names.index(field.name)
            old = table.schema.field(at)
            column = _cast(table[at], field, where)
            table = table.set_column(at, old.with_type(column.type), column)
    return table


def _cast(column: pa.ChunkedArray, field: pa.Field, where: str) -> pa.ChunkedArray:
    """The column in the type of the field; text of either width stays. SchemaError for others."""
    if column.type == field.type or (tb.is_text(column.type) and tb.is_text(field.type)):
        return column
    try:
        if pa.types.is_null(field.type) and column.null_count < len(column):
            raise pa.ArrowInvalid("a column without values takes no values")
        return column.cast(field.type)
    except pa.ArrowException as error:
        raise SchemaError(
            f"{where}, column {field.name!r}: {column.type} where {field.type} stands before "
            f"({error}); cast it",
            asked=column.type,
            there=field.type,
        ) from error


def is_stream(obj: Any) -> bool:
    """Whether it gives tables one after another: a RecordBatchReader, a dataset, an iterator."""
    return isinstance(obj, pa.RecordBatchReader | Iterator) or (
        hasattr(obj, "to_batches") and (not isinstance(obj, pa.Table))
    )


def tables_of(stream: Any, where: str) -> Iterator[pa.Table]:
    """The tables of a stream, as they come."""
    for table in stream.to_batches() if hasattr(stream, "to_batches") else stream:
        yield tb.as_table(table, where)


def parts(stream: Any, where: str) -> Iterator[pa.Table]:
    """The tables of a stream, small ones joined until they have LOOKUP rows."""
    waiting: list[pa.Table] = []
    rows = 0
    for table in tables_of(stream, where):
        waiting.append(table)
        rows += len(waiting[-1])
        if rows >= LOOKUP:
            yield tb.concat(waiting)
            waiting, rows = [], 0
    if waiting:
        yield tb.concat(waiting)


def whole(stream: Any, where: str) -> pa.Table:
    """All tables of a stream as one, see `joined`; SchemaError where it has none."""
    tables = list(parts(stream, where))
    if not tables:
        raise SchemaError(f"{where}: the stream has no table; give one without rows for no edges")
    return joined(tables, where)


def joined(tables: Sequence[pa.Table], where: str) -> pa.Table:
    """Tables one after another, in the form of the first; large ones go through a file."""
    schema = tables[0].schema
    if sum(table.nbytes for table in tables) <= LARGE:
        rest = [alike(table, schema, where).cast(schema) for table in tables[1:]]
        return tb.single(pa.concat_tables([tables[0], *rest]))
    rows = Rows(schema)
    for table in tables:
        for block in blocks(len(table)):
            rows.append(table.slice(block.start, block.stop - block.start), where)
    return rows.table()


class Rows:
    """A table that grows by its rows, in files; `table` gives it with one chunk a column.

    Numbers, times and text lie in files. Columns of other types, such as lists and categories,
    stay in memory.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.columns = [_column(field.type) for field in schema]

    def append(self, table: pa.Table, where: str = "rows") -> None:
        """More rows, of the columns and types of the schema; SchemaError for others."""
        table = alike(table, self.schema, where)
        for column, values in zip(self.columns, table.columns, strict=True):
            for chunk in values.chunks:
                column.append(chunk)

    def table(self) -> pa.Table:
        """All rows; nothing can be appended afterwards."""
        arrays = [column.array() for column in self.columns]
        fields = [
            pa.field(field.name, array.type, metadata=field.metadata)
            for field, array in zip(self.schema, arrays, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields, self.schema.metadata))


def _column(kind: pa.DataType) -> _Memory | _Numbers | _Text:
    if tb.is_text(kind):
        return _Text()
    if pa.types.is_primitive(kind) and not pa.types.is_boolean(kind):
        return _Numbers(kind)
    return _Memory(kind)


class _Memory:
    """A column whose chunks are kept and joined."""

    def __init__(self, kind: pa.DataType) -> None:
        self.kind, self.chunks = kind, list[pa.Array]()

    def append(self, chunk: pa.Array) -> None:
        self.chunks.append(chunk)

    def array(self) -> pa.Array:
        return tb.one_chunk(pa.chunked_array(self.chunks, self.kind))


class _Filed:
    """What columns in files share: which rows have a value, one byte each until the end."""

    def __init__(self) -> None:
        self.n, self.nulls = 0, 0
        self.valid = _Growing()

    def _append_valid(self, chunk: pa.Array) -> None:
        if chunk.null_count or self.nulls:
            if not self.nulls:
                for block in blocks(self.n):
                    self.valid.write(np.ones(block.stop - block.start, bool))
            self.valid.write(chunk.is_valid().to_numpy(zero_copy_only=False))
        self.n, self.nulls = self.n + len(chunk), self.nulls + chunk.null_count

    def _bitmap(self) -> pa.Buffer | None:
        if not self.nulls:
            return None
        valid = self.valid.array(np.uint8)
        bits = _Growing()
        for block in blocks(len(valid), 8 * BLOCK):
            bits.write(np.packbits(valid[block], bitorder="little"))
        return pa.py_buffer(bits.array(np.uint8))


class _Numbers(_Filed):
    """A column of numbers or times in a file."""

    def __init__(self, kind: pa.DataType) -> None:
        super().__init__()
        self.kind, self.width = kind, kind.bit_width // 8
        self.data = _Growing()

    def append(self, chunk: pa.Array) -> None:
        self._append_valid(chunk)
        if len(chunk):
            start = chunk.offset * self.width
            self.data.write(chunk.buffers()[1][start : start + len(chunk) * self.width])

    def array(self) -> pa.Array:
        buffers = [self._bitmap(), pa.py_buffer(self.data.array(np.uint8))]
        return pa.Array.from_buffers(self.kind, self.n, buffers, self.nulls)


class _Text(_Filed):
    """A column of text in files: bytes, and where each row ends."""

    def __init__(self) -> None:
        super().__init__()
        self.ends, self.data, self.bytes = _Growing(), _Growing(), 0

    def append(self, chunk: pa.Array) -> None:
        self._append_valid(chunk)
        if not len(chunk):
            return
        width = np.int64 if pa.types.is_large_string(chunk.type) else np.int32
        _, ends, data = chunk.buffers()
        ends = np.frombuffer(ends, width)[chunk.offset : chunk.offset + len(chunk) + 1]
        first, last = int(ends[0]), int(ends[-1])
        self.ends.write(ends[1:].astype(np.int64) + (self.bytes - first))
        if last > first:
            self.data.write(data[first:last])
        self.bytes += last - first

    def array(self) -> pa.Array:
        is_large = self.bytes > tb.TEXT_LIMIT
        kind, width = (pa.large_string(), np.int64) if is_large else (pa.string(), np.int32)
        ends, offsets = self.ends.array(np.int64), _Growing()
        offsets.write(np.zeros(1, width))
        for block in blocks(len(ends)):
            offsets.write(ends[block].astype(width))
        files = (pa.py_buffer(file.array(np.uint8)) for file in (offsets, self.data))
        buffers = [self._bitmap(), *files]
        return pa.Array.from_buffers(kind, self.n, buffers, self.nulls)


class _Growing:
    """Bytes that are written one after another into a file."""

    file: IO[bytes] | None = None

    def write(self, data: Any) -> None:
        if not len(data):
            return
        if self.file is None:
            self.file = tempfile.TemporaryFile()  # noqa: SIM115
        self.file.write(memoryview(data).cast("B"))

    def __del__(self) -> None:  # where an error ended the writing
        if self.file is not None:
            self.file.close()

    def array(self, dtype: Any) -> np.ndarray:
        """All that was written; the file is closed."""
        if self.file is None:
            return np.zeros(0, dtype)
        with self.file as file:
            file.flush()
            return _mapped(file, dtype)
