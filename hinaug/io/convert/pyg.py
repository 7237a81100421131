"""PyG: HeteroData."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.errors import SchemaError
from hinaug.graph import arrow as tb
from hinaug.graph import expect
from hinaug.graph.hin import HIN
from hinaug.graph.schema import PROVENANCE, EdgeType
from hinaug.io.convert.shared import (
    graph_from_rows,
    name_of,
    need,
    no_marks,
    separate,
    visible_table,
    why_no_keys,
)

_OWN_NAMES = ("num_nodes", "edge_index", "generated")  # what PyG or `to_pyg` itself writes


def to_pyg(hin: HIN, vectors: Mapping[str, str] | None = None) -> Any:
    """A torch_geometric HeteroData.

    Node types have `num_nodes`, `id` (a list) and `x` [n, d]; edge types have `edge_index` [2, m],
    int64. Every other column keeps its name: numbers become tensors [n] and vectors tensors [n, d]
    (null is NaN; integers and booleans with nulls become float64), text and the rest become lists.
    Every type has the bool mask `generated`. Where it holds a generated row there are also
    `origin`, `key` and `confidence`: None, None and 1 on observed rows.

    Tensors share the memory of the graph where no number had to change its type: clone one before
    you write to it.

    vectors: {node type: column} that becomes `x` instead of the column "x", which is then left out.
    """
    expect.graph(hin, "to_pyg")
    hetero = need("torch_geometric.data", "torch-geometric", "to_pyg").HeteroData
    torch = need("torch", "torch", "to_pyg")
    chosen = dict(vectors or {})
    for type, column in chosen.items():
        _check_vectors(hin, type, column)
    data = hetero()
    for type in hin.nodes:
        store, table = data[type], visible_table(hin, type)
        store["num_nodes"] = table.num_rows
        x = chosen.get(type, "x")
        _fill_store(store, table, {x: "x"}, ("x",) if x != "x" else (), torch)
    for type in hin.edges:
        store = data[type]
        src, dst = hin.links(type)
        store["edge_index"] = torch.from_numpy(np.stack([src, dst]).astype(np.int64))
        _fill_store(store, hin.edges[type], {}, ("src", "dst"), torch)
    return data


def _check_vectors(hin: HIN, type: str, column: str) -> None:
    if not tb.is_vector(hin.column(type, column).type):
        there = [f.name for f in hin.table(type).schema if tb.is_vector(f.type)]
        raise SchemaError(
            f"to_pyg: {type!r}, column {column!r} is no vector column; `x` must be vectors; "
            f"columns of vectors are {there}",
            asked=column,
            there=there,
        )


def _fill_store(
    store: Any, table: pa.Table, rename: Mapping[str, str], skip: tuple[str, ...], torch: Any
) -> None:
    for name in table.column_names:
        if name in skip:
            continue
        if name in _OWN_NAMES:
            raise SchemaError(
                f"to_pyg: a column cannot be called {name!r} in PyG; rename it before", asked=name
            )
        store[rename.get(name, name)] = _values(name, tb.one_chunk(table[name]), torch)
    store["generated"] = torch.from_numpy(_is_generated(table))


def _values(name: str, column: pa.Array, torch: Any) -> Any:
    """A column as a tensor, or as a list where a tensor cannot hold it."""
    if name == "confidence":
        column = column.fill_null(1.0)
    if name == "id" or not (tb.is_number(column.type) or tb.is_vector(column.type)):
        return column.to_pylist()
    with warnings.catch_warnings():  # "the array is not writable": it is shared, see to_pyg
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(_numbers(column))


def _numbers(column: pa.Array) -> np.ndarray:
    """Numbers [n] or vectors [n, d]; null is NaN."""
    if tb.is_vector(column.type):
        return _vectors(column)
    if column.null_count and not pa.types.is_floating(column.type):
        column = column.cast(pa.float64())
    return column.to_numpy(zero_copy_only=False)


def _vectors(column: pa.Array) -> np.ndarray:
    width = column.type.list_size
    flat = column.values.slice(column.offset * width, len(column) * width)
    numbers = flat.to_numpy(zero_copy_only=False).reshape(len(column), width)
    if column.null_count:
        numbers = numbers.copy()
        numbers[column.is_null().to_numpy(zero_copy_only=False)] = np.nan
    return numbers


def _is_generated(table: pa.Table) -> np.ndarray:
    if "origin" not in table.column_names:
        return np.zeros(table.num_rows, bool)
    return tb.one_chunk(table["origin"]).is_valid().to_numpy(zero_copy_only=False).copy()


def from_pyg(data: Any, lineage: Any = None) -> HIN:
    """A graph from a HeteroData, made by `to_pyg` or not.

    Nodes without `id` get 0, 1, ... as ids. Tensors of one number a row become number columns,
    tensors [n, d] vectors, lists of n what their values are. NaN is null. Rows where the mask
    `generated` is true become one Delta; what they lack of `origin`, `confidence` and `key` is
    made anew. Without the mask, columns of these names are refused (see `hinaug.io.convert`).

    lineage: as `HIN.from_tables` takes it.
    Raises SchemaError for a value that has not one entry per row: delete it before.
    """
    hetero = need("torch_geometric.data", "torch-geometric", "from_pyg").HeteroData
    if not isinstance(data, hetero):
        raise SchemaError(
            f"from_pyg takes a HeteroData, got {type(data).__name__}; Data.to_heterogeneous() "
            "gives one from a Data",
            asked=type(data).__name__,
            there="HeteroData",
        )
    columns: dict[Any, dict[str, Any]] = {}
    ids: dict[str, pa.Array] = {}
    for node in data.node_types:
        n = _number_of_nodes(data, node)
        columns[node] = {"id": np.arange(n), **_columns(data[node], n, node)}
        ids[node] = tb.as_array(columns[node]["id"], f"from_pyg, ids of {node!r}")
    for edge in data.edge_types:
        ends = _ends(data, edge, ids)
        columns[edge] = {**_columns(data[edge], len(ends["src"]), edge), **ends}
    rows = {type: _separated(data[type], found, type) for type, found in columns.items()}
    return graph_from_rows(rows, lineage)


def _number_of_nodes(data: Any, node: str) -> int:
    n = data[node].num_nodes
    if n is None:
        raise SchemaError(
            f"from_pyg: {node!r} does not say how many nodes it has; set data[{node!r}].num_nodes",
            asked=node,
        )
    return n


def _ends(data: Any, edge: EdgeType, ids: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    """The external ids of both ends of every edge."""
    if "edge_index" not in data[edge]:
        raise SchemaError(
            f"from_pyg: {edge} has no edge_index; PyG's ToSparseTensor removes it, convert before",
            asked=edge,
        )
    ends = {}
    src, dst = data[edge].edge_index.detach().cpu().numpy()
    for side, positions, node in (("src", src, edge[0]), ("dst", dst, edge[2])):
        known = ids.get(node, pa.array([], pa.int64()))
        if len(positions) and (positions.min() < 0 or positions.max() >= len(known)):
            raise SchemaError(
                f"from_pyg: edge_index of {edge} points past the {len(known)} nodes of {node!r}; "
                f"set data[{node!r}].num_nodes, or mend the edge_index",
                asked=edge,
                there=len(known),
            )
        ends[side] = known.take(pa.array(positions))
    return ends


def _columns(store: Any, n: int, where: Any) -> dict[str, Any]:
    """Every attribute of a type as a column of n rows."""
    columns = {}
    for name, value in store.items():
        if name in _OWN_NAMES:
            continue
        if hasattr(value, "detach"):
            value = _from_tensor(value)
        if not _is_column(value, n):
            shape = tuple(value.shape) if hasattr(value, "shape") else type(value).__name__
            raise SchemaError(
                f"from_pyg: {name!r} of {where!r} ({shape}) has not one value for each of {n} "
                "rows; del it before",
                asked=name,
                there=str(shape),
            )
        columns[name] = value
    return columns


def _from_tensor(tensor: Any) -> np.ndarray:
    values = tensor.detach().cpu().numpy()
    return values.astype(np.float32) if values.ndim == 2 and values.dtype.kind != "f" else values


def _is_column(value: Any, n: int) -> bool:
    if isinstance(value, str) or not hasattr(value, "__len__"):
        return False
    return getattr(value, "ndim", 1) in (1, 2) and len(value) == n


def _separated(store: Any, columns: dict[str, Any], type: Any) -> tuple[pa.Table, pa.Table]:
    """The observed rows without marks, and the generated rows with theirs."""
    table = tb.as_table(columns, name_of(type))
    if "generated" not in store:
        return separate(table, type, "from_pyg")
    is_generated = pa.array(store["generated"].detach().cpu().numpy().astype(bool))
    observed, generated = table.filter(pc.invert(is_generated)), table.filter(is_generated)
    there = [name for name in PROVENANCE if name in table.column_names]
    reason = _why_no_marks(observed, generated, there)
    if reason:
        raise no_marks(there, type, "from_pyg", reason)
    return observed.drop_columns(there), generated


def _why_no_marks(observed: pa.Table, generated: pa.Table, there: list[str]) -> str | None:
    """In words, why columns with the names of marks contradict the mask `generated`."""
    for name in there:
        values = tb.one_chunk(observed[name]).drop_null()
        if name == "confidence" and tb.is_number(values.type):
            values = values.filter(pc.not_equal(values, 1))  # as `to_pyg` writes it
        if len(values):
            return f"rows that are not `generated` have the {name} {values[0].as_py()!r}"
    keys = tb.one_chunk(generated["key"]) if "key" in there else None
    return why_no_keys(keys) if keys is not None and keys.null_count < len(keys) else None
