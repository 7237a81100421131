"""The target's rows as seen from nodes: which belong to a node, what each row says and meets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.graph import arrow as tb
from hinaug.graph.evidence import times_of, touching
from hinaug.graph.pairs import PairIndex
from hinaug.graph.schema import Type
from hinaug.split.audit.moments import moments
from hinaug.split.audit.pairs import witnessed
from hinaug.split.audit.view import OWN, View

MOST_NODES = 2_000  # nodes of a type that are looked at, drawn by chance; with all of their rows
MOST_NUMBERS = 4  # of a text that are read
SAMPLE = 500  # texts that show whether the texts of a column repeat
NO_NUMBER = r"[^0-9.\s]+"  # what stands between the numbers of a text
MOST_MARKS = 64  # nodes of a type, such as tags, that count as a vector of marks
DAY = 86_400.0  # seconds, in which times are counted


@dataclass
class Rows:
    """The target's rows in the source, as seen from the nodes of one type.

    node: the node of each row. row: its number in the table. n: how many nodes there are; rows of
    more than MOST_NODES of them are left out.
    apart: whether each row belongs to one node only, so that the noise of nodes is independent.
    side: 0 or 1 where the nodes are the users or the items themselves, else -1.
    """

    node: np.ndarray
    row: np.ndarray
    n: int
    apart: bool
    side: int = -1

    def __post_init__(self) -> None:
        if self.n > MOST_NODES:
            chosen = self.asked[self.node]
            self.node, self.row = self.node[chosen], self.row[chosen]

    @cached_property
    def asked(self) -> np.ndarray:
        """Which nodes are looked at."""
        return np.random.default_rng(0).permutation(self.n) < MOST_NODES


def parts(view: View) -> dict[str, np.ndarray]:
    """Which rows of the source's target lie in the graph, are held out, or both."""
    if "parts" not in view.cache:
        ends = view.source.links(view.target)
        out = {"graph": view.inside.contains(*ends), "held": view.held.contains(*ends)}
        out["source"] = np.ones(len(ends[0]), bool)
        out["half"] = out["graph"] & (np.random.default_rng(0).random(len(ends[0])) < 0.5)
        if view.name == "train":
            both = view.split.train_valid.observed().links(view.target)
            nodes = view.split.train_valid.nodes
            same = all(len(nodes[t]["id"]) == view.source.n(t) for t in (view.a, view.b))
            both = both if same else (both[0][:0], both[1][:0])
            pairs = PairIndex.from_positions(*both, view.shape)
            out["train_valid"] = pairs.contains(*ends)
        view.cache["parts"] = out
    return view.cache["parts"]


def rows_of(view: View, type: str) -> list[Rows]:
    """The rows that belong to the nodes of a type: as source, as target, or over its edges."""
    key = ("rows", type)
    if key not in view.shared:
        view.shared[key] = list(_rows_of(view, type))
    return view.shared[key]


def _rows_of(view: View, type: str) -> Iterator[Rows]:
    ends = view.source.links(view.target)
    every = np.arange(len(ends[0]))
    if type not in (view.a, view.b) and (witnessed(view, type) >= 0).mean() > 0.5:
        return  # nodes of one pair each, such as reviews, have no counts
    for side, end in enumerate((view.a, view.b)):
        if type == end:
            yield Rows(ends[side], every, view.source.n(type), True, side)
        elif type not in (view.a, view.b) and type in view.source.nodes:
            touch = touching(view.source, end, type)
            degree = np.diff(touch.indptr)
            row = np.repeat(every, degree[ends[side]])
            if 0 < len(row) <= 10 * len(every):
                start = touch.indptr[ends[side][row]]
                first = np.cumsum(degree[ends[side]]) - degree[ends[side]]
                node = touch.indices[start + np.arange(len(row)) - first[row]]
                yield Rows(node, row, view.source.n(type), bool(degree.max() <= 1))


def owners(view: View, type: Type) -> list[tuple[str, np.ndarray]]:
    """The nodes (type, position in the source) to which each row of a table belongs."""
    if isinstance(type, str):
        if type in view.source.nodes and rows_of(view, type):
            return [(type, view.move(type))]
        return [(end, at) for end in (view.a, view.b) if (at := _only(view, type, end)) is not None]
    return [
        (t, p)
        for t, p in zip((type[0], type[2]), view.positions(type), strict=True)
        if t in (view.a, view.b)
    ]


def _only(view: View, type: str, end: str) -> np.ndarray | None:
    """The one user or item that each node of a type touches; None where they touch several."""
    touch = view.touch(type, end)
    degree = np.diff(touch.indptr)
    if not touch.nnz or degree.max() > 1:
        return None
    at = np.full(len(degree), -1)
    at[degree == 1] = touch.indices
    return at


def numbers_of_rows(view: View) -> dict[str, np.ndarray]:
    """The numeric columns of the target in the source that are known in every row."""
    if "numbers" not in view.shared:
        table = view.source.table(view.target)
        fields = [f for f in table.schema if f.name not in ("src", "dst") and numeric(f.type)]
        values = {f.name: times_of(view.source, view.target, f.name) for f in fields}
        view.shared["numbers"] = {n: v for n, v in values.items() if np.isfinite(v).all()}
    return view.shared["numbers"]


def times_of_rows(view: View) -> dict[str, np.ndarray]:
    """The columns among these that say when a row came about."""
    return {n: v for n, v in numbers_of_rows(view).items() if n in moments(view, view.target)}


def order_of_rows(view: View) -> np.ndarray:
    """When each row of the source came about; its place in the table where nothing says so."""
    return next(iter(times_of_rows(view).values()), np.arange(view.source.n(view.target)))


def numbers_met(view: View, rows: Rows) -> dict[str, np.ndarray]:
    """The numeric columns, and the numbers in the ids, of what each row of the source meets."""
    key = ("numbers met", rows.side)
    if rows.side >= 0 and key not in view.shared:
        side = 1 - rows.side
        end, at = (view.a, view.b)[side], view.source.links(view.target)[side]
        table, found = view.source.nodes[end], {}
        for field in table.schema:
            if field.name not in OWN and numeric(field.type):
                values = times_of(view.source, end, field.name)
                if np.isfinite(values).all():
                    found[f"the {field.name!r} of what it meets"] = values[at]
        numbers = numbers_in(tb.one_chunk(table["id"]))
        if numbers:
            found["the number in the id of what it meets"] = np.nan_to_num(numbers[0])[at]
        view.shared[key] = found
    return view.shared.get(key, {})


def numbers_in(texts: pa.Array) -> list[np.ndarray]:
    """The first, second, ... number of each text, NaN for none, as long as most texts have one."""
    apart = pc.utf8_trim(pc.replace_substring_regex(texts, NO_NUMBER, " "), " ")
    some = pc.fill_null(pc.match_substring_regex(apart, r"\d"), False)
    rows = np.flatnonzero(some.to_numpy(zero_copy_only=False))
    split = pc.split_pattern_regex(apart.take(pa.array(rows)), r"[^0-9]*\s[^0-9]*|\.(\s|$)")
    size = pc.list_value_length(split).to_numpy(zero_copy_only=False)
    words, start, found = split.flatten(), np.cumsum(size) - size, []
    for place in range(MOST_NUMBERS):
        there = np.flatnonzero(size > place)
        if 2 * len(there) <= len(texts):
            break
        text = words.take(pa.array(start[there] + place))
        text = pc.if_else(pc.match_substring_regex(text, r"^\d{1,15}(\.\d+)?$"), text, None)
        values = np.full(len(texts), np.nan)
        values[rows[there]] = pc.cast(text, pa.float64()).to_numpy(zero_copy_only=False)
        found.append(values)
    return found


def keys_met(view: View, rows: Rows) -> Iterator[tuple[str, np.ndarray]]:
    """(name, code of each row of the source) of categories: of what it meets, its own, and days."""
    if rows.side < 0:
        return
    for end in (view.target, (view.b, view.a)[rows.side]):
        key = ("keys", end)
        if key not in view.shared:
            view.shared[key] = dict(_keys_of(view, end))
        at = slice(None) if end == view.target else view.source.links(view.target)[1 - rows.side]
        yield from ((name, code[at]) for name, code in view.shared[key].items())


def _keys_of(view: View, end: Type) -> Iterator[tuple[str, np.ndarray]]:
    """(name, code of each row) of the one node of a type that it touches, of texts, of days."""
    yield from _touched(view, end) if isinstance(end, str) else _days(view)
    table = view.source.table(end)
    for name in sorted({f.name for f in table.schema if tb.is_text(f.type)}.difference(OWN)):
        code = codes_of(tb.one_chunk(table[name]))
        if code is not None and (code >= 0).all():
            yield f"{name!r} values it meets", code


def _touched(view: View, end: str) -> Iterator[tuple[str, np.ndarray]]:
    for type in sorted(view.source.nodes.keys() - {view.a, view.b}):
        touch = touching(view.source, end, type)
        if touch.nnz and (np.diff(touch.indptr) == 1).all():
            yield f"{type!r} nodes it meets", touch.indices.astype(np.int64)


def _days(view: View) -> Iterator[tuple[str, np.ndarray]]:
    for name, when in times_of_rows(view).items():
        for what, begin in (("days", 0), ("days since the first", when.min(initial=np.inf))):
            day = np.floor((when - begin) / DAY)
            yield f"{what} of {name!r}", np.unique(day, return_inverse=True)[1]


def codes_of(column: pa.Array) -> np.ndarray | None:
    """A text that repeats as codes, -1 for null; None for one that does not."""
    if len(column) > 2 * SAMPLE and not repeats(column.slice(0, SAMPLE)):
        return None
    coded = column.dictionary_encode()
    if not repeats(column, len(coded.dictionary)):
        return None
    return pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)


def repeats(column: pa.Array, n_values: int | None = None) -> bool:
    """Whether the values of a column stand twice in it, on average."""
    return 2 * (n_values or len(column.unique())) <= len(column) - column.null_count


def vectors_met(view: View, rows: Rows) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(name, vectors of nodes [m, d], node of each row of the source) of partners and witnesses.

    What a partner is linked to, such as tags, is a vector of marks.
    """
    side = 1 - rows.side
    partner, at = (view.a, view.b)[side], view.source.links(view.target)[side]
    for name in _vector_columns(view, partner):
        yield f"the {name!r} of what it meets", _vectors(view, partner, name), at
    codes = view.whole.codes(*view.source.links(view.target))
    for type in [t for t in view.source.nodes if t not in (view.a, view.b)]:
        marks = touching(view.source, partner, type)
        if marks.nnz and marks.shape[1] <= MOST_MARKS:
            yield f"the {type!r} nodes of what it meets", marks.toarray().astype(float), at
        for name in _vector_columns(view, type):
            joined = witnessed(view, type)
            order = np.argsort(joined, kind="stable")
            of = order[np.minimum(np.searchsorted(joined[order], codes), len(order) - 1)]
            of = np.where(joined[of] == codes, of, -1)
            if (of >= 0).mean() > 0.5:
                yield f"the {name!r} of its {type!r} nodes", _vectors(view, type, name), of


def _vector_columns(view: View, type: str) -> list[str]:
    return [f.name for f in view.source.nodes[type].schema if tb.is_vector(f.type)]


def _vectors(view: View, type: str, name: str) -> np.ndarray:
    return view.source.vectors(type, name, fill=0.0).astype(np.float64)


def numeric(kind: pa.DataType) -> bool:
    is_time = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
    return is_time or (tb.is_number(kind) and not pa.types.is_boolean(kind))


def principal(vectors: np.ndarray, n: int) -> np.ndarray:
    """The first principal components of vectors [rows, d], at most n of them."""
    centred = vectors - vectors.mean(axis=0)
    if vectors.shape[1] <= n:
        return centred
    _, turn = np.linalg.eigh(centred.T @ centred)
    return centred @ turn[:, ::-1][:, :n]
