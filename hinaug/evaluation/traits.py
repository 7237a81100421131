"""Nodes by traits that people can read: the columns that a tree may split users and items by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hinaug.features import kinds
from hinaug.features.axes import principal_axes
from hinaug.graph.hin import HIN
from hinaug.graph.schema import PROVENANCE, EdgeType

MOST_VALUES = 20  # of a category, or neighbours of a type: the most frequent become a trait each
AXES = 3  # principal axes of a vector column that become a trait each
LARGEST = 1e30  # larger numbers count as this, so that they fit float32
SHARED_BY = 2  # rows that hold each value of a category on average, at least


@dataclass(frozen=True)
class Trait:
    """One number a node has, and how to say that it lies in a range.

    name: in words, such as "user age". value: for 0 and 1 ("job" is "baker"); None for a number.
    """

    name: str
    value: str | None = None

    def between(self, low: float, high: float, least: float) -> str:
        """Words for low < value <= high, such as "user age in (20, 30]".

        least: the smallest known value, which those that are missing are below; -inf where none is.
        """
        if self.value is not None:
            return f"{self.name} {'is' if low > 0 else 'is not'} {self.value}"
        if high < least:
            return f"{self.name} is unknown"
        if low == -np.inf:
            return f"{self.name} <= {high:.4g}{' or unknown' if least > low else ''}"
        if high == np.inf:
            return f"{self.name} is known" if low < least else f"{self.name} > {low:.4g}"
        if low < least:
            return f"{self.name} <= {high:.4g}"
        return f"{self.name} in ({low:.4g}, {high:.4g}]"


@dataclass(frozen=True)
class Traits:
    """The traits of the nodes of a type, side by side.

    values: float32 [n, width]; a missing number is well below all others.
    least: the smallest number that is known, float [width]; -inf where none is missing.
    """

    traits: list[Trait]
    values: np.ndarray
    least: np.ndarray


def traits_of(hin: HIN, node: str, relation: EdgeType) -> Traits:
    """The traits of the nodes of one end of a relation, from the observed graph.

    They are the node's own columns (numbers; years of times; the most frequent values of
    categories; the first principal axes of vectors; words in texts), the most frequent neighbours
    of other types such as genres, and the number of links of the relation.
    """
    traits, columns, least = [], [], []
    for trait, values in _all(hin.observed(), node, relation):
        filled, smallest = _filled(np.asarray(values, np.float64))
        traits.append(Trait(f"{node} {trait.name}", trait.value))
        columns.append(filled)
        least.append(smallest)
    return Traits(traits, np.stack(columns, axis=1), np.array(least))


def _filled(values: np.ndarray) -> tuple[np.ndarray, float]:
    """The values with a number well below all others for those missing; the smallest known one."""
    known = np.isfinite(values)
    values = np.clip(values, -LARGEST, LARGEST)
    if known.all():
        return values.astype(np.float32), -np.inf
    low, high = (values[known].min(), values[known].max()) if known.any() else (0.0, 0.0)
    return np.where(known, values, low - (high - low) - 10).astype(np.float32), float(low)


Found = Iterator[tuple[Trait, np.ndarray]]


def _all(hin: HIN, node: str, relation: EdgeType) -> Found:
    links = hin.adjacency(relation)
    if node == relation[0]:
        yield Trait("links"), np.diff(links.indptr)
    else:
        yield Trait("links"), np.bincount(links.indices, minlength=links.shape[1])
    for name in hin.nodes[node].column_names:
        if name != "id" and name not in PROVENANCE:
            yield from _of_column(hin, node, name)
    for name, matrix in categories_by_links(hin, node, relation).items():
        yield from _of_neighbours(hin, name, matrix)


def _of_column(hin: HIN, node: str, name: str) -> Found:
    column = hin.column(node, name)
    kind = kinds.kind_of(column, rows_per_category=SHARED_BY)
    known = kinds.present(column)
    if kind == "number":
        yield Trait(name), np.where(known, kinds.numbers(column), np.nan)
    elif kind == "boolean":
        yield Trait(name, "true"), np.where(known, kinds.numbers(column), 0)
    elif kind == "time" and _is_date(column.type):
        yield Trait(f"{name}, year"), _years(column)
    elif kind == "category":
        yield from _of_categories(column, name)
    elif kind == "vector":
        for i, axis in enumerate(principal_axes(hin, node, [name], AXES).T):
            yield Trait(f"{name}, axis {i + 1}"), np.where(known, axis, np.nan)
    elif kind == "text":
        words = pc.count_substring_regex(kinds.decoded(column), r"\S+")
        yield Trait(f"{name}, words"), words.cast(pa.float64()).to_numpy(zero_copy_only=False)


def _is_date(type: pa.DataType) -> bool:
    return pa.types.is_date(type) or pa.types.is_timestamp(type)


def _years(column: pa.Array) -> np.ndarray:
    """Dates as years with a fraction; NaN where there is none."""
    year, day = (f(column).cast(pa.float64()) for f in (pc.year, pc.day_of_year))
    whole, part = (x.to_numpy(zero_copy_only=False) for x in (year, day))
    return whole + (part - 1) / 366


def _of_categories(column: pa.Array, name: str) -> Found:
    values = kinds.categories(column)
    code = kinds.codes(column, values)
    count = np.bincount(code[code >= 0], minlength=len(values))
    for i in _most_frequent(count):
        yield Trait(name, str(values[i].as_py())), code == i


def _of_neighbours(hin: HIN, name: str, matrix: sp.csc_array) -> Found:
    count = np.diff(matrix.indptr)
    ids = hin.ids(name.split(":")[0])
    for i in _most_frequent(count):
        has = np.zeros(matrix.shape[0])
        has[matrix.indices[matrix.indptr[i] : matrix.indptr[i + 1]]] = 1
        yield Trait(name, str(ids[int(i)].as_py())), has


def _most_frequent(count: np.ndarray) -> np.ndarray:
    order = np.argsort(-count, kind="stable")[:MOST_VALUES]
    return order[count[order] > 0]


def categories_by_links(hin: HIN, node: str, relation: EdgeType) -> dict[str, sp.csc_array]:
    """Neighbours of other types that nodes share, such as genres: {type: CSC [nodes, neighbours]}.

    Types whose nodes have one neighbour each, such as reviews, are no categories. Where two edge
    types lead to one type, the second is named "type:edge".
    """
    out: dict[str, sp.csc_array] = {}
    for edge in hin.edges:
        if node not in (edge[0], edge[2]) or not {edge[0], edge[2]} - {relation[0], relation[2]}:
            continue
        other = edge[2] if edge[0] == node else edge[0]
        links = hin.adjacency(edge)
        matrix = sp.csc_array(links if edge[0] == node else links.T)
        in_use = np.count_nonzero(np.diff(matrix.indptr))
        if in_use and matrix.nnz >= SHARED_BY * in_use:
            out[other if other not in out else f"{other}:{edge[1]}"] = matrix
    return out


def categories_of(hin: HIN, node: str, relation: EdgeType) -> sp.csr_array:
    """What nodes may have in common: neighbours such as genres, and values of categories.

    What more than half of the nodes have says nothing, and is left out. CSR of ones, float32
    [nodes, categories].
    """
    parts = [sp.csr_array(m, dtype=np.float32) for m in _binary(hin, node, relation)]
    none = sp.csr_array((hin.n(node), 0), dtype=np.float32)
    whole = sp.csr_array(sp.hstack([none, *parts], format="csr"))
    whole.data[:] = 1
    count = np.bincount(whole.indices, minlength=whole.shape[1])
    return whole[:, np.flatnonzero(count <= whole.shape[0] / 2)]


def _binary(hin: HIN, node: str, relation: EdgeType) -> Iterator[sp.sparray]:
    yield from categories_by_links(hin, node, relation).values()
    for name in hin.nodes[node].column_names:
        column = hin.column(node, name)
        is_own = name != "id" and name not in PROVENANCE
        if is_own and kinds.kind_of(column, rows_per_category=SHARED_BY) == "category":
            values = kinds.categories(column)
            code = kinds.codes(column, values)
            row = np.flatnonzero(code >= 0)
            shape = (len(code), len(values))
            yield sp.csr_array((np.ones(len(row), np.float32), (row, code[row])), shape=shape)
