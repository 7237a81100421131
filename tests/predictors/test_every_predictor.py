"""What holds for every predictor: odd weights, and relations between nodes of one type."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from raising import raises

import hinaug.predictors
from hinaug.errors import ParameterError
from hinaug.evaluation.evaluate import evaluate
from hinaug.graph.hin import HIN
from hinaug.predictors import (
    ALS,
    BSPM,
    EASE,
    GFCF,
    MF,
    SLIM,
    FeatureProjection,
    HeteroGNN,
    ItemKNN,
    KernelRidge,
    LightGCN,
    LightGCNPP,
    LinkPredictor,
    LocalEASE,
    MetapathSimilarity,
    MultVAE,
    NearestNeighbors,
    Popularity,
    UserKNN,
    XSimGCL,
)
from hinaug.serving.recommend import recommend
from hinaug.split.random import random_split
from hinaug.training.validation import Validation

RATES, FOLLOWS = ("user", "rates", "item"), ("user", "follows", "user")
TINY = {"embedding_dim": 4, "epochs": 3}
KINDS = {
    ALS: {"embedding_dim": 4},
    BSPM: {},
    EASE: {},
    GFCF: {},
    MF: TINY,
    SLIM: {},
    LocalEASE: {},
    FeatureProjection: {"epochs": 3, "dim": 4},
    HeteroGNN: TINY | {"hidden": 4, "device": "cpu"},
    ItemKNN: {},
    KernelRidge: {},
    LightGCN: TINY,
    LightGCNPP: TINY,
    MetapathSimilarity: {},
    MultVAE: {"epochs": 3, "hidden": 8, "latent": 4},
    NearestNeighbors: {},
    Popularity: {},
    UserKNN: {},
    XSimGCL: TINY,
}
WEIGHTED = [k for k in KINDS if any(f.name == "weight" for f in dataclasses.fields(k))]

POSITIVE = {
    ALS,
    BSPM,
    FeatureProjection,
    GFCF,
    MF,
    LightGCN,
    LightGCNPP,
    MultVAE,
    XSimGCL,
}  # weights count links


def test_no_predictor_is_forgotten():
    public = [getattr(hinaug.predictors, name) for name in hinaug.predictors.__all__]
    bases = {"FoldsIn", "FoldsInItems", "LinkPredictor"}
    kinds = {
        k
        for k in public
        if isinstance(k, type) and issubclass(k, LinkPredictor) and k.__name__ not in bases
    }
    assert kinds == set(KINDS)
    assert set(KINDS) - set(WEIGHTED) == {HeteroGNN}  # it names columns of edges


def graph(rating) -> HIN:
    """Ten users and six items; item 0 is rated +1 and -1, by users 0 and 1, and by nobody else."""
    rng = np.random.default_rng(0)
    src, dst = np.nonzero(rng.random((10, 5)) < 0.6)
    src, dst = np.r_[0, 1, src], np.r_[0, 0, dst + 1]
    values = np.r_[1.0, -1.0, np.ones(len(src) - 2)]
    values[-1] = rating
    x = pa.FixedSizeListArray.from_arrays(pa.array(rng.normal(size=12)), 2)
    return HIN.from_tables(
        {"user": {"id": np.arange(10)}, "item": {"id": np.arange(6), "x": x}},
        {RATES: {"src": src, "dst": dst, "rating": values}},
    )


@pytest.mark.parametrize(
    "kind", sorted(set(WEIGHTED) - POSITIVE, key=str), ids=lambda k: k.__name__
)
def test_a_link_is_known_by_its_count_and_not_by_its_sum(kind):
    hin = graph(1.0)
    model = kind(RATES, weight="rating", **KINDS[kind]).fit(hin, rng=0)
    scores = model.score(hin, np.arange(10))
    assert np.isfinite(scores[:2, 0]).all()
    assert np.isfinite(scores).any(axis=1).all()


@pytest.mark.parametrize("kind", sorted(POSITIVE, key=str), ids=lambda k: k.__name__)
def test_weights_below_0_are_refused_where_they_say_nothing(kind):
    with raises(ParameterError, names="0"):
        kind(RATES, weight="rating", **KINDS[kind]).fit(graph(1.0), rng=0)


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
@pytest.mark.parametrize("kind", WEIGHTED, ids=lambda k: k.__name__)
def test_a_weight_that_is_no_number_is_refused(kind, bad):
    hin = graph(bad)
    with pytest.raises(ParameterError) as told:
        kind(RATES, weight="rating", **KINDS[kind]).fit(hin, rng=0).score(hin, [0, 1])
    assert told.value.asked == 1


def test_hetero_gnn_reads_a_rating_that_is_no_number_as_missing():
    hin = graph(np.inf)
    model = HeteroGNN(RATES, **KINDS[HeteroGNN]).fit(hin, rng=0)
    assert np.isfinite(model.score(hin, np.arange(10))).all()


@pytest.fixture(scope="module")
def follows():
    rng = np.random.default_rng(1)
    src, dst = np.nonzero((rng.random((30, 30)) < 0.25) & ~np.eye(30, dtype=bool))
    x = pa.FixedSizeListArray.from_arrays(pa.array(rng.normal(size=60)), 2)
    hin = HIN.from_tables(
        {"user": {"id": np.arange(30), "x": x}}, {FOLLOWS: {"src": src, "dst": dst}}
    )
    return random_split(hin, FOLLOWS, rng=0)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_nobody_is_ranked_for_oneself(kind, follows, monkeypatch):
    model = kind(FOLLOWS, **KINDS[kind]).fit(follows.train, valid=follows.valid, rng=0)
    users = follows.train.ids("user")
    for exclude in (True, False):
        rows = recommend(model, follows.train, users, k=10, exclude_observed=exclude)
        assert rows.num_rows == 300
        assert not any(
            u == i
            for u, i in zip(
                *map(pa.ChunkedArray.to_pylist, (rows["user"], rows["item"])), strict=True
            )
        )
    # a score for oneself above all others changes no measure
    measure = Validation(follows.train, FOLLOWS, follows.valid)
    plain = (
        evaluate(model, follows.train, follows)["NDCG@20"],
        measure(lambda src: model.score(follows.train, src)),
    )
    score = kind._score

    def vain(self, hin, src):
        out = np.array(score(self, hin, src))
        out[np.arange(len(src)), src] = 1e9
        return out

    monkeypatch.setattr(kind, "_score", vain)
    again = (
        evaluate(model, follows.train, follows)["NDCG@20"],
        measure(lambda src: model.score(follows.train, src)),
    )
    assert again == plain
