"""How often a node meets each value of something: ends of a metapath, or values of a column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hinaug.errors import ParameterError
from hinaug.features import kinds
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN


@dataclass(frozen=True)
class Counts:
    """name: of the trait. values: strings. links: CSR [nodes, values], how often each is met."""

    name: str
    values: pa.Array
    links: sp.csr_array


def counts_of(hin: HIN, node: str, trait: tuple[str, ...]) -> Counts:
    """Counts of one trait.

    trait: ("item", "genre") are the genres that `node` meets through its items; where "genre" is no
    node type, it is a column of items: words, numbers, booleans, or lists of words. Only observed
    rows count.

    Raises ParameterError for a trait that is no tuple of names, or a column of vectors.
    """
    if not (isinstance(trait, tuple) and trait and all(isinstance(name, str) for name in trait)):
        raise ParameterError(
            f"a trait is a tuple of names, such as ('item', 'genre'); got {trait!r}", asked=trait
        )
    hin, last = hin.observed(), trait[-1]
    if last in hin.nodes:
        ids = tb.one_chunk(hin.nodes[last]["id"]).cast(pa.string())
        return Counts(last, ids, sp.csr_array(hin.metapath(node, *trait)))
    path = (node, *trait[:-1])
    has, values = _has(hin, path[-1], last)
    links = hin.metapath(*path) @ has if len(path) > 1 else has
    return Counts(last, values, sp.csr_array(links))


def _has(hin: HIN, type: str, name: str) -> tuple[sp.csr_array, pa.Array]:
    """Which node has which value of a column, CSR [nodes, values], and the values."""
    column = kinds.decoded(hin.column(type, name))
    if tb.is_vector(column.type):
        raise ParameterError(
            f"column {name!r} of {type!r} holds vectors; a trait is a column of words or numbers",
            asked=name,
        )
    is_list = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    said = kinds.decoded(pc.list_flatten(column)) if is_list else column
    row = (
        pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
        if is_list
        else np.arange(len(column))
    )
    said = said.cast(pa.string())
    values = said.drop_null().unique().sort()
    code = tb.lookup(values, said).astype(np.int64)
    kept = code >= 0
    has = sp.csr_array(
        (np.ones(int(kept.sum()), np.float32), (row[kept], code[kept])),
        shape=(len(column), len(values)),
    )
    has.data[:] = 1  # a value named twice by a node is one
    return has, values


def lifts(counts: sp.csr_array, prior: float) -> sp.csr_array:
    """How many times as often a node meets a value as all nodes do, with the entries of `counts`
    in their order.

    With c_uv the counts, c_u their sum for a node and p_v the share of the value over all nodes,
    (c_uv + m p_v) / ((c_u + m) p_v) with m the `prior`, so that one meeting says little.
    """
    total = counts.sum(axis=1)
    share = counts.sum(axis=0) / max(float(total.sum()), 1e-12)
    row = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    p = share[counts.indices]
    data = (counts.data + prior * p) / ((total[row] + prior) * p)
    return sp.csr_array((data, counts.indices, counts.indptr), shape=counts.shape)
