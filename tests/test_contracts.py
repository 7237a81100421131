"""Every method that the package shows keeps the contracts of what it can do."""

import dataclasses

import numpy as np
import pytest

import hinaug.ensembles
import hinaug.generators
import hinaug.predictors
from hinaug.datasets.planted import RATES
from hinaug.ensembles import Ensemble
from hinaug.generators import EntityGenerator, Generator
from hinaug.predictors import EASE, FoldsIn, FoldsInItems, HasVectors, LinkPredictor, Popularity
from hinaug.testing import (
    check_entity_generator,
    check_folds_in,
    check_folds_in_items,
    check_predictor,
    check_relation_generator,
    check_saving,
    check_vectors,
)
from hinaug.testing.shared import planted_world

# values of parameters, whichever a method has, with which it learns in a moment
SMALL = {"dim": 4, "embedding_dim": 4, "latent": 4, "hidden": 8, "steps": 4, "epochs": 3}
# these give a new user the row at the optimum of its loss, which a few steps do not come near
NOT_CONVERGED = {"LightGCN", "LightGCNPP", "MF"}


def shown(package, base, *contracts):
    """Classes that a folder shows, without the contracts themselves."""
    found = (getattr(package, name) for name in package.__all__)
    return [
        cls
        for cls in found
        if isinstance(cls, type) and issubclass(cls, base) and cls not in contracts
    ]


def small(method):
    for field in dataclasses.fields(method):
        if field.name in SMALL and field.init:
            setattr(method, field.name, SMALL[field.name])
    return method


def predictors():
    contracts = (LinkPredictor, FoldsIn, FoldsInItems)
    return [small(cls(RATES)) for cls in shown(hinaug.predictors, LinkPredictor, *contracts)]


def ensembles():
    return [
        cls([EASE(RATES, l2=5.0), Popularity(RATES)])
        for cls in shown(hinaug.ensembles, LinkPredictor, Ensemble)
    ]


def entity_generators():
    return [
        small(cls("user")) for cls in shown(hinaug.generators, EntityGenerator, EntityGenerator)
    ]


def relation_generators():
    contracts = (Generator, EntityGenerator)
    found = [
        cls
        for cls in shown(hinaug.generators, Generator, *contracts)
        if not issubclass(cls, EntityGenerator)
    ]
    return [cls(EASE(RATES, l2=5.0)) for cls in found]


def name(method):
    return type(method).__name__


scorers = pytest.mark.parametrize("predictor", predictors() + ensembles(), ids=name)


@scorers
def test_predictors(predictor):
    check_predictor(predictor)


@scorers
def test_new_users(predictor):
    check_folds_in(predictor, tolerance=np.inf if name(predictor) in NOT_CONVERGED else 1e-3)


@scorers
def test_new_items(predictor):
    check_folds_in_items(predictor)


@pytest.mark.parametrize(
    "predictor", [p for p in predictors() if isinstance(p, HasVectors)], ids=name
)
def test_vectors(predictor):
    check_vectors(predictor)


@pytest.mark.parametrize("generator", entity_generators(), ids=name)
def test_generators_of_nodes(generator):
    check_entity_generator(generator)


@pytest.mark.parametrize("generator", relation_generators(), ids=name)
def test_generators_of_links(generator):
    check_relation_generator(generator)


def test_all_of_them_reach_another_process():
    hin = planted_world()
    everything = [p.fit(hin, rng=0) for p in predictors()]
    fitted = hinaug.ensembles.Weighted([EASE(RATES)])
    fitted.predictors_ = everything
    check_saving(
        fitted,
        lambda model: [p.score(hin, [0, 1]).tobytes() for p in model.predictors_],
        spawn=True,
    )
