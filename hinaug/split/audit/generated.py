"""Deltas: what they were fitted on, and what their rows give away."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from itertools import permutations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from hinaug.errors import SchemaError
from hinaug.graph import arrow as tb
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import distinct
from hinaug.graph.validate import ends_of
from hinaug.split.audit import columns, texts, windows
from hinaug.split.audit.edges import derived
from hinaug.split.audit.moments import gaps
from hinaug.split.audit.names import mentions
from hinaug.split.audit.pairs import chains, clones
from hinaug.split.audit.view import OWN, Finding, Found, View, title

CELLS = ("values", "columns")  # parts of a delta with values for rows that are there
BEYOND_SKILL = 1e-9  # hits that no model has by skill, with at least FEW of them
BY_CHANCE = 1e-2
FEW = 5
REMEDY = "fit the generator on split.train"


def look(view: View, deltas: tuple[Delta, ...], leaking: set[str]) -> Found:
    """Deltas on the graph and those to come; leaking: where the graph without them leaks."""
    every = tuple({d.uid: d for d in (*view.hin.deltas, *deltas)}.values())
    if not every:
        return
    fine, bad = _prints(view.split.train), _prints(view.split.source)
    both = _prints(view.split.train_valid)
    fine, bad = (fine, bad | both) if view.name == "train" else (fine | both, bad)
    for delta in every:
        yield from _names_what_left(view, delta)
        yield from _fitted(view, delta, every, fine, bad - fine, leaking)


def _fitted(
    view: View, delta: Delta, every: tuple[Delta, ...], fine: set, bad: set, leaking: set[str]
) -> Found:
    """What a delta says it was fitted on, against what it proposes."""
    hits, n_new = _proposed(view, delta.edges)
    said = set(delta.fitted_on)
    says = f"{len(hits):,} of the {n_new:,} new pairs that it proposes are held out"
    chance = stats.binom.sf(len(hits) - 1, max(n_new, 1), view.base_rate)
    most = len(hits) > 0 and 2 * len(hits) >= n_new
    if said & bad:
        why = f"was fitted on a graph that holds the held-out pairs; {says}"
        yield True, view.finding("generated", repr(delta), why, REMEDY, hits)
    elif not said <= fine or not said:
        before = delta.uid in {d.uid for d in view.split.source.deltas}
        when = "was applied before the split, and " * before
        why = f"{when}does not say that it was fitted on {view.name}; {says}"
        sure = most and min(chance, len(hits) != n_new) < BY_CHANCE
        yield bool(sure), view.finding("generated", repr(delta), why, REMEDY, hits)
        yield from _content(view, delta, every, leaking)
    elif most and len(hits) >= FEW and chance < BEYOND_SKILL:
        why = f"says that it was fitted on {view.name}, yet {says}"
        yield False, view.finding("generated", repr(delta), why, REMEDY, hits)


def _names_what_left(view: View, delta: Delta) -> Found:
    """Masks and cells of held-out pairs, and nodes that left with them."""
    cells = [({key[0]: t}, part) for part in CELLS for key, t in getattr(delta, part).items()]
    for tables, part in ((delta.masks, "masks"), *cells):
        named, _ = _proposed(view, tables)
        if len(named):
            why = f"has {part} of {len(named):,} held-out pairs: its {part} name what left"
            yield True, view.finding("generated", repr(delta), why, REMEDY, named)
    gone = _gone(view, delta)
    if gone:
        why = f"names {len(gone):,} nodes that left with held-out pairs, such as {gone[0]}"
        yield True, Finding("generated", repr(delta), view.name, why, REMEDY, len(gone))


def _prints(hin: HIN) -> set[str]:
    """Fingerprints of a graph without, and with the first, its first two, ... deltas."""
    counts = range(len(hin.deltas) + 1)
    return {HIN(hin._nodes, hin._edges, hin.deltas[:k]).fingerprint() for k in counts}


def _proposed(view: View, tables) -> tuple[np.ndarray, int]:
    """Held-out pairs among edge tables by external id, and how many pairs are new."""
    codes = [np.zeros(0, np.int64)]
    for edge, table in tables.items():
        for first, second in permutations(("src", "dst")) if isinstance(edge, tuple) else ():
            ends = (edge[0], edge[2]) if first == "src" else (edge[2], edge[0])
            if ends == (view.a, view.b):
                nodes = zip((view.a, view.b), (first, second), strict=True)
                codes.append(
                    view.whole.codes(*(_lookup(view, n, tb.one_chunk(table[c])) for n, c in nodes))
                )
    every = distinct(np.concatenate(codes))
    every = every[(every >= 0) & ~view.known.contains_codes(every)]
    return every[view.held.contains_codes(every)], len(every)


def _lookup(view: View, node: str, ids: pa.Array) -> np.ndarray:
    return tb.lookup(tb.one_chunk(view.source.nodes[node]["id"]), ids)


def _gone(view: View, delta: Delta) -> list[str]:
    """Ids in a delta that the source has and the graph lost."""
    names: dict[str, list[pa.Array]] = {}
    for part, type, table in delta.tables():
        for column, node in ends_of(part, type):
            names.setdefault(node, []).append(tb.one_chunk(table[column]))
    out = []
    for node in names.keys() & view.source.nodes.keys() & view.observed.nodes.keys():
        ids = pc.unique(pa.concat_arrays(names[node]))
        here = tb.lookup(tb.one_chunk(view.observed.nodes[node]["id"]), ids)
        out += ids.filter(pa.array((_lookup(view, node, ids) >= 0) & (here < 0))).to_pylist()
    return sorted(out)


def _content(view: View, delta: Delta, every: tuple[Delta, ...], leaking: set[str]) -> Found:
    """What the graph with this delta, and those it may stand on, gives away by its rows."""
    hin = _with(view.observed, delta) or _with(view.observed, *every)
    if hin is None:
        return
    seen, own = view.on(hin), _columns_of(delta)
    tests = (chains, clones, derived, mentions, texts.look, gaps, windows.look)
    found = [finding for test in tests for finding in test(seen)]
    if own:
        types = [*hin.nodes, *hin.edges]
        others = {f"{title(t)}.{field.name}" for t in types for field in seen.columns(t)} - own
        found += columns.look(seen, others | {f"{t} (order of rows)" for t in hin.nodes})
    for finding in _certain(found, leaking):
        why = f"by {delta!r}, {finding.why}"
        yield True, replace(finding, kind="generated", why=why, remedy=REMEDY)


def _columns_of(delta: Delta) -> set[str]:
    """The columns of nodes and edges in which a delta has values."""
    whole = [key for part in CELLS for key in getattr(delta, part)]
    rows = [(t, table) for part in ("nodes", "edges") for t, table in getattr(delta, part).items()]
    of_rows = [(type, name) for type, table in rows for name in table.column_names]
    return {f"{title(type)}.{name}" for type, name in (*whole, *of_rows) if name not in OWN}


def _certain(found: list[tuple[bool, Finding]], leaking: set[str]) -> list[Finding]:
    return [finding for certain, finding in found if certain and finding.where not in leaking]


def _with(hin: HIN, *deltas: Delta) -> HIN | None:
    """The graph with deltas; None where they do not fit it."""
    try:
        return reduce(HIN.__add__, deltas, hin)
    except SchemaError:
        return None
