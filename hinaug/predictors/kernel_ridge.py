"""KernelRidge: from the features of items to who wants them, also for items that nobody had."""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from hinaug.errors import ParameterError
from hinaug.features.columns import Column, Features
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions
from hinaug.predictors.base import LinkPredictor
from hinaug.predictors.ease import SMALL, check_memory, invert_in_place

KERNELS = ("rbf", "cosine")


@dataclass(eq=False)
class KernelRidge(LinkPredictor):
    """Kernel ridge regression (Saunders et al., "Ridge Regression Learning Algorithm in Dual
    Variables", ICML 1998) from the features of an item to its column of links, for all sources at
    once.

    With K the kernel between the fitted items (those with links), k_j the kernel between them and
    item j, and m_u the share of them that u has,

        score(u, j) = m_u + (history(u) - m_u) (K + l2 I)^-1 k_j.

    relation: the edge type whose links are scored.
    columns: of the target type (see `Features`): vectors, numbers, categories, or ("review", "x")
        for the mean vector of an item's reviews; an item that nobody had has no reviews, so give it
        something else as well.
    kernel: "rbf", exp(-|f_i - f_j|^2 / width^2), or "cosine" of the centred features.
    width: of "rbf", in units of the root mean square length of the features; 1 suits most.
    l2: the smaller, the closer to the nearest items; tune it by factors of three.
    weight: a numeric edge column as the values of the links; "confidence" weighs generated edges by
        what they say.

    Inductive on both sides: features and history are read from the graph that is scored on, so an
    item that nobody had, or that did not exist at fit time, is scored like any other. NaN for an
    item without features and for a source without history among the fitted items.
    A trap: items with links are scored too, but their own links say more than their features. In
    one list with them, rank warm items by a warm model and merge; and do not measure a list of both
    by its cold targets alone, as that rewards whatever pushes warm items down. Memory 8 items^2
    bytes, refused with MemoryError where that is not there; time O(items^3) to fit.
    """

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
        self.__dict__.pop("_last", None)
        rows, there = self.encoder_.encode(hin)
        self.taught_ = np.flatnonzero(
            (np.bincount(x.indices, x.data, minlength=x.shape[1]) > 0) & there
        )
        check_memory(len(self.taught_), type(self).__name__, copies=2)
        self.rows_ = rows[self.taught_]
        kernel = self._kernel(self.rows_)
        kernel[np.diag_indices_from(kernel)] += np.float32(self.l2)
        with threadpool_limits(1 if len(kernel) < SMALL else None, "blas"):
            invert_in_place(kernel)
        self.inverse_ = kernel

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        history = self._history(hin, src, self.weight)[:, self.taught_]
        mean = history.sum(axis=1)[:, None] / np.float32(max(1, len(self.taught_)))
        kernel, there = self._now(hin)
        dual = history @ self.inverse_ - mean * self.inverse_.sum(axis=0)
        scores = mean + dual @ kernel.T
        scores[:, ~there] = np.nan
        scores[np.diff(history.indptr) == 0] = np.nan
        return scores

    def _now(self, hin: HIN) -> tuple[np.ndarray, np.ndarray]:
        """The kernel of all items of the graph with the fitted ones, and which have features; kept
        for the graph last scored on.
        """
        last = self.__dict__.get("_last")
        if last is None or last[0]() is not hin:
            rows, there = self.encoder_.encode(hin)
            last = self._last = (weakref.ref(hin), self._kernel(rows), there)
        return last[1], last[2]

    def _kernel(self, rows: np.ndarray) -> np.ndarray:
        """float32 [len(rows), fitted items]."""
        if self.kernel == "cosine":
            return _unit(rows) @ _unit(self.rows_).T
        blocks = len(self.encoder_.specs_)  # the mean square length is 1 for each of them
        out = rows @ self.rows_.T
        out *= -2
        out += np.square(rows).sum(axis=1)[:, None]
        out += np.square(self.rows_).sum(axis=1)
        out /= -np.float32(self.width**2 * blocks)
        return np.exp(np.minimum(out, 0, out=out), out=out)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12))
