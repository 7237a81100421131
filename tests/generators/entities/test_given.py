"""Conditions: what is given holds on each new node, and its links follow from it."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from raising import raises

from hinaug.errors import ParameterError, SchemaError
from hinaug.generators import (
    CFGAN,
    RLGAN,
    Aggregation,
    JointGAN,
    JointVAE,
    SecondMoment,
    Synthesis,
)
from hinaug.generators.entities.given import alike
from hinaug.graph.hin import HIN

NODE, RATES = "people who rate", ("people who rate", "rated & liked", "thing to buy")
SMALL = {"epochs": 25, "latent": 8, "hidden": 32, "batch_size": 32, "lr": 5e-3}
GENERATORS = [
    SecondMoment(NODE),
    JointVAE(NODE, **SMALL),
    JointVAE(NODE, attributes="heads", **SMALL),
    JointGAN(NODE, steps=20, **SMALL),
    CFGAN(NODE, hidden=32, batch_size=32, epochs=100),
    RLGAN(NODE, steps=2, episodes=16, control=False, **SMALL),
    Synthesis(NODE),
    Aggregation(NODE),
]
ONE = {  # attributes that only people of the second group have
    "group": "b 💥",
    "flag": True,
    "age": 62,
    "income": 10.5,
    "day": dt.date(2010, 1, 4),
    "tags": ["x", "b"],
    "vector": [1.0, 1.0, 1.0],
    "about": "the cat of anybody",
}


@pytest.fixture(scope="module")
def world():
    """People of two groups, who like the even or the odd things and have attributes to match."""
    rng = np.random.default_rng(0)
    n, m = 160, 40
    group = rng.integers(2, size=n)
    likes = [(u, 2 * rng.permutation(m // 2)[: rng.integers(4, 9)] + group[u]) for u in range(n)]
    src, dst = zip(*((u, i) for u, some in likes for i in some), strict=True)
    ids = np.array([f"ü{u}·人" for u in range(n)])
    vectors = np.repeat(group, 3) + 0.1 * rng.normal(size=3 * n)
    people = {
        "id": ids,
        "group": np.array(["ä", "b 💥"])[group],
        "flag": group == 1,
        "age": 20 + 40 * group + rng.integers(5, size=n),
        "income": pa.array(rng.normal(size=n) + 10 * group, mask=rng.random(n) < 0.2),
        "day": [dt.date(2000 + 10 * int(g), 1, 1 + int(rng.integers(9))) for g in group],
        "tags": [["x", "b"] if g else ["x"] for g in group],
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors, pa.float32()), 3),
        "about": [f"the {'cat' if g else 'dog'} of number {u}" for u, g in enumerate(group)],
        "empty": pa.nulls(n, pa.float64()),
    }
    links = {"src": ids[list(src)], "dst": [str(i) for i in dst]}
    things = {"id": [str(i) for i in range(m)]}
    return HIN.from_tables({NODE: people, "thing to buy": things}, {RATES: links})


@pytest.fixture(scope="module", params=GENERATORS, ids=lambda g: type(g).__name__)
def fitted(request, world):
    return request.param.clone().fit(world, rng=0)


def share_of_odd(made):
    return np.mean([int(i) % 2 for i in made.edges[RATES]["dst"].to_pylist()])


@pytest.mark.parametrize("name", ONE)
def test_what_is_given_holds_and_links_follow(fitted, world, name):
    made = fitted.generate(world, 40, condition={name: [ONE[name]]}, rng=0)
    assert made.nodes[NODE][name].to_pylist() == [ONE[name]] * 40
    assert share_of_odd(made) > 0.8


def test_links_follow_given_nodes_and_links(fitted, world):
    odd = world.ids(NODE).filter(pa.array(world.column(NODE, "flag").to_numpy(False)))[:3]
    assert share_of_odd(fitted.generate(world, 40, condition=odd, rng=0)) > 0.8
    if hasattr(fitted, "keep"):  # others say that they take no links
        made = fitted.generate(world, 40, condition={RATES: ["1"]}, rng=0)
        assert made.edges[RATES]["dst"].to_pylist().count("1") == 40
        assert share_of_odd(made) > 0.8


def test_what_cannot_be_met_is_said(fitted, world):
    for column, value in (("group", "c"), ("flag", None), ("age", None)):
        with raises(ParameterError, asked=[value]):
            fitted.generate(world, condition={column: [value]}, rng=0)
    for column, value in (("age", 62.5), ("age", "20-30"), ("vector", [1.0, 2.0])):
        with raises(SchemaError):
            fitted.generate(world, condition={column: [value]}, rng=0)
    with raises(ParameterError, asked=["group"], there=[RATES]):
        fitted.generate(world, condition={"group": ["ä"], RATES: ["1"]}, rng=0)
    contradiction = {"group": ["b 💥"], "flag": [False]}
    table = fitted.generate(world, 5, condition=contradiction, rng=0).nodes[NODE]
    assert (table["group"].to_pylist(), table["flag"].to_pylist()) == (["b 💥"] * 5, [False] * 5)


def test_the_columns_that_a_policy_writes_follow_those_given(world):
    tiny = SMALL | {"epochs": 2}
    model = RLGAN(NODE, steps=1, episodes=8, control=False, **tiny).fit(world, rng=0)
    real = model._real(world)
    given = {"group": pa.array(["b 💥"] * 30)}
    state = model._state_given(real, np.arange(30), given, np.random.default_rng(0))
    at = model.latent + list(model.bins_).index("group")
    assert set(state[:, at]) == set(model._code("group", given["group"]))


def test_alike_takes_holders_of_a_rare_word_among_many():
    rng = np.random.default_rng(0)
    n = 30_000
    word = np.array([f"w{i}" for i in rng.integers(5000, size=n)])
    table = pa.table({"word": word, "level": rng.integers(9, size=n)})
    rare = word[:50]
    rows = alike(table, {"word": pa.array(rare)}, rng, "test")
    assert (word[rows] == rare).all()
    both = alike(table, {"word": pa.array(rare), "level": pa.array([3] * 50)}, rng, "test")
    assert (word[both] == rare).all()


def test_alike_of_columns_that_say_nothing():
    table = pa.table({"zip": [f"z{i}" for i in range(40)], "none": pa.nulls(40, pa.string())})
    given = {"zip": pa.array(["z1"]), "none": pa.array(["a"])}
    assert alike(table, given, np.random.default_rng(0), "test") is None


def test_alike_takes_columns_of_every_type():
    n = pa.array([1, 2, 3, 4] * 20, pa.int32())
    columns = {
        "time": n.cast(pa.time32("s")),
        "length": n.cast(pa.int64()).cast(pa.duration("ms")),
        "price": n.cast(pa.decimal128(12, 2)),
        "bytes": n.cast(pa.string()).cast(pa.binary()),
        "lists": pa.array([[[i], [9]] for i in n.to_pylist()]),
        "records": pa.array([{"a": i, "b": {"c": "x"}} for i in n.to_pylist()]),
        "lists of records": pa.array([[{"a": i}, {"a": 9}, None] for i in n.to_pylist()]),
    }
    for values in columns.values():
        rows = alike(pa.table({"x": values}), {"x": values[:4]}, np.random.default_rng(0), "test")
        assert values.take(pa.array(rows)).equals(values[:4])


def test_alike_with_infinite_numbers_and_missing_lists():
    word = np.array(["a", "b"])[np.arange(80) % 2]
    vectors = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
    vectors[:2, 0] = np.inf
    x = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 3)
    table = pa.table({"word": word, "x": x, "tags": [[w] for w in word]})
    given = {"word": pa.array(["b"] * 20), "x": x.take(pa.array([3] * 20))}
    rows = alike(table, given, np.random.default_rng(0), "test")
    assert set(word[rows]) == {"b"}
    assert len(set(rows)) > 5  # of the twenty nearest
    distance = ((vectors[2:] - vectors[3]) ** 2).sum(axis=1)[word[2:] == "b"]
    nearest = np.flatnonzero(word == "b")[np.isfinite(vectors[word == "b"]).all(axis=1)]
    assert set(rows) <= set(nearest[np.argsort(distance)[:25]]) | {1}
    for name in ("x", "tags"):
        with raises(ParameterError, asked=[None]):
            nothing = pa.nulls(1, table[name].type)
            alike(table, {name: nothing}, np.random.default_rng(0), "test")
