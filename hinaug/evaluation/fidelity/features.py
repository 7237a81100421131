"""Nodes as rows of numbers, by a map that is learned on nodes which are judged nowhere.

A map that had seen the judged nodes, or those that a generator learned from, would know them again:
the axes of a few thousand rows hold something of each row.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from sklearn.utils.extmath import randomized_svd

from hinaug.evaluation.fidelity.columns import (
    as_numbers,
    commonest,
    elements,
    kind,
    principal,
)
from hinaug.evaluation.fidelity.links import Together
from hinaug.evaluation.sample import Sample, Side
from hinaug.features.kinds import decoded, one_hot, present, vectors
from hinaug.graph import arrow as tb

VALUES = 20  # of a column of categories, words or elements, that get a number of their own
DIM = 16  # axes of the links of a relation


class Features:
    """Columns, links and how links go together, as numbers.

    fit: the nodes to learn from. known: sides whose other ends tell nodes apart.
    pmi: {(side, side): how their links go together}.
    """

    def __init__(
        self,
        fit: Sample,
        sides: tuple[Side, ...],
        known: tuple[Side, ...],
        pmi: dict[tuple[Side, Side], Together],
        rng: np.random.Generator,
    ) -> None:
        self.sides, self.known, self.pmi = sides, known, pmi
        self.columns = [_Column(name, tb.one_chunk(fit.table[name])) for name in _names(fit)]
        self.axes = {side: _axes(fit.links(side), rng) for side in known}
        self.popularity = {
            side: np.log1p(np.bincount(fit.links(side).indices, minlength=fit.links(side).shape[1]))
            for side in known
        }
        self.scales = [_scale(block) for block in self._space(fit)]

    def attributes(self, sample: Sample, without: Collection[str] = ()) -> np.ndarray:
        """The columns but those of `without`, [n, p]; NaN for nulls."""
        there = [c for c in self.columns if c.name not in without]
        parts = [c.rows(tb.one_chunk(sample.table[c.name])) for c in there]
        return np.concatenate(parts, axis=1) if parts else np.zeros((len(sample), 0))

    def links(self, sample: Sample) -> np.ndarray:
        """Of each relation by itself: number and popularity of links, axes, coherence, [n, q]."""
        parts = [np.zeros((len(sample), 0))]
        for side in self.sides:
            parts += [np.log1p(sample.degree(side))[:, None], sample.edge_means(side)]
        for side in self.known:
            parts += [self.placed(sample, side), self._liking(sample, side)]
            parts += [self.pmi[side, side].of(sample)[:, None]]
        return np.concatenate(parts, axis=1)

    def across(self, sample: Sample) -> np.ndarray:
        """How the links of each two relations go together, [n, pairs]."""
        pairs = [p.of(sample)[:, None] for (a, b), p in self.pmi.items() if a != b]
        return np.concatenate([np.zeros((len(sample), 0)), *pairs], axis=1)

    def space(self, sample: Sample) -> np.ndarray:
        """A space for distances: attributes and links of each relation count alike, [n, r]."""
        blocks = self._space(sample)
        parts = [(b - m) / s for b, (m, s) in zip(blocks, self.scales, strict=True)]
        return np.concatenate(parts, axis=1) if parts else np.zeros((len(sample), 0))

    def placed(self, sample: Sample, side: Side) -> np.ndarray:
        """Rows of links of length 1 on the axes, and how much of them lies beside, [n, DIM + 1]."""
        on = _unit(sample.links(side)) @ self.axes[side].T
        beside = 1 - np.square(on).sum(axis=1, keepdims=True)
        return np.concatenate([on, beside], axis=1)

    def _liking(self, sample: Sample, side: Side) -> np.ndarray:
        """Mean and spread of the popularity of what a node is linked to, [n, 2]."""
        links, known = sample.links(side), self.popularity[side]
        count = np.maximum(np.diff(links.indptr), 1)
        mean = (links @ known) / count
        spread = np.sqrt(np.maximum((links @ known**2) / count - mean**2, 0))
        return np.stack([mean, spread], axis=1)

    def _space(self, sample: Sample) -> list[np.ndarray]:
        filled = [np.nan_to_num(c.rows(tb.one_chunk(sample.table[c.name]))) for c in self.columns]
        sizes = [np.log1p(sample.degree(side))[:, None] for side in self.sides]
        return [*filled, *sizes, *(self.placed(sample, side)[:, :-1] for side in self.known)]


class _Column:
    """One column as numbers: a flag for null, then the value, its length, shares or axes."""

    def __init__(self, name: str, column: pa.Array) -> None:
        self.name, self.kind = name, kind(column)
        there = column.drop_null()
        self.values = self.axes = None
        if self.kind in ("category", "boolean"):
            self.values = commonest(decoded(there), VALUES)
        elif self.kind == "vector":
            self.axes = principal(vectors(there).astype(np.float64))
        elif self.kind == "text":
            self.values = commonest(elements(there), VALUES)
        elif self.kind in ("number", "time", "list", "identifier"):
            numbers = as_numbers(there, self.kind)
            self.mean = float(numbers.mean()) if len(numbers) else 0.0
            self.spread = float(numbers.std()) or 1.0 if len(numbers) else 1.0

    def rows(self, column: pa.Array) -> np.ndarray:
        known = present(column)
        width = self._width()
        out = np.full((len(column), 1 + width), np.nan)
        out[:, 0] = ~known
        if width:
            out[known, 1:] = self._value(column.drop_null())
        return out

    def _width(self) -> int:
        if self.axes is not None:
            return len(self.axes[1])
        if self.values is not None:
            return len(self.values)
        return 0 if self.kind == "other" else 1

    def _value(self, there: pa.Array) -> np.ndarray:
        if self.axes is not None:
            return (vectors(there) - self.axes[0]) @ self.axes[1].T
        if self.kind == "text":
            return _has(there, self.values)
        if self.values is not None:
            return one_hot(decoded(there).cast(self.values.type), self.values)[0]
        return ((as_numbers(there, self.kind) - self.mean) / self.spread)[:, None]


def _has(texts: pa.Array, words: pa.Array) -> np.ndarray:
    """Whether each text has each word, [n, len(words)]."""
    split = pc.utf8_split_whitespace(pc.utf8_lower(texts))
    row = pc.list_parent_indices(split).to_numpy()
    code = tb.lookup(words, pc.list_flatten(split).cast(words.type)).astype(np.int64)
    out = np.zeros((len(texts), len(words)))
    out[row[code >= 0], code[code >= 0]] = 1
    return out


def _names(fit: Sample) -> list[str]:
    return fit.table.column_names


def _axes(links: sp.csr_array, rng: np.random.Generator) -> np.ndarray:
    """The first right singular vectors of rows of length 1, [k, m]."""
    rows = _unit(links)
    k = min(DIM, min(rows.shape) - 1)
    if k < 1 or not rows.nnz:
        return np.zeros((0, rows.shape[1]))
    return randomized_svd(rows, k, random_state=int(rng.integers(2**32)))[2]


def _unit(links: sp.csr_array) -> sp.csr_array:
    size = np.sqrt(np.maximum(np.diff(links.indptr), 1))
    return sp.csr_array(sp.diags_array(1 / size) @ links)


def _scale(block: np.ndarray) -> tuple[np.ndarray, float]:
    """The mean of a block of columns, and its root mean square distance from it."""
    mean = block.mean(axis=0)
    size = float(np.sqrt(np.square(block - mean).sum() / max(len(block), 1)))
    return mean, size or 1.0
