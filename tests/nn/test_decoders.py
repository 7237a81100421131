import pytest
import torch
from raising import raises
from torch.autograd import gradcheck

from hinaug.nn import BilinearDecoder, CosineDecoder, DotDecoder

G = torch.Generator().manual_seed(0)
X, Y = (torch.randn(4, 3, generator=G, dtype=torch.float64) for _ in range(2))


def bilinear(diagonal):
    net = BilinearDecoder(3, relations=2, diagonal=diagonal).double()
    with torch.no_grad():
        net.weight.copy_(torch.randn(net.weight.shape, generator=torch.Generator().manual_seed(1)))
    return net


@pytest.mark.parametrize(
    "decoder",
    [DotDecoder(), CosineDecoder(), CosineDecoder(0.2), bilinear(True), bilinear(False)],
    ids=repr,
)
def test_pairs_are_the_diagonal_of_the_whole(decoder):
    torch.testing.assert_close(decoder.pairs(X, Y), decoder(X, Y).diagonal())
    assert decoder(X, Y[:2]).shape == (4, 2)


def test_dot_and_cosine_by_hand():
    x, y = torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([[1.0, 2.0]])
    assert DotDecoder()(x, y).tolist() == [[11.0], [0.0]]
    torch.testing.assert_close(
        CosineDecoder(0.5)(x, y), torch.tensor([[2 * 11 / (5 * 5**0.5)], [0.0]])
    )
    assert CosineDecoder()(x, 7 * y)[0].item() == pytest.approx(CosineDecoder()(x, y)[0].item())
    with raises(ValueError, names="temperature"):
        CosineDecoder(0)


@pytest.mark.parametrize("diagonal", [True, False])
def test_bilinear_starts_as_the_inner_product_and_needs_no_randomness(diagonal):
    state = torch.get_rng_state()
    net = BilinearDecoder(3, relations=2, diagonal=diagonal).double()
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(net(X, Y, relation=1), X @ Y.T)


@pytest.mark.parametrize("diagonal", [True, False])
def test_bilinear_against_the_formula(diagonal):
    net, relation = bilinear(diagonal), torch.tensor([1, 0, 1, 1])
    w = [torch.diag(m) if diagonal else m for m in net.weight.detach()]
    expected = torch.stack([X[i] @ w[r] @ Y[i] for i, r in enumerate(relation.tolist())])
    torch.testing.assert_close(net.pairs(X, Y, relation).detach(), expected)
    torch.testing.assert_close(
        net.pairs(X, Y, 1).detach(), torch.stack([x @ w[1] @ y for x, y in zip(X, Y, strict=True)])
    )
    torch.testing.assert_close(net(X, Y, 1).detach(), X @ w[1] @ Y.T)
    symmetric = torch.allclose(net(X, Y, 1), net(Y, X, 1).T)
    assert symmetric is diagonal
    assert gradcheck(
        lambda x, y: net.pairs(x, y, relation),
        (X.clone().requires_grad_(), Y.clone().requires_grad_()),
    )
