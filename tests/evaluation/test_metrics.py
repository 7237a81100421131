import math

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from raising import raises
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

from hinaug.errors import ParameterError
from hinaug.evaluation import metrics

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
    ("ranked", "k", "named"),
    [
        (RANKED, 4, "lists, 3; got 4"),
        (RANKED, 0, "got 0"),
        (RANKED[:2], 2, "2 users and relevant has 3"),
        (RANKED[0], 1, "[n_users, K]"),
        (RANKED * 1.0, 1, "float64"),
        (np.array([[0], [5], [0]]), 1, "item 5, but relevant has only 5 items"),
        (np.array([[0], [-2], [0]]), 1, "-2"),
        (
            np.array([[-1, -1, 0], [3, 1, 3], [0, 1, 2]]),
            2,
            "user 1 holds item 3",
        ),
    ],
)
def test_bad_lists(ranked, k, named):
    for measure in MEASURES:
        with raises(ParameterError, names=named):
            measure(ranked, RELEVANT, k)


def test_bad_arguments_of_the_others():
    with raises(ValueError, names="found"):
        metrics.recall(RANKED, RELEVANT, 1, found=np.zeros((3, 2), bool))
    with raises(ValueError, names="3"):
        metrics.coverage(RANKED, 3, 3)
    with raises(ValueError, names="n_items"):
        metrics.gini(RANKED, 0, 3)
    with raises(ValueError, names="k"):
        metrics.coverage(RANKED, 5, 4)
    with raises(ValueError, names="n_users"):
        metrics.novelty(RANKED, np.full(5, 4), 3, 2)


def test_no_users():
    ranked, relevant = np.zeros((0, 3), dtype=int), sp.csr_array((0, 4))
    for measure in MEASURES:
        assert measure(ranked, relevant, 3).shape == (0,)
    assert metrics.coverage(ranked, 4, 3) == 0
