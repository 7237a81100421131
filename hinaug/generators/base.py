"""Generator: the one contract of whatever proposes. It learns from a graph and returns a Delta.

To write one, subclass `Generator` and give `_fit` and `_generate`; for whole nodes subclass
`EntityGenerator` and give `_fit` and `sample`. `hinaug.testing` checks that the contract is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug import checks
from hinaug.checks import Rng
from hinaug.errors import ParameterError, SchemaError, some
from hinaug.graph import arrow as tb
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType
from hinaug.training.estimator import Estimator


@dataclass(eq=False)
class Generator(Estimator):
    """Proposes a difference to a graph: relations, entities, values, or rows to leave out."""

    def fit(self, hin: HIN, *, valid: pa.Table | None = None, rng: Rng = None) -> Self:
        """Learn from `hin`; gives the generator itself. A fit that fails leaves it as it was.

        Parameters
        ----------
        hin
            The graph to learn from, such as `split.train`.
        valid
            Held-out pairs ("src", "dst", external ids), for generators that make choices by them.
        rng
            A seed or a numpy Generator.

        Raises KindError for what is no graph, table of pairs or seed, UnknownNameError where the
        graph lacks a type, and SchemaError where it has nothing to learn from.
        """
        draws = self._ready("fit", hin, valid, rng)
        self._check_graph(hin)
        with self._all_or_nothing():
            self._forget()
            self.fitted_on_ = hin.fingerprint()
            self._fit(hin, valid, draws)
        return self

    def generate(
        self,
        hin: HIN,
        size: int | float | None = None,
        *,
        condition: Any = None,
        rng: Rng = None,
    ) -> Delta:
        """A delta for `hin`: rows marked with origin and confidence, undone by `- delta`.

        Parameters
        ----------
        hin
            The graph that the delta is for. Rows of real nodes that generation needs are read from
            it: a fitted generator does not keep them.
        size
            How much to generate: an int is a count, a float a share of what is observed. None
            takes all that the condition asks for.
        condition
            What to generate *for*: external ids of nodes, or a table of attributes. Each generator
            says which it takes.
        rng
            A seed or a numpy Generator; the same seed gives the same delta.

        Raises NotFittedError before `fit`, and ParameterError for a size or a condition that the
        generator does not take.
        """
        self._check_fitted()
        draws = self._ready("generate", hin, None, rng)
        self._check_graph(hin)
        return self._generate(hin, size, condition, draws)

    @property
    def origin(self) -> str:
        """What the column "origin" says of generated rows: the name of the generator."""
        return type(self).__name__

    # ---- to write --------------------------------------------------------------------------------

    def _check_graph(self, hin: HIN) -> None:
        """Raises where `hin` lacks what the generator needs."""

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        raise NotImplementedError(
            f"{type(self).__name__} has no _fit; write _fit(self, hin, valid, rng)"
        )

    def _generate(
        self, hin: HIN, size: int | float | None, condition: Any, rng: np.random.Generator
    ) -> Delta:
        raise NotImplementedError(
            f"{type(self).__name__} has no _generate; write _generate(self, hin, size, condition, "
            "rng) -> Delta"
        )

    # ---- helpers ---------------------------------------------------------------------------------

    def _delta(self, **parts: Any) -> Delta:
        """A delta by this generator that names the graph it was fitted on."""
        return Delta(**parts, origin=self.origin, fitted_on=[self.fitted_on_])

    def _no_condition(self, condition: Any) -> None:
        if condition is not None:
            raise ParameterError(
                f"{type(self).__name__}.generate takes no condition, got "
                f"{checks.kind(condition)}; leave it out",
                asked=condition,
            )


def resolve_size(size: int | float | None, there: int, what: str) -> int:
    """An int is a count, a float a share of what is observed."""
    if size is not None and checks.is_number(size) and 0 <= size < np.inf:
        if isinstance(size, Integral):
            return int(size)
        if float(size) * there < np.inf:
            return round(float(size) * there)
    raise ParameterError(
        f"size={size!r}: an int is a count of {what}, a float a share of the {there:,} "
        "observed; both at least 0",
        asked=size,
        there=there,
    )


@dataclass
class Evidence:
    """Nodes that record links of new nodes, such as the reviews behind their ratings.

    columns: attributes, k rows.
    own: the edge type that joins each with its new node. row: that node [k], 0..n-1.
    about: the edge type that joins each with the node at the other end. id: its external id [k].
    confidence: [k] in [0, 1].
    """

    columns: pa.Table
    own: EdgeType
    row: np.ndarray
    about: EdgeType
    id: pa.Array
    confidence: np.ndarray


@dataclass
class Entities:
    """What `EntityGenerator.sample` gives back: n new nodes.

    columns: attribute and vector columns, each with n rows.
    links: {edge type: table with "row" (0..n-1), "id" (external id of the node at the other end),
        attributes}. It may have "to" (int): where it is not null, the other end is that new node.
        Between nodes of one type it may have "into" (bool): the edge runs to the new node.
    confidence: [n] in [0, 1].
    evidence: {node type: nodes that record the links}.
    source: positions [n] of the observed nodes that they were made after, for measures; None where
        there are none. It is not part of the delta.
    """

    columns: Mapping[str, Any]
    links: Mapping[EdgeType, pa.Table]
    confidence: np.ndarray
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    source: np.ndarray | None = None


@dataclass
class Condition:
    """What each of n new nodes is generated for: a real node, given attributes, or given links.

    nodes: positions [n] of observed nodes of the type, or None.
    columns: a table with n rows of attributes that the new nodes shall have, or None.
    links: {edge type: positions [n] of observed nodes at the other end} that the new nodes shall be
        linked with, or None.
    """

    nodes: np.ndarray | None = None
    columns: pa.Table | None = None
    links: Mapping[EdgeType, np.ndarray] | None = None


@dataclass(eq=False)
class EntityGenerator(Generator):
    """Proposes whole new nodes of a type: attributes, vectors AND links. A subclass writes `_fit`
    and `sample`.

    node: the node type to generate, such as "user".

    `generate(hin, size, condition=)`: size counts nodes (a float is a share of the observed ones).
    A condition is a list of external ids, for new nodes that resemble these; a table of attributes
    that the new nodes shall have; or {edge type: external ids} of nodes that each is linked with.
    Its rows are taken in turn: with size 10 and two ids, five new nodes resemble each. Without a
    size there is one new node a row.

    Once fitted, `left_out_` is {column, edge type or (edge type, column): why it is not there}.
    """

    node: str

    def _check_graph(self, hin: HIN) -> None:
        hin.nodes[self.node]
        if hin.n_observed(self.node) == 0:
            there = {type: hin.n(type) for type in hin.nodes}
            raise SchemaError(
                f"{type(self).__name__}: the graph has no {self.node!r} nodes to learn from; it "
                f"has {there}; choose another node=",
                asked=self.node,
                there=there,
            )

    def _generate(
        self, hin: HIN, size: int | float | None, condition: Any, rng: np.random.Generator
    ) -> Delta:
        given, rows = self._condition(hin, condition)
        if size is None and given is not None:
            size = rows
        n = resolve_size(size, hin.n_observed(self.node), f"{self.node!r} nodes")
        if n == 0:
            return self._delta()
        return self._as_delta(hin, self.sample(hin, n, rng, _in_turn(given, rows, n)), n)

    def _condition(self, hin: HIN, condition: Any) -> tuple[Condition | None, int]:
        """The condition in the form that `sample` takes, and how many rows it has."""
        if condition is None:
            return None, 0
        if isinstance(condition, Mapping) and any(isinstance(k, tuple) for k in condition):
            return self._linked_with(hin, condition)
        if isinstance(condition, Mapping | pa.Table) or hasattr(condition, "columns"):
            table = self._with_attributes(hin, condition)
            given, rows = Condition(columns=table), table.num_rows
        else:
            nodes = hin.observed().positions(self.node, condition)
            given, rows = Condition(nodes=nodes), len(nodes)
        if not rows:
            raise ParameterError(f"{self.origin}: the condition has no rows; leave it out")
        return given, rows

    def _with_attributes(self, hin: HIN, condition: Any) -> pa.Table:
        """A condition of attributes as a table of columns that the node type has."""
        table = tb.as_table(condition, f"{self.origin}: condition")
        known = [c for c in hin.observed().nodes[self.node].column_names if c != "id"]
        for name in table.column_names:
            if name not in known:
                raise ParameterError(
                    f"{self.origin}: condition has a column {name!r}; it may have those of "
                    f"{self.node!r}: {known}",
                    asked=name,
                    there=known,
                )
        return table

    def _linked_with(
        self, hin: HIN, condition: Mapping[EdgeType, Any]
    ) -> tuple[Condition | None, int]:
        """A condition of links: positions of the nodes at the other end, the same number a type."""
        links = {}
        attributes = [key for key in condition if not isinstance(key, tuple)]
        if attributes:
            raise ParameterError(
                f"{self.origin}: condition: {some(attributes)} beside edge types; give attributes "
                "or links, not both",
                asked=attributes,
                there=[key for key in condition if isinstance(key, tuple)],
            )
        for edge, ids in condition.items():
            hin.edges[edge]  # raises, naming what there is
            if self.node not in (edge[0], edge[2]):
                there = [e for e in hin.edges if self.node in (e[0], e[2])]
                raise ParameterError(
                    f"{self.origin}: condition: {edge} does not touch {self.node!r}; name one of "
                    f"{there}",
                    asked=edge,
                    there=there,
                )
            other = edge[2] if edge[0] == self.node else edge[0]
            links[edge] = hin.observed().positions(other, ids)
        rows = {len(at) for at in links.values()}
        if len(rows) != 1 or 0 in rows:
            raise ParameterError(
                f"{self.origin}: condition: each edge type needs the same number of ids, at least "
                f"one; got { {edge: len(at) for edge, at in links.items()} }",
                asked=sorted(rows),
            )
        return Condition(links=links), rows.pop()

    def _as_delta(self, hin: HIN, made: Entities, n: int) -> Delta:
        """New nodes and their links as a delta. Ids follow from the content, and from the deltas on
        the graph, so that the same nodes made once more are others.
        """
        columns = tb.as_table(dict(made.columns), self.origin) if made.columns else pa.table({})
        on_it = sorted(delta.uid for delta in hin.deltas)
        digest = hashlib.sha256(f"{on_it}:{tb.content_hash(columns)}".encode())
        for edge, rows in sorted(made.links.items()):
            digest.update(f"{edge}:{tb.content_hash(rows)}".encode())
        name = f"{self.origin.lower()}-{digest.hexdigest()[:12]}"
        ids = pa.array([f"{name}-{i}" for i in range(n)])
        nodes = {self.node: self._new_nodes(ids, columns, made.confidence)}
        edges = {
            edge: self._linked(edge, rows, ids, made.confidence)
            for edge, rows in made.links.items()
        }
        for type, witness in made.evidence.items():
            own = pa.array([f"{name}-{type}-{i}" for i in range(len(witness.row))])
            nodes[type] = self._new_nodes(own, witness.columns, witness.confidence)
            both = ((witness.own, ids.take(pa.array(witness.row))), (witness.about, witness.id))
            for edge, far in both:
                ends = (own, far) if edge[0] == type else (far, own)
                table = {"src": ends[0], "dst": ends[1], "confidence": nodes[type]["confidence"]}
                edges[edge] = pa.table(table)
        return self._delta(nodes=nodes, edges=edges)

    def _new_nodes(self, ids: pa.Array, columns: pa.Table, confidence: np.ndarray) -> pa.Table:
        """A table of new nodes."""
        rest = {c: columns[c] for c in columns.column_names}
        return pa.table({"id": ids, **rest, "confidence": pa.array(confidence, pa.float32())})

    def _linked(
        self, edge: EdgeType, rows: pa.Table, ids: pa.Array, confidence: np.ndarray
    ) -> pa.Table:
        """Edges by external id; a link without a confidence has that of its node."""
        row = np.asarray(rows["row"])
        mine, far = ids.take(pa.array(row)), tb.one_chunk(rows["id"])
        if "to" in rows.column_names:
            to = tb.one_chunk(rows["to"])
            far = pc.if_else(to.is_valid(), ids.take(to.fill_null(0)), far)
        src, dst = (mine, far) if edge[0] == self.node else (far, mine)
        if "into" in rows.column_names:
            into = tb.one_chunk(rows["into"])
            src, dst = pc.if_else(into, far, mine), pc.if_else(into, mine, far)
        skipped = ("row", "id", "to", "into")
        rest = {c: rows[c] for c in rows.column_names if c not in skipped}
        rest.setdefault("confidence", pa.array(np.asarray(confidence)[row], pa.float32()))
        return pa.table({"src": src, "dst": dst, **rest})

    def sample(
        self, hin: HIN, n: int, rng: np.random.Generator, condition: Condition | None = None
    ) -> Entities:
        """n new nodes, n at least 1, as columns, links and confidence; `generate` makes a delta.

        hin: the graph to read real nodes from. condition: one row a new node, see `Condition`.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no sample; write sample(self, hin, n, rng, condition) -> "
            "Entities"
        )


def _in_turn(given: Condition | None, rows: int, n: int) -> Condition | None:
    """The rows of a condition in turn, n in all."""
    if given is None:
        return None
    row = np.arange(n) % rows
    return Condition(
        None if given.nodes is None else given.nodes[row],
        None if given.columns is None else given.columns.take(pa.array(row)),
        None if given.links is None else {edge: at[row] for edge, at in given.links.items()},
    )
