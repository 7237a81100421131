"""MarginalCalibrator: what a network says of attributes, turned into draws whose marginal
distributions are the real ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from scipy.special import ndtri, softmax

from hinaug.errors import KindError, UnknownNameError, nearest
from hinaug.generators.entities.profiles import Profiles, kinds

DEGREE = "(degree)"


@dataclass(eq=False)
class MarginalCalibrator:
    """A network gets dependence right long before margins. This keeps the dependence and puts the
    margins right.

    Learned from a pool of generated rows and from the real ones: for each category, offsets to the
    logits such that the mean probabilities are the real shares (iterative proportional fitting);
    for each number, the quantiles among the generated, so that a generated number stands at the
    same quantile of the real distribution. Vectors are left as they are.

    blocks: [(kind, width)] as in `TableEncoder`.
    """

    blocks: list[tuple[str, int]]

    def fit(self, real: np.ndarray, made: np.ndarray) -> Self:
        """real [n, width]: encoded rows. made [k, width]: logits of categories, and numbers."""
        self.offsets_ = np.zeros(real.shape[1])
        for part, kind in self._places():
            if kind == "categorical":
                share = np.maximum(real[:, part].mean(axis=0), 1e-9)
                for _ in range(30):
                    now = softmax(made[:, part] + self.offsets_[part], axis=1).mean(axis=0)
                    self.offsets_[part] += np.log(share / np.maximum(now, 1e-9))
        self.quantiles_ = np.sort(made[:, self._numbers()], axis=0)
        return self

    def draw(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Categories drawn, as one-hot; everything else as it is."""
        out = rows.copy()
        for part, kind in self._places():
            if kind == "categorical":
                keys = rows[:, part] + self.offsets_[part] + rng.gumbel(size=out[:, part].shape)
                out[:, part] = np.eye(keys.shape[1])[keys.argmax(axis=1)]
        return out

    def matched(self, rows: np.ndarray) -> np.ndarray:
        """Numbers as the normal quantile that they have among generated ones: ready for
        `TableEncoder.decode`.
        """
        out = rows.astype(np.float64)
        for at, known in zip(self._numbers(), self.quantiles_.T, strict=True):
            rank = (
                np.searchsorted(known, out[:, at], "left")
                + np.searchsorted(known, out[:, at], "right")
            ) / 2
            out[:, at] = ndtri(np.clip(rank / len(known), 0.5 / len(known), 1 - 0.5 / len(known)))
        return out

    def _places(self) -> list[tuple[slice, str]]:
        ends = np.cumsum([0, *(width for _, width in self.blocks)])
        return [
            (slice(int(a), int(a) + width), kind)
            for a, (kind, width) in zip(ends, self.blocks, strict=False)
        ]

    def _numbers(self) -> list[int]:
        return [part.start for part, kind in self._places() if kind == "continuous"]


def node_table(real: Profiles, vectors: Sequence[str] | None, who: str) -> pa.Table:
    """The attributes that can be generated, and the degree as one more number.

    vectors: the vector columns to take; None takes all.
    """
    known = kinds(real.table)
    there = [name for name, kind in known.items() if kind == "vector"]
    taken = there if vectors is None else _names_of_vectors(vectors, there, who)
    names = [name for name, kind in known.items() if kind != "vector" or name in taken]
    return pa.table({**{n: real.table[n] for n in names}, DEGREE: pa.array(real.degree)})


def _names_of_vectors(vectors: Any, there: list[str], who: str) -> list[str]:
    """The vector columns asked for, all of which are there."""
    if isinstance(vectors, str) or not isinstance(vectors, Iterable):
        raise KindError(
            f"{who}: vectors={vectors!r}: a list of vector columns is needed, or None for all of "
            f"{there}",
            asked=vectors,
            there=there,
        )
    names = list(vectors)
    for name in names:
        if name not in there:
            raise UnknownNameError(
                f"{who}: no vector column {name!r}; there is {there}{nearest(name, there)}",
                asked=name,
                there=there,
            )
    return names


def degrees(column: pa.Array, n_targets: int) -> np.ndarray:
    """Degrees to draw: at least one link, at most as many as there are targets."""
    return np.clip(column.to_numpy(zero_copy_only=False), 1, n_targets).astype(np.int64)
