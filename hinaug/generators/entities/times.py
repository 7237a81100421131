"""Times on generated links: the order and the gaps of a source node's own."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from hinaug.graph import arrow as tb


def is_time(name: str, kind: pa.DataType, time: str) -> bool:
    """Whether an edge column holds times: dates and time stamps, and numbers of the name `time`."""
    return pa.types.is_temporal(kind) or (name == time and tb.is_number(kind))


def whole(column: pa.Array) -> np.ndarray:
    """Times as numbers, int64 where the type is whole; 0 for null."""
    if pa.types.is_floating(column.type):
        return column.fill_null(0).to_numpy(zero_copy_only=False).astype(np.float64)
    wide = pa.types.is_date32(column.type) or pa.types.is_time32(column.type)
    column = column.cast(pa.int32()) if wide else column
    return column.cast(pa.int64(), safe=False).fill_null(0).to_numpy(zero_copy_only=False)


def as_column(times: np.ndarray, null: np.ndarray, kind: pa.DataType) -> pa.Array:
    """Numbers of `whole` in the column's type."""
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        return pa.array(times.astype(np.int32), pa.int32(), mask=null).cast(kind)
    return pa.array(times, mask=null).cast(kind, safe=False)


def new_times(
    row: np.ndarray,
    source: np.ndarray,
    like: np.ndarray,
    indptr: np.ndarray,
    real: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """A time for each new link.

    A new node takes the times of its source, as many as it has links (at random, where the numbers
    differ), with the gaps between them in another order. They go to its links in the order of
    `like`, the times at which near nodes had these links, so that no target comes before its time.

    Parameters
    ----------
    row
        The new node of each link [e], ascending.
    source
        The real node of each new node [k].
    like
        A real time for each link [e].
    indptr, real
        The times of real node s are real[indptr[s] : indptr[s + 1]].

    A source without links gives none: there `like` stands.
    """
    n_real = np.diff(indptr)
    owner = np.repeat(np.arange(len(n_real)), n_real)
    real = real[np.lexsort((real, owner))]
    has = n_real[source[row]] > 0
    pick = (rng.random(len(row)) * n_real[source[row]]).astype(np.int64)
    n_new = np.bincount(row, minlength=len(source))
    place = np.arange(len(row)) - (np.cumsum(n_new) - n_new)[row]
    pick = np.where(n_new[row] == n_real[source[row]], place, pick)
    at = indptr[:-1][source[row]] + np.where(has, pick, 0)
    taken = np.where(has, real[np.minimum(at, max(len(real) - 1, 0))], like) if len(real) else like
    taken = taken[np.lexsort((taken, row))]
    out = np.empty_like(taken)
    out[np.lexsort((like, row))] = _gaps_shuffled(taken, row, place, rng)
    return out


def _gaps_shuffled(
    times: np.ndarray, row: np.ndarray, place: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Times that ascend in each row, with the same first and last and the gaps in another order."""
    if not len(times):
        return times
    gap = np.diff(times, prepend=times[:1])
    gap[place == 0] = 0
    order = np.lexsort((np.where(place == 0, -1.0, rng.random(len(row))), row))
    total = np.cumsum(gap[order])
    first = np.flatnonzero(place == 0)
    nth = np.cumsum(place == 0) - 1
    return times[first][nth] + total - total[first][nth]
