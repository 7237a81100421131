"""What recommenders learn from generated nodes: trained on them, judged on real people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.checks import kind
from hinaug.errors import KindError, ParameterError
from hinaug.evaluation.fidelity.tree import Property, group
from hinaug.evaluation.sample import ENDS, Sample, Side
from hinaug.generators import random_delta
from hinaug.graph import arrow as tb
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.predictors.base import FoldsIn
from hinaug.training.ranking import ndcg, tie_order, top_k

K = 20
HIDDEN = 0.2  # part of the links of a held-out node that is asked for
CONTROLS = {
    "random": "links drawn uniformly, columns one by one",
    "popularity": "links drawn by popularity, columns one by one",
    "shuffled": "the generated links, dealt out anew among the generated nodes",
}


def useful(
    real: HIN,
    delta: Delta,
    held_out: Sample | None,
    students: Sequence[FoldsIn],
    rng: np.random.Generator,
) -> Property:
    """NDCG@20 of students on the hidden links of held-out nodes, for each source of training data.

    Each held-out node shows four fifths of its links, and the student, which has never seen it,
    ranks the rest (`fold_in`). Two properties of each student:

        alone     trained on generated nodes alone; score = NDCG / NDCG of real nodes alone, up to 1
        added     real and generated nodes; score = that NDCG / the larger of the two, so 1 where
                  adding does no harm. The figure is the relative gain over real nodes alone.

    The parts of both are the same for deltas of the same size that ignore what is learned: random,
    popularity and shuffled; the best of them is the floor.
    """
    if not students or held_out is None:
        return Property("useful", says="pass students= and held_out= to judge it")
    parts = [_student(real, delta, held_out, student, rng) for student in students]
    return group("useful", parts)


def check_students(students: Sequence[Any], held_out: Any, node: str) -> None:
    """KindError for what cannot fold in, ParameterError for a student of other nodes, or where
    there is nobody to judge it on.
    """
    for student in students:
        _side(student, node)
    if len(students) and held_out is None:
        raise ParameterError(
            "fidelity: students are judged on nodes that the generator has not seen; pass "
            "held_out=, a graph of such nodes",
            asked="held_out",
        )


def _student(
    real: HIN, delta: Delta, held_out: Sample, student: FoldsIn, rng: np.random.Generator
) -> Property:
    side = _side(student, held_out.node)
    seed, cut = int(rng.integers(2**32)), np.random.default_rng(int(rng.integers(2**32)))
    exam = _Exam(held_out, side, *_hidden(held_out.links(side), cut))
    deltas = {
        "generated": delta,
        "random": random_delta(real, delta, seed, by="uniform"),
        "popularity": random_delta(real, delta, seed, by="popularity"),
        "shuffled": shuffled(delta, np.random.default_rng(seed)),
    }
    plain = exam.mark(student, _oriented(real, side, alone=False), seed)
    marks: dict[str, dict[str, float]] = {"alone": {}, "added": {}}
    for name, one in deltas.items():
        for how, of in marks.items():
            graph = _oriented(real + one, side, alone=how == "alone")
            of[name] = exam.mark(student, graph, seed)
    name = type(student).__name__
    figures = f"NDCG@{K}: real nodes alone {plain:.4f}"
    return group(
        name,
        [_alone(marks["alone"], plain, figures), _added(marks["added"], plain, figures)],
    )


def _alone(marks: dict[str, float], plain: float, figures: str) -> Property:
    scores = {n: min(m / plain, 1.0) if plain else 0.0 for n, m in marks.items()}
    parts = [
        Property(n, s, 1.0, None, marks[n], f"NDCG@{K}{_control(n)}") for n, s in scores.items()
    ]
    floor = max(scores[n] for n in CONTROLS)
    says = f"{figures}, generated nodes alone {marks['generated']:.4f}"
    return Property(
        "alone", scores["generated"], 1.0, floor, marks["generated"], says, parts=tuple(parts)
    )


def _added(marks: dict[str, float], plain: float, figures: str) -> Property:
    best = max(plain, 1e-12)
    scores = {n: min(m / best, 1.0) for n, m in marks.items()}
    gains = {n: m / best - 1 for n, m in marks.items()}
    parts = [Property(n, scores[n], 1.0, None, g, f"gain{_control(n)}") for n, g in gains.items()]
    floor = max(scores[n] for n in CONTROLS)
    control = max(gains[n] for n in CONTROLS)
    says = (
        f"{figures}, with generated nodes {marks['generated']:.4f} "
        f"({100 * gains['generated']:+.1f} %; best control {100 * control:+.1f} %)"
    )
    return Property(
        "added", scores["generated"], 1.0, floor, gains["generated"], says, parts=tuple(parts)
    )


def _control(name: str) -> str:
    return f"; control: {CONTROLS[name]}" if name in CONTROLS else ""


def _side(student: Any, node: str) -> Side:
    if not isinstance(student, FoldsIn):
        raise KindError(
            f"fidelity: students fold in nodes that they have not seen; {kind(student)} cannot; "
            "pass such as EASE, ALS or LightGCN",
            asked=kind(student),
        )
    relation = student.relation
    if node not in (relation[0], relation[2]):
        raise ParameterError(
            f"fidelity: the student scores {relation}, which does not touch {node!r} nodes",
            asked=relation,
            there=node,
        )
    return Side(relation, relation[0] == node)


def _oriented(graph: HIN, side: Side, *, alone: bool) -> HIN:
    """The graph to train on; where the node is a target, the relation turned round.

    alone: without the observed links of the relation.
    """
    if side.forward:
        if not alone:
            return graph
        return graph.filter_edges(side.edge, np.zeros(graph.observed().n(side.edge), bool))
    node, name, other = side.edge[2], side.edge[1], side.edge[0]
    links = graph.table(side.edge)
    if alone and "origin" in links.column_names:
        links = links.filter(links["origin"].is_valid())
    nodes = {
        t: graph.nodes[t].select(
            [c for c in graph.nodes[t].column_names if c == "id" or c not in ENDS]
        )
        for t in (node, other)
    }
    edges = {"src": links["dst"], "dst": links["src"]}
    return HIN(nodes, {(node, name, other): pa.table(edges)})


def shuffled(delta: Delta, rng: np.random.Generator) -> Delta:
    """The delta with the far ends of its edges dealt out anew among its generated nodes."""
    edges = {}
    for (source, name, target), table in delta.edges.items():
        mine = "src" if source in delta.nodes else "dst"
        far = "dst" if mine == "src" else "src"
        dealt = table[far].take(pa.array(rng.permutation(table.num_rows)))
        pairs = pa.table({mine: table[mine], far: dealt, "confidence": table["confidence"]})
        once = pairs.group_by([mine, far], use_threads=False).aggregate([("confidence", "max")])
        edges[source, name, target] = once.rename_columns([mine, far, "confidence"]).select(
            ["src", "dst", "confidence"]
        )
    nodes = {
        type: table.select([c for c in table.column_names if c not in ("key", "origin")])
        for type, table in delta.nodes.items()
    }
    return Delta(nodes, edges, origin="shuffled")


def _hidden(links: sp.csr_array, rng: np.random.Generator) -> tuple[sp.csr_array, sp.csr_array]:
    """Links of each row that are shown, and those that are asked for; rows of one link show it."""
    size = np.diff(links.indptr)
    row = np.repeat(np.arange(links.shape[0]), size)
    order = np.lexsort((rng.random(links.nnz), row))
    rank = np.empty(links.nnz, np.int64)
    rank[order] = np.arange(links.nnz) - links.indptr[row[order]]
    asked = rank < np.where(size > 1, np.maximum(np.round(HIDDEN * size), 1), 0)[row]
    parts = []
    for keep in (~asked, asked):
        where = (row[keep], links.indices[keep])
        parts.append(sp.csr_array((np.ones(keep.sum(), np.float32), where), shape=links.shape))
    return parts[0], parts[1]


class _Exam:
    """Held-out nodes with some links shown, and others asked for."""

    def __init__(
        self, held_out: Sample, side: Side, shown: sp.csr_array, asked: sp.csr_array
    ) -> None:
        rows = np.flatnonzero(np.diff(asked.indptr))
        if not len(rows):
            raise ParameterError(
                f"fidelity: no held-out {held_out.node!r} node has two {side.edge} links, so none "
                "can be hidden",
                asked=side.edge,
            )
        self.sample, self.side = held_out.take(rows), side
        self.shown, self.asked = shown[rows], asked[rows]
        self.ties = tie_order(held_out.like, side.other)

    def mark(self, student: FoldsIn, graph: HIN, seed: int) -> float:
        """NDCG@20 of a fresh student that is trained on the graph."""
        relation = (self.sample.node, self.side.edge[1], self.side.other)
        fitted = student.clone(relation=relation).fit(graph, rng=seed)
        here = self.sample.like.nodes[self.side.other]["id"].chunk(0)
        at = tb.lookup(fitted.dst_ids_, here).astype(np.int64)
        known = np.flatnonzero(at >= 0)
        entries = self.shown.tocoo()
        row, column = entries.coords
        keep = at[column] >= 0
        history = sp.csr_array(
            (np.ones(keep.sum(), np.float32), (row[keep], at[column[keep]])),
            shape=(len(self.sample), len(fitted.dst_ids_)),
        )
        table = self.sample.table if self.sample.table.num_columns else None
        found = fitted.fold_in(history, table)
        scores = np.full(self.shown.shape, np.nan, np.float32)
        scores[:, known] = found[:, at[known]]
        ranked, _ = top_k(scores, min(K, scores.shape[1]), self.shown, ties=self.ties)
        padded = np.pad(ranked, ((0, 0), (0, K - ranked.shape[1])), constant_values=-1)
        return float(np.nanmean(ndcg(padded, self.asked, K)))
