"""What is asked of a writer, and how its choices are read."""

import numpy as np
import pytest

from hinaug.errors import KindError, ParameterError, WriterError
from hinaug.features.writer import ask, centred, choose
from hinaug.features.writer.base import named_in


@pytest.mark.parametrize(
    ("writer", "error"),
    [
        (None, KindError),
        (lambda prompts: "one text", KindError),
        (lambda prompts: [1 for _ in prompts], KindError),
        (lambda prompts: prompts[:-1], WriterError),
    ],
)
def test_what_is_no_answer_is_an_error(writer, error):
    with pytest.raises(error):
        ask(writer, ["a", "b"])


def test_no_prompt_asks_nobody():
    assert ask(lambda prompts: 1 / 0, []) == []


class Weigher:
    def __init__(self, logs):
        self.logs = np.array(logs)

    def __call__(self, prompts):
        raise AssertionError("likelihoods are there")

    def likelihoods(self, prompts, choices):
        return self.logs


def test_choices_are_centred_over_the_prompts():
    writer = Weigher([[-1.0, -5.0], [-1.0, -3.0]])  # the first choice is likelier whatever is asked
    assert choose(writer, ["p", "q"], ["x", "y"])[0].tolist() == [0, 1]
    assert choose(writer, ["p", "q"], ["x", "y"], centre=False)[0].tolist() == [0, 0]
    sure = choose(writer, ["p", "q"], ["x", "y"])[1]
    np.testing.assert_allclose(sure, 1 / (1 + np.exp(-1.0)))
    one = np.array([[-1.0, -5.0]])
    np.testing.assert_array_equal(centred(one), one)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("Rock", 0),
        ("I would say: rock.", 0),
        ("hard rock", 1),  # the longer name holds the shorter one
        ("rock or jazz", -1),
        ("rockets", -1),
        ("", -1),
    ],
)
def test_a_text_names_one_choice_or_none(text, at):
    assert named_in(text, ["rock", "hard rock", "jazz"]) == at


def test_lists_of_choices_are_checked():
    with pytest.raises(ParameterError):
        choose(lambda ps: ps, ["p"], ["only one"])
    with pytest.raises(ParameterError):
        choose(lambda ps: ps, ["p", "q"], [["a", "b"], ["a", "b", "c"]])
