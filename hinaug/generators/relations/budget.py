"""How many new links each node may have, and which ones are taken within these limits."""

from __future__ import annotations

from numbers import Integral
from typing import NamedTuple

import numpy as np

from hinaug.graph.pairs import sort_order


class Room(NamedTuple):
    """How many new links there may be.

    n: in all. of_sources, of_targets: of each node, int64 [nodes]; None for no limit. shared: a
    link counts at both of its ends alike, since it stands in both directions.
    """

    n: int
    of_sources: np.ndarray
    of_targets: np.ndarray | None
    shared: bool = False


def limits(amount: int | float, degree: np.ndarray) -> np.ndarray:
    """At most so many new links for each node, int64 [nodes].

    amount: an int is a count, a float a multiple of the mean degree of the nodes that have links,
        at least 1.
    degree: the links of each node.
    """
    if not isinstance(amount, Integral):
        linked = degree[degree > 0]
        amount = max(1, round(float(amount) * (linked.mean() if len(linked) else 0)))
    return np.full(len(degree), amount, np.int64)


def shares(degree: np.ndarray, n: int, rng: np.random.Generator | None) -> np.ndarray:
    """n new links in proportion to the degrees, int64 [nodes].

    rng: each share is rounded up or down at random, so that its mean is kept. None: up, and to at
    least 1.
    """
    # float64: the product of two counts may pass 2^31
    share = float(n) * degree / max(degree.sum(), 1)
    if rng is None:
        return np.clip(np.ceil(share), 1, 2.0**40).astype(np.int64)
    return np.diff(np.floor(np.cumsum(share) + rng.random()), prepend=0).astype(np.int64)


def standing_for(degree: np.ndarray, aimed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The degrees; nodes aimed at that have no links get those of others at random, or 1."""
    linked = degree[degree > 0]
    drawn = rng.choice(linked, len(degree)) if len(linked) else np.ones_like(degree)
    return np.where(aimed & (degree == 0), drawn, degree)


def within(links: tuple[np.ndarray, ...], room: Room) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first links, in the order given, that there is room for: sources, targets, confidence.

    links: sources, targets, confidence, and perhaps more. Where room is shared, each pair of nodes
    counts once, and both directions are given.
    """
    src, dst, confidence = links[:3]
    if room.shared:
        low, high = np.minimum(src, dst), np.maximum(src, dst)
        _, first = np.unique(low * len(room.of_sources) + high, return_index=True)
        first = np.sort(first)
        most = room.of_sources
        most = most if room.of_targets is None else np.minimum(most, room.of_targets)
        taken = first[greedy(low[first], high[first], most)[: room.n // 2]]
        ends = src[taken], dst[taken]
        return np.concatenate(ends), np.concatenate(ends[::-1]), np.tile(confidence[taken], 2)
    taken = np.arange(min(room.n, len(src)))
    if room.of_targets is not None:
        most = np.concatenate([room.of_sources, room.of_targets])
        taken = greedy(src, dst + len(room.of_sources), most)[: room.n]
    return src[taken], dst[taken], confidence[taken]


def greedy(a: np.ndarray, b: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Links taken one after another, in the order given, while both ends have room.

    In each round every link is taken that has fewer open links before it at each end than the end
    has room; links with a full end are out. That gives what a loop over the links would.

    a, b: the two ends as node numbers, int64 [n]; nodes of unlike types have unlike numbers.
    room: at most so many links for each node.

    Gives the rows taken, ascending. O(n) a round.
    """
    n = len(a)
    node, row = np.concatenate([a, b]), np.tile(np.arange(n), 2)
    order = sort_order(row, node)
    node, row = node[order], row[order]
    start = np.searchsorted(node, node)
    is_open, taken, room = np.ones(n, bool), np.zeros(n, bool), room.copy()
    while is_open.any():
        waits = is_open[row]
        before = np.cumsum(waits) - waits
        late = np.zeros(n, bool)
        late[row[waits & (before - before[start] >= room[node])]] = True
        now = is_open & ~late
        taken |= now
        room -= np.bincount(node[now[row]], minlength=len(room))
        is_open &= late & (room[a] > 0) & (room[b] > 0)
    return np.flatnonzero(taken)
