"""One small graph to compute by hand, and hypothesis strategies for graphs and deltas."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st

from hinaug.graph.arrow import vectors_array
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN

RATES = ("user", "rates", "item")
KNOWS = ("user", "knows", "user")

phases = (Phase.explicit, Phase.generate, Phase.shrink)
settings.register_profile("house", deadline=None, max_examples=30, derandomize=True, phases=phases)
settings.load_profile("house")


@pytest.fixture
def tiny() -> HIN:
    """Three users, four items (i4 is never rated), two genres; ann rated i1 twice."""
    return HIN.from_tables(
        {
            "user": {"id": ["ann", "bob", "cid"], "age": [30, None, 41]},
            "item": {
                "id": ["i1", "i2", "i3", "i4"],
                "title": ["One", None, "Three", "Four"],
                "x": np.arange(8).reshape(4, 2),
            },
            "genre": {"id": [10, 20]},
        },
        {
            RATES: {
                "src": ["ann", "ann", "bob", "ann", "cid", "bob"],
                "dst": ["i1", "i2", "i1", "i1", "i3", "i3"],
                "rating": [5.0, 3.0, 4.0, 1.0, 2.0, 5.0],
                "time": [1, 2, 3, 4, 5, 6],
            },
            ("item", "has", "genre"): {"src": ["i1", "i2", "i3", "i3"], "dst": [10, 10, 10, 20]},
        },
    )


letters = st.characters(codec="utf-8", exclude_categories=["Cs"])
names = st.text(letters, max_size=4) | st.sampled_from(
    ["משתמש", "مستخدم", "用户", "a b", "a/b", "..", '"', "\x00"]
)


def maybe(values: st.SearchStrategy, n: int) -> st.SearchStrategy:
    return st.lists(st.none() | values, min_size=n, max_size=n)


def pairs(sources: list, targets: list, most: int) -> st.SearchStrategy:
    if not sources or not targets:
        return st.just([])
    return st.lists(st.tuples(st.sampled_from(sources), st.sampled_from(targets)), max_size=most)


@st.composite
def _graphs(draw: st.DrawFn) -> HIN:
    """Few users and items, often none; nulls everywhere, odd ids, parallel and missing edges."""
    users = draw(st.lists(names, unique=True, max_size=4))
    items = draw(st.lists(st.integers(-5, 2**60), unique=True, max_size=4))
    n = len(items)
    valid = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool)
    single = st.floats(width=32, allow_nan=False, allow_infinity=False)
    nodes = {
        "user": pa.table({"id": pa.array(users, pa.string())}),
        "item": pa.table(
            {
                "id": pa.array(items, pa.int64()),
                "year": pa.array(draw(maybe(st.integers(-(2**50), 2**50), n)), pa.int64()),
                "price": pa.array(draw(maybe(st.floats(allow_nan=False), n)), pa.float64()),
                "title": pa.array(draw(maybe(names, n)), pa.string()),
                "adult": pa.array(draw(maybe(st.booleans(), n)), pa.bool_()),
                "x": vectors_array(
                    np.array(draw(st.lists(single, min_size=2 * n, max_size=2 * n))).reshape(n, 2),
                    valid,
                ),
            }
        ),
        "tag": pa.table({"id": pa.array([], pa.string())}),
    }
    rates = draw(pairs(users, items, 8))
    friends = draw(pairs(users, users, 4))
    edges = {
        RATES: pa.table(
            {
                "src": pa.array([u for u, _ in rates], pa.string()),
                "dst": pa.array([i for _, i in rates], pa.int64()),
                "rating": pa.array(draw(maybe(single, len(rates))), pa.float32()),
                "time": pa.array(range(len(rates)), pa.int64()),
            }
        ),
        KNOWS: pa.table(
            {
                "src": pa.array([a for a, _ in friends], pa.string()),
                "dst": pa.array([b for _, b in friends], pa.string()),
            }
        ),
    }
    return HIN.from_tables(
        nodes, edges, lineage={"item": "row", RATES: {"rating": "row", "time": "aggregate"}}
    )


@st.composite
def _deltas(draw: st.DrawFn, hin: HIN, name: str = "g", half: int | None = None) -> Delta:
    """A delta for `hin` with at least one new user. Two with unlike `name` and `half` (0 and 1) are
    independent.
    """
    new_users = [f"{name}-{i}" for i in range(draw(st.integers(1, 2)))]
    new_items = [f"{name}-{i}" for i in range(draw(st.integers(0, 2)))]
    users, items = hin.nodes["user"]["id"].to_pylist(), hin.nodes["item"]["id"].to_pylist()
    sure = st.floats(0, 1, width=32)
    links = draw(pairs(users + new_users, items + new_items, 6))
    hidden = draw(pairs(users, items, 3))
    cells = [i for at, i in enumerate(items) if half is None or at % 2 == half]
    filled = draw(st.lists(st.sampled_from(cells), unique=True)) if cells else []
    return Delta(
        {
            "user": {
                "id": pa.array(new_users),
                "confidence": draw(
                    st.lists(sure, min_size=len(new_users), max_size=len(new_users))
                ),
            },
            "item": {
                "id": pa.array(new_items, pa.string()),
                "year": pa.array(range(len(new_items)), pa.int32()),
            },
        },
        {
            RATES: {
                "src": pa.array([u for u, _ in links], pa.string()),
                "dst": pa.array([i for _, i in links], pa.string()),
                "rating": pa.array([float(i) for i in range(len(links))], pa.float64()),
                "confidence": pa.array(
                    draw(st.lists(sure, min_size=len(links), max_size=len(links))), pa.float64()
                ),
            }
        },
        {
            RATES: {
                "src": pa.array([u for u, _ in hidden], pa.string()),
                "dst": pa.array([i for _, i in hidden], pa.string()),
            }
        },
        {
            ("item", "year"): {
                "id": pa.array(filled, pa.string()),
                "value": pa.array(range(len(filled)), pa.int64()),
            }
        },
        origin=name,
        fitted_on=[hin.fingerprint()],
    )


# Tests get the strategies as fixtures: folders below have a conftest.py of their own, so that none
# can be imported.


@pytest.fixture(scope="session")
def graphs():
    return _graphs


@pytest.fixture(scope="session")
def deltas():
    return _deltas
