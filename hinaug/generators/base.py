"""What proposes: a generator returns a Delta."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Self

import numpy as np
import pyarrow as pa

from hinaug import checks
from hinaug.checks import Rng
from hinaug.errors import ParameterError, SchemaError
from hinaug.graph import arrow as tb
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType
from hinaug.training.estimator import Estimator


def resolve_size(size: int | float, there: int, what: str) -> int:
    """An int is a count, a float a share of what is observed."""
    if not (checks.is_number(size) and 0 <= size < np.inf):
        raise ParameterError(
            f"size={size!r}: an int is a count of {what}, a float a share of the {there:,} "
            "observed; both at least 0"
        )
    return int(size) if isinstance(size, Integral) else round(float(size) * there)


@dataclass
class Entities:
    """What `EntityGenerator.sample` gives back: n new nodes.

    columns: attribute and vector columns, each with n rows.
    links: {edge type: table with "row" (0..n-1), "id" (external id of the node at the other end),
        attributes}.
    confidence: [n] in [0, 1].
    """

    columns: Mapping[str, Any]
    links: Mapping[EdgeType, pa.Table]
    confidence: np.ndarray


@dataclass(eq=False)
class EntityGenerator(Estimator):
    """Proposes whole new nodes of a type: attributes, vectors AND links. A subclass writes `_fit`
    and `sample`.

    node: the node type to generate, such as "user".
    """

    node: str

    def fit(self, hin: HIN, *, valid: pa.Table | None = None, rng: Rng = None) -> Self:
        """Learn what nodes of the type are like; gives the generator itself. A fit that fails
        leaves it as it was.

        valid: held-out pairs ("src", "dst", external ids), for generators that make choices by
        them. Raises TypeError for what is no graph, table of pairs or seed, KeyError where the
        graph lacks the node type, and SchemaError where it has no such nodes.
        """
        draws = self._ready("fit", hin, valid, rng)
        hin.nodes[self.node]
        if hin.n(self.node) == 0:
            there = {type: hin.n(type) for type in hin.nodes}
            raise SchemaError(
                f"{type(self).__name__}: the graph has no {self.node!r} nodes to learn from; it "
                f"has {there}; choose another node="
            )
        with self._all_or_nothing():
            self.fitted_on_ = hin.fingerprint()
            self._fit(hin, valid, draws)
        return self

    def generate(self, hin: HIN, size: int | float, rng: Rng = None) -> Delta:
        """A delta with `size` new nodes (an int is a count, a float a share of the observed nodes)."""
        self._check_fitted()
        draws = self._ready("generate", hin, None, rng)
        n = resolve_size(size, hin.n_observed(self.node), f"{self.node!r} nodes")
        origin = type(self).__name__
        if n == 0:
            return Delta(origin=origin, fitted_on=[self.fitted_on_])
        made = self.sample(n, draws)
        columns = (
            tb.as_table(dict(made.columns), f"{origin}.sample") if made.columns else pa.table({})
        )
        digest = hashlib.sha256(tb.content_hash(columns).encode())
        for edge, rows in sorted(made.links.items()):
            digest.update(f"{edge}:{tb.content_hash(rows)}".encode())
        ids = pa.array([f"{origin.lower()}-{digest.hexdigest()[:8]}-{i}" for i in range(n)])
        nodes = pa.table(
            {
                "id": ids,
                **{c: columns[c] for c in columns.column_names},
                "confidence": pa.array(made.confidence, pa.float32()),
            }
        )
        edges = {}
        for edge, rows in made.links.items():
            mine, other = ("src", "dst") if edge[0] == self.node else ("dst", "src")
            row = np.asarray(rows["row"])
            rest = {c: rows[c] for c in rows.column_names if c not in ("row", "id")}
            rest.setdefault("confidence", pa.array(np.asarray(made.confidence)[row], pa.float32()))
            edges[edge] = pa.table({mine: ids.take(pa.array(row)), other: rows["id"], **rest})
        return Delta({self.node: nodes}, edges, origin=origin, fitted_on=[self.fitted_on_])

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        raise NotImplementedError(
            f"{type(self).__name__} has no _fit; write _fit(self, hin, valid, rng)"
        )

    def sample(self, n: int, rng: np.random.Generator) -> Entities:
        """n new nodes, n at least 1, as columns, links and confidence; `generate` makes a delta of
        them.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no sample; write sample(self, n, rng) -> Entities"
        )
