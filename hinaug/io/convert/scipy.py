"""scipy: one relation as a sparse matrix. `HIN.adjacency` is the way out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.errors import SchemaError
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType


def from_scipy(
    matrix: Any,
    type: EdgeType = ("user", "rates", "item"),
    *,
    row_ids: Any = None,
    col_ids: Any = None,
) -> HIN:
    """A graph of one relation from a sparse or dense matrix: one edge per stored entry.

    matrix: numbers [n_sources, n_targets]; values other than 1 are kept in the column "weight".
    type: (source, relation, target). If both ends are one node type, the matrix is square.
    row_ids: external ids of the sources, [n_sources]; 0, 1, ... where not given.
    col_ids: external ids of the targets, [n_targets]; 0, 1, ... where not given. They are left out
        where row_ids name both ends.
    Raises SchemaError.
    """
    if not (isinstance(type, tuple) and len(type) == 3):
        raise SchemaError(
            f"from_scipy: type={type!r}: a tuple is needed, such as ('user', 'rates', 'item')",
            asked=type,
        )
    entries = _entries(matrix)
    rows, columns = entries.coords
    edges = {"src": rows, "dst": columns}
    if not (entries.data == 1).all():
        edges["weight"] = tb.as_array(entries.data, f"from_scipy, values of {type}")
    nodes = {type[0]: {"id": _ids(row_ids, 0, type[0], entries.shape)}}
    if type[0] == type[2]:
        _check_square(entries.shape, type, col_ids)
    else:
        nodes[type[2]] = {"id": _ids(col_ids, 1, type[2], entries.shape)}
    return HIN(nodes, {type: edges})


def _entries(matrix: Any) -> sp.coo_array:
    matrix = matrix if sp.issparse(matrix) else np.asarray(matrix)
    if matrix.ndim != 2 or matrix.dtype.kind not in "biuf":
        raise SchemaError(
            "from_scipy takes a matrix of numbers, sparse or dense, got an array of shape "
            f"{matrix.shape}, {matrix.dtype}",
            asked=matrix.shape,
        )
    return sp.coo_array(matrix)


def _check_square(shape: tuple[int, int], type: EdgeType, col_ids: Any) -> None:
    if shape[0] != shape[1] or col_ids is not None:
        too_many = "" if col_ids is None else ", and col_ids: leave them out"
        raise SchemaError(
            f"from_scipy: {type} joins {type[0]!r} to itself: the matrix is square and row_ids "
            f"name both sides; got shape {shape}{too_many}",
            asked=shape,
        )


def _ids(ids: Any, axis: int, node: str, shape: tuple[int, int]) -> pa.Array:
    n = shape[axis]
    array = tb.as_array(np.arange(n) if ids is None else ids, f"from_scipy, ids of {node!r}")
    if len(array) != n:
        raise SchemaError(
            f"from_scipy: {len(array)} ids for the {n} {node!r} nodes of a matrix of shape "
            f"{shape}; row_ids and col_ids give one a row and one a column",
            asked=len(array),
            there=n,
        )
    return array
