"""Verbs that use models: evaluate, recommend."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hinaug.cli import listed
from hinaug.cli.listed import ENSEMBLES, PREDICTORS, SET
from hinaug.cli.places import check_out, opened
from hinaug.cli.shared import Force, Json, Seed, answer, app, counted, note, table, tell, words
from hinaug.errors import ParameterError


class On(StrEnum):
    valid = "valid"
    test = "test"


@app.command()
def evaluate(
    split: Annotated[Path, typer.Argument(help="The store of a split.")],
    model: Annotated[
        list[str],
        typer.Option(
            help=f"A predictor by name; several become an ensemble. {PREDICTORS}",
            autocompletion=listed.model,
        ),
    ],
    delta: Annotated[
        list[Path] | None,
        typer.Option(
            help="A delta to learn from as well; may stand again. Beside each, a random one."
        ),
    ] = None,
    on: Annotated[
        On, typer.Option(help="The held-out pairs to judge by; test is for the end.")
    ] = On.valid,
    setting: Annotated[list[str] | None, typer.Option("--set", help=SET)] = None,
    ensemble: Annotated[
        str,
        typer.Option(
            help=f"How several models become one. {ENSEMBLES}", autocompletion=listed.ensembles
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
    seed: Seed = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Does a delta help? The model plain, with each delta, and with a random delta of the same
    size; paired tests over users.

    On valid a model learns from train; on test it makes its choices on valid and is refitted on
    train and valid.

    Example, after that of augment:
      hinaug evaluate split --model EASE --set l2=50 --delta delta \\
        --on test --out model --run run
    """
    from hinaug.cli.arms import compared, deltas_by_name, document, learned, newcomers, show
    from hinaug.cli.names import Settings
    from hinaug.cli.record import check_run, keep_run, told_of
    from hinaug.io.store import save

    started = time.monotonic()
    made = opened(split, "split")
    deltas = deltas_by_name(delta or [], made)
    settings = Settings(setting or [])
    predictor = _predictor(model, ensemble, made.target, settings)
    cuts = sorted({10, 20, *_cuts(k)})
    if out is not None:
        check_out(out, "estimator", force)
        keep = _arm_to_keep(keep, list(deltas))
    elif keep is not None:
        raise ParameterError("--keep says which model --out saves; there is no --out")
    if run is not None:
        check_run(run, deltas, on.value)
    if on is On.valid and len(model) > 1:
        note(
            "the ensemble's weights are learned on valid, so its figures there flatter; --on test "
            "does not"
        )
    new, judged = newcomers(made, on.value)
    if new > judged / 10:
        note(
            f"{new:,} of the {judged:,} users judged are new: models that read histories rank "
            "nothing for them, which counts as 0"
        )
    found = learned(predictor, made, deltas, on.value, cuts, range(seed, seed + seeds))
    comparisons = compared(found.results, list(deltas))
    if out is not None and keep is not None:
        save(found.models[keep], out)
    facts = {
        "split": split,
        "on": on.value,
        "seeds": list(range(seed, seed + seeds)),
        "model": repr(predictor),
        "new_users": new,
    }
    saved: dict[str, Any] = {"saved": {"model": out, "arm": keep}} if out is not None else {}
    if run is not None:
        options = {
            "model": model,
            "delta": delta,
            "set": setting,
            "ensemble": ensemble,
            "seeds": seeds,
            "seed": seed,
        }
        told = told_of(split, made, predictor, options)
        keep_run(run, made, deltas, found, comparisons, told, time.monotonic() - started)
        saved |= {"run": run}

    def printed(console: Any) -> None:
        show(found.results, comparisons, facts, console)
        if out is not None:
            tell(console, f"saved to {out}: the model of the arm {keep!r}, seed {seed}")
        if run is not None:
            tell(console, f"kept in {run}; hinaug report {run} makes a page of it")

    answer(as_json, {**facts, **document(found.results, comparisons), **saved}, printed)


def _predictor(names: list[str], ensemble: str, relation: Any, settings: Any) -> Any:
    from hinaug.cli.names import method
    from hinaug.ensembles import Ensemble
    from hinaug.predictors.base import LinkPredictor

    members = [settings.make(method("predictors", name, LinkPredictor), relation) for name in names]
    whole = (
        settings.make(method("ensembles", ensemble, Ensemble), members)
        if len(members) > 1
        else members[0]
    )
    settings.check()
    return whole


def _cuts(text: str) -> list[int]:
    cuts = [part.strip() for part in text.split(",")]
    if not all(c.isdecimal() and int(c) >= 1 for c in cuts):
        raise ParameterError(f"--k {text!r}: whole numbers of at least 1, such as 10,20")
    return [int(c) for c in cuts]


def _arm_to_keep(keep: str | None, deltas: list[str]) -> str:
    arms = ["plain", *deltas]
    if keep is None:
        if len(deltas) > 1:
            raise ParameterError(f"--out saves one model: say which with --keep, one of {arms}")
        return arms[-1]
    if keep not in arms:
        raise ParameterError(f"--keep {keep!r}: no such arm; there are {arms}")
    return keep


@app.command()
def recommend(
    model: Annotated[Path, typer.Argument(help="The store of a fitted model.")],
    store: Annotated[
        Path, typer.Option(help="The store of the graph, or of the split, that holds the users.")
    ],
    users: Annotated[
        str, typer.Option(help="Ids with commas between them, or @FILE with one a line.")
    ],
    k: Annotated[int, typer.Option(min=1, metavar="N", help="How many for each.")] = 10,
    column: Annotated[
        str | None, typer.Option("--show", help="A column of the items to print, such as title.")
    ] = None,
    as_json: Json = False,
) -> None:
    """The k best items of each user that the user has not met, by external id.

    Of a split, the graph is train and valid.

    Example, after that of evaluate:
      hinaug recommend model --store split --users u000,u001 --k 5 --show title
    """
    from hinaug.errors import SchemaError
    from hinaug.graph.hin import HIN
    from hinaug.predictors.base import LinkPredictor
    from hinaug.serving.recommend import recommend as best

    predictor = opened(model, "estimator")
    if not isinstance(predictor, LinkPredictor):
        raise ParameterError(
            f"{model} holds a {type(predictor).__name__}, which does not rank; hinaug evaluate "
            "--out saves a model"
        )
    there = opened(store, "hin", "split")
    hin = there if isinstance(there, HIN) else there.train_valid
    if predictor.relation not in hin.edges:
        raise ParameterError(
            f"the model ranks {','.join(predictor.relation)}; {store} has "
            f"{[','.join(t) for t in hin.edges]}"
        )
    names = _ids(users)
    try:
        found = best(predictor, hin, names, k)
    except SchemaError as error:
        hint = "; an id that holds a comma stands on a line of its own in a file: --users @FILE" * (
            "," in users
        )
        raise ParameterError(f"{error}{hint}") from error
    if not len(found) and set(names).isdisjoint(predictor.src_ids_.to_pylist()):
        raise ParameterError(
            f"{model} was fitted on a graph that has none of these {predictor.relation[0]}s; is "
            f"{store} the right one?"
        )
    rows = [
        {n: v if n in ("score", "rank") else str(v) for n, v in row.items()}
        for row in found.to_pylist()
    ]
    if column is not None:
        target = predictor.relation[2]
        shown = dict(
            zip(
                map(str, hin.ids(target).to_pylist()),
                hin.column(target, column).to_pylist(),
                strict=True,
            )
        )
        rows = [{**row, column: shown[row["item"]]} for row in rows]
    without = [name for name in names if not any(row["user"] == name for row in rows)]
    if without:
        note(
            f"nothing for {', '.join(without)}: the model cannot tell, or they have met everything"
        )

    def show(console: Any) -> None:
        title = f"{predictor.relation[2]}s for {counted(len(names), predictor.relation[0])}, by {type(predictor).__name__}"
        printed = table(title, "user", "rank", "item", "score", *([column] if column else []))
        for row in rows:
            last = [words(row[column])] if column else []
            printed.add_row(
                row["user"], str(row["rank"]), row["item"], f"{row['score']:.4f}", *last
            )
        console.print(printed)

    answer(as_json, rows, show)


def _ids(text: str) -> list[str]:
    try:
        listed = (
            Path(text[1:]).read_text(encoding="utf-8-sig").splitlines()
            if text.startswith("@")
            else text.split(",")
        )
    except UnicodeDecodeError as error:
        raise ParameterError(f"--users {text}: the file is no UTF-8 text ({error})") from error
    names = list(dict.fromkeys(name.strip() for name in listed if name.strip()))
    if not names:
        raise ParameterError(f"--users {text!r} names nobody")
    return names
