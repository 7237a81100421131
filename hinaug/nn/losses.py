"""Losses for ranking and for adversarial training. Means can be weighted: sum(w l) / sum(w)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

__all__ = [
    "bpr_loss",
    "gradient_penalty",
    "softmax_loss",
    "wasserstein_critic_loss",
    "wasserstein_generator_loss",
]

BLOCK_ELEMENTS = (
    2**20
)  # logits held at once by softmax_loss: 4 MB in float32, about what a cache holds
GPU_ELEMENTS = 2**26  # the same on a GPU, which wants few large products: 256 MB


def _weighted_mean(losses: Tensor, weight: Tensor | None) -> Tensor:
    """Mean of `losses` [n, ...] with one weight a row [n]."""
    if losses.numel() == 0:
        raise ValueError(
            "a loss needs at least one sample, and there is none; leave empty batches out"
        )
    if weight is None:
        return losses.mean()
    if losses.ndim > 1:
        losses = losses.flatten(1).mean(1)
    if weight.shape != losses.shape:
        raise ValueError(
            f"{len(losses)} samples need {len(losses)} weights, got shape {list(weight.shape)}; "
            "give one a row [n]"
        )
    return (weight * losses).sum() / _total(weight)


def _total(weight: Tensor) -> Tensor:
    total = weight.sum()
    if not bool(total > 0) or bool((weight < 0).any()):
        raise ValueError(
            "weights must not be negative, and at least one must be positive; the lowest is "
            f"{weight.min():g} and "
            f"the sum {total:g}; clamp them, or leave the batch out"
        )
    return total


def bpr_loss(pos: Tensor, neg: Tensor, weight: Tensor | None = None) -> Tensor:
    """Bayesian personalised ranking (Rendle et al., UAI 2009): the mean of -log sigmoid(pos - neg).

    Parameters
    ----------
    pos
        Scores of positive pairs [n].
    neg
        Scores of sampled negatives, [n], or [n, m] for m negatives each (averaged).
    weight
        Weight of each sample [n].

    Example
    -------
    >>> bpr_loss(torch.zeros(3), torch.zeros(3))
    tensor(0.6931)
    """
    if pos.ndim != 1 or neg.ndim not in (1, 2) or len(neg) != len(pos):
        raise ValueError(
            f"bpr_loss needs pos [n] and neg [n] or [n, m], got {list(pos.shape)} and "
            f"{list(neg.shape)}; give each positive a row"
        )
    gap = pos - neg if neg.ndim == 1 else pos[:, None] - neg
    return _weighted_mean(-F.logsigmoid(gap), weight)


class _Softmax(torch.autograd.Function):
    """Value and both gradients in one pass over blocks of users, so that logits [users, items]
    never exist as a whole.
    """

    @staticmethod
    def forward(
        ctx: Any,
        users: Tensor,
        items: Tensor,
        indptr: Tensor,
        cols: Tensor,
        weight: Tensor,
        scale: float,
        block: int,
        grad_enabled: bool,  # needs_input_grad does not know about no_grad
    ) -> Tensor:
        want_users, want_items = (grad_enabled and needed for needed in ctx.needs_input_grad[:2])
        grad_users = torch.zeros_like(users) if want_users else None
        grad_items = torch.zeros_like(items) if want_items else None
        loss = users.new_zeros(())
        counts = indptr.diff()
        active = counts.nonzero().squeeze(1)  # a user without positives adds nothing
        # positives are sorted by user, so a block of active users owns one stretch of them
        ends = indptr[active + 1].tolist()
        begin = 0
        for start in range(0, len(active), block):
            rows = active[start : start + block]
            end = ends[min(start + block, len(active)) - 1]
            row = torch.repeat_interleave(torch.arange(len(rows), device=rows.device), counts[rows])
            col, w = cols[begin:end], weight[begin:end]
            u = users.index_select(0, rows)
            logits = (u @ items.T).mul_(scale)
            logits -= logits.amax(1, keepdim=True)
            shifted = logits[row, col]
            share = logits.exp_()
            norm = share.sum(1)
            loss += (w * (norm.log()[row] - shifted)).sum()
            if want_users or want_items:
                mass = torch.zeros_like(norm).index_add_(0, row, w)
                grad = share.mul_((mass / norm)[:, None])
                grad.view(-1).index_add_(0, row * items.shape[0] + col, w, alpha=-1)
                if grad_users is not None:
                    grad_users[rows] = (grad @ items).mul_(scale)
                if grad_items is not None:
                    grad_items.addmm_(grad.T, u, alpha=scale)
            begin = end
        ctx.save_for_backward(grad_users, grad_items)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grads = (None if g is None else grad * g for g in ctx.saved_tensors)
        return (*grads, None, None, None, None, None, None)


def softmax_loss(
    users: Tensor,
    items: Tensor,
    positives: Any,
    temperature: float = 1.0,
    weight: Tensor | None = None,
    block: int | None = None,
) -> Tensor:
    """Softmax over all items: the mean over positive pairs (u, i) of -log softmax_j(<users_u,
    items_j> / temperature)[i].

    Every item is a negative, none is sampled. Gradients for users and items are written by hand and
    computed together with
    the value, a block of users at a time: time 3 matrix products, memory block x m logits.
        Differentiable once.

    Parameters
    ----------
    users
        Vectors of the users [n, d].
    items
        Vectors of the items [m, d].
    positives
        A scipy sparse array [n, m], whose values are the weights of the pairs (ones for none), or
        pairs of positions [2, p].
    temperature
        Above 0; a smaller one looks harder at the strongest negatives. Tune it before anything
        else.
    weight
        Weights of the pairs [p]; only where positives are given as pairs.
    block
        Users in a block; by default as many as keep the logits at about a million numbers (on a GPU
        64 million), but 64 at least.

    Example
    -------
    >>> users, items = torch.zeros(2, 3), torch.zeros(4, 3)
    >>> softmax_loss(users, items, torch.tensor([[0, 1], [2, 3]]))  # log 4
    tensor(1.3863)
    """
    if users.ndim != 2 or items.ndim != 2 or users.shape[1] != items.shape[1]:
        raise ValueError(
            "softmax_loss needs users [n, d] and items [m, d] of one width, got "
            f"{list(users.shape)} and {list(items.shape)}"
        )
    if not temperature > 0:
        raise ValueError(
            f"softmax_loss: temperature must be positive, such as 1.0; got {temperature}"
        )
    indptr, cols, weight = _by_user(positives, weight, users, items)
    if cols.numel() == 0:
        raise ValueError(
            "a loss needs at least one sample, and `positives` has none; leave empty batches out"
        )
    if block is None:
        block = max(
            64, (BLOCK_ELEMENTS if users.device.type == "cpu" else GPU_ELEMENTS) // items.shape[0]
        )
    share = weight / _total(weight)
    return _Softmax.apply(
        users, items, indptr, cols, share, 1 / temperature, block, torch.is_grad_enabled()
    )


def _by_user(
    positives: Any, weight: Tensor | None, users: Tensor, items: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Positives as CSR tensors (row pointers, columns, weights) on the device and in the dtype of
    `users`.
    """
    if sp.issparse(positives):
        if weight is not None:
            raise ValueError(
                "a sparse matrix of positives holds the weights as its values; leave `weight` out"
            )
        return _of_matrix(positives, users, len(items))
    return _of_pairs(positives, weight, users, len(items))


def _of_matrix(positives: Any, users: Tensor, n_items: int) -> tuple[Tensor, Tensor, Tensor]:
    shape = (len(users), n_items)
    if positives.shape != shape:
        raise ValueError(
            f"positives must have shape {shape}, got {positives.shape}: one row a user, one "
            "column an item"
        )
    csr = sp.csr_array(positives)
    parts = (
        csr.indptr.astype(np.int64),
        csr.indices.astype(np.int64),
        csr.data.astype(np.float64),
    )
    indptr, cols, values = (torch.from_numpy(a).to(users.device) for a in parts)
    return indptr, cols, values.to(users.dtype)


def _of_pairs(
    positives: Any, weight: Tensor | None, users: Tensor, n_items: int
) -> tuple[Tensor, Tensor, Tensor]:
    if positives.ndim != 2 or len(positives) != 2:
        raise ValueError(
            f"pairs must have shape [2, p], got {list(positives.shape)}; torch.stack([users, "
            "items]) gives that"
        )
    src, dst = positives[0].long(), positives[1].long()
    if weight is None:
        weight = users.new_ones(len(src))
    if weight.shape != src.shape:
        raise ValueError(
            f"{len(src)} pairs need {len(src)} weights, got shape {list(weight.shape)}; give one "
            "a pair [p]"
        )
    _check_within(src, len(users), "users")
    _check_within(dst, n_items, "items")
    order = src.argsort(stable=True)
    indptr = src.new_zeros(len(users) + 1)
    torch.cumsum(torch.bincount(src, minlength=len(users)), 0, out=indptr[1:])
    return indptr, dst[order], weight.detach()[order].to(users.dtype)


def _check_within(index: Tensor, size: int, name: str) -> None:
    if len(index) and not (int(index.min()) >= 0 and int(index.max()) < size):
        raise ValueError(
            f"positions of {name} must lie in [0, {size}), got {int(index.min())} to "
            f"{int(index.max())}; pass the vectors of all {name}, or count from their first"
        )


def wasserstein_critic_loss(
    real: Tensor, fake: Tensor, weight_real: Tensor | None = None, weight_fake: Tensor | None = None
) -> Tensor:
    """What the critic minimises: mean(fake) - mean(real), for its scores [n] and [m] (Arjovsky et
    al., ICML 2017).

    Minus its value estimates the Wasserstein distance, when the critic is 1-Lipschitz: see
    `gradient_penalty`.

    Example
    -------
    >>> wasserstein_critic_loss(torch.tensor([2.0, 4.0]), torch.tensor([1.0]))
    tensor(-2.)
    """
    return _weighted_mean(fake, weight_fake) - _weighted_mean(real, weight_real)


def wasserstein_generator_loss(fake: Tensor, weight: Tensor | None = None) -> Tensor:
    """What the generator minimises: -mean(fake), for the critic's scores [n] of generated samples.

    Example
    -------
    >>> wasserstein_generator_loss(torch.tensor([1.0, 2.0]))
    tensor(-1.5000)
    """
    return -_weighted_mean(fake, weight)


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    generator: torch.Generator,
    weight: Tensor | None = None,
) -> Tensor:
    """WGAN-GP (Gulrajani et al., NeurIPS 2017): the mean of (||grad_x critic(x)|| - 1)^2 at random
    points between real and fake.

    x = a real + (1 - a) fake with one a ~ U(0, 1) per row. The critic must score rows independently
    (no batch norm) and be twice differentiable, so it may hold none of the once-differentiable
    products of this package.

    Parameters
    ----------
    critic
        A function of [n, ...] -> [n] or [n, 1].
    real, fake
        Rows [n, ...] of the same shape; both are detached.
    generator
        Source of a.
    weight
        Weight of each row [n].

    Example
    -------
    >>> real, fake = torch.ones(4, 2), torch.zeros(4, 2)
    >>> gradient_penalty(lambda x: 3 * x[:, 0], real, fake, torch.Generator())  # of slope 3
    tensor(4.)
    """
    if real.shape != fake.shape:
        raise ValueError(
            f"real and fake must have one shape, got {list(real.shape)} and {list(fake.shape)}; "
            "draw as many of each"
        )
    a = torch.rand(len(real), generator=generator, device=generator.device, dtype=real.dtype).to(
        real.device
    )
    a = a.view(-1, *[1] * (real.ndim - 1))
    x = (a * real.detach() + (1 - a) * fake.detach()).requires_grad_()
    (grad,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return _weighted_mean((grad.flatten(1).norm(dim=1) - 1).square(), weight)
