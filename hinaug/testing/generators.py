"""Does a generator keep its contract?

    from hinaug.testing import check_entity_generator
    check_entity_generator(MyGenerator("user"))

`check_generator` holds for all; the others add what is true of generators of nodes and of links.
They fit a handful of times: hand over an instance with few steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.errors import HinaugError, NotFittedError, ParameterError, some
from hinaug.generators.base import EntityGenerator, Generator
from hinaug.graph import arrow as tb
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.schema import PROVENANCE
from hinaug.testing.saving import check_no_training_set, check_saving
from hinaug.testing.shared import (
    check_parameters,
    checked_fit,
    other_global_seed,
    planted_world,
    raises,
    reversed_rows,
    unchanged,
    world,
)


def check_generator(
    generator: Generator,
    hin: HIN | None = None,
    rng: int = 0,
    *,
    size: int = 7,
    valid: pa.Table | None = None,
) -> tuple[Generator, Delta]:
    """The contract of Generator: parameters, randomness, marks, a delta that comes off exactly,
    sizes, conditions, saving, and no training set in what is saved.

    Parameters
    ----------
    generator
        An instance, fitted or not; it is cloned and stays as it is.
    hin
        The graph to learn from and to generate for; a small planted world unless given.
    rng
        The seed that everything is fitted and generated with.
    size
        How much to generate.
    valid
        Held-out pairs to fit with.

    Gives the fitted generator and its delta. Raises AssertionError that says which rule was broken
    and what to do.
    """
    name = type(generator).__name__
    assert isinstance(generator, Generator), (
        f"{name} is no Generator: subclass hinaug.generators.base.Generator"
    )
    check_parameters(generator, name)
    hin = planted_world() if hin is None else hin
    raises(
        lambda: generator.clone().generate(hin, size), NotFittedError, f"{name}.generate before fit"
    )
    model = checked_fit(generator, hin, valid, rng, name)
    assert model.fitted_on_ == hin.fingerprint(), (
        f"{name}.fitted_on_ is not the fingerprint of the graph it was fitted on; write _fit, not "
        "fit"
    )
    made = _generated(model, hin, size, rng, name)
    _check_sizes(model, hin, rng, name)
    raises(
        lambda: model.generate(hin, size, condition=object(), rng=rng),
        (HinaugError, ValueError, TypeError),
        f"{name}.generate with a condition that means nothing",
    )
    check_saving(model, lambda loaded: loaded.generate(hin, size, rng=rng))
    check_no_training_set(model, hin, [edge for edge in hin.edges if hin.n(edge)])
    return model, made


def check_entity_generator(
    generator: EntityGenerator, hin: HIN | None = None, rng: int = 0
) -> None:
    """The contract of EntityGenerator: beside that of Generator, new nodes with attributes and
    links, as many as asked for; conditions; other graphs.

    generator: an instance, fitted or not; it is cloned and stays as it is. hin: a graph with nodes
    of its type that have links.
    """
    name = type(generator).__name__
    assert isinstance(generator, EntityGenerator), (
        f"{name} is no EntityGenerator: subclass hinaug.generators.base.EntityGenerator"
    )
    hin, node = planted_world() if hin is None else hin, generator.node
    raises(
        lambda: generator.clone().fit(hin.drop(node)),
        KeyError,
        f"{name}.fit on a graph without {node!r}",
    )
    model, first = check_generator(generator, hin, rng)
    n_there = hin.n_observed(node)
    for size, expected in ((7, 7), (0.1, round(0.1 * n_there)), (0, 0)):
        n = _n_nodes(model.generate(hin, size, rng=rng), node)
        assert n == expected, (
            f"{name}.generate(size={size!r}) made {n} {node!r} nodes instead of {expected} "
            f"({n_there} are observed)"
        )
    other = model.generate(hin, 7, rng=rng + 1)
    try:
        both = hin + first + other
    except ValueError as error:
        raise AssertionError(
            f"{name}: two deltas of unlike rng do not go together: {error}"
        ) from error
    assert both.n(node) == n_there + 14, (
        f"{name}: two deltas of 7 nodes made {both.n(node) - n_there}"
    )
    _check_linked(first, node, name)
    _check_columns(first, hin, node, name)
    _check_conditions(model, hin, rng, name)
    _check_other_graphs(model, hin, rng, name)


def check_relation_generator(generator: Any, hin: HIN | None = None, rng: int = 0) -> None:
    """The contract of RelationGenerator: beside that of Generator, new edges only, of the relation
    of its predictor, at most as many as asked for, each once; and in other relations the same
    pairs alone.

    generator: an instance with a field `predictor`, fitted or not; it is cloned and stays as it is.
    """
    name = type(generator).__name__
    is_one = isinstance(generator, Generator) and hasattr(generator, "predictor")
    assert is_one, (
        f"{name} is no relation generator: subclass hinaug.generators.base.Generator, with a field "
        "`predictor`"
    )
    relation = generator.predictor.relation
    train, _, valid = world(hin, relation)
    n_there = train.observed().adjacency(relation).nnz
    model, first = check_generator(generator, train, rng, size=20, valid=valid)
    for size, most in ((20, 20), (0.05, round(0.05 * n_there))):
        made = model.generate(train, size, rng=rng)
        n = made.edges[relation].num_rows if relation in made.edges else 0
        assert n <= most, (
            f"{name}.generate(size={size!r}) made {n} {relation} edges, more than {most} "
            f"({n_there} pairs are observed)"
        )
        others = [(p, t) for p, t, _ in made.tables() if not _is_twin(p, t, made, relation)]
        assert not others, f"{name} makes {relation} edges and their twins; there is also {others}"
    assert relation in first.edges, f"{name}.generate(size=20) made nothing"
    _check_new_pairs(first, train, relation, name)


# ---- parts of all --------------------------------------------------------------------------------


def _generated(model: Generator, hin: HIN, size: int, rng: int, name: str) -> Delta:
    """One delta, after what every delta must hold to."""
    with unchanged(hin, f"{name}.generate"):
        made = model.generate(hin, size, rng=rng)
    assert isinstance(made, Delta), (
        f"{name}.generate gives {type(made).__name__}; a Delta is expected"
    )
    with other_global_seed():
        again = model.generate(hin, size, rng=rng)
    assert again == made, (
        f"{name}: generated twice with rng={rng}, the deltas differ; draw from the rng that is "
        "given alone"
    )
    _check_marks(made, hin, name)
    try:
        put = hin + made
    except ValueError as error:
        raise AssertionError(
            f"{name}: the delta does not go on the graph it was made for: {error}"
        ) from error
    assert (put - made).equals(hin), f"{name}: taking the delta off does not give the graph back"
    return made


def _check_marks(made: Delta, hin: HIN, name: str) -> None:
    assert hin.fingerprint() in made.fitted_on, (
        f"{name}: the delta's fitted_on lacks the graph that was fitted on; `audit` needs it"
    )
    for part, kind, table in made.tables():
        confidence = table["confidence"].to_numpy()
        assert ((confidence >= 0) & (confidence <= 1)).all(), (
            f"{name}: {part} {kind!r}: confidence is outside [0, 1]"
        )
        assert not {None, ""} & set(table["origin"].to_pylist()), (
            f"{name}: {part} {kind!r}: rows without origin"
        )


def _check_sizes(model: Generator, hin: HIN, rng: int, name: str) -> None:
    nothing = model.generate(hin, 0, rng=rng)
    is_empty = isinstance(nothing, Delta) and not len(nothing)
    assert is_empty, f"{name}.generate(size=0) made something; an empty Delta is expected"
    assert isinstance(model.generate(hin, 0.1, rng=rng), Delta), (
        f"{name}.generate(size=0.1) gives no Delta; a float is a share of what is observed"
    )
    raises(lambda: model.generate(hin, -1, rng=rng), ValueError, f"{name}.generate(size=-1)")
    try:
        everything = model.generate(hin, None, rng=rng)
    except ParameterError:
        return  # nothing says how much is meant
    except Exception as error:
        raise AssertionError(
            f"{name}.generate(size=None) raises {error!r}; a Delta or a ParameterError is expected"
        ) from error
    assert isinstance(everything, Delta), f"{name}.generate(size=None) gives no Delta"


# ---- parts of generators of nodes ----------------------------------------------------------------


def _n_nodes(made: Delta, node: str) -> int:
    return made.nodes[node].num_rows if node in made.nodes else 0


def _check_linked(made: Delta, node: str, name: str) -> None:
    linked = set()
    for edge, rows in made.edges.items():
        for side, end in (("src", edge[0]), ("dst", edge[2])):
            if end == node:
                linked |= set(rows[side].to_pylist())
    bare = sorted(set(made.nodes[node]["id"].to_pylist()) - linked)
    assert not bare, (
        f"{name}: generated nodes without any link teach a recommender nothing: {some(bare)}"
    )


def _check_columns(made: Delta, hin: HIN, node: str, name: str) -> None:
    known = hin.observed().nodes[node].schema
    for field in made.nodes[node].schema:
        if field.name in ("id", *PROVENANCE):
            continue
        assert field.name in known.names, (
            f"{name}: column {field.name!r} is not in the graph, which has {known.names}"
        )
        column, old = tb.one_chunk(made.nodes[node][field.name]), known.field(field.name).type
        assert field.type == old, (
            f"{name}: column {field.name!r} is {field.type}, in the graph it is {old}"
        )
        if tb.is_vector(field.type):
            assert np.isfinite(column.flatten().to_numpy(zero_copy_only=False)).all(), (
                f"{name}: vectors in {field.name!r} are not finite"
            )
        elif pa.types.is_floating(field.type):
            assert not pc.any(pc.is_inf(column)).as_py(), (
                f"{name}: infinite numbers in {field.name!r}"
            )


def _check_conditions(model: Any, hin: HIN, rng: int, name: str) -> None:
    """Nodes to generate for, and attributes; or an error that says that there are none."""
    linked = np.zeros(hin.n_observed(model.node), bool)
    for edge in hin.edges:
        for end, at in zip((edge[0], edge[2]), hin.observed().links(edge), strict=True):
            if end == model.node:
                linked[at] = True
    ids = hin.ids(model.node, np.flatnonzero(linked)[:3])
    try:
        made = model.generate(hin, condition=ids, rng=rng)
    except ParameterError as error:
        said = str(error)
        made = None
    if made is None:
        assert "condition" in said, (
            f"{name}.generate with a condition raises {said!r}; say that it takes no condition"
        )
        return
    n = _n_nodes(made, model.node)
    assert n == len(ids), (
        f"{name}.generate with a condition of {len(ids)} nodes made {n}; without a size there is "
        "one new node for each"
    )
    n = _n_nodes(model.generate(hin, 5, condition=ids, rng=rng), model.node)
    assert n == 5, f"{name}.generate(size=5) with a condition made {n} nodes"
    again = model.generate(hin, condition=ids, rng=rng)
    assert again == made, f"{name}: generated twice with rng={rng} and a condition, they differ"
    _check_given(model, hin, rng, name)


def _check_given(model: Any, hin: HIN, rng: int, name: str) -> None:
    table = hin.observed().nodes[model.node]
    for column in [c for c in table.column_names if c not in ("id", *PROVENANCE)][:1]:
        given = table.select([column]).slice(0, 3)
        made = model.generate(hin, condition=given, rng=rng).nodes[model.node]
        kept = column in made.column_names and made[column].to_pylist() == given[column].to_pylist()
        assert kept, (
            f"{name}: {column!r} of the condition is not that of the new nodes; take over what is "
            "given, or raise ParameterError by self._no_condition"
        )


def _check_other_graphs(model: Any, hin: HIN, rng: int, name: str) -> None:
    """It generates for a graph that has grown or whose rows stand in another order."""
    grown = hin.with_nodes(model.node, {"id": [f"new-{i}" for i in range(3)]})
    for how, graph in (("grown", grown), ("in another order", reversed_rows(hin))):
        try:
            made = model.generate(graph, 5, rng=rng)
            put = graph + made
        except Exception as error:
            raise AssertionError(
                f"{name}.generate for a graph {how} raises {error!r}; go by external ids"
            ) from error
        assert put.n(model.node) == graph.n(model.node) + 5, (
            f"{name}.generate for a graph {how} did not make 5 nodes"
        )


# ---- parts of generators of links ----------------------------------------------------------------


def _is_twin(part: str, type: Any, made: Delta, relation: tuple[str, str, str]) -> bool:
    """Whether a table of a delta holds the new pairs of the relation and no others, in either
    direction.
    """
    if part != "edges":
        return False
    new, rows = (
        {*zip(made.edges[t]["src"].to_pylist(), made.edges[t]["dst"].to_pylist(), strict=True)}
        for t in (relation, type)
    )
    ends, of = (type[0], type[2]), (relation[0], relation[2])
    return (ends == of and rows == new) or (
        ends == of[::-1] and {(dst, src) for src, dst in rows} == new
    )


def _check_new_pairs(made: Delta, hin: HIN, relation: tuple[str, str, str], name: str) -> None:
    rows = made.edges[relation]
    pairs = list(zip(rows["src"].to_pylist(), rows["dst"].to_pylist(), strict=True))
    assert len(set(pairs)) == len(pairs), f"{name}: the same pair stands more than once"
    src, dst = hin.positions(relation[0], rows["src"]), hin.positions(relation[2], rows["dst"])
    if relation[0] == relation[2]:
        assert (src != dst).all(), f"{name}: {(src == dst).sum()} nodes are linked to themselves"
    known = hin.adjacency(relation).toarray()[src, dst] != 0
    assert not known.any(), f"{name}: {known.sum()} of the generated pairs are in the graph already"
