"""JointVAE: judged by the nodes it makes, and by what it takes."""

import doctest
import importlib
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from raising import raises
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

from hinaug.datasets import planted, planted_mixed
from hinaug.datasets.planted import RATES
from hinaug.errors import DivergenceError, ParameterError
from hinaug.generators import JointGAN, JointVAE
from hinaug.testing import check_entity_generator

TINY = {"epochs": 2, "latent": 4, "hidden": 8}


@pytest.fixture(scope="module")
def world():
    return planted(400, 120, thin=0.3, missing=0.1, rng=0, return_truth=True)


@pytest.fixture(scope="module")
def fitted(world):
    return JointVAE("user").fit(world[0], rng=0)


def test_made_users_are_like_real_ones_and_no_copies(world, fitted):
    hin, truth = world
    real, topic = hin.adjacency(RATES).toarray(), truth["item_topic"]
    delta = fitted.generate(hin, 1.0, rng=1)
    made, table, *_ = rows(hin, delta)
    assert (hin + delta) - delta == hin
    job, jobs = hin.column("user", "job").to_pylist(), table["job"].to_pylist()
    told = mutual_information(jobs, main_topic(made, topic))
    wanted = mutual_information(job, main_topic(real, topic))
    assert degree_distance(real, made) == 0
    assert popularity_correlation(real, made) > 0.9
    assert total_variation(job, jobs) < 0.05
    assert told > 0.7 * wanted
    assert copies(real, made) == 0
    assert np.mean([auc(real, made, seed) for seed in range(3)]) < 0.65


def test_ages_and_ratings_follow_topics(world, fitted):
    hin, truth = world
    delta = fitted.generate(hin, 1.0, rng=2)
    made, table, at, to = rows(hin, delta)
    topic, age = main_topic(made, truth["item_topic"]), table["age"].to_pandas().to_numpy(float)
    means = [np.nanmean(age[topic == t]) for t in range(4)]
    assert all(b > a + 3 for a, b in pairwise(means))  # planted: 22, 32, 42, 52
    assert abs(table["age"].null_count - 40) < 15
    rating = delta.edges[RATES]["rating"].to_numpy()
    own = truth["item_topic"][to] == topic[at]
    gap = rating[own].mean() - rating[~own].mean()
    src, dst = hin.links(RATES)
    real = hin.column(RATES, "rating").to_numpy()
    mine = main_topic(hin.adjacency(RATES).toarray(), truth["item_topic"])[src]
    within = truth["item_topic"][dst] == mine
    assert gap > 0.5 * (real[within].mean() - real[~within].mean())
    assert abs(rating.mean() - hin.column(RATES, "rating").to_numpy().mean()) < 0.3


def test_neighbours_keep_the_history_and_add_to_it(world, fitted):
    hin, _ = world
    real = hin.adjacency(RATES).toarray()
    who = np.flatnonzero(real.sum(1) == 3)[:10]
    delta = fitted.neighbours(hin, hin.ids("user", who), k=3, rng=0)
    made, *_ = rows(hin, delta)
    assert len(made) == 30
    source = real[np.tile(who, 3)]
    assert ((made - source) >= 0).all()
    assert made.sum(1).min() > 3
    none = fitted.neighbours(hin, hin.ids("user", who), k=3, keep=0.0, rng=0)
    assert (rows(hin, none)[0] * source).sum() < source.sum()
    ratings = {(r["src"], r["dst"]): r["rating"] for r in delta.edges[RATES].to_pylist()}
    ids = delta.nodes["user"]["id"].to_pylist()
    known = hin.adjacency(RATES, "rating").toarray()
    for k, user in enumerate(np.tile(who, 3)):
        for item in np.flatnonzero(real[user]):
            assert ratings[ids[k], hin.ids("item", [item])[0].as_py()] == known[user, item]


def test_the_contract_with_few_steps_and_with_a_sampled_softmax():
    check_entity_generator(JointVAE("user", candidates=8, **TINY))


@pytest.mark.parametrize("make", [JointVAE, partial(JointGAN, steps=3)])
def test_relations_of_many_and_of_few_targets_are_learned_together(make):
    hin = planted_mixed(100, 30, 10, rng=0)  # 30 items, 100 users at each end of follows
    model = make("user", candidates=20, **TINY).fit(hin, rng=0)
    assert sorted(m > 2 * 20 for m in model.sizes_) == [False, True, True]
    assert model.generate(hin, 5, rng=0).nodes["user"].num_rows == 5


def test_no_global_state_is_changed_and_training_reports():
    hin, seen = planted(30, 20, rng=0), []
    before = torch.random.get_rng_state(), torch.get_num_threads()
    model = JointVAE("user", **TINY)
    with model.training(callbacks=[lambda epoch: seen.append(epoch.losses["loss"])]):
        model.fit(hin, rng=0)
    np.testing.assert_array_equal(seen, model.history_)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert before[1] == torch.get_num_threads()
    with pytest.raises(DivergenceError):
        model.clone(lr=1e30).fit(hin, rng=0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"latent": 0},
        {"dropout": 1.0},
        {"temperature": -1.0},
        {"attributes": "x"},
        {"keep": 2},
        {"between": -1},
    ],
)
def test_bad_parameters(wrong):
    with pytest.raises(ParameterError):
        JointVAE(**wrong)


@pytest.mark.parametrize("module", ["joint_vae", "moments"])
def test_the_examples_run(module):
    result = doctest.testmod(importlib.import_module(f"hinaug.generators.entities.{module}"))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("k", [1.5, -1, "2", True])
def test_a_count_of_neighbours_is_a_whole_number(world, fitted, k):
    with raises(ParameterError, asked=k):
        fitted.neighbours(world[0], world[0].ids("user", [0]), k=k, rng=0)
