"""Small graphs to plant leaks in, and what the tests of the audit share."""

import dataclasses
import functools

import numpy as np
import pyarrow as pa

from hinaug.datasets import planted
from hinaug.graph.hin import HIN
from hinaug.split.audit import audit
from hinaug.split.random import random_split

RATES = ("user", "rates", "item")


def toy():
    """3 x 3, six ratings."""
    pairs = [("u1", "i1"), ("u1", "i2"), ("u2", "i2"), ("u2", "i3"), ("u3", "i1"), ("u3", "i3")]
    rates = {
        "src": [u for u, _ in pairs],
        "dst": [i for _, i in pairs],
        "rating": [5.0, 3, 4, 1, 2, 5],
        "time": [10, 20, 11, 21, 12, 22],
    }
    nodes = {"user": {"id": ["u1", "u2", "u3"]}, "item": {"id": ["i1", "i2", "i3"]}}
    return HIN.from_tables(nodes, {RATES: rates}, lineage="row")


@functools.cache
def world(n_users=60, n_items=40, *, reviews=False, integers=False, seed=0, dim=8):
    """The planted world with tags; integers: ids are numbers from 1."""
    hin = planted(n_users, n_items, 4, dim=dim, tags=True, rng=seed)
    hin = hin if reviews else hin.drop("review")
    if not integers:
        return hin
    nodes = {t: hin.nodes[t] for t in hin.nodes}
    for t in ("user", "item"):
        nodes[t] = nodes[t].set_column(0, "id", pa.array(np.arange(1, hin.n(t) + 1)))
    return HIN(nodes, {t: hin.edges[t] for t in hin.edges})


def split_of(hin, rng=0, **more):
    """At random; the toy holds out one pair of each user."""
    if hin.n("user") == 3:
        return random_split(hin, RATES, valid=0, test=1, rng=rng, **more)
    more.setdefault("evidence", [e for e in ("review",) if e in hin.nodes])
    return random_split(hin, RATES, rng=rng, **more)


@functools.cache
def clean_split(kind="text"):
    """The same clean split for many plants: ids are text, or integers; or the toy."""
    return split_of(toy() if kind == "toy" else world(integers=kind == "integers"))


def on_train(split, change):
    """The split with its train graph changed, as a user may do by hand."""
    return dataclasses.replace(split, train=change(split.train))


def ids(hin, type):
    """External ids in the type they came in."""
    return hin.ids(type).to_pylist()


def pairs(hin, type=RATES):
    a, b = ids(hin, type[0]), ids(hin, type[2])
    return [(a[s], b[d]) for s, d in zip(*hin.links(type), strict=True)]


def held(split):
    """(user, item) of valid and test."""
    a = {str(i): i for i in ids(split.source, split.target[0])}
    b = {str(i): i for i in ids(split.source, split.target[2])}
    return [
        (a[str(r["src"])], b[str(r["dst"])])
        for t in (split.valid, split.test)
        for r in t.to_pylist()
    ]


def histories(hin):
    """{user: items} over a whole graph."""
    out = {u: [] for u in ids(hin, "user")}
    for u, i in pairs(hin):
        out[u].append(i)
    return out


def nodes_added(hin, lineage="row", **tables):
    """With more node tables, given as columns."""
    new = HIN.from_tables(tables, {}, lineage=lineage)
    return HIN({**hin._nodes, **new._nodes}, dict(hin._edges))


def linked(hin, type, src, dst, lineage="row", **columns):
    """With a new edge type; the lineage is also that of its columns."""
    hin = hin.with_edges(type, {"src": list(src), "dst": list(dst), **columns}, lineage=lineage)
    for name in columns:
        hin = hin.with_column(type, name, hin.column(type, name), lineage)
    return hin


def named(split, where, kind=None, *deltas, graph="train"):
    """The leak of this graph whose place holds `where`; the message says what was found instead."""
    found = audit(split, *deltas)
    hits = [
        f for f in found.leaks if where in f.where and f.graph == graph and kind in (None, f.kind)
    ]
    assert hits, f"no leak {kind} at {where!r} in {found}"
    return hits[0]


def told(split, where):
    """Named as a leak or listed as unknown."""
    found = audit(split)
    assert any(where in f.where for f in [*found.leaks, *found.unknown]), (
        f"nothing at {where!r} in {found}"
    )


def undecided(split, where, *deltas):
    """Listed as unknown, and nothing called a leak."""
    found = audit(split, *deltas)
    assert any(where in f.where for f in found.unknown), f"nothing unknown at {where!r} in {found}"
    assert not found.leaks, found


def quiet(split, *deltas):
    """No leak."""
    found = audit(split, *deltas)
    assert not found.leaks, found
    return found
