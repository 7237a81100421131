"""Folders of sentence-transformers, families of models and odd texts, on tiny random models."""

import json
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
import transformers as tf
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing

from hinaug import HIN
from hinaug.errors import KindError, ParameterError
from hinaug.features.text import TextEncoder, embed_text

WORDS = ["<pad>", "<unk>", "<s>", "</s>", "<mask>", *["guitar", "good", "bad", "the", "a", "amp"]]
SIZES = {
    "vocab_size": 11,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}
XLNET = {"vocab_size": 11, "d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 32}
T5 = {"vocab_size": 11, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
FAMILIES = {  # and how many tokens each reads
    "bert": (lambda: tf.BertModel(tf.BertConfig(**SIZES)), 40),
    "roberta": (lambda: tf.RobertaModel(tf.RobertaConfig(pad_token_id=0, **SIZES)), 39),
    "xlm": (lambda: tf.XLMRobertaModel(tf.XLMRobertaConfig(pad_token_id=1, **SIZES)), 38),
    "camembert": (lambda: tf.CamembertModel(tf.CamembertConfig(pad_token_id=1, **SIZES)), 38),
    "mpnet": (lambda: tf.MPNetModel(tf.MPNetConfig(**SIZES)), 38),
    "xlnet": (lambda: tf.XLNetModel(tf.XLNetConfig(**XLNET)), None),
    "t5": (lambda: tf.T5EncoderModel(tf.T5Config(pad_token_id=0, **T5)), None),
}


def save_tokenizer(path, words=WORDS):
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("<s>", 2), ("</s>", 3)]
    tokenizer.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    special = {
        f"{name}_token": word
        for name, word in zip(("pad", "unk", "cls", "sep", "mask"), words, strict=False)
    }
    tf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(path)


def save_model(path, family="bert", words=WORDS):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        FAMILIES[family][0]().save_pretrained(path)
    save_tokenizer(path, words)
    return path


def encoder(folder, **options):
    options = {"max_length": 16, "cache": False, "device": "cpu", "progress": False, **options}
    return TextEncoder(folder, **options)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("bert"))


def states_of(folder, text):
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    model = tf.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        return model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]


# ---- sentence-transformers -----------------------------------------------------------------------


def sentence_folder(path, poolings, dense=None, normalize=False, inner="", lower=False):
    steps = [("Transformer", inner), ("Pooling", "1_Pooling")]
    save_model(path / inner)
    if lower:
        (path / inner / "sentence_bert_config.json").write_text('{"do_lower_case": true}')
    (path / "1_Pooling").mkdir()
    modes = {f"pooling_mode_{mode}": True for mode in poolings}
    (path / "1_Pooling" / "config.json").write_text(json.dumps(modes))
    if dense is not None:
        steps.append(("Dense", "2_Dense"))
        (path / "2_Dense").mkdir()
        size = {"in_features": dense.shape[1], "out_features": dense.shape[0], "bias": False}
        size["activation_function"] = "torch.nn.modules.activation.Tanh"
        (path / "2_Dense" / "config.json").write_text(json.dumps(size))
        save_file({"linear.weight": dense}, path / "2_Dense" / "model.safetensors")
    if normalize:
        steps.append(("Normalize", "3_Normalize"))
    listed = [
        {"idx": n, "name": str(n), "path": place, "type": f"sentence_transformers.models.{kind}"}
        for n, (kind, place) in enumerate(steps)
    ]
    (path / "modules.json").write_text(json.dumps(listed))
    return path


RIGHT = {
    "cls_token": lambda x: x[0],
    "mean_tokens": lambda x: x.mean(0),
    "max_tokens": lambda x: x.max(0).values,
    "mean_sqrt_len_tokens": lambda x: x.sum(0) / len(x) ** 0.5,
    "weightedmean_tokens": lambda x: (x * torch.arange(1, len(x) + 1)[:, None]).sum(0) / sum(range(1, len(x) + 1)),
    "lasttoken": lambda x: x[-1],
}  # fmt: skip


@pytest.mark.parametrize("mode", RIGHT)
def test_pooling_is_what_the_folder_says(tmp_path, mode):
    folder = sentence_folder(tmp_path, [mode])
    out = encoder(folder).encode(["the guitar", "good good bad a amp"])
    for row, text in zip(out, ["the guitar", "good good bad a amp"], strict=True):
        np.testing.assert_allclose(row, RIGHT[mode](states_of(folder, text)), atol=1e-5)


def test_dense_layers_lower_case_and_length_one_follow(tmp_path):
    weight = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 32)).astype(np.float32))
    folder = sentence_folder(
        tmp_path, ["mean_tokens", "cls_token"], weight, True, "0_T", lower=True
    )
    model = encoder(folder)
    states = states_of(folder / "0_T", "the guitar")
    right = torch.tanh(weight @ torch.cat([states[0], states.mean(0)]))
    found = model.encode(["THE Guitar", None])
    np.testing.assert_allclose(found[0], right / right.norm(), atol=1e-5)
    assert found.shape == (2, 3)
    assert model.dim == 3
    before = model.fingerprint()
    save_file({"linear.weight": weight + 1}, folder / "2_Dense" / "model.safetensors")
    assert encoder(folder).fingerprint() != before


def test_pooling_that_is_asked_for_goes_before_the_folders(tmp_path):
    folder = sentence_folder(tmp_path, ["cls_token"])
    found = encoder(folder, pooling="mean").encode(["the guitar"])[0]
    np.testing.assert_allclose(found, states_of(folder, "the guitar").mean(0), atol=1e-5)


def test_steps_that_are_not_known_are_refused(tmp_path):
    folder = sentence_folder(tmp_path, ["mean_tokens"])
    steps = json.loads((folder / "modules.json").read_text())
    steps.append({"idx": 2, "path": "2_LSTM", "type": "sentence_transformers.models.LSTM"})
    (folder / "modules.json").write_text(json.dumps(steps))
    with pytest.raises(ParameterError) as error:
        encoder(folder).encode(["a"])
    assert error.value.asked == ["LSTM"]


def test_a_tokenizer_without_words_is_refused(tmp_path):
    with pytest.raises(ParameterError) as error:
        encoder(save_model(tmp_path, words=WORDS[:5])).encode(["good", "bad"])
    assert error.value.asked == str(tmp_path)


# ---- families and lengths ------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_the_limit_of_a_family_is_known_before_a_text_is_long(tmp_path, family):
    folder, limit = save_model(tmp_path, family), FAMILIES[family][1]
    long = encoder(folder, max_length=limit or 300).encode(["good", "guitar bad " * 100])
    assert np.isfinite(long).all()
    assert not np.allclose(long[0], long[1])
    if limit:
        with pytest.raises(ParameterError) as error:
            encoder(folder, max_length=limit + 1).encode(["good"])
        assert error.value.there == limit


def test_of_a_long_text_only_a_part_is_tokenised(bert):
    text = "guitar good bad " * 15_000
    short = encoder(bert).encode([" ".join(text.split()[:40])])
    start = time.process_time()
    long = encoder(bert).encode([text + str(n) for n in range(100)])  # as wholes: half a minute
    assert time.process_time() - start < 5
    np.testing.assert_allclose(long, np.repeat(short, 100, axis=0), atol=1e-6)


def test_a_part_that_does_not_fill_the_length_is_made_longer(bert):
    gaps = "guitar" + " " * 2_000 + "bad" + " " * 9_000 + "amp"
    unbroken = "x" * 3_000 + " good"
    found = encoder(bert).encode([gaps, unbroken])
    right = encoder(bert).encode(["guitar bad amp", "unknown good"])
    np.testing.assert_allclose(found, right, atol=1e-6)


# ---- what is encoded -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "texts",
    [
        pd.Series(["good", None], dtype=object),
        pd.Series(["good", None], dtype="string"),
        pd.Series(["good", float("nan")]),
        pa.array(["good", None]),
        pa.chunked_array([["good"], [None]], pa.string()),
        pa.array(["good", None]).dictionary_encode(),
        np.array(["good", None], object),
    ],
    ids=["objects", "strings", "nan", "arrow", "chunks", "categories", "numpy"],
)
def test_what_is_missing_in_a_column_is_no_text(bert, texts):
    out = encoder(bert).encode(texts)
    np.testing.assert_allclose(out[0], states_of(bert, "good").mean(0), atol=1e-5)
    assert np.isnan(out[1]).all()


def test_half_of_a_surrogate_pair_is_replaced(bert, tmp_path):
    model = encoder(bert, cache=tmp_path)
    assert np.isfinite(model.encode(["good \ud83d"])).all()
    with pytest.raises(KindError) as error:
        model.encode(["a", 3])
    assert error.value.asked == "int"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.int64])
def test_tensors_of_any_kind_are_vectors(dtype):
    hin = HIN.from_tables({"item": {"id": ["a", "b"], "text": ["good", "bad"]}}, {})
    grad = dtype.is_floating_point

    def function(texts):
        return torch.ones(len(texts), 2, dtype=dtype, requires_grad=grad)

    assert (embed_text(hin, "item", function).vectors("item", fill=0) == 1).all()
