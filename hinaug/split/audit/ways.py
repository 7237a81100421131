"""Ways from the rows of a table to the two ends of a pair: over edges, and over columns that name
nodes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy import stats

from hinaug.graph.schema import PROVENANCE
from hinaug.split.audit.ids import PROSE, ids_in
from hinaug.split.audit.view import (
    Finding,
    Verdict,
    View,
    _member,
    capped,
    changed,
    judge,
    times,
    title,
)

STEPS, MOST = 3, 12


@dataclass(frozen=True)
class Way:
    """path: node types from the table's own neighbour to the end. column: where an id is named, ""
    for edges alone.
    """

    path: tuple[str, ...]
    matrix: sp.csr_array
    weak: bool = False
    column: str = ""
    how: str = ""
    steps: int = 1


def ways_of(view: View) -> dict[str, dict[str, list[Way]]]:
    """{end: {node type: ways to that end}}, over up to three edges and at most one column; never
    through an end.
    """
    if view._ways is None:
        view._ways = {end: _ways_to(view, end) for end in (view.a, view.b)}
    return view._ways


def ways_of_source(view: View) -> dict[str, dict[str, list[Way]]]:
    if "ways" not in view.kept:
        view.kept["ways"] = ways_of(view.on(view.source))
    return view.kept["ways"]


def _ways_to(view: View, end: str) -> dict[str, list[Way]]:
    graph, n = view.observed, view.source.n(end)
    move = view.move(end)
    there = np.flatnonzero(move >= 0)
    identity = sp.csr_array(
        (np.ones(len(there), np.float32), (there, move[there])), shape=(len(move), n)
    )
    out: dict[str, list[Way]] = {}
    seen: set[tuple[str, bytes]] = set()
    _walk(view, end, [(end, Way((), identity, steps=0))], out, seen)
    seeds = []
    for node in graph.nodes:
        if node != end or view.a == view.b:
            for way in _named(view, node, end):
                mark = (node, _print(way.matrix))
                if mark not in seen:  # a column that only repeats the edges adds nothing
                    seen.add(mark)
                    out.setdefault(node, []).append(way)
                    seeds.append((node, way))
    _walk(
        view, end, [(node, way) for node, way in seeds if node not in (view.a, view.b)], out, seen
    )
    return out


def _walk(
    view: View, end: str, frontier: list[tuple[str, Way]], out: dict[str, list[Way]], seen: set
) -> None:
    graph = view.observed
    for _ in range(STEPS):
        following = []
        for node, way in frontier:
            for edge in graph.edges:
                for forward in (True, False):
                    here, other = (edge[0], edge[2]) if forward else (edge[2], edge[0])
                    again = here in way.path and not edge[0] == edge[2] == node
                    if (
                        other != node
                        or here in (view.a, view.b)
                        or again
                        or len(out.get(here, ())) >= MOST
                    ):
                        continue
                    step = graph.adjacency(edge) if forward else graph.adjacency(edge).T.tocsr()
                    matrix = times(step, way.matrix)
                    mark = (here, _print(matrix))
                    if matrix.nnz and mark not in seen:
                        seen.add(mark)
                        new = Way(
                            (node, *way.path), matrix, way.weak, way.column, way.how, way.steps + 1
                        )
                        following.append((here, new))
                        out.setdefault(here, []).append(new)
        frontier = following


def _print(matrix: sp.csr_array) -> bytes:
    matrix.sort_indices()
    return hashlib.blake2b(
        matrix.indptr.tobytes() + matrix.indices.tobytes(), digest_size=12
    ).digest()


def _named(view: View, type: Any, end: str) -> Iterator[Way]:
    """The columns of a table that name nodes of `end`."""
    for field in view.observed.table(type).schema:
        if field.name in ("src", "dst", *PROVENANCE) or (
            field.name == "id" and type in (view.a, view.b)
        ):
            continue
        for matrix, weak, how in _read(view, type, field.name, end):
            if matrix.nnz:
                yield Way((end,), capped(matrix), weak, f"{title(type)}.{field.name}", how)


def _read(view: View, type: Any, name: str, end: str) -> list[tuple[sp.csr_array, bool, str]]:
    """As `ids_in`; a column of nodes that came over from the source is read once, there."""
    source = view.source
    if (
        isinstance(type, tuple)
        or type not in source.nodes
        or name not in source.nodes[type].column_names
    ):
        return list(ids_in(view, type, name, end))
    move = view.move(type)
    if (move < 0).any() or changed(view, type, name):
        return list(ids_in(view, type, name, end))
    key = f"{type}.{name}.{end}"
    if key not in view.kept:
        view.kept[key] = list(ids_in(view.on(source), type, name, end))
    return [(matrix[move], weak, how) for matrix, weak, how in view.kept[key]]


def joins(view: View) -> Iterator[tuple[bool, Finding]]:
    """Rows of any table that lead to both ends of held-out pairs."""
    ways = ways_of(view)
    found: list[tuple[int, str, str, Verdict, str]] = []
    for node in view.observed.nodes:
        found += _at_nodes(view, node, ways)
    for edge in view.observed.edges:
        found += _at_edges(view, edge, ways)
    told: set[int] = set()
    done: set[str] = set()
    for _, kind, where, verdict, why in sorted(found, key=lambda f: (not f[3].certain, f[0])):
        new = verdict.codes[[c not in told for c in verdict.codes.tolist()]]
        if where in done or (len(verdict.codes) and not len(new) and kind == "path"):
            continue  # a longer path over the same witnesses adds nothing
        done.add(where)
        if kind == "path":
            told.update(new.tolist())
        yield (
            verdict.certain,
            view.finding(verdict.kind or kind, where, why, new if len(new) else verdict.codes),
        )


def _at_nodes(view: View, node: str, ways: dict[str, dict[str, list[Way]]]) -> Iterator:
    sides = []
    for end in (view.a, view.b):
        own = []
        if node == end:
            move = view.move(end)
            there = np.flatnonzero(move >= 0)
            shape = (len(move), view.source.n(end))
            own = [
                Way(
                    (),
                    sp.csr_array(
                        (np.ones(len(there), np.float32), (there, move[there])), shape=shape
                    ),
                    steps=0,
                )
            ]
        sides.append(own + ways[end].get(node, []))
    for left in sides[0]:
        for right in sides[1]:
            if not left.path and not right.path:
                continue
            if view.a == view.b and left.path == right.path and len(left.path) > 1:
                continue
            verdict = _judge(view, left, right)
            if verdict is None:
                continue
            steps = left.steps + right.steps
            if left.column or right.column:
                yield steps, "mention", *_mention(view, node, left, right, verdict)
            else:
                yield (
                    steps,
                    "path",
                    " ".join([*reversed(left.path), node, *right.path]),
                    verdict,
                    verdict.why,
                )


def _judge(view: View, left: Way, right: Way) -> Verdict | None:
    return judge(
        view, left.matrix, right.matrix, left.weak or right.weak, PROSE in (left.how, right.how)
    )


def _mention(
    view: View, node: str, left: Way, right: Way, verdict: Verdict
) -> tuple[str, Verdict, str]:
    where = " and ".join(dict.fromkeys(w.column for w in (left, right) if w.column))
    parts = [
        f"{w.column} holds {w.how} {end!r} nodes"
        if w.column
        else f"{node!r} leads to {end!r} by {' '.join(w.path)}"
        for w, end in ((left, view.a), (right, view.b))
        if w.path
    ]
    return where, verdict, f"{', and '.join(parts)}: {verdict.why}"


def _at_edges(view: View, edge: Any, ways: dict[str, dict[str, list[Way]]]) -> Iterator:
    """Columns of edges; what the edges' own ends say stands elsewhere."""
    sides = []
    for end in (view.a, view.b):
        own = list(_named(view, edge, end))
        through = []
        for positions, node in zip(view.observed.links(edge), (edge[0], edge[2]), strict=True):
            if node == end:
                moved = view.move(end)[positions]
                at = np.flatnonzero(moved >= 0)
                shape = (len(moved), view.source.n(end))
                through.append(
                    Way(
                        ("edge",),
                        sp.csr_array((np.ones(len(at), np.float32), (at, moved[at])), shape=shape),
                    )
                )
            else:
                through += [
                    Way(
                        ("edge", node, *w.path), w.matrix[positions], w.weak, "", w.how, w.steps + 1
                    )
                    for w in ways[end].get(node, [])
                    if not w.column
                ]
        sides.append((own, through))
    for left, right in [
        *((lo, ro) for lo in sides[0][0] for ro in sides[1][0]),
        *((lo, rt) for lo in sides[0][0] for rt in sides[1][1]),
        *((lt, ro) for lt in sides[0][1] for ro in sides[1][0]),
    ]:
        verdict = _judge(view, left, right)
        if verdict is not None:
            yield (
                left.steps + right.steps,
                "mention",
                *_mention(view, title(edge), left, right, verdict),
            )


def clones(view: View) -> Iterator[tuple[bool, Finding]]:
    """Copies of a user or item under another id, and edges such as "same as", that carry held-out
    pairs over.
    """
    graph, target = view.observed, view.target
    known = view.matrix(view.known)
    for edge in graph.edges:
        if (
            edge[0] != edge[2]
            or edge == target
            or edge[0] not in (view.a, view.b)
            or view.a == view.b
        ):
            continue
        move = view.move(edge[0])
        src, dst = (move[p] for p in graph.links(edge))
        ok = (src >= 0) & (dst >= 0) & (src != dst)
        n = view.source.n(edge[0])
        link = sp.csr_array((np.ones(int(ok.sum()), np.float32), (src[ok], dst[ok])), shape=(n, n))
        link = capped(link + link.T.tocsr())
        if not link.nnz or np.diff(link.indptr).max() > 8:  # "same as" is a narrow relation
            continue
        there = (link @ known if edge[0] == view.a else known @ link).tocoo()
        codes = np.unique(view.pair_codes(*there.coords))
        codes = codes[~_member(codes, view.known)]
        hits = codes[_member(codes, view.held)]
        if len(hits) >= 3 and len(hits) >= 0.5 * len(codes):
            p = stats.binom.sf(len(hits) - 1, len(codes), view.base_rate)
            if p < 1e-6:
                why = (
                    f"its two ends share nearly all pairs: {len(hits)} of {len(codes)} pairs "
                    "carried over are held out"
                )
                yield True, view.finding("clone", title(edge), why, hits)
    src, dst = graph.links(target)
    whole = view.matrix(np.union1d(view.known, view.held))
    for side, end in enumerate((view.a, view.b)):
        if view.a == view.b and side:
            break
        new = np.flatnonzero(view.move(end) < 0)
        if not len(new):
            continue
        mine, other = (src, dst) if side == 0 else (dst, src)
        row = np.full(graph.n(end), -1)
        row[new] = np.arange(len(new))
        column = view.move(view.b if side == 0 else view.a)[other]
        ok = (row[mine] >= 0) & (column >= 0)
        full = whole if side == 0 else whole.T.tocsr()
        profile = sp.csr_array(
            (np.ones(int(ok.sum()), np.float32), (row[mine][ok], column[ok])),
            shape=(len(new), full.shape[1]),
        )
        profile = capped(profile)
        shared = times(profile, full.T.tocsr()).tocsr() if profile.nnz else profile
        if not shared.nnz:
            continue
        shared = (profile @ full.T.tocsr()).tocoo()
        union = (
            np.diff(profile.indptr)[shared.coords[0]]
            + np.diff(full.indptr)[shared.coords[1]]
            - shared.data
        )
        like = np.flatnonzero((shared.data >= 0.8 * union) & (shared.data >= 2))
        hits = []
        for k in like:
            items = profile.indices[
                profile.indptr[shared.coords[0][k]] : profile.indptr[shared.coords[0][k] + 1]
            ]
            node = np.full(len(items), shared.coords[1][k])
            codes = view.pair_codes(node, items) if side == 0 else view.pair_codes(items, node)
            hits.append(codes[_member(codes, view.held)])
        codes = np.unique(np.concatenate(hits)) if hits else np.zeros(0, np.int64)
        if len(codes):
            why = (
                f"{len(new)} {end!r} nodes that the source does not have repeat profiles with "
                f"{len(codes)} held-out pairs"
            )
            yield True, view.finding("clone", title(target), why, codes)
