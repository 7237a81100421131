"""What generators of whole nodes share: every relation, edge columns, records, attributes, text."""

import numpy as np
import pyarrow as pa
import pytest

from hinaug.datasets import planted_mixed
from hinaug.datasets.planted import ABOUT, RATES, WROTE
from hinaug.datasets.planted_mixed import BY, FOLLOWS
from hinaug.errors import ParameterError, SchemaError
from hinaug.generators import JointVAE, PopularNodes, SecondMoment
from hinaug.generators.base import Entities
from hinaug.generators.entities.attributes import attribute_kinds, matching_weights
from hinaug.generators.entities.links import Coherence, race, repeats
from hinaug.generators.entities.texts import Slots, crossing
from hinaug.generators.entities.times import new_times
from hinaug.generators.entities.vectors import new_vectors
from hinaug.generators.entities.views import view_of, witnesses
from hinaug.graph.hin import HIN
from hinaug.testing import check_entity_generator, check_whole_nodes

TINY = {"epochs": 3, "latent": 4, "hidden": 8}
GENERATORS = [
    PopularNodes("user"),
    SecondMoment("item"),
    JointVAE("user", **TINY),
    JointVAE("item", attributes="heads", **TINY),
]


@pytest.fixture(scope="module")
def hin():
    return planted_mixed(150, 50, 10, 3, reviews=True, dim=4, rng=0)


@pytest.mark.parametrize("generator", GENERATORS, ids=lambda g: f"{type(g).__name__}-{g.node}")
def test_the_contract(generator):
    check_whole_nodes(generator)


def test_the_contract_of_all_generators_of_nodes():
    check_entity_generator(PopularNodes("user", keep=0.5))


def test_the_kit_finds_what_is_broken(hin):
    class Bare(PopularNodes):
        def sample(self, hin, n, rng, condition=None):
            made = super().sample(hin, n, rng, condition)
            return Entities(made.columns, {RATES: made.links[RATES]}, made.confidence)

    class NoText(PopularNodes):
        def sample(self, hin, n, rng, condition=None):
            made = super().sample(hin, n, rng, condition)
            made.columns = {k: v for k, v in made.columns.items() if k != "text"}
            return made

    class Deaf(PopularNodes):
        def _kept(self, real, source, condition, rng):
            return super()._kept(real, source, None, rng)

    with pytest.raises(AssertionError, match="follows"):
        check_whole_nodes(Bare("user"), hin)
    with pytest.raises(AssertionError, match="condition"):
        check_whole_nodes(Deaf("user"), hin)
    with pytest.raises(AssertionError, match="text"):
        check_whole_nodes(NoText("item"), hin)


def test_reviews_stand_for_links_and_agree_with_them(hin):
    made = SecondMoment("user").fit(hin, rng=0).generate(hin, 40, rng=0)
    both = hin + made
    assert both.n("review") - hin.n("review") == made.edges[RATES].num_rows
    rated = {(r["src"], r["dst"]): (r["rating"], r["time"]) for r in made.edges[RATES].to_pylist()}
    author = dict(zip(*(made.edges[WROTE][c].to_pylist() for c in ("dst", "src")), strict=True))
    about = dict(zip(*(made.edges[ABOUT][c].to_pylist() for c in ("src", "dst")), strict=True))
    reviews = made.nodes["review"].to_pylist()
    assert all((r["rating"], r["time"]) == rated[author[r["id"]], about[r["id"]]] for r in reviews)
    assert all(r["text"] for r in reviews)


def test_relations_and_records_are_found(hin):
    found = witnesses(hin, "user")
    assert [(w.type, w.own, w.about, w.key) for w in found] == [
        ("review", WROTE, ABOUT, (RATES, False))
    ]
    assert [w.own for w in witnesses(hin, "item")] == [ABOUT]
    into = view_of(hin, (FOLLOWS, True))
    np.testing.assert_array_equal(into.links.toarray(), hin.adjacency(FOLLOWS).toarray().T)
    receipts = {"src": hin.ids("user")[:9], "dst": [f"r{i}" for i in range(9)]}
    nodes = {t: hin.nodes[t] for t in ("user", "item")} | {"receipt": {"id": receipts["dst"]}}
    got = ("user", "got", "receipt")
    src, dst = hin.links(RATES)
    rates = {"src": hin.ids("user", src), "dst": hin.ids("item", dst)}
    world = HIN.from_tables(nodes, {RATES: rates, got: receipts})
    fitted = PopularNodes("user").fit(world, rng=0)
    assert list(fitted.left_out_) == [got]
    assert got not in fitted.generate(world, 5, rng=0).edges
    with pytest.raises(SchemaError):
        PopularNodes("receipt").fit(world)


def test_conditions(hin):
    fitted = SecondMoment("user").fit(hin, rng=0)
    given = {"level": [3, 0], "job": ["baker", None]}
    table = fitted.generate(hin, 6, condition=given, rng=0).nodes["user"]
    assert table["level"].to_pylist() == [3, 0] * 3
    assert table["job"].to_pylist() == ["baker", None] * 3
    item = hin.ids("item", [4]).to_pylist()
    linked = fitted.generate(hin, 20, condition={RATES: item}, rng=0).edges[RATES]
    assert linked["dst"].to_pylist().count(item[0]) == 20
    with pytest.raises(ParameterError) as error:
        fitted.generate(hin, 3, condition={BY: ["b0"]}, rng=0)
    assert error.value.asked == BY
    with pytest.raises(ParameterError):
        fitted.generate(hin, 3, condition={RATES: []}, rng=0)
    dates = fitted.generate(hin, 300, condition={"level": [3]}, rng=0).nodes["user"]
    incomes = dates["income"].drop_null().to_numpy()
    real = hin.column("user", "income").drop_null().to_numpy()
    assert np.median(incomes) > np.median(real)  # level 3 earns more


def test_a_writer_writes(hin):
    seen = []

    def writer(name, columns, drafts):
        seen.append((name, columns.num_rows, len(drafts)))
        return [f"written {i}" for i in range(len(drafts))]

    fitted = SecondMoment("item", writer=writer).fit(hin, rng=0)
    made = fitted.generate(hin, 4, rng=0)
    assert made.nodes["item"]["text"].to_pylist() == [f"written {i}" for i in range(4)]
    n_reviews = made.nodes["review"].num_rows
    assert set(seen) == {("text", 4, 4), ("text", n_reviews, n_reviews)}
    fitted.writer = lambda name, columns, drafts: ["one"]
    with pytest.raises(SchemaError) as error:
        fitted.generate(hin, 4, rng=0)
    assert error.value.asked == 1


# ---- parts ---------------------------------------------------------------------------------------


def test_kinds_of_columns():
    n = 40
    rng = np.random.default_rng(0)
    table = pa.table({
        "float": rng.normal(size=n),
        "levels": rng.integers(3, size=n) / 2,
        "whole": pa.array([2**62 + i for i in range(n)]),
        "flag": [True, False] * (n // 2),
        "list": [["a"]] * n,
        "text": [f"many words {i}" for i in range(n)],
        "zip": [f"z{i}" for i in range(n)],
        "none": pa.nulls(n, pa.string()),
    })  # fmt: skip
    kinds, left_out = attribute_kinds(table)
    assert kinds == {
        "float": "continuous",
        "levels": "ordered",
        "whole": "ordered",
        "flag": "words",
        "list": "other",
        "text": "text",
    }
    assert set(left_out) == {"zip", "none"}


def test_large_integers_levels_and_categories_survive():
    n = 60
    rng = np.random.default_rng(0)
    users = {
        "id": [f"u{i}" for i in range(n)],
        "big": pa.array(2**62 + rng.integers(1000, size=n), mask=rng.random(n) < 0.3),
        "level": pa.array(rng.integers(4, size=n) / 4),
        "word": pa.array(rng.choice(["a", "b", "c"], n)).dictionary_encode(),
    }
    links = {"src": [f"u{i}" for i in range(n) for _ in range(3)], "dst": [*"pqrpqs"] * (n // 2)}
    hin = HIN.from_tables({"user": users, "item": {"id": [*"pqrs"]}}, {RATES: links})
    for generator in (PopularNodes("user"), JointVAE("user", attributes="heads", **TINY)):
        table = generator.fit(hin, rng=0).generate(hin, 200, rng=0).nodes["user"]
        for name in ("big", "level", "word"):
            assert set(table[name].to_pylist()) <= set(hin.column("user", name).to_pylist())
        assert abs(table["big"].null_count / 200 - hin.column("user", "big").null_count / n) < 0.1


def test_weights_match_a_margin():
    rng = np.random.default_rng(0)
    leaf = rng.integers(5, size=400)
    code = (rng.random(400) < 0.1 + 0.15 * leaf).astype(int)
    n_new = np.array([1000, 10, 10, 10, 10])  # the new nodes fall where the code is rare
    weight = matching_weights(code, leaf, n_new)
    share = weight / np.bincount(leaf, weight)[leaf] * n_new[leaf]
    assert abs(share[code == 1].sum() / n_new.sum() - code.mean()) < 0.01


def test_races_draw_in_proportion_and_say_how_likely():
    logits = np.log(np.array([[8.0, 4, 2, 1, 1]], np.float32)).repeat(4000, axis=0)
    logits[:, 4] = -np.inf
    made = race(logits, np.full(4000, 2), np.random.default_rng(0))
    shares = np.bincount(made.column, minlength=5) / 4000
    assert shares[4] == 0
    # first 8/15, or second after another first
    p, expected = np.array([8, 4, 2, 1]) / 15, np.zeros(4)
    for i in range(4):
        expected[i] = p[i] + sum(p[j] * p[i] / (1 - p[j]) for j in range(4) if j != i)
    np.testing.assert_allclose(shares[:4], expected, atol=0.03)
    assert ((made.probability > 0) & (made.probability <= 1)).all()
    assert len(race(logits[:3], np.array([0, 9, 1]), np.random.default_rng(0)).row) == 5


def test_repeats_and_coherence(hin):
    links = hin.adjacency(RATES)
    assert repeats(links, links)[np.diff(links.indptr) > 1].all()
    shuffled = links.copy()
    shuffled.indices = np.random.default_rng(0).permutation(shuffled.indices)
    shuffled.sort_indices()
    assert repeats(shuffled, links).mean() < 0.05
    coherence = Coherence(links[:75])
    assert coherence(links[75:]) > 1.2 * coherence(shuffled[75:])


def test_times_keep_order_ends_and_gaps():
    real = np.array([5, 0, 30, 100, 7], np.int64)  # two nodes: three times, two times
    indptr = np.array([0, 3, 5])
    row, source = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1])
    like = np.array([50, 10, 30, 1, 2, 3], np.int64)
    times = new_times(row, source, like, indptr, real, np.random.default_rng(0))
    assert times[:3].argsort().tolist() == [1, 2, 0]
    assert (times[:3].min(), times[:3].max()) == (0, 30)
    assert sorted(np.diff(np.sort(times[:3]))) == [5, 25]
    assert set(times[3:]) <= {7, 100}


def test_slots_are_filled_from_near_texts():
    column = pa.array(
        ["the red fox runs", "the blue bird sings", "the old oak", None, "the grey cat"]
    )
    slots = Slots(column)
    frame, near = np.array([0, 3, 2]), np.array([[1, 4], [0, 1], [0, 4]])
    made = slots.fill(crossing(frame, near, np.random.default_rng(0))).to_pylist()
    assert made[1] is None
    assert made[0].split()[0] == made[2].split()[0] == "the"
    assert (len(made[0].split()), len(made[2].split())) == (4, 3)
    words = {"red", "fox", "runs", "blue", "bird", "sings", "grey", "cat"}
    assert set(made[0].split()[1:]) <= words
    near = np.tile([1, 4], (50, 1))
    many = slots.fill(crossing(np.zeros(50, int), near, np.random.default_rng(0))).to_pylist()
    assert "the red bird sings" in many
    assert "the blue fox runs" in many
    assert all(len(text.split()) == 4 for text in many)


def test_vectors_keep_their_spread():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    values = (x @ rng.normal(size=(3, 8)) + rng.normal(size=(400, 8))).astype(np.float32)
    column = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), 8)
    new = rng.normal(size=(400, 3))
    made = new_vectors(column, x, new, rng.integers(400, size=400))
    made = made.values.to_numpy().reshape(-1, 8)
    np.testing.assert_allclose(made.std(axis=0), values.std(axis=0), rtol=0.2)
    slope = np.linalg.lstsq(new, made, rcond=None)[0]
    np.testing.assert_allclose(slope, np.linalg.lstsq(x, values, rcond=None)[0], atol=0.3)
