"""Saving and the training set: each way to lose results, and each way to give links away."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from good import Good

from hinaug.datasets.planted import RATES
from hinaug.ensembles import Weighted
from hinaug.predictors import EASE, Popularity
from hinaug.testing import check_no_training_set, check_saving
from hinaug.testing.shared import planted_world
from hinaug.training.estimator import Estimator


@pytest.fixture(scope="module")
def hin():
    return planted_world()


def scores(hin):
    return lambda model: model.score(hin, np.arange(5))


def test_saved_copied_pickled_and_sent_to_a_process(hin):
    check_saving(EASE(RATES).fit(hin, rng=0), scores(hin), spawn=True)


@dataclass(eq=False)
class DropsCopies(Good):
    """Saved by `save` as it should be, but not by pickle."""

    def __getstate__(self):
        return {n: v for n, v in super().__getstate__().items() if n != "s_"}


@dataclass(eq=False)
class ChangesOnCopy(Good):
    def __setstate__(self, state):
        super().__setstate__(state | {"s_": state["s_"] * 2})


@dataclass(eq=False)
class ChangesParameters(Good):
    def __setstate__(self, state):
        super().__setstate__(state | {"scale": 3.0})


@dataclass(eq=False)
class RefusesPickle(Good):
    def __reduce__(self):
        raise TypeError("no pickle of me")


@pytest.mark.parametrize(
    ("cls", "words"),
    [
        (DropsCopies, "DropsCopies fails after copy.deepcopy"),
        (ChangesOnCopy, "ChangesOnCopy gives other results after copy.deepcopy"),
        (ChangesParameters, "ChangesParameters: parameters change by copy.deepcopy"),
        (RefusesPickle, "cannot be saved and loaded: copy.deepcopy raises TypeError"),
    ],
)
def test_each_way_of_losing_something_is_named(hin, cls, words):
    with pytest.raises(AssertionError, match=words):
        check_saving(cls(RATES).fit(hin, rng=0), scores(hin))


def test_a_class_that_a_new_process_cannot_import_is_said(hin):
    model = Good(RATES).fit(hin, rng=0)
    local = type("Local", (Good,), {"__module__": "nowhere_at_all"})
    model.__class__ = dataclass(eq=False)(local)
    with pytest.raises(AssertionError, match="cannot be saved"):
        check_saving(model, scores(hin), spawn=True)


# ---- the training set ----------------------------------------------------------------------------


@dataclass(eq=False)
class Keeps(Estimator):
    """Whatever it is given, as if it had learned it."""

    what: object = field(default=None, repr=False)

    def fit(self, value):
        self.kept_ = value
        return self


def links(hin):
    return hin.adjacency(RATES)


def ends(hin):
    matrix = links(hin).tocoo()
    return matrix.coords[0].astype(np.int64), matrix.coords[1].astype(np.int64)


def cosine(hin):
    x = links(hin)
    degree = np.maximum(np.diff(x.indptr), 1)
    return sp.csr_array(sp.diags_array(1 / np.sqrt(degree)) @ x)


def by_id(hin):
    src, dst = ends(hin)
    return {"u": hin.ids("user", src), "n": np.arange(len(src)), "i": hin.ids("item", dst)}


def dense_scores(hin):
    x = links(hin).toarray()
    return np.random.default_rng(0).random(x.shape) + 2 * x


LEAKS = {
    "the adjacency": (links, "has the rows of sources"),
    "its transpose": (lambda hin: links(hin).T.tocsr(), "has the rows of targets"),
    "as CSC": (lambda hin: links(hin).tocsc(), "has the rows of sources"),
    "normalised": (cosine, "has the rows of sources"),
    "dense": (lambda hin: links(hin).toarray().astype(bool), "has the rows|tell links"),
    "a part of its rows": (lambda hin: links(hin)[10:30], "has the rows of sources"),
    "rows among others": (
        lambda hin: sp.csr_array(sp.vstack([links(hin)[::-1], np.ones((9, 30))])),
        "has the rows of sources",
    ),
    "scores that separate": (dense_scores, "whose values tell links"),
    "the negative of them": (lambda hin: -dense_scores(hin).T, "whose values tell links"),
    "targets, in order": (lambda hin: links(hin).indices, "the targets of the links, in order"),
    "rows of the table": (lambda hin: hin.links(RATES)[0], "the sources of the links, in order"),
    "codes": (lambda hin: ends(hin)[0] * 30 + ends(hin)[1], "codes of the links"),
    "codes by item": (
        lambda hin: pa.array(np.sort(ends(hin)[1] * 50 + ends(hin)[0])),
        "codes of the links",
    ),
    "a list of codes": (
        lambda hin: (ends(hin)[0] * 30 + ends(hin)[1]).tolist(),
        "codes of the links",
    ),
    "pairs": (lambda hin: np.stack(ends(hin), 1)[::-1], "positions of both ends"),
    "pairs, turned": (lambda hin: np.stack(ends(hin)[::-1]), "positions of both ends"),
    "a table": (lambda hin: pa.table(by_id(hin)), "a table with ids of both ends"),
}


@pytest.mark.parametrize("name", LEAKS)
def test_each_form_of_the_training_set_is_found_wherever_it_is(hin, name):
    make, words = LEAKS[name]
    for value in (make(hin), {"deep": [1.5, {"down": make(hin)}]}, Keeps().fit(make(hin))):
        with pytest.raises(AssertionError, match=f"Keeps.kept_.*{words}"):
            check_no_training_set(Keeps().fit(value), hin, [RATES])
    check_no_training_set(Keeps().fit(make(hin)), hin, [])  # nothing was learned from


HARMLESS = {
    "user vectors": lambda hin: np.random.default_rng(0).normal(size=(50, 30)).astype(np.float32),
    "item similarity": lambda hin: np.asarray((links(hin).T @ links(hin)).toarray()),
    "degrees": lambda hin: np.diff(links(hin).indptr),
    "popularity": lambda hin: links(hin).sum(axis=0),
    "where a row begins": lambda hin: links(hin).indptr,
    "all positions": lambda hin: np.arange(50 * 30),
    "ids": lambda hin: hin.ids("user"),
    "a table of users": lambda hin: hin.nodes["user"],
    "other links": lambda hin: sp.random_array((50, 30), density=0.2, rng=0).tocsr(),
    "nothing": lambda hin: np.zeros((0, 30)),
    "words": lambda hin: ["a", None, {"b": 1.0}],
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_gives_no_links_away_passes(hin, name):
    check_no_training_set(Keeps().fit(HARMLESS[name](hin)), hin, [RATES])


def test_what_is_looked_at_stays_as_it_is(hin):
    value = sp.csr_array(([0.0, 1.0, 2.0], [5, 3, 1], [0, 3]), shape=(1, 30))
    check_no_training_set(Keeps().fit(value), hin, [RATES])
    assert value.indices.tolist() == [5, 3, 1]
    assert value.nnz == 3


def test_caches_are_not_saved_and_parameters_are(hin):
    model = Popularity(RATES).fit(hin, rng=0)
    model._cache = links(hin)
    check_no_training_set(model, hin, [RATES])
    with pytest.raises(AssertionError, match=r"Keeps.what has the rows"):
        check_no_training_set(Keeps(what=links(hin)).fit(1), hin, [RATES])


def test_members_of_an_ensemble_are_looked_at(hin):
    ensemble = Weighted([Popularity(RATES), KeepsSilently(RATES)])
    model = ensemble.clone()
    model.predictors_ = [m.clone().fit(hin, rng=0) for m in ensemble.predictors]
    with pytest.raises(AssertionError, match=r"Weighted.predictors_.1.links_ has the rows"):
        check_no_training_set(model, hin, [RATES])


@dataclass(eq=False)
class KeepsSilently(Good):
    """A method that does not tell."""

    def _fit(self, hin, valid, rng):
        super()._fit(hin, valid, rng)
        self.links_ = hin.adjacency(self.relation)


@dataclass(eq=False)
class SaysWhyElsewhere(KeepsSilently):
    """A method whose docstring does not tell."""

    HOLDS_DATA: ClassVar[str | None] = "it is its data"


@dataclass(eq=False)
class SaysWhy(KeepsSilently):
    """Scores by the links of the nearest users. A saved one holds the links it was fitted on."""

    HOLDS_DATA: ClassVar[str | None] = "it scores by the links of the nearest users"


def test_a_method_that_is_its_data_says_so(hin):
    check_no_training_set(SaysWhy(RATES).fit(hin, rng=0), hin, [RATES])
    with pytest.raises(AssertionError, match="its docstring must say"):
        check_no_training_set(SaysWhyElsewhere(RATES).fit(hin, rng=0), hin, [RATES])
