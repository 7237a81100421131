"""BSPM: blur a history over the item graph, then sharpen it; a graph filter without training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.checks import COUNT, NOT_NEGATIVE, Limits, Space
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import interactions
from hinaug.predictors.base import FoldsIn
from hinaug.predictors.gfcf import (
    BLOCK,
    FIXED_BASIS,
    HOLDS_GRAPH,
    columns,
    low_pass,
    normalised,
    smooth,
    spreading,
    unlinked,
)
from hinaug.predictors.noise import links_of_a_source, noise_edge

MOST_DIM = 448  # width of the low-pass filter where none is given
ORDERS = {"euler": 1, "rk4": 4}


@dataclass(eq=False)
class BSPM(FoldsIn):
    """Scores items by blurring a history over the item graph and sharpening it again.

    With R, V and D_i as in `GFCF` and P = R^T R, a row s of scores that starts as history(u)
    follows two equations:

        blurring      ds/dt = s (P - I)     for the time `blur`, by Euler's method
        merging       s + beta * history(u) D_i^-1/2 V V^T D_i^1/2
        sharpening    ds/dt = -s P          for the time `sharpen`, by `solver`

    Blurring spreads a history over the graph (one Euler step of time 1 is GF-CF's linear filter).
    Sharpening takes back what is common to all, so that personal differences stand out. (Choi et
    al., "Blurring-Sharpening Process Models for Collaborative Filtering", SIGIR 2023, the variant
    with early merge.)

    Parameters
    ----------
    relation
        The edge type whose links are scored.
    dim, beta
        Of the low-pass filter, as `dim` and `alpha` of `GFCF`. None takes the singular vectors
        above the noise, at most 448, and 10 / n_s. On validation pairs of gowalla (30,000
        sources, 41,000 items, 0.07 % linked) 448 and 0.2 were the best.
    blur, sharpen
        Times. A sharpening of 0 leaves GF-CF.
    blur_steps, sharpen_steps
        Steps of the solvers.
    solver
        "rk4"; or "euler", four times cheaper, for times below 1: past that it overshoots.
    weight
        A numeric edge column as the values of the links, at least 0; "confidence" weighs generated
        edges by what they say, at fit and in the history that is scored.

    Learned: `graph_`, R as CSR [sources, items]; `degree_` [items]; `basis_`, V [items, dim];
    `beta_`, the weight taken. **A saved model holds every link it was fitted on**: R has an entry
    for each of them.

    The history is read from the graph that is scored on, so a new user with history is served. NaN
    for a source without history among the fitted items, and for an item without links at fit
    time.

    Raises ParameterError for parameters out of range, and for weights that are negative or not
    finite. Time: GFCF's to fit; to score, at most two multiplications a link for each source and
    Euler step, four times that for "rk4". Memory O(items x dim + links): no item-item matrix is
    built.

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> hin = planted(rng=0)
    >>> model = BSPM(("user", "rates", "item"), dim=16).fit(hin, rng=0)
    >>> model.score(hin, [0, 1]).shape
    (2, 120)
    >>> model.fold_in([["i0", "i5"]]).shape
    (1, 120)
    """

    HOLDS_DATA: ClassVar[str | None] = HOLDS_GRAPH
    NO_FOLD_IN_ITEMS: ClassVar[str] = FIXED_BASIS

    LIMITS: ClassVar[Limits] = {
        "dim": COUNT,
        "beta": NOT_NEGATIVE,
        "blur": NOT_NEGATIVE,
        "blur_steps": COUNT,
        "sharpen": NOT_NEGATIVE,
        "sharpen_steps": COUNT,
        "solver": ORDERS,
    }
    SPACE: ClassVar[Space] = {
        "dim": (4, 448, "log"),
        "beta": (0.05, 5.0, "log"),
        "sharpen": (0.5, 3.0),
    }
    dim: int | None = None
    beta: float | None = None
    blur: float = 1.0
    blur_steps: int = 1
    sharpen: float = 2.5
    sharpen_steps: int = 1
    solver: str = "rk4"
    weight: str | None = None

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        x = interactions(hin, self.relation, self.weight)
        self.graph_, self.degree_ = normalised(x)
        self.basis_ = low_pass(self.graph_, self.dim, noise_edge(x), MOST_DIM, rng)
        self.beta_ = 10 / links_of_a_source(x) if self.beta is None else self.beta

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        return self._columns(hin, self._from(self._history(hin, src, self.weight)))

    def _fold_in(self, history: sp.csr_array, attributes: pa.Table | None) -> np.ndarray:
        return self._from(history)

    def _from(self, history: sp.csr_array) -> np.ndarray:
        spread = spreading(self.graph_)
        scores = np.float32(self.beta_) * smooth(history, self.basis_, self.degree_)
        for at in range(0, len(scores), BLOCK):
            rows = slice(at, at + BLOCK)
            scores[rows] = self._filtered(history[rows], scores[rows], spread).T
        scores[:, self.degree_ == 0] = np.nan
        scores[unlinked(history, self.degree_)] = np.nan
        return scores

    def _filtered(
        self, rows: sp.csr_array, merged: np.ndarray, spread: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """Scores of some sources, [items, len(rows)]: products with a sparse matrix from the left
        run along memory.
        """
        s = (
            follow(
                lambda s: spread(s) - s, columns(rows), self.blur, self.blur_steps, ORDERS["euler"]
            )
            + merged.T
        )
        return follow(
            lambda s: -spread(s), s, self.sharpen, self.sharpen_steps, ORDERS[self.solver]
        )


def follow(
    slope: Callable[[np.ndarray], np.ndarray], s: np.ndarray, time: float, steps: int, order: int
) -> np.ndarray:
    """Solve ds/dt = slope(s), linear in s and the same at all times: there the Runge-Kutta method
    of order 4 is the Taylor series to order 4, and Euler's method the one to order 1.
    """
    if not time:
        return s
    for _ in range(steps):
        term = s
        for n in range(1, order + 1):
            term = slope(term) * np.float32(time / steps / n)
            s = s + term
    return s
