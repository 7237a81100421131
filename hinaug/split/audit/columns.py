"""Columns: do they know what is held out? And what lineage leaves open.

Every column, and the order of rows, is read as numbers of nodes (`readings`). Then it is compared
with statistics of the rows (`aggregates`, `vectors`), and with what chance allows (`repel`,
`noise`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np
import pyarrow as pa

from hinaug.graph import arrow as tb
from hinaug.graph.schema import Type
from hinaug.split.audit.aggregates import chooses, equals, of_graph
from hinaug.split.audit.noise import cuts, dates, foretells, near
from hinaug.split.audit.readings import Reading, readings
from hinaug.split.audit.repel import repels, sums
from hinaug.split.audit.vectors import mixes
from hinaug.split.audit.view import Finding, Found, View, changed, title

MOST_PAIRED = 12  # columns of which sums, differences, products and quotients are tried

Test = Callable[[View, Reading, float], tuple[bool, str] | None]
EVERY: tuple[Test, ...] = (equals, mixes, chooses, near, repels, foretells, cuts, dates)
SOME: dict[str, tuple[Test, ...]] = {  # by the kind of a reading
    "word": (chooses,),
    "sum": (equals,),
    "product": (equals, repels),
}


def look(view: View, leaking: set[str]) -> Found:
    """Every column, and the order of rows; leaking: the columns that leak by other means."""
    types: list[Type] = [*view.observed.nodes, *view.observed.edges]
    every = [r for type in types for r in readings(view, type) if r.where not in leaking]
    level = 1 / max(sum(len(sums(view, r.rows)) + 2 for r in every if r.kind != "word"), 1)
    found = _each(view, every, level)
    yield from found.values()
    yield from _several(view, [r for r in every if r.where not in found and r.is_number], level)
    yield from lineage(view, leaking | set(found), every)


def _each(view: View, every: list[Reading], level: float) -> dict[str, tuple[bool, Finding]]:
    """What the readings of each column say, the first that says something."""
    found: dict[str, tuple[bool, Finding]] = {}
    for reading in every:
        if not view.budget.over and reading.where not in found:
            verdict = _examined(view, reading, level)
            found |= {} if verdict is None else {reading.where: verdict}
    return found


def _several(view: View, quiet: list[Reading], level: float) -> Found:
    """Columns of the same nodes, two at a time and then, of those left, all at once."""
    for rows in {id(r.rows): r.rows for r in quiet}.values():
        of_rows = [r for r in quiet if r.rows is rows]
        pairs = list(_by_each_other(view, of_rows, level))
        yield from pairs
        named = " and ".join(finding.where for _, finding in pairs).split(" and ")
        yield from _together(view, [r for r in of_rows if r.where not in named], level)


def _together(view: View, several: list[Reading], level: float) -> Found:
    """All numeric columns of a type at once, such as three that sum to a count."""
    names = list(dict.fromkeys(r.where for r in several))
    if len(names) > 1:
        values = np.stack([r.values for r in several], axis=1)
        both = replace(several[0], where=" and ".join(names), values=values)
        found = _examined(view, both, level)
        if found is not None:
            yield found


def _by_each_other(view: View, several: list[Reading], level: float) -> Found:
    """Two columns put together: parts of a count, a revenue and a price, a rate and its base."""
    for one, two in combinations(several[:MOST_PAIRED], 2):
        if view.budget.over or one.where == two.where:
            continue
        for way, values in _ways(one.values, two.values):
            where = f"{one.where} and {two.where}"
            found = _examined(view, replace(one, where=where, values=values, kind=way), level)
            if found is not None:
                yield found
                break


def _ways(one: np.ndarray, two: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Sum and difference of two columns, product and quotient."""
    by, of = (one, two) if (one == 0).sum() < (two == 0).sum() else (two, one)
    ratio = np.divide(of, by, where=by != 0, out=np.full(len(by), np.nan))
    yield from (("sum", one + two), ("sum", one - two), ("product", one * two), ("product", ratio))


def _examined(view: View, reading: Reading, level: float) -> tuple[bool, Finding] | None:
    """The verdict of the first test that finds something; a certain one before an unknown."""
    unknown = None
    for test in SOME.get(reading.kind, EVERY):
        verdict = test(view, reading, level)
        if verdict is None:
            continue
        is_read = reading.kind != "id"
        certain, why = verdict[0] and is_read, verdict[1]
        remedy = "compute it with Split.with_derived, or drop it"
        remedy = remedy if is_read else "give new ids, if somebody reads them as numbers"
        found = certain, Finding("aggregate", reading.where, view.name, why, remedy)
        if certain:
            return found
        unknown = unknown or found
    return unknown


# ---- lineage -------------------------------------------------------------------------------------


def lineage(view: View, leaking: set[str], readings: list[Reading]) -> Found:
    """What the declared lineage of columns leaves open."""
    own = {r.where for r in readings if of_graph(view, r)}
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
