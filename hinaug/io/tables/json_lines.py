"""JSON lines as a table: block by block by Arrow, and line by line only where a block holds what
Arrow does not take. Lists, and objects over several lines, are read as a whole.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as pajson

from hinaug.errors import ParameterError
from hinaug.io.delimited import check_encoding, utf8_of
from hinaug.io.packed import unpacking
from hinaug.io.tables.values import as_column

BLOCK = 1 << 22  # bytes that are parsed together
_OF_PYTHON = re.compile(rb"\{\s*u?'")  # how a dict begins whose keys stand in single quotes
_BETWEEN = re.compile(r"[\s,]*")  # two objects
_EXACT = float(2**53)  # whole numbers from here on are not exact as floats


@dataclass
class JsonFile:
    """The rows of a file. broken: lines that hold no object; `first` of them, with their text."""

    table: pa.Table = field(default_factory=lambda: pa.table({}))
    broken: int = 0
    first: list[tuple[int, str]] = field(default_factory=list)
    _starts: list[tuple[int, Any]] = field(default_factory=list)

    def lines(self, rows: Any) -> dict[int, int]:
        """{row: its line, from 1}; of a list, its place there."""
        starts = np.array([row for row, _ in self._starts])
        blocks = np.searchsorted(starts, np.asarray(rows, np.int64), side="right") - 1
        found = {}
        for row, block in zip(rows, blocks, strict=True):
            start, lines = self._starts[block]
            found[int(row)] = int(lines if isinstance(lines, int) else 0) + int(row) - start
            if not isinstance(lines, int):
                found[int(row)] = int(lines[row - start])
        return found

    def add_block(self, row: int, lines: Any) -> None:
        """lines: the line of the first row where the others follow, or those of all rows."""
        self._starts.append((row, lines))

    def add_broken(self, broken: list[tuple[int, str]]) -> None:
        self.broken += len(broken)
        self.first = [*self.first, *broken][:3]


def read_json(source: Any, name: Any, encoding: str = "utf8") -> JsonFile:
    """The objects of a file: one a line, one list of them, or any over several lines. Where the
    file is one object around one list of two objects or more (a page of a service, say), those.

    source: a path, or a function that opens a binary stream. name: what errors call the file.
    encoding: of the text. Raises ParameterError.
    """
    check_encoding(encoding, name)
    with unpacking(name), utf8_of(source, encoding) as stream:
        blocks = _blocks(stream)
        try:
            first = next(blocks, b"").removeprefix(b"\xef\xbb\xbf")
            if first.lstrip()[:1] == b"[":
                return _list(first + b"".join(blocks), name)
            if is_spread(first):
                first += b"".join(blocks)
                if objects := _objects(first):
                    return _rows_of(objects)
            found = _lines(first, blocks)
        except UnicodeError as error:
            raise ParameterError(
                f"{name}: cannot be read as {encoding}: {error}", asked=encoding
            ) from error
    if found.broken and not found.table.num_rows:
        line, text = found.first[0]
        raise ParameterError(
            f"{name}: none of its {found.broken} lines is a JSON object (first: {text!r}, line "
            f"{line}); expected objects, one a line or in one list",
            asked=found.broken,
        )
    return found


def _blocks(stream: Any) -> Iterator[bytes]:
    """Whole lines."""
    rest = b""
    while block := stream.read(BLOCK):
        cut = block.rfind(b"\n") + 1
        if cut:
            yield rest + block[:cut]
            rest = block[cut:]
        else:
            rest += block
    if rest:
        yield rest


def _list(data: bytes, name: Any) -> JsonFile:
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ParameterError(
            f"{name}: starts as a list and is no JSON ({error})", asked=str(error)
        ) from error
    return _rows_of(values)


def is_spread(head: bytes) -> bool:
    """Whether the first object of a file goes on over several lines, or is the only line."""
    lines = head.strip().split(b"\n", 1)
    return lines[0][:1] == b"{" and (len(lines) == 1 or _json(lines[0]) is None)


def _objects(data: bytes) -> list[Any]:
    """The values that stand one after another; of one object around a list of objects, these. Empty
    where the data are no such values throughout.
    """
    decoder, text, at = json.JSONDecoder(), data.decode().strip(), 0
    values: list[Any] = []
    while at < len(text):
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return []
        values.append(value)
        at = _BETWEEN.match(text, end).end()  # type: ignore[union-attr]  # it matches nothing, too
    if len(values) != 1 or not isinstance(values[0], dict):
        return values
    nested = [value for value in values[0].values() if isinstance(value, dict | list)]
    entries = list(nested[0]) if len(nested) == 1 else []
    return entries if [type(entry) for entry in entries[:2]] == [dict, dict] else values


def _rows_of(values: list[Any]) -> JsonFile:
    """The objects among values, with their places; others are broken."""
    places = [n for n, value in enumerate(values, 1) if isinstance(value, dict)]
    broken = [(n, str(v)) for n, v in enumerate(values, 1) if not isinstance(v, dict)]
    found = JsonFile(_table([values[n - 1] for n in places]))
    found.add_broken(broken)
    found.add_block(0, np.array(places))
    return found


def _lines(first: bytes, blocks: Iterator[bytes]) -> JsonFile:
    found, tables, row, line = JsonFile(), [], 0, 1
    texts = pa.schema([])
    block = first
    while block:
        table, texts = _by_arrow(block, texts)
        lines: Any = line
        if table is None or table.num_rows != block.count(b"\n") + (not block.endswith(b"\n")):
            table, lines = _line_by_line(block, table, line, found)
        tables.append(table)
        found.add_block(row, lines)
        row, line = row + table.num_rows, line + block.count(b"\n")
        block = next(blocks, b"")
    found.table = _concatenated([table for table in tables if table.num_rows])
    return found


# ---- by Arrow ------------------------------------------------------------------------------------


def _by_arrow(block: bytes, texts: pa.Schema) -> tuple[pa.Table | None, pa.Schema]:
    """The rows of a block, None where Arrow does not read them as Python does.

    texts: fields that are text; without them, Arrow makes times of what looks like one.
    """
    try:
        block.decode()  # Arrow takes any bytes
        table = _parsed(block, texts)
        found = _only_text(table.schema)
        if any(f not in texts for f in found):
            texts = pa.unify_schemas([texts, found])
            table = _parsed(block, texts)
        table.validate()  # lists of nothing but nulls come out wrong
    except (pa.ArrowException, UnicodeError):
        return None, texts
    return (None if any(map(_is_inexact, table.columns)) else table), texts


def _parsed(block: bytes, texts: pa.Schema) -> pa.Table:
    options = pajson.ParseOptions(explicit_schema=texts, unexpected_field_behavior="infer")
    read = pajson.ReadOptions(use_threads=False, block_size=max(len(block), 1))
    return pajson.read_json(pa.BufferReader(block), read_options=read, parse_options=options)


def _only_text(schema: pa.Schema) -> pa.Schema:
    kinds = {field.name: _text_of(field.type) for field in schema}
    return pa.schema([(name, kind) for name, kind in kinds.items() if kind is not None])


def _text_of(kind: pa.DataType) -> pa.DataType | None:
    """The parts of a type that are text, or None."""
    if pa.types.is_string(kind) or pa.types.is_timestamp(kind):
        return pa.string()
    if pa.types.is_list(kind):
        inner = _text_of(kind.value_type)
        return None if inner is None else pa.list_(inner)
    if pa.types.is_struct(kind):
        parts = [(f.name, _text_of(f.type)) for f in kind]
        parts = [(name, inner) for name, inner in parts if inner is not None]
        return pa.struct(parts) if parts else None
    return None


def _is_inexact(column: Any) -> bool:
    """Whether floats may stand for whole numbers that they cannot hold."""
    kind = column.type
    if pa.types.is_list(kind):
        return _is_inexact(pc.list_flatten(column))
    if pa.types.is_struct(kind):
        return any(_is_inexact(pc.struct_field(column, f.name)) for f in kind)
    if not pa.types.is_floating(kind):
        return False
    return pc.any(pc.greater_equal(pc.abs(column), _EXACT)).as_py() is True


# ---- line by line --------------------------------------------------------------------------------


def _line_by_line(
    block: bytes, table: pa.Table | None, first: int, found: JsonFile
) -> tuple[pa.Table, np.ndarray]:
    """The rows of a block with their lines; broken lines are noted.

    table: the rows by Arrow, which are right where only blank lines stand between them.
    """
    lines = _filled_lines(block, first)
    if table is not None and table.num_rows == len(lines):
        return table, np.array([n for n, _ in lines])
    values = [_json(line) for _, line in lines]
    is_row = np.array([isinstance(value, dict) for value in values], bool)
    places = np.array([n for n, _ in lines], np.int64)
    found.add_broken([(lines[n][0], _shown(lines[n][1])) for n in np.flatnonzero(~is_row)])
    return _table([values[n] for n in np.flatnonzero(is_row)]), places[is_row]


def _filled_lines(block: bytes, first: int) -> list[tuple[int, bytes]]:
    """(number, line) of the lines that hold something."""
    return [(n, line) for n, line in enumerate(block.split(b"\n"), first) if line.strip()]


def _json(line: bytes) -> Any:
    """The value of a line, also with a comma behind it, or as Python writes it; None for others."""
    text = line.strip().removesuffix(b",")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        found = ast.literal_eval(text.decode()) if _OF_PYTHON.match(text) else None
        return json.loads(json.dumps(found))
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def _shown(line: bytes) -> str:
    return line.decode("utf-8", "replace").strip()


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {_name(name): _column([row.get(name) for row in rows]) for name in names}
    return pa.table(columns) if columns else pa.table({"": pa.nulls(len(rows))})


def _name(name: str) -> str:
    return name.encode("utf-8", "replace").decode()


def _column(values: list[Any]) -> pa.Array:
    """Values of any kinds as a column; records and lists of unlike values stay what they are."""
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        pass
    kinds = {type(value) for value in values if value is not None}
    if kinds == {dict}:
        return _records(values)
    is_lists = kinds == {list} and any(isinstance(e, dict | list) for v in values for e in v or ())
    return _lists(values) if is_lists else as_column(values)


def _lists(values: list[list[Any] | None]) -> pa.Array:
    entries = _column([entry for value in values for entry in value or ()])
    ends = pa.array(np.append(0, np.cumsum([len(value or ()) for value in values])), pa.int32())
    mask = pa.array([value is None for value in values])
    return pa.ListArray.from_arrays(ends, entries, mask=mask)


def _records(values: list[dict[str, Any] | None]) -> pa.Array:
    names = dict.fromkeys(name for value in values if value for name in value)
    inner = [_column([(value or {}).get(name) for value in values]) for name in names]
    mask = pa.array([value is None for value in values])
    return pa.StructArray.from_arrays(inner, names=list(map(_name, names)), mask=mask)


def _concatenated(tables: list[pa.Table]) -> pa.Table:
    """The rows of all blocks; values of unlike kinds become text, as in one block."""
    if not tables:
        return pa.table({})
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException:
        pass
    names = dict.fromkeys(name for table in tables for name in table.column_names)
    return pa.table({name: _joined([_part(table, name) for table in tables]) for name in names})


def _part(table: pa.Table, name: str) -> pa.Table:
    known = name in table.column_names
    return pa.table({name: table[name] if known else pa.nulls(table.num_rows)})


def _joined(parts: list[pa.Table]) -> Any:
    try:
        return pa.concat_tables(parts, promote_options="permissive").column(0)
    except pa.ArrowException:
        return _column([value for part in parts for value in part.column(0).to_pylist()])
