"""Real nodes of a type as a generator of whole nodes sees them: attributes, views, features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.features.kinds import numbers, present
from hinaug.generators.entities.axes import leading_axes
from hinaug.generators.entities.times import is_time, whole
from hinaug.generators.entities.views import View, Witness, containing
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.schema import PROVENANCE

AXES = 16  # numbers that say which targets a node has


@dataclass(eq=False)
class Real:
    """The observed nodes of a type that have a link.

    nodes: their positions [n], ascending. table: attributes of the n nodes. views: their links.
    edges: a table of edge columns for each view, one row a link. records: for each view the node
    types that record its links, with the position of the record of each link [nnz], -1 for none.
    time: the name of a column of times that are numbers.
    """

    hin: HIN
    nodes: np.ndarray
    table: pa.Table
    views: list[View]
    edges: list[pa.Table]
    records: list[list[tuple[Witness, np.ndarray]]]
    time: str

    def rows_of(self, nodes: np.ndarray) -> np.ndarray:
        """The row of each observed node here; -1 for a node without links."""
        row = np.minimum(np.searchsorted(self.nodes, nodes), len(self.nodes) - 1)
        return np.where(self.nodes[row] == nodes, row, -1)

    @cached_property
    def within(self) -> list[int]:
        """For each view the place of an earlier one that has all its links; -1 for none."""
        return containing(self.views)

    def same_as(self, at: int) -> int:
        """The place of an earlier view with the same links, such as of the reverse relation; -1
        for none.
        """
        before = self.within[at]
        is_same = before >= 0 and self.views[before].links.nnz == self.views[at].links.nnz
        return before if is_same else -1

    @cached_property
    def axes(self) -> list[np.ndarray]:
        """For each view [m, k]: the leading right singular vectors of the links of all views, each
        divided by the roots of both degrees.
        """
        joint = sp.csr_array(sp.hstack([_scaled(v.links, v.counts) for v in self.views]))
        right = leading_axes(joint, AXES, seed=0)[1]
        sign = np.sign(right[np.abs(right).argmax(axis=0), np.arange(right.shape[1])])
        ends = np.cumsum([v.links.shape[1] for v in self.views])[:-1]
        return np.split(right * np.where(sign == 0, 1, sign), ends)

    @cached_property
    def features(self) -> np.ndarray:
        """What the links of each node say [n, w], see `seen`."""
        return self.seen([view.links for view in self.views], self.edges)

    @cached_property
    def taste(self) -> np.ndarray:
        """The part of the features that says which targets a node has, and how it rates them."""
        n_degrees_and_times = sum(
            1 + 2 * sum(is_time(f.name, f.type, self.time) for f in table.schema)
            for table in self.edges
        )
        return self.features[:, : self.features.shape[1] - n_degrees_and_times]

    @cached_property
    def _scale(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and spread of the plain features [w]; the axes share one spread, the largest."""
        plain = self._plain([view.links for view in self.views], self.edges)
        mean, spread = plain.mean(axis=0), plain.std(axis=0)
        k = self.axes[0].shape[1]
        spread[:k] = spread[:k].max()
        return mean, np.maximum(spread, 1e-6)

    def seen(self, links: Sequence[sp.csr_array], edges: Sequence[pa.Table]) -> np.ndarray:
        """Links of nodes as numbers [k, w]: place on the axes, means of edge columns, first and
        last times, degrees; in the spread of the real nodes.

        links: CSR [k, m] a view. edges: their columns, one row a link.
        """
        mean, spread = self._scale
        return ((self._plain(links, edges) - mean) / spread).astype(np.float32)

    def _plain(self, links: Sequence[sp.csr_array], edges: Sequence[pa.Table]) -> np.ndarray:
        both = list(zip(links, edges, strict=True))
        place = sum(
            _scaled(x, view.counts) @ axes
            for x, view, axes in zip(links, self.views, self.axes, strict=True)
        )
        means = [part for x, table in both for part in self._column_means(x, table)]
        times = [part for x, table in both for part in self._time_ends(x, table)]
        degrees = [np.log1p(np.diff(x.indptr))[:, None] for x in links]
        return np.hstack([place, *means, *times, *degrees])

    def _column_means(self, links: sp.csr_array, table: pa.Table) -> list[np.ndarray]:
        """The mean of each column of finite numbers over each node's links."""
        row = np.repeat(np.arange(links.shape[0]), np.diff(links.indptr))
        parts = []
        for field in table.schema:
            if tb.is_number(field.type) and not is_time(field.name, field.type, self.time):
                column = tb.one_chunk(table[field.name])
                value = numbers(column)
                known = present(column) & np.isfinite(value)
                parts.append(_means(row[known], value[known], links.shape[0]))
        return parts

    def _time_ends(self, links: sp.csr_array, table: pa.Table) -> list[np.ndarray]:
        """The first and the last time of each node's links."""
        row = np.repeat(np.arange(links.shape[0]), np.diff(links.indptr))
        parts = []
        for field in table.schema:
            if is_time(field.name, field.type, self.time):
                column = tb.one_chunk(table[field.name])
                known = present(column)
                value = whole(column).astype(np.float64)[known]
                parts += _first_and_last(row[known], value, links.shape[0])
        return parts


def _scaled(links: sp.csr_array, counts: np.ndarray) -> sp.csr_array:
    """Links divided by the roots of both degrees."""
    degree = np.maximum(np.diff(links.indptr), 1)
    out = links.astype(np.float64)
    out.data = out.data / np.sqrt(np.repeat(degree, np.diff(links.indptr)))
    out.data = out.data / np.sqrt(np.maximum(counts, 1))[links.indices]
    return out


def _means(row: np.ndarray, value: np.ndarray, n: int) -> np.ndarray:
    count = np.bincount(row, minlength=n)
    overall = value.mean() if len(value) else 0.0
    mean = np.bincount(row, value, n) / np.maximum(count, 1)
    return np.where(count > 0, mean, overall)[:, None]


def _first_and_last(row: np.ndarray, value: np.ndarray, n: int) -> list[np.ndarray]:
    middle = value.mean() if len(value) else 0.0
    first, last = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(first, row, value)
    np.maximum.at(last, row, value)
    return [np.where(np.isfinite(x), x, middle)[:, None] for x in (first, last)]


def real_nodes(
    hin: HIN,
    node: str,
    views: Sequence[View],
    records: Mapping[int, list[tuple[Witness, np.ndarray]]],
    time: str,
) -> Real:
    """The nodes of `views` (over all observed nodes) that have a link.

    records: for each view (by its place) what records its links.
    """
    linked = sum(view.degree for view in views)
    nodes = np.flatnonzero(linked)
    table = hin.observed().nodes[node]
    table = table.select([c for c in table.column_names if c not in ("id", *PROVENANCE)])
    edges = []
    for view in views:
        of_edge = hin.edges[view.relation]
        names = [c for c in of_edge.column_names if c not in ("src", "dst", *PROVENANCE)]
        edges.append(of_edge.select(names).take(pa.array(view.edge)))
    return Real(
        hin,
        nodes,
        table.take(pa.array(nodes)),
        [view.rows(nodes) for view in views],
        edges,
        [records.get(at, []) for at in range(len(views))],
        time,
    )
