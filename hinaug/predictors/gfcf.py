"""GFCF: a graph filter in closed form, without training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from hinaug.checks import COUNT, NOT_NEGATIVE, Limits, Space
from hinaug.errors import ParameterError
from hinaug.features.svd import leading
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions
from hinaug.predictors.base import FoldsIn
from hinaug.predictors.noise import links_of_a_source, noise_edge

BLOCK = 64  # sources whose dense columns are filtered at once: what is gathered stays in the cache
MOST_DIM = 256  # width of the low-pass filter where none is given
HOLDS_GRAPH = "the graph of all links is the filter that it scores by"
FIXED_BASIS = "its low-pass filter comes from the singular vectors of all links, and they change"


@dataclass(eq=False)
class GFCF(FoldsIn):
    """Scores items by smoothing a history over the item graph: GF-CF, a filter in closed form.

    With X the links [sources, items], D_s and D_i the degrees of sources and items,
    R = D_s^-1/2 X D_i^-1/2, and V the right singular vectors of R for its `dim` largest singular
    values,

        score(u, .) = history(u) (R^T R + alpha D_i^-1/2 V V^T D_i^1/2)

    a linear filter of the item-item graph, plus an ideal low-pass filter that keeps the smoothest
    signals (Shen et al., "How Powerful is Graph Convolution for Recommendation?", CIKM 2021).

    Parameters
    ----------
    relation
        The edge type whose links are scored.
    dim
        Singular vectors of the low-pass filter. 256 is the authors'. None takes those of at most
        256 whose singular value is above 1 / sqrt(n_s) + 1 / sqrt(n_t), with n_s and n_t
        the mean links of a source and of an item: links at random have none there but the first
        (see `noise.py`).
    alpha
        Weight of the low-pass filter. 0.3 is the authors'. None takes 10 / n_s: the shorter the
        histories, the more they are read by what is common to all. 10 was set on validation pairs
        of five data sets.
    weight
        A numeric edge column as the values of X, at least 0; "confidence" weighs generated edges
        by what they say, at fit and in the history that is scored.

    Learned: `graph_`, R as CSR [sources, items]; `degree_` [items]; `basis_`, V [items, dim];
    `alpha_`, the weight taken. **A saved model holds every link it was fitted on**: R has an entry
    for each of them.

    The history is read from the graph that is scored on, so a new user with history is served. NaN
    for a source without history among the fitted items, and for an item without links at fit
    time.

    Raises ParameterError for parameters out of range, and for weights that are negative or not
    finite. Time O((links + items x dim) x dim) and a few rounds of that to fit, and at most
    O(links) for each source that is scored; memory O(items x dim + links): no item-item matrix is
    built.

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> hin = planted(rng=0)
    >>> model = GFCF(("user", "rates", "item"), dim=16).fit(hin, rng=0)
    >>> model.score(hin, [0, 1]).shape
    (2, 120)
    >>> model.fold_in([["i0", "i5"]]).shape
    (1, 120)
    """

    HOLDS_DATA: ClassVar[str | None] = HOLDS_GRAPH
    NO_FOLD_IN_ITEMS: ClassVar[str] = FIXED_BASIS

    LIMITS: ClassVar[Limits] = {"dim": COUNT, "alpha": NOT_NEGATIVE}
    SPACE: ClassVar[Space] = {"dim": (4, 256, "log"), "alpha": (0.05, 5.0, "log")}
    dim: int | None = None
    alpha: float | None = None
    weight: str | None = None

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        x = interactions(hin, self.relation, self.weight)
        self.graph_, self.degree_ = normalised(x)
        self.basis_ = low_pass(self.graph_, self.dim, noise_edge(x), MOST_DIM, rng)
        self.alpha_ = 10 / links_of_a_source(x) if self.alpha is None else self.alpha

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        return self._columns(hin, self._from(self._history(hin, src, self.weight)))

    def _fold_in(self, history: sp.csr_array, attributes: pa.Table | None) -> np.ndarray:
        return self._from(history)

    def _from(self, history: sp.csr_array) -> np.ndarray:
        spread = spreading(self.graph_)
        scores = np.float32(self.alpha_) * smooth(history, self.basis_, self.degree_)
        for at in range(0, len(scores), BLOCK):
            scores[at : at + BLOCK] += spread(columns(history[at : at + BLOCK])).T
        scores[:, self.degree_ == 0] = np.nan
        scores[unlinked(history, self.degree_)] = np.nan
        return scores


def unlinked(history: sp.csr_array, degree: np.ndarray) -> np.ndarray:
    """Sources that have none of the items that somebody had, bool [len(history)]."""
    return abs(history) @ (degree > 0).astype(np.float32) == 0


def normalised(x: sp.csr_array) -> tuple[sp.csr_array, np.ndarray]:
    """D_s^-1/2 X D_i^-1/2 as float32 CSR, and the degrees of the items."""
    of_source, of_item = x.sum(axis=1), x.sum(axis=0)
    if (x.data < 0).any():
        raise ParameterError("a graph filter takes weights of at least 0; there are negative ones")
    left, right = (
        np.divide(1, np.sqrt(d), out=np.zeros(len(d), np.float32), where=d > 0)
        for d in (of_source, of_item)
    )
    return (sp.diags_array(left) @ x @ sp.diags_array(right)).tocsr(), of_item.astype(np.float32)


def spreading(graph: sp.csr_array) -> Callable[[np.ndarray], np.ndarray]:
    """Multiplication by P = R^T R of dense columns [items, b]. By torch, whose product takes a
    third of the time of scipy's where b is 64; P itself would be far larger than R.
    """
    import torch

    from hinaug.nn import SparseMatrix

    r = SparseMatrix(graph)
    return lambda s: r.multiply_transposed(r.multiply(torch.from_numpy(s))).numpy()


def columns(history: sp.csr_array) -> np.ndarray:
    """Rows as dense columns [items, len(history)]."""
    return np.ascontiguousarray(history.toarray().T, np.float32)


def low_pass(
    graph: sp.csr_array, dim: int | None, edge: float, most: int, rng: np.random.Generator
) -> np.ndarray:
    """The right singular vectors [items, dim] of the largest singular values: the smoothest signals
    on the item graph.

    dim None: those of at most `most` whose singular value is above `edge`, and at least one.

    Exact (Lanczos): a randomized SVD with its usual seven rounds finds another subspace, and with
    it other scores.
    """
    short, width = min(graph.shape), most if dim is None else dim
    if not graph.nnz:
        return np.zeros((graph.shape[1], min(width, short)), np.float32)
    with threadpool_limits(1, "blas"):  # so that the same rng gives the same bits
        if width < short - 1:
            values, v = leading(graph, width, rng.normal(size=short).astype(np.float32))
        else:
            _, values, v = np.linalg.svd(graph.toarray(), full_matrices=False)
            values, v = values[:width], v[:width]
    if dim is None:
        v = v[values >= min(edge, values.max())]
    return np.ascontiguousarray(v.T, np.float32)


def smooth(history: sp.csr_array, basis: np.ndarray, degree: np.ndarray) -> np.ndarray:
    """history D_i^-1/2 V V^T D_i^1/2, dense."""
    root = np.sqrt(degree)
    inverse = np.divide(1, root, out=np.zeros_like(root), where=root > 0)
    return ((history @ (basis * inverse[:, None])) @ basis.T) * root
