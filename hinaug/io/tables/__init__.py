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
from hinaug.io.tables.graph import Count, Graph
from hinaug.io.tables.records import ENDINGS, read
from hinaug.io.tables.schema import EXAMPLE, check, parse

__all__ = ["EXAMPLE", "Count", "build", "columns", "parse"]


def build(files: Iterable[Any], schema: Mapping[str, Any]) -> tuple[HIN, list[Count]]:
    """The graph that `schema` (parsed TOML, see EXAMPLE) makes of the files, and a count of what
    was read and left out.

    files: paths; of a folder, the files in it. Rows that repeat another one in every column are
    dropped, ids are text, missing and unreadable values are null; all of it is counted. Raises
    ValueError that names the section, the column and what there is; OSError for a file that cannot
    be read.
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
    if not paths:
        raise FileNotFoundError("no files to build from")
    return paths


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def columns(files: Iterable[Any]) -> dict[str, list[str]]:
    """{file: its columns}, to write a schema by; other files in a folder are passed over. Raises as
    `build` does.
    """
    tables = [p for p in _listed(files) if {s[1:].lower() for s in p.suffixes} & set(ENDINGS)]
    return {path.name: read([path]).names for path in tables}
