"""What every node and edge table must fulfil."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.errors import SchemaError, UnknownNameError, nearest, some
from hinaug.graph import arrow as tb
from hinaug.graph.arrow import chunk
from hinaug.graph.schema import PROVENANCE, EdgeType

PARTS = ("nodes", "edges", "masks", "values", "columns")  # of a delta
DELTA_KEYS = {
    "nodes": "a node type",
    "edges": "(source, relation, target)",
    "masks": "(source, relation, target)",
    "values": "(type, column)",
    "columns": "(type, column)",
}


def node_type(type: Any) -> str:
    """The name of a node type, checked."""
    if not isinstance(type, str) or not type:
        raise SchemaError(f"a node type is a non-empty string, such as 'user'; got {type!r}")
    return tb.valid_name(type)


def edge_type(type: Any, nodes: Mapping[str, Any]) -> EdgeType:
    """An edge type whose ends are among `nodes`, checked."""
    if not (
        isinstance(type, tuple) and len(type) == 3 and all(isinstance(t, str) and t for t in type)
    ):
        raise SchemaError(
            "an edge type is a tuple (source, relation, target) of three strings, such as "
            f"('user', 'rates', 'item'); got {type!r}"
        )
    for node in (type[0], type[2]):
        if node not in nodes:
            raise UnknownNameError(
                f"edges {type}: no node type {node!r}; this graph has "
                f"{list(nodes)}{nearest(node, nodes)}"
            )
    tb.valid_name(type[1])
    return type


def check_nodes(table: Any, type: str) -> pa.Table:
    """A node table in the house's form: unique ids as strings; SchemaError where that cannot be."""
    where = f"nodes {type!r}"
    table = tb.as_table(table, where)
    if "id" not in table.column_names:
        raise SchemaError(
            f"{where}: no column 'id'; there is "
            f"{table.column_names}{nearest('id', table.column_names)}; "
            "name the column of unique ids 'id'"
        )
    _refuse(table, where, PROVENANCE)
    field = table.schema.field("id")
    ids, kind = tb.id_strings(chunk(table["id"]), f"{where}, column 'id'")
    if len(pc.unique(ids)) != len(ids):
        counts = pc.value_counts(ids)
        twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
        rows = np.flatnonzero(pc.is_in(ids, value_set=twice).to_numpy(zero_copy_only=False))
        raise SchemaError(
            f"{where}, column 'id': ids must be unique; {some(twice.to_pylist())} stand again "
            f"in rows {some(rows.tolist())}; drop or merge those rows"
        )
    metadata = dict(field.metadata or {})
    if kind:
        metadata[tb.ID_TYPE] = kind.encode()
    elif metadata.get(tb.ID_TYPE, b"int64").decode("ascii", "replace") not in tb.INTEGERS:
        raise SchemaError(
            f"{where}, column 'id': the metadata names {metadata[tb.ID_TYPE]!r} as the type of "
            f"the ids; it is one of {tb.INTEGERS}"
        )
    return table.set_column(
        table.column_names.index("id"), pa.field("id", pa.string(), metadata=metadata or None), ids
    )


def check_edges(table: pa.Table, type: EdgeType, nodes: Mapping[str, pa.Table]) -> pa.Table:
    """An edge table in the house's form, "src" and "dst" first, as int32 positions; SchemaError
    where that cannot be.
    """
    where = f"edges {type}"
    _refuse(table, where, PROVENANCE)
    for side, node in (("src", type[0]), ("dst", type[2])):
        if side not in table.column_names:
            raise SchemaError(
                f"{where}: no column {side!r}, the positions of {node!r} nodes; there is "
                f"{table.column_names}; "
                "for external ids use HIN.from_tables"
            )
        column = chunk(table[side])
        if not pa.types.is_integer(column.type) or column.null_count:
            raise SchemaError(
                f"{where}, column {side!r}: positions are integers without nulls, these are "
                f"{column.type} with "
                f"{column.null_count} nulls; for external ids use HIN.from_tables"
            )
        numbers = column.to_numpy(zero_copy_only=False)
        bad = np.flatnonzero((numbers < 0) | (numbers >= nodes[node].num_rows))
        if bad.size:
            raise SchemaError(
                f"{where}, column {side!r}: position {numbers[bad[0]]} in row {bad[0]} points past "
                f"the {nodes[node].num_rows} nodes of {node!r} ({bad.size} such rows); add those "
                "nodes or drop those rows"
            )
        if column.type != pa.int32():
            table = table.set_column(table.column_names.index(side), side, column.cast(pa.int32()))
    order = ["src", "dst", *(c for c in table.column_names if c not in ("src", "dst"))]
    return table if table.column_names == order else table.select(order)


def _refuse(table: pa.Table, where: str, names: Sequence[str]) -> None:
    for name in names:
        if name in table.column_names:
            raise SchemaError(
                f"{where}: column {name!r} is reserved for what generators write; rename it"
            )


def positions_of(ids: pa.Array, nodes: pa.Table, where: str, type: str) -> np.ndarray:
    """Positions of external ids in a node table, int32; SchemaError names those that are not there,
    and the nearest.
    """
    is_coded = (
        pa.types.is_dictionary(ids.type) and tb.is_text(ids.type.value_type) and not ids.null_count
    )
    asked = ids if is_coded else tb.id_strings(ids, where)[0]
    there = chunk(nodes["id"])
    found = tb.lookup(there, asked)
    bad = np.flatnonzero(found < 0)
    if bad.size:
        asked = tb.id_strings(ids, where)[0]
        names = asked.take(pa.array(bad[:1000])).to_pylist()
        hint = nearest(names[0], there.slice(0, 20_000).to_pylist())
        such = f", such as {some(there.slice(0, 3).to_pylist())}" if len(there) else ""
        raise SchemaError(
            f"{where}: {bad.size} of {len(asked)} ids are no {type!r} nodes: "
            f"{some(list(dict.fromkeys(names)))} "
            f"(first rows {some(bad[:5].tolist())}); there are {len(there):,}"
            f"{hint or such + '; add those nodes or leave those ids out'}"
        )
    return found


def check_positions(values: Any, n: int, type: str, who: str, ndim: int = 1) -> np.ndarray:
    """An array of positions among the n nodes of a type, int64; SchemaError where it is none."""
    array = np.asarray(values)
    if array.ndim != ndim or not (np.issubdtype(array.dtype, np.integer) or array.size == 0):
        raise SchemaError(
            f"{who} takes positions of {type!r} nodes, a {ndim}-D array of integers; got "
            f"{array.dtype} {array.shape}; "
            f"for external ids: hin.positions({type!r}, ids)"
        )
    if array.size and (array.min() < 0 or array.max() >= n):
        bad = array.max() if array.max() >= n else array.min()
        raise SchemaError(
            f"{who}: position {bad} is outside the {n:,} {type!r} nodes; the first is 0"
        )
    return array.astype(np.int64)


def ends_of(part: str, key: Any) -> tuple[tuple[str, str], ...]:
    """(column of ids, node type that they are of) for a table of a delta."""
    type = key[0] if part in ("values", "columns") else key
    return (("src", type[0]), ("dst", type[2])) if isinstance(type, tuple) else (("id", type),)


def id_columns(part: str, key: Any) -> tuple[str, ...]:
    """The columns of ids of a table of a delta."""
    return tuple(name for name, _ in ends_of(part, key))


def check_delta_rows(part: str, key: Any, table: Any, origin: str) -> pa.Table:
    """A table of a delta in the house's form: ids as strings, columns, confidence, origin, key.

    A table without rows is given back as it is: empty columns often have no type.
    """
    where = f"delta, {part} {key!r}"
    _check_delta_key(part, key, where)
    table = tb.as_table(table, where)
    needed = [*id_columns(part, key), *(["value"] if part in ("values", "columns") else [])]
    for name in needed:
        if name not in table.column_names:
            raise SchemaError(
                f"{where}: no column {name!r}; there is {table.column_names}; rename one or add it",
                asked=name,
                there=table.column_names,
            )
    if not table.num_rows:
        return table
    table = _check_delta_ids(part, key, table, where)
    table = _check_confidence(table, where)
    table = _check_marks(table, origin, where)
    marks = [name for name in ("confidence", "origin", "key") if name in table.column_names]
    rest = [c for c in table.column_names if c not in (*needed, *marks)]
    return table.select([*needed, *rest, *marks]).combine_chunks()


def _check_delta_key(part: str, key: Any, where: str) -> None:
    is_edge = isinstance(key, tuple) and len(key) == 3
    is_cell = isinstance(key, tuple) and len(key) == 2 and isinstance(key[1], str)
    good = {"nodes": isinstance(key, str), "edges": is_edge, "masks": is_edge}.get(part, is_cell)
    if good and part in ("values", "columns"):
        good = isinstance(key[0], str) or (isinstance(key[0], tuple) and len(key[0]) == 3)
    if not good:
        kind = "a string" if part == "nodes" else "a tuple"
        raise SchemaError(f"{where}: the key of {part} is {DELTA_KEYS[part]}, {kind}", asked=key)


def _check_delta_ids(part: str, key: Any, table: pa.Table, where: str) -> pa.Table:
    names = id_columns(part, key)
    for name in names:
        ids, _ = tb.id_strings(chunk(table[name]), f"{where}, column {name!r}")
        table = table.set_column(table.column_names.index(name), name, ids)
    if part in ("edges", "masks"):
        return table
    counts = table.group_by(list(names), use_threads=False).aggregate([([], "count_all")])
    if counts.num_rows != table.num_rows:
        twice = counts.filter(pc.greater(counts["count_all"], 1)).select(list(names)).to_pylist()
        listed = [tuple(row.values()) if len(names) > 1 else row["id"] for row in twice]
        raise SchemaError(
            f"{where}, column {names[0]!r}: {some(listed)} stand more than once; keep one row each",
            asked=listed,
        )
    if part != "nodes" and table["value"].null_count:
        raise SchemaError(f"{where}: a filled value cannot be null; leave those rows out")
    return table


def _check_confidence(table: pa.Table, where: str) -> pa.Table:
    if "confidence" not in table.column_names:
        return table.append_column("confidence", pa.array(np.ones(table.num_rows, np.float32)))
    column = table["confidence"]
    if not tb.is_number(column.type):
        raise SchemaError(
            f"{where}, column 'confidence': numbers in [0, 1], these are {column.type}; cast or "
            "drop the column",
            asked=column.type,
        )
    confidence = column.cast(pa.float32())
    span = pc.min_max(confidence).as_py()
    if confidence.null_count or span["min"] < 0 or span["max"] > 1:
        raise SchemaError(
            f"{where}, column 'confidence': numbers in [0, 1] without nulls; found {span['min']} "
            f"to {span['max']} and {confidence.null_count} nulls; scale and fill the column, or "
            "drop it",
            asked=(span["min"], span["max"]),
            there=(0, 1),
        )
    return table.set_column(table.column_names.index("confidence"), "confidence", confidence)


def _check_marks(table: pa.Table, origin: str, where: str) -> pa.Table:
    if "origin" not in table.column_names:
        table = table.append_column("origin", pa.array([origin] * table.num_rows, pa.string()))
    for name in ("origin", "key"):
        if name in table.column_names:
            words = tb.one_chunk(table[name])
            if not tb.is_text(words.type) or words.null_count:
                raise SchemaError(
                    f"{where}, column {name!r}: text without nulls; found {words.type}, "
                    f"{words.null_count} nulls; cast and fill the column, or drop it",
                    asked=words.type,
                )
    return table
