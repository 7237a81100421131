"""What the searches share: a finding, one graph with its held-out pairs, and when rows that name
pairs give them away.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from scipy import stats

from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import PairIndex, distinct
from hinaug.graph.schema import EdgeType, Type
from hinaug.split.base import Split

BUDGET = 4_000_000  # pairs that one search spells out; what is denser is sampled
SAMPLE = 4_000


@dataclass(frozen=True)
class Finding:
    """One way in, or one thing that cannot be known."""

    kind: str
    where: str
    graph: str
    why: str
    count: int = 0
    examples: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        shown = (
            f"; for example {', '.join(f'{a} - {b}' for a, b in self.examples[:3])}"
            if self.examples
            else ""
        )
        return f"{self.kind} in {self.graph}: {self.where}: {self.why}{shown}"


def title(type: Type) -> str:
    return " ".join(type) if isinstance(type, tuple) else type


class View:
    """One graph of the split with its held-out pairs as positions in `source` (whose ends all
    graphs share).
    """

    def __init__(self, name: str, graph: HIN, split: Split, held: pa.Table) -> None:
        self.name, self.graph, self.split = name, graph, split
        self.source = split.source.observed()
        self.target: EdgeType = split.target
        self.a, _, self.b = split.target
        self.shape = (self.source.n(self.a), self.source.n(self.b))
        held_pairs = PairIndex.from_ids(self.source, self.target, held)
        self.source_pairs = PairIndex.of(self.source, self.target)
        self.source_codes = self.source_pairs.codes(*self.source.links(self.target))  # of each row
        self.held = held_pairs.code
        self.known = self.source_pairs.minus(held_pairs).code  # pairs that this graph may know
        space = max(self.shape[0] * self.shape[1] - len(self.known), 1)
        self.base_rate = min(len(self.held) / space, 1.0)
        self.observed = graph.observed()
        self._moves: dict[str, np.ndarray] = {}
        self._ways: Any = None
        self.kept: dict[str, Any] = {}  # of the source, for all views of one audit

    def on(self, hin: HIN) -> View:
        """The same view of another graph, deltas included."""
        other = object.__new__(View)
        other.__dict__.update(self.__dict__)
        other.graph = other.observed = hin
        other._moves, other._ways = {}, None
        return other

    def move(self, type: str) -> np.ndarray:
        """For each node of this graph its position in the source, -1 for one that is not there."""
        if type not in self._moves:
            ids = tb.one_chunk(self.observed.nodes[type]["id"])
            if type not in self.source.nodes:
                self._moves[type] = np.full(len(ids), -1, np.int32)
            else:
                there = self.source.nodes[type]["id"].chunk(0)
                same = ids.equals(there)
                self._moves[type] = (
                    np.arange(len(ids), dtype=np.int32) if same else tb.lookup(there, ids)
                )
        return self._moves[type]

    def matrix(self, codes: np.ndarray) -> sp.csr_array:
        """Pair codes as CSR [sources, targets]."""
        return sp.csr_array(
            (np.ones(len(codes), np.float32), self.ends(codes)),
            shape=self.shape,
        )

    def pair_codes(self, src: np.ndarray, dst: np.ndarray) -> np.ndarray:
        """Pair codes from positions in the source; -1 where a position is none."""
        return self.source_pairs.codes(src, dst)

    def ends(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions in the source of the two ends of pair codes."""
        return self.source_pairs.ends(codes)

    def inside(self, codes: np.ndarray, reached: list[np.ndarray]) -> np.ndarray:
        """Which pair codes have both ends among those that are reached, bool."""
        src, dst = self.ends(codes)
        return reached[0][src] & reached[1][dst]

    def pairs(self, codes: np.ndarray) -> tuple[tuple[str, str], ...]:
        src, dst = self.ends(codes[:5])
        left, right = (
            self.source.nodes[self.a]["id"].chunk(0),
            self.source.nodes[self.b]["id"].chunk(0),
        )
        return tuple(
            (left[a].as_py(), right[b].as_py())
            for a, b in zip(src.tolist(), dst.tolist(), strict=True)
        )

    def codes(self, src: np.ndarray, dst: np.ndarray) -> np.ndarray:
        """Pair codes from positions in this graph; -1 where an end is not in the source."""
        return self.pair_codes(self.move(self.a)[src], self.move(self.b)[dst])

    def finding(self, kind: str, where: str, why: str, codes: np.ndarray) -> Finding:
        return Finding(kind, where, self.name, why, len(codes), self.pairs(codes))


def changed(view: View, type: Type, name: str) -> int:
    """How many values in this graph are not those of the source; a value that is gone does not
    count.
    """
    source = view.source
    if (
        isinstance(type, tuple)
        or type not in source.nodes
        or name not in source.nodes[type].column_names
    ):
        return 0
    move = view.move(type)
    rows = np.flatnonzero(move >= 0)
    here = tb.one_chunk(view.observed.nodes[type][name]).take(pa.array(rows))
    there = tb.one_chunk(source.nodes[type][name]).take(pa.array(move[rows]))
    if here.equals(there):
        return 0
    if here.type != there.type:
        return len(rows)
    try:
        same = pc.fill_null(pc.equal(here, there), False)
        return len(rows) - int(pc.sum(pc.or_(same, pc.is_null(here))).as_py() or 0)
    except pa.ArrowNotImplementedError:
        return sum(
            a is not None and a != b
            for a, b in zip(here.to_pylist(), there.to_pylist(), strict=True)
        )


@dataclass(frozen=True)
class Verdict:
    """certain: a leak, otherwise it cannot be told. codes: the held-out pairs that are named."""

    certain: bool
    codes: np.ndarray
    why: str
    kind: str = ""


def capped(matrix: sp.csr_array, budget: int = BUDGET) -> sp.csr_array:
    """Without its heaviest rows, so that at most `budget` entries are left; binary."""
    matrix = matrix.tocsr()
    if matrix.nnz > budget:
        degree = np.diff(matrix.indptr)
        order = np.argsort(degree, kind="stable")
        stay = np.zeros(len(degree), bool)
        stay[order[np.cumsum(degree[order]) <= budget]] = True
        keep = np.repeat(stay, degree)
        indptr = np.concatenate([[0], np.cumsum(np.where(stay, degree, 0))])
        matrix = sp.csr_array((matrix.data[keep], matrix.indices[keep], indptr), shape=matrix.shape)
    if matrix.nnz and not (matrix.data == 1).all():
        matrix = sp.csr_array(
            (np.ones_like(matrix.data), matrix.indices, matrix.indptr), shape=matrix.shape
        )
    return matrix


def _product_work(left: sp.csr_array, right: sp.csr_array) -> int:
    return int(np.diff(right.indptr)[left.indices].sum())


def times(left: sp.csr_array, right: sp.csr_array, budget: int = 4 * BUDGET) -> sp.csr_array:
    """left @ right, the heaviest rows of `right` left out where the work would pass the budget."""
    left, right = left.tocsr(), right.tocsr()
    while right.nnz and _product_work(left, right) > budget:
        degree = np.diff(right.indptr) * np.bincount(left.indices, minlength=right.shape[0])
        stay = (
            degree < np.quantile(degree[degree > 0], 0.99) if (degree > 0).sum() > 1 else degree < 0
        )
        keep = np.repeat(stay, np.diff(right.indptr))
        indptr = np.concatenate([[0], np.cumsum(np.where(stay, np.diff(right.indptr), 0))])
        right = sp.csr_array((right.data[keep], right.indices[keep], indptr), shape=right.shape)
    return capped(left @ right)


def expand(
    view: View, left: sp.csr_array, right: sp.csr_array, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pair codes, and the row of each, of all combinations that these rows name."""
    n_left, n_right = np.diff(left.indptr), np.diff(right.indptr)
    count = n_left[rows].astype(np.int64) * n_right[rows]
    row = np.repeat(rows, count)
    within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    a = left.indices[left.indptr[row] + within // n_right[row]]
    b = right.indices[right.indptr[row] + within % n_right[row]]
    return view.pair_codes(a, b), row


def judge(
    view: View, left: sp.csr_array, right: sp.csr_array, weak: bool = False, prose: bool = False
) -> Verdict | None:
    """Whether rows that touch users `left` [rows, users] and items `right` [rows, items] give
    held-out pairs away.

    Certain: a row that names a pair alone, or only true pairs, while rows of its like name few
    false ones; a table whose rows belong to one end each (a reified relation) and name mostly true
    pairs, or most held-out pairs; more than half of the new pairs held out, far above chance (by
    groups of several users and items: nine tenths, since in a small world people of one taste have
    tried nearly all there is for it); nearly everything but the held-out pairs.
    weak: only the statistics count, for numbers and words that may equal an id by accident. prose:
    a weak mention that is no accident, though it need not say that the pair is one: what the
    statistics leave open is unknown.
    """
    left, right = left.tocsr(), right.tocsr()
    n_left, n_right = np.diff(left.indptr).astype(np.int64), np.diff(right.indptr).astype(np.int64)
    active = np.flatnonzero((n_left > 0) & (n_right > 0))
    if not len(active):
        return None
    order = active[np.argsort((n_left * n_right)[active], kind="stable")]
    small = order[np.cumsum((n_left * n_right)[order]) <= BUDGET]
    codes, row = expand(view, left, right, small)
    if view.a == view.b:
        own = np.equal(*view.ends(codes))
        codes, row = codes[~own], row[~own]
    held, known = _member(codes, view.held), _member(codes, view.known)
    unique, first = np.unique(codes, return_index=True)
    n_held, n_known = int(held[first].sum()), int(known[first].sum())
    hits, false = unique[held[first]], len(unique) - n_held - n_known
    says = (
        f"{n_held} held-out pairs among {n_held + false} pairs that it names beyond the "
        f"{n_known} known ones"
    )
    private = max((n_left[active] == 1).mean(), (n_right[active] == 1).mean()) >= 0.95
    doubt: Verdict | None = None
    if n_held and not weak:
        size = np.bincount(row, minlength=left.shape[0])
        true = np.bincount(row, held | known, minlength=left.shape[0])
        alone = (n_left == 1) | (n_right == 1)
        for like, sure in (
            (alone, alone & (size == true)),
            (size > 0, (size == true) & (size >= 4)),
        ):
            named = distinct(codes[held & sure[row]])
            if not len(named):
                continue
            wrong = len(distinct(codes[~held & ~known & like[row]]))
            chance = stats.binom.sf(len(named) - 1, len(named) + wrong, view.base_rate)
            if wrong == 0 or (chance < 0.05 and len(named) >= wrong):
                return Verdict(True, named, says)
            doubt = doubt or Verdict(
                False, named, f"{says}; single rows name true pairs alone, which may be chance"
            )
        density = (len(view.known) + len(view.held)) / max(view.shape[0] * view.shape[1], 1)
        if private and n_held + n_known >= false:
            right_by_chance = stats.binom.sf(n_held + n_known - 1, len(unique), density)
            if len(unique) <= 8 or right_by_chance < 1e-3:
                return Verdict(True, hits, says)
    chance = stats.binom.sf(n_held - 1, n_held + false, view.base_rate)
    if n_held and n_held >= false and chance < (1e-4 if weak else 1e-3):
        if private or n_held >= 9 * false:
            return Verdict(True, hits, says)
        doubt = doubt or Verdict(
            False, hits, f"{says}; groups of users and items may do so for reasons of their own"
        )
    reached = [np.zeros(n, bool) for n in view.shape]
    reached[0][left.indices], reached[1][right.indices] = True, True
    eligible = int(view.inside(view.held, reached).sum())
    inside = int(view.inside(view.known, reached).sum())
    space = max(int(reached[0].sum()) * int(reached[1].sum()) - inside - eligible, 1)
    rate = min((false + 0.5) / (space + 1), 1.0)
    if len(small) == len(active):
        recalled = _by_recall(eligible, n_held, n_known, inside, rate, private, weak)
        if recalled is not None:
            certain, kind, why = recalled
            return Verdict(certain, hits, f"{says}; {why}", kind)
    else:
        big = np.setdiff1d(active, small)
        found = _by_sample(view, left[big], right[big], reached, eligible, space)
        if found is not None:
            return found
    if prose and n_held:
        return Verdict(
            False, hits, f"{says}; whether the text says that they belong together cannot be told"
        )
    if weak and n_held and false == 0 and len(unique) >= 2:
        return Verdict(False, hits, f"{says}; these may be ids, or equal them by accident")
    return doubt


def _by_recall(
    eligible: int, hits: int, n_known: int, known: int, rate: float, private: bool, weak: bool
) -> tuple[bool, str, str] | None:
    if hits and hits >= 0.5 * eligible and hits >= 10 * rate * eligible:
        p = stats.binom.sf(hits - 1, eligible, rate)
        if hits >= 3 and p < (1e-9 if weak else 1e-6):
            why = (
                f"of the {eligible} held-out pairs in its reach it names {hits}, of other "
                f"pairs {100 * rate:.2g} %"
            )
            return private, "", why
    apart = private and hits >= 10 and hits * max(known, 1) >= 10 * n_known * eligible
    if apart and stats.binom.sf(hits - 1, eligible, rate) < 1e-9:
        return (
            True,
            "",
            f"it names {hits} of {eligible} held-out pairs and keeps off the known ones",
        )
    unlikely = eligible * np.log1p(-min(rate, 1 - 1e-12)) < np.log(1e-9 if weak else 1e-6)
    if not hits and rate >= 0.5 and unlikely and n_known <= 0.02 * max(known, 1):
        return (
            True,
            "complement",
            f"it names {100 * rate:.0f} % of all other pairs and not one true one",
        )
    return None


def _by_sample(
    view: View,
    left: sp.csr_array,
    right: sp.csr_array,
    reached: list[np.ndarray],
    eligible: int,
    space: int,
) -> Verdict | None:
    """The same rules for rows that name too many pairs to spell out, from a sample of held-out and
    of other pairs.
    """
    rng = np.random.default_rng(0)
    held = view.held[view.inside(view.held, reached)]
    if len(held) > SAMPLE:
        held = rng.choice(held, SAMPLE, replace=False)
    users, items = (np.flatnonzero(r) for r in reached)
    other = view.pair_codes(rng.choice(users, SAMPLE), rng.choice(items, SAMPLE))
    other = other[~_member(other, view.known) & ~_member(other, view.held)]
    by_user, by_item = left.T.tocsr(), right.T.tocsr()
    joined = []
    for codes in (held, other):
        src, dst = view.ends(codes)
        joined.append(np.asarray(by_user[src].multiply(by_item[dst]).sum(axis=1)).ravel() > 0)
    if not joined[0].any():
        return None
    rates = [float(j.mean()) if len(j) else 0.0 for j in joined]
    hits = rates[0] * eligible
    precision = hits / max(hits + rates[1] * space, 1e-9)
    why = (
        f"it names {100 * rates[0]:.3g} % of the held-out pairs and {100 * rates[1]:.3g} % of "
        "others (sampled)"
    )
    if joined[0].sum() >= 3 and (
        precision >= 0.5 or (rates[0] >= 0.5 and rates[0] >= 10 * rates[1])
    ):
        return Verdict(precision >= 0.5, held[joined[0]], why)
    return None


def _member(codes: np.ndarray, of: np.ndarray) -> np.ndarray:
    """isin for sorted unique `of`."""
    if not len(of):
        return np.zeros(len(codes), bool)
    at = np.minimum(np.searchsorted(of, codes), len(of) - 1)
    return of[at] == codes


def renamed(finding: Finding, **changes: Any) -> Finding:
    return replace(finding, **changes)
