"""What a graph says of the nodes of one type: their links in one relation, the ratings on them,
their attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.errors import ParameterError, SchemaError
from hinaug.features.kinds import kind_of, numbers, present, vectors
from hinaug.generators.pairs import is_symmetric
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import PairIndex
from hinaug.graph.schema import PROVENANCE, EdgeType

RATING = "rating"
MOST_CATEGORIES = 100


@dataclass(eq=False)
class Profiles:
    """The observed nodes of a type that have at least one link; the others have nothing to teach.

    relation: the edge type of the links.
    nodes: positions [n] of these nodes in the observed graph, ascending.
    links: CSR [n, m], 1 for each link to one of the m targets.
    others: external ids of the m targets.
    present: bool [m], whether the graph has that target.
    table: the attributes of the n nodes, without ids.
    ratings: CSR [n, m] of the known ratings (mean over parallel rows), or None where the relation
        has no rating.
    rating_type: an empty array of the type of the ratings.
    symmetric: whether each link stands in both directions.
    """

    relation: EdgeType
    nodes: np.ndarray
    links: sp.csr_array
    others: pa.Array
    present: np.ndarray
    table: pa.Table
    ratings: sp.csr_array | None = None
    rating_type: pa.Array | None = None
    symmetric: bool = False

    @property
    def degree(self) -> np.ndarray:
        """Links of each node, int64 [n], at least 1."""
        return np.diff(self.links.indptr).astype(np.int64)

    @property
    def counts(self) -> np.ndarray:
        """Links of each target, int64 [m]."""
        return np.bincount(self.links.indices, minlength=self.links.shape[1]).astype(np.int64)

    def rows_of(self, nodes: np.ndarray) -> np.ndarray:
        """The row of each observed node here; -1 for a node without links."""
        row = np.minimum(np.searchsorted(self.nodes, nodes), len(self.nodes) - 1)
        return np.where(self.nodes[row] == nodes, row, -1)

    def link_table(
        self, row: np.ndarray, column: np.ndarray, confidence: np.ndarray, rating: np.ndarray | None
    ) -> Mapping[EdgeType, pa.Table]:
        """What `Entities.links` wants; a rating of NaN is null."""
        out = {
            "row": pa.array(row),
            "id": self.others.take(pa.array(column)),
            "confidence": pa.array(confidence, pa.float32()),
        }
        if rating is not None and self.rating_type is not None:
            out[RATING] = number_array(rating, np.isnan(rating), self.rating_type.type)
        links = pa.table(out)
        if self.symmetric:
            ways = (pa.array(np.full(len(row), into)) for into in (False, True))
            links = pa.concat_tables([links.append_column("into", way) for way in ways])
        return {self.relation: links}


def profiles(
    hin: HIN, node: str, relation: EdgeType | None, who: str, targets: pa.Array | None = None
) -> Profiles:
    """What `hin` says of its observed nodes.

    Parameters
    ----------
    hin, node
        The graph, and the node type to describe.
    relation
        The edge type of the links. None takes the only relation of the node type whose other end
        is shared between nodes.
    who
        Whom error messages speak of.
    targets
        External ids that the links are counted over, in this order. None takes the observed nodes
        at the other end.

    Raises ParameterError for a relation that does not touch the node type, and SchemaError where
    no node has a link.
    """
    relation = _checked(hin, node, relation, who)
    forward, other = relation[0] == node, relation[2] if relation[0] == node else relation[0]
    ids = tb.one_chunk(hin.observed().nodes[other]["id"])
    targets = ids if targets is None else targets
    position = tb.lookup(ids, targets).astype(np.int64)

    def over_targets(matrix: sp.csr_array) -> sp.csr_array:
        rows = _turn(matrix, forward)[: hin.n_observed(node), : len(ids)]
        return rows if targets.equals(ids) else _columns_at(rows, position)

    matrix = over_targets(hin.adjacency(relation))
    active = np.flatnonzero(np.diff(matrix.indptr) > 0)
    if len(active) == 0:
        to_targets = "" if targets.equals(ids) else f" to the fitted {other!r} nodes"
        raise SchemaError(
            f"{who}: none of {hin.n_observed(node):,} {node!r} nodes has {relation} edges"
            f"{to_targets}, so there is nothing to learn how to link from; pass a graph that has "
            f"some, or name another of {list(hin.edges)} with relation="
        )
    table = hin.nodes[node]
    table = table.select([c for c in table.column_names if c not in ("id", *PROVENANCE)])
    ratings, rating_type = _ratings(hin, relation)
    return Profiles(
        relation,
        active,
        matrix[active],
        targets,
        position >= 0,
        table.take(pa.array(active)),
        None if ratings is None else over_targets(ratings)[active].astype(np.float32),
        rating_type,
        is_symmetric(PairIndex.of(hin, relation), relation),
    )


def _checked(hin: HIN, node: str, relation: EdgeType | None, who: str) -> EdgeType:
    """The relation, which the graph has and which touches the node type."""
    relation = _only(hin, node, who) if relation is None else relation
    hin.edges[relation]  # raises, naming what there is
    if node not in (relation[0], relation[2]):
        there = [edge for edge in hin.edges if node in (edge[0], edge[2])]
        raise ParameterError(
            f"{who}: {relation} does not touch {node!r} nodes; name one of {there} with relation=",
            asked=relation,
            there=there,
        )
    return relation


def _ratings(hin: HIN, relation: EdgeType) -> tuple[sp.csr_array | None, pa.Array | None]:
    """Mean rating of each rated pair, and an empty column of their type; None without ratings."""
    if RATING not in hin.edges[relation].column_names:
        return None, None
    column = hin.column(relation, RATING)
    if not tb.is_number(column.type):
        return None, None
    value = numbers(column)
    known = present(column) & np.isfinite(value)
    src, dst = hin.links(relation)
    where, shape = (src[known], dst[known]), (hin.n(relation[0]), hin.n(relation[2]))
    value = value[known]
    total, count = (sp.csr_array((v, where), shape=shape) for v in (value, np.ones(len(value))))
    total.data = total.data / count.data  # the same pattern, as both sum over the same pairs
    return total, pa.array([], column.type)


def _columns_at(matrix: sp.csr_array, position: np.ndarray) -> sp.csr_array:
    """The columns at these positions, in this order; an empty column for -1."""
    new = np.full(matrix.shape[1] + 1, -1)
    new[position] = np.arange(len(position))
    column = new[:-1][matrix.indices]
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))[column >= 0]
    kept = matrix.data[column >= 0], (row, column[column >= 0])
    return sp.csr_array(kept, shape=(matrix.shape[0], len(position)))


def _turn(matrix: sp.csr_array, forward: bool) -> sp.csr_array:
    return matrix if forward else matrix.T.tocsr()


def _only(hin: HIN, node: str, who: str) -> EdgeType:
    touching = [e for e in hin.edges if node in (e[0], e[2])]
    shared = []
    for edge in touching:
        counts = np.diff(
            _turn(hin.adjacency(edge), edge[0] != node).indptr
        )  # links of the nodes at the other end
        if counts.max(initial=0) > 1:
            shared.append(edge)
    if len(shared) != 1:
        found = (
            f"several relations could be meant, {shared}"
            if shared
            else f"no relation links {node!r} nodes through shared nodes"
        )
        raise ParameterError(
            f"{who}: {found}; name one with relation= (this graph has {list(hin.edges)})"
        )
    return shared[0]


def kinds(table: pa.Table) -> dict[str, str]:
    """{column: "category", "number", "vector"} of the columns that can be generated.

    Booleans are categories, and so are words of few values: at most 100, each held by two nodes on
    average. Free text, identifiers such as a postcode, dates and lists are left out, and null on
    generated nodes: to write them would be to copy them from somebody.
    """
    out = {}
    for name in table.column_names:
        column = table[name]
        kind: str = kind_of(column, MOST_CATEGORIES, rows_per_category=2)
        kind = "category" if kind == "boolean" else kind
        if kind in ("category", "number", "vector") and column.null_count < len(column):
            out[name] = kind
    return out


def number_array(values: np.ndarray, null: np.ndarray, kind: pa.DataType) -> pa.Array:
    """Numbers as a column of a type; whole-number types get the nearest whole number they hold."""
    if not pa.types.is_integer(kind):
        return pa.array(values, mask=null).cast(kind)
    limits = np.iinfo(kind.to_pandas_dtype())
    low, high = float(limits.min), float(limits.max)
    if int(high) > limits.max:  # rounded up to 2^63 or 2^64
        high = float(np.nextafter(high, 0))
    whole = np.clip(np.rint(np.where(null, 0, values)), low, high).astype(limits.dtype)
    return pa.array(whole, mask=null)


def average(column: pa.Array, group: np.ndarray, rng: np.random.Generator) -> pa.Array:
    """Means of a number or vector column over groups of rows [n, g], in the column's type.

    Null where a random member of the group is, so that values are missing as often as they were;
    infinite values count as missing.
    Of numbers with levels (whole ones, and floats that repeat) the level nearest to the mean.
    """
    is_vector = tb.is_vector(column.type)
    values = vectors(column) if is_vector else numbers(column)
    known = present(column) & np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    values, known = values[group], known[group]
    count = known.sum(axis=1)
    member = known[np.arange(len(group)), rng.integers(group.shape[1], size=len(group))]
    if is_vector:
        mean = np.where(known[..., None], values, 0).sum(axis=1) / np.maximum(count, 1)[:, None]
        return tb.vectors_array(mean, member).cast(column.type)
    total = np.where(known, values, 0).sum(axis=1)
    mean = total / np.maximum(count, 1)
    if has_levels(column):
        levels = column.drop_null().unique().sort()
        levels = levels.filter(pa.array(np.isfinite(numbers(levels))))
        at = nearest_of(numbers(levels), mean)
        return levels.take(pa.array(at, mask=~member))
    return number_array(mean, ~member, column.type)


def has_levels(column: pa.Array) -> bool:
    """Whether numbers are whole, or repeat: half of the values, at least."""
    known = column.drop_null()
    return not pa.types.is_floating(column.type) or 2 * len(known.unique()) <= len(known)


def nearest_of(levels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The position of the level (ascending) nearest to each value."""
    above = np.clip(np.searchsorted(levels, values), 1, max(len(levels) - 1, 1))
    above = np.minimum(above, len(levels) - 1)
    below = np.maximum(above - 1, 0)
    return np.where(values - levels[below] <= levels[above] - values, below, above)


def group_ratings(
    ratings: sp.csr_array, group: np.ndarray, row: np.ndarray, column: np.ndarray
) -> np.ndarray:
    """For links (row, column): the mean rating that the nodes group[row] [n, g] gave to that
    column, NaN where none did.
    """
    width = ratings.shape[1]
    code = np.repeat(np.arange(ratings.shape[0], dtype=np.int64), np.diff(ratings.indptr))
    code = code * width + ratings.indices
    order = np.argsort(code)
    code, value = code[order], ratings.data[order]
    total, count = np.zeros(len(row)), np.zeros(len(row))
    for member in group.T if len(code) else ():
        asked = member[row].astype(np.int64) * width + column
        at = np.minimum(np.searchsorted(code, asked), len(code) - 1)
        there = code[at] == asked
        total += np.where(there, value[at], 0)
        count += there
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
