"""RLGAN: paid by train alone, beside its control, and seen through when it hacks the reward."""

import doctest

import numpy as np
import pytest
import torch

from hinaug.datasets import planted
from hinaug.datasets.planted import RATES
from hinaug.errors import NotFittedError, ParameterError
from hinaug.generators import RLGAN, JointVAE
from hinaug.generators.entities import rl_gan
from hinaug.generators.entities.reward import NodeReward, ranking_gradient
from hinaug.nn.critic import NodeCritic
from hinaug.nn.policy import Episodes
from hinaug.split import random_split
from hinaug.testing import check_entity_generator, check_whole_nodes

TINY = {"epochs": 2, "latent": 4, "hidden": 8}
RL = {"steps": 2, "episodes": 16, **TINY}


@pytest.fixture(scope="module")
def hin():
    return planted(200, 40, rng=0)


@pytest.fixture(scope="module")
def vae(hin):
    return JointVAE("user", relations=[RATES], epochs=40, latent=8, hidden=32).fit(hin, rng=0)


@pytest.mark.parametrize("node", ["user", "item"])
def test_the_contract_of_whole_nodes(node):
    check_whole_nodes(RLGAN(node, control=False, **RL))


def test_the_contract_of_generators_of_nodes():
    check_entity_generator(RLGAN("user", attributes="trees", algorithm="reinforce", **RL))


def test_valid_is_never_a_reward(hin):
    split = random_split(hin, RATES, rng=0)
    blind = RLGAN("user", **RL).fit(split.train, rng=0)
    shown = RLGAN("user", **RL).fit(split.train, valid=split.valid, rng=0)
    for name, weights in blind.policy_weights_.items():
        np.testing.assert_array_equal(weights, shown.policy_weights_[name])
    for name, values in blind.reward_history_.items():
        np.testing.assert_array_equal(values, shown.reward_history_[name])


def test_utility_pays_and_shuffled_rewards_do_not(hin, vae):
    made = RLGAN.fine_tuned(
        vae,
        hin,
        rng=0,
        steps=40,
        episodes=64,
        policy_lr=3e-3,
        realism=0.0,
        novelty=0.0,
        copying=0.0,
    )

    def rise(history):
        return history["reward"][-10:].mean() - history["reward"][:5].mean()

    assert rise(made.reward_history_) > 0.4
    assert rise(made.control_history_) < 0.5 * rise(made.reward_history_)
    text = made.report()
    assert "shuffled" in text
    assert "AUC" in text
    again = RLGAN.fine_tuned(vae, hin, rng=0, steps=1, episodes=8, shuffled=True, control=False)
    assert not again.control_history_
    with pytest.raises(NotFittedError):
        RLGAN.fine_tuned(JointVAE("user"), hin)


def test_a_hacked_reward_is_named():
    model = RLGAN("user")
    zeros = {name: np.zeros(20) for name in ("realism", "utility", "novelty", "copying", "entropy")}
    model.reward_history_ = {"reward": np.linspace(0, 1, 20), **zeros}
    model.control_history_ = {}
    model.probe_ = {"untaught": 0.55, "taught": 0.7}
    assert model.hacked
    assert "hacked" in model.report()
    model.probe_ = {"untaught": 0.55, "taught": 0.56}
    assert not model.hacked
    model.reward_history_ = {"reward": np.linspace(1, 0, 20), **zeros}
    model.probe_ = {"untaught": 0.55, "taught": 0.7}
    assert not model.hacked


def test_parts_of_the_reward_by_hand(hin, vae):
    real = vae._real(hin)
    links, rng = real.views[0].links, np.random.default_rng(0)
    gradient = ranking_gradient(real, 5.0, 2, rng)
    np.testing.assert_allclose(gradient, gradient.T, atol=1e-6)
    rows = [np.flatnonzero(links[[3]].toarray()[0]), np.array([0, 1, 2])]
    n = [len(r) for r in rows]
    built = Episodes(
        torch.zeros(2, 8),
        torch.tensor(n)[:, None],
        torch.zeros(2, 0, dtype=torch.int64),
        [torch.from_numpy(np.repeat([0, 1], n))],
        [torch.from_numpy(np.concatenate(rows).astype(np.int64))],
    )
    critic = NodeCritic([40], [5.0], [], 8, 1, torch.Generator().manual_seed(0))
    weights = dict.fromkeys(("realism", "utility", "novelty", "copying"), 1.0)
    reward = NodeReward(real, links, gradient, critic, [], weights, rng, 1, 1e-3)
    found = reward.measured(built)
    share = real.views[0].counts / real.views[0].counts.sum()
    for i, row in enumerate(rows):
        y = np.zeros(40)
        y[row] = 1
        assert found["utility"][i] == pytest.approx(y @ gradient @ y, rel=1e-4, abs=1e-9)
        assert found["novelty"][i] == pytest.approx(-np.log(share[row]).mean(), rel=1e-6)
        assert found["copying"][i] == pytest.approx((links @ y).max() / len(row))
    assert found["copying"][0] == 1


@pytest.mark.parametrize(
    "wrong", [{"algorithm": "x"}, {"steps": 0}, {"folds": 1}, {"floor": 2.0}, {"policy_lr": 0.0}]
)
def test_wrong_hyperparameters_are_named(wrong):
    with pytest.raises(ParameterError):
        RLGAN("user", **wrong)


def test_the_examples_run():
    assert doctest.testmod(rl_gan).failed == 0
