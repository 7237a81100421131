"""The examples in the docstrings of the writers run and give what they say."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("module", ["base", "records", "replay"])
def test_the_examples_run(module):
    result = doctest.testmod(importlib.import_module(f"hinaug.features.writer.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
