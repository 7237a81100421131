"""Sections of a schema, one after another, to tables of nodes and edges; every row that is left out
is counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.errors import ParameterError, nearest
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType
from hinaug.io.tables import values as va
from hinaug.io.tables.records import Records, read
from hinaug.io.tables.schema import edge_sections, node_sections

WROTE, ABOUT, RATES = (
    ("user", "wrote", "review"),
    ("review", "about", "item"),
    ("user", "rates", "item"),
)


@dataclass
class Count:
    """What became of the rows of one file or section: how many were read and kept, and notes on the
    others and on repairs.
    """

    what: str
    read: int
    kept: int
    notes: dict[str, int] = field(default_factory=dict)

    def note(self, why: str, n: Any) -> None:
        if n:
            self.notes[why] = self.notes.get(why, 0) + int(n)


class Graph:
    """Takes the sections of a checked schema and collects tables; `make` gives the HIN."""

    def __init__(self, paths: Sequence[Path], schema: Mapping[str, Any]) -> None:
        self.paths, self.schema = paths, schema
        self.repeats = schema.get("duplicates") == "keep"
        self.sources: dict[tuple[Path, ...], Records] = {}
        self.counts: list[Count] = []
        self.nodes: dict[str, pa.Table] = {}
        self.edges: dict[EdgeType, pa.Table] = {}
        self.lineage: dict[Any, Any] = {}

    def make(self) -> HIN:
        for type, section in node_sections(self.schema).items():
            self._nodes(type, section)
        if "review" in self.schema:
            self._reviews(self.schema["review"])
        edges = edge_sections(self.schema)
        for edge in sorted(
            edges, key=lambda e: edges[e].get("missing") == "drop"
        ):  # first those that add nodes
            self._edges(edge, edges[edge])
        for path in self.paths:
            if not any(path in key for key in self.sources):
                self.counts.append(
                    Count(f"file {path.name}", 0, 0, {"file that no section uses": 1})
                )
        return HIN.from_tables(self.nodes, self.edges, lineage=self.lineage)

    # ---- sections --------------------------------------------------------------------------------

    def _nodes(self, type: str, section: Mapping[str, Any]) -> None:
        where = f"[node.{type}]"
        source = self._source(section, where)
        count = self._count(f"nodes {type}", len(source))
        if "id" not in section:
            count.note("ids are numbers of rows", len(source))
        keys = {"id": _ids(section, source, "id", where)}
        columns = self._columns(section, source, where, count)
        self._add_nodes(type, self._chosen(section, keys, columns, where, count), count)
        self._say(type, section.get("lineage"))

    def _edges(self, type: EdgeType, section: Mapping[str, Any]) -> None:
        where = f"[edge.{'.'.join(type)}]"
        source = self._source(section, where)
        count = self._count(f"edges {' '.join(type)}", len(source))
        ends: dict[str, pa.Array] = {}
        at = np.arange(len(source))  # the row that each edge comes from
        for side in ("src", "dst"):
            entries = _entries(section, source, side).take(pa.array(at))
            row, entries = va.exploded(entries)
            ends = {name: other.take(pa.array(row)) for name, other in ends.items()}
            ends[side], at = va.ids(entries, f"{where} {side}"), at[row]
        columns = self._columns(section, source, where, count)
        columns = {name: column.take(pa.array(at)) for name, column in columns.items()}
        count.read = len(at)
        table = self._chosen(section, ends, columns, where, count)
        self._add_edges(type, table, count, section.get("missing") == "drop")
        own = dict.fromkeys((name for name in ("rating", "time") if name in section), "row")
        self._say(type, section.get("lineage", own))

    def _reviews(self, section: Mapping[str, Any]) -> None:
        source = self._source(section, "[review]")
        count = self._count("reviews", len(source))
        keys = {name: _ids(section, source, name, "[review]") for name in ("id", "user", "item")}
        columns = self._columns(section, source, "[review]", count)
        table = self._add_nodes(
            "review", self._chosen(section, keys, columns, "[review]", count), count
        )
        self.nodes["review"] = table.drop_columns(["user", "item"])
        told = [name for name in ("rating", "time") if name in section]
        for type, src, dst in (
            (RATES, "user", "item"),
            (WROTE, "user", "id"),
            (ABOUT, "id", "item"),
        ):
            extra = {name: table[name] for name in told if type == RATES}
            rows = pa.table({"src": table[src], "dst": table[dst], **extra})
            self._add_edges(
                type, rows, self._count(f"edges {' '.join(type)}", len(rows)), drop=False
            )
            self._say(type, "row")
        own = [
            *told,
            *(["text"] if "text" in section else []),
        ]  # a review's own words; what else is kept, nobody said
        self._say("review", section.get("lineage", dict.fromkeys(own, "row")))

    # ---- their parts -----------------------------------------------------------------------------

    def _source(self, section: Mapping[str, Any], where: str) -> Records:
        wanted, names = section.get("file"), [p.name for p in self.paths]
        if wanted is None and len(names) > 1:
            raise ParameterError(f"{where}: no 'file'; there are {names}")
        found = tuple(
            p for p in self.paths if wanted is None or fnmatch(p.name, wanted) or str(p) == wanted
        )
        if not found:
            raise ParameterError(
                f"{where}: file = {wanted!r} is not among the files given, "
                f"{names}{nearest(wanted, names)}"
            )
        if found not in self.sources:
            self.sources[found] = self._read(found)
        return self.sources[found]

    def _read(self, paths: tuple[Path, ...]) -> Records:
        null, encoding = self.schema.get("null", []), self.schema.get("encoding", "utf8")
        source = read(paths, null=null, encoding=encoding)
        source = source if self.repeats else source.unique()
        n = len(source) + sum(source.dropped.values())
        self.counts.append(Count(f"file {source.name}", n, len(source), source.dropped))
        return source

    def _count(self, what: str, n: int) -> Count:
        self.counts.append(Count(what, n, n))
        return self.counts[-1]

    def _columns(
        self, section: Mapping[str, Any], source: Records, where: str, count: Count
    ) -> dict[str, pa.Array]:
        """What a section keeps, one value a row of the file."""
        columns: dict[str, pa.Array] = {}
        for name, path in _kept(section, source).items():
            columns[name] = va.plain(source.column(path), source.typed, f"{where}, column {path!r}")
        if "text" in section:
            columns["text"] = va.texts([source.column(path) for path in _words(section["text"])])
        if "rating" in section:
            columns["rating"], bad = va.numbers(source.column(section["rating"]), f"{where} rating")
            count.note("rating is no number: null", bad)
        if "time" in section:
            columns["time"], bad = va.times(
                source.column(section["time"]), f"{where} time", section.get("time_format")
            )
            count.note("time is no time: null", bad)
        return columns

    def _chosen(
        self,
        section: Mapping[str, Any],
        keys: dict[str, Any],
        columns: dict[str, Any],
        where: str,
        count: Count,
    ) -> pa.Table:
        """The rows that have their ids and whatever they `need`."""
        taken = [name for name in keys if name in columns]
        if taken:
            raise ParameterError(
                f"{where}: {taken[0]!r} is the store's own name; keep that column as "
                f"{{ new = {taken[0]!r} }}"
            )
        table = pa.table({**keys, **columns})
        for name in (need := _words(section.get("need"))):
            if name not in columns:
                raise ParameterError(
                    f"{where}: need = {need!r}; this section keeps "
                    f"{list(columns)}{nearest(name, columns)}"
                )
        for name in (*keys, *need):
            before = table.num_rows
            table = table.filter(pc.is_valid(table[name]))
            count.note(f"no {name}", before - table.num_rows)
        return table

    def _add_nodes(self, type: str, table: pa.Table, count: Count) -> pa.Table:
        """One row an id: the first. Gives the rows that were kept."""
        keep = va.first_of_each(table.select(["id"]))
        alike = table.num_rows - len(va.first_of_each(table))
        count.note("repeated", alike)
        count.note("another row of a known id", table.num_rows - len(keep) - alike)
        self.nodes[type] = table = table.take(pa.array(keep)).combine_chunks()
        count.kept = table.num_rows
        return table

    def _add_edges(self, type: EdgeType, table: pa.Table, count: Count, drop: bool) -> None:
        if not self.repeats:
            keep = va.first_of_each(table)
            count.note("repeated", table.num_rows - len(keep))
            table = table.take(pa.array(keep))
        for side, node in (("src", type[0]), ("dst", type[2])):
            if node not in self.nodes:
                if drop:
                    raise ParameterError(
                        f"[edge.{'.'.join(type)}]: missing = 'drop', and nothing else gives "
                        f"{node!r} nodes"
                    )
                self.nodes[node] = pa.table({"id": pa.array([], pa.string())})
            known = pc.is_in(table[side], value_set=tb.one_chunk(self.nodes[node]["id"]))
            if drop:
                count.note(f"{side} is no {node}", table.num_rows - (pc.sum(known).as_py() or 0))
                table = table.filter(known)
                continue
            new = pc.unique(tb.one_chunk(table[side].filter(pc.invert(known))))
            count.note(f"{node} nodes added", len(new))
            both = [self.nodes[node], pa.table({"id": new})]
            self.nodes[node] = pa.concat_tables(both, promote_options="default").combine_chunks()
        count.kept = table.num_rows
        self.edges[type] = table

    def _say(self, type: Any, lineage: Any) -> None:
        if lineage:
            self.lineage[type] = lineage


def _words(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _kept(section: Mapping[str, Any], source: Records) -> dict[str, str]:
    """{name in the store: column of the file} of `keep`."""
    keep = section.get("keep", [])
    if keep == "all":  # but lists and records, and what another key names
        named = {
            w
            for key in ("id", "src", "dst", "user", "item", "text", "rating", "time")
            for w in _words(section.get(key))
        }
        return {
            name: name
            for name in source.names
            if name not in named and not va.is_nested(source.column(name).type)
        }
    return dict(keep) if isinstance(keep, Mapping) else {name.split(".")[-1]: name for name in keep}


def _entries(section: Mapping[str, Any], source: Records, key: str) -> pa.Array:
    """The column of ids that `key` names, lists included; without the key, the row itself."""
    if key not in section:
        return pa.array(np.arange(len(source))).cast(pa.string())
    column = va.decoded(source.column(section[key]))
    if "split" in section and tb.is_text(column.type):
        return pc.split_pattern(column, section["split"])
    return column


def _ids(section: Mapping[str, Any], source: Records, key: str, where: str) -> pa.Array:
    return va.ids(_entries(section, source, key), f"{where} {key}")
