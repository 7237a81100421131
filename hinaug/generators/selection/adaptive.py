"""How many generated edges each source gets, by its degree and by how sure its edges are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from hinaug import checks
from hinaug.checks import Rng
from hinaug.errors import ParameterError
from hinaug.generators.pairs import main_relation, twin_rows
from hinaug.generators.selection.choose import keep_pairs
from hinaug.graph import expect
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType

Judge = Callable[[HIN], tuple[Any, np.ndarray]]
STRENGTHS = (1.0, 3.0, 10.0, 30.0)


@dataclass(frozen=True)
class Adapted:
    """What `adapt_strength` gives.

    delta: the edges that are kept; without any where the guard refuses.
    table: one row a slice of the sources: "degree_from", "degree_to", "confidence_from",
        "confidence_to", "sources", "strength", and "gain", the expected gain of the judged measure
        over no edges.
    weight: the confidence that the edges got; None for their own.
    gain, error: the gain over no edges of strengths that were chosen by the *other* half of the
        judged sources, and its standard error.
    """

    delta: Delta
    table: pa.Table
    weight: float | None
    gain: float
    error: float


def adapt_strength(
    delta: Delta,
    hin: HIN,
    judge: Judge,
    *,
    strengths: Sequence[float] = STRENGTHS,
    weights: Sequence[float | None] = (None,),
    slices: int = 3,
    levels: int = 1,
    relation: EdgeType | None = None,
    rng: Rng = None,
) -> Adapted:
    """Keeps many edges of the sources that gain from them, and few or none of the others.

    With strength s a source keeps its round(s x degree) most confident edges. Sources are cut into
    `slices` by degree, and each of these into `levels` of certainty, by the mean confidence of
    their edges. The judge evaluates the graph with each strength for all sources.
    With m_gs the mean gain of slice g over no edges, e_gs its standard error, and m_s the gain over
    all,

        expected gain = m_s + B (m_gs - m_s),    B = t / (t + e_gs^2),

    with t the variance between slices that noise does not explain (empirical Bayes: Efron and
    Morris, JASA 1973); each slice gets the strength of highest expected gain, or none. So slices
    differ where the judged sources show that they do, and else all get the best common strength.

    Guard: strengths are also chosen on each half of the judged sources and measured on the other.
    Where that gain is not above its standard error, no edge is kept.

    Parameters
    ----------
    delta
        More edges than are needed, such as 20 for each source.
    hin
        The graph that the delta is for, such as split.train.
    judge
        Takes a graph and gives (external ids of sources, one value each, the higher the better),
        such as NDCG of a model that was fitted on the graph, on validation pairs; not on test.
    strengths
        Multiples of a source's own links to try; 0 is always tried.
    weights
        Values of "confidence" to try for all edges, such as (0.1, 0.3, 1.0), for models that weigh
        edges by it; None leaves each its own. The one of highest gain on the other half is taken.
    slices, levels
        By degree, and by certainty within each; at least 1. More need more judged sources: on
        planted worlds of 1,500 users two levels won less than one.
    relation
        None takes the first edge type of the delta.
    rng
        Deals the judged sources to halves.

    Calls the judge len(weights) x (len(strengths) + 2) + 1 times. Raises ParameterError where the
    judge gives other sources from one graph to another.

    Example
    -------
    >>> from hinaug import evaluate
    >>> from hinaug.datasets import planted
    >>> from hinaug.generators import RelationGenerator
    >>> from hinaug.predictors import EASE
    >>> from hinaug.split import random_split
    >>> split = random_split(planted(rng=0), ("user", "rates", "item"), evidence=["review"], rng=0)
    >>> teacher = EASE(split.target, side=["job", "age"])
    >>> pool = RelationGenerator(teacher, per_source=20).fit(split.train, rng=0)
    >>> def judge(graph):
    ...     model = EASE(split.target, weight="confidence").fit(graph)
    ...     found = evaluate(model, graph, split)
    ...     return found.users, found.values["NDCG@20"]
    >>> found = adapt_strength(pool.generate(split.train), split.train, judge, rng=0)
    >>> found.table.column_names[4:]
    ['sources', 'strength', 'gain']
    """
    expect.graph(hin, "adapt_strength")
    relation = main_relation(delta, relation, "adapt_strength")
    n_slices = [
        checks.whole(n, f"adapt_strength: {name}", 1)
        for name, n in (("slices", slices), ("levels", levels))
    ]
    rng = checks.generator(rng, "adapt_strength")
    if not strengths or min(strengths) <= 0:
        raise ParameterError(
            f"adapt_strength: strengths={strengths!r}; some numbers above 0", asked=strengths
        )
    judged = _Judged(judge, hin, relation)
    plain = judged(hin)
    half = rng.permutation(len(plain)) % 2 == 0
    pool = _Pool(delta, hin, relation, *n_slices)
    found = [_adapted(pool, hin, judged, plain, half, strengths, weight) for weight in weights]
    return max(found, key=lambda adapted: adapted.gain)


def _adapted(
    pool: _Pool,
    hin: HIN,
    judged: _Judged,
    plain: np.ndarray,
    half: np.ndarray,
    strengths: Sequence[float],
    weight: float | None,
) -> Adapted:
    """What comes of one weight. plain: values without edges. half: of the judged sources, bool."""

    def gain_of(strength: np.ndarray) -> np.ndarray:
        kept = pool.kept(strength, weight)
        return judged(hin + kept) - plain if strength.any() else np.zeros_like(plain)

    tried, where = np.array([0.0, *strengths]), pool.slice_of[judged.sources]
    gains = np.stack([gain_of(np.full(pool.n_slices, s)) for s in tried])
    honest = np.empty(len(where))
    for these in (half, ~half):
        best, _ = _best(gains[:, these], where[these], pool.n_slices)
        honest[~these] = gain_of(tried[best])[~these]
    gain, error = float(honest.mean()), float(honest.std() / np.sqrt(max(len(honest), 1)))
    best, expected = _best(gains, where, pool.n_slices)
    best = best if gain > error else np.zeros_like(best)
    table = pool.table(tried[best], expected[best, np.arange(pool.n_slices)])
    return Adapted(pool.kept(tried[best], weight), table, weight, gain, error)


class _Judged:
    """A judge whose sources are the same for every graph.

    sources: their positions, once it was called.
    """

    def __init__(self, judge: Judge, hin: HIN, relation: EdgeType) -> None:
        self.judge, self.hin, self.node = judge, hin, relation[0]
        self.sources: np.ndarray = np.zeros(0, np.int64)

    def __call__(self, graph: HIN) -> np.ndarray:
        ids, values = self.judge(graph)
        sources, values = self.hin.positions(self.node, ids), np.asarray(values, np.float64)
        order = np.argsort(sources, kind="stable")
        sources, values = sources[order], values[order]
        if len(self.sources) and not np.array_equal(sources, self.sources):
            raise ParameterError(
                f"adapt_strength: the judge gave values of {len(sources):,} sources for one graph "
                f"and of {len(self.sources):,} for another; judge the same ones on all",
                asked=len(sources),
                there=len(self.sources),
            )
        self.sources = sources
        return values


class _Pool:
    """The edges of a delta by source, and the slices of the sources.

    slice_of: the slice of each observed source, int64.
    """

    def __init__(
        self, delta: Delta, hin: HIN, relation: EdgeType, slices: int, levels: int
    ) -> None:
        rows, self.delta = delta.edges[relation], delta
        self.repeats = dict(twin_rows(delta, relation))
        self.src = hin.observed().positions(relation[0], rows["src"])
        confidence = rows["confidence"].to_numpy().astype(np.float64)
        visible = hin.adjacency(relation)[: hin.n_observed(relation[0])]
        self.degree = np.diff(visible.indptr)
        order = np.lexsort((-confidence, self.src))
        self.rank = np.empty(len(order), np.int64)
        self.rank[order] = np.arange(len(order)) - np.searchsorted(self.src[order], self.src[order])
        n = np.bincount(self.src, minlength=len(self.degree))
        total = np.bincount(self.src, confidence, minlength=len(self.degree))
        self.sure = total / np.maximum(n, 1)
        by_degree = _groups(self.degree, slices)
        by_both = np.zeros_like(by_degree)
        for k in np.unique(by_degree):
            here = by_degree == k
            by_both[here] = levels * k + _groups(self.sure[here], levels)
        _, self.slice_of = np.unique(by_both, return_inverse=True)
        self.n_slices = int(self.slice_of.max(initial=0)) + 1

    def kept(self, strength: np.ndarray, weight: float | None) -> Delta:
        """The edges that sources keep by the strengths of their slices [slices]."""
        most = np.rint(strength[self.slice_of] * self.degree)
        kept = keep_pairs(self.delta, self.repeats, self.rank < most[self.src])
        return kept if weight is None else kept.with_confidence(weight)

    def table(self, strength: np.ndarray, gain: np.ndarray) -> pa.Table:
        """One row a slice; see `Adapted`."""
        parts = [np.flatnonzero(self.slice_of == k) for k in range(self.n_slices)]
        columns: dict[str, Any] = {}
        for name, values in (("degree", self.degree), ("confidence", self.sure)):
            columns[f"{name}_from"] = [values[part].min() for part in parts]
            columns[f"{name}_to"] = [values[part].max() for part in parts]
        columns |= {"sources": [len(part) for part in parts], "strength": strength, "gain": gain}
        return pa.table(columns)


def _groups(values: np.ndarray, n: int) -> np.ndarray:
    """Group 0 to n - 1 of each value, of about as many values each; equal values are in one."""
    edges = np.quantile(values, np.arange(1, n) / n) if len(values) else np.zeros(0)
    return np.searchsorted(edges, values, side="left")


def _best(gains: np.ndarray, where: np.ndarray, n_slices: int) -> tuple[np.ndarray, np.ndarray]:
    """The place of the best strength of each slice, and the expected gains [strengths, slices].

    gains: of each strength and judged source, the first of no edges. where: slices of the sources.
    """
    n = np.bincount(where, minlength=n_slices)
    expected = np.zeros((len(gains), n_slices))
    for k, gain in enumerate(gains):
        mean = np.bincount(where, gain, n_slices) / np.maximum(n, 1)
        rest = np.bincount(where, np.square(gain - mean[where]), n_slices)
        error = rest / np.maximum(n - 1, 1) / np.maximum(n, 1)
        seen = n > 1
        between = max(0.0, float(np.var(mean[seen]) - error[seen].mean())) if seen.any() else 0.0
        pull = np.where(seen, between / np.maximum(between + error, 1e-300), 0.0)
        expected[k] = gain.mean() + pull * (mean - gain.mean()) if len(gain) else 0.0
    return expected.argmax(axis=0), expected
