"""A typed graph as arrays to send messages along, without the edges that give links away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.errors import ParameterError
from hinaug.features.columns import Features
from hinaug.graph import arrow as tb
from hinaug.graph.evidence import touching
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType
from hinaug.nn.sampling import NeighborSampler

BACK = "back: "  # how the name of an edge type starts that is walked the other way


@dataclass(frozen=True)
class Messages:
    """What a forward pass needs of a graph, or of a part of it.

    nodes: {type: positions in the graph [n]}. degrees: {type: [n, edge types]}. edges: for each
    layer {edge type: [2, e] places in `nodes` of sender and receiver}. n_out: for each layer {type:
    how many nodes it writes}, or None for all.
    """

    nodes: dict[str, np.ndarray]
    degrees: dict[str, np.ndarray]
    edges: list[dict[EdgeType, np.ndarray]]
    n_out: list[dict[str, int]] | None


class MessageGraph:
    """Features, degrees and edges of a graph; for each edge, the link that it would give away.

    relation: the links that are predicted. edge_types: those that messages go along, see
    `both_ways`. features: {node type: fitted encoder}. fitted_ids: {type: ids at fit time} of the
    ends of the relation. evidence: node types that witness a link. n_layers: of the network.

    n {type: nodes}; known {type: position at fit time or -1}; matrix {edge type: CSR [receivers,
    senders]}; link {edge type: [edges] number of the link that the edge gives away, or -1}, both in
    CSR order.
    """

    def __init__(
        self,
        hin: HIN,
        relation: EdgeType,
        edge_types: Sequence[EdgeType],
        features: Mapping[str, Features],
        fitted_ids: Mapping[str, pa.Array],
        evidence: Sequence[str],
        n_layers: int,
    ) -> None:
        self.relation, self.n_layers = relation, n_layers
        self.n = {t: hin.n(t) for t in hin.nodes}
        self._check_types(edge_types)
        encoded = {t: f.encode(hin) for t, f in features.items() if t in hin.nodes}
        self.features = {t: rows for t, (rows, _) in encoded.items()}
        self.described = {t: has_any for t, (_, has_any) in encoded.items()}
        self.known = {
            t: tb.lookup(ids, hin.nodes[t]["id"].chunk(0)).astype(np.int64)
            for t, ids in fitted_ids.items()
        }
        links = _Links(hin, relation, evidence)
        self.matrix: dict[EdgeType, sp.csr_array] = {}
        self.link: dict[EdgeType, np.ndarray] = {}
        for edge_type in edge_types:
            self.matrix[edge_type], self.link[edge_type] = self._edges(hin, edge_type, links)
        self.sampler = NeighborSampler(self.matrix)
        self.degrees = self._degrees(None)

    def _check_types(self, edge_types: Sequence[EdgeType]) -> None:
        missing = [e for e in edge_types if e[0] not in self.n or e[2] not in self.n]
        if missing:
            raise ParameterError(
                f"HeteroGNN was fitted on a graph with {missing[0]} edges; this one lacks the "
                "node type",
                asked=missing[0],
                there=list(self.n),
            )

    def _edges(
        self, hin: HIN, edge_type: EdgeType, links: _Links
    ) -> tuple[sp.csr_array, np.ndarray]:
        """The edges of a type as CSR [receivers, senders], and the links that they give away."""
        forward = _forward(edge_type)
        nothing = np.zeros(0, np.int64)
        src, dst = hin.links(forward) if forward in hin.edges else (nothing, nothing)
        link = links.given_away(forward, src, dst)
        sender, receiver = (src, dst) if edge_type == forward else (dst, src)
        order = np.argsort(receiver, kind="stable")
        shape = (self.n[edge_type[2]], self.n[edge_type[0]])
        counts = np.bincount(receiver, minlength=shape[0])
        indptr = np.concatenate([[0], np.cumsum(counts)])
        ones = np.ones(len(sender), np.float32)
        return sp.csr_array((ones, sender[order], indptr), shape=shape), link[order]

    def _degrees(self, gone: np.ndarray | None) -> dict[str, np.ndarray]:
        """log(1 + edges of each type that reach a node), without those that give away links that
        are gone.
        """
        out: dict[str, list[np.ndarray]] = {t: [] for t in self.n}
        for edge_type, matrix in self.matrix.items():
            receiver = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
            stay = slice(None) if gone is None else self._stays(edge_type, gone)
            counts = np.bincount(receiver[stay], minlength=matrix.shape[0])
            out[edge_type[2]].append(np.log1p(counts))
        return {t: np.stack(c, 1) if c else np.zeros((self.n[t], 0)) for t, c in out.items()}

    def _stays(
        self, edge_type: EdgeType, gone: np.ndarray, at: np.ndarray | slice = slice(None)
    ) -> np.ndarray:
        link = self.link[edge_type][at]
        return ~((link >= 0) & gone[link])

    def messages(self, gone: np.ndarray | None) -> Messages:
        """The whole graph, without the edges that give away a link for which `gone` is true."""
        edges = {}
        for edge_type, matrix in self.matrix.items():
            receiver = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
            index = np.stack([matrix.indices.astype(np.int64), receiver])
            edges[edge_type] = index if gone is None else index[:, self._stays(edge_type, gone)]
        nodes = {t: np.arange(n) for t, n in self.n.items()}
        degrees = self.degrees if gone is None else self._degrees(gone)
        return Messages(nodes, degrees, [edges] * self.n_layers, None)

    def batch(
        self,
        users: np.ndarray,
        items: np.ndarray,
        gone: np.ndarray,
        fanout: int,
        rng: np.random.Generator,
    ) -> Messages:
        """As `messages`, for a mini-batch that writes these users and items."""
        seeds = {self.relation[0]: users, self.relation[2]: items}
        blocks = self.sampler.blocks(seeds, [fanout] * self.n_layers, rng)
        edges = []
        for block in blocks:
            stay = {e: self._stays(e, gone, block.edge[e]) for e in block.edge_index}
            edges.append({e: index[:, stay[e]] for e, index in block.edge_index.items()})
        nodes = blocks[0].nodes
        degrees = self._degrees(gone)
        return Messages(
            nodes,
            {t: degrees[t][at] for t, at in nodes.items()},
            edges,
            [block.n_out for block in blocks],
        )

    def silent(self, type: str) -> np.ndarray:
        """bool [n]: nodes of which the graph says nothing."""
        is_bare = self.degrees[type].sum(axis=1) == 0
        return is_bare & ~self.described[type] if type in self.described else is_bare


class _Links:
    """The links of the relation, numbered in CSR order, and what witnesses them."""

    def __init__(self, hin: HIN, relation: EdgeType, evidence: Sequence[str]) -> None:
        matrix = hin.adjacency(relation).sorted_indices()
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        self.ends, self.width = (relation[0], relation[2]), matrix.shape[1]
        self.codes = rows * self.width + matrix.indices
        self.witness = {type: self._witnessed(hin, type) for type in evidence}

    def given_away(self, edge_type: EdgeType, src: np.ndarray, dst: np.ndarray) -> np.ndarray:
        """The number of the link that each edge would give away, -1 for none."""
        link = np.full(len(src), -1)
        if (edge_type[0], edge_type[2]) == self.ends:
            link = self.find(src, dst)
        elif (edge_type[2], edge_type[0]) == self.ends:
            link = self.find(dst, src)
        for end, at in ((edge_type[0], src), (edge_type[2], dst)):
            if end in self.witness:
                link = np.where(link < 0, self.witness[end][at], link)
        return link

    def find(self, src: np.ndarray, dst: np.ndarray) -> np.ndarray:
        """The numbers of pairs of positions, -1 where there is no such link."""
        wanted = src.astype(np.int64) * self.width + dst
        if not len(self.codes):
            return np.full(len(wanted), -1)
        at = np.minimum(np.searchsorted(self.codes, wanted), len(self.codes) - 1)
        return np.where(self.codes[at] == wanted, at, -1)

    def _witnessed(self, hin: HIN, type: str) -> np.ndarray:
        """For each node of an evidence type the link that it witnesses, -1 for none."""
        first_neighbours = []
        for end in self.ends:
            near = touching(hin, type, end)
            first = np.full(hin.n(type), -1, np.int64)
            some = np.diff(near.indptr) > 0
            first[some] = near.indices[near.indptr[:-1][some]]
            first_neighbours.append(first)
        src, dst = first_neighbours
        return np.where((src >= 0) & (dst >= 0), self.find(src, dst), -1)


def both_ways(edge_types: Iterable[EdgeType]) -> list[EdgeType]:
    """Each edge type, and the same walked the other way."""
    out = []
    for source, name, target in edge_types:
        out += [(source, name, target), (target, BACK + name, source)]
    return out


def _forward(edge_type: EdgeType) -> EdgeType:
    """The edge type of the graph that is walked, forward or back."""
    source, name, target = edge_type
    if name.startswith(BACK):
        return target, name.removeprefix(BACK), source
    return edge_type
