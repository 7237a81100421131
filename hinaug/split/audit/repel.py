"""What is in the graph and what is held out exclude each other, given a column made from both.

A count x of a node in the graph and its count y held out tell nothing of each other beyond the
node's rate. An honest column, or one made from the graph alone, leaves it so: given the column,
Cov(x, y) >= 0. A column made from x + y makes them repel: what is in the graph cannot be held out
(a collider). The same holds for any sum over rows, such as ratings or directions of taste.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

from hinaug.split.audit.aggregates import LEAK_LEVEL
from hinaug.split.audit.readings import Reading
from hinaug.split.audit.rows import (
    Rows,
    numbers_met,
    numbers_of_rows,
    parts,
    principal,
    times_of_rows,
    vectors_met,
)
from hinaug.split.audit.view import View

UNKNOWN_LEVEL = 3e-3  # probability of a false unknown, over all tests of a graph together
STRENGTH = 0.15  # by so much more than honest columns must a column make counts repel
STRENGTH_IN_TIME = 0.5  # the same where trends in time make counts repel by themselves
OVERLAP = 1.5  # neighbouring differences share a node: their sum varies so much more
STEEP = 0.5  # of the noise may be trend between neighbours in the order of a column
ROWS_A_DIM = 6  # nodes that a least-squares fit needs for each column
DENSE = 0.4  # probability of pairs from which an honest vector may look like a leak
FEWEST = 6  # neighbours that differ, for a correlation
N_BINS = 4  # of equally many rows, for counts by time
MOST_DIMS = 8  # of a vector column that are summed: its principal components
RECENCY = (0.05, 0.2, 0.5)  # of the span of times, for counts in which older rows weigh less
Measure = Callable[["Sum"], tuple[float, float]]  # correlation, and of how many differences


@dataclass
class Sum:
    """x, y: a statistic summed over the rows inside and held out, [n, k]."""

    name: str
    x: np.ndarray
    y: np.ndarray


def sums(view: View, rows: Rows) -> list[Sum]:
    """Counts; counts by time; ratings; popularity, taste and vectors of partners, of witnesses."""
    key = ("sums", id(rows))
    if key not in view.cache:
        view.cache[key] = [_sum(view, rows, name, w) for name, w in _weights(view, rows)]
    return view.cache[key]


def _sum(view: View, rows: Rows, name: str, weight: np.ndarray) -> Sum:
    totals = []
    for part in ("graph", "held"):
        use = parts(view)[part][rows.row]
        by_column = [np.bincount(rows.node[use], column, rows.n) for column in weight[use].T]
        totals.append(np.stack(by_column, axis=1))
    return Sum(name, *totals)


def _weights(view: View, rows: Rows) -> Iterator[tuple[str, np.ndarray]]:
    """(name, weight of each of the rows [rows, k]); all but counts sum to nothing."""
    row = rows.row
    use = (parts(view)["graph"] | parts(view)["held"])[row]
    yield "the number of rows", np.ones((len(use), 1))
    for name, every in numbers_of_rows(view).items():
        values = every[row]
        if name in times_of_rows(view) and len(values):
            edges = np.quantile(values, np.linspace(0, 1, N_BINS + 1)[1:-1])
            place = np.searchsorted(edges, values)
            yield "the number of rows by time", np.eye(N_BINS)[place]
            age = (values.max() - values) / max(np.ptp(values), 1e-12)
            yield "the weight of recent rows", np.exp(-age[:, None] / np.array(RECENCY))
        else:
            yield f"the sum of {name!r}", _centred(values[:, None], use)
    if rows.side >= 0:
        partner = view.source.links(view.target)[1 - rows.side][row]
        popularity = np.log1p(view.counts(1 - rows.side)[0])[partner]
        yield "the popularity of what it meets", _centred(popularity[:, None], use)
        for name, values in numbers_met(view, rows).items():
            if "in the id" not in name:
                ranks = stats.rankdata(values[row]) / len(row)  # a few large values say little
                yield f"the sum of {name}", _centred(ranks[:, None], use)
        yield "the taste of what it meets", _centred(view.factors[1 - rows.side][partner], use)
        for name, vectors in _vectors_of_rows(view, rows):
            yield name, _centred(vectors, use)


def _centred(weight: np.ndarray, use: np.ndarray) -> np.ndarray:
    return weight - weight[use].mean(axis=0) if use.any() else weight


def _vectors_of_rows(view: View, rows: Rows) -> Iterator[tuple[str, np.ndarray]]:
    """Vectors of the partner, and of the witness, of each row: principal components [rows, k]."""
    for name, vectors, at in vectors_met(view, rows):
        key = ("components", rows.side, name)
        if key not in view.cache:
            view.cache[key] = principal(vectors, MOST_DIMS)
        yield name, view.cache[key][np.maximum(at, 0)[rows.row]] * (at >= 0)[rows.row, None]


def repels(view: View, reading: Reading, level: float) -> tuple[bool, str] | None:
    """Whether sums inside and held out repel, given the column."""
    if not reading.rows.apart:
        return None
    every = sums(view, reading.rows)
    total = (every[0].x + every[0].y)[:, 0]
    is_number, side = reading.values.ndim == 1, reading.rows.side
    measure = _by_neighbours(reading, total) if is_number else _by_fit(reading, every[0])
    if measure is None:
        return None
    drawn = view.drawn(side) if side >= 0 else view.any_drawn
    found = [_against_honest(view, reading, one, measure, drawn) for one in every]
    p, r, one = min(found, key=lambda f: f[0])
    if p > UNKNOWN_LEVEL * level:
        return None
    full = one is not every[0] and view.density > DENSE  # exclusion is not known well enough
    why = f"knows {one.name} with held-out rows included: given it, what is in the graph"
    why += f" and what is held out exclude each other (correlation {r:.2f})"
    return bool(drawn and not full and p < LEAK_LEVEL * level), why


def _against_honest(
    view: View, reading: Reading, one: Sum, measure: Measure, drawn: bool
) -> tuple[float, float, Sum]:
    """(p, correlation, sum) of a sum, against what it would be with no column, or an honest one."""
    r, n = measure(one)
    r0 = min(view.floor, _without(view, reading.rows, one), 0.0)
    if n < FEWEST or r - r0 > -(STRENGTH if drawn else STRENGTH_IN_TIME):
        return 1.0, r, one
    shift = np.clip((r - r0) / max(1 - r * r0, 1e-9), -0.999999, 0.999999)
    p = stats.t.cdf(shift * np.sqrt((n - 2) / (1 - shift**2)), n - 2)
    return float(p), r, one


def _without(view: View, rows: Rows, one: Sum) -> float:
    """The correlation between nodes in random order."""
    key = ("without", id(rows), one.name)
    if key not in view.cache:
        order = np.random.default_rng(2).permutation(rows.n).astype(float)
        total = (sums(view, rows)[0].x + sums(view, rows)[0].y)[:, 0]
        measure = _by_neighbours(Reading("", rows, order, False), total, any_two=True)
        view.cache[key] = measure(one)[0] if measure else 0.0
    return view.cache[key]


def _by_neighbours(reading: Reading, total: np.ndarray, any_two: bool = False) -> Measure | None:
    """A measure of a sum: correlation of the differences between neighbours in the column."""
    i, j = neighbours(reading.values, reading.ordered, total)
    if any_two:
        order = np.argsort(reading.values)
        i, j = order[:-1], order[1:]
    weight = total[i] + total[j]
    use = weight > 0
    i, j, scale = i[use], j[use], np.sqrt(weight[use])[:, None]

    def measure(one: Sum) -> tuple[float, float]:
        best = (0.0, 0.0)
        u, v = ((part[i] - part[j]) / scale for part in (one.x, one.y))
        for k in range(u.shape[1]):
            r, n = correlation(u[:, k], v[:, k]), _independent(u[:, k], v[:, k]) / OVERLAP
            if r * np.sqrt(n) < best[0] * np.sqrt(best[1]):
                best = r, n
        return best

    return measure if len(i) >= FEWEST else None


def neighbours(c: np.ndarray, ordered: bool, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes that stand side by side in the order of a column; of one value, at random.

    Pairs where the counts of the nodes around them show a steep trend are left out: there,
    neighbours differ by more than noise.
    """
    known = np.flatnonzero(np.isfinite(c))
    order = known[np.lexsort((np.random.default_rng(0).random(len(known)), c[known]))]
    i, j = order[:-1], order[1:]
    if not ordered:
        same = c[i] == c[j]
        return i[same], j[same]
    t = np.pad(total[order], 2, mode="edge")
    before, after = t[:-5] + t[1:-4], t[4:-1] + t[5:]  # two on either side of each pair
    slope = (after - before) / 2 / 4
    flat = slope**2 <= STEEP * (before + after) / 4
    flat[[0, -1]] = flat[[0, -1]] if len(flat) < 3 else flat[[1, -2]]
    return i[flat], j[flat]


def _independent(u: np.ndarray, v: np.ndarray) -> float:
    """How many differences bear a correlation, where a few large ones may outweigh the rest."""
    largest = (u * u).sum() * (v * v).sum() / max((u * u * v * v).sum(), 1e-12)
    return min(float(np.count_nonzero(v)), float(largest))


def correlation(u: np.ndarray, v: np.ndarray) -> float:
    size = np.sqrt((u * u).sum() * (v * v).sum())
    return float((u * v).sum() / size) if size > 1e-12 else 0.0


def _by_fit(reading: Reading, count: Sum) -> Measure | None:
    """A measure of a sum: correlation of what weighted least squares on the columns leave."""
    values, x, total = reading.values, count.x[:, 0], (count.x + count.y)[:, 0]
    use = np.isfinite(values).all(axis=1)  # all nodes: to ask for rows would make them repel
    n = int(use.sum())
    if n < 4 * ROWS_A_DIM:
        return None
    c = values[use] / np.maximum(np.nanstd(values[use], axis=0), 1e-12)
    c = principal(c, max(n // 4 - 1, 1))
    plain = np.column_stack([np.ones(n), c])
    fitted = plain @ np.linalg.lstsq(plain, total[use], rcond=None)[0]
    weight = 1 / np.sqrt(np.maximum(fitted, 1.0))[:, None]
    known = np.column_stack([plain, x[use], c * x[use][:, None]])

    def measure(one: Sum) -> tuple[float, float]:
        design = plain if one is count or one.name == count.name else known
        basis = np.linalg.qr(design * weight)[0]
        left = [part[use] * weight for part in (one.x, one.y)]
        u, v = (part - basis @ (basis.T @ part) for part in left)
        size = np.linalg.eigvalsh(u.T @ u)
        n_dims = size.sum() ** 2 / max((size**2).sum(), 1e-12)
        return correlation(u.ravel(), v.ravel()), max((n - design.shape[1]) * n_dims, 0.0)

    return measure
