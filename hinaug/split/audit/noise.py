"""Columns that say more of held-out rows than any honest column can: better than noise allows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from scipy import special, stats

from hinaug.split.audit.aggregates import FEW_VALUES, LEAK_LEVEL, MATCHED, aggregates
from hinaug.split.audit.readings import Reading
from hinaug.split.audit.repel import ROWS_A_DIM, Sum, correlation, sums
from hinaug.split.audit.rows import principal, times_of_rows
from hinaug.split.audit.view import View

ROWS_A_GUESS = 30  # nodes that a fit needs for each column, where it is compared with noise
EXTREMES = ("minimum", "maximum")
EXPLAINED = 0.9  # of the time of held-out rows, beyond train, that no honest column explains
PERHAPS = 0.7  # the same, from which it is unknown
UNEVEN = 0.8  # spread of held-out counts below which they are not free to vary
TWICE = 2  # times as much shared by neighbours in an order as chance gives


def foretells(view: View, reading: Reading, level: float) -> tuple[bool, str] | None:
    """Whether a column, with what the graph knows, predicts counts better than noise allows.

    The held-out counts of nodes with equal rates differ as Poisson counts do, whatever an honest
    column knows of the rates: Var(y_i - y_j) is at least E(y_i + y_j), less what exclusion takes.
    """
    if not reading.rows.apart or not reading.ordered:
        return None
    held = sums(view, reading.rows)[0].y[reading.rows.asked, 0]
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


def cuts(view: View, reading: Reading, level: float) -> tuple[bool, str] | None:
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


def dates(view: View, reading: Reading, level: float) -> tuple[bool, str] | None:
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
    return {f"{what} of {m!r}" for m in times_of_rows(view) for what in EXTREMES}


def _partial(y: np.ndarray, c: np.ndarray, known: list[np.ndarray]) -> tuple[float, float]:
    """Partial correlation of a column with y, given what is known, and its p."""
    design = np.column_stack([np.ones(len(y)), *known])
    use = np.isfinite(y) & np.isfinite(design).all(axis=1) & np.isfinite(c)
    n = int(use.sum()) - len(known) - 2
    if use.sum() < 4 * ROWS_A_DIM:
        return 0.0, 1.0
    r = correlation(_left(design[use], y[use]), _left(design[use], c[use]))
    return r, float(stats.t.sf(abs(r) * np.sqrt(n / max(1 - r * r, 1e-12)), n))


def _left(design: np.ndarray, values: np.ndarray) -> np.ndarray:
    centred = (design - design.mean(axis=0)) / np.maximum(design.std(axis=0), 1e-12)
    basis = np.linalg.qr(np.column_stack([np.ones(len(design)), centred[:, 1:]]))[0]
    values = values - values.mean()
    return values - basis @ (basis.T @ values)


def near(view: View, reading: Reading, level: float) -> tuple[bool, str] | None:
    """Whether nodes next to each other in an order share what is held out, beyond chance.

    Of what two nodes share, chance holds out as much as of all their rows, and of all other rows
    of it. In a split by time that says less: there, most neighbours must share it.
    """
    side = reading.rows.side
    if reading.kind != "order":
        return None
    order = view.move((view.a, view.b)[side])
    i, j = order[:-1], order[1:]
    i, j = i[(i >= 0) & (j >= 0)], j[(i >= 0) & (j >= 0)]
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
