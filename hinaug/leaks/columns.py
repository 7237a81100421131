"""Columns and derived edges that give held-out pairs away, or that cannot be told from such."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from scipy import stats

from hinaug import tables as tb
from hinaug.hin import EdgeType
from hinaug.leaks.rows import reach_of
from hinaug.leaks.view import Finding, View, judge

TOKEN = r"[^\w\-]+"


def look(view: View) -> Iterator[tuple[bool, Finding]]:
    """(certain, finding) for every column and every derived edge type of the graph."""
    named = dict(_mentions(view))
    named |= {where: finding for where, finding in _texts(view) if where not in named}
    sides = {end: _Aggregates(view, end) for end in {view.a, view.b}}
    graph = view.observed
    for type in [*graph.nodes, *graph.edges]:
        table = graph.table(type)
        title = " ".join(type) if isinstance(type, tuple) else type
        unknown = []
        for field in table.schema:
            if field.name in ("id", "src", "dst"):
                continue
            where = f"{title}.{field.name}"
            if where in named:
                yield True, named[where]
                continue
            why = _equals_aggregate(view, sides, type, field.name)
            lineage = tb.lineage_of(field)
            if why is None and lineage == "aggregate" and _as_before(view, type, field.name):
                why = "it is declared an aggregate, and was computed before the split"
            if why is not None:
                yield True, Finding("aggregate", where, view.name, why)
            elif lineage is None:
                unknown.append(field.name)
        if unknown:
            why = "lineage unknown; declare it with from_tables(..., lineage=...) or with_column(..., lineage=...)"
            yield False, Finding("column", f"{title}: {', '.join(unknown)}", view.name, why, len(unknown))
    yield from _derived(view)


# ---- a column that names the other end -------------------------------------------------------------------------------


def _mentions(view: View) -> Iterator[tuple[str, Finding]]:
    graph = view.observed
    reach = {end: reach_of(view, end) for end in {view.a, view.b}}
    for type in [*graph.nodes, *graph.edges]:
        table = graph.table(type)
        if not table.num_rows:
            continue
        title = " ".join(type) if isinstance(type, tuple) else type
        touch = {end: _touches(view, type, end, reach) for end in {view.a, view.b}}
        named: dict[str, list[tuple[str, sp.csr_array, bool]]] = {view.a: [], view.b: []}
        for field in table.schema:
            if field.name in ("src", "dst") or (field.name == "id" and type in (view.a, view.b)):
                continue
            for end in {view.a, view.b}:
                if type != end or view.a == view.b:
                    found = _ids_in(view, table[field.name], end)
                    if found is not None:
                        named[end].append((field.name, *found))
        for end, other in ((view.a, view.b), (view.b, view.a)):
            for name, matrix, weak in named[end]:
                ways = [(path, m, False) for path, m in touch[other]] + [
                    (f"its column {c}", m, w) for c, m, w in named[other]
                ]
                for path, partner, also_weak in ways:
                    left, right = (matrix, partner) if end == view.a else (partner, matrix)
                    verdict = judge(view, left, right, weak=weak or also_weak)
                    if verdict is not None:
                        where = f"{title}.{name}"
                        why = f"it holds ids of {end!r} nodes, and its rows lead to {other!r} by {path}: {verdict[1]}"
                        yield where, view.leak("mention", where, why, verdict[0])


def _touches(view: View, type: Any, end: str, reach: dict) -> list[tuple[str, sp.csr_array]]:
    """How rows of a table lead to one end: themselves, their edges' ends, or paths."""
    graph, n = view.observed, view.source.n(end)

    def rows(positions: np.ndarray) -> sp.csr_array:
        moved = view.moves[end][positions]
        at = np.flatnonzero(moved >= 0)
        return sp.csr_array((np.ones(len(at), np.float32), (at, moved[at])), shape=(len(positions), n))

    if isinstance(type, str):
        own = [("being one", rows(np.arange(graph.n(type))))] if type == end else []
        return own + [(" ".join(path), m) for path, m in reach[end].get(type, [])]
    out = []
    for positions, node in zip(graph.links(type), (type[0], type[2]), strict=True):
        if node == end:
            out.append(("its edge", rows(positions)))
        else:
            out += [(" ".join([node, *path]), m[positions]) for path, m in reach[end].get(node, [])]
    return out


def _ids_in(view: View, column: pa.ChunkedArray, end: str) -> tuple[sp.csr_array, bool] | None:
    """Which nodes of `end` each row's value names, and whether the match may be by accident."""
    ids = view.source.nodes[end]["id"].chunk(0)
    values = tb.one_chunk(column)
    kind = values.type
    if pa.types.is_dictionary(kind):
        values, kind = values.dictionary_decode(), kind.value_type
    numeric_ids = all(re.fullmatch(r"\d{1,7}", i) for i in ids.slice(0, 50).to_pylist())
    if pa.types.is_integer(kind) or (pa.types.is_floating(kind) and numeric_ids):
        if not numeric_ids:
            return None
        whole = (
            values
            if pa.types.is_integer(kind)
            else pc.if_else(pc.equal(pc.round(values), values), values, None).cast(pa.int64(), safe=False)
        )
        row, tokens = np.arange(len(values)), whole.cast(pa.string())
    elif tb.is_text(kind):
        lists = pc.split_pattern_regex(values.cast(pa.string()), TOKEN)
        row, tokens = pc.list_parent_indices(lists).to_numpy(), pc.list_flatten(lists)
        row, tokens = np.r_[row, np.arange(len(values))], pa.concat_arrays([tokens, values.cast(pa.string())])
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        if not (tb.is_text(kind.value_type) or pa.types.is_integer(kind.value_type)):
            return None
        row, tokens = pc.list_parent_indices(values).to_numpy(), pc.list_flatten(values).cast(pa.string())
    else:
        return None
    found = tb.lookup(ids, tokens)
    at = found >= 0
    if not at.any():
        return None
    matrix = sp.csr_array((np.ones(int(at.sum()), np.float32), (row[at], found[at])), shape=(len(values), len(ids)))
    matrix.sum_duplicates()
    return matrix, numeric_ids


def _texts(view: View) -> Iterator[tuple[str, Finding]]:
    """The text of a held-out row (its own, or its witness's) inside a column of its user or its item."""
    held = _held_texts(view)
    if not held:
        return
    graph = view.observed
    for end in dict.fromkeys((view.a, view.b)):
        back = np.full(view.source.n(end), -1)
        inside = view.moves[end] >= 0
        back[view.moves[end][inside]] = np.flatnonzero(inside)
        for field in graph.nodes[end].schema:
            if field.name == "id" or not tb.is_text(field.type):
                continue
            texts = graph.nodes[end][field.name].to_pylist()
            hits = []
            for code, text in held:
                row = back[code // view.width if end == view.a else code % view.width]
                if row >= 0 and texts[row] is not None and text in texts[row]:
                    hits.append(code)
            if hits:
                where = f"{end}.{field.name}"
                yield (
                    where,
                    view.leak("text", where, f"it contains the texts of {len(hits)} held-out rows", np.unique(hits)),
                )


def _held_texts(view: View) -> list[tuple[int, str]]:
    """(pair code, text of at least 20 characters) of every held-out row and of the nodes that left with it."""
    source, out = view.source, []
    src, dst = source.links(view.split.target)
    codes = src.astype(np.int64) * view.width + dst
    rows = np.flatnonzero(np.isin(codes, view.held))
    table = source.edges[view.split.target]
    for field in table.schema:
        if tb.is_text(field.type):
            out += list(zip(codes[rows].tolist(), table[field.name].take(pa.array(rows)).to_pylist(), strict=True))
    for node in view.split.evidence:
        gone = np.flatnonzero(
            tb.lookup(view.observed.nodes[node]["id"].chunk(0), source.nodes[node]["id"].chunk(0)) < 0
        )
        pair = _witnessed(view, node)
        for field in source.nodes[node].schema:
            if field.name != "id" and tb.is_text(field.type):
                texts = source.nodes[node][field.name].take(pa.array(gone)).to_pylist()
                out += [
                    (int(pair[g]), text) for g, text in zip(gone, texts, strict=True) if np.isin(pair[g], view.held)
                ]
    return [(code, text) for code, text in out if text is not None and len(text.strip()) >= 20]


def _witnessed(view: View, node: str) -> np.ndarray:
    """The pair that each witness of the source stands for; -1 where it is not one pair."""
    from hinaug.split import _touch

    a, b = _touch(view.source, node, view.a), _touch(view.source, node, view.b)
    one = (np.diff(a.indptr) == 1) & (np.diff(b.indptr) == 1)
    out = np.full(view.source.n(node), -1, np.int64)
    out[one] = a.indices[a.indptr[:-1][one]].astype(np.int64) * view.width + b.indices[b.indptr[:-1][one]]
    return out


# ---- a column that equals an aggregate of the whole source -----------------------------------------------------------


class _Aggregates:
    """Counts, sums, means, ... of the target rows (and of their witnesses) per node of one end: source against graph."""

    def __init__(self, view: View, end: str) -> None:
        self.view, self.end = view, end
        self.source, self.graph = (dict(self._all(hin)) for hin in (view.source, view.observed))

    def _all(self, hin: Any) -> Iterator[tuple[str, np.ndarray]]:
        view, end = self.view, self.end
        n, side = view.source.n(end), 0 if end == view.a else 1
        move = None if hin is view.source else view.moves
        ends = hin.links(view.split.target)
        at = ends[side] if move is None else move[end][ends[side]]
        yield from _grouped(at, n, hin.edges[view.split.target], "rows")
        other_end = view.b if side == 0 else view.a
        for field in hin.nodes[other_end].schema:  # a user's mean item vector, an item's mean user age
            if tb.is_vector(field.type):
                yield (
                    f"mean of {other_end}.{field.name}",
                    _mean(at, n, hin.vectors(other_end, field.name, fill=0.0)[ends[1 - side]]),
                )
        for node in hin.nodes:
            if node in (view.a, view.b) or node not in (*view.split.evidence,):
                continue
            from hinaug.split import _touch

            touch = _touch(hin, node, end).tocoo()
            row, col = touch.coords
            col = col if move is None else move[end][col]
            yield from _grouped(col, n, hin.nodes[node].take(pa.array(row)), node)

    def match(self, values: np.ndarray) -> str | None:
        """The aggregate over the source that `values` [n] or [n, d] (by source position, NaN unknown) equals, if any."""
        for name, whole in self.source.items():
            part = self.graph.get(name)
            if part is None or whole.ndim != values.ndim or whole.shape != values.shape:
                continue
            found = _same_vectors(values, whole, part) if values.ndim == 2 else _same_numbers(values, whole, part)
            if found:
                return f"it equals the {name} over the whole source, held-out rows included{found}"
        return None


def _grouped(at: np.ndarray, n: int, table: pa.Table, what: str) -> Iterator[tuple[str, np.ndarray]]:
    ok = at >= 0
    at = at[ok]
    count = np.bincount(at, minlength=n).astype(np.float64)
    yield f"number of {what}", count
    for field in table.schema:
        if field.name in ("id", "src", "dst"):
            continue
        if tb.is_vector(field.type):
            column = tb.one_chunk(table[field.name])
            filled = np.nan_to_num(_vectors(column))[ok]
            yield f"mean of {what} {field.name}", _mean(at, n, filled)
        elif tb.is_number(field.type):
            numbers = tb.one_chunk(table[field.name]).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)[ok]
            good = ~np.isnan(numbers)
            a, v = at[good], numbers[good]
            size = np.bincount(a, minlength=n)
            total = np.bincount(a, v, minlength=n)
            with np.errstate(invalid="ignore", divide="ignore"):
                mean = total / size
                yield f"sum of {what} {field.name}", total
                yield f"mean of {what} {field.name}", mean
                deviation = np.sqrt(np.maximum(np.bincount(a, (v - mean[a]) ** 2, minlength=n) / size, 0))
                yield f"standard deviation of {what} {field.name}", deviation
            for word, ufunc, start in (("maximum", np.maximum, -np.inf), ("minimum", np.minimum, np.inf)):
                best = np.full(n, start)
                ufunc.at(best, a, v)
                yield f"{word} of {what} {field.name}", np.where(np.isinf(best), np.nan, best)


def _mean(at: np.ndarray, n: int, vectors: np.ndarray) -> np.ndarray:
    ok = at >= 0
    pool = sp.csr_array((np.ones(int(ok.sum()), np.float32), (at[ok], np.flatnonzero(ok))), shape=(n, len(at)))
    size = np.diff(pool.indptr)
    return (pool @ vectors) / np.maximum(size, 1)[:, None]


def _vectors(column: pa.Array) -> np.ndarray:
    width = column.type.list_size
    out = np.full((len(column), width), np.nan, np.float32)
    valid = ~column.is_null().to_numpy(zero_copy_only=False)
    out[valid] = pc.list_flatten(column).to_numpy(zero_copy_only=False).reshape(-1, width)
    return out


def _same_numbers(values: np.ndarray, whole: np.ndarray, part: np.ndarray) -> str | None:
    """Equal, or a monotone function (log, share, rank, z-score), of the source's aggregate where that differs from the graph's."""
    differ = ~np.isclose(whole, part, equal_nan=True)
    moved = differ & ~np.isnan(values) & ~np.isnan(whole)
    if not moved.any():
        return None
    if (
        np.isclose(values[moved], whole[moved], rtol=1e-3, atol=1e-6).mean() > 0.9
        and len(np.unique(whole[moved])) + len(np.unique(whole)) > 2
    ):
        return ""
    usable = ~np.isnan(values) & ~np.isnan(whole)
    if usable.sum() < 8 or len(np.unique(values[usable])) < 4 or len(np.unique(whole[usable])) < 4:
        return None
    with_source = abs(stats.spearmanr(values[usable], whole[usable]).statistic)
    also = usable & ~np.isnan(part)
    with_graph = abs(stats.spearmanr(values[also], part[also]).statistic) if len(np.unique(part[also])) > 1 else 0.0
    return " (as a monotone function of it)" if with_source > 0.9995 and with_source > with_graph + 1e-6 else None


def _same_vectors(values: np.ndarray, whole: np.ndarray, part: np.ndarray) -> str | None:
    differ = ~np.isclose(whole, part, atol=1e-5).all(axis=1)
    moved = differ & ~np.isnan(values).any(axis=1) & (np.linalg.norm(whole, axis=1) > 0)
    if not moved.any():
        return None
    near = [_cosine(values[moved], other[moved]) for other in (whole, part)]
    return "" if np.median(near[0]) > 0.9999 and (near[0] > near[1]).mean() > 0.5 else None


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-12)


def _equals_aggregate(view: View, sides: dict[str, _Aggregates], type: Any, name: str) -> str | None:
    graph = view.observed
    column = tb.one_chunk(graph.table(type)[name])
    if (
        not (tb.is_number(column.type) or tb.is_vector(column.type))
        or pa.types.is_boolean(column.type)
        or not len(column)
    ):
        return None
    values = (
        _vectors(column)
        if tb.is_vector(column.type)
        else column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    )
    if isinstance(type, str):
        rows = [(type, np.arange(len(column)))] if type in (view.a, view.b) else []
    else:
        rows = [
            (node, positions)
            for node, positions in zip((type[0], type[2]), graph.links(type), strict=True)
            if node in (view.a, view.b)
        ]
    for end, positions in rows:
        per_node = np.full((view.source.n(end), *values.shape[1:]), np.nan)
        moved = view.moves[end][positions]
        ok = moved >= 0
        per_node[moved[ok]] = values[ok]
        if isinstance(type, tuple) and (
            values.ndim == 2
            or not np.array_equal(per_node[moved[ok]], values[ok], equal_nan=True)
            or len(np.unique(moved[ok])) == ok.sum()
        ):
            continue  # differs between the edges of one node, or cannot be told to be a node's own
        found = sides[end].match(per_node)
        if found:
            return found
    return None


def _as_before(view: View, type: Any, name: str) -> bool:
    """Whether a column came over from the source: its values there, row by row or as far as they stand."""
    source = view.source
    if (
        type not in (source.edges if isinstance(type, tuple) else source.nodes)
        or name not in source.table(type).column_names
    ):
        return False
    here, there = view.observed.table(type), source.table(type)
    if isinstance(type, tuple):
        return (
            bool(pc.all(pc.is_in(here[name], value_set=pc.unique(there[name]))).as_py())
            if tb.is_number(here[name].type)
            else True
        )
    at = tb.lookup(there["id"].chunk(0), here["id"].chunk(0))
    return bool(here[name].filter(pa.array(at >= 0)).equals(there[name].take(pa.array(at[at >= 0]))))


# ---- edges derived from behaviour ------------------------------------------------------------------------------------


def _derived(view: View) -> Iterator[tuple[bool, Finding]]:
    graph = view.observed
    for edge in graph.edges:
        if {edge[0], edge[2]} == {view.a, view.b} or edge == view.split.target:
            continue
        lineage = (graph.edges[edge].schema.metadata or {}).get(tb.LINEAGE, b"").decode() or None
        title = " ".join(edge)
        why = _co_occurrence(view, edge) if edge[0] == edge[2] and edge[0] in (view.a, view.b) else None
        if why:
            yield True, Finding("derived edges", title, view.name, why, graph.n(edge))
        elif (
            lineage == "aggregate"
            and edge in view.source.edges
            and graph.n(edge)
            and graph.n(edge) == view.source.n(edge)
        ):
            yield (
                True,
                Finding(
                    "derived edges",
                    title,
                    view.name,
                    "they are declared an aggregate, and were computed before the split",
                    graph.n(edge),
                ),
            )
        elif lineage is None and graph.n(edge):
            why = "how these edges came about is unknown; declare it with lineage=... if each was recorded by itself"
            yield False, Finding("edges", title, view.name, why, graph.n(edge))


def _co_occurrence(view: View, edge: EdgeType) -> str | None:
    """Whether edges among users (or items) follow what they share in the source, held-out pairs included."""
    end = edge[0]
    b = view.source.adjacency(view.split.target)
    b = b if end == view.a else b.T.tocsr()
    degree = np.diff(b.T.tocsr().indptr).astype(np.int64)
    if (degree**2).sum() > 3e8:
        return None
    known = sp.csr_array(
        (np.ones(len(view.known), np.float32), (view.known // view.width, view.known % view.width)), shape=view.shape
    )
    known = known if end == view.a else known.T.tocsr()
    src, dst = (view.moves[end][s] for s in view.observed.links(edge))
    ok = (src >= 0) & (dst >= 0) & (src != dst)
    src, dst = src[ok], dst[ok]
    if not len(src):
        return None
    whole, part = _off_diagonal(b @ b.T), _off_diagonal(known @ known.T)
    at_whole, at_part = _cells(whole, src, dst), _cells(part, src, dst)
    only_whole = int(((at_whole > 0) & (at_part == 0)).sum())
    unexplained = int((at_whole == 0).sum())
    if only_whole and only_whole / (only_whole + unexplained) >= 0.9:
        free = whole.shape[0] * (whole.shape[0] - 1) - part.nnz
        p = stats.binom.sf(only_whole - 1, only_whole + unexplained, max(whole.nnz - part.nnz, 0) / max(free, 1))
        if p < 1e-2:
            return (
                f"{only_whole} of its edges join nodes that share something in the source only, through held-out pairs"
            )
    overlap = [_nearest_overlap(m, d, src, dst) for m, d in ((whole, np.diff(b.indptr)), (part, np.diff(known.indptr)))]
    if max(overlap[0]) > 0.9 and max(overlap[0]) > max(overlap[1]) + 0.005:
        other, shares = view.b if end == view.a else view.a, [100 * max(o) for o in overlap]
        return (
            f"{shares[0]:.0f} % of its edges are the nearest neighbours by shared {other!r} nodes of the whole source "
            f"({shares[1]:.0f} % those of this graph)"
        )
    return None


def _nearest_overlap(shared: sp.csr_array, degree: np.ndarray, src: np.ndarray, dst: np.ndarray) -> tuple[float, float]:
    """Share of edges that are among as many nearest neighbours of their source as it has edges: by count, by cosine."""
    n = shared.shape[0]
    wanted = np.bincount(src, minlength=n)
    edges = np.unique(src.astype(np.int64) * n + dst)
    out = []
    row = np.repeat(np.arange(n), np.diff(shared.indptr))
    norm = np.sqrt(np.maximum(degree, 1).astype(np.float64))
    for score in (shared.data.astype(np.float64), shared.data / (norm[row] * norm[shared.indices])):
        order = np.lexsort((-score, row))
        rank = np.arange(len(order)) - shared.indptr[row[order]]
        cut = np.full(n, np.inf)
        last = order[rank == wanted[row[order]] - 1]
        cut[row[last]] = score[last]
        near = (score >= cut[row] - 1e-9) | (np.isinf(cut[row]) & (wanted[row] > 0))
        codes = row[near].astype(np.int64) * n + shared.indices[near]
        out.append(float(np.isin(edges, codes).mean()))
    return out[0], out[1]


def _off_diagonal(matrix: sp.csr_array) -> sp.csr_array:
    matrix = matrix.tocsr()
    matrix.setdiag(0)
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix


def _cells(matrix: sp.csr_array, row: np.ndarray, col: np.ndarray) -> np.ndarray:
    return np.asarray(matrix[row, col]).ravel()
