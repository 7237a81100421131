"""Numbers on edges: what HeteroGNN reads of them, and what its messages make of them."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from raising import raises
from torch.autograd import gradcheck

from hinaug.datasets import planted
from hinaug.errors import ParameterError, UnknownNameError
from hinaug.evaluation.evaluate import evaluate
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.nn import HeteroEncoder
from hinaug.predictors import HeteroGNN
from hinaug.predictors.edge_columns import EdgeColumns
from hinaug.split.cold import cold_users
from hinaug.testing import check_predictor

CONVS = ("sage", "rgcn", "hgt", "han")
RATES, BUYS = ("user", "rates", "item"), ("user", "buys", "item")
SMALL = {"hidden": 8, "embedding_dim": 8, "epochs": 4, "device": "cpu"}


def rated(ratings, **columns) -> HIN:
    nodes = {"user": {"id": ["a", "b"]}, "item": {"id": ["x", "y", "z"]}}
    edges = {"src": ["a", "a", "b", "b"], "dst": ["x", "y", "x", "z"], "rating": ratings}
    return HIN.from_tables(nodes, {RATES: edges | columns})


def test_columns_are_standardised_and_cut():
    hin = rated([1.0, 5.0, None, 3.0], time=[1, 2, 3, 4], same=[7, 7, 7, 7])
    encoder = EdgeColumns(RATES).fit(hin)
    assert encoder.names_ == ["rating"]  # no time, and nothing that is the same everywhere
    weight, attributes = encoder.encode(hin)
    assert weight is None
    step = 2 / np.std([1, 5, 3])
    np.testing.assert_allclose(attributes[:, 0], [-step, step, 0, 0], rtol=1e-6)
    far = encoder.encode(rated([1.0, 5.0, 1e9, np.inf]))[1]
    assert far[2:, 0].tolist() == [5, 0]
    assert EdgeColumns(RATES, ["time"]).fit(hin).names_ == ["time"]


def test_confidence_and_named_columns_are_weights():
    hin = rated([1.0, 5.0, 2.0, None])
    delta = Delta(edges={RATES: {"src": ["a"], "dst": ["z"], "confidence": [0.25]}}, origin="t")
    weight, attributes = EdgeColumns(RATES, None, ["rating"]).fit(hin).encode(hin + delta)
    assert weight.tolist() == [1, 5, 2, 1, 0.25]
    assert attributes.shape == (5, 0)
    assert EdgeColumns(RATES, []).fit(hin).encode(hin + delta)[0] is None
    weight, _ = EdgeColumns(RATES, ["confidence"]).fit(hin).encode(hin + delta)
    assert weight.tolist() == [1, 1, 1, 1, 0.25]


def test_what_is_no_weight_or_no_number_is_refused():
    hin = rated([1.0, -5.0, 2.0, 3.0], note=["p", "q", "r", "s"])
    with raises(ParameterError, asked="rating") as told:
        EdgeColumns(RATES, None, ["rating"]).fit(hin)
    assert (told.value.asked, told.value.there) == ("rating", -5.0)
    with raises(ParameterError, asked="note") as told:
        HeteroGNN(RATES, edge_columns={RATES: ["note"]}, **SMALL).fit(hin, rng=0)
    assert told.value.there == ["rating"]
    with pytest.raises(UnknownNameError):
        HeteroGNN(RATES, edge_columns={BUYS: ["rating"]}, **SMALL).fit(hin, rng=0)


# ---- the network -------------------------------------------------------------------------------

LIKES, LIKED = ("user", "likes", "item"), ("item", "liked by", "user")


def encoder(conv, dims=None, seed=0):
    g = torch.Generator().manual_seed(seed)
    types = {"user": 2, "item": 3}
    return HeteroEncoder(types, [LIKES, LIKED], 4, 4, conv=conv, generator=g, edge_dims=dims)


def inputs(seed=0):
    g = torch.Generator().manual_seed(seed)
    x = {"user": torch.randn(3, 2, generator=g), "item": torch.randn(2, 3, generator=g)}
    index = torch.tensor([[0, 1, 1, 2], [0, 0, 1, 1]])
    return x, {LIKES: index, LIKED: index.flip(0)}


def both(values):
    """The same numbers on the edges of both directions, for two layers."""
    return [{LIKES: values, LIKED: values}] * 2


@pytest.mark.parametrize("conv", CONVS)
def test_weights_of_one_and_gates_at_the_start_change_nothing(conv):
    x, edges = inputs()
    plain, gated = encoder(conv), encoder(conv, {LIKES: 2, LIKED: 2})
    expected = plain(x, [edges] * 2)
    weights = both(torch.ones(4))
    for out in (
        plain(x, [edges] * 2, edge_weight=weights),
        gated(x, [edges] * 2, None, both(torch.ones(4, 2))),
        gated(x, [edges] * 2, None, both(torch.ones(4, 2)), weights),
    ):
        for type in x:
            torch.testing.assert_close(out[type], expected[type])


@pytest.mark.parametrize("conv", CONVS)
def test_an_edge_of_weight_0_is_no_edge(conv):
    x, edges = inputs()
    net = encoder(conv)
    kept = {e: index[:, :3] for e, index in edges.items()}
    weights = both(torch.tensor([1.0, 1.0, 1.0, 0.0]))
    out, expected = net(x, [edges] * 2, edge_weight=weights), net(x, [kept] * 2)
    for type in x:
        torch.testing.assert_close(out[type], expected[type])


def test_messages_by_hand():
    """One item hears users 0 and 1 with weights 3 and .5, and item 1 hears user 2 with .5."""
    net = encoder("rgcn", {LIKES: 1})
    gate = net.gates[0]["edge0"]
    with torch.no_grad():
        gate.scale.copy_(torch.tensor([[1.0, 2, 3, 4]]))
        gate.shift.copy_(torch.tensor([[0.0, 0, 1, 1]]))
    h = {"user": torch.rand(3, 4), "item": torch.zeros(2, 4)}
    index = {LIKES: torch.tensor([[0, 1, 2], [0, 0, 1]])}
    a, w = torch.tensor([[1.0], [-1], [0]]), torch.tensor([3.0, 0.5, 0.5])
    changes = net._changes(0, index, [{LIKES: a}], [{LIKES: w}])
    out = net.convs[0](h, index, changes)["item"]
    sent = h["user"] * (1 + a * gate.scale) + a * gate.shift
    first = (3 * sent[0] + 0.5 * sent[1]) / 3.5
    second = 0.5 * sent[2]  # half an edge is half a message
    lin = net.convs[0].sends["0"].lin_l
    torch.testing.assert_close(out, lin(torch.stack([first, second])))


@pytest.mark.parametrize("conv", CONVS)
def test_gradients_reach_the_gates_and_the_weights(conv):
    x, edges = inputs()
    net = encoder(conv, {LIKES: 2, LIKED: 2})
    attributes = both(torch.randn(4, 2, generator=torch.Generator().manual_seed(1)))
    weight = torch.full((4,), 0.7, requires_grad=True)
    out = net(x, [edges] * 2, None, attributes, both(weight))
    sum(v.square().sum() for v in out.values()).backward()
    assert weight.grad.abs().min() > 0
    for gates in net.gates:
        for p in gates.parameters():
            assert p.grad.abs().sum() > 0


def test_gradcheck_of_weights_in_attention():
    x, edges = inputs()
    net = encoder("hgt").double()
    x = {t: v.double() for t, v in x.items()}
    weight = torch.tensor([0.3, 0.4, 0.9, 0.8], dtype=torch.double, requires_grad=True)
    assert gradcheck(lambda w: net(x, [edges] * 2, edge_weight=both(w))["item"], weight)


# ---- the predictor -----------------------------------------------------------------------------


def liked_world(seed=0, permuted=False):
    """Users rate random items 5 or 1, by taste, and buy what they like: without ratings, what a
    user has rated says nothing.
    """
    rng = np.random.default_rng(seed)
    n_users, n_items = 200, 60
    taste, kind = rng.integers(0, 2, n_users), rng.integers(0, 2, n_items)
    pairs = rng.random((n_users, n_items)) < 0.25
    u, i = np.nonzero(pairs)
    rating = np.where(taste[u] == kind[i], 5.0, 1.0)
    like = (taste[:, None] == kind[None]) & ~pairs & (rng.random(pairs.shape) < 0.15)
    bu, bi = np.nonzero(like)
    rating = rng.permutation(rating) if permuted else rating
    edges = {
        RATES: {"src": u, "dst": i, "rating": rating},
        BUYS: {"src": bu, "dst": bi},
    }
    nodes = {
        "user": {"id": np.arange(n_users)},
        "item": {"id": np.arange(n_items), "kind": np.array(["p", "q"])[kind]},
    }
    return HIN.from_tables(nodes, edges)


@pytest.mark.parametrize("conv", CONVS)
def test_ratings_carry_the_signal(conv):
    found = {}
    for permuted in (False, True):
        split = cold_users(liked_world(permuted=permuted), BUYS, rng=0)
        model = HeteroGNN(BUYS, conv=conv, epochs=60, hidden=16, embedding_dim=16, device="cpu")
        model.fit(split.train, rng=0)
        found[permuted] = evaluate(model, split.train, split, on="test")["NDCG@20"]
    assert found[False] > 1.3 * found[True]


@pytest.mark.parametrize("conv", CONVS)
def test_permuted_ratings_change_the_scores(conv):
    hin = planted(20, 15, 2, rng=0)
    ratings = hin.column(RATES, "rating").to_numpy()
    other = np.random.default_rng(0).permutation(ratings)
    permuted = hin.with_column(RATES, "rating", pa.array(other))
    model = HeteroGNN(RATES, conv=conv, **SMALL).fit(hin, rng=0)
    users = np.arange(20)
    assert not np.allclose(model.score(hin, users), model.score(permuted, users))
    blind = HeteroGNN(RATES, conv=conv, edge_columns={}, **SMALL).fit(hin, rng=0)
    np.testing.assert_array_equal(blind.score(hin, users), blind.score(permuted, users))


@pytest.mark.parametrize("conv", CONVS)
def test_low_confidence_is_nearly_no_edge_and_high_confidence_nearly_an_edge(conv):
    hin = planted(20, 15, 2, rng=0)
    model = HeteroGNN(RATES, conv=conv, **SMALL, columns={}).fit(hin, rng=0)
    free = np.argwhere(hin.adjacency(RATES).toarray() == 0)[::10]
    src = hin.ids("user", free[:, 0])
    rows = {"src": src, "dst": hin.ids("item", free[:, 1])}

    def scores(confidence):
        n = len(free)
        delta = Delta(edges={RATES: rows | {"confidence": np.full(n, confidence)}}, origin="t")
        return model.score(hin + delta, np.arange(20))

    none, full = model.score(hin, np.arange(20)), scores(1.0)
    far = np.abs(full - none).mean()
    assert far > 1e-3
    assert np.abs(scores(0.01) - none).mean() < 0.05 * far
    assert np.abs(scores(0.99) - full).mean() < 0.05 * far


def test_generated_links_weigh_in_the_loss_by_their_confidence():
    hin = planted(20, 15, 2, rng=0)
    free = np.argwhere(hin.adjacency(RATES).toarray() == 0)[:5]
    rows = {"src": hin.ids("user", free[:, 0]), "dst": hin.ids("item", free[:, 1])}
    delta = Delta(edges={RATES: rows | {"confidence": np.full(5, 0.1)}}, origin="t")
    links = HeteroGNN(RATES)._links(hin + delta)
    assert links[tuple(free[0])] == pytest.approx(0.1)
    assert links.max() == 1
    assert (HeteroGNN(RATES, edge_columns={})._links(hin + delta).data == 1).all()


@pytest.mark.parametrize("conv", CONVS)
def test_a_batch_of_everything_is_the_whole_graph(conv):
    hin = planted(20, 15, 2, rng=0)
    rows = {"src": hin.ids("user")[:3], "dst": hin.ids("item")[:3], "confidence": [0.2, 0.5, 0.9]}
    hin = hin + Delta(edges={RATES: rows}, origin="t")
    model = HeteroGNN(RATES, conv=conv, **SMALL).fit(hin, rng=0)
    graph, network = model._graph(hin), model._network()
    network.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in model.weights_.items()})
    network.eval()
    gone = np.arange(hin.adjacency(RATES).nnz) % 3 == 0
    batch = graph.batch(np.arange(20), np.arange(15), gone, None, np.random.default_rng(0))
    with torch.no_grad():
        whole = model._forward(network, graph, graph.messages(gone))
        parts = model._forward(network, graph, batch)
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a, b)


def test_the_contract_with_weights():
    check_predictor(HeteroGNN(RATES, edge_weights={RATES: ["rating"]}, **SMALL))
