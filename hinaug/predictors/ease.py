"""EASE: a linear autoencoder in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits

from hinaug.checks import COUNT, NOT_NEGATIVE, POSITIVE, Limits, Space
from hinaug.errors import FoldInError
from hinaug.features.columns import Column, Features
from hinaug.features.similarity import nearest_rows
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import linked_targets
from hinaug.predictors.base import FoldsIn, FoldsInItems, LinkPredictor
from hinaug.predictors.noise import noise_variance

BLOCK = 1024

# items below which a second BLAS thread gains a little when idle, and costs a hundredfold when the
# cores are shared
SMALL = 4096


@dataclass(eq=False)
class EASE(FoldsIn, FoldsInItems):
    """Scores an item by weights of the items in a history: a linear autoencoder in closed form.

    With X the links [sources, items], the item-item weights B with zero diagonal that minimise
    |X - X B|^2 + l2 |B|^2 are

        P = (X^T X + l2 I)^-1
        B_ij = -P_ij / P_jj
        score(u, .) = history(u) B

    (Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.) Two kinds of side
    information leave it in closed form. `side` puts attributes of the sources beside X, as items
    that nobody asks for (Jeunen et al., "Closed-Form Models for Collaborative Filtering with
    Side-Information", RecSys 2020). `prior` replaces l2 |B|^2 by l2 |B - c/l2 S|^2, with S the
    cosines of each item with those nearest to it by its features and c the `prior_weight`: where
    links say little, B falls back on S instead of 0. With Q = c P S,

        B_ij = Q_ij - P_ij (1 + Q_jj) / P_jj

    Parameters
    ----------
    relation
        The edge type whose links are scored.
    l2
        The ridge, and the parameter that matters: tune it by factors of two. None takes
        2 (sqrt(n_s) + sqrt(n_t))^2, with n_s and n_t the mean links of a source and of an item:
        twice the largest eigenvalue that chance alone gives X^T X (see `noise.py`).
    weight
        A numeric edge column as the values of X; "confidence" weighs generated edges by what they
        say, at fit and in the history that is scored.
    generated
        Where edges of deltas count: "loss", in what is learned from; "graph", in the history that
        is scored; or "both".
    side
        Columns of the source type (see `Features`), such as ["age", "job"] or ("review", "x"), the
        mean vector of the source's reviews.
    side_weight
        How long the rows of a column are beside those of X; tune it by factors of three.
    constant
        A number beside every row of X, with or without side columns; it brings popularity. Try 1
        where links are few and tastes alike, and compare side columns with this alone.
    prior
        Columns of the target type, such as "x" or ("review", "x").
    prior_weight
        In units of common sources, as if items of cosine 1 had so many more; tune it by factors
        of three.
    prior_k
        Neighbours of an item; ten to some dozens do.

    Learned: `weights_`, B [items + width, items], the rows of the side columns last; `known_`, bool
    [items]; `l2_`, the ridge taken; `side_`, the fitted encoder; `diagonal_`, P_jj [items], and
    `side_inverse_`, P between the side columns [width, width], which `fold_in_items` needs.

    History and side columns are read from the graph that is scored on, so a new user with either is
    served. `fold_in` reads side columns from its table; without one they count as missing.
    `fold_in_items` gives the weights of a refit on the new graph with the same l2, while the fitted
    users and their other links stay. NaN for a source without history among the fitted items and
    without side columns, and for an item without links at fit time, unless it has neighbours in
    the prior.

    Raises ParameterError for l2 of 0 or less or weights that are not finite, MemoryError where the
    matrix does not fit, and FoldInError for side columns of neighbours in `fold_in` and for a model
    with a prior in `fold_in_items`. Memory 4 items^2 bytes, with side columns 8 (items + width)^2:
    float32, factorised and inverted in place. Time O((items + width)^3) to fit and O(items^2) for a
    new item.

    Example
    -------
    >>> from hinaug.graph.hin import HIN
    >>> rates = ("user", "rates", "item")
    >>> nodes = {"user": {"id": ["a", "b", "c"]}, "item": {"id": ["p", "q", "r"]}}
    >>> hin = HIN.from_tables(nodes, {rates: {"src": list("aabbccc"), "dst": list("pqqrpqr")}})
    >>> model = EASE(rates, l2=1.0).fit(hin)
    >>> model.score(hin, [0]).round(3).tolist()
    [[0.5, 0.5, 0.5]]
    >>> model.fold_in([["p"]]).round(3).tolist()
    [[0.0, 0.5, 0.0]]
    """

    STOCHASTIC = False
    LIMITS: ClassVar[Limits] = {
        "l2": POSITIVE,
        "side_weight": NOT_NEGATIVE,
        "prior_weight": NOT_NEGATIVE,
        "prior_k": COUNT,
    }
    SPACE: ClassVar[Space] = {"l2": (1.0, 5000.0, "log")}
    l2: float | None = None
    weight: str | None = None
    generated: str = "both"
    side: Column | list[Column] | None = None
    side_weight: float = 1.0
    constant: float = 0.0
    prior: Column | list[Column] | None = None
    prior_weight: float = 3.0
    prior_k: int = 20

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        x = self._counted_links(hin, self.weight)
        self.l2_ = ridge_of(self, x)
        self.side_ = None if self.side is None else Features(self.relation[0], self.side).fit(hin)
        z, _ = self._side(hin)
        n = x.shape[1]
        self.known_ = linked_targets(x)
        inverse = self._inverse(x, z)
        self.diagonal_ = inverse.diagonal()[:n].copy()
        self.side_inverse_ = inverse[n:, n:].copy()
        if self.prior is None:
            inverse /= -inverse.diagonal()[None, :]
        else:
            self._toward(inverse, self._near(hin, self.prior, len(inverse)))
        np.fill_diagonal(inverse, 0)
        self.weights_ = np.ascontiguousarray(inverse[:, :n])

    def _inverse(self, x: sp.csr_array, z: np.ndarray) -> np.ndarray:
        """P over the items and the side columns."""
        n, width = x.shape[1], z.shape[1]
        check_memory(n + width, type(self).__name__, copies=2 if width else 1)
        gram = np.zeros((n + width,) * 2, np.float32)
        fill_gram(gram[:n, :n], x)
        if width:
            gram[:n, n:] = x.T @ z
            gram[n:, :n] = gram[:n, n:].T
            gram[n:, n:] = z.T @ z
        gram[np.diag_indices_from(gram)] += np.float32(self.l2_)
        with threadpool_limits(1 if len(gram) < SMALL else None, "blas"):
            invert_in_place(gram)
        return gram

    def _side(self, hin: HIN) -> tuple[np.ndarray, np.ndarray]:
        """What stands beside the links of all sources, [n, width], and who has side columns [n]."""

        def encoded() -> tuple[np.ndarray, np.ndarray]:
            n = hin.n(self.relation[0])
            nothing = np.zeros((n, 0), np.float32), np.zeros(n, bool)
            return self._beside(*(nothing if self.side_ is None else self.side_.encode(hin)))

        return self._per_graph(hin, "side", encoded)

    def _beside(self, features: np.ndarray, has_any: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The constant and the weighted side columns next to each other."""
        n = len(features)
        constant = np.full((n, 1 if self.constant else 0), self.constant, np.float32)
        return np.concatenate([constant, features * np.float32(self.side_weight)], axis=1), has_any

    def _near(self, hin: HIN, columns: Column | list[Column], n: int) -> sp.csr_array:
        """c S as a sparse matrix [n, n]; column j holds the neighbours of item j."""
        rows, _ = Features(self.relation[2], columns).fit(hin).encode(hin)
        near = nearest_rows(rows, self.prior_k)
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
        beside, has_side = self._side(hin)
        history = self._history(hin, src, self.weight)
        return self._columns(hin, self._from(history, beside[src], has_side[src]))

    def _fold_in(self, history: sp.csr_array, attributes: pa.Table | None) -> np.ndarray:
        k = history.shape[0]
        features, has_any = np.zeros((k, 0), np.float32), np.zeros(k, bool)
        if self.side_ is not None:
            width = len(self.side_inverse_) - bool(self.constant)
            features = np.zeros((k, width), np.float32)
            if attributes is not None:
                features, has_any = self.side_.encode_table(attributes)
        return self._from(history, *self._beside(features, has_any))

    def _from(self, history: sp.csr_array, beside: np.ndarray, has_side: np.ndarray) -> np.ndarray:
        n = history.shape[1]
        scores = np.asarray(history @ self.weights_[:n], np.float32)
        scores += beside @ self.weights_[n:]
        scores[:, ~self.known_] = np.nan
        scores[(np.diff(history.indptr) == 0) & ~has_side] = np.nan
        return scores

    def _fold_in_items(self, hin: HIN, new: np.ndarray) -> None:
        """The inverse with rows and columns added (bordered inverse), at the cost of a product.

        With G the columns of X^T X + l2 I between what was fitted and the new items, C those among
        the new items, U = P G and S = C - G^T U,

            P' = [P + U S^-1 U^T, -U S^-1;  -S^-1 U^T, S^-1]
        """
        if self.prior is not None:
            raise FoldInError(
                "EASE with a prior cannot add new targets: its weights are not those of the "
                "inverse alone, and the new targets change who is nearest to whom; refit it on a "
                "graph that has them",
                asked=self.prior,
            )
        history, links = self._fitted_links(hin, new, self.weight)
        beside = self._side_of_fitted(hin)
        outside = np.concatenate([(history.T @ links).toarray(), (links.T @ beside).T])
        inside = (links.T @ links).toarray().astype(np.float64)
        inside[np.diag_indices_from(inside)] += self.l2_
        u = self._times_inverse(outside.astype(np.float64))
        self._border(u, _inverted(inside - outside.T @ u))
        self.known_ = np.append(self.known_, linked_targets(links))

    def _side_of_fitted(self, hin: HIN) -> np.ndarray:
        """What stands beside the links of the fitted sources, in their order; 0 if not in `hin`."""
        at = self._positions_of_fitted(hin)
        return np.where(at[:, None] >= 0, self._side(hin)[0][at], np.float32(0))

    def _times_inverse(self, g: np.ndarray) -> np.ndarray:
        """P G, float64 [items + width, k], from P_ij = -B_ij P_jj."""
        n = len(self.diagonal_)
        scaled = self.diagonal_[:, None] * g[:n]
        out = np.empty_like(g)
        for at in range(0, len(g), BLOCK):
            out[at : at + BLOCK] = -(self.weights_[at : at + BLOCK].astype(np.float64) @ scaled)
        out[:n] += scaled
        between = -self.weights_[n:].astype(np.float64) * self.diagonal_  # side columns x items
        out[:n] += between.T @ g[n:]
        out[n:] += self.side_inverse_.astype(np.float64) @ g[n:]
        return out

    def _border(self, u: np.ndarray, corner: np.ndarray) -> None:
        """Weights and what else is kept of P, for P with rows and columns added."""
        n, k = len(self.diagonal_), len(corner)
        turned = u @ corner
        diagonal = self.diagonal_ + np.vecdot(turned[:n], u[:n])
        weights = np.empty((len(u) + k, n + k), np.float32)
        old_rows = np.append(np.arange(n), np.arange(n + k, len(weights)))
        for at in range(0, len(u), BLOCK):
            rows = slice(at, at + BLOCK)
            old = self.weights_[rows] * self.diagonal_ - turned[rows] @ u[:n].T
            weights[old_rows[rows], :n] = old / diagonal
        weights[old_rows, n:] = turned / corner.diagonal()
        weights[n : n + k, :n] = turned[:n].T / diagonal
        weights[n : n + k, n:] = -corner / corner.diagonal()
        weights[np.arange(n + k), np.arange(n + k)] = 0
        self.weights_ = weights
        self.diagonal_ = np.append(diagonal, corner.diagonal()).astype(np.float32)
        self.side_inverse_ = (self.side_inverse_ + turned[n:] @ u[n:].T).astype(np.float32)


def ridge_of(model: LinkPredictor, links: sp.csr_array) -> float:
    """The `l2` of EASE or SLIM: as given, or by default twice the variance of noise."""
    l2 = model.l2  # type: ignore[attr-defined]
    if l2 is None:
        return max(2 * noise_variance(links), 1e-6)
    return float(l2)


def _inverted(schur: np.ndarray) -> np.ndarray:
    """The inverse of what is left of the new items' own products."""
    try:
        np.linalg.cholesky(schur)
    except np.linalg.LinAlgError:
        raise FoldInError(
            "EASE cannot add these targets: the histories of the fitted sources in the graph are "
            "not those that it was fitted on; refit it on this graph"
        ) from None
    return np.linalg.inv(schur)


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
