"""`append_edges`: more rows for a saved graph, whose old rows are neither read nor written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa

from hinaug import checks
from hinaug.errors import StoreError, UnknownNameError, nearest
from hinaug.graph import arrow as tb
from hinaug.graph import edit, spill
from hinaug.graph.schema import EdgeType
from hinaug.io.store.folder import locked
from hinaug.io.store.read import Files, read_manifest
from hinaug.io.store.write import Save, manifest_text


def append_edges(path: str | os.PathLike[str], type: EdgeType, table: Any) -> int:
    """Add observed edges by external ids to a graph that was saved with `save`; gives their number.

    The time is that of the new rows and of hashing the ids of the two node types once. `load` joins
    the old rows and the new ones; `save` of what was loaded writes them as one file again. A kill
    at any moment leaves the store with the new rows or without them.

    path: the folder of a store that holds a HIN.
    type: an edge type that the graph has.
    table: a table or a stream of tables, as `HIN.from_tables` takes them. Columns that it lacks
        are null in the new rows.
    Raises StoreError, SchemaError, UnknownNameError; the store is then unchanged.
    """
    folder = checks.folder(path, "append_edges")
    try:
        with locked(folder, exclusive=True) as sync:
            manifest = read_manifest(folder)
            save = Save(folder, is_new=False, sync=sync)
            try:
                save.remove_drafts()
                n = _append(save, manifest, type, table)
                save.confirm()
            finally:
                if not save.committed:
                    save.undo()
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoreError(f"cannot append to {folder}: {reason}; it is unchanged") from error
    return n


def _append(save: Save, manifest: dict[str, Any], type: EdgeType, table: Any) -> int:
    if manifest["kind"] != "hin":
        raise StoreError(
            f"append_edges: {save.folder} holds a {manifest['kind']!r}; edges are added to a HIN",
            asked="hin",
            there=manifest["kind"],
        )
    nodes, edges = _entries(save.folder, manifest)
    if type not in edges:
        raise UnknownNameError(
            f"append_edges: no edge type {type!r} in {save.folder}; it has {list(edges)}"
            f"{nearest(type, list(edges))}",
            asked=type,
            there=list(edges),
        )
    files = Files(save.folder, verify=False)
    ends = {name: files.table(name, nodes[name]) for name in (type[0], type[2])}
    schema = files.first(edges[type]).schema
    new = edit.edges_by_id(ends, type, _typed(table, schema, f"edges {type}"))
    new = spill.alike(new, schema, f"edges {type}").cast(schema)
    entry = edges[type]
    entry["parts"] = [*entry.get("parts", []), save.write_table(new)]
    entry["rows"] += new.num_rows
    save.commit(manifest_text({**_unsigned(manifest), "version": 3}))
    return new.num_rows


def _typed(table: Any, schema: pa.Schema, where: str) -> Any:
    """The table, or each table of a stream, with the types that its columns have in the store, so
    that text and categories may come by turns. Lists become those of the store when all are joined.
    """
    plain = (field for field in schema if not pa.types.is_nested(field.type))
    fields = [field for field in plain if field.name not in ("src", "dst")]
    if not spill.is_stream(table):
        return spill.with_types(tb.as_table(table, where), fields, where)
    tables = spill.tables_of(table, where)
    return (spill.with_types(part, fields, where) for part in tables)


def _entries(folder: Path, manifest: dict[str, Any]) -> tuple[dict[str, Any], dict[Any, Any]]:
    """The entries of the node tables and of the edge tables by type."""
    nodes: dict[str, Any] = {}
    edges: dict[Any, Any] = {}
    try:
        for place in manifest["root"]["tables"]:
            entry = manifest["tables"][place["table"]]
            if place["role"] == "nodes":
                nodes[place["type"]] = entry
            else:
                edges[tuple(place["type"])] = entry
    except (KeyError, TypeError) as error:
        raise StoreError(f"{folder}: the manifest does not describe a graph ({error!r})") from error
    return nodes, edges


def _unsigned(manifest: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in manifest.items() if key != "sha256"}
