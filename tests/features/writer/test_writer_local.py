"""A causal model on this machine: batches change nothing, likelihoods are exact."""

import copy
import json
import pickle
import sys

import numpy as np
import pytest
import torch
from raising import raises
from tiny_writer import save_letters, save_tiny

from hinaug.errors import ParameterError
from hinaug.features.text.locate import smollm2_file
from hinaug.features.writer import TransformersWriter, from_gguf, read_records
from hinaug.features.writer.records import json_schema

PROMPTS = ["the guitar is", "a tent", "the amp is very very loud the amp is", "item one says"]
CHOICES = ["loud", "very quiet", "good bad light"]


def writer(folder, **options):
    return TransformersWriter(
        folder, **{"max_new_tokens": 6, "dtype": "float32", "device": "cpu", **options}
    )


def test_batches_write_what_single_prompts_get(tiny_model):
    together = writer(tiny_model, batch_size=3)(PROMPTS)
    alone = writer(tiny_model)
    assert together == [alone([prompt])[0] for prompt in PROMPTS]
    assert any(together)
    assert writer(tiny_model)([]) == []


def test_likelihoods_are_those_of_the_whole_text(tiny_model):
    model = writer(tiny_model, batch_size=3)
    found = model.likelihoods(PROMPTS, CHOICES)
    tokenizer, net = model._parts()
    for i, prompt in enumerate(PROMPTS):
        for j, choice in enumerate(CHOICES):
            start = tokenizer(prompt)["input_ids"]
            ids = start + tokenizer(choice)["input_ids"]
            with torch.no_grad():
                logs = net(torch.tensor([ids])).logits[0].log_softmax(-1)
            expected = sum(logs[k - 1, ids[k]].item() for k in range(len(start), len(ids)))
            assert found[i, j] == pytest.approx(expected, abs=1e-4)
    own = model.likelihoods(PROMPTS[:2], [CHOICES, CHOICES[::-1]])
    np.testing.assert_allclose(own, [found[0], found[1][::-1]], atol=1e-4)


def test_draws_follow_the_seed_and_leave_torch_alone(tiny_model):
    before = torch.random.get_rng_state()
    first = writer(tiny_model, temperature=5.0, seed=1)(PROMPTS)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert writer(tiny_model, temperature=5.0, seed=1)(PROMPTS) == first
    assert writer(tiny_model, temperature=5.0, seed=2)(PROMPTS) != first


def test_a_folder_without_a_model_is_an_error(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    for place in (tmp_path, tmp_path / "nothing", "/no such folder"):
        with raises(ParameterError, asked=str(place)):
            TransformersWriter(place)(["a"])


def test_a_prompt_that_does_not_fit_is_an_error(tiny_model):
    with pytest.raises(ParameterError) as caught:
        writer(tiny_model)(["the " * 70])
    assert caught.value.there == 64


def test_a_chat_template_frames_the_prompt(tmp_path):
    template = "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% endfor %}says"
    model = writer(save_tiny(tmp_path, template), system="good")
    assert model._said("a tent") == "system good user a tent says"


def test_copies_do_not_hold_the_weights(tiny_model):
    model = writer(tiny_model)
    said = model(PROMPTS)
    assert copy.deepcopy(model) is model
    other = pickle.loads(pickle.dumps(model))
    assert other._loaded is None
    assert other(PROMPTS) == said


def test_types_of_numbers(tiny_model):
    assert writer(tiny_model, dtype="bfloat16").dtype_ == "bfloat16"
    assert TransformersWriter(tiny_model).dtype_ in ("bfloat16", "float32")
    with pytest.raises(ParameterError):
        writer(tiny_model, dtype="int8")


SCHEMA = {
    "name": {"type": "string", "maxLength": 6},
    "stars": {"type": "integer", "minimum": 1, "maximum": 5},
    "kind": {"type": "string", "enum": ["amp", "strap"]},
}


def test_records_keep_to_their_schema(tmp_path):
    model = writer(save_letters(tmp_path), max_new_tokens=80, temperature=1.0)
    asked = ["a tent", "an amp that is loud", "x", " a "]
    found = [json.loads(answer) for answer in model.records(asked, json_schema(SCHEMA))]
    assert all(list(record) == list(SCHEMA) for record in found)
    assert all(len(record["name"]) <= 6 and 1 <= record["stars"] <= 5 for record in found)
    assert all(record["kind"] in ("amp", "strap") for record in found)
    assert len({record["name"] for record in found}) > 1  # each row has a state of its own
    assert len(model._indexes) == 1
    assert model.records([], {"type": "object"}) == []
    short = writer(model.model, max_new_tokens=4)
    assert read_records(short, ["a"], SCHEMA)[0].value is None  # cut in the middle
    assert not short(["a"])[0].startswith("{")  # what it writes freely


def test_without_the_extra_it_writes_freely_and_says_so(tiny_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "outlines_core", None)
    model = writer(tiny_model)
    with pytest.warns(UserWarning, match=r"hinaug\[write\]"):
        said = model.records(PROMPTS, json_schema(SCHEMA))
    assert said == model(PROMPTS)


@pytest.mark.slow
def test_a_real_small_model_writes_and_weighs(tmp_path):
    model = TransformersWriter(from_gguf(smollm2_file(), tmp_path), max_new_tokens=12)
    asked = ["Describe a guitar in one sentence.", "Describe a tent in one sentence."]
    said = model(asked)
    assert "guitar" in said[0].lower()
    assert "tent" in said[1].lower()
    logs = model.likelihoods(asked, ["music", "camping"])
    centred = logs - logs.mean(axis=0)
    assert centred.argmax(axis=1).tolist() == [0, 1]
    model.max_new_tokens = 60
    assert [record.why for record in read_records(model, asked, SCHEMA)] == ["", ""]
