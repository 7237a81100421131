"""X1 + X2: children look like their parents, and their links have real degrees."""

import numpy as np
import pyarrow as pa
import pytest
from raising import raises
from worlds import (
    copies,
    degree_distance,
    main_topic,
    mutual_information,
    popularity_correlation,
    rows,
    total_variation,
)

from hinaug.datasets import planted
from hinaug.datasets.planted import ABOUT, RATES
from hinaug.errors import ParameterError, SchemaError
from hinaug.generators import Synthesis
from hinaug.graph.hin import HIN
from hinaug.io import store as io


@pytest.fixture(scope="module")
def world():
    return planted(300, 100, thin=0.3, missing=0.1, rng=0, return_truth=True)


def test_children_of_alike_parents_are_alike(world):
    hin, truth = world
    real = hin.adjacency(RATES).toarray()
    delta = Synthesis().fit(hin, rng=0).generate(hin, 2.0, rng=1)
    made, table, *_ = rows(hin, delta)
    assert made.shape == (600, 100)
    assert degree_distance(real, made) < 0.1
    assert popularity_correlation(real, made) > 0.9
    assert copies(real, made) == 0
    job = hin.column("user", "job").to_pylist()
    assert total_variation(job, table["job"].to_pylist()) < 0.1
    topic = truth["item_topic"]
    kept = mutual_information(table["job"].to_pylist(), main_topic(made, topic))
    assert kept > 0.7 * mutual_information(job, main_topic(real, topic))
    assert table["age"].type == hin.column("user", "age").type
    assert (hin + delta) - delta == hin


def test_links_and_attributes_come_from_the_two_parents():
    """Two users, so every child has the same two parents and all can be counted by hand."""
    users = {
        "id": ["a", "b"],
        "age": [20, 30],
        "pay": [20.5, 30.5],
        "job": ["x", "x"],
        "note": ["free", "text"],
        "v": np.array([[0.0, 2], [1, 4]]),
    }
    links = {
        "src": list("aaabbb"),
        "dst": list("pqrqrs"),
        "rating": [1, 2, 3, 4, 5, 5],
        "time": range(6),
    }
    hin = HIN.from_tables({"user": users, "item": {"id": list("pqrst")}}, {RATES: links})
    delta = Synthesis(relation=RATES, repeat=True).fit(hin, rng=0).generate(hin, 200, rng=0)
    table, edges = delta.nodes["user"], delta.edges[RATES]
    assert set(table["age"].to_pylist()) <= {20, 30}  # levels: nothing between
    assert table["pay"].to_pylist() == [25.5] * 200
    assert table["job"].to_pylist() == ["x"] * 200
    np.testing.assert_allclose(np.array(table["v"].to_pylist()), [[0.5, 3]] * 200)
    assert "note" not in table.column_names
    np.testing.assert_allclose(
        table["confidence"].to_numpy(), 2 / 3, rtol=1e-6
    )  # cosine of the parents
    assert edges.num_rows == 600
    counts = {c["values"]: c["counts"] for c in edges["dst"].value_counts().to_pylist()}
    assert set(counts) == set("pqrs")
    assert min(counts["q"], counts["r"]) > max(counts["p"], counts["s"])
    by_item = {(r["dst"], r["rating"], r["confidence"]) for r in edges.to_pylist()}
    assert by_item == {("p", 1, 0.5), ("q", 3, 1.0), ("r", 4, 1.0), ("s", 5, 0.5)}
    assert "time" not in edges.column_names
    picked = Synthesis(relation=RATES, numbers="pick").fit(hin, rng=0).generate(hin, 50, rng=0)
    assert set(picked.nodes["user"]["age"].to_pylist()) == {20, 30}


def test_random_pairs_items_and_chosen_relation(world):
    hin, _ = world
    delta = Synthesis(pair="random").fit(hin, rng=0).generate(hin, 50, rng=0)
    assert delta.nodes["user"].num_rows == 50
    delta = Synthesis("item").fit(hin, rng=0).generate(hin, 50, rng=0)
    made, table, *_ = rows(hin, delta, "item")
    assert made.sum(1).min() >= 1
    assert pa.types.is_fixed_size_list(table["x"].type)
    assert hin + delta - delta == hin
    delta = Synthesis("item", relation=ABOUT).fit(hin, rng=0).generate(hin, 5, rng=0)
    assert list(delta.edges) == [ABOUT]


def test_learns_from_the_graph_as_it_is_seen_but_from_observed_nodes_only(world):
    hin, _ = world
    first = Synthesis().fit(hin, rng=0).generate(hin, 20, rng=0)
    second = Synthesis().fit(hin + first, rng=0)
    assert second._real(hin + first).links.shape == (300, 100)
    delta = second.generate(hin + first, 20, rng=1)
    assert (hin + first + delta) - first - delta == hin


def test_small_graphs_bad_input_and_saving(tmp_path):
    hin = HIN.from_tables(
        {"user": {"id": list("abc")}, "item": {"id": list("pq")}},
        {RATES: {"src": list("aab"), "dst": list("pqp")}},
    )
    generator = Synthesis().fit(hin, rng=0)
    delta = generator.generate(hin, 4, rng=0)
    assert delta.nodes["user"].num_rows == 4
    assert len(generator.generate(hin, 0)) == 0
    io.save(generator, tmp_path / "s")
    assert io.load(tmp_path / "s").generate(hin, 4, rng=0) == delta
    one = HIN.from_tables(
        {"user": {"id": ["a"]}, "item": {"id": ["p"]}}, {RATES: {"src": ["a"], "dst": ["p"]}}
    )
    assert len(Synthesis(relation=RATES).fit(one, rng=0).generate(one, 2, rng=0).edges[RATES]) == 2
    with raises(ParameterError, names="relation="):
        Synthesis().fit(one)
    empty = HIN.from_tables(
        {"user": {"id": ["a"]}, "item": {"id": ["p"]}}, {RATES: {"src": [], "dst": []}}
    )
    with raises(SchemaError, names="1 'user' nodes"):
        Synthesis(relation=RATES).fit(empty)
    with raises(ParameterError, asked=ABOUT):
        Synthesis(relation=ABOUT).fit(planted(5, 5, rng=0))
    for wrong in ({"pair": "near"}, {"numbers": "sum"}, {"neighbors": 0}):
        with raises(ValueError, asked=next(iter(wrong.values())), names=next(iter(wrong))):
            Synthesis(**wrong)
