"""Rows of CSV, JSON lines and Parquet files as columns, however ragged: what is missing is null,
what is broken is counted.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hinaug.errors import ParameterError, nearest, some
from hinaug.graph import arrow as tb
from hinaug.io.delimited import read_delimited
from hinaug.io.tables.values import as_column, decoded, first_of_each, reach

ENDINGS = {
    "csv": "csv",
    "tsv": "csv",
    "json": "json",
    "jsonl": "json",
    "ndjson": "json",
    "parquet": "parquet",
}


@dataclass
class Records:
    """The rows of one or several files of one form. `column("a.b")` reaches into nested records.

    typed: whether the form itself tells numbers from text. dropped: {reason: rows that were left
    out}.
    """

    name: str
    rows: pa.Table | list[dict[str, Any]]
    typed: bool
    null: Sequence[str] = ()
    dropped: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def names(self) -> list[str]:
        if isinstance(self.rows, pa.Table):
            return self.rows.column_names
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def column(self, path: str) -> pa.Array:
        """One value a row; words that mean nothing (empty text, `null`) are null. ValueError for a
        name that no row has.
        """
        names = self.names
        name, *inner = [path] if path in names else path.split(".")
        if name not in names:
            raise ParameterError(
                f"{self.name}: no column {path!r}; there is {names}{nearest(path, names)}",
                asked=path,
                there=names,
            )
        if isinstance(self.rows, pa.Table):
            if not inner:
                return self._without_null_words(tb.one_chunk(self.rows[name]))
            values = self.rows[name].to_pylist()
        else:
            values = [row.get(name) for row in self.rows]
        return self._without_null_words(as_column([reach(value, inner) for value in values]))

    def unique(self) -> Records:
        """Without rows that repeat another one in every column; `dropped` counts them."""
        if isinstance(self.rows, pa.Table):
            keep = first_of_each(self.rows)
            rows: Any = self.rows.take(pa.array(keep))
        else:
            first: dict[str, dict[str, Any]] = {}
            for row in self.rows:
                first.setdefault(json.dumps(row, sort_keys=True), row)
            rows = list(first.values())
        twice = {"exact duplicates": len(self) - len(rows)} if len(rows) < len(self) else {}
        return Records(self.name, rows, self.typed, self.null, {**self.dropped, **twice})

    def _without_null_words(self, column: pa.Array) -> pa.Array:
        if pa.types.is_dictionary(column.type) and tb.is_text(column.type.value_type):
            return self._without_null_words(decoded(column)).dictionary_encode()
        if not tb.is_text(column.type):
            return column
        trimmed = pc.utf8_trim_whitespace(column.cast(pa.string()))
        empty = pc.is_in(trimmed, value_set=pa.array(["", *self.null]))
        return pc.if_else(empty, pa.scalar(None, pa.string()), trimmed)


def read(paths: Sequence[Path], *, null: Sequence[str] = (), encoding: str = "utf8") -> Records:
    """The rows of the files one after another. ValueError for an unknown ending, unlike forms, or a
    broken file.
    """
    name = ", ".join(p.name for p in paths)
    forms = {_form(p) for p in paths}
    if len(forms) > 1:
        raise ParameterError(
            f"{name}: files of unlike forms ({sorted(forms)}) in one section; give each its own"
        )
    dropped: dict[str, int] = {}
    form = forms.pop()
    if form == "json":
        rows = [row for path in paths for row in json_rows(path, dropped)]
        return Records(name, rows, True, null, dropped)
    tables = [_csv(path, encoding, dropped) if form == "csv" else _parquet(path) for path in paths]
    return Records(name, _concatenated(tables, name), form != "csv", null, dropped)


def _concatenated(tables: Sequence[pa.Table], name: str) -> pa.Table:
    """The rows of all tables. A column that only some files have as categories becomes plain."""
    coded = [{f.name for f in t.schema if pa.types.is_dictionary(f.type)} for t in tables]
    if any(names != coded[0] for names in coded):
        tables = [_without_categories(table) for table in tables]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowTypeError as error:
        raise ParameterError(
            f"{name}: a column has unlike types in these files ({error}); give each file its own "
            "section"
        ) from error


def _without_categories(table: pa.Table) -> pa.Table:
    columns = {name: decoded(tb.one_chunk(table[name])) for name in table.column_names}
    return pa.table(columns)


def _form(path: Path) -> str:
    endings = [s[1:].lower() for s in path.suffixes if s.lower() != ".gz"]
    if not endings or endings[-1] not in ENDINGS:
        raise ParameterError(
            f"{path.name}: unknown ending; expected one of {sorted(ENDINGS)}, or .gz after it"
        )
    return ENDINGS[endings[-1]]


def _opener(path: Path) -> Callable[[], Any]:
    return lambda: gzip.open(path, "rb") if path.suffix.lower() == ".gz" else open(path, "rb")


def json_rows(path: Path, dropped: dict[str, int]) -> list[dict[str, Any]]:
    """The objects of a file with one a line, or with one list of them; lines that hold no object
    are counted.
    """
    try:
        with _opener(path)() as file:
            data = file.read().removeprefix(b"\xef\xbb\xbf")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ParameterError(f"{path}: cannot be unpacked ({error}); fetch it again") from error
    found = _json_list(data, path) if data.lstrip()[:1] == b"[" else _json_lines(data)
    rows = [row for row in found if isinstance(row, dict)]
    if found and not rows:
        raise ParameterError(
            f"{path}: none of its {len(found)} lines is a JSON object; expected one object a line"
        )
    if len(rows) < len(found):
        dropped["broken lines"] = dropped.get("broken lines", 0) + len(found) - len(rows)
    return rows


def _json_list(data: bytes, path: Path) -> list[Any]:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ParameterError(f"{path}: starts as a list and is no JSON ({error})") from error


def _json_lines(data: bytes) -> list[Any]:
    return [_json(line) for line in data.splitlines() if line.strip()]


def _json(line: bytes) -> Any:
    """The value of a line, None where it is no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _csv(path: Path, encoding: str, dropped: dict[str, int]) -> pa.Table:
    try:
        with _opener(path)() as file:
            head = file.readline().decode("utf-8-sig", "replace")
        delimiter = max(",;\t|", key=head.count)
        bad: list[Any] = []
        table = read_delimited(
            _opener(path), name=path, delimiter=delimiter, encoding=encoding, skip=bad.append
        )
    except (EOFError, zlib.error) as error:
        raise ParameterError(f"{path}: cannot be unpacked ({error}); fetch it again") from error
    names = table.column_names
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ParameterError(f"{path}: column {some(twice)} stands more than once; rename one")
    if bad:
        dropped["broken lines"] = dropped.get("broken lines", 0) + len(bad)
    return table


def _parquet(path: Path) -> pa.Table:
    try:
        return pq.read_table(path, partitioning=None)
    except pa.ArrowException as error:
        raise ParameterError(f"{path}: cannot be read as Parquet: {error}") from error
