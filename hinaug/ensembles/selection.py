"""EnsembleSelection: forward selection of members with replacement, bagged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from hinaug.checks import COUNT, Limits
from hinaug.ensembles.base import Candidates
from hinaug.ensembles.linear import Linear, Measure, gain_of


@dataclass(eq=False)
class EnsembleSelection(Linear):
    """Ensemble selection (Caruana et al., "Ensemble Selection from Libraries of Models", ICML
    2004).

    A bag of members starts with the best single one. Each round adds the member, again or anew,
    with which the mean of the bag's z-scores ranks held-out pairs best (NDCG@k; of equals, the
    first). All rounds are played, since a step may lose what the next one wins; the bag that is
    kept is the last one that beat what was kept before it by `margin` standard errors of the gain
    over users. This is done `bags` times, each for users drawn anew with replacement, and the
    weights are the mean shares of the members in the bags that were kept: what suits one sample of
    the users alone averages out. (In the paper each bag draws among the models.)

    predictors: unfitted members over one relation; there may be many, the time grows with bags x
        rounds x members.
    k: the cut-off of the measure.
    n_candidates: items kept for each user and member while the bag is chosen; bounds memory at
        4 x users x members x (members x n_candidates) bytes.
    max_users: users that the bag is chosen by at most, drawn at random.
    margin: see above; 0 takes every gain, as in the paper.
    rounds: members in a bag at most.
    bags: samples of the users, drawn with `rng`; 1 takes all users as they are, once.

    fit(train, valid=...) fits the members on train alone; refit(train_valid) refits the members and
    keeps the weights. NaN where no member with weight can tell; see `Linear` for users without
    any score.
    """

    LIMITS: ClassVar[Limits] = {"rounds": COUNT, "bags": COUNT}
    rounds: int = 30
    bags: int = 15

    def _search(self, found: Candidates, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        measure, n = Measure(found, self.k), len(found.users)

        @cache  # bags often go the same way
        def value(counts: tuple[int, ...]) -> np.ndarray:
            return measure(np.array(counts) / sum(counts))

        samples = (
            [np.arange(n)] if self.bags == 1 else [rng.integers(0, n, n) for _ in range(self.bags)]
        )
        weights = np.mean([self._bag(value, len(found.z), users) for users in samples], axis=0)
        alone = [measure(w).mean() for w in np.eye(len(found.z))]
        return weights, np.r_[alone, measure(weights).mean()]

    def _bag(
        self, value: Callable[[tuple[int, ...]], np.ndarray], members: int, users: np.ndarray
    ) -> np.ndarray:
        """Shares [members] of the bag that serves these users best."""

        def with_one_more(counts: tuple[int, ...]) -> list[tuple[int, ...]]:
            return [(*counts[:m], counts[m] + 1, *counts[m + 1 :]) for m in range(members)]

        def best(tried: list[tuple[int, ...]]) -> tuple[int, ...]:
            return max(tried, key=lambda counts: value(counts)[users].mean())

        kept = counts = best(with_one_more((0,) * members))
        for _ in range(1, self.rounds):
            counts = best(with_one_more(counts))
            if gain_of(value(counts)[users], value(kept)[users], self.margin) > 0:
                kept = counts
        return np.array(kept) / sum(kept)
