"""Mentions and facts as deltas: who is linked with whom, by which words."""

import doctest
import importlib

import pytest

from hinaug import HIN, random_split
from hinaug.datasets.planted import ABOUT, RATES, planted
from hinaug.errors import ParameterError
from hinaug.features.knowledge import Fact, facts_as_delta, mentions

TITLES = ["Blue amp", "Steel strap", "Amp"]


def shop(
    texts=("Louder than the steel strap and the blue amp.", None, "A blue amp &amp; a strap."),
):
    return HIN.from_tables(
        {
            "item": {"id": list("abc"), "title": TITLES, "text": list(texts)},
            "review": {"id": ["r", "s"], "text": ["My steel strap fits it.", "Sold my blue amp."]},
        },
        {ABOUT: {"src": ["r", "s"], "dst": ["a", "a"]}},
    )


def rows(delta, edge):
    return [(r["src"], r["dst"], r["text_id"]) for r in delta.edges[edge].to_pylist()]


def test_names_of_other_items():
    hin = shop()
    delta = mentions(hin, ("item", "text"), "item")
    edge = ("item", "mentions", "item")
    assert rows(delta, edge) == [("a", "b", "a"), ("c", "a", "c")]
    one = delta.edges[edge].to_pylist()[0]
    assert hin.column("item", "text")[0].as_py()[one["start"] : one["end"]] == "steel strap"
    assert (hin + delta).n(edge) == 2
    assert ((hin + delta) - delta).equals(hin)


def test_reviews_speak_for_the_item_that_they_are_about():
    delta = mentions(shop(), ("review", "text"), "item", through=ABOUT)
    assert rows(delta, ("item", "mentions", "item")) == [("a", "b", "r")]  # not its own name
    delta = mentions(shop(), ("review", "text"), "item", relation="names")
    assert rows(delta, ("review", "names", "item")) == [("r", "b", "r"), ("s", "a", "s")]
    with pytest.raises(ParameterError):
        mentions(shop(), ("item", "text"), "item", through=ABOUT)
    with pytest.raises(ParameterError):
        mentions(shop().with_column("item", "year", [1, 2, 3]), ("item", "year"), "item")


def test_synonyms_in_lists():
    hin = shop().with_column("item", "synonyms", [["Box"], None, ["box", "strap"]])
    delta = mentions(hin, ("item", "text"), "item", ["title", "synonyms"], least_letters=3)
    assert ("c", "c", "c") not in rows(delta, ("item", "mentions", "item"))


def parser(texts):
    """Facts of two reviews, as a parser would give them."""
    assert texts == ["My steel strap fits it.", "Sold my blue amp."]
    return [
        [Fact(None, "have", "case", 0, 8), Fact("strap", "fit", "amp", 3, 9)],
        [Fact(None, "have", "knob", 1, 5)],
    ]


def test_facts_are_typed_edges():
    hin = shop()
    delta = facts_as_delta(hin, ("review", "text"), parser, through=ABOUT, least=2)
    assert set(delta.edges) == {("item", "have", "thing"), ("thing", "states", "thing")}
    assert rows(delta, ("item", "have", "thing")) == [
        ("a", "thing:case", "r"), ("a", "thing:knob", "s"),
    ]  # fmt: skip
    other = delta.edges["thing", "states", "thing"].to_pylist()[0]
    assert (other["src"], other["relation"], other["dst"]) == ("thing:strap", "fit", "thing:amp")
    assert delta.nodes["thing"]["name"].to_pylist() == ["amp", "case", "knob", "strap"]
    assert delta.fitted_on == (hin.fingerprint(),)
    with pytest.raises(ParameterError):
        facts_as_delta(hin, ("review", "text"), parser, thing="item")


def test_facts_go_on_a_graph_that_has_the_type_and_come_off_again():
    hin = shop().with_nodes("thing", {"id": [], "name": []})
    delta = facts_as_delta(hin, ("review", "text"), parser, through=ABOUT)
    made = hin + delta
    assert made.n("thing") == 4
    assert made.n(("item", "states", "thing")) == 2
    assert made.metapath("review", "item", "thing").toarray().tolist() == [[0, 1, 1, 0]] * 2
    assert (made - delta).equals(hin)
    rest = facts_as_delta(made, ("review", "text"), parser, through=ABOUT)
    assert rest == delta  # generated rows are not read
    full = hin.with_nodes("thing", {"id": ["t"], "name": ["a thing"]})
    with pytest.raises(ParameterError):
        facts_as_delta(full, ("review", "text"), parser)


def test_no_facts_are_an_empty_delta():
    nothing = facts_as_delta(shop(), ("review", "text"), lambda texts: [[] for _ in texts])
    assert len(nothing) == 0


def test_no_held_out_text_is_read():
    hin = planted(40, 30, rng=0)
    split = random_split(hin, RATES, evidence=["review"], rng=0)
    read = []
    facts_as_delta(split.train, ("review", "text"), lambda ts: read.extend(ts) or [[] for _ in ts])
    assert read == split.train.column("review", "text").to_pylist()
    assert len(read) < hin.n("review")


@pytest.mark.parametrize("module", ["dictionary", "deltas", "written"])
def test_the_examples_run(module):
    result = doctest.testmod(importlib.import_module(f"hinaug.features.knowledge.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
