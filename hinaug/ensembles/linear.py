"""The base of ensembles whose score is a weighted mean of the members' z-scores.

They differ in how the weights are learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from hinaug.checks import COUNT, Limits
from hinaug.ensembles.base import Candidates, Ensemble, z_scores
from hinaug.graph.hin import HIN


@dataclass(eq=False)
class Linear(Ensemble):
    """A weighted mean of the members' z-scores:

        score(u, i) = sum_m w_m z_m(u, i) / sum of w_m over the members that can score the pair,
        w >= 0,  sum_m w_m = 1.

    z_m(u, .) is member m's score less its mean over its standard deviation, over the items that u
    may be recommended. A subclass writes `_search`, which learns the weights from the members'
    scores of held-out pairs. A user of whom no member with weight can tell anything is ranked by
    the best of the other members on held-out pairs that can, such as `Popularity`.

    k: the cut-off of the measure.
    n_candidates: items kept for each user and member while the weights are learned.
    max_users: users that the weights are learned from at most, drawn at random.
    margin: a change must gain so many standard errors over users; 0 takes every gain.
    """

    LIMITS: ClassVar[Limits] = {
        "k": COUNT,
        "n_candidates": COUNT,
        "max_users": COUNT,
    }
    k: int = 20
    n_candidates: int = 50
    max_users: int = 5000
    margin: float = 1.0

    def _learn(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        assert valid is not None
        found = self._candidates(hin, valid, max(self.n_candidates, self.k), self.max_users, rng)
        self.weights_, self.valid_ = self._search(found, rng)

    def _search(self, found: Candidates, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Weights [members] float64 that sum to 1, and NDCG@k of each member alone, then of the
        combination.
        """
        raise NotImplementedError(f"{type(self).__name__} has no _search")

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        pool = self._pool(hin, src)
        total, weight = np.zeros(pool.shape, np.float32), np.zeros(pool.shape, np.float32)
        for member, w in zip(self.predictors_, self.weights_.astype(np.float32), strict=True):
            if w > 0:
                z = z_scores(member.score(hin, src), pool)
                z *= w
                silent = np.isnan(z)
                if silent.any():
                    np.copyto(z, 0, where=silent)
                    weight += w * ~silent
                else:
                    weight += w
                total += z
        np.divide(total, weight, out=total, where=weight > 0)
        total[weight <= 0] = np.nan
        return self._with_fallback(hin, src, total, pool, self.valid_[:-1])

    def summary(self) -> str:
        """One line a member, heaviest first: its weight, its measure alone on the held-out pairs,
        and its parameters.
        """
        self._check_fitted()
        order = np.argsort(-self.weights_, kind="stable")
        lines = [
            f"{self.weights_[m]:.2f}  alone {self.valid_[m]:.4f}  {self.predictors_[m]!r}"
            for m in order
        ]
        return "\n".join([f"NDCG@{self.k} on held-out pairs {self.valid_[-1]:.4f}", *lines])


def gain_of(new: np.ndarray, old: np.ndarray, margin: float) -> float:
    """Mean gain over users when it is above `margin` standard errors, else 0."""
    gain = new - old
    mean = gain.mean()
    return float(mean) if mean > max(1e-9, margin * gain.std() / np.sqrt(len(gain))) else 0.0


class Measure:
    """NDCG@k of each user for given weights, over the candidates.

    It is called some hundred times, so its buffers are reused.
    """

    def __init__(self, found: Candidates, k: int) -> None:
        import torch

        self.torch, self.k = torch, min(k, found.z.shape[2])
        known = ~np.isnan(found.z)
        self.z = np.nan_to_num(found.z, nan=0.0)
        # where members differ in what they can tell, the weights are shared out anew for each pair
        self.known = None if (known == known[:1]).all() else known.astype(np.float32)
        self.nobody = ~known.any(axis=0)
        self.total, self.weight, self.part = (
            np.empty(found.z.shape[1:], np.float32) for _ in range(3)
        )
        self.relevant = torch.from_numpy(found.relevant)
        self.discount = 1 / np.log2(np.arange(2, k + 2))
        self.ideal = np.cumsum(self.discount)[np.minimum(found.n_relevant, k) - 1]

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        total = self._mix(weights, self.z, self.total)
        if self.known is not None:
            weight = self._mix(weights, self.known, self.weight)
            np.divide(total, weight, out=total, where=weight > 0)
            total[weight <= 0] = -np.inf
        return self.of(total)

    def of(self, total: np.ndarray) -> np.ndarray:
        """NDCG@k of each user, for scores [users, candidates] float32.

        The scores that no member can tell are set to -inf in place.
        """
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
