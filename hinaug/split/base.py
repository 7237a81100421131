"""Split, and the one function that builds it: held-out pairs leave with all that records them.

The unit that is held out is a *pair* of the target relation, with all its parallel rows. With it go

    its twins       rows of every other relation between the same two node types, in either
                    direction,
    its witnesses   nodes of the types named in `evidence` (such as reviews) that join its two
                    ends, with all their edges and columns,
    the future      in a temporal split, every row of any table whose time lies after the cut; in
                    leave-last, what touches a user later than the user's own held-out pairs.

Users and items stay, so their positions are the same in `source`, `train` and `train_valid`. One
that itself carries a time after the cut keeps its id alone; its attributes become null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from hinaug.errors import KindError, ParameterError, SchemaError, some
from hinaug.graph import arrow as tb
from hinaug.graph import expect, spill
from hinaug.graph.evidence import (
    as_types,
    before_cut,
    before_rows_of_user,
    order_of_times,
    times_of,
    without_pairs,
)
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import PairIndex, order_of_pairs, relation_shape, sort_order
from hinaug.graph.schema import EdgeType, Type

TRAIN, VALID, TEST, DROPPED = range(4)


@dataclass(frozen=True, eq=False)
class Split:
    """What a method may see, and what it is judged by.

    source: everything, for `audit`.
    target: the relation whose pairs are held out.
    train: the graph to fit on.
    train_valid: the graph to refit on once choices are made.
    valid, test: held-out pairs with their attributes, external ids in "src" and "dst".
    evidence: node types that left together with the pairs that they witness.
    how: the function, its parameters and what it counted (ties, cut times).
    """

    source: HIN
    target: EdgeType
    train: HIN
    train_valid: HIN
    valid: pa.Table
    test: pa.Table
    evidence: tuple[str, ...] = ()
    how: dict[str, Any] = field(default_factory=dict)

    def with_derived(self, type: Type, name: str, function: Callable[[HIN], Any]) -> Split:
        """The split with a column that is computed from train alone, such as popularity.

        The function is called twice: train gets what it makes of train, train_valid what it makes
        of train_valid. The source does not get the column. Its lineage is "aggregate", and `how`
        says of which values it was, so that `audit` knows where the column comes from.

        type: a node type or an edge type of the graphs.
        name: the name of the column.
        function: takes a graph and returns one value for each row of `type`.
        """
        graphs, derived = {}, dict(self.how.get("derived", {}))
        for part in ("train", "train_valid"):
            graph = getattr(self, part)
            graph = graph.with_column(type, name, function(graph), lineage="aggregate")
            graphs[part] = graph
            where = f"{' '.join(type) if isinstance(type, tuple) else type}.{name}"
            content = tb.content_hash(graph.observed().table(type).select([name]))
            derived[part] = {**derived.get(part, {}), where: content}
        return replace(self, **graphs, how={**self.how, "derived": derived})

    def __repr__(self) -> str:
        n_train = self.train.adjacency(self.target).nnz
        return (
            f"Split({self.how.get('split', 'by hand')}: {n_train:,} train, "
            f"{self.valid.num_rows:,} valid, {self.test.num_rows:,} test of {self.target})"
        )


class RelationPairs:
    """The distinct observed pairs of a relation, and the row and time at which each is first seen.

    Rows of more than BLOCK are sorted by ranges of users: each range goes to its own place in a
    file, is sorted there in memory, and gives its pairs back to the file. The pairs and their order
    are the same however many ranges there are.

    index: the pairs, a PairIndex; src, dst: their positions [n].
    first_row: the row of the edge table at which each pair is first seen, whole numbers [n].
    order: numbers in the order of the times, which tell nanoseconds apart, [n]; `a_second` of them
        are a second of time stamps; only where a column of times is named.
    """

    order: np.ndarray | None = None

    def __init__(self, who: str, hin: HIN, target: EdgeType, time: str | None = None) -> None:
        expect.graph(hin, who)
        hin.edges[target]  # raises, naming what there is
        self.hin, self.target = hin, target
        observed = hin.observed()
        src, dst = observed.links(target)
        shape = relation_shape(observed, target)
        order = None
        if time is not None:
            _check_times_known(observed, target, time)
            order, self.a_second = order_of_times(observed, target, time)
        self.n_rows = len(src)
        if len(src) <= spill.BLOCK:
            ranges = [src.astype(np.int64), dst.astype(np.int64), np.arange(len(src))]
            ranges += [] if order is None else [order.copy()]
            ends = np.array([0, len(src)])
        else:
            ranges, ends = _by_range(src, dst, order, shape[0])
        self._sort_ranges(ranges, ends, shape)

    def _sort_ranges(
        self, columns: list[np.ndarray], ends: np.ndarray, shape: tuple[int, int]
    ) -> None:
        """Sorts each range of rows in its place; its pairs move up to those before them.

        columns: source, target, row number and, where there are times, their order.
        """
        n, cuts = 0, [0]
        later_rows, later_pairs = [], []
        for start, stop in pairwise(ends.tolist()):
            src, dst, rows, *times = (column[start:stop] for column in columns)
            order, is_first = _sorted(src, dst, times[0] if times else None, shape)
            later_rows.append(rows[order[~is_first]])
            later_pairs.append(n - 1 + np.cumsum(is_first)[~is_first])
            first = order[is_first]
            for column in columns:
                column[n : n + len(first)] = column[start:stop][first]
            n += len(first)
            cuts.append(n)
        src, dst, self.first_row, *times = (column[:n] for column in columns)
        self.index, self.order = PairIndex(src, dst, shape), times[0] if times else None
        self.src, self.dst = src, dst
        self._later = np.concatenate(later_rows), np.concatenate(later_pairs)
        self._cuts = cuts

    def __len__(self) -> int:
        return len(self.index)

    @cached_property
    def time(self) -> np.ndarray:
        """When each pair is first seen, float64 [n]; of time stamps in seconds."""
        time = spill.empty(len(self), np.float64)
        for block in self.blocks():
            time[block] = self.time_of(block)
        return time

    def time_of(self, chosen: Any) -> np.ndarray:
        """As `time`, for some of the pairs."""
        assert self.order is not None
        return self.order[chosen].astype(np.float64) / self.a_second

    def blocks(self) -> Iterator[slice]:
        """Slices of the pairs, with all pairs of a source in one of them."""
        for start, stop in pairwise(self._cuts):
            yield slice(start, stop)

    def rows_of(self, chosen: np.ndarray) -> np.ndarray:
        """Which rows of the edge table are of the chosen pairs, bool [rows]; chosen: bool [n]."""
        rows = np.empty(self.n_rows, bool)
        for block in self.blocks():
            rows[self.first_row[block]] = chosen[block]
        later_rows, later_pairs = self._later
        rows[later_rows] = chosen[later_pairs]
        return rows

    def in_graph(self, hin: HIN) -> np.ndarray:
        """Which of these pairs are observed in another graph of the same users and items, bool."""
        return PairIndex.of(hin, self.target).contains(self.src, self.dst)

    def in_table(self, pairs: pa.Table) -> np.ndarray:
        """Which of these pairs stand in a table of external ids ("src", "dst"), bool."""
        return PairIndex.from_ids(self.hin, self.target, pairs).contains(self.src, self.dst)


def _sorted(
    src: np.ndarray, dst: np.ndarray, order: np.ndarray | None, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Rows by pair, then by time, then as they stand; and which are the first of their pair."""
    if not len(src):
        return np.zeros(0, np.int64), np.zeros(0, bool)
    low, high = int(src.min()), int(src.max()) + 1  # only this range of sources is counted
    shape = (high - low, shape[1])
    if order is None:
        return order_of_pairs(src - low, dst, shape)
    by_time = sort_order(time_keys(order))
    rows, is_first = order_of_pairs(src[by_time] - low, dst[by_time], shape)
    return by_time[rows], is_first


def time_keys(order: np.ndarray) -> np.ndarray:
    """Whole numbers of at least 0 in the order of numbers of any kind, uint64, for `sort_order`."""
    if not len(order):
        return np.zeros(0, np.uint64)
    if order.dtype.kind == "f":
        bits = (order.astype(np.float64) + 0.0).view(np.int64)  # -0.0 and 0.0 are one moment
        order = bits ^ ((bits >> 63) & np.iinfo(np.int64).max)  # of negative numbers the bits turn
    if order.dtype != np.uint64:
        order = order.astype(np.int64)
    return (order - order.min()).view(np.uint64)


def _by_range(
    src: np.ndarray, dst: np.ndarray, order: np.ndarray | None, n_sources: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Source, target, row number and order of time of the rows by ranges of sources, each range in
    the order of the table; and the ends of the ranges. A range has about BLOCK rows.
    """
    n = len(src)
    range_of, ends = _ranges(src, n_sources)
    number = np.dtype(np.int32 if n <= np.iinfo(np.int32).max else np.int64)
    given = [src, dst, *([] if order is None else [order])]
    filed = [spill.empty(n, dtype) for dtype in (*(c.dtype for c in given), number)]
    free = ends[:-1].copy()
    for block in spill.blocks(n):
        of = range_of[src[block]]
        by_range = sort_order(of)
        size = np.bincount(of, minlength=len(free))
        values = [c[block][by_range] for c in given] + [by_range + block.start]
        start = np.cumsum(size) - size
        for r in np.flatnonzero(size).tolist():
            to = slice(free[r], free[r] + size[r])
            for column, part in zip(filed, values, strict=True):
                column[to] = part[start[r] : start[r] + size[r]]
        free += size
    return [filed[0], filed[1], filed[-1], *filed[2:-1]], ends


def _ranges(src: np.ndarray, n_sources: int) -> tuple[np.ndarray, np.ndarray]:
    """The range of each source, so that a range has about BLOCK rows; and the ends of the ranges
    among the rows.
    """
    count = np.zeros(n_sources, np.int64)
    for block in spill.blocks(len(src)):
        count += np.bincount(src[block], minlength=n_sources)
    of = np.maximum(np.cumsum(count) - 1, 0) // spill.BLOCK
    of = np.cumsum(np.append(0, of[1:] != of[:-1]))
    size = np.bincount(of, weights=count).astype(np.int64)
    return of, np.append(0, np.cumsum(size))


def _check_times_known(hin: HIN, target: EdgeType, time: str) -> None:
    """SchemaError where the column of times is of another kind, or null in some row."""
    column = hin.column(target, time)
    times_of(hin, target, time, slice(0, 0))
    if not column.null_count:
        return
    missing = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))
    raise SchemaError(
        f"edges {target}: {time!r} is null in {missing.size} rows (first "
        f"{some(missing[:5].tolist())}); leave them out with filter_edges, or fill them, "
        "before",
        asked=time,
        there=missing.tolist(),
    )


def build_split(
    pairs: RelationPairs,
    part: np.ndarray,
    evidence: Sequence[str],
    keep: Iterable[EdgeType],
    how: dict[str, Any],
    left: np.ndarray | None = None,
    time: str | None = None,
    cuts: Sequence[float] | None = None,
) -> Split:
    """The split that puts each pair into its part.

    part: TRAIN, VALID, TEST or DROPPED for each of `pairs`, int8 [n].
    evidence: node types that witness a pair.
    keep: relations whose rows stay although they join held-out pairs.
    how: what the split says about itself.
    left: bool [n], the pairs that stay in the graphs of their part; None for all.
    time: the column of times, where what lies later than the held-out pairs leaves too.
    cuts: the ends of train and of valid for all users; None: each user's own moment.
    """
    hin, target = pairs.hin, pairs.target
    evidence, keep = as_types("evidence", evidence), as_types("keep", keep)
    _check_types(hin, target, evidence, keep)
    graphs = []
    for parts, cut in (((TRAIN,), 0), ((TRAIN, VALID), 1)):
        inside = _is_one(part, parts)
        stays = inside if left is None else inside & left
        rows = pairs.rows_of(stays)
        graph = without_pairs(hin, target, pairs.index.take(~stays), evidence, keep, rows)
        if time is not None and cuts is not None:
            graph = before_cut(graph, time, cuts[cut], (target[0], target[2]))
        elif time is not None:
            limit = _first_held_out(pairs, _is_one(part, (VALID, TEST)) & ~inside)
            ends = target[0], target[2]
            graph = before_rows_of_user(graph, time, ends, limit, keep, pairs.a_second)
        graphs.append(graph)
    how = {**how, "evidence": list(evidence), "keep": [list(e) for e in keep]}
    if target[0] == target[2]:
        how["reversed"] = _count_reversed(pairs.index, part)
    valid, test = (_table(pairs, part == p) for p in (VALID, TEST))
    return Split(hin, target, graphs[0], graphs[1], valid, test, evidence, how)


def _is_one(part: np.ndarray, parts: Sequence[int]) -> np.ndarray:
    """Which entries are one of these parts, bool; one byte each, where np.isin takes eight."""
    found = np.zeros(len(part), bool)
    for one in parts:
        found |= part == one
    return found


def _check_types(
    hin: HIN, target: EdgeType, evidence: Sequence[str], keep: Sequence[EdgeType]
) -> None:
    """Raises for a type that the graph does not have, and for evidence that is an end."""
    for type in evidence:
        hin.nodes[type]
        if type in (target[0], target[2]):
            raise ParameterError(
                f"evidence={evidence}: {type!r} is an end of {target}; evidence are the nodes "
                "between its ends",
                asked=type,
                there=[t for t in hin.nodes if t not in (target[0], target[2])],
            )
    for edge in keep:
        hin.edges[edge]


def _first_held_out(pairs: RelationPairs, held_out: np.ndarray) -> np.ndarray:
    """When each source's first held-out pair was seen, in the numbers of `pairs.order` [sources];
    inf or the largest integer where none is.
    """
    assert pairs.order is not None
    order = pairs.order[held_out]
    if order.dtype.kind != "f" and order.dtype != np.uint64:
        order = order.astype(np.int64)  # times elsewhere may need more digits
    largest = np.inf if order.dtype.kind == "f" else np.iinfo(order.dtype).max
    limit = np.full(pairs.index.shape[0], largest, order.dtype)
    np.minimum.at(limit, pairs.src[held_out], order)
    return limit


def _count_reversed(index: PairIndex, part: np.ndarray) -> int:
    """How many train pairs left train because their reverse is held out."""
    train = index.take(part == TRAIN)
    held_out = index.take(_is_one(part, (VALID, TEST)))
    return int((held_out.contains(train.dst, train.src) & (train.src != train.dst)).sum())


def _table(pairs: RelationPairs, chosen: np.ndarray) -> pa.Table:
    """The first row of each chosen pair, with external ids."""
    observed, target = pairs.hin.observed(), pairs.target
    rows = np.sort(pairs.first_row[chosen])
    table = observed.edges[target].take(pa.array(rows))
    for side, node in ((0, target[0]), (1, target[2])):
        table = table.set_column(
            side, ("src", "dst")[side], observed.ids(node, table.column(side).to_numpy())
        )
    return table.combine_chunks()


def check_time_name(time: Any, who: str) -> None:
    if not isinstance(time, str):
        raise KindError(
            f"{who}: time={time!r}: the name of a column of the edges is needed, such as 'time'"
        )
