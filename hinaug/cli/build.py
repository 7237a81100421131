"""Verbs that make, show and give out graphs: datasets, build, info, export."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hinaug.cli import listed
from hinaug.cli.facts import describe, facts_of
from hinaug.cli.places import check_out, opened
from hinaug.cli.shared import Force, Json, answer, app, counted, note, table, tell
from hinaug.errors import ParameterError


@app.command()
def datasets(
    name: Annotated[
        str | None,
        typer.Argument(
            help="The one to show or to read; all without it.", autocompletion=listed.data_sets
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
    """The public data sets that hinaug knows, where they are and on what terms; with --out, one
    becomes a store.

    The planted world is made up here and needs no files.

    Example:
      hinaug datasets
      hinaug datasets planted --out store
    """
    from hinaug.datasets import find, load, planted
    from hinaug.datasets.sources import SOURCES, Source
    from hinaug.errors import nearest

    made_up = Source(
        "made up by hinaug, here", (), "None: a made-up world whose answer is known.", "planted"
    )
    sources = dict(sorted({**SOURCES, "planted": made_up}.items()))
    if name is not None and name not in sources:
        raise ParameterError(
            f"no data set {name!r}; there are {[*sources]}{nearest(name, sources)}"
        )
    if out is not None:
        if name is None:
            raise ParameterError(f"--out needs the name of a data set, one of {[*sources]}")
        source = sources[name]
        check_out(out, "split" if source.reader == "lightgcn_split" else "hin", force)
        note(f"terms of {name}: {source.terms}")
        thing = planted(rng=0) if source is made_up else load(name, data, download)
        _keep(thing, out, as_json, data=name, terms=source.terms)
        return
    rows = []
    for each, source in sources.items() if name is None else [(name, sources[name])]:
        try:
            folder = (
                None
                if source is made_up
                else str(find(each, data if name else None, download=False).folder)
            )
        except FileNotFoundError:
            folder = None
        rows.append(
            {"name": each, "folder": folder, "address": source.address, "terms": source.terms}
        )

    def show(console: Any) -> None:
        for row in rows:
            tell(
                console,
                f"{row['name']}\n  {'in' if row['folder'] else 'at'}     "
                f"{row['folder'] or row['address']}",
            )
            tell(console, f"  terms  {row['terms']}")

    answer(as_json, rows, show)


@app.command()
def build(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="CSV, TSV, JSON lines, Parquet (also .gz), or a folder."),
    ] = None,
    schema: Annotated[
        Path | None, typer.Option(help="TOML: which file gives which nodes and edges.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The store to write.")] = None,
    example: Annotated[
        bool,
        typer.Option(
            "--example", help="Print a commented schema, after the columns of the files, and stop."
        ),
    ] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """A store from files of any shape and a short schema; what is broken, missing or said twice is
    counted.

    A folder of RecBole's atomic files, or one that `hinaug export` wrote as Parquet, needs no
    schema. `hinaug build FILES --example` prints their columns and a commented schema to start
    from.

    Example:
      printf 'who,what\\nann,tea\\nbob,jam\\n' > likes.csv
      printf '\\[edge.user.likes.item]\\nsrc = "who"\\ndst = "what"\\n' > schema.toml
      hinaug build likes.csv --schema schema.toml --out likes
    """
    from hinaug.io import tables as files_to

    if example:
        text = "".join(
            f"# {name}: {', '.join(names)}\n"
            for name, names in (files_to.columns(files) if files else {}).items()
        )
        text += files_to.EXAMPLE
        answer(as_json, {"schema": text}, lambda _: typer.echo(text, nl=False))
        return
    if not files or out is None:
        raise ParameterError(
            "build takes files and --out STORE; `hinaug build --example` prints a schema to start "
            "from"
        )
    check_out(out, "hin", force)
    if schema is not None:
        hin, counts = files_to.build(files, files_to.parse(schema))
        _keep(hin, out, as_json, counts=[vars(c) for c in counts])
        return
    from hinaug.cli.known import known_folder

    found = known_folder(files[0]) if len(files) == 1 and files[0].is_dir() else None
    if found is None:
        raise ParameterError(
            "which file gives which nodes and edges? --schema says so; `hinaug build FILES "
            "--example` prints one to start from"
        )
    _keep(found, out, as_json)


def _keep(thing: Any, out: Path, as_json: bool, **facts: Any) -> None:
    """Saves what was read, and tells about it."""
    from hinaug.io.store import save

    save(thing, out)

    def show(console: Any) -> None:
        if facts.get("counts"):
            rows = table("what was read", "from", "read", "kept", "notes")
            for c in facts["counts"]:
                notes = "; ".join(f"{n:,} {why}" for why, n in c["notes"].items())
                rows.add_row(c["what"], f"{c['read']:,}", f"{c['kept']:,}", notes)
            console.print(rows)
        describe(thing, console)
        tell(console, f"saved to {out}")

    answer(as_json, {"store": out, **facts, **facts_of(thing)}, show)


@app.command()
def info(
    store: Annotated[
        Path,
        typer.Argument(help="A folder written by hinaug: a graph, a delta, a split or a model."),
    ],
    as_json: Json = False,
) -> None:
    """What a saved store holds.

    Types, rows, columns and their lineage; with --json as one document.

    Example, after that of datasets:
      hinaug info store
    """
    thing = opened(store, "hin", "delta", "split", "estimator")
    answer(as_json, {"store": store, **facts_of(thing)}, lambda console: describe(thing, console))


class Format(StrEnum):
    """Forms that other programs read. A PyG HeteroData has no form on disk but a pickle, which runs
    code when it is opened: `hinaug.io.to_pyg(hinaug.load(store))` makes one in memory.
    """

    parquet = "parquet"
    csv = "csv"
    graphml = "graphml"


@app.command()
def export(
    store: Annotated[Path, typer.Argument(help="The store of a graph.")],
    to: Annotated[Path, typer.Option(help="A new or empty folder.")],
    form: Annotated[
        Format, typer.Option("--format", help="parquet, csv or graphml.")
    ] = Format.parquet,
    as_json: Json = False,
) -> None:
    """A graph as files for other programs, by external ids; generated rows say so in the column
    "origin".

    In CSV and GraphML, vectors and lists are JSON text. PyG has no form on disk but a pickle: in
    Python, `hinaug.io.to_pyg(hinaug.load("store"))` gives its HeteroData.

    Example, after that of datasets:
      hinaug export store --to tables --format csv
    """
    from hinaug.cli.export import write

    hin = opened(store, "hin")
    files = write(hin, to, form.value)
    answer(
        as_json,
        {"folder": to, "files": files},
        lambda console: tell(console, f"{counted(len(files), 'file')} written to {to}"),
    )
