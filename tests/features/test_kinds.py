"""What kind of column is this: one case of each kind, and the values as arrays."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

from hinaug.features import kinds


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2)), "vector"),
        (pa.array([1, None]), "number"),
        (pa.array([1.5]), "number"),
        (pa.array([True, None]), "boolean"),
        (pa.array(["f", "m", None]), "category"),
        (pa.array(["f", "m"]).dictionary_encode(), "category"),
        (pa.array([3, 4]).dictionary_encode(), "category"),
        (pa.array([f"{i:05d}" for i in range(1001)]), "identifier"),
        (pa.array([f"{i:05d}" for i in range(1001)]).dictionary_encode(), "identifier"),
        (pa.array(list(range(1001))).dictionary_encode(), "other"),
        (pa.array([f"a story of {i} words" for i in range(1001)]), "text"),
        (pa.array([datetime.date(2020, 1, 1)]), "time"),
        (pa.array([datetime.datetime(2020, 1, 1)]), "time"),
        (pa.array([[1, 2], [3]]), "other"),
        (pa.array([None]), "other"),
        (pa.chunked_array([["f"], ["m"]]), "category"),
    ],
)
def test_one_case_of_each_kind(column, expected):
    assert kinds.kind_of(column) == expected
    assert expected in kinds.KINDS


def test_bounds_of_a_category():
    column = pa.array(["a", "a", "b", None, None])
    assert kinds.kind_of(column, most_categories=1) == "identifier"
    assert kinds.kind_of(column, rows_per_category=1.5) == "category"
    assert kinds.kind_of(column, rows_per_category=2) == "identifier"  # three rows, two values


def test_categories_codes_and_one_hot():
    column = pa.array(["b", None, "a", "b"])
    values = kinds.categories(column)
    assert values.to_pylist() == ["a", "b"]
    for form in (column, column.dictionary_encode()):
        assert kinds.codes(form, values).tolist() == [1, -1, 0, 1]
    rows, known = kinds.one_hot(pa.array(["b", "unheard of", None]), values)
    assert rows.tolist() == [[0, 1], [0, 0], [0, 0]]
    assert known.tolist() == [True, False, False]


def test_numbers_and_vectors_are_zero_where_they_are_null():
    assert kinds.numbers(pa.array([3, None])).tolist() == [3, 0]
    assert kinds.numbers(pa.array([True, False, None])).tolist() == [1, 0, 0]
    assert kinds.numbers(pa.array([2**62 + 1])).tolist() == [2.0**62]
    column = pa.array([[1.0, 2], None, [5, 6]], pa.list_(pa.float32(), 2))
    assert kinds.vectors(column).tolist() == [[1, 2], [0, 0], [5, 6]]
    assert kinds.vectors(column.slice(2)).tolist() == [[5, 6]]
    np.testing.assert_array_equal(kinds.present(column), [True, False, True])
