"""Columns of ratings that say what stands before, after or beside each, by all rows or by train's.

Each is planted twice: computed from all pairs, which is a leak, and from train, which is none.
"""

import dataclasses

import numpy as np
import pytest
from leak_worlds import RATES, named, quiet, split_of

from hinaug.datasets import planted

DAY = 86_400


def shop():
    """Items with prices and makers; a user rates several items at one moment."""
    rng = np.random.default_rng(8)
    hin = planted(90, 60, 4, rng=8).drop("review")
    time = np.array(hin.column(RATES, "time"))
    hin = hin.with_column(RATES, "time", time // (60 * DAY) * 60 * DAY, "row")
    hin = hin.with_column("item", "price", rng.gamma(2, 10, 60).round(2), "row")
    return hin.with_column("item", "maker", [f"maker {m}" for m in rng.integers(0, 6, 60)], "row")


def groups(graph, side, *, same_moment=False):
    """Rows of each user or item in the order of time; or of each moment of it."""
    time, at = np.array(graph.column(RATES, "time")), graph.links(RATES)[side]
    order = np.lexsort((time, at))
    cut = (np.diff(at[order]) != 0) | ((np.diff(time[order]) != 0) & same_moment)
    return np.split(order, np.flatnonzero(cut) + 1)


def each(graph, side, value, **more):
    out = np.zeros(graph.n(RATES))
    for rows in groups(graph, side, **more):
        out[rows] = value(rows)
    return out


def price(graph):
    return np.array(graph.column("item", "price"))[graph.links(RATES)[1]]


def next_rating(graph):
    rating = graph.vectors(RATES, "rating")[:, 0]
    return each(graph, 0, lambda rows: np.append(rating[rows][1:], np.nan))


def next_maker(graph):
    maker = np.array(graph.column("item", "maker"))[graph.links(RATES)[1]]
    out = np.full(graph.n(RATES), None, object)
    for rows in groups(graph, 0):
        out[rows[:-1]] = [f"then {m}" for m in maker[rows[1:]]]
    return out.tolist()


PLANTS = {
    "place among the sales": lambda g: each(g, 1, lambda rows: np.arange(len(rows)) + 1),
    "sales still to come": lambda g: each(g, 1, lambda rows: np.arange(len(rows))[::-1]),
    "spent before": lambda g: each(
        g, 0, lambda rows: np.append(0, np.cumsum(price(g)[rows])[:-1]).round(2)
    ),
    "total of the basket": lambda g: each(
        g, 0, lambda rows: price(g)[rows].sum().round(2), same_moment=True
    ),
    "next rating": next_rating,
    "next maker": next_maker,
}


@pytest.mark.parametrize("kind", PLANTS)
def test_what_all_rows_say_is_found_and_what_train_says_is_not(kind):
    hin = shop()
    leak = split_of(hin.with_column(RATES, "told", PLANTS[kind](hin), "row"))
    why = named(leak, "user rates item.told", "aggregate").why
    assert why.startswith("equals ")
    assert "held-out rows included" in why or "validation rows included" in why
    split = split_of(hin)
    own = {
        part: graph.with_column(RATES, "told", PLANTS[kind](graph), "row")
        for part, graph in (("train", split.train), ("train_valid", split.train_valid))
    }
    quiet(dataclasses.replace(split, **own))
