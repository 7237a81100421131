"""Every layer and loss has an example in its docstring, and every example is true."""

import doctest
import importlib
import pkgutil

import pytest

import hinaug.nn

MODULES = [f"hinaug.nn.{m.name}" for m in pkgutil.iter_modules(hinaug.nn.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_are_true(name):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert failed == 0
    assert tried > 0


def test_everything_has_an_example():
    without = [n for n in hinaug.nn.__all__ if ">>>" not in getattr(hinaug.nn, n).__doc__]
    assert without == ["Block"]  # shown by NeighborSampler
