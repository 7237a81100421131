"""Delimited text as Arrow tables."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import csv as pacsv

from hinaug.errors import ParameterError


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
    delimiter: what stands between two fields.
    columns: names for a file without a header line.
    types: {column: type} of the columns that are no strings.
    encoding: of the text.
    quote: whether fields may stand in double quotes, with delimiters and line breaks inside.
    skip: called with each row of a wrong width, which is then left out. Without it such a row is
        an error.
    Raises ParameterError.
    """

    def bad(row: Any) -> str:
        assert skip is not None
        skip(row)
        return "skip"

    options: dict[str, Any] = {
        "read_options": pacsv.ReadOptions(
            column_names=list(columns) if columns else None,
            encoding=encoding,
            block_size=1 << 25,
            use_threads=False,
        ),
        "parse_options": pacsv.ParseOptions(
            delimiter=delimiter,
            quote_char='"' if quote else False,
            newlines_in_values=quote,
            invalid_row_handler=bad if skip else None,
        ),
    }
    try:
        header = list(columns) if columns else _header(source, delimiter)
        wanted = {c: (types or {}).get(c, pa.string()) for c in header}
        options["convert_options"] = pacsv.ConvertOptions(
            column_types=wanted, null_values=[""], strings_can_be_null=True
        )
        with open_binary(source) as stream:
            return pacsv.read_csv(stream, **options)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        # without the row itself, which may name a person
        why = re.sub(r"(columns, got \d+):.*", r"\1", str(error), flags=re.DOTALL)
        raise ParameterError(
            f"{name}: cannot be read as text with fields between {delimiter!r}: {why}"
        ) from error


def _header(source: Any, delimiter: str) -> list[str]:
    with open_binary(source) as stream:
        line = stream.readline().decode("utf-8-sig").rstrip("\r\n")
    return [name.strip('"') for name in line.split(delimiter)]


def open_binary(source: Any) -> Any:
    """A binary stream from a path, or from a function that opens one."""
    return source() if callable(source) else open(source, "rb")
