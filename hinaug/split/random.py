"""Random pairs of each user."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from hinaug import checks
from hinaug.checks import Rng
from hinaug.graph import spill
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import random_order_within
from hinaug.graph.schema import EdgeType
from hinaug.split.base import RelationPairs, Split, build_split
from hinaug.split.last import held_out_counts, parts_of_last, rank_from_end


def random_split(
    hin: HIN,
    target: EdgeType,
    *,
    evidence: Sequence[str] = (),
    valid: float | int = 0.1,
    test: float | int = 0.1,
    min_train: int = 1,
    keep: Iterable[EdgeType] = (),
    rng: Rng = None,
) -> Split:
    """For each user, pairs drawn at random are held out.

    valid, test: a share of each user's pairs (rounded at random, so without bias), or a count.
    evidence: node types that witness a pair, such as "review".
    keep: twin relations that shall stay although they join held-out pairs; `audit` will name them.
    min_train: how many pairs each user keeps at least.
    """
    rng = checks.generator(rng, "random_split")
    pairs = RelationPairs("random_split", hin, target)
    from_end = spill.empty(len(pairs), np.int32)  # the place of each pair in its user's order
    sizes = []
    for block in pairs.blocks():
        src = pairs.src[block]
        order = random_order_within(src, rng)
        from_end[block][order], size = rank_from_end(src)
        sizes.append(size)
    held = held_out_counts(np.concatenate(sizes), valid, test, min_train, rng)
    part = np.empty(len(pairs), np.int8)
    n = 0
    for block, size in zip(pairs.blocks(), sizes, strict=True):
        counts = (np.repeat(count[n : n + len(size)], size) for count in held)
        part[block] = parts_of_last(from_end[block], *counts)
        n += len(size)
    how = {"split": "random_split", "valid": valid, "test": test}
    return build_split(pairs, part, evidence, keep, how)
