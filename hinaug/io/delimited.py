"""Delimited text as Arrow tables: any encoding, any delimiter, with or without a header line."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as pacsv

from hinaug.errors import ParameterError
from hinaug.io.packed import unpacking

BLOCK = 1 << 24  # bytes that are parsed together
BLANKS = "blanks"  # the delimiter that is a run of blanks and tabs
_SEPARATOR = "\x1f"  # stands for a delimiter of several bytes while a file is parsed
_MARKS = (  # of byte order; the long ones first
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Dialect:
    """How a file of delimited text is written.

    delimiter: what stands between two fields: any text, or "blanks" for runs of blanks and tabs.
    columns: names of the columns; None takes them from the header line.
    header: whether the first line holds names; None: it does where `columns` is None.
    quote: whether fields may stand in double quotes, with delimiters and line breaks inside.
    encoding: of the text; files in UTF-16 and UTF-32 with a byte order mark are known by it.
    comment: what lines start with that are left out.
    preface: whether the first line is sep=; as Excel writes it, which only tells the delimiter.
    escape: whether a quote inside quotes is written \\", as MySQL writes it, and not "".
    """

    delimiter: str = ","
    columns: tuple[str, ...] | None = None
    header: bool | None = None
    quote: bool = True
    encoding: str = "utf8"
    comment: str | None = None
    preface: bool = False
    escape: bool = False

    @property
    def has_header(self) -> bool:
        return self.columns is None if self.header is None else self.header

    @property
    def character(self) -> str:
        """The one character between fields in what `text_of` gives."""
        is_byte = len(self.delimiter.encode()) == 1
        return self.delimiter if is_byte else _SEPARATOR


def read_delimited(
    source: Any,
    *,
    name: str | os.PathLike[str],
    delimiter: str = ",",
    columns: Sequence[str] | None = None,
    types: dict[str, pa.DataType] | None = None,
    encoding: str = "utf8",
    quote: bool = True,
    skip: Callable[[Any], None] | None = None,
) -> pa.Table:
    """Delimited text as a table of strings. An empty field is null; the text "NA" is not.

    source: a path, or a function that opens a binary stream.
    name: what errors call the file.
    delimiter: what stands between two fields: any text.
    columns: names for a file without a header line.
    types: {column: type} of the columns that are no strings.
    encoding: of the text.
    quote: whether fields may stand in double quotes, with delimiters and line breaks inside.
    skip: called with each row of a wrong width, which is then left out. Without it such a row is
        an error.
    Raises ParameterError.
    """
    names = tuple(columns) if columns else None
    dialect = Dialect(delimiter, names, quote=quote, encoding=encoding)
    schema, batches = stream_delimited(source, dialect, name=name, types=types, skip=skip)
    return pa.Table.from_batches(batches, schema)


def stream_delimited(
    source: Any,
    dialect: Dialect,
    *,
    name: Any,
    types: Mapping[str, pa.DataType] | None = None,
    skip: Callable[[Any], None] | None = None,
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The schema of a file, and its rows block by block. Parameters as of `read_delimited`."""
    with plain_errors(name, dialect.delimiter):
        check_encoding(dialect.encoding, name)
        found = _found_names(source, dialect)
    names = _names(found, dialect)
    kinds = [(types or {}).get(column, pa.string()) for column in names]
    schema = pa.schema(list(zip(names, kinds, strict=True)))
    return schema, _batches(source, dialect, found, schema, name, skip)


def _batches(
    source: Any,
    dialect: Dialect,
    found: list[str],
    schema: pa.Schema,
    name: Any,
    skip: Callable[[Any], None] | None,
) -> Iterator[pa.RecordBatch]:
    """found: the names as the parser sees them; those of the schema take their place."""
    given = None if dialect.has_header else found
    types = dict(zip(found, schema.types, strict=True))
    with plain_errors(name, dialect.delimiter), text_of(source, dialect) as stream:
        try:
            reader = _open(stream, dialect, given, skip, column_types=types)
        except pa.ArrowInvalid as error:
            if given is not None and "Empty CSV file" in str(error):
                return
            raise
        for batch in reader:
            yield pa.RecordBatch.from_arrays(_restored(batch.columns, dialect), schema=schema)


def _found_names(source: Any, dialect: Dialect) -> list[str]:
    """The names of the header as the parser of the rows sees them, or those that are given."""
    if dialect.columns is not None and not dialect.has_header:
        return list(dialect.columns)
    for block in (1 << 16, BLOCK):  # the large one where a row does not fit into the small one
        with text_of(source, dialect) as stream:
            try:
                return _open(stream, dialect, None, lambda row: None, block).schema.names
            except pa.ArrowInvalid:
                if block == BLOCK:
                    raise
    raise AssertionError


def _names(found: list[str], dialect: Dialect) -> list[str]:
    if dialect.columns is not None and len(dialect.columns) != len(found):
        raise ParameterError(
            f"columns names {len(dialect.columns)} columns, the header {len(found)}: {found}",
            asked=list(dialect.columns),
            there=found,
        )
    if not dialect.has_header:
        return list(dialect.columns or (str(n) for n in range(1, len(found) + 1)))
    between = " " if dialect.delimiter == BLANKS else dialect.delimiter
    return list(dialect.columns or (name.replace(_SEPARATOR, between).strip() for name in found))


def _open(
    stream: Any,
    dialect: Dialect,
    names: list[str] | None,
    skip: Callable[[Any], None] | None,
    block: int = BLOCK,
    **convert: Any,
) -> pacsv.CSVStreamingReader:
    """names: those of a file without a header line."""

    def bad(row: Any) -> str:
        assert skip is not None
        skip(row)
        return "skip"

    read = pacsv.ReadOptions(
        column_names=names,
        autogenerate_column_names=names is None and not dialect.has_header,
        block_size=block,
        use_threads=False,
    )
    parse = pacsv.ParseOptions(
        delimiter=dialect.character,
        quote_char='"' if dialect.quote else False,
        escape_char="\\" if dialect.escape else False,
        newlines_in_values=dialect.quote,
        invalid_row_handler=bad if skip else None,
    )
    options = pacsv.ConvertOptions(null_values=[""], strings_can_be_null=True, **convert)
    return pacsv.open_csv(stream, read_options=read, parse_options=parse, convert_options=options)


def _restored(columns: list[pa.Array], dialect: Dialect) -> list[pa.Array]:
    """The columns with a delimiter inside quotes as it stood in the file."""
    if dialect.character == dialect.delimiter or not dialect.quote:
        return columns
    between = " " if dialect.delimiter == BLANKS else dialect.delimiter
    return [_with_words(column, between) for column in columns]


def _with_words(column: pa.Array, between: str) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        words = _with_words(column.dictionary, between)
        return pa.DictionaryArray.from_arrays(column.indices, words)
    if not pa.types.is_string(column.type):
        return column
    return pc.replace_substring(column, _SEPARATOR, between)


# ---- bytes to text -------------------------------------------------------------------------------


def check_encoding(encoding: str, name: Any) -> None:
    """ParameterError for a name that is no encoding of text."""
    try:
        "".encode(encoding)
    except (LookupError, ValueError) as error:
        raise ParameterError(
            f"{name}: encoding = {encoding!r} is not known ({error}); write one such as 'utf8', "
            "'latin-1', 'cp1252' or 'utf-16'",
            asked=encoding,
        ) from error


@contextmanager
def plain_errors(name: Any, delimiter: str) -> Iterator[None]:
    """Errors of unpacking, decoding and parsing as ParameterError with the name of the file."""
    try:
        with unpacking(name):
            yield
    except (pa.ArrowInvalid, UnicodeError) as error:
        raise ParameterError(f"{name}: {_reason(error, delimiter)}", asked=str(name)) from error


def _reason(error: Exception, delimiter: str) -> str:
    """Why a file cannot be read, and what to do."""
    # without the row itself, which may name a person
    why = re.sub(r"(columns, got \d+):.*", r"\1", str(error), flags=re.DOTALL)
    if "Empty CSV file" in why:
        return "holds no line"
    if isinstance(error, UnicodeError) or "UTF8" in why:
        at = re.search(r"Row #\d+", why)
        where = at[0] if at else why
        return f"is written in another encoding ({where}); say which: encoding = 'latin-1'"
    return f"cannot be read as text with fields between {delimiter!r}: {why}"


def open_binary(source: Any) -> Any:
    """A binary stream from a path, or from a function that opens one."""
    return source() if callable(source) else open(source, "rb")


def encoding_of(source: Any, encoding: str) -> str:
    """The encoding that a byte order mark tells, else the one that is given; in place of UTF-8 that
    of text whose every second byte is zero.
    """
    with open_binary(source) as stream:
        start = stream.read(1 << 10)
    marked = next((found for mark, found in _MARKS if start.startswith(mark)), None)
    if marked or codecs.lookup(encoding).name != "utf-8":
        return marked or encoding
    for first, found in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros, others = start[first::2].count(0), start[1 - first :: 2].count(0)
        if zeros > len(start) // 4 and not others:
            return found
    return encoding


@contextmanager
def utf8_of(source: Any, encoding: str = "utf8") -> Iterator[Any]:
    """The text as a binary stream of UTF-8."""
    encoding = codecs.lookup(encoding_of(source, encoding)).name
    with open_binary(source) as stream:
        if encoding in ("utf-8", "utf-8-sig", "ascii"):
            yield stream
        else:
            file = pa.PythonFile(stream, "r")
            yield pa.transcoding_input_stream(file, encoding, "utf-8")


@contextmanager
def text_of(source: Any, dialect: Dialect) -> Iterator[Any]:
    """The text as UTF-8 with `dialect.character` between fields and without comments."""
    with utf8_of(source, dialect.encoding) as stream:
        change = _change(dialect)
        yield _Changed(stream, change) if change else stream


def _change(dialect: Dialect) -> Callable[[bytes], bytes] | None:
    """What makes whole lines ready for the parser; None where nothing is to be done."""
    steps: list[Callable[[bytes], bytes]] = []
    if dialect.preface:
        steps.append(_without_first())
    if dialect.comment:
        comment = re.compile(rb"(?m)^[ \t]*" + re.escape(dialect.comment.encode()) + rb"[^\r\n]*")
        steps.append(lambda lines: comment.sub(b"", lines))
    if dialect.delimiter == BLANKS:
        outer, inner = re.compile(rb"(?m)^[ \t]+|[ \t]+(?=\r?$)"), re.compile(rb"[ \t]+")
        steps.append(lambda lines: inner.sub(_SEPARATOR.encode(), outer.sub(b"", lines)))
    elif dialect.character != dialect.delimiter:
        steps.append(lambda lines: _separated(lines, dialect.delimiter))
    if not steps:
        return None

    def change(lines: bytes) -> bytes:
        for step in steps:
            lines = step(lines)
        return lines

    return change


def _without_first() -> Callable[[bytes], bytes]:
    """A function that empties the first line of the first block that it gets."""
    is_first = iter([True])
    return lambda lines: lines[lines.find(b"\n") :] if next(is_first, False) else lines


def _separated(lines: bytes, delimiter: str) -> bytes:
    if _SEPARATOR.encode() in lines:
        raise ParameterError(
            f"the text holds the control character {_SEPARATOR!r}, which stands for {delimiter!r} "
            "while it is read; take it out of the file",
            asked=delimiter,
        )
    return lines.replace(delimiter.encode(), _SEPARATOR.encode())


class _Changed(io.RawIOBase):
    """A binary stream whose lines a function has changed."""

    def __init__(self, stream: Any, change: Callable[[bytes], bytes]) -> None:
        self._stream, self._change = stream, change
        self._ready, self._rest, self._ended = memoryview(b""), b"", False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready and not self._ended:
            self._fill()
        n = min(len(buffer), len(self._ready))
        buffer[:n], self._ready = self._ready[:n], self._ready[n:]
        return n

    def _fill(self) -> None:
        block = self._stream.read(1 << 22)
        self._ended = not block
        cut = block.rfind(b"\n") + 1 if block else 0
        if block and not cut:
            self._rest += block
            return
        lines, self._rest = self._rest + block[:cut], block[cut:]
        self._ready = memoryview(self._change(lines))


# ---- where rows stand ----------------------------------------------------------------------------


def lines_of(
    source: Any, dialect: Dialect, width: int, rows: Sequence[int], n_bad: int = 0
) -> tuple[dict[int, int], list[tuple[int, str]]]:
    """The lines of rows, and the first rows of another width than `width`.

    Reads the file again up to the last one that is asked for; for messages alone.

    rows: numbers of rows, from 0, without those of a wrong width.
    n_bad: how many rows of a wrong width are wanted.
    Gives {row: line, from 1} and [(line, text)].
    """
    found: dict[int, int] = {}
    bad: list[tuple[int, str]] = []
    wanted, last = set(rows), max(rows, default=-1)
    between = " " if dialect.delimiter == BLANKS else dialect.delimiter
    with text_of(source, dialect) as stream:
        good = -int(dialect.has_header)
        for line, fields in _numbered(stream, dialect):
            if len(fields) != width:
                if len(bad) < n_bad and good >= 0:
                    bad.append((line, between.join(fields)))
                good += good < 0
            else:
                if good in wanted:
                    found[good] = line
                good += 1
            if len(bad) >= n_bad and good > last:
                break
    return found, bad


def _numbered(stream: Any, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of the rows that are not empty, until one that cannot be read."""
    text = io.TextIOWrapper(_raw(stream), "utf-8-sig", errors="replace", newline="")
    quoting: Any = csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE
    escape = "\\" if dialect.escape else None
    reader = csv.reader(text, delimiter=dialect.character, quoting=quoting, escapechar=escape)
    before = 0
    try:
        for fields in reader:
            if fields:
                yield before + 1, fields
            before = reader.line_num
    except csv.Error:  # a field that is longer than the parser takes: later lines stay unknown
        return
    finally:
        text.detach()


def _raw(stream: Any) -> Any:
    return io.BufferedReader(stream) if isinstance(stream, _Changed) else stream
