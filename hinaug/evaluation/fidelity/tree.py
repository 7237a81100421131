"""A report as a tree of small properties, each with a score, a ceiling, and data for a plot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hinaug.errors import UnknownNameError, nearest


@dataclass(frozen=True, eq=False)
class Plot:
    """What a picture of a property shows.

    kind: "shares", one bar a label, or "curve", the share of values up to x.
    labels: of the bars, or None. x: where the curves are known, or None.
    real, made: a number for each label or x.
    """

    kind: str
    real: np.ndarray
    made: np.ndarray
    labels: tuple[str, ...] | None = None
    x: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Measured:
    """What one comparison gives. score: in [0, 1], or None where the data cannot tell.

    figure: the measure behind the score, such as an AUC. says: why there is no score.
    """

    score: float | None
    figure: float | None = None
    says: str = ""
    plot: Plot | None = None


@dataclass(frozen=True, eq=False)
class Property:
    """One property of generated nodes, or the mean of several.

    score: in [0, 1], higher is more like real nodes; None where there is nothing to judge.
    ceiling: the score that real nodes get when they are judged against other real nodes.
    floor: the score of a control that ignores what is measured; None without one.
    figure: the measure behind the score, in the unit that `says` names.
    parts: the properties that this one is the mean of.
    """

    name: str
    score: float | None = None
    ceiling: float | None = None
    floor: float | None = None
    figure: float | None = None
    says: str = ""
    plot: Plot | None = None
    parts: tuple[Property, ...] = ()

    def walk(self, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Property]]:
        """(path of names, property) of this one and of all below it."""
        path = (*above, self.name)
        yield path, self
        for part in self.parts:
            yield from part.walk(path)

    def __getitem__(self, name: str) -> Property:
        """The part of this name; "links/degree" goes down two levels."""
        first, _, rest = name.partition("/")
        for part in self.parts:
            if part.name == first:
                return part[rest] if rest else part
        there = [p.name for p in self.parts]
        raise UnknownNameError(
            f"{self.name!r} has no part {first!r}; it has {there}{nearest(first, there)}",
            asked=first,
            there=there,
        )


def group(name: str, parts: Sequence[Property], says: str = "") -> Property:
    """A property that is the mean of its parts; parts without a score do not count."""
    judged = [part for part in parts if part.score is not None]

    def mean(field: str) -> float | None:
        values = [getattr(part, field) for part in judged]
        known = [v for v in values if v is not None]
        return float(np.mean(known)) if known and len(known) == len(judged) else None

    return Property(
        name, mean("score"), mean("ceiling"), mean("floor"), says=says, parts=tuple(parts)
    )


SCHEMA = pa.schema(
    [
        ("property", pa.string()),
        ("score", pa.float64()),
        ("ceiling", pa.float64()),
        ("floor", pa.float64()),
        ("figure", pa.float64()),
        ("says", pa.string()),
    ]
)


def table(roots: Sequence[Property]) -> pa.Table:
    """One row a property: its path, score, ceiling, floor, figure and what it says."""
    rows = [
        {
            "property": "/".join(path),
            "score": p.score,
            "ceiling": p.ceiling,
            "floor": p.floor,
            "figure": p.figure,
            "says": p.says,
        }
        for root in roots
        for path, p in root.walk()
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)
