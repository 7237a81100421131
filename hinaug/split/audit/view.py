"""What all checks share: a finding, and one graph of the split beside its held-out pairs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hinaug.graph import arrow as tb
from hinaug.graph.evidence import touching
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import PairIndex
from hinaug.graph.schema import PROVENANCE, EdgeType, Type
from hinaug.split.base import Split

OWN = ("id", "src", "dst", *PROVENANCE)  # columns of the store, which are no attributes
EVEN = 1.4  # held-out counts may vary so many times as much as labels drawn by chance
N_GROUPS = 8  # groups of users and of items, for the probability of a pair
N_FACTORS = 6  # directions of taste


@dataclass(frozen=True)
class Finding:
    """One way in which held-out pairs can be read off, or one thing that cannot be known.

    kind: the sort of leak, in a word or two. where: the column, relation or path. graph: "train"
    or "train_valid". why: what was found. remedy: what to do. count: the pairs, rows or values
    that are concerned. examples: some of the pairs, as ids.
    """

    kind: str
    where: str
    graph: str
    why: str
    remedy: str
    count: int = 0
    examples: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        pairs = ", ".join(f"{a} - {b}" for a, b in self.examples[:3])
        shown = f" (for example {pairs})" if pairs else ""
        return f"{self.where} in {self.graph} {self.why}{shown}; {self.remedy}"


Found = Iterator[tuple[bool, Finding]]  # (whether it is certain, what was found)


@dataclass
class Budget:
    """The seconds and the bytes that the audit may take; what is computed once for all."""

    seconds: float
    memory: float
    start: float = field(default_factory=time.monotonic)
    shared: dict[Any, Any] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        return time.monotonic() - self.start > self.seconds


def title(type: Type) -> str:
    return " ".join(type) if isinstance(type, tuple) else type


class View:
    """One graph of a split and the pairs held out from it, all in positions of the source.

    held: the held-out pairs. known: the other pairs of the source. inside: those of the graph.
    x, y: `inside` and `held` as matrices [users, items]. share: of held among both.
    """

    def __init__(self, name: str, hin: HIN, split: Split, held: pa.Table, budget: Budget) -> None:
        self.name, self.split, self.budget = name, split, budget
        self.hin, self.observed = hin, hin.observed()
        self.source, self.target = split.source.observed(), split.target
        self.a, _, self.b = self.target
        self.cache: dict[Any, Any] = {}
        self.shared = budget.shared  # what both graphs need of the source
        self.whole = PairIndex.of(self.source, self.target)
        self.shape = self.whole.shape
        self.held = PairIndex.from_ids(self.source, self.target, held)
        self.known = self.whole.minus(self.held)
        src, dst = self.positions(self.target)
        there = self.known.contains(src, dst)
        self.inside = PairIndex.from_positions(src[there], dst[there], self.shape)
        self.x, self.y = self.inside.matrix(), self.held.matrix()
        self.share = len(self.held) / max(len(self.inside) + len(self.held), 1)
        n_others = max(self.shape[0] * self.shape[1] - len(self.known), 1)
        self.base_rate = min(len(self.held) / n_others, 1.0)

    def on(self, hin: HIN) -> View:
        """The same view of another graph, with its deltas."""
        other = object.__new__(View)
        other.__dict__.update(self.__dict__, hin=hin, observed=hin, cache={})
        return other

    # ---- positions -------------------------------------------------------------------------------

    def move(self, type: str) -> np.ndarray:
        """For each node of the graph its position in the source, -1 for one that is not there."""
        key = ("move", type)
        if key not in self.cache:
            ids = tb.one_chunk(self.observed.nodes[type]["id"])
            before = self.source.nodes[type]["id"] if type in self.source.nodes else None
            lost = np.full(len(ids), -1, np.int32)
            self.cache[key] = lost if before is None else tb.lookup(tb.one_chunk(before), ids)
        return self.cache[key]

    def positions(self, edge: EdgeType) -> tuple[np.ndarray, np.ndarray]:
        """The ends of the graph's edges as positions in the source, -1 for nodes not there."""
        src, dst = self.observed.links(edge)
        return self.move(edge[0])[src], self.move(edge[2])[dst]

    def touch(self, type: str, end: str) -> sp.csr_array:
        """Which users or items, in positions of the source, each node of the graph touches."""
        key = ("touch", type, end)
        if key not in self.cache:
            row, column = touching(self.observed, type, end).tocoo().coords
            column = self.move(end)[column]
            there, shape = column >= 0, (self.observed.n(type), self.source.n(end))
            self.cache[key] = binary(row[there], column[there], shape)
        return self.cache[key]

    def itself(self, end: str) -> sp.csr_array:
        """Each user or item of the graph beside its position in the source."""
        here = np.flatnonzero(self.move(end) >= 0)
        return binary(here, self.move(end)[here], (self.observed.n(end), self.source.n(end)))

    def finding(self, kind: str, where: str, why: str, remedy: str, codes: np.ndarray) -> Finding:
        """A finding about pairs, given by their codes."""
        src, dst = self.whole.ends(codes[:5])
        users, items = self.source.ids(self.a, src), self.source.ids(self.b, dst)
        some = zip(users.to_pylist(), items.to_pylist(), strict=True)
        pairs = tuple((str(u), str(i)) for u, i in some)
        return Finding(kind, where, self.name, why, remedy, len(codes), pairs)

    def columns(self, type: Type) -> list[pa.Field]:
        return [f for f in self.observed.table(type).schema if f.name not in OWN]

    # ---- how the pairs came about ----------------------------------------------------------------

    def counts(self, side: int) -> tuple[np.ndarray, np.ndarray]:
        """Pairs inside and pairs held out of each user (side 0) or item (side 1)."""
        x, y = ((pairs.src, pairs.dst)[side] for pairs in (self.inside, self.held))
        n = self.shape[side]
        return np.bincount(x, minlength=n) * 1.0, np.bincount(y, minlength=n) * 1.0

    def drawn(self, side: int) -> bool:
        """Whether held-out pairs look drawn at random from the pairs of each user or item.

        They are not in a split by time, and not where a few nodes lost all that they had.
        """
        return "time" not in self.split.how and self.spread(side) <= EVEN

    @property
    def any_drawn(self) -> bool:
        return self.drawn(0) or self.drawn(1)

    def spread(self, side: int) -> float:
        """Variance of the held-out counts of users or items, against that of labels drawn."""
        x, y = self.counts(side)
        b, total = self.share, x + y
        return float(((y - b * total) ** 2).sum() / max(b * (1 - b) * total.sum(), 1e-9))

    @cached_property
    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """Directions of taste of users and items in the graph: a truncated SVD, [n, N_FACTORS]."""
        scale = [1 / np.sqrt(np.maximum(self.counts(side)[0], 1)) for side in (0, 1)]
        x = sp.diags_array(scale[0]) @ self.x.astype(np.float64) @ sp.diags_array(scale[1])
        k = min(N_FACTORS + 1, *self.shape)
        right = np.random.default_rng(0).normal(size=(self.shape[1], k))
        for _ in range(6):  # subspace iteration
            left = np.linalg.qr(x @ right)[0]
            right = np.linalg.qr(x.T @ left)[0]
        left, _, turn = np.linalg.svd(x @ right, full_matrices=False)
        return left[:, 1:], (right @ turn.T)[:, 1:]  # the first only says how many pairs there are

    @cached_property
    def density(self) -> float:
        """How probable a pair that exists was, on average: near 1 in a world that is full.

        Users and items are grouped by taste; within two groups a pair is as probable as the
        degrees of its ends there say.
        """
        groups = [_groups(part) for part in self.factors]
        pairs = self.held.union(self.inside)
        of_user, of_item = groups[0][pairs.src], groups[1][pairs.dst]
        degrees = _count(pairs.src * N_GROUPS + of_item) * _count(pairs.dst * N_GROUPS + of_user)
        p = np.minimum(degrees / np.maximum(_count(of_user * N_GROUPS + of_item), 1), 1)
        return float(p.mean()) if len(p) else 0.0

    @cached_property
    def floor(self) -> float:
        """Correlation of the counts inside and held out once their probabilities are known.

        It is below 0, since a pair cannot be in both: Cov(x, y) = -a b sum p^2.
        """
        a, b, p = 1 - self.share, self.share, self.density
        return -p * np.sqrt(a * b / max((1 - a * p) * (1 - b * p), 1e-9))


def binary(row: np.ndarray, column: np.ndarray, shape: tuple[int, int]) -> sp.csr_array:
    """CSR of ones."""
    matrix = sp.csr_array((np.ones(len(row), np.float32), (row, column)), shape=shape)
    matrix.data[:] = 1
    return matrix


def is_among(codes: np.ndarray, ascending: np.ndarray) -> np.ndarray:
    """As `np.isin`, which hashes: where codes collide, that takes many times longer."""
    if not len(ascending):
        return np.zeros(len(codes), bool)
    at = np.minimum(np.searchsorted(ascending, codes), len(ascending) - 1)
    return ascending[at] == codes


def _count(keys: np.ndarray) -> np.ndarray:
    """For each row the number of rows with the same key."""
    return np.bincount(keys)[keys]


def _groups(vectors: np.ndarray) -> np.ndarray:
    """Spherical k-means: the group of each vector, [n] in 0..N_GROUPS - 1."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    centres = unit[np.random.default_rng(0).choice(len(unit), N_GROUPS)]
    for _ in range(10):
        group = np.argmax(unit @ centres.T, axis=1)
        centres = binary(group, np.arange(len(unit)), (N_GROUPS, len(unit))) @ unit
    return group


def changed(view: View, type: str, name: str) -> int:
    """How many values of a node column are not those of the source; a lost value does not count."""
    if type not in view.source.nodes or name not in view.source.nodes[type].column_names:
        return 0
    rows = np.flatnonzero(view.move(type) >= 0)
    here = tb.one_chunk(view.observed.nodes[type][name]).take(pa.array(rows))
    before = tb.one_chunk(view.source.nodes[type][name]).take(pa.array(view.move(type)[rows]))
    if here.equals(before) or here.type != before.type:
        return 0 if here.equals(before) else len(rows)
    texts = pa.concat_arrays([_as_text(here), _as_text(before)]).dictionary_encode().indices
    codes = pc.fill_null(texts, -1).to_numpy(zero_copy_only=False).reshape(2, -1)
    return int(((codes[0] != codes[1]) & here.is_valid().to_numpy(zero_copy_only=False)).sum())


def _as_text(column: pa.Array) -> pa.Array:
    """Values that can be compared; lists and vectors as text."""
    if not pa.types.is_nested(column.type):
        return column.cast(pa.string())
    size = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    ends = pa.array(np.append(0, np.cumsum(size)).astype(np.int32))
    lists = pa.ListArray.from_arrays(ends, pc.cast(column.flatten(), pa.string()))
    return pc.binary_join(lists, "|")
