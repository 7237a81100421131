"""There and back by programs: one text a line, and a clear error in each way of failing."""

import sys

import pytest

from hinaug import HIN
from hinaug.errors import ParameterError, WriterError
from hinaug.generators.values import BackTranslation, ParaphrasedText

LOUDER = ["sed", "s/strap/belt/; s/not//"]


def test_there_and_back():
    back = BackTranslation(LOUDER, ["sed", "s/belt/band/"])
    assert back(["a strap\nfor two", "", "na\u00efve strap"]) == [
        "a band for two", "", "na\u00efve band",
    ]  # fmt: skip
    assert back([]) == []


def test_guards_refuse_what_a_translation_loses():
    texts = ["a good strap", "not a strap"]
    hin = HIN.from_tables({"review": {"id": ["a", "b"], "text": texts}}, {})
    rewritten = ParaphrasedText("review", "text", BackTranslation(LOUDER, ["cat"])).fit(hin)
    made = hin + rewritten.generate(hin)
    assert made.column("review", "text_paraphrased").to_pylist() == ["a good belt", None]
    assert rewritten.tally.why == {"a protected word changed": 1}


@pytest.mark.parametrize(
    ("command", "seconds", "error"),
    [
        (["/no/such/program"], 60, ParameterError),
        ([sys.executable, "-c", "raise SystemExit(3)"], 60, WriterError),
        ([sys.executable, "-c", "import time; time.sleep(60)"], 0.2, WriterError),
        (["sed", "1d"], 60, WriterError),
    ],
)
def test_programs_that_fail(command, seconds, error):
    with pytest.raises(error) as caught:
        BackTranslation(command, ["cat"], seconds)(["one", "two"])
    assert caught.value.asked is not None
