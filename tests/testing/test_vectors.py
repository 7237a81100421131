"""check_vectors names what is wrong with the vectors of a predictor."""

from dataclasses import dataclass

import numpy as np
import pytest

from hinaug.datasets.planted import RATES
from hinaug.predictors import Popularity
from hinaug.predictors.base import LinkPredictor
from hinaug.testing import check_vectors


@dataclass(eq=False)
class Factors(LinkPredictor):
    """The links themselves, in 8 dimensions; a target without links cannot be scored."""

    def _fit(self, hin, valid, rng):
        x = hin.adjacency(self.relation).toarray()
        self.projection_ = rng.normal(size=(x.shape[1], 8)).astype(np.float32)
        self.sources_ = x @ self.projection_
        self.known_ = x.sum(0) > 0
        self.known_[3] = False
        self.targets_ = np.where(self.known_[:, None], x.T @ self.sources_, 0).astype(np.float32)

    def _score(self, hin, src):
        scores = self.sources_[self._rows(hin, src)] @ self.targets_.T
        scores[:, ~self.known_] = np.nan
        return self._columns(hin, scores)

    def vectors(self):
        return self.sources_, self.targets_


def test_good_vectors_pass():
    check_vectors(Factors(RATES))


@dataclass(eq=False)
class OneShort(Factors):
    def vectors(self):
        return self.sources_[:-1], self.targets_


@dataclass(eq=False)
class Double(Factors):
    def vectors(self):
        return self.sources_.astype(np.float64), self.targets_


@dataclass(eq=False)
class NotFinite(Factors):
    def vectors(self):
        return self.sources_, np.where(self.known_[:, None], self.targets_, np.float32(np.nan))


@dataclass(eq=False)
class Uneven(Factors):
    def vectors(self):
        return self.sources_[:, :4], self.targets_


@dataclass(eq=False)
class Shifted(Factors):
    """Orders targets of a user as the scores do, but is not the score."""

    def vectors(self):
        one = np.ones((len(self.sources_), 1), np.float32)
        shift = 100 * self.known_[:, None].astype(np.float32)
        return np.hstack([self.sources_, one]), np.hstack([self.targets_, shift])


@dataclass(eq=False)
class ScoresTheUnknown(Factors):
    def vectors(self):
        return self.sources_, np.where(self.known_[:, None], self.targets_, np.float32(1))


@dataclass(eq=False)
class MovesTheGraph(Factors):
    def vectors(self):
        np.random.rand()  # noqa: NPY002
        return super().vectors()


@pytest.mark.parametrize(
    ("predictor", "words"),
    [
        (OneShort(RATES), r"\(49, 8\) for 50 fitted sources"),
        (Double(RATES), "sources are float64, not float32"),
        (NotFinite(RATES), "targets are not finite"),
        (Uneven(RATES), "sources have 4 numbers and targets 8"),
        (Shifted(RATES), "vectors must give exactly the scores"),
        (ScoresTheUnknown(RATES), "a target that cannot be scored"),
        (MovesTheGraph(RATES), "numpy's global random state"),
        (Popularity(RATES), "Popularity has no vectors"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, LinkPredictor) else "",
)
def test_each_broken_rule_of_vectors_is_named(predictor, words):
    with pytest.raises(AssertionError, match=words):
        check_vectors(predictor)
