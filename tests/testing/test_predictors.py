"""check_predictor passes a good predictor, and names each rule that another breaks."""

import random
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from good import Good

from hinaug.datasets.planted import RATES, WROTE, planted
from hinaug.errors import NotFittedError
from hinaug.predictors import EASE, Popularity
from hinaug.predictors.base import LinkPredictor
from hinaug.testing import check_predictor


def test_another_relation_and_graph():
    check_predictor(Popularity(WROTE))
    hin = planted(n_users=20, n_items=15, n_groups=2, rng=3)
    check_predictor(EASE(RATES), hin, rng=7)


def test_a_good_one_passes():
    check_predictor(Good(RATES))


class NoDataclass(Good):
    def __init__(self, relation, scale=1.0, extra=3):
        super().__init__(relation, scale)


@dataclass(eq=False)
class RoundsParameter(Good):
    def __post_init__(self):
        self.scale = self.scale + 1


@dataclass(eq=False)
class LearnsTooEarly(Good):
    def __post_init__(self):
        self.s_ = np.zeros(3)


@dataclass(eq=False)
class HidesParameter(Good):
    secret: int = field(default=1, repr=False)
    shown: int = 2

    def __repr__(self):
        return "HidesParameter()"


@dataclass(eq=False)
class ScoresUnfitted(Good):
    def score(self, hin, src):
        if not hasattr(self, "s_"):
            return np.zeros((len(src), hin.n(self.relation[2])), np.float32)
        return super().score(hin, src)


@dataclass(eq=False)
class AnyGraph(Good):
    def fit(self, hin, *, valid=None, rng=None):
        return super().fit(hin, valid=valid, rng=rng) if self.relation in hin.edges else self


@dataclass(eq=False)
class ReturnsNothing(Good):
    def fit(self, hin, *, valid=None, rng=None):
        super().fit(hin, valid=valid, rng=rng)


@dataclass(eq=False)
class ChangesParameter(Good):
    def _fit(self, hin, valid, rng):
        super()._fit(hin, valid, rng)
        self.scale = 2.0


@dataclass(eq=False)
class ChangesGraph(Good):
    def _fit(self, hin, valid, rng):
        super()._fit(hin, valid, rng)
        hin.adjacency(self.relation).data.setflags(write=True)
        hin.adjacency(self.relation).data[0] = 5


@dataclass(eq=False)
class DrawsFromNumpy(Good):
    def _fit(self, hin, valid, rng):
        super()._fit(hin, valid, rng)
        self.s_ += np.random.random()  # noqa: NPY002


@dataclass(eq=False)
class DrawsFromPython(Good):
    def _fit(self, hin, valid, rng):
        super()._fit(hin, valid, rng)
        self.s_ += random.random()


@dataclass(eq=False)
class SeedsTorch(Good):
    def _fit(self, hin, valid, rng):
        torch.manual_seed(99)
        super()._fit(hin, valid, rng)


@dataclass(eq=False)
class DrawsInScore(Good):
    def _score(self, hin, src):
        torch.rand(1)
        return super()._score(hin, src)


@dataclass(eq=False)
class SetsThreads(Good):
    def _fit(self, hin, valid, rng):
        torch.set_num_threads(torch.get_num_threads() + 1)
        super()._fit(hin, valid, rng)


@dataclass(eq=False)
class IgnoresRng(Good):
    def _fit(self, hin, valid, rng):
        super()._fit(hin, valid, np.random.default_rng())


@dataclass(eq=False)
class RemembersEarlierFits(Good):
    def fit(self, hin, *, valid=None, rng=None):
        old = vars(self).get("s_")
        super().fit(hin, valid=valid, rng=rng)
        if old is not None:
            self.s_ = self.s_ + old
        return self


@dataclass(eq=False)
class Infinite(Good):
    def _score(self, hin, src):
        return np.full((len(src), hin.n(self.relation[2])), -np.inf, np.float32)


@dataclass(eq=False)
class AlwaysNan(Good):
    def _score(self, hin, src):
        return np.full((len(src), hin.n(self.relation[2])), np.nan, np.float32)


@dataclass(eq=False)
class DoublePrecision(Good):
    def score(self, hin, src):
        return super().score(hin, src).astype(np.float64)


@dataclass(eq=False)
class ScoresInContext(Good):
    def _score(self, hin, src):
        scores = super()._score(hin, src)
        return scores - scores.mean() if scores.size else scores


@dataclass(eq=False)
class ForgivesPositions(Good):
    def score(self, hin, src):
        return super().score(hin, np.clip(src, 0, hin.n(self.relation[0]) - 1))


@dataclass(eq=False)
class PairsDisagree(Good):
    def score_pairs(self, hin, src, dst):
        return super().score_pairs(hin, src, dst) + 1


@dataclass(eq=False)
class GoesByPosition(Good):
    def _score(self, hin, src):
        x = hin.adjacency(self.relation)[src].toarray()
        n = len(self.s_)
        out = np.zeros(x.shape, np.float32)
        out[:, :n] = x[:, :n] @ self.s_
        return out


@dataclass(eq=False)
class FixedSize(Good):
    def _score(self, hin, src):
        return hin.adjacency(self.relation)[src].toarray()[:, : len(self.s_)] @ self.s_


@dataclass(eq=False)
class LosesState(Good):
    def _fit(self, hin, valid, rng):
        super()._fit(hin, valid, rng)
        self.needed = 1.0

    def _score(self, hin, src):
        return super()._score(hin, src) * self.needed


@dataclass(eq=False)
class LosesPrecision(Good):
    def _fit(self, hin, valid, rng):
        super()._fit(hin, valid, rng)
        self._exact = self.s_ * np.float32(1.1)

    def _score(self, hin, src):
        kept = self.s_
        self.s_ = self.__dict__.get("_exact", kept)
        try:
            return super()._score(hin, src)
        finally:
            self.s_ = kept


@dataclass(eq=False)
class Unsavable(Good):
    def _fit(self, hin, valid, rng):
        super()._fit(hin, valid, rng)
        self.function_ = lambda x: x


@dataclass(eq=False)
class RefitForgets(Good):
    def refit(self, hin, *, rng=None):
        self._check_fitted()
        self._fit(hin, None, np.random.default_rng(rng))
        return self


@dataclass(eq=False)
class RefitMixes(Good):
    def refit(self, hin, *, rng=None):
        self._check_fitted()
        old = self.s_
        super().refit(hin, rng=rng)
        self.s_ = (self.s_ + old) / 2
        return self


@dataclass(eq=False)
class RefitReturnsNothing(Good):
    def refit(self, hin, *, rng=None):
        super().refit(hin, rng=rng)


@dataclass(eq=False)
class KeepsLinks(Good):
    """The training set, under a name of its own."""

    def _fit(self, hin, valid, rng):
        super()._fit(hin, valid, rng)
        self.links_ = hin.adjacency(self.relation)


@pytest.mark.parametrize(
    ("predictor", "words"),
    [
        (NoDataclass(RATES), "no dataclass of its own"),
        (RoundsParameter(RATES), "clone.. has other parameters"),
        (LearnsTooEarly(RATES), r"has \['s_'\] before fit"),
        (HidesParameter(RATES), "the repr is the log line; it does not show"),
        (ScoresUnfitted(RATES), "score before fit raises nothing; NotFittedError is expected"),
        (AnyGraph(RATES), "fit on a graph without .* raises nothing; KeyError is expected"),
        (ReturnsNothing(RATES), "fit must return self"),
        (ChangesParameter(RATES), "fit changed a parameter"),
        (ChangesGraph(RATES), "changes the graph"),
        (DrawsFromNumpy(RATES), "numpy's global random state"),
        (DrawsFromPython(RATES), "the random state of `random`"),
        (SeedsTorch(RATES), "torch's global random state"),
        (DrawsInScore(RATES), "score changes torch's global random state"),
        (SetsThreads(RATES), "the number of torch threads"),
        (IgnoresRng(RATES), "fitted twice with rng=0, the scores differ"),
        (RemembersEarlierFits(RATES), "what an earlier fit learned is still there"),
        (Infinite(RATES), "infinite numbers"),
        (AlwaysNan(RATES), "NaN everywhere"),
        (DoublePrecision(RATES), "float64"),
        (ScoresInContext(RATES), "depends on which sources are asked for together"),
        (ForgivesPositions(RATES), "of position 50 among 50 raises nothing"),
        (PairsDisagree(RATES), "score_pairs disagrees"),
        (GoesByPosition(RATES), "go by ids"),
        (FixedSize(RATES), "expected"),
        (LosesState(RATES), "fails after save and load"),
        (LosesPrecision(RATES), "other results after save and load"),
        (Unsavable(RATES), "cannot be saved and loaded"),
        (RefitForgets(RATES), "refit did not remember the graph"),
        (RefitMixes(RATES), "refit scores otherwise than a new fit on the same graph"),
        (RefitReturnsNothing(RATES), "refit must return self"),
        (KeepsLinks(RATES), r"KeepsLinks.links_ has the rows of sources: \d+% of the links"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, LinkPredictor) else "",
)
def test_each_broken_rule_of_a_predictor_is_named(predictor, words):
    threads = torch.get_num_threads()
    try:
        with pytest.raises((AssertionError, ValueError), match=words):
            check_predictor(predictor)
    finally:
        torch.set_num_threads(threads)


def test_what_is_no_predictor_is_said():
    with pytest.raises(AssertionError, match="int is no LinkPredictor"):
        check_predictor(3)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match=r"has no \('user', 'buys', 'item'\)"):
        check_predictor(Popularity(("user", "buys", "item")))


def test_not_fitted_error_is_a_value_error():
    assert issubclass(NotFittedError, ValueError)
