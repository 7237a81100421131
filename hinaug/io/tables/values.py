"""Values of one column made fit for a graph: ids, numbers, times, text; what cannot be read is null
and counted.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.errors import ParameterError
from hinaug.graph import arrow as tb

_CODE = re.compile(r"[-+]?0\d")  # 007 is a code, not the number 7


def reach(value: Any, path: Sequence[str]) -> Any:
    """value["a"]["b"] for the path a, b; of a list, that of each entry; None where there is
    nothing.
    """
    if not path or value is None:
        return value
    if isinstance(value, list):
        return [reach(v, path) for v in value]
    return reach(value.get(path[0]), path[1:]) if isinstance(value, dict) else None


def as_column(values: list[Any]) -> pa.Array:
    """Python values as an Arrow column; values of several kinds become text, or lists of text when
    one is a list.
    """
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        pass
    if any(isinstance(v, list) for v in values):
        return pa.array([_word_list(v) for v in values], pa.list_(pa.string()))
    return pa.array([_word(v) for v in values], pa.string())


def _word_list(value: Any) -> list[str | None] | None:
    if value is None:
        return None
    return [_word(v) for v in _flat(value if isinstance(value, list) else [value])]


def _flat(values: list[Any]) -> Iterable[Any]:
    for value in values:
        if isinstance(value, list):
            yield from _flat(value)
        else:
            yield value


def _word(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace").decode()  # half of a surrogate pair has no bytes


def decoded(column: pa.Array) -> pa.Array:
    """A dictionary (category) column as its values; any other as it is."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def is_nested(kind: pa.DataType) -> bool:
    return pa.types.is_nested(kind)


def is_list(kind: pa.DataType) -> bool:
    return (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def exploded(column: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """Every entry of a (nested) list column with the number of its row; a plain column is left as
    it is.
    """
    row = np.arange(len(column))
    while is_list(column.type):
        parents = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
        row, column = row[parents], pc.list_flatten(column)
    return row, column


def ids(column: pa.Array, where: str) -> pa.Array:
    """Ids as text without blanks around it; whole numbers read as floats (1.0) are whole numbers;
    empty is null.
    """
    column = decoded(column)
    if pa.types.is_floating(column.type):
        numbers = column.drop_null().to_numpy()
        if np.isfinite(numbers).all() and (numbers == np.floor(numbers)).all():
            column = column.cast(pa.int64())
    return _as_text(column, where)


def _as_text(column: pa.Array, where: str) -> pa.Array:
    if is_nested(column.type):
        raise ParameterError(
            f"{where}: one value a row is needed, these are {column.type}; name a field inside, "
            "such as 'a.b'"
        )
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def numbers(column: pa.Array, where: str) -> tuple[pa.Array, int]:
    """A column of numbers, and how many values were none (they are null)."""
    column = decoded(column)
    if tb.is_number(column.type) and not pa.types.is_boolean(column.type):
        return column, 0
    return _parsed(column, _number, where)


def times(column: pa.Array, where: str, form: str | None = None) -> tuple[pa.Array, int]:
    """Numbers stay numbers; text is a date (ISO 8601, or `form` as in strptime; UTC where no zone
    is told).
    """
    column = decoded(column)
    if pa.types.is_temporal(column.type) or tb.is_number(column.type):
        return column, 0

    def moment(word: str) -> Any:
        number = None if form else _number(word)
        if number is not None:
            return number
        try:
            found = datetime.strptime(word, form) if form else datetime.fromisoformat(word)
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None

    return _parsed(column, moment, where)


def _parsed(column: pa.Array, parse: Callable[[str], Any], where: str) -> tuple[pa.Array, int]:
    text = _as_text(column, where)
    words = text.dictionary_encode()
    found = [parse(w) for w in words.dictionary.to_pylist()]
    whole = all(f is None or (float(f).is_integer() and abs(f) < 2**53) for f in found)
    values = pa.array(
        [None if f is None else int(f) if whole else f for f in found],
        pa.int64() if whole else pa.float64(),
    )
    parsed = values.take(words.indices)
    return parsed, parsed.null_count - text.null_count


def _number(word: str) -> float | None:
    try:
        number = float(word)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def texts(columns: Sequence[pa.Array]) -> pa.Array:
    """One text a row from one or more columns, a line each; lists of texts are joined by blanks."""
    parts = [c.to_pylist() for c in columns]
    joined = ["\n".join(filter(None, map(_text, row))) or None for row in zip(*parts, strict=True)]
    return pa.array(joined, pa.string())


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(filter(None, map(_text, value)))
    return (_word(value) or "").strip()


def plain(column: pa.Array, typed: bool, where: str) -> pa.Array:
    """A column as it is kept: untyped text that is all numbers becomes numbers, codes such as 007
    stay text.
    """
    kind = column.type
    if pa.types.is_struct(kind) or (is_list(kind) and is_nested(kind.value_type)):
        raise ParameterError(
            f"{where}: nested records ({kind}) are no column; name a field inside, such as 'a.b'"
        )
    if typed or not tb.is_text(kind) or column.null_count == len(column) or _has_codes(column):
        return column
    parsed, bad = numbers(column, where)
    return column if bad else parsed


def _has_codes(column: pa.Array) -> bool:
    return any(_CODE.match(word) for word in pc.unique(column).to_pylist() if word)


def first_of_each(table: pa.Table) -> np.ndarray:
    """The rows [m] whose values stand for the first time, in order."""
    code = np.zeros(table.num_rows, np.int64)
    for column in table.columns:
        part = _codes(tb.one_chunk(column))
        code = np.unique(code * (int(part.max(initial=0)) + 1) + part, return_inverse=True)[1]
    return np.sort(np.unique(code, return_index=True)[1])


def _codes(column: pa.Array) -> np.ndarray:
    column = decoded(column)  # the words of a dictionary may stand in it more than once
    if is_nested(column.type) or pa.types.is_null(column.type):
        known: dict[str, int] = {}
        return np.array(
            [known.setdefault(repr(v), len(known)) for v in column.to_pylist()], np.int64
        )
    return (
        column.dictionary_encode(null_encoding="encode")
        .indices.to_numpy(zero_copy_only=False)
        .astype(np.int64)
    )
