"""Leading singular vectors, also of matrices on which ARPACK gives up at first."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import ArpackError, aslinearoperator, svds

from hinaug.features.svd import leading


def exact(matrix, values, right):
    """The largest singular values, and vectors that belong to them."""
    k = len(values)
    truth = np.linalg.svd(matrix.toarray(), compute_uv=False)[:k]
    assert np.allclose(values[::-1], truth, atol=1e-6)
    assert np.allclose(right @ right.T, np.eye(k), atol=1e-6)
    assert np.allclose(matrix.T @ (matrix @ right.T), right.T * values**2, atol=1e-6)


@pytest.mark.parametrize("form", [lambda a: a, aslinearoperator])
@pytest.mark.parametrize("shape", [(150, 150), (150, 90), (90, 150), (22, 22)])
def test_few_values_each_many_times(shape, form):
    rows = np.repeat(np.arange(150), 2)
    columns = (rows // 6 * 6 + np.tile([0, 3], 150) + rows % 3) % 150
    matrix = sp.csr_array((np.full(300, 0.5), (rows, columns)))[: shape[0], : shape[1]]
    exact(matrix, *leading(form(matrix), 20, np.random.default_rng(0).normal(size=min(shape))))


def test_where_arpack_gives_up_at_first():
    rng = np.random.default_rng(26)
    n, m = int(rng.integers(60, 700)), int(rng.integers(20, 300))
    column = rng.integers(0, m, n)
    values = 1 / np.sqrt(np.bincount(column, minlength=m)[column])
    matrix = sp.csr_array((values, (np.arange(n), column)), shape=(n, m))
    start = np.random.default_rng(0).normal(size=min(n, m))
    with pytest.raises(ArpackError):
        svds(matrix, 16, v0=start)
    exact(matrix, *leading(matrix, 16, start))
