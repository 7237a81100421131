"""What all contract kits check: parameters, randomness, global state, and the graph left alone."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from hinaug.datasets.planted import planted
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType
from hinaug.split.random import random_split
from hinaug.training.estimator import Estimator


def planted_world() -> HIN:
    """The graph that the kits use unless they are given one: 50 users, 30 items, reviews."""
    return planted(n_users=50, n_items=30, n_groups=3, dim=8, missing=0.1, rng=0)


def world(hin: HIN | None, relation: EdgeType, seed: int = 0) -> tuple[HIN, HIN, pa.Table]:
    """Train, train + held-out pairs, and the held-out pairs."""
    hin = planted_world() if hin is None else hin
    assert relation in hin.edges, (
        f"the graph to check on has no {relation}; pass one that has: hin="
    )
    split = random_split(hin, relation, valid=0.2, test=0.0, rng=seed)
    return split.train, split.train_valid, split.valid


def reversed_rows(hin: HIN) -> HIN:
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


def check_parameters(estimator: Any, name: str) -> None:
    """Parameters are dataclass fields, shown by the repr, and the same after `clone`."""
    own = dataclasses.is_dataclass(estimator) and "__dataclass_fields__" in vars(type(estimator))
    assert own, f"{name} is no dataclass of its own: put @dataclass(eq=False) above the class"
    params, copy = estimator.get_params(), estimator.clone()
    learned = _learned(copy)
    assert not learned, (
        f"{name} has {learned} before fit; parameters are dataclass fields, and what is learned "
        "is set in fit"
    )
    assert equal(params, copy.get_params()), (
        f"{name}.clone() has other parameters: {copy!r} instead of {estimator!r}; __init__ and "
        "__post_init__ may not change them"
    )
    hidden = _hidden(estimator)
    assert not hidden, f"{name}: the repr is the log line; it does not show {hidden}"


def _hidden(estimator: Any) -> list[str]:
    """Names of parameters that the repr should show and does not."""
    in_repr = [f.name for f in dataclasses.fields(estimator) if f.init and f.repr]
    return [n for n in in_repr if f"{n}=" not in repr(estimator)]


def _learned(estimator: Any) -> list[str]:
    """Names of attributes that are neither fields nor caches."""
    fields = {f.name for f in dataclasses.fields(estimator)}
    return [n for n in vars(estimator) if n not in fields and not n.startswith("_")]


def checked_fit(estimator: Any, hin: HIN, valid: pa.Table | None, rng: int, name: str) -> Any:
    """A fitted clone, after what every fit must hold to."""
    for first in (True, False):
        model = estimator.clone()
        params = model.get_params()
        try:
            with unchanged(hin, f"{name}.fit"):
                result = model.fit(hin, valid=valid, rng=rng)
            break
        except GlobalStateError:
            # a library that is imported for the first time may draw numbers: that is forgiven once
            if not first:
                raise
    assert result is model, f"{name}.fit must return self"
    assert equal(params, model.get_params()), (
        f"{name}.fit changed a parameter; keep what is learned under a name that ends in '_'"
    )
    hidden = model.clone()
    learned = [n for n in vars(hidden) if n.endswith("_") and not n.startswith("_")]
    assert not learned, f"{name}: a clone of a fitted model is unfitted; this one has {learned}"
    return model


def raises(act: Callable[[], Any], error: Any, what: str) -> None:
    """AssertionError unless `act` raises `error` (a class or several)."""
    wanted = " or ".join(e.__name__ for e in (error if isinstance(error, tuple) else (error,)))
    try:
        act()
    except error:
        return
    except Exception as other:
        raise AssertionError(f"{what} raises {other!r}; {wanted} is expected") from other
    raise AssertionError(f"{what} raises nothing; {wanted} is expected")


class GlobalStateError(AssertionError):
    """Something outside of the estimator was changed."""


def _globals() -> dict[str, Any]:
    return {
        "numpy's global random state": np.random.get_state(),  # noqa: NPY002
        "the random state of `random`": random.getstate(),
        "torch's global random state": torch.random.get_rng_state(),
        "the number of torch threads": torch.get_num_threads(),
    }


def _restore(state: dict[str, Any]) -> None:
    numpy, python, random_torch, threads = state.values()
    np.random.set_state(numpy)  # noqa: NPY002
    random.setstate(python)
    torch.random.set_rng_state(random_torch)
    torch.set_num_threads(threads)


@contextmanager
def unchanged(hin: HIN, what: str) -> Iterator[None]:
    """Neither the graph nor any global state changes inside; global state is put back anyway."""

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
    changed = [n for n in before if not equal(_plain(before[n]), _plain(after[n]))]
    if changed:
        raise GlobalStateError(
            f"{what} changes {' and '.join(changed)}; draw from the rng that is given, and put "
            "back what you set"
        )


def _plain(state: Any) -> Any:
    return state.numpy() if hasattr(state, "numpy") else state


@contextmanager
def other_global_seed() -> Iterator[None]:
    """Global generators stand elsewhere inside, and where they were afterwards."""
    kept = _globals()
    np.random.seed(12345)  # noqa: NPY002
    random.seed(12345)
    torch.random.manual_seed(12345)
    try:
        yield
    finally:
        _restore(kept)


def equal(a: Any, b: Any) -> bool:
    """Equal parameters or states, arrays and nested estimators included."""
    if isinstance(a, Estimator):
        return type(a) is type(b) and equal(a.get_params(), b.get_params())
    if isinstance(a, dict | list | tuple):
        return _equal_parts(a, b)
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return a is b or bool(a == b)


def _equal_parts(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    return isinstance(b, list | tuple) and len(a) == len(b) and all(map(equal, a, b))


def same_bytes(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal to the last bit, NaN included."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def close(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal up to the rounding of another order of summation."""
    scale = float(np.nanmax(np.abs(b), initial=0.0))
    return a.shape == b.shape and np.allclose(
        a, b, rtol=1e-3, atol=1e-5 * max(scale, 1e-30), equal_nan=True
    )
