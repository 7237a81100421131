"""Audit a split: every way in which a held-out pair can be read off the graphs that a method may see.

`audit(split)` compares `split.train` (and `split.train_valid`) with `split.source`. What it looks for:

    pair, reverse, twin     the pair itself, or a row of another relation between the same ends
    path                    nodes between the two ends: a review, an order with its lines, a group of raters
    mention                 a column that names the other end: ids in text, lists or numbers
    aggregate               a column that equals a count, sum, mean, ... over the whole source, not over train
    derived edges           nearest neighbours or co-occurrences computed from the whole source
    text                    the text of a held-out row inside another column
    future                  rows later than the cut of a temporal split, or than a user's own held-out pair
    generated               rows of a delta that was fitted on held-out pairs

What lineage and content cannot settle is listed as unknown, never as clean.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

from hinaug.delta import Delta
from hinaug.leaks import columns, rows
from hinaug.leaks.view import Finding, View
from hinaug.split import Split

__all__ = ["Audit", "Finding", "audit"]


@dataclass
class Audit:
    """leaks: what gives held-out pairs away. unknown: what could, and cannot be told."""

    leaks: list[Finding] = field(default_factory=list)
    unknown: list[Finding] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """No leak and nothing unknown."""
        return not self.leaks and not self.unknown

    def __str__(self) -> str:
        lines = [f"{len(self.leaks)} leaks, {len(self.unknown)} unknown"]
        lines += [f"  LEAK     {f}" for f in self.leaks] + [f"  unknown  {f}" for f in self.unknown]
        return "\n".join(lines)

    __repr__ = __str__


def audit(split: Split, *deltas: Delta) -> Audit:
    """Every leak and every unknown of a split; deltas: generated rows that shall be put on its graphs.

    Row order of the findings: train first (held out: valid and test), then train_valid (held out: test).
    """
    out = Audit()
    both = pa.concat_tables(
        [split.valid.select(["src", "dst"]), split.test.select(["src", "dst"])], promote_options="permissive"
    )
    for name, graph, held in (
        ("train", split.train, both),
        ("train_valid", split.train_valid, split.test.select(["src", "dst"])),
    ):
        if held.num_rows == 0:
            continue
        view = View(name, graph, split, held.combine_chunks())
        for look in (rows.direct, rows.paths, rows.future):
            for finding in look(view):
                out.leaks.append(finding)
        for certain, finding in rows.generated(view, deltas):
            (out.leaks if certain else out.unknown).append(finding)
        for certain, finding in columns.look(view):
            (out.leaks if certain else out.unknown).append(finding)
    return out
