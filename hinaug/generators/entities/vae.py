"""VAE: new nodes from the posterior of a variational autoencoder over links and attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field

import numpy as np
import pyarrow as pa

from hinaug.errors import KindError, ParameterError
from hinaug.generators.base import Entities, EntityGenerator
from hinaug.generators.entities.autoencoder import Autoencoder
from hinaug.generators.entities.columns import Columns
from hinaug.generators.entities.draws import rows_at_once
from hinaug.generators.entities.margins import DEGREE, Margins, node_table
from hinaug.generators.entities.profiles import nearest_ratings, profiles
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType

POOL = 2000  # generated nodes that margins are calibrated on


@dataclass(eq=False)
class VAE(EntityGenerator):
    """A source node seen through a mult-VAE (Liang et al., WWW 2018): its taste, other links.

        source u at random,   z = mu_u + s_u eps,   links: Gumbel top-n from decoder(z), n = degree of u,
        attributes drawn from the decoder's columns at the same z

    so degrees are real, links and attributes hang together through z, and no adversary has to be
    trained. Numbers and vectors get the decoder's residual spread; numbers, categories and the
    popularity of targets are calibrated on 2,000 generated nodes (`Margins`, iterative proportional
    fitting). A rating is that of the real node nearest in z among those who rated the target; time
    is null.

    confidence: of a node, the share of real nodes whose own links are at most as likely, per link
        and under their own z, as the links drawn are under theirs. Of a link, the probability that
        the draw includes it (1 for a kept one).

    node, relation, vectors, autoencoder: as in WGAN.
    keep: the share of the source's links that is kept, drawn at random. 0, since a kept profile is
        no privacy; 0.3 makes profiles that are harder to tell from real ones.

    history_: {"autoencoder": loss per epoch}. Free text, identifiers and dates are null on
    generated nodes.
    """

    node: str = "user"
    _: KW_ONLY
    relation: EdgeType | None = None
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
        real = self.profiles_ = profiles(hin, self.node, self.relation, "VAE")
        table = node_table(real, self.vectors, "VAE")
        self.columns_ = Columns().fit(
            table.drop_columns([DEGREE])
        )  # the degree is that of the source
        self.rows_ = self.columns_.encode(table)
        self.autoencoder_ = self.autoencoder.clone().fit(
            real.links, self.rows_, self.columns_.blocks, rng
        )
        self.history_ = {"autoencoder": self.autoencoder_.history_}
        self.latents_, self.spread_ = self.autoencoder_.posterior(real.links, self.rows_)
        said = self.autoencoder_.decode(self.latents_)[1]
        plain = np.repeat(
            [kind != "categorical" for kind, _ in self.columns_.blocks],
            [w for _, w in self.columns_.blocks],
        )
        self.residual_ = (
            np.where(plain, (self.rows_ - said).std(axis=0), 0) if said.shape[1] else np.zeros(0)
        )

        z, source = self._posterior(POOL, rng)
        self.margins_ = Margins(self.columns_.blocks).fit(self.rows_, self._attributes(z, rng))
        self.autoencoder_.match_popularity(z, real.degree[source], real.counts)
        self.real_scores_ = np.sort(self._likelihood(self.latents_, *real.links.nonzero()))

    def sample(self, n: int, rng: np.random.Generator) -> Entities:
        """n nodes decoded near sources drawn anew; links by external id, confidence [n]."""
        real = self.profiles_
        z, source = self._posterior(n, rng)
        columns = self.columns_.decode(
            self.margins_.matched(self.margins_.draw(self._attributes(z, rng), rng))
        )
        row, target, probability = self.autoencoder_.draw(z, real.degree[source], rng)
        score = self._likelihood(z, row, target)
        if self.keep:
            row, target, probability = self._kept(source, row, target, probability, rng)
        rating = nearest_ratings(real, self.latents_, z, row, target)
        confidence = np.searchsorted(self.real_scores_, score, "right") / len(self.real_scores_)
        return Entities(columns, real.link_table(row, target, probability, rating), confidence)

    def _posterior(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Latents of n nodes and their sources; every real node is a source as often as any other,
        give or take one.
        """
        many = len(self.latents_)
        source = np.concatenate([rng.permutation(many) for _ in range(-(-n // many))])[:n]
        noise = rng.standard_normal((n, self.latents_.shape[1]))
        return self.latents_[source] + self.spread_[source] * noise, source

    def _attributes(self, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        said = self.autoencoder_.decode(z)[1].astype(np.float64)
        return said + self.residual_ * rng.standard_normal(said.shape)

    def _likelihood(self, z: np.ndarray, row: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Mean log probability of each node's links under softmax(decoder(z)); rows are sorted."""
        out = np.zeros(len(row))
        block = rows_at_once(self.profiles_.links.shape[1])
        for at in range(0, len(z), block):
            logits = self.autoencoder_.decode(z[at : at + block])[0]
            top = logits.max(axis=1, keepdims=True)
            norm = (top + np.log(np.exp(logits - top).sum(axis=1, keepdims=True)))[:, 0]
            part = slice(*np.searchsorted(row, [at, at + len(logits)]))
            out[part] = logits[row[part] - at, target[part]] - norm[row[part] - at]
        return np.bincount(row, out, len(z)) / np.maximum(np.bincount(row, minlength=len(z)), 1)

    def _kept(
        self,
        source: np.ndarray,
        row: np.ndarray,
        target: np.ndarray,
        probability: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Some links of the source in the place of the last ones drawn."""
        links = self.profiles_.links[source]
        own, have = np.repeat(np.arange(len(source)), np.diff(links.indptr)), links.indices
        kept = rng.random(len(own)) < self.keep
        own, have = own[kept], have[kept]
        rows = np.concatenate([own, row])  # kept ones first, then drawn ones in their order
        targets = np.concatenate([have, target])
        chances = np.concatenate([np.ones(len(own)), probability])
        _, first = np.unique(rows * links.shape[1] + targets, return_index=True)
        first = np.sort(first)
        first = first[np.argsort(rows[first], kind="stable")]
        sorted_rows = rows[first]
        rank = np.arange(len(first)) - np.searchsorted(sorted_rows, sorted_rows)
        chosen = first[rank < np.diff(links.indptr)[sorted_rows]]
        return rows[chosen], targets[chosen], chances[chosen]
