"""KernelRidge without l2: the choice against fits without the items, and where it ends."""

import numpy as np
import pytest
import scipy.sparse as sp

from hinaug.datasets import planted
from hinaug.graph.hin import HIN
from hinaug.predictors import KernelRidge, kernel_ridge
from hinaug.testing import check_predictor
from hinaug.training import ranking

RATES = ("user", "rates", "item")


def given(noise, seed=0, n_users=60, n_items=50):
    """A kernel of the items' points, and links that follow them as far as `noise` lets them."""
    rng = np.random.default_rng(seed)
    item, user = rng.normal(size=(n_items, 2)), rng.normal(size=(n_users, 2))
    likes = user @ item.T + noise * rng.normal(size=(n_users, n_items))
    kernel = np.exp(-np.square(item[:, None] - item).sum(axis=2) / 2)
    return kernel.astype(np.float32), sp.csr_array((likes > 1).astype(np.float32)), item


def test_the_measure_is_that_of_fits_without_the_items():
    kernel, links, _ = given(0.5)
    _, curve = kernel_ridge.best_ridge(kernel, links)
    order = np.random.default_rng(0).permutation(50)
    able = links[np.diff(links[:, order].indptr) > 1].toarray()
    centred = able - able.mean(axis=1, keepdims=True)
    for l2, measure in curve[[0, 4, -1]]:
        found = []
        for part in np.array_split(order, 10):
            rest = np.setdiff1d(order, part)
            dual = np.linalg.solve(
                kernel[np.ix_(rest, rest)] + l2 * np.eye(len(rest)), centred[:, rest].T
            )
            ranked, _ = ranking.top_k(dual.T @ kernel[np.ix_(rest, part)], 20)
            found.append(ranking.ndcg(ranked, sp.csr_array(able[:, part]), 20))
        assert measure == pytest.approx(np.nanmean(found), abs=2e-3)


def test_the_noisier_the_links_the_larger_the_ridge():
    calm, wild = (kernel_ridge.best_ridge(*given(noise)[:2])[0] for noise in (0.0, 3.0))
    assert calm < 0.5
    assert wild > 3


def test_both_ends_of_what_is_tried_are_natural():
    kernel, links, _ = given(0.5)
    largest = float(np.linalg.eigvalsh(kernel)[-1])
    tried = kernel_ridge.ridges(largest)
    assert tried[0] == kernel_ridge.LOWEST
    assert 10 * largest <= tried[-1] < 10 * largest * np.sqrt(10)
    np.testing.assert_allclose(tried[1:] / tried[:-1], np.sqrt(10))
    # above, the order of the scores changes no more
    centred = links.toarray() - links.toarray().mean(axis=1, keepdims=True)
    orders = [
        np.argsort(-centred @ np.linalg.solve(kernel + l2 * np.eye(50), kernel), axis=1)[:, :5]
        for l2 in (tried[-1], 1000 * tried[-1])
    ]
    assert (orders[0] == orders[1]).mean() > 0.9


def test_the_choice_stays_and_chance_has_no_part_in_it():
    hin = planted(n_users=80, n_items=60, rng=0)
    model = KernelRidge(RATES).fit(hin, rng=0)
    assert KernelRidge(RATES).fit(hin, rng=1).l2_ == model.l2_
    assert model.l2_ in model.curve_[:, 0]
    fixed = KernelRidge(RATES, l2=model.l2_).fit(hin)
    np.testing.assert_array_equal(model.score(hin, [0]), fixed.score(hin, [0]))
    chosen = model.l2_
    few = hin.filter_edges(RATES, np.random.default_rng(0).random(hin.n(RATES)) < 0.2)
    assert model.refit(few).l2_ == chosen


def test_a_sample_stands_for_many(monkeypatch):
    monkeypatch.setattr(kernel_ridge, "MOST_ITEMS", 40)
    monkeypatch.setattr(kernel_ridge, "MOST_SOURCES", 30)
    kernel, links, _ = given(0.5)
    l2, curve = kernel_ridge.best_ridge(kernel, links)
    assert l2 in curve[:, 0]


@pytest.mark.parametrize("n_links", [0, 1])
def test_too_few_links_choose_nothing(n_links):
    hin = HIN.from_tables(
        {"user": {"id": ["a"]}, "item": {"id": ["p", "q"], "x": np.eye(2)}},
        {RATES: {"src": ["a"][:n_links], "dst": ["p"][:n_links]}},
    )
    model = KernelRidge(RATES).fit(hin)
    assert model.l2_ == kernel_ridge.UNTOLD
    assert len(model.curve_) == 0


def test_neighbours_and_lists_of_columns_are_features_too():
    hin = planted(n_users=40, n_items=30, rng=0)
    genre = np.arange(30) % 3
    hin = hin.with_nodes("genre", {"id": list("ghk")}).with_edges(
        ("item", "in", "genre"), {"src": hin.ids("item"), "dst": [list("ghk")[g] for g in genre]}
    )
    model = KernelRidge(RATES, ["x", ("genre",)], l2=1.0).fit(hin)
    plain = KernelRidge(RATES, "x", l2=1.0).fit(hin)
    # another block: distances are half those of x and half those of the genres, 0 or 2
    apart = np.exp(-(genre[:, None] != genre).astype(float))
    both = model._kernel(model.rows_)
    np.testing.assert_allclose(both, np.sqrt(plain._kernel(plain.rows_)) * apart, atol=1e-4)
    check_predictor(model, hin)
