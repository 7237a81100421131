"""Whether a graph has the columns of the graph that a generator was fitted on."""

from __future__ import annotations

import pyarrow as pa

from hinaug.errors import SchemaError


def check_same_columns(table: pa.Table, schema: pa.Table, origin: str, node: str) -> None:
    """Raises SchemaError where a column of the fitted graph is missing here or of another type.

    schema: an empty table with the columns at fit time. origin, node: for the message.
    """
    for field in schema.schema:
        here = table.schema.field(field.name).type if field.name in table.column_names else None
        if here != field.type:
            found = "is missing" if here is None else f"is {here}"
            raise SchemaError(
                f"{origin}: column {field.name!r} of {node!r} {found} in this graph and was "
                f"{field.type} in the graph that was fitted on; generate for a graph with the same "
                "columns, or fit again",
                asked=field.name,
                there=table.column_names,
            )
