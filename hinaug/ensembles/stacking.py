"""Stacking: a classifier over members' scores and ranks, user degree and item popularity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from scipy.stats import rankdata
from sklearn.base import ClassifierMixin, clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from hinaug.checks import COUNT, Interval, Limits
from hinaug.ensembles.base import Candidates, Ensemble, union
from hinaug.ensembles.linear import Measure, gain_of
from hinaug.ensembles.weighted import search
from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.progress import track
from hinaug.training.ranking import top_k
from hinaug.training.validation import seen

SHARES = (0.25, 0.5, 0.75, 1.0)
# z-scores are rounded to this part: a rounding error of a member must not cross a tree's threshold
GRID = 1024.0
# values below which two threads save a third of the time on idle cores, and take thirty times it on
# busy ones
SMALL = 10_000_000
TREES: dict[str, Any] = {
    "learning_rate": 0.05,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 200,
    "l2_regularization": 10.0,
}


@dataclass(eq=False)
class Stacking(Ensemble):
    """Stacked generalisation (Wolpert, "Stacked Generalization", Neural Networks 1992) over pooled
    candidates.

    A classifier tells which of a user's candidates are held-out links, from each member's z-score
    and reciprocal rank, the user's log degree, the item's log popularity, and their products with
    the z-scores. With s(u, i) its log odds, b(u, i) the weighted mean of z-scores that `Weighted`
    learns, and both standardised over the candidates of u,

        score(u, i) = (1 - share) b(u, i) + share s(u, i).

    The candidates are the union of the members' `n_candidates` best; what is no candidate follows
    behind, in the order of b.

    Held-out pairs are few and noise members many, so nothing is taken on trust: with `folds` folds
    of users, each candidate is scored by a classifier that has not seen its user. Strength of
    regularisation and `share` are chosen on these out-of-fold scores, and only a gain over b alone
    of more than `margin` standard errors counts. Otherwise `share_` is 0, and this is `Weighted`.

    predictors: unfitted members over one relation.
    meta: "logistic", "trees" (gradient boosting on histograms), or any scikit-learn classifier with
        `predict_proba`.
    k: the cut-off of the NDCG by which choices are made.
    max_users: users that are learned from at most, drawn at random.

    fit(train, valid=...) fits the members on train alone and refuses valid pairs that they saw;
    refit(train_valid) refits the members and keeps what was learned of them. NaN where no member
    with weight can tell; a user of whom they can tell nothing is ranked by the best of the other
    members on held-out pairs that can. Learned: `weights_` of b, `share_`, `meta_`, `valid_`:
    NDCG@k of each member, of b, and of the whole out of fold.
    """

    LIMITS: ClassVar[Limits] = {
        "k": COUNT,
        "n_candidates": COUNT,
        "max_users": COUNT,
        "folds": Interval(least=2),
    }
    meta: str | ClassifierMixin = "logistic"
    k: int = 20
    n_candidates: int = 50
    max_users: int = 5000
    folds: int = 3
    margin: float = 1.0

    def _learn(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        assert valid is not None
        learners = self._learners(int(rng.integers(2**31)))
        found = self._candidates(hin, valid, max(self.n_candidates, self.k), self.max_users, rng)
        self.weights_, self.valid_ = search(found, self.k, self.margin)
        self.share_, self.meta_ = 0.0, None
        mask = (found.items >= 0) & ~np.isnan(self._base(found.z))
        found.items[~mask] = -1
        if len(found.users) >= 2 * self.folds and found.relevant[mask].any():
            self._choose(hin, found, mask, learners, rng)
        self.valid_ = np.r_[self.valid_, self.valid_[-1]] if self.meta_ is None else self.valid_

    def _choose(
        self, hin: HIN, found: Candidates, mask: np.ndarray, learners: list[Any], rng: Any
    ) -> None:
        measure, x = Measure(found, self.k), self._features(hin, found.users, found.items, found.z)
        measure.nobody = ~mask
        base = standard(self._base(found.z), mask)
        y, user = (
            found.relevant[mask],
            np.broadcast_to(np.arange(len(mask))[:, None], mask.shape)[mask],
        )
        fold = rng.permutation(len(mask)) % self.folds
        plain = measure.of(base.copy())
        best, gain = None, 0.0
        for learner in track(learners, f"Stacking: {len(learners)} settings"):
            odds = np.zeros(mask.shape, np.float32)
            inside = np.empty(len(y), np.float32)
            for f in range(self.folds):
                out = fold[user] == f
                if not y[~out].any():
                    return
                inside[out] = log_odds(learned(learner, x[~out], y[~out]), x[out])
            odds[mask] = inside
            odds = standard(odds, mask)
            for share in SHARES:
                value = measure.of(mixed(base, odds, share))
                if gain_of(value, plain, self.margin) > gain:
                    best, gain = (learner, share, value.mean()), gain_of(value, plain, self.margin)
        if best is not None:
            learner, self.share_, value = best
            self.meta_ = learned(learner, x, y)
            self.valid_ = np.r_[self.valid_, value]

    def _learners(self, seed: int) -> list[Any]:
        if self.meta == "logistic":
            return [
                make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=300))
                for c in (1e-4, 1e-2, 1.0)
            ]
        if self.meta == "trees":
            return [
                HistGradientBoostingClassifier(
                    max_iter=n, random_state=seed, early_stopping=False, **TREES
                )
                for n in (30, 120)
            ]
        if not isinstance(self.meta, ClassifierMixin) or not hasattr(self.meta, "predict_proba"):
            raise ParameterError(
                f"Stacking: meta={self.meta!r}; expected 'logistic', 'trees' or a scikit-learn "
                "classifier with predict_proba"
            )
        return [self.meta]

    def _remember(self, hin: HIN) -> None:
        super()._remember(hin)
        degree = np.bincount(hin.observed().links(self.relation)[1], minlength=len(self.dst_ids_))
        self.popularity_ = _level(np.log1p(degree))

    def _base(self, z: np.ndarray) -> np.ndarray:
        """b, of z-scores [members, ...]: the weighted mean of the members that can tell; NaN where
        none with weight can.
        """
        known, weights = (~np.isnan(z)).astype(np.float32), self.weights_.astype(np.float32)
        total, share = np.tensordot(weights, np.nan_to_num(z), 1), np.tensordot(weights, known, 1)
        return np.divide(
            total, share, out=np.full(share.shape, np.nan, np.float32), where=share > 0
        )

    def _features(self, hin: HIN, src: np.ndarray, items: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Features of the candidates, float32 [candidates, features], row by row.

        items [len(src), c] are the candidates' positions, -1 for none; z [members, len(src), c]
        their z-scores.
        """
        mask = items >= 0
        z = np.where(
            np.isnan(z), self._base(z), z
        )  # a member that cannot tell agrees with the others
        z = np.round(z * np.float32(GRID)) / np.float32(GRID)
        ranks = rankdata(np.where(mask, -z, np.inf), method="min", axis=2)
        degree = np.diff(seen(hin, self.relation, np.arange(hin.n(self.relation[0]))).indptr)
        degree = np.broadcast_to(_level(np.log1p(degree))[src][:, None], items.shape)
        popular = np.nan_to_num(self._columns(hin, self.popularity_[None])[0])[np.maximum(items, 0)]
        columns = [
            *z,
            *(1 / ranks),
            degree,
            popular,
            degree * popular,
            *(z * degree),
            *(z * popular),
        ]
        return np.stack([c[mask] for c in columns], axis=1).astype(np.float32)

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        parts = [self._score_block(hin, src[rows]) for rows in self._blocks(hin, len(src))]
        return (
            np.concatenate(parts) if parts else np.zeros((0, hin.n(self.relation[2])), np.float32)
        )

    def _score_block(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        pool = self._pool(hin, src)
        z = self._z(hin, src, pool)
        scores, alone = self._combined(hin, src, z, pool), self.valid_[: len(z)]
        return self._with_fallback(hin, src, scores, pool, alone)

    def _combined(self, hin: HIN, src: np.ndarray, z: np.ndarray, pool: np.ndarray) -> np.ndarray:
        """The scores from z-scores [members, len(src), n_targets]; NaN where b has none."""
        base = self._base(z)
        if self.meta_ is None:
            return base
        n = max(self.n_candidates, self.k)
        items, mask, rows = union(
            [top_k(np.where(pool, s, np.float32(np.nan)), n)[0] for s in z], pool.shape[1]
        )
        mask &= ~np.isnan(base[rows, items])
        if not mask.any():
            return base
        odds = np.zeros(mask.shape, np.float32)
        odds[mask] = log_odds(
            self.meta_, self._features(hin, src, np.where(mask, items, -1), z[:, rows, items])
        )
        best = mixed(standard(base[rows, items], mask), standard(odds, mask), self.share_)
        lowest = np.min(best, axis=1, where=mask, initial=0, keepdims=True)
        highest = np.max(base, axis=1, where=~np.isnan(base), initial=0, keepdims=True)
        out = base - highest + lowest - 1
        out[np.broadcast_to(rows, mask.shape)[mask], items[mask]] = best[mask]
        return out

    def summary(self) -> str:
        """What was learned: the share of the classifier, then the members as `Weighted` weighs
        them.
        """
        self._check_fitted()
        order = np.argsort(-self.weights_, kind="stable")
        lines = [
            f"{self.weights_[m]:.2f}  alone {self.valid_[m]:.4f}  {self.predictors_[m]!r}"
            for m in order
        ]
        head = (
            f"NDCG@{self.k} on held-out pairs {self.valid_[-1]:.4f} out of fold, of the weighted "
            f"mean {self.valid_[-2]:.4f}; share of the classifier {self.share_:.2f}"
        )
        return "\n".join([head, *lines])


def learned(learner: Any, x: np.ndarray, y: np.ndarray) -> Any:
    with threadpool_limits(1 if x.size < SMALL else None):
        return clone(learner).fit(x, y)


def log_odds(model: Any, x: np.ndarray) -> np.ndarray:
    with threadpool_limits(1 if x.size < SMALL else None):
        p = np.clip(model.predict_proba(x)[:, 1], 1e-9, 1 - 1e-9)
    return np.log(p / (1 - p)).astype(np.float32)


def standard(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Each row less its mean, over its standard deviation, both taken where `mask` is true.

    0 elsewhere, and for a constant row.
    """
    n = np.maximum(mask.sum(axis=1, keepdims=True), 1)
    mean = np.sum(scores, axis=1, keepdims=True, where=mask, dtype=np.float64) / n
    centred = np.where(mask, scores - mean, 0)
    sd = np.sqrt(np.square(centred).sum(axis=1, keepdims=True) / n)
    return np.where(sd > 1e-6, centred / np.where(sd > 1e-6, sd, 1), 0).astype(np.float32)


def mixed(base: np.ndarray, odds: np.ndarray, share: float) -> np.ndarray:
    return np.asarray((1 - share) * base + share * odds, np.float32)


def _level(x: np.ndarray) -> np.ndarray:
    return ((x - x.mean()) / (x.std() or 1)).astype(np.float32) if x.size else x.astype(np.float32)
