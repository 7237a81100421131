"""Where generated edges count: in what is learned from, in the graph that is read, or in both."""

import numpy as np
import pytest

from hinaug.datasets import planted
from hinaug.datasets.planted import RATES
from hinaug.errors import FoldInError, ParameterError
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions
from hinaug.predictors import ALS, EASE, MF, ItemKNN, LightGCN, XSimGCL

SMALL = {"embedding_dim": 4, "epochs": 4}
LINEAR = [EASE(RATES), ItemKNN(RATES), ALS(RATES, **SMALL)]
EMBEDDED = [MF(RATES, **SMALL), LightGCN(RATES, **SMALL), XSimGCL(RATES, **SMALL)]


def name(model):
    return type(model).__name__


def graphs():
    """A graph, and the graph with generated edges and a mask; the real edges of the latter alone."""
    hin = planted(40, 25, dim=0, rng=0).drop("review")
    src, dst = hin.links(RATES)
    gone = {"src": hin.ids("user", src[:3]), "dst": hin.ids("item", dst[:3])}
    missing = np.argwhere(hin.adjacency(RATES).toarray() == 0)
    some = missing[np.random.default_rng(0).choice(len(missing), 80, replace=False)].T
    new = {"src": hin.ids("user", some[0]), "dst": hin.ids("item", some[1])}
    delta = Delta(edges={RATES: {**new, "confidence": [0.3] * 80}}, masks={RATES: gone})
    first = np.zeros(hin.n(RATES), bool)
    first[:3] = True
    return hin + delta, hin.filter_edges(RATES, ~first)


def test_links_without_the_generated_ones():
    both, real = graphs()
    kept = interactions(both, RATES, generated=False)
    assert (kept != real.adjacency(RATES)).nnz == 0
    rated = interactions(both, RATES, "confidence", generated=False)
    assert (rated != real.adjacency(RATES)).nnz == 0
    new = Delta({"user": {"id": ["new"]}}, {RATES: {"src": ["new"], "dst": ["i00"]}})
    assert interactions(real + new, RATES, generated=False).shape == (41, 25)
    assert interactions(real, RATES, generated=False) is real.adjacency(RATES)


@pytest.mark.parametrize("model", LINEAR, ids=name)
def test_linear_models_learn_from_them_or_read_them(model):
    both, real = graphs()
    users = np.arange(10)

    def scores(fitted_on, scored_on, generated="both"):
        made = model.clone(weight="confidence", generated=generated)
        return made.fit(fitted_on, rng=0).score(scored_on, users)

    expected = {
        "both": scores(both, both),
        "loss": scores(both, real),
        "graph": scores(real, both),
    }
    for where, values in expected.items():
        np.testing.assert_array_equal(scores(both, both, where), values)
    assert not np.allclose(expected["loss"], expected["graph"])
    assert not np.allclose(expected["both"], expected["loss"])


def test_vectors_are_those_of_the_scores():
    both, _ = graphs()
    model = ALS(RATES, **SMALL, generated="loss").fit(both, rng=0)
    users, items = model.vectors()
    np.testing.assert_allclose(model.score(both, [3]), users[[3]] @ items.T, atol=1e-3)


@pytest.mark.parametrize("model", EMBEDDED, ids=name)
def test_embeddings_count_them_in_the_graph_or_in_the_loss(model):
    both, real = graphs()
    users = np.arange(10)
    found = {}
    for where in ("both", "loss", "graph"):
        made = model.clone(weight="confidence", generated=where)
        if where == "graph" and isinstance(model, MF):
            with pytest.raises(ParameterError) as error:
                made.fit(both, rng=0)
            assert error.value.asked == "graph"
            continue
        found[where] = made.fit(both, rng=0).score(both, users)
        without = made.fit(real, rng=0).score(real, users)
        assert not np.allclose(found[where], without)
    if isinstance(model, MF):
        np.testing.assert_array_equal(found["both"], found["loss"])
    else:
        assert not np.allclose(found["both"], found["loss"])
        assert not np.allclose(found["loss"], found["graph"])


def test_the_loss_of_lightgcn_sees_real_links_alone():
    """Edges that only the graph has change nothing when the network does not propagate."""
    both, real = graphs()
    flat = LightGCN(RATES, **SMALL, n_layers=0, generated="graph")
    a, b = flat.clone().fit(both, rng=0), flat.clone().fit(real, rng=0)
    np.testing.assert_array_equal(a.users_, b.users_)
    with pytest.raises(FoldInError):
        a.fold_in([["i00"]])


def test_other_words_are_refused():
    hin = HIN.from_tables({}, {RATES: {"src": ["a"], "dst": ["x"]}}, missing="add")
    for make in (EASE, LightGCN):
        with pytest.raises(ParameterError) as error:
            make(RATES, generated="fit").fit(hin, rng=0)
        assert error.value.asked == "fit"
