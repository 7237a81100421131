"""What probes share: budgets, grids, choices that do not flatter, gains, controls of new items."""

import time

import numpy as np
import pyarrow as pa
import pytest

from hinaug.datasets import planted
from hinaug.datasets.planted import RATES
from hinaug.evaluation.probes import (
    Budget,
    Chance,
    Gain,
    OutOfTimeError,
    PredictedPopularity,
    Proposal,
    cross_fitted,
    gain_of_draws,
    gain_of_users,
    strength_of,
    weakest,
    weighed,
    widened_grid,
)
from hinaug.evaluation.result import Result
from hinaug.generators import RelationGenerator
from hinaug.predictors import ALS, BSPM, EASE, ItemKNN, KernelRidge, Popularity
from hinaug.testing import check_predictor


def bump(best):
    """Figures of three users that are highest at `best`."""
    return lambda value: np.full(3, 1.0) / (1 + abs(np.log(value / best)))


@pytest.mark.parametrize("best", [0.01, 1.0, 50.0, 20_000.0])
def test_a_grid_grows_until_its_best_is_inside(best):
    grid = widened_grid("l2", 1.0, bump(best), Budget(60), "fit")
    assert grid.inside
    assert grid.values[0] < grid.best < grid.values[-1]
    assert abs(np.log(grid.best / best)) <= np.log(3)
    assert np.allclose(np.diff(np.log(grid.values)), np.log(3))


def test_a_grid_without_an_optimum_or_without_time_says_so():
    rising = widened_grid("l2", 1.0, lambda value: np.full(3, value), Budget(60), "fit")
    assert not rising.inside
    assert rising.best == rising.values[-1]

    limit = widened_grid("l2", 1.0, lambda value: np.full(3, 1 - 0.3 / value), Budget(60), "fit")
    assert limit.inside
    assert len(limit.values) < 10

    def slow(value):
        time.sleep(0.02)
        return bump(1.0)(value)

    cut = widened_grid("l2", 1.0, slow, Budget(0.03), "fit")
    assert cut.values == [1.0]
    assert not cut.inside


def test_a_budget_leaves_out_what_would_not_end_in_time():
    budget = Budget(0.05)
    with budget.step("slow"):
        time.sleep(0.03)
    assert not budget.allows("slow")
    with pytest.raises(OutOfTimeError), budget.step("slow"):
        raise AssertionError("this step must not run")


def test_a_choice_is_not_judged_by_the_users_it_was_made_on():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(30, 40, 200))  # 40 options that are all the same, 30 times
    flattered = noise.mean(axis=2).max(axis=1).mean()
    honest = np.mean([cross_fitted(figures, rng).mean() for figures in noise])
    assert flattered > 0.12
    assert abs(honest) < 0.03
    clear = noise[0] + 5 * (np.arange(40) == 7)[:, None]
    np.testing.assert_array_equal(cross_fitted(clear, rng), clear[7])
    np.testing.assert_array_equal(cross_fitted(clear[7:8], rng), clear[7])


def test_gains_as_ratios():
    gain = Gain(control=0.1, value=0.12, low=0.01, high=0.03)
    assert gain.ratio == pytest.approx(1.2)
    assert gain.ratio_interval == pytest.approx((1.1, 1.3))
    nothing = Gain(0.0, 0.1, 0.05, 0.15)
    assert nothing.ratio == np.inf
    assert nothing.ratio_interval == (np.inf, np.inf)
    assert Gain(0.0, 0.0, 0.0, 0.0).ratio == 1
    assert weakest([gain, nothing]) is gain


def test_gain_of_users():
    rng = np.random.default_rng(0)
    control = rng.random(400) * 0.5
    gain = gain_of_users(control + 0.1 + rng.normal(0, 0.05, 400), control)
    assert gain.low < 0.1 < gain.high
    assert gain.low > 0.08


def result(users, values):
    return Result("x", "valid", pa.array(users), {"m": np.asarray(values, float)}, {}, {})


def test_gain_of_draws_sees_what_is_common_to_a_draw():
    """Over users alone, five draws that each favour all of their users alike look sure."""
    rng = np.random.default_rng(1)
    shifts = [0.2, -0.2, 0.1, -0.15, 0.12]
    users = [str(u) for u in range(300)]
    control = [result(users, np.full(300, 0.5)) for _ in shifts]
    method = [result(users, 0.5 + s + rng.normal(0, 0.01, 300)) for s in shifts]
    gain = gain_of_draws(method, control, "m")
    assert gain.value - gain.control == pytest.approx(np.mean(shifts), abs=0.002)
    assert gain.low < -0.1
    assert gain.high > 0.1
    steady = [result(users, 0.6 + rng.normal(0, 0.01, 300)) for _ in shifts]
    assert gain_of_draws(steady, control, "m").low > 0.09


def test_gain_of_draws_of_other_users():
    one = [result(["a", "b"], [1, 0]), result(["b", "c"], [1, 1]), result(["a"], [1])]
    two = [result(["a", "b"], [0, 0]), result(["b", "c"], [0, 0]), result(["a"], [0])]
    gain = gain_of_draws(one, two, "m")
    assert gain.value == pytest.approx((0.5 + 1 + 1) / 3)
    assert gain.control == 0


def test_strengths_and_weights():
    models = [EASE(RATES), ItemKNN(RATES), Popularity(RATES), ALS(RATES)]
    assert [strength_of(model) for model in models] == ["l2", "shrinkage", None, "l2"]
    assert weighed(EASE(RATES, l2=3.0)).get_params()["weight"] == "confidence"
    assert weighed(EASE(RATES, l2=3.0)).l2 == 3
    assert isinstance(weighed(BSPM(RATES)), BSPM)


@pytest.fixture(scope="module")
def hin():
    hin = planted(80, 60, 4, dim=8, rng=0)
    return hin.filter_edges(RATES, hin.links(RATES)[1] < 50)


def test_chance_is_even_and_the_same_for_every_block():
    check_predictor(Chance(RATES))
    hin = planted(200, 100, 4, dim=0, rng=0)
    scores = Chance(RATES, 1).fit(hin).score(hin, np.arange(200))
    first = np.bincount(scores.argmax(axis=1), minlength=100)
    assert first.max() < 12  # 2 on average
    assert abs(np.corrcoef(scores[:-1].ravel(), scores[1:].ravel())[0, 1]) < 0.03
    other = Chance(RATES, 2).fit(hin).score(hin, np.arange(200))
    assert abs(np.corrcoef(scores.ravel(), other.ravel())[0, 1]) < 0.03


def test_predicted_popularity_is_the_mean_of_the_ridge(hin):
    ridge = KernelRidge(RATES, "x", l2=3.0)
    model = PredictedPopularity(RATES, ridge).fit(hin)
    scores = model.score(hin, [0, 5])
    np.testing.assert_array_equal(scores[0], scores[1])
    expected = np.nan_to_num(ridge.clone().fit(hin).score(hin, np.arange(80))).mean(axis=0)
    np.testing.assert_allclose(scores[0], expected, atol=1e-5)


def test_a_proposal_for_new_items_counts_in_mean_links(hin):
    generator = RelationGenerator(KernelRidge(RATES, "x"), targets="cold", evidence=["review"])
    delta = Proposal(EASE(RATES), generator, times=2.0).delta(hin, rng=0)
    mean = hin.adjacency(RATES).nnz / 50
    assert len(delta) == pytest.approx(2 * mean * 10, abs=1)
    assert set(hin.positions("item", delta.edges[RATES]["dst"])) <= set(range(50, 60))
    again = Proposal(EASE(RATES), generator, times=2.0).delta(hin, rng=0)
    assert delta.edges[RATES].equals(again.edges[RATES])
    everybody = hin.filter_nodes("item", np.arange(60) < 50)
    assert not len(Proposal(EASE(RATES), generator, times=2.0).delta(everybody, rng=0))
    assert not len(Proposal(EASE(RATES)).delta(hin, rng=0))
