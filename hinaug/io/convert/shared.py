"""What the forms share: tables to hand out, and a graph from tables that come back."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hinaug.errors import SchemaError
from hinaug.graph import arrow as tb
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.schema import PROVENANCE, Type

_KEY = "^[0-9a-f]{12}:[0-9]+$"  # as Delta gives them


def need(module: str, package: str, who: str) -> Any:
    """The module of an optional library; ImportError that names the package to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{who} needs {package}, which cannot be imported ({error}); pip install {package}",
            name=package,
        ) from error


def visible_table(hin: HIN, type: Type, rows: slice = slice(None)) -> pa.Table:
    """A table as seen through the deltas, with external ids in the user's own type."""
    table = hin.table(type)[rows]
    if isinstance(type, str):
        at = table.column_names.index("id")
        ids = hin.ids(type)
        field = pa.field("id", ids.type, metadata=table.schema.field(at).metadata)
        return table.set_column(at, field, ids[rows])
    for at, (side, node) in enumerate((("src", type[0]), ("dst", type[2]))):
        ids = hin.ids(node).take(tb.one_chunk(table[side]))
        field = pa.field(side, ids.type, metadata=table.schema.field(at).metadata)
        table = table.set_column(at, field, ids)
    return table


def graph_from_tables(tables: Mapping[Any, Any], lineage: Any, who: str) -> HIN:
    """The graph of tables as `to_x` gives them: marked rows become one Delta, the others are
    observed.

    tables: {type: anything table-like}. lineage: as `HIN.from_tables` takes it. who: the function
    that errors name. Raises SchemaError.
    """
    rows = {type: separate(tb.as_table(t, name_of(type)), type, who) for type, t in tables.items()}
    return graph_from_rows(rows, lineage)


def graph_from_rows(rows: Mapping[Any, tuple[pa.Table, pa.Table]], lineage: Any) -> HIN:
    """The graph of {type: (observed rows, generated rows)}; the generated ones become one Delta."""
    observed = {type: table for type, (table, _) in rows.items()}
    generated = {type: table for type, (_, table) in rows.items() if table.num_rows}
    hin = HIN.from_tables(_nodes(observed), _edges(observed), lineage=lineage)
    return hin + Delta(_nodes(generated), _edges(generated)) if generated else hin


def name_of(type: Any) -> str:
    """What errors call the table of a type."""
    return f"{'nodes' if isinstance(type, str) else 'edges'} {type!r}"


def separate(table: pa.Table, type: Any, who: str) -> tuple[pa.Table, pa.Table]:
    """The observed rows without marks, and the generated rows with theirs. Raises SchemaError for
    columns with the names of marks that hinaug did not write.
    """
    there = [name for name in PROVENANCE if name in table.column_names]
    if not there:
        return table, table.slice(0, 0)
    reason = _why_no_marks(table, there)
    if reason:
        raise no_marks(there, type, who, reason)
    for name in ("origin", "key"):
        at = table.column_names.index(name)
        table = table.set_column(at, name, tb.one_chunk(table[name]).cast(pa.string()))
    is_generated = pc.is_valid(table["origin"])
    return table.filter(pc.invert(is_generated)).drop_columns(there), table.filter(is_generated)


def no_marks(there: list[str], type: Any, who: str, reason: str) -> SchemaError:
    """The error for columns that have the names of marks and are none."""
    return SchemaError(
        f"{who}: {name_of(type)}: column {there[0]!r} is reserved for the marks of generated rows, "
        f"and this is no mark that hinaug wrote: {reason}; rename the column",
        asked=there,
        there=list(PROVENANCE),
    )


def _nodes(tables: Mapping[Any, pa.Table]) -> dict[str, pa.Table]:
    return {type: table for type, table in tables.items() if isinstance(type, str)}


def _edges(tables: Mapping[Any, pa.Table]) -> dict[Any, pa.Table]:
    return {type: table for type, table in tables.items() if not isinstance(type, str)}


def _why_no_marks(table: pa.Table, there: list[str]) -> str | None:
    """In words, why the reserved columns of a table are not marks of hinaug; None if they are."""
    missing = [name for name in PROVENANCE if name not in there]
    if missing:
        return f"there is no column {missing[0]!r} beside it"
    marks = [tb.one_chunk(table[name]) for name in PROVENANCE]
    valid = [column.is_valid() for column in marks]
    if not all(column.equals(valid[0]) for column in valid):
        return "rows have some of origin, confidence and key, but not all three"
    return None if not pc.any(valid[0]).as_py() else _why_wrong_values(*map(_decoded, marks))


def _why_wrong_values(origin: pa.Array, confidence: pa.Array, key: pa.Array) -> str | None:
    if not tb.is_text(origin.type):
        return f"origin is text, this is {origin.type}"
    if not tb.is_number(confidence.type):
        return f"confidence is a number, this is {confidence.type}"
    return why_no_keys(key)


def why_no_keys(keys: pa.Array) -> str | None:
    """In words, why these are not the keys that a Delta gives to its rows; None if they are."""
    if not tb.is_text(keys.type):
        return f"keys are text, these are {keys.type}"
    keys = keys.drop_null()
    strange = keys.filter(pc.invert(pc.match_substring_regex(keys, _KEY)))
    return f"a key looks like 0123456789ab:7, this one is {strange[0]}" if len(strange) else None


def _decoded(column: pa.Array) -> pa.Array:
    """A category column as its values."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
