"""How many edges each source keeps: more where they help, none where nothing shows that they do."""

import numpy as np
import pytest

from hinaug.datasets import planted
from hinaug.datasets.planted import RATES
from hinaug.errors import ParameterError
from hinaug.evaluation import evaluate
from hinaug.generators.relations import RelationGenerator
from hinaug.generators.selection import adapt_strength
from hinaug.generators.selection.adaptive import _best, _groups
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.predictors import EASE
from hinaug.split.random import random_split


def world(seed, shuffle=False, n=300):
    """Half of the users have four links, the others about forty; train, pool and judge."""
    hin = planted(n, 120, n_groups=6, degree=40, thin=0.5, thin_degree=4, dim=0, rng=seed,
                  shuffle=shuffle)  # fmt: skip
    split = random_split(hin.drop("review"), RATES, valid=1, test=1, rng=seed)
    teacher = EASE(RATES, side=["job", "age"], side_weight=3.0)
    pool = RelationGenerator(teacher, per_source=40).fit(split.train, valid=split.valid, rng=seed)

    def judge(graph, on="valid"):
        found = evaluate(EASE(RATES, weight="confidence").fit(graph), graph, split, on=on)
        return found.users, found.values["NDCG@20"]

    return split.train, pool.generate(split.train, rng=seed), judge


def test_thin_users_get_edges_and_lists_get_better():
    gains, thin, dense = [], [], []
    for seed in range(3):
        train, pool, judge = world(seed)
        found = adapt_strength(
            pool, train, judge, strengths=(2.0, 8.0), weights=(0.3,), slices=2, rng=seed
        )
        assert found.weight == 0.3
        assert (train + found.delta) - found.delta == train
        table = found.table.to_pylist()
        assert [row["sources"] for row in table] == [150, 150]
        assert table[0]["degree_to"] <= 4 < table[1]["degree_from"]
        for row in table:
            n = (np.diff(train.adjacency(RATES).indptr) * row["strength"]).max()
            assert n >= 0
        thin.append(table[0]["strength"])
        dense.append(table[1]["strength"])
        kept = found.delta
        graph = train + kept if len(kept) else train
        gains.append((judge(graph, "test")[1] - judge(train, "test")[1]).mean())
    assert np.mean(thin) > np.mean(dense)
    assert np.mean(gains) > 0.005


def test_in_worlds_of_chance_hardly_anything_is_kept():
    """No augmentation helps there; the guard asks for more than one standard error."""
    lost, kept = [], []
    for seed in range(6):
        train, pool, judge = world(seed, shuffle=True, n=200)
        found = adapt_strength(pool, train, judge, strengths=(3.0,), weights=(0.3,), rng=seed)
        kept.append(len(found.delta) > 0)
        if kept[-1]:
            change = judge(train + found.delta, "test")[1] - judge(train, "test")[1]
            lost.append(change.mean() / (change.std() / np.sqrt(len(change))))
    assert np.mean(kept) <= 0.5
    assert all(z > -2.5 for z in lost)


def hand_made(effect):
    """Ten users of one link and ten of nine; the judge pays users by the edges that they get."""
    users, items = [f"u{k:02d}" for k in range(20)], [f"i{k}" for k in range(40)]
    src = np.append(np.arange(10), np.repeat(np.arange(10, 20), 9))
    dst = np.append(np.zeros(10, int), np.tile(np.arange(9), 10))
    hin = HIN({"user": {"id": users}, "item": {"id": items}}, {RATES: {"src": src, "dst": dst}})
    rows = {"src": np.repeat(users, 30), "dst": items[10:] * 20}
    pool = Delta(edges={RATES: {**rows, "confidence": np.tile(np.linspace(0.9, 0.1, 30), 20)}})

    def judge(graph):
        got = np.diff(graph.adjacency(RATES).indptr) - np.diff(hin.adjacency(RATES).indptr)
        noise = np.random.default_rng(0).normal(0, 1e-3, 20)
        return users[::-1], (effect(got) + noise)[::-1]

    return hin, pool, judge


def test_each_slice_gets_its_best_strength():
    hin, pool, judge = hand_made(lambda got: -np.abs(got - np.repeat([4, 9], 10)) / 10)
    found = adapt_strength(pool, hin, judge, strengths=(1, 2, 4), slices=2, rng=0)
    assert found.table["strength"].to_pylist() == [4, 1]
    assert found.weight is None
    rows = found.delta.edges[RATES]
    counts = {c["values"]: c["counts"] for c in rows["src"].value_counts().to_pylist()}
    assert sorted(counts.values()) == [4] * 10 + [9] * 10
    assert set(rows.slice(0, 4)["dst"].to_pylist()) == {"i10", "i11", "i12", "i13"}
    np.testing.assert_allclose(found.table["gain"].to_pylist(), [0.4, 0.9], atol=0.01)
    assert found.gain == pytest.approx(0.65, abs=0.01)
    alike = adapt_strength(pool, hin, judge, strengths=(1, 2, 4), slices=1, levels=2, rng=0)
    assert alike.table.num_rows == 1  # equal confidence is one level


def test_the_guard_keeps_nothing_that_did_not_show_a_gain():
    hin, pool, judge = hand_made(lambda got: -got / 10)
    found = adapt_strength(pool, hin, judge, rng=0)
    assert len(found.delta) == 0
    assert set(found.table["strength"].to_pylist()) == {0.0}
    assert (found.gain, found.error) == (0, 0)


def test_slices_that_do_not_differ_share_one_strength():
    rng = np.random.default_rng(0)
    where = np.arange(400) % 4
    gains = np.stack([np.zeros(400), 0.05 + rng.normal(0, 0.3, 400), rng.normal(0, 0.3, 400)])
    best, expected = _best(gains, where, 4)
    spread = np.stack([np.bincount(where, g) / 100 for g in gains])
    assert np.ptp(expected[1]) < 0.7 * np.ptp(spread[1])
    assert best.tolist() == [1] * 4
    gains[1] += np.where(where == 2, -0.5, 0)
    assert _best(gains, where, 4)[0][2] != 1
    assert _groups(np.array([4, 4, 4, 9]), 2).tolist() == [0, 0, 0, 1]


def test_what_cannot_be_adapted():
    hin, pool, judge = hand_made(lambda got: got)
    for wrong in ((), (0.0, 1.0)):
        with pytest.raises(ParameterError) as error:
            adapt_strength(pool, hin, judge, strengths=wrong)
        assert error.value.asked == wrong

    def fickle(graph):
        users, values = judge(graph)
        n = 20 if graph is hin else 19
        return users[:n], values[:n]

    with pytest.raises(ParameterError) as error:
        adapt_strength(pool, hin, fickle, rng=0)
    assert (error.value.asked, error.value.there) == (19, 20)
