"""What every ensemble does: fit copies of its members, put their scores on one scale, and collect candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from hinaug.base import LinkPredictor, held_out
from hinaug.hin import HIN, EdgeType
from hinaug.metrics import top_k
from hinaug.predictors.training import seen
from hinaug.progress import track

BLOCK = 512


@dataclass
class Candidates:
    """What the members say of the items that at least one of them ranks high, for users with held-out pairs.

    users: positions [u]. items: positions [u, c], -1 where there are fewer. z: z-scores [members, u, c], NaN where a
    member cannot tell. relevant: bool [u, c]. n_relevant: held-out items of each user [u], found among the items or not.
    """

    users: np.ndarray
    items: np.ndarray
    z: np.ndarray
    relevant: np.ndarray
    n_relevant: np.ndarray


@dataclass(eq=False)
class Ensemble(LinkPredictor):
    """A link predictor over `predictors`, which must score one relation; `relation` is theirs.

    The members that are given stay as they are: `fit` makes copies, `predictors_`.
    """

    relation: EdgeType = field(init=False, repr=False)
    predictors: Sequence[LinkPredictor]

    def __post_init__(self) -> None:
        self.predictors = list(self.predictors)
        name = type(self).__name__
        wrong = [p for p in self.predictors if not isinstance(p, LinkPredictor)]
        if wrong or not self.predictors:
            raise TypeError(
                f"{name} takes a list of link predictors, such as [EASE(relation)]; got {wrong or 'an empty list'}"
            )
        relations = list(dict.fromkeys(p.relation for p in self.predictors))
        if len(relations) > 1:
            raise ValueError(f"{name}: the members must score one relation, these score {relations}")
        self.relation = relations[0]

    def _fit_members(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        members = [p.clone() for p in self.predictors]
        for member, child in zip(
            track(members, f"{type(self).__name__}: members"), rng.spawn(len(members)), strict=True
        ):
            member.fit(hin, valid=valid, rng=child)
        self.predictors_ = members

    def _refit_members(self, hin: HIN, rng: np.random.Generator) -> None:
        children = rng.spawn(len(self.predictors_))
        for member, child in zip(track(self.predictors_, f"{type(self).__name__}: members"), children, strict=True):
            member.refit(hin, rng=child)

    def _pool(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        """bool [len(src), n_targets]: what may be recommended, that is, observed targets that a source has not yet."""
        pool = np.ones((len(src), hin.n(self.relation[2])), bool)
        pool[:, hin.n_observed(self.relation[2]) :] = False
        known = seen(hin, self.relation, src)
        pool[np.repeat(np.arange(len(src)), np.diff(known.indptr)), known.indices] = False
        return pool

    def _candidates(self, hin: HIN, valid: pa.Table, n: int, max_users: int, rng: np.random.Generator) -> Candidates:
        """The union of the members' n best items of each user, at most `max_users` users, drawn at random."""
        users, relevant = held_out(hin, self.relation, valid)
        if len(users) > max_users:
            chosen = np.sort(rng.choice(len(users), max_users, replace=False))
            users, relevant = users[chosen], relevant[chosen]
        parts = []
        for at in track(range(0, len(users), BLOCK), f"{type(self).__name__}: candidates"):
            src, rows = users[at : at + BLOCK], np.arange(len(users[at : at + BLOCK]))[:, None]
            pool = self._pool(hin, src)
            z = np.stack([z_scores(m.score(hin, src), pool) for m in self.predictors_])
            named = np.zeros_like(pool)
            for scores in z:
                best, _ = top_k(np.where(pool, scores, np.float32(np.nan)), n)
                row, rank = np.nonzero(best >= 0)
                named[row, best[row, rank]] = True
            width = int(named.sum(1).max(initial=0))
            items = np.argsort(~named, axis=1, kind="stable")[:, :width]
            there = named[rows, items]
            parts.append(
                (
                    np.where(there, items, -1),
                    np.where(there, z[:, rows, items], np.float32(np.nan)),
                    relevant[at : at + BLOCK].toarray()[rows, items].astype(bool) & there,
                )
            )
        width = max((p[0].shape[1] for p in parts), default=0)
        items, z, found = (
            np.concatenate([_widen(p[i], width, pad) for p in parts], axis=int(i == 1))
            for i, pad in enumerate((-1, np.nan, False))
        )
        return Candidates(users, items, z, found, np.diff(relevant.indptr))


def _widen(array: np.ndarray, width: int, pad: float) -> np.ndarray:
    """The last axis filled up to `width`."""
    missing = [(0, 0)] * (array.ndim - 1) + [(0, width - array.shape[-1])]
    return np.pad(array, missing, constant_values=pad)


def z_scores(scores: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """Each row less its mean, over its standard deviation, both taken over `pool`; NaN is passed over and stays NaN.

    A row that is constant over the pool says nothing about the order: it becomes 0.
    """
    use = pool & ~np.isnan(scores)
    n = np.maximum(use.sum(axis=1, keepdims=True), 1)
    mean = scores.sum(axis=1, keepdims=True, where=use, dtype=np.float64) / n
    centred = scores - mean
    sd = np.sqrt(np.square(centred).sum(axis=1, keepdims=True, where=use) / n)
    level = sd > 1e-6 * np.maximum(np.abs(mean), 1e-30)
    return np.where(level, centred / np.where(level, sd, 1), 0 * centred).astype(np.float32)
