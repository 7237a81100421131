"""PairIndex against Python sets, the radix sort against lexsort, and the fingerprint of pairs."""

import numpy as np
import pytest

from hinaug.datasets import planted
from hinaug.errors import SchemaError
from hinaug.graph import spill
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import (
    PairIndex,
    are_linked,
    distinct,
    own_pairs,
    pairs_fingerprint,
    random_order_within,
    sort_order,
)

RATES = ("user", "rates", "item")


def graph(pairs, users="abc", items="wxyz", **columns):
    src, dst = zip(*pairs, strict=True) if pairs else ((), ())
    nodes = {"user": {"id": list(users)}, "item": {"id": list(items)}}
    return HIN.from_tables(nodes, {RATES: {"src": list(src), "dst": list(dst), **columns}})


def random_pairs(n, shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, shape[0], n), rng.integers(0, shape[1], n)


def as_set(index):
    return list(zip(index.src.tolist(), index.dst.tolist(), strict=True))


@pytest.mark.parametrize(
    ("n", "shape"), [(0, (3, 4)), (1, (1, 1)), (50, (7, 5)), (9000, (90, 200))]
)
def test_an_index_is_a_sorted_set(n, shape):
    src, dst = random_pairs(n, shape)
    index, first = PairIndex.with_first_rows(src, dst, shape)
    rows = list(zip(src.tolist(), dst.tolist(), strict=True))
    assert as_set(index) == sorted(set(rows))
    assert first.tolist() == [rows.index(pair) for pair in as_set(index)]
    assert (np.diff(index.code) > 0).all()
    dense = np.zeros(shape, np.float32)
    dense[src, dst] = 1
    np.testing.assert_array_equal(index.matrix().toarray(), dense)


@pytest.mark.parametrize("n", [40, 9000])  # few and many questions are searched in two ways
def test_find_contains_and_set_operations_against_sets(n):
    shape = (60, 90)
    a, b = (PairIndex.from_positions(*random_pairs(n // 2, shape, s), shape) for s in (1, 2))
    asked = random_pairs(n, (70, 95), 3)  # some lie outside of the shape
    src, dst = asked[0] - 3, asked[1] - 3  # and some below 0
    where = {pair: row for row, pair in enumerate(as_set(a))}
    expected = [where.get(pair, -1) for pair in zip(src.tolist(), dst.tolist(), strict=True)]
    assert a.find(src, dst).tolist() == expected
    assert a.contains(src, dst).tolist() == [row >= 0 for row in expected]
    assert as_set(a.minus(b)) == sorted(set(as_set(a)) - set(as_set(b)))
    assert as_set(a.union(b)) == sorted(set(as_set(a)) | set(as_set(b)))
    none = PairIndex.from_positions(src[:0], dst[:0], shape)
    assert not none.contains(src, dst).any()


def test_codes_of_large_shapes_do_not_overflow():
    n = 2**31 - 1
    src, dst = (np.array([n - 1, 0, n - 1], np.int32), np.array([n - 1, 1, 0], np.int32))
    index = PairIndex.from_positions(src, dst, (n, n))
    assert as_set(index) == [(0, 1), (n - 1, 0), (n - 1, n - 1)]
    assert index.code.tolist() == [1, (n - 1) * n, (n - 1) * n + n - 1]
    assert index.find(src, dst).tolist() == [2, 0, 1]


def test_of_a_graph_and_of_a_table_of_ids():
    hin = graph(["bw", "ax", "bw"]) + Delta(edges={RATES: {"src": ["c"], "dst": ["w"]}})
    index = PairIndex.of(hin, RATES)
    assert as_set(index) == [(0, 1), (1, 0)]
    assert index.shape == (3, 4)
    pairs = Delta(edges={RATES: {"src": ["c", "a"], "dst": ["z", "w"]}}).edges[RATES]
    assert as_set(PairIndex.from_ids(hin, RATES, pairs)) == [(0, 0), (2, 3)]
    with pytest.raises(SchemaError):
        PairIndex.from_ids(graph([], users="ab"), RATES, pairs)


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.uint64])
def test_sort_order_is_lexsort(kind):
    rng = np.random.default_rng(0)
    for high in (1, 3, 2**16, 2**20, 2**31 - 1):
        minor, major = (rng.integers(0, high, 5000).astype(kind) for _ in range(2))
        assert (sort_order(minor, major) == np.lexsort((minor, major))).all()
    assert sort_order(np.zeros(0, kind)).tolist() == []


def test_distinct_is_unique():
    rng = np.random.default_rng(0)
    for n, high in ((0, 1), (1, 1), (50, 9), (1000, 10**15)):
        codes = rng.integers(high, size=n)
        assert distinct(codes).tolist() == np.unique(codes).tolist()


def test_own_pairs_by_hand():
    rows = own_pairs(np.array([2, 0, 5]), 3).toarray()  # 5 is a generated node
    assert rows.tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0]]


def test_ends_turn_codes_back():
    index = PairIndex.from_positions(*random_pairs(50, (7, 5)), (7, 5))
    src, dst = index.ends(index.code)
    assert (src == index.src).all()
    assert (dst == index.dst).all()


def test_random_order_within_groups_is_lexsort_of_the_same_draws():
    groups = np.random.default_rng(0).integers(0, 300, 20_000)
    order = random_order_within(groups, np.random.default_rng(5))
    draws = np.random.default_rng(5).random(len(groups))
    assert (order == np.lexsort((draws, groups))).all()


def test_pairs_fingerprint_knows_pairs_alone():
    hin = graph(["ax", "bw", "bz"])
    same = [
        graph(["bz", "ax", "bw", "ax"]),  # order of rows, a parallel row
        graph(["ax", "bw", "bz"], users="cba", items="zxwy"),  # order of nodes
        graph(["ax", "bw", "bz"], users="abcd"),  # a node without pairs
        graph(["ax", "bw", "bz"], rating=[1, 2, 3]),
        hin + Delta(edges={RATES: {"src": ["c"], "dst": ["w"]}}),
    ]
    expected = pairs_fingerprint(hin, RATES)
    assert [pairs_fingerprint(other, RATES) for other in same] == [expected] * len(same)
    others = [
        graph(["ax", "bw"]),
        graph(["ax", "bw", "cz"]),
        graph(["ax", "bw", "bz", "cz"]),
        graph([]),
    ]
    found = {pairs_fingerprint(other, RATES) for other in others}
    assert len(found) == len(others)
    assert expected not in found


def test_ids_are_told_apart_even_where_they_join_to_one_text():
    one = graph([("a", "bc")], users=["a"], items=["bc"])
    two = graph([("ab", "c")], users=["ab"], items=["c"])
    assert pairs_fingerprint(one, RATES) != pairs_fingerprint(two, RATES)


def test_linked_pairs_and_fingerprints_in_blocks_are_those_of_a_loop(monkeypatch):
    hin = planted(60, 40, 5, rng=2)
    src, dst = hin.links(RATES)
    rng = np.random.default_rng(0)
    asked = rng.integers(-2, 63, 500), rng.integers(-2, 43, 500)  # some outside
    known = set(zip(src.tolist(), dst.tolist(), strict=True))
    naive = [pair in known for pair in zip(*map(np.ndarray.tolist, asked), strict=True)]
    whole = pairs_fingerprint(hin, RATES)
    monkeypatch.setattr(spill, "BLOCK", 7)
    assert are_linked(hin, RATES, *asked).tolist() == naive
    again = HIN.from_tables(
        {type: hin.nodes[type].take(rng.permutation(hin.n(type))) for type in ("user", "item")},
        {
            RATES: {
                "src": hin.ids("user").take(np.append(src, src)),
                "dst": hin.ids("item").take(np.append(dst, dst)),
            }
        },
    )
    assert pairs_fingerprint(again, RATES) == whole
    fewer = {"src": hin.ids("user").take(src[1:]), "dst": hin.ids("item").take(dst[1:])}
    other = HIN.from_tables({type: hin.nodes[type] for type in ("user", "item")}, {RATES: fewer})
    assert pairs_fingerprint(other, RATES) != whole
