"""Tables from anywhere come out in one form, or with an error that names the column, the rows and
the remedy.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from raising import raises

from hinaug.errors import SchemaError, nearest, some
from hinaug.graph import arrow as tb


def column(values, name="c") -> pa.Array:
    return tb.as_table({name: values}, "here")[name].chunk(0)


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1, None], pa.int64(), [1, None]),
        ([1.5, float("nan"), None], pa.float64(), [1.5, None, None]),
        (np.array([1.5, np.nan], np.float32), pa.float32(), [1.5, None]),
        (np.array([1.5, np.nan], np.float16), pa.float16(), [1.5, None]),
        (["a", None, "ب"], pa.string(), ["a", None, "ب"]),
        (pa.array(["a", None], pa.large_string()), pa.string(), ["a", None]),
        (pa.array(["a", None], pa.string_view()), pa.string(), ["a", None]),
        (pa.array([b"a", None], pa.binary_view()), pa.binary(), [b"a", None]),
        (pa.chunked_array([["a"], [], ["b"]]), pa.string(), ["a", "b"]),
        (np.array(["a", "bc"]), pa.string(), ["a", "bc"]),
        (np.array([True, False]), pa.bool_(), [True, False]),
        (pd.Series([1, None], dtype="Int64"), pa.int64(), [1, None]),
        (pd.Series(["a", None]), pa.string(), ["a", None]),
        (pd.Series(["a", None], dtype=object), pa.string(), ["a", None]),
        (
            pd.Categorical(["a", None, "a"]),
            pa.dictionary(pa.int32(), pa.string()),
            ["a", None, "a"],
        ),
        (
            pl.Series(["a", None], dtype=pl.Categorical),
            pa.dictionary(pa.int32(), pa.string()),
            ["a", None],
        ),
        (pl.Series([["a", "b"], None]), pa.list_(pa.string()), [["a", "b"], None]),
        (
            pl.Series([[1.0, 2.0], [3.0, 4.0]], dtype=pl.Array(pl.Float64, 2)),
            pa.list_(pa.float32(), 2),
            [[1, 2], [3, 4]],
        ),
        (np.array([[1.0, 2.0], [np.nan, 4.0]]), pa.list_(pa.float32(), 2), [[1, 2], None]),
        (
            [[1.0, 2.0], None, [3.0, float("nan")], [5.0, None]],
            pa.list_(pa.float32(), 2),
            [[1, 2], None, None, None],
        ),
        ([[1, 2], [3, 4]], pa.list_(pa.float32(), 2), [[1, 2], [3, 4]]),
        ([[1, 2], [3]], pa.list_(pa.int64()), [[1, 2], [3]]),
        ([dt.date(2020, 1, 1), None], pa.date32(), [dt.date(2020, 1, 1), None]),
        ([None, None], pa.null(), [None, None]),
        ([], pa.null(), []),
    ],
)
def test_the_form_of_a_column(values, kind, expected):
    out = column(values)
    assert out.type == kind
    assert out.to_pylist() == expected
    again = tb.normalise(out, "here")
    assert again.equals(out)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([1, "a"], "here, column 'c': the values are not of one type"),
        (pd.Series([1, "a"], dtype=object), "here, column 'c': the values are not of one type"),
        ([object()], "not of one type"),
        (np.zeros((2, 2, 2)), "this array has shape (2, 2, 2)"),
        (np.array(["a", 1], dtype=object), "not of one type"),
        ([{"a": 1}], "nested records (struct<a: int64>)"),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), "nested records"),
        (
            [[1.0, 2.0], [3.0], [4.0, 5.0]],
            "most have 2 numbers, but rows 1 have 1; pad, cut or drop",
        ),
        (np.zeros((2, 0)), "this array has shape (2, 0)"),
        (pa.array([[], []], pa.list_(pa.float64())), "vectors of length 0"),
    ],
)
def test_columns_that_are_refused(values, says):
    with pytest.raises(SchemaError) as error:
        column(values)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"a": [1], "b": [1, 2]}, "columns of unlike length {'a': 1, 'b': 2}"),
        ({}, "the table has no columns"),
        (pd.DataFrame(), "the table has no columns"),
        (
            pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]),
            "column 'a' stands more than once",
        ),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "column 'a' stands more than once"),
        (pd.DataFrame([[1, 2]]), "column names are strings; found 0, 1"),
        (
            [1, 2],
            "expected a table (pandas, polars, DuckDB, Arrow, or a dict of columns), got list",
        ),
        (None, "got NoneType"),
    ],
)
def test_tables_that_are_refused(table, says):
    with pytest.raises(SchemaError) as error:
        tb.as_table(table, "here")
    assert says in str(error.value)


def test_every_source_gives_the_same_table():
    expected = tb.as_table({"a": [1, 2], "t": ["x", None]}, "here")
    arrow = pa.table({"a": [1, 2], "t": ["x", None]})
    for source in (
        arrow,
        arrow.to_batches()[0],
        pa.concat_tables([arrow.slice(0, 1), arrow.slice(1)]),
        arrow.to_pandas(),
        pd.DataFrame({"a": [1, 2], "t": ["x", None]}, index=[7, 3]),
        pl.DataFrame({"a": [1, 2], "t": ["x", None]}),
        {"a": np.array([1, 2]), "t": pd.Series(["x", None])},
    ):
        out = tb.as_table(source, "here")
        assert out.equals(expected)
        assert out.schema.metadata is None
        assert all(c.num_chunks == 1 for c in out.columns)


def test_vectors_in_their_form_are_not_copied():
    vectors = tb.vectors_array(np.arange(6.0).reshape(3, 2))
    assert tb.normalise(vectors, "here") is vectors
    part = tb.normalise(vectors.slice(1), "here")
    assert part.to_pylist() == [[2, 3], [4, 5]]


def test_lineage_stays_with_its_column():
    field = tb.with_lineage(pa.field("a", pa.int64(), metadata={b"other": b"1"}), "row")
    assert tb.lineage_of(field) == "row"
    assert tb.lineage_of(tb.with_lineage(field, None)) is None
    assert tb.lineage_of(pa.field("a", pa.int64())) is None
    table = tb.as_table(
        pa.table({"a": [1]}, schema=pa.schema([field], metadata={b"pandas": b"x"})), "here"
    )
    assert tb.lineage_of(table.schema.field("a")) == "row"
    assert tb.lineage_of(tb.concat([table, pa.table({"b": [1]})]).schema.field("a")) == "row"
    with raises(SchemaError, names="col"):
        tb.with_lineage(field, "col")


def test_concat_fills_what_a_table_lacks_and_refuses_unlike_types():
    out = tb.concat(
        [pa.table({"a": [1]}), pa.table({"b": ["x"]}), pa.table({"a": pa.array([2], pa.int8())})]
    )
    assert out.to_pydict() == {"a": [1, None, 2], "b": [None, "x", None]}
    assert all(c.num_chunks == 1 for c in out.columns)
    with raises(SchemaError, names="int64 vs string"):
        tb.concat([pa.table({"a": [1]}), pa.table({"a": ["x"]})])


def test_equal_content_has_equal_hashes_whatever_stands_behind_nulls():
    kinds = {
        "i": (
            pa.array([1, None, 3]),
            pa.array(np.array([1, 9, 3]), mask=np.array([False, True, False])),
        ),
        "f": (pa.array([1.0, None, 3.0]), tb.normalise(pa.array([1.0, float("nan"), 3.0]), "")),
        "s": (pa.array(["a", None, "c"]), pa.array(["z", "a", None, "c"]).slice(1)),
        "b": (
            pa.array([True, None, False]),
            pa.array(np.array([1, 1, 0], bool), mask=np.array([False, True, False])),
        ),
        "v": (
            tb.vectors_array(np.array([[1, 2], [0, 0], [3, 4]]), np.array([True, False, True])),
            tb.vectors_array(np.array([[1, 2], [7, 7], [3, 4]]), np.array([True, False, True])),
        ),
        "n": (pa.nulls(3), pa.nulls(5).slice(2)),
        "d": (
            pa.array(["a", None, "c"]).dictionary_encode(),
            pa.array(["a", None, "c"]).dictionary_encode(),
        ),
        "t": (pa.array([True, False, True]), pa.array([True, False, True, True, True]).slice(0, 3)),
        "l": (pa.array([[1], None, [2, 3]]), pa.array([[9], [1], None, [2, 3]]).slice(1)),
    }
    for name, (a, b) in kinds.items():
        assert a.equals(b)
        one, two = (
            pa.table({name: a}),
            pa.table({name: pa.chunked_array([b.slice(0, 1), b.slice(1)])}),
        )
        assert tb.content_hash(one) == tb.content_hash(two), name
        assert tb.canonical(two).equals(one), name
        changed = pa.table({name: a.take(pa.array([2, 1, 0]))})
        assert changed.equals(one) or tb.content_hash(changed) != tb.content_hash(one), name
    assert tb.content_hash(pa.table({"a": [1]})) != tb.content_hash(pa.table({"b": [1]}))


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=4),
        elements=st.floats(width=32),
    )
)
def test_vectors_array_keeps_numbers(values):
    out = column(values)
    bad = np.isnan(values).any(axis=1)
    assert out.null_count == bad.sum()
    for row, expected, missing in zip(out.to_pylist(), values.tolist(), bad, strict=True):
        assert row == (None if missing else expected)


def test_ids_as_strings():
    for values, kind in (
        ([1, 2**63 - 1], "int64"),
        (np.array([2**64 - 1], np.uint64), "uint64"),
        (np.array([-5], np.int8), "int8"),
    ):
        ids, found = tb.id_strings(tb.as_array(values, "here"), "here")
        assert found == kind
        assert ids.to_pylist() == [str(v) for v in np.asarray(values).tolist()]
    assert tb.id_strings(pa.array(["b", "b"]).dictionary_encode(), "here")[0].to_pylist() == [
        "b",
        "b",
    ]
    assert tb.id_strings(pa.array([], pa.null()), "here")[0].type == pa.string()
    for values, says in (
        ([1.0, 2.0], "ids read as floats usually mean missing values"),
        ([True], "ids are strings or integers, these are bool"),
        (["a", None, None], "no id (null) in rows 1, 2"),
    ):
        with pytest.raises(SchemaError) as error:
            tb.id_strings(pa.array(values), "here")
        assert says in str(error.value)


def test_lookup_and_words_for_messages():
    assert tb.lookup(pa.array(["a", "b"]), pa.array(["b", "x", "a", "b"])).tolist() == [1, -1, 0, 1]
    assert tb.lookup(pa.array([], pa.string()), pa.array(["b"])).tolist() == [-1]
    assert tb.lookup(pa.array(["a"]), pa.array([], pa.string())).tolist() == []
    assert nearest("usr", ["user", "item"]) == "; did you mean 'user'?"
    assert (
        nearest(("user", "rate", "item"), [("user", "rates", "item")])
        == "; did you mean ('user', 'rates', 'item')?"
    )
    assert nearest("zzz", ["user"]) == ""
    assert some(range(7)) == "0, 1, 2, 3, 4, ... (7 in all)"


def test_a_dictionary_of_nulls_alone_keeps_its_words():
    column = pa.array(["a", None, None]).dictionary_encode().slice(1)
    table = tb.canonical(pa.table({"x": column}))
    assert table["x"].chunk(0).equals(column)
    fresh = pa.DictionaryArray.from_arrays(pa.array([None, None], pa.int32()), pa.array(["a"]))
    assert tb.content_hash(pa.table({"x": fresh})) == tb.content_hash(pa.table({"x": column}))


def test_chunks_of_categories_have_more_words_than_their_codes_can_tell():
    chunks = [
        pa.DictionaryArray.from_arrays(
            pa.array(range(100), pa.int8()), [f"{k} {i}" for i in range(100)]
        )
        for k in range(2)
    ]
    column = pa.chunked_array(chunks)
    assert tb.one_chunk(column).to_pylist() == column.to_pylist()


def test_hashed_ids_are_the_same_wherever_they_stand():
    ids = pa.array([str(i) for i in range(50_000)] + ["", "ä", "a much longer id than the others"])
    whole = tb.hashed(ids)
    assert whole.dtype == np.uint64
    assert len(np.unique(whole)) == len(ids)
    np.testing.assert_array_equal(tb.hashed(ids[10:20]), whole[10:20])
    np.testing.assert_array_equal(tb.hashed(ids[::-1].cast(pa.large_string())), whole[::-1])
    assert (tb.hashed(ids, seed=1) != whole).mean() > 0.999
    assert tb.hashed(ids[:0]).shape == (0,)
    ones = np.unpackbits(whole.view(np.uint8)).reshape(-1, 64).mean(0)
    assert np.abs(ones - 0.5).max() < 0.02  # each bit says nothing


VALUES = {
    "text": ["x", "y", None, float("nan"), "z"],
    "numbers": [1, 2**40, None],
    "lists": [[1, 2], [3], None],
    "days": [dt.date(2026, 1, 1), None],
}


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("step", [1, 2, -1])
def test_rows_that_share_objects_are_the_values_of_a_list(kind, step):
    distinct = np.empty(len(VALUES[kind]), object)
    distinct[:] = VALUES[kind]
    rows = distinct[np.random.default_rng(0).integers(0, len(distinct), 100)][::step]
    expected = column(list(rows))
    for given_rows in (rows, pd.Series(rows, dtype=object)):
        found = column(given_rows)
        assert found.type == expected.type
        assert found.equals(expected)


@pytest.mark.parametrize("wrong", [[{1}, {2}], ["a", 1]])
def test_shared_objects_of_no_one_type_are_refused(wrong):
    distinct = np.empty(2, object)
    distinct[:] = wrong
    with pytest.raises(SchemaError):
        column(distinct[[0, 1, 0, 1, 1, 0]])


@pytest.mark.parametrize("values", [[{1}, {2}], [frozenset("a"), None]])
def test_sets_have_no_order(values):
    objects = np.empty(2, object)
    objects[:] = values
    for given_values in (values, objects, pd.Series(objects)):
        with raises(SchemaError, asked="set"):
            column(given_values)
