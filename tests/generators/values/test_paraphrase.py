"""Texts in other words: what may change changes, what must stay stays, and is counted."""

from collections import Counter

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

from hinaug import HIN
from hinaug.errors import ParameterError, StoreError
from hinaug.generators.values import Guards, MaskedParaphrase, Paraphrase, ParaphrasedText
from hinaug.generators.values.wordnet import synonyms
from hinaug.graph import arrow as tb

WORDS = "strap guitar quick fast loud sound play good fine big large tone neck bag box nice the a"
FIXED = [
    "not",
    "never",
    "12",
    "2nd",
    "AB-12",
    "Fender",
    "Ibanez",
    "no",
    "two",
    "don't",
    "x_1",
    "C#",
    "half",
]


@pytest.fixture(scope="module")
def wordnet(tmp_path_factory):
    """A database of five synsets, in the format of WordNet (wndb(5WN)). Among the synonyms are a
    negation, a number, a name and a phrase.
    """
    folder = tmp_path_factory.mktemp("wordnet")
    synsets = [
        ("adj", ["quick", "fast", "no", "Swift"], 3),
        ("adj", ["good", "fine", "two", "very_good"], 2),
        ("noun", ["big", "shot"], 0),
        ("adj", ["big(a)", "large"], 5),
        ("noun", ["neck"], 1),
    ]
    for part in ("noun", "verb", "adj", "adv"):
        data, index = b"  1 a licence\n", ["  1 a licence"]
        for kind, words, tagged in synsets:
            if kind != part:
                continue
            offset = len(data)
            listed = " ".join(f"{word} 0" for word in words)
            data += (
                f"{offset:08d} 00 {part[0]} {len(words):02x} {listed} 000 | a gloss  \n".encode()
            )
            index += [
                f"{w.partition('(')[0].lower()} {part[0]} 1 1 @ 1 {tagged} {offset:08d}  "
                for w in words
            ]
        (folder / f"data.{part}").write_bytes(data)
        (folder / f"index.{part}").write_text("\n".join(sorted(index)) + "\n")
    return folder


def reviews(n=400, seed=0):
    """Random texts in which every third word is protected, with marks and capitals."""
    rng = np.random.default_rng(seed)
    texts = []
    for _ in range(n):
        words = [
            str(rng.choice(FIXED if rng.random() < 0.35 else WORDS.split())) for _ in range(30)
        ]
        words[0] = words[0].capitalize()
        words[9] += "."
        words[10] = words[10].capitalize()
        words[20] += ", and"
        texts.append(" ".join(words))
    return texts


def plain_count(text):
    """Protected words, counted without the code that is tested."""
    words = [w.strip(".,") for w in text.split()]
    return Counter(
        w for w in words if w in FIXED or w.lower() in ("not", "no", "never", "two", "half")
    )


def test_synonyms_are_of_the_most_used_sense(wordnet):
    found = synonyms(wordnet)
    assert found["big"] == ("large",)  # 5 tagged senses as an adjective, none as a noun
    assert found["quick"] == ("fast", "no", "Swift")
    assert "neck" not in found
    assert "very_good" not in found
    with pytest.raises(StoreError):
        synonyms(wordnet / "nothing")


@pytest.mark.parametrize("rule", ["delete", "swap", "insert", "replace"])
def test_no_protected_word_changes(wordnet, rule):
    texts = reviews()
    made = Paraphrase(rules=(rule,), share=0.3, wordnet=wordnet)(texts, rng=1)
    guards = Guards()
    changed = sum(
        guards.protected(a) != guards.protected(b) for a, b in zip(texts, made, strict=True)
    )
    assert changed == 0
    assert sum(plain_count(a) != plain_count(b) for a, b in zip(texts, made, strict=True)) == 0
    assert sum(a != b for a, b in zip(texts, made, strict=True)) > 300
    lengths = [(len(a.split()), len(b.split())) for a, b in zip(texts, made, strict=True)]
    more = {"delete": -1, "swap": 0, "insert": 1, "replace": 0}[rule]
    assert all(np.sign(b - a) in (0, more) for a, b in lengths)
    assert all(abs(b - a) <= round(0.3 * 32) for a, b in lengths)


def test_without_the_guards_words_would_be_lost(wordnet):
    """The guards matter: the same rules on texts whose protected words look plain."""
    known = synonyms(wordnet)
    assert "no" in known["fast"]
    assert "two" in known["fine"]
    made = Paraphrase(rules=("replace",), share=0.9, wordnet=wordnet)(
        ["fast fine quick good"] * 50, rng=0
    )
    assert not {"no", "two", "Swift"} & set(" ".join(made).split())
    assert set(" ".join(made).split()) == {"fast", "fine", "quick", "good"}


def test_rules_do_what_they_say(wordnet):
    text = ["a big guitar with a quick neck"]
    assert Paraphrase(rules=("replace",), share=0.5, wordnet=wordnet)(text, rng=0) == [
        "a large guitar with a fast neck"
    ]
    swapped = Paraphrase(rules=("swap",), share=0.2)(text, rng=0)[0]
    assert sorted(swapped.split()) == sorted(text[0].split())
    assert swapped != text[0]
    grown = Paraphrase(rules=("insert",), share=0.1, wordnet=wordnet)(text, rng=0)[0].split()
    assert len(grown) == 8
    assert set(grown) - set(text[0].split()) <= {"large", "fast"}


def test_draws_follow_the_seed_and_titles_are_kept():
    texts = reviews(30)
    rules = Paraphrase(rules=("delete", "swap"), names=["Big Tone"])
    assert rules(texts, rng=3) == rules(texts, rng=3)
    assert rules(texts, rng=3) != rules(texts, rng=4)
    for text, made in zip(
        texts, Paraphrase(rules=("delete",), share=0.9, names=["Big Tone"])(texts), strict=True
    ):
        assert made.split().count("tone") == text.split().count("tone")
    assert rules(["", " ", "Not 12", "one"], rng=0) == ["", " ", "Not 12", "one"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("I don't, I can\u2019t and cannot", {"not": 3}),
        ("It is fine. It is.", {}),
        ("He sold it. Then Acme bought", {"Acme": 1}),
        ("sizes 9.5 and 10, e-mail a@b.c", {"9.5": 1, "10": 1, "a@b.c": 1}),
        ("I'd say I've two", {"two": 1}),
    ],
)
def test_what_is_protected(text, kept):
    assert Guards().protected(text) == Counter(kept)


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    """A random BERT with a head, over words of which some are protected."""
    folder = tmp_path_factory.mktemp("masked")
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *WORDS.split(),
        "not",
        "two",
        "12",
        "##s",
    ]
    (folder / "vocab.txt").write_text("\n".join(words), "utf-8")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, max_position_embeddings=32, initializer_range=0.5,
        )  # fmt: skip
        BertForMaskedLM(config).save_pretrained(folder)
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def test_a_masked_model_replaces_free_words_alone(masked):
    texts = [" ".join(text.split()[:12]) for text in reviews(30)] + [" ".join(["strap"] * 80)]
    made = MaskedParaphrase(masked, share=0.3, batch_size=7)(texts, rng=0)
    guards = Guards()
    for a, b in zip(texts, made, strict=True):
        assert guards.protected(a) == guards.protected(b)
        assert len(a.split(" ")) == len(b.split(" "))
    assert sum(a != b for a, b in zip(texts, made, strict=True)) > 25
    assert made == MaskedParaphrase(masked, share=0.3, batch_size=3)(texts, rng=0)
    assert "##s" not in " ".join(made)
    assert made[-1].split()[-1] == "strap"  # beyond what the model reads


def test_any_callable_is_guarded():
    texts = ["a good strap", "not a good strap", "a strap for 2", "a fine bag", None]
    hin = HIN.from_tables({"review": {"id": list("abcde"), "text": texts}}, {}, lineage="row")
    back = {
        "a good strap": "a nice strap",
        "not a good strap": "a good strap",
        "a strap for 2": "a strap for 3",
        "a fine bag": "a fine bag",
    }
    made = ParaphrasedText("review", "text", lambda ts: [back[t] for t in ts]).fit(hin)
    delta = made.generate(hin)
    assert (hin + delta).column("review", "text_paraphrased").to_pylist() == [
        "a nice strap", None, None, None, None,
    ]  # fmt: skip
    assert dict(made.tally.why) == {"a protected word changed": 2, "nothing new": 1}
    field = delta.columns["review", "text_paraphrased"].schema.field("value")
    assert tb.lineage_of(field) == "row"


def test_size_condition_and_names():
    texts = reviews(40)
    hin = HIN.from_tables({"review": {"id": range(40), "text": texts}}, {})
    made = ParaphrasedText("review", "text", Paraphrase(rules=("swap",)), into="other").fit(hin)
    assert len(made.generate(hin, 0, rng=0)) == 0
    assert 0 < made.generate(hin, 10, rng=0).columns["review", "other"].num_rows <= 10
    assert made.tally.accepted + made.tally.refused == made.tally.asked == 10
    assert made.generate(hin, 0.5, rng=0) == made.generate(hin, 0.5, rng=0)
    one = made.generate(hin, condition=["7"], rng=0).columns["review", "other"]
    assert one["id"].to_pylist() == ["7"]
    assert set(made.tally.why) <= {"nothing new"}


def test_what_cannot_be():
    for wrong in ({"rules": ("turn",)}, {"rules": ()}, {"share": 0}, {"share": 1.0}):
        with pytest.raises(ParameterError):
            Paraphrase(**wrong)
    hin = HIN.from_tables({"item": {"id": ["a"], "year": [1]}}, {})
    with pytest.raises(ParameterError):
        ParaphrasedText("item", "year").fit(hin)
