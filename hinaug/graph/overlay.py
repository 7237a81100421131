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

    return _with_cells(table, base, deltas, type, rows_of)


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
    parts = [base.filter(pa.array(~_is_among(observed, masked))) if len(masked) else base]
    added = [d.edges[type] for d in deltas if type in d.edges]
    src, dst = positions(added)
    added_codes = codes(src, dst)
    new = ~(_is_among(added_codes, observed) | _is_among(added_codes, masked))
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

    return _with_cells(table, base, deltas, type, rows_of)


def _is_among(codes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """As `np.isin`, which hashes: codes of pairs collide, and that takes many times longer."""
    if not len(others) or not len(codes):
        return np.zeros(len(codes), bool)
    ascending = np.sort(others)
    at = np.minimum(np.searchsorted(ascending, codes), len(ascending) - 1)
    return ascending[at] == codes


def _joined(columns: Iterable[pa.ChunkedArray]) -> pa.Array:
    return pa.concat_arrays([pa.array([], pa.string()), *map(tb.one_chunk, columns)])


def _with_cells(
    table: pa.Table, base: pa.Table, deltas: Deltas, type: Type, rows_of: Any
) -> pa.Table:
    """With the columns that deltas add and the values that they fill; base: the observed table;
    rows_of: table of cells -> the cell of each row of `table`, -1 for none.
    """
    for column, cells in _cells_of("columns", deltas, type).items():
        table = _add_column(table, column, cells[0], rows_of(cells[0]))
    for column, parts in _cells_of("values", deltas, type).items():
        if not _has_values(base, column) and not _is_added(deltas, type, column):
            table = _widened(table, column, [part.schema.field("value").type for part in parts])
        kind = table.schema.field(column).type
        names = [name for name in ("id", "src", "dst") if name in parts[0].column_names]
        cells = pa.concat_tables([_cells_as(part, names, kind) for part in parts])
        table = _fill(table, column, cells, rows_of(cells))
    return table


def _cells_of(part: str, deltas: Deltas, type: Type) -> dict[str, list[pa.Table]]:
    """{column: tables of cells} of a type, in the order of the deltas."""
    found: dict[str, list[pa.Table]] = {}
    for delta in deltas:
        for (of, column), cells in delta._parts[part].items():
            if of == type:
                found.setdefault(column, []).append(cells)
    return found


def _cells_as(cells: pa.Table, names: Sequence[str], kind: pa.DataType) -> pa.Table:
    """The ids and the value of cells, the value in the type of the column that it fills."""
    value = tb.one_chunk(cells["value"]).cast(kind)
    columns = [*(cells[name] for name in names), value]
    return pa.Table.from_arrays(columns, names=[*names, "value"])


def _add_column(table: pa.Table, column: str, cells: pa.Table, found: np.ndarray) -> pa.Table:
    """With a new column; generated nodes may have brought it already, then its nulls are filled."""
    field = cells.schema.field("value")
    if column not in table.column_names:
        origins = ", ".join(pc.unique(cells["origin"]).sort().to_pylist())
        metadata = {**(field.metadata or {}), ORIGIN: origins.encode()}
        new = pa.field(column, field.type, metadata=metadata)
        table = table.append_column(new, pa.nulls(table.num_rows, field.type))
    return _fill(_widened(table, column, [field.type]), column, cells, found)


def _widened(table: pa.Table, column: str, kinds: Iterable[pa.DataType]) -> pa.Table:
    """With a column in the type that it and these have in common."""
    at = table.column_names.index(column)
    field = table.schema.field(at)
    kind = tb.common_type([field.type, *kinds], f"column {column!r}")
    if kind == field.type:
        return table
    return table.set_column(at, field.with_type(kind), tb.one_chunk(table[column]).cast(kind))


def _fill(table: pa.Table, column: str, cells: pa.Table, found: np.ndarray) -> pa.Table:
    """With the nulls of a column filled; found: the cell of each row, -1 for none."""
    at = table.column_names.index(column)
    values = tb.one_chunk(table[column])
    hole = np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False) & (found >= 0))
    if not len(hole):
        return table
    pick = np.arange(len(values))
    pick[hole] = len(values) + found[hole]
    both = pa.concat_arrays([values, tb.one_chunk(cells["value"]).cast(values.type)])
    return table.set_column(at, table.schema.field(at), both.take(pa.array(pick)))


def _has_values(table: pa.Table, column: str) -> bool:
    """Whether a table has the column, and its type is known: not one of nulls alone."""
    at = table.schema.get_field_index(column)
    return at >= 0 and not pa.types.is_null(table.schema.field(at).type)


def _is_added(deltas: Deltas, type: Type, column: str) -> bool:
    return any((type, column) in delta.columns for delta in deltas)


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
                _known_edge_type(edges, (*deltas, delta), edge)
            elif edge in edges:
                _compatible(edges[edge], _without_ends(table), f"delta, edges {edge}")
            _check_ends(nodes, deltas, delta, part, edge, table)
    for cell, table in delta.columns.items():
        _check_column(nodes, edges, deltas, delta, cell)
        _check_ends(nodes, deltas, delta, "columns", cell, table)
    for cell, table in delta.values.items():
        _check_values(nodes, edges, (*deltas, delta), cell, table)
        _check_ends(nodes, deltas, delta, "values", cell, table)
        _check_unfilled(deltas, cell, table)
    _check_types_together(nodes, edges, deltas, delta)


def check_together(nodes: Nodes, edges: Edges, deltas: Deltas) -> None:
    """Raises SchemaError where deltas do not fit a graph together.

    Their order is that in which rows are seen. It need not be one in which they can be put on: a
    delta may mask edges of a type that a later one adds, once an earlier one with that type is off.
    """
    on: tuple[Delta, ...] = ()
    waiting = list(deltas)
    while waiting:
        errors: list[SchemaError] = []
        later: list[Delta] = []
        for delta in waiting:
            try:
                check_applicable(nodes, edges, on, delta)
                on = (*on, delta)
            except SchemaError as error:
                errors.append(error)
                later.append(delta)
        if len(later) == len(waiting):
            raise errors[0]
        waiting = later


def _check_not_applied(deltas: Deltas, delta: Delta) -> None:
    if any(d.identity == delta.identity for d in deltas):
        raise SchemaError(
            f"{delta!r} is already applied to this graph; take it off with - before putting it on "
            "again",
            asked=delta,
        )
    keys = delta.keys() if len(delta) and deltas else pa.array([], pa.string())
    for other in deltas if len(keys) else ():
        if other._key_stems.isdisjoint(delta._key_stems):
            continue
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
    new = _absent(table["id"], _id_columns(nodes, deltas, type))
    if len(new) < table.num_rows:
        taken = table["id"].filter(pc.invert(pc.is_in(table["id"], value_set=new)))
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
        bad = _absent(table[name], _id_columns(nodes, (*deltas, delta), node))
        if len(bad):
            of = f"{part} {key}" if part in ("edges", "masks") else f"{part} {key!r}"
            raise SchemaError(
                f"delta, {of}, column {name!r}: {len(bad)} ids are no {node!r} nodes of this "
                f"graph: {some(bad.slice(0, 1000).to_pylist())}; {FIRST}",
                asked=bad.to_pylist(),
            )


def _id_columns(nodes: Nodes, deltas: Deltas, type: str) -> list[pa.ChunkedArray]:
    """The columns of ids of a node type: that of the observed nodes, and those of deltas."""
    return [nodes[type]["id"], *(d.nodes[type]["id"] for d in deltas if type in d.nodes)]


def _absent(asked: pa.ChunkedArray, known: Iterable[pa.ChunkedArray]) -> pa.Array:
    """The distinct ids of `asked` that no column of `known` has.

    Hashes what is asked, which is short, and reads the ids of the graph past it.
    """
    missing = pc.unique(asked)
    for ids in known:
        if not len(missing):
            break
        found = ids.filter(pc.is_in(ids, value_set=missing))
        missing = missing.filter(pc.invert(pc.is_in(missing, value_set=tb.one_chunk(found))))
    return missing


def _check_column(
    nodes: Nodes, edges: Edges, deltas: Deltas, delta: Delta, cell: tuple[Any, str]
) -> None:
    type, column = cell
    table = _table_of(nodes, edges, (*deltas, delta), type)
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
    filled = [(other, other.values[cell].select(names)) for other in deltas if cell in other.values]
    if not filled:
        return
    every = pa.concat_tables([rows for _, rows in filled])
    near = every.filter(pc.is_in(every[names[0]], value_set=tb.one_chunk(cells[names[0]])))
    if not near.join(cells.select(names), names, join_type="inner").num_rows:
        return
    for other, rows in filled:  # which of them is it?
        both = cells.select(names).join(rows, names, join_type="inner")
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
    types = {key[0] if part in ("values", "columns") else key for part, key, _ in delta.tables()}
    for type in types:
        base = (edges if isinstance(type, tuple) else nodes).get(type, pa.table({}))
        check_columns_fit(base, (*deltas, delta), type)


def check_columns_fit(base: pa.Table, deltas: Deltas, type: Type) -> None:
    """Raises SchemaError where a column of a type has no common type in the deltas.

    base: the observed table. A column that has values there has its type; every other one has the
    type that the rows and cells of all deltas have in common.
    """
    kinds = _kinds_of_rows(deltas, type)
    for part in ("columns", "values"):
        for column, tables in _cells_of(part, deltas, type).items():
            if part == "columns" or not _is_added(deltas, type, column):
                kinds.setdefault(column, []).extend(t.schema.field("value").type for t in tables)
    for column, of in kinds.items():
        if not _has_values(base, column):
            tb.common_type(of, f"{type!r}, column {column!r}")


def _kinds_of_rows(deltas: Deltas, type: Type) -> dict[str, list[pa.DataType]]:
    """{column: its types} in the nodes or edges that deltas add."""
    kinds: dict[str, list[pa.DataType]] = {}
    part = "edges" if isinstance(type, tuple) else "nodes"
    for delta in deltas:
        rows = delta._parts[part].get(type)
        for field in () if rows is None else rows.schema:
            kinds.setdefault(field.name, []).append(field.type)
    return kinds


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
