"""Ranked lists on plain arrays: the best items of scores, hits, and NDCG, which training watches.

The other measures are in `hinaug.evaluation.metrics`.

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
import scipy.sparse as sp

from hinaug.errors import ParameterError
from hinaug.graph.arrow import hashed
from hinaug.graph.hin import HIN

__all__ = ["hits", "ndcg", "tie_order", "top_k"]


def hits(ranked: np.ndarray, relevant: Any) -> np.ndarray:
    """rel as a bool array [n_users, K]: is the item at this rank held out for this user?"""
    ranked, csr = checked_lists(ranked), _binary(relevant)
    if ranked.shape[0] != csr.shape[0]:
        raise ParameterError(
            f"ranked has {ranked.shape[0]} users and relevant has {csr.shape[0]}; give both one "
            "row for each user"
        )
    n_items = csr.shape[1]
    if ranked.size and ranked.max() >= n_items:
        raise ParameterError(
            f"ranked holds item {ranked.max()}, but relevant has only {n_items} items; give both "
            "the same items, from 0 on"
        )
    # a pair (user, item) becomes the number user * n_items + item; csr yields these in increasing
    # order
    users = np.repeat(np.arange(csr.shape[0], dtype=np.int64), np.diff(csr.indptr))
    known = users * n_items + csr.indices
    if known.size == 0:
        return np.zeros(ranked.shape, dtype=bool)
    asked = np.arange(len(ranked), dtype=np.int64)[:, None] * n_items + ranked
    at = np.searchsorted(known, asked.ravel()).reshape(asked.shape)
    return (known[np.minimum(at, known.size - 1)] == asked) & (ranked >= 0)


def ndcg(
    ranked: np.ndarray, relevant: Any, k: int, *, found: np.ndarray | None = None
) -> np.ndarray:
    """NDCG@k = DCG / IDCG, DCG = sum_{j<=k} rel_j / log2(j + 1), IDCG = sum_{j<=min(k, |R|)} 1 /
    log2(j + 1).
    """
    rel, size = hits_in_cut(ranked, relevant, k, found)
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[np.nan], np.cumsum(discount)])
    return rel @ discount / ideal[np.nan_to_num(np.minimum(size, k)).astype(np.int64)]


def tie_order(hin: HIN, type: str) -> np.ndarray:
    """The place of each node among others of equal score, int64 [n]: by a seeded hash of its id.

    Positions would not do: in many files they follow popularity, or the order of first use.
    """
    order = np.argsort(hashed(hin.nodes[type]["id"].chunk(0)), kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return place


def top_k(
    scores: np.ndarray,
    k: int,
    exclude: Any | None = None,
    *,
    ties: np.ndarray | None = None,
    in_place: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """The k best items of each row, best first.

    Equal scores are ordered by `ties`, the lower first, also at the cut: the result is that of a
    stable sort of the whole row, its items in that order. NaN means "cannot be scored" and is never
    returned; -inf is a score like any other.

    Parameters
    ----------
    scores
        Numbers [b, n_items].
    k
        1 or more; it may exceed n_items.
    exclude
        Sparse [b, n_items]; its nonzero entries are never returned (say, what the user already
        has).
    ties
        The place of each item among its equals, a permutation [n_items], such as `tie_order`;
        without it the item's position.
    in_place
        Spares a copy: excluded scores are written over while this runs, and put back at the end.
        Not for an array that another thread looks at.

    Returns items int64 [b, k], with -1 where a row has fewer than k items to give, and their scores
    [b, k], there NaN.
    """
    scores = _as_scores(scores, k)
    drop = sp.csr_array(scores.shape, dtype=bool) if exclude is None else _binary(exclude)
    if drop.shape != scores.shape:
        raise ParameterError(
            f"exclude must have the shape of scores, {scores.shape}, got {drop.shape}; take the "
            "same rows and items of both",
            asked=drop.shape,
            there=scores.shape,
        )
    if not _has_rows_of_its_own(scores) or (drop.nnz and not in_place):
        scores = scores.copy()
    where = np.repeat(np.arange(drop.shape[0]), np.diff(drop.indptr)), drop.indices
    before = scores[where]
    try:
        scores[where] = -np.inf
        return _top_k(scores, k, drop, ties)
    finally:
        scores[where] = before


def _as_scores(scores: Any, k: Any) -> np.ndarray:
    scores = np.asarray(scores)
    if scores.ndim != 2 or scores.dtype.kind not in "biuf" or not is_whole(k) or k < 1:
        raise ParameterError(
            "top_k needs scores [b, n_items], numbers, and a whole number k >= 1; got "
            f"{scores.dtype} of shape {scores.shape} and k = {k!r}",
            asked=(scores.shape, k),
        )
    if scores.dtype in (np.float32, np.float64):
        return scores
    return scores.astype(np.float32 if scores.dtype == np.float16 else np.float64)


def _has_rows_of_its_own(scores: np.ndarray) -> bool:
    """Whether each entry can be written to without changing another."""
    apart = all(step > 0 and step % scores.itemsize == 0 for step in scores.strides)
    return scores.flags.writeable and apart


def _top_k(
    scores: np.ndarray, k: int, drop: sp.csr_array, ties: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """`top_k` of scores that are -inf where something is to be dropped."""
    b, n = scores.shape
    place = np.arange(n + 1) if ties is None else np.append(ties, n)  # n marks an empty slot
    item_at = np.empty_like(place)
    item_at[place] = np.arange(n + 1)
    items, values = np.full((b, k), -1, dtype=np.int64), np.full((b, k), np.nan, dtype=scores.dtype)
    if b == 0 or n == 0:
        return items, values
    m = min(k, n)
    # one more than asked, to see which rows are tied across the cut
    best, at = _largest_but_nan(scores, min(m + 1, n))
    chosen = np.array(at[:, :m])
    cut = best[:, m - 1]
    tied = np.flatnonzero((cut == -np.inf) | (best[:, m] == cut if m < n else False))
    if tied.size:
        level = scores[tied] == cut[tied, None]  # not where NaN stands
        level[drop[tied].nonzero()] = False
        # keep what is above the cut; fill up with the first places at the cut
        above = best[tied, :m] > cut[tied, None]
        kept = np.where(above, chosen[tied], n)
        row, at_place = np.nonzero(level[:, item_at[:n]])
        rank = np.arange(len(row)) - np.searchsorted(row, np.arange(len(tied)))[row]
        slot = above.sum(1)[row] + rank  # topk is sorted: what is above comes first
        free = slot < m
        kept[row[free], slot[free]] = item_at[at_place[free]]
        chosen[tied] = kept
    chosen = item_at[np.sort(place[chosen], axis=1)]
    rows = np.arange(b)[:, None]
    found = np.where(chosen < n, scores[rows, np.minimum(chosen, n - 1)], np.nan)
    order = np.argsort(-found, axis=1, kind="stable")  # NaN last; equal scores stay in order
    chosen, found = np.take_along_axis(chosen, order, 1), np.take_along_axis(found, order, 1)
    items[:, :m], values[:, :m] = np.where(chosen < n, chosen, -1), found
    return items, values


def _largest_but_nan(scores: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    """`_largest`, NaN taken as -inf. Torch takes it as larger than all else, so that it shows
    without a pass of its own.
    """
    low = scores.dtype.type(-np.inf)
    best, at = _largest(np.fmax(scores, low) if np.isnan(scores[[0, -1]]).any() else scores, m)
    blind = np.flatnonzero(np.isnan(best[:, 0]))
    if blind.size:
        best[blind], at[blind] = _largest(np.fmax(scores[blind], low), m)
    return best, at


GROUPS = 16  # items whose best is looked for first


def _largest(scores: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    """The m largest values of each row and where they stand, largest first; which of equal ones is
    open.

    They lie in the m groups of items (items j, j + width, ... form group j) with the largest
    maxima, and the maxima are found by one fast pass.
    """
    # several times faster than numpy's partition; imported here, as nothing else in this file needs
    # it
    import torch

    x = torch.from_numpy(scores)
    (b, n), width = x.shape, x.shape[1] // GROUPS
    if width < 8 * m:
        best, at = torch.topk(x, m, dim=1)
        return best.numpy(), at.numpy()
    whole = width * GROUPS
    group = torch.topk(x[:, :whole].view(b, GROUPS, width).amax(1), m, dim=1, sorted=False).indices
    at = (group[:, None, :] + torch.arange(GROUPS)[None, :, None] * width).view(b, -1)
    at = torch.cat([at, torch.arange(whole, n).expand(b, n - whole)], 1)
    best, chosen = torch.topk(x.gather(1, at), m, dim=1)
    return best.numpy(), at.gather(1, chosen).numpy()


def _binary(matrix: Any) -> sp.csr_array:
    """Sorted CSR without repeated or zero entries."""
    if not sp.issparse(matrix):
        matrix = np.asarray(matrix)
        if matrix.ndim != 2 or matrix.dtype.kind not in "biuf":
            raise ParameterError(
                "relevant and exclude are matrices [n_users, n_items] of numbers, sparse or "
                f"dense; got {matrix.dtype} "
                f"of shape {matrix.shape}"
            )
    csr = sp.csr_array(matrix, copy=True)
    csr.data = csr.data != 0
    csr.sum_duplicates()
    csr.eliminate_zeros()
    return csr


def checked_lists(
    ranked: np.ndarray, k: int | None = None, n_items: int | None = None
) -> np.ndarray:
    """`ranked` as int64 [n_users, K], checked."""
    ranked = np.asarray(ranked)
    if ranked.ndim != 2 or not np.issubdtype(ranked.dtype, np.integer):
        raise ParameterError(
            f"ranked must be integers [n_users, K], got {ranked.dtype} of shape {ranked.shape}; "
            "-1 stands for no item"
        )
    ranked = ranked.astype(np.int64, copy=False)
    if k is not None:
        check_cut(k, ranked.shape[1])
    if ranked.size and ranked.min() < -1:
        raise ParameterError(
            f"ranked holds {ranked.min()}; item positions start at 0, and -1 means no item"
        )
    if n_items is not None and ranked.size and ranked.max() >= n_items:
        raise ParameterError(
            f"ranked holds item {ranked.max()}, but there are only {n_items} items; count items "
            "from 0 on"
        )
    ordered = np.sort(ranked, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        user, j = np.argwhere(twice)[0]
        raise ParameterError(
            f"the list of user {user} holds item {ordered[user, j]} more than once; keep its best "
            "rank, and -1 at the others"
        )
    return ranked


def is_whole(k: Any) -> bool:
    return isinstance(k, int | np.integer) and not isinstance(k, bool)


def check_cut(k: Any, length: int) -> None:
    if not is_whole(k) or not 1 <= k <= length:
        raise ParameterError(
            f"k must lie between 1 and the length of the lists, {length}; got {k!r}; rank more "
            "items, or fill up with -1"
        )


def hits_in_cut(
    ranked: np.ndarray, relevant: Any, k: int, found: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """rel [n_users, k] and |R| [n_users], NaN where R is empty: what measures are made of."""
    shape = np.shape(ranked)
    if len(shape) == 2:
        check_cut(k, shape[1])
    if found is None:
        found = hits(ranked, relevant)
    csr = _binary(relevant)
    if found.shape != shape or len(found) != csr.shape[0]:
        raise ParameterError(
            f"found has shape {found.shape}, ranked {shape}, and relevant {csr.shape}; found is "
            "hits(ranked, relevant)"
        )
    size = np.diff(csr.indptr).astype(np.float64)
    return found[:, :k], np.where(size > 0, size, np.nan)
