"""Nodes of one type as a sample: their columns and what they are linked to, side by side.

Whatever compares generated nodes with real ones reads both through `Sample`, over the same columns
and the same observed nodes at the other ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hinaug.errors import ParameterError
from hinaug.features.kinds import numbers, present, vectors
from hinaug.graph import arrow as tb
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.schema import PROVENANCE, EdgeType

ENDS = ("id", "src", "dst", *PROVENANCE)


class Side(NamedTuple):
    """An edge type as seen from one of its ends: the source where `forward`, else the target."""

    edge: EdgeType
    forward: bool

    @property
    def other(self) -> str:
        """The node type at the other end."""
        return self.edge[2] if self.forward else self.edge[0]

    def __str__(self) -> str:
        way = (", out" if self.forward else ", in") if self.edge[0] == self.edge[2] else ""
        return " ".join(self.edge) + way


def sides(hin: HIN, node: str) -> tuple[Side, ...]:
    """Every edge type that touches nodes of this type; twice where it joins two of them."""
    found = [Side(edge, True) for edge in hin.edges if edge[0] == node]
    return tuple(found + [Side(edge, False) for edge in hin.edges if edge[2] == node])


@dataclass(eq=False)
class Sample:
    """Some nodes of a type in a graph.

    graph: where they stand. node: their type. positions: int64 [n].
    like: the observed graph whose columns and nodes the sample is described by.
    """

    graph: HIN
    node: str
    positions: np.ndarray
    like: HIN
    _whole: dict[Any, Any] = field(default_factory=dict, repr=False)  # shared by all takes

    def __len__(self) -> int:
        return len(self.positions)

    def take(self, rows: np.ndarray) -> Sample:
        """The sample of these rows, positions in this one."""
        return Sample(self.graph, self.node, self.positions[rows], self.like, self._whole)

    @property
    def ids(self) -> pa.Array:
        return self.graph.nodes[self.node]["id"].chunk(0).take(pa.array(self.positions))

    @cached_property
    def table(self) -> pa.Table:
        """The columns that observed nodes have, n rows; null where this graph lacks the column."""
        columns = _columns(self.graph.nodes[self.node], self.like.nodes[self.node].schema)
        return columns.take(pa.array(self.positions))

    def links(self, side: Side) -> sp.csr_array:
        """CSR [n, observed nodes at the other end], 1 for a link."""

        def whole() -> sp.csr_array:
            matrix = _towards(self.graph, side)
            here, there = (g.nodes[side.other]["id"].chunk(0) for g in (self.graph, self.like))
            return aligned(matrix, here, there)

        return self._kept(("links", side), whole)[self.positions]

    def degree(self, side: Side) -> np.ndarray:
        """Links of each node, those to generated nodes included, int64 [n]."""
        counts = self._kept(
            ("degree", side), lambda: np.diff(_towards(self.graph, side).indptr).astype(np.int64)
        )
        return counts[self.positions]

    def paths(self, first: Side, second: Side) -> sp.csr_array:
        """Counts of paths over two edge types, CSR [n, observed nodes at the far end]."""
        ends = _towards(self.graph, second)
        near = _towards(self.graph, first)[self.positions]
        here, there = (g.nodes[second.other]["id"].chunk(0) for g in (self.graph, self.like))
        return aligned(sp.csr_array(near @ ends), here, there)

    def edges(self, side: Side, owned: bool) -> pa.Table:
        """The columns of the links, one row a link; where each node at the other end has one link
        (`owned`, as a review has one author) also its columns, as part of the link.
        """
        table = self.graph.table(side.edge)
        own = table["src" if side.forward else "dst"].to_numpy()
        rows = pa.array(np.flatnonzero(np.isin(own, self.positions)))
        columns = _columns(table, self.like.edges[side.edge].schema).take(rows)
        found = dict(zip(columns.column_names, columns.columns, strict=True))
        if owned:
            other = _columns(self.graph.nodes[side.other], self.like.nodes[side.other].schema)
            at = table["dst" if side.forward else "src"].take(rows)
            for name, column in zip(other.column_names, other.columns, strict=True):
                found[f"{side.other} {name}"] = column.take(at)
        return pa.table(found)

    def edge_means(self, side: Side) -> np.ndarray:
        """Mean of each numeric column of the links of each node, [n, columns]; NaN for none."""

        def whole() -> np.ndarray:
            table, schema = self.graph.table(side.edge), self.like.edges[side.edge].schema
            names = [f.name for f in schema if f.name not in ENDS and tb.is_number(f.type)]
            own = table["src" if side.forward else "dst"].to_numpy()
            n = self.graph.n(self.node)
            means = np.full((n, len(names)), np.nan)
            for at, name in enumerate(names):
                if name in table.column_names:
                    means[:, at] = _means(tb.one_chunk(table[name]), own, n)
            return means

        return self._kept(("edge means", side), whole)[self.positions]

    def _kept(self, key: Any, make: Any) -> Any:
        if key not in self._whole:
            self._whole[key] = make()
        return self._whole[key]


def real_and_made(real: HIN, delta: Delta, node: str, who: str) -> tuple[Sample, Sample]:
    """The observed nodes of a type, and those that a delta adds.

    Raises ParameterError where the delta adds none.
    """
    observed = real.observed()
    observed.nodes[node]  # raises, naming what there is
    if node not in delta.nodes:
        there = list(delta.nodes)
        raise ParameterError(
            f"{who}: the delta adds no {node!r} nodes, it adds {there or 'none at all'}; choose "
            "another node=",
            asked=node,
            there=there,
        )
    known = {d.identity for d in real.deltas}
    graph = real if delta.identity in known else real + delta
    made = graph.positions(node, delta.nodes[node]["id"])
    everybody = np.arange(observed.n(node))
    return Sample(observed, node, everybody, observed), Sample(graph, node, made, observed)


def unseen(held_out: HIN, real: Sample, who: str) -> Sample:
    """The nodes of another graph, over the columns and nodes of that of `real`.

    Raises ParameterError where one of them is in the graph of `real`.
    """
    node = real.node
    held_out = held_out.observed()
    both = tb.lookup(real.like.nodes[node]["id"].chunk(0), held_out.nodes[node]["id"].chunk(0)) >= 0
    if both.any():
        raise ParameterError(
            f"{who}: {both.sum():,} of {len(both):,} held-out {node!r} nodes are also in the real "
            "graph; held_out= holds nodes that the generator has not seen, such as "
            "hin.filter_nodes(node, ~mask) beside hin.filter_nodes(node, mask)",
            asked=len(both),
            there=int(both.sum()),
        )
    return Sample(held_out, node, np.arange(len(both)), real.like)


def shared(real: Sample, side: Side) -> bool:
    """Whether nodes at the other end have more than one link, so that it tells which ones."""
    return int(np.bincount(real.links(side).indices).max(initial=0)) > 1


def aligned(matrix: sp.csr_array, here: pa.Array, there: pa.Array) -> sp.csr_array:
    """The columns of a matrix, which stand for ids `here`, in the order of the ids `there`."""
    n = len(there)
    if len(here) >= n and here.slice(0, n).equals(there):
        return matrix if matrix.shape[1] == n else matrix[:, :n]
    at = tb.lookup(there, here).astype(np.int64)
    entries = matrix.tocoo()
    row, column = entries.coords
    keep = at[column] >= 0
    where = (row[keep], at[column[keep]])
    return sp.csr_array((entries.data[keep], where), shape=(matrix.shape[0], n))


def _towards(graph: HIN, side: Side) -> sp.csr_array:
    """CSR [nodes, nodes at the other end]; empty where the graph lacks the edge type."""
    if side.edge not in graph.edges:
        mine = side.edge[0] if side.forward else side.edge[2]
        return sp.csr_array((graph.n(mine), graph.n(side.other)), dtype=np.float32)
    matrix = graph.adjacency(side.edge)
    return matrix if side.forward else matrix.T.tocsr()


def _columns(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns that a schema names, in its types; nulls for one that the table lacks. Infinite
    numbers are null too, since they have no mean and no distance.
    """
    out = {}
    for f in schema:
        if f.name in ENDS:
            continue
        there = f.name in table.column_names
        column = table[f.name] if there else pa.nulls(table.num_rows, f.type)
        column = column if column.type == f.type else column.cast(f.type)
        out[f.name] = _finite(tb.one_chunk(column))
    return pa.table(out) if out else table.select([])


def _finite(column: pa.Array) -> pa.Array:
    """A column with null for infinite numbers, and for vectors that have one."""
    if tb.is_vector(column.type):
        rows = vectors(column)
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            rows = np.where(finite[:, None], rows, 0)
            return tb.vectors_array(rows, present(column) & finite).cast(column.type)
    elif pa.types.is_floating(column.type):
        infinite = np.isinf(numbers(column))
        if infinite.any():
            return pc.if_else(pa.array(infinite), pa.scalar(None, column.type), column)
    return column


def _means(column: pa.Array, group: np.ndarray, n: int) -> np.ndarray:
    column = _finite(column)
    known = ~column.is_null().to_numpy(zero_copy_only=False)
    value = column.cast(pa.float64(), safe=False).fill_null(0).to_numpy(zero_copy_only=False)
    count = np.bincount(group[known], minlength=n)
    total = np.bincount(group[known], value[known], minlength=n)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
