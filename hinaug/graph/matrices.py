"""Sparse matrices from a graph: adjacency, commuting matrices of metapaths, PathSim. Arrays in,
arrays out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp

from hinaug.errors import ParameterError, UnknownNameError
from hinaug.graph import spill

DUPLICATES = ("binary", "sum", "mean", "max", "last")
_ENTRY = 8  # bytes of a stored float32 with its int32 column


def csr(
    src: np.ndarray,
    dst: np.ndarray,
    weight: np.ndarray | None,
    shape: tuple[int, int],
    duplicates: str | None,
    type: Any,
) -> sp.csr_array:
    """Rows of an edge table as a canonical float32 CSR matrix; `duplicates` says what becomes of
    parallel rows.

    Two counting sorts, by column and then by row: both keep the order of equal keys, so that
    parallel rows end up side by side in row order, and the columns of each row end up sorted,
    without a comparison.
    """
    if duplicates is not None and duplicates not in DUPLICATES:
        raise ParameterError(f"duplicates={duplicates!r}: expected one of {DUPLICATES}")
    is_pattern = weight is None or duplicates == "binary"
    data = np.ones(len(src), np.int8) if is_pattern else weight  # a byte until the sorting is done
    matrix = _sorted_rows(src, dst, data, shape)
    new = np.ones(matrix.nnz, bool)  # whether an entry is the first of its pair
    np.not_equal(matrix.indices[1:], matrix.indices[:-1], out=new[1:])
    rows = matrix.indptr[:-1]
    new[rows[rows < matrix.nnz]] = True
    n_pairs = int(np.count_nonzero(new))
    if n_pairs == len(new):
        values = np.ones(len(new), np.float32) if is_pattern else matrix.data
        return _canonical(values, matrix.indices, matrix.indptr, shape)
    if duplicates is None:
        raise ParameterError(
            f"edges {type}: {len(src) - n_pairs} parallel rows; say duplicates='sum', 'mean', "
            "'max' or 'last'"
        )
    merged = _merged(matrix.data, new, duplicates)
    indptr = matrix.indptr - np.searchsorted(np.flatnonzero(~new), matrix.indptr)
    return _canonical(merged, matrix.indices[new], indptr.astype(matrix.indptr.dtype), shape)


def _sorted_rows(
    src: np.ndarray, dst: np.ndarray, data: Any, shape: tuple[int, int]
) -> sp.csr_array:
    """Rows as CSR in which parallel rows stand side by side, in their order."""
    coo = sp.coo_array((data, (src, dst)), shape=shape)
    coo.has_canonical_format = True  # else scipy would sum parallel rows on the way
    return coo.tocsc().tocsr()


def _merged(data: np.ndarray, new: np.ndarray, duplicates: str) -> np.ndarray:
    """One number for each run of `data` that begins where `new` says."""
    if duplicates == "binary":
        return np.ones(np.count_nonzero(new), np.float32)
    data, starts = data.astype(np.float32, copy=False), np.flatnonzero(new)
    if duplicates == "last":
        return data[np.append(starts[1:], len(data)) - 1]
    if duplicates == "max":
        return np.maximum.reduceat(data, starts)
    merged = np.add.reduceat(data, starts)
    if duplicates == "mean":
        merged /= np.diff(starts, append=len(data))
    return merged


def _canonical(
    data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, shape: tuple[int, int]
) -> sp.csr_array:
    """The matrix of arrays that are in order; large ones move into files."""
    matrix = sp.csr_array((spill.filed(data), spill.filed(indices), indptr), shape=shape)
    matrix.has_canonical_format = True
    return matrix


def path_steps(
    types: Sequence[Any], nodes: Mapping[str, Any], edges: Mapping[Any, Any]
) -> list[tuple[Any, bool]]:
    """(edge type, whether it is walked forward) for node types or edge types in a row."""
    if len(types) < 1 or (len(types) == 1 and isinstance(types[0], str)):
        raise ParameterError("a metapath has at least two node types or one edge type")
    if all(isinstance(t, tuple) for t in types):
        return _named_steps(types, edges)
    for t in types:
        nodes[t]  # raises, naming what there is
    return [_only_step(a, b, types, edges) for a, b in pairwise(types)]


def _only_step(a: str, b: str, types: Sequence[Any], edges: Mapping[Any, Any]) -> tuple[Any, bool]:
    """The one edge type between two node types, and whether it is walked forward."""
    joining = [e for e in edges if (a, b) in ((e[0], e[2]), (e[2], e[0]))]
    if len(joining) == 1:
        return joining[0], (joining[0][0], joining[0][2]) == (a, b)
    what = f"no edge type; this graph has {list(edges)}"
    if joining:
        what = f"several edge types {joining}: name one"
    raise UnknownNameError(
        f"metapath {types}: between {a!r} and {b!r} there is {what}",
        asked=(a, b),
        there=joining or list(edges),
    )


def _named_steps(types: Sequence[Any], edges: Mapping[Any, Any]) -> list[tuple[Any, bool]]:
    steps: list[tuple[Any, bool]] = []
    here = None
    for i, edge in enumerate(types):
        edges[edge]
        ahead = types[i + 1] if i + 1 < len(types) else None
        forward = (
            edge[0] == here
            if here is not None
            else ahead is None or edge[2] in (ahead[0], ahead[2])
        )
        if here is not None and here not in (edge[0], edge[2]):
            raise ParameterError(f"metapath {types}: {edge} does not start at {here!r}")
        steps.append((edge, forward))
        here = edge[2] if forward else edge[0]
    return steps


def product(factors: Sequence[sp.csr_array], memory: int | None = None) -> sp.csr_array:
    """The product of CSR matrices, float32. memory: bytes for the result and the block of rows in
    work, beside the factors.

    A quarter of the budget is for the block (at least one row), the rest for the result.
    MemoryError as soon as the result outgrows it, with the size that the whole would have, guessed
    from the rows that are done.
    """
    if memory is None or len(factors) == 1:
        out = factors[0]
        for factor in factors[1:]:
            out = out @ factor
        return out
    bound = _row_bounds(factors)
    total = int(bound[-1].sum())
    room = max(0, int(memory)) * 3 // (4 * _ENTRY)
    try:
        indices, data = (
            np.empty(min(total, room), kind) for kind in (np.int32, np.float32)
        )  # pages not used cost nothing
    except MemoryError:
        raise MemoryError(
            f"metapath: this machine does not grant memory={memory:,} bytes; name a smaller budget"
        ) from None
    counts = np.zeros(factors[0].shape[0], np.int64)
    done = 0
    for start, stop in _blocks(bound.max(axis=0), max(0, int(memory)) // (8 * _ENTRY)):
        part = factors[0][start:stop]
        for factor in factors[1:]:
            part = part @ factor
        if done + part.nnz > room:
            needed = int((done + part.nnz) * total / max(1, bound[-1, :stop].sum())) * _ENTRY
            raise MemoryError(
                f"metapath: the result needs about {needed:,} bytes, and memory={memory:,} leaves "
                f"it {room * _ENTRY:,}; "
                f"pass memory={needed * 3 // 2:,} if there is as much, or choose a path with "
                "fewer or sparser steps"
            )
        indices[done : done + part.nnz], data[done : done + part.nnz] = part.indices, part.data
        counts[start:stop] = np.diff(part.indptr)
        done += part.nnz
    indices.resize(done, refcheck=False)
    data.resize(done, refcheck=False)
    indptr = np.r_[0, np.cumsum(counts)]
    if done <= np.iinfo(np.int32).max:
        indptr = indptr.astype(np.int32)
    return sp.csr_array((data, indices, indptr), shape=(factors[0].shape[0], factors[-1].shape[1]))


def _row_bounds(factors: Sequence[sp.csr_array]) -> np.ndarray:
    """[step, row]: at most so many entries has a row of the product up to that step."""
    bounds = [np.diff(factors[0].indptr).astype(np.float64)]
    for n in range(1, len(factors)):
        walks = np.diff(factors[n].indptr).astype(np.float64)
        for factor in reversed(factors[:n]):
            walks = _pattern(factor) @ walks
        bounds.append(np.minimum(walks, factors[n].shape[1]))
    return np.stack(bounds)


def _pattern(matrix: sp.csr_array) -> sp.csr_array:
    return sp.csr_array(
        (np.ones(matrix.nnz, np.float32), matrix.indices, matrix.indptr), shape=matrix.shape
    )


def _blocks(size: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Runs of rows whose sizes add up to at most `most`; at least one row each."""
    ends = np.cumsum(size)
    start = 0
    while start < len(size):
        before = ends[start - 1] if start else 0.0
        stop = max(start + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield start, stop
        start = stop


def pathsim(
    steps: Sequence[Any], factors: Sequence[sp.csr_array], memory: int | None = None
) -> sp.csr_array:
    """2 M_ij / (M_ii + M_jj) of the product M of a symmetric path (Sun et al., VLDB 2011)."""
    names = [edge for edge, _ in steps]
    if names != names[::-1]:
        raise ParameterError(
            f"PathSim needs a symmetric path; {names} does not read the same from both ends"
        )
    if any(e[0] == e[2] for e in names) and not _is_symmetric(factors):
        raise ParameterError(
            f"PathSim needs a symmetric path; {names} counts other paths from a to b than from b "
            "to a"
        )
    matrix = product(factors, memory)
    own = matrix.diagonal()
    data = np.empty(matrix.nnz, np.float32)
    for start, stop in _blocks(np.diff(matrix.indptr), 2**20):
        part = slice(matrix.indptr[start], matrix.indptr[stop])
        both = (
            np.repeat(own[start:stop], np.diff(matrix.indptr[start : stop + 1]))
            + own[matrix.indices[part]]
        )
        if not both.all():
            raise ParameterError(
                f"PathSim needs paths from a node back to itself; {names} joins nodes that have "
                "none"
            )
        data[part] = 2 * matrix.data[part] / both
    return sp.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def _is_symmetric(factors: Sequence[sp.csr_array]) -> bool:
    """M x = M' x for random whole x (Freivalds): sure for a path that is not, up to one case in a
    million.
    """
    x = np.random.default_rng(0).integers(1, 2**20, factors[0].shape[0]).astype(np.float64)
    there, back = x, x
    for factor in reversed(factors):
        there = factor @ there
    for factor in factors:
        back = factor.T @ back
    return bool(np.array_equal(there, back))
