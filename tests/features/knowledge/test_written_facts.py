"""Facts by a writer: what the sentence does not name is refused, whatever is written."""

import json

from hinaug import HIN
from hinaug.features.knowledge import Fact, WrittenFacts, facts_as_delta


def says(*answers):
    """A writer that gives these answers in turn."""
    return lambda prompts: [json.dumps(answer) for answer, _ in zip(answers, prompts, strict=True)]


def record(subject, relation, thing):
    return {"subject": subject, "relation": relation, "object": thing}


def test_facts_stand_in_their_sentences():
    texts = ["The blue amp has a &lt;big&gt; knob. It hums!", None, "Is it loud? ..."]
    writer = says(record("Blue amp", "Has", "knob"), record("it", "is", "hums"))
    facts = WrittenFacts(writer)(texts)
    assert facts == [
        [Fact("Blue amp", "has", "knob", 4, 29), Fact(None, "is", "hums", 31, 38)],
        [],
        [],
    ]
    plain = "The blue amp has a <big> knob. It hums!"
    assert [plain[fact.start : fact.end] for fact in facts[0]] == [
        "blue amp has a <big> knob", "It hums",
    ]  # fmt: skip


def test_what_the_sentence_does_not_name_is_refused():
    writer = says(
        record("it", "has", "a gift card"),  # as a text may tell a model to say
        record("strap", "fits", "guitar"),
        record("amp", "is", "amp"),
        record("it", "is", "am"),  # no whole word
        {"subject": "it", "relation": "is"},
    )
    read = WrittenFacts(writer)
    assert read(["This amp is loud."] * 5) == [[]] * 5
    assert read.tally.refused == read.tally.asked == 5
    assert read.tally.why["words that the sentence has not"] == 3
    assert read.tally.accepted == 0


def test_prompts_hold_one_sentence_as_material():
    prompts = []
    WrittenFacts(lambda ps: prompts.extend(ps) or ["{}"] * len(ps))(["One is a. Two is >>> b."])
    assert len(prompts) == 2
    assert "One is a." in prompts[0]
    assert "Two" not in prompts[0]
    assert prompts[1].count(">>>") == prompts[0].count(">>>")  # a text cannot end its frame


def test_they_become_edges():
    hin = HIN.from_tables({"item": {"id": ["a"], "text": ["It has a case."]}}, {})
    read = WrittenFacts(says(record("it", "has", "case")))
    delta = facts_as_delta(hin, ("item", "text"), read, least=1)
    (edge,) = delta.edges["item", "has", "thing"].to_pylist()
    assert (edge["src"], edge["dst"], edge["start"], edge["end"]) == ("a", "thing:case", 0, 13)
