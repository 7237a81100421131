"""What a store is made of: an object taken apart into tagged JSON values, named tables and named
arrays (see `io`).
"""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.errors import StoreError
from hinaug.graph.delta import PARTS, Delta
from hinaug.graph.hin import HIN


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
    """Takes an object apart: `pack` gives the tagged JSON value and collects named tables and
    arrays.
    """

    def __init__(self) -> None:
        self.tables: dict[str, pa.Table] = {}
        self.arrays: dict[str, np.ndarray] = {}

    def pack(self, value: Any, at: str) -> Any:
        """at: the place of the value in the object, such as "members/0/"; names of tables and
        arrays start with it.
        """
        if value is None or isinstance(value, bool | int | str):
            return _plain(value)
        if isinstance(value, float):
            return (
                float(value) if math.isfinite(value) else {"$": "float", "value": str(float(value))}
            )
        if isinstance(value, list):
            return [self.pack(v, f"{at}{i}/") for i, v in enumerate(value)]
        if isinstance(value, tuple):
            return {"$": "tuple", "items": [self.pack(v, f"{at}{i}/") for i, v in enumerate(value)]}
        if isinstance(value, HIN):
            tables = self._parts({"nodes": value._nodes, "edges": value._edges}, at)
            deltas = [self.pack(d, f"{at}deltas/{i}/") for i, d in enumerate(value.deltas)]
            return {"$": "hin", "tables": tables, "deltas": deltas}
        if isinstance(value, Delta):
            tables = self._parts({part: getattr(value, part) for part in PARTS}, at)
            return {
                "$": "delta",
                "tables": tables,
                "fitted_on": list(value.fitted_on),
                "uid": value.uid,
            }
        if isinstance(value, Mapping):
            if all(isinstance(k, str) for k in value) and "$" not in value:
                return {_plain(k): self.pack(v, f"{at}{k}/") for k, v in value.items()}
            pairs = [
                [self.pack(k, f"{at}k{i}/"), self.pack(v, f"{at}{i}/")]
                for i, (k, v) in enumerate(value.items())
            ]
            return {"$": "dict", "items": pairs}
        if isinstance(value, np.ndarray):
            return {"$": "array", "array": self._array(value, at)}
        if isinstance(value, np.generic):
            return {"$": "scalar", "array": self._array(np.asarray(value), at)}
        if sp.issparse(value):
            if value.format not in ("csr", "csc"):
                raise StoreError(
                    f"{at[:-1]}: sparse arrays are saved as CSR or CSC, this is {value.format}"
                )
            names = {
                n: self._array(getattr(value, n), f"{at}{n}/")
                for n in ("data", "indices", "indptr")
            }
            return {
                "$": value.format,
                "shape": list(value.shape),
                "matrix": isinstance(value, sp.spmatrix),
                **names,
            }
        if isinstance(value, pa.Array | pa.ChunkedArray):
            return {"$": "column", "table": self._table(pa.table({"column": value}), at)}
        if isinstance(value, pa.Table):
            return {"$": "table", "table": self._table(value, at)}
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = [f.name for f in dataclasses.fields(value) if f.init]
            learned = [
                n
                for n in vars(value)
                if n.endswith("_") and not n.startswith("_") and n not in fields
            ]
            return {
                "$": "object",
                "class": class_path(type(value)),
                "fields": {n: self.pack(getattr(value, n), f"{at}{n}/") for n in fields},
                "learned": {n: self.pack(getattr(value, n), f"{at}{n}/") for n in learned},
            }
        raise StoreError(
            f"{at[:-1] or 'the object'} is {type(value).__module__}.{type(value).__qualname__}, "
            "which has no disk form; "
            "keep numbers, strings, numpy, scipy or Arrow arrays, estimators, and lists and dicts "
            "of these"
        )

    def _parts(self, parts: Mapping[str, Mapping[Any, pa.Table]], at: str) -> list[dict]:
        return [
            {
                "role": role,
                "type": type if isinstance(type, str) else list(type),
                "table": self._table(table, f"{at}{role}/{i}/"),
            }
            for role, tables in parts.items()
            for i, (type, table) in enumerate(tables.items())
        ]

    def _table(self, table: pa.Table, at: str) -> str:
        name = _free(at[:-1], self.tables)
        self.tables[name] = table
        return name

    def _array(self, array: np.ndarray, at: str) -> str:
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise StoreError(
                f"{at[:-1]}: numpy arrays of {array.dtype} have no disk form; text goes into an "
                "Arrow array"
            )
        array = np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")
        name = _free(at[:-1], self.arrays)
        self.arrays[name] = array
        return name


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """Keys of dicts may hold "/", so that two places can have one name."""
    free, count = name, 1
    while free in taken:
        count += 1
        free = f"{name}~{count}"
    return free


def _plain(value: Any) -> Any:
    """Subclasses (numpy's str, enums of int) as what they are on disk."""
    for kind in (bool, int, str):
        if isinstance(value, kind):
            return kind(value) if not isinstance(value, str) else str.__str__(value)
    return value
