"""Are generated nodes whole?

    from hinaug.testing import check_whole_nodes
    check_whole_nodes(MyGenerator("user"))

It checks what `check_entity_generator` leaves open: every relation, edge columns, records such as
reviews, relations with one target a node, links between new nodes, missing values, text.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.datasets.planted_mixed import planted_mixed
from hinaug.errors import ParameterError
from hinaug.generators.base import EntityGenerator
from hinaug.generators.pairs import is_symmetric
from hinaug.graph import arrow as tb
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.merge import merge
from hinaug.graph.pairs import PairIndex
from hinaug.graph.schema import PROVENANCE, EdgeType

SEEN = 0.15  # difference of two shares of missing values that is chance


def mixed_world() -> HIN:
    """The graph that the kit uses unless it is given one: mixed columns, relations, reviews."""
    return planted_mixed(120, 40, 10, 3, reviews=True, dim=4, rng=0)


def check_whole_nodes(generator: EntityGenerator, hin: HIN | None = None, rng: int = 0) -> None:
    """What every generator of whole nodes keeps, beside `check_entity_generator`.

    - It links in each relation of the node type, or says in `left_out_` why not.
    - New links have the edge columns, with values that are real ones, or times.
    - Records of links (reviews) are made for new links, or `left_out_` names their type.
    - A relation with at most one target a node keeps at most one.
    - Where nodes link to their own type, some links join two new nodes, and none is a loop. A
      symmetric relation has both directions.
    - No pair stands twice. Ids are new, also in a second delta and in `merge`.
    - Columns have values, missing about as often as in the graph, or stand in `left_out_`.
    - Rows of real nodes are read from the graph given to `generate`.
    - Given links are there, or ParameterError says that they cannot be given.

    Parameters
    ----------
    generator
        An instance, fitted or not; it is cloned and stays as it is.
    hin
        A graph with nodes of its type; `mixed_world()` unless given.
    rng
        The seed of everything.

    Raises AssertionError that says which rule was broken and what to do.
    """
    hin = mixed_world() if hin is None else hin
    node, name = generator.node, type(generator).__name__
    model = generator.clone().fit(hin, rng=rng)
    left_out = getattr(model, "left_out_", None)
    assert isinstance(left_out, dict), (
        f"{name} has no left_out_: a dict {{column or edge type: why it is not generated}}"
    )
    made = model.generate(hin, max(hin.n_observed(node), 100), rng=rng)
    both = hin + made
    for edge in hin.edges:
        if node in (edge[0], edge[2]):
            _check_relation(hin, made, both, edge, node, left_out, name)
            _check_given_links(model, hin, edge, node, rng, name)
    _check_columns(hin, made, node, left_out, name)
    _check_ids(model, hin, made, node, rng, name)
    _check_given_graph(model, hin, node, rng, name)


def _check_relation(
    hin: HIN,
    made: Delta,
    both: HIN,
    edge: EdgeType,
    node: str,
    left_out: dict[Any, str],
    name: str,
) -> None:
    other = edge[2] if edge[0] == node else edge[0]
    if edge in left_out or other in left_out or not hin.n(edge):
        return
    assert edge in made.edges, (
        f"{name}: new {node!r} nodes have no {edge} links; draw them, or say in left_out_ why not"
    )
    rows = made.edges[edge]
    pairs = list(zip(rows["src"].to_pylist(), rows["dst"].to_pylist(), strict=True))
    assert len(set(pairs)) == len(pairs), f"{name}: a pair of {edge} stands more than once"
    if edge[0] == edge[2]:
        _check_between_new(made, edge, pairs, node, name)
        if is_symmetric(PairIndex.of(hin, edge), edge):
            assert {pair[::-1] for pair in pairs} == set(pairs), (
                f"{name}: each {edge} link stands in both directions, not new ones; add the other"
            )
    _check_functional(hin, both, edge, node, name)
    _check_edge_columns(hin, rows, edge, left_out, name)


def _check_between_new(
    made: Delta, edge: EdgeType, pairs: list[tuple[str, str]], node: str, name: str
) -> None:
    new = set(made.nodes[node]["id"].to_pylist())
    assert all(src != dst for src, dst in pairs), f"{name}: {edge} joins a new node to itself"
    assert any(src in new and dst in new for src, dst in pairs), (
        f"{name}: no {edge} link joins two new nodes"
    )


def _check_functional(hin: HIN, both: HIN, edge: EdgeType, node: str, name: str) -> None:
    """A node type with at most one link in a relation has at most one after generation."""
    for side, end in enumerate((edge[0], edge[2])):
        before = np.bincount(hin.links(edge)[side], minlength=1)
        if before.max() > 1 or (edge[0] == edge[2] and end == node):
            continue
        after = np.bincount(both.links(edge)[side])
        assert after.max() <= 1, (
            f"{name}: each {end!r} has at most one {edge} link in the graph, and {after.max()} "
            "after generation"
        )


def _check_edge_columns(
    hin: HIN, rows: pa.Table, edge: EdgeType, left_out: dict[Any, str], name: str
) -> None:
    table = hin.observed().edges[edge]
    for column in [c for c in table.column_names if c not in ("src", "dst", *PROVENANCE)]:
        if (edge, column) in left_out:
            continue
        assert column in rows.column_names, (
            f"{name}: new {edge} links have no {column!r}; draw it with the link"
        )
        real, new = tb.one_chunk(table[column]), tb.one_chunk(rows[column])
        assert new.type == real.type, f"{name}: {edge} {column!r} is {new.type}, not {real.type}"
        assert not (real.null_count == 0 and new.null_count), (
            f"{name}: {edge} {column!r} is null on new links and never on real ones"
        )
        few = len(real.unique()) * 20 < len(real)
        assert not few or pc.all(pc.is_in(new, value_set=real.unique())).as_py(), (
            f"{name}: {edge} {column!r} has values between the real levels"
        )


def _check_given_links(
    model: EntityGenerator, hin: HIN, edge: EdgeType, node: str, rng: int, name: str
) -> None:
    """Each new node has the link that was asked for, and a functional relation stays one."""
    side = 1 if edge[0] == node else 0
    targets = hin.observed().links(edge)[side]
    if not len(targets):
        return
    target = int(np.bincount(targets).argmax())
    try:
        made = model.generate(hin, 5, condition={edge: hin.ids(edge[2 * side], [target])}, rng=rng)
    except ParameterError:
        return
    both = hin + made
    ends = both.links(edge)
    linked = ends[1 - side][ends[side] == target]
    n_missing = 5 - len(set(both.positions(node, made.nodes[node]["id"])) & set(linked))
    assert not n_missing, (
        f"{name}: {n_missing} of 5 new {node!r} nodes lack the {edge} link of the condition; keep "
        "given links"
    )
    _check_functional(hin, both, edge, node, name)


def _check_columns(hin: HIN, made: Delta, node: str, left_out: dict[Any, str], name: str) -> None:
    real, new = hin.observed().nodes[node], made.nodes[node]
    for column in [c for c in real.column_names if c not in ("id", *PROVENANCE)]:
        if column in left_out:
            continue
        assert column in new.column_names, (
            f"{name}: new nodes have no {column!r}; generate it, or say in left_out_ why not"
        )
        shares = [t[column].null_count / t.num_rows for t in (real, new)]
        assert abs(shares[0] - shares[1]) < SEEN, (
            f"{name}: {column!r} is null on {shares[1]:.0%} of the new nodes and on "
            f"{shares[0]:.0%} of the real ones"
        )


def _check_ids(
    model: EntityGenerator, hin: HIN, made: Delta, node: str, rng: int, name: str
) -> None:
    again = model.generate(hin + made, 5, rng=rng)
    try:
        put = hin + made + again
        put + model.generate(put, 5, rng=rng)
        hin + merge([made, model.generate(hin, 5, rng=rng + 1)])
    except ValueError as error:
        raise AssertionError(
            f"{name}: ids of new nodes collide ({error}); let them follow from the content and "
            "from the deltas on the graph"
        ) from error
    assert again.nodes[node].num_rows == 5, f"{name}: a graph with its delta gives other numbers"


def _check_given_graph(model: EntityGenerator, hin: HIN, node: str, rng: int, name: str) -> None:
    """Values come from the graph given to `generate`: those of half of the nodes are not in it."""
    half = hin.filter_nodes(node, np.arange(hin.n(node)) % 2 == 0)
    made = model.generate(half, 50, rng=rng).nodes[node]
    table = half.nodes[node]
    for column in made.column_names:
        if column in table.column_names and pa.types.is_temporal(table.schema.field(column).type):
            known = tb.one_chunk(table[column]).drop_null().unique()
            stray = pc.invert(pc.is_in(tb.one_chunk(made[column]).drop_null(), value_set=known))
            assert not pc.any(stray).as_py(), (
                f"{name}: {column!r} has values that the graph given to generate lacks; read rows "
                "of real nodes from it, and save none"
            )
