"""The future: rows later than the cut of a temporal split, or than a user's own held-out pair."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from leak_worlds import (
    RATES,
    held,
    ids,
    linked,
    named,
    nodes_added,
    on_train,
    pairs,
    quiet,
    undecided,
    world,
)

from hinaug.split.audit import audit
from hinaug.split.last import leave_last
from hinaug.split.temporal import temporal_split
from hinaug.split.thin import thin


def timed():
    """Users tag and visit; tags carry a time on the edge, visits on the node; items are dated."""
    hin = world()
    src, times, tags = (
        [u for u, _ in pairs(hin)],
        hin.column(RATES, "time").to_pylist(),
        ids(hin, "tag"),
    )
    hin = linked(
        hin, ("user", "tagged", "tag"), src, [tags[k % 5] for k in range(len(src))], time=times
    )
    visits = [f"v{k}" for k in range(len(src))]
    hin = linked(
        nodes_added(hin, visit={"id": visits, "time": times}),
        ("user", "made", "visit"),
        src,
        visits,
    )
    rng = np.random.default_rng(0)
    return hin.with_column("item", "time", rng.choice(times, hin.n("item")), "row")


def test_a_temporal_split_of_a_timed_graph_is_clean_and_nothing_in_it_is_late():
    hin = timed()
    split = temporal_split(hin, RATES)
    assert audit(split).clean
    assert audit(thin(split, 0.5, rng=0)).clean
    for graph, cut in zip((split.train, split.train_valid), split.how["cuts"], strict=True):
        assert ids(graph, "item") == ids(hin, "item")
        for type in [*graph.nodes, *graph.edges]:
            if "time" in graph.table(type).column_names:
                when = graph.column(type, "time").to_numpy(zero_copy_only=False).astype(float)
                assert not (when > cut).any(), type


def test_leave_last_of_a_timed_graph_is_clean_and_each_user_has_an_own_moment():
    hin = timed()
    split = leave_last(hin, RATES)
    assert audit(split).clean
    assert audit(thin(split, 0.5, rng=0)).clean
    last = {}
    for (u, _), t in zip(pairs(hin), hin.column(RATES, "time").to_pylist(), strict=True):
        last.setdefault(u, []).append(t)
    tagged = ("user", "tagged", "tag")
    for (u, _), t in zip(
        pairs(split.train, tagged), split.train.column(tagged, "time").to_pylist(), strict=True
    ):
        assert t <= sorted(last[u])[-2]  # the valid pair's moment
    assert split.train.n("visit") == split.train.n(("user", "made", "visit")) < hin.n("visit")


@pytest.mark.parametrize("part", ["train", "train_valid"])
def test_rows_after_the_cut(part):
    split = temporal_split(world(), RATES)
    late = int(split.how["cuts"][part == "train_valid"]) + 5
    u, tag = ids(split.train, "user")[0], ids(split.train, "tag")[0]
    graph = getattr(split, part)
    graph = linked(graph, ("user", "tagged", "tag"), [u], [tag], time=[late])
    graph = linked(
        graph, ("user", "saw", "tag"), [u], [tag], seen_at=pa.array([late], pa.timestamp("s"))
    )
    graph = nodes_added(graph, event={"id": ["e"], "time": [late]})
    changed = dataclasses.replace(split, **{part: graph})
    for where in ("user tagged tag", "user saw tag.seen_at", "event"):
        named(changed, where, "future", graph=part)


def test_a_known_pair_again_after_the_cut():
    split = temporal_split(world(), RATES)
    (u, i), *_ = pairs(split.train)
    rating = split.train.edges[RATES].schema.field("rating").type
    row = {
        "src": [u],
        "dst": [i],
        "rating": pa.array([3], rating),
        "time": [int(split.how["cuts"][0]) + 1],
    }
    named(on_train(split, lambda g: g.with_edges(RATES, row)), "user rates item", "future")


def test_without_a_time_it_cannot_be_told():
    split = temporal_split(world(), RATES)
    u, tag = ids(split.train, "user")[0], ids(split.train, "tag")[0]
    row = {"time": pa.array([None], pa.int64())}
    undecided(
        on_train(split, lambda g: linked(g, ("user", "tagged", "tag"), [u], [tag], **row)),
        "user tagged tag",
    )


def test_after_the_users_own_held_out_pair():
    split = leave_last(world(), RATES)
    u, tag = held(split)[0][0], ids(split.train, "tag")[0]
    late = 2_000_000_000
    named(
        on_train(split, lambda g: linked(g, ("user", "tagged", "tag"), [u], [tag], time=[late])),
        "user tagged tag",
        "future",
    )

    def visited(g):
        return linked(
            nodes_added(g, visit={"id": ["v"], "time": [late]}),
            ("user", "made", "visit"),
            [u],
            ["v"],
        )

    named(on_train(split, visited), "user made visit", "future")


def test_the_day_an_item_came_out_is_no_event():
    hin = world()
    dates = pa.array([f"20{20 + k % 9}-01-01" for k in range(hin.n("item"))]).cast(pa.date32())
    hin = hin.with_column("item", "date", dates, "row")
    for split in (temporal_split(hin, RATES), leave_last(hin, RATES)):
        quiet(split)
