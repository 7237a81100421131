"""The leading singular vectors of a sparse matrix, of any matrix."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import ArpackError, LinearOperator, svds


def leading(
    matrix: sp.csr_array | LinearOperator, k: int, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The k largest singular values [k], smallest first, and the right singular vectors [k, m] of a
    matrix [n, m], for k < min(n, m).

    By ARPACK, from the vector start [min(n, m)]. Among many equal singular values, such as those of
    nodes with one link each, ARPACK may give up; then it tries again with more Lanczos vectors.
    """
    vectors: int | None = None  # ARPACK's own choice, about 2 k
    while True:
        try:
            _, values, right = svds(matrix, k, ncv=vectors, v0=start)
            return values, right
        except ArpackError:
            more = min(2 * (vectors or 2 * k), min(matrix.shape) - 1)
            if more <= (vectors or k):
                raise
            vectors = more
