"""Which nodes links are proposed for, which of them are new, and links held out to learn from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from hinaug.errors import ParameterError
from hinaug.graph.evidence import without_pairs
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import PairIndex, relation_shape
from hinaug.graph.schema import EdgeType

HIDDEN = 0.1  # share of the linked nodes that stand for new ones

# Which ends of a pair have no links yet: what a model knows of such nodes differs.
LINKED, NEW_SOURCE, NEW_TARGET, NEW_BOTH = "linked", "new source", "new target", "new pair"
NEW_ENDS = {
    LINKED: (False, False),
    NEW_SOURCE: (True, False),
    NEW_TARGET: (False, True),
    NEW_BOTH: (True, True),
}
NOTHING = "nothing"  # the kind of all pairs of a relation without links


def with_relation(hin: HIN, relation: EdgeType) -> HIN:
    """The graph, with an empty relation where it has none."""
    if relation in hin.observed().edges:
        return hin
    return hin.with_edges(
        relation, pa.table({side: pa.array([], pa.string()) for side in ("src", "dst")})
    )


def degrees(hin: HIN, relation: EdgeType) -> tuple[np.ndarray, np.ndarray]:
    """How many links each observed source and each observed target has, through the deltas."""
    n_sources, n_targets = relation_shape(hin.observed(), relation)
    visible = hin.adjacency(relation)[:n_sources, :n_targets]
    by_source = np.diff(visible.indptr).astype(np.int64)
    return by_source, np.bincount(visible.indices, minlength=n_targets)


def nodes_asked(hin: HIN, relation: EdgeType, end: int, asked: Any) -> np.ndarray:
    """Which observed sources (end 0) or targets (end 1) are meant, bool [nodes].

    asked: None for all, "cold" for those without an observed link, a bool mask, or external ids.
    """
    node = relation[2 * end]
    n = hin.n_observed(node)
    if asked is None:
        return np.ones(n, bool)
    if isinstance(asked, str) and asked == "cold":
        return degrees(hin.observed(), relation)[end] == 0
    if isinstance(asked, np.ndarray) and asked.dtype == bool:
        if asked.shape != (n,):
            raise ParameterError(
                f"RelationGenerator: a mask of {asked.shape} for {n:,} observed {node!r} nodes; "
                "give one bool for each, external ids, or 'cold'",
                asked=asked.shape,
                there=n,
            )
        return asked.copy()
    mask = np.zeros(n, bool)
    mask[hin.observed().positions(node, [asked] if isinstance(asked, str) else asked)] = True
    return mask


def kinds_of_pairs(
    hin: HIN, relation: EdgeType, pairs: pa.Table, kinds: Iterable[str]
) -> list[str]:
    """The kinds of which there are enough in a table of held-out pairs: a tenth of them."""
    held = PairIndex.from_ids(hin, relation, pairs)
    by_source, by_target = degrees(hin, relation)
    is_new = np.stack([by_source[held.src] == 0, by_target[held.dst] == 0], axis=1)
    return [
        kind
        for kind in kinds
        if len(held)
        and (kind == NOTHING or (is_new == NEW_ENDS[kind]).all(axis=1).mean() >= HIDDEN)
    ]


def hide(
    hin: HIN,
    relation: EdgeType,
    kind: str,
    holdout: float,
    symmetric: bool,
    evidence: Sequence[str],
    rng: np.random.Generator,
) -> tuple[HIN, pa.Table]:
    """The graph without some observed pairs and their evidence, and those pairs.

    For pairs of linked nodes, a share `holdout` of them, of which every source keeps one. For new
    nodes, all pairs of a tenth of the nodes with links. symmetric: pairs leave in both directions.
    """
    observed = hin.observed()
    pairs = PairIndex.of(observed, relation)
    if kind == LINKED:
        chosen = _spare_pairs(pairs, relation, holdout, symmetric, rng)
    else:
        end = pairs.dst if kind == NEW_TARGET else pairs.src
        nodes = np.flatnonzero(np.bincount(end))
        hidden = rng.choice(nodes, max(1, round(HIDDEN * len(nodes))), replace=False)
        chosen = np.flatnonzero(np.isin(end, hidden))
    held = pairs.take(np.sort(chosen))
    table = pa.table(
        {"src": observed.ids(relation[0], held.src), "dst": observed.ids(relation[2], held.dst)}
    )
    return without_pairs(hin, relation, held, evidence), table


def _spare_pairs(
    pairs: PairIndex,
    relation: EdgeType,
    holdout: float,
    symmetric: bool,
    rng: np.random.Generator,
) -> np.ndarray:
    """A random share of the pairs, of which every source keeps one; row numbers."""
    order = rng.permutation(len(pairs))
    spare = np.ones(len(pairs), bool)
    _, first = np.unique(pairs.src[order], return_index=True)
    spare[order[first]] = False
    n = max(1, round(holdout * len(pairs)))
    if symmetric:
        reverse = pairs.find(pairs.dst, pairs.src)
        half = order[(spare & spare[reverse] & (pairs.src < pairs.dst))[order]][: max(1, n // 2)]
        chosen = np.append(half, reverse[half])
    else:
        chosen = order[spare[order]][:n]
    if len(chosen) == 0:
        raise ParameterError(
            f"RelationGenerator: none of the {len(pairs)} {relation} pairs can be held out, since "
            "each is the only one of its source; pass valid= with pairs to calibrate on, or "
            "functional=True if a source has one target at most",
            asked=holdout,
            there=len(pairs),
        )
    return chosen
