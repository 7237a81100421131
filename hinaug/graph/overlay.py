"""Deltas on a graph, as pure functions of tables: may one be put on or taken off, and what is seen.

`nodes` and `edges` are the observed tables of a graph, `deltas` those that are on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.errors import SchemaError, UnknownNameError, nearest, some
from hinaug.graph import arrow as tb
from hinaug.graph.delta import Delta
from hinaug.graph.schema import ORIGIN, PROVENANCE, EdgeType, Type
from hinaug.graph.validate import ends_of, id_columns

Nodes = Mapping[str, pa.Table]
Edges = Mapping[EdgeType, pa.Table]
Deltas = Sequence[Delta]
FIRST = "apply the delta that generates them first, or use the graph that this delta was made for"


# ---- what is seen --------------------------------------------------------------------------------


def node_ids(nodes: Nodes, deltas: Deltas, type: str) -> pa.Array:
    """The ids of a node type: observed nodes first, then the generated ones."""
    generated = [tb.one_chunk(d.nodes[type]["id"]) for d in deltas if type in d.nodes]
    return pa.concat_arrays([tb.one_chunk(nodes[type]["id"]), *generated])


def node_view(nodes: Nodes, deltas: Deltas, type: str) -> pa.Table:
    """A node table as seen through the deltas: columns added, rows added, missing cells filled."""
    base = nodes[type]
    table = tb.concat([base, *(_fit_types(d.nodes[type], base) for d in deltas if type in d.nodes)])
    ids = tb.one_chunk(table["id"])

    def rows_of(cells: pa.Table) -> np.ndarray:
        return tb.lookup(tb.one_chunk(cells["id"]), ids)

    return _with_cells(table, deltas, type, rows_of)


def edge_view(nodes: Nodes, edges: Edges, deltas: Deltas, type: EdgeType) -> pa.Table:
    """An edge table as seen through the deltas: observed rows without the masked pairs, then the
    generated ones whose pair was not observed.
    """
    base = edges.get(type)
    if base is None:
        base = pa.table({"src": pa.array([], pa.int32()), "dst": pa.array([], pa.int32())})
    ends = [node_ids(nodes, deltas, node) for node in (type[0], type[2])]
    width = max(len(ends[1]), 1)

    def codes(src: np.ndarray, dst: np.ndarray) -> np.ndarray:
        return src.astype(np.int64) * width + dst

    def positions(tables: Sequence[pa.Table]) -> list[np.ndarray]:
        ids = [_joined(table[side] for table in tables) for side in ("src", "dst")]
        return [tb.lookup(known, asked) for known, asked in zip(ends, ids, strict=True)]

    observed = codes(tb.numbers(base["src"]), tb.numbers(base["dst"]))
    masks = [d.masks[type] for d in deltas if type in d.masks]
    masked = codes(*positions(masks))
    parts = [base.filter(pa.array(~np.isin(observed, masked))) if len(masked) else base]
    added = [d.edges[type] for d in deltas if type in d.edges]
    src, dst = positions(added)
    new = ~np.isin(codes(src, dst), np.concatenate([observed, masked]))
    start = 0
    for rows in added:
        these = slice(start, start + rows.num_rows)
        start += rows.num_rows
        if new[these].any():
            rows = rows.set_column(0, "src", pa.array(src[these], pa.int32()))
            rows = rows.set_column(1, "dst", pa.array(dst[these], pa.int32()))
            parts.append(_fit_types(rows.filter(pa.array(new[these])), base))
    table = tb.concat(parts).combine_chunks()
    pairs = codes(tb.numbers(table["src"]), tb.numbers(table["dst"]))

    def rows_of(cells: pa.Table) -> np.ndarray:
        code = codes(*positions([cells]))
        order = np.argsort(code, kind="stable")
        at = np.minimum(np.searchsorted(code, pairs, sorter=order), len(code) - 1)
        return np.where(code[order[at]] == pairs, order[at], -1)

    return _with_cells(table, deltas, type, rows_of)


def _joined(columns: Iterable[pa.ChunkedArray]) -> pa.Array:
    return pa.concat_arrays([pa.array([], pa.string()), *map(tb.one_chunk, columns)])


def _with_cells(table: pa.Table, deltas: Deltas, type: Type, rows_of: Any) -> pa.Table:
    """With the columns that deltas add and the values that they fill; rows_of: table of cells ->
    the cell of each row of `table`, -1 for none.
    """
    for delta in deltas:
        for (of, column), cells in delta.columns.items():
            if of == type:
                table = _add_column(table, column, cells, rows_of(cells))
    for delta in deltas:
        for (of, column), cells in delta.values.items():
            if of == type:
                table = _fill(table, column, cells, rows_of(cells))
    return table


def _add_column(table: pa.Table, column: str, cells: pa.Table, found: np.ndarray) -> pa.Table:
    """With a new column; generated nodes may have brought it already, then its nulls are filled."""
    if column not in table.column_names:
        field = cells.schema.field("value")
        origins = ", ".join(pc.unique(cells["origin"]).sort().to_pylist())
        metadata = {**(field.metadata or {}), ORIGIN: origins.encode()}
        new = pa.field(column, field.type, metadata=metadata)
        table = table.append_column(new, pa.nulls(table.num_rows, field.type))
    return _fill(table, column, cells, found)


def _fill(table: pa.Table, column: str, cells: pa.Table, found: np.ndarray) -> pa.Table:
    at = table.column_names.index(column)
    values = tb.one_chunk(table[column])
    field = table.schema.field(at)
    if pa.types.is_null(values.type):
        values = values.cast(cells["value"].type)
        field = field.with_type(values.type)
    new = tb.one_chunk(cells["value"]).cast(values.type)
    filled = new.take(pa.array(np.where(found < 0, 0, found), mask=found < 0))
    hole = values.is_null().to_numpy(zero_copy_only=False) & (found >= 0)
    pick = np.where(hole, np.arange(len(values)) + len(values), np.arange(len(values)))
    return table.set_column(at, field, pa.concat_arrays([values, filled]).take(pa.array(pick)))


def _fit_types(new: pa.Table, base: pa.Table) -> pa.Table:
    known = {
        f.name: f.type
        for f in base.schema
        if f.name not in PROVENANCE and not pa.types.is_null(f.type)
    }
    fields = [pa.field(f.name, known[f.name]) if f.name in known else f for f in new.schema]
    return new.cast(pa.schema(fields))


# ---- may a delta be put on? ----------------------------------------------------------------------


def check_applicable(nodes: Nodes, edges: Edges, deltas: Deltas, delta: Delta) -> None:
    """Raises SchemaError where graph + delta has no meaning."""
    _check_not_applied(deltas, delta)
    for type, table in delta.nodes.items():
        _check_new_nodes(nodes, deltas, type, table)
    for part, tables in (("edges", delta.edges), ("masks", delta.masks)):
        for edge, table in tables.items():
            if part == "masks":
                _known_edge_type(edges, deltas, edge)
            elif edge in edges:
                _compatible(edges[edge], _without_ends(table), f"delta, edges {edge}")
            _check_ends(nodes, deltas, delta, part, edge, table)
    for cell, table in delta.columns.items():
        _check_column(nodes, edges, deltas, cell)
        _check_ends(nodes, deltas, delta, "columns", cell, table)
    for cell, table in delta.values.items():
        _check_values(nodes, edges, (*deltas, delta), cell, table)
        _check_ends(nodes, deltas, delta, "values", cell, table)
        _check_unfilled(deltas, cell, table)
    _check_types_together(nodes, edges, deltas, delta)


def _check_not_applied(deltas: Deltas, delta: Delta) -> None:
    if any(d.identity == delta.identity for d in deltas):
        raise SchemaError(
            f"{delta!r} is already applied to this graph; take it off with - before putting it on "
            "again",
            asked=delta,
        )
    keys = delta.keys() if len(delta) and deltas else pa.array([], pa.string())
    for other in deltas if len(keys) else ():
        both = pc.sum(pc.is_in(keys, value_set=other.keys())).as_py() if len(other) else 0
        if both:
            raise SchemaError(
                f"{both} rows of {delta!r} are already applied, as part of {other!r}; take that "
                "off first",
                asked=delta,
                there=other,
            )


def _check_new_nodes(nodes: Nodes, deltas: Deltas, type: str, table: pa.Table) -> None:
    _known_node_type(nodes, type)
    there = node_ids(nodes, deltas, type)
    taken = table["id"].filter(pc.is_in(table["id"], value_set=there))
    if len(taken):
        raise SchemaError(
            f"delta, nodes {type!r}: {len(taken)} ids are in the graph already: "
            f"{some(taken.slice(0, 1000).to_pylist())}; generated nodes need new ids",
            asked=taken.to_pylist(),
        )
    _compatible(nodes[type], table, f"delta, nodes {type!r}")


def _check_ends(
    nodes: Nodes, deltas: Deltas, delta: Delta, part: str, key: Any, table: pa.Table
) -> None:
    """Every id of a table is a node of the graph, or one that the delta itself adds."""
    for name, node in ends_of(part, key):
        _known_node_type(nodes, node)
        known = node_ids(nodes, (*deltas, delta), node)
        bad = table[name].filter(pc.invert(pc.is_in(table[name], value_set=known)))
        if len(bad):
            of = f"{part} {key}" if part in ("edges", "masks") else f"{part} {key!r}"
            raise SchemaError(
                f"delta, {of}, column {name!r}: {len(bad)} ids are no {node!r} nodes of this "
                f"graph: {some(pc.unique(bad).slice(0, 1000).to_pylist())}; {FIRST}",
                asked=pc.unique(bad).to_pylist(),
            )


def _check_column(nodes: Nodes, edges: Edges, deltas: Deltas, cell: tuple[Any, str]) -> None:
    type, column = cell
    table = _table_of(nodes, edges, deltas, type)
    taken = ("id", "src", "dst", *PROVENANCE)
    if column in taken:
        raise SchemaError(
            f"delta, columns {cell}: {column!r} is the store's own; choose another name",
            asked=column,
            there=taken,
        )
    if column in table.column_names or any(cell in d.columns for d in deltas):
        raise SchemaError(
            f"delta, columns {cell}: the graph has a column {column!r} already; choose another "
            "name, or fill its nulls with values=",
            asked=column,
            there=table.column_names,
        )


def _check_values(
    nodes: Nodes, edges: Edges, deltas: Deltas, cell: tuple[Any, str], cells: pa.Table
) -> None:
    """The column is there, may have nulls, and is of a type that the values fit."""
    type, column = cell
    table = _table_of(nodes, edges, deltas, type)
    added = {c: d.columns[t, c] for d in deltas for t, c in d.columns if t == type}
    if column in ("id", "src", "dst"):
        raise SchemaError(
            f"delta, values {cell}: ids are never missing; a value cannot fill them; name another "
            f"of {table.column_names}",
            asked=column,
            there=table.column_names,
        )
    if column in added:
        table = pa.table({column: added[column]["value"]})
    elif column not in table.column_names:
        known = [*table.column_names, *added]
        raise UnknownNameError(
            f"delta, values: no column {column!r} in {type!r}; it has {known}"
            f"{nearest(column, known)}",
            asked=column,
            there=known,
        )
    _compatible(table, pa.table({column: cells["value"]}), f"delta, values of {type!r}")


def _check_unfilled(deltas: Deltas, cell: tuple[Any, str], cells: pa.Table) -> None:
    """No other delta fills one of these cells."""
    names = list(id_columns("values", cell))
    for other in deltas:
        if cell not in other.values:
            continue
        both = cells.select(names).join(other.values[cell].select(names), names, join_type="inner")
        if both.num_rows:
            listed = both["id"].to_pylist() if names == ["id"] else both.to_pylist()
            raise SchemaError(
                f"delta, values {cell}: {other!r} already fills {some(listed)}; merge the two, or "
                "take one off",
                asked=listed,
                there=other,
            )


def _check_types_together(nodes: Nodes, edges: Edges, deltas: Deltas, delta: Delta) -> None:
    """Columns of unlike types in two deltas raise here, not when a table is asked for."""
    for part, there in (("nodes", nodes), ("edges", edges)):
        for type, table in delta._parts[part].items():
            before = [d._parts[part][type] for d in deltas if type in d._parts[part]]
            base = _without_ends(there.get(type, pa.table({})))
            empty = [_without_ends(t.slice(0, 0)) for t in (*before, table)]
            tb.concat([_fit_types(t, base) for t in empty])


def _compatible(base: pa.Table, new: pa.Table, where: str) -> None:
    """Raises SchemaError where a column of `new` cannot become the type that `base` has."""
    for field in new.schema:
        if field.name not in base.column_names or field.name in PROVENANCE:
            continue
        have = base.schema.field(field.name).type
        if pa.types.is_null(have):  # nothing is known of a column without a single value
            continue
        try:
            new[field.name].cast(have)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise SchemaError(
                f"{where}, column {field.name!r}: the graph has {have}, the delta {field.type}; "
                "cast the delta's column",
                asked=field.type,
                there=have,
            ) from error


def _without_ends(table: pa.Table) -> pa.Table:
    return table.drop_columns([c for c in ("src", "dst") if c in table.column_names])


def _known_node_type(nodes: Nodes, type: str) -> None:
    if type not in nodes:
        raise UnknownNameError(
            f"no node type {type!r}; this graph has {list(nodes)}{nearest(type, nodes)}",
            asked=type,
            there=list(nodes),
        )


def _known_edge_type(edges: Edges, deltas: Deltas, type: EdgeType) -> None:
    there = list(dict.fromkeys([*edges, *(t for d in deltas for t in d.edges)]))
    if type not in there:
        raise UnknownNameError(
            f"no edge type {type!r}; this graph has {there}{nearest(type, there)}",
            asked=type,
            there=there,
        )


def _table_of(nodes: Nodes, edges: Edges, deltas: Deltas, type: Type) -> pa.Table:
    """The observed table of a type; one without columns for an edge type of a delta."""
    if isinstance(type, tuple):
        _known_edge_type(edges, deltas, type)
        return edges.get(type, pa.table({"src": [], "dst": []}))
    _known_node_type(nodes, type)
    return nodes[type]


# ---- may a delta be taken off? -------------------------------------------------------------------


def check_removable(edges: Edges, deltas: Deltas, delta: Delta) -> None:
    """Raises SchemaError where graph - delta has no meaning."""
    if not any(d.identity == delta.identity for d in deltas):
        raise SchemaError(
            f"{delta!r} is not applied to this graph; nothing was taken off; its deltas: "
            f"{list(deltas) or 'none'}; take off the very delta put on",
            asked=delta,
            there=list(deltas),
        )
    others = [d for d in deltas if d.identity != delta.identity]
    for other in others:
        rest = [d for d in others if d is not other]
        why = _leans_on(edges, rest, other, delta)
        if why:
            raise SchemaError(f"{other!r} {why}; take that off first", asked=delta, there=other)


def _leans_on(edges: Edges, rest: Deltas, other: Delta, delta: Delta) -> str | None:
    """Why `other` cannot stay when `delta` goes, in words; None where it can."""
    for type, table in delta.nodes.items():
        if any(pc.any(pc.is_in(ids, value_set=table["id"])).as_py() for ids in _used(other, type)):
            return f"uses {type!r} nodes that {delta!r} generated"
    for cell in other.values:
        if cell in delta.columns:
            return f"fills the column {cell} that {delta!r} added"
    for edge in _edge_types_needed(other):
        if edge not in edges and not any(edge in d.edges for d in rest):
            return f"needs {edge} edges, and only {delta!r} has that type"
    return None


def _used(delta: Delta, node: str) -> Iterable[pa.ChunkedArray]:
    """Columns of a delta that hold ids of nodes of a type which it does not add itself."""
    for part, key, rows in delta.tables():
        for name, of in ends_of(part, key) if part != "nodes" else ():
            if of == node:
                yield rows[name]


def _edge_types_needed(delta: Delta) -> set[EdgeType]:
    """Edge types that a delta masks or fills without having edges of its own."""
    cells = [t for t, _ in (*delta.values, *delta.columns) if isinstance(t, tuple)]
    return {t for t in (*delta.masks, *cells) if t not in delta.edges}
