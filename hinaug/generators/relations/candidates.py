"""Pairs that may be proposed, with the features that confidence is a function of; and the best of
them, in bounded memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from hinaug.generators.pairs import rows_at_once
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import own_pairs
from hinaug.predictors.base import LinkPredictor
from hinaug.progress import track

N_FEATURES = 3


class Block(NamedTuple):
    """The best targets of some sources.

    src: positions of the sources, int64 [b].
    dst: positions of their targets, the highest score first, int64 [b, k].
    features: z-score, log(targets / rank), log(1 + degree of the source); float64 [b, k, 3].
    score: what the predictor says, float64 [b, k].
    possible: whether the pair may be proposed, bool [b, k].
    """

    src: np.ndarray
    dst: np.ndarray
    features: np.ndarray
    score: np.ndarray
    possible: np.ndarray


def candidates(
    hin: HIN, model: LinkPredictor, sources: np.ndarray, targets: np.ndarray, k: int
) -> Iterator[Block]:
    """The k best targets of each source, for one block of sources after another.

    Left out are pairs that are in the graph, masked, or scored NaN, and a node's pair with itself.
    Scores are standardised, and ranked, among what is left.

    hin: has the relation of the model. sources: positions. targets: which may be proposed, bool
    [observed targets].
    """
    relation = model.relation
    observed = hin.observed().adjacency(relation)
    n_sources, n_targets = observed.shape
    visible = hin.adjacency(relation)[:n_sources, :n_targets]
    degree = np.diff(visible.indptr)
    known = sp.csr_array(observed + visible)  # masked links were observed
    column = np.flatnonzero(targets)
    k = min(k, len(column))
    size = rows_at_once(n_targets)
    for at in track(range(0, len(sources) if k else 0, size), f"scoring {relation[1]}"):
        src = sources[at : at + size]
        scores = model.score(hin, src)[:, :n_targets].astype(np.float64)
        scores[~np.isfinite(scores)] = np.nan
        scores[known[src].nonzero()] = np.nan
        if relation[0] == relation[2]:
            scores[own_pairs(src, n_targets).nonzero()] = np.nan
        scores = scores[:, column]
        possible = ~np.isnan(scores)
        best = _top(np.where(possible, scores, -np.inf), k)
        z = np.take_along_axis(_standardised(scores, possible), best, axis=1)
        depth = np.log(np.maximum(possible.sum(axis=1), 1))[:, None] - np.log(np.arange(1, k + 1))
        amount = np.broadcast_to(np.log1p(degree[src])[:, None], best.shape)
        features = np.stack([z, depth, amount], axis=-1)
        best_scores, is_possible = (
            np.take_along_axis(values, best, axis=1) for values in (scores, possible)
        )
        yield Block(src, column[best], features, best_scores, is_possible)


class Pool:
    """Links with a confidence and a key, by which they are preferred.

    n: how many are wanted. trims: whether those beyond the n best can be forgotten at once.
    """

    def __init__(self, n: float, trims: bool) -> None:
        self.n, self.trims = n, trims
        nothing = np.zeros(0, np.int64)
        self.parts: list[tuple[np.ndarray, ...]] = [
            (nothing, nothing, nothing * 0.0, nothing * 0.0)
        ]

    def add(self, *part: np.ndarray) -> None:
        """Sources, targets, confidence and keys of more links, [m] each."""
        self.parts.append(part)
        if self.trims and sum(len(part[0]) for part in self.parts) > 2 * self.n + 100_000:
            self.parts = [self._ordered(int(self.n))]

    def links(self) -> tuple[np.ndarray, ...]:
        """Sources, targets, confidence and keys, the highest key first; no pair twice."""
        if self.trims:  # then each pair was added once
            return self._ordered(int(self.n))
        src, dst, *rest = self._ordered(None)
        _, first = np.unique(src * (dst.max(initial=0) + 1) + dst, return_index=True)
        keep = np.sort(first)
        return tuple(column[keep] for column in (src, dst, *rest))

    def _ordered(self, n: int | None) -> tuple[np.ndarray, ...]:
        columns = list(map(np.concatenate, zip(*self.parts, strict=True)))
        best = np.argsort(-columns[3], kind="stable")[:n]
        return tuple(column[best] for column in columns)


class BestSources:
    """For each target the links of highest key among those added, in bounded memory.

    n_targets: how many targets there are. most: links kept a target.
    """

    def __init__(self, n_targets: int, most: int) -> None:
        self.key = np.full((most, n_targets), -np.inf)
        self.src = np.zeros((most, n_targets), np.int64)
        self.confidence = np.zeros((most, n_targets))

    def add(
        self, src: np.ndarray, dst: np.ndarray, confidence: np.ndarray, key: np.ndarray
    ) -> None:
        """src [b]; dst, confidence and key [b, k], the key -inf where a pair is not possible."""
        grown = []
        for kept, new, empty in (
            (self.key, key, -np.inf),
            (self.src, np.broadcast_to(src[:, None], dst.shape), 0),
            (self.confidence, confidence, 0.0),
        ):
            rows = np.full((len(src), kept.shape[1]), empty, kept.dtype)
            np.put_along_axis(rows, dst, new, axis=1)
            grown.append(np.concatenate([kept, rows]))
        most = len(self.key)
        best = np.argpartition(-grown[0], most - 1, axis=0)[:most]
        self.key, self.src, self.confidence = (
            np.take_along_axis(values, best, axis=0) for values in grown
        )

    def links(self) -> tuple[np.ndarray, ...]:
        """Sources, targets, confidence and keys."""
        row, dst = np.nonzero(self.key > -np.inf)
        return self.src[row, dst], dst, self.confidence[row, dst], self.key[row, dst]


def _top(scores: np.ndarray, k: int) -> np.ndarray:
    """The columns of the k highest scores of each row, highest first; of equals, the first."""
    top = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
    order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable")
    return np.take_along_axis(top, order, axis=1)


def _standardised(scores: np.ndarray, possible: np.ndarray) -> np.ndarray:
    """Z-scores of each row over what is possible; what is not counts as a score of 0."""
    count = np.maximum(possible.sum(axis=1, keepdims=True), 1)
    filled = np.where(possible, scores, 0.0)
    mean = filled.sum(axis=1, keepdims=True) / count
    variance = (np.where(possible, scores - mean, 0.0) ** 2).sum(axis=1, keepdims=True) / count
    std = np.sqrt(variance)
    return (filled - mean) / np.where(std > 1e-12, std, np.inf)


def ranks(keys: np.ndarray) -> np.ndarray:
    """The rank of each key in its row, from 0 for the highest; equals in their order."""
    order = np.argsort(-keys, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(keys.shape[1])[None, :], axis=1)
    return rank
