"""Rows of files of delimited text, JSON lines, Parquet and Arrow as columns, however ragged: what
is missing is null, what is broken is counted and the first of it shown.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.errors import ParameterError, nearest, some
from hinaug.graph import arrow as tb
from hinaug.io import packed
from hinaug.io.delimited import Dialect, lines_of, stream_delimited
from hinaug.io.packed import opener, unpacking
from hinaug.io.tables.json_lines import read_json
from hinaug.io.tables.sniff import dialect_of, first_lines, looks_like_data
from hinaug.io.tables.typed import typed_table
from hinaug.io.tables.values import as_column, decoded, first_of_each, reach, without_words

FORMATS = {  # endings that say how a file is written
    **dict.fromkeys(("csv", "tsv", "tab", "txt", "dat"), "delimited"),
    **dict.fromkeys(("json", "jsonl", "ndjson"), "json"),
    "parquet": "parquet",
    **dict.fromkeys(("arrow", "feather"), "arrow"),
}
CONTENTS = ("data", "inter", "user", "item", "link", "kg")  # and those that say what is in it
ENDINGS = {**FORMATS, **dict.fromkeys(CONTENTS, "delimited")}
# what a schema may say of the form of a file
FORM = ("delimiter", "columns", "header", "quote", "escape", "encoding", "comment", "decimal")
BROKEN, RUNAWAY = "broken lines", "values in quotes over lines that look like rows"
HEADER, EMPTY = "further lines with the names of the columns", "empty files"
_SHOWN = 3  # rows that are named of each kind that is broken
_NO_ROWS = np.zeros(0, np.int64)


@dataclass
class Part:
    """What is known of a file. lines: gives {row: line} for a few rows; None where there are none.

    n: rows. notes: {what: how many}. first: {what: the first of them, in words}.
    """

    name: str
    n: int
    lines: Callable[[Sequence[int]], dict[int, int]] | None = None
    notes: dict[str, int] = field(default_factory=dict)
    first: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Records:
    """The rows of one or several files of one form. `column("a.b")` reaches into nested records.

    typed: whether the form itself tells numbers from text; text of other forms was cleaned of words
    that mean nothing when it was read. parts: the files, one after another.
    dropped: {reason: rows that were left out}. rows_at: the rows [n] among those of the files; None
    where all are there. is_last: whether nobody asks for a column again. decimal: "." or ",", which
    stands in numbers that are text.
    """

    name: str
    rows: pa.Table
    typed: bool
    null: Sequence[str] = ()
    parts: Sequence[Part] = ()
    dropped: dict[str, int] = field(default_factory=dict)
    rows_at: np.ndarray | None = None
    is_last: bool = False
    decimal: str = "."

    def __len__(self) -> int:
        return self.rows.num_rows

    @property
    def left_out(self) -> int:
        """Rows of the files that are not among these."""
        return sum(n for what, n in self.dropped.items() if what not in (RUNAWAY, EMPTY))

    @property
    def names(self) -> list[str]:
        return self.rows.column_names

    def column(self, path: str) -> pa.Array:
        """One value a row; words that mean nothing (empty text, `null`) are null. ParameterError
        for a name that no row has.
        """
        names = self.names
        name, *inner = [path] if path in names else path.split(".")
        if name not in names:
            raise self._unknown(path, names)
        column = tb.one_chunk(self.rows[name])
        for part in inner:
            column = self._inside(column, part, path)
        if pa.types.is_floating(column.type):
            return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        is_clean = not self.typed and path in names
        return column if is_clean else without_words(column, self.null)

    def batches(self, paths: Sequence[str], is_last: bool = False) -> Iterator[pa.RecordBatch]:
        """The rows of some columns, a part at a time; with `is_last` each part is let go after it
        was used.
        """
        if any(path not in self.names for path in paths):
            columns = {str(n): self.column(path) for n, path in enumerate(paths)}
            parts = pa.table(columns).to_batches()
        else:
            parts = self.rows.select(paths).to_batches()
        if is_last:
            self.rows = self.rows.drop_columns([path for path in paths if path in self.names])
        parts.reverse()
        while parts:
            yield parts.pop()

    def keep(self, paths: Sequence[str]) -> None:
        """Lets go of the columns that none of the paths reaches into."""
        tops = {path if path in self.names else path.split(".")[0] for path in paths}
        if tops <= set(self.names):  # else an error will list what there is
            self.rows = self.rows.select([name for name in self.names if name in tops])

    def _inside(self, column: pa.Array, name: str, path: str) -> pa.Array:
        kind = column.type
        while pa.types.is_list(kind):
            kind = kind.value_type
        if not pa.types.is_struct(kind):
            return pa.nulls(len(column))
        fields = [f.name for f in kind]
        if name not in fields:
            raise self._unknown(path, fields)
        if pa.types.is_struct(column.type):
            return pc.struct_field(column, name)
        return as_column([reach(value, [name]) for value in column.to_pylist()])

    def _unknown(self, path: str, names: Sequence[str]) -> ParameterError:
        return ParameterError(
            f"{self.name}: no column {path!r}; there is {list(names)}{nearest(path, names)}",
            asked=path,
            there=list(names),
        )

    def unique(self) -> Records:
        """Without rows that repeat another one in every column; `dropped` counts them."""
        keep = first_of_each(self.rows)
        n = len(self) - len(keep)
        if not n:
            return self
        dropped = {**self.dropped, "exact duplicates": n}
        return replace(self, rows=self.rows.take(pa.array(keep)), dropped=dropped, rows_at=keep)

    def places(self, rows: Sequence[int]) -> list[str]:
        """Where the first of the rows stand: "line 3", with the file where there are several."""
        at = [int(row if self.rows_at is None else self.rows_at[row]) for row in rows[:_SHOWN]]
        ends = np.cumsum([part.n for part in self.parts])
        found = []
        for row in at:
            which = int(np.searchsorted(ends, row, side="right"))
            part = self.parts[which]
            inside = row - (int(ends[which - 1]) if which else 0)
            found.append(_place(part, inside, len(self.parts) > 1))
        return found

    @property
    def first(self) -> dict[str, list[str]]:
        """{what was left out or is odd: the first of it, in words}."""
        found: dict[str, list[str]] = {}
        for part in self.parts:
            before = f"{part.name}, " if len(self.parts) > 1 else ""
            for what, words in part.first.items():
                found.setdefault(what, []).extend(before + word for word in words)
        return {what: words[:_SHOWN] for what, words in found.items()}


def _place(part: Part, row: int, is_named: bool) -> str:
    lines = {} if part.lines is None else part.lines([row])
    where = f"line {lines[row]}" if row in lines else f"row {row + 1}"
    return f"{part.name}, {where}" if is_named else where


def read(
    paths: Sequence[Path],
    *,
    said: Mapping[str, Any] | None = None,
    null: Sequence[str] = (),
    coded: Collection[str] = (),
) -> Records:
    """The rows of the files one after another.

    said: what a schema says of the form: any of `FORM`. null: words that mean nothing.
    coded: columns of delimited text with few words, which take less memory as dictionaries.
    Raises ParameterError for an unknown ending, unlike forms, or a broken file.
    """
    said = dict(said or {})
    name = ", ".join(dict.fromkeys(map(source_name, paths)))
    form = _one_form(paths, said, name)
    filled = [path for path in paths if path.stat().st_size]
    if not filled:
        raise ParameterError(f"{paths[0]}: is empty", asked=str(paths[0]))
    tables, parts = [], []
    for path in filled:
        table, part = _part(path, form, said, null, coded)
        tables.append(table)
        parts.append(part)
    notes = Counter({EMPTY: len(paths) - len(filled)})
    for part in parts:
        notes.update(part.notes)
    rows, dropped = _concatenated(tables, name), dict(+notes)
    decimal = said.get("decimal", ".")
    return Records(name, rows, form != "delimited", null, parts, dropped, decimal=decimal)


def _one_form(paths: Sequence[Path], said: Mapping[str, Any], name: str) -> str:
    forms = sorted({form_of(path, said) for path in paths})
    if len(forms) > 1:
        raise ParameterError(
            f"{name}: files of unlike forms ({forms}) in one section; give each its own",
            there=forms,
        )
    return forms[0]


def _part(
    path: Path, form: str, said: Mapping[str, Any], null: Sequence[str], coded: Collection[str]
) -> tuple[pa.Table, Part]:
    if form == "json":
        return _json(path, said.get("encoding", "utf8"))
    if form in ("parquet", "arrow"):
        table = typed_table(path, form)
        return table, Part(path.name, table.num_rows)
    return _delimited(path, said, null, coded)


def form_of(path: Path, said: Mapping[str, Any]) -> str:
    """The form: "delimited", "json", "parquet" or "arrow", by the ending of the name."""
    ending = ending_of(path)
    if ending in ENDINGS:
        return ENDINGS[ending]
    if {"delimiter", "columns", "header"} & said.keys():
        return "delimited"
    told = f"that end in .{ending}" if ending else "without an ending"
    raise ParameterError(
        f"{path.name}: files {told} are not read; save it as CSV or Parquet, or "
        "say delimiter = or columns = in its section if it is text with fields. There is "
        f"{', '.join(sorted(ENDINGS))}, also packed as {', '.join(packed.ENDINGS)}",
        asked=ending,
        there=sorted(ENDINGS),
    )


def ending_of(path: Path) -> str:
    """The last ending of the name of what is inside, without its dot."""
    return Path(packed.inner_name(path)).suffix[1:].lower()


def is_folder_of_parts(folder: Path) -> bool:
    """Whether a folder stands for one table by its name, such as likes.csv/ of parts."""
    return folder.suffix[1:].lower() in FORMATS


def source_name(path: Path) -> str:
    """How a schema calls a file: by its name, or by that of the folder of parts that it lies in."""
    folder = path.parent
    is_part = is_folder_of_parts(folder) and ending_of(path) == folder.suffix[1:].lower()
    return folder.name if is_part else path.name


def _concatenated(tables: Sequence[pa.Table], name: str) -> pa.Table:
    """The rows of all tables. A column that only some files have as categories becomes plain."""
    if len(tables) == 1:
        return tables[0]
    coded = [{f.name for f in t.schema if pa.types.is_dictionary(f.type)} for t in tables]
    if any(names != coded[0] for names in coded):
        tables = [_without_categories(table) for table in tables]
    try:
        return pa.concat_tables(tables, promote_options="permissive").unify_dictionaries()
    except pa.ArrowException as error:
        raise ParameterError(
            f"{name}: a column has unlike types in these files ({error}); give each file its own "
            "section",
            asked=name,
        ) from error


def _without_categories(table: pa.Table) -> pa.Table:
    columns = {name: decoded(tb.one_chunk(table[name])) for name in table.column_names}
    return pa.table(columns)


# ---- one file ------------------------------------------------------------------------------------


def _json(path: Path, encoding: str) -> tuple[pa.Table, Part]:
    found = read_json(opener(path), path, encoding)
    notes = {BROKEN: found.broken} if found.broken else {}
    first = {BROKEN: [_quoted(text, f"line {line}") for line, text in found.first]}
    table, found.table = found.table, found.table.schema.empty_table()
    part = Part(path.name, table.num_rows, found.lines, notes, first if notes else {})
    return table, part


def _delimited(
    path: Path, said: Mapping[str, Any], null: Sequence[str], coded: Collection[str]
) -> tuple[pa.Table, Part]:
    source = opener(path)
    with unpacking(path):
        dialect = dialect_of(source, said, ending_of(path), path)
    _warn_of_header(path, source, dialect)
    bad: list[None] = []
    kinds = dict.fromkeys(coded, pa.dictionary(pa.int32(), pa.string()))
    schema, batches = stream_delimited(
        source, dialect, name=path, types=kinds, skip=lambda row: bad.append(None)
    )
    _refuse_twice(schema.names, path)
    table, runaway, headers = _collected(schema, batches, null, dialect)
    part = Part(path.name, table.num_rows)
    part.lines = lambda rows: _lines_of(source, dialect, len(schema), headers, rows)
    if len(headers):
        part.notes[HEADER] = len(headers)
    if bad:
        part.notes[BROKEN] = len(bad)
        _, rows = lines_of(source, dialect, len(schema), (), min(len(bad), _SHOWN))
        part.first[BROKEN] = [_quoted(text, f"line {line}") for line, text in rows]
        if not table.num_rows:
            raise _all_broken(path, len(bad), dialect, schema.names, part.first[BROKEN])
    if len(runaway):
        part.notes[RUNAWAY] = len(runaway)
        lines = part.lines(runaway[:_SHOWN].tolist())
        places = [f"line {lines[row]}" for row in runaway[:_SHOWN].tolist() if row in lines]
        part.first[RUNAWAY] = [f"{place}; quote = false reads each line" for place in places]
    return table, part


def _lines_of(
    source: Any, dialect: Dialect, width: int, headers: np.ndarray, rows: Sequence[int]
) -> dict[int, int]:
    """{row: line} of rows that are counted without further headers."""
    before = headers - np.arange(len(headers))  # rows that are kept before each of them
    at = np.asarray(rows, np.int64) + np.searchsorted(before, rows, side="right")
    found = lines_of(source, dialect, width, at.tolist())[0]
    return {row: found[n] for row, n in zip(rows, at.tolist(), strict=True) if n in found}


def _collected(
    schema: pa.Schema, batches: Any, null: Sequence[str], dialect: Dialect
) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """All rows without null words; those in which a quote may have run away; and, among all rows of
    the file, those that repeat the header, which are left out.
    """
    kept, runaway, headers, n = [], [_NO_ROWS], [_NO_ROWS], 0
    for batch in batches:
        columns = [without_words(column, null) for column in batch.columns]
        again = _like_header(columns, schema.names) if dialect.has_header else _NO_ROWS
        if len(again):
            headers.append(n + sum(map(len, headers)) + again)
            rows = pa.array(np.delete(np.arange(batch.num_rows), again))
            columns = [column.take(rows) for column in columns]
        kept.append(pa.RecordBatch.from_arrays(columns, schema=schema))
        if dialect.quote and len(schema) > 1:
            runaway.append(n + _runaway(columns, dialect.delimiter))
        n += kept[-1].num_rows
    table = pa.Table.from_batches(kept, schema).unify_dictionaries()
    return table, np.unique(np.concatenate(runaway)), np.concatenate(headers)


def _like_header(columns: Sequence[pa.Array], names: Sequence[str]) -> np.ndarray:
    """Rows that hold the names of the columns, as files that were joined have."""
    if len(names) < 2:
        return _NO_ROWS
    rows = np.flatnonzero(_equals(columns[0], names[0]))
    for column, name in zip(columns[1:], names[1:], strict=True):
        if len(rows):
            rows = rows[_equals(column.take(pa.array(rows)), name)]
    return rows


def _equals(column: pa.Array, word: str) -> np.ndarray:
    """Where a column of text holds a word; where it holds nothing for the empty word."""
    if not word:
        found = column.is_null()
    elif pa.types.is_dictionary(column.type):
        found = pc.equal(column.indices, pc.index(column.dictionary, word).as_py())
    else:
        found = pc.equal(column, word)
    return pc.fill_null(found, False).to_numpy(zero_copy_only=False)


def _runaway(columns: Sequence[pa.Array], delimiter: str) -> np.ndarray:
    """Rows with a value of several lines, one of which has as many fields as a row."""
    found = [_NO_ROWS]
    inside = f"[^\\n{_class(delimiter)}]*"
    row = f"\\n{inside}(?:{_literal(delimiter)}{inside}){{{len(columns) - 1}}}(?:\\n|$)"
    for column in columns:
        words = column.dictionary if pa.types.is_dictionary(column.type) else column
        if tb.is_text(words.type) and pc.any(pc.match_substring(words, "\n")).as_py():
            column = decoded(column)
            mask = pc.fill_null(pc.match_substring_regex(column, row), False)
            found.append(np.flatnonzero(mask.to_numpy(zero_copy_only=False)))
    return np.concatenate(found)


def _literal(text: str) -> str:
    """Text as a pattern of RE2."""
    return "[ \\t]+" if text == "blanks" else "".join(f"\\x{{{ord(c):x}}}" for c in text)


def _class(text: str) -> str:
    return " \\t" if text == "blanks" else _literal(text[0])


def _refuse_twice(names: Sequence[str], path: Path) -> None:
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ParameterError(
            f"{path}: column {some(twice)} stands more than once; rename one, or give all names "
            "as columns = [...]",
            asked=twice,
        )


def _all_broken(
    path: Path, n: int, dialect: Dialect, names: Sequence[str], first: Sequence[str]
) -> ParameterError:
    told = "columns gives" if dialect.columns else "the first line has"
    return ParameterError(
        f"{path}: none of its {n} rows has the {len(names)} fields that {told} (first: "
        f"{first[0] if first else ''}); say the delimiter, columns = [...] or quote = false",
        asked=n,
        there=list(names),
    )


def _warn_of_header(path: Path, source: Any, dialect: Dialect) -> None:
    if dialect.columns is not None or not dialect.has_header:
        return
    lines = first_lines(source, dialect.encoding, dialect.comment)
    if looks_like_data(lines, dialect):
        warnings.warn(
            f"{path.name}: the first line is read as names of columns and looks like data "
            f"({lines[0][:60]!r}); for a file without names write columns = [...]",
            stacklevel=2,
        )


def _quoted(text: str, place: str) -> str:
    return f"{shortened(text)!r}, {place}"


def shortened(text: str) -> str:
    """At most 40 characters of a text."""
    return text if len(text) <= 40 else text[:39] + "…"
