"""Split, and the one function that builds it: held-out pairs leave with all that records them.

The unit that is held out is a *pair* of the target relation, with all its parallel rows. With it go

    its twins       rows of every other relation between the same two node types, in either
                    direction,
    its witnesses   nodes of the types named in `evidence` (such as reviews) that join its two
                    ends, with all their edges and columns,
    the future      in a temporal split, every row of any table whose time lies after the cut; in
                    leave-last, what touches a user later than the user's own held-out pairs.

Users and items stay, so their positions are the same in `source`, `train` and `train_valid`. One
that itself carries a time after the cut keeps its id alone; its attributes become null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from hinaug.errors import KindError, ParameterError, SchemaError, some
from hinaug.graph import arrow as tb
from hinaug.graph import expect
from hinaug.graph.evidence import (
    as_types,
    before_cut,
    before_rows_of_user,
    order_of_times,
    times_of,
    without_pairs,
)
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import PairIndex, relation_shape
from hinaug.graph.schema import EdgeType, Type

TRAIN, VALID, TEST, DROPPED = range(4)


@dataclass(frozen=True, eq=False)
class Split:
    """What a method may see, and what it is judged by.

    source: everything, for `audit`.
    target: the relation whose pairs are held out.
    train: the graph to fit on.
    train_valid: the graph to refit on once choices are made.
    valid, test: held-out pairs with their attributes, external ids in "src" and "dst".
    evidence: node types that left together with the pairs that they witness.
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

    def with_derived(self, type: Type, name: str, function: Callable[[HIN], Any]) -> Split:
        """The split with a column that is computed from train alone, such as popularity.

        The function is called twice: train gets what it makes of train, train_valid what it makes
        of train_valid. The source does not get the column. Its lineage is "aggregate", and `how`
        says of which values it was, so that `audit` knows where the column comes from.

        type: a node type or an edge type of the graphs.
        name: the name of the column.
        function: takes a graph and returns one value for each row of `type`.
        """
        graphs, derived = {}, dict(self.how.get("derived", {}))
        for part in ("train", "train_valid"):
            graph = getattr(self, part)
            graph = graph.with_column(type, name, function(graph), lineage="aggregate")
            graphs[part] = graph
            where = f"{' '.join(type) if isinstance(type, tuple) else type}.{name}"
            content = tb.content_hash(graph.observed().table(type).select([name]))
            derived[part] = {**derived.get(part, {}), where: content}
        return replace(self, **graphs, how={**self.how, "derived": derived})

    def __repr__(self) -> str:
        n_train = self.train.adjacency(self.target).nnz
        return (
            f"Split({self.how.get('split', 'by hand')}: {n_train:,} train, "
            f"{self.valid.num_rows:,} valid, {self.test.num_rows:,} test of {self.target})"
        )


class RelationPairs:
    """The distinct observed pairs of a relation, and the row and time at which each is first seen.

    index: the pairs, a PairIndex; src, dst: their positions, int64 [n].
    first_row: the row of the edge table at which each pair is first seen, int64 [n].
    time: when that was, float64 [n]; only where a column of times is named.
    order: numbers in the order of these times, which tell nanoseconds apart, [n].
    """

    time: np.ndarray
    order: np.ndarray

    def __init__(self, who: str, hin: HIN, target: EdgeType, time: str | None = None) -> None:
        expect.graph(hin, who)
        hin.edges[target]  # raises, naming what there is
        self.hin, self.target = hin, target
        observed = hin.observed()
        src, dst = observed.links(target)
        shape = relation_shape(observed, target)
        if time is None:
            self.index, self.first_row = PairIndex.with_first_rows(src, dst, shape)
        else:
            when = _known_times(observed, target, time)
            order = order_of_times(observed, target, time)
            by_time = np.argsort(order, kind="stable")
            self.index, first = PairIndex.with_first_rows(src[by_time], dst[by_time], shape)
            self.first_row = by_time[first]
            self.time, self.order = when[self.first_row], order[self.first_row]
        self.src, self.dst = self.index.src, self.index.dst

    def __len__(self) -> int:
        return len(self.index)

    def in_graph(self, hin: HIN) -> np.ndarray:
        """Which of these pairs are observed in another graph of the same users and items, bool."""
        return PairIndex.of(hin, self.target).contains(self.src, self.dst)

    def in_table(self, pairs: pa.Table) -> np.ndarray:
        """Which of these pairs stand in a table of external ids ("src", "dst"), bool."""
        return PairIndex.from_ids(self.hin, self.target, pairs).contains(self.src, self.dst)


def _known_times(hin: HIN, target: EdgeType, time: str) -> np.ndarray:
    """The time of each row, float64; SchemaError where one is null."""
    when = times_of(hin, target, time)
    missing = np.flatnonzero(np.isnan(when))
    if missing.size:
        raise SchemaError(
            f"edges {target}: {time!r} is null in {missing.size} rows (first "
            f"{some(missing[:5].tolist())}); leave them out with filter_edges, or fill them, "
            "before",
            asked=time,
            there=missing.tolist(),
        )
    return when


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
    """The split that puts each pair into its part.

    part: TRAIN, VALID, TEST or DROPPED for each of `pairs`, int8 [n].
    evidence: node types that witness a pair.
    keep: relations whose rows stay although they join held-out pairs.
    how: what the split says about itself.
    left: bool [n], the pairs that stay in the graphs of their part; None for all.
    time: the column of times, where what lies later than the held-out pairs leaves too.
    cuts: the ends of train and of valid for all users; None: each user's own moment.
    """
    hin, target = pairs.hin, pairs.target
    evidence, keep = as_types("evidence", evidence), as_types("keep", keep)
    _check_types(hin, target, evidence, keep)
    graphs = []
    for parts, cut in (((TRAIN,), 0), ((TRAIN, VALID), 1)):
        inside = np.isin(part, parts)
        stays = inside if left is None else inside & left
        graph = without_pairs(hin, target, pairs.index.take(~stays), evidence, keep)
        if time is not None and cuts is not None:
            graph = before_cut(graph, time, cuts[cut], (target[0], target[2]))
        elif time is not None:
            limit = _first_held_out(pairs, np.isin(part, (VALID, TEST)) & ~inside)
            graph = before_rows_of_user(graph, time, (target[0], target[2]), limit, keep)
        graphs.append(graph)
    how = {**how, "evidence": list(evidence), "keep": [list(e) for e in keep]}
    if target[0] == target[2]:
        how["reversed"] = _count_reversed(pairs.index, part)
    valid, test = (_table(pairs, part == p) for p in (VALID, TEST))
    return Split(hin, target, graphs[0], graphs[1], valid, test, evidence, how)


def _check_types(
    hin: HIN, target: EdgeType, evidence: Sequence[str], keep: Sequence[EdgeType]
) -> None:
    """Raises for a type that the graph does not have, and for evidence that is an end."""
    for type in evidence:
        hin.nodes[type]
        if type in (target[0], target[2]):
            raise ParameterError(
                f"evidence={evidence}: {type!r} is an end of {target}; evidence are the nodes "
                "between its ends",
                asked=type,
                there=[t for t in hin.nodes if t not in (target[0], target[2])],
            )
    for edge in keep:
        hin.edges[edge]


def _first_held_out(pairs: RelationPairs, held_out: np.ndarray) -> np.ndarray:
    """When each source's first held-out pair was seen, float64 [sources]; inf where none is."""
    limit = np.full(pairs.index.shape[0], np.inf)
    np.minimum.at(limit, pairs.src[held_out], pairs.time[held_out])
    return limit


def _count_reversed(index: PairIndex, part: np.ndarray) -> int:
    """How many train pairs left train because their reverse is held out."""
    train = index.take(part == TRAIN)
    held_out = index.take(np.isin(part, (VALID, TEST)))
    return int((held_out.contains(train.dst, train.src) & (train.src != train.dst)).sum())


def _table(pairs: RelationPairs, chosen: np.ndarray) -> pa.Table:
    """The first row of each chosen pair, with external ids."""
    observed, target = pairs.hin.observed(), pairs.target
    rows = np.sort(pairs.first_row[chosen])
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
