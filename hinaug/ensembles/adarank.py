"""AdaRank: members are added round by round, for the users who are ranked badly so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hinaug.checks import COUNT, Limits
from hinaug.ensembles.base import Candidates
from hinaug.ensembles.linear import Linear, Measure, gain_of


@dataclass(eq=False)
class AdaRank(Linear):
    """AdaRank (Xu and Li, "AdaRank: A Boosting Algorithm for Information Retrieval", SIGIR 2007),
    with members as rankers.

    With E(u, f) the NDCG@k of ranking f for user u and weights P_1 = 1 / users, each round t takes
    the member h_t with the highest sum_u P_t(u) E(u, h), gives it

        alpha_t = 1/2 log( sum_u P_t(u) (1 + E(u, h_t)) / sum_u P_t(u) (1 - E(u, h_t)) ),

    and turns to the users that f_t = sum_{s<=t} alpha_s h_s ranks badly: P_{t+1}(u) = exp(-E(u,
    f_t)) / sum exp(-E(., f_t)). Members rank by z-scores. Taken as it stands this picks the best
    member over and over, since P changes little, so a member joins only if f_t beats f_{t-1} by
    `margin` standard errors of the gain over users; else the next best on the weighted users is
    tried, and when none helps, the rounds end. `alphas_` holds (member, alpha) of each round;
    `weights_` are the members' shares of their sum.

    predictors: unfitted members over one relation; one that helps no user group is never taken.
    k: the cut-off of the measure.
    n_candidates: items kept for each user and member while the coefficients are learned; bounds
        memory at 4 x users x members x (members x n_candidates) bytes.
    max_users: users that the coefficients are learned from at most, drawn at random.
    margin: see above; 0 takes every gain.
    rounds: at most.

    fit(train, valid=...) fits the members on train alone; refit(train_valid) refits them and keeps
    the coefficients. NaN where no member with weight can tell; see `Linear` for users without
    any score.
    """

    LIMITS: ClassVar[Limits] = {"rounds": COUNT}
    rounds: int = 30

    def _search(self, found: Candidates, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        measure = Measure(found, self.k)
        alone = np.stack([measure(w) for w in np.eye(len(found.z))])
        users = np.full(alone.shape[1], 1 / alone.shape[1])
        total, value = np.zeros(len(alone)), np.zeros(alone.shape[1])
        self.alphas_: list[tuple[int, float]] = []
        for _ in range(self.rounds):
            taken = None
            for m in np.argsort(-(alone @ users), kind="stable"):
                hit = float(alone[m] @ users)
                alpha = 0.5 * np.log((1 + hit) / max(1 - hit, 1e-9))
                tried = total.copy()
                tried[m] += max(alpha, 1e-9)  # the first ranker stands, even if it hits nothing
                now = measure(tried / tried.sum())
                if not self.alphas_ or gain_of(now, value, self.margin) > 0:
                    taken = int(m), float(max(alpha, 1e-9))
                    break
            if taken is None:
                break
            self.alphas_.append(taken)
            total, value = tried, now
            users = np.exp(-value)
            users /= users.sum()
        return total / total.sum(), np.r_[alone.mean(axis=1), value.mean()]
