"""Embeddings divided by columns: what is drawn, learned from and put together.

A rank holds the columns a..b of all vectors. Propagation treats each column alone, so it needs no
message. The score of a pair is a sum over columns: each rank has a part of it.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from hinaug.errors import ParameterError
from hinaug.training.distributed.ranks import Ranks
from hinaug.training.objectives import BPR, Gap

BLOCK_LOGITS = 2**21  # logits held at once by a rank
ByStep = Callable[[Tensor, Tensor, Tensor, int], Tensor]


class Columns:
    """The columns of a rank among `width`, with the draws that belong to them.

    What is drawn follows from a seed, the column and the step alone, so that any number of ranks
    draws the same.

    Parameters
    ----------
    ranks
        The group of processes.
    width
        Columns of the vectors, over all ranks.
    seed
        A number; that of rank 0 counts.

    Raises ParameterError for fewer columns than ranks.

    Example
    -------
    >>> alone = Columns(Ranks(), 4, seed=0)
    >>> alone.standard_normal((3, 4), np.float32).shape
    (3, 4)
    """

    def __init__(self, ranks: Ranks, width: int, seed: int) -> None:
        if width < ranks.size:
            raise ParameterError(
                f"{width} columns for {ranks.size} ranks; each needs one: take a larger "
                "embedding_dim, or fewer ranks",
                asked=ranks.size,
                there=width,
            )
        self.ranks, self.width, self.seed = ranks, width, ranks.agree(seed)
        self.bounds, self.own = ranks.bounds(width), ranks.share(width)
        self._generators = [
            np.random.default_rng([self.seed, column]) for column in range(width)[self.own]
        ]

    def standard_normal(self, shape: tuple[int, int], dtype: Any) -> np.ndarray:
        """Normal draws [n, own columns], each column from its own generator, as numpy has it."""
        return np.stack([g.standard_normal(shape[0], dtype) for g in self._generators], axis=1)

    def parts(self, size: int) -> Iterator[Columns]:
        """The draws of at most `size` of the own columns, one after another."""
        for start in range(0, len(self._generators), size):
            part = copy.copy(self)
            part._generators = self._generators[start : start + size]
            yield part

    def objective(self, loss: str, links: sp.csr_array, batch: int | None, scale: float) -> ByStep:
        """What is minimised: of (users, items, prior, step), the columns of this rank, its part of
        the prior, and the number of the step.

        loss: "bpr" or "softmax". batch: links of a step, drawn with replacement; None for all.
        scale: what scores are multiplied by, for "softmax".
        """
        if loss == "bpr":
            return ColumnBPR(self, links, batch)
        return ColumnSoftmax(self, links, batch, scale)

    def step_rng(self, step: int) -> np.random.Generator:
        """The draws of a step, the same at all ranks."""
        return np.random.default_rng([self.seed, self.width + step])

    def whole(self, x: Tensor) -> Tensor:
        """Own columns [n, c] -> all columns [n, d], at every rank."""
        shapes = [(len(x), width) for width in np.diff(self.bounds).tolist()]
        return torch.cat(self.ranks.exchange([x] * self.ranks.size, shapes), 1)

    def to_rows(self, x: Tensor) -> Tensor:
        """Own columns [n, c] -> all columns of the own share of rows [n / ranks, d]."""
        rows, own = self.ranks.bounds(len(x)), self.ranks.share(len(x))
        parts = [x[first:last] for first, last in itertools.pairwise(rows)]
        shapes = [(own.stop - own.start, width) for width in np.diff(self.bounds).tolist()]
        return torch.cat(self.ranks.exchange(parts, shapes), 1)

    def to_columns(self, x: Tensor, n: int) -> Tensor:
        """Back from all columns of own rows to own columns of all n rows."""
        rows = np.diff(self.ranks.bounds(n)).tolist()
        shapes = [(many, self.own.stop - self.own.start) for many in rows]
        return torch.cat(self.ranks.exchange(self._by_rank(x), shapes), 0)

    def summed(self, x: Tensor) -> Tensor:
        """The own columns [n, c] of the sum over ranks of x [n, d]."""
        shape = (len(x), self.own.stop - self.own.start)
        parts = self.ranks.exchange(self._by_rank(x), [shape] * self.ranks.size)
        return torch.stack(parts).sum(0)

    def _by_rank(self, x: Tensor) -> list[Tensor]:
        return [x[:, a:b] for a, b in zip(self.bounds[:-1], self.bounds[1:], strict=True)]


class ColumnBPR:
    """`BPR` of which each rank has some columns: one sum over the ranks a step.

    Each rank multiplies its columns in float32 and adds them in float64, and the sum over ranks is
    in float64 too: so the number of ranks changes the last digits alone.
    """

    def __init__(self, columns: Columns, links: sp.csr_array, batch: int | None) -> None:
        self.columns, self.batch = columns, batch
        self.bpr = BPR(links, np.random.default_rng(0))

    def drawn(self, step: int) -> tuple[list[Tensor], Tensor]:
        """Users, items and negatives of the links of a step, and their weights."""
        rng = self.columns.step_rng(step)
        at, share = _drawn(self.bpr.share.double(), self.batch, rng)
        ends = self.bpr.src[at], self.bpr.pos[at], self.bpr.negatives(at, rng)
        return [torch.from_numpy(x) for x in ends], share

    def __call__(self, users: Tensor, items: Tensor, prior: Tensor, step: int) -> Tensor:
        ends, share = self.drawn(step)
        src, pos, neg = (x.to(users.device) for x in ends)
        part = Gap.apply(users, items, src, pos, neg, torch.float64)
        total = Summed.apply(torch.cat([part, prior[None]]), self.columns.ranks)
        return share.to(users.device) @ softplus(-total[:-1]) + total[-1]


class ColumnSoftmax:
    """`Softmax` over all items, of which each rank has some columns.

    The ranks exchange their columns of the items for all columns of a share of the items, and each
    scores its share: the products, users x items, are divided as well. A step sends the items
    twice, and the users of its links three times. Products are in float64: in float32 the last
    digits depend on how many items a rank has, and Adam makes large steps of small gradients.
    """

    def __init__(
        self, columns: Columns, links: sp.csr_array, batch: int | None, scale: float
    ) -> None:
        self.columns, self.batch, self.scale = columns, batch, scale
        self.src = np.repeat(np.arange(links.shape[0]), np.diff(links.indptr))
        self.dst = links.indices.astype(np.int64)
        self.share = torch.from_numpy(links.data / links.data.sum()).double()
        self.rows = max(1, BLOCK_LOGITS // max(1, links.shape[1] // columns.ranks.size))

    def __call__(self, users: Tensor, items: Tensor, prior: Tensor, step: int) -> Tensor:
        at, share = _drawn(self.share, self.batch, self.columns.step_rng(step))
        blocks = list(self._blocks(self.src[at], self.dst[at], share))
        loss = _Softmax.apply(users, items, blocks, self.scale, self.columns)
        return loss + Summed.apply(prior, self.columns.ranks)

    def _blocks(
        self, src: np.ndarray, dst: np.ndarray, share: Tensor
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Users scored together, and of each of their links the user's place, the item, the
        weight.
        """
        users, place = np.unique(src, return_inverse=True)
        order = np.argsort(place, kind="stable")
        for first in range(0, len(users), self.rows):
            a, b = np.searchsorted(place[order], [first, first + self.rows])
            these = order[a:b]
            yield (
                torch.from_numpy(users[first : first + self.rows]),
                torch.from_numpy(place[these] - first),
                torch.from_numpy(dst[these]),
                share[torch.from_numpy(these)],
            )


def _drawn(
    share: Tensor, batch: int | None, rng: np.random.Generator
) -> tuple[np.ndarray | slice, Tensor]:
    """Which links a step learns from, and their weights, whose mean sum is 1."""
    if batch is None:
        return slice(None), share
    at = rng.integers(len(share), size=batch)
    return at, share[torch.from_numpy(at)] * (len(share) / batch)


class Summed(torch.autograd.Function):
    """The sum over the ranks. All of them have the same loss, so the gradient of a part is that of
    the sum.
    """

    @staticmethod
    def forward(ctx: Any, part: Tensor, ranks: Ranks) -> Tensor:
        return ranks.sum(part.clone())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


class _Softmax(torch.autograd.Function):
    """The loss and both gradients in one pass over blocks of users."""

    @staticmethod
    def forward(
        ctx: Any, users: Tensor, items: Tensor, blocks: list, scale: float, columns: Columns
    ) -> Tensor:
        mine = columns.to_rows(items).double()  # [own share of the items, d]
        of_users, of_mine = torch.zeros_like(users), torch.zeros_like(mine)
        loss = users.new_zeros((), dtype=torch.float64)
        first = columns.ranks.share(len(items)).start
        for block in blocks:
            rows, place, dst, weight = (x.to(users.device) for x in block)
            u = columns.whole(users[rows]).double()
            value, grad = _block_loss(u @ mine.T * scale, place, dst - first, weight, columns.ranks)
            loss += value
            of_users[rows] = columns.summed(grad @ mine * scale).to(users.dtype)
            of_mine.addmm_(grad.T, u, alpha=scale)
        of_items = columns.to_columns(of_mine.to(items.dtype), len(items))
        ctx.save_for_backward(of_users, of_items)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        of_users, of_items = ctx.saved_tensors
        grad = grad.to(of_users.dtype)
        return grad * of_users, grad * of_items, None, None, None


def _block_loss(
    logits: Tensor, place: Tensor, dst: Tensor, weight: Tensor, ranks: Ranks
) -> tuple[Tensor, Tensor]:
    """The loss of a block of users, and its gradient for the own logits [b, own items], which are
    overwritten.
    """
    n, width = logits.shape
    top = logits.amax(1) if width else logits.new_full((n,), -torch.inf)
    share = logits.sub_(ranks.max(top)[:, None])
    own = ((dst >= 0) & (dst < width)).nonzero().squeeze(1)
    at = place[own] * width + dst[own]
    total = weight.new_zeros(n + len(dst))  # sums of exp of the users, then logits of the links
    total[n + own] = share.reshape(-1)[at]
    total[:n] = share.exp_().sum(1)
    ranks.sum(total)
    value = weight @ (total[:n].log()[place] - total[n:])
    mass = weight.new_zeros(n).index_add_(0, place, weight)
    grad = share.mul_((mass / total[:n])[:, None])
    grad.view(-1).index_add_(0, at, weight[own], alpha=-1)
    return value, grad
