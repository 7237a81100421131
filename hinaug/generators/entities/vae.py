"""VAE: new nodes from the posterior of a variational autoencoder over links and attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from scipy.special import logsumexp

from hinaug.errors import KindError, ParameterError
from hinaug.generators.base import Condition, Entities
from hinaug.generators.entities.autoencoder import Autoencoder
from hinaug.generators.entities.base import ProfileGenerator
from hinaug.generators.entities.columns import TableEncoder
from hinaug.generators.entities.draws import rows_at_once
from hinaug.generators.entities.margins import DEGREE, MarginalCalibrator, node_table
from hinaug.generators.entities.profiles import Profiles, nearest_ratings
from hinaug.graph.hin import HIN

POOL = 2000  # generated nodes that margins are calibrated on


@dataclass(eq=False)
class VAE(ProfileGenerator):
    """New nodes from the posterior of a mult-VAE (Liang et al., WWW 2018): the taste of a source
    node, with other links.

        source u at random,   z = mu_u + s_u eps
        links: as many as u has, drawn in proportion to exp(decoder(z)) without replacement
        attributes: drawn from the decoder's columns at the same z

    So degrees are real, links and attributes hang together through z, and no adversary has to be
    trained. Numbers and vectors get the decoder's residual spread. Numbers, categories and the
    popularity of targets are calibrated on 2,000 generated nodes (`MarginalCalibrator`, iterative
    proportional fitting). A rating is that of the real node nearest in z among those who rated the
    target; time is null.

    Parameters
    ----------
    node, relation
        What to generate and by which links, see `ProfileGenerator`.
    vectors
        The vector columns to generate; None takes all.
    autoencoder
        The mult-VAE, such as Autoencoder(epochs=50).
    keep
        The share of the source's links that is kept, drawn at random. 0, since a kept profile is no
        privacy; 0.3 makes profiles that are harder to tell from real ones.

    Condition: external ids name the sources. Given attributes replace the generated ones; links do
    not follow from them.

    Confidence of a node: the share of real nodes whose own links are at most as likely, per link
    and under their own z, as the links drawn are under theirs; judged on 2,000 real nodes at most.
    Of a link: the probability that the draw includes it (1 for a kept one).

    Sources are the observed nodes of the graph given to `generate`, encoded by their links to
    targets that were there at fit time; other targets get no links. Free text, identifiers and
    dates are null on generated nodes.

    Learned: `autoencoder_` (network weights), `columns_` and `margins_` (the margins of the
    attributes), `targets_` (ids), `real_scores_`, and `history_`: {"autoencoder": loss per epoch}.
    """

    node: str = "user"
    _: KW_ONLY
    vectors: Sequence[str] | None = None
    autoencoder: Autoencoder = field(default_factory=Autoencoder)
    keep: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.autoencoder, Autoencoder):
            raise KindError(
                f"VAE: autoencoder={self.autoencoder!r}: an Autoencoder is needed, such as "
                "Autoencoder(epochs=50)"
            )
        if not 0 <= self.keep < 1:
            raise ParameterError(f"VAE: keep={self.keep!r}: a share in [0, 1)")

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        real = self._learn_schema(hin)
        # the degree is that of the source, so it is no column of the network
        table = node_table(real, self.vectors, "VAE").drop_columns([DEGREE])
        self.schema_, self.targets_ = table.schema.empty_table(), real.others
        self.columns_ = TableEncoder().fit(table)
        rows = self.columns_.encode(table, len(real.nodes))
        self.autoencoder_ = self.autoencoder.clone().fit(
            real.links, rows, self.columns_.blocks, rng, owner=self
        )
        self.history_ = {"autoencoder": self.autoencoder_.history_}
        latents = self.autoencoder_.posterior(real.links, rows)
        self.residual_ = self._residual(latents[0], rows)

        z, source = _from_posterior(latents, _each_in_turn(len(rows), POOL, rng), rng)
        self.margins_ = MarginalCalibrator(self.columns_.blocks).fit(rows, self._attributes(z, rng))
        self.autoencoder_.match_popularity(z, real.degree[source], real.counts)
        judged = rng.permutation(len(rows))[:POOL]
        likelihood = self._likelihood(latents[0][judged], *real.links[judged].nonzero())
        self.real_scores_ = np.sort(likelihood)

    def sample(
        self, hin: HIN, n: int, rng: np.random.Generator, condition: Condition | None = None
    ) -> Entities:
        """n nodes, each from the posterior of a node of `hin`, or of the nodes that the condition
        names.
        """
        real = self._real(hin, self.targets_)
        latents = self._latents(hin, real)
        drawn = _each_in_turn(len(real.nodes), n, rng)
        z, source = _from_posterior(latents, self._sources(hin, real, condition, drawn), rng)
        made = self.margins_.draw(self._attributes(z, rng), rng)
        columns = self._as_given(self.columns_.decode(self.margins_.matched(made)), condition, hin)
        links = self.autoencoder_.draw(z, real.degree[source], rng, real.present)
        score = self._likelihood(z, *links[:2])
        if self.keep:
            links = self._kept(real.links[source], links, rng)
        row, target, probability = links
        rating = nearest_ratings(real, latents[0], z, row, target)
        confidence = np.searchsorted(self.real_scores_, score, "right") / len(self.real_scores_)
        return Entities(columns, real.link_table(row, target, probability, rating), confidence)

    def _latents(self, hin: HIN, real: Profiles) -> tuple[np.ndarray, np.ndarray]:
        """Mean and spread of the posterior of each real node, [n, latent] each."""

        def encode() -> tuple[np.ndarray, np.ndarray]:
            rows = self.columns_.encode(real.table, len(real.nodes))
            return self.autoencoder_.posterior(real.links, rows)

        return self._per_graph(hin, "latents", encode)

    def _residual(self, z: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The standard deviation of what the decoder leaves of numbers and vectors, [width]."""
        blocks = self.columns_.blocks
        plain = np.repeat([kind != "categorical" for kind, _ in blocks], [w for _, w in blocks])
        spread = (rows - self.autoencoder_.attributes(z)).std(axis=0)
        return np.where(plain, spread, 0) if len(plain) else np.zeros(0)

    def _attributes(self, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        decoded = self.autoencoder_.attributes(z).astype(np.float64)
        return decoded + self.residual_ * rng.standard_normal(decoded.shape)

    def _likelihood(self, z: np.ndarray, row: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Mean log probability of each node's links under softmax(decoder(z)); rows are sorted."""
        out = np.zeros(len(row))
        block = rows_at_once(len(self.targets_))
        for at in range(0, len(z), block):
            logits = self.autoencoder_.logits(z[at : at + block])
            norm = logsumexp(logits, axis=1)
            part = slice(*np.searchsorted(row, [at, at + len(logits)]))
            out[part] = logits[row[part] - at, target[part]] - norm[row[part] - at]
        return np.bincount(row, out, len(z)) / np.maximum(np.bincount(row, minlength=len(z)), 1)

    def _kept(
        self,
        own_links: sp.csr_array,
        drawn: tuple[np.ndarray, np.ndarray, np.ndarray],
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Some links of the source (rows of `own_links`) in the place of the last ones drawn."""
        degree = np.diff(own_links.indptr)
        own, target = np.repeat(np.arange(len(degree)), degree), own_links.indices
        kept = rng.random(len(own)) < self.keep
        # kept ones first, then drawn ones in their order
        rows = np.concatenate([own[kept], drawn[0]])
        targets = np.concatenate([target[kept], drawn[1]])
        chances = np.concatenate([np.ones(kept.sum()), drawn[2]])
        _, first = np.unique(rows * own_links.shape[1] + targets, return_index=True)
        first = np.sort(first)
        first = first[np.argsort(rows[first], kind="stable")]
        sorted_rows = rows[first]
        rank = np.arange(len(first)) - np.searchsorted(sorted_rows, sorted_rows)
        chosen = first[rank < degree[sorted_rows]]
        return rows[chosen], targets[chosen], chances[chosen]


def _each_in_turn(n_real: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Rows [n] of real nodes, each as often as any other, give or take one."""
    return np.concatenate([rng.permutation(n_real) for _ in range(-(-n // n_real))])[:n]


def _from_posterior(
    latents: tuple[np.ndarray, np.ndarray], source: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A draw from the posterior of each source [n, latent], and the sources."""
    mean, spread = latents
    noise = rng.standard_normal((len(source), mean.shape[1]))
    return mean[source] + spread[source] * noise, source
