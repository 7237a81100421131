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
    the best of many shifts is partly chance.

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
    weight can tell; see `Linear` for users without any score.
    """

    def _search(self, found: Candidates, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return search(found, self.k, self.margin)


def search(found: Candidates, k: int, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights [members] that sum to 1, float64, and NDCG@k of each member, then of the whole."""
    measure = Measure(found, k)
    n = len(found.z)
    starts = [*np.eye(n), np.full(n, 1 / n)]
    values = [measure(w) for w in starts]
    means = np.array([v.mean() for v in values])
    best_alone = int(means[:n].argmax())
    equal_is_better = n > 1 and gain_of(values[n], values[best_alone], margin) > 0
    start = n if equal_is_better else best_alone
    weights, value = starts[start], values[start]
    for step in STEPS:
        better = _best_exchange(measure, weights, value, step, margin)
        while better is not None:
            weights, value = better
            better = _best_exchange(measure, weights, value, step, margin)
    return weights / weights.sum(), np.r_[means[:n], value.mean()]


def _best_exchange(
    measure: Measure, weights: np.ndarray, value: np.ndarray, step: float, margin: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """The weights and their measure [users] after the best shift; None where none helps."""
    best_gain, best = 0.0, None
    for giver in np.flatnonzero(weights > 0).tolist():
        for taker in range(len(weights)):
            if giver == taker:
                continue
            moved = _shifted(weights, giver, taker, step)
            tried = measure(moved)
            gain = gain_of(tried, value, margin)
            if gain > best_gain:
                best_gain, best = gain, (moved, tried)
    return best


def _shifted(weights: np.ndarray, giver: int, taker: int, step: float) -> np.ndarray:
    """The weights after `step` went from one member to another, or what the giver has, if less."""
    moved = weights.copy()
    shift = min(step, weights[giver])
    moved[giver] = 0.0 if shift == weights[giver] else weights[giver] - shift
    moved[taker] += shift
    return moved
