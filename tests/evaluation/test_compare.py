"""compare and holm: paired over users, seeds averaged, slices that add up."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hinaug.errors import UnknownNameError
from hinaug.evaluation.compare import compare, holm
from hinaug.evaluation.result import Result


def result(values, users=None, groups=None, on="test", **overall):
    values = np.asarray(values, float)
    users = users if users is not None else [f"u{k}" for k in range(len(values))]
    groups = np.asarray(groups if groups is not None else ["0-5"] * len(values), object)
    return Result(
        "model",
        on,
        pa.array(users, pa.string()),
        {"NDCG@20": values},
        overall,
        {"train degree": groups},
    )


A = [0.1, 0.5, 0.3, 0.0, 0.9]
B = [0.2, 0.5, 0.5, 0.1, 0.8]


def test_the_paired_t_test_by_scipy():
    found = compare(result(A), result(B))
    expected = stats.ttest_rel(B, A)
    assert found.p == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.difference == pytest.approx(np.mean(B) - np.mean(A))
    assert found.relative == pytest.approx(np.mean(B) / np.mean(A) - 1)
    assert (found.wins, found.losses, found.users, found.seeds) == (3, 1, 5, 1)
    assert "no difference" in found.verdict()
    assert "5 users x 1 seeds" in repr(found)


def test_seeds_are_averaged_per_user_before_the_test():
    a = [result([0, 1, 2], ["x", "y", "z"]), result([2, 3], ["z", "x"])]
    b = [result([1, 1, 4], ["x", "y", "z"]), result([5, 3], ["z", "x"])]
    found = compare(a, b)
    gain = [(1 + 0) / 2, 0, (2 + 3) / 2]
    assert found.users == 3
    assert found.seeds == 2
    assert found.difference == pytest.approx(np.mean(gain))
    assert found.p == pytest.approx(stats.ttest_1samp(gain, 0).pvalue)


def test_identical_results_show_no_difference():
    found = compare(result(A), result(A))
    assert (found.p, found.difference, found.wins, found.losses) == (1.0, 0.0, 0, 0)
    assert found.verdict().startswith("augmented: no difference from plain could be shown")


def test_all_users_changed_alike_and_a_single_user():
    assert compare(result([0.1, 0.2]), result([0.3, 0.4])).p == 0.0
    assert compare(result([0.1]), result([0.3])).p == 1.0
    worse = compare(
        result(np.linspace(0.5, 0.6, 50)), result(np.linspace(0.1, 0.3, 50)), names=("old", "new")
    )
    assert worse.verdict().startswith("new HURTS against old")


def test_results_of_unlike_users_or_parts_are_refused():
    with pytest.raises(ValueError, match="unlike users"):
        compare(result(A), result(B, ["v", "w", "x", "y", "z"]))
    with pytest.raises(ValueError, match="unlike users"):
        compare(result(A), result(B, on="valid"))
    with pytest.raises(ValueError, match="1 results against 2"):
        compare([result(A)], [result(B), result(B)])
    with pytest.raises(ValueError, match="0 results"):
        compare([], [])
    with pytest.raises(UnknownNameError, match="NDCG@20"):
        compare(result(A), result(B), "NDCG@2")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_slices_weighted_by_users_add_up_to_the_whole(data):
    n = data.draw(st.integers(1, 12))
    seeds = data.draw(st.integers(1, 3))
    numbers = st.lists(st.floats(0, 1), min_size=n, max_size=n)
    groups = data.draw(
        st.lists(st.sampled_from(["0-5", "6-20", "61+", "other"]), min_size=n, max_size=n)
    )
    a, b = ([result(data.draw(numbers), groups=groups) for _ in range(seeds)] for _ in range(2))
    found = compare(a, b)
    parts = found.slices["train degree"]
    assert sum(p["users"] for p in parts.values()) == n == found.users
    whole = sum(p["users"] * p["difference"] for p in parts.values()) / n
    assert whole == pytest.approx(found.difference, abs=1e-9)
    assert sum(p["wins"] for p in parts.values()) == found.wins
    assert list(parts) == [g for g in ("0-5", "6-20", "61+", "other") if g in groups]
    assert 0 <= found.p <= 1


def test_a_slice_that_only_some_results_have_is_left_out():
    one, two = result(A), result(A)
    two.slices = {}
    assert compare([one, two], [one, one]).slices == {}


def test_holm_by_hand():
    p = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.5}
    assert holm(p) == pytest.approx({"a": 0.04, "b": 0.09, "c": 0.09, "d": 0.5})
    assert list(holm(p)) == list(p)
    assert holm({"x": 0.9, "y": 0.8}) == {"x": 1.0, "y": 1.0}
    assert holm({}) == {}
