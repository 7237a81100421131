"""The examples in the docstrings of the predictors run and give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import hinaug.predictors as package

MODULES = [module.name for module in pkgutil.iter_modules(package.__path__)]
WITH_EXAMPLES = {
    "als", "bspm", "ease", "feature_projection", "gfcf", "item_knn", "kernel_ridge",
    "metapath_similarity", "nearest", "popularity", "slim", "user_knn",
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name):
    result = doctest.testmod(importlib.import_module(f"hinaug.predictors.{name}"))
    assert result.failed == 0
    assert result.attempted > 0 or name not in WITH_EXAMPLES
