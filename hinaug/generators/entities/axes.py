"""The leading singular vectors of links, of any matrix of links."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import ArpackError, svds
from sklearn.utils.extmath import randomized_svd

ROUNDS = 10  # power iterations where ARPACK gives up


def leading_axes(links: sp.csr_array, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The k largest singular values [k] and the right singular vectors [m, k] of a matrix [n, m];
    fewer where it has fewer.

    ARPACK gives up on some matrices of many equal singular values, such as those of nodes with one
    link each. There randomised power iteration does (Halko, Martinsson and Tropp, SIAM Review
    2011): of equal values any vectors serve.
    """
    matrix = links.astype(np.float64)
    k = min(k, min(matrix.shape) - 1)
    if k < 1 or not matrix.nnz:
        return np.zeros(1), np.zeros((matrix.shape[1], 1))
    start = np.random.default_rng(seed).normal(size=min(matrix.shape))
    try:
        _, values, right = svds(matrix, k=k, v0=start)
    except ArpackError:
        _, values, right = randomized_svd(matrix, k, n_iter=ROUNDS, random_state=seed)
    # in rows, as a loaded array lies: sums in another order would end in other digits
    return values, np.ascontiguousarray(right.T)
