"""ProfileGenerator: what the generators of whole nodes share. They read real nodes from a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from hinaug.errors import ParameterError, SchemaError, some
from hinaug.generators.base import Condition, EntityGenerator
from hinaug.generators.entities.profiles import Profiles, kinds, profiles
from hinaug.generators.entities.same_columns import check_same_columns
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType


@dataclass(eq=False)
class ProfileGenerator(EntityGenerator):
    """Generates nodes that have links of one relation. Rows of real nodes are read from the graph
    that is given to `generate`; a fitted generator holds none.

    node: the node type to generate. Items work as well as users.
    relation: the edge type of the links to generate. None takes the only relation that nodes share:
        a review has one author, so ("user", "wrote", "review") is not meant.

    Learned: `relation_`, `schema_` (the columns that are generated, without rows) and `kinds_`.
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
        return real

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
        self, hin: HIN, real: Profiles, condition: Condition | None, drawn: np.ndarray
    ) -> np.ndarray:
        """Rows of `real` [n] that new nodes are made from: those of the condition, else `drawn`."""
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

    def _as_given(
        self, columns: Mapping[str, Any], condition: Condition | None, hin: HIN
    ) -> dict[str, Any]:
        """The columns, with those of the condition in the place of generated ones."""
        out = dict(columns)
        if condition is None or condition.columns is None:
            return out
        schema = hin.observed().nodes[self.node].schema
        for name in condition.columns.column_names:
            given = tb.one_chunk(condition.columns[name])
            wanted = schema.field(name).type
            try:
                out[name] = given if given.type == wanted else given.cast(wanted)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise SchemaError(
                    f"{self.origin}: column {name!r} of the condition is {given.type}; the graph "
                    f"has {wanted}: {error}",
                    asked=given.type,
                    there=wanted,
                ) from error
        return out
