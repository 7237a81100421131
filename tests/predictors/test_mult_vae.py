"""MultVAE: scores by the formula, new sources, and a world whose answer is known."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from raising import raises
from torch.nn import functional as F

from hinaug.datasets import planted
from hinaug.evaluation.evaluate import evaluate
from hinaug.graph.pairs import interactions
from hinaug.nn import MultVAENetwork, SparseMatrix
from hinaug.predictors import MultVAE, Popularity
from hinaug.split.random import random_split
from hinaug.testing import check_predictor
from hinaug.training.mult_vae import thinned

RATES = ("user", "rates", "item")


def test_the_contract():
    check_predictor(MultVAE(RATES, latent=4, hidden=8, epochs=3))


def test_scores_by_the_formula():
    hin = planted(20, 15, 2, rng=0)
    model = MultVAE(RATES, latent=3, hidden=5, epochs=2).fit(hin, rng=0)
    x = hin.adjacency(RATES).toarray()
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    w = model.weights_
    hidden = np.tanh(x @ w["encoder_items"] + w["encoder_bias"])
    mu = (hidden @ w["posterior.weight"].T + w["posterior.bias"])[:, :3]
    hidden = np.tanh(mu @ w["decoder.weight"].T + w["decoder.bias"])
    expected = hidden @ w["decoder_items"][:, :-1].T + w["decoder_items"][:, -1]
    expected[:, ~(hin.adjacency(RATES).toarray() > 0).any(axis=0)] = np.nan
    np.testing.assert_allclose(model.score(hin, np.arange(20)), expected, atol=1e-5)


def test_the_sparse_steps_are_those_of_the_dense_formula():
    hin = planted(12, 9, 2, rng=0)
    model = MultVAE(
        RATES,
        latent=2,
        hidden=4,
        epochs=4,
        batch_size=100,
        kl=0.7,
        dropout=0.3,
        weight="rating",
        device="cpu",
    )
    model.fit(hin, rng=5)
    rng = np.random.default_rng(5)
    random = torch.Generator().manual_seed(int(rng.integers(2**62)))
    start = {
        n: p.detach().clone() for n, p in MultVAENetwork(9, 0, 4, 2, random).named_parameters()
    }
    w = {name: tensor.clone().requires_grad_() for name, tensor in start.items()}
    adam = torch.optim.Adam(w.values(), lr=1e-3)
    links = interactions(hin, RATES, "rating")
    for step in range(4):
        rows = links[rng.permutation(np.flatnonzero(np.diff(links.indptr)))]
        x, shown = rows.toarray(), torch.from_numpy(thinned(rows, 0.3, rng).toarray())
        hidden = torch.tanh(shown @ w["encoder_items"] + w["encoder_bias"])
        mu, logvar = F.linear(hidden, w["posterior.weight"], w["posterior.bias"]).split(2, 1)
        z = mu + torch.exp(logvar / 2) * torch.empty(mu.shape).normal_(generator=random)
        hidden = torch.tanh(F.linear(z, w["decoder.weight"], w["decoder.bias"]))
        logits = hidden @ w["decoder_items"][:, :-1].T + w["decoder_items"][:, -1]
        kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1)
        loss = (
            0.7 * min(1, step / 2) * kl - (torch.from_numpy(x) * F.log_softmax(logits, 1)).sum(1)
        ).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    for name, array in w.items():
        np.testing.assert_allclose(
            model.weights_[name], array.detach().numpy(), atol=2e-6, err_msg=name
        )
        if array.numel():  # there are no columns beside the links
            assert np.abs(model.weights_[name] - start[name].numpy()).max() > 1e-3, name


def test_a_new_user_is_scored_like_an_old_one_with_the_same_links():
    hin = planted(30, 20, 2, rng=0)
    model = MultVAE(RATES, latent=4, hidden=8, epochs=3).fit(hin, rng=0)
    first = hin.adjacency(RATES)[[0]].indices
    links = {"src": ["new"] * len(first), "dst": hin.ids("item", first)}
    grown = hin.with_nodes("user", {"id": ["new", "bare"]}).with_edges(RATES, links)
    scores = model.score(grown, [0, 30, 31])
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-6)
    assert np.isnan(scores[2]).all()


@pytest.mark.parametrize("features", [[], [("review", "x")]])
def test_learns_the_planted_world_and_nothing_from_chance(features):
    gains = {}
    for shuffle in (False, True):
        split = random_split(
            planted(n_users=150, n_items=80, shuffle=shuffle, rng=1),
            RATES,
            evidence=["review"],
            rng=0,
        )
        found = []
        for m in (MultVAE(RATES, latent=16, hidden=64, features=features), Popularity(RATES)):
            m.fit(split.train, valid=split.valid, rng=0).refit(split.train_valid, rng=0)
            found.append(evaluate(m, split.train_valid, split, k=20, on="test")["NDCG@20"])
        gains[shuffle] = found[0] - found[1]
    assert gains[False] > 0.05
    assert gains[True] < 0.03


@pytest.mark.parametrize("bad", [{"epochs": 0}, {"dropout": 1.0}, {"kl": -1.0}])
def test_says_what_it_takes(bad):
    with raises(ValueError, names="MultVAE"):
        MultVAE(RATES, **bad).fit(planted(10, 8, 2, rng=0))


# ---- new sources ---------------------------------------------------------------------------------


@pytest.mark.parametrize("features", [(), ("x",)])
def test_fold_in_is_the_encoder_at_the_posterior_mean(features):
    hin = planted(30, 20, 2, rng=0)
    rng = np.random.default_rng(0)
    hin = hin.with_column("user", "x", rng.normal(size=(30, 3)), "row")
    model = MultVAE(RATES, latent=4, hidden=8, epochs=3, features=features, weight="rating")
    model.fit(hin, rng=0)
    w = model.weights_
    net = MultVAENetwork(20, w["encoder_columns"].shape[0], 8, 4, torch.Generator())
    net.load_state_dict({name: torch.from_numpy(a) for name, a in w.items()})
    history = sp.csr_array(np.array([[0.0, 2.0, 0, 5.0] + [0] * 16, [1.0] * 20]))
    x = {"x": rng.normal(size=(2, 3))}
    found = model.fold_in(history, x if features else None)
    unit = history.toarray() / np.linalg.norm(history.toarray(), axis=1, keepdims=True)
    axes = model.axes_.transform_table(x) if features else np.zeros((2, 0), np.float32)
    length = np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), 1e-12)
    with torch.no_grad():
        mean, _ = net.encode(SparseMatrix(unit), torch.from_numpy(axes / length))
        expected = net.logits(net.decode(mean)).numpy()
    expected[:, ~model.known_] = np.nan
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.isfinite(model.fold_in([["i1"], []])[1]).sum() == 0


def test_a_source_that_came_later_is_described_by_the_graph_that_is_scored():
    hin = planted(30, 20, 2, rng=0)
    hin = hin.with_column("user", "x", np.random.default_rng(0).normal(size=(30, 3)), "row")
    model = MultVAE(RATES, latent=4, hidden=8, epochs=3, features=("x",)).fit(hin, rng=0)
    first = hin.adjacency(RATES)[[0]].indices
    links = {"src": ["new"] * len(first), "dst": hin.ids("item", first)}
    like_first = {"id": ["new"], "x": np.array([hin.nodes["user"]["x"][0].as_py()])}
    grown = hin.with_nodes("user", like_first).with_edges(RATES, links)
    scores = model.score(grown, [0, 30])
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-6)


def test_nothing_that_is_kept_has_a_row_for_each_user():
    hin = planted(33, 20, 2, rng=0)
    model = MultVAE(RATES, latent=4, hidden=8, epochs=2, features=[("review", "x")])
    model.fit(hin, rng=0)
    before = model.score(hin, np.arange(33))
    kept = dict(vars(pickle.loads(pickle.dumps(model))))
    del kept["src_ids_"]
    arrays = [*kept["weights_"].values(), *vars(kept.pop("axes_")).values(), *kept.values()]
    assert not [a for a in arrays if isinstance(a, np.ndarray) and 33 in a.shape]
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(copied.score(hin, np.arange(33)), before)
