import math

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from raising import raises
from torch.autograd import gradcheck
from torch.nn import functional as F

from hinaug.nn import (
    bpr_loss,
    gradient_penalty,
    softmax_loss,
    wasserstein_critic_loss,
    wasserstein_generator_loss,
)


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_bpr_is_the_naive_loop():
    pos, neg, weight = (
        randn(5),
        randn(5, 3, seed=1),
        torch.tensor([1.0, 0.0, 2.0, 0.5, 1.5], dtype=torch.float64),
    )
    total = mass = 0.0
    for p, row, w in zip(pos.tolist(), neg.tolist(), weight.tolist(), strict=True):
        total += w * sum(-math.log(1 / (1 + math.exp(-(p - n)))) for n in row) / 3
        mass += w
    assert bpr_loss(pos, neg, weight).item() == pytest.approx(total / mass)
    expected = [
        -math.log(1 / (1 + math.exp(-(p - n))))
        for p, n in zip(pos.tolist(), neg[:, 0].tolist(), strict=True)
    ]
    assert bpr_loss(pos, neg[:, 0]).item() == pytest.approx(sum(expected) / 5)


def test_bpr_does_not_overflow():
    assert bpr_loss(torch.tensor([-1000.0]), torch.tensor([0.0])).item() == 1000
    assert bpr_loss(torch.tensor([1000.0]), torch.tensor([0.0])).item() == 0


def test_bpr_gradcheck():
    assert gradcheck(
        lambda p, n: bpr_loss(p, n, torch.arange(4.0)),
        (randn(4).requires_grad_(), randn(4, 2).requires_grad_()),
    )


def test_bpr_bad_arguments():
    with raises(ValueError, names="bpr_loss"):
        bpr_loss(torch.zeros(2), torch.zeros(3))
    with raises(ValueError, names="sample"):
        bpr_loss(torch.zeros(0), torch.zeros(0))
    with raises(ValueError, names="[3]"):
        bpr_loss(torch.zeros(2), torch.zeros(2), torch.ones(3))
    for bad in ([0.0, 0.0], [2.0, -1.0], [math.nan, 1.0]):
        with raises(ValueError, names="weights"):
            bpr_loss(torch.zeros(2), torch.zeros(2), torch.tensor(bad))


# --- softmax: 6 users (the second and the last have no positive), 5 items, a repeated pair
PAIRS = torch.tensor([[4, 0, 2, 0, 4, 3, 0], [1, 2, 0, 4, 1, 3, 0]])
WEIGHT = torch.tensor([0.5, 1.0, 2.0, 1.0, 0.25, 0.0, 3.0], dtype=torch.float64)


def plain_softmax(users, items, pairs, temperature, weight):
    losses = F.cross_entropy((users @ items.T / temperature)[pairs[0]], pairs[1], reduction="none")
    return (weight * losses).sum() / weight.sum()


@pytest.mark.parametrize("block", [None, 1, 2, 3, 50])
@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_softmax_equals_cross_entropy_in_value_and_gradient(block, temperature):
    results = []
    for loss in (
        lambda u, i: softmax_loss(u, i, PAIRS, temperature, WEIGHT, block),
        lambda u, i: plain_softmax(u, i, PAIRS, temperature, WEIGHT),
    ):
        users, items = randn(6, 3).requires_grad_(), randn(5, 3, seed=1).requires_grad_()
        value = loss(users, items)
        (2 * value).backward()
        results.append((value.detach(), users.grad, items.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_softmax_takes_a_sparse_matrix_whose_values_are_weights():
    users, items = randn(6, 3), randn(5, 3, seed=1)
    coo = sp.coo_array((WEIGHT.numpy(), PAIRS.numpy()), shape=(6, 5))
    torch.testing.assert_close(
        softmax_loss(users, items, coo), softmax_loss(users, items, PAIRS, weight=WEIGHT)
    )
    binary = coo.tocsr().astype(bool)
    binary.eliminate_zeros()
    pairs = torch.from_numpy(np.stack(binary.nonzero()))
    torch.testing.assert_close(
        softmax_loss(users, items, binary), softmax_loss(users, items, pairs)
    )


def test_softmax_gradcheck_and_partial_gradients():
    users, items = randn(6, 3).requires_grad_(), randn(5, 3, seed=1).requires_grad_()
    assert gradcheck(lambda u, i: softmax_loss(u, i, PAIRS, 0.5, WEIGHT, 2), (users, items))
    softmax_loss(users.detach(), items, PAIRS).backward()
    assert users.grad is None
    assert items.grad is not None
    with torch.no_grad():
        assert not softmax_loss(users, items, PAIRS).requires_grad


def test_softmax_of_huge_logits_is_finite():
    users, items = (
        torch.full((1, 1), 1e4, requires_grad=True),
        torch.tensor([[1.0], [-1.0]], requires_grad=True),
    )
    value = softmax_loss(users, items, torch.tensor([[0], [1]]))
    value.backward()
    assert value.item() == 2e4
    assert users.grad.item() == 2
    assert torch.isfinite(items.grad).all()


def test_softmax_bad_arguments():
    users, items = torch.zeros(2, 3), torch.zeros(4, 3)
    with raises(ValueError, names="(2, 4)"):
        softmax_loss(users, items, sp.csr_array((3, 4)))
    with raises(ValueError, names="positives"):
        softmax_loss(users, items, sp.csr_array((2, 4)))
    with raises(ValueError, names="items"):
        softmax_loss(users, items, torch.tensor([[0], [4]]))
    with raises(ValueError, names="temperature"):
        softmax_loss(users, items, PAIRS, 0.0)
    with raises(ValueError, names="weight"):
        softmax_loss(users, items, sp.csr_array(np.eye(2, 4)), weight=torch.ones(2))
    with raises(ValueError, names="[2]"):
        softmax_loss(users, items, torch.tensor([[0], [1]]), weight=torch.ones(2))
    with raises(ValueError, names="users"):
        softmax_loss(users, items, torch.tensor([[0, 1, 2]]))
    with raises(ValueError, names="users"):
        softmax_loss(users, torch.zeros(4, 2), PAIRS)


def test_wasserstein_by_hand():
    real, fake = torch.tensor([3.0, 1.0]), torch.tensor([1.0, 0.0, 2.0])
    assert wasserstein_critic_loss(real, fake).item() == 1 - 2
    assert (
        wasserstein_critic_loss(
            real, fake, torch.tensor([1.0, 3.0]), torch.tensor([0.0, 1.0, 0.0])
        ).item()
        == 0 - 1.5
    )
    assert (
        wasserstein_critic_loss(real[:, None], fake[:, None], torch.tensor([1.0, 3.0])).item()
        == 1 - 1.5
    )
    assert wasserstein_generator_loss(fake).item() == -1
    assert wasserstein_generator_loss(fake, torch.tensor([0.0, 0.0, 1.0])).item() == -2


def test_critic_and_generator_pull_in_opposite_directions():
    fake = torch.zeros(4, requires_grad=True)
    (a,) = torch.autograd.grad(wasserstein_critic_loss(torch.zeros(4), fake), fake)
    (b,) = torch.autograd.grad(wasserstein_generator_loss(fake), fake)
    assert torch.equal(a, -b)


def test_gradient_penalty_by_hand():
    # the gradient of a linear critic is its weight everywhere: |(3, 4)| = 5, (5 - 1)^2 = 16
    w = torch.tensor([3.0, 4.0], requires_grad=True)
    penalty = gradient_penalty(
        lambda x: x @ w, torch.zeros(6, 2), torch.ones(6, 2), torch.Generator().manual_seed(0)
    )
    penalty.backward()
    assert penalty.item() == pytest.approx(16)
    np.testing.assert_allclose(w.grad, 2 * 4 * np.array([3, 4]) / 5, rtol=1e-6)


def test_gradient_penalty_looks_between_real_and_fake_with_its_own_randomness():
    seen = []

    def critic(x):
        seen.append(x.detach())
        return x.square().sum((1, 2))

    state = torch.get_rng_state()
    real, fake = randn(50, 2, 3), randn(50, 2, 3, seed=1)
    values = [
        gradient_penalty(critic, real, fake, torch.Generator().manual_seed(s), torch.ones(50))
        for s in (0, 0, 1)
    ]
    assert values[0] == values[1] != values[2]
    assert torch.equal(torch.get_rng_state(), state)
    share = (seen[0] - fake) / (real - fake)
    assert ((share > 0) & (share < 1)).all()
    torch.testing.assert_close(share, share[:, :1, :1].expand_as(share))  # one a per row
    assert share[:, 0, 0].unique().numel() == 50
    with raises(ValueError, names="real"):
        gradient_penalty(critic, real, fake[:3], torch.Generator())


def test_gradient_penalty_gradcheck():
    x, y, g = randn(3, 2), randn(3, 2, seed=1), torch.Generator()

    def penalty(w):
        return gradient_penalty(lambda z: (z @ w).tanh().sum(1), x, y, g.manual_seed(0))

    assert gradcheck(penalty, randn(2, 4, seed=2).requires_grad_())
