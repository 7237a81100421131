"""What embeddings are trained for: BPR, softmax over all targets, and softmax over a sample, each
on all links at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag, normalize, softplus

from hinaug.nn import pair_dot, softmax_loss

BLOCK = 2048  # pairs gathered at once: the buffers stay in the cache
LOGITS = 2**20  # products of users and sampled items held at once
Objective = Callable[[Tensor, Tensor], Tensor]


class BPR:
    """Mean over the links (u, i) of -log sigmoid(<z_u, z_i - z_j>), j drawn anew at each step from
    what u has not.
    """

    def __init__(self, links: sp.csr_array, rng: np.random.Generator) -> None:
        links = links.sorted_indices()
        self.rng, self.width = rng, links.shape[1] + 1
        degree = np.diff(links.indptr).astype(np.int64)
        self.src = np.repeat(np.arange(len(degree)), degree)
        self.pos = links.indices.astype(np.int64)
        self.share = torch.from_numpy(links.data / links.data.sum())
        # of the items below the n-th one that u has, `pos - n` are free; so the r-th free item lies
        # past every
        # item of u for which that number is at most r
        self.first = links.indptr[self.src].astype(np.int64)
        self.free = (links.shape[1] - degree)[self.src]
        self.below = self.src * self.width + self.pos - (np.arange(len(self.pos)) - self.first)

    def negatives(
        self, at: slice | np.ndarray = slice(None), rng: np.random.Generator | None = None
    ) -> np.ndarray:
        """One item for each link, uniform over those its user has not; the link's own item for a
        user who has all.

        at: for which links, all by default. rng: None takes the own one.
        """
        return self.free_items(at, (rng or self.rng).random(len(self.src[at])))

    def free_items(self, at: slice | np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """As `negatives`, from numbers in [0, 1)."""
        src, free = self.src[at], self.free[at]
        r = (uniform * free).astype(np.int64)
        past = np.searchsorted(self.below, src * self.width + r, side="right") - self.first[at]
        return np.where(free > 0, r + past, self.pos[at])

    def __call__(self, users: Tensor, items: Tensor) -> Tensor:
        src, pos, neg = (
            torch.from_numpy(a).to(users.device) for a in (self.src, self.pos, self.negatives())
        )
        return self.share.to(users.device) @ softplus(-Gap.apply(users, items, src, pos, neg))


class Softmax:
    """Mean over the links (u, i) of -log softmax over all items of <z_u, z_i> / temperature."""

    def __init__(self, links: sp.csr_array, temperature: float) -> None:
        self.links, self.temperature = links, temperature

    def __call__(self, users: Tensor, items: Tensor) -> Tensor:
        return softmax_loss(users, items, self.links, self.temperature)


class SampledSoftmax:
    """The same with the sum over all items estimated from `n` of them, drawn anew at each step,
    uniformly:

        -log e^{s_ui} / (e^{s_ui} + (items / n) sum_{j in sample} e^{s_uj}),       s = <z_u, z_i> /
        temperature.

    The sum is unbiased, its logarithm a little low. For catalogues whose whole softmax costs too
    much: a step is O(users x n x dim), and memory O((users + items) x dim).

    power > 0 draws an item in proportion to its links^power, with replacement: in the sum above
    each item then counts by that, so popular items are pushed down harder.
    """

    def __init__(
        self,
        links: sp.csr_array,
        temperature: float,
        n: int,
        rng: np.random.Generator,
        power: float = 0.0,
    ) -> None:
        self.temperature, self.rng, self.many = temperature, rng, links.shape[1]
        self.n = min(n, self.many)
        self.upto = None  # of the probabilities, their running sum
        if power > 0:
            count = np.bincount(links.indices, links.data, minlength=self.many)
            self.upto = np.cumsum(count**power)
        self.src = torch.from_numpy(np.repeat(np.arange(links.shape[0]), np.diff(links.indptr)))
        self.dst = torch.from_numpy(links.indices.astype(np.int64))
        self.share = torch.from_numpy(links.data / links.data.sum())

    def __call__(self, users: Tensor, items: Tensor) -> Tensor:
        sample = torch.from_numpy(np.sort(self._drawn())).to(users.device)
        src, dst, share = (x.to(users.device) for x in (self.src, self.dst, self.share))
        users = users / self.temperature
        total = LogSumExp.apply(users, items[sample]) + float(np.log(self.many / self.n))
        return share @ softplus(total[src] - pair_dot(users, items, src, dst))

    def _drawn(self) -> np.ndarray:
        if self.upto is None:
            return self.rng.choice(self.many, self.n, replace=False)
        drawn = np.searchsorted(self.upto, self.rng.random(self.n) * self.upto[-1], side="right")
        return np.minimum(drawn, self.many - 1)  # a product may round up to the whole


class Cosine:
    """Another objective on the directions of the vectors alone."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    def __call__(self, users: Tensor, items: Tensor) -> Tensor:
        return self.objective(normalize(users), normalize(items))


def rows_alike(links: sp.csr_array) -> sp.csr_array:
    """The same links, those of each row weighing 1 together."""
    total = np.asarray(links.sum(axis=1)).ravel()
    share = links.data / np.repeat(np.where(total > 0, total, 1), np.diff(links.indptr))
    return sp.csr_array((share.astype(links.dtype), links.indices, links.indptr), shape=links.shape)


class DrawPrior:
    """l2 / 2 times the mean of |e_u|^2 + |e_i|^2 + |e_j|^2 over the links (u, i), with j taken as
    uniform over all items.

    It is what code that draws batches adds to BPR, in its mean over the draws (He et al., SIGIR
    2020, as published).

    dtype: of sums; None takes that of the vectors.
    """

    def __init__(self, links: sp.csr_array, l2: float, dtype: torch.dtype | None = None) -> None:
        self.dtype = dtype
        total = float(links.sum())
        shares = links.sum(axis=1) / total, links.sum(axis=0) / total + 1 / links.shape[1]
        self.weights = [
            torch.from_numpy(l2 / 2 * np.asarray(x).ravel().astype(np.float32)).to(dtype)
            for x in shares
        ]

    def __call__(self, users: Tensor, items: Tensor) -> Tensor:
        u, i = (w.to(users.device) for w in self.weights)
        return u @ users.square().sum(1, dtype=self.dtype) + i @ items.square().sum(
            1, dtype=self.dtype
        )


class LogSumExp(torch.autograd.Function):
    """log sum_j exp <u, i_j> of each user [n]; the products [n, m] exist a block of users at a
    time, in both passes.
    """

    @staticmethod
    def forward(ctx: Any, users: Tensor, items: Tensor) -> Tensor:
        total = torch.cat([(users[rows] @ items.T).logsumexp(1) for rows in _blocks(users, items)])
        ctx.save_for_backward(users, items, total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        users, items, total = ctx.saved_tensors
        of_users, of_items = torch.empty_like(users), torch.zeros_like(items)
        for rows in _blocks(users, items):
            share = (users[rows] @ items.T).sub_(total[rows, None]).exp_().mul_(grad[rows, None])
            of_users[rows] = share @ items
            of_items.addmm_(share.T, users[rows])
        return of_users, of_items


def _blocks(users: Tensor, items: Tensor) -> list[slice]:
    size = max(1, LOGITS // len(items))
    return [slice(at, at + size) for at in range(0, len(users), size)]


class Gap(torch.autograd.Function):
    """<u[src], i[pos] - i[neg]> [n]; the gradients are sparse products, and nothing of size n x d
    is kept. dtype: of the sum over columns; None takes that of the vectors.
    """

    @staticmethod
    def forward(
        ctx: Any,
        users: Tensor,
        items: Tensor,
        src: Tensor,
        pos: Tensor,
        neg: Tensor,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        ctx.save_for_backward(users, items, src, pos, neg)
        gap = users.new_empty(len(src), dtype=dtype)
        u, p, n = (users.new_empty(BLOCK, users.shape[1]) for _ in range(3))
        for at in range(0, len(src), BLOCK):
            rows, size = slice(at, at + BLOCK), min(BLOCK, len(src) - at)
            for x, index, out in ((users, src, u), (items, pos, p), (items, neg, n)):
                torch.index_select(x, 0, index[rows], out=out[:size])
            torch.sum(p[:size].sub_(n[:size]).mul_(u[:size]), 1, dtype=dtype, out=gap[rows])
        return gap

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        users, items, src, pos, neg = ctx.saved_tensors
        grad = grad.to(users.dtype)
        twice, both, sign = torch.cat([src, src]), torch.cat([pos, neg]), torch.cat([grad, -grad])
        return (
            _rows(twice, both, sign, len(users), items),
            _rows(both, twice, sign, len(items), users),
            None,
            None,
            None,
            None,
        )


def _rows(group: Tensor, index: Tensor, value: Tensor, size: int, x: Tensor) -> Tensor:
    """[size, d]: row g sums value * x[index] over the entries of group g."""
    order = group.argsort(stable=True)
    indptr = torch.zeros(size + 1, dtype=torch.int64, device=x.device)
    torch.cumsum(torch.bincount(group, minlength=size), 0, out=indptr[1:])
    return embedding_bag(
        index[order],
        x,
        indptr,
        mode="sum",
        per_sample_weights=value[order],
        include_last_offset=True,
    )
