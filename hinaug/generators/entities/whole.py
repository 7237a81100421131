"""WholeNodes: what generators of whole nodes share. A subclass says which links are likely; the
rest follows: degrees, edge columns, times, attributes, vectors, text, and what records links.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, astuple, dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.checks import SHARE, Limits
from hinaug.errors import ParameterError, SchemaError, some
from hinaug.generators.base import Condition, Entities, EntityGenerator, Evidence
from hinaug.generators.entities.attributes import (
    TREES,
    attribute_kinds,
    tree_donors,
    values_at,
)
from hinaug.generators.entities.drawing import (
    Linked,
    Wanted,
    by_logits,
    is_passed_on,
    unlike_in_all,
    unlike_in_view,
)
from hinaug.generators.entities.edge_columns import (
    like_links,
    link_columns,
    records_of,
    with_columns_of_twin,
)
from hinaug.generators.entities.ends import Ends
from hinaug.generators.entities.given import alike, given_links, holders, in_types_of
from hinaug.generators.entities.links import Drawn, either
from hinaug.generators.entities.near import Near
from hinaug.generators.entities.real import Real, real_nodes
from hinaug.generators.entities.same_columns import check_same_columns
from hinaug.generators.entities.texts import Writer
from hinaug.generators.entities.views import (
    Key,
    Witness,
    is_exclusive,
    keys_of,
    named_keys,
    record_of,
    view_of,
    views_of,
    witnesses,
)
from hinaug.generators.pairs import is_symmetric
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import PairIndex
from hinaug.graph.schema import EdgeType


@dataclass(eq=False)
class WholeNodes(EntityGenerator):
    """Generates nodes that are whole: links in every relation of the type, with their columns and
    records, and attributes of every kind.

    Each new node has a source, a real node at random. It has as many links as the source in each
    relation (so a relation with one target a node keeps one), drawn by what the method says is
    likely. Then

    - columns of links are those of real links to the same target by nodes like the source, and
      times are the source's own, with the gaps in another order;
    - attributes follow the drawn links by sequential trees, missing values included;
    - vectors are a line through links and attributes plus the residual of a near real node;
    - text is that of a near real node, crossed with that of another;
    - a link whose real like is recorded by a node, such as a review, is recorded too;
    - where nodes link to nodes of their own type, some links join two new nodes.

    A symmetric relation gets both directions. Where each link of a relation stands in another one
    too, such as its reverse, so does each new link. Parallel edges become one. A new node of two or
    more links never has exactly the links of a real one, as far as twenty draws find others and
    unless `keep` is 1. Targets that belong to one node alone (receipts) cannot be shared, and are
    left out.

    node: the node type to generate.
    relations: edge types of the links to generate; None takes all of the node type.
    keep: probability that a link of the source stays.
    time: the name of the edge column of times, where these are numbers.
    between: share of the links to the own type that join two new nodes. None takes k / (k + n) for
        k new nodes beside n real ones, as if all had met alike; take 0 for measures that know real
        nodes alone.
    writer: writes text instead, called as writer(column, table of the other columns, drafts).

    Learned: `targets_` (ids of the targets of each view), `symmetric_`, `kinds_`, `schema_`,
    `left_out_`.
    """

    LIMITS: ClassVar[Limits] = {
        "keep": SHARE,
        "between": SHARE,
    }
    node: str = "user"
    _: KW_ONLY
    relations: Sequence[EdgeType] | None = None
    keep: float = 0.0
    time: str = "time"
    between: float | None = None
    writer: Writer | None = None

    # ---- to write --------------------------------------------------------------------------------

    def _learn(self, real: Real, rng: np.random.Generator) -> None:
        """Learn which links are likely."""

    def _state(self, real: Real, source: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """What is drawn once for each new node, such as a latent [k, d]."""
        return source

    def _state_given(
        self, real: Real, source: np.ndarray, given: dict[str, pa.Array], rng: np.random.Generator
    ) -> np.ndarray:
        """The same under a condition, which chose the sources. given: its attributes."""
        return self._state(real, source, rng)

    def _logits(
        self, at: int, state: np.ndarray, drawn: Sequence[sp.csr_array], rows: slice
    ) -> np.ndarray:
        """Logits [b, m] of the targets of view `at` for some of the new nodes.

        drawn: the links of all new nodes in the views before, CSR [k, m].
        """
        raise NotImplementedError(f"{type(self).__name__} has no _logits")

    def _donors(self, real: Real, new: Linked, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """For each attribute in TREES a real row [k] whose value each new node takes."""
        kinds = {name: kind for name, kind in self.kinds_.items() if kind in TREES}
        return tree_donors(real.table, kinds, real.features, new.seen, new.given, rng, new.match)

    # ---- fitting ---------------------------------------------------------------------------------

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        found = witnesses(hin, self.node)
        keys = self._keys(hin, {witness.type for witness in found})
        self.symmetric_ = [
            edge for edge, into in keys if into and is_symmetric(PairIndex.of(hin, edge), edge)
        ]
        self._note_targets(hin, [key for key in keys if not (key[1] and key[0] in self.symmetric_)])
        self.witnesses_ = [w for w in map(astuple, found) if w[-1] in self.targets_]
        real = self._gather(hin)
        self.kinds_, unable = attribute_kinds(real.table)
        self.left_out_ |= unable
        self.schema_ = real.table.select(list(self.kinds_)).schema.empty_table()
        self._per_graph(hin, "real", lambda: real)
        self._learn(real, rng)

    def _keys(self, hin: HIN, hidden: set[str]) -> list[Key]:
        """The relations to link in; hidden: node types whose relations are made otherwise."""
        if self.relations is None:
            return keys_of(hin, self.node, hidden)
        return named_keys(hin, self.node, self.relations, self.origin, hidden)

    def _note_targets(self, hin: HIN, keys: Sequence[Key]) -> None:
        """The targets of the views that are drawn, the largest view first, and what is not."""
        views = [view_of(hin, key) for key in keys]
        shared = [view for view in views if view.links.nnz and not is_exclusive(view)]
        shared.sort(key=lambda view: -view.links.nnz)
        self.targets_ = {view.key: view.targets for view in shared}
        none = {view.relation for view in views} - {view.relation for view in shared}
        why = "each target belongs to one node alone"
        self.left_out_: dict[Any, str] = dict.fromkeys(sorted(none), why)
        self._check_links(hin)

    def _check_links(self, hin: HIN) -> None:
        if not self.targets_:
            raise SchemaError(
                f"{self.origin}: no {self.node!r} node has links to targets that it shares with "
                f"others, so there is nothing to learn how to link from; the graph has "
                f"{list(hin.edges)}",
                asked=self.node,
                there=list(hin.edges),
            )

    def _gather(self, hin: HIN) -> Real:
        views = views_of(hin, self.targets_)
        keys = [view.key for view in views]
        records: dict[int, list] = {}
        for parts in self.witnesses_:
            witness = Witness(*parts)
            if witness.type in hin.nodes and {witness.own, witness.about} <= set(hin.edges):
                at = keys.index(witness.key)
                records.setdefault(at, []).append((witness, record_of(hin, witness, views[at])))
        real = real_nodes(hin, self.node, views, records, self.time)
        if not len(real.nodes):
            raise SchemaError(
                f"{self.origin}: none of {hin.n_observed(self.node):,} {self.node!r} nodes has a "
                "link to the fitted targets, so there is nothing to learn how to link from"
            )
        return real

    def _real(self, hin: HIN) -> Real:
        """The real nodes of the graph at hand; kept until another graph comes."""

        def gather() -> Real:
            missing = [key[0] for key in self.targets_ if key[0] not in hin.edges]
            if missing:
                raise SchemaError(
                    f"{self.origin}: this graph has no {some(missing)}; it has {list(hin.edges)}",
                    asked=missing,
                    there=list(hin.edges),
                )
            real = self._gather(hin)
            check_same_columns(real.table, self.schema_, self.origin, self.node)
            return real

        return self._per_graph(hin, "real", gather)

    # ---- generating ------------------------------------------------------------------------------

    def sample(
        self, hin: HIN, n: int, rng: np.random.Generator, condition: Condition | None = None
    ) -> Entities:
        """n whole new nodes, made after random nodes of `hin` or after those of the condition."""
        real = self._real(hin)
        given = self._given(condition)
        source = self._sources(real, n, condition, given, rng)
        kept = self._kept(real, source, condition, rng)
        is_free = condition is None
        state = (
            self._state(real, source, rng)
            if is_free
            else self._state_given(real, source, given, rng)
        )
        drawn = self._draw(real, source, state, kept, rng)
        links = [d.matrix(n, len(v.targets)) for d, v in zip(drawn, real.views, strict=True)]
        tables, evidence = self._described(real, drawn, source, kept, rng)
        new = Linked(real.seen(links, tables), links, state, given, match=is_free)
        columns = self._columns(real, new, rng)
        ends = Ends(real, source, self.between, self.symmetric_).tables(drawn, tables, rng)
        return Entities(columns, ends, _mean(drawn, n), evidence, real.nodes[source])

    def _given(self, condition: Condition | None) -> dict[str, pa.Array]:
        """The attributes of the condition, in the types of the graph."""
        if condition is None or condition.columns is None:
            return {}
        for name in condition.columns.column_names:
            self._check_given(name)
        return in_types_of(condition.columns, self.schema_.schema, self.origin)

    def _check_given(self, name: str) -> None:
        if name in self.kinds_:
            return
        why = self.left_out_.get(name, "it was not there when the generator was fitted")
        raise ParameterError(
            f"{self.origin}: condition: {name!r} is not generated ({why}); leave it out",
            asked=name,
            there=list(self.kinds_),
        )

    def _sources(
        self,
        real: Real,
        n: int,
        condition: Condition | None,
        given: dict[str, pa.Array],
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Rows of the real nodes [n] that new nodes are made after: those of the condition, or such
        as have the given links or attributes; else all in turn, in random order.
        """
        if condition is not None and condition.nodes is not None:
            return self._rows_of(real, condition.nodes)
        everyone = np.concatenate(
            [rng.permutation(len(real.nodes)) for _ in range(-(-n // len(real.nodes)))]
        )[:n]
        if condition is not None and condition.links is not None:
            return holders(real, condition.links, everyone, rng, self.origin)
        chosen = alike(real.table, given, rng, self.origin) if given else None
        return everyone if chosen is None else chosen

    def _rows_of(self, real: Real, nodes: np.ndarray) -> np.ndarray:
        rows = real.rows_of(nodes)
        if (rows < 0).any():
            bare = real.hin.ids(self.node, np.unique(nodes[rows < 0])).to_pylist()
            raise ParameterError(
                f"{self.origin}: {some(bare)} of the condition have no links in "
                f"{[key[0] for key in self.targets_]}, so no node can be made after them; leave "
                "them out",
                asked=bare,
            )
        return rows

    def _kept(
        self,
        real: Real,
        source: np.ndarray,
        condition: Condition | None,
        rng: np.random.Generator,
    ) -> list[sp.csr_array]:
        """Links that new nodes have for certain, CSR [k, m] a view: kept ones and given ones."""
        out: list[sp.csr_array] = []
        for view, within in zip(real.views, real.within, strict=True):
            links = view.links[source]
            if within >= 0:
                links = links.multiply(out[within]).tocsr()
            else:
                stays = rng.random(links.nnz) < self.keep
                links.data = np.where(stays, links.data, 0)
                links.eliminate_zeros()
            out.append(sp.csr_array(links))
        given = {} if condition is None or condition.links is None else condition.links
        for at, view in enumerate(real.views):
            if view.relation in given:
                links = given_links(view, given[view.relation], self.origin)
                for one in (at, real.within[at]):
                    if one >= 0:
                        is_single = real.views[one].degree.max() <= 1
                        out[one] = links if is_single else either(out[one], links)
        return out

    def _degree(
        self, real: Real, at: int, source: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """How many links new nodes shall have in view `at` [k]."""
        return real.views[at].degree[source]

    def _draw(
        self,
        real: Real,
        source: np.ndarray,
        state: np.ndarray,
        kept: Sequence[sp.csr_array],
        rng: np.random.Generator,
    ) -> list[Drawn]:
        """Links of all views; new nodes with all the links of a real one are drawn anew."""

        def some(rows: np.ndarray) -> list[Drawn]:
            return self._draw_views(real, source[rows], state[rows], [x[rows] for x in kept], rng)

        return unlike_in_all(some, len(source), real.views, self.keep < 1)

    def _draw_views(
        self,
        real: Real,
        source: np.ndarray,
        state: np.ndarray,
        kept: Sequence[sp.csr_array],
        rng: np.random.Generator,
    ) -> list[Drawn]:
        """Links of one view after another; those of a real node in a view are drawn anew."""
        drawn: list[Drawn] = []
        links: list[sp.csr_array] = []
        for at, view in enumerate(real.views):
            degree, same = self._degree(real, at, source, rng), real.same_as(at)
            if same >= 0:
                made = drawn[same]
            else:
                among = None if real.within[at] < 0 else links[real.within[at]]
                wanted = Wanted(at, view, degree, state, list(links), kept[at], among)
                made = unlike_in_view(lambda x: self._draw_view(x, rng), wanted, self.keep < 1)
            drawn.append(made)
            links.append(made.matrix(len(source), len(view.targets)))
        return drawn

    def _draw_view(self, wanted: Wanted, rng: np.random.Generator) -> Drawn:
        """Links in one view: those kept, and others by the logits up to the degree."""
        return by_logits(wanted, self._logits, rng)

    def _described(
        self,
        real: Real,
        drawn: Sequence[Drawn],
        source: np.ndarray,
        kept: Sequence[sp.csr_array],
        rng: np.random.Generator,
    ) -> tuple[list[pa.Table], dict[str, Evidence]]:
        """The columns of the links of each view, and what records them."""
        tables: list[pa.Table] = []
        evidence = {}
        for at, made in enumerate(drawn):
            own = np.zeros(len(made.row), bool)
            if self.keep:
                own = is_passed_on(real.views[at], made, source, kept[at])
            like = like_links(real, at, made, source, own, rng)
            table = link_columns(real, at, made, source, like, own, rng)
            tables.append(with_columns_of_twin(real, at, table, tables))
            for witness, record in real.records[at]:
                args = (real, witness, record, made, like, tables[at], self.writer, rng)
                found = records_of(*args)
                if found is not None:
                    evidence[witness.type] = found
        return tables, evidence

    def _columns(self, real: Real, new: Linked, rng: np.random.Generator) -> dict[str, pa.Array]:
        """Attributes of new nodes, then vectors and text, which follow from them."""
        donors, made = self._donors(real, new, rng), dict(new.given)
        for name in [name for name in donors if name not in new.given]:
            column = tb.one_chunk(real.table[name])
            made[name] = values_at(column, donors[name], self.kinds_[name], rng)
        rest = [name for name in self.kinds_ if name not in made]
        if rest:
            near = Near(real, new.seen, made, self.kinds_, rng)
            made |= {name: near.column(name, self.writer, self.origin) for name in rest}
        return {name: made[name] for name in self.kinds_}


def _mean(drawn: Sequence[Drawn], n: int) -> np.ndarray:
    """The mean probability of each node's links [n]."""
    row = np.concatenate([d.row for d in drawn])
    total = np.bincount(row, np.concatenate([d.probability for d in drawn]), n)
    return np.clip(total / np.maximum(np.bincount(row, minlength=n), 1), 0, 1)
