"""EASE: a linear autoencoder in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits

from hinaug.errors import ParameterError
from hinaug.features.columns import Column, Features
from hinaug.features.similarity import nearest_rows
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions
from hinaug.predictors.base import LinkPredictor

BLOCK = 1024

# items below which a second BLAS thread gains a little when idle, and costs a hundredfold when the
# cores are shared
SMALL = 4096


@dataclass(eq=False)
class EASE(LinkPredictor):
    """Embarrassingly shallow autoencoders (Steck, "Embarrassingly Shallow Autoencoders for Sparse
    Data", WWW 2019).

    With X the links [sources, items], the item-item weights B with zero diagonal that minimise |X -
    X B|^2 + l2 |B|^2 are

        P = (X^T X + l2 I)^-1,      B_ij = -P_ij / P_jj,      score(u, .) = history(u) B.

    Two kinds of side information leave it in closed form. `side` puts attributes of the sources
    beside X, as items that nobody asks for (Jeunen et al., "Closed-Form Models for Collaborative
    Filtering with Side-Information", RecSys 2020). `prior` replaces l2 |B|^2 by l2 |B - c/l2 S|^2,
    with S the cosines of each item with those nearest to it by its features and c the
    `prior_weight`: where links say little, B falls back on S instead of 0. With Q = c P S,

        B_ij = Q_ij - P_ij (1 + Q_jj) / P_jj.

    relation: the edge type whose links are scored.
    l2: the hyperparameter that matters, worth tuning by decades: the sparser the data, the larger,
        relative to the counts.
    weight: a numeric edge column as the values of X; "confidence" weighs generated edges by what
        they say, at fit and in the history that is scored.
    side: columns of the source type (see `Features`), such as ["age", "job"] or ("review", "x"),
        the mean vector of the source's reviews. side_weight: how long the rows of a column are
        beside those of X; tune it by factors of three.
    constant: a number beside every row of X, with or without side columns; it brings popularity.
        Try 1 where links are few and tastes alike, and compare side columns with this alone.
    prior: columns of the target type, such as "x" or ("review", "x"). prior_weight: in units of
        common sources, as if items of cosine 1 had met so many more; tune it by factors of three.
        prior_k: neighbours of an item; ten to some dozens do.

    The history and side columns are read from the graph that is scored on, so a new user with
    either is served. NaN for a source without history among the fitted items and without side
    columns, and for an item that nobody had at fit time, unless it has neighbours in the prior.
    Memory 4 items^2 bytes, with side columns 8 (items + width)^2: float32, factorised and inverted
    in place; refused with MemoryError where that is not there. Time O((items + width)^3).
    """

    l2: float = 300.0
    weight: str | None = None
    side: Column | list[Column] | None = None
    side_weight: float = 1.0
    constant: float = 0.0
    prior: Column | list[Column] | None = None
    prior_weight: float = 3.0
    prior_k: int = 20

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        if not self.l2 > 0:
            raise ParameterError(
                f"EASE: l2 is above 0 (the matrix may not be invertible without it); got {self.l2}"
            )
        x = interactions(hin, self.relation, self.weight)
        self.side_ = None if self.side is None else Features(self.relation[0], self.side).fit(hin)
        z = self._side(hin)
        n = x.shape[1]
        check_memory(n + z.shape[1], type(self).__name__, copies=2 if z.shape[1] else 1)
        self.known_ = np.bincount(x.indices, x.data, minlength=n) > 0
        gram = np.zeros((n + z.shape[1],) * 2, np.float32)
        fill_gram(gram[:n, :n], x)
        if z.shape[1]:
            gram[:n, n:] = x.T @ z
            gram[n:, :n] = gram[:n, n:].T
            gram[n:, n:] = z.T @ z
        gram[np.diag_indices_from(gram)] += np.float32(self.l2)
        with threadpool_limits(1 if len(gram) < SMALL else None, "blas"):
            invert_in_place(gram)
        if self.prior is None:
            gram /= -gram.diagonal()[None, :]
        else:
            self._toward(gram, self._near(hin, self.prior, len(gram)))
        np.fill_diagonal(gram, 0)
        self.weights_ = np.ascontiguousarray(gram[:, :n])

    def _side(self, hin: HIN) -> np.ndarray:
        """What stands beside the links of the sources, [n, width]."""
        n = hin.n(self.relation[0])
        parts = [np.full((n, 1), self.constant, np.float32)] if self.constant else []
        if self.side_ is not None:
            parts.append(self.side_.encode(hin)[0] * np.float32(self.side_weight))
        return np.concatenate([np.zeros((n, 0), np.float32), *parts], axis=1)

    def _near(self, hin: HIN, columns: Column | list[Column], n: int) -> sp.csr_array:
        """c S as a sparse matrix [n, n]; column j holds the neighbours of item j."""
        rows, _ = Features(self.relation[2], columns).fit(hin).encode(hin)
        unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        near = nearest_rows(unit, self.prior_k)
        self.known_ |= np.diff(near.indptr) > 0
        near.resize((n, n))
        return (near.T * np.float32(self.prior_weight)).tocsr()

    def _toward(self, p: np.ndarray, near: sp.csr_array) -> None:
        """Q - P (1 + Q_jj) / P_jj, written over P."""
        at, to = near.tocoo().coords
        diagonal = np.bincount(to, near.data * p[to, at], minlength=len(p)).astype(np.float32)
        scale = (1 + diagonal) / p.diagonal()
        for start in range(0, len(p), BLOCK):
            rows = p[start : start + BLOCK]
            rows[...] = rows @ near - rows * scale

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        history = self._history(hin, src, self.weight)
        n = history.shape[1]
        scores = np.asarray(history @ self.weights_[:n], np.float32)
        nothing = np.diff(history.indptr) == 0
        scores += self._side(hin)[src] @ self.weights_[n:]
        if self.side_ is not None:
            nothing &= ~self.side_.encode(hin)[1][src]
        scores[:, ~self.known_] = np.nan
        scores[nothing] = np.nan
        return self._columns(hin, scores)


def fill_gram(out: np.ndarray, x: sp.csr_array) -> None:
    """X^T X as a dense matrix, a block of rows at a time."""
    xt = x.T.tocsr()
    for at in range(0, len(out), BLOCK):
        out[at : at + BLOCK] = (xt[at : at + BLOCK] @ x).toarray()


def invert_in_place(matrix: np.ndarray) -> None:
    """The inverse of a symmetric positive definite float32 matrix [n, n], written over it
    (Cholesky).
    """
    if not len(matrix):
        return
    turned = matrix.T  # LAPACK counts by columns: what it calls lower is our upper triangle
    for name, step in (("factorise", lapack.spotrf), ("invert", lapack.spotri)):
        # both write over their argument, which is float32 and contiguous by columns
        result, info = step(
            turned, lower=1, **{"overwrite_a" if name == "factorise" else "overwrite_c": 1}
        )
        if info != 0:
            raise np.linalg.LinAlgError(
                f"could not {name} the matrix (LAPACK info {info}); a larger l2 makes it better "
                "conditioned"
            )
        if not np.shares_memory(result, matrix):
            turned[...] = result
    for at in range(0, len(matrix), BLOCK):  # mirror the upper triangle
        stop = min(at + BLOCK, len(matrix))
        matrix[stop:, at:stop] = matrix[at:stop, stop:].T
        square = matrix[at:stop, at:stop]
        square[...] = np.triu(square) + np.triu(square, 1).T


def check_memory(n_items: int, name: str, copies: int = 1) -> None:
    """MemoryError when square float32 matrices over the items, with a tenth to spare, are more than
    there is.
    """
    need, there = 4.4 * copies * n_items**2, available_memory()
    if there is not None and need > there:
        raise MemoryError(
            f"{name} needs {need / 2**30:.1f} GiB for a matrix over {n_items:,} items, and "
            f"{there / 2**30:.1f} GiB are free; "
            "drop rare items first, or use a method with sparse weights such as SLIM"
        )


def available_memory() -> int | None:
    """Bytes that can still be used, from the kernel and from the limit of a container; None where
    neither is told.
    """
    found = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = dict(
            line.split() for line in Path("/sys/fs/cgroup/memory.stat").read_text().splitlines()
        )
        if limit != "max":
            found.append(int(limit) - int(used["anon"]))
    except (OSError, ValueError, KeyError):
        pass
    return min(found, default=None)
