"""Some of the new nodes of a delta: what goes with the others, and what such a choice narrows."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from scipy.cluster.vq import kmeans, vq

from hinaug.errors import NarrowedWarning
from hinaug.graph import arrow as tb
from hinaug.graph.schema import EdgeType

DEGREE_OFF, TOPICS_OFF = 0.10, 0.05  # shares by which a choice may differ from all, unsaid
TOPICS = 8
AXES, STEPS = 8, 10  # of the power iteration


def masks_of(
    nodes: Mapping[str, pa.Table], edges: Mapping[EdgeType, pa.Table], node: str, kept: np.ndarray
) -> dict[str, np.ndarray]:
    """{node type: which rows stay} where some new nodes stay, bool [k]: other types lose the nodes
    that only lost ones link to, such as their reviews.
    """
    linked: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    ids = tb.one_chunk(nodes[node]["id"])
    for edge, rows in edges.items():
        type, mine, far = (edge[2], "src", "dst") if edge[0] == node else (edge[0], "dst", "src")
        if node not in edge or type == node or type not in nodes:
            continue
        place = tb.lookup(ids, tb.one_chunk(rows[mine]))
        gone = (place >= 0) & ~kept[np.where(place >= 0, place, 0)]
        other = tb.lookup(tb.one_chunk(nodes[type]["id"]), tb.one_chunk(rows[far]))
        n = nodes[type].num_rows
        by_lost, by_others = linked.setdefault(type, (np.zeros(n, bool), np.zeros(n, bool)))
        by_lost[other[gone & (other >= 0)]] = True
        by_others[other[~gone & (other >= 0)]] = True
    return {node: kept} | {type: ~lost | others for type, (lost, others) in linked.items()}


def links_of(edges: Mapping[EdgeType, pa.Table], node: str, ids: pa.Array) -> list[sp.csr_array]:
    """Links of new nodes in each relation, from each end that they stand at, to targets that they
    share with each other, CSR of ones [k, m]; the largest first.
    """
    out = []
    for edge, rows in edges.items():
        for own, far in (("src", "dst"), ("dst", "src")):
            if (edge[0] if own == "src" else edge[2]) != node:
                continue
            row = tb.lookup(ids, tb.one_chunk(rows[own]))
            target = tb.one_chunk(rows[far]).dictionary_encode()
            column, new = target.indices.to_numpy(zero_copy_only=False), row >= 0
            shape = (len(ids), len(target.dictionary))
            links = sp.csr_array((np.ones(new.sum()), (row[new], column[new])), shape=shape)
            links.data[:] = 1
            out.append(links)
    return sorted((m for m in out if are_shared(m)), key=lambda m: -m.nnz)


def are_shared(links: sp.csr_array) -> bool:
    """Whether some target belongs to several nodes."""
    return bool(np.bincount(links.indices, minlength=1).max() > 1)


def topics_of(links: sp.csr_array) -> np.ndarray:
    """One of at most eight topics for each target [m]: k-means on directions of V S^2, the leading
    singular vectors and values of the links [n, m], by power iteration from a fixed start.
    """
    counts = np.bincount(links.indices, minlength=links.shape[1])
    unit = links.astype(np.float64)
    unit.data = unit.data / np.sqrt(np.maximum(counts, 1))[unit.indices]
    axes = np.random.default_rng(0).normal(size=(links.shape[1], min(AXES, *links.shape)))
    for _ in range(STEPS):
        axes = np.linalg.qr(unit.T @ (unit @ axes))[0]
    places = unit.T @ (unit @ axes)
    places /= np.maximum(np.linalg.norm(places, axis=1, keepdims=True), 1e-12)
    n_topics = min(TOPICS, len(np.unique(places.round(6), axis=0)))
    draws = np.random.default_rng(0)  # by the older name of the argument, as SciPy 1.13 has no rng
    return vq(places, kmeans(places, n_topics, iter=5, seed=draws)[0])[0].astype(np.int64)


def of_topics(links: sp.csr_array, topic: np.ndarray) -> np.ndarray:
    """How many links of each node are of each topic [n, t]."""
    return links @ np.eye(int(topic.max(initial=0)) + 1)[topic]


def warn_where_narrow(
    degree: np.ndarray, topics: np.ndarray, kept: np.ndarray, who: str, stacklevel: int
) -> None:
    """A NarrowedWarning where the kept nodes' mean degree is more than 10 % off that of all, or the
    entropy of the topics of their links more than 5 %.

    degree [k], topics [k, t]: of each node. kept: bool [k].
    """
    if not kept.any():
        return
    means = degree[kept].mean(), degree.mean()
    entropies = _entropy(topics[kept]), _entropy(topics)
    off = {"mean degree": (*means, DEGREE_OFF), "entropy of topics": (*entropies, TOPICS_OFF)}
    for name, (some, everyone, most) in off.items():
        if abs(some - everyone) > most * everyone:
            warnings.warn(
                f"{who}: {name} of the {int(kept.sum()):,} nodes kept is {some:.3g}, of all "
                f"{everyone:.3g}; keep more, or as many of each kind, see most_real(balanced=True)",
                NarrowedWarning,
                stacklevel=stacklevel + 1,
            )


def _entropy(topics: np.ndarray) -> float:
    p = topics.sum(axis=0) / max(topics.sum(), 1)
    return float(-(p * np.log(np.maximum(p, 1e-30))).sum())
