"""Generated nodes that repeat a real one, and how near the others come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.evaluation.sample import Sample, shared, sides
from hinaug.features.kinds import decoded, present, vectors
from hinaug.graph import arrow as tb

NULL = np.uint64(0x9E3779B97F4A7C15)  # what stands for null in a hash
SEED = 0  # of the numbers that stand for values: equal rows have equal hashes within one call


@dataclass(frozen=True, eq=False)
class Copies:
    """Generated nodes that repeat a real node.

    table: one row a generated node that does: id, of (the first real node that it repeats), what
        ("links" where all links are the same, "links and columns" where its columns are too).
    share: the part of the generated nodes that repeat the links of a real one; of nodes without
        links, the columns.
    among_real: the same for real nodes that repeat another real node. Thin profiles do that by
        chance.
    """

    table: pa.Table
    share: float
    among_real: float


def copies(real: Sample, made: Sample) -> Copies:
    """Which generated nodes repeat a real one, link for link; all nodes are looked at.

    Links count over every relation whose other ends are shared between nodes. Cost: one pass over
    links and columns of both.
    """
    on_links = _links_hash(real), _links_hash(made)
    on_columns = _columns_hashes(real, made)
    linked = [_has_links(s) for s in (real, made)]
    keys = [np.where(h, a, b) for h, a, b in zip(linked, on_links, on_columns, strict=True)]
    values, first, n = np.unique(keys[0], return_index=True, return_counts=True)
    at = np.minimum(np.searchsorted(values, keys[1]), max(len(values) - 1, 0))
    hit = (values[at] == keys[1]) if len(values) else np.zeros(len(made), bool)
    whole = np.isin(_both(keys[1], on_columns[1]), _both(keys[0], on_columns[0]))
    rows = np.flatnonzero(hit)
    what = np.where(linked[1], np.where(whole, "links and columns", "links"), "columns")
    found = pa.table(
        {
            "id": made.ids.take(pa.array(rows)),
            "of": real.ids.take(pa.array(first[at[rows]])),
            "what": pa.array(what[rows].tolist(), pa.string()),
        }
    )
    among_real = float((n[n > 1]).sum() / max(len(real), 1))
    return Copies(found, float(hit.mean()), among_real)


def _has_links(sample: Sample) -> np.ndarray:
    return (
        sum(
            (np.diff(sample.links(side).indptr) for side in _shared(sample)),
            np.zeros(len(sample), int),
        )
        > 0
    )


def _shared(sample: Sample) -> list:
    everybody = Sample(sample.like, sample.node, np.arange(sample.like.n(sample.node)), sample.like)
    return [side for side in sides(sample.like, sample.node) if shared(everybody, side)]


def _links_hash(sample: Sample) -> np.ndarray:
    """A number that follows from the set of links of each node, uint64 [n]."""
    rng, total = np.random.default_rng(SEED), np.zeros(len(sample), np.uint64)
    for side in _shared(sample):
        links = sample.links(side)
        value = rng.integers(2**63, size=links.shape[1], dtype=np.uint64)
        row = np.repeat(np.arange(links.shape[0]), np.diff(links.indptr))
        np.add.at(total, row, value[links.indices])
    return total


def _columns_hashes(real: Sample, made: Sample) -> tuple[np.ndarray, np.ndarray]:
    """A number that follows from the columns of each row, uint64, equal for equal rows."""
    rng = np.random.default_rng(SEED + 1)
    total = np.zeros(len(real) + len(made), np.uint64)
    for name in real.table.column_names:
        columns = [decoded(tb.one_chunk(s.table[name])) for s in (real, made)]
        total = _both(total, _column_hash(pa.concat_arrays(columns), rng))
    return total[: len(real)], total[len(real) :]


def _column_hash(column: pa.Array, rng: np.random.Generator) -> np.ndarray:
    out = np.full(len(column), NULL)
    known, there = present(column), column.drop_null()
    if tb.is_vector(column.type):
        weights = rng.standard_normal(column.type.list_size)
        value = (vectors(there).astype(np.float64) * weights).sum(axis=1).view(np.uint64)
    elif pa.types.is_nested(column.type):
        value = _lists_hash(there, rng)
    else:
        value = _codes(there, rng)
    out[known] = value
    return out


def _codes(there: pa.Array, rng: np.random.Generator) -> np.ndarray:
    encoded = there.dictionary_encode()
    values = rng.integers(2**63, size=len(encoded.dictionary), dtype=np.uint64)
    return values[encoded.indices.to_numpy(zero_copy_only=False)] if len(there) else values[:0]


def _lists_hash(there: pa.Array, rng: np.random.Generator) -> np.ndarray:
    """Of the set of elements and the length of each list; lists of lists by their length alone."""
    lengths = pc.list_value_length(there).to_numpy(zero_copy_only=False)
    total = lengths.astype(np.uint64) * NULL
    flat = pc.list_flatten(there)
    if not pa.types.is_nested(flat.type):
        row = pc.list_parent_indices(there).to_numpy(zero_copy_only=False)
        known = present(flat)
        np.add.at(total, row[known], _codes(decoded(flat).drop_null(), rng))
    return total


def _both(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a * np.uint64(0x100000001B3) + b


def nearer_to_seen(made: np.ndarray, seen: np.ndarray, unseen: np.ndarray) -> float:
    """The part of generated nodes whose nearest real node is one that the generator learned from.

    With as many nodes seen as unseen it is 1/2 where the generator treats both alike; ties count
    half. It is weak evidence: a generator can keep its distance and still tell who was in it.

    made, seen, unseen: rows of numbers, such as `Features.space`.
    """
    from scipy.spatial import cKDTree

    near = [cKDTree(x).query(made)[0] for x in (seen, unseen)]
    return float((near[0] < near[1]).mean() + (near[0] == near[1]).mean() / 2)
