"""Whole new nodes that a language model writes, as records of a schema."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa

from hinaug.checks import COUNT, Limits
from hinaug.errors import ParameterError, UnknownNameError, WriterError
from hinaug.features import kinds
from hinaug.features.writer.base import Writer
from hinaug.features.writer.facts import MATERIAL, named_rows, tidy
from hinaug.features.writer.records import read_records
from hinaug.features.writer.tally import Tally
from hinaug.generators.base import Condition, Entities, EntityGenerator
from hinaug.generators.entities.given import in_types_of
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType

LINKS = "likes"  # the field of a record that holds its links
MOST_CHOICES = 40  # values of a column that are written out as choices
LONGEST = 300  # characters of a text


class _Made(NamedTuple):
    """A record that fits: values of columns, positions of targets, confidence."""

    values: dict[str, Any]
    targets: np.ndarray
    sure: float


class _Pool(NamedTuple):
    """Links of the real nodes, names of the targets, those that have one, their chances."""

    links: Any
    names: pa.Array
    there: np.ndarray
    chance: np.ndarray


@dataclass(eq=False)
class WrittenNodes(EntityGenerator):
    """New nodes whose attributes and links a writer makes up, each as one JSON record.

    A prompt shows some real nodes of the graph given to `generate`, offers targets by number, drawn
    in proportion to their degree, and asks for one more node. What comes back must fit a schema:
    the columns of the type, with the observed values as choices and the observed range for numbers,
    and a list of numbers of offered targets. Fields outside the schema are left out, targets that
    were not offered too; what does not fit is refused and asked for again, up to `tries` times. So
    no text in the graph can lead to another id, another field or a further node.

    Parameters
    ----------
    node, relation
        The type to generate, and the edge type by which new nodes are linked.
    writer
        See `hinaug.features.writer`. TransformersWriter is held to the schema word by word where
        the extra "write" is installed.
    name
        The column of the nodes at the other end that names them in prompts.
    columns
        The columns to write; None for all texts, categories, numbers and booleans of the type.
    examples
        Real nodes that a prompt shows.
    offered
        Targets that a prompt offers.
    max_links
        Links of a new node, at most.
    tries
        How often a refused record is asked for.
    control
        "none" shows no real nodes.

    confidence: 1 for a record taken as it is, .5 for a repaired one; it says nothing of how real
    the node is (see `most_real`). Real nodes are shown to the writer: what it writes is no privacy.

    Learned: `schema_`, made of the values and ranges of the columns. Raises WriterError where
    records are still missing after all tries. Condition: a table of attributes, or external ids of
    nodes that are shown as examples.

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> hin = planted(rng=0)
    >>> record = '{"age": 40, "job": "baker", "likes": [1, 3]}'
    >>> made = WrittenNodes("user", ("user", "rates", "item"), lambda ps: [record] * len(ps),
    ...                     name="title").fit(hin).generate(hin, 2, rng=0)
    >>> made.nodes["user"]["job"].to_pylist()
    ['baker', 'baker']
    """

    LIMITS: ClassVar[Limits] = {
        "examples": COUNT,
        "offered": COUNT,
        "max_links": COUNT,
        "tries": COUNT,
        "control": ("none",),
    }
    relation: EdgeType
    writer: Writer
    _: KW_ONLY
    name: str
    columns: Sequence[str] | None = None
    examples: int = 3
    offered: int = 30
    max_links: int = 10
    tries: int = 3
    control: str | None = None

    @property
    def tally(self) -> Tally:
        """What came of the last `generate`."""
        return self.__dict__.get("_tally", Tally())

    @property
    def _other(self) -> str:
        """The type of the nodes at the other end."""
        return self.relation[2] if self.relation[0] == self.node else self.relation[0]

    def _check_graph(self, hin: HIN) -> None:
        super()._check_graph(hin)
        hin.edges[self.relation]
        if self.node not in (self.relation[0], self.relation[2]):
            raise ParameterError(
                f"{self.origin}: {self.relation} does not touch {self.node!r}",
                asked=self.relation,
                there=[edge for edge in hin.edges if self.node in edge],
            )
        named_rows(hin, self._other, self.name, self.origin)

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        table = hin.observed().nodes[self.node]
        asked = set(self.columns or table.column_names) - {"id"}
        names = [name for name in table.column_names if name in asked]
        found = {name: _rule(hin.observed().column(self.node, name)) for name in names}
        rules = {name: rule for name, rule in found.items() if rule is not None}
        _check_columns(self.origin, sorted(set(self.columns or ()) - set(rules)), rules)
        self.schema_: dict[str, Any] = rules

    def sample(
        self, hin: HIN, n: int, rng: np.random.Generator, condition: Condition | None = None
    ) -> Entities:
        """n new nodes, see the class."""
        condition = condition or Condition()
        if condition.links is not None:
            raise ParameterError(f"{self.origin} takes no condition of links; leave it out")
        tally = self._tally = Tally()
        made: dict[int, _Made] = {}
        for _ in range(self.tries):
            missing = [i for i in range(n) if i not in made]
            made |= self._round(hin.observed(), missing, condition, rng, tally)
        return self._entities(hin, [made[i] for i in sorted(made)], n, condition)

    def _round(
        self,
        hin: HIN,
        missing: list[int],
        condition: Condition,
        rng: np.random.Generator,
        tally: Tally,
    ) -> dict[int, _Made]:
        """The nodes whose records fit, among those that are asked for once."""
        pool = self._pool(hin)
        asked = [self._asked(hin, pool, i, condition, rng) for i in missing]
        made = {}
        with tally.counting(self.writer, len(asked)):
            schema = self._schema(len(asked[0][1]) if asked else 1)
            answers = read_records(self.writer, [prompt for prompt, _ in asked], schema)
        for i, (_, offered), answer in zip(missing, asked, answers, strict=True):
            if answer.value is None:
                tally.refuse(answer.why)
                continue
            tally.accept(bool(answer.why))
            chosen = offered[np.array(answer.value.pop(LINKS)) - 1]
            made[i] = _Made(answer.value, chosen, 0.5 if answer.why else 1.0)
        return made

    # ---- parts -----------------------------------------------------------------------------------

    def _schema(self, n_offered: int) -> dict[str, Any]:
        most = min(self.max_links, n_offered)
        numbers = {"type": "array", "minimum": 1, "maximum": n_offered, "maxItems": most}
        return {**self.schema_, LINKS: numbers}

    def _pool(self, hin: HIN) -> _Pool:
        links = hin.adjacency(self.relation)
        links = links if self.relation[0] == self.node else links.T.tocsr()
        there = np.flatnonzero(named_rows(hin, self._other, self.name, self.origin))
        degree = np.bincount(links.indices, minlength=links.shape[1])[there] + 1.0
        names = kinds.decoded(hin.column(self._other, self.name))
        return _Pool(links, names, there, degree / degree.sum())

    def _asked(
        self, hin: HIN, pool: _Pool, i: int, condition: Condition, rng: np.random.Generator
    ) -> tuple[str, np.ndarray]:
        """A prompt, and the positions of the targets that it offers."""
        n_offered = min(self.offered, len(pool.there))
        offered = rng.choice(pool.there, n_offered, replace=False, p=pool.chance)
        shown = self._examples(hin, pool.links, pool.names, i, condition, rng)
        names = [tidy(str(pool.names[j].as_py()), 100) for j in offered]
        listed = [f"{k}. {name}" for k, name in enumerate(names, 1)]
        fields = json.dumps(self._schema(n_offered), ensure_ascii=False)
        given = "" if condition.columns is None else f"\nIt has: {condition.columns.slice(i, 1)}"
        lines = [
            f"Below are some {self.node} records. {MATERIAL}",
            *shown,
            f"What it may be linked with, one {self._other} a line:",
            *listed,
            f"Write one new {self.node} that may well exist, as one JSON object with these fields "
            f"and no others; {LINKS!r} holds numbers of the list:",
            fields + given,
        ]
        return "\n".join(lines) + "\n", offered

    def _examples(
        self,
        hin: HIN,
        links: Any,
        names: pa.Array,
        i: int,
        condition: Condition,
        rng: np.random.Generator,
    ) -> list[str]:
        """Real nodes as lines of JSON, in quotes, with the names of what they are linked with."""
        if self.control == "none":
            return []
        at = rng.integers(links.shape[0], size=self.examples)
        if condition.nodes is not None:
            at[0] = condition.nodes[i]
        lines = []
        for k in at:
            row = hin.nodes[self.node].slice(int(k), 1)
            said = {c: row[c][0].as_py() for c in self.schema_}
            linked = links.indices[links.indptr[k] : links.indptr[k + 1]][: self.max_links]
            said[LINKS] = [names[j].as_py() for j in linked]
            lines.append("<<<" + tidy(json.dumps(said, ensure_ascii=False), 800) + ">>>")
        return lines

    def _entities(
        self,
        hin: HIN,
        made: list[_Made],
        n: int,
        condition: Condition,
    ) -> Entities:
        if len(made) < n:
            raise WriterError(
                f"{self.origin}: {len(made):,} of {n:,} records fit after {self.tries} tries; "
                f"{self.tally}; the reasons: {dict(self.tally.why.most_common(3))}",
                asked=n,
                there=len(made),
            )
        table = hin.observed().nodes[self.node]
        columns = {
            name: _column([one.values[name] for one in made], table.schema.field(name).type)
            for name in self.schema_
        }
        if condition.columns is not None:
            columns |= in_types_of(condition.columns, table.schema, self.origin)
        row = np.repeat(np.arange(n), [len(one.targets) for one in made])
        targets = pa.array(np.concatenate([one.targets for one in made]))
        ids = hin.observed().nodes[self._other]["id"].take(targets)
        links = {self.relation: pa.table({"row": row, "id": ids})}
        return Entities(columns, links, np.array([one.sure for one in made]))


def _check_columns(origin: str, lacking: list[str], rules: dict[str, Any]) -> None:
    """Raises where columns cannot be written, or where one has the name of the field of links."""
    if lacking or LINKS in rules:
        raise UnknownNameError(
            f"{origin}: columns {lacking or [LINKS]} cannot be written; there are {list(rules)}",
            asked=lacking or LINKS,
            there=list(rules),
        )


def _rule(column: pa.Array) -> dict[str, Any] | None:
    """What may be written into a column, as a rule of a schema; None where nothing can."""
    kind, known = kinds.kind_of(column, MOST_CHOICES, 2), kinds.decoded(column).drop_null()
    free = {"nullable": column.null_count > 0}
    if not len(known):
        return None
    if kind == "category" and tb.is_text(known.type):
        return {"type": "string", "enum": kinds.categories(column).to_pylist(), **free}
    if kind == "text":
        return {"type": "string", "maxLength": LONGEST, **free}
    if kind == "boolean":
        return {"type": "boolean", **free}
    return {**_range(known), **free} if kind == "number" else None


def _range(numbers: pa.Array) -> dict[str, Any]:
    whole, values = pa.types.is_integer(numbers.type), kinds.numbers(numbers)
    least, most = (int(v) if whole else float(v) for v in (values.min(), values.max()))
    return {"type": "integer" if whole else "number", "minimum": least, "maximum": most}


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode().cast(kind)
    return pa.array(values, kind)
