"""Numbers on edges, as weights and attributes of what a network sends along them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa

from hinaug.errors import ParameterError
from hinaug.features import kinds
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType

TIMES = ("time", "timestamp", "date", "year")  # names of columns that are left out unless named
WIDEST = 5.0  # standard deviations from the mean, beyond which a value is cut
MARKS = ("src", "dst", "origin", "key", "confidence")


@dataclass(eq=False)
class EdgeColumns:
    """Weights and attributes of the edges of one type.

    Parameters
    ----------
    edge_type
        The edge type that is described.
    columns
        Numeric columns. "confidence" becomes a weight: 1 on observed edges, what the generator
        says on others. The others become attributes: less their mean, over their standard
        deviation, cut at 5 of these; 0 where there is no value. None takes "confidence" and every
        numeric column that is no time.
    weights
        Columns of numbers of at least 0 that multiply the weight.

    Learned by `fit`: `names_`, the attributes; `centre_` and `scale_`, of each of them. A column
    that is the same on all edges is left out.
    """

    edge_type: EdgeType
    columns: Sequence[str] | None = None
    weights: Sequence[str] = ()

    def fit(self, hin: HIN) -> Self:
        """Learn means and deviations from the edges of `hin`; gives the encoder itself."""
        named = _numeric(hin, self.edge_type) if self.columns is None else self.columns
        names = [name for name in named if name not in ("confidence", *self.weights)]
        centre, scale = np.array([self._moments(hin, name) for name in names]).reshape(-1, 2).T
        self.names_ = [name for name, s in zip(names, scale, strict=True) if s > 0]
        self.centre_, self.scale_ = centre[scale > 0], scale[scale > 0]
        for name in self.weights:
            self._weight(hin, name)  # raises where it is none
        return self

    def _moments(self, hin: HIN, name: str) -> tuple[float, float]:
        """Mean and standard deviation of a column; 0 and 0 where it has no value."""
        values = self._values(hin, name)
        values = values[~np.isnan(values)]
        return (float(values.mean()), float(values.std())) if len(values) else (0.0, 0.0)

    def encode(self, hin: HIN) -> tuple[np.ndarray | None, np.ndarray]:
        """Weights of all edges, float32 [rows], or None where all are 1, and their attributes,
        float32 [rows, width].
        """
        by_confidence = self.columns is None or "confidence" in self.columns
        factors = [*self.weights, *(["confidence"] if by_confidence else [])]
        weight = np.ones(hin.n(self.edge_type))
        for name in factors:
            weight = weight * self._weight(hin, name)
        attributes = np.zeros((len(weight), len(self.names_)), np.float32)
        for k, name in enumerate(self.names_):
            values = (self._values(hin, name) - self.centre_[k]) / self.scale_[k]
            attributes[:, k] = np.nan_to_num(np.clip(values, -WIDEST, WIDEST), nan=0.0)
        return (None if (weight == 1).all() else weight.astype(np.float32)), attributes

    def _weight(self, hin: HIN, name: str) -> np.ndarray:
        """A column of weights, 1 where it is null."""
        values = np.nan_to_num(self._values(hin, name), nan=1.0)
        if (values < 0).any():
            raise ParameterError(
                f"edges {self.edge_type}: column {name!r} is to weigh messages and has values "
                "below 0; name it among edge_columns instead, where any number may stand",
                asked=name,
                there=float(values.min()),
            )
        return values

    def _values(self, hin: HIN, name: str) -> np.ndarray:
        """A numeric column as float64 [rows], NaN where it is null or not finite."""
        column = hin.column(self.edge_type, name)
        if not tb.is_number(column.type):
            raise ParameterError(
                f"edges {self.edge_type}: column {name!r} is {column.type}; what goes along edges "
                f"are numbers: {_numeric(hin, self.edge_type) or 'there are none'}",
                asked=name,
                there=_numeric(hin, self.edge_type),
            )
        values = kinds.numbers(column).astype(np.float64)
        there = kinds.present(column)
        return np.where(there & np.isfinite(values), values, np.nan)


def _numeric(hin: HIN, edge_type: EdgeType) -> list[str]:
    """Numeric columns of an edge type, without marks of generated edges and times."""
    fields: list[pa.Field] = list(hin.edges[edge_type].schema)
    return [
        f.name
        for f in fields
        if tb.is_number(f.type) and f.name not in MARKS and f.name.lower() not in TIMES
    ]
