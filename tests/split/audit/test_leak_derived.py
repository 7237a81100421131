"""Edges computed from behaviour: nearest neighbours, co-ratings, preferences; from the source, and
from train.
"""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from leak_worlds import (
    RATES,
    clean_split,
    linked,
    named,
    on_train,
    quiet,
    split_of,
    toy,
    undecided,
    world,
)

from hinaug.split.audit import audit

SCORES = ["count", "cosine", "jaccard", "lift"]


def shared(hin, end, score="count"):
    """A score of what two users, or two items, share [n, n]; nothing with itself."""
    m = hin.adjacency(RATES).toarray().astype(float)
    m = m if end == "user" else m.T
    count, degree = m @ m.T, m.sum(axis=1)
    both = np.maximum(np.outer(degree, degree), 1)
    out = {
        "count": count,
        "cosine": count / np.sqrt(both),
        "jaccard": count / np.maximum(degree[:, None] + degree - count, 1),
        "lift": np.log(np.maximum(count * m.shape[1] / both, 1e-9)),
    }[score]
    out[count == 0] = 0
    np.fill_diagonal(out, 0)
    return out


def nearest(score, k=5):
    best = np.argsort(-score, axis=1, kind="stable")[:, :k]
    return [(a, b) for a in range(len(score)) for b in best[a] if score[a, b] > 0]


def joined(hin, end, rows, weight=None, lineage="row", name="like", to=None):
    a, b = hin.ids(end), hin.ids(to or end)
    columns = {} if weight is None else {"weight": [weight[r] for r in rows]}
    src, dst = (
        a.take(pa.array([r for r, _ in rows])).to_pylist(),
        b.take(pa.array([r for _, r in rows])).to_pylist(),
    )
    return linked(hin, (end, name, to or end), src, dst, lineage, **columns)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("end", ["user", "item"])
def test_nearest_neighbours_computed_before_the_split(end, score):
    hin = world()
    value = shared(hin, end, score)
    rows = nearest(value)
    both_ways = sorted({*rows, *((b, a) for a, b in rows)})
    order = np.argsort(-value, axis=None, kind="stable")[: 4 * len(value)]
    top = [divmod(int(k), len(value)) for k in order]
    made = joined(hin, end, rows, name="nearest")
    made = joined(made, end, rows, value, name="weighted")
    made = joined(made, end, both_ways, name="mutual")
    split = split_of(joined(made, end, top, name="top"))
    found = {f.where for f in audit(split).leaks if f.kind == "derived edges"}
    assert found >= {f"{end} {name} {end}" for name in ("nearest", "weighted", "mutual", "top")}


@pytest.mark.parametrize("end", ["user", "item"])
def test_all_that_share_something(end):
    hin = world()
    for least in (1, 2):
        rows = [
            (a, b) for a, b in zip(*np.nonzero(np.triu(shared(hin, end)) >= least), strict=True)
        ]
        named(split_of(joined(hin, end, rows)), f"{end} like {end}", "derived edges")


@pytest.mark.parametrize("end", ["user", "item"])
def test_only_what_held_out_pairs_join(end):
    split = clean_split()
    rows = list(
        zip(
            *np.nonzero((shared(split.source, end) > 0) & (shared(split.train, end) == 0)),
            strict=True,
        )
    )
    leak = named(
        on_train(split, lambda g: joined(g, end, rows)), f"{end} like {end}", "derived edges"
    )
    assert "only, through held-out pairs" in leak.why


def test_computed_from_train_and_valid_together():
    split = clean_split()
    value = shared(split.train_valid, "item", "cosine")
    changed = on_train(split, lambda g: joined(g, "item", nearest(value), value))
    assert "train and valid together" in named(changed, "item like item", "derived edges").why


def test_preferences_for_tags():
    hin = world()
    value = hin.adjacency(RATES).toarray() @ hin.adjacency(("item", "has", "tag")).toarray()
    every = list(zip(*np.nonzero(value), strict=True))
    top = [(u, t) for u in range(len(value)) for t in np.argsort(-value[u], kind="stable")[:3]]
    made = joined(hin, "user", every, name="meets", to="tag")
    made = joined(made, "user", every, value, name="counts", to="tag")
    split = split_of(joined(made, "user", top, name="likes", to="tag"))
    for name in ("meets", "counts", "likes"):
        named(split, f"user {name} tag", "derived edges")


def test_declared_derived_and_carried_over():
    hin = world()
    rng = np.random.default_rng(0)
    rows = [(int(a), int(b)) for a, b in rng.integers(0, 40, (80, 2))]
    split = split_of(joined(hin, "item", rows, lineage="aggregate"))
    assert "before the split" in named(split, "item like item", "derived edges").why


def test_predictions_computed_before_the_split_leak_though_held_out_pairs_left_them():
    hin = world()
    score = hin.adjacency(RATES).toarray() @ shared(hin, "item", "cosine")
    rows = [(u, i) for u in range(len(score)) for i in np.argsort(-score[u], kind="stable")[:4]]
    split = split_of(joined(hin, "user", rows, lineage="aggregate", name="may like", to="item"))
    assert "before the split" in named(split, "user may like item", "derived edges").why


def test_edges_of_unknown_lineage_are_unknown():
    rng = np.random.default_rng(0)
    rows = [(int(a), int(b)) for a, b in rng.integers(0, 40, (80, 2))]
    undecided(
        split_of(joined(world(), "item", rows, lineage=None, name="also bought")),
        "item also bought item",
    )
    likes = [(int(u), int(i)) for u, i in rng.integers(0, 40, (80, 2))]
    undecided(
        split_of(joined(world(), "user", likes, lineage=None, name="viewed", to="item")),
        "user viewed item",
    )
    clusters = [(u, int(c)) for u, c in enumerate(rng.integers(0, world().n("tag"), 60))]
    undecided(
        split_of(joined(world(), "user", clusters, lineage=None, name="in", to="tag")),
        "user in tag",
    )


@pytest.mark.parametrize("end", ["user", "item"])
def test_computed_from_train_they_are_clean(end):
    split = clean_split()

    def change(g):
        for score in SCORES:
            value = shared(g, end, score)
            g = joined(g, end, nearest(value), value, name=score)
        return joined(
            g, end, nearest(shared(g, end, "cosine")), lineage="aggregate", name="declared"
        )

    quiet(
        dataclasses.replace(split, train=change(split.train), train_valid=change(split.train_valid))
    )


def test_recomputed_with_as_many_edges_as_before_is_not_carried_over():
    split = split_of(
        joined(world(), "item", nearest(shared(world(), "item", "cosine")), lineage="aggregate")
    )
    edge = ("item", "like", "item")

    def again(g):
        return joined(
            g.drop(edge), "item", nearest(shared(g, "item", "cosine")), lineage="aggregate"
        )

    named(split, "item like item", "derived edges")
    quiet(
        dataclasses.replace(split, train=again(split.train), train_valid=again(split.train_valid))
    )


def test_derived_from_train_but_declared_so_that_none_can_check():
    split = clean_split()
    rng = np.random.default_rng(0)
    rows = [(int(a), int(b)) for a, b in rng.integers(0, 40, (80, 2))]
    undecided(
        on_train(split, lambda g: joined(g, "item", rows, lineage="aggregate")), "item like item"
    )


def test_in_a_toy_a_few_edges_may_be_chance():
    hin = toy()
    rows = nearest(shared(hin, "item"), 1)
    undecided(split_of(joined(hin, "item", rows)), "item like item")
    undecided(split_of(joined(hin, "item", rows, shared(hin, "item", "cosine"))), "item like item")


def test_similar_by_text_is_no_leak():
    hin = world()
    x = hin.vectors("item")
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    value = x @ x.T
    np.fill_diagonal(value, 0)
    found = audit(split_of(joined(hin, "item", nearest(value), value)))
    assert not found.leaks, found
