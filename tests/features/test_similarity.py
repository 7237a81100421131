"""The k most similar rows against loops, with equal values in the order of position."""

import numpy as np
import pytest
import scipy.sparse as sp

from hinaug.features import similarity as neighbours


def test_most_similar_equals_a_loop_over_several_blocks(monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK_PRODUCTS", 40)
    rng = np.random.default_rng(0)
    x = (rng.random((30, 12)) < 0.3).astype(np.float32)
    asked, own = np.array([4, 0, 29, 7]), np.array([4, -1, 29, 7])
    found = neighbours.most_similar(sp.csr_array(x[asked]), sp.csr_array(x), 3, 1.5, own)
    length = np.sqrt((x**2).sum(axis=1)).astype(np.float32)
    for row, (query, self_at) in enumerate(zip(asked, own, strict=True)):
        s = (x @ x[query]) / (length * length[query] + np.float32(1.5))
        s[self_at] = 0 if self_at >= 0 else s[self_at]
        best = np.argsort(-s, kind="stable")[:3]
        expected = np.zeros(30)
        expected[best] = s[best]
        np.testing.assert_allclose(found.toarray()[row], expected, atol=1e-6)


def test_pathsim_of_half_paths_equals_that_of_the_whole():
    rng = np.random.default_rng(0)
    half = sp.csr_array(rng.integers(0, 3, (15, 7)).astype(np.float32))
    whole = (half @ half.T).toarray()
    own = whole.diagonal()
    expected = 2 * whole / (own[:, None] + own)
    np.fill_diagonal(expected, 0)
    found = neighbours.most_similar(half, half, 15, own=np.arange(15), pathsim=True)
    np.testing.assert_allclose(found.toarray(), expected, atol=1e-6)


def test_neighbours_among_some_rows_only():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 4)).astype(np.float32)
    among = np.arange(12) % 3 > 0
    near = neighbours.nearest_rows(x, 3, among).toarray()
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosine = np.where(among, unit @ unit.T, -1)
    np.fill_diagonal(cosine, -1)
    kth = np.sort(cosine, axis=1)[:, -3, None]
    expected = np.where((cosine >= kth) & (cosine > 0), cosine, 0)
    np.testing.assert_allclose(near, expected, atol=1e-6)


def test_most_similar_of_rows_of_zeros_is_nothing():
    x = sp.csr_array(np.zeros((2, 3), np.float32))
    assert neighbours.most_similar(x, x, 2).nnz == 0
    assert neighbours.most_similar(x[:0], x, 2).shape == (0, 2)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("block", [3, 1024])
def test_cosine_neighbours_equal_a_loop(sparse, block, monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", block)
    rng = np.random.default_rng(0)
    x = (rng.random((20, 6)) < 0.4) * rng.integers(1, 3, (20, 6)).astype(float)
    rows = np.array([0, 5, 19, 5, 7])
    found = neighbours.cosine_neighbours(sp.csr_array(x) if sparse else x, rows, 4)
    unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    for i, row in enumerate(rows):
        cosine = unit @ unit[row]
        cosine[row] = -np.inf
        np.testing.assert_allclose(found[1][i], np.sort(cosine)[::-1][:4], atol=1e-6)
        np.testing.assert_allclose(cosine[found[0][i]], found[1][i], atol=1e-6)
    assert neighbours.cosine_neighbours(x[:1], np.array([0]), 4)[0].shape == (1, 0)


@pytest.mark.parametrize("k", [1, 3, 40])
@pytest.mark.parametrize("distinct", [2, 5, 1000])
def test_the_largest_of_dense_and_sparse_rows_equal_a_stable_sort(k, distinct):
    rng = np.random.default_rng(k)
    block = rng.integers(0, distinct, (25, 40)).astype(np.float32)
    order = np.argsort(-block, axis=1, kind="stable")[:, :k]
    position, value = neighbours.largest_of_rows(block, k)
    np.testing.assert_array_equal(position, order)
    np.testing.assert_array_equal(value, np.take_along_axis(block, order, axis=1))
    expected = np.zeros_like(block)
    np.put_along_axis(expected, order, value, axis=1)
    for dtype in (np.float32, np.float64):
        best = neighbours.best_of_rows(sp.csr_array(block.astype(dtype)), k)
        np.testing.assert_array_equal(best.toarray(), expected)


def test_best_of_rows_breaks_ties_by_position_and_leaves_out_what_is_not_positive():
    rows = sp.csr_array(np.array([[1, 3, 3, 2], [0, -1, 0.5, 0], [0, 0, 0, 0]], np.float32))
    best = neighbours.best_of_rows(rows, 2).toarray()
    np.testing.assert_array_equal(best, [[0, 3, 3, 0], [0, 0, 0.5, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(neighbours.best_of_rows(rows, 1).toarray()[0], [0, 3, 0, 0])


@pytest.mark.parametrize("most", [1, 40, 10**6])
def test_stretches_cover_all_rows_with_bounded_work(most, monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK_PRODUCTS", most)
    x = sp.random_array((50, 30), density=0.1, rng=np.random.default_rng(0), format="csr")
    parts = list(neighbours.stretches(x, x.T.tocsr()))
    assert [a for a, _ in parts] == [0, *(b for _, b in parts)][:-1]
    assert parts[-1][1] == 50
    work = x.astype(bool).astype(int) @ np.diff(x.T.tocsr().indptr)
    assert all(work[a:b].sum() <= most or b == a + 1 for a, b in parts)
