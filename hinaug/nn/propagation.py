"""Propagation over a bipartite matrix: LightGCN's, and LightGCN++'s with lengths taken out and
degrees weighed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from hinaug.nn.sparse import SparseMatrix, canonical, is_pattern, spmm

__all__ = ["BipartitePropagation", "ScaledPropagation"]


_COLUMNS = 32  # of the vectors that are propagated at once


class _Propagate(torch.autograd.Function):
    """P x with P = sum_l w_l A^l. A is symmetric, hence P is, and the gradient of x is P g: no
    layer is kept for it.
    """

    @staticmethod
    def forward(
        ctx: Any,
        users: Tensor,
        items: Tensor,
        propagation: BipartitePropagation,
        weights: tuple[float, ...],
    ) -> tuple[Tensor, Tensor]:
        ctx.propagation, ctx.weights = propagation, weights
        return propagation._polynomial(users, items, weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor, None, None]:
        return *ctx.propagation._polynomial(users, items, ctx.weights), None, None


class BipartitePropagation(torch.nn.Module):
    r"""The propagation of LightGCN (He et al., "LightGCN: Simplifying and Powering Graph
    Convolution Network for Recommendation", SIGIR 2020).

    With A = D^{-1/2} [[0, R], [R^T, 0]] D^{-1/2}, where D holds the row sums of the block matrix
    (weighted degrees),

        out = sum_{l=0..L} w_l A^l x.

    Where all weights are 1, only the pattern of R is kept: with z_l = D^{-1/2} x_l each layer is
    z_{l+1} = D^{-1} [[0, R], [R^T, 0]] z_l, and vectors are scaled by degrees before and after. The
    columns of the vectors go through all layers 32 at a time.

    A node without edges receives nothing: it keeps w_0 times its own vector. There are no
    parameters, and no gradient for the edge weights. The backward pass is the same sparse product
    as the forward pass and is differentiable once only.

    Parameters
    ----------
    matrix
        A scipy sparse array R [users, items]; its values are edge weights (say, confidences), ones
        for none. Not negative; repeated entries are summed.
    n_layers
        L, the number of propagation steps.
    combine
        "mean" (every w_l = 1 / (L + 1), as in the paper), or the L + 1 weights w_0, ..., w_L.
    dtype
        Number type of the vectors to propagate; `.to(dtype)` changes it later, at the precision of
        this one.

    Shapes
    ------
    users [n_users, d], items [n_items, d] -> the same two shapes.

    Example
    -------
    >>> R = sp.csr_array(np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]))
    >>> users, items = BipartitePropagation(R, n_layers=2)(torch.ones(2, 8), torch.ones(3, 8))
    >>> users.shape, items.shape
    (torch.Size([2, 8]), torch.Size([3, 8]))
    """

    user_scale: Tensor
    user_inverse: Tensor
    item_scale: Tensor
    item_inverse: Tensor

    def __init__(
        self,
        matrix: Any,
        n_layers: int = 3,
        combine: str | Sequence[float] = "mean",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if n_layers < 0:
            raise ValueError(f"n_layers must be 0 or more, got {n_layers}")
        if isinstance(combine, str):
            if combine != "mean":
                raise ValueError(f'combine is "mean" or {n_layers + 1} weights, got {combine!r}')
            combine = [1 / (n_layers + 1)] * (n_layers + 1)
        if len(combine) != n_layers + 1:
            raise ValueError(
                f"{n_layers} layers need {n_layers + 1} weights (layer 0 is the input), got "
                f"{len(combine)}"
            )
        self.n_layers = n_layers
        self.weights = tuple(float(w) for w in combine)
        r = _weights(matrix)
        self.matrix = SparseMatrix(r, dtype)
        for side, axis in (("user", 1), ("item", 0)):
            degree = _degrees(r, axis)
            for name, exponent in (("scale", -0.5), ("inverse", -1.0)):
                scale = torch.from_numpy(_power(degree, exponent)).to(dtype)
                self.register_buffer(f"{side}_{name}", scale, persistent=False)

    def forward(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Users [n, d] and items [m, d] -> the same shapes, after all layers."""
        return _Propagate.apply(users, items, self, self.weights)

    def _polynomial(
        self, users: Tensor, items: Tensor, weights: tuple[float, ...]
    ) -> tuple[Tensor, Tensor]:
        """sum_l w_l A^l x, a block of columns after the other, outside autograd."""
        self.matrix.check(items, self.matrix.shape[1])
        self.matrix.check(users, self.matrix.shape[0])
        out = weights[0] * users, weights[0] * items
        if len(weights) == 1:
            return out
        for start in range(0, users.shape[1], _COLUMNS):
            block = slice(start, start + _COLUMNS)
            sums = out[0][:, block], out[1][:, block]
            self._add_layers(users[:, block], items[:, block], weights, sums)
        return out

    def _add_layers(
        self,
        users: Tensor,
        items: Tensor,
        weights: tuple[float, ...],
        sums: tuple[Tensor, Tensor],
    ) -> None:
        """Adds w_l A^l x for l >= 1 to the sums."""
        users, items = users * self.user_scale, items * self.item_scale
        for weight in weights[1:]:
            users, items = self.matrix.multiply(items), self.matrix.multiply_transposed(users)
            if weight != 0:
                sums[0].addcmul_(users, self.user_scale, value=weight)
                sums[1].addcmul_(items, self.item_scale, value=weight)
            users.mul_(self.user_inverse)
            items.mul_(self.item_inverse)

    def step(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """One multiplication by A, for models that do something between the layers."""
        return _Propagate.apply(users, items, self, (0.0, 1.0))

    def messages(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """What each node sends to a new neighbour over all layers: [n, d] and [m, d].

        d^-1/2 (w_1 x_0 + w_2 x_1 + ... + w_L x_{L-1}), with x_l = A^l x. A new node with links r
        and the own vector e then comes to w_0 e + (sum r)^-1/2 r @ messages, the others as they
        are. Without a gradient.
        """
        with torch.no_grad():
            sent_users, sent_items = torch.zeros_like(users), torch.zeros_like(items)
            for weight in self.weights[1:]:
                sent_users.add_(users, alpha=weight)
                sent_items.add_(items, alpha=weight)
                users, items = self.step(users, items)
            return sent_users * self.user_scale, sent_items * self.item_scale

    def extra_repr(self) -> str:
        """What torch writes between the brackets of the repr."""
        return f"n_layers={self.n_layers}, weights={tuple(round(w, 4) for w in self.weights)}"


class ScaledPropagation(torch.nn.Module):
    r"""The propagation of LightGCN++ (Lee et al., "Revisiting LightGCN: Unexpected Inflexibility,
    Inconsistency, and A Remedy Towards Improved Recommendation", RecSys 2024).

    Each layer takes the lengths out of the vectors and weighs neighbours by their degrees d, both
    ways between the two sides:

        x_{l+1}(u) = d_u^-alpha sum over i of R_ui d_i^-beta x_l(i) / |x_l(i)|,
        out = gamma x_0 + (1 - gamma) mean over l = 1..L of x_l.

    A user's length is then no more than a function of its degree, and beta below 0 trusts
    neighbours with many links more.
    A node without edges receives nothing: it keeps gamma times its own vector. No parameters;
        differentiable once.

    Parameters
    ----------
    matrix
        A scipy sparse array R [users, items]; its values are edge weights, ones for none; not
        negative.
    n_layers
        L, at least 1.
    alpha, beta
        How far a sum is shared out by the degree of the receiver and of the sender; LightGCN has
        0.5 for both.
    gamma
        The share of the vectors that came in.
    dtype
        Number type of the vectors to propagate.

    Shapes
    ------
    users [n_users, d], items [n_items, d] -> the same two shapes.

    Example
    -------
    >>> R = sp.csr_array(np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]))
    >>> users, items = ScaledPropagation(R, n_layers=2)(torch.ones(2, 8), torch.ones(3, 8))
    >>> users.shape, items.shape
    (torch.Size([2, 8]), torch.Size([3, 8]))
    """

    user_out: Tensor
    user_in: Tensor
    item_out: Tensor
    item_in: Tensor

    def __init__(
        self,
        matrix: Any,
        n_layers: int = 2,
        alpha: float = 0.6,
        beta: float = -0.1,
        gamma: float = 0.2,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if n_layers < 1:
            raise ValueError(f"n_layers must be 1 or more, got {n_layers}")
        self.n_layers, self.alpha, self.beta, self.gamma = n_layers, alpha, beta, gamma
        r = _weights(matrix)
        self.matrix = SparseMatrix(r, dtype)
        for side, axis in (("user", 1), ("item", 0)):
            for name, exponent in (("out", alpha), ("in", beta)):
                scale = torch.from_numpy(_power(_degrees(r, axis), -exponent)).to(dtype)
                self.register_buffer(f"{side}_{name}", scale, persistent=False)

    def forward(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Users [n, d] and items [m, d] -> the same shapes, after all layers."""
        share = (1 - self.gamma) / self.n_layers
        out_users, out_items = self.gamma * users, self.gamma * items
        for _ in range(self.n_layers):
            from_users, from_items = (
                F.normalize(users) * self.user_in,
                F.normalize(items) * self.item_in,
            )
            users = spmm(self.matrix, from_items) * self.user_out
            items = spmm(self.matrix, from_users, transpose=True) * self.item_out
            out_users, out_items = out_users + share * users, out_items + share * items
        return out_users, out_items

    def messages(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """What each node sends to a new neighbour over all layers: [n, d] and [m, d].

        d^-beta (1 - gamma) / L times the sum of x_l / |x_l| over l = 0..L-1. A new node with links
        r and the own vector e then comes to gamma e + (sum r)^-alpha r @ messages, the others as
        they are. Without a gradient.
        """
        share = (1 - self.gamma) / self.n_layers
        with torch.no_grad():
            sent_users, sent_items = torch.zeros_like(users), torch.zeros_like(items)
            for _ in range(self.n_layers):
                from_users, from_items = (
                    F.normalize(users) * self.user_in,
                    F.normalize(items) * self.item_in,
                )
                sent_users.add_(from_users, alpha=share)
                sent_items.add_(from_items, alpha=share)
                users = spmm(self.matrix, from_items) * self.user_out
                items = spmm(self.matrix, from_users, transpose=True) * self.item_out
            return sent_users, sent_items

    def extra_repr(self) -> str:
        """What torch writes between the brackets of the repr."""
        return (
            f"n_layers={self.n_layers}, alpha={self.alpha:g}, beta={self.beta:g}, "
            f"gamma={self.gamma:g}"
        )


def _weights(matrix: Any) -> sp.csr_array:
    """R as CSR, repeated entries summed."""
    r = canonical(matrix)
    if not np.isfinite(r.data).all() or (r.data < 0).any():
        raise ValueError("edge weights must be finite and not negative")
    return r


def _degrees(r: sp.csr_array, axis: int) -> np.ndarray:
    """The sums of R over an axis, float64."""
    if is_pattern(r):
        return np.diff(r.indptr) if axis == 1 else np.bincount(r.indices, minlength=r.shape[1])
    return r.sum(axis=axis, dtype=np.float64)


def _power(degree: Any, exponent: float) -> np.ndarray:
    """degree^exponent as a column [n, 1], float64; 0 for a degree of 0."""
    column = np.asarray(degree, np.float64).reshape(-1, 1)
    return np.power(column, exponent, out=np.zeros_like(column), where=column > 0)
