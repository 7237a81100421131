"""Audit a split: every way in which a held-out pair can be read off the graphs that a method may
see.

`audit(split)` compares `split.train` (and `split.train_valid`) with `split.source`. What it looks
for:

    pair, reverse, twin     the pair itself, or a row of another relation between the same ends
    path                    nodes between the two ends: a review, an order with its lines, a
                            group of raters
    mention                 a column that names the other end: ids in text, lists or numbers,
                            titles, one-hot vectors
    clone                   a copy of a user or item under another id
    complement              everything but the held-out pairs
    remnant                 a node that joined a held-out pair, left behind
    aggregate               a column that follows a count, sum, mean, ... of held-out rows, on
                            nodes or on their edges
    derived edges           nearest neighbours or co-occurrences computed from the whole source
    embedding               vectors of users and items that tell held-out pairs as surely as
                            known ones
    text                    the text of a held-out row inside another column
    future                  rows later than the cut of a temporal split, or than a user's own
                            held-out pair
    generated               rows of a delta that was fitted on held-out pairs

Columns and edges are judged by what they hold, whatever their lineage says. What neither lineage
nor content can settle (a column or edge type without lineage, rows that the source does not have,
an aggregate that cannot be traced to this graph, a handful of matches that may be chance) is listed
as unknown, never as clean.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from hinaug.checks import kind
from hinaug.errors import KindError
from hinaug.graph.delta import Delta
from hinaug.split.audit import columns, derived, embeddings, rows, texts, ways
from hinaug.split.audit.generated import generated
from hinaug.split.audit.view import Finding, View
from hinaug.split.base import Split

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
    """Every leak and every unknown of a split; deltas: generated rows that shall be put on its
    graphs.

    Row order of the findings: train first (held out: valid and test), then train_valid (held out:
    test).
    """
    if not isinstance(split, Split):
        raise KindError(
            f"audit takes a Split, got {kind(split)}; make one of a graph with random_split, "
            "leave_last or temporal_split"
        )
    wrong = [d for d in deltas if not isinstance(d, Delta)]
    if wrong:
        raise KindError(
            f"audit(split, *deltas) takes deltas after the split, one by one; got {kind(wrong[0])}"
        )
    out = Audit()
    both = pa.concat_tables(
        [split.valid.select(["src", "dst"]), split.test.select(["src", "dst"])],
        promote_options="permissive",
    )
    kept: dict[str, Any] = {}
    for name, graph, held in (
        ("train", split.train, both),
        ("train_valid", split.train_valid, split.test.select(["src", "dst"])),
    ):
        if held.num_rows == 0:
            continue
        view = View(name, graph, split, held.combine_chunks())
        view.kept = kept
        found: list[tuple[bool, Finding]] = []
        for look in (
            rows.direct,
            ways.joins,
            ways.clones,
            rows.remnants,
            texts.look,
            derived.look,
            embeddings.look,
            rows.future,
        ):
            found += look(view)
        leaking = {f.where for certain, f in found if certain}
        found += columns.look(view, named=leaking)
        found += rows.added(view)
        found += generated(view, deltas, {f.where for certain, f in found if certain})
        for certain, finding in found:
            (out.leaks if certain else out.unknown).append(finding)
    return out
