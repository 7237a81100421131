"""Sparse products with a constant matrix, and scores of pairs, whose gradients are sparse products
too.

The kernel is `torch.nn.functional.embedding_bag` (sum mode, one weight per index), which reads a
CSR matrix as it is: a bag is a row. On the CPU it is several times faster in float32 than scipy's
or torch's own CSR product, and gives the same bytes at every run and number of threads. The
backward passes are written by hand and are themselves not differentiable: a second derivative (a
gradient penalty through one of these, say) raises.
"""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag

__all__ = ["SparseMatrix", "pair_dot", "spmm"]


_LARGE = 2**28  # bytes above which the transpose lies in a file


def _product(indptr: Tensor, indices: Tensor, values: Tensor | None, x: Tensor) -> Tensor:
    """CSR [n, m] times dense [m, d], without a gradient; values: None where all are 1."""
    if indices.numel() == 0 or x.shape[1] == 0:
        return x.new_zeros(indptr.numel() - 1, x.shape[1])
    return embedding_bag(
        indices,
        x.contiguous(),
        indptr,
        mode="sum",
        per_sample_weights=values,
        include_last_offset=True,
    )


def _group(index: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Row pointers [size + 1] and the stable order [n] that sorts `index` [n]: the CSR rows of a
    grouping.
    """
    order = index.argsort(stable=True)
    indptr = index.new_zeros(size + 1)
    torch.cumsum(torch.bincount(index, minlength=size), 0, out=indptr[1:])
    return indptr, order


class SparseMatrix(torch.nn.Module):
    """A constant sparse matrix A [n, m], prepared once (CSR of A and of its transpose) and
    multiplied many times.

    Being a module without parameters, it moves with `.to(device)`, changes its values with
    `.to(dtype)`, follows the module that holds it, and leaves nothing in a state dict. Repeated
    entries are summed. Where all values are 1, only the pattern is kept: 8 bytes an entry for A and
    its transpose. Arrays that nothing can write to, such as those of `HIN.adjacency`, are shared,
    and a large transpose lies in a temporary file.

    Args:
        matrix: any scipy sparse matrix or array [n, m], or a sparse tensor of torch.
        dtype: of the values; the dense factor must have the same.

    Example
    -------
    >>> A = SparseMatrix(sp.csr_array(np.array([[0.0, 2.0], [1.0, 0.0], [0.0, 0.0]])))
    >>> spmm(A, torch.ones(2, 4)).shape
    torch.Size([3, 4])
    """

    indptr: Tensor
    indices: Tensor
    values: Tensor
    indptr_t: Tensor
    indices_t: Tensor
    values_t: Tensor

    def __init__(self, matrix: Any, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        a = canonical(matrix)
        self.shape = (int(a.shape[0]), int(a.shape[1]))
        self.is_pattern = is_pattern(a)
        # half the memory traffic; both arrays must have one integer type
        integer = np.dtype(np.int32 if max(a.nnz, *a.shape) < 2**31 else np.int64)
        ones = np.ones(a.nnz, np.int8) if self.is_pattern else a.data
        transposed = sp.csr_array((ones, a.indices, a.indptr), shape=a.shape).tocsc()
        for csr, suffix, share in ((a, "", _tensor), (transposed, "_t", _own_tensor)):
            values = csr.data[:0] if self.is_pattern else csr.data
            self.register_buffer("indptr" + suffix, share(csr.indptr, integer), persistent=False)
            self.register_buffer("indices" + suffix, share(csr.indices, integer), persistent=False)
            self.register_buffer(
                "values" + suffix, torch.tensor(values).to(dtype), persistent=False
            )

    def multiply(self, x: Tensor) -> Tensor:
        """A x [n, d] for x [m, d], outside autograd."""
        self.check(x, self.shape[1])
        values = None if self.is_pattern else self.values
        return _product(self.indptr, self.indices, values, x.detach())

    def multiply_transposed(self, x: Tensor) -> Tensor:
        """A^T x [m, d] for x [n, d], outside autograd."""
        self.check(x, self.shape[0])
        values = None if self.is_pattern else self.values_t
        return _product(self.indptr_t, self.indices_t, values, x.detach())

    def check(self, x: Tensor, rows: int) -> None:
        """ValueError unless x is a dense factor [rows, d] of the number type of the values."""
        if x.ndim != 2 or x.shape[0] != rows:
            raise ValueError(
                f"a matrix of shape {self.shape} needs x of shape [{rows}, d], got {list(x.shape)}"
            )
        if x.dtype != self.values.dtype:
            raise ValueError(
                f"x is {x.dtype} and the matrix {self.values.dtype}; use matrix.to({x.dtype})"
            )

    def extra_repr(self) -> str:
        """What torch writes between the brackets of the repr."""
        return f"shape={self.shape}, entries={self.indices.numel()}"


def canonical(matrix: Any) -> sp.csr_array:
    """A sparse matrix as CSR with repeated entries summed in float64; one that is so already is
    not copied.
    """
    a = sp.csr_array(_of_tensor(matrix) if isinstance(matrix, Tensor) else matrix)
    if a.has_canonical_format:
        return a
    a = sp.csr_array(a, dtype=np.float64, copy=True)
    a.sum_duplicates()
    return a


def _of_tensor(matrix: Tensor) -> sp.coo_array:
    """A sparse tensor [n, m] as scipy has it; ValueError for a dense one, such as an edge_index."""
    if matrix.layout == torch.strided or matrix.ndim != 2:
        raise ValueError(
            f"a dense tensor {list(matrix.shape)} is no sparse matrix; make one of an edge_index "
            "[2, e] by torch.sparse_coo_tensor(edge_index, values, (n, m)), else by x.to_sparse()"
        )
    coo = matrix.detach().cpu().to_sparse_coo().coalesce()
    values = coo.values().to(torch.float64).numpy()
    return sp.coo_array((values, tuple(coo.indices().numpy())), shape=tuple(matrix.shape))


def is_pattern(matrix: sp.csr_array) -> bool:
    """Whether all stored values are 1."""
    return bool((matrix.data == 1).all())


class _View:
    """What numpy takes for an array that may be written to; torch warns of others."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        place = (array.ctypes.data, False)
        self.__array_interface__ = {**array.__array_interface__, "data": place}


def _tensor(array: np.ndarray, dtype: np.dtype) -> Tensor:
    """A tensor that shares the array where nothing can write to it, else holds a copy."""
    if array.dtype != dtype or array.flags.writeable or not len(array):
        return torch.from_numpy(array.astype(dtype))
    return torch.from_numpy(np.asarray(_View(array)))


def _own_tensor(array: np.ndarray, dtype: np.dtype) -> Tensor:
    """A tensor of an array that nobody else has; a large one moves into a file without a name."""
    tensor = torch.from_numpy(array.astype(dtype, copy=False))
    if array.nbytes <= _LARGE:
        return tensor
    with tempfile.NamedTemporaryFile() as file:
        filed = torch.from_file(file.name, shared=True, size=len(array), dtype=tensor.dtype)
        return filed.copy_(tensor)


class _SpMM(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: SparseMatrix, transpose: bool) -> Tensor:
        ctx.matrix, ctx.transpose = matrix, transpose
        return matrix.multiply_transposed(x) if transpose else matrix.multiply(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return (
            ctx.matrix.multiply(grad) if ctx.transpose else ctx.matrix.multiply_transposed(grad),
            None,
            None,
        )


def spmm(matrix: SparseMatrix, x: Tensor, transpose: bool = False) -> Tensor:
    """A x [n, d] for a constant sparse A [n, m] and a dense x [m, d]; the gradient of x is A^T g
    (differentiable once).

    transpose: A^T x [m, d] for x [n, d] instead, from the same matrix.

    Example
    -------
    >>> x = torch.ones(2, 1, requires_grad=True)
    >>> spmm(SparseMatrix(sp.csr_array(np.array([[0.0, 2.0], [1.0, 3.0]]))), x).sum().backward()
    >>> x.grad.T
    tensor([[1., 5.]])
    """
    if not isinstance(matrix, SparseMatrix):
        raise TypeError(
            f"spmm takes a SparseMatrix, got {type(matrix).__name__}; SparseMatrix(matrix) makes "
            "one, once for many products"
        )
    return _SpMM.apply(x, matrix, transpose)


class _PairDot(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, src: Tensor, dst: Tensor, block: int) -> Tensor:
        ctx.save_for_backward(x, y, src, dst)
        out = x.new_empty(src.numel())
        for i in range(0, src.numel(), block):
            s = slice(i, i + block)
            torch.sum(x.index_select(0, src[s]) * y.index_select(0, dst[s]), 1, out=out[s])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        x, y, src, dst = ctx.saved_tensors
        grads: list[Tensor | None] = []
        for needed, rows, columns, size, other in (
            (ctx.needs_input_grad[0], src, dst, x.shape[0], y),
            (ctx.needs_input_grad[1], dst, src, y.shape[0], x),
        ):
            if not needed:
                grads.append(None)
                continue
            indptr, order = _group(rows, size)
            grads.append(_product(indptr, columns[order], grad[order], other))
        return grads[0], grads[1], None, None, None


def pair_dot(x: Tensor, y: Tensor, src: Tensor, dst: Tensor, block: int = 2048) -> Tensor:
    """Scores [n] of n pairs: the inner products <x[src], y[dst]>, for x [a, d], y [b, d] and
    positions src, dst [n].

    Neither pass keeps an [n, d] array: the forward works in blocks of pairs, and the gradient of x
    is C y, with C the sparse [a, b] matrix that holds the gradients of the scores (for y: C^T x).
    This is the inner step of pairwise losses such as BPR. Differentiable once.

    Example
    -------
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> pair_dot(x, x, torch.tensor([0, 1]), torch.tensor([1, 1]))
    tensor([0., 4.])
    """
    if src.ndim != 1 or src.shape != dst.shape:
        raise ValueError(
            f"src and dst must be vectors of one length, got {list(src.shape)} and "
            f"{list(dst.shape)}"
        )
    return _PairDot.apply(x, y, src.long(), dst.long(), block)
