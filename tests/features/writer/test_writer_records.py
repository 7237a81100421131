"""Answers become records of a schema, or are refused."""

import json

import pytest

from hinaug.errors import ParameterError
from hinaug.features.writer import read_records
from hinaug.features.writer.records import cut, json_schema, read_record

SCHEMA = {
    "name": {"type": "string", "maxLength": 12},
    "job": {"type": "string", "enum": ["Baker", "Guide"], "nullable": True},
    "age": {"type": "integer", "minimum": 1, "maximum": 99},
    "likes": {"type": "array", "minimum": 1, "maximum": 5, "maxItems": 2},
}
GOOD = {"name": "Ann", "job": "Baker", "age": 30, "likes": [1, 4]}


def changed(**fields):
    return json.dumps({**GOOD, **fields})


def test_a_good_answer_is_taken_as_it_is():
    record = read_record(json.dumps(GOOD), SCHEMA)
    assert record.value == GOOD
    assert record.why == ""


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        (changed(age="30"), "age", 30),
        (changed(age=30.0), "age", 30),
        (changed(job="baker"), "job", "Baker"),
        (changed(job=None), "job", None),
        (changed(likes=[1, 1, 9, "2", 3]), "likes", [1, 2]),
        (changed(name="Ann. And more."), "name", "Ann."),
        (f"Sure! ```json\n{changed()}\n```", "age", 30),
        (changed(admin=True), "age", 30),
    ],
)
def test_repairs(text, field, value):
    record = read_record(text, SCHEMA)
    assert record.value[field] == value
    assert set(record.value) == set(SCHEMA)
    assert record.why or value is None or text == changed(age=30.0)


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "{",
        "[1, 2]",
        changed() + changed(),
        changed(age=100),
        changed(age=True),
        changed(age=1.5),
        changed(age="x"),
        changed(job="King"),
        changed(likes=[]),
        changed(likes=[9]),
        changed(likes="1"),
        changed(name=""),
        changed(name=None),
        '{"name": "Ann"}',
        "{" * 5000,
    ],
)
def test_what_does_not_fit_is_refused(text):
    assert read_record(text, SCHEMA).value is None


def test_a_writer_that_holds_to_schemas_is_asked_so():
    class Held:
        def __call__(self, prompts):
            raise AssertionError("records is there")

        def records(self, prompts, schema):
            assert schema == json_schema(SCHEMA)
            return [json.dumps(GOOD) for _ in prompts]

    assert read_records(Held(), ["p"], SCHEMA)[0].value == GOOD
    with pytest.raises(ParameterError):
        read_records(Held(), ["p"], {"x": {"type": "object"}})


def test_json_schema_names_what_is_needed():
    said = json_schema(SCHEMA)
    assert said["required"] == ["name", "age", "likes"]
    assert said["properties"]["likes"]["items"] == {"type": "integer", "minimum": 1, "maximum": 5}


def test_cut_ends_after_a_sentence_or_a_word():
    assert cut("short", 9) == "short"
    assert cut("no end of it", 8) == "no end"
    assert cut("xxxxxxxxxx", 4) == "xxxx"
