"""Aggregation: the mean of a group of alike nodes as a new node."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np
import pyarrow as pa

from hinaug.errors import ParameterError, SchemaError
from hinaug.generators.base import Entities, EntityGenerator
from hinaug.generators.entities.draws import gumbel_top, rows_at_once
from hinaug.generators.entities.profiles import average, group_ratings, kinds, nearest, profiles
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType


@dataclass(eq=False)
class Aggregation(EntityGenerator):
    """A new node from the mean of a group (microaggregation: Domingo-Ferrer and Mateo-Sanz, IEEE
    TKDE 2002).

    The group G of a random real node is the node and its k nearest by cosine: of their links, or
    with by="x" of a vector column. Vectors and numbers are means over the group; categories are its
    majority, or drawn in proportion to its counts with categories="draw". The degree is that of the
    node in the middle, so degrees keep their distribution, and that many links are drawn without
    replacement in proportion to how many of the group have them,

        P(link to i next) ~ (sum over v in G of 1[i in v]) ^ sharpness,

    each with the mean rating of the members who gave one; time is null.

    confidence: of a node, the mean cosine of the members to the node in the middle: a tight group
        is a likely person. Of a link, the share of the group that has it.

    node, relation: as in Synthesis. k: 5, a group of six: large enough that nobody shows through,
        small enough to have a taste.
    by: None for links, which say most about taste; a vector column where links are few.
    categories: "majority" (typical) or "draw" (keeps the margins; a majority makes rare values
        rarer).
    sharpness: 1 draws by counts; above it, towards what the whole group shares.

    Means shrink: numbers and vectors vary less than real ones. Free text, identifiers and dates are
    null.
    """

    node: str = "user"
    _: KW_ONLY
    relation: EdgeType | None = None
    k: int = 5
    by: str | None = None
    categories: str = "majority"
    sharpness: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k < 1:
            raise ParameterError(f"Aggregation: k={self.k!r}: a whole number of at least 1")
        if self.categories not in ("majority", "draw"):
            raise ParameterError(
                f"Aggregation: categories={self.categories!r}: expected 'majority' or 'draw'"
            )
        if not self.sharpness > 0:
            raise ParameterError(f"Aggregation: sharpness={self.sharpness!r}: a number above 0")

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        self.profiles_ = profiles(hin, self.node, self.relation, "Aggregation")
        if self.by is not None and kinds(self.profiles_.table).get(self.by) != "vector":
            there = [name for name, kind in kinds(self.profiles_.table).items() if kind == "vector"]
            raise SchemaError(
                f"Aggregation: by={self.by!r} is no vector column of {self.node!r}; there is "
                f"{there}"
            )

    def sample(self, n: int, rng: np.random.Generator) -> Entities:
        """n means of groups whose middles are drawn anew; links by external id, confidence [n]."""
        real = self.profiles_
        anchors, row_of = np.unique(rng.integers(real.links.shape[0], size=n), return_inverse=True)
        near, cosine = nearest(real.links if self.by is None else self._vectors(), anchors, self.k)
        group = np.concatenate([anchors[:, None], near], axis=1)[row_of]
        alike = cosine.mean(axis=1)[row_of] if cosine.shape[1] else np.ones(n)
        columns = {}
        for name, kind in kinds(real.table).items():
            column = tb.one_chunk(real.table[name])
            columns[name] = (
                self._category(column, group, rng) if kind == "category" else average(column, group)
            )

        degree = real.degree[group[:, 0]]
        rows, targets, shares = [], [], []
        step = rows_at_once(real.links.shape[1])
        for at in range(0, n, step):
            members = group[at : at + step]
            share = sum(real.links[member] for member in members.T).toarray() / group.shape[1]
            with np.errstate(divide="ignore"):
                row, column = gumbel_top(
                    self.sharpness * np.log(share), degree[at : at + step], rng
                )
            rows.append(row + at)
            targets.append(column)
            shares.append(share[row, column])
        row, target = np.concatenate(rows), np.concatenate(targets)
        rating = None if real.ratings is None else group_ratings(real.ratings, group, row, target)
        links = real.link_table(row, target, np.minimum(np.concatenate(shares), 1), rating)
        return Entities(columns, links, np.clip(alike, 0, 1))

    def _vectors(self) -> np.ndarray:
        column = tb.one_chunk(self.profiles_.table[self.by])
        each = average(column, np.arange(len(column))[:, None])
        return np.nan_to_num(np.array(each.values, np.float32).reshape(len(column), -1))

    def _category(self, column: pa.Array, group: np.ndarray, rng: np.random.Generator) -> pa.Array:
        drawn = group[np.arange(len(group)), rng.integers(group.shape[1], size=len(group))]
        if self.categories == "majority":
            codes = column.dictionary_encode("encode").indices.to_numpy()[
                group
            ]  # null is a value like any other
            votes = (codes[:, :, None] == codes[:, None, :]).sum(axis=2)
            drawn = group[
                np.arange(len(group)), np.argmax(votes + rng.random(votes.shape), axis=1)
            ]  # ties at random
        return column.take(pa.array(drawn))
