"""Columns of nodes as centred numbers, made from the graph at hand."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.errors import ParameterError
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN

MOST_CATEGORIES = 1000
Column = str | tuple[str, str]


@dataclass(eq=False)
class Features:
    """Vectors, numbers and categories of the nodes of a type side by side, float32 [n, width].

    node: the node type that is described.
    columns: one column or a list. "age" is a column of `node`; ("review", "x") is column x of the
        nodes of another type next to it, averaged over the neighbours that have it. That is an
        aggregate, so it is made here, from the graph at hand, and not stored: computed before a
        split, it would hold the held-out reviews.

    A category becomes one column for each of its values. Every column given is centred on the mean
    of the fitted nodes and divided by their root mean square length, so that one counts as much as
    another, however wide. A node that lacks a value gets zeros, the mean.
    """

    node: str
    columns: Column | list[Column]

    def fit(self, hin: HIN) -> Self:
        """Learn categories, means and scales from the nodes of `hin`."""
        self.specs_: list[dict[str, Any]] = []
        for entry in self.columns if isinstance(self.columns, list) else [self.columns]:
            if not (isinstance(entry, str) or (isinstance(entry, tuple) and len(entry) == 2)):
                raise ParameterError(f"a column is a name or (node type, name); got {entry!r}")
            node, name = (self.node, entry) if isinstance(entry, str) else entry
            spec: dict[str, Any] = {
                "node": node,
                "column": name,
                "values": _categories(hin, node, name),
            }
            rows, there = self._rows(hin, spec)
            mean = (
                rows[there].mean(axis=0, dtype=np.float64)
                if there.any()
                else np.zeros(rows.shape[1])
            )
            size = np.sqrt(np.square(rows[there] - mean).sum() / max(1, there.sum()))
            self.specs_.append(
                spec
                | {"mean": mean.astype(np.float32), "scale": float(1 / size if size > 1e-6 else 0)}
            )
        return self

    def encode(self, hin: HIN) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of all nodes [n, width], and whether a node has any of the columns [n]; kept for
        the graph last asked for.
        """
        last = self.__dict__.get("_last")
        if last is None or last[0]() is not hin:
            blocks, any_there = [], np.zeros(hin.n(self.node), bool)
            for spec in self.specs_:
                rows, there = self._rows(hin, spec)
                if rows.shape[1] != len(spec["mean"]):
                    raise ParameterError(
                        f"column {spec['column']!r} of {spec['node']!r} has {rows.shape[1]} "
                        "numbers a vector here and had "
                        f"{len(spec['mean'])} in the graph that was fitted on"
                    )
                blocks.append(
                    np.where(
                        there[:, None],
                        (rows - spec["mean"]) * np.float32(spec["scale"]),
                        np.float32(0),
                    )
                )
                any_there |= there
            last = self._last = (weakref.ref(hin), np.concatenate(blocks, axis=1), any_there)
        return last[1], last[2]

    def _rows(self, hin: HIN, spec: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """What the nodes have of one column, before centring, and whether they have it."""
        node, name = spec["node"], spec["column"]
        if spec["values"] is None:
            there = ~hin.column(node, name).is_null().to_numpy(zero_copy_only=False)
            rows = hin.vectors(node, name, fill=0.0)
        else:
            code = tb.lookup(spec["values"], _words(hin.column(node, name)))
            there = code >= 0
            rows = np.zeros((len(code), len(spec["values"])), np.float32)
            rows[np.flatnonzero(there), code[there]] = 1
        if node == self.node:
            return rows, there
        pool = hin.metapath(self.node, node) @ sp.diags_array(there.astype(np.float32))
        count = pool.sum(axis=1)
        return (pool @ rows) / np.maximum(count, 1)[:, None], count > 0


def _words(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _categories(hin: HIN, node: str, name: str) -> pa.Array | None:
    """The values of a column of categories; None for numbers and vectors."""
    column = _words(hin.column(node, name))
    if tb.is_vector(column.type) or tb.is_number(column.type):
        return None
    if not tb.is_text(column.type):
        raise ParameterError(
            f"column {name!r} of {node!r} is {column.type}; features are numbers, vectors or "
            "categories"
        )
    values = column.drop_null().unique()
    if len(values) > MOST_CATEGORIES:
        raise ParameterError(
            f"column {name!r} of {node!r} has {len(values):,} values, more than the "
            f"{MOST_CATEGORIES:,} that categories may "
            "have; if it is text, embed it and name the column of vectors"
        )
    return values.sort()
