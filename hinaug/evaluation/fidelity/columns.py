"""Columns of any kind, real against generated: how values are spread, how columns depend on each
other and on groups of nodes, and where values are missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.evaluation.fidelity.tree import Measured, Plot
from hinaug.features.kinds import decoded, kind_of, numbers, present, vectors
from hinaug.graph import arrow as tb

CODES = 6  # groups that a column is cut into where two columns are compared
WORDS = 200  # the commonest words or values that are compared one by one; the rest is one
AXES = 8  # principal axes of a vector
ROWS = 20_000  # of a column, at most
POINTS = 40  # of a curve
FEW = 10  # rows below which nothing is said
SURE = 30  # rows of a group whose share of nulls is shown


def kind(column: pa.Array) -> str:
    """The kind of a column, with lists apart from what has no form; values of a category are held
    by two nodes on average.
    """
    found: str = kind_of(column, rows_per_category=2)
    if found == "other" and _is_list(column.type):
        return "list"
    return found


def measure_of(reference: pa.Array) -> Callable[[pa.Array, pa.Array], Measured] | None:
    """How to compare two columns of the kind of `reference`; None for a kind that has no form.

    | kind                     | score                                                          |
    |--------------------------|----------------------------------------------------------------|
    | number, time             | 1 - Kolmogorov-Smirnov distance                                |
    | category, boolean        | 1 - total variation of the shares                              |
    | text                     | mean of both: the number of words, and the commonest 200 words |
    | list                     | mean of both: the length, and the commonest 200 elements       |
    | vector                   | mean over the first 8 principal axes of 1 - KS                 |
    | identifier               | 1 - KS of the number of characters                             |

    Nulls are left out; a column without any value beside one that has some scores 0.
    """
    form = kind(reference)
    by_kind: dict[str, Callable[[pa.Array, pa.Array], Measured]] = {
        "number": _by_ks(form),
        "time": _by_ks(form),
        "identifier": _by_ks(form),
        "category": _by_values,
        "boolean": _by_values,
        "text": _by_length_and_values(form),
        "list": _by_length_and_values(form),
        "vector": _by_axes(reference) if form == "vector" else _by_values,
    }
    if form not in by_kind:
        return None
    return _unless_empty(by_kind[form])


def _unless_empty(measure: Callable) -> Callable[[pa.Array, pa.Array], Measured]:
    def measured(real: pa.Array, made: pa.Array) -> Measured:
        real, made = real.drop_null().slice(0, ROWS), made.drop_null().slice(0, ROWS)
        if not len(real):
            return Measured(None, says="no real value is there")
        if not len(made):
            return Measured(0.0, says="no generated value is there")
        return measure(real, made)

    return measured


def as_numbers(column: pa.Array, form: str) -> np.ndarray:
    """A number for each value that is there: itself, its time, or how long it is.

    form: the kind of the column, which is learned once: a few rows may look like another kind.
    """
    column = decoded(column)
    if form == "text":
        return numbers(pc.count_substring_regex(column, r"\S+"))
    if form == "identifier":
        return numbers(pc.utf8_length(column))
    if form == "list":
        return numbers(pc.list_value_length(column))
    if form == "time":
        whole = pa.int32() if column.type.bit_width == 32 else pa.int64()
        return numbers(column.cast(whole))
    return numbers(column)


def ks(real: np.ndarray, made: np.ndarray) -> Measured:
    """1 - the largest distance of the two distribution functions (Kolmogorov-Smirnov)."""
    real, made = np.sort(real), np.sort(made)
    points = np.unique(np.concatenate([real, made]))
    below = [np.searchsorted(v, points, "right") / max(len(v), 1) for v in (real, made)]
    distance = float(np.abs(below[0] - below[1]).max(initial=0))
    at = np.unique(np.linspace(0, len(points) - 1, min(POINTS, len(points))).astype(int))
    plot = Plot("curve", below[0][at], below[1][at], x=points[at])
    return Measured(1 - distance, distance, plot=plot)


def variation(real: np.ndarray, made: np.ndarray) -> float:
    """Total variation of two vectors of counts, in [0, 1]."""
    return float(np.abs(real / max(real.sum(), 1) - made / max(made.sum(), 1)).sum() / 2)


def _by_ks(form: str) -> Callable[[pa.Array, pa.Array], Measured]:
    return lambda real, made: ks(as_numbers(real, form), as_numbers(made, form))


def _by_values(real: pa.Array, made: pa.Array) -> Measured:
    real, made = decoded(real), decoded(made)
    known = commonest(real, WORDS)
    counts = [_counts(column, known) for column in (real, made)]
    distance = variation(*counts)
    shares = [c / max(c.sum(), 1) for c in counts]
    labels = (*(str(v) for v in known.to_pylist()[:12]), "other")
    shown = [np.append(s[: len(labels) - 1], s[len(labels) - 1 :].sum()) for s in shares]
    return Measured(1 - distance, distance, plot=Plot("shares", shown[0], shown[1], labels))


def _by_length_and_values(form: str) -> Callable[[pa.Array, pa.Array], Measured]:
    def measured(real: pa.Array, made: pa.Array) -> Measured:
        length = _by_ks(form)(real, made)
        if pa.types.is_nested(_element_type(real.type)):
            return length
        values = _by_values(elements(real), elements(made))
        scores = [m.score for m in (length, values) if m.score is not None]
        return Measured(float(np.mean(scores)), plot=values.plot)

    return measured


def _by_axes(reference: pa.Array) -> Callable:
    there = vectors(reference.drop_null()).astype(np.float64)
    mean, axes = principal(there)

    def measured(real: pa.Array, made: pa.Array) -> Measured:
        along = [(vectors(column) - mean) @ axes.T for column in (real, made)]
        each = [ks(a, b) for a, b in zip(along[0].T, along[1].T, strict=True)]
        if not each:
            return Measured(None, says="the real vectors are all alike")
        score = float(np.mean([m.score for m in each if m.score is not None]))
        return Measured(score, plot=each[0].plot)

    return measured


def principal(rows: np.ndarray, most: int = AXES) -> tuple[np.ndarray, np.ndarray]:
    """The mean [d] and the first principal axes [k, d] of rows [n, d]."""
    if len(rows) < 2:
        return np.zeros(rows.shape[1]), np.zeros((0, rows.shape[1]))
    mean = rows.mean(axis=0)
    values, vectors_ = np.linalg.eigh(np.cov(rows.T).reshape(rows.shape[1], -1))
    order = np.argsort(-values)[:most]
    order = order[values[order] > 1e-9 * max(values.max(initial=0), 1e-12)]
    return mean, vectors_[:, order].T


def commonest(column: pa.Array, most: int) -> pa.Array:
    """The commonest values, the most frequent first, equal ones in their own order."""
    counts = pc.value_counts(column.drop_null())
    values, n = counts.field("values"), counts.field("counts").to_numpy()
    in_order = pc.array_sort_indices(values.cast(pa.string())).to_numpy()
    order = in_order[np.argsort(-n[in_order], kind="stable")]
    return values.take(pa.array(order[:most]))


def elements(column: pa.Array) -> pa.Array:
    """The words of texts, or the elements of lists."""
    if tb.is_text(column.type):
        column = pc.utf8_split_whitespace(pc.utf8_lower(column))
    return decoded(pc.list_flatten(column)).drop_null()


def _counts(column: pa.Array, known: pa.Array) -> np.ndarray:
    code = tb.lookup(known, column.cast(known.type)).astype(np.int64)
    return np.bincount(np.where(code < 0, len(known), code), minlength=len(known) + 1)


def _is_list(kind: pa.DataType) -> bool:
    return (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _element_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if _is_list(kind) else pa.string()


# ---- two columns ---------------------------------------------------------------------------------


@dataclass(eq=False)
class Cut:
    """Cuts a column into a few groups, as learned on real nodes: the quantiles of numbers, times
    and lengths, the commonest values of words, and the signs along three axes of vectors.

    n: the number of groups.
    """

    kind: str
    learned: tuple
    n: int

    @classmethod
    def of(cls, column: pa.Array) -> Cut | None:
        """None where the column has no form, or one value alone."""
        form, there = kind(column), column.drop_null()
        if form in ("category", "boolean"):
            values = commonest(decoded(there), CODES - 1)
            made = cls(form, (values,), len(values) + 1)
        elif form == "vector":
            mean, axes = principal(vectors(there).astype(np.float64), 3)
            made = cls(form, (mean, axes), 2 ** len(axes))
        elif form == "other" or not len(there):
            return None
        else:
            inner = np.quantile(
                as_numbers(there, form), np.arange(1, CODES) / CODES, method="lower"
            )
            edges = np.unique(inner)
            made = cls(form, (edges,), len(edges) + 1)
        return made if len(np.unique(made.codes(there))) > 1 else None

    def codes(self, column: pa.Array) -> np.ndarray:
        """The group of each row, int64 [n]; -1 for null."""
        known, out = present(column), np.full(len(column), -1, np.int64)
        there = column.drop_null()
        if self.kind in ("category", "boolean"):
            (values,) = self.learned
            at = tb.lookup(values, decoded(there).cast(values.type)).astype(np.int64)
            out[known] = np.where(at < 0, len(values), at)
        elif self.kind == "vector":
            mean, axes = self.learned
            out[known] = ((vectors(there) - mean) @ axes.T > 0) @ (2 ** np.arange(len(axes)))
        else:
            out[known] = np.searchsorted(self.learned[0], as_numbers(there, self.kind), "left")
        return out


def dependence(
    real: tuple[np.ndarray, np.ndarray], made: tuple[np.ndarray, np.ndarray], shape: tuple[int, int]
) -> Measured:
    """Do two groupings go together as in real nodes, whatever the share of each group?

    The two-way table of the generated nodes is fitted to the margins of the real one (iterative
    proportional fitting, Deming and Stephan, 1940), which leaves its odds ratios as they are; then

        score = 1 - total variation of the two tables.

    real, made: the groups of each node in both groupings; nodes with -1 do not count.
    """
    tables = [_two_way(x, y, shape) for x, y in (real, made)]
    if min(t.sum() for t in tables) < FEW:
        return Measured(None, says="too few nodes have both")
    wanted = tables[0] / tables[0].sum()
    fitted = (tables[1] + 0.5 / wanted.size) / (tables[1].sum() + 0.5)
    for _ in range(20):
        for axis in (1, 0):
            margin = fitted.sum(axis=axis, keepdims=True)
            fitted = fitted * wanted.sum(axis=axis, keepdims=True) / np.maximum(margin, 1e-300)
    distance = float(np.abs(wanted - fitted).sum() / 2)
    return Measured(1 - distance, distance)


def _two_way(x: np.ndarray, y: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    both = (x >= 0) & (y >= 0)
    flat = np.bincount(x[both] * shape[1] + y[both], minlength=shape[0] * shape[1])
    return flat.reshape(shape).astype(float)


def missing(
    real: np.ndarray, made: np.ndarray, groups: list[tuple[np.ndarray, np.ndarray]]
) -> Measured:
    """Are values missing as often, and for the same nodes?

    With w_g the share of real nodes in group g,

        score = 1 - max over groupings of sum_g w_g |P_real(null | g) - P_made(null | g)|

    real, made: whether the value is null, bool. groups: groupings of both, one for all nodes first.
    The figure is the largest difference in a group of at least 30 nodes on either side.
    """
    worst, figure = 0.0, 0.0
    for real_group, made_group in groups:
        n = 1 + int(max(real_group.max(initial=0), made_group.max(initial=0)))
        sizes = [np.bincount(g, minlength=n) for g in (real_group, made_group)]
        nulls = [
            np.bincount(g, null, minlength=n) / np.maximum(size, 1)
            for g, null, size in zip((real_group, made_group), (real, made), sizes, strict=True)
        ]
        gap = np.where((sizes[0] > 0) & (sizes[1] > 0), np.abs(nulls[0] - nulls[1]), 0)
        worst = max(worst, float(gap @ sizes[0] / max(sizes[0].sum(), 1)))
        sure = np.minimum(*sizes) >= SURE
        figure = max(figure, float(gap[sure].max(initial=0)))
    return Measured(1 - worst, figure)
