"""top_k: the best items of each row, in the order of a stable sort."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from raising import raises

from hinaug import HIN
from hinaug.training.ranking import tie_order, top_k

nan = np.nan


def test_top_k_by_hand():
    scores = np.array(
        [[0.5, 2.0, 0.5, nan, -np.inf, 0.5], [nan, -np.inf, nan, nan, 1.0, nan]], dtype=np.float32
    )
    items, values = top_k(scores, 3)
    assert items.tolist() == [[1, 0, 2], [4, 1, -1]]
    np.testing.assert_array_equal(
        values, np.array([[2, 0.5, 0.5], [1, -np.inf, nan]], dtype=np.float32)
    )
    assert (items.dtype, values.dtype) == (np.int64, np.float32)
    items, _ = top_k(
        scores, 3, exclude=sp.csr_array(np.array([[1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0]]))
    )
    assert items.tolist() == [[2, 5, 4], [1, -1, -1]]
    items, _ = top_k(scores, 8)
    assert items.tolist() == [[1, 0, 2, 5, 4, -1, -1, -1], [4, 1, -1, -1, -1, -1, -1, -1]]


def test_top_k_leaves_its_input_alone_and_takes_other_numbers():
    scores, exclude = np.array([[3, 1, 2]]), sp.csr_array(np.array([[1, 0, 0]]))
    items, values = top_k(scores, 2, exclude)
    assert items.tolist() == [[2, 1]]
    assert values.tolist() == [[2.0, 1.0]]
    assert scores.tolist() == [[3, 1, 2]]
    assert exclude.nnz == 1
    floats = scores.astype(np.float32)
    for in_place in (False, True):
        for writeable in (True, False):
            floats.flags.writeable = writeable
            assert top_k(floats, 2, exclude, in_place=in_place)[0].tolist() == [[2, 1]]
            np.testing.assert_array_equal(floats, scores)
    half = scores.astype(np.float16)
    assert top_k(half, 1)[0].tolist() == [[0]]
    assert top_k(scores[:, ::-1], 1)[0].tolist() == [[2]]  # not contiguous
    for shape in ((0, 4), (2, 0)):
        assert top_k(np.zeros(shape), 3)[0].tolist() == [[-1] * 3] * shape[0]


@pytest.mark.parametrize("in_place", [False, True])
def test_top_k_of_unusual_arrays(in_place):
    """Rows that share memory, axes that run backwards, a field of records: what one row leaves out
    is its own matter.
    """
    row = np.array([5, 4, 3, 2, 1], np.float32)
    records = np.zeros((3, 5), [("x", "i1"), ("score", "f4")])
    records["score"] = row
    shared = np.lib.stride_tricks.as_strided(row, (3, 5), (0, 4))
    exclude = sp.csr_array(np.eye(3, 5))
    for scores in (
        shared,
        records["score"],
        np.tile(row, (3, 1))[::-1],
        np.tile(row[::-1], (3, 1))[:, ::-1],
    ):
        items, _ = top_k(scores, 2, exclude, in_place=in_place)
        assert items.tolist() == [[1, 2], [0, 2], [0, 1]]
        np.testing.assert_array_equal(scores, np.tile(row, (3, 1)))


@settings(deadline=None, max_examples=300)
@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
        # few values, so that most rows are tied across the cut
        elements=st.sampled_from([0.0, -0.0, 1.0, 2.0, -1.0, nan, -np.inf, np.inf]),
    ),
    st.integers(1, 15),
    st.sampled_from([0.0, 0.3, 1.0]),
)
def test_top_k_equals_a_stable_sort(scores, k, share):
    drop = np.random.default_rng(0).random(scores.shape) < share
    items, values = top_k(scores, k, sp.csr_array(drop))
    for row, out, gone, got in zip(scores, items, drop, values, strict=True):
        allowed = [i for i in range(len(row)) if not (gone[i] or math.isnan(row[i]))]
        expected = sorted(allowed, key=lambda i: -row[i])[:k]  # sorted is stable
        assert out.tolist() == expected + [-1] * (k - len(expected))
        np.testing.assert_array_equal(got, np.append(row[expected], [nan] * (k - len(expected))))


def test_top_k_of_larger_rows_with_ties():
    rng = np.random.default_rng(0)
    for scores in (
        rng.random((50, 3000)),
        rng.integers(0, 30, (50, 3000)) / 7.0,
        np.zeros((5, 3000)),
    ):
        items, _ = top_k(scores.astype(np.float32), 100)
        np.testing.assert_array_equal(
            items, np.argsort(-scores.astype(np.float32), axis=1, kind="stable")[:, :100]
        )


@pytest.mark.parametrize("seed", range(12))
def test_wide_rows_equal_a_stable_sort(seed):
    """Rows of thousands are searched by groups: ties, gaps and the last items, which fill no group,
    must not get lost.
    """
    rng = np.random.default_rng(seed)
    b, n, k = rng.integers(1, 6), rng.integers(1500, 7000), rng.integers(1, 6)
    scores = rng.normal(size=(b, n)).astype(np.float32)
    if seed % 2:
        scores = np.round(scores, 1)
    blind = rng.random((b, 1)) < 0.5  # rows with gaps beside rows without
    scores[blind & (rng.random(scores.shape) < 0.2)] = np.nan
    scores[:, -1] = 9.0
    exclude = sp.random_array((b, n), density=0.2, format="csr", rng=seed)
    items, _ = top_k(scores, int(k), exclude=exclude)
    gone = np.isnan(scores) | (exclude.toarray() != 0)
    for row in range(b):
        there = np.flatnonzero(~gone[row])
        best = there[np.argsort(-scores[row, there], kind="stable")][:k]
        np.testing.assert_array_equal(items[row], best)


def test_bad_arguments():
    for bad in ((np.zeros(3), 1), (np.zeros((2, 3)), 0)):
        with raises(ValueError, names="top_k"):
            top_k(*bad)
    with raises(ValueError, asked=(2, 4)):
        top_k(np.zeros((2, 3)), 1, sp.csr_array((2, 4)))


@settings(deadline=None, max_examples=200)
@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements=st.sampled_from([0.0, 1.0, 2.0, nan, -np.inf]),
    ),
    st.integers(1, 14),
    st.randoms(use_true_random=False),
)
def test_equal_scores_come_in_the_order_asked_for(scores, k, random):
    ties = np.arange(scores.shape[1])
    random.shuffle(ties)
    items, values = top_k(scores, k, ties=ties)
    for row, found, value in zip(scores, items, values, strict=True):
        able = [j for j in range(len(row)) if not math.isnan(row[j])]
        best = sorted(able, key=lambda j: (-row[j], ties[j]))[:k]
        assert found.tolist() == best + [-1] * (k - len(best))
        np.testing.assert_array_equal(value[: len(best)], row[best])


def test_the_order_among_equals_follows_from_ids_alone():
    ids = [f"movie {i}" for i in range(2000)]
    hin, back = (HIN.from_tables({"m": {"id": list(x)}}, {}) for x in (ids, reversed(ids)))
    place = tie_order(hin, "m")
    assert sorted(place) == list(range(2000))
    np.testing.assert_array_equal(tie_order(back, "m")[::-1], place)
    assert abs(np.corrcoef(place, np.arange(2000))[0, 1]) < 0.1
