"""What members see of the held-out pairs is not what the ensemble learns from."""

import doctest
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from methods import Fixed

import hinaug.ensembles.base
from hinaug.datasets import planted
from hinaug.ensembles import AdaRank, EnsembleSelection, RankFusion, Stacking, Weighted, split_valid
from hinaug.errors import LeakError, ParameterError
from hinaug.evaluation.draws import draws
from hinaug.evaluation.tune import tune
from hinaug.predictors import EASE
from hinaug.predictors.base import LinkPredictor
from hinaug.split.random import random_split
from hinaug.training.validation import Validation

RATES = ("user", "rates", "item")
LEARNING = [Weighted, EnsembleSelection, AdaRank, Stacking]


@dataclass(eq=False)
class Memo(LinkPredictor):
    """Noise, and above it the pairs that `fit` was given as valid."""

    def _fit(self, hin, valid, rng):
        scores = np.random.default_rng(7).normal(size=(hin.n("user"), hin.n("item")))
        self.given_ = set() if valid is None else set(valid["src"].to_pylist())
        if valid is not None:
            scores[hin.positions("user", valid["src"]), hin.positions("item", valid["dst"])] += 100
        self.known_ = scores.astype(np.float32)

    def _score(self, hin, src):
        return self._columns(hin, self.known_[self._rows(hin, src)])


@pytest.fixture(scope="module")
def split():
    return random_split(planted(n_users=200, n_items=80, rng=1), RATES, rng=0)


def ndcg(model, graph, pairs):
    return Validation(graph, RATES, pairs)(lambda src: model.score(graph, src))


@pytest.mark.parametrize("kind", LEARNING)
def test_what_a_member_knows_by_heart_earns_no_weight(split, kind):
    model = kind([EASE(RATES, l2=20.0), Memo(RATES)]).fit(split.train, valid=split.valid, rng=0)
    known, alone = model.predictors_[1], model.predictors_[0]
    part = split.valid.filter(pc.is_in(split.valid["src"], pa.array(sorted(known.given_))))
    assert ndcg(known, split.train, part) == 1  # it does know them
    assert len(known.given_) == len(set(split.valid["src"].to_pylist())) // 4
    assert model.valid_[1] < model.valid_[0] / 2
    assert model.weights_[1] < 0.2
    assert ndcg(model, split.train, split.test) > ndcg(alone, split.train, split.test) - 0.02


@pytest.mark.parametrize("kind", LEARNING)
def test_an_ensemble_inside_an_ensemble_holds_its_own_pairs_apart(split, kind):
    inner = kind([EASE(RATES, l2=20.0), Memo(RATES)])
    model = Weighted([inner, Memo(RATES)]).fit(split.train, valid=split.valid, rng=0)
    assert model.weights_[1] == 0
    assert model.predictors_[0].weights_[1] < 0.5


@pytest.mark.parametrize("kind", LEARNING)
def test_shared_members_are_judged_by_pairs_that_they_were_not_given(split, kind):
    first, second = split_valid(split.valid, 0.5, rng=3)
    kinds = [EASE(RATES, l2=20.0), Memo(RATES)]
    on_part = [m.clone().fit(split.train, valid=first) for m in kinds]
    whole, part = (
        kind(kinds).fit_with(on_part, split.train, valid=pairs, rng=0)
        for pairs in (split.valid, second)
    )
    np.testing.assert_array_equal(whole.weights_, part.weights_)
    np.testing.assert_array_equal(whole.valid_, part.valid_)
    on_all = [m.clone().fit(split.train, valid=split.valid) for m in kinds]
    n_sources = len(set(split.valid["src"].to_pylist()))
    with pytest.raises(LeakError) as refused:
        kind(kinds).fit_with(on_all, split.train, valid=split.valid)
    assert (refused.value.asked, refused.value.there) == (n_sources, 0)
    unseen = [m.clone().fit(split.train) for m in kinds]
    model = kind(kinds).fit_with(unseen, split.train, valid=split.valid, rng=0)
    assert model.valid_[0] == pytest.approx(ndcg(unseen[0], split.train, split.valid), abs=1e-6)


def test_where_nothing_is_learned_the_members_see_all(split):
    model = RankFusion([Memo(RATES)]).fit(split.train, valid=split.valid, rng=0)
    assert model.predictors_[0].given_ == set(split.valid["src"].to_pylist())


def test_one_source_is_for_the_weights(split):
    valid = split.valid.slice(0, 1)
    model = Weighted([EASE(RATES), Memo(RATES)]).fit(split.train, valid=valid, rng=0)
    assert model.predictors_[1].given_ == set()


def test_parts_are_whole_sources(split):
    first, second = split_valid(split.valid, 0.3, rng=0)
    one, two = (set(part["src"].to_pylist()) for part in (first, second))
    assert not one & two
    assert len(one) == int(0.3 * len(one | two))
    assert first.num_rows + second.num_rows == split.valid.num_rows
    assert split_valid(split.valid, 0.3, rng=0)[0].equals(first)
    assert not split_valid(split.valid, 0.3, rng=1)[0].equals(first)
    with pytest.raises(ParameterError) as refused:
        split_valid(split.valid, 1.5)
    assert refused.value.asked == 1.5


# ---- the score of a search -----------------------------------------------------------------------


def noisy_members(split, n):
    """EASE and n members that know nothing."""
    shape = split.train.n("user"), split.train.n("item")
    noise = [np.random.default_rng(seed).random(shape).astype(np.float32) for seed in range(n)]
    return [EASE(RATES, l2=20.0), *(Fixed(RATES, scores) for scores in noise)]


@pytest.mark.filterwarnings("ignore::hinaug.errors.EdgeWarning")
@pytest.mark.parametrize("kind", [Weighted, AdaRank])
def test_a_search_does_not_reward_weights_that_fit_noise(kind):
    """12 members of noise, every gain taken: on its own pairs the ensemble seems to win."""
    own, judged, test = [], [], []
    for seed in range(4):
        split = random_split(planted(200, 60, rng=seed), RATES, rng=seed)
        model = kind(noisy_members(split, 12), margin=0.0)
        plain = EASE(RATES, l2=20.0).fit(split.train)
        found = tune(model, {"margin": [0.0]}, split, trials=1, rng=seed)
        start = int(np.random.default_rng(seed).integers(2**31))
        (draw,) = draws(model, split, None, 1, 20, start)
        judged.append(
            found.value - draw.measure(lambda src, m=plain, d=draw: m.score(d.train, src))
        )
        model.fit(split.train, valid=split.valid, rng=seed)
        own.append(model.valid_[-1] - model.valid_[0])
        test.append(ndcg(model, split.train, split.test) - ndcg(plain, split.train, split.test))
    error = np.std(np.subtract(judged, test), ddof=1) / 2
    assert np.mean(own) > 0.015
    assert np.mean(judged) - np.mean(test) < max(2 * error, 0.01)
    assert np.mean(judged) < 0.005


def test_the_examples_are_true():
    failed, tried = doctest.testmod(hinaug.ensembles.base)
    assert failed == 0
    assert tried > 0
