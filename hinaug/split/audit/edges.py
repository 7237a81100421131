"""Edges and lists of neighbours that were computed from who met whom, held-out pairs included.

An edge joins what shares partners. Let x be how much two nodes share in the graph and y how much
more in the source. Edges chosen by x + y are explained by the source where the graph fails to
explain them; and among the edges of one node x and y repel. Honest likeness does neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from scipy import stats

from hinaug.graph.pairs import distinct
from hinaug.graph.schema import Type, table_lineage
from hinaug.split.audit.names import names_in
from hinaug.split.audit.sums import parts
from hinaug.split.audit.view import Finding, Found, View, binary, title

WORK = 1_000_000  # products of one sparse product; more nodes are left out by chance
CHANCE = 1e-6  # that edges agree so much with the source, and not with the graph
HONEST = 0.65  # share of edges, of those explained by one alone, that honest likeness gives it
UNEVEN = 1.25  # times as many pairs that the source may name as the graph, ties included
TIES = 2.0  # times as many pairs as there are edges, ties included, for edges that are exact
TIES_OVER_ALL = 1.1  # the same, for one cut over all nodes
SEVERAL = 2.5  # edges a node, on average: one or two may say what cluster it is of
EXACT = 0.97  # of the edges explained by the source, and by it alone: it was made from them
FEW = 10  # edges that all follow the source alone, and are too few for a proof
MOST_EDGES = 20_000  # edges whose nodes are looked at one pair at a time
SCORES = ("count", "cosine", "jaccard", "lift")  # of what two nodes share
REPELS = -0.15  # correlation of x and y, below that of chance, from which edges leak


@dataclass
class _Link:
    """Edges by positions in the source, and the factors whose product counts what is shared."""

    where: str
    src: np.ndarray
    dst: np.ndarray
    left: dict[str, sp.csr_array]
    right: dict[str, sp.csr_array]
    through: str
    remedy: str


def derived(view: View) -> Found:
    """Edge types and lists that follow what nodes share in the source rather than in the graph."""
    for link in _links(view):
        if view.budget.over:
            return
        verdict = _of_link(view, link)
        if verdict is not None:
            certain, why, n = verdict
            yield (
                certain,
                Finding("derived edges", link.where, view.name, why, link.remedy, n),
            )
    yield from _lineage(view)


def _links(view: View) -> Iterator[_Link]:
    if view.a == view.b:
        return
    for edge in view.observed.edges:
        src, dst = view.positions(edge) if edge[2] in view.source.nodes else (None, None)
        remedy = f"compute {edge} from split.train, or drop it"
        yield from _link(view, title(edge), edge[0], edge[2], src, dst, remedy, edge)
        if edge[0] != edge[2] and edge[0] in view.source.nodes:
            yield from _link(view, title(edge), edge[2], edge[0], dst, src, remedy, edge)
    for end in (view.a, view.b):
        for field in view.columns(end):
            where, remedy = f"{title(end)}.{field.name}", f"drop the column {field.name!r}"
            for named in [n for n in names_in(view, end, field.name, end) if not n.weak][:1]:
                row, dst = named.rows.tocoo().coords
                yield from _link(view, where, end, end, view.move(end)[row], dst, remedy, None)


def _link(view: View, where: str, here: str, there: str, src, dst, remedy: str, edge: Type | None):
    """The link of nodes of an end to nodes of a type that the other end, or the same, touches."""
    if src is None or here not in (view.a, view.b) or there == _other(view, here):
        return
    ok = (src >= 0) & (dst >= 0) & ((src != dst) | (here != there))
    n = view.source.n(there)
    src, dst = np.divmod(distinct(src[ok].astype(np.int64) * n + dst[ok]), n)
    if here != there and np.bincount(dst).max(initial=0) <= 1:
        return  # nodes of one row each, such as reviews
    left = {part: m if here == view.a else m.T.tocsr() for part, m in _matrices(view).items()}
    if here == there:
        yield _Link(where, src, dst, left, left, f"{_other(view, here)!r} nodes", remedy)
        return
    for inner in view.source.edges:
        if {inner[0], inner[2]} == {_other(view, here), there} and inner != edge:
            step = view.source.adjacency(inner)
            step = step if inner[0] == there else step.T.tocsr()
            right = dict.fromkeys(left, step)
            through = f"{_other(view, here)!r} nodes, by their {title(inner)!r}"
            yield _Link(where, src, dst, left, right, through, remedy)


def _other(view: View, end: str) -> str:
    return view.b if end == view.a else view.a


def _matrices(view: View) -> dict[str, sp.csr_array]:
    """Who met whom in the graph, in train and valid, and in the source."""
    if "matrices" not in view.cache:
        out = {"graph": view.x}
        ends = view.source.links(view.target)
        for part in [p for p in ("train_valid", "source") if p in parts(view)]:
            use = parts(view)[part]
            out[part] = binary(ends[0][use], ends[1][use], view.shape)
        view.cache["matrices"] = out
    return view.cache["matrices"]


def _of_link(view: View, link: _Link) -> tuple[bool, str, int] | None:
    if not len(link.src):
        return None
    doubt = None
    wholes = [p for p in ("train_valid", "source") if p in link.left]
    both_ways = link
    if link.left is link.right:
        ends = np.append(link.src, link.dst), np.append(link.dst, link.src)
        both_ways = replace(link, src=ends[0], dst=ends[1])
    tests = ((_only_there, link), (_nearest, link), (_nearest, both_ways), (_repel, link))
    for test, link in tests:
        for part in wholes:
            verdict = test(view, link, part)
            if verdict is not None and verdict[0]:
                return verdict
            doubt = doubt or verdict
    return doubt


def _said(part: str) -> str:
    return "train and valid together" if part == "train_valid" else "the whole source"


def shared(link: _Link, part: str, src: np.ndarray, dst: np.ndarray) -> np.ndarray:
    """How many partners each pair of nodes shares in a part [n]."""
    left, right = link.left[part], link.right[part]
    out, block = np.zeros(len(src)), MOST_EDGES
    for start in range(0, len(src), block):
        use = slice(start, start + block)
        out[use] = left[src[use]].multiply(right[dst[use]]).sum(axis=1)
    return out


def _only_there(view: View, link: _Link, part: str) -> tuple[bool, str, int] | None:
    """Edges that join nodes which share something through held-out pairs alone."""
    some = np.random.default_rng(0).permutation(len(link.src))[:MOST_EDGES]
    src, dst = link.src[some], link.dst[some]
    whole, own = (shared(link, p, src, dst) for p in (part, "graph"))
    n = int((whole > 0).sum())
    alone = int(((whole > 0) & (own == 0)).sum())
    kept = link.left["graph"].nnz / max(link.left[part].nnz, 1)
    kept = kept**2 if link.left is link.right else kept
    expected = float((1 - kept) ** whole[whole > 0] @ np.ones(n)) if n else 0.0
    rate = min(expected / max(n, 1), 1.0)
    if alone < 0.9 * len(some) or stats.binom.sf(alone - 1, max(n, 1), rate) > 1e-3:
        return None
    why = f"joins {alone:,} of {len(some):,} pairs of nodes that share {link.through} in "
    why += f"{_said(part)} only, through held-out pairs"
    return len(some) >= FEW, why, alone


def _nearest(view: View, link: _Link, part: str) -> tuple[bool, str, int] | None:
    """Edges to the nearest nodes by the source that are not the nearest by the graph.

    Each node's edges are compared with as many nearest nodes of either; edges of honest likeness
    are explained by the graph alone nearly as often as by the source alone (McNemar).
    """
    nodes = _sampled(link, part)
    edges = np.isin(link.src, nodes)
    src, dst = link.src[edges], link.dst[edges]
    if not len(src):
        return None
    best: tuple[float, bool, str, int] | None = None
    by_source, by_graph = (_ranked(link, p, nodes, src, dst) for p in (part, "graph"))
    for score in by_source:
        (source, n_named), (graph, n_own) = by_source[score], by_graph[score]
        n_source, n_graph = int((source & ~graph).sum()), int((graph & ~source).sum())
        p = stats.binom.sf(n_source - 1, n_source + n_graph, HONEST)
        over_all = score.endswith("over all")
        exact = (
            source.mean() >= EXACT
            and n_graph == 0
            and n_named <= (TIES_OVER_ALL if over_all else TIES) * len(src)
        )
        exact &= len(src) >= SEVERAL * len(nodes)
        all_of_few = len(src) < FEW and source.all() and n_source > 0
        if exact and n_source >= FEW / 2 and len(src) >= FEW:
            p = 0.0
        elif over_all or n_named > UNEVEN * n_own:
            p = 1.0  # ties let the source name more
        if (p < CHANCE or all_of_few) and (best is None or p < best[0]):
            why = f"holds the nearest nodes by the {score} of shared {link.through} in "
            why += f"{_said(part)}: {n_source:,} edges follow it alone, {n_graph:,} this graph"
            best = p, p < CHANCE and (view.drawn(0) or view.drawn(1)), why, n_source
    return best[1:] if best else None


def _sampled(link: _Link, part: str) -> np.ndarray:
    """Nodes with edges, as many as the work allows."""
    nodes = np.random.default_rng(0).permutation(np.unique(link.src))
    left, right = link.left[part], link.right[part]
    work = left @ np.bincount(right.indices, minlength=right.shape[1])
    return np.sort(nodes[np.cumsum(work[nodes]) <= WORK])


def _ranked(
    link: _Link, part: str, nodes: np.ndarray, src: np.ndarray, dst: np.ndarray
) -> dict[str, np.ndarray]:
    """Which edges are among the k nearest of their node, for each score; k is its edges."""
    left, right = link.left[part][nodes], link.right[part]
    left_nodes = len(np.unique(link.src))
    count = (left @ right.T.tocsr()).tocoo()
    row, column = count.coords
    of_left, of_right = np.diff(left.indptr)[row], np.diff(right.indptr)[column]
    keep = np.ones(len(row), bool) if link.left is not link.right else nodes[row] != column
    row, column, data = row[keep], column[keep], count.data[keep].astype(float)
    of_left, of_right = of_left[keep], of_right[keep]
    scores = (
        data,
        data / np.sqrt(of_left * of_right),
        data / (of_left + of_right - data),
        data / (of_left * of_right),
    )
    at = np.searchsorted(nodes, src)
    k = np.bincount(at, minlength=len(nodes))
    keys, asked = row * right.shape[0] + column, at * right.shape[0] + dst
    by_key = np.argsort(keys)
    found = (
        by_key[np.minimum(np.searchsorted(keys[by_key], asked), max(len(keys) - 1, 0))]
        if (len(keys))
        else np.zeros(len(asked), int)
    )
    there = keys[found] == asked if len(keys) else np.zeros(len(asked), bool)
    out = {}
    for name, score in zip(SCORES, scores, strict=True):
        order = np.lexsort((-score, row))
        first = np.searchsorted(row[order], np.arange(len(nodes)))
        size = np.bincount(row, minlength=len(nodes))
        last = first + np.minimum(k, size) - 1
        least = np.full(len(nodes), -np.inf)
        least[size > 0] = score[order][last[size > 0]]
        own = np.where(there, score[found] if len(keys) else 0, 0)
        out[name] = there & (own >= least[at] - 1e-9), int((score >= least[row] - 1e-9).sum())
        if len(nodes) == left_nodes:
            cut = np.sort(score)[max(len(score) - len(src), 0) :].min(initial=np.inf) - 1e-9
            out[f"{name} over all"] = there & (own >= cut), int((score >= cut).sum())
    return out


def _repel(view: View, link: _Link, part: str) -> tuple[bool, str, int] | None:
    """Whether, among the edges of one node, what is shared in the graph and beyond it repel."""
    some = np.sort(np.random.default_rng(0).permutation(len(link.src))[:MOST_EDGES])
    order = some[np.argsort(link.src[some], kind="stable")]
    src, dst = link.src[order], link.dst[order]
    x, whole = (shared(link, p, src, dst) for p in ("graph", part))
    y = whole - x
    i = np.flatnonzero((src[:-1] == src[1:]) & (whole[:-1] + whole[1:] > 0))
    if len(i) < 4 * FEW:
        return None
    scale = np.sqrt(whole[i] + whole[i + 1])
    u, v = (x[i] - x[i + 1]) / scale, (y[i] - y[i + 1]) / scale
    r = float((u * v).sum() / max(np.sqrt((u * u).sum() * (v * v).sum()), 1e-12))
    shift = r - 2 * view.floor
    n = min(len(i), int((v != 0).sum())) / 2
    if shift > REPELS or n < FEW or stats.norm.cdf(shift * np.sqrt(n)) > CHANCE:
        return None
    why = f"was chosen by shared {link.through} in {_said(part)}: what its nodes share in this "
    why += f"graph and through held-out pairs exclude each other (correlation {r:.2f})"
    return view.drawn(0) or view.drawn(1), why, len(link.src)


def _lineage(view: View) -> Found:
    """Edge types whose lineage leaves open how they came about."""
    ends = {view.a, view.b}
    for edge in view.observed.edges:
        said = table_lineage(view.observed.edges[edge])
        if edge == view.target or not ends & {edge[0], edge[2]} or not view.observed.n(edge):
            continue
        where = title(edge)
        if said == "aggregate" and _carried_over(view, edge):
            why = "is declared derived, and was computed before the split"
            remedy = f"compute {edge} from split.train, or drop it"
            yield True, Finding("derived edges", where, view.name, why, remedy)
        elif said == "aggregate":
            why = "is declared derived; whether from this graph alone cannot be known"
            remedy = "make it a Delta that says on which graph it was fitted"
            yield False, Finding("edges", where, view.name, why, remedy)
        elif said is None:
            why = "has no lineage"
            remedy = 'declare it with with_edges(..., lineage="row") if each row was observed'
            yield False, Finding("edges", where, view.name, why, remedy)


def _carried_over(view: View, edge) -> bool:
    """Whether the rows of an edge type are, nearly all, those that the source has."""
    if edge not in view.source.edges:
        return False
    src, dst = view.positions(edge)
    ends, n = view.source.links(edge), view.source.n(edge[2])
    return bool(np.isin(src * n + dst, ends[0] * n + ends[1]).mean() > 0.9)
