"""What held-out rows add to a node: sums that tests of repulsion use, and aggregates by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from scipy import stats

from hinaug.graph import arrow as tb
from hinaug.graph.evidence import times_of, touching
from hinaug.graph.pairs import PairIndex
from hinaug.graph.schema import Type
from hinaug.split.audit.moments import moments
from hinaug.split.audit.pairs import witnessed
from hinaug.split.audit.view import OWN, View

N_BINS = 4  # of equally many rows, for counts by time
MOST_DIMS = 8  # of a vector column that are summed: its principal components
MOST_NODES = 5_000  # nodes whose aggregates are computed
MOST_NUMBERS = 4  # of a text that are read
NO_NUMBER = r"[^0-9.\s]+"  # what stands between the numbers of a text
MOST_MARKS = 64  # nodes of a type, such as tags, that count as a vector of marks
RECENCY = (0.05, 0.2, 0.5)  # of the span of times, for counts in which older rows weigh less
MOST_LEVELS = 10  # distinct values of a rating that are counted one by one


@dataclass
class Rows:
    """The target's rows in the source, as seen from the nodes of one type.

    node: the node of each row. row: its number in the table. n: how many nodes there are.
    apart: whether each row belongs to one node only, so that the noise of nodes is independent.
    side: 0 or 1 where the nodes are the users or the items themselves, else -1.
    """

    node: np.ndarray
    row: np.ndarray
    n: int
    apart: bool
    side: int = -1


@dataclass
class Sum:
    """x, y: a statistic summed over the rows inside and held out, [n, k]."""

    name: str
    x: np.ndarray
    y: np.ndarray


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
    if key not in view.cache:
        view.cache[key] = list(_rows_of(view, type))
    return view.cache[key]


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


# ---- sums ----------------------------------------------------------------------------------------


def sums(view: View, rows: Rows) -> list[Sum]:
    """Counts; counts by time; ratings; popularity, taste and vectors of partners, of witnesses."""
    key = ("sums", id(rows))
    if key not in view.cache:
        view.cache[key] = [_sum(view, rows, name, w) for name, w in _weights(view, rows)]
    return view.cache[key]


def _sum(view: View, rows: Rows, name: str, weight: np.ndarray) -> Sum:
    totals = []
    for part in ("graph", "held"):
        use = parts(view)[part][rows.row]
        node, w = rows.node[use], weight[rows.row[use]]
        by_column = [np.bincount(node, column, minlength=rows.n) for column in w.T]
        totals.append(np.stack(by_column, axis=1))
    return Sum(name, *totals)


def _weights(view: View, rows: Rows) -> Iterator[tuple[str, np.ndarray]]:
    """(name, weight of each row of the source [rows, k]); all but counts sum to nothing."""
    use = parts(view)["graph"] | parts(view)["held"]
    yield "the number of rows", np.ones((len(use), 1))
    for name, values in numbers_of_rows(view).items():
        if name in moments(view, view.target):
            edges = np.quantile(values, np.linspace(0, 1, N_BINS + 1)[1:-1])
            place = np.searchsorted(edges, values)
            yield "the number of rows by time", np.eye(N_BINS)[place]
            age = (values.max() - values) / max(np.ptp(values), 1e-12)
            yield "the weight of recent rows", np.exp(-age[:, None] / np.array(RECENCY))
        else:
            yield f"the sum of {name!r}", _centred(values[:, None], use)
    if rows.side >= 0:
        partner = view.source.links(view.target)[1 - rows.side]
        popularity = np.log1p(view.counts(1 - rows.side)[0])[partner]
        yield "the popularity of what it meets", _centred(popularity[:, None], use)
        for name, values in numbers_met(view, rows).items():
            if "in the id" not in name:
                ranks = stats.rankdata(values) / len(values)  # a few large values say little
                yield f"the sum of {name}", _centred(ranks[:, None], use)
        yield "the taste of what it meets", _centred(view.factors[1 - rows.side][partner], use)
        for name, vectors in _vectors_of_rows(view, rows):
            yield name, _centred(vectors, use)


def numbers_of_rows(view: View) -> dict[str, np.ndarray]:
    """The numeric columns of the target in the source that are known in every row."""
    if "numbers" not in view.cache:
        table = view.source.table(view.target)
        fields = [f for f in table.schema if f.name not in ("src", "dst") and _numeric(f.type)]
        values = {f.name: times_of(view.source, view.target, f.name) for f in fields}
        view.cache["numbers"] = {n: v for n, v in values.items() if np.isfinite(v).all()}
    return view.cache["numbers"]


def numbers_met(view: View, rows: Rows) -> dict[str, np.ndarray]:
    """The numeric columns, and the numbers in the ids, of what each row of the source meets."""
    key = ("numbers met", rows.side)
    if rows.side >= 0 and key not in view.shared:
        side = 1 - rows.side
        end, at = (view.a, view.b)[side], view.source.links(view.target)[side]
        table, found = view.source.nodes[end], {}
        for field in table.schema:
            if field.name not in OWN and _numeric(field.type):
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
    """(name, code of each row of the source) of categories of what it meets: nodes, or words."""
    if rows.side < 0:
        return
    side = 1 - rows.side
    end, at = (view.a, view.b)[side], view.source.links(view.target)[side]
    key = ("keys", end)
    if key not in view.shared:
        view.shared[key] = dict(_keys_of(view, end))
    yield from ((name, code[at]) for name, code in view.shared[key].items())


def _keys_of(view: View, end: str) -> Iterator[tuple[str, np.ndarray]]:
    """(name, code of each node) of the one node of a type that it touches, or of a text."""
    for type in sorted(view.source.nodes.keys() - {view.a, view.b}):
        touch = touching(view.source, end, type)
        if touch.nnz and (np.diff(touch.indptr) == 1).all():
            yield type, touch.indices.astype(np.int64)
    texts = {f.name for f in view.source.nodes[end].schema if tb.is_text(f.type)}
    for name in sorted(texts.difference(OWN)):
        coded = tb.one_chunk(view.source.nodes[end][name]).dictionary_encode()
        if 2 * len(coded.dictionary) <= len(coded) and not coded.null_count:
            yield name, coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def tallies(view: View, rows: Rows, part: str) -> Iterator[tuple[str, sp.csr_array]]:
    """(name, counts [n, keys]) of the categories of what the nodes meet in a part."""
    use = parts(view)[part][rows.row]
    for name, key in keys_met(view, rows):
        shape = (rows.n, int(key.max(initial=0)) + 1)
        entries = np.ones(int(use.sum()))
        yield name, sp.csr_array((entries, (rows.node[use], key[rows.row[use]])), shape=shape)


def _of_tally(tally: sp.csr_array) -> Iterator[tuple[str, np.ndarray]]:
    """How many categories a node meets, and the entropy of them."""
    tally.sum_duplicates()
    node = np.repeat(np.arange(tally.shape[0]), np.diff(tally.indptr))
    total = np.asarray(tally.sum(axis=1)).ravel()
    share = tally.data / np.maximum(total[node], 1)
    yield "number", np.diff(tally.indptr).astype(float)
    yield "entropy", np.bincount(node, -share * np.log(share), minlength=tally.shape[0])


def fitted(view: View, rows: Rows, part: str, c: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Counts with one free number, chosen so that their total is that of a column.

    The rows above a level, their share of all rows, and counts that halve with age.
    """
    use = parts(view)[part][rows.row]
    known = np.isfinite(c) & (c >= 0)
    node, row = rows.node[use], rows.row[use]
    node, row = node[known[node]], row[known[node]]
    if not len(row) or not known.any():
        return
    count = np.bincount(node, minlength=rows.n).astype(float)
    count[~known] = np.nan
    for name, values in (numbers_of_rows(view) | numbers_met(view, rows)).items():
        met = values[row]
        for what, total in (("number", c[known].sum()), ("share", (c * count)[known].sum())):
            n_above = round(float(total))
            if 0 < n_above < len(met) and (c[known] <= np.maximum(count[known], 1)).all():
                level = np.partition(met, -n_above)[-n_above]
                above = np.bincount(node[met >= level], minlength=rows.n)
                scale = 1 if what == "number" else np.maximum(count, 1)
                yield f"{what} above a level of {name!r}", np.where(known, above / scale, np.nan)
        if name in moments(view, view.target):
            weight = _halved(met.max() - met, float(c[known].sum()))
            by_age = np.bincount(node, weight, minlength=rows.n)
            yield f"number by age of {name!r}", np.where(known, by_age, np.nan)


def _halved(age: np.ndarray, total: float) -> np.ndarray:
    """exp(-age / tau) with the tau that gives them a total."""
    low, high = np.log(max(np.ptp(age), 1e-12) * 1e-4), np.log(max(np.ptp(age), 1e-12) * 1e4)
    for _ in range(50):
        middle = (low + high) / 2
        less = np.exp(-age / np.exp(middle)).sum() < total
        low, high = (middle, high) if less else (low, middle)
    return np.exp(-age / np.exp(low))


def _numeric(kind: pa.DataType) -> bool:
    is_time = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
    return is_time or (tb.is_number(kind) and not pa.types.is_boolean(kind))


def _centred(weight: np.ndarray, use: np.ndarray) -> np.ndarray:
    return weight - weight[use].mean(axis=0) if use.any() else weight


def _vectors_of_rows(view: View, rows: Rows) -> Iterator[tuple[str, np.ndarray]]:
    """Vectors of the partner, and of the witness, of each row: principal components [rows, k]."""
    for name, vectors, at in vectors_met(view, rows):
        key = ("components", rows.side, name)
        if key not in view.cache:
            view.cache[key] = principal(vectors, MOST_DIMS)
        yield name, view.cache[key][np.maximum(at, 0)] * (at >= 0)[:, None]


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


def principal(vectors: np.ndarray, n: int) -> np.ndarray:
    """The first principal components of vectors [rows, d], at most n of them."""
    centred = vectors - vectors.mean(axis=0)
    if vectors.shape[1] <= n:
        return centred
    _, turn = np.linalg.eigh(centred.T @ centred)
    return centred @ turn[:, ::-1][:, :n]


# ---- aggregates ----------------------------------------------------------------------------------


def aggregates(view: View, rows: Rows, part: str) -> dict[str, np.ndarray]:
    """Counts, means, extremes and so on of the rows of a part for each node, NaN for none."""
    key = ("aggregates", id(rows), part)
    if key not in view.cache:
        asked = np.random.default_rng(0).permutation(rows.n) < MOST_NODES
        use = parts(view)[part][rows.row] & asked[rows.node]
        node, row = rows.node[use], rows.row[use]
        count = np.where(asked, np.bincount(node, minlength=rows.n), np.nan)
        out = {"count": count}
        times = [n for n in numbers_of_rows(view) if n in moments(view, view.target)]
        when = numbers_of_rows(view)[times[0]][row] if times else row
        columns = {repr(name): values for name, values in numbers_of_rows(view).items()}
        for name, values in (columns | numbers_met(view, rows)).items():
            found = _of_values(node, values[row], when, count)
            out.update({f"{what} of {name}": v for what, v in found})
        for name, tally in tallies(view, rows, part):
            found = _of_tally(tally)
            out.update({f"{what} of {name!r} nodes or values it meets": v for what, v in found})
        view.cache[key] = out
    return view.cache[key]


def _of_values(
    node: np.ndarray, values: np.ndarray, when: np.ndarray, count: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    n, empty = len(count), ~(count > 0)
    size = np.where(empty, np.nan, count)
    count = np.nan_to_num(count)
    middle = float(values.mean()) if len(values) else 0.0
    sums = np.bincount(node, values - middle, minlength=n)
    squares = np.bincount(node, (values - middle) ** 2, minlength=n)
    yield "sum", np.where(empty, np.nan, sums + count * middle)
    yield "mean", sums / size + middle
    yield "deviation", np.sqrt(np.maximum(squares / size - (sums / size) ** 2, 0))
    start = np.minimum((np.cumsum(count) - count).astype(int), max(len(values) - 1, 0))
    end = np.maximum(start + count.astype(int) - 1, 0)
    if not len(values):
        return
    by_value = values[np.lexsort((values, node))]
    low, high = by_value[start], by_value[end]
    half = [by_value[start + np.maximum(count - k, 0).astype(int) // 2] for k in (0, 1)]
    by_time = values[np.lexsort((when, node))]
    for name, found in (
        *(("minimum", low), ("maximum", high), ("span", high - low)),
        *(("median", (half[0] + half[1]) / 2), ("first", by_time[start]), ("last", by_time[end])),
    ):
        yield name, np.where(empty, np.nan, found)
    levels = np.unique(values)
    for level in levels if len(levels) <= MOST_LEVELS else []:
        for sign, match in (("=", values == level), (">=", values >= level)):
            total = np.where(empty, np.nan, np.bincount(node, match, minlength=n))
            yield f"number {sign} {level:g}", total
            yield f"share {sign} {level:g}", total / size


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
