"""HIN: a heterogeneous information network as a value. Observed Arrow tables, plus the deltas applied to them; read-only.

Nodes live in one table per type (column "id": unique strings), edges in one table per `(source, relation, target)` type
(columns "src" and "dst": int32 positions into the node tables). Whatever gives back a graph made a new one that shares
the old columns. The tables seen through `nodes` and `edges` are views: observed rows first, generated rows after them,
and a generated row says so in the columns "origin", "confidence" and "key" (null on observed rows).

    hin = HIN.from_tables({"user": users, "item": items}, {("user", "rates", "item"): ratings})
    hin.adjacency(("user", "rates", "item"))          # scipy CSR, cached, read-only
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hinaug import tables as tb
from hinaug.tables import SchemaError, UnknownNameError

if TYPE_CHECKING:
    from hinaug.delta import Delta

EdgeType = tuple[str, str, str]
Type = str | EdgeType
PROVENANCE = ("origin", "confidence", "key")


@dataclass(frozen=True)
class Column:
    """Arrow type of a column and where its values come from: "row", "aggregate" or None (unknown)."""

    dtype: pa.DataType
    lineage: str | None = None


@dataclass(frozen=True)
class Schema:
    """The node and edge types of a graph with their columns."""

    nodes: Mapping[str, Mapping[str, Column]]
    edges: Mapping[EdgeType, Mapping[str, Column]]
    edge_lineage: Mapping[EdgeType, str | None]

    def __str__(self) -> str:
        lines = [f"{t}: {', '.join(f'{n} {_short(c)}' for n, c in cols.items())}" for t, cols in self.nodes.items()]
        for t, cols in self.edges.items():
            lines.append(f"{t[0]} -{t[1]}-> {t[2]}: {', '.join(f'{n} {_short(c)}' for n, c in cols.items()) or '-'}")
        return "\n".join(lines)


class Tables(Mapping):
    """The tables of one kind, built when asked for; an unknown name says what there is."""

    def __init__(self, kind: str, keys: Sequence[Any], build: Any) -> None:
        self._kind, self._keys, self._build = kind, tuple(keys), build
        self._built: dict[Any, pa.Table] = {}

    def __getitem__(self, key: Any) -> pa.Table:
        if key not in self._built:
            if key not in self._keys:
                raise UnknownNameError(
                    f"no {self._kind} type {key!r}; this graph has {list(self._keys)}{tb.nearest(key, self._keys)}"
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
    """A typed graph. Build one with `from_tables` (edges by external id); the constructor takes edges by position."""

    def __init__(self, nodes: Mapping[str, Any], edges: Mapping[EdgeType, Any], deltas: Sequence[Delta] = ()) -> None:
        base_nodes = {_node_type(t): _check_nodes(table, t) for t, table in nodes.items()}
        base_edges = {}
        for type, table in edges.items():
            type = _edge_type(type, base_nodes)
            base_edges[type] = _check_edges(tb.as_table(table, f"edges {type}"), type, base_nodes)
        self._set(base_nodes, base_edges, deltas)

    def _set(self, nodes: dict[str, pa.Table], edges: dict[EdgeType, pa.Table], deltas: Sequence[Delta]) -> None:
        self._nodes, self._edges, self.deltas = nodes, edges, tuple(deltas)
        self._cache: dict[Any, Any] = {}
        new_types = [t for d in self.deltas for t in d.edges if t not in edges]
        self.nodes = Tables("node", list(nodes), self._node_view)
        self.edges = Tables("edge", list(edges) + list(dict.fromkeys(new_types)), self._edge_view)

    @classmethod
    def _make(cls, nodes: dict[str, pa.Table], edges: dict[EdgeType, pa.Table], deltas: Sequence[Delta] = ()) -> HIN:
        """From tables that are known to be good."""
        hin = cls.__new__(cls)
        hin._set(nodes, edges, ())
        for delta in deltas:
            hin = hin + delta
        return hin

    @classmethod
    def from_tables(cls, nodes: Mapping[str, Any], edges: Mapping[EdgeType, Any], *, lineage: Any = None) -> HIN:
        """A graph from anything table-like: pandas, polars, DuckDB, Arrow, or a dict of columns.

        nodes: {type: table with column "id"}; ids are unique strings or integers.
        edges: {(source, relation, target): table with columns "src" and "dst" that hold external ids}.
        lineage: where column values come from: "row" (a function of their own row alone) or "aggregate" (computed from
            other rows, such as a mean or a count). One word for every column, or {type: word} or {type: {column: word}}.
            What is not said stays unknown, and `audit` says so.
        Raises SchemaError that names the table, the column, the first bad rows and the remedy.
        """
        base_nodes = {_node_type(t): _check_nodes(table, t) for t, table in nodes.items()}
        base_edges = {}
        for type, table in edges.items():
            type = _edge_type(type, base_nodes)
            where = f"edges {type}"
            table = tb.as_table(table, where)
            for side, node in (("src", type[0]), ("dst", type[2])):
                if side not in table.column_names:
                    raise SchemaError(
                        f"{where}: no column {side!r}; it holds the ids of {node!r} nodes; there is {table.column_names}"
                    )
                index = table.column_names.index(side)
                found = _positions_of(
                    table[side].chunk(0) if table.num_rows else pa.array([], pa.string()),
                    base_nodes[node],
                    f"{where}, column {side!r}",
                    node,
                )
                table = table.set_column(index, pa.field(side, pa.int32()), pa.array(found, pa.int32()))
            base_edges[type] = _check_edges(table, type, base_nodes)
        hin = cls._make(base_nodes, base_edges)
        return hin._with_lineage(lineage) if lineage is not None else hin

    # ---- what there is -------------------------------------------------------------------------------------------

    @property
    def schema(self) -> Schema:
        def columns(table: pa.Table, skip: Sequence[str]) -> dict[str, Column]:
            return {f.name: Column(f.type, tb.lineage_of(f)) for f in table.schema if f.name not in skip}

        return Schema(
            {t: columns(table, ("id",)) for t, table in self._nodes.items()},
            {t: columns(table, ("src", "dst")) for t, table in self._edges.items()},
            {t: _table_lineage(table) for t, table in self._edges.items()},
        )

    def n(self, type: Type) -> int:
        """Number of rows of a node or edge type, generated ones included."""
        return self.table(type).num_rows

    def n_observed(self, type: str) -> int:
        """Number of observed nodes of a type; they hold the first positions."""
        self.nodes[type]
        return self._nodes[type].num_rows

    def table(self, type: Type) -> pa.Table:
        return self.edges[type] if isinstance(type, tuple) else self.nodes[type]

    def ids(self, type: str, positions: Any = None) -> pa.Array:
        """External ids, in the user's own type (integers come back as integers while no generated node is among them)."""
        ids = self.nodes[type]["id"].chunk(0)
        if positions is not None:
            ids = ids.take(pa.array(np.asarray(positions, np.int64)))
        field = self._nodes[type].schema.field("id")
        kind = (field.metadata or {}).get(tb.ID_TYPE)
        observed = self.n(type) == self.n_observed(type)
        if kind and (observed or (positions is not None and (np.asarray(positions) < self.n_observed(type)).all())):
            return ids.cast(getattr(pa, kind.decode())())
        return ids

    def positions(self, type: str, ids: Any) -> np.ndarray:
        """Positions of external ids, int64; an unknown id is an error."""
        return _positions_of(tb.as_array(ids, f"ids of {type!r}"), self.nodes[type], "ids asked for", type).astype(
            np.int64
        )

    def _nodes_or_error(self, type: str) -> pa.Table:
        self.nodes[type]
        return self._nodes[type]

    def links(self, type: EdgeType) -> tuple[np.ndarray, np.ndarray]:
        """Source and target positions of every row, two int32 arrays, read-only."""
        table = self.edges[type]
        return _numbers(table["src"]), _numbers(table["dst"])

    def observed(self) -> HIN:
        """The graph without its deltas; the very tables it was built from."""
        if not self.deltas:
            return self
        if "observed" not in self._cache:
            self._cache["observed"] = HIN._make(self._nodes, self._edges)
        return self._cache["observed"]

    def fingerprint(self) -> str:
        """sha256 of all content (observed tables and deltas): equal graphs have equal fingerprints, row order included."""
        if "fingerprint" not in self._cache:
            digest = hashlib.sha256()
            for type, table in [*sorted(self._nodes.items()), *sorted(self._edges.items())]:
                digest.update(f"{type}:{tb.content_hash(table)};".encode())
            for uid in sorted(d.uid for d in self.deltas):
                digest.update(uid.encode())
            self._cache["fingerprint"] = digest.hexdigest()
        return self._cache["fingerprint"]

    # ---- matrices ------------------------------------------------------------------------------------------------

    def adjacency(self, type: EdgeType, weight: str | None = None, duplicates: str | None = None) -> sp.csr_array:
        """Edges of a type as a float32 CSR matrix [n_source, n_target]; cached and read-only.

        weight: a numeric edge column; without it every linked pair is 1. Null weights are an error, except that
            "confidence" counts observed edges as 1.
        duplicates: how parallel rows of a pair become one number: "binary" (the default without weight), "sum", "mean",
            "max" or "last" (by row order). With a weight and parallel rows it must be said.
        """
        key = ("adjacency", type, weight, duplicates)
        if key not in self._cache:
            src, dst = self.links(type)
            shape = (self.n(type[0]), self.n(type[2]))
            matrix = _csr(
                src, dst, self._weights(type, weight), shape, duplicates or ("binary" if weight is None else None), type
            )
            for part in (matrix.data, matrix.indices, matrix.indptr):
                part.flags.writeable = False
            self._cache[key] = matrix
        return self._cache[key]

    def _weights(self, type: EdgeType, weight: str | None) -> np.ndarray | None:
        if weight is None:
            return None
        column = self.column(type, weight)
        if not tb.is_number(column.type):
            raise SchemaError(f"edges {type}: weight column {weight!r} is {column.type}, not a number")
        if weight == "confidence":
            column = column.fill_null(1.0)
        if column.null_count:
            rows = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))
            raise SchemaError(
                f"edges {type}: weight column {weight!r} is null in rows {tb.some(rows.tolist())}; fill or drop them"
            )
        return column.to_numpy(zero_copy_only=False).astype(np.float32)

    def column(self, type: Type, name: str) -> pa.Array:
        """One column of a node or edge type; observed rows have confidence null."""
        table = self.table(type)
        if name not in table.column_names:
            if name in PROVENANCE:
                return pa.nulls(table.num_rows, pa.float32() if name == "confidence" else pa.string())
            raise UnknownNameError(
                f"no column {name!r} in {type!r}; it has {table.column_names}{tb.nearest(name, table.column_names)}"
            )
        return table[name].chunk(0) if table[name].num_chunks else pa.array([], table[name].type)

    def vectors(self, type: Type, column: str = "x", fill: float | str | None = None) -> np.ndarray:
        """A vector column (or a numeric one, as d = 1) as float32 [n, d].

        fill: what stands in for null rows: a number, or "mean" (of the rows that are there). Without it nulls are an error.
        """
        values = self.column(type, column)
        if not (tb.is_vector(values.type) or tb.is_number(values.type)):
            raise SchemaError(f"{type!r}, column {column!r} is {values.type}, not vectors or numbers; encode it before")
        missing = values.is_null().to_numpy(zero_copy_only=False)
        if missing.any() and fill is None:
            rows = np.flatnonzero(missing)
            raise SchemaError(
                f"{type!r}, column {column!r} is null in rows {tb.some(rows.tolist())}; pass fill=0.0 or fill='mean', or impute"
            )
        if tb.is_vector(values.type):
            flat = values.values.slice(values.offset * values.type.list_size, len(values) * values.type.list_size)
            out = np.asarray(flat.to_numpy(zero_copy_only=False), np.float32).reshape(
                len(values), values.type.list_size
            )
        else:
            out = np.asarray(values.fill_null(0).to_numpy(zero_copy_only=False), np.float32)[:, None]
        if missing.any():
            out = out.copy()
            if isinstance(fill, str):
                if fill != "mean":
                    raise ValueError(f"fill={fill!r}: expected a number or 'mean'")
                out[missing] = out[~missing].mean(axis=0) if (~missing).any() else 0.0
            else:
                out[missing] = fill
        return out

    def metapath(self, *types: Type, pathsim: bool = False) -> sp.csr_array:
        """Path counts along node types ("user", "item", "genre") or edge types, as CSR [n_first, n_last].

        Edges are walked in either direction. Between two node types with several relations, name the edge type.
        pathsim: 2 M_ij / (M_ii + M_jj) for a symmetric path (Sun et al., PathSim, VLDB 2011).
        """
        steps = self._steps(types)
        product: sp.csr_array | None = None
        for edge, forward in steps:
            step = self.adjacency(edge)
            step = step if forward else step.T.tocsr()
            product = step if product is None else product @ step
        assert product is not None
        if not pathsim:
            return product
        names = [e for e, _ in steps]
        if names != names[::-1]:
            raise ValueError(f"PathSim needs a symmetric path; {types} does not read the same from both ends")
        if any(e[0] == e[2] for e in names) and (product != product.T.tocsr()).nnz:
            raise ValueError(f"PathSim needs a symmetric path; {types} counts other paths from a to b than from b to a")
        product = product.tocoo()
        row, col = product.coords
        self_paths = np.zeros(product.shape[0], product.dtype)
        self_paths[row[row == col]] = product.data[row == col]
        return sp.csr_array((2 * product.data / (self_paths[row] + self_paths[col]), (row, col)), shape=product.shape)

    def _steps(self, types: Sequence[Type]) -> list[tuple[EdgeType, bool]]:
        if len(types) < 1 or (len(types) == 1 and isinstance(types[0], str)):
            raise ValueError("a metapath has at least two node types or one edge type")
        steps: list[tuple[EdgeType, bool]] = []
        named = [t for t in types if isinstance(t, tuple)]
        if len(named) == len(types):
            here = None
            for i, edge in enumerate(named):
                self.edges[edge]
                ahead = named[i + 1] if i + 1 < len(named) else None
                forward = edge[0] == here if here is not None else ahead is None or edge[2] in (ahead[0], ahead[2])
                if here is not None and here not in (edge[0], edge[2]):
                    raise ValueError(f"metapath {types}: {edge} does not start at {here!r}")
                steps.append((edge, forward))
                here = edge[2] if forward else edge[0]
            return steps
        for t in types:
            self.nodes[t]
        for a, b in pairwise(types):
            found = [(e, True) for e in self.edges if (e[0], e[2]) == (a, b)]
            found += [(e, False) for e in self.edges if (e[2], e[0]) == (a, b) and a != b]
            if len(found) != 1:
                what = (
                    f"several edge types {[e for e, _ in found]}: name one"
                    if found
                    else f"no edge type; this graph has {list(self.edges)}"
                )
                raise UnknownNameError(f"metapath {types}: between {a!r} and {b!r} there is {what}")
            steps.append(found[0])
        return steps

    # ---- new graphs ----------------------------------------------------------------------------------------------

    def __add__(self, delta: Delta) -> HIN:
        from hinaug.delta import Delta, check_applicable

        if not isinstance(delta, Delta):
            return NotImplemented
        check_applicable(self, delta)
        hin = HIN.__new__(HIN)
        hin._set(self._nodes, self._edges, (*self.deltas, delta))
        return hin

    def __sub__(self, delta: Delta) -> HIN:
        from hinaug.delta import Delta, check_removable

        if not isinstance(delta, Delta):
            return NotImplemented
        check_removable(self, delta)
        hin = HIN.__new__(HIN)
        hin._set(self._nodes, self._edges, tuple(d for d in self.deltas if d.uid != delta.uid))
        return hin

    def with_column(self, type: Type, name: str, values: Any, lineage: str | None = None) -> HIN:
        """A column added (or replaced) on the observed rows of a node or edge type.

        lineage: "row" if each value is a function of its own row alone (the BERT vector of one review), "aggregate" if
            it was computed from other rows (a mean, a count); None means unknown, which `audit` will report.
        """
        table = self._observed_table(type)
        if name in ("id", "src", "dst", *PROVENANCE):
            raise SchemaError(f"column {name!r} is the store's own; choose another name")
        where = f"{type!r}, column {name!r}"
        array = tb.normalise(tb.as_array(values, where), where)
        if len(array) != table.num_rows:
            raise SchemaError(f"{where}: {len(array)} values for {table.num_rows} observed rows")
        field = tb.with_lineage(pa.field(name, array.type), lineage)
        at = table.column_names.index(name) if name in table.column_names else None
        table = table.append_column(field, array) if at is None else table.set_column(at, field, array)
        return self._replace(type, table)

    def with_nodes(self, type: str, table: Any) -> HIN:
        """More observed nodes of a type, or a new type; ids must be new."""
        new = _check_nodes(table, type)
        if type in self._nodes:
            old = self._nodes[type]
            both = tb.concat([old, new])
            kinds = {(t.schema.field("id").metadata or {}).get(tb.ID_TYPE) for t in (old, new)}
            if len(kinds) > 1:  # integers and text together are text
                at = both.column_names.index("id")
                both = both.set_column(at, pa.field("id", pa.string()), both["id"])
            new = _check_nodes(both, type)
        return self._replace(_node_type(type), new)

    def with_edges(self, type: EdgeType, table: Any, lineage: str | None = None) -> HIN:
        """Observed edges by external ids, appended to a type or as a new type.

        lineage: for a new type, how its edges came about: "row" (recorded one by one), "aggregate" (derived from other
            edges, such as nearest neighbours); None means unknown.
        """
        observed = self.observed()
        new = HIN.from_tables(observed._nodes, {type: table})._edges[_edge_type(type, self._nodes)]
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
            raise ValueError(
                f"filter_edges takes one bool per observed row of {type}: {table.num_rows} rows, mask has {mask.dtype} {mask.shape}"
            )
        return self if mask.all() else self._replace(type, table.filter(pa.array(mask)))

    def filter_nodes(self, type: str, mask: Any) -> HIN:
        """Only the observed nodes of a type where `mask` is true; edges of the others go with them, positions move up."""
        self.nodes[type]
        table = self._nodes[type]
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != (table.num_rows,):
            raise ValueError(
                f"filter_nodes takes one bool per observed node of {type!r}: {table.num_rows} nodes, mask has {mask.dtype} {mask.shape}"
            )
        if mask.all():
            return self
        moved = (np.cumsum(mask) - 1).astype(np.int32)
        edges = dict(self._edges)
        for edge, rows in edges.items():
            keep = np.ones(rows.num_rows, bool)
            for side, node in (("src", edge[0]), ("dst", edge[2])):
                if node == type:
                    keep &= mask[_numbers(rows[side])]
            if type in (edge[0], edge[2]):
                rows = rows.filter(pa.array(keep))
                for side, node in (("src", edge[0]), ("dst", edge[2])):
                    if node == type:
                        at = rows.column_names.index(side)
                        rows = rows.set_column(at, side, pa.array(moved[_numbers(rows[side])]))
                edges[edge] = _single(rows)
        return HIN._make({**self._nodes, type: _single(table.filter(pa.array(mask)))}, edges, self.deltas)

    def drop(self, *types: Type) -> HIN:
        """Without the named node types (their edges go too) or edge types."""
        for type in types:
            self.table(type)
        nodes = {t: table for t, table in self._nodes.items() if t not in types}
        edges = {t: table for t, table in self._edges.items() if t not in types and t[0] in nodes and t[2] in nodes}
        return HIN._make(nodes, edges, self.deltas)

    def _observed_table(self, type: Type) -> pa.Table:
        self.table(type)
        there: Mapping[Any, pa.Table] = self._edges if isinstance(type, tuple) else self._nodes
        if type not in there:
            raise UnknownNameError(f"every row of {type!r} comes from a delta, there are no observed rows to change")
        return there[type]

    def _replace(self, type: Type, table: pa.Table) -> HIN:
        table = _single(table)
        if isinstance(type, tuple):
            return HIN._make(self._nodes, {**self._edges, type: table}, self.deltas)
        return HIN._make({**self._nodes, type: table}, self._edges, self.deltas)

    def _with_lineage(self, lineage: Any) -> HIN:
        said = lineage if isinstance(lineage, Mapping) else dict.fromkeys([*self._nodes, *self._edges], lineage)
        nodes, edges = dict(self._nodes), dict(self._edges)
        for type, words in said.items():
            table = self.table(type)
            everything = not isinstance(words, Mapping)
            wanted = {} if everything else dict(words)
            unknown = [c for c in wanted if c not in table.column_names]
            if unknown:
                hint = tb.nearest(unknown[0], table.column_names)
                raise UnknownNameError(
                    f"lineage of {type!r}: no column {unknown[0]!r}; it has {table.column_names}{hint}"
                )
            fields = [
                tb.with_lineage(f, words if everything else wanted.get(f.name, tb.lineage_of(f))) for f in table.schema
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

    # ---- views over deltas ---------------------------------------------------------------------------------------

    def _node_view(self, type: str) -> pa.Table:
        if not self.deltas:
            return self._nodes[type]
        from hinaug.delta import overlay_nodes

        return overlay_nodes(self, type)

    def _edge_view(self, type: EdgeType) -> pa.Table:
        if not self.deltas:
            return self._edges[type]
        from hinaug.delta import overlay_edges

        return overlay_edges(self, type)

    # ---- comparing and showing -----------------------------------------------------------------------------------

    def equals(self, other: HIN, ordered: bool = True) -> bool:
        """Same types, columns and values, seen through the deltas. `ordered=False` forgives the order of rows."""
        if not isinstance(other, HIN) or set(self.nodes) != set(other.nodes) or set(self.edges) != set(other.edges):
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
            lines.append(f"  {type:<28} {seen:>10,}{_plus(table.num_rows - seen)}  {_columns(table, ('id',))}")
        lines.append("edges")
        for type in self.edges:
            table = self.edges[type]
            made = table.num_rows - table["origin"].null_count if "origin" in table.column_names else 0
            lines.append(
                f"  {' '.join(type):<28} {table.num_rows - made:>10,}{_plus(made)}  {_columns(table, ('src', 'dst'))}"
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
            row(t, self._nodes[t].num_rows, self.n(t) - self._nodes[t].num_rows, _columns(self.nodes[t], ("id",)))
            for t in self.nodes
        ]
        for type in self.edges:
            table = self.edges[type]
            made = table.num_rows - table["origin"].null_count if "origin" in table.column_names else 0
            body.append(row(" \u2192 ".join(type), table.num_rows - made, made, _columns(table, ("src", "dst"))))
        head = "".join(f"<th>{name}</th>" for name in ("type", "observed", "generated", "columns"))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"

    # ---- thin doors ----------------------------------------------------------------------------------------------

    def to_pyg(self, vectors: Mapping[str, str] | None = None) -> Any:
        from hinaug.convert import to_pyg

        return to_pyg(self, vectors)

    def to_networkx(self) -> Any:
        from hinaug.convert import to_networkx

        return to_networkx(self)

    def to_pandas(self) -> Any:
        from hinaug.convert import to_pandas

        return to_pandas(self)

    @classmethod
    def from_pyg(cls, data: Any) -> HIN:
        from hinaug.convert import from_pyg

        return from_pyg(data)

    @classmethod
    def from_networkx(cls, graph: Any) -> HIN:
        from hinaug.convert import from_networkx

        return from_networkx(graph)

    @classmethod
    def from_scipy(cls, matrix: Any, type: EdgeType = ("user", "rates", "item"), **ids: Any) -> HIN:
        from hinaug.convert import from_scipy

        return from_scipy(matrix, type, **ids)


# ---- checks ----------------------------------------------------------------------------------------------------------


def _node_type(type: Any) -> str:
    if not isinstance(type, str) or not type:
        raise SchemaError(f"a node type is a non-empty string, got {type!r}")
    return type


def _edge_type(type: Any, nodes: Mapping[str, Any]) -> EdgeType:
    if not (isinstance(type, tuple) and len(type) == 3 and all(isinstance(t, str) and t for t in type)):
        raise SchemaError(f"an edge type is (source, relation, target), three strings; got {type!r}")
    for node in (type[0], type[2]):
        if node not in nodes:
            raise UnknownNameError(
                f"edges {type}: no node type {node!r}; this graph has {list(nodes)}{tb.nearest(node, nodes)}"
            )
    return type


def _check_nodes(table: Any, type: str) -> pa.Table:
    where = f"nodes {type!r}"
    table = tb.as_table(table, where)
    if "id" not in table.column_names:
        raise SchemaError(
            f"{where}: no column 'id'; there is {table.column_names}{tb.nearest('id', table.column_names)}"
        )
    _refuse(table, where, PROVENANCE)
    field = table.schema.field("id")
    ids, kind = tb.id_strings(_chunk(table["id"]), f"{where}, column 'id'")
    if len(pc.unique(ids)) != len(ids):
        counts = pc.value_counts(ids)
        twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
        rows = np.flatnonzero(pc.is_in(ids, value_set=twice).to_numpy(zero_copy_only=False))
        raise SchemaError(
            f"{where}, column 'id': ids must be unique; {tb.some(twice.to_pylist())} stand again "
            f"in rows {tb.some(rows.tolist())}; drop or merge those rows"
        )
    metadata = dict(field.metadata or {})
    if kind:
        metadata[tb.ID_TYPE] = kind.encode()
    elif metadata.get(tb.ID_TYPE, b"int64").decode("ascii", "replace") not in tb.INTEGERS:
        raise SchemaError(f"{where}, column 'id': the metadata names {metadata[tb.ID_TYPE]!r} as the type of the ids")
    return table.set_column(table.column_names.index("id"), pa.field("id", pa.string(), metadata=metadata or None), ids)


def _check_edges(table: pa.Table, type: EdgeType, nodes: Mapping[str, pa.Table]) -> pa.Table:
    where = f"edges {type}"
    _refuse(table, where, PROVENANCE)
    for side, node in (("src", type[0]), ("dst", type[2])):
        if side not in table.column_names:
            raise SchemaError(f"{where}: no column {side!r}; there is {table.column_names}")
        column = _chunk(table[side])
        if not pa.types.is_integer(column.type) or column.null_count:
            raise SchemaError(
                f"{where}, column {side!r}: positions are integers without nulls, these are {column.type} with "
                f"{column.null_count} nulls; for external ids use HIN.from_tables"
            )
        numbers = column.to_numpy(zero_copy_only=False)
        bad = np.flatnonzero((numbers < 0) | (numbers >= nodes[node].num_rows))
        if bad.size:
            raise SchemaError(
                f"{where}, column {side!r}: position {numbers[bad[0]]} in row {bad[0]} points past "
                f"the {nodes[node].num_rows} nodes of {node!r} ({bad.size} such rows)"
            )
        if column.type != pa.int32():
            table = table.set_column(table.column_names.index(side), side, column.cast(pa.int32()))
    order = ["src", "dst", *(c for c in table.column_names if c not in ("src", "dst"))]
    return table if table.column_names == order else table.select(order)


def _refuse(table: pa.Table, where: str, names: Sequence[str]) -> None:
    for name in names:
        if name in table.column_names:
            raise SchemaError(f"{where}: column {name!r} is reserved for what generators write; rename it")


def _positions_of(ids: pa.Array, nodes: pa.Table, where: str, type: str) -> np.ndarray:
    asked, _ = tb.id_strings(ids, where)
    there = _chunk(nodes["id"])
    found = tb.lookup(there, asked)
    bad = np.flatnonzero(found < 0)
    if bad.size:
        names = asked.take(pa.array(bad[:1000])).to_pylist()
        hint = tb.nearest(names[0], there.slice(0, 20_000).to_pylist()) if len(there) else ""
        raise SchemaError(
            f"{where}: {bad.size} of {len(asked)} ids are no {type!r} nodes: {tb.some(list(dict.fromkeys(names)))} "
            f"(first rows {tb.some(bad[:5].tolist())}){hint or '; add those nodes or drop those rows'}"
        )
    return found


# ---- small helpers ---------------------------------------------------------------------------------------------------


def _chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else tb.one_chunk(column)


def _single(table: pa.Table) -> pa.Table:
    if all(c.num_chunks == 1 for c in table.columns):
        return table
    return pa.Table.from_arrays([_chunk(c) for c in table.columns], schema=table.schema)


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    return _chunk(column).to_numpy(zero_copy_only=False)


def _csr(
    src: np.ndarray,
    dst: np.ndarray,
    weight: np.ndarray | None,
    shape: tuple[int, int],
    duplicates: str | None,
    type: EdgeType,
) -> sp.csr_array:
    known = ("binary", "sum", "mean", "max", "last")
    if duplicates is not None and duplicates not in known:
        raise ValueError(f"duplicates={duplicates!r}: expected one of {known}")
    data = np.ones(len(src), np.float32) if weight is None or duplicates == "binary" else weight
    matrix = sp.coo_array((data, (src, dst)), shape=shape).tocsr()
    matrix.sum_duplicates()
    if matrix.nnz == len(src):
        return matrix
    if duplicates is None:
        raise ValueError(
            f"edges {type}: {len(src) - matrix.nnz} parallel rows; say duplicates='sum', 'mean', 'max' or 'last'"
        )
    if duplicates == "binary":
        matrix.data[:] = 1
    elif duplicates == "mean":
        counts = sp.coo_array((np.ones(len(src), np.float32), (src, dst)), shape=shape).tocsr()
        counts.sum_duplicates()
        matrix.data /= counts.data
    elif duplicates in ("max", "last"):  # rows sorted by pair, in the order in which the matrix stores the pairs
        pair = src.astype(np.int64) * shape[1] + dst
        order = np.argsort(pair, kind="stable")
        ends = np.flatnonzero(np.r_[np.diff(pair[order]) != 0, True])
        if duplicates == "last":
            matrix.data[:] = data[order[ends]]
        else:
            matrix.data[:] = np.maximum.reduceat(data[order], np.r_[0, ends[:-1] + 1])
    return matrix


def _table_lineage(table: pa.Table) -> str | None:
    value = (table.schema.metadata or {}).get(tb.LINEAGE)
    return value.decode() if value else None


def _by_id(hin: HIN, type: EdgeType) -> pa.Table:
    table = hin.edges[type]
    for side, node in (("src", type[0]), ("dst", type[2])):
        ids = _chunk(hin.nodes[node]["id"]).take(_chunk(table[side]))
        table = table.set_column(table.column_names.index(side), side, ids)
    return table


def _rows(table: pa.Table) -> list:
    """The rows as sorted text: equal multisets of rows, equal lists; columns that are null throughout do not count."""
    names = sorted(c for c in table.column_names if table[c].null_count < table.num_rows)
    return [names, sorted(map(repr, zip(*(table[n].to_pylist() for n in names), strict=True)))]


def _short(column: Column) -> str:
    dtype = f"vector[{column.dtype.list_size}]" if tb.is_vector(column.dtype) else str(column.dtype)
    return f"{dtype}({column.lineage})" if column.lineage else dtype


def _columns(table: pa.Table, skip: Sequence[str]) -> str:
    parts = []
    for field in table.schema:
        if field.name in skip or field.name in PROVENANCE:
            continue
        nulls = table[field.name].null_count
        share = f" {100 * nulls / table.num_rows:.0f}% null" if nulls else ""
        parts.append(f"{field.name} {_short(Column(field.type, tb.lineage_of(field)))}{share}")
    return ", ".join(parts) or "-"


def _plus(made: int) -> str:
    return f" + {made:,} generated" if made else ""
