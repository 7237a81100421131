"""analyse_errors: ranks and kinds against a plain loop; what is shown; what is refused."""

import importlib.util
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from methods import Fixed
from raising import raises

from hinaug.errors import LeakError, ParameterError
from hinaug.evaluation import analyse_errors
from hinaug.evaluation.errors import KINDS
from hinaug.graph.hin import HIN
from hinaug.split import random_split
from hinaug.training.ranking import tie_order

RATES = ("user", "rates", "item")
HAS = ("item", "has", "genre")
USERS, ITEMS, GENRES = 40, 60, 5
K = 4


def small_world(seed):
    """A graph with genres, its split, and a table of scores with gaps and ties."""
    rng = np.random.default_rng(seed)
    met = [
        (u, int(i))
        for u in range(USERS)
        for i in rng.choice(ITEMS, rng.integers(2, 12), replace=False, p=POPULARITY)
    ]
    genres = [(i, int(g)) for i in range(ITEMS) for g in set(rng.integers(GENRES, size=1 + i % 2))]
    hin = HIN.from_tables(
        {
            "user": {"id": [f"u{u}" for u in range(USERS)]},
            "item": {"id": list(range(100, 100 + ITEMS))},
            "genre": {"id": list(range(GENRES))},
        },
        {
            RATES: {"src": [f"u{u}" for u, _ in met], "dst": [100 + i for _, i in met]},
            HAS: {"src": [100 + i for i, _ in genres], "dst": [g for _, g in genres]},
        },
        lineage="row",
    )
    scores = np.round(rng.normal(size=(USERS, ITEMS)) + 40 * POPULARITY, 1)
    scores[rng.random(scores.shape) < 0.1] = np.nan
    scores[3] = np.nan
    split = random_split(hin, RATES, valid=0.1, test=0.3, rng=seed)
    return split, scores, genres


POPULARITY = 1 / (5 + np.arange(ITEMS))
POPULARITY /= POPULARITY.sum()


def naive(split, scores, genres, cold):
    """{(user, item): (rank, kind)} by loops over users, items and pairs."""
    seen, held = {}, {}
    for table, into in ((split.train, seen), (split.valid, seen), (split.test, held)):
        pairs = zip(*pair_ids(table), strict=True)
        for u, i in pairs:
            into.setdefault(int(u[1:]), set()).add(i - 100)
    of_user = {u: len(items) for u, items in seen.items()}
    of_item = Counter(i for items in seen.values() for i in items)
    own = {i: {g for j, g in genres if j == i} for i in range(ITEMS)}
    size = Counter(g for _, g in genres)
    own = {i: {g for g in mine if size[g] <= ITEMS / 2} for i, mine in own.items()}
    wrong, rank, tie = {}, {}, tie_order(split.train, "item")
    for u, items in held.items():
        free = [i for i in range(ITEMS) if i not in items | seen.get(u, set())]
        order = sorted(
            (i for i in free if not np.isnan(scores[u, i])), key=lambda i: (-scores[u, i], tie[i])
        )
        wrong[u] = order[:K]
        for i in items:
            if np.isnan(scores[u, i]):
                rank[u, i] = 10**9
                continue
            rank[u, i] = 1 + sum((scores[u, j], -tie[j]) > (scores[u, i], -tie[i]) for j in order)
    listed = {i for items in wrong.values() for i in items}
    listed |= {i for (u, i), r in rank.items() if r <= K}
    out = {}
    for (u, i), r in rank.items():
        instead = wrong[u]
        tests = [
            ("not ranked", np.isnan(scores[u, i])),
            ("cold item", of_item[i] <= cold),
            ("cold user", of_user.get(u, 0) <= cold),
            ("near miss", r <= 2 * K),
            ("in no list", i not in listed),
            (
                "right category",
                sum(bool(own[j] & own[i]) for j in instead) >= 0.5 * max(len(instead), 1),
            ),
            (
                "popular instead",
                sum(of_item[j] > of_item[i] for j in instead) >= 0.75 * max(len(instead), 1),
            ),
            ("other", True),
        ]
        out[f"u{u}", 100 + i] = (r, next(n for n, fits in tests if fits) if r > K else None)
    return out


def pair_ids(table):
    if isinstance(table, HIN):
        src, dst = table.links(RATES)
        return table.ids("user", src).to_pylist(), table.ids("item", dst).to_pylist()
    return table["src"].to_pylist(), table["dst"].to_pylist()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("cold", [0, 3])
def test_ranks_and_kinds_are_those_of_a_plain_loop(seed, cold):
    split, scores, genres = small_world(seed)
    model = Fixed(RATES, scores=scores).fit(split.train)
    found = analyse_errors(model, split.train_valid, split, k=K, cold=cold)
    expected = naive(split, scores.astype(np.float32), genres, cold)
    rows = found.pairs.to_pylist()
    assert {(r["user"], r["item"]) for r in rows} == set(expected)
    for row in rows:
        rank, kind = expected[row["user"], row["item"]]
        assert row["rank"] == (rank if rank <= 2 * K else None)
        assert row["kind"] == kind
        assert row["gain"] == pytest.approx(1 / np.log2(1 + rank) if rank <= K else 0)
    kinds = Counter(kind for _, kind in expected.values() if kind)
    assert {r["kind"]: r["pairs"] for r in found.kinds.to_pylist() if r["pairs"]} == kinds
    assert sum(found.kinds["share"].to_pylist()) == pytest.approx(1)
    assert found.missed == pytest.approx(sum(kinds.values()) / len(expected))


def test_every_kind_occurs_in_the_worlds_of_the_loop():
    """So that the comparison above says something of each."""
    seen = set()
    for seed in range(4):
        for cold in (0, 3):
            split, scores, genres = small_world(seed)
            seen |= {kind for _, kind in naive(split, scores, genres, cold).values()}
    assert seen >= set(KINDS)


def test_examples_are_misses_of_their_kind_with_ids_and_a_seed():
    split, scores, _ = small_world(0)
    model = Fixed(RATES, scores=scores).fit(split.train)

    def run(rng):
        return analyse_errors(model, split.train_valid, split, k=K, rng=rng)

    found = run(1)
    kind_of = {(r["user"], r["item"]): r["kind"] for r in found.pairs.to_pylist()}
    for row in found.examples.to_pylist():
        assert row["kind"] == kind_of[row["user"], row["item"]]
        assert row["item"] not in row["instead"]
        assert len(row["instead"]) <= 3
    assert max(Counter(found.examples["kind"].to_pylist()).values()) == 3
    assert found.examples.equals(run(1).examples)
    assert not found.examples.equals(run(2).examples)
    assert found.examples.schema.field("user").type == split.train.ids("user").type
    assert "not among the first 4" in repr(found)
    assert "no slice is worse" in repr(found)


def test_a_perfect_model_misses_nothing():
    split, _, _ = small_world(0)
    scores = np.zeros((USERS, ITEMS))
    rows = (split.train.positions("user", split.test["src"]),)
    scores[rows[0], split.train.positions("item", split.test["dst"])] = 1
    found = analyse_errors(
        Fixed(RATES, scores=scores).fit(split.train), split.train_valid, split, k=1
    )
    assert (found.missed, found.examples.num_rows) == (0.0, 0)
    assert set(found.pairs["gain"].to_pylist()) == {1.0}
    assert sum(found.kinds["share"].to_pylist()) == 0


def test_leaks_and_wrong_arguments_are_refused():
    split, scores, _ = small_world(0)
    model = Fixed(RATES, scores=scores).fit(split.train)
    with pytest.raises(LeakError):
        analyse_errors(model, split.source, split)
    with pytest.raises(ParameterError):
        analyse_errors(model, split.train, split, on="train")
    with raises(ValueError, names="k"):
        analyse_errors(model, split.train, split, k=0)
    with pytest.raises(ParameterError):
        analyse_errors(model, split.train, split, level=2)


@pytest.fixture(scope="module")
def benchmark():
    path = Path(__file__).parents[2] / "benchmarks" / "errors.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_errors", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("plant", "seed"), [("age and premium", 2), ("genre", 3), ("text", 5)])
def test_a_planted_slice_is_found(benchmark, plant, seed):
    """A small part of benchmarks/errors.py, which measures 200 worlds."""
    overlap, n_named, _ = benchmark.found(plant, seed)
    assert overlap >= 0.5
    assert n_named == 1


@pytest.mark.parametrize("seed", range(3))
def test_no_slice_is_named_where_there_is_none(benchmark, seed):
    assert benchmark.found(None, seed)[1] == 0
