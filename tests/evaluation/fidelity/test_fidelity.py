"""The report as a whole: any graph, what it says, its mistakes, and the same seed."""

import json

import numpy as np
import pyarrow as pa
import pytest

from hinaug import HIN, Delta
from hinaug.datasets import planted
from hinaug.datasets.planted import RATES
from hinaug.errors import KindError, ParameterError, UnknownNameError
from hinaug.evaluation.fidelity import fidelity, judge
from hinaug.generators import PopularNodes, Synthesis
from hinaug.predictors import ALS, EASE, LightGCN, MultVAE

LIKES = ("plant", "likes", "soil")
NEAR = ("plant", "near", "plant")


def garden(n, rng, prefix):
    """Plants with columns of every kind; two relations, one with columns, one to plants."""
    rng = np.random.default_rng(rng)
    kind = rng.integers(3, size=n)

    def holes(values):
        return [None if hole else v for v, hole in zip(values, rng.random(n) < 0.2, strict=True)]

    days = pa.array(holes((1000 * kind + rng.integers(500, size=n)).tolist()), pa.int32())
    columns = {
        "id": [f"{prefix}{i}" for i in range(n)],
        "height": holes(rng.normal(10 + 5 * kind).tolist()),
        "leaf": holes([("oak", "fern", "moss")[k] for k in kind]),
        "native": holes((rng.random(n) < 0.3 + 0.3 * kind).tolist()),
        "note": holes([f"{'tall' if k else 'low'} plant in bed {k}" * (1 + k) for k in kind]),
        "code": [f"{rng.integers(10**6)}" for _ in range(n)],
        "sown": days.cast(pa.date32()),
        "seen": days.cast(pa.int64()).cast(pa.timestamp("s")),
        "uses": holes([["tea", "dye"][: 1 + k % 2] for k in kind]),
        "sizes": holes([rng.integers(9, size=1 + k).tolist() for k in kind]),
        "x": (rng.normal(size=(n, 4)) + kind[:, None]).astype(np.float32),
        "raw": pa.array([bytes([k]) for k in kind.tolist()]),
        "empty": pa.nulls(n, pa.float64()),
        "same": ["a"] * n,
    }
    soils = [f"s{i}" for i in range(30)]
    src = np.repeat(np.arange(n), rng.integers(0, 7, n))
    dst = (kind[src] * 10 + rng.integers(10, size=len(src))) % 30
    pairs = np.unique(np.stack([src, dst]), axis=1)
    ids = np.array(columns["id"], object)
    likes = {
        "src": ids[pairs[0]].tolist(),
        "dst": [soils[i] for i in pairs[1]],
        "strength": rng.random(pairs.shape[1]),
    }
    return columns, soils, likes, kind


@pytest.fixture(scope="module")
def gardens():
    columns, soils, likes, kind = garden(150, 0, "p")
    ids = np.array(columns["id"], object)
    rng = np.random.default_rng(3)
    src = np.repeat(np.arange(150), 3)
    same = [rng.choice(np.flatnonzero(kind == kind[s])) for s in src]
    near = np.unique(np.stack([src, same]), axis=1)
    near = {"src": ids[near[0]].tolist(), "dst": ids[near[1]].tolist()}
    hin = HIN.from_tables({"plant": columns, "soil": {"id": soils}}, {LIKES: likes, NEAR: near})
    other, _, more, _ = garden(90, 1, "new")
    mine = pa.array(other["id"])
    near = {"src": mine, "dst": rng.choice(ids, 90).tolist()}
    table = {c: v for c, v in other.items() if c not in ("same",)}
    return hin, Delta({"plant": table}, {LIKES: more, NEAR: near}, origin="garden")


@pytest.fixture(scope="module")
def found(gardens):
    return fidelity(*gardens, "plant", rng=0)


def test_columns_of_any_kind_and_relations_to_the_same_type(gardens, found):
    hin, _ = gardens
    marginals = found["realistic/columns/marginals"]
    scores = {p.name: p.score for p in marginals.parts}
    assert set(scores) == set(hin.schema.nodes["plant"])
    unseen = {"raw", "empty"}
    assert {name for name, score in scores.items() if score is None} == unseen
    assert scores.pop("same") == 0  # the delta left the column out
    assert min(v for n, v in scores.items() if n not in unseen) > 0.6
    assert found["realistic/columns/missing/same"].score == 0
    names = {p.name for p in found["realistic/links/degree"].parts}
    assert names == {"plant likes soil", "plant near plant, out", "plant near plant, in"}
    assert found["realistic/links/columns/plant likes soil: strength"].score > 0.7


def test_one_seed_gives_one_report(gardens, found):
    """Also where the delta is on the graph already."""
    hin, delta = gardens
    assert fidelity(hin + delta, delta, "plant", rng=0).table().equals(found.table())


def test_the_tree_and_its_table_say_the_same(found):
    rows = {r["property"]: r for r in found.table().to_pylist()}
    assert (found.n_real, found.n_made) == (150, 90)
    for path, row in rows.items():
        one = found[path]
        assert (row["score"], row["ceiling"], row["floor"]) == (one.score, one.ceiling, one.floor)
        for value in (one.score, one.ceiling, one.floor):
            assert value is None or 0 <= value <= 1
        judged = [p.score for p in one.parts if p.score is not None]
        if judged and path != "privacy":
            assert one.score == pytest.approx(np.mean(judged))
    text = str(found)
    assert all(p.name in text for root in found.properties for _, p in root.walk())
    assert json.dumps(found.table().to_pylist())
    plots = dict(found.figures())
    assert len(plots) > 10
    for plot in plots.values():
        at = plot.labels if plot.kind == "shares" else plot.x
        assert len(at) == len(plot.real) == len(plot.made)
    with pytest.raises(UnknownNameError) as caught:
        found["realistic/link"]
    assert caught.value.asked == "link"


def test_it_never_says_that_nodes_are_safe(found):
    assert found["privacy"].score is None
    for word in ("anonym", "is private", "are private"):
        assert word not in str(found).lower()


def test_items_and_few_nodes(gardens):
    """The type at the other end of relations, with no column at all."""
    hin, _ = gardens
    soils = [f"n{i}" for i in range(12)]
    plants = hin.ids("plant").to_pylist()
    likes = {"src": plants[:36], "dst": soils * 3}
    found = fidelity(hin, Delta({"soil": {"id": soils}}, {LIKES: likes}), "soil", rng=0)
    assert found["realistic/links/degree/plant likes soil"].score is not None
    assert found["realistic/told apart/columns"].score is None


@pytest.fixture(scope="module")
def mixed():
    """Half of the users of a thin world as real, the other half held out."""
    from hinaug.datasets import planted

    hin = planted(240, 60, rng=0, degree=15, dim=0).drop("review")
    mask = np.arange(240) < 120
    real, held_out = (hin.filter_nodes("user", m) for m in (mask, ~mask))
    maker = Synthesis(relation=("user", "rates", "item")).fit(real, rng=0)
    return real, held_out, maker.generate(real, 240, rng=0)


def test_students_learn_from_generated_nodes(mixed):
    real, held_out, delta = mixed
    rates = ("user", "rates", "item")
    students = [
        EASE(rates),
        ALS(rates, embedding_dim=8),
        LightGCN(rates, epochs=8, embedding_dim=8),
    ]
    found = fidelity(real, delta, "user", held_out=held_out, students=students, rng=0)
    for name in ("EASE", "ALS", "LightGCN"):
        alone, added = (found[f"useful/{name}/{how}"] for how in ("alone", "added"))
        assert {p.name for p in alone.parts} == {"generated", "random", "popularity", "shuffled"}
        assert alone.score > 0.7
        assert alone["random"].score < 0.6
        assert added.score > 0.8
        assert added.figure == added["generated"].figure
        assert alone.floor == max(p.score for p in alone.parts if p.name != "generated")
    assert found["useful"].score is not None
    # children of users that were seen are nearer to them than to others
    assert found["privacy/distance"].figure > 0.55


def test_students_of_items(mixed):
    """A student of users and items judges items, the relation turned round."""
    real = mixed[0]
    rates, mask = ("user", "rates", "item"), np.arange(60) % 2 == 0
    known, held_out = (real.filter_nodes("item", m) for m in (mask, ~mask))
    maker = Synthesis("item", relation=rates).fit(known, rng=0)
    delta = maker.generate(known, 30, rng=0)
    found = fidelity(known, delta, "item", held_out=held_out, students=[EASE(rates)], rng=0)
    assert found["useful/EASE/alone"].score > found["useful/EASE/alone/random"].score


def test_mistakes(gardens, mixed):
    hin, delta = gardens
    with pytest.raises(KindError):
        fidelity(hin, hin, "plant")
    with pytest.raises(UnknownNameError):
        fidelity(hin, delta, "plants")
    with pytest.raises(ParameterError) as caught:
        fidelity(hin, delta, "soil")
    assert (caught.value.asked, caught.value.there) == ("soil", ["plant"])
    with pytest.raises(ParameterError) as caught:
        fidelity(hin, delta, "plant", held_out=hin)
    assert caught.value.there == 150
    few = hin.filter_nodes("plant", np.arange(150) < 20)
    with pytest.raises(ParameterError) as caught:
        fidelity(few, Delta({"plant": {"id": ["n"]}}), "plant")
    assert caught.value.there == 20
    real, held_out, made = mixed
    with pytest.raises(ParameterError) as caught:
        fidelity(real, made, "user", students=[EASE(("user", "rates", "item"))])
    assert caught.value.asked == "held_out"
    for student in ("EASE", EASE):
        with pytest.raises(KindError):
            fidelity(real, made, "user", held_out=held_out, students=[student])
    with pytest.raises(ParameterError) as caught:
        fidelity(real, made, "user", held_out=held_out, students=[MultVAE(("a", "b", "c"))])
    assert caught.value.there == "user"


def test_relations_without_links_and_columns_without_values(gardens):
    """A relation that nobody has used yet; vectors of nodes that none is linked with."""
    real, made = gardens
    nothing = pa.array([], pa.string())
    real = real.with_nodes("pot", {"id": ["p0", "p1"], "x": np.ones((2, 3), np.float32)})
    real = real.with_edges(("plant", "in", "pot"), {"src": nothing, "dst": nothing})
    found = fidelity(real, made, "plant", rng=0)
    assert found["realistic/links/degree"].score is not None


def test_students_are_examined_on_a_sample_of_many_held_out_nodes(monkeypatch):
    """Scores of all held-out nodes over all targets would be a dense matrix of both."""
    seen = []

    class Watched(EASE):
        def fold_in(self, histories, attributes=None):
            seen.append(histories.shape[0])
            return super().fold_in(histories, attributes)

    hin = planted(300, 40, rng=0).drop("review")
    known = np.arange(300) < 100
    real, others = (hin.filter_nodes("user", mask) for mask in (known, ~known))
    made = PopularNodes("user").fit(real, rng=0).generate(real, 60, rng=0)
    monkeypatch.setattr(judge, "MOST", 50)
    fidelity(real, made, "user", held_out=others, students=[Watched(RATES)], rng=0)
    assert seen
    assert max(seen) <= 50


def test_infinite_numbers_are_missing_ones():
    n = 80
    edges = {"src": np.repeat(np.arange(n), 3), "dst": np.arange(3 * n) % 12}
    vectors = [[np.inf if i % 5 == 0 else 1.0, float(i)] for i in range(n)]
    users = {
        "id": np.arange(n),
        "x": np.where(np.arange(n) % 4, np.arange(n), np.inf),
        "v": pa.array(vectors, pa.list_(pa.float32(), 2)),
    }
    rating = np.where(np.arange(3 * n) % 7, 3.0, -np.inf)
    hin = HIN.from_tables(
        {"user": users, "item": {"id": np.arange(12)}},
        {("user", "rates", "item"): edges | {"rating": rating}},
    )
    made = PopularNodes("user").fit(hin, rng=0).generate(hin, 40, rng=0)
    found = fidelity(hin, made, "user", rng=0)
    assert all(np.isfinite(p.score) for p in found.properties if p.score is not None)
    assert found["realistic/columns/missing/x"].score is not None
