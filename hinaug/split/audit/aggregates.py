"""Counts, sums, means, ... per node, over the whole source and over what a graph may know: which of
them is a column?
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from hinaug.graph.evidence import touching
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import PairIndex
from hinaug.split.audit import matching
from hinaug.split.audit.features import Rows, features
from hinaug.split.audit.view import View, _member

NAMED = re.compile(
    r"(^|_)(n|num|number|count|counts|mean|avg|average|pop|popularity|degree|deg|total|sum|rank|max|min|std|var|median|freq|"
    r"frequency|share|norm|z|zscore|log|last|first|history|profile|activity|ratings|reviews|score)(_|$)"
)
Features = dict[str, np.ndarray]


class Sides:
    """Everything that may be aggregated per node of one type: over references (which hold held-out
    rows), and over the graph.
    """

    def __init__(self, view: View, end: str) -> None:
        self.view, self.end, self.n = view, end, view.source.n(end)
        self.references: list[tuple[str, Features]] = []
        self.part: Features = {}
        self.spans: list[tuple[str, np.ndarray, np.ndarray, np.ndarray]] = []
        self._build()

    def _build(self) -> None:
        view = self.view
        time = view.split.how.get("time", "time")
        held = _member(view.source_codes, view.held)
        late = _member(view.source_codes, _test_codes(view))
        everything = np.ones(len(held), bool)
        masks = [("the whole source, held-out rows included", everything)]
        if view.name == "train":
            masks.append(("train and valid together, validation rows included", ~late))
        masks.append(("held-out rows alone", held))
        if view.name == "train" and late.any() and (held & ~late).any():
            masks += [("test rows alone", late), ("validation rows alone", held & ~late)]
        there, here = (
            self._target_rows(view.source, None, time),
            self._target_rows(view.observed, view, time),
        )
        if not there:
            return
        for name, mask in masks:
            found = [dict(features(rows, mask[rows.take], self.n)) for rows in there]
            self.references.append((name, {k: v for one in found for k, v in one.items()}))
        for rows in here:
            self.part |= dict(features(rows, np.ones(len(rows.owner), bool), self.n))
        for rows in there:
            for column, vectors in rows.vectors.items():
                self.spans.append((f"{rows.what} {column}", rows.owner, held[rows.take], vectors))
        whole: Features = {}
        for node in view.source.nodes:
            if node in (view.a, view.b, self.end) or node not in view.observed.nodes:
                continue
            move = view.move(node)
            if len(np.unique(move[move >= 0])) == view.source.n(node):
                continue  # all of it is still here
            before = self._node_rows(view.source, node, None, time)
            now = self._node_rows(view.observed, node, view, time)
            if before is None or now is None:
                continue
            whole |= dict(features(before, np.ones(len(before.owner), bool), self.n))
            self.part |= dict(features(now, np.ones(len(now.owner), bool), self.n))
            left = np.ones(view.source.n(node), bool)
            left[move[move >= 0]] = False
            for column, vectors in before.vectors.items():
                self.spans.append((f"{node} {column}", before.owner, left[before.take], vectors))
        if whole:
            self.references.insert(0, (masks[0][0], whole))

    def _target_rows(self, hin: HIN, view: View | None, time: str) -> list[Rows]:
        """The target rows of each node; for a type beside the ends (a genre), those of the nodes it
        touches.
        """
        a, b = self.view.a, self.view.b
        src, dst = hin.links(self.view.target)
        table = hin.edges[self.view.target]
        out: list[Rows] = []
        for positions, end, other, other_end in ((src, a, dst, b), (dst, b, src, a)):
            owner, take = positions, np.arange(len(positions))
            if end != self.end:
                if self.end in (a, b):
                    continue
                touch = touching(hin, end, self.end)
                degree = np.diff(touch.indptr)[positions]
                if not touch.nnz or degree.sum() > 4_000_000:
                    continue
                take = np.repeat(take, degree)
                within = np.arange(len(take)) - np.repeat(np.cumsum(degree) - degree, degree)
                owner = touch.indices[touch.indptr[positions[take]] + within]
            if view is not None:
                owner = view.move(self.end)[owner]
            keep = owner >= 0
            what = "rows" if not out else "rows by target" if a == b else f"rows by {end}"
            rows = Rows(what, owner[keep], take[keep], table, time)
            out.append(rows)
            if end == self.end:
                rows.add(hin.nodes[other_end], other[rows.take], f"{other_end}.")
                self._add_classes(hin, view, rows, other_end, other)
        return out

    def _add_classes(
        self, hin: HIN, view: View | None, rows: Rows, other_end: str, other: np.ndarray
    ) -> None:
        """What the other ends hang on, such as the genres of the items, as vectors: their mean is a
        user's histogram.
        """
        there = self.view.source.nodes
        for node in hin.nodes:
            n = hin.n(node)
            if (
                node not in (self.view.a, self.view.b)
                and 2 <= n <= 512
                and n * len(rows.owner) <= 20_000_000
            ):
                same = view is None or (
                    node in there and hin.nodes[node]["id"].equals(there[node]["id"])
                )
                touch = touching(hin, other_end, node)
                if touch.nnz and same:
                    rows.vectors[f"one-hot {node}"] = touch[other[rows.take]].toarray()

    def _node_rows(self, hin: HIN, node: str, view: View | None, time: str) -> Rows | None:
        touch = touching(hin, node, self.end).tocoo()
        take, owner = touch.coords
        if not len(take):
            return None
        if view is not None:
            owner = view.move(self.end)[owner]
        keep = owner >= 0
        return Rows(node, owner[keep], take[keep], hin.nodes[node], time)

    def match(self, values: np.ndarray, name: str) -> tuple[bool, str] | None:
        """(certain, why) where `values` [n] or [n, d] (by source position, NaN unknown) follow a
        reference, not the graph.
        """
        hint = NAMED.search(name.lower()) is not None
        doubt = None
        for what, whole in self.references:
            alone = what.endswith("alone")
            found = (matching.vectors if values.ndim == 2 else matching.numbers)(
                values, whole, self.part, hint, alone
            )
            if found is not None:
                certain, feature, how = found
                why = f"it equals the {feature} over {what}{how}"
                if certain:
                    return True, why
                doubt = doubt or (False, f"{why}; that may be chance")
        if values.ndim == 2:
            for what, owner, held, vectors in self.spans:
                if matching.spanned(values, owner, held, vectors):
                    return True, f"it is mixed from the vectors of {what}, held-out rows included"
        return doubt

    def of_train(self, values: np.ndarray) -> bool:
        """Whether `values` are an aggregate of this graph's own rows."""
        return matching.explained(values, self.part)


def _test_codes(view: View) -> np.ndarray:
    return PairIndex.from_ids(view.source, view.target, view.split.test).code


def per_node(
    view: View, type: Any, end: str, positions: np.ndarray, values: np.ndarray, n: int
) -> np.ndarray | None:
    """Values of rows as values of their nodes [n], where they do not differ between the rows of one
    node.
    """
    out = np.full((n, *values.shape[1:]), np.nan)
    moved = view.move(end)[positions]
    ok = moved >= 0
    out[moved[ok]] = values[ok]
    return out if np.array_equal(out[moved[ok]], values[ok], equal_nan=True) else None
