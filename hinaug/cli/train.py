"""The verb train."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from hinaug.cli.arms import deltas_by_name
from hinaug.cli.drop import split_without
from hinaug.cli.folders import check_out, opened
from hinaug.cli.models import named
from hinaug.cli.names import Settings
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
from hinaug.cli.output import answer, command, tell
from hinaug.io import save
from hinaug.predictors.base import LinkPredictor
from hinaug.report import brief
from hinaug.split import Split
from hinaug.training.distributed import joined


def train(
    split: SplitStore,
    model: Annotated[
        str,
        typer.Option(
            help=f"A predictor by name, or the file of hinaug tune. {PREDICTORS}",
            autocompletion=complete_predictor,
        ),
    ],
    out: Annotated[Path, typer.Option(help="The store to write the model to.")],
    delta: Annotated[
        list[Path] | None,
        typer.Option(help="A delta to learn from as well; may be repeated."),
    ] = None,
    refit: Annotated[
        bool,
        typer.Option(
            help="Fit once more on train and valid together, after choices were made on valid."
        ),
    ] = True,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="A folder for checkpoints: the same command goes on where it was killed."
        ),
    ] = None,
    column_block: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Columns that a step works on at once, for MF and LightGCN: less memory.",
        ),
    ] = None,
    on_disk: Annotated[
        bool,
        typer.Option(
            "--on-disk", help="With --column-block: parameters and optimiser in temporary files."
        ),
    ] = False,
    by_rows: Annotated[
        bool,
        typer.Option(
            "--by-rows", help="Processes divide users, items and links in place of columns."
        ),
    ] = False,
    setting: Setting = None,
    drop: Drop = None,
    seed: Seed = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Fit one model on a split, and save it.

    It learns from train and makes its choices on valid, such as when to stop. It
    is then fitted on both, unless --no-refit. Test pairs are never read. hinaug
    recommend, errors and evaluate read the saved model.

    Several processes train MF, LightGCN, ALS, SLIM or LocalEASE together:
      torchrun --nproc-per-node 2 -m hinaug.cli train split --model MF --out mf

    Example, after that of split:
      hinaug train split --model ItemKNN --out knn
    """
    started = time.monotonic()
    made = split_without(opened(split, "split"), drop)
    check_out(out, "estimator", force)
    deltas = deltas_by_name(delta or [], made)
    settings = Settings(setting or [])
    predictor = named(model, made.target, settings).predictor
    settings.check()
    own = predictor.clone()
    with joined() as ranks:
        group = ranks if ranks.size > 1 else None
        with own.training(
            checkpoint=checkpoint,
            ranks=group,
            column_block=column_block,
            on_disk=on_disk,
            by_rows=by_rows,
        ):
            fitted = _fitted(own, made, list(deltas.values()), refit, seed)
    if ranks.rank > 0:
        return  # each rank has the same model
    seconds = time.monotonic() - started
    save(fitted, out)
    document = {
        "store": out,
        "model": repr(fitted),
        "fitted_on": "train and valid" if refit else "train",
        "deltas": list(deltas),
        "seconds": seconds,
    }
    text = f"{brief(repr(fitted))}\nfitted on {document['fitted_on']} in {seconds:.1f} s"
    users = command("hinaug", "recommend", out, "--store", split, "--users", "IDS")

    def show(console: Any) -> None:
        tell(console, f"{text}\nsaved to {out}; {users} lists the best items of users")

    answer(as_json, document, show)


def _fitted(
    predictor: LinkPredictor, split: Split, deltas: list[Any], refit: bool, seed: int
) -> LinkPredictor:
    """The model fitted on train and the deltas, and then on train, valid and the deltas."""
    graph, full = split.train, split.train_valid
    for delta in deltas:
        graph, full = graph + delta, full + delta
    valid = split.valid if split.valid.num_rows else None
    model = predictor.fit(graph, valid=valid, rng=seed)
    return model.refit(full, rng=seed) if refit else model
