"""Proposed edges: known links stay out, limits hold, and confidence means what it says."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from raising import raises

from hinaug.datasets import planted
from hinaug.datasets.planted import RATES
from hinaug.errors import NotFittedError, SchemaError
from hinaug.generators import RelationGenerator, random_delta
from hinaug.generators.relations.rules import rules_of
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.io import store as io
from hinaug.predictors import EASE
from hinaug.predictors.base import LinkPredictor
from hinaug.split.random import random_split


@dataclass(eq=False)
class Popular(LinkPredictor):
    """Scores every source with the degrees of the targets."""

    def _fit(self, hin, valid, rng):
        self.degree_ = np.asarray(hin.adjacency(self.relation).sum(axis=0), np.float32).ravel()
        self.had_valid_ = valid is not None

    def _score(self, hin, src):
        return self._columns(hin, np.repeat(self.degree_[None, :], len(src), axis=0))


def tiny(pairs, n_users=3, n_items=2):
    users, items = [f"u{i}" for i in range(n_users)], [f"i{i}" for i in range(n_items)]
    src, dst = [f"u{u}" for u, _ in pairs], [f"i{i}" for _, i in pairs]
    return HIN.from_tables(
        {"user": {"id": users}, "item": {"id": items}}, {RATES: {"src": src, "dst": dst}}
    )


def codes(hin, delta):
    rows = delta.edges[RATES]
    return hin.positions("user", rows["src"]) * hin.n("item") + hin.positions("item", rows["dst"])


def observed_codes(hin):
    src, dst = hin.links(RATES)
    return src.astype(np.int64) * hin.n("item") + dst


@pytest.mark.parametrize("sample", [False, True])
def test_proposes_unobserved_pairs_within_the_limits(sample):
    hin = planted(60, 40, rng=0)
    made = (
        RelationGenerator(EASE(RATES, l2=10), per_source=3, sample=sample)
        .fit(hin, rng=0)
        .generate(hin, 0.2, rng=1)
    )
    pairs = codes(hin, made)
    assert len(pairs) == round(0.2 * hin.adjacency(RATES).nnz) == len(np.unique(pairs))
    assert not np.isin(pairs, observed_codes(hin)).any()
    assert np.bincount(pairs // hin.n("item")).max() <= 3
    assert made.edges[RATES]["origin"].unique().to_pylist() == ["RelationGenerator(EASE)"]
    assert made.fitted_on == (hin.fingerprint(),)
    assert (hin + made) - made == hin
    again = (
        RelationGenerator(EASE(RATES, l2=10), per_source=3, sample=sample)
        .fit(hin, rng=0)
        .generate(hin, 0.2, rng=1)
    )
    assert again == made


def test_takes_the_most_confident_of_all():
    """Against a loop over every candidate: no pair left out is surer than one that was taken."""
    hin = planted(40, 30, rng=1)
    generator = RelationGenerator(EASE(RATES, l2=10), per_source=30, candidates=30).fit(hin, rng=0)
    everything = generator.generate(hin, 40 * 30)
    few = generator.generate(hin, 50)
    assert len(everything) == 40 * 30 - hin.adjacency(RATES).nnz
    best = np.sort(everything.edges[RATES]["confidence"].to_numpy())[::-1][:50]
    np.testing.assert_allclose(few.edges[RATES]["confidence"].to_numpy(), best)


def test_leaves_out_masked_and_generated_pairs_and_generated_nodes():
    hin = planted(20, 15, rng=2)
    mask = Delta(
        masks={
            RATES: {"src": ["u00"], "dst": [hin.ids("item", hin.links(RATES)[1][:1])[0].as_py()]}
        }
    )
    user = Delta({"user": {"id": ["new"]}}, {RATES: {"src": ["new"], "dst": ["i00"]}})
    before = (
        RelationGenerator(Popular(RATES), per_source=15).fit(hin, rng=0).generate(hin, 30, rng=0)
    )
    graph = hin + mask + user + before
    made = (
        RelationGenerator(Popular(RATES), per_source=15)
        .fit(graph, rng=0)
        .generate(graph, 10**6, rng=0)
    )
    assert "new" not in made.edges[RATES]["src"].to_pylist()
    assert not np.isin(codes(hin, made), np.r_[observed_codes(hin), codes(hin, before)]).any()
    assert len(made) == 20 * 15 - hin.adjacency(RATES).nnz - len(before)


def test_confidence_is_calibrated_on_planted_links():
    """Pairs held out before anything was fitted are found as often as the confidence of the
    proposals says.
    """
    expected, found, error = 0.0, 0.0, []
    for seed in range(4):
        split = random_split(
            planted(400, 120, thin=0.3, rng=seed),
            RATES,
            evidence=["review"],
            valid=0.1,
            test=0.1,
            rng=seed,
        )
        generator = RelationGenerator(EASE(RATES, l2=30), per_source=20).fit(
            split.train, valid=split.valid, rng=seed
        )
        made = generator.generate(split.train, 400 * 20)
        test = split.train.positions("user", split.test["src"]) * 120 + split.train.positions(
            "item", split.test["dst"]
        )
        said, hit = (
            made.edges[RATES]["confidence"].to_numpy(),
            np.isin(codes(split.train, made), test),
        )
        expected, found = expected + said.sum(), found + hit.sum()
        bins = np.array_split(np.argsort(-said), 10)
        error.append(np.mean([abs(said[b].mean() - hit[b].mean()) for b in bins]))
        assert hit[bins[0]].mean() > 3 * hit[bins[-1]].mean()
    print(f"calibration error {np.mean(error):.4f}, promised {expected:.0f}, found {found:.0f}")  # noqa: T201
    assert np.mean(error) < 0.01
    assert abs(expected / found - 1) < 0.15


def test_inner_hold_out_hides_evidence_and_is_seen_as_valid():
    hin = planted(50, 30, rng=0)
    seen = []

    class Spy(Popular):
        def _fit(self, hin, valid, rng):
            super()._fit(hin, valid, rng)
            seen.append((hin.adjacency(RATES).nnz, hin.n("review"), valid is not None))

    RelationGenerator(Spy(RATES), holdout=0.2, evidence=["review"]).fit(hin, rng=0)
    n = hin.adjacency(RATES).nnz
    held = round(0.2 * n)
    assert seen == [(n - held, n - held, True), (n, n, False)]


def test_small_graphs_and_bad_input():
    hin = tiny([(0, 0), (0, 1), (1, 0)])
    made = RelationGenerator(Popular(RATES)).fit(hin, rng=0).generate(hin, 5, rng=0)
    rows = zip(*(made.edges[RATES][c].to_pylist() for c in ("src", "dst")), strict=True)
    assert set(rows) <= {("u1", "i1"), ("u2", "i0"), ("u2", "i1")}
    assert len(RelationGenerator(Popular(RATES)).fit(hin, rng=0).generate(hin, 0)) == 0
    with raises(SchemaError, asked=("user", "rates", "item")):
        RelationGenerator(Popular(RATES)).fit(tiny([]))
    with raises(ValueError, asked=0.1):
        RelationGenerator(Popular(RATES)).fit(tiny([(0, 0), (1, 1)]))
    with pytest.raises(NotFittedError):
        RelationGenerator(Popular(RATES)).generate(hin, 1)
    for wrong in ({"per_source": 0}, {"candidates": 0}, {"holdout": 1.0}):
        with raises(ValueError, asked=next(iter(wrong.values())), names=next(iter(wrong))):
            RelationGenerator(Popular(RATES), **wrong)
    with raises(TypeError, asked=1.5):
        RelationGenerator(Popular(RATES), candidates=1.5)
    with raises(ValueError, asked=("user", "rates", "item")):
        RelationGenerator(RATES)
    with raises(ValueError, asked=-1):
        RelationGenerator(Popular(RATES)).fit(hin, rng=0).generate(hin, -1)


def test_large_sizes_do_not_overflow():
    """600 users; u0 has 2,500 of 3,000 items, the others one each: u0 gets its whole rest."""
    src = np.r_[np.zeros(2500, int), np.arange(1, 600)]
    dst = np.r_[np.arange(2500), np.arange(599)]
    nodes = {
        "user": {"id": [f"u{i}" for i in range(600)]},
        "item": {"id": [f"i{i}" for i in range(3000)]},
    }
    hin = HIN(nodes, {RATES: {"src": src, "dst": dst}})
    generator = RelationGenerator(Popular(RATES), candidates=5).fit(hin, rng=0)
    for size in (430_000, 1e9):
        made = generator.generate(hin, size, rng=0).edges[RATES]
        assert made["src"].to_pylist().count("u0") == 500


@pytest.mark.parametrize("by", ["model", "random"])
def test_no_node_is_linked_to_itself(by):
    follows = ("user", "follows", "user")
    rng = np.random.default_rng(0)
    nodes = {"user": {"id": [f"u{i}" for i in range(12)]}}
    links = {"src": rng.integers(0, 12, 40), "dst": rng.integers(0, 12, 40)}
    hin = HIN(nodes, {follows: links})
    generator = RelationGenerator(Popular(follows), per_source=12).fit(hin, rng=0)
    made = generator.generate(hin, 1000, rng=0)
    if by == "random":
        made = random_delta(hin, made, 0)
    rows = list(zip(*(made.edges[follows][c].to_pylist() for c in ("src", "dst")), strict=True))
    known = {
        (f"u{s}", f"u{d}")
        for s, d in zip(links["src"].tolist(), links["dst"].tolist(), strict=True)
    }
    every = {(f"u{s}", f"u{d}") for s in range(12) for d in range(12) if s != d}
    assert sorted(rows) == sorted(every - known)


BRANDED = ("item", "of", "brand")


def branded(n_items=40, n_brands=4, without=10):
    """Each item but the last ones has one brand."""
    nodes = {
        "item": {"id": [f"i{i}" for i in range(n_items)]},
        "brand": {"id": [f"b{i}" for i in range(n_brands)]},
    }
    src = np.arange(n_items - without)
    return HIN(nodes, {BRANDED: {"src": src, "dst": src % n_brands}})


def test_a_function_gets_one_target_where_it_has_none():
    hin = branded()
    generator = RelationGenerator(Popular(BRANDED), per_source=3).fit(hin, rng=0)
    made = generator.generate(hin, 1000, rng=0)
    assert sorted(made.edges[BRANDED]["src"].to_pylist()) == [f"i{i}" for i in range(30, 40)]
    assert len(generator.generate(hin + made, 1000, rng=0)) == 0  # now each has one
    assert len(generator.generate(hin, 4, rng=0)) == 4
    free = RelationGenerator(Popular(BRANDED), per_source=3, functional=False)
    with raises(ValueError, asked=0.1):
        free.fit(hin, rng=0)  # no pair can be held out
    valid = pa.table({"src": ["i0"], "dst": ["b1"]})
    assert len(free.fit(hin, valid=valid, rng=0).generate(hin, 1000, rng=0)) == 40 * 3


def test_what_counts_as_a_function():
    # no two targets are shared: each user may just have one item
    assert not rules_of(tiny([(0, 0), (1, 1), (2, 1)]), RATES).functional
    assert rules_of(branded(), BRANDED).functional
    assert not rules_of(branded(), BRANDED).injective
    twice = branded().with_edges(BRANDED, {"src": ["i0"], "dst": ["b0"]})  # a parallel row
    assert rules_of(twice, BRANDED).functional
    second = branded().with_edges(BRANDED, {"src": ["i0"], "dst": ["b1"]})
    assert not rules_of(second, BRANDED).functional


def test_confidence_of_a_function_is_the_share_of_right_targets():
    """Three items of four are of brand b0, and nothing tells which: its confidence is near .75."""
    n = 4000
    rng = np.random.default_rng(0)
    brand = np.where(rng.random(n) < 0.75, 0, rng.integers(1, 4, n))
    nodes = {
        "item": {"id": [f"i{i}" for i in range(n + 50)]},
        "brand": {"id": [f"b{i}" for i in range(4)]},
    }
    hin = HIN(nodes, {BRANDED: {"src": np.arange(n), "dst": brand}})
    generator = RelationGenerator(Popular(BRANDED), holdout=0.5).fit(hin, rng=0)
    made = generator.generate(hin, 50, rng=0).edges[BRANDED]
    assert set(made["dst"].to_pylist()) == {"b0"}
    assert abs(made["confidence"].to_numpy().mean() - 0.75) < 0.05


def test_predictor_is_not_touched_and_the_generator_saves(tmp_path):
    hin = planted(30, 20, rng=0)
    predictor = EASE(RATES, l2=10)
    generator = RelationGenerator(predictor, per_source=2).fit(hin, rng=0)
    with pytest.raises(NotFittedError):
        predictor.score(hin, [0])
    io.save(generator, tmp_path / "g")
    assert io.load(tmp_path / "g").generate(hin, 20, rng=3) == generator.generate(hin, 20, rng=3)
    assert generator.clone(per_source=1).per_source == 1
