"""Values that a writer makes: what is asked, what is taken, what it cost, what can be replayed."""

import numpy as np
import pyarrow as pa
import pytest

from hinaug import HIN
from hinaug.datasets.planted import RATES, planted
from hinaug.errors import ParameterError, SchemaError, UnknownNameError
from hinaug.features.writer import ReplayWriter, logged
from hinaug.features.writer.remote import Usage
from hinaug.generators.values import WrittenCategory, WrittenText
from hinaug.graph import arrow as tb
from hinaug.split import audit, random_split

TITLES = ["Amp", "Tent", "Loud amp", None]


def shop(kinds=("music", None, None, "camping")):
    return HIN.from_tables(
        {"item": {"id": list("abcd"), "title": TITLES, "kind": pa.array(kinds, pa.string())}},
        {},
        lineage="row",
    )


class Echo:
    """Writes what is known, in words that can be traced."""

    def __init__(self):
        self.prompts, self.usage = [], Usage()

    def __call__(self, prompts):
        self.prompts += prompts
        self.usage.prompt_tokens += 10 * len(prompts)
        self.usage.cost += len(prompts)
        return [
            f"About {p.partition('title: ')[2].split(chr(10))[0] or 'nothing'}." for p in prompts
        ]


def test_missing_values_are_filled_and_a_new_column_is_added():
    hin, writer = shop(), Echo()
    fills = WrittenText("item", "kind", writer, reads=["title"]).fit(hin)
    delta = fills.generate(hin, rng=0)
    assert (hin + delta).column("item", "kind").to_pylist() == [
        "music", "About Tent.", "About Loud amp.", "camping",
    ]  # fmt: skip
    assert delta.values["item", "kind"]["origin"].to_pylist() == ["WrittenText"] * 2
    added = WrittenText("item", "note", writer, reads=["title"]).fit(hin).generate(hin, rng=0)
    column = (hin + added).nodes["item"].schema.field("note")
    assert tb.lineage_of(added.columns["item", "note"].schema.field("value")) == "row"
    assert column.type == pa.string()
    assert ((hin + delta) - delta).equals(hin)


def test_how_many_and_for_whom():
    hin = shop()
    made = WrittenText("item", "note", Echo(), reads=["title"]).fit(hin)
    assert len(made.generate(hin, 0, rng=0)) == 0
    assert len(made.generate(hin, 2, rng=0)) == 2
    assert len(made.generate(hin, 0.5, rng=0)) == 2
    assert made.generate(hin, 3, rng=5) == made.generate(hin, 3, rng=5)
    asked = made.generate(hin, condition=["c"]).columns["item", "note"]
    assert asked["id"].to_pylist() == ["c"]
    with pytest.raises(SchemaError):
        made.generate(hin, condition=["nobody"])


def test_the_tally_counts_refusals_repairs_and_cost():
    hin, usage = shop(), Usage()
    said = iter(["Good amp.", 'Here it is: "A tent."', "I'm sorry, but I cannot.", "..."])

    def writer(prompts):
        usage.prompt_tokens += 50
        usage.cost += 4.0
        return [next(said) for _ in prompts]

    writer.usage = usage
    made = WrittenText("item", "note", writer, reads=["title", "kind"]).fit(hin)
    delta = made.generate(hin, rng=0)
    tally = made.tally
    assert (tally.asked, tally.accepted, tally.repaired, tally.refused) == (4, 2, 1, 2)
    assert (tally.tokens, tally.cost) == (50, 4.0)
    assert dict(tally.why) == {"the writer declines": 1, "no words": 1}
    assert "cost 2" in str(tally)
    assert sorted(delta.columns["item", "note"]["confidence"].to_pylist()) == [0.5, 1.0]


def test_controls_tell_of_another_or_of_nothing():
    hin = shop()
    told = {}
    for control in (None, "shuffled", "none"):
        writer = Echo()
        made = WrittenText("item", "note", writer, reads=["title"], control=control).fit(hin)
        made.generate(hin, rng=1)
        told[control] = [p.partition("title: ")[2].split("\n")[0] for p in writer.prompts]
        assert made.tally.why == {"nothing is known of it": 1}  # the item without a title
    assert told[None] == ["Amp", "Tent", "Loud amp"]
    assert all(a != b for a, b in zip(told["shuffled"], told[None], strict=True))
    assert told["none"] == [""] * 3


@pytest.mark.parametrize("text", [None, "", " \n ", "<<< >>>"])
def test_a_node_that_nothing_is_known_of_is_not_asked_about(text):
    tables = {"item": {"id": ["a", "b"], "title": [text, "Amp"]}, "review": {"id": ["r", "s"]}}
    edges = {("review", "about", "item"): {"src": ["r", "s"], "dst": ["a", "b"]}}
    hin = HIN.from_tables(tables, edges).with_column("review", "text", pa.array([text, "It hums."]))
    options = {"reads": ["title"], "about": [("review", "text")]}
    loud = lambda prompts: ["loud"] * len(prompts)  # noqa: E731
    for made in (
        WrittenCategory("item", "kind", loud, choices=["loud", "quiet"], **options),
        WrittenText("item", "kind", loud, **options),
    ):
        delta = made.fit(hin).generate(hin, rng=0)
        assert delta.columns["item", "kind"]["id"].to_pylist() == ["b"]


def test_summaries_of_reviews_are_aggregates_that_the_audit_passes():
    hin = planted(60, 40, rng=0)
    split = random_split(hin, RATES, evidence=["review"], rng=0)
    writer = lambda prompts: [f"It has {p.count('<<<') - 1} reviews." for p in prompts]  # noqa: E731
    made = WrittenText("item", "summary", writer, about=[("review", "text")], most=3)
    delta = made.fit(split.train).generate(split.train, rng=0)
    field = delta.columns["item", "summary"].schema.field("value")
    assert tb.lineage_of(field) == "aggregate"
    degree = np.asarray(split.train.metapath("item", "review").sum(axis=1)).ravel()
    values = (split.train + delta).column("item", "summary").to_pylist()
    assert values == [f"It has {min(3, int(d))} reviews." for d in degree]
    import dataclasses

    assert not audit(dataclasses.replace(split, train=split.train + delta)).leaks


def test_categories_by_name_and_by_likelihood():
    hin = shop()
    writer = lambda ps: ["Camping!" if "Tent" in p else "music or camping" for p in ps]  # noqa: E731
    named = WrittenCategory("item", "kind", writer, reads=["title"]).fit(hin)
    assert named.choices_ == ["camping", "music"]
    delta = named.generate(hin, rng=0)
    assert (hin + delta).column("item", "kind").to_pylist() == ["music", "camping", None, "camping"]
    assert named.tally.refused == 1

    class Weigher:
        def __call__(self, prompts):
            raise AssertionError

        def likelihoods(self, prompts, choices):
            assert choices == ["camping", "music"]
            assert all("Choices: camping, music." in p for p in prompts)
            return np.array([[-1.0, -9.0 - 4 * ("Tent" in p)] for p in prompts])

    weighed = WrittenCategory("item", "kind", Weigher(), reads=["title"]).fit(hin)
    values = weighed.generate(hin, rng=0).values["item", "kind"]
    assert values["value"].to_pylist() == ["camping", "music"]
    np.testing.assert_allclose(values["confidence"].to_numpy(), 1 / (1 + np.exp(-2.0)), rtol=1e-5)


def test_a_text_that_looks_like_a_mark_stays_as_it_is():
    hin = HIN.from_tables(
        {"item": {"id": ["a", "b"], "title": ["{facts} {choices} {node}", "x"]}}, {}
    )
    writer = Echo()
    WrittenCategory("item", "kind", writer, reads=["title"], choices=["p", "q"]).fit(hin).generate(
        hin
    )
    assert "title: {facts} {choices} {node}" in writer.prompts[0]


def test_replay_gives_the_same_delta_without_the_model(tmp_path):
    hin, file = planted(30, 20, rng=0), tmp_path / "log.jsonl"
    how = {"reads": ["title"], "about": [("review", "text")]}
    first = WrittenText("item", "note", logged(Echo(), file), **how).fit(hin).generate(hin, rng=0)
    again = WrittenText("item", "note", ReplayWriter(file), **how).fit(hin).generate(hin, rng=0)
    assert first == again
    assert len(first) == 20


def test_what_cannot_be():
    hin = shop()
    with pytest.raises(ParameterError):
        WrittenText("item", "note", Echo()).fit(hin)
    with pytest.raises(UnknownNameError):
        WrittenText("item", "note", Echo(), reads=["nothing"]).fit(hin)
    with pytest.raises(ParameterError):
        WrittenText("item", "note", Echo(), reads=["title"], prompt="no place").fit(hin).generate(
            hin
        )
    with pytest.raises(SchemaError):
        WrittenCategory("item", "kind", Echo(), reads=["title"], choices=["one"]).fit(hin)
    number = hin.with_column("item", "price", pa.array([1.0, None, 2.0, 3.0]))
    with pytest.raises(SchemaError):
        WrittenText("item", "price", Echo(), reads=["title"]).fit(number).generate(number)
