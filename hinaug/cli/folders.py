"""Folders on the disk: what a store holds, which folder may be written to, and drafts that appear
when they are whole.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hinaug.errors import ParameterError


def opened(path: Path, *kinds: str) -> Any:
    """What the store at `path` holds; ValueError when that is none of the kinds ("hin", "delta",
    "split", "estimator").
    """
    from hinaug.io.store import load

    if path.is_dir() and (there := kind_of(path)) is not None and there not in kinds:
        raise ParameterError(
            f"{path} holds {WORDS[there]}; expected "
            f"{' or '.join(WORDS[k] for k in kinds)}{HOW[kinds[0]]}"
        )
    return load(path)


WORDS = {"hin": "a graph", "delta": "a delta", "split": "a split", "estimator": "a fitted model"}
HOW = {
    "hin": "",
    "delta": " (hinaug augment makes one)",
    "split": " (hinaug split makes one)",
    "estimator": " (hinaug evaluate --out saves one)",
}


def kind_of(folder: Path) -> str | None:
    """What a folder says it holds; None where it is no store."""
    from hinaug.io.store import MANIFEST

    try:
        found = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    kind = (
        found.get("kind") if isinstance(found, dict) and found.get("format") == "hinaug" else None
    )
    return kind if kind in WORDS else None


def check_out(out: Path, kind: str, force: bool) -> None:
    """Asked before any work: a store of the same kind may be replaced, one of another kind with
    --force, nothing else.
    """
    check_place(out, "--out")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    there = kind_of(out) if out.is_dir() else None
    if there is None:
        what = "a file" if not out.is_dir() else "not a store, and not empty"
        raise ParameterError(f"--out {out} is {what}; name a new folder")
    if there != kind and not force:
        raise ParameterError(
            f"--out {out} holds {WORDS[there]}, and would get {WORDS[kind]}; name another folder, "
            "or --force"
        )


def check_place(path: Path, option: str) -> None:
    """Asked before any work: ValueError where a folder cannot be made or written."""
    there = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    if not there.is_dir() and there != path.absolute():
        raise ParameterError(f"{option} {path}: {there} is a file")
    if not os.access(there, os.W_OK):
        raise ParameterError(f"{option} {path}: {there} may not be written to")


@contextmanager
def drafted(folder: Path) -> Iterator[Path]:
    """A draft that becomes `folder` once it is whole; until then what was there stays there.
    ValueError where the disk says no.
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
