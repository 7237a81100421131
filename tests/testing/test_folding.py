"""The kits of fold-in name each promise that a predictor breaks."""

from dataclasses import dataclass

import numpy as np
import pytest

from hinaug.datasets.planted import RATES
from hinaug.graph import arrow as tb
from hinaug.predictors.base import FoldsIn, FoldsInItems, LinkPredictor
from hinaug.testing import check_folds_in, check_folds_in_items


@dataclass(eq=False)
class Similar(FoldsIn, FoldsInItems):
    """Sums of counts of common users; new items get theirs from the users they share."""

    def _fit(self, hin, valid, rng):
        x = hin.adjacency(self.relation).toarray()
        self.s_ = x.T @ x

    def _score(self, hin, src):
        return self._columns(hin, self._history(hin, src).toarray() @ self.s_)

    def _fold_in(self, history, attributes):
        return history.toarray() @ self.s_

    def _fold_in_items(self, hin, new):
        ids = hin.nodes[self.relation[2]]["id"].chunk(0)
        old = tb.lookup(ids, self.dst_ids_)
        x = hin.adjacency(self.relation).toarray()[:, np.append(old, new).astype(int)]
        s = x.T @ x
        s[: len(old), : len(old)] = self.s_
        self.s_ = s


def test_a_good_one_passes():
    check_folds_in(Similar(RATES))
    check_folds_in_items(Similar(RATES), tolerance=1e-4)


@dataclass(eq=False)
class CannotFold(LinkPredictor):
    """Says that it cannot, by the messages of the base class."""

    def _fit(self, hin, valid, rng):
        self.mean_ = hin.adjacency(self.relation).toarray().mean(0)

    def _score(self, hin, src):
        return self._columns(hin, np.tile(self.mean_, (len(src), 1)))


def test_one_that_cannot_says_so():
    check_folds_in(CannotFold(RATES))
    check_folds_in_items(CannotFold(RATES))


@dataclass(eq=False)
class FoldsInSecret(CannotFold):
    def fold_in(self, histories, attributes=None):
        return np.zeros((histories.shape[0], len(self.mean_)), np.float32)

    def fold_in_items(self, hin):
        return self


@dataclass(eq=False)
class RefusesOtherwise(CannotFold):
    def fold_in(self, histories, attributes=None):
        raise NotImplementedError

    fold_in_items = fold_in


@dataclass(eq=False)
class FoldsUnfitted(Similar):
    def fold_in(self, histories, attributes=None):
        return super().fold_in(histories) if hasattr(self, "s_") else np.zeros((0, 0), np.float32)

    def fold_in_items(self, hin):
        return super().fold_in_items(hin) if hasattr(self, "s_") else self


@dataclass(eq=False)
class Double(Similar):
    def fold_in(self, histories, attributes=None):
        return super().fold_in(histories).astype(np.float64)


@dataclass(eq=False)
class Infinite(Similar):
    def _fold_in(self, history, attributes):
        return np.full((history.shape[0], len(self.s_)), np.inf)


@dataclass(eq=False)
class AllNan(Similar):
    def _fold_in(self, history, attributes):
        return np.full((history.shape[0], len(self.s_)), np.nan)


@dataclass(eq=False)
class LearnsWhileFolding(Similar):
    def _fold_in(self, history, attributes):
        out = super()._fold_in(history, attributes)
        self.s_ = self.s_ * 2
        return out


@dataclass(eq=False)
class CountsUnknown(Similar):
    def _as_history(self, histories):
        history = super()._as_history(histories)
        if isinstance(histories, list):
            unknown = [any(i not in self._known() for i in row) for row in histories]
            history = history * (1.0 + np.array(unknown, np.float32)[:, None])
        return history.tocsr()

    def _known(self):
        return set(self.dst_ids_.to_pylist())


@dataclass(eq=False)
class ListsDiffer(Similar):
    def _as_history(self, histories):
        history = super()._as_history(histories)
        return history * 2 if isinstance(histories, list) else history


@dataclass(eq=False)
class FoldsTogether(Similar):
    def _fold_in(self, history, attributes):
        out = super()._fold_in(history, attributes)
        return out - out.mean() if out.size else out


@dataclass(eq=False)
class AnyWidth(Similar):
    def fold_in(self, histories, attributes=None):
        if hasattr(histories, "shape") and hasattr(self, "s_"):
            histories = histories[:, : len(self.dst_ids_)]
        return super().fold_in(histories)


@dataclass(eq=False)
class Elsewhere(Similar):
    def _fold_in(self, history, attributes):
        return super()._fold_in(history, attributes)[:, ::-1]


@pytest.mark.parametrize(
    ("predictor", "words"),
    [
        (FoldsInSecret(RATES), "gives scores, but the class is no FoldsIn"),
        (RefusesOtherwise(RATES), "raises NotImplementedError.*FoldInError is expected"),
        (FoldsUnfitted(RATES), "fold_in before fit raises nothing"),
        (Double(RATES), "float64"),
        (Infinite(RATES), "infinite numbers"),
        (AllNan(RATES), "NaN everywhere"),
        (LearnsWhileFolding(RATES), "changes the scores of fitted sources"),
        (CountsUnknown(RATES), "ids never seen change the scores"),
        (ListsDiffer(RATES), "lists of ids give other scores"),
        (FoldsTogether(RATES), "depends on which histories|lists of ids"),
        (AnyWidth(RATES), "of histories with 31 columns raises nothing"),
        (Elsewhere(RATES), "fold_in differs from score"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, LinkPredictor) else "",
)
def test_each_broken_promise_about_new_sources_is_named(predictor, words):
    with pytest.raises(AssertionError, match=words):
        check_folds_in(predictor)


@dataclass(eq=False)
class GivesItself(Similar):
    def fold_in_items(self, hin):
        self._check_fitted()
        return self


@dataclass(eq=False)
class WritesIntoItself(Similar):
    def _fold_in_items(self, hin, new):
        self.s_ *= 2  # the array of the fitted model
        super()._fold_in_items(hin, new)


@dataclass(eq=False)
class ForgetsSome(Similar):
    def fold_in_items(self, hin):
        grown = super().fold_in_items(hin)
        if len(grown.dst_ids_) > len(self.dst_ids_):
            grown.dst_ids_, grown.s_ = grown.dst_ids_[:-1], grown.s_[:-1, :-1]
        return grown


@dataclass(eq=False)
class NewAreNan(Similar):
    def _fold_in_items(self, hin, new):
        n = len(self.s_)
        super()._fold_in_items(hin, new)
        self.s_[:, n:] = np.nan


@dataclass(eq=False)
class NewAreInfinite(Similar):
    def _score(self, hin, src):
        scores = super()._score(hin, src)
        return scores if len(self.s_) == 20 else np.where(scores > 3, np.inf, scores)


@dataclass(eq=False)
class ChangesAgain(Similar):
    def fold_in_items(self, hin):
        grown = super().fold_in_items(hin)
        grown.s_ = grown.s_ + 1
        return grown


@dataclass(eq=False)
class FarFromARefit(Similar):
    def _fold_in_items(self, hin, new):
        n = len(self.s_)
        super()._fold_in_items(hin, new)
        self.s_[:, n:] += 5


@pytest.mark.parametrize(
    ("predictor", "words"),
    [
        (FoldsInSecret(RATES), "gives scores, but the class is no FoldsInItems"),
        (RefusesOtherwise(RATES), "raises .*FoldInError is expected"),
        (FoldsUnfitted(RATES), "fold_in_items before fit raises nothing"),
        (GivesItself(RATES), "must give a copy"),
        (WritesIntoItself(RATES), "changes the model itself"),
        (ForgetsSome(RATES), "does not know all targets"),
        (NewAreNan(RATES), "all new targets are NaN"),
        (NewAreInfinite(RATES), "infinite numbers"),
        (ChangesAgain(RATES), "changes scores where there is nothing new"),
        (FarFromARefit(RATES), "fold_in_items differs from score"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, LinkPredictor) else "",
)
def test_each_broken_promise_about_new_targets_is_named(predictor, words):
    with pytest.raises(AssertionError, match=words):
        check_folds_in_items(predictor, tolerance=0.01)
