"""What a column of a node could have been computed from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hinaug.graph import arrow as tb
from hinaug.graph.schema import PROVENANCE


def numbers_of(column: pa.Array) -> np.ndarray | None:
    """A column as float64 (moments in seconds), NaN for null; None for what is no number."""
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        seconds = column.cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.float64(), safe=False)
        return pc.divide(seconds, 1e6).to_numpy(zero_copy_only=False)
    if pa.types.is_decimal(kind) or tb.is_number(kind):
        if pa.types.is_boolean(kind):
            column = column.cast(pa.int8())
        return column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return None


def vectors_of(column: pa.Array) -> np.ndarray:
    out = np.full((len(column), column.type.list_size), np.nan, np.float32)
    valid = ~column.is_null().to_numpy(zero_copy_only=False)
    if valid.any():
        out[valid] = (
            column.drop_null()
            .flatten()
            .to_numpy(zero_copy_only=False)
            .reshape(-1, column.type.list_size)
        )
    return out


def features(rows: Rows, mask: np.ndarray, n: int) -> Iterator[tuple[str, np.ndarray]]:
    owner = rows.owner[mask]
    size = np.bincount(owner, minlength=n).astype(np.float64)
    yield f"number of {rows.what}", size
    time = None if rows.time is None else rows.time[mask]
    for column, numbers in rows.numbers.items():
        yield from _of_numbers(f"{rows.what} {column}", owner, numbers[mask], n, time)
    for column, vectors in rows.vectors.items():
        yield from _of_vectors(f"{rows.what} {column}", owner, vectors[mask], n)


def _of_numbers(
    what: str, owner: np.ndarray, numbers: np.ndarray, n: int, time: np.ndarray | None
) -> Iterator:
    good = np.isfinite(numbers)
    a, v = owner[good], numbers[good]
    size = np.bincount(a, minlength=n).astype(np.float64)
    total = np.bincount(a, v, minlength=n)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / size
        yield f"sum of {what}", total
        yield f"mean of {what}", mean
        spread = np.bincount(a, (v - mean[a]) ** 2, minlength=n)
        yield f"standard deviation of {what}", np.sqrt(spread / size)
        yield (
            f"sample standard deviation of {what}",
            np.where(size > 1, np.sqrt(spread / (size - 1)), np.nan),
        )
    order = np.lexsort((v, a))
    av, vv = a[order], v[order]
    first = np.searchsorted(av, np.arange(n))
    there = size > 0
    count = size.astype(np.int64)
    pick = {
        "minimum": first,
        "maximum": first + count - 1,
        "low": first + np.maximum(count - 1, 0) // 2,
        "high": first + count // 2,
    }
    got = {
        k: np.where(there, vv[np.minimum(at, max(len(vv) - 1, 0))] if len(vv) else np.nan, np.nan)
        for k, at in pick.items()
    }
    yield f"minimum of {what}", got["minimum"]
    yield f"maximum of {what}", got["maximum"]
    yield f"range of {what}", got["maximum"] - got["minimum"]
    yield f"median of {what}", (got["low"] + got["high"]) / 2
    if time is not None and len(vv):
        order = np.lexsort((time[good], a))
        av = a[order]
        yield (
            f"last {what}",
            np.where(there, v[order][np.minimum(first + count - 1, len(v) - 1)], np.nan),
        )
        yield f"first {what}", np.where(there, v[order][np.minimum(first, len(v) - 1)], np.nan)
    if "." in what.rsplit(" ", 1)[-1]:
        return  # what neighbours are like is not counted value by value
    distinct = np.unique(v)
    if 2 <= len(distinct) <= 10:
        for value in distinct:
            part = np.bincount(a, v == value, minlength=n)
            yield f"number of {what} = {value:g}", part
            with np.errstate(invalid="ignore", divide="ignore"):
                yield f"share of {what} = {value:g}", part / size
        high = distinct[len(distinct) // 2]
        for threshold in {4.0, float(high)} & set(distinct.tolist()):
            part = np.bincount(a, v >= threshold, minlength=n)
            yield f"number of {what} >= {threshold:g}", part
            with np.errstate(invalid="ignore", divide="ignore"):
                yield f"share of {what} >= {threshold:g}", part / size


def _of_vectors(
    what: str, owner: np.ndarray, vectors: np.ndarray, n: int
) -> Iterator[tuple[str, np.ndarray]]:
    good = np.isfinite(vectors).all(axis=1)
    a, v = owner[good], vectors[good]
    pool = sp.csr_array((np.ones(len(a), np.float32), (a, np.arange(len(a)))), shape=(n, len(a)))
    size = np.diff(pool.indptr)
    yield f"mean of {what}", (pool @ v) / np.maximum(size, 1)[:, None]
    if len(a) * v.shape[1] <= 20_000_000 and len(a):
        order = np.argsort(a, kind="stable")
        first = np.searchsorted(a[order], np.arange(n))[size > 0]
        for word, ufunc in (("maximum", np.maximum), ("minimum", np.minimum)):
            out = np.zeros((n, v.shape[1]), np.float32)
            out[size > 0] = ufunc.reduceat(v[order], first, axis=0)
            yield f"{word} of {what}", out


class Rows:
    """Rows of one table that belong to nodes of one type: their numbers, their vectors, when they
    happened.
    """

    def __init__(
        self, what: str, owner: np.ndarray, take: np.ndarray, table: pa.Table, time: str | None
    ) -> None:
        self.what, self.owner, self.take = what, owner, take
        self.numbers: dict[str, np.ndarray] = {}
        self.vectors: dict[str, np.ndarray] = {}
        self.time: np.ndarray | None = None
        self.add(table, take)
        self.time = self.numbers.get(time or "")

    def add(self, table: pa.Table, take: np.ndarray, prefix: str = "") -> None:
        for field in table.schema:
            if field.name in ("id", "src", "dst", *PROVENANCE):
                continue
            column = tb.one_chunk(table[field.name])
            if tb.is_vector(column.type):
                self.vectors[prefix + field.name] = vectors_of(column)[take]
            else:
                numbers = numbers_of(column)
                if numbers is not None:
                    self.numbers[prefix + field.name] = numbers[take]
