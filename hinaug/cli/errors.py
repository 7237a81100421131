"""The verb errors; the analysis is `hinaug.evaluation.analyse_errors`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hinaug.cli.drop import split_without
from hinaug.cli.evaluate import On
from hinaug.cli.folders import opened
from hinaug.cli.options import Drop, Json, OwnClass, Seed
from hinaug.cli.output import answer, command, tell
from hinaug.cli.recommend import opened_model
from hinaug.evaluation import analyse_errors
from hinaug.report import keep, section_of, show


def errors(
    model: Annotated[Path, typer.Argument(help="The store of a fitted model.")],
    split: Annotated[Path, typer.Option(help="The store of the split whose pairs are judged.")],
    on: Annotated[On, typer.Option(help="The held-out pairs to look at.")] = On.test,
    delta: Annotated[
        Path | None, typer.Option(help="The delta that the model learned from as well.")
    ] = None,
    k: Annotated[int, typer.Option(min=1, metavar="N", help="The length of the lists.")] = 20,
    cold: Annotated[
        int, typer.Option(min=0, metavar="N", help="So many links, or fewer, are cold.")
    ] = 3,
    run: Annotated[
        Path | None, typer.Option(help="The folder of a run; its report shows this as well.")
    ] = None,
    own: OwnClass = None,
    drop: Drop = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Show which held-out items a model misses, in what way, and for whom most.

    A slice of users or items is named only if it is worse than the rest beyond
    chance, on users and items that were not used to find it.

    Example, after that of evaluate:
      hinaug errors model --split split --delta delta --run run
    """
    predictor, made = opened_model(model, own), split_without(opened(split, "split"), drop)
    graph = made.train if on is On.valid else made.train_valid
    if delta is not None:
        graph = graph + opened(delta, "delta")
    found = analyse_errors(predictor, graph, made, on=on.value, k=k, cold=cold, rng=seed)
    document, section = found.document(), section_of(found)
    if run is not None:
        keep(run, section.title, section.about, section.blocks)
        document["run"] = run

    def show_all(console: Any) -> None:
        for block in section.blocks:
            show(block, console)
        if run is not None:
            tell(console, f"kept in {run}; {command('hinaug', 'report', run)} makes a page of it")

    answer(as_json, document, show_all)
