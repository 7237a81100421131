"""The text of held-out rows inside other columns."""

import numpy as np
import pyarrow as pa
import pytest
from leak_worlds import (
    RATES,
    held,
    ids,
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

from hinaug.split.audit import audit

SIDE = {"user": 0, "item": 1}
FORMS = {
    "joined": lambda texts: " ".join(texts),
    "cut, cleaned and in capitals": lambda texts: " // ".join(t[:45] + "!" for t in texts).upper(),
    "listed": list,
    "the last": lambda texts: texts[-1] if texts else None,
}


def gathered(hin, end, form):
    texts, at = hin.nodes["review"]["text"].to_pylist(), hin.links(RATES)[SIDE[end]]
    return pa.array(
        [FORMS[form]([texts[r] for r in np.flatnonzero(at == k)]) for k in range(hin.n(end))]
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("end", ["user", "item"])
def test_a_node_column_made_of_review_texts(end, form):
    hin = world(reviews=True)
    leak = named(
        split_of(hin.with_column(end, "said", gathered(hin, end, form), "row")),
        f"{end}.said",
        "text",
    )
    assert leak.examples[0] in held(split_of(hin))


@pytest.mark.parametrize("end", ["user", "item"])
def test_made_of_the_texts_of_train_it_is_clean(end):
    split = split_of(world(reviews=True))
    found = audit(
        on_train(split, lambda g: g.with_column(end, "said", gathered(g, end, "joined"), "row"))
    )
    assert found.clean, found


def test_copies_of_reviews_under_another_type_that_join_nothing():
    hin = world(reviews=True)
    split = split_of(hin)
    known = set(split.train.nodes["review"]["text"].to_pylist())
    gone = [t for t in hin.nodes["review"]["text"].to_pylist() if t not in known]
    table = {"id": [f"c{k}" for k in range(len(gone))], "body": gone}
    assert named(
        on_train(split, lambda g: nodes_added(g, comment=table)), "comment.body", "text"
    ).count == len(gone)


def test_held_out_reviews_put_back_without_their_edges():
    hin = world(reviews=True)
    split = split_of(hin)
    known = set(ids(split.train, "review"))
    gone = hin.nodes["review"].filter(pa.array([i not in known for i in ids(hin, "review")]))
    found = audit(on_train(split, lambda g: g.with_nodes("review", gone)))
    assert {f.kind for f in found.leaks if "review" in f.where} >= {"remnant"}


def test_text_that_stands_on_the_ratings():
    hin = world()
    words = [
        f"note {k} says {u} met {k * 7} and went away {i}x" for k, (u, i) in enumerate(pairs(hin))
    ]
    hin = hin.with_column(RATES, "note", words, "row")
    quiet(split_of(hin))
    notes = dict.fromkeys(ids(hin, "user"), "")
    for (u, _), text in zip(pairs(hin), words, strict=True):
        notes[u] += text + ". "
    named(
        split_of(hin.with_column("user", "notes", list(notes.values()), "row")),
        "user.notes",
        "text",
    )


def test_short_texts_in_a_toy():
    hin = toy().with_column(
        RATES,
        "said",
        ["great", "dull tune", "so so", "broke at once", "loud", "sweet and soft"],
        "row",
    )
    quiet(split_of(hin))
    by_user = ["great; dull tune", "so so; broke at once", "loud; sweet and soft"]
    named(split_of(hin.with_column("user", "all", by_user, "row")), "user.all", "text")
    split = split_of(hin)
    (u, i), *_ = held(split)
    said = dict(zip(pairs(hin), hin.edges[RATES]["said"].to_pylist(), strict=True))[u, i]
    alone = [f"a {said} one" if k == u else None for k in ids(hin, "user")]
    undecided(on_train(split, lambda g: g.with_column("user", "blurb", alone, "row")), "user.blurb")


def test_texts_that_repeat_by_themselves_are_no_leak():
    hin = world(reviews=True)
    usual = ["Great product, works exactly as described and arrived on time"] * hin.n("review")
    hin = hin.with_column("review", "text", usual, "row").with_column(
        "item", "slogan", usual[: hin.n("item")], "row"
    )
    quiet(split_of(hin))
