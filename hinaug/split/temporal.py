"""One moment for all."""

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
    """One moment for all: train lies up to the first cut, valid up to the second, test after it.

    valid, test: shares of the pairs, which set the cuts; or give cuts=(first, second) in the unit
    of `time`. A pair happens when it is first seen; pairs at the very moment of a cut stay on the
    early side and are counted as ties. Rows of every other table that has a column of this name are
    cut at the same moments; a null time stays.
    """
    check_time_name(time, "temporal_split")
    pairs = RelationPairs("temporal_split", hin, target, time)
    if cuts is None:
        check_shares(valid, test)
        ordered = np.sort(pairs.time)
        n = len(ordered)
        if n == 0:
            raise SchemaError(
                f"temporal_split: the graph has no edges {target}; add some, or give cuts=(first, "
                "second)"
            )
        at = [
            max(int(np.ceil(n * (1 - valid - test))) - 1, 0),
            max(int(np.ceil(n * (1 - test))) - 1, 0),
        ]
        cuts = (float(ordered[at[0]]), float(ordered[at[1]]))
    if (
        np.shape(cuts) != (2,)
        or not all(checks.is_number(cut) for cut in cuts)
        or cuts[0] > cuts[1]
    ):
        raise ParameterError(
            f"temporal_split: cuts={cuts}: two numbers in the unit of {time!r} (of a time stamp: "
            "seconds), of which "
            "the first comes before the second"
        )
    part = np.where(
        pairs.time > cuts[1], TEST, np.where(pairs.time > cuts[0], VALID, TRAIN)
    ).astype(np.int8)
    ties = int((pairs.time == cuts[0]).sum() + (pairs.time == cuts[1]).sum())
    how = {"split": "temporal_split", "time": time, "cuts": list(cuts), "ties": ties}
    return build_split(pairs, part, evidence, keep, how, time=time, cuts=cuts)


def check_shares(valid: float, test: float) -> None:
    for name, share in (("valid", valid), ("test", test)):
        checks.number(share, name, "a share in [0, 1)")
    if not (0 <= valid < 1 and 0 <= test < 1 and valid + test < 1):
        raise ParameterError(
            f"valid={valid!r} and test={test!r}: shares in [0, 1) are needed that leave something "
            "to train on, such as 0.1 and 0.1"
        )
