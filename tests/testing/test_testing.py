"""The kit passes every method of the package, and fails a method for each rule that it breaks."""

import random
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pytest
import torch

from hinaug.datasets import planted
from hinaug.ensembles import Weighted
from hinaug.errors import NotFittedError
from hinaug.generators import RelationGenerator
from hinaug.generators.base import Entities, EntityGenerator
from hinaug.graph.delta import Delta
from hinaug.predictors import EASE, ItemKNN, LightGCN, NearestNeighbors, Popularity
from hinaug.predictors.base import LinkPredictor
from hinaug.testing.kits import check_entity_generator, check_predictor, check_relation_generator
from hinaug.training.estimator import Estimator

RATES = ("user", "rates", "item")
WROTE = ("user", "wrote", "review")


# ---- the package's own methods -------------------------------------------------------------------


@pytest.mark.parametrize(
    "predictor",
    [
        Popularity(RATES),
        Popularity(RATES, weight="confidence"),
        ItemKNN(RATES, k=5),
        EASE(RATES, l2=5.0),
        EASE(RATES, l2=5.0, weight="confidence"),
        NearestNeighbors(RATES),
        NearestNeighbors(RATES, centre=False),
        LightGCN(RATES, dim=8, steps=12, check_every=5),
        LightGCN(RATES, loss="softmax", dim=8, steps=12, check_every=5, weight="confidence"),
        Weighted([EASE(RATES, l2=5.0), NearestNeighbors(RATES), Popularity(RATES)]),
        Weighted([Weighted([EASE(RATES), Popularity(RATES)]), LightGCN(RATES, dim=4, steps=5)]),
    ],
    ids=repr,
)
def test_predictors_keep_the_contract(predictor):
    check_predictor(predictor)


def test_another_relation_and_graph():
    check_predictor(Popularity(WROTE))
    hin = planted(n_users=20, n_items=15, n_groups=2, rng=3)
    check_predictor(EASE(RATES), hin, rng=7)


def entity_generators():
    """Every one that the package names, trained briefly."""
    import hinaug.generators as package

    found = [getattr(package, name) for name in package.__all__]
    generators = [
        cls("user") for cls in found if isinstance(cls, type) and issubclass(cls, EntityGenerator)
    ]
    for generator in generators:
        for part in (generator, getattr(generator, "autoencoder", None)):
            for name in {"steps", "epochs"} & set(getattr(part, "__dict__", ())):
                setattr(part, name, 10)
    return generators


@pytest.mark.parametrize("generator", entity_generators(), ids=lambda g: type(g).__name__)
def test_entity_generators_keep_the_contract(generator):
    check_entity_generator(generator)


def test_relation_generator_keeps_the_contract():
    check_relation_generator(RelationGenerator(EASE(RATES)))


# ---- predictors that break one rule each ---------------------------------------------------------


@dataclass(eq=False)
class Good(LinkPredictor):
    """Counts, and the sum of what the history has in common: enough to break in many ways."""

    scale: float = 1.0

    def _fit(self, hin, valid, rng):
        x = hin.adjacency(self.relation).toarray()
        self.s_ = np.float32(self.scale) * (x.T @ x) + np.float32(0.01) * rng.random(
            (x.shape[1], 1), np.float32
        )

    def _score(self, hin, src):
        return self._columns(hin, self._history(hin, src).toarray() @ self.s_)


def test_a_good_one_passes():
    check_predictor(Good(RATES))


class NoDataclass(Good):
    def __init__(self, relation, scale=1.0, extra=3):
        super().__init__(relation, scale)


@dataclass(eq=False)
class RoundsParameter(Good):
    def __post_init__(self):
        self.scale = self.scale + 1


@dataclass(eq=False)
class LearnsTooEarly(Good):
    def __post_init__(self):
        self.s_ = np.zeros(3)


@dataclass(eq=False)
class HidesParameter(Good):
    secret: int = field(default=1, repr=False)
    shown: int = 2

    def __repr__(self):
        return "HidesParameter()"


@dataclass(eq=False)
class ScoresUnfitted(Good):
    def score(self, hin, src):
        if not hasattr(self, "s_"):
            return np.zeros((len(src), hin.n(self.relation[2])), np.float32)
        return super().score(hin, src)


@dataclass(eq=False)
class AnyGraph(Good):
    def fit(self, hin, *, valid=None, rng=None):
        return super().fit(hin, valid=valid, rng=rng) if self.relation in hin.edges else self


@dataclass(eq=False)
class ReturnsNothing(Good):
    def fit(self, hin, *, valid=None, rng=None):
        super().fit(hin, valid=valid, rng=rng)


@dataclass(eq=False)
class ChangesParameter(Good):
    def _fit(self, hin, valid, rng):
        super()._fit(hin, valid, rng)
        self.scale = 2.0


@dataclass(eq=False)
class ChangesGraph(Good):
    def _fit(self, hin, valid, rng):
        super()._fit(hin, valid, rng)
        hin.adjacency(self.relation).data.setflags(write=True)
        hin.adjacency(self.relation).data[0] = 5


@dataclass(eq=False)
class DrawsFromNumpy(Good):
    def _fit(self, hin, valid, rng):
        super()._fit(hin, valid, rng)
        self.s_ += np.random.random()  # noqa: NPY002


@dataclass(eq=False)
class DrawsFromPython(Good):
    def _fit(self, hin, valid, rng):
        super()._fit(hin, valid, rng)
        self.s_ += random.random()


@dataclass(eq=False)
class SeedsTorch(Good):
    def _fit(self, hin, valid, rng):
        torch.manual_seed(99)
        super()._fit(hin, valid, rng)


@dataclass(eq=False)
class DrawsInScore(Good):
    def _score(self, hin, src):
        torch.rand(1)
        return super()._score(hin, src)


@dataclass(eq=False)
class SetsThreads(Good):
    def _fit(self, hin, valid, rng):
        torch.set_num_threads(torch.get_num_threads() + 1)
        super()._fit(hin, valid, rng)


@dataclass(eq=False)
class IgnoresRng(Good):
    def _fit(self, hin, valid, rng):
        super()._fit(hin, valid, np.random.default_rng())


@dataclass(eq=False)
class RemembersEarlierFits(Good):
    def _fit(self, hin, valid, rng):
        old = getattr(self, "s_", None)
        super()._fit(hin, valid, rng)
        if old is not None:
            self.s_ = self.s_ + old


@dataclass(eq=False)
class Infinite(Good):
    def _score(self, hin, src):
        return np.full((len(src), hin.n(self.relation[2])), -np.inf, np.float32)


@dataclass(eq=False)
class AlwaysNan(Good):
    def _score(self, hin, src):
        return np.full((len(src), hin.n(self.relation[2])), np.nan, np.float32)


@dataclass(eq=False)
class DoublePrecision(Good):
    def score(self, hin, src):
        return super().score(hin, src).astype(np.float64)


@dataclass(eq=False)
class ScoresInContext(Good):
    def _score(self, hin, src):
        scores = super()._score(hin, src)
        return scores - scores.mean() if scores.size else scores


@dataclass(eq=False)
class ForgivesPositions(Good):
    def score(self, hin, src):
        return super().score(hin, np.clip(src, 0, hin.n(self.relation[0]) - 1))


@dataclass(eq=False)
class PairsDisagree(Good):
    def score_pairs(self, hin, src, dst):
        return super().score_pairs(hin, src, dst) + 1


@dataclass(eq=False)
class GoesByPosition(Good):
    def _score(self, hin, src):
        x = hin.adjacency(self.relation)[src].toarray()
        n = len(self.s_)
        out = np.zeros(x.shape, np.float32)
        out[:, :n] = x[:, :n] @ self.s_
        return out


@dataclass(eq=False)
class FixedSize(Good):
    def _score(self, hin, src):
        return hin.adjacency(self.relation)[src].toarray()[:, : len(self.s_)] @ self.s_


@dataclass(eq=False)
class LosesState(Good):
    def _fit(self, hin, valid, rng):
        super()._fit(hin, valid, rng)
        self.needed = 1.0

    def _score(self, hin, src):
        return super()._score(hin, src) * self.needed


@dataclass(eq=False)
class LosesPrecision(Good):
    def _fit(self, hin, valid, rng):
        super()._fit(hin, valid, rng)
        self._exact = self.s_ * np.float32(1.1)

    def _score(self, hin, src):
        kept = self.s_
        self.s_ = self.__dict__.get("_exact", kept)
        try:
            return super()._score(hin, src)
        finally:
            self.s_ = kept


@dataclass(eq=False)
class Unsavable(Good):
    def _fit(self, hin, valid, rng):
        super()._fit(hin, valid, rng)
        self.function_ = lambda x: x


@dataclass(eq=False)
class RefitForgets(Good):
    def refit(self, hin, *, rng=None):
        self._check_fitted()
        self._fit(hin, None, np.random.default_rng(rng))
        return self


@dataclass(eq=False)
class RefitMixes(Good):
    def refit(self, hin, *, rng=None):
        self._check_fitted()
        old = self.s_
        super().refit(hin, rng=rng)
        self.s_ = (self.s_ + old) / 2
        return self


@dataclass(eq=False)
class RefitReturnsNothing(Good):
    def refit(self, hin, *, rng=None):
        super().refit(hin, rng=rng)


@pytest.mark.parametrize(
    ("predictor", "words"),
    [
        (NoDataclass(RATES), "no dataclass of its own"),
        (RoundsParameter(RATES), "clone.. has other parameters"),
        (LearnsTooEarly(RATES), r"has \['s_'\] before fit"),
        (HidesParameter(RATES), "the repr is the log line; it does not show"),
        (ScoresUnfitted(RATES), "score before fit raises nothing; NotFittedError is expected"),
        (AnyGraph(RATES), "fit on a graph without .* raises nothing; KeyError is expected"),
        (ReturnsNothing(RATES), "fit must return self"),
        (ChangesParameter(RATES), "fit changed a parameter"),
        (ChangesGraph(RATES), "changes the graph"),
        (DrawsFromNumpy(RATES), "numpy's global random state"),
        (DrawsFromPython(RATES), "the random state of `random`"),
        (SeedsTorch(RATES), "torch's global random state"),
        (DrawsInScore(RATES), "score changes torch's global random state"),
        (SetsThreads(RATES), "the number of torch threads"),
        (IgnoresRng(RATES), "fitted twice with rng=0, the scores differ"),
        (RemembersEarlierFits(RATES), "what an earlier fit learned is still there"),
        (Infinite(RATES), "infinite numbers"),
        (AlwaysNan(RATES), "NaN everywhere"),
        (DoublePrecision(RATES), "float64"),
        (ScoresInContext(RATES), "depends on which sources are asked for together"),
        (ForgivesPositions(RATES), "of position 50 among 50 raises nothing"),
        (PairsDisagree(RATES), "score_pairs disagrees"),
        (GoesByPosition(RATES), "go by ids"),
        (FixedSize(RATES), "expected"),
        (LosesState(RATES), "fails after save and load"),
        (LosesPrecision(RATES), "other results after save and load"),
        (Unsavable(RATES), "cannot be saved and loaded"),
        (RefitForgets(RATES), "refit did not remember the graph"),
        (RefitMixes(RATES), "refit scores otherwise than a new fit on the same graph"),
        (RefitReturnsNothing(RATES), "refit must return self"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, LinkPredictor) else "",
)
def test_each_broken_rule_of_a_predictor_is_named(predictor, words):
    threads = torch.get_num_threads()
    try:
        with pytest.raises((AssertionError, ValueError), match=words):
            check_predictor(predictor)
    finally:
        torch.set_num_threads(threads)


def test_what_is_no_predictor_is_said():
    with pytest.raises(AssertionError, match="int is no LinkPredictor"):
        check_predictor(3)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match=r"has no \('user', 'buys', 'item'\)"):
        check_predictor(Popularity(("user", "buys", "item")))


# ---- entity generators ---------------------------------------------------------------------------


@dataclass(eq=False)
class Twins(EntityGenerator):
    """Copies of real nodes."""

    def _fit(self, hin, valid, rng):
        self.table_ = hin.nodes[self.node].select(["age", "job"])
        links = hin.adjacency(RATES).tocoo()
        self.src_, dst = links.coords
        self.items_ = hin.ids("item", dst)

    def _of(self, n, rng):
        return rng.integers(self.table_.num_rows, size=n)

    def sample(self, n, rng):
        who = self._of(n, rng)
        row, edge = np.nonzero(who[:, None] == self.src_[None, :])
        links = pa.table({"row": row, "id": self.items_.take(pa.array(edge))})
        columns = self.table_.take(pa.array(who))
        return Entities(
            {c: columns[c] for c in columns.column_names}, {RATES: links}, np.full(n, 0.5)
        )


def test_a_good_generator_passes():
    check_entity_generator(Twins("user"))


@dataclass(eq=False)
class TooMany(Twins):
    def generate(self, hin, size, rng=None):
        return super().generate(
            hin, size if size == 0 or size == 7 or not isinstance(size, float) else size * 2, rng
        )


@dataclass(eq=False)
class NegativeSize(Twins):
    def generate(self, hin, size, rng=None):
        return super().generate(hin, abs(size), rng)


@dataclass(eq=False)
class GeneratesUnfitted(Twins):
    def generate(self, hin, size, rng=None):
        return super().generate(hin, size, rng) if hasattr(self, "table_") else Delta()


@dataclass(eq=False)
class SameIds(Twins):
    def generate(self, hin, size, rng=None):
        made = super().generate(hin, size, rng)
        if not len(made):
            return made
        ids = pa.array([f"same-{i}" for i in range(made.nodes["user"].num_rows)])
        old = made.nodes["user"]["id"].combine_chunks()
        edges = made.edges[RATES]
        at = pa.array([ids[old.index(i).as_py()].as_py() for i in edges["src"]])
        nodes = made.nodes["user"].set_column(0, "id", ids).drop_columns(["key"])
        edges = edges.set_column(0, "src", at).drop_columns(["key"])
        return Delta({"user": nodes}, {RATES: edges}, fitted_on=made.fitted_on)


@dataclass(eq=False)
class Bare(Twins):
    def sample(self, n, rng):
        made = super().sample(n, rng)
        return Entities(
            made.columns,
            {RATES: made.links[RATES].filter(pa.array(np.asarray(made.links[RATES]["row"]) != 0))},
            made.confidence,
        )


@dataclass(eq=False)
class InventsColumn(Twins):
    def sample(self, n, rng):
        made = super().sample(n, rng)
        return Entities(
            {**made.columns, "mood": pa.array(["fine"] * n)}, made.links, made.confidence
        )


@dataclass(eq=False)
class WrongType(Twins):
    def sample(self, n, rng):
        made = super().sample(n, rng)
        return Entities({**made.columns, "age": pa.array(["old"] * n)}, made.links, made.confidence)


@dataclass(eq=False)
class NoLineage(Twins):
    def generate(self, hin, size, rng=None):
        made = super().generate(hin, size, rng)
        return Delta(made.nodes, made.edges)


@dataclass(eq=False)
class FreshRng(Twins):
    def _of(self, n, rng):
        return np.random.default_rng().integers(self.table_.num_rows, size=n)


@dataclass(eq=False)
class GlobalRng(Twins):
    def _of(self, n, rng):
        return np.random.randint(self.table_.num_rows, size=n)  # noqa: NPY002


@dataclass(eq=False)
class UnknownItems(Twins):
    def sample(self, n, rng):
        links = pa.table({"row": np.arange(n), "id": pa.array(["nowhere"] * n)})
        return Entities(super().sample(n, rng).columns, {RATES: links}, np.full(n, 0.5))


@dataclass(eq=False)
class GivesGraph(Twins):
    def generate(self, hin, size, rng=None):
        return hin + super().generate(hin, size, rng)


@dataclass(eq=False)
class LosesItself(Twins):
    def _fit(self, hin, valid, rng):
        super()._fit(hin, valid, rng)
        self.kept = self.table_

    def _of(self, n, rng):
        return rng.integers(self.kept.num_rows, size=n)


@pytest.mark.parametrize(
    ("generator", "words"),
    [
        (TooMany("user"), r"generate\(size=0.1\) made 10 'user' nodes instead of 5"),
        (NegativeSize("user"), r"generate\(size=-1\) raises nothing"),
        (GeneratesUnfitted("user"), "generate before fit raises nothing"),
        (SameIds("user"), "two deltas of unlike rng do not go together"),
        (Bare("user"), "without any link"),
        (InventsColumn("user"), "column 'mood' is not in the graph"),
        (WrongType("user"), "does not go on the graph it was made for"),
        (NoLineage("user"), "fitted_on lacks the graph"),
        (FreshRng("user"), "generated twice with rng=0, the deltas differ"),
        (GlobalRng("user"), "numpy's global random state"),
        (UnknownItems("user"), "does not go on the graph it was made for"),
        (GivesGraph("user"), "generate gives HIN; a Delta is expected"),
        (LosesItself("user"), "fails after save and load"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, EntityGenerator) else "",
)
def test_each_broken_rule_of_an_entity_generator_is_named(generator, words):
    with pytest.raises(AssertionError, match=words):
        check_entity_generator(generator)


def test_what_is_no_generator_is_said():
    with pytest.raises(AssertionError, match="Popularity is no EntityGenerator"):
        check_entity_generator(Popularity(RATES))  # type: ignore[arg-type]


# ---- relation generators -------------------------------------------------------------------------


@dataclass(eq=False)
class Proposer(Estimator):
    """Unseen pairs, in the order of the tables."""

    predictor: LinkPredictor

    def fit(self, hin, *, valid=None, rng=None):
        self.fitted_on_ = hin.fingerprint()
        return self

    def _pairs(self, hin, n):
        src, dst = (side[:n] for side in np.nonzero(hin.adjacency(RATES).toarray() == 0))
        return src, dst

    def generate(self, hin, size, rng=None):
        self._check_fitted()
        if size < 0:
            raise ValueError("size")
        n = size if isinstance(size, int) else round(size * hin.n(RATES))
        src, dst = self._pairs(hin, n)
        rows = {
            "src": hin.ids("user", src),
            "dst": hin.ids("item", dst),
            "confidence": np.full(len(src), 0.5),
        }
        return Delta(edges={RATES: rows}, origin="Proposer", fitted_on=[self.fitted_on_])


def test_a_good_proposer_passes():
    check_relation_generator(Proposer(Popularity(RATES)))


@dataclass(eq=False)
class ProposesKnown(Proposer):
    def _pairs(self, hin, n):
        return tuple(side[:n] for side in hin.adjacency(RATES).nonzero())


@dataclass(eq=False)
class ProposesTwice(Proposer):
    def _pairs(self, hin, n):
        src, dst = super()._pairs(hin, n)
        return np.r_[src[: n // 2], src[: n // 2]], np.r_[dst[: n // 2], dst[: n // 2]]


@dataclass(eq=False)
class ProposesMore(Proposer):
    def _pairs(self, hin, n):
        return super()._pairs(hin, n + 1)


@dataclass(eq=False)
class ProposesNothing(Proposer):
    def _pairs(self, hin, n):
        return super()._pairs(hin, 0)


@pytest.mark.parametrize(
    ("generator", "words"),
    [
        (ProposesKnown(Popularity(RATES)), "in the graph already"),
        (ProposesTwice(Popularity(RATES)), "more than once"),
        (ProposesMore(Popularity(RATES)), r"made 21 rows, more than 20"),
        (ProposesNothing(Popularity(RATES)), "made nothing"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Estimator) else "",
)
def test_each_broken_rule_of_a_relation_generator_is_named(generator, words):
    with pytest.raises(AssertionError, match=words):
        check_relation_generator(generator)


def test_not_fitted_error_is_a_value_error():
    assert issubclass(NotFittedError, ValueError)
