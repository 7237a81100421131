"""Synthesis: X1 + X2, a new node made of two real ones."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from hinaug.checks import COUNT, Limits
from hinaug.features.similarity import cosine_neighbours
from hinaug.generators.base import Condition, Entities
from hinaug.generators.entities.base import ProfileGenerator
from hinaug.generators.entities.links import drawn_from_shares
from hinaug.generators.entities.profiles import Profiles, average, group_ratings
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN


@dataclass(eq=False)
class Synthesis(ProfileGenerator):
    """A new node from two parents: the crossover of genetic algorithms (Holland, 1975) and of SMOTE
    (Chawla et al., JAIR 2002, for numbers), here for attributes, vectors and links together.

    The first parent a is a random real node with links. The second, b, is one of its `neighbors`
    nearest by the cosine of their links, or with pair="random" any other. A category comes from
    either parent, column by column. Numbers and vectors are means of both (numbers="pick": one or
    the other), null where a random one of them is. The child has as many links as the first
    parent, drawn without replacement from the union of both profiles:

        P(link to i next) ~ 1[i in a] + 1[i in b]

    So what both have comes twice as readily, and degrees keep their distribution. A link has the
    mean rating of the parents who gave one; time is null.

    Parameters
    ----------
    node, relation
        What to generate and by which links, see `ProfileGenerator`.
    pair
        "similar", since children of unlike parents mix tastes that nobody has. "random" is more
        diverse.
    neighbors
        10, enough for variety where profiles are thin.
    numbers
        "mean", or "pick" for codes that have no mean. A mean of numbers with levels is the nearest
        level.
    repeat
        Whether a child may have exactly the links of a real node, as a third of thin ones would.

    Condition: external ids name the first parents; given attributes stay as they are, and a first
    parent is one of the real nodes most like them.

    Confidence of a node: the cosine of its parents' links, as similar parents make a likely child.
    Of a link: the share of the parents who have it, 1/2 or 1.

    A child holds nothing that its parents did not have: this is no privacy. Free text, identifiers
    and dates are null. The fitted generator knows only the relation and the columns; parents are
    the observed nodes of the graph given to `generate`.
    """

    LIMITS: ClassVar[Limits] = {
        "pair": ("similar", "random"),
        "neighbors": COUNT,
        "numbers": ("mean", "pick"),
    }
    node: str = "user"
    _: KW_ONLY
    pair: str = "similar"
    neighbors: int = 10
    numbers: str = "mean"
    repeat: bool = False

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        self._learn_schema(hin)

    def sample(
        self, hin: HIN, n: int, rng: np.random.Generator, condition: Condition | None = None
    ) -> Entities:
        """n children of parents drawn anew among the nodes of `hin`, or of the parents that the
        condition names.
        """
        real = self._real(hin)
        drawn = rng.integers(len(real.nodes), size=n)
        first = self._sources(hin, real, condition, drawn, rng)
        second, cosine = self._second(real, first, rng)
        parents = np.stack([first, second], axis=1)
        columns = self._columns(real, parents, rng) | self._given(condition, hin)
        row, target, share = drawn_from_shares(
            lambda at: _shares(real, parents[at]),
            real.degree[parents[:, 0]],
            real.links,
            rng,
            repeat=self.repeat,
        )
        rating = None if real.ratings is None else group_ratings(real.ratings, parents, row, target)
        links = real.link_table(row, target, share, rating)
        return Entities(columns, links, np.clip(cosine, 0, 1))

    def _second(
        self, real: Profiles, first: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """The second parents [n], and the cosines of both parents' links."""
        n, n_real = len(first), len(real.nodes)
        if n_real == 1:
            return first, np.ones(n)
        if self.pair == "random":
            second = (first + rng.integers(1, n_real, size=n)) % n_real
            shared = real.links[first].multiply(real.links[second]).sum(axis=1)
            lengths = np.sqrt(real.degree[first]) * np.sqrt(real.degree[second])
            return second, np.asarray(shared).ravel() / lengths
        anchors, row = np.unique(first, return_inverse=True)
        near, cosine = cosine_neighbours(real.links, anchors, self.neighbors)
        which = rng.integers(near.shape[1], size=n)
        return near[row, which], cosine[row, which]

    def _columns(
        self, real: Profiles, parents: np.ndarray, rng: np.random.Generator
    ) -> dict[str, pa.Array]:
        """Each column from one of the parents, or as the mean of both."""
        columns = {}
        for name, kind in self.kinds_.items():
            column = tb.one_chunk(real.table[name])
            if kind == "category" or (kind == "number" and self.numbers == "pick"):
                which = rng.integers(2, size=len(parents))
                columns[name] = column.take(pa.array(parents[np.arange(len(parents)), which]))
            else:
                columns[name] = average(column, parents, rng)
        return columns


def _shares(real: Profiles, parents: np.ndarray) -> np.ndarray:
    """The share of the parents [b, 2] who have each link, [b, m]."""
    first, second = parents.T
    return (real.links[first] + real.links[second]).toarray() / 2
