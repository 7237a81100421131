"""What a graph shows, in plain Python, to compare graphs by."""

from __future__ import annotations

import pyarrow as pa

from hinaug.graph.hin import HIN


def marks(hin: HIN) -> dict:
    types = [*hin.nodes, *hin.edges]
    return {
        (t, c): hin.column(t, c).to_pylist() for t in types for c in ("origin", "confidence", "key")
    }


def seen(hin: HIN, floats: bool = False) -> dict:
    """All rows by type; a column of nothing but nulls has no type to speak of. floats: every number
    as a float.
    """
    out = {}
    for type in [*hin.nodes, *hin.edges]:
        table = hin.table(type)
        for name in table.column_names:
            column = table[name]
            if (
                floats
                and column.null_count
                and (pa.types.is_integer(column.type) or pa.types.is_boolean(column.type))
            ):
                column = column.cast(pa.float64())
            kind = column.type if column.null_count < len(column) else None
            out[type, name] = (kind, column.to_pylist())
    return out
