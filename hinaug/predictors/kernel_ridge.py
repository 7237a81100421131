"""KernelRidge: scores from the features of items, also for items without links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from scipy.linalg import eigh, solve
from threadpoolctl import threadpool_limits

from hinaug.checks import POSITIVE, Limits, Space
from hinaug.features.axes import PrincipalAxes, Source
from hinaug.features.columns import Column, Features
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions, linked_targets
from hinaug.predictors.base import FoldsIn, FoldsInItems
from hinaug.predictors.ease import SMALL, check_memory, invert_in_place
from hinaug.training import ranking

KERNELS = ("rbf", "cosine")
K = 20  # cut-off of the ranking by which l2 is chosen
FOLDS = 10  # parts of the items, each scored without its own links
MOST_ITEMS, MOST_SOURCES = 2048, 1024  # that l2 is chosen on
UNTOLD = 10.0  # l2 where there is nothing to choose by
AXES = 512  # principal axes kept of neighbours
LOWEST = 0.01  # l2: below it the float32 inverse of a kernel with near-equal items is noise


@dataclass(eq=False)
class KernelRidge(FoldsIn, FoldsInItems):
    """Scores an item by its features: a kernel ridge regression for all sources at once.

    With K the kernel between the fitted items (those with links), k_j the kernel between them and
    item j, and m_u the share of them that u has,

        score(u, j) = m_u + (history(u) - m_u) (K + l2 I)^-1 k_j

    (Saunders et al., "Ridge Regression Learning Algorithm in Dual Variables", ICML 1998.)

    Parameters
    ----------
    relation
        The edge type whose links are scored.
    columns
        Of the target type (see `Features`): vectors, numbers, categories, or ("review", "x") for
        the mean vector of an item's reviews. An item without links has no reviews, so give it
        something else as well. Also neighbours, ("genre",), and what lies at the end of a metapath,
        (("tagging", "tag"),), as `PrincipalAxes` reads them, by at most 512 axes each.
    kernel
        "rbf", exp(-|f_i - f_j|^2 / width^2), or "cosine" of the centred features.
    width
        Of "rbf", in units of the root mean square length of the features; 1 suits most.
    l2
        The ridge: the smaller, the closer to the nearest items; 0.3 to 300 are usual. None chooses
        it, see below; there is nothing left to tune then but kernel and width.
    weight
        A numeric edge column as the values of the links; "confidence" weighs generated edges by
        what they say.

    With l2=None the fitted items are dealt into ten parts, and each part is ranked by what the
    others say, as new items are. With G = (K + l2 I)^-1 and y_u the centred links of u, the scores
    of a part F without its own links are, in closed form, y_uF - (y_u G)_F (G_FF)^-1. The l2 with
    the best NDCG@20 of the parts is taken, from 0.01 in steps of sqrt(10) to ten times the largest
    eigenvalue of K. Both are natural ends: below lies interpolation, above the order of the scores
    changes no more. A fixed sample of at most 2,048 items and 1,024 sources is looked at; `valid`
    is not, and `refit` keeps the choice.

    Learned: `encoders_`, the fitted `Features` and `PrincipalAxes`; `rows_` [items, d] and
    `described_` [items], the features of the fitted items and who has some; `taught_`, the
    positions of those with links; `inverse_`, (K + l2 I)^-1; `l2_`, the ridge taken, and where it
    was chosen `curve_` [tried, 2]: each l2 and its measure.

    Features and history are read from the graph that is scored on, so an item without links, or
    that did not exist at fit time, is scored like any other. `fold_in` scores the fitted items by
    their features at fit time. NaN for an item without features and for a source without history
    among the fitted items.

    Use for cold items only: items with links are scored too, but their own links say more than
    their features. To rank both in one list, score items with links by another model and merge.
    Do not measure such a list by its cold items alone: that rewards whatever pushes the others
    down.

    Raises ParameterError for parameters out of range or weights that are not finite, and
    MemoryError where the matrix does not fit. Memory 8 items^2 bytes; time O(items^3) to fit, and
    to choose l2 some twenty times that of the sample.

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> hin = planted(rng=0)
    >>> model = KernelRidge(("user", "rates", "item"), columns="x").fit(hin)
    >>> model.score(hin, [0, 1]).shape
    (2, 120)
    >>> model.fold_in([["i0", "i5"]]).shape
    (1, 120)
    """

    STOCHASTIC = False
    LIMITS: ClassVar[Limits] = {"kernel": KERNELS, "width": POSITIVE, "l2": POSITIVE}
    SPACE: ClassVar[Space] = {"width": (0.3, 3.0, "log"), "l2": (0.01, 100.0, "log")}
    columns: Column | Source | list[Any] = "x"
    kernel: str = "rbf"
    width: float = 1.0
    l2: float | None = None
    weight: str | None = None

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        self._learn(hin, self.l2)

    def _refit(self, hin: HIN, rng: np.random.Generator) -> None:
        self._learn(hin, self.l2_)

    def _learn(self, hin: HIN, l2: float | None) -> None:
        x = interactions(hin, self.relation, self.weight)
        self._fit_encoders(hin)
        self.rows_, self.described_ = self._encoded(hin)
        self.taught_ = np.flatnonzero(linked_targets(x) & self.described_)
        check_memory(len(self.taught_), type(self).__name__, copies=2)
        kernel = self._kernel(self.rows_[self.taught_])
        with threadpool_limits(1 if len(kernel) < SMALL else None, "blas"):
            if l2 is None:
                l2, self.curve_ = best_ridge(kernel, x[:, self.taught_])
            self.l2_ = float(l2)
            kernel[np.diag_indices_from(kernel)] += np.float32(self.l2_)
            invert_in_place(kernel)
        self.inverse_ = kernel

    def _fit_encoders(self, hin: HIN) -> None:
        entries: list[Any] = self.columns if isinstance(self.columns, list) else [self.columns]
        paths = [e for e in entries if isinstance(e, tuple) and len(e) == 1]
        columns = [e for e in entries if e not in paths]
        target = self.relation[2]
        self.encoders_: list[Features | PrincipalAxes] = []
        if columns:
            self.encoders_.append(Features(target, columns).fit(hin))
        if paths:
            self.encoders_.append(PrincipalAxes(target, paths, AXES).fit(hin))
        self.n_blocks_ = len(entries)

    def _encoded(self, hin: HIN) -> tuple[np.ndarray, np.ndarray]:
        """Features of the targets [n, d], and who has some [n]."""
        rows, described = zip(*(encoder.encode(hin) for encoder in self.encoders_), strict=True)
        return np.concatenate(rows, axis=1), np.any(described, axis=0)

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        def of_graph() -> tuple[np.ndarray, np.ndarray]:
            rows, described = self._encoded(hin)
            return self._kernel(rows), described

        history = self._history(hin, src, self.weight)
        return self._from(history, *self._per_graph(hin, "kernel", of_graph))

    def _fold_in(self, history: sp.csr_array, attributes: pa.Table | None) -> np.ndarray:
        return self._from(history, self._kernel(self.rows_), self.described_)

    def _from(self, history: sp.csr_array, kernel: np.ndarray, described: np.ndarray) -> np.ndarray:
        """Scores of the items of `kernel` [items, taught]; `described`: which have features."""
        history = history[:, self.taught_]
        mean = history.sum(axis=1)[:, None] / np.float32(max(1, len(self.taught_)))
        dual = history @ self.inverse_ - mean * self.inverse_.sum(axis=0)
        scores = mean + dual @ kernel.T
        scores[:, ~described] = np.nan
        scores[np.diff(history.indptr) == 0] = np.nan
        return scores

    def _fold_in_items(self, hin: HIN, new: np.ndarray) -> None:
        """Keep their features; they teach nothing until the next refit."""
        rows, described = self._encoded(hin)
        self.rows_ = np.concatenate([self.rows_, rows[new]])
        self.described_ = np.append(self.described_, described[new])

    def _kernel(self, rows: np.ndarray) -> np.ndarray:
        """float32 [len(rows), items that were taught]."""
        taught = self.rows_[self.taught_]
        if self.kernel == "cosine":
            return _unit(rows) @ _unit(taught).T
        out = rows @ taught.T
        out *= -2
        out += np.square(rows).sum(axis=1)[:, None]
        out += np.square(taught).sum(axis=1)
        out /= -np.float32(self.width**2 * self.n_blocks_)  # each has a mean square length of 1
        return np.exp(np.minimum(out, 0, out=out), out=out)


def best_ridge(kernel: np.ndarray, links: sp.csr_array) -> tuple[float, np.ndarray]:
    """The l2 that ranks items best without their own links, and [l2, NDCG@20] of all tried.

    kernel [n, n]; links CSR [sources, n]. See `KernelRidge`.
    """
    chance = np.random.default_rng(0)  # a fixed sample: the method has no chance
    items = chance.permutation(len(kernel))[:MOST_ITEMS]
    links = links[:, items]
    able = chance.permutation(np.flatnonzero(np.diff(links.indptr) > 1))[:MOST_SOURCES]
    if not len(able):
        return UNTOLD, np.zeros((0, 2))
    links = links[np.sort(able)]
    centred = links.toarray()
    centred -= centred.mean(axis=1, keepdims=True)
    values, vectors = eigh(kernel[np.ix_(items, items)], check_finite=False)
    turned = centred @ vectors

    def measure(l2: float) -> float:
        shrunken = vectors / (np.maximum(values, 0) + np.float32(l2))
        dual, found = turned @ shrunken.T, []
        for part in np.array_split(np.arange(len(items)), min(FOLDS, len(items))):
            own = vectors[part] @ shrunken[part].T
            scores = centred[:, part] - solve(own, dual[:, part].T, assume_a="pos").T
            ranked, _ = ranking.top_k(scores, K)
            found.append(ranking.ndcg(ranked, links[:, part], K))
        return float(np.nanmean(found))

    tried = ridges(float(values[-1]))
    curve = np.array([[l2, measure(l2)] for l2 in tried])
    return float(tried[curve[:, 1].argmax()]), curve


def ridges(largest: float) -> np.ndarray:
    """Values of l2 to try for a kernel with this largest eigenvalue."""
    n = int(np.ceil(2 * np.log10(10 * max(largest, 1.0) / LOWEST)))
    return LOWEST * 10 ** (np.arange(n + 1) / 2)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12))
