"""The folder of a store: the names of its files, its lock, the checksum of its manifest."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows: no lock and no sync of folders; the order of the steps is the same
    fcntl = None  # type: ignore[assignment]

MANIFEST = "schema.json"
KINDS = ("hin", "delta", "split", "estimator")
OWN_FILE = re.compile(r"[0-9a-f]{32}\.(arrow|safetensors)")
DRAFT_FILE = re.compile(r"\.hinaug-[0-9]+-[0-9]+\.tmp")


def entries(folder: Path) -> list[str]:
    """The names in the folder, sorted."""
    return sorted(os.listdir(folder))


def draft_path(folder: Path, number: int) -> Path:
    """Where a file is written before it gets its name."""
    return folder / f".hinaug-{os.getpid()}-{number}.tmp"


def manifest_hash(manifest: Mapping[str, Any]) -> str:
    """sha256 of the manifest without its own checksum, as compact ASCII JSON."""
    text = json.dumps({k: v for k, v in manifest.items() if k != "sha256"}, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


@contextlib.contextmanager
def locked(folder: Path, exclusive: bool) -> Iterator[Callable[[], None]]:
    """Holds the folder's lock, so that no reader meets a file that a writer is about to remove.

    Gives the function that syncs the folder to the disk.
    """
    if fcntl is None or not folder.is_dir():
        yield lambda: None
        return
    while True:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # some network disks have no locks
                fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            same = os.path.samestat(os.fstat(descriptor), os.stat(folder))
            if same:  # else the folder was removed and made anew meanwhile
                yield partial(os.fsync, descriptor)
                return
        finally:
            os.close(descriptor)


def sync_parent(folder: Path) -> None:
    """Makes the name of a new folder last, where folders can be synced."""
    if fcntl is None:
        return
    descriptor = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
