"""Options that several verbs share, and the names of methods that help and completion show.

No method is imported for its name.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from hinaug import ensembles, generators, predictors
from hinaug.datasets.sources import SOURCES

CONTRACTS = (  # and what takes another method: not asked for by name
    "Ensemble",
    "FoldsIn",
    "FoldsInItems",
    "HasVectors",
    "LinkPredictor",
    "Generator",
    "EntityGenerator",
    "Entities",
    "Condition",
    "RelationGenerator",
)

Json = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout and nothing else there.")
]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Of every random choice.")]
Force = Annotated[
    bool, typer.Option("--force", help="Also replace a store of another kind at --out.")
]
Setting = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A hyperparameter: l2=300, or EASE.l2=300. A wrong name lists what there is.",
    ),
]
OwnClass = Annotated[
    list[str] | None,
    typer.Option("--class", help="Your own class that the model is of: file.py:Class."),
]
Drop = Annotated[
    list[str] | None,
    typer.Option(
        "--drop",
        help="A node type, or an edge type such as item,has,genre, to leave out; may be repeated.",
    ),
]
GraphStore = Annotated[Path, typer.Argument(help="The store of a graph.")]
SplitStore = Annotated[Path, typer.Argument(help="The store of a split.")]


def method_names(package: Any) -> list[str]:
    """The methods that a package offers by name on the command line."""
    named = [n for n in package.__all__ if n[0].isupper() and n not in CONTRACTS]
    return sorted(named, key=str.casefold)


OWN = "A class of your own: module:Class or file.py:Class."
PREDICTORS = f"There are {', '.join(method_names(predictors))}. {OWN}"
GENERATORS = f"There are {', '.join(method_names(generators))}. {OWN}"
ENSEMBLES = f"There are {', '.join(method_names(ensembles))}."


def _completing(package: Any, size: str = "") -> Callable[[str], list[str]]:
    """For completion: the names that begin with what was typed, each followed by `size`."""

    def beginning_with(typed: str) -> list[str]:
        start = typed.casefold()
        return [n + size for n in method_names(package) if n.casefold().startswith(start)]

    return beginning_with


complete_predictor = _completing(predictors)
complete_ensemble = _completing(ensembles)
complete_edges = _completing(predictors, ":0.1")
complete_generator = _completing(generators)
complete_entities = _completing(generators, ":0.1")


def complete_dataset(typed: str) -> list[str]:
    return [n for n in sorted([*SOURCES, "planted"]) if n.startswith(typed)]
