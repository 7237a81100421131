"""The pairs after one moment, the same for all users."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from hinaug import checks
from hinaug.errors import ParameterError, SchemaError
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType
from hinaug.split.base import TEST, TRAIN, VALID, RelationPairs, Split, build_split, check_time_name


def temporal_split(
    hin: HIN,
    target: EdgeType,
    *,
    evidence: Sequence[str] = (),
    time: str = "time",
    valid: float = 0.1,
    test: float = 0.1,
    cuts: tuple[float, float] | None = None,
    keep: Iterable[EdgeType] = (),
) -> Split:
    """One moment for all users: train ends at the first cut, valid at the second, test follows.

    A pair happens when it is first seen. Pairs at the very moment of a cut stay on the early side
    and are counted as ties. Rows of every other table that has a column of this name are cut at
    the same moments; a row with a null time stays.

    valid, test: shares of the pairs, which set the cuts.
    cuts: instead of the shares, (first, second) in the unit of `time` (time stamps: seconds).
    time: the column of the edges that says when.
    evidence: node types that witness a pair. keep: twin relations that stay.
    """
    check_time_name(time, "temporal_split")
    pairs = RelationPairs("temporal_split", hin, target, time)
    if cuts is None:
        check_shares(valid, test)
        cuts = _cuts_of_shares(pairs, valid, test)
    _check_cuts(cuts, time)
    part = np.full(len(pairs), TRAIN, np.int8)
    part[pairs.time > cuts[0]] = VALID
    part[pairs.time > cuts[1]] = TEST
    ties = int((pairs.time == cuts[0]).sum() + (pairs.time == cuts[1]).sum())
    how = {"split": "temporal_split", "time": time, "cuts": list(cuts), "ties": ties}
    return build_split(pairs, part, evidence, keep, how, time=time, cuts=cuts)


def _cuts_of_shares(pairs: RelationPairs, valid: float, test: float) -> tuple[float, float]:
    """The moments after which valid and test pairs lie."""
    n = len(pairs)
    if n == 0:
        raise SchemaError(
            f"temporal_split: the graph has no edges {pairs.target}; add some, or give "
            "cuts=(first, second)",
            asked=pairs.target,
        )
    ordered = np.sort(pairs.time)
    ends = (max(int(np.ceil(n * (1 - held))) - 1, 0) for held in (valid + test, test))
    first, second = (float(ordered[end]) for end in ends)
    return first, second


def _check_cuts(cuts: tuple[float, float], time: str) -> None:
    is_pair = np.shape(cuts) == (2,) and all(checks.is_number(cut) for cut in cuts)
    if not is_pair or cuts[0] > cuts[1]:
        raise ParameterError(
            f"temporal_split: cuts={cuts}: two numbers in the unit of {time!r} (of a time stamp: "
            "seconds), of which the first comes before the second",
            asked=cuts,
        )


def check_shares(valid: float, test: float) -> None:
    for name, share in (("valid", valid), ("test", test)):
        checks.number(share, name, "a share in [0, 1)")
    if not (0 <= valid < 1 and 0 <= test < 1 and valid + test < 1):
        raise ParameterError(
            f"valid={valid!r} and test={test!r}: shares in [0, 1) are needed that leave something "
            "to train on, such as 0.1 and 0.1"
        )
