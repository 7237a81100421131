"""Parquet: one folder a type, for DuckDB, Polars or Spark, and a file that says what these drop."""

from __future__ import annotations

import base64
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hinaug import checks
from hinaug.errors import SchemaError, some
from hinaug.graph import arrow as tb
from hinaug.graph import expect, spill
from hinaug.graph.hin import HIN
from hinaug.graph.schema import Type
from hinaug.io.convert.shared import graph_from_tables, visible_table

SCHEMA = "schema.json"
_Said = tuple[pa.Schema, dict[str, pa.Array]]
_LONGEST_NAME = 240  # bytes


def to_parquet(hin: HIN, folder: str | os.PathLike[str]) -> None:
    """Folders of Parquet files for DuckDB, Polars or Spark, with external ids to join on.

    nodes/user/part-0.parquet, edges/user__rates__item/part-0.parquet, ...; in names, everything but
    letters, digits, "-" and single "_" is percent-encoded. `schema.json` keeps lineage, types of
    ids, and the types and categories of columns, which other programs drop or change. This is for
    other programs: `save` keeps deltas and checksums.

    folder: new or empty; it appears when all files are written.
    Raises SchemaError.

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> hin = planted(rng=0)
    >>> to_parquet(hin, folder)
    >>> from_parquet(folder).fingerprint() == hin.fingerprint()
    True
    """
    expect.graph(hin, "to_parquet")
    folder = checks.folder(folder, "to_parquet")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SchemaError(
            f"to_parquet: {folder} is not an empty folder; name a new one", asked=str(folder)
        )
    places = {type: _place(type) for type in [*hin.nodes, *hin.edges]}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".hinaug-") as temporary:
        draft = Path(temporary) / "draft"
        for kind in ("nodes", "edges"):
            (draft / kind).mkdir(parents=True)
        said = [_write(hin, type, draft, place) for type, place in places.items()]
        text = json.dumps({"format": "hinaug-parquet", "version": 1, "tables": said}, indent=1)
        (draft / SCHEMA).write_text(text)
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)


def _write(hin: HIN, type: Type, folder: Path, place: str) -> dict[str, Any]:
    """One table, a block of rows at a time; gives what the schema says of it."""
    (folder / place).mkdir()
    schema = visible_table(hin, type, slice(0, 0)).schema
    with pq.ParquetWriter(folder / place / "part-0.parquet", schema) as writer:
        for block in spill.blocks(hin.n(type)):
            writer.write_table(visible_table(hin, type, block))
    table = hin.table(type)
    return {
        "folder": place,
        "type": type,
        "columns": [
            {
                "name": field.name,
                "type": str(field.type),
                "lineage": tb.lineage_of(field),
                **_categories(table, field),
            }
            for field in schema
        ],
        "arrow": base64.b64encode(schema.serialize()).decode(),
    }


def _categories(table: pa.Table, field: pa.Field) -> dict[str, Any]:
    """The words of a column of categories, in their order, as an Arrow file."""
    if not pa.types.is_dictionary(field.type):
        return {}
    words = pa.table({"word": tb.one_chunk(table[field.name]).dictionary})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, words.schema) as writer:
        writer.write_table(words)
    return {"categories": base64.b64encode(sink.getvalue()).decode()}


def _place(type: Type) -> str:
    """The folder of a type."""
    is_node = isinstance(type, str)
    name = _quoted(type) if isinstance(type, str) else "__".join(map(_quoted, type))
    size = len(name.encode())
    if size > _LONGEST_NAME:
        raise SchemaError(
            f"to_parquet: {type!r} is too long for the name of a file ({size} bytes); rename it",
            asked=size,
            there=_LONGEST_NAME,
        )
    return f"{'nodes' if is_node else 'edges'}/{name}"


def _quoted(name: str) -> str:
    """The name with letters, digits, "-" and single "_" inside it alone."""
    return re.sub(
        r"[^\w-]|_(?=_|$)|(?<=_)_|^_",
        lambda m: "".join(f"%{byte:02X}" for byte in m.group().encode()),
        name,
    )


def from_parquet(folder: str | os.PathLike[str], lineage: Any = None) -> HIN:
    """A graph from a folder as `to_parquet` writes it, also after another program wrote the files
    anew.

    A type is a folder of part files, or one file of its name. What `schema.json` says is laid over
    the columns that come back: lineage, types, categories; columns that it does not name stay as
    they are, and without the file all do. Rows with the marks of `to_parquet` become one Delta;
    other columns called origin, confidence or key are refused (see `hinaug.io.convert`).

    lineage: as `HIN.from_tables` takes it.
    Raises SchemaError.
    """
    folder = checks.folder(folder, "from_parquet")
    tables = {type: _read(path) for type, path in _places(folder)}
    said_of = _said(folder)
    if not tables and (said_of or not (folder / SCHEMA).exists()):
        raise SchemaError(
            f"from_parquet: {folder} has no nodes/TYPE and edges/SOURCE__RELATION__TARGET with "
            f"*.parquet files; {_what_is_there(folder)}; pass what to_parquet wrote",
            asked=str(folder),
        )
    for type, said in said_of.items():
        if type in tables:
            tables[type] = _laid_over(tables[type], type, said)
    return graph_from_tables(tables, lineage, "from_parquet")


def _places(folder: Path) -> Iterator[tuple[Type, Path]]:
    """Each type, and its folder or file, in the order of the schema where there is one."""
    found = {
        _type_of(path, kind): path
        for kind in ("nodes", "edges")
        for path in sorted((folder / kind).glob("*"))
        if path.suffix == ".parquet" or (path.is_dir() and any(path.glob("*.parquet")))
    }
    order = [type for type in _said(folder) if type in found]
    for type in dict.fromkeys([*order, *found]):
        yield type, found[type]


def _type_of(path: Path, kind: str) -> Type:
    """The type that the name of a folder or file stands for."""
    name = path.name.removesuffix(".parquet")
    parts = name.split("__")
    if kind == "edges" and len(parts) == 1:  # files of older versions
        parts = name.split(".")
    names = [unquote(part) for part in parts]
    if kind == "nodes" and len(names) == 1:
        return names[0]
    if kind == "edges" and len(names) == 3:
        return names[0], names[1], names[2]
    form = "nodes/TYPE" if kind == "nodes" else "edges/SOURCE__RELATION__TARGET"
    raise SchemaError(
        f"from_parquet: {path} is not named {form}; rename it or take it away",
        asked=path.name,
        there=form,
    )


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise SchemaError(
            f"from_parquet: {path} cannot be read as Parquet: {error}; write it anew",
            asked=str(path),
        ) from error


def _said(folder: Path) -> dict[Type, _Said]:
    """What the schema says of each type; nothing where there is no schema."""
    path = folder / SCHEMA
    if not path.exists():
        return {}
    try:
        tables = json.loads(path.read_text())["tables"]
        return {
            t["type"] if isinstance(t["type"], str) else tuple(t["type"]): _words(t) for t in tables
        }
    except (ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise SchemaError(
            f"from_parquet: {path} is no schema that to_parquet wrote ({error!r}); restore it, or "
            "take it away and pass lineage",
            asked=str(path),
        ) from error


def _words(said: Mapping[str, Any]) -> _Said:
    """The columns of a table, and the words of those with categories."""
    schema = pa.ipc.read_schema(pa.BufferReader(base64.b64decode(said["arrow"])))
    words = {
        c["name"]: tb.one_chunk(
            pa.ipc.open_stream(base64.b64decode(c["categories"])).read_all()["word"]
        )
        for c in said["columns"]
        if "categories" in c
    }
    return schema, words


def _laid_over(table: pa.Table, type: Type, said: _Said) -> pa.Table:
    """The table with the types and metadata that the schema says."""
    schema, words = said
    names = [name for name in schema.names if name in table.column_names]
    fields, columns = [], []
    for name in [*names, *(n for n in table.column_names if n not in names)]:
        column = tb.one_chunk(table[name])
        field = table.schema.field(name)
        if name in names:
            field = schema.field(name)
            column = _cast(column, field, words.get(name), f"from_parquet: {type!r}")
            field = field.with_type(column.type)
        fields.append(field)
        columns.append(column)
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata=schema.metadata))


def _cast(column: pa.Array, field: pa.Field, words: pa.Array | None, where: str) -> pa.Array:
    if words is not None:
        column = _coded(column, words, field.type.ordered)
    if pa.types.is_null(field.type) and column.null_count == len(column):
        return pa.nulls(len(column))
    is_list = not pa.types.is_fixed_size_list(column.type)
    if str(column.type) == str(field.type) or (tb.is_vector(field.type) and is_list):
        return column  # lists of one length become vectors anyway
    try:
        return column.cast(field.type)
    except pa.ArrowException as error:
        raise SchemaError(
            f"{where}, column {field.name!r}: {column.type} came back, {field.type} was written, "
            f"and one is not the other ({error}); cast it, or take {SCHEMA} away",
            asked=column.type,
            there=field.type,
        ) from error


def _coded(column: pa.Array, known: pa.Array, ordered: bool) -> pa.Array:
    """The column as categories in the order in which they were written; new words come last."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    column = column.cast(known.type)
    new = pc.unique(column.filter(pc.invert(pc.is_in(column, value_set=known)))).drop_null()
    known = pa.concat_arrays([known, new])
    codes = pc.index_in(column, value_set=known)
    return pa.DictionaryArray.from_arrays(codes, known, ordered=ordered)


def _what_is_there(folder: Path) -> str:
    if not folder.is_dir():
        return "it is no folder"
    return f"there is {some(sorted(os.listdir(folder))) or 'nothing'}"
