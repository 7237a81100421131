"""Vectors of users and items that together tell held-out pairs as well as known ones, as if learned
from the whole source.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import stats
from scipy.sparse.linalg import svds

from hinaug.graph import arrow as tb
from hinaug.split.audit.features import vectors_of
from hinaug.split.audit.view import SAMPLE, Finding, View, _member

HIGH = 0.9


def look(view: View) -> Iterator[tuple[bool, Finding]]:
    """Named where a factorisation of what this graph knows is far from doing as well; tastes given
    by nature look the same.
    """
    graph = view.observed
    columns = [
        [
            (f.name, _placed(view, end, f.name))
            for f in graph.nodes[end].schema
            if tb.is_vector(f.type)
        ]
        for end in (view.a, view.b)
    ]
    if not all(columns) or len(view.held) < 20 or not len(view.known):
        return
    rng = np.random.default_rng(0)
    held, known = (
        rng.choice(c, min(len(c), SAMPLE), replace=False) for c in (view.held, view.known)
    )
    other = view.pair_codes(*(rng.integers(n, size=SAMPLE) for n in view.shape))
    other = other[~_member(other, view.known) & ~_member(other, view.held)]
    if len(other) < 20:
        return
    base: float | None = None
    for name, left in columns[0]:
        for second, right in columns[1]:
            if left.shape[1] != right.shape[1]:
                continue
            best = 0.0
            for form in (_dot, _cosine):
                ends = (view.ends(codes) for codes in (held, known, other))
                h, k, o = (form(left[src], right[dst]) for src, dst in ends)
                on_held, on_known = _auc(h, o), _auc(k, o)
                if on_held > best and on_held > on_known - 0.02:
                    best = on_held
            if best < HIGH:
                continue
            base = _factorised(view, left.shape[1], held, other) if base is None else base
            if best > base + 0.05:
                where = f"{view.a}.{name} and {view.b}.{second}"
                why = (
                    f"their product tells held-out pairs from others (AUC {best:.3f}) as well as "
                    "known ones; "
                    f"a factorisation of this graph reaches {base:.3f}"
                )
                yield False, view.finding("embedding", where, why, held)


def _placed(view: View, end: str, name: str) -> np.ndarray:
    values = vectors_of(tb.one_chunk(view.observed.nodes[end][name]))
    out = np.zeros((view.source.n(end), values.shape[1]), np.float32)
    move = view.move(end)
    out[move[move >= 0]] = np.nan_to_num(values)[move >= 0]
    return out


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=1)


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return _dot(a, b) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-12)


def _auc(right: np.ndarray, wrong: np.ndarray) -> float:
    return float(stats.mannwhitneyu(right, wrong).statistic / (len(right) * len(wrong)))


def _factorised(view: View, rank: int, held: np.ndarray, other: np.ndarray) -> float:
    matrix = view.matrix(view.known)
    rank = min(rank, 32, min(matrix.shape) - 1)
    if rank < 1:
        return 0.5
    best = 0.5
    for k in {rank, max(1, rank // 4)}:
        u, s, vt = svds(matrix, k=k, random_state=0)
        ends = (view.ends(codes) for codes in (held, other))
        best = max(best, _auc(*(_dot(u[src] * s, vt.T[dst]) for src, dst in ends)))
    return best
