"""ByHistory: another member for users with few links, such as popularity."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import pyarrow as pa

from hinaug.checks import Interval, Limits
from hinaug.ensembles.base import Ensemble
from hinaug.graph.hin import HIN
from hinaug.training.validation import Validation

BANDS = (0, 3, 5, 20)  # upper ends of the bands of links: 0, 1-3, 4-5, 6-20, 21 and more


@dataclass(eq=False)
class ByHistory(Ensemble):
    """Each source is served by one member: the one that ranks sources with as many links best.

    With b(u) the band of the observed links of source u (0, 1-3, 4-5, 6-20, 21 and more) and g_m
    the gains in NDCG@20 of member m over the first member on held-out pairs of a band,

        member(band) = the m with the highest mean g_m, if that mean is at least its standard error
                       and `fewest` sources of the band are judged; else the first member
        score(u, .) = score of member(b(u)) for u

    So no band is served worse than by the first member, as far as held-out pairs tell. Let
    `Popularity` be the first: it serves everybody, and users of a few links are often served best
    by it. Where the chosen member scores nothing for a source, the first one does.

    Parameters
    ----------
    predictors
        Unfitted members over one relation; the first is the fallback.
    fewest
        Judged sources of a band, below which the first member serves it.

    Learned: `chosen_`, the number of the member for each band; `judged_`, how many sources of each
    band were judged.

    Raises ParameterError for fewest below 2, and without held-out pairs to learn from.

    Example
    -------
    >>> from hinaug import random_split
    >>> from hinaug.datasets import planted
    >>> from hinaug.predictors import EASE, Popularity
    >>> rates = ("user", "rates", "item")
    >>> split = random_split(planted(rng=0), rates, evidence=["review"], rng=0)
    >>> model = ByHistory([Popularity(rates), EASE(rates)])
    >>> model.fit(split.train, valid=split.valid, rng=0).chosen_.tolist()
    [0, 0, 0, 1, 0]
    """

    STOCHASTIC = False
    LIMITS: ClassVar[Limits] = {"fewest": Interval(least=2)}
    fewest: int = 20

    def _learn(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        assert valid is not None
        measure = Validation(hin, self.relation, valid)
        band = _bands(hin, self, measure.users)
        figures = np.stack(
            [measure.of_users(partial(member.score, hin)) for member in self.predictors_]
        )
        self.judged_ = np.bincount(band, minlength=len(BANDS) + 1)
        self.chosen_ = np.zeros(len(BANDS) + 1, np.int64)
        for b in np.flatnonzero(self.judged_ >= self.fewest):
            gains = figures[:, band == b] - figures[0, band == b]
            best = int(gains.mean(axis=1).argmax())
            error = gains[best].std(ddof=1) / np.sqrt(gains.shape[1])
            self.chosen_[b] = best if gains[best].mean() >= error else 0

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        out = np.empty((len(src), hin.n(self.relation[2])), np.float32)
        serving = self.chosen_[_bands(hin, self, src)]
        for m in np.unique(serving):
            rows = np.flatnonzero(serving == m)
            out[rows] = self.predictors_[m].score(hin, src[rows])
        silent = np.flatnonzero(np.isnan(out).all(axis=1) & (serving > 0))
        if len(silent):
            out[silent] = self.predictors_[0].score(hin, src[silent])
        return out


def _bands(hin: HIN, model: ByHistory, src: np.ndarray) -> np.ndarray:
    """The band of each source by its observed links, int64; 0 for a generated one."""
    links = hin.observed().adjacency(model.relation)
    degree = np.zeros(hin.n(model.relation[0]), np.int64)
    degree[: links.shape[0]] = np.diff(links.indptr)
    return np.searchsorted(BANDS, degree[src])
