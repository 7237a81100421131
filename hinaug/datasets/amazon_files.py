"""The forms in which Amazon files come: JSON lines, one JSON list, Python's notation, CSV; plain,
gzipped or zipped.
"""

from __future__ import annotations

import codecs
import gzip
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from hinaug import checks
from hinaug.datasets.amazon_values import literal
from hinaug.errors import ParameterError
from hinaug.io.delimited import read_delimited

ENDINGS = (".json", ".json.gz", ".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".csv.zip")


class Reader:
    """A file that is being read: where we are, and what to do with a row that cannot be read."""

    def __init__(self, file: Path, skip: bool, meta: bool = False) -> None:
        self.file, self.skip, self.meta, self.line = file, skip, meta, 0
        self.unit = "row" if _is_csv(file) else "line"  # what `line` counts
        self.skipped = self.skipped_lines = 0  # rows in all; of these, lines that gave no record

    def bad(self, why: str, content: Any) -> None:
        """Counts the row, or raises ValueError with file, line (of CSV: row) and the start of the
        content.
        """
        self.skipped += 1
        if not self.skip:
            if not isinstance(content, str):
                content = json.dumps(_without_name(content), default=str, skipkeys=True)
            start = re.split(r"[\"']?reviewerName", content)[0][
                :60
            ]  # a person's name is not printed
            raise ParameterError(
                f"{self.file}, {self.unit} {self.line}: {why}; it starts {start!r}. errors='skip' "
                "counts such rows instead"
            )


def review_file(path: Any, address: str, meta: bool = False) -> Path:
    """The file itself, or the one file of its kind in a folder."""
    path = checks.folder(path, "amazon_reviews").expanduser()
    if path.is_file():
        return path
    what = "a metadata file (meta_*)" if meta else "a review file"
    wanted = f"{what} ending in {', '.join(ENDINGS)}, as published at {address}"
    if not path.is_dir():
        raise FileNotFoundError(f"{path} does not exist; expected {wanted}")
    names = sorted(p.name for p in path.iterdir() if not p.name.startswith("."))
    found = [name for name in names if _is_of_kind(name.lower(), meta)]
    if len(found) != 1:
        there = f"several: {found}; name one" if found else f"none among {names[:12]}"
        raise FileNotFoundError(f"{path}: expected {wanted}; found {there}")
    return path / found[0]


def _is_of_kind(name: str, meta: bool) -> bool:
    return name.endswith(ENDINGS) and name.startswith("meta_") == meta


def records(reader: Reader) -> Iterator[Mapping[str, Any]]:
    """The rows of a file as mappings; `reader.line` says where the last one stood."""
    if _is_csv(reader.file):
        yield from _csv_rows(reader)
        return
    with _open(reader.file) as stream:
        lines = _whole(stream, reader)
        first = next((line for line in lines if line.strip()), b"")
        if re.match(rb"\[\s*(\{|\]|$)", first.strip()):
            yield from _json_list(first + b"".join(lines), reader)
        else:
            yield from _json_lines(chain([first], lines), reader)


def _json_lines(lines: Iterable[bytes], reader: Reader) -> Iterator[Mapping[str, Any]]:
    for line in lines:
        if not line.strip():
            continue
        source = line.decode("utf-8", "replace").strip()
        record = literal(source) if source.encode() == line.strip() else None
        if isinstance(record, dict):
            yield record
        else:
            reader.skipped_lines += 1
            reader.bad("neither JSON nor a Python dict in UTF-8", source)


def _json_list(source: bytes, reader: Reader) -> Iterator[Mapping[str, Any]]:
    """A file that is one list of records; it is read whole."""
    try:
        found = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise ParameterError(
            f"{reader.file}: it starts as a JSON list but cannot be read as one: {error}"
        ) from None
    reader.unit = "record"
    for reader.line, record in enumerate(found, 1):
        if isinstance(record, dict):
            yield record
        else:
            reader.skipped_lines += 1
            reader.bad("not a dict", json.dumps(record))


def _whole(stream: Any, reader: Reader) -> Iterator[bytes]:
    """The lines, counted in `reader.line`, without the mark that some editors put at the start."""
    try:
        for line in stream:
            reader.line += 1
            yield line.removeprefix(codecs.BOM_UTF8) if reader.line == 1 else line
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ParameterError(
            f"{reader.file}, after line {reader.line}: the archive is damaged ({error}); fetch it "
            "again"
        ) from error


def _csv_rows(reader: Reader) -> Iterator[Mapping[str, Any]]:
    wrong: list[Any] = []
    table = read_delimited(
        lambda: _open(reader.file), name=reader.file, skip=wrong.append if reader.skip else None
    )
    reader.skipped += len(wrong)
    reader.skipped_lines += len(wrong)
    for names in (("reviewerID", "user_id"), ("asin", "parent_asin"))[reader.meta :]:
        if not {*names} & {*table.column_names}:
            raise ParameterError(
                f"{reader.file}: no column {names[0]!r} or {names[1]!r}; there is "
                f"{table.column_names}"
            )
    table = table.drop_columns([c for c in ("reviewerName",) if c in table.column_names])
    for batch in table.to_batches(max_chunksize=10_000):
        for record in batch.to_pylist():
            reader.line += 1
            yield record


def _open(file: Path) -> Any:
    with open(file, "rb") as start:
        if start.read(2) == b"\x1f\x8b":  # whatever its name: browsers unpack or rename
            return gzip.open(file, "rb")
    if file.suffix == ".zip":
        archive = zipfile.ZipFile(file)
        names = [n for n in archive.namelist() if not n.startswith("__MACOSX")]
        inside = [n for n in names if n.lower().endswith(".csv")]
        if len(inside) != 1:
            raise ParameterError(
                f"{file}: expected one .csv inside, found {archive.namelist()[:5]}"
            )
        return archive.open(inside[0])
    return open(file, "rb")


def _without_name(content: Any) -> Any:
    if not isinstance(content, Mapping):
        return content
    return {k: v for k, v in content.items() if k != "reviewerName"}


def _is_csv(file: Path) -> bool:
    return file.name.lower().endswith((".csv", ".csv.gz", ".csv.zip"))
