"""Weighted: one weight a member, learned on held-out pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hinaug.ensemble.base import Candidates, Ensemble, z_scores
from hinaug.hin import HIN

STEPS = (0.5, 0.25, 0.1, 0.05, 0.02)


@dataclass(eq=False)
class Weighted(Ensemble):
    """A convex combination of the members' z-scores, with the weights that rank held-out pairs best.

        score(u, i) = sum_m w_m z_m(u, i) / sum of w_m over the members that can tell,      w >= 0, sum_m w_m = 1

    where z_m(u, .) is member m's score less its mean over its standard deviation, over the items that u may be recommended.
    The weights maximise NDCG@k on `valid` by pairwise exchange: starting from the best single member or from equal weights,
    shift a step of weight from one member to another, the best such shift each time, as long as it helps; then with
    smaller steps. A shift must beat `margin` standard errors of its own gain over users: validation sets are small, and
    the best of many shifts is partly luck.

    predictors: unfitted members over one relation. Members that look at different things (links, text, attributes) add
        more than many of one kind; a weak member gets weight 0 and does no harm.
    k: the cut-off of the measure.
    n_candidates: items kept for each user and member while weights are learned; bounds memory at
        4 x users x members x (members x n_candidates) bytes.
    max_users: users that the weights are learned from at most, drawn at random.
    margin: see above; 0 takes every gain.

    fit(train, valid=...) fits the members on train alone, so that their scores on `valid` are honest; refit(train_valid)
    refits the members and keeps the weights. NaN where no member with weight can tell.
    """

    k: int = 20
    n_candidates: int = 50
    max_users: int = 5000
    margin: float = 1.0

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        if valid is None or not valid.num_rows:
            raise ValueError(
                f"{type(self).__name__} learns its weights on held-out pairs: pass them as fit(split.train, valid=split.valid); "
                "then refit(split.train_valid) gives the members all the data and keeps the weights"
            )
        self._fit_members(hin, valid, rng)
        found = self._candidates(hin, valid, max(self.n_candidates, self.k), self.max_users, rng)
        self.weights_, self.valid_ = search(found, self.k, self.margin)

    def _refit(self, hin: HIN, rng: np.random.Generator) -> None:
        self._refit_members(hin, rng)

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        pool = self._pool(hin, src)
        total, weight = np.zeros(pool.shape, np.float32), np.zeros(pool.shape, np.float32)
        for member, w in zip(self.predictors_, self.weights_.astype(np.float32), strict=True):
            if w > 0:
                z = z_scores(member.score(hin, src), pool)
                there = ~np.isnan(z)
                total += np.where(there, w * z, np.float32(0))
                weight += w * there
        return np.divide(total, weight, out=np.full(total.shape, np.nan, np.float32), where=weight > 0)

    def summary(self) -> str:
        """One line a member, heaviest first: its weight, its measure alone on the held-out pairs, and its parameters."""
        self._check_fitted()
        order = np.argsort(-self.weights_, kind="stable")
        lines = [f"{self.weights_[m]:.2f}  alone {self.valid_[m]:.4f}  {self.predictors_[m]!r}" for m in order]
        return "\n".join([f"NDCG@{self.k} on held-out pairs {self.valid_[-1]:.4f}", *lines])


def search(found: Candidates, k: int, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Simplex weights [members] float64, and NDCG@k of each member alone, then of the combination."""
    measure = _Measure(found, k)
    n = len(found.z)
    starts = [*np.eye(n), np.full(n, 1 / n)]
    values = [measure(w) for w in starts]
    means = np.array([v.mean() for v in values])
    alone = int(means[:n].argmax())
    better = n > 1 and _gain(values[n], values[alone], margin) > 0
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
                    gain = _gain(tried, value, margin)
                    if gain > best_gain:
                        best_gain, best = gain, (moved, tried)
            if best is None:
                break
            weights, value = best
    return weights / weights.sum(), np.r_[means[:n], value.mean()]


def _gain(new: np.ndarray, old: np.ndarray, margin: float) -> float:
    """Mean gain over users when it is above `margin` standard errors, else 0."""
    gain = new - old
    mean = gain.mean()
    return float(mean) if mean > max(1e-9, margin * gain.std() / np.sqrt(len(gain))) else 0.0


class _Measure:
    """NDCG@k of each user for given weights, over the candidates. Buffers are reused: this runs some hundred times."""

    def __init__(self, found: Candidates, k: int) -> None:
        import torch

        self.torch, self.k = torch, min(k, found.z.shape[2])
        there = ~np.isnan(found.z)
        self.z = np.nan_to_num(found.z, nan=0.0)
        # where members differ in what they can tell, the weights are shared out anew for each pair
        self.there = None if (there == there[:1]).all() else there.astype(np.float32)
        self.nobody = ~there.any(axis=0)
        self.total, self.weight, self.part = (np.empty(found.z.shape[1:], np.float32) for _ in range(3))
        self.relevant = torch.from_numpy(found.relevant)
        self.discount = 1 / np.log2(np.arange(2, k + 2))
        self.ideal = np.cumsum(self.discount)[np.minimum(found.n_relevant, k) - 1]

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        total = self._mix(weights, self.z, self.total)
        if self.there is not None:
            weight = self._mix(weights, self.there, self.weight)
            np.divide(total, weight, out=total, where=weight > 0)
            total[weight <= 0] = -np.inf
        total[self.nobody] = -np.inf
        best = self.torch.from_numpy(total).topk(self.k, dim=1)
        hit = self.relevant.gather(1, best.indices) & (best.values > -self.torch.inf)
        return hit.numpy() @ self.discount[: self.k] / self.ideal

    def _mix(self, weights: np.ndarray, parts: np.ndarray, out: np.ndarray) -> np.ndarray:
        out.fill(0)
        for w, part in zip(weights.astype(np.float32), parts, strict=True):
            if w > 0:
                out += np.multiply(part, w, out=self.part)
        return out
