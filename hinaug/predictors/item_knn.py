"""ItemKNN: neighbours among items, from the links alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions
from hinaug.predictors.base import LinkPredictor

BLOCK_PRODUCTS = (
    2**23
)  # multiplications of a block of similarities: bounds its memory at some hundred MB


@dataclass(eq=False)
class ItemKNN(LinkPredictor):
    """Item-based nearest neighbours (Deshpande and Karypis, "Item-based top-N recommendation
    algorithms", TOIS 2004).

    With x_i the column of links of item i,

        s(i, j) = <x_i, x_j> / (|x_i| |x_j| + shrinkage),       score(u, j) = sum of s(i, j) over i
        in history(u) and N_k(j)

    where N_k(j) holds the k items most similar to j. Equal similarities are ordered by position.

    relation: the edge type whose links are scored.
    k: neighbours kept an item. More neighbours are steadier, fewer are sharper; past some hundred
        little changes.
    shrinkage: pulls down similarities that rest on few common sources; in units of common sources.
        20 where items have dozens of links; some hundred where they have a few.
    weight: a numeric edge column as the values of x; "confidence" weighs generated edges by what
        they say, at fit and in the history that is scored.

    The history is read from the graph that is scored on, so a new user with history is served. NaN
    for a source without history among the fitted items, and for an item that nobody had at fit
    time. Time O(sum over users of degree^2), in blocks; memory O(items x k); nothing dense is
    built.
    """

    k: int = 100
    shrinkage: float = 20.0
    weight: str | None = None

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        if self.k < 1 or self.shrinkage < 0:
            raise ParameterError(
                f"ItemKNN: k is at least 1 and shrinkage at least 0; got k={self.k}, "
                f"shrinkage={self.shrinkage}"
            )
        x = interactions(hin, self.relation, self.weight)
        xt = x.T.tocsr()
        norm = np.sqrt(xt.multiply(xt).sum(axis=1)).astype(np.float32)
        blocks = [self._neighbours(xt, x, norm, start, stop) for start, stop in _blocks(x, xt)]
        # row i: the items j that have i among their neighbours
        self.similarity_ = (
            sp.csr_array(sp.vstack(blocks).T) if blocks else sp.csr_array((0, 0), dtype=np.float32)
        )
        self.known_ = norm > 0

    def _neighbours(
        self, xt: sp.csr_array, x: sp.csr_array, norm: np.ndarray, start: int, stop: int
    ) -> sp.csr_array:
        """Rows `start` to `stop` of the similarity matrix, cut to the k best of each."""
        common = (xt[start:stop] @ x).tocsr()
        row = np.repeat(np.arange(stop - start), np.diff(common.indptr))
        scale = norm[start + row] * norm[common.indices] + np.float32(self.shrinkage)
        keep = (common.indices != start + row) & (common.data > 0)
        row, col, value = row[keep], common.indices[keep], common.data[keep] / scale[keep]
        order = np.lexsort((col, -value, row))
        row, col, value = row[order], col[order], value[order]
        best = np.arange(len(row)) - np.searchsorted(row, row) < self.k
        return sp.csr_array((value[best], (row[best], col[best])), shape=common.shape)

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        history = self._history(hin, src, self.weight)
        scores = (history @ self.similarity_).toarray()
        scores[:, ~self.known_] = np.nan
        scores[np.diff(history.indptr) == 0] = np.nan
        return self._columns(hin, scores)


def _blocks(x: sp.csr_array, xt: sp.csr_array) -> Iterator[tuple[int, int]]:
    """Stretches of items whose rows of x^T x take about BLOCK_PRODUCTS multiplications each."""
    cost = np.cumsum(xt.astype(bool).astype(np.int64) @ np.diff(x.indptr).astype(np.int64))
    start = 0
    while start < len(cost):
        done = cost[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(cost, done + BLOCK_PRODUCTS, side="right")))
        yield start, stop
        start = stop
