"""Vectors that are pooled, or mixed, from the vectors of what a node meets."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from hinaug.split.audit.aggregates import MATCHED, parts_beyond
from hinaug.split.audit.readings import Reading
from hinaug.split.audit.rows import Rows, parts, vectors_met
from hinaug.split.audit.view import View

SAME, LEFT = 1e-6, 1e-4  # share of a vector left unexplained: none, and clearly some
MOST_SPANS = 2_000  # nodes whose vectors are compared with the span of those they meet


def mixes(view: View, reading: Reading, level: float) -> tuple[bool, str] | None:
    """Whether vectors are pooled, or mixed, from those of what a node meets, held-out included."""
    if reading.values.ndim == 1 or reading.rows.side < 0:
        return None
    for name, vectors, at in vectors_met(view, reading.rows):
        for part in parts_beyond(view, alone=False):
            if _is_pooled(view, reading, part, vectors, at):
                return True, f"pools {name}, with held-out rows included"
            if _is_mixed(view, reading, part, vectors, at):
                return True, f"is mixed from {name}, with held-out rows included"
    return None


def _is_pooled(
    view: View, reading: Reading, part: str, vectors: np.ndarray, at: np.ndarray
) -> bool:
    known = np.isfinite(reading.values).all(axis=1)
    pooled = [_pooled(view, reading.rows, p, vectors, at) for p in (part, "graph")]
    for whole, own in zip(*pooled, strict=True):
        if _unexplained(reading.values, whole, known) < SAME:
            return _unexplained(reading.values, own, known) > LEFT
    return False


def _is_mixed(view: View, reading: Reading, part: str, vectors: np.ndarray, at: np.ndarray) -> bool:
    if reading.values.shape[1] != vectors.shape[1]:
        return False
    outside, asked = _outside(view, reading.rows, part, vectors, at, reading.values)
    outside_own, _ = _outside(view, reading.rows, "graph", vectors, at, reading.values)
    return asked >= MATCHED and outside == 0 and outside_own >= MATCHED


def _pooled(view: View, rows: Rows, part: str, vectors: np.ndarray, at: np.ndarray):
    """Sum, mean, unit mean and maximum of the vectors of the rows of a part, each [n, d]."""
    use = parts(view)[part] & (at >= 0)
    node, own = rows.node[use], at[use]
    link = sp.csr_array((np.ones(len(node)), (node, own)), shape=(rows.n, len(vectors)))
    total = link @ vectors
    mean = total / np.maximum(link.sum(axis=1), 1)[:, None]
    highest = np.full((rows.n, vectors.shape[1]), -np.inf)
    order = np.argsort(node, kind="stable")
    there, first = np.unique(node[order], return_index=True)
    highest[there] = np.maximum.reduceat(vectors[own[order]], first, axis=0)
    return total, mean, _unit(mean), np.where(np.isfinite(highest), highest, np.nan)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _unexplained(c: np.ndarray, pooled: np.ndarray, known: np.ndarray) -> float:
    """The share of a column that no linear map of pooled vectors explains; also up to length."""
    use = known & np.isfinite(pooled).all(axis=1)
    if use.sum() < 2 * pooled.shape[1]:
        return 1.0
    design = np.column_stack([np.ones(use.sum()), pooled[use]])
    left = []
    for values in (c[use], _unit(c[use])):
        fit = np.linalg.lstsq(design, values, rcond=None)[0]
        spread = ((values - values.mean(axis=0)) ** 2).sum()
        left.append(((values - design @ fit) ** 2).sum() / max(spread, 1e-12))
    return float(min(left))


def _outside(
    view: View, rows: Rows, part: str, vectors: np.ndarray, at: np.ndarray, c: np.ndarray
) -> tuple[int, int]:
    """How many nodes have a vector outside of the span of those they meet, and of how many."""
    use = parts(view)[part] & (at >= 0)
    node, own = rows.node[use], at[use]
    order = np.argsort(node, kind="stable")
    node, own = node[order], own[order]
    count = np.bincount(node, minlength=rows.n)
    few = np.isfinite(c).all(axis=1) & (count > 0) & (count < c.shape[1] - 1)
    few &= np.cumsum(few) <= MOST_SPANS
    place = np.arange(len(node)) - (np.cumsum(count) - count)[node]
    here = few[node]
    span = np.zeros((int(few.sum()), max(c.shape[1] - 1, 1), c.shape[1]))
    span[(np.cumsum(few) - 1)[node[here]], place[here]] = vectors[own[here]]
    target = c[few][:, None, :]
    fitted = target @ np.linalg.pinv(span) @ span if len(span) else target
    left = ((target - fitted) ** 2).sum(axis=(1, 2)) > SAME * (target**2).sum(axis=(1, 2))
    return int(left.sum()), len(left)
