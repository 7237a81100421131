"""EASE: a linear autoencoder in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits

from hinaug.base import LinkPredictor, interactions
from hinaug.hin import HIN

BLOCK = 1024

SMALL = 4096  # items below which a second BLAS thread gains a little when idle, and costs a hundredfold when the cores are shared


@dataclass(eq=False)
class EASE(LinkPredictor):
    """Embarrassingly shallow autoencoders (Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019).

    With X the links [sources, items], the item-item weights B with zero diagonal that minimise |X - X B|^2 + l2 |B|^2 are

        P = (X^T X + l2 I)^-1,      B_ij = -P_ij / P_jj,      score(u, .) = history(u) B.

    relation: the edge type whose links are scored.
    l2: the only hyperparameter and worth tuning by decades: the sparser the data, the larger, relative to the counts.
    weight: a numeric edge column as the values of X; "confidence" weighs generated edges by what they say, at fit and in
        the history that is scored.

    The history is read from the graph that is scored on, so a new user with history is served. NaN for a source without
    history among the fitted items, and for an item that nobody had at fit time.
    Memory 4 items^2 bytes: float32, factorised and inverted in place; refused with MemoryError where that is not there.
    Time O(items^3).
    """

    l2: float = 300.0
    weight: str | None = None

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        if not self.l2 > 0:
            raise ValueError(f"EASE: l2 is above 0 (the matrix may not be invertible without it); got {self.l2}")
        x = interactions(hin, self.relation, self.weight)
        check_memory(x.shape[1], type(self).__name__)
        self.known_ = np.bincount(x.indices, x.data, minlength=x.shape[1]) > 0
        gram = dense_gram(x)
        gram[np.diag_indices_from(gram)] += np.float32(self.l2)
        with threadpool_limits(1 if len(gram) < SMALL else None, "blas"):
            invert_in_place(gram)
        diagonal = gram.diagonal().copy()
        gram /= -diagonal[None, :]
        np.fill_diagonal(gram, 0)
        self.weights_ = gram

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        history = self._history(hin, src, self.weight)
        scores = np.asarray(history @ self.weights_, np.float32)
        scores[:, ~self.known_] = np.nan
        scores[np.diff(history.indptr) == 0] = np.nan
        return self._columns(hin, scores)


def dense_gram(x: sp.csr_array) -> np.ndarray:
    """X^T X as a dense float32 matrix, filled a block of rows at a time."""
    xt = x.T.tocsr()
    gram = np.zeros((x.shape[1], x.shape[1]), np.float32)
    for at in range(0, len(gram), BLOCK):
        gram[at : at + BLOCK] = (xt[at : at + BLOCK] @ x).toarray()
    return gram


def invert_in_place(matrix: np.ndarray) -> None:
    """The inverse of a symmetric positive definite float32 matrix [n, n], written over it (Cholesky)."""
    if not len(matrix):
        return
    turned = matrix.T  # LAPACK counts by columns: what it calls lower is our upper triangle
    for name, step in (("factorise", lapack.spotrf), ("invert", lapack.spotri)):
        # both write over their argument, which is float32 and contiguous by columns
        result, info = step(turned, lower=1, **{"overwrite_a" if name == "factorise" else "overwrite_c": 1})
        if info != 0:
            raise np.linalg.LinAlgError(
                f"could not {name} the matrix (LAPACK info {info}); a larger l2 makes it better conditioned"
            )
        if not np.shares_memory(result, matrix):
            turned[...] = result
    for at in range(0, len(matrix), BLOCK):  # mirror the upper triangle
        stop = min(at + BLOCK, len(matrix))
        matrix[stop:, at:stop] = matrix[at:stop, stop:].T
        square = matrix[at:stop, at:stop]
        square[...] = np.triu(square) + np.triu(square, 1).T


def check_memory(n_items: int, name: str) -> None:
    """MemoryError when a square float32 matrix over the items, with a tenth to spare, is more than there is."""
    need, there = 4.4 * n_items**2, available_memory()
    if there is not None and need > there:
        raise MemoryError(
            f"{name} needs {need / 2**30:.1f} GiB for a matrix over {n_items:,} items, and {there / 2**30:.1f} GiB are free; "
            "drop rare items first, or use a method with sparse weights such as ItemKNN"
        )


def available_memory() -> int | None:
    """Bytes that can still be used, from the kernel and from the limit of a container; None where neither is told."""
    found = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = dict(line.split() for line in Path("/sys/fs/cgroup/memory.stat").read_text().splitlines())
        if limit != "max":
            found.append(int(limit) - int(used["anon"]))
    except (OSError, ValueError, KeyError):
        pass
    return min(found, default=None)
