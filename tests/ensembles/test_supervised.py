"""EnsembleSelection and AdaRank: what noise may do, who is refused, shared members, by hand where a
hand can.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from methods import Fixed
from raising import raises
from sklearn.linear_model import LogisticRegression, Ridge

from hinaug.datasets import planted
from hinaug.ensembles import AdaRank, EnsembleSelection, Stacking, Weighted
from hinaug.ensembles.base import Candidates
from hinaug.errors import LeakError, NotFittedError
from hinaug.predictors import EASE, NearestNeighbors, Popularity
from hinaug.predictors.base import LinkPredictor
from hinaug.split.random import random_split
from hinaug.testing import check_predictor
from hinaug.training.validation import Validation

RATES = ("user", "rates", "item")


def trees(members):
    return Stacking(members, meta="trees")


KINDS = [Weighted, EnsembleSelection, AdaRank, Stacking, trees]


@dataclass(eq=False)
class Noise(LinkPredictor):
    """Scores that know nothing; the same for an id wherever it stands."""

    seed: int = 0

    def _fit(self, hin, valid, rng):
        self.known_ = np.random.default_rng(self.seed).random(
            (len(self.src_ids_), len(self.dst_ids_))
        )

    def _score(self, hin, src):
        rows = self._rows(hin, src)
        return self._columns(
            hin, np.where(rows[:, None] < 0, np.nan, self.known_[rows]).astype(np.float32)
        )


@dataclass(eq=False)
class Silent(Noise):
    """Tells the first ten targets alone."""

    def _score(self, hin, src):
        scores = super()._score(hin, src)
        scores[:, 10:] = np.nan
        return scores


@pytest.fixture(scope="module")
def split():
    return random_split(planted(n_users=200, n_items=80, rng=1), RATES, rng=0)


@pytest.fixture(scope="module")
def fitted(split):
    """Fitted once: what looks at links, at text, and at neither."""
    members = [EASE(RATES, l2=20.0), NearestNeighbors(RATES), Popularity(RATES)]
    return [m.fit(split.train) for m in members]


def ndcg(model, graph, pairs):
    return Validation(graph, RATES, pairs)(lambda src: model.score(graph, src))


def unfitted(members):
    return [m.clone() for m in members]


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_member_is_not_hurt_by_noise(split, kind):
    good = EASE(RATES, l2=20.0).fit(split.train)
    members = [
        *(Noise(RATES, s).fit(split.train) for s in range(3)),
        good,
        *(Noise(RATES, s).fit(split.train) for s in (3, 4)),
    ]
    model = kind(unfitted(members)).fit_with(members, split.train, valid=split.valid, rng=0)
    alone, chance = ndcg(good, split.train, split.test), ndcg(members[0], split.train, split.test)
    assert chance < alone / 2
    assert ndcg(model, split.train, split.test) >= alone - 0.015
    assert np.argmax(model.valid_[:6]) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_members_that_see_different_things_help_each_other(split, fitted, kind):
    model = kind(unfitted(fitted)).fit_with(fitted, split.train, valid=split.valid, rng=0)
    best = max(ndcg(m, split.train, split.test) for m in fitted)
    assert ndcg(model, split.train, split.test) > best


@pytest.mark.parametrize("kind", KINDS)
def test_keeps_the_contract(kind):
    check_predictor(kind([EASE(RATES, l2=20.0), Popularity(RATES), NearestNeighbors(RATES)]))


@pytest.mark.parametrize("kind", KINDS)
def test_refuses_what_its_members_saw(split, kind):
    model = kind([EASE(RATES), Popularity(RATES)])
    with raises(LeakError, asked=145):
        model.fit(split.train_valid, valid=split.valid)
    assert not hasattr(model, "predictors_")
    with raises(ValueError, names="train"):
        model.fit(split.train)
    with pytest.raises(NotFittedError):
        model.score(split.train, [0])


@pytest.mark.parametrize("kind", KINDS)
def test_shared_members_give_what_own_members_give(split, kind):
    own = kind([EASE(RATES, l2=20.0), NearestNeighbors(RATES)]).fit(
        split.train, valid=split.valid, rng=0
    )
    shared = kind(own.predictors).fit_with(own.predictors_, split.train, valid=split.valid, rng=0)
    assert shared.predictors_[0] is own.predictors_[0]
    src = np.arange(30)
    np.testing.assert_array_equal(shared.score(split.train, src), own.score(split.train, src))
    before = shared.score(split.train, src)
    own.refit(split.train_valid, rng=0)
    np.testing.assert_array_equal(
        shared.score(split.train, src), before
    )  # what is shared was not refitted in place
    shared.refit_with(own.predictors_, split.train_valid)
    np.testing.assert_array_equal(
        shared.score(split.train_valid, src), own.score(split.train_valid, src)
    )
    assert shared.fitted_on_ == split.train_valid.fingerprint()


def test_shared_members_must_be_the_right_ones(split, fitted):
    model = EnsembleSelection(unfitted(fitted))
    with raises(ValueError, names="fitted"):
        model.fit_with(fitted, split.train_valid, valid=split.test)
    with raises(ValueError, names="fitted"):
        model.fit_with(fitted[:1], split.train, valid=split.valid)
    with pytest.raises(NotFittedError):
        model.refit_with(fitted, split.train)


@pytest.mark.parametrize("wrong", [EASE(RATES), 3, None])
def test_members_are_a_list(wrong):
    with raises(TypeError, names="Weighted"):
        Weighted(wrong)


# ---- EnsembleSelection and AdaRank ---------------------------------------------------------------


def world(lifts, users=300, items=40):
    rng = np.random.default_rng(0)
    relevant = rng.random((users, items)) < 0.1
    relevant[:, 0] = True
    z = rng.normal(size=(len(lifts), users, items)).astype(np.float32)
    z += np.float32(lifts)[:, None, None] * relevant
    return Candidates(
        np.arange(users), np.tile(np.arange(items), (users, 1)), z, relevant, relevant.sum(1)
    )


def test_greedy_weights_are_counts_and_find_the_useful():
    members = [EASE(RATES)] * 3
    weights, valid = EnsembleSelection(members, rounds=20, bags=1)._search(
        world([1.5, 1.0, 0.0]), np.random.default_rng(0)
    )
    assert weights[0] > weights[1] > weights[2]
    assert weights[2] < 0.1
    assert valid[-1] > valid[:3].max() + 0.02
    assert any(np.allclose(weights * size, (weights * size).round()) for size in range(2, 21))
    one, _ = EnsembleSelection(members, rounds=1)._search(
        world([1.0, 1.5, 0.0]), np.random.default_rng(0)
    )
    np.testing.assert_array_equal(one, [0, 1, 0])


def test_bags_are_samples_of_the_users_and_their_shares_are_averaged():
    """Each of two members serves the users that the other one fails: the majority in a sample
    decides.
    """
    found = world([0.0, 0.0], users=21)
    found.relevant[:] = np.arange(40) == 0
    found.n_relevant[:] = 1
    found.z[:] = -np.arange(40)
    found.z[0, 10:, 0] = found.z[1, :10, 0] = -99
    weights, _ = EnsembleSelection([EASE(RATES)] * 2, rounds=1, bags=40)._search(
        found, np.random.default_rng(3)
    )
    rng = np.random.default_rng(3)
    assert weights[0] == np.mean([(rng.integers(0, 21, 21) < 10).sum() > 10 for _ in range(40)])
    assert 0 < weights[0] < 1


def test_ties_go_to_the_first_member():
    found = world([1.0])
    found.z = np.concatenate([found.z, found.z])
    for kind in (EnsembleSelection, AdaRank):
        np.testing.assert_array_equal(
            kind([EASE(RATES)] * 2)._search(found, np.random.default_rng(0))[0], [1, 0]
        )


def test_boosting_by_hand():
    """Two users, two items: member 0 ranks both users right, E = (1, 1); alone it is perfect and
    boosting ends.
    """
    z = np.float32([[[1, -1], [1, -1]], [[1, -1], [-1, 1]]])
    relevant = np.array([[True, False], [True, False]])
    found = Candidates(np.arange(2), np.array([[0, 1], [0, 1]]), z, relevant, np.array([1, 1]))
    model = AdaRank([EASE(RATES)] * 2, k=1)
    np.testing.assert_array_equal(model._search(found, np.random.default_rng(0))[0], [1, 0])
    # member 1 alone: E = (1, 0), P = (1/2, 1/2): alpha = 1/2 log((1 + 1/2) / (1 - 1/2)) = 1/2 log 3
    found.z = z[1:]
    model = AdaRank([EASE(RATES)], k=1)
    model._search(found, np.random.default_rng(0))
    assert model.alphas_ == [(0, pytest.approx(0.5 * np.log(3)))]


def test_boosting_turns_to_the_users_that_are_ranked_badly():
    """Member 0 serves the many, member 1 the rest, and member 2 nobody."""
    found = world([0.0, 0.0, 0.0])
    found.z[0, :200] += 3 * found.relevant[:200]
    found.z[1, 200:] += 3 * found.relevant[200:]
    model = AdaRank([EASE(RATES)] * 3)
    weights, valid = model._search(found, np.random.default_rng(0))
    assert [m for m, _ in model.alphas_[:2]] == [0, 1]
    assert weights[2] == 0
    assert valid[-1] > valid[0] + 0.05


# ---- Stacking ------------------------------------------------------------------------------------


def taste(split, users_like, items):
    """Two members; the first is right for heavy users alone, the second for the others: no fixed
    weights can do it.
    """
    rng = np.random.default_rng(0)
    truth = np.zeros((users_like, items), np.float32)
    for pairs in (split.valid, split.test):
        truth[
            split.train.positions("user", pairs["src"]), split.train.positions("item", pairs["dst"])
        ] = 1
    degree = np.diff(split.train.adjacency(RATES).indptr)
    heavy = (degree > np.median(degree))[:, None]
    members = []
    for right in (heavy, ~heavy):
        scores = (rng.normal(size=truth.shape) + 2.5 * truth * right).astype(np.float32)
        members.append(Fixed(RATES, scores).fit(split.train))
    return members


@pytest.mark.parametrize("meta", ["logistic", "trees"])
def test_stacking_learns_whom_to_trust_for_whom(split, meta):
    members = taste(split, split.train.n("user"), split.train.n("item"))
    fixed = Weighted(unfitted(members)).fit_with(members, split.train, valid=split.valid, rng=0)
    stack = Stacking(unfitted(members), meta=meta).fit_with(
        members, split.train, valid=split.valid, rng=0
    )
    assert stack.share_ > 0
    assert ndcg(stack, split.train, split.test) > ndcg(fixed, split.train, split.test) + 0.02
    assert "share of the classifier" in stack.summary()


def test_stacking_without_a_gain_is_weighted(split, fitted):
    """An impossible margin: the same ranking as the weighted mean, to the last item."""
    fixed = Weighted(unfitted(fitted), margin=1e9).fit_with(
        fitted, split.train, valid=split.valid, rng=0
    )
    stack = Stacking(unfitted(fitted), margin=1e9).fit_with(
        fitted, split.train, valid=split.valid, rng=0
    )
    assert stack.share_ == 0
    np.testing.assert_array_equal(stack.weights_, fixed.weights_)
    src = np.arange(20)
    np.testing.assert_allclose(
        stack.score(split.train, src), fixed.score(split.train, src), atol=1e-6
    )


def test_stacking_takes_any_classifier_and_refuses_the_rest(split, fitted):
    own = Stacking(unfitted(fitted), meta=LogisticRegression(C=1e-3), margin=0.0)
    own.fit_with(fitted, split.train, valid=split.valid, rng=0)
    assert own.share_ == 0 or own.meta_.C == 1e-3
    for wrong in ("forest", Ridge()):
        with raises(ValueError, names="meta"):
            Stacking(unfitted(fitted), meta=wrong).fit_with(fitted, split.train, valid=split.valid)


def test_features_by_hand():
    """One user, three candidates, two members; the second cannot tell the last one and agrees with
    the first.
    """
    model = Stacking([EASE(RATES)] * 2)
    z = np.float32([[[2, 1, 0.5]], [[-1, 0, np.nan]]])
    for weights, base in (
        ([1, 0], [2, 1, 0.5]),
        ([0.25, 0.75], [-0.25, 0.25, 0.5]),
        (
            [0, 1],
            [-1, 0, np.nan],
        ),  # who has no weight is not heard where the others cannot tell, as in Weighted
    ):
        model.weights_ = np.float64(weights)
        np.testing.assert_allclose(model._base(z), [base])


@pytest.mark.parametrize("meta", ["logistic", "trees"])
def test_stacking_is_silent_where_members_with_weight_are(split, meta):
    """A member that knows nothing scores everything, the good one some targets alone: the others
    must not be ranked.
    """
    noise = Noise(RATES).fit(split.train)
    silent = split.train.n("item") - 5

    class Partly(EASE):
        def _score(self, hin, src):
            scores = super()._score(hin, src)
            scores[:, silent:] = np.nan
            return scores

    partly = Partly(RATES, l2=20.0).fit(split.train)
    stack = Stacking([partly.clone(), noise.clone()], meta=meta, margin=-1e9)
    stack.fit_with([partly, noise], split.train, valid=split.valid, rng=0)
    stack.weights_ = np.array([1.0, 0.0])
    scores = stack.score(split.train, np.arange(20))
    assert np.isnan(scores[:, silent:]).all()
    assert not np.isnan(scores[:, :silent]).any()
