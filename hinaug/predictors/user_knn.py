"""UserKNN: neighbours among sources, from the links alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.errors import ParameterError
from hinaug.features.similarity import best_of_rows, stretches
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions
from hinaug.predictors.base import LinkPredictor


@dataclass(eq=False)
class UserKNN(LinkPredictor):
    """User-based nearest neighbours (Herlocker et al., "An Algorithmic Framework for Performing
    Collaborative Filtering", SIGIR 1999, on links instead of ratings).

    With x_u the row of links of source u,

        s(u, v) = <x_u, x_v> / (|x_u| |x_v| + shrinkage),       score(u, j) = sum of s(u, v) x_vj
        over v in N_k(u)

    where N_k(u) holds the k fitted sources most similar to u, other than u. Equal similarities are
    ordered by position.

    relation: the edge type whose links are scored.
    k: neighbours of a source. More are steadier and closer to popularity: the sparser the data, the
        more.
    shrinkage: pulls down similarities that rest on few common targets; in units of common targets.
    weight: a numeric edge column as the values of x; "confidence" weighs generated edges by what
        they say, at fit and in the history that is scored.

    The links of the neighbours are those of the graph that was fitted on, the history those of the
    graph that is scored
    on: a new user with history is served. NaN for a source without neighbours, and for an item that
    nobody had at fit time. Fitting keeps the links. Scoring takes, for a source, the sum of the
    degrees of its targets, in blocks.
    """

    k: int = 100
    shrinkage: float = 10.0
    weight: str | None = None

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        if self.k < 1 or self.shrinkage < 0:
            raise ParameterError(
                f"UserKNN: k is at least 1 and shrinkage at least 0; got k={self.k}, "
                f"shrinkage={self.shrinkage}"
            )
        self.links_ = interactions(hin, self.relation, self.weight).copy()
        self.known_ = (
            np.bincount(self.links_.indices, self.links_.data, minlength=self.links_.shape[1]) > 0
        )

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        history = self._history(hin, src, self.weight)
        own = self._rows(hin, src)
        by_target, norm = self.links_.T.tocsr(), _norms(self.links_)
        blocks = [
            self._neighbours(history[start:stop], own[start:stop], by_target, norm) @ self.links_
            for start, stop in stretches(history, by_target)
        ]
        scores = np.concatenate(
            [np.zeros((0, self.links_.shape[1]), np.float32), *(b.toarray() for b in blocks)]
        )
        scores[:, ~self.known_] = np.nan
        scores[~np.nan_to_num(scores).any(axis=1)] = np.nan
        return self._columns(hin, scores)

    def _neighbours(
        self, history: sp.csr_array, own: np.ndarray, by_target: sp.csr_array, norm: np.ndarray
    ) -> sp.csr_array:
        """Similarities [len(history), fitted sources], cut to the k best of each row."""
        common = (history @ by_target).tocsr()
        row = np.repeat(np.arange(len(own)), np.diff(common.indptr))
        common.data /= _norms(history)[row] * norm[common.indices] + np.float32(self.shrinkage)
        common.data[common.indices == own[row]] = 0
        return best_of_rows(common, self.k)


def _norms(rows: sp.csr_array) -> np.ndarray:
    return np.sqrt(rows.multiply(rows).sum(axis=1)).astype(np.float32)
