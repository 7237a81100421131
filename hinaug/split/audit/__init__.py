"""Audit a split: can what is held out still be read off the graphs that a method may see?

A few general tests look at every column, order of rows and relation alike:

    pairs       edges, chains of nodes, copies and remnants that join held-out pairs
    names       columns that name users or items
    windows     columns of single rows that know the rows before, after and beside them
    columns     columns that know counts, ratings or tastes with held-out rows included
    edges       neighbours computed from who met whom, held-out pairs included
    texts       the text of held-out rows, elsewhere or word for word in train
    moments     rows after the cut, and numbers of rows with gaps
    generated   deltas that were fitted on held-out pairs

They judge what the data say, whatever lineage says. What neither can settle is "unknown", never
clean: columns without lineage, aggregates of which nobody says from what graph they were made, a
few matches that may be chance, and what the budget of time or memory left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from hinaug.checks import kind
from hinaug.errors import KindError
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.progress import track
from hinaug.split.audit import columns, edges, generated, moments, names, pairs, texts, windows
from hinaug.split.audit.view import Budget, Finding, Found, View
from hinaug.split.base import Split

__all__ = ["Audit", "Finding", "audit"]

BYTES_A_PAIR = 300  # that the audit takes for each pair of the target, about
BYTES_AN_EDGE = 60  # and for each other edge


@dataclass
class Audit:
    """leaks: what gives held-out pairs away. unknown: what might, and cannot be told."""

    leaks: list[Finding] = field(default_factory=list)
    unknown: list[Finding] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """No leak and nothing unknown."""
        return not self.leaks and not self.unknown

    def __str__(self) -> str:
        lines = [f"{len(self.leaks)} leaks, {len(self.unknown)} unknown"]
        lines += [f"  LEAK     {f}" for f in self.leaks] + [f"  unknown  {f}" for f in self.unknown]
        return "\n".join(lines)

    __repr__ = __str__


def audit(split: Split, *deltas: Delta, seconds: float = 120.0, memory: float = 4 * 2**30) -> Audit:
    """Every leak and every unknown of a split, first of train, then of train_valid.

    deltas: generated rows that shall be put on its graphs.
    seconds, memory (bytes): what the audit may take. Checks that it does not get to are unknown.

    Raises KindError for what is no Split or no Delta.
    """
    if not isinstance(split, Split):
        raise KindError(
            f"audit takes a Split, got {kind(split)}; make one of a graph with random_split, "
            "leave_last or temporal_split"
        )
    wrong = [d for d in deltas if not isinstance(d, Delta)]
    if wrong:
        raise KindError(
            f"audit(split, *deltas) takes deltas after the split, one by one; got {kind(wrong[0])}"
        )
    out, views = Audit(), _views(split, Budget(seconds, memory))
    steps = [(name, step) for name in views for step in _steps(deltas)]
    found: dict[str, list[tuple[bool, Finding]]] = {name: [] for name in views}
    for name, (what, step) in track(steps, "audit"):
        found[name] += _run(name, views[name], what, step, found[name])
    for certain, finding in (pair for some in found.values() for pair in some):
        (out.leaks if certain else out.unknown).append(finding)
    return out


def _views(split: Split, budget: Budget) -> dict[str, View | None]:
    """{"train": , "train_valid": }; None where the graph needs more memory than the budget has."""
    tables = {"train": [split.valid, split.test], "train_valid": [split.test]}
    views: dict[str, View | None] = {}
    for name, parts in tables.items():
        if any(part.num_rows for part in parts):
            hin = getattr(split, name)
            views[name] = None
            if _need(split, hin) <= budget.memory:
                ends = [part.select(["src", "dst"]) for part in parts]
                held = pa.concat_tables(ends, promote_options="permissive").combine_chunks()
                views[name] = View(name, hin, split, held, budget)
    return views


def _need(split: Split, hin: HIN) -> float:
    """The bytes that the audit of one graph takes, about."""
    n_edges = sum(hin.n(edge) for edge in hin.edges)
    return BYTES_A_PAIR * split.source.n(split.target) + BYTES_AN_EDGE * n_edges


Step = Callable[[View, list[tuple[bool, Finding]]], Found]


def _steps(deltas: tuple[Delta, ...]) -> list[tuple[str, Step]]:
    """The checks of one graph by name; each is given what was found before it."""
    return [
        ("edges between the ends", lambda view, _: pairs.direct(view)),
        ("nodes between the ends", lambda view, _: pairs.chains(view)),
        ("copies", lambda view, _: pairs.clones(view)),
        ("remnants", lambda view, found: pairs.remnants(view, _told(view, found))),
        ("later rows", lambda view, _: moments.future(view)),
        ("numbers of rows", lambda view, _: moments.gaps(view)),
        ("columns of rows", lambda view, _: windows.look(view)),
        ("names", lambda view, _: names.mentions(view)),
        ("texts", lambda view, _: texts.look(view)),
        ("derived edges", lambda view, _: edges.derived(view)),
        ("columns", lambda view, found: columns.look(view, _leaking(found))),
        ("added rows", lambda view, _: pairs.added(view)),
        ("deltas", lambda view, found: generated.look(view, deltas, _leaking(found))),
    ]


def _run(
    name: str, view: View | None, what: str, step: Step, before: list
) -> list[tuple[bool, Finding]]:
    """What one check found; unknown where the budget ended before it did."""
    short = "memory" if view is None else "time" if view.budget.over else ""
    found = [] if view is None or short else list(step(view, before))
    short = short or ("time" if view is not None and view.budget.over else "")
    if short:
        remedy = f"call audit with more {'seconds' if short == 'time' else 'memory'}="
        why = f"were not looked at, or not all, for lack of {short}"
        found.append((False, Finding("budget", what, name, why, remedy)))
    return found


def _leaking(found: list[tuple[bool, Finding]]) -> set[str]:
    return {finding.where for certain, finding in found if certain}


def _told(view: View, found: list[tuple[bool, Finding]]) -> np.ndarray:
    """The pairs that leak by a path over nodes already."""
    return view.cache.get("told", np.zeros(0, np.int64))
