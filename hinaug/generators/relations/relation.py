"""RelationGenerator: new edges, proposed by any link predictor and weighed by a calibrated
probability.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.checks import Rng
from hinaug.errors import ParameterError, SchemaError
from hinaug.generators.base import resolve_size
from hinaug.generators.entities.draws import rows_at_once
from hinaug.graph.delta import Delta
from hinaug.graph.evidence import without_pairs
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import PairIndex, held_out, relation_shape
from hinaug.predictors.base import LinkPredictor
from hinaug.progress import track
from hinaug.training.estimator import Estimator


@dataclass(eq=False)
class RelationGenerator(Estimator):
    """Proposes links of `predictor.relation`: self-training (Yarowsky, ACL 1995; Scudder, 1965)
    with an honest confidence.

    Idea: a model's best unobserved pairs become edges that another model (or the same one) learns
    from. Scores of one model mean nothing to another, so each proposal carries a probability
    instead. With s the predictor's score of target i for source u among the targets that u has not
    met,

        confidence(u, i) = sigmoid(b + w1 z + w2 log(1 / rank) + w3 log(1 + degree(u)) ),   z = (s -
        mean_u) / std_u,

    a logistic regression fitted on held-out pairs: each source's `candidates` best targets, 1 where
    the pair was held out.
    Logistic and not isotonic: it joins three signals where isotonic takes one, and gives no
    plateaus, whose ties would leave the choice of the best pairs to chance. Where no candidate was
    a held-out pair, confidence is one constant.

    confidence: the probability that the pair would turn up in a held-out sample as large as the one
        calibrated on, that is `valid`, or a share `holdout` of the links. It grows with the size of
        that sample; true links that nobody has recorded anywhere count as absent, so read it as a
        lower bound on "this is a true link".

    predictor: any LinkPredictor, ensembles included; it is cloned, never fitted itself.
    per_source: at most so many new edges for one source. None: at most twice its share of the new
        edges in proportion to its degree (and at least 1), so that degrees keep their shape and no
        source takes everything.
    candidates: the best targets of each source that are calibrated on and chosen from; 100, since
        nobody proposes deeper.
    holdout: share of the links that is held out when `fit` gets no `valid`; a tenth costs the model
        little.
    evidence: node types that witness a link, such as ("review",): they leave the graph together
        with the links that `fit` holds out by itself, or a model that reads them would look surer
        than it is. Not needed with `valid`.
    sample: draw edges in proportion to confidence (Gumbel top-k) instead of taking the most
        confident. False, as the best pairs are likelier true; True spreads over more targets.

    `generate` gives a Delta with at most `size` edges: fewer where `per_source` or the unobserved
    pairs run out. Nodes that a delta generated, and pairs that are in the graph, masked or
    generated already, are left out. Attributes such as rating or time are null.

        RelationGenerator(EASE(RATES)).fit(split.train, valid=split.valid,
        rng=0).generate(split.train, 0.1)
    """

    predictor: LinkPredictor
    _: KW_ONLY
    per_source: int | None = None
    candidates: int = 100
    holdout: float = 0.1
    evidence: Sequence[str] = ()
    sample: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.predictor, LinkPredictor):
            raise ParameterError(
                f"predictor={self.predictor!r}: expected a LinkPredictor, such as EASE(relation)"
            )
        for name, value in (("per_source", self.per_source), ("candidates", self.candidates)):
            if value is not None and value < 1:
                raise ParameterError(f"{name}={value!r}: a whole number of at least 1")
        if not 0 < self.holdout < 1:
            raise ParameterError(f"holdout={self.holdout!r}: a share of the links, between 0 and 1")

    def fit(self, hin: HIN, *, valid: pa.Table | None = None, rng: Rng = None) -> Self:
        """Fit the predictor and calibrate it.

        valid: held-out pairs ("src", "dst", external ids). Without it a share of the links is held
            out inside: a clone is fitted on the rest (the held-out pairs are its `valid`),
            calibrated, and then refitted on everything.
        Raises TypeError for what is no graph, table of pairs or seed, KeyError where the graph
        lacks the relation, and SchemaError where it has no such edges.
        """
        rng = self._ready("fit", hin, valid, rng)
        relation = self.predictor.relation
        if hin.n(relation) == 0:
            there = {edge: hin.n(edge) for edge in hin.edges}
            raise SchemaError(
                f"RelationGenerator: there are no {relation} edges to learn from, there are "
                f"{there}; pass a graph that has some"
            )
        model = self.predictor.clone()
        with self._all_or_nothing():
            if valid is None:
                inner, valid = _hold_out(hin, relation, self.holdout, self.evidence, rng)
                model.fit(inner, valid=valid, rng=rng)
                self._calibrate(inner, model, valid, rng)
                model.refit(hin, rng=rng)
            else:
                model.fit(hin, valid=valid, rng=rng)
                self._calibrate(hin, model, valid, rng)
            self.predictor_ = model
            self.fitted_on_ = hin.fingerprint()
        return self

    def generate(self, hin: HIN, size: int | float, rng: Rng = None) -> Delta:
        """A delta with at most `size` new edges (an int is a count, a float a share of the observed
        edges).
        """
        self._check_fitted()
        rng = self._ready("generate", hin, None, rng)
        relation = self.predictor.relation
        links = hin.observed().adjacency(relation)
        n = resolve_size(size, links.nnz, f"{relation} edges")
        origin = f"RelationGenerator({type(self.predictor).__name__})"
        if n == 0:
            return Delta(origin=origin, fitted_on=[self.fitted_on_])
        degree = np.diff(hin.adjacency(relation)[: links.shape[0]].indptr)
        if self.per_source is None:
            limit = np.maximum(1, np.ceil(2 * n * degree / max(degree.sum(), 1))).astype(np.int64)
        else:
            limit = np.full(len(degree), self.per_source, np.int64)
        best: list[list[np.ndarray]] = [
            [],
            [],
            [],
            [],
        ]  # source, target, confidence, key to sort by
        pool = max(self.candidates, int(limit.max(initial=1)))
        for src, dst, features, there in _candidates(
            hin, self.predictor_, np.arange(len(degree)), pool
        ):
            confidence = self._confidence(features)
            if self.sample:
                key = np.log(confidence) + rng.gumbel(size=confidence.shape)
            else:
                key = confidence + 1e-12 * features[..., 0]  # equal confidence: the higher score
            key = np.where(there, key, -np.inf)
            order = np.argsort(-key, axis=1, kind="stable")
            rank = np.empty_like(order)
            np.put_along_axis(rank, order, np.arange(order.shape[1])[None, :], axis=1)
            row, column = np.nonzero((rank < limit[src][:, None]) & there)
            for part, new in zip(
                best,
                (src[row], dst[row, column], confidence[row, column], key[row, column]),
                strict=True,
            ):
                part.append(new)
            if sum(map(len, best[0])) > 2 * n + 100_000:
                best = [[part] for part in _best(best, n)]
        source, target, probability, _ = _best(best, n)
        edges = pa.table(
            {
                "src": hin.observed().ids(relation[0], source),
                "dst": hin.observed().ids(relation[2], target),
                "confidence": pa.array(probability, pa.float32()),
            }
        )
        return Delta(edges={relation: edges}, origin=origin, fitted_on=[self.fitted_on_])

    def _calibrate(
        self, hin: HIN, model: LinkPredictor, valid: pa.Table, rng: np.random.Generator
    ) -> None:
        from sklearn.linear_model import LogisticRegression

        users, truth = held_out(hin, model.relation, valid)
        row_of = np.full(hin.n(model.relation[0]), -1, np.int64)
        row_of[users] = np.arange(len(users))
        degree = np.diff(hin.adjacency(model.relation).indptr)
        # every source that could have held-out pairs: only those that have some would promise too
        # much
        sources = np.flatnonzero(
            ((degree > 0) | (row_of >= 0))[: hin.n_observed(model.relation[0])]
        )
        if len(sources) > 5000:
            sources = np.sort(rng.choice(sources, 5000, replace=False))
        rows, labels = [], []
        for src, dst, features, there in _candidates(hin, model, sources, self.candidates):
            hit = np.zeros(dst.shape, bool)
            known = row_of[src] >= 0
            block = truth[row_of[src[known]]].toarray()
            hit[known] = np.take_along_axis(block, dst[known], axis=1) > 0
            rows.append(features[there])
            labels.append(hit[there])
        x, y = np.concatenate(rows), np.concatenate(labels)
        mean, scale = x.mean(axis=0) if len(x) else np.zeros(3), np.ones(3)
        coef, intercept = np.zeros(3), np.log((y.sum() + 1) / (len(y) - y.sum() + 1))
        if 0 < y.sum() < len(y):
            scale = np.where(x.std(axis=0) > 1e-9, x.std(axis=0), 1.0)
            fitted = LogisticRegression(max_iter=1000).fit((x - mean) / scale, y)
            coef, intercept = fitted.coef_[0], fitted.intercept_[0]
        self.calibration_ = {
            "mean": mean, "scale": scale, "coef": coef, "intercept": np.array([intercept]), "counts": np.array([len(y), y.sum()])
        }  # fmt: skip

    def _confidence(self, features: np.ndarray) -> np.ndarray:
        c = self.calibration_
        logit = ((features - c["mean"]) / c["scale"]) @ c["coef"] + c["intercept"]
        return 1 / (1 + np.exp(-np.clip(logit, -30, 30)))


def _candidates(
    hin: HIN, model: LinkPredictor, sources: np.ndarray, k: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """For blocks of sources: (sources [b], targets [b, k], features [b, k, 3], which are real
    candidates [b, k]).
    """
    relation, seen = model.relation, hin.observed().adjacency(model.relation)
    n, m = seen.shape
    now = hin.adjacency(relation)[:n, :m]
    known = sp.csr_array(seen + now)  # seen, generated before, or masked
    degree = np.diff(now.indptr)
    k = min(k, m)
    block = rows_at_once(m)
    starts = range(0, len(sources) if k else 0, block)
    for at in track(starts, f"scoring {relation[1]}"):
        src = sources[at : at + block]
        scores = model.score(hin, src)[:, :m].astype(np.float64)
        scores[~np.isfinite(scores)] = np.nan
        row, column = known[src].nonzero()
        scores[row, column] = np.nan
        there = ~np.isnan(scores)
        count = np.maximum(there.sum(axis=1), 1)[:, None]
        filled = np.where(there, scores, 0.0)
        mean = filled.sum(axis=1, keepdims=True) / count
        std = np.sqrt((np.where(there, scores - mean, 0.0) ** 2).sum(axis=1, keepdims=True) / count)
        ranked = np.where(there, scores, -np.inf)
        top = np.sort(np.argpartition(-ranked, k - 1, axis=1)[:, :k], axis=1)
        order = np.argsort(-np.take_along_axis(ranked, top, axis=1), axis=1, kind="stable")
        dst = np.take_along_axis(top, order, axis=1)
        real = np.take_along_axis(there, dst, axis=1)
        z = (np.take_along_axis(filled, dst, axis=1) - mean) / np.where(std > 1e-12, std, np.inf)
        rank = np.broadcast_to(-np.log(np.arange(1, k + 1)), dst.shape)
        amount = np.broadcast_to(np.log1p(degree[src])[:, None], dst.shape)
        yield src, dst, np.stack([z, rank, amount], axis=-1), real


def _best(parts: list[list[np.ndarray]], n: int) -> list[np.ndarray]:
    """The n rows of highest key (the last part), highest first."""
    joined = [np.concatenate(part) if part else np.zeros(0, np.int64) for part in parts]
    order = np.argsort(-joined[-1], kind="stable")[:n]
    return [part[order] for part in joined]


def _hold_out(
    hin: HIN,
    relation: tuple[str, str, str],
    share: float,
    evidence: Sequence[str],
    rng: np.random.Generator,
) -> tuple[HIN, pa.Table]:
    """The graph without a random share of its observed pairs, and those pairs; every source keeps
    one.
    """
    s, d = hin.observed().adjacency(relation).nonzero()
    order = rng.permutation(len(s))
    spare = np.ones(len(s), bool)
    spare[order[np.unique(s[order], return_index=True)[1]]] = (
        False  # the first of each source, in random order, stays
    )
    chosen = order[spare[order]][: max(1, round(share * len(s)))]
    if len(chosen) == 0:
        raise ParameterError(
            f"RelationGenerator: none of the {len(s)} {relation} pairs can be held out, since "
            "each is the only one of "
            "its source; pass valid= with pairs to calibrate on"
        )
    s, d = s[chosen], d[chosen]
    ids = hin.observed()
    valid = pa.table({"src": ids.ids(relation[0], s), "dst": ids.ids(relation[2], d)})
    held = PairIndex.from_positions(s, d, relation_shape(ids, relation))
    return without_pairs(hin, relation, held, evidence), valid
