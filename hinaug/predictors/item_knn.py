"""ItemKNN: neighbours among items, from the links alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.checks import COUNT, NOT_NEGATIVE, Limits, Space
from hinaug.features.similarity import best_of_rows, lengths, most_similar, shrunken
from hinaug.graph.hin import HIN
from hinaug.predictors.base import FoldsIn, FoldsInItems
from hinaug.predictors.noise import noise_edge


@dataclass(eq=False)
class ItemKNN(FoldsIn, FoldsInItems):
    """Scores an item by its similarity to the items of a history.

    With x_i the column of links of item i and N_k(j) the k items most similar to j,

        s(i, j) = <x_i, x_j> / (|x_i| |x_j| + shrinkage)
        score(u, j) = sum of s(i, j) over i in history(u) and N_k(j)

    Equal similarities are ordered by position (Deshpande and Karypis, "Item-based top-N
    recommendation algorithms", TOIS 2004).

    Parameters
    ----------
    relation
        The edge type whose links are scored.
    k
        Neighbours kept an item. More are steadier, fewer are sharper; past some hundred little
        changes.
    shrinkage
        Pulls down similarities that rest on few common sources, in units of common sources. None
        takes 150 (1 / sqrt(n_s) + 1 / sqrt(n_t))^2, with n_s and n_t the mean links of a source
        and of an item: proportional to the share of the similarities that noise explains (see
        `noise.py`). 150 was set on validation pairs of five data sets.
    weight
        A numeric edge column as the values of x; "confidence" weighs generated edges by what they
        say, at fit and in the history that is scored.
    generated
        Where edges of deltas count: "loss", in what is learned from; "graph", in the history that
        is scored; or "both".

    Learned: `similarity_`, CSR [items, items], row i the items that have i among their neighbours;
    `lengths_`, |x_i| [items]; `shrinkage_`, the value taken.

    The history is read from the graph that is scored on, so a new user with history is served. A
    new item (`fold_in_items`) gets neighbours and becomes one: the same as a refit with the same
    shrinkage while the fitted users' other links stay. NaN for a source without history among the
    fitted items, and for an item without links at fit time.

    Raises ParameterError for k below 1, a negative shrinkage or weights that are not finite. Time
    O(sum over users of degree^2), in blocks; memory O(items x k).

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> hin = planted(rng=0)
    >>> model = ItemKNN(("user", "rates", "item"), k=20).fit(hin)
    >>> model.score(hin, [0, 1]).shape
    (2, 120)
    >>> model.fold_in([["i0", "i5"]]).shape
    (1, 120)
    """

    STOCHASTIC = False
    LIMITS: ClassVar[Limits] = {"k": COUNT, "shrinkage": NOT_NEGATIVE}
    SPACE: ClassVar[Space] = {"k": (10, 500, "log"), "shrinkage": (0.1, 500.0, "log")}
    k: int = 100
    shrinkage: float | None = None
    weight: str | None = None
    generated: str = "both"

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        links = self._counted_links(hin, self.weight)
        by_item = links.T.tocsr()
        by_noise = 150 * noise_edge(links) ** 2
        self.shrinkage_ = by_noise if self.shrinkage is None else float(self.shrinkage)
        near = most_similar(by_item, by_item, self.k, self.shrinkage_, np.arange(by_item.shape[0]))
        self.similarity_ = sp.csr_array(near.T)
        self.lengths_ = lengths(by_item)

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        return self._columns(hin, self._from(self._history(hin, src, self.weight)))

    def _fold_in(self, history: sp.csr_array, attributes: pa.Table | None) -> np.ndarray:
        return self._from(history)

    def _from(self, history: sp.csr_array) -> np.ndarray:
        scores = (history @ self.similarity_).toarray()
        scores[:, self.lengths_ == 0] = np.nan
        scores[np.diff(history.indptr) == 0] = np.nan
        return scores

    def _fold_in_items(self, hin: HIN, new: np.ndarray) -> None:
        """The k kept neighbours of each fitted item and the new ones are all that can be its best,
        since its similarities to the fitted items stay.
        """
        history, links = self._fitted_links(hin, new, self.weight)
        size = lengths(links.T.tocsr())
        common = (links.T @ sp.hstack([history, links])).tocsr()
        similar = shrunken(common, size, np.append(self.lengths_, size), self.shrinkage_)
        n, row = len(self.lengths_), np.repeat(np.arange(len(new)), np.diff(similar.indptr))
        similar.data[similar.indices == n + row] = 0  # an item is no neighbour of itself
        old = sp.hstack([self.similarity_.T, similar[:, :n].T])
        near = best_of_rows(sp.csr_array(sp.vstack([old, similar])), self.k)
        self.similarity_ = sp.csr_array(near.T)
        self.lengths_ = np.append(self.lengths_, size)
