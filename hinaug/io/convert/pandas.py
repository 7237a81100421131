"""pandas: one DataFrame a type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from hinaug import checks
from hinaug.errors import KindError
from hinaug.graph import expect
from hinaug.graph.hin import HIN
from hinaug.graph.schema import Type
from hinaug.io.convert.shared import graph_from_tables, need, visible_table

_INTEGERS = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")


def to_pandas(hin: HIN) -> dict[Type, Any]:
    """{type: DataFrame}; edges have external ids in "src" and "dst".

    Integers and booleans with nulls have pandas' nullable types; vectors are arrays in an object
    column. A frame with generated rows has the columns origin, confidence and key.
    """
    expect.graph(hin, "to_pandas")
    pd = need("pandas", "pandas", "to_pandas")
    nullable = {getattr(pa, name.lower())(): getattr(pd, f"{name}Dtype")() for name in _INTEGERS}
    nullable[pa.bool_()] = pd.BooleanDtype()

    def series(column: pa.ChunkedArray) -> Any:
        return column.to_pandas(types_mapper=nullable.get if column.null_count else None)

    frames: dict[Type, Any] = {}
    for type in [*hin.nodes, *hin.edges]:
        table = visible_table(hin, type)
        frames[type] = pd.DataFrame({name: series(table[name]) for name in table.column_names})
    return frames


def from_pandas(frames: Mapping[Any, Any], lineage: Any = None) -> HIN:
    """A graph from {type: DataFrame}, as `to_pandas` gives it. Any other kind of table will do too.

    Rows with the marks of `to_pandas` become one Delta; other columns called origin, confidence or
    key are refused (see `hinaug.io.convert`). Without marked rows this is `HIN.from_tables`.

    frames: node types are strings, edge types tuples of three.
    lineage: as `HIN.from_tables` takes it.
    Raises SchemaError; KindError where `frames` is no dict.
    """
    if not isinstance(frames, Mapping):
        raise KindError(
            f"from_pandas takes {{type: DataFrame}}, a dict as to_pandas gives it; got "
            f"{checks.kind(frames)}"
        )
    return graph_from_tables(frames, lineage, "from_pandas")
