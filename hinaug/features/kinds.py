"""The kind of a column, and its values as arrays, for code that turns attributes into numbers.

`Features` uses this to encode attributes for predictors; generators of nodes use it to choose which
attributes they can write.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.graph import arrow as tb

Kind = Literal["vector", "number", "boolean", "category", "text", "identifier", "time", "other"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MOST_CATEGORIES = 1000  # distinct values of a column of categories, at most
WORDS_OF_TEXT = 1.5  # words a value on average, from which distinct values are text and no ids


def kind_of(
    column: pa.Array | pa.ChunkedArray,
    most_categories: int = MOST_CATEGORIES,
    rows_per_category: float = 0.0,
) -> Kind:
    """The kind of a column, from its Arrow type and, for words, from how often its values repeat.

    | kind         | what it is                                                       |
    |--------------|------------------------------------------------------------------|
    | "vector"     | fixed-size lists of floating numbers                             |
    | "number"     | integers and floating numbers                                    |
    | "boolean"    | true and false                                                   |
    | "category"   | words of few distinct values; dictionaries of few values         |
    | "text"       | words of many values, several words each on average              |
    | "identifier" | words of many values, about one word each, such as a postcode    |
    | "time"       | dates, timestamps, times of day and durations                    |
    | "other"      | the rest: lists of uneven length, binary values, untyped nulls   |

    Parameters
    ----------
    column
        Nulls do not count as a value.
    most_categories
        A column with more distinct values is no category.
    rows_per_category
        Rows that hold each value on average, at least; 2 makes sure that a value is shared.

    Example
    -------
    >>> import pyarrow as pa
    >>> kind_of(pa.array([3.5, None])), kind_of(pa.array(["f", "m", "f"]))
    ('number', 'category')
    >>> kind_of(pa.array(["60601", "94110"]), rows_per_category=2)
    'identifier'
    """
    column = tb.one_chunk(column) if isinstance(column, pa.ChunkedArray) else column
    if tb.is_text(column.type) or pa.types.is_dictionary(column.type):
        return _kind_of_words(column, most_categories, rows_per_category)
    if tb.is_vector(column.type):
        return "vector"
    if pa.types.is_boolean(column.type):
        return "boolean"
    if tb.is_number(column.type):
        return "number"
    if pa.types.is_temporal(column.type):
        return "time"
    return "other"


def _kind_of_words(column: pa.Array, most_categories: int, rows_per_category: float) -> Kind:
    there = column.drop_null()
    values = there.unique()
    if len(values) <= most_categories and len(values) * rows_per_category <= len(there):
        return "category"
    words = decoded(values)
    if not tb.is_text(words.type):
        return "other"
    spaces = pc.count_substring_regex(words, r"\s+")
    return "text" if pc.mean(spaces).as_py() + 1 > WORDS_OF_TEXT else "identifier"


def decoded(column: pa.Array) -> pa.Array:
    """A dictionary column as its words; any other column as it is."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def present(column: pa.Array) -> np.ndarray:
    """Whether each row has a value, bool [n]."""
    return ~column.is_null().to_numpy(zero_copy_only=False)


def categories(column: pa.Array) -> pa.Array:
    """The distinct values of a column, sorted, without null."""
    return decoded(column).drop_null().unique().sort()


def codes(column: pa.Array, values: pa.Array) -> np.ndarray:
    """The position of each row's value among `values`, int [n]; -1 for null or another value."""
    return tb.lookup(values, decoded(column))


def one_hot(column: pa.Array, values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """A float32 column for each value [n, len(values)], and whether a row has one of them [n]."""
    code = codes(column, values)
    known = code >= 0
    rows = np.zeros((len(code), len(values)), np.float32)
    rows[np.flatnonzero(known), code[known]] = 1
    return rows, known


def numbers(column: pa.Array) -> np.ndarray:
    """A column of numbers or booleans as float64 [n]; 0 where it is null, see `present`."""
    return column.cast(pa.float64(), safe=False).fill_null(0).to_numpy(zero_copy_only=False)


def vectors(column: pa.Array) -> np.ndarray:
    """A vector column as float32 [n, d]; 0 where it is null, see `present`."""
    size = column.type.list_size
    flat = column.values.slice(column.offset * size, len(column) * size)
    out = np.asarray(flat.to_numpy(zero_copy_only=False), np.float32).reshape(len(column), size)
    return out if not column.null_count else np.where(present(column)[:, None], out, np.float32(0))
