"""ProfileGenerator: what the generators of whole nodes share. They read real nodes from a graph."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from hinaug.errors import ParameterError, some
from hinaug.generators.base import Condition, EntityGenerator
from hinaug.generators.entities.attributes import UNTYPED
from hinaug.generators.entities.given import alike, in_types_of
from hinaug.generators.entities.profiles import RATING, Profiles, kinds, profiles
from hinaug.generators.entities.same_columns import check_same_columns
from hinaug.graph.hin import HIN
from hinaug.graph.schema import PROVENANCE, EdgeType


@dataclass(eq=False)
class ProfileGenerator(EntityGenerator):
    """Generates nodes that have links of one relation. Rows of real nodes are read from the graph
    that is given to `generate`; a fitted generator holds none.

    node: the node type to generate. Items work as well as users.
    relation: the edge type of the links to generate. None takes the only relation that nodes share:
        a review has one author, so ("user", "wrote", "review") is not meant.

    Learned: `relation_`, `schema_` (the columns that are generated, without rows), `kinds_`,
    `left_out_`.
    """

    node: str = "user"
    _: KW_ONLY
    relation: EdgeType | None = None

    def _learn_schema(self, hin: HIN) -> Profiles:
        """Note the relation and the columns to generate; gives the profiles to learn from."""
        real = profiles(hin, self.node, self.relation, self.origin)
        self.relation_ = real.relation
        self.kinds_ = kinds(real.table)
        self.schema_ = real.table.select(list(self.kinds_)).schema.empty_table()
        self.left_out_ = self._left_out(hin, real.table)
        return real

    def _left_out(self, hin: HIN, table: pa.Table) -> dict[Any, str]:
        """What new nodes lack, and why."""
        out: dict[Any, str] = {}
        for name in [c for c in table.column_names if c not in self.kinds_]:
            is_bare = table[name].null_count == len(table)
            out[name] = UNTYPED if is_bare else f"{self.origin} writes no text, dates or lists"
        for edge in hin.edges:
            if self.node in (edge[0], edge[2]) and edge != self.relation_:
                out[edge] = f"{self.origin} links over {self.relation_} alone"
        for name in hin.edges[self.relation_].column_names:
            if name not in ("src", "dst", RATING, *PROVENANCE):
                out[self.relation_, name] = f"{self.origin} gives links a {RATING} alone"
        return out

    def _real(self, hin: HIN, targets: pa.Array | None = None) -> Profiles:
        """The profiles of the observed nodes of `hin`, with the columns noted at fit time; kept
        until another graph comes.
        """

        def gather() -> Profiles:
            real = profiles(hin, self.node, self.relation_, self.origin, targets)
            check_same_columns(real.table, self.schema_, self.origin, self.node)
            return real

        return self._per_graph(hin, "profiles", gather)

    def _sources(
        self,
        hin: HIN,
        real: Profiles,
        condition: Condition | None,
        drawn: np.ndarray,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Rows of `real` [n] that new nodes are made from: those of the condition, or such as have
        its attributes; else `drawn`.
        """
        if condition is not None and condition.links is not None:
            raise ParameterError(
                f"{self.origin}: condition: links are not drawn for given ends here; give external "
                "ids or attributes, or take JointVAE",
                asked=list(condition.links),
            )
        given = self._given(condition, hin)
        if given:
            chosen = alike(real.table, given, rng, self.origin)
            return drawn if chosen is None else chosen
        if condition is None or condition.nodes is None:
            return drawn
        rows = real.rows_of(condition.nodes)
        if (rows < 0).any():
            bare = hin.ids(self.node, np.unique(condition.nodes[rows < 0])).to_pylist()
            raise ParameterError(
                f"{self.origin}: {some(bare)} of the condition have no {real.relation} links, so "
                "no node can be made after them; leave them out",
                asked=bare,
            )
        return rows

    def _given(self, condition: Condition | None, hin: HIN) -> dict[str, pa.Array]:
        """The attributes of the condition, in the types of the graph."""
        if condition is None or condition.columns is None:
            return {}
        schema = hin.observed().nodes[self.node].schema
        return in_types_of(condition.columns, schema, self.origin)
