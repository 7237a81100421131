"""Values of one column made fit for a graph: ids, numbers, times, text; what cannot be read is null
and counted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.errors import ParameterError
from hinaug.graph import arrow as tb

_CODE = r"^[-+]?0\d"  # 007 is a code, not the number 7
_WHOLE = r"^[-+]?\d+$"
_NUMBER = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"
_COMMA = r"^[-+]?(\d+|\d{1,3}(\.\d{3})+)(,\d*)?$"  # a number with a decimal comma
_ZONE = r"(Z|[-+]\d\d:?\d\d)$"
_INSTANT = r"^\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[-+]\d\d:?\d\d)?)?$"
_EXACT = 2**53  # whole numbers below have a float of their own
_STRETCH = 2**16 - 1  # rows that are numbered with 16 bits
_FACTORS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)  # odd, of hashes
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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


def exploded(column: pa.Array) -> tuple[np.ndarray | None, pa.Array]:
    """Every entry of a (nested) list column with the number of its row; a plain column is left as
    it is, with None.
    """
    row = None
    while is_list(column.type):
        parents = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
        row, column = parents if row is None else row[parents], pc.list_flatten(column)
    return row, column


def without_words(column: pa.Array, null: Sequence[str] = ()) -> pa.Array:
    """Text without blanks around it; empty text and the words `null` are null. Anything else is
    left as it is.
    """
    if pa.types.is_dictionary(column.type) and tb.is_text(column.type.value_type):
        words = column.dictionary
        clean = without_words(words, null)
        return column if clean is words else recoded(column, clean)
    if not tb.is_text(column.type):
        return column
    trimmed = pc.utf8_trim_whitespace(column)
    length = pc.binary_length(trimmed)
    longest = max((len(word.encode()) for word in null), default=0)
    is_short = pc.less_equal(length, pa.scalar(longest, length.type))
    if pc.any(is_short).as_py():
        short = pc.if_else(is_short, trimmed, pa.scalar(None, column.type))
        empty = pc.is_in(short, value_set=pa.array(["", *null], column.type))
        return pc.if_else(empty, pa.scalar(None, column.type), trimmed)
    same = pc.sum(length).equals(pc.sum(pc.binary_length(column)))
    return column if same else trimmed


def recoded(column: pa.DictionaryArray, words: pa.Array) -> pa.DictionaryArray:
    """The column with other words in its dictionary, each of which then stands there once."""
    coded = words.dictionary_encode()
    indices = coded.indices.take(column.indices)
    return pa.DictionaryArray.from_arrays(indices, coded.dictionary)


def ids(column: pa.Array, where: str) -> pa.Array:
    """Ids as text without blanks around it, or as a dictionary of such; whole numbers read as
    floats (1.0) are whole numbers; empty is null.
    """
    if pa.types.is_dictionary(column.type):
        return recoded(column, ids(column.dictionary, where))
    if pa.types.is_floating(column.type):
        numbers = column.drop_null().to_numpy()
        if np.isfinite(numbers).all() and (numbers == np.floor(numbers)).all():
            column = column.cast(pa.int64())
    return _as_text(column, where)


def _as_text(column: pa.Array, where: str) -> pa.Array:
    try:
        return without_words(_single(column, where).cast(pa.string()))
    except pa.ArrowInvalid as error:
        raise ParameterError(
            f"{where}: values of type {column.type} are no text ({error})", asked=column.type
        ) from error


def _single(column: pa.Array, where: str) -> pa.Array:
    """The column; ParameterError where a row has several values."""
    if is_nested(column.type):
        raise ParameterError(
            f"{where}: one value a row is needed, these are {column.type}; name a field inside, "
            "such as 'a.b'",
            asked=column.type,
        )
    return column


def coded(column: pa.Array) -> pa.DictionaryArray:
    return column if pa.types.is_dictionary(column.type) else column.dictionary_encode()


# ---- numbers and times ---------------------------------------------------------------------------


def numbers(column: pa.Array, where: str, decimal: str = ".") -> tuple[pa.Array, np.ndarray]:
    """A column of numbers, and the rows of values that are none (they are null).

    decimal: what stands before the decimals, "." or ",".
    """
    return _by_word(column, where, lambda text: _numbers(_pointed(text, decimal)))


def times(column: pa.Array, where: str, form: str | None = None) -> tuple[pa.Array, np.ndarray]:
    """Numbers and times stay what they are; text is a date (ISO 8601, or `form` as in strptime; UTC
    where no zone is told).

    Text becomes seconds since 1970 as int64 where all are whole, else a timestamp in UTC, to the
    nanosecond. Gives the rows of values that are no time, too (they are null).
    """
    if pa.types.is_temporal(column.type):
        return column, np.zeros(0, np.int64)
    if form:
        return _by_word(column.cast(pa.string()), where, lambda text: _instants(text, form))
    return _by_word(column, where, _times)


def _by_word(
    column: pa.Array, where: str, parse: Callable[[pa.Array], pa.Array]
) -> tuple[pa.Array, np.ndarray]:
    """Text parsed; of a dictionary word by word. Numbers are left as they are."""
    if pa.types.is_dictionary(column.type):
        words, _ = _by_word(column.dictionary, where, parse)
        parsed = words.take(column.indices)
    elif tb.is_number(column.type) and not pa.types.is_boolean(column.type):
        return column, np.zeros(0, np.int64)
    else:
        column = _single(column, where).cast(pa.string())
        parsed = parse(column)
    if parsed.null_count == column.null_count:
        return parsed, np.zeros(0, np.int64)
    lost = pc.and_(pc.is_null(parsed), pc.is_valid(column))
    return parsed, np.flatnonzero(lost.to_numpy(zero_copy_only=False))


def _pointed(text: pa.Array, decimal: str) -> pa.Array:
    """Numbers such as 1.234,5 as 1234.5 where the decimal is a comma; other text as it is."""
    if decimal == ".":
        return text
    is_number = pc.match_substring_regex(text, _COMMA)
    plain = pc.replace_substring(pc.replace_substring(text, ".", ""), ",", ".")
    return pc.if_else(is_number, plain, text)


def _numbers(text: pa.Array) -> pa.Array:
    """Numbers, as int64 where all are whole; null where a text is none."""
    whole = _whole(text)
    return _floats(text) if whole is None else whole


def _whole(text: pa.Array) -> pa.Array | None:
    """int64, exact; None where a text is no whole number or too large for it."""
    try:
        found = text.cast(pa.int64())
    except pa.ArrowInvalid:
        if not _all(pc.match_substring_regex(text, _WHOLE)):
            return None
        try:
            return pc.utf8_ltrim(text, characters="+").cast(pa.int64())
        except pa.ArrowInvalid:
            return None
    hexadecimal = pc.or_(pc.match_substring(text, "x"), pc.match_substring(text, "X"))
    return None if pc.any(hexadecimal).as_py() else found


def _floats(text: pa.Array) -> pa.Array:
    is_number = pc.match_substring_regex(text, _NUMBER)
    text = pc.if_else(is_number, pc.utf8_ltrim(text, characters="+"), pa.scalar(None, text.type))
    whole = _whole(text)
    if whole is not None:
        return whole
    found = text.cast(pa.float64())
    found = pc.if_else(pc.is_finite(found), found, pa.scalar(None, pa.float64()))
    values = found.drop_null().to_numpy()
    is_whole = (values == np.floor(values)).all() and (np.abs(values) < _EXACT).all()
    return found.cast(pa.int64()) if is_whole else found


def _all(mask: pa.Array) -> bool:
    return pc.all(mask).as_py() is not False


def _times(text: pa.Array) -> pa.Array:
    """Numbers where all are numbers, else instants; numbers among dates are seconds."""
    found = _numbers(text)
    if found.null_count == text.null_count:
        return found
    dates = pc.if_else(pc.is_valid(found), pa.scalar(None, text.type), text)
    instants = _instants(dates, None)
    if found.null_count == len(found) or instants.null_count == len(instants):
        return instants if found.null_count == len(found) else found
    if pa.types.is_timestamp(instants.type):
        seconds = np.timedelta64(1, "s") / np.timedelta64(1, instants.type.unit)
        instants = pc.divide(instants.cast(pa.int64()).cast(pa.float64()), seconds)
        found = found.cast(pa.float64())
    elif pa.types.is_floating(found.type):
        instants = instants.cast(pa.float64())
    return pc.coalesce(found, instants)


def _instants(text: pa.Array, form: str | None) -> pa.Array:
    """Dates as int64 seconds where all are whole, else as timestamps; null where a text is none."""
    unit = "us"
    if form is None:
        if pc.any(pc.match_substring_regex(text, r"\.\d{7}")).as_py():
            unit = "ns"
        try:
            ticks = _iso(text, unit)
        except pa.ArrowInvalid:
            ticks = _each_instant(text, None)
            unit = "us"
    else:
        ticks = _each_instant(text, form)
    second = 1_000_000 if unit == "us" else 1_000_000_000
    values = ticks.drop_null().to_numpy()
    if not (values % second).any():
        return pc.divide(ticks, second)
    return ticks.cast(pa.timestamp(unit, "UTC"))


def _iso(text: pa.Array, unit: str) -> pa.Array:
    """Ticks of dates in the usual forms of ISO 8601; the others one by one."""
    usual = pc.match_substring_regex(text, _INSTANT)
    zoned = pc.and_(usual, pc.match_substring_regex(text, r"\d\d:\d\d.*" + _ZONE))
    none = pa.scalar(None, text.type)
    plain = pc.if_else(pc.and_(usual, pc.invert(zoned)), text, none).cast(pa.timestamp(unit))
    found = plain.cast(pa.int64())
    if pc.any(zoned).as_py():
        with_zone = pc.if_else(zoned, text, none).cast(pa.timestamp(unit, "UTC"))
        found = pc.coalesce(found, with_zone.cast(pa.int64()))
    if _all(usual):
        return found
    rest = _each_instant(pc.if_else(usual, none, text), None)
    return pc.coalesce(found, rest if unit == "us" else pc.multiply_checked(rest, 1_000))


def _each_instant(text: pa.Array, form: str | None) -> pa.Array:
    """Microseconds since 1970, word by word."""
    words = text.dictionary_encode()
    found = pa.array([_instant(w, form) for w in words.dictionary.to_pylist()], pa.int64())
    return found.take(words.indices)


def _instant(word: str, form: str | None) -> int | None:
    try:
        found = datetime.strptime(word, form) if form else datetime.fromisoformat(word)
        zoned = found if found.tzinfo else found.replace(tzinfo=UTC)
        return (zoned - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return None


# ---- text and other columns ----------------------------------------------------------------------


def texts(batches: Iterable[pa.RecordBatch], null: Sequence[str] = ()) -> pa.Array:
    """One text a row from one or more columns, a line each; lists of texts are joined by blanks.

    batches: the columns, a part of the rows at a time. null: words that mean nothing.
    """
    return one_text(_lines(batch.columns, null) for batch in batches)


def one_text(parts: Iterable[pa.Array]) -> pa.Array:
    """The parts of a column of text as one array.

    Each part may be let go before the next one is made, so no two copies of a large column stand in
    memory.
    """
    data = bytearray()
    sizes, valid = [], []
    for part in parts:
        sizes.append(pc.fill_null(pc.binary_length(part), 0).to_numpy(zero_copy_only=False))
        valid.append(part.is_valid().to_numpy(zero_copy_only=False))
        data += _bytes_of(part)
    n = sum(map(len, sizes))
    is_large = len(data) >= 2**31 - 1
    ends = np.zeros(n + 1, np.int64 if is_large else np.int32)
    if n:
        np.cumsum(np.concatenate(sizes), out=ends[1:], dtype=ends.dtype)
    mask = np.concatenate(valid) if n else np.ones(0, bool)
    bits = None if mask.all() else pa.py_buffer(np.packbits(mask, bitorder="little").tobytes())
    kind = pa.large_string() if is_large else pa.string()
    return pa.Array.from_buffers(kind, n, [bits, pa.py_buffer(ends), pa.py_buffer(data)])


def _bytes_of(text: pa.Array) -> memoryview:
    """The bytes of all texts, one after another."""
    if text.null_count:
        text = pc.fill_null(text, "")
    _, ends, data = text.buffers()
    if data is None or not len(text):
        return memoryview(b"")
    ends = np.frombuffer(ends, np.int64 if pa.types.is_large_string(text.type) else np.int32)
    start, stop = ends[text.offset], ends[text.offset + len(text)]
    return memoryview(data)[int(start) : int(stop)]


def _lines(columns: Sequence[pa.Array], null: Sequence[str]) -> pa.Array:
    joined, *more = [_texts(without_words(decoded(column), null)) for column in columns]
    for part in more:
        both = pc.binary_join_element_wise(joined, part, "\n")  # null where one is
        joined = pc.coalesce(both, joined, part)
    return joined


def _texts(column: pa.Array) -> pa.Array:
    if tb.is_text(column.type) or pa.types.is_integer(column.type):
        return column.cast(pa.string())
    if is_list(column.type) and tb.is_text(column.type.value_type):
        words = without_words(column.flatten())
        if not words.null_count:
            parents = pc.list_parent_indices(column)
            return without_words(_joined(words, parents, len(column)))
    return pa.array([_text(value) or None for value in column.to_pylist()], pa.string())


def _joined(words: pa.Array, parents: pa.Array, n: int) -> pa.Array:
    """The words of each of n rows with blanks between them."""
    sizes = np.bincount(parents.to_numpy(zero_copy_only=False), minlength=n)
    ends = pa.array(np.append(0, np.cumsum(sizes)), pa.int32())
    return pc.binary_join(pa.ListArray.from_arrays(ends, words.cast(pa.string())), " ")


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(filter(None, map(_text, value)))
    return (_word(value) or "").strip()


def is_words(column: pa.ChunkedArray, typed: bool, decimal: str = ".") -> bool:
    """Whether a column of text stays text, as far as that is seen at a glance."""
    if not tb.is_text(column.type):
        return False
    first = tb.one_chunk(column.slice(0, 1_000))
    return typed or _kept_numbers(_pointed(first, decimal)) is None


def kept(batches: Iterable[pa.RecordBatch], null: Sequence[str] | None) -> pa.Array:
    """A column of text as it is kept, a part of the rows at a time. null: None where words that
    mean nothing are null already.
    """
    if null is None:
        return one_text(batch.column(0) for batch in batches)
    return one_text(without_words(batch.column(0), null) for batch in batches)


def plain(column: pa.Array, typed: bool, where: str, decimal: str = ".") -> pa.Array:
    """A column as it is kept: untyped text that is all numbers becomes numbers, codes such as 007
    and numbers that would lose digits stay text.
    """
    kind = column.type
    if pa.types.is_struct(kind) or (is_list(kind) and is_nested(kind.value_type)):
        fields = fields_of(kind)
        raise ParameterError(
            f"{where}: nested records are no column; name a field inside after a dot, one of "
            f"{fields}",
            asked=kind,
            there=fields,
        )
    if typed or column.null_count == len(column):
        return column
    words = column.dictionary if pa.types.is_dictionary(kind) else column
    parsed = _kept_numbers(_pointed(words, decimal)) if tb.is_text(words.type) else None
    if parsed is None:
        return decoded(column)
    return parsed.take(column.indices) if pa.types.is_dictionary(kind) else parsed


def fields_of(kind: pa.DataType) -> list[str]:
    """The names of the fields of records, also of those in lists."""
    while is_list(kind):
        kind = kind.value_type
    return [field.name for field in kind] if pa.types.is_struct(kind) else []


def no_numbers(column: pa.Array, decimal: str = ".") -> np.ndarray:
    """The rows of a column of text that hold no number, where most look like one, whatever the
    decimal sign. None of them where the column holds codes such as 007.
    """
    none = np.zeros(0, np.int64)
    if not _is_mostly_numbers(column.slice(0, 1_000)) or not _is_mostly_numbers(column):
        return none
    if pc.any(pc.match_substring_regex(column, _CODE)).as_py():
        return none
    is_number = pc.match_substring_regex(_pointed(column, decimal), _NUMBER)
    return np.flatnonzero(pc.fill_null(pc.invert(is_number), False).to_numpy(zero_copy_only=False))


def _is_mostly_numbers(text: pa.Array) -> bool:
    alike = pc.or_(pc.match_substring_regex(text, _NUMBER), pc.match_substring_regex(text, _COMMA))
    return 2 * (pc.sum(alike).as_py() or 0) > len(text) - text.null_count


def _kept_numbers(text: pa.Array) -> pa.Array | None:
    """Numbers that say all that the text says, or None."""
    is_number = _all(pc.match_substring_regex(text, _NUMBER))
    if not is_number or pc.any(pc.match_substring_regex(text, _CODE)).as_py():
        return None
    found = _numbers(text)
    if found.null_count != text.null_count:
        return None
    if pa.types.is_floating(found.type):
        large = pc.greater_equal(pc.abs(found), float(_EXACT))
        digits = pc.match_substring_regex(text, r"^[-+]?\d{16}")
        if pc.any(pc.or_(large, digits)).as_py():
            return None
    return found


def first_of_each(table: pa.Table) -> np.ndarray:
    """The rows [m] whose values stand for the first time, in order.

    Column by column, rows that no other row may be equal to are left alone.
    """
    pa.default_memory_pool().release_unused()  # what parsing took, before large arrays are made
    rows = np.arange(table.num_rows, dtype=np.int32)  # those that may repeat another row
    code = np.zeros(table.num_rows, np.int64)
    columns = sorted(table.columns, key=_cost)
    for at, column in enumerate(columns):
        if not len(rows):
            break
        whole = len(rows) == table.num_rows
        part = _codes(tb.one_chunk(column if whole else column.take(pa.array(rows))))
        size = int(part.max(initial=0)) + 1
        if int(code.max(initial=0)) >= 2**62 // size:
            code = np.unique(code, return_inverse=True)[1]
        code *= size
        code += part
        if _is_coded(column) and at + 1 < len(columns) and _is_coded(columns[at + 1]):
            continue  # another one is as cheap, and parts more rows
        for factor in _FACTORS:  # the second finds most of what shares a slot by chance
            again = _may_stand_again(code, factor)
            rows, code = rows[again], code[again]
    keep = np.ones(table.num_rows, bool)
    keep[rows] = False
    keep[rows[np.unique(code, return_index=True)[1]]] = True
    return np.flatnonzero(keep)


def _is_coded(column: pa.ChunkedArray) -> bool:
    return pa.types.is_dictionary(column.type)


def _cost(column: pa.ChunkedArray) -> int:
    """How dear it is to compare the values of a column; the least first."""
    kind = column.type
    if _is_coded(column):
        return 0
    if pa.types.is_primitive(kind):
        return 1
    return column.nbytes // max(len(column), 1) if tb.is_text(kind) else 10_000


def _may_stand_again(code: np.ndarray, factor: int) -> np.ndarray:
    """True for each number that stands more than once, and for a few others.

    Numbers fall into slots by a hash. `last` has the place of the last one in each slot, counted
    from 1 within a stretch of rows, which 16 bits hold.
    """
    bits = max(len(code).bit_length() + 1, 8)
    slot = np.empty(len(code), np.int32 if bits < 32 else np.int64)
    last, shared = np.zeros(1 << bits, np.uint16), np.zeros(1 << bits, bool)
    place = np.arange(1, _STRETCH + 1, dtype=np.uint16)
    for start in range(0, len(code), _STRETCH):
        part = code[start : start + _STRETCH].astype(np.uint64)
        part *= np.uint64(factor)
        part >>= np.uint64(64 - bits)
        own = slot[start : start + _STRETCH]
        own[:] = part
        here = place[: len(own)]
        shared[own[last[own] != 0]] = True  # taken by a stretch before
        last[own] = here
        shared[own[last[own] != here]] = True  # by another row of this one
    return shared[slot]


def _codes(column: pa.Array) -> np.ndarray:
    """A number for each value, the same for equal ones."""
    if is_nested(column.type) or pa.types.is_null(column.type):
        known: dict[str, int] = {}
        return np.array(
            [known.setdefault(repr(v), len(known)) for v in column.to_pylist()], np.int64
        )
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    words = column.dictionary
    if len(pc.unique(words)) < len(words):  # a word may stand there more than once
        column = recoded(column, words)
        words = column.dictionary
    indices = pc.fill_null(column.indices, len(words))
    return indices.to_numpy(zero_copy_only=False)
