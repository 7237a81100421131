"""How real generated nodes look to a classifier that has not seen them, and the most real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from scipy.special import logit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from hinaug import checks
from hinaug.checks import Rng
from hinaug.errors import SchemaError
from hinaug.features.kinds import decoded
from hinaug.generators.base import resolve_size
from hinaug.generators.entities.attributes import Encoded, attribute_kinds
from hinaug.generators.entities.axes import leading_axes
from hinaug.generators.pairs import rows_at_once
from hinaug.graph import arrow as tb
from hinaug.graph import expect, narrowing
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.schema import PROVENANCE, EdgeType

FOLDS = 5
AXES = 16
DEGREE_GROUPS = 4
FEW = 20  # sources in a half, below which nothing is learned
ENCODED = ("words", "ordered", "continuous")


@dataclass
class Realness:
    """made [k], real [n]: probability of being real, as a classifier says that has seen no node of
    the source; half of all are taken to be real. auc: of telling them apart.
    """

    made: np.ndarray
    real: np.ndarray
    auc: float


def realness(
    real: Sequence[sp.csr_array],
    made: Sequence[sp.csr_array],
    source: np.ndarray,
    rng: np.random.Generator,
    columns: tuple[np.ndarray, np.ndarray] | None = None,
) -> Realness:
    """Probability that nodes are real, by boosted trees in five folds grouped by source, calibrated
    by Platt scaling ("Probabilistic Outputs for Support Vector Machines", 1999) on other sources.

    Real nodes are cut in halves. Axes and popularity of links are learned on one half; nodes of the
    other, and those made after them, are judged: a generator has seen all of them, but the numbers
    by which they are judged have not (learned on the judged nodes too, real ones give themselves
    away).

    Parameters
    ----------
    real, made
        Links in each relation, CSR [n, m] and [k, m].
    source
        The real row that each made node goes with, [k].
    columns
        Attributes as numbers, [n, w] and [k, w].
    """
    n, k = real[0].shape[0], made[0].shape[0]
    out = Realness(np.full(k, 0.5), np.full(n, 0.5), 0.5)
    half = rng.permutation(n) % 2 if n >= 2 * FEW else np.zeros(n, np.int64)
    aucs = []
    for side in (0, 1) if n >= 2 * FEW else ():
        judged, whose = np.flatnonzero(half == side), np.flatnonzero(half[source] == side)
        seen = [_LinkNumbers(x[half != side]) for x in real]
        x = np.vstack(
            [
                _numbers(seen, real, columns and columns[0], judged),
                _numbers(seen, made, columns and columns[1], whose),
            ]
        )
        y = np.repeat([1, 0], [len(judged), len(whose)])
        p = _out_of_fold(x, y, np.concatenate([judged, source[whose]]), rng)
        out.real[judged], out.made[whose] = p[: len(judged)], p[len(judged) :]
        if 0 < y.mean() < 1:
            aucs.append(float(roc_auc_score(y, p)))
    out.auc = float(np.mean(aucs)) if aucs else 0.5
    return out


def _numbers(
    seen: Sequence[_LinkNumbers],
    links: Sequence[sp.csr_array],
    columns: np.ndarray | None,
    rows: np.ndarray,
) -> np.ndarray:
    """Links and columns of some nodes as numbers."""
    parts = [numbers(x[rows]) for numbers, x in zip(seen, links, strict=True)]
    return np.hstack(parts if columns is None else [*parts, columns[rows]])


class _LinkNumbers:
    """Links of nodes as numbers: degree, popularity, how well targets go together, place on axes;
    all learned from other nodes.
    """

    def __init__(self, basis: sp.csr_array) -> None:
        self.counts = np.bincount(basis.indices, minlength=basis.shape[1])
        unit = basis.astype(np.float64)
        unit.data = unit.data / np.sqrt(np.maximum(self.counts, 1))[unit.indices]
        self.unit, self.axes = unit, leading_axes(unit, AXES, seed=0)[1]

    def __call__(self, links: sp.csr_array) -> np.ndarray:
        n = np.diff(links.indptr)
        together = links @ self.unit.T
        everyone = np.asarray(together.multiply(together).sum(axis=1)).ravel()
        pairs = everyone - links @ (self.counts > 0)
        return np.column_stack(
            [
                np.log1p(n),
                links @ np.log1p(self.counts) / np.maximum(n, 1),
                pairs / np.maximum(n * (n - 1), 1),
                links @ self.axes / np.sqrt(np.maximum(n, 1))[:, None],
            ]
        )


def _out_of_fold(
    x: np.ndarray, y: np.ndarray, group: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Calibrated probabilities [n], from trees and scaling that have seen no row of the group."""
    _, place = np.unique(group, return_inverse=True)
    fold = rng.permutation(place.max() + 1)[place] % FOLDS
    weight = np.where(y == 1, 1 / max(y.mean(), 1e-9), 1 / max(1 - y.mean(), 1e-9))
    seed, out = int(rng.integers(2**31)), np.full(len(y), 0.5)
    for one in range(FOLDS):
        test, scaling = fold == one, fold == (one + 1) % FOLDS
        train = ~test & ~scaling
        if not (test.any() and all(0 < y[part].mean() < 1 for part in (train, scaling))):
            continue
        # weights make these trees slow; those of the logistic regression below are enough
        trees = HistGradientBoostingClassifier(
            max_iter=50, max_leaf_nodes=8, min_samples_leaf=10, random_state=seed
        ).fit(x[train], y[train])
        score = logit(np.clip(trees.predict_proba(x)[:, 1], 1e-6, 1 - 1e-6))[:, None]
        line = LogisticRegression(C=1.0).fit(score[scaling], y[scaling], weight[scaling])
        out[test] = line.predict_proba(score[test])[:, 1]
    return out


# ---- of deltas -----------------------------------------------------------------------------------


def with_realness(
    delta: Delta,
    hin: HIN,
    node: str,
    *,
    source: np.ndarray | None = None,
    rng: Rng = None,
) -> Delta:
    """The same delta, with the probability of being real as the confidence of each new node and of
    its links; see `realness`. It knows links to observed nodes, and attributes.

    Parameters
    ----------
    delta
        With new nodes of the type, linked with nodes of `hin`.
    hin
        The graph that the delta is for.
    node
        The type of the new nodes.
    source
        The position in `hin` of the real node that each was made after, which the folds keep
        together with it; None takes the real node that shares most links.
    rng
        A seed or a numpy Generator.

    Raises SchemaError where the delta has no nodes of the type. With fewer than 40 real nodes, or
    where no two of them share a target, nothing is learned, and all are .5.

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> from hinaug.generators import SecondMoment
    >>> hin = planted(rng=0)
    >>> made = SecondMoment("user").fit(hin, rng=0).generate(hin, 50, rng=0)
    >>> judged = with_realness(made, hin, "user", rng=0)
    >>> bool(0 < judged.nodes["user"]["confidence"].to_numpy().mean() < 1)
    True
    """
    world = _World(delta, hin, node, "with_realness")
    who = world.alike() if source is None else world.rows_of(np.asarray(source))
    rng = checks.generator(rng, "with_realness")
    p = np.full(len(who), 0.5)
    if world.real:
        p = realness(world.real, world.made, who, rng, world.columns()).made
    return delta.with_confidence(lambda table: world.of_rows(table, p))


def most_real(
    delta: Delta, hin: HIN, size: int | float, node: str, *, balanced: bool = True
) -> Delta:
    """The new nodes of highest confidence, with their links and records.

    Parameters
    ----------
    delta
        With new nodes of the type, such as of `with_realness`.
    hin
        The graph that the delta is for.
    size
        How many to keep: an int is a count, a float a share.
    node
        The type of the new nodes.
    balanced
        The same share of each group of nodes alike in degree and topic; else the first of all.

    A NarrowedWarning says where the mean degree of those kept is more than 10 % off that of all, or
    the entropy of the topics of their links more than 5 %. Topics are eight clusters of the targets
    of the largest relation. Raises SchemaError where the delta has no nodes of the type.

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> from hinaug.generators import SecondMoment
    >>> hin = planted(rng=0)
    >>> made = SecondMoment("user").fit(hin, rng=0).generate(hin, 50, rng=0)
    >>> most_real(made, hin, 0.5, "user").nodes["user"].num_rows
    25
    """
    world = _World(delta, hin, node, "most_real")
    table = delta.nodes[node]
    confidence = table["confidence"].to_numpy()
    n = resolve_size(size, table.num_rows, f"{node!r} nodes of the delta")
    degree, topics = world.degree_and_topics()
    group = _groups(degree, topics) if balanced else np.zeros(len(degree), np.int64)
    kept = _best_of_each(confidence, group, n)
    narrowing.warn_where_narrow(degree, topics, kept, "most_real", 2)
    return delta.select(narrowing.masks_of(delta.nodes, delta.edges, node, kept))


def _groups(degree: np.ndarray, topics: np.ndarray) -> np.ndarray:
    """Nodes alike in degree (quarters) and main topic, int64 [k]."""
    order = np.argsort(np.argsort(degree, kind="stable"), kind="stable")
    quarter = order * DEGREE_GROUPS // max(len(degree), 1)
    return quarter * topics.shape[1] + topics.argmax(axis=1)


def _best_of_each(confidence: np.ndarray, group: np.ndarray, n: int) -> np.ndarray:
    """n nodes, bool [k]: of each group its most confident ones, as many as its share of all nodes.
    What rounding leaves over goes to the next group, so that runs of groups have their share too.
    """
    order = np.lexsort((-confidence, group))
    size = np.bincount(group)
    ends = np.cumsum(size)
    wanted = np.diff(np.rint(ends * min(n / len(group), 1)), prepend=0)
    kept = np.zeros(len(group), bool)
    place = np.arange(len(order)) - (ends - size)[group[order]]
    kept[order] = place < wanted[group[order]]
    return kept


class _World:
    """Links and attributes of the new nodes of a delta, beside those of real ones with links."""

    def __init__(self, delta: Delta, hin: HIN, node: str, who: str) -> None:
        expect.graph(hin, who)
        if node not in delta.nodes or not delta.nodes[node].num_rows:
            raise SchemaError(
                f"{who}: the delta has no {node!r} nodes; it has {list(delta.nodes)}",
                asked=node,
                there=list(delta.nodes),
            )
        self.table, self.hin = delta.nodes[node], hin
        both = hin if delta in hin.deltas else hin + delta
        new, n = both.positions(node, self.table["id"]), hin.n_observed(node)
        shared = _shared(both, hin, node)
        linked = sum((np.diff(m.indptr)[:n] for m in shared), np.zeros(n, np.int64)) > 0
        self.nodes = np.flatnonzero(linked)
        self.real, self.made = [m[self.nodes] for m in shared], [m[new] for m in shared]
        table = hin.observed().nodes[node]
        self.old = table.take(pa.array(self.nodes))

    def rows_of(self, source: np.ndarray) -> np.ndarray:
        """The row of each source among the real nodes."""
        return np.minimum(np.searchsorted(self.nodes, source), max(len(self.nodes) - 1, 0))

    def alike(self) -> np.ndarray:
        """The real row that shares most links with each new node [k]."""
        k, size = self.table.num_rows, rows_at_once(len(self.nodes))
        out = np.zeros(k, np.int64)
        for at in range(0, k if self.real else 0, size):
            rows = slice(at, at + size)
            common = sum(m[rows] @ r.T for m, r in zip(self.made, self.real, strict=True))
            out[rows] = common.toarray().argmax(axis=1)
        return out

    def columns(self) -> tuple[np.ndarray, np.ndarray]:
        """Attributes as numbers, of real [n, w] and new nodes [k, w]."""
        names = [c for c in self.old.column_names if c in self.table.column_names]
        names = [c for c in names if c not in ("id", *PROVENANCE)]
        kinds, _ = attribute_kinds(self.old.select(names))
        n = self.old.num_rows
        parts = [np.zeros((n + self.table.num_rows, 0))]
        for name in [c for c, kind in kinds.items() if kind in ENCODED]:
            both = [decoded(tb.one_chunk(t[name])) for t in (self.old, self.table)]
            parts.append(Encoded(pa.concat_arrays(both), kinds[name]).x)
        x = np.hstack(parts)
        return x[:n], x[n:]

    def of_rows(self, table: pa.Table, p: np.ndarray) -> np.ndarray:
        """Confidence of rows of the delta: that of the new node they belong to; else as it was."""
        out = table["confidence"].to_numpy().astype(np.float64)
        for name in [c for c in ("dst", "src", "id") if c in table.column_names]:
            place = tb.lookup(tb.one_chunk(self.table["id"]), tb.one_chunk(table[name]))
            out = np.where(place >= 0, p[np.maximum(place, 0)], out)
        return out

    def degree_and_topics(self) -> tuple[np.ndarray, np.ndarray]:
        """Links of each new node [k], and how many of the largest relation are of each topic."""
        if not self.real:
            return np.zeros(self.table.num_rows), np.zeros((self.table.num_rows, 1))
        topic = narrowing.topics_of(self.real[0])
        degree = sum(np.diff(m.indptr) for m in self.made)
        return degree, narrowing.of_topics(self.made[0], topic)


def _shared(both: HIN, hin: HIN, node: str) -> list[sp.csr_array]:
    """Links in each relation whose targets are shared between real nodes, the largest first."""
    touching = [edge for edge in hin.edges if node in (edge[0], edge[2])]
    views = [m for edge in touching for m in _views(both, hin, edge, node)]
    n = hin.n_observed(node)
    shared = [m for m in views if narrowing.are_shared(m[:n])]
    return sorted(shared, key=lambda m: -m.nnz)


def _views(both: HIN, hin: HIN, edge: EdgeType, node: str) -> list[sp.csr_array]:
    """Links of all nodes of the type to observed ones, from each end that it stands at."""
    matrix = both.adjacency(edge)
    out = [matrix[:, : hin.n_observed(edge[2])]] if edge[0] == node else []
    if edge[2] == node:
        out.append(matrix.T.tocsr()[:, : hin.n_observed(edge[0])])
    return [sp.csr_array(m).astype(np.float32) for m in out]
