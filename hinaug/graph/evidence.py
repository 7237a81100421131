"""What records a pair: twin rows, nodes that witness it, later rows; and graphs without it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hinaug.errors import KindError, SchemaError
from hinaug.graph import arrow as tb
from hinaug.graph import spill
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import PairIndex
from hinaug.graph.schema import EdgeType


def without_pairs(
    hin: HIN,
    target: EdgeType,
    pairs: PairIndex,
    evidence: Sequence[str] = (),
    keep: Iterable[EdgeType] = (),
    rows: np.ndarray | None = None,
) -> HIN:
    """The graph without these pairs, their twin rows and their witnesses.

    target: the relation of the pairs.
    evidence: node types that witness a pair, such as "review".
    keep: relations whose rows stay.
    rows: which rows of the target itself do not join these pairs, bool [rows], if that is known.
    """
    evidence, keep = as_types("evidence", evidence), as_types("keep", keep)
    hin = _without_witnesses(hin, target, pairs, evidence)
    for edge in list(hin.observed().edges):
        if edge not in keep:
            hin = _without_rows(hin, target, edge, pairs, rows if edge == target else None)
    return hin


def _without_witnesses(
    hin: HIN, target: EdgeType, pairs: PairIndex, evidence: Sequence[str]
) -> HIN:
    """Without the evidence nodes that join one of the pairs.

    Nodes that join nothing but these pairs leave first. What still joins one of them then, over
    nodes that are left, leaves as well.
    """
    if not evidence:
        return hin
    gone, all_pairs = pairs.matrix(), hin.observed().adjacency(target)
    for only_these in (True, False):
        observed = hin.observed()
        witnesses = {}
        for type in evidence:
            sources, targets = (
                _reach(observed, type, end, evidence) for end in (target[0], target[2])
            )
            n_gone = _count_joined(sources, targets, gone)
            witnesses[type] = n_gone > 0
            if only_these:
                witnesses[type] &= n_gone == _count_joined(sources, targets, all_pairs)
        for type, leaves in witnesses.items():
            if leaves.any():
                hin = hin.filter_nodes(type, ~leaves)
    return hin


def _without_rows(
    hin: HIN, target: EdgeType, edge: EdgeType, pairs: PairIndex, rows: np.ndarray | None
) -> HIN:
    """Without the rows of an edge type that join one of the pairs, in either direction.

    rows: which of them do not join one in the direction of the target, bool, if that is known.
    """
    ends, wanted = (edge[0], edge[2]), (target[0], target[2])
    if ends not in (wanted, wanted[::-1]):
        return hin
    src, dst = hin.observed().links(edge)
    stays = np.ones(len(src), bool) if rows is None else rows.copy()
    for block in spill.blocks(len(src)):
        if ends == wanted and rows is None:
            stays[block] &= ~pairs.contains(src[block], dst[block])
        if ends[::-1] == wanted:
            stays[block] &= ~pairs.contains(dst[block], src[block])
    return hin.filter_edges(edge, stays)


def _count_joined(sources: sp.csr_array, targets: sp.csr_array, pairs: sp.csr_array) -> np.ndarray:
    """How many of `pairs` [sources, targets] each row joins.

    sources [rows, sources] and targets [rows, targets] say what a row touches.
    """
    return np.asarray((sources @ pairs).multiply(targets).sum(axis=1)).ravel()


def _reach(
    hin: HIN, type: str, end: str, through: Sequence[str], past: tuple[str, ...] = ()
) -> sp.csr_array:
    """Which nodes of type `end` each node of `type` touches, directly or over evidence types.

    CSR of ones [n_type, n_end]. through: the evidence types. past: those on the way here.
    """
    found = touching(hin, type, end)
    for other in through:
        if other != type and other not in past:
            step = touching(hin, type, other)
            if step.nnz:
                found = found + step @ _reach(hin, other, end, through, (*past, type))
    found = found.tocsr()
    found.eliminate_zeros()
    found.data[:] = 1
    return found


def touching(hin: HIN, a: str, b: str) -> sp.csr_array:
    """How many edge types link each node of type a to each of type b: CSR [n_a, n_b].

    Edges count in either direction where a and b differ.
    """
    out = sp.csr_array((hin.n(a), hin.n(b)), dtype=np.float32)
    for edge in hin.edges:
        if (edge[0], edge[2]) == (a, b):
            out = out + hin.adjacency(edge)
        if (edge[2], edge[0]) == (a, b) and a != b:
            out = out + hin.adjacency(edge).T.tocsr()
    return out.tocsr()


def before_cut(hin: HIN, time: str, cut: float, ends: tuple[str, str]) -> HIN:
    """Without the rows of any table later than `cut`.

    time: the column of times. ends: user and item type; late users and items keep their ids alone.
    """
    for type in list(hin.observed().edges):
        if time in hin.observed().edges[type].column_names:
            hin = hin.filter_edges(type, ~_later_than(hin.observed(), type, time, cut))
    for node in list(hin.nodes):
        if time in hin.observed().nodes[node].column_names:
            late = _later_than(hin.observed(), node, time, cut)
            hin = _blank(hin, node, late) if node in ends else hin.filter_nodes(node, ~late)
    return hin


def _later_than(hin: HIN, type: Any, time: str, cut: float) -> np.ndarray:
    """Which rows of a table have a time later than `cut`, bool [rows]."""
    late = np.zeros(hin.n(type), bool)
    for block in spill.blocks(len(late)):
        late[block] = times_of(hin, type, time, block) > cut
    return late


def _blank(hin: HIN, node: str, rows: np.ndarray) -> HIN:
    """The graph with all attributes of these nodes null."""
    table = hin.observed().nodes[node]
    if not rows.any():
        return hin
    where = pa.array(np.where(rows, 0, np.arange(len(rows))), mask=rows)
    for name in table.column_names:
        if name != "id":
            values = hin.observed().column(node, name).take(where)
            hin = hin.with_column(
                node, name, values, lineage=tb.lineage_of(table.schema.field(name))
            )
    return hin


def before_rows_of_user(
    hin: HIN,
    time: str,
    ends: tuple[str, str],
    limit: np.ndarray,
    keep: Iterable[EdgeType],
    a_second: int = 1,
) -> HIN:
    """Without rows that touch a user later than that user's limit [n_users].

    limit, a_second: moments as `order_of_times` gives them.

    An edge without a time of its own happens when the node at its other end does. Such a node
    leaves as well once no user is left that it touches.
    """
    user = ends[0]
    for type in list(hin.observed().edges):
        if user in (type[0], type[2]) and type not in keep:
            late = late_rows(hin.observed(), type, time, ends, limit, a_second)
            before = hin.observed()
            hin = hin.filter_edges(type, ~late)
            for side, node in enumerate((type[0], type[2])):
                if node not in ends and time in before.nodes[node].column_names and late.any():
                    had = np.bincount(before.links(type)[side], minlength=before.n(node)) > 0
                    has = np.asarray(touching(hin.observed(), node, user).sum(axis=1)).ravel() > 0
                    hin = hin.filter_nodes(node, ~had | has)
    return hin


def late_rows(
    hin: HIN,
    type: EdgeType,
    time: str,
    ends: tuple[str, str],
    limit: np.ndarray,
    a_second: int = 1,
) -> np.ndarray:
    """Which rows of an edge type touch a user later than the user's limit, bool [rows].

    The time is the row's own, else that of the node at the other end, such as a session. limit,
    a_second: moments as `order_of_times` gives them, inf or the largest integer for none.
    """
    user = ends[0]
    links = hin.links(type)
    late = np.zeros(len(links[0]), bool)
    for side in (0, 1):
        if type[2 * side] != user:
            continue
        other = type[2 - 2 * side]
        of_nodes = None
        if time not in hin.edges[type].column_names:
            if other in ends or time not in hin.nodes[other].column_names:
                continue
            of_nodes, unit = order_of_times(hin, other, time)
        for block in spill.blocks(len(late)):
            if of_nodes is None:
                when, unit = order_of_times(hin, type, time, block)
            else:
                when = of_nodes[links[1 - side][block]]
            late[block] |= _is_later(when, unit, limit[links[side][block]], a_second)
    return late


def _is_later(when: np.ndarray, unit: int, limit: np.ndarray, a_second: int) -> np.ndarray:
    """when / unit > limit / a_second; integers are compared as such, NaN is later than nothing."""
    if "f" in when.dtype.kind + limit.dtype.kind:
        return np.asarray(when / unit > limit / a_second)
    largest = np.iinfo(limit.dtype).max
    if unit < a_second:  # both are powers of 1,000, so one divides the other
        return np.asarray((when > limit // (a_second // unit)) & (limit < largest))
    times = unit // a_second
    fits = (limit <= largest // times) & (limit >= -(largest // times))
    scaled = np.where(fits, limit, 0) * times
    return np.asarray(np.where(fits, when > scaled, limit < 0))


def times_of(hin: HIN, type: Any, time: str, rows: slice = slice(None)) -> np.ndarray:
    """A time column as float64 in its own unit (time stamps: seconds), NaN for null."""
    column = hin.column(type, time)
    column = column[rows]
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        ticks, a_second = _ticks(column)
        seconds = pc.divide(ticks.cast(pa.float64(), safe=False), float(a_second))
        return seconds.to_numpy(zero_copy_only=False)
    if not tb.is_number(column.type):
        raise SchemaError(
            f"{type!r}, column {time!r} is {column.type}, not a time; parse it into numbers or "
            "time stamps before"
        )
    return column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def order_of_times(
    hin: HIN, type: Any, time: str, rows: slice = slice(None)
) -> tuple[np.ndarray, int]:
    """Numbers in the order of a time column, and how many of them make its unit (a second of time
    stamps). A null is the smallest integer, or NaN.

    Moments that float64 cannot tell apart, such as nanoseconds, stay apart.
    """
    column, a_second = hin.column(type, time)[rows], 1
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        column, a_second = _ticks(column)
    if not pa.types.is_integer(column.type) or (column.null_count and column.type == pa.uint64()):
        return times_of(hin, type, time, rows), 1
    if column.null_count:
        column = column.cast(pa.int64()).fill_null(np.iinfo(np.int64).min)
    return column.to_numpy(zero_copy_only=False), a_second


def _ticks(column: pa.Array) -> tuple[pa.Array, int]:
    """Time stamps or dates as int64 in their own unit, and how many of it make a second."""
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    a_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
    return column.cast(pa.int64()), a_second


def as_types(name: str, given: Any) -> tuple[Any, ...]:
    """Types as a tuple; one node type alone is meant as a list of it."""
    if not isinstance(given, Iterable):
        such = "['review']" if name == "evidence" else "[('user', 'likes', 'item')]"
        raise KindError(
            f"{name}={given!r}: a list of types is needed, such as {such}, or [] for none"
        )
    return (given,) if isinstance(given, str) else tuple(given)
