"""Leaks that no list of aggregates holds, honest columns that look like them, and the budget."""

import functools
import sys

import numpy as np
import pytest
from leak_worlds import linked, nodes_added

from hinaug.graph.hin import HIN
from hinaug.split.audit import audit
from hinaug.split.random import random_split
from hinaug.split.temporal import temporal_split

RATES = ("user", "rates", "item")


@functools.cache
def skewed(n=250):
    """400 users, n items of very different popularity; (graph, appeal and style of each item)."""
    rng = np.random.default_rng(5)
    appeal = rng.normal(size=n)
    taste, style = rng.normal(size=(400, 3)), rng.normal(size=(n, 3))
    p = 1 / (1 + np.exp(3.3 - appeal - 0.5 * taste @ style.T))
    src, dst = np.nonzero(rng.random(p.shape) < p)
    users, items = ([f"{c}{k:03d}" for k in range(size)] for c, size in (("u", 400), ("i", n)))
    rows = {
        "src": [users[k] for k in src],
        "dst": [items[k] for k in dst],
        "rating": rng.integers(1, 6, len(src)),
        "time": rng.integers(1, 10**6, len(src)),
    }
    nodes = {"user": {"id": users}, "item": {"id": items}}
    return HIN.from_tables(nodes, {RATES: rows}, lineage="row"), appeal, style


def count(hin):
    return np.bincount(hin.links(RATES)[1], minlength=hin.n("item"))


def in_halves(hin):
    return np.random.default_rng(0).binomial(count(hin), 0.5)


LEAKS = {
    "a little noise": lambda hin: count(hin) + np.random.default_rng(0).normal(size=hin.n("item")),
    "a bucket": lambda hin: [f"b{k}" for k in count(hin) // 4],
    "with a rare rating": lambda hin: (
        count(hin) + 0.3 * np.bincount(hin.links(RATES)[1], hin.vectors(RATES, "rating")[:, 0])
    ),
}


@pytest.mark.parametrize("name", LEAKS)
def test_what_is_computed_with_held_out_rows(name):
    hin, *_ = skewed()
    split = random_split(hin.with_column("item", "x", LEAKS[name](hin), "row"), RATES, rng=0)
    leaks = audit(split).leaks
    assert {(f.where, f.graph) for f in leaks} >= {("item.x", "train")}
    assert all(f.remedy for f in leaks)


def test_a_noisy_count_of_held_out_rows_alone():
    hin, *_ = skewed(600)
    y = count(hin) - count(random_split(hin, RATES, rng=0).train)
    noise = np.random.default_rng(0).random((2, len(y)))
    hin = hin.with_column("item", "x", y * (1 + 0.3 * noise[0]) + 0.3 * noise[1], "row")
    found = audit(random_split(hin, RATES, rng=0)).leaks
    assert {f.where for f in found} == {"item.x"}


def test_some_of_the_nearest_items_by_the_source():
    hin, *_ = skewed(600)
    x = hin.adjacency(RATES).toarray().T
    score = x @ x.T
    np.fill_diagonal(score, 0)
    best = np.argsort(-score, axis=1)[:, :8]
    chosen = np.random.default_rng(0).random(best.shape) < 0.35
    ids = np.array(hin.ids("item").to_pylist())
    src, dst = ids[np.nonzero(chosen)[0]].tolist(), ids[best[chosen]].tolist()
    hin = linked(hin, ("item", "like", "item"), src, dst)
    found = audit(random_split(hin, RATES, rng=0)).leaks
    assert {f.where for f in found} == {"item like item"}


def test_when_a_user_was_last_seen_here_or_soon_after_elsewhere():
    hin, *_ = skewed()
    last = np.zeros(hin.n("user"))
    np.maximum.at(last, hin.links(RATES)[0], np.array(hin.column(RATES, "time"), float))
    seen = last + np.random.default_rng(0).exponential(1_000, len(last))
    found = audit(temporal_split(hin.with_column("user", "seen", seen, "row"), RATES))
    assert not found.leaks
    assert {f.where for f in found.unknown} == {"user.seen"}


def test_two_columns_that_only_together_tell_the_count():
    hin, *_ = skewed()
    half = in_halves(hin)
    hin = hin.with_column("item", "web", half, "row")
    hin = hin.with_column("item", "shop", count(hin) - half, "row")
    leaks = audit(random_split(hin, RATES, rng=0)).leaks
    assert any("item.web and item.shop" in f.where for f in leaks)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("make", [random_split, temporal_split])
def test_columns_that_know_rates_and_tastes_are_honest(make, seed):
    hin, appeal, style = skewed()
    rng = np.random.default_rng(seed)
    columns = {
        "appeal": appeal,
        "sold elsewhere": rng.poisson(20 * np.exp(appeal)),
        "bestseller": appeal > 1,
        "style": style,
        "shelf": [f"s{k}" for k in np.digitize(appeal, [-1, 0, 1])],
    }
    for name, values in columns.items():
        hin = hin.with_column("item", name, values, "row")
    split = make(hin, RATES, **({"rng": seed} if make is random_split else {}))
    assert not audit(split).leaks


def test_titles_of_the_last_item_that_two_items_share():
    hin, *_ = skewed()
    src, dst = hin.links(RATES)
    last = dict(zip(src.tolist(), dst.tolist(), strict=True))
    titles = [f"part {k // 2}" for k in range(hin.n("item"))]
    said = [titles[last[u]] if u in last else None for u in range(hin.n("user"))]
    hin = hin.with_column("item", "title", titles, "row")
    split = random_split(hin.with_column("user", "now", said, "row"), RATES, rng=0)
    assert {f.where for f in audit(split).leaks} == {"user.now"}


def test_a_vocabulary_is_no_copy_of_the_texts_that_use_it():
    hin, *_ = skewed()
    users, items = hin.ids("user").to_pylist(), hin.ids("item").to_pylist()
    words = [f"word{k % 30}" for k in range(hin.n(RATES))]
    src, dst = hin.links(RATES)
    hin = nodes_added(
        hin,
        note={"id": [f"n{k}" for k in range(len(words))], "text": words},
        word={"id": sorted(set(words)), "text": sorted(set(words))},
    )
    notes = hin.ids("note").to_pylist()
    hin = linked(hin, ("user", "left", "note"), [users[k] for k in src], notes)
    hin = linked(hin, ("note", "on", "item"), notes, [items[k] for k in dst])
    assert not audit(random_split(hin, RATES, evidence=["note"], rng=0)).leaks


@pytest.mark.parametrize("by", [{"user": 0}, {"item": 1}])
def test_the_same_text_twice_by_one_user_or_on_one_item(by):
    ((end, side),) = by.items()
    hin, *_ = skewed()
    ends = hin.links(RATES)
    texts = [f"a long text that {n} wrote here once and for all" for n in ends[side]]
    hin = nodes_added(hin, note={"id": [f"n{k}" for k in range(len(texts))], "text": texts})
    users, items = hin.ids("user").to_pylist(), hin.ids("item").to_pylist()
    notes = hin.ids("note").to_pylist()
    hin = linked(hin, ("user", "left", "note"), [users[k] for k in ends[0]], notes)
    hin = linked(hin, ("note", "on", "item"), notes, [items[k] for k in ends[1]])
    leaks = audit(random_split(hin, RATES, evidence=["note"], rng=0)).leaks
    assert {(f.kind, f.where) for f in leaks} == {("twin text", "note.text")}, end


def test_the_end_of_the_budget_is_unknown(monkeypatch):
    split = random_split(skewed()[0], RATES, rng=0)
    for given, word in (({"seconds": 0}, "time"), ({"memory": 10}, "memory")):
        if word == "memory":  # nothing is made of a graph that is too large
            monkeypatch.setattr(sys.modules["hinaug.split.audit"], "View", None)
        found = audit(split, **given)
        assert not found.leaks
        assert {f.kind for f in found.unknown} == {"budget"}
        assert all(f"lack of {word}" in f.why for f in found.unknown)
        assert {f.remedy for f in found.unknown} == {f"call audit with more {next(iter(given))}="}
