"""What the searches share: a finding, one graph with its held-out pairs, and when rows that name pairs give them away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from scipy import stats

from hinaug import tables as tb
from hinaug.hin import HIN
from hinaug.split import Split

HUB = 64  # a node that touches more ends than this says little about any one pair


@dataclass(frozen=True)
class Finding:
    """One way in, or one thing that cannot be known."""

    kind: str
    where: str
    graph: str
    why: str
    count: int = 0
    examples: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        shown = f"; for example {', '.join(f'{a} - {b}' for a, b in self.examples[:3])}" if self.examples else ""
        return f"{self.kind} in {self.graph}: {self.where}: {self.why}{shown}"


class View:
    """One graph of the split with its held-out pairs as positions in `source` (whose ends all graphs share)."""

    def __init__(self, name: str, graph: HIN, split: Split, held: pa.Table) -> None:
        self.name, self.graph, self.split = name, graph, split
        self.source = split.source.observed()
        self.a, _, self.b = split.target
        self.shape = (self.source.n(self.a), self.source.n(self.b))
        self.width = max(self.shape[1], 1)
        self.held_src, self.held_dst = (
            self.source.positions(self.a, held["src"]),
            self.source.positions(self.b, held["dst"]),
        )
        self.held = np.unique(self.held_src * self.width + self.held_dst)
        src, dst = self.source.links(split.target)
        recorded = np.unique(src.astype(np.int64) * self.width + dst)
        self.known = np.setdiff1d(recorded, self.held)  # pairs that this graph may know
        self.base_rate = len(self.held) / max(self.shape[0] * self.shape[1] - len(self.known), 1)
        self.observed = graph.observed()
        self.moves = {
            t: tb.lookup(self.source.nodes[t]["id"].chunk(0), self.observed.nodes[t]["id"].chunk(0))
            for t in {self.a, self.b}
        }

    def pairs(self, codes: np.ndarray) -> tuple[tuple[str, str], ...]:
        codes = codes[:5]
        left, right = self.source.nodes[self.a]["id"].chunk(0), self.source.nodes[self.b]["id"].chunk(0)
        return tuple((left[int(c // self.width)].as_py(), right[int(c % self.width)].as_py()) for c in codes)

    def codes(self, src: np.ndarray, dst: np.ndarray) -> np.ndarray:
        """Pair codes from positions in this graph; -1 where an end is not in the source."""
        s, d = self.moves[self.a][src], self.moves[self.b][dst]
        return np.where((s >= 0) & (d >= 0), s.astype(np.int64) * self.width + d, -1)

    def leak(self, kind: str, where: str, why: str, codes: np.ndarray) -> Finding:
        return Finding(kind, where, self.name, why, len(codes), self.pairs(codes))


def no_hubs(matrix: sp.csr_array, limit: int = HUB) -> sp.csr_array:
    matrix = matrix.tocsr()
    degree = np.diff(matrix.indptr)
    if (degree > limit).any():
        keep = np.repeat(degree <= limit, degree)
        indptr = np.concatenate([[0], np.cumsum(np.where(degree <= limit, degree, 0))])
        matrix = sp.csr_array((matrix.data[keep], matrix.indices[keep], indptr), shape=matrix.shape)
    return matrix


def expand(left: sp.csr_array, right: sp.csr_array, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Pair codes and rows of all combinations that each row names; rows with too many are left out."""
    left, right = left.tocsr(), right.tocsr()
    n_left, n_right = np.diff(left.indptr), np.diff(right.indptr)
    rows = np.flatnonzero((n_left > 0) & (n_right > 0) & (n_left * n_right <= HUB))
    count = n_left[rows] * n_right[rows]
    row = np.repeat(rows, count)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    a = left.indices[left.indptr[row] + within // n_right[row]]
    b = right.indices[right.indptr[row] + within % n_right[row]]
    return a.astype(np.int64) * width + b, row


def judge(view: View, left: sp.csr_array, right: sp.csr_array, weak: bool = False) -> tuple[np.ndarray, str] | None:
    """Whether rows that touch users (left) and items (right) give held-out pairs away.

    Certain: a row that names one pair alone, and it is held out; a row private to one end, all of whose pairs are true.
    By statistics: more than half of the new pairs named are held out, far above chance.
    weak: only the statistics count (numbers that may equal an id by accident).
    """
    codes, row = expand(left, right, view.width)
    new = ~np.isin(codes, view.known)
    held = np.isin(codes, view.held)
    if not held.any():
        return None
    named, hits = len(np.unique(codes[new])), np.unique(codes[held])
    says = f"{len(hits)} held-out pairs among {named} pairs that it names beyond the known ones"
    if not weak:
        size = np.bincount(row, minlength=left.shape[0])
        true = np.bincount(row, held | ~new, minlength=left.shape[0])
        private = (np.diff(left.indptr) == 1) | (np.diff(right.indptr) == 1)
        certain = (size == 1) | (private & (true == size))
        sure = np.unique(codes[held & certain[row]])
        if len(sure):
            return sure, says
    p = stats.binom.sf(len(hits) - 1, named, min(view.base_rate, 1))
    if len(hits) / named >= 0.5 and p < 1e-3:
        return hits, says
    return None
