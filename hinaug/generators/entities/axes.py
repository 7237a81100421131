"""The leading singular vectors of links, of any matrix of links."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from hinaug.features.svd import leading


def leading_axes(links: sp.csr_array, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The k largest singular values [k] and the right singular vectors [m, k] of a matrix [n, m];
    fewer where it has fewer.
    """
    matrix = links.astype(np.float64)
    k = min(k, min(matrix.shape) - 1)
    if k < 1 or not matrix.nnz:
        return np.zeros(1), np.zeros((matrix.shape[1], 1))
    values, right = leading(matrix, k, np.random.default_rng(seed).normal(size=min(matrix.shape)))
    # in rows, as a loaded array lies: sums in another order would end in other digits
    return values, np.ascontiguousarray(right.T)
