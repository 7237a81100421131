"""Columns and records of generated links, from real links to the same target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hinaug.features.kinds import kind_of
from hinaug.generators.base import Evidence
from hinaug.generators.entities.links import Drawn
from hinaug.generators.entities.real import Real
from hinaug.generators.entities.texts import Slots, Writer, crossing, written
from hinaug.generators.entities.times import as_column, is_time, new_times, whole
from hinaug.generators.entities.views import View, Witness, codes_of
from hinaug.graph import arrow as tb
from hinaug.graph.schema import PROVENANCE

TRIES = 32  # real links to the same target that are looked at
BLOCK = 20_000


@dataclass
class LikeLinks:
    """Real links like generated ones: the best of each [e], and all that were looked at [e, t]."""

    best: np.ndarray
    seen: np.ndarray


def like_links(
    real: Real,
    at: int,
    drawn: Drawn,
    source: np.ndarray,
    kept: np.ndarray,
    rng: np.random.Generator,
) -> LikeLinks:
    """For each link of new nodes in view `at` a real link to the same target, of a node like the
    source: the nearest of 32 random ones. Where no real link has the target, any link.

    kept [e]: links that the source has itself and that stay as they are.
    """
    view = real.views[at]
    by_target = np.argsort(view.links.indices, kind="stable")
    first = np.concatenate([[0], np.cumsum(view.counts)])
    n_real = np.diff(first)[drawn.column]
    pick = rng.random((len(drawn.row), TRIES))
    place = first[drawn.column][:, None] + (pick * n_real[:, None]).astype(np.int64)
    place = np.where(n_real[:, None] > 0, place, (pick * view.links.nnz).astype(np.int64))
    seen = by_target[np.minimum(place, view.links.nnz - 1)]
    best = _nearest(real.taste, view, seen, source[drawn.row])
    if kept.any():
        asked = source[drawn.row[kept]] * view.links.shape[1] + drawn.column[kept]
        best[kept] = np.minimum(np.searchsorted(codes_of(view), asked), view.links.nnz - 1)
    return LikeLinks(best, seen)


def _nearest(x: np.ndarray, view: View, seen: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Of the links seen [e, t] that of the node nearest to the node asked [e] in x [n, w]."""
    owner = np.repeat(np.arange(view.links.shape[0]), view.degree)
    best = np.empty(len(seen), np.int64)
    for start in range(0, len(seen), BLOCK):
        rows = slice(start, start + BLOCK)
        far = np.square(x[owner[seen[rows]]] - x[asked[rows]][:, None]).sum(axis=2)
        best[rows] = np.take_along_axis(seen[rows], far.argmin(axis=1)[:, None], axis=1)[:, 0]
    return best


def link_columns(
    real: Real,
    at: int,
    drawn: Drawn,
    source: np.ndarray,
    like: LikeLinks,
    kept: np.ndarray,
    rng: np.random.Generator,
) -> pa.Table:
    """The edge columns of new links: those of the real links like them, and times of the source."""
    view, table = real.views[at], real.edges[at]
    columns = {}
    for name in table.column_names:
        column = tb.one_chunk(table[name])
        taken = column.take(pa.array(like.best))
        if is_time(name, column.type, real.time) and len(taken) and not column.null_count:
            times = new_times(
                drawn.row, source, whole(taken), view.links.indptr, whole(column), rng
            )
            times = np.where(kept, whole(taken), times)
            taken = as_column(times, np.zeros(len(times), bool), column.type)
        columns[name] = taken
    return pa.table(columns) if columns else pa.table({"": pa.nulls(len(like.best))}).select([])


def with_columns_of_twin(
    real: Real, at: int, made: pa.Table, tables: Sequence[pa.Table]
) -> pa.Table:
    """The columns of new links in view `at`; where a view before has the same links, those of real
    links that say the same in both are the same here.

    tables: the columns of new links in the views before.
    """
    same = real.same_as(at)
    if same < 0:
        return made
    here, there = real.edges[at], real.edges[same]
    for place, name in enumerate(made.column_names):
        if name in there.column_names and here[name].equals(there[name]):
            made = made.set_column(place, name, tables[same][name])
    return made


def records_of(
    real: Real,
    witness: Witness,
    record: np.ndarray,
    drawn: Drawn,
    like: LikeLinks,
    columns: pa.Table,
    writer: Writer | None,
    rng: np.random.Generator,
) -> Evidence | None:
    """The nodes that record new links, such as reviews: one for each link whose like has one.

    Columns that the link has too are the link's. Text is that of the like's record, with words of
    records of other links to the target. Others are those of the like's record.
    """
    links = np.flatnonzero(record[like.best] >= 0)
    if not len(links):
        return None
    frame = record[like.best[links]]
    near = record[like.seen[links]]
    near = np.where(near >= 0, near, frame[:, None])
    shared = columns.take(pa.array(links))
    made = _record_columns(real, witness.type, shared, frame, near, writer, rng)
    at = [view.key for view in real.views].index(witness.key)
    return Evidence(
        made,
        witness.own,
        drawn.row[links],
        witness.about,
        real.views[at].targets.take(pa.array(drawn.column[links])),
        drawn.probability[links],
    )


def _record_columns(
    real: Real,
    type: str,
    shared: pa.Table,
    frame: np.ndarray,
    near: np.ndarray,
    writer: Writer | None,
    rng: np.random.Generator,
) -> pa.Table:
    """The columns of k records: those of the links, or from the records frame [k], near [k, g]."""
    table = real.hin.observed().nodes[type]
    mixed = crossing(frame, near, rng)
    out, texts = {}, []
    for name in [c for c in table.column_names if c not in ("id", *PROVENANCE)]:
        column = tb.one_chunk(table[name])
        if name in shared.column_names and shared[name].type == column.type:
            out[name] = tb.one_chunk(shared[name])
        elif kind_of(column) == "text":
            out[name] = Slots(column).fill(mixed)
            texts.append(name)
        else:
            out[name] = column.take(pa.array(frame))
    if writer is not None:
        for name in texts:
            drafts = out.pop(name)
            out[name] = written(writer, name, pa.table(out), drafts, type)
    return pa.table(out) if out else pa.table({"": pa.nulls(len(frame))}).select([])
