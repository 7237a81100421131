"""Sets of pairs that the graph holds in some way, and whether they give held-out pairs away.

Edges between the ends, nodes and chains of nodes that join them, copies of nodes, remnants of
witnesses, rows that the source does not have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy import stats
from scipy.sparse.csgraph import connected_components

from hinaug.graph.evidence import touching
from hinaug.graph.pairs import PairIndex, distinct
from hinaug.graph.schema import EdgeType, table_lineage
from hinaug.split.audit.view import Finding, Found, View, binary, title

MOST_PAIRS = 4_000_000  # pairs that one set spells out; its largest rows are left out first
CHANCE = 1e-6  # a set that hits held-out pairs this improbably often leaks
CHANCE_IF_MOST = 1e-3  # enough where more than half of its new pairs are held out
SOME = 3  # pairs that a column which may be a name must name, to be unknown
REPEL = -0.3  # correlation of the known and the held-out pairs that rows name
FEW = 8  # so few new pairs prove nothing by numbers; what counts is that most are held out
MOST = 0.5  # of the new pairs of rows of one user, or one item, are held out
NEARLY_ALL = 0.9  # of the new pairs of large groups; people of one taste share much anyway
PRIVATE = 0.95  # of the rows have one user, or one item: the table records pairs
NARROW = 8  # neighbours at most in a relation such as "same as"
ALIKE = 0.8  # Jaccard index from which a new node is a copy of an old one
FEW_NEIGHBOURS = 3  # on average, on both sides of a relation that only joins parts of one thing


@dataclass
class Verdict:
    """certain: a leak; otherwise it cannot be told. codes: the held-out pairs that are named."""

    certain: bool
    codes: np.ndarray
    why: str
    kind: str = ""


def judge(
    view: View, left: sp.csr_array, right: sp.csr_array, weak: bool = False, guessed: bool = False
) -> Verdict | None:
    """Whether rows that touch users `left` [rows, users] and items `right` name held-out pairs.

    weak: what is read may be no name at all, so only numbers prove something.
    guessed: it was chosen by what train says, so that it agrees with tastes.
    """
    codes, row, cut = all_pairs(view, left, right)
    if not len(codes):
        return None
    n_left, n_right = np.diff(left.indptr), np.diff(right.indptr)
    active = (n_left > 0) & (n_right > 0)
    private = max((n_left[active] == 1).mean(), (n_right[active] == 1).mean()) >= PRIVATE
    verdict = judge_codes(view, codes, bool(private) and not guessed, weak)
    verdict = verdict or _rows_repel(view, codes, row, len(n_left), weak)
    if verdict is not None and weak and not _beyond_chance(view, left, right, codes):
        return None
    if verdict is None and not cut and not weak:
        return _complement(view, distinct(codes), left, right)
    return verdict


def all_pairs(
    view: View, left: sp.csr_array, right: sp.csr_array
) -> tuple[np.ndarray, np.ndarray, bool]:
    """All combinations (codes, row) of the users and items of each row; whether some were cut."""
    n_left, n_right = np.diff(left.indptr).astype(np.int64), np.diff(right.indptr)
    size = n_left * n_right
    order = np.argsort(size, kind="stable")
    rows = np.sort(order[(np.cumsum(size[order]) <= MOST_PAIRS) & (size[order] > 0)])
    row = np.repeat(rows, size[rows])
    within = np.arange(len(row)) - np.repeat(np.cumsum(size[rows]) - size[rows], size[rows])
    user = left.indices[left.indptr[row] + within // n_right[row]]
    item = right.indices[right.indptr[row] + within % n_right[row]]
    codes = view.whole.codes(user, item)
    if view.a == view.b:
        codes, row = codes[user != item], row[user != item]
    return codes, row, bool(size.sum() > size[rows].sum())


def judge_codes(view: View, codes: np.ndarray, private: bool, weak: bool = False) -> Verdict | None:
    """Whether a set of pairs holds held-out pairs more often than chance, or than its own like.

    private: rows that name them have one user, or one item, each.
    """
    codes = distinct(codes[codes >= 0])
    new = codes[~view.known.contains_codes(codes)]
    hits = new[view.held.contains_codes(new)]
    n, n_new = len(hits), len(new)
    if not n:
        return None
    why = _says(view, n, n_new - n)
    most = n >= n_new * (MOST if private else NEARLY_ALL)
    expected = _expected(view, int(view.inside.contains_codes(codes).sum()), n_new)
    if weak and _ends(view, hits) < FEW:
        return _may_be_names(hits, n_new, why)
    if most and _is_many(view, n, n_new, private and not weak):
        return Verdict(True, hits, why)
    if stats.binom.sf(n - 1, n_new, expected) < CHANCE:
        return Verdict(view.any_drawn, hits, f"{why}, far beyond chance")
    return _may_be_names(hits, n_new, why) if weak else None


def _beyond_chance(view: View, left: sp.csr_array, right: sp.csr_array, codes: np.ndarray) -> bool:
    """Whether rows name more held-out pairs than they do with their users exchanged by chance."""
    order = np.random.default_rng(0).permutation(np.flatnonzero(np.diff(left.indptr)))
    moved = np.arange(left.shape[0])
    moved[np.sort(order)] = order
    new, wrong = (
        c[~view.known.contains_codes(c)]
        for c in (distinct(codes), distinct(all_pairs(view, left[moved], right)[0]))
    )
    hits, by_chance = (int(view.held.contains_codes(c).sum()) for c in (new, wrong))
    rate = max((by_chance + 1) / (len(wrong) + 1), view.base_rate)
    return bool(stats.binom.sf(hits - 1, len(new), min(rate, 1.0)) < CHANCE_IF_MOST)


def _may_be_names(hits: np.ndarray, n_new: int, why: str) -> Verdict | None:
    if len(hits) < max(n_new, SOME):
        return None
    return Verdict(False, hits, f"{why}; these may be names, or equal them by accident")


def _ends(view: View, codes: np.ndarray) -> int:
    """How many users, or items if they are fewer, a set of pairs has."""
    return min(len(np.unique(end)) for end in view.whole.ends(codes))


def _is_many(view: View, n: int, n_new: int, sure: bool) -> bool:
    """Whether n hits of n_new are no accident; so few that numbers say nothing, if it is sure."""
    return (sure and n_new <= FEW) or stats.binom.sf(n - 1, n_new, view.base_rate) < CHANCE_IF_MOST


def _expected(view: View, n_inside: int, n_new: int) -> float:
    """The share of an honest set's new pairs that are held out.

    It holds pairs of the graph and held-out pairs alike: if the share p of its pairs are true, a
    new one is held out with probability p b / (1 - p a).
    """
    b = view.share
    p = min(n_inside / max((n_new + n_inside) * (1 - b), 1e-9), 1.0)
    return min(max(p * b / max(1 - p * (1 - b), 1e-9), view.base_rate), 1.0)


def _rows_repel(
    view: View, codes: np.ndarray, row: np.ndarray, n_rows: int, weak: bool
) -> Verdict | None:
    """Rows that name a held-out pair where they name no known one, as titles of last items do.

    Where pairs are not drawn at random, trends do the same for numbers that are no names.
    """
    drawn = view.drawn(0) and view.drawn(1)
    known, held = view.inside.contains_codes(codes), view.held.contains_codes(codes)
    size = np.bincount(row, minlength=n_rows)
    rows = size > 1
    x, y = (np.bincount(row, part, n_rows)[rows] for part in (known, held))
    if rows.sum() < FEW or (weak and not drawn):
        return None
    left = size[rows] - x  # pairs that could be held out
    beyond = y - left * y.sum() / max(left.sum(), 1)
    spread = x.std() * beyond.std()
    r = float(np.cov(x, beyond, ddof=0)[0, 1] / spread) if spread else 0.0
    if r > REPEL or stats.norm.cdf(r * np.sqrt(rows.sum())) > CHANCE:
        return None
    hits = distinct(codes[held])
    why = _says(view, len(hits), int((~known & ~held).sum()))
    why += ": those where the row names no known one"
    return Verdict(drawn, hits, why)


def _says(view: View, hits: int, false: int) -> str:
    return f"joins {hits:,} of the {len(view.held):,} held-out pairs, and {false:,} false ones"


def _complement(
    view: View, codes: np.ndarray, left: sp.csr_array, right: sp.csr_array
) -> Verdict | None:
    """All pairs in reach but the true ones."""
    reached = [np.bincount(m.indices, minlength=m.shape[1]) > 0 for m in (left, right)]
    inside = [int((reached[0][p.src] & reached[1][p.dst]).sum()) for p in (view.held, view.known)]
    space = int(reached[0].sum()) * int(reached[1].sum()) - sum(inside)
    n_known = int(view.known.contains_codes(codes).sum())
    rate = min((len(codes) - n_known) / max(space, 1), 1 - 1e-12)
    hits = view.held.contains_codes(codes).any()
    if hits or n_known > 0.02 * inside[1] or not _lacks(rate, inside[0]):
        return None
    why = f"names {100 * rate:.0f} % of all false pairs: the true ones are those that it lacks"
    return Verdict(True, view.held.code, why, "complement")


def _lacks(rate: float, n_held: int) -> bool:
    """Whether a set of `rate` of all false pairs can hold none of the true ones by chance."""
    return rate >= 0.5 and n_held * np.log1p(-rate) < np.log(CHANCE)


# ---- edges between the ends ----------------------------------------------------------------------


def direct(view: View) -> Found:
    """Edges between the very ends, in either direction."""
    for edge in view.observed.edges:
        src, dst = view.positions(edge)
        if (edge[0], edge[2]) == (view.a, view.b):
            yield from _direct(view, edge, True, view.whole.codes(src, dst))
        if (edge[2], edge[0]) == (view.a, view.b):
            yield from _direct(view, edge, False, view.whole.codes(dst, src))


def _direct(view: View, edge: EdgeType, forward: bool, codes: np.ndarray) -> Found:
    codes = distinct(codes[codes >= 0])
    hits = codes[view.held.contains_codes(codes)]
    new = int((~view.known.contains_codes(codes)).sum())
    is_target = edge == view.target and forward
    remedy = "filter those rows out of the graph" if is_target else f"drop the edges {edge}"
    if len(hits):
        kind = {(True, True): "pair", (False, True): "twin"}.get((is_target, forward), "reverse")
        why = f"joins {len(hits):,} held-out pairs, among {new:,} new ones"
        unsure = _may_be_predicted(view, edge) and 2 * len(hits) < new
        why += "; predictions may hit by skill" if unsure else ""
        yield not unsure, view.finding(kind, title(edge), why, remedy, hits)
    elif 0 < len(codes) == new and _never_true(view, edge):
        rate = new / max(view.shape[0] * view.shape[1] - len(view.whole), 1)
        if _lacks(min(rate, 1 - 1e-12), len(view.held)):
            why = f"holds {100 * rate:.0f} % of all false pairs: the true ones are the others"
            yield True, view.finding("complement", title(edge), why, remedy, view.held.code)


def _may_be_predicted(view: View, edge: EdgeType) -> bool:
    said = table_lineage(view.observed.edges[edge])
    return said == "aggregate" and edge not in view.source.edges


def _never_true(view: View, edge: EdgeType) -> bool:
    """Whether the relation holds no true pair in the source either, where no split has cut it."""
    if edge not in view.source.edges:
        return True
    ends = view.source.links(edge)
    ends = ends if (edge[0], edge[2]) == (view.a, view.b) else ends[::-1]
    return not view.whole.contains(*ends).any()


# ---- nodes between the ends ----------------------------------------------------------------------

Groups = tuple[tuple[str, ...], dict[str, np.ndarray]]  # types, and the group of each node


def chains(view: View) -> Found:
    """Nodes of one type, or connected nodes of several types, that join the two ends."""
    told = np.zeros(0, np.int64)
    for types, group in _groups_of_nodes(view):
        left, right = (_touched(view, group, end) for end in (view.a, view.b))
        verdict = judge(view, left, right) if left.nnz and right.nnz else None
        if verdict is None:
            continue
        new = np.setdiff1d(verdict.codes, told)
        if len(new):
            told = view.cache["told"] = np.union1d(told, new)
            where = " ".join((view.a, *_in_order(view, types), view.b))
            named = sorted(set(types))
            remedy = f"pass evidence={named} to the split"
            if set(named) <= set(view.split.evidence):
                remedy = f"filter the {named} of held-out pairs out of the graph"
            yield verdict.certain, view.finding("path", where, verdict.why, remedy, new)


def _groups_of_nodes(view: View) -> Iterator[Groups]:
    """Single nodes first, then nodes joined by one inner relation, then by several."""
    inner = dict.fromkeys(view.observed.nodes.keys() - {view.a, view.b})
    for type in sorted(inner):
        yield (type,), {type: np.arange(view.observed.n(type))}
    edges = [e for e in view.observed.edges if {e[0], e[2]} <= inner.keys()]
    private = [e for e in edges if _is_private(view, e)]
    several = [group for group in (private, edges) if len(group) > 1]
    for chosen in [[edge] for edge in edges] + several:
        yield _joined(view, chosen)


def _is_private(view: View, edge: EdgeType) -> bool:
    """Whether the relation is one to few on both sides, on average."""
    degrees = [np.bincount(end) for end in view.observed.links(edge)]
    return all(d.sum() <= FEW_NEIGHBOURS * (d > 0).sum() for d in degrees)


def _joined(view: View, edges: list[EdgeType]) -> Groups:
    """The connected components of the nodes that these edges join."""
    types = list(dict.fromkeys(t for e in edges for t in (e[0], e[2])))
    n = [view.observed.n(t) for t in types]
    start = dict(zip(types, np.cumsum([0, *n[:-1]]), strict=True))
    links = [(e, view.observed.links(e)) for e in edges]
    src = np.concatenate([ends[0] + start[e[0]] for e, ends in links])
    dst = np.concatenate([ends[1] + start[e[2]] for e, ends in links])
    _, group = connected_components(binary(src, dst, (sum(n), sum(n))), directed=False)
    groups = {t: group[start[t] : start[t] + view.observed.n(t)] for t in types}
    return tuple(types if len(types) > 1 else 2 * types), groups


def _touched(view: View, group: dict[str, np.ndarray], end: str) -> sp.csr_array:
    """Which users or items each group of nodes touches."""
    entries = [(own, *view.touch(type, end).tocoo().coords) for type, own in group.items()]
    row = np.concatenate([own[node] for own, node, _ in entries])
    column = np.concatenate([nodes for _, _, nodes in entries])
    n_groups = max(int(own.max(initial=-1)) for own in group.values()) + 1
    return binary(row, column, (n_groups, view.source.n(end)))


def _in_order(view: View, types: tuple[str, ...]) -> tuple[str, ...]:
    """The types as one meets them on the way from the user to the item."""
    edges = [{e[0], e[2]} for e in view.observed.edges]
    left, here, out = list(types), view.a, []
    while left:
        here = next((t for t in left if {here, t} in edges), left[0])
        left.remove(here)
        out.append(here)
    return tuple(out)


# ---- copies, remnants, additions -----------------------------------------------------------------


def clones(view: View) -> Found:
    """Relations such as "same as", and copies of nodes under new ids, that carry pairs over."""
    for edge in view.observed.edges if view.a != view.b else ():
        if edge[0] == edge[2] and edge[0] in (view.a, view.b):
            yield from _same_as(view, edge)
    for side in (0, 1) if view.a != view.b else (0,):
        yield from _copies(view, side)


def _same_as(view: View, edge: EdgeType) -> Found:
    src, dst = view.positions(edge)
    ok, n = (src >= 0) & (dst >= 0) & (src != dst), view.source.n(edge[0])
    link = binary(np.append(src[ok], dst[ok]), np.append(dst[ok], src[ok]), (n, n))
    if not link.nnz or np.diff(link.indptr).max() > NARROW:
        return
    carried = (link @ view.x if edge[0] == view.a else view.x @ link).tocoo()
    verdict = judge_codes(view, view.whole.codes(*carried.coords), private=True, weak=True)
    if verdict is not None and verdict.certain:
        why = f"carries pairs from a node to its like: so it {verdict.why}"
        yield True, view.finding("clone", title(edge), why, f"drop {edge}", verdict.codes)


def _copies(view: View, side: int) -> Found:
    """New nodes whose pairs are those of a node of the source, held-out ones included."""
    end, other_end = (view.a, view.b)[side], (view.b, view.a)[side]
    if not (view.move(end) < 0).any():
        return
    links = view.observed.links(view.target)
    other = view.move(other_end)[links[1 - side]]
    ok = (view.move(end)[links[side]] < 0) & (other >= 0)
    whole = view.whole.matrix() if side == 0 else view.whole.matrix().T.tocsr()
    profile = binary(links[side][ok], other[ok], (view.observed.n(end), whole.shape[1]))
    shared = (profile @ whole.T.tocsr()).tocoo()
    row, old = shared.coords
    union = np.diff(profile.indptr)[row] + np.diff(whole.indptr)[old] - shared.data
    alike = (shared.data >= ALIKE * union) & (shared.data >= 2)
    shape = (whole.shape[0], profile.shape[0])
    ends = (binary(old[alike], row[alike], shape) @ profile).tocoo().coords
    codes = distinct(view.whole.codes(*(ends if side == 0 else ends[::-1])))
    hits = codes[view.held.contains_codes(codes)]
    if len(hits):
        why = f"has new {end!r} nodes that repeat profiles with {len(hits):,} held-out pairs"
        remedy = f"make the new {end!r} nodes from train alone"
        yield True, view.finding("clone", title(view.target), why, remedy, hits)


def remnants(view: View, told: np.ndarray) -> Found:
    """Witnesses of held-out pairs that are still there, though their edges may be gone.

    told: the pairs that leak by a path already.
    """
    for type in view.observed.nodes:
        if type in (view.a, view.b) or type not in view.source.nodes:
            continue
        codes = witnessed(view, type)
        joins = codes[codes >= 0]
        if not len(joins) or view.whole.contains_codes(joins).mean() < NEARLY_ALL:
            continue
        move = view.move(type)
        here = codes[move[move >= 0]]
        hits = np.setdiff1d(here[view.held.contains_codes(here)], told)
        if len(hits):
            why = f"still has {len(hits):,} nodes that joined held-out pairs in the source"
            remedy = f"pass evidence=[{type!r}] to the split"
            yield True, view.finding("remnant", type, why, remedy, hits)


def witnessed(view: View, type: str) -> np.ndarray:
    """The pair, as a code, that each node of the source joins; -1 for none or several."""
    key = ("witnessed", type)
    if key not in view.cache:
        touch = [touching(view.source, type, end) for end in (view.a, view.b)]
        single = (np.diff(touch[0].indptr) == 1) & (np.diff(touch[1].indptr) == 1)
        codes = np.full(len(single), -1, np.int64)
        ends = [t.indices[t.indptr[:-1][single]] for t in touch]
        codes[single] = view.whole.codes(*ends)
        view.cache[key] = codes
    return view.cache[key]


def added(view: View) -> Found:
    """Nodes and edges of types of the source that the source does not have."""
    remedy = "add them as a Delta that says on which graph it was fitted"
    for type in view.observed.nodes:
        new = int((view.move(type) < 0).sum())
        if type in view.source.nodes and new:
            why = f"has {new:,} nodes that the source lacks; where they come from is unknown"
            yield False, Finding("added", type, view.name, why, remedy, new)
    for edge in view.observed.edges:
        if edge in view.source.edges:
            ends = view.positions(edge)
            new = int((~PairIndex.of(view.source, edge).contains(*ends)).sum())
            if new:
                why = f"has {new:,} rows that the source lacks; where they come from is unknown"
                yield False, Finding("added", title(edge), view.name, why, remedy, new)
