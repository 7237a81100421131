"""SLIM: item-item weights among few neighbours, in closed form; EASE for large catalogues."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions
from hinaug.predictors.base import LinkPredictor
from hinaug.predictors.item_knn import ItemKNN

BLOCK_NUMBERS = 2**21  # numbers in a block of Gram matrices


@dataclass(eq=False)
class SLIM(LinkPredictor):
    """Sparse linear weights (Ning and Karypis, "SLIM: Sparse Linear Methods for Top-N Recommender
    Systems", ICDM 2011), with
    a ridge in place of the lasso: the neighbours N(j) of an item are chosen first, then its weights
        minimise

        |x_j - X_N b_j|^2 + l2 |b_j|^2,      b_j = (X_N^T X_N + l2 I)^-1 X_N^T x_j,      score(u, j)
        = sum of b_ij over history(u).

    N(j) holds the k items of the largest cosine with j; where fewer have met j, the most popular
    others fill it up. With all items as neighbours this is exactly `EASE`.

    relation: the edge type whose links are scored.
    k: neighbours of an item, the more the better and the dearer.
    l2: as in `EASE`, and as worth tuning.
    shrinkage: of the cosine, as in `ItemKNN`.
    weight: a numeric edge column as the values of X; "confidence" weighs generated edges by what
        they say, at fit and in the history that is scored.

    The history is read from the graph that is scored on, so a new user with history is served. NaN
    for a source without history among the fitted items, and for an item that nobody had at fit
    time. Memory O(items x k + links); time O(items x k^3), and the links of each item's neighbours.
    """

    k: int = 100
    l2: float = 100.0
    shrinkage: float = 20.0
    weight: str | None = None

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        if not self.l2 > 0:
            raise ParameterError(
                "SLIM: l2 is above 0 (the matrices may not be invertible without it); got "
                f"{self.l2}"
            )
        x = interactions(hin, self.relation, self.weight)
        xt = x.T.tocsr()
        count = xt.sum(axis=1)
        similar = ItemKNN(self.relation, self.k, self.shrinkage, self.weight).fit(hin).similarity_
        self.known_ = count > 0
        items = np.flatnonzero(self.known_)
        near = neighbours(similar.T.tocsr(), count, self.k)[items]
        size = max(1, BLOCK_NUMBERS // max(1, near.shape[1] ** 2))
        weights = np.zeros(near.shape, np.float32)
        with threadpool_limits(1, "blas"):
            for at in range(0, len(items), size):
                block = slice(at, at + size)
                weights[block] = ridge(xt, items[block], near[block], self.l2)
        to = np.repeat(items, near.shape[1])
        self.weights_ = sp.csr_array((weights.ravel(), (near.ravel(), to)), shape=similar.shape)

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        history = self._history(hin, src, self.weight)
        scores = (history @ self.weights_).toarray()
        scores[:, ~self.known_] = np.nan
        scores[np.diff(history.indptr) == 0] = np.nan
        return self._columns(hin, scores)


def neighbours(similar: sp.csr_array, count: np.ndarray, k: int) -> np.ndarray:
    """k other items for each item [n, min(k, n - 1)]: those of its row of `similar`, then the most
    popular ones.
    """
    n = len(count)
    k = max(0, min(k, n - 1))
    popular = np.argsort(-count, kind="stable")[
        : 2 * k + 1
    ]  # enough: at most k are similar, and one is the item itself
    listed = np.full((n, k + len(popular)), -1, np.int64)
    listed[:, k:] = popular
    row = np.repeat(np.arange(n), np.diff(similar.indptr))
    place = np.arange(similar.nnz) - similar.indptr[row]
    listed[row, place] = similar.indices
    order = np.argsort(listed, axis=1, kind="stable")
    ordered = np.take_along_axis(listed, order, axis=1)
    first = np.ones(listed.shape, bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    good = np.zeros(listed.shape, bool)
    np.put_along_axis(good, order, first, axis=1)
    good &= (listed >= 0) & (listed != np.arange(n)[:, None])
    good &= np.cumsum(good, axis=1) <= k
    return listed[good].reshape(n, k)


def ridge(xt: sp.csr_array, items: np.ndarray, near: np.ndarray, l2: float) -> np.ndarray:
    """Weights [len(items), k] of each item's neighbours. One sparse product gives all Gram matrices
    of a block: the links of the item and its neighbours are given sources of their own, so that
    items of the block never meet.
    """
    n, k = near.shape
    rows = xt[np.concatenate([items[:, None], near], axis=1).ravel()]
    owner = np.repeat(np.repeat(np.arange(n), k + 1), np.diff(rows.indptr))
    apart = sp.csr_array(
        (rows.data, owner * xt.shape[1] + rows.indices, rows.indptr),
        shape=(n * (k + 1), n * xt.shape[1]),
    )
    met = (apart @ apart.T).tocoo()
    at, to = met.coords
    gram = np.zeros((n, k + 1, k + 1), np.float32)
    gram[at // (k + 1), at % (k + 1), to % (k + 1)] = met.data
    inner = gram[:, 1:, 1:]
    inner[:, np.arange(k), np.arange(k)] += np.float32(l2)
    return np.linalg.solve(inner, gram[:, 1:, :1])[:, :, 0]
