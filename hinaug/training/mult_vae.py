"""How a Mult-VAE learns, for the predictor and for the generators of nodes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
import torch

from hinaug.nn.encoders import dropout
from hinaug.nn.mult_vae import MultVAENetwork
from hinaug.nn.sparse import SparseMatrix


@dataclass
class MultVAEEpochs:
    """The epochs of a Mult-VAE, one call each: `train(..., epoch=MultVAEEpochs(...))`.

    network: what is trained. links: CSR [n, m]. columns: float32 [n, width], width may be 0; the
    encoder sees each row of them at length 1, the decoder learns them as they are. rows: those that
    are learned from, each with a link. rng: of the order and of the dropout of links. random: of
    the dropout of columns and of the noise. lr: of Adam. kl: beta at the end; it grows in a line
    over the first half of `n_epochs`.
    """

    network: MultVAENetwork
    links: sp.csr_array
    columns: np.ndarray
    rows: np.ndarray
    rng: np.random.Generator
    random: torch.Generator
    batch_size: int
    lr: float
    dropout: float
    kl: float
    n_epochs: int
    optimizer: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=self.lr, fused=True)
        length = np.linalg.norm(self.columns, axis=1, keepdims=True)
        self.unit_columns = self.columns / np.maximum(length, 1e-12)

    def __call__(self, number: int) -> dict[str, torch.Tensor]:
        """One epoch over all rows, in a new order; the mean loss of a row."""
        order = self.rng.permutation(self.rows)
        n_batches = -(-len(order) // self.batch_size)
        device = self.network.encoder_bias.device
        total = torch.zeros((), dtype=torch.float64, device=device)
        for k in range(n_batches):
            rows = order[k * self.batch_size : (k + 1) * self.batch_size]
            links, unit = self.links[rows], torch.from_numpy(self.unit_columns[rows])
            shown = SparseMatrix(thinned(links, self.dropout, self.rng)).to(device)
            shown_columns = dropout(unit, self.dropout, self.random).to(device)
            step = (number - 1) * n_batches + k
            beta = self.kl * min(1.0, 2 * step / (self.n_epochs * n_batches))
            columns = torch.from_numpy(self.columns[rows]).to(device)
            loss = self.network(shown, shown_columns, links, columns, beta, self.random)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.detach() * len(rows)
        return {"loss": total / len(order)}


def unit_rows(links: sp.csr_array) -> sp.csr_array:
    """Each row of links divided by its length."""
    length = np.sqrt(np.asarray(links.multiply(links).sum(axis=1)).ravel())
    return sp.csr_array(sp.diags_array((1 / np.maximum(length, 1e-12)).astype(np.float32)) @ links)


def thinned(links: sp.csr_array, p: float, rng: np.random.Generator) -> sp.csr_array:
    """Unit rows after dropout: each link is hidden with probability p, the others grow."""
    x = unit_rows(links)
    x.data = x.data * ((rng.random(x.nnz) >= p) / (1 - p)).astype(np.float32)
    return x
