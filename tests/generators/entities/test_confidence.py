"""Confidence of nodes: out of sample, calibrated; and what the most real ones keep."""

import doctest
import warnings

import numpy as np
import pyarrow as pa
import pytest

from hinaug.datasets import planted, planted_mixed
from hinaug.datasets.planted import RATES, WROTE
from hinaug.errors import NarrowedWarning, SchemaError
from hinaug.generators import JointVAE, PopularNodes, SecondMoment, most_real, with_realness
from hinaug.generators.entities import confidence
from hinaug.generators.entities.confidence import realness
from hinaug.graph.delta import Delta
from hinaug.graph.merge import merge


@pytest.fixture(scope="module")
def hin():
    return planted(400, 80, rng=0)


@pytest.fixture(scope="module")
def both(hin):
    """Users of a good and of a bad generator, and how many of each."""
    good = JointVAE("user", relations=[RATES], epochs=60, hidden=32).fit(hin, rng=0)
    bad = PopularNodes("user", relations=[RATES]).fit(hin, rng=0)
    return merge([g.generate(hin, 200, rng=1) for g in (good, bad)], 1)


def test_bad_nodes_get_less(hin, both):
    judged = with_realness(both, hin, "user", rng=0).nodes["user"]
    by = judged.group_by("origin").aggregate([("confidence", "mean")]).to_pylist()
    mean = {row["origin"]: row["confidence_mean"] for row in by}
    assert mean["JointVAE"] > mean["PopularNodes"] + 0.1


def test_probabilities_are_calibrated_and_copies_are_not_told(hin):
    links, rng = hin.adjacency(RATES), np.random.default_rng(0)
    source = rng.integers(400, size=400)
    copies = realness([links], [links[source]], source, rng)
    assert 0.4 < copies.auc < 0.6
    shuffled = links[source].copy()
    shuffled.indices = rng.permutation(shuffled.indices)
    shuffled.sum_duplicates()
    told = realness([links], [shuffled], source, rng)
    assert told.auc > 0.8
    p = np.concatenate([told.real, told.made])
    is_real = np.repeat([1, 0], [len(told.real), len(told.made)])
    for low, high in ((0.0, 0.3), (0.3, 0.7), (0.7, 1.0)):
        here = (p >= low) & (p <= high)
        assert abs(p[here].mean() - is_real[here].mean()) < 0.12
    few = realness([links[:20]], [links[:9]], np.arange(9), rng)
    assert (few.made == 0.5).all()


def test_the_most_real_keep_degree_and_topics(hin, both):
    judged = with_realness(both, hin, "user", rng=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept = most_real(judged, hin, 0.4, "user")
    assert kept.nodes["user"].num_rows == 160

    def degree(delta):
        return delta.edges[RATES].num_rows / delta.nodes["user"].num_rows

    assert abs(degree(kept) / degree(both) - 1) < 0.1
    means = [np.mean(d.nodes["user"]["confidence"].to_numpy()) for d in (kept, judged)]
    assert means[0] > means[1] + 0.1
    assert set(kept.edges[RATES]["src"].to_pylist()) == set(kept.nodes["user"]["id"].to_pylist())


def test_what_was_narrowed_is_said(hin, both):
    count = both.edges[RATES].group_by("src").aggregate([("dst", "count")])
    degree = dict(zip(count["src"].to_pylist(), count["dst_count"].to_pylist(), strict=True))

    def small_first(table):
        if "src" in table.column_names:
            return np.full(table.num_rows, 0.5)
        return np.array([1 / (1 + degree.get(i, 1)) for i in table["id"].to_pylist()])

    wrong = both.with_confidence(small_first)
    with pytest.warns(NarrowedWarning) as told:
        most_real(wrong, hin, 0.3, "user", balanced=False)
    assert "degree" in str(told[0].message)


def test_records_go_with_their_nodes():
    hin = planted_mixed(120, 40, 10, 3, reviews=True, dim=4, rng=0)
    made = SecondMoment("user").fit(hin, rng=0).generate(hin, 60, rng=0)
    judged = with_realness(made, hin, "user", rng=0)
    kept = most_real(judged, hin, 20, "user")
    assert kept.nodes["user"].num_rows == 20
    assert kept.nodes["review"].num_rows == kept.edges[WROTE].num_rows
    assert kept.nodes["review"].num_rows < made.nodes["review"].num_rows
    assert (hin + kept).n("user") == 140
    p = dict(zip(*(judged.nodes["user"][c].to_pylist() for c in ("id", "confidence")), strict=True))
    rows = judged.edges[RATES].to_pylist()
    assert all(row["confidence"] == p[row["src"]] for row in rows)


def test_nothing_to_judge(hin):
    empty = Delta(edges={RATES: pa.table({"src": ["u0"], "dst": ["i0"]})})
    for judge in (with_realness, lambda d, h, n: most_real(d, h, 1, n)):
        with pytest.raises(SchemaError) as error:
            judge(empty, hin, "user")
        assert error.value.asked == "user"


def test_the_examples_run():
    assert doctest.testmod(confidence).failed == 0
