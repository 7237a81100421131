"""An object as a tagged JSON value, named tables and named arrays. FORMAT.md has every form;
`unpack.py` is the way back.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.errors import StoreError
from hinaug.graph.delta import PARTS, Delta
from hinaug.graph.hin import HIN

_SPLIT = "hinaug.split:Split"


def kind_of(obj: Any) -> str:
    """The kind of store that holds the object; StoreError for an object that no store holds."""
    if isinstance(obj, HIN):
        return "hin"
    if isinstance(obj, Delta):
        return "delta"
    if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        return "split" if class_path(type(obj)) == _SPLIT else "estimator"
    raise StoreError(
        f"save takes a HIN, a Delta, a Split or an estimator, not {type(obj).__name__}",
        asked=type(obj).__name__,
    )


def class_path(cls: type) -> str:
    """ "module:Class", by which a store names a class: the highest folder that shows it, so that
    files may move.
    """
    steps = cls.__module__.split(".")
    for n in range(2, len(steps)):
        folder = ".".join(steps[:n])
        if getattr(importlib.import_module(folder), cls.__qualname__, None) is cls:
            return f"{folder}:{cls.__qualname__}"
    return f"{cls.__module__}:{cls.__qualname__}"


class Content:
    """Takes an object apart. `pack` gives its tagged value and collects tables and arrays.

    version: the lowest version of the disk format that can hold what was packed so far.
    """

    def __init__(self) -> None:
        self.tables: dict[str, pa.Table] = {}
        self.arrays: dict[str, np.ndarray] = {}
        self.holds_data: dict[str, str] = {}  # {class: why it keeps its training data}
        self.version = 1

    def pack(self, value: Any, place: str = "") -> Any:
        """The tagged value. StoreError, with the place, for what has no disk form.

        place: where the value stands in the object, such as "members/0/". Names of tables and
            arrays start with it.
        """
        for kinds, form in _FORMS:
            if isinstance(value, kinds):
                return form(self, value, place)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self._object(value, place)
        raise StoreError(
            f"{place[:-1] or 'the object'} is {type(value).__module__}.{type(value).__qualname__}, "
            "which has no disk form; keep numbers, strings, numpy, scipy or Arrow arrays, "
            "estimators, and lists and dicts of these",
            asked=value,
        )

    # ---- JSON values -----------------------------------------------------------------------------

    def _plain(self, value: Any, place: str) -> Any:
        return _bare(value)

    def _float(self, value: float, place: str) -> Any:
        value = float(value)
        return value if math.isfinite(value) else {"$": "float", "value": str(value)}

    def _list(self, values: Iterable[Any], place: str) -> list[Any]:
        return [self.pack(v, f"{place}{i}/") for i, v in enumerate(values)]

    def _tuple(self, values: tuple, place: str) -> dict[str, Any]:
        return {"$": "tuple", "items": self._list(values, place)}

    def _mapping(self, values: Mapping[Any, Any], place: str) -> dict[str, Any]:
        if all(isinstance(k, str) for k in values) and "$" not in values:
            return {_bare(k): self.pack(v, f"{place}{k}/") for k, v in values.items()}
        pairs = [
            [self.pack(k, f"{place}k{i}/"), self.pack(v, f"{place}{i}/")]
            for i, (k, v) in enumerate(values.items())
        ]
        return {"$": "dict", "items": pairs}

    # ---- graphs and estimators -------------------------------------------------------------------

    def _hin(self, hin: HIN, place: str) -> dict[str, Any]:
        return {
            "$": "hin",
            "tables": self._parts({"nodes": hin._nodes, "edges": hin._edges}, place),
            "deltas": [self.pack(d, f"{place}deltas/{i}/") for i, d in enumerate(hin.deltas)],
        }

    def _delta(self, delta: Delta, place: str) -> dict[str, Any]:
        parts = {part: getattr(delta, part) for part in PARTS}
        packed = {
            "$": "delta",
            "tables": self._parts(parts, place),
            "fitted_on": list(delta.fitted_on),
            "uid": delta.uid,
        }
        identity = getattr(delta, "identity", delta.uid)
        if identity != delta.uid:
            packed["identity"] = identity
        if identity != delta.uid or _needs_version_2(parts):
            self.version = 2
        return packed

    def _parts(self, parts: Mapping[str, Mapping[Any, pa.Table]], place: str) -> list[dict]:
        return [
            {
                "role": role,
                "type": _type_value(type),
                "table": self._add_table(table, f"{place}{role}/{i}/"),
            }
            for role, tables in parts.items()
            for i, (type, table) in enumerate(tables.items())
        ]

    def _object(self, obj: Any, place: str) -> dict[str, Any]:
        fields = [f.name for f in dataclasses.fields(obj) if f.init]
        learned = [name for name in vars(obj) if is_learned(name) and name not in fields]
        reason = getattr(type(obj), "HOLDS_DATA", None)
        if reason and learned:
            self.holds_data[type(obj).__name__] = reason
        return {
            "$": "object",
            "class": class_path(type(obj)),
            "fields": {n: self.pack(getattr(obj, n), f"{place}{n}/") for n in fields},
            "learned": {n: self.pack(getattr(obj, n), f"{place}{n}/") for n in learned},
        }

    # ---- arrays and tables -----------------------------------------------------------------------

    def _array(self, array: np.ndarray, place: str) -> dict[str, Any]:
        return {"$": "array", "array": self._add_array(array, place)}

    def _scalar(self, value: np.generic, place: str) -> dict[str, Any]:
        return {"$": "scalar", "array": self._add_array(np.asarray(value), place)}

    def _sparse(self, matrix: Any, place: str) -> dict[str, Any]:
        if matrix.format not in ("csr", "csc"):
            raise StoreError(
                f"{place[:-1]}: sparse arrays are saved as CSR or CSC, this is {matrix.format}",
                asked=matrix.format,
                there=("csr", "csc"),
            )
        names = ("data", "indices", "indptr")
        return {
            "$": matrix.format,
            "shape": list(matrix.shape),
            "matrix": isinstance(matrix, sp.spmatrix),
            **{n: self._add_array(getattr(matrix, n), f"{place}{n}/") for n in names},
        }

    def _column(self, column: pa.Array | pa.ChunkedArray, place: str) -> dict[str, Any]:
        return {"$": "column", "table": self._add_table(pa.table({"column": column}), place)}

    def _table(self, table: pa.Table, place: str) -> dict[str, Any]:
        return {"$": "table", "table": self._add_table(table, place)}

    def _add_table(self, table: pa.Table, place: str) -> str:
        name = _free(place[:-1], self.tables)
        self.tables[name] = table
        return name

    def _add_array(self, array: np.ndarray, place: str) -> str:
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise StoreError(
                f"{place[:-1]}: numpy arrays of {array.dtype} have no disk form; text goes into an "
                "Arrow array",
                asked=str(array.dtype),
            )
        array = np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")
        name = _free(place[:-1], self.arrays)
        self.arrays[name] = array
        return name


# The first row that fits is taken: numpy's float64 is a float, and a scalar only where it is not.
_FORMS: tuple[tuple[Any, Callable[[Content, Any, str], Any]], ...] = (
    ((type(None), bool, int, str), Content._plain),
    (float, Content._float),
    (list, Content._list),
    (tuple, Content._tuple),
    (HIN, Content._hin),
    (Delta, Content._delta),
    (Mapping, Content._mapping),
    (np.ndarray, Content._array),
    (np.generic, Content._scalar),
    ((sp.sparray, sp.spmatrix), Content._sparse),
    ((pa.Array, pa.ChunkedArray), Content._column),
    (pa.Table, Content._table),
)


def _needs_version_2(parts: Mapping[str, Mapping[Any, Any]]) -> bool:
    """Whether a delta adds columns or fills values of edges, which version 1 does not know."""
    return bool(parts.get("columns")) or any(not isinstance(of, str) for of, _ in parts["values"])


def is_learned(name: str) -> bool:
    """Whether an attribute of that name is kept beside the fields: `fit` learned it, so its name
    ends in "_", or it says how the fields were searched for.
    """
    return name == "searched" or (name.endswith("_") and not name.startswith("_"))


def _type_value(type: Any) -> Any:
    """A type as JSON: tuples, also those inside, become lists."""
    return _bare(type) if isinstance(type, str) else [_type_value(part) for part in type]


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """A name that is not taken: keys of dicts may hold "/", so two places can have one name."""
    free, count = name, 1
    while free in taken:
        count += 1
        free = f"{name}~{count}"
    return free


def _bare(value: Any) -> Any:
    """A subclass (numpy's str, an enum of int) as the value that it is on disk."""
    if isinstance(value, str):
        return str.__str__(value)
    for kind in (bool, int):
        if isinstance(value, kind):
            return kind(value)
    return value
