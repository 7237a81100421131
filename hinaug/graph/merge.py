"""merge: one delta from several, an ensemble of generators that votes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.checks import is_number, kind
from hinaug.errors import KindError, ParameterError
from hinaug.graph import arrow as tb
from hinaug.graph.delta import Delta
from hinaug.graph.validate import PARTS, ends_of, id_columns

RULES = ("union", "majority", "intersection")


def merge(deltas: Sequence[Delta], how: str | int = "union") -> Delta:
    """One delta from several: an ensemble of generators votes.

    Parameters
    ----------
    deltas
        The deltas to join.
    how
        "union" keeps every claim once: the most confident row of a pair or cell, with its key and
        origin. "majority" keeps the pairs and cells that more than half of the deltas claim,
        "intersection" those that all do, a whole number those that so many do; confidence is then
        the mean over the claims, and a column "votes" counts them.

    Generated nodes, and whatever touches them, are in one delta only and nothing to vote on: they
    always stay.
    """
    given = _listed(deltas)
    is_count = is_number(how, Integral) and how >= 1  # type: ignore[operator]
    if how not in RULES and not is_count:
        raise ParameterError(
            f"how={how!r}: expected 'union', 'majority', 'intersection' or a number of votes of at "
            "least 1",
            asked=how,
            there=RULES,
        )
    if not given:
        return Delta()
    votes = {"union": 1, "majority": len(given) // 2 + 1, "intersection": len(given)}
    need = int(how) if is_count else votes[str(how)]
    new_ids = _generated_ids(given)
    merged: dict[str, Any] = {part: {} for part in PARTS}
    for part, key, rows, voter in _ballots(given):
        free = _unopposed(part, key, rows, new_ids)
        names = id_columns(part, key)
        merged[part][key] = _vote(rows, voter, names, need, free, mean=how != "union")
    return Delta(**merged, fitted_on=[f for d in given for f in d.fitted_on])


def _listed(deltas: Any) -> list[Delta]:
    given = list(deltas) if isinstance(deltas, Iterable) else [deltas]
    for thing in given:
        if not isinstance(thing, Delta) or thing is deltas:
            raise KindError(
                f"merge takes a list of deltas, such as merge([first, second]); got {kind(thing)}",
                asked=kind(thing),
            )
    return given


def _ballots(deltas: Sequence[Delta]) -> Iterator[tuple[str, Any, pa.Table, np.ndarray]]:
    """(part, type, all rows, number of the delta of each row) of everything that deltas claim."""
    for part in PARTS:
        for key in dict.fromkeys(key for d in deltas for key in d._parts[part]):
            tables = [
                (i, d._parts[part][key]) for i, d in enumerate(deltas) if key in d._parts[part]
            ]
            voter = np.concatenate([np.full(table.num_rows, i) for i, table in tables])
            yield part, key, tb.concat([table for _, table in tables]), voter


def _generated_ids(deltas: Sequence[Delta]) -> dict[str, pa.Array]:
    found: dict[str, list[pa.Array]] = {}
    for delta in deltas:
        for type, table in delta.nodes.items():
            found.setdefault(type, []).append(tb.one_chunk(table["id"]))
    return {type: pa.concat_arrays(ids) for type, ids in found.items()}


def _unopposed(part: str, key: Any, rows: pa.Table, new_ids: dict[str, pa.Array]) -> np.ndarray:
    """Rows that are in one delta only: generated nodes, and edges and cells that touch them."""
    free = np.full(rows.num_rows, part == "nodes")
    for name, node in ends_of(part, key) if part != "nodes" else ():
        if node in new_ids:
            touches = pc.is_in(rows[name], value_set=new_ids[node])
            free |= touches.to_numpy(zero_copy_only=False)
    return free


def _vote(
    rows: pa.Table, voter: np.ndarray, names: Sequence[str], need: int, free: np.ndarray, mean: bool
) -> pa.Table:
    """The best row of each claim that enough voters make; rows of one claim share their ids."""
    claim = np.zeros(rows.num_rows, np.int64)
    for name in names:
        codes = pc.dictionary_encode(rows[name]).combine_chunks()
        claim = claim * (len(codes.dictionary) + 1) + codes.indices.to_numpy()
    _, claim = np.unique(claim, return_inverse=True)
    confidence = rows["confidence"].to_numpy().astype(np.float64)
    pairs = np.unique(np.stack([claim, voter]), axis=1)
    votes = np.bincount(pairs[0], minlength=claim.max(initial=-1) + 1)
    order = np.lexsort((np.arange(len(claim)), -confidence, claim))
    best = order[np.r_[True, np.diff(claim[order]) != 0]] if len(order) else order
    keep = np.sort(best[(votes[claim[best]] >= need) | free[best]])
    out = rows.take(pa.array(keep))
    if not mean:
        return out
    average = np.bincount(claim, confidence) / np.maximum(np.bincount(claim), 1)
    at = out.column_names.index("confidence")
    out = out.set_column(at, "confidence", pa.array(average[claim[keep]], pa.float32()))
    out = out.drop_columns([c for c in ("votes",) if c in out.column_names])
    return out.append_column("votes", pa.array(votes[claim[keep]], pa.int32()))
