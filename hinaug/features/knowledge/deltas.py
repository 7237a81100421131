"""Mentions and facts as deltas: typed nodes and edges with the span that they come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.errors import ParameterError
from hinaug.features import kinds
from hinaug.features.knowledge.dictionary import Dictionary
from hinaug.features.knowledge.sentences import Fact
from hinaug.features.named import names as columns_of
from hinaug.features.named import pair
from hinaug.graph import arrow as tb
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType

OTHER = "states"  # the relation of facts that are stated too seldom for a type of their own

Parser = Callable[[Sequence[str | None]], list[list[Fact]]]


def mentions(
    hin: HIN,
    text: tuple[str, str],
    named: str,
    names: Sequence[str] | str = ("title",),
    *,
    through: EdgeType | None = None,
    relation: str = "mentions",
    least_letters: int = 4,
) -> Delta:
    """Edges from nodes to those that their texts name, see `Dictionary`.

    A text that names its own node, or the node that it is about, gives no edge. Texts that are
    held out have no place in `hin`: hand over `split.train`. A name of two nodes stands for the
    first.

    Parameters
    ----------
    hin
        The graph; its observed rows are read.
    text
        (node type, column) of the texts.
    named
        The type of the nodes that are looked for.
    names
        Its columns of names: text, or lists of texts such as synonyms.
    through
        An edge type from the nodes with the texts to those that the texts are about, such as
        ("review", "about", "item"): the edges then run from these.
    relation
        The name of the new edges, which have "start" and "end", the characters of the mention, and
        "text_id", the node that has the text.
    least_letters
        Shorter names are not looked for.

    Example
    -------
    >>> hin = HIN.from_tables({"item": {"id": ["a", "b"], "title": ["Blue amp", "Strap"],
    ...                                 "text": ["Louder than a strap.", None]}}, {})
    >>> delta = mentions(hin, ("item", "text"), "item")
    >>> delta.edges["item", "mentions", "item"].select(["src", "dst", "start", "end"]).to_pylist()
    [{'src': 'a', 'dst': 'b', 'start': 14, 'end': 19}]
    """
    hin = hin.observed()
    node, column = _text(text, "mentions")
    known = _named(hin, named, columns_of(names, "mentions: names"))
    found = Dictionary(known, least_letters).find(_texts(hin, node, column))
    owner, row = _about(hin, node, through, np.asarray(found["row"]))
    source = through[2] if through else node
    table = pa.table(
        {
            "src": hin.nodes[source]["id"].take(pa.array(owner)),
            "dst": found["id"].take(pa.array(row)),
            "start": found["start"].take(pa.array(row)),
            "end": found["end"].take(pa.array(row)),
            "text_id": hin.nodes[node]["id"].take(found["row"].take(pa.array(row))),
        }
    )
    if source == named:
        table = table.filter(pc.not_equal(table["src"], table["dst"]))
    return Delta(
        edges={(source, relation, named): table}, origin="mentions", fitted_on=[hin.fingerprint()]
    )


def facts_as_delta(
    hin: HIN,
    text: tuple[str, str],
    parser: Parser,
    *,
    through: EdgeType | None = None,
    thing: str = "thing",
    least: int = 5,
) -> Delta:
    """What the texts of nodes state, as nodes of a new type and typed edges.

    Facts about the text's own subject ("it has a case") become edges from the node, or, with
    `through`, from the node that the text is about; others run between two things. A relation that
    at least `least` facts have is an edge type of its own, such as ("item", "come with", "thing");
    the rest are ("item", "states", "thing").

    Parameters
    ----------
    hin
        The graph; hand over `split.train`, and no held-out text is read.
    text
        (node type, column) of the texts.
    parser
        `Sentences()`, or any callable from texts to lists of `Fact`.
    through
        As for `mentions`.
    thing
        The node type of things, with a column "name".
    least
        See above.

    Every edge has "relation", "start", "end" and "text_id", as for `mentions`. A delta brings rows
    of node types that a graph has: give it the type of things, without a row, before or afterwards.

    Raises ParameterError where the graph has such things already.

    Example
    -------
    >>> hin = HIN.from_tables({"item": {"id": ["a"], "text": ["It has a case."]}}, {})
    >>> parser = lambda texts: [[Fact(None, "have", "case", 0, 13)] for _ in texts]
    >>> delta = facts_as_delta(hin, ("item", "text"), parser, least=1)
    >>> delta
    Delta(1 thing nodes, 1 item have thing edges by facts)
    >>> (hin.with_nodes("thing", {"id": [], "name": []}) + delta).n("thing")
    1
    """
    hin = hin.observed()
    _check_new(hin, thing)
    node, column = _text(text, "facts_as_delta")
    stated = parser(_texts(hin, node, column))
    rows, owner, kept = _owned(hin, node, through, stated)
    source = through[2] if through else node
    facts = [rows[k][1] for k in kept]
    counts = Counter(fact.relation for fact in facts)
    ids, text_ids = hin.nodes[source]["id"].to_pylist(), hin.nodes[node]["id"].to_pylist()
    edges: dict[EdgeType, list[dict[str, Any]]] = {}
    for at, k, fact in zip(owner, kept, facts, strict=True):
        name = fact.relation if counts[fact.relation] >= least else OTHER
        start, row = (source, {"src": ids[at]}) if fact.subject is None else _from(thing, fact)
        row |= {"dst": _id(thing, fact.object), "relation": fact.relation}
        row |= {"start": fact.start, "end": fact.end, "text_id": text_ids[rows[k][0]]}
        edges.setdefault((start, name, thing), []).append(row)
    names = sorted(_names_in(facts))
    nodes = {thing: {"id": [_id(thing, name) for name in names], "name": names}}
    tables = {type: pa.Table.from_pylist(rows_of) for type, rows_of in edges.items()}
    return Delta(nodes, tables, origin="facts", fitted_on=[hin.fingerprint()])


def _from(thing: str, fact: Fact) -> tuple[str, dict[str, Any]]:
    return thing, {"src": _id(thing, str(fact.subject))}


def _names_in(facts: Sequence[Fact]) -> set[str]:
    return {name for fact in facts for name in (fact.subject, fact.object) if name}


def _owned(
    hin: HIN, node: str, through: EdgeType | None, stated: list[list[Fact]]
) -> tuple[list[tuple[int, Fact]], np.ndarray, np.ndarray]:
    """All facts with the row of their text, and for each edge its node and its fact."""
    rows = [(row, fact) for row, facts in enumerate(stated) for fact in facts]
    return rows, *_about(hin, node, through, np.array([row for row, _ in rows], np.int64))


def _check_new(hin: HIN, thing: str) -> None:
    if thing in hin.nodes and hin.n(thing):
        raise ParameterError(
            f"facts_as_delta: there are {hin.n(thing):,} {thing!r} nodes already; choose another "
            "thing=, or take the delta that they come from off first",
            asked=thing,
            there=list(hin.nodes),
        )


def _id(thing: str, name: str) -> str:
    return f"{thing}:{name}"


def _text(text: tuple[str, str], who: str) -> tuple[str, str]:
    node, column = pair(text, f"{who}: text")
    assert isinstance(node, str)
    return node, column


def _texts(hin: HIN, node: str, column: str) -> list[str | None]:
    values = kinds.decoded(hin.column(node, column))
    if not tb.is_text(values.type):
        raise ParameterError(
            f"column {column!r} of {node!r} is {values.type}; texts are needed", asked=column
        )
    return values.to_pylist()


def _named(hin: HIN, node: str, columns: Sequence[str]) -> list[tuple[str, str]]:
    """(name, id) of all names, those of the first column first."""
    ids, pairs = hin.nodes[node]["id"].to_pylist(), []
    for column in columns:
        for id, value in zip(ids, kinds.decoded(hin.column(node, column)).to_pylist(), strict=True):
            names = [value] if isinstance(value, str) else value or []
            pairs += [(name, id) for name in names]
    return pairs


def _about(
    hin: HIN, node: str, through: EdgeType | None, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The nodes that texts are about, and which of `rows` each belongs to."""
    if through is None:
        return rows, np.arange(len(rows))
    if through[0] != node:
        raise ParameterError(
            f"through={through}: it must start at {node!r}, which has the texts", asked=through
        )
    links = hin.adjacency(through)[rows]
    return links.indices.astype(np.int64), np.repeat(np.arange(len(rows)), np.diff(links.indptr))
