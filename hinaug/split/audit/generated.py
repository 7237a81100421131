"""Deltas: what they were fitted on, and what their rows give away."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from hinaug.errors import SchemaError
from hinaug.graph import arrow as tb
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.split.audit import columns, texts, ways
from hinaug.split.audit.rows import by_chance, proposed
from hinaug.split.audit.view import Finding, View, renamed


def generated(
    view: View, deltas: tuple[Delta, ...], base: set[str]
) -> Iterator[tuple[bool, Finding]]:
    """base: where the graph without its deltas leaks already."""
    split, graph = view.split, view.graph
    fine = _prints(split.train)
    bad = _prints(split.source)
    if view.name == "train":
        bad |= _prints(split.train_valid)
    else:
        fine |= _prints(split.train_valid)
    bad -= fine
    before = {d.uid for d in split.source.deltas}
    every = list({d.uid: d for d in (*graph.deltas, *deltas)}.values())
    for delta in every:
        hits, named = proposed(view, delta.edges)
        where = repr(delta)
        hidden, _ = proposed(view, delta.masks)
        if len(hidden):
            yield (
                True,
                view.finding(
                    "generated", where, f"its masks name {len(hidden)} held-out pairs", hidden
                ),
            )
        gone = _gone(view, delta)
        if gone:
            why = (
                f"it names {len(gone)} nodes that left with held-out pairs, such as "
                f"{', '.join(gone[:3])}"
            )
            yield True, Finding("generated", where, view.name, why, len(gone))
        sure = (
            len(hits) > 0
            and len(hits) >= 0.5 * named
            and (by_chance(view, len(hits), named) < 1e-2 or len(hits) == named)
        )
        if set(delta.fitted_on) & bad:
            why = (
                "it was fitted on a graph that holds the held-out pairs; it proposes "
                f"{len(hits)} of them"
            )
            yield True, view.finding("generated", where, why, hits)
        elif not delta.fitted_on or set(delta.fitted_on) - fine:
            when = "was applied before the split, and " if delta.uid in before else ""
            why = (
                f"it {when}does not say that it was fitted on {view.name}; {len(hits)} of the "
                f"{named} new pairs proposed are held out"
            )
            yield sure, view.finding("generated", where, why, hits)
            for finding in _content(view, delta, every):
                if finding.where not in base:
                    why = (
                        f"by {where}, which does not say that it was fitted on {view.name}: "
                        f"{finding.why}"
                    )
                    yield True, renamed(finding, kind="generated", why=why)
        elif sure and len(hits) >= 5 and by_chance(view, len(hits), named) < 1e-9:
            why = (
                f"it says that it was fitted on {view.name}, yet {len(hits)} of its {named} "
                "new pairs are held out"
            )
            yield False, view.finding("generated", where, why, hits)


def _prints(hin: HIN) -> set[str]:
    """Fingerprints of a graph without, and with the first, its first two, ... deltas."""
    return {
        HIN(hin._nodes, hin._edges, hin.deltas[:k]).fingerprint()
        for k in range(len(hin.deltas) + 1)
    }


def _gone(view: View, delta: Delta) -> list[str]:
    """Ids in a delta that the source has and this graph lost."""
    names: dict[str, list[pa.Array]] = {}
    for part, type, table in delta.tables():
        if part in ("edges", "masks"):
            for side, node in (("src", type[0]), ("dst", type[2])):
                names.setdefault(node, []).append(tb.one_chunk(table[side]))
        else:
            names.setdefault(type if part == "nodes" else type[0], []).append(
                tb.one_chunk(table["id"])
            )
    out = []
    for node, parts in names.items():
        if node in view.source.nodes and node in view.observed.nodes:
            ids = pc.unique(pa.concat_arrays(parts))
            lost = (tb.lookup(view.source.nodes[node]["id"].chunk(0), ids) >= 0) & (
                tb.lookup(tb.one_chunk(view.observed.nodes[node]["id"]), ids) < 0
            )
            out += ids.filter(pa.array(lost)).to_pylist()
    return out


def _content(view: View, delta: Delta, every: list[Delta]) -> list[Finding]:
    """What the graph with this delta on gives away by its rows and values."""
    hin = view.observed
    try:
        hin = hin + delta
    except SchemaError:
        try:  # it may stand on another one
            for other in every:
                hin = hin + other
        except SchemaError:
            return []
    seen = view.on(hin)
    out = [
        f for look in (ways.joins, ways.clones, texts.look) for certain, f in look(seen) if certain
    ]
    cells = {(type, name) for type, name in delta.values}
    cells |= {(type, c) for type, table in delta.nodes.items() for c in table.column_names}
    if delta.values:
        out += [f for certain, f in columns.look(seen, only=cells) if certain]
    return out
