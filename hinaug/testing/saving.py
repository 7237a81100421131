"""Is a fitted method the same after saving, and does it keep its training set to itself?

from hinaug.testing import check_no_training_set, check_saving
check_saving(model, lambda m: m.score(hin, src))
check_no_training_set(model, hin, [RATES])
"""

from __future__ import annotations

import copy
import dataclasses
import multiprocessing
import pickle
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hinaug.errors import TrainingDataWarning
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType
from hinaug.io.store import load, save
from hinaug.testing.shared import equal
from hinaug.training.estimator import Estimator

MOST = 0.05  # share of the training pairs that may be read from an array by chance
LEAST_LINKS = 3  # rows of fewer links look like each other by chance


def check_saving(model: Estimator, results: Callable[[Any], Any], spawn: bool = False) -> None:
    """Saved and loaded, copied, and pickled, a fitted method has the same parameters and results.

    Parameters
    ----------
    model
        A fitted estimator.
    results
        What it gives, such as `lambda m: m.score(hin, src)`; an array, a delta or another value
        that can be compared.
    spawn
        Whether to send it to a new process and back too. The class must be importable there, so
        leave it False for a class of a notebook. Takes some seconds.

    Raises AssertionError that says which way of saving changes it.
    """
    name = type(model).__name__
    expected = results(model)
    ways: dict[str, Callable[[Any], Any]] = {
        "save and load": _through_folder,
        "copy.deepcopy": copy.deepcopy,
        "pickle": _through_pickle,
    }
    if spawn:
        ways["a spawned process"] = _through_process
    for way, send in ways.items():
        try:
            other = send(model)
        except Exception as error:
            raise AssertionError(
                f"{name} cannot be saved and loaded: {way} raises {error!r}; keep numbers, "
                "strings, numpy, scipy or Arrow arrays, estimators, and lists and dicts of these"
            ) from error
        assert equal(model.get_params(), other.get_params()), (
            f"{name}: parameters change by {way}; a parameter is a dataclass field"
        )
        try:
            found = results(other)
        except Exception as error:
            raise AssertionError(
                f"{name} fails after {way}: {error!r}; what is needed later ends in '_'"
            ) from error
        assert _same(found, expected), (
            f"{name} gives other results after {way}; what results depend on ends in '_'"
        )


def check_no_training_set(model: Estimator, hin: HIN, relations: Sequence[EdgeType]) -> None:
    """A fitted method does not hold the links that it was fitted on.

    Everything that it keeps is looked at, fields and learned attributes, in nested estimators,
    dataclasses, lists and dicts. Caches (their names start with "_") are not saved, so they are
    left out. Each of these holds the training set:

    - a sparse or dense matrix whose pattern has rows of the adjacency or of its transpose;
    - a dense matrix over sources and targets whose values separate links from other pairs;
    - whole numbers that are the sources, the targets, or codes of the links, or pairs of positions;
    - a table with a column of source ids beside a column of target ids.

    A method that is its data says why in HOLDS_DATA and in its docstring, and is not looked at.

    Parameters
    ----------
    model
        A fitted estimator.
    hin
        The graph that it was fitted on.
    relations
        The edge types whose links it learned from.

    Raises AssertionError that names the attribute. Passing is no proof: other encodings of the
    links are not found.
    """
    readers = [_Reader(hin, relation) for relation in relations]
    name = type(model).__name__
    for place, value in _kept(model, name):
        for reader in readers:
            found = reader.read(value)
            assert not found, (
                f"{place} {found} of {reader.relation}, so a saved {name} gives away what it was "
                "fitted on; keep parameters and ids only and read links from the graph at hand, "
                "or say in HOLDS_DATA and in the docstring why the method is its data"
            )


# ---- ways of saving ------------------------------------------------------------------------------


def _through_folder(model: Estimator) -> Any:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingDataWarning)  # of methods that have HOLDS_DATA
        save(model, folder)
        return load(folder, classes=_classes(model))


def _through_pickle(model: Estimator) -> Any:
    return pickle.loads(pickle.dumps(model))


def _through_process(model: Estimator) -> Any:
    """There and back through a process that shares no memory with this one."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pickle.loads(pool.apply(pickle.dumps, (model,)))


def _classes(value: Any) -> list[type]:
    """The estimator classes in an estimator."""
    if isinstance(value, Estimator):
        return [type(value), *(c for v in vars(value).values() for c in _classes(v))]
    if isinstance(value, list | tuple):
        return [c for v in value for c in _classes(v)]
    return []


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
    return bool(a == b)


# ---- what is kept --------------------------------------------------------------------------------


def _kept(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """(place, array or table) of everything that an object keeps, however deep."""
    if isinstance(value, Estimator) and type(value).HOLDS_DATA is not None:
        _check_said(type(value))
        return
    parts = _parts(value)
    if parts is None:
        yield place, np.asarray(value) if isinstance(value, list | tuple) else value
        return
    for name, part in parts.items():
        yield from _kept(part, f"{place}.{name}")


def _parts(value: Any) -> dict[Any, Any] | None:
    """The parts of a container by name; None for an array, a table or anything else."""
    if isinstance(value, Estimator):
        return {n: v for n, v in vars(value).items() if not n.startswith("_")}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return vars(value)
    if isinstance(value, dict):
        return value
    if isinstance(value, list | tuple) and not all(isinstance(v, int | np.integer) for v in value):
        return dict(enumerate(value))
    return None


def _check_said(cls: type[Estimator]) -> None:
    said = re.search(r"\b(keep|kept|hold|held|stor|sav)\w*", cls.__doc__ or "")
    assert said is not None, (
        f"{cls.__name__} has HOLDS_DATA, so its docstring must say that a saved one keeps the "
        f"links that it was fitted on: {cls.HOLDS_DATA!r}"
    )


class _Reader:
    """Tries to read the links of a relation from an array or a table."""

    def __init__(self, hin: HIN, relation: EdgeType) -> None:
        self.relation = relation
        self.links = hin.adjacency(relation).copy()
        self.links.sort_indices()
        self.turned = self.links.T.tocsr()
        self.turned.sort_indices()
        self.shape = self.links.shape
        self.table_ends = hin.links(relation)
        self.ids = tuple(hin.nodes[t]["id"].combine_chunks() for t in (relation[0], relation[2]))

    def read(self, value: Any) -> str | None:
        """How the value gives the links away; None where it does not."""
        if sp.issparse(value):
            return self._matrix(sp.csr_array(value)) or self._numbers(np.asarray(value.indices))
        if isinstance(value, pa.Table):
            return self._table(value)
        value = _as_numbers(value)
        if value is None:
            return None
        if value.ndim == 1:
            return self._numbers(value) if value.dtype.kind in "iu" else None
        return self._positions(value) or self._separates(value) or self._matrix(sp.csr_array(value))

    # ---- matrices --------------------------------------------------------------------------------

    def _matrix(self, matrix: sp.csr_array) -> str | None:
        """Are rows of the adjacency, or of its transpose, the patterns of rows of a matrix?"""
        for links, whose in ((self.links, "sources"), (self.turned, "targets")):
            if matrix.shape[1] == links.shape[1]:
                share = _share_of_rows(links, matrix)
                if share > MOST:
                    return f"has the rows of {whose}: {share:.0%} of the links"
        return None

    def _separates(self, value: np.ndarray) -> str | None:
        """A dense matrix over sources and targets: is each value of a link beyond all others?"""
        for dense, links in ((value, self.links), (value.T, self.links)):
            if dense.shape == self.shape:
                linked = np.zeros(self.shape, bool)
                linked[links.nonzero()] = True
                one, other = dense[linked].astype(np.float64), dense[~linked].astype(np.float64)
                if min(len(one), len(other)) and (
                    one.min() > other.max() or one.max() < other.min()
                ):
                    return "is a matrix whose values tell links from other pairs"
        return None

    # ---- whole numbers ---------------------------------------------------------------------------

    def _numbers(self, value: np.ndarray) -> str | None:
        ends = {"sources": self.links.nonzero()[0], "targets": self.links.indices}
        orders = [
            *((whose, end) for whose, end in zip(ends, self.table_ends, strict=True)),
            ("targets", self.links.indices),
            ("sources", self.turned.indices),
        ]
        for whose, order in orders:
            if len(order) > 1 and np.array_equal(value, order):
                return f"holds the {whose} of the links, in order"
        for src, dst, width in (
            (ends["sources"], ends["targets"], self.shape[1]),
            (ends["targets"], ends["sources"], self.shape[0]),
        ):
            codes = src.astype(np.int64) * width + dst
            if self._beyond_chance(value, codes):
                return "holds codes of the links"
        return None

    def _positions(self, value: np.ndarray) -> str | None:
        """Whole numbers in two rows or two columns: the positions of both ends of links?"""
        if value.dtype.kind not in "iu" or 2 not in value.shape:
            return None
        ends = value.T if value.shape[1] == 2 else value
        if self._are_pairs(ends[0], ends[1]) or self._are_pairs(ends[1], ends[0]):
            return "holds the positions of both ends of the links"
        return None

    def _are_pairs(self, src: np.ndarray, dst: np.ndarray) -> bool:
        inside = (src >= 0) & (src < self.shape[0]) & (dst >= 0) & (dst < self.shape[1])
        codes = src[inside].astype(np.int64) * self.shape[1] + dst[inside]
        row, column = self.links.nonzero()
        return self._beyond_chance(codes, row.astype(np.int64) * self.shape[1] + column)

    def _beyond_chance(self, value: np.ndarray, codes: np.ndarray) -> bool:
        """Whether more of the codes are among the values than of all pairs."""
        n_pairs = self.shape[0] * self.shape[1]
        share = np.isin(codes, value).mean() if len(codes) else 0.0
        inside = np.unique(value[(value >= 0) & (value < n_pairs)])
        return bool(share > 0.5 and share > 2 * len(inside) / n_pairs)

    # ---- tables ----------------------------------------------------------------------------------

    def _table(self, table: pa.Table) -> str | None:
        """A column of source ids beside a column of target ids."""
        ends = [self._ends_of(tb.one_chunk(table[name])) for name in table.column_names]
        has_ids = [e for e in ends if e]
        if len(has_ids) > 1 and set.union(*has_ids) == {0, 1}:
            return "is a table with ids of both ends of the links"
        return None

    def _ends_of(self, column: pa.Array) -> set[int]:
        """At which ends of the relation all values of a column are ids."""
        known = column.drop_null()
        if not tb.is_text(column.type) or len(known) < 2:
            return set()
        return {
            end
            for end, ids in enumerate(self.ids)
            if pc.all(pc.is_in(known, value_set=ids)).as_py()
        }


def _as_numbers(value: Any) -> np.ndarray | None:
    """An array of numbers in one or two dimensions; None for anything else."""
    if isinstance(value, pa.ChunkedArray):
        value = value.combine_chunks()
    if isinstance(value, pa.Array) and pa.types.is_integer(value.type):
        value = value.drop_null().to_numpy(zero_copy_only=False)
    is_array = isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
    return value if is_array and value.size and value.ndim in (1, 2) else None


def _share_of_rows(links: sp.csr_array, matrix: sp.csr_array) -> float:
    """The share of links that stand in rows whose pattern some row of the matrix has."""
    patterns = {p for p in _patterns(matrix) if p}
    rows = _patterns(links)
    degree = np.diff(links.indptr)
    found = np.array([row in patterns for row in rows], bool) & (degree >= LEAST_LINKS)
    return float(degree[found].sum() / max(degree.sum(), 1))


def _patterns(matrix: sp.csr_array) -> list[bytes]:
    """Where each row is not zero, as bytes that can be compared."""
    matrix = matrix.copy()  # what is looked at stays as it is
    matrix.eliminate_zeros()
    matrix.sort_indices()
    columns = matrix.indices.astype(np.int64)
    return [
        columns[a:b].tobytes() for a, b in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)
    ]
