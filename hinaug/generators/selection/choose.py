"""Smaller deltas: by confidence, by agreement, spread out, or at random as their control.

Each function takes a delta with edges and gives one with fewer of them. What it chooses are pairs
of nodes: a pair that also stands in another relation, or in both directions, is kept or left out as
a whole, and counts once. All else in the delta stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hinaug import checks
from hinaug.checks import Rng
from hinaug.errors import ParameterError
from hinaug.features.columns import Column, Features
from hinaug.generators.base import resolve_size
from hinaug.generators.pairs import main_relation, twin_rows
from hinaug.graph import expect
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.merge import merge
from hinaug.graph.schema import EdgeType


def most_confident(delta: Delta, size: int | float, *, relation: EdgeType | None = None) -> Delta:
    """The pairs of highest confidence; ties by row order.

    Parameters
    ----------
    delta
        With edges of the relation.
    size
        How many pairs to keep: an int is a count, a float a share of them.
    relation
        None takes the first edge type of the delta, which is that of its generator.

    Example
    -------
    >>> made = {"src": list("abc"), "dst": list("xxx"), "confidence": [0.1, 0.3, 0.2]}
    >>> delta = Delta(edges={("user", "rates", "item"): made})
    >>> most_confident(delta, 2).edges["user", "rates", "item"]["src"].to_pylist()
    ['b', 'c']
    """
    relation = main_relation(delta, relation, "most_confident")
    return keep_best(delta, relation, delta.edges[relation]["confidence"].to_numpy(), size)


def at_random(
    delta: Delta, size: int | float, *, relation: EdgeType | None = None, rng: Rng = None
) -> Delta:
    """Pairs drawn at random: what every other selection is compared with.

    delta, size, relation: as for `most_confident`.

    Example
    -------
    >>> made = {"src": list("abcd"), "dst": list("xxxx")}
    >>> len(at_random(Delta(edges={("user", "rates", "item"): made}), 0.5, rng=0))
    2
    """
    relation = main_relation(delta, relation, "at_random")
    key = checks.generator(rng, "at_random").random(delta.edges[relation].num_rows)
    return keep_best(delta, relation, key, size)


def agreed(
    deltas: Sequence[Delta], size: int | float = 1.0, *, relation: EdgeType | None = None
) -> Delta:
    """The pairs that most deltas propose; among equals, those of highest mean confidence.

    Each row gets the mean confidence over the deltas that propose it, and a column "votes"; see
    `merge`. Deltas of generators that err in unlike ways are worth asking; copies are not.

    deltas: of several generators. size: how many of the distinct pairs to keep, a count or a share;
    1.0 keeps all. relation: as for `most_confident`.

    Example
    -------
    >>> rates = ("user", "rates", "item")
    >>> one = Delta(edges={rates: {"src": ["a", "b"], "dst": ["x", "x"], "confidence": [1, 0.4]}})
    >>> two = Delta(edges={rates: {"src": ["b", "c"], "dst": ["x", "x"], "confidence": [0.2, 1]}})
    >>> agreed([one, two], 1).edges[rates].select(["src", "votes"]).to_pylist()
    [{'src': 'b', 'votes': 2}]
    """
    both = merge(deltas, 1)
    relation = main_relation(both, relation, "agreed")
    rows = both.edges[relation]
    key = rows["votes"].to_numpy() + rows["confidence"].to_numpy() / 2  # votes come first
    return keep_best(both, relation, key, size)


def diverse(
    delta: Delta,
    hin: HIN,
    size: int | float,
    *,
    by: Column | list[Column] | np.ndarray = "x",
    relation: EdgeType | None = None,
) -> Delta:
    """Pairs whose targets lie far from each other: k-center over the targets, then by confidence.

    The targets are put in an order in which each one is the farthest from all before it, the first
    being that of the most confident pair (farthest-first traversal: Gonzalez, "Clustering to
    Minimize the Maximum Intercluster Distance", TCS 1985). Taken are the best pair of each target
    in this order, then the second best of each, and so on.

    Parameters
    ----------
    delta
        With edges of the relation.
    hin
        The graph that has the targets.
    size
        How many pairs to keep: an int is a count, a float a share of them.
    by
        Columns of the target type, see `Features`; or an array [targets, d], such as vectors of a
        predictor.
    relation
        None takes the first edge type of the delta.

    Raises SchemaError for targets that the graph does not have. Time O(targets of the delta^2 x d).

    Example
    -------
    >>> hin = HIN.from_tables({"item": {"id": list("xyz"), "f": [0.0, 0.1, 5.0]}}, {})
    >>> hin = hin.with_nodes("user", {"id": ["a"]})
    >>> made = {"src": list("aaa"), "dst": list("xyz"), "confidence": [0.9, 0.8, 0.1]}
    >>> delta = Delta(edges={("user", "rates", "item"): made})
    >>> diverse(delta, hin, 2, by="f").edges["user", "rates", "item"]["dst"].to_pylist()
    ['x', 'z']
    """
    expect.graph(hin, "diverse")
    relation = main_relation(delta, relation, "diverse")
    rows = delta.edges[relation]
    dst, confidence = hin.positions(relation[2], rows["dst"]), rows["confidence"].to_numpy()
    vectors = _vectors(hin, relation[2], by)
    best_first = np.argsort(-confidence, kind="stable")
    targets, first = np.unique(dst[best_first], return_index=True)
    place = _farthest_first(vectors[targets], int(np.argmin(first)))
    order = np.lexsort((-confidence, dst))
    start = np.searchsorted(dst[order], dst[order])
    turn = np.empty(len(order), np.int64)  # 0 for the best pair of a target, 1 for the second
    turn[order] = np.arange(len(order)) - start
    key = -(turn * len(targets) + place[np.searchsorted(targets, dst)])
    return keep_best(delta, relation, key, size)


def keep_best(delta: Delta, relation: EdgeType, key: np.ndarray, size: int | float) -> Delta:
    """The pairs of highest key; of both directions of a pair, the higher key counts.

    key: one number for each row of the relation. size: a count, or a share of the pairs.
    """
    repeats = dict(twin_rows(delta, relation))
    pair, unit = np.unique(repeats[relation], return_inverse=True)
    best = np.full(len(pair), -np.inf)
    np.maximum.at(best, unit, key)
    n = resolve_size(size, len(pair), "pairs of the delta")
    chosen = np.zeros(delta.edges[relation].num_rows, bool)
    chosen[pair[np.argsort(-best, kind="stable")[:n]]] = True
    return keep_pairs(delta, repeats, chosen)


def keep_pairs(delta: Delta, repeats: dict[EdgeType, np.ndarray], chosen: np.ndarray) -> Delta:
    """The chosen pairs with the rows that repeat them, and all rows that repeat none.

    repeats: see `twin_rows`. chosen: bool, at the first row of each pair.
    """
    return delta.select({edge: (row < 0) | chosen[row] for edge, row in repeats.items()})


def _vectors(hin: HIN, node: str, by: Any) -> np.ndarray:
    if not isinstance(by, np.ndarray):
        return Features(node, by).fit(hin).encode(hin)[0]
    if by.ndim != 2 or len(by) != hin.n(node):
        raise ParameterError(
            f"diverse: by is an array of {by.shape}; it has a row for each of the {hin.n(node):,} "
            f"{node!r} nodes",
            asked=by.shape,
            there=hin.n(node),
        )
    return by


def _farthest_first(x: np.ndarray, first: int) -> np.ndarray:
    """The place of each row [n, d] in a farthest-first traversal, int64 [n]."""
    place = np.empty(len(x), np.int64)
    distance = np.full(len(x), np.inf)
    at = first
    for step in range(len(x)):
        place[at] = step
        distance = np.minimum(distance, np.square(x - x[at]).sum(axis=1))
        distance[at] = -1
        at = int(np.argmax(distance))
    return place
