"""How links of new nodes are drawn, one view after another, and not those of a real node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.generators.entities.links import (
    REDRAWS,
    Drawn,
    banned,
    beside,
    joined,
    race,
    repeats,
    replaced,
)
from hinaug.generators.entities.views import View


@dataclass(frozen=True, eq=False)
class Wanted:
    """The links that k new nodes shall have in one view.

    at: the place of the view. degree: how many [k]. state: what was drawn for the nodes [k, ...].
    links: theirs in the views before, CSR [k, m]. kept: those they have for certain, CSR [k, m].
    among: what others are drawn from, CSR [k, m]; None for all targets.
    """

    at: int
    view: View
    degree: np.ndarray
    state: np.ndarray
    links: Sequence[sp.csr_array]
    kept: sp.csr_array
    among: sp.csr_array | None

    def of(self, rows: np.ndarray) -> Wanted:
        """The same of some of the nodes."""
        return replace(
            self,
            degree=self.degree[rows],
            state=self.state[rows],
            links=[x[rows] for x in self.links],
            kept=self.kept[rows],
            among=None if self.among is None else self.among[rows],
        )

    @property
    def shape(self) -> tuple[int, int]:
        """How many nodes and targets."""
        return len(self.degree), len(self.view.targets)

    @property
    def n_kept(self) -> np.ndarray:
        """How many links each node has for certain [k]."""
        return np.diff(self.kept.indptr).astype(np.int64)

    @property
    def certain(self) -> Drawn:
        """These links."""
        row = np.repeat(np.arange(len(self.degree)), self.n_kept)
        return Drawn(row, self.kept.indices.astype(np.int64), np.ones(len(row), np.float32))

    def banned(self, rows: slice) -> np.ndarray:
        """Which targets some of the nodes cannot draw, bool [b, m]."""
        return banned(self.view, self.kept, self.among, rows)


@dataclass(frozen=True, eq=False)
class Linked:
    """k new nodes whose links are drawn, before they have attributes.

    seen: what their links say, [k, w] as `Real.features`. links: CSR [k, m] a view. state: what was
    drawn for the nodes [k, ...]. given: {column: values [k]} that they have for certain.
    match: whether they shall have the margins of real ones; not under a condition.
    """

    seen: np.ndarray
    links: Sequence[sp.csr_array]
    state: np.ndarray
    given: Mapping[str, pa.Array]
    match: bool


def by_logits(
    wanted: Wanted,
    logits_of: Callable[[int, np.ndarray, Sequence[sp.csr_array], slice], np.ndarray],
    rng: np.random.Generator,
) -> Drawn:
    """Links in one view: those that are certain, and others by the logits up to the degree."""
    k, m = wanted.shape
    more = np.maximum(wanted.degree - wanted.n_kept, 0)
    parts, block = [wanted.certain], max(1, min(512, 2**23 // max(m, 1)))
    for start in range(0, k, block):
        rows = slice(start, min(start + block, k))
        logits = logits_of(wanted.at, wanted.state, wanted.links, rows)
        logits[wanted.banned(rows)] = -np.inf
        part = race(logits, more[rows], rng)
        parts.append(Drawn(part.row + start, part.column, part.probability))
    return joined(parts)


def unlike_in_view(draw: Callable[[Wanted], Drawn], wanted: Wanted, again: bool) -> Drawn:
    """Links in one view; where they are those of a real node, they are drawn once more.

    again: False takes the first draw.
    """
    made = draw(wanted)
    for _ in range(REDRAWS if again else 0):
        rows = np.flatnonzero(repeats(made.matrix(*wanted.shape), wanted.view.links))
        if not len(rows):
            break
        made = replaced(made, rows, draw(wanted.of(rows)))
    return made


def unlike_in_all(
    draw: Callable[[np.ndarray], list[Drawn]], k: int, views: Sequence[View], again: bool
) -> list[Drawn]:
    """Links of k new nodes in all views; nodes with all the links of a real one are drawn anew.

    draw: gives the links of some of the nodes in all views.
    """
    drawn, everyone = draw(np.arange(k)), beside([view.links for view in views])
    for _ in range(REDRAWS if again else 0):
        links = [d.matrix(k, len(v.targets)) for d, v in zip(drawn, views, strict=True)]
        rows = np.flatnonzero(repeats(beside(links), everyone))
        if not len(rows):
            break
        drawn = [replaced(old, rows, new) for old, new in zip(drawn, draw(rows), strict=True)]
    return drawn


def is_passed_on(view: View, made: Drawn, source: np.ndarray, kept: sp.csr_array) -> np.ndarray:
    """Which links of new nodes are certain and the source's own, bool [e]."""
    own = kept.multiply(view.links[source]).tocsr()
    m = view.links.shape[1]
    row = np.repeat(np.arange(own.shape[0], dtype=np.int64), np.diff(own.indptr))
    return np.isin(made.row.astype(np.int64) * m + made.column, row * m + own.indices)
