import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from raising import raises
from torch.autograd import gradcheck

from hinaug.nn import SparseMatrix, pair_dot, spmm


def random_csr(n, m, density, seed=0):
    return sp.random_array((n, m), density=density, rng=np.random.default_rng(seed), format="csr")


def randn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_spmm_and_its_gradient_equal_the_dense_product(dtype, tolerance):
    a = random_csr(7, 5, 0.4)
    x, g = randn(5, 3, dtype=dtype).requires_grad_(), randn(7, 3, seed=1, dtype=dtype)
    out = spmm(SparseMatrix(a, dtype), x)
    out.backward(g)
    np.testing.assert_allclose(out.detach(), a.toarray() @ x.detach().numpy(), atol=tolerance)
    np.testing.assert_allclose(x.grad, a.toarray().T @ g.numpy(), atol=tolerance)


def test_spmm_gradcheck():
    a = SparseMatrix(random_csr(6, 4, 0.5), torch.float64)
    assert gradcheck(lambda x: spmm(a, x), randn(4, 3).requires_grad_())
    assert gradcheck(lambda x: spmm(a, x, transpose=True), randn(6, 3).requires_grad_())


def test_spmm_of_the_transpose():
    a, x = random_csr(6, 4, 0.5), randn(6, 3)
    np.testing.assert_allclose(
        spmm(SparseMatrix(a, torch.float64), x, transpose=True), a.toarray().T @ x.numpy()
    )


def test_empty_rows_columns_and_matrices():
    a = sp.csr_array(
        (np.array([2.0]), (np.array([1]), np.array([0]))), shape=(4, 3)
    )  # empty first and last rows
    x = torch.ones(3, 2, requires_grad=True)
    out = spmm(SparseMatrix(a), x)
    out.sum().backward()  # an expanded, non-contiguous gradient
    assert out.tolist() == [[0, 0], [2, 2], [0, 0], [0, 0]]
    assert x.grad.tolist() == [[2, 2], [0, 0], [0, 0]]
    for shape in ((4, 3), (0, 3), (4, 0), (0, 0)):
        x = torch.ones(shape[1], 2, requires_grad=True)
        out = spmm(SparseMatrix(sp.csr_array(shape)), x)
        out.sum().backward()
        assert out.shape == (shape[0], 2)
        assert not out.any()
        assert not x.grad.any()


def test_repeated_entries_are_summed_and_the_source_is_left_alone():
    a = sp.coo_array((np.ones(3, np.float32), ([0, 0, 1], [1, 1, 0])), shape=(2, 2)).tocsr()
    raw = sp.csr_array((np.ones(3), np.array([1, 1, 0]), np.array([0, 2, 3])), shape=(2, 2))
    assert spmm(SparseMatrix(a), torch.ones(2, 1)).tolist() == [[2.0], [1.0]]
    assert spmm(SparseMatrix(raw), torch.ones(2, 1)).tolist() == [[2.0], [1.0]]
    assert raw.nnz == 3


def test_errors_say_what_is_needed():
    a = SparseMatrix(random_csr(4, 3, 0.5))
    with raises(ValueError, names="[3, d]"):
        spmm(a, torch.ones(4, 2))
    with raises(ValueError, names="torch.float64"):
        spmm(a, torch.ones(3, 2, dtype=torch.float64))
    assert spmm(a.to(torch.float64), torch.ones(3, 2, dtype=torch.float64)).dtype == torch.float64
    with raises(ValueError, names="got [2] and [1]"):
        pair_dot(torch.ones(2, 2), torch.ones(2, 2), torch.tensor([0, 1]), torch.tensor([0]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_sparse_tensor_is_a_matrix_and_an_edge_index_is_none(dtype):
    at, values = torch.tensor([[0, 2, 2, 0], [1, 0, 1, 1]]), torch.tensor([1.0, 2, 3, 4])
    coo = torch.sparse_coo_tensor(at, values.to(dtype), (4, 3), check_invariants=True)
    x = torch.arange(6.0).reshape(3, 2)
    expected = coo.to(torch.float32).to_dense() @ x
    assert torch.equal(spmm(SparseMatrix(coo), x), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its CSR a beta
        assert torch.equal(spmm(SparseMatrix(coo.to_sparse_csr()), x), expected)
    for dense in (at, at[:, :2], coo.to_dense()):
        with raises(ValueError, names="edge_index"):
            SparseMatrix(dense)
        with raises(TypeError, names="SparseMatrix"):
            spmm(dense, x)


def test_a_prepared_matrix_is_no_weight():
    a = SparseMatrix(random_csr(4, 3, 0.5))
    assert not a.state_dict()
    assert not list(a.parameters())


def test_second_derivative_raises():
    a = SparseMatrix(random_csr(4, 3, 0.9), torch.float64)
    x = randn(3, 2).requires_grad_()
    (g,) = torch.autograd.grad(spmm(a, x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.sum().backward()


@pytest.mark.parametrize("block", [1, 3, 100])
def test_pair_dot_equals_gathered_products(block):
    src, dst = (
        torch.tensor([3, 0, 3, 3, 1, 0]),
        torch.tensor([1, 1, 1, 0, 4, 2]),
    )  # pairs repeat, out of order
    g = randn(6, seed=2)
    grads = []
    for score in (
        lambda x, y: pair_dot(x, y, src, dst, block),
        lambda x, y: (x[src] * y[dst]).sum(1),
    ):
        x, y = randn(4, 3).requires_grad_(), randn(5, 3, seed=1).requires_grad_()
        out = score(x, y)
        out.backward(g)
        grads.append((out.detach(), x.grad, y.grad))
    for fast, plain in zip(*grads, strict=True):
        torch.testing.assert_close(fast, plain)


def test_pair_dot_gradcheck_and_partial_gradients():
    src, dst = torch.tensor([3, 0, 3], dtype=torch.int32), torch.tensor([1, 1, 1])
    x, y = randn(4, 3).requires_grad_(), randn(5, 3, seed=1).requires_grad_()
    assert gradcheck(lambda x, y: pair_dot(x, y, src, dst), (x, y))
    pair_dot(x, y.detach(), src, dst).sum().backward()
    assert x.grad is not None
    assert y.grad is None
    assert pair_dot(x, y, src[:0], dst[:0]).shape == (0,)
    pair_dot(x, y, src[:0], dst[:0]).sum().backward()
    assert not y.grad.any()


def test_a_pattern_keeps_no_values_and_shares_what_nothing_writes_to():
    a = random_csr(40, 30, 0.3).astype(np.float32)
    a.data[:] = 1
    a.indices, a.indptr = a.indices.astype(np.int32), a.indptr.astype(np.int32)
    a.sum_duplicates()
    own = SparseMatrix(a)
    assert not np.shares_memory(own.indices.numpy(), a.indices)  # it may be written to
    for part in (a.data, a.indices, a.indptr):
        part.flags.writeable = False
    matrix = SparseMatrix(a)
    assert np.shares_memory(matrix.indices.numpy(), a.indices)
    size = sum(buffer.nbytes for buffer in matrix.buffers())
    assert size == 8 * a.nnz + 4 * (40 + 1 + 30 + 1)
    x = torch.randn(30, 5)
    np.testing.assert_allclose(matrix.multiply(x), a @ x.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(own.multiply(x), matrix.multiply(x))
    y = torch.randn(40, 5)
    np.testing.assert_allclose(matrix.multiply_transposed(y), a.T @ y.numpy(), atol=1e-5)


def test_a_large_transpose_lies_in_a_file(monkeypatch):
    monkeypatch.setattr("hinaug.nn.sparse._LARGE", 0)
    a = random_csr(40, 30, 0.3)
    y = torch.randn(40, 5, dtype=torch.float64)
    for values in (a.data, np.ones(a.nnz)):
        a = sp.csr_array((values, a.indices, a.indptr), shape=a.shape)
        out = SparseMatrix(a, torch.float64).multiply_transposed(y)
        np.testing.assert_allclose(out, a.T @ y.numpy(), atol=1e-12)
