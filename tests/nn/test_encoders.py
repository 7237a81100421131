import pytest
import torch
from raising import raises
from torch import nn
from torch.autograd import gradcheck

from hinaug.nn import MLP, MixedHead, gumbel_softmax
from hinaug.nn.encoders import dropout, linear


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(autouse=True)
def global_random_state_untouched():
    before = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), before)


def test_linear_has_the_usual_range_and_follows_its_generator():
    a, b, c = linear(100, 50, gen()), linear(100, 50, gen()), linear(100, 50, gen(1))
    assert torch.equal(a.weight, b.weight)
    assert not torch.equal(a.weight, c.weight)
    assert 0.095 < a.weight.abs().max() <= 0.1
    assert a.weight.requires_grad


def test_mlp_layers_in_order():
    net = MLP(8, [16, 12], 4, gen(), activation=nn.Tanh, norm=nn.LayerNorm)
    kinds = [[type(m) for m in block] for block in net.blocks]
    assert kinds == [[nn.Linear, nn.LayerNorm, nn.Tanh]] * 2
    x = torch.randn(5, 8, generator=gen())
    expected = net.last(net.blocks[1](net.blocks[0](x)))
    assert torch.equal(net(x), expected)
    assert net(x).shape == (5, 4)
    lone = MLP(8, [], 4, gen())
    assert torch.equal(lone(x), lone.last(x))


def test_mlp_dropout_takes_a_generator():
    net, x = MLP(4, [64], 3, gen(), dropout=0.5), torch.ones(2, 4)
    with raises(ValueError, names="generator"):
        net(x)
    assert torch.equal(net(x, gen(1)), net(x, gen(1)))
    assert not torch.equal(net(x, gen(1)), net(x, gen(2)))
    net.eval()
    assert torch.equal(net(x), net(x, gen(1)))
    with raises(ValueError, names="dropout"):
        MLP(4, [2], 3, gen(), dropout=1.0)


def test_dropout_keeps_the_mean():
    out = dropout(torch.ones(200, 200), 0.25, gen())
    assert out.unique().tolist() == pytest.approx([0, 4 / 3])
    assert out.mean().item() == pytest.approx(1, abs=0.02)


def test_mlp_gradcheck():
    net = MLP(3, [4], 2, gen(), activation=nn.Tanh).double()
    assert gradcheck(net, torch.randn(2, 3, dtype=torch.float64, generator=gen()).requires_grad_())


def test_hard_gumbel_draws_from_the_softmax():
    p = torch.tensor([0.7, 0.2, 0.1])
    draws = gumbel_softmax(p.log().expand(20000, 3), 0.3, gen(), hard=True)
    assert ((draws == 0) | (draws == 1)).all()
    torch.testing.assert_close(draws.mean(0), p, atol=0.015, rtol=0)


def test_soft_gumbel_sharpens_with_tau_and_shares_its_gradient_with_hard():
    logits = torch.randn(30, 4, generator=gen())
    soft, sharp = gumbel_softmax(logits, 1.0, gen(1)), gumbel_softmax(logits, 0.05, gen(1))
    torch.testing.assert_close(soft.sum(1), torch.ones(30))
    assert sharp.amax(1).mean() > soft.amax(1).mean()
    assert torch.equal(sharp.argmax(1), soft.argmax(1))  # the same noise
    grads = []
    for hard in (False, True):
        x = logits.clone().requires_grad_()
        (gumbel_softmax(x, 0.5, gen(1), hard) * torch.arange(4.0)).sum().backward()
        grads.append(x.grad)
    assert torch.equal(*grads)
    with raises(ValueError, names="tau"):
        gumbel_softmax(logits, 0.0, gen())


def test_mixed_head_blocks():
    head = MixedHead(
        6, [("continuous", 2), ("categorical", 3), ("vector", 4), ("categorical", 2)], gen()
    )
    h = 5 * torch.randn(40, 6, generator=gen(1))
    rows = head(h, gen(2), hard=True)
    number, first, vector, second = head.split(rows)
    assert [b.shape[1] for b in (number, first, vector, second)] == [2, 3, 4, 2]
    for block in (first, second):
        assert (block.sum(1) == 1).all()
        assert ((block == 0) | (block == 1)).all()
    raw = head.split(head.logits(h))
    assert torch.equal(number, raw[0])
    assert torch.equal(vector, raw[2])
    assert vector.abs().max() > 1  # nothing squashes it
    assert torch.equal(rows, head(h, gen(2), hard=True))
    assert not torch.equal(rows, head(h, gen(3), hard=True))
    torch.testing.assert_close(head.split(head(h, gen(2)))[1].sum(1), torch.ones(40))


def test_mixed_head_learns_a_category():
    head, g = MixedHead(2, [("categorical", 3)], gen()), gen(1)
    h, target = torch.eye(2).repeat(20, 1), torch.tensor([2, 0]).repeat(20)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.1)
    for _ in range(60):
        optimiser.zero_grad()
        (1 - head(h, g).gather(1, target[:, None])).mean().backward()
        optimiser.step()
    assert (head.logits(h).argmax(1) == target).all()


def test_mixed_head_refuses_unknown_blocks():
    for block in (("number", 1), ("vector", 0)):
        with raises(ValueError, names="block"):
            MixedHead(2, [block], gen())
