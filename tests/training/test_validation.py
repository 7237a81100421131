"""Validation: what is ranked while a model trains."""

import numpy as np
import pyarrow as pa

from hinaug import HIN, Delta
from hinaug.training.validation import Validation

LIKES = ("user", "likes", "item")


def graph() -> HIN:
    nodes = {"user": pa.table({"id": ["a", "b"]}), "item": pa.table({"id": ["w", "x", "y", "z"]})}
    return HIN.from_tables(nodes, {LIKES: pa.table({"src": ["a", "b"], "dst": ["w", "x"]})})


def scores(src: np.ndarray) -> np.ndarray:
    return np.array([[9.0, 8, 2, 1], [9, 8, 1, 2]], np.float32)[src]


def test_items_that_nobody_had_are_ranked_among_themselves():
    cold = pa.table({"src": ["a", "b"], "dst": ["y", "y"]})
    # a has y first of y and z, b has it second
    assert np.isclose(Validation(graph(), LIKES, cold)(scores), (1 + 1 / np.log2(3)) / 2)


def test_a_generated_edge_makes_no_item_known():
    rows = {"src": ["a", "b"], "dst": ["y", "z"], "confidence": [0.5, 0.5]}
    more = graph() + Delta(edges={LIKES: pa.table(rows)}, origin="by hand")
    assert more.n(LIKES) == 4
    cold = pa.table({"src": ["a", "b"], "dst": ["y", "y"]})
    assert Validation(more, LIKES, cold)(scores) == Validation(graph(), LIKES, cold)(scores)


def test_others_are_ranked_among_all_that_a_user_has_not():
    warm = pa.table({"src": ["a", "b"], "dst": ["x", "y"]})
    # a: x, y, z, so first; b: w, z, y, so third
    assert np.isclose(Validation(graph(), LIKES, warm)(scores), (1 + 1 / 2) / 2)


def test_nobody_is_ranked_for_oneself():
    follows = ("user", "follows", "user")
    nodes = {"user": pa.table({"id": ["a", "b", "c", "d"]})}
    rows = {"src": ["b", "c", "d"], "dst": ["a", "a", "b"]}
    hin = HIN.from_tables(nodes, {follows: pa.table(rows)})
    held = pa.table({"src": ["a", "d"], "dst": ["b", "a"]})

    def oneself_first(src: np.ndarray) -> np.ndarray:
        return np.eye(4, dtype=np.float32)[src] * 9 + np.array([3, 2, 1, 0], np.float32)

    # without oneself a ranks b first; d, who has b already, ranks a first
    assert Validation(hin, follows, held)(oneself_first) == 1.0
