"""One row of a factorisation by Newton's method, with everything else fixed; many rows at a time.

The row e of a node enters its final vector as z = a e + b. Its part of the training loss is convex
in e, for a softmax and for BPR in its mean over the negatives, plus l2 / 2 |e|^2. So a new node
gets the row that the training would give it if nothing else moved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

BUDGET = 2**20  # numbers of an array that are held at once
MOST_STEPS, MOST_HALVINGS = 30, 30
TOLERANCE = 1e-14  # of the Newton decrement, which is twice the loss that is left to gain


@dataclass(frozen=True)
class Derivatives:
    """Of the losses of k rows: value [k], gradient [k, d], hessian [k, d, d]."""

    value: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray


def newton(start: np.ndarray, derivatives: Callable[[np.ndarray], Derivatives]) -> np.ndarray:
    """The rows [k, d] that minimise k convex losses, from `start`; steps are halved where the loss
    does not fall.
    """
    rows, now = start, derivatives(start)
    for _ in range(MOST_STEPS):
        step = np.linalg.solve(now.hessian, now.gradient[..., None])[..., 0]
        decrement = (step * now.gradient).sum(axis=1)
        if not len(rows) or decrement.max() < TOLERANCE:
            break
        size = np.ones(len(rows))
        for _ in range(MOST_HALVINGS):
            tried = rows - size[:, None] * step
            then = derivatives(tried)
            slack = 1e-12 * np.abs(now.value)
            too_far = then.value > now.value - 1e-4 * size * decrement + slack
            if not too_far.any():
                break
            size = np.where(too_far, size / 2, size)
        rows, now = tried, then
    return rows


# ---- rows of users: every item competes for the user ---------------------------------------------


@dataclass(frozen=True)
class UserLoss:
    """The part of the loss that belongs to new users.

    history: CSR [k, m], the weights of their links. items [m, d]: final vectors. own_weight, offset
    [k, d]: a and b of z = a e + b. l2 [k].
    """

    history: sp.csr_array
    items: np.ndarray
    own_weight: float
    offset: np.ndarray
    l2: np.ndarray

    def solve(self) -> np.ndarray:
        """The final vectors z [k, d], float64."""
        if self.own_weight == 0:
            return self.offset
        start = np.zeros_like(self.offset)
        blocks = [
            self.own_weight * newton(start[rows], self._part(rows)) + self.offset[rows]
            for rows in self._blocks()
        ]
        return np.concatenate(blocks) if blocks else start

    def _part(self, rows: slice) -> Callable[[np.ndarray], Derivatives]:
        history, offset, l2 = self.history[rows], self.offset[rows], self.l2[rows]

        def derivatives(own: np.ndarray) -> Derivatives:
            scores = (self.own_weight * own + offset) @ self.items.T
            of_scores = self.of_scores(history, scores)
            a, width = self.own_weight, own.shape[1]
            return Derivatives(
                of_scores.value + l2 / 2 * np.square(own).sum(axis=1),
                a * of_scores.gradient + l2[:, None] * own,
                a * a * of_scores.hessian + l2[:, None, None] * np.eye(width),
            )

        return derivatives

    def _blocks(self) -> list[slice]:
        """Slices of users such that the arrays of one stay within the budget."""
        size = max(1, BUDGET // max(1, self.items.size))
        return [slice(at, at + size) for at in range(0, len(self.offset), size)]

    def of_scores(self, history: sp.csr_array, scores: np.ndarray) -> Derivatives:
        """Value, gradient and hessian by z, from the scores [k, m]."""
        raise NotImplementedError

    def _squares(self, weights: np.ndarray) -> np.ndarray:
        """sum_j weights[k, j] y_j y_j^T of each user, [k, d, d]."""
        return np.matmul((weights[:, :, None] * self.items).transpose(0, 2, 1), self.items)


class SoftmaxUserLoss(UserLoss):
    """sum_i w_i (log sum_j exp s_j - s_i); the temperature is in the vectors of the items."""

    def of_scores(self, history: sp.csr_array, scores: np.ndarray) -> Derivatives:
        """Value, gradient and hessian by z, from the scores [k, m]."""
        top = scores.max(axis=1, keepdims=True)
        share = np.exp(scores - top)
        norm = share.sum(axis=1, keepdims=True)
        share /= norm
        total = np.asarray(history.sum(axis=1), np.float64).ravel()
        given = np.asarray(history.multiply(scores).sum(axis=1)).ravel()
        mean = share @ self.items
        spread = self._squares(share) - mean[:, :, None] * mean[:, None, :]
        return Derivatives(
            total * (top + np.log(norm))[:, 0] - given,
            total[:, None] * mean - history @ self.items,
            total[:, None, None] * spread,
        )


class BPRUserLoss(UserLoss):
    """sum_i w_i mean_j log(1 + exp(s_j - s_i)), j over the items that are not in the history."""

    def of_scores(self, history: sp.csr_array, scores: np.ndarray) -> Derivatives:
        """Value, gradient and hessian by z, from the scores [k, m]."""
        k, m = scores.shape
        user = np.repeat(np.arange(k), np.diff(history.indptr))
        item = history.indices
        is_free = np.ones((k, m), bool)
        is_free[user, item] = False
        weight = history.data / np.maximum(is_free.sum(axis=1), 1)[user]
        gap = scores[user] - scores[user, item][:, None]
        weights = weight[:, None] * is_free[user]
        sigmoid = _sigmoid(gap)
        slope = weights * sigmoid
        curve = slope * (1 - sigmoid)
        of_user = sp.csr_array(
            (np.ones(len(user)), np.arange(len(user)), history.indptr), shape=(k, len(user))
        )
        own, across = self.items[item], curve @ self.items
        d = self.items.shape[1]
        products = own[:, :, None] * (curve.sum(axis=1)[:, None] * own / 2 - across)[:, None, :]
        half = (of_user @ products.reshape(len(user), -1)).reshape(k, d, d)
        return Derivatives(
            of_user @ (weights * np.logaddexp(0, gap)).sum(axis=1),
            of_user @ (slope @ self.items - slope.sum(axis=1)[:, None] * own),
            self._squares(of_user @ curve) + half + half.transpose(0, 2, 1),
        )

    def _blocks(self) -> list[slice]:
        """As before; the gaps of all links of a block to all items, and the squares of all links,
        are held too.
        """
        m, d = self.items.shape
        cost = m * d + np.diff(self.history.indptr) * max(m, d * d)
        stops = np.searchsorted(np.cumsum(cost) // BUDGET, np.arange(1 + cost.sum() // BUDGET))
        edges = np.unique(np.append(stops, len(cost)))
        return [slice(a, b) for a, b in pairwise(edges)]


# ---- rows of items: a new item competes for every user -------------------------------------------


@dataclass(frozen=True)
class ItemLoss:
    """The part of the loss that belongs to new items, each for itself.

    links: CSR [k, n], the weights of their links with the n users. users [n, d], items [m, d]:
    final vectors. own_weight, offset [k, d]: a and b of z = a e + b. l2 [k].
    """

    links: sp.csr_array
    users: np.ndarray
    items: np.ndarray
    own_weight: float
    offset: np.ndarray
    l2: np.ndarray

    def solve(self) -> np.ndarray:
        """The final vectors z [k, d], float64."""
        if self.own_weight == 0:
            return self.offset
        start = np.zeros_like(self.offset)
        size = max(1, BUDGET // max(1, self.users.size))
        blocks = [
            self.own_weight * newton(start[at : at + size], self._part(slice(at, at + size)))
            + self.offset[at : at + size]
            for at in range(0, len(start), size)
        ]
        return np.concatenate(blocks) if blocks else start

    def _part(self, rows: slice) -> Callable[[np.ndarray], Derivatives]:
        links, offset, l2 = self.links[rows].toarray(), self.offset[rows], self.l2[rows]

        def derivatives(own: np.ndarray) -> Derivatives:
            a, width = self.own_weight, own.shape[1]
            scores = (a * own + offset) @ self.users.T
            value, slope, curve = self.of_scores(links, scores)
            squares = np.matmul((curve[:, :, None] * self.users).transpose(0, 2, 1), self.users)
            return Derivatives(
                value + l2 / 2 * np.square(own).sum(axis=1),
                a * slope @ self.users + l2[:, None] * own,
                a * a * squares + l2[:, None, None] * np.eye(width),
            )

        return derivatives

    def of_scores(
        self, links: np.ndarray, scores: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Value [k], and first and second derivative by each score [k, n]."""
        raise NotImplementedError


@dataclass(frozen=True)
class SoftmaxItemLoss(ItemLoss):
    """sum_u t_u log(exp s_u + sum_j exp s_uj) - w_u s_u, j over the items that were there.

    w_u are the weights of the new links, t_u those of all links of u. The temperature is in the
    vectors of the users.

    totals [n]: the weights of the old links of each user.
    share_of_user: the weights of a user's links are divided by their sum, so that t_u is 1.
    """

    totals: np.ndarray
    share_of_user: bool

    def of_scores(
        self, links: np.ndarray, scores: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Value [k], and first and second derivative by each score [k, n]."""
        total = self.totals + links
        if self.share_of_user:
            links = links / np.maximum(total, 1e-12)
            total = (total > 0).astype(np.float64)
        old = self._log_sums
        gap = scores - old
        share = _sigmoid(gap)
        value = (total * (old + np.logaddexp(0, gap)) - links * scores).sum(axis=1)
        return value, total * share - links, total * share * (1 - share)

    @cached_property
    def _log_sums(self) -> np.ndarray:
        """log sum_j exp s_uj of each user [n], a block of users at a time."""
        size = max(1, BUDGET // max(1, len(self.items)))
        blocks = [
            np.logaddexp.reduce(self.users[at : at + size] @ self.items.T, axis=1)
            for at in range(0, len(self.users), size)
        ]
        return np.concatenate(blocks)


@dataclass(frozen=True)
class BPRItemLoss(ItemLoss):
    """What a new item adds to BPR, in its mean over the negatives.

    Where u has it, w_u mean_j log(1 + exp(s_uj - s_u)), j over what u has not. Where u has it not,
    it is one of the negatives: sum_j w_uj log(1 + exp(s_u - s_uj)) / (number of negatives of u), j
    over what u has.

    history: CSR [n, m], the old links of the users, weights as the loss counts them.
    """

    history: sp.csr_array

    def of_scores(
        self, links: np.ndarray, scores: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Value [k], and first and second derivative by each score [k, n]."""
        parts = zip(self._as_positive(links, scores), self._as_negative(links, scores), strict=True)
        value, slope, curve = (positive + negative for positive, negative in parts)
        return value.sum(axis=1), slope, curve

    @cached_property
    def _n_free(self) -> np.ndarray:
        return self.history.shape[1] - np.diff(self.history.indptr)

    def _as_positive(self, links: np.ndarray, scores: np.ndarray) -> list[np.ndarray]:
        """Value, first and second derivative of the pairs (new item, user who has it), [k, n]."""
        out = [np.zeros_like(scores) for _ in range(3)]
        all_items, all_users = links.nonzero()
        size = max(1, BUDGET // max(1, len(self.items)))
        for at in range(0, len(all_users), size):
            item, user = all_items[at : at + size], all_users[at : at + size]
            gap = self.users[user] @ self.items.T - scores[item, user][:, None]
            weight = links[item, user] / np.maximum(self._n_free[user], 1)
            weights = weight[:, None] * (self.history[user].toarray() == 0)
            sigmoid = _sigmoid(gap)
            out[0][item, user] = (weights * np.logaddexp(0, gap)).sum(axis=1)
            out[1][item, user] = -(weights * sigmoid).sum(axis=1)
            out[2][item, user] = (weights * sigmoid * (1 - sigmoid)).sum(axis=1)
        return out

    def _as_negative(self, links: np.ndarray, scores: np.ndarray) -> list[np.ndarray]:
        """The same of the pairs (new item, user who has it not)."""
        history = self.history
        user = np.repeat(np.arange(history.shape[0]), np.diff(history.indptr))
        own = np.einsum("ld,ld->l", self.users[user], self.items[history.indices])
        gap = scores[:, user] - own
        weights = (history.data / (self._n_free[user] + 1)) * (links[:, user] == 0)
        sigmoid = _sigmoid(gap)
        of_user = sp.csr_array(
            (np.ones(len(user)), np.arange(len(user)), history.indptr),
            shape=(history.shape[0], len(user)),
        )
        parts = (np.logaddexp(0, gap), sigmoid, sigmoid * (1 - sigmoid))
        return [(of_user @ (weights * part).T).T for part in parts]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(x / 2))
