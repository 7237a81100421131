"""The verb advise; the probes are those of `hinaug.evaluation.advise`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hinaug import evaluation
from hinaug.cli.drop import split_without
from hinaug.cli.folders import check_out, opened
from hinaug.cli.names import Settings, method
from hinaug.cli.options import (
    PREDICTORS,
    Drop,
    Force,
    Json,
    Seed,
    Setting,
    SplitStore,
    complete_predictor,
)
from hinaug.cli.output import answer, note, tell
from hinaug.io import save
from hinaug.predictors.base import LinkPredictor


class Goal(StrEnum):
    accuracy = "accuracy"
    cold = "cold"


def advise(
    split: SplitStore,
    goal: Annotated[
        Goal, typer.Option(help="Better lists for known items, or new items in the lists.")
    ] = Goal.accuracy,
    minutes: Annotated[float, typer.Option(metavar="N", help="How long probes may take.")] = 5.0,
    model: Annotated[
        str,
        typer.Option(
            help=f"The predictor that is deployed. {PREDICTORS}", autocompletion=complete_predictor
        ),
    ] = "EASE",
    setting: Setting = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the advised edges for train here, a delta.")
    ] = None,
    drop: Drop = None,
    seed: Seed = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Say on one page whether augmentation is worth it here, which, and how much.

    Short probes on validation pairs, each against its control; test is not
    looked at. Without a gain beyond chance there is no advice.

    Example, after that of split:
      hinaug advise split --minutes 2
    """
    made = split_without(opened(split, "split"), drop)
    if out is not None:
        check_out(out, "delta", force)
    settings = Settings(setting or [])
    predictor = settings.make(method("predictors", model, LinkPredictor), made.target)
    settings.check()
    advice = evaluation.advise(made.train, made, goal.value, minutes, model=predictor, rng=seed)
    document: dict[str, Any] = {"split": split, **advice.document()}
    saved = out is not None and advice.answer == "yes"
    if out is not None and saved:
        save(advice.delta(made.train, rng=seed), out)
        document["delta"] = out
    elif out is not None:
        note(f"nothing is written to {out}: no edges are advised")

    def show(console: Any) -> None:
        tell(console, str(advice))
        if saved:
            tell(console, f"the edges are saved to {out}")

    answer(as_json, document, show)
