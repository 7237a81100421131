"""Facts of sentences: rules on parsed words without a model; templates with the small one."""

import itertools
import re

import pytest
import spacy
from spacy.tokens import Doc

from hinaug.errors import ParameterError
from hinaug.features.knowledge import Fact, Sentences, sentences
from hinaug.features.knowledge.sentences import facts_of
from hinaug.features.text import locate

# word, part of speech, tag, lemma, head, dependency
CASE = [("a", "DET", "DT", "a", 3, "det"), ("padded", "ADJ", "JJ", "padded", 3, "amod")]
HAS = [
    ("It", "PRON", "PRP", "it", 1, "nsubj"), ("has", "VERB", "VBZ", "have", 1, "ROOT"),
    ("a", "DET", "DT", "a", 4, "det"), ("padded", "ADJ", "JJ", "padded", 4, "amod"),
    ("case", "NOUN", "NN", "case", 1, "dobj"), (".", "PUNCT", ".", ".", 1, "punct"),
]  # fmt: skip


def parsed(rows, spaces=None):
    words, pos, tags, lemmas, heads, deps = map(list, zip(*rows, strict=True))
    vocab = spacy.blank("en").vocab
    return Doc(vocab, words, spaces, pos=pos, tags=tags, lemmas=lemmas, heads=heads, deps=deps)


def facts(rows):
    return [tuple(fact) for fact in facts_of(parsed(rows))]


def test_it_is_what_the_text_is_about():
    doc = parsed(HAS)
    (fact,) = facts_of(doc)
    assert fact[:3] == (None, "have", "padded case")
    assert doc.text[fact.start : fact.end] == "It has a padded case"


def changed(at, *new):
    rows = list(HAS)
    rows[at] = new
    return rows


@pytest.mark.parametrize(
    "rows",
    [
        changed(2, "no", "DET", "DT", "no", 4, "det"),
        changed(0, "I", "PRON", "PRP", "I", 1, "nsubj"),
        changed(5, "?", "PUNCT", ".", "?", 1, "punct"),
        changed(2, "never", "ADV", "RB", "never", 1, "neg"),
        changed(2, "if", "SCONJ", "IN", "if", 1, "mark"),
        changed(2, "might", "AUX", "MD", "might", 1, "aux"),
        changed(2, "will", "AUX", "MD", "will", 1, "aux"),
        changed(4, "green", "ADJ", "JJ", "green", 1, "dobj"),
        changed(4, "it", "PRON", "PRP", "it", 1, "dobj"),
    ],
)
def test_what_is_no_fact(rows):
    assert facts(rows) == []


def test_names_keep_their_form_and_demonstratives_are_the_text_itself():
    rows = changed(0, "Acme", "PROPN", "NNP", "Acme", 1, "nsubj")
    assert facts(rows)[0][:3] == ("Acme", "have", "padded case")
    this = [("This", "DET", "DT", "this", 1, "det"), ("strap", "NOUN", "NN", "strap", 2, "nsubj")]
    moved = [(*row[:4], row[4] + 1, row[5]) for row in HAS[1:]]
    assert facts(this + moved)[0][:3] == (None, "have", "padded case")


def test_they_are_others_where_several_things_stand_before():
    others = [
        ("Pedals", "NOUN", "NNS", "pedal", 1, "nsubj"), ("fit", "VERB", "VBP", "fit", 1, "ROOT"),
        ("and", "CCONJ", "CC", "and", 1, "cc"), ("they", "PRON", "PRP", "they", 4, "nsubj"),
        ("have", "VERB", "VBP", "have", 1, "conj"), ("lights", "NOUN", "NNS", "light", 4, "dobj"),
    ]  # fmt: skip
    assert facts(others) == []
    others[0] = ("Pedal", "NOUN", "NN", "pedal", 1, "nsubj")
    assert facts(others)[0][:3] == (None, "have", "light")


def test_what_stands_before_a_verb_is_no_object():
    rows = [
        ("In", "ADP", "IN", "in", 3, "prep"), ("fact", "NOUN", "NN", "fact", 0, "pobj"),
        ("it", "PRON", "PRP", "it", 3, "nsubj"), ("sits", "VERB", "VBZ", "sit", 3, "ROOT"),
        ("on", "ADP", "IN", "on", 3, "prep"), ("legs", "NOUN", "NNS", "leg", 4, "pobj"),
    ]  # fmt: skip
    assert [fact[:3] for fact in facts(rows)] == [(None, "sit on", "leg")]


def test_names_are_written_as_in_the_text():
    rows = [
        ("It", "PRON", "PRP", "it", 1, "nsubj"), ("has", "VERB", "VBZ", "have", 1, "ROOT"),
        ("Ford", "PROPN", "NNP", "Ford", 4, "poss"), ("'s", "PART", "POS", "'s", 2, "case"),
        ("amp", "NOUN", "NN", "amp", 1, "dobj"),
    ]  # fmt: skip
    (fact,) = facts_of(parsed(rows, [True, True, False, True, False]))
    assert fact.object == "Ford's amp"


class Blank:
    """A parser that gives its texts back."""

    def pipe(self, texts, batch_size):
        for text in texts:
            text.encode()  # as spaCy does
            assert len(text) <= sentences.LONGEST_PART
            yield text


def test_a_long_text_is_read_in_parts_and_spans_are_those_of_the_whole(monkeypatch):
    read = Sentences()
    read._loaded = Blank()
    monkeypatch.setattr(
        sentences,
        "facts_of",
        lambda text: [
            Fact(None, "have", "case", match.start(), match.end())
            for match in re.finditer(r"has a \S*case\d+", text)
        ],
    )
    whole = "  It is &lt;new&gt;\ud800. " + " ".join(f"It has a case{i}." for i in range(3000))
    wide = "x" * 25_000 + " has a case1"  # no sentence ends in it
    facts = read([whole, None, "", wide])
    plain = whole.replace("&lt;", "<").replace("&gt;", ">")
    assert [plain[f.start : f.end] for f in facts[0]] == [f"has a case{i}" for i in range(3000)]
    assert facts[1:3] == [[], []]
    assert [wide[f.start : f.end] for f in facts[3]] == ["has a case1"]


def test_the_model_of_a_package_is_checked(tmp_path, monkeypatch):
    place = tmp_path / "some_model" / "en"
    (place / "parser").mkdir(parents=True)
    (place / "parser" / "model").write_bytes(b"other weights")
    (tmp_path / "some_model" / "__init__.py").write_text("raise ImportError")  # never run
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(locate, "SPACY", {"some_model": "en"})
    with pytest.raises(ParameterError) as caught:
        Sentences()(["It is."])
    assert caught.value.there == locate.SPACY_SHA256
    monkeypatch.setattr(locate, "SPACY", {"no_such_model": "en"})
    with pytest.raises(ParameterError):
        Sentences()(["It is."])


def test_no_such_model():
    with pytest.raises(ParameterError):
        Sentences("/no/such/folder")(["It is."])


# ---- with the small model ------------------------------------------------------------------------

NOUNS = ["case", "cable", "strap", "manual", "battery", "handle", "screw", "cover", "pocket", "lid"]
KINDS = ["leather", "steel", "padded", "small", "heavy", "cheap", "long", "plastic", "new", "soft"]
PEOPLE = ["John Ford", "Mary Lee", "Anna Smith", "Peter Hill", "Jane Brown"]
QUALITIES = ["loud", "light", "sturdy", "cheap", "comfortable"]


def templates():
    """300 sentences with the facts that they state."""
    made = []
    for (a, n), (b, m) in zip(
        zip(KINDS * 2, NOUNS + NOUNS[3:] + NOUNS[:3], strict=True),
        zip(KINDS[5:] + KINDS + KINDS[:5], NOUNS[1:] + NOUNS + NOUNS[:1], strict=True),
        strict=True,
    ):
        an = f"a {a} {n}"
        made += [
            (f"It has {an}.", [(None, "have", f"{a} {n}")]),
            (f"It comes with {an}.", [(None, "come with", f"{a} {n}")]),
            (
                f"This amp has {an} and a {b} {m}.",
                [(None, "have", f"{a} {n}"), (None, "have", f"{b} {m}")],
            ),
            (f"The guitar includes {an}.", [("guitar", "include", f"{a} {n}")]),
            (
                f"The box contains {an}, which has a {m}.",
                [("box", "contain", f"{a} {n}"), (f"{a} {n}", "have", m)],
            ),
            (f"It does not have {an}.", []),
            (f"Does it have {an}?", []),
            (f"If it had {an}, I would keep it.", []),
            (f"I wish it had {an}.", []),
        ]
    for person, quality, noun in itertools.islice(
        itertools.product(PEOPLE, QUALITIES, NOUNS[:1]), 20
    ):
        made += [
            (f"{person} designed the {noun}.", [(person, "design", noun)]),
            (f"The {noun} was designed by {person}.", [(person, "design", noun)]),
            (f"It is {quality}.", [(None, "be", quality)]),
            (f"The {noun} is not {quality}.", []),
            (f"It never feels {quality}.", []),
            (f"It could be {quality}.", []),
        ]
    return made


@pytest.mark.slow
def test_templates():
    made = templates()
    assert len(made) == 300
    found = Sentences()([text for text, _ in made])
    right = given = stated = 0
    for (_, expected), facts in zip(made, found, strict=True):
        said = {fact[:3] for fact in facts}
        right += len(said & set(expected))
        given, stated = given + len(said), stated + len(expected)
    assert right / given >= 0.95
    assert right / stated >= 0.9
