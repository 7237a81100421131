"""The examples in the docstrings of relations and selection run and give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import hinaug.generators.relations
import hinaug.generators.selection

FOLDERS = (hinaug.generators.relations, hinaug.generators.selection)
MODULES = [m.name for f in FOLDERS for m in pkgutil.iter_modules(f.__path__, f"{f.__name__}.")]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module)
    assert result.failed == 0
    public = [f for f in FOLDERS for n in f.__all__ if getattr(f, n).__module__ == name]
    assert result.attempted > 0 or not public
