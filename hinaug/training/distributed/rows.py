"""Embeddings and graph divided by rows: a rank has a range of the users with their links, and a
range of the items.

What a rank needs of other items, its halo, comes from the ranks that have them, and what it adds to
them goes back. So no rank holds the graph or a whole table, and each layer and step sends vectors.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from hinaug.nn import SparseMatrix
from hinaug.training.distributed.columns import Columns, Summed
from hinaug.training.distributed.ranks import Ranks
from hinaug.training.objectives import BPR, Gap


class Halo:
    """Some items whose vectors lie at the ranks that have them.

    Parameters
    ----------
    ranks
        The group of processes; rank r has the r-th share of the items.
    n
        Items over all ranks.
    items
        Those that are needed here, sorted, int64 [h].

    Example
    -------
    >>> Halo(Ranks(), 4, np.array([1, 3])).fetch(torch.arange(4.0)[:, None]).ravel()
    tensor([1., 3.])
    """

    def __init__(self, ranks: Ranks, n: int, items: np.ndarray) -> None:
        self.ranks = ranks
        cuts = np.searchsorted(items, ranks.bounds(n))
        asked = [torch.from_numpy(items[a:b]) for a, b in itertools.pairwise(cuts)]
        self.asked = [len(part) for part in asked]
        given = ranks.exchange([torch.tensor([size]) for size in self.asked], [(1,)] * ranks.size)
        wanted = ranks.exchange(asked, [(int(size),) for size in given])
        self.own = [part - ranks.share(n).start for part in wanted]

    def fetch(self, x: Tensor) -> Tensor:
        """Vectors of the own items [m, d] -> those of the halo [h, d]."""
        shapes = [(size, x.shape[1]) for size in self.asked]
        return torch.cat(self.ranks.exchange([x[part] for part in self.own], shapes))

    def add(self, x: Tensor, to: Tensor) -> Tensor:
        """What is to be added to the items of the halo [h, d], added to the own items [m, d]."""
        shapes = [(len(part), x.shape[1]) for part in self.own]
        parts = self.ranks.exchange(x.split(self.asked), shapes)
        for part, values in zip(self.own, parts, strict=True):
            to.index_add_(0, part, values)
        return to


class RowNetwork(nn.Module):
    """The vectors of own users and own items, propagated as in `BipartitePropagation`.

    Parameters
    ----------
    ranks
        The group of processes.
    users, items
        Initial vectors of the own users [n, d] and of the own items [m, d].
    links
        The links of the own users with all items, CSR.
    n_layers
        Layers of the propagation; 0 for none.

    Shapes
    ------
    Nothing -> own users [n, d], own items [m, d].
    """

    def __init__(
        self, ranks: Ranks, users: Tensor, items: Tensor, links: sp.csr_array, n_layers: int
    ) -> None:
        super().__init__()
        self.users, self.items = nn.Parameter(users), nn.Parameter(items)
        self.n_layers, self.own_weight = n_layers, 1 / (n_layers + 1)
        near, place = np.unique(links.indices, return_inverse=True)
        self.halo = Halo(ranks, links.shape[1], near.astype(np.int64))
        local = (links.data, place.astype(np.int32), links.indptr)
        self.matrix = SparseMatrix(sp.csr_array(local, shape=(links.shape[0], len(near))))
        degrees = np.bincount(links.indices, links.data, minlength=links.shape[1])
        of_items = ranks.sum(torch.from_numpy(degrees))[ranks.share(links.shape[1])]
        self.scales = _inverse_root(torch.from_numpy(links.sum(axis=1))), _inverse_root(of_items)

    def forward(self) -> tuple[Tensor, Tensor]:
        """The final vectors of the own users and items."""
        return _Propagate.apply(self.users, self.items, self)

    def squares(self) -> Tensor:
        """The sum of the squares of the own parameters, in float64."""
        users, items = (x.square().sum(dtype=torch.float64) for x in (self.users, self.items))
        return users + items

    def generators(self) -> tuple[torch.Generator, ...]:
        """As `Embeddings.generators`."""
        return ()

    def messages(self) -> tuple[Tensor, Tensor] | None:
        """As `Embeddings.messages`, of the own nodes."""
        if not self.n_layers:
            return None
        layers = list(self._layers(self.users.detach(), self.items.detach(), self.n_layers - 1))
        users, items = (
            scale * self.own_weight * torch.stack(side).sum(0)
            for side, scale in zip(zip(*layers, strict=True), self.scales, strict=True)
        )
        return users, items

    def _layers(self, users: Tensor, items: Tensor, n: int) -> Any:
        """The vectors after 0 .. n layers."""
        yield users, items
        for _ in range(n):
            near = self.halo.fetch(items * self.scales[1])
            far = self.matrix.multiply_transposed(users * self.scales[0])
            users = self.matrix.multiply(near) * self.scales[0]
            items = self.halo.add(far, torch.zeros_like(items)) * self.scales[1]
            yield users, items

    def mean(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """The mean over all layers."""
        out = torch.zeros_like(users), torch.zeros_like(items)
        for layer in self._layers(users, items, self.n_layers):
            for total, x in zip(out, layer, strict=True):
                total.add_(x, alpha=self.own_weight)
        return out


class RowBPR:
    """`BPR` of which each rank has the links of its users; the draws are those of `ColumnBPR`.

    Parameters
    ----------
    columns
        The draws, of all columns.
    links
        The links of the own users with all items, CSR.
    batch
        Links of a step over all ranks, drawn with replacement; None for all.
    """

    def __init__(self, columns: Columns, links: sp.csr_array, batch: int | None) -> None:
        self.columns, self.batch, self.n_items = columns, batch, links.shape[1]
        ranks = columns.ranks
        sizes = torch.zeros(ranks.size + 1, dtype=torch.float64)
        sizes[ranks.rank], sizes[-1] = links.nnz, float(links.data.sum(dtype=np.float64))
        ranks.sum(sizes)
        self.n = int(sizes[:-1].sum())
        self.first = int(sizes[: ranks.rank].sum())
        self.total = float(sizes[-1])
        self.bpr = BPR(links, np.random.default_rng(0)) if links.nnz else None
        self.weight = torch.from_numpy(links.data).double() / self.total

    def drawn(self, step: int) -> tuple[tuple[np.ndarray, ...], Tensor]:
        """Own users, items and negatives of the own links of a step, and their weights."""
        rng = self.columns.step_rng(step)
        at = np.arange(self.n) if self.batch is None else rng.integers(self.n, size=self.batch)
        uniform = rng.random(len(at))
        own = (at >= self.first) & (at < self.first + len(self.weight))
        local, scale = at[own] - self.first, self.n / len(at)
        if self.bpr is None:
            return (local,) * 3, self.weight
        negatives = self.bpr.free_items(local, uniform[own])
        ends = self.bpr.src[local], self.bpr.pos[local], negatives
        return ends, self.weight[torch.from_numpy(local)] * scale

    def __call__(self, users: Tensor, items: Tensor, prior: Tensor, step: int) -> Tensor:
        (src, pos, neg), share = self.drawn(step)
        near, place = np.unique(np.concatenate([pos, neg]), return_inverse=True)
        halo = Halo(self.columns.ranks, self.n_items, near.astype(np.int64))
        places = torch.from_numpy(place.astype(np.int64)).split(len(pos))
        others = _Fetch.apply(items, halo)
        ends = torch.from_numpy(src), *(places if len(pos) else (torch.zeros(0).long(),) * 2)
        gap = Gap.apply(users, others, *ends, torch.float64)
        return Summed.apply(share @ softplus(-gap) + prior, self.columns.ranks)


def own_rows(columns: Columns, shape: Sequence[int]) -> list[Tensor]:
    """The own rows of normal draws for users and for items, each column from its own generator."""
    sides: list[Tensor] = []
    for n in shape:
        own = columns.ranks.share(n)
        parts = [part.standard_normal((n, 1), np.float32)[own] for part in columns.parts(1)]
        sides.append(torch.from_numpy(np.concatenate(parts, axis=1)))
    return sides


class _Propagate(torch.autograd.Function):
    """The mean over all layers. The matrix is symmetric, so the gradient goes the same way."""

    @staticmethod
    def forward(
        ctx: Any, users: Tensor, items: Tensor, network: RowNetwork
    ) -> tuple[Tensor, Tensor]:
        ctx.network = network
        return network.mean(users, items)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor, None]:
        return *ctx.network.mean(users, items), None


class _Fetch(torch.autograd.Function):
    """Vectors of a halo; the gradient goes back to the ranks that have them."""

    @staticmethod
    def forward(ctx: Any, items: Tensor, halo: Halo) -> Tensor:
        ctx.halo, ctx.shape = halo, items.shape
        return halo.fetch(items)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.halo.add(grad.contiguous(), grad.new_zeros(ctx.shape)), None


def _inverse_root(degrees: Tensor) -> Tensor:
    """d^-1/2 as a column, 0 for a degree of 0."""
    column = degrees.double().reshape(-1, 1)
    return torch.where(column > 0, column.clamp(min=1e-300).rsqrt(), 0.0).float()
