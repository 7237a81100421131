"""The mixed world: what the docstring promises is there."""

import doctest
import importlib

import numpy as np
import pyarrow as pa
import pytest

from hinaug.datasets import planted_mixed
from hinaug.datasets.planted import ABOUT, RATES, WROTE
from hinaug.datasets.planted_mixed import BY, FOLLOWS, MISSING
from hinaug.errors import ParameterError


@pytest.fixture(scope="module")
def world():
    return planted_mixed(return_truth=True)


def test_sizes_types_and_functional_brand(world):
    hin, _ = world
    assert (hin.n("user"), hin.n("item"), hin.n("brand")) == (2000, 400, 40)
    assert {field.name: field.type for field in hin.nodes["user"].schema} == {
        "id": pa.string(),
        "income": pa.float64(),
        "level": pa.int64(),
        "job": pa.string(),
        "member": pa.bool_(),
        "joined": pa.date32(),
    }
    np.testing.assert_array_equal(np.sort(hin.links(BY)[0]), np.arange(400))
    src, dst = hin.links(FOLLOWS)
    assert (src != dst).all()
    assert 0 < (np.bincount(src, minlength=2000) == 0).sum() < 500
    degree = np.bincount(hin.links(RATES)[0], minlength=2000)
    assert degree.min() >= 1
    assert 9 < degree.mean() < 13


def test_links_follow_topics_in_all_relations(world):
    hin, truth = world
    for edge, (a, b), least in (
        (RATES, ("user_topic", "item_topic"), 0.75),
        (FOLLOWS, ("user_topic", "user_topic"), 0.75),
        (BY, ("item_topic", "brand_topic"), 0.85),
    ):
        src, dst = hin.links(edge)
        assert (truth[a][src] == truth[b][dst]).mean() > least


def test_values_are_missing_where_the_table_says(world):
    hin, truth = world
    users = hin.nodes["user"].to_pandas()
    level, member = users["level"], users["member"]
    assert abs(users["income"][level == 0].isna().mean() - MISSING["income"][0]) < 0.06
    assert abs(users["income"][level > 0].isna().mean() - MISSING["income"][1]) < 0.03
    assert users["job"][member == False].isna().mean() > 0.2  # noqa: E712
    assert users["job"][member == True].isna().mean() < 0.1  # noqa: E712
    assert level[truth["user_topic"] == 0].isna().mean() > 0.1
    assert users["income"].skew() > 1


def test_times_start_after_the_user_joined(world):
    hin, _ = world
    src, _ = hin.links(RATES)
    time = hin.column(RATES, "time").to_numpy()
    joined = hin.column("user", "joined").cast(pa.int32()).to_numpy(zero_copy_only=False)
    late = time > joined[src] * 86_400
    assert late[np.isfinite(joined[src])].all()
    assert (np.diff(time)[np.diff(src) == 0] > 0).all()


def test_reviews_vectors_and_seeds():
    hin = planted_mixed(60, 20, 6, reviews=True, dim=8, rng=3)
    assert hin.n("review") == hin.n(RATES) == hin.n(WROTE) == hin.n(ABOUT)
    assert hin.vectors("item").shape == (20, 8)
    again = planted_mixed(60, 20, 6, reviews=True, dim=8, rng=3)
    assert again.fingerprint() == hin.fingerprint() != planted_mixed(60, 20, 6, rng=4).fingerprint()
    with pytest.raises(ParameterError) as error:
        planted_mixed(10, 10, 3)
    assert (error.value.asked, error.value.there) == (3, 5)


def test_the_example_runs():
    result = doctest.testmod(importlib.import_module("hinaug.datasets.planted_mixed"))
    assert result.attempted > 0
    assert result.failed == 0
