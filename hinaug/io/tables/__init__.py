"""build: files of any shape and a short TOML schema that says what is a node and what is an edge,
to a HIN.

    hin, counts = build(["users.csv", "songs.csv", "plays.csv"], parse("schema.toml"))

`EXAMPLE` is the schema language by example; `hinaug build --example` prints it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hinaug.graph.hin import HIN
from hinaug.io.tables.draft import columns_of, draft, is_table
from hinaug.io.tables.graph import Count, Graph
from hinaug.io.tables.records import is_folder_of_parts
from hinaug.io.tables.schema import EXAMPLE, check, parse

__all__ = ["EXAMPLE", "Count", "build", "columns", "example", "parse"]


def build(files: Iterable[Any], schema: Mapping[str, Any]) -> tuple[HIN, list[Count]]:
    """The graph that `schema` (parsed TOML, see EXAMPLE) makes of the files, and a count of what
    was read and left out.

    files: paths; of a folder, the files in it; none where all sections name queries. Rows that
    repeat another one in every column are dropped, ids are text, missing and unreadable values are
    null; all of it is counted. Raises ParameterError that names the section, the column and what
    there is; OSError for a file that cannot be read.
    """
    check(schema)
    graph = Graph(_listed(files), schema)
    return graph.make(), graph.counts


def _listed(files: Iterable[Any]) -> list[Path]:
    """Every file, those of folders too."""
    paths = []
    for given in files:
        path = Path(given).expanduser()
        paths += _files_in(path) if path.is_dir() else [path]
    missing = [str(p) for p in paths if not p.is_file()]
    if missing:
        raise FileNotFoundError(f"{', '.join(missing)}: not there")
    return paths


def _files_in(folder: Path) -> list[Path]:
    """The files of a folder, and the parts of tables that are folders of their own."""
    found = [path for path in folder.iterdir() if path.is_file()]
    for inner in folder.iterdir():
        if inner.is_dir() and is_folder_of_parts(inner):
            found += [path for path in inner.iterdir() if path.is_file()]
    return sorted(path for path in found if not _is_aside(path))


def _is_aside(path: Path) -> bool:
    """What programs leave beside the parts of a table, such as _SUCCESS."""
    return is_folder_of_parts(path.parent) and path.name.startswith(("_", "."))


def _tables(files: Iterable[Any]) -> list[Path]:
    """The files given, and those of folders that are tables or databases."""
    given = [Path(file).expanduser() for file in files]
    named = {path for path in given if not path.is_dir()}
    return [path for path in _listed(given) if path in named or is_table(path)]


def columns(files: Iterable[Any], encoding: str = "utf8") -> dict[str, list[str]]:
    """{file: its columns}, to write a schema by; other files in a folder are passed over. Raises as
    `build` does.
    """
    return {path.name: columns_of(path, encoding) for path in _tables(files)}


def example(files: Iterable[Any] = (), encoding: str = "utf8") -> str:
    """A schema to start from: of the files, with their own names in it; without files, `EXAMPLE`.

    Tables of DuckDB and SQLite files get a query each. Files that cannot be read are named with the
    reason. Raises FileNotFoundError for folders without a table.
    """
    given = list(files)
    if not given:
        return EXAMPLE
    paths = _tables(given)
    if not paths:
        where = ", ".join(map(str, given))
        raise FileNotFoundError(f"{where}: holds no file of a table and no database")
    return draft(paths, encoding)
