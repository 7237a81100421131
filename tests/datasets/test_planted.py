"""The planted world: what was planted is there, and is gone when shuffled."""

import numpy as np
import pytest
from raising import raises

from hinaug.datasets import bag_of_words, planted
from hinaug.datasets.planted import ABOUT, HAS, RATES, WROTE


def _within(hin, truth):
    src, dst = hin.links(RATES)
    return (truth["user_topic"][src] == truth["item_topic"][dst]).mean()


def test_schema_and_sizes():
    hin = planted(50, 40, 4, rng=3)
    assert (hin.n("user"), hin.n("item")) == (50, 40)
    assert hin.n("review") == hin.n(RATES) == hin.n(WROTE) == hin.n(ABOUT)
    assert all(c.lineage == "row" for cols in hin.schema.nodes.values() for c in cols.values())
    assert hin.vectors("review").shape == (hin.n("review"), 32)
    assert not {"user_topic", "item_topic", "topic"} & {
        c for t in hin.nodes for c in hin.nodes[t].column_names
    }
    # the review joins the pair that was rated
    wrote, about = hin.links(WROTE), hin.links(ABOUT)
    np.testing.assert_array_equal(wrote[0], hin.links(RATES)[0])
    np.testing.assert_array_equal(about[1], hin.links(RATES)[1])


def test_same_seed_same_world_and_another_seed_another():
    assert (
        planted(rng=1).fingerprint() == planted(rng=1).fingerprint() != planted(rng=2).fingerprint()
    )


def test_shuffle_keeps_degrees_and_removes_the_signal():
    hin, truth = planted(rng=0, return_truth=True)
    control, same = planted(rng=0, shuffle=True, return_truth=True)
    np.testing.assert_array_equal(truth["user_topic"], same["user_topic"])
    for side in (0, 1):
        a, b = (np.bincount(g.links(RATES)[side]) for g in (hin, control))
        np.testing.assert_array_equal(a, b)
    assert control.adjacency(RATES).nnz == control.n(RATES)  # no pair twice
    assert _within(hin, truth) > 0.75
    assert abs(_within(control, truth) - 0.25) < 0.05


@pytest.mark.parametrize(("shuffle", "gains"), [(False, True), (True, False)])
def test_the_attribute_tells_thin_users_topics_unless_shuffled(shuffle, gains):
    """Rank items by what users of the same job picked: far better than popularity for thin users,
    or no better.
    """
    hits = np.zeros(2)
    for seed in range(4):
        hin = planted(rng=seed, shuffle=shuffle)
        a = hin.adjacency(RATES).toarray()
        job = np.array(hin.column("user", "job").to_pylist())
        for u in np.flatnonzero(a.sum(1) == 3):
            for k, score in enumerate((a.sum(0) - a[u], a[job == job[u]].sum(0) - a[u])):
                hits[k] += a[u, np.argsort(-score, kind="stable")[:20]].sum()
    assert (hits[1] > 1.5 * hits[0]) == gains


def test_text_tells_the_topic_of_items():
    hin, truth = planted(return_truth=True)
    x, topic = hin.vectors("item"), truth["item_topic"]
    sim = x @ x.T
    np.fill_diagonal(sim, -np.inf)
    assert (topic[sim.argmax(1)] == topic).mean() > 0.9


def test_missing_tags_and_bag_of_words():
    hin = planted(100, 30, 3, missing=0.3, tags=True, dim=0)
    assert 10 < hin.nodes["user"]["job"].null_count < 60
    assert hin.n(HAS) > hin.n("item")
    assert "x" not in hin.nodes["item"].column_names
    x = bag_of_words(["a b", None, " ", "b a"], 4)
    np.testing.assert_allclose(x[0], x[3], rtol=1e-6)
    assert np.isnan(x[1:3]).all()
    with raises(ValueError, asked=9):
        planted(5, 4, 9)
