"""`load`: a folder to the object that was saved there. Whatever is wrong raises StoreError."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hinaug import checks
from hinaug.errors import SchemaError, StoreError, some
from hinaug.graph import arrow as tb
from hinaug.graph import spill
from hinaug.io.store.folder import KINDS, MANIFEST, OWN_FILE, entries, locked, manifest_hash
from hinaug.io.store.pack import class_path, kind_of
from hinaug.io.store.unpack import Unpacker

VERSIONS = (1, 2, 3)
_KEYS = ("kind", "root", "tables", "arrays")


def load(path: str | os.PathLike[str], *, verify: bool = True, classes: Iterable[type] = ()) -> Any:
    """The object that was saved to the folder `path`; its tables are memory-mapped and not copied.

    path: the folder of a store.
    verify: compare every file with its sha256 and check ids and positions anew. This reads
        everything once (about a second per GB from a warm disk). False looks at names, sizes and
        row counts only and opens at once; a file with changed bytes then goes unseen, so keep it
        for stores that you wrote yourself.
    classes: your own estimator classes that the store may contain; those of `hinaug` are known.
    Raises StoreError.
    """
    folder = checks.folder(path, "load")
    try:
        with locked(folder, exclusive=False):
            manifest = read_manifest(folder)
            return _object(folder, manifest, verify, {class_path(c): c for c in classes})
    except OSError as error:
        raise StoreError(
            f"cannot read {folder}: {error.strerror or error}", asked=str(folder)
        ) from error


def _object(folder: Path, manifest: dict[str, Any], verify: bool, classes: dict[str, type]) -> Any:
    """The object that the manifest describes."""
    files = Files(folder, verify)
    try:
        tables = {name: files.table(name, entry) for name, entry in manifest["tables"].items()}
        arrays = {} if manifest["arrays"] is None else files.arrays(manifest["arrays"])
        obj = Unpacker(folder, verify, classes, tables, arrays).unpack(manifest["root"])
        kind = kind_of(obj)
    except StoreError:
        raise
    except SchemaError as error:
        raise StoreError(
            f"{folder} holds a graph that does not fit together: {error}",
            asked=error.asked,
            there=error.there,
        ) from error
    except _MALFORMED as error:
        raise StoreError(
            f"{folder}: {MANIFEST} does not describe an object that can be put together ({error!r})"
        ) from error
    if kind != manifest["kind"]:
        raise StoreError(
            f"{folder}: {MANIFEST} says {manifest['kind']!r} and holds a {kind!r}",
            asked=manifest["kind"],
            there=kind,
        )
    return obj


# what a manifest that is not as FORMAT.md says brings about in Python
_MALFORMED = (
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    AttributeError,
    RecursionError,
    OverflowError,
    MemoryError,
    pa.ArrowException,
)


# ---- the manifest --------------------------------------------------------------------------------


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a store, checked as far as it can be without the files that it names."""
    path = folder / MANIFEST
    manifest = _json(folder, path)
    _check_version(folder, path, manifest.get("version"))
    if manifest.get("sha256") != manifest_hash(manifest):
        raise StoreError(
            f"{path} is damaged or was edited by hand: its checksum does not fit; restore it "
            "from a copy",
            asked=str(path),
        )
    missing = [key for key in _KEYS if key not in manifest]
    if missing or not isinstance(manifest["tables"], dict):
        raise StoreError(f"{path}: {some(missing) or 'tables'} missing or of the wrong form")
    if manifest["kind"] not in KINDS:
        raise StoreError(
            f"{path}: unknown kind {manifest['kind']!r}; this hinaug reads {', '.join(KINDS)}",
            asked=manifest["kind"],
            there=KINDS,
        )
    return manifest


def _json(folder: Path, path: Path) -> dict[str, Any]:
    _check_is_file(folder, path)
    try:
        manifest = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise StoreError(
            f"{path} is damaged or cut short, it is no JSON ({error}); restore it from a copy",
            asked=str(path),
        ) from error
    if not isinstance(manifest, dict) or manifest.get("format") != "hinaug":
        raise StoreError(
            f"{path} is not of a hinaug store; the folder holds {some(entries(folder))}",
            asked=str(path),
        )
    return manifest


def _check_is_file(folder: Path, path: Path) -> None:
    if not folder.is_dir():
        raise StoreError(
            f"{folder} is {'a file' if folder.exists() else 'not there'}; a store is a folder "
            f"with {MANIFEST}",
            asked=str(folder),
        )
    if path.is_symlink():
        raise StoreError(f"{path} is no regular file; refused", asked=str(path))
    if not path.is_file():
        files = entries(folder)
        there = f"there is no {MANIFEST}, only {some(files)}" if files else "it is empty"
        raise StoreError(f"{folder} is no hinaug store: {there}", asked=str(folder), there=files)


def _check_version(folder: Path, path: Path, version: Any) -> None:
    if isinstance(version, int) and version > max(VERSIONS):
        raise StoreError(
            f"{folder} was written by a newer hinaug (disk format {version}, this one reads up to "
            f"{max(VERSIONS)}); upgrade hinaug",
            asked=version,
            there=VERSIONS,
        )
    if version not in VERSIONS or isinstance(version, bool):
        raise StoreError(
            f"{path}: version {version!r} is unknown; this hinaug reads {VERSIONS}",
            asked=version,
            there=VERSIONS,
        )


# ---- files ---------------------------------------------------------------------------------------


class Files:
    """Opens the files of one store; the same file is opened once."""

    def __init__(self, folder: Path, verify: bool) -> None:
        self.folder, self.verify = folder, verify
        self.opened: dict[str, pa.Table] = {}

    def table(self, name: str, entry: Any) -> pa.Table:
        """The table of an entry, memory-mapped. name: what errors call it."""
        parts = entry.get("parts", []) if isinstance(entry, dict) else []
        key = " ".join(part["file"] for part in (entry, *parts)) if parts else ""
        if not parts:
            table = self.first(entry)
        elif key in self.opened:
            table = self.opened[key]
        else:
            tables = [self.first(part) for part in (entry, *parts)]
            table = self.opened[key] = spill.joined(tables, f"{self.folder}: table {name!r}")
        if table.num_rows != entry.get("rows"):
            raise StoreError(
                f"{self.folder}: table {name!r} has {table.num_rows} rows instead of "
                f"{entry.get('rows')}",
                asked=entry.get("rows"),
                there=table.num_rows,
            )
        return table

    def first(self, entry: Any) -> pa.Table:
        """The table of the first file of an entry, which is all of it where it has no parts."""
        file = entry.get("file") if isinstance(entry, dict) else None
        table = self.opened.get(file) if isinstance(file, str) else None
        if table is None:
            table = self._open_table(self._checked(entry, ".arrow"))
            self.opened[entry["file"]] = table
        return table

    def _open_table(self, path: Path) -> pa.Table:
        try:
            with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
                table = reader.read_all()
            table.validate(full=self.verify)  # before anything follows its offsets
            if not table.num_columns:
                return table
            columns = [tb.one_chunk(column) for column in table.columns]
            return pa.Table.from_arrays(columns, schema=table.schema)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise StoreError(
                f"{path} is damaged: it cannot be read as an Arrow table ({error})",
                asked=str(path),
            ) from error

    def arrays(self, entry: Any) -> dict[str, np.ndarray]:
        """All arrays of the store, by name."""
        from safetensors import SafetensorError, safe_open

        path = self._checked(entry, ".safetensors")
        try:
            with safe_open(path, framework="numpy") as tensors:
                return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
        except (SafetensorError, ValueError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{path} is damaged: it cannot be read as safetensors ({error})",
                asked=str(path),
            ) from error

    def _checked(self, entry: Any, suffix: str) -> Path:
        """The path of the file that an entry names, after all checks of name, size and content."""
        name, sha256 = self._name_and_hash(entry, suffix)
        path = self.folder / name
        self._check_size(path, entry.get("bytes"))
        if self.verify:
            _check_hash(path, sha256)
        return path

    def _name_and_hash(self, entry: Any, suffix: str) -> tuple[str, str]:
        is_entry = isinstance(entry, dict)
        if not is_entry or not all(isinstance(entry.get(k), str) for k in ("file", "sha256")):
            raise StoreError(
                f"{self.folder}: {MANIFEST} has an entry without file name and sha256: {entry!r}"
            )
        name, sha256 = entry["file"], entry["sha256"]
        if not OWN_FILE.fullmatch(name) or name != sha256[:32] + suffix:
            raise StoreError(
                f"{self.folder}: {MANIFEST} names the file {name!r}, which is no name of a "
                "store's file; refused",
                asked=name,
            )
        return name, sha256

    def _check_size(self, path: Path, size: Any) -> None:
        try:
            status = path.lstat()  # a link may lead out of the folder
        except FileNotFoundError as error:
            there = entries(self.folder)
            raise StoreError(
                f"{self.folder}: the file {path.name} is missing; there are {some(there)}",
                asked=path.name,
                there=there,
            ) from error
        if not stat.S_ISREG(status.st_mode):
            raise StoreError(f"{path} is no regular file; refused", asked=str(path))
        if status.st_size != size:
            raise StoreError(
                f"{path} has {status.st_size} bytes instead of {size}: cut short or overwritten",
                asked=size,
                there=status.st_size,
            )


def _check_hash(path: Path, sha256: str) -> None:
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise StoreError(
            f"{path} is damaged: its bytes do not have the sha256 that they were saved with; "
            "restore it from a copy",
            asked=str(path),
        )
