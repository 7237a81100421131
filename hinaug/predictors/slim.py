"""SLIM: item-item weights among few neighbours, in closed form; EASE for large catalogues."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from hinaug.checks import COUNT, NOT_NEGATIVE, POSITIVE, Limits, Space
from hinaug.features.similarity import most_similar
from hinaug.graph import spill
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions, linked_targets
from hinaug.predictors.base import FoldsIn
from hinaug.predictors.ease import ridge_of
from hinaug.training.distributed import Ranks

BLOCK_NUMBERS = 2**24  # numbers in a Gram matrix, or in a block of them
ROWS = 4096  # items whose neighbours are listed at once


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

    Several processes can fit it together (see `training`): each solves a share of the items. Their
    number does not change a byte.

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
    ON_RANKS = True
    LIMITS: ClassVar[Limits] = {"k": COUNT, "l2": POSITIVE, "shrinkage": NOT_NEGATIVE}
    SPACE: ClassVar[Space] = {"l2": (1.0, 5000.0, "log"), "k": (20, 200, "log")}
    k: int = 100
    l2: float | None = None
    shrinkage: float = 20.0
    weight: str | None = None

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        links = interactions(hin, self.relation, self.weight)
        self.l2_ = ridge_of(self, links)
        by_item, n = links.T.tocsr(), links.shape[1]
        self.known_ = linked_targets(links)
        items = np.flatnonzero(self.known_)
        ranks = self._run.ranks or Ranks()
        near = np.zeros((len(items), max(0, min(self.k, n - 1))), np.int32)
        weights = np.zeros(near.shape, np.float32)
        own, count = ranks.share(len(items)), by_item.sum(axis=1)
        similar = most_similar(by_item[items[own]], by_item, self.k, self.shrinkage, items[own])
        for rows in spill.blocks(len(near[own]), ROWS):
            near[own][rows] = neighbours(similar[rows], count, self.k, items[own][rows])
        order = own.start + np.argsort(near[own].min(axis=1, initial=n), kind="stable")
        with threadpool_limits(1, "blas"):
            for block in blocks(items, near, order):
                weights[block] = ridge(by_item, items[block], near[block], self.l2_)
        ranks.rows_together(near)
        ranks.rows_together(weights)
        ends = np.append(0, np.cumsum(self.known_ * near.shape[1]))
        ends = ends.astype(sp.get_index_dtype(maxval=ends[-1]))
        self.weights_ = sp.csc_array((weights.ravel(), near.ravel(), ends), shape=(n, n)).tocsr()

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        return self._columns(hin, self._from(self._history(hin, src, self.weight)))

    def _fold_in(self, history: sp.csr_array, attributes: pa.Table | None) -> np.ndarray:
        return self._from(history)

    def _from(self, history: sp.csr_array) -> np.ndarray:
        scores = (history @ self.weights_).toarray()
        scores[:, ~self.known_] = np.nan
        scores[np.diff(history.indptr) == 0] = np.nan
        return scores


@dataclass(eq=False)
class LocalEASE(SLIM):
    """`SLIM` with more neighbours: EASE of each item alone, among the k items most similar to it.

    With all items as neighbours this is exactly `EASE`; with some hundred it ranks nearly as well
    and needs no matrix items x items, so it serves catalogues where the inverse of `EASE` does not
    fit.

    Parameters
    ----------
    relation, k, l2, shrinkage, weight
        As in `SLIM`.

    Learned, NaN and errors as in `SLIM`. Memory O(items x k + links).

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> hin = planted(rng=0)
    >>> LocalEASE(("user", "rates", "item"), k=30).fit(hin).score(hin, [0]).shape
    (1, 120)
    """

    k: int = 200


def neighbours(similar: sp.csr_array, count: np.ndarray, k: int, items: np.ndarray) -> np.ndarray:
    """k other items for each of `items` [n, min(k, n_items - 1)]: those of its row of `similar`
    [n, n_items], then the most popular ones.
    """
    n = len(items)
    k = max(0, min(k, len(count) - 1))
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
    good &= (listed >= 0) & (listed != items[:, None])
    good &= np.cumsum(good, axis=1) <= k
    return listed[good].reshape(n, k)


def blocks(items: np.ndarray, near: np.ndarray, order: np.ndarray) -> Iterator[np.ndarray]:
    """The rows of `order`, halved until the items of a block and their neighbours have a Gram
    matrix of at most BLOCK_NUMBERS. Rows with neighbours in common should stand side by side.
    """
    used = np.unique(np.append(items[order], near[order]))
    if len(order) > 1 and len(used) ** 2 > BLOCK_NUMBERS:
        half = len(order) // 2
        yield from blocks(items, near, order[:half])
        yield from blocks(items, near, order[half:])
    elif len(order):
        yield order


def ridge(xt: sp.csr_array, items: np.ndarray, near: np.ndarray, l2: float) -> np.ndarray:
    """Weights [len(items), k] of each item's neighbours. One sparse product gives the Gram matrix
    of all of them, from which that of each item is read.
    """
    n, k = near.shape
    used, at = np.unique(np.column_stack([items, near]), return_inverse=True)
    rows = xt[used]
    met = (rows @ rows.T).toarray()
    weights = np.empty((n, k), np.float32)
    size = max(1, BLOCK_NUMBERS // (k + 1) ** 2)
    for part in (slice(start, start + size) for start in range(0, n, size)):
        gram = met[at[part, :, None], at[part, None, :]]
        inner = gram[:, 1:, 1:]
        inner[:, np.arange(k), np.arange(k)] += np.float32(l2)
        weights[part] = np.linalg.solve(inner, gram[:, 1:, :1])[:, :, 0]
    return weights
