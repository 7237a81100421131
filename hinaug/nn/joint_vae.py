"""The network of JointVAE: columns and links of several relations from one latent, by chained
heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hinaug.nn.encoders import linear
from hinaug.nn.losses import softmax_loss

__all__ = ["Bag", "JointVAENetwork", "bag", "sampled_softmax_loss"]


class Bag(NamedTuple):
    """Rows of a sparse matrix for `embedding_bag`: columns, where each row begins, values."""

    columns: Tensor
    starts: Tensor
    values: Tensor

    def to(self, device: torch.device) -> Bag:
        return Bag(*(part.to(device) for part in self))


def bag(matrix: sp.csr_array) -> Bag:
    """A scipy CSR matrix as a bag of its rows."""
    return Bag(
        torch.from_numpy(matrix.indices.astype(np.int64)),
        torch.from_numpy(matrix.indptr[:-1].astype(np.int64)),
        torch.from_numpy(matrix.data.astype(np.float32)),
    )


def sampled_softmax_loss(
    rows: Tensor, table: Tensor, links: sp.csr_array, sampled: Tensor, inclusion: Tensor
) -> Tensor:
    """Softmax over a sample of the targets: the sum over links of -log softmax, as a mean of rows.

        log Z ~ logsumexp over candidates j of (logit_j - log p_j),   p_i = 1 for a row's own links

    The candidates are the targets of the batch and those sampled. p_j is the probability that j is
    among them, so that Z is estimated without bias (Horvitz and Thompson, 1952; the logQ
    correction of Bengio and Senecal, 2008). Gradients of the table are sparse.

    Parameters
    ----------
    rows
        The decoded nodes [b, d].
    table
        One vector a target [m, d].
    links
        Weights of the links, CSR [b, m].
    sampled
        Positions of the sampled targets [s].
    inclusion
        The chance of each target to be sampled, p [m].

    Example
    -------
    >>> rows, table = torch.zeros(1, 2), torch.zeros(4, 2)
    >>> links = sp.csr_array(np.eye(1, 4))
    >>> sampled_softmax_loss(rows, table, links, torch.arange(4), torch.ones(4))  # log 4
    tensor(1.3863)
    """
    device = rows.device
    columns = torch.from_numpy(links.indices.astype(np.int64)).to(device)
    weight = torch.from_numpy(links.data.astype(np.float32)).to(device)
    degree = torch.from_numpy(np.diff(links.indptr).astype(np.int64)).to(device)
    row = torch.repeat_interleave(torch.arange(len(rows), device=device), degree)
    candidates, place = torch.unique(torch.cat([columns, sampled]), return_inverse=True)
    place = place[: len(columns)]
    logits = rows @ F.embedding(candidates, table, sparse=True).T
    log_p = inclusion[candidates].log()
    own = torch.zeros_like(logits).index_put_((row, place), log_p[place])
    norm = torch.logsumexp(logits - log_p + own, 1)
    return (weight * (norm[row] - logits[row, place])).sum() / len(rows)


class JointVAENetwork(nn.Module):
    """A variational autoencoder of nodes with links in several relations and with columns.

        (mu, log s^2) = posterior(tanh(sum of rows of `encoder`, one a link and one a column + b))
        z = mu + s noise,   h = tanh(decoder(z))
        relation r: logits = W_r (h + sum over s < r of A_s (unit row of links in s) W_s) + b_r
        column c: logits = U_c tanh(h + sum over all s as above + sum over c' < c of E_c'[code])

    Mult-VAE (Liang et al., WWW 2018) for the first relation; later heads see the links before them
    (chained), so that relations agree. Earlier links share the rows of W_s.

    Parameters
    ----------
    sizes
        Targets of each relation, in the order of the chain.
    levels
        Codes of each column.
    hidden, latent
        Widths of the hidden layers and of the latent vector.
    generator
        Source of the initial weights.
    write_columns
        Whether to have heads for the columns.
    sparse
        For each relation whether its table, with a row for each target, has sparse gradients; that
        of the encoder has them where one has (`tables` names them). None has without it.

    Example
    -------
    >>> net = JointVAENetwork([5, 3], [2], 8, 2, torch.Generator().manual_seed(0))
    >>> net.logits(0, net.decode(torch.zeros(4, 2))).shape
    torch.Size([4, 5])
    """

    def __init__(
        self,
        sizes: Sequence[int],
        levels: Sequence[int],
        hidden: int,
        latent: int,
        generator: torch.Generator,
        write_columns: bool = False,
        sparse: Sequence[bool] = (),
    ) -> None:
        super().__init__()
        self.sizes, self.levels = list(sizes), list(levels)
        self.sparse = list(sparse) or [False] * len(self.sizes)
        into = linear(sum(sizes) + sum(levels), hidden, generator)
        self.encoder = nn.Parameter(into.weight.detach().T.clone().contiguous())
        self.encoder_bias = nn.Parameter(into.bias.detach().clone())
        self.posterior = linear(hidden, 2 * latent, generator)
        self.decoder = linear(latent, hidden, generator)
        heads = [linear(hidden, m, generator) for m in sizes]
        self.heads = nn.ParameterList(
            torch.cat([head.weight.detach(), head.bias.detach()[:, None]], 1) for head in heads
        )
        self.context = nn.ModuleList(linear(hidden, hidden, generator) for _ in sizes)
        written = levels if write_columns else ()
        self.column_heads = nn.ModuleList(linear(hidden, n, generator) for n in written)
        self.column_context = nn.ParameterList(
            linear(n, hidden, generator).weight.detach().T.clone() for n in written
        )

    def tables(self) -> list[nn.Parameter]:
        """The parameters with sparse gradients."""
        heads = [head for head, is_sparse in zip(self.heads, self.sparse, strict=True) if is_sparse]
        return [self.encoder, *heads] if heads else []

    def encode(self, shown: Bag) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z) [b, latent] of rows over all targets, then all codes."""
        hidden = torch.tanh(self._sum(shown, self.encoder, any(self.sparse)) + self.encoder_bias)
        mean, log_variance = self.posterior(hidden).chunk(2, 1)
        return mean, log_variance

    def decode(self, z: Tensor) -> Tensor:
        """The last hidden layer [b, hidden] before any link is known."""
        return torch.tanh(self.decoder(z))

    def after(self, hidden: Tensor, relation: int, links: Bag) -> Tensor:
        """The hidden layer once the links of a relation (unit rows) are known."""
        known = self._sum(links, self.heads[relation], self.sparse[relation])
        return hidden + self.context[relation](known[:, :-1])

    def after_drawn(self, hidden: Tensor, relation: int, links: Tensor) -> Tensor:
        """As `after`, for links [b, m] with a gradient."""
        unit = F.normalize(links, dim=1, eps=1e-6)
        return hidden + self.context[relation](unit @ self.heads[relation][:, :-1])

    def logits(self, relation: int, hidden: Tensor) -> Tensor:
        """Logits of all targets of a relation [b, m]."""
        return F.linear(hidden, self.heads[relation][:, :-1], self.heads[relation][:, -1])

    def column_logits(self, column: int, hidden: Tensor, codes: Tensor) -> Tensor:
        """Logits of a column's codes [b, n]; codes [b, >= column] of the columns before it."""
        for before in range(column):
            hidden = hidden + self.column_context[before][codes[:, before]]
        return self.column_heads[column](torch.tanh(hidden))

    def link_loss(
        self,
        relation: int,
        hidden: Tensor,
        links: sp.csr_array,
        sample: tuple[Tensor, Tensor] | None,
    ) -> Tensor:
        """-sum_i links_i log softmax(logits)_i as a mean over the rows.

        sample: targets [s] and inclusion probabilities [m] for a sampled softmax; None takes all.
        """
        with_one = torch.cat([hidden, hidden.new_ones(len(hidden), 1)], 1)
        if links.nnz == 0:
            return hidden.new_zeros(())
        if sample is not None:
            return sampled_softmax_loss(with_one, self.heads[relation], links, *sample)
        per_row = float(links.sum()) / links.shape[0]
        return softmax_loss(with_one, self.heads[relation], links) * per_row

    def _sum(self, rows: Bag, table: Tensor, sparse: bool) -> Tensor:
        return F.embedding_bag(
            rows.columns,
            table,
            rows.starts,
            mode="sum",
            per_sample_weights=rows.values,
            sparse=sparse,
        )
