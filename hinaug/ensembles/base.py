"""Ensemble, the base: fits copies of the members, scales their scores, collects candidates."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug import checks
from hinaug.checks import Rng
from hinaug.errors import KindError, LeakError, ParameterError
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import PairIndex, are_linked, held_out, own_pairs
from hinaug.graph.schema import EdgeType
from hinaug.predictors.base import LinkPredictor
from hinaug.progress import track
from hinaug.training.ranking import top_k
from hinaug.training.validation import seen, unlinked

# of the sources with held-out pairs, those whose pairs the members see: to stop by a quarter was as
# good as all on MovieLens 100K (five splits), and weights are learned from the rest
SHOWN = 0.25
BLOCK = 512  # sources scored together, at most
BUDGET = 2**25  # scores of all members held at once, at most
TIED = 1e-5  # z-scores this close are equal: rounding must not decide a rank


@dataclass
class Candidates:
    """The members' scores of the items that at least one of them ranks high.

    users: positions of the users with held-out pairs, [u].
    items: positions [u, c], -1 fills up shorter rows.
    z: z-scores [members, u, c], NaN where a member cannot tell.
    relevant: which items are held out, bool [u, c].
    n_relevant: held-out items of each user [u], among the items or not.
    """

    users: np.ndarray
    items: np.ndarray
    z: np.ndarray
    relevant: np.ndarray
    n_relevant: np.ndarray


@dataclass(eq=False)
class Ensemble(LinkPredictor):
    """A link predictor over `predictors`, which must score one relation; `relation` is theirs.

    The members that are given stay as they are: `fit` makes copies, `predictors_`. Where several
    ensembles are compared, one set of fitted members serves them all: see `fit_with` and
    `refit_with`.

    An ensemble that learns from held-out pairs gives its members those of a quarter of the sources,
    to stop by, and learns from the others: pairs that a member was trained on do not count for its
    weight.

    A subclass writes `_learn(hin, valid, rng)`, from the fitted `predictors_`, and `_score`;
    `supervised = False` says that it learns nothing from held-out pairs.
    """

    supervised: ClassVar[bool] = True
    relation: EdgeType = field(init=False, repr=False)
    predictors: Sequence[LinkPredictor]

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        if isinstance(self.predictors, LinkPredictor) or not isinstance(self.predictors, Iterable):
            raise KindError(
                f"{name} takes a list of link predictors, such as [EASE(relation)]; got "
                f"{type(self.predictors).__name__}"
            )
        self.predictors = list(self.predictors)
        wrong = [p for p in self.predictors if not isinstance(p, LinkPredictor)]
        if wrong or not self.predictors:
            raise KindError(
                f"{name} takes a list of link predictors, such as [EASE(relation)]; got "
                f"{wrong or 'an empty list'}"
            )
        relations = list(dict.fromkeys(p.relation for p in self.predictors))
        if len(relations) > 1:
            raise ParameterError(
                f"{name}: the members must score one relation, these score {relations}"
            )
        self.relation = relations[0]

    @property
    def deterministic(self) -> bool:
        """Whether neither the members nor the ensemble have chance in their fits."""
        return not self.STOCHASTIC and all(member.deterministic for member in self.predictors)

    def fit_with(
        self,
        members: Sequence[LinkPredictor],
        hin: HIN,
        *,
        valid: pa.Table | None = None,
        rng: Rng = None,
    ) -> Self:
        """As `fit`, with members that are fitted on `hin` already, such as another ensemble's
        `predictors_`.

        They are shared, not copied, and stay as they are. What is learned is learned from the
        pairs of sources whose pairs no member was given: fit members without `valid`, or with one
        part of it by `split_valid`. Raises LeakError where there are no others.
        """
        draws = self._ready("fit_with", hin, valid, rng)
        with self._all_or_nothing():
            self._forget()
            self._remember(hin)
            self._remember_valid(valid)
            self.predictors_ = self._taken(members)
            self._check_valid(hin, valid)
            self._learn(hin, self._held_apart(valid), draws)
        return self

    def refit_with(self, members: Sequence[LinkPredictor], hin: HIN) -> Self:
        """As `refit`, with members that are refitted on `hin` already."""
        self._check_fitted()
        with self._all_or_nothing():
            self.__dict__.pop("_caches", None)
            self._remember(hin)
            self.predictors_ = self._taken(members)
        return self

    def _taken(self, members: Sequence[LinkPredictor]) -> list[LinkPredictor]:
        name, members = type(self).__name__, list(members)
        kinds, given = ([type(m).__name__ for m in some] for some in (self.predictors, members))
        if kinds != given:
            raise ParameterError(
                f"{name} is over {kinds}, the fitted members are {given}; give one of each, in "
                "this order"
            )
        for i, member in enumerate(members):
            member._check_fitted()
            if member.fitted_on_ != self.fitted_on_:
                raise ParameterError(
                    f"{name}: member {i}, {member!r}, was fitted on another graph than the one "
                    "given here"
                )
        return members

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        self._check_valid(hin, valid)
        (chance,) = rng.spawn(1)
        learns = self.supervised and valid is not None
        shown = split_valid(valid, SHOWN, chance)[0] if learns else valid
        self._fit_members(hin, shown, rng)
        self._learn(hin, self._held_apart(valid), rng)

    def _held_apart(self, valid: pa.Table | None) -> pa.Table | None:
        """The pairs of sources whose pairs no member was given; LeakError where there are none."""
        given = [getattr(member, "valid_src_", None) for member in self.predictors_]
        shown = [ids for ids in given if ids is not None]
        if not self.supervised or valid is None or not shown:
            return valid
        src, _ = tb.id_strings(tb.one_chunk(valid["src"]), "valid: src")
        apart = valid.filter(pc.invert(pc.is_in(src, value_set=pa.concat_arrays(shown))))
        if not apart.num_rows:
            n = pc.count_distinct(src).as_py()
            raise LeakError(
                f"{type(self).__name__}: the members were given the valid pairs of all {n} "
                "sources, so none are left to learn from; fit them "
                f"without valid, or with hinaug.ensembles.split_valid(valid, {SHOWN})[0]",
                asked=n,
                there=0,
            )
        return apart

    def _refit(self, hin: HIN, rng: np.random.Generator) -> None:
        members = [
            copy.copy(m) for m in self.predictors_
        ]  # other ensembles may share what was fitted
        children = rng.spawn(len(members))
        for member, child in zip(
            track(members, f"{type(self).__name__}: members"), children, strict=True
        ):
            member.refit(hin, rng=child)
        self.predictors_ = members

    def _fit_members(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        members = [p.clone() for p in self.predictors]
        children = rng.spawn(len(members))
        for member, child in zip(
            track(members, f"{type(self).__name__}: members"), children, strict=True
        ):
            member.fit(hin, valid=valid, rng=child)
        self.predictors_ = members

    def _learn(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        raise NotImplementedError(f"{type(self).__name__} has no _learn")

    def _check_valid(self, hin: HIN, valid: pa.Table | None) -> None:
        """LeakError where valid pairs are edges of `hin`, which the members are fitted on.

        A member's score of a pair that it was fitted on does not show how well it ranks new ones.
        """
        if not self.supervised:
            return
        name = type(self).__name__
        if valid is None or not valid.num_rows:
            raise ParameterError(
                f"{name} learns its weights on held-out pairs: pass them as fit(split.train, "
                "valid=split.valid); then refit(split.train_valid) gives the members all the data "
                "and keeps the weights"
            )
        held = PairIndex.from_ids(hin, self.relation, valid)
        observed = hin.observed()
        n_known = int(are_linked(observed, self.relation, held.src, held.dst).sum())
        if n_known:
            raise LeakError(
                f"{name}: {n_known} of {len(held)} valid pairs are edges of the graph that the "
                "members are fitted on, so their scores there are no guesses; fit on split.train, "
                "then refit on split.train_valid",
                asked=len(held),
                there=n_known,
            )

    def _pool(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        """bool [len(src), n_targets]: what may be recommended to each source.

        These are the observed targets that the source has not yet, and that are not the source
        itself.
        """
        n_targets = hin.n(self.relation[2])
        pool = np.ones((len(src), n_targets), bool)
        pool[:, hin.n_observed(self.relation[2]) :] = False
        hidden = [seen(hin, self.relation, src)]
        if self.relation[0] == self.relation[2]:
            hidden.append(own_pairs(src, n_targets))
        for known in hidden:
            pool[np.repeat(np.arange(len(src)), np.diff(known.indptr)), known.indices] = False
        return pool

    def _blocks(self, hin: HIN, n: int) -> Iterator[slice]:
        """Slices of n sources, so that the scores of all members fit into memory."""
        size = max(1, min(BLOCK, BUDGET // max(1, len(self.predictors_) * hin.n(self.relation[2]))))
        return (slice(at, at + size) for at in range(0, n, size))

    def _z(self, hin: HIN, src: np.ndarray, pool: np.ndarray) -> np.ndarray:
        """The members' z-scores [members, len(src), n_targets]."""
        return np.stack([z_scores(m.score(hin, src), pool) for m in self.predictors_])

    def _with_fallback(
        self, hin: HIN, src: np.ndarray, scores: np.ndarray, pool: np.ndarray, alone: np.ndarray
    ) -> np.ndarray:
        """`scores` [len(src), n_targets], where the sources that got none are ranked by one member.

        No member with weight can tell anything of these, such as users without links. Each gets
        the z-scores of the first member that can. alone: the NDCG of each member alone on
        held-out pairs; the best is asked first.
        """
        for m in np.argsort(-alone, kind="stable"):
            silent = np.flatnonzero(pool.any(axis=1) & ~_any_in(scores, pool))
            if not len(silent):
                break
            z = z_scores(self.predictors_[m].score(hin, src[silent]), pool[silent])
            can_tell = _any_in(z, pool[silent])
            scores[silent[can_tell]] = z[can_tell]
        return scores

    def _candidates(
        self, hin: HIN, valid: pa.Table, n: int, max_users: int, rng: np.random.Generator
    ) -> Candidates:
        """The union of the members' n best items of each user.

        At most `max_users` users, drawn at random.
        """
        users, relevant = held_out(hin, self.relation, valid)
        if len(users) > max_users:
            chosen = np.sort(rng.choice(len(users), max_users, replace=False))
            users, relevant = users[chosen], relevant[chosen]
        new_targets = unlinked(hin, self.relation, relevant)
        parts = []
        for block in track(
            list(self._blocks(hin, len(users))), f"{type(self).__name__}: candidates"
        ):
            pool = self._pool(hin, users[block])
            z = self._z(hin, users[block], pool)
            if new_targets is not None:
                pool[:, : len(new_targets)] &= new_targets
            items, mask, rows = union(
                [top_k(np.where(pool, s, np.float32(np.nan)), n)[0] for s in z], pool.shape[1]
            )
            parts.append(
                (
                    np.where(mask, items, -1),
                    np.where(mask, z[:, rows, items], np.float32(np.nan)),
                    relevant[block].toarray()[rows, items].astype(bool) & mask,
                )
            )
        width = max((p[0].shape[1] for p in parts), default=0)
        items, z, found = (
            np.concatenate([_widen(p[i], width, pad) for p in parts], axis=int(i == 1))
            for i, pad in enumerate((-1, np.nan, False))
        )
        return Candidates(users, items, z, found, np.diff(relevant.indptr))


def _any_in(scores: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """Whether a row has a score for any item of its pool, bool [rows]."""
    return np.asarray((pool & ~np.isnan(scores)).any(axis=1))


def split_valid(valid: pa.Table, share: float, rng: Rng = None) -> tuple[pa.Table, pa.Table]:
    """Held-out pairs in two parts: those of a share of the sources, and those of the others.

    What the members of an ensemble stop by is the first, what the ensemble learns from the second.

    Parameters
    ----------
    valid
        Pairs as external ids, columns "src" and "dst".
    share
        Of the sources, from 0 to 1; rounded down.
    rng
        Draws the sources.

    Example
    -------
    >>> import pyarrow as pa
    >>> valid = pa.table({"src": ["ann", "bob", "ann"], "dst": ["p", "q", "r"]})
    >>> first, second = split_valid(valid, 0.5, rng=0)
    >>> first["src"].to_pylist(), second["src"].to_pylist()
    (['ann', 'ann'], ['bob'])
    """
    if not 0 <= share <= 1:
        raise ParameterError(f"split_valid: share={share!r}; from 0 to 1", asked=share)
    ids = pc.unique(valid["src"])
    order = checks.generator(rng, "split_valid").permutation(len(ids))
    first = ids.take(pa.array(np.sort(order[: int(share * len(ids))])))
    is_first = pc.is_in(valid["src"], value_set=first)
    return valid.filter(is_first), valid.filter(pc.invert(is_first))


def union(lists: Sequence[np.ndarray], n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The union of lists of items, for each row.

    lists: positions [rows, k] each, -1 for none, of n items.

    Returns items [rows, c]; a mask [rows, c], false for items that only fill up a row; and row
    numbers [rows, 1] to index with.
    """
    named = np.zeros((len(lists[0]), n), bool)
    for best in lists:
        row, rank = np.nonzero(best >= 0)
        named[row, best[row, rank]] = True
    items = np.argsort(~named, axis=1, kind="stable")[:, : int(named.sum(1).max(initial=0))]
    rows = np.arange(len(named))[:, None]
    return items, named[rows, items], rows


def _widen(array: np.ndarray, width: int, pad: float) -> np.ndarray:
    """The last axis filled up to `width`."""
    missing = [(0, 0)] * (array.ndim - 1) + [(0, width - array.shape[-1])]
    return np.pad(array, missing, constant_values=pad)


def z_scores(scores: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """Each row less its mean, over its standard deviation, both taken over `pool`.

    NaN is left out and stays NaN. A row that is constant over the pool has no order: it becomes 0.
    """
    # scoring with an ensemble costs passes over whole arrays: so they are few, and in the
    # precision of the scores
    scores = scores if scores.dtype.kind == "f" else scores.astype(np.float32)
    use = pool & ~np.isnan(scores)
    n = np.maximum(np.count_nonzero(use, axis=1, keepdims=True), 1)
    mean = (
        np.where(use, scores, scores.dtype.type(0)).sum(axis=1, keepdims=True, dtype=np.float64) / n
    )
    z = scores - mean.astype(scores.dtype)
    known = np.where(use, z, z.dtype.type(0))
    double = (row.astype(np.float64) for row in known)  # a row of it stays in the cache
    # not row @ row: BLAS starts its threads for every long row, which cost forty times the sum on
    # busy cores
    sums = (
        np.array([(row.sum(), np.einsum("i,i->", row, row)) for row in double]).reshape(-1, 2) / n
    )
    rest = sums[:, :1]  # what rounding left of the mean
    sd = np.sqrt(np.maximum(sums[:, 1:] - np.square(rest), 0))
    level = sd > 1e-6 * np.maximum(np.abs(mean), 1e-30)
    z -= rest.astype(z.dtype)
    z *= np.where(level, 1 / np.where(level, sd, 1), 0).astype(z.dtype)
    return z.astype(np.float32, copy=False)
