"""Tables in markdown from the lines of a file of results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

RESULTS = Path(__file__).parent.parent / "results"
SPLITS = 8  # the fewest that a verdict needs
Row = dict[str, Any]


def rows(name: str) -> list[Row]:
    """The lines of a file of results."""
    path = RESULTS / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def table(head: list[str], body: Iterable[list[str]]) -> str:
    """A markdown table, without the columns in which nothing stands."""
    body = list(body)
    kept = [i for i in range(len(head)) if any(line[i] for line in body)]
    lines = [[line[i] for i in kept] for line in [head, ["---"] * len(head), *body]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def figure(value: float | None) -> str:
    """.1849"""
    return "" if value is None else f"{value:.4f}".removeprefix("0")


def pair(values: list[float] | None, sd: list[float] | None = None) -> str:
    """.1787 / .1467 (.0012 / .0018)"""
    if values is None:
        return ""
    spread = f" ({' / '.join(map(figure, sd))})" if sd else ""
    return " / ".join(map(figure, values)) + spread


def seconds(value: float | str | None) -> str:
    """1,765"""
    return f"{value:,}" if isinstance(value, int | float) else value or ""


def groups(found: list[Row]) -> dict[str, list[Row]]:
    """{data: its rows} in the order of the file."""
    made: dict[str, list[Row]] = {}
    for row in found:
        made.setdefault(row["data"], []).append(row)
    return made


def cell(value: Any) -> str:
    """A figure, an interval, a list, or a text."""
    if isinstance(value, float):
        shown = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
        return shown.replace("0.", ".", 1) if abs(value) < 1 else shown
    if isinstance(value, list | tuple):
        return (" to " if len(value) == 2 else ", ").join(map(cell, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else value or ""


def as_it_is(found: Sequence[Row], without: Iterable[str] = ()) -> str:
    """A table with a column for each key of the rows."""
    head = list(dict.fromkeys(key for row in found for key in row if key not in without))
    names = [key.replace("_", " ") for key in head]
    return table(names, [[cell(row.get(key)) for key in head] for row in found])


def averages(found: Iterable[Row], by: str) -> list[Row]:
    """One row for each value of a key: how many rows it has, and the mean of each number."""
    made: dict[str, list[Row]] = {}
    for row in found:
        made.setdefault(row[by], []).append(row)
    return [
        {by: name, "seeds": len(few)}
        | {
            key: mean(row[key] for row in few)
            for key, value in few[0].items()
            if isinstance(value, int | float) and all(key in row for row in few)
        }
        for name, few in made.items()
    ]
