"""HeteroGNN: the contract, nodes that came later, and held links that nothing gives away."""

import numpy as np
import pytest
import torch
from raising import raises

from hinaug.datasets import planted
from hinaug.evaluation.evaluate import evaluate
from hinaug.graph.hin import HIN
from hinaug.predictors import HeteroGNN, Popularity
from hinaug.predictors.hetero_graph import MessageGraph
from hinaug.split.cold import cold_items
from hinaug.split.random import random_split
from hinaug.testing import check_predictor

RATES = ("user", "rates", "item")
SMALL = {"hidden": 8, "embedding_dim": 8, "epochs": 4}


@pytest.mark.parametrize(
    "settings", [{}, {"conv": "hgt", "ids": True}, {"batch_size": 20, "loss": "bpr"}]
)
def test_the_contract(settings):
    check_predictor(
        HeteroGNN(RATES, **SMALL, device="cpu", **settings)
    )  # a GPU adds up in any order


def test_what_witnesses_a_held_link_leaves_with_it():
    hin = planted(20, 15, 2, rng=0)
    model = HeteroGNN(RATES, evidence=("review",), **SMALL).fit(hin, rng=0)
    graph = model._graph(hin)
    links = hin.adjacency(RATES).sorted_indices()
    rows = np.repeat(np.arange(20), np.diff(links.indptr))
    held = np.zeros(links.nnz, bool)
    held[::3] = True
    pairs = set(zip(rows[held].tolist(), links.indices[held].tolist(), strict=True))
    edges = graph.messages(held).edges[0]
    assert not pairs & set(zip(*edges[RATES].tolist(), strict=True))
    writer = dict(zip(*edges["review", "back: wrote", "user"].tolist(), strict=True))
    about = dict(zip(*edges["review", "about", "item"].tolist(), strict=True))
    assert writer
    assert not pairs & {(writer[r], about[r]) for r in writer if r in about}
    kept = {(writer[r], about[r]) for r in writer if r in about}
    assert kept == set(zip(rows[~held].tolist(), links.indices[~held].tolist(), strict=True))


@pytest.mark.parametrize("conv", ["sage", "han"])
def test_learns_the_planted_world_and_nothing_from_chance(conv):
    gains = {}
    for shuffle in (False, True):
        split = random_split(
            planted(150, 80, shuffle=shuffle, rng=1), RATES, evidence=["review"], rng=0
        )
        found = []
        for m in (HeteroGNN(RATES, conv=conv, evidence=("review",), epochs=150), Popularity(RATES)):
            m.fit(split.train, valid=split.valid, rng=0)
            found.append(evaluate(m, split.train, split, k=20, on="test")["NDCG@20"])
        gains[shuffle] = found[0] - found[1]
    assert gains[False] > 0.08
    assert gains[True] < 0.03


def test_items_that_nobody_had_are_ranked_by_what_they_are():
    found = {}
    for shuffle in (False, True):
        split = cold_items(
            planted(150, 80, shuffle=shuffle, rng=1), RATES, evidence=["review"], rng=0
        )
        model = HeteroGNN(RATES, evidence=("review",), epochs=100).fit(split.train, rng=0)
        scores = model.score(split.train, np.arange(50))
        cold = np.unique(split.train.positions("item", split.test["dst"]))
        assert np.isfinite(scores[:, cold]).all()
        at = (
            split.train.positions("user", split.test["src"]),
            split.train.positions("item", split.test["dst"]),
        )
        users = np.unique(at[0])
        scores = model.score(split.train, users)[:, cold]
        truth = np.zeros((split.train.n("user"), split.train.n("item")), bool)
        truth[at] = True
        truth = truth[np.ix_(users, cold)]
        order = np.argsort(np.argsort(scores, axis=1), axis=1) / max(len(cold) - 1, 1)
        found[shuffle] = order[
            truth
        ].mean()  # mean rank of true pairs among the cold items; 0.5 is chance
    assert found[False] > 0.65
    assert found[True] < 0.6


def test_a_share_of_the_nodes_loses_all_links_in_a_step(monkeypatch):
    hin = planted(60, 40, 2, rng=0)
    links = hin.adjacency(RATES).sorted_indices()
    rows = np.repeat(np.arange(60), np.diff(links.indptr))
    seen = []
    messages = MessageGraph.messages

    def spy(self, gone):
        if gone is not None:
            seen.append(gone)
        return messages(self, gone)

    monkeypatch.setattr(MessageGraph, "messages", spy)
    for unseen in (0.0, 0.4):
        seen.clear()
        HeteroGNN(RATES, **SMALL | {"epochs": 30}, edge_holdout=0.1, node_dropout=unseen).fit(
            hin, rng=0
        )
        assert len(seen) == 30
        for ends in (rows, links.indices):
            alone = np.mean(
                [np.bincount(ends[~gone], minlength=ends.max() + 1) == 0 for gone in seen]
            )
            assert alone == pytest.approx(unseen, abs=0.06)
    with raises(ValueError, asked=1.0):
        HeteroGNN(RATES, node_dropout=1.0).fit(hin, rng=0)


def test_nodes_that_are_new_for_a_step_have_no_vector_of_their_own():
    hin = planted(20, 15, 2, rng=0)
    model = HeteroGNN(RATES, ids=True, **SMALL).fit(hin, rng=0)
    network, graph = model._network(), model._graph(hin)
    network.eval()
    given = graph.messages(None)
    new = {"user": np.arange(20) < 5, "item": np.arange(15) < 5}
    with torch.no_grad():
        found = model._forward(network, graph, given, new)
        plain = model._forward(network, graph, given)
        for type, rows in new.items():
            network.ids[f"type {type}"][torch.from_numpy(rows)] = 0
        expected = model._forward(network, graph, given)
    for a, b, c in zip(found, expected, plain, strict=True):
        assert torch.equal(a, b)
        assert not torch.allclose(a, c)


def test_where_both_ends_are_of_one_type_a_new_node_loses_both_kinds_of_links(monkeypatch):
    rng = np.random.default_rng(0)
    pairs = np.unique(rng.integers(0, 40, (400, 2)), axis=0)
    ids = [f"u{i}" for i in range(40)]
    edges = {"src": [ids[i] for i in pairs[:, 0]], "dst": [ids[i] for i in pairs[:, 1]]}
    follows = ("user", "follows", "user")
    hin = HIN.from_tables({"user": {"id": ids, "age": list(range(40))}}, {follows: edges})
    seen = []
    messages = MessageGraph.messages
    monkeypatch.setattr(
        MessageGraph, "messages", lambda self, gone: [seen.append(gone), messages(self, gone)][1]
    )
    HeteroGNN(follows, **SMALL | {"epochs": 30}, edge_holdout=0.1, node_dropout=0.3).fit(hin, rng=0)
    links = hin.adjacency(follows).sorted_indices()
    ends = np.repeat(np.arange(40), np.diff(links.indptr)), links.indices
    alone = [
        sum(np.bincount(e[~gone], minlength=40) for e in ends) == 0
        for gone in seen
        if gone is not None
    ]
    assert np.mean(alone) == pytest.approx(0.3, abs=0.06)
