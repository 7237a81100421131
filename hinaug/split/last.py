"""The last pairs of each user."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral

import numpy as np

from hinaug import checks
from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import sort_order
from hinaug.graph.schema import EdgeType
from hinaug.split.base import (
    TEST,
    TRAIN,
    VALID,
    RelationPairs,
    Split,
    build_split,
    check_time_name,
    time_keys,
)


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
    """The last pairs of each user are held out, in the order in which each is first seen.

    Ties in time are broken by row order. Rows of every other table that touch the user leave too
    if they are later than the user's first held-out pair; a row with a null time stays.

    valid, test: how many pairs of each user, or a share of them.
    time: the column of the edges that says when.
    min_train: how many pairs each user keeps at least.
    evidence: node types that witness a pair. keep: twin relations that stay.
    """
    check_time_name(time, "leave_last")
    pairs = RelationPairs("leave_last", hin, target, time)
    part = np.empty(len(pairs), np.int8)
    ties = 0
    for block in pairs.blocks():
        assert pairs.order is not None
        src, when = pairs.src[block], pairs.order[block]
        order = sort_order(pairs.first_row[block], time_keys(when), src)
        part[block][order] = in_order = last_of_each(src, valid, test, min_train, None)
        when = when[order]
        cut = (in_order[1:] != in_order[:-1]) & (src[1:] == src[:-1])
        ties += int((cut & (when[1:] == when[:-1])).sum())
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
    from_end, size = rank_from_end(src)
    counts = held_out_counts(size, valid, test, min_train, rng)
    return parts_of_last(from_end, *(np.repeat(count, size) for count in counts))


def rank_from_end(sorted_values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """..., 2, 1, 0 within runs of equal values, and the size of each run."""
    group, size = runs(sorted_values)
    return size[group] - 1 - rank_in_run(sorted_values), size


def held_out_counts(
    size: np.ndarray,
    valid: float | int,
    test: float | int,
    min_train: int,
    rng: np.random.Generator | None,
) -> tuple[np.ndarray, np.ndarray]:
    """How many pairs of each user go to valid and to test, of `size` [users] pairs."""
    checks.whole(min_train, "min_train")
    wanted_valid, wanted_test = (
        _wanted_of_each(name, share, size, rng)
        for name, share in (("valid", valid), ("test", test))
    )
    spare = np.maximum(size - min_train, 0)
    n_test = np.minimum(wanted_test, spare)
    return np.minimum(wanted_valid, spare - n_test), n_test


def parts_of_last(from_end: np.ndarray, n_valid: np.ndarray, n_test: np.ndarray) -> np.ndarray:
    """TRAIN, VALID or TEST of each pair, by its place from the end of its user's and the user's
    counts.
    """
    part = np.full(len(from_end), TRAIN, np.int8)
    part[from_end < n_test + n_valid] = VALID
    part[from_end < n_test] = TEST
    return part


def _wanted_of_each(
    name: str, share: float | int, size: np.ndarray, rng: np.random.Generator | None
) -> np.ndarray:
    """How many pairs of each user, of `size` [users], are asked for; with `rng` shares are rounded
    at random, else down.
    """
    checks.number(share, name, "a share in [0, 1) or a count of pairs per user")
    is_count = isinstance(share, Integral)
    if share < 0 or (not is_count and share >= 1):
        raise ParameterError(
            f"{name}={share!r}: a share in [0, 1) or a count of pairs per user is needed",
            asked=share,
        )
    if is_count:
        return np.full(len(size), share, np.int64)
    return np.floor(size * share + (0 if rng is None else rng.random(len(size)))).astype(np.int64)


def runs(sorted_values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row the number of its group of equal values, and the size of each group."""
    starts = _starts(sorted_values)
    size = np.diff(np.append(starts, len(sorted_values)))
    return np.repeat(np.arange(len(size)), size), size


def rank_in_run(sorted_values: np.ndarray) -> np.ndarray:
    """0, 1, 2, ... within runs of equal values."""
    starts = _starts(sorted_values)
    size = np.diff(np.append(starts, len(sorted_values)))
    return np.arange(len(sorted_values)) - np.repeat(starts, size)


def _starts(sorted_values: np.ndarray) -> np.ndarray:
    """The row at which each run of equal values starts."""
    is_start = np.ones(len(sorted_values), bool)
    is_start[1:] = sorted_values[1:] != sorted_values[:-1]
    return np.flatnonzero(is_start)
