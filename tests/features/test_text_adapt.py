"""LoRA on a tiny random BERT: pairs come closer, nothing else changes."""

import sys

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

from hinaug import HIN, random_split
from hinaug.errors import ParameterError
from hinaug.features import TextEncoder
from hinaug.features.text.adapt import adapt, linked_texts

LEFT, RIGHT = [f"l{k}" for k in range(12)], [f"r{k}" for k in range(12)]
PAIRS = list(zip(LEFT, RIGHT, strict=True))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    path = tmp_path_factory.mktemp("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LEFT, *RIGHT]
    (path / "vocab.txt").write_text("\n".join(words), "utf-8")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        config = BertConfig(
            vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=16, initializer_range=0.5,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )  # fmt: skip
        BertModel(config).save_pretrained(path)
    BertTokenizerFast(vocab=str(path / "vocab.txt")).save_pretrained(path)
    return TextEncoder(path, max_length=8, cache=False, device="cpu", progress=False)


def rank_of_own(encoder):
    a, b = (encoder.encode(texts) for texts in (LEFT, RIGHT))
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    likeness = a @ b.T
    return float((likeness > np.diag(likeness)[:, None]).sum(1).mean())


def test_pairs_come_closer_and_the_first_encoder_stays(encoder, tmp_path):
    before, state = encoder.encode(LEFT), torch.random.get_rng_state()
    tuned = adapt(encoder, PAIRS, tmp_path / "a", epochs=20, lr=0.04, batch_size=12, rng=0)
    assert torch.equal(state, torch.random.get_rng_state())
    assert rank_of_own(tuned) < 0.5 * rank_of_own(encoder)
    assert encoder.encode(LEFT).tobytes() == before.tobytes()
    assert not list((tmp_path / "a").glob("adapter*"))  # merged
    again = adapt(encoder, PAIRS, tmp_path / "b", epochs=20, lr=0.04, batch_size=12, rng=0)
    np.testing.assert_allclose(again.encode(LEFT), tuned.encode(LEFT), atol=1e-5)


def test_pairs_are_those_of_the_links_and_none_is_held_out():
    rates = ("user", "rates", "item")
    users, items = [f"u{k}" for k in range(20)], [f"i{k}" for k in range(10)]
    src, dst = np.nonzero(np.random.default_rng(0).random((20, 10)) < 0.6)
    nodes = {"user": {"id": users, "says": [f"I am {u}" for u in users]}, "item": {"id": items, "title": items}}  # fmt: skip
    edges = {"src": [users[k] for k in src], "dst": [items[k] for k in dst]}
    split = random_split(HIN.from_tables(nodes, {rates: edges}), rates, rng=0)
    pairs = linked_texts(split.train, ("user", "item"), ("says", "title"), rng=0)
    a, b = split.train.links(rates)
    assert sorted(pairs) == sorted(
        (f"I am {users[k]}", items[n]) for k, n in zip(a, b, strict=True)
    )
    held = set(zip(split.test["src"].to_pylist(), split.test["dst"].to_pylist(), strict=True))
    assert held
    assert not {(a.split()[-1], b) for a, b in pairs} & held
    assert len(linked_texts(split.train, ("user", "item"), ("says", "title"), 5, rng=0)) == 5


def test_what_is_refused(encoder, tmp_path, monkeypatch):
    with pytest.raises(ParameterError) as error:
        adapt(encoder, PAIRS[:1], tmp_path, rng=0)
    assert error.value.asked == 1
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match=r"hinaug\[lora\]"):
        adapt(encoder, PAIRS, tmp_path, rng=0)
