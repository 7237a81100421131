"""Measures of ranked lists, on plain arrays.

To add one: write a function like `recall`, and add its line to `PER_USER`.

Notation, for one user: L is the list of recommended items, best first, cut at k; R is the set of
held-out (relevant) items; rel_j = 1 when the item at rank j of L is in R, otherwise 0, for j = 1,
..., k; hits = rel_1 + ... + rel_k.

`ranked` is an integer array [n_users, K] of item positions, where -1 means "no item" (it may stand
anywhere, keeps its rank and is never a hit); `relevant` is a scipy sparse matrix [n_users, n_items]
whose nonzero entries are the held-out pairs. Measures of accuracy return one float64 a user, NaN
for users without relevant items: average with `numpy.nanmean`. They compute `hits(ranked,
relevant)` first; give it as `found` to share it between several measures.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hinaug.errors import ParameterError
from hinaug.training.ranking import checked_lists, hits, hits_in_cut, is_whole, ndcg

__all__ = [
    "PER_USER",
    "average_precision",
    "coverage",
    "f1",
    "gini",
    "hit",
    "hits",
    "ndcg",
    "novelty",
    "precision",
    "recall",
    "reciprocal_rank",
]


def recall(
    ranked: np.ndarray, relevant: Any, k: int, *, found: np.ndarray | None = None
) -> np.ndarray:
    """Recall@k = hits / |R|. It cannot reach 1 where |R| > k."""
    rel, size = hits_in_cut(ranked, relevant, k, found)
    return rel.sum(1) / size


def precision(
    ranked: np.ndarray, relevant: Any, k: int, *, found: np.ndarray | None = None
) -> np.ndarray:
    """Precision@k = hits / k, also where the list holds fewer than k items."""
    rel, size = hits_in_cut(ranked, relevant, k, found)
    return np.where(np.isnan(size), np.nan, rel.sum(1) / k)


def f1(ranked: np.ndarray, relevant: Any, k: int, *, found: np.ndarray | None = None) -> np.ndarray:
    """F1@k = 2 P R / (P + R), the harmonic mean of Precision@k and Recall@k, which is 2 hits / (k +
    |R|); 0 when both are 0.
    """
    rel, size = hits_in_cut(ranked, relevant, k, found)
    return 2 * rel.sum(1) / (k + size)


def hit(
    ranked: np.ndarray, relevant: Any, k: int, *, found: np.ndarray | None = None
) -> np.ndarray:
    """Hit@k = 1 when hits > 0, otherwise 0."""
    rel, size = hits_in_cut(ranked, relevant, k, found)
    return np.where(np.isnan(size), np.nan, rel.any(1))


def average_precision(
    ranked: np.ndarray, relevant: Any, k: int, *, found: np.ndarray | None = None
) -> np.ndarray:
    """AP@k = sum_{j<=k} rel_j (rel_1 + ... + rel_j) / j, over min(k, |R|), so that a perfect list
    has 1. Its mean is MAP@k.

    Other normalisers are in use (|R|, k, or the number of hits): figures compare only under one of
    them.
    """
    rel, size = hits_in_cut(ranked, relevant, k, found)
    at = np.cumsum(rel, axis=1) / np.arange(1, k + 1)
    return (at * rel).sum(1) / np.minimum(size, k)


def reciprocal_rank(
    ranked: np.ndarray, relevant: Any, k: int, *, found: np.ndarray | None = None
) -> np.ndarray:
    """RR@k = 1 / (the first rank j <= k with rel_j = 1), 0 where none is; its mean is MRR@k."""
    rel, size = hits_in_cut(ranked, relevant, k, found)
    return np.where(np.isnan(size), np.nan, (rel / np.arange(1, k + 1)).max(1))


PER_USER = {  # what `evaluate` measures, by the name that a result shows
    "NDCG": ndcg,
    "Recall": recall,
    "Precision": precision,
    "F1": f1,
    "Hit": hit,
    "MAP": average_precision,
    "MRR": reciprocal_rank,
}


def coverage(ranked: np.ndarray, n_items: int, k: int) -> float:
    """Coverage@k = share of the n_items items that stand in at least one list cut at k."""
    return float((_exposure(ranked, n_items, k) > 0).mean())


def gini(ranked: np.ndarray, n_items: int, k: int) -> float:
    """Gini@k, the inequality of exposure: 0 when all items are recommended equally often, near 1
    when all slots go to one item.

    With c_1 <= ... <= c_n the number of lists that hold each of the n items, G = sum_i (2 i - n -
    1) c_i / (n sum_i c_i). NaN when nothing is recommended.
    """
    count = np.sort(_exposure(ranked, n_items, k)).astype(np.float64)
    total = count.sum()
    if total == 0:
        return float("nan")
    return float((2 * np.arange(1, n_items + 1) - n_items - 1) @ count / (n_items * total))


def novelty(ranked: np.ndarray, popularity: np.ndarray, n_users: int, k: int) -> np.ndarray:
    """Novelty@k [n_users of ranked] = mean over the items i of L of -log2(popularity_i / n_users),
    in bits.

    popularity_i is the number of training users who have i, of n_users in all. An item that nobody
    has counts as if half a user had it (its information would be infinite), and so is one bit more
    novel than an item with one user. Ranks without an item are left out of the mean; NaN for an
    empty list.
    """
    pop = np.asarray(popularity)
    pop = pop.astype(np.float64) if pop.dtype.kind in "biuf" else np.full(pop.shape, np.nan)
    if pop.ndim != 1 or not (
        np.isfinite(pop).all() and (pop >= 0).all() and (pop <= n_users).all()
    ):
        what = f"{pop.min()} to {pop.max()}" if pop.ndim == 1 and pop.size else f"shape {pop.shape}"
        raise ParameterError(
            f"popularity must be one number in [0, n_users = {n_users}] an item, got {what}; "
            "count the users of each item"
        )
    cut = checked_lists(ranked, k, pop.size)[:, :k]
    present = cut >= 0
    bits = np.append(
        -np.log2(np.maximum(pop, 0.5) / n_users), 0.0
    )  # the last, at -1, stands for no item
    length = present.sum(1)
    return np.divide(bits[cut].sum(1), length, out=np.full(len(cut), np.nan), where=length > 0)


def _exposure(ranked: np.ndarray, n_items: int, k: int) -> np.ndarray:
    """Number of lists, cut at k, that hold each item [n_items]."""
    if not is_whole(n_items) or n_items < 1:
        raise ParameterError(
            f"n_items must be 1 or more, got {n_items!r}; it counts the items that could be "
            "recommended"
        )
    cut = checked_lists(ranked, k, n_items)[:, :k]
    return np.bincount(cut[cut >= 0], minlength=n_items)
