"""The examples in docstrings run."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("module", ["advise", "evaluate", "fidelity.judge", "privacy.membership"])
def test_examples(module):
    result = doctest.testmod(importlib.import_module(f"hinaug.evaluation.{module}"))
    assert (result.failed, result.attempted > 0) == (0, True)
