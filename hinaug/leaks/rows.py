"""Rows that give held-out pairs away: direct edges, paths over private nodes, the future, generated rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from scipy import stats

from hinaug import tables as tb
from hinaug.delta import Delta
from hinaug.hin import EdgeType
from hinaug.leaks.view import Finding, View, judge, no_hubs
from hinaug.split import _times

# ---- rows that join the two ends -------------------------------------------------------------------------------------


def direct(view: View) -> Iterator[Finding]:
    graph, target = view.observed, view.split.target
    for edge in graph.edges:
        src, dst = graph.links(edge)
        for forward in (True, False):
            ends = (edge[0], edge[2]) if forward else (edge[2], edge[0])
            if ends != (view.a, view.b) or (not forward and edge[0] == edge[2] and edge == target and view.a != view.b):
                continue
            codes = view.codes(src, dst) if forward else view.codes(dst, src)
            rows = np.isin(codes, view.held)
            if rows.any():
                hits = np.unique(codes[rows])
                kind = "pair" if edge == target and forward else "twin" if forward else "reverse"
                yield view.leak(
                    kind, " ".join(edge), f"{len(hits)} held-out pairs stand in {int(rows.sum())} rows", hits
                )


def paths(view: View) -> Iterator[Finding]:
    """Nodes between the ends. A row that names a user and an item names a pair, also over several private nodes."""
    graph = view.observed
    reach = {end: reach_of(view, end) for end in {view.a, view.b}}
    told: set[int] = set()
    found = []
    for node in graph.nodes:
        if node in (view.a, view.b):
            continue
        for path_a, left in reach[view.a].get(node, []):
            for path_b, right in reach[view.b].get(node, []):
                if view.a == view.b and path_a == path_b and len(path_a) + len(path_b) > 2:
                    continue
                where = " ".join([*reversed(path_a), node, *path_b])
                verdict = judge(view, left, right)
                if verdict is not None:
                    found.append((len(path_a) + len(path_b), where, *verdict))
    for _, where, hits, why in sorted(found, key=lambda f: f[0]):
        new = hits[[h not in told for h in hits.tolist()]]
        if len(new):  # a longer path over the same witnesses adds nothing
            told.update(new.tolist())
            yield view.leak("path", where, why, new)


def reach_of(view: View, end: str) -> dict[str, list[tuple[list[str], sp.csr_array]]]:
    """For each other node type, the ways to `end` in up to three steps; hubs are cut off at each step."""
    graph = view.observed
    n_source = view.source.n(end)
    move = view.moves[end]
    there = move >= 0
    identity = sp.csr_array(
        (np.ones(int(there.sum()), np.float32), (np.flatnonzero(there), move[there])), shape=(len(move), n_source)
    )
    frontier: list[tuple[str, list[str], sp.csr_array]] = [(end, [], identity)]
    out: dict[str, list[tuple[list[str], sp.csr_array]]] = {}
    for _ in range(3):
        following = []
        for node, path, ways in frontier:
            for edge in graph.edges:
                for forward in (True, False):
                    here, other = (edge[0], edge[2]) if forward else (edge[2], edge[0])
                    if (
                        other != node
                        or here in (view.a, view.b)
                        or (not forward and edge[0] == edge[2])
                        or here in path
                    ):
                        continue
                    step = graph.adjacency(edge) if forward else graph.adjacency(edge).T.tocsr()
                    product = no_hubs(no_hubs(step) @ ways)
                    if product.nnz:
                        following.append((here, [node, *path], product))
                        out.setdefault(here, []).append(([node, *path], product))
        frontier = following
    return out


# ---- time ------------------------------------------------------------------------------------------------------------


def future(view: View) -> Iterator[Finding]:
    how, graph = view.split.how, view.observed
    time = how.get("time")
    if not time:
        return
    cuts = how.get("cuts")
    for type in [*graph.edges, *graph.nodes]:
        table = graph.table(type)
        if time not in table.column_names:
            continue
        name = " ".join(type) if isinstance(type, tuple) else type
        when = _times(graph, type, time)
        if cuts:
            cut = cuts[0 if view.name == "train" else 1]
            late = int((when > cut).sum())
            if late:
                yield Finding("future", name, view.name, f"{late} rows are later than the cut at {cut:g}", late)
        elif isinstance(type, tuple) and view.a in (type[0], type[2]):
            src, dst = graph.links(type)
            user = view.moves[view.a][src if type[0] == view.a else dst]
            limit = _held_times(view, time)
            late = (user >= 0) & (when > limit[np.maximum(user, 0)])
            if late.any():
                why = f"{int(late.sum())} rows are later than a held-out pair of the same {view.a}"
                yield Finding("future", name, view.name, why, int(late.sum()))


def _held_times(view: View, time: str) -> np.ndarray:
    """The last moment that each user's graph may know: when the first held-out pair of the user was first seen."""
    src, dst = view.source.links(view.split.target)
    codes = src.astype(np.int64) * view.width + dst
    when = _times(view.source, view.split.target, time)
    rows = np.isin(codes, view.held)
    pairs, at = np.unique(codes[rows], return_inverse=True)
    first = np.full(len(pairs), np.inf)
    np.minimum.at(first, at, when[rows])
    limit = np.full(view.shape[0], np.inf)
    np.minimum.at(limit, pairs // view.width, first)
    return limit


# ---- generated rows --------------------------------------------------------------------------------------------------


def generated(view: View, deltas: tuple[Delta, ...]) -> Iterator[tuple[bool, Finding]]:
    split, graph = view.split, view.graph
    fine = {split.train.fingerprint(), split.train.observed().fingerprint()}
    if view.name == "train_valid":
        fine |= {split.train_valid.fingerprint(), split.train_valid.observed().fingerprint()}
    bad = {split.source.fingerprint(), split.source.observed().fingerprint()}
    if view.name == "train":
        bad |= {split.train_valid.fingerprint(), split.train_valid.observed().fingerprint()}
    bad -= fine
    before = {d.uid for d in split.source.deltas}
    for delta in {d.uid: d for d in (*graph.deltas, *deltas)}.values():
        hits, named = _proposed(view, delta)
        where = repr(delta)
        masked = [c for c in (_pair_codes(view, edge, rows) for edge, rows in delta.masks.items()) if c is not None]
        hidden = np.unique(np.concatenate(masked)) if masked else np.zeros(0, np.int64)
        hidden = hidden[np.isin(hidden, view.held)]
        if len(hidden):
            yield True, view.leak("generated", where, f"its masks name {len(hidden)} held-out pairs", hidden)
        if set(delta.fitted_on) & bad:
            why = f"it was fitted on a graph that holds the held-out pairs; it proposes {len(hits)} of them"
            yield True, view.leak("generated", where, why, hits)
        elif not delta.fitted_on or set(delta.fitted_on) - fine:
            p = stats.binom.sf(len(hits) - 1, max(named, 1), min(view.base_rate, 1))
            certain = len(hits) > 0 and len(hits) / named >= 0.5 and (p < 1e-2 or len(hits) == named)
            when = "was applied before the split, and " if delta.uid in before else ""
            why = f"it {when}does not say that it was fitted on {view.name}; {len(hits)} of the {named} new pairs proposed are held out"
            yield certain, view.leak("generated", where, why, hits)


def _proposed(view: View, delta: Delta) -> tuple[np.ndarray, int]:
    found = [c for c in (_pair_codes(view, edge, rows) for edge, rows in delta.edges.items()) if c is not None]
    codes = np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)
    codes = codes[(codes >= 0) & ~np.isin(codes, view.known)]
    return codes[np.isin(codes, view.held)], len(codes)


def _pair_codes(view: View, edge: EdgeType, rows: pa.Table) -> np.ndarray | None:
    ends = [("src", "dst")] if (edge[0], edge[2]) == (view.a, view.b) else []
    ends += [("dst", "src")] if (edge[2], edge[0]) == (view.a, view.b) else []
    codes = []
    for a, b in ends:
        s = tb.lookup(view.source.nodes[view.a]["id"].chunk(0), rows[a].chunk(0)).astype(np.int64)
        d = tb.lookup(view.source.nodes[view.b]["id"].chunk(0), rows[b].chunk(0))
        codes.append(np.where((s >= 0) & (d >= 0), s * view.width + d, -1))
    return np.concatenate(codes) if codes else None
