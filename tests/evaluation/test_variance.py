"""Variance over users and fits: a naive two-way analysis, missing users, the level, the power."""

import numpy as np
import pytest
from scipy import stats

from hinaug.evaluation.variance import Repeats, Spread, repeats, same_fits, spread


def naive(values):
    """(variance of the fit means / fits, residual variance / cells) by loops over the cells."""
    n_fits, n_users = values.shape
    grand = sum(values[s, u] for s in range(n_fits) for u in range(n_users)) / values.size
    of_fit = [sum(values[s]) / n_users for s in range(n_fits)]
    of_user = [sum(values[:, u]) / n_fits for u in range(n_users)]
    between = sum((m - grand) ** 2 for m in of_fit) / (n_fits - 1)
    residual = sum(
        (values[s, u] - of_fit[s] - of_user[u] + grand) ** 2
        for s in range(n_fits)
        for u in range(n_users)
    ) / ((n_fits - 1) * (n_users - 1))
    return between / n_fits, residual / values.size


@pytest.mark.parametrize("shape", [(2, 2), (3, 5), (8, 40)])
def test_a_full_layout_is_a_two_way_analysis_of_variance(shape):
    values = np.random.default_rng(0).normal(size=shape)
    found = repeats(values)
    assert (found.between, found.overlap) == pytest.approx(naive(values))
    assert found.n == shape[0]


def test_what_is_expected_of_both_parts():
    rng, between, overlap = np.random.default_rng(0), [], []
    for _ in range(2000):
        values = rng.normal(size=30) + rng.normal(0, 0.3, (4, 1)) + rng.normal(0, 0.5, (4, 30))
        found = repeats(values)
        between.append(found.between)
        overlap.append(found.overlap)
    assert np.mean(between) == pytest.approx((0.3**2 + 0.5**2 / 30) / 4, rel=0.05)
    assert np.mean(overlap) == pytest.approx(0.5**2 / 30 / 4, rel=0.02)


def test_missing_users_leave_the_variance_no_smaller():
    rng, ratio = np.random.default_rng(0), []
    for _ in range(300):
        values = (
            rng.normal(0.3, 0.2, 60) + rng.normal(0, 0.05, (5, 1)) + rng.normal(size=(5, 60)) / 9
        )
        holes = np.where(rng.random(values.shape) < 0.2, np.nan, values)
        holes[0] = values[0]
        ratio.append(repeats(holes).between / repeats(values).between)
    assert 1 <= np.mean(ratio) < 1.5


def test_users_who_differ_in_every_fit():
    values = np.full((2, 4), np.nan)
    values[0, :2], values[1, 2:] = (0.1, 0.3), (0.5, 0.9)
    found = repeats(values)
    assert found.between == pytest.approx(np.var([0.2, 0.7], ddof=1) / 2)
    assert found.overlap == 0


def test_equal_fits_are_one():
    same = np.tile([0.1, np.nan, 0.3], (5, 1))
    assert same_fits(same)
    assert repeats(same) == Repeats(1, 0.0, 0.0)
    same[3, 0] += 1e-9
    assert not same_fits(same)
    assert repeats(same[:1]) == Repeats(1, 0.0, 0.0)


def test_no_source_is_lost():
    one = Spread(0.04, 10, (Repeats(3, 0.01, 0.02),))
    assert one.variance == 0.04  # not .03: users alone vary by more
    assert Spread(0.01, 10, (Repeats(3, 0.04, 0.02),)).variance == 0.04
    assert Spread(0.04, 10, (Repeats(3, 0.03, 0.01),)).variance == pytest.approx(0.06)


def test_degrees_of_freedom_by_hand():
    assert Spread(0.04, 10).df == 9
    assert Spread(0.0, 10, (Repeats(3, 0.04, 0.0),)).df == pytest.approx(2)
    both = Spread(0.02, 10, (Repeats(3, 0.01, 0.0), Repeats(5, 0.03, 0.0)))
    expected = 0.06**2 / (0.02**2 / 9 + 0.01**2 / 2 + 0.03**2 / 4)
    assert both.df == pytest.approx(expected)
    # a residual that both hold has the degrees of freedom of fits alone
    held = Spread(0.02, 10_000, (Repeats(5, 0.04, 0.01), Repeats(5, 0.04, 0.01)))
    assert held.df == pytest.approx(8)
    tiny = Spread(2e-200, 10, (Repeats(3, 1e-200, 0.0), Repeats(5, 3e-200, 0.0)))
    assert tiny.df == pytest.approx(expected)


def null_p(rng, n_fits, of_fits, n_users=300, of_both=0.1):
    """p of two groups of fits of one pipeline."""
    layouts = [
        rng.normal(0, of_fits, (n_fits, 1)) + rng.normal(0, of_both, (n_fits, n_users))
        for _ in range(2)
    ]
    gain = layouts[1].mean(axis=0) - layouts[0].mean(axis=0)
    return spread(gain, layouts).p(gain.mean())


@pytest.mark.parametrize("of_fits", [0.0, 0.003, 0.02])
def test_the_level_holds_where_one_pipeline_is_tested_against_itself(of_fits):
    rng = np.random.default_rng(1)
    p = np.array([null_p(rng, 5, of_fits) for _ in range(1500)])
    assert (p < 0.05).mean() < 0.065
    assert (p < 0.005).mean() < 0.012
    if of_fits == 0.02:  # and the test is not idle
        assert (p < 0.05).mean() > 0.03


def test_a_test_over_users_alone_does_not_hold_it():
    rng = np.random.default_rng(1)
    wrong = []
    for _ in range(300):
        fits = rng.normal(0, 0.02, (2, 1)) + rng.normal(0, 0.1, (2, 300))
        wrong.append(stats.ttest_rel(*fits).pvalue < 0.05)
    assert np.mean(wrong) > 0.3


def test_power_of_the_number_of_fits():
    truth = Spread(1e-6, 10**4, (Repeats(1, 4e-4, 0.0), Repeats(1, 4e-4, 0.0)))
    n = truth.fits_needed(0.03, 0.005, 8, 0.8)
    rng = np.random.default_rng(0)
    shown = 0
    for _ in range(2000):
        a, b = rng.normal(0, 0.02, n), rng.normal(0.03, 0.02, n)
        found = Spread(1e-6, 10**4, tuple(Repeats(n, x.var(ddof=1) / n, 0.0) for x in (a, b)))
        shown += found.p(b.mean() - a.mean() + rng.normal(0, 1e-3)) < 0.005
    assert 0.77 < shown / 2000 < 0.93  # n is a whole number, so a little more than asked
    assert truth.fits_needed(0.3, 0.005, 8, 0.8) == 8
    assert truth.fits_needed(1e-4, 0.005, 8, 0.8) is None
    assert Spread(1e-6, 100).fits_needed(0.1, 0.005, 8, 0.8) is None


def test_differences_too_small_to_be_squared_are_planned_for_like_others():
    small, large = (
        spread(scale * np.arange(2.0), [scale * np.arange(4.0).reshape(2, 2) ** 2])
        for scale in (1e-130, 1.0)
    )
    plans = [
        s.fits_needed(1e4 * scale, 0.005, 8, 0.8) for s, scale in ((small, 1e-130), (large, 1))
    ]
    assert plans[0] == plans[1]
