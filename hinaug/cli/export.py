"""A graph as plain files; the folder appears when all of it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from hinaug.cli.places import check_place, drafted
from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.io.convert import to_networkx, to_parquet


def write(hin: HIN, folder: Path, form: str) -> list[str]:
    """Writes to a new or empty folder; gives the names of the files. form: "parquet", "csv" or
    "graphml".
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ParameterError(f"--to {folder} is not an empty folder; name a new one")
    check_place(folder, "--to")
    with drafted(folder) as draft:
        {"parquet": to_parquet, "csv": _csv, "graphml": _graphml}[form](hin, draft)
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def _csv(hin: HIN, folder: Path) -> None:
    """The tables of the Parquet form, each as CSV."""
    import pyarrow.parquet as pq
    from pyarrow import csv

    to_parquet(hin, folder)
    for path in sorted(folder.rglob("*.parquet")):
        rows = pq.read_table(path, partitioning=None)
        csv.write_csv(
            pa.table({name: _flat(rows[name]) for name in rows.column_names}),
            path.with_suffix(".csv"),
        )
        path.unlink()


def _flat(column: Any) -> Any:
    if not pa.types.is_nested(column.type):
        return (
            column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        )
    return pa.array(
        [None if v is None else json.dumps(v, ensure_ascii=False) for v in column.to_pylist()],
        pa.string(),
    )


def _graphml(hin: HIN, folder: Path) -> None:
    """One file; a node is called TYPE:ID and says its type and id, an edge its relation."""
    import networkx as nx

    graph, plain = to_networkx(hin), nx.MultiDiGraph()
    for (type, id), values in graph.nodes(data=True):
        plain.add_node(f"{type}:{id}", type=type, id=str(id), **_named(values, ("type", "id")))
    for u, v, key, values in graph.edges(keys=True, data=True):
        relation = key[0] if isinstance(key, tuple) else key
        ends = (f"{end[0]}:{end[1]}" for end in (u, v))
        plain.add_edges_from([(*ends, {"relation": relation, **_named(values, ("relation",))})])
    folder.mkdir()
    nx.write_graphml(plain, folder / "graph.graphml")


def _named(values: dict[str, Any], taken: tuple[str, ...]) -> dict[str, Any]:
    return {
        f"{k}_" if k in taken else k: v if isinstance(v, bool | int | float | str) else _text(v)
        for k, v in values.items()
    }


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value)
