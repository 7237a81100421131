"""How a JointVAE learns: epochs over rows of links in several relations, and of column codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn import functional as F

from hinaug.nn.joint_vae import Bag, JointVAENetwork, bag
from hinaug.training.mult_vae import unit_rows


def encoder_rows(
    links: Sequence[sp.csr_array], codes: np.ndarray, levels: Sequence[int]
) -> sp.csr_array:
    """What the encoder sees of n nodes: unit rows of links, then the codes as one unit row.

    links: CSR [n, m_r] a relation. codes: [n, c]. levels: codes of each column.
    """
    coded = one_hot(codes, levels)
    coded.data = coded.data / np.float32(np.sqrt(max(codes.shape[1], 1)))
    return sp.csr_array(sp.hstack([*(unit_rows(x) for x in links), coded], format="csr"))


def one_hot(codes: np.ndarray, levels: Sequence[int]) -> sp.csr_array:
    """Codes [n, c] as ones, the levels of all columns side by side."""
    n, c = codes.shape
    first = np.cumsum([0, *levels])[:-1] if c else np.zeros(0)
    columns, indptr = (codes + first).astype(np.int64).ravel(), np.arange(n + 1) * c
    return sp.csr_array((np.ones(n * c, np.float32), columns, indptr), shape=(n, int(sum(levels))))


@dataclass
class JointVAEEpochs:
    """The epochs of a JointVAE, one call each: `train(..., epoch=JointVAEEpochs(...))`.

    network: what is trained. links: CSR [n, m_r] a relation, in the order of the chain. codes:
    [n, c] of the columns. rng: of the order and of dropout. random: of the noise. batch_size, lr:
    of Adam. dropout: share of links and codes hidden from the encoder. kl: weight at the end; it
    grows in a line over the first half of `n_epochs`. candidates: targets sampled for a softmax of
    a relation whose table has sparse gradients; the others have a full one.
    """

    network: JointVAENetwork
    links: Sequence[sp.csr_array]
    codes: np.ndarray
    rng: np.random.Generator
    random: torch.Generator
    batch_size: int
    lr: float
    dropout: float
    kl: float
    n_epochs: int
    candidates: int
    optimizers: list[torch.optim.Optimizer] = field(init=False)

    def __post_init__(self) -> None:
        self.shown = encoder_rows(self.links, self.codes, self.network.levels)
        tables = self.network.tables()
        held = {id(table) for table in tables}
        rest = [p for p in self.network.parameters() if id(p) not in held]
        self.optimizers = [torch.optim.Adam(rest, lr=self.lr, fused=True)]
        if tables:
            self.optimizers.append(torch.optim.SparseAdam(tables, lr=self.lr))
        self.units = [unit_rows(x) for x in self.links]
        self.popularity = [
            np.bincount(x.indices, minlength=x.shape[1]) / max(x.nnz, 1) for x in self.links
        ]

    def __call__(self, number: int) -> dict[str, Tensor]:
        """One epoch over all rows, in a new order; the mean loss of a row."""
        n = self.shown.shape[0]
        order = self.rng.permutation(n)
        n_batches = -(-n // self.batch_size)
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        for k in range(n_batches):
            rows = order[k * self.batch_size : (k + 1) * self.batch_size]
            step = (number - 1) * n_batches + k
            beta = self.kl * min(1.0, 2 * step / max(self.n_epochs * n_batches, 1))
            loss = self.loss(rows, beta)
            for optimizer in self.optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in self.optimizers:
                optimizer.step()
            total += loss.detach() * len(rows)
        return {"loss": total / n}

    @property
    def _device(self) -> torch.device:
        return self.network.encoder_bias.device

    def loss(self, rows: np.ndarray, beta: float) -> Tensor:
        """Minus the evidence bound of a batch, as a mean over its rows."""
        network = self.network
        mean, log_variance = network.encode(self._bag(self.shown[rows]))
        noise = torch.empty(mean.shape).normal_(generator=self.random).to(mean.device)
        hidden = network.decode(mean + (0.5 * log_variance).exp() * noise)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        loss = beta * kl
        for r, links in enumerate(self.links):
            loss = loss + network.link_loss(r, hidden, links[rows], self._sample(r, rows))
            if r + 1 < len(self.links) or network.column_heads:
                hidden = network.after(hidden, r, self._bag(self.units[r][rows]))
        return loss + self._column_loss(hidden, rows)

    def _column_loss(self, hidden: Tensor, rows: np.ndarray) -> Tensor:
        """Cross-entropy of the columns, where the network has heads for them."""
        codes = torch.from_numpy(self.codes[rows]).to(hidden.device)
        loss = hidden.new_zeros(())
        for c in range(len(self.network.column_heads)):
            logits = self.network.column_logits(c, hidden, codes)
            loss = loss + F.cross_entropy(logits, codes[:, c])
        return loss

    def _bag(self, matrix: sp.csr_array) -> Bag:
        """The rows after dropout: each number is hidden with probability p, the others grow."""
        kept = (self.rng.random(matrix.nnz) >= self.dropout) / (1 - self.dropout)
        values = (matrix.data * kept).astype(np.float32)
        parts = (values, matrix.indices, matrix.indptr)
        return bag(sp.csr_array(parts, shape=matrix.shape)).to(self._device)

    def _sample(self, relation: int, rows: np.ndarray) -> tuple[Tensor, Tensor] | None:
        """Targets sampled by the root of their popularity, and how probably each is a candidate."""
        if not self.network.sparse[relation]:
            return None
        m = self.links[relation].shape[1]
        share = np.sqrt(self.popularity[relation]) + 1e-3 / m
        total = np.cumsum(share)
        picks = self.rng.random(self.candidates) * total[-1]
        sampled = np.minimum(np.searchsorted(total, picks), m - 1)
        degree = np.diff(self.links[relation].indptr)[rows].sum()
        expected = self.candidates * share / total[-1] + degree * self.popularity[relation]
        inclusion = np.maximum(-np.expm1(-expected), 1e-6).astype(np.float32)
        both = torch.from_numpy(sampled), torch.from_numpy(inclusion)
        return both[0].to(self._device), both[1].to(self._device)
