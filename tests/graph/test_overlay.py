"""Deltas beside one another: types of their columns, and orders that need not be repeated."""

from __future__ import annotations

import itertools

import pytest
from raising import raises

import hinaug
from hinaug.errors import SchemaError
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.merge import merge

RATES = ("user", "rates", "item")
TAGS = ("user", "tags", "item")


@pytest.fixture
def hin():
    return HIN.from_tables(
        {"user": {"id": ["u1", "u2", "u3"], "z": [None] * 3}, "item": {"id": ["i1", "i2"]}},
        {RATES: {"src": ["u1", "u2"], "dst": ["i1", "i2"]}},
    )


def filled(id, value):
    return Delta(values={("user", "z"): {"id": [id], "value": [value]}})


def column(value):
    return Delta(columns={("user", "q"): {"id": ["u1"], "value": [value]}})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (filled("u1", 1), filled("u2", "text")),
        (filled("u1", 1), Delta({"user": {"id": ["n"], "z": ["text"]}})),
        (column(1), Delta({"user": {"id": ["n"], "q": ["text"]}})),
    ],
)
def test_columns_of_unlike_types_are_refused_in_either_order(hin, first, second):
    for a, b in ((first, second), (second, first)):
        with raises(SchemaError, names="int64"):
            hin + a + b


def test_whole_and_decimal_numbers_are_decimal_in_either_order(hin):
    for deltas in (
        [filled("u1", 1), filled("u2", 2.5)],
        [column(2.5), Delta({"user": {"id": ["n"], "q": [1]}})],
    ):
        seen = [hin + a + b for a, b in itertools.permutations(deltas)]
        assert seen[0].equals(seen[1], ordered=False)
        name = "z" if "q" not in seen[0].nodes["user"].column_names else "q"
        assert seen[0].nodes["user"][name].type == "double"
        assert sorted(seen[0].nodes["user"][name].drop_null().to_pylist()) in ([1, 2.5],)


def test_a_delta_may_say_something_of_an_edge_type_that_it_brings(hin):
    pair = {"src": ["u1"], "dst": ["i2"]}
    two = {"src": ["u1", "u2"], "dst": ["i2", "i2"]}
    both = hin + Delta(
        edges={TAGS: two},
        masks={TAGS: pair},
        columns={(TAGS, "n"): {"src": ["u2"], "dst": ["i2"], "value": [4]}},
    )
    assert both.edges[TAGS].select(["src", "dst", "n"]).to_pylist() == [
        {"src": 1, "dst": 1, "n": 4}
    ]


def test_a_store_keeps_deltas_in_an_order_in_which_they_cannot_be_put_on(hin, tmp_path):
    first = Delta(edges={TAGS: {"src": ["u1"], "dst": ["i1"]}}, origin="first")
    masks = Delta(masks={TAGS: {"src": ["u2"], "dst": ["i2"]}})
    later = Delta(edges={TAGS: {"src": ["u2", "u3"], "dst": ["i2", "i2"]}}, origin="later")
    graph = hin + first + masks + later - first
    hinaug.save(graph, tmp_path / "store")
    for verify in (True, False):
        again = hinaug.load(tmp_path / "store", verify=verify)
        assert again == graph
        assert again.deltas == graph.deltas == (masks, later)
    with raises(SchemaError, asked=("user", "tags", "item")):
        HIN({"user": {"id": ["u2"]}, "item": {"id": ["i2"]}}, {}, [masks])


def test_values_of_many_deltas_fill_their_own_cells():
    n = 40
    ids = [f"u{i}" for i in range(n)]
    hin = HIN.from_tables({"user": {"id": ids, "age": [None] * (n - 1) + [3]}}, {})
    for i in range(0, n - 1, 2):
        hin += Delta(values={("user", "age"): {"id": [ids[i]], "value": [i]}})
    assert hin.nodes["user"]["age"].to_pylist() == [
        3 if i == n - 1 else i if i % 2 == 0 else None for i in range(n)
    ]


@pytest.mark.parametrize("how", ["majority", "intersection"])
def test_cells_of_generated_nodes_are_nothing_to_vote_on(how):
    one = Delta(
        {"user": {"id": ["new"]}},
        values={("user", "z"): {"id": ["new"], "value": [4]}},
        columns={("user", "c"): {"id": ["new", "u1", "u2"], "value": [1, 2, 3]}},
    )
    two = Delta(columns={("user", "c"): {"id": ["u1", "u3"], "value": [5, 6]}})
    merged = merge([one, two], how)
    assert merged.values["user", "z"]["id"].to_pylist() == ["new"]
    assert merged.columns["user", "c"]["id"].to_pylist() == ["new", "u1"]


def test_putting_a_delta_on_does_not_read_every_key_of_the_others(monkeypatch):
    ids = [f"u{i}" for i in range(100)]
    hin = HIN.from_tables({"user": {"id": ids, "age": [None] * 99 + [1]}}, {})
    for id in ids[:98]:
        hin += Delta(values={("user", "age"): {"id": [id], "value": [2]}})
    last = Delta(values={("user", "age"): {"id": ["u98"], "value": [2]}})
    read, keys = [], Delta.keys
    monkeypatch.setattr(Delta, "keys", lambda self: read.append(self) or keys(self))
    assert (hin + last).nodes["user"]["age"].null_count == 0
    assert len(read) <= 2  # those of the new delta
    with raises(SchemaError, asked=["u3"]):
        hin + Delta(values={("user", "age"): {"id": ["u3"], "value": [2]}}, origin="again")
    with raises(SchemaError, names="user"):
        hin + hin.deltas[5].select({("user", "age"): [True]})
