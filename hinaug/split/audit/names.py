"""Columns that name users or items: ids, titles, positions, vectors, codes that stand for one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import permutations, product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hinaug.graph import arrow as tb
from hinaug.graph.schema import Type
from hinaug.split.audit.pairs import Verdict, judge
from hinaug.split.audit.texts import word_codes, word_runs
from hinaug.split.audit.view import Found, View, binary, title

CUTS = (r"[|,;\t\n\[\]{}\"'()<>]+", r"[^\w\-]+", r"[\W_]+")  # where names end: wide, then narrow
SAMPLE = 2_000  # texts of a column that are read first; where none names a node, the rest is not
SHORT = 6  # digits; ids that are numbers of no more may equal any number by accident
MOST_WORDS = 5  # of a title that is looked for inside a text
PROSE = 0.3  # a text of which a smaller share are names is no list of names
SAME_TITLE = 3  # nodes, on average, that may share a title which is still a name
STANDS_FOR = 0.5  # of the rows of a value have one user or item in common: it stands for that one
VARIED = 0.9  # distinct values a row: so many that no value stands for anything
FILLED = 0.9  # of the places of a vector that has a mark for each node
POSITIONS = 0.9  # of the numbers of a column lie within the table: they may be positions


@dataclass
class Named:
    """rows: which nodes of an end each row names. weak: it may be by accident."""

    rows: sp.csr_array
    weak: bool
    how: str
    guessed: bool = False


def mentions(view: View) -> Found:
    """Columns of any table which, with the table's edges, name pairs."""
    types: list[Type] = [*view.observed.nodes, *view.observed.edges]
    for type in types:
        is_inner = isinstance(type, str) and type not in (view.a, view.b)
        columns = ["id"] * is_inner + [f.name for f in view.columns(type)]
        for name in columns:
            if view.budget.over:
                return
            where, remedy = f"{title(type)}.{name}", _without(type, name)
            yield from _best(view, where, remedy, _of_column(view, type, name))
        for name, other in permutations(columns if type not in (view.a, view.b) else (), 2):
            where = f"{title(type)}.{name} and {title(type)}.{other}"
            remedy = _without(type, name, other)
            users, items = names_in(view, type, name, view.a), names_in(view, type, other, view.b)
            yield from _best(view, where, remedy, _verdicts(view, product(users, items)))


def _without(type: Type, *names: str) -> str:
    """How columns are taken out of a graph; ids are no column that can be dropped."""
    if "id" in names:
        return f"give the nodes of {type!r} other ids, or drop that type"
    listed = " and ".join(map(repr, names))
    return f"drop the column{'s' * (len(names) > 1)} {listed} of {type!r}"


def _best(view: View, where: str, remedy: str, verdicts: Iterator[Verdict]) -> Found:
    """A certain verdict before others, then the one with most pairs."""
    best = max(verdicts, key=lambda v: (v.certain, len(v.codes)), default=None)
    if best is not None:
        kind = best.kind or "mention"
        yield best.certain, view.finding(kind, where, best.why, remedy, best.codes)


def _of_column(view: View, type: Type, name: str) -> Iterator[Verdict]:
    """What a column says of one end, beside what it says, or what the row touches, of the other."""
    users, items = names_in(view, type, name, view.a), names_in(view, type, name, view.b)
    pairs = [*product(users, items)]
    pairs += product(users, _owners(view, type, view.b) if users else ())
    pairs += product(_owners(view, type, view.a) if items else (), items)
    yield from _verdicts(view, pairs)


def _verdicts(view: View, pairs: Iterable[tuple[Named, Named]]) -> Iterator[Verdict]:
    for left, right in pairs:
        weak, guessed = left.weak or right.weak, left.guessed or right.guessed
        verdict = judge(view, left.rows, right.rows, weak, guessed)
        if verdict is not None:
            how = " and ".join(n.how for n in (left, right) if n.how)
            verdict.why = f"holds {how}, and so {verdict.why}"
            yield verdict


def _owners(view: View, type: Type, end: str) -> list[Named]:
    """The users or items that each row of a table belongs to."""
    if isinstance(type, tuple):
        ends = zip((type[0], type[2]), view.observed.links(type), strict=True)
        every = [(at, owner) for node, at in ends for owner in _owners(view, node, end)]
        return [Named(owner.rows[at], False, "") for at, owner in every]
    if type == end:
        return [Named(view.itself(end), False, "")]
    touch = view.touch(type, end)
    return [Named(touch, False, "")] if touch.nnz and type not in (view.a, view.b) else []


# ---- what a column names -------------------------------------------------------------------------


def names_in(view: View, type: Type, name: str, end: str) -> list[Named]:
    """The nodes of `end` that each row names, in each way in which the column can be read."""
    key = ("names", type, name)
    if key not in view.cache:
        row = _same_rows(view, type, name)
        if row is None:
            found = _read(view, type, name, tb.one_chunk(view.observed.table(type)[name]))
        else:  # what both graphs take over from the source is read once
            if key not in view.shared:
                column = tb.one_chunk(view.source.table(type)[name])
                view.shared[key] = _read(view, type, name, column)
            found = {
                e: [replace(n, rows=n.rows[row]) for n in v] for e, v in view.shared[key].items()
            }
        for other in (view.a, view.b):
            found[other] += _by_value(view, type, name, other)
        view.cache[key] = {e: [n for n in named if n.rows.nnz] for e, named in found.items()}
    return view.cache[key][end]


def _same_rows(view: View, type: Type, name: str) -> np.ndarray | None:
    """The row of the source of each row, where the column is the same; else None."""
    if not isinstance(type, str) or type not in view.source.nodes:
        return None
    row, table = view.move(type), view.source.nodes[type]
    if name not in table.column_names or (row < 0).any():
        return None
    before = tb.one_chunk(table[name]).take(pa.array(row))
    return row if before.equals(tb.one_chunk(view.observed.nodes[type][name])) else None


def _read(view: View, type: Type, name: str, column: pa.Array) -> dict[str, list[Named]]:
    if pa.types.is_dictionary(column.type) or pa.types.is_binary(column.type):
        column = column.cast(pa.string(), safe=False)
    words = _words(view, column)
    return {e: list(_names_in(view, type, name, column, words, e)) for e in (view.a, view.b)}


def _names_in(
    view: View, type: Type, name: str, column: pa.Array, words: _Words | None, end: str
) -> Iterator[Named]:
    if column.null_count == len(column) or not view.source.n(end):
        return
    if words is not None:
        yield from _by_id(view, words, len(column), end, name)
        yield from _by_title(view, words, len(column), end) if type != end else ()
    if tb.is_text(column.type) and type != end:
        yield from _in_prose(view, column, end)
    if tb.is_vector(column.type) and type != end:
        yield from _in_vectors(view, column, end)


@dataclass
class _Words:
    """Words of a column, the row of each, and how many words a row has on average."""

    row: np.ndarray
    word: pa.Array
    per_row: float


def _words(view: View, column: pa.Array) -> _Words | None:
    """All that may be names in a column; None where a sample of its texts names nothing."""
    if pa.types.is_nested(column.type):
        size = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        row = np.repeat(np.arange(len(column)), size)
        return _Words(row, _lower(column.flatten()), 1.0)
    if not tb.is_text(column.type):
        return _Words(np.arange(len(column)), _lower(column), 1.0)
    if len(column) > SAMPLE:
        rows = np.random.default_rng(0).choice(len(column), SAMPLE, replace=False)
        some = _split(column.take(pa.array(rows)))
        lists = [list_ for end in (view.a, view.b) for list_ in _name_lists(view, end)]
        if not any((tb.lookup(list_, some.word) >= 0).any() for list_ in lists):
            return None
    return _split(column)


def _split(texts: pa.Array) -> _Words:
    """Texts whole and cut at marks, at spaces and at all that is no letter or digit."""
    lower = pc.utf8_lower(pc.fill_null(texts, ""))
    rows, words = [np.arange(len(lower))], [pc.utf8_trim_whitespace(lower)]
    for cut in CUTS:
        split = pc.split_pattern_regex(lower, cut)
        size = pc.list_value_length(split).to_numpy(zero_copy_only=False)
        rows.append(np.repeat(np.arange(len(lower)), size))
        words.append(pc.utf8_trim_whitespace(split.flatten()))
    return _Words(
        np.concatenate(rows), pa.concat_arrays(words), len(words[-1]) / max(len(lower), 1)
    )


def _lower(values: pa.Array) -> pa.Array:
    """Whole numbers and texts as lower-case text, all else as null."""
    if tb.is_text(values.type):
        return pc.utf8_lower(values)
    if not tb.is_number(values.type) or pa.types.is_boolean(values.type):
        return pa.nulls(len(values), pa.string())
    numbers = pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    whole = np.isfinite(numbers) & (numbers == np.round(numbers)) & (np.abs(numbers) < 2**53)
    return pa.array(np.where(whole, numbers, 0).astype(np.int64), mask=~whole).cast(pa.string())


def _ids(view: View, end: str) -> pa.Array:
    return pc.utf8_lower(tb.one_chunk(view.source.nodes[end]["id"]))


def _titles(view: View, end: str) -> list[tuple[str, pa.DictionaryArray]]:
    """The text columns of an end whose values tell its nodes apart, as codes."""
    key = ("titles", end)
    if key not in view.shared:
        table = view.source.nodes[end]
        texts = [f.name for f in table.schema if f.name != "id" and tb.is_text(f.type)]
        lower = [(t, pc.utf8_trim_whitespace(pc.utf8_lower(tb.one_chunk(table[t])))) for t in texts]
        coded = [(name, column.dictionary_encode()) for name, column in lower]
        telling = [(n, c) for n, c in coded if SAME_TITLE * len(c.dictionary) >= len(c)]
        view.shared[key] = telling
    return view.shared[key]


def _name_lists(view: View, end: str) -> list[pa.Array]:
    return [_ids(view, end), *(coded.dictionary for _, coded in _titles(view, end))]


def _by_id(view: View, words: _Words, n_rows: int, end: str, name: str) -> Iterator[Named]:
    ids = _ids(view, end)
    at = tb.lookup(ids, words.word)
    there = np.flatnonzero(at >= 0)
    numbered = bool(pc.all(pc.match_substring_regex(ids, rf"^\d{{1,{SHORT}}}$")).as_py())
    if len(there):
        rows = binary(words.row[there], at[there], (n_rows, len(ids)))
        prose = rows.nnz < PROSE * words.per_row * np.count_nonzero(np.diff(rows.indptr))
        weak = prose or (numbered and end.lower() not in name.lower())
        yield Named(rows, bool(weak), f"ids of {end!r}")
    if words.per_row == 1:
        digits = pc.if_else(pc.match_substring_regex(words.word, r"^\d{1,9}$"), words.word, None)
        numbers = digits.cast(pa.float64()).to_numpy(zero_copy_only=False)
        there = np.flatnonzero(numbers < len(ids))
        if len(there) > POSITIONS * (len(words.word) - words.word.null_count):
            rows = binary(words.row[there], numbers[there].astype(int), (n_rows, len(ids)))
            yield Named(rows, True, f"positions of {end!r}")


def _by_title(view: View, words: _Words, n_rows: int, end: str) -> Iterator[Named]:
    for name, titles in _titles(view, end):
        at = tb.lookup(titles.dictionary, words.word)
        there = np.flatnonzero(at >= 0)
        of = pc.fill_null(titles.indices, -1).to_numpy(zero_copy_only=False)
        known, n_titles = np.flatnonzero(of >= 0), len(titles.dictionary)
        rows = binary(words.row[there], at[there], (n_rows, n_titles))
        nodes = binary(of[known], known, (n_titles, len(of)))
        yield Named((rows @ nodes).tocsr(), True, f"the {name!r} of {end!r}")


def _in_prose(view: View, column: pa.Array, end: str) -> Iterator[Named]:
    """Titles of several words that stand inside longer texts."""
    for name, titles in _titles(view, end):
        some = pc.fill_null(column.slice(0, SAMPLE), "")
        if len(column) > SAMPLE and not _runs_of_titles(titles.dictionary, some).nnz:
            continue
        rows = _runs_of_titles(titles.dictionary, pc.fill_null(column, ""))
        of = pc.fill_null(titles.indices, -1).to_numpy(zero_copy_only=False)
        known = np.flatnonzero(of >= 0)
        nodes = binary(of[known], known, (len(titles.dictionary), len(of)))
        yield Named((rows @ nodes).tocsr(), True, f"the {name!r} of {end!r}")


def _runs_of_titles(titles: pa.Array, texts: pa.Array) -> sp.csr_array:
    """Which texts hold which titles, as runs of at least two words [texts, titles]."""
    word, size = word_codes(pa.concat_arrays([titles, texts]))
    n, text = len(titles), np.repeat(np.arange(len(size)), size)
    start, found = np.cumsum(size) - size, []
    for length in range(2, MOST_WORDS + 1):
        title = np.flatnonzero(size[:n] == length)
        run = word_runs(word, length) if len(title) else np.zeros(0, np.uint64)
        whole = text[: len(run)] == text[length - 1 :] if len(run) else text[:0] > 0
        here = np.flatnonzero(whole & (text[: len(run)] >= n))
        if not len(here):
            continue
        there, first = np.unique(run[start[title]], return_index=True)
        at = np.minimum(np.searchsorted(there, run[here]), len(there) - 1)
        hit = there[at] == run[here]
        found.append((text[here[hit]] - n, title[first[at[hit]]]))
    none = np.zeros(0, np.int64)
    row, column = (np.concatenate([none, *(f[k] for f in found)]) for k in (0, 1))
    return binary(row, column, (len(texts), n))


def _in_vectors(view: View, column: pa.Array, end: str) -> Iterator[Named]:
    """Vectors with a place for each node, and vectors that equal that of a node."""
    width, n, n_rows = column.type.list_size, view.source.n(end), len(column)
    rows, flat = _vectors(column)
    if width == n and (flat != 0).mean() < FILLED:
        row, place = np.nonzero(flat)
        yield Named(binary(rows[row], place, (n_rows, n)), True, f"a place for each {end!r}")
    table = view.source.nodes[end]
    for field in table.schema:
        if tb.is_vector(field.type) and field.type.list_size == width:
            owners, other = _vectors(tb.one_chunk(table[field.name]))
            _, key = np.unique(np.concatenate([flat, other]), axis=0, return_inverse=True)
            n_keys = int(key.max(initial=0)) + 1
            mine = binary(rows, key[: len(flat)], (n_rows, n_keys))
            theirs = binary(key[len(flat) :], owners, (n_keys, n))
            yield Named((mine @ theirs).tocsr(), True, f"the {field.name!r} of {end!r}")


def _vectors(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The rows that have a vector, and the vectors [rows, width]."""
    rows = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    flat = column.flatten().to_numpy(zero_copy_only=False)
    return rows, flat.reshape(-1, column.type.list_size)


def _by_value(view: View, type: Type, name: str, end: str) -> Iterator[Named]:
    """A value stands for the one user or item that most of its rows have in common in train."""
    column = tb.one_chunk(view.observed.table(type)[name])
    if isinstance(type, tuple) or type == end or pa.types.is_nested(column.type):
        return
    some = column.slice(0, SAMPLE)
    if len(column) > SAMPLE and len(some.unique()) > VARIED * len(some):
        return
    coded = column.dictionary_encode()
    n_values, n_rows = len(coded.dictionary), len(column)
    if not 2 <= n_values <= VARIED * n_rows:
        return
    is_end = type in (view.a, view.b)
    if is_end:
        touch = view.itself(type) @ (view.x if type == view.a else view.x.T.tocsr())
    else:
        touch = view.touch(type, end)
    code = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)
    known = np.flatnonzero(code >= 0)
    value = binary(code[known], known, (n_values, n_rows))
    share = (value @ touch).tocsr()
    best = np.asarray(share.argmax(axis=1)).ravel()
    most = np.asarray(share.max(axis=1).todense()).ravel()
    with_touch = value @ (np.diff(touch.tocsr().indptr) > 0)
    stands = (most > STANDS_FOR * with_touch) & (most >= 2)
    rows = known[stands[code[known]]]
    named = binary(rows, best[code[rows]], (n_rows, view.source.n(end)))
    yield Named(named, True, f"codes that stand for {end!r}", guessed=True)
