"""Held-out pairs that stand in the train graph as edges, or over nodes between their ends."""

import numpy as np
import pyarrow as pa
import pytest
from leak_worlds import (
    RATES,
    clean_split,
    held,
    histories,
    ids,
    linked,
    named,
    nodes_added,
    on_train,
    pairs,
    quiet,
    split_of,
    toy,
    undecided,
    world,
)

from hinaug.datasets.planted import WROTE
from hinaug.graph.hin import HIN
from hinaug.split.audit import audit
from hinaug.split.random import random_split

KINDS = ["text", "integers", "toy"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_pair_its_twin_and_its_reverse(kind):
    split = clean_split(kind)
    u, i = held(split)[0]

    def with_all(g):
        rating = g.edges[RATES].schema.field("rating").type
        g = g.with_edges(
            RATES, {"src": [u], "dst": [i], "rating": pa.array([3], rating), "time": [1]}
        )
        g = linked(g, ("user", "buys", "item"), [u], [i], stars=[2])
        return linked(g, ("item", "bought by", "user"), [i], [u])

    found = audit(on_train(split, with_all)).leaks
    kinds = {(f.kind, f.where): f for f in found}
    for key in (
        ("pair", "user rates item"),
        ("twin", "user buys item"),
        ("reverse", "item bought by user"),
    ):
        assert kinds[key].count == 1
        assert kinds[key].examples == ((str(u), str(i)),)


def test_a_duplicate_row_under_another_name_with_other_attributes():
    split = clean_split()
    src, dst = zip(*pairs(split.source), strict=True)
    leak = named(
        on_train(
            split, lambda g: linked(g, ("user", "liked", "item"), src, dst, when=[1] * len(src))
        ),
        "liked",
    )
    assert leak.count == len(held(split))


@pytest.mark.parametrize("kind", KINDS)
def test_a_witness_node(kind):
    split = clean_split(kind)
    (u, i), *_ = held(split)

    def change(g):
        g = linked(nodes_added(g, memo={"id": ["m"]}), ("user", "made", "memo"), [u], ["m"])
        return linked(g, ("memo", "on", "item"), ["m"], [i])

    leak = named(on_train(split, change), "user memo item", "path")
    assert leak.examples == ((str(u), str(i)),)


@pytest.mark.parametrize("chain", [("order", "line"), ("stub", "stub"), ("a", "b", "c")])
def test_a_path_over_private_nodes(chain):
    split = clean_split()
    out = held(split)[:20]

    def change(g):
        names = {
            c: [f"{c}{at}-{k}" for at, x in enumerate(chain) if x == c for k in range(len(out))]
            for c in chain
        }
        g = nodes_added(g, **{c: {"id": n} for c, n in names.items()})
        here, step = [u for u, _ in out], "user"
        for at, c in enumerate(chain):
            there = [f"{c}{at}-{k}" for k in range(len(out))]
            if at % 2:  # edges may point either way
                g = linked(g, (c, f"r{at}", step), there, here)
            else:
                g = linked(g, (step, f"r{at}", c), here, there)
            here, step = there, c
        return linked(g, (chain[-1], "to", "item"), here, [i for _, i in out])

    assert named(on_train(split, change), " ".join(chain), "path").count == len(out)


@pytest.mark.parametrize("noise", [0, 2])
@pytest.mark.parametrize("kind", ["text", "toy"])
def test_a_wish_list_private_to_a_user(kind, noise):
    split = clean_split(kind)
    lists = {u: [i for v, i in held(split) if v == u] for u, _ in held(split)}
    for k, (u, wished) in enumerate(lists.items()):
        others = [i for i in ids(split.source, "item") if i not in histories(split.source)[u]]
        wished += others[k : k + noise]

    def change(g):
        g = nodes_added(g, wish={"id": [f"w{k}" for k in range(len(lists))]})
        g = linked(g, ("user", "has", "wish"), lists, [f"w{k}" for k in range(len(lists))])
        rows = [(f"w{k}", i) for k, wished in enumerate(lists.values()) for i in wished]
        return linked(g, ("wish", "of", "item"), *zip(*rows, strict=True))

    assert named(on_train(split, change), "wish", "path").count == len(held(split))


def test_clubs_of_all_raters_of_an_item_however_many_they_are():
    hin = world(300, 8)
    split = split_of(hin)
    rows = [(u, f"club of {i}") for u, i in pairs(hin)]

    def change(g):
        g = nodes_added(g, club={"id": [f"club of {i}" for i in ids(hin, "item")]})
        g = linked(g, ("user", "in", "club"), *zip(*rows, strict=True))
        return linked(
            g,
            ("club", "around", "item"),
            [f"club of {i}" for i in ids(hin, "item")],
            ids(hin, "item"),
        )

    assert max(len([r for r in rows if r[1] == c]) for c in {r[1] for r in rows}) > 100
    assert named(on_train(split, change), "user club item", "path").count == len(held(split))


def test_reviews_left_behind_and_evidence_of_the_wrong_type():
    hin = world(reviews=True)
    for evidence in ((), ("tag",)):
        split = split_of(hin, evidence=evidence)
        assert named(split, "user review item", "path").count == len(held(split))
        assert named(split, "user review item", graph="train_valid").count == split.test.num_rows
    quiet(split_of(hin))


def test_reviews_that_lost_their_author_alone_are_still_there():
    hin = world(reviews=True)
    split = split_of(hin, evidence=())
    known = set(pairs(split.train))
    cut = [pair in known for pair in pairs(hin)]
    leak = named(
        on_train(split, lambda g: g.filter_edges(WROTE, np.array(cut))), "review", "remnant"
    )
    assert leak.count == len(held(split))


def test_a_review_of_two_authors():
    rng = np.random.default_rng(0)
    wrote, about, rated = [], [], set()
    for k in range(60):
        item = f"i{rng.integers(15)}"
        about.append((f"r{k}", item))
        for u in rng.choice(20, 2, replace=False):
            wrote.append((f"u{u}", f"r{k}"))
            rated.add((f"u{u}", item))
    rows = {
        RATES: sorted(rated),
        ("user", "wrote", "review"): wrote,
        ("review", "about", "item"): about,
    }
    names = {
        "user": [f"u{k}" for k in range(20)],
        "item": [f"i{k}" for k in range(15)],
        "review": [f"r{k}" for k in range(60)],
    }
    hin = HIN.from_tables(
        {t: {"id": n} for t, n in names.items()},
        {t: {"src": [a for a, _ in r], "dst": [b for _, b in r]} for t, r in rows.items()},
        lineage="row",
    )
    named(random_split(hin, RATES, rng=0), "user review item", "path")
    quiet(random_split(hin, RATES, evidence=["review"], rng=0))


def test_taggings_that_share_their_tags():
    hin = world()
    tagged = pairs(hin)[::2]
    names = [f"t{k}" for k in range(len(tagged))]
    tags = ids(hin, "tag")
    hin = linked(
        nodes_added(hin, tagging={"id": names}),
        ("user", "did", "tagging"),
        [u for u, _ in tagged],
        names,
    )
    hin = linked(hin, ("tagging", "on", "item"), names, [i for _, i in tagged])
    hin = linked(
        hin, ("tagging", "uses", "tag"), names, [tags[k % len(tags)] for k in range(len(names))]
    )
    named(split_of(hin), "user tagging item", "path")
    quiet(split_of(hin, evidence=["tagging"]))


def test_a_copy_of_a_user_and_edges_that_call_two_users_the_same():
    split = clean_split()
    users = list(dict.fromkeys(u for u, _ in held(split)))[:8]
    rows = [(f"{u} again", i) for u in users for i in histories(split.source)[u]]

    def copied(g):
        g = g.with_nodes("user", {"id": [f"{u} again" for u in users]})
        rating = pa.array([3] * len(rows), g.edges[RATES].schema.field("rating").type)
        src, dst = zip(*rows, strict=True)
        return g.with_edges(
            RATES, {"src": src, "dst": dst, "rating": rating, "time": [1] * len(rows)}
        )

    assert named(on_train(split, copied), "user rates item", "clone").count == sum(
        u in users for u, _ in held(split)
    )


def test_all_pairs_but_the_true_ones():
    split = clean_split()
    true = set(pairs(split.source))
    never = [
        (u, i)
        for u in ids(split.source, "user")
        for i in ids(split.source, "item")
        if (u, i) not in true
    ]
    src, dst = zip(*never, strict=True)
    before = linked(split.source, ("user", "avoids", "item"), src, dst)
    named(split_of(before), "avoids", "complement")
    named(
        on_train(split, lambda g: linked(g, ("user", "avoids", "item"), src, dst)),
        "avoids",
        "complement",
    )


def test_rows_that_the_source_does_not_have_are_unknown():
    split = clean_split()
    tag, item = ids(split.source, "tag")[0], ids(split.source, "item")
    has = ("item", "has", "tag")
    there = set(pairs(split.source, has))
    new = [(i, tag) for i in item if (i, tag) not in there][:3]
    undecided(
        on_train(
            split,
            lambda g: g.with_edges(has, {"src": [a for a, _ in new], "dst": [b for _, b in new]}),
        ),
        "item has tag",
    )
    undecided(on_train(split, lambda g: g.with_nodes("tag", {"id": ["brand new"]})), "tag")


def test_paths_in_a_toy_before_the_split():
    hin = toy()
    src, dst = zip(*pairs(hin), strict=True)
    visits = [f"v{k}" for k in range(len(src))]
    hin = linked(nodes_added(hin, visit={"id": visits}), ("user", "made", "visit"), src, visits)
    hin = linked(hin, ("visit", "to", "item"), visits, dst)
    named(split_of(hin), "user visit item", "path")
    quiet(split_of(hin, evidence=["visit"]))
