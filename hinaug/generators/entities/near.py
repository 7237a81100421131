"""Vectors, text and lists of new nodes, from the real nodes nearest in links and attributes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from hinaug.features.kinds import decoded
from hinaug.generators.entities.attributes import TREES, Encoded
from hinaug.generators.entities.real import Real
from hinaug.generators.entities.texts import Slots, Writer, crossing, written
from hinaug.generators.entities.vectors import near_rows, new_vectors
from hinaug.graph import arrow as tb

NEAR = 5  # real nodes that text and vectors of a new node are made from


class Near:
    """The five real nodes nearest to each of k new ones.

    Parameters
    ----------
    real
        The n real nodes.
    seen
        What the links of the new nodes say, [k, w] as `Real.features`.
    made
        Their attributes.
    kinds
        {column: kind}, see `attribute_kinds`.
    rng
        Which of the five are taken.
    """

    def __init__(
        self,
        real: Real,
        seen: np.ndarray,
        made: Mapping[str, pa.Array],
        kinds: Mapping[str, str],
        rng: np.random.Generator,
    ) -> None:
        old, new = [real.features], [seen]
        for name in [c for c in made if kinds[c] in TREES]:
            column = tb.one_chunk(real.table[name])
            both = pa.concat_arrays([decoded(column), decoded(made[name])])
            x = Encoded(both, kinds[name]).x
            old, new = [*old, x[: len(column)]], [*new, x[len(column) :]]
        self.table, self.kinds, self.made = real.table, kinds, pa.table(dict(made))
        self.base, self.asked = np.hstack(old), np.hstack(new)
        self.rows = near_rows(self.base, self.asked, NEAR, rng)
        others = self.rows[:, 1:] if self.rows.shape[1] > 1 else self.rows
        self.mixed = crossing(self.rows[:, 0], others, rng)

    def column(self, name: str, writer: Writer | None, who: str) -> pa.Array:
        """A column of vectors, text or lists [k].

        writer: writes text from drafts. who: for messages.
        """
        column, kind = tb.one_chunk(self.table[name]), self.kinds[name]
        if kind == "vector":
            return new_vectors(column, self.base, self.asked, self.rows[:, 0])
        if kind != "text":
            return column.take(pa.array(self.rows[:, 0]))
        drafts = Slots(column).fill(self.mixed).cast(column.type)
        return drafts if writer is None else written(writer, name, self.made, drafts, who)
