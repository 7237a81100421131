"""Columns that name nodes: ids as words, numbers, lists, JSON, in longer text; unique titles;
one-hot vectors; positions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hinaug.graph import arrow as tb
from hinaug.split.audit.view import View

WORDS = r"[^\w\-]+"
PARTS = r"[|,;\t\n\[\]{}\"'()<>]+"
PIECES = r"[\W_\-]+"
PROSE = "in longer text the ids of"
LONG = 300  # mean length of a text beyond which only words are looked up
BEFORE = (
    "src|dst|last|next|prev|previous|first|test|valid|held|target|fav|favou?rite|top|best|latest|recent|positive|history|"
    "bought|liked|seen|viewed|rated"
)
AFTER = "id|ids|idx|index|no|key|code|history|list|seq|sequence"


def numbered(ids: pa.Array) -> bool:
    """Whether ids are short numbers, which other numbers may equal by accident."""
    some = ids.take(
        pa.array(np.linspace(0, len(ids) - 1, min(len(ids), 200)).astype(np.int64))
    ).to_pylist()
    return bool(some and np.mean([bool(re.fullmatch(r"\d{1,6}", i)) for i in some]) >= 0.9)


def coded(ids: pa.Array) -> bool:
    """Whether ids look like codes (letters or long numbers with digits), not like words of a
    language.
    """
    some = ids.take(
        pa.array(np.linspace(0, len(ids) - 1, min(len(ids), 200)).astype(np.int64))
    ).to_pylist()
    return bool(some and np.mean([bool(re.search(r"\d", i)) for i in some]) >= 0.9)


def says_so(name: str, end: str) -> bool:
    """Whether a column is called after a node type, such as item, item_id, last_item, asin."""
    forms = rf"(?:(?:{BEFORE})_?)*{re.escape(end.lower())}s?(?:_?(?:{AFTER}))*"
    return re.fullmatch(forms, name.lower()) is not None


def ids_in(view: View, type: Any, name: str, end: str) -> Iterator[tuple[sp.csr_array, bool, str]]:
    """(rows x nodes of `end` that each value names, whether that may be by accident, how they are
    named).
    """
    ids = view.source.nodes[end]["id"].chunk(0)
    values = tb.one_chunk(view.observed.table(type)[name])
    if not len(ids) or not len(values) or values.null_count == len(values):
        return
    kind = values.type
    if pa.types.is_dictionary(kind):
        values, kind = values.dictionary_decode(), kind.value_type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        try:
            values = values.cast(pa.string())
            kind = values.type
        except pa.ArrowInvalid:
            return
    clear = says_so(name, end)
    if tb.is_text(kind):
        yield from _in_text(view, values, ids, end, clear)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        row, flat = pc.list_parent_indices(values).to_numpy(), pc.list_flatten(values)
        if pa.types.is_list(flat.type) or pa.types.is_large_list(flat.type):
            row, flat = row[pc.list_parent_indices(flat).to_numpy()], pc.list_flatten(flat)
        if pa.types.is_dictionary(flat.type):
            flat = flat.dictionary_decode()
        if tb.is_text(flat.type):
            for matrix, weak, how in _in_text(view, flat, ids, end, clear):
                yield _gathered(matrix, row, len(values)), weak, how
        elif pa.types.is_integer(flat.type) or pa.types.is_floating(flat.type):
            yield from _in_numbers(row, flat, len(values), ids, clear, positions=True)
    elif tb.is_vector(kind):
        yield from _in_vectors(values, ids, clear)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        yield from _in_numbers(
            np.arange(len(values)), values, len(values), ids, clear, positions=clear
        )


def _gathered(matrix: sp.csr_array, row: np.ndarray, n: int) -> sp.csr_array:
    pool = sp.csr_array(
        (np.ones(len(row), np.float32), (row, np.arange(len(row)))), shape=(n, len(row))
    )
    return pool @ matrix


def _matrix(row: np.ndarray, found: np.ndarray, shape: tuple[int, int]) -> sp.csr_array | None:
    at = found >= 0
    if not at.any():
        return None
    matrix = sp.csr_array((np.ones(int(at.sum()), np.float32), (row[at], found[at])), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def _in_text(view: View, values: pa.Array, ids: pa.Array, end: str, clear: bool) -> Iterator:
    coding = values.dictionary_encode()
    words, codes = coding.dictionary, coding.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    n = len(words)
    back = sp.csr_array(
        (
            np.ones(int((codes >= 0).sum()), np.float32),
            (np.flatnonzero(codes >= 0), codes[codes >= 0]),
        ),
        shape=(len(values), n),
    )
    lower_ids, lower = pc.utf8_lower(ids), pc.utf8_lower(words)
    if len(pc.unique(lower_ids)) < len(ids):
        lower_ids, lower = ids, words
    length = float(pc.mean(pc.utf8_length(words)).as_py() or 0)
    odd = bool(pc.any(pc.match_substring_regex(lower_ids, r"[^\w\-]")).as_py())
    rows, found, tokens = [np.arange(n)], [tb.lookup(lower_ids, lower)], 0
    hits = 0
    for pattern in (
        WORDS,
        *((PARTS,) if odd or length < LONG else ()),
        *((PIECES,) if length < LONG else ()),
    ):
        text = (
            pc.replace_substring_regex(lower, r"(\d)([^\W\d_])", r"\1 \2")
            if pattern == PIECES
            else lower
        )
        lists = pc.split_pattern_regex(text, pattern)
        row, flat = (
            pc.list_parent_indices(lists).to_numpy(),
            pc.utf8_trim_whitespace(pc.list_flatten(lists)),
        )
        rows.append(row)
        found.append(tb.lookup(lower_ids, flat))
        filled = int(pc.sum(pc.greater(pc.utf8_length(flat), 0)).as_py() or 0)
        if not tokens or (found[-1] >= 0).sum() / max(filled, 1) > hits / tokens:
            tokens, hits = max(filled, 1), int((found[-1] >= 0).sum())
    listed = max(hits / max(tokens, 1), (found[0] >= 0).mean() if n else 0) >= 0.8
    matrix = _matrix(np.concatenate(rows), np.concatenate(found), (n, len(ids)))
    if matrix is not None:
        prose = coded(ids) and not numbered(ids) and hits < 0.1 * max(tokens, 1)
        weak = not (clear or coded(ids) or listed) or (numbered(ids) and not clear)
        yield back @ matrix, (weak or prose) and not clear, PROSE if prose and not clear else "ids"
    for title, names in _names(view, end):
        rows, found = [np.arange(n)], [tb.lookup(names, lower)]
        if length < LONG:
            lists = pc.split_pattern_regex(lower, PARTS)
            rows.append(pc.list_parent_indices(lists).to_numpy())
            found.append(tb.lookup(names, pc.utf8_trim_whitespace(pc.list_flatten(lists))))
        matrix = _matrix(np.concatenate(rows), np.concatenate(found), (n, len(ids)))
        if matrix is not None:  # a title may be a word like others: "M" is one
            told = np.unique(np.concatenate(rows)[np.concatenate(found) >= 0])
            listed = len(told) >= 3 and len(told) >= 0.8 * n
            yield back @ matrix, not (clear or listed), f"the {title} of"


def _names(view: View, end: str) -> list[tuple[str, pa.Array]]:
    """Text columns of an end that tell its nodes apart, such as titles; in small letters."""
    table, out = view.source.nodes[end], []
    for field in table.schema:
        if field.name == "id" or not tb.is_text(field.type):
            continue
        words = pc.utf8_lower(tb.one_chunk(table[field.name]))
        there = words.drop_null()
        if (
            len(there) < max(3, 0.5 * len(words))
            or float(pc.mean(pc.utf8_length(there)).as_py()) > 200
        ):
            continue
        counts = pc.value_counts(there)
        single = counts.filter(pc.equal(counts.field("counts"), 1)).field("values")
        if len(single) >= 0.9 * len(there):
            keep = pc.is_in(words, value_set=single)
            out.append((field.name, pc.if_else(keep, words, pa.scalar("\x00"))))
    return out


def _in_numbers(
    row: np.ndarray, numbers: pa.Array, n: int, ids: pa.Array, clear: bool, positions: bool
) -> Iterator[tuple[sp.csr_array, bool, str]]:
    """Integers as ids; as positions, counted from 0 or 1, where the column is a list or is called
    after the nodes.
    """
    flat = numbers.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    whole = np.isfinite(flat) & (flat == np.round(flat)) & (np.abs(flat) < 2**53)
    if not whole.any():
        return
    exact = (
        numbers
        if pa.types.is_integer(numbers.type)
        else pa.array(np.where(whole, flat, 0).astype(np.int64))
    )
    found = np.where(whole, tb.lookup(ids, exact.cast(pa.string())), -1)
    matrix = _matrix(row, found, (n, len(ids)))
    if matrix is not None:
        sure = (found[whole] >= 0).mean() >= 0.95 and (clear or not numbered(ids))
        yield matrix, not sure, "ids"
    if positions:
        for start in (0, 1):
            at = np.where(
                whole & (flat >= start) & (flat < len(ids) + start), flat - start, -1
            ).astype(np.int64)
            matrix = _matrix(row, at, (n, len(ids)))
            if matrix is not None and (at[whole] >= 0).mean() >= 0.95:
                yield matrix, True, f"positions (from {start})"


def _in_vectors(
    values: pa.Array, ids: pa.Array, clear: bool
) -> Iterator[tuple[sp.csr_array, bool, str]]:
    width = values.type.list_size
    valid = ~values.is_null().to_numpy(zero_copy_only=False)
    flat = np.zeros((len(values), width), np.float32)
    flat[valid] = values.drop_null().flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    marks = np.isin(flat, (0, 1)).all() and (flat != 0).mean() < 0.9
    if width == len(ids) and (marks or (flat != 0).mean() < 0.5):
        yield (
            sp.csr_array(flat != 0, dtype=np.float32),
            True,
            "a vector with one place for each of the",
        )
    if (flat == np.round(flat)).all() and not (np.abs(flat) <= 1).all():
        row = np.repeat(np.arange(len(values)), width)
        row, numbers = (
            row[np.repeat(valid, width)],
            pa.array(flat[valid].reshape(-1).astype(np.float64)),
        )
        yield from _in_numbers(row, numbers, len(values), ids, clear, positions=True)
