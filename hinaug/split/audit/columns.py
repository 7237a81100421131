"""Columns: aggregates of held-out rows, and what lineage leaves unknown."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from hinaug.graph import arrow as tb
from hinaug.graph.evidence import touching
from hinaug.graph.schema import PROVENANCE, Type
from hinaug.split.audit.aggregates import Sides, per_node
from hinaug.split.audit.features import numbers_of, vectors_of
from hinaug.split.audit.view import Finding, View, changed, title


def look(
    view: View, only: Collection[tuple[Any, str]] | None = None, named: Collection[str] = ()
) -> Iterator[tuple[bool, Finding]]:
    """(certain, finding) for every column; only: (type, column) to look at. named: columns that
    leak by other means.
    """
    graph = view.observed
    sides = _All(view)
    for type in [*graph.nodes, *graph.edges]:
        table = graph.table(type)
        unknown = []
        for field in table.schema:
            if field.name in ("id", "src", "dst", *PROVENANCE) or (
                only is not None and (type, field.name) not in only
            ):
                continue
            where = f"{title(type)}.{field.name}"
            if where in named or not table.num_rows:
                continue
            lineage = tb.lineage_of(field)
            found, of_train = _aggregate(
                view, sides, type, field.name, trace=lineage == "aggregate"
            )
            if found is not None:
                yield found[0], Finding("aggregate", where, view.name, found[1])
                if found[0]:
                    continue
            if lineage == "aggregate" and not of_train:
                if _as_before(view, type, field.name):
                    why = "it is declared an aggregate, and was computed before the split"
                    yield True, Finding("aggregate", where, view.name, why)
                else:
                    why = (
                        "it is declared an aggregate; that it was computed from this graph "
                        "alone cannot be confirmed"
                    )
                    yield False, Finding("column", where, view.name, why)
            elif lineage is None:
                unknown.append(field.name)
            elif lineage == "row" and (n := changed(view, type, field.name)):
                why = (
                    f"{n} of its values are not those of the source; where they come from is "
                    "unknown"
                )
                yield False, Finding("column", where, view.name, why, n)
        if unknown and only is None:
            why = (
                "lineage unknown; declare it with from_tables(..., lineage=...) or "
                "with_column(..., lineage=...)"
            )
            yield (
                False,
                Finding(
                    "column", f"{title(type)}: {', '.join(unknown)}", view.name, why, len(unknown)
                ),
            )


class _All:
    """Aggregates per node type, computed when first asked for."""

    def __init__(self, view: View) -> None:
        self.view, self._sides = view, dict[str, Sides]()

    def __getitem__(self, end: str) -> Sides:
        if end not in self._sides:
            self._sides[end] = Sides(self.view, end)
        return self._sides[end]


def _aggregate(
    view: View, sides: _All, type: Type, name: str, trace: bool
) -> tuple[tuple[bool, str] | None, bool]:
    """(what aggregate a column follows, if `trace` whether it is one of this graph's own)."""
    column = tb.one_chunk(view.observed.table(type)[name])
    if column.null_count == len(column):
        return None, False
    of_train, doubt = False, None
    for values in _readings(column):
        for end, positions in _owners(view, type):
            n = view.source.n(end)
            own = per_node(view, type, end, positions, values, n)
            candidates = [] if own is None else [own]
            if own is None and values.ndim == 1:
                candidates = list(_centred(view, type, name, end, positions, values, n))
            for candidate in candidates:
                if not _varies(candidate):
                    continue
                found = sides[end].match(candidate, name)
                if found is not None and found[0]:
                    return found, False
                doubt = doubt or found
                of_train = of_train or (
                    trace and own is not None and sides[end].of_train(candidate)
                )
    return doubt, of_train


def _readings(column: pa.Array) -> Iterator[np.ndarray]:
    """A column as numbers or vectors; a word of few as a mark for each."""
    if tb.is_vector(column.type):
        yield vectors_of(column)
        return
    numbers = numbers_of(column)
    if numbers is not None:
        yield numbers
    elif tb.is_text(column.type) or pa.types.is_dictionary(column.type):
        coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        if 2 <= len(coded.dictionary) <= 5:
            codes = coded.indices.cast(pa.float64()).to_numpy(zero_copy_only=False)
            for k in range(len(coded.dictionary)):
                yield np.where(np.isnan(codes), np.nan, codes == k).astype(np.float64)


def _owners(view: View, type: Type) -> Iterator[tuple[str, np.ndarray]]:
    """The nodes that a row belongs to: itself, an edge's ends, or the one user or item that a node
    touches.
    """
    graph = view.observed
    if isinstance(type, tuple):
        for end, positions in zip((type[0], type[2]), graph.links(type), strict=True):
            if end in (view.a, view.b):
                yield end, positions
        return
    if type in (view.a, view.b):
        yield type, np.arange(graph.n(type))
        return
    shared = False
    for end in dict.fromkeys((view.a, view.b)):
        touch = touching(graph, type, end)
        degree = np.diff(touch.indptr)
        if touch.nnz and degree.max() == 1 and (degree == 1).mean() > 0.5:
            positions = np.full(graph.n(type), -1)
            positions[degree == 1] = touch.indices
            yield end, positions
        shared = shared or bool(touch.nnz and degree.max() > 1)
    if shared and type in view.source.nodes:
        yield type, np.arange(graph.n(type))


def _varies(values: np.ndarray) -> bool:
    if values.ndim == 2:
        return bool(np.isfinite(values).all(axis=1).any())
    there = values[np.isfinite(values)]
    return len(there) > 1


def _centred(
    view: View, type: Type, name: str, end: str, positions: np.ndarray, values: np.ndarray, n: int
) -> Iterator[np.ndarray]:
    """Where a column is, within the rows of each node, a line in another column: the node's zero
    point and its scale.

    A rating less its user's mean, or divided by it, or standardised, gives the mean and the
    deviation away.
    """
    table = view.observed.table(type)
    owner = view.move(end)[np.maximum(positions, 0)].astype(np.int64)
    owner[np.asarray(positions) < 0] = -1
    for field in table.schema:
        if field.name in ("id", "src", "dst", name, *PROVENANCE) or tb.is_vector(field.type):
            continue
        base = numbers_of(tb.one_chunk(table[field.name]))
        if base is None:
            continue
        ok = (owner >= 0) & np.isfinite(values) & np.isfinite(base)
        o, x, y = owner[ok], base[ok], values[ok]
        size = np.maximum(np.bincount(o, minlength=n), 1)
        mx, my = np.bincount(o, x, minlength=n) / size, np.bincount(o, y, minlength=n) / size
        dx, dy = x - mx[o], y - my[o]
        sxx, sxy, syy = (np.bincount(o, v, minlength=n) for v in (dx * dx, dx * dy, dy * dy))
        usable = (sxx > 1e-9) & (syy > 1e-12)
        proof = usable & (size >= 3)  # two points always lie on a line
        if proof.sum() < 3:
            continue
        slope = np.where(usable, sxy / np.maximum(sxx, 1e-12), 1.0)
        left = np.bincount(o, (dy - slope[o] * dx) ** 2, minlength=n)
        if left[proof].sum() > 1e-6 * syy[proof].sum():
            continue
        middle = float(np.median(slope[usable]))
        same = np.allclose(slope[usable], middle, rtol=1e-3)
        known = (usable if same else proof) | (same & (np.bincount(o, minlength=n) > 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(known, middle if same else slope, np.nan)
            zero = mx - my / scale
            yield zero
            if not same:
                yield 1 / scale


def _as_before(view: View, type: Type, name: str) -> bool:
    """Whether a column came over from the source: its values there, as far as they stand."""
    source = view.source
    if (
        type not in (source.edges if isinstance(type, tuple) else source.nodes)
        or name not in source.table(type).column_names
    ):
        return False
    if not isinstance(type, tuple):
        there = int((view.move(type) >= 0).sum())
        return changed(view, type, name) <= 0.5 * there
    here, before = (numbers_of(tb.one_chunk(g.table(type)[name])) for g in (view.observed, source))
    if here is None or before is None:
        return True
    return bool(np.isin(here, before).mean() > 0.9)
