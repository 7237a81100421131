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
