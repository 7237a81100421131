"""Intervals of rates and of gains: exact where known, and they hold near 0 and 1."""

import numpy as np
import pytest
from raising import raises
from scipy import stats

from hinaug.evaluation.intervals import gain_interval, mean_interval


@pytest.mark.parametrize(("hits", "n"), [(0, 100), (1, 100), (7, 20), (100, 100), (1, 1)])
def test_rates_have_the_exact_interval(hits, n):
    values = np.r_[np.ones(hits), np.zeros(n - hits)]
    exact = stats.binomtest(hits, n).proportion_ci(0.95, "exact")
    low, high = mean_interval(values)
    assert low == pytest.approx(exact.low, abs=1e-9)
    assert high == pytest.approx(exact.high, abs=1e-9)


def drawn(kind, rate, n, rng):
    """(values of users, their true mean)."""
    hit = rng.random(n) < rate
    gains = 1 / np.log2(np.arange(2, 22))
    if kind == "hit":
        return hit.astype(float), rate
    if kind == "rank":
        return hit * rng.choice(gains, n), rate * gains.mean()
    if kind == "skewed":
        return hit * rng.beta(0.7, 1.5, n), rate * 0.7 / 2.2
    return 1 - hit * rng.beta(0.7, 1.5, n), 1 - rate * 0.7 / 2.2


@pytest.mark.parametrize("kind", ["hit", "rank", "skewed", "near one"])
@pytest.mark.parametrize("rate", [0.01, 0.03, 0.3, 0.99])
def test_they_hold_whatever_the_rate(kind, rate):
    rng, held = np.random.default_rng(0), 0
    for _ in range(400):
        values, truth = drawn(kind, rate, 100, rng)
        low, high = mean_interval(values)
        held += low <= truth <= high
    assert held / 400 >= 0.93


def test_many_users_have_the_usual_interval():
    values = np.random.default_rng(0).beta(2, 5, 5000)
    expected = stats.t.interval(0.95, 4999, values.mean(), stats.sem(values))
    assert mean_interval(values) == pytest.approx(expected, abs=1e-3)


def test_values_outside_of_rates_have_the_t_interval():
    values = np.array([-0.2, 0.4, 1.7])
    expected = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert mean_interval(values) == pytest.approx(expected)


def test_no_user_and_a_wrong_level():
    assert np.isnan(mean_interval(np.zeros(0))).all()
    assert np.isnan(gain_interval(np.zeros(0))).all()
    with raises(ValueError, asked=95):
        mean_interval(np.ones(3), 95)


@pytest.mark.parametrize("gains", [[0.1, 0, 0.2, 0.1, -0.1], [0.3], [0.0, 0.0, 1.0, -1.0]])
def test_gains_never_have_less_than_the_t_interval(gains):
    low, high = gain_interval(np.array(gains))
    mean = np.mean(gains)
    half = stats.t.ppf(0.975, len(gains) - 1) * stats.sem(gains) if len(gains) > 1 else 0.0
    assert -1 <= low <= max(mean - half + 1e-12, -1)
    assert min(mean + half - 1e-12, 1) <= high <= 1
    assert low < mean < high


def test_gains_of_few_users_are_held():
    rng, held = np.random.default_rng(0), 0
    for _ in range(500):
        change = rng.random(200)
        gains = (change < 0.01).astype(float) - (change > 0.995)
        low, high = gain_interval(gains)
        held += low <= 0.005 <= high
    assert held / 500 >= 0.93
    same = gain_interval(np.zeros(100))
    assert same == pytest.approx((-0.0362, 0.0362), abs=1e-4)  # the rule of three


def test_gains_of_many_users_have_the_usual_interval():
    gains = np.random.default_rng(0).normal(0.01, 0.1, 3000)
    expected = stats.t.interval(0.95, 2999, gains.mean(), stats.sem(gains))
    assert gain_interval(gains) == pytest.approx(expected, abs=4e-4)
