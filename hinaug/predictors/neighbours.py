"""Neighbours as sparse rows: stretches of equal work, and the best entries of each row."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

BLOCK_PRODUCTS = 2**23  # multiplications of a block of a sparse product: bounds its memory at some hundred MB


def stretches(left: sp.csr_array, right: sp.csr_array) -> Iterator[tuple[int, int]]:
    """Runs of rows of `left` whose products with `right` take about BLOCK_PRODUCTS multiplications each; at least one row."""
    steps = np.append(0, np.cumsum(np.diff(right.indptr)[left.indices], dtype=np.int64))
    done = steps[left.indptr]  # multiplications before each row
    start = 0
    while start < left.shape[0]:
        stop = max(start + 1, int(np.searchsorted(done, done[start] + BLOCK_PRODUCTS, side="right")) - 1)
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
