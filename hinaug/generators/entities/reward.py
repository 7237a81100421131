"""What a policy of nodes is rewarded for: realism, utility and novelty, less copying."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
import torch

from hinaug.generators.entities.real import Real
from hinaug.generators.selection.influence import gram_gradient
from hinaug.nn.critic import NodeCritic, hinge_critic_loss
from hinaug.nn.policy import Episodes
from hinaug.predictors import EASE
from hinaug.predictors.ease import ridge_of

PARTS = ("realism", "utility", "novelty", "copying")


def ranking_gradient(
    real: Real, l2: float | None, folds: int, rng: np.random.Generator
) -> np.ndarray:
    """dU/dG of the first view [m, m]: the mean over inner folds of its links of `gram_gradient`.

    U is the ranking utility of EASE that learns from the other folds and ranks the links of one.
    """
    view = real.views[0]
    links, relation = view.links, view.relation
    row = np.repeat(np.arange(links.shape[0]), view.degree)
    fold = rng.permutation(links.nnz) % folds
    total = np.zeros((links.shape[1], links.shape[1]), np.float32)
    for k in range(folds):
        x, held = (
            sp.csr_array(
                (np.ones(int(at.sum()), np.float32), (row[at], links.indices[at])), links.shape
            )
            for at in (fold != k, fold == k)
        )
        total += gram_gradient(x, held, ridge_of(EASE(relation, l2=l2), x)) / folds
    return total


@dataclass
class NodeReward:
    """The parts of the reward of episodes, each in spreads of untaught nodes from their mean.

        realism: score of the critic less its mean score of real nodes, in spreads of both together,
            as they are now: a critic that learns moves all scores. It learns from the same
            episodes, after it has scored them
        utility: <dU/dG, y y'>, the first-order change of U by a node with links y in view 0
        novelty: mean of -log (share of the links that the target has), view 0
        copying: most links that one real node has too, as a share; it counts against

    weights: {part: its weight}. gradient: see `ranking_gradient`. No part knows a validation pair.
    """

    real: Real
    dense: sp.csr_array
    gradient: np.ndarray
    critic: NodeCritic
    levels: Sequence[int]
    weights: Mapping[str, float]
    rng: np.random.Generator
    critic_steps: int
    critic_lr: float
    optimizer: torch.optim.Optimizer = field(init=False)
    scale: dict[str, tuple[float, float]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.Adam(
            self.critic.parameters(), lr=self.critic_lr, betas=(0.5, 0.9)
        )
        counts = self.real.views[0].counts
        self.surprise = -np.log(np.maximum(counts, 1) / max(counts.sum(), 1))

    def __call__(self, built: Episodes) -> dict[str, np.ndarray]:
        values = self.measured(built)
        self.learn(built)
        out = {}
        for name in PARTS:
            mean, spread = self.scale[name]
            sign = -1 if name == "copying" else 1
            out[name] = sign * self.weights[name] * (values[name] - mean) / spread
        return out

    def begin(self, batches: Sequence[Episodes]) -> None:
        """Teach the critic on batches of untaught nodes, and note means and spreads of the last."""
        for built in batches:
            self.learn(built)
        values = self.measured(batches[-1])
        self.scale = {n: (float(v.mean()), float(max(v.std(), 1e-9))) for n, v in values.items()}
        self.scale["realism"] = 0.0, 1.0

    def measured(self, built: Episodes) -> dict[str, np.ndarray]:
        """The plain parts [b]."""
        self.critic.eval()
        with torch.no_grad():
            fake = self.critic(built.dense(self.critic.sizes, list(self.levels))).double().numpy()
            real = self.critic(self._some_real(len(fake))).double().numpy()
        links = _matrix(built, self.critic.sizes[0])
        degree = np.maximum(np.diff(links.indptr), 1)
        common = (links @ self.real.views[0].links.T.tocsr()).max(axis=1).toarray().ravel()
        return {
            "realism": (fake - real.mean()) / max(np.concatenate([fake, real]).std(), 1e-9),
            "utility": np.asarray(links.multiply(links @ self.gradient).sum(axis=1)).ravel(),
            "novelty": (links @ self.surprise) / degree,
            "copying": common / degree,
        }

    def _some_real(self, n: int) -> torch.Tensor:
        rows = self.rng.integers(self.dense.shape[0], size=n)
        return torch.from_numpy(self.dense[rows].toarray())

    def learn(self, built: Episodes) -> None:
        """Steps of the critic: real nodes high, the episodes low."""
        self.critic.train()
        fake = built.dense(self.critic.sizes, list(self.levels))
        for _ in range(self.critic_steps):
            loss = hinge_critic_loss(self.critic(self._some_real(len(fake))), self.critic(fake))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()


def _matrix(built: Episodes, m: int) -> sp.csr_array:
    row, column = built.row[0].numpy(), built.column[0].numpy()
    shape = (len(built.z), m)
    return sp.csr_array((np.ones(len(row), np.float32), (row, column)), shape=shape)
