"""Columns of databases and of Parquet files in the types that a graph has.

Decimals are numbers as in text (int64 where all are whole, else float64; text where digits would be
lost); times with a zone are UTC; uuid and JSON are text; others are those of Arrow.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.errors import ParameterError
from hinaug.io.tables import values as va


def is_stated(kind: pa.DataType) -> bool:
    """Whether `stated` gives a column of this type in another one."""
    has_zone = pa.types.is_timestamp(kind) and kind.tz
    is_other = pa.types.is_decimal(kind) or pa.types.is_run_end_encoded(kind)
    return bool(is_other or has_zone or isinstance(kind, pa.BaseExtensionType))


def stated(column: pa.Array, field: pa.Field, where: str) -> pa.Array:
    """The column in one of the types of the store."""
    kind = column.type
    if (field.metadata or {}).get(b"POSTGRESQL:type") == b"money":
        raise _no_form("money", where)
    if isinstance(kind, pa.BaseExtensionType):
        return _of_extension(column, where)
    if pa.types.is_run_end_encoded(kind):
        return pc.run_end_decode(column)
    if pa.types.is_decimal(kind):
        return va.plain(column.cast(pa.string()), False, where)
    if pa.types.is_timestamp(kind) and kind.tz:
        return column.cast(pa.timestamp(kind.unit, "UTC"))
    return column


def _of_extension(column: pa.Array, where: str) -> pa.Array:
    name = getattr(column.type, "type_name", column.type.extension_name)
    if name == "numeric":
        return va.plain(column.storage, False, where)
    if name == "arrow.uuid":
        return _uuid(column.storage)
    if name == "arrow.json":
        return column.storage.cast(pa.string())
    raise _no_form(name, where)


def _no_form(kind: str, where: str) -> ParameterError:
    return ParameterError(
        f"{where}: values of type {kind!r} have no form here; CAST them, such as to "
        "numeric or text",
        asked=kind,
    )


def _uuid(column: pa.Array) -> pa.Array:
    """16 bytes as 8-4-4-4-12 hexadecimal digits."""
    valid = column.is_valid()
    data = b"".join(value.as_buffer() for value in column.filter(valid))
    digits = np.frombuffer(data.hex().encode(), "S1").reshape(-1, 32)
    dash = np.full((len(digits), 1), b"-")
    parts = np.split(digits, (8, 12, 16, 20), axis=1)
    text = np.concatenate([p for part in parts for p in (part, dash)][:-1], axis=1)
    words = pa.array(text.view("S36").ravel().astype(str), pa.string())
    at = np.cumsum(valid.to_numpy(zero_copy_only=False)) - 1
    return words.take(pa.array(at, mask=~valid.to_numpy(zero_copy_only=False)))
