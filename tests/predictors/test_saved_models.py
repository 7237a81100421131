"""A fitted model is not its training set, survives copies, and takes finite weights alone."""

import copy
import io
import multiprocessing
import pickle

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
from raising import raises

from hinaug.datasets import planted
from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.predictors import (
    ALS,
    BSPM,
    EASE,
    GFCF,
    SLIM,
    ItemKNN,
    KernelRidge,
    NearestNeighbors,
    Popularity,
    UserKNN,
)

RATES = ("user", "rates", "item")
MODELS = [
    Popularity(RATES),
    ItemKNN(RATES, k=5),
    UserKNN(RATES, k=5),
    SLIM(RATES, k=6),
    EASE(RATES),
    EASE(RATES, side=["age", ("review", "x")], prior="x", constant=1.0),
    GFCF(RATES, dim=6),
    BSPM(RATES, dim=6),
    ALS(RATES, embedding_dim=6),
    KernelRidge(RATES, columns=["x", ("review", "x")]),
    NearestNeighbors(RATES, column="x"),
]


def name(model):
    return repr(model)


def through_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


@pytest.mark.parametrize("model", MODELS, ids=name)
@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), through_joblib],
    ids=["copy", "deepcopy", "pickle", "joblib"],
)
def test_a_copy_made_after_a_score_gives_the_same_bytes(model, copied):
    hin = planted(60, 40, rng=0)
    model = model.clone().fit(hin, rng=0)
    before = model.score(hin, np.arange(20))
    again = copied(model)
    assert not [n for n in vars(again) if n.startswith("_")]
    assert again.score(hin, np.arange(20)).tobytes() == before.tobytes()


def score_bytes(model):
    return model.score(planted(60, 40, rng=0), np.arange(20)).tobytes()


def test_another_process_gives_the_same_bytes():
    hin = planted(60, 40, rng=0)
    fitted = [model.clone().fit(hin, rng=0) for model in MODELS]
    before = [score_bytes(model) for model in fitted]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(score_bytes, fitted) == before


def numbers_in(value):
    """Every array in a learned value."""
    if sp.issparse(value) or isinstance(value, np.ndarray):
        yield value
    elif hasattr(value, "__dict__"):
        for part in vars(value).values():
            yield from numbers_in(part)
    elif isinstance(value, list | tuple | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from numbers_in(part)


@pytest.mark.parametrize("model", MODELS, ids=name)
def test_a_fitted_model_holds_no_links_unless_it_says_so(model):
    hin = planted(60, 40, rng=0)
    model = model.clone().fit(hin, rng=0)
    model.score(hin, [0])
    state = model.__getstate__()
    shape, n_links = (hin.n("user"), hin.n("item")), hin.adjacency(RATES).nnz
    held = [
        part
        for value in state.values()
        for part in numbers_in(value)
        if part.shape == shape or len(np.ravel(getattr(part, "data", part))) == n_links
    ]
    assert bool(held) == (model.HOLDS_DATA is not None)
    assert (model.HOLDS_DATA is not None) == isinstance(model, UserKNN | GFCF | BSPM)


# ---- weights -------------------------------------------------------------------------------------


def weighted(values):
    """Two users and three items; the item "q" has one link of each user."""
    return HIN.from_tables(
        {"user": {"id": ["a", "b"]}, "item": {"id": ["p", "q", "r"], "x": np.eye(3)}},
        {RATES: {"src": list("abaab"), "dst": list("qqprr"), "w": values}},
    )


@pytest.mark.parametrize(
    "method", [EASE, SLIM, UserKNN, ItemKNN, KernelRidge, Popularity], ids=lambda m: m.__name__
)
def test_an_item_whose_weights_cancel_out_is_known(method):
    hin = weighted([1.0, -1.0, 1.0, 2.0, 2.0])
    scores = method(RATES, weight="w").fit(hin).score(hin, [0])
    assert not np.isnan(scores).any()


@pytest.mark.parametrize("model", MODELS, ids=name)
@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_weights_are_finite(model, bad):
    hin = weighted([1.0, 1.0, 1.0, 2.0, bad])
    changes = {"weight": "w"} | ({"side": None, "prior": None} if isinstance(model, EASE) else {})
    changes |= {"columns": "x"} if isinstance(model, KernelRidge) else {}
    with raises(ParameterError, asked=1) as caught:
        model.clone(**changes).fit(hin).score(hin, [0])
    assert caught.value.asked == 1
