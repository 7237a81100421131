"""What the readers share: checked folders, delimited text as Arrow, titles with years, edges from
lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hinaug import checks

_YEAR = re.compile(
    r"^(?P<title>.*?)\s*\((?P<year>\d{4})(?:[-–]\d{0,4})?\)\s*(?:\(V\))?\s*$", re.DOTALL
)


def require(folder: Any, names: Sequence[str], address: str) -> Path:
    """The folder, when it holds all the files; else an error that says what was expected and where
    it is published.
    """
    folder = checks.folder(folder, f"the data set published at {address}").expanduser()
    if not folder.is_dir():
        kind = "is a file, not a folder" if folder.exists() else "does not exist"
        raise FileNotFoundError(
            f"{folder} {kind}; expected a folder with {', '.join(names)}, as published at {address}"
        )
    missing = [n for n in names if not (folder / n).is_file()]
    if missing:
        there = sorted(p.name for p in folder.iterdir())
        listed = (
            ", ".join(there[:12]) + (", ..." if len(there) > 12 else "") if there else "nothing"
        )
        raise FileNotFoundError(
            f"{folder}: no {', '.join(missing)}; there is {listed}; expected files as published "
            f"at {address}"
        )
    return folder


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
    return pa.table(
        {"src": pa.array([a for a, _ in rows], src), "dst": pa.array([b for _, b in rows], dst)}
    )


def in_order(table: pa.Table, *keys: str) -> pa.Table:
    """Rows sorted by the keys; rows that tie keep their order."""
    return table.take(pc.sort_indices(table, sort_keys=[(k, "ascending") for k in keys]))
