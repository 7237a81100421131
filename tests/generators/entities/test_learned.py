"""WGAN and VAE, judged by the nodes they make and not by their loss; and the parts they are made
of.
"""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
import torch
from worlds import (
    auc,
    copies,
    degree_distance,
    main_topic,
    mutual_information,
    popularity_correlation,
    rows,
    total_variation,
)

from hinaug.datasets import planted
from hinaug.datasets.planted import RATES
from hinaug.errors import DivergenceError, SchemaError, UnknownNameError
from hinaug.generators import VAE, WGAN
from hinaug.generators.entities.autoencoder import Autoencoder
from hinaug.generators.entities.columns import TableEncoder
from hinaug.generators.entities.draws import gumbel_top, inclusion, popularity_offsets
from hinaug.generators.entities.margins import MarginalCalibrator
from hinaug.graph.hin import HIN
from hinaug.io import store as io
from hinaug.nn import SparseMatrix
from hinaug.nn.mult_vae import MultVAENetwork
from hinaug.training.mult_vae import unit_rows

QUICK = {
    "WGAN": WGAN(steps=800, autoencoder=Autoencoder(epochs=60)),
    "VAE": VAE(autoencoder=Autoencoder(epochs=100)),
}
TINY = {
    "WGAN": WGAN(steps=3, autoencoder=Autoencoder(epochs=2)),
    "VAE": VAE(autoencoder=Autoencoder(epochs=2)),
}


@pytest.fixture(scope="module")
def world():
    return planted(400, 120, thin=0.3, missing=0.1, rng=0, return_truth=True)


@pytest.fixture(scope="module", params=list(QUICK))
def fitted(request, world):
    return QUICK[request.param].clone().fit(world[0], rng=0)


def test_made_users_are_like_real_ones_and_no_copies(world, fitted):
    hin, truth = world
    real, topic = hin.adjacency(RATES).toarray(), truth["item_topic"]
    delta = fitted.generate(hin, 1.0, rng=1)
    made, table, *_ = rows(hin, delta)
    assert (hin + delta) - delta == hin
    job, jobs = hin.column("user", "job").to_pylist(), table["job"].to_pylist()
    told = mutual_information(jobs, main_topic(made, topic))
    shuffled = mutual_information(
        list(np.random.default_rng(0).permutation(np.array(jobs, object))), main_topic(made, topic)
    )
    wanted = mutual_information(job, main_topic(real, topic))
    told_apart = np.mean([auc(real, made, seed) for seed in range(3)])
    figures = {
        "degree KS": degree_distance(real, made),
        "popularity": popularity_correlation(real, made),
        "job TV": total_variation(job, jobs),
        "job-topic MI": told,
        "real MI": wanted,
        "shuffled MI": shuffled,
        "copies": copies(real, made),
        "AUC": told_apart,
    }
    print(type(fitted).__name__, {k: round(float(v), 3) for k, v in figures.items()})  # noqa: T201
    assert figures["degree KS"] < 0.1
    assert figures["popularity"] > 0.85
    assert figures["job TV"] < 0.1
    assert told > 0.5 * wanted
    assert told > 10 * shuffled
    assert figures["copies"] < 0.05
    assert told_apart < 0.7


def test_ages_follow_topics_and_nulls_stay_as_frequent(world, fitted):
    hin, truth = world
    made, table, *_ = rows(hin, fitted.generate(hin, 1.0, rng=2))
    topic, age = main_topic(made, truth["item_topic"]), table["age"].to_pandas().to_numpy(float)
    means = [np.nanmean(age[topic == t]) for t in range(4)]
    assert all(b > a + 3 for a, b in pairwise(means))  # planted: 22, 32, 42, 52
    assert table["age"].type == pa.int64()
    for name in ("age", "job"):
        assert abs(table[name].null_count - 40) < 30


def test_ratings_are_real_ones_and_higher_within_the_topic(world, fitted):
    hin, truth = world
    delta = fitted.generate(hin, 1.0, rng=3)
    made, _, at, to = rows(hin, delta)
    edges = delta.edges[RATES]
    rating = edges["rating"].to_numpy()
    assert set(rating) == {1, 2, 3, 4, 5}
    own = truth["item_topic"][to] == main_topic(made, truth["item_topic"])[at]
    assert rating[own].mean() > rating[~own].mean() + 0.5
    assert abs(rating.mean() - hin.column(RATES, "rating").to_numpy().mean()) < 0.3
    assert "time" not in edges.column_names
    confidence = edges["confidence"].to_numpy()
    assert confidence.min() > 0
    assert confidence.max() <= 1


def test_same_seed_same_delta_and_no_global_state(world):
    hin = planted(30, 20, rng=0)
    for generator in TINY.values():
        torch.manual_seed(1)
        before = (
            torch.random.get_rng_state(),
            np.random.get_state()[1].copy(),  # noqa: NPY002
            torch.get_num_threads(),
        )
        a, b = (generator.clone().fit(hin, rng=5).generate(hin, 10, rng=6) for _ in range(2))
        assert a == b != generator.clone().fit(hin, rng=5).generate(hin, 10, rng=7)
        assert torch.equal(before[0], torch.random.get_rng_state())
        assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002
        assert before[2] == torch.get_num_threads()


def test_saves_and_loads(tmp_path):
    hin = planted(30, 20, rng=0, missing=0.2)
    for name, generator in TINY.items():
        fitted = generator.clone().fit(hin, rng=0)
        io.save(fitted, tmp_path / name)
        assert io.load(tmp_path / name).generate(hin, 10, rng=1) == fitted.generate(hin, 10, rng=1)
        assert all(len(h) and np.isfinite(h).all() for h in fitted.history_.values())


def test_items_with_vectors(world):
    hin = planted(80, 60, rng=0)
    for generator in TINY.values():
        delta = generator.clone(node="item").fit(hin, rng=0).generate(hin, 12, rng=0)
        made, table, *_ = rows(hin, delta, "item")
        assert made.shape == (12, 80)
        assert made.sum(1).min() >= 1
        assert table["x"].type.list_size == 32
        assert "text" not in table.column_names
        assert hin + delta - delta == hin
        none = generator.clone(node="item", vectors=()).fit(hin, rng=0).generate(hin, 3, rng=0)
        assert "x" not in none.nodes["item"].column_names
        with pytest.raises(UnknownNameError, match="no vector column 'y'"):
            generator.clone(node="item", vectors=["y"]).fit(hin)


def test_kept_profiles():
    hin = planted(60, 40, rng=0)
    real = hin.adjacency(RATES).toarray()
    generator = VAE(keep=0.8, autoencoder=Autoencoder(epochs=2)).fit(hin, rng=0)
    made, *_ = rows(hin, generator.generate(hin, 60, rng=0))
    assert sorted(made.sum(1)) == sorted(real.sum(1))  # each real node is the source once
    closest = (made @ real.T / np.sqrt(made.sum(1)[:, None] * real.sum(1))).max(1)
    assert closest.mean() > 0.7


def test_small_graphs_and_bad_input():
    for pairs in ([("a", "p"), ("a", "q"), ("b", "p")], [("a", "p"), ("b", "p")]):
        src, dst = zip(*pairs, strict=True)
        hin = HIN.from_tables(
            {"user": {"id": list("abc")}, "item": {"id": list("pq")}},
            {RATES: {"src": src, "dst": dst}},
        )
        for generator in TINY.values():
            delta = generator.clone().fit(hin, rng=0).generate(hin, 4, rng=0)
            assert delta.nodes["user"].num_rows == 4
            assert delta.edges[RATES].num_rows >= 4
    empty = HIN.from_tables(
        {"user": {"id": ["a"]}, "item": {"id": ["p"]}}, {RATES: {"src": [], "dst": []}}
    )
    for generator in TINY.values():
        with pytest.raises(SchemaError, match="nothing to learn how to link from"):
            generator.clone(relation=RATES).fit(empty)
    bad = [
        (WGAN, {"steps": 0}),
        (WGAN, {"lr": 0.0}),
        (VAE, {"keep": 1.0}),
        (Autoencoder, {"latent": 0}),
    ]
    for make, wrong in [*bad, (Autoencoder, {"temperature": -1.0})]:
        with pytest.raises(ValueError, match=next(iter(wrong))):
            make(**wrong)


def test_progress_is_reported(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "hinaug.generators.entities.wgan.track", lambda items, what: seen.append(what) or items
    )
    WGAN(steps=2, autoencoder=Autoencoder(epochs=1)).fit(planted(10, 8, rng=0), rng=0)
    assert seen == ["training the GAN"]


@pytest.mark.parametrize("name", TINY)
def test_training_calls_back_and_says_when_it_diverges(name):
    hin, seen = planted(30, 20, rng=0), []
    generator = TINY[name].clone()
    with generator.training(callbacks=[lambda epoch: seen.append(epoch.losses["loss"])]):
        generator.fit(hin, rng=0)
    np.testing.assert_array_equal(seen, generator.history_["autoencoder"])
    generator.autoencoder.lr = 1e30
    with pytest.raises(DivergenceError, match="lower lr"):
        generator.fit(hin, rng=0)


def test_the_network_sees_what_the_saved_weights_see():
    """Posterior, logits and columns by numpy are those of the network in torch."""
    rng, random = np.random.default_rng(0), torch.Generator().manual_seed(0)
    links = sp.random_array((6, 9), density=0.4, rng=0).tocsr().astype(np.float32)
    columns = rng.normal(size=(6, 5)).astype(np.float32)
    blocks = [("categorical", 3), ("vector", 2)]
    network = MultVAENetwork(9, 5, 8, 2, random, blocks)
    auto = Autoencoder(latent=2, hidden=8)
    auto.weights_ = {n: p.detach().numpy() for n, p in network.state_dict().items()}
    auto.offsets_, auto.temperature_ = np.arange(9, dtype=np.float32), 0.5
    mean, spread = auto.posterior(links, columns)
    unit = torch.nn.functional.normalize(torch.from_numpy(columns))
    with torch.no_grad():
        expected, log_variance = network.encode(SparseMatrix(unit_rows(links)), unit)
        hidden = network.decode(expected)
        logits, decoded = network.logits(hidden), network.column_head(hidden)
    np.testing.assert_allclose(mean, expected, atol=1e-5)
    np.testing.assert_allclose(spread, (log_variance / 2).exp(), atol=1e-5)
    np.testing.assert_allclose(auto.logits(mean), logits.numpy() / 0.5 + np.arange(9), atol=1e-4)
    np.testing.assert_allclose(auto.attributes(mean), decoded, atol=1e-5)


# ---- parts ---------------------------------------------------------------------------------------


def test_columns_come_back_as_they_went_in():
    n = 60
    rng = np.random.default_rng(0)
    table = pa.table({
        "whole": pa.array(rng.integers(18, 60, n), mask=rng.random(n) < 0.2),
        "real": pa.array(rng.normal(size=n)),
        "flag": pa.array([True, False, None] * 20),
        "word": pa.array(["a", "b", "b"] * 20).dictionary_encode(),
        "free": pa.array([f"text {i}" for i in range(n)]),
        "v": pa.FixedSizeListArray.from_arrays(pa.array(rng.normal(size=2 * n), pa.float32()), 2),
    })  # fmt: skip
    columns = TableEncoder().fit(table)
    rows = columns.encode(table)
    back = columns.decode(rows)
    assert rows.shape[1] == sum(width for _, width in columns.blocks)
    assert set(back) == {"whole", "real", "flag", "word", "v"}
    for name in ("whole", "flag", "word"):
        assert back[name].equals(table[name].chunk(0)), name
    np.testing.assert_allclose(back["real"], table["real"].chunk(0), atol=0.1)
    np.testing.assert_allclose(back["v"].values, table["v"].chunk(0).values, atol=1e-5)


def test_margins_are_put_right_and_dependence_is_kept():
    rng = np.random.default_rng(0)
    real = np.concatenate(
        [rng.normal(size=(500, 1)), np.eye(3)[rng.choice(3, 500, p=[0.7, 0.2, 0.1])]], axis=1
    )
    z = rng.normal(size=(2000, 1))
    made = np.concatenate(
        [2 * z + 5, 3 * z, 0 * z, -3 * z], axis=1
    )  # high numbers go with the first category
    margins = MarginalCalibrator([("continuous", 1), ("categorical", 3)]).fit(real, made)
    out = margins.matched(margins.draw(made, rng))
    np.testing.assert_allclose(out[:, 1:].mean(0), real[:, 1:].mean(0), atol=0.03)
    np.testing.assert_allclose(np.quantile(out[:, 0], [0.1, 0.5, 0.9]), [-1.28, 0, 1.28], atol=0.05)
    assert out[out[:, 1] == 1, 0].mean() > out[out[:, 3] == 1, 0].mean() + 1


def test_inclusion_is_what_the_draw_does_and_offsets_meet_popularity():
    rng = np.random.default_rng(0)
    logits, n = rng.normal(size=(1, 12)) * 1.5, np.array([4])
    row, column = gumbel_top(np.repeat(logits, 20_000, axis=0), np.repeat(n, 20_000), rng)
    assert (np.bincount(row) == 4).all()
    np.testing.assert_allclose(
        np.bincount(column, minlength=12) / 20_000, inclusion(logits, n)[0], atol=0.03
    )
    many, n = rng.normal(size=(300, 30)), rng.integers(1, 10, 300)
    counts = np.r_[0, rng.integers(1, 60, 29)]
    offsets = popularity_offsets(lambda block: many[block], n, counts)
    expected = inclusion(many + offsets, n).sum(0)
    np.testing.assert_allclose(expected, counts * n.sum() / counts.sum(), rtol=0.1, atol=0.5)
