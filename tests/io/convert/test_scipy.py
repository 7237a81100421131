"""scipy there and back."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from raising import raises

from hinaug.errors import SchemaError
from hinaug.io import convert

RATES = ("user", "rates", "item")
KNOWS = ("user", "knows", "user")


@given(st.data())
def test_scipy_keeps_one_weighted_relation(graphs, data):
    hin = data.draw(graphs())
    matrix = hin.adjacency(RATES)
    back = convert.from_scipy(matrix, RATES, row_ids=hin.ids("user"), col_ids=hin.ids("item"))
    assert (back.adjacency(RATES) != matrix).nnz == 0
    assert back.ids("item").equals(hin.ids("item"))
    assert back.edges[RATES].column_names == ["src", "dst"]


def test_from_scipy_by_hand():
    matrix = sp.csr_matrix(np.array([[0, 2.0], [1, 0], [0, 0.5]]))
    hin = convert.from_scipy(matrix)
    assert hin.ids("user").to_pylist() == [0, 1, 2]
    assert hin.adjacency(RATES, "weight").toarray().tolist() == matrix.toarray().tolist()
    named = convert.from_scipy(np.eye(2), ("a", "b", "c"), row_ids=["x", "y"], col_ids=[5, 6])
    assert named.ids("a").to_pylist() == ["x", "y"]
    assert named.edges["a", "b", "c"].column_names == ["src", "dst"]
    parallel = sp.coo_array(([1.0, 3.0], ([0, 0], [1, 1])), shape=(1, 2))
    assert convert.from_scipy(parallel).n(RATES) == 2
    same = convert.from_scipy(np.array([[0, 1], [0, 0]]), KNOWS, row_ids=["p", "q"])
    assert same.n("user") == 2
    assert convert.from_scipy(sp.csr_array((0, 3))).n("item") == 3
    for bad, ids in ((np.eye(2)[:1], {}), (np.eye(2), {"col_ids": [1, 2]})):
        with raises(SchemaError, asked=bad.shape):
            convert.from_scipy(bad, KNOWS, **ids)
    with raises(SchemaError, asked=3, there=2):
        convert.from_scipy(np.eye(2), row_ids=[1, 2, 3])
    with raises(SchemaError, asked=(2,)):
        convert.from_scipy(np.ones(2))
