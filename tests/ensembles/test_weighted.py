"""Weighted: z-scores by hand, weights that a search over a grid would find, members that cannot
tell, refit.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from raising import raises

from hinaug.datasets import planted
from hinaug.ensembles import Weighted
from hinaug.ensembles.base import Candidates, z_scores
from hinaug.ensembles.weighted import search
from hinaug.errors import NotFittedError
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.predictors import EASE, HeteroGNN, ItemKNN, NearestNeighbors, Popularity
from hinaug.predictors.base import LinkPredictor
from hinaug.split.cold import cold_items
from hinaug.split.random import random_split
from hinaug.training import ranking
from hinaug.training.validation import Validation

RATES = ("user", "rates", "item")


@dataclass(eq=False)
class Noise(LinkPredictor):
    """Scores that know nothing; NaN for a share of the pairs."""

    seed: int = 0
    missing: float = 0.0

    def _fit(self, hin, valid, rng):
        self.fitted_ = True

    def _score(self, hin, src):
        n = hin.n(self.relation[2])
        rows = [np.random.default_rng([self.seed, int(u)]) for u in src]
        scores = np.stack([r.normal(size=n) for r in rows]) if len(rows) else np.zeros((0, n))
        hide = (
            np.stack([r.random(n) < self.missing for r in rows])
            if len(rows)
            else np.zeros((0, n), bool)
        )
        return np.where(hide, np.nan, scores).astype(np.float32)


@dataclass(eq=False)
class Silent(Noise):
    """Cannot tell anything."""

    def _score(self, hin, src):
        return np.full((len(src), hin.n(self.relation[2])), np.nan, np.float32)


@pytest.fixture(scope="module")
def split():
    return random_split(planted(n_users=150, n_items=80, rng=1), RATES, rng=0)


def ndcg(model, graph, pairs):
    return Validation(graph, RATES, pairs)(lambda src: model.score(graph, src))


@pytest.mark.parametrize(
    ("offset", "scale"), [(0.0, 1.0), (-300.0, 1.0), (1e4, 1.0), (0.0, 1e-23), (0.0, 1e20)]
)
def test_z_scores_equal_those_in_double_precision(offset, scale):
    rng = np.random.default_rng(0)
    scores = (offset + scale * rng.standard_normal((7, 900))).astype(np.float32)
    scores[rng.random(scores.shape) < 0.1] = np.nan
    pool = rng.random(scores.shape) < 0.8
    exact = scores.astype(float)
    inside = np.where(pool, exact, np.nan)
    expected = (exact - np.nanmean(inside, 1, keepdims=True)) / np.nanstd(inside, 1, keepdims=True)
    np.testing.assert_allclose(z_scores(scores, pool), expected, rtol=1e-5, atol=1e-6)


def test_z_scores_by_hand():
    scores = np.float32([[1, 2, 3, 100, np.nan], [5, 5, 5, 7, np.nan]])
    pool = np.array([[1, 1, 1, 0, 1], [1, 1, 1, 0, 1]], bool)
    z = z_scores(scores, pool)
    sd = np.sqrt(2 / 3)
    np.testing.assert_allclose(z[0, :4], [-1 / sd, 0, 1 / sd, 98 / sd], rtol=1e-6)
    np.testing.assert_array_equal(z[1, :4], 0)
    assert np.isnan(z[:, 4]).all()


def test_score_by_hand():
    """Two members with weights 3/4 and 1/4; the second cannot tell item s; ann has p, which is in
    no mean.
    """
    hin = HIN.from_tables(
        {"user": {"id": ["ann"]}, "item": {"id": list("pqrs")}},
        {RATES: {"src": ["ann"], "dst": ["p"]}},
    )
    given = {0: [50.0, 1.0, 2.0, 3.0], 1: [50.0, 1.0, 3.0, np.nan]}

    @dataclass(eq=False)
    class Given(Noise):
        def _score(self, hin, src):
            return np.float32([given[self.seed]])

    model = Weighted([Given(RATES, 0), Given(RATES, 1)]).fit(
        hin, valid=pa.table({"src": ["ann"], "dst": ["q"]})
    )
    model.weights_ = np.array([0.75, 0.25])
    a = (np.array([1, 2, 3]) - 2) / np.sqrt(2 / 3)
    b = np.array([-1, 1])
    expected = [0.75 * a[0] + 0.25 * b[0], 0.75 * a[1] + 0.25 * b[1], a[2]]
    np.testing.assert_allclose(model.score(hin, [0])[0, 1:], expected, rtol=1e-5)


def test_a_good_member_is_not_hurt_by_noise(split):
    alone = EASE(RATES, l2=20.0).fit(split.train)
    noise = [Noise(RATES, s).fit(split.train) for s in range(5)]
    members = [*noise[:2], alone, *noise[2:]]
    model = Weighted([m.clone() for m in members])
    model.fit_with(members, split.train, valid=split.valid, rng=0)
    assert model.weights_[2] > 0.6
    assert (
        ndcg(model, split.train_valid, split.test)
        >= ndcg(alone, split.train_valid, split.test) - 0.01
    )
    assert model.valid_[2] == pytest.approx(ndcg(alone, split.train, split.valid), abs=1e-6)


def test_members_that_see_different_things_help_each_other(split):
    members = [m.fit(split.train) for m in (EASE(RATES, l2=20.0), NearestNeighbors(RATES))]
    model = Weighted([m.clone() for m in members])
    model.fit_with(members, split.train, valid=split.valid, rng=0)
    assert (model.weights_ > 0.05).all()
    assert model.valid_[2] > max(model.valid_[:2])
    assert ndcg(model, split.train, split.valid) == pytest.approx(model.valid_[2], abs=1e-6)
    singles = [ndcg(m, split.train, split.test) for m in members]
    assert ndcg(model, split.train, split.test) > max(singles)


def test_weights_are_on_the_simplex_and_the_same_each_time(split):
    members = [EASE(RATES, l2=20.0), NearestNeighbors(RATES), ItemKNN(RATES), Popularity(RATES)]
    models = [Weighted(members).fit(split.train, valid=split.valid, rng=0) for _ in range(2)]
    weights = models[0].weights_
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_array_equal(weights, models[1].weights_)
    assert all(not hasattr(m, "fitted_on_") for m in members)  # what was given stays unfitted


def test_members_that_cannot_tell_are_passed_over(split):
    good = EASE(RATES, l2=20.0)
    alone = good.clone().fit(split.train)
    model = Weighted([Silent(RATES), good, Noise(RATES, 1, missing=0.9)]).fit(
        split.train, valid=split.valid, rng=0
    )
    assert model.weights_[0] == 0 or model.weights_[1] > 0
    assert ndcg(model, split.train, split.test) >= ndcg(alone, split.train, split.test) - 0.01
    scores = model.score(split.train, np.arange(20))
    assert not np.isnan(scores[:, alone.known_]).any()
    silent = Weighted([Silent(RATES)]).fit(split.train, valid=split.valid)
    assert np.isnan(silent.score(split.train, [0])).all()


def test_refit_keeps_the_weights_and_gives_the_members_more(split):
    model = Weighted([EASE(RATES, l2=20.0), NearestNeighbors(RATES)]).fit(
        split.train, valid=split.valid, rng=0
    )
    weights = model.weights_.copy()
    model.refit(split.train_valid, rng=0)
    np.testing.assert_array_equal(model.weights_, weights)
    expected = EASE(RATES, l2=20.0).fit(split.train_valid)
    np.testing.assert_array_equal(model.predictors_[0].weights_, expected.weights_)


def test_generated_items_are_no_candidates(split):
    members = [EASE(RATES, l2=20.0), NearestNeighbors(RATES)]
    new = Delta(
        {"item": {"id": ["g"], "x": np.full((1, 32), 9.0)}},
        {RATES: {"src": ["u000"], "dst": ["g"]}},
        origin="guess",
    )
    model = Weighted(members).fit(split.train, valid=split.valid, rng=0)
    plain = model.score(split.train, np.arange(10))
    grown = model.score(split.train + new, np.arange(10))
    np.testing.assert_allclose(grown[1:, :-1], plain[1:], rtol=1e-4, atol=1e-5)


def test_search_finds_what_a_grid_finds():
    """Two members that are each half right, one that is wrong: a grid over the simplex is no
    better.
    """
    rng = np.random.default_rng(0)
    users, items = 300, 40
    relevant = rng.random((users, items)) < 0.1
    relevant[:, 0] = True
    z = rng.normal(size=(3, users, items)).astype(np.float32)
    z[0] += 1.5 * relevant
    z[1] += 1.0 * relevant
    ids = np.tile(np.arange(items), (users, 1))
    found = Candidates(np.arange(users), ids, z, relevant, relevant.sum(1))
    weights, valid = search(found, 20, margin=0.0)

    def value(w):
        order = np.argsort(-np.tensordot(w, z, 1), axis=1)
        import scipy.sparse as sp

        return ranking.ndcg(order, sp.csr_array(relevant), 20).mean()

    grid = [np.array([a, b, 20 - a - b]) / 20 for a in range(21) for b in range(21 - a)]
    assert value(weights) >= max(map(value, grid)) - 1e-3
    assert valid[-1] == pytest.approx(value(weights), abs=1e-6)
    assert valid[0] == pytest.approx(value(np.eye(3)[0]), abs=1e-6)


def test_few_users_are_enough_and_many_are_sampled(split):
    model = Weighted([EASE(RATES, l2=20.0), Popularity(RATES)], max_users=10, n_candidates=1)
    model.fit(split.train, valid=split.valid, rng=0)
    assert model.weights_.sum() == pytest.approx(1)


def test_summary_shows_weights(split):
    model = Weighted([Popularity(RATES), EASE(RATES, l2=20.0)])
    with pytest.raises(NotFittedError):
        model.summary()
    lines = model.fit(split.train, valid=split.valid, rng=0).summary().splitlines()
    assert lines[0].startswith("NDCG@20 on held-out pairs 0.")
    assert "EASE" in lines[1]
    assert f"{model.weights_[1]:.2f}" in lines[1]


def test_says_what_it_takes(split):
    with raises(ValueError, names="train"):
        Weighted([EASE(RATES)]).fit(split.train)
    with raises(TypeError, names="Weighted"):
        Weighted([])
    with raises(TypeError, names="Weighted"):
        Weighted([EASE])
    with raises(ValueError, names="user"):
        Weighted([EASE(RATES), EASE(("user", "wrote", "review"))])
    clone = Weighted([EASE(RATES)], k=5).clone(predictors=[Popularity(RATES)])
    assert (clone.k, clone.relation, len(clone.predictors)) == (5, RATES, 1)


def test_items_that_nobody_had_are_mixed_by_how_they_rank_among_themselves():
    """Popularity puts all of them last and alike; what reads attributes can tell them apart, and
    gets the weight.
    """
    split = cold_items(planted(150, 80, rng=1), RATES, evidence=["review"], rng=0)
    model = Weighted(
        [
            Popularity(RATES),
            HeteroGNN(RATES, evidence=("review",), hidden=16, embedding_dim=16, epochs=60),
        ]
    )
    model.fit(split.train, valid=split.valid, rng=0)
    assert model.weights_[1] == 1
    assert model.valid_[1] > model.valid_[0] > 0


def test_no_source_is_in_its_own_pool():
    follows = ("user", "follows", "user")
    nodes = {"user": {"id": list("abc")}}
    hin = HIN.from_tables(nodes, {follows: {"src": ["a"], "dst": ["b"]}})
    pool = Weighted([Popularity(follows)])._pool(hin, np.arange(3))
    assert pool.tolist() == [[False, False, True], [True, False, True], [True, True, False]]
