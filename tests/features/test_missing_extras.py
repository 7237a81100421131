"""Whoever lacks an extra is told its name, by an error or, where there is another way, not at all."""

import sys

import pytest
from transformers import BertConfig, BertModel, BertTokenizerFast

from hinaug.errors import ParameterError
from hinaug.features.knowledge import Sentences
from hinaug.features.text import TextEncoder
from hinaug.features.writer import from_gguf


@pytest.fixture
def without(monkeypatch):
    """Makes a library one that is not installed."""
    return lambda name: monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.parametrize("library", ["onnxruntime", "onnxscript"])
def test_onnx(without, library, tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\namp", "utf-8")
    sizes = {"hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1}
    BertModel(BertConfig(vocab_size=6, num_attention_heads=1, **sizes)).save_pretrained(tmp_path)
    BertTokenizerFast(vocab=str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    without(library)
    with pytest.raises(ImportError, match=r"hinaug\[onnx\]"):
        TextEncoder(tmp_path, engine="onnx", cache=False).encode(["amp"])
    assert TextEncoder(tmp_path, cache=False, device="cpu").encode(["amp"]).shape == (1, 4)


@pytest.mark.parametrize("library", ["gguf", "accelerate"])
def test_write(without, library, tmp_path):
    without(library)
    with pytest.raises(ImportError, match=r"hinaug\[write\]") as caught:
        from_gguf(tmp_path / "model.gguf", tmp_path)
    assert library in str(caught.value)


def test_a_gguf_file_that_is_not_there(tmp_path):
    with pytest.raises(ParameterError) as caught:
        from_gguf(tmp_path / "model.gguf", tmp_path)
    assert caught.value.asked == str(tmp_path / "model.gguf")


def test_nlp(without):
    without("spacy")
    with pytest.raises(ParameterError, match=r"hinaug\[nlp\]"):
        Sentences()(["It has a case."])
