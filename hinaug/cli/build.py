"""The verb build."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from hinaug.cli.facts import save_and_describe
from hinaug.cli.folders import check_out
from hinaug.cli.options import Force, Json
from hinaug.cli.output import answer
from hinaug.datasets import recbole_atomic
from hinaug.errors import ParameterError
from hinaug.graph import HIN
from hinaug.io import from_parquet, tables


def build(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Delimited text, JSON lines, Parquet or Arrow, also as .gz, .bz2, .xz, .zst or "
            ".zip; databases; or a folder of these."
        ),
    ] = None,
    schema: Annotated[
        Path | None, typer.Option(help="TOML: which file gives which nodes and edges.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The store to write.")] = None,
    example: Annotated[
        bool,
        typer.Option("--example", help="Print a schema with the files' own names in it, and stop."),
    ] = False,
    encoding: Annotated[str, typer.Option(help="Of the files that --example looks at.")] = "utf8",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Make a store from files of any shape and a short schema.

    What is broken, missing or said twice is counted. A folder of RecBole's
    atomic files, or one that `hinaug export` wrote as Parquet, needs no schema.
    `hinaug build FILES --example` prints the columns of the files and a schema
    that builds from them. DuckDB and SQLite files are given for --example only:
    the schema then names the database and a query for each table.

    Example:
      printf 'who,what\\nann,tea\\nbob,jam\\n' > likes.csv
      printf '\\[edge.user.likes.item]\\nsrc = "who"\\ndst = "what"\\n' > schema.toml
      hinaug build likes.csv --schema schema.toml --out likes
    """
    if example:
        text = tables.example(files or [], encoding)
        answer(as_json, {"schema": text}, lambda _: typer.echo(text, nl=False))
        return
    if out is None or not (files or schema):
        raise ParameterError(
            "build takes files and --out STORE; `hinaug build --example` prints a schema to start "
            "from"
        )
    files = files or []
    check_out(out, "hin", force)
    if schema is not None:
        hin, counts = tables.build(files, tables.parse(schema))
        save_and_describe(hin, out, as_json, counts=[vars(c) for c in counts])
        return
    save_and_describe(_without_schema(files), out, as_json)


def _without_schema(files: Sequence[Path]) -> HIN:
    known = known_folder(files[0]) if len(files) == 1 and files[0].is_dir() else None
    if known is None:
        raise ParameterError(
            "which file gives which nodes and edges? --schema says so; `hinaug build FILES "
            "--example` prints one to start from"
        )
    return known


def known_folder(folder: Path) -> HIN | None:
    """The graph of a folder that needs no schema, or None.

    Such are atomic files of RecBole, and what `hinaug export` wrote as Parquet.
    """
    if any(folder.glob("*.inter")):
        return recbole_atomic(folder)
    if any(folder.glob("nodes/*.parquet")) or any(folder.glob("nodes/*/*.parquet")):
        return from_parquet(folder)
    return None
