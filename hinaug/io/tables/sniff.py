"""How a file of delimited text is written, as far as its first lines tell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hinaug.io.delimited import BLANKS, Dialect, check_encoding, utf8_of

DELIMITERS = ("\t", "::", "|", ";", ",")
_SAMPLE = 1 << 16  # bytes
_LINES = 30
_BLANKS = re.compile(r"\S[ \t]+\S")
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_ESCAPED = re.compile(r'"[^"]*[^"\\]\\" *[^",;| \t\r\n]')  # where "" would end the quotes
_PREFACE = re.compile(r'"?sep=(.)"?[\s,;]*$')  # as Excel writes it
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|\d{4}-\d\d-\d\d.*")


def dialect_of(source: Any, said: Mapping[str, Any], ending: str, name: Any) -> Dialect:
    """The dialect of a file: what a schema says of it, and for the rest a look at its first lines.

    source: a path, or a function that opens a binary stream.
    said: any of delimiter, columns, header, quote, escape, encoding and comment.
    ending: of the file's name. Only in .csv files are quotes the rule; in others they are when each
        name of the header stands in them.
    """
    encoding = said.get("encoding", "utf8")
    check_encoding(encoding, name)
    sample = _sample(source, encoding, said.get("comment"))
    lines = sample[:_LINES]
    told = _PREFACE.match(lines[0]) if lines else None
    lines = lines[1:] if told else lines
    delimiter = said.get("delimiter") or (told and told[1]) or _delimiter(lines, ending)
    quote = said.get("quote", ending == "csv" or _is_quoted(lines, delimiter))
    escape = said.get("escape", quote and any(map(_ESCAPED.search, sample)))
    columns = said.get("columns")
    return Dialect(
        delimiter,
        None if columns is None else tuple(columns),
        said.get("header"),
        quote,
        encoding,
        said.get("comment"),
        told is not None,
        escape,
    )


def first_lines(source: Any, encoding: str, comment: str | None = None) -> list[str]:
    """The first lines that hold something, but for one that only tells the delimiter; a line that
    may be cut is left out.
    """
    lines = _sample(source, encoding, comment)[:_LINES]
    return lines[1:] if lines and _PREFACE.match(lines[0]) else lines


def _sample(source: Any, encoding: str, comment: str | None) -> list[str]:
    with utf8_of(source, encoding) as stream:
        data = stream.read(_SAMPLE)
    lines = data.decode("utf-8-sig", "replace").splitlines()
    lines = lines[:-1] if len(data) == _SAMPLE and len(lines) > 1 else lines
    shown = [line for line in lines if line.strip()]
    if comment:
        shown = [line for line in shown if not line.lstrip().startswith(comment)]
    return shown


def _delimiter(lines: Sequence[str], ending: str) -> str:
    """What stands in all lines, and as often in most; in the header of a .csv file, that alone."""
    plain = [_QUOTED.sub("", line) for line in lines] or [""]
    counts = {d: [line.count(d) for line in plain] for d in DELIMITERS}
    best = max(DELIMITERS, key=lambda d: (min(counts[d]) > 0, *_evenness(counts[d])))
    if counts[best][0]:
        return best
    return BLANKS if ending != "csv" and all(map(_BLANKS.search, plain)) else ","


def _evenness(counts: Sequence[int]) -> tuple[float, int]:
    """The share of lines that have as many as the first, and how many that has; where some have
    none, the second alone.
    """
    share = sum(count == counts[0] for count in counts) / len(counts)
    return (share if min(counts) else 0.0), counts[0]


def _is_quoted(lines: Sequence[str], delimiter: str) -> bool:
    names = split(lines[0], delimiter) if lines else []
    return bool(names) and all(re.fullmatch(r'".*"', name) for name in names)


def split(line: str, delimiter: str) -> list[str]:
    """The fields of a line without quotes."""
    return line.split() if delimiter == BLANKS else line.split(delimiter)


def looks_like_data(lines: Sequence[str], dialect: Dialect) -> bool:
    """Whether the first line seems to hold values: a number, a date, or letters and digits in the
    pattern that the values below have.
    """
    rows = [[cell.strip().strip('"') for cell in split(x, dialect.delimiter)] for x in lines]
    if not rows:
        return False
    below = [row for row in rows[1:] if len(row) == len(rows[0])]
    if not below:
        return any(map(_NUMBER.fullmatch, rows[0]))
    return any(_is_alike(*column) for column in zip(rows[0], *below, strict=True))


def _is_alike(first: str, *below: str) -> bool:
    """Whether a name is a value like those below."""
    if _NUMBER.fullmatch(first):
        return any(map(_NUMBER.fullmatch, below))
    is_code = len(below) > 1 and re.search(r"\d", first) is not None
    return is_code and {_pattern(word) for word in below} == {_pattern(first)}


def _pattern(word: str) -> str:
    """A word with 9 for a run of digits and a for a run of letters."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", word))
