"""NearestNeighbors: items whose vectors are near those of the user's history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.checks import COUNT, Limits, Space
from hinaug.errors import ParameterError
from hinaug.features.similarity import nearest_rows
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions, linked_targets
from hinaug.predictors.base import FoldsInItems


@dataclass(eq=False)
class NearestNeighbors(FoldsInItems):
    """Scores an item by the similarity of its vector to those of a history: text similarity, where
    the vectors are of text.

    With v_i a vector of item i, such as of its text or image,

        profile(u) = weighted mean of v_i over i in history(u)
        score(u, j) = cosine(profile(u), v_j)

    (Rocchio's profile, "Relevance Feedback in Information Retrieval", 1971.) With `k`, near items
    count alone:

        score(u, j) = sum of cosine(v_i, v_j) over i in history(u) and among the k nearest of j

    where the nearest are those with links and a cosine above 0 (item k-nearest neighbours by
    content).

    Parameters
    ----------
    relation
        The edge type whose links are scored.
    column
        The vector column of the target type; with `through`, of the nodes between.
    through
        A node type next to the targets, such as "review": a target's vector is then the mean of its
        neighbours' of that type, in the graph at hand. That is an aggregate, so it is made here and
        not stored: a column with it, computed before a split, would hold the held-out reviews.
    k
        Nearest items that count; None takes the profile.
    centre
        Take the mean vector of the fitted items off first. On by default: features of language
        models share one long common direction, which would make all cosines alike.
    weight
        A numeric edge column as the weights of the mean; "confidence" weighs generated edges by
        what they say.

    Learned: `mean_` [d], the mean vector alone.

    Vectors and history are read from the graph that is scored on, so a user or an item that did not
    exist at fit time is scored like any other. NaN for an item without a vector (null), and for a
    source whose history holds none with a vector; with `k`, also for an item that has no near one.

    Raises SchemaError for a column that holds no vectors, and ParameterError for vectors of another
    width or weights that are not finite. Time O(sources x items x d) to score; memory
    O(items x d). With `k` time O(items^2 x d) once for a graph, and memory O(items x (d + k)).

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> hin = planted(rng=0)
    >>> model = NearestNeighbors(("user", "rates", "item"), column="x").fit(hin)
    >>> model.score(hin, [0, 1]).shape
    (2, 120)
    """

    NO_FOLD_IN: ClassVar[str] = (
        "it keeps no vector of a target and reads them from the graph that is scored on, so "
        "`score` on a graph with the new source is enough"
    )

    STOCHASTIC = False
    LIMITS: ClassVar[Limits] = {"k": COUNT}
    SPACE: ClassVar[Space] = {"k": (5, 500, "log")}
    column: str = "x"
    through: str | None = None
    k: int | None = None
    centre: bool = True
    weight: str | None = None

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        vectors, there = self._vectors(hin)
        self.mean_ = np.zeros(vectors.shape[1], np.float32)
        if self.centre and there.any():
            self.mean_ = vectors[there].mean(axis=0, dtype=np.float64).astype(np.float32)

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        vectors, unit = self._per_graph(hin, "vectors", lambda: self._prepared(hin))
        links = interactions(hin, self.relation, self.weight)
        if self.k is None:
            return _unit(links[src] @ vectors) @ unit.T
        near = self._per_graph(
            hin,
            "nearest",
            lambda: nearest_rows(vectors, self.k or 1, linked_targets(links)).T.tocsr(),
        )
        scores = (links[src] @ near).toarray()
        scores[:, np.bincount(near.indices, minlength=scores.shape[1]) == 0] = np.nan
        scores[~(links[src] @ vectors).any(axis=1)] = np.nan
        return scores

    def _fold_in_items(self, hin: HIN, new: np.ndarray) -> None:
        """Nothing is learned of an item: its vector is read from the graph that is scored on."""

    def _prepared(self, hin: HIN) -> tuple[np.ndarray, np.ndarray]:
        """Centred vectors with 0 for null rows, and their directions with NaN."""
        vectors, there = self._vectors(hin)
        if vectors.shape[1] != len(self.mean_):
            raise ParameterError(
                f"column {self.column!r} of {self.relation[2]!r} has {vectors.shape[1]} numbers a "
                f"vector here and had {len(self.mean_)} in the graph that was fitted on",
                asked=vectors.shape[1],
                there=len(self.mean_),
            )
        vectors = np.where(there[:, None], vectors - self.mean_, np.float32(0))
        return vectors, _unit(vectors)

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
