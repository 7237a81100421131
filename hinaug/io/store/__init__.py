"""save and load: one folder for a HIN, a Delta, a Split or a fitted estimator. Nothing is pickled.

The disk form, version 1
------------------------
A store is a folder that holds

    schema.json                  what is there; JSON, written last
    <32 hex digits>.arrow        one table each: Arrow IPC file format, uncompressed, so that it opens by memory mapping
    <32 hex digits>.safetensors  all plain arrays of a fitted estimator, if it has any

The digits are the first 32 of the file's sha256: equal tables are one file, also across the graphs
of a Split. schema.json is one object:

    format   "hinaug"
    version  1
    kind     "hin", "delta", "split" or "estimator"
    root     the object, as a tagged value (below)
    tables   {name: {"file", "rows", "bytes", "sha256"}}
    arrays   null or {"file", "bytes", "sha256"}; the tensors have the names that tagged values give
    sha256   of this object without this key, as compact ASCII JSON: a changed character does not pass unseen

Tagged values: null, bool, int, finite float, str, list, and objects without the key "$" stand for
    themselves. Else "$" says

    hin      tables: [{"role": "nodes" or "edges", "type", "table"}], deltas: [delta]
    delta    tables: [{"role": "nodes", "edges", "masks" or "values", "type", "table"}], fitted_on, uid
    object   class ("module:Class", a dataclass), fields, learned (attributes whose names end in "_")
    tuple, dict ([key, value] pairs), float ("nan", "inf", "-inf"), table, column (a table with the one column "column"),
    array, scalar (a numpy scalar), csr and csc (shape, matrix, and the arrays data, indices, indptr).

Edge types are lists of three strings. Node tables have "id" (strings; the field metadata
`hinaug.id_type` names the integer type they came in), edge tables "src" and "dst" (int32 positions
of observed nodes); the field metadata `hinaug.lineage` is "row" or "aggregate". The tables of
deltas hold external ids, "confidence", "origin" and "key".

Safety ------ A save writes new files, syncs them, and then puts the new schema.json in the place of
the old one in a single step, so a kill at any moment leaves the old store or the new one. Files
that nothing refers to any more are removed afterwards; files that are not the store's own are never
touched. Saves and loads of one folder wait for each other. Whatever is wrong with a store raises
StoreError. Loading imports classes of `hinaug` by name and no others: hand over your own with
`classes=`. A later version of hinaug reads version 1.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug import checks
from hinaug.errors import SchemaError, StoreError, some
from hinaug.graph import arrow as tb
from hinaug.graph.delta import PARTS, Delta
from hinaug.graph.hin import HIN
from hinaug.io.store.pack import Content, class_path

try:
    import fcntl
except (
    ImportError
):  # Windows: no lock, and folders cannot be synced; the order of the steps stays the same
    fcntl = None  # type: ignore[assignment]

VERSION = 1
MANIFEST = "schema.json"
_SPLIT = "hinaug.split:Split"
_OWN = re.compile(r"[0-9a-f]{32}\.(arrow|safetensors)")
_TEMPORARY = re.compile(r"\.hinaug-[0-9]+-[0-9]+\.tmp")
_MODULE = re.compile(r"hinaug(\.[A-Za-z][A-Za-z0-9_]*)*")


def save(obj: Any, path: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write a HIN, Delta, Split or estimator (fitted or not) to the folder `path`.

    overwrite: whether a store that is there already is replaced; a folder with anything else in it
    is refused always. Of an estimator, the fields and the attributes whose names end in "_" are
    kept: JSON values, tuples, numpy and scipy CSR/CSC arrays, Arrow arrays and tables, graphs,
    deltas, other estimators, and lists and dicts of these. Raises StoreError; what was there before
    is then still there.
    """
    kind = _kind(obj)
    content = Content()
    root = content.pack(obj, "")
    folder = checks.folder(path, "save")
    try:
        _save(folder, kind, root, content, overwrite)
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoreError(
            f"cannot save to {folder}: {reason}; what was there before is unchanged"
        ) from error


def load(path: str | os.PathLike[str], *, verify: bool = True, classes: Iterable[type] = ()) -> Any:
    """The object that was saved to the folder `path`; its tables are memory-mapped and not copied.

    verify: compare every file with its sha256 and check ids and positions anew. This reads
        everything once (about a second per GB from a warm disk). False looks at names, sizes and
        row counts only and opens at once; a file with changed bytes then goes unseen, so keep it
        for stores that you wrote yourself.
    classes: your own estimator classes that the store may contain; those of `hinaug` are known.
    Raises StoreError.
    """
    folder = checks.folder(path, "load")
    try:
        with _locked(folder, exclusive=False):
            return _Reader(folder, verify, classes).load()
    except OSError as error:
        raise StoreError(f"cannot read {folder}: {error.strerror or error}") from error


def _kind(obj: Any) -> str:
    if isinstance(obj, HIN):
        return "hin"
    if isinstance(obj, Delta):
        return "delta"
    if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        return "split" if class_path(type(obj)) == _SPLIT else "estimator"
    raise StoreError(
        f"save takes a HIN, a Delta, a Split or an estimator, not {type(obj).__name__}"
    )


# ---- writing -------------------------------------------------------------------------------------


def _save(folder: Path, kind: str, root: Any, content: Content, overwrite: bool) -> None:
    is_new = not folder.exists()
    if not is_new and not folder.is_dir():
        raise StoreError(f"cannot save to {folder}: it is a file; name a folder")
    folder.mkdir(parents=True, exist_ok=True)
    created: list[Path] = []
    committed = False
    with _locked(folder, exclusive=True) as sync:
        try:
            _refuse_foreign(folder, overwrite)  # only now: another writer may have been first
            for leftover in _entries(
                folder
            ):  # of a save that was killed; nobody else is writing now
                if _TEMPORARY.fullmatch(leftover):
                    (folder / leftover).unlink(missing_ok=True)
            tables, by_id = {}, {}
            for name, table in content.tables.items():
                if id(table) not in by_id:
                    file = _write(folder, ".arrow", partial(_write_table, table), created)
                    by_id[id(table)] = {"rows": table.num_rows, **file}
                tables[name] = by_id[id(table)]
            arrays = None
            if content.arrays:
                arrays = _write(
                    folder, ".safetensors", partial(_write_arrays, content.arrays), created
                )
            manifest = {
                "format": "hinaug",
                "version": VERSION,
                "kind": kind,
                "root": root,
                "tables": tables,
                "arrays": arrays,
            }
            text = json.dumps(
                {**manifest, "sha256": _manifest_hash(manifest)}, indent=1, allow_nan=False
            )
            sync()
            temporary = _temporary(folder, 0)
            created.append(temporary)
            _write_synced(temporary, text.encode("ascii"))
            os.replace(temporary, folder / MANIFEST)
            committed = True
            try:
                sync()
                if is_new and fcntl:
                    _sync_folder(folder.parent)
            except OSError as error:
                raise StoreError(
                    f"{folder} holds the new store, and the disk could not confirm it "
                    f"({error.strerror or error}); save again"
                ) from error
            used = {entry["file"] for entry in [*tables.values(), *([arrays] if arrays else [])]}
            for old in _entries(folder):
                if _OWN.fullmatch(old) and old not in used:
                    with contextlib.suppress(
                        OSError
                    ):  # the store is whole; the next save tries again
                        (folder / old).unlink()
        finally:
            if not committed:
                for path in created:
                    with contextlib.suppress(OSError):
                        path.unlink(missing_ok=True)
                if is_new:
                    with contextlib.suppress(OSError):
                        folder.rmdir()


def _refuse_foreign(folder: Path, overwrite: bool) -> None:
    there = _entries(folder)
    if MANIFEST in there and not overwrite:
        raise StoreError(f"{folder} holds a store already; pass overwrite=True or another folder")
    strangers = [
        n for n in there if n != MANIFEST and not _OWN.fullmatch(n) and not _TEMPORARY.fullmatch(n)
    ]
    ours = MANIFEST in there
    if ours:
        try:
            ours = json.loads((folder / MANIFEST).read_bytes())["format"] == "hinaug"
        except (ValueError, TypeError, KeyError, RecursionError):
            ours = not strangers and any(
                _OWN.fullmatch(n) for n in there
            )  # a store of ours with a damaged schema.json
    if not ours and (strangers or MANIFEST in there):
        raise StoreError(
            f"cannot save to {folder}: it is not a store and holds {some(there)}; name an empty "
            "or new folder"
        )


def _write(
    folder: Path, suffix: str, write: Callable[[Path], str], created: list[Path]
) -> dict[str, Any]:
    """One file named by its content; returns its entry in the manifest."""
    temporary = _temporary(folder, len(created) + 1)
    created.append(temporary)
    sha256 = write(temporary)
    final = folder / (sha256[:32] + suffix)
    if not final.exists():
        created.append(final)
    size = temporary.stat().st_size
    os.replace(
        temporary, final
    )  # also where a file of that name is there: its bytes may have gone bad
    return {"file": final.name, "bytes": size, "sha256": sha256}


def _write_table(table: pa.Table, path: Path) -> str:
    table = tb.canonical(table)
    with _HashedFile(path) as sink:
        with pa.ipc.new_file(pa.PythonFile(sink, mode="w"), table.schema) as writer:
            writer.write_table(table)
        sink.sync()
        return sink.hash.hexdigest()


def _write_arrays(arrays: dict[str, np.ndarray], path: Path) -> str:
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


class _HashedFile:
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

    def __enter__(self) -> _HashedFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.closed = True
        self.file.close()


def _temporary(folder: Path, number: int) -> Path:
    return folder / f".hinaug-{os.getpid()}-{number}.tmp"


def _entries(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def _manifest_hash(manifest: Mapping[str, Any]) -> str:
    text = json.dumps({k: v for k, v in manifest.items() if k != "sha256"}, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


@contextlib.contextmanager
def _locked(folder: Path, exclusive: bool) -> Iterator[Callable[[], None]]:
    """Holds the folder's lock, so that no reader meets a file that a writer is about to remove.
    Gives its fsync.
    """
    if fcntl is None or not folder.is_dir():
        yield lambda: None
        return
    while True:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # some network disks have no locks
                fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            if os.path.samestat(
                os.fstat(descriptor), os.stat(folder)
            ):  # else it was removed and made anew meanwhile
                yield partial(os.fsync, descriptor)
                return
        finally:
            os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# ---- reading -------------------------------------------------------------------------------------


class _Reader:
    """Reads and checks one store, then puts the object together again."""

    def __init__(self, folder: Path, verify: bool, classes: Iterable[type]) -> None:
        self.folder, self.verify = folder, verify
        self.classes = {class_path(c): c for c in classes}
        self.opened: dict[str, pa.Table] = {}
        self.arrays: dict[str, np.ndarray] = {}

    def load(self) -> Any:
        manifest = self._manifest()
        try:
            self.tables = {
                name: self._table(name, entry) for name, entry in manifest["tables"].items()
            }
            if manifest["arrays"] is not None:
                self.arrays = self._arrays(manifest["arrays"])
            obj = self.unpack(manifest["root"])
            kind = _kind(obj)
        except StoreError:
            raise
        except SchemaError as error:
            raise StoreError(
                f"{self.folder} holds a graph that does not fit together: {error}"
            ) from error
        except (
            KeyError,
            IndexError,
            TypeError,
            ValueError,
            AttributeError,
            RecursionError,
            OverflowError,
            MemoryError,
            pa.ArrowException,
        ) as error:
            raise StoreError(
                f"{self.folder}: {MANIFEST} does not describe an object that can be put together "
                f"({error!r})"
            ) from error
        if kind != manifest["kind"]:
            raise StoreError(
                f"{self.folder}: {MANIFEST} says {manifest['kind']!r} and holds a {kind!r}"
            )
        return obj

    def _manifest(self) -> dict[str, Any]:
        path = self.folder / MANIFEST
        if not self.folder.is_dir():
            raise StoreError(
                f"{self.folder} is {'a file' if self.folder.exists() else 'not there'}; a store "
                f"is a folder with {MANIFEST}"
            )
        if path.is_symlink():
            raise StoreError(f"{path} is no regular file; refused")
        if not path.is_file():
            there = some(_entries(self.folder)) or "no files"
            raise StoreError(
                f"{self.folder} is no hinaug store: there is no {MANIFEST}, only {there}"
            )
        try:
            manifest = json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            raise StoreError(
                f"{path} is damaged or cut short, it is no JSON ({error}); restore it from a copy"
            ) from error
        if not isinstance(manifest, dict) or manifest.get("format") != "hinaug":
            raise StoreError(
                f"{path} is not of a hinaug store; the folder holds {some(_entries(self.folder))}"
            )
        version = manifest.get("version")
        if isinstance(version, int) and version > VERSION:
            raise StoreError(
                f"{self.folder} was written by a newer hinaug (disk form {version}, this one "
                f"reads {VERSION}); upgrade hinaug"
            )
        if version != VERSION:
            raise StoreError(f"{path}: version {version!r} is unknown; this hinaug reads {VERSION}")
        if manifest.get("sha256") != _manifest_hash(manifest):
            raise StoreError(
                f"{path} is damaged or was edited by hand: its checksum does not fit; restore it "
                "from a copy"
            )
        missing = [k for k in ("kind", "root", "tables", "arrays") if k not in manifest]
        if missing or not isinstance(manifest["tables"], dict):
            raise StoreError(f"{path}: {some(missing) or 'tables'} missing or of the wrong form")
        if manifest["kind"] not in ("hin", "delta", "split", "estimator"):
            raise StoreError(
                f"{path}: unknown kind {manifest['kind']!r}; this hinaug reads hin, delta, split "
                "and estimator"
            )
        return manifest

    def _file(self, entry: Any, suffix: str) -> Path:
        if not isinstance(entry, dict) or not all(
            isinstance(entry.get(k), str) for k in ("file", "sha256")
        ):
            raise StoreError(
                f"{self.folder}: {MANIFEST} has an entry without file name and sha256: {entry!r}"
            )
        name, sha256 = entry["file"], entry["sha256"]
        if not _OWN.fullmatch(name) or not name.endswith(suffix) or name != sha256[:32] + suffix:
            raise StoreError(
                f"{self.folder}: {MANIFEST} names the file {name!r}, which is no name of a "
                "store's file; refused"
            )
        path = self.folder / name
        try:
            status = path.lstat()  # a link may lead out of the folder
        except FileNotFoundError as error:
            raise StoreError(
                f"{self.folder}: the file {name} is missing; there are "
                f"{some(_entries(self.folder))}"
            ) from error
        if not stat.S_ISREG(status.st_mode):
            raise StoreError(f"{path} is no regular file; refused")
        if status.st_size != entry.get("bytes"):
            raise StoreError(
                f"{path} has {status.st_size} bytes instead of {entry.get('bytes')}: cut short or "
                "overwritten"
            )
        if self.verify:
            with open(path, "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != sha256:
                raise StoreError(
                    f"{path} is damaged: its bytes do not have the sha256 that they were saved "
                    "with; restore it from a copy"
                )
        return path

    def _table(self, name: str, entry: Any) -> pa.Table:
        if isinstance(entry, dict) and entry.get("file") in self.opened:
            return self._counted(name, self.opened[entry["file"]], entry)
        path = self._file(entry, ".arrow")
        try:
            with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
                table = reader.read_all()
            table.validate(full=self.verify)  # before anything follows its offsets
            if table.num_columns:
                table = pa.Table.from_arrays(
                    [tb.one_chunk(c) for c in table.columns], schema=table.schema
                )
        except (pa.ArrowException, OSError, ValueError) as error:
            raise StoreError(
                f"{path} is damaged: it cannot be read as an Arrow table ({error})"
            ) from error
        self.opened[entry["file"]] = table
        return self._counted(name, table, entry)

    def _counted(self, name: str, table: pa.Table, entry: dict[str, Any]) -> pa.Table:
        if table.num_rows != entry.get("rows"):
            raise StoreError(
                f"{self.folder}: table {name!r} has {table.num_rows} rows instead of "
                f"{entry.get('rows')}"
            )
        return table

    def _arrays(self, entry: Any) -> dict[str, np.ndarray]:
        from safetensors import SafetensorError, safe_open

        path = self._file(entry, ".safetensors")
        try:
            with safe_open(path, framework="numpy") as tensors:
                return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
        except (SafetensorError, ValueError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{path} is damaged: it cannot be read as safetensors ({error})"
            ) from error

    def unpack(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.unpack(v) for v in value]
        if not isinstance(value, dict):
            return value
        if "$" not in value:
            return {k: self.unpack(v) for k, v in value.items()}
        tag = value["$"]
        if tag == "hin":
            return self._hin(value)
        if tag == "delta":
            return self._delta(value)
        if tag == "object":
            return self._object(value)
        if tag == "tuple":
            return tuple(self.unpack(v) for v in value["items"])
        if tag == "dict":
            return {self.unpack(k): self.unpack(v) for k, v in value["items"]}
        if tag == "float":
            return float(value["value"])
        if tag == "array":
            return self.arrays[value["array"]]
        if tag == "scalar":
            return self.arrays[value["array"]][()]
        if tag in ("csr", "csc"):
            parts = tuple(self.arrays[value[n]] for n in ("data", "indices", "indptr"))
            name = f"{tag}_{'matrix' if value['matrix'] else 'array'}"
            matrix = getattr(sp, name)(parts, shape=tuple(value["shape"]))
            matrix.check_format(full_check=self.verify)
            return matrix
        if tag == "table":
            return self.tables[value["table"]]
        if tag == "column":
            return tb.one_chunk(self.tables[value["table"]]["column"])
        raise StoreError(f"{self.folder}: {MANIFEST} holds a value of the unknown form {tag!r}")

    def _parts(self, value: dict[str, Any], roles: Iterable[str]) -> dict[str, dict[Any, pa.Table]]:
        parts: dict[str, dict[Any, pa.Table]] = {role: {} for role in roles}
        for entry in value["tables"]:
            type = entry["type"] if isinstance(entry["type"], str) else tuple(entry["type"])
            if type in parts[entry["role"]]:
                raise StoreError(
                    f"{self.folder}: {entry['role']} {type!r} stands in {MANIFEST} more than once"
                )
            parts[entry["role"]][type] = self.tables[entry["table"]]
        return parts

    def _hin(self, value: dict[str, Any]) -> HIN:
        parts = self._parts(value, ("nodes", "edges"))
        hin = (
            HIN(parts["nodes"], parts["edges"])
            if self.verify
            else HIN._make(parts["nodes"], parts["edges"])
        )
        for delta in value["deltas"]:
            hin = hin + self._delta(delta)
        return hin

    def _delta(self, value: dict[str, Any]) -> Delta:
        parts = self._parts(value, PARTS)
        delta = Delta(
            parts["nodes"],
            parts["edges"],
            parts["masks"],
            parts["values"],
            fitted_on=value["fitted_on"],
        )
        if delta.uid != value["uid"]:
            raise StoreError(
                f"{self.folder}: a delta reads as {delta.uid[:12]} and was saved as "
                f"{str(value['uid'])[:12]}"
            )
        return delta

    def _object(self, value: dict[str, Any]) -> Any:
        cls = self._class(value["class"])
        fields = {k: self.unpack(v) for k, v in value["fields"].items()}
        known = {f.name for f in dataclasses.fields(cls) if f.init}
        unknown = [n for n in fields if n not in known]
        if unknown:
            raise StoreError(
                f"{self.folder}: {value['class']} has no field {some(unknown)}; it has "
                f"{sorted(known)}"
            )
        try:
            obj = cls(**fields)
        except Exception as error:
            raise StoreError(
                f"{self.folder}: {value['class']} does not accept the fields it was saved with: "
                f"{error}"
            ) from error
        for name, learned in value["learned"].items():
            if not name.endswith("_") or name.startswith("_"):
                raise StoreError(
                    f"{self.folder}: {name!r} is no name of a learned attribute; refused"
                )
            object.__setattr__(obj, name, self.unpack(learned))
        return obj

    def _class(self, path: str) -> Any:
        if path in self.classes:
            return self.classes[path]
        module, _, name = path.partition(":")
        if not _MODULE.fullmatch(module):
            raise StoreError(
                f"{self.folder} holds a {path}, and only classes of hinaug are loaded by name; "
                f"pass classes=[{name}]"
            )
        try:
            cls = getattr(importlib.import_module(module), name, None)
        except ImportError as error:
            raise StoreError(
                f"{self.folder} holds a {path}, and {module} cannot be imported: {error}"
            ) from error
        if (
            not isinstance(cls, type)
            or not dataclasses.is_dataclass(cls)
            or class_path(cls) != path
        ):
            raise StoreError(
                f"{self.folder} holds a {path}, which this hinaug does not have; it may come from "
                "another version"
            )
        return cls
