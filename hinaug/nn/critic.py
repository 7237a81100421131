"""A critic of whole nodes, and draws of links that a gradient passes through."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hinaug.nn.encoders import linear

__all__ = ["NodeCritic", "SpectralLinear", "gumbel_top", "hinge_critic_loss"]


class SpectralLinear(nn.Module):
    """A linear layer whose weight is divided by its largest singular value (Miyato et al.,
    "Spectral Normalization for Generative Adversarial Networks", ICLR 2018).

    The singular vectors come from one step of power iteration a forward pass while training.

    Parameters
    ----------
    in_dim, out_dim
        Widths of input and output.
    generator
        Source of the initial weights and vector.

    Example
    -------
    >>> layer = SpectralLinear(3, 2, torch.Generator().manual_seed(0))
    >>> for _ in range(50):
    ...     _ = layer(torch.zeros(1, 3))
    >>> round(float(torch.linalg.matrix_norm(layer.scaled_weight().detach(), 2)), 3)
    1.0
    """

    def __init__(self, in_dim: int, out_dim: int, generator: torch.Generator) -> None:
        super().__init__()
        plain = linear(in_dim, out_dim, generator)
        self.weight, self.bias = plain.weight, plain.bias
        self.left: Tensor
        start = torch.empty(out_dim).normal_(generator=generator)
        self.register_buffer("left", F.normalize(start, dim=0))

    def scaled_weight(self) -> Tensor:
        """The weight over the estimate of its largest singular value."""
        with torch.no_grad():
            right = F.normalize(self.weight.T @ self.left, dim=0)
            left = F.normalize(self.weight @ right, dim=0)
            if self.training:
                self.left.copy_(left)
        return self.weight / torch.dot(left, self.weight @ right)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.scaled_weight(), self.bias)


class NodeCritic(nn.Module):
    """Scores packs of whole nodes: links of all relations, degrees and codes of columns together.

        h = leaky([links / sqrt(mean degree), log(1 + degree), one-hot codes] A + a) for each node
        score = MLP(h of all nodes of a pack, side by side)

    A pack of several nodes shows whether these are too much alike (Lin et al., "PacGAN", NeurIPS
    2018). Each layer is spectrally normalised, or plain where a gradient penalty bounds the slope.

    Parameters
    ----------
    sizes
        Targets of each relation.
    degrees
        Mean real degree of each.
    levels
        Codes of each column.
    hidden
        Width of the layers.
    pack
        Nodes in a pack.
    generator
        Source of the initial weights.
    spectral
        Whether layers are normalised.

    Shapes
    ------
    x [n, pack * (sum of sizes and levels)] -> [n].

    Example
    -------
    >>> critic = NodeCritic([4], [2.0], [2], 8, 2, torch.Generator().manual_seed(0))
    >>> critic(torch.zeros(3, 2 * 6)).shape
    torch.Size([3])
    """

    def __init__(
        self,
        sizes: Sequence[int],
        degrees: Sequence[float],
        levels: Sequence[int],
        hidden: int,
        pack: int,
        generator: torch.Generator,
        spectral: bool = True,
    ) -> None:
        super().__init__()
        layer = SpectralLinear if spectral else linear
        self.sizes, self.n_links, self.pack = list(sizes), sum(sizes), pack
        width = sum(sizes) + sum(levels)
        scale = [torch.full((m,), max(d, 1.0) ** -0.5) for m, d in zip(sizes, degrees, strict=True)]
        self.scale: Tensor
        self.register_buffer("scale", torch.cat([*scale, torch.ones(sum(levels))]))
        self.node = layer(width + len(self.sizes), hidden, generator)
        self.both = layer(pack * hidden, hidden, generator)
        self.last = layer(hidden, 1, generator)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.view(len(x) * self.pack, -1)
        parts = rows[:, : self.n_links].split(self.sizes, 1)
        degree = torch.stack([part.sum(1) for part in parts], 1).clamp_min(0).log1p()
        h = F.leaky_relu(self.node(torch.cat([rows * self.scale, degree], 1)), 0.2)
        h = F.leaky_relu(self.both(h.view(len(x), -1)), 0.2)
        return self.last(h)[:, 0]


def gumbel_top(logits: Tensor, n: Tensor, tau: float, generator: torch.Generator) -> Tensor:
    """n_i different columns a row, as exact 0/1 with the gradient of a soft choice [b, m].

        keys = log softmax(logits) + Gumbel noise,   t = midway between the n-th and the next key
        hard = keys > t,   soft = sigmoid((keys - t) / tau)

    Gumbel top-n draws without replacement (Kool et al., ICML 2019); straight-through gives `hard`
    the gradient of `soft` (Bengio et al., 2013).

    Parameters
    ----------
    logits
        [b, m], -inf for columns that are never drawn.
    n
        How many are drawn a row, int64 [b], at most m.
    tau
        Width of the soft step.
    generator
        Source of the noise.

    Example
    -------
    >>> g = torch.Generator().manual_seed(0)
    >>> gumbel_top(torch.zeros(2, 5), torch.tensor([1, 3]), 1.0, g).sum(1)
    tensor([1., 3.])
    """
    m = logits.shape[1]
    noise = torch.empty(logits.shape).exponential_(generator=generator)
    noise = noise.clamp_min_(torch.finfo(noise.dtype).tiny).log_().neg_().to(logits.device)
    keys = logits.log_softmax(1) + noise
    width = min(int(n.max()) + 1, m) if len(n) else 0
    if width == 0:
        return torch.zeros_like(logits)
    with torch.no_grad():
        best = F.pad(keys.topk(width, 1).values, (1, 1), value=float("nan"))
        above = best.gather(1, n[:, None]).nan_to_num(nan=0.0, neginf=-1e9)
        below = best.gather(1, n[:, None] + 1).nan_to_num(nan=-1e9, neginf=-1e9)
        t = torch.where(n[:, None] == 0, best[:, 1:2] + 1e3, (above + below) / 2)
        hard = ((keys > t) & keys.isfinite()).to(keys.dtype)
    soft = torch.sigmoid((keys - t) / tau)
    return hard + (soft - soft.detach())


def hinge_critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """What a critic minimises: mean max(0, 1 - real) + mean max(0, 1 + fake), for its scores (Lim
    and Ye, "Geometric GAN", 2017). The generator minimises -mean(fake).

    Example
    -------
    >>> hinge_critic_loss(torch.tensor([2.0]), torch.tensor([-0.5]))
    tensor(0.5000)
    """
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
