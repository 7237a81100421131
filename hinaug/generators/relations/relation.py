"""RelationGenerator: new edges, proposed by any link predictor, with a calibrated probability."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.errors import ParameterError, SchemaError
from hinaug.generators.base import Generator, resolve_size
from hinaug.generators.entities.draws import rows_at_once
from hinaug.graph.delta import Delta
from hinaug.graph.evidence import without_pairs
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import PairIndex, own_pairs, relation_shape
from hinaug.graph.schema import EdgeType
from hinaug.predictors.base import LinkPredictor
from hinaug.progress import track

CALIBRATED_ON = 5000  # sources at most; more would not make three weights any surer


@dataclass(eq=False)
class RelationGenerator(Generator):
    """Proposes links of `predictor.relation`, each with a calibrated probability.

    This is self-training (Scudder, 1965; Yarowsky, ACL 1995): a model's best unobserved pairs
    become edges that another model, or the same one, learns from. Scores of unlike models cannot
    be compared, so each proposal carries a probability instead. With s the predictor's score of
    target i for source u, among the targets that u has not met,

        confidence(u, i) = sigmoid(b + w1 z + w2 log(1 / rank) + w3 log(1 + degree(u))),
        z = (s - mean_u) / std_u,

    a logistic regression over the `candidates` best targets of each source, with label 1 where
    the pair was held out. It joins three signals, and it gives no plateaus as isotonic regression
    does, whose ties would leave the choice of the best pairs to chance. Where no candidate was
    held out, confidence is one constant.

    confidence: the probability that the pair would turn up in a held-out sample as large as the
        one calibrated on, that is `valid`, or a share `holdout` of the links. It grows with the
        size of that sample. True links that nobody has recorded count as absent, so read it as a
        lower bound on "this is a true link".

    predictor: any LinkPredictor, ensembles included; it is cloned, never fitted itself.
    per_source: at most so many new edges for one source. None: at most twice its share of the new
        edges in proportion to its degree (and at least 1), so that degrees keep their shape.
    candidates: how many of the best targets of each source are calibrated on and chosen from.
    holdout: share of the links that is held out when `fit` gets no `valid`.
    evidence: node types that witness a link, such as ("review",). They leave the graph together
        with the links that `fit` holds out by itself; a model that reads them would look surer
        than it is. Not needed with `valid`.
    sample: draw edges in proportion to confidence (Gumbel top-k) instead of taking the most
        confident. The most confident pairs are likelier true; a sample spreads over more targets.
    functional: whether each source has at most one target, as in item - brand. Then links are
        proposed only for sources that have none, one each, and confidence is the probability that
        the target is the right one for a source that has one. None decides by the observed graph:
        every source has at most one target, and at least two targets have several sources.

    `generate` gives a Delta with at most `size` edges: fewer where `per_source` or the unobserved
    pairs run out. Left out are nodes that a delta generated, pairs that are in the graph, masked
    or generated already, and in a relation between nodes of one type a node's link to itself.
    Attributes such as rating or time are null.

        generator = RelationGenerator(EASE(RATES)).fit(split.train, valid=split.valid, rng=0)
        delta = generator.generate(split.train, 0.1)
    """

    predictor: LinkPredictor
    _: KW_ONLY
    per_source: int | None = None
    candidates: int = 100
    holdout: float = 0.1
    evidence: Sequence[str] = ()
    sample: bool = False
    functional: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.predictor, LinkPredictor):
            raise ParameterError(
                f"predictor={self.predictor!r}: expected a LinkPredictor, such as EASE(relation)",
                asked=self.predictor,
            )
        for name, value in (("per_source", self.per_source), ("candidates", self.candidates)):
            if value is not None and value < 1:
                raise ParameterError(f"{name}={value!r}: a whole number of at least 1", asked=value)
        if not 0 < self.holdout < 1:
            raise ParameterError(
                f"holdout={self.holdout!r}: a share of the links, between 0 and 1",
                asked=self.holdout,
            )

    @property
    def origin(self) -> str:
        """What the column "origin" says of the new edges."""
        return f"RelationGenerator({type(self.predictor).__name__})"

    def _check_graph(self, hin: HIN) -> None:
        hin.edges[self.predictor.relation]  # raises, naming what there is

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        """Fit the predictor and calibrate it.

        Without `valid` a share of the links is held out: a clone is fitted on the rest (the
        held-out pairs are its `valid`), calibrated, and then refitted on everything.
        """
        relation = self.predictor.relation
        if hin.n(relation) == 0:
            n_edges = {edge: hin.n(edge) for edge in hin.edges}
            raise SchemaError(
                f"RelationGenerator: there are no {relation} edges to learn from, there are "
                f"{n_edges}; pass a graph that has some",
                asked=relation,
                there=n_edges,
            )
        functional = self._is_functional(hin)
        model = self.predictor.clone()
        if valid is None:
            inner, valid = self._hold_out(hin, functional, rng)
            model.fit(inner, valid=valid, rng=rng)
            self._calibrate(inner, model, valid, functional, rng)
            model.refit(hin, rng=rng)
        else:
            model.fit(hin, valid=valid, rng=rng)
            self._calibrate(hin, model, valid, functional, rng)
        self.predictor_ = model

    def _generate(
        self, hin: HIN, size: int | float | None, condition: Any, rng: np.random.Generator
    ) -> Delta:
        self._no_condition(condition)
        relation, observed = self.predictor.relation, hin.observed()
        n = resolve_size(size, observed.adjacency(relation).nnz, f"{relation} edges")
        if n == 0:
            return self._delta()
        source, target, confidence = self._propose(hin, n, rng)
        edges = pa.table(
            {
                "src": observed.ids(relation[0], source),
                "dst": observed.ids(relation[2], target),
                "confidence": pa.array(confidence, pa.float32()),
            }
        )
        return self._delta(edges={relation: edges})

    def _propose(
        self, hin: HIN, n: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sources, targets and confidence of the n best new links, best first."""
        n_sources, n_targets = relation_shape(hin.observed(), self.predictor.relation)
        degree = _visible_degree(hin, self.predictor.relation)
        sources, limit = np.arange(n_sources), self._limits(degree, n, n_targets)
        if self._is_functional(hin):
            sources, limit = np.flatnonzero(degree == 0), np.ones(n_sources, np.int64)
        best = _BestLinks(n)
        n_candidates = max(self.candidates, int(limit.max(initial=1)))
        for src, dst, features, possible in _candidates(
            hin, self.predictor_, sources, n_candidates
        ):
            confidence = self._confidence(features)
            if self.sample:
                key = np.log(confidence) + rng.gumbel(size=confidence.shape)
            else:
                key = confidence + 1e-12 * features[..., 0]  # equal confidence: the higher score
            rank = _ranks(np.where(possible, key, -np.inf))
            row, column = np.nonzero((rank < limit[src][:, None]) & possible)
            best.add(src[row], dst[row, column], confidence[row, column], key[row, column])
        return best.links()

    def _limits(self, degree: np.ndarray, n: int, n_targets: int) -> np.ndarray:
        """At most so many new links for each source, int64 [sources]; see `per_source`."""
        if self.per_source is not None:
            return np.full(len(degree), self.per_source, np.int64)
        # float64: the product of two counts may pass 2^31
        twice_its_share = np.ceil(2.0 * n * degree / max(degree.sum(), 1))
        return np.clip(twice_its_share, 1, max(n_targets, 1)).astype(np.int64)

    def _is_functional(self, hin: HIN) -> bool:
        """Whether each source has at most one target; see `functional`."""
        if self.functional is not None:
            return self.functional
        pairs = PairIndex.of(hin, self.predictor.relation)
        n_shared = (np.bincount(pairs.dst) > 1).sum()
        return bool(np.bincount(pairs.src).max(initial=0) == 1 and n_shared >= 2)

    def _hold_out(
        self, hin: HIN, functional: bool, rng: np.random.Generator
    ) -> tuple[HIN, pa.Table]:
        """The graph without a random share of its observed pairs, and those pairs.

        Every source keeps one pair, unless each has at most one target anyway.
        """
        relation, observed = self.predictor.relation, hin.observed()
        pairs = PairIndex.of(observed, relation)
        order = rng.permutation(len(pairs))
        spare = np.ones(len(pairs), bool)
        if not functional:
            _, first = np.unique(pairs.src[order], return_index=True)
            spare[order[first]] = False
        chosen = order[spare[order]][: max(1, round(self.holdout * len(pairs)))]
        if len(chosen) == 0:
            raise ParameterError(
                f"RelationGenerator: none of the {len(pairs)} {relation} pairs can be held out, "
                "since each is the only one of its source; pass valid= with pairs to calibrate on, "
                "or functional=True if a source has one target at most",
                asked=self.holdout,
                there=len(pairs),
            )
        src, dst = pairs.src[chosen], pairs.dst[chosen]
        valid = pa.table(
            {"src": observed.ids(relation[0], src), "dst": observed.ids(relation[2], dst)}
        )
        held = pairs.take(np.sort(chosen))
        return without_pairs(hin, relation, held, self.evidence), valid

    def _calibrate(
        self,
        hin: HIN,
        model: LinkPredictor,
        valid: pa.Table,
        functional: bool,
        rng: np.random.Generator,
    ) -> None:
        """Learn confidence from which candidates of the model are held-out pairs."""
        from sklearn.linear_model import LogisticRegression

        held = PairIndex.from_ids(hin, model.relation, valid)
        has_held_out = np.bincount(held.src, minlength=held.shape[0]) > 0
        degree = _visible_degree(hin, model.relation)
        # judging only sources with held-out pairs would promise too much for the others; where a
        # source has one target, the held-out ones are those that have none in this graph
        asked = has_held_out & (degree == 0) if functional else has_held_out | (degree > 0)
        sources = np.flatnonzero(asked)
        if len(sources) > CALIBRATED_ON:
            sources = np.sort(rng.choice(sources, CALIBRATED_ON, replace=False))
        rows, labels = [np.zeros((0, 3))], [np.zeros(0, bool)]
        for src, dst, features, possible in _candidates(hin, model, sources, self.candidates):
            hit = held.contains(np.repeat(src, dst.shape[1]), dst.ravel()).reshape(dst.shape)
            rows.append(features[possible])
            labels.append(hit[possible])
        x, y = np.concatenate(rows), np.concatenate(labels)
        mean, scale = x.mean(axis=0) if len(x) else np.zeros(3), np.ones(3)
        coef, intercept = np.zeros(3), np.log((y.sum() + 1) / (len(y) - y.sum() + 1))
        if 0 < y.sum() < len(y):
            scale = np.where(x.std(axis=0) > 1e-9, x.std(axis=0), 1.0)
            fitted = LogisticRegression(max_iter=1000).fit((x - mean) / scale, y)
            coef, intercept = fitted.coef_[0], fitted.intercept_[0]
        self.calibration_ = {
            "mean": mean,
            "scale": scale,
            "coef": coef,
            "intercept": np.array([intercept]),
            "counts": np.array([len(y), y.sum()]),
        }

    def _confidence(self, features: np.ndarray) -> np.ndarray:
        """The calibrated probability of candidates with these features [..., 3]."""
        c = self.calibration_
        logit = ((features - c["mean"]) / c["scale"]) @ c["coef"] + c["intercept"]
        return 1 / (1 + np.exp(-np.clip(logit, -30, 30)))


class _BestLinks:
    """The n links of highest key among those added, in bounded memory."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))]

    def add(
        self, src: np.ndarray, dst: np.ndarray, confidence: np.ndarray, key: np.ndarray
    ) -> None:
        self.parts.append((src, dst, confidence, key))
        if sum(len(part[0]) for part in self.parts) > 2 * self.n + 100_000:
            self._keep_best()

    def links(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sources, targets and confidence, highest key first."""
        self._keep_best()
        return self.parts[0][:3]

    def _keep_best(self) -> None:
        src, dst, confidence, key = map(np.concatenate, zip(*self.parts, strict=True))
        best = np.argsort(-key, kind="stable")[: self.n]
        self.parts = [(src[best], dst[best], confidence[best], key[best])]


def _visible_degree(hin: HIN, relation: EdgeType) -> np.ndarray:
    """How many targets each observed source is linked to, through the deltas, int64."""
    visible = hin.adjacency(relation)[: hin.n_observed(relation[0])]
    return np.diff(visible.indptr).astype(np.int64)


def _candidates(
    hin: HIN, model: LinkPredictor, sources: np.ndarray, k: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """The k best targets of each source, for one block of sources after another.

    Yields (sources [b], targets [b, k], features [b, k, 3], which may be proposed bool [b, k]).
    The features are z-score, log(1 / rank) and log(1 + degree of the source).
    """
    relation = model.relation
    observed = hin.observed().adjacency(relation)
    n_sources, n_targets = observed.shape
    visible = hin.adjacency(relation)[:n_sources, :n_targets]
    degree = np.diff(visible.indptr)
    known = sp.csr_array(observed + visible)  # masked links were observed
    k = min(k, n_targets)
    block = rows_at_once(n_targets)
    starts = range(0, len(sources) if k else 0, block)
    for at in track(starts, f"scoring {relation[1]}"):
        src = sources[at : at + block]
        scores = model.score(hin, src)[:, :n_targets].astype(np.float64)
        scores[~np.isfinite(scores)] = np.nan
        scores[known[src].nonzero()] = np.nan
        if relation[0] == relation[2]:
            scores[own_pairs(src, n_targets).nonzero()] = np.nan
        possible = ~np.isnan(scores)
        dst = _top(np.where(possible, scores, -np.inf), k)
        z = np.take_along_axis(_standardised(scores, possible), dst, axis=1)
        rank = np.broadcast_to(-np.log(np.arange(1, k + 1)), dst.shape)
        amount = np.broadcast_to(np.log1p(degree[src])[:, None], dst.shape)
        features = np.stack([z, rank, amount], axis=-1)
        yield src, dst, features, np.take_along_axis(possible, dst, axis=1)


def _top(scores: np.ndarray, k: int) -> np.ndarray:
    """The columns of the k highest scores of each row, highest first; of equals, the first."""
    top = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
    order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable")
    return np.take_along_axis(top, order, axis=1)


def _standardised(scores: np.ndarray, possible: np.ndarray) -> np.ndarray:
    """Z-scores of each row over what is possible; what is not counts as a score of 0."""
    count = np.maximum(possible.sum(axis=1, keepdims=True), 1)
    filled = np.where(possible, scores, 0.0)
    mean = filled.sum(axis=1, keepdims=True) / count
    variance = (np.where(possible, scores - mean, 0.0) ** 2).sum(axis=1, keepdims=True) / count
    std = np.sqrt(variance)
    return (filled - mean) / np.where(std > 1e-12, std, np.inf)


def _ranks(keys: np.ndarray) -> np.ndarray:
    """The rank of each key in its row, from 0 for the highest; equals in their order."""
    order = np.argsort(-keys, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(keys.shape[1])[None, :], axis=1)
    return rank
