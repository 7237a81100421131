"""Deltas: what they were fitted on, and what their rows give away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from hinaug.errors import SchemaError
from hinaug.graph import arrow as tb
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import distinct
from hinaug.split.audit import columns, texts
from hinaug.split.audit.pairs import chains, clones
from hinaug.split.audit.view import Finding, Found, View, title

BEYOND_SKILL = 1e-9  # hits that no model has by skill, with at least FEW of them
BY_CHANCE = 1e-2
FEW = 5
REMEDY = "fit the generator on split.train"


def look(view: View, deltas: tuple[Delta, ...], leaking: set[str]) -> Found:
    """Deltas on the graph and those to come; leaking: where the graph without them leaks."""
    fine, bad = _prints(view.split.train), _prints(view.split.source)
    both = _prints(view.split.train_valid)
    fine, bad = (fine, bad | both) if view.name == "train" else (fine | both, bad)
    every = tuple({d.uid: d for d in (*view.hin.deltas, *deltas)}.values())
    for delta in every:
        yield from _names_what_left(view, delta)
        yield from _fitted(view, delta, every, fine, bad - fine, leaking)


def _fitted(
    view: View, delta: Delta, every: tuple[Delta, ...], fine: set, bad: set, leaking: set[str]
) -> Found:
    """What a delta says it was fitted on, against what it proposes."""
    hits, n_new = _proposed(view, delta.edges)
    n, where = len(hits), repr(delta)
    chance = stats.binom.sf(n - 1, max(n_new, 1), view.base_rate)
    sure = n > 0 and 2 * n >= n_new and (chance < BY_CHANCE or n == n_new)
    says = f"{n:,} of the {n_new:,} new pairs that it proposes are held out"
    if set(delta.fitted_on) & bad:
        why = f"was fitted on a graph that holds the held-out pairs; {says}"
        yield True, view.finding("generated", where, why, REMEDY, hits)
    elif not delta.fitted_on or set(delta.fitted_on) - fine:
        before = delta.uid in {d.uid for d in view.split.source.deltas}
        when = "was applied before the split, and " if before else ""
        why = f"{when}does not say that it was fitted on {view.name}; {says}"
        yield bool(sure), view.finding("generated", where, why, REMEDY, hits)
        for found in _content(view, delta, every):
            if found.where not in leaking:
                why = f"by {where}, {found.why}"
                yield True, replace(found, kind="generated", why=why, remedy=REMEDY)
    elif sure and n >= FEW and chance < BEYOND_SKILL:
        why = f"says that it was fitted on {view.name}, yet {says}"
        yield False, view.finding("generated", where, why, REMEDY, hits)


def _names_what_left(view: View, delta: Delta) -> Found:
    """Masks of held-out pairs, and nodes that left with them."""
    hidden, _ = _proposed(view, delta.masks)
    if len(hidden):
        why = f"has masks that name {len(hidden):,} held-out pairs: its masks name what left"
        yield True, view.finding("generated", repr(delta), why, REMEDY, hidden)
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
        for first, second in (("src", "dst"), ("dst", "src")):
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
        if part in ("edges", "masks"):
            sides = (("src", type[0]), ("dst", type[2]))
        else:
            sides = (
                (("id", type if part == "nodes" else type[0]),)
                if "id" in table.column_names
                else ()
            )
        for column, node in sides:
            names.setdefault(node, []).append(tb.one_chunk(table[column]))
    out = []
    for node, several in names.items():
        if node in view.source.nodes and node in view.observed.nodes:
            ids = pc.unique(pa.concat_arrays(several))
            here = tb.lookup(tb.one_chunk(view.observed.nodes[node]["id"]), ids)
            out += ids.filter(pa.array((_lookup(view, node, ids) >= 0) & (here < 0))).to_pylist()
    return out


def _content(view: View, delta: Delta, every: tuple[Delta, ...]) -> list[Finding]:
    """What the graph with this delta, and those it may stand on, gives away."""
    hin = view.observed
    try:
        hin = hin + delta
    except SchemaError:
        for other in every:
            try:
                hin = hin + other
            except SchemaError:
                return []
    seen = view.on(hin)
    found = [*chains(seen), *clones(seen), *texts.look(seen)]
    if delta.values:
        cells = {f"{title(type)}.{name}" for type, name in delta.values}
        found += [f for f in columns.look(seen, set()) if f[1].where in cells]
    return [finding for certain, finding in found if certain]
