"""Folders on the disk: what a store holds, which one may be written, and drafts of new ones."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hinaug.errors import ParameterError
from hinaug.io import load
from hinaug.io.store import MANIFEST

KINDS = {"hin": "a graph", "delta": "a delta", "split": "a split", "estimator": "a fitted model"}
HOW_TO_MAKE = {
    "hin": "",
    "delta": " (hinaug augment makes one)",
    "split": " (hinaug split makes one)",
    "estimator": " (hinaug evaluate --out saves one)",
}


def opened(path: Path, *kinds: str, own: Sequence[type] = ()) -> Any:
    """What the store at `path` holds.

    kinds: what it may hold, some of "hin", "delta", "split" and "estimator".
    own: classes of the user that it may hold.

    Raises ParameterError for a store of another kind, StoreError for a folder that is no store.
    """
    kind = kind_of(path) if path.is_dir() else None
    if kind is not None and kind not in kinds:
        expected = " or ".join(KINDS[k] for k in kinds)
        raise ParameterError(
            f"{path} holds {KINDS[kind]}; expected {expected}{HOW_TO_MAKE[kinds[0]]}",
            asked=kinds,
            there=kind,
        )
    return load(path, classes=own)


def kind_of(folder: Path) -> str | None:
    """What a folder says that it holds; None where it is no store."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(manifest, dict) or manifest.get("format") != "hinaug":
        return None
    kind = manifest.get("kind")
    return kind if kind in KINDS else None


def is_free(folder: Path) -> bool:
    """Whether nothing is lost when a folder is written there."""
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def check_out(out: Path, kind: str, force: bool) -> None:
    """Raises ParameterError where --out may not be written; asked before any work.

    A store of the same kind may be replaced, one of another kind with --force, nothing else.
    """
    check_place(out, "--out")
    if is_free(out):
        return
    there = kind_of(out) if out.is_dir() else None
    if there is None:
        what = "not a store, and not empty" if out.is_dir() else "a file"
        raise ParameterError(f"--out {out} is {what}; name a new folder", asked=out)
    if there != kind and not force:
        raise ParameterError(
            f"--out {out} holds {KINDS[there]}, and would get {KINDS[kind]}; name another folder, "
            "or --force",
            asked=kind,
            there=there,
        )


def check_place(path: Path, option: str) -> None:
    """Raises ParameterError where no folder can be made or written; asked before any work."""
    there = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    if not there.is_dir() and there != path.absolute():
        raise ParameterError(f"{option} {path}: {there} is a file", asked=path)
    if not os.access(there, os.W_OK):
        raise ParameterError(f"{option} {path}: {there} may not be written to", asked=path)


@contextmanager
def drafted(folder: Path) -> Iterator[Path]:
    """A draft that becomes `folder` once it is whole; until then, what was there stays.

    Raises ParameterError where the disk refuses.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".hinaug-") as temporary:
            draft, aside = Path(temporary) / "draft", Path(temporary) / "aside"
            yield draft
            if folder.exists():
                folder.rename(aside)
            try:
                draft.rename(folder)
            except OSError:
                if aside.exists():
                    aside.rename(folder)
                raise
    except OSError as error:
        raise ParameterError(f"cannot write {folder}: {error.strerror or error}") from error
