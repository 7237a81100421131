"""A square projection of features that starts as the identity, and what it learns by."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hinaug.nn.encoders import dropout
from hinaug.nn.sparse import SparseMatrix, spmm

__all__ = ["ProjectionNetwork"]

MASKED = -1e9  # the logit of what is no negative


class ProjectionNetwork(nn.Module):
    """x W with W square, started at the identity, and the InfoNCE loss of histories against nodes.

    For a node i and a history H that it was taken out of, with p_j = x_j W and the cosines

        s_j = cos(sum of p_k over k in H, p_j),
        loss = -log(exp(s_i / tau) / sum_j exp(s_j / tau)),

    j over all nodes that are not in H (van den Oord et al., "Representation Learning with
    Contrastive Predictive Coding", arXiv 1807.03748). Before the first step the score is the cosine
    of the features as they are; a random start would have to learn that much first.

    Parameters
    ----------
    dim
        Width of the features.
    temperature
        The temperature tau of the formula.
    dropout
        Probability of dropping a feature, drawn apart for the histories and for the nodes that they
        are compared with.

    Shapes
    ------
    features [n, dim] -> [n, dim].

    Example
    -------
    >>> network = ProjectionNetwork(2)
    >>> x = torch.eye(3, 2)
    >>> bool(torch.equal(network(x), x))
    True
    """

    def __init__(self, dim: int, temperature: float = 0.1, dropout: float = 0.2) -> None:
        super().__init__()
        self.temperature, self.dropout = temperature, dropout
        self.weight = nn.Parameter(torch.eye(dim))

    def forward(self, features: Tensor) -> Tensor:
        return features @ self.weight

    def loss(
        self,
        features: Tensor,
        histories: Any,
        nodes: Tensor,
        weight: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """The weighted mean loss of b pairs of a history and a node.

        features [n, dim]: of all nodes. histories: scipy sparse [b, n], without the node of the
        pair; its values weigh the sum. nodes [b]: positions. weight [b]: of the pairs. generator:
        of the dropout.
        """
        ours = self(dropout(features, self.dropout, generator))
        theirs = self(dropout(features, self.dropout, generator))
        sums = spmm(SparseMatrix(histories).to(features.device), ours)
        logits = F.normalize(sums) @ F.normalize(theirs).T / self.temperature
        others = torch.zeros(logits.shape, dtype=torch.bool)
        others[tuple(torch.from_numpy(c.astype(np.int64)) for c in histories.tocoo().coords)] = True
        logits = logits.masked_fill(others.to(logits.device), MASKED)
        losses = F.cross_entropy(logits, nodes, reduction="none")
        return (weight * losses).sum() / weight.sum()
