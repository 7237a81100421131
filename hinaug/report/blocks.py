"""What a page is made of: text, facts, tables, findings and pictures, as plain data.

The same blocks are printed on the terminal, kept as lines of JSON, and laid out as HTML. To add a
kind of picture, write a class here and how it is drawn in `pictures.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

Cell = str | int | float | None


class Block:
    """A part of a page. Fields hold what JSON can hold."""

    def document(self) -> dict[str, Any]:
        """The block as a JSON object, with its kind."""
        block: Any = self  # its subclasses are dataclasses
        return {"kind": type(self).__name__, **dataclasses.asdict(block)}


@dataclass
class Text(Block):
    """A paragraph."""

    text: str


@dataclass
class Facts(Block):
    """Names and what stands for each."""

    rows: dict[str, str]


@dataclass
class Command(Block):
    """A command line."""

    line: str


@dataclass
class Table(Block):
    """Rows under named columns. marked: the rows that rest on generated data.

    folded: shown only when asked for.
    """

    caption: str
    columns: list[str]
    rows: list[list[Cell]]
    marked: list[int] = field(default_factory=list)
    folded: bool = False


@dataclass
class Finding(Block):
    """One comparison in short: where, what was measured, and what may be said.

    control: what a delta of the same size without information gives, None where there is none.
    change: the effect in words, such as "+26 %".
    outcome: "helps", "hurts", "no gain", or "no verdict".
    measured: "" for this run, else where the figures come from.
    """

    where: str
    metric: str
    plain: float
    augmented: float
    control: float | None
    change: str
    outcome: Literal["helps", "hurts", "no gain", "no verdict"]
    sentence: str
    measured: str = ""
    control_name: str = "random delta"
    plain_name: str = "plain"
    augmented_name: str = "augmented"


class Picture(Block):
    """A block that is drawn. `title` names it; `told` says in words what it shows."""

    title: str

    @property
    def told(self) -> str:
        """What the picture shows, in words."""
        raise NotImplementedError


@dataclass
class Findings(Picture):
    """Where the augmentation won and where not: bars from zero, each finding by its own scale."""

    title: str
    findings: list[Finding]

    @property
    def told(self) -> str:
        """What the picture shows, in words."""
        return "; ".join(f"{f.where}: {f.sentence}" for f in self.findings)


@dataclass
class Bars(Picture):
    """A bar each, grouped. values: {group: {name: [value, low, high]}}; marked: generated ones."""

    title: str
    metric: str
    values: dict[str, dict[str, list[float]]]
    marked: list[str] = field(default_factory=list)

    @property
    def told(self) -> str:
        """What the picture shows, in words."""
        return "; ".join(
            f"{group}, {name}: {value[0]:.4f}"
            for group, bars in self.values.items()
            for name, value in bars.items()
        )


@dataclass
class Intervals(Picture):
    """Points with intervals about a line at zero.

    rows: [group, label, count, value, low, high]; hollow: labels that are drawn hollow.
    """

    title: str
    metric: str
    rows: list[list[Cell]]
    hollow: list[str] = field(default_factory=list)

    @property
    def told(self) -> str:
        """What the picture shows, in words."""
        return "; ".join(
            f"{group}, {label}: {value:+.4f} [{low:+.4f}, {high:+.4f}], {count} users"
            for group, label, count, value, low, high in self.rows
        )


@dataclass
class Lines(Picture):
    """Curves. series: {name: [[x, ...], [y, ...]]}; log: which axes are logarithmic, "", "x", "xy".

    marked: the series that show generated data. labels: {name: a label at each point}.
    """

    title: str
    x: str
    y: str
    series: dict[str, list[list[float]]]
    log: str = ""
    marked: list[str] = field(default_factory=list)
    labels: dict[str, list[str]] = field(default_factory=dict)

    @property
    def told(self) -> str:
        """What the picture shows, in words."""
        parts = [
            f"{name}: from {ys[0]:.3g} at {xs[0]:.3g} to {ys[-1]:.3g} at {xs[-1]:.3g}"
            if xs
            else f"{name}: none"
            for name, (xs, ys) in self.series.items()
        ]
        return f"{self.y} against {self.x}. " + "; ".join(parts)


@dataclass
class Dots(Picture):
    """Two clouds in one plane. real, made: [x, y] of each."""

    title: str
    real: list[list[float]]
    made: list[list[float]]

    @property
    def told(self) -> str:
        """What the picture shows, in words."""
        return f"{len(self.real):,} real and {len(self.made):,} generated are drawn"


@dataclass
class Histogram(Picture):
    """Counts between edges, one more than there are counts."""

    title: str
    x: str
    counts: list[int]
    edges: list[float]

    @property
    def told(self) -> str:
        """What the picture shows, in words."""
        bins = zip(self.edges, self.edges[1:], self.counts, strict=False)
        return "; ".join(f"{low:.3g} to {high:.3g}: {n:,}" for low, high, n in bins if n)


@dataclass
class Types(Picture):
    """Node types as circles, edge types as arrows.

    nodes: {type: [observed, generated]}. edges: [source, name, target, observed, generated].
    """

    title: str
    nodes: dict[str, list[int]]
    edges: list[list[Cell]]

    @property
    def told(self) -> str:
        """What the picture shows, in words."""
        nodes = [f"{type}: {n[0]:,} observed, {n[1]:,} generated" for type, n in self.nodes.items()]
        edges = [f"{a} {name} {b}: {n:,} and {made:,}" for a, name, b, n, made in self.edges]
        return "; ".join(nodes + edges)


@dataclass
class Section:
    """A headed part of a page. Neighbouring pictures stand beside each other."""

    title: str
    about: str = ""
    blocks: list[Block] = field(default_factory=list)


KINDS: dict[str, type[Block]] = {
    kind.__name__: kind
    for kind in (
        Text, Facts, Command, Table, Finding, Findings, Bars, Intervals, Lines, Dots, Histogram,
        Types,
    )
}  # fmt: skip


def as_block(document: Mapping[str, Any]) -> Block:
    """The block that `document()` wrote. Raises ValueError, which says what does not fit."""
    kind = KINDS[document["kind"]]
    given = {k: v for k, v in document.items() if k not in ("kind", "section")}
    hints, fields = get_type_hints(kind), dataclasses.fields(kind)  # type: ignore[arg-type]
    needed = {f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING}
    if needed - set(given):
        raise ValueError(f"{kind.__name__} has no {sorted(needed - set(given))}")
    for name, value in given.items():
        if name not in hints or not _fits(value, hints[name]):
            raise ValueError(f"{kind.__name__}: {name!r} is {value!r}")
    if "findings" in given:
        given["findings"] = [as_block({"kind": "Finding", **each}) for each in given["findings"]]
    return kind(**given)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value read from JSON is what the annotation says."""
    inner = get_args(hint)
    check = _CHECKS.get(get_origin(hint))
    if check is not None:
        return check(value, inner)
    if issubclass(hint, Block):
        return isinstance(value, dict)
    plain: dict[Any, tuple[type, ...]] = {float: (int, float)}
    return isinstance(value, plain.get(hint, (hint,))) and (
        hint is bool or not isinstance(value, bool)
    )


_CHECKS: dict[Any, Callable[[Any, Any], bool]] = {  # by what an annotation is made of
    UnionType: lambda value, inner: any(_fits(value, one) for one in inner),
    Literal: lambda value, inner: value in inner,
    list: lambda value, inner: isinstance(value, list) and all(_fits(v, inner[0]) for v in value),
    dict: lambda value, inner: (
        isinstance(value, dict) and all(_fits(v, inner[1]) for v in value.values())
    ),
}
