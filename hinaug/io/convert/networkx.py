"""networkx: MultiDiGraph."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from hinaug.errors import SchemaError
from hinaug.graph import arrow as tb
from hinaug.graph import expect
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType, Type
from hinaug.io.convert.shared import graph_from_tables, need, visible_table


def to_networkx(hin: HIN) -> Any:
    """A networkx MultiDiGraph: nodes are (type, id), edges have the relation as their key.

    Rows that are parallel in one relation have the keys relation, (relation, 1), (relation, 2), ...
    Values that are null are left out. Only generated nodes and edges have the attributes origin,
    confidence and key. `graph.graph["hinaug_schema"]` holds the Arrow schema of each type.
    """
    expect.graph(hin, "to_networkx")
    graph = need("networkx", "networkx", "to_networkx").MultiDiGraph()
    tables = {type: visible_table(hin, type) for type in [*hin.nodes, *hin.edges]}
    graph.graph["hinaug_schema"] = {type: table.schema for type, table in tables.items()}
    for type in hin.nodes:
        for row in tables[type].to_pylist():
            node = (type, row.pop("id"))
            graph.add_node(node)
            graph.nodes[node].update(_without_null(row))
    for edge in hin.edges:
        _add_edges(graph, edge, tables[edge].to_pylist())
    return graph


def _add_edges(graph: Any, edge: EdgeType, rows: list[dict]) -> None:
    source, relation, target = edge
    for row in rows:
        u, v = (source, row.pop("src")), (target, row.pop("dst"))
        key: Any = relation
        times = 0
        while graph.has_edge(u, v, key):
            times += 1
            key = (relation, times)
        graph.add_edges_from([(u, v, key, _without_null(row))])


def _without_null(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def from_networkx(graph: Any, lineage: Any = None) -> HIN:
    """A graph from a MultiDiGraph whose nodes are (type, id) and whose edge keys are relations.

    The key may also be (relation, anything). Rows are in networkx's order: edges by their source.
    Nodes and edges with the marks of `to_networkx` become one Delta; other attributes called
    origin, confidence or key are refused (see `hinaug.io.convert`).

    lineage: as `HIN.from_tables` takes it.
    Raises SchemaError.
    """
    nx = need("networkx", "networkx", "from_networkx")
    if not isinstance(graph, nx.MultiDiGraph):
        raise SchemaError(
            f"from_networkx takes a MultiDiGraph, got {type(graph).__name__}; make one, with the "
            "relations as edge keys",
            asked=type(graph).__name__,
            there="MultiDiGraph",
        )
    schemas: dict[Any, pa.Schema] = graph.graph.get("hinaug_schema", {})
    rows: dict[Any, list[dict]] = {type: [] for type in schemas}
    for node, attributes in graph.nodes(data=True):
        _check_node(node)
        rows.setdefault(node[0], []).append({**attributes, "id": node[1]})
    for u, v, key, attributes in graph.edges(keys=True, data=True):
        edge = (u[0], _relation(u, v, key), v[0])
        rows.setdefault(edge, []).append({**attributes, "src": u[1], "dst": v[1]})
    tables = {type: _table(found, schemas.get(type), type) for type, found in rows.items()}
    return graph_from_tables(tables, lineage, "from_networkx")


def _check_node(node: Any) -> None:
    if not (isinstance(node, tuple) and len(node) == 2 and isinstance(node[0], str)):
        raise SchemaError(
            f"from_networkx: nodes are (type, id), this one is {node!r}; relabel with "
            "nx.relabel_nodes",
            asked=node,
        )


def _relation(u: Any, v: Any, key: Any) -> str:
    relation = key[0] if isinstance(key, tuple) and key else key
    if not isinstance(relation, str):
        raise SchemaError(
            f"from_networkx: edge keys are relations, such as 'rates'; the one from {u!r} to "
            f"{v!r} is {key!r}; add edges with add_edge(u, v, key=relation)",
            asked=key,
        )
    return relation


def _table(rows: list[dict], schema: pa.Schema | None, type: Type) -> pa.Table:
    """Rows as a table; columns that the schema knows have its types, where the values still fit."""
    known = schema or pa.schema([])
    ends = ("id",) if isinstance(type, str) else ("src", "dst")
    names = dict.fromkeys([*known.names, *ends, *(name for row in rows for name in row)])
    columns, fields = [], []
    for name in names:
        if name in known.names:
            field = known.field(name)
        else:
            field = pa.field(name, pa.string()) if name in ends and not rows else None
        column, field = _column(rows, name, field, f"{type!r}, attribute {name!r}")
        columns.append(column)
        fields.append(field)
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata=known.metadata))


def _column(
    rows: list[dict], name: str, field: pa.Field | None, where: str
) -> tuple[pa.Array, pa.Field]:
    values = [row.get(name) for row in rows]
    try:
        column = pa.array(values, field.type if field else None, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, OverflowError):
        field, column = None, tb.as_array(values, where)  # changed since the schema was noted
    metadata = field.metadata if field else None
    return column, pa.field(name, column.type, metadata=metadata)
