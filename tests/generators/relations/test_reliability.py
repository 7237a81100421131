"""Confidence judged by what was found, and by what is true."""

import numpy as np
import pyarrow as pa
import pytest

from hinaug.datasets import planted
from hinaug.datasets.planted import RATES
from hinaug.errors import KindError, ParameterError
from hinaug.generators.relations import RelationGenerator, reliability, with_truth
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.predictors import EASE
from hinaug.split.random import random_split


def made(confidence, n_sources=50):
    """Edges with these confidences, and a truth drawn with the same probabilities."""
    n = len(confidence)
    src = [f"u{k % n_sources}" for k in range(n)]
    rows = {"src": src, "dst": [f"i{k}" for k in range(n)], "confidence": confidence}
    return Delta(edges={RATES: rows}), pa.table({"src": rows["src"], "dst": rows["dst"]})


def test_the_table_counts_what_is_found():
    rng = np.random.default_rng(0)
    confidence = rng.random(3000).astype(np.float32)
    delta, pairs = made(confidence)
    true = rng.random(3000) < confidence
    found = reliability(delta, pairs.filter(pa.array(true)))
    assert found.table.num_rows == 15
    assert found.table["edges"].to_pylist() == [200] * 15
    order = np.argsort(confidence, kind="stable")
    np.testing.assert_allclose(
        found.table["found"].to_numpy(), true[order].reshape(15, 200).mean(axis=1)
    )
    gap = np.abs(found.table["found"].to_numpy() - found.table["confidence"].to_numpy())
    assert found.error == pytest.approx(gap.mean())
    assert found.error < 0.04
    inside = (found.table["low"].to_numpy() <= found.table["confidence"].to_numpy()) & (
        found.table["confidence"].to_numpy() <= found.table["high"].to_numpy()
    )
    assert inside.mean() > 0.7
    none = reliability(delta, pairs.slice(0, 0), bins=4000)
    assert none.table.num_rows == 3000
    assert none.error == pytest.approx(confidence.mean(), abs=1e-4)


def test_integers_are_ids_too():
    rows = {"src": [1, 2], "dst": [3, 4], "confidence": [1.0, 0.0]}
    found = reliability(Delta(edges={RATES: rows}), pa.table({"src": [1], "dst": [3]}))
    assert found.error == 0


def test_what_is_known_to_be_true_gives_a_second_column():
    rng = np.random.default_rng(1)
    confidence = (rng.random(6000) * 0.3).astype(np.float32)
    delta, pairs = made(confidence, n_sources=300)
    chance = 0.2 + 2 * confidence  # far above what is held out
    truth = pairs.filter(pa.array(rng.random(6000) < chance))
    known = with_truth(delta, truth, rng=0)
    assert known.edges[RATES]["confidence"].equals(delta.edges[RATES]["confidence"])
    assert known.keys().equals(delta.keys())
    sure = known.edges[RATES]["confidence_true"].to_numpy()
    assert np.abs(sure - chance).mean() < 0.03
    assert reliability(known, truth, column="confidence_true").error < 0.03
    assert reliability(known, truth).error > 0.2
    again = with_truth(known, truth, rng=0)
    assert again == known
    hin = HIN.from_tables({}, {RATES: pairs.slice(0, 1)}, missing="add")
    graph = hin.with_nodes("item", {"id": [f"i{k}" for k in range(1, 6000)]})
    graph = graph.with_nodes("user", {"id": [f"u{k}" for k in range(1, 300)]})
    assert (graph + known).column(RATES, "confidence_true").null_count == 1


def test_generated_edges_of_planted_worlds_are_calibrated():
    """Held-out pairs by confidence, pairs of one topic by confidence_true."""
    errors = []
    for seed in range(3):
        hin, topics = planted(400, 150, rng=seed, return_truth=True)
        split = random_split(hin, RATES, evidence=["review"], valid=0.1, test=0.1, rng=seed)
        generator = RelationGenerator(EASE(RATES), evidence=["review"], per_source=20)
        delta = generator.fit(split.train, valid=split.valid, rng=seed).generate(split.train, 4000)
        same = topics["user_topic"][:, None] == topics["item_topic"][None, :]
        user, item = (hin.ids(t, p) for t, p in zip(("user", "item"), same.nonzero(), strict=True))
        truth = pa.table({"src": user, "dst": item})
        both = with_truth(delta, truth, rng=seed)
        errors.append(
            [
                reliability(both, split.test).error,
                reliability(both, truth, column="confidence_true").error,
            ]
        )
    # 4,000 edges in 15 bins: with no error at all, 0.004 and 0.015 are expected by chance
    assert np.mean(errors, axis=0)[0] < 0.012
    assert np.mean(errors, axis=0)[1] < 0.03


def test_what_cannot_be_judged():
    delta, pairs = made([0.5])
    with pytest.raises(ParameterError) as error:
        reliability(delta, pairs, column="confidence_true")
    assert error.value.asked == "confidence_true"
    with pytest.raises(ParameterError) as error:
        reliability(Delta(), pairs)
    assert error.value.there == []
    with pytest.raises(ParameterError) as error:
        with_truth(delta, pairs, relation=("a", "b", "c"))
    assert error.value.asked == ("a", "b", "c")
    with pytest.raises(KindError):
        reliability(pairs, pairs)
