"""Columns of nodes as centred numbers, made from the graph at hand."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.errors import FoldInError, ParameterError, UnknownNameError, nearest
from hinaug.features import kinds
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN

MOST_CATEGORIES = kinds.MOST_CATEGORIES
Column = str | tuple[str, str]


@dataclass(eq=False)
class Features:
    """Vectors, numbers and categories of the nodes of a type side by side, float32 [n, width].

    For each column, with r_i what node i has of it, m the mean over the nodes that have it and s
    the root mean square length of r_i - m over them, the node gets (r_i - m) / s, so that one
    column counts as much as another, however wide. A node that lacks a value gets zeros, the mean.

    Parameters
    ----------
    node
        The node type that is described.
    columns
        One column or a list. "age" is a column of `node`: a vector, a number, or words, of which
        each value becomes one column of 0 and 1. ("review", "x") is column x of the nodes of
        another type next to it, averaged over the neighbours that have it. That is an aggregate,
        so it is made here, from the graph at hand, and not stored: computed before a split, it
        would hold the held-out reviews.

    Learned by `fit`: `specs_`, for each column its node type, name, values of its categories, mean
    and scale; no row of a node. Raises UnknownNameError for a column that is not there, and
    ParameterError for text and other columns that are no features.

    Example
    -------
    >>> from hinaug.graph.hin import HIN
    >>> hin = HIN.from_tables({"user": {"id": ["a", "b"], "age": [20, 40]}}, {})
    >>> features, has_any = Features("user", "age").fit(hin).encode(hin)
    >>> features.tolist(), has_any.tolist()
    ([[-1.0], [1.0]], [True, True])
    """

    node: str
    columns: Column | list[Column]

    def fit(self, hin: HIN) -> Self:
        """Learn categories, means and scales from the nodes of `hin`; gives the encoder itself."""
        self.__dict__.pop("_cache", None)
        entries = self.columns if isinstance(self.columns, list) else [self.columns]
        self.specs_: list[dict[str, Any]] = [self._learned(hin, entry) for entry in entries]
        return self

    def encode(self, hin: HIN) -> tuple[np.ndarray, np.ndarray]:
        """Features of all nodes of the type, float32 [n, width], and whether a node has any of the
        columns, bool [n]. Kept for the graph last asked for.
        """
        cached = self.__dict__.get("_cache")
        if cached is None or cached[0]() is not hin:
            rows = [self._rows(hin, spec) for spec in self.specs_]
            cached = self._cache = (weakref.ref(hin), *self._side_by_side(rows, hin.n(self.node)))
        return cached[1], cached[2]

    def encode_table(self, table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        """As `encode`, for nodes that are in no graph yet: a table with their own columns.

        Raises FoldInError for a column of neighbours, as a table has none, and UnknownNameError
        for a column that the table lacks.
        """
        rows = [self._table_rows(table, spec) for spec in self.specs_]
        return self._side_by_side(rows, table.num_rows)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_cache"}

    def _learned(self, hin: HIN, entry: Any) -> dict[str, Any]:
        if not (isinstance(entry, str) or (isinstance(entry, tuple) and len(entry) == 2)):
            raise ParameterError(
                f"a column is a name or (node type, name); got {entry!r}", asked=entry
            )
        node, name = (self.node, entry) if isinstance(entry, str) else entry
        spec = {"node": node, "column": name, "values": _values(hin.column(node, name), node, name)}
        rows, there = self._rows(hin, spec)
        mean = (
            rows[there].mean(axis=0, dtype=np.float64) if there.any() else np.zeros(rows.shape[1])
        )
        size = np.sqrt(np.square(rows[there] - mean).sum() / max(1, there.sum()))
        scale = float(1 / size if size > 1e-6 else 0)
        return spec | {"mean": mean.astype(np.float32), "scale": scale}

    def _rows(self, hin: HIN, spec: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """What the nodes have of one column, before centring, and whether they have it."""
        rows, there = _numbers(hin.column(spec["node"], spec["column"]), spec)
        if spec["node"] == self.node:
            return rows, there
        pool = hin.metapath(self.node, spec["node"]) @ sp.diags_array(there.astype(np.float32))
        count = pool.sum(axis=1)
        return (pool @ rows) / np.maximum(count, 1)[:, None], count > 0

    def _table_rows(self, table: pa.Table, spec: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        node, name = spec["node"], spec["column"]
        if node != self.node:
            raise FoldInError(
                f"column {(node, name)!r} is a mean over {node!r} nodes, and a table of attributes "
                "has no neighbours; score on a graph that has the new nodes and their neighbours",
                asked=(node, name),
            )
        if name not in table.column_names:
            raise UnknownNameError(
                f"attributes: no column {name!r}; the table has "
                f"{table.column_names}{nearest(name, table.column_names)}",
                asked=name,
                there=table.column_names,
            )
        return _numbers(tb.one_chunk(table[name]), spec)

    def _side_by_side(
        self, columns: list[tuple[np.ndarray, np.ndarray]], n: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Each column centred and scaled, [n, width], and whether a node has any of them [n]."""
        blocks, any_there = [], np.zeros(n, bool)
        for spec, (rows, there) in zip(self.specs_, columns, strict=True):
            if rows.shape[1] != len(spec["mean"]):
                raise ParameterError(
                    f"column {spec['column']!r} of {spec['node']!r} has {rows.shape[1]} numbers a "
                    f"vector here and had {len(spec['mean'])} in the graph that was fitted on",
                    asked=rows.shape[1],
                    there=len(spec["mean"]),
                )
            scaled = (rows - spec["mean"]) * np.float32(spec["scale"])
            blocks.append(np.where(there[:, None], scaled, np.float32(0)))
            any_there |= there
        return np.concatenate(blocks, axis=1), any_there


def _numbers(column: pa.Array, spec: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """One column as rows of numbers, 0 where it is null, and whether a row has a value."""
    if spec["values"] is not None:
        return kinds.one_hot(column, spec["values"])
    column = kinds.decoded(column)
    if tb.is_vector(column.type):
        return kinds.vectors(column), kinds.present(column)
    if tb.is_number(column.type):
        return kinds.numbers(column).astype(np.float32)[:, None], kinds.present(column)
    raise ParameterError(
        f"column {spec['column']!r} of {spec['node']!r} is {column.type} here and held numbers in "
        "the graph that was fitted on",
        asked=column.type,
    )


def _values(column: pa.Array, node: str, name: str) -> pa.Array | None:
    """The values of a column of categories; None for numbers and vectors."""
    column = kinds.decoded(column)
    kind = kinds.kind_of(column, MOST_CATEGORIES)
    if kind in ("vector", "number", "boolean"):
        return None
    if kind == "category":
        return kinds.categories(column)
    if kind in ("text", "identifier"):
        n_values = len(kinds.categories(column))
        raise ParameterError(
            f"column {name!r} of {node!r} has {n_values:,} values, more than the "
            f"{MOST_CATEGORIES:,} that categories may have; if it is text, embed it and name the "
            "column of vectors",
            asked=n_values,
            there=MOST_CATEGORIES,
        )
    raise ParameterError(
        f"column {name!r} of {node!r} is {column.type}; features are numbers, vectors or "
        "categories",
        asked=column.type,
    )
