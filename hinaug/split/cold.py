"""Users or items that lose their links."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hinaug import checks
from hinaug.checks import Rng
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import random_order_within
from hinaug.graph.schema import EdgeType
from hinaug.split.base import TEST, TRAIN, VALID, RelationPairs, Split, build_split
from hinaug.split.last import last_of_each, rank_in_run
from hinaug.split.temporal import check_shares


def cold_users(
    hin: HIN,
    target: EdgeType,
    *,
    evidence: Sequence[str] = (),
    valid: float = 0.1,
    test: float = 0.1,
    known: int = 0,
    keep: Iterable[EdgeType] = (),
    rng: Rng = None,
) -> Split:
    """A share of the users lose all their pairs but `known` random ones.

    They keep their attributes and other edges. valid, test: shares of the users. evidence: node
    types that witness a pair. keep: twin relations that stay.
    """
    return _cold(hin, target, 0, evidence, valid, test, known, keep, rng)


def cold_items(
    hin: HIN,
    target: EdgeType,
    *,
    evidence: Sequence[str] = (),
    valid: float = 0.1,
    test: float = 0.1,
    known: int = 0,
    warm: float = 0.0,
    keep: Iterable[EdgeType] = (),
    rng: Rng = None,
) -> Split:
    """A share of the items lose all their pairs but `known` random ones.

    They keep their attributes and other edges. valid, test: shares of the items. evidence: node
    types that witness a pair. keep: twin relations that stay.

    warm: of each user's pairs with the other items, this share is held out for valid and as much
        for test (for none of them whose own share is 0); the user keeps one. Then new and other
        items are wanted in one list, as `evaluate(..., protocol="joint")` judges it. With 0 only
        new items are held out: among these alone the order counts, so judge it with
        `protocol="new"`.
    """
    return _cold(hin, target, 1, evidence, valid, test, known, keep, rng, warm)


def _cold(
    hin: HIN,
    target: EdgeType,
    end: int,
    evidence: Any,
    valid: float,
    test: float,
    known: int,
    keep: Any,
    rng: Rng,
    warm: float = 0.0,
) -> Split:
    who = "cold_items" if end else "cold_users"
    check_shares(valid, test)
    checks.whole(known, f"{who}: known")
    rng = checks.generator(rng, who)
    pairs = RelationPairs(who, hin, target)
    node = pairs.dst if end else pairs.src
    active = np.flatnonzero(np.bincount(node))
    chosen = rng.permutation(active)
    n_test, n_valid = round(test * len(active)), round(valid * len(active))
    role = np.zeros(hin.n_observed(target[2 if end else 0]), np.int8)
    role[chosen[:n_test]] = TEST
    role[chosen[n_test : n_test + n_valid]] = VALID
    part = role[node]
    if known:
        order = random_order_within(node, rng)
        rank = np.empty(len(pairs), np.int64)
        rank[order] = rank_in_run(node[order])
        part = np.where(rank < known, TRAIN, part)
    part = part.astype(np.int8)
    how: dict[str, Any] = {"split": who, "valid": valid, "test": test, "known": known}
    if warm:
        shares = (warm if valid else 0.0, warm if test else 0.0)
        _hold_out_warm(pairs, part, np.flatnonzero(role[node] == TRAIN), shares, rng)
        how["warm"] = warm
    return build_split(pairs, part, evidence, keep, how)


def _hold_out_warm(
    pairs: RelationPairs,
    part: np.ndarray,
    rows: np.ndarray,
    shares: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    """Marks shares of each user's pairs among `rows` as VALID and as TEST, in `part`."""
    valid, test = (float(share) for share in shares)
    check_shares(valid, test)
    rows = rows[random_order_within(pairs.src[rows], rng)]
    part[rows] = last_of_each(pairs.src[rows], valid, test, 1, rng)
