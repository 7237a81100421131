"""The network of Mult-VAE, with columns beside the links if there are any."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hinaug.nn.encoders import linear
from hinaug.nn.losses import softmax_loss
from hinaug.nn.sparse import SparseMatrix, spmm

__all__ = ["MultVAENetwork"]


class MultVAENetwork(nn.Module):
    """Mult-VAE (Liang et al., "Variational Autoencoders for Collaborative Filtering", WWW 2018).

        (mu, log s^2) = posterior(tanh(x E + c C + b)),    z = mu + s noise,
        h = tanh(decoder(z)),    logits of items = h D + d,    columns = column_head(h)

    x is a row of links, c a row of columns beside it. The matrices with a row for each item stand
    as such, so that batches of links stay sparse: `encoder_items` is E; `decoder_items` is D with
    the biases d as its last column.

    Parameters
    ----------
    n_items
        Number of items m.
    n_columns
        Width of c, which may be 0.
    hidden, latent
        Widths of the hidden layer and of the latent vector.
    generator
        Source of the initial weights.
    blocks
        (kind, width) of the columns that are decoded too, kind "categorical" (a softmax) or another
        (numbers as they are); None decodes links alone.

    Example
    -------
    >>> net = MultVAENetwork(5, 0, 8, 2, torch.Generator().manual_seed(0))
    >>> net.logits(net.decode(torch.zeros(3, 2))).shape
    torch.Size([3, 5])
    """

    def __init__(
        self,
        n_items: int,
        n_columns: int,
        hidden: int,
        latent: int,
        generator: torch.Generator,
        blocks: Sequence[tuple[str, int]] | None = None,
    ) -> None:
        super().__init__()
        self.blocks = list(blocks or ())
        n_decoded = sum(width for _, width in self.blocks)
        encoder = linear(n_items + n_columns, hidden, generator)
        self.posterior = linear(hidden, 2 * latent, generator)
        self.decoder = linear(latent, hidden, generator)
        last = linear(hidden, n_items + n_decoded, generator)
        with torch.no_grad():
            into = encoder.weight.T
            self.encoder_items = nn.Parameter(into[:n_items].clone().contiguous())
            self.encoder_columns = nn.Parameter(into[n_items:].clone().contiguous())
            self.encoder_bias = nn.Parameter(encoder.bias.clone())
            table = torch.cat([last.weight, last.bias[:, None]], 1)
            self.decoder_items = nn.Parameter(table[:n_items].clone())
            self.column_head: nn.Linear | None = None
            if n_decoded:
                self.column_head = nn.Linear(hidden, n_decoded, device="meta").to_empty(
                    device="cpu"
                )
                self.column_head.weight.copy_(last.weight[n_items:])
                self.column_head.bias.copy_(last.bias[n_items:])

    def encode(self, links: SparseMatrix, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z), each [b, latent], from rows of links and of columns."""
        hidden = torch.tanh(
            spmm(links, self.encoder_items) + columns @ self.encoder_columns + self.encoder_bias
        )
        mean, log_variance = self.posterior(hidden).chunk(2, 1)
        return mean, log_variance

    def decode(self, z: Tensor) -> Tensor:
        """The last hidden layer [b, hidden] of latents [b, latent]."""
        return torch.tanh(self.decoder(z))

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits of all items [b, m]."""
        return F.linear(hidden, self.decoder_items[:, :-1], self.decoder_items[:, -1])

    def forward(
        self,
        shown: SparseMatrix,
        shown_columns: Tensor,
        links: object,
        columns: Tensor,
        beta: float,
        generator: torch.Generator,
    ) -> Tensor:
        """The loss of a batch of b rows: minus the evidence bound, as a mean over the rows.

        - sum_i links_i log softmax(logits)_i + loss of the decoded columns + beta KL(q || N(0, I))

        shown, shown_columns: what the encoder sees of them, after dropout. links: scipy CSR [b, m].
        columns [b, n_columns]. generator: of the noise.
        """
        mean, log_variance = self.encode(shown, shown_columns)
        noise = torch.empty(mean.shape).normal_(generator=generator).to(mean.device)
        hidden = self.decode(mean + (0.5 * log_variance).exp() * noise)
        with_one = torch.cat([hidden, hidden.new_ones(len(hidden), 1)], 1)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        per_row = float(links.sum() / links.shape[0])  # type: ignore[attr-defined]
        loss = beta * kl + softmax_loss(with_one, self.decoder_items, links) * per_row
        return loss if self.column_head is None else loss + self._column_loss(hidden, columns)

    def _column_loss(self, hidden: Tensor, columns: Tensor) -> Tensor:
        """Cross-entropy of categorical blocks, half the squared error of others; mean over rows."""
        assert self.column_head is not None
        widths = [width for _, width in self.blocks]
        parts = zip(
            self.blocks,
            self.column_head(hidden).split(widths, 1),
            columns.split(widths, 1),
            strict=True,
        )
        loss = hidden.new_zeros(len(hidden))
        for (kind, _), decoded, true in parts:
            wrong = (
                -true * decoded.log_softmax(1)
                if kind == "categorical"
                else 0.5 * (decoded - true).square()
            )
            loss = loss + wrong.sum(1)
        return loss.mean()
