"""Weighted: one weight a member, learned on held-out pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hinaug.ensembles.base import Candidates
from hinaug.ensembles.linear import Linear, Measure, gain_of

STEPS = (0.5, 0.25, 0.1, 0.05, 0.02)


@dataclass(eq=False)
class Weighted(Linear):
    """A convex combination of the members' z-scores, with the weights that rank held-out pairs
    best.

        score(u, i) = sum_m w_m z_m(u, i) / sum of w_m over the members that can tell,      w >= 0,
        sum_m w_m = 1

    where z_m(u, .) is member m's score less its mean over its standard deviation, over the items
    that u may be recommended. The weights maximise NDCG@k on `valid` by pairwise exchange: starting
    from the best single member or from equal weights, shift a step of weight from one member to
    another, the best such shift each time, as long as it helps; then with smaller steps. A shift
    must beat `margin` standard errors of its own gain over users: validation sets are small, and
    the best of many shifts is partly luck.

    predictors: unfitted members over one relation. Members that look at different things (links,
        text, attributes) add more than many of one kind; a weak member gets weight 0 and does no
        harm.
    k: the cut-off of the measure.
    n_candidates: items kept for each user and member while weights are learned; bounds memory at
        4 x users x members x (members x n_candidates) bytes.
    max_users: users that the weights are learned from at most, drawn at random.
    margin: see above; 0 takes every gain.

    fit(train, valid=...) fits the members on train alone, so that their scores on `valid` are
    honest; refit(train_valid) refits the members and keeps the weights. NaN where no member with
    weight can tell.
    """

    def _search(self, found: Candidates, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return search(found, self.k, self.margin)


def search(found: Candidates, k: int, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Simplex weights [members] float64, and NDCG@k of each member alone, then of the combination."""
    measure = Measure(found, k)
    n = len(found.z)
    starts = [*np.eye(n), np.full(n, 1 / n)]
    values = [measure(w) for w in starts]
    means = np.array([v.mean() for v in values])
    alone = int(means[:n].argmax())
    better = n > 1 and gain_of(values[n], values[alone], margin) > 0
    weights, value = (starts[n], values[n]) if better else (starts[alone], values[alone])
    for step in STEPS:
        while True:
            best_gain, best = 0.0, None
            for a in np.flatnonzero(weights > 0):
                for b in range(n):
                    if a == b:
                        continue
                    moved = weights.copy()
                    shift = min(step, weights[a])
                    moved[a] = 0.0 if shift == weights[a] else weights[a] - shift
                    moved[b] += shift
                    tried = measure(moved)
                    gain = gain_of(tried, value, margin)
                    if gain > best_gain:
                        best_gain, best = gain, (moved, tried)
            if best is None:
                break
            weights, value = best
    return weights / weights.sum(), np.r_[means[:n], value.mean()]
