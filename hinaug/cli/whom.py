"""For whom new nodes are made: what `hinaug augment` reads from --like and --for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.cli.names import listed
from hinaug.cli.output import note
from hinaug.errors import ParameterError, SchemaError, UnknownNameError, nearest, some
from hinaug.features.kinds import decoded
from hinaug.graph import HIN, Delta, EdgeType
from hinaug.graph import arrow as tb

FEW = 5  # links of a thin node, at most
THIN = "thin"


@dataclass(frozen=True)
class Whom:
    """What new nodes are like, or whose neighbours they are; neither is anybody.

    attributes: rows of attributes that new nodes have in turn.
    nodes: ids of the nodes that get neighbours.
    """

    attributes: pa.Table | None = None
    nodes: pa.Array | None = None

    def check(self, generator: type, size: int | float) -> None:
        """Raises ParameterError where the generator cannot make neighbours so many."""
        if self.nodes is None:
            return
        if not isinstance(size, int):
            raise ParameterError(
                f"--for: {size} is a share; say how many new nodes each gets, such as 5", asked=size
            )
        if not hasattr(generator, "neighbours"):
            raise ParameterError(
                f"--for: {generator.__name__} makes no neighbours of given nodes; take JointVAE",
                asked=generator.__name__,
                there=["JointVAE"],
            )

    def make(self, generator: Any, hin: HIN, size: int | float, seed: int) -> Delta:
        """The delta of a fitted generator."""
        if self.nodes is None:
            return generator.generate(hin, size, condition=self.attributes, rng=seed)
        return generator.neighbours(hin, self.nodes, int(size), rng=seed)


def whom(
    like: Sequence[str], given: str | None, hin: HIN, relation: EdgeType, node: str, seed: int
) -> Whom:
    """What --like and --for name among the nodes of a type."""
    if given is None:
        return Whom(attributes=_like(like, hin, node, seed) if like else None)
    if like:
        raise ParameterError(
            "--like and --for: neighbours of given nodes are like these; leave one of the two out"
        )
    return Whom(nodes=_thin(hin, relation, node) if given == THIN else _named(given, hin, node))


def _thin(hin: HIN, relation: EdgeType, node: str) -> pa.Array:
    """Ids of the nodes with one to five links."""
    links = hin.observed().adjacency(relation)
    degree = np.diff((links if relation[0] == node else links.T.tocsr()).indptr)
    at = np.flatnonzero((degree > 0) & (degree <= FEW))
    if not len(at):
        raise ParameterError(f"--for {THIN}: no {node} has one to {FEW} links", asked=THIN)
    return hin.ids(node, at)


def _named(text: str, hin: HIN, node: str) -> pa.Array:
    """The ids in the type of the graph."""
    ids, names = hin.observed().ids(node), listed(text, "--for")
    words = pa.array(names)
    known = ids.cast(pa.string())
    at = tb.lookup(known, words)
    lacking = [name for name, place in zip(names, at, strict=True) if place < 0]
    if lacking:
        raise UnknownNameError(
            f"--for: no {node} {some(lacking)}{nearest(lacking[0], known.to_pylist())}; ids stand "
            f"with commas between them, or one a line in a file: --for @FILE; --for {THIN} takes "
            f"those with one to {FEW} links",
            asked=lacking,
        )
    return ids.take(pa.array(at))


def _like(texts: Sequence[str], hin: HIN, node: str, seed: int) -> pa.Table:
    """Attributes of the real nodes that have all of it; values of several nodes put together where
    none has.
    """
    table = hin.observed().nodes[node]
    there = [name for name in table.column_names if name != "id"]
    masks: dict[str, np.ndarray] = {}
    for text in texts:
        name, value = _asked(text, there, node)
        found = _has(decoded(tb.one_chunk(table[name])), value, f"--like {text}", node)
        masks[name] = masks.get(name, np.zeros(len(found), bool)) | found
    every = np.logical_and.reduce(list(masks.values()))
    if every.any():
        return table.select(list(masks)).filter(pa.array(every))
    note(f"no {node} has all of {', '.join(texts)}: values of several are put together")
    rng, n = np.random.default_rng(seed), max(int(mask.sum()) for mask in masks.values())
    rows = {c: rng.choice(np.flatnonzero(mask), n) for c, mask in masks.items()}
    return pa.table({c: table[c].take(pa.array(at)) for c, at in rows.items()})


def _asked(text: str, there: Sequence[str], node: str) -> tuple[str, str]:
    """The column and the value that "region=B" names."""
    name, _, value = (part.strip() for part in text.partition("="))
    if not (name and value):
        raise ParameterError(
            f"--like {text!r}: written COLUMN=VALUE or COLUMN=FROM..TO, such as region=B, age=60.. "
            "or age=18..25",
            asked=text,
        )
    if name not in there:
        raise UnknownNameError(
            f"--like: {node} nodes have no column {name!r}; there are {there}"
            f"{nearest(name, there)}",
            asked=name,
            there=there,
        )
    return name, value


def _has(column: pa.Array, value: str, who: str, node: str) -> np.ndarray:
    """Which rows have the value, or one in the range; at least one has."""
    boolean = pa.types.is_boolean(column.type)
    if boolean or tb.is_text(column.type):
        words = column.cast(pa.string())
        found = pc.equal(words, value.lower() if boolean else value)
        there = f"there are {some(words.drop_null().unique().to_pylist(), 10)}"
    elif tb.is_number(column.type) or pa.types.is_temporal(column.type):
        found = _within(column, value, who)
        ends = pc.min_max(column)
        there = f"values run from {ends['min']} to {ends['max']}"
    else:
        raise ParameterError(
            f"{who}: the column holds {column.type}; --like takes words, numbers, times, true and "
            "false",
            asked=value,
            there=column.type,
        )
    mask = found.fill_null(False).to_numpy(zero_copy_only=False)
    if not mask.any():
        raise ParameterError(f"{who}: no {node} is like that; {there}", asked=value)
    return mask


def _within(column: pa.Array, value: str, who: str) -> pa.Array:
    """Which numbers or times are equal to "41", or lie in "36..", "..20" or "18..25"."""
    low, dots, high = value.partition("..")
    if not dots:
        return pc.equal(column, _typed(value, column.type, who))
    found = pc.is_valid(column)
    if low.strip():
        found = pc.and_(found, pc.greater_equal(column, _typed(low, column.type, who)))
    if high.strip():
        found = pc.and_(found, pc.less_equal(column, _typed(high, column.type, who)))
    return found


def _typed(text: str, type: pa.DataType, who: str) -> pa.Scalar:
    # a bound may lie between the whole numbers of the column
    wanted = pa.float64() if tb.is_number(type) else type
    try:
        return pa.scalar(text.strip()).cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaError(
            f"{who}: {text.strip()!r} is no {type}, as the column is", asked=text, there=type
        ) from error
