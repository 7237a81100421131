"""WGAN: new nodes from a Wasserstein GAN over attributes, degree and the latent of the links,
decoded into real links.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from hinaug.errors import KindError, ParameterError
from hinaug.generators.base import Condition, Entities
from hinaug.generators.entities.autoencoder import Autoencoder
from hinaug.generators.entities.base import ProfileGenerator
from hinaug.generators.entities.columns import TableEncoder
from hinaug.generators.entities.margins import DEGREE, MarginalCalibrator, degrees, node_table
from hinaug.generators.entities.profiles import Profiles, nearest_ratings
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.nn import (
    MLP,
    MixedHead,
    gradient_penalty,
    wasserstein_critic_loss,
    wasserstein_generator_loss,
)
from hinaug.progress import track
from hinaug.training.threads import torch_threads

POOL = 2000  # generated nodes that margins are calibrated on


@dataclass(eq=False)
class WGAN(ProfileGenerator):
    """Wasserstein GAN with gradient penalty (Gulrajani et al., NeurIPS 2017) over whole nodes.

    Ids are not words, and rows of links are too sparse for a critic, so the GAN works on a short
    dense row per node,

        r = [attributes (one-hot, normal quantiles, principal components), degree (normal quantile),
        principal axes of mu],

    where mu is the posterior mean of a mult-VAE of the links (`Autoencoder`). Generator G and
    critic D play

        min_D  mean D(G(noise)) - mean D(r) + penalty * mean (|grad D| - 1)^2,     min_G  - mean
        D(G(noise)),

    with Gumbel-softmax for categories and linear outputs for the rest; the generator that is kept
    is the moving average of its weights. Mu and not a draw z from the posterior, because most of z
    is noise, which need not be learned: it is added to what G says of mu, as wide as posteriors
    are. The decoder turns z into logits of all targets, and as many as the generated degree says
    are drawn by Gumbel top-n: every generated node has links to real ones. A GAN gets margins only
    nearly right, so they are calibrated on 2,000 generated nodes: numbers and degree by quantiles,
    categories by offsets (`MarginalCalibrator`), the popularity of targets by iterative
    proportional fitting. What depends on what is the GAN's own. A rating is that of the real node
    nearest in z among
    those who rated the target: a mean would have no spread. Time is null.

    confidence: of a node, the share of real nodes whose critic score is at most its own: 0 is less
        real than every real node, 0.5 is as good as the median one. Of a link, the probability that
        the draw includes it.

    node, relation: what to generate and by which links, see `ProfileGenerator`.
    vectors: the vector columns to generate; None takes all. Free text, identifiers and dates are
        null on generated nodes.
    autoencoder: the mult-VAE, such as Autoencoder(epochs=50).
    hidden, noise: widths of both nets and of the noise.
    steps, batch_size, lr: of the generator; 1000 steps take some 20 s.
    critic_steps: 2 a step; the paper's 5 cost twice the time for no better nodes here. penalty: 10,
        as in the paper.

    It takes no condition. Ratings are those of the graph given to `generate`; targets that were not
    there at fit time get no links.

    The critic's loss estimates minus the distance, but judge a generator by what it makes: degrees,
    margins, a classifier.
    history_: {"autoencoder": loss per epoch, "critic": ..., "generator": ..., "penalty": ... per
    step}.
    """

    node: str = "user"
    _: KW_ONLY
    vectors: Sequence[str] | None = None
    autoencoder: Autoencoder = field(default_factory=Autoencoder)
    hidden: int = 128
    noise: int = 32
    steps: int = 1000
    critic_steps: int = 2
    batch_size: int = 128
    lr: float = 1e-3
    penalty: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.autoencoder, Autoencoder):
            raise KindError(
                f"WGAN: autoencoder={self.autoencoder!r}: an Autoencoder is needed, such as "
                "Autoencoder(epochs=50)"
            )
        for name in ("hidden", "noise", "steps", "critic_steps", "batch_size"):
            if getattr(self, name) < 1:
                raise ParameterError(
                    f"WGAN: {name}={getattr(self, name)!r}: a whole number of at least 1"
                )
        for name in ("lr", "penalty"):
            if not getattr(self, name) > 0:
                raise ParameterError(f"WGAN: {name}={getattr(self, name)!r}: a number above 0")

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        real = self._learn_schema(hin)
        table = node_table(real, self.vectors, "WGAN")
        self.schema_ = table.drop_columns([DEGREE]).schema.empty_table()
        self.targets_ = real.others
        self.columns_ = TableEncoder().fit(table)
        rows, nothing = self.columns_.encode(table), np.zeros((table.num_rows, 0), np.float32)
        self.autoencoder_ = self.autoencoder.clone().fit(real.links, nothing, [], rng, owner=self)
        latents, spread = self.autoencoder_.posterior(real.links, nothing)
        self.axes_ = {"spread": spread.mean(axis=0), **principal_axes(latents)}
        short = (latents - self.axes_["mean"]) @ self.axes_["axes"].T / self.axes_["scale"]
        joint = np.concatenate([rows, short], axis=1).astype(np.float32)
        self.history_ = {"autoencoder": self.autoencoder_.history_, **self._play(joint, rng)}

        made = self._forward(self.generator_, rng.standard_normal((POOL, self.noise)))
        self.margins_ = MarginalCalibrator(self._blocks()).fit(joint, made)
        made = self.margins_.draw(made, rng)
        degree = self.columns_.decode(self.margins_.matched(made))[DEGREE]
        n_targets = int((real.counts > 0).sum())
        self.autoencoder_.match_popularity(
            self._latent(made, rng), degrees(degree, n_targets), real.counts
        )
        self.real_scores_ = np.sort(self._forward(self.critic_, joint)[:, 0])

    def _generate(
        self, hin: HIN, size: int | float | None, condition: Any, rng: np.random.Generator
    ) -> Delta:
        self._no_condition(condition)
        return super()._generate(hin, size, None, rng)

    def sample(
        self, hin: HIN, n: int, rng: np.random.Generator, condition: Condition | None = None
    ) -> Entities:
        """n nodes from noise by the generator; `hin` gives ratings. It takes no condition."""
        self._no_condition(condition)
        real = self._real(hin, self.targets_)
        rows = self.margins_.draw(
            self._forward(self.generator_, rng.standard_normal((n, self.noise))), rng
        )
        columns = self.columns_.decode(self.margins_.matched(rows))
        z = self._latent(rows, rng)
        degree = degrees(columns.pop(DEGREE), self.autoencoder_.n_drawable(real.present))
        row, target, probability = self.autoencoder_.draw(z, degree, rng, real.present)
        rating = nearest_ratings(real, self._latents(hin, real), z, row, target)
        score = self._forward(self.critic_, rows)[:, 0]
        confidence = np.searchsorted(self.real_scores_, score, "right") / len(self.real_scores_)
        return Entities(columns, real.link_table(row, target, probability, rating), confidence)

    def _latents(self, hin: HIN, real: Profiles) -> np.ndarray:
        """Mean of the posterior of each real node [n, latent]."""
        nothing = np.zeros((len(real.nodes), 0), np.float32)
        return self._per_graph(
            hin, "latents", lambda: self.autoencoder_.posterior(real.links, nothing)[0]
        )

    def _latent(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        short = rows[:, -len(self.axes_["axes"]) :]
        mean = short * self.axes_["scale"] @ self.axes_["axes"] + self.axes_["mean"]
        return mean + self.axes_["spread"] * rng.standard_normal(mean.shape)

    def _blocks(self) -> list[tuple[str, int]]:
        return [*self.columns_.blocks, ("vector", len(self.axes_["axes"]))]

    # ---- the game --------------------------------------------------------------------------------

    def _networks(self, generator: Any) -> tuple[Any, Any]:
        blocks = self._blocks()
        width = sum(w for _, w in blocks)

        class Generator(nn.Module):
            def __init__(self, noise: int, hidden: int) -> None:
                super().__init__()
                self.body = MLP(noise, [hidden], hidden, generator, norm=nn.LayerNorm)
                self.head = MixedHead(hidden, blocks, generator)

            def forward(self, noise: Any, generator: Any) -> Any:
                return self.head(torch.relu(self.body(noise)), generator)

            def logits(self, noise: Any) -> Any:
                return self.head.logits(torch.relu(self.body(noise)))

        critic = MLP(
            width, [self.hidden, self.hidden], 1, generator, activation=lambda: nn.LeakyReLU(0.2)
        )
        return Generator(self.noise, self.hidden), critic

    def _play(self, rows: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        random = torch.Generator().manual_seed(int(rng.integers(2**62)))
        generator, critic = self._networks(random)
        average = {name: p.detach().clone() for name, p in generator.named_parameters()}
        optimizers = [
            torch.optim.Adam(net.parameters(), lr=self.lr, betas=(0.5, 0.9), fused=True)
            for net in (generator, critic)
        ]
        history = np.zeros((3, self.steps))

        def noise() -> torch.Tensor:
            return torch.empty(self.batch_size, self.noise).normal_(generator=random)

        with torch_threads(1):  # the nets are small: a second thread would mostly wait
            for step in track(range(self.steps), "training the GAN"):
                for _ in range(self.critic_steps):
                    pick = rng.integers(len(rows), size=self.batch_size)
                    real = torch.from_numpy(rows[pick])
                    with torch.no_grad():
                        fake = generator(noise(), random)
                    distance = wasserstein_critic_loss(critic(real)[:, 0], critic(fake)[:, 0])
                    steep = gradient_penalty(critic, real, fake, random)
                    optimizers[1].zero_grad()
                    (distance + self.penalty * steep).backward()
                    optimizers[1].step()
                loss = wasserstein_generator_loss(critic(generator(noise(), random))[:, 0])
                optimizers[0].zero_grad()
                loss.backward()
                optimizers[0].step()
                history[:, step] = (
                    float(distance.detach()),
                    float(loss.detach()),
                    float(steep.detach()),
                )
                with torch.no_grad():
                    for name, p in generator.named_parameters():
                        average[name].lerp_(p, max(0.01, 1 / (step + 1)))
        self.generator_ = {name: p.numpy().copy() for name, p in average.items()}
        self.critic_ = {name: p.detach().numpy().copy() for name, p in critic.state_dict().items()}
        return dict(zip(("critic", "generator", "penalty"), history, strict=True))

    def _forward(self, weights: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
        """The generator's rows before any draw (logits of categories), or the critic's scores."""
        generator, critic = self._networks(torch.Generator())
        network = critic if weights is self.critic_ else generator
        network.load_state_dict(
            {name: torch.from_numpy(np.array(w)) for name, w in weights.items()}
        )
        with torch.no_grad():
            out = (critic if network is critic else generator.logits)(
                torch.from_numpy(np.asarray(x, np.float32))
            )
        return out.numpy().astype(np.float64)


def principal_axes(x: np.ndarray, share: float = 0.99) -> dict[str, np.ndarray]:
    """The axes that hold `share` of the variance; the rest is what the encoder does not use."""
    mean = x.mean(axis=0)
    _, s, v = np.linalg.svd(x - mean, full_matrices=False)
    held = np.cumsum(s**2) / max((s**2).sum(), 1e-12)
    k = min(int(np.searchsorted(held, share)) + 1, len(s))
    return {
        "mean": mean,
        "axes": v[:k],
        "scale": np.array([max(s[:k].mean() / np.sqrt(len(x)), 1e-6)]),
    }
