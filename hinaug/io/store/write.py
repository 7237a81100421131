"""`save`: an object to a folder. A kill at any moment leaves the old store or the new one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hinaug import checks
from hinaug.errors import StoreError, TrainingDataWarning, some
from hinaug.graph import arrow as tb
from hinaug.io.store.folder import (
    DRAFT_FILE,
    MANIFEST,
    OWN_FILE,
    draft_path,
    entries,
    locked,
    manifest_hash,
    sync_parent,
)
from hinaug.io.store.pack import Content, kind_of


def save(obj: Any, path: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write a HIN, Delta, Split or estimator (fitted or not) to the folder `path`.

    Of an estimator, the fields and the attributes whose names end in "_" are kept. They may be JSON
    values, tuples, numpy and scipy CSR/CSC arrays, Arrow arrays and tables, graphs, deltas, other
    estimators, and lists and dicts of these.

    path: a folder, new, empty or a store. A folder that holds anything else is always refused.
    overwrite: whether a store that is there already is replaced.
    Warns with TrainingDataWarning where a method is its data, such as nearest neighbours, and so
    keeps links that it was fitted on; other methods keep parameters, ids and fingerprints.
    Raises StoreError; what was there before is then still there.
    """
    kind = kind_of(obj)
    content = Content()
    root = content.pack(obj)
    folder = checks.folder(path, "save")
    try:
        _save(folder, kind, root, content, overwrite)
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoreError(
            f"cannot save to {folder}: {reason}; what was there before is unchanged",
            asked=str(folder),
        ) from error
    for name, why in content.holds_data.items():
        warnings.warn(
            f"{folder} holds training data: {name} keeps it, {why}; guard the folder as you guard "
            "the data",
            TrainingDataWarning,
            stacklevel=2,
        )


def _save(folder: Path, kind: str, root: Any, content: Content, overwrite: bool) -> None:
    is_new = not folder.exists()
    if not is_new and not folder.is_dir():
        raise StoreError(f"cannot save to {folder}: it is a file; name a folder", asked=str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, exclusive=True) as sync:
        save = Save(folder, is_new, sync)
        try:
            _refuse_foreign(folder, overwrite)  # only now: another writer may have been first
            save.remove_drafts()
            tables, arrays = save.write_content(content)
            save.commit(_manifest_text(kind, root, content, tables, arrays))
            save.confirm()
            save.remove_unused({entry["file"] for entry in [*tables.values(), arrays] if entry})
        finally:
            if not save.committed:
                save.undo()


def _refuse_foreign(folder: Path, overwrite: bool) -> None:
    """StoreError for a store that must not be replaced, and for a folder that is no store."""
    there = entries(folder)
    if MANIFEST in there and not overwrite:
        raise StoreError(
            f"{folder} holds a store already; pass overwrite=True or another folder",
            asked=str(folder),
            there=MANIFEST,
        )
    own = [name for name in there if OWN_FILE.fullmatch(name)]
    drafts = [name for name in there if DRAFT_FILE.fullmatch(name)]
    foreign = set(there) - {MANIFEST, *own, *drafts}
    if MANIFEST in there:
        is_free = _is_manifest(folder / MANIFEST, damaged=bool(own) and not foreign)
    else:
        is_free = not foreign
    if not is_free:
        raise StoreError(
            f"cannot save to {folder}: it is not a store and holds {some(there)}; name an empty "
            "or new folder",
            asked=str(folder),
            there=there,
        )


def _is_manifest(path: Path, damaged: bool) -> bool:
    """Whether it is the manifest of a store. damaged: what is said of one that cannot be read."""
    try:
        return json.loads(path.read_bytes())["format"] == "hinaug"
    except (ValueError, TypeError, KeyError, RecursionError):
        return damaged


def _manifest_text(
    kind: str, root: Any, content: Content, tables: dict[str, Any], arrays: dict[str, Any] | None
) -> str:
    manifest = {
        "format": "hinaug",
        "version": content.version,
        "kind": kind,
        "root": root,
        "tables": tables,
        "arrays": arrays,
    }
    return manifest_text(manifest)


def manifest_text(manifest: dict[str, Any]) -> str:
    """The manifest as it is written, with its checksum."""
    return json.dumps({**manifest, "sha256": manifest_hash(manifest)}, indent=1, allow_nan=False)


class Save:
    """The steps of one save, in order; `undo` removes what was written before the commit."""

    def __init__(self, folder: Path, is_new: bool, sync: Callable[[], None]) -> None:
        self.folder, self.is_new, self.sync = folder, is_new, sync
        self.created: list[Path] = []
        self.committed = False

    def remove_drafts(self) -> None:
        """Of a save that was killed; nobody else is writing now."""
        for name in entries(self.folder):
            if DRAFT_FILE.fullmatch(name):
                (self.folder / name).unlink(missing_ok=True)

    def write_content(self, content: Content) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """Every table and all arrays; gives their entries in the manifest."""
        tables, by_id = {}, {}
        for name, table in content.tables.items():
            if id(table) not in by_id:
                by_id[id(table)] = self.write_table(table)
            tables[name] = by_id[id(table)]
        if not content.arrays:
            return tables, None
        return tables, self._write(".safetensors", partial(_write_arrays, content.arrays))

    def write_table(self, table: pa.Table) -> dict[str, Any]:
        """One table; gives its entry in the manifest."""
        return {"rows": table.num_rows, **self._write(".arrow", partial(_write_table, table))}

    def _write(self, suffix: str, write: Callable[[Path], str]) -> dict[str, Any]:
        """One file named by its content; gives its entry in the manifest."""
        draft = draft_path(self.folder, len(self.created) + 1)
        self.created.append(draft)
        sha256 = write(draft)
        final = self.folder / (sha256[:32] + suffix)
        if not final.exists():
            self.created.append(final)
        size = draft.stat().st_size
        os.replace(draft, final)  # also over a file of that name: its bytes may have gone bad
        return {"file": final.name, "bytes": size, "sha256": sha256}

    def commit(self, manifest: str) -> None:
        """Puts the new manifest in the place of the old one, in one step."""
        self.sync()
        draft = draft_path(self.folder, 0)
        self.created.append(draft)
        _write_synced(draft, manifest.encode("ascii"))
        os.replace(draft, self.folder / MANIFEST)
        self.committed = True

    def confirm(self) -> None:
        """Waits until the disk has the new store."""
        try:
            self.sync()
            if self.is_new:
                sync_parent(self.folder)
        except OSError as error:
            raise StoreError(
                f"{self.folder} holds the new store, and the disk could not confirm it "
                f"({error.strerror or error}); save again"
            ) from error

    def remove_unused(self, used: set[str]) -> None:
        """What only the old store needed. What cannot be removed is left to the next save."""
        for name in entries(self.folder):
            if OWN_FILE.fullmatch(name) and name not in used:
                with contextlib.suppress(OSError):
                    (self.folder / name).unlink()

    def undo(self) -> None:
        """Removes the files of a save that failed, and the folder if it was new."""
        for path in self.created:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        if self.is_new:
            with contextlib.suppress(OSError):
                self.folder.rmdir()


def _write_table(table: pa.Table, path: Path) -> str:
    """Writes the table; gives the sha256 of the file."""
    table = tb.canonical(table)
    with HashedFile(path) as sink:
        with pa.ipc.new_file(pa.PythonFile(sink, mode="w"), table.schema) as writer:
            writer.write_table(table)
        sink.sync()
        return sink.hash.hexdigest()


def _write_arrays(arrays: dict[str, np.ndarray], path: Path) -> str:
    """Writes the arrays; gives the sha256 of the file."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        save_file({name: arrays[name] for name in sorted(arrays)}, path)
    except SafetensorError as error:  # a full disk comes as this
        raise OSError(str(error)) from error
    with open(path, "rb+") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    return sha256


def _write_synced(path: Path, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


class HashedFile:
    """A file for writing that hashes what passes."""

    def __init__(self, path: Path) -> None:
        self.file = open(path, "xb")  # noqa: SIM115
        self.hash = hashlib.sha256()
        self.closed = False

    def write(self, data: Any) -> int:
        self.hash.update(data)
        return self.file.write(data)

    def tell(self) -> int:
        return self.file.tell()

    def flush(self) -> None:
        self.file.flush()

    def sync(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())

    def close(self) -> None: ...  # pyarrow closes its sink before the bytes are synced

    def __enter__(self) -> HashedFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.closed = True
        self.file.close()
