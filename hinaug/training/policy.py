"""How a policy of nodes learns: imitation of real columns, then policy gradients on a reward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from hinaug.nn.encoders import MLP
from hinaug.nn.policy import Episodes, NodePolicy, Steps

MOST = 1e3  # price of entropy
Sources = Callable[[int], tuple[Tensor, Tensor]]
Reward = Callable[[Episodes], Mapping[str, np.ndarray]]


class Taught(nn.Module):
    """What is trained: the policy, and the baseline that foresees the reward from z and degree."""

    def __init__(self, policy: NodePolicy, latent: int, n_relations: int, random: torch.Generator):
        super().__init__()
        self.policy = policy
        self.baseline = MLP(latent + n_relations, [32], 1, random)
        self.entropy: Tensor
        self.price: Tensor
        self.register_buffer("entropy", torch.zeros(()))  # of a decision, untaught
        self.register_buffer("price", torch.ones(()))  # of entropy below the floor

    def foreseen(self, built: Episodes) -> Tensor:
        x = torch.cat([built.z, built.degree.float().log1p()], 1)
        return self.baseline(x)[:, 0]


@dataclass
class PolicyEpochs:
    """Epochs of policy gradient, one batch of episodes each: `train(..., epoch=PolicyEpochs(...))`.

        REINFORCE:  grad = E (R - b(z)) grad log P(episode)          (Williams, 1992)
        PPO:        max E min(w A, clip(w, 1 - c, 1 + c) A),  w = P / P_old of a step, A = R - b
                    (Schulman et al., 2017), in `passes` over the batch
        both:       - price x max(0, floor - mean entropy of a step) x steps of an episode

    b, the baseline, learns from the rewards by least squares; A is divided by its spread in PPO.
    The price doubles with each batch of less entropy than the floor, and halves with others, down
    to 1.

    sources: gives latents [b, latent] and degrees [b, relations] of b random nodes. reward: gives
    the parts of the reward of episodes, [b] each; their sum is R. shuffled: whether rewards are
    dealt out anew among the episodes of a batch, as a control. floor: share of the entropy at the
    first batch. random: of all draws.
    """

    taught: Taught
    sources: Sources
    reward: Reward
    random: torch.Generator
    batch_size: int
    lr: float
    algorithm: str = "ppo"
    passes: int = 4
    clip: float = 0.2
    floor: float = 0.9
    shuffled: bool = False
    optimizers: list[torch.optim.Optimizer] = field(init=False)

    def __post_init__(self) -> None:
        sides = (self.taught.policy, self.lr), (self.taught.baseline, 10 * self.lr)
        self.optimizers = [torch.optim.Adam(side.parameters(), lr=lr) for side, lr in sides]

    def __call__(self, number: int) -> dict[str, float]:
        """A batch of episodes and what is learned from it; means of the parts of the reward."""
        built = self.taught.policy.build(*self.sources(self.batch_size), self.random)
        parts = self.reward(built)
        total = torch.from_numpy(np.sum(list(parts.values()), axis=0)).float()
        if self.shuffled:
            total = total[torch.randperm(len(total), generator=self.random)]
        foreseen = self.taught.foreseen(built)
        advantage = total - foreseen.detach()
        self._update(1, (total - foreseen).square().mean())
        entropy = self._learn(built, advantage)
        return {
            "reward": float(np.sum(list(parts.values()), axis=0).mean()),
            **{name: float(values.mean()) for name, values in parts.items()},
            "entropy": entropy,
        }

    def _learn(self, built: Episodes, advantage: Tensor) -> float:
        """Steps of the policy; gives the mean entropy of a decision before them."""
        with torch.no_grad():
            old = self.taught.policy.steps(built)
        entropy = float(old.entropy.mean())
        if not self.taught.entropy:
            self.taught.entropy.fill_(entropy)
        is_short = entropy < self.floor * float(self.taught.entropy)
        self.taught.price.mul_(2.0 if is_short else 0.5).clamp_(1.0, MOST)
        if self.algorithm == "reinforce":
            self._update(0, self._with_floor(reinforce_loss, built, old, advantage))
            return entropy
        advantage = advantage / advantage.std().clamp_min(1e-6)
        for _ in range(self.passes):
            self._update(0, self._with_floor(self._clipped, built, old, advantage))
        return entropy

    def _clipped(self, steps: Steps, old: Steps, advantage: Tensor) -> Tensor:
        return ppo_loss(steps, old, advantage, self.clip)

    def _with_floor(
        self,
        loss: Callable[[Steps, Steps, Tensor], Tensor],
        built: Episodes,
        old: Steps,
        advantage: Tensor,
    ) -> Tensor:
        steps = self.taught.policy.steps(built)
        short = (self.floor * self.taught.entropy - steps.entropy.mean()).clamp_min(0)
        per_episode = len(steps.row) / len(advantage)
        return loss(steps, old, advantage) + self.taught.price * per_episode * short

    def _update(self, which: int, loss: Tensor) -> None:
        self.optimizers[which].zero_grad()
        loss.backward()
        self.optimizers[which].step()


def reinforce_loss(steps: Steps, old: Steps, advantage: Tensor) -> Tensor:
    """Its gradient is minus that of the expected reward, without bias (Williams, "Simple
    Statistical Gradient-Following Algorithms", 1992).

    advantage: reward minus a baseline that does not depend on the decisions, [b].
    """
    return -(advantage[steps.row] * steps.log_prob).sum() / len(advantage)


def ppo_loss(steps: Steps, old: Steps, advantage: Tensor, clip: float) -> Tensor:
    """The clipped objective of PPO (Schulman et al., 2017), per decision, summed over those of an
    episode.
    """
    ratio = (steps.log_prob - old.log_prob).exp()
    gain = advantage[steps.row]
    least = torch.minimum(ratio * gain, ratio.clamp(1 - clip, 1 + clip) * gain)
    return -least.sum() / len(advantage)


@dataclass
class ImitationEpochs:
    """Epochs in which the column heads of a policy learn from real nodes by maximum likelihood.

    z_of: latents [b, latent] of real nodes at rows. codes: of all real nodes [n, columns].
    """

    policy: NodePolicy
    z_of: Callable[[np.ndarray], Tensor]
    codes: np.ndarray
    rng: np.random.Generator
    batch_size: int
    lr: float
    optimizers: list[torch.optim.Optimizer] = field(init=False)

    def __post_init__(self) -> None:
        heads = [*self.policy.columns.parameters(), *self.policy.codes]
        self.optimizers = [torch.optim.Adam(heads, lr=self.lr)]

    def __call__(self, number: int) -> dict[str, Tensor]:
        """One epoch over all nodes, in a new order; the mean loss of a node."""
        order, total = self.rng.permutation(len(self.codes)), torch.zeros(())
        for at in range(0, len(order), self.batch_size):
            rows = order[at : at + self.batch_size]
            steps = self.policy.column_steps(self.z_of(rows), torch.from_numpy(self.codes[rows]))
            loss = -torch.cat([s.log_prob for s in steps]).sum() / len(rows)
            self.optimizers[0].zero_grad()
            loss.backward()
            self.optimizers[0].step()
            total += loss.detach() * len(rows)
        return {"loss": total / len(order)}
