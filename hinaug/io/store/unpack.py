"""The way back from `pack.py`: tagged values, tables and arrays to an object."""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug.errors import StoreError, some
from hinaug.graph import arrow as tb
from hinaug.graph import overlay
from hinaug.graph.delta import PARTS, Delta
from hinaug.graph.edit import State
from hinaug.graph.hin import HIN
from hinaug.io.store.folder import MANIFEST
from hinaug.io.store.pack import class_path, is_learned

_MODULE = re.compile(r"hinaug(\.[A-Za-z][A-Za-z0-9_]*)*")
_UID = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass
class Unpacker:
    """Puts an object together again. Whatever does not fit raises StoreError, KeyError, TypeError,
    or what the constructors raise.

    folder: what errors name. verify: whether graphs and sparse arrays are checked anew.
    classes: {path: class} that may be made beside those of `hinaug`.
    """

    folder: Path
    verify: bool
    classes: Mapping[str, type]
    tables: Mapping[str, pa.Table]
    arrays: Mapping[str, np.ndarray]

    def unpack(self, value: Any) -> Any:
        """The object that a tagged value stands for."""
        if isinstance(value, list):
            return [self.unpack(v) for v in value]
        if not isinstance(value, dict):
            return value
        if "$" not in value:
            return {k: self.unpack(v) for k, v in value.items()}
        tag = value["$"]
        if tag not in _TAGS:
            raise StoreError(
                f"{self.folder}: {MANIFEST} holds a value of the unknown form {tag!r}",
                asked=tag,
                there=list(_TAGS),
            )
        return _TAGS[tag](self, value)

    # ---- JSON values -----------------------------------------------------------------------------

    def _tuple(self, value: dict[str, Any]) -> tuple:
        return tuple(self.unpack(v) for v in value["items"])

    def _dict(self, value: dict[str, Any]) -> dict:
        return {self.unpack(k): self.unpack(v) for k, v in value["items"]}

    def _float(self, value: dict[str, Any]) -> float:
        return float(value["value"])

    # ---- arrays and tables -----------------------------------------------------------------------

    def _array(self, value: dict[str, Any]) -> np.ndarray:
        return self.arrays[value["array"]]

    def _scalar(self, value: dict[str, Any]) -> Any:
        return self.arrays[value["array"]][()]

    def _sparse(self, value: dict[str, Any]) -> Any:
        parts = tuple(self.arrays[value[name]] for name in ("data", "indices", "indptr"))
        name = f"{value['$']}_{'matrix' if value['matrix'] else 'array'}"
        matrix = getattr(sp, name)(parts, shape=tuple(value["shape"]))
        matrix.check_format(full_check=self.verify)
        return matrix

    def _table(self, value: dict[str, Any]) -> pa.Table:
        return self.tables[value["table"]]

    def _column(self, value: dict[str, Any]) -> pa.Array:
        return tb.one_chunk(self.tables[value["table"]]["column"])

    # ---- graphs ----------------------------------------------------------------------------------

    def _hin(self, value: dict[str, Any]) -> HIN:
        parts = self._parts(value, ("nodes", "edges"))
        deltas = tuple(self._delta(delta) for delta in value["deltas"])
        if self.verify:
            return HIN(parts["nodes"], parts["edges"], deltas)
        overlay.check_together(parts["nodes"], parts["edges"], deltas)
        return HIN._of(State(parts["nodes"], parts["edges"], deltas))

    def _delta(self, value: dict[str, Any]) -> Delta:
        parts: dict[str, Any] = self._parts(value, PARTS)
        delta = Delta(**parts, fitted_on=value["fitted_on"])
        if delta.uid != value["uid"]:
            raise StoreError(
                f"{self.folder}: a delta reads as {delta.uid[:12]} and was saved as "
                f"{str(value['uid'])[:12]}",
                asked=value["uid"],
                there=delta.uid,
            )
        if "identity" in value:
            self._restore_identity(delta, value["identity"])
        return delta

    def _restore_identity(self, delta: Delta, identity: Any) -> None:
        """What the delta was before the graph's edits took rows from it (see `Delta.identity`)."""
        if not (isinstance(identity, str) and _UID.fullmatch(identity)):
            raise StoreError(
                f"{self.folder}: {MANIFEST} gives a delta the identity {identity!r}; it has 64 hex "
                "digits",
                asked=identity,
            )
        object.__setattr__(delta, "identity", identity)

    def _parts(self, value: dict[str, Any], roles: Iterable[str]) -> dict[str, dict[Any, pa.Table]]:
        parts: dict[str, dict[Any, pa.Table]] = {role: {} for role in roles}
        for entry in value["tables"]:
            role, type = entry["role"], _type_of(entry["type"])
            if type in parts[role]:
                raise StoreError(
                    f"{self.folder}: {role} {type!r} stands in {MANIFEST} more than once",
                    asked=type,
                )
            parts[role][type] = self.tables[entry["table"]]
        return parts

    # ---- estimators ------------------------------------------------------------------------------

    def _object(self, value: dict[str, Any]) -> Any:
        path, cls = value["class"], self._class(value["class"])
        obj = self._made(path, cls, {k: self.unpack(v) for k, v in value["fields"].items()})
        for name, learned in value["learned"].items():
            if not is_learned(name):
                raise StoreError(
                    f"{self.folder}: {name!r} is no name of a learned attribute; refused",
                    asked=name,
                )
            object.__setattr__(obj, name, self.unpack(learned))
        return obj

    def _made(self, path: str, cls: Any, fields: dict[str, Any]) -> Any:
        known = {f.name for f in dataclasses.fields(cls) if f.init}
        unknown = [n for n in fields if n not in known]
        if unknown:
            raise StoreError(
                f"{self.folder}: {path} has no field {some(unknown)}; it has {sorted(known)}",
                asked=unknown,
                there=sorted(known),
            )
        try:
            return cls(**fields)
        except Exception as error:
            raise StoreError(
                f"{self.folder}: {path} does not accept the fields it was saved with: {error}"
            ) from error

    def _class(self, path: str) -> Any:
        if path in self.classes:
            return self.classes[path]
        module, _, name = path.partition(":")
        if not _MODULE.fullmatch(module):
            raise StoreError(
                f"{self.folder} holds a {path}, and only classes of hinaug are loaded by name; "
                f"pass classes=[{name}]",
                asked=path,
            )
        try:
            cls = getattr(importlib.import_module(module), name, None)
        except ImportError as error:
            raise StoreError(
                f"{self.folder} holds a {path}, and {module} cannot be imported: {error}",
                asked=path,
            ) from error
        if not _is_loadable(cls, path):
            raise StoreError(
                f"{self.folder} holds a {path}, which this hinaug does not have; it may come from "
                "another version",
                asked=path,
            )
        return cls


_TAGS: dict[str, Callable[[Unpacker, dict[str, Any]], Any]] = {
    "hin": Unpacker._hin,
    "delta": Unpacker._delta,
    "object": Unpacker._object,
    "tuple": Unpacker._tuple,
    "dict": Unpacker._dict,
    "float": Unpacker._float,
    "array": Unpacker._array,
    "scalar": Unpacker._scalar,
    "csr": Unpacker._sparse,
    "csc": Unpacker._sparse,
    "table": Unpacker._table,
    "column": Unpacker._column,
}


def _is_loadable(cls: Any, path: str) -> bool:
    """Whether it is a class that a store may name, and by this very name."""
    return isinstance(cls, type) and dataclasses.is_dataclass(cls) and class_path(cls) == path


def _type_of(value: Any) -> Any:
    """A type of a table: a string, or a tuple of types."""
    return value if isinstance(value, str) else tuple(_type_of(part) for part in value)
