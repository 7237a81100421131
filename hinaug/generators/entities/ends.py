"""Links of new nodes by external id: to real targets, or between two new nodes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hinaug.generators.entities.links import Drawn
from hinaug.generators.entities.real import Real
from hinaug.generators.entities.views import View
from hinaug.graph.schema import EdgeType


@dataclass(frozen=True, eq=False)
class Ends:
    """The far ends of the links of new nodes.

    real, source: the real nodes, and the row of each new node's source [k].
    share: of the links to the own type, those that join two new nodes; None: k / (k + n).
    symmetric: the relations whose links stand in both directions.
    """

    real: Real
    source: np.ndarray
    share: float | None
    symmetric: Collection[EdgeType]

    def tables(
        self, drawn: Sequence[Drawn], columns: Sequence[pa.Table], rng: np.random.Generator
    ) -> dict[EdgeType, pa.Table]:
        """What `Entities.links` wants: the links of both views of a relation together.

        drawn, columns: the links of each view, and their columns.
        """
        out: dict[EdgeType, list[pa.Table]] = {}
        bare = _linked_once(drawn, len(self.source))
        for at, (view, made, table) in enumerate(zip(self.real.views, drawn, columns, strict=True)):
            rows = pa.table(
                {
                    "row": pa.array(made.row, pa.int64()),
                    "id": view.targets.take(pa.array(made.column)),
                    **{name: table[name] for name in table.column_names},
                    "confidence": pa.array(made.probability, pa.float32()),
                }
            )
            if view.relation[0] == view.relation[2]:
                to, moved = self._to_new(view, made, rng)
                tied = bool(self.real.records[at]) or _is_tied(self.real, at)
                rows = self._between(view, rows, to, moved & ~bare[made.row] & (not tied), rng)
            out.setdefault(view.relation, []).append(rows)
        return {edge: pa.concat_tables(parts) for edge, parts in out.items()}

    def _to_new(
        self, view: View, made: Drawn, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """For links between nodes of one type: a new node made after each target [e], and whether
        the link goes there [e].
        """
        k, n = len(self.source), len(self.real.nodes)
        order = np.argsort(self.source, kind="stable")
        by_source = self.source[order]
        row_of = self.real.rows_of(view.position[made.column])
        first, last = (np.searchsorted(by_source, row_of, side) for side in ("left", "right"))
        pick = first + (rng.random(len(row_of)) * (last - first)).astype(np.int64)
        to = order[np.minimum(pick, k - 1)]
        share = k / (k + n) if self.share is None else self.share
        moved = (rng.random(len(row_of)) < share) & (last > first) & (to != made.row)
        return to, moved

    def _between(
        self,
        view: View,
        rows: pa.Table,
        to: np.ndarray,
        moved: np.ndarray,
        rng: np.random.Generator,
    ) -> pa.Table:
        """Links to the own type with the new nodes that some go to, each link once; those of a
        symmetric relation in both directions.
        """
        row = rows["row"].to_numpy()
        rows = rows.append_column("into", pa.array(np.full(len(row), view.into)))
        rows = rows.append_column("to", pa.array(to, pa.int64(), mask=~moved))
        if view.relation in self.symmetric:
            # two new nodes may both draw their link: half stay, each pair once
            stays = ~moved | ((rng.random(len(row)) < 0.5) & _first_of_pair(row, to, moved))
            rows = rows.filter(pa.array(stays))
            at = rows.column_names.index("into")
            turned = rows.set_column(at, "into", pa.array(np.ones(rows.num_rows, bool)))
            return pa.concat_tables([rows, turned])
        # a link from another new node is drawn there
        return rows.filter(pa.array(~moved)) if view.into else rows


def _first_of_pair(row: np.ndarray, to: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Which links between new nodes are the first of their two, bool [e]."""
    low, high = np.minimum(row, to), np.maximum(row, to)
    code = np.where(moved, low * (int(high.max(initial=0)) + 1) + high, -1 - np.arange(len(row)))
    first = np.zeros(len(row), bool)
    first[np.unique(code, return_index=True)[1]] = True
    return first


def _is_tied(real: Real, at: int) -> bool:
    """Whether a view has the links of another one, or another one has those of it."""
    return real.within[at] >= 0 or at in real.within


def _linked_once(drawn: Sequence[Drawn], n: int) -> np.ndarray:
    """Which new nodes have links in one view alone, bool [n]."""
    linked = np.stack([np.bincount(d.row, minlength=n) > 0 for d in drawn])
    return linked.sum(axis=0) <= 1
