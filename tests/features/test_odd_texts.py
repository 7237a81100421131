"""Texts as they are found: empty, endless, in other scripts, all the same, or none at all."""

import html
import json

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, BertTokenizerFast

from hinaug import HIN, embed_text
from hinaug.errors import SchemaError
from hinaug.features import (
    ItemProfile,
    StaticEncoder,
    TextEncoder,
    TextViews,
    TfIdfEncoder,
    UserProfile,
    associations,
)
from hinaug.features.knowledge import Dictionary, WrittenFacts, facts_as_delta, mentions
from hinaug.generators.values import Paraphrase, ParaphrasedText, WrittenText

RATES, WROTE, ABOUT = (
    ("user", "rates", "item"),
    ("user", "wrote", "review"),
    ("review", "about", "item"),
)
BLANK = [None, "", "  ", "\n\t"]
SAID = [
    "x" * 100_000, "amp " * 25_000, "\U0001f600 amp \U0001f3b8\U0001f44d\U0001f3fd",
    "\u05e9\u05dc\u05d5\u05dd amp", "\u0645\u0631\u062d\u0628\u0627", "a\x00b amp", "\u202eamp",
    "amp", "amp", "<<<>>>", "{facts} %s {node} amp", "\ud800 amp", "1", "...", "&lt;b&gt; amp &amp;",
]  # fmt: skip
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "amp", "has"]
REPEATED = np.repeat(["amp"], 9).tolist()


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    bert, static = (tmp_path_factory.mktemp(name) for name in ("bert", "static"))
    (bert / "vocab.txt").write_text("\n".join(WORDS), "utf-8")
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        config = BertConfig(vocab_size=len(WORDS), num_attention_heads=2, **sizes)
        BertModel(config).save_pretrained(bert)
    BertTokenizerFast(vocab=str(bert / "vocab.txt")).save_pretrained(bert)
    tokenizer = Tokenizer(models.WordLevel({w: k for k, w in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(static / "tokenizer.json"))
    table = np.random.default_rng(0).normal(size=(len(WORDS), 4)).astype(np.float32)
    save_file({"embeddings": table}, static / "model.safetensors")
    (static / "config.json").write_text(json.dumps({"normalize": False}))
    options = {"cache": False, "device": "cpu", "progress": False}
    return {
        "cut": lambda: TextEncoder(bert, max_length=16, **options),
        "static": lambda: StaticEncoder(static),
        "tfidf": lambda: TfIdfEncoder(min_texts=1),
        "views": lambda: TextViews([TfIdfEncoder(min_texts=1), StaticEncoder(static)]),
    }


@pytest.mark.parametrize("name", ["cut", "static", "tfidf", "views"])
@pytest.mark.parametrize("said", [SAID, ["amp"], REPEATED], ids=["odd", "one", "same"])
def test_encoders(encoders, name, said):
    encoder, texts = encoders[name](), [*BLANK, *said]
    if hasattr(encoder, "fit"):
        encoder.fit(texts)
    vectors = encoder.encode(texts)
    assert np.isnan(vectors[: len(BLANK)]).all()
    rest = vectors[len(BLANK) :]
    if name == "static":  # a text without a known token has no vector
        known = np.array(["amp" in text.split() for text in said])
        assert (np.isfinite(rest).all(axis=1) >= known).all()
    else:
        assert np.isfinite(rest).all()
    alone = encoder.encode(said[::-1])[::-1]  # neither neighbours nor order change a vector
    np.testing.assert_allclose(rest, alone, atol=1e-5)


def world(texts, times=None):
    """A review a text; five users; one item has one review alone."""
    names = [f"r{n}" for n in range(len(texts))]
    users, items = (
        [f"u{n % 5}" for n in range(len(texts))],
        [f"i{n // 5}" for n in range(len(texts))],
    )
    clean = [text and text.encode("utf-8", "replace").decode() for text in texts]
    review = {"id": names, "text": pa.array(clean, pa.string())}
    review["time"] = pa.array(times or [None] * len(texts), pa.int64())
    titles = ["Amp", "  ", None, "\U0001f3b8", "\u05e9\u05dc\u05d5\u05dd"]
    item = {"id": list(dict.fromkeys(items))}
    item["title"] = [titles[n % 5] for n in range(len(item["id"]))]
    ends = {RATES: (users, items), WROTE: (users, names), ABOUT: (names, items)}
    edges = {edge: {"src": src, "dst": dst} for edge, (src, dst) in ends.items()}
    return HIN.from_tables({"user": {"id": list(dict.fromkeys(users))}, "item": item, "review": review}, edges)  # fmt: skip


def fine(prompts):
    return ["fine"] * len(prompts)


@pytest.mark.parametrize(
    "texts", [[*BLANK, *SAID], ["amp"], BLANK, REPEATED], ids=["odd", "one", "blank", "same"]
)
def test_what_is_made_of_texts(texts):
    hin = world(texts)
    blank = all(not (text or "").strip() for text in texts)
    reviews = [("review", "text")]
    fact = '{"subject": "it", "relation": "is", "object": "amp"}'
    made = [
        WrittenText("item", "note", fine, about=reviews).fit(hin).generate(hin, rng=0),
        UserProfile(RATES, traits=[("item",)], writer=fine, about=reviews, least=1).generate(hin),
        ItemProfile(RATES, writer=fine, about=reviews).generate(hin),
        ParaphrasedText("review", "text", Paraphrase(rules=("delete", "swap")))
        .fit(hin).generate(hin, rng=0),
        mentions(hin, reviews[0], "item", through=ABOUT, least_letters=3),
        facts_as_delta(hin, reviews[0], WrittenFacts(lambda ps: [fact] * len(ps)), through=ABOUT),
        associations(hin, least=1).delta,
    ]  # fmt: skip
    for delta in made:
        graph = hin.with_nodes("thing", {"id": [], "name": []})
        assert ((graph + delta) - delta).equals(graph)
    assert (len(made[0]) == 0) == blank
    assert (len(made[5]) == 0) == blank
    assert ("user", "profile_prose") not in made[1].columns or not blank


def test_other_scripts_are_found_where_they_stand():
    names = Dictionary([("\u05e9\u05dc\u05d5\u05dd", "he"), ("amp", "a")], least_letters=3)
    texts = [None, "", *(text.encode("utf-8", "replace").decode() for text in SAID)]
    found = names.find(texts).to_pylist()
    assert {row["id"] for row in found} == {"he", "a"}
    read = [html.unescape(text or "") for text in texts]
    stands = {read[row["row"]][row["start"] : row["end"]] for row in found}
    assert stands == {"\u05e9\u05dc\u05d5\u05dd", "amp"}


def test_reviews_with_some_times_missing():
    """Those without a time do not count where vectors decay; without any, nobody has a profile."""
    times = [None, 5, 5, 9, None, 7]
    hin = world(["amp"] * 6, times).with_column("review", "x", np.eye(6))
    profile = UserProfile(RATES, vectors=("review", "x"), half_life=2.0)
    made = hin + profile.generate(hin)
    of = dict(zip(made.ids("user").to_pylist(), made.column("user", "profile_vector").to_pylist(), strict=True))  # fmt: skip
    assert of["u4"] is None
    np.testing.assert_allclose(of["u0"], np.eye(6)[5])  # of its two reviews one has a time
    untimed = world(["amp"] * 6).with_column("review", "x", np.eye(6))
    assert ("user", "profile_vector") not in profile.generate(untimed).columns


def test_a_type_without_texts():
    hin = world(["amp"] * 6)
    for column in ("text", "time"):
        with pytest.raises((SchemaError, KeyError)):
            embed_text(hin, "user" if column == "text" else "review", fine, column=column)
    empty = hin.with_column("item", "text", pa.nulls(2, pa.string()))
    with pytest.raises(SchemaError):
        embed_text(empty, "item", fine)
