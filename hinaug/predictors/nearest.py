"""NearestNeighbors: items whose vectors are near those of the user's history."""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions
from hinaug.predictors.base import LinkPredictor


@dataclass(eq=False)
class NearestNeighbors(LinkPredictor):
    """Content-based ranking over a vector column of the items, such as text or image features
    (Rocchio's profile).

        profile(u) = weighted mean of v_i over i in history(u),        score(u, j) =
        cosine(profile(u), v_j)

    relation: the edge type whose links are scored.
    column: the vector column of the target type; with `through`, of the nodes between.
    through: a node type next to the targets, such as "review": a target's vector is then the mean
        of its neighbours' of that type, in the graph at hand. That is an aggregate, so it is made
        here and not stored: a column with it, computed before a split, would hold the held-out
        reviews.
    centre: take the mean vector of the fitted items off first. On by default: features of language
        models share one long common direction, which would make all cosines alike.
    weight: a numeric edge column as the weights of the mean; "confidence" weighs generated edges by
        what they say.

    Inductive on both sides: vectors and history are read from the graph that is scored on, so an
    item that nobody had at fit time, or that did not exist, is scored like any other. NaN for an
    item without a vector (null), and for a source whose history holds none with a vector. `fit`
    learns the mean alone. Time O(sources x items x d) to score; memory O(items x d).
    """

    column: str = "x"
    through: str | None = None
    centre: bool = True
    weight: str | None = None

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        self.__dict__.pop("_last", None)  # of the fit before
        vectors, there = self._vectors(hin)
        self.mean_ = np.zeros(vectors.shape[1], np.float32)
        if self.centre and there.any():
            self.mean_ = vectors[there].mean(axis=0, dtype=np.float64).astype(np.float32)

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        vectors, unit = self._prepared(hin)
        profile = interactions(hin, self.relation, self.weight)[src] @ vectors
        return _unit(profile) @ unit.T

    def _prepared(self, hin: HIN) -> tuple[np.ndarray, np.ndarray]:
        """Centred vectors with 0 for null rows, and their directions with NaN; kept for the graph
        last scored on.
        """
        last = self.__dict__.get("_last")
        if last is None or last[0]() is not hin:
            vectors, there = self._vectors(hin)
            if vectors.shape[1] != len(self.mean_):
                raise ParameterError(
                    f"column {self.column!r} of {self.relation[2]!r} has {vectors.shape[1]} "
                    "numbers a vector here and had "
                    f"{len(self.mean_)} in the graph that was fitted on"
                )
            vectors = np.where(there[:, None], vectors - self.mean_, np.float32(0))
            last = self._last = (weakref.ref(hin), vectors, _unit(vectors))
        return last[1], last[2]

    def _vectors(self, hin: HIN) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of the targets, 0 where there is none, and where there is one."""
        target = self.relation[2]
        node = self.through or target
        there = ~hin.column(node, self.column).is_null().to_numpy(zero_copy_only=False)
        vectors = hin.vectors(node, self.column, fill=0.0)
        if self.through is None:
            return vectors, there
        pool = hin.metapath(target, self.through) @ sp.diags_array(there.astype(np.float32))
        size = pool.sum(axis=1)
        return (pool @ vectors) / np.maximum(size, 1)[:, None], size > 0


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1; a row without direction becomes NaN."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(
        rows, length, out=np.full(rows.shape, np.nan, np.float32), where=length > 1e-12
    )
