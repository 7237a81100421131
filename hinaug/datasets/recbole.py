"""Atomic files of the RecBole library: tab-separated tables whose header names a type for each
field.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hinaug import checks
from hinaug.datasets.files import graph
from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.io.delimited import read_delimited

ADDRESS = "https://recbole.io/docs/user_guide/data/atomic_files.html"
KINDS = ("token", "token_seq", "float", "float_seq")


def recbole_atomic(folder: Any, name: str | None = None) -> HIN:
    """A graph from `name.inter` and, where they are there, `name.user`, `name.item`, `name.link`
    and `name.kg`.

    Node types are called after the id fields of the `.inter` file (`user_id` and `item_id` give
    user and item); edges are (user, "rates", item) when a field `rating` is there, else (user,
    "interacts", item), with the other fields; `timestamp` is renamed `time`. `.link` and `.kg` add
    nodes "entity" and edges (item, "is", "entity") and ("entity", relation, "entity") for each
    relation. token is text, token_seq a list of texts (split at blanks), float a number, float_seq
    a vector. Ids stay text. Nodes stand in the order of a hash of their ids, edges in the file's.
    Interactions have lineage "row". What user and item fields were computed from, the files do not
    say: unknown.

    name: needed only when the folder holds several `.inter` files. Format: RecBole documentation,
    "Atomic Files".
    """
    folder = checks.folder(folder, "recbole_atomic").expanduser()
    path = _inter(folder, name)
    inter = read_atomic(path)
    users, items = inter.column_names[:2] if len(inter.column_names) > 1 else ("", "")
    if not (users.endswith("_id") and items.endswith("_id")):
        raise ParameterError(
            f"{path}: the first two fields are ids such as user_id and item_id; found "
            f"{inter.column_names}"
        )
    user, item = users.removesuffix("_id"), items.removesuffix("_id")
    relation = "rates" if "rating" in inter.column_names else "interacts"
    inter = inter.rename_columns(
        ["src", "dst", *("time" if c == "timestamp" else c for c in inter.column_names[2:])]
    )
    nodes = {
        user: _nodes(path.with_suffix(".user"), users, inter["src"]),
        item: _nodes(path.with_suffix(".item"), items, inter["dst"]),
    }
    edges = {(user, relation, item): inter}
    if path.with_suffix(".kg").is_file() and path.with_suffix(".link").is_file():
        more_nodes, more_edges = knowledge(
            path.with_suffix(".link"), path.with_suffix(".kg"), item, nodes[item]["id"]
        )
        nodes |= more_nodes
        edges |= more_edges
    return graph(nodes, edges, dict.fromkeys(edges, "row"))


def read_atomic(path: Path, only_typed: bool = True) -> pa.Table:
    """One atomic file; columns are named without their type. Fields of other headers are left out
    (or kept as text).
    """
    raw = read_delimited(path, name=path, delimiter="\t")
    columns: dict[str, Any] = {}
    for header in raw.column_names:
        field, _, kind = header.partition(":")
        if kind not in KINDS:
            if not only_typed:
                columns[field] = raw[header]
            continue
        try:
            columns[field] = _typed(raw[header], kind)
        except (pa.ArrowInvalid, ValueError) as error:
            raise ParameterError(f"{path}, field {header!r}: {error}") from error
    if not columns:
        raise ParameterError(
            f"{path}: no field `name:type` with a type of {KINDS} in the first line; found "
            f"{raw.column_names[:6]}"
        )
    return pa.table(columns)


def knowledge(link: Path, kg: Path, item: str, items: Any) -> tuple[dict, dict]:
    """Nodes and edges of a knowledge graph: entities, which item is which entity, and triples by
    relation.
    """
    links, triples = read_atomic(link), read_atomic(kg)
    links = links.rename_columns(["src", "dst"])
    links = links.filter(
        pc.is_in(links["src"].cast(items.type), value_set=pa.chunked_array(items.chunks))
    )
    heads, names, tails = (triples[c] for c in triples.column_names[:3])
    entity = pc.unique(
        pa.chunked_array([*links["dst"].chunks, *heads.chunks, *tails.chunks], pa.string())
    )
    edges = {(item, "is", "entity"): links.set_column(0, "src", links["src"].cast(items.type))}
    for relation in sorted(pc.unique(names).to_pylist()):
        keep = pc.equal(names, relation)
        edges["entity", relation, "entity"] = pa.table(
            {"src": heads.filter(keep), "dst": tails.filter(keep)}
        )
    return {"entity": pa.table({"id": entity})}, edges


def _inter(folder: Path, name: str | None) -> Path:
    found = sorted(folder.glob("*.inter")) if folder.is_dir() else []
    if name is not None:
        found = [p for p in found if p.stem == name]
    if len(found) != 1:
        what = f"several: {[p.name for p in found]}; pass name=" if found else "none"
        raise FileNotFoundError(
            f"{folder}: expected one file {name or 'NAME'}.inter (format: {ADDRESS}), found {what}"
        )
    return found[0]


def _typed(column: pa.ChunkedArray, kind: str) -> Any:
    if kind == "token":
        return column
    if kind == "float":
        return column.cast(pa.float64())
    parts = pc.split_pattern_regex(pc.utf8_trim_whitespace(column.fill_null("")), r"\s+")
    words = [[word for word in row if word] for row in parts.to_pylist()]
    if kind == "token_seq":
        return pa.array(words, pa.list_(pa.string()))
    return pa.array([list(map(float, row)) or None for row in words], pa.list_(pa.float64()))


def _nodes(path: Path, key: str, used: pa.ChunkedArray) -> pa.Table:
    """The file's rows by id, and rows of nulls for ids that only the interactions name."""
    ids = pc.unique(used)
    table = pa.table({"id": ids})
    if path.is_file():
        table = read_atomic(path)
        if key not in table.column_names:
            raise ParameterError(f"{path}: no field {key}:token; there is {table.column_names}")
        table = table.rename_columns(["id" if c == key else c for c in table.column_names])
        extra = ids.filter(pc.invert(pc.is_in(ids, value_set=pc.unique(table["id"]))))
        table = pa.concat_tables([table, pa.table({"id": extra})], promote_options="default")
    return table
