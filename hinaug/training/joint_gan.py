"""How a JointGAN learns: steps of a critic of packs of nodes, and of the generator against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hinaug.nn.critic import NodeCritic, gumbel_top, hinge_critic_loss
from hinaug.nn.encoders import gumbel_softmax
from hinaug.nn.joint_vae import JointVAENetwork, bag
from hinaug.nn.losses import gradient_penalty, wasserstein_critic_loss
from hinaug.training.joint_vae import JointVAEEpochs, one_hot

STEPS = 20  # of an epoch
BETAS = (0.5, 0.9)  # of Adam; less momentum than usual, since both sides move


class Adversaries(nn.Module):
    """What is trained: the generator, its exponential average, and the critic."""

    def __init__(self, generator: JointVAENetwork, average: JointVAENetwork, critic: NodeCritic):
        super().__init__()
        self.generator, self.average, self.critic = generator, average, critic
        self.average.load_state_dict(generator.state_dict())
        self.average.requires_grad_(False)

    def follow(self, decay: float) -> None:
        """average <- decay average + (1 - decay) generator."""
        with torch.no_grad():
            for old, new in zip(
                self.average.parameters(), self.generator.parameters(), strict=True
            ):
                old.lerp_(new, 1 - decay)


@dataclass
class JointGANEpochs:
    """The steps of a JointGAN, `STEPS` a call: `train(..., epoch=JointGANEpochs(...))`.

    Each step: the critic learns from packs of real nodes (high) and of detached generated ones
    (low); then the generator minimises

        reconstruction x (minus evidence bound of JointVAE) - adversarial x mean critic(fake)

    likelihood: the epochs of the autoencoder, for its loss; its links, codes, batch size and random
    numbers are used. links of fakes: straight-through Gumbel top-n of logits / temperature +
    offset, as many as the source of each has. codes: straight-through Gumbel softmax where the
    network has heads for columns, else those of the source. blind: whether sources are encoded by
    their codes alone. penalty: weight of the gradient penalty; 0 where the critic is normalised.
    critic_steps: of the critic for each of the generator. adversarial: 0 leaves the critic out, and
    nothing else.
    """

    adversaries: Adversaries
    likelihood: JointVAEEpochs
    temperatures: Sequence[float]
    offsets: Sequence[np.ndarray]
    adversarial: float
    reconstruction: float
    blind: bool
    penalty: float
    critic_steps: int
    lr: float
    critic_lr: float
    tau: float
    decay: float
    optimizers: list[torch.optim.Optimizer] = field(init=False)

    def __post_init__(self) -> None:
        pair = (self.adversaries.generator, self.lr), (self.adversaries.critic, self.critic_lr)
        self.optimizers = [
            torch.optim.Adam(part.parameters(), lr=lr, betas=BETAS, fused=True) for part, lr in pair
        ]
        self.random, self.rng = self.likelihood.random, self.likelihood.rng
        self.shifts = [torch.from_numpy(o) for o in self.offsets]
        links, codes = self.likelihood.links, self.likelihood.codes
        levels = self.likelihood.network.levels
        self.real = sp.csr_array(
            sp.hstack([*links, one_hot(codes, levels)], format="csr", dtype=np.float32)
        )

    def __call__(self, number: int) -> dict[str, Tensor]:
        """Some steps; the mean loss of either side, and by how much the critic tells them apart."""
        sums = torch.zeros(3)
        for _ in range(STEPS):
            critic_loss, gap = torch.zeros(()), torch.zeros(())
            for _ in range(self.critic_steps if self.adversarial else 0):
                critic_loss, gap = self._critic_step()
            sums += torch.stack([self._generator_step(), critic_loss, gap]).detach().cpu()
            self.adversaries.follow(self.decay)
        loss, critic_loss, gap = sums / STEPS
        return {"loss": loss, "critic": critic_loss, "gap": gap}

    def _critic_step(self) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            fake = self._packed(self._fake(self._rows()))
        real = self._packed(self._real(self._rows()))
        critic = self.adversaries.critic
        scores = critic(real), critic(fake)
        if self.penalty:
            loss = wasserstein_critic_loss(*scores)
            loss = loss + self.penalty * gradient_penalty(critic, real, fake, self.random)
        else:
            loss = hinge_critic_loss(*scores)
        self._step(1, loss)
        return loss, scores[0].mean() - scores[1].mean()

    def _generator_step(self) -> Tensor:
        rows = self._rows()
        loss = torch.zeros((), device=self._device)
        if self.reconstruction:
            loss = loss + self.reconstruction * self.likelihood.loss(rows, self.likelihood.kl)
        if self.adversarial:
            fake = self.adversaries.critic(self._packed(self._fake(rows)))
            loss = loss - self.adversarial * fake.mean()
        if loss.requires_grad:
            self._step(0, loss)
        return loss

    def _step(self, which: int, loss: Tensor) -> None:
        self.optimizers[which].zero_grad()
        loss.backward()
        self.optimizers[which].step()

    # ---- nodes -----------------------------------------------------------------------------------

    @property
    def _device(self) -> torch.device:
        return self.adversaries.generator.encoder_bias.device

    def _rows(self) -> np.ndarray:
        """Random real nodes, as many as packs can be filled with."""
        n, pack = self.real.shape[0], self.adversaries.critic.pack
        size = max(pack, min(self.likelihood.batch_size, n) // pack * pack)
        return self.rng.integers(n, size=size) if n < pack else self.rng.permutation(n)[:size]

    def _packed(self, x: Tensor) -> Tensor:
        return x.view(len(x) // self.adversaries.critic.pack, -1)

    def _real(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(self.real[rows].toarray()).to(self._device)

    def _fake(self, rows: np.ndarray) -> Tensor:
        """New nodes after real ones [b, width], with a gradient."""
        network = self.adversaries.generator
        hidden = network.decode(self._latent(rows))
        parts = []
        for r, links in enumerate(self.likelihood.links):
            degree = torch.from_numpy(np.diff(links.indptr)[rows].astype(np.int64))
            logits = network.logits(r, hidden) / self.temperatures[r]
            logits = logits + self.shifts[r].to(logits.device)
            drawn = gumbel_top(logits, degree.to(logits.device), self.tau, self.random)
            parts.append(drawn)
            hidden = network.after_drawn(hidden, r, drawn)
        return torch.cat([*parts, *self._fake_codes(rows, hidden)], 1)

    def _latent(self, rows: np.ndarray) -> Tensor:
        shown = shown_codes(self.likelihood, rows) if self.blind else self.likelihood.shown[rows]
        mean, log_variance = self.adversaries.generator.encode(bag(shown).to(self._device))
        noise = torch.empty(mean.shape).normal_(generator=self.random).to(mean.device)
        return mean + (0.5 * log_variance).exp() * noise

    def _fake_codes(self, rows: np.ndarray, hidden: Tensor) -> list[Tensor]:
        """One-hot codes of columns, one after another."""
        network, codes = self.adversaries.generator, self.likelihood.codes[rows]
        if not network.column_heads:
            known = torch.from_numpy(codes).to(hidden.device)
            return [F.one_hot(known[:, c], n).float() for c, n in enumerate(network.levels)]
        drawn = torch.zeros(codes.shape, dtype=torch.int64, device=hidden.device)
        out = []
        for c in range(codes.shape[1]):
            logits = network.column_logits(c, hidden, drawn)
            out.append(gumbel_softmax(logits, self.tau, self.random, hard=True))
            drawn = drawn.clone()
            drawn[:, c] = out[-1].argmax(1)
        return out


def shown_codes(likelihood: JointVAEEpochs, rows: np.ndarray) -> sp.csr_array:
    """What the encoder sees of nodes whose links are hidden from it."""
    return without_links(likelihood.shown[rows], sum(likelihood.network.sizes))


def without_links(shown: sp.csr_array, n_links: int) -> sp.csr_array:
    """Rows for the encoder with the first columns at 0."""
    values = np.where(shown.indices < n_links, 0, shown.data).astype(np.float32)
    return sp.csr_array((values, shown.indices, shown.indptr), shape=shown.shape)
