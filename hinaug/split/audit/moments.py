"""The future: rows later than the cut of a split by time, or than a user's own held-out pair; and
columns of edges that say when, or where in the table, held-out rows stand."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
from scipy import stats

from hinaug.graph import arrow as tb
from hinaug.graph.evidence import late_rows, times_of
from hinaug.graph.schema import Type
from hinaug.split.audit.view import Finding, Found, View, title

MOMENT = re.compile(  # names of columns that say when a row came about
    r"(^|_)(time|date|timestamp|datetime|day|created|updated|modified|ts)(_|$)|_at$|time$|date$"
)
OTHER_UNIT = 20  # times the span of the table's own times: a column so late has another unit
CHANCE = 1e-6  # matches with held-out moments or rows that are no accident
SAMPLE, LEVELS = 1_000, 10  # rows of a column of which so few values show that it is a rating
LEAST = 5  # such matches
SHUFFLES = 8  # of a column, whose matches are those of chance
EXCESS = 3  # times as many matches as chance gives


def moments(view: View, type: Type) -> list[str]:
    """Columns that look like moments."""
    return [f.name for f in view.observed.table(type).schema if _is_moment(f)]


def _is_moment(field: pa.Field) -> bool:
    if pa.types.is_timestamp(field.type):
        return True
    number = tb.is_number(field.type) and not pa.types.is_boolean(field.type)
    return bool(MOMENT.search(field.name.lower())) and (number or pa.types.is_date(field.type))


def future(view: View) -> Found:
    """Rows that happened after what the graph may know."""
    time, cuts = view.split.how.get("time"), view.split.how.get("cuts")
    if not time or time not in view.source.table(view.target).column_names:
        return
    if cuts:
        for type in [*view.observed.edges, *view.observed.nodes]:
            yield from _after_cut(view, type, time, cuts[0 if view.name == "train" else 1])
    else:
        yield from _after_own(view, time)


def _after_cut(view: View, type: Type, time: str, cut: float) -> Found:
    is_end = type in (view.a, view.b)  # the day an item came out is no event
    there = view.observed.table(type).column_names
    for column in dict.fromkeys(([] if is_end else moments(view, type)) + [time] * (time in there)):
        when = times_of(view.observed, type, column)
        if column != time and _has_other_unit(view, when, time, cut):
            continue
        late, unsaid = int((when > cut).sum()), int(np.isnan(when).sum())
        where = title(type) if column == time else f"{title(type)}.{column}"
        if late:
            why, remedy = f"has {late:,} rows later than the cut at {cut:g}", "filter them out"
            yield True, Finding("future", where, view.name, why, remedy, late)
        elif unsaid and column == time and not is_end:
            why = f"has {unsaid:,} rows without a time; they may lie after the cut at {cut:g}"
            yield False, Finding("future", where, view.name, why, "filter them out", unsaid)


def _has_other_unit(view: View, when: np.ndarray, time: str, cut: float) -> bool:
    """Whether a column lies so late that it is not in the unit of the table's own times."""
    lowest = float(times_of(view.source, view.target, time).min(initial=np.inf))
    latest = np.where(np.isnan(when), -np.inf, when).max(initial=-np.inf)
    return bool(latest > cut + OTHER_UNIT * max(cut - lowest, 1))


def _after_own(view: View, time: str) -> Found:
    """Rows of a user later than the user's first held-out pair."""
    rows, when = view.source.links(view.target), times_of(view.source, view.target, time)
    held = view.held.contains(*rows)
    first = np.full(view.shape[0], np.inf)
    np.minimum.at(first, rows[0][held], when[held])
    move = view.move(view.a)
    limit = np.where(move >= 0, first[np.maximum(move, 0)], np.inf)
    for edge in view.observed.edges:
        if view.a not in (edge[0], edge[2]):
            continue
        late = np.zeros(view.observed.n(edge), bool)
        columns = [time, *(c for t in (edge, edge[0], edge[2]) for c in moments(view, t))]
        for column in dict.fromkeys(columns):
            late |= late_rows(view.observed, edge, column, (view.a, view.b), limit)
        if late.any():
            n = int(late.sum())
            why = f"has {n:,} rows later than a held-out pair of the same {view.a}"
            yield True, Finding("future", title(edge), view.name, why, "filter them out", n)


# ---- columns of the target's rows that point at rows that are gone -------------------------------


def pointers(view: View) -> Found:
    """Seconds to the next row, numbers of rows with gaps: they point at held-out rows."""
    target = view.target
    there = view.source.table(target).column_names
    times = [name for name in moments(view, target) if name in there]
    for name in [f.name for f in view.columns(target) if _plain(f)]:
        values = _numbers(view.observed, target, name)
        if len(np.unique(values[:SAMPLE])) > LEVELS:
            for time in times:
                yield from _to_moments(view, name, values, time) if time != name else ()
        yield from _gaps(view, name) if name in there else ()


def _plain(field: pa.Field) -> bool:
    return tb.is_number(field.type) or pa.types.is_timestamp(field.type)


def _numbers(hin, type: Type, name: str) -> np.ndarray:
    return times_of(hin, type, name)


def _to_moments(view: View, name: str, values: np.ndarray, time: str) -> Found:
    """A column which, added to a row's time or taken from it, is the time of a held-out row."""
    source, times = view.source.links(view.target), _numbers(view.source, view.target, time)
    held = view.held.contains(*source)
    own_time = _numbers(view.observed, view.target, time)
    for side, positions in enumerate(view.positions(view.target)):
        ok = (positions >= 0) & np.isfinite(values) & np.isfinite(own_time)
        of_held = np.unique(_keys(source[side][held], times[held]))
        of_known = np.unique(_keys(source[side][~held], times[~held]))
        of_held = np.setdiff1d(of_held, of_known)
        wrong = [_permuted(values, ok, k) for k in range(SHUFFLES)]
        for sign, own in ((1, 0 * own_time), (1, own_time), (-1, own_time)):
            n = int((ok & (values != 0)).sum())
            hits, *by_chance = (
                _hits(own + sign * column, own_time, positions, ok & (values != 0), of_held)
                for column in (values, *wrong)
            )
            rate = min((sum(by_chance) + 1) / (SHUFFLES * max(n, 1)), 1.0)
            exceeds = hits >= max(LEAST, EXCESS * rate * n)
            if exceeds and stats.binom.sf(hits - 1, n, rate) < CHANCE:
                where = f"{title(view.target)}.{name}"
                why = f"leads from {hits:,} rows to the time of a held-out row"
                remedy = f"drop the column {name!r} of {view.target!r}"
                yield True, Finding("pointer", where, view.name, why, remedy, hits)
                return


def _permuted(values: np.ndarray, ok: np.ndarray, seed: int) -> np.ndarray:
    """The values of usable rows in another order."""
    out = values.copy()
    out[ok] = np.random.default_rng(seed).permutation(values[ok])
    return out


def _hits(
    moment: np.ndarray, own: np.ndarray, node: np.ndarray, ok: np.ndarray, held: np.ndarray
) -> int:
    """How many rows' moments are those of held-out rows of the same node."""
    use = ok & (moment != own)
    return int(np.isin(_keys(node[use], moment[use]), held).sum())


def _keys(node: np.ndarray, moment: np.ndarray) -> np.ndarray:
    """One number for a node and a moment in whole seconds (or other units)."""
    return node.astype(np.int64) * 1_000_003 + np.round(moment).astype(np.int64) * 2_147_483_659


def _gaps(view: View, name: str) -> Found:
    """Numbers of rows that are complete in the source: those that lack are held out, and the
    number before says whose row it was."""
    target = view.target
    values, source = _numbers(view.source, target, name), view.source.links(target)
    order = np.argsort(values, kind="stable")
    if not np.isfinite(values).all() or not (np.diff(values[order]) == 1).all() or len(order) < 9:
        return
    held = view.held.contains(*source)[order]
    gone = np.flatnonzero(held[1:]) + 1
    for side, node in ((0, view.a), (1, view.b)):
        at = source[side][order]
        same = int((at[gone] == at[gone - 1]).sum())
        rate = float((at == np.roll(np.random.default_rng(0).permutation(at), 1)).mean())
        if same >= LEAST and stats.binom.sf(same - 1, len(gone), rate + 1 / len(at)) < CHANCE:
            why = f"numbers rows {node} by {node}: its gaps say whose rows are held out"
            remedy = f"drop the column {name!r} of {target!r}"
            where = f"{title(target)}.{name}"
            yield True, Finding("pointer", where, view.name, why, remedy, len(gone))
            return
