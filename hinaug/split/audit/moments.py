"""The future: rows later than the cut of a split by time, or than a user's own held-out pair; and
numbers of rows that lack where a row is held out."""

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
CHANCE = 1e-6  # that so many gaps follow a row of the same node by accident
LEAST = 5  # such matches


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


# ---- numbers of rows with gaps -------------------------------------------------------------------


def gaps(view: View) -> Found:
    """Numbers of rows that are complete in the source: those that lack are held out, and the
    number before says whose row it was."""
    there = view.source.table(view.target).column_names
    for field in view.columns(view.target):
        if tb.is_number(field.type) and field.name in there:
            yield from _gaps(view, field.name)


def _gaps(view: View, name: str) -> Found:
    target = view.target
    values, source = times_of(view.source, target, name), view.source.links(target)
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
