"""Columns: rows of mixed attributes as numbers that a network can write, and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from scipy.special import ndtr, ndtri

from hinaug.features.kinds import decoded, numbers, one_hot, present, vectors
from hinaug.generators.entities.profiles import kinds, number_array
from hinaug.graph import arrow as tb

QUANTILES = 1001
Spec = dict[str, Any]  # what is known of one column: name, kind, nulls, and what its kind needs


@dataclass(eq=False)
class TableEncoder:
    """Encodes a table as blocks side by side, float32 [n, width], and decodes such rows into
    columns of the same types.

    A category is one-hot over its values; null is a value of its own where there are nulls.

    A number is its quantile, as a standard normal number (a Gaussian copula's margin), so that no
    scale and no outlier matters. It is decoded by the empirical quantile function, which for whole
    numbers gives values that were seen.

    A vector is its first principal components, `components` at most, all divided by the spread of
    the first.

    A number or vector with nulls has one more block of two, "null" or "there". A null is encoded as
    the mean, and what is generated as "null" becomes null. A category never seen is encoded as
    zeros. Columns that cannot be generated (`kinds`) are left out.
    """

    components: int = 16

    def fit(self, table: pa.Table) -> Self:
        """Note the values, quantiles and components of each column of `table` that can be
        generated.
        """
        self.schema_ = table.schema.empty_table()  # a slice would keep the rows
        self.specs_: list[Spec] = []
        for name, kind in kinds(table).items():
            column = tb.one_chunk(table[name])
            known = column.drop_null()
            spec: Spec = {"name": name, "kind": kind, "nulls": column.null_count > 0}
            if kind == "category":
                spec["values"] = decoded(known.unique())
            elif kind == "number":
                spec["quantiles"] = _quantiles(known)
            else:
                spec.update(_components(vectors(known).astype(np.float64), self.components))
            self.specs_.append(spec)
        return self

    @property
    def blocks(self) -> list[tuple[str, int]]:
        """(kind, width) of each block, in the words of `hinaug.nn.MixedHead`."""
        out = []
        for spec in self.specs_:
            if spec["kind"] == "category":
                out.append(("categorical", len(spec["values"]) + spec["nulls"]))
                continue
            out.append(
                ("continuous", 1) if spec["kind"] == "number" else ("vector", len(spec["axes"]))
            )
            if spec["nulls"]:
                out.append(("categorical", 2))
        return out

    def encode(self, table: pa.Table, n_rows: int | None = None) -> np.ndarray:
        """Rows of a table with the fitted columns as float32 [n, width].

        n_rows: n, for a table without columns, which has forgotten it.
        """
        parts = [np.zeros((table.num_rows if n_rows is None else n_rows, 0))]
        for spec in self.specs_:
            column = tb.one_chunk(table[spec["name"]])
            known = present(column)
            if spec["kind"] == "category":
                parts.append(one_hot(column, spec["values"])[0])
                if spec["nulls"]:
                    parts.append(~known[:, None])
                continue
            code = _number_code(column, spec) if spec["kind"] == "number" else _axes(column, spec)
            parts.append(np.where(known[:, None], code, 0.0))
            if spec["nulls"]:
                parts.append(np.stack([~known, known], axis=1))
        return np.concatenate(parts, axis=1).astype(np.float32)

    def decode(self, rows: np.ndarray) -> dict[str, pa.Array]:
        """Rows whose categorical blocks are one-hot, or nearly so (the largest counts)."""
        out: dict[str, pa.Array] = {}
        blocks = self._split(rows)
        for spec in self.specs_:
            kind, block = self.schema_.schema.field(spec["name"]).type, next(blocks)
            if spec["kind"] == "category":
                out[spec["name"]] = _category(block.argmax(axis=1), spec, kind)
                continue
            null = np.zeros(len(rows), bool)
            if spec["nulls"]:
                null = np.greater(*next(blocks).T)
            if spec["kind"] == "number":
                out[spec["name"]] = _number(block[:, 0], null, spec, kind)
            else:
                made = block * spec["scale"] @ spec["axes"] + spec["mean"]
                out[spec["name"]] = tb.vectors_array(made, ~null).cast(kind)
        return out

    def _split(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        ends = np.cumsum([width for _, width in self.blocks])
        return iter(np.split(rows, ends[:-1], axis=1) if self.specs_ else [])


def _quantiles(known: pa.Array) -> np.ndarray:
    """1,001 quantiles that are values of the column; whole numbers stay exact."""
    values = known.to_numpy(zero_copy_only=False)
    values = np.sort(values if pa.types.is_integer(known.type) else values.astype(np.float64))
    rank = np.ceil(np.linspace(0, 1, QUANTILES) * len(values)).astype(np.int64) - 1
    return values[np.maximum(rank, 0)]


def _components(x: np.ndarray, most: int) -> Spec:
    """Mean and principal axes of vectors [n, d], and the spread along the first axis."""
    mean = x.mean(axis=0)
    _, s, v = np.linalg.svd(x - mean, full_matrices=False)
    k = max(1, min(most, int((s > 1e-6 * max(s[0], 1e-12)).sum())))
    scale = np.array([max(s[0] / np.sqrt(len(x)), 1e-12)])
    return {"mean": mean, "axes": v[:k], "scale": scale}


def _number_code(column: pa.Array, spec: Spec) -> np.ndarray:
    """The quantile of each number as a standard normal number [n, 1]."""
    quantiles = spec["quantiles"]
    if quantiles.dtype.kind in "iu" and pa.types.is_integer(column.type):
        values = column.fill_null(0).to_numpy(zero_copy_only=False)  # exact beyond 2^53
    else:
        values = numbers(column)
    places = np.searchsorted(quantiles, values, "left") + np.searchsorted(
        quantiles, values, "right"
    )
    share = places / (2 * QUANTILES)
    return ndtri(np.clip(share, 0.5 / QUANTILES, 1 - 0.5 / QUANTILES))[:, None]


def _axes(column: pa.Array, spec: Spec) -> np.ndarray:
    return (vectors(column) - spec["mean"]) @ spec["axes"].T / spec["scale"]


def _category(code: np.ndarray, spec: Spec, kind: pa.DataType) -> pa.Array:
    values = spec["values"].take(pa.array(code, mask=code == len(spec["values"])))
    return (values.dictionary_encode() if pa.types.is_dictionary(kind) else values).cast(kind)


def _number(normal: np.ndarray, null: np.ndarray, spec: Spec, kind: pa.DataType) -> pa.Array:
    place = ndtr(normal.astype(np.float64)) * (QUANTILES - 1)
    if pa.types.is_floating(kind):
        values = np.interp(place, np.arange(QUANTILES), spec["quantiles"])
        return number_array(values, null, kind)
    return pa.array(spec["quantiles"][np.rint(place).astype(int)], mask=null).cast(kind)
