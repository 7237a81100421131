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
from hinaug.predictors.edge_columns import EdgeColumns

BACK = "back: "  # how the name of an edge type starts that is walked the other way


@dataclass(frozen=True)
class Messages:
    """What a forward pass needs of a graph, or of a part of it.

    nodes: {type: positions in the graph [n]}. degrees: {type: [n, edge types]}. edges: for each
    layer {edge type: [2, e] places in `nodes` of sender and receiver}. n_out: for each layer {type:
    how many nodes it writes}, or None for all. edge_attr, edge_weight: for each layer {edge type:
    attributes [e, width]} and {edge type: weights [e]}, of the edge types that have some.
    """

    nodes: dict[str, np.ndarray]
    degrees: dict[str, np.ndarray]
    edges: list[dict[EdgeType, np.ndarray]]
    n_out: list[dict[str, int]] | None
    edge_attr: list[dict[EdgeType, np.ndarray]]
    edge_weight: list[dict[EdgeType, np.ndarray]]


class MessageGraph:
    """Features, degrees and edges of a graph; for each edge, the link that it would give away.

    relation: the links that are predicted. edge_types: those that messages go along, see
    `both_ways`. features: {node type: fitted encoder}. fitted_ids: {type: ids at fit time} of the
    ends of the relation. evidence: node types that witness a link. n_layers: of the network.
    columns: {edge type of the graph: fitted encoder of its columns}.

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
        columns: Mapping[EdgeType, EdgeColumns],
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
        self.attributes: dict[EdgeType, np.ndarray] = {}
        self.weight: dict[EdgeType, np.ndarray] = {}
        for edge_type in edge_types:
            self._add_edges(hin, edge_type, links, columns.get(forward(edge_type)))
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

    def _add_edges(
        self, hin: HIN, edge_type: EdgeType, links: _Links, columns: EdgeColumns | None
    ) -> None:
        """The edges of a type as CSR [receivers, senders], the links that they give away, and what
        their columns say.
        """
        walked = forward(edge_type)
        nothing = np.zeros(0, np.int64)
        src, dst = hin.links(walked) if walked in hin.edges else (nothing, nothing)
        link = links.given_away(walked, src, dst)
        sender, receiver = (src, dst) if edge_type == walked else (dst, src)
        order = np.argsort(receiver, kind="stable")
        shape = (self.n[edge_type[2]], self.n[edge_type[0]])
        counts = np.bincount(receiver, minlength=shape[0])
        indptr = np.concatenate([[0], np.cumsum(counts)])
        ones = np.ones(len(sender), np.float32)
        self.matrix[edge_type] = sp.csr_array((ones, sender[order], indptr), shape=shape)
        self.link[edge_type] = link[order]
        if columns is None or walked not in hin.edges:
            return
        weight, attributes = columns.encode(hin)
        if weight is not None:
            self.weight[edge_type] = weight[order]
        if attributes.shape[1]:
            self.attributes[edge_type] = attributes[order]

    def _degrees(self, gone: np.ndarray | None) -> dict[str, np.ndarray]:
        """log(1 + edges of each type that reach a node), without those that give away links that
        are gone. An edge counts by its weight.
        """
        out: dict[str, list[np.ndarray]] = {t: [] for t in self.n}
        for edge_type, matrix in self.matrix.items():
            receiver = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
            stay = slice(None) if gone is None else self._stays(edge_type, gone)
            weight = self.weight.get(edge_type)
            weight = None if weight is None else weight[stay]
            counts = np.bincount(receiver[stay], weight, minlength=matrix.shape[0])
            out[edge_type[2]].append(np.log1p(counts))
        return {t: np.stack(c, 1) if c else np.zeros((self.n[t], 0)) for t, c in out.items()}

    def _stays(
        self, edge_type: EdgeType, gone: np.ndarray, at: np.ndarray | slice = slice(None)
    ) -> np.ndarray:
        link = self.link[edge_type][at]
        return ~((link >= 0) & gone[link])

    def messages(self, gone: np.ndarray | None) -> Messages:
        """The whole graph, without the edges that give away a link for which `gone` is true."""
        edges, kept = {}, {}
        for edge_type, matrix in self.matrix.items():
            receiver = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
            index = np.stack([matrix.indices.astype(np.int64), receiver])
            kept[edge_type] = slice(None) if gone is None else self._stays(edge_type, gone)
            edges[edge_type] = index[:, kept[edge_type]]
        nodes = {t: np.arange(n) for t, n in self.n.items()}
        degrees = self.degrees if gone is None else self._degrees(gone)
        attributes, weights = _picked(self.attributes, kept), _picked(self.weight, kept)
        n = self.n_layers
        return Messages(nodes, degrees, [edges] * n, None, [attributes] * n, [weights] * n)

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
        edges, attributes, weights = [], [], []
        for block in blocks:
            stay = {e: self._stays(e, gone, block.edge[e]) for e in block.edge_index}
            edges.append({e: index[:, stay[e]] for e, index in block.edge_index.items()})
            kept = {e: block.edge[e][stay[e]] for e in block.edge_index}
            attributes.append(_picked(self.attributes, kept))
            weights.append(_picked(self.weight, kept))
        nodes = blocks[0].nodes
        degrees = self._degrees(gone)
        return Messages(
            nodes,
            {t: degrees[t][at] for t, at in nodes.items()},
            edges,
            [block.n_out for block in blocks],
            attributes,
            weights,
        )

    def silent(self, type: str) -> np.ndarray:
        """bool [n]: nodes of which the graph says nothing."""
        is_bare = self.degrees[type].sum(axis=1) == 0
        return is_bare & ~self.described[type] if type in self.described else is_bare


def _picked(
    values: Mapping[EdgeType, np.ndarray], rows: Mapping[EdgeType, np.ndarray | slice]
) -> dict[EdgeType, np.ndarray]:
    """The values of some edges of each type."""
    return {edge: x[rows[edge]] for edge, x in values.items() if edge in rows}


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


def forward(edge_type: EdgeType) -> EdgeType:
    """The edge type of the graph that is walked, forward or back."""
    source, name, target = edge_type
    if name.startswith(BACK):
        return target, name.removeprefix(BACK), source
    return edge_type
