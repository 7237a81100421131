"""The pair of a relation as an object: `PairIndex`, a sorted set of (source, target) positions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hinaug.errors import ParameterError
from hinaug.graph import arrow as tb
from hinaug.graph import spill
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType


@dataclass(frozen=True, eq=False)
class PairIndex:
    """A set of pairs of positions, sorted by source and then by target, each pair once.

    Build one with `of`, `from_positions` or `from_ids`. Row r of the index is the pair
    `(src[r], dst[r])`. Memory is O(pairs), never sources x targets.

    src, dst: positions, int64 [n]; int32 where they are so many that they lie in a file.
    shape: (number of sources, number of targets).
    """

    src: np.ndarray
    dst: np.ndarray
    shape: tuple[int, int]

    @classmethod
    def of(cls, hin: HIN, relation: EdgeType) -> Self:
        """The observed pairs of a relation; parallel rows are one pair."""
        observed = hin.observed()
        return cls.from_positions(*observed.links(relation), relation_shape(observed, relation))

    @classmethod
    def from_positions(cls, src: np.ndarray, dst: np.ndarray, shape: tuple[int, int]) -> Self:
        """The distinct pairs among src [n] and dst [n], in any order; positions of at least 0."""
        return cls.with_first_rows(src, dst, shape)[0]

    @classmethod
    def from_ids(cls, hin: HIN, relation: EdgeType, pairs: pa.Table) -> Self:
        """The pairs of a table of external ids ("src", "dst"), as positions in the observed graph.

        Raises SchemaError for an id that the graph does not have.
        """
        observed = hin.observed()
        ends = positions_of_pairs(observed, relation, pairs)
        return cls.from_positions(*ends, relation_shape(observed, relation))

    @classmethod
    def with_first_rows(
        cls, src: np.ndarray, dst: np.ndarray, shape: tuple[int, int]
    ) -> tuple[Self, np.ndarray]:
        """The distinct pairs, and for each pair the first row [n] at which it stands."""
        order, is_first = order_of_pairs(src, dst, shape)
        first = order[is_first]
        src, dst = (np.asarray(end)[first].astype(np.int64) for end in (src, dst))
        return cls(src, dst, shape), first

    def __len__(self) -> int:
        return len(self.src)

    def codes(self, src: np.ndarray, dst: np.ndarray) -> np.ndarray:
        """Each pair as one number, int64 [n]; -1 where a position lies outside of `shape`.

        Codes of one shape sort as the pairs do: by source, then by target.
        """
        src, dst = np.asarray(src, np.int64), np.asarray(dst, np.int64)
        n_sources, n_targets = self.shape
        inside = (src >= 0) & (src < n_sources) & (dst >= 0) & (dst < n_targets)
        return np.where(inside, src * n_targets + dst, -1)

    @cached_property
    def code(self) -> np.ndarray:
        """The codes of these pairs, ascending, int64 [n]."""
        code = np.multiply(self.src, self.shape[1], dtype=np.int64)
        code += self.dst
        return code

    def ends(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sources and targets of pairs given by their codes, two int64 arrays [n]."""
        src, dst = np.divmod(codes, max(self.shape[1], 1))
        return src, dst

    def find(self, src: np.ndarray, dst: np.ndarray) -> np.ndarray:
        """The row of each pair in this index, int64 [n]; -1 for a pair that is not in it."""
        return self.find_codes(self.codes(src, dst))

    def find_codes(self, codes: np.ndarray) -> np.ndarray:
        """As `find`, for pairs given by their codes."""
        if not len(self):
            return np.full(len(codes), -1, np.int64)
        row = np.minimum(_search(self.code, codes), len(self) - 1)
        return np.where(self.code[row] == codes, row, -1)

    def contains(self, src: np.ndarray, dst: np.ndarray) -> np.ndarray:
        """Whether each pair is in this index, bool [n]."""
        return self.find(src, dst) >= 0

    def contains_codes(self, codes: np.ndarray) -> np.ndarray:
        """As `contains`, for pairs given by their codes."""
        return self.find_codes(codes) >= 0

    def take(self, chosen: np.ndarray) -> Self:
        """The chosen pairs: bool [n], or ascending row numbers."""
        return type(self)(self.src[chosen], self.dst[chosen], self.shape)

    def minus(self, other: PairIndex) -> Self:
        """The pairs that are not in `other`."""
        return self.take(~other.contains(self.src, self.dst))

    def union(self, other: PairIndex) -> Self:
        """The pairs of either index, over the shape of this one."""
        src, dst = np.append(self.src, other.src), np.append(self.dst, other.dst)
        return self.from_positions(src, dst, self.shape)

    def matrix(self) -> sp.csr_array:
        """The pairs as a CSR matrix of ones, float32 [sources, targets]."""
        counts = np.bincount(self.src, minlength=self.shape[0])
        indptr = np.append(0, np.cumsum(counts))
        data = np.ones(len(self), np.float32)
        return sp.csr_array((data, self.dst, indptr), shape=self.shape)


def relation_shape(hin: HIN, relation: EdgeType) -> tuple[int, int]:
    """(number of sources, number of targets) of a relation."""
    return hin.n(relation[0]), hin.n(relation[2])


def positions_of_pairs(
    hin: HIN, relation: EdgeType, pairs: pa.Table
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the external ids in the columns "src" and "dst", two int64 arrays [n]."""
    return hin.positions(relation[0], pairs["src"]), hin.positions(relation[2], pairs["dst"])


def are_linked(hin: HIN, relation: EdgeType, src: np.ndarray, dst: np.ndarray) -> np.ndarray:
    """Which pairs of positions are edges of the relation, generated ones included, bool [n]. A
    position outside of the graph has none.

    Time O(links of the sources), after the matrix of the relation, which the graph keeps. Needs
    least memory where the pairs are in the order of their sources.
    """
    links, found = hin.adjacency(relation), np.zeros(len(src), bool)
    for rows in spill.blocks(len(src)):
        inside = np.flatnonzero((src[rows] >= 0) & (src[rows] < links.shape[0])) + rows.start
        sources, at = np.unique(src[inside], return_inverse=True)
        known = PairIndex(*_ends(links[sources]), (len(sources), links.shape[1]))
        found[inside] = known.contains(at, dst[inside])
    return found


def _ends(links: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the entries of a CSR matrix, in their order."""
    return np.repeat(np.arange(links.shape[0]), np.diff(links.indptr)), links.indices


def pairs_fingerprint(hin: HIN, relation: EdgeType) -> str:
    """sha256 over the set of observed pairs of a relation, as external ids.

    Equal sets of pairs give equal fingerprints, whatever the order of rows and nodes, the other
    columns and types, and the deltas. Parallel rows count once. O(E + N log N); kept on the graph.
    """
    observed = hin.observed()
    key = ("pairs_fingerprint", relation)
    if key not in observed._cache:
        links, digest = observed.adjacency(relation), hashlib.sha256()
        linked = np.bincount(links.indices, minlength=links.shape[1]) > 0
        sources = _by_id(observed.nodes[relation[0]]["id"], np.diff(links.indptr) > 0, digest)
        targets = _by_id(observed.nodes[relation[2]]["id"], linked, digest)
        rank = np.empty(links.shape[1], links.indices.dtype)
        rank[targets] = np.arange(len(targets))
        for rows in _runs(np.diff(links.indptr)[sources], spill.BLOCK):
            part = links[sources[rows]]
            ranked = sp.csr_array((part.data, rank[part.indices], part.indptr), shape=part.shape)
            ranked.sort_indices()
            row, column = _ends(ranked)
            code = (row + rows.start) * len(targets) + column
            digest.update(code.astype("<i8").tobytes())
        observed._cache[key] = digest.hexdigest()
    return observed._cache[key]


def _by_id(ids: pa.ChunkedArray, in_use: np.ndarray, digest: Any) -> np.ndarray:
    """The nodes in use by the alphabetical order of their ids, which go into the digest."""
    nodes = np.flatnonzero(in_use)
    names = tb.one_chunk(ids).take(pa.array(nodes))
    order = pc.sort_indices(names)
    digest.update(tb.content_hash(pa.table({"id": names.take(order)})).encode())
    return nodes[order.to_numpy()]


def _runs(sizes: np.ndarray, most: int) -> Iterator[slice]:
    """Slices of rows of about `most` entries together, with one row at least."""
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        before = ends[start] - sizes[start]
        stop = max(start + 1, int(np.searchsorted(ends, before + most)))
        yield slice(start, stop)
        start = stop


def order_of_pairs(
    src: np.ndarray, dst: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The order of rows by (src, dst), int64 [n], and which of them are the first of their pair.

    Parallel rows keep their order. Two counting sorts, by target and then by source, carry the
    numbers of the rows; where the shape is much larger than the rows are many, a radix sort.
    """
    src, dst = np.asarray(src), np.asarray(dst)
    n = len(src)
    is_small = n < 1024 or sum(shape) > 8 * n or n > np.iinfo(np.int32).max
    if is_small or src.max() >= shape[0] or dst.max() >= shape[1]:
        order = sort_order(dst, src)
    else:
        rows = sp.coo_array((np.arange(n, dtype=np.int32), (src, dst)), shape=shape)
        rows.has_canonical_format = True  # else scipy would sum parallel rows on the way
        order = rows.tocsc().tocsr().data.astype(np.int64)
    src, dst = src[order], dst[order]
    is_first = np.ones(n, bool)
    is_first[1:] = (src[1:] != src[:-1]) | (dst[1:] != dst[:-1])
    return order, is_first


def sort_order(*keys: np.ndarray) -> np.ndarray:
    """As `np.lexsort`, for keys that are whole numbers of at least 0: the last key sorts first.

    Stable, and linear in the rows: a counting sort of 16 bits at a time (radix sort).
    """
    order: np.ndarray | None = None
    for key in keys:
        key = np.asarray(key)
        bits = int(key.max()).bit_length() if len(key) else 0
        for shift in range(0, max(bits, 1), 16):
            digit = (key >> key.dtype.type(shift)).astype(np.uint16)
            step = np.argsort(digit if order is None else digit[order], kind="stable")
            order = step if order is None else order[step]
    assert order is not None
    return order


def random_order_within(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An order of the rows by group (whole numbers of at least 0), at random within each group.

    The same as `np.lexsort((rng.random(n), groups))`, several times faster: positive floats sort
    as their bits do.
    """
    return sort_order(rng.random(len(groups)).view(np.uint64), groups)


def _search(ascending: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """`np.searchsorted`; many questions are roughly sorted first, so memory is read in order."""
    if len(asked) < 4096:
        return np.searchsorted(ascending, asked)
    shift = max(0, int(ascending[-1]).bit_length() - 16)
    order = np.argsort(np.clip(asked >> shift, 0, 2**16 - 1).astype(np.uint16), kind="stable")
    found = np.empty(len(asked), np.int64)
    found[order] = np.searchsorted(ascending, asked[order])
    return found


def own_pairs(src: np.ndarray, n_targets: int) -> sp.csr_array:
    """Each source's pair with itself, in a relation between nodes of one type: one row a source.

    CSR of ones, float32 [len(src), n_targets]. A source beyond the targets (a generated node) has
    an empty row.
    """
    is_target = np.asarray(src) < n_targets
    indptr = np.append(0, np.cumsum(is_target))
    data = np.ones(indptr[-1], np.float32)
    return sp.csr_array((data, np.asarray(src)[is_target], indptr), shape=(len(src), n_targets))


def distinct(codes: np.ndarray) -> np.ndarray:
    """The distinct codes (whole numbers), sorted.

    `np.unique` hashes them, and codes of pairs collide, which takes many times longer.
    """
    codes = np.sort(codes)
    return codes[np.append(True, codes[1:] != codes[:-1])[: len(codes)]]


def interactions(
    hin: HIN, relation: EdgeType, weight: str | None = None, generated: bool = True
) -> sp.csr_array:
    """The relation as CSR; weight "confidence" counts observed edges as 1 and generated ones as
    they say. generated: whether generated edges count at all. Raises ParameterError for a weight
    that is infinite or NaN.
    """
    if not generated and any(relation in delta.edges for delta in hin.deltas):
        return _without_generated(hin, relation, weight)
    if weight is None:
        return hin.adjacency(relation)
    links = hin.adjacency(relation, weight=weight, duplicates="max")
    check_weights(links.data, f"edges {relation}, column {weight!r}")
    return links


def _without_generated(hin: HIN, relation: EdgeType, weight: str | None) -> sp.csr_array:
    """The links of the relation that no delta made, over all nodes; masked ones are left out."""
    key = ("without generated", relation, weight)
    if key not in hin._cache:
        origin = hin.column(relation, "origin")
        is_real = origin.is_null().to_numpy(zero_copy_only=False)
        src, dst = hin.links(relation)
        real = PairIndex.from_positions(src[is_real], dst[is_real], relation_shape(hin, relation))
        hin._cache[key] = sp.csr_array(interactions(hin, relation, weight).multiply(real.matrix()))
    return hin._cache[key]


def check_weights(weights: np.ndarray, where: str) -> None:
    """ParameterError unless every weight of a link is a finite number."""
    n_bad = int(np.count_nonzero(~np.isfinite(weights)))
    if n_bad:
        raise ParameterError(
            f"{where}: {n_bad:,} of {len(weights):,} links have a weight that is infinite or NaN; "
            "weights are finite numbers: clip them or drop those rows",
            asked=n_bad,
            there=len(weights),
        )


def linked_targets(links: sp.csr_array) -> np.ndarray:
    """Whether each target has a link, bool [n_targets]. The links count, not the sum of their
    weights, which may be 0; a link of weight 0 does not count.
    """
    return np.bincount(links.indices[links.data != 0], minlength=links.shape[1]) > 0


def held_out(hin: HIN, relation: EdgeType, pairs: pa.Table) -> tuple[np.ndarray, sp.csr_array]:
    """Held-out pairs as (source positions [m], CSR [m, n_targets]); only the sources that have
    some.
    """
    src, dst = positions_of_pairs(hin, relation, pairs)
    users, row = np.unique(src, return_inverse=True)
    matrix = sp.csr_array(
        (np.ones(len(row), np.float32), (row, dst)), shape=(len(users), hin.n(relation[2]))
    )
    matrix.data[:] = 1
    return users, matrix
