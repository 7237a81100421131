"""Neighbours as sparse rows: stretches of equal work, and the best entries of each row."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

BLOCK = 1024  # rows of a dense product that are held at once
BLOCK_PRODUCTS = (
    2**23
)  # multiplications of a block of a sparse product: bounds its memory at some hundred MB


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


def best_of_rows(matrix: sp.csr_array, k: int) -> sp.csr_array:
    """The k largest positive entries of each row; equal ones by position."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    keep = matrix.data > 0
    row, col, value = row[keep], matrix.indices[keep], matrix.data[keep]
    order = np.lexsort((col, -value, row))
    row, col, value = row[order], col[order], value[order]
    best = np.arange(len(row)) - np.searchsorted(row, row) < k
    return sp.csr_array((value[best], (row[best], col[best])), shape=matrix.shape)


def nearest_rows(rows: np.ndarray, k: int) -> sp.csr_array:
    """The k largest positive products of each row with the others, CSR [n, n]; in blocks."""
    n = len(rows)
    k = max(0, min(k, n - 1))
    column, value = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
    for at in range(0, n, BLOCK):
        block = rows[at : at + BLOCK] @ rows.T
        block[np.arange(len(block)), np.arange(at, at + len(block))] = 0
        column[at : at + BLOCK] = np.argsort(-block, axis=1, kind="stable")[:, :k]
        value[at : at + BLOCK] = np.take_along_axis(block, column[at : at + BLOCK], axis=1)
    out = sp.csr_array((value.ravel(), column.ravel(), np.arange(n + 1) * k), shape=(n, n))
    out.data[out.data < 1e-6] = 0  # the cosine of rows that have nothing in common, up to rounding
    out.eliminate_zeros()
    return out
