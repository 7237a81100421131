"""Edges and lists of neighbours that were computed from who met whom, held-out pairs included.

An edge joins what shares partners. Let x be how much two nodes share in the graph and y how much
more in the source. Three things tell edges that were chosen by x + y from honest likeness: fewer
of their nodes share nothing in the source than thinning allows; they are among the nearest nodes by
the source far more often than by the graph, while a graph thinned once more loses little; and among
the edges of one node x and y repel.
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
from hinaug.split.audit.rows import parts
from hinaug.split.audit.view import Finding, Found, View, binary, title

WORK = 1_000_000  # products of one sparse product; more nodes are left out by chance
CHANCE = 1e-6  # that honest edges agree so much with the source, and not with the graph
LACKING = 0.5  # of the edges that should share nothing in the source may be missing
GAINED = 1.5  # times what honest edges gain from the held-out pairs
TIES = 2.0  # times as many pairs as there are edges, ties included, for edges that are exact
TIES_OVER_ALL = 1.1  # the same, for one cut over all nodes
SEVERAL = 2.5  # edges a node, on average: one or two may say what cluster it is of
EXACT = 0.97  # of the edges explained by the source, and by it alone: it was made from them
FEW = 10  # edges, fewer than which prove nothing
MOST_EDGES = 20_000  # edges whose nodes are looked at one pair at a time
TINY = 1e-9  # by which equal scores may differ
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
    """Every relation, and list of names, of users or items with others that share partners."""
    if view.a == view.b:
        return
    for edge in view.observed.edges:
        src, dst = view.positions(edge)
        remedy = f"compute {edge} from split.train, or drop it"
        yield from _link(view, edge, (edge[0], edge[2]), (src, dst), remedy)
        if edge[0] != edge[2]:
            yield from _link(view, edge, (edge[2], edge[0]), (dst, src), remedy)
    for end in (view.a, view.b):
        for field in view.columns(end):
            strong = [n for n in names_in(view, end, field.name, end) if not n.weak]
            for named in strong[:1]:
                row, dst = named.rows.tocoo().coords
                where, remedy = f"{end}.{field.name}", f"drop the column {field.name!r}"
                yield from _link(view, where, (end, end), (view.move(end)[row], dst), remedy)


def _link(
    view: View, what: Type, types: tuple[str, str], ends: tuple[np.ndarray, np.ndarray], remedy: str
) -> Iterator[_Link]:
    """Edges of users or items with nodes that share partners with them, or touch their partners."""
    here, there = types
    partner = _other(view, here)
    if here not in (view.a, view.b) or there == partner or there not in view.source.nodes:
        return
    src, dst = _distinct(*ends, view.source.n(there), here == there)
    if here != there and np.bincount(dst).max(initial=0) <= 1:
        return  # nodes of one row each, such as reviews
    left = {part: m if here == view.a else m.T.tocsr() for part, m in _matrices(view).items()}
    if here == there:
        yield _Link(title(what), src, dst, left, left, f"{partner!r} nodes", remedy)
    else:
        for inner, step in _steps(view, partner, there, what):
            through = f"{partner!r} nodes, by their {title(inner)!r}"
            yield _Link(title(what), src, dst, left, dict.fromkeys(left, step), through, remedy)


def _steps(view: View, partner: str, there: str, what: Type) -> Iterator[tuple[Type, sp.csr_array]]:
    """Relations between partners and nodes of a type, as matrices [nodes, partners]."""
    for inner in view.source.edges:
        if {inner[0], inner[2]} == {partner, there} and inner != what:
            step = view.source.adjacency(inner)
            yield inner, step if inner[0] == there else step.T.tocsr()


def _distinct(
    src: np.ndarray, dst: np.ndarray, n: int, same: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Each edge once; none with itself, and none of nodes that the source does not have."""
    ok = (src >= 0) & (dst >= 0) & ((src != dst) | (not same))
    return np.divmod(distinct(src[ok].astype(np.int64) * n + dst[ok]), n)


def _other(view: View, end: str) -> str:
    return view.b if end == view.a else view.a


def _matrices(view: View) -> dict[str, sp.csr_array]:
    """Who met whom in the graph, in train and valid, and in the source."""
    if "matrices" not in view.cache:
        out = {"graph": view.x}
        ends = view.source.links(view.target)
        user, item = view.x.tocoo().coords
        for part in [p for p in ("train_valid", "source") if p in parts(view)]:
            use = parts(view)[part]
            out[part] = binary(ends[0][use], ends[1][use], view.shape)
            kept = np.random.default_rng(0).random(len(user)) < view.x.nnz / max(out[part].nnz, 1)
            out[f"thinned {part}"] = binary(user[kept], item[kept], view.shape)
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
    tests = ((_supported, link), (_nearest, link), (_nearest, both_ways), (_repel, link))
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


def _kept(link: _Link, part: str) -> float:
    """The share of what two nodes share in a part that chance leaves in the graph."""
    kept = link.left["graph"].nnz / max(link.left[part].nnz, 1)
    return kept**2 if link.left is link.right else kept


def _supported(view: View, link: _Link, part: str) -> tuple[bool, str, int] | None:
    """Edges that all share something in a part, though many share nothing in the graph.

    Chance leaves each thing shared with probability k. If an edge shares a number with mean m, it
    shares nothing in the part with probability exp(-m), and nothing in the graph with exp(-k m).
    By Jensen's inequality the mean of the first is at least the mean of the second to the 1 / k.
    """
    some = np.random.default_rng(0).permutation(len(link.src))[:MOST_EDGES]
    src, dst = link.src[some], link.dst[some]
    none, own = (shared(link, p, src, dst) == 0 for p in (part, "graph"))
    least = LACKING * len(some) * own.mean() ** (1 / _kept(link, part))
    few = len(some) < FEW and own.all() and not none.any()
    if stats.poisson.cdf(none.sum(), least) > CHANCE and not few:
        return None
    alone = int((own & ~none).sum())
    why = f"joins {alone:,} of {len(some):,} pairs of nodes that share {link.through} in "
    why += (
        f"{_said(part)} only, through held-out pairs, and {int(none.sum()):,} that share nothing "
    )
    why += "there; chance leaves more of these"
    return view.any_drawn and not few, why, alone


def _nearest(view: View, link: _Link, part: str) -> tuple[bool, str, int] | None:
    """Edges to the nearest nodes by the source that are not the nearest by the graph.

    Each node's edges are compared with as many nearest nodes. Honest edges gain something from the
    held-out pairs, as much as they would lose in a graph that is thinned once more.
    """
    nodes = _sampled(link, part)
    edges = np.isin(link.src, nodes)
    src, dst = link.src[edges], link.dst[edges]
    if len(src) < FEW:
        return None
    ranked = [_ranked(link, p, nodes, src, dst) for p in (part, "graph", f"thinned {part}")]
    several = len(src) >= SEVERAL * len(nodes)
    kept = link.left["graph"].nnz / max(link.left[part].nnz, 1)
    by_source, by_graph, thinned = ranked
    found = [
        (_agreement(by_source[s], by_graph[s], thinned[s], kept, several), s) for s in by_source
    ]
    p, score = min(found)
    if p > CHANCE:
        return None
    source, graph = (r[score].hit for r in ranked[:2])
    n_source, n_graph = int((source & ~graph).sum()), int((graph & ~source).sum())
    why = f"holds the nearest nodes by the {score} of shared {link.through} in {_said(part)}: "
    why += f"{n_source:,} edges follow it alone, {n_graph:,} this graph"
    return view.any_drawn, why, n_source


@dataclass
class _Hits:
    """hit: which edges are among the nearest. n: how many pairs are, ties included."""

    hit: np.ndarray
    n: int
    over_all: bool = False


def _agreement(source: _Hits, graph: _Hits, thinned: _Hits, kept: float, several: bool) -> float:
    """p of edges that follow the source rather than the graph."""
    exact = several and _is_exact(source) and not (graph.hit & ~source.hit).any()
    if exact and (source.hit & ~graph.hit).sum() >= FEW / 2:
        return 0.0
    gain, lost = (
        int(a.hit.sum()) - int(b.hit.sum()) for a, b in ((source, graph), (graph, thinned))
    )
    honest = max(lost, 0) / kept
    noise = (source.hit != graph.hit).sum() + (graph.hit != thinned.hit).sum() / kept**2
    if gain <= GAINED * honest or source.over_all:  # one cut moves many ties at once
        return 1.0
    return float(stats.norm.sf((gain - honest) / np.sqrt(noise + 1)))


def _is_exact(hits: _Hits) -> bool:
    """Whether the edges are the nearest pairs, and those the edges."""
    ties = TIES_OVER_ALL if hits.over_all else TIES
    return bool(hits.hit.mean() >= EXACT) and hits.n <= ties * len(hits.hit)


def _sampled(link: _Link, part: str) -> np.ndarray:
    """Nodes with edges, as many as the work allows."""
    nodes = np.random.default_rng(0).permutation(np.unique(link.src))
    left, right = link.left[part], link.right[part]
    work = left @ np.bincount(right.indices, minlength=right.shape[1])
    return np.sort(nodes[np.cumsum(work[nodes]) <= WORK])


def _ranked(
    link: _Link, part: str, nodes: np.ndarray, src: np.ndarray, dst: np.ndarray
) -> dict[str, _Hits]:
    """Which edges are among the k nearest of their node, for each score; k is its edges.

    Over all: among as many pairs with the highest scores as there are edges.
    """
    n_targets, at = link.right[part].shape[0], np.searchsorted(nodes, src)
    row, column, scores = _scores(link, part, nodes)
    keys, asked = row * n_targets + column, at * n_targets + dst
    order = np.argsort(keys)
    found = np.searchsorted(keys, asked, sorter=order)
    place = order[np.minimum(found, len(keys) - 1)] if len(keys) else np.zeros(len(asked), int)
    there = keys[place] == asked if len(keys) else np.zeros(len(asked), bool)
    k, size = (np.bincount(of, minlength=len(nodes)) for of in (at, row))
    out = {}
    for name, score in zip(SCORES, scores, strict=True):
        own = np.where(there, score[place] if len(keys) else 0, 0) + TINY
        by_row = score[np.lexsort((-score, row))]
        last = np.cumsum(size) - size + np.minimum(k, size) - 1
        least = np.full(len(nodes), -np.inf)
        least[size > 0] = by_row[last[size > 0]]
        out[name] = _Hits(there & (own >= least[at]), int((score + TINY >= least[row]).sum()))
        if len(nodes) == len(np.unique(link.src)):
            cut = np.sort(score)[max(len(score) - len(src), 0) :].min(initial=np.inf)
            hits = _Hits(there & (own >= cut), int((score + TINY >= cut).sum()), True)
            out[f"{name} over all"] = hits
    return out


def _scores(
    link: _Link, part: str, nodes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
    """(node, other, scores) of all pairs of nodes that share something."""
    left, right = link.left[part][nodes], link.right[part]
    count = (left @ right.T.tocsr()).tocoo()
    row, column = count.coords
    keep = (nodes[row] != column) | (link.left is not link.right)
    row, column, n = row[keep].astype(np.int64), column[keep], count.data[keep].astype(float)
    one, two = np.diff(left.indptr)[row], np.diff(right.indptr)[column]
    return row, column, (n, n / np.sqrt(one * two), n / (one + two - n), n / (one * two))


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
    return view.any_drawn, why, len(link.src)


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
