"""Splits out of core: sorted by ranges of users in files, they are the splits of one range."""

import numpy as np
import pyarrow as pa
import pytest

from hinaug.graph import spill
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import sort_order
from hinaug.split.base import time_keys
from hinaug.split.cold import cold_users
from hinaug.split.last import leave_last
from hinaug.split.random import random_split
from hinaug.split.temporal import temporal_split

RATES, BY = ("user", "rates", "item"), ("item", "by", "user")


def times(kind, n, rng):
    numbers = rng.integers(0, 20, n)
    return {
        "whole": numbers,
        "broken": numbers / 3,
        "stamps": pa.array(numbers, pa.timestamp("ns")),
        "dates": pa.array(numbers.astype(np.int32), pa.date32()),
    }[kind]


def world(seed, kind, ends=("user", "item")):
    """A few users have most rows; rows are parallel and times tie."""
    rng = np.random.default_rng(seed)
    n, n_users, n_items = (int(rng.integers(1, most)) for most in (900, 120, 90))
    sizes = {"user": n_users, "item": n_items}
    src = (n_users * rng.random(n) ** 2).astype(int)
    dst = rng.integers(0, sizes[ends[1]], n)
    when = times(kind, n, rng)
    relation = (ends[0], "rates", ends[1])
    edges = {relation: {"src": src, "dst": dst, "time": when, "rating": rng.integers(1, 6, n)}}
    if ends[1] == "item":
        some = rng.integers(0, n, n // 2)
        twin = {"src": dst[some], "dst": src[some]}
        edges[BY] = {**twin, "time": pa.array(when).take(pa.array(some))}
    nodes = {type: {"id": [f"{type}{i}" for i in range(k)]} for type, k in sizes.items()}
    return HIN(nodes, edges), relation


def splits(hin, relation):
    yield random_split(hin, relation, rng=3)
    yield random_split(hin, relation, valid=2, test=0.3, min_train=0, rng=np.random.default_rng(1))
    yield leave_last(hin, relation)
    yield leave_last(hin, relation, valid=0.2, test=3, keep=[relation])
    yield temporal_split(hin, relation)
    yield cold_users(hin, relation, rng=2)


def content(split):
    graphs = split.train.fingerprint(), split.train_valid.fingerprint()
    return *graphs, split.valid.to_pydict(), split.test.to_pydict(), split.how


@pytest.mark.parametrize("kind", ["whole", "broken", "stamps", "dates"])
@pytest.mark.parametrize(("block", "large"), [(9, 10**9), (40, 100), (300, 10**9)])
def test_ranges_in_files_give_the_same_split(kind, block, large, monkeypatch):
    for seed in range(3):
        for ends in (("user", "item"), ("user", "user")):
            hin, relation = world(seed, kind, ends)
            whole = [content(split) for split in splits(hin, relation)]
            monkeypatch.setattr(spill, "BLOCK", block)
            monkeypatch.setattr(spill, "LARGE", large)
            assert [content(split) for split in splits(hin, relation)] == whole
            monkeypatch.undo()


def test_tables_in_files_keep_every_type_and_null(monkeypatch):
    table = pa.table(
        {
            "text": ["a", None, "", "ccc", "dé"] * 7,
            "number": pa.array([1, None, 3, 4, 5] * 7, pa.int16()),
            "when": pa.array([1, 2, 3, 4, None] * 7, pa.timestamp("ms")),
            "flag": [True, False, None, True, False] * 7,
            "word": pa.array(["x", "y", "x", None, "x"] * 7).dictionary_encode(),
            "list": [[1, 2], [], None, [3], [4]] * 7,
        }
    )
    table = table.replace_schema_metadata({"a": "b"})
    mask = np.arange(35) % 3 > 0
    monkeypatch.setattr(spill, "BLOCK", 4)
    monkeypatch.setattr(spill, "LARGE", 0)
    found = spill.filtered(table, mask)
    assert found.schema.equals(table.schema, check_metadata=True)
    assert found.equals(table.filter(pa.array(mask)))
    assert all(column.num_chunks == 1 for column in found.columns)
    found.validate(full=True)


def test_text_beyond_the_limit_becomes_large_text(monkeypatch):
    monkeypatch.setattr("hinaug.graph.arrow.TEXT_LIMIT", 10)
    rows = spill.Rows(pa.schema([("text", pa.string())]))
    for text in ("abcdef", "ghijkl", None):
        rows.append(pa.table({"text": pa.array([text], pa.string())}))
    column = rows.table()["text"]
    assert (column.type, column.to_pylist()) == (pa.large_string(), ["abcdef", "ghijkl", None])


@pytest.mark.parametrize(
    "values",
    [
        [0.0, -0.0, 3.5, -2.5, -np.inf, np.inf, -2.5],
        np.array([-(2**63), 2**63 - 1, 0, -1, 0]),
        np.array([2**64 - 1, 0, 2**63], np.uint64),
        np.array([-128, 127, 0, 127], np.int8),
        np.zeros(0, np.int32),
    ],
)
def test_keys_of_times_sort_as_the_times(values):
    values = np.asarray(values)
    found = sort_order(time_keys(values))
    assert found.tolist() == np.argsort(values, kind="stable").tolist()
