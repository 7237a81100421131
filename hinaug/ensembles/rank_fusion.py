"""RankFusion: members vote by rank, and nothing is learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from hinaug.checks import NOT_NEGATIVE, Limits
from hinaug.ensembles.base import TIED, Ensemble, z_scores
from hinaug.graph.hin import HIN

METHODS = ("rrf", "borda")


@dataclass(eq=False)
class RankFusion(Ensemble):
    """The mean vote of the members that can tell. Nothing is learned from held-out pairs.

    A member that ranks item i as r-th of n for user u votes

        "rrf":    1 / (constant + r)        reciprocal rank fusion (Cormack et al., SIGIR 2009)
        "borda":  (n - r) / (n - 1)         the share of the other items that i beats (Borda, 1781)

    Ranks are among what u may be recommended; equal scores share their mean rank. A member abstains
    where its score is NaN.

    predictors: unfitted members over one relation. Every one has the same say, so a bad one does
        harm: where there are held-out pairs, learn weights instead.
    method: "rrf" looks at the tops of the lists, "borda" at all ranks alike.
    constant: of "rrf"; the smaller, the more the first ranks count. 60 as in the paper.

    Time O(members x items log items) a user.
    """

    STOCHASTIC = False
    supervised: ClassVar[bool] = False
    LIMITS: ClassVar[Limits] = {"method": METHODS, "constant": NOT_NEGATIVE}
    method: str = "rrf"
    constant: float = 60.0

    def _learn(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        """Nothing is learned: every member has the same say."""

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        out = np.empty((len(src), hin.n(self.relation[2])), np.float32)
        for rows in self._blocks(hin, len(src)):
            pool = self._pool(hin, src[rows])
            total, voters = np.zeros(pool.shape), np.zeros(pool.shape, np.int32)
            for member in self.predictors_:
                z = z_scores(member.score(hin, src[rows]), pool)
                rank, n = ranks(z, pool)
                votes = (
                    1 / (self.constant + rank)
                    if self.method == "rrf"
                    else (n - rank) / np.maximum(n - 1, 1)
                )
                can_tell = ~np.isnan(z)
                total += np.where(can_tell, votes, 0)
                voters += can_tell
            out[rows] = np.where(voters > 0, total / np.maximum(voters, 1), np.nan)
        return out


def ranks(z: np.ndarray, pool: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranks from 1 [rows, n] among the items of `pool` that can be told, and their number [rows,
    1].

    Equal scores share the mean of their ranks. Items outside of the pool get the rank that they
    would have in it.
    """
    rank, n = np.empty(z.shape), np.empty((len(z), 1), np.int64)
    for row, (values, inside) in enumerate(zip(z, pool, strict=True)):  # a row stays in the cache
        order = np.argsort(-values)  # NaN last
        ordered = values[order]
        above = np.concatenate([[0], np.cumsum(inside[order] & ~np.isnan(ordered))])
        new = ~(ordered[:-1] - ordered[1:] <= TIED)  # or NaN
        bounds = np.concatenate([[0], np.flatnonzero(new) + 1, [len(values)]])
        before, upto = above[bounds[:-1]], above[bounds[1:]]
        rank[row, order] = np.repeat(
            before + (np.maximum(upto - before, 1) + 1) / 2, np.diff(bounds)
        )
        n[row] = above[-1]
    return rank, n
