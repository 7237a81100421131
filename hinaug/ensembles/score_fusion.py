"""ScoreFusion: the mean of the members' z-scores, with weights that are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from hinaug.ensembles.base import Ensemble
from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN


@dataclass(eq=False)
class ScoreFusion(Ensemble):
    """The weighted mean of the members' z-scores. Nothing is learned from held-out pairs.

        score(u, i) = sum_m w_m z_m(u, i) / sum of w_m over the members that can tell

    where z_m(u, .) is member m's score less its mean over its standard deviation, over the items
    that u may be recommended. (CombSUM: Fox and Shaw, "Combination of Multiple Searches", TREC-2
    1994.) For items without links, `KernelRidge` and `FeatureProjection` with equal weights rank
    better than each of them: one says what is like the history, the other which features matter.

    Parameters
    ----------
    predictors
        Unfitted members over one relation. A bad one does harm: where there are held-out pairs to
        learn from, `Weighted` finds the weights.
    weights
        One for each member, at least 0, not all 0; None weighs all alike.

    Raises ParameterError for other weights.

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> from hinaug.predictors import KernelRidge, NearestNeighbors
    >>> hin, rates = planted(n_users=40, n_items=30, rng=0), ("user", "rates", "item")
    >>> model = ScoreFusion([KernelRidge(rates), NearestNeighbors(rates)]).fit(hin)
    >>> model.score(hin, [0, 1]).shape
    (2, 30)
    """

    STOCHASTIC = False
    supervised: ClassVar[bool] = False
    weights: Sequence[float] | None = None

    def _learn(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        weights = self._weights()
        if len(weights) != len(self.predictors) or not (weights.min() >= 0 < weights.max()):
            raise ParameterError(
                f"ScoreFusion: weights={self.weights!r}; one for each of the "
                f"{len(self.predictors)} members, at least 0 and not all 0",
                asked=self.weights,
                there=len(self.predictors),
            )

    def _weights(self) -> np.ndarray:
        given = np.ones(len(self.predictors)) if self.weights is None else self.weights
        return np.asarray(given, np.float32)

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        out = np.empty((len(src), hin.n(self.relation[2])), np.float32)
        weights = self._weights()[:, None, None]
        for rows in self._blocks(hin, len(src)):
            z = self._z(hin, src[rows], self._pool(hin, src[rows]))
            told = np.where(np.isnan(z), np.float32(0), weights)
            total = told.sum(axis=0)
            mean = (np.nan_to_num(z) * told).sum(axis=0) / np.where(total > 0, total, 1)
            out[rows] = np.where(total > 0, mean, np.float32(np.nan))
        return out
