"""The verb tune; the search is `hinaug.evaluation.tune`."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from hinaug import evaluation
from hinaug.cli.drop import split_without
from hinaug.cli.folders import opened
from hinaug.cli.models import named, read_tuned, settings_of, space_of
from hinaug.cli.names import Settings
from hinaug.cli.options import (
    PREDICTORS,
    Drop,
    Json,
    Seed,
    Setting,
    SplitStore,
    complete_predictor,
)
from hinaug.cli.output import answer, command, table, tell
from hinaug.errors import EdgeWarning, ParameterError


def tune(
    split: SplitStore,
    model: Annotated[
        str,
        typer.Option(help=f"A predictor by name. {PREDICTORS}", autocompletion=complete_predictor),
    ],
    out: Annotated[
        Path, typer.Option(help="The file to write, such as best.json, for --model of other verbs.")
    ],
    search: Annotated[
        list[str] | None,
        typer.Option(
            help="What to try: l2=1..3000:log (a range on a logarithmic scale), dropout=0..0.5 or "
            "n_layers=[1,2,3]; may be repeated. The usual ranges of the model unless given."
        ),
    ] = None,
    trials: Annotated[int, typer.Option(min=1, metavar="N", help="How many fits to try.")] = 30,
    seconds: Annotated[
        float | None, typer.Option(metavar="S", help="Begin no other trial after so many seconds.")
    ] = None,
    setting: Setting = None,
    file: Annotated[
        Path | None, typer.Option(help="Keep the search here; the same command goes on with it.")
    ] = None,
    drop: Drop = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Search the hyperparameters of a model, judged by validation pairs alone.

    Test pairs are not read. The model of the file is not fitted: other verbs fit
    it. Of all trials within one standard error of the best, the simplest is
    chosen. A value on the edge of what was tried is marked with *: search wider.

    Example, after that of split:
      hinaug tune split --model ItemKNN --trials 5 --out best.json
      hinaug evaluate split --model best.json
    """
    made = split_without(opened(split, "split"), drop)
    settings = Settings(setting or [])
    asked = named(model, made.target, settings)
    settings.check()
    space = space_of(asked.predictor, search or [])
    if not space:
        names = [name for name in asked.predictor.get_params() if name != "relation"]
        raise ParameterError(
            f"{model} has no usual values to search; name some with --search NAME=1..100:log or "
            f"NAME=[1,2,3]; it has {names}",
            asked=model,
            there=names,
        )
    _check_file(out)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EdgeWarning)  # the table marks them
        found = evaluation.tune(
            asked.predictor, space, made, trials=trials, seconds=seconds, file=file, rng=seed
        )
    document = {
        "model": asked.text,
        "set": settings_of(found.best),
        "metric": f"NDCG@{found.k}",
        "value": found.value,
        "why": found.why,
        "edges": list(found.edges),
        "space": {name: list(values) for name, values in space.items()},
        "trials": found.trials.num_rows,
        "seconds": found.seconds,
        "seed": seed,
        "dropped": list(drop or []),
        "rows": found.trials.to_pylist(),
    }
    text = json.dumps(document, indent=2, allow_nan=False)
    out.write_text(text + "\n", encoding="utf-8")

    def show(console: Any) -> None:
        console.print(_table_of_trials(document))
        tell(console, _chosen(document))
        fits = command("hinaug", "evaluate", split, "--model", out)
        tell(console, f"saved to {out}; {fits} fits it")

    answer(as_json, {"out": out, **document}, show)


def _check_file(out: Path) -> None:
    """Raises ParameterError where the file cannot be written, or is another's."""
    if out.suffix != ".json" or out.is_dir():
        raise ParameterError(f"--out {out}: name a file that ends in .json", asked=str(out))
    if not out.absolute().parent.is_dir():
        raise ParameterError(f"--out {out}: there is no folder {out.parent}", asked=str(out))
    if out.exists():
        read_tuned(out)


def _table_of_trials(found: dict[str, Any]) -> Any:
    """A row a trial, best first; what was chosen has an arrow."""
    title = f"{found['model']}, judged on valid"
    rows = table(title, "", "trial", found["metric"], *found["space"], "seconds", "note")
    for row in sorted(found["rows"], key=lambda row: -(row["value"] or -1.0)):
        rows.add_row(*_row(row, found))
    return rows


def _row(row: dict[str, Any], found: dict[str, Any]) -> list[str]:
    names = list(found["space"])
    is_chosen = row["value"] == found["value"] and all(
        row[name] == found["set"].get(name, row[name]) for name in names
    )
    note = "" if row["state"] == "complete" else f"{row['state']} {row['reason']}".strip()
    value = "–" if row["value"] is None else f"{row['value']:.4f}"
    marked = found["edges"] if is_chosen else []
    cells = [_cell(row[name], name in marked) for name in names]
    arrow = "->" if is_chosen else ""
    return [arrow, str(row["number"]), value, *cells, f"{row['seconds']:.1f}", note]


def _in_words(params: dict[str, Any]) -> str:
    told = ", ".join(f"{name}={_cell(value, False)}" for name, value in params.items())
    return told or "the usual settings"


def _cell(value: Any, is_on_edge: bool) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return f"{text}*" if is_on_edge else text


def _chosen(found: dict[str, Any]) -> str:
    said = (
        f"chosen: {_in_words(found['set'])}, {found['metric']} {found['value']:.4f} on valid; "
        f"{found['why']}"
    )
    if not found["edges"]:
        return said
    names = ", ".join(found["edges"])
    return (
        f"{said}\n* on the edge of what was tried: {names}. A wider --search may find better, and "
        "no gain over this model will be reported."
    )
