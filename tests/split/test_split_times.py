"""Splits by time where moments are close together or far away."""

import numpy as np
import pyarrow as pa
import pytest

from hinaug import HIN
from hinaug.split import audit, leave_last, temporal_split

RATES = ("user", "rates", "item")
CLOSE = 1_700_000_000_000_000_000


def rated(times):
    nodes = {"user": {"id": ["a", "b"]}, "item": {"id": ["w", "x", "y", "z"]}}
    ends = {"src": ["a", "a", "a", "b"], "dst": ["w", "x", "y", "z"]}
    return HIN.from_tables(nodes, {RATES: {**ends, "time": times}})


TIMES = {
    "integers of nanoseconds": pa.array([CLOSE, CLOSE + 40, CLOSE + 20, 5]),
    "time stamps of nanoseconds": pa.array([CLOSE, CLOSE + 40, CLOSE + 20, 5], pa.timestamp("ns")),
    "the first nanosecond": pa.array([1, 3, 2, 0], pa.timestamp("ns")),
    "year 9999": pa.array([1, 253402300799, 2, 0], pa.timestamp("s")),
    "year 9999 in microseconds": pa.array([1, 253402300799999999, 2, 0], pa.timestamp("us", "UTC")),
    "days": pa.array([1, 30, 2, 0], pa.date32()),
    "floats": pa.array([1.0, 1.5, 1.25, 0.0]),
}


@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES)
def test_the_last_pair_is_the_last_in_exact_time(times):
    split = leave_last(rated(times), RATES, valid=1, test=1, min_train=1)
    assert split.test["dst"].to_pylist() == ["x"]
    assert split.valid["dst"].to_pylist() == ["y"]
    assert split.how["ties"] == 0
    audit(split)


@pytest.mark.parametrize("name", [name for name in TIMES if "of nano" not in name])
def test_cuts_of_any_unit(name):
    split = temporal_split(rated(TIMES[name]), RATES, valid=0.25, test=0.25)
    assert split.test["dst"].to_pylist() == ["x"]
    assert np.isfinite(split.how["cuts"]).all()
    audit(split)


def ns(*past):
    return pa.array([CLOSE + p for p in past], pa.timestamp("ns"))


SEEN = {  # of (a, w) at 0, 20, 40 ns and 1 s after the moment; the last pair of a is at 30 ns
    "nanoseconds": (ns(0, 20, 40, 10**9), [True, True, False, False]),
    "integers": (pa.array([CLOSE + p for p in (0, 20, 40, 10**9)]), [True, True, False, False]),
    "seconds": (ns(0, 20, 40, 10**9).cast(pa.timestamp("s"), safe=False), [True] * 3 + [False]),
    "a null": (pa.array([CLOSE, None, CLOSE + 40, CLOSE + 10**9]), [True, True, False, False]),
}


@pytest.mark.parametrize("seen", SEEN)
def test_what_comes_nanoseconds_after_the_held_out_pair_leaves(seen):
    times, stays = SEEN[seen]
    is_stamp = pa.types.is_timestamp(times.type)
    of_pairs = ns(0, 10, 30, 0) if is_stamp else pa.array([CLOSE + p for p in (0, 10, 30, 0)])
    when = pa.concat_arrays([times, pa.nulls(1, times.type)])
    views = {"src": [*"aaaab"], "dst": ["w"] * 5, "time": when}
    hin = rated(of_pairs).with_edges(("user", "saw", "item"), views)
    split = leave_last(hin, RATES, valid=0, test=1)
    assert split.test["dst"].to_pylist() == ["y"]
    kept = split.train.edges["user", "saw", "item"]["time"].to_pylist()
    assert kept == [t for t, stay in zip(times.to_pylist(), stays, strict=True) if stay] + [None]
    audit(split)


def test_far_moments_stay_where_the_user_has_no_held_out_pair():
    hin = rated(ns(0, 10, 30, 0)).with_edges(
        ("user", "saw", "item"),
        {
            "src": ["a", "b"],
            "dst": ["w"] * 2,
            "time": pa.array([253402300799] * 2, pa.timestamp("s")),
        },
    )
    split = leave_last(hin, RATES, valid=0, test=1)
    assert split.train.links(("user", "saw", "item"))[0].tolist() == [1]
