"""Columns: rows of mixed attributes as numbers that a network can write, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from scipy.special import ndtr, ndtri

from hinaug.generators.entities.profiles import kinds
from hinaug.graph import arrow as tb

QUANTILES = 1001


@dataclass(eq=False)
class Columns:
    """Encodes a table as blocks side by side, float32 [n, width], and decodes such rows into
    columns of the same types.

    category   one-hot over its values; null is a value of its own where there are nulls.
    number     its quantile as a standard normal number (a Gaussian copula's margin), so that no scale and no outlier
               matters; back by the empirical quantile function, which for whole numbers gives
               values that were seen.
    vector     its first principal components, `components` at most, all divided by the spread of
    the first.

    A number or vector with nulls has one more block of two, "null" or "there"; a null is encoded as
    the mean, and what is generated as "null" becomes null. Columns that cannot be generated
    (`kinds`) are left out.

    """

    components: int = 16

    def fit(self, table: pa.Table) -> Self:
        """Note the values, quantiles and components of each column of `table` that can be
        generated.
        """
        self.schema_ = table.slice(0, 0)
        self.specs_: list[dict[str, Any]] = []
        for name, kind in kinds(table).items():
            column = tb.one_chunk(table[name])
            spec: dict[str, Any] = {"name": name, "kind": kind, "nulls": column.null_count > 0}
            there = column.drop_null()
            if kind == "category":
                spec["values"] = there.unique()
                if pa.types.is_dictionary(column.type):
                    spec["values"] = spec["values"].dictionary_decode()
            elif kind == "number":
                values = np.sort(there.cast(pa.float64()).to_numpy(zero_copy_only=False))
                spec["quantiles"] = np.quantile(
                    values, np.linspace(0, 1, QUANTILES), method="inverted_cdf"
                )
            else:
                x = _vectors(there).astype(np.float64)
                mean = x.mean(axis=0)
                _, s, v = np.linalg.svd(x - mean, full_matrices=False)
                k = max(1, min(self.components, int((s > 1e-6 * max(s[0], 1e-12)).sum())))
                spec.update(
                    mean=mean, axes=v[:k], scale=np.array([max(s[0] / np.sqrt(len(x)), 1e-12)])
                )
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

    def encode(self, table: pa.Table) -> np.ndarray:
        """Rows of a table with the fitted columns as float32 [n, width]."""
        parts = []
        for spec in self.specs_:
            column = tb.one_chunk(table[spec["name"]])
            null = column.is_null().to_numpy(zero_copy_only=False)
            if spec["kind"] == "category":
                if pa.types.is_dictionary(column.type):
                    column = column.dictionary_decode()
                codes = tb.lookup(spec["values"], column)
                codes = np.where(null, len(spec["values"]), codes)
                parts.append(np.eye(len(spec["values"]) + spec["nulls"])[codes])
                continue
            if spec["kind"] == "number":
                values, q = (
                    column.cast(pa.float64()).fill_null(0).to_numpy(zero_copy_only=False),
                    spec["quantiles"],
                )
                share = (
                    np.searchsorted(q, values, "left") + np.searchsorted(q, values, "right")
                ) / (2 * QUANTILES)
                code = ndtri(np.clip(share, 0.5 / QUANTILES, 1 - 0.5 / QUANTILES))[:, None]
            else:
                code = (_vectors(column) - spec["mean"]) @ spec["axes"].T / spec["scale"]
            parts.append(np.where(null[:, None], 0.0, code))
            if spec["nulls"]:
                parts.append(np.stack([null, ~null], axis=1))
        rows = np.concatenate(parts, axis=1) if parts else np.zeros((table.num_rows, 0))
        return rows.astype(np.float32)

    def decode(self, rows: np.ndarray) -> dict[str, pa.Array]:
        """Rows whose categorical blocks are one-hot, or nearly so (the largest counts)."""
        out: dict[str, pa.Array] = {}
        blocks = iter(
            np.split(rows, np.cumsum([width for _, width in self.blocks])[:-1], axis=1)
            if self.specs_
            else []
        )
        for spec in self.specs_:
            kind, block = self.schema_.schema.field(spec["name"]).type, next(blocks)
            if spec["kind"] == "category":
                codes = block.argmax(axis=1)
                values = spec["values"].take(pa.array(codes, mask=codes == len(spec["values"])))
                out[spec["name"]] = (
                    values.dictionary_encode() if pa.types.is_dictionary(kind) else values
                ).cast(kind)
                continue
            null = np.zeros(len(rows), bool)
            if spec["nulls"]:
                said = next(blocks)
                null = said[:, 0] > said[:, 1]
            if spec["kind"] == "number":
                place = ndtr(block[:, 0].astype(np.float64)) * (QUANTILES - 1)
                if pa.types.is_floating(kind):
                    numbers = np.interp(place, np.arange(QUANTILES), spec["quantiles"])
                else:
                    numbers = spec["quantiles"][np.rint(place).astype(int)]
                out[spec["name"]] = pa.array(numbers, mask=null).cast(kind)
            else:
                vectors = block * spec["scale"] @ spec["axes"] + spec["mean"]
                out[spec["name"]] = tb.vectors_array(vectors, ~null).cast(kind)
        return out


def _vectors(column: pa.Array) -> np.ndarray:
    size = column.type.list_size
    flat = column.values.slice(column.offset * size, len(column) * size)
    return flat.fill_null(0).to_numpy(zero_copy_only=False).reshape(len(column), size)
