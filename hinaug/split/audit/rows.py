"""Rows that give held-out pairs away: direct edges, what is left of witnesses, the future, rows
that the source lacks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import stats

from hinaug.graph import arrow as tb
from hinaug.graph.evidence import late_rows, times_of
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import PairIndex
from hinaug.graph.schema import EdgeType, Type
from hinaug.split.audit.view import Finding, View, _member, judge, title
from hinaug.split.audit.ways import ways_of, ways_of_source

MOMENT = re.compile(
    r"(^|_)(time|date|timestamp|datetime|day|created|updated|modified|ts)(_|$)|_at$|time$|date$"
)


def direct(view: View) -> Iterator[tuple[bool, Finding]]:
    """Edges between the very ends, in either direction."""
    graph, target = view.observed, view.target
    for edge in graph.edges:
        src, dst = graph.links(edge)
        for forward in (True, False):
            ends = (edge[0], edge[2]) if forward else (edge[2], edge[0])
            if ends != (view.a, view.b):
                continue
            codes = np.unique(view.codes(src, dst) if forward else view.codes(dst, src))
            codes = codes[codes >= 0]
            hits = codes[_member(codes, view.held)]
            new = int((~_member(codes, view.known)).sum())
            if len(hits):
                kind = "pair" if edge == target and forward else "twin" if forward else "reverse"
                why = f"{len(hits)} held-out pairs stand in it, among {new} beyond the known ones"
                made = (
                    lineage(view, edge) == "aggregate"
                    and edge not in view.source.edges
                    and len(hits) < 0.5 * new
                )
                if made:  # predictions may hit by skill
                    why += (
                        "; declared derived, which of them were derived from held-out pairs "
                        "cannot be told"
                    )
                yield not made, view.finding(kind, title(edge), why, hits)
            elif (
                edge != target
                and len(codes)
                and new == len(codes)
                and _never_true(view, edge, forward)
            ):
                everything = view.shape[0] * view.shape[1] - len(view.known) - len(view.held)
                rate = min(new / max(everything, 1), 1 - 1e-12)
                if rate >= 0.5 and len(view.held) * np.log1p(-rate) < np.log(1e-6):
                    why = (
                        f"it holds {100 * rate:.0f} % of all other pairs and not one true "
                        "one: what it lacks is held out"
                    )
                    yield True, Finding("complement", title(edge), view.name, why, len(view.held))


def _never_true(view: View, edge: EdgeType, forward: bool) -> bool:
    """Whether no pair of this relation is one of the target in the source either (the split takes
    twins of held-out pairs).
    """
    if edge not in view.source.edges:
        return True
    src, dst = view.source.links(edge) if forward else view.source.links(edge)[::-1]
    return not view.source_pairs.contains(src, dst).any()


def lineage(view: View, edge: EdgeType) -> str | None:
    return (view.observed.edges[edge].schema.metadata or {}).get(tb.LINEAGE, b"").decode() or None


def remnants(view: View) -> Iterator[tuple[bool, Finding]]:
    """Nodes that joined held-out pairs, and nothing else, in the source: still there, though their
    edges may be gone.
    """
    there, here = ways_of_source(view), ways_of(view)
    for node in view.observed.nodes:
        if node in (view.a, view.b) or node not in view.source.nodes:
            continue
        move = view.move(node)
        left_over = np.zeros(view.source.n(node), bool)
        left_over[move[move >= 0]] = True
        told = np.zeros(0, np.int64)
        for one in here[view.a].get(node, []):
            for two in here[view.b].get(node, []):
                verdict = judge(view, one.matrix, two.matrix, one.weak or two.weak)
                told = told if verdict is None else np.union1d(told, verdict.codes)
        for one in there[view.a].get(node, []):
            for two in there[view.b].get(node, []):
                if one.weak or two.weak or one.steps > 2 or two.steps > 2:
                    continue
                whole = judge(view, one.matrix, two.matrix)
                if whole is None or not whole.certain or whole.kind:
                    continue
                a, b = one.matrix.tocsr(), two.matrix.tocsr()
                single = (np.diff(a.indptr) == 1) & (np.diff(b.indptr) == 1)
                rows = np.flatnonzero(single & left_over)
                codes = view.pair_codes(a.indices[a.indptr[rows]], b.indices[b.indptr[rows]])
                hits = np.unique(codes[_member(codes, view.held)])
                hits = np.setdiff1d(hits, told)
                if len(hits):
                    told = np.union1d(told, hits)
                    why = (
                        f"{len(hits)} nodes joined held-out pairs in the source and are still "
                        "here, with what they say"
                    )
                    yield True, view.finding("remnant", node, why, hits)


def added(view: View) -> Iterator[tuple[bool, Finding]]:
    """Rows of a type of the source that the source does not have: nothing says where they come
    from.
    """
    graph, source = view.observed, view.source
    for node in graph.nodes:
        if node in source.nodes:
            new = int((view.move(node) < 0).sum())
            if new:
                why = f"{new} nodes are not in the source; where they come from is unknown"
                yield False, Finding("added", node, view.name, why, new)
    for edge in graph.edges:
        if edge not in source.edges or edge[0] not in source.nodes or edge[2] not in source.nodes:
            continue
        src, dst = (
            view.move(t)[p] for t, p in zip((edge[0], edge[2]), graph.links(edge), strict=True)
        )
        new = int((~PairIndex.of(source, edge).contains(src, dst)).sum())
        if new:
            why = (
                f"{new} rows join nodes that are not joined in the source; where they come "
                "from is unknown"
            )
            yield False, Finding("added", title(edge), view.name, why, new)


# ---- time ----------------------------------------------------------------------------------------


def future(view: View) -> Iterator[tuple[bool, Finding]]:
    how, graph = view.split.how, view.observed
    time = how.get("time")
    if not time or time not in view.source.table(view.target).column_names:
        return
    cuts = how.get("cuts")
    if cuts:
        yield from _after_cut(view, time, cuts[0 if view.name == "train" else 1])
        return
    limit = _held_times(view, time)
    inverse = np.full(graph.n(view.a), np.inf)
    move = view.move(view.a)
    inverse[move >= 0] = limit[move[move >= 0]]
    for edge in graph.edges:
        if view.a not in (edge[0], edge[2]):
            continue
        late = np.zeros(graph.n(edge), bool)
        for column in dict.fromkeys(
            [time, *_moments(graph, edge), *_moments(graph, edge[0]), *_moments(graph, edge[2])]
        ):
            late |= late_rows(graph, edge, column, (view.a, view.b), inverse)
        if late.any():
            why = f"{int(late.sum())} rows are later than a held-out pair of the same {view.a}"
            rows = np.flatnonzero(late)[:5]
            ends = [graph.nodes[t]["id"].chunk(0) for t in (edge[0], edge[2])]
            some = tuple(
                (ends[0][int(s)].as_py(), ends[1][int(d)].as_py())
                for s, d in zip(*(p[rows] for p in graph.links(edge)), strict=True)
            )
            yield True, Finding("future", title(edge), view.name, why, int(late.sum()), some)


def _after_cut(view: View, time: str, cut: float) -> Iterator[tuple[bool, Finding]]:
    graph = view.observed
    lowest = float(times_of(view.source, view.target, time).min(initial=np.inf))
    for type in [*graph.edges, *graph.nodes]:
        other = (
            [] if type in (view.a, view.b) else _moments(graph, type)
        )  # a release date is no event
        for column in dict.fromkeys(
            [time, *other] if time in graph.table(type).column_names else other
        ):
            when = times_of(graph, type, column)
            latest = np.where(np.isnan(when), -np.inf, when).max(initial=-np.inf)
            if column != time and latest > cut + 20 * max(cut - lowest, 1):
                continue  # in another unit
            late, unsaid = int((when > cut).sum()), int(np.isnan(when).sum())
            where = title(type) if column == time else f"{title(type)}.{column}"
            if late:
                why = f"{late} rows are later than the cut at {cut:g}"
                yield True, Finding("future", where, view.name, why, late)
            elif unsaid and column == time and type not in (view.a, view.b):
                why = (
                    f"{unsaid} rows have no time; whether they lie after the cut at {cut:g} "
                    "cannot be told"
                )
                yield False, Finding("future", where, view.name, why, unsaid)


def _moments(graph: HIN, type: Type) -> list[str]:
    """Columns that look like moments."""
    out = []
    for field in graph.table(type).schema:
        if pa.types.is_timestamp(field.type) or (
            MOMENT.search(field.name.lower())
            and (tb.is_number(field.type) or pa.types.is_date(field.type))
            and not pa.types.is_boolean(field.type)
        ):
            out.append(field.name)
    return out


def _held_times(view: View, time: str) -> np.ndarray:
    """The last moment that each user's graph may know: when the first held-out pair of the user was
    first seen.
    """
    when = times_of(view.source, view.target, time)
    rows = _member(view.source_codes, view.held)
    pairs, at = np.unique(view.source_codes[rows], return_inverse=True)
    first = np.full(len(pairs), np.inf)
    np.minimum.at(first, at, when[rows])
    limit = np.full(view.shape[0], np.inf)
    np.minimum.at(limit, view.ends(pairs)[0], first)
    return limit


# ---- generated rows ------------------------------------------------------------------------------


def proposed(view: View, tables: Any) -> tuple[np.ndarray, int]:
    """Held-out pairs among these edge tables by external id, and the number of pairs beyond the
    known ones.
    """
    found = [
        c for c in (_pair_codes(view, edge, rows) for edge, rows in tables.items()) if c is not None
    ]
    codes = np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)
    codes = codes[(codes >= 0) & ~_member(codes, view.known)]
    return codes[_member(codes, view.held)], len(codes)


def by_chance(view: View, hits: int, named: int) -> float:
    return float(stats.binom.sf(hits - 1, max(named, 1), view.base_rate))


def _pair_codes(view: View, edge: EdgeType, rows: pa.Table) -> np.ndarray | None:
    ends = [("src", "dst")] if (edge[0], edge[2]) == (view.a, view.b) else []
    ends += [("dst", "src")] if (edge[2], edge[0]) == (view.a, view.b) else []
    codes = []
    for a, b in ends:
        s = tb.lookup(view.source.nodes[view.a]["id"].chunk(0), tb.one_chunk(rows[a]))
        d = tb.lookup(view.source.nodes[view.b]["id"].chunk(0), tb.one_chunk(rows[b]))
        codes.append(view.pair_codes(s, d))
    return np.concatenate(codes) if codes else None
