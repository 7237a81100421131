"""What the readers share: checked folders, titles with years, edges from lists, and a graph whose
order of nodes says nothing.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug import checks
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType

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


def numbered(table: pa.Table, like: Sequence[str], by: Sequence[str]) -> np.ndarray:
    """Numbers the rows that are equal in the columns `like`, from 1, in the order of `by`, [n].

    Rows that tie keep their order. Values of `like` are never null.
    """
    order = pc.sort_indices(table, sort_keys=[(name, "ascending") for name in (*like, *by)])
    new = np.arange(table.num_rows) == 0
    for name in like:
        column = tb.one_chunk(table[name].take(order))
        new[1:] |= pc.not_equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
    rows = np.arange(len(new))
    out = np.empty(len(new), np.int64)
    out[order.to_numpy()] = rows - np.maximum.accumulate(np.where(new, rows, 0)) + 1
    return out


def graph(
    nodes: Mapping[str, pa.Table], edges: Mapping[EdgeType, pa.Table], lineage: Any = None
) -> HIN:
    """`HIN.from_tables` for a reader: nodes in an order that says nothing, edges as in the file.

    Published ids are often numbered by popularity or by first use, held-out rows included, and
    what ties is often broken by position. So nodes of a type stand in the order of a hash of their
    ids, seeded with the name of the type: the same on every machine, whatever the file's order.
    Edges keep the order of the file, which breaks ties in time.
    """
    return HIN.from_tables({t: _by_hash(t, n) for t, n in nodes.items()}, edges, lineage=lineage)


def _by_hash(type: str, table: pa.Table) -> pa.Table:
    value = tb.hashed(tb.one_chunk(table["id"]), zlib.crc32(type.encode()))
    return table.take(pa.array(np.argsort(value, kind="stable")))
