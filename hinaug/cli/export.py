"""The verb export; the folder appears when all of it is written."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
import typer
from pyarrow import csv

from hinaug.cli.drop import graph_without
from hinaug.cli.folders import check_place, drafted, is_free, opened
from hinaug.cli.options import Drop, GraphStore, Json
from hinaug.cli.output import answer, counted, tell
from hinaug.errors import ParameterError
from hinaug.graph import HIN
from hinaug.io import to_networkx, to_parquet
from hinaug.io.convert.parquet import SCHEMA

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Format(StrEnum):
    """Forms that other programs read.

    A PyG HeteroData has no form on disk but a pickle, which runs code when it is opened;
    `hinaug.io.to_pyg(hinaug.load(store))` makes one in memory.
    """

    parquet = "parquet"
    csv = "csv"
    graphml = "graphml"


def export(
    store: GraphStore,
    to: Annotated[Path, typer.Option(help="A new or empty folder.")],
    form: Annotated[
        Format, typer.Option("--format", help="parquet, csv or graphml.")
    ] = Format.parquet,
    drop: Drop = None,
    as_json: Json = False,
) -> None:
    """Write a graph as files for other programs.

    Nodes keep their external ids; generated rows say so in the column "origin".
    In CSV and GraphML, vectors and lists are JSON text. PyG has no form on disk
    but a pickle: in Python, `hinaug.io.to_pyg(hinaug.load("store"))` gives its
    HeteroData.

    Example, after that of datasets:
      hinaug export store --to tables --format csv
    """
    hin = graph_without(opened(store, "hin"), drop)
    if not is_free(to):
        raise ParameterError(f"--to {to} is not an empty folder; name a new one", asked=to)
    check_place(to, "--to")
    with drafted(to) as draft:
        WRITERS[form](hin, draft)
    files = sorted(str(p.relative_to(to)) for p in to.rglob("*") if p.is_file())
    answer(
        as_json,
        {"folder": to, "files": files},
        lambda console: tell(console, f"{counted(len(files), 'file')} written to {to}"),
    )


def _write_csv(hin: HIN, folder: Path) -> None:
    """The tables of the Parquet form, each as CSV."""
    to_parquet(hin, folder)
    for path in sorted(folder.rglob("*.parquet")):
        rows = pq.read_table(path, partitioning=None)
        flat = pa.table({name: _flat(rows[name]) for name in rows.column_names})
        csv.write_csv(flat, path.parent.with_name(f"{path.parent.name.replace('__', '.')}.csv"))
        shutil.rmtree(path.parent)
    (folder / SCHEMA).unlink()


def _flat(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """The column as CSV can hold it: lists as JSON text, dictionaries as their values."""
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    if not pa.types.is_nested(column.type):
        return column
    texts = [None if v is None else json.dumps(v, ensure_ascii=False) for v in column.to_pylist()]
    return pa.array(texts, pa.string())


def _write_graphml(hin: HIN, folder: Path) -> None:
    """One file; a node is called TYPE:ID and has its type and id, an edge its relation."""
    import networkx as nx

    graph, plain = to_networkx(hin), nx.MultiDiGraph()
    for (type, id), values in graph.nodes(data=True):
        named = _named({"type": type, "id": str(id)}) | _named(values, ("type", "id"))
        plain.add_node(_xml(f"{type}:{id}"), **named)
    for u, v, key, values in graph.edges(keys=True, data=True):
        relation = key[0] if isinstance(key, tuple) else key
        ends = (_xml(f"{end[0]}:{end[1]}") for end in (u, v))
        named = _named({"relation": relation}) | _named(values, ("relation",))
        plain.add_edges_from([(*ends, named)])
    folder.mkdir()
    nx.write_graphml(plain, folder / "graph.graphml")


def _named(values: dict[str, Any], taken: tuple[str, ...] = ()) -> dict[str, Any]:
    """The values as GraphML can hold them; a name that is taken gets an underscore."""
    return {_xml(f"{k}_" if k in taken else k): _value(v) for k, v in values.items()}


def _value(value: Any) -> Any:
    if isinstance(value, bool | int | float):
        return value
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value)
    return _xml(text)


def _xml(text: str) -> str:
    """The text with a replacement character for each that XML cannot hold, such as a form feed."""
    return NOT_XML.sub("\ufffd", text)


WRITERS: dict[Format, Callable[[HIN, Path], Any]] = {
    Format.parquet: to_parquet,
    Format.csv: _write_csv,
    Format.graphml: _write_graphml,
}
