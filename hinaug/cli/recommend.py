"""The verb recommend."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hinaug import serving
from hinaug.cli.drop import graph_without
from hinaug.cli.folders import opened
from hinaug.cli.names import listed
from hinaug.cli.options import Drop, Json, OwnClass
from hinaug.cli.output import answer, counted, note, table, tell, words
from hinaug.cli.own import own_class
from hinaug.errors import EmptyListWarning, KindError, ParameterError, SchemaError, StoreError
from hinaug.graph import HIN
from hinaug.predictors.base import LinkPredictor
from hinaug.training.estimator import Estimator


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
    own: OwnClass = None,
    drop: Drop = None,
    out: Annotated[
        Path | None,
        typer.Option(help="A folder for Parquet files, for many users; the same again goes on."),
    ] = None,
    processes: Annotated[
        int, typer.Option(min=1, metavar="N", help="Workers on this machine, with --out.")
    ] = 1,
    ray: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Workers of Ray instead, with --out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the k best items of each user that the user has not met.

    Users and items go by their external ids. Of a split, the graph is train and
    valid. For many users give --out, and --processes or --ray: whatever their
    number, the files have the same bytes.

    Example, after that of evaluate:
      hinaug recommend model --store split --users u000,u001 --k 5 --show title
    """
    if out is None and (processes > 1 or ray is not None):
        raise ParameterError("--processes and --ray need --out, the folder for the lists")
    if out is not None:
        _check_saved(own=own, drop=drop, show=column)
    predictor = opened_model(model, own)
    hin = graph_without(_opened_graph(store, predictor), drop)
    names = listed(users, "--users")
    if out is not None:
        _check_ids(hin, predictor.relation[0], names, "," in users)
        job = serving.Recommend(str(model), str(store), tuple(names), k)
        files = serving.in_shards(job, len(names), out, processes=processes, ray=ray)
        _tell_files(as_json, out, len(names), predictor.relation[0], len(files))
        return
    rows = _rows(predictor, hin, names, k, model, store, "," in users)
    source, _, target = predictor.relation
    if column is not None:
        shown = _column_by_id(hin, target, column)
        rows = [{**row, column: shown[row["item"]]} for row in rows]
    without = left_without(names, rows)
    if without:
        note(
            f"nothing for {', '.join(without)}: the model cannot tell, or they have met "
            "everything; --model Popularity beside it in hinaug evaluate serves everybody"
        )
    title = f"{target}s for {counted(len(names), source)}, by {type(predictor).__name__}"
    answer(as_json, rows, lambda console: _show(rows, title, column, console))


def _check_saved(own: Any, drop: Any, show: Any) -> None:
    """Raises ParameterError for what the workers of --out do not know."""
    asked = [name for name, v in (("--class", own), ("--drop", drop), ("--show", show)) if v]
    if asked:
        raise ParameterError(
            f"--out with {' and '.join(asked)}: its workers open the saved model and the saved "
            "graph as they are, and write ids and scores alone; leave out "
            f"{' and '.join(asked)}, or --out",
            asked=asked,
        )


def _rows(
    predictor: LinkPredictor,
    hin: HIN,
    names: list[str],
    k: int,
    model: Path,
    store: Path,
    has_commas: bool,
) -> list[dict[str, Any]]:
    """The lists as rows with ids as text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EmptyListWarning)  # a note names the users
            found = serving.recommend(predictor, hin, names, k)
    except SchemaError as error:
        raise _unknown_ids(error, has_commas) from error
    if not len(found) and set(names).isdisjoint(predictor.src_ids_.to_pylist()):
        raise ParameterError(
            f"{model} was fitted on a graph that has none of these {predictor.relation[0]}s; is "
            f"{store} the right one?"
        )
    return [_plain_ids(row) for row in found.to_pylist()]


def _check_ids(hin: HIN, source: str, names: list[str], has_commas: bool) -> None:
    """Raises ParameterError for an id that is no node, before anything is written."""
    try:
        hin.positions(source, names)
    except SchemaError as error:
        raise _unknown_ids(error, has_commas) from error


def _unknown_ids(error: SchemaError, has_commas: bool) -> ParameterError:
    hint = "; an id that holds a comma stands on a line of its own in a file: --users @FILE"
    return ParameterError(f"{error}{hint if has_commas else ''}", asked=error.asked)


def _tell_files(as_json: bool, out: Path, n: int, source: str, n_files: int) -> None:
    document = {"store": out, "users": n, "files": n_files}
    answer(
        as_json, document, lambda console: tell(console, f"{counted(n, source)}: saved to {out}")
    )


def opened_model(path: Path, own: Sequence[str] | None = None) -> LinkPredictor:
    """The fitted model of a store. own: names of the user's classes that it may be made of.

    Raises KindError for an estimator that does not rank, StoreError for a class that is not named.
    """
    classes = [own_class(name, Estimator) for name in own or []]
    try:
        model = opened(path, "estimator", own=classes)
    except StoreError as error:
        if own or not _is_own(error.asked):
            raise
        raise StoreError(
            f"{path} holds a {error.asked}, a class of your own; name it with --class "
            f"{error.asked}, or --class path/to/file.py:CLASS",
            asked=error.asked,
        ) from error
    if not isinstance(model, LinkPredictor):
        kind = type(model).__name__
        raise KindError(
            f"{path} holds a {kind}, which does not rank; hinaug evaluate --out saves a model",
            asked=kind,
        )
    return model


def _is_own(asked: Any) -> bool:
    """Whether a store was refused for a class that is none of hinaug."""
    return isinstance(asked, str) and ":" in asked and not asked.startswith("hinaug")


def _opened_graph(path: Path, model: LinkPredictor) -> HIN:
    """The graph, or train and valid of the split, that has what the model ranks."""
    thing = opened(path, "hin", "split")
    hin = thing if isinstance(thing, HIN) else thing.train_valid
    if model.relation not in hin.edges:
        raise SchemaError(
            f"the model ranks {','.join(model.relation)}; {path} has "
            f"{[','.join(edge) for edge in hin.edges]}",
            asked=model.relation,
            there=list(hin.edges),
        )
    return hin


def _plain_ids(row: dict[str, Any]) -> dict[str, Any]:
    """The row with ids as text, whatever type they came in."""
    return {n: v if n in ("score", "rank") else str(v) for n, v in row.items()}


def _column_by_id(hin: HIN, node: str, column: str) -> dict[str, Any]:
    values = hin.column(node, column).to_pylist()
    return dict(zip(map(str, hin.ids(node).to_pylist()), values, strict=True))


def left_without(names: list[str], rows: list[dict[str, Any]]) -> list[str]:
    """The users to whom nothing is recommended."""
    served = {row["user"] for row in rows}
    return [name for name in names if name not in served]


def _show(rows: list[dict[str, Any]], title: str, column: str | None, console: Any) -> None:
    printed = table(title, "user", "rank", "item", "score", *([column] if column else []))
    for row in rows:
        last = [words(row[column])] if column else []
        printed.add_row(row["user"], str(row["rank"]), row["item"], f"{row['score']:.4f}", *last)
    console.print(printed)
