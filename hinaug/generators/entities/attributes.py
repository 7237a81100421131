"""Attributes of new nodes after their links: sequential trees whose leaves hold real values.

A value always comes from a real row with the same column, so no level is invented and missing
values are drawn like any other; continuous numbers are spread to the next real value.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from hinaug.features.kinds import decoded, kind_of, numbers, present
from hinaug.graph import arrow as tb

LEAF = 8  # real rows in a leaf, at least
MOST_ROWS = 20_000  # real rows that trees and neighbours are looked for among
COMMON_WORDS = 200
BINS = 20  # of ordered columns, for margins
STEPS = 10  # of proportional fitting
ONE_HOT = 8  # commonest words that later trees see one by one
IDENTIFIER = "an identifier: to write one would be to copy it from somebody"
UNTYPED = "it holds no value"
TREES = ("words", "ordered", "continuous")  # kinds of columns that trees write


def attribute_kinds(table: pa.Table) -> tuple[dict[str, str], dict[str, str]]:
    """How each column is generated, and why the others are not.

    | kind         | what it is                              | its value                         |
    |--------------|-----------------------------------------|-----------------------------------|
    | "words"      | categories and booleans                 | of a real row in a tree's leaf    |
    | "ordered"    | whole numbers, few levels, dates, times | the same                          |
    | "continuous" | floats, mostly different                | the same, spread to the next      |
    | "vector"     | fixed-size lists of floats              | a line, a real row's residual     |
    | "text"       | words of many values, several each      | a near row's, with other words    |
    | "other"      | lists, structures                       | a near row's                      |
    """
    kinds, left_out = {}, {}
    for name in table.column_names:
        column = tb.one_chunk(table[name])
        if column.null_count == len(column):
            left_out[name] = UNTYPED
            continue
        kind = kind_of(column, most_categories=len(column), rows_per_category=2)
        if kind == "identifier":
            left_out[name] = IDENTIFIER
        else:
            kinds[name] = _kind(column, kind)
    return kinds, left_out


def _kind(column: pa.Array, kind: str) -> str:
    if kind in ("category", "boolean"):
        return "words"
    if kind == "number" and pa.types.is_floating(column.type):
        known = column.drop_null()
        return "continuous" if 2 * len(known.unique()) > len(known) else "ordered"
    return "ordered" if kind in ("number", "time") else kind


def codes_of(column: pa.Array) -> tuple[np.ndarray, int]:
    """Words as whole numbers, the commonest first, and how many there are: 0 for null, then the 200
    commonest, then all others together.
    """
    encoded = decoded(column).dictionary_encode()
    index = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    counts = np.bincount(index[index >= 0], minlength=len(encoded.dictionary))
    rank = np.empty(len(counts) + 1, np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    rank[-1] = -1
    n_codes = min(len(counts), COMMON_WORDS + 1)
    return np.minimum(rank[index], n_codes - 1) + 1, n_codes + 1


def ranks_of(column: pa.Array) -> np.ndarray:
    """The rank of each value in [0, 1), equal ones alike; NaN for null."""
    known = present(column)
    if pa.types.is_float16(column.type):  # Arrow cannot rank these
        column = column.cast(pa.float32())
    rank = pc.rank(column, sort_keys="ascending", tiebreaker="min")  # nulls last
    out = (rank.to_numpy(zero_copy_only=False).astype(np.float64) - 1) / max(known.sum(), 1)
    return np.where(known, out, np.nan)


class Encoded:
    """A column in numbers for trees: x [n, w] as later columns see it, y as it is learned, bin [n]
    as its margin is counted.
    """

    def __init__(self, column: pa.Array, kind: str) -> None:
        self.is_class = kind == "words"
        if self.is_class:
            code, n_codes = codes_of(column)
            shown = np.arange(min(n_codes, ONE_HOT + 1))
            share = code / n_codes
            self.x = np.column_stack([code[:, None] == shown, share]).astype(np.float32)
            self.y, self.n_values, self.bin = code, n_codes, code
        else:
            rank = ranks_of(column)
            null = np.isnan(rank)
            middle = np.where(null, np.nanmean(rank) if not null.all() else 0.0, rank)
            self.x = np.where(null, -0.25, middle).astype(np.float32)[:, None]
            self.y = np.column_stack(
                [middle / max(middle.std(), 1e-9), null / max(null.std(), 0.1)]
            )
            self.n_values = len(np.unique(middle)) + 1
            self.bin = np.where(null, BINS, np.minimum(middle * BINS, BINS - 1)).astype(np.int64)


def tree_donors(
    table: pa.Table,
    kinds: Mapping[str, str],
    real: np.ndarray,
    new: np.ndarray,
    given: Mapping[str, pa.Array],
    rng: np.random.Generator,
    match: bool = True,
) -> dict[str, np.ndarray]:
    """For each column a real row [k] whose value each new node takes.

    Sequential trees (Reiter, "Using CART to generate partially synthetic public use microdata",
    Journal of Official Statistics 2005): a tree learns a column from the links and the columns
    before it; a new node falls into a leaf and takes the value of one of its real rows. Columns of
    fewer values come first, given ones before all.

    Parameters
    ----------
    table
        Attributes of n real nodes.
    kinds
        {column: "words", "ordered" or "continuous"}.
    real, new
        What the links say, [n, w] of the real nodes and [k, w] of the new ones.
    given
        {column: values [k]} that new nodes have.
    match
        Whether the new nodes shall have the margins of the real ones: rows of a leaf are then drawn
        with weights by value that proportional fitting finds. Not for conditions.
    """
    n, k = len(real), len(new)
    encoded = {
        name: Encoded(pa.concat_arrays([decoded(c) for c in _with_given(table, name, given)]), kind)
        for name, kind in kinds.items()
    }
    rows = rng.permutation(n)[:MOST_ROWS]
    order = sorted(kinds, key=lambda name: (name not in given, encoded[name].n_values))
    donors: dict[str, np.ndarray] = {}
    for name in order:
        code = encoded[name]
        if name in given:
            donors[name] = np.full(k, -1)
            x_new = code.x[n:]
        else:
            donors[name] = rows[_leaf_rows(code, real[rows], new, rows, rng, match)]
            x_new = code.x[donors[name]]
        real, new = np.hstack([real, code.x[:n]]), np.hstack([new, x_new])
    return donors


def _with_given(table: pa.Table, name: str, given: Mapping[str, pa.Array]) -> list[pa.Array]:
    column = tb.one_chunk(table[name])
    return [column, given[name].cast(column.type)] if name in given else [column]


def _leaf_rows(
    code: Encoded,
    x: np.ndarray,
    new: np.ndarray,
    rows: np.ndarray,
    rng: np.random.Generator,
    match: bool,
) -> np.ndarray:
    """For each new row, a random row of x in its leaf."""
    kind = DecisionTreeClassifier if code.is_class else DecisionTreeRegressor
    leaf = min(LEAF, len(rows))
    tree = kind(min_samples_leaf=leaf, random_state=int(rng.integers(2**31)))
    tree.fit(x, code.y[rows])
    n_leaves = tree.tree_.node_count
    at, asked = tree.apply(x), tree.apply(new.astype(np.float32))
    weight = np.ones(len(rows))
    if match:
        weight = matching_weights(code.bin[rows], at, np.bincount(asked, minlength=n_leaves))
    order = np.argsort(at, kind="stable")
    total = np.cumsum(weight[order])
    ends = np.searchsorted(at[order], np.arange(n_leaves), "right")
    high = np.concatenate([[0.0], total])[ends][asked]
    low = high - np.bincount(at, weight, n_leaves)[asked]
    place = np.searchsorted(total, low + rng.random(len(asked)) * (high - low), "right")
    first = np.searchsorted(at[order], asked, "left")
    return order[np.clip(place, first, ends[asked] - 1)]


def matching_weights(code: np.ndarray, leaf: np.ndarray, n_new: np.ndarray) -> np.ndarray:
    """Weights of real rows [n] with which draws from their leaves have the margin of the codes.

    Iterative proportional fitting. code, leaf: of each real row. n_new: draws from each leaf.
    """
    n_codes = int(code.max()) + 1
    target = np.bincount(code, minlength=n_codes) * (n_new.sum() / len(code))
    by_code = np.ones(n_codes)
    for _ in range(STEPS):
        weight = by_code[code]
        share = weight / np.bincount(leaf, weight, len(n_new))[leaf]
        expected = np.bincount(code, share * n_new[leaf], n_codes)
        by_code *= np.clip(target / np.maximum(expected, 1e-9), 0.2, 5)
    return by_code[code]


def values_at(column: pa.Array, donor: np.ndarray, kind: str, rng: np.random.Generator) -> pa.Array:
    """The values of real rows; continuous ones somewhere between that and the next larger one."""
    taken = column.take(pa.array(donor))
    if kind != "continuous":
        return taken
    known = np.unique(numbers(column.drop_null()))
    known, value = known[np.isfinite(known)], numbers(taken)
    at = np.minimum(np.searchsorted(known, value, "right"), len(known) - 1)
    spread = value + rng.random(len(value)) * np.maximum(known[at] - value, 0)
    return pa.array(spread, mask=~present(taken)).cast(column.type)
