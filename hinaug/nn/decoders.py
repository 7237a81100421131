"""Decoders: from vectors of two node types to scores of pairs.

Each has two methods: `forward` scores everything with everything, [n, d] x [m, d] -> [n, m], and
`pairs` scores row by row, [n, d] x [n, d] -> [n]. To train on inner products of many pairs,
`pair_dot` is cheaper than gathering both sides.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["BilinearDecoder", "CosineDecoder", "DotDecoder"]


class DotDecoder(nn.Module):
    """Inner product <x, y>. No parameters.

    Example
    -------
    >>> DotDecoder()(torch.ones(2, 3), torch.ones(4, 3)).shape
    torch.Size([2, 4])
    """

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Every x with every y: x [n, d], y [m, d] -> [n, m]."""
        return x @ y.T

    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """Row by row: x [n, d], y [n, d] -> [n]."""
        return (x * y).sum(-1)


class CosineDecoder(nn.Module):
    """<x, y> / (|x| |y| temperature): blind to length, hence to most of popularity. A zero vector
    scores 0.

    Parameters
    ----------
    temperature
        Above 0; 0.1 to 0.2 is usual before a softmax loss, 1 gives plain cosines.

    Example
    -------
    >>> CosineDecoder().pairs(torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0]]))
    tensor([0.6000])
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        self.temperature = temperature

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Every x with every y: x [n, d], y [m, d] -> [n, m]."""
        return F.normalize(x, dim=-1) @ F.normalize(y, dim=-1).T / self.temperature

    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """Row by row: x [n, d], y [n, d] -> [n]."""
        return (F.normalize(x, dim=-1) * F.normalize(y, dim=-1)).sum(-1) / self.temperature


class BilinearDecoder(nn.Module):
    """x^T W_r y for each relation r. A diagonal W_r is DistMult (Yang et al., ICLR 2015) and
    symmetric in x and y; a full one is RESCAL (Nickel et al., ICML 2011). Every W_r starts as the
    identity, that is, as the inner product.

    Parameters
    ----------
    dim
        The width d of x and y.
    relations
        Number of relations.
    diagonal
        DistMult, d parameters a relation; otherwise d x d.

    Shapes
    ------
    x [n, d], y [m, d], relation an int -> [n, m]; `pairs`: x, y [n, d], relation an int or
    positions [n] -> [n].

    Example
    -------
    >>> BilinearDecoder(3, relations=2)(torch.ones(2, 3), torch.ones(4, 3), relation=1).shape
    torch.Size([2, 4])
    """

    def __init__(self, dim: int, relations: int = 1, diagonal: bool = True) -> None:
        super().__init__()
        self.diagonal = diagonal
        one = torch.ones(dim) if diagonal else torch.eye(dim)
        self.weight = nn.Parameter(one.repeat(relations, *[1] * one.ndim))

    def forward(self, x: Tensor, y: Tensor, relation: int = 0) -> Tensor:
        """Every x with every y under one relation: x [n, d], y [m, d] -> [n, m]."""
        w = self.weight[relation]
        return (x * w if self.diagonal else x @ w) @ y.T

    def pairs(self, x: Tensor, y: Tensor, relation: int | Tensor = 0) -> Tensor:
        """Row by row: x [n, d], y [n, d] -> [n]; relation: one for all rows, or the position of
        each row's own [n].
        """
        if self.diagonal:
            return (x * self.weight[relation] * y).sum(-1)
        if isinstance(relation, int):
            return (x @ self.weight[relation] * y).sum(-1)
        out = x.new_zeros(
            len(x)
        )  # one product a relation: gathering W_r for each pair would take [n, d, d]
        for r in relation.unique().tolist():
            rows = (relation == r).nonzero().squeeze(1)
            out = out.index_add(0, rows, (x[rows] @ self.weight[r] * y[rows]).sum(-1))
        return out
