"""SLIM: item-item weights among few neighbours, in closed form; EASE for large catalogues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from hinaug.errors import ParameterError
from hinaug.features.similarity import most_similar
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions, linked_targets
from hinaug.predictors.base import FoldsIn
from hinaug.predictors.ease import ridge_of

BLOCK_NUMBERS = 2**21  # numbers in a block of Gram matrices


@dataclass(eq=False)
class SLIM(FoldsIn):
    """Scores an item by weights of the items in a history, learned among few neighbours.

    The neighbours N(j) of an item are chosen first, then its weights minimise

        |x_j - X_N b_j|^2 + l2 |b_j|^2

    with X the links [sources, items] and x_j the column of item j:

        b_j = (X_N^T X_N + l2 I)^-1 X_N^T x_j
        score(u, j) = sum of b_ij over history(u)

    N(j) holds the k items of the largest cosine with j; where fewer have met j, the most popular
    others fill it up. With all items as neighbours this is exactly `EASE`. (Ning and Karypis,
    "SLIM: Sparse Linear Methods for Top-N Recommender Systems", ICDM 2011, with a ridge in place of
    the lasso.)

    Parameters
    ----------
    relation
        The edge type whose links are scored.
    k
        Neighbours of an item: the more, the better and the slower.
    l2
        The ridge, as in `EASE`, with the same default and as worth tuning.
    shrinkage
        Of the cosine, as in `ItemKNN`.
    weight
        A numeric edge column as the values of X; "confidence" weighs generated edges by what they
        say, at fit and in the history that is scored.

    Learned: `weights_`, CSR [items, items], column j the weights b_j; `known_`, bool [items];
    `l2_`, the ridge that was taken.

    The history is read from the graph that is scored on, so a new user with history is served. NaN
    for a source without history among the fitted items, and for an item that nobody had at fit
    time.

    Raises ParameterError for l2 of 0 or less, k below 1, a negative shrinkage or weights that are
    not finite. Memory O(items x k + links); time O(items x k^3), and the links of each item's
    neighbours.

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> hin = planted(rng=0)
    >>> model = SLIM(("user", "rates", "item"), k=20, l2=20.0).fit(hin)
    >>> model.score(hin, [0, 1]).shape
    (2, 120)
    >>> model.fold_in([["i0", "i5"]]).shape
    (1, 120)
    """

    NO_FOLD_IN_ITEMS: ClassVar[str] = (
        "a new target also becomes a neighbour of fitted ones, whose weights must then be solved "
        "again from all links"
    )

    STOCHASTIC = False
    k: int = 100
    l2: float | None = None
    shrinkage: float = 20.0
    weight: str | None = None

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        self._check()
        links = interactions(hin, self.relation, self.weight)
        self.l2_ = ridge_of(self, links)
        by_item, n = links.T.tocsr(), links.shape[1]
        similar = most_similar(by_item, by_item, self.k, self.shrinkage, np.arange(n))
        self.known_ = linked_targets(links)
        items = np.flatnonzero(self.known_)
        near = neighbours(similar, by_item.sum(axis=1), self.k)[items]
        size = max(1, BLOCK_NUMBERS // max(1, near.shape[1] ** 2))
        weights = np.zeros(near.shape, np.float32)
        with threadpool_limits(1, "blas"):
            for at in range(0, len(items), size):
                block = slice(at, at + size)
                weights[block] = ridge(by_item, items[block], near[block], self.l2_)
        to = np.repeat(items, near.shape[1])
        self.weights_ = sp.csr_array((weights.ravel(), (near.ravel(), to)), shape=(n, n))

    def _check(self) -> None:
        if self.k < 1 or self.shrinkage < 0:
            raise ParameterError(
                f"SLIM: k is at least 1 and shrinkage at least 0; got k={self.k}, "
                f"shrinkage={self.shrinkage}"
            )

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        return self._columns(hin, self._from(self._history(hin, src, self.weight)))

    def _fold_in(self, history: sp.csr_array, attributes: pa.Table | None) -> np.ndarray:
        return self._from(history)

    def _from(self, history: sp.csr_array) -> np.ndarray:
        scores = (history @ self.weights_).toarray()
        scores[:, ~self.known_] = np.nan
        scores[np.diff(history.indptr) == 0] = np.nan
        return scores


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
