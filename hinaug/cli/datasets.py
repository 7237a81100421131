"""The verb datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hinaug.cli.facts import save_and_describe
from hinaug.cli.folders import check_out
from hinaug.cli.options import Force, Json, complete_dataset
from hinaug.cli.output import answer, note, tell
from hinaug.datasets import find, load, planted
from hinaug.datasets.sources import SOURCES, Source
from hinaug.errors import ParameterError, UnknownNameError, nearest

MADE_UP = Source(
    "made up by hinaug, here", (), "None: a made-up world whose answer is known.", "planted"
)
ALL = dict(sorted({**SOURCES, "planted": MADE_UP}.items()))


def datasets(
    name: Annotated[
        str | None,
        typer.Argument(
            help="The one to show or to read; all without it.", autocompletion=complete_dataset
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Read it into this store.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder with its files; found or fetched without it.")
    ] = None,
    download: Annotated[bool, typer.Option(help="Fetch what is not here.")] = True,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """List public data sets and their terms, or read one into a store.

    With --out, the data set NAME becomes a store. The planted world is made up
    here and needs no files.

    Example:
      hinaug datasets
      hinaug datasets planted --out store
    """
    if name is not None and name not in ALL:
        raise UnknownNameError(
            f"no data set {name!r}; there are {[*ALL]}{nearest(name, ALL)}",
            asked=name,
            there=[*ALL],
        )
    if out is None:
        rows = [
            _facts_of(each, data if name else None) for each in (ALL if name is None else [name])
        ]
        answer(as_json, rows, lambda console: _show(rows, console))
        return
    if name is None:
        raise ParameterError(f"--out needs the name of a data set, one of {[*ALL]}", there=[*ALL])
    source = ALL[name]
    check_out(out, "split" if source.reader == "lightgcn_split" else "hin", force)
    note(f"terms of {name}: {source.terms}")
    thing = planted(rng=0) if source is MADE_UP else load(name, data, download)
    save_and_describe(thing, out, as_json, data=name, terms=source.terms)


def _facts_of(name: str, data: Path | None) -> dict[str, Any]:
    source = ALL[name]
    return {
        "name": name,
        "folder": None if source is MADE_UP else _folder_of(name, data),
        "address": source.address,
        "terms": source.terms,
    }


def _folder_of(name: str, data: Path | None) -> str | None:
    """Where the files of a data set are on this machine; None where they are not."""
    try:
        return str(find(name, data, download=False).folder)
    except FileNotFoundError:
        return None


def _show(rows: list[dict[str, Any]], console: Any) -> None:
    for row in rows:
        where = f"in     {row['folder']}" if row["folder"] else f"at     {row['address']}"
        tell(console, f"{row['name']}\n  {where}\n  terms  {row['terms']}")
