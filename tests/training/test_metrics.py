import math

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch_geometric.metrics import (
    LinkPredCoverage,
    LinkPredF1,
    LinkPredHitRatio,
    LinkPredMAP,
    LinkPredMRR,
    LinkPredNDCG,
    LinkPredPrecision,
    LinkPredRecall,
)

from hinaug.training import metrics

nan = np.nan
# three users, five items: two of three held-out items found at ranks 1 and 3; nothing found;
# nothing held out
RANKED = np.array([[4, 0, 2], [1, 3, -1], [0, 1, 2]])
RELEVANT = sp.csr_array(np.array([[0, 1, 1, 0, 1], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], dtype=bool))


def test_hits():
    assert metrics.hits(RANKED, RELEVANT).tolist() == [
        [True, False, True],
        [False] * 3,
        [False] * 3,
    ]


@pytest.mark.parametrize(
    ("measure", "at_3", "at_1"),
    [
        (metrics.recall, 2 / 3, 1 / 3),
        (metrics.precision, 2 / 3, 1.0),
        (metrics.f1, 2 / 3, 1 / 2),
        (metrics.hit, 1.0, 1.0),
        # gains 1/log2(2) and 1/log2(4); the ideal has ranks 1, 2, 3
        (metrics.ndcg, (1 + 0.5) / (1 + 1 / math.log2(3) + 0.5), 1.0),
        (metrics.average_precision, (1 / 1 + 2 / 3) / 3, 1.0),
        (metrics.reciprocal_rank, 1.0, 1.0),
    ],
)
def test_by_hand(measure, at_3, at_1):
    np.testing.assert_allclose(measure(RANKED, RELEVANT, 3), [at_3, 0, nan])
    np.testing.assert_allclose(measure(RANKED, RELEVANT, 1), [at_1, 0, nan])
    shared = metrics.hits(RANKED, RELEVANT)
    np.testing.assert_array_equal(
        measure(RANKED, RELEVANT, 2, found=shared), measure(RANKED, RELEVANT, 2)
    )
    assert measure(RANKED, RELEVANT, 3).dtype == np.float64


def test_reciprocal_rank_of_a_later_hit():
    relevant = sp.csr_array(np.array([[0, 0, 1, 0, 0]]))
    assert metrics.reciprocal_rank(np.array([[4, -1, 2]]), relevant, 3).tolist() == [
        1 / 3
    ]  # -1 keeps its rank
    assert metrics.reciprocal_rank(np.array([[4, -1, 2]]), relevant, 2).tolist() == [0.0]


def test_more_held_out_than_k():
    relevant, ranked = sp.csr_array(np.ones((1, 5))), np.array([[0, 1]])
    values = {
        m.__name__: m(ranked, relevant, 2)[0]
        for m in (metrics.recall, metrics.ndcg, metrics.average_precision)
    }
    assert values == {"recall": 2 / 5, "ndcg": 1.0, "average_precision": 1.0}


def test_lists_as_a_whole_by_hand():
    assert metrics.coverage(RANKED, 6, 3) == 5 / 6
    assert metrics.coverage(RANKED, 6, 1) == 3 / 6
    # 8 users; item 0 was seen by 4 of them (1 bit), item 1 by 8 (0 bits), items 3 and 4 by none: as
    # 1/2 of 8, 4 bits
    popularity = np.array([4, 8, 1, 0, 0])
    np.testing.assert_allclose(
        metrics.novelty(RANKED, popularity, 8, 3), [(4 + 1 + 3) / 3, (0 + 4) / 2, (1 + 0 + 3) / 3]
    )
    assert np.isnan(metrics.novelty(np.array([[-1, -1]]), popularity, 8, 2)).all()
    # counts 0 0 0 2 2: sum of |c_i - c_j| over all ordered pairs is 24; G = 24 / (2 * 5 * 4)
    assert metrics.gini(np.array([[0, 1], [1, 0]]), 5, 2) == pytest.approx(0.6)
    assert metrics.gini(np.array([[0, 1], [2, 3]]), 4, 2) == pytest.approx(0)
    assert math.isnan(metrics.gini(np.array([[-1]]), 4, 1))


@st.composite
def lists(draw):
    n_users, n_items, length = (
        draw(st.integers(1, 6)),
        draw(st.integers(1, 8)),
        draw(st.integers(1, 6)),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ranked = np.full((n_users, length), -1)
    for row in ranked:  # holes at random ranks
        n = rng.integers(0, min(length, n_items) + 1)
        row[rng.choice(length, n, replace=False)] = rng.choice(n_items, n, replace=False)
    dense = rng.random((n_users, n_items)) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    return ranked, dense, draw(st.integers(1, length))


def naive(ranked, relevant, k):
    rows = []
    for items, held in zip(
        ranked[:, :k].tolist(),
        ([i for i, r in enumerate(row) if r] for row in relevant),
        strict=True,
    ):
        if not held:
            rows.append([nan] * 7)
            continue
        n = sum(i in held for i in items)
        dcg = sum(1 / math.log2(j + 1) for j, i in enumerate(items, 1) if i in held)
        ideal = sum(1 / math.log2(j + 1) for j in range(1, min(k, len(held)) + 1))
        ap = sum(
            sum(h in held for h in items[:j]) / j for j, i in enumerate(items, 1) if i in held
        ) / min(k, len(held))
        rr = max((1 / j for j, i in enumerate(items, 1) if i in held), default=0)
        p, r = n / k, n / len(held)
        rows.append([r, p, 2 * p * r / (p + r) if n else 0, float(n > 0), dcg / ideal, ap, rr])
    return np.array(rows).T


MEASURES = [
    metrics.recall,
    metrics.precision,
    metrics.f1,
    metrics.hit,
    metrics.ndcg,
    metrics.average_precision,
    metrics.reciprocal_rank,
]


@settings(deadline=None, max_examples=150)
@given(lists())
def test_equals_a_loop_over_users(case):
    ranked, relevant, k = case
    expected = naive(ranked, relevant, k)
    sparse = sp.csr_array(relevant.astype(float))
    for measure, row in zip(MEASURES, expected, strict=True):
        value = measure(ranked, sparse, k)
        np.testing.assert_allclose(value, row, err_msg=measure.__name__)
        assert not (value > 1 + 1e-12).any()


@settings(deadline=None, max_examples=40)
@given(lists())
def test_equals_pyg(case):
    ranked, relevant, k = case
    n_items = relevant.shape[1]
    # PyG has no padding: items that nobody asked for stand in, a different one at each rank
    filled = np.where(ranked < 0, n_items + np.arange(ranked.shape[1]), ranked)
    edge_index = torch.from_numpy(np.stack(relevant.nonzero()))
    # PyG 2.8 normalises MAP as here, by min(k, |R|); other releases and papers divide by |R| or k
    pyg = (
        LinkPredRecall,
        LinkPredPrecision,
        LinkPredF1,
        LinkPredHitRatio,
        LinkPredNDCG,
        LinkPredMAP,
        LinkPredMRR,
    )
    for ours, theirs in zip(MEASURES, pyg, strict=True):
        metric = theirs(k)
        metric.update(torch.from_numpy(filled), edge_index)
        value = ours(ranked, sp.csr_array(relevant), k)
        mean = np.nanmean(value) if not np.isnan(value).all() else 0.0
        assert metric.compute().item() == pytest.approx(mean, abs=1e-5), ours.__name__
    full = LinkPredCoverage(k, num_dst_nodes=n_items + ranked.shape[1])
    full.update(torch.from_numpy(filled), edge_index)
    ours_count = round(metrics.coverage(ranked, n_items, k) * n_items)
    padded = np.unique(filled[:, :k][ranked[:, :k] < 0]).size
    assert round(full.compute().item() * (n_items + ranked.shape[1])) == ours_count + padded


def test_explicit_zeros_and_repeated_entries_of_relevant():
    relevant = sp.csr_array(
        (np.array([1.0, 1.0, 0.0]), np.array([2, 2, 0]), np.array([0, 3])), shape=(1, 3)
    )
    assert metrics.recall(np.array([[0, 2]]), relevant, 2).tolist() == [1.0]
    assert relevant.nnz == 3


@pytest.mark.parametrize(
    ("ranked", "k", "message"),
    [
        (RANKED, 4, r"k must lie between 1 and the length of the lists, 3; got 4"),
        (RANKED, 0, r"k must lie between 1"),
        (RANKED[:2], 2, r"ranked has 2 users and relevant has 3"),
        (RANKED[0], 1, r"must be integers \[n_users, K\]"),
        (RANKED * 1.0, 1, r"must be integers"),
        (np.array([[0], [5], [0]]), 1, r"holds item 5, but relevant has only 5 items"),
        (np.array([[0], [-2], [0]]), 1, r"holds -2"),
        (
            np.array([[-1, -1, 0], [3, 1, 3], [0, 1, 2]]),
            2,
            r"list of user 1 holds item 3 more than once",
        ),
    ],
)
def test_bad_lists(ranked, k, message):
    for measure in MEASURES:
        with pytest.raises(ValueError, match=message):
            measure(ranked, RELEVANT, k)


def test_bad_arguments_of_the_others():
    with pytest.raises(ValueError, match="found has shape"):
        metrics.recall(RANKED, RELEVANT, 1, found=np.zeros((3, 2), bool))
    with pytest.raises(ValueError, match="only 3 items"):
        metrics.coverage(RANKED, 3, 3)
    with pytest.raises(ValueError, match="n_items"):
        metrics.gini(RANKED, 0, 3)
    with pytest.raises(ValueError, match="length of the lists"):
        metrics.coverage(RANKED, 5, 4)
    with pytest.raises(ValueError, match=r"in \[0, n_users = 3\]"):
        metrics.novelty(RANKED, np.full(5, 4), 3, 2)
    for bad in ((np.zeros(3), 1), (np.zeros((2, 3)), 0)):
        with pytest.raises(ValueError, match="top_k needs"):
            metrics.top_k(*bad)
    with pytest.raises(ValueError, match="shape of scores"):
        metrics.top_k(np.zeros((2, 3)), 1, sp.csr_array((2, 4)))


def test_no_users():
    ranked, relevant = np.zeros((0, 3), dtype=int), sp.csr_array((0, 4))
    for measure in MEASURES:
        assert measure(ranked, relevant, 3).shape == (0,)
    assert metrics.coverage(ranked, 4, 3) == 0


# --- top_k


def test_top_k_by_hand():
    scores = np.array(
        [[0.5, 2.0, 0.5, nan, -np.inf, 0.5], [nan, -np.inf, nan, nan, 1.0, nan]], dtype=np.float32
    )
    items, values = metrics.top_k(scores, 3)
    assert items.tolist() == [[1, 0, 2], [4, 1, -1]]
    np.testing.assert_array_equal(
        values, np.array([[2, 0.5, 0.5], [1, -np.inf, nan]], dtype=np.float32)
    )
    assert (items.dtype, values.dtype) == (np.int64, np.float32)
    items, _ = metrics.top_k(
        scores, 3, exclude=sp.csr_array(np.array([[1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0]]))
    )
    assert items.tolist() == [[2, 5, 4], [1, -1, -1]]
    items, _ = metrics.top_k(scores, 8)
    assert items.tolist() == [[1, 0, 2, 5, 4, -1, -1, -1], [4, 1, -1, -1, -1, -1, -1, -1]]


def test_top_k_leaves_its_input_alone_and_takes_other_numbers():
    scores, exclude = np.array([[3, 1, 2]]), sp.csr_array(np.array([[1, 0, 0]]))
    items, values = metrics.top_k(scores, 2, exclude)
    assert items.tolist() == [[2, 1]]
    assert values.tolist() == [[2.0, 1.0]]
    assert scores.tolist() == [[3, 1, 2]]
    assert exclude.nnz == 1
    floats = scores.astype(np.float32)
    for in_place in (False, True):
        for writeable in (True, False):
            floats.flags.writeable = writeable
            assert metrics.top_k(floats, 2, exclude, in_place=in_place)[0].tolist() == [[2, 1]]
            np.testing.assert_array_equal(floats, scores)
    half = scores.astype(np.float16)
    assert metrics.top_k(half, 1)[0].tolist() == [[0]]
    assert metrics.top_k(scores[:, ::-1], 1)[0].tolist() == [[2]]  # not contiguous
    for shape in ((0, 4), (2, 0)):
        assert metrics.top_k(np.zeros(shape), 3)[0].tolist() == [[-1] * 3] * shape[0]


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
        items, _ = metrics.top_k(scores, 2, exclude, in_place=in_place)
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
    items, values = metrics.top_k(scores, k, sp.csr_array(drop))
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
        items, _ = metrics.top_k(scores.astype(np.float32), 100)
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
    items, _ = metrics.top_k(scores, int(k), exclude=exclude)
    gone = np.isnan(scores) | (exclude.toarray() != 0)
    for row in range(b):
        there = np.flatnonzero(~gone[row])
        best = there[np.argsort(-scores[row, there], kind="stable")][:k]
        np.testing.assert_array_equal(items[row], best)
