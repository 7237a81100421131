"""Planted copies are found, all of them, and nothing else."""

import numpy as np
import pyarrow as pa
import pytest
from entities_world import World, replaced

from hinaug import HIN, Delta
from hinaug.datasets.planted_mixed import FOLLOWS, RATES
from hinaug.evaluation.privacy import copies
from hinaug.evaluation.privacy.copies import nearer_to_seen
from hinaug.evaluation.sample import real_and_made


@pytest.fixture(scope="module")
def world():
    return World()


def found(hin, delta, node="user"):
    return copies(*real_and_made(hin, delta, node, "test"))


def with_links_of(world, new, old, columns):
    """The world's delta, its users at rows `new` with the links of the real users `old`."""
    hin, names = world.hin, world.users["id"].to_pylist()
    gone = pa.array([names[i] for i in new])
    rates, follows = (
        t.filter(
            pa.array(
                [
                    a not in set(gone.to_pylist()) and b not in set(gone.to_pylist())
                    for a, b in zip(t["src"].to_pylist(), t["dst"].to_pylist(), strict=True)
                ]
            )
        )
        for t in (world.rates, world.follows)
    )
    users = np.array(hin.ids("user").to_pylist(), object)
    for at, copied in zip(new, old, strict=True):
        for type, table in ((RATES, "rates"), (FOLLOWS, "follows")):
            src, dst = hin.links(type)
            out = hin.edges[type].filter(pa.array(src == copied))
            ids = np.array(hin.ids(type[2]).to_pylist(), object)
            rows = {
                "src": [names[at]] * out.num_rows,
                "dst": ids[dst[src == copied]].tolist(),
                **{c: out[c] for c in out.column_names if c not in ("src", "dst")},
            }
            if table == "rates":
                rates = pa.concat_tables([rates, pa.table(rows).cast(rates.schema)])
            else:
                into = users[src[dst == copied]].tolist()
                rows = {"src": rows["src"] + into, "dst": rows["dst"] + [names[at]] * len(into)}
                follows = pa.concat_tables([follows, pa.table(rows)])
    table = world.users
    if columns:
        for name in table.column_names[1:]:
            values, real = table[name].to_pylist(), hin.nodes["user"][name].to_pylist()
            for at, copied in zip(new, old, strict=True):
                values[at] = real[copied]
            table = replaced(table, name, values)
    return world.delta(table, rates, follows)


def test_a_hundredth_of_copies_is_found_whole(world):
    new, old = [3, 100, 222, 333, 499], [7, 900, 12, 500, 0]
    names, users = world.users["id"].to_pylist(), world.hin.ids("user").to_pylist()
    expected = {names[a]: users[b] for a, b in zip(new, old, strict=True)}
    for columns, what in ((False, "links"), (True, "links and columns")):
        got = found(world.hin, with_links_of(world, new, old, columns))
        rows = {r["id"]: r for r in got.table.to_pylist()}
        assert {i: r["of"] for i, r in rows.items() if i in expected} == expected
        assert {rows[i]["what"] for i in expected} == {what}
        assert len(rows) == len(expected) + found(world.hin, world.delta()).table.num_rows
        assert got.share == pytest.approx(len(rows) / len(names))


@pytest.mark.parametrize(
    "column",
    [
        ["a", None, "b", "a"],
        [1.5, None, 2.0, 1.5],
        [True, None, False, True],
        [["x", "y"], None, [], ["y", "x"]],
        pa.array([1, None, 3, 1], pa.date32()),
        np.array([[1.0, 2], [3, 4], [5, 6], [1, 2]]),
        pa.array([b"q", None, b"", b"q"]),
        pa.array(["a", None, "b", "a"]).dictionary_encode(),
    ],
)
def test_columns_of_every_kind(column):
    """Nodes without links are compared by their columns; a list by its elements."""
    hin = HIN.from_tables({"thing": {"id": list("pqrs"), "c": column}}, {})
    made = hin.nodes["thing"].slice(1, 3).set_column(0, "id", pa.array(["n1", "n2", "n3"]))
    got = found(hin, Delta({"thing": made}), "thing").table.to_pydict()
    assert got == {"id": ["n1", "n2", "n3"], "of": ["q", "r", "p"], "what": ["columns"] * 3}
    other = pa.table({"id": ["n1"], "c": made["c"].slice(0, 1)}).set_column(
        1, "c", pa.nulls(1, made["c"].type)
    )
    n = found(hin, Delta({"thing": other}), "thing").table.num_rows
    assert n == hin.nodes["thing"]["c"].null_count


def test_nearer_to_seen():
    rng = np.random.default_rng(0)
    seen, unseen, made = (rng.normal(size=(400, 3)) for _ in range(3))
    assert abs(nearer_to_seen(made, seen, unseen) - 0.5) < 0.08
    assert nearer_to_seen(seen + 1e-6, seen, unseen) == 1
    assert nearer_to_seen(made, seen, seen) == 0.5
