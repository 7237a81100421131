"""RankFusion: votes by hand, abstention, no learning."""

from dataclasses import dataclass

import numpy as np
import pytest

from hinaug.ensembles import RankFusion
from hinaug.ensembles.rank_fusion import ranks
from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.predictors import EASE, NearestNeighbors, Popularity
from hinaug.predictors.base import LinkPredictor
from hinaug.testing import check_predictor

RATES = ("user", "rates", "item")
GIVEN = {0: [9.0, 3.0, 2.0, 1.0, 1.0], 1: [0.0, 1.0, np.nan, 2.0, 3.0]}


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


def test_votes_by_hand(hin):
    """ann has p. Member 0 ranks q 1, r 2, s and t 3.5; member 1 ranks t 1, s 2, q 3 and cannot tell
    r.
    """
    model = RankFusion([Given(RATES, 0), Given(RATES, 1)], constant=10.0).fit(hin)
    expected = [(1 / 11 + 1 / 13) / 2, 1 / 12, (1 / 13.5 + 1 / 12) / 2, (1 / 13.5 + 1 / 11) / 2]
    np.testing.assert_allclose(model.score(hin, [0])[0, 1:], expected, rtol=1e-6)
    model = RankFusion([Given(RATES, 0), Given(RATES, 1)], method="borda").fit(hin)
    expected = [(1 + 0) / 2, 2 / 3, (0.5 / 3 + 0.5) / 2, (0.5 / 3 + 1) / 2]
    np.testing.assert_allclose(model.score(hin, [0])[0, 1:], expected, rtol=1e-6)


def test_ranks_against_a_loop():
    rng = np.random.default_rng(0)
    z = rng.integers(0, 6, (20, 15)).astype(np.float32)
    z[rng.random(z.shape) < 0.1] = np.nan
    pool = rng.random(z.shape) < 0.8
    rank, n = ranks(z, pool)
    for u in range(len(z)):
        told = pool[u] & ~np.isnan(z[u])
        assert n[u, 0] == told.sum()
        for i in np.flatnonzero(~np.isnan(z[u])):
            better, equal = (told & (z[u] > z[u, i])).sum(), (told & (z[u] == z[u, i])).sum()
            assert rank[u, i] == better + (max(equal, 1) + 1) / 2


def test_one_member_keeps_its_order(hin):
    scores = RankFusion([Given(RATES, 1)]).fit(hin).score(hin, [0])[0]
    assert np.isnan(scores[2])
    assert scores[4] > scores[3] > scores[1] > scores[0]


@pytest.mark.parametrize("method", ["rrf", "borda"])
def test_keeps_the_contract(method):
    check_predictor(
        RankFusion(
            [EASE(RATES, l2=20.0), Popularity(RATES), NearestNeighbors(RATES)], method=method
        )
    )


def test_says_what_it_takes(hin):
    for bad in ({"method": "rff"}, {"constant": -1}):
        with pytest.raises(ParameterError) as error:
            RankFusion([Popularity(RATES)], **bad).fit(hin)
        assert error.value.asked in bad.values()
