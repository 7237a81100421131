"""Does a method keep its contract? Checks for whoever writes predictors and generators, here or
elsewhere.

    from hinaug.testing.kits import check_predictor
    check_predictor(MyPredictor(("user", "rates", "item")))

Each check raises AssertionError that says which rule was broken and what to do. They fit a handful
of times: hand over an instance with few steps. The graph is a small planted world with users, items
and reviews unless you give your own.
"""

from __future__ import annotations

import dataclasses
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.errors import NotFittedError, some
from hinaug.generators.base import EntityGenerator
from hinaug.graph import arrow as tb
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.schema import PROVENANCE, EdgeType
from hinaug.predictors.base import LinkPredictor
from hinaug.training.estimator import Estimator

__all__ = ["check_entity_generator", "check_predictor", "check_relation_generator"]


def check_predictor(predictor: LinkPredictor, hin: HIN | None = None, rng: int = 0) -> None:
    """The contract of LinkPredictor: parameters, randomness, scores, ids that move, refit, saving.

    predictor: an instance, fitted or not; it is cloned and stays as it is. hin: a graph with its
        relation, at least ten
    sources and ten targets. rng: the seed that everything is fitted with.
    """
    name = type(predictor).__name__
    assert isinstance(predictor, LinkPredictor), (
        f"{name} is no LinkPredictor: subclass hinaug.predictors.base.LinkPredictor"
    )
    _check_parameters(predictor, name)
    train, full, valid = _world(hin, predictor.relation)
    src = np.arange(min(train.n(predictor.relation[0]), 32))

    fresh = predictor.clone()
    _raises(lambda: fresh.score(train, src), NotFittedError, f"{name}.score before fit")
    _raises(lambda: fresh.refit(train), NotFittedError, f"{name}.refit before fit")
    without = train.drop(predictor.relation)
    _raises(
        lambda: predictor.clone().fit(without),
        KeyError,
        f"{name}.fit on a graph without {predictor.relation}",
    )

    model = _checked_fit(predictor, train, valid, rng, name)
    assert model.fitted_on_ == train.fingerprint(), (
        f"{name}.fitted_on_ is not the fingerprint of the graph it was fitted on"
    )
    with _unchanged(train, f"{name}.score"):
        scores = model.score(train, src)
    _check_scores(model, train, src, scores, name)
    _raises(
        lambda: model.score(without, src),
        KeyError,
        f"{name}.score on a graph without {predictor.relation}",
    )
    _check_moved(model, train, src, scores, name)

    with _other_global_seed():
        again = predictor.clone().fit(train, valid=valid, rng=rng).score(train, src)
    assert _same_bytes(again, scores), (
        f"{name}: fitted twice with rng={rng}, the scores differ; draw from the rng that is given "
        "alone"
    )
    other, _, unlike = _world(hin, predictor.relation, seed=1)
    used = predictor.clone().fit(other, valid=unlike, rng=rng + 1)
    again = used.fit(train, valid=valid, rng=rng).score(train, src)
    assert _same_bytes(again, scores), (
        f"{name}: what an earlier fit learned is still there after another fit"
    )

    _check_saved(model, lambda loaded: _same_bytes(loaded.score(train, src), scores), name)
    params = model.get_params()
    with _unchanged(full, f"{name}.refit"):
        result = model.refit(full, rng=rng)
    assert result is model, f"{name}.refit must return self"
    assert _equal(params, model.get_params()), f"{name}.refit changed a parameter"
    assert model.fitted_on_ == full.fingerprint(), (
        f"{name}.refit did not remember the graph; write _refit, not refit"
    )
    scores = model.score(full, src)
    _check_scores(model, full, src, scores, f"{name} after refit")
    if (
        type(model)._refit is LinkPredictor._refit
    ):  # no choices are carried over: then refit is nothing but fit
        again = predictor.clone().fit(full, rng=rng).score(full, src)
        assert _same_bytes(again, scores), (
            f"{name}: refit scores otherwise than a new fit on the same graph; write _refit if "
            "choices of fit shall stay"
        )


def check_entity_generator(
    generator: EntityGenerator, hin: HIN | None = None, rng: int = 0
) -> None:
    """The contract of EntityGenerator: parameters, randomness, new nodes with attributes and links,
    a delta that comes off.

    generator: an instance, fitted or not; it is cloned and stays as it is. hin: a graph with nodes
    of its type that have links.
    """
    name = type(generator).__name__
    assert isinstance(generator, EntityGenerator), (
        f"{name} is no EntityGenerator: subclass hinaug.predictors.base.EntityGenerator"
    )
    _check_parameters(generator, name)
    hin = _planted() if hin is None else hin
    node = generator.node
    there = hin.n_observed(node)
    _raises(
        lambda: generator.clone().generate(hin, 1), NotFittedError, f"{name}.generate before fit"
    )
    _raises(
        lambda: generator.clone().fit(hin.drop(node)),
        KeyError,
        f"{name}.fit on a graph without {node!r}",
    )
    model = _checked_fit(generator, hin, None, rng, name)

    first = _generated(model, hin, 7, rng, name)
    for size, expected in ((7, 7), (0.1, round(0.1 * there)), (0, 0)):
        made = model.generate(hin, size, rng=rng)
        n = made.nodes[node].num_rows if node in made.nodes else 0
        assert n == expected, (
            f"{name}.generate(size={size!r}) made {n} {node!r} nodes instead of {expected} "
            f"({there} are observed)"
        )
    _raises(lambda: model.generate(hin, -1), ValueError, f"{name}.generate(size=-1)")
    other = model.generate(hin, 7, rng=rng + 1)
    try:
        both = hin + first + other
    except ValueError as error:
        raise AssertionError(
            f"{name}: two deltas of unlike rng do not go together: {error}"
        ) from error
    assert both.n(node) == there + 14, f"{name}: two deltas of 7 nodes made {both.n(node) - there}"

    nodes = first.nodes[node]
    linked = set()
    for edge, rows in first.edges.items():
        for side, end in (("src", edge[0]), ("dst", edge[2])):
            if end == node:
                linked |= set(rows[side].to_pylist())
    bare = sorted(set(nodes["id"].to_pylist()) - linked)
    assert not bare, (
        f"{name}: generated nodes without any link teach a recommender nothing: {some(bare)}"
    )
    for field in nodes.schema:
        if field.name in ("id", *PROVENANCE):
            continue
        known = hin.observed().nodes[node].schema
        assert field.name in known.names, (
            f"{name}: column {field.name!r} is not in the graph, which has {known.names}"
        )
        column, old = tb.one_chunk(nodes[field.name]), known.field(field.name).type
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
    _check_saved(model, lambda loaded: loaded.generate(hin, 7, rng=rng) == first, name)


def check_relation_generator(generator: Any, hin: HIN | None = None, rng: int = 0) -> None:
    """The contract of RelationGenerator: new edges only, of its relation, at most as many as asked
    for, each once.

    generator: an instance with `predictor`, fitted or not; it is cloned and stays as it is.
    """
    name = type(generator).__name__
    ready = isinstance(generator, Estimator) and hasattr(generator, "predictor")
    assert ready, (
        f"{name} is no relation generator: subclass hinaug.predictors.base.Estimator, with a "
        "field `predictor`"
    )
    _check_parameters(generator, name)
    relation = generator.predictor.relation
    train, _, valid = _world(hin, relation)
    there = train.observed().adjacency(relation).nnz
    _raises(
        lambda: generator.clone().generate(train, 1), NotFittedError, f"{name}.generate before fit"
    )
    model = _checked_fit(generator, train, valid, rng, name)
    first = _generated(model, train, 20, rng, name)
    for size, most in ((20, 20), (0.05, round(0.05 * there)), (0, 0)):
        made = model.generate(train, size, rng=rng)
        assert len(made) <= most, (
            f"{name}.generate(size={size!r}) made {len(made)} rows, more than {most} ({there} "
            "pairs are observed)"
        )
        only = [(p, t) for p, t, _ in made.tables() if (p, t) != ("edges", relation)]
        assert not only, f"{name} makes {relation} edges alone; there is also {only}"
    assert len(first), f"{name}.generate(size=20) made nothing"
    _raises(lambda: model.generate(train, -1), ValueError, f"{name}.generate(size=-1)")
    rows = first.edges[relation]
    pairs = list(zip(rows["src"].to_pylist(), rows["dst"].to_pylist(), strict=True))
    assert len(set(pairs)) == len(pairs), f"{name}: the same pair stands more than once"
    src, dst = train.positions(relation[0], rows["src"]), train.positions(relation[2], rows["dst"])
    old = train.adjacency(relation).tocoo()
    known = set(zip(old.coords[0].tolist(), old.coords[1].tolist(), strict=True))
    again = [p for p in zip(src.tolist(), dst.tolist(), strict=True) if p in known]
    assert not again, f"{name}: {len(again)} of the generated pairs are in the graph already"
    _check_saved(model, lambda loaded: loaded.generate(train, 20, rng=rng) == first, name)


# ---- parts ---------------------------------------------------------------------------------------


def _planted() -> HIN:
    from hinaug.datasets import planted

    return planted(n_users=50, n_items=30, n_groups=3, dim=8, missing=0.1, rng=0)


def _world(hin: HIN | None, relation: EdgeType, seed: int = 0) -> tuple[HIN, HIN, pa.Table]:
    """Train, train + held-out pairs, and the held-out pairs."""
    from hinaug.split.random import random_split

    hin = _planted() if hin is None else hin
    assert relation in hin.edges, (
        f"the graph to check on has no {relation}; pass one that has: hin="
    )
    split = random_split(hin, relation, valid=0.2, test=0.0, rng=seed)
    return split.train, split.train_valid, split.valid


def _check_parameters(estimator: Any, name: str) -> None:
    own = dataclasses.is_dataclass(estimator) and "__dataclass_fields__" in vars(type(estimator))
    assert own, f"{name} is no dataclass of its own: put @dataclass(eq=False) above the class"
    params = estimator.get_params()
    copy = estimator.clone()
    learned = [
        n
        for n in vars(copy)
        if n not in {f.name for f in dataclasses.fields(estimator)} and not n.startswith("_")
    ]
    assert not learned, (
        f"{name} has {learned} before fit; parameters are dataclass fields, and what is learned "
        "is set in fit"
    )
    assert _equal(params, copy.get_params()), (
        f"{name}.clone() has other parameters: {copy!r} instead of {estimator!r}; __init__ and "
        "__post_init__ may not change them"
    )
    shown = [
        n
        for n in (f.name for f in dataclasses.fields(estimator) if f.init and f.repr)
        if f"{n}=" not in repr(estimator)
    ]
    assert not shown, f"{name}: the repr is the log line; it does not show {shown}"


def _checked_fit(estimator: Any, hin: HIN, valid: pa.Table | None, rng: int, name: str) -> Any:
    for first in (True, False):
        model = estimator.clone()
        params = model.get_params()
        try:
            with _unchanged(hin, f"{name}.fit"):
                result = model.fit(hin, valid=valid, rng=rng)
            break
        except _GlobalStateError:
            # a library that is imported for the first time may draw numbers: that is forgiven once
            if not first:
                raise
    assert result is model, f"{name}.fit must return self"
    assert _equal(params, model.get_params()), (
        f"{name}.fit changed a parameter; keep what is learned under a name that ends in '_'"
    )
    hidden = model.clone()
    learned = [n for n in vars(hidden) if n.endswith("_") and not n.startswith("_")]
    assert not learned, f"{name}: a clone of a fitted model is unfitted; this one has {learned}"
    return model


def _check_scores(
    model: LinkPredictor, hin: HIN, src: np.ndarray, scores: np.ndarray, name: str
) -> None:
    n = hin.n(model.relation[2])
    kind = (getattr(scores, "dtype", type(scores)), np.shape(scores))
    expected = (np.dtype(np.float32), (len(src), n))
    assert kind == expected, (
        f"{name}.score gives {kind[0]} {kind[1]}; {expected[0]} {expected[1]} is expected"
    )
    assert not np.isinf(scores).any(), (
        f"{name}.score gives infinite numbers; NaN says that it cannot tell"
    )
    assert not np.isnan(scores).all(), (
        f"{name}.score is NaN everywhere on the graph it was fitted on"
    )
    half = len(src) // 2
    parts = np.concatenate([model.score(hin, src[:half]), model.score(hin, src[half:])])
    assert _close(parts, scores), (
        f"{name}.score depends on which sources are asked for together; scores of a source are "
        "its own"
    )
    mixed = src[::-1]
    assert _close(model.score(hin, mixed), scores[::-1]), (
        f"{name}.score depends on the order of the sources"
    )
    assert model.score(hin, src[:0]).shape == (0, n), (
        f"{name}.score of no sources must have shape (0, {n})"
    )
    n_src = hin.n(model.relation[0])
    for bad in ([n_src], [-1]):
        _raises(
            partial(model.score, hin, np.array(bad)),
            (ValueError, IndexError),
            f"{name}.score of position {bad[0]} among {n_src}",
        )
    dst = np.stack([np.arange(len(src)) % n, np.zeros(len(src), np.int64)], axis=1)
    pairs = model.score_pairs(hin, src, dst)
    assert _close(pairs, np.take_along_axis(scores, dst, axis=1)), (
        f"{name}.score_pairs disagrees with score"
    )


def _check_moved(
    model: LinkPredictor, hin: HIN, src: np.ndarray, scores: np.ndarray, name: str
) -> None:
    """Scores follow the ids where the graph has grown or its rows stand in another order."""
    source, _, target = model.relation
    sources, targets = hin.ids(source, src), hin.ids(target)
    new = {t: [f"new-{t}-{i}" for i in range(3)] for t in dict.fromkeys((source, target))}
    grown = hin
    for type, ids in new.items():
        grown = grown.with_nodes(type, {"id": ids})
    edge = {"src": new[source][:1], "dst": new[target][:1]}
    delta = Delta(
        {t: {"id": ids} for t, ids in new.items()}, {model.relation: edge}, origin="check"
    )
    for how, graph in (
        ("grown", grown),
        ("with a delta", hin + delta),
        ("in another order", _reversed(hin)),
    ):
        rows, columns = graph.positions(source, sources), graph.positions(target, targets)
        everything = model.score(graph, np.arange(graph.n(source)))
        assert everything.shape == (graph.n(source), graph.n(target)), (
            f"{name}.score on a graph {how}: shape {everything.shape}"
        )
        assert not np.isinf(everything).any(), (
            f"{name}.score on a graph {how} gives infinite numbers"
        )
        moved = everything[np.ix_(rows, columns)]
        same = _close(
            moved, np.where(np.isnan(moved), np.nan, scores)
        )  # NaN is always allowed here
        assert same, (
            f"{name}.score on a graph {how}: known nodes have other scores; go by ids (_rows, "
            "_history, _columns)"
        )


def _reversed(hin: HIN) -> HIN:
    """The same observed graph with all rows in the opposite order."""
    hin = hin.observed()

    def turn(table: pa.Table) -> pa.Table:
        return table.take(pa.array(np.arange(table.num_rows)[::-1]))

    edges = {}
    for type in hin.edges:
        src, dst = hin.links(type)
        table = hin.edges[type]
        for side, ids in (
            ("src", hin.nodes[type[0]]["id"].take(pa.array(src))),
            ("dst", hin.nodes[type[2]]["id"].take(pa.array(dst))),
        ):
            table = table.set_column(table.column_names.index(side), side, ids)
        edges[type] = turn(table)
    return HIN.from_tables({t: turn(hin.nodes[t]) for t in hin.nodes}, edges)


def _generated(model: Any, hin: HIN, size: int, rng: int, name: str) -> Delta:
    """One delta, after what every delta must hold to."""
    with _unchanged(hin, f"{name}.generate"):
        made = model.generate(hin, size, rng=rng)
    assert isinstance(made, Delta), (
        f"{name}.generate gives {type(made).__name__}; a Delta is expected"
    )
    with _other_global_seed():
        again = model.generate(hin, size, rng=rng)
    assert again == made, (
        f"{name}: generated twice with rng={rng}, the deltas differ; draw from the rng that is "
        "given alone"
    )
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
    try:
        put = hin + made
    except ValueError as error:
        raise AssertionError(
            f"{name}: the delta does not go on the graph it was made for: {error}"
        ) from error
    assert (put - made).equals(hin), f"{name}: taking the delta off does not give the graph back"
    return made


def _check_saved(model: Estimator, same: Callable[[Any], bool], name: str) -> None:
    from hinaug.io.store import load, save

    with tempfile.TemporaryDirectory() as folder:
        try:
            save(model, folder)
            loaded = load(folder, classes=_classes(model))
        except ValueError as error:
            raise AssertionError(f"{name} cannot be saved and loaded: {error}") from error
        assert _equal(model.get_params(), loaded.get_params()), (
            f"{name}: parameters change when saved and loaded"
        )
        try:
            alike = same(loaded)
        except Exception as error:
            raise AssertionError(
                f"{name} fails after save and load: {error!r}; what is needed later ends in '_'"
            ) from error
        assert alike, f"{name} gives other results after save and load"


def _classes(value: Any) -> list[type]:
    """The estimator classes in an estimator."""
    if isinstance(value, Estimator):
        return [type(value), *(c for v in vars(value).values() for c in _classes(v))]
    if isinstance(value, list | tuple):
        return [c for v in value for c in _classes(v)]
    return []


def _raises(act: Callable[[], Any], error: Any, what: str) -> None:
    wanted = " or ".join(e.__name__ for e in (error if isinstance(error, tuple) else (error,)))
    try:
        act()
    except error:
        return
    except Exception as other:
        raise AssertionError(f"{what} raises {other!r}; {wanted} is expected") from other
    raise AssertionError(f"{what} raises nothing; {wanted} is expected")


class _GlobalStateError(AssertionError):
    """Something outside of the estimator was changed."""


def _globals() -> dict[str, Any]:
    import torch

    return {
        "numpy's global random state": np.random.get_state(),  # noqa: NPY002
        "the random state of `random`": random.getstate(),
        "torch's global random state": torch.random.get_rng_state(),
        "the number of torch threads": torch.get_num_threads(),
    }


def _restore(state: dict[str, Any]) -> None:
    import torch

    numpy, python, random_torch, threads = state.values()
    np.random.set_state(numpy)  # noqa: NPY002
    random.setstate(python)
    torch.random.set_rng_state(random_torch)
    torch.set_num_threads(threads)


@contextmanager
def _unchanged(hin: HIN, what: str) -> Iterator[None]:
    """Neither the graph nor any global state changes inside; global state is put back in any case."""

    def graph() -> list[Any]:
        parts: list[Any] = [tb.content_hash(hin.table(t)) for t in [*hin.nodes, *hin.edges]]
        return parts + [
            a.tobytes()
            for t in hin.edges
            for a in (hin.adjacency(t).data, hin.adjacency(t).indices)
        ]

    before, tables = _globals(), graph()
    try:
        yield
    finally:
        after = _globals()
        _restore(before)
    assert graph() == tables, f"{what} changes the graph; a HIN is a value, work on copies"
    changed = [n for n in before if not _equal(_plain(before[n]), _plain(after[n]))]
    if changed:
        raise _GlobalStateError(
            f"{what} changes {' and '.join(changed)}; draw from the rng that is given, and put "
            "back what you set"
        )


def _plain(state: Any) -> Any:
    return state.numpy() if hasattr(state, "numpy") else state


@contextmanager
def _other_global_seed() -> Iterator[None]:
    """Global generators stand elsewhere inside, and where they were afterwards."""
    import torch

    kept = _globals()
    np.random.seed(12345)  # noqa: NPY002
    random.seed(12345)
    torch.random.manual_seed(12345)
    try:
        yield
    finally:
        _restore(kept)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, Estimator):
        return type(a) is type(b) and _equal(a.get_params(), b.get_params())
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return a is b or bool(a == b)


def _same_bytes(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal up to the rounding of another order of summation."""
    scale = float(np.nanmax(np.abs(b), initial=0.0))
    return a.shape == b.shape and np.allclose(
        a, b, rtol=1e-3, atol=1e-5 * max(scale, 1e-30), equal_nan=True
    )
