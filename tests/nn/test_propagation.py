import numpy as np
import pytest
import scipy.sparse as sp
import torch
from raising import raises
from torch.autograd import gradcheck
from torch_geometric.nn import LGConv

from hinaug.nn import BipartitePropagation, ScaledPropagation

N_USERS, N_ITEMS = 9, 7


def bipartite(weighted, seed=0):
    """Random, with an isolated user (the last) and an isolated item (the first)."""
    rng = np.random.default_rng(seed)
    r = sp.random_array((N_USERS, N_ITEMS), density=0.4, rng=rng, format="lil")
    r[-1, :] = 0
    r[:, 0] = 0
    r = r.tocsr()
    r.data = rng.uniform(0.1, 1.0, r.nnz) if weighted else np.ones(r.nnz)
    return sp.csr_array(r)


def inputs(d=3, dtype=torch.float64):
    g = torch.Generator().manual_seed(0)
    return [
        torch.randn(n, d, generator=g, dtype=dtype).requires_grad_() for n in (N_USERS, N_ITEMS)
    ]


def dense_oracle(r, x, weights):
    a = np.block(
        [[np.zeros((N_USERS, N_USERS)), r.toarray()], [r.toarray().T, np.zeros((N_ITEMS, N_ITEMS))]]
    )
    degree = a.sum(1)
    scale = np.array([d**-0.5 if d > 0 else 0.0 for d in degree])
    a = scale[:, None] * a * scale
    return sum(w * np.linalg.matrix_power(a, layer) @ x for layer, w in enumerate(weights))


def test_by_hand():
    # user 0 has items 0 and 1, user 1 has item 1: degrees 2, 1 | 1, 2
    r = sp.csr_array(np.array([[1.0, 1.0], [0.0, 1.0]]))
    users, items = BipartitePropagation(r, n_layers=1, combine=[0, 1])(
        torch.tensor([[1.0], [2.0]]), torch.tensor([[4.0], [6.0]])
    )
    np.testing.assert_allclose(users, [[4 / 2**0.5 + 6 / 2], [6 / 2**0.5]], rtol=1e-6)
    np.testing.assert_allclose(items, [[1 / 2**0.5], [1 / 2 + 2 / 2**0.5]], rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("layers", "combine"), [(0, "mean"), (3, "mean"), (2, [0.5, 0.0, 0.25])])
def test_equals_the_dense_polynomial(weighted, layers, combine):
    r = bipartite(weighted)
    users, items = inputs()
    out = torch.cat(BipartitePropagation(r, layers, combine, dtype=torch.float64)(users, items))
    weights = [1 / (layers + 1)] * (layers + 1) if combine == "mean" else combine
    np.testing.assert_allclose(
        out.detach(),
        dense_oracle(r, torch.cat([users, items]).detach().numpy(), weights),
        atol=1e-12,
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_pyg_lgconv_in_value_and_gradient(weighted, dtype):
    r = bipartite(weighted).tocoo()
    src, dst = torch.from_numpy(r.row).long(), torch.from_numpy(r.col).long() + N_USERS
    edge_index = torch.stack([torch.cat([src, dst]), torch.cat([dst, src])])
    edge_weight = torch.from_numpy(np.tile(r.data, 2)).to(dtype)

    def pyg(users, items):
        conv, x = LGConv(), torch.cat([users, items])
        layers = [x]
        for _ in range(3):
            layers.append(conv(layers[-1], edge_index, edge_weight))
        return torch.stack(layers).mean(0)

    target = torch.randn(
        N_USERS + N_ITEMS, 3, generator=torch.Generator().manual_seed(1), dtype=dtype
    )
    results = []
    propagate = BipartitePropagation(r, n_layers=3, dtype=dtype)
    for f in (lambda u, i: torch.cat(propagate(u, i)), pyg):
        users, items = inputs(dtype=dtype)
        out = f(users, items)
        (out * target).sum().backward()
        results.append((out.detach(), users.grad, items.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("combine", ["mean", [0.1, 0.0, 0.9]])
def test_gradcheck(combine):
    propagate = BipartitePropagation(
        bipartite(True), n_layers=2, combine=combine, dtype=torch.float64
    )
    assert gradcheck(propagate, inputs(2))
    assert gradcheck(propagate.step, inputs(2))


def test_steps_make_up_the_whole():
    propagate = BipartitePropagation(bipartite(True), n_layers=2, dtype=torch.float64)
    layer = inputs()
    total = [x.clone() for x in layer]
    for _ in range(2):
        layer = propagate.step(*layer)
        total = [t + x for t, x in zip(total, layer, strict=True)]
    for ours, expected in zip(propagate(*inputs()), total, strict=True):
        torch.testing.assert_close(ours, expected / 3)


def test_isolated_nodes_keep_their_share_and_get_no_other_gradient():
    users, items = inputs()
    out_users, out_items = BipartitePropagation(bipartite(False), n_layers=3, dtype=torch.float64)(
        users, items
    )
    torch.testing.assert_close(out_users[-1], users[-1] / 4)
    torch.testing.assert_close(out_items[0], items[0] / 4)
    (out_users.sum() + out_items.sum()).backward()
    torch.testing.assert_close(users.grad[-1], torch.full((3,), 0.25, dtype=torch.float64))


@pytest.mark.parametrize("shape", [(3, 2), (0, 2), (3, 0)])
def test_without_edges(shape):
    users, items = (
        torch.ones(shape[0], 4, requires_grad=True),
        torch.ones(shape[1], 4, requires_grad=True),
    )
    out = BipartitePropagation(sp.csr_array(shape), n_layers=1)(users, items)
    torch.cat(out).sum().backward()
    assert torch.equal(torch.cat(out), torch.full((sum(shape), 4), 0.5))


def test_a_constant_factor_of_the_weights_does_not_matter():
    users, items = inputs()
    one, ten = (
        BipartitePropagation(bipartite(True) * c, dtype=torch.float64)(users, items)[0]
        for c in (1, 10)
    )
    torch.testing.assert_close(one, ten)


def test_same_bytes_at_every_run_and_number_of_threads():
    rng = np.random.default_rng(0)
    r = sp.random_array((600, 500), density=0.05, rng=rng, format="csr")
    g = torch.Generator().manual_seed(0)
    users, items = torch.randn(600, 32, generator=g), torch.randn(500, 32, generator=g)
    threads, seen = torch.get_num_threads(), set()
    try:
        for n in (1, 2, 2):
            torch.set_num_threads(n)
            users_, items_ = users.clone().requires_grad_(), items.clone().requires_grad_()
            out = torch.cat(BipartitePropagation(r)(users_, items_))
            out.square().sum().backward()
            seen.add(
                b"".join(t.detach().numpy().tobytes() for t in (out, users_.grad, items_.grad))
            )
    finally:
        torch.set_num_threads(threads)
    assert len(seen) == 1


def test_input_is_left_alone_and_nothing_is_saved():
    r, (users, items) = bipartite(True), inputs()
    before = r.copy(), users.detach().clone()
    propagate = BipartitePropagation(r, dtype=torch.float64)
    propagate(users, items)
    assert (abs(r - before[0])).sum() == 0
    assert torch.equal(users, before[1])
    assert not propagate.state_dict()
    assert propagate.float()(users.float(), items.float())[0].dtype == torch.float32


def test_bad_arguments():
    r = bipartite(False)
    with raises(ValueError, names="3"):
        BipartitePropagation(r, n_layers=2, combine=[1.0])
    with raises(ValueError, names='"mean"'):
        BipartitePropagation(r, combine="sum")
    with raises(ValueError, names="0"):
        BipartitePropagation(r, n_layers=-1)
    for bad in (-1.0, np.nan):
        with raises(ValueError, names="weights"):
            BipartitePropagation(r * bad)
    with raises(ValueError, names="[7, d]"):
        BipartitePropagation(r)(torch.ones(9, 2), torch.ones(6, 2))


def test_second_derivative_raises():
    users, items = inputs()
    out = (
        BipartitePropagation(bipartite(False), dtype=torch.float64)(users, items)[0].square().sum()
    )
    (grad,) = torch.autograd.grad(out, users, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


# ---- scaled, as in LightGCN++ --------------------------------------------------------------------


def test_scaled_by_hand():
    # user 0 has items 0 and 1, user 1 has item 1: degrees 2, 1 | 1, 2
    r = sp.csr_array(np.array([[1.0, 1.0], [0.0, 1.0]]))
    users, items = torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([[5.0, 0.0], [0.0, 7.0]])
    out = ScaledPropagation(r, n_layers=1, alpha=1.0, beta=-1.0, gamma=0.25)(users, items)
    # lengths 1, each sender times its degree, each sum over the degree of the receiver
    first = [[(1 * 1 + 0) / 2, (0 + 2 * 1) / 2], [0, 2 * 1]]
    second = [[2 * 0.6, 2 * 0.8], [2 * 0.6 / 2, (2 * 0.8 + 1 * 1) / 2]]
    np.testing.assert_allclose(out[0], 0.25 * users.numpy() + 0.75 * np.array(first), rtol=1e-6)
    np.testing.assert_allclose(out[1], 0.25 * items.numpy() + 0.75 * np.array(second), rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_scaled_equals_the_dense_loop(weighted):
    r = bipartite(weighted)
    x = torch.cat(inputs()).detach().numpy()
    found = torch.cat(
        ScaledPropagation(r, 3, 0.6, -0.1, 0.2, dtype=torch.float64)(*inputs())
    ).detach()
    a = np.block(
        [[np.zeros((N_USERS, N_USERS)), r.toarray()], [r.toarray().T, np.zeros((N_ITEMS, N_ITEMS))]]
    )
    degree = a.sum(1)
    layers = [x]
    for _ in range(3):
        new = np.zeros_like(x)
        for i, j in zip(*a.nonzero(), strict=True):
            new[i] += (
                degree[i] ** -0.6
                * a[i, j]
                * degree[j] ** 0.1
                * layers[-1][j]
                / np.linalg.norm(layers[-1][j])
            )
        layers.append(new)
    np.testing.assert_allclose(found, 0.2 * x + 0.8 * np.mean(layers[1:], axis=0), atol=1e-12)


def test_scaled_gradcheck_and_errors():
    propagate = ScaledPropagation(bipartite(True), 2, dtype=torch.float64)
    assert gradcheck(propagate, inputs())
    assert "alpha=0.6" in repr(propagate)
    with raises(ValueError, names="1"):
        ScaledPropagation(bipartite(False), 0)
    with raises(ValueError, names="weights"):
        ScaledPropagation(-bipartite(False))


def test_blocks_of_columns_change_nothing(monkeypatch):
    users, items = inputs(d=7)
    for propagate in (BipartitePropagation(bipartite(w), 3, dtype=torch.float64) for w in (0, 1)):
        whole = propagate(users, items)
        monkeypatch.setattr("hinaug.nn.propagation._COLUMNS", 3)
        for a, b in zip(propagate(users, items), whole, strict=True):
            np.testing.assert_allclose(a.detach(), b.detach(), atol=1e-12)
        monkeypatch.undo()
