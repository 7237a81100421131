"""Who is most similar to whom: one search over sparse rows, one over dense rows.

`most_similar` compares sparse rows (links), `cosine_neighbours` dense or sparse rows of features.
Both work in blocks of bounded memory, leave a row itself out, and order equal values by position.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

BLOCK = 1024  # rows of a dense product that are held at once, at most
BLOCK_NUMBERS = 2**25  # and their numbers
BLOCK_PRODUCTS = 2**23  # multiplications of a block of a sparse product: some hundred MB
NOISE = 1e-6  # the cosine of rows that have nothing in common, up to rounding


def most_similar(
    queries: sp.csr_array,
    rows: sp.csr_array,
    k: int,
    shrinkage: float = 0.0,
    own: np.ndarray | None = None,
    pathsim: bool = False,
) -> sp.csr_array:
    """The k rows most similar to each query, by shrunken cosine.

        s(q, r) = <q, r> / (|q| |r| + shrinkage)

    Parameters
    ----------
    queries, rows
        CSR [m, d] and [n, d].
    k
        Neighbours of a query, at most. Only positive similarities count.
    shrinkage
        Pulls down similarities that rest on few common columns.
    own
        For each query its own position among `rows`, which is left out; -1 where it has none.
    pathsim
        Divide by (|q|^2 + |r|^2) / 2 + shrinkage instead. For rows that count the paths along half
        of a symmetric metapath, that is its PathSim (Sun et al., VLDB 2011).

    Gives CSR [m, n] with sorted columns. Time O(sum over common columns), in blocks.

    Example
    -------
    >>> links = sp.csr_array(np.array([[1, 1, 0], [1, 1, 1], [0, 0, 1]], np.float32))
    >>> most_similar(links, links, k=1, own=np.arange(3)).toarray().round(2).tolist()
    [[0.0, 0.8199999928474426, 0.0], [0.8199999928474426, 0.0, 0.0], [0.0, 0.5799999833106995, 0.0]]
    """
    by_column, length, query_length = rows.T.tocsr(), lengths(rows), lengths(queries)
    blocks = [sp.csr_array((0, rows.shape[0]), dtype=np.float32)]
    for start, stop in stretches(queries, by_column):
        common = (queries[start:stop] @ by_column).tocsr()
        similar = shrunken(common, query_length[start:stop], length, shrinkage, pathsim)
        if own is not None:
            row = np.repeat(np.arange(start, stop), np.diff(similar.indptr))
            similar.data[similar.indices == own[row]] = 0
        blocks.append(best_of_rows(similar, k))
    return sp.csr_array(sp.vstack(blocks))


def shrunken(
    common: sp.csr_array,
    row_lengths: np.ndarray,
    column_lengths: np.ndarray,
    shrinkage: float,
    pathsim: bool = False,
) -> sp.csr_array:
    """Inner products as shrunken cosines, or PathSim; CSR, written over `common`."""
    row = np.repeat(np.arange(common.shape[0]), np.diff(common.indptr))
    one, other = row_lengths[row], column_lengths[common.indices]
    scale = (np.square(one) + np.square(other)) / 2 if pathsim else one * other
    scale += np.float32(shrinkage)
    scale[scale == 0] = 1  # rows of zeros have no similarity
    common.data /= scale
    return common


def cosine_neighbours(
    x: Any, rows: np.ndarray, k: int, among: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The k rows of x most similar to each of the rows at `rows` by cosine, that row left out.

    x: dense [n, d] or sparse. among: bool [n], which rows may be neighbours; None for all. Gives
    positions int64 [len(rows), k'] and cosines [len(rows), k'], largest first, with k' = min(k,
    rows that may be neighbours - 1); cosines may be 0 or negative.

    Example
    -------
    >>> x = np.array([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0]])
    >>> position, cosine = cosine_neighbours(x, np.array([0, 2]), k=1)
    >>> position.tolist(), cosine.tolist()
    ([[1], [1]], [[0.6], [0.8]])
    """
    unit = _unit_rows(x)
    pool = np.arange(unit.shape[0]) if among is None else np.flatnonzero(among)
    others = unit if among is None else unit[pool]
    n = len(pool)
    k = max(0, min(k, n - 1))
    position = np.zeros((len(rows), k), np.int64)
    cosine = np.zeros((len(rows), k), unit.dtype)
    size = max(1, min(BLOCK, BLOCK_NUMBERS // max(1, n)))
    for at in range(0, len(rows) if k else 0, size):
        asked = rows[at : at + size]
        block = unit[asked] @ others.T
        block = block.toarray() if sp.issparse(block) else block
        own = np.flatnonzero(np.isin(asked, pool))
        block[own, np.searchsorted(pool, asked[own])] = -np.inf
        position[at : at + size], cosine[at : at + size] = largest_of_rows(block, k)
    return pool[position], cosine


def nearest_rows(rows: np.ndarray, k: int, among: np.ndarray | None = None) -> sp.csr_array:
    """The k largest positive cosines of each row [n, d] with the others, largest first; CSR.

    among: bool [n], which rows may be neighbours; None for all.
    """
    n = len(rows)
    position, cosine = cosine_neighbours(rows, np.arange(n), k, among)
    indptr = np.arange(n + 1) * position.shape[1]
    out = sp.csr_array((cosine.ravel(), position.ravel(), indptr), shape=(n, n))
    out.data[out.data < NOISE] = 0
    out.eliminate_zeros()
    return out


def best_of_rows(matrix: sp.csr_array, k: int) -> sp.csr_array:
    """The k largest positive entries of each row of a CSR matrix; equal ones by position."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    keep = matrix.data > 0
    if matrix.dtype == np.float32:
        keep[keep] = matrix.data[keep] >= _kth_of_rows(row[keep], matrix.data[keep], k)[row[keep]]
    row, col, value = row[keep], matrix.indices[keep], matrix.data[keep]
    order = np.lexsort((col, -value, row))
    row, col, value = row[order], col[order], value[order]
    best = np.arange(len(row)) - np.searchsorted(row, row) < k
    return sp.csr_array((value[best], (row[best], col[best])), shape=matrix.shape)


def _kth_of_rows(row: np.ndarray, value: np.ndarray, k: int) -> np.ndarray:
    """The k-th largest of the positive float32 values of each row; 0 where there are at most k.

    One sort of whole numbers: the row above the bits of the value, which sort as the value does.
    It is many times faster than a sort that carries positions along.
    """
    counts = np.bincount(row)
    key = (row.astype(np.uint64) << np.uint64(32)) | np.uint64(2**32 - 1) - value.view(np.uint32)
    key.sort()
    bound = np.zeros(len(counts), np.float32)
    crowded = counts > k
    kth = key[(np.cumsum(counts) - counts + k - 1)[crowded]]
    bound[crowded] = (~kth.astype(np.uint32)).view(np.float32)
    return bound


def largest_of_rows(block: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and values [n, k] of the k largest numbers of each row of a dense block [n, m],
    largest first, equal ones by position; k is from 1 to m.
    """
    bound = np.sort(block, axis=1)[:, -k, None]  # np.partition is far slower where many are equal
    above, tied = block > bound, block == bound
    room = k - above.sum(axis=1, keepdims=True)
    crowded = tied.sum(axis=1, keepdims=True) > room  # rows with more ties than places
    if crowded.any():
        at = np.flatnonzero(crowded)
        tied[at] &= np.cumsum(tied[at], axis=1) <= room[at]
    position = np.nonzero(above | tied)[1].reshape(len(block), k)
    value = np.take_along_axis(block, position, axis=1)
    order = np.argsort(-value, axis=1, kind="stable")
    return np.take_along_axis(position, order, axis=1), np.take_along_axis(value, order, axis=1)


def stretches(left: sp.csr_array, right: sp.csr_array) -> Iterator[tuple[int, int]]:
    """Runs of rows of `left` whose products with `right` take about BLOCK_PRODUCTS multiplications
    each; at least one row.
    """
    steps = np.append(0, np.cumsum(np.diff(right.indptr)[left.indices], dtype=np.int64))
    done = steps[left.indptr]  # multiplications before each row
    start = 0
    while start < left.shape[0]:
        stop = max(
            start + 1, int(np.searchsorted(done, done[start] + BLOCK_PRODUCTS, side="right")) - 1
        )
        yield start, stop
        start = stop


def lengths(rows: sp.csr_array) -> np.ndarray:
    """The Euclidean length of each sparse row, float32 [n]."""
    return np.sqrt(rows.multiply(rows).sum(axis=1)).astype(np.float32)


def _unit_rows(x: Any) -> Any:
    """Rows of length 1, float32 where x is sparse; a row of zeros stays one."""
    if not sp.issparse(x):
        return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    unit = sp.csr_array(x, dtype=np.float32)
    norm = np.sqrt(np.asarray(unit.multiply(unit).sum(axis=1)).ravel())
    return sp.csr_array(sp.diags_array(1 / np.maximum(norm, 1e-12)) @ unit)
