"""How a CFGAN learns: a critic of rows under their condition, and a generator of masked rows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn import functional as F

from hinaug.nn.cfgan import CFGANNetwork
from hinaug.nn.joint_vae import bag
from hinaug.training.mult_vae import unit_rows


@dataclass
class CFGANEpochs:
    """The epochs of a CFGAN, one call each: `train(..., epoch=CFGANEpochs(...))`.

    links: CSR of ones [n, width]. unlinked: columns without a link, drawn for each row as often as
    it has links, that stand in a fake row too (partial masking) and are pulled to 0 by `alpha`
    (zero reconstruction). Labels: 1 for real, 0 for generated rows, whose gradient does not reach
    the generator in the critic's step.
    """

    network: CFGANNetwork
    links: sp.csr_array
    rng: np.random.Generator
    batch_size: int
    lr: float
    alpha: float
    unlinked: float
    optimizers: list[torch.optim.Optimizer] = field(init=False)

    def __post_init__(self) -> None:
        sides = self.network.generator_parameters(), list(self.network.critic.parameters())
        self.optimizers = [torch.optim.Adam(side, lr=self.lr, fused=True) for side in sides]
        self.units = unit_rows(self.links)
        self.share = np.diff(self.links.indptr) / self.links.shape[1]

    def __call__(self, number: int) -> dict[str, Tensor]:
        """One epoch over all rows, in a new order; the mean loss of either side."""
        order = self.rng.permutation(self.links.shape[0])
        total = torch.zeros(2)
        for at in range(0, len(order), self.batch_size):
            rows = order[at : at + self.batch_size]
            losses = torch.stack(self._step(rows)).cpu()
            total += losses * len(rows)
        return {"loss": total[0] / len(order), "critic": total[1] / len(order)}

    def _step(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """The losses of generator and critic, each after the other side's step."""
        network, device = self.network, self.network.encoder_bias.device
        real = torch.from_numpy(self.links[rows].toarray()).float().to(device)
        chance = np.minimum(self.unlinked * self.share[rows], 1)[:, None]
        zeros = torch.from_numpy(self.rng.random(real.shape) < chance).to(device) & (real == 0)
        mask = (real > 0) | zeros
        unit = F.normalize(real, dim=1)
        made = torch.sigmoid(network.head(network.encode(bag(self.units[rows]).to(device))))

        scores = [network.critic(torch.cat([x, unit], 1)) for x in (real, (made * mask).detach())]
        critic_loss = -F.logsigmoid(scores[0]).mean() - F.logsigmoid(-scores[1]).mean()
        self._update(1, critic_loss)

        score = network.critic(torch.cat([made * mask, unit], 1))
        away = (made * zeros).square().sum(1).mean()
        loss = -F.logsigmoid(score).mean() + self.alpha * away
        self._update(0, loss)
        return loss.detach(), critic_loss.detach()

    def _update(self, which: int, loss: Tensor) -> None:
        self.optimizers[which].zero_grad()
        loss.backward()
        self.optimizers[which].step()
