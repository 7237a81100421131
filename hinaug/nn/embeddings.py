"""Networks of one vector a node: free, propagated over the links, or propagated with noise."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hinaug.nn.propagation import BipartitePropagation, ScaledPropagation
from hinaug.nn.sparse import SparseMatrix, spmm

__all__ = ["Embeddings", "NoisyEmbeddings", "PropagatedEmbeddings", "ScaledEmbeddings"]


class Embeddings(nn.Module):
    """The vectors of users and items, as matrix factorisation has them.

    `forward` gives the final vectors (users, items). While training, a subclass may leave a loss of
    its own in `extra`.

    Parameters
    ----------
    users, items
        The initial vectors, [n, d] and [m, d].

    Shapes
    ------
    Nothing -> users [n, d], items [m, d].

    Example
    -------
    >>> users, items = Embeddings(torch.zeros(2, 4), torch.zeros(3, 4))()
    >>> users.shape, items.shape
    (torch.Size([2, 4]), torch.Size([3, 4]))
    """

    own_weight = 1.0  # of a node's own vector in its final one

    def __init__(self, users: Tensor, items: Tensor) -> None:
        super().__init__()
        self.users, self.items = nn.Parameter(users), nn.Parameter(items)
        self.extra: Tensor | float = 0.0

    def forward(self) -> tuple[Tensor, Tensor]:
        """The final vectors of users [n, d] and items [m, d]."""
        return self.users, self.items

    def over(self, users: Tensor, items: Tensor) -> Embeddings:
        """The same network of other initial vectors; what is not learned is shared."""
        return Embeddings(users, items)

    def generators(self) -> tuple[torch.Generator, ...]:
        """What `forward` draws from while training."""
        return ()

    def messages(self) -> tuple[Tensor, Tensor] | None:
        """What users [n, d] and items [m, d] send to a neighbour that is new, over all layers.

        The final vector of a new node is `own_weight` times its own vector plus the sum of the
        messages of its neighbours, times a power of its degree. None: nothing is sent.
        """
        return None


class PropagatedEmbeddings(Embeddings):
    """Vectors propagated as in LightGCN, with features of items and similarity graphs if given.

        items_0 = items + feature_scale * features W,    z = propagate(users, items_0),
        z <- z + smooth * near z                         for each side that has a graph `near`

    Parameters
    ----------
    users, items
        The initial vectors, [n, d] and [m, d].
    propagate
        The propagation over the links.
    features
        Features of the items [m, f], or None; W starts at 0.
    feature_scale
        The weight of the features in the formula.
    near
        Similarity graphs of users and of items as `SparseMatrix`, None for none.
    smooth
        The weight of the similarity graphs in the formula.

    Example
    -------
    >>> from scipy.sparse import csr_array
    >>> likes = csr_array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    >>> propagate = BipartitePropagation(likes, n_layers=1)
    >>> PropagatedEmbeddings(torch.ones(2, 4), torch.ones(3, 4), propagate)()[1][:, 0]
    tensor([0.8536, 1.1036, 0.5000], grad_fn=<SelectBackward0>)
    """

    features: Tensor

    def __init__(
        self,
        users: Tensor,
        items: Tensor,
        propagate: BipartitePropagation,
        features: Tensor | None = None,
        feature_scale: float = 1.0,
        near: Sequence[SparseMatrix | None] = (None, None),
        smooth: float = 0.0,
    ) -> None:
        super().__init__(users, items)
        self.propagate, self.feature_scale, self.smooth = propagate, feature_scale, smooth
        self.near = nn.ModuleList(nn.Identity() if n is None else n for n in near)
        self.feature_map: nn.Parameter | None = None
        if features is not None:
            self.register_buffer("features", features, persistent=False)
            self.feature_map = nn.Parameter(torch.zeros(features.shape[1], items.shape[1]))
        self.own_weight = propagate.weights[0]

    def forward(self) -> tuple[Tensor, Tensor]:
        """The final vectors of users [n, d] and items [m, d]."""
        both = self.propagate(self.users, self._start())
        users, items = (
            z + self.smooth * spmm(near, z) if isinstance(near, SparseMatrix) else z
            for near, z in zip(self.near, both, strict=True)
        )
        return users, items

    def over(self, users: Tensor, items: Tensor) -> PropagatedEmbeddings:
        """The same network of other initial vectors; what is not learned is shared."""
        near = [n if isinstance(n, SparseMatrix) else None for n in self.near]
        features = None if self.feature_map is None else self.features
        settings = features, self.feature_scale, near, self.smooth
        return PropagatedEmbeddings(users, items, self.propagate, *settings)

    def _start(self) -> Tensor:
        if self.feature_map is None:
            return self.items
        return self.items + self.feature_scale * (self.features @ self.feature_map)

    def messages(self) -> tuple[Tensor, Tensor]:
        """d^-1/2 times the weighted sum of a node's layers but the last; see `Embeddings`."""
        return self.propagate.messages(self.users, self._start())


class ScaledEmbeddings(Embeddings):
    """Vectors propagated as in LightGCN++, see `ScaledPropagation`.

    Parameters
    ----------
    users, items
        The initial vectors, [n, d] and [m, d].
    propagate
        The propagation over the links.

    Example
    -------
    >>> from scipy.sparse import csr_array
    >>> likes = csr_array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    >>> propagate = ScaledPropagation(likes, n_layers=1)
    >>> ScaledEmbeddings(torch.ones(2, 4), torch.ones(3, 4), propagate)()[0].shape
    torch.Size([2, 4])
    """

    def __init__(self, users: Tensor, items: Tensor, propagate: ScaledPropagation) -> None:
        super().__init__(users, items)
        self.propagate = propagate
        self.own_weight = propagate.gamma

    def forward(self) -> tuple[Tensor, Tensor]:
        """The final vectors of users [n, d] and items [m, d]."""
        return self.propagate(self.users, self.items)

    def messages(self) -> tuple[Tensor, Tensor]:
        """d^-beta times the sum of a node's unit vectors of all layers but the last, weighted."""
        return self.propagate.messages(self.users, self.items)


class NoisyEmbeddings(Embeddings):
    """The network of XSimGCL (Yu et al., TKDE 2023): noise in every layer, and a contrast.

    While training, each layer gets noise of length `eps` in the orthant of its vectors,

        x_l = A x_{l-1} + eps sign(A x_{l-1}) * noise / |noise|,    z = mean of x_1, ..., x_L,

    and `extra` is `contrast_weight` / 2 times the sum over both sides of the mean over a sample of
    nodes of -log softmax_v(cos(z_u, x^c_v) / tau)[u], c the layer `contrast`.

    Parameters
    ----------
    users, items
        The initial vectors, [n, d] and [m, d].
    propagate
        The propagation over the links; its layers are the ones counted below.
    generator
        Source of the noise and of the sample.
    contrast
        The layer that is contrasted, counted from 1.
    sample
        Nodes of each side in the contrast.
    linked
        Positions of the users and of the items that have links; no others are contrasted.

    Example
    -------
    >>> from scipy.sparse import csr_array
    >>> likes = csr_array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    >>> net = NoisyEmbeddings(
    ...     torch.ones(2, 4), torch.ones(3, 4), BipartitePropagation(likes, 2),
    ...     torch.Generator().manual_seed(0), eps=0.1, contrast=1, contrast_weight=0.1, tau=0.2,
    ...     sample=8, linked=(torch.arange(2), torch.arange(2)),
    ... )
    >>> net()[1].shape, bool(net.extra > 0)
    (torch.Size([3, 4]), True)
    """

    def __init__(
        self,
        users: Tensor,
        items: Tensor,
        propagate: BipartitePropagation,
        generator: torch.Generator,
        *,
        eps: float,
        contrast: int,
        contrast_weight: float,
        tau: float,
        sample: int,
        linked: tuple[Tensor, Tensor],
    ) -> None:
        super().__init__(users, items)
        self.propagate, self.generator = propagate, generator
        self.eps, self.contrast, self.contrast_weight = eps, contrast, contrast_weight
        self.tau, self.sample, self.linked = tau, sample, linked

    def forward(self) -> tuple[Tensor, Tensor]:
        """The final vectors of users [n, d] and items [m, d]; sets `extra` while training."""
        layer: tuple[Tensor, Tensor] = (self.users, self.items)
        total: list[Tensor] = []
        contrasted = layer
        for number in range(1, self.propagate.n_layers + 1):
            layer = self.propagate.step(*layer)
            if self.training:
                layer = (self._noisy(layer[0]), self._noisy(layer[1]))
            total = [a + b for a, b in zip(total, layer, strict=True)] if total else list(layer)
            if number == self.contrast:
                contrasted = layer
        users, items = (t / self.propagate.n_layers for t in total)
        if self.training:
            self.extra = self.contrast_weight * sum(
                self._info_nce(z, x, linked)
                for z, x, linked in zip((users, items), contrasted, self.linked, strict=True)
            )
        return users, items

    def generators(self) -> tuple[torch.Generator, ...]:
        """What `forward` draws from while training."""
        return (self.generator,)

    def _noisy(self, x: Tensor) -> Tensor:
        noise = torch.rand(x.shape, generator=self.generator).to(x.device)
        return x + self.eps * torch.sign(x.detach()) * F.normalize(noise)

    def _info_nce(self, z: Tensor, x: Tensor, linked: Tensor) -> Tensor:
        order = torch.randperm(len(linked), generator=self.generator)
        pick = linked[order[: self.sample]].to(z.device)
        logits = F.normalize(z[pick]) @ F.normalize(x[pick]).T / self.tau
        return 0.5 * F.cross_entropy(logits, torch.arange(len(pick), device=z.device))
