"""Columns of single rows that say what stands before, after or beside a row, held out or not.

The rows of a user, of an item, or of a basket (those of one node that share a moment, or the value
of the column itself) form a group. A row's place in its group, a total over it, the value or the
category of the row after it are computed from the rows of the graph and from all of the source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy import stats

from hinaug.graph import arrow as tb
from hinaug.graph.evidence import times_of
from hinaug.graph.schema import Type
from hinaug.split.audit.aggregates import MATCHED, SAYS, WRONG, parts_beyond
from hinaug.split.audit.pairs import witnessed
from hinaug.split.audit.rows import (
    codes_of,
    keys_met,
    numbers_met,
    numbers_of_rows,
    numeric,
    order_of_rows,
    parts,
    rows_of,
    times_of_rows,
)
from hinaug.split.audit.view import Finding, Found, View, title

MOST_ROWS = 5_000  # rows of the source that are compared, of as many nodes as have so many
FIRST = 200  # rows that are compared first
CHANCE = 1e-6  # that so many rows agree with the source by accident
SHUFFLES = 4  # of the column, to know chance
TINY = 1e-9  # share of values below which they do not vary
DIGITS = 6  # to which columns may be rounded


@dataclass
class _Column:
    """A column as values of rows of the source; is_own: of the target; values may be codes."""

    name: str
    is_own: bool
    row: np.ndarray
    values: np.ndarray
    is_code: bool


@dataclass
class _Group:
    """Rows in the order of groups and of time; start and size: of the group of each."""

    row: np.ndarray
    start: np.ndarray
    size: np.ndarray

    @property
    def place(self) -> np.ndarray:
        return np.arange(len(self.row)) - self.start

    def total(self, values: np.ndarray) -> np.ndarray:
        """The sum of the values of its group, for each row."""
        return self.before(values, self.size)

    def before(self, values: np.ndarray, n: np.ndarray) -> np.ndarray:
        """The sum of the values of the first n rows of its group, for each row."""
        sums = np.append(0, np.cumsum(values))
        return sums[self.start + n] - sums[self.start]

    def shifted(self, values: np.ndarray, by: int) -> np.ndarray:
        """The value of the row so many rows later in its group, NaN for none."""
        at = self.place + by
        there = (at >= 0) & (at < self.size)
        return np.where(there, values[np.where(there, self.start + at, 0)], np.nan)


def look(view: View) -> Found:
    """Columns of the target, of its twins, and of nodes that stand for one pair each."""
    for type in [*view.observed.edges, *view.observed.nodes]:
        for column in _columns(view, type):
            if view.budget.over:
                return
            why = _told(view, column)
            if why:
                where, remedy = f"{title(type)}.{column.name}", f"drop the column {column.name!r}"
                yield True, Finding("aggregate", where, view.name, why, remedy)


def _columns(view: View, type: Type) -> Iterator[_Column]:
    """The numbers and categories of a table whose rows stand for rows of the source's target."""
    names = [f.name for f in view.columns(type) if numeric(f.type) or tb.is_text(f.type)]
    row = _row_of(view, type) if names else np.zeros(0)
    for name in names if (row >= 0).sum() >= 2 * MATCHED else ():
        column = tb.one_chunk(view.observed.table(type)[name])
        is_code = tb.is_text(column.type)
        values = codes_of(column) if is_code else times_of(view.observed, type, name)
        if values is not None:
            use = (row >= 0) & np.isfinite(values) & ((values >= 0) | (not is_code))
            yield _Column(name, type == view.target, row[use], values[use], is_code)


def _row_of(view: View, type: Type) -> np.ndarray:
    """The row of the source's target that each row of a table stands for; -1 for none."""
    codes = np.full(view.observed.n(type), -1)
    if isinstance(type, tuple):
        ends = view.positions(type)
        for one, two in ((0, 1), (1, 0)):
            if (type[2 * one], type[2 * two]) == (view.a, view.b):
                codes = view.whole.codes(ends[one], ends[two])
    elif type in view.source.nodes and type not in (view.a, view.b):
        codes = np.append(witnessed(view, type), -1)[view.move(type)]
    return _row_of_pair(view)[view.whole.find_codes(codes)]


def _row_of_pair(view: View) -> np.ndarray:
    """The row of each pair of the source, and -1 at the end; -1 for parallel rows."""
    if "row of pair" not in view.shared:
        every = view.whole.find(*view.source.links(view.target))
        row = np.full(len(view.whole) + 1, -1)
        row[every] = np.arange(len(every))
        row[np.flatnonzero(np.bincount(every, minlength=len(row)) > 1)] = -1
        view.shared["row of pair"] = row
    return view.shared["row of pair"]


def _told(view: View, column: _Column) -> str | None:
    """What a column says of the rows around each, if it says it of held-out rows as well."""
    if len(column.row) < 2 * MATCHED:
        return None
    others = {} if column.is_code else _others(view, column)
    for where, key in _groupings(view, column):
        chosen = key[column.row] >= 0
        at, c = np.full(len(key), -1), column.values[chosen]
        at[column.row[chosen]] = np.arange(len(c))
        for part in parts_beyond(view, alone=False):
            groups = (_group(view, key, p) for p in (part, "graph"))
            both = (_windows(view, group, column, others) for group in groups)
            for (said, *whole), (_, *own) in zip(*both, strict=True):
                if _agrees(c, _at(at, len(c), *whole), _at(at, len(c), *own), column.is_code):
                    return f"equals {said} of {where}, {SAYS[part]}"
    return None


def _at(at: np.ndarray, n: int, row: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The values of rows at the place of each row, NaN for none."""
    out, here = np.full(n, np.nan), at[row]
    out[here[here >= 0]] = values[here >= 0]
    return out


# ---- groups of rows ------------------------------------------------------------------------------


def _groupings(view: View, column: _Column) -> Iterator[tuple[str, np.ndarray]]:
    """(of what, the group of each row of the source, -1 for none)."""
    shared = {"moment": next(iter(times_of_rows(view).values()), None)}
    shared["value"] = numbers_of_rows(view).get(column.name) if column.is_own else None
    for side, end in enumerate((view.a, view.b)):
        node, n = view.source.links(view.target)[side], view.shape[side]
        nodes = np.random.default_rng(0).permutation(n)
        size = np.bincount(node, minlength=n)[nodes]
        key = np.where(np.isin(node, nodes[np.cumsum(size) <= MOST_ROWS]), node, -1)
        yield f"the rows of a {end!r}", key
        for what, values in shared.items():
            group = key if values is None else _divided(key, values)
            if group is not key and np.bincount(group[group >= 0]).max(initial=0) > 1:
                yield f"the rows of a {end!r} with one {what}", group


def _divided(key: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Groups divided by values."""
    out, chosen = np.full(len(key), -1), key >= 0
    value = np.unique(values[chosen], return_inverse=True)[1]
    out[chosen] = np.unique(key[chosen] * np.int64(len(key)) + value, return_inverse=True)[1]
    return out


def _group(view: View, key: np.ndarray, part: str) -> _Group:
    row = np.flatnonzero(parts(view)[part] & (key >= 0))
    row = row[np.lexsort((order_of_rows(view)[row], key[row]))]
    _, start, size = np.unique(key[row], return_index=True, return_counts=True)
    return _Group(row, np.repeat(start, size), np.repeat(size, size))


def _windows(
    view: View, group: _Group, column: _Column, others: dict[str, np.ndarray]
) -> Iterator[tuple]:
    """(what, row, value) of each row's place, totals and neighbours in its group."""
    found = _categories(view, group) if column.is_code else _numbers(group, others)
    yield from ((said, group.row, values) for said, values in found)


def _categories(view: View, group: _Group) -> Iterator[tuple[str, np.ndarray]]:
    for name, key in _met(view, keys_met).items():
        for what, by in (("next", 1), ("last", -1)):
            yield f"the {what} of {name}", group.shifted(key[group.row].astype(float), by)


def _others(view: View, column: _Column) -> dict[str, np.ndarray]:
    """Numbers of rows and of what they meet, without those that the column repeats row by row: the
    next time in a group of one time is the row's own.
    """
    columns = {repr(name): values for name, values in numbers_of_rows(view).items()}
    columns |= _met(view, lambda v, rows: numbers_met(v, rows).items())
    return {
        name: every
        for name, every in columns.items()
        if "in the id" not in name
        and _right(column.values, every[column.row], False).mean() < 1 - WRONG
    }


def _numbers(group: _Group, columns: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    yield "the number", group.size.astype(float)
    yield "the number before it", group.place.astype(float)
    yield "the number after it", (group.size - 1 - group.place).astype(float)
    for name, every in columns.items():
        values = every[group.row]
        total, after, last = (
            group.total(values),
            group.shifted(values, 1),
            group.shifted(values, -1),
        )
        mean = total / group.size
        deviation = np.sqrt(np.maximum(group.total((values - mean) ** 2) / group.size, 0))
        yield f"the sum of {name}", total
        yield f"the mean of {name}", mean
        yield f"the mean of the other {name}", (total - values) / np.maximum(group.size - 1, 1)
        yield f"the distance from the mean of {name}", values - mean
        yield (
            f"the deviations from the mean of {name}",
            (values - mean)
            / np.where(deviation > TINY * np.abs(values).max(initial=1), deviation, 1),
        )
        yield f"the sum of {name} before it", group.before(values, group.place)
        yield f"the next {name}", after
        yield f"the last {name}", last
        yield f"the change to the next {name}", after - values
        yield f"the change from the last {name}", values - last


def _met(view: View, met) -> dict[str, np.ndarray]:
    """What the rows meet on both sides."""
    every = [rows for end in (view.a, view.b) for rows in rows_of(view, end)]
    return {name: values for rows in every for name, values in met(view, rows)}


# ---- comparison ----------------------------------------------------------------------------------


def _agrees(c: np.ndarray, whole: np.ndarray, own: np.ndarray, is_code: bool) -> bool:
    """Whether a column equals what all rows say, also where the graph's rows say something else.

    Numbers may be rounded, and differ by one number throughout; a code stands for one category.
    """
    known = np.isfinite(whole)
    first = np.flatnonzero(known)[:FIRST]
    if known.sum() < 2 * MATCHED:
        return False
    if _right(c[first], whole[first], is_code).mean() < 1 - 2 * WRONG:
        return False
    c, whole, own = c[known], whole[known], own[known]
    right, within = _right(c, whole, is_code), 0.5 if is_code else 2 * _rounding(c)
    moved = ~(np.abs(whole - own) <= within)
    n, hits = int(moved.sum()), int(right[moved].sum())
    if right.mean() < 1 - WRONG or n < MATCHED or hits < (1 - 2 * WRONG) * n:
        return False
    rng = np.random.default_rng(0)
    wrong = [_right(rng.permutation(c), whole, is_code)[moved].sum() for _ in range(SHUFFLES)]
    rate = min((sum(wrong) + 1) / (SHUFFLES * n), 1.0)
    return bool(stats.binom.sf(hits - 1, n, rate) < CHANCE)


def _right(c: np.ndarray, whole: np.ndarray, is_code: bool) -> np.ndarray:
    """Where a column agrees with values."""
    if not is_code:
        left = c - whole
        return np.abs(left - np.median(left)) <= _rounding(c)
    code, key = (np.unique(v, return_inverse=True)[1] for v in (c, whole))
    shape = (code.max(initial=0) + 1, key.max(initial=0) + 1)
    met = sp.csr_array((np.ones(len(code)), (code, key)), shape=shape)
    stands = np.asarray(met.argmax(axis=1)).ravel()
    return (stands[code] == key) & (len(np.unique(stands)) > 1)


def _rounding(c: np.ndarray) -> float:
    """Half a unit of the last digit to which numbers are rounded, and what floats lose."""
    lost = 1e-7 * float(np.abs(c).max(initial=0)) + 1e-9
    for digits in range(DIGITS):
        if np.abs(c - np.round(c, digits)).max(initial=0) <= 1e-9 * max(np.abs(c).max(), 1):
            return min(0.5 * 10.0**-digits, 0.5) * (digits > 0) + lost
    return 0.5 * 10.0**-DIGITS + lost
