"""The last pairs of each user."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral

import numpy as np

from hinaug import checks
from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType
from hinaug.split.base import TEST, TRAIN, VALID, RelationPairs, Split, build_split, check_time_name


def leave_last(
    hin: HIN,
    target: EdgeType,
    *,
    evidence: Sequence[str] = (),
    time: str = "time",
    valid: int = 1,
    test: int = 1,
    min_train: int = 1,
    keep: Iterable[EdgeType] = (),
) -> Split:
    """The last pairs of each user are held out. A pair happens when it is first seen; ties are
    broken by row order.

    Rows of every other table that touch the user and carry a later time leave too, each user having
    an own moment: when the first pair was held out. A null time stays.
    """
    check_time_name(time, "leave_last")
    pairs = RelationPairs("leave_last", hin, target, time)
    order = np.lexsort((pairs.first, pairs.time, pairs.src))
    src, when = pairs.src[order], pairs.time[order]
    part = np.empty(len(pairs), np.int8)
    part[order] = sorted_part = last_of_each(src, valid, test, min_train, None)
    cut = (sorted_part[1:] != sorted_part[:-1]) & (src[1:] == src[:-1])
    ties = int((cut & (when[1:] == when[:-1])).sum())
    how = {"split": "leave_last", "valid": valid, "test": test, "time": time, "ties": ties}
    return build_split(pairs, part, evidence, keep, how, time=time)


def last_of_each(
    src: np.ndarray,
    valid: float | int,
    test: float | int,
    min_train: int,
    rng: np.random.Generator | None,
) -> np.ndarray:
    """TRAIN, VALID or TEST for pairs sorted by user: the last ones of each user are held out."""
    group, size = runs(src)
    checks.whole(min_train, "min_train")
    counts = []
    for name, share in (("valid", valid), ("test", test)):
        checks.number(share, name, "a share in [0, 1) or a count of pairs per user")
        whole = isinstance(share, Integral)
        if share < 0 or (not whole and share >= 1):
            raise ParameterError(
                f"{name}={share!r}: a share in [0, 1) or a count of pairs per user is needed"
            )
        exact = np.full(len(size), share) if whole else size * share
        counts.append(
            np.floor(
                exact + (rng.random(len(size)) if rng is not None and not whole else 0)
            ).astype(np.int64)
        )
    free = np.maximum(size - min_train, 0)
    n_test = np.minimum(counts[1], free)
    n_valid = np.minimum(counts[0], free - n_test)
    from_end = size[group] - 1 - rank_in_run(src)
    part = np.where(
        from_end < n_test[group], TEST, np.where(from_end < (n_test + n_valid)[group], VALID, TRAIN)
    )
    return part.astype(np.int8)


def runs(sorted_values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row its group's number, and each group's size."""
    group = (
        np.cumsum(np.append(True, sorted_values[1:] != sorted_values[:-1])[: len(sorted_values)])
        - 1
    )
    return group, np.bincount(group)


def rank_in_run(sorted_values: np.ndarray) -> np.ndarray:
    """0, 1, 2, ... within runs of equal values."""
    return np.arange(len(sorted_values)) - np.searchsorted(sorted_values, sorted_values)
