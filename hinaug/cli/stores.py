"""Verbs that make, show and give out graphs: datasets, build, info, export."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hinaug.cli.shared import Force, Json, answer, app, check_out, note, opened, table, tell


@app.command()
def datasets(
    name: Annotated[str | None, typer.Argument(help="The one to show or to read; all without it.")] = None,
    out: Annotated[Path | None, typer.Option(help="Read it into this store.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder with its files; found or fetched without it.")] = None,
    download: Annotated[bool, typer.Option(help="Fetch what is not here.")] = True,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """The public data sets that hinaug knows: where they are and on what terms; with a name and --out, one becomes a store.

    Example: hinaug datasets ml-100k --out stores/ml-100k
    """
    from hinaug.datasets import find, load
    from hinaug.datasets.sources import SOURCES
    from hinaug.tables import nearest

    if name is not None and name not in SOURCES:
        raise ValueError(f"no data set {name!r}; there are {sorted(SOURCES)}{nearest(name, SOURCES)}")
    if out is not None:
        if name is None:
            raise ValueError(f"--out needs the name of a data set, one of {sorted(SOURCES)}")
        source = SOURCES[name]
        check_out(out, "split" if source.reader == "lightgcn_split" else "hin", force)
        note(f"terms of {name}: {source.terms}")
        _keep(load(name, data, download), out, as_json, data=name, terms=source.terms)
        return
    rows = []
    for each in [name] if name else sorted(SOURCES):
        source = SOURCES[each]
        try:
            folder = str(find(each, data if name else None, download=False).folder)
        except FileNotFoundError:
            folder = None
        rows.append({"name": each, "folder": folder, "address": source.address, "terms": source.terms})

    def show(console: Any) -> None:
        for row in rows:
            tell(console, f"{row['name']}\n  {'in' if row['folder'] else 'at'}     {row['folder'] or row['address']}")
            tell(console, f"  terms  {row['terms']}")

    answer(as_json, rows, show)


@app.command()
def build(
    files: Annotated[
        list[Path] | None, typer.Argument(help="CSV, TSV, JSON lines, Parquet (also .gz), or a folder.")
    ] = None,
    schema: Annotated[Path | None, typer.Option(help="TOML: which file gives which nodes and edges.")] = None,
    out: Annotated[Path | None, typer.Option(help="The store to write.")] = None,
    example: Annotated[bool, typer.Option("--example", help="Print a commented schema and stop.")] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """A store from files of any shape and a short schema; what is broken, missing or said twice is counted.

    A folder of RecBole's atomic files, or one that `hinaug export` wrote as Parquet, needs no schema.

    Example: hinaug build --example > schema.toml; hinaug build reviews.jsonl items.csv --schema schema.toml --out store
    """
    from hinaug import build as files_to

    if example:
        text = files_to.EXAMPLE
        answer(as_json, {"schema": text}, lambda _: typer.echo(text, nl=False))
        return
    if not files or out is None:
        raise ValueError("build takes files and --out STORE; `hinaug build --example` prints a schema to start from")
    check_out(out, "hin", force)
    if schema is not None:
        hin, counts = files_to.build(files, files_to.parse(schema))
        _keep(hin, out, as_json, counts=[vars(c) for c in counts])
        return
    found = files_to.known_folder(files[0]) if len(files) == 1 and files[0].is_dir() else None
    if found is None:
        raise ValueError(
            "which file gives which nodes and edges? --schema says so; `hinaug build --example` prints one"
        )
    _keep(found, out, as_json)


def _keep(thing: Any, out: Path, as_json: bool, **facts: Any) -> None:
    """Saves what was read, and tells about it."""
    from hinaug.io import save

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
    store: Annotated[Path, typer.Argument(help="A folder written by hinaug: a graph, a delta, a split or a model.")],
    as_json: Json = False,
) -> None:
    """What a saved store holds.

    Example: hinaug info hinaug-demo/thin
    """
    thing = opened(store, "hin", "delta", "split", "estimator")
    answer(as_json, {"store": store, **facts_of(thing)}, lambda console: describe(thing, console))


def describe(thing: Any, console: Any) -> None:
    """Prints a graph, delta, split or model."""
    from hinaug.delta import Delta
    from hinaug.hin import HIN
    from hinaug.split import Split

    if isinstance(thing, HIN):
        tell(console, thing.summary())
    elif isinstance(thing, Delta):
        from hinaug.show import show_generated  # heavy: it brings the tests of evaluation

        show_generated(thing, console, repr(thing))
    elif isinstance(thing, Split):
        tell(
            console,
            f"{thing!r}\nevidence: {', '.join(thing.evidence) or 'none'}\nhow: {thing.how}\n{thing.source.summary()}",
        )
    else:
        tell(console, thing.summary() if hasattr(thing, "weights_") and hasattr(thing, "summary") else repr(thing))


def facts_of(thing: Any) -> dict[str, Any]:
    """The same for machines."""
    from hinaug.delta import Delta
    from hinaug.hin import HIN
    from hinaug.split import Split
    from hinaug.tables import lineage_of

    if isinstance(thing, HIN):
        tables = {}
        for name in [*thing.nodes, *thing.edges]:
            rows = thing.table(name)
            made = rows.num_rows - rows["origin"].null_count if "origin" in rows.column_names else 0
            columns = [
                {"name": f.name, "type": str(f.type), "nulls": rows[f.name].null_count, "lineage": lineage_of(f)}
                for f in rows.schema
                if f.name not in ("id", "src", "dst", "origin", "confidence", "key")
            ]
            tables[name] = {"observed": rows.num_rows - made, "generated": made, "columns": columns}
        nodes = {t: v for t, v in tables.items() if isinstance(t, str)}
        return {"kind": "hin", "nodes": nodes, "edges": {t: v for t, v in tables.items() if t not in nodes},
                "deltas": [repr(d) for d in thing.deltas]}  # fmt: skip
    if isinstance(thing, Delta):
        return {"kind": "delta", "rows": len(thing), "parts": thing.summary().to_pylist()}
    if isinstance(thing, Split):
        sizes = {
            "train": len(thing.train.adjacency(thing.target).data),
            "valid": len(thing.valid),
            "test": len(thing.test),
        }
        source = facts_of(thing.source)
        return {"kind": "split", "target": list(thing.target), **sizes, "evidence": list(thing.evidence), "how": thing.how,
                "source": source}  # fmt: skip
    relation = getattr(thing, "relation", None)
    return {"kind": "estimator", "class": type(thing).__name__, "settings": repr(thing), "relation": relation}


class Format(StrEnum):
    """Forms that other programs read. A PyG HeteroData has no form on disk but a pickle, which runs code when it is opened:
    `hinaug.load(store).to_pyg()` makes one in memory."""

    parquet = "parquet"
    csv = "csv"
    graphml = "graphml"


@app.command()
def export(
    store: Annotated[Path, typer.Argument(help="The store of a graph.")],
    to: Annotated[Path, typer.Option(help="A new or empty folder.")],
    form: Annotated[Format, typer.Option("--format", help="parquet, csv or graphml.")] = Format.parquet,
    as_json: Json = False,
) -> None:
    """A graph as files for other programs, by external ids; generated rows say so in the column "origin".

    In CSV and GraphML, vectors and lists are JSON text. PyG has no form on disk but a pickle: in Python,
    `hinaug.load("store").to_pyg()` gives its HeteroData.

    Example: hinaug export store --to tables --format csv
    """
    from hinaug.cli.export import write

    hin = opened(store, "hin")
    files = write(hin, to, form.value)
    answer(
        as_json, {"folder": to, "files": files}, lambda console: tell(console, f"{len(files)} files written to {to}")
    )
