"""Sections of a schema, one after another, to tables of nodes and edges; every row that is left out
is counted.
"""

from __future__ import annotations

from collections import Counter
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
from hinaug.io.tables.database import is_at, read_query
from hinaug.io.tables.draft import is_table
from hinaug.io.tables.records import FORM, Records, read, shortened, source_name
from hinaug.io.tables.schema import edge_sections, node_sections

WROTE, ABOUT, RATES = (
    ("user", "wrote", "review"),
    ("review", "about", "item"),
    ("user", "rates", "item"),
)


CODED = ("src", "dst", "user", "item", "rating")  # keys whose columns have few words
UNUSED = "file that no section uses"
NO_NUMBER = "ratings that are no number, stored as null"
MIXED = "values that are no number, so the column stays text; null and decimal may say more"
NO_TIME = "times that could not be read, stored as null; time_format says how they are written"


@dataclass
class Count:
    """What became of the rows of one file or section: how many were read and kept, and notes on the
    others and on repairs.

    first: {note: the first rows that it is about, such as "'03/01/2024', line 3"}.
    """

    what: str
    read: int
    kept: int
    notes: dict[str, int] = field(default_factory=dict)
    first: dict[str, list[str]] = field(default_factory=dict)

    def note(self, why: str, n: Any) -> None:
        if n:
            self.notes[why] = self.notes.get(why, 0) + int(n)

    def note_rows(self, why: str, rows: np.ndarray, column: pa.Array, source: Records) -> None:
        """rows: those of `source` whose value in `column` could not be used."""
        if len(rows):
            self.note(why, len(rows))
            places = source.places(rows.tolist())
            values = column.take(pa.array(rows[: len(places)])).cast(pa.string()).to_pylist()
            self.first[why] = [
                f"{shortened(value)!r}, {place}"
                for value, place in zip(values, places, strict=True)
            ]


class Graph:
    """Takes the sections of a checked schema and collects tables; `make` gives the HIN."""

    def __init__(self, paths: Sequence[Path], schema: Mapping[str, Any]) -> None:
        self.paths, self.schema = paths, schema
        self.repeats = schema.get("duplicates") == "keep"
        self.sources: dict[Any, Records] = {}
        self.used: set[Path] = set()
        self.counts: list[Count] = []
        self.nodes: dict[str, pa.Table] = {}
        self.edges: dict[EdgeType, pa.Table] = {}
        self.lineage: dict[Any, Any] = {}
        self.left: Counter[Any] = Counter()  # sections that still need a source
        self.coded: dict[Any, set[str]] = {}
        for where, section in self._sections():
            key = self._key(section, where)
            self.left[key] += 1
            columns = {section[name] for name in CODED if name in section}
            self.coded.setdefault(key, set()).update(columns)

    def _sections(self) -> list[tuple[str, Mapping[str, Any]]]:
        nodes = [(f"[node.{t}]", s) for t, s in node_sections(self.schema).items()]
        edges = [(f"[edge.{'.'.join(t)}]", s) for t, s in edge_sections(self.schema).items()]
        review = [("[review]", self.schema["review"])] if "review" in self.schema else []
        return [*nodes, *review, *edges]

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
            if path not in self.used and is_table(path):
                self.counts.append(Count(f"file {path.name}", 0, 0, {UNUSED: 1}))
        return HIN.from_tables(self.nodes, self.edges, lineage=self.lineage)

    # ---- sections --------------------------------------------------------------------------------

    def _nodes(self, type: str, section: Mapping[str, Any]) -> None:
        where = f"[node.{type}]"
        source = self._source(section, where)
        count = self._count(f"nodes {type}", len(source))
        if "id" not in section:
            count.note("ids are numbers of rows", len(source))
        keys = {"id": va.decoded(_ids(section, source, "id", where))}
        columns = self._columns(section, source, where, count)
        table = self._chosen(section, keys, columns, where, count)
        self._add_nodes(type, table, count, is_unique="id" not in section)
        self._say(type, section.get("lineage"))

    def _edges(self, type: EdgeType, section: Mapping[str, Any]) -> None:
        where = f"[edge.{'.'.join(type)}]"
        source = self._source(section, where)
        count = self._count(f"edges {' '.join(type)}", len(source))
        ends: dict[str, pa.Array] = {}
        at: np.ndarray | None = None  # the row that each edge comes from; None: each row is one
        for side in ("src", "dst"):
            row, entries = va.exploded(_taken(_entries(section, source, side), at))
            if row is not None:
                ends = {name: _taken(other, row) for name, other in ends.items()}
                at = row if at is None else at[row]
            ends[side] = va.coded(va.ids(entries, f"{where} {side}"))
        columns = self._columns(section, source, where, count)
        columns = {name: _taken(column, at) for name, column in columns.items()}
        count.read = len(ends["dst"])
        del source
        table = self._chosen(section, ends, columns, where, count)
        self._add_edges(type, table, count, section.get("missing") == "drop")
        own = dict.fromkeys((name for name in ("rating", "time") if name in section), "row")
        self._say(type, section.get("lineage", own))

    def _reviews(self, section: Mapping[str, Any]) -> None:
        source = self._source(section, "[review]")
        count = self._count("reviews", len(source))
        keys = {name: _ids(section, source, name, "[review]") for name in ("id", "user", "item")}
        keys = {"id": va.decoded(keys.pop("id")), **{n: va.coded(ids) for n, ids in keys.items()}}
        columns = self._columns(section, source, "[review]", count)
        del source
        table = self._chosen(section, keys, columns, "[review]", count)
        table = self._add_nodes("review", table, count, is_unique="id" not in section)
        self.nodes["review"] = table.drop_columns(["user", "item"])
        told = [name for name in ("rating", "time") if name in section]
        for type, src, dst in (
            (RATES, "user", "item"),
            (WROTE, "user", "id"),
            (ABOUT, "id", "item"),
        ):
            extra = {name: table[name] for name in told if type == RATES}
            rows = pa.table({"src": table[src], "dst": table[dst], **extra})
            edges = self._count(f"edges {' '.join(type)}", len(rows))
            self._add_edges(type, rows, edges, drop=False, is_unique=type != RATES)
            self._say(type, "row")
        own = [
            *told,
            *(["text"] if "text" in section else []),
        ]  # a review's own words; what else is kept, nobody said
        self._say("review", section.get("lineage", dict.fromkeys(own, "row")))

    # ---- their parts -----------------------------------------------------------------------------

    def _key(self, section: Mapping[str, Any], where: str) -> Any:
        """What the rows of a section come from: a query, or files and how they are written."""
        if "query" in section:
            database = section.get("database", self.schema.get("database"))
            if database is None:
                raise ParameterError(
                    f"{where}: a query needs database = 'duckdb:///FILE', 'sqlite:///FILE' or "
                    "'postgresql://USER@HOST/NAME', here or above all sections",
                    asked="query",
                )
            return database, section["query"]
        shared = {key: self.schema[key] for key in FORM if key in self.schema}
        said = {**shared, **{key: section[key] for key in FORM if key in section}}
        return self._found(section, where), tuple(sorted((k, _fixed(v)) for k, v in said.items()))

    def _found(self, section: Mapping[str, Any], where: str) -> tuple[Path, ...]:
        wanted, names = section.get("file"), list(dict.fromkeys(map(source_name, self.paths)))
        if not names:
            raise FileNotFoundError(f"no files to build from; {where} needs one")
        if wanted is None and len(names) > 1:
            raise ParameterError(
                f"{where}: no 'file'; there are {names}", asked="file", there=names
            )
        found = tuple(p for p in self.paths if wanted is None or _is_called(p, wanted))
        if not found:
            raise ParameterError(
                f"{where}: file = {wanted!r} is not among the files given, "
                f"{names}{nearest(wanted, names)}",
                asked=wanted,
                there=names,
            )
        return found

    def _source(self, section: Mapping[str, Any], where: str) -> Records:
        """The rows of a section; they are let go when no other section needs them."""
        key = self._key(section, where)
        if key not in self.sources:
            self.sources[key] = self._read(key, where)
        self.left[key] -= 1
        if self.left[key]:
            return self.sources[key]
        source = self.sources.pop(key)
        source.is_last = True
        if section.get("keep") != "all":
            source.keep(_paths(section))
        return source

    def _read(self, key: Any, where: str) -> Records:
        first, second = key
        if isinstance(first, str):
            source = read_query(first, second, where)
            self.used.update(path for path in self.paths if is_at(first, path))
        else:
            null = self.schema.get("null", [])
            source = read(first, said=dict(second), null=null, coded=self.coded[key])
            self.used.update(first)
        source = source if self.repeats else source.unique()
        pa.default_memory_pool().release_unused()
        n = len(source) + source.left_out
        what = source.name if isinstance(first, str) else f"file {source.name}"
        self.counts.append(Count(what, n, len(source), source.dropped, source.first))
        return source

    def _count(self, what: str, n: int) -> Count:
        self.counts.append(Count(what, n, n))
        return self.counts[-1]

    def _columns(
        self, section: Mapping[str, Any], source: Records, where: str, count: Count
    ) -> dict[str, pa.Array]:
        """What a section keeps, one value a row of the file."""
        columns: dict[str, pa.Array] = {}
        kept, words = _kept(section, source), _words(section.get("text"))
        uses = Counter([*kept.values(), *words, section.get("rating"), section.get("time")])
        for name, path in kept.items():
            is_last = source.is_last and uses[path] == 1
            columns[name] = column = _column(source, path, is_last, f"{where}, column {path!r}")
            if not source.typed and tb.is_text(column.type):
                rows = va.no_numbers(column, source.decimal)
                count.note_rows(f"{name}: {MIXED}", rows, column, source)
        if words:
            is_last = source.is_last and all(uses[path] == 1 for path in words)
            columns["text"] = va.texts(source.batches(words, is_last), source.null)
        if "rating" in section:
            column = source.column(section["rating"])
            columns["rating"], rows = va.numbers(column, f"{where} rating", source.decimal)
            count.note_rows(NO_NUMBER, rows, column, source)
        if "time" in section:
            column, form = source.column(section["time"]), section.get("time_format")
            columns["time"], rows = va.times(column, f"{where} time", form)
            count.note_rows(NO_TIME, rows, column, source)
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
                f"{{ new = {taken[0]!r} }}",
                asked=taken[0],
            )
        table = pa.table({**keys, **columns})
        for name in (need := _words(section.get("need"))):
            if name not in columns:
                raise ParameterError(
                    f"{where}: need = {need!r}; this section keeps "
                    f"{list(columns)}{nearest(name, columns)}",
                    asked=name,
                    there=list(columns),
                )
        for name in (*keys, *need):
            missing = table[name].null_count
            if missing:
                table = table.filter(pc.is_valid(table[name]))
                count.note(f"no {name}", missing)
        return table

    def _add_nodes(self, type: str, table: pa.Table, count: Count, is_unique: bool) -> pa.Table:
        """One row an id: the first. Gives the rows that were kept."""
        keep = range(len(table)) if is_unique else va.first_of_each(table.select(["id"]))
        if len(keep) < len(table):
            alike = table.num_rows - len(va.first_of_each(table))
            count.note("repeated", alike)
            count.note("another row of a known id", table.num_rows - len(keep) - alike)
            table = table.take(pa.array(keep))
        self.nodes[type] = table = table.combine_chunks()
        count.kept = table.num_rows
        return table

    def _add_edges(
        self, type: EdgeType, table: pa.Table, count: Count, drop: bool, is_unique: bool = False
    ) -> None:
        if not self.repeats and not is_unique:
            keep = va.first_of_each(table)
            count.note("repeated", table.num_rows - len(keep))
            table = table if len(keep) == len(table) else table.take(pa.array(keep))
        for side, node in (("src", type[0]), ("dst", type[2])):
            if node not in self.nodes:
                if drop:
                    raise ParameterError(
                        f"[edge.{'.'.join(type)}]: missing = 'drop', and nothing else gives "
                        f"{node!r} nodes",
                        asked=node,
                    )
                self.nodes[node] = pa.table({"id": pa.array([], pa.string())})
            ids, there = tb.one_chunk(table[side]), tb.one_chunk(self.nodes[node]["id"])
            if drop:
                known = _is_in(ids, there)
                count.note(f"{side} is no {node}", table.num_rows - (pc.sum(known).as_py() or 0))
                table = table.filter(known)
            elif not ids.equals(there):
                self._add_ids(node, ids, there, count)
        count.kept = table.num_rows
        self.edges[type] = table

    def _add_ids(self, node: str, ids: pa.Array, there: pa.Array, count: Count) -> None:
        """A node for each id that has none, sorted: the order of the edges often is that of time,
        and so would tell of edges that a split holds out.
        """
        named = va.decoded(pc.unique(ids))
        new = named.filter(pc.invert(pc.is_in(named, value_set=there)))
        new = new.take(pc.sort_indices(new))
        count.note(f"{node} nodes added", len(new))
        both = [self.nodes[node], pa.table({"id": new})]
        self.nodes[node] = pa.concat_tables(both, promote_options="default").combine_chunks()

    def _say(self, type: Any, lineage: Any) -> None:
        if lineage:
            self.lineage[type] = lineage


def _is_called(path: Path, wanted: str) -> bool:
    """Whether a name or a pattern means a file, or the folder of parts that it lies in."""
    names = {path.name, source_name(path)}
    return str(path) == wanted or any(fnmatch(name, wanted) for name in names)


def _fixed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _taken(column: pa.Array, rows: np.ndarray | None) -> pa.Array:
    """Those rows; None is all of them."""
    return column if rows is None else column.take(pa.array(rows))


def _is_in(ids: pa.Array, there: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(ids.type):
        return pc.is_in(ids.dictionary, value_set=there).take(ids.indices)
    return pc.is_in(ids, value_set=there)


def _words(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _paths(section: Mapping[str, Any]) -> list[str]:
    """The columns that a section names."""
    keep = section.get("keep", [])
    single = [section[key] for key in (*CODED, "id", "time") if key in section]
    kept = list(keep.values()) if isinstance(keep, Mapping) else _words(keep)
    return [*single, *_words(section.get("text")), *kept]


def _column(source: Records, path: str, is_last: bool, where: str) -> pa.Array:
    """A column as it is kept."""
    if path in source.names and va.is_words(source.rows[path], source.typed, source.decimal):
        return va.kept(source.batches([path], is_last), source.null if source.typed else None)
    return va.plain(source.column(path), source.typed, where, source.decimal)


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
            if name not in named and not va.is_nested(source.rows.schema.field(name).type)
        }
    return dict(keep) if isinstance(keep, Mapping) else {name.split(".")[-1]: name for name in keep}


def _entries(section: Mapping[str, Any], source: Records, key: str) -> pa.Array:
    """The column of ids that `key` names, lists included; without the key, the row itself."""
    if key not in section:
        return pa.array(np.arange(len(source))).cast(pa.string())
    column = source.column(section[key])
    if "split" in section and tb.is_text(va.decoded(column.slice(0, 0)).type):
        return pc.split_pattern(va.decoded(column), section["split"])
    return column


def _ids(section: Mapping[str, Any], source: Records, key: str, where: str) -> pa.Array:
    return va.ids(_entries(section, source, key), f"{where} {key}")
