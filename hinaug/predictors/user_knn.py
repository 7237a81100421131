"""UserKNN: neighbours among sources, from the links alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.checks import COUNT, NOT_NEGATIVE, Limits, Space
from hinaug.features.similarity import most_similar
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions, linked_targets
from hinaug.predictors.base import FoldsIn, FoldsInItems


@dataclass(eq=False)
class UserKNN(FoldsIn, FoldsInItems):
    """Scores an item by the similarity of the users who have it.

    With x_u the row of links of source u and N_k(u) the k fitted sources most similar to u, other
    than u,

        s(u, v) = <x_u, x_v> / (|x_u| |x_v| + shrinkage)
        score(u, j) = sum of s(u, v) x_vj over v in N_k(u)

    Equal similarities are ordered by position (Herlocker et al., "An Algorithmic Framework for
    Performing Collaborative Filtering", SIGIR 1999, on links instead of ratings).

    Parameters
    ----------
    relation
        The edge type whose links are scored.
    k
        Neighbours of a source. More are steadier and closer to popularity: the sparser the data,
        the more.
    shrinkage
        Pulls down similarities that rest on few common targets, in units of common targets.
    weight
        A numeric edge column as the values of x; "confidence" weighs generated edges by what they
        say, at fit and in the history that is scored.

    Learned: `links_`, the links of the fitted sources, CSR [sources, items]. **A saved model holds
    every link it was fitted on**: the neighbours' links are the method.

    The history is read from the graph that is scored on, so a new user with history is served. A
    new item (`fold_in_items`) brings its links with the fitted users: the same as a refit while
    their other links stay. NaN for a source without neighbours, and for an item without links at
    fit time.

    Raises ParameterError for k below 1, a negative shrinkage or weights that are not finite.
    Scoring takes, for a source, the sum of the degrees of its targets, in blocks.

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> hin = planted(rng=0)
    >>> model = UserKNN(("user", "rates", "item"), k=20).fit(hin)
    >>> model.score(hin, [0, 1]).shape
    (2, 120)
    >>> model.fold_in([["i0", "i5"]]).shape
    (1, 120)
    """

    HOLDS_DATA: ClassVar[str | None] = "the links of the nearest users are what it scores by"

    STOCHASTIC = False
    LIMITS: ClassVar[Limits] = {"k": COUNT, "shrinkage": NOT_NEGATIVE}
    SPACE: ClassVar[Space] = {"k": (10, 500, "log"), "shrinkage": (0.1, 500.0, "log")}
    k: int = 100
    shrinkage: float = 10.0
    weight: str | None = None

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        self.links_ = interactions(hin, self.relation, self.weight).copy()

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        history = self._history(hin, src, self.weight)
        return self._columns(hin, self._from(history, self._rows(hin, src)))

    def _fold_in(self, history: sp.csr_array, attributes: pa.Table | None) -> np.ndarray:
        return self._from(history, np.full(history.shape[0], -1))

    def _from(self, history: sp.csr_array, own: np.ndarray) -> np.ndarray:
        near = most_similar(history, self.links_, self.k, self.shrinkage, own)
        scores = (near @ self.links_).toarray()
        scores[:, ~linked_targets(self.links_)] = np.nan
        scores[np.diff(near.indptr) == 0] = np.nan
        return scores

    def _fold_in_items(self, hin: HIN, new: np.ndarray) -> None:
        _, links = self._fitted_links(hin, new, self.weight)
        self.links_ = sp.csr_array(sp.hstack([self.links_, links]))
