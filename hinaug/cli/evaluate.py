"""The verb evaluate."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hinaug.cli.arms import compared, deltas_by_name, document, learned, newcomers, show
from hinaug.cli.drop import split_without
from hinaug.cli.folders import check_out, opened
from hinaug.cli.models import is_fitted, named
from hinaug.cli.names import Settings, method
from hinaug.cli.options import (
    ENSEMBLES,
    PREDICTORS,
    Drop,
    Force,
    Json,
    Seed,
    Setting,
    SplitStore,
    complete_ensemble,
    complete_predictor,
)
from hinaug.cli.output import answer, command, note, tell
from hinaug.cli.run_folder import check_run, facts_of_run, keep_run
from hinaug.ensembles import Ensemble
from hinaug.errors import ParameterError
from hinaug.graph import EdgeType
from hinaug.io import save
from hinaug.predictors.base import LinkPredictor
from hinaug.split import Split


class On(StrEnum):
    valid = "valid"
    test = "test"


def evaluate(
    split: SplitStore,
    model: Annotated[
        list[str],
        typer.Option(
            help="A predictor by name, the file of hinaug tune, or the store of a fitted model, "
            "which is judged as it is; several names become an ensemble. "
            f"{PREDICTORS}",
            autocompletion=complete_predictor,
        ),
    ],
    delta: Annotated[
        list[Path] | None,
        typer.Option(
            help="A delta to learn from as well; may be repeated. Beside each, a random one."
        ),
    ] = None,
    on: Annotated[
        On, typer.Option(help="The held-out pairs to judge by; test is for the end.")
    ] = On.valid,
    setting: Setting = None,
    ensemble: Annotated[
        str,
        typer.Option(
            help=f"How several models become one. {ENSEMBLES}", autocompletion=complete_ensemble
        ),
    ] = "Weighted",
    seeds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Fits to average over, from --seed on.")
    ] = 1,
    k: Annotated[str, typer.Option(help="Cut-offs, besides 10 and 20.")] = "10,20",
    out: Annotated[Path | None, typer.Option(help="Save the model of one arm here.")] = None,
    keep: Annotated[
        str | None, typer.Option(help="Which arm --out saves: plain, or a delta's folder.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="Folder for figures and graphs, for hinaug report.")
    ] = None,
    drop: Drop = None,
    seed: Seed = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Compare a model with a delta, without it, and with a random one of the same size.

    Differences are tested over users, in pairs. On valid a model learns from
    train; on test it makes its choices on valid and is refitted on both.

    Example, after that of augment:
      hinaug evaluate split --model EASE --set l2=50 --delta delta \\
        --on test --out model --run run
    """
    started = time.monotonic()
    made = split_without(opened(split, "split"), drop)
    deltas = deltas_by_name(delta or [], made)
    predictor = _predictor(model, ensemble, made.target, Settings(setting or []))
    _check_fitted(predictor, model[0], bool(deltas) or seeds > 1)
    cuts = sorted({10, 20, *_cuts(k)})
    keep = _arm_to_keep(keep, out, list(deltas), force)
    if run is not None:
        check_run(run, deltas, on.value)
    if on is On.valid and len(model) > 1:
        note(
            "the ensemble's weights are learned on valid, so its figures there flatter; --on test "
            "does not"
        )
    new_users = _note_newcomers(made, on)
    all_seeds = list(range(seed, seed + seeds))
    found = learned(predictor, made, deltas, on.value, cuts, all_seeds)
    comparisons = compared(found.results, list(deltas))
    facts = {
        "split": split,
        "on": on.value,
        "seeds": all_seeds,
        "model": repr(predictor),
        "new_users": new_users,
    }
    saved: dict[str, Any] = {}
    if out is not None and keep is not None:
        save(found.models[keep], out)
        saved["saved"] = {"model": out, "arm": keep}
    if run is not None:
        options = {
            "model": model,
            "delta": delta,
            "set": setting,
            "drop": drop,
            "ensemble": ensemble,
            "seeds": seeds,
            "seed": seed,
        }
        run_facts = facts_of_run(split, made, predictor, options)
        keep_run(run, made, deltas, found, run_facts, time.monotonic() - started)
        saved["run"] = run

    def show_all(console: Any) -> None:
        show(found.results, comparisons, facts, console)
        if out is not None:
            tell(console, f"saved to {out}: the model of the arm {keep!r}, seed {seed}")
        if run is not None:
            tell(console, f"kept in {run}; {command('hinaug', 'report', run)} makes a page of it")

    answer(as_json, {**facts, **document(found.results, comparisons), **saved}, show_all)


def _predictor(
    names: list[str], ensemble: str, relation: EdgeType, settings: Settings
) -> LinkPredictor:
    """The model of that name, or an ensemble of several, with its settings."""
    members = [named(name, relation, settings).predictor for name in names]
    whole = (
        settings.make(method("ensembles", ensemble, Ensemble), members)
        if len(members) > 1
        else members[0]
    )
    settings.check()
    return whole


def _check_fitted(predictor: LinkPredictor, name: str, is_more: bool) -> None:
    """Raises ParameterError where more than one arm is asked for of a model that is fitted."""
    if is_more and is_fitted(predictor):
        raise ParameterError(
            f"--model {name} is fitted already, so it is judged as it is: without --delta and "
            "with one of --seeds",
            asked=name,
        )


def _cuts(text: str) -> list[int]:
    cuts = [part.strip() for part in text.split(",")]
    if not all(c.isdecimal() and int(c) >= 1 for c in cuts):
        raise ParameterError(
            f"--k {text!r}: whole numbers of at least 1, such as 10,20", asked=text
        )
    return [int(c) for c in cuts]


def _arm_to_keep(keep: str | None, out: Path | None, deltas: list[str], force: bool) -> str | None:
    """The arm whose model --out saves; None without --out."""
    if out is None:
        if keep is not None:
            raise ParameterError("--keep says which model --out saves; there is no --out")
        return None
    check_out(out, "estimator", force)
    arms = ["plain", *deltas]
    if keep is None:
        if len(deltas) > 1:
            raise ParameterError(
                f"--out saves one model: say which with --keep, one of {arms}", there=arms
            )
        return arms[-1]
    if keep not in arms:
        raise ParameterError(
            f"--keep {keep!r}: no such arm; there are {arms}", asked=keep, there=arms
        )
    return keep


def _note_newcomers(split: Split, on: On) -> int:
    """How many of the users judged are new; says so where they are many."""
    new, judged = newcomers(split, on.value)
    if new > judged / 10:
        note(
            f"{new:,} of the {judged:,} users judged are new: models that read histories rank "
            "nothing for them, which counts as 0"
        )
    return new
