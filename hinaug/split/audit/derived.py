"""Edges computed from behaviour: what two nodes share in the source, held-out pairs included,
against what they share here.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
from scipy import stats

from hinaug.graph import arrow as tb
from hinaug.graph.evidence import touching
from hinaug.graph.pairs import PairIndex
from hinaug.graph.schema import PROVENANCE, EdgeType
from hinaug.split.audit.features import numbers_of
from hinaug.split.audit.rows import lineage
from hinaug.split.audit.view import Finding, View, _product_work, title

WORK = 300_000_000
WEIGHT = (
    "weight",
    "score",
    "count",
    "sim",
    "similarity",
    "cosine",
    "jaccard",
    "pmi",
    "ppmi",
    "lift",
    "w",
    "value",
    "n",
    "support",
)


def look(view: View) -> Iterator[tuple[bool, Finding]]:
    graph = view.observed
    for edge in graph.edges:
        if edge == view.target or not graph.n(edge):
            continue
        word, where, n = lineage(view, edge), title(edge), graph.n(edge)
        between = {edge[0], edge[2]} == {
            view.a,
            view.b,
        } and view.a != view.b  # `rows.direct` looks into these
        verdict, ours = (None, False) if between else _shared(view, edge)
        if verdict is not None:
            certain, why = verdict
            yield certain, Finding("derived edges", where, view.name, why, n)
            if certain:
                continue
        if word == "aggregate" and _as_before(view, edge) and not ours:
            why = "they are declared derived, and were computed before the split"
            yield True, Finding("derived edges", where, view.name, why, n)
        elif word == "aggregate" and not ours:
            why = (
                "they are declared derived; that they were computed from this graph cannot "
                "be confirmed"
            )
            yield False, Finding("edges", where, view.name, why, n)
        elif word is None:
            why = (
                "how these edges came about is unknown; declare it with lineage=... if each "
                "was recorded by itself"
            )
            yield False, Finding("edges", where, view.name, why, n)


def _as_before(view: View, edge: EdgeType) -> bool:
    """Whether all edges came over from the source."""
    if edge not in view.source.edges:
        return False
    src, dst = (
        view.move(t)[p] for t, p in zip((edge[0], edge[2]), view.observed.links(edge), strict=True)
    )
    if not ((src >= 0) & (dst >= 0)).all():
        return False
    before = PairIndex.of(view.source, edge)
    new = PairIndex.from_positions(src, dst, before.shape)
    return not len(new.minus(before)) and len(new) >= 0.5 * len(before)


def _shared(view: View, edge: EdgeType) -> tuple[tuple[bool, str] | None, bool]:
    """(a verdict, whether the edges follow what this graph itself knows)."""
    doubt, follows = None, False
    for sides in _sides(view, edge):
        verdict, own = _follows(view, edge, sides)
        if verdict is not None and verdict[0]:
            return verdict, False
        doubt, follows = doubt or verdict, follows or own
    return doubt, follows


def _follows(view: View, edge: EdgeType, sides: tuple) -> tuple[tuple[bool, str] | None, bool]:
    src, dst = (
        view.move(t)[p] for t, p in zip((edge[0], edge[2]), view.observed.links(edge), strict=True)
    )
    ok = (src >= 0) & (dst >= 0)
    if edge[0] == edge[2]:
        ok &= src != dst
    src, dst = src[ok].astype(np.int64), dst[ok].astype(np.int64)
    if not len(src):
        return None, False
    late = view.split.test if view.name == "train" else None
    wholes = [("the source", np.union1d(view.known, view.held))]
    if late is not None and late.num_rows and view.split.valid.num_rows:
        test = PairIndex.from_ids(view.source, view.target, late).code
        wholes.append(("train and valid together", np.setdiff1d(wholes[0][1], test)))
    s, d = view.observed.links(view.target)
    own = np.unique(view.codes(s, d))
    ours = _Shared(view, own[own >= 0], sides, edge)
    if ours.too_much:
        return None, False
    known = _Shared(view, view.known, sides, edge)  # also what a thin split dropped: no secret
    doubt = None
    for name, codes in wholes:
        whole = _Shared(view, codes, sides, edge)
        if whole.too_much:
            return None, False
        verdict = _compare(view, edge, name, whole, ours, known, src, dst, ok)
        if verdict is not None and verdict[0]:
            return verdict, False
        doubt = doubt or verdict
    follows = max(ours.nearest(src, dst)) > 0.9
    return doubt, follows


def _sides(view: View, edge: EdgeType) -> list[tuple[sp.csr_array | None, str]]:
    """How the two ends of an edge hang on the target relation: (what the far end hangs on, which
    product).
    """
    a, b = view.a, view.b
    if edge[0] == edge[2]:
        return [(None, form) for end, form in ((a, "aa"), (b, "bb")) if edge[0] == end]
    rest = view.source.drop(edge) if edge in view.source.edges else view.source
    out: list[tuple[sp.csr_array | None, str]] = []
    for x, y in ((edge[0], edge[2]), (edge[2], edge[0])):
        for near, far, form in ((a, b, "ab"), (b, a, "ba")):
            if x == near and y not in (a, b) and y in view.source.nodes:
                touch = touching(rest, far, y)
                if (
                    touch.nnz
                    and (np.bincount(touch.indices, minlength=touch.shape[1]) == 1).mean() < 0.9
                ):
                    # where each node has one neighbour alone (a review), `ways` says more
                    out.append((touch, form + ("" if x == edge[0] else "'")))
    return out


class _Shared:
    """Counts of shared pairs between the two ends of an edge type, and scores made of them."""

    def __init__(self, view: View, codes: np.ndarray, sides: tuple, edge: EdgeType) -> None:
        t = view.matrix(codes)
        far, form = sides
        if form in ("aa", "bb"):
            left = t if form == "aa" else t.T.tocsr()
            right = left.T.tocsr()
        else:
            left = t if form.startswith("ab") else t.T.tocsr()
            right = far
        self.too_much = _product_work(left, right) > WORK
        if self.too_much:
            return
        count = (left @ right).tocsr()
        self.degree_src, self.degree_dst = (
            np.diff(left.indptr).astype(float),
            np.diff(right.T.tocsr().indptr).astype(float),
        )
        if form.endswith("'"):
            count = count.T.tocsr()
            self.degree_src, self.degree_dst = self.degree_dst, self.degree_src
        if form in ("aa", "bb"):
            count = count - sp.diags_array(count.diagonal())
            count = count.tocsr()
        count.eliminate_zeros()
        count.sort_indices()
        self.count, self.total = count, float(left.shape[1])
        row = np.repeat(np.arange(count.shape[0]), np.diff(count.indptr))
        self.pairs = PairIndex(row, count.indices.astype(np.int64), count.shape)

    def at(self, src: np.ndarray, dst: np.ndarray) -> np.ndarray:
        row = self.pairs.find(src, dst)
        return np.where(row >= 0, np.append(self.count.data, 0)[row], 0.0)

    def scores(self, count: np.ndarray, src: np.ndarray, dst: np.ndarray) -> dict[str, np.ndarray]:
        a, b = np.maximum(self.degree_src[src], 1), np.maximum(self.degree_dst[dst], 1)
        lift = count * self.total / (a * b)
        return {
            "count": count,
            "cosine": count / np.sqrt(a * b),
            "jaccard": count / np.maximum(a + b - count, 1),
            "share of the first": count / a,
            "share of the second": count / b,
            "dice": 2 * count / (a + b),
            "overlap": count / np.minimum(a, b),
            "lift": lift,
            "log lift": np.log(np.maximum(lift, 1e-12)),
            "log lift (base 2)": np.log2(np.maximum(lift, 1e-12)),
            "log count": np.log1p(count),
        }

    def nearest(self, src: np.ndarray, dst: np.ndarray) -> list[float]:
        """Share of edges among as many best ones as there are: per first node, per second node,
        over all; by each score.
        """
        row, col = self.pairs.src, self.pairs.dst
        if not len(row):
            return [0.0]
        edges = PairIndex.from_positions(src, dst, self.count.shape)
        mirrored = edges.shape[0] == edges.shape[1] and edges.contains(dst, src).all()
        inside = edges.contains(row, col)
        out = [0.0]
        for name, score in self.scores(self.count.data.astype(float), row, col).items():
            if name in ("log lift", "log lift (base 2)", "log count", "dice"):
                continue
            for by in (row, col, np.zeros(len(row), np.int64)):
                wanted = np.bincount(by[inside], minlength=int(by.max()) + 1)
                full = np.bincount(
                    (src if by is row else dst if by is col else np.zeros(len(src), np.int64)),
                    minlength=len(wanted),
                )
                wanted = np.minimum(
                    np.maximum(wanted, full[: len(wanted)]), np.bincount(by, minlength=len(wanted))
                )
                order = np.lexsort((-score, by))
                start = np.searchsorted(by[order], np.arange(len(wanted)))
                cut = np.full(len(wanted), np.inf)
                some = wanted > 0
                cut[some] = score[order][start[some] + wanted[some] - 1]
                best = score >= cut[by] - 1e-9
                hit = inside & best
                tied = int(best.sum())
                # ties at the cut may be broken either way, but a score that ties all with all tells
                # nothing
                if tied <= 3 * len(edges):
                    out.append(float(hit.sum()) / len(edges))
        if mirrored:  # k nearest, then made symmetric
            k = int(np.bincount(src).max())
            for name, score in self.scores(self.count.data.astype(float), row, col).items():
                if name in ("count", "cosine", "jaccard"):
                    order = np.lexsort((-score, row))
                    rank = np.arange(len(order)) - np.searchsorted(row[order], row[order])
                    for depth in {
                        max(1, int(np.bincount(src).min())),
                        max(1, len(edges) // max(len(np.unique(src)), 1) // 2),
                        k,
                    }:
                        top = order[rank < depth]
                        made = PairIndex.from_positions(
                            np.r_[row[top], col[top]], np.r_[col[top], row[top]], edges.shape
                        )
                        right = edges.contains(made.src, made.dst).sum()
                        out.append(2 * right / (len(made) + len(edges)))
        return out

    def threshold(self, src: np.ndarray, dst: np.ndarray) -> float | None:
        """The count from which on, exactly, there is an edge (in one or both directions)."""
        at = self.at(src, dst)
        low = at.min(initial=np.inf)
        if not low >= 1:
            return None
        pairs = self.pairs.take(self.count.data >= low)
        edges = PairIndex.from_positions(src, dst, pairs.shape)
        if pairs.shape[0] == pairs.shape[1]:  # of one type: either direction counts
            edges, pairs = (
                PairIndex.from_positions(
                    np.r_[one.src, one.dst], np.r_[one.dst, one.src], one.shape
                )
                for one in (edges, pairs)
            )
        return float(low) if np.array_equal(pairs.code, edges.code) else None


def _compare(
    view: View,
    edge: EdgeType,
    name: str,
    whole: _Shared,
    part: _Shared,
    known: _Shared,
    src: np.ndarray,
    dst: np.ndarray,
    ok: np.ndarray,
) -> tuple[bool, str] | None:
    at_whole, at_part, at_known = (s.at(src, dst) for s in (whole, part, known))
    found = _weights(view, edge, name, whole, part, src, dst, ok, at_whole, at_part)
    if found is not None and found[0]:
        return found
    n_edges = len(np.unique(src * whole.count.shape[1] + dst))
    # one class for each node (its topic) may follow its neighbours for reasons of its own
    lists = edge[0] == edge[2] or n_edges >= 2 * len(np.unique(src))
    doubt = found
    low = whole.threshold(src, dst)
    if low is not None and (part.threshold(src, dst) is None) and n_edges >= 3:
        why = (
            f"they are all the pairs that share {low:g} or more in {name}, which in this "
            "graph they are not"
        )
        if n_edges >= 6 and lists:
            return True, why
        doubt = doubt or (False, why)
    only_whole = int(((at_whole > 0) & (at_part == 0) & (at_known == 0)).sum())
    unexplained = int((at_whole == 0).sum())
    if only_whole and only_whole / (only_whole + unexplained) >= 0.9:
        extra = max(whole.count.nnz - known.count.nnz, 0)
        free = whole.count.shape[0] * whole.count.shape[1] - known.count.nnz
        p = stats.binom.sf(only_whole - 1, only_whole + unexplained, min(extra / max(free, 1), 1))
        why = (
            f"{only_whole} of its edges join nodes that share something in {name} only, "
            "through held-out pairs"
        )
        if p < 1e-3 and only_whole >= 0.5 * len(src):
            return True, why
        if n_edges < 10 or (p < 1e-3 and unexplained == 0 and lists):
            doubt = doubt or (False, f"{why}; likes may also join for reasons of their own")
    overlap = max(whole.nearest(src, dst)), max(part.nearest(src, dst))
    if overlap[0] > 0.9 and overlap[0] > overlap[1] + 0.005:
        why = (
            f"{100 * overlap[0]:.0f} % of its edges are the nearest by what they share in {name} "
            f"({100 * overlap[1]:.0f} % those of this graph)"
        )
        if n_edges >= 10 and lists:
            return True, why
        if n_edges < 10 or overlap[0] > 0.99:
            doubt = doubt or (False, why)
    return doubt


def _weights(
    view: View, edge: EdgeType, name: str, whole: _Shared, part: _Shared,
    src: np.ndarray, dst: np.ndarray, ok: np.ndarray, at_whole: np.ndarray, at_part: np.ndarray,
) -> tuple[bool, str] | None:  # fmt: skip
    """A column of the edges that equals a score of the source where this graph has another."""
    table = view.observed.edges[edge]
    doubt = None
    for field in table.schema:
        if field.name in ("src", "dst", *PROVENANCE):
            continue
        column = tb.one_chunk(table[field.name])
        values = numbers_of(column) if not tb.is_vector(column.type) else None
        if values is None:
            continue
        values = values[ok]
        there = np.isfinite(values)
        if there.sum() < 2:
            continue
        ours, theirs = part.scores(at_part, src, dst), whole.scores(at_whole, src, dst)
        for score, expected in theirs.items():
            own = ours[score]
            differ = there & ~np.isclose(expected, own, rtol=1e-4)
            if not differ.any():
                continue
            close = np.isclose(values, expected, rtol=2e-3, atol=6e-4)
            near_own = np.isclose(values, own, rtol=2e-3, atol=6e-4)
            if (
                close[there].mean() >= 0.95
                and close[differ].mean() >= 0.9
                and near_own[differ].mean() < 0.5
            ):
                why = f"its column {field.name!r} is the {score} of what two nodes share in {name}"
                certain = (
                    there.sum() >= 8
                    or field.name.lower() in WEIGHT
                    or not np.allclose(values[there] % 1, 0)
                )
                if certain and len(np.unique(values[there])) > 1:
                    return True, why
                doubt = doubt or (False, f"{why}; on so few edges that may be chance")
    return doubt
