"""Draws that a gradient passes through, and critics with a bounded slope."""

import numpy as np
import torch

from hinaug.nn.critic import NodeCritic, SpectralLinear, gumbel_top


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def test_draws_are_those_of_plackett_luce():
    logits = torch.tensor([0.0, 1.0, -1.0]).repeat(20_000, 1)
    two = torch.full((20_000,), 2)
    drawn = gumbel_top(logits, two, 1.0, random())
    assert torch.equal(drawn.sum(1), two.float())
    p = logits[0].softmax(0).double()
    first = p[:, None] * p / (1 - p)[:, None]  # i first, then j
    pairs = first + first.T
    wanted = [float(pairs[i, [j for j in range(3) if j != i]].sum()) for i in range(3)]
    np.testing.assert_allclose(drawn.mean(0), wanted, atol=0.01)


def test_counts_hold_with_none_all_and_targets_that_are_never_drawn():
    logits = torch.zeros(4, 3)
    logits[3, 0] = -torch.inf
    drawn = gumbel_top(logits, torch.tensor([0, 3, 1, 2]), 0.5, random())
    assert drawn.sum(1).tolist() == [0, 3, 1, 2]
    assert drawn[3].tolist() == [0, 1, 1]
    assert gumbel_top(torch.zeros(2, 3), torch.tensor([0, 0]), 1.0, random()).sum() == 0


def test_the_gradient_raises_what_is_wanted_and_never_all_at_once():
    logits = torch.zeros(50, 6, requires_grad=True)
    wanted = torch.tensor([1.0, 0, 0, 0, 0, 0])
    (gumbel_top(logits, torch.full((50,), 2), 1.0, random()) * wanted).sum().backward()
    gradient = logits.grad
    assert gradient[:, 0].mean() > 0 > gradient[:, 1:].mean()
    np.testing.assert_allclose(gradient.sum(1), 0, atol=1e-5)


def test_slopes_are_bounded_and_packs_are_seen_whole():
    layer = SpectralLinear(6, 5, random())
    for _ in range(100):
        layer(torch.zeros(1, 6))
    assert abs(float(torch.linalg.matrix_norm(layer.scaled_weight().detach(), 2)) - 1) < 1e-3
    before = layer.left.clone()
    layer.eval()(torch.zeros(1, 6))
    assert torch.equal(before, layer.left)
    critic = NodeCritic([4], [2.0], [3], 8, 2, random()).eval()
    x = torch.rand(1, 14, generator=random())
    same = torch.cat([x[:, :7], x[:, :7]], 1)
    assert critic(x) != critic(same)
