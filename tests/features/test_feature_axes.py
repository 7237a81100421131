"""Principal axes of side information by hand, who is near whom against a loop, what is refused."""

import copy

import numpy as np
import pytest

from hinaug.errors import FoldInError, ParameterError, SchemaError
from hinaug.features.axes import PrincipalAxes, nearest_graph, principal_axes
from hinaug.graph.hin import HIN
from hinaug.io import load, save

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


# ---- PrincipalAxes -------------------------------------------------------------------------------

SOURCES = ["x", "year", ("genre",), ("review", "x")]


def test_the_fitted_projection_gives_the_bytes_of_the_one_call():
    hin = graph()
    axes = PrincipalAxes("item", SOURCES).fit(hin)
    once = principal_axes(hin, "item", SOURCES)
    assert axes.transform(hin).tobytes() == once.tobytes()


@pytest.mark.parametrize("wide", [2048, 1])
def test_a_projection_of_many_nodes_uses_the_axes_of_the_fitted_graph(wide, monkeypatch):
    monkeypatch.setattr("hinaug.features.axes.WIDE", wide)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 5)) * [9, 5, 3, 1, 0.1]
    hin = HIN.from_tables({"item": {"id": np.arange(60), "x": x}}, {})
    axes = PrincipalAxes("item", "x", dim=2)
    fitted = axes.fit_transform(hin)
    np.testing.assert_allclose(axes.transform(hin), fitted, atol=1e-5)
    assert axes.axes_[0].shape == (5, 2)
    few = hin.filter_nodes("item", np.arange(60) < 7)
    np.testing.assert_array_equal(axes.transform(few), axes.transform(hin)[:7])
    np.testing.assert_array_equal(axes.transform_table({"x": x[:7]}), axes.transform(few))


def test_neighbours_are_matched_by_id_and_new_ones_do_not_count():
    hin = graph()
    axes = PrincipalAxes("item", [("genre",)]).fit(hin)
    moved = HIN.from_tables(
        {"item": {"id": list("dcba")}, "genre": {"id": ["unused", "new", "h", "g"]}},
        {("item", "in", "genre"): {"src": list("abcd"), "dst": ["g", "g", "h", "new"]}},
    )
    np.testing.assert_array_equal(axes.transform(moved), axes.transform(hin)[::-1])
    with pytest.raises(FoldInError, match="reads the neighbours of a node"):
        axes.transform_table({"x": [1.0]})


def tagged():
    """Items with lists of words, and tags that are two steps away."""
    return HIN.from_tables(
        {
            "item": {"id": list("abc"), "words": [["p", "q", "p"], ["q"], None]},
            "tagging": {"id": [1, 2, 3, 4]},
            "tag": {"id": ["s", "t"]},
        },
        {
            ("tagging", "about", "item"): {"src": [1, 2, 3, 4], "dst": list("aaab")},
            ("tagging", "uses", "tag"): {"src": [1, 2, 3, 4], "dst": list("ssts")},
        },
    )


# log2(1 + count) times log((1 + nodes) / (1 + nodes that have it)), rows of length 1
@pytest.mark.parametrize(
    ("source", "rows"),
    [
        ("words", [[np.log2(3) * np.log(2), np.log(4 / 3)], [0, np.log(4 / 3)], [0, 0]]),
        ((("tagging", "tag"),), [[np.log2(3) * np.log(4 / 3), np.log(2)], [np.log(4 / 3), 0], [0, 0]]),
    ],
    ids=["list", "path"],
)  # fmt: skip
def test_lists_and_metapaths_are_tf_idf(source, rows):
    rows = np.array(rows)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    axes = PrincipalAxes("item", [source]).fit(tagged())
    found, has_any = axes.encode(tagged())
    np.testing.assert_allclose(gram(found), gram(rows), atol=1e-6)
    assert has_any.tolist() == [True, True, False]


def test_a_metapath_may_name_its_edge_types():
    edges = (("tagging", "about", "item"), ("tagging", "uses", "tag"))
    by_edges, by_types = (
        principal_axes(tagged(), "item", [(path,)]) for path in (edges, ("tagging", "tag"))
    )
    np.testing.assert_array_equal(by_edges, by_types)


def test_lists_of_a_table_and_of_another_graph_are_matched_by_value():
    axes = PrincipalAxes("item", "words").fit(tagged())
    rows = axes.transform(tagged())
    table = {"words": [["q", "new"], ["q", "p", "p"]]}
    np.testing.assert_allclose(axes.transform_table(table), rows[[1, 0]], atol=1e-6)
    with pytest.raises(ParameterError) as told:
        axes.transform(tagged().with_column("item", "words", [1.0, 2.0, 3.0]))
    assert told.value.asked == "words"
    path = PrincipalAxes("item", [(("tagging", "tag"),)]).fit(tagged())
    with pytest.raises(FoldInError):
        path.transform_table(table)


def test_a_saved_projection_is_the_same(tmp_path):
    hin = graph()
    axes = PrincipalAxes("item", SOURCES).fit(hin)
    before = axes.transform(hin)
    lists = PrincipalAxes("item", ["words", (("tagging", "tag"),)]).fit(tagged())
    save(lists, tmp_path / "lists")
    again = load(tmp_path / "lists").transform(tagged())
    assert again.tobytes() == lists.transform(tagged()).tobytes()
    save(axes, tmp_path / "axes")
    assert load(tmp_path / "axes").transform(hin).tobytes() == before.tobytes()
    assert copy.deepcopy(axes).transform(hin).tobytes() == before.tobytes()
