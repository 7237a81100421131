"""The networks of CFGAN: rows of links from rows of links."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hinaug.nn.encoders import MLP, linear
from hinaug.nn.joint_vae import Bag

__all__ = ["CFGANNetwork"]


class CFGANNetwork(nn.Module):
    """Generator and critic of CFGAN (Chae et al., "CFGAN: A Generic Collaborative Filtering
    Framework based on Generative Adversarial Networks", CIKM 2018), on unit rows c of links.

        h = tanh(c E + e),   logits = h W + w,   row = sigmoid(logits)
        critic(row, c) = MLP([row, c])

    Parameters
    ----------
    width
        Columns of a row.
    hidden
        Width of the layers.
    generator
        Source of the initial weights.

    Example
    -------
    >>> net = CFGANNetwork(5, 8, torch.Generator().manual_seed(0))
    >>> net.critic(torch.zeros(2, 10)).shape
    torch.Size([2, 1])
    """

    def __init__(self, width: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        into = linear(width, hidden, generator)
        self.encoder = nn.Parameter(into.weight.detach().T.clone().contiguous())
        self.encoder_bias = nn.Parameter(into.bias.detach().clone())
        self.head = linear(hidden, width, generator)
        self.critic = MLP(2 * width, [hidden], 1, generator, lambda: nn.LeakyReLU(0.2))

    def encode(self, condition: Bag) -> Tensor:
        """The hidden layer [b, hidden] of unit rows."""
        columns, starts, values = condition
        bags = F.embedding_bag(columns, self.encoder, starts, mode="sum", per_sample_weights=values)
        return torch.tanh(bags + self.encoder_bias)

    def generator_parameters(self) -> list[nn.Parameter]:
        return [self.encoder, self.encoder_bias, *self.head.parameters()]
