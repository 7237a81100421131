"""New sources and targets of embedding models: their rows against the optimum that scipy finds."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from raising import raises
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp

from hinaug.datasets import planted
from hinaug.errors import FoldInError, ParameterError
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions
from hinaug.predictors import MF, LightGCN, LightGCNPP, XSimGCL
from hinaug.predictors.base import HasVectors
from hinaug.predictors.fold_in import choose_fold_in_l2
from hinaug.split.random import random_split

RATES = ("user", "rates", "item")
N, M, D = 12, 9, 3


def world(seed=0):
    """Links with weights; the last user and the last two items are to come later."""
    rng = np.random.default_rng(seed)
    dense = rng.random((N, M)) < 0.4
    dense[np.arange(N), np.arange(N) % (M - 2)] = True
    dense[-1, [0, 3]] = True
    src, dst = np.nonzero(dense)
    links = {
        "src": [f"u{i}" for i in src],
        "dst": [f"i{i}" for i in dst],
        "w": rng.uniform(0.5, 2.0, len(src)),
    }
    nodes = {
        "user": {"id": [f"u{i}" for i in range(N)]},
        "item": {"id": [f"i{i}" for i in range(M)]},
    }
    return HIN.from_tables(nodes, {RATES: links})


def before():
    """The world without those who come later."""
    hin = world().filter_nodes("user", np.arange(N) < N - 1)
    return hin.filter_nodes("item", np.arange(M) < M - 2)


def propagated(model, hin, own_users, own_items):
    """Layers [L + 1, n, d] of users and items by the formulas of the papers, dense."""
    r = interactions(hin, RATES, model.weight).toarray().astype(np.float64)
    users, items = [own_users], [own_items]
    d_u, d_i = r.sum(axis=1, keepdims=True), r.sum(axis=0)[:, None]
    if isinstance(model, MF):
        return users, items
    for _ in range(model._setting("n_layers")):
        x, y = users[-1], items[-1]
        if isinstance(model, LightGCNPP):
            x, y = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, y))
            users.append(d_u**-model.alpha * (r @ (d_i**-model.beta * y)))
            items.append(d_i**-model.alpha * (r.T @ (d_u**-model.beta * x)))
        else:
            users.append(d_u**-0.5 * (r @ (d_i**-0.5 * y)))
            items.append(d_i**-0.5 * (r.T @ (d_u**-0.5 * x)))
    return users, items


def combined(model, layers):
    """The final vectors from the layers."""
    if isinstance(model, LightGCNPP):
        return model.gamma * layers[0] + (1 - model.gamma) * np.mean(layers[1:], axis=0)
    return np.mean(layers, axis=0)


def fitted(model, hin):
    """The model, and the own embeddings of users and items that it learned."""
    kept = {}
    keep = type(model)._keep

    def spy(self, network, links):
        kept["own"] = [
            p.detach().numpy().astype(np.float64) for p in (network.users, network.items)
        ]
        keep(self, network, links)

    patched = type("Spied", (type(model),), {"_keep": spy, "__eq__": object.__eq__})
    model = copy.copy(model)
    model.__class__ = patched
    model.fit(hin, rng=0)
    model.__class__ = patched.__mro__[1]
    return model, kept["own"]


def one_hop(model, degree, weights, sender_degrees, layers):
    """What a new node hears of its neighbours, right at every layer."""
    if isinstance(model, MF):
        return np.zeros(D)
    if isinstance(model, LightGCNPP):
        sent = sum(x / np.linalg.norm(x, axis=1, keepdims=True) for x in layers[:-1])
        heard = weights @ (sender_degrees[:, None] ** -model.beta * sent)
        return (1 - model.gamma) / (len(layers) - 1) * degree**-model.alpha * heard
    return (
        degree**-0.5
        * (weights @ (sender_degrees[:, None] ** -0.5 * sum(layers[:-1])))
        / len(layers)
    )


def own_weight(model):
    if isinstance(model, MF):
        return 1.0
    return model.gamma if isinstance(model, LightGCNPP) else 1 / (model._setting("n_layers") + 1)


def optimum(loss):
    """The row that minimises a loss, by scipy, from several starts."""
    rng = np.random.default_rng(0)
    found = [minimize(loss, rng.normal(size=D), method="BFGS", tol=1e-10) for _ in range(2)]
    best = min(found, key=lambda f: f.fun)
    return minimize(loss, best.x, method="Nelder-Mead", tol=1e-12, options={"maxiter": 4000}).x


BASE = {"embedding_dim": D, "epochs": 60, "lr": 0.05, "l2": 0.4}
USER_MODELS = [
    MF(RATES, loss="softmax", **BASE),
    MF(RATES, loss="softmax", temperature=0.5, mean_over="sources", weight="w", **BASE),
    MF(RATES, **BASE),
    MF(RATES, mean_over="sources", prior="draws", **BASE | {"l2": 0.05}),
    LightGCN(RATES, loss="softmax", weight="w", **BASE),
    LightGCN(RATES, prior="draws", weight="w", **BASE | {"l2": 0.05}),
    LightGCN(RATES, loss="sampled", n_layers=1, negatives=99, **BASE),
    LightGCNPP(RATES, loss="softmax", n_layers=2, **BASE),
    LightGCNPP(RATES, gamma=0.5, **BASE),
]


def row_l2(model, hin, weight):
    """The prior of a row against the loss summed over links (see `EmbeddingPredictor`)."""
    r = interactions(hin, RATES, model.weight)
    total = (np.diff(r.indptr) > 0).sum() if model.mean_over == "sources" else r.sum()
    l2 = model._setting("l2")
    return l2 * weight if model.prior == "draws" else l2 * total / r.sum()


@pytest.mark.parametrize("model", USER_MODELS, ids=lambda m: repr(m)[:60])
def test_the_row_of_a_new_user_minimises_the_loss(model):
    hin = before()
    model, own = fitted(model, hin)
    users, items = propagated(model, hin, *own)
    np.testing.assert_allclose(combined(model, users), model.users_, atol=1e-5)
    np.testing.assert_allclose(combined(model, items), model.items_, atol=1e-5)
    y = model.items_.astype(np.float64)
    r = interactions(hin, RATES, model.weight).toarray().astype(np.float64)
    rng = np.random.default_rng(3)
    histories = np.zeros((3, M - 2))
    histories[0, [1, 4]], histories[1, [2]] = rng.uniform(0.5, 2, 2), 1.0
    histories[2] = r[5]
    found = model.fold_in(sp.csr_array(histories))
    a = own_weight(model)
    for k, weights in enumerate(histories):
        counted = weights / weights.sum() if model.mean_over == "sources" else weights
        b = one_hop(model, weights.sum(), weights, r.sum(axis=0), items)
        l2 = row_l2(model, hin, counted.sum())
        have = np.flatnonzero(weights)
        free = np.flatnonzero(weights == 0)

        def loss(e, a=a, b=b, l2=l2, counted=counted, have=have, free=free):
            s = y @ (a * e + b)
            if model.loss == "bpr":
                gaps = np.logaddexp(0, s[free][None, :] - s[have][:, None]).mean(axis=1)
                return counted[have] @ gaps + l2 / 2 * e @ e
            s = s / (model.temperature or 1.0)
            return -counted @ log_softmax(s) + l2 / 2 * e @ e

        np.testing.assert_allclose(found[k], y @ (a * optimum(loss) + b), atol=1e-5)
    again = pickle.loads(pickle.dumps(model)).fold_in(sp.csr_array(histories))
    np.testing.assert_array_equal(again, found)


@pytest.mark.parametrize("model", USER_MODELS[:-1], ids=lambda m: repr(m)[:60])
def test_the_row_of_a_new_item_minimises_the_loss(model):
    hin = before()
    model, own = fitted(model, hin)
    layers = propagated(model, hin, *own)[0]
    grown = model.fold_in_items(world().filter_nodes("user", np.arange(N) < N - 1))
    z, y = model.users_.astype(np.float64), model.items_.astype(np.float64)
    old = interactions(hin, RATES, model.weight).toarray().astype(np.float64)
    new = interactions(world(), RATES, model.weight).toarray()[: N - 1, M - 2 :].astype(np.float64)
    a = own_weight(model)
    is_share = model.mean_over == "sources"
    n_counted = (old.sum(axis=1) > 0).sum() if is_share else old.sum()
    for k, raw in enumerate(new.T):
        b = one_hop(model, raw.sum(), raw, old.sum(axis=1), layers)
        together = old.sum(axis=1) + raw
        counted = raw / together if is_share else raw
        total = np.ones(N - 1) if is_share else together
        history = old / old.sum(axis=1, keepdims=True) if is_share else old
        l2 = row_l2(model, hin, counted.sum() + n_counted / len(y))

        def softmax(e, a=a, b=b, l2=l2, counted=counted, total=total):
            s = z @ (a * e + b) / (model.temperature or 1.0)
            among = z @ y.T / (model.temperature or 1.0)
            sums = np.logaddexp(logsumexp(among, axis=1), s)
            return total @ sums - counted @ s + l2 / 2 * e @ e

        def bpr(e, a=a, b=b, l2=l2, counted=counted, history=history):
            s, among = z @ (a * e + b), z @ y.T
            value = l2 / 2 * e @ e
            for u in range(N - 1):
                have = old[u] > 0
                if counted[u]:
                    value += counted[u] * np.logaddexp(0, among[u, ~have] - s[u]).mean()
                else:
                    gaps = np.logaddexp(0, s[u] - among[u, have])
                    value += history[u, have] @ gaps / ((~have).sum() + 1)
            return value

        best = optimum(bpr if model.loss == "bpr" else softmax)
        np.testing.assert_allclose(grown.items_[M - 2 + k], a * best + b, atol=1e-5)
    np.testing.assert_array_equal(grown.items_[: M - 2], model.items_)
    assert len(model.items_) == M - 2


def test_an_l2_of_its_own_makes_rows_longer():
    model = LightGCN(RATES, loss="softmax", **BASE).fit(before(), rng=0)
    model.fold_in_l2 = 0.01
    lengths = [
        np.linalg.norm(m.fold_in_items(world()).items_[M - 2 :], axis=1)
        for m in (model, model.clone().fit(before(), rng=0))
    ]
    assert lengths[1].shape == (2,)
    model.fold_in_l2 = None
    held = np.linalg.norm(model.fold_in_items(world()).items_[M - 2 :], axis=1)
    assert (lengths[0] > held).all()


def test_scores_of_the_grown_model_and_of_who_says_nothing():
    hin = world().with_nodes("item", {"id": ["nobody's"]})
    model = MF(RATES, **BASE).fit(before(), rng=0)
    grown = model.fold_in_items(hin)
    scores = grown.score(hin, np.arange(N))
    assert np.isnan(scores[:, -1]).all()
    assert np.isnan(scores[-1]).all()  # a user that was not there
    np.testing.assert_allclose(
        scores[:-1, :M], grown.users_ @ grown.items_[:M].T, rtol=1e-6, atol=1e-6
    )
    assert np.isnan(model.score(hin, [0])[0, M - 2 :]).all()
    folded = grown.fold_in([["i0", "i8", "never seen"], []])
    assert folded.shape == (2, M + 1)
    assert np.isfinite(folded[0, :M]).all()
    assert np.isnan(folded[1]).all()


def test_many_users_in_blocks_are_as_one_by_one(monkeypatch):
    hin = before()
    history = interactions(hin, RATES)
    for loss in ("bpr", "softmax"):
        model = LightGCN(RATES, loss=loss, **BASE).fit(hin, rng=0)
        at_once = model.fold_in(history)
        with monkeypatch.context() as patched:
            patched.setattr("hinaug.predictors.newton.BUDGET", 40)
            np.testing.assert_allclose(model.fold_in(history), at_once, atol=1e-6)
        alone = np.concatenate([model.fold_in(history[[i]]) for i in range(N - 1)])
        np.testing.assert_allclose(alone, at_once, atol=1e-6)


@pytest.mark.parametrize("model", [MF(RATES), LightGCN(RATES), LightGCNPP(RATES), XSimGCL(RATES)])
def test_vectors_are_what_is_scored_with(model):
    hin = before().with_nodes("user", {"id": ["bare"]})
    model = model.clone(embedding_dim=D, epochs=4).fit(hin, rng=0)
    assert isinstance(model, HasVectors)
    users, items = model.vectors()
    scores = model.score(hin, np.arange(N))
    np.testing.assert_allclose(users[:-1] @ items.T, scores[:-1], atol=1e-6)
    assert not users[-1].any()


def test_who_cannot_says_why():
    hin = before().with_column("user", "x", np.random.default_rng(0).normal(size=(N - 1, 4)), "row")
    hin = hin.with_column("item", "x", np.random.default_rng(1).normal(size=(M - 2, 4)), "row")
    small = {"embedding_dim": D, "epochs": 2}
    for model, why in (
        (XSimGCL(RATES, **small), XSimGCL.NO_FOLD_IN),
        (MF(RATES, loss="softmax", cosine=True, **small), "cosine=True"),
        (MF(RATES, loss="sampled", power=0.5, **small), "power"),
        (LightGCN(RATES, source_features=["x"], **small), "source_features"),
    ):
        with raises(FoldInError, asked=type(model).__name__, names=why):
            model.fit(hin, rng=0).fold_in([["i1"]])
    model = LightGCN(RATES, features=["x"], **small).fit(hin, rng=0)
    assert np.isfinite(model.fold_in([["i1"]])).any()
    with raises(FoldInError, asked="LightGCN"):
        model.fold_in_items(world())


def test_a_new_user_is_ranked_for_nearly_as_well_as_after_a_refit():
    split = random_split(planted(250, 80, rng=1), RATES, rng=0)
    train, relevant = split.train, {}
    for row in split.test.to_pylist():
        relevant.setdefault(row["src"], []).append(row["dst"])
    is_old = np.arange(250) % 5 > 0
    ids = train.nodes["user"]["id"].to_pylist()
    model = LightGCN(RATES, loss="softmax", embedding_dim=16, lr=0.05, epochs=80)
    some = model.clone().fit(train.filter_nodes("user", is_old), rng=0)
    whole = model.clone().fit(train, rng=0)
    new = np.flatnonzero(~is_old)
    history = train.adjacency(RATES)[new]
    hits = []
    for scores in (some.fold_in(history), whole.score(train, new)):
        scores = np.where(history.toarray() > 0, -np.inf, np.nan_to_num(scores, nan=-np.inf))
        best = np.argsort(-scores, axis=1)[:, :10]
        names = train.nodes["item"]["id"].to_numpy(zero_copy_only=False)[best]
        hits.append(
            np.mean(
                [
                    np.isin(relevant.get(ids[u], []), row).sum()
                    for u, row in zip(new, names, strict=True)
                ]
            )
        )
    assert hits[0] > 0.85 * hits[1] > 0


def test_the_l2_of_new_targets_is_chosen_where_it_ranks_best():
    split = random_split(planted(150, 60, rng=1), RATES, rng=0)
    model = LightGCN(RATES, loss="softmax", embedding_dim=16, lr=0.05, epochs=60)
    values = [30.0, 2.0, 0.3, 0.05]
    found = choose_fold_in_l2(model, split.train, split.valid, values, share=0.2, rng=0)
    assert found == choose_fold_in_l2(model, split.train, split.valid, values, share=0.2, rng=0)
    assert found in values
    assert found != 30.0
    assert not hasattr(model, "users_")
    with raises(ParameterError, asked=([], 0.1)):
        choose_fold_in_l2(model, split.train, split.valid, [])
    with raises(ParameterError, asked=([30.0, 2.0, 0.3, 0.05], 0.0)):
        choose_fold_in_l2(model, split.train, split.valid, values, share=0.0)
