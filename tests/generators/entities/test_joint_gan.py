"""JointGAN and CFGAN: they learn from a critic alone, and the critic learns with correct labels."""

import doctest
import importlib

import numpy as np
import pytest
import torch

from hinaug.datasets import planted, planted_mixed
from hinaug.datasets.planted import RATES
from hinaug.errors import NotFittedError, ParameterError
from hinaug.generators import CFGAN, JointGAN, JointVAE
from hinaug.generators.entities.links import Coherence
from hinaug.testing import check_entity_generator, check_whole_nodes
from hinaug.training.joint_gan import Adversaries, JointGANEpochs

TINY = {"epochs": 2, "latent": 4, "hidden": 8}
GAN = {"steps": 20, **TINY}


@pytest.fixture(scope="module")
def hin():
    return planted(300, 40, rng=0)


@pytest.mark.parametrize(
    "generator",
    [
        JointGAN("user", **GAN),
        JointGAN("user", start="nothing", critic_loss="wasserstein", attributes="trees", **GAN),
        CFGAN("item", epochs=2, hidden=8),
    ],
    ids=["hinge", "nothing", "cfgan"],
)
def test_the_contract_of_whole_nodes(generator):
    check_whole_nodes(generator)


def test_the_contract_of_generators_of_nodes():
    check_entity_generator(JointGAN("user", **GAN))
    check_entity_generator(CFGAN("user", epochs=2, hidden=8))


def coherence(hin, generator):
    both = hin + generator.generate(hin, 300, rng=1)
    real = hin.adjacency(RATES)
    return Coherence(real)(both.adjacency(RATES)[hin.n("user") :])


@pytest.mark.parametrize("loss", ["hinge", "wasserstein"])
def test_from_nothing_the_critic_alone_teaches_what_goes_together(hin, loss):
    gan = JointGAN(
        "user",
        relations=[RATES],
        hidden=32,
        latent=8,
        start="nothing",
        lr=3e-3,
        critic_lr=4e-3,
        critic_loss=loss,
        attributes="trees",
        temperature=1.0,
        steps=300,
    )
    untaught = coherence(hin, gan.clone(steps=20, adversarial=0.0).fit(hin, rng=0))
    taught = coherence(hin, gan.fit(hin, rng=0))
    real = Coherence(hin.adjacency(RATES))(hin.adjacency(RATES))
    assert taught - untaught > 0.5 * (real - untaught)


def test_a_gan_goes_on_from_an_autoencoder_and_leaves_it_alone(hin):
    vae = JointVAE("user", **TINY).fit(hin, rng=0)
    before = {name: w.copy() for name, w in vae.weights_.items()}
    plain, first, second = (
        JointGAN.fine_tuned(vae, hin, rng=0, steps=20, adversarial=a) for a in (0.0, 0.5, 0.5)
    )
    for name, weights in before.items():
        np.testing.assert_array_equal(vae.weights_[name], weights)
        np.testing.assert_array_equal(first.weights_[name], second.weights_[name])
    assert any((plain.weights_[n] != first.weights_[n]).any() for n in before)
    assert first.generate(hin, 5, rng=0) == second.generate(hin, 5, rng=0)
    assert not plain.adversarial_history_["gap"].any()
    with pytest.raises(NotFittedError):
        JointGAN.fine_tuned(JointVAE("user"), hin)


def test_the_critic_is_right_and_its_step_leaves_the_generator(hin):
    gan = JointGAN("user", **GAN).fit(hin, rng=0)
    real, rng, random = gan._real(hin), np.random.default_rng(0), torch.Generator().manual_seed(0)
    both = Adversaries(gan._trained(), gan._network(random), critic_of(gan, random))
    likelihood = gan._likelihood(both.generator, real, rng, random, 1)
    shifts = [np.zeros_like(o) for o in gan.offsets_]  # far from real popularity
    steps = JointGANEpochs(
        both, likelihood, [1.0] * len(shifts), shifts, 0.5, 1.0, False, 0.0, 1, 1e-3, 4e-3, 1.0, 0.9
    )
    for _ in range(60):
        _, gap = steps._critic_step()
    assert gap > 0.5  # real above generated
    assert all(p.grad is None for p in both.generator.parameters())
    before = [p.clone() for p in both.critic.parameters()]
    steps._generator_step()
    assert all(torch.equal(p, q) for p, q in zip(both.critic.parameters(), before, strict=True))
    assert all(not p.requires_grad for p in both.average.parameters())


def critic_of(gan, random):
    from hinaug.nn.critic import NodeCritic

    return NodeCritic(gan.sizes_, [5.0] * len(gan.sizes_), gan._trained().levels, 16, 4, random)


def test_cfgan_learns_whose_row_it_writes(hin):
    model = CFGAN("user", relations=[RATES], hidden=32).fit(hin, rng=0)
    real = model._real(hin)
    links = real.views[0].links.toarray() > 0
    logits = model._plain_logits(0, model._state(real, np.arange(len(links)), None))
    own = np.mean(
        [row[mine].mean() - row[~mine].mean() for row, mine in zip(logits, links, strict=True)]
    )
    other = np.roll(links, 1, axis=0)
    others = np.mean(
        [row[mine].mean() - row[~mine].mean() for row, mine in zip(logits, other, strict=True)]
    )
    assert own > others + 0.5


@pytest.mark.parametrize(
    "wrong",
    [{"start": "x"}, {"critic_loss": "x"}, {"pack": 0}, {"tau": 0.0}, {"average": 1.0}],
)
def test_wrong_hyperparameters_are_named(wrong):
    with pytest.raises(ParameterError):
        JointGAN("user", **wrong)


def test_wrong_hyperparameters_of_cfgan_are_named():
    for wrong in ({"epochs": 0}, {"temperature": 0.0}):
        with pytest.raises(ParameterError):
            CFGAN("user", **wrong)


@pytest.mark.parametrize("name", ["joint_gan", "cfgan"])
def test_the_examples_run(name):
    module = importlib.import_module(f"hinaug.generators.entities.{name}")
    assert doctest.testmod(module) == (0, doctest.testmod(module).attempted)


def test_neighbours_and_conditions(hin):
    gan = JointGAN("user", **GAN).fit(hin, rng=0)
    delta = gan.neighbours(hin, hin.ids("user", [3, 4]), k=2, rng=0)
    assert delta.nodes["user"].num_rows == 4
    assert delta.nodes["user"]["origin"].to_pylist() == ["JointGAN"] * 4
    mixed = planted_mixed(100, 40, 10, rng=0)
    made = JointGAN("user", **GAN).fit(mixed, rng=0).generate(mixed, 4, condition={"level": [3]})
    assert made.nodes["user"]["level"].to_pylist() == [3] * 4
