"""Links of new nodes from scores: drawn without replacement, as popular and as coherent as real
ones, and not those of a real node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch

from hinaug.generators.entities.draws import NEVER, popularity_offsets
from hinaug.generators.entities.views import View
from hinaug.generators.pairs import rows_at_once

REDRAWS = 20  # times that the links of a real node are drawn anew
JUDGED = 500  # profiles that a temperature is judged by, at most


@dataclass
class Drawn:
    """Links of k new nodes in one view, sorted by node.

    row: the node [e]. column: the target [e]. probability: [e] of being drawn.
    """

    row: np.ndarray
    column: np.ndarray
    probability: np.ndarray

    def matrix(self, k: int, m: int) -> sp.csr_array:
        """CSR of ones [k, m]."""
        indptr = np.concatenate([[0], np.cumsum(np.bincount(self.row, minlength=k))])
        ones = np.ones(len(self.row), np.float32)
        return sp.csr_array((ones, self.column, indptr), shape=(k, m))


def nothing_drawn() -> Drawn:
    return Drawn(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))


def race(logits: np.ndarray, n: np.ndarray, rng: np.random.Generator) -> Drawn:
    """n[b] different columns a row of logits [b, m], in proportion to exp(logit) one after another.

    Gumbel top-n (Kool et al., "Stochastic Beams and Where to Find Them", ICML 2019): the largest of
    logit - log E, E exponential. With the next largest as threshold t, a column has probability
    1 - exp(-exp(logit - t)). Columns at -inf are never drawn, so a row may have fewer than n.
    """
    width = min(int(n.max(initial=0)) + 1, logits.shape[1])
    if len(logits) == 0 or width == 0 or not n.any():
        return nothing_drawn()
    noise = rng.standard_exponential(size=logits.shape, dtype=np.float32)
    keys = logits - np.log(np.maximum(noise, 1e-30))
    best, column = (t.numpy() for t in torch.topk(torch.from_numpy(keys), width, dim=1))
    drawn = (np.arange(width) < n[:, None]) & np.isfinite(best)
    row, place = np.nonzero(drawn)
    after = best[np.arange(len(n)), np.minimum(n, width - 1)]
    after = np.where(n < width, after, -np.inf)
    column = column[row, place]
    gap = np.clip(logits[row, column] - after[row], -30, 30)
    return Drawn(row, column, -np.expm1(-np.exp(gap)).astype(np.float32))


class Coherence:
    """How well the targets of a profile go together: the mean cosine of two of them, averaged over
    profiles. The cosines are those of the columns of `basis` [n, m].
    """

    def __init__(self, basis: sp.csr_array) -> None:
        self.unit = basis.tocsc().astype(np.float64)
        degree = np.diff(self.unit.indptr)
        self.unit.data = self.unit.data / np.sqrt(np.maximum(np.repeat(degree, degree), 1))
        self.self_cosine = (degree > 0).astype(np.float64)

    def __call__(self, profiles: sp.csr_array) -> float:
        """profiles: CSR [k, m]; those of fewer than two links do not count."""
        n = np.diff(profiles.indptr).astype(np.float64)
        together = profiles @ self.unit.T
        everyone = np.asarray((together * together).sum(axis=1)).ravel()
        pairs = n * (n - 1)
        value = (everyone - profiles @ self.self_cosine) / np.maximum(pairs, 1)
        return float(value[pairs > 0].mean()) if (pairs > 0).any() else 0.0


Logits = Callable[[slice], np.ndarray]


def calibrated(
    logits_of: Logits,
    degree: np.ndarray,
    counts: np.ndarray,
    offsets: np.ndarray,
    steps: int,
) -> np.ndarray:
    """Offsets [m] with which draws are as popular as `counts`, from those of similar logits."""
    never = popularity_offsets(
        lambda rows: logits_of(rows) + np.maximum(offsets, NEVER), degree, counts, steps
    )
    return np.where(counts > 0, np.maximum(offsets, NEVER) + never, NEVER).astype(np.float32)


def coherent_temperature(
    logits_of: Logits,
    degree: np.ndarray,
    counts: np.ndarray,
    basis: sp.csr_array,
    judged: sp.csr_array,
    rng: np.random.Generator,
) -> tuple[float, np.ndarray]:
    """The temperature at which draws are as coherent as real profiles, and its offsets [m]:
    bisection on the logarithm between 1/5 and 2.

    Parameters
    ----------
    logits_of
        Logits [b, m] of a block of rows, one row for each of `judged`.
    degree, counts
        Links to draw for each row; real links of each target.
    basis, judged
        Real links that cosines are learned from, and others that are compared with the draws.
    """
    coherence = Coherence(basis)
    wanted = coherence(judged)
    offsets = np.zeros(len(counts), np.float32)
    low, high = np.log(0.2), np.log(2.0)
    for _ in range(6 if wanted > 0 else 0):
        temperature = np.float32(np.exp((low + high) / 2))

        def at_temperature(rows: slice, t: np.float32 = temperature) -> np.ndarray:
            return logits_of(rows) / t

        offsets = calibrated(at_temperature, degree, counts, offsets, steps=3)
        drawn = drawn_by(at_temperature, offsets, degree, rng)
        found = coherence(drawn.matrix(len(degree), len(counts)))
        low, high = ((low + high) / 2, high) if found > wanted else (low, (low + high) / 2)
    return (float(np.exp((low + high) / 2)) if wanted > 0 else 1.0), offsets


def drawn_by(
    logits_of: Logits,
    offsets: np.ndarray,
    degree: np.ndarray,
    rng: np.random.Generator,
    block: int = 256,
) -> Drawn:
    """Links of all rows by logits and offsets [m], a block of rows at a time."""
    parts = [nothing_drawn()]
    for at in range(0, len(degree), block):
        rows = slice(at, min(at + block, len(degree)))
        part = race(logits_of(rows) + offsets, degree[rows], rng)
        parts.append(Drawn(part.row + at, part.column, part.probability))
    return joined(parts)


def banned(view: View, kept: sp.csr_array, among: sp.csr_array | None, rows: slice) -> np.ndarray:
    """Which targets some new nodes cannot draw, bool [b, m]: those that the graph lacks, those that
    they have for certain, and those that are not `among` what they draw from.
    """
    out = np.tile(view.position < 0, (rows.stop - rows.start, 1))
    if among is not None:
        outside = np.ones_like(out)
        outside[among[rows].nonzero()] = False
        out |= outside
    out[kept[rows].nonzero()] = True
    return out


def beside(links: Sequence[sp.csr_array]) -> sp.csr_array:
    """The links of all views in one matrix."""
    return sp.csr_array(sp.hstack(list(links), format="csr"))


def either(one: sp.csr_array, other: sp.csr_array) -> sp.csr_array:
    """The links of either, CSR of ones."""
    both = sp.csr_array(one + other)
    both.data[:] = 1
    return both


def joined(parts: list[Drawn]) -> Drawn:
    """Several draws as one, sorted by node."""
    row, column, probability = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("row", "column", "probability")
    )
    order = np.argsort(row, kind="stable")
    return Drawn(row[order], column[order], probability[order])


def drawn_from_shares(
    shares_of: Callable[[np.ndarray], np.ndarray],
    degree: np.ndarray,
    real: sp.csr_array,
    rng: np.random.Generator,
    sharpness: float = 1.0,
    repeat: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Links (rows, columns, shares) of new nodes, drawn in proportion to shares ^ sharpness.

    A row with exactly the links of a real one is drawn anew, each time with a larger admixture of
    what is popular, since two alike parents may have nothing else; `repeat` keeps it.

    shares_of: shares [b, m] of some rows. degree: links of each row [k]. real: CSR [n, m].
    """
    made = _shares_drawn(shares_of, degree, rng, sharpness)
    popular = np.asarray(real.sum(axis=0)).ravel() / max(real.nnz, 1)
    for again in range(0 if repeat else REDRAWS):
        rows = np.flatnonzero(repeats(made.matrix(len(degree), real.shape[1]), real))
        if not len(rows):
            break

        def mixed(at: np.ndarray, rows: np.ndarray = rows, more: int = again) -> np.ndarray:
            return shares_of(rows[at]) + (more + 1) * popular

        made = replaced(made, rows, _shares_drawn(mixed, degree[rows], rng, sharpness))
    return made.row, made.column, np.minimum(made.probability, 1)


def _shares_drawn(
    shares_of: Callable[[np.ndarray], np.ndarray],
    degree: np.ndarray,
    rng: np.random.Generator,
    sharpness: float,
) -> Drawn:
    """Links with their shares in the place of probabilities."""
    parts = [nothing_drawn()]
    width = shares_of(np.zeros(1, np.int64)).shape[1]
    block = rows_at_once(width)
    for at in range(0, len(degree), block):
        rows = np.arange(at, min(at + block, len(degree)))
        share = shares_of(rows)
        with np.errstate(divide="ignore"):
            logits = (sharpness * np.log(share)).astype(np.float32)
        part = race(logits, degree[rows], rng)
        parts.append(Drawn(part.row + at, part.column, share[part.row, part.column]))
    return joined(parts)


def replaced(made: Drawn, rows: np.ndarray, anew: Drawn) -> Drawn:
    """The links with those of some rows drawn anew."""
    stays = ~np.isin(made.row, rows)
    kept = Drawn(made.row[stays], made.column[stays], made.probability[stays])
    return joined([kept, Drawn(rows[anew.row], anew.column, anew.probability)])


def repeats(links: sp.csr_array, real: sp.csr_array) -> np.ndarray:
    """Whether each row has exactly the links of a real row; a single link is no such row.

    Sets are compared by sums of a random 64-bit number a column.
    """
    number = np.random.default_rng(0).integers(2**63, size=links.shape[1], dtype=np.uint64)
    made, known = (_sums(x, number) for x in (links, real))
    return np.isin(made, known) & (np.diff(links.indptr) > 1)


def _sums(links: sp.csr_array, number: np.ndarray) -> np.ndarray:
    """The sum of the numbers of each row's columns, modulo 2^64."""
    total = np.zeros(links.nnz + 1, np.uint64)
    np.cumsum(number[links.indices], out=total[1:])
    return total[links.indptr[1:]] - total[links.indptr[:-1]]
