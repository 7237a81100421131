"""KernelRidge: from the features of items to who wants them, also for items that nobody had."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from hinaug.errors import ParameterError
from hinaug.features.columns import Column, Features
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions, linked_targets
from hinaug.predictors.base import FoldsIn, FoldsInItems
from hinaug.predictors.ease import SMALL, check_memory, invert_in_place

KERNELS = ("rbf", "cosine")


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
        the mean vector of an item's reviews. An item that nobody had has no reviews, so give it
        something else as well.
    kernel
        "rbf", exp(-|f_i - f_j|^2 / width^2), or "cosine" of the centred features.
    width
        Of "rbf", in units of the root mean square length of the features; 1 suits most.
    l2
        The ridge: the smaller, the closer to the nearest items. Tune it by factors of three.
    weight
        A numeric edge column as the values of the links; "confidence" weighs generated edges by
        what they say.

    Learned: `encoder_`, the fitted `Features`; `rows_` [items, d] and `described_` [items], the
    features of the fitted items and who has some; `taught_`, the positions of those with links;
    `inverse_`, (K + l2 I)^-1.

    Features and history are read from the graph that is scored on, so an item that nobody had, or
    that did not exist at fit time, is scored like any other. `fold_in` scores the fitted items by
    their features at fit time. NaN for an item without features and for a source without history
    among the fitted items.

    Use for cold items only: items with links are scored too, but their own links say more than
    their features. To rank both in one list, score items with links by another model and merge.
    Do not measure such a list by its cold items alone: that rewards whatever pushes the others
    down.

    Raises ParameterError for parameters out of range or weights that are not finite, and
    MemoryError where the matrix does not fit. Memory 8 items^2 bytes; time O(items^3) to fit.

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
    columns: Column | list[Column] = "x"
    kernel: str = "rbf"
    width: float = 1.0
    l2: float = 1.0
    weight: str | None = None

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        if self.kernel not in KERNELS:
            raise ParameterError(
                f"KernelRidge: kernel={self.kernel!r}; expected one of {list(KERNELS)}"
            )
        if not (self.l2 > 0 and self.width > 0):
            raise ParameterError(
                f"KernelRidge: l2 and width are above 0; got l2={self.l2}, width={self.width}"
            )
        x = interactions(hin, self.relation, self.weight)
        self.encoder_ = Features(self.relation[2], self.columns).fit(hin)
        self.rows_, self.described_ = self.encoder_.encode(hin)
        self.taught_ = np.flatnonzero(linked_targets(x) & self.described_)
        check_memory(len(self.taught_), type(self).__name__, copies=2)
        kernel = self._kernel(self.rows_[self.taught_])
        kernel[np.diag_indices_from(kernel)] += np.float32(self.l2)
        with threadpool_limits(1 if len(kernel) < SMALL else None, "blas"):
            invert_in_place(kernel)
        self.inverse_ = kernel

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        def of_graph() -> tuple[np.ndarray, np.ndarray]:
            rows, described = self.encoder_.encode(hin)
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
        rows, described = self.encoder_.encode(hin)
        self.rows_ = np.concatenate([self.rows_, rows[new]])
        self.described_ = np.append(self.described_, described[new])

    def _kernel(self, rows: np.ndarray) -> np.ndarray:
        """float32 [len(rows), items that were taught]."""
        taught = self.rows_[self.taught_]
        if self.kernel == "cosine":
            return _unit(rows) @ _unit(taught).T
        blocks = len(self.encoder_.specs_)  # the mean square length is 1 for each of them
        out = rows @ taught.T
        out *= -2
        out += np.square(rows).sum(axis=1)[:, None]
        out += np.square(taught).sum(axis=1)
        out /= -np.float32(self.width**2 * blocks)
        return np.exp(np.minimum(out, 0, out=out), out=out)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12))
