"""Popularity: the same list for everybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.checks import Space
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions
from hinaug.predictors.base import FoldsIn, FoldsInItems


@dataclass(eq=False)
class Popularity(FoldsIn, FoldsInItems):
    """Scores a target by how many sources are linked with it: what a personal method must beat.

        score(u, i) = number of sources that are linked with i

    On sparse data this is hard to beat. A gain that popularity has too is not personal.

    Parameters
    ----------
    relation
        The edge type whose links are scored.
    weight
        A numeric edge column to sum instead of counting; "confidence" counts a generated edge by
        what it says and an observed one as 1. None: every linked pair counts 1.

    Learned: `counts_`, float32 [targets].

    NaN for a target never seen. Every source gets scores, also one without history or never seen.
    A new target (`fold_in_items`) counts its links with the fitted sources.

    Raises ParameterError for weights that are not finite. Time O(links), memory O(targets).

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> hin = planted(rng=0)
    >>> model = Popularity(("user", "rates", "item")).fit(hin)
    >>> scores = model.score(hin, [0, 1])
    >>> scores.shape, bool((scores[0] == scores[1]).all())
    ((2, 120), True)
    >>> bool((model.fold_in([["i0"]]) == scores[:1]).all())
    True
    """

    STOCHASTIC = False
    SPACE: ClassVar[Space] = {}
    weight: str | None = None

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        self.counts_ = _totals(interactions(hin, self.relation, self.weight))

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        return np.repeat(self._columns(hin, self.counts_[None, :]), len(src), axis=0)

    def _fold_in(self, history: sp.csr_array, attributes: pa.Table | None) -> np.ndarray:
        return np.repeat(self.counts_[None, :], history.shape[0], axis=0)

    def _fold_in_items(self, hin: HIN, new: np.ndarray) -> None:
        _, links = self._fitted_links(hin, new, self.weight)
        self.counts_ = np.append(self.counts_, _totals(links))


def _totals(links: sp.csr_array) -> np.ndarray:
    """The sum of weights of each target, float32."""
    return np.bincount(links.indices, links.data, minlength=links.shape[1]).astype(np.float32)
