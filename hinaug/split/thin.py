"""The same test under sparser data."""

from __future__ import annotations

import numpy as np

from hinaug import checks
from hinaug.checks import Rng
from hinaug.errors import KindError, ParameterError
from hinaug.graph.pairs import random_order_within
from hinaug.split.base import DROPPED, TEST, TRAIN, VALID, RelationPairs, Split, build_split
from hinaug.split.last import rank_in_run, runs


def thin(split: Split, share: float, rng: Rng = None) -> Split:
    """The same test under sparser data: each user keeps only `share` of the pairs before the test.

    Each user keeps at least one pair. The pairs taken out of train go with their evidence and are
    in no part. All of `valid` stays to choose by, but only `share` of it joins `train_valid`, so
    that the refit is as thin as the fit.
    """
    if not isinstance(split, Split):
        raise KindError(
            f"thin takes a Split, got {checks.kind(split)}; make one with random_split or "
            "leave_last"
        )
    if not (checks.is_number(share) and 0 < share <= 1):
        raise ParameterError(
            f"thin: share={share!r} is no number in (0, 1], such as 0.5 for every second pair"
        )
    rng = checks.generator(rng, "thin")
    time = split.how.get("time")
    pairs = RelationPairs("thin", split.source, split.target, time)
    in_train = pairs.in_graph(split.train)
    in_valid, in_test = pairs.in_table(split.valid), pairs.in_table(split.test)
    part = np.full(len(pairs), DROPPED, np.int8)
    part[in_train] = TRAIN
    part[in_valid] = VALID
    part[in_test] = TEST
    left = np.zeros(len(pairs), bool)
    for which, least in ((in_train, 1), (in_valid, 0)):
        rows = np.flatnonzero(which)
        rows = rows[random_order_within(pairs.src[rows], rng)]
        group, size = runs(pairs.src[rows])
        wanted = np.maximum(np.floor(size * share + rng.random(len(size))).astype(np.int64), least)
        left[rows[rank_in_run(pairs.src[rows]) < wanted[group]]] = True
    keep = tuple((str(a), str(r), str(b)) for a, r, b in split.how.get("keep", ()))
    how = {**split.how, "thin": share}
    return build_split(
        pairs, part, split.evidence, keep, how, left=left, time=time, cuts=split.how.get("cuts")
    )
