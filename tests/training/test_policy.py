"""Policy gradients: no bias against enumeration, and the optimum of a bandit that is known."""

from itertools import permutations

import numpy as np
import torch

from hinaug.nn.joint_vae import JointVAENetwork
from hinaug.nn.policy import Episodes, NodePolicy
from hinaug.training.policy import PolicyEpochs, Taught, ppo_loss, reinforce_loss

VALUE = torch.tensor([0.3, -1.0, 2.0, 0.5])


def small_policy(most, levels=(), seed=0):
    random = torch.Generator().manual_seed(seed)
    network = JointVAENetwork([4], list(levels), 3, 2, random)
    policy = NodePolicy(network, [0.8], [torch.tensor([0.2, 0.0, -0.3, 0.1])], [most], random)
    with torch.no_grad():
        policy.slope.fill_(0.7)
        for p in (policy.so_far[0], policy.stop):
            p.normal_(generator=random)
    return policy, random


def every_episode(codes):
    """All ways to take one or two of four items, for one node of one column."""
    ways = [w for n in (1, 2) for w in permutations(range(4), n)]
    out = []
    for code in range(codes):
        for way in ways:
            out.append((code, way))
    z = torch.tensor([[0.4, -0.2]]).repeat(len(out), 1)
    row = torch.tensor([i for i, (_, way) in enumerate(out) for _ in way])
    column = torch.tensor([j for _, way in out for j in way])
    degree = torch.full((len(out), 1), 2)
    return Episodes(z, degree, torch.tensor([[code] for code, _ in out]), [row], [column])


def reward(built):
    first = torch.zeros(len(built.z)).index_add_(0, built.row[0], VALUE[built.column[0]])
    return first * (1 + built.codes[:, 0].float()) + built.counts(0).float().square()


def log_p(policy, built):
    steps = policy.steps(built)
    return torch.zeros(len(built.z)).index_add_(0, steps.row, steps.log_prob)


def gradient(policy, loss):
    policy.zero_grad()
    loss.backward()
    wanted = [policy.so_far[0], policy.stop, policy.slope, policy.network.heads[0]]
    wanted += [policy.columns[0].weight]
    return torch.cat([p.grad.flatten() for p in wanted])


def test_the_gradient_has_no_bias_against_enumeration_of_four_items():
    policy, random = small_policy(2, levels=[2])
    all_of_them = every_episode(2)
    p = log_p(policy, all_of_them).exp()
    assert abs(p.sum().item() - 1) < 1e-5
    exact = gradient(policy, -(p * reward(all_of_them)).sum())
    z, degree = all_of_them.z[:1].repeat(200_000, 1), torch.full((200_000, 1), 2)
    built = policy.build(z, degree, random)
    steps = policy.steps(built)
    shares = torch.bincount(built.counts(0), minlength=3) / len(z)
    single = p[[all_of_them.counts(0)[i] == 1 for i in range(len(p))]].sum()
    assert abs((shares[1] - single).item()) < 0.005
    baseline = 3.0
    estimate = gradient(policy, reinforce_loss(steps, steps, reward(built) - baseline))
    np.testing.assert_allclose(estimate, exact, atol=0.02)
    assert exact.abs().max() > 0.3
    clipped = gradient(
        policy, ppo_loss(policy.steps(built), detached(steps), reward(built) - 3, 0.2)
    )
    np.testing.assert_allclose(clipped, estimate, atol=1e-4)  # at the first pass they are the same


def detached(steps):
    return type(steps)(steps.row, steps.log_prob.detach(), steps.entropy.detach())


def bandit(algorithm, floor=0.0, shuffled=False):
    """One link each; item 2 pays most."""
    policy, random = small_policy(1)
    taught = Taught(policy, 2, 1, random)

    def sources(n):
        return torch.zeros(n, 2), torch.ones(n, 1, dtype=torch.int64)

    def pays(built):
        return {"pays": VALUE[built.column[0]].numpy()}

    epochs = PolicyEpochs(
        taught, sources, pays, random, 128, 0.05, algorithm, floor=floor, shuffled=shuffled
    )
    history = [epochs(k) for k in range(1, 61)]
    logits = policy._link_logits(0, policy.network.decode(torch.zeros(1, 2)), torch.zeros(1, 3))
    foreseen = taught.baseline(torch.tensor([[0.0, 0.0, float(np.log(2))]])).item()
    return logits.softmax(1)[0].detach(), history, foreseen


def test_the_bandit_is_solved_by_both_and_the_baseline_foresees_its_pay():
    for algorithm in ("reinforce", "ppo"):
        p, history, foreseen = bandit(algorithm)
        assert p[2] > 0.95
        assert history[-1]["reward"] > 1.8 > history[0]["reward"]
        assert abs(foreseen - 2.0) < 0.4


def test_a_floor_keeps_entropy_and_shuffled_rewards_teach_nothing():
    p, history, _ = bandit("ppo", floor=0.8)
    assert -(p * p.log()).sum() > 0.7 * history[0]["entropy"]
    assert p.argmax() == 2
    _, shuffled, _ = bandit("ppo", floor=0.95, shuffled=True)
    rewards = [losses["reward"] for losses in shuffled]
    assert np.mean(rewards[-20:]) < np.mean(rewards[:5]) + 0.4


def test_untaught_links_are_those_of_gumbel_top_n():
    random = torch.Generator().manual_seed(0)
    policy = NodePolicy(JointVAENetwork([4], [], 3, 2, random), [1.0], [VALUE], [4], random)
    n = 20_000
    built = policy.build(torch.zeros(n, 2), torch.full((n, 1), 2), random)
    two = torch.zeros(n, 4).index_put_((built.row[0], built.column[0]), torch.ones(()))
    two = two[built.counts(0) == 2]
    assert len(two) > 0.9 * n
    logits = policy._link_logits(0, policy.network.decode(torch.zeros(1, 2)), torch.zeros(1, 3))
    keys = logits - torch.empty(n, 4).exponential_(generator=random).log()
    race = torch.zeros(n, 4).scatter_(1, keys.topk(2, 1).indices, 1.0)
    np.testing.assert_allclose(two.mean(0), race.mean(0), atol=0.015)
