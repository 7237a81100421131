"""What a graph is made of: types and columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from hinaug.graph import arrow as tb

EdgeType = tuple[str, str, str]
Type = str | EdgeType
PROVENANCE = ("origin", "confidence", "key")
ORIGIN = b"hinaug.origin"  # metadata of a column that a delta added: who made it


@dataclass(frozen=True)
class Column:
    """Arrow type of a column, and its lineage: "row", "aggregate" or None (unknown)."""

    dtype: pa.DataType
    lineage: str | None = None


@dataclass(frozen=True)
class Schema:
    """The node and edge types of a graph with their columns."""

    nodes: Mapping[str, Mapping[str, Column]]
    edges: Mapping[EdgeType, Mapping[str, Column]]
    edge_lineage: Mapping[EdgeType, str | None]

    def __str__(self) -> str:
        lines = [
            f"{t}: {', '.join(f'{n} {short(c)}' for n, c in cols.items())}"
            for t, cols in self.nodes.items()
        ]
        for t, cols in self.edges.items():
            lines.append(
                f"{t[0]} -{t[1]}-> {t[2]}: "
                f"{', '.join(f'{n} {short(c)}' for n, c in cols.items()) or '-'}"
            )
        return "\n".join(lines)


def table_lineage(table: pa.Table) -> str | None:
    """ "row", "aggregate" or None (unknown): how the edges of a type came about."""
    value = (table.schema.metadata or {}).get(tb.LINEAGE)
    return value.decode() if value else None


def short(column: Column) -> str:
    """A column in a word or two, such as "vector[384](row)"."""
    dtype = _word(column.dtype)
    return f"{dtype}({column.lineage})" if column.lineage else dtype


def _word(kind: pa.DataType) -> str:
    if tb.is_vector(kind):
        return f"vector[{kind.list_size}]"
    if pa.types.is_dictionary(kind):
        return "category"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list[{_word(kind.value_type)}]"
    return str(kind)
