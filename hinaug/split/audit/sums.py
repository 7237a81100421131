"""What held-out rows add to a node: sums that tests of repulsion use, and aggregates by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hinaug.graph import arrow as tb
from hinaug.graph.evidence import times_of, touching
from hinaug.graph.pairs import PairIndex
from hinaug.graph.schema import Type
from hinaug.split.audit.moments import moments
from hinaug.split.audit.pairs import witnessed
from hinaug.split.audit.view import View

N_BINS = 4  # of equally many rows, for counts by time
MOST_DIMS = 8  # of a vector column that are summed: its principal components
MOST_NODES = 5_000  # nodes whose aggregates are computed
MOST_MARKS = 64  # nodes of a type, such as tags, that count as a vector of marks
MOST_LEVELS = 10  # distinct values of a rating that are counted one by one


@dataclass
class Rows:
    """The target's rows in the source, as seen from the nodes of one type.

    node: the node of each row. row: its number in the table. n: how many nodes there are.
    apart: whether each row belongs to one node only, so that the noise of nodes is independent.
    side: 0 or 1 where the nodes are the users or the items themselves, else -1.
    """

    node: np.ndarray
    row: np.ndarray
    n: int
    apart: bool
    side: int = -1


@dataclass
class Sum:
    """x, y: a statistic summed over the rows inside and held out, [n, k]."""

    name: str
    x: np.ndarray
    y: np.ndarray


def parts(view: View) -> dict[str, np.ndarray]:
    """Which rows of the source's target lie in the graph, are held out, or both."""
    if "parts" not in view.cache:
        ends = view.source.links(view.target)
        out = {"graph": view.inside.contains(*ends), "held": view.held.contains(*ends)}
        out["source"] = np.ones(len(ends[0]), bool)
        if view.name == "train":
            both = view.split.train_valid.observed().links(view.target)
            nodes = view.split.train_valid.nodes
            same = all(len(nodes[t]["id"]) == view.source.n(t) for t in (view.a, view.b))
            both = both if same else (both[0][:0], both[1][:0])
            pairs = PairIndex.from_positions(*both, view.shape)
            out["train_valid"] = pairs.contains(*ends)
        view.cache["parts"] = out
    return view.cache["parts"]


def rows_of(view: View, type: str) -> list[Rows]:
    """The rows that belong to the nodes of a type: as source, as target, or over its edges."""
    key = ("rows", type)
    if key not in view.cache:
        view.cache[key] = list(_rows_of(view, type))
    return view.cache[key]


def _rows_of(view: View, type: str) -> Iterator[Rows]:
    ends = view.source.links(view.target)
    every = np.arange(len(ends[0]))
    if type not in (view.a, view.b) and (witnessed(view, type) >= 0).mean() > 0.5:
        return  # nodes of one pair each, such as reviews, have no counts
    for side, end in enumerate((view.a, view.b)):
        if type == end:
            yield Rows(ends[side], every, view.source.n(type), True, side)
        elif type not in (view.a, view.b) and type in view.source.nodes:
            touch = touching(view.source, end, type)
            degree = np.diff(touch.indptr)
            row = np.repeat(every, degree[ends[side]])
            if 0 < len(row) <= 10 * len(every):
                start = touch.indptr[ends[side][row]]
                first = np.cumsum(degree[ends[side]]) - degree[ends[side]]
                node = touch.indices[start + np.arange(len(row)) - first[row]]
                yield Rows(node, row, view.source.n(type), bool(degree.max() <= 1))


# ---- sums ----------------------------------------------------------------------------------------


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
        node, w = rows.node[use], weight[rows.row[use]]
        by_column = [np.bincount(node, column, minlength=rows.n) for column in w.T]
        totals.append(np.stack(by_column, axis=1))
    return Sum(name, *totals)


def _weights(view: View, rows: Rows) -> Iterator[tuple[str, np.ndarray]]:
    """(name, weight of each row of the source [rows, k]); all but counts sum to nothing."""
    use = parts(view)["graph"] | parts(view)["held"]
    yield "the number of rows", np.ones((len(use), 1))
    for name, values in numbers_of_rows(view).items():
        if name in moments(view, view.target):
            edges = np.quantile(values, np.linspace(0, 1, N_BINS + 1)[1:-1])
            place = np.searchsorted(edges, values)
            yield "the number of rows by time", np.eye(N_BINS)[place]
        else:
            yield f"the sum of {name!r}", _centred(values[:, None], use)
    if rows.side >= 0:
        partner = view.source.links(view.target)[1 - rows.side]
        popularity = np.log1p(view.counts(1 - rows.side)[0])[partner]
        yield "the popularity of what it meets", _centred(popularity[:, None], use)
        yield "the taste of what it meets", _centred(view.factors[1 - rows.side][partner], use)
        for name, vectors in _vectors_of_rows(view, rows):
            yield name, _centred(vectors, use)


def numbers_of_rows(view: View) -> dict[str, np.ndarray]:
    """The numeric columns of the target in the source that are known in every row."""
    if "numbers" not in view.cache:
        table = view.source.table(view.target)
        fields = [f for f in table.schema if f.name not in ("src", "dst") and _numeric(f.type)]
        values = {f.name: times_of(view.source, view.target, f.name) for f in fields}
        view.cache["numbers"] = {n: v for n, v in values.items() if np.isfinite(v).all()}
    return view.cache["numbers"]


def _numeric(kind: pa.DataType) -> bool:
    is_time = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
    return is_time or (tb.is_number(kind) and not pa.types.is_boolean(kind))


def _centred(weight: np.ndarray, use: np.ndarray) -> np.ndarray:
    return weight - weight[use].mean(axis=0) if use.any() else weight


def _vectors_of_rows(view: View, rows: Rows) -> Iterator[tuple[str, np.ndarray]]:
    """Vectors of the partner, and of the witness, of each row: principal components [rows, k]."""
    for name, vectors, at in vectors_met(view, rows):
        key = ("components", rows.side, name)
        if key not in view.cache:
            view.cache[key] = principal(vectors, MOST_DIMS)
        yield name, view.cache[key][np.maximum(at, 0)] * (at >= 0)[:, None]


def vectors_met(view: View, rows: Rows) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(name, vectors of nodes [m, d], node of each row of the source) of partners and witnesses.

    What a partner is linked to, such as tags, is a vector of marks.
    """
    side = 1 - rows.side
    partner, at = (view.a, view.b)[side], view.source.links(view.target)[side]
    for name in _vector_columns(view, partner):
        yield f"the {name!r} of what it meets", _vectors(view, partner, name), at
    codes = view.whole.codes(*view.source.links(view.target))
    for type in [t for t in view.source.nodes if t not in (view.a, view.b)]:
        marks = touching(view.source, partner, type)
        if marks.nnz and marks.shape[1] <= MOST_MARKS:
            yield f"the {type!r} nodes of what it meets", marks.toarray().astype(float), at
        for name in _vector_columns(view, type):
            joined = witnessed(view, type)
            order = np.argsort(joined, kind="stable")
            of = order[np.minimum(np.searchsorted(joined[order], codes), len(order) - 1)]
            of = np.where(joined[of] == codes, of, -1)
            if (of >= 0).mean() > 0.5:
                yield f"the {name!r} of its {type!r} nodes", _vectors(view, type, name), of


def _vector_columns(view: View, type: str) -> list[str]:
    return [f.name for f in view.source.nodes[type].schema if tb.is_vector(f.type)]


def _vectors(view: View, type: str, name: str) -> np.ndarray:
    return view.source.vectors(type, name, fill=0.0).astype(np.float64)


def principal(vectors: np.ndarray, n: int) -> np.ndarray:
    """The first principal components of vectors [rows, d], at most n of them."""
    centred = vectors - vectors.mean(axis=0)
    if vectors.shape[1] <= n:
        return centred
    _, turn = np.linalg.eigh(centred.T @ centred)
    return centred @ turn[:, ::-1][:, :n]


# ---- aggregates ----------------------------------------------------------------------------------


def aggregates(view: View, rows: Rows, part: str) -> dict[str, np.ndarray]:
    """Counts, means, extremes and so on of the rows of a part for each node, NaN for none."""
    key = ("aggregates", id(rows), part)
    if key not in view.cache:
        asked = np.random.default_rng(0).permutation(rows.n) < MOST_NODES
        use = parts(view)[part][rows.row] & asked[rows.node]
        node, row = rows.node[use], rows.row[use]
        count = np.where(asked, np.bincount(node, minlength=rows.n), np.nan)
        out = {"count": count}
        times = [n for n in numbers_of_rows(view) if n in moments(view, view.target)]
        when = numbers_of_rows(view)[times[0]][row] if times else row
        for name, values in numbers_of_rows(view).items():
            found = _of_values(node, values[row], when, count)
            out.update({f"{what} of {name!r}": v for what, v in found})
        view.cache[key] = out
    return view.cache[key]


def _of_values(
    node: np.ndarray, values: np.ndarray, when: np.ndarray, count: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    n, empty = len(count), ~(count > 0)
    size = np.where(empty, np.nan, count)
    count = np.nan_to_num(count)
    middle = float(values.mean()) if len(values) else 0.0
    sums = np.bincount(node, values - middle, minlength=n)
    squares = np.bincount(node, (values - middle) ** 2, minlength=n)
    yield "sum", np.where(empty, np.nan, sums + count * middle)
    yield "mean", sums / size + middle
    yield "deviation", np.sqrt(np.maximum(squares / size - (sums / size) ** 2, 0))
    start = np.minimum((np.cumsum(count) - count).astype(int), max(len(values) - 1, 0))
    end = np.maximum(start + count.astype(int) - 1, 0)
    if not len(values):
        return
    by_value = values[np.lexsort((values, node))]
    low, high = by_value[start], by_value[end]
    half = [by_value[start + np.maximum(count - k, 0).astype(int) // 2] for k in (0, 1)]
    by_time = values[np.lexsort((when, node))]
    for name, found in (
        *(("minimum", low), ("maximum", high), ("span", high - low)),
        *(("median", (half[0] + half[1]) / 2), ("first", by_time[start]), ("last", by_time[end])),
    ):
        yield name, np.where(empty, np.nan, found)
    levels = np.unique(values)
    for level in levels if len(levels) <= MOST_LEVELS else []:
        for sign, match in (("=", values == level), (">=", values >= level)):
            total = np.where(empty, np.nan, np.bincount(node, match, minlength=n))
            yield f"number {sign} {level:g}", total
            yield f"share {sign} {level:g}", total / size


def owners(view: View, type: Type) -> list[tuple[str, np.ndarray]]:
    """The nodes (type, position in the source) to which each row of a table belongs."""
    if isinstance(type, str):
        if type in view.source.nodes and rows_of(view, type):
            return [(type, view.move(type))]
        return [(end, at) for end in (view.a, view.b) if (at := _only(view, type, end)) is not None]
    return [
        (t, p)
        for t, p in zip((type[0], type[2]), view.positions(type), strict=True)
        if t in (view.a, view.b)
    ]


def _only(view: View, type: str, end: str) -> np.ndarray | None:
    """The one user or item that each node of a type touches; None where they touch several."""
    touch = view.touch(type, end)
    degree = np.diff(touch.indptr)
    if not touch.nnz or degree.max() > 1:
        return None
    at = np.full(len(degree), -1)
    at[degree == 1] = touch.indices
    return at
