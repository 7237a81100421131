"""What the readers share: checked folders, delimited text as Arrow, titles with years, edges from lists."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as pacsv

from hinaug import checks

_YEAR = re.compile(r"^(?P<title>.*?)\s*\((?P<year>\d{4})(?:[-–]\d{0,4})?\)\s*(?:\(V\))?\s*$", re.DOTALL)


def require(folder: Any, names: Sequence[str], address: str) -> Path:
    """The folder, when it holds all the files; else an error that says what was expected and where it is published."""
    folder = checks.folder(folder, f"the data set published at {address}").expanduser()
    if not folder.is_dir():
        kind = "is a file, not a folder" if folder.exists() else "does not exist"
        raise FileNotFoundError(
            f"{folder} {kind}; expected a folder with {', '.join(names)}, as published at {address}"
        )
    missing = [n for n in names if not (folder / n).is_file()]
    if missing:
        there = sorted(p.name for p in folder.iterdir())
        listed = ", ".join(there[:12]) + (", ..." if len(there) > 12 else "") if there else "nothing"
        raise FileNotFoundError(
            f"{folder}: no {', '.join(missing)}; there is {listed}; expected files as published at {address}"
        )
    return folder


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
    """Delimited text as a table of strings (or `types`); an empty field is null, the text "NA" is not.

    source: path or binary file; name: what errors call it. columns: names for a file without a header line.
    skip: called with each row of a wrong width, which is then left out; without it such a row is an error.
    """

    def bad(row: Any) -> str:
        assert skip is not None
        skip(row)
        return "skip"

    options: dict[str, Any] = {
        "read_options": pacsv.ReadOptions(
            column_names=list(columns) if columns else None, encoding=encoding, block_size=1 << 25, use_threads=False
        ),
        "parse_options": pacsv.ParseOptions(
            delimiter=delimiter,
            quote_char='"' if quote else False,
            newlines_in_values=quote,
            invalid_row_handler=bad if skip else None,
        ),
    }
    try:
        header = list(columns) if columns else None
        if header is None:
            with open_binary(source) as stream:
                header = stream.readline().decode("utf-8-sig").rstrip("\r\n").split(delimiter)
            header = [h.strip('"') for h in header]
        wanted = {c: (types or {}).get(c, pa.string()) for c in header}
        options["convert_options"] = pacsv.ConvertOptions(
            column_types=wanted, null_values=[""], strings_can_be_null=True
        )
        with open_binary(source) as stream:
            return pacsv.read_csv(stream, **options)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        why = re.sub(r"(columns, got \d+):.*", r"\1", str(error), flags=re.DOTALL)  # the row itself may name a person
        raise ValueError(f"{name}: cannot be read as text with fields between {delimiter!r}: {why}") from error


def open_binary(source: Any) -> Any:
    """A binary stream from a path, or from a function that opens one."""
    return source() if callable(source) else open(source, "rb")


def split_year(title: str) -> tuple[str, int | None]:
    """`"Heat (1995)"` -> `("Heat", 1995)`; a title without a year keeps its text."""
    found = _YEAR.match(title)
    return (found["title"], int(found["year"])) if found else (title.strip(), None)


def movie_text(title: str, year: int | None, genres: Sequence[str], plot: str | None = None) -> str:
    """One movie's own words, for a text encoder: title, year, genres, plot."""
    parts = [f"{title} ({year})." if year else f"{title}."]
    if genres:
        parts.append(f"Genres: {', '.join(genres)}.")
    if plot:
        parts.append(plot)
    return " ".join(parts)


def pairs(rows: Iterable[tuple[Any, Any]], src: pa.DataType, dst: pa.DataType) -> pa.Table:
    """An edge table from (source id, target id) tuples."""
    rows = list(rows)
    return pa.table({"src": pa.array([a for a, _ in rows], src), "dst": pa.array([b for _, b in rows], dst)})


def in_order(table: pa.Table, *keys: str) -> pa.Table:
    """Rows sorted by the keys; rows that tie keep their order."""
    return table.take(pc.sort_indices(table, sort_keys=[(k, "ascending") for k in keys]))
