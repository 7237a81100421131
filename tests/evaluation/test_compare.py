"""compare and holm: users and fits vary, splits too; verdicts need fits; slices add up."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raising import raises
from scipy import stats

from hinaug.errors import KindError, ParameterError, UnknownNameError
from hinaug.evaluation.compare import compare, holm, mean_over_fits
from hinaug.evaluation.result import Result


def result(values, users=None, groups=None, on="test", overall=None, **more):
    values = np.asarray(values, float)
    users = users if users is not None else [f"u{k}" for k in range(len(values))]
    groups = np.asarray(groups if groups is not None else ["0-5"] * len(values), object)
    return Result(
        "model",
        on,
        pa.array(users, pa.string()),
        {"NDCG@20": values},
        overall or {},
        {"train degree": groups},
        **more,
    )


def fits(n, mean, n_users=200, of_users=0.1, of_fits=0.0, of_both=0.02, seed=0, taste=0):
    """Results of n fits of one pipeline: users, fits and their residual vary by so much.

    taste: the seed of what users are like, which two pipelines share.
    """
    users = np.random.default_rng(taste).normal(mean, of_users, n_users)
    rng = np.random.default_rng(seed)
    of_fit = rng.normal(0, of_fits, (n, 1))
    values = users + of_fit + rng.normal(0, of_both, (n, n_users))
    return [result(row) for row in np.clip(values, 0, 1)]


A = [0.1, 0.5, 0.3, 0.0, 0.9]
B = [0.2, 0.5, 0.5, 0.1, 0.8]


def test_pipelines_without_chance_have_the_paired_t_test_by_scipy():
    found = compare(result(A), result(B), deterministic=True)
    expected = stats.ttest_rel(B, A)
    assert found.p == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval(0.95)
    assert found.low <= low + 1e-12
    assert found.high >= high - 1e-12
    assert found.difference == pytest.approx(np.mean(B) - np.mean(A))
    assert found.relative == pytest.approx(np.mean(B) / np.mean(A) - 1)
    assert (found.wins, found.losses, found.users, found.fits) == (3, 1, 5, (1, 1))
    assert "no effect could be shown" in found.verdict()
    assert "5 users, nothing random in the fits" in repr(found)


def test_two_fits_against_three_by_hand():
    a = [result([0.0, 0.2]), result([0.2, 0.2])]
    b = [result([0.5, 0.3]), result([0.4, 0.4]), result([0.6, 0.2])]
    found = compare(a, b)
    # users: a .1 .2, b .5 .3; gains .4 .1, their variance .045
    by_users = 0.045 / 2
    # fits of a: .1 .2, variance .005; residuals of the 2 x 2 cells -.05 .05 .05 -.05, df 1
    by_a, overlap_a = 0.005 / 2, (4 * 0.05**2) / 1 / 4
    # fits of b: .4 .4 .4; residuals 0 0, -.1 .1, .1 -.1, df 2
    by_b, overlap_b = 0.0, (4 * 0.1**2) / 2 / 6
    variance = max(by_users + by_a + by_b - overlap_a - overlap_b, by_users, by_a + by_b)
    of_users = by_users - overlap_a - overlap_b
    df = variance**2 / (of_users**2 / 1 + by_a**2 / 1)
    assert variance == by_users  # what both sources hold is more than the fits add
    assert found.difference == pytest.approx(0.25)
    assert found.p == pytest.approx(2 * stats.t.sf(0.25 / np.sqrt(variance), df))
    assert found.fits == (2, 3)
    assert found.random == (True, True)


def test_equal_fits_count_as_one():
    once, often = [result(A)], [result(A)] * 9
    random = fits(2, 0.3, n_users=5)
    for plain in (once, often):
        found = compare(plain, random, deterministic=True)
        assert found.fits == (1, 2)
        assert found.random == (False, True)
    assert compare(often, random).p == pytest.approx(
        compare(once, random, deterministic=True).p, rel=1e-9
    )


def test_one_fit_of_a_pipeline_with_chance_is_no_test():
    found = compare(result(A), result(B))
    assert found.p is None
    assert found.low <= found.difference <= found.high
    assert found.outcome() == "no verdict"
    assert found.outcome(p=1e-9) == "no verdict"
    assert "one fit: users vary, fits were not repeated" in found.verdict()
    assert "not tested" in repr(found)
    sure = result(A, deterministic=True)
    assert compare(sure, result(B)).p is None
    assert compare(sure, result(B, deterministic=True)).p is not None
    assert compare(sure, fits(2, 0.3, n_users=5)).p is not None
    assert compare(fits(5, 0.3, n_users=5), result(B)).p is None


@pytest.mark.parametrize(("n", "outcome"), [(2, "no verdict"), (7, "no verdict"), (8, "helps")])
def test_a_verdict_needs_eight_fits_where_fits_vary(n, outcome):
    plain, better = fits(n, 0.3, of_fits=0.002), fits(n, 0.5, of_fits=0.002, seed=1)
    found = compare(plain, better)
    assert found.p < 0.005
    assert found.outcome() == outcome
    assert compare(fits(8, 0.3, of_both=0.0), better).outcome() == outcome  # a needs one fit
    opposite = compare(better, plain)
    assert opposite.outcome() == {"helps": "hurts"}.get(outcome, outcome)
    if n < 8:
        assert "a verdict needs at least 8 fits" in found.verdict()


def test_the_sentence_of_a_verdict():
    found = compare(fits(8, 0.3), fits(9, 0.4, seed=1), names=("old", "new"))
    said = found.verdict()
    change = f"NDCG@20 {found.mean_a:.4f} -> {found.mean_b:.4f} (+{100 * found.relative:.1f} %)"
    assert said == (
        f"new helps against old on this split: {change}, p = {found.p:.2g}, 8 and 9 fits, 200 users"
    )
    assert compare(fits(8, 0.4), fits(8, 0.3, seed=1)).verdict().startswith("augmented HURTS")
    assert "no verdict" in found.verdict(p=0.2)


def test_no_verdict_says_how_many_fits_would_show_what_is_worth_having():
    plain, other = fits(4, 0.3, of_fits=0.01), fits(4, 0.3, of_fits=0.01, seed=1)
    needed = [compare(plain, other, worth=worth).needed for worth in (0.05, 0.02, 0.01)]
    assert 8 <= needed[0] < needed[1] < needed[2]
    said = compare(plain, other).verdict()
    assert f"{needed[1]} fits would show a change of 2 %" in said
    few = compare(fits(4, 0.3, 4, of_both=0.3), fits(4, 0.3, 4, of_both=0.3, seed=1, taste=5))
    assert few.needed is None
    assert "these users are too few to show a change of 2 %" in few.verdict()


def test_the_number_of_fits_told_has_the_power_it_says():
    plain, other = fits(400, 0.3, of_fits=0.01), fits(400, 0.3, of_fits=0.01, seed=1)
    n = compare(plain, other, worth=0.05).needed
    shown = [
        compare(
            fits(n, 0.3, of_fits=0.01, seed=2 * seed),
            fits(n, 0.315, of_fits=0.01, seed=2 * seed + 1),
        ).outcome()
        for seed in range(100, 220)
    ]
    assert 0.7 < np.mean(np.array(shown) == "helps") < 0.9


def test_pairs_by_seed_test_their_differences():
    rng = np.random.default_rng(3)
    common = rng.normal(0, 0.05, 8)
    plain = [result(np.clip(0.4 + c + rng.normal(0, 0.01, 100), 0, 1)) for c in common]
    better = [result(np.clip(run.values["NDCG@20"] + 0.02, 0, 1)) for run in plain]
    apart, paired = compare(plain, better), compare(plain, better, paired=True)
    assert apart.difference == paired.difference
    assert paired.p < 1e-6 < 0.05 < apart.p
    with raises(ParameterError, asked=(8, 7)):
        compare(plain, better[:7], paired=True)


def test_splits_are_a_source_of_variance():
    a = [
        [result([0, 1, 2], ["x", "y", "z"]), result([2, 1, 2], ["x", "y", "z"])],
        [result([2, 3], ["z", "x"])],
    ]
    b = [[result([1, 1, 4], ["x", "y", "z"])], [result([5, 3], ["z", "x"])]]
    found = compare(a, b, splits=True)
    gain = np.array([0.0, 0, 2.5])  # x: 0 and 0, y: 0, z: 2 and 3
    by_users = gain.var(ddof=1) / 3
    by_splits = np.var([2 / 3, 3 / 2], ddof=1) / 2
    # z's residuals cancel with the means of their splits; x's two, 0, do as well: one df
    deviation = np.array([[0, 0, -0.5], [0, np.nan, 0.5]])
    residual = deviation - np.nanmean(deviation, axis=1, keepdims=True)
    overlap = np.nansum(residual**2) / (5 - 3 - 2 + 1) / 5
    variance = max(by_users + by_splits - overlap, by_users, by_splits)
    df = variance**2 / (max(by_users - overlap, 0) ** 2 / 2 + by_splits**2 / 1)
    assert (found.users, found.splits) == (3, 2)
    assert found.difference == pytest.approx(gain.mean())
    assert found.p == pytest.approx(2 * stats.t.sf(gain.mean() / np.sqrt(variance), df))
    assert "over 2 splits" in found.verdict()
    assert "a verdict needs at least 8 splits" in found.verdict()
    nine = [[run] for run in fits(9, 0.3)], [[run] for run in fits(9, 0.4, seed=1)]
    assert "helps against plain over 9 splits" in compare(*nine, splits=True).verdict()


def test_an_effect_that_differs_by_split_is_none_of_users():
    rng = np.random.default_rng(0)
    taste = rng.uniform(0.2, 0.8, 500)
    a = [[result(taste)] for _ in range(4)]
    b = [[result(np.clip(taste + d, 0, 1))] for d in (0.2, -0.1, 0.1, -0.15)]
    assert compare(a, b, splits=True).p > 0.5
    assert compare([r[0] for r in a], [r[0] for r in b]).p > 0.5


def test_identical_results_show_no_difference():
    found = compare(result(A), result(A), deterministic=True)
    assert (found.p, found.difference, found.wins, found.losses) == (1.0, 0.0, 0, 0)
    assert found.verdict().startswith("no verdict on augmented against plain on this split")
    assert found.low < 0 < found.high  # five users who did not change do not show that none would


def test_all_users_changed_alike_and_a_single_user():
    assert compare(result([0.1, 0.2]), result([0.3, 0.4]), deterministic=True).p == 0.0
    assert compare(result([0.1]), result([0.3]), deterministic=True).p == 1.0
    worse = compare(
        result(np.linspace(0.5, 0.6, 50)),
        result(np.linspace(0.1, 0.3, 50)),
        names=("old", "new"),
        deterministic=True,
    )
    assert worse.verdict().startswith("new HURTS against old")


def test_a_base_on_the_edge_of_its_search_is_not_beaten():
    plain, better = fits(8, 0.3), fits(8, 0.4, seed=1)
    for run in plain:
        run.edges = ("l2",)
    found = compare(plain, better)
    assert found.outcome() == "no verdict"
    assert "plain was tuned to the edge of its search space (l2)" in found.verdict()
    assert compare(better, plain).outcome() == "hurts"  # a loss is a loss


def test_arms_with_unlike_trials_show_no_gain():
    plain, better = fits(8, 0.3), fits(8, 0.4, seed=1)
    for run in plain:
        run.trials = 5
    found = compare(plain, better)
    assert found.outcome() == "no verdict"
    assert "plain was tuned with 5 trials and augmented with no; give both" in found.verdict()
    for run in better:
        run.trials = 5
    assert compare(plain, better).outcome() == "helps"


def test_a_figure_over_all_lists_has_an_interval_over_fits_and_no_p():
    a = [result(A, overall={"Coverage@20": c}) for c in (0.1, 0.2, 0.3)]
    b = [result(A, overall={"Coverage@20": c}) for c in (0.4, 0.45)]
    found = compare(a, b, "Coverage@20")
    expected = stats.ttest_ind([0.4, 0.45], [0.1, 0.2, 0.3], equal_var=False)
    low, high = expected.confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert (found.p, found.users, found.wins, found.slices) == (None, 0, 0, {})
    assert "has no value per user" in found.verdict()
    assert np.isnan(compare(a[0], b[0], "Coverage@20").low)


def test_results_of_unlike_users_parts_or_splits_are_refused():
    with raises(ValueError, asked=("test", "test")):
        compare(result(A), result(B, ["v", "w", "x", "y", "z"]))
    with raises(ValueError, asked=("test", "valid")):
        compare(result(A), result(B, on="valid"))
    with raises(ValueError, asked=("test", "test")):
        compare([result(A), result(B, ["v", "w", "x", "y", "z"])], result(B))
    with raises(ValueError, asked="two"):
        compare([result(A, split="one"), result(A, split="two")], result(B, split="one"))
    with raises(ValueError, names="compare"):
        compare([], [])
    with raises(ValueError, asked=(2, 1)):
        compare([[result(A)], [result(A)]], [[result(B)]], splits=True)
    with raises(ValueError, asked=1):
        compare([result(A)], [result(B)], splits=True)
    with raises(KindError, names="compare"):
        compare([[result(A)]], [[result(B)]])
    with raises(UnknownNameError, asked="NDCG@2"):
        compare(result(A), result(B), "NDCG@2")
    with raises(ParameterError, asked=0):
        compare(result(A), result(B), worth=0)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_slices_weighted_by_users_add_up_to_the_whole(data):
    n = data.draw(st.integers(1, 12))
    n_fits = data.draw(st.integers(1, 3))
    numbers = st.lists(st.floats(0, 1), min_size=n, max_size=n)
    groups = data.draw(
        st.lists(st.sampled_from(["0-5", "6-20", "61+", "other"]), min_size=n, max_size=n)
    )
    a, b = ([result(data.draw(numbers), groups=groups) for _ in range(n_fits)] for _ in range(2))
    found = compare(a, b, deterministic=True)
    parts = found.slices["train degree"]
    assert sum(p["users"] for p in parts.values()) == n == found.users
    whole = sum(p["users"] * p["difference"] for p in parts.values()) / n
    assert whole == pytest.approx(found.difference, abs=1e-9)
    assert sum(p["wins"] for p in parts.values()) == found.wins
    assert list(parts) == [g for g in ("0-5", "6-20", "61+", "other") if g in groups]
    assert 0 <= found.p <= 1
    assert found.low <= found.difference <= found.high
    json.dumps(vars(found), allow_nan=False)


def test_a_slice_that_only_some_results_have_is_left_out():
    one, two = result(A), result(A)
    two.slices = {}
    assert compare([one, two], [one, one]).slices == {}


def test_the_mean_over_fits_varies_by_users_and_fits():
    steady, shaky = fits(5, 0.4), fits(5, 0.4, of_fits=0.1)
    of_steady, of_shaky = (mean_over_fits(runs, "NDCG@20") for runs in (steady, shaky))
    values = np.stack([run.values["NDCG@20"] for run in shaky])
    assert of_shaky[0] == pytest.approx(values.mean())
    assert of_shaky[2] - of_shaky[1] > 2 * (of_steady[2] - of_steady[1])
    assert mean_over_fits(steady[:1], "NDCG@20")[1:] == steady[0].interval("NDCG@20")


def test_holm_by_hand():
    p = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.5}
    assert holm(p) == pytest.approx({"a": 0.04, "b": 0.09, "c": 0.09, "d": 0.5})
    assert list(holm(p)) == list(p)
    assert holm({"x": 0.9, "y": 0.8}) == {"x": 1.0, "y": 1.0}
    assert holm({"x": 0.02, "none": None, "y": 0.8}) == {"x": 0.04, "none": None, "y": 0.8}
    assert holm({}) == {}
