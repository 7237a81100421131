"""Features of nodes that are in no graph yet, and copies of a fitted encoder."""

import copy
import pickle

import numpy as np
import pyarrow as pa
import pytest

from hinaug.errors import FoldInError, ParameterError, UnknownNameError
from hinaug.features import Features
from hinaug.graph.hin import HIN

WROTE = ("user", "wrote", "review")


@pytest.fixture
def people() -> HIN:
    nodes = {
        "user": {
            "id": list("abcd"),
            "age": [10, 20, None, 30],
            "job": ["x", None, "y", "x"],
            "v": [[1.0, 2], [3, 4], None, [0, 1]],
            "paid": [True, False, None, True],
        },
        "review": {"id": list("123"), "x": [[1.0, 0], [0, 1], [2, 2]]},
    }
    return HIN.from_tables(nodes, {WROTE: {"src": list("aab"), "dst": list("123")}})


def test_a_table_is_encoded_as_the_nodes_of_a_graph(people):
    encoder = Features("user", ["age", "job", "v", "paid"]).fit(people)
    features, has_any = encoder.encode(people)
    columns = people.nodes["user"].select(["v", "paid", "job", "age"])
    of_table, has_any_of_table = encoder.encode_table(columns)
    np.testing.assert_array_equal(of_table, features)
    np.testing.assert_array_equal(has_any_of_table, has_any)


def test_a_table_of_one_new_node(people):
    rows, has_any = Features("user", "age").fit(people).encode_table(pa.table({"age": [30, None]}))
    np.testing.assert_allclose(rows[:, 0], [10 / np.sqrt(200 / 3), 0], rtol=1e-6)
    assert has_any.tolist() == [True, False]


def test_a_table_has_no_neighbours(people):
    encoder = Features("user", ["age", ("review", "x")]).fit(people)
    with pytest.raises(FoldInError, match="a table of attributes has no neighbours") as caught:
        encoder.encode_table(pa.table({"age": [30]}))
    assert caught.value.asked == ("review", "x")


def test_a_table_without_the_column(people):
    encoder = Features("user", "age").fit(people)
    with pytest.raises(UnknownNameError, match="no column 'age'") as caught:
        encoder.encode_table(pa.table({"agee": [30]}))
    assert caught.value.there == ["agee"]


def test_words_where_numbers_were(people):
    encoder = Features("user", "age").fit(people)
    with pytest.raises(ParameterError, match="'age' of 'user' is string here"):
        encoder.encode_table(pa.table({"age": ["ten"]}))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_after_encoding_gives_the_same_bytes(people, copied):
    encoder = Features("user", ["age", ("review", "x")]).fit(people)
    before = encoder.encode(people)[0]
    again = copied(encoder)
    assert "_cache" not in vars(again)
    assert again.encode(people)[0].tobytes() == before.tobytes()


def test_a_second_fit_forgets_the_graph_encoded_before(people):
    encoder = Features("user", "age").fit(people)
    encoder.encode(people)
    older = people.with_column("user", "age", [100, 200, None, 300])
    encoder.fit(older)
    np.testing.assert_array_equal(
        encoder.encode(people)[0], Features("user", "age").fit(older).encode(people)[0]
    )
