"""Greedy: forward selection of members with replacement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hinaug.ensemble.base import Candidates
from hinaug.ensemble.linear import Linear, Measure, gain_of


@dataclass(eq=False)
class Greedy(Linear):
    """Ensemble selection (Caruana et al., "Ensemble Selection from Libraries of Models", ICML 2004).

    A bag of members starts with the best single one. Each round adds the member, again or anew, with which the mean of
    the bag's z-scores ranks held-out pairs best (NDCG@k; of equals, the first). All rounds are played, since a step may
    lose what the next one wins; the bag that is kept is the last one that beat what was kept before it by `margin`
    standard errors of the gain over users. Weights are the counts in that bag, so a weak member has none.

    predictors: unfitted members over one relation; there may be many, the time grows with members x rounds.
    k: the cut-off of the measure.
    n_candidates: items kept for each user and member while the bag is chosen; bounds memory at
        4 x users x members x (members x n_candidates) bytes.
    max_users: users that the bag is chosen by at most, drawn at random.
    margin: see above; 0 takes every gain, as in the paper.
    rounds: members in the bag at most.

    fit(train, valid=...) fits the members on train alone; refit(train_valid) refits the members and keeps the weights.
    NaN where no member with weight can tell.
    """

    rounds: int = 30

    def _search(self, found: Candidates) -> tuple[np.ndarray, np.ndarray]:
        if self.rounds < 1:
            raise ValueError(f"Greedy: rounds={self.rounds!r}; at least 1")
        measure, single = Measure(found, self.k), np.eye(len(found.z))
        alone = [measure(w) for w in single]
        means = [v.mean() for v in alone]
        kept = bag = single[int(np.argmax(means))]
        value = alone[int(np.argmax(means))]
        for size in range(2, self.rounds + 1):
            tried = [measure((bag + w) / size) for w in single]
            best = int(np.argmax([v.mean() for v in tried]))
            bag = bag + single[best]
            if gain_of(tried[best], value, self.margin) > 0:
                kept, value = bag, tried[best]
        return kept / kept.sum(), np.r_[means, value.mean()]
