"""ScoreFusion: the mean of z-scores by hand, abstention, weights that are given."""

import doctest
from dataclasses import dataclass

import numpy as np
import pytest

from hinaug.ensembles import ScoreFusion, score_fusion
from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.predictors import EASE, NearestNeighbors
from hinaug.predictors.base import LinkPredictor
from hinaug.testing import check_predictor

RATES = ("user", "rates", "item")
GIVEN = {0: [9.0, 4.0, 2.0, 0.0, np.nan], 1: [5.0, np.nan, 1.0, 3.0, np.nan]}


@dataclass(eq=False)
class Given(LinkPredictor):
    which: int = 0

    def _fit(self, hin, valid, rng):
        self.fitted_ = True

    def _score(self, hin, src):
        return np.repeat(np.float32([GIVEN[self.which]]), len(src), axis=0)


@pytest.fixture
def hin():
    return HIN.from_tables(
        {"user": {"id": ["ann"]}, "item": {"id": list("pqrst")}},
        {RATES: {"src": ["ann"], "dst": ["p"]}},
    )


def test_the_mean_by_hand(hin):
    """ann has p, so the mean and deviation are over q, r, s: member 0 has 2 and sqrt(8/3) there,
    member 1 has 2 and 1.
    """
    z0, z1 = np.array([2, 0, -2]) / np.sqrt(8 / 3), np.array([-1, 1])
    members = [Given(RATES, 0), Given(RATES, 1)]
    scores = ScoreFusion(members).fit(hin).score(hin, [0])[0]
    expected = [z0[0], (z0[1] + z1[0]) / 2, (z0[2] + z1[1]) / 2, np.nan]
    np.testing.assert_allclose(scores[1:], expected, rtol=1e-5)
    scores = ScoreFusion(members, weights=[1, 3]).fit(hin).score(hin, [0])[0]
    expected = [z0[0], (z0[1] + 3 * z1[0]) / 4, (z0[2] + 3 * z1[1]) / 4, np.nan]
    np.testing.assert_allclose(scores[1:], expected, rtol=1e-5)
    scores = ScoreFusion(members, weights=[0.0, 1.0]).fit(hin).score(hin, [0])[0]
    np.testing.assert_allclose(scores[1:], [np.nan, *z1, np.nan], rtol=1e-5)


@pytest.mark.parametrize("weights", [[1.0], [0.0, 0.0], [2.0, -1.0], [np.nan, 1.0]])
def test_weights_that_make_no_sense(weights, hin):
    with pytest.raises(ParameterError) as told:
        ScoreFusion([Given(RATES, 0), Given(RATES, 1)], weights=weights).fit(hin)
    assert (told.value.asked, told.value.there) == (weights, 2)


def test_keeps_the_contract():
    check_predictor(ScoreFusion([EASE(RATES, l2=20.0), NearestNeighbors(RATES)], weights=[1, 2]))


def test_the_example_is_true():
    failed, tried = doctest.testmod(score_fusion)
    assert failed == 0 < tried
