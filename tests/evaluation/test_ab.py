"""A/B plans: sample sizes against textbook values and simulation; the sequential test's level."""

import json

import numpy as np
import pytest
from scipy import stats

from hinaug.errors import ParameterError
from hinaug.evaluation.ab import (
    SequentialTest,
    Totals,
    effect_size,
    half_width,
    log_ratio,
    sample_size,
    variance_for_power,
)


def test_sample_size_of_rates_by_the_textbook():
    """Fleiss, Levin & Paik: 0.10 against 0.11 at .05 and 80 %, by hand from formula 4.14."""
    za, zb = 1.959964, 0.841621
    by_hand = (za * np.sqrt(2 * 0.105 * 0.895) + zb * np.sqrt(0.1 * 0.9 + 0.11 * 0.89)) ** 2
    assert sample_size(0.1, absolute=0.01) == int(np.ceil(by_hand / 0.01**2)) == 14751
    assert sample_size(0.1, relative=0.1) == 14751


def test_sample_size_of_means_is_the_smallest_with_the_power():
    """Cohen (1988), table 2.4.1: an effect of half a standard deviation needs 64 users an arm."""
    assert sample_size(10, absolute=1.0, sd=2.0) == 64
    for n, enough in ((64, True), (63, False)):
        df = 2 * n - 2
        power = stats.nct.sf(stats.t.isf(0.025, df), df, 0.5 * np.sqrt(n / 2))
        assert (power >= 0.8) == enough


@pytest.mark.parametrize("effect", [0.05, -0.05])
def test_sample_size_has_its_power_and_its_level(effect):
    rng = np.random.default_rng(0)
    n = sample_size(0.3, absolute=effect)

    def shown(p):
        a, b = rng.binomial(n, 0.3, 4000) / n, rng.binomial(n, p, 4000) / n
        pooled = (a + b) / 2
        return (abs(a - b) > stats.norm.isf(0.025) * np.sqrt(2 * pooled * (1 - pooled) / n)).mean()

    assert abs(shown(0.3 + effect) - 0.8) < 0.025
    assert abs(shown(0.3) - 0.05) < 0.015


def test_the_effect_is_named_relative_or_absolute():
    assert effect_size(0.1, relative=0.02) == pytest.approx(0.002)
    assert effect_size(0.1, absolute=0.02) == 0.02
    for wrong in ({}, {"relative": 0.1, "absolute": 0.1}, {"relative": 0.0}):
        with pytest.raises(ParameterError):
            effect_size(0.1, **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"baseline": 0.9, "relative": 0.2},
        {"baseline": 0.0, "absolute": 0.1},
        {"baseline": 0.1, "relative": 0.1, "power": 1.0},
        {"baseline": 0.1, "relative": 0.1, "level": 0},
        {"baseline": 3.0, "relative": 0.1, "sd": -1.0},
    ],
)
def test_impossible_plans_are_refused(wrong):
    with pytest.raises(ParameterError):
        sample_size(**wrong)


def test_the_interval_is_where_the_ratio_refuses():
    for variance in (1e-6, 1e-4, 1e-2):
        half = half_width(variance, 0.02, 0.05)
        assert np.exp(log_ratio(half, variance, 0.02)) == pytest.approx(20)
    enough = variance_for_power(0.02, 0.05, 0.8)
    shown = stats.norm.sf(half_width(enough, 0.02, 0.05), 0.02, np.sqrt(enough))
    assert shown == pytest.approx(0.8)


def test_the_ratio_is_the_mixture_over_effects():
    """Against numerical integration of the likelihood ratio over a normal prior."""
    difference, variance, effect = 0.03, 2e-4, 0.02
    effects = np.linspace(-0.3, 0.3, 200_001)
    prior = stats.norm.pdf(effects, 0, effect)
    likelihood = stats.norm.pdf(difference, effects, np.sqrt(variance))
    mixture = np.trapezoid(prior * likelihood, effects)
    ratio = mixture / stats.norm.pdf(difference, 0, np.sqrt(variance))
    assert np.exp(log_ratio(difference, variance, effect)) == pytest.approx(ratio)


def outcomes(kind, effect, draw_a, draw_b, worlds):
    """The outcome after 30 looks of each world."""
    found = []
    for _ in range(worlds):
        test = SequentialTest(effect, kind)
        for _ in range(30):
            look = test.update(draw_a(), draw_b())
        found.append(look.outcome)
    return np.array(found)


def test_thirty_looks_at_equal_arms_find_little():
    """At most 5 %; the same looks by the usual z test find a quarter."""
    rng = np.random.default_rng(1)

    def hits():
        n = int(rng.binomial(200, 0.1))
        return Totals(200, n, n)

    found = outcomes("rate", 0.02, hits, hits, 400)
    assert (found != "not decided").mean() <= 0.05

    def spent():
        return Totals.of(rng.lognormal(0, 1, 120) * (rng.random(120) < 0.2))

    found = outcomes("mean", 0.05, spent, spent, 400)
    assert np.isin(found, ["A is better", "B is better"]).mean() <= 0.05


def test_a_difference_is_found_on_its_side():
    rng = np.random.default_rng(2)

    def draw(p):
        return lambda: rng.random(200) < p

    assert (outcomes("rate", 0.03, draw(0.1), draw(0.14), 60) == "B is better").mean() >= 0.8
    assert (outcomes("rate", 0.03, draw(0.14), draw(0.1), 60) == "A is better").mean() >= 0.8


def test_needed_users_are_what_the_effect_takes():
    """So many more users of each arm bring the variance to where one look has the power."""
    test = SequentialTest(effect=2.0, kind="mean")
    rng = np.random.default_rng(0)
    look = test.update(rng.normal(0, 10, 300), rng.normal(0, 20, 100))
    assert look.outcome == "not decided"
    s_a, s_b = test.a.variance, test.b.variance
    after = s_a / (300 + look.needed) + s_b / (100 + look.needed)
    assert after == pytest.approx(variance_for_power(2.0, 0.05, 0.8), rel=1e-2)


def test_state_goes_on_another_day():
    rng = np.random.default_rng(3)
    days = [(rng.random(150) < 0.1, rng.random(150) < 0.13) for _ in range(6)]
    whole, again = SequentialTest(0.03), SequentialTest(0.03)
    for a, b in days:
        last = whole.update(a, b)
        again = SequentialTest.from_json(again.to_json())
        assert again.update(a, b) == last
    assert json.loads(again.to_json())["looks"] == 6
    assert (last.n_a, last.mean_a) == (900, np.mean([a for a, _ in days]))
    for broken in ("", "[]", "{}", '{"a": {}, "b": {}}', '{"a": 1, "b": 2}'):
        with pytest.raises(ParameterError):
            SequentialTest.from_json(broken)


def test_p_only_falls_and_a_decision_stays():
    test = SequentialTest(0.05)
    strong = test.update(np.arange(1000) % 10 < 1, np.arange(1000) % 10 < 3)
    back = test.update(np.arange(1000) % 10 < 3, np.arange(1000) % 10 < 1)
    assert strong.outcome == back.outcome == "B is better"
    assert back.p == strong.p
    assert back.difference == pytest.approx(0)


def test_nothing_is_judged_on_few_users_or_hits():
    few = SequentialTest(0.05).update(np.zeros(50), np.ones(50))
    assert (few.outcome, few.needed, few.p) == ("too early", None, 1.0)
    one_hit = np.arange(5000) == 0
    assert SequentialTest(0.05).update(one_hit, one_hit).outcome == "too early"
    assert SequentialTest(1.0, "mean").update(np.ones(200), np.ones(200)).outcome == "too early"


def test_wrong_values_are_refused():
    with pytest.raises(ParameterError):
        SequentialTest(0.05).update([0.5], [1])
    with pytest.raises(ParameterError):
        SequentialTest(0.05, "mean").update([np.nan], [1])
    with pytest.raises(ParameterError):
        SequentialTest(0.0)
    with pytest.raises(ParameterError):
        SequentialTest(0.1, "median")
