"""Aggregation: the mean of a group of alike nodes as a new node."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from hinaug.checks import COUNT, POSITIVE, Limits
from hinaug.errors import SchemaError
from hinaug.features.kinds import decoded, present, vectors
from hinaug.features.similarity import cosine_neighbours
from hinaug.generators.base import Condition, Entities
from hinaug.generators.entities.base import ProfileGenerator
from hinaug.generators.entities.links import drawn_from_shares
from hinaug.generators.entities.profiles import Profiles, average, group_ratings
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN


@dataclass(eq=False)
class Aggregation(ProfileGenerator):
    """A new node from the mean of a group (microaggregation: Domingo-Ferrer and Mateo-Sanz, IEEE
    TKDE 2002).

    The group G of a random real node is the node and its k nearest by cosine: of their links, or
    with by="x" of a vector column. Vectors and numbers are means over the group. Categories are its
    majority, or drawn in proportion to its counts with categories="draw". The new node has as many
    links as the node in the middle, so degrees keep their distribution. They are drawn without
    replacement in proportion to how many of the group have them:

        P(link to i next) ~ (sum over v in G of 1[i in v]) ^ sharpness

    A link has the mean rating of the members who gave one; time is null.

    Parameters
    ----------
    node, relation
        What to generate and by which links, see `ProfileGenerator`.
    k
        5, a group of six: large enough that nobody shows through, small enough to have a taste.
    by
        None for links, which say most about taste; a vector column where links are few.
    categories
        "majority" (typical) or "draw" (keeps the margins; a majority makes rare values rarer).
    sharpness
        1 draws by counts; above 1, towards what the whole group shares.
    repeat
        Whether a new node may have exactly the links of a real one.

    Condition: external ids name the nodes in the middle; given attributes stay as they are, and the
    node in the middle is one of the real nodes most like them.

    Confidence of a node: the mean cosine of the members to the node in the middle, as a tight group
    is a likely person. Of a link: the share of the group that has it.

    Means shrink: numbers and vectors vary less than real ones. Free text, identifiers and dates are
    null. The fitted generator knows only the relation and the columns; groups are made of the
    observed nodes of the graph given to `generate`.
    """

    LIMITS: ClassVar[Limits] = {
        "k": COUNT,
        "categories": ("majority", "draw"),
        "sharpness": POSITIVE,
    }
    node: str = "user"
    _: KW_ONLY
    k: int = 5
    by: str | None = None
    categories: str = "majority"
    sharpness: float = 1.0
    repeat: bool = False

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        self._learn_schema(hin)
        vectors = [name for name, kind in self.kinds_.items() if kind == "vector"]
        if self.by is not None and self.by not in vectors:
            raise SchemaError(
                f"Aggregation: by={self.by!r} is no vector column of {self.node!r}; there is "
                f"{vectors}",
                asked=self.by,
                there=vectors,
            )

    def sample(
        self, hin: HIN, n: int, rng: np.random.Generator, condition: Condition | None = None
    ) -> Entities:
        """n means of groups around random nodes of `hin`, or around those of the condition."""
        real = self._real(hin)
        drawn = rng.integers(len(real.nodes), size=n)
        middle = self._sources(hin, real, condition, drawn, rng)
        group, cosine = self._groups(real, middle)
        columns = {}
        for name, kind in self.kinds_.items():
            column = tb.one_chunk(real.table[name])
            columns[name] = (
                self._category(column, group, rng)
                if kind == "category"
                else average(column, group, rng)
            )
        row, target, share = drawn_from_shares(
            lambda at: _shares(real, group[at]),
            real.degree[group[:, 0]],
            real.links,
            rng,
            sharpness=self.sharpness,
            repeat=self.repeat,
        )
        rating = None if real.ratings is None else group_ratings(real.ratings, group, row, target)
        links = real.link_table(row, target, np.minimum(share, 1), rating)
        columns |= self._given(condition, hin)
        return Entities(columns, links, np.clip(cosine, 0, 1))

    def _groups(self, real: Profiles, middle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows of each group [n, 1 + k], the middle first, and the mean cosine to the middle."""
        rows = real.links if self.by is None else vectors(tb.one_chunk(real.table[self.by]))
        anchors, row_of = np.unique(middle, return_inverse=True)
        near, cosine = cosine_neighbours(rows, anchors, self.k)
        cosine = np.clip(cosine, 0, 1)
        group = np.concatenate([anchors[:, None], near], axis=1)[row_of]
        return group, cosine.mean(axis=1)[row_of] if cosine.shape[1] else np.ones(len(middle))

    def _category(self, column: pa.Array, group: np.ndarray, rng: np.random.Generator) -> pa.Array:
        """The majority of each group, ties at random, or the value of a random member. Null where a
        random member is.
        """
        everyone = np.arange(len(group))
        drawn = group[everyone, rng.integers(group.shape[1], size=len(group))]
        if self.categories == "majority":
            encoded = decoded(column).dictionary_encode()
            value = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)[group]
            votes = (value[:, :, None] == value[:, None, :]).sum(axis=2) * (value >= 0)
            winner = group[everyone, np.argmax(votes + rng.random(votes.shape), axis=1)]
            drawn = np.where(present(column)[drawn], winner, drawn)
        return column.take(pa.array(drawn))


def _shares(real: Profiles, group: np.ndarray) -> np.ndarray:
    """The share of each group [b, g] that has each link, [b, m]."""
    return sum(real.links[member] for member in group.T).toarray() / group.shape[1]
