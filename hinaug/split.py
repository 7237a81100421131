"""Splits follow information, not edge types: a held-out pair leaves together with everything that records it.

The unit that is held out is a *pair* of the target relation, with all its parallel rows. With it go

    its twins       rows of every other relation between the same two node types, in either direction,
    its witnesses   nodes of the types named in `evidence` (such as reviews) that join its two ends,
                    with all their edges and columns,
    the future      in a temporal split, every row of any table whose time lies after the cut; in leave-last, what touches
                    a user later than the user's own held-out pairs.

Users and items stay, so their positions are the same in `source`, `train` and `train_valid`; one that itself carries a
time after the cut keeps its id alone, its attributes become null.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hinaug import checks
from hinaug import tables as tb
from hinaug.base import Rng, among, distinct
from hinaug.hin import HIN, EdgeType
from hinaug.tables import SchemaError

TRAIN, VALID, TEST, DROPPED = 0, 1, 2, 3


@dataclass(frozen=True, eq=False)
class Split:
    """What a method may see, and what it is judged by.

    train: to fit on. train_valid: to refit on once choices are made. source: everything, for `audit`.
    valid, test: held-out pairs with their attributes, external ids in "src" and "dst".
    how: the function, its parameters and what it counted (ties, cut times).
    """

    source: HIN
    target: EdgeType
    train: HIN
    train_valid: HIN
    valid: pa.Table
    test: pa.Table
    evidence: tuple[str, ...] = ()
    how: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        pairs = [len(self.train.adjacency(self.target).data), self.valid.num_rows, self.test.num_rows]
        return f"Split({self.how.get('split', 'by hand')}: {pairs[0]:,} train, {pairs[1]:,} valid, {pairs[2]:,} test of {self.target})"


def random_split(
    hin: HIN,
    target: EdgeType,
    *,
    evidence: Sequence[str] = (),
    valid: float | int = 0.1,
    test: float | int = 0.1,
    min_train: int = 1,
    keep: Iterable[EdgeType] = (),
    rng: Rng = None,
) -> Split:
    """Per user at random. valid, test: a share of each user's pairs (rounded at random, so unbiased), or a count.

    evidence: node types that witness a pair, such as "review". keep: twin relations that shall stay although they join
    held-out pairs (`audit` will name them). min_train: pairs that each user keeps at least.
    """
    rng = checks.generator(rng, "random_split")
    pairs = _Pairs("random_split", hin, target)
    order = np.lexsort((rng.random(len(pairs)), pairs.src))
    part = _last_of_each(pairs.src[order], valid, test, min_train, rng)
    out = np.empty(len(pairs), np.int8)
    out[order] = part
    return _build(pairs, out, evidence, keep, {"split": "random_split", "valid": valid, "test": test})


def leave_last(
    hin: HIN,
    target: EdgeType,
    *,
    evidence: Sequence[str] = (),
    time: str = "time",
    valid: int = 1,
    test: int = 1,
    min_train: int = 1,
    keep: Iterable[EdgeType] = (),
) -> Split:
    """The last pairs of each user are held out. A pair happens when it is first seen; ties are broken by row order.

    Rows of every other table that touch the user and carry a later time leave too, each user having an own moment: when
    the first pair was held out. A null time stays.
    """
    _time_name(time, "leave_last")
    pairs = _Pairs("leave_last", hin, target, time)
    order = np.lexsort((pairs.first, pairs.time, pairs.src))
    src, when = pairs.src[order], pairs.time[order]
    part = np.empty(len(pairs), np.int8)
    part[order] = sorted_part = _last_of_each(src, valid, test, min_train, None)
    cut = (sorted_part[1:] != sorted_part[:-1]) & (src[1:] == src[:-1])
    ties = int((cut & (when[1:] == when[:-1])).sum())
    how = {"split": "leave_last", "valid": valid, "test": test, "time": time, "ties": ties}
    return _build(pairs, part, evidence, keep, how, time=time)


def temporal_split(
    hin: HIN,
    target: EdgeType,
    *,
    evidence: Sequence[str] = (),
    time: str = "time",
    valid: float = 0.1,
    test: float = 0.1,
    cuts: tuple[float, float] | None = None,
    keep: Iterable[EdgeType] = (),
) -> Split:
    """One moment for all: train lies up to the first cut, valid up to the second, test after it.

    valid, test: shares of the pairs, which set the cuts; or give cuts=(first, second) in the unit of `time`. A pair
    happens when it is first seen; pairs at the very moment of a cut stay on the early side and are counted as ties.
    Rows of every other table that has a column of this name are cut at the same moments; a null time stays.
    """
    _time_name(time, "temporal_split")
    pairs = _Pairs("temporal_split", hin, target, time)
    if cuts is None:
        _shares(valid, test)
        ordered = np.sort(pairs.time)
        n = len(ordered)
        if n == 0:
            raise SchemaError(
                f"temporal_split: the graph has no edges {target}; add some, or give cuts=(first, second)"
            )
        at = [max(int(np.ceil(n * (1 - valid - test))) - 1, 0), max(int(np.ceil(n * (1 - test))) - 1, 0)]
        cuts = (float(ordered[at[0]]), float(ordered[at[1]]))
    if np.shape(cuts) != (2,) or not all(checks.is_number(cut) for cut in cuts) or cuts[0] > cuts[1]:
        raise ValueError(
            f"temporal_split: cuts={cuts}: two numbers in the unit of {time!r} (of a time stamp: seconds), of which "
            "the first comes before the second"
        )
    part = np.where(pairs.time > cuts[1], TEST, np.where(pairs.time > cuts[0], VALID, TRAIN)).astype(np.int8)
    ties = int((pairs.time == cuts[0]).sum() + (pairs.time == cuts[1]).sum())
    how = {"split": "temporal_split", "time": time, "cuts": list(cuts), "ties": ties}
    return _build(pairs, part, evidence, keep, how, time=time, cuts=cuts)


def cold_users(
    hin: HIN,
    target: EdgeType,
    *,
    evidence: Sequence[str] = (),
    valid: float = 0.1,
    test: float = 0.1,
    known: int = 0,
    keep: Iterable[EdgeType] = (),
    rng: Rng = None,
) -> Split:
    """A share of the users lose all their pairs but `known` random ones; they keep their attributes and other edges."""
    return _cold(hin, target, 0, evidence, valid, test, known, keep, rng)


def cold_items(
    hin: HIN,
    target: EdgeType,
    *,
    evidence: Sequence[str] = (),
    valid: float = 0.1,
    test: float = 0.1,
    known: int = 0,
    keep: Iterable[EdgeType] = (),
    rng: Rng = None,
) -> Split:
    """A share of the items lose all their pairs but `known` random ones; they keep their attributes and other edges."""
    return _cold(hin, target, 1, evidence, valid, test, known, keep, rng)


def thin(split: Split, share: float, rng: Rng = None) -> Split:
    """The same test under sparser data: only `share` of what each user had before the test is left (at least one pair).

    The pairs taken out of train go with their evidence and are in no part. All of `valid` stays to choose by, but
    only `share` of it joins `train_valid`, so that the refit is as thin as the fit.
    """
    if not isinstance(split, Split):
        raise TypeError(f"thin takes a Split, got {checks.kind(split)}; make one with random_split or leave_last")
    if not (checks.is_number(share) and 0 < share <= 1):
        raise ValueError(f"thin: share={share!r} is no number in (0, 1], such as 0.5 for every second pair")
    rng = checks.generator(rng, "thin")
    time = split.how.get("time")
    pairs = _Pairs("thin", split.source, split.target, time)
    in_train = pairs.among(split.train, None)
    in_valid, in_test = pairs.among(split.source, split.valid), pairs.among(split.source, split.test)
    part = np.where(in_test, TEST, np.where(in_valid, VALID, np.where(in_train, TRAIN, DROPPED))).astype(np.int8)
    left = np.zeros(len(pairs), bool)
    for which, least in ((in_train, 1), (in_valid, 0)):
        rows = np.flatnonzero(which)
        rows = rows[np.lexsort((rng.random(len(rows)), pairs.src[rows]))]
        group, size = _groups(pairs.src[rows])
        wanted = np.maximum(np.floor(size * share + rng.random(len(size))).astype(np.int64), least)
        left[rows[_rank(pairs.src[rows]) < wanted[group]]] = True
    keep = tuple((str(a), str(r), str(b)) for a, r, b in split.how.get("keep", ()))
    how = {**split.how, "thin": share}
    return _build(pairs, part, split.evidence, keep, how, left=left, time=time, cuts=split.how.get("cuts"))


class _Pairs:
    """The distinct observed pairs of a relation: ends, first row, and when first seen."""

    def __init__(self, who: str, hin: HIN, target: EdgeType, time: str | None = None) -> None:
        checks.graph(hin, who)
        self.hin, self.target = hin, target
        hin.edges[target]
        observed = hin.observed()
        src, dst = observed.links(target)
        self.width = max(observed.n(target[2]), 1)
        self.code, self.first, self.inverse = np.unique(
            src.astype(np.int64) * self.width + dst, return_index=True, return_inverse=True
        )
        self.src, self.dst = self.code // self.width, self.code % self.width
        if time is not None:
            when = times_of(observed, target, time)
            missing = np.flatnonzero(np.isnan(when))
            if missing.size:
                raise SchemaError(
                    f"edges {target}: {time!r} is null in {missing.size} rows (first {tb.some(missing[:5].tolist())}); "
                    "leave them out with filter_edges, or fill them, before"
                )
            self.time = np.full(len(self.code), np.inf)
            np.minimum.at(self.time, self.inverse, when)
            order = np.lexsort((np.arange(len(when)), when, self.inverse))
            self.first = order[np.searchsorted(self.inverse[order], np.arange(len(self.code)))]

    def __len__(self) -> int:
        return len(self.code)

    def among(self, hin: HIN, pairs: pa.Table | None) -> np.ndarray:
        """Which of these pairs stand in a graph, or in a table of external ids."""
        if pairs is None:
            src, dst = hin.observed().links(self.target)
        else:
            src, dst = hin.positions(self.target[0], pairs["src"]), hin.positions(self.target[2], pairs["dst"])
        return among(self.code, distinct(src.astype(np.int64) * self.width + dst))


def _build(
    pairs: _Pairs,
    part: np.ndarray,
    evidence: Sequence[str],
    keep: Iterable[EdgeType],
    how: dict[str, Any],
    left: np.ndarray | None = None,
    time: str | None = None,
    cuts: Sequence[float] | None = None,
) -> Split:
    hin, target = pairs.hin, pairs.target
    evidence, keep = _types("evidence", evidence), _types("keep", keep)
    for type in evidence:
        hin.nodes[type]
        if type in (target[0], target[2]):
            raise ValueError(
                f"evidence={evidence}: {type!r} is an end of {target}; evidence are the nodes between its ends"
            )
    for edge in keep:
        hin.edges[edge]
    left = np.ones(len(part), bool) if left is None else left
    graphs = []
    for inside, cut in (((TRAIN,), 0), ((TRAIN, VALID), 1)):
        stays = np.isin(part, inside) & left
        graph = without_pairs(hin, target, pairs.src[~stays], pairs.dst[~stays], evidence, keep)
        if cuts is not None and time is not None:
            graph = _before(graph, time, cuts[cut], (target[0], target[2]))
        elif time is not None:
            limit = np.full(hin.n_observed(target[0]), np.inf)
            out = np.isin(part, (VALID, TEST)) & ~np.isin(part, inside)
            np.minimum.at(limit, pairs.src[out], pairs.time[out])
            graph = _before_own(graph, time, (target[0], target[2]), limit, keep)
        graphs.append(graph)
    how = {**how, "evidence": list(evidence), "keep": [list(e) for e in keep]}
    if target[0] == target[2]:  # the reverse of a held-out pair left train, though it may be in no other part
        lost = np.isin(pairs.dst * pairs.width + pairs.src, pairs.code[np.isin(part, (VALID, TEST))])
        how["reversed"] = int((lost & (part == TRAIN) & (pairs.src != pairs.dst)).sum())
    valid, test = (_table(pairs, part == p) for p in (VALID, TEST))
    return Split(hin, target, graphs[0], graphs[1], valid, test, evidence, how)


def without_pairs(
    hin: HIN,
    target: EdgeType,
    src: np.ndarray,
    dst: np.ndarray,
    evidence: Sequence[str] = (),
    keep: Iterable[EdgeType] = (),
) -> HIN:
    """The graph without these pairs (positions src [n] and dst [n]), their twin rows and their witnesses."""
    evidence, keep = _types("evidence", evidence), _types("keep", keep)
    n = (hin.n_observed(target[0]), hin.n_observed(target[2]))
    gone = sp.csr_array((np.ones(len(src), np.float32), (src, dst)), shape=n)
    all_pairs = hin.observed().adjacency(target)
    for certain in (
        True,
        False,
    ):  # nodes that witness nothing but these pairs go first; what still joins a pair goes then
        joined = {}
        observed = hin.observed()
        for type in evidence:
            a, b = (_reach(observed, type, end, evidence) for end in (target[0], target[2]))
            joins = _named(a, b, gone) > 0
            if certain:
                joins &= _named(a, b, gone) == _named(a, b, all_pairs)
            joined[type] = joins
        for type, joins in joined.items():
            if joins.any():
                hin = hin.filter_nodes(type, ~joins)
    codes = distinct(np.asarray(src, np.int64) * max(n[1], 1) + dst)
    for edge in list(hin.observed().edges):
        if edge in keep:
            continue
        mask = None
        for a, b, forward in ((target[0], target[2], True), (target[2], target[0], False)):
            if (edge[0], edge[2]) == (a, b):
                s, d = hin.observed().links(edge)
                s, d = (s, d) if forward else (d, s)
                hit = ~among(s.astype(np.int64) * max(n[1], 1) + d, codes)
                mask = hit if mask is None else mask & hit
        if mask is not None:
            hin = hin.filter_edges(edge, mask)
    return hin


def _named(a: sp.csr_array, b: sp.csr_array, pairs: sp.csr_array) -> np.ndarray:
    """How many of `pairs` each row joins: ends in a [rows, sources] and b [rows, targets]."""
    return np.asarray((a @ pairs).multiply(b).sum(axis=1)).ravel()


def _reach(hin: HIN, type: str, end: str, through: Sequence[str], past: tuple[str, ...] = ()) -> sp.csr_array:
    """Which nodes of `end` each node of `type` touches, directly or through other evidence types."""
    found = touching(hin, type, end)
    for other in through:
        if other != type and other not in past:
            step = touching(hin, type, other)
            if step.nnz:
                found = found + step @ _reach(hin, other, end, through, (*past, type))
    found = found.tocsr()
    found.eliminate_zeros()
    found.data[:] = 1
    return found


def touching(hin: HIN, a: str, b: str) -> sp.csr_array:
    """How many edge types link each node of a to each of b, in either direction where a and b differ: CSR [n_a, n_b]."""
    out = sp.csr_array((hin.n(a), hin.n(b)), dtype=np.float32)
    for edge in hin.edges:
        if (edge[0], edge[2]) == (a, b):
            out = out + hin.adjacency(edge)
        if (edge[2], edge[0]) == (a, b) and a != b:
            out = out + hin.adjacency(edge).T.tocsr()
    return out.tocsr()


def _before(hin: HIN, time: str, cut: float, ends: tuple[str, str]) -> HIN:
    """Without the rows of any table later than `cut`; late users and items keep their ids alone."""
    for type in list(hin.observed().edges):
        if time in hin.observed().edges[type].column_names:
            hin = hin.filter_edges(type, ~(times_of(hin.observed(), type, time) > cut))
    for node in list(hin.nodes):
        if time in hin.observed().nodes[node].column_names:
            late = times_of(hin.observed(), node, time) > cut
            hin = _blank(hin, node, late) if node in ends else hin.filter_nodes(node, ~late)
    return hin


def _blank(hin: HIN, node: str, rows: np.ndarray) -> HIN:
    """The graph with all attributes of these nodes null."""
    table = hin.observed().nodes[node]
    if not rows.any():
        return hin
    where = pa.array(np.where(rows, 0, np.arange(len(rows))), mask=rows)
    for name in table.column_names:
        if name != "id":
            values = hin.observed().column(node, name).take(where)
            hin = hin.with_column(node, name, values, lineage=tb.lineage_of(table.schema.field(name)))
    return hin


def _before_own(hin: HIN, time: str, ends: tuple[str, str], limit: np.ndarray, keep: Iterable[EdgeType]) -> HIN:
    """Without rows that touch a user later than that user's limit [n_users]; edges to a timed node happen when it does."""
    user = ends[0]
    for type in list(hin.observed().edges):
        if user in (type[0], type[2]) and type not in keep:
            late = late_rows(hin.observed(), type, time, ends, limit)
            before = hin.observed()
            hin = hin.filter_edges(type, ~late)
            for side, node in enumerate((type[0], type[2])):
                if node not in ends and time in before.nodes[node].column_names and late.any():
                    had = np.bincount(before.links(type)[side], minlength=before.n(node)) > 0
                    has = np.asarray(touching(hin.observed(), node, user).sum(axis=1)).ravel() > 0
                    hin = hin.filter_nodes(node, ~had | has)
    return hin


def late_rows(hin: HIN, type: EdgeType, time: str, ends: tuple[str, str], limit: np.ndarray) -> np.ndarray:
    """Which rows of an edge type touch a user later than the user's limit: by their own time, else by that of a session."""
    user = ends[0]
    links = hin.links(type)
    late = np.zeros(len(links[0]), bool)
    for side in (0, 1):
        if type[2 * side] != user:
            continue
        other = type[2 - 2 * side]
        if time in hin.edges[type].column_names:
            when = times_of(hin, type, time)
        elif other not in ends and time in hin.nodes[other].column_names:
            when = times_of(hin, other, time)[links[1 - side]]
        else:
            continue
        late |= when > limit[links[side]]
    return late


def times_of(hin: HIN, type: Any, time: str) -> np.ndarray:
    """A time column as float64 in its own unit (time stamps: seconds), NaN for null."""
    column = hin.column(type, time)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        seconds = column.cast(pa.timestamp("us")).cast(pa.int64())
        return pc.divide(seconds.cast(pa.float64()), 1e6).to_numpy(zero_copy_only=False)
    if not tb.is_number(column.type):
        raise SchemaError(
            f"{type!r}, column {time!r} is {column.type}, not a time; parse it into numbers or time stamps before"
        )
    return column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def _table(pairs: _Pairs, chosen: np.ndarray) -> pa.Table:
    """The first row of each chosen pair, with external ids."""
    observed, target = pairs.hin.observed(), pairs.target
    rows = np.sort(pairs.first[chosen])
    table = observed.edges[target].take(pa.array(rows))
    for side, node in ((0, target[0]), (1, target[2])):
        table = table.set_column(side, ("src", "dst")[side], observed.ids(node, table.column(side).to_numpy()))
    return table.combine_chunks()


def _last_of_each(
    src: np.ndarray, valid: float | int, test: float | int, min_train: int, rng: np.random.Generator | None
) -> np.ndarray:
    """TRAIN, VALID or TEST for pairs sorted by user: the last ones of each user are held out."""
    group, size = _groups(src)
    checks.whole(min_train, "min_train")
    counts = []
    for name, share in (("valid", valid), ("test", test)):
        checks.number(share, name, "a share in [0, 1) or a count of pairs per user")
        whole = isinstance(share, Integral)
        if share < 0 or (not whole and share >= 1):
            raise ValueError(f"{name}={share!r}: a share in [0, 1) or a count of pairs per user is needed")
        exact = np.full(len(size), share) if whole else size * share
        counts.append(
            np.floor(exact + (rng.random(len(size)) if rng is not None and not whole else 0)).astype(np.int64)
        )
    free = np.maximum(size - min_train, 0)
    n_test = np.minimum(counts[1], free)
    n_valid = np.minimum(counts[0], free - n_test)
    from_end = size[group] - 1 - _rank(src)
    part = np.where(from_end < n_test[group], TEST, np.where(from_end < (n_test + n_valid)[group], VALID, TRAIN))
    return part.astype(np.int8)


def _groups(sorted_values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row its group's number, and each group's size."""
    group = np.cumsum(np.append(True, sorted_values[1:] != sorted_values[:-1])[: len(sorted_values)]) - 1
    return group, np.bincount(group)


def _rank(sorted_values: np.ndarray) -> np.ndarray:
    """0, 1, 2, ... within runs of equal values."""
    return np.arange(len(sorted_values)) - np.searchsorted(sorted_values, sorted_values)


def _types(name: str, given: Any) -> tuple[Any, ...]:
    """Types as a tuple; one node type alone is meant as a list of it."""
    if not isinstance(given, Iterable):
        such = "['review']" if name == "evidence" else "[('user', 'likes', 'item')]"
        raise TypeError(f"{name}={given!r}: a list of types is needed, such as {such}, or [] for none")
    return (given,) if isinstance(given, str) else tuple(given)


def _time_name(time: Any, who: str) -> None:
    if not isinstance(time, str):
        raise TypeError(f"{who}: time={time!r}: the name of a column of the edges is needed, such as 'time'")


def _shares(valid: float, test: float) -> None:
    for name, share in (("valid", valid), ("test", test)):
        checks.number(share, name, "a share in [0, 1)")
    if not (0 <= valid < 1 and 0 <= test < 1 and valid + test < 1):
        raise ValueError(
            f"valid={valid!r} and test={test!r}: shares in [0, 1) are needed that leave something to train on, such as 0.1 and 0.1"
        )


def _cold(
    hin: HIN, target: EdgeType, end: int, evidence: Any, valid: float, test: float, known: int, keep: Any, rng: Rng
) -> Split:
    who = "cold_items" if end else "cold_users"
    _shares(valid, test)
    checks.whole(known, f"{who}: known")
    rng = checks.generator(rng, who)
    pairs = _Pairs(who, hin, target)
    node = pairs.dst if end else pairs.src
    active = np.flatnonzero(np.bincount(node))
    chosen = rng.permutation(active)
    n_test, n_valid = round(test * len(active)), round(valid * len(active))
    role = np.zeros(hin.n_observed(target[2 if end else 0]), np.int8)
    role[chosen[:n_test]] = TEST
    role[chosen[n_test : n_test + n_valid]] = VALID
    part = role[node]
    if known:
        order = np.lexsort((rng.random(len(pairs)), node))
        rank = np.empty(len(pairs), np.int64)
        rank[order] = _rank(node[order])
        part = np.where(rank < known, TRAIN, part)
    how = {"split": who, "valid": valid, "test": test, "known": known}
    return _build(pairs, part.astype(np.int8), evidence, keep, how)
