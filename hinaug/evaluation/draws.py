"""What the trials of a search are judged by: draws of validation pairs, the same for all trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.ensembles.base import Ensemble, split_valid
from hinaug.errors import ParameterError
from hinaug.evaluation.variance import Spread, spread
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import random_order_within
from hinaug.predictors.base import LinkPredictor
from hinaug.split.base import TRAIN, VALID, RelationPairs, Split, build_split
from hinaug.split.last import rank_in_run
from hinaug.training.validation import Validation


@dataclass(frozen=True)
class Draw:
    """One fit of a trial, and what it is judged by.

    train: the graph to fit on.
    valid: the pairs that the fit may make choices by, such as when to stop, or weights.
    measure: NDCG@k of the pairs that it is judged by.
    seed: of the fit.
    """

    train: HIN
    valid: pa.Table
    measure: Validation
    seed: int


def draws(
    predictor: LinkPredictor, split: Split, users: int | float | None, n: int, k: int, seed: int
) -> list[Draw]:
    """The draws by which every trial of a search is judged; the first has the split's own pairs.

    The others have as many pairs of each user, drawn anew from train and valid, where the split
    was drawn at random. By any other rule (time, cold items) there is one set of pairs: there the
    fit is repeated with another seed.

    An ensemble that learns from valid is judged by pairs that it did not learn from: it is given
    the pairs of half of the users, and judged by those of the others; the next draw swaps them.
    """
    learns = isinstance(predictor, Ensemble) and predictor.supervised
    found = []
    for i in range(n):
        train, pairs = _redrawn(split, seed + i) if i else (split.train, split.valid)
        valid = sample(pairs, users, seed + (i if pairs is not split.valid else 0))
        given, judged = _halves(valid, seed + i // 2, swap=i % 2 == 1) if learns else (valid, valid)
        found.append(Draw(train, given, Validation(train, split.target, judged, k), seed + i))
    return found


def _redrawn(split: Split, seed: int) -> tuple[HIN, pa.Table]:
    """(train, valid) of another draw, or those of the split where its rule allows no other."""
    graph = split.train_valid
    if split.how.get("split") != "random_split" or graph.deltas or split.train.deltas:
        return split.train, split.valid
    pairs = RelationPairs("tune", graph, split.target)
    counts = np.bincount(
        graph.positions(split.target[0], split.valid["src"]), minlength=graph.n(split.target[0])
    )
    order = random_order_within(pairs.src, np.random.default_rng(seed))
    is_valid = np.empty(len(pairs), bool)
    is_valid[order] = rank_in_run(pairs.src[order]) < counts[pairs.src[order]]
    part = np.where(is_valid, VALID, TRAIN).astype(np.int8)
    keep = [(source, name, target) for source, name, target in split.how.get("keep", ())]
    drawn = build_split(pairs, part, split.evidence, keep, dict(split.how))
    return drawn.train, drawn.valid


def sample(valid: pa.Table, users: int | float | None, seed: int) -> pa.Table:
    """The pairs of some users: that many, or that share of them; all where `users` is None."""
    if users is None:
        return valid
    ids = pc.unique(valid["src"])
    n = users if isinstance(users, int) else round(users * len(ids))
    if n < 1:
        raise ParameterError(
            f"tune: users={users!r}; a count of at least 1, or a share of the {len(ids):,} users "
            "in (0, 1]",
            asked=users,
            there=len(ids),
        )
    if n >= len(ids):
        return valid
    chosen = np.sort(np.random.default_rng(seed).choice(len(ids), n, replace=False))
    return valid.filter(pc.is_in(valid["src"], value_set=ids.take(pa.array(chosen))))


def _halves(valid: pa.Table, seed: int, swap: bool) -> tuple[pa.Table, pa.Table]:
    """The pairs of half of the users, and those of the others."""
    first, second = split_valid(valid, 0.5, seed)
    if not first.num_rows:
        n = pc.count_distinct(second["src"]).as_py()
        raise ParameterError(
            "tune: an ensemble needs validation pairs of two users at least: of one half for its "
            f"weights, of the other to be judged by; there is {n}; hold out more pairs",
            there=n,
        )
    return (second, first) if swap else (first, second)


def difference(
    best: Sequence[np.ndarray], other: Sequence[np.ndarray], judged: Sequence[Draw]
) -> Spread:
    """The variance of the difference of two trials over users, and over draws if there are some.

    best, other: for each draw the values of its users.
    """
    users = np.unique(np.concatenate([draw.measure.users for draw in judged]))
    layout = np.full((len(judged), len(users)), np.nan)
    for row, draw, one, two in zip(layout, judged, best, other, strict=True):
        row[np.searchsorted(users, draw.measure.users)] = one - two
    return spread(np.nanmean(layout, axis=0), [layout])
