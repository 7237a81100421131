"""Principal axes of side information by hand, who is near whom against a loop, and what is refused."""

import numpy as np
import pytest

from hinaug.errors import SchemaError
from hinaug.features.axes import nearest_graph, principal_axes
from hinaug.graph.hin import HIN

RATES = ("user", "rates", "item")


def graph():
    return HIN.from_tables(
        {
            "user": {"id": ["u", "v"]},
            "item": {
                "id": list("abcd"),
                "x": [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], None],
                "year": [1990.0, 2000.0, None, 2010.0],
                "kind": ["book", "book", "film", None],
                "title": list("pqrs"),
            },
            "genre": {"id": ["g", "h", "unused"]},
            "review": {"id": ["r1", "r2", "r3"], "x": [[2.0, 0.0], [0.0, 2.0], None]},
        },
        {
            RATES: {"src": ["u"], "dst": ["a"]},
            ("item", "in", "genre"): {"src": ["a", "b", "c"], "dst": ["g", "g", "h"]},
            ("review", "about", "item"): {"src": ["r1", "r2", "r3"], "dst": ["a", "a", "b"]},
        },
        lineage="row",
    )


def gram(x):
    return x @ x.T


def test_vectors_are_centred_and_keep_their_geometry():
    found = principal_axes(graph(), "item", "x")
    centred = np.array([[1, -1 / 3], [0, 2 / 3], [-1, -1 / 3], [0, 0]])
    centred /= np.linalg.norm(centred[:3], axis=1).mean()
    np.testing.assert_allclose(gram(found), gram(centred), atol=1e-6)
    assert found.dtype == np.float32


def test_numbers_are_centred():
    found = principal_axes(graph(), "item", ["year"])
    np.testing.assert_allclose(
        np.abs(found[:, 0]), [1, 0, 0, 1], atol=1e-6
    )  # the missing one stands at the mean
    assert found[0, 0] == -found[3, 0]


def test_neighbours_count_by_inverse_frequency():
    same = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]])
    np.testing.assert_allclose(gram(principal_axes(graph(), "item", [("genre",)])), same, atol=1e-6)


def test_the_mean_vector_of_neighbours_counts_those_that_have_one():
    source = [("review", "x")]
    assert not principal_axes(
        graph(), "item", source
    ).any()  # a alone has vectors, and its mean is the centre
    hin = graph().with_column(
        "review", "x", np.array([[2.0, 0.0], [0.0, 2.0], [-1.0, -1.0]]), "row"
    )
    found = principal_axes(hin, "item", source)
    np.testing.assert_allclose(
        gram(found), [[1, -1, 0, 0], [-1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], atol=1e-6
    )


def test_several_sources_stand_side_by_side():
    assert principal_axes(graph(), "item", ["x", ("genre",)], dim=1).shape == (4, 2)
    assert principal_axes(graph(), "item", []).shape == (4, 0)


def test_unknown_names_are_refused():
    with pytest.raises(SchemaError, match="yaer"):
        principal_axes(graph(), "item", ["yaer"])
    with pytest.raises(SchemaError, match="genr"):
        principal_axes(graph(), "item", [("genr",)])


def test_nearest_graph_against_a_loop():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 5)).astype(np.float32)
    found = nearest_graph(x, 3).toarray()
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    for i in range(40):
        cosine = unit @ unit[i]
        cosine[i] = -2
        best = np.argsort(-cosine)[:3]
        expected = np.zeros(40)
        expected[best] = np.maximum(cosine[best], 0)
        np.testing.assert_allclose(found[i], expected / expected.sum(), atol=1e-5)
    assert nearest_graph(x[:1]).nnz == 0
