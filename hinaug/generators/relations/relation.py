"""RelationGenerator: new edges, proposed by any link predictor, with a calibrated probability."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from hinaug.checks import COUNT, INSIDE, POSITIVE, Limits
from hinaug.errors import ParameterError, SchemaError, UnknownNameError, nearest
from hinaug.generators.base import Generator, resolve_size
from hinaug.generators.relations.budget import Room, limits, shares, standing_for, within
from hinaug.generators.relations.calibration import (
    Calibration,
    calibrated,
    confidence,
    span_of_scores,
)
from hinaug.generators.relations.candidates import BestSources, Block, Pool, candidates, ranks
from hinaug.generators.relations.ends import (
    LINKED,
    NEW_BOTH,
    NEW_ENDS,
    NEW_SOURCE,
    NEW_TARGET,
    NOTHING,
    degrees,
    hide,
    kinds_of_pairs,
    nodes_asked,
    with_relation,
)
from hinaug.generators.relations.rules import rules_of
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import PairIndex
from hinaug.graph.schema import EdgeType
from hinaug.predictors.base import LinkPredictor

CALIBRATED_ON = 5000  # sources at most; more would not make three weights any surer
# Of each kind of pairs: whose they are, and what scores them.
TELLS_APART = {
    LINKED: ("nodes with links", "take another predictor"),
    NEW_SOURCE: (
        "sources without links",
        "take a predictor that reads what sources are, such as HeteroGNN",
    ),
    NEW_TARGET: (
        "targets without links",
        "take a predictor that reads what targets are, such as KernelRidge",
    ),
    NEW_BOTH: (
        "two nodes without links",
        "take a predictor that reads what both are, such as HeteroGNN",
    ),
    NOTHING: (
        "a relation without links",
        "take a predictor that needs none, such as MetapathSimilarity",
    ),
}
PROBED = 64  # sources whose scores say whether a model can score new nodes at all


@dataclass(eq=False)
class RelationGenerator(Generator):
    """Proposes links of `predictor.relation`, each with a calibrated probability.

    This is self-training (Scudder, 1965; Yarowsky, ACL 1995): a model's best unobserved pairs
    become edges that another model, or the same one, learns from. Scores of unlike models cannot
    be compared, so each proposal carries a probability instead. With s the predictor's score of
    target i for source u, among the m targets without a link of u,

        confidence(u, i) = sigmoid(b + w1 z + w2 log(m / rank) + w3 log(1 + degree(u))),
        z = (s - mean_u) / std_u,

    a logistic regression over the `candidates` best targets of each source, with label 1 where
    the pair was held out. A piecewise linear map of its logit then goes through the shares of hits
    of up to 15 groups of candidates. Where no candidate was held out, confidence is one constant.

    confidence: the probability that the pair would turn up in a held-out sample as large as the
        one calibrated on, that is `valid`, or a share `holdout` of the links. It grows with the
        size of that sample. True links that nobody has recorded count as absent, so read it as a
        lower bound on "this is a true link". For a node without links, a new item or user, it is
        the probability that the pair is among all links of that node once it has some. It is
        learned on a tenth of the linked nodes, of which all links are hidden, in a fit of its own
        (or on `valid`, where a tenth of its pairs are such). See `reliability`.

    A relation without any link, such as ("item", "similar", "item"), is made from nothing if the
    predictor needs no links. Nothing says then what is true, unless `valid` does: confidence is no
    probability but the score, from 0 at the mean candidate to 1 at the best.

    What the observed links keep, the new ones keep too. No node is linked to itself. Where each
    source has at most one target (see `functional`), or each target one source, links are proposed
    where there is none. A symmetric relation gets both directions. A relation between the same two
    node types that records every observed link too, in the same or in the other direction, also
    records the new ones; `twins_` says of each such relation which share of the links it records,
    and only those with 1 are followed. Nodes that witness a link, such as reviews, are not made.
    Rating, time and other columns are null: nobody rated anything. A temporal split never holds out
    generated rows.

    Parameters
    ----------
    predictor
        Any LinkPredictor, ensembles included; it is cloned, never fitted itself.
    per_source
        At most so many new edges for one source. An int is a count, a float a multiple of the mean
        degree. None: at most twice its share of the new edges in proportion to its degree (and at
        least 1), so that degrees keep their shape.
    per_target
        At most so many new edges for one target, as above; None for no limit.
    degrees
        "observed" gives each node its share of the new edges in proportion to its degree: shares
        are exact up to rounding, so degrees keep their shape. Fewer edges than `size` may come.
    sources, targets
        Whom to generate for: external ids, a bool mask over the observed nodes, or "cold", those
        without an observed link. None for all. `targets="cold", per_target=4.0` gives each new item
        four times the mean degree. Without `per_target` a size is shared by confidence, so that
        popular ones get more, which ranked new movies better.
    candidates
        How many of the best targets of each source are calibrated on and chosen from.
    holdout
        Share of the links that is held out when `fit` gets no `valid`.
    evidence
        Node types that witness a link, such as ("review",). They leave the graph together with the
        links that `fit` holds out by itself; a model that reads them would look surer than it is.
    sample
        Draw edges in proportion to confidence (Gumbel top-k) instead of taking the most confident.
        The most confident pairs are likelier true; a sample spreads over more targets.
    functional, injective
        Whether each source has at most one target, as in item - brand, and each target at most one
        source. None decides by the observed graph: no node of that end has several, and either two
        nodes of the other end have, or chance alone would have joined five.
    symmetric
        Whether each link stands in both directions. None: if all observed ones do.

    `generate` takes how many edges; None for all that `per_source` and `per_target` allow. It gives
    fewer where limits or unobserved pairs run out. Left out are nodes that a delta generated, pairs
    that are in the graph, masked or generated already, and pairs of two nodes without links, unless
    the relation is one-to-one.

    Learned: `predictor_`; `calibration_`, by which ends of a pair are new; `functional_`,
    `injective_`, `symmetric_`, `twins_`.

    Raises UnknownNameError for a relation that is neither in the graph nor made by the predictor,
    SchemaError for one without links to learn from, and ParameterError where no pair can be held
    out, or the predictor scores none of the pairs that are aimed at. Time: one to four fits, and
    the scores of all pairs aimed at. Memory: candidates of all sources where targets are limited or
    the relation is symmetric; else about twice the new edges.

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> from hinaug.predictors import EASE
    >>> hin = planted(rng=0)
    >>> generator = RelationGenerator(EASE(("user", "rates", "item"))).fit(hin, rng=0)
    >>> generator.generate(hin, 0.1)
    Delta(140 user rates item edges by RelationGenerator(EASE))
    """

    LIMITS: ClassVar[Limits] = {
        "per_source": POSITIVE,
        "per_target": POSITIVE,
        "degrees": ("observed",),
        "candidates": COUNT,
        "holdout": INSIDE,
    }
    predictor: LinkPredictor
    _: KW_ONLY
    per_source: int | float | None = None
    per_target: int | float | None = None
    degrees: str | None = None
    sources: Any = None
    targets: Any = None
    candidates: int = 100
    holdout: float = 0.1
    evidence: Sequence[str] = ()
    sample: bool = False
    functional: bool | None = None
    injective: bool | None = None
    symmetric: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.predictor, LinkPredictor):
            raise ParameterError(
                f"predictor={self.predictor!r}: expected a LinkPredictor, such as EASE(relation)",
                asked=self.predictor,
            )

    @property
    def origin(self) -> str:
        """What the column "origin" says of the new edges."""
        return f"RelationGenerator({type(self.predictor).__name__})"

    def _check_graph(self, hin: HIN) -> None:
        for node in (self.predictor.relation[0], self.predictor.relation[2]):
            hin.nodes[node]  # raises, naming what there is

    # ---- fit -------------------------------------------------------------------------------------

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        """Fit the predictor, and calibrate it for each kind of pair that it can propose.

        Without pairs in `valid` some links are held out: a clone is fitted on the rest (the
        held-out pairs are its `valid`), calibrated, and then refitted on everything.
        """
        relation = self.predictor.relation
        if valid is not None and not valid.num_rows:
            valid = None  # of a relation with one link a source a split holds out nothing
        given, hin = hin, with_relation(hin, relation)
        self._learn_rules(hin)
        if valid is None and not hin.observed().adjacency(relation).nnz:
            self._fit_from_nothing(hin, given, rng)
            return
        self.calibration_: dict[str, Calibration] = {}
        model = self.predictor.clone()
        if valid is None:
            kind = self._kinds(hin)[0]
            inner, held = self._hide(kind, hin, rng)
            model.fit(inner, valid=held, rng=rng)
            self._calibrate(kind, inner, model, held, rng)
            model.refit(hin, rng=rng)
        else:
            model.fit(hin, valid=valid, rng=rng)
            for kind in kinds_of_pairs(hin, relation, valid, self._kinds(hin)):
                self._calibrate(kind, hin, model, valid, rng)
        self.predictor_ = model
        for kind in self._kinds(hin):
            if kind not in self.calibration_ and self._can_score(kind, hin):
                inner, held = self._hide(kind, hin, rng)
                other = self.predictor.clone().fit(inner, valid=held, rng=rng)
                self._calibrate(kind, inner, other, held, rng)
        self._drop_what_cannot_be_scored(hin)

    def _hide(self, kind: str, hin: HIN, rng: np.random.Generator) -> tuple[HIN, pa.Table]:
        relation = self.predictor.relation
        return hide(hin, relation, kind, self.holdout, self.symmetric_, self.evidence, rng)

    def _learn_rules(self, hin: HIN) -> None:
        rules = rules_of(hin, self.predictor.relation)

        def chosen(asked: bool | None, found: bool) -> bool:
            return found if asked is None else asked

        self.functional_ = chosen(self.functional, rules.functional)
        self.injective_ = chosen(self.injective, rules.injective)
        self.symmetric_ = chosen(self.symmetric, rules.symmetric)
        self.twins_ = {edge: share for edge, (share, _) in rules.twins.items()}
        self.turned_ = [edge for edge, (_, turned) in rules.twins.items() if turned]

    def _fit_from_nothing(self, hin: HIN, given: HIN, rng: np.random.Generator) -> None:
        """Fit on a relation without links, and learn the span of the scores alone."""
        model = self.predictor.clone()
        try:
            model.fit(hin, rng=rng)
        except ValueError as error:
            raise self._no_links(given) from error
        sources, targets = self._ends(NOTHING, hin)
        some = _some(np.flatnonzero(sources), CALIBRATED_ON, rng)
        span = span_of_scores(candidates(hin, model, some, targets, self.candidates))
        if not span["span"][1] > span["span"][0]:
            raise self._no_links(given)
        self.predictor_, self.calibration_ = model, {NOTHING: span}

    def _no_links(self, hin: HIN) -> SchemaError:
        relation = self.predictor.relation
        n_edges = {edge: hin.n(edge) for edge in hin.edges}
        error = SchemaError if relation in hin.edges else UnknownNameError
        hint = "" if relation in hin.edges else nearest(relation, hin.edges)
        return error(
            f"RelationGenerator: there are no {relation} edges to learn from, there are {n_edges}"
            f"{hint}; without links {type(self.predictor).__name__} tells "
            "no pair from another; pass a graph that has some",
            asked=relation,
            there=n_edges,
        )

    def _kinds(self, hin: HIN) -> list[str]:
        """The kinds of pairs that may be proposed and of which there are some."""
        if not hin.adjacency(self.predictor.relation).nnz:
            return [NOTHING]
        allowed = {
            (False, False): [LINKED, NEW_TARGET, NEW_SOURCE],
            (True, False): [NEW_SOURCE],
            (False, True): [NEW_TARGET],
            (True, True): [NEW_BOTH],
        }[self.functional_, self.injective_]
        found = [kind for kind in allowed if all(ends.any() for ends in self._ends(kind, hin))]
        return found or allowed[:1]

    def _ends(self, kind: str, hin: HIN) -> tuple[np.ndarray, np.ndarray]:
        """Which sources and which targets a kind of pair joins, two bool arrays."""
        relation = self.predictor.relation
        ends = [
            nodes_asked(hin, relation, end, asked)
            for end, asked in enumerate((self.sources, self.targets))
        ]
        if kind != NOTHING:
            for aimed, degree, is_new in zip(
                ends, degrees(hin, relation), NEW_ENDS[kind], strict=True
            ):
                aimed &= (degree == 0) == is_new
        return ends[0], ends[1]

    def _can_score(self, kind: str, hin: HIN) -> bool:
        """Whether the predictor scores some pairs of a kind."""
        sources, targets = self._ends(kind, hin)
        some = np.flatnonzero(sources)
        some = some[:: max(1, len(some) // PROBED)][:PROBED]
        blocks = candidates(hin, self.predictor_, some, targets, 1)
        return any(block.possible.any() for block in blocks)

    def _drop_what_cannot_be_scored(self, hin: HIN) -> None:
        """Without kinds of pairs that had no candidate; ParameterError where none is left."""
        for kind, learned in list(self.calibration_.items()):
            if not learned["counts"][0]:
                del self.calibration_[kind]
        if not self.calibration_:
            kinds, relation = self._kinds(hin), self.predictor.relation
            who, other = TELLS_APART[kinds[0]]
            raise ParameterError(
                f"RelationGenerator: {type(self.predictor).__name__} scores no {relation} pair of "
                f"{who}, and all that may be proposed are such; {other}",
                asked=kinds,
            )

    def _calibrate(
        self, kind: str, hin: HIN, model: LinkPredictor, held: pa.Table, rng: np.random.Generator
    ) -> None:
        """Learn confidence from which candidates of the model are held-out pairs.

        hin: the graph without these pairs. Of new nodes only those that have held-out pairs are
        looked at; of others all, since judging only sources with held-out pairs would promise too
        much for the rest.
        """
        relation = model.relation
        pairs = PairIndex.from_ids(hin, relation, held)
        if self.symmetric_:
            pairs = pairs.union(PairIndex.from_positions(pairs.dst, pairs.src, pairs.shape))
        ends = []
        for degree, end, is_new in zip(
            degrees(hin, relation),
            (pairs.src, pairs.dst),
            NEW_ENDS.get(kind, (True, False)),
            strict=True,
        ):
            has_held_out = np.bincount(end, minlength=len(degree)) > 0
            ends.append((degree == 0) & has_held_out if is_new else degree > 0)
        if kind == NOTHING:
            ends[1] = np.ones_like(ends[1])
        sources = _some(np.flatnonzero(ends[0]), CALIBRATED_ON, rng)
        blocks = candidates(hin, model, sources, ends[1], self.candidates)
        self.calibration_[kind] = calibrated(blocks, pairs, self.symmetric_)

    # ---- generate --------------------------------------------------------------------------------

    def _generate(
        self, hin: HIN, size: int | float | None, condition: Any, rng: np.random.Generator
    ) -> Delta:
        self._no_condition(condition)
        relation, hin = self.predictor.relation, with_relation(hin, self.predictor.relation)
        room = self._room(hin, size, rng)
        src, dst, sure = self._propose(hin, room, rng)
        if not len(src):
            return self._delta()
        edges = pa.table(
            {
                "src": hin.observed().ids(relation[0], src),
                "dst": hin.observed().ids(relation[2], dst),
                "confidence": pa.array(sure, pa.float32()),
            }
        )
        twins = {edge: self._twin(edges, edge) for edge in self._followed(hin)}
        return self._delta(edges={relation: edges, **twins})

    def _followed(self, hin: HIN) -> list[EdgeType]:
        """The relations that record every link."""
        return [edge for edge, share in self.twins_.items() if share == 1 and edge in hin.edges]

    def _twin(self, edges: pa.Table, edge: EdgeType) -> pa.Table:
        """The new links as rows of another relation."""
        names = ["dst", "src", "confidence"] if edge in self.turned_ else edges.column_names
        return edges.select(names).rename_columns(["src", "dst", "confidence"])

    def _room(self, hin: HIN, size: int | float | None, rng: np.random.Generator) -> Room:
        """How many new edges there may be, in all and of each node."""
        relation = self.predictor.relation
        degree = degrees(hin, relation)
        asked = (self.sources, self.targets)
        aimed = [nodes_asked(hin, relation, end, asked[end]) for end in (0, 1)]
        room: list[np.ndarray | None] = []
        for end, one, amount in (
            (0, self.functional_, self.per_source),
            (1, self.injective_, self.per_target),
        ):
            aimed[end] &= (degree[end] == 0) | (not one)
            amount = 1 if one else amount
            room.append(None if amount is None else limits(amount, degree[end]))
        n = _total(size, room, aimed, hin.observed().adjacency(relation).nnz, f"{relation} edges")
        weight = [
            standing_for(degree[end] * aimed[end], aimed[end] & (asked[end] is not None), rng)
            for end in (0, 1)
        ]
        source_room = shares(weight[0], 2 * n, None) if room[0] is None else room[0]
        target_room = room[1]
        if self.degrees == "observed":
            source_room = np.minimum(source_room, shares(weight[0], n, rng))
            wanted = shares(weight[1], n, rng)
            target_room = wanted if target_room is None else np.minimum(target_room, wanted)
        return Room(n, source_room, target_room, self.symmetric_)

    def _propose(
        self, hin: HIN, room: Room, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sources, targets and confidence of the best new links that there is room for."""
        is_limited = room.of_targets is not None or self.symmetric_
        pool, best, k = Pool(room.n, trims=not is_limited), None, self.candidates
        if room.of_targets is not None:
            depth = min(2 * int(room.of_targets.max(initial=0)) + k, len(room.of_sources))
            best = BestSources(len(room.of_targets), max(1, depth))
        for block, sure, key in self._scored(hin, room, rng) if room.n else ():
            most = room.of_sources[block.src][:, None]
            most = np.maximum(most, k) if is_limited else most  # some of the best may have no room
            taken = (ranks(key) < most) & block.possible
            src = np.broadcast_to(block.src[:, None], taken.shape)
            pool.add(src[taken], block.dst[taken], sure[taken], key[taken])
            if best is not None:
                best.add(block.src, block.dst, sure, key)
        if best is not None:
            pool.add(*best.links())
        return within(pool.links(), room)

    def _scored(
        self, hin: HIN, room: Room, rng: np.random.Generator
    ) -> Iterator[tuple[Block, np.ndarray, np.ndarray]]:
        """Blocks of candidates with confidence and keys; of each source all targets, where each
        target looks for its best sources.
        """
        k = int(max(self.candidates, room.of_sources.max(initial=1)))
        if room.of_targets is not None:
            k = len(room.of_targets)
        for kind, calibration in self.calibration_.items():
            sources, targets = self._ends(kind, hin)
            for block in candidates(hin, self.predictor_, np.flatnonzero(sources), targets, k):
                sure = confidence(calibration, block)
                key = sure + 1e-12 * block.features[..., 0]  # equal confidence: the higher score
                if self.sample:
                    key = np.log(np.maximum(sure, 1e-12)) + rng.gumbel(size=sure.shape)
                yield block, sure, np.where(block.possible, key, -np.inf)


def _some(rows: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """At most so many of the rows, at random, ascending."""
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def _total(
    size: int | float | None,
    room: Sequence[np.ndarray | None],
    aimed: Sequence[np.ndarray],
    there: int,
    what: str,
) -> int:
    """How many edges are asked for; without a size, all that the nodes aimed at have room for."""
    sums = [
        int(most[nodes].sum()) for most, nodes in zip(room, aimed, strict=True) if most is not None
    ]
    return min(sums) if size is None and sums else resolve_size(size, there, what)
