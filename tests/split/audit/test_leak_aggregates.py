"""Columns computed over held-out rows, on nodes, on their edges and on their neighbours; and those
computed from train.
"""

import dataclasses

import numpy as np
import pytest
from leak_worlds import (
    RATES,
    clean_split,
    held,
    ids,
    named,
    on_train,
    pairs,
    quiet,
    split_of,
    told,
    toy,
    undecided,
    world,
)

from hinaug.graph.hin import HIN
from hinaug.split.audit import audit
from hinaug.split.cold import cold_items
from hinaug.split.last import leave_last
from hinaug.split.random import random_split
from hinaug.split.temporal import temporal_split

SIDE = {"user": 0, "item": 1}
NUMBERS = {
    "mean": lambda r, t: r.mean(),
    "count": lambda r, t: len(r),
    "log": lambda r, t: np.log1p(len(r)),
    "inverse": lambda r, t: 1 / np.sqrt(len(r)),
    "last time": lambda r, t: t.max(),
    "span": lambda r, t: t.max() - t.min(),
    "median": lambda r, t: np.median(r),
    "deviation": lambda r, t: r.std(),
    "drawn to 3": lambda r, t: (r.sum() + 3 * 5) / (len(r) + 5),
    "share of fives": lambda r, t: (r == 5).mean(),
    "likes": lambda r, t: (r >= 4).sum(),
    "rounded mean": lambda r, t: round(r.mean(), 1),
    "last rating": lambda r, t: r[t.argmax()],
}


def per_node(hin, end, f):
    at = hin.links(RATES)[SIDE[end]]
    r, t = hin.vectors(RATES, "rating")[:, 0], hin.column(RATES, "time").to_numpy().astype(float)
    out = [f(r[at == k], t[at == k]) if (at == k).any() else np.nan for k in range(hin.n(end))]
    return np.array(out, np.float64)


def over_all(counts):
    """A count made into other columns by what the whole graph says."""
    order = np.argsort(-counts, kind="stable")
    rank = np.empty(len(counts))
    rank[order] = np.arange(len(counts))
    return {
        "z-score": (counts - counts.mean()) / counts.std(),
        "share": counts / counts.sum(),
        "of the largest": counts / counts.max(),
        "rank": rank,
    }


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("end", ["user", "item"])
def test_a_number_computed_before_the_split_and_declared_row(end, name):
    hin = world()
    split = split_of(hin.with_column(end, "x", per_node(hin, end, NUMBERS[name]), "row"))
    assert "held-out rows included" in named(split, f"{end}.x", "aggregate").why


@pytest.mark.parametrize("end", ["user", "item"])
def test_counts_scaled_and_ranked(end):
    hin = world()
    scaled = over_all(np.nan_to_num(per_node(hin, end, NUMBERS["count"])))
    for name, values in scaled.items():
        hin = hin.with_column(end, name, values, "row")
    split = split_of(hin)
    for name in scaled:
        named(split, f"{end}.{name}", "aggregate")


@pytest.mark.parametrize("end", ["user", "item"])
def test_copied_onto_edges_or_taken_from_the_ratings_there(end):
    hin = world()
    at, rating = hin.links(RATES)[SIDE[end]], hin.vectors(RATES, "rating")[:, 0]
    mean, spread = per_node(hin, end, NUMBERS["mean"]), per_node(hin, end, NUMBERS["deviation"])
    spread[~(spread > 0)] = 1
    columns = {
        "mean": mean[at],
        "count": per_node(hin, end, NUMBERS["count"])[at],
        "centred": rating - mean[at],
        "standard": (rating - mean[at]) / spread[at],
    }
    for name, values in columns.items():
        hin = hin.with_column(RATES, name, values, "row")
    split = split_of(hin)
    for name in columns:
        named(split, f"user rates item.{name}", "aggregate")


def test_on_reviews_and_on_tags():
    hin = world(reviews=True)
    mean = per_node(hin, "user", NUMBERS["mean"])
    hin = hin.with_column("review", "habit", mean[hin.links(RATES)[0]], "row")
    has = hin.adjacency(("item", "has", "tag")).toarray()[hin.links(RATES)[1]]
    hin = hin.with_column("tag", "heat", has.sum(axis=0), "row")
    hin = hin.with_column(
        "tag", "liking", (has * hin.vectors(RATES, "rating")).sum(axis=0) / has.sum(axis=0), "row"
    )
    split = split_of(hin)
    for where in ("review.habit", "tag.heat", "tag.liking"):
        named(split, where, "aggregate")


@pytest.mark.parametrize("end", ["user", "item"])
def test_over_validation_or_held_out_rows_alone_and_marks(end):
    split = clean_split()
    out = set(held(split))
    rows = np.array([p in out for p in pairs(split.source)])
    mark = np.isin(ids(split.source, end), [p[SIDE[end]] for p in out])
    columns = {
        "tv": per_node(split.train_valid, end, NUMBERS["mean"]),
        "ho": per_node(split.source.filter_edges(RATES, rows), end, NUMBERS["mean"]),
        "mark": mark,
        "part": np.where(mark, "b", "a"),
    }

    def change(g):
        for name, values in columns.items():
            g = g.with_column(end, name, values, "row")
        return g

    changed = on_train(split, change)
    assert "validation rows included" in named(changed, f"{end}.tv", "aggregate").why
    named(changed, f"{end}.ho", "aggregate")
    if 0 < mark.sum() < len(mark):
        told(changed, f"{end}.mark")
        told(changed, f"{end}.part")


def test_declared_an_aggregate_and_carried_over():
    hin = world()
    noise = np.random.default_rng(0).random(hin.n("item"))
    split = split_of(hin.with_column("item", "score", noise, "aggregate"))
    assert "before the split" in named(split, "item.score", "aggregate").why
    edges = np.random.default_rng(0).random(hin.n(RATES))
    named(
        split_of(hin.with_column(RATES, "score", edges, "aggregate")),
        "user rates item.score",
        "aggregate",
    )


def test_unknown_lineage_is_unknown():
    hin = world()
    rng = np.random.default_rng(0)
    hin = hin.with_column("user", "embedding", rng.random((hin.n("user"), 12)))
    hin = hin.with_column("item", "plot", ["some words"] * hin.n("item")).with_column(
        RATES, "note", rng.random(hin.n(RATES))
    )
    found = audit(split_of(hin))
    assert not found.leaks
    assert not found.clean
    for where in ("user: embedding", "item: plot", "user rates item: note"):
        assert any(f.where == where for f in found.unknown)


# ---- vectors -------------------------------------------------------------------------------------

VECTORS = {
    "mean": lambda x: x.mean(axis=0),
    "sum": lambda x: x.sum(axis=0),
    "unit": lambda x: x.mean(axis=0) / np.linalg.norm(x.mean(axis=0)),
    "maximum": lambda x: x.max(axis=0),
}


def pooled(hin, end, x, f):
    at = hin.links(RATES)[SIDE[end]]
    return np.stack(
        [f(x[at == k]) if (at == k).any() else np.zeros(x.shape[1]) for k in range(hin.n(end))]
    )


@pytest.mark.parametrize("name", VECTORS)
def test_the_vectors_of_own_items_pooled_before_the_split(name):
    hin = world()
    values = pooled(hin, "user", hin.vectors("item")[hin.links(RATES)[1]], VECTORS[name])
    named(split_of(hin.with_column("user", "taste", values, "row")), "user.taste", "aggregate")


@pytest.mark.parametrize("end", ["user", "item"])
def test_the_vectors_of_own_reviews_pooled_before_the_split(end):
    hin = world(reviews=True)
    mean = pooled(hin, end, hin.vectors("review"), VECTORS["mean"])
    rng = np.random.default_rng(0)
    centred = (mean - mean.mean(axis=0)) / mean.std(axis=0)
    mixed = centred @ rng.normal(size=(8, 4))
    hin = hin.with_column(end, "mean", mean, "row").with_column(end, "centred", centred, "row")
    split = split_of(hin.with_column(end, "mixed", mixed, "row"))
    for name in ("mean", "centred", "mixed"):
        named(split, f"{end}.{name}", "aggregate")


def test_a_mixture_with_any_weights_and_one_with_none_but_the_last():
    hin = world(dim=24)
    rng = np.random.default_rng(0)
    x = hin.vectors("item")[hin.links(RATES)[1]]
    weighted = pooled(hin, "user", x, lambda rows: (rows * rng.random((len(rows), 1))).sum(axis=0))
    last = pooled(hin, "user", x, lambda rows: rows[-1])
    split = split_of(hin.with_column("user", "taste", weighted, "row"))
    assert "mixed from" in named(split, "user.taste", "aggregate").why
    named(split_of(hin.with_column("user", "taste", last, "row")), "user.taste", "mention")


def test_a_histogram_of_the_tags_of_own_items():
    hin = world()
    counts = hin.adjacency(RATES).toarray() @ hin.adjacency(("item", "has", "tag")).toarray()
    share = counts / counts.sum(axis=1, keepdims=True)
    named(split_of(hin.with_column("user", "taste", share, "row")), "user.taste", "aggregate")


def test_factors_of_the_whole_source_are_sums_of_each_other():
    """They were unknown before; a factor of a user is a sum over its items, all of them."""
    hin = world()
    u, s, vt = np.linalg.svd(hin.adjacency(RATES).toarray(), full_matrices=False)
    k = 24
    for lineage in ("row", None):
        both = hin.with_column("user", "f", u[:, :k] * np.sqrt(s[:k]), lineage)
        both = both.with_column("item", "f", vt[:k].T * np.sqrt(s[:k]), lineage)
        assert "held-out rows included" in named(split_of(both), "user.f", "aggregate").why


# ---- computed from train: no leak ----------------------------------------------------------------


@pytest.mark.parametrize("lineage", ["row", "aggregate"])
@pytest.mark.parametrize("end", ["user", "item"])
def test_what_is_computed_from_train_is_clean(end, lineage):
    split = clean_split()

    def change(g):
        for name, f in NUMBERS.items():
            g = g.with_column(end, name, per_node(g, end, f), lineage)
        g = g.with_column(
            end,
            "vector",
            pooled(g, end, g.vectors("item")[g.links(RATES)[1]], VECTORS["mean"]),
            "row",
        )
        return g.with_column(
            RATES,
            "centred",
            g.vectors(RATES, "rating")[:, 0]
            - per_node(g, end, NUMBERS["mean"])[g.links(RATES)[SIDE[end]]],
            "row",
        )

    found = audit(
        dataclasses.replace(split, train=change(split.train), train_valid=change(split.train_valid))
    )
    assert found.clean, found


@pytest.mark.parametrize("make", [leave_last, temporal_split, cold_items])
def test_in_other_splits(make):
    hin = world()
    hin = hin.with_column("item", "heat", per_node(hin, "item", NUMBERS["count"]), "row")
    split = make(hin, RATES, **({"rng": 0} if make is cold_items else {}))
    named(split, "item.heat", "aggregate")
    count = per_node(split.train, "item", NUMBERS["count"])
    clean = make(world(), RATES, **({"rng": 0} if make is cold_items else {}))
    quiet(on_train(clean, lambda g: g.with_column("item", "heat", count, "aggregate")))


def test_in_a_toy_a_telling_name_decides_and_otherwise_it_is_unknown():
    hin = toy()
    mean, count = per_node(hin, "item", NUMBERS["mean"]), per_node(hin, "item", NUMBERS["count"])
    named(
        split_of(hin.with_column("item", "rating_mean", mean, "row")),
        "item.rating_mean",
        "aggregate",
    )
    named(
        split_of(hin.with_column("item", "n_ratings", count, "row")), "item.n_ratings", "aggregate"
    )
    undecided(split_of(hin.with_column("item", "x", mean, "row")), "item.x")


def test_a_relation_among_users_counts_both_ends():
    rng = np.random.default_rng(0)
    follows = ("user", "follows", "user")
    names = [f"u{k}" for k in range(40)]
    rows = {(int(a), int(b)) for a in range(40) for b in rng.choice(40, 7, replace=False) if a != b}
    src, dst = [names[a] for a, _ in sorted(rows)], [names[b] for _, b in sorted(rows)]
    hin = HIN.from_tables(
        {"user": {"id": names}}, {follows: {"src": src, "dst": dst}}, lineage="row"
    )
    quiet(random_split(hin, follows, rng=0))
    for side in (0, 1):
        count = np.bincount(hin.links(follows)[side], minlength=40)
        named(
            random_split(hin.with_column("user", "n", count, "row"), follows, rng=0),
            "user.n",
            "aggregate",
        )
