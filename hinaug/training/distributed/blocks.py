"""Some columns at a time: beside parameters and optimiser a step holds vectors of a few columns
alone, and parameters and optimiser may lie on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from hinaug.graph import spill
from hinaug.nn import Embeddings
from hinaug.training.distributed.columns import ColumnBPR
from hinaug.training.objectives import Gap

Pair = tuple[Tensor, Tensor]  # of users and of items
Prior = Callable[[Tensor], Tensor]  # adds the prior of a network to a loss
MOMENTS = ("exp_avg", "exp_avg_sq")  # of Adam


class ColumnBlocks(nn.Module):
    """The columns of a rank as networks of a few columns each.

    Parameters
    ----------
    nets
        The networks, one after another; all but the last have as many columns.
    on_disk
        Parameters lie in temporary files (see `hinaug.graph.spill`).

    Shapes
    ------
    Nothing -> users [n, own columns], items [m, own columns].
    """

    def __init__(self, nets: Iterable[Embeddings], on_disk: bool) -> None:
        super().__init__()
        kept = [
            net.over(_filed(net.users.detach()), _filed(net.items.detach())) if on_disk else net
            for net in nets
        ]
        self.each, self.own_weight = kept, kept[0].own_weight
        self.nets = nn.ModuleList(kept)  # so that their parameters are known

    def forward(self) -> Pair:
        """The final vectors, without a gradient; large ones lie in a file."""
        return _side_by_side([net.forward for net in self.each])

    def generators(self) -> tuple[torch.Generator, ...]:
        """As `Embeddings.generators`."""
        return ()

    def messages(self) -> Pair | None:
        """As `Embeddings.messages`, over all own columns."""
        if self.each[0].messages() is None:
            return None
        return _side_by_side([net.messages for net in self.each])


class BlockSteps:
    """Steps of Adam on `ColumnBPR`, over a few columns at a time.

    A first pass over the networks adds up the products of the step's pairs; they are summed over
    the ranks. The second computes each network anew, and moves it along its part of the gradient.
    So a step costs half as much again as one that holds all columns.

    Parameters
    ----------
    network, objective
        What learns, and the loss with the draws of a step.
    priors
        Of each network.
    lr
        Of Adam.
    on_disk
        The state of Adam lies in temporary files.
    """

    def __init__(
        self,
        network: ColumnBlocks,
        objective: ColumnBPR,
        priors: Sequence[Prior],
        lr: float,
        on_disk: bool,
    ) -> None:
        self.network, self.objective, self.priors = network, objective, priors
        self.adams = [_adam(net, lr, on_disk) for net in network.each]

    def __call__(self, step: int) -> dict[str, Tensor]:
        """One step; gives its loss."""
        (src, pos, neg), share = self.objective.drawn(step)
        nothing = torch.zeros((), dtype=torch.float64)
        total = torch.zeros(len(src) + 1, dtype=torch.float64)
        with torch.no_grad():
            for net, prior in zip(self.network.each, self.priors, strict=True):
                total[:-1] += Gap.apply(*net(), src, pos, neg, torch.float64)
                total[-1] += prior(nothing)
        self.objective.columns.ranks.sum(total)
        slope = -share * torch.sigmoid(-total[:-1])
        for net, prior, adam in zip(self.network.each, self.priors, self.adams, strict=True):
            part = Gap.apply(*net(), src, pos, neg, torch.float64)
            prior(slope @ part).backward()
            adam.step()
            adam.zero_grad()
        return {"loss": share @ softplus(-total[:-1]) + total[-1]}


def _adam(net: nn.Module, lr: float, on_disk: bool) -> torch.optim.Adam:
    """Adam of one network; on disk, its state is made here and not at the first step."""
    adam = torch.optim.Adam(net.parameters(), lr=lr, fused=True)
    for parameter in net.parameters() if on_disk else ():
        moments = {name: _filed(torch.zeros(1).expand(parameter.shape)) for name in MOMENTS}
        adam.state[parameter] = {"step": torch.zeros(()), **moments}
    return adam


def _filed(x: Tensor) -> Tensor:
    """The same numbers in a temporary file, where there are many."""
    return _room(tuple(x.shape), x.dtype).copy_(x)


def _room(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    kind = torch.empty(0, dtype=dtype).numpy().dtype
    return torch.from_numpy(spill.empty(int(np.prod(shape)), kind)).reshape(shape)


def _side_by_side(parts: Sequence[Callable[[], Pair | None]]) -> Pair:
    """Vectors of some columns each, one call after the other, as vectors of all."""
    whole: list[Tensor] = []
    at = 0
    for vectors in parts:
        with torch.no_grad():
            both = vectors()
        assert both is not None
        if not whole:
            width = len(parts) * both[0].shape[1]
            whole = [_room((len(x), width), x.dtype) for x in both]
        for out, x in zip(whole, both, strict=True):
            out[:, at : at + x.shape[1]] = x
        at += both[0].shape[1]
    users, items = (out[:, :at] for out in whole)
    return users, items
