"""Delta: a reversible difference to a graph. Generators return deltas, never graphs.

A delta adds nodes, edges and columns, masks edges and fills missing values. It knows nodes by
their external ids, so one made on `split.train` applies to `split.train_valid` and to the whole
graph. Every row carries

    origin       which generator made it,
    confidence   in [0, 1]; what it means is the generator's to say,
    key          "delta:row", given once and kept by `select`, `top` and `merge`.

`hin + delta` puts the delta on, `hin - delta` takes it off; the observed tables are never touched.
The laws: `(h + d) - d == h`; independent deltas commute up to row order; observed positions never
move; a mask covers all parallel rows of its pair; where a generated edge has since been observed,
or a missing value has since been filled in the data, the observation wins.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from numbers import Integral
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.checks import is_number, kind
from hinaug.errors import (
    KindError,
    ParameterError,
    ReadOnlyError,
    SchemaError,
    UnknownNameError,
    nearest,
    some,
)
from hinaug.graph import arrow as tb
from hinaug.graph import narrowing
from hinaug.graph.schema import EdgeType
from hinaug.graph.validate import DELTA_KEYS, PARTS, check_delta_rows, ends_of

Parts = dict[str, dict[Any, pa.Table]]


class Delta:
    """Nodes, edges and columns added, edges masked, missing values filled. Read-only.

    Parameters
    ----------
    nodes
        {type: table with "id" and attributes}; ids must be new to the graph.
    edges
        {edge type: table with "src", "dst" (external ids) and attributes}.
    masks
        {edge type: table with "src", "dst"}: pairs whose rows are hidden.
    values
        {(type, column): table with "id", "value"}: fills where the graph has null. For an edge
        type the table has "src", "dst", "value"; all parallel rows of the pair are filled.
    columns
        {(type, column): table as for `values`}: a whole new column, null where the table has no
        row. The lineage of the field "value" becomes that of the column.
    origin
        The generator's name.
    fitted_on
        Fingerprints of the graphs that the generator learned from, which `audit` reads.

    Every table may have "confidence" (1 where it is missing).
    """

    fitted_on: tuple[str, ...]
    uid: str
    identity: str
    _parts: Parts

    def __init__(
        self,
        nodes: Mapping[str, Any] | None = None,
        edges: Mapping[EdgeType, Any] | None = None,
        masks: Mapping[EdgeType, Any] | None = None,
        values: Mapping[tuple[Any, str], Any] | None = None,
        columns: Mapping[tuple[Any, str], Any] | None = None,
        *,
        origin: str = "unnamed",
        fitted_on: Iterable[str] = (),
    ) -> None:
        if not isinstance(origin, str):
            raise KindError(
                f"Delta: origin={origin!r}: a string is needed, such as the name of the generator",
                asked=origin,
            )
        given = dict(zip(PARTS, (nodes, edges, masks, values, columns), strict=True))
        parts: Parts = {}
        for part, tables in given.items():
            checked = {
                type: check_delta_rows(part, type, table, origin)
                for type, table in _mapping(part, tables).items()
            }
            parts[part] = {type: table for type, table in checked.items() if table.num_rows}
        _add_keys(parts)
        self._set(parts, _fingerprints(fitted_on))

    def _set(self, parts: Parts, fitted_on: tuple[str, ...], identity: str | None = None) -> None:
        uid = _digest(parts)
        self.__dict__.update(_parts=parts, fitted_on=fitted_on, uid=uid, identity=identity or uid)

    @classmethod
    def _of(cls, parts: Parts, fitted_on: tuple[str, ...], identity: str | None = None) -> Delta:
        """From tables that are known to be good; empty ones are left out."""
        delta = cls.__new__(cls)
        full = {
            part: {type: table for type, table in parts.get(part, {}).items() if table.num_rows}
            for part in PARTS
        }
        delta._set(full, fitted_on, identity)
        return delta

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise ReadOnlyError(
            f"a Delta is read-only, {name!r} cannot be set; make another with select, top or "
            "Delta(...)",
            asked=name,
        )

    def __delattr__(self, name: str) -> NoReturn:
        self.__setattr__(name, None)

    @property
    def nodes(self) -> Mapping[str, pa.Table]:
        """{type: table} of added nodes."""
        return MappingProxyType(self._parts["nodes"])

    @property
    def edges(self) -> Mapping[EdgeType, pa.Table]:
        """{edge type: table} of added edges, by external id."""
        return MappingProxyType(self._parts["edges"])

    @property
    def masks(self) -> Mapping[EdgeType, pa.Table]:
        """{edge type: table} of hidden pairs."""
        return MappingProxyType(self._parts["masks"])

    @property
    def values(self) -> Mapping[tuple[Any, str], pa.Table]:
        """{(type, column): table} of filled cells."""
        return MappingProxyType(self._parts["values"])

    @property
    def columns(self) -> Mapping[tuple[Any, str], pa.Table]:
        """{(type, column): table} of added columns."""
        return MappingProxyType(self._parts["columns"])

    def tables(self) -> Iterable[tuple[str, Any, pa.Table]]:
        """(part, type, table) of everything that is there."""
        return ((part, type, table) for part in PARTS for type, table in self._parts[part].items())

    def keys(self) -> pa.Array:
        """The key of every row, strings, in the order of `tables`."""
        keys = [tb.one_chunk(table["key"]) for *_, table in self.tables()]
        return pa.concat_arrays(keys) if keys else pa.array([], pa.string())

    @cached_property
    def _key_stems(self) -> frozenset[str]:
        """The keys without the numbers of their rows; deltas with a row in common share one."""
        stems = pc.replace_substring_regex(self.keys(), r":[0-9]+$", "")
        return frozenset(pc.unique(stems).to_pylist())

    def __len__(self) -> int:
        return sum(table.num_rows for *_, table in self.tables())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Delta) and self.uid == other.uid

    def __hash__(self) -> int:
        return hash(self.uid)

    def __add__(self, other: object) -> Delta:
        raise KindError(
            f"delta + {kind(other)}: a delta is put on a graph, hin + delta; two become one by "
            "merge([first, second])",
            asked=kind(other),
        )

    # ---- smaller deltas --------------------------------------------------------------------------

    def select(self, rule: Any) -> Delta:
        """The rows that `rule` keeps, with their keys.

        rule: a pyarrow expression (`pc.field("confidence") > 0.5`), a function table -> bool mask,
        or {type: bool mask}. Tables that lack a column of the expression are kept whole. Edges,
        masks, values and columns of a generated node that goes, go with it.
        """
        kept: Parts = {part: {} for part in PARTS}
        for part, type, table in self.tables():
            kept[part][type] = table.filter(_mask(rule, type, table))
        for type, table in self.nodes.items():
            gone = table["id"].filter(
                pc.invert(pc.is_in(table["id"], value_set=kept["nodes"][type]["id"]))
            )
            kept = without_nodes(kept, type, gone)
        return Delta._of(kept, self.fitted_on)

    def top(self, k: int, per: str | None = None, *, node: str | None = None) -> Delta:
        """The k edges of highest confidence in each edge type, or per "src" or "dst" node; or the k
        new nodes of a type of highest confidence, with their edges. New nodes of other types that
        only the lost ones link to, such as their reviews, go with these.

        Ties are broken by row order. Of nodes, a NarrowedWarning says where the mean degree of
        those kept is more than 10 % off that of all, or the entropy of the topics of their links
        more than 5 %. Topics are clusters of the targets, learned from the edges of the delta.
        Raises UnknownNameError for a type of which the delta adds no nodes.
        """
        if not (is_number(k, Integral) and k >= 0) or per not in (None, "src", "dst"):
            raise ParameterError(
                f"top(k={k!r}, per={per!r}): k is at least 0, a whole number, and per is None, "
                "'src' or 'dst'",
                asked=(k, per),
            )
        if node is not None:
            return self._top_nodes(k, per, node)
        edges = {type: _top_rows(table, k, per) for type, table in self.edges.items()}
        return Delta._of({**self._parts, "edges": edges}, self.fitted_on)

    def _top_nodes(self, k: int, per: str | None, node: str) -> Delta:
        if per is not None:
            raise ParameterError(
                f"top(per={per!r}, node={node!r}): per counts edges; leave one of the two out",
                asked=(per, node),
            )
        if node not in self.nodes:
            raise UnknownNameError(
                f"top(node={node!r}): the delta adds no {node!r} nodes; it adds "
                f"{list(self.nodes)}{nearest(node, self.nodes)}",
                asked=node,
                there=list(self.nodes),
            )
        confidence = self.nodes[node]["confidence"].to_numpy()
        kept = np.zeros(len(confidence), bool)
        kept[np.argsort(-confidence, kind="stable")[:k]] = True
        links = narrowing.links_of(self.edges, node, tb.one_chunk(self.nodes[node]["id"]))
        if links:
            degree = sum(np.diff(m.indptr) for m in links)
            topics = narrowing.of_topics(links[0], narrowing.topics_of(links[0]))
            narrowing.warn_where_narrow(degree, topics, kept, "Delta.top", 3)
        return self.select(narrowing.masks_of(self.nodes, self.edges, node, kept))

    def with_confidence(self, value: float | Callable[[pa.Table], Any]) -> Delta:
        """The same rows, with their keys, and another confidence.

        value: a number from 0 to 1 for all rows, or a function table -> one number a row. Models
        that read `weight="confidence"` count the rows by it. Raises ParameterError for what is no
        number from 0 to 1.
        """
        parts: Parts = {part: {} for part in PARTS}
        for part, type, table in self.tables():
            given = value(table) if callable(value) else np.full(table.num_rows, value)
            numbers = np.asarray(given, np.float64)
            if numbers.shape != (table.num_rows,) or not ((numbers >= 0) & (numbers <= 1)).all():
                raise ParameterError(
                    f"with_confidence({value!r}): a number from 0 to 1 is needed, or one for each "
                    f"of the {table.num_rows:,} rows of {_named(type)} {part}",
                    asked=value,
                    there=table.num_rows,
                )
            at = table.column_names.index("confidence")
            column = pa.array(numbers, pa.float32())
            parts[part][type] = table.set_column(at, table.schema.field(at), column)
        return Delta._of(parts, self.fitted_on)

    def restricted(
        self, dropped: Collection[Any] = (), gone: Mapping[str, Any] | None = None
    ) -> Delta:
        """What is left of the delta once types or nodes have left the graph that it is on.

        dropped: node and edge types that left, and values (type, column) of columns that left.
        gone: {node type: ids that left}. The result keeps its `identity`, so that `hin - delta`
        with the whole delta still takes it off.
        """
        parts: Parts = {
            part: {t: rows for t, rows in tables.items() if not _touches(part, t, dropped)}
            for part, tables in self._parts.items()
        }
        for type, ids in (gone or {}).items():
            parts = without_nodes(parts, type, ids)
        changed = any(parts[part].get(type) is not table for part, type, table in self.tables())
        return Delta._of(parts, self.fitted_on, self.identity) if changed else self

    # ---- showing ---------------------------------------------------------------------------------

    def summary(self) -> pa.Table:
        """One row per part, type and origin: how many rows, lowest, mean and highest confidence."""
        rows: list[dict[str, Any]] = []
        for part, type, table in self.tables():
            groups = table.group_by("origin", use_threads=False).aggregate(
                [("confidence", f) for f in ("count", "min", "mean", "max")]
            )
            rows += [
                {
                    "part": part,
                    "type": _named(type),
                    "origin": g["origin"],
                    "rows": g["confidence_count"],
                    **{f: g[f"confidence_{f}"] for f in ("min", "mean", "max")},
                }
                for g in groups.to_pylist()
            ]
        words = [pa.field(name, pa.string()) for name in ("part", "type", "origin")]
        means = [pa.field(name, pa.float64()) for name in ("min", "mean", "max")]
        return pa.Table.from_pylist(
            rows, schema=pa.schema([*words, pa.field("rows", pa.int64()), *means])
        )

    def __repr__(self) -> str:
        if not len(self):
            return "Delta(empty)"
        parts = [f"{table.num_rows:,} {_named(type)} {part}" for part, type, table in self.tables()]
        origins = {o for *_, table in self.tables() for o in pc.unique(table["origin"]).to_pylist()}
        return f"Delta({', '.join(parts)} by {', '.join(sorted(origins))})"


def without_nodes(parts: Parts, type: str, ids: Any) -> Parts:
    """Parts of a delta without what touches these nodes; tables that nothing touches are shared."""
    out: Parts = {part: dict(tables) for part, tables in parts.items()}
    for part, tables in out.items():
        if part != "nodes" and len(ids):
            for key, rows in tables.items():
                sides = [name for name, node in ends_of(part, key) if node == type]
                tables[key] = _without_ids(rows, sides, ids)
    return out


def _without_ids(rows: pa.Table, sides: list[str], ids: Any) -> pa.Table:
    """Rows that have none of these ids in any of the columns `sides`."""
    for side in sides:
        hit = pc.is_in(rows[side], value_set=ids)
        if pc.any(hit).as_py():
            rows = rows.filter(pc.invert(hit))
    return rows


def _named(type: Any) -> str:
    """A type, or a (type, column), in words."""
    if not isinstance(type, tuple):
        return type
    return " ".join(" ".join(word) if isinstance(word, tuple) else word for word in type)


def _touches(part: str, key: Any, dropped: Collection[Any]) -> bool:
    """Whether a table of a delta belongs to one of these node or edge types."""
    if part == "values" and key in dropped:
        return True
    type = key[0] if part in ("values", "columns") else key
    ends = (type[0], type[2]) if isinstance(type, tuple) else ()
    return type in dropped or any(end in dropped for end in ends)


def _mapping(part: str, tables: Any) -> Mapping[Any, Any]:
    if tables is None:
        return {}
    if not isinstance(tables, Mapping):
        raise KindError(
            f"Delta: {part} is a dict of tables, {{{DELTA_KEYS[part]}: table}}; got {kind(tables)}",
            asked=kind(tables),
        )
    return tables


def _fingerprints(given: Any) -> tuple[str, ...]:
    prints = list(given) if isinstance(given, Iterable) else [given]
    if isinstance(given, str) or not all(isinstance(p, str) for p in prints):
        raise KindError(
            f"Delta: fitted_on is a list of fingerprints, [hin.fingerprint()]; got {kind(given)}",
            asked=given,
        )
    return tuple(sorted(set(prints)))


def _add_keys(parts: Parts) -> None:
    """Give each row without a key one; a key that stands twice is an error."""
    made, row, columns = _digest(parts)[:12], 0, [pa.array([], pa.string())]
    for tables in parts.values():
        for type, table in tables.items():
            if "key" not in table.column_names:
                keys = pa.array([f"{made}:{i}" for i in range(row, row + table.num_rows)])
                tables[type] = table = table.append_column("key", keys)
            row += table.num_rows
            columns.append(tb.one_chunk(table["key"]))
    counts = pc.value_counts(pa.concat_arrays(columns))
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values").to_pylist()
    if twice:
        raise SchemaError(
            "delta, column 'key': a key stands for one row, and some stand more than once: "
            f"{some(twice)}; leave the column out and new keys are made",
            asked=twice,
        )


def _top_rows(table: pa.Table, k: int, per: str | None) -> pa.Table:
    confidence = table["confidence"].to_numpy()
    group = np.zeros(table.num_rows, np.int64)
    if per is not None:
        group = pc.dictionary_encode(table[per]).combine_chunks().indices.to_numpy()
    order = np.lexsort((-confidence, group))
    sorted_group = group[order]
    first = np.searchsorted(sorted_group, sorted_group)
    return table.take(pa.array(np.sort(order[np.arange(len(order)) - first < k])))


def _mask(rule: Any, type: Any, table: pa.Table) -> pa.Array:
    """Which rows of a table of the delta a rule of `select` keeps."""
    if isinstance(rule, pc.Expression):
        return _by_expression(rule, type, table)
    if isinstance(rule, Mapping):
        chosen = rule.get(type, np.ones(table.num_rows, bool))
    elif isinstance(rule, Callable):  # type: ignore[arg-type]
        chosen = rule(table)
    else:
        raise ParameterError(
            "select takes an expression, a function table -> mask, or {type: mask}; got "
            f"{rule!r}",
            asked=rule,
        )
    if isinstance(chosen, pa.ChunkedArray):
        chosen = chosen.combine_chunks()
    chosen = np.asarray(chosen)
    if chosen.dtype != bool or chosen.shape != (table.num_rows,):
        raise ParameterError(
            f"select: the mask of {type!r} has {chosen.dtype} {chosen.shape}; one bool per row "
            f"({table.num_rows}) is needed",
            asked=chosen.shape,
            there=table.num_rows,
        )
    return pa.array(chosen)


def _by_expression(rule: pc.Expression, type: Any, table: pa.Table) -> pa.Array:
    if not table.num_rows:
        return pa.array([], pa.bool_())
    try:
        return _evaluate(rule, table)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        if "No match for FieldRef" in str(error):
            return pa.array(np.ones(table.num_rows, bool))
        raise ParameterError(
            f"select: {rule} cannot be read on {type!r}, whose columns are {table.column_names}: "
            f"{error}; write a comparison, such as pc.field('confidence') > 0.5",
            asked=str(rule),
            there=table.column_names,
        ) from error


def _evaluate(rule: pc.Expression, table: pa.Table) -> pa.Array:
    from pyarrow import acero  # it loads pandas

    source = acero.Declaration("table_source", acero.TableSourceNodeOptions(table))
    project = acero.Declaration("project", acero.ProjectNodeOptions([rule], ["m"]), inputs=[source])
    mask = project.to_table(use_threads=False)["m"].combine_chunks()
    if not pa.types.is_boolean(mask.type):
        raise pa.ArrowTypeError(f"it gives {mask.type}, not true or false")
    return mask.fill_null(False)


def _digest(parts: Mapping[str, Mapping[Any, pa.Table]]) -> str:
    digest = hashlib.sha256()
    for part, tables in parts.items():
        for type in sorted(tables, key=str):
            digest.update(f"{part}:{type}:{tb.content_hash(tables[type])};".encode())
    return digest.hexdigest()
