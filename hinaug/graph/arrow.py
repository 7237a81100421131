"""Arrow plumbing shared by the store and the deltas: anything table-like in, one checked and
normalised `pa.Table` out.

What comes out has single-chunk columns, plain `string` text, NaN as null, and numeric lists of one
length as fixed-size float32 lists ("vectors"). Lineage travels as field metadata, so it is kept by
every Arrow operation and on disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence, Set
from math import isqrt
from numbers import Number
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.errors import SchemaError, nearest, some
from hinaug.graph import arrow as tb

LINEAGE = b"hinaug.lineage"
ID_TYPE = b"hinaug.id_type"
LINEAGES = ("row", "aggregate")
TEXT_LIMIT = 2**31 - 2**16  # bytes that a column of plain strings holds; larger ones are large
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def valid_name(name: str) -> str:
    """The name of a type or column; half of a surrogate pair has no bytes on disk."""
    if not isinstance(name, str):
        raise SchemaError(f"the name {name!r} is {type(name).__name__}, not text; choose a string")
    try:
        name.encode()
    except UnicodeError as error:
        raise SchemaError(f"the name {name!r} is no valid Unicode; choose another") from error
    return name


def is_vector(dtype: pa.DataType) -> bool:
    """A fixed-size list of floating numbers."""
    return pa.types.is_fixed_size_list(dtype) and pa.types.is_floating(dtype.value_type)


def is_text(dtype: pa.DataType) -> bool:
    """A string of either size; categories (dictionaries) are none."""
    return pa.types.is_string(dtype) or pa.types.is_large_string(dtype)


def is_number(dtype: pa.DataType) -> bool:
    """Integers, floating numbers and booleans; times are none."""
    return pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_boolean(dtype)


def lineage_of(field: pa.Field) -> str | None:
    """ "row", "aggregate" or None (unknown)."""
    value = (field.metadata or {}).get(LINEAGE)
    return value.decode() if value else None


def with_lineage(field: pa.Field, lineage: str | None) -> pa.Field:
    """The field with that lineage in its metadata, in place of what was there; SchemaError for
    another word.
    """
    if lineage is not None and lineage not in LINEAGES:
        raise SchemaError(
            f"lineage {lineage!r} is not one of {LINEAGES} or None "
            f"(unknown){nearest(lineage, LINEAGES)}"
        )
    metadata = {k: v for k, v in (field.metadata or {}).items() if k != LINEAGE}
    if lineage:
        metadata[LINEAGE] = lineage.encode()
    return field.with_metadata(metadata or None)


def vectors_array(values: np.ndarray, valid: np.ndarray | None = None) -> pa.FixedSizeListArray:
    """A [n, d] array as a fixed-size list column; rows where `valid` is False are null."""
    values = np.ascontiguousarray(values, dtype=np.float32)
    flat = pa.array(values.reshape(-1))
    mask = None if valid is None or valid.all() else pa.array(~np.asarray(valid, bool))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1], mask=mask)


def as_array(values: Any, where: str, coded: bool = False) -> pa.Array:
    """One column from an Arrow array, a numpy array (1-D, or 2-D for vectors), a pandas or polars
    Series, or a list.

    Arrow and polars columns are shared. What can be written to (numpy, pandas) is copied: a later
    write to it stays out. coded: text that comes as shared objects may stay a dictionary of them.
    """
    if isinstance(values, pa.ChunkedArray):
        return one_chunk(values)
    if isinstance(values, pa.Array):
        return values
    if values is None or isinstance(values, str | bytes | Number | np.generic | Mapping | Set):
        raise SchemaError(
            f"{where}: a list or an array of values is needed, got {type(values).__name__} "
            f"{values!r:.80}; put one value into a list, and give a set an order",
            asked=type(values).__name__,
        )
    try:
        return _converted(values, where, coded)
    except UnicodeError as error:
        raise SchemaError(
            f"{where}: text that is no valid Unicode ({error}); decode it again or drop those rows"
        ) from error
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise _not_one_type(values, where, error) from error
    except ValueError as error:
        if isinstance(error, SchemaError):
            raise
        raise _not_one_type(values, where, error) from error


def _not_one_type(values: Any, where: str, error: Exception) -> SchemaError:
    _refuse_sets(values, where)
    return SchemaError(
        f"{where}: the values are not of one type ({error}); convert the column before"
    )


def _converted(values: Any, where: str, coded: bool = False) -> pa.Array:
    """The Arrow array of values that are no Arrow array."""
    if isinstance(values, np.ndarray) and values.ndim != 1:
        if values.ndim == 2 and values.shape[1]:
            there = np.asarray(~np.isnan(values).any(axis=1))
            return vectors_array(values.astype(np.float32), there)
        raise SchemaError(
            f"{where}: a column is 1-D, or 2-D for vectors of at least one number; this array has "
            f"shape {values.shape}",
            asked=values.shape,
        )
    shared = _shared_objects(values)
    if shared is not None:
        words = _converted(shared[0], where)
        if coded and is_text(words.type) and not words.null_count:
            return pa.DictionaryArray.from_arrays(shared[1], words)
        return words.take(shared[1])
    _refuse_objects(values, where)
    column = _read(values)
    if pa.types.is_list(column.type):
        _refuse_sets(values, where)
    return column


def _read(values: Any) -> pa.Array:
    """The Arrow array of a numpy array, a Series or a list; what can be written to is copied."""
    if hasattr(values, "__arrow_c_stream__"):
        column = one_chunk(pa.chunked_array(values))
        return _owned(column) if type(values).__module__.startswith("pandas") else column
    if hasattr(values, "__arrow_c_array__"):
        return pa.array(values)
    return _owned(pa.array(values, from_pandas=True))


def _has_repeats(numbers: np.ndarray) -> bool:
    """Whether numbers stand more than once, by a sample: it holds eight pairs on average where at
    most half of them are distinct.
    """
    drawn = np.random.default_rng(0).integers(0, max(1, len(numbers)), 4 * isqrt(len(numbers)))
    rows = np.unique(drawn)
    return len(np.unique(numbers[rows])) < len(rows)


class _Addresses:
    """What numpy takes for the addresses of the objects of an array."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.__array_interface__ = {**array.__array_interface__, "typestr": "<i8", "descr": None}


def _shared_objects(values: Any) -> tuple[np.ndarray, pa.Array] | None:
    """The distinct objects of a column of Python objects, and which of them each row has; None
    where most rows have one of their own. Objects are told apart by their addresses, so that each
    is looked into once.
    """
    if str(getattr(values, "dtype", "")) != "object" or not hasattr(values, "__array__"):
        return None
    objects = np.ascontiguousarray(values)
    addresses = np.asarray(_Addresses(objects))
    if not _has_repeats(addresses):
        return None
    rows = pa.array(addresses).dictionary_encode()
    if not 0 < len(rows.dictionary) <= len(objects) // 2:
        return None
    codes = rows.indices.to_numpy()
    first = np.zeros(len(rows.dictionary), np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    return objects[first], rows.indices


def _refuse_objects(values: Any, where: str) -> None:
    """Objects of polars have no values."""
    dtype = str(getattr(values, "dtype", ""))
    if type(values).__module__.startswith("polars") and dtype == "Object":
        raise SchemaError(
            f"{where}: polars objects have no form that can be stored; convert them to text, "
            "numbers or lists",
            asked=dtype,
        )


def _refuse_sets(values: Any, where: str) -> None:
    """Sets, which Arrow reads as lists, have no order that is the same in two processes."""
    if str(getattr(values, "dtype", "object")) != "object" or not hasattr(values, "__len__"):
        return
    if any(issubclass(kind, Set) for kind in set(map(type, values))):
        raise SchemaError(
            f"{where}: sets have no order, so two processes would store them unlike; give sorted "
            "lists",
            asked="set",
        )


def _owned(column: pa.Array) -> pa.Array:
    """A copy of what Arrow may have taken over as it lay in memory: numbers and times; text was
    copied already.
    """
    return (
        pa.concat_arrays([column, column.slice(0, 0)])
        if pa.types.is_primitive(column.type)
        else column
    )


def one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array; shared where it is one chunk already."""
    if column.num_chunks == 1:
        return column.chunk(0)
    if pa.types.is_dictionary(column.type):  # codes of 8 bits may not do for the words of all
        column = pa.chunked_array([_wide(chunk) for chunk in column.chunks], _wide_type(column))
    combined = column.combine_chunks()
    if isinstance(combined, pa.ChunkedArray):  # strings beyond 2 GiB do not fit one plain chunk
        combined = column.cast(pa.large_string()).combine_chunks()
    return combined


def _wide_type(column: pa.ChunkedArray | pa.Array) -> pa.DataType:
    return pa.dictionary(pa.int32(), column.type.value_type, column.type.ordered)


def _wide(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """The same with codes of 32 bits."""
    return pa.DictionaryArray.from_arrays(
        column.indices.cast(pa.int32()), column.dictionary, ordered=column.type.ordered
    )


def normalise(column: pa.Array, where: str) -> pa.Array:
    """The house's form of a column; raises SchemaError for nested records and uneven vectors."""
    kind = column.type
    if pa.types.is_string_view(kind) or pa.types.is_large_string(kind):
        return column.cast(pa.large_string() if column.nbytes > TEXT_LIMIT else pa.string())
    if pa.types.is_binary_view(kind):
        return column.cast(pa.binary())
    if pa.types.is_floating(kind):
        nan = pc.is_nan(column)
        return pc.if_else(nan, pa.scalar(None, kind), column) if pc.any(nan).as_py() else column
    if pa.types.is_dictionary(kind):
        words = normalise(column.dictionary, where)
        codes = column.indices.cast(pa.int32())
        return pa.DictionaryArray.from_arrays(codes, words, ordered=kind.ordered)
    return _normalise_nested(column, where)


def _normalise_nested(column: pa.Array, where: str) -> pa.Array:
    kind = column.type
    if pa.types.is_struct(kind) or pa.types.is_map(kind) or pa.types.is_union(kind):
        raise SchemaError(
            f"{where}: nested records ({kind}) are no column of a graph; flatten them into columns "
            "or nodes",
            asked=kind,
        )
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _normalise_list(column, where)
    return column


def _normalise_list(column: pa.Array, where: str) -> pa.Array:
    """Lists of numbers of one length as vectors; other lists as they are."""
    value_type = column.type.value_type
    if pa.types.is_string_view(value_type) or pa.types.is_large_string(value_type):
        return column.cast(pa.list_(pa.string()))
    if not (pa.types.is_integer(value_type) or pa.types.is_floating(value_type)):
        return column
    if _is_vectors_already(column):
        return column  # perhaps mapped from disk: not copied
    width = _width(column, where)
    if width is None:
        return column
    if width == 0:
        raise SchemaError(f"{where}: vectors of length 0; drop the column", asked=0)
    valid = ~column.is_null().to_numpy(zero_copy_only=False)
    flat = pc.list_flatten(column)
    numbers = np.zeros((len(column), width), np.float32)
    numbers[valid] = flat.to_numpy(zero_copy_only=False).reshape(-1, width)
    return vectors_array(numbers, valid & ~np.isnan(numbers).any(axis=1))


def _is_vectors_already(column: pa.Array) -> bool:
    if not pa.types.is_fixed_size_list(column.type) or column.null_count:
        return False
    if not pa.types.is_float32(column.type.value_type) or not column.type.list_size:
        return False
    flat = column.flatten()
    return not flat.null_count and not np.isnan(flat.to_numpy()).any()


def _width(column: pa.Array, where: str) -> int | None:
    """The length that all lists share; None where the lists are no vectors."""
    if pa.types.is_fixed_size_list(column.type):
        return column.type.list_size
    lengths = pc.list_value_length(column)
    span = pc.min_max(lengths).as_py()
    if span["min"] == span["max"]:
        return span["max"]
    if pa.types.is_integer(column.type.value_type):
        return None  # lists of numbers, such as years, need not be vectors
    usual = pc.mode(lengths)[0]["mode"].as_py()
    unlike = pc.fill_null(pc.not_equal(lengths, usual), False).to_numpy(zero_copy_only=False)
    bad = np.flatnonzero(unlike)
    raise SchemaError(
        f"{where}: vectors of uneven length: most have {usual} numbers, but rows "
        f"{some(bad.tolist())} have {some(lengths.take(pa.array(bad[:5])).to_pylist())}; pad, cut "
        "or drop those rows",
        asked=bad.tolist(),
        there=usual,
    )


def as_table(obj: Any, where: str, coded: Sequence[str] = ()) -> pa.Table:
    """A normalised table from Arrow, pandas, polars, DuckDB (`__arrow_c_stream__`) or a mapping of
    columns. coded: columns of text that may come as dictionaries of the objects that they share.
    """
    table = _arrow_table(obj, where, coded)
    names = table.column_names
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise SchemaError(
            f"{where}: column {some(twice)} stands more than once; rename or drop one", asked=twice
        )
    if not names:
        raise SchemaError(f"{where}: the table has no columns; give it at least those of its ids")
    columns = [normalise(one_chunk(table[n]), f"{where}, column {n!r}") for n in names]
    fields = [
        pa.field(field.name, column.type, metadata=_own(field.metadata))
        for field, column in zip(table.schema, columns, strict=True)
    ]
    return pa.Table.from_arrays(
        columns, schema=pa.schema(fields, metadata=_own(table.schema.metadata))
    )


def _own(metadata: Mapping[bytes, bytes] | None) -> dict[bytes, bytes] | None:
    """The metadata that are hinaug's."""
    return {k: v for k, v in (metadata or {}).items() if k.startswith(b"hinaug.")} or None


def _arrow_table(obj: Any, where: str, coded: Sequence[str]) -> pa.Table:
    if isinstance(obj, pa.RecordBatch):
        return pa.Table.from_batches([obj])
    if isinstance(obj, pa.Table):
        return obj
    if isinstance(obj, Mapping):
        return _from_columns(obj, where, coded)
    if type(obj).__module__.startswith("pandas"):
        return _from_pandas(obj, where, coded)
    if hasattr(obj, "__arrow_c_stream__"):
        return _from_stream(obj, where)
    raise SchemaError(
        f"{where}: expected a table (pandas, polars, DuckDB, Arrow, or a dict of columns), got "
        f"{type(obj).__name__}",
        asked=type(obj).__name__,
    )


def _from_columns(columns: Mapping[str, Any], where: str, coded: Sequence[str]) -> pa.Table:
    arrays = {
        valid_name(str(name)): as_array(v, f"{where}, column {name!r}", name in coded)
        for name, v in columns.items()
    }
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise SchemaError(
            f"{where}: columns of unlike length {lengths}; fill the short ones up with None"
        )
    return pa.table(arrays)


def _from_stream(frame: Any, where: str) -> pa.Table:
    if type(frame).__module__.startswith("polars"):
        for name in frame.columns:
            _refuse_objects(frame[name], f"{where}, column {name!r}")
    try:
        return pa.table(frame)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SchemaError(
            f"{where}: not readable as an Arrow table ({error}); pass a dict of columns"
        ) from error


def _from_pandas(frame: Any, where: str, coded: Sequence[str]) -> pa.Table:
    bad = [c for c in frame.columns if not isinstance(c, str)]
    if bad:
        raise SchemaError(
            f"{where}: column names are strings; found {some(bad)}; rename them", asked=bad
        )
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()]
        raise SchemaError(
            f"{where}: column {some(twice)} stands more than once; rename or drop one",
            asked=list(twice),
        )
    if not len(frame.columns):
        return pa.table({})
    return _from_columns({name: frame[name] for name in frame.columns}, where, coded)


def id_strings(column: pa.Array, where: str) -> tuple[pa.Array, str | None]:
    """Ids as strings, with the name of the integer type they came in (None for text)."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if column.null_count:
        rows = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))
        raise SchemaError(
            f"{where}: no id (null) in rows {some(rows.tolist())}; give each row an id or drop it"
        )
    if is_text(kind) or pa.types.is_string_view(kind):
        return (column if pa.types.is_string(kind) else column.cast(pa.string())), None
    if pa.types.is_integer(kind):
        return column.cast(pa.string()), str(kind)
    if len(column) == 0:  # empty columns often have no type, or a wrong one
        return pa.array([], pa.string()), None
    hint = (
        "; ids read as floats usually mean missing values in the file: drop those rows and cast "
        "to int"
        if pa.types.is_floating(kind)
        else "; cast the column to one of them"
    )
    raise SchemaError(f"{where}: ids are strings or integers, these are {kind}{hint}")


def lookup(ids: pa.Array, asked: pa.Array) -> np.ndarray:
    """Position of each asked id among `ids` (unique), -1 where it is not there. A dictionary is
    looked up word by word.
    """
    if len(asked) == 0:
        return np.zeros(0, np.int32)
    if pa.types.is_dictionary(asked.type):
        found = np.append(lookup(ids, asked.dictionary), np.int32(-1))
        return found[_or_none(asked.indices)]
    if len(asked) == len(ids) and asked.equals(
        ids
    ):  # one row a node in the order of the nodes, as reviews often stand
        return np.arange(len(ids), dtype=np.int32)
    return _or_none(pc.index_in(asked, value_set=ids))


def _or_none(positions: pa.Array) -> np.ndarray:
    """The positions, -1 where there is none."""
    if positions.null_count:
        positions = pc.fill_null(positions, -1)
    return positions.to_numpy(zero_copy_only=False)


def hashed(ids: pa.Array, seed: int = 0) -> np.ndarray:
    """A number that follows from each id and says nothing about it, uint64 [n].

    The bytes of an id are weighted by seeded odd numbers of their places, summed modulo 2^64 and
    mixed: the same on every machine, whatever other ids stand beside it.
    """
    ids = ids.cast(pa.large_string())
    if not len(ids):
        return np.zeros(0, np.uint64)
    ends = np.frombuffer(ids.buffers()[1], np.int64)[ids.offset : ids.offset + len(ids) + 1]
    start, length = ends[:-1], np.diff(ends)
    weights = np.random.default_rng(seed).integers(2**64, size=length.max() + 1, dtype=np.uint64)
    weights |= np.uint64(1)
    data = ids.buffers()[2]
    text = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]] if data else np.zeros(0, np.uint8)
    place = 1 + np.arange(len(text)) - np.repeat(start - ends[0], length)
    sums = np.r_[np.uint64(0), np.cumsum((text + np.uint64(1)) * weights[place], dtype=np.uint64)]
    value = sums[ends[1:] - ends[0]] - sums[start - ends[0]] + weights[0] * length.astype(np.uint64)
    return stirred(value)


def stirred(bits: np.ndarray) -> np.ndarray:
    """Numbers of 64 bits with their bits mixed, so that neighbours fall anywhere (splitmix64:
    Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
    """
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return bits ^ (bits >> np.uint64(31))


def concat(tables: Sequence[pa.Table]) -> pa.Table:
    """Rows one after another; columns that a table lacks are null there; metadata of the first that
    has it.
    """
    tables = [t for t in tables if t.num_rows or t.num_columns]
    if len(tables) == 1:
        return tables[0]
    bare = [_bare(t).replace_schema_metadata(None) for t in tables]
    try:
        joined = pa.concat_tables(bare, promote_options="permissive").combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SchemaError(
            f"columns of one name but unlike types: {error}; cast one of them before"
        ) from error
    columns = [one_chunk(c) for c in joined.columns]
    return pa.Table.from_arrays(columns, schema=_with_first_metadata(joined.schema, tables))


def common_type(kinds: Iterable[pa.DataType], where: str) -> pa.DataType:
    """The type that values of all these types can have: int64 and double are double.

    Raises SchemaError where there is none, as for numbers and text.
    """
    distinct = list(dict.fromkeys(kinds))
    if len(distinct) == 1:
        return distinct[0]
    schemas = [pa.schema([("value", kind)]) for kind in distinct]
    try:
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SchemaError(
            f"{where}: columns of one name but unlike types, {some(list(map(str, distinct)))}; "
            "cast one of them before",
            asked=distinct,
        ) from error


def _with_first_metadata(schema: pa.Schema, tables: Sequence[pa.Table]) -> pa.Schema:
    """The schema with the metadata of the first table that has each field."""
    fields = [field for table in reversed(tables) for field in table.schema]
    metadata = {field.name: field.metadata for field in fields}
    described = [field.with_metadata(metadata[field.name]) for field in schema]
    return pa.schema(described, metadata=tables[0].schema.metadata)


def _bare(table: pa.Table) -> pa.Table:
    return table.cast(pa.schema([field.with_metadata(None) for field in table.schema]))


def canonical(table: pa.Table) -> pa.Table:
    """The same table in single chunks whose bytes follow from the content alone: nothing stands
    behind a null.
    """
    columns = [_canonical(one_chunk(table[i])) for i in range(table.num_columns)]
    return pa.Table.from_arrays(columns, schema=table.schema) if columns else table


def _canonical(column: pa.Array) -> pa.Array:
    if pa.types.is_boolean(column.type) and not column.null_count:
        return pa.array(column.to_numpy(zero_copy_only=False))  # bits past the end of a slice
    if not column.null_count or pa.types.is_null(column.type):
        return column
    if pa.types.is_dictionary(column.type) and column.indices.null_count == len(column):
        # taking from no row at all would lose the words
        codes = pa.nulls(len(column), column.type.index_type)
        return pa.DictionaryArray.from_arrays(
            _canonical(codes), column.dictionary, ordered=column.type.ordered
        )
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    dense = column.drop_null()
    if (
        is_vector(column.type)
        and pa.types.is_float32(column.type.value_type)
        and not dense.flatten().null_count
    ):
        numbers = np.zeros((len(column), column.type.list_size), np.float32)
        numbers[valid] = (
            dense.flatten().to_numpy(zero_copy_only=False).reshape(-1, column.type.list_size)
        )
        return vectors_array(numbers, valid).cast(column.type)
    return dense.take(pa.array(np.where(valid, np.cumsum(valid) - 1, 0), mask=~valid))


def content_hash(table: pa.Table) -> str:
    """sha256 of the table's Arrow IPC bytes: equal content, equal name."""
    sink = _HashSink()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), table.schema) as writer:
        writer.write_table(canonical(table))
    return sink.hash.hexdigest()


class _HashSink:
    """A write-only file that keeps nothing but the hash of what passes."""

    closed = False

    def __init__(self) -> None:
        self.hash = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.hash.update(data)
        return len(data)

    def flush(self) -> None: ...

    def close(self) -> None: ...


def chunk(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array."""
    return column.chunk(0) if column.num_chunks == 1 else tb.one_chunk(column)


def single(table: pa.Table) -> pa.Table:
    """The table with each column in one chunk."""
    if all(c.num_chunks == 1 for c in table.columns):
        return table
    return pa.Table.from_arrays([chunk(c) for c in table.columns], schema=table.schema)


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    """The column as a numpy array, shared where it has no nulls."""
    return chunk(column).to_numpy(zero_copy_only=False)
