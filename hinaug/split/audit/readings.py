"""Columns read as numbers, one for each node that has rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.graph import arrow as tb
from hinaug.graph.schema import Type
from hinaug.split.audit.rows import Rows, codes_of, numbers_in, owners, repeats, rows_of
from hinaug.split.audit.view import View, title

SAMPLE = 500  # texts that show whether they repeat
MOST_PLACES = 16  # of the words of a text that are read as codes


@dataclass
class Reading:
    """A column as numbers for the nodes of the source: [n], or vectors [n, d]; NaN for none.

    ordered: whether the order of the numbers says something; otherwise they are codes.
    kind: "number", "order" of rows, number in an "id", which no method reads and so is no proof,
    "word" of a text, or "sum" or "product" of two columns.
    """

    where: str
    rows: Rows
    values: np.ndarray
    ordered: bool = True
    kind: str = "number"

    @property
    def is_number(self) -> bool:
        """Whether it is a column of numbers, and not the order of rows."""
        return self.ordered and self.values.ndim == 1 and self.kind in ("number", "sum", "product")


def readings(view: View, type: Type) -> Iterator[Reading]:
    """Every way in which the columns of a table say something of nodes that have rows."""
    if not view.observed.n(type):
        return
    for owner, position in owners(view, type):
        for rows in rows_of(view, owner):
            for field in view.columns(type):
                yield from _of_column(view, type, field.name, position, rows, type == owner)
            if type == owner and rows.side >= 0:
                order = np.full(rows.n, np.nan)
                order[position[position >= 0]] = np.flatnonzero(position >= 0)
                order[~rows.asked] = np.nan
                yield Reading(f"{title(type)} (order of rows)", rows, order, kind="order")
                ids = tb.one_chunk(view.observed.nodes[type]["id"])
                for numbers in numbers_in(ids)[:1]:
                    number = _at_nodes(numbers, position, rows, True)
                    if number is not None:
                        yield Reading(f"{title(type)} (numbers of ids)", rows, number, kind="id")


def _of_column(
    view: View, type: Type, name: str, position: np.ndarray, rows: Rows, own: bool
) -> Iterator[Reading]:
    """The readings of one column for the nodes that its rows belong to, or are."""
    where = f"{title(type)}.{name}"
    column = tb.one_chunk(view.observed.table(type)[name])
    if not own and tb.is_text(column.type) and not repeats(column.slice(0, SAMPLE)):
        return  # texts of rows, of which no two of a node are the same
    for values, ordered in _numbers(column):
        at_nodes = _at_nodes(values, position, rows, own)
        if at_nodes is not None:
            yield Reading(where, rows, at_nodes, ordered)
    for codes in _words(column) if own and tb.is_text(column.type) else ():
        at_nodes = _at_nodes(codes, position, rows, own)
        if at_nodes is not None:
            yield Reading(where, rows, at_nodes, False, "word")


def _numbers(column: pa.Array) -> Iterator[tuple[np.ndarray, bool]]:
    """(values, whether ordered): numbers, times, vectors, lengths of lists, codes, what is null."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    null = column.is_null().to_numpy(zero_copy_only=False)
    if 0 < null.sum() < len(null):
        yield null.astype(float), False
    if tb.is_vector(column.type):
        flat = np.full((len(column), column.type.list_size), np.nan)
        flat[~null] = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, flat.shape[1])
        yield flat, True
    elif pa.types.is_nested(column.type):
        yield pc.list_value_length(column).cast(pa.float64()).to_numpy(zero_copy_only=False), True
    elif tb.is_text(column.type):
        yield from _of_text(column)
    elif pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        yield _seconds(column), True
    elif tb.is_number(column.type) or pa.types.is_boolean(column.type):
        yield column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), True


def _of_text(column: pa.Array) -> Iterator[tuple[np.ndarray, bool]]:
    """A text as a time, a number, or the code of a category; else how many parts it has."""
    known = column.drop_null()
    for kind in (pa.timestamp("us"), pa.float64()):
        try:
            pc.cast(known.slice(0, 100), kind)  # most texts fail here, at no cost
            values = pc.cast(column, kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue
        is_time = pa.types.is_timestamp(kind)
        yield _seconds(values) if is_time else values.to_numpy(zero_copy_only=False), True
        return
    for numbers in numbers_in(column):
        yield numbers, True
    codes = codes_of(column)
    if codes is not None:
        yield np.where(codes < 0, np.nan, codes), False
    else:
        parts = pc.count_substring_regex(column, r"[|,;]+|\s+")
        yield parts.cast(pa.float64()).to_numpy(zero_copy_only=False), True


def _words(column: pa.Array) -> Iterator[np.ndarray]:
    """The words at each place of texts as codes, where words repeat there; NaN for none."""
    text = pc.utf8_trim(pc.replace_substring_regex(pc.fill_null(column, ""), r"\W+", " "), " ")
    split = pc.split_pattern(text, " ")
    size = pc.list_value_length(split).to_numpy(zero_copy_only=False)
    words, start = split.flatten(), np.cumsum(size) - size
    for place in range(MOST_PLACES if size.max(initial=0) > 1 else 0):
        there = np.flatnonzero(size > place)
        if 2 * len(there) <= len(column):
            return
        codes = codes_of(words.take(pa.array(start[there] + place)))
        if codes is not None:
            out = np.full(len(column), np.nan)
            out[there] = codes
            yield out


def _seconds(column: pa.Array) -> np.ndarray:
    micro = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).cast(pa.float64())
    return micro.to_numpy(zero_copy_only=False) / 1e6


def _at_nodes(values: np.ndarray, position: np.ndarray, rows: Rows, own: bool) -> np.ndarray | None:
    """Values of rows as values of nodes; None where the rows of a node differ, or all are equal."""
    ok = position >= 0
    out = np.full((rows.n, *values.shape[1:]), np.nan)
    out[position[ok]] = values[ok]
    if not own:
        same = np.isclose(out[position[ok]], values[ok], rtol=1e-5, atol=1e-6, equal_nan=True)
        several = np.bincount(position[ok], minlength=rows.n).max(initial=0) > 1
        if not same.all() or not several:
            return None
    out[~rows.asked] = np.nan
    known = out[np.isfinite(out)] if out.ndim == 1 else out[np.isfinite(out).all(axis=1)]
    return out if len(known) > 1 else None
