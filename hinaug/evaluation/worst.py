"""The worst slices of held-out pairs, found by trees, judged on users and items they did not see.

A tree that is judged on the pairs it was grown on always finds a bad slice. Here users, and items,
are halved; a tree is grown on the pairs of one half, and its slices are judged on the other: an
"honest" tree (Athey & Imbens, PNAS 113, 2016). Items are halved too, because a narrow slice of
items, such as a range of prices, would pick out single items that happen to be hard, and these are
hard for all users.

There are three trees: by traits of users, of items, and of both. Each is grown twice, so that each
half judges once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from hinaug.evaluation.compare import holm
from hinaug.evaluation.traits import Traits

DEPTH = 3  # conditions of a slice, at most
LEAVES = 8  # of a tree, at most
LEAST_USERS = 20  # of a slice, in the half that judges
LEAST_ITEMS = 10  # the same for items
LEAST_SHARE = 0.02  # of the pairs
MOST_SHARE = 0.5  # a slice of more is no slice
MOST_OVERLAP = 0.5  # of the smaller of two slices; those that share more are one
USERS, ITEMS = 0, 1
LARGEST = 100_000  # pairs the tree is grown on, at most


@dataclass(frozen=True)
class Pairs:
    """Held-out pairs: whose they are, of which item, and how well they were ranked, each [n].

    users: rows of the user traits. items: rows of the item traits. gain: higher is better.
    weight: 1 / held-out pairs of the user, so that users count alike.
    """

    users: np.ndarray
    items: np.ndarray
    gain: np.ndarray
    weight: np.ndarray

    def take(self, chosen: np.ndarray) -> Pairs:
        return Pairs(*(x[chosen] for x in vars(self).values()))


@dataclass(frozen=True)
class Slice:
    """Pairs that meet some conditions, and how they do beside the rest, in the half that judges.

    where: the conditions in words. inside: which of all pairs meet them, bool [n].
    mean, rest: mean gain inside, and of the others. low, high: 95 % interval of mean - rest.
    p: one-sided, of a slice that is no worse than the rest, or no worse than its sibling in the
        tree; after Holm's correction for the slices looked at.
    users, pairs: how many there are in the half that judges. share: its part of all pairs, where
        users count alike.
    """

    where: str
    inside: np.ndarray
    mean: float
    rest: float
    low: float
    high: float
    p: float
    users: int
    pairs: int
    share: float


def worst_slices(
    pairs: Pairs, of_users: Traits, of_items: Traits, rng: np.random.Generator, level: float = 0.01
) -> tuple[list[Slice], int]:
    """The slices that are worse than the rest beyond chance, and how many were looked at.

    The surest comes first; no two share half of the smaller one's pairs. level: of the test, after
    correction.
    """
    table = _Table(pairs, of_users, of_items)
    halves = np.array([_halves(pairs.users, rng), _halves(pairs.items, rng)])
    found: list[Slice] = []
    for sides in ([USERS], [ITEMS], [USERS, ITEMS]):
        for first in (halves, ~halves):
            nodes = _grown(table, first, sides, rng)
            judged = (_judged(table, node, nodes, first) for node in nodes)
            found += [one for one in judged if one is not None]
    corrected = holm({i: one.p for i, one in enumerate(found)})
    return _distinct([(p, found[i]) for i, p in corrected.items() if p < level]), len(found)


def _distinct(slices: list[tuple[float, Slice]]) -> list[Slice]:
    """The surest slice, then the surest that is not the same pairs in other words, and so on."""
    chosen: list[Slice] = []
    for p, one in sorted(slices, key=lambda pair: pair[0]):
        if all(_overlap(one, other) <= MOST_OVERLAP for other in chosen):
            chosen.append(replace(one, p=p))
    return chosen


def _overlap(one: Slice, other: Slice) -> float:
    """The part of the smaller slice that lies in the larger one."""
    return float((one.inside & other.inside).sum() / min(one.inside.sum(), other.inside.sum()))


def _halves(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Whether each pair's user (or item) is in the first half of them, bool [n]."""
    _, code = np.unique(rows, return_inverse=True)
    n = int(code.max()) + 1 if len(code) else 0
    return (rng.permutation(n) < n / 2)[code]


# ---- the tree ------------------------------------------------------------------------------------


class _Table:
    """The traits of pairs: those of the user, then those of the item."""

    def __init__(self, pairs: Pairs, of_users: Traits, of_items: Traits) -> None:
        self.pairs, self.sides = pairs, (of_users, of_items)
        self.n_user_traits = len(of_users.traits)

    def side(self, column: int) -> tuple[int, int]:
        """USERS or ITEMS, whose trait it is, and its place there."""
        if column < self.n_user_traits:
            return USERS, column
        return ITEMS, column - self.n_user_traits

    def rows(self, chosen: np.ndarray, sides: list[int]) -> np.ndarray:
        """The traits of some pairs, float32 [chosen, width]; 0 for those of a side not asked for.

        A tree cannot split by a column of zeros.
        """
        users, items = self.pairs.users[chosen], self.pairs.items[chosen]
        parts = [self.sides[USERS].values[users], self.sides[ITEMS].values[items]]
        return np.hstack([part * np.float32(i in sides) for i, part in enumerate(parts)])

    def inside(self, node: _Node) -> np.ndarray:
        """Which pairs meet the conditions of a node, bool [n]."""
        out = np.ones(len(self.pairs.gain), bool)
        for column, (low, high) in node.ranges.items():
            side, at = self.side(column)
            values = self.sides[side].values[:, at].astype(np.float64)
            rows = (self.pairs.users, self.pairs.items)[side]
            out &= ((values > low) & (values <= high))[rows]
        return out

    def words(self, node: _Node) -> str:
        """The conditions of a node."""
        told = []
        for column, (low, high) in node.ranges.items():
            side, at = self.side(column)
            traits = self.sides[side]
            told.append(traits.traits[at].between(low, high, float(traits.least[at])))
        return " and ".join(told)


@dataclass(frozen=True)
class _Node:
    """A node of the tree: {column: (low, high)}, met where low < value <= high."""

    ranges: dict[int, tuple[float, float]]
    sibling: int  # its place among all nodes


def _grown(
    table: _Table, first: np.ndarray, sides: list[int], rng: np.random.Generator
) -> list[_Node]:
    """All nodes but the root of a tree that is grown on the first half, by traits of some sides."""
    from sklearn.tree import DecisionTreeRegressor

    chosen = np.flatnonzero(first[sides].all(axis=0))
    if len(chosen) > LARGEST:
        chosen = np.sort(rng.choice(chosen, LARGEST, replace=False))
    tree = DecisionTreeRegressor(
        max_depth=DEPTH,
        max_leaf_nodes=LEAVES,
        min_samples_leaf=max(LEAST_USERS // 2, int(LEAST_SHARE * len(chosen))),
        random_state=int(rng.integers(2**31)),
    )
    if not len(chosen):
        return []
    weight = table.pairs.weight[chosen]
    tree.fit(table.rows(chosen, sides), table.pairs.gain[chosen], sample_weight=weight)
    return list(_nodes(tree.tree_))


def _nodes(tree: Any) -> Iterator[_Node]:
    """Both children of each split, one after the other."""
    waiting: list[tuple[int, dict[int, tuple[float, float]]]] = [(0, {})]
    n_given = 0
    while waiting:
        at, ranges = waiting.pop()
        if tree.children_left[at] < 0:
            continue
        column, cut = int(tree.feature[at]), float(tree.threshold[at])
        low, high = ranges.get(column, (-np.inf, np.inf))
        left, right = {**ranges, column: (low, cut)}, {**ranges, column: (cut, high)}
        yield _Node(left, n_given + 1)
        yield _Node(right, n_given)
        n_given += 2
        waiting += [(tree.children_left[at], left), (tree.children_right[at], right)]


# ---- the judgement -------------------------------------------------------------------------------


def _judged(table: _Table, node: _Node, nodes: list[_Node], first: np.ndarray) -> Slice | None:
    """How a slice does on pairs that the tree has not seen; None where it is too small or large.

    A slice by traits of users alone is judged on other users and all items, one by traits of items
    on other items and all users.
    """
    sides = sorted({table.side(column)[0] for column in node.ranges})
    unseen = ~first[sides].any(axis=0)
    inside = table.inside(node)
    within, rest = inside & unseen, ~inside & unseen
    beside = table.inside(nodes[node.sibling]) & unseen
    weight = table.pairs.weight
    share = float(weight[inside].sum() / weight.sum())
    if not LEAST_SHARE <= share <= MOST_SHARE or not all(
        _is_enough(table.pairs.take(part)) for part in (within, rest, beside)
    ):
        return None
    against_rest = _difference(table.pairs, within, rest)
    against_sibling = _difference(table.pairs, within, beside)
    return Slice(
        where=table.words(node),
        inside=inside,
        mean=against_rest.mean,
        rest=against_rest.other,
        low=against_rest.low,
        high=against_rest.high,
        p=max(against_rest.p, against_sibling.p),
        users=len(np.unique(table.pairs.users[within])),
        pairs=int(within.sum()),
        share=share,
    )


def _is_enough(part: Pairs) -> bool:
    return len(np.unique(part.users)) >= LEAST_USERS and len(np.unique(part.items)) >= LEAST_ITEMS


@dataclass(frozen=True)
class _Difference:
    mean: float
    other: float
    low: float
    high: float
    p: float


def _difference(pairs: Pairs, one: np.ndarray, two: np.ndarray) -> _Difference:
    """Mean gain of one part less that of another, with users and items random.

    The variance by two ways of clustering (Cameron, Gelbach & Miller, Journal of Business &
    Economic Statistics 29, 2011), never less than by one of them; degrees of freedom from the
    effective number of clusters. p: that `one` is no worse.
    """
    means, influence = [], np.zeros(len(pairs.gain))
    for part, sign in ((one, 1), (two, -1)):
        weight = pairs.weight[part] / pairs.weight[part].sum()
        means.append(float(weight @ pairs.gain[part]))
        influence[part] += sign * weight * (pairs.gain[part] - means[-1])
    by_user, by_item = (_clustered(influence, rows) for rows in (pairs.users, pairs.items))
    variance = max(by_user + by_item - float(influence @ influence), by_user, by_item)
    clusters = min(
        _effective(pairs.weight[part], rows[part])
        for rows in (pairs.users, pairs.items)
        for part in (one, two)
    )
    error = np.sqrt(variance * clusters / (clusters - 1))
    gap, df = means[0] - means[1], clusters - 1
    p = float(stats.t.cdf(gap / error, df)) if error > 0 else float(gap >= 0)
    half = float(stats.t.isf(0.025, df) * error)
    return _Difference(means[0], means[1], gap - half, gap + half, p)


def _clustered(influence: np.ndarray, rows: np.ndarray) -> float:
    return float(np.square(np.bincount(rows, influence)).sum())


def _effective(weight: np.ndarray, rows: np.ndarray) -> float:
    """How many clusters of equal weight say as much; at least 2."""
    share = np.bincount(rows, weight) / weight.sum()
    return max(1 / float(share @ share), 2.0)
