"""HIN: a heterogeneous information network as a value. Observed Arrow tables, plus the deltas
applied to them; read-only.

Nodes live in one table per type (column "id": unique strings), edges in one table per `(source,
relation, target)` type (columns "src" and "dst": int32 positions into the node tables). Whatever
gives back a graph made a new one that shares the old columns. The tables seen through `nodes` and
`edges` are views: observed rows first, generated rows after them, and a generated row says so in
the columns "origin", "confidence" and "key" (null on observed rows).

    hin = HIN.from_tables({"user": users, "item": items}, {("user", "rates", "item"): ratings})
    hin.adjacency(("user", "rates", "item"))          # scipy CSR, cached, read-only
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

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
from hinaug.graph import edit, matrices, overlay, spill, validate
from hinaug.graph import schema as sc
from hinaug.graph.delta import Delta
from hinaug.graph.edit import State
from hinaug.graph.schema import PROVENANCE, Column, EdgeType, Schema, Type


class Tables(Mapping):
    """The tables of one kind, built when asked for; an unknown name says what there is."""

    def __init__(self, kind: str, keys: Sequence[Any], build: Callable[[Any], pa.Table]) -> None:
        self._kind, self._keys, self._build = kind, tuple(keys), build
        self._built: dict[Any, pa.Table] = {}

    def __getitem__(self, key: Any) -> pa.Table:
        self.check(key)
        if key not in self._built:
            self._built[key] = self._build(key)
        return self._built[key]

    def check(self, key: Any) -> None:
        """Raises UnknownNameError or KindError where there is no such type; builds nothing."""
        self._check_hashable(key)
        if key not in self._keys:
            raise UnknownNameError(
                f"no {self._kind} type {key!r}; this graph has {list(self._keys)}"
                f"{nearest(key, self._keys)}",
                asked=key,
                there=list(self._keys),
            )

    def _check_hashable(self, key: Any) -> None:
        try:
            hash(key)
        except TypeError:
            hint = "a node type is a string, an edge type a tuple of three strings"
            if isinstance(key, list) and len(key) == 3:
                hint = f"write the tuple {tuple(key)!r}"
            raise KindError(
                f"no {self._kind} type {key!r}; this graph has {list(self._keys)}; {hint}",
                asked=key,
                there=list(self._keys),
            ) from None

    def __setitem__(self, key: Any, table: Any) -> NoReturn:
        how = "with_edges, filter_edges" if self._kind == "edge" else "with_nodes, filter_nodes"
        raise ReadOnlyError(
            f"a graph is read-only, the {self._kind} type {key!r} cannot be set; make another "
            f"graph: {how} and drop return one",
            asked=key,
        )

    def __delitem__(self, key: Any) -> NoReturn:
        self[key] = None

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[Any]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"{{{', '.join(map(repr, self._keys))}}}"


class HIN:
    """A typed graph. Build one with `from_tables` (edges by external id).

    The constructor takes edges by position. A graph is read-only: setting an attribute raises
    ReadOnlyError. It can be pickled and copied.
    """

    nodes: Tables
    edges: Tables
    deltas: tuple[Delta, ...]
    _nodes: Mapping[str, pa.Table]
    _edges: Mapping[EdgeType, pa.Table]
    _cache: dict[Any, Any]

    def __init__(
        self,
        nodes: Mapping[str, Any],
        edges: Mapping[EdgeType, Any],
        deltas: Sequence[Delta] = (),
    ) -> None:
        _by_type("HIN", nodes, edges)
        checked = {validate.node_type(t): validate.check_nodes(n, t) for t, n in nodes.items()}
        placed = {
            validate.edge_type(t, checked): validate.check_edges(
                tb.as_table(table, f"edges {t}"), t, checked
            )
            for t, table in edges.items()
        }
        overlay.check_together(checked, placed, deltas)
        self._set(State(checked, placed, tuple(deltas)))

    def _set(self, state: State) -> None:
        nodes, edges, deltas = dict(state.nodes), dict(state.edges), tuple(state.deltas)
        generated = (t for d in deltas for t in d.edges if t not in edges)
        edge_types = [*edges, *dict.fromkeys(generated)]
        self.__dict__.update(
            _nodes=MappingProxyType(nodes),
            _edges=MappingProxyType(edges),
            deltas=deltas,
            _cache={},
            nodes=Tables("node", list(nodes), self._node_view),
            edges=Tables("edge", edge_types, self._edge_view),
        )

    @classmethod
    def _of(cls, state: State) -> HIN:
        """From tables and deltas that are known to fit together; nothing is checked again."""
        hin = cls.__new__(cls)
        hin._set(state)
        return hin

    @property
    def _state(self) -> State:
        return State(self._nodes, self._edges, self.deltas)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise ReadOnlyError(
            f"a graph is read-only, {name!r} cannot be set; with_column, with_nodes, with_edges, "
            "filter_nodes, filter_edges, drop and + return a new graph",
            asked=name,
        )

    def __delattr__(self, name: str) -> NoReturn:
        self.__setattr__(name, None)

    def __reduce__(self) -> tuple[Any, ...]:
        return HIN._of, (State(dict(self._nodes), dict(self._edges), self.deltas),)

    def __copy__(self) -> HIN:
        return self

    def __deepcopy__(self, memo: Any) -> HIN:
        return self  # nothing in it can change

    @classmethod
    def from_tables(
        cls,
        nodes: Mapping[str, Any],
        edges: Mapping[EdgeType, Any],
        *,
        lineage: Any = None,
        missing: str = "error",
    ) -> HIN:
        """A graph from anything table-like: pandas, polars, DuckDB, Arrow, or a dict of columns.

        Parameters
        ----------
        nodes
            {type: table with column "id"}; ids are unique strings or integers.
        edges
            {(source, relation, target): table with columns "src" and "dst" that hold external ids}.
            In place of a table there may be a stream of them: a `pyarrow.RecordBatchReader`, a
            `pyarrow.dataset.Dataset` or an iterator of tables. A part at a time is then in memory,
            and the columns lie in temporary files.
        lineage
            Where column values come from: "row" (a function of their own row alone) or "aggregate"
            (computed from other rows, such as a mean or a count). One word for every column, or
            {type: word} or {type: {column: word}}. What is not said stays unknown, and `audit`
            says so.
        missing
            What becomes of ids in edges that are no nodes: "error", or "add" for nodes without
            attributes, sorted by id; with "add" node tables may be left out: `from_tables({},
            edges, missing="add")`. All of a stream is then in memory.

        Raises SchemaError that names the table, the column, the first bad rows and the remedy.
        """
        _by_type("HIN.from_tables", nodes, edges)
        if missing not in ("error", "add"):
            raise ParameterError(
                f"HIN.from_tables: missing={missing!r}; expected 'error' or 'add'",
                asked=missing,
                there=("error", "add"),
            )
        checked = {validate.node_type(t): validate.check_nodes(n, t) for t, n in nodes.items()}
        if missing == "add":
            tables = {t: _edge_table(t, table) for t, table in edges.items()}
            checked, edges = edit.nodes_of_edges(checked, tables), tables
        state = State(checked, {})
        for type, table in edges.items():
            type = validate.edge_type(type, checked)
            placed = edit.edges_by_id(checked, type, table)
            state = state._replace(edges={**state.edges, type: placed})
        return cls._of(state if lineage is None else edit.with_lineage(state, lineage))

    # ---- what there is ---------------------------------------------------------------------------

    @property
    def schema(self) -> Schema:
        """Types and columns of the observed tables with their lineage; "id", "src" and "dst" are
        left out.
        """

        def columns(table: pa.Table, skip: Sequence[str]) -> dict[str, Column]:
            return {
                f.name: Column(f.type, tb.lineage_of(f)) for f in table.schema if f.name not in skip
            }

        return Schema(
            {t: columns(table, ("id",)) for t, table in self._nodes.items()},
            {t: columns(table, ("src", "dst")) for t, table in self._edges.items()},
            {t: sc.table_lineage(table) for t, table in self._edges.items()},
        )

    def n(self, type: Type) -> int:
        """Number of rows of a node or edge type, generated ones included."""
        return self.table(type).num_rows

    def n_observed(self, type: str) -> int:
        """Number of observed nodes of a type; they hold the first positions."""
        self.nodes[type]
        return self._nodes[type].num_rows

    def table(self, type: Type) -> pa.Table:
        """The table of a node type (a string) or edge type (a tuple) as seen through the deltas;
        KeyError if there is none.
        """
        return self.edges[type] if isinstance(type, tuple) else self.nodes[type]

    def _check_type(self, type: Type) -> None:
        (self.edges if isinstance(type, tuple) else self.nodes).check(type)

    def ids(self, type: str, positions: Any = None) -> pa.Array:
        """External ids, in the user's own type (integers come back as integers while no generated
        node is among them).
        """
        ids = self.nodes[type]["id"].chunk(0)
        if positions is not None:
            positions = validate.check_positions(positions, len(ids), type, "HIN.ids")
            ids = ids.take(pa.array(positions))
        field = self._nodes[type].schema.field("id")
        kind = (field.metadata or {}).get(tb.ID_TYPE)
        observed = self.n(type) == self.n_observed(type)
        if kind and (
            observed or (positions is not None and (positions < self.n_observed(type)).all())
        ):
            return ids.cast(getattr(pa, kind.decode())())
        return ids

    def positions(self, type: str, ids: Any) -> np.ndarray:
        """Positions of external ids, int64; an unknown id is an error."""
        return validate.positions_of(
            tb.as_array(ids, f"ids of {type!r}"), self.nodes[type], "ids asked for", type
        ).astype(np.int64)

    def links(self, type: EdgeType) -> tuple[np.ndarray, np.ndarray]:
        """Source and target positions of every row, two int32 arrays, read-only."""
        table = self.edges[type]
        return tb.numbers(table["src"]), tb.numbers(table["dst"])

    def observed(self) -> HIN:
        """The graph without its deltas; the very tables it was built from."""
        if not self.deltas:
            return self
        if "observed" not in self._cache:
            self._cache["observed"] = HIN._of(State(self._nodes, self._edges))
        return self._cache["observed"]

    def fingerprint(self) -> str:
        """sha256 of all content (observed tables and deltas): equal graphs have equal fingerprints,
        row order included.
        """
        if "fingerprint" not in self._cache:
            digest = hashlib.sha256()
            for type, table in [*sorted(self._nodes.items()), *sorted(self._edges.items())]:
                digest.update(f"{type}:{tb.content_hash(table)};".encode())
            for uid in sorted(d.uid for d in self.deltas if len(d)):
                digest.update(uid.encode())
            self._cache["fingerprint"] = digest.hexdigest()
        return self._cache["fingerprint"]

    # ---- matrices --------------------------------------------------------------------------------

    def adjacency(
        self, type: EdgeType, weight: str | None = None, duplicates: str | None = None
    ) -> sp.csr_array:
        """Edges of a type as a float32 CSR matrix [n_source, n_target]; cached and read-only.

        weight: a numeric edge column; without it every linked pair is 1. Null weights are an error,
            except that "confidence" counts observed edges as 1.
        duplicates: how parallel rows of a pair become one number: "binary" (the default without
            weight), "sum", "mean", "max" or "last" (by row order). With a weight and parallel rows
            it must be said.
        """
        self.edges[type]  # raises, naming what there is
        key = ("adjacency", type, weight, duplicates)
        if key not in self._cache:
            src, dst = self.links(type)
            shape = (self.n(type[0]), self.n(type[2]))
            how = duplicates or ("binary" if weight is None else None)
            matrix = matrices.csr(src, dst, self._weights(type, weight), shape, how, type)
            for part in (matrix.data, matrix.indices, matrix.indptr):
                part.flags.writeable = False
            self._cache[key] = matrix
        return self._cache[key]

    def _weights(self, type: EdgeType, weight: str | None) -> np.ndarray | None:
        if weight is None:
            return None
        column = self.column(type, weight)
        if not tb.is_number(column.type):
            there = [
                f.name
                for f in self.edges[type].schema
                if f.name not in ("src", "dst") and tb.is_number(f.type)
            ]
            raise SchemaError(
                f"edges {type}: weight column {weight!r} is {column.type}, not a number; name a "
                "column of numbers "
                f"({some(there) or 'there is none'}) or leave weight out"
            )
        if weight == "confidence":
            column = column.fill_null(1.0)
        if column.null_count:
            rows = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))
            raise SchemaError(
                f"edges {type}: weight column {weight!r} is null in rows {some(rows.tolist())}; "
                "fill or drop them"
            )
        return column.to_numpy(zero_copy_only=False).astype(np.float32)

    def column(self, type: Type, name: str) -> pa.Array:
        """One column of a node or edge type; observed rows have confidence null."""
        table = self.table(type)
        if name not in table.column_names:
            if name in PROVENANCE:
                return pa.nulls(
                    table.num_rows, pa.float32() if name == "confidence" else pa.string()
                )
            raise UnknownNameError(
                f"no column {name!r} in {type!r}; it has "
                f"{table.column_names}{nearest(name, table.column_names)}"
            )
        return table[name].chunk(0) if table[name].num_chunks else pa.array([], table[name].type)

    def vectors(self, type: Type, column: str = "x", fill: float | str | None = None) -> np.ndarray:
        """A vector column (or a numeric one, as d = 1) as float32 [n, d].

        fill: what stands in for null rows: a number, or "mean" (of the rows that are there).
        Without it nulls are an error.
        """
        values = self.column(type, column)
        if not (tb.is_vector(values.type) or tb.is_number(values.type)):
            raise SchemaError(
                f"{type!r}, column {column!r} is {values.type}, not vectors or numbers; encode it "
                "before"
            )
        missing = values.is_null().to_numpy(zero_copy_only=False)
        if missing.any() and fill is None:
            rows = np.flatnonzero(missing)
            raise SchemaError(
                f"{type!r}, column {column!r} is null in rows {some(rows.tolist())}; pass "
                "fill=0.0 or fill='mean', or impute"
            )
        if tb.is_vector(values.type):
            flat = values.values.slice(
                values.offset * values.type.list_size, len(values) * values.type.list_size
            )
            out = np.asarray(flat.to_numpy(zero_copy_only=False), np.float32).reshape(
                len(values), values.type.list_size
            )
        else:
            out = np.asarray(values.fill_null(0).to_numpy(zero_copy_only=False), np.float32)[
                :, None
            ]
        if missing.any():
            out = out.copy()
            if isinstance(fill, str):
                if fill != "mean":
                    raise ParameterError(f"fill={fill!r}: expected a number or 'mean'")
                out[missing] = out[~missing].mean(axis=0) if (~missing).any() else 0.0
            else:
                out[missing] = fill
        return out

    def metapath(
        self, *types: Type, pathsim: bool = False, memory: int | None = None
    ) -> sp.csr_array:
        """Path counts along node types ("user", "item", "genre") or edge types, as CSR [n_first,
        n_last].

        Edges are walked in either direction. Between two node types with several relations, name
        the edge type.
        pathsim: 2 M_ij / (M_ii + M_jj) for a symmetric path (Sun et al., PathSim, VLDB 2011).
        memory: bytes that the result and the work on it may take, beside the adjacency matrices;
            rows are then multiplied in blocks, and a result that does not fit is a MemoryError that
            says how much it needs.
        """
        steps = matrices.path_steps(types, self.nodes, self.edges)
        factors = [
            self.adjacency(edge) if forward else self.adjacency(edge).T.tocsr()
            for edge, forward in steps
        ]
        return (
            matrices.pathsim(steps, factors, memory)
            if pathsim
            else matrices.product(factors, memory)
        )

    # ---- new graphs ------------------------------------------------------------------------------

    def __add__(self, delta: Delta) -> HIN:
        _only_a_delta("+", delta)
        overlay.check_applicable(self._nodes, self._edges, self.deltas, delta)
        return HIN._of(self._state._replace(deltas=(*self.deltas, delta)))

    def __sub__(self, delta: Delta) -> HIN:
        _only_a_delta("-", delta)
        overlay.check_removable(self._edges, self.deltas, delta)
        rest = tuple(d for d in self.deltas if d.identity != delta.identity)
        return HIN._of(self._state._replace(deltas=rest))

    def with_column(self, type: Type, name: str, values: Any, lineage: str | None = None) -> HIN:
        """A column added (or replaced) on the observed rows of a node or edge type.

        lineage: "row" if each value is a function of its own row alone (the BERT vector of one
        review), "aggregate" if it was computed from other rows (a mean, a count); None means
        unknown, which `audit` will report.
        """
        self._check_type(type)
        return HIN._of(edit.with_column(self._state, type, name, values, lineage))

    def with_nodes(self, type: str, table: Any) -> HIN:
        """More observed nodes of a type, or a new type; ids must be new."""
        return HIN._of(edit.with_nodes(self._state, type, table))

    def with_edges(self, type: EdgeType, table: Any, lineage: str | None = None) -> HIN:
        """Observed edges by external ids, appended to a type or as a new type.

        lineage: for a new type, how its edges came about: "row" (recorded one by one), "aggregate"
        (derived from other edges, such as nearest neighbours); None means unknown.
        """
        return HIN._of(edit.with_edges(self._state, type, table, lineage))

    def filter_edges(self, type: EdgeType, mask: Any) -> HIN:
        """Only the observed edges of a type where `mask` (bool, one per observed row) is true."""
        self._check_type(type)
        return self._changed(edit.filter_edges(self._state, type, mask))

    def filter_nodes(self, type: str, mask: Any) -> HIN:
        """Only the observed nodes of a type where `mask` (bool, one per observed node) is true.

        Edges of the others go with them, in the deltas too; positions move up.
        """
        self._check_type(type)
        return self._changed(edit.filter_nodes(self._state, type, mask))

    def drop(self, *types: Type) -> HIN:
        """Without the named node types (their edges go too) or edge types, in the deltas too."""
        for type in types:
            self._check_type(type)
        return HIN._of(edit.drop(self._state, types))

    def _changed(self, state: State) -> HIN:
        return self if state.nodes is self._nodes and state.edges is self._edges else HIN._of(state)

    # ---- views over deltas -----------------------------------------------------------------------

    def _node_view(self, type: str) -> pa.Table:
        if not self.deltas:
            return self._nodes[type]
        return overlay.node_view(self._nodes, self.deltas, type)

    def _edge_view(self, type: EdgeType) -> pa.Table:
        if not self.deltas:
            return self._edges[type]
        return overlay.edge_view(self._nodes, self._edges, self.deltas, type)

    # ---- comparing and showing -------------------------------------------------------------------

    def equals(self, other: HIN, ordered: bool = True) -> bool:
        """Same types, columns and values, seen through the deltas. `ordered=False` forgives the
        order of rows.
        """
        if (
            not isinstance(other, HIN)
            or set(self.nodes) != set(other.nodes)
            or set(self.edges) != set(other.edges)
        ):
            return False
        if ordered:
            return all(self.table(t).equals(other.table(t)) for t in [*self.nodes, *self.edges])
        if not all(_rows(self.nodes[t]) == _rows(other.nodes[t]) for t in self.nodes):
            return False
        return all(_rows(_by_id(self, t)) == _rows(_by_id(other, t)) for t in self.edges)

    __eq__ = equals  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]

    def summary(self) -> str:
        """Counts, columns, nulls and what the deltas add, one line per type."""
        lines = ["nodes"]
        for type in self.nodes:
            table, seen = self.nodes[type], self._nodes[type].num_rows
            lines.append(
                f"  {type:<28} {seen:>10,}{_plus(table.num_rows - seen)}  "
                f"{_columns(table, ('id',))}"
            )
        lines.append("edges")
        for type in self.edges:
            table = self.edges[type]
            made = (
                table.num_rows - table["origin"].null_count if "origin" in table.column_names else 0
            )
            lines.append(
                f"  {' '.join(type):<28} {table.num_rows - made:>10,}{_plus(made)}  "
                f"{_columns(table, ('src', 'dst'))}"
            )
        if self.deltas:
            lines.append("deltas")
            lines += [f"  {d!r}" for d in self.deltas]
        return "\n".join(lines)

    def __repr__(self) -> str:
        nodes = ", ".join(f"{t} {self.n(t):,}" for t in self.nodes)
        edges = ", ".join(f"{' '.join(t)} {self.n(t):,}" for t in self.edges)
        return f"HIN({nodes}; {edges}{f'; {len(self.deltas)} deltas' if self.deltas else ''})"

    def _repr_html_(self) -> str:
        def row(name: str, count: int, made: int, columns: str) -> str:
            cells = (escape(name), f"{count:,}", f"{made:,}", escape(columns))
            return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"

        body = [
            row(
                t,
                self._nodes[t].num_rows,
                self.n(t) - self._nodes[t].num_rows,
                _columns(self.nodes[t], ("id",)),
            )
            for t in self.nodes
        ]
        for type in self.edges:
            table = self.edges[type]
            made = (
                table.num_rows - table["origin"].null_count if "origin" in table.column_names else 0
            )
            body.append(
                row(
                    " \u2192 ".join(type),
                    table.num_rows - made,
                    made,
                    _columns(table, ("src", "dst")),
                )
            )
        head = "".join(f"<th>{name}</th>" for name in ("type", "observed", "generated", "columns"))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


# ---- small helpers -------------------------------------------------------------------------------


def _by_type(who: str, nodes: Any, edges: Any) -> None:
    for name, tables, key in (
        ("nodes", nodes, "'user'"),
        ("edges", edges, "('user', 'rates', 'item')"),
    ):
        if not isinstance(tables, Mapping):
            raise KindError(
                f"{who}: {name} is a dict of tables, {{{key}: table, ...}}; got "
                f"{type(tables).__name__}"
            )


def _only_a_delta(sign: str, other: Any) -> None:
    if not isinstance(other, Delta):
        hint = "a generator's generate, merge and Delta(...) give one"
        if isinstance(other, HIN):
            hint = "to join graphs use with_nodes and with_edges"
        raise KindError(
            f"hin {sign} delta takes a Delta, got {type(other).__name__}; {hint}",
            asked=type(other).__name__,
        )


def _edge_table(type: Any, table: Any) -> pa.Table:
    """An edge table with columns "src" and "dst", whatever is in them."""
    where = f"edges {type}"
    table = spill.whole(table, where) if spill.is_stream(table) else tb.as_table(table, where)
    for side in ("src", "dst"):
        if side not in table.column_names:
            raise SchemaError(
                f"edges {type}: no column {side!r}; there is {table.column_names}; name the "
                "columns of ids 'src' and 'dst'",
                asked=side,
                there=table.column_names,
            )
    return table


def _by_id(hin: HIN, type: EdgeType) -> pa.Table:
    table = hin.edges[type]
    for side, node in (("src", type[0]), ("dst", type[2])):
        ids = tb.chunk(hin.nodes[node]["id"]).take(tb.chunk(table[side]))
        table = table.set_column(table.column_names.index(side), side, ids)
    return table


def _rows(table: pa.Table) -> list:
    """The rows as sorted text: equal multisets of rows, equal lists; columns that are null
    throughout do not count.
    """
    names = sorted(c for c in table.column_names if table[c].null_count < table.num_rows)
    return [names, sorted(map(repr, zip(*(table[n].to_pylist() for n in names), strict=True)))]


SHOWN = 30  # columns that a summary names


def _columns(table: pa.Table, skip: Sequence[str]) -> str:
    parts = []
    for field in table.schema:
        if field.name in skip or field.name in PROVENANCE:
            continue
        nulls = table[field.name].null_count
        share = f" {_percent(nulls, table.num_rows)} null" if nulls else ""
        parts.append(f"{field.name} {sc.short(Column(field.type, tb.lineage_of(field)))}{share}")
    if len(parts) > SHOWN:
        parts = [*parts[:SHOWN], f"and {len(parts) - SHOWN:,} more"]
    if told := sc.table_lineage(table):
        parts.append(f"edges({told})")
    return ", ".join(parts) or "-"


def _percent(part: int, whole: int) -> str:
    """A share that is neither none nor all is never rounded to one of them."""
    percent = round(100 * part / whole)
    if percent in (0, 100) and part != percent * whole // 100:
        return "<1%" if percent == 0 else ">99%"
    return f"{percent}%"


def _plus(made: int) -> str:
    return f" + {made:,} generated" if made else ""
