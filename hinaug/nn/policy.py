"""A policy that builds a node step by step: codes of its columns, its links, and when to stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hinaug.nn.encoders import linear
from hinaug.nn.joint_vae import Bag, JointVAENetwork

__all__ = ["Episodes", "NodePolicy", "Steps"]

CERTAIN = 8.0  # slope of the logit of stopping, in links: 2 % stop one too early or too late


@dataclass
class Episodes:
    """How b nodes were built.

    z: latents [b, latent]. degree: links that each shall have, int64 [b, relations]. codes: int64
    [b, columns]. row, column: for each relation the node and the target of each link, sorted by
    node, in the order of drawing.
    """

    z: Tensor
    degree: Tensor
    codes: Tensor
    row: list[Tensor]
    column: list[Tensor]

    def dense(self, sizes: list[int], levels: list[int]) -> Tensor:
        """Links of all relations, then one-hot codes [b, width], as a critic sees nodes."""
        parts = [
            torch.zeros(len(self.z), m).index_put_((row, column), torch.ones(()))
            for m, row, column in zip(sizes, self.row, self.column, strict=True)
        ]
        codes = [F.one_hot(self.codes[:, c], n).float() for c, n in enumerate(levels)]
        return torch.cat([*parts, *codes], 1)

    def counts(self, relation: int) -> Tensor:
        """Links of each node [b]."""
        return torch.bincount(self.row[relation], minlength=len(self.z))


@dataclass
class Steps:
    """Decisions of episodes: whose each is, log probability, and entropy of what was possible."""

    row: Tensor
    log_prob: Tensor
    entropy: Tensor


class NodePolicy(nn.Module):
    """Builds nodes from latents of a JointVAE; untaught, its links are those of the JointVAE.

        code of column c ~ softmax(U_c tanh(h + sum over c' < c of E_c'[code]))
        h_1 = h + B sum over c of E_c[code]
        relation r, after t links:
            stop  ~ sigmoid(a_r (t + 1/2 - degree) + v_r h_r + b_r)
            link  ~ softmax, over targets not taken, of W_r (h_r + C_r mean taken) / T_r + o_r
        h_(r+1) = h_r + context of the links in r, as in JointVAENetwork

    B, C, v and b are zero at first: to draw one link after another by a softmax over those not
    taken is Gumbel top-n (Kool et al., ICML 2019). A relation that the source has gets one link at
    least, and none more than the largest real degree.

    Parameters
    ----------
    network
        The network of a JointVAE; it is trained too.
    temperatures, offsets
        T_r and o_r of the formula, which stay fixed.
    most
        The largest degree in each relation.
    generator
        Source of the initial weights.
    write_columns
        Whether it writes codes of the columns that the network reads.

    Example
    -------
    >>> g = torch.Generator().manual_seed(0)
    >>> policy = NodePolicy(JointVAENetwork([5], [], 8, 2, g), [1.0], [torch.zeros(5)], [3], g)
    >>> built = policy.build(torch.zeros(2, 2), torch.tensor([[1], [2]]), g)
    >>> len(policy.steps(built).row) >= 3
    True
    """

    def __init__(
        self,
        network: JointVAENetwork,
        temperatures: list[float],
        offsets: list[Tensor],
        most: list[int],
        generator: torch.Generator,
        write_columns: bool = True,
    ) -> None:
        super().__init__()
        self.network, self.temperatures, self.most = network, temperatures, most
        for r, offset in enumerate(offsets):
            self.register_buffer(f"offset_{r}", offset.clone())
        hidden = network.encoder.shape[1]
        n_relations = len(network.sizes)
        written = network.levels if write_columns else ()
        self.columns = nn.ModuleList(linear(hidden, n, generator) for n in written)
        self.codes = nn.ParameterList(torch.zeros(n, hidden) for n in written)
        self.from_codes = nn.Parameter(torch.zeros(hidden, hidden))
        self.so_far = nn.ParameterList(torch.zeros(hidden, hidden) for _ in range(n_relations))
        self.slope = nn.Parameter(torch.full((n_relations,), CERTAIN))
        self.stop = nn.Parameter(torch.zeros(n_relations, hidden + 1))

    @torch.no_grad()
    def start_columns(self, codes: Tensor) -> None:
        """Let codes be as frequent as these of real nodes [n, columns], whatever the latent."""
        for c, head in enumerate(self.columns):
            counts = torch.bincount(codes[:, c], minlength=self.network.levels[c])
            cast(nn.Linear, head).weight.zero_()
            cast(nn.Linear, head).bias.copy_((counts / len(codes)).clamp_min(1e-6).log())

    # ---- building --------------------------------------------------------------------------------

    @torch.no_grad()
    def build(self, z: Tensor, degree: Tensor, generator: torch.Generator) -> Episodes:
        """New nodes from latents [b, latent] and wanted degrees [b, relations]."""
        codes = self.draw_codes(z, generator)
        hidden = self.start(z, codes)
        made = Episodes(z, degree, codes, [], [])
        for r in range(len(self.network.sizes)):
            banned = torch.zeros(len(z), self.network.sizes[r], dtype=torch.bool)
            row, column, _ = self.draw_links(r, hidden, degree[:, r], banned, generator)
            made.row.append(row)
            made.column.append(column)
            hidden = self.network.after(hidden, r, _bag(row, column, len(z)))
        return made

    @torch.no_grad()
    def draw_codes(
        self, z: Tensor, generator: torch.Generator, fixed: Mapping[int, Tensor] | None = None
    ) -> Tensor:
        """A code for each column, one column after another, int64 [b, columns].

        fixed: {column: its codes [b]}, which later columns follow.
        """
        hidden = self.network.decode(z)
        out = torch.zeros(len(z), len(self.columns), dtype=torch.int64)
        for c in range(len(self.columns)):
            drawn = _gumbel_argmax(self._column_logits(c, hidden, out), generator)
            out[:, c] = drawn if fixed is None else fixed.get(c, drawn)
        return out

    @torch.no_grad()
    def draw_links(
        self,
        relation: int,
        hidden: Tensor,
        degree: Tensor,
        banned: Tensor,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Links in one relation, one after another: nodes, targets, and probability of each choice,
        sorted by node.

        hidden [b, hidden], see `start`. degree [b]. banned: bool [b, m], targets that are not
        taken; changed in place.
        """
        table = self.network.heads[relation][:, :-1]
        active = torch.arange(len(hidden))
        total = torch.zeros_like(hidden)
        parts: list[tuple[Tensor, Tensor, Tensor]] = []
        for t in range(min(self.most[relation], banned.shape[1])):
            active = active[self._go_on(relation, hidden, degree, t, active, generator)]
            active = active[~banned[active].all(1)]
            if not len(active):
                break
            logits = self._link_logits(relation, hidden[active], total[active] / max(t, 1))
            logits = logits.masked_fill(banned[active], -torch.inf)
            column = _gumbel_argmax(logits, generator)
            chance = logits.softmax(1).gather(1, column[:, None])[:, 0]
            parts.append((active, column, chance))
            banned[active, column] = True
            total[active] += table[column]
        row, column, chance = (torch.cat(part) for part in zip(_nothing(), *parts, strict=True))
        order = torch.argsort(row, stable=True)
        return row[order], column[order], chance[order]

    def start(self, z: Tensor, codes: Tensor) -> Tensor:
        """The hidden layer [b, hidden] before any link, once the columns are written."""
        hidden = self.network.decode(z)
        for c, table in enumerate(self.codes):
            hidden = hidden + table[codes[:, c]] @ self.from_codes
        return hidden

    # ---- judging what was built ------------------------------------------------------------------

    def steps(self, built: Episodes) -> Steps:
        """Each decision of episodes again, with a gradient. Memory: links of them x targets."""
        parts = self.column_steps(built.z, built.codes)
        hidden = self.start(built.z, built.codes)
        for r in range(len(self.network.sizes)):
            parts += [self._link_steps(r, hidden, built), self._stop_steps(r, hidden, built)]
            links = _bag(built.row[r], built.column[r], len(built.z))
            hidden = self.network.after(hidden, r, links)
        return Steps(
            torch.cat([p.row for p in parts]),
            torch.cat([p.log_prob for p in parts]),
            torch.cat([p.entropy for p in parts]),
        )

    def column_steps(self, z: Tensor, codes: Tensor) -> list[Steps]:
        """The decisions that wrote codes [b, columns], column by column, with a gradient."""
        hidden, everyone = self.network.decode(z), torch.arange(len(z))
        out = []
        for c in range(len(self.columns)):
            log_p = self._column_logits(c, hidden, codes).log_softmax(1)
            out.append(_chosen(everyone, log_p, codes[:, c]))
        return out

    def _link_steps(self, relation: int, hidden: Tensor, built: Episodes) -> Steps:
        row, column = built.row[relation], built.column[relation]
        first, t = _places(row, len(hidden))
        own = self.network.heads[relation][:, :-1][column]
        before = own.cumsum(0) - own
        if len(row):
            before = before - before[first]
        logits = self._link_logits(relation, hidden[row], before / t.clamp_min(1)[:, None])
        step, earlier = _earlier(first, t)
        logits = logits.index_put((step, column[earlier]), logits.new_tensor(-torch.inf))
        return _chosen(row, logits.log_softmax(1), column)

    def _stop_steps(self, relation: int, hidden: Tensor, built: Episodes) -> Steps:
        """Of each node, whether it goes on after 0, 1, ... links; what is forced is no decision."""
        n, degree = built.counts(relation), built.degree[:, relation]
        row = torch.repeat_interleave(torch.arange(len(n)), n + 1)
        t = _places(row, len(n))[1]
        most = min(self.most[relation], self.network.sizes[relation])
        free = ~((t == 0) & (degree[row] > 0)) & (t < most)
        row, t = row[free], t[free]
        logit = self._stop_logit(relation, hidden[row], degree[row], t)
        both = torch.stack([F.logsigmoid(-logit), F.logsigmoid(logit)], 1)
        return _chosen(row, both, (t == n[row]).long())

    # ---- logits ----------------------------------------------------------------------------------

    def _column_logits(self, column: int, hidden: Tensor, codes: Tensor) -> Tensor:
        for before in range(column):
            hidden = hidden + self.codes[before][codes[:, before]]
        return self.columns[column](torch.tanh(hidden))

    def _link_logits(self, relation: int, hidden: Tensor, mean: Tensor) -> Tensor:
        logits = self.network.logits(relation, hidden + mean @ self.so_far[relation])
        return logits / self.temperatures[relation] + getattr(self, f"offset_{relation}")

    def _stop_logit(self, relation: int, hidden: Tensor, degree: Tensor, t: Tensor) -> Tensor:
        stop = self.stop[relation]
        return self.slope[relation] * (t + 0.5 - degree) + hidden @ stop[:-1] + stop[-1]

    def _go_on(
        self,
        relation: int,
        hidden: Tensor,
        degree: Tensor,
        t: int,
        active: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """Which of the active nodes take one more link."""
        count = torch.full((len(active),), t)
        logit = self._stop_logit(relation, hidden[active], degree[active], count)
        stops = torch.rand(len(active), generator=generator) < torch.sigmoid(logit)
        return ~stops | (degree[active] > 0) if t == 0 else ~stops


def _nothing() -> tuple[Tensor, Tensor, Tensor]:
    whole = torch.zeros(0, dtype=torch.int64)
    return whole, whole, torch.zeros(0)


def _bag(row: Tensor, column: Tensor, n: int) -> Bag:
    """Links as a bag of unit rows."""
    counts = torch.bincount(row, minlength=n)
    return Bag(column, counts.cumsum(0) - counts, counts[row].float().rsqrt())


def _places(row: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """For sorted rows: where each one's row begins, and the place in it."""
    counts = torch.bincount(row, minlength=n)
    first = (counts.cumsum(0) - counts)[row]
    return first, torch.arange(len(row)) - first


def _earlier(first: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """All pairs of a step and an earlier step of the same node."""
    step = torch.repeat_interleave(torch.arange(len(t)), t)
    offset = torch.arange(len(step)) - (t.cumsum(0) - t)[step]
    return step, first[step] + offset


def _chosen(row: Tensor, log_p: Tensor, choice: Tensor) -> Steps:
    p = log_p.exp()
    entropy = -(p * log_p.masked_fill(p == 0, 0)).sum(1)
    return Steps(row, log_p.gather(1, choice[:, None])[:, 0], entropy)


def _gumbel_argmax(logits: Tensor, generator: torch.Generator) -> Tensor:
    """A draw from softmax(logits) a row."""
    noise = torch.empty(logits.shape).exponential_(generator=generator)
    return (logits - noise.clamp_min_(torch.finfo(noise.dtype).tiny).log_()).argmax(1)
