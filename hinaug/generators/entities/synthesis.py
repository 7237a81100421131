"""Synthesis: X1 + X2, a new node made of two real ones."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np
import pyarrow as pa

from hinaug.errors import ParameterError
from hinaug.generators.base import Entities, EntityGenerator
from hinaug.generators.entities.draws import gumbel_top, rows_at_once
from hinaug.generators.entities.profiles import average, group_ratings, kinds, nearest, profiles
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType


@dataclass(eq=False)
class Synthesis(EntityGenerator):
    """A new node from two parents: the crossover of genetic algorithms (Holland, 1975) and of SMOTE
    (Chawla et al., JAIR 2002, for numbers), here for attributes, vectors and links together.

    The first parent a is any real node with links. The second, b, is one of its `neighbors` nearest
    by the cosine of their links, or with pair="random" any other. Categories come from one parent
    or the other, column by column; numbers and vectors are means of both (numbers="pick": one or
    the other). The degree is that of the first parent, so degrees keep their distribution
    (neighbours tend to have many links), and that many links are drawn without replacement from the
    union of the two profiles,

        P(link to i next) ~ 1[i in a] + 1[i in b],

    so what both have comes twice as readily. A link has the mean rating of the parents who gave
    one; time is null.

    confidence: of a node, the cosine of its parents' links: alike parents make a likely child. Of a
        link, the share of the parents who have it, 1/2 or 1.

    node, relation: what to generate and by which links; relation=None takes the only one that nodes
        share (a review has one author, so "wrote" is not meant). Works for items as well.
    pair: "similar", since children of unlike parents mix tastes that nobody has; "random" is more
        diverse.
    neighbors: 10, enough for variety where profiles are thin. numbers: "mean", or "pick" for codes
        that have no mean.

    A child holds nothing its parents did not have: this is no privacy. Free text, identifiers and
    dates are null.
    """

    node: str = "user"
    _: KW_ONLY
    relation: EdgeType | None = None
    pair: str = "similar"
    neighbors: int = 10
    numbers: str = "mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("pair", ("similar", "random")), ("numbers", ("mean", "pick"))):
            if getattr(self, name) not in known:
                raise ParameterError(
                    f"Synthesis: {name}={getattr(self, name)!r}: expected one of {known}"
                )
        if self.neighbors < 1:
            raise ParameterError(
                f"Synthesis: neighbors={self.neighbors!r}: a whole number of at least 1"
            )

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        self.profiles_ = profiles(hin, self.node, self.relation, "Synthesis")

    def sample(self, n: int, rng: np.random.Generator) -> Entities:
        """n children of parents drawn anew; links by external id, confidence [n]."""
        real = self.profiles_
        links, many = real.links, real.links.shape[0]
        first = rng.integers(many, size=n)
        if many == 1:
            second, alike = first, np.ones(n)
        elif self.pair == "random":
            second = (first + rng.integers(1, many, size=n)) % many
            shared = np.asarray(links[first].multiply(links[second]).sum(axis=1)).ravel()
            alike = shared / np.sqrt(real.degree[first] * real.degree[second])
        else:
            anchors, row = np.unique(first, return_inverse=True)
            near, cosine = nearest(links, anchors, self.neighbors)
            which = rng.integers(near.shape[1], size=n)
            second, alike = near[row, which], cosine[row, which]
        parents = np.stack([first, second], axis=1)

        columns = {}
        for name, kind in kinds(real.table).items():
            column = tb.one_chunk(real.table[name])
            if kind == "category" or (kind == "number" and self.numbers == "pick"):
                columns[name] = column.take(
                    pa.array(parents[np.arange(n), rng.integers(2, size=n)])
                )
            else:
                columns[name] = average(column, parents)

        degree = real.degree[first]
        rows, targets, shares = [], [], []
        step = rows_at_once(links.shape[1])
        for at in range(0, n, step):
            block = slice(at, at + step)
            share = (links[first[block]] + links[second[block]]).toarray() / 2
            with np.errstate(divide="ignore"):
                row, column = gumbel_top(np.log(share), degree[block], rng)
            rows.append(row + at)
            targets.append(column)
            shares.append(share[row, column])
        row, target = np.concatenate(rows), np.concatenate(targets)
        rating = None if real.ratings is None else group_ratings(real.ratings, parents, row, target)
        return Entities(
            columns,
            real.link_table(row, target, np.concatenate(shares), rating),
            np.clip(alike, 0, 1),
        )
