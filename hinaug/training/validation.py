"""What is shared by methods that make choices on held-out pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.graph.hin import HIN
from hinaug.graph.pairs import held_out, own_pairs
from hinaug.graph.schema import EdgeType
from hinaug.training import ranking


def seen(hin: HIN, relation: EdgeType, src: np.ndarray) -> sp.csr_array:
    """The observed targets of these sources, which no list repeats: CSR [len(src), n_targets of
    hin].

    Generated edges are guesses and not in it; rows of generated sources are empty.
    """
    base = hin.observed().adjacency(relation)
    there = np.flatnonzero(src < base.shape[0])
    rows = base[src[there]]
    counts = np.zeros(len(src), np.int64)
    counts[there] = np.diff(rows.indptr)
    return sp.csr_array(
        (rows.data, rows.indices, np.r_[0, np.cumsum(counts)]), shape=(len(src), hin.n(relation[2]))
    )


def unlinked(hin: HIN, relation: EdgeType, relevant: sp.csr_array) -> np.ndarray | None:
    """bool [observed targets]: those without an observed link, if all of the relevant targets are
    such; else None.

    Where every held-out target is one without links, the question is how to rank those: among all
    others, which every source may still have, they would hardly be seen, and choices would be made
    on zeros.
    """
    n = hin.n_observed(relation[2])
    none = np.bincount(hin.observed().adjacency(relation).indices, minlength=n) == 0
    targets = relevant[:, :n].indices
    return none if len(targets) and none[targets].all() else None


class Validation:
    """NDCG@k of held-out pairs among what a source has not yet.

    Generated targets are not ranked, nor, in a relation between nodes of one type, the source.

    Where the held-out targets are ones without links, only such targets are ranked, see
    `unlinked`.

    hin: the graph that is trained on. valid: held-out pairs, external ids in "src" and "dst".
    """

    def __init__(self, hin: HIN, relation: EdgeType, valid: pa.Table, k: int = 20) -> None:
        self.n, self.k = hin.n_observed(relation[2]), k
        self.users, relevant = held_out(hin, relation, valid)
        hidden = seen(hin, relation, self.users)
        if relation[0] == relation[2]:
            hidden = sp.csr_array(hidden + own_pairs(self.users, hidden.shape[1]))
        self.relevant, self.seen = relevant[:, : self.n], hidden[:, : self.n]
        among = unlinked(hin, relation, self.relevant)
        self.among = slice(None) if among is None else np.flatnonzero(among)
        self.relevant, self.seen = self.relevant[:, self.among], self.seen[:, self.among]
        ties = ranking.tie_order(hin.observed(), relation[2])[self.among]
        self.ties = np.argsort(np.argsort(ties))

    def __call__(self, score: Callable[[np.ndarray], np.ndarray], block: int = 1024) -> float:
        """score: positions of sources -> scores [len(src), n_targets], a block of sources at a
        time.
        """
        return float(self.of_users(score, block).mean()) if len(self.users) else 0.0

    def of_users(self, score: Callable[[np.ndarray], np.ndarray], block: int = 1024) -> np.ndarray:
        """NDCG@k of each of `users`, float64; score as above."""
        values = [np.zeros(0)]
        for at in range(0, len(self.users), block):
            rows = slice(at, at + block)
            ranked, _ = ranking.top_k(
                score(self.users[rows])[:, : self.n][:, self.among],
                self.k,
                exclude=self.seen[rows],
                ties=self.ties,
            )
            values.append(ranking.ndcg(ranked, self.relevant[rows], self.k))
        return np.concatenate(values)

    def digest(self) -> str:
        """A hash of what is measured: the pairs, and the targets that are ranked."""
        digest = hashlib.sha256(f"{self.k} {self.relevant.shape} {self.among}".encode())
        for array in (self.users, self.relevant.indptr, self.relevant.indices):
            digest.update(np.ascontiguousarray(array, np.int64).tobytes())
        return digest.hexdigest()
