"""The examples in the docstrings of the features run and give what they say."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "axes",
        "columns",
        "kinds",
        "profiles.associations",
        "profiles.profile",
        "similarity",
        "text.adapt",
        "text.static",
        "text.views",
    ],
)
def test_the_examples_run(module):
    result = doctest.testmod(importlib.import_module(f"hinaug.features.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
