"""Columns: do they know what is held out? And what lineage leaves open.

A count x of a node in the graph and its count y held out tell nothing of each other beyond the
node's rate. An honest column, or one made from the graph alone, leaves it so: given the column,
Cov(x, y) >= 0. A column made from x + y makes them repel: what is in the graph cannot be held out
(a collider). The same holds for any sum over rows, such as ratings or directions of taste.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from scipy import special, stats

from hinaug.graph import arrow as tb
from hinaug.graph.evidence import times_of
from hinaug.graph.schema import Type
from hinaug.split.audit.moments import moments
from hinaug.split.audit.sums import (
    Rows,
    Sum,
    aggregates,
    fitted,
    numbers_in,
    owners,
    parts,
    principal,
    rows_of,
    sums,
    tallies,
    vectors_met,
)
from hinaug.split.audit.view import Finding, Found, View, changed, title

LEAK_LEVEL = 3e-5  # probability of a false leak, over all tests of a graph together
UNKNOWN_LEVEL = 3e-3  # the same for an unknown
STRENGTH = 0.15  # by so much more than honest columns must a column make counts repel
STRENGTH_IN_TIME = 0.5  # the same where trends in time make counts repel by themselves
OVERLAP = 1.5  # neighbouring differences share a node: their sum varies so much more
STEEP = 0.5  # of the noise may be trend between neighbours in the order of a column
ROWS_A_GUESS = 30  # the same, where the fit is compared with noise
ROWS_A_DIM = 6  # nodes that a least-squares fit needs for each column
DENSE = 0.4  # probability of pairs from which an honest vector may look like a leak
FEWEST = 6  # neighbours that differ, for a correlation
SAYS = {
    "train_valid": "with validation rows included",
    "source": "with held-out rows included",
    "held": "of held-out rows alone",
}
SAMPLE, FIRST = 500, 100  # rows, or nodes, beyond which so many are looked at first
EXTREMES = ("minimum", "maximum")
EXPLAINED = 0.9  # of the time of held-out rows, beyond train, that no honest column explains
PERHAPS = 0.7  # the same, from which it is unknown
MATCHED = 8  # nodes at least whose values equal an aggregate, for a proof
MOVED = 2  # of which so many would be others without the held-out rows
UNEVEN = 0.8  # spread of held-out counts below which they are not free to vary
SAME, LEFT = 1e-6, 1e-4  # share of a vector left unexplained: none, and clearly some
FIRST_EVENT = ("the minimum", "the first")  # by which ids are numbered where nobody computes
MOST_PAIRED = 8  # columns of which products and quotients are tried
MOSTLY = 0.995  # of the nodes meet no category more often than the one that a code stands for
TWICE = 2  # times as much shared by neighbours in an order as chance gives
MOST_SPANS = 2_000  # nodes whose vectors are compared with the span of those they meet
FEW_VALUES = 12  # levels of a category or flag
TELLING = ("mean", "avg", "average", "count", "num", "n_", "sum", "total", "popularity", "degree")


Test = Callable[..., tuple[bool, str] | None]
Measure = Callable[[Sum], tuple[float, float]]  # correlation, and of how many differences


@dataclass
class Reading:
    """A column as numbers for the nodes of the source: [n], or vectors [n, d]; NaN for none.

    ordered: whether the order of the numbers says something; otherwise they are codes.
    is_read: whether methods read it; no method reads ids as numbers, so these are no proof.
    """

    where: str
    rows: Rows
    values: np.ndarray
    ordered: bool = True
    is_read: bool = True

    @property
    def is_number(self) -> bool:
        """Whether it is a column of numbers, and not the order of rows."""
        return self.ordered and self.values.ndim == 1 and "(" not in self.where


def look(view: View, leaking: set[str]) -> Found:
    """Every column, and the order of rows; leaking: the columns that leak by other means."""
    readings = _all_readings(view, leaking)
    level = 1 / max(sum(len(sums(view, r.rows)) + 2 for r in readings), 1)
    found: dict[str, tuple[bool, Finding]] = {}
    for reading in readings:
        if not view.budget.over and reading.where not in found:
            verdict = _examined(view, reading, level)
            found |= {} if verdict is None else {reading.where: verdict}
    yield from found.values()
    quiet = [r for r in readings if r.where not in found and r.is_number]
    for of_rows in _by_rows(quiet):
        yield from _together(view, of_rows, level)
        yield from _by_each_other(view, of_rows, level)
    yield from lineage(view, leaking | set(found), readings)


def _all_readings(view: View, leaking: set[str]) -> list[Reading]:
    types: list[Type] = [*view.observed.nodes, *view.observed.edges]
    return [r for type in types for r in _readings(view, type) if r.where not in leaking]


def _by_rows(readings: list[Reading]) -> list[list[Reading]]:
    """Readings that speak of the same nodes, together."""
    every = {id(r.rows): r.rows for r in readings}.values()
    return [[r for r in readings if r.rows is rows] for rows in every]


def _together(view: View, several: list[Reading], level: float) -> Found:
    """All numeric columns of a type at once, such as two that sum to a count."""
    names = list(dict.fromkeys(r.where for r in several))
    if len(names) > 1:
        values = np.stack([r.values for r in several], axis=1)
        both = replace(several[0], where=" and ".join(names), values=values)
        found = _examined(view, both, level)
        if found is not None:
            yield found


def _by_each_other(view: View, several: list[Reading], level: float) -> Found:
    """Products and quotients of two columns, such as a revenue beside a price."""
    positive = [r for r in several if r.values.ndim == 1 and np.nanmin(r.values) > 0]
    for one, two in combinations(positive[:MOST_PAIRED], 2):
        if view.budget.over or one.where == two.where:
            continue
        logs = np.log(one.values), np.log(two.values)
        for values in (logs[0] - logs[1], logs[0] + logs[1]):
            both = replace(one, where=f"{one.where} and {two.where}", values=values)
            found = _examined(view, both, level, (_equals, _repels))
            if found is not None:
                yield found
                break


def _examined(
    view: View, reading: Reading, level: float, tests: tuple[Test, ...] = ()
) -> tuple[bool, Finding] | None:
    """The verdict of the first test that finds something; a certain one before an unknown."""
    every = (_equals, _mixes, _is_mode, _near, _repels, _foretells, _cuts, _dates)
    unknown = None
    for test in tests or every:
        verdict = test(view, reading, level)
        if verdict is None:
            continue
        certain, why = verdict[0] and reading.is_read, verdict[1]
        remedy = "compute it with Split.with_derived, or drop it"
        if not reading.is_read:
            remedy = "give new ids, if somebody reads them as numbers"
        found = certain, Finding("aggregate", reading.where, view.name, why, remedy)
        if certain:
            return found
        unknown = unknown or found
    return unknown


# ---- readings ------------------------------------------------------------------------------------


def _readings(view: View, type: Type) -> Iterator[Reading]:
    """Every way in which the columns of a table say something of nodes that have rows."""
    if not view.observed.n(type):
        return
    for owner, position in owners(view, type):
        for rows in rows_of(view, owner):
            for field in view.columns(type):
                yield from _of_column(view, type, field.name, position, rows, type == owner)
            if type == owner and rows.side >= 0:
                order = np.full(rows.n, np.nan)
                order[position[position >= 0]] = np.flatnonzero(position >= 0)
                yield Reading(f"{title(type)} (order of rows)", rows, order)
                ids = tb.one_chunk(view.observed.nodes[type]["id"])
                for numbers in numbers_in(ids)[:1]:
                    number = _at_nodes(numbers, position, rows.n, True)
                    if number is not None:
                        where = f"{title(type)} (numbers of ids)"
                        yield Reading(where, rows, number, is_read=False)


def _of_column(
    view: View, type: Type, name: str, position: np.ndarray, rows: Rows, own: bool
) -> Iterator[Reading]:
    """The readings of one column for the nodes that its rows belong to, or are."""
    where = f"{title(type)}.{name}"
    column = tb.one_chunk(view.observed.table(type)[name])
    if not own and tb.is_text(column.type) and not _repeats(column.slice(0, SAMPLE)):
        return  # texts of rows, of which no two of a node are the same
    for values, ordered in _numbers(column):
        at_nodes = _at_nodes(values, position, rows.n, own)
        if at_nodes is not None:
            yield Reading(where, rows, at_nodes, ordered)
    for line in () if own else _centred_on(view, type, name, position, rows.n):
        yield Reading(where, rows, line)


def _numbers(column: pa.Array) -> Iterator[tuple[np.ndarray, bool]]:
    """(values, whether ordered): numbers, times, vectors, lengths of lists, codes, what is null."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    null = column.is_null().to_numpy(zero_copy_only=False)
    if 0 < null.sum() < len(null):
        yield null.astype(float), False
    if tb.is_vector(column.type):
        flat = np.full((len(column), column.type.list_size), np.nan)
        flat[~null] = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, flat.shape[1])
        yield flat, True
    elif pa.types.is_nested(column.type):
        yield pc.list_value_length(column).cast(pa.float64()).to_numpy(zero_copy_only=False), True
    elif tb.is_text(column.type):
        yield from _of_text(column)
    elif pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        yield _seconds(column), True
    elif tb.is_number(column.type) or pa.types.is_boolean(column.type):
        yield column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), True


def _of_text(column: pa.Array) -> Iterator[tuple[np.ndarray, bool]]:
    """A text as a time, a number, or the code of a category; else how many parts it has."""
    known = column.drop_null()
    for kind in (pa.timestamp("us"), pa.float64()):
        try:
            pc.cast(known.slice(0, 100), kind)  # most texts fail here, at no cost
            values = pc.cast(column, kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue
        is_time = pa.types.is_timestamp(kind)
        yield _seconds(values) if is_time else values.to_numpy(zero_copy_only=False), True
        return
    for numbers in numbers_in(column):
        yield numbers, True
    coded = column.dictionary_encode()
    if 2 * len(coded.dictionary) <= len(known):
        yield coded.indices.cast(pa.float64()).to_numpy(zero_copy_only=False), False
    else:
        parts = pc.count_substring_regex(column, r"[|,;]+|\s+")
        yield parts.cast(pa.float64()).to_numpy(zero_copy_only=False), True


def _repeats(column: pa.Array) -> bool:
    return 2 * len(column.unique()) <= len(column)


def _seconds(column: pa.Array) -> np.ndarray:
    micro = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).cast(pa.float64())
    return micro.to_numpy(zero_copy_only=False) / 1e6


def _at_nodes(values: np.ndarray, position: np.ndarray, n: int, own: bool) -> np.ndarray | None:
    """Values of rows as values of nodes; None where the rows of a node differ, or all are equal."""
    ok = position >= 0
    out = np.full((n, *values.shape[1:]), np.nan)
    out[position[ok]] = values[ok]
    if not own:
        same = np.isclose(out[position[ok]], values[ok], rtol=1e-5, atol=1e-6, equal_nan=True)
        several = np.bincount(position[ok], minlength=n).max(initial=0) > 1
        if not same.all() or not several:
            return None
    known = out[np.isfinite(out)] if out.ndim == 1 else out[np.isfinite(out).all(axis=1)]
    return out if len(known) > 1 else None


def _centred_on(
    view: View, type: Type, name: str, position: np.ndarray, n: int
) -> Iterator[np.ndarray]:
    """Zero and scale of each node where a column is a line in another one within its rows.

    A rating less its user's mean, or standardised, gives the mean and the deviation away.
    """
    table = view.observed.table(type)
    numeric = [f.name for f in view.columns(type) if tb.is_number(f.type)]
    numeric = [name for name in numeric if not table[name].null_count]
    if name in numeric:
        values = times_of(view.observed, type, name)
        for other in (o for o in numeric if o != name):
            base = times_of(view.observed, type, other)
            yield from _lines(base, values, position, n)


def _lines(
    base: np.ndarray, values: np.ndarray, position: np.ndarray, n: int
) -> Iterator[np.ndarray]:
    """The zero and the scale of each node's line of `values` over `base`, if its rows lie on it."""
    ok = np.flatnonzero(position >= 0)
    at = sp.csr_array((np.ones(len(ok)), (position[ok], ok)), shape=(n, len(values)))
    size, node = np.maximum(at.sum(axis=1), 1), np.maximum(position, 0)
    means = [(at @ v) / size for v in (base, values)]
    dx, dy = base - means[0][node], values - means[1][node]
    sxx, sxy, syy = (at @ v for v in (dx * dx, dx * dy, dy * dy))
    usable = (sxx > 1e-9) & (syy > 1e-12)
    slope = np.where(usable & (sxy != 0), sxy / np.maximum(sxx, 1e-12), 1.0)
    proof = usable & (size >= 3)  # two points always lie on a line
    left = at @ (dy - slope[node] * dx) ** 2
    if proof.sum() < 3 or left[proof].sum() > 1e-6 * syy[proof].sum():
        return
    same = np.allclose(slope[usable], np.median(slope[usable]), rtol=1e-3)
    known = (at.sum(axis=1) > 0) if same else proof
    yield np.where(known, means[0] - means[1] / slope, np.nan)
    if not same:
        yield np.where(proof, 1 / slope, np.nan)


# ---- equality with an aggregate ------------------------------------------------------------------


def _equals(view: View, reading: Reading, level: float) -> tuple[bool, str] | None:
    """Whether a column equals, or follows in order, an aggregate with held-out rows.

    It must not follow that of the graph alone. Short of a proof, a telling name decides.
    """
    few = reading.rows.n < MATCHED
    sure, doubt = few and _telling(reading.where), None
    for proof, what in _followed(view, reading) if _has_order(reading) else ():
        by_first = not reading.is_number and what.startswith(FIRST_EVENT)
        if (proof or sure) and not by_first:
            return True, f"follows {what}"
        if few or proof:
            doubt = doubt or (False, f"may follow {what}")
    return doubt


def _has_order(reading: Reading) -> bool:
    """Whether its order can be compared with that of an aggregate; of few nodes, only numbers."""
    enough = reading.is_number or reading.rows.n >= MATCHED
    return reading.values.ndim == 1 and reading.ordered and enough


def _followed(view: View, reading: Reading) -> Iterator[tuple[bool, str]]:
    """(whether it is a proof, which aggregate) a column follows, and the graph's own does not."""
    own = dict(_candidates(view, reading, "graph"))
    honest = {_of_what(what) for what, f in own.items() if _is_honest(reading.values, f)}
    for part in aggregates_parts(view):
        for what, whole in _candidates(view, reading, part):
            if _of_what(what) in honest:
                continue  # such as ids given in the order of users
            proof = _proof(reading.values, whole, own.get(what))
            if proof is not None and not _comes_to(view, reading, what, own[what]):
                yield proof, f"the {what} of a node's rows, {SAYS[part]}"


def _comes_to(view: View, reading: Reading, what: str, own: np.ndarray) -> bool:
    """Whether an aggregate of partners comes to a column of few levels by itself with more rows.

    Like meets like: the median topic of what users meet comes to the topic that they like. Then
    fewer nodes are out of order by the graph's rows than by half of them, and errors fall by the
    same factor for each row more. It is no proof where so few errors are left to expect that there
    may be none.
    """
    if "it meets" not in what:
        return False
    half = dict(_candidates(view, reading, "half")).get(what)
    if half is None or len(np.unique(reading.values[np.isfinite(reading.values)])) > FEW_VALUES:
        return False
    before, now = (_out_of_order(reading.values, f) for f in (half, own))
    share = parts(view)["graph"].mean()
    left = now * (now / max(before, now, 1)) ** (2 * (1 - share) / share)
    return bool(np.exp(-left) > LEAK_LEVEL)


def _is_honest(c: np.ndarray, own: np.ndarray) -> bool:
    """Whether a column follows an aggregate of the graph, beyond chance."""
    known = np.isfinite(c) & np.isfinite(own)
    return follows(c, own) and _unlikely(c[known], own[known])


def _of_what(aggregate: str) -> str:
    """The column that an aggregate is of."""
    return aggregate.split(" of ", 1)[-1]


def _proof(c: np.ndarray, whole: np.ndarray, own: np.ndarray | None) -> bool | None:
    """Whether a column follows an aggregate, and not the graph's own, beyond chance; None: no."""
    known = np.isfinite(c) & np.isfinite(whole)
    if own is None or known.sum() < 2:
        return None
    equal = bool(np.allclose(c[known], whole[known], rtol=1e-5))
    if not equal and (not follows(c[known], whole[known]) or follows(c, own)):
        return None
    moved = _misplaced(c, own, equal)
    if not moved:
        return None
    enough = moved >= (MOVED if equal else 2 * MOVED)
    return enough and _unlikely(c[known], c[known][:0] if equal else whole[known])


def aggregates_parts(view: View) -> list[str]:
    from_valid = ["train_valid"] if view.name == "train" and view.split.valid.num_rows else []
    return [*from_valid, "source", "held"]


def _telling(where: str) -> bool:
    return any(word in where.rsplit(".", 1)[-1].lower() for word in TELLING)


def _candidates(view: View, reading: Reading, part: str) -> Iterator[tuple[str, np.ndarray]]:
    found = aggregates(view, reading.rows, part)
    yield from found.items()
    yield from fitted(view, reading.rows, part, reading.values) if reading.is_number else ()
    for what, total in found.items():
        if what.startswith("sum of"):
            drawn = _shrunk(reading.values, total, found["count"])
            if drawn is not None:
                yield f"mean {what[4:]} drawn to a middle", drawn


def _shrunk(c: np.ndarray, total: np.ndarray, count: np.ndarray) -> np.ndarray | None:
    """(sum + m p) / (n + m) with the m and p that fit a column best."""
    ok = np.isfinite(c) & (count > 0)
    if ok.sum() < 4 or len(np.unique(c[ok])) <= FEW_VALUES:
        return None
    design = np.stack([np.ones(ok.sum()), c[ok]], axis=1)
    middle, weight = np.linalg.lstsq(design, (c * count - total)[ok], rcond=None)[0]
    if weight >= 0:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(count > 0, (total + middle) / (count - weight), np.nan)


def follows(c: np.ndarray, f: np.ndarray) -> bool:
    """Whether a column is a monotone function of another, ties in either allowed."""
    known = np.isfinite(c) & np.isfinite(f)
    if known.sum() < 2:
        return False
    c, f = c[known], f[known]
    if len(c) > SAMPLE and not follows(c[:: len(c) // FIRST], f[:: len(c) // FIRST]):
        return False
    scale = max(np.ptp(c), 1e-12)
    if np.ptp(f) == 0:
        return False
    f = np.round((f - f.min()) / np.ptp(f), 9)
    rising = c[np.lexsort((c, f))]
    falling = c[np.lexsort((-c, f))]
    tolerance = 1e-6 * scale
    return bool((np.diff(rising) >= -tolerance).all() or (np.diff(falling) <= tolerance).all())


def _misplaced(c: np.ndarray, own: np.ndarray, equal: bool) -> int:
    """How many nodes the graph's own aggregate puts elsewhere."""
    known = np.isfinite(c) & np.isfinite(own)
    if equal:
        lost = int((np.isfinite(c) & ~np.isfinite(own)).sum())
        return lost + int((~np.isclose(c[known], own[known], rtol=1e-5)).sum())
    if known.sum() < 2:
        return int(np.isfinite(c).sum())
    c, own = c[known], own[known]
    rising, falling = c[np.lexsort((c, own))], c[np.lexsort((-c, own))]
    least = 1e-6 * np.ptp(c)
    return int(min((np.diff(rising) < -least).sum(), (np.diff(falling) > least).sum()))


def _out_of_order(c: np.ndarray, f: np.ndarray) -> int:
    """The fewest nodes to leave out so that a column is a monotone function of another."""
    known = np.isfinite(c) & np.isfinite(f)
    c, f = c[known], f[known]
    longest = 0
    for values in (c, -c):
        tails: list[float] = []  # the lowest end of a rising run of each length
        for value in values[np.lexsort((values, f))].tolist():
            at = bisect_right(tails, value)
            tails[at : at + 1] = [value]
        longest = max(longest, len(tails))
    return len(c) - longest


def _unlikely(c: np.ndarray, whole: np.ndarray) -> bool:
    """Whether a column in random order would follow an aggregate this rarely.

    Of n! orders, at most as many follow it as there are orders within the ties of either.
    """
    ties = sum(special.gammaln(np.unique(v, return_counts=True)[1] + 1).sum() for v in (c, whole))
    return bool(ties - special.gammaln(len(c) + 1) < np.log(LEAK_LEVEL / 100))


# ---- mixtures of vectors -------------------------------------------------------------------------


def _mixes(view: View, reading: Reading, level: float) -> tuple[bool, str] | None:
    """Whether vectors are pooled, or mixed, from those of what a node meets, held-out included."""
    if reading.values.ndim == 1 or reading.rows.side < 0:
        return None
    for name, vectors, at in vectors_met(view, reading.rows):
        for part in (p for p in aggregates_parts(view) if p != "held"):
            if _is_pooled(view, reading, part, vectors, at):
                return True, f"pools {name}, with held-out rows included"
            if _is_mixed(view, reading, part, vectors, at):
                return True, f"is mixed from {name}, with held-out rows included"
    return None


def _is_pooled(
    view: View, reading: Reading, part: str, vectors: np.ndarray, at: np.ndarray
) -> bool:
    known = np.isfinite(reading.values).all(axis=1)
    pooled = [_pooled(view, reading.rows, p, vectors, at) for p in (part, "graph")]
    for whole, own in zip(*pooled, strict=True):
        if _unexplained(reading.values, whole, known) < SAME:
            return _unexplained(reading.values, own, known) > LEFT
    return False


def _is_mixed(view: View, reading: Reading, part: str, vectors: np.ndarray, at: np.ndarray) -> bool:
    if reading.values.shape[1] != vectors.shape[1]:
        return False
    outside, asked = _outside(view, reading.rows, part, vectors, at, reading.values)
    outside_own, _ = _outside(view, reading.rows, "graph", vectors, at, reading.values)
    return asked >= MATCHED and outside == 0 and outside_own >= MATCHED


def _pooled(view: View, rows: Rows, part: str, vectors: np.ndarray, at: np.ndarray):
    """Sum, mean, unit mean and maximum of the vectors of the rows of a part, each [n, d]."""
    use = parts(view)[part] & (at >= 0)
    node, own = rows.node[use], at[use]
    link = sp.csr_array((np.ones(len(node)), (node, own)), shape=(rows.n, len(vectors)))
    total = link @ vectors
    mean = total / np.maximum(link.sum(axis=1), 1)[:, None]
    highest = np.full((rows.n, vectors.shape[1]), -np.inf)
    order = np.argsort(node, kind="stable")
    there, first = np.unique(node[order], return_index=True)
    highest[there] = np.maximum.reduceat(vectors[own[order]], first, axis=0)
    return total, mean, _unit(mean), np.where(np.isfinite(highest), highest, np.nan)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _unexplained(c: np.ndarray, pooled: np.ndarray, known: np.ndarray) -> float:
    """The share of a column that no linear map of pooled vectors explains; also up to length."""
    use = known & np.isfinite(pooled).all(axis=1)
    if use.sum() < 2 * pooled.shape[1]:
        return 1.0
    design = np.column_stack([np.ones(use.sum()), pooled[use]])
    left = []
    for values in (c[use], _unit(c[use])):
        fit = np.linalg.lstsq(design, values, rcond=None)[0]
        spread = ((values - values.mean(axis=0)) ** 2).sum()
        left.append(((values - design @ fit) ** 2).sum() / max(spread, 1e-12))
    return float(min(left))


def _outside(
    view: View, rows: Rows, part: str, vectors: np.ndarray, at: np.ndarray, c: np.ndarray
) -> tuple[int, int]:
    """How many nodes have a vector outside of the span of those they meet, and of how many."""
    use = parts(view)[part] & (at >= 0)
    node, own = rows.node[use], at[use]
    order = np.argsort(node, kind="stable")
    node, own = node[order], own[order]
    count = np.bincount(node, minlength=rows.n)
    few = np.isfinite(c).all(axis=1) & (count > 0) & (count < c.shape[1] - 1)
    few &= np.cumsum(few) <= MOST_SPANS
    place = np.arange(len(node)) - (np.cumsum(count) - count)[node]
    here = few[node]
    span = np.zeros((int(few.sum()), max(c.shape[1] - 1, 1), c.shape[1]))
    span[(np.cumsum(few) - 1)[node[here]], place[here]] = vectors[own[here]]
    target = c[few][:, None, :]
    fitted = target @ np.linalg.pinv(span) @ span if len(span) else target
    left = ((target - fitted) ** 2).sum(axis=(1, 2)) > SAME * (target**2).sum(axis=(1, 2))
    return int(left.sum()), len(left)


# ---- categories and orders ----------------------------------------------------------------------


def _is_mode(view: View, reading: Reading, level: float) -> tuple[bool, str] | None:
    """Whether codes say what category a node meets most, held-out rows included."""
    c = reading.values
    if c.ndim > 1 or reading.ordered or reading.rows.side < 0:
        return None
    own = dict(tallies(view, reading.rows, "graph"))
    for part in (p for p in aggregates_parts(view) if p != "held"):
        for name, whole in tallies(view, reading.rows, part):
            if _says_mode(c, whole) and _misses(c, whole, own[name]):
                return True, f"says what {name!r} a node meets most, {SAYS[part]}"
    return None


def _modes(c: np.ndarray, tally: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """(the category that each code stands for, which of its nodes meet none more) by node."""
    known = np.flatnonzero(np.isfinite(c) & (np.diff(tally.indptr) > 0))
    highest = np.asarray(tally.max(axis=1).todense()).ravel()
    node = np.repeat(np.arange(tally.shape[0]), np.diff(tally.indptr))
    is_mode = sp.csr_array(
        (tally.data == highest[node], tally.indices, tally.indptr), shape=tally.shape
    ).astype(np.float64)
    value = np.unique(c[known], return_inverse=True)[1]
    n_values = int(value.max(initial=-1)) + 1
    at = sp.csr_array((np.ones(len(known)), (value, known)), shape=(n_values, len(c)))
    stands = np.asarray((at @ is_mode).argmax(axis=1)).ravel()[value]
    return stands, np.asarray(is_mode[known, stands]).ravel() > 0


def _says_mode(c: np.ndarray, whole: sp.csr_array) -> bool:
    stands, hit = _modes(c, whole)
    return len(np.unique(stands)) > 1 and len(hit) >= 2 * MATCHED and bool(hit.mean() > MOSTLY)


def _misses(c: np.ndarray, whole: sp.csr_array, own: sp.csr_array) -> bool:
    """Whether the graph's own most frequent categories are others, for enough nodes."""
    return int((~_modes(c, own)[1]).sum()) >= MATCHED + 2 * int((~_modes(c, whole)[1]).sum())


def _near(view: View, reading: Reading, level: float) -> tuple[bool, str] | None:
    """Whether nodes next to each other in an order share what is held out, beyond chance.

    Of what two nodes share, chance holds out as much as of all their rows, and of all other rows
    of it. In a split by time that says less: there, most neighbours must share it.
    """
    c, side = reading.values, reading.rows.side
    if c.ndim > 1 or side < 0 or reading.is_number or not reading.ordered:
        return None
    known = np.flatnonzero(np.isfinite(c))
    order = known[np.argsort(c[known], kind="stable")]
    i, j = order[:-1], order[1:]
    y = view.y if side == 0 else view.y.T.tocsr()
    hits, expected = y[i].multiply(y[j]).tocsr(), _shared_by_chance(view, side, i, j)
    if hits.sum() < TWICE * expected:
        return None
    if stats.poisson.sf(hits.sum() - 1, expected) > LEAK_LEVEL * level:
        return None
    sharing, has = int((np.diff(hits.indptr) > 0).sum()), np.diff(y.indptr) > 0
    asked = int((has[i] & has[j]).sum())
    why = f"puts nodes side by side that share what is held out: {sharing:,} of {asked:,} do"
    return bool(view.drawn(side) or 2 * sharing > asked), why


def _shared_by_chance(view: View, side: int, i: np.ndarray, j: np.ndarray) -> float:
    """How much two nodes of each pair share among what is held out, if labels are exchanged."""
    whole = view.whole.matrix() if side == 0 else view.whole.matrix().T.tocsr()
    own, met = (h / np.maximum(x + h, 1) for x, h in (view.counts(k) for k in (side, 1 - side)))
    pair, at = whole[i].multiply(whole[j]).tocoo().coords
    chance = own[i[pair]] * own[j[pair]] * (met[at] / max(view.share, 1e-9)) ** 2
    return float(np.minimum(chance, 1.0).sum())


# ---- repulsion -----------------------------------------------------------------------------------


def _repels(view: View, reading: Reading, level: float) -> tuple[bool, str] | None:
    """Whether sums inside and held out repel, given the column."""
    if not reading.rows.apart:
        return None
    every = sums(view, reading.rows)
    total = (every[0].x + every[0].y)[:, 0]
    is_number, side = reading.values.ndim == 1, reading.rows.side
    measure = _by_neighbours(reading, total) if is_number else _by_fit(reading, every[0])
    if measure is None:
        return None
    drawn = view.drawn(side) if side >= 0 else view.any_drawn
    found = [_against_honest(view, reading, one, measure, drawn) for one in every]
    p, r, one = min(found, key=lambda f: f[0])
    if p > UNKNOWN_LEVEL * level:
        return None
    full = one is not every[0] and view.density > DENSE  # exclusion is not known well enough
    why = f"knows {one.name} with held-out rows included: given it, what is in the graph"
    why += f" and what is held out exclude each other (correlation {r:.2f})"
    return bool(drawn and not full and p < LEAK_LEVEL * level), why


def _against_honest(
    view: View, reading: Reading, one: Sum, measure: Measure, drawn: bool
) -> tuple[float, float, Sum]:
    """(p, correlation, sum) of a sum, against what it would be with no column, or an honest one."""
    r, n = measure(one)
    r0 = min(view.floor, _without(view, reading.rows, one), 0.0)
    if n < FEWEST or r - r0 > -(STRENGTH if drawn else STRENGTH_IN_TIME):
        return 1.0, r, one
    shift = np.clip((r - r0) / max(1 - r * r0, 1e-9), -0.999999, 0.999999)
    p = stats.t.cdf(shift * np.sqrt((n - 2) / (1 - shift**2)), n - 2)
    return float(p), r, one


def _without(view: View, rows: Rows, one: Sum) -> float:
    """The correlation between nodes in random order."""
    key = ("without", id(rows), one.name)
    if key not in view.cache:
        order = np.random.default_rng(2).permutation(rows.n).astype(float)
        total = (sums(view, rows)[0].x + sums(view, rows)[0].y)[:, 0]
        measure = _by_neighbours(Reading("", rows, order, False), total, any_two=True)
        view.cache[key] = measure(one)[0] if measure else 0.0
    return view.cache[key]


def _by_neighbours(reading: Reading, total: np.ndarray, any_two: bool = False) -> Measure | None:
    """A measure of a sum: correlation of the differences between neighbours in the column."""
    i, j = neighbours(reading.values, reading.ordered, total)
    if any_two:
        order = np.argsort(reading.values)
        i, j = order[:-1], order[1:]
    weight = total[i] + total[j]
    use = weight > 0
    i, j, scale = i[use], j[use], np.sqrt(weight[use])[:, None]

    def measure(one: Sum) -> tuple[float, float]:
        best = (0.0, 0.0)
        u, v = ((part[i] - part[j]) / scale for part in (one.x, one.y))
        for k in range(u.shape[1]):
            r, n = _correlation(u[:, k], v[:, k]), _independent(u[:, k], v[:, k]) / OVERLAP
            if r * np.sqrt(n) < best[0] * np.sqrt(best[1]):
                best = r, n
        return best

    return measure if len(i) >= FEWEST else None


def neighbours(c: np.ndarray, ordered: bool, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes that stand side by side in the order of a column; of one value, at random.

    Pairs where the counts of the nodes around them show a steep trend are left out: there,
    neighbours differ by more than noise.
    """
    known = np.flatnonzero(np.isfinite(c))
    order = known[np.lexsort((np.random.default_rng(0).random(len(known)), c[known]))]
    i, j = order[:-1], order[1:]
    if not ordered:
        same = c[i] == c[j]
        return i[same], j[same]
    t = np.pad(total[order], 2, mode="edge")
    before, after = t[:-5] + t[1:-4], t[4:-1] + t[5:]  # two on either side of each pair
    slope = (after - before) / 2 / 4
    flat = slope**2 <= STEEP * (before + after) / 4
    flat[[0, -1]] = flat[[0, -1]] if len(flat) < 3 else flat[[1, -2]]
    return i[flat], j[flat]


def _independent(u: np.ndarray, v: np.ndarray) -> float:
    """How many differences bear a correlation, where a few large ones may outweigh the rest."""
    largest = (u * u).sum() * (v * v).sum() / max((u * u * v * v).sum(), 1e-12)
    return min(float(np.count_nonzero(v)), float(largest))


def _correlation(u: np.ndarray, v: np.ndarray) -> float:
    size = np.sqrt((u * u).sum() * (v * v).sum())
    return float((u * v).sum() / size) if size > 1e-12 else 0.0


def _by_fit(reading: Reading, count: Sum) -> Measure | None:
    """A measure of a sum: correlation of what weighted least squares on the columns leave."""
    values, x, total = reading.values, count.x[:, 0], (count.x + count.y)[:, 0]
    use = np.isfinite(values).all(axis=1)  # all nodes: to ask for rows would make them repel
    n = int(use.sum())
    if n < 4 * ROWS_A_DIM:
        return None
    c = values[use] / np.maximum(np.nanstd(values[use], axis=0), 1e-12)
    c = principal(c, max(n // 4 - 1, 1))
    plain = np.column_stack([np.ones(n), c])
    fitted = plain @ np.linalg.lstsq(plain, total[use], rcond=None)[0]
    weight = 1 / np.sqrt(np.maximum(fitted, 1.0))[:, None]
    known = np.column_stack([plain, x[use], c * x[use][:, None]])

    def measure(one: Sum) -> tuple[float, float]:
        design = plain if one is count or one.name == count.name else known
        basis = np.linalg.qr(design * weight)[0]
        left = [part[use] * weight for part in (one.x, one.y)]
        u, v = (part - basis @ (basis.T @ part) for part in left)
        size = np.linalg.eigvalsh(u.T @ u)
        n_dims = size.sum() ** 2 / max((size**2).sum(), 1e-12)
        return _correlation(u.ravel(), v.ravel()), max((n - design.shape[1]) * n_dims, 0.0)

    return measure


# ---- better than noise ---------------------------------------------------------------------------


def _foretells(view: View, reading: Reading, level: float) -> tuple[bool, str] | None:
    """Whether a column, with what the graph knows, predicts counts better than noise allows.

    The held-out counts of nodes with equal rates differ as Poisson counts do, whatever an honest
    column knows of the rates: Var(y_i - y_j) is at least E(y_i + y_j), less what exclusion takes.
    """
    if not reading.rows.apart or not reading.ordered:
        return None
    held = sums(view, reading.rows)[0].y[:, 0]
    even = held.var() < UNEVEN * held.mean()
    if even or (reading.rows.side >= 0 and view.spread(reading.rows.side) < UNEVEN):
        return None  # even by design, as with a fixed share, or number, of each user
    for one in sums(view, reading.rows):
        if "number of rows" in one.name and _least_even(view, reading, one) < LEAK_LEVEL * level:
            return True, f"tells {one.name} that are held out better than chance allows"
    return None


def _least_even(view: View, reading: Reading, one: Sum) -> float:
    """The smallest p of a count in any order that the column gives, for all orders together."""
    counts = zip(one.x.T, one.y.T, strict=True)
    orders = [(o, y) for x, y in counts for o in _predictions(reading.values, x, y)]
    z = min((_evenness(order, y, view.density) for order, y in orders), default=0.0)
    return float(stats.norm.cdf(z)) * max(len(orders), 1)


def _predictions(c: np.ndarray, x: np.ndarray, y: np.ndarray) -> Iterator[np.ndarray]:
    """Orders of the nodes by a column alone, and by what it and the graph's counts predict."""
    if c.ndim == 1:
        yield c
    c = c.reshape(len(c), -1)
    known = np.isfinite(c).all(axis=1)
    if known.sum() < ROWS_A_GUESS:
        return
    c = principal(
        c[known] / np.maximum(c[known].std(axis=0), 1e-12), int(known.sum() // ROWS_A_GUESS)
    )
    design = np.column_stack([np.ones(len(c)), x[known], c])
    weight = 1 / np.sqrt(np.maximum(x[known], 1))[:, None]
    fit = np.linalg.lstsq(design * weight, y[known] * weight[:, 0], rcond=None)[0]
    order = np.full(len(known), np.nan)
    order[known] = design @ fit
    yield order


def _evenness(order: np.ndarray, y: np.ndarray, density: float) -> float:
    """z of the squared differences of neighbours in an order against Poisson noise."""
    known = np.flatnonzero(np.isfinite(order))
    at = known[np.lexsort((np.random.default_rng(0).random(len(known)), order[known]))]
    pairs = at[: len(at) // 2 * 2].reshape(-1, 2)
    both = y[pairs].sum(axis=1)
    squared = (y[pairs[:, 0]] - y[pairs[:, 1]]) ** 2
    excess = (squared - both * (1 - density)).sum()
    return float(excess / np.sqrt(max((2 * both * np.maximum(both - 1, 0)).sum(), 1e-9)))


def _cuts(view: View, reading: Reading, level: float) -> tuple[bool, str] | None:
    """Whether a flag or a category cuts the full counts more sharply than noise allows.

    Counts near the cut lie on either side by chance, if the flag knows only rates: for a count t
    and a cut at c, the right side has probability Phi(|t - c| / sqrt(c)) at most.
    """
    c = reading.values
    if c.ndim > 1 or not reading.rows.apart:
        return None
    count = sums(view, reading.rows)[0]
    known = np.isfinite(c)
    levels = np.unique(c[known])
    if not 2 <= len(levels) <= FEW_VALUES:
        return None
    x, total = count.x[known, 0], (count.x + count.y)[known, 0]
    for low, high in _steps(levels, c[known], total):
        below, above = c[known] == low, c[known] == high
        cut = (total[below].max() + total[above].min()) / 2
        if total[below].max() > total[above].min() or cut <= 0:
            continue
        if min((x[below] > x[above].min()).sum(), (x[above] < x[below].max()).sum()) < MATCHED:
            continue  # the graph's own counts are cut as well, or nearly
        near = below | above
        chance = special.log_ndtr(np.abs(total[near] - cut) / np.sqrt(cut)).sum()
        if chance < np.log(LEAK_LEVEL * level):
            return True, "cuts the number of rows, held-out rows included, too sharply for chance"
    return None


def _steps(levels: np.ndarray, c: np.ndarray, total: np.ndarray) -> Iterator[tuple[float, float]]:
    """Neighbouring levels, in the order of their mean counts."""
    means = np.array([total[c == value].mean() for value in levels])
    by_mean = levels[np.argsort(means)]
    yield from pairwise(by_mean)


def _dates(view: View, reading: Reading, level: float) -> tuple[bool, str] | None:
    """Whether a column explains when the held-out rows of a node came, beyond what train says."""
    if not reading.is_number or reading.rows.side < 0:
        return None
    held, own = (aggregates(view, reading.rows, part) for part in ("held", "graph"))
    names = sorted(_extremes(view) & held.keys() & own.keys())
    for name in names:
        r, p = _partial(held[name], reading.values, [own[n] for n in names])
        if r * r > PERHAPS and p < LEAK_LEVEL * level:
            why = f"explains {100 * r * r:.0f} % of the {name} of held-out rows"
            return bool(r * r > EXPLAINED) and view.any_drawn, why
    return None


def _extremes(view: View) -> set[str]:
    return {f"{what} of {m!r}" for m in moments(view, view.target) for what in EXTREMES}


def _partial(y: np.ndarray, c: np.ndarray, known: list[np.ndarray]) -> tuple[float, float]:
    """Partial correlation of a column with y, given what is known, and its p."""
    design = np.column_stack([np.ones(len(y)), *known])
    use = np.isfinite(y) & np.isfinite(design).all(axis=1) & np.isfinite(c)
    n = int(use.sum()) - len(known) - 2
    if use.sum() < 4 * ROWS_A_DIM:
        return 0.0, 1.0
    r = _correlation(_left(design[use], y[use]), _left(design[use], c[use]))
    return r, float(stats.t.sf(abs(r) * np.sqrt(n / max(1 - r * r, 1e-12)), n))


def _left(design: np.ndarray, values: np.ndarray) -> np.ndarray:
    centred = (design - design.mean(axis=0)) / np.maximum(design.std(axis=0), 1e-12)
    basis = np.linalg.qr(np.column_stack([np.ones(len(design)), centred[:, 1:]]))[0]
    values = values - values.mean()
    return values - basis @ (basis.T @ values)


# ---- lineage -------------------------------------------------------------------------------------


def lineage(view: View, leaking: set[str], readings: list[Reading]) -> Found:
    """What the declared lineage of columns leaves open."""
    own = {r.where for r in readings if _of_graph(view, r)}
    for type in [*view.observed.nodes, *view.observed.edges]:
        unsaid = []
        for field in view.columns(type) if view.observed.n(type) else []:
            where = f"{title(type)}.{field.name}"
            if where in leaking:
                continue
            if tb.lineage_of(field) is None:
                unsaid.append(field.name)
            yield from _declared(view, type, field, where, where in own)
        if unsaid:
            where = f"{title(type)}: {', '.join(unsaid)}"
            why = "have no lineage" if len(unsaid) > 1 else "has no lineage"
            remedy = 'declare it with with_column(..., lineage="row") if each value is of its row'
            yield False, Finding("column", where, view.name, why, remedy, len(unsaid))


def _declared(view: View, type: Type, field: pa.Field, where: str, of_graph: bool) -> Found:
    """A column against the lineage that it declares."""
    said = tb.lineage_of(field)
    if said == "aggregate" and not of_graph and not _derived(view, type, field.name):
        yield _aggregate(view, type, field.name, where)
    elif said == "row" and isinstance(type, str) and (n := changed(view, type, field.name)):
        why = f"has {n:,} values that are not those of the source"
        remedy = "say where they come from: fill values with a Delta"
        yield False, Finding("column", where, view.name, why, remedy, n)


def _of_graph(view: View, reading: Reading) -> bool:
    """Whether a column is an aggregate of the graph alone."""
    if reading.values.ndim > 1 or not reading.ordered:
        return False
    return any(follows(reading.values, f) for _, f in _candidates(view, reading, "graph"))


def _derived(view: View, type: Type, name: str) -> bool:
    """Whether Split.with_derived made the column of this graph, and it is still the same."""
    kept = view.split.how.get("derived", {}).get(view.name, {}).get(f"{title(type)}.{name}")
    return kept == tb.content_hash(view.observed.table(type).select([name]))


def _aggregate(view: View, type: Type, name: str, where: str) -> tuple[bool, Finding]:
    tables = view.source.edges if isinstance(type, tuple) else view.source.nodes
    remedy = "compute it with Split.with_derived, or drop it"
    if type in tables and name in tables[type].column_names and not _recomputed(view, type, name):
        why = "is declared an aggregate, and was computed before the split"
        return True, Finding("aggregate", where, view.name, why, remedy)
    why = "is declared an aggregate; whether it was computed from this graph alone cannot be known"
    return False, Finding("column", where, view.name, why, remedy)


def _recomputed(view: View, type: Type, name: str) -> bool:
    """Whether most values of a node column are not those of the source."""
    return isinstance(type, str) and 2 * changed(view, type, name) > view.observed.n(type)
