"""Answers in a file: asked once, given back byte for byte without the model."""

import json
import pickle

import numpy as np
import pytest

from hinaug.errors import StoreError, WriterError
from hinaug.features.writer import ReplayWriter, choose, logged, read_records
from hinaug.features.writer.base import weighs


class Counting:
    """Answers with the number of the call; breaks off where it is told to."""

    batch_size = 2

    def __init__(self, most=99):
        self.asked, self.most = [], most

    def __call__(self, prompts):
        self.asked += prompts
        if len(self.asked) > self.most:
            raise ConnectionError
        return [f"{prompt} \u00e9\n\u2028 {len(self.asked)}" for prompt in prompts]


class Weigher(Counting):
    def likelihoods(self, prompts, choices):
        self.asked += prompts
        return np.array([[len(prompt) / 3, 0.1, -1.0] for prompt in prompts])


def test_replay_gives_the_same_without_the_model(tmp_path):
    file, model = tmp_path / "answers.jsonl", Counting()
    first = logged(model, file)(["a", "b", "a", "\ud800"])
    assert model.asked == ["a", "b", "\ud800"]
    before = file.read_bytes()
    replay = ReplayWriter(file)
    assert replay(["a", "b", "a", "\ud800"]) == first
    assert pickle.loads(pickle.dumps(replay))(["b"]) == first[1:2]
    assert logged(Counting(0), file)(["b", "a"]) == [first[1], first[0]]
    assert file.read_bytes() == before
    assert not weighs(replay)


def test_likelihoods_are_replayed_to_the_last_bit(tmp_path):
    file, model = tmp_path / "logs.jsonl", Weigher()
    prompts, choices = ["a", "bcd"], ["x", "y", "z"]
    first = logged(model, file).likelihoods(prompts, choices)
    replay = ReplayWriter(file)
    np.testing.assert_array_equal(replay.likelihoods(prompts, choices), first)
    at, _ = choose(replay, prompts, choices)
    np.testing.assert_array_equal(at, choose(model, prompts, choices)[0])
    with pytest.raises(WriterError):
        replay.likelihoods(prompts, ["x", "z", "y"])


def test_records_by_a_schema_go_through_the_file(tmp_path):
    """A writer that can be held to a schema is held to it behind a log too, and replayed."""

    class Held(Counting):
        def records(self, prompts, schema):
            self.asked += prompts
            assert schema["properties"]["stars"]["maximum"] == 5
            return [json.dumps({"stars": len(prompt)}) for prompt in prompts]

    file, model = tmp_path / "records.jsonl", Held()
    schema = {"stars": {"type": "integer", "minimum": 1, "maximum": 5}}
    asked = ["a", "bc", "def"]
    first = read_records(logged(model, file), asked, schema)
    assert [record.value for record in first] == [{"stars": 1}, {"stars": 2}, {"stars": 3}]
    assert read_records(logged(Held(0), file), asked[::-1], schema) == first[::-1]
    assert read_records(ReplayWriter(file), asked, schema) == first
    assert model.asked == asked
    assert not hasattr(logged(Counting(), file), "records")


def test_work_goes_on_after_a_break(tmp_path):
    file, prompts = tmp_path / "deep" / "answers.jsonl", list("abcdef")
    with pytest.raises(ConnectionError):
        logged(Counting(most=4), file)(prompts)
    with open(file, "ab") as stream:
        stream.write(b'{"prompt": "e", "ans')  # the line that was cut off
    model = Counting()
    said = logged(model, file)(prompts)
    assert model.asked == ["e", "f"]
    assert ReplayWriter(file)(prompts) == said


def test_a_prompt_that_is_not_there(tmp_path):
    file = tmp_path / "answers.jsonl"
    file.write_text('{"prompt": "a", "answer": "by hand"}\n')
    assert ReplayWriter(file)(["a"]) == ["by hand"]
    with pytest.raises(WriterError) as caught:
        ReplayWriter(file)(["b"])
    assert caught.value.asked == "b"
    assert caught.value.there == 1


@pytest.mark.parametrize("line", ["no json", '{"prompt": "a"}', "[1]", "7"])
def test_files_that_are_none(tmp_path, line):
    file = tmp_path / "answers.jsonl"
    file.write_text(line + "\n")
    with pytest.raises(StoreError):
        ReplayWriter(file)(["a"])
    with pytest.raises(StoreError):
        ReplayWriter(tmp_path / "nothing")(["a"])


def test_a_changed_answer_is_noticed(tmp_path):
    file = tmp_path / "answers.jsonl"
    logged(Counting(), file)(["a"])
    said = json.loads(file.read_text())
    file.write_text(json.dumps({**said, "answer": "another"}) + "\n")
    with pytest.raises(StoreError) as caught:
        ReplayWriter(file)(["a"])
    assert caught.value.asked == 1
