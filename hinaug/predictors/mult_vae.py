"""MultVAE: a variational autoencoder of link rows with a multinomial likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.errors import ParameterError
from hinaug.features.axes import Source, principal_axes
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions
from hinaug.predictors.base import LinkPredictor
from hinaug.progress import track
from hinaug.training.threads import torch_threads
from hinaug.training.validation import Validation


@dataclass(eq=False)
class MultVAE(LinkPredictor):
    """Mult-VAE^PR (Liang et al., "Variational Autoencoders for Collaborative Filtering", WWW 2018).

        (mu, log s^2) = W2 tanh(W1 [x / |x|, c / |c|] + b1) + b2,    z = mu + s eps,    logits = V2 tanh(V1 z + a1) + a2
        loss = - sum_i x_i log softmax(logits)_i + beta KL(q(z) || N(0, I)),    beta annealed from 0 to `kl`

    x are the links of a source, c its features if there are any; scores are the logits at z = mu.

    latent, hidden: 64 numbers from 300, for some thousand items; the paper's 200 from 600 for tens
        of thousands.
    kl: the final beta; the paper's 0.2. dropout: of x and c, 0.5 as in the paper.
    features: what to read of the sources beside their links, see `principal_axes`, such as ["age",
        ("review", "x")]: a mean text vector says something of a source with few links. Of sources
        never seen at fit time they count as unknown.
    epochs, batch, lr: of Adam. check_every, patience: in epochs; with `valid`, training ends when
        `patience` measures of NDCG@20 in a row bring nothing new, and the best weights are kept;
        `refit` then trains for as many epochs.
    weight: a numeric edge column as the values of x; "confidence" weighs generated edges by what
        they say.
    device: where to train; None takes a GPU when there is one. What was learned is kept on the CPU.

    Inductive on sources: a source that was not there at fit time is scored by its links in the
    graph at hand. NaN for a source without links and for targets that had none at fit time. An
    epoch costs O(sources x targets x hidden).
    Learned: `weights_`, `epochs_`, `curve_`.
    """

    latent: int = 64
    hidden: int = 300
    kl: float = 0.2
    dropout: float = 0.5
    features: Sequence[Source] = ()
    epochs: int = 200
    batch: int = 256
    lr: float = 1e-3
    check_every: int = 5
    patience: int = 5
    weight: str | None = None
    device: str | None = None

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        for name in ("latent", "hidden", "epochs", "batch", "check_every", "patience"):
            if getattr(self, name) < 1:
                raise ParameterError(f"MultVAE: {name}={getattr(self, name)!r}; at least 1")
        if not (0 <= self.dropout < 1 and self.kl >= 0 and self.lr > 0):
            raise ParameterError(
                f"MultVAE: dropout in [0, 1), kl at least 0, lr above 0; got {self!r}"
            )
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
        import torch
        from torch.nn import functional as F

        from hinaug.nn import SparseMatrix, softmax_loss, spmm
        from hinaug.nn.encoders import dropout

        links = interactions(hin, self.relation, self.weight)
        side = principal_axes(hin, self.relation[0], self.features)
        self.features_ = side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12)
        m, width = links.shape[1], side.shape[1]
        active = np.flatnonzero(np.diff(links.indptr))
        self.known_ = np.bincount(links.indices, minlength=m) > 0
        random = torch.Generator().manual_seed(int(rng.integers(2**62)))
        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        network = _network(m, width, self.hidden, self.latent, random).to(device)
        adam = torch.optim.Adam(network.parameters(), lr=self.lr, fused=True)
        steps, step = self.epochs * -(-len(active) // self.batch), 0
        best, kept, self.epochs_, self.curve_ = -1.0, None, epochs, []
        with torch_threads(1 if self.batch * (m + width) * self.hidden < 3 * 10**8 else None):
            for epoch in track(range(1, epochs + 1), "MultVAE"):
                order = rng.permutation(active)
                for at in range(0, len(order), self.batch):
                    rows = order[at : at + self.batch]
                    x = links[rows]
                    shown = SparseMatrix(_thinned(x, self.dropout, rng)).to(device)
                    c = dropout(torch.from_numpy(self.features_[rows]), self.dropout, random).to(
                        device
                    )
                    items, sides, out, bias1, w2, bias2, v1, bias3 = network
                    hidden = torch.tanh(spmm(shown, items) + c @ sides + bias1)
                    mu, logvar = F.linear(hidden, w2, bias2).split(self.latent, 1)
                    noise = torch.empty(mu.shape).normal_(generator=random).to(device)
                    z = mu + (0.5 * logvar).exp() * noise
                    hidden = torch.tanh(F.linear(z, v1, bias3))
                    hidden = torch.cat([hidden, hidden.new_ones(len(rows), 1)], 1)
                    beta = self.kl * min(1.0, 2 * step / steps)
                    kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1).mean()
                    loss = beta * kl + softmax_loss(hidden, out, x) * float(x.sum() / len(rows))
                    adam.zero_grad()
                    loss.backward()
                    adam.step()
                    step += 1
                if measure is not None and (epoch % self.check_every == 0 or epoch == epochs):
                    self.weights_ = _arrays(network)
                    self.curve_.append(measure(lambda src: self._logits(links[src], src)))
                    if self.curve_[-1] > best:
                        best, kept, self.epochs_ = self.curve_[-1], self.weights_, epoch
                    elif epoch - self.epochs_ >= self.patience * self.check_every:
                        break
        self.weights_ = _arrays(network) if kept is None else kept

    def _logits(self, links: sp.csr_array, rows: np.ndarray) -> np.ndarray:
        """Scores [b, m] from rows of links and their positions at fit time (-1: unknown)."""
        w, m = self.weights_, links.shape[1]
        x = _unit(links)
        hidden = x @ w["encoder1"][:m] + w["encoder1_bias"]
        hidden += (
            np.where(rows[:, None] >= 0, self.features_[rows], np.float32(0)) @ w["encoder1"][m:]
        )
        mu = (np.tanh(hidden) @ w["encoder2"] + w["encoder2_bias"])[:, : self.latent]
        logits = (
            np.tanh(mu @ w["decoder1"] + w["decoder1_bias"]) @ w["decoder2"] + w["decoder2_bias"]
        )
        logits[:, ~self.known_] = np.nan
        return logits

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        links = self._history(hin, src, self.weight)
        scores = self._logits(links, self._rows(hin, src))
        scores[np.diff(links.indptr) == 0] = np.nan
        return self._columns(hin, scores)


def _unit(links: sp.csr_array) -> sp.csr_array:
    length = np.sqrt(np.asarray(links.multiply(links).sum(axis=1)).ravel())
    return sp.csr_array(sp.diags_array((1 / np.maximum(length, 1e-12)).astype(np.float32)) @ links)


def _thinned(links: sp.csr_array, p: float, rng: np.random.Generator) -> sp.csr_array:
    """Unit rows after dropout."""
    x = _unit(links)
    x.data = x.data * ((rng.random(x.nnz) >= p) / (1 - p)).astype(np.float32)
    return x


def _network(m: int, width: int, hidden: int, latent: int, random: Any) -> Any:
    """The weights of the four layers, those at both ends with a row an item, as sparse products and
    `softmax_loss` take them.

    In order: first layer, items [m, hidden] and features [width, hidden]; last layer [m, hidden +
    1], the biases in its last column; bias of the first; weights and bias of the second and of the
    third.
    """
    from torch import cat, nn

    from hinaug.nn.encoders import linear

    shapes = [(m + width, hidden), (hidden, 2 * latent), (latent, hidden), (hidden, m)]
    first, second, third, last = (linear(*shape, random) for shape in shapes)
    table = first.weight.detach().T
    ends = table[:m], table[m:], cat([last.weight.detach(), last.bias.detach()[:, None]], 1)
    return nn.ParameterList(
        [*(t.contiguous() for t in ends), first.bias, *second.parameters(), *third.parameters()]
    )


def _arrays(network: Any) -> dict[str, np.ndarray]:
    """Weights [in, out] and biases of the four layers."""
    items, sides, out, bias1, w2, bias2, v1, bias3 = (
        p.detach().cpu().numpy().copy() for p in network
    )
    return {
        "encoder1": np.concatenate([items, sides]),
        "encoder1_bias": bias1,
        "encoder2": w2.T.copy(),
        "encoder2_bias": bias2,
        "decoder1": v1.T.copy(),
        "decoder1_bias": bias3,
        "decoder2": out[:, :-1].T.copy(),
        "decoder2_bias": out[:, -1].copy(),
    }
