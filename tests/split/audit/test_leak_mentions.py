"""Columns that name held-out pairs: ids in every form, titles, vectors with one place an item,
positions.
"""

import json

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

from hinaug.datasets.planted import ABOUT, WROTE
from hinaug.graph.hin import HIN
from hinaug.split.random import random_split

KINDS = ["text", "integers"]
FORMS = {
    "list": lambda items: pa.array(items),
    "bars": lambda items: ["|".join(map(str, i)) for i in items],
    "spaces": lambda items: [" ".join(map(str, i)) for i in items],
    "json": lambda items: [json.dumps([{"id": str(x), "n": 2} for x in i]) for i in items],
    "underscores": lambda items: ["_".join(map(str, i)).upper() for i in items],
    "dictionary": lambda items: pa.array(
        [",".join(map(str, i)) for i in items]
    ).dictionary_encode(),
    "bytes": lambda items: pa.array([";".join(map(str, i)).encode() for i in items]),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_user_column_that_lists_items(kind, form):
    split = clean_split(kind)
    items = list(histories(split.source).values())
    leak = named(
        on_train(split, lambda g: g.with_column("user", "stuff", FORMS[form](items), "row")),
        "user.stuff",
        "mention",
    )
    assert leak.count == len(held(split))
    assert leak.examples[0] in {(str(u), str(i)) for u, i in held(split)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_of_the_source_that_lists_the_raters_of_items(kind):
    hin = world(integers=kind == "integers")
    raters = {i: [] for i in ids(hin, "item")}
    for u, i in pairs(hin):
        raters[i].append(u)
    named(
        split_of(hin.with_column("item", "raters", pa.array(list(raters.values())), "row")),
        "item.raters",
        "mention",
    )


@pytest.mark.parametrize("name", ["last_item", "zz"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_item_of_each_user(kind, name):
    split = clean_split(kind)
    last = dict(held(split))
    values = pa.array([last.get(u) for u in ids(split.source, "user")])
    assert named(
        on_train(split, lambda g: g.with_column("user", name, values, "row")), f"user.{name}"
    ).count == len(last)


@pytest.mark.parametrize("kind", [*KINDS, "toy"])
def test_a_table_that_names_both_ids_as_columns(kind):
    split = clean_split(kind)
    out = held(split)
    log = {
        "id": [f"l{k}" for k in range(len(out))],
        "who": [u for u, _ in out],
        "what": [i for _, i in out],
    }
    if kind != "toy":
        named(on_train(split, lambda g: nodes_added(g, log=log)), "log.who and log.what", "mention")
    one = {"id": ["l"], "user_id": log["who"][:1], "item_id": log["what"][:1]}
    named(
        on_train(split, lambda g: nodes_added(g, log=one)), "log.user_id and log.item_id", "mention"
    )


def test_ids_of_nodes_that_are_made_of_both_ids():
    split = clean_split()
    memo = {"id": [f"{u}/{i}" for u, i in held(split)]}
    leak = named(on_train(split, lambda g: nodes_added(g, memo=memo)), "memo.id", "mention")
    assert "drop the column" not in leak.remedy  # ids cannot be dropped


def test_an_edge_column_that_names_the_next_item():
    split = clean_split()
    last = dict(held(split))
    values = [last.get(u) for u, _ in pairs(split.train)]
    named(
        on_train(split, lambda g: g.with_column(RATES, "next", values, "row")),
        "user rates item.next",
        "mention",
    )


def test_a_review_with_the_item_as_a_column_only():
    hin = world(reviews=True)
    item = [i for _, i in pairs(hin)]
    hin = hin.drop(ABOUT).with_column("review", "asin", item, "row")
    named(split_of(hin), "review.asin", "mention")
    hin = hin.drop(WROTE).with_column("review", "writer", [u for u, _ in pairs(hin)], "row")
    named(split_of(hin), "review.", "mention")


def test_titles_that_tell_items_apart_are_names_too():
    hin = world()
    titles = [f"The {k} of {'abcdefgh'[k % 8]}" for k in range(hin.n("item"))]
    hin = hin.with_column("item", "name", titles, "row")
    at = dict(zip(ids(hin, "item"), titles, strict=True))
    seen = ["|".join(at[i] for i in items) for items in histories(hin).values()]
    named(split_of(hin.with_column("user", "seen", seen, "row")), "user.seen", "mention")
    last = [at[items[-1]] for items in histories(hin).values()]
    named(split_of(hin.with_column("user", "favourite", last, "row")), "user.favourite", "mention")
    quiet(split_of(hin))


def test_a_title_that_is_a_word_like_others_is_no_mention():
    hin = world()
    titles = ["M", *(f"The {k} of it" for k in range(1, hin.n("item")))]
    gender = np.where(np.arange(hin.n("user")) % 3, "M", "F")
    for seed in range(2):
        quiet(
            split_of(
                hin.with_column("item", "title", titles, "row").with_column(
                    "user", "gender", gender, "row"
                ),
                rng=seed,
            )
        )


@pytest.mark.parametrize("kind", KINDS)
def test_positions_and_vectors_with_one_place_for_each_item(kind):
    split = clean_split(kind)
    at = {i: k for k, i in enumerate(ids(split.source, "item"))}
    positions = pa.array([[at[i] for i in items] for items in histories(split.source).values()])
    marks = split.source.adjacency(RATES).toarray()
    named(
        on_train(split, lambda g: g.with_column("user", "index", positions, "row")),
        "user.index",
        "mention",
    )
    named(
        on_train(split, lambda g: g.with_column("user", "marks", marks, "row")),
        "user.marks",
        "mention",
    )


def test_lists_of_one_length_become_vectors_and_are_still_read():
    split = clean_split("integers")
    items = [(i + i + i)[:3] for i in histories(split.source).values()]
    assert named(
        on_train(split, lambda g: g.with_column("user", "three", pa.array(items), "row")),
        "user.three",
        "mention",
    )


def test_one_true_item_among_nine_false_ones():
    split = clean_split()
    rng = np.random.default_rng(0)
    last, past = dict(held(split)), histories(split.source)
    lists = []
    for u in ids(split.source, "user"):
        others = [i for i in ids(split.source, "item") if i not in past[u]]
        lists.append(
            [last[u], *rng.choice(others, 9, replace=False).tolist()] if u in last else None
        )
    named(
        on_train(split, lambda g: g.with_column("user", "candidates", pa.array(lists), "row")),
        "user.candidates",
    )
    never = [
        [i for i in ids(split.source, "item") if i not in past[u]]
        for u in ids(split.source, "user")
    ]
    named(
        split_of(split.source.with_column("user", "never", pa.array(never), "row")),
        "user.never",
        "complement",
    )


def test_few_numbers_that_may_be_ids_by_accident_are_unknown():
    split = clean_split("toy")
    at = {i: k for k, i in enumerate(ids(split.source, "item"))}
    values = [at[dict(held(split))[u]] for u in ids(split.source, "user")]
    undecided(
        on_train(split, lambda g: g.with_column("user", "item_index", values, "row")),
        "user.item_index",
    )


def test_an_id_in_longer_text_is_no_proof():
    hin = world()
    rng = np.random.default_rng(1)
    bio = [
        f"once somebody told me at length and in so many words about {i} and I forgot all of it"
        for i in rng.choice(ids(hin, "item"), hin.n("user"))
    ]
    quiet(split_of(hin.with_column("user", "bio", bio, "row")))


def test_a_toy_with_words_as_ids():
    hin = HIN.from_tables(
        {
            "user": {"id": ["ann", "bob"], "drink": ["tea|milk", "milk|wine"]},
            "item": {"id": ["tea", "milk", "wine"]},
        },
        {
            RATES: {
                "src": ["ann", "ann", "bob", "bob"],
                "dst": ["tea", "milk", "milk", "wine"],
                "rating": [1, 2, 3, 4],
            }
        },
        lineage="row",
    )
    named(random_split(hin, RATES, valid=0, test=1, rng=0), "user.drink", "mention")


@pytest.mark.parametrize("kind", ["age", "zip", "phone"])
def test_numbers_that_coincide_with_integer_ids(kind):
    rng = np.random.default_rng(3)
    for seed in range(3):
        hin = world(integers=True, seed=seed)
        n = hin.n("user")
        values = {
            "age": rng.integers(1, 60, n),
            "zip": [str(z) for z in rng.integers(1, 60, n)],
            "phone": [f"{a} {b}-{c}" for a, b, c in rng.integers(1, 60, (n, 3))],
        }[kind]
        hin = hin.with_column("user", kind, values, "row").with_column(
            "item", "year", rng.integers(1, 90, hin.n("item")), "row"
        )
        quiet(split_of(hin))
    small = toy()
    nodes = {t: small.nodes[t].set_column(0, "id", pa.array([1, 2, 3])) for t in small.nodes}
    small = HIN(nodes, {RATES: small.edges[RATES]}).with_column("user", kind, [2, 1, 3], "row")
    quiet(split_of(small))


def test_an_edge_of_another_relation_that_names_a_pair_in_its_column():
    split = clean_split()
    (u, i), *_ = held(split)
    tag = ids(split.source, "tag")[0]
    named(
        on_train(split, lambda g: linked(g, ("user", "searched", "tag"), [u], [tag], item_id=[i])),
        "user searched tag.item_id",
        "mention",
    )
