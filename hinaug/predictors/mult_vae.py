"""MultVAE: a variational autoencoder of link rows with a multinomial likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
import torch

from hinaug.checks import COUNT, DROPOUT, NOT_NEGATIVE, POSITIVE, Limits, Space
from hinaug.errors import ParameterError
from hinaug.features.axes import PrincipalAxes, Source
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions
from hinaug.nn import MultVAENetwork
from hinaug.predictors.base import FoldsIn, check_positive
from hinaug.training.loop import train
from hinaug.training.mult_vae import MultVAEEpochs, unit_rows
from hinaug.training.validation import Validation

SMALL = 3 * 10**8  # numbers of a batch times hidden below which a second thread costs more


@dataclass(eq=False)
class MultVAE(FoldsIn):
    """Mult-VAE^PR (Liang et al., "Variational Autoencoders for Collaborative Filtering", WWW 2018).

        (mu, log s^2) = W2 tanh(W1 [x / |x|, c / |c|] + b1) + b2,    z = mu + s eps,
        logits = V2 tanh(V1 z + a1) + a2,
        loss = - sum_i x_i log softmax(logits)_i + beta KL(q(z) || N(0, I)),

    with beta annealed from 0 to `kl`.

    x are the links of a source, c its features if there are any; scores are the logits at z = mu.

    latent, hidden: 64 numbers from 300, for some thousand items; the paper's 200 from 600 for tens
        of thousands.
    kl: the final beta; the paper's 0.2. dropout: of x and c, 0.5 as in the paper.
    features: what to read of the sources beside their links, see `PrincipalAxes`, such as ["age",
        ("review", "x")]: a mean text vector says something of a source with few links. They are
        read from the graph that is scored, projected as at fit time.
    epochs, batch_size, lr: of Adam. check_every, patience: with `valid`, NDCG@20 is measured every
        `check_every` epochs, training ends when `patience` measures in a row bring nothing new, and
        the best weights are kept; `refit` then trains for as many epochs.
    weight: a numeric edge column as the values of x; "confidence" weighs generated edges by what
        they say.
    device: where to train; None takes a GPU when there is one. What was learned is kept on the CPU.

    Inductive on sources: a source that was not there at fit time is scored by its links and
    features in the graph at hand, or by `fold_in` from those that are handed over. NaN for a source
    without links and for targets that had none at fit time. An epoch costs O(sources x targets x
    hidden).
    Learned: `weights_`, the state of `hinaug.nn.MultVAENetwork`; `axes_`, the projection of the
    features; `epochs_`, `curve_`.
    """

    LIMITS: ClassVar[Limits] = {
        "latent": COUNT,
        "hidden": COUNT,
        "epochs": COUNT,
        "batch_size": COUNT,
        "check_every": COUNT,
        "patience": COUNT,
        "dropout": DROPOUT,
        "kl": NOT_NEGATIVE,
        "lr": POSITIVE,
    }
    SPACE: ClassVar[Space] = {"kl": (0.05, 1.0, "log"), "dropout": (0.2, 0.8)}
    latent: int = 64
    hidden: int = 300
    kl: float = 0.2
    dropout: float = 0.5
    features: Sequence[Source] = ()
    epochs: int = 200
    batch_size: int = 256
    lr: float = 1e-3
    check_every: int = 5
    patience: int = 5
    weight: str | None = None
    device: str | None = None

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        if hin.n(self.relation) == 0:
            raise ParameterError(f"MultVAE: there are no {self.relation} links to learn from")
        measure = (
            None if valid is None or not valid.num_rows else Validation(hin, self.relation, valid)
        )
        self._train(hin, rng, self.epochs, measure)

    def _refit(self, hin: HIN, rng: np.random.Generator) -> None:
        self._train(hin, rng, self.epochs_, None)

    def _train(
        self, hin: HIN, rng: np.random.Generator, epochs: int, measure: Validation | None
    ) -> None:
        links = interactions(hin, self.relation, self.weight)
        check_positive(links, type(self).__name__)
        n_targets = links.shape[1]
        self.axes_ = PrincipalAxes(self.relation[0], tuple(self.features))
        features = self.axes_.fit_transform(hin)
        self.known_ = np.bincount(links.indices, minlength=n_targets) > 0
        random = torch.Generator().manual_seed(int(rng.integers(2**62)))
        network = MultVAENetwork(n_targets, features.shape[1], self.hidden, self.latent, random)
        epoch = MultVAEEpochs(
            network,
            links,
            features,
            np.flatnonzero(np.diff(links.indptr)),
            rng,
            random,
            batch_size=self.batch_size,
            lr=self.lr,
            dropout=self.dropout,
            kl=self.kl,
            n_epochs=self.epochs,
        )

        def value() -> float:
            assert measure is not None
            self.weights_ = _arrays(network)
            return measure(lambda src: self._logits(links[src], epoch.unit_columns[src]))

        work = self.batch_size * (n_targets + features.shape[1]) * self.hidden
        trained = train(
            self,
            network,
            epoch,
            epochs=epochs,
            optimizers=[epoch.optimizer],
            generators=[rng, random],
            measure=None if measure is None else value,
            check_every=self.check_every,
            patience=self.patience,
            identity=[] if measure is None else [measure.digest()],
            threads=1 if work < SMALL else None,
            device=self.device,
        )
        self.epochs_, self.curve_ = trained.epochs, trained.curve
        self.weights_ = _arrays(network)

    def _logits(self, links: sp.csr_array, unit_features: np.ndarray) -> np.ndarray:
        """Scores [b, m] from rows of links and of features, those of length 1 or 0."""
        w = self.weights_
        hidden = unit_rows(links) @ w["encoder_items"] + w["encoder_bias"]
        hidden += unit_features @ w["encoder_columns"]
        mean = np.tanh(hidden) @ w["posterior.weight"].T + w["posterior.bias"]
        hidden = np.tanh(mean[:, : self.latent] @ w["decoder.weight"].T + w["decoder.bias"])
        logits = hidden @ w["decoder_items"][:, :-1].T + w["decoder_items"][:, -1]
        logits[:, ~self.known_] = np.nan
        return logits

    def _unit_features(self, hin: HIN) -> np.ndarray:
        return _unit(self.axes_.transform(hin))

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        features = self._per_graph(hin, "features", lambda: self._unit_features(hin))
        return self._columns(
            hin, self._linked_logits(self._history(hin, src, self.weight), features[src])
        )

    def _linked_logits(self, links: sp.csr_array, unit_features: np.ndarray) -> np.ndarray:
        """As `_logits`; NaN for rows without links."""
        logits = self._logits(links, unit_features)
        logits[np.diff(links.indptr) == 0] = np.nan
        return logits

    def _fold_in(self, history: sp.csr_array, attributes: pa.Table | None) -> np.ndarray:
        width = self.weights_["encoder_columns"].shape[0]
        features = np.zeros((history.shape[0], width), np.float32)
        if attributes is not None and width:
            features = _unit(self.axes_.transform_table(attributes))
        return self._linked_logits(history, features)


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows divided by their length; one of zeros stays."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _arrays(network: MultVAENetwork) -> dict[str, np.ndarray]:
    return {name: p.detach().cpu().numpy().copy() for name, p in network.state_dict().items()}
