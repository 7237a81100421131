"""Small networks for rows of mixed columns: a perceptron, and a head that writes numbers,
categories and vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

__all__ = ["MLP", "MixedHead", "dropout", "gumbel_softmax", "linear"]

KINDS = ("continuous", "categorical", "vector")


def linear(in_dim: int, out_dim: int, generator: torch.Generator) -> nn.Linear:
    """`nn.Linear` with its usual initial values, U(-1/sqrt(in_dim), 1/sqrt(in_dim)), drawn from
    `generator` alone.
    """
    layer = nn.utils.skip_init(nn.Linear, in_dim, out_dim)
    bound = in_dim**-0.5 if in_dim else 0.0
    with torch.no_grad():
        for p in layer.parameters():
            p.uniform_(-bound, bound, generator=generator)
    return layer


def dropout(x: Tensor, p: float, generator: torch.Generator) -> Tensor:
    """Zero each number of x with probability p and divide the others by 1 - p; the noise comes from
    `generator`.
    """
    keep = torch.empty(x.shape, device=generator.device, dtype=x.dtype).bernoulli_(
        1 - p, generator=generator
    )
    return x * keep.to(x.device) / (1 - p)


def gumbel_softmax(
    logits: Tensor, tau: float, generator: torch.Generator, hard: bool = False
) -> Tensor:
    """softmax((logits + Gumbel noise) / tau) over the last axis (Jang et al.; Maddison et al., ICLR
    2017).

    `hard` gives exact one-hot rows, drawn with probabilities softmax(logits), with the gradient of
    the soft ones (straight-through). A small tau is nearer to one-hot and has noisier gradients.

    Shapes
    ------
    logits [..., k] -> [..., k].

    Example
    -------
    >>> g = torch.Generator().manual_seed(0)
    >>> gumbel_softmax(torch.zeros(2, 3), 0.5, g, hard=True).sum(1)
    tensor([1., 1.])
    """
    if not tau > 0:
        raise ValueError(f"tau must be positive, got {tau}")
    noise = torch.empty(logits.shape, device=generator.device, dtype=logits.dtype).exponential_(
        generator=generator
    )
    noise = noise.clamp_min_(torch.finfo(noise.dtype).tiny).log_().neg_().to(logits.device)
    soft = ((logits + noise) / tau).softmax(-1)
    if not hard:
        return soft
    one_hot = torch.zeros_like(soft).scatter_(-1, soft.argmax(-1, keepdim=True), 1.0)
    return one_hot + (
        soft - soft.detach()
    )  # the difference is exactly zero, so the value stays one-hot


class MLP(nn.Module):
    """Multilayer perceptron: for each hidden width linear, norm, activation, dropout; then one
    linear layer.

    Parameters
    ----------
    in_dim, out_dim
        Widths of input and output.
    hidden
        Widths of the layers between; none makes it one linear layer.
    generator
        Source of the initial weights.
    activation
        Makes the activation module, such as `nn.ReLU` or `lambda: nn.LeakyReLU(0.2)`.
    norm
        Makes a normalisation from a width, such as `nn.LayerNorm`; not batch norm in a critic with
        gradient penalty.
    dropout
        Probability of dropping a unit; while training, `forward` then needs a generator.

    Shapes
    ------
    x [..., in_dim] -> [..., out_dim].

    Example
    -------
    >>> net = MLP(8, [32, 32], 4, generator=torch.Generator().manual_seed(0))
    >>> net(torch.zeros(5, 8)).shape
    torch.Size([5, 4])
    """

    def __init__(
        self,
        in_dim: int,
        hidden: Sequence[int],
        out_dim: int,
        generator: torch.Generator,
        activation: Callable[[], nn.Module] = nn.ReLU,
        norm: Callable[[int], nn.Module] | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {dropout}")
        self.dropout = dropout
        self.blocks = nn.ModuleList()
        for a, b in zip([in_dim, *hidden], hidden, strict=False):
            normed = [] if norm is None else [norm(b)]
            self.blocks.append(nn.Sequential(linear(a, b, generator), *normed, activation()))
        self.last = linear(hidden[-1] if hidden else in_dim, out_dim, generator)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """x [n, in_dim] -> [n, out_dim]. generator: for dropout while training; ValueError where it
        is missing then.
        """
        for block in self.blocks:
            x = block(x)
            if self.training and self.dropout > 0:
                if generator is None:
                    raise ValueError(
                        "dropout while training needs `generator`; or call .eval() first"
                    )
                x = dropout(x, self.dropout, generator)
        return self.last(x)


class MixedHead(nn.Module):
    """Decodes a hidden vector into a row of mixed columns, side by side.

    A "continuous" block (numbers) and a "vector" block (an embedding) come out of a linear layer as
    they are: a tanh could not reach values outside (-1, 1). A "categorical" block is a (nearly)
    one-hot sample through `gumbel_softmax`.

    Parameters
    ----------
    in_dim
        Width of the hidden vector.
    blocks
        (kind, width) of each block in order, kind in "continuous", "categorical", "vector".
    generator
        Source of the initial weights.
    tau
        Temperature of the categorical blocks.

    Shapes
    ------
    h [n, in_dim] -> [n, sum of widths].

    Example
    -------
    >>> g = torch.Generator().manual_seed(0)
    >>> head = MixedHead(16, [("continuous", 2), ("categorical", 3)], generator=g)
    >>> numbers, category = head.split(head(torch.zeros(5, 16), g, hard=True))
    >>> category.sum(1)
    tensor([1., 1., 1., 1., 1.], grad_fn=<SumBackward1>)
    """

    def __init__(
        self,
        in_dim: int,
        blocks: Sequence[tuple[str, int]],
        generator: torch.Generator,
        tau: float = 0.5,
    ) -> None:
        super().__init__()
        for kind, width in blocks:
            if kind not in KINDS or width < 1:
                raise ValueError(
                    f"a block is one of {KINDS} and a width of 1 or more, got {(kind, width)}"
                )
        self.blocks = [(kind, int(width)) for kind, width in blocks]
        self.tau = tau
        self.linear = linear(in_dim, sum(width for _, width in self.blocks), generator)

    def forward(self, h: Tensor, generator: torch.Generator, hard: bool = False) -> Tensor:
        """h [n, in_dim] -> [n, sum of widths]. hard: categories as one-hot rows, with the gradient
        of the soft ones.
        """
        parts = [
            gumbel_softmax(part, self.tau, generator, hard) if kind == "categorical" else part
            for (kind, _), part in zip(self.blocks, self.split(self.linear(h)), strict=True)
        ]
        return torch.cat(parts, dim=-1)

    def logits(self, h: Tensor) -> Tensor:
        """The row before any sampling: numbers, vectors, and the logits of categories. Needs no
        randomness.
        """
        return self.linear(h)

    def split(self, rows: Tensor) -> list[Tensor]:
        """The blocks of rows [n, sum of widths], one view each."""
        return list(rows.split([width for _, width in self.blocks], dim=-1))
