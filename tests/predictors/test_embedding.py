"""MF, XSimGCL, LightGCN++ and LightGCN with side information; objectives against the formulas."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from raising import raises

from hinaug.datasets import planted
from hinaug.errors import ParameterError
from hinaug.evaluation.evaluate import evaluate
from hinaug.features.axes import nearest_graph
from hinaug.graph.hin import HIN
from hinaug.nn import BipartitePropagation, ScaledPropagation
from hinaug.predictors import MF, LightGCN, LightGCNPP, Popularity, XSimGCL
from hinaug.split.random import random_split
from hinaug.split.thin import thin
from hinaug.testing import check_predictor
from hinaug.training.objectives import (
    BPR,
    DrawPrior,
    LogSumExp,
    SampledSoftmax,
    Softmax,
    rows_alike,
)

RATES = ("user", "rates", "item")


def world(seed=0, n=5, m=7):
    dense = np.random.default_rng(seed).random((n, m)) < 0.4
    dense[:, 0] = True
    src, dst = np.nonzero(dense)
    return HIN.from_tables(
        {"user": {"id": np.arange(n)}, "item": {"id": np.arange(m)}},
        {RATES: {"src": src, "dst": dst}},
    )


@pytest.mark.parametrize(
    "model",
    [
        MF(RATES, embedding_dim=8, epochs=5),
        XSimGCL(RATES, embedding_dim=8, epochs=5),
        LightGCN(RATES, loss="sampled", embedding_dim=8, epochs=5),
        LightGCN(RATES, loss="sampled", cosine=True, embedding_dim=8, epochs=5),
        LightGCNPP(RATES, embedding_dim=8, epochs=5),
        MF(RATES, mean_over="sources", prior="draws", embedding_dim=8, epochs=5),
    ],
)
def test_the_contract(model):
    check_predictor(model)


# ---- objectives ----------------------------------------------------------------------------------


def test_a_sample_of_all_items_is_the_softmax_with_the_positive_counted_twice():
    links = sp.csr_array(world().adjacency(RATES), dtype=np.float32)
    rng = np.random.default_rng(1)
    users, items = (
        torch.from_numpy(rng.standard_normal((n, 3), np.float32)).requires_grad_()
        for n in links.shape
    )
    found = SampledSoftmax(links, 0.7, 99, rng)(users, items)
    scores = users @ items.T / 0.7
    src, dst = map(torch.from_numpy, (a.astype(np.int64) for a in links.nonzero()))
    pos = scores[src, dst]
    expected = (torch.log(scores.exp().sum(1)[src] + pos.exp()) - pos).mean()
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    grads = [torch.autograd.grad(x, (users, items), retain_graph=True) for x in (found, expected)]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


def test_a_small_sample_estimates_the_whole():
    links = sp.csr_array(world(n=30, m=200).adjacency(RATES), dtype=np.float32)
    rng = np.random.default_rng(0)
    users, items = (
        torch.from_numpy(0.5 * rng.standard_normal((n, 4), np.float32)) for n in links.shape
    )
    sampled = SampledSoftmax(links, 1.0, 50, rng)
    found = np.mean([float(sampled(users, items)) for _ in range(200)])
    assert found == pytest.approx(float(Softmax(links, 1.0)(users, items)), abs=0.05)


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_popular_items_count_by_a_power_of_their_links(power):
    links = sp.csr_array(world(n=30, m=40).adjacency(RATES), dtype=np.float32)
    links.data = (np.random.default_rng(2).random(links.nnz) + 0.5).astype(np.float32)
    rng = np.random.default_rng(0)
    users, items = (
        torch.from_numpy(0.5 * rng.standard_normal((n, 4), np.float32)) for n in links.shape
    )
    sampled = SampledSoftmax(links, 1.0, 40, rng, power)
    found = np.mean([float(sampled(users, items)) for _ in range(2000)])
    share = links.sum(axis=0).astype(float) ** power
    scores = (users @ items.T).double()
    whole = (scores.exp() @ torch.from_numpy(40 * share / share.sum()))[
        torch.from_numpy(links.nonzero()[0])
    ]
    pos = scores[tuple(map(torch.from_numpy, links.nonzero()))]
    expected = (torch.log(whole + pos.exp()) - pos) @ torch.from_numpy(
        links.data / links.data.sum()
    ).double()
    assert found == pytest.approx(float(expected), abs=0.01)
    by_model = MF(RATES, loss="sampled", negatives=40, power=power)._objective(
        links, np.random.default_rng(5)
    )
    same = SampledSoftmax(links, 1.0, 40, np.random.default_rng(5), power)
    assert torch.equal(by_model(users, items), same(users, items))
    with raises(ValueError, asked=-1):
        MF(RATES, loss="sampled", power=-1).fit(world())
    with raises(ValueError, asked="softmax"):
        MF(RATES, loss="softmax", power=power).fit(world())


@pytest.mark.parametrize("loss", ["softmax", "sampled"])
def test_cosines_are_learned_whatever_the_lengths(loss):
    links = sp.csr_array(world().adjacency(RATES), dtype=np.float32)
    rng = np.random.default_rng(1)
    users, items = (torch.from_numpy(rng.standard_normal((n, 3), np.float32)) for n in links.shape)
    objective = MF(RATES, loss=loss, cosine=True, temperature=0.5, negatives=99)._objective(
        links, rng
    )
    found = objective(3 * users, 0.2 * items)
    cosine = users @ items.T / users.norm(dim=1)[:, None] / items.norm(dim=1) / 0.5
    src, dst = map(torch.from_numpy, (a.astype(np.int64) for a in links.nonzero()))
    extra = cosine[src, dst].exp() if loss == "sampled" else 0.0
    expected = (torch.log(cosine.exp().sum(1)[src] + extra) - cosine[src, dst]).mean()
    torch.testing.assert_close(found, expected)
    with raises(ValueError, asked="bpr"):
        MF(RATES, cosine=True).fit(world())
    with raises(ValueError, asked=0):
        MF(RATES, loss="softmax", temperature=0).fit(world())


def test_bpr_as_published_is_what_batches_of_users_drawn_alike_have_on_average():
    links = world().adjacency(RATES)
    dense = links.toarray() > 0
    rng = np.random.default_rng(1)
    users, items = (rng.standard_normal((n, 3)).astype(np.float32) for n in links.shape)
    loss, prior = [], []
    for u, row in enumerate(dense):
        gaps = [
            np.log1p(np.exp(-users[u] @ (items[i] - items[~row]).T)).mean()
            for i in np.flatnonzero(row)
        ]
        lengths = [users[u] @ users[u] + items[i] @ items[i] for i in np.flatnonzero(row)]
        loss.append(np.mean(gaps))
        prior.append(np.mean(lengths) + np.square(items).sum(axis=1).mean())
    both = torch.from_numpy(users), torch.from_numpy(items)
    assert float(DrawPrior(rows_alike(links), 0.7)(*both)) == pytest.approx(
        0.35 * np.mean(prior), rel=1e-5
    )
    bpr, by_link = (BPR(x, np.random.default_rng(0)) for x in (rows_alike(links), links))
    found = [float(bpr(*both)) for _ in range(2000)]
    assert np.mean(found) == pytest.approx(np.mean(loss), abs=4 * np.std(found) / 2000**0.5)
    assert abs(np.mean([float(by_link(*both)) for _ in range(2000)]) - np.mean(loss)) > 0.02


def test_models_train_as_published_where_asked_to():
    hin = world()
    count = np.bincount(hin.adjacency(RATES).indices, minlength=hin.n("item"))
    settings = {"embedding_dim": 3, "lr": 0.05, "epochs": 200}
    plain = MF(RATES, l2=0.0, **settings).fit(hin, rng=0)
    held = MF(RATES, l2=1.0, prior="draws", **settings).fit(hin, rng=0)
    ratio = np.linalg.norm(held.items_, axis=1) / np.linalg.norm(plain.items_, axis=1)
    assert ratio[count.argmax()] < 0.2
    assert (
        np.abs(
            MF(RATES, l2=0.0, mean_over="sources", **settings).fit(hin, rng=0).users_ - plain.users_
        ).max()
        > 0.01
    )
    for wrong, asked in (
        ({"prior": "links"}, "links"),
        ({"mean_over": "users"}, "users"),
        ({"prior": "draws", "loss": "softmax"}, "softmax"),
    ):
        with raises(ParameterError, asked=asked, names=next(iter(wrong))):
            MF(RATES, **wrong).fit(hin)


def test_sums_in_blocks_are_the_sums_at_once(monkeypatch):
    monkeypatch.setattr("hinaug.training.objectives.LOGITS", 8)  # two users at a time
    x = [
        torch.randn(n, 3, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
        for n in (5, 4)
    ]
    users, items = (v.requires_grad_() for v in x)
    assert torch.autograd.gradcheck(LogSumExp.apply, (users, items))
    torch.testing.assert_close(LogSumExp.apply(users, items), (users @ items.T).logsumexp(1))


# ---- MF, XSimGCL and LightGCN++ ------------------------------------------------------------------


def test_mf_is_lightgcn_without_layers():
    hin = world()
    settings = {"embedding_dim": 4, "lr": 0.05, "l2": 0.3, "epochs": 4}
    a = MF(RATES, **settings).fit(hin, rng=0)
    b = LightGCN(RATES, n_layers=0, **settings).fit(hin, rng=0)
    np.testing.assert_array_equal(a.users_, b.users_)


def test_xsimgcl_without_noise_is_the_mean_of_the_layers_and_contrasts_a_node_with_itself():
    links = world().adjacency(RATES)
    model = XSimGCL(
        RATES, embedding_dim=4, eps=0.0, n_layers=2, contrast=2, cl=1.0, tau=0.5, sample=99
    )
    net = model._network(None, links, np.random.default_rng(0)).train()
    users, items = net()
    step = BipartitePropagation(links, 1)
    one = step.step(net.users, net.items)
    two = step.step(*one)
    torch.testing.assert_close(users, (one[0] + two[0]) / 2)
    torch.testing.assert_close(items, (one[1] + two[1]) / 2)
    expected = 0.0
    for z, x in zip((users, items), two, strict=True):
        there = x.norm(dim=1) > 0
        cosine = (
            torch.nn.functional.normalize(z[there])
            @ torch.nn.functional.normalize(x[there]).T
            / 0.5
        )
        expected = expected - 0.5 * cosine.log_softmax(1).diagonal().mean()
    torch.testing.assert_close(net.extra, expected)


def test_xsimgcl_noise_has_the_length_asked_for_and_scores_have_none():
    links = world().adjacency(RATES)
    model = XSimGCL(RATES, embedding_dim=4, eps=0.3, n_layers=1)
    net = model._network(None, links, np.random.default_rng(0))
    step = BipartitePropagation(links, 1).step(net.users, net.items)[0]
    noisy, clean = net.train()()[0], net.eval()()[0]
    torch.testing.assert_close(clean, step)
    torch.testing.assert_close((noisy - step).norm(dim=1), torch.full((5,), 0.3))
    assert ((noisy.sign() == step.sign()) | (step == 0)).all()
    with raises(ValueError, names="contrast"):
        XSimGCL(RATES, contrast=3, n_layers=2).fit(world())


def test_lightgcn_pp_scores_with_the_propagation_it_was_given():
    hin = world()
    fitted = LightGCNPP(
        RATES, embedding_dim=4, lr=1e-9, epochs=1, n_layers=3, alpha=0.4, beta=0.2, gamma=0.3
    ).fit(hin, rng=0)
    start = MF(RATES, embedding_dim=4, lr=1e-9, epochs=1).fit(hin, rng=0)
    propagate = ScaledPropagation(hin.adjacency(RATES), 3, 0.4, 0.2, 0.3)
    users, items = propagate(torch.from_numpy(start.users_), torch.from_numpy(start.items_))
    np.testing.assert_allclose(fitted.users_, users, atol=1e-6)
    np.testing.assert_allclose(fitted.items_, items, atol=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        MF(RATES, embedding_dim=32),
        XSimGCL(RATES, embedding_dim=32, lr=0.03),
        LightGCNPP(RATES, embedding_dim=32),
    ],
)
def test_learns_the_planted_world_and_nothing_from_chance(model):
    gains = {}
    for shuffle in (False, True):
        split = random_split(
            planted(n_users=150, n_items=80, shuffle=shuffle, rng=1),
            RATES,
            evidence=["review"],
            rng=0,
        )
        found = []
        for m in (model.clone(), Popularity(RATES)):
            m.fit(split.train, valid=split.valid, rng=0).refit(split.train_valid, rng=0)
            found.append(evaluate(m, split.train_valid, split, k=20, on="test")["NDCG@20"])
        gains[shuffle] = found[0] - found[1]
    assert gains[False] > 0.05
    assert gains[True] < 0.03


# ---- LightGCN with side information --------------------------------------------------------------


def test_side_information_by_the_formula():
    hin = world().with_column("item", "x", np.random.default_rng(3).standard_normal((7, 3)), "row")
    model = LightGCN(
        RATES, embedding_dim=4, n_layers=1, features=("x",), smooth=0.2, feature_scale=0.7, epochs=1
    )
    net = model._network(hin, hin.adjacency(RATES), np.random.default_rng(0))
    with torch.no_grad():
        net.feature_map.copy_(
            torch.from_numpy(
                np.random.default_rng(4).standard_normal(net.feature_map.shape, np.float32)
            )
        )
        users, items = net()
    start = net.items + 0.7 * (net.features @ net.feature_map)
    z = BipartitePropagation(hin.adjacency(RATES), 1)(net.users, start)
    near = torch.from_numpy(nearest_graph(net.features.numpy()).toarray()).float()
    torch.testing.assert_close(users, z[0])
    torch.testing.assert_close(items, z[1] + 0.2 * near @ z[1])


def test_features_help_where_they_tell_and_not_when_permuted():
    hin, truth = planted(n_users=200, n_items=120, rng=2, return_truth=True)
    topic = np.eye(truth["item_topic"].max() + 1)[truth["item_topic"]]
    rng = np.random.default_rng(0)
    found = {}
    for name, x in (
        ("none", None),
        ("true", topic),
        ("permuted", topic[rng.permutation(len(topic))]),
    ):
        graph = hin if x is None else hin.with_column("item", "topic", x, "row")
        values = []
        for seed in range(2):
            split = thin(random_split(graph, RATES, evidence=["review"], rng=seed), 0.3, rng=seed)
            model = LightGCN(
                RATES, embedding_dim=16, lr=0.03, features=() if x is None else ("topic",)
            )
            model.fit(split.train, valid=split.valid, rng=seed)
            values.append(evaluate(model, split.train, split, k=20, on="test")["NDCG@20"])
        found[name] = np.mean(values)
    assert found["true"] > 1.1 * found["none"]
    assert found["permuted"] < found["true"] - 0.5 * (found["true"] - found["none"])
    assert found["permuted"] > 0.75 * found["none"]  # with feature_scale=1 two thirds were left
