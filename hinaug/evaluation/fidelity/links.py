"""Links, real against generated: how many, to whom, and how well they go together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from scipy.stats import rankdata

from hinaug.evaluation.fidelity.columns import ks, variation
from hinaug.evaluation.fidelity.tree import Measured, Plot
from hinaug.evaluation.sample import Sample, Side

LINKS = 32  # of a node in one relation, at most, where pairs of links are counted
ROWS = 300  # nodes whose neighbours are looked at, at most
SMOOTHING = 0.1  # part of the expected count that is added to a count
NO_LINK = "no generated node has such a link"
NO_PATH = "no generated node has such a path"
SURE = 3.0  # standard errors from the control, below which real links show nothing


def degree(real: Sample, made: Sample, side: Side) -> Measured:
    """1 - KS of the number of links."""
    return ks(real.degree(side), made.degree(side))


def popularity(real: Sample, made: Sample, side: Side) -> Measured:
    """1 - total variation of the shares of links that each node at the other end gets."""
    counts = [_popularity(s.links(side)) for s in (real, made)]
    if not counts[0].sum():
        return Measured(None, says="no real node has such a link")
    if not counts[1].sum():
        return Measured(0.0, 1.0, NO_LINK)
    distance = variation(*counts)
    order = np.argsort(-counts[0], kind="stable")
    at = np.unique(np.geomspace(1, len(order), 40).astype(int))
    upto = [np.cumsum(c[order])[at - 1] / c.sum() for c in counts]
    return Measured(
        1 - distance, distance, plot=Plot("curve", upto[0], upto[1], x=at.astype(float))
    )


def clustering(real: Sample, made: Sample, side: Side) -> Measured:
    """1 - KS of the clustering coefficient of each node in its own sample.

    With N(u) what u is linked to (Latapy et al., "Basic notions for the analysis of large two-mode
    networks", Social Networks 2008),

        c(u) = mean over the v that share a link with u of |N(u) n N(v)| / |N(u) u N(v)|
    """
    found = [_clustering(s.links(side)) for s in (real, made)]
    if len(found[0]) < 2:
        return Measured(None, says="too few real nodes share a link")
    if not len(found[1]):
        return Measured(0.0, says="no two generated nodes share a link")
    out = ks(*found)
    return Measured(out.score, float(found[1].mean() - found[0].mean()), plot=out.plot)


def assortativity(real: Sample, made: Sample, side: Side, popularity_of: np.ndarray) -> Measured:
    """1 - |r_real - r_made| / 2, with r the rank correlation, over links, of the number of links of
    the node and of what it is linked to.
    """
    r = [_assortativity(s.links(side), popularity_of) for s in (real, made)]
    if np.isnan(r[0]):
        return Measured(None, says="all real nodes or all others have equally many links")
    if not made.links(side).nnz:
        return Measured(0.0, says=NO_LINK)
    r_made = 0.0 if np.isnan(r[1]) else r[1]
    return Measured(1 - abs(r[0] - r_made) / 2, r_made - r[0])


def focus(paths: Sequence[sp.csr_array]) -> Measured:
    """1 - KS of sum over the ends b of p_b^2, with p_b the share of a node's paths to b."""
    found = []
    for matrix in paths:
        total = np.asarray(matrix.sum(axis=1)).ravel()
        square = np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel()
        found.append((square / np.maximum(total, 1) ** 2)[total > 0])
    if not len(found[0]):
        return Measured(None, says="no real node has such a path")
    return ks(*found) if len(found[1]) else Measured(0.0, says=NO_PATH)


def ends(paths: Sequence[sp.csr_array]) -> Measured:
    """1 - total variation of the shares of the paths that end at each node."""
    counts = [np.bincount(m.indices, m.data, m.shape[1]) for m in paths]
    if not counts[0].sum():
        return Measured(None, says="no real node has such a path")
    if not counts[1].sum():
        return Measured(0.0, 1.0, NO_PATH)
    distance = variation(*counts)
    return Measured(1 - distance, distance)


def counts(paths: Sequence[sp.csr_array]) -> Measured:
    """1 - KS of the number of paths of a node."""
    return ks(*(np.asarray(m.sum(axis=1)).ravel() for m in paths))


# ---- pointwise mutual information ----------------------------------------------------------------


class Together:
    """How readily two links go together in one node, learned from nodes that are judged nowhere.

    With C_ab the nodes that have link a in the first relation and b in the second, and E_ab =
    n_a n_b / n that number if they were independent, a pair of links has the pointwise mutual
    information

        PMI(a, b) = log((C_ab + s E_ab) / ((1 + s) E_ab)),    s = 0.1

    and a node the mean over its pairs of links. One and the same relation twice gives the coherence
    of a profile, over pairs of two different links. Of a node at most 32 links count, at random.
    """

    def __init__(self, fit: Sample, first: Side, second: Side, rng: np.random.Generator) -> None:
        self.first, self.second, self.seed = first, second, int(rng.integers(2**32))
        a, b = self._links(fit)
        both = sp.csr_array(a.T @ b)
        n_a, n_b = (np.asarray(x.sum(axis=0)).ravel() for x in (a, b))
        row = np.repeat(np.arange(both.shape[0]), np.diff(both.indptr))
        expected = n_a[row] * n_b[both.indices] / max(len(fit), 1)
        both.data = np.log1p(both.data / (SMOOTHING * expected)).astype(np.float32)
        self.gain, self.base = both, float(np.log(SMOOTHING / (1 + SMOOTHING)))
        self.known = n_a > 0, n_b > 0
        self._found: dict[tuple[Sample, bool], np.ndarray] = {}

    def of(self, sample: Sample, *, apart: bool = False) -> np.ndarray:
        """The mean PMI of each node, NaN where it has no pair of links that were seen, [n].

        apart: of a control: links are dealt out anew (one relation), or the second relation is that
            of another node (two).
        """
        if (sample, apart) not in self._found:
            a, b = self._links(sample)
            rng = np.random.default_rng(self.seed)
            if apart and self.first == self.second:
                a = b = dealt(a, rng)
            elif apart:
                b = b[rng.permutation(b.shape[0])]
            self._found[sample, apart] = self._mean(a, b)
        return self._found[sample, apart]

    def _mean(self, a: sp.csr_array, b: sp.csr_array) -> np.ndarray:
        a, b = (_only(x, known) for x, known in zip((a, b), self.known, strict=True))
        total = np.asarray((sp.csr_array(a @ self.gain)).multiply(b).sum(axis=1)).ravel()
        n_a, n_b = (np.diff(x.indptr).astype(float) for x in (a, b))
        pairs = n_a * n_b
        if self.first == self.second:  # without the pairs of a link with itself
            total = total - a @ self.gain.diagonal()
            pairs = n_a * (n_a - 1)
        return np.where(pairs > 0, total / np.maximum(pairs, 1) + self.base, np.nan)

    def _links(self, sample: Sample) -> tuple[sp.csr_array, sp.csr_array]:
        rng = np.random.default_rng(self.seed)
        a = thinned(sample.links(self.first), LINKS, rng)
        same = self.first == self.second
        return a, a if same else thinned(sample.links(self.second), LINKS, rng)


def together(pmi: Together, real: Sample, made: Sample) -> Measured:
    """Where the mean PMI lies between the control (0) and real nodes (1).

        r = (made - control) / (real - control),    score = r up to 1, 1 / r beyond

    so links that go together too well lose as well. No score where real nodes are within three
    standard errors of the control: then there is nothing to keep.
    """
    values = [x[~np.isnan(x)] for x in (pmi.of(real), pmi.of(real, apart=True), pmi.of(made))]
    if min(len(values[0]), len(values[1])) < 2:
        return Measured(None, says="too few nodes have such pairs of links")
    gap = values[0].mean() - values[1].mean()
    error = np.sqrt(sum(x.var() / len(x) for x in values[:2]))
    if gap <= SURE * error:
        return Measured(None, float(gap), "real links go together no better than by chance")
    if not len(values[2]):
        return Measured(0.0, says="no generated node has such pairs of links")
    r = max(float((values[2].mean() - values[1].mean()) / gap), 0.0)
    plot = ks(values[0], values[2]).plot
    return Measured(min(r, 1 / r) if r else 0.0, float(values[2].mean()), plot=plot)


def thinned(links: sp.csr_array, most: int, rng: np.random.Generator) -> sp.csr_array:
    """At most so many links of each row, at random."""
    links = sp.csr_array(links, dtype=np.float32)
    row = np.repeat(np.arange(links.shape[0]), np.diff(links.indptr))
    order = np.lexsort((rng.random(links.nnz), row))
    keep = order[np.arange(links.nnz) - links.indptr[row] < most]
    return _binary(row[keep], links.indices[keep], links.shape)


def dealt(links: sp.csr_array, rng: np.random.Generator) -> sp.csr_array:
    """The links dealt out anew: as many for each row and each column, less those dealt twice."""
    row = np.repeat(np.arange(links.shape[0]), np.diff(links.indptr))
    return _binary(row, rng.permutation(links.indices), links.shape)


def _binary(row: np.ndarray, column: np.ndarray, shape: tuple[int, int]) -> sp.csr_array:
    out = sp.csr_array((np.ones(len(row), np.float32), (row, column)), shape=shape)
    out.data[:] = 1
    return out


def _only(links: sp.csr_array, known: np.ndarray) -> sp.csr_array:
    """The links to columns that are known."""
    row = np.repeat(np.arange(links.shape[0]), np.diff(links.indptr))
    keep = known[links.indices]
    return _binary(row[keep], links.indices[keep], links.shape)


def _popularity(links: sp.csr_array) -> np.ndarray:
    return np.bincount(links.indices, minlength=links.shape[1])


def _clustering(links: sp.csr_array) -> np.ndarray:
    """The clustering coefficient of the first rows that share a link with another."""
    links = sp.csr_array(links, dtype=np.float32)
    common = sp.csr_array(links[:ROWS] @ links.T.tocsr())
    size = np.diff(links.indptr)
    row = np.repeat(np.arange(common.shape[0]), np.diff(common.indptr))
    other = row != common.indices
    row, column, n = row[other], common.indices[other], common.data[other]
    jaccard = n / (size[row] + size[column] - n)
    met = np.bincount(row, minlength=common.shape[0])
    total = np.bincount(row, jaccard, minlength=common.shape[0])
    return (total / np.maximum(met, 1))[met > 0]


def _assortativity(links: sp.csr_array, popularity_of: np.ndarray) -> float:
    size = np.diff(links.indptr)
    row = np.repeat(np.arange(links.shape[0]), size)
    x, y = rankdata(size[row]), rankdata(popularity_of[links.indices])
    if len(x) < 2 or not x.std() or not y.std():
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])
