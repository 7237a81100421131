"""Pairs of a delta: by external ids, over the relations that say the same. Symmetric relations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from hinaug import checks
from hinaug.errors import KindError, ParameterError
from hinaug.graph import arrow as tb
from hinaug.graph.delta import Delta
from hinaug.graph.pairs import PairIndex
from hinaug.graph.schema import EdgeType


def main_relation(delta: Delta, relation: EdgeType | None, who: str) -> EdgeType:
    """The relation, or the first edge type of a delta; ParameterError where it has no such edges.

    who: the function that asks, for the error.
    """
    if not isinstance(delta, Delta):
        raise KindError(
            f"{who} takes a Delta, got {checks.kind(delta)}; see the generators",
            asked=checks.kind(delta),
        )
    there = list(delta.edges)
    if relation not in (None, *there) or not there:
        raise ParameterError(
            f"{who}: the delta has no edges{'' if relation is None else f' {relation}'}; it has "
            f"{there or delta}",
            asked=relation,
            there=there,
        )
    return there[0] if relation is None else relation


def rows_of_pairs(edges: pa.Table, pairs: pa.Table) -> np.ndarray:
    """The first row of `edges` with each pair of external ids, int64 [pairs]; -1 for none."""
    n_edges = edges.num_rows
    code = np.zeros(n_edges + pairs.num_rows, np.int64)
    for side in ("src", "dst"):
        columns = (tb.one_chunk(table[side]) for table in (edges, pairs))
        ids = pa.concat_arrays([tb.id_strings(c, f"pairs, column {side!r}")[0] for c in columns])
        words = ids.dictionary_encode()
        code = code * len(words.dictionary) + words.indices.to_numpy()
    known, first = np.unique(code[:n_edges], return_index=True)
    if not len(known):
        return np.full(pairs.num_rows, -1)
    at = np.minimum(np.searchsorted(known, code[n_edges:]), len(known) - 1)
    return np.where(known[at] == code[n_edges:], first[at], -1)


def is_symmetric(pairs: PairIndex, relation: EdgeType) -> bool:
    """Whether each pair of a relation stands in both directions, as friends do."""
    if relation[0] != relation[2]:
        return False
    is_link = pairs.src != pairs.dst
    return bool(is_link.any() and pairs.contains(pairs.dst, pairs.src).all())


def turned(edges: pa.Table) -> pa.Table:
    """The pairs in the other direction."""
    return pa.table({"src": edges["dst"], "dst": edges["src"]})


def twin_rows(delta: Delta, relation: EdgeType) -> Iterator[tuple[EdgeType, np.ndarray]]:
    """For every edge type of a delta: which row of the relation each of its rows repeats, in either
    direction, int64 [rows]; -1 for a row of its own. Each pair of a symmetric relation repeats its
    first direction.
    """
    rows = delta.edges[relation]
    first = np.arange(rows.num_rows)
    if relation[0] == relation[2]:
        reverse = rows_of_pairs(rows, turned(rows))
        first = np.where(reverse >= 0, np.minimum(first, reverse), first)
    for edge, table in delta.edges.items():
        found = np.full(table.num_rows, -1)
        for ends, pairs in (((0, 2), table), ((2, 0), turned(table))):
            if (edge[0], edge[2]) == (relation[ends[0]], relation[ends[1]]):
                found = np.where(found < 0, rows_of_pairs(rows, pairs), found)
        yield edge, np.where(found >= 0, first[found], -1)


def rows_at_once(n_columns: int) -> int:
    """How many rows over all targets are held at once: 512, fewer where that is more than four
    million numbers.
    """
    return max(1, min(512, 2**22 // max(n_columns, 1)))
