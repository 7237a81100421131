"""Parquet: one file a type, for DuckDB, Spark or Polars."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from hinaug import checks
from hinaug.errors import SchemaError, some
from hinaug.graph import expect
from hinaug.graph.hin import HIN
from hinaug.graph.schema import Type
from hinaug.io.convert.shared import graph_from_tables, visible_table

_LONGEST_NAME = 240


def to_parquet(hin: HIN, folder: str | os.PathLike[str]) -> None:
    """Plain Parquet files for DuckDB, Spark or Polars, with external ids to join on.

    nodes/user.parquet, edges/user.rates.item.parquet, ...; in names, everything but letters,
    digits, "_" and "-" is percent-encoded. This is for other programs: `save` keeps deltas and
    checksums.

    folder: new or empty; it appears when all files are written.
    Raises SchemaError.
    """
    expect.graph(hin, "to_parquet")
    folder = checks.folder(folder, "to_parquet")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SchemaError(f"to_parquet: {folder} is not an empty folder; name a new one")
    names = {type: _file_name(type) for type in [*hin.nodes, *hin.edges]}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".hinaug-") as temporary:
        draft = Path(temporary) / "draft"
        for kind, types in (("nodes", hin.nodes), ("edges", hin.edges)):
            (draft / kind).mkdir(parents=True)
            for type in types:
                pq.write_table(visible_table(hin, type), draft / kind / names[type])
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)


def _file_name(type: Type) -> str:
    name = ".".join(map(_quoted, [type] if isinstance(type, str) else type))
    if len(name) > _LONGEST_NAME:
        raise SchemaError(
            f"to_parquet: {type!r} is too long for the name of a file ({len(name)} letters); "
            "rename it",
            asked=len(name),
            there=_LONGEST_NAME,
        )
    return f"{name}.parquet"


def _quoted(name: str) -> str:
    return re.sub(r"[^\w-]", lambda m: "".join(f"%{byte:02X}" for byte in m.group().encode()), name)


def from_parquet(folder: str | os.PathLike[str], lineage: Any = None) -> HIN:
    """A graph from a folder as `to_parquet` writes it, also after another program wrote the files
    anew.

    In place of a file there may be a folder of part files, as Spark leaves them. Rows with the
    marks of `to_parquet` become one Delta; other columns called origin, confidence or key are
    refused (see `hinaug.io.convert`).

    lineage: as `HIN.from_tables` takes it.
    Raises SchemaError.
    """
    folder = checks.folder(folder, "from_parquet")
    tables: dict[Any, pa.Table] = {}
    for kind in ("nodes", "edges"):
        for path in sorted((folder / kind).glob("*.parquet")):
            type = _type_of(path, kind)
            tables[type] = _read(path)
    if not tables:
        raise SchemaError(
            f"from_parquet: {folder} has no nodes/*.parquet and edges/*.parquet files; "
            f"{_what_is_there(folder)}; pass what to_parquet wrote"
        )
    return graph_from_tables(tables, lineage, "from_parquet")


def _type_of(path: Path, kind: str) -> Type:
    """The type that the name of a file stands for."""
    names = [unquote(name) for name in path.name.removesuffix(".parquet").split(".")]
    if kind == "nodes" and len(names) == 1:
        return names[0]
    if kind == "edges" and len(names) == 3:
        return names[0], names[1], names[2]
    form = "nodes/TYPE.parquet" if kind == "nodes" else "edges/SOURCE.RELATION.TARGET.parquet"
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
            f"from_parquet: {path} cannot be read as Parquet: {error}; write it anew"
        ) from error


def _what_is_there(folder: Path) -> str:
    if not folder.is_dir():
        return "it is no folder"
    return f"there is {some(sorted(os.listdir(folder))) or 'nothing'}"
