"""Neighbour sampling on CSR matrices for typed graphs, in numpy: mini-batches without compiled
extensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

__all__ = ["Block", "NeighborSampler", "sample_rows"]

EdgeType = tuple[str, str, str]


@dataclass
class Block:
    """One layer of a mini-batch: edges from `nodes` into the first `n_out` of them, for each type.

    nodes: {type: positions in the graph}, those that the layer writes first. n_out: {type: how many
        it writes}.
    edge_index: {edge type: int64 [2, e]}, places in `nodes` of source and receiver. edge: {edge
    type: [e] numbers of the edges in the sampler's matrices, in CSR order}, to look up what belongs
    to an edge. `NeighborSampler` gives an example.
    """

    nodes: dict[str, np.ndarray]
    n_out: dict[str, int]
    edge_index: dict[EdgeType, np.ndarray]
    edge: dict[EdgeType, np.ndarray]


def sample_rows(
    indptr: np.ndarray, rows: np.ndarray, k: int | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(place in `rows`, number of the entry) of at most k entries of each CSR row, drawn without
    replacement; None: all.

    Example
    -------
    >>> indptr, rows = np.array([0, 3, 4]), np.array([1, 0])  # the first row has three entries
    >>> place, entry = sample_rows(indptr, rows, None, np.random.default_rng(0))
    >>> place.tolist(), entry.tolist()
    ([0, 1, 1, 1], [3, 0, 1, 2])
    """
    start, degree = indptr[rows].astype(np.int64), np.diff(indptr)[rows].astype(np.int64)
    place = np.repeat(np.arange(len(rows)), degree)
    entry = np.arange(degree.sum()) - np.repeat(np.cumsum(degree) - degree, degree) + start[place]
    if k is None or not len(place) or degree.max() <= k:
        return place, entry
    order = np.lexsort(
        (rng.random(len(place)), place)
    )  # a random order inside each row, of which the first k stay
    rank = np.arange(len(place)) - np.repeat(np.cumsum(degree) - degree, degree)
    keep = np.sort(order[rank < k])
    return place[keep], entry[keep]


class NeighborSampler:
    """Layer-wise sampling of typed neighbours (Hamilton et al., "Inductive Representation Learning
    on Large Graphs", NeurIPS 2017).

    Each layer draws its neighbours anew, so that a mean over them is unbiased in every layer, also
    for a node that stands in several; for linear layers, so is the output. With fanout None every
    neighbour is taken, and the outputs of the seeds are those of the whole graph.

    Parameters
    ----------
    edges
        {(source type, name, receiver type): scipy CSR [receivers, sources]}; who receives is a row.

    Example
    -------
    >>> likes = sp.csr_array(np.array([[1, 1, 0], [0, 1, 1]]))  # two items, three users
    >>> sampler = NeighborSampler({("user", "likes", "item"): likes})
    >>> (block,) = sampler.blocks({"item": np.array([1])}, [2], np.random.default_rng(0))
    >>> block.nodes["user"], block.edge_index["user", "likes", "item"].shape
    (array([1, 2]), (2, 2))
    """

    def __init__(self, edges: Mapping[EdgeType, sp.csr_array]) -> None:
        self.edges = {type: sp.csr_array(matrix) for type, matrix in edges.items()}

    def blocks(
        self,
        seeds: Mapping[str, np.ndarray],
        fanout: Sequence[int | None],
        rng: np.random.Generator,
    ) -> list[Block]:
        """Blocks from the inputs to the seeds: fanout[0] is the number of neighbours for each edge
        type in the first layer.

        seeds: {type: distinct positions}. The last block writes the seeds, in their order.
        """
        out: list[Block] = []
        current = {type: np.asarray(nodes, np.int64) for type, nodes in seeds.items()}
        for k in reversed(list(fanout)):
            drawn = {}
            sources: dict[str, list[np.ndarray]] = {type: [] for type in current}
            for type, matrix in self.edges.items():
                if len(current.get(type[2], ())):
                    place, entry = sample_rows(matrix.indptr, current[type[2]], k, rng)
                    drawn[type] = place, entry
                    sources.setdefault(type[0], []).append(matrix.indices[entry].astype(np.int64))
            nodes = {}
            for name, found in sources.items():
                written = current.get(name, np.zeros(0, np.int64))
                new = np.setdiff1d(np.concatenate([np.zeros(0, np.int64), *found]), written)
                nodes[name] = np.concatenate([written, new])
            index, edge = {}, {}
            for type, (place, entry) in drawn.items():
                index[type] = np.stack(
                    [_places(nodes[type[0]], self.edges[type].indices[entry]), place]
                )
                edge[type] = entry
            out.append(Block(nodes, {n: len(current.get(n, ())) for n in nodes}, index, edge))
            current = nodes
        return out[::-1]


def _places(nodes: np.ndarray, of: np.ndarray) -> np.ndarray:
    order = np.argsort(nodes, kind="stable")
    return order[np.searchsorted(nodes, of, sorter=order)]
