"""Clean splits and natural side information: nothing is called a leak."""

import numpy as np
import pyarrow as pa
import pytest
from leak_worlds import RATES, ids, linked, nodes_added, pairs, quiet, split_of, toy, world

from hinaug.datasets import planted
from hinaug.graph.hin import HIN
from hinaug.split.audit import audit
from hinaug.split.cold import cold_items, cold_users
from hinaug.split.last import leave_last
from hinaug.split.random import random_split
from hinaug.split.temporal import temporal_split
from hinaug.split.thin import thin

SPLITS = {
    "random": lambda h: random_split(h, RATES, evidence=["review"], rng=1),
    "leave last": lambda h: leave_last(h, RATES, evidence=["review"]),
    "temporal": lambda h: temporal_split(h, RATES, evidence=["review"]),
    "cold users": lambda h: cold_users(h, RATES, evidence=["review"], known=1, rng=1),
    "cold items": lambda h: cold_items(h, RATES, evidence=["review"], rng=1),
}


@pytest.mark.parametrize("name", SPLITS)
@pytest.mark.parametrize("kind", ["plain", "integers", "shuffled"])
def test_clean_splits_whole_and_thin(kind, name):
    hin = (
        planted(50, 30, 3, dim=4, rng=2, shuffle=True)
        if kind == "shuffled"
        else world(reviews=True, integers=kind == "integers")
    )
    split = SPLITS[name](hin)
    found = audit(split if kind == "plain" else thin(split, 0.5, rng=0))
    assert found.clean, found
    assert str(found) == "0 leaks, 0 unknown"


def rich(seed):
    """Users and items of a few topics, with all that goes along with topics by nature, and with
    chance.
    """
    rng = np.random.default_rng(seed)
    n, m, k = int(rng.integers(20, 90)), int(rng.integers(15, 60)), int(rng.integers(2, 5))
    hin, truth = planted(n, m, k, rng=seed, return_truth=True, tags=True, dim=4)
    user, item = truth["user_topic"], truth["item_topic"]
    columns = {
        ("user", "topic"): user,
        ("item", "topic"): item,
        ("user", "zip"): rng.integers(1, m + 5, n),
        ("user", "premium"): rng.random(n) < 0.3,
        ("user", "taste"): np.eye(k)[user] + rng.normal(size=(n, k)) * 0.3,
        ("item", "style"): np.eye(k)[item] + rng.normal(size=(m, k)) * 0.3,
        ("user", "bio"): [
            f"I like {['jazz', 'rock', 'folk', 'punk', 'soul'][t]} and {rng.integers(1, 30)} more"
            for t in user
        ],
        ("item", "price"): rng.gamma(2, 10, m).round(2) * (1 + item),
        ("item", "year"): 1980 + 5 * item + rng.integers(0, 6, m),
    }
    for (type, name), values in columns.items():
        hin = hin.with_column(type, name, values, "row")
    cities = [f"c{c}" for c in rng.integers(0, n // 2, n)]  # some have one inhabitant
    hin = nodes_added(
        hin,
        city={"id": sorted(set(cities))},
        artist={"id": [f"a{a}" for a in range(9)]},
        topic={"id": [f"t{t}" for t in range(k)]},
    )
    hin = linked(hin, ("user", "lives in", "city"), ids(hin, "user"), cities)
    hin = linked(
        hin, ("item", "by", "artist"), ids(hin, "item"), [f"a{a}" for a in rng.integers(0, 9, m)]
    )
    hin = linked(hin, ("user", "is", "topic"), ids(hin, "user"), [f"t{t}" for t in user])
    hin = linked(hin, ("item", "is", "topic"), ids(hin, "item"), [f"t{t}" for t in item])
    for end, topic in (("user", user), ("item", item)):  # likes join likes
        a, b = rng.integers(0, len(topic), (2, 8 * len(topic)))
        keep = (a != b) & ((topic[a] == topic[b]) | (rng.random(len(a)) < 0.2))
        names = np.array(ids(hin, end))
        hin = linked(
            hin,
            (end, "near", end),
            names[a[keep]][: 2 * len(topic)],
            names[b[keep]][: 2 * len(topic)],
        )
    return hin


@pytest.mark.parametrize("name", SPLITS)
@pytest.mark.parametrize("sparse", [False, True])
def test_natural_side_information(sparse, name):
    split = SPLITS[name](rich(1 + sparse))
    quiet(thin(split, 0.4, rng=0) if sparse else split)


@pytest.mark.parametrize("seed", [4, 11, 12, 13, 25])
def test_a_small_world_where_one_taste_has_tried_nearly_all_there_is_for_it(seed):
    quiet(thin(leave_last(rich(seed), RATES, evidence=["review"]), 0.4, rng=0))


def test_cities_of_users_and_of_items():
    hin = world()
    rng = np.random.default_rng(0)
    homes, places = rng.integers(0, 40, hin.n("user")), rng.integers(0, 40, hin.n("item"))
    hin = nodes_added(hin, city={"id": [f"c{c}" for c in range(40)]})
    hin = linked(hin, ("user", "lives in", "city"), ids(hin, "user"), [f"c{c}" for c in homes])
    hin = linked(hin, ("item", "made in", "city"), ids(hin, "item"), [f"c{c}" for c in places])
    for seed in range(4):
        quiet(split_of(hin, rng=seed))


def test_a_column_that_repeats_the_time_of_its_row():
    """Rows of a user share days, so the next time of a day is the row's own."""
    hin = planted(150, 90, 4, rng=4).drop("review")
    day = np.array(hin.column(RATES, "time")) // 86_400 // 90 * 90 * 86_400
    hin = hin.with_column(RATES, "time", day, "row")
    twin = ("user", "buys", "item")
    hin = linked(hin, twin, *zip(*pairs(hin), strict=True))
    quiet(split_of(hin.with_column(twin, "bought", day, "row")))


def test_twins_leave_with_their_pairs_unless_kept():
    hin = world()
    src, dst = zip(*pairs(hin), strict=True)
    hin = linked(hin, ("user", "buys", "item"), src, dst)
    hin = linked(hin, ("item", "bought by", "user"), dst, src)
    assert audit(split_of(hin)).clean
    kept = audit(split_of(hin, keep=[("item", "bought by", "user")]))
    assert {(f.kind, f.where) for f in kept.leaks} == {("reverse", "item bought by user")}


def test_repeated_rows_and_a_toy_with_attributes():
    hin = world()
    again = hin.edges[RATES].slice(0, 50)
    names = {c: pa.array([p[k] for p in pairs(hin)[:50]]) for k, c in enumerate(("src", "dst"))}
    hin = hin.with_edges(RATES, {**names, "rating": again["rating"], "time": again["time"]})
    assert audit(split_of(hin)).clean
    small = (
        toy()
        .with_column("user", "age", [31, 2, 47], "row")
        .with_column("item", "genre", ["a", "b", "a"], "row")
    )
    small = linked(small, ("user", "knows", "user"), ["u1"], ["u2"])
    quiet(split_of(small))


def test_without_held_out_pairs_there_is_nothing_to_find():
    hin = world()
    assert audit(random_split(hin, RATES, valid=0.0, test=0.0, rng=0)).clean
    empty = HIN.from_tables(
        {"user": {"id": ["u"]}, "item": {"id": ["i"]}},
        {RATES: {"src": ["u"], "dst": ["i"]}},
        lineage="row",
    )
    assert audit(random_split(empty, RATES, rng=0)).clean
