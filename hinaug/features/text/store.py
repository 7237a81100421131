"""Vectors on disk by content: one folder a model, Arrow files that are only ever added, never
changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hinaug.graph.arrow import lookup, vectors_array

KEY = pa.binary(32)


def cache_root(cache: Any) -> Path | None:
    """The folder for `cache=True` ($XDG_CACHE_HOME or ~/.cache, then hinaug/text), a path, or None
    for False.
    """
    if cache is False or cache is None:
        return None
    if cache is True:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hinaug" / "text"
    return Path(cache).expanduser()


def keys_of(texts: list[str]) -> list[bytes]:
    """The sha256 of each text, 32 bytes."""
    return [hashlib.sha256(t.encode("utf-8", "surrogatepass")).digest() for t in texts]


class VectorStore:
    """What one model has encoded before. A file that cannot be read is passed over, and its texts
    encoded again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, keys: list[bytes]) -> tuple[np.ndarray, np.ndarray | None]:
        """Which keys are there, bool [n], and their vectors, float32 [n, d] (zero where not; None
        when none is).
        """
        there = np.zeros(len(keys), bool)
        out: np.ndarray | None = None
        asked = pa.array(keys, KEY)
        for path in sorted(self.folder.glob("*.arrow")) if self.folder.is_dir() else []:
            table = _read(path)
            if table is None:
                continue
            known, column = table["key"].chunk(0), table["vector"].chunk(0)
            found = lookup(known, asked)
            new = np.flatnonzero((found >= 0) & ~there)
            width = column.type.list_size
            if not len(new) or (out is not None and out.shape[1] != width):
                continue
            if out is None:
                out = np.zeros((len(keys), width), np.float32)
            out[new] = column.values.to_numpy().reshape(-1, width)[column.offset + found[new]]
            there[new] = True
        return there, out

    def put(self, keys: list[bytes], vectors: np.ndarray) -> None:
        """One more file, written aside and renamed. A full or read-only disk costs the cache, not
        the result.
        """
        table = pa.table({"key": pa.array(keys, KEY), "vector": vectors_array(vectors)})
        name = hashlib.sha256(b"".join(keys)).hexdigest()[:32] + ".arrow"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, part = tempfile.mkstemp(dir=self.folder, prefix=".part-")
            try:
                with (
                    os.fdopen(handle, "wb") as stream,
                    pa.ipc.new_file(stream, table.schema) as writer,
                ):
                    writer.write_table(table)
                os.replace(part, self.folder / name)
            except BaseException:
                os.unlink(part)
                raise
        except OSError:
            return


def _read(path: Path) -> pa.Table | None:
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all().combine_chunks()
        good = (
            table.column_names == ["key", "vector"]
            and table["key"].type == KEY
            and table.num_rows > 0
        )
        if (
            good
            and pa.types.is_fixed_size_list(table["vector"].type)
            and not pc.is_null(table["vector"]).to_numpy().any()
        ):
            table.validate()
            return table
    except (OSError, pa.ArrowInvalid, pa.ArrowKeyError):
        pass
    return None


def file_sha256(path: Path, root: Path | None) -> str:
    """sha256 of a file; remembered under `root` by path, size and time of change, so that a large
    one is read once.
    """
    path = path.resolve()
    stat = path.stat()
    mark = f"{path}|{stat.st_size}|{stat.st_mtime_ns}"
    memo: dict[str, str] = {}
    note = root / "files.json" if root is not None else None
    if note is not None and note.is_file():
        try:
            memo = json.loads(note.read_text("utf-8"))
            if isinstance(memo.get(mark), str):
                return memo[mark]
        except (OSError, ValueError, AttributeError):
            memo = {}
    with open(path, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if note is not None and stat.st_size > 1 << 20:
        part = note.with_name(f".files-{os.getpid()}.json")
        try:
            note.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps({**memo, mark: digest}), "utf-8")
            os.replace(part, note)
        except OSError:
            pass
    return digest
