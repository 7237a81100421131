"""A fitted generator holds no real nodes: it reads them from the graph that it generates for, by
external id; and what it can be asked to generate for.
"""

import pickle

import numpy as np
import pyarrow as pa
import pytest
from raising import raises
from worlds import rows

from hinaug.datasets import planted
from hinaug.datasets.planted import RATES
from hinaug.errors import ParameterError, SchemaError
from hinaug.generators import Aggregation, JointVAE, SecondMoment, Synthesis
from hinaug.generators.entities.attributes import values_at
from hinaug.generators.entities.profiles import number_array, profiles
from hinaug.graph.hin import HIN

GENERATORS = [
    Synthesis(),
    Synthesis(pair="random"),
    Aggregation(),
    JointVAE("user", epochs=2),
    SecondMoment(),
]
every_generator = pytest.mark.parametrize("generator", GENERATORS, ids=lambda g: type(g).__name__)


def of_rates(generator):
    """The generator with links of one relation alone."""
    name = "relation" if hasattr(generator, "relation") else "relations"
    return generator.clone(**{name: RATES if name == "relation" else [RATES]})


@pytest.fixture(scope="module")
def hin():
    return planted(60, 30, missing=0.1, rng=0)


def reversed_rows(hin):
    """The users and items in the opposite order; ids and links stay."""
    nodes = {t: hin.nodes[t].take(list(range(hin.n(t)))[::-1]) for t in ("user", "item")}
    src, dst = hin.links(RATES)
    table = hin.edges[RATES].drop_columns(["src", "dst"])
    ends = {"src": hin.ids("user", src), "dst": hin.ids("item", dst)}
    links = {**ends, **{c: table[c] for c in table.column_names}}
    return HIN.from_tables(nodes, {RATES: pa.table(links)})


@every_generator
def test_works_on_a_graph_with_more_users_fewer_items_and_another_order(generator, hin):
    fitted = of_rates(generator).fit(hin, rng=0)
    fewer = hin.filter_nodes("item", np.arange(hin.n("item")) % 2 == 0)
    more = hin.with_nodes("user", {"id": ["new-1", "new-2"]}).with_edges(
        RATES, {"src": ["new-1", "new-2"], "dst": hin.ids("item", [0, 1])}
    )
    for graph in (fewer, more, reversed_rows(hin)):
        delta = fitted.generate(graph, 12, rng=0)
        made, *_ = rows(graph, delta)  # raises for an item that the graph lacks
        assert made.sum(1).min() >= 1
        assert graph + delta - delta == graph


@every_generator
def test_another_kind_of_column_or_none_is_said(generator, hin):
    fitted = of_rates(generator).fit(hin, rng=0)
    age = hin.column("user", "age")
    without = HIN.from_tables(
        {"user": hin.nodes["user"].drop_columns(["age"]), "item": hin.nodes["item"]},
        {RATES: _by_id(hin)},
    )
    with raises(SchemaError, asked="age", there=["job"]):
        fitted.generate(without, 3, rng=0)
    with raises(SchemaError, asked="age", there=["age", "job"], names="float"):
        fitted.generate(hin.with_column("user", "age", age.cast(pa.float32())), 3, rng=0)


def _by_id(hin):
    src, dst = hin.links(RATES)
    return {"src": hin.ids("user", src), "dst": hin.ids("item", dst)}


def test_links_to_fitted_items_are_needed(hin):
    fitted = SecondMoment().fit(hin, rng=0)
    items = {**{c: hin.nodes["item"][c] for c in hin.nodes["item"].column_names}}
    items["id"] = pa.array([f"other-{i}" for i in range(hin.n("item"))])
    src, dst = hin.links(RATES)
    links = {"src": hin.ids("user", src), "dst": items["id"].take(pa.array(dst))}
    other = HIN.from_tables({"user": hin.nodes["user"], "item": items}, {RATES: links})
    with raises(SchemaError, names="targets"):
        fitted.generate(other, 3, rng=0)


@every_generator
def test_nothing_of_the_nodes_is_kept(generator, hin):
    """A generator fitted on ten times the users is as large, but for a number a user, sorted."""
    many = planted(600, 30, missing=0.1, rng=0)
    fitted = generator.clone().fit(many, rng=0)
    few = generator.clone().fit(hin, rng=0)
    fitted.generate(many, 3, rng=0)  # caches of the graph at hand are not saved
    assert len(pickle.dumps(fitted)) < len(pickle.dumps(few)) + 8 * 600 + 1000
    assert pickle.loads(pickle.dumps(fitted)).generate(many, 3, rng=0) == fitted.generate(
        many, 3, rng=0
    )


# ---- conditions ----------------------------------------------------------------------------------


@every_generator
def test_named_nodes_are_the_parents(generator):
    """Two groups that share nothing: what is made after one group links within it."""
    links = {"src": list("aaabbbccc") + list("xxxyyyzzz"), "dst": list("pqrpqrpqrstustustu")}
    hin = HIN.from_tables(
        {"user": {"id": list("abcxyz")}, "item": {"id": list("pqrstu")}}, {RATES: links}
    )
    generator = generator.clone()
    for name, value in (("k", 2), ("neighbors", 2), ("pair", "similar"), ("repeat", True)):
        if hasattr(generator, name):
            setattr(generator, name, value)
    if isinstance(generator, SecondMoment):
        return  # its sources give degrees alone
    if isinstance(generator, JointVAE):
        generator = JointVAE(epochs=400, batch_size=6, kl=0.0, temperature=0.2)
    fitted = generator.fit(hin, rng=0)
    delta = fitted.generate(hin, condition=["x", "z"], rng=0)
    assert delta.nodes["user"].num_rows == 2
    assert set(delta.edges[RATES]["dst"].to_pylist()) == set("stu")
    assert fitted.generate(hin, 5, condition=["a"], rng=0).nodes["user"].num_rows == 5
    lonely = hin.with_nodes("user", {"id": ["w"]})
    with raises(ParameterError, asked=["w"]):
        fitted.generate(lonely, condition=["a", "w"], rng=0)


@every_generator
def test_given_attributes_replace_the_generated_ones(generator, hin):
    fitted = generator.clone().fit(hin, rng=0)
    table = fitted.generate(hin, 5, condition={"age": [20, 71]}, rng=0).nodes["user"]
    assert table["age"].to_pylist() == [20, 71, 20, 71, 20]
    assert table["age"].type == hin.column("user", "age").type
    assert "job" in table.column_names
    with raises(SchemaError, asked=pa.string(), there=pa.int64()):
        fitted.generate(hin, condition={"age": ["old"]}, rng=0)


# ---- kinds of columns, large numbers -------------------------------------------------------------


@every_generator
def test_categories_of_pandas_and_whole_numbers_of_64_bits(generator, hin):
    whole = np.random.default_rng(0).integers(-(2**62), 2**62, hin.n("user"))
    graph = hin.with_column("user", "big", pa.array(whole))
    graph = graph.with_column("user", "unsigned", pa.array(whole.astype(np.uint64)))
    for job in (hin.column("user", "job").dictionary_encode(), pa.array([True, None] * 30)):
        graph = graph.with_column("user", "kind", job)
        delta = of_rates(generator).fit(graph, rng=0).generate(graph, 20, rng=0)
        made = delta.nodes["user"]
        assert made["kind"].type == graph.column("user", "kind").type
        assert set(made["kind"].to_pylist()) <= set(job.to_pylist())
        for name, kind in (("big", pa.int64()), ("unsigned", pa.uint64())):
            assert made[name].type == kind
            values = graph.column("user", name).to_pylist()
            assert min(values) <= min(made[name].to_pylist())
            assert max(made[name].to_pylist()) <= max(values)


def test_whole_numbers_of_64_bits_come_back_exactly():
    values = pa.array([2**62 + 1, -(2**62) - 3, 5, 2**63 - 1])
    assert values_at(values, np.arange(4), "ordered", np.random.default_rng(0)).equals(values)
    top = number_array(np.array([1e30, -1e30, 2.4, 0.0]), np.array([0, 0, 0, 1], bool), pa.int64())
    assert top.to_pylist()[1:] == [-(2**63), 2, None]
    assert 2**63 - 2048 <= top[0].as_py() < 2**63
    narrow = number_array(np.array([1e9, -5.0]), np.zeros(2, bool), pa.uint8())
    assert narrow.to_pylist() == [255, 0]


def test_degrees_beyond_the_range_of_their_product():
    """Two items of 46,342 users: the product of their degrees does not fit 32 bits."""
    n = 46_342
    users = pa.array([f"u{i}" for i in range(n)])
    links = {"src": pa.concat_arrays([users, users]), "dst": ["p"] * n + ["q"] * n}
    hin = HIN.from_tables({"user": {"id": users}, "item": {"id": ["p", "q"]}}, {RATES: links})
    fitted = Synthesis("item", pair="random").fit(hin, rng=0)
    delta = fitted.generate(hin, 2, rng=0)
    np.testing.assert_allclose(delta.nodes["item"]["confidence"].to_numpy(), 1)
    assert profiles(hin, "item", RATES, "test").degree.dtype == np.int64


def test_columns_of_a_profile_follow_the_targets(hin):
    ids = hin.ids("item", [4, 2, 9]).to_pylist()
    real = profiles(hin, "user", RATES, "test", pa.array([ids[0], "nowhere", ids[1], ids[2]]))
    wanted = hin.adjacency(RATES).toarray()[:, [4, 2, 9]]
    has_links = wanted.sum(1) > 0
    np.testing.assert_array_equal(real.links.toarray()[:, [0, 2, 3]], wanted[has_links])
    assert real.links.toarray()[:, 1].sum() == 0
    assert real.present.tolist() == [True, False, True, True]
    np.testing.assert_array_equal(real.nodes, np.flatnonzero(has_links))
    np.testing.assert_array_equal(real.ratings.toarray() > 0, real.links.toarray() > 0)
    rows_of = real.rows_of(np.arange(hin.n("user")))
    assert (rows_of[has_links] == np.arange(has_links.sum())).all()
    assert (rows_of[~has_links] == -1).all()


@every_generator
def test_infinite_numbers_and_half_floats(generator, hin):
    n = hin.n("user")
    vectors = [[float("inf") if i % 3 else 1.0, float(i)] for i in range(n)]
    columns = {
        "few": pa.array([float("inf"), -float("inf"), 1.0] * (n // 3)),
        "many": pa.array([float("inf"), *map(float, range(n - 1))]),
        "half": pa.array(np.arange(n), pa.float32()).cast(pa.float16()),
        "vector": pa.array(vectors, pa.list_(pa.float32(), 2)),
    }
    graph = hin
    for name, column in columns.items():
        graph = graph.with_column("user", name, column)
    rating = np.where(np.arange(hin.n(RATES)) % 9, 3.0, np.inf)
    graph = graph.with_column(RATES, "rating", pa.array(rating))
    made = of_rates(generator).fit(graph, rng=0).generate(graph, 20, rng=0).nodes["user"]
    for name, column in columns.items():
        assert made[name].type == column.type
        assert made[name].null_count < 20
