"""The forms in which the Amazon files come: JSON lines, lines in Python's notation, CSV; plain, gzipped or zipped."""

from __future__ import annotations

import ast
import gzip
import html
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hinaug.datasets.files import read_delimited

ENDINGS = (".json", ".json.gz", ".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".csv.zip")


class Reader:
    """A file that is being read: where we are, and what to do with a row that cannot be read."""

    def __init__(self, file: Path, skip: bool) -> None:
        self.file, self.skip, self.line = file, skip, 0
        self.skipped = self.skipped_lines = 0  # rows in all; of these, lines that gave no record

    def bad(self, why: str, content: Any) -> None:
        """Counts the row, or raises ValueError with file, line (of CSV: row) and the start of the content."""
        self.skipped += 1
        if not self.skip:
            start = content if isinstance(content, str) else json.dumps(_without_name(content), default=str)
            unit = "row" if ".csv" in self.file.name.lower() else "line"
            raise ValueError(
                f"{self.file}, {unit} {self.line}: {why}; it starts {start[:60]!r}. "
                "errors='skip' counts such rows instead"
            )


def review_file(path: Any, address: str, meta: bool = False) -> Path:
    """The file itself, or the one file of its kind in a folder."""
    path = Path(path).expanduser()
    if path.is_file():
        return path
    what = "a metadata file (meta_*)" if meta else "a review file"
    wanted = f"{what} ending in {', '.join(ENDINGS)}, as published at {address}"
    if not path.is_dir():
        raise FileNotFoundError(f"{path} does not exist; expected {wanted}")
    found = sorted(p for p in path.iterdir() if p.name.lower().endswith(ENDINGS) and p.name.startswith("meta_") == meta)
    if len(found) != 1:
        there = (
            f"several: {[p.name for p in found]}; name one"
            if found
            else f"none among {sorted(p.name for p in path.iterdir())[:12]}"
        )
        raise FileNotFoundError(f"{path}: expected {wanted}; found {there}")
    return found[0]


def records(reader: Reader) -> Iterator[Mapping[str, Any]]:
    """The rows of a file as mappings; `reader.line` says where the last one stood."""
    return _csv_rows(reader) if ".csv" in reader.file.name.lower()[-8:] else _json_lines(reader)


def _json_lines(reader: Reader) -> Iterator[Mapping[str, Any]]:
    with _open(reader.file) as stream:
        for reader.line, line in enumerate(_whole(stream, reader), 1):  # noqa: B020
            if line.strip():
                record = _record(line)
                if record is None:
                    reader.skipped_lines += 1
                    reader.bad("neither JSON nor a Python dict", line.decode("utf-8", "replace").strip())
                else:
                    yield record


def _whole(stream: Any, reader: Reader) -> Iterator[bytes]:
    try:
        yield from stream
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{reader.file}, after line {reader.line}: the archive is damaged ({error}); fetch it again"
        ) from error


def _record(line: bytes) -> Mapping[str, Any] | None:
    """JSON first; some files of 2014 are Python dicts with single quotes."""
    value = None
    try:
        value = json.loads(line)
    except ValueError:
        try:
            value = ast.literal_eval(line.decode("utf-8").strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


def _csv_rows(reader: Reader) -> Iterator[Mapping[str, Any]]:
    wrong: list[Any] = []
    table = read_delimited(lambda: _open(reader.file), name=reader.file, skip=wrong.append if reader.skip else None)
    reader.skipped += len(wrong)
    reader.skipped_lines += len(wrong)
    for name in ("reviewerID", "asin"):
        if name not in table.column_names:
            raise ValueError(f"{reader.file}: no column {name!r}; there is {table.column_names}")
    table = table.drop_columns([c for c in ("reviewerName",) if c in table.column_names])
    for batch in table.to_batches(max_chunksize=10_000):
        for record in batch.to_pylist():
            reader.line += 1
            yield record


def plain(text: str) -> str:
    """HTML entities read; halves of a character, which escapes in JSON can leave, replaced."""
    text = html.unescape(text)
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _open(file: Path) -> Any:
    if file.suffix == ".gz":
        return gzip.open(file, "rb")
    if file.suffix == ".zip":
        archive = zipfile.ZipFile(file)
        inside = [n for n in archive.namelist() if n.lower().endswith(".csv") and not n.startswith("__MACOSX")]
        if len(inside) != 1:
            raise ValueError(f"{file}: expected one .csv inside, found {archive.namelist()[:5]}")
        return archive.open(inside[0])
    return open(file, "rb")


def _without_name(content: Any) -> Any:
    return {k: v for k, v in content.items() if k != "reviewerName"} if isinstance(content, Mapping) else content
