"""The kits of generators pass a good one, and name each rule that another breaks."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from hinaug.datasets.planted import RATES
from hinaug.errors import ParameterError
from hinaug.generators.base import Entities, EntityGenerator, Generator
from hinaug.graph.delta import Delta
from hinaug.predictors import Popularity
from hinaug.predictors.base import LinkPredictor
from hinaug.testing import check_entity_generator, check_generator, check_relation_generator

# ---- generators of nodes -------------------------------------------------------------------------


@dataclass(eq=False)
class Twins(EntityGenerator):
    """Copies of real nodes of the graph at hand; one number is learned."""

    def _fit(self, hin, valid, rng):
        self.confidence_ = 0.5

    def _of(self, hin, n, rng, condition):
        if condition is not None and condition.nodes is not None:
            return condition.nodes
        active = np.flatnonzero(np.diff(hin.adjacency(RATES).indptr))
        return rng.choice(active, size=n)

    def sample(self, hin, n, rng, condition=None):
        who = self._of(hin, n, rng, condition)
        src, dst = hin.observed().links(RATES)
        row, edge = np.nonzero(who[:, None] == src[None, :])
        links = pa.table({"row": row, "id": hin.ids("item", dst[edge])})
        table = hin.observed().nodes[self.node].select(["age", "job"]).take(pa.array(who))
        columns = {c: table[c] for c in table.column_names}
        if condition is not None and condition.columns is not None:
            columns |= {c: condition.columns[c] for c in condition.columns.column_names}
        return Entities(columns, {RATES: links}, np.full(n, self.confidence_))


def test_a_good_generator_passes():
    check_entity_generator(Twins("user"))


@dataclass(eq=False)
class TakesNoCondition(Twins):
    """Allowed, if it says so."""

    def _generate(self, hin, size, condition, rng):
        self._no_condition(condition)
        return super()._generate(hin, size, None, rng)


def test_a_generator_may_take_no_condition():
    check_entity_generator(TakesNoCondition("user"))


@dataclass(eq=False)
class TooMany(Twins):
    def _generate(self, hin, size, condition, rng):
        return super()._generate(hin, size * 2 if isinstance(size, float) else size, condition, rng)


@dataclass(eq=False)
class NegativeSize(Twins):
    def _generate(self, hin, size, condition, rng):
        return super()._generate(hin, size if size is None else abs(size), condition, rng)


@dataclass(eq=False)
class SomethingForNothing(Twins):
    def _generate(self, hin, size, condition, rng):
        return super()._generate(hin, size or 1, condition, rng)


@dataclass(eq=False)
class NoneIsATypeError(Twins):
    def _generate(self, hin, size, condition, rng):
        return super()._generate(hin, size + 0, condition, rng)


@dataclass(eq=False)
class GeneratesUnfitted(Twins):
    def generate(self, hin, size=None, *, condition=None, rng=None):
        if not hasattr(self, "confidence_"):
            return Delta()
        return super().generate(hin, size, condition=condition, rng=rng)


@dataclass(eq=False)
class SameIds(Twins):
    def _generate(self, hin, size, condition, rng):
        made = super()._generate(hin, size, condition, rng)
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
    def sample(self, hin, n, rng, condition=None):
        made = super().sample(hin, n, rng, condition)
        links = made.links[RATES]
        links = links.filter(pa.array(np.asarray(links["row"]) != 0))
        return Entities(made.columns, {RATES: links}, made.confidence)


@dataclass(eq=False)
class InventsColumn(Twins):
    def sample(self, hin, n, rng, condition=None):
        made = super().sample(hin, n, rng, condition)
        columns = {**made.columns, "mood": pa.array(["fine"] * n)}
        return Entities(columns, made.links, made.confidence)


@dataclass(eq=False)
class WrongType(Twins):
    def sample(self, hin, n, rng, condition=None):
        made = super().sample(hin, n, rng, condition)
        columns = {**made.columns, "age": pa.array(["old"] * n)}
        return Entities(columns, made.links, made.confidence)


@dataclass(eq=False)
class NoLineage(Twins):
    def _generate(self, hin, size, condition, rng):
        made = super()._generate(hin, size, condition, rng)
        return Delta(made.nodes, made.edges)


@dataclass(eq=False)
class RemembersNoGraph(Twins):
    def fit(self, hin, *, valid=None, rng=None):
        super().fit(hin, valid=valid, rng=rng)
        self.fitted_on_ = "somewhere"
        return self


@dataclass(eq=False)
class FreshRng(Twins):
    def _of(self, hin, n, rng, condition):
        return super()._of(hin, n, np.random.default_rng(), condition)


@dataclass(eq=False)
class GlobalRng(Twins):
    def _of(self, hin, n, rng, condition):
        np.random.rand()  # noqa: NPY002
        return super()._of(hin, n, rng, condition)


@dataclass(eq=False)
class UnknownItems(Twins):
    def sample(self, hin, n, rng, condition=None):
        links = pa.table({"row": np.arange(n), "id": pa.array(["nowhere"] * n)})
        columns = super().sample(hin, n, rng, condition).columns
        return Entities(columns, {RATES: links}, np.full(n, 0.5))


@dataclass(eq=False)
class GivesGraph(Twins):
    def generate(self, hin, size=None, *, condition=None, rng=None):
        return hin + super().generate(hin, size, condition=condition, rng=rng)


@dataclass(eq=False)
class LosesItself(Twins):
    def _fit(self, hin, valid, rng):
        super()._fit(hin, valid, rng)
        self._needed = 0.5

    def sample(self, hin, n, rng, condition=None):
        made = super().sample(hin, n, rng, condition)
        return Entities(made.columns, made.links, np.full(n, self._needed))


@dataclass(eq=False)
class KeepsRealNodes(Twins):
    def _fit(self, hin, valid, rng):
        super()._fit(hin, valid, rng)
        src, dst = hin.links(RATES)
        self.table_ = pa.table({"who": hin.ids("user", src), "what": hin.ids("item", dst)})


@dataclass(eq=False)
class OneForAll(Twins):
    """Takes a condition, and makes one node whatever it is."""

    def _generate(self, hin, size, condition, rng):
        return super()._generate(hin, 1 if size is None else size, condition, rng)


@dataclass(eq=False)
class IgnoresGiven(Twins):
    def sample(self, hin, n, rng, condition=None):
        real = None if condition is None or condition.nodes is None else condition
        return super().sample(hin, n, rng, real)


@dataclass(eq=False)
class AnyCondition(Twins):
    def _generate(self, hin, size, condition, rng):
        is_known = isinstance(condition, pa.Table | pa.Array | type(None))
        return super()._generate(hin, size, condition if is_known else None, rng)


@dataclass(eq=False)
class OnlyItsOwnGraph(Twins):
    def _fit(self, hin, valid, rng):
        super()._fit(hin, valid, rng)
        self.n_ = hin.n("user")

    def sample(self, hin, n, rng, condition=None):
        if hin.n("user") != self.n_:
            raise ParameterError("another graph")
        return super().sample(hin, n, rng, condition)


@pytest.mark.parametrize(
    ("generator", "words"),
    [
        (TooMany("user"), r"generate\(size=0.1\) made 10 'user' nodes instead of 5"),
        (NegativeSize("user"), r"generate\(size=-1\) raises nothing"),
        (SomethingForNothing("user"), r"generate\(size=0\) made something"),
        (NoneIsATypeError("user"), r"generate\(size=None\) raises TypeError"),
        (GeneratesUnfitted("user"), "generate before fit raises nothing"),
        (SameIds("user"), "two deltas of unlike rng do not go together"),
        (Bare("user"), "without any link"),
        (InventsColumn("user"), "column 'mood' is not in the graph"),
        (WrongType("user"), "does not go on the graph it was made for"),
        (NoLineage("user"), "fitted_on lacks the graph"),
        (RemembersNoGraph("user"), "is not the fingerprint of the graph"),
        (FreshRng("user"), "generated twice with rng=0, the deltas differ"),
        (GlobalRng("user"), "numpy's global random state"),
        (UnknownItems("user"), "does not go on the graph it was made for"),
        (GivesGraph("user"), "generate gives HIN; a Delta is expected"),
        (LosesItself("user"), "fails after save and load"),
        (KeepsRealNodes("user"), "KeepsRealNodes.table_ is a table with ids of both ends"),
        (OneForAll("user"), "a condition of 3 nodes made 1"),
        (IgnoresGiven("user"), "'age' of the condition is not that of the new nodes"),
        (AnyCondition("user"), "a condition that means nothing raises nothing"),
        (OnlyItsOwnGraph("user"), "a graph grown raises"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, EntityGenerator) else "",
)
def test_each_broken_rule_of_an_entity_generator_is_named(generator, words):
    with pytest.raises(AssertionError, match=words):
        check_entity_generator(generator)


def test_what_is_no_generator_is_said():
    with pytest.raises(AssertionError, match="Popularity is no EntityGenerator"):
        check_entity_generator(Popularity(RATES))
    with pytest.raises(AssertionError, match="Popularity is no Generator"):
        check_generator(Popularity(RATES))
    with pytest.raises(AssertionError, match="Twins is no relation generator"):
        check_relation_generator(Twins("user"))


# ---- generators of links -------------------------------------------------------------------------


@dataclass(eq=False)
class Proposer(Generator):
    """Unseen pairs, in the order of the tables."""

    predictor: LinkPredictor

    def _fit(self, hin, valid, rng):
        self.confidence_ = 0.5

    def _pairs(self, hin, n):
        src, dst = (side[:n] for side in np.nonzero(hin.adjacency(RATES).toarray() == 0))
        return src, dst

    def _generate(self, hin, size, condition, rng):
        self._no_condition(condition)
        if size is None or size < 0:
            raise ParameterError("size")
        n = size if isinstance(size, int) else round(size * hin.n(RATES))
        src, dst = self._pairs(hin, n)
        rows = {
            "src": hin.ids("user", src),
            "dst": hin.ids("item", dst),
            "confidence": np.full(len(src), self.confidence_),
        }
        return self._delta(edges={RATES: rows})


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
        return super()._pairs(hin, n + (n > 0))


@dataclass(eq=False)
class ProposesNothing(Proposer):
    def _pairs(self, hin, n):
        return super()._pairs(hin, 0)


@pytest.mark.parametrize(
    ("generator", "words"),
    [
        (ProposesKnown(Popularity(RATES)), "in the graph already"),
        (ProposesTwice(Popularity(RATES)), "more than once"),
        (ProposesMore(Popularity(RATES)), r"made 21 .* edges, more than 20"),
        (ProposesNothing(Popularity(RATES)), "made nothing"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Generator) else "",
)
def test_each_broken_rule_of_a_relation_generator_is_named(generator, words):
    with pytest.raises(AssertionError, match=words):
        check_relation_generator(generator)
