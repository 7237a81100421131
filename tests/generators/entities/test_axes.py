"""Leading axes of links: of any matrix, and the same from one place in memory as from another."""

import numpy as np
import pytest
import scipy.sparse as sp

from hinaug.datasets import planted_mixed
from hinaug.generators import SecondMoment
from hinaug.generators.entities.axes import leading_axes
from hinaug.io import load, save


def one_link_each(seed):
    """Nodes with one link each, by the popularity of its target: all singular values are equal."""
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(60, 700)), int(rng.integers(20, 300))
    column = rng.integers(0, m, n)
    count = np.bincount(column, minlength=m)
    values = 1 / np.sqrt(count[column])
    return sp.csr_array((values, (np.arange(n), column)), shape=(n, m))


@pytest.mark.parametrize("seed", range(20, 60))
def test_equal_singular_values(seed):
    links = one_link_each(seed)
    values, axes = leading_axes(links, 16, seed=0)
    assert np.allclose(values, 1)
    assert np.allclose(axes.T @ axes, np.eye(axes.shape[1]), atol=1e-6)
    assert np.allclose(links.T @ (links @ axes), axes, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (5, 1), (1, 5), (4, 4)])
def test_small_and_empty_matrices(shape):
    values, axes = leading_axes(sp.csr_array(shape), 3, seed=0)
    assert axes.shape == (shape[1], len(values))
    values, axes = leading_axes(sp.csr_array(np.ones(shape)), 3, seed=0)
    assert axes.shape[0] == shape[1]


def test_a_loaded_generator_gives_the_same_to_the_last_digit(tmp_path):
    hin = planted_mixed(300, 90, 10, rng=0)
    fitted = SecondMoment("user").fit(hin, rng=0)
    save(fitted, tmp_path / "fitted")
    made, again = (g.generate(hin, 200, rng=0) for g in (fitted, load(tmp_path / "fitted")))
    for table in ("nodes", "edges"):
        for name, rows in getattr(made, table).items():
            assert rows.equals(getattr(again, table)[name])
