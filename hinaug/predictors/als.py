"""ALS: matrix factorisation of implicit feedback by alternating least squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from hinaug.checks import COUNT, NOT_NEGATIVE, POSITIVE, Limits, Space
from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import linked_targets
from hinaug.predictors.base import FoldsIn, FoldsInItems
from hinaug.predictors.noise import linked_ends, noise_edge
from hinaug.training.distributed import Ranks

BLOCK = 8192  # links whose factors are gathered at once: they stay in the cache for all steps

# A row is solved until its residual has shrunk by TOLERANCE, in at most SOLVE_STEPS steps. On
# MovieLens 1M ten steps leave scores 1e-4 from the exact ones, a tolerance of 1e-6 leaves 5e-6.
SOLVE_STEPS, TOLERANCE = 50, 3e-7


@dataclass(eq=False)
class ALS(FoldsIn, FoldsInItems):
    """Scores a pair by the product of two learned vectors: implicit-feedback ALS (iALS).

    Factors w_u and h_i of the sources and items minimise

        sum over links (u, i) of c_ui (<w_u, h_i> - 1)^2
        + unobserved_weight * sum over all (u, i) of <w_u, h_i>^2
        + l2 * sum over u of (n_u + unobserved_weight * items) |w_u|^2
        + l2 * sum over i of (n_i + unobserved_weight * sources) |h_i|^2

    with n the (weighted) counts of links, and score(u, i) = <w_u, h_i>. The sides take turns, each
    by a few steps of conjugate gradients from where it was (Takacs et al., RecSys 2011): far
    cheaper than exact solutions, and as good after some epochs. At the end the sources are solved
    exactly. (Hu et al., "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008, as
    revisited by Rendle et al., "Revisiting the Performance of iALS on Item Recommendation
    Benchmarks", RecSys 2022.)

    Parameters
    ----------
    relation
        The edge type whose links are scored.
    embedding_dim
        Width of the factors; the more the better, up to the rank that the data can bear.
    l2, unobserved_weight
        What matters; tune them together by factors of three. With n_s and n_t the mean links of a
        source and of an item, None takes

            unobserved_weight = n_s / (10 sqrt(items))
            l2 = 1/2 (1 / sqrt(n_s) + 1 / sqrt(n_t)) n_s / (n_s + unobserved_weight * items)

        so that the pairs without a link weigh sqrt(items) / 10 times the links, and the ridge of a
        mean source is half the size that noise has beside its links (see `noise.py`). The two
        numbers were set on validation pairs of five data sets of 7,000 to 120,000 links.
    epochs
        Sweeps over both sides; 16 as in the paper.
    steps
        Steps of conjugate gradients, a side and epoch.
    weight
        A numeric edge column as the c of a link, at least 0; "confidence" weighs generated edges
        by what they say.
    generated
        Where edges of deltas count: "loss", in what is learned from; "graph", in the history that
        is scored; or "both".

    Learned: `users_` [sources, embedding_dim] and `items_` [items, embedding_dim], float32, which
    `vectors` gives; `known_`, bool [items]; `l2_` and `unobserved_weight_`, the values taken.

    Several processes can fit it together (see `training`): each solves a share of the rows, and all
    are told its vectors. Their number does not change a byte.

    `score` solves the factors of a source from its history in the graph that is scored on, so a new
    user with history is served; for the history it was fitted on that is its row of `users_`.
    `fold_in_items` solves the factors of new items against `users_`. NaN for a source without
    history among the fitted items, and for an item that nobody had.

    Raises ParameterError for parameters out of range, and for weights that are negative or not
    finite. With d the embedding_dim, time O(epochs x steps x links x d), memory O((sources + items)
    x d + links).

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> hin = planted(rng=0)
    >>> model = ALS(("user", "rates", "item"), embedding_dim=8).fit(hin, rng=0)
    >>> users, items = model.vectors()
    >>> bool(np.allclose(model.score(hin, [0]), users[:1] @ items.T, atol=1e-5))
    True
    >>> model.fold_in([["i0", "i5"]]).shape
    (1, 120)
    """

    ON_RANKS = True
    LIMITS: ClassVar[Limits] = {
        "embedding_dim": COUNT,
        "l2": POSITIVE,
        "unobserved_weight": NOT_NEGATIVE,
        "epochs": COUNT,
        "steps": COUNT,
    }
    SPACE: ClassVar[Space] = {"l2": (1e-4, 0.3, "log"), "unobserved_weight": (0.003, 1.0, "log")}
    embedding_dim: int = 64
    l2: float | None = None
    unobserved_weight: float | None = None
    epochs: int = 16
    steps: int = 3
    weight: str | None = None
    generated: str = "both"

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        x = self._counted_links(hin, self.weight)
        self._check_weights(x, f"column {self.weight!r}")
        self.unobserved_weight_, self.l2_ = self._chosen(x)
        xt = x.T.tocsr()
        width = self.embedding_dim
        users, items = (
            (rng.normal(size=(n, width)) * 0.1 / np.sqrt(width)).astype(np.float32) for n in x.shape
        )
        self.known_ = linked_targets(x)
        items[~self.known_] = 0
        with threadpool_limits(1, "blas"):
            for _ in range(self.epochs):
                self._improve(users, x, items, self.steps)
                self._improve(items, xt, users, self.steps)
        self.items_ = items
        self.users_ = self._solved(self._counted_links(hin, self.weight, "graph"), items)

    def vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of the fitted sources [n, d] and items [m, d], float32, whose products are the
        scores of the history that was fitted on; 0 for one without links.
        """
        self._check_fitted()
        return self.users_, self.items_

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        return self._columns(hin, self._from(self._history(hin, src, self.weight)))

    def _fold_in(self, history: sp.csr_array, attributes: pa.Table | None) -> np.ndarray:
        self._check_weights(history, "a history of fold_in")
        return self._from(history)

    def _from(self, history: sp.csr_array) -> np.ndarray:
        scores = self._solved(history, self.items_) @ self.items_.T
        scores[:, ~self.known_] = np.nan
        scores[history @ self.known_.astype(np.float32) == 0] = np.nan
        return scores

    def _fold_in_items(self, hin: HIN, new: np.ndarray) -> None:
        _, links = self._fitted_links(hin, new, self.weight)
        self._check_weights(links, f"column {self.weight!r}")
        self.items_ = np.concatenate([self.items_, self._solved(links.T.tocsr(), self.users_)])
        self.known_ = np.append(self.known_, linked_targets(links))

    def _chosen(self, x: sp.csr_array) -> tuple[float, float]:
        """The `unobserved_weight` and `l2` that were given, or that the links suggest."""
        per_source = max(float(x.sum()), 1e-6) / linked_ends(x)[0]
        weight = self.unobserved_weight
        if weight is None:
            weight = per_source / (10 * np.sqrt(x.shape[1]))
        if self.l2 is not None:
            return weight, self.l2
        ridge = 0.5 * noise_edge(x) * per_source  # of a source with the mean number of links
        return weight, ridge / (per_source + weight * x.shape[1])

    def _check_weights(self, x: sp.csr_array, where: str) -> None:
        if (x.data < 0).any():
            raise ParameterError(f"ALS: weights are at least 0; {where} has negative ones")

    def _solved(self, x: sp.csr_array, columns: np.ndarray) -> np.ndarray:
        """The factors of the rows of x, given those of its columns, to about 1e-5."""
        rows = np.zeros((x.shape[0], self.embedding_dim), np.float32)
        self._improve(rows, x, columns, SOLVE_STEPS, TOLERANCE)
        return rows

    def _improve(
        self,
        rows: np.ndarray,
        x: sp.csr_array,
        columns: np.ndarray,
        steps: int,
        tolerance: float = 1e-6,
    ) -> None:
        """Conjugate gradient steps, in place, for the factors of the rows of x, given those of its
        columns.

        Rows of about as many links are solved together, padded to the longest with links of weight
        0.
        """
        ranks = self._run.ranks or Ranks()
        shared = np.float32(self.unobserved_weight_) * (columns.T @ columns)
        spread = np.float32(self.unobserved_weight_ * x.shape[1])
        ridge = np.float32(self.l2_) * (x.sum(axis=1) + spread)
        degree = np.diff(x.indptr)
        order = np.argsort(degree, kind="stable")
        order, rows[degree == 0] = order[degree[order] > 0], 0
        gathered = np.empty(
            (max(BLOCK, int(degree.max(initial=0))), self.embedding_dim), np.float32
        )  # new memory costs more than the copy
        starts = _starts(degree[order])
        own = ranks.bounds(len(starts) - 1)  # blocks have about as many links each
        solved = rows[order]
        for block in range(own[ranks.rank], own[ranks.rank + 1]):
            start, stop = starts[block : block + 2]
            these = order[start:stop]
            link = np.arange(degree[these[-1]])
            there = link < degree[these, None]
            at = np.where(there, x.indptr[these, None] + link, 0)
            h = np.take(
                columns, x.indices[at.ravel()], axis=0, out=gathered[: at.size], mode="clip"
            )
            h, c = h.reshape(*at.shape, self.embedding_dim), x.data[at] * there
            solved[start:stop] = conjugate_gradients(
                solved[start:stop], h, c, shared, ridge[these, None], steps, tolerance
            )
        ranks.rows_together(solved, [starts[block] for block in own])
        rows[order] = solved


def _starts(degree: np.ndarray) -> list[int]:
    """Where each block of rows starts, and the number of rows; degree: of each row, ascending."""
    starts = [0]
    while starts[-1] < len(degree):
        start = starts[-1]
        stop = start + max(1, BLOCK // int(degree[start]))
        starts.append(start + max(1, BLOCK // int(degree[start:stop][-1])))
    return [*starts[:-1], len(degree)]


def conjugate_gradients(
    w: np.ndarray,
    h: np.ndarray,
    c: np.ndarray,
    shared: np.ndarray,
    ridge: np.ndarray,
    steps: int,
    tolerance: float,
) -> np.ndarray:
    """Steps from w [n, d] toward the solutions of (shared + ridge + sum_l c_l h_l h_l^T) w = sum_l
    c_l h_l, h [n, links, d].
    """

    def pulled(v: np.ndarray) -> np.ndarray:  # sum_l v_l h_l
        return np.matmul(v[:, None, :], h)[:, 0]

    def dots(v: np.ndarray) -> np.ndarray:  # <h_l, v>
        return np.matmul(h, v[:, :, None])[:, :, 0]

    rest = pulled(c * (1 - dots(w))) - w @ shared - ridge * w
    way, size = rest, np.vecdot(rest, rest)[:, None]
    enough = np.maximum(
        size * np.float32(tolerance**2), np.float32(1e-30)
    )  # below that, float32 has nothing left to tell
    for _ in range(steps):
        going = size > enough
        if not going.any():
            break
        turned = pulled(c * dots(way)) + way @ shared + ridge * way
        step = np.divide(
            size, np.vecdot(way, turned)[:, None], out=np.zeros_like(size), where=going
        )
        w = w + step * way
        rest = rest - step * turned
        new = np.vecdot(rest, rest)[:, None]
        way = rest + np.divide(new, size, out=np.zeros_like(size), where=going) * way
        size = np.where(going, new, size)
    return w
