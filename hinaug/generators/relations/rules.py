"""What the observed links of a relation have in common, and proposed links shall keep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hinaug.generators.pairs import is_symmetric
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import PairIndex
from hinaug.graph.schema import EdgeType

BY_CHANCE = 5.0  # meetings at one node, of which chance would leave none once in 150 graphs


@dataclass(frozen=True)
class Rules:
    """The rules that every observed link of a relation keeps.

    functional: each source has at most one target, as in item - brand.
    injective: each target has at most one source, as in brand - item.
    symmetric: each link stands in both directions, as between friends.
    twins: {another relation between the same node types: the share of the links that it records
        too, and whether it does so from target to source}.
    """

    functional: bool
    injective: bool
    symmetric: bool
    twins: dict[EdgeType, tuple[float, bool]]


def rules_of(hin: HIN, relation: EdgeType) -> Rules:
    """The rules that the observed links of a relation keep. O(links of the node types it joins)."""
    pairs = PairIndex.of(hin, relation)
    by_source, by_target = (
        np.bincount(end, minlength=n)
        for end, n in zip((pairs.src, pairs.dst), pairs.shape, strict=True)
    )
    return Rules(
        functional=_has_one_each(by_source, by_target),
        injective=_has_one_each(by_target, by_source),
        symmetric=is_symmetric(pairs, relation),
        twins=_twins(hin, relation, pairs),
    )


def _has_one_each(own: np.ndarray, other: np.ndarray) -> bool:
    """Whether a node of one end has at most one link by rule: none has more, and either two nodes
    of the other end have several, or chance would have joined some.

    own, other: the links of each node of this and of the other end.
    """
    n = int(own.sum())
    if own.max(initial=0) != 1:
        return False
    return bool((other > 1).sum() >= 2 or n * (n - 1) / 2 / len(own) >= BY_CHANCE)


def _twins(hin: HIN, relation: EdgeType, pairs: PairIndex) -> dict[EdgeType, tuple[float, bool]]:
    ends = relation[0], relation[2]
    found = {}
    for edge in hin.observed().edges if len(pairs) else ():
        shares = {}
        if edge != relation and (edge[0], edge[2]) == ends:
            shares[False] = PairIndex.of(hin, edge).contains(pairs.src, pairs.dst).mean()
        if edge != relation and (edge[2], edge[0]) == ends:
            shares[True] = PairIndex.of(hin, edge).contains(pairs.dst, pairs.src).mean()
        if shares:
            turned = max(shares, key=lambda way: shares[way])
            found[edge] = (float(shares[turned]), turned)
    return found
