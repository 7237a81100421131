"""What a graph says of the nodes of one type: their links in every relation, and what records them.

A relation between nodes of one type is seen from both ends: whom a node follows, and by whom it is
followed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.errors import ParameterError
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType

BY_CHANCE = 5.0  # links missing by chance, of which there would be none once in 150 graphs
RECORDED = 0.9  # share of the pairs of a node type that are links, from which it records these
Key = tuple[EdgeType, bool]  # a relation, and whether its edges run into the node


@dataclass(eq=False)
class View:
    """The links of n nodes in one relation, seen from them.

    relation: the edge type. into: whether its edges run into these nodes.
    targets: external ids of the m nodes at the other end. position: theirs [m] among the observed
        nodes of the graph at hand; -1 for one that it lacks.
    links: CSR of ones [n, m]. edge: the row of the edge table [nnz] of each link, the first of
        parallel ones, in the order of `links`.
    """

    relation: EdgeType
    into: bool
    targets: pa.Array
    position: np.ndarray
    links: sp.csr_array
    edge: np.ndarray

    @property
    def key(self) -> Key:
        return self.relation, self.into

    @property
    def other(self) -> str:
        """The node type at the other end."""
        return self.relation[0] if self.into else self.relation[2]

    @property
    def degree(self) -> np.ndarray:
        """Links of each node, int64 [n]."""
        return np.diff(self.links.indptr).astype(np.int64)

    @property
    def counts(self) -> np.ndarray:
        """Links of each target, int64 [m]."""
        return np.bincount(self.links.indices, minlength=self.links.shape[1]).astype(np.int64)

    def rows(self, rows: np.ndarray) -> View:
        """The view from some of the nodes, ascending."""
        kept = np.zeros(self.links.shape[0], bool)
        kept[rows] = True
        of_link = np.repeat(kept, np.diff(self.links.indptr))
        links = self.links[rows]
        return View(
            self.relation, self.into, self.targets, self.position, links, self.edge[of_link]
        )


@dataclass(frozen=True)
class Witness:
    """A node type that records links, such as reviews: each joins one node with one target.

    type: the node type. own: the edge type to the node. about: the one to the target. key: of the
    view whose links it records.
    """

    type: str
    own: EdgeType
    about: EdgeType
    key: Key


def keys_of(hin: HIN, node: str, without: Collection[str] = ()) -> list[Key]:
    """The relations of a node type, from each end that it stands at, the largest first.

    without: node types whose relations are left out.
    """
    keys = []
    for edge in hin.edges:
        if {edge[0], edge[2]} & set(without) or not hin.n(edge):
            continue
        keys += [(edge, False)] if edge[0] == node else []
        keys += [(edge, True)] if edge[2] == node else []
    return sorted(keys, key=lambda key: (-hin.n(key[0]), key))


def view_of(hin: HIN, key: Key, targets: pa.Array | None = None) -> View:
    """One view of all observed nodes.

    targets: external ids that the links are counted over, in this order. None takes the observed
        nodes at the other end.
    """
    relation, into = key
    node, other = (relation[2], relation[0]) if into else (relation[0], relation[2])
    ids = tb.one_chunk(hin.observed().nodes[other]["id"])
    targets = ids if targets is None else targets
    position = tb.lookup(ids, targets).astype(np.int64)
    column = np.full(len(ids) + 1, -1)
    column[position] = np.arange(len(targets))
    column[-1] = -1
    src, dst = hin.links(relation)
    own, far = (dst, src) if into else (src, dst)
    seen = np.flatnonzero((own < hin.n_observed(node)) & (far < len(ids)))
    seen = seen[column[far[seen]] >= 0]
    m = len(targets)
    code = own[seen].astype(np.int64) * m + column[far[seen]]
    code, first = np.unique(code, return_index=True)
    row, col = np.divmod(code, max(m, 1))
    shape = (hin.n_observed(node), m)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=shape[0]))])
    links = sp.csr_array((np.ones(len(col), np.float32), col, indptr), shape=shape)
    return View(relation, into, targets, position, links, seen[first])


def is_exclusive(view: View) -> bool:
    """Whether each target belongs to one node alone, as a receipt to its buyer, so that a new node
    would need targets of its own.
    """
    return view.links.nnz > 1 and view.counts.max() == 1


def containing(views: Sequence[View]) -> list[int]:
    """For each view an earlier one that has all its links, as visits hold purchases and a reverse
    relation its own; -1 for none. Views that could do so by chance do not count.
    """
    out = [-1] * len(views)
    for at, view in enumerate(views):
        for before, other in enumerate(views[:at]):
            if out[before] < 0 and _holds(other, view):
                out[at] = before
                break
    return out


def _holds(one: View, other: View) -> bool:
    """Whether a view has all links of another, and not by chance."""
    if one.other != other.other or not one.targets.equals(other.targets):
        return False
    density = one.links.nnz / max(np.prod(one.links.shape), 1)
    if other.links.nnz * (1 - density) < BY_CHANCE:
        return False
    return bool(np.isin(codes_of(other), codes_of(one)).all())


def named_keys(
    hin: HIN, node: str, relations: Sequence[EdgeType], who: str, without: Collection[str] = ()
) -> list[Key]:
    """The views of named relations; ParameterError for one that does not touch the node type."""
    for relation in relations:
        hin.edges[relation]  # raises, naming what there is
        if node not in (relation[0], relation[2]):
            there = [edge for edge in hin.edges if node in (edge[0], edge[2])]
            raise ParameterError(
                f"{who}: {relation} does not touch {node!r} nodes; name some of {there} with "
                "relations=",
                asked=relation,
                there=there,
            )
    return [key for key in keys_of(hin, node, without) if key[0] in relations]


# ---- what records links --------------------------------------------------------------------------


def witnesses(hin: HIN, node: str) -> list[Witness]:
    """The node types that record links of a node type: each of their nodes joins one node with one
    target, and nine of ten such pairs are linked.
    """
    found = [
        Witness(type, own, about, key)
        for own in hin.edges
        for type, node_of in _joined_once(hin, own, node)
        for about in hin.edges
        if about != own and type in (about[0], about[2])
        for key in _recorded(hin, node, type, node_of, about)
    ]
    return list({witness.type: witness for witness in reversed(found)}.values())


def _joined_once(hin: HIN, own: EdgeType, node: str) -> list[tuple[str, np.ndarray]]:
    """The node type at the other end of `own`, where each of its nodes has one node of type `node`;
    with that node.
    """
    if node not in (own[0], own[2]) or own[0] == own[2]:
        return []
    type = own[2] if own[0] == node else own[0]
    node_of = _only_end(hin, own, type)
    return [] if node_of is None else [(type, node_of)]


def _only_end(hin: HIN, edge: EdgeType, type: str) -> np.ndarray | None:
    """For each observed node of `type` the one node that it is joined with, -1 for none; None
    where some are joined with several.
    """
    n = hin.n_observed(type)
    src, dst = hin.links(edge)
    mine, far = (src, dst) if edge[0] == type else (dst, src)
    observed = mine < n
    mine, far = mine[observed], far[observed]
    if len(mine) == 0 or np.bincount(mine, minlength=n).max() > 1:
        return None
    out = np.full(n, -1, np.int64)
    out[mine] = far
    return out


def _recorded(hin: HIN, node: str, type: str, node_of: np.ndarray, about: EdgeType) -> list[Key]:
    """The view whose links nodes of `type` record, if there is one."""
    other = about[2] if about[0] == type else about[0]
    target_of = _only_end(hin, about, type)
    if target_of is None or other == type:
        return []
    both = (node_of >= 0) & (target_of >= 0)
    for key in keys_of(hin, node, without=(type,)):
        if (key[0][0] if key[1] else key[0][2]) != other:
            continue
        view = view_of(hin, key)
        known = both & (node_of < view.links.shape[0]) & (target_of < view.links.shape[1])
        asked = node_of[known] * view.links.shape[1] + target_of[known]
        if len(asked) and np.isin(asked, codes_of(view)).mean() >= RECORDED:
            return [key]
    return []


def codes_of(view: View) -> np.ndarray:
    """row x m + column of each link, ascending."""
    row = np.repeat(np.arange(view.links.shape[0], dtype=np.int64), view.degree)
    return row * view.links.shape[1] + view.links.indices


def record_of(hin: HIN, witness: Witness, view: View) -> np.ndarray:
    """The position of a node that records each link of a view over all observed nodes [nnz]; -1
    where there is none.
    """
    node_of = _only_end(hin, witness.own, witness.type)
    target_of = _only_end(hin, witness.about, witness.type)
    out = np.full(view.links.nnz, -1, np.int64)
    if node_of is None or target_of is None or not out.size:
        return out
    column = np.full(hin.n(view.other) + 1, -1, np.int64)
    column[view.position[view.position >= 0]] = np.flatnonzero(view.position >= 0)
    target = column[target_of]
    known = np.flatnonzero((node_of >= 0) & (node_of < view.links.shape[0]) & (target >= 0))
    asked = node_of[known] * view.links.shape[1] + target[known]
    codes = codes_of(view)
    at = np.minimum(np.searchsorted(codes, asked), len(codes) - 1)
    hit = codes[at] == asked
    out[at[hit]] = known[hit]
    return out


def views_of(hin: HIN, targets: Mapping[Key, pa.Array]) -> list[View]:
    """The views that were noted at fit time, over the targets of then."""
    return [view_of(hin, key, ids) for key, ids in targets.items()]
