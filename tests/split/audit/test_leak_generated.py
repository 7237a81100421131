"""Deltas: fitted on held-out pairs, made by hand, merged, applied before the split; and honest
ones.
"""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from leak_worlds import (
    RATES,
    clean_split,
    held,
    histories,
    ids,
    linked,
    named,
    nodes_added,
    on_train,
    pairs,
    quiet,
    split_of,
    undecided,
    world,
)

from hinaug.datasets.planted import WROTE
from hinaug.graph.delta import Delta
from hinaug.graph.merge import merge
from hinaug.split.audit import audit


def edges(rows, **more):
    rows = list(rows)
    return Delta(edges={RATES: {"src": [u for u, _ in rows], "dst": [i for _, i in rows]}}, **more)


def guesses(hin, n=40, seed=0):
    rng = np.random.default_rng(seed)
    users, items = ids(hin, "user"), ids(hin, "item")
    there = set(pairs(hin))
    out = {
        (users[rng.integers(len(users))], items[rng.integers(len(items))]) for _ in range(3 * n)
    } - there
    return sorted(out)[:n]


@pytest.mark.parametrize("kind", ["text", "integers", "toy"])
def test_fitted_on_the_source(kind):
    split = clean_split(kind)
    rows = guesses(split.source) if kind != "toy" else [("u1", "i3")]
    delta = edges(rows, fitted_on=[split.source.fingerprint()])
    assert (
        "fitted on a graph that holds"
        in named(on_train(split, lambda g: g + delta), "Delta", "generated").why
    )
    named(split, "Delta", "generated", delta)
    named(split, "Delta", "generated", delta, graph="train_valid")


def test_fitted_on_train_and_valid_it_leaks_for_valid_alone():
    split = clean_split()
    delta = edges(guesses(split.source), fitted_on=[split.train_valid.fingerprint()])
    leaks = audit(split, delta).leaks
    assert [(f.kind, f.graph) for f in leaks] == [("generated", "train")]


def test_that_does_not_say_what_it_was_fitted_on():
    split = clean_split()
    undecided(split, "Delta", edges(guesses(split.source)))
    undecided(
        on_train(split, lambda g: g + edges(guesses(split.source), fitted_on=["of old"])), "Delta"
    )
    leak = named(split, "Delta", "generated", edges(held(split)))
    assert leak.count == len(held(split))
    named(split, "Delta", "generated", edges(held(split)[:1]))


def test_a_merge_of_a_clean_and_a_leaky_one():
    split = clean_split()
    fine = edges(guesses(split.source), fitted_on=[split.train.fingerprint()])
    bad = edges(
        guesses(split.source, seed=1), origin="other", fitted_on=[split.source.fingerprint()]
    )
    quiet(split, fine)
    named(split, "Delta", "generated", merge([fine, bad]))


def test_applied_before_the_split():
    hin = world()
    named(split_of(hin + edges(guesses(hin), fitted_on=[hin.fingerprint()])), "Delta", "generated")
    split = split_of(hin + edges(guesses(hin)))
    undecided(split, "Delta")
    assert "before the split" in audit(split).unknown[0].why


def test_masks_that_name_held_out_pairs_or_lost_reviews():
    hin = world(reviews=True)
    split = split_of(hin)
    out = held(split)
    masks = Delta(masks={RATES: {"src": [u for u, _ in out], "dst": [i for _, i in out]}})
    assert "masks name" in named(split, "Delta", "generated", masks).why
    there = set(ids(split.train, "review"))
    at = next(k for k, r in enumerate(ids(hin, "review")) if r not in there)
    lost = Delta(masks={WROTE: {"src": [pairs(hin)[at][0]], "dst": [ids(hin, "review")[at]]}})
    assert "left with held-out pairs" in named(split, "Delta", "generated", lost).why


def test_generated_nodes_that_join_held_out_pairs():
    split = clean_split()
    out = held(split)
    (u, i), *_ = pairs(split.train)
    base = linked(
        nodes_added(split.train, memo={"id": ["m"]}), ("user", "made", "memo"), [u], ["m"]
    )
    base = linked(base, ("memo", "on", "item"), ["m"], [i])
    made = [f"g{k}" for k in range(len(out))]
    delta = Delta(
        nodes={"memo": {"id": made}},
        edges={
            ("user", "made", "memo"): {"src": [u for u, _ in out], "dst": made},
            ("memo", "on", "item"): {"src": made, "dst": [i for _, i in out]},
        },
    )
    leak = named(on_train(split, lambda g: base + delta), "user memo item", "generated")
    assert leak.count == len(out)


def test_a_generated_copy_of_a_user():
    split = clean_split()
    u = held(split)[0][0]
    items = histories(split.source)[u]
    delta = Delta(
        nodes={"user": {"id": ["copy"]}},
        edges={RATES: {"src": ["copy"] * len(items), "dst": items}},
    )
    assert "repeat profiles" in named(split, RATES[1], "generated", delta).why


def test_values_filled_from_held_out_rows():
    hin = world()
    hin = hin.with_column("user", "habit", pa.nulls(hin.n("user"), pa.float64()), "row")
    split = split_of(hin)

    def filled(graph, **more):
        src, rating = graph.links(RATES)[0], graph.vectors(RATES, "rating")[:, 0]
        n = np.bincount(src, minlength=hin.n("user"))
        cells = {
            "id": ids(hin, "user"),
            "value": np.bincount(src, rating, minlength=len(n)) / np.maximum(n, 1),
        }
        return Delta(values={("user", "habit"): cells}, **more)

    named(split, "user.habit", "generated", filled(split.source))
    named(split, "Delta", "generated", filled(split.source, fitted_on=[split.source.fingerprint()]))
    undecided(split, "Delta", filled(split.train))
    quiet(split, filled(split.train, fitted_on=[split.train.fingerprint()]))


def of_edges(graph, values, name="x", **more):
    """A delta with a new column of the ratings of a graph."""
    src, dst = zip(*pairs(graph), strict=True)
    table = {"src": list(src), "dst": list(dst), "value": values}
    return Delta(columns={(RATES, name): table}, **more)


def counts(graph, side=1):
    return np.bincount(graph.links(RATES)[side], minlength=graph.n(RATES[2 * side]))


@pytest.mark.parametrize("side", [0, 1])
def test_a_column_of_edges_computed_from_held_out_rows(side):
    split = clean_split()
    graph, position = split.train, split.train.links(RATES)[side]
    leak = of_edges(graph, counts(split.source, side)[position].astype(float))
    assert "held-out rows" in named(split, "user rates item.x", "generated", leak).why
    undecided(split, "Delta", of_edges(graph, counts(graph, side)[position].astype(float)))
    fitted = of_edges(
        graph, counts(graph, side)[position].astype(float), fitted_on=[graph.fingerprint()]
    )
    assert audit(split, fitted).clean


def test_cells_of_edges_filled_from_held_out_rows():
    hin = world().with_column(RATES, "seen", pa.nulls(world().n(RATES), pa.float64()), "row")
    split = split_of(hin)
    src, dst = zip(*pairs(split.train), strict=True)

    def filled(graph):
        value = counts(graph)[split.train.links(RATES)[1]].astype(float)
        cells = {"src": list(src), "dst": list(dst), "value": value}
        return Delta(values={(RATES, "seen"): cells})

    named(split, "user rates item.seen", "generated", filled(split.source))
    undecided(split, "Delta", filled(split.train))


def test_a_column_of_generated_edges_computed_from_held_out_rows():
    split = clean_split()
    n = split.train.n("item")
    items = ids(split.train, "item")
    src = np.repeat(np.arange(n), 3)
    dst = (src + np.tile([1, 2, 3], n)) % n
    like = ("item", "like", "item")

    def delta(graph):
        ends = {"src": [items[k] for k in src], "dst": [items[k] for k in dst]}
        return Delta(edges={like: {**ends, "seen": counts(graph)[src]}})

    named(split, "item like item.seen", "generated", delta(split.source))
    undecided(split, "Delta", delta(split.train))


def test_a_column_of_edges_that_points_at_held_out_rows():
    split = clean_split()

    def to_next(graph):
        """Seconds from each rating of train to the user's next one in a graph."""
        times = np.array(graph.column(RATES, "time"))
        of_user = {u: np.sort(times[graph.links(RATES)[0] == u]) for u in range(graph.n("user"))}
        own = np.array(split.train.column(RATES, "time"))
        out = []
        for u, t in zip(split.train.links(RATES)[0], own, strict=True):
            later = of_user[u][of_user[u] > t]
            out.append(float(later[0] - t) if len(later) else 0.0)
        return of_edges(split.train, out, "to_next")

    why = named(split, "to_next", "generated", to_next(split.source)).why
    assert "the change to the next 'time'" in why
    undecided(split, "Delta", to_next(split.train))


def test_cells_that_name_held_out_pairs():
    split = clean_split()
    delta = of_edges(split.source, np.arange(split.source.n(RATES), dtype=float))
    assert "columns name what left" in named(split, "Delta", "generated", delta).why


def test_an_honest_delta_may_hit_held_out_pairs():
    split = clean_split()
    mine = split.train.fingerprint()
    delta = edges([*guesses(split.source), *held(split)[:5]], fitted_on=[mine])
    both = dataclasses.replace(
        split, train=split.train + delta, train_valid=split.train_valid + delta
    )
    assert audit(both).clean
    assert audit(split, delta).clean
    found = quiet(split, edges(held(split), fitted_on=[mine]))  # no skill explains this
    assert any("yet" in f.why for f in found.unknown)


def test_a_delta_fitted_on_train_with_another_delta():
    split = clean_split()
    one = edges(guesses(split.source), fitted_on=[split.train.fingerprint()])
    graph = split.train + one
    two = edges(guesses(split.source, seed=1)[:5], origin="two", fitted_on=[graph.fingerprint()])
    assert audit(on_train(split, lambda g: graph + two)).clean


def test_predictions_stored_as_edges_are_unknown_while_they_miss_more_than_they_hit():
    split = clean_split()
    rows = [*guesses(split.source), *held(split)[:5]]
    src, dst = zip(*rows, strict=True)
    edge = ("user", "may like", "item")
    undecided(
        on_train(split, lambda g: linked(g, edge, src, dst, "aggregate")), "user may like item"
    )
    named(on_train(split, lambda g: linked(g, edge, src, dst, "row")), "user may like item", "twin")
