"""ByHistory: who serves whom, by hand, and never worse than the first member on held-out pairs."""

import doctest

import numpy as np
import pytest
from methods import Fixed

from hinaug import evaluate, random_split
from hinaug.datasets import planted
from hinaug.datasets.planted import RATES
from hinaug.ensembles import by_history
from hinaug.ensembles.by_history import BANDS, ByHistory
from hinaug.errors import ParameterError
from hinaug.graph.delta import Delta
from hinaug.predictors import EASE, Popularity


@pytest.fixture(scope="module")
def split():
    """Half of the users have three links; tastes are strong, and users pick at random beside."""
    hin = planted(300, 80, 4, degree=15, thin=0.5, thin_degree=3, dim=0, rng=0)
    return random_split(hin, RATES, evidence=["review"], valid=1, test=1, rng=0)


def oracle(split, good):
    """Scores that rank what is held out first, for the users that are good."""
    scores = np.random.default_rng(0).random((300, 80))
    src, dst = (
        split.train.positions(n, split.valid[e]) for n, e in (("user", "src"), ("item", "dst"))
    )
    scores[src[good[src]], dst[good[src]]] = 9
    return scores


def test_each_band_gets_the_member_that_serves_it_best(split):
    degree = np.diff(split.train.adjacency(RATES).indptr)
    thin, thick = degree <= 3, degree > 5
    members = [
        Popularity(RATES),
        Fixed(RATES, oracle(split, thin)),
        Fixed(RATES, oracle(split, thick)),
    ]
    model = ByHistory(members).fit(split.train, valid=split.valid, rng=0)
    assert model.chosen_.tolist()[1] == 1
    assert model.chosen_.tolist()[3] == 2
    assert model.chosen_[0] == 0  # nobody without links was judged
    users = np.arange(300)
    scores = model.score(split.train, users)
    np.testing.assert_allclose(
        scores[thin & (degree > 0)], members[1].scores[thin & (degree > 0)], rtol=1e-6
    )
    band = np.searchsorted(BANDS, degree)
    np.testing.assert_allclose(scores[band == 3], members[2].scores[band == 3], rtol=1e-6)


def test_no_band_is_below_popularity(split):
    popularity = Popularity(RATES)
    noise = Fixed(RATES, np.random.default_rng(1).random((300, 80)))
    model = ByHistory([popularity, noise]).fit(split.train, valid=split.valid, rng=0)
    assert model.chosen_.tolist() == [0] * 5
    np.testing.assert_array_equal(
        model.score(split.train, [0, 1]), model.predictors_[0].score(split.train, [0, 1])
    )
    better = ByHistory([popularity, EASE(RATES)]).fit(split.train, valid=split.valid, rng=0)
    figures = [
        evaluate(m.clone().fit(split.train, valid=split.valid, rng=0), split.train, split, k=20)
        for m in (popularity, better)
    ]
    for label, (_, mean) in figures[1].by("train degree", "NDCG@20").items():
        assert mean >= figures[0].by("train degree", "NDCG@20")[label][1] - 0.02


def test_who_cannot_be_scored_gets_the_first_member(split):
    silent = Fixed(RATES, np.full((300, 80), np.nan))
    model = ByHistory([Popularity(RATES), silent]).fit(split.train, valid=split.valid, rng=0)
    model.chosen_[:] = 1
    scores = model.score(split.train, np.arange(10))
    assert not np.isnan(scores).any()
    ghost = split.train + Delta(nodes={"user": {"id": ["ghost"]}})
    assert model.score(ghost, [300]).shape == (1, 80)


def test_errors(split):
    with pytest.raises(ParameterError):
        ByHistory([Popularity(RATES)], fewest=1).fit(split.train, valid=split.valid)
    with pytest.raises(ParameterError):
        ByHistory([Popularity(RATES)]).fit(split.train)


def test_the_example_runs():
    result = doctest.testmod(by_history)
    assert (result.failed, result.attempted > 0) == (0, True)
