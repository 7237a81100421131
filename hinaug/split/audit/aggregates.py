"""One family of statistics of rows, and whether a column equals one of them.

A statistic sums the rows of a group up: how many they are, the sum, mean, extremes, first or last
of a value of theirs, the category that they meet most or last. The same statistic is computed from
the rows of the graph and from all of the source. A column that follows the second and not the first
knows held-out rows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
from scipy import special, stats

from hinaug.split.audit.readings import Reading
from hinaug.split.audit.rows import (
    Rows,
    keys_met,
    numbers_met,
    numbers_of_rows,
    order_of_rows,
    parts,
    times_of_rows,
)
from hinaug.split.audit.view import View

LEAK_LEVEL = 3e-5  # probability of a false leak, over all tests of a graph together
SAMPLE, FIRST = 500, 100  # nodes, beyond which so many are looked at first
MATCHED = 8  # nodes at least whose values equal an aggregate, for a proof
MOVED = 2  # of which so many would be others without the held-out rows
WRONG = 0.03  # of the nodes may differ from an aggregate, if many more do from that of the graph
EACH = 8  # nodes that must differ from the graph's for each that differs from the source's
FIRST_EVENT = ("the minimum", "the first")  # by which ids are numbered where nobody computes
MOSTLY = 0.995  # of the nodes meet no category more often than the one that a code stands for
MENDED = 1e-4  # that so many nodes come to their category by more rows alone
MOST_LEVELS = 10  # distinct values of a rating that are counted one by one
FEW_VALUES = 12  # levels of a category or flag
TELLING = ("mean", "avg", "average", "count", "num", "n_", "sum", "total", "popularity", "degree")
SAYS = {
    "train_valid": "with validation rows included",
    "source": "with held-out rows included",
    "held": "of held-out rows alone",
}
Named = Iterator[tuple[str, np.ndarray]]  # (name, values)


# ---- the statistics ------------------------------------------------------------------------------


def aggregates(view: View, rows: Rows, part: str) -> dict[str, np.ndarray]:
    """Counts, means, extremes and so on of the rows of a part for each node, NaN for none."""
    use = parts(view)[part][rows.row]
    key = ("aggregates", id(rows), use.tobytes())  # both graphs compare with the same parts
    if key not in view.shared:
        node, row = rows.node[use], rows.row[use]
        count = np.where(rows.asked, np.bincount(node, minlength=rows.n), np.nan)
        out, when = {"count": count}, order_of_rows(view)[row]
        columns = {repr(name): values for name, values in numbers_of_rows(view).items()}
        for name, values in (columns | numbers_met(view, rows)).items():
            found = _of_values(node, values[row], when, count)
            out.update({f"{what} of {name}": v for what, v in found})
        for name, tally in tallies(view, rows, part):
            out.update({f"{what} of {name}": v for what, v in _of_tally(tally)})
        view.shared[key] = out
    return view.shared[key]


def _of_values(node: np.ndarray, values: np.ndarray, when: np.ndarray, count: np.ndarray) -> Named:
    """Statistics of the values of each node's rows."""
    n, empty = len(count), ~(count > 0)
    size = np.where(empty, np.nan, count)
    count = np.nan_to_num(count)
    middle = float(values.mean()) if len(values) else 0.0
    sums = np.bincount(node, values - middle, minlength=n)
    squares = np.bincount(node, (values - middle) ** 2, minlength=n)
    yield "sum", np.where(empty, np.nan, sums + count * middle)
    yield "mean", sums / size + middle
    yield "deviation", np.sqrt(np.maximum(squares / size - (sums / size) ** 2, 0))
    start = np.minimum((np.cumsum(count) - count).astype(int), max(len(values) - 1, 0))
    end = np.maximum(start + count.astype(int) - 1, 0)
    if not len(values):
        return
    by_value = values[np.lexsort((values, node))]
    low, high = by_value[start], by_value[end]
    half = [by_value[start + np.maximum(count - k, 0).astype(int) // 2] for k in (0, 1)]
    by_time = values[np.lexsort((when, node))]
    for name, found in (
        *(("minimum", low), ("maximum", high), ("span", high - low)),
        *(("median", (half[0] + half[1]) / 2), ("first", by_time[start]), ("last", by_time[end])),
    ):
        yield name, np.where(empty, np.nan, found)
    levels = np.unique(values)
    for level in levels if len(levels) <= MOST_LEVELS else []:
        for sign, match in (("=", values == level), (">=", values >= level)):
            total = np.where(empty, np.nan, np.bincount(node, match, minlength=n))
            yield f"number {sign} {level:g}", total
            yield f"share {sign} {level:g}", total / size


def tallies(view: View, rows: Rows, part: str) -> Iterator[tuple[str, sp.csr_array]]:
    """(name, counts [n, keys]) of the categories of what the nodes meet in a part."""
    use = parts(view)[part][rows.row]
    for name, key in keys_met(view, rows):
        shape = (rows.n, int(key.max(initial=0)) + 1)
        yield name, _tally(rows.node[use], key[rows.row[use]], shape)


def _tally(node: np.ndarray, key: np.ndarray, shape: tuple[int, int]) -> sp.csr_array:
    tally = sp.csr_array((np.ones(len(node)), (node, key)), shape=shape)
    tally.sum_duplicates()
    return tally


def _of_tally(tally: sp.csr_array) -> Named:
    """How many categories a node meets, and the entropy of them."""
    node = np.repeat(np.arange(tally.shape[0]), np.diff(tally.indptr))
    total = np.asarray(tally.sum(axis=1)).ravel()
    share = tally.data / np.maximum(total[node], 1)
    yield "number", np.diff(tally.indptr).astype(float)
    yield "entropy", np.bincount(node, -share * np.log(share), minlength=tally.shape[0])


def choices(view: View, rows: Rows, part: str) -> Iterator[tuple[str, sp.csr_array]]:
    """(name, marks [n, keys]) of the categories that nodes meet most, last and first; with ties."""
    use = parts(view)[part][rows.row]
    node, when = rows.node[use], order_of_rows(view)[rows.row[use]]
    for name, tally in tallies(view, rows, part):
        highest = np.repeat(np.asarray(tally.max(axis=1).todense()).ravel(), np.diff(tally.indptr))
        mark = sp.csr_array((tally.data == highest, tally.indices, tally.indptr), tally.shape)
        yield f"most of {name}", mark.astype(np.float64)
    for what, sign in (("last", 1), ("first", -1)):
        extreme = np.full(rows.n, -np.inf)
        np.maximum.at(extreme, node, sign * when)
        there = sign * when == extreme[node]
        for name, key in keys_met(view, rows):
            shape = (rows.n, int(key.max(initial=0)) + 1)
            mark = _tally(node[there], key[rows.row[use][there]], shape)
            mark.data[:] = 1
            yield f"{what} of {name}", mark


def fitted(view: View, rows: Rows, part: str, c: np.ndarray) -> Named:
    """Counts with one free number, chosen so that their total is that of a column.

    The rows above a level, their share of all rows, and counts that halve with age.
    """
    use = parts(view)[part][rows.row]
    known = np.isfinite(c) & (c >= 0) & rows.asked
    node, row = rows.node[use], rows.row[use]
    node, row = node[known[node]], row[known[node]]
    if not len(row) or not known.any():
        return
    count = np.bincount(node, minlength=rows.n).astype(float)
    count[~known] = np.nan
    for name, values in (numbers_of_rows(view) | numbers_met(view, rows)).items():
        met = values[row]
        for what, total in (("number", c[known].sum()), ("share", (c * count)[known].sum())):
            n_above = round(float(total))
            if 0 < n_above < len(met) and (c[known] <= np.maximum(count[known], 1)).all():
                level = np.partition(met, -n_above)[-n_above]
                above = np.bincount(node[met >= level], minlength=rows.n)
                scale = 1 if what == "number" else np.maximum(count, 1)
                yield f"{what} above a level of {name!r}", np.where(known, above / scale, np.nan)
        if name in times_of_rows(view):
            weight = _halved(met.max() - met, float(c[known].sum()))
            by_age = np.bincount(node, weight, minlength=rows.n)
            yield f"number by age of {name!r}", np.where(known, by_age, np.nan)


def _halved(age: np.ndarray, total: float) -> np.ndarray:
    """exp(-age / tau) with the tau that gives them a total."""
    low, high = np.log(max(np.ptp(age), 1e-12) * 1e-4), np.log(max(np.ptp(age), 1e-12) * 1e4)
    for _ in range(50):
        middle = (low + high) / 2
        less = np.exp(-age / np.exp(middle)).sum() < total
        low, high = (middle, high) if less else (low, middle)
    return np.exp(-age / np.exp(low))


def _candidates(view: View, reading: Reading, part: str) -> Named:
    """The aggregates that a column is compared with; some are fitted to it."""
    found = aggregates(view, reading.rows, part)
    if reading.kind in ("sum", "product"):
        yield from ((n, v) for n, v in found.items() if n.split(" of ")[0] in ("count", "sum"))
        return
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


# ---- comparison of numbers -----------------------------------------------------------------------


def equals(view: View, reading: Reading, level: float) -> tuple[bool, str] | None:
    """Whether a column equals, or follows in order, an aggregate with held-out rows.

    It must not follow that of the graph alone. Short of a proof, a telling name decides.
    """
    few, doubts = reading.rows.n < MATCHED, []
    for proof, what in _followed(view, reading) if _has_order(reading) else ():
        by_first = not reading.is_number and what.startswith(FIRST_EVENT)
        if not by_first and (proof or (few and _telling(reading.where))):
            return True, f"follows {what}"
        doubts += [(False, f"may follow {what}")] * (few or proof)
    return doubts[0] if doubts else None


def of_graph(view: View, reading: Reading) -> bool:
    """Whether a column is an aggregate of the graph alone."""
    if reading.values.ndim > 1 or not reading.ordered:
        return False
    return any(follows(reading.values, f) for _, f in _candidates(view, reading, "graph"))


def parts_beyond(view: View, alone: bool = True) -> list[str]:
    """Parts of the source that hold more than the graph; alone: and the held-out rows alone."""
    from_valid = ["train_valid"] if view.name == "train" and view.split.valid.num_rows else []
    return [*from_valid, "source", *["held"] * alone]


def _has_order(reading: Reading) -> bool:
    """Whether its order can be compared with that of an aggregate; of few nodes, only numbers."""
    enough = reading.is_number or reading.rows.n >= MATCHED
    return reading.values.ndim == 1 and reading.ordered and enough


def _telling(where: str) -> bool:
    return any(word in where.rsplit(".", 1)[-1].lower() for word in TELLING)


def _followed(view: View, reading: Reading) -> Iterator[tuple[bool, str]]:
    """(whether it is a proof, which aggregate) a column follows, and the graph's own does not."""
    own = dict(_candidates(view, reading, "graph"))
    honest = {_of_what(what) for what, f in own.items() if _is_honest(reading.values, f)}
    for part in parts_beyond(view):
        for what, whole in _candidates(view, reading, part):
            if _of_what(what) in honest:
                continue  # such as ids given in the order of users
            proof = _proof(reading.values, whole, own.get(what))
            if proof is not None and not _comes_to(view, reading, what, own[what]):
                yield proof, f"the {what} of a node's rows, {SAYS[part]}"


def _of_what(aggregate: str) -> str:
    """The column that an aggregate is of."""
    return aggregate.split(" of ", 1)[-1]


def _comes_to(view: View, reading: Reading, what: str, own: np.ndarray) -> bool:
    """Whether an aggregate of partners comes to a column by itself with more rows; of few levels.

    Like meets like: the median topic of what users meet comes to the topic that they like. Then
    fewer nodes are out of order by the graph's rows than by half of them, and errors fall by the
    same factor for each row more. It is no proof where so few errors are left to expect that there
    may be none.
    """
    if "it meets" not in what:
        return False
    half = dict(_candidates(view, reading, "half")).get(what)
    levels = (len(np.unique(v[np.isfinite(v)])) for v in (reading.values, own))
    if half is None or min(levels) > FEW_VALUES:
        return False
    before, now = (_out_of_order(reading.values, f) for f in (half, own))
    return bool(np.exp(-_left(view, before, now)) > LEAK_LEVEL)


def _left(view: View, before: int, now: int) -> float:
    """Errors by all rows, if they fall for each row more as from half of the graph's to all."""
    share = parts(view)["graph"].mean()
    return now * (now / max(before, now, 1)) ** (2 * (1 - share) / share)


def _is_honest(c: np.ndarray, own: np.ndarray) -> bool:
    """Whether a column follows an aggregate of the graph, beyond chance."""
    known = np.isfinite(c) & np.isfinite(own)
    return follows(c, own) and _unlikely(c[known], own[known])


def _proof(c: np.ndarray, whole: np.ndarray, own: np.ndarray | None) -> bool | None:
    """Whether a column follows an aggregate, and not the graph's own, beyond chance; None: no.

    Equal values may differ at a few nodes, for example by the hour at which a day begins.
    """
    known = np.isfinite(c) & np.isfinite(whole)
    if own is None or known.sum() < 2:
        return None
    wrong = _unequal(c[known], whole[known])
    equal = wrong <= WRONG * known.sum()
    if not equal and (not follows(c[known], whole[known]) or follows(c, own)):
        return None
    moved = _misplaced(c, own, equal)
    if moved <= EACH * wrong * equal:
        return None
    enough = moved >= (MOVED if equal else 2 * MOVED)
    return enough and _unlikely(c[known], c[known][:0] if equal else whole[known])


def _unequal(c: np.ndarray, f: np.ndarray) -> int:
    return int((~np.isclose(c, f, rtol=1e-5)).sum())


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
        return lost + _unequal(c[known], own[known])
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


# ---- comparison of categories --------------------------------------------------------------------


def chooses(view: View, reading: Reading, level: float) -> tuple[bool, str] | None:
    """Whether codes say what category a node meets most, last or first, held-out rows included."""
    c = reading.values
    if c.ndim > 1 or reading.ordered or reading.rows.side < 0:
        return None
    for part in parts_beyond(view, alone=False):
        for name, whole in choices(view, reading.rows, part):
            if _says_choice(c, whole) and _beyond_trend(view, reading, name, whole):
                return True, f"says what a node meets {name}, {SAYS[part]}"
    return None


def _beyond_trend(view: View, reading: Reading, name: str, whole: sp.csr_array) -> bool:
    """Whether the graph's own categories are others, and more often than more rows mend."""
    every = [dict(choices(view, reading.rows, p))[name] for p in ("half", "graph")] + [whole]
    before, now, left = (int((~_hits(reading.values, marks)[1]).sum()) for marks in every)
    unlikely = stats.poisson.cdf(left, _left(view, before, now)) < MENDED
    return now >= MATCHED + 2 * left and bool(unlikely)


def _hits(c: np.ndarray, marks: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """(the category that each code stands for, whether it is one of its node's) by node."""
    known = np.flatnonzero(np.isfinite(c) & (np.diff(marks.indptr) > 0))
    value = np.unique(c[known], return_inverse=True)[1]
    n_values = int(value.max(initial=-1)) + 1
    at = sp.csr_array((np.ones(len(known)), (value, known)), shape=(n_values, len(c)))
    stands = np.asarray((at @ marks).argmax(axis=1)).ravel()[value]
    return stands, np.asarray(marks[known, stands]).ravel() > 0


def _says_choice(c: np.ndarray, whole: sp.csr_array) -> bool:
    stands, hit = _hits(c, whole)
    return len(np.unique(stands)) > 1 and len(hit) >= 2 * MATCHED and bool(hit.mean() > MOSTLY)
