"""The verb info."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hinaug.cli.facts import describe, facts_of
from hinaug.cli.folders import KINDS, opened
from hinaug.cli.options import Json
from hinaug.cli.output import answer


def info(
    store: Annotated[
        Path,
        typer.Argument(help="A folder written by hinaug: a graph, a delta, a split or a model."),
    ],
    as_json: Json = False,
) -> None:
    """Show what a saved store holds.

    Types, rows, columns and their lineage; with --json as one document.

    Example, after that of datasets:
      hinaug info store
    """
    thing = opened(store, *KINDS)
    answer(as_json, {"store": store, **facts_of(thing)}, lambda console: describe(thing, console))
