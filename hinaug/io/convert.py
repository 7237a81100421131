"""Doors to other forms of a graph: PyG HeteroData, networkx, scipy, pandas, Parquet.

Every way out shows the graph as seen through its deltas, with external ids in the user's own type
(text as soon as generated nodes are among them), and marks generated rows; every way back makes the
marked rows one Delta again, so that `from_x(to_x(hin)).equals(hin)`, for networkx up to the order
of edges. What no form keeps: the masked rows, which are not there to be seen; which cells a delta
filled; where one delta ends and the next begins. Beyond that

    form      lost on the way out and back
    Parquet   nothing
    pandas    lineage; the type of a column without a value
    networkx  categories that nothing uses; and without `graph.graph["hinaug_schema"]` types without rows, columns without
              values, lineage, and widths of numbers
    PyG       lineage; integers and booleans with nulls come back as floats, categories as text, dates with the unit of
              Python's datetime; a text column travels as a list, because tensors hold no text
    scipy     everything but one relation and one weight

`hin.adjacency` is the way to scipy. torch, PyG, networkx and pandas are imported when they are
asked for.
"""

from __future__ import annotations

import importlib
import os
import re
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hinaug import checks
from hinaug.errors import KindError, SchemaError, some
from hinaug.graph import arrow as tb
from hinaug.graph import expect
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.schema import PROVENANCE, EdgeType, Type

_PYG_NAMES = ("num_nodes", "edge_index", "generated")


def _need(module: str, package: str, door: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{door} needs {package}, which cannot be imported ({error}); pip install {package}"
        ) from error


def _seen(hin: HIN, type: Type) -> pa.Table:
    """A table as seen through the deltas, by external ids in the user's own type."""
    table = hin.table(type)
    if isinstance(type, str):
        at = table.column_names.index("id")
        ids = hin.ids(type)
        return table.set_column(
            at, pa.field("id", ids.type, metadata=table.schema.field(at).metadata), ids
        )
    for at, (side, node) in enumerate((("src", type[0]), ("dst", type[2]))):
        table = table.set_column(at, side, hin.ids(node).take(tb.one_chunk(table[side])))
    return table


def _assemble(tables: Mapping[Any, Any], lineage: Any = None) -> HIN:
    """The way back: rows with an "origin" were generated and become one Delta, the others are
    observed.
    """
    observed: dict[Any, pa.Table] = {}
    made: dict[Any, pa.Table] = {}
    for type, given in tables.items():
        table = tb.as_table(given, f"{'edges' if isinstance(type, tuple) else 'nodes'} {type!r}")
        if "origin" in table.column_names:
            generated = pc.is_valid(table["origin"])
            made[type] = table.filter(generated)
            table = table.filter(pc.invert(generated))
        observed[type] = table.drop_columns([c for c in PROVENANCE if c in table.column_names])
    hin = HIN.from_tables(
        {t: table for t, table in observed.items() if isinstance(t, str)},
        {t: table for t, table in observed.items() if not isinstance(t, str)},
        lineage=lineage,
    )
    delta = Delta(
        {t: table for t, table in made.items() if isinstance(t, str)},
        {t: table for t, table in made.items() if not isinstance(t, str)},
    )
    return hin + delta if len(delta) else hin


# ---- PyG -----------------------------------------------------------------------------------------


def to_pyg(hin: HIN, vectors: Mapping[str, str] | None = None) -> Any:
    """A torch_geometric HeteroData.

    vectors: {node type: column} that becomes `x`, instead of the column "x" (which is then left
        out).
    Nodes: `num_nodes`, `id` (a list), `x` [n, d]. Edges: `edge_index` [2, m] int64. Every other
        column under its own
    name: numbers [n] and vectors [n, d] as tensors (null is NaN; integers and booleans with nulls
    become float64), text and the rest as lists. `generated` is a bool mask on every type; generated
    rows also have `origin`, `key` and `confidence`, which is 1 on observed rows. Tensors share the
    memory of the graph wherever no type had to be changed: clone one before you write to it.
    """
    expect.graph(hin, "to_pyg")
    hetero = _need("torch_geometric.data", "torch-geometric", "to_pyg").HeteroData
    torch = _need("torch", "torch", "to_pyg")
    chosen = dict(vectors or {})
    for type, column in chosen.items():
        if not tb.is_vector(hin.column(type, column).type):
            there = [f.name for f in hin.table(type).schema if tb.is_vector(f.type)]
            raise SchemaError(
                f"to_pyg: {type!r}, column {column!r} is no vector column; `x` must be vectors; "
                f"columns of vectors are {there}"
            )
    data = hetero()
    for type in hin.nodes:
        store, table = data[type], _seen(hin, type)
        store["num_nodes"] = table.num_rows
        x = chosen.get(type, "x")
        _fill_store(store, table, {x: "x"}, ("x",) if x != "x" else (), torch)
    for type in hin.edges:
        store = data[type]
        src, dst = hin.links(type)
        store["edge_index"] = torch.from_numpy(np.stack([src, dst]).astype(np.int64))
        _fill_store(store, hin.edges[type], {}, ("src", "dst"), torch)
    return data


def _fill_store(
    store: Any, table: pa.Table, rename: Mapping[str, str], skip: tuple[str, ...], torch: Any
) -> None:
    generated = np.zeros(table.num_rows, bool)
    if "origin" in table.column_names:
        generated = tb.one_chunk(table["origin"]).is_valid().to_numpy(zero_copy_only=False)
    for name in table.column_names:
        if name in skip:
            continue
        if name in _PYG_NAMES:
            raise SchemaError(
                f"to_pyg: a column cannot be called {name!r} in PyG; rename it before"
            )
        column = tb.one_chunk(table[name])
        if name == "confidence":
            column = column.fill_null(1.0)
        if name == "id" or not (tb.is_number(column.type) or tb.is_vector(column.type)):
            store[rename.get(name, name)] = column.to_pylist()
        else:
            store[rename.get(name, name)] = _tensor(column, torch)
    store["generated"] = torch.from_numpy(generated.copy())


def _tensor(column: pa.Array, torch: Any) -> Any:
    if tb.is_vector(column.type):
        width = column.type.list_size
        flat = column.values.slice(column.offset * width, len(column) * width)
        numbers = flat.to_numpy(zero_copy_only=False).reshape(len(column), width)
        if column.null_count:
            numbers = numbers.copy()
            numbers[column.is_null().to_numpy(zero_copy_only=False)] = np.nan
    elif column.null_count and not pa.types.is_floating(column.type):
        numbers = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    else:
        numbers = column.to_numpy(zero_copy_only=False)
    with warnings.catch_warnings():  # "the array is not writable": it is shared, see to_pyg
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(numbers)


def from_pyg(data: Any, lineage: Any = None) -> HIN:
    """A graph from a HeteroData, made by `to_pyg` or not.

    Nodes without `id` get 0, 1, ... as ids. Tensors of one number a row become number columns,
    tensors [n, d] vectors, lists of n what their values are. NaN is null. What has not one value
    per row is an error: delete it before.
    """
    hetero = _need("torch_geometric.data", "torch-geometric", "from_pyg").HeteroData
    if not isinstance(data, hetero):
        raise SchemaError(
            f"from_pyg takes a HeteroData, got {type(data).__name__}; Data.to_heterogeneous() "
            "gives one from a Data"
        )
    tables: dict[Any, dict[str, Any]] = {}
    for node in data.node_types:
        n = data[node].num_nodes
        if n is None:
            raise SchemaError(
                f"from_pyg: {node!r} does not say how many nodes it has; set "
                f"data[{node!r}].num_nodes"
            )
        tables[node] = {"id": np.arange(n), **_columns(data[node], n, node)}
    ids = {
        node: tb.as_array(columns["id"], f"from_pyg, ids of {node!r}")
        for node, columns in tables.items()
    }
    for edge in data.edge_types:
        if "edge_index" not in data[edge]:
            raise SchemaError(
                f"from_pyg: {edge} has no edge_index; PyG's ToSparseTensor removes it, convert "
                "before"
            )
        src, dst = data[edge].edge_index.detach().cpu().numpy()
        columns = _columns(data[edge], len(src), edge)
        for side, positions, node in (("src", src, edge[0]), ("dst", dst, edge[2])):
            known = ids.get(node, pa.array([], pa.int64()))
            if len(positions) and (positions.min() < 0 or positions.max() >= len(known)):
                raise SchemaError(
                    f"from_pyg: edge_index of {edge} points past the {len(known)} nodes of "
                    f"{node!r}; "
                    f"set data[{node!r}].num_nodes, or mend the edge_index"
                )
            columns[side] = known.take(pa.array(positions))
        tables[edge] = columns
    return _assemble(tables, lineage)


def _columns(store: Any, n: int, where: Any) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name, value in store.items():
        if name in _PYG_NAMES:
            continue
        if hasattr(value, "detach"):
            value = value.detach().cpu().numpy()
            if value.ndim == 2 and value.dtype.kind != "f":
                value = value.astype(np.float32)
        if (
            getattr(value, "ndim", 1) not in (1, 2)
            or not hasattr(value, "__len__")
            or len(value) != n
            or isinstance(value, str)
        ):
            shape = tuple(value.shape) if hasattr(value, "shape") else type(value).__name__
            raise SchemaError(
                f"from_pyg: {name!r} of {where!r} ({shape}) has not one value for each of {n} "
                "rows; del it before"
            )
        columns[name] = value
    generated = store["generated"].cpu().numpy() if "generated" in store else np.zeros(n, bool)
    if generated.any() or "origin" in columns:
        origin = columns.get("origin", ["unnamed"] * n)
        columns["origin"] = pa.array(
            [o if g else None for o, g in zip(origin, generated, strict=True)], pa.string()
        )
    return columns


# ---- networkx ------------------------------------------------------------------------------------


def to_networkx(hin: HIN) -> Any:
    """A networkx MultiDiGraph: nodes are (type, id), edges have the relation as their key.

    Rows that are parallel in one relation have the keys relation, (relation, 1), (relation, 2), ...
    Values that are null are left out. Only generated nodes and edges have the attributes origin,
    confidence and key.
    """
    expect.graph(hin, "to_networkx")
    nx = _need("networkx", "networkx", "to_networkx")
    graph = nx.MultiDiGraph()
    graph.graph["hinaug_schema"] = {t: _seen(hin, t).schema for t in [*hin.nodes, *hin.edges]}
    for type in hin.nodes:
        for row in _seen(hin, type).to_pylist():
            node = (type, row.pop("id"))
            graph.add_node(node)
            graph.nodes[node].update({k: v for k, v in row.items() if v is not None})
    for source, relation, target in hin.edges:
        for row in _seen(hin, (source, relation, target)).to_pylist():
            u, v = (source, row.pop("src")), (target, row.pop("dst"))
            key: Any = relation
            times = 0
            while graph.has_edge(u, v, key):
                times += 1
                key = (relation, times)
            graph.add_edges_from([(u, v, key, {k: x for k, x in row.items() if x is not None})])
    return graph


def from_networkx(graph: Any, lineage: Any = None) -> HIN:
    """A graph from a directed networkx graph whose nodes are (type, id) and whose edge keys are
    relations.

    The key may also be (relation, anything). Rows are in networkx's order: edges by their source.
    """
    nx = _need("networkx", "networkx", "from_networkx")
    if not isinstance(graph, nx.MultiDiGraph):
        raise SchemaError(
            f"from_networkx takes a MultiDiGraph, got {type(graph).__name__}; make one, with the "
            "relations as edge keys"
        )
    schemas: dict[Any, pa.Schema] = graph.graph.get("hinaug_schema", {})
    rows: dict[Any, list[dict]] = {t: [] for t in schemas}
    for node, attributes in graph.nodes(data=True):
        if not (isinstance(node, tuple) and len(node) == 2 and isinstance(node[0], str)):
            raise SchemaError(
                f"from_networkx: nodes are (type, id), this one is {node!r}; relabel with "
                "nx.relabel_nodes"
            )
        rows.setdefault(node[0], []).append({**attributes, "id": node[1]})
    for u, v, key, attributes in graph.edges(keys=True, data=True):
        relation = key[0] if isinstance(key, tuple) and key else key
        if not isinstance(relation, str):
            raise SchemaError(
                f"from_networkx: edge keys are relations, such as 'rates'; the one from {u!r} to "
                f"{v!r} is {key!r}; "
                "add edges with add_edge(u, v, key=relation)"
            )
        rows.setdefault((u[0], relation, v[0]), []).append({**attributes, "src": u[1], "dst": v[1]})
    return _assemble(
        {t: _from_rows(found, schemas.get(t), t) for t, found in rows.items()}, lineage
    )


def _from_rows(rows: list[dict], schema: pa.Schema | None, type: Type) -> pa.Table:
    known = schema or pa.schema([])
    ends = ("id",) if isinstance(type, str) else ("src", "dst")
    names = dict.fromkeys([*known.names, *ends, *(name for row in rows for name in row)])
    columns, fields = [], []
    for name in names:
        values = [row.get(name) for row in rows]
        field = known.field(name) if name in known.names else None
        try:
            column = pa.array(values, field.type if field else None, from_pandas=True)
        except (
            pa.ArrowInvalid,
            pa.ArrowTypeError,
            TypeError,
            OverflowError,
        ):  # changed since the schema was noted
            field, column = None, tb.as_array(values, f"{type!r}, attribute {name!r}")
        if name in ends and not rows and field is None:
            column = pa.array([], pa.string())
        columns.append(column)
        fields.append(pa.field(name, column.type, metadata=field.metadata if field else None))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata=known.metadata))


# ---- scipy ---------------------------------------------------------------------------------------


def from_scipy(
    matrix: Any,
    type: EdgeType = ("user", "rates", "item"),
    *,
    row_ids: Any = None,
    col_ids: Any = None,
) -> HIN:
    """A graph of one relation from a sparse (or dense) matrix: one edge per stored entry.

    Values other than 1 are kept in the column "weight". row_ids, col_ids: external ids, 0, 1, ...
    where not given. For a relation within one node type the matrix is square, and row_ids name both
    sides.
    """
    if not (isinstance(type, tuple) and len(type) == 3):
        raise SchemaError(
            f"from_scipy: type={type!r}: a tuple is needed, such as ('user', 'rates', 'item')"
        )
    matrix = matrix if sp.issparse(matrix) else np.asarray(matrix)
    if matrix.ndim != 2 or matrix.dtype.kind not in "biuf":
        raise SchemaError(
            "from_scipy takes a matrix of numbers, sparse or dense, got an array of shape "
            f"{matrix.shape}, {matrix.dtype}"
        )
    entries = sp.coo_array(matrix)
    rows, columns = entries.coords
    same = type[0] == type[2]
    if same and (entries.shape[0] != entries.shape[1] or col_ids is not None):
        raise SchemaError(
            f"from_scipy: {type} joins {type[0]!r} to itself: the matrix is square and row_ids "
            "name both sides; "
            f"got shape {entries.shape}{', and col_ids: leave them out' if col_ids is not None else ''}"
        )
    nodes = {}
    for node, ids, n in (
        (type[0], row_ids, entries.shape[0]),
        (type[2], col_ids, entries.shape[1]),
    ):
        if same and node in nodes:
            continue
        array = tb.as_array(np.arange(n) if ids is None else ids, f"from_scipy, ids of {node!r}")
        if len(array) != n:
            raise SchemaError(
                f"from_scipy: {len(array)} ids for the {n} {node!r} nodes of a matrix of shape "
                f"{entries.shape}; "
                "row_ids and col_ids give one a row and one a column"
            )
        nodes[node] = {"id": array}
    edges = {"src": rows, "dst": columns}
    if not (entries.data == 1).all():
        edges["weight"] = tb.as_array(entries.data, f"from_scipy, values of {type}")
    return HIN(nodes, {type: edges})


# ---- pandas --------------------------------------------------------------------------------------


def to_pandas(hin: HIN) -> dict[Type, Any]:
    """{type: DataFrame}; edges by external ids in "src" and "dst"; generated rows have origin,
    confidence and key.

    Integers and booleans with nulls have pandas' nullable types, vectors are arrays in an object
    column.
    """
    expect.graph(hin, "to_pandas")
    pd = _need("pandas", "pandas", "to_pandas")
    nullable = {pa.bool_(): pd.BooleanDtype()}
    for name in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"):
        nullable[getattr(pa, name.lower())()] = getattr(pd, f"{name}Dtype")()

    def series(column: pa.ChunkedArray) -> Any:
        return column.to_pandas(types_mapper=nullable.get if column.null_count else None)

    frames: dict[Type, Any] = {}
    for type in [*hin.nodes, *hin.edges]:
        table = _seen(hin, type)
        frames[type] = pd.DataFrame({name: series(table[name]) for name in table.column_names})
    return frames


def from_pandas(frames: Mapping[Any, Any], lineage: Any = None) -> HIN:
    """The way back from `to_pandas`: node types are strings, edge types triples. Any other kind of
    table will do too.

    Rows that have an "origin" are generated. For tables of observed rows alone this is
    `HIN.from_tables`.
    """
    if not isinstance(frames, Mapping):
        raise KindError(
            f"from_pandas takes {{type: DataFrame}}, a dict as to_pandas gives it; got "
            f"{checks.kind(frames)}"
        )
    return _assemble(frames, lineage)


# ---- Parquet -------------------------------------------------------------------------------------


def to_parquet(hin: HIN, folder: str | os.PathLike[str]) -> None:
    """Plain Parquet files for DuckDB, Spark or Polars, with external ids to join on.

    nodes/user.parquet, edges/user.rates.item.parquet, ...; in names, everything but letters,
    digits, "_" and "-" is percent-encoded. The folder must be new or empty. This is for other
    programs: `save` keeps deltas and checksums.
    """
    import pyarrow.parquet as pq

    expect.graph(hin, "to_parquet")
    folder = checks.folder(folder, "to_parquet")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SchemaError(f"to_parquet: {folder} is not an empty folder; name a new one")
    names = {
        type: ".".join(map(_quoted, [type] if isinstance(type, str) else type))
        for type in [*hin.nodes, *hin.edges]
    }
    for type, name in names.items():
        if len(name) > 240:
            raise SchemaError(
                f"to_parquet: {type!r} is too long for the name of a file ({len(name)} letters); "
                "rename it"
            )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".hinaug-") as temporary:
        done = Path(temporary) / "done"  # becomes the folder when all is written: never half
        for kind, types in (("nodes", hin.nodes), ("edges", hin.edges)):
            (done / kind).mkdir(parents=True)
            for type in types:
                pq.write_table(_seen(hin, type), done / kind / f"{names[type]}.parquet")
        if folder.exists():
            folder.rmdir()
        done.rename(folder)


def from_parquet(folder: str | os.PathLike[str], lineage: Any = None) -> HIN:
    """A graph from a folder as `to_parquet` writes it, also after another program wrote the files
    anew.

    In place of a file there may be a folder of part files, as Spark leaves them.
    """
    import pyarrow.parquet as pq

    folder = checks.folder(folder, "from_parquet")
    tables: dict[Any, pa.Table] = {}
    for kind, parts in (("nodes", 1), ("edges", 3)):
        for path in sorted((folder / kind).glob("*.parquet")):
            names = [unquote(name) for name in path.name.removesuffix(".parquet").split(".")]
            if len(names) != parts:
                expected = (
                    "nodes/TYPE.parquet" if parts == 1 else "edges/SOURCE.RELATION.TARGET.parquet"
                )
                raise SchemaError(
                    f"from_parquet: {path} is not named {expected}; rename it or take it away"
                )
            try:
                tables[names[0] if parts == 1 else tuple(names)] = pq.read_table(
                    path, partitioning=None
                )
            except (pa.ArrowException, OSError) as error:
                raise SchemaError(
                    f"from_parquet: {path} cannot be read as Parquet: {error}; write it anew"
                ) from error
    if not tables:
        there = (
            f"there is {some(sorted(os.listdir(folder))) or 'nothing'}"
            if folder.is_dir()
            else "it is no folder"
        )
        raise SchemaError(
            f"from_parquet: {folder} has no nodes/*.parquet and edges/*.parquet files; {there}; "
            "pass what to_parquet wrote"
        )
    return _assemble(tables, lineage)


def _quoted(name: str) -> str:
    return re.sub(r"[^\w-]", lambda m: "".join(f"%{byte:02X}" for byte in m.group().encode()), name)
