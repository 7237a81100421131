"""Relations of every form: what their observed links keep, generated ones keep too."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from raising import raises

from hinaug.datasets import planted
from hinaug.datasets.planted import ABOUT, HAS, RATES, WROTE
from hinaug.errors import ParameterError, SchemaError, UnknownNameError
from hinaug.generators import RelationGenerator, random_delta
from hinaug.generators.relations.rules import rules_of
from hinaug.graph.hin import HIN
from hinaug.io import store
from hinaug.predictors import ALS, EASE, ItemKNN, KernelRidge, LightGCN, Popularity
from hinaug.predictors.base import LinkPredictor
from hinaug.split.cold import cold_items
from hinaug.split.temporal import temporal_split
from hinaug.testing import check_relation_generator

KNOWS, SIMILAR = ("user", "knows", "user"), ("item", "similar", "item")


@dataclass(eq=False)
class Cosine(LinkPredictor):
    """Cosines of the vectors of both ends; it needs no links."""

    STOCHASTIC = False

    def _fit(self, hin, valid, rng):
        self.fitted_ = True

    def _score(self, hin, src):
        a, b = (hin.vectors(self.relation[end], "x", fill=0.0) for end in (0, 2))
        a, b = (v / np.maximum(np.linalg.norm(v, axis=1)[:, None], 1e-9) for v in (a, b))
        return a[src] @ b.T


def pairs(delta, relation):
    rows = delta.edges[relation]
    return list(zip(rows["src"].to_pylist(), rows["dst"].to_pylist(), strict=True))


def friends(n=60, rng=0):
    """Friends in groups of ten, each friendship in both directions."""
    rng = np.random.default_rng(rng)
    a, b = np.triu_indices(n, 1)
    linked = rng.random(len(a)) < np.where(a % 6 == b % 6, 0.5, 0.02)
    a, b = a[linked], b[linked]
    nodes = {"user": {"id": [f"u{i}" for i in range(n)]}}
    return HIN(nodes, {KNOWS: {"src": np.append(a, b), "dst": np.append(b, a)}})


@pytest.mark.parametrize("per", [{}, {"per_source": 2}, {"per_target": 2, "sample": True}])
def test_a_symmetric_relation_stays_so(per):
    hin = friends()
    generator = RelationGenerator(EASE(KNOWS), **per).fit(hin, rng=0)
    assert generator.symmetric_
    made = generator.generate(hin, 41, rng=0)
    new = pairs(made, KNOWS)
    assert len(new) == len(set(new)) == 40
    assert {(b, a) for a, b in new} == set(new)
    assert all(a != b for a, b in new)
    if per:
        assert max(np.unique([a for a, _ in new], return_counts=True)[1]) <= 2
    drawn = pairs(random_delta(hin, made, 0), KNOWS)
    assert {(b, a) for a, b in drawn} == set(drawn)
    assert len(set(drawn)) == 40
    known = set(zip(*(e.tolist() for e in hin.links(KNOWS)), strict=True))
    assert not {(f"u{a}", f"u{b}") for a, b in known} & (set(drawn) | set(new))
    one_way = RelationGenerator(EASE(KNOWS), symmetric=False).fit(hin, rng=0)
    assert len(pairs(one_way.generate(hin, 41, rng=0), KNOWS)) == 41


def test_friends_are_calibrated_as_pairs():
    """Of many symmetric worlds, the links left out are found as often as confidence says."""
    said, found = [], []
    for seed in range(12):
        hin = friends(90, rng=seed)
        rng = np.random.default_rng(seed)
        src, dst = hin.links(KNOWS)
        low, high = np.minimum(src, dst).astype(int), np.maximum(src, dst)
        code = low * 90 + high
        out = np.isin(code, rng.choice(np.unique(code), len(code) // 20, replace=False))
        inner = hin.filter_edges(KNOWS, ~out)
        # a tenth of what is left is held out inside; a tenth of all is looked for here
        made = RelationGenerator(EASE(KNOWS), per_source=30).fit(inner, rng=seed)
        rows = made.generate(inner, 600, rng=0).edges[KNOWS]
        a, b = (hin.positions("user", rows[s]) for s in ("src", "dst"))
        said.append(rows["confidence"].to_numpy())
        found.append(np.isin(np.minimum(a, b) * 90 + np.maximum(a, b), code[out]))
    said, found = np.concatenate(said), np.concatenate(found)
    bins = np.array_split(np.argsort(-said), 10)
    assert abs(said.mean() / found.mean() - 1) < 0.25
    assert np.mean([abs(said[b].mean() - found[b].mean()) for b in bins]) < 0.03


def test_relations_that_record_every_link_record_the_new_ones():
    hin = planted(40, 25, rng=0)
    src, dst = hin.links(RATES)
    ids = hin.ids("user", src), hin.ids("item", dst)
    viewed, rated_by = ("user", "viewed", "item"), ("item", "rated by", "user")
    liked = ("user", "liked", "item")
    half = len(src) // 2
    hin = hin.with_edges(
        viewed, {"src": [*ids[0].to_pylist(), "u39"], "dst": [*ids[1].to_pylist(), "i00"]}
    )
    hin = hin.with_edges(rated_by, {"src": ids[1], "dst": ids[0]})
    hin = hin.with_edges(liked, {"src": ids[0][:half], "dst": ids[1][:half]})
    generator = RelationGenerator(EASE(RATES), evidence=["review"]).fit(hin, rng=0)
    assert generator.twins_ == {viewed: 1.0, rated_by: 1.0, liked: pytest.approx(half / len(src))}
    made = generator.generate(hin, 30, rng=0)
    new = pairs(made, RATES)
    assert len(new) == 30
    assert set(made.edges) == {RATES, viewed, rated_by}
    assert pairs(made, viewed) == new
    assert pairs(made, rated_by) == [(b, a) for a, b in new]
    drawn = random_delta(hin, made, 0)
    assert pairs(drawn, viewed) == pairs(drawn, RATES) != new
    assert pairs(drawn, rated_by) == [(b, a) for a, b in pairs(drawn, RATES)]
    assert (hin + made) - made == hin
    # half of them are liked: nothing says which of the new ones would be
    only_liked = RelationGenerator(EASE(liked)).fit(hin, rng=0)
    assert only_liked.twins_[RATES] == 1.0


@pytest.mark.parametrize(
    "predictor",
    [
        EASE(RATES),
        ALS(HAS, embedding_dim=4),
        EASE(KNOWS),
        ItemKNN(WROTE),
        EASE(ABOUT),
        LightGCN(HAS, epochs=3),
    ],
    ids=lambda p: f"{type(p).__name__} {p.relation[1]}",
)
def test_the_contract_holds_for_every_relation(predictor):
    hin = planted(40, 30, n_groups=3, dim=4, tags=True, rng=0)
    rng = np.random.default_rng(0)
    know = {
        "src": [f"u{i:02d}" for i in rng.integers(0, 40, 120)],
        "dst": [f"u{i:02d}" for i in rng.integers(0, 40, 120)],
    }
    hin = hin.with_edges(KNOWS, know)
    if predictor.relation in (WROTE, ABOUT):
        # a review has one writer and one item: links are proposed where there is none, and these
        # models know nothing of a node without links
        with pytest.raises(ParameterError) as error:
            RelationGenerator(predictor).fit(hin, rng=0)
        assert error.value.asked in (["new target"], ["new source"])
    else:
        check_relation_generator(RelationGenerator(predictor), hin)


def test_one_to_one_links_are_proposed_where_there_is_none():
    """Passports and persons with the same vector; a tenth of them are not matched yet."""
    n, matched, holds = 200, 180, ("person", "holds", "passport")
    x = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
    noise = x + 0.05 * np.random.default_rng(1).normal(size=x.shape)
    nodes = {
        "person": {"id": [f"p{i}" for i in range(n)], "x": x},
        "passport": {"id": [f"q{i}" for i in range(n)], "x": noise.astype(np.float32)},
    }
    hin = HIN(nodes, {holds: {"src": np.arange(matched), "dst": np.arange(matched)}})
    rules = rules_of(hin, holds)
    assert rules.functional
    assert rules.injective
    generator = RelationGenerator(Cosine(holds)).fit(hin, rng=0)
    made = generator.generate(hin, rng=0)
    new = pairs(made, holds)
    assert sorted(a for a, _ in new) == sorted(f"p{i}" for i in range(matched, n))
    assert len({b for _, b in new}) == n - matched
    assert np.mean([a[1:] == b[1:] for a, b in new]) > 0.8
    assert len(generator.generate(hin + made, rng=0)) == 0


def test_each_item_of_one_brand_and_brands_without_an_item():
    makes = ("brand", "makes", "item")
    nodes = {
        "brand": {"id": [f"b{i}" for i in range(4)]},
        "item": {"id": [f"i{i}" for i in range(40)]},
    }
    hin = HIN(nodes, {makes: {"src": np.arange(30) % 4, "dst": np.arange(30)}})
    assert rules_of(hin, makes).injective
    assert not rules_of(hin, makes).functional
    made = RelationGenerator(Sized(makes), per_source=50).fit(hin, rng=0).generate(hin, 99, rng=0)
    assert sorted(b for _, b in pairs(made, makes)) == sorted(f"i{i}" for i in range(30, 40))


@dataclass(eq=False)
class Sized(LinkPredictor):
    """Scores every target with the degree of the source; it knows new targets too."""

    def _fit(self, hin, valid, rng):
        self.fitted_ = True

    def _score(self, hin, src):
        degree = np.diff(hin.adjacency(self.relation).indptr)[src]
        return np.repeat(degree[:, None], hin.n(self.relation[2]), axis=1).astype(np.float32)


# ---- new relations -------------------------------------------------------------------------------


def test_a_relation_made_from_nothing(tmp_path):
    hin = planted(30, 40, rng=0)
    generator = RelationGenerator(Cosine(SIMILAR), per_source=3, symmetric=True).fit(hin, rng=0)
    made = generator.generate(hin, rng=0)
    new = pairs(made, SIMILAR)
    assert {(b, a) for a, b in new} == set(new)
    assert all(a != b for a, b in new)
    assert (hin + made).n(SIMILAR) == len(new) > 40
    assert made.fitted_on == (hin.fingerprint(),)
    assert (hin + made) - made == hin
    x = hin.vectors("item", "x")
    x = x / np.linalg.norm(x, axis=1)[:, None]
    a, b = (hin.positions("item", made.edges[SIMILAR][s]) for s in ("src", "dst"))
    cosine = (x[a] * x[b]).sum(axis=1)
    sure = made.edges[SIMILAR]["confidence"].to_numpy()
    assert np.corrcoef(cosine, sure)[0, 1] > 0.999
    assert 0.9 < sure.max() <= 1
    store.save(generator, tmp_path / "g")
    loaded = store.load(tmp_path / "g", classes=[Cosine])
    assert loaded.generate(hin, rng=0) == made
    # and again, on a graph that has it only through a delta
    more = generator.generate(hin + made, rng=0)
    assert not set(pairs(more, SIMILAR)) & set(new)


def test_known_pairs_calibrate_a_new_relation():
    """Pairs of one topic are alike; a few are told, and confidence is their share."""
    hin, truth = planted(30, 120, n_groups=3, rng=0, return_truth=True)
    topic = truth["item_topic"]
    rng = np.random.default_rng(0)
    known = rng.choice(120, 20, replace=False)
    a, b = np.nonzero(
        (topic[known][:, None] == topic[None, :]) & (known[:, None] != np.arange(120))
    )
    told = pa.table({"src": hin.ids("item", known[a]), "dst": hin.ids("item", b)})
    generator = RelationGenerator(Cosine(SIMILAR), per_source=10).fit(hin, valid=told, rng=0)
    made = generator.generate(hin, 1000, rng=0).edges[SIMILAR]
    a, b = (hin.positions("item", made[s]) for s in ("src", "dst"))
    assert made["confidence"].to_numpy().mean() == pytest.approx(
        (topic[a] == topic[b]).mean(), abs=0.05
    )


def test_a_relation_that_nothing_can_be_said_of():
    hin = planted(20, 10, rng=0)
    for predictor in (EASE(("user", "rate", "item")), LightGCN(("user", "rate", "item"))):
        with pytest.raises(UnknownNameError) as error:
            RelationGenerator(predictor).fit(hin, rng=0)
        assert error.value.asked == ("user", "rate", "item")
        assert RATES in error.value.there
    with pytest.raises(UnknownNameError):
        RelationGenerator(EASE(("user", "rates", "film"))).fit(hin, rng=0)
    empty = hin.filter_edges(RATES, np.zeros(hin.n(RATES), bool))
    with pytest.raises(SchemaError) as error:
        RelationGenerator(EASE(RATES)).fit(empty, rng=0)
    assert not isinstance(error.value, UnknownNameError)


# ---- whom for ------------------------------------------------------------------------------------


def test_new_items_are_calibrated_on_items_that_are_hidden():
    """Pairs of items without any link are found as often as their confidence says."""
    said, found = [], []
    for seed in range(4):
        hin = planted(250, 150, rng=seed)
        split = cold_items(hin, RATES, evidence=["review"], valid=0.0, test=0.2, rng=seed)
        ridge = KernelRidge(RATES, "x", l2=1.0)
        generator = RelationGenerator(ridge, targets="cold", evidence=["review"])
        generator.fit(split.train, rng=seed)
        assert list(generator.calibration_) == ["new target"]
        made = generator.generate(split.train, 3000, rng=seed).edges[RATES]
        cold = set(split.test["dst"].to_pylist())
        assert set(made["dst"].to_pylist()) <= cold
        links = hin.adjacency(RATES).toarray()
        a, b = hin.positions("user", made["src"]), hin.positions("item", made["dst"])
        said.append(made["confidence"].to_numpy())
        found.append(links[a, b] > 0)
    said, found = np.concatenate(said), np.concatenate(found)
    bins = np.array_split(np.argsort(-said), 10)
    assert np.mean([abs(said[b].mean() - found[b].mean()) for b in bins]) < 0.03
    assert found[bins[0]].mean() > 2 * found[bins[-1]].mean()


def test_targets_and_sources_by_id_mask_and_word():
    hin = planted(40, 30, rng=0)
    hin = hin.with_nodes("item", {"id": ["new"], "x": hin.vectors("item")[:1]})
    ridge = KernelRidge(RATES, "x")

    def made(**how):
        return RelationGenerator(ridge, **how).fit(hin, rng=0).generate(hin, 20, rng=0).edges[RATES]

    assert set(made(targets=["new"])["dst"].to_pylist()) == {"new"}
    assert made(targets="cold").equals(made(targets=["new"]))
    mask = np.arange(31) == 30
    assert made(targets=mask).equals(made(targets=["new"]))
    assert set(made(sources=["u00", "u01"])["src"].to_pylist()) == {"u00", "u01"}
    each = RelationGenerator(ridge, targets="cold", per_target=2.0).fit(hin, rng=0)
    mean = hin.adjacency(RATES).nnz / 30
    assert len(each.generate(hin, rng=0)) == round(2 * mean)
    assert set(RelationGenerator(ridge).fit(hin, rng=0).calibration_) == {"linked", "new target"}
    with pytest.raises(SchemaError):
        made(targets=["nobody"])
    with pytest.raises(ParameterError) as error:
        made(targets=np.ones(3, bool))
    assert (error.value.asked, error.value.there) == ((3,), 31)
    with pytest.raises(ParameterError) as error:
        RelationGenerator(EASE(RATES), targets="cold").fit(hin, rng=0)
    assert error.value.asked == ["new target"]


def test_new_users_get_what_they_are_likely_to_have():
    hin = planted(120, 40, rng=0)
    hin = hin.with_nodes("user", {"id": ["new"], "job": ["baker"], "age": [32]})
    model = EASE(RATES, side=["job", "age"])
    generator = RelationGenerator(model, sources="cold").fit(hin, rng=0)
    assert list(generator.calibration_) == ["new source"]
    made = generator.generate(hin, 8, rng=0).edges[RATES]
    assert set(made["src"].to_pylist()) == {"new"}
    bakes = {"oven", "flour", "dough", "butter", "crust", "bake"}
    texts = hin.column("item", "text").to_pylist()
    hits = [bool(bakes & set(texts[i].split())) for i in hin.positions("item", made["dst"])]
    assert np.mean(hits) > 0.6


# ---- columns of edges ----------------------------------------------------------------------------


def test_nothing_is_said_of_ratings_and_times_and_no_split_holds_guesses_out():
    hin = planted(40, 30, rng=0)
    made = RelationGenerator(Popularity(RATES)).fit(hin, rng=0).generate(hin, 0.5, rng=0)
    graph = hin + made
    n = hin.n(RATES)
    for name in ("rating", "time"):
        column = graph.column(RATES, name)
        assert column.slice(0, n).null_count == 0
        assert column.slice(n).null_count == graph.n(RATES) - n > 0
    split = temporal_split(graph, RATES, valid=0.2, test=0.2)
    held = {*pairs_of(split.valid), *pairs_of(split.test)}
    assert not held & set(pairs(made, RATES))
    assert held <= set(
        zip(
            *(
                hin.ids(t, p).to_pylist()
                for t, p in zip(("user", "item"), hin.links(RATES), strict=True)
            ),
            strict=True,
        )
    )
    assert split.train.deltas == graph.deltas


def pairs_of(table):
    return set(zip(table["src"].to_pylist(), table["dst"].to_pylist(), strict=True))


def test_without_a_held_out_pair_some_are_held_out():
    """A split of a relation with one link a source holds out nothing."""
    hin = planted(n_users=80, n_items=60, rng=0)
    nothing = pa.table({side: pa.array([], pa.string()) for side in ("src", "dst")})
    model = RelationGenerator(Popularity(RATES))
    told = model.clone().fit(hin, valid=nothing, rng=0)
    assert told.calibration_["linked"]["counts"][1] > 0
    assert (
        told.generate(hin, 20, rng=0)
        .edges[RATES]
        .equals(model.fit(hin, rng=0).generate(hin, 20, rng=0).edges[RATES])
    )
    empty = hin.with_edges(("user", "returns", "item"), nothing)
    with raises(SchemaError, asked=("user", "returns", "item")):
        RelationGenerator(Popularity(("user", "returns", "item"))).fit(empty, valid=nothing, rng=0)


def test_a_predictor_that_cannot_score_new_sources_is_not_advised():
    """Each employee has one firm, so links are proposed for those without; a ridge reads firms."""
    rng, works = np.random.default_rng(0), ("person", "works at", "firm")
    hin = HIN.from_tables(
        {
            "person": {"id": np.arange(60)},
            "firm": {"id": np.arange(5), "x": rng.normal(size=(5, 3)).astype(np.float32)},
        },
        {works: {"src": np.arange(40), "dst": rng.integers(5, size=40)}},
    )
    with raises(ParameterError, names="HeteroGNN", asked=["new source"]):
        RelationGenerator(KernelRidge(works)).fit(hin, rng=0)
