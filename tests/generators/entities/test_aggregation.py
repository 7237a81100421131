"""The mean of a group: by hand on six users, by figures on a planted world."""

import numpy as np
import pyarrow as pa
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
from hinaug.datasets.planted import RATES
from hinaug.errors import SchemaError
from hinaug.generators import Aggregation, Synthesis
from hinaug.graph.hin import HIN


def test_groups_by_hand():
    """Two cliques of three: a group of k = 2 is the clique."""
    users = {
        "id": list("abcdef"),
        "age": [10, 20, 30, 40, 50, 60],
        "job": ["x", "x", "z", "z", "z", None],
        "v": np.array([[1.0, 0], [1, 0], [4, 0], [0, 1], [0, 1], [0, 4]]),
    }
    links = {
        "src": list("aabbccddeeff"),
        "dst": list("pqpqpqststst"),
        "rating": [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2],
    }
    hin = HIN.from_tables({"user": users, "item": {"id": list("pqrstu")}}, {RATES: links})
    for generator in (Aggregation(k=2, repeat=True), Aggregation(k=2, by="v", repeat=True)):
        delta = generator.fit(hin, rng=0).generate(hin, 100, rng=0)
        table, edges = delta.nodes["user"].to_pylist(), delta.edges[RATES].to_pylist()
        assert {(r["age"], r["job"], tuple(r["v"])) for r in table} == {
            (20, "x", (2.0, 0.0)),
            (50, "z", (0.0, 2.0)),
            (50, None, (0.0, 2.0)),  # a third of the clique has no job
        }
        young = {r["id"] for r in table if r["age"] == 20}
        assert {r["dst"] for r in edges if r["src"] in young} == {"p", "q"}
        assert {(r["dst"], r["rating"], r["confidence"]) for r in edges if r["dst"] in "pq"} == {
            ("p", 3, 1.0),
            ("q", 2, 1.0),
        }
        np.testing.assert_allclose([r["confidence"] for r in table], 1, rtol=1e-6)
    drawn = Aggregation(k=2, categories="draw").fit(hin, rng=0).generate(hin, 300, rng=0)
    jobs = drawn.nodes["user"]["job"].to_pylist()
    assert set(jobs) == {"x", "z", None}
    assert abs(jobs.count("x") / 300 - 1 / 3) < 0.1


def test_figures_on_a_planted_world():
    hin, truth = planted(300, 100, thin=0.3, missing=0.1, rng=0, return_truth=True)
    real, topic = hin.adjacency(RATES).toarray(), truth["item_topic"]
    delta = Aggregation(categories="draw").fit(hin, rng=0).generate(hin, 2.0, rng=1)
    made, table, *_ = rows(hin, delta)
    job = hin.column("user", "job").to_pylist()
    assert degree_distance(real, made) < 0.1
    assert popularity_correlation(real, made) > 0.9
    assert total_variation(job, table["job"].to_pylist()) < 0.1
    assert copies(real, made) == 0
    kept = mutual_information(table["job"].to_pylist(), main_topic(made, topic))
    assert kept > 0.7 * mutual_information(job, main_topic(real, topic))
    assert (hin + delta) - delta == hin
    delta = Aggregation("item", by="x").fit(hin, rng=0).generate(hin, 40, rng=1)
    assert rows(hin, delta, "item")[0].sum(1).min() >= 1


def test_small_graphs_and_bad_input():
    hin = HIN.from_tables(
        {"user": {"id": list("abc")}, "item": {"id": list("pq")}},
        {RATES: {"src": list("aab"), "dst": list("pqp")}},
    )
    assert Aggregation().fit(hin, rng=0).generate(hin, 4, rng=0).nodes["user"].num_rows == 4
    with raises(SchemaError, asked="age", there=[]):
        Aggregation(by="age").fit(planted(10, 5, rng=0))
    for wrong in ({"k": 0}, {"categories": "most"}, {"sharpness": 0}):
        with raises(ValueError, asked=next(iter(wrong.values())), names=next(iter(wrong))):
            Aggregation(**wrong)


def test_missing_values_levels_and_links_stay_as_they_were():
    hin = planted(300, 60, thin=1.0, thin_degree=2, missing=0.3, rng=0)
    level = pa.array(np.random.default_rng(0).integers(4, size=300) / 4)
    hin = hin.with_column("user", "level", level)
    real = hin.adjacency(RATES).toarray()
    for generator in (Aggregation(), Synthesis()):
        delta = generator.clone(relation=RATES).fit(hin, rng=0).generate(hin, 2.0, rng=1)
        made, table, *_ = rows(hin, delta)
        for name in ("age", "job"):
            assert abs(table[name].null_count / 600 - 0.3) < 0.07
        assert set(table["level"].to_pylist()) <= {0, 0.25, 0.5, 0.75}
        assert copies(real, made) == 0
