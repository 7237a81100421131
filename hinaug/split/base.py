"""Splits follow information, not edge types: a held-out pair leaves together with everything that
records it.

The unit that is held out is a *pair* of the target relation, with all its parallel rows. With it go

    its twins       rows of every other relation between the same two node types, in either direction,
    its witnesses   nodes of the types named in `evidence` (such as reviews) that join its two ends,
                    with all their edges and columns,
    the future      in a temporal split, every row of any table whose time lies after the cut; in leave-last, what touches
                    a user later than the user's own held-out pairs.

Users and items stay, so their positions are the same in `source`, `train` and `train_valid`; one
that itself carries a time after the cut keeps its id alone, its attributes become null.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from hinaug.errors import KindError, ParameterError, SchemaError, some
from hinaug.graph import expect
from hinaug.graph.evidence import as_types, before_cut, before_rows_of_user, times_of, without_pairs
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import among, distinct
from hinaug.graph.schema import EdgeType

TRAIN, VALID, TEST, DROPPED = range(4)


@dataclass(frozen=True, eq=False)
class Split:
    """What a method may see, and what it is judged by.

    train: to fit on. train_valid: to refit on once choices are made. source: everything, for
        `audit`.
    valid, test: held-out pairs with their attributes, external ids in "src" and "dst".
    how: the function, its parameters and what it counted (ties, cut times).
    """

    source: HIN
    target: EdgeType
    train: HIN
    train_valid: HIN
    valid: pa.Table
    test: pa.Table
    evidence: tuple[str, ...] = ()
    how: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        pairs = [
            len(self.train.adjacency(self.target).data),
            self.valid.num_rows,
            self.test.num_rows,
        ]
        return f"Split({self.how.get('split', 'by hand')}: {pairs[0]:,} train, {pairs[1]:,} valid, {pairs[2]:,} test of {self.target})"


class RelationPairs:
    """The distinct observed pairs of a relation: ends, first row, and when first seen."""

    def __init__(self, who: str, hin: HIN, target: EdgeType, time: str | None = None) -> None:
        expect.graph(hin, who)
        self.hin, self.target = hin, target
        hin.edges[target]
        observed = hin.observed()
        src, dst = observed.links(target)
        self.width = max(observed.n(target[2]), 1)
        self.code, self.first, self.inverse = np.unique(
            src.astype(np.int64) * self.width + dst, return_index=True, return_inverse=True
        )
        self.src, self.dst = self.code // self.width, self.code % self.width
        if time is not None:
            when = times_of(observed, target, time)
            missing = np.flatnonzero(np.isnan(when))
            if missing.size:
                raise SchemaError(
                    f"edges {target}: {time!r} is null in {missing.size} rows (first "
                    f"{some(missing[:5].tolist())}); "
                    "leave them out with filter_edges, or fill them, before"
                )
            self.time = np.full(len(self.code), np.inf)
            np.minimum.at(self.time, self.inverse, when)
            order = np.lexsort((np.arange(len(when)), when, self.inverse))
            self.first = order[np.searchsorted(self.inverse[order], np.arange(len(self.code)))]

    def __len__(self) -> int:
        return len(self.code)

    def among(self, hin: HIN, pairs: pa.Table | None) -> np.ndarray:
        """Which of these pairs stand in a graph, or in a table of external ids."""
        if pairs is None:
            src, dst = hin.observed().links(self.target)
        else:
            src, dst = (
                hin.positions(self.target[0], pairs["src"]),
                hin.positions(self.target[2], pairs["dst"]),
            )
        return among(self.code, distinct(src.astype(np.int64) * self.width + dst))


def build_split(
    pairs: RelationPairs,
    part: np.ndarray,
    evidence: Sequence[str],
    keep: Iterable[EdgeType],
    how: dict[str, Any],
    left: np.ndarray | None = None,
    time: str | None = None,
    cuts: Sequence[float] | None = None,
) -> Split:
    hin, target = pairs.hin, pairs.target
    evidence, keep = as_types("evidence", evidence), as_types("keep", keep)
    for type in evidence:
        hin.nodes[type]
        if type in (target[0], target[2]):
            raise ParameterError(
                f"evidence={evidence}: {type!r} is an end of {target}; evidence are the nodes "
                "between its ends"
            )
    for edge in keep:
        hin.edges[edge]
    left = np.ones(len(part), bool) if left is None else left
    graphs = []
    for inside, cut in (((TRAIN,), 0), ((TRAIN, VALID), 1)):
        stays = np.isin(part, inside) & left
        graph = without_pairs(hin, target, pairs.src[~stays], pairs.dst[~stays], evidence, keep)
        if cuts is not None and time is not None:
            graph = before_cut(graph, time, cuts[cut], (target[0], target[2]))
        elif time is not None:
            limit = np.full(hin.n_observed(target[0]), np.inf)
            out = np.isin(part, (VALID, TEST)) & ~np.isin(part, inside)
            np.minimum.at(limit, pairs.src[out], pairs.time[out])
            graph = before_rows_of_user(graph, time, (target[0], target[2]), limit, keep)
        graphs.append(graph)
    how = {**how, "evidence": list(evidence), "keep": [list(e) for e in keep]}
    if (
        target[0] == target[2]
    ):  # the reverse of a held-out pair left train, though it may be in no other part
        lost = np.isin(
            pairs.dst * pairs.width + pairs.src, pairs.code[np.isin(part, (VALID, TEST))]
        )
        how["reversed"] = int((lost & (part == TRAIN) & (pairs.src != pairs.dst)).sum())
    valid, test = (_table(pairs, part == p) for p in (VALID, TEST))
    return Split(hin, target, graphs[0], graphs[1], valid, test, evidence, how)


def _table(pairs: RelationPairs, chosen: np.ndarray) -> pa.Table:
    """The first row of each chosen pair, with external ids."""
    observed, target = pairs.hin.observed(), pairs.target
    rows = np.sort(pairs.first[chosen])
    table = observed.edges[target].take(pa.array(rows))
    for side, node in ((0, target[0]), (1, target[2])):
        table = table.set_column(
            side, ("src", "dst")[side], observed.ids(node, table.column(side).to_numpy())
        )
    return table.combine_chunks()


def check_time_name(time: Any, who: str) -> None:
    if not isinstance(time, str):
        raise KindError(
            f"{who}: time={time!r}: the name of a column of the edges is needed, such as 'time'"
        )
