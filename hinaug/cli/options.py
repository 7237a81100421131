"""Names of methods as --help and completion show them; no method is imported for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hinaug import ensembles as ensemble
from hinaug import generators, predictors

NOT_METHODS = ("Ensemble", "RelationGenerator", "random_delta")


def names(module: Any) -> list[str]:
    """What a package offers by name on the command line."""
    return sorted((n for n in module.__all__ if n not in NOT_METHODS), key=str.casefold)


PREDICTORS = f"There are {', '.join(names(predictors))}."
GENERATORS = f"There are {', '.join(names(generators))}."
ENSEMBLES = f"There are {', '.join(names(ensemble))}."
SET = "A hyperparameter: l2=300, or EASE.l2=300. A wrong name lists what there is."


def starting(module: Any, end: str = "") -> Callable[[str], list[str]]:
    """For completion: the names that begin with what was typed, each with what comes after it."""

    def those(typed: str) -> list[str]:
        return [n + end for n in names(module) if n.casefold().startswith(typed.casefold())]

    return those


model = starting(predictors)
edges = starting(predictors, ":0.1")
entities = starting(generators, ":0.1")
ensembles = starting(ensemble)


def data_sets(typed: str) -> list[str]:
    from hinaug.datasets.sources import SOURCES

    return [n for n in sorted([*SOURCES, "planted"]) if n.startswith(typed)]
