"""What a graph says of the nodes of one type: their links in one relation, the ratings on them,
their attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.errors import ParameterError, SchemaError
from hinaug.generators.entities.draws import rows_at_once
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.schema import PROVENANCE, EdgeType

RATING = "rating"
MOST_CATEGORIES = 100


@dataclass(eq=False)
class Profiles:
    """The observed nodes of a type that have at least one link (the others have nothing to teach),
    as the graph is seen.

    links: CSR [n, m], 1 for each link; m are the observed nodes at the other end, whose ids are
        `others`.
    ratings: CSR [n, m] of the known ratings (mean over parallel rows), or None where the relation
        has no rating.
    rating_type: an empty array of the type of the ratings. table: the attributes of the n nodes,
    without ids.
    """

    relation: EdgeType
    links: sp.csr_array
    others: pa.Array
    table: pa.Table
    ratings: sp.csr_array | None = None
    rating_type: pa.Array | None = None

    @property
    def degree(self) -> np.ndarray:
        """Links of each node [n], at least 1."""
        return np.diff(self.links.indptr)

    @property
    def counts(self) -> np.ndarray:
        """Links of each node at the other end [m]."""
        return np.bincount(self.links.indices, minlength=self.links.shape[1])

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
            numbers = np.rint(rating) if pa.types.is_integer(self.rating_type.type) else rating
            out[RATING] = pa.array(numbers, mask=np.isnan(rating)).cast(self.rating_type.type)
        return {self.relation: pa.table(out)}


def profiles(hin: HIN, node: str, relation: EdgeType | None, who: str) -> Profiles:
    """Gather them. relation=None takes the only relation of the node type whose other end is shared
    between nodes.
    """
    relation = _only(hin, node, who) if relation is None else relation
    hin.edges[relation]
    if node not in (relation[0], relation[2]):
        there = [edge for edge in hin.edges if node in (edge[0], edge[2])]
        raise ParameterError(
            f"{who}: {relation} does not touch {node!r} nodes; name one of {there} with relation="
        )
    forward, other = relation[0] == node, relation[2] if relation[0] == node else relation[0]
    matrix = _turn(hin.adjacency(relation), forward)[
        : hin.n_observed(node), : hin.n_observed(other)
    ]
    active = np.flatnonzero(np.diff(matrix.indptr) > 0)
    if len(active) == 0:
        raise SchemaError(
            f"{who}: none of {hin.n_observed(node):,} {node!r} nodes has {relation} edges, so "
            "there is nothing to learn how to "
            f"link from; pass a graph that has some, or name another of {list(hin.edges)} with "
            "relation="
        )
    table = hin.nodes[node]
    table = table.select([c for c in table.column_names if c not in ("id", *PROVENANCE)])
    out = Profiles(
        relation,
        matrix[active],
        tb.one_chunk(hin.observed().nodes[other]["id"]),
        table.take(pa.array(active)),
    )
    if RATING in hin.edges[relation].column_names and tb.is_number(
        hin.edges[relation][RATING].type
    ):
        column = hin.column(relation, RATING)
        known = ~column.is_null().to_numpy(zero_copy_only=False)
        src, dst = hin.links(relation)
        where, shape = (src[known], dst[known]), (hin.n(relation[0]), hin.n(relation[2]))
        value = column.drop_null().to_numpy(zero_copy_only=False).astype(np.float64)
        total, count = (
            _turn(sp.csr_array((v, where), shape=shape), forward)
            for v in (value, np.ones(len(value)))
        )
        total.data = total.data / count.data  # the same pattern, as both sum over the same pairs
        out.ratings = total[active][:, : matrix.shape[1]].astype(np.float32)
        out.rating_type = column.slice(0, 0)
    return out


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

    Booleans and strings of few values are categories (at most 100, each held by two nodes on
    average), numbers are numbers. Free text, identifiers such as a postcode, dates and lists are
    left out, and null on generated nodes: to write them would be to copy them from somebody.
    """
    out = {}
    for field in table.schema:
        column = tb.one_chunk(table[field.name])
        if tb.is_vector(field.type):
            kind = "vector"
        elif (
            tb.is_text(field.type)
            or pa.types.is_boolean(field.type)
            or pa.types.is_dictionary(field.type)
        ):
            kind = "category"
            distinct = len(column.drop_null().unique())
            if distinct > min(MOST_CATEGORIES, (len(column) - column.null_count) / 2):
                continue
        elif tb.is_number(field.type):
            kind = "number"
        else:
            continue
        if column.null_count < len(column):
            out[field.name] = kind
    return out


def nearest(x: Any, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k rows of x [n, d] (sparse or dense) most like each of `rows` by cosine, itself left out:
    (indices, cosines).
    """
    if sp.issparse(x):
        unit = sp.csr_array(x, dtype=np.float32)
        norm = np.sqrt(np.asarray(unit.multiply(unit).sum(axis=1)).ravel())
        unit = sp.csr_array(sp.diags_array(1 / np.maximum(norm, 1e-12)) @ unit)
    else:
        unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    k = min(k, unit.shape[0] - 1)
    index, cosine = np.zeros((len(rows), k), np.int64), np.zeros((len(rows), k))
    block = rows_at_once(unit.shape[0])
    for at in range(0, len(rows) if k else 0, block):
        part = rows[at : at + block]
        like = unit[part] @ unit.T
        like = like.toarray() if sp.issparse(like) else np.array(like)
        like[np.arange(len(part)), part] = -np.inf
        best = np.argpartition(-like, k - 1, axis=1)[:, :k]
        best = np.take_along_axis(
            best, np.argsort(-np.take_along_axis(like, best, axis=1), axis=1, kind="stable"), axis=1
        )
        index[at : at + block], cosine[at : at + block] = (
            best,
            np.take_along_axis(like, best, axis=1),
        )
    return index, np.clip(cosine, 0, 1)


def average(column: pa.Array, group: np.ndarray) -> pa.Array:
    """Means of a number or vector column over groups of rows [n, g], in the column's type; nulls do
    not count.
    """
    known = ~column.is_null().to_numpy(zero_copy_only=False)[group]
    if tb.is_vector(column.type):
        flat = column.values.slice(
            column.offset * column.type.list_size, len(column) * column.type.list_size
        )
        values = flat.to_numpy(zero_copy_only=False).reshape(len(column), -1)[group]
    else:
        values = (
            column.cast(pa.float64()).fill_null(0).to_numpy(zero_copy_only=False)[group][..., None]
        )
    count = known.sum(axis=1)
    mean = np.where(known[..., None], values, 0).sum(axis=1) / np.maximum(count, 1)[:, None]
    if tb.is_vector(column.type):
        return tb.vectors_array(mean, count > 0).cast(column.type)
    mean = np.rint(mean[:, 0]) if pa.types.is_integer(column.type) else mean[:, 0]
    return pa.array(mean, mask=count == 0).cast(column.type)


def group_ratings(
    ratings: sp.csr_array, group: np.ndarray, row: np.ndarray, column: np.ndarray
) -> np.ndarray:
    """For links (row, column): the mean rating that the nodes group[row] [n, g] gave to that
    column, NaN where none did.
    """
    code, width = np.repeat(np.arange(ratings.shape[0]), np.diff(ratings.indptr)), ratings.shape[1]
    code = code * width + ratings.indices
    order = np.argsort(code)
    code, value = code[order], ratings.data[order]
    total, count = np.zeros(len(row)), np.zeros(len(row))
    for member in group.T if len(code) else ():
        asked = member[row] * width + column
        at = np.minimum(np.searchsorted(code, asked), len(code) - 1)
        there = code[at] == asked
        total += np.where(there, value[at], 0)
        count += there
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def nearest_ratings(
    real: Profiles, latents: np.ndarray, made: np.ndarray, row: np.ndarray, column: np.ndarray
) -> np.ndarray | None:
    """For links (row, column) of made nodes: the rating by the real node of most similar latent
    (cosine) among its raters.

    latents [n, d] of the real nodes, made [k, d] of the made ones. NaN where nobody rated the
    column; None without ratings.
    """
    if real.ratings is None:
        return None
    latents, made = (
        x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (latents, made)
    )
    by_column = real.ratings.tocsc()
    out = np.full(len(row), np.nan)
    order = np.argsort(column, kind="stable")
    for links in np.split(order, np.flatnonzero(np.diff(column[order])) + 1) if len(order) else []:
        raters = slice(*by_column.indptr[column[links[0]] : column[links[0]] + 2])
        if raters.stop > raters.start:
            like = made[row[links]] @ latents[by_column.indices[raters]].T
            out[links] = by_column.data[raters][like.argmax(axis=1)]
    return out
