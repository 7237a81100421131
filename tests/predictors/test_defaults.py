"""Defaults that are computed from the links: what noise has, and what methods make of it."""

import numpy as np
import pytest
import scipy.sparse as sp

from hinaug.datasets import planted
from hinaug.evaluation.evaluate import evaluate
from hinaug.graph.hin import HIN
from hinaug.predictors import ALS, BSPM, EASE, GFCF, SLIM, ItemKNN, Popularity
from hinaug.predictors.gfcf import normalised
from hinaug.predictors.noise import links_of_a_source, noise_edge, noise_variance
from hinaug.split.random import random_split

RATES = ("user", "rates", "item")


def random_links(n=400, m=250, share=0.05, seed=0):
    rng = np.random.default_rng(seed)
    return sp.csr_array((rng.random((n, m)) < share).astype(np.float32))


def test_noise_by_hand():
    links = sp.csr_array(np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], np.float32))
    # three links of two sources and two targets: 1.5 each
    assert links_of_a_source(links) == 1.5
    assert noise_variance(links) == pytest.approx(4 * 1.5)
    assert noise_edge(links) == pytest.approx(2 / np.sqrt(1.5))
    assert noise_variance(links * 3) == pytest.approx(9 * 4 * 1.5)
    assert noise_edge(links * 3) == noise_edge(links)
    nothing = sp.csr_array((3, 4), dtype=np.float32)
    assert (noise_variance(nothing), links_of_a_source(nothing)) == (0, 1)


def test_nodes_without_links_change_nothing():
    links = random_links()
    more = sp.csr_array(sp.block_diag([links, sp.csr_array((50, 70))]))
    assert noise_edge(more) == noise_edge(links)
    assert noise_variance(more) == noise_variance(links)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_random_links_have_nothing_above_the_edge_but_the_first(share):
    links = random_links(share=share)
    graph, _ = normalised(links)
    values = np.linalg.svd(graph.toarray(), compute_uv=False)
    assert values[0] > noise_edge(links)
    assert values[1] < 1.05 * noise_edge(links)
    assert values[1] > (0.7 if share < 0.3 else 0.5) * noise_edge(links)


def world(n_users=300, n_items=90):
    return planted(n_users, n_items, 4, rng=0)


def test_the_values_taken_are_learned_attributes():
    hin = world()
    x = hin.adjacency(RATES)
    variance, edge, n = noise_variance(x), noise_edge(x), links_of_a_source(x)
    assert EASE(RATES).fit(hin).l2_ == pytest.approx(2 * variance)
    assert SLIM(RATES).fit(hin).l2_ == pytest.approx(2 * variance)
    assert ItemKNN(RATES).fit(hin).shrinkage_ == pytest.approx(150 * edge**2)
    model = ALS(RATES, embedding_dim=4, epochs=1).fit(hin, rng=0)
    assert model.unobserved_weight_ == pytest.approx(n / (10 * np.sqrt(90)))
    ridge = model.l2_ * (n + model.unobserved_weight_ * 90)
    assert ridge == pytest.approx(0.5 * edge * n)
    assert GFCF(RATES).fit(hin, rng=0).alpha_ == pytest.approx(10 / n)
    assert BSPM(RATES).fit(hin, rng=0).beta_ == pytest.approx(10 / n)


def test_what_is_given_is_taken():
    hin = world()
    assert EASE(RATES, l2=7.0).fit(hin).l2_ == 7
    assert ItemKNN(RATES, shrinkage=0.0).fit(hin).shrinkage_ == 0
    model = ALS(RATES, embedding_dim=4, l2=0.3, unobserved_weight=0.0, epochs=1).fit(hin, rng=0)
    assert (model.l2_, model.unobserved_weight_) == (0.3, 0)
    filters = GFCF(RATES, dim=9, alpha=0.0).fit(hin, rng=0)
    assert (filters.basis_.shape[1], filters.alpha_) == (9, 0)


def test_the_filter_keeps_the_planted_groups():
    # four groups stand out of the noise, as four singular values
    hin = planted(1500, 150, 4, within=0.9, rng=0)
    assert GFCF(RATES).fit(hin, rng=0).basis_.shape[1] == 4


@pytest.mark.parametrize("scale", [0.5, 4.0])
def test_weights_in_another_unit_give_the_same_lists(scale):
    hin = world()
    ones = HIN.from_tables(
        {"user": {"id": hin.ids("user")}, "item": {"id": hin.ids("item")}},
        {RATES: {c: hin.edges[RATES][c] for c in ("src", "dst")} | _weights(hin, scale)},
    )
    # EASE multiplies the weights of the history, ALS counts by them
    for model, factor in ((EASE(RATES), scale), (ALS(RATES, embedding_dim=4), 1.0)):
        plain = model.clone().fit(ones, rng=0).score(ones, np.arange(20))
        scaled = model.clone(weight="w").fit(ones, rng=0).score(ones, np.arange(20))
        np.testing.assert_allclose(scaled, factor * plain, atol=5e-3)


def _weights(hin, scale):
    src, dst = hin.links(RATES)
    codes = np.unique(src * hin.n("item") + dst, return_index=True)[1]
    assert len(codes) == len(src)  # no parallel rows
    w = np.full(len(src), scale)
    return {"w": w, "src": hin.ids("user", src), "dst": hin.ids("item", dst)}


@pytest.mark.parametrize(
    ("n_users", "degree"), [(200, 10.0), (600, 5.0), (3000, 10.0)], ids=["small", "thin", "large"]
)
def test_als_as_it_comes_is_above_popularity_on_sparse_worlds(n_users, degree):
    hin = planted(n_users, 200, 4, degree=degree, rng=1)
    split = random_split(hin, RATES, rng=0)
    found = {}
    for model in (ALS(RATES), Popularity(RATES)):
        model.fit(split.train, rng=0)
        found[type(model)] = evaluate(model, split.train, split, k=20, on="test")["NDCG@20"]
    assert found[ALS] > 1.2 * found[Popularity]
