"""Per user at random."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from hinaug import checks
from hinaug.checks import Rng
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType
from hinaug.split.base import RelationPairs, Split, build_split
from hinaug.split.last import last_of_each


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
    """Per user at random. valid, test: a share of each user's pairs (rounded at random, so
    unbiased), or a count.

    evidence: node types that witness a pair, such as "review". keep: twin relations that shall stay
    although they join held-out pairs (`audit` will name them). min_train: pairs that each user
    keeps at least.
    """
    rng = checks.generator(rng, "random_split")
    pairs = RelationPairs("random_split", hin, target)
    order = np.lexsort((rng.random(len(pairs)), pairs.src))
    part = last_of_each(pairs.src[order], valid, test, min_train, rng)
    out = np.empty(len(pairs), np.int8)
    out[order] = part
    return build_split(
        pairs, out, evidence, keep, {"split": "random_split", "valid": valid, "test": test}
    )
