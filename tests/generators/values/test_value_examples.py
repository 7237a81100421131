"""The examples in the docstrings of written and rewritten rows run and give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import hinaug.generators.values

MODULES = [
    *(
        f"hinaug.generators.values.{m.name}"
        for m in pkgutil.iter_modules(hinaug.generators.values.__path__)
    ),
    "hinaug.generators.entities.written",
    "hinaug.features.writer.facts",
    "hinaug.features.writer.tally",
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0 or name.endswith("wordnet")  # it needs the files of WordNet
    assert result.failed == 0
