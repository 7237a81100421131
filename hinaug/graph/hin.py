"""HIN: a heterogeneous information network as a value. Observed Arrow tables, plus the deltas
applied to them; read-only.

Nodes live in one table per type (column "id": unique strings), edges in one table per `(source,
relation, target)` type
(columns "src" and "dst": int32 positions into the node tables). Whatever gives back a graph made a
new one that shares the old columns. The tables seen through `nodes` and `edges` are views: observed
rows first, generated rows after them, and a generated row says so in the columns "origin",
"confidence" and "key" (null on observed rows).

    hin = HIN.from_tables({"user": users, "item": items}, {("user", "rates", "item"): ratings})
    hin.adjacency(("user", "rates", "item"))          # scipy CSR, cached, read-only
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.errors import KindError, ParameterError, SchemaError, UnknownNameError, nearest, some
from hinaug.graph import arrow as tb
from hinaug.graph import matrices, validate
from hinaug.graph import schema as sc
from hinaug.graph.schema import PROVENANCE, Column, EdgeType, Schema, Type

if TYPE_CHECKING:
    from hinaug.graph.delta import Delta


class Tables(Mapping):
    """The tables of one kind, built when asked for; an unknown name says what there is."""

    def __init__(self, kind: str, keys: Sequence[Any], build: Any) -> None:
        self._kind, self._keys, self._build = kind, tuple(keys), build
        self._built: dict[Any, pa.Table] = {}

    def __getitem__(self, key: Any) -> pa.Table:
        try:
            hash(key)
        except TypeError:
            form = "a node type is a string, an edge type a tuple of three strings"
            hint = (
                f"write the tuple {tuple(key)!r}"
                if isinstance(key, list) and len(key) == 3
                else form
            )
            raise KindError(
                f"no {self._kind} type {key!r}; this graph has {list(self._keys)}; {hint}"
            ) from None
        if key not in self._built:
            if key not in self._keys:
                raise UnknownNameError(
                    f"no {self._kind} type {key!r}; this graph has "
                    f"{list(self._keys)}{nearest(key, self._keys)}"
                )
            self._built[key] = self._build(key)
        return self._built[key]

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[Any]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


class HIN:
    """A typed graph. Build one with `from_tables` (edges by external id); the constructor takes
    edges by position.
    """

    def __init__(
        self, nodes: Mapping[str, Any], edges: Mapping[EdgeType, Any], deltas: Sequence[Delta] = ()
    ) -> None:
        _by_type("HIN", nodes, edges)
        base_nodes = {
            validate.node_type(t): validate.check_nodes(table, t) for t, table in nodes.items()
        }
        base_edges = {}
        for type, table in edges.items():
            type = validate.edge_type(type, base_nodes)
            base_edges[type] = validate.check_edges(
                tb.as_table(table, f"edges {type}"), type, base_nodes
            )
        self._set(base_nodes, base_edges, deltas)

    def _set(
        self, nodes: dict[str, pa.Table], edges: dict[EdgeType, pa.Table], deltas: Sequence[Delta]
    ) -> None:
        self._nodes, self._edges, self.deltas = nodes, edges, tuple(deltas)
        self._cache: dict[Any, Any] = {}
        new_types = [t for d in self.deltas for t in d.edges if t not in edges]
        self.nodes = Tables("node", list(nodes), self._node_view)
        self.edges = Tables("edge", list(edges) + list(dict.fromkeys(new_types)), self._edge_view)

    @classmethod
    def _make(
        cls,
        nodes: dict[str, pa.Table],
        edges: dict[EdgeType, pa.Table],
        deltas: Sequence[Delta] = (),
    ) -> HIN:
        """From tables that are known to be good."""
        hin = cls.__new__(cls)
        hin._set(nodes, edges, ())
        for delta in deltas:
            hin = hin + delta
        return hin

    @classmethod
    def from_tables(
        cls, nodes: Mapping[str, Any], edges: Mapping[EdgeType, Any], *, lineage: Any = None
    ) -> HIN:
        """A graph from anything table-like: pandas, polars, DuckDB, Arrow, or a dict of columns.

        nodes: {type: table with column "id"}; ids are unique strings or integers.
        edges: {(source, relation, target): table with columns "src" and "dst" that hold external
            ids}.
        lineage: where column values come from: "row" (a function of their own row alone) or
            "aggregate" (computed from other rows, such as a mean or a count). One word for every
            column, or {type: word} or {type: {column: word}}. What is not said stays unknown, and
            `audit` says so.
        Raises SchemaError that names the table, the column, the first bad rows and the remedy.
        """
        _by_type("HIN.from_tables", nodes, edges)
        base_nodes = {
            validate.node_type(t): validate.check_nodes(table, t) for t, table in nodes.items()
        }
        base_edges = {}
        for type, table in edges.items():
            type = validate.edge_type(type, base_nodes)
            where = f"edges {type}"
            table = tb.as_table(table, where)
            for side, node in (("src", type[0]), ("dst", type[2])):
                if side not in table.column_names:
                    raise SchemaError(
                        f"{where}: no column {side!r}, the ids of {node!r} nodes; there is "
                        f"{table.column_names}; "
                        "name the columns of ids 'src' and 'dst'"
                    )
                index = table.column_names.index(side)
                found = validate.positions_of(
                    table[side].chunk(0) if table.num_rows else pa.array([], pa.string()),
                    base_nodes[node],
                    f"{where}, column {side!r}",
                    node,
                )
                table = table.set_column(
                    index, pa.field(side, pa.int32()), pa.array(found, pa.int32())
                )
            base_edges[type] = validate.check_edges(table, type, base_nodes)
        hin = cls._make(base_nodes, base_edges)
        return hin._with_lineage(lineage) if lineage is not None else hin

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

    def _nodes_or_error(self, type: str) -> pa.Table:
        self.nodes[type]
        return self._nodes[type]

    def links(self, type: EdgeType) -> tuple[np.ndarray, np.ndarray]:
        """Source and target positions of every row, two int32 arrays, read-only."""
        table = self.edges[type]
        return tb.numbers(table["src"]), tb.numbers(table["dst"])

    def observed(self) -> HIN:
        """The graph without its deltas; the very tables it was built from."""
        if not self.deltas:
            return self
        if "observed" not in self._cache:
            self._cache["observed"] = HIN._make(self._nodes, self._edges)
        return self._cache["observed"]

    def fingerprint(self) -> str:
        """sha256 of all content (observed tables and deltas): equal graphs have equal fingerprints,
        row order included.
        """
        if "fingerprint" not in self._cache:
            digest = hashlib.sha256()
            for type, table in [*sorted(self._nodes.items()), *sorted(self._edges.items())]:
                digest.update(f"{type}:{tb.content_hash(table)};".encode())
            for uid in sorted(d.uid for d in self.deltas):
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
        from hinaug.graph.delta import Delta
        from hinaug.graph.overlay import check_applicable

        _only_a_delta("+", delta, Delta)
        check_applicable(self, delta)
        hin = HIN.__new__(HIN)
        hin._set(self._nodes, self._edges, (*self.deltas, delta))
        return hin

    def __sub__(self, delta: Delta) -> HIN:
        from hinaug.graph.delta import Delta
        from hinaug.graph.overlay import check_removable

        _only_a_delta("-", delta, Delta)
        check_removable(self, delta)
        hin = HIN.__new__(HIN)
        hin._set(self._nodes, self._edges, tuple(d for d in self.deltas if d.uid != delta.uid))
        return hin

    def with_column(self, type: Type, name: str, values: Any, lineage: str | None = None) -> HIN:
        """A column added (or replaced) on the observed rows of a node or edge type.

        lineage: "row" if each value is a function of its own row alone (the BERT vector of one
            review), "aggregate" if it was computed from other rows (a mean, a count); None means
            unknown, which `audit` will report.
        """
        table = self._observed_table(type)
        if tb.valid_name(name) in ("id", "src", "dst", *PROVENANCE):
            raise SchemaError(f"column {name!r} is the store's own; choose another name")
        where = f"{type!r}, column {name!r}"
        array = tb.normalise(tb.as_array(values, where), where)
        if len(array) != table.num_rows:
            raise SchemaError(
                f"{where}: {len(array)} values for {table.num_rows} observed rows; give one value "
                "a row, None where there is none"
            )
        field = tb.with_lineage(pa.field(name, array.type), lineage)
        at = table.column_names.index(name) if name in table.column_names else None
        table = (
            table.append_column(field, array) if at is None else table.set_column(at, field, array)
        )
        return self._replace(type, table)

    def with_nodes(self, type: str, table: Any) -> HIN:
        """More observed nodes of a type, or a new type; ids must be new."""
        new = validate.check_nodes(table, validate.node_type(type))
        if type in self._nodes:
            old = self._nodes[type]
            both = tb.concat([old, new])
            kinds = {(t.schema.field("id").metadata or {}).get(tb.ID_TYPE) for t in (old, new)}
            if len(kinds) > 1:  # integers and text together are text
                at = both.column_names.index("id")
                both = both.set_column(at, pa.field("id", pa.string()), both["id"])
            new = validate.check_nodes(both, type)
        return self._replace(type, new)

    def with_edges(self, type: EdgeType, table: Any, lineage: str | None = None) -> HIN:
        """Observed edges by external ids, appended to a type or as a new type.

        lineage: for a new type, how its edges came about: "row" (recorded one by one), "aggregate"
            (derived from other edges, such as nearest neighbours); None means unknown.
        """
        type, observed = validate.edge_type(type, self._nodes), self.observed()
        new = HIN.from_tables(observed._nodes, {type: table})._edges[type]
        if type in self._edges:
            new = tb.concat([self._edges[type], new])
        elif lineage:
            tb.with_lineage(pa.field("x", pa.int8()), lineage)
            new = new.replace_schema_metadata({tb.LINEAGE: lineage.encode()})
        return self._replace(type, new)

    def filter_edges(self, type: EdgeType, mask: Any) -> HIN:
        """Only the observed edges of a type where `mask` (bool, one per observed row) is true."""
        table = self._observed_table(type)
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != (table.num_rows,):
            raise ParameterError(
                f"filter_edges takes one bool per observed row of {type}: {table.num_rows} rows, "
                f"mask has {mask.dtype} {mask.shape}; "
                "for row numbers: np.isin(np.arange(n), rows)"
            )
        return self if mask.all() else self._replace(type, table.filter(pa.array(mask)))

    def filter_nodes(self, type: str, mask: Any) -> HIN:
        """Only the observed nodes of a type where `mask` is true; edges of the others go with them,
        positions move up.
        """
        self.nodes[type]
        table = self._nodes[type]
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != (table.num_rows,):
            raise ParameterError(
                f"filter_nodes takes one bool per observed node of {type!r}: {table.num_rows} "
                f"nodes, mask has {mask.dtype} "
                f"{mask.shape}; for positions: np.isin(np.arange(n), positions)"
            )
        if mask.all():
            return self
        moved = (np.cumsum(mask) - 1).astype(np.int32)
        edges = dict(self._edges)
        for edge, rows in edges.items():
            keep = np.ones(rows.num_rows, bool)
            for side, node in (("src", edge[0]), ("dst", edge[2])):
                if node == type:
                    keep &= mask[tb.numbers(rows[side])]
            if type in (edge[0], edge[2]):
                rows = rows.filter(pa.array(keep))
                for side, node in (("src", edge[0]), ("dst", edge[2])):
                    if node == type:
                        at = rows.column_names.index(side)
                        rows = rows.set_column(at, side, pa.array(moved[tb.numbers(rows[side])]))
                edges[edge] = tb.single(rows)
        return HIN._make(
            {**self._nodes, type: tb.single(table.filter(pa.array(mask)))}, edges, self.deltas
        )

    def drop(self, *types: Type) -> HIN:
        """Without the named node types (their edges go too) or edge types."""
        for type in types:
            self.table(type)
        nodes = {t: table for t, table in self._nodes.items() if t not in types}
        edges = {
            t: table
            for t, table in self._edges.items()
            if t not in types and t[0] in nodes and t[2] in nodes
        }
        return HIN._make(nodes, edges, self.deltas)

    def _observed_table(self, type: Type) -> pa.Table:
        self.table(type)
        there: Mapping[Any, pa.Table] = self._edges if isinstance(type, tuple) else self._nodes
        if type not in there:
            raise UnknownNameError(
                f"every row of {type!r} comes from a delta, there are no observed rows to change; "
                "observed are "
                f"{list(there)}; use Delta.select for generated rows"
            )
        return there[type]

    def _replace(self, type: Type, table: pa.Table) -> HIN:
        table = tb.single(table)
        if isinstance(type, tuple):
            return HIN._make(self._nodes, {**self._edges, type: table}, self.deltas)
        return HIN._make({**self._nodes, type: table}, self._edges, self.deltas)

    def _with_lineage(self, lineage: Any) -> HIN:
        said = (
            lineage
            if isinstance(lineage, Mapping)
            else dict.fromkeys([*self._nodes, *self._edges], lineage)
        )
        nodes, edges = dict(self._nodes), dict(self._edges)
        for type, words in said.items():
            table = self.table(type)
            everything = not isinstance(words, Mapping)
            wanted = {} if everything else dict(words)
            unknown = [c for c in wanted if c not in table.column_names]
            if unknown:
                hint = nearest(unknown[0], table.column_names)
                raise UnknownNameError(
                    f"lineage of {type!r}: no column {unknown[0]!r}; it has "
                    f"{table.column_names}{hint}"
                )
            fields = [
                tb.with_lineage(f, words if everything else wanted.get(f.name, tb.lineage_of(f)))
                for f in table.schema
            ]
            metadata = dict(table.schema.metadata or {})
            if everything and isinstance(type, tuple) and words:
                metadata[tb.LINEAGE] = words.encode()
            table = table.cast(pa.schema(fields, metadata=metadata or None))
            if isinstance(type, tuple):
                edges[type] = table
            else:
                nodes[type] = table
        return HIN._make(nodes, edges, self.deltas)

    # ---- views over deltas -----------------------------------------------------------------------

    def _node_view(self, type: str) -> pa.Table:
        if not self.deltas:
            return self._nodes[type]
        from hinaug.graph.overlay import overlay_nodes

        return overlay_nodes(self, type)

    def _edge_view(self, type: EdgeType) -> pa.Table:
        if not self.deltas:
            return self._edges[type]
        from hinaug.graph.overlay import overlay_edges

        return overlay_edges(self, type)

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
        from html import escape

        def row(name: str, count: int, made: int, columns: str) -> str:
            return f"<tr><td>{escape(name)}</td><td>{count:,}</td><td>{made:,}</td><td>{escape(columns)}</td></tr>"

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


def _only_a_delta(sign: str, other: Any, delta: type) -> None:
    if not isinstance(other, delta):
        hint = (
            "to join graphs use with_nodes and with_edges"
            if isinstance(other, HIN)
            else "a generator's generate, merge and Delta(...) give one"
        )
        raise KindError(f"hin {sign} delta takes a Delta, got {type(other).__name__}; {hint}")


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


def _columns(table: pa.Table, skip: Sequence[str]) -> str:
    parts = []
    for field in table.schema:
        if field.name in skip or field.name in PROVENANCE:
            continue
        nulls = table[field.name].null_count
        share = f" {100 * nulls / table.num_rows:.0f}% null" if nulls else ""
        parts.append(f"{field.name} {sc.short(Column(field.type, tb.lineage_of(field)))}{share}")
    return ", ".join(parts) or "-"


def _plus(made: int) -> str:
    return f" + {made:,} generated" if made else ""
