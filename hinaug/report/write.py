"""Writes the page of a run."""

from __future__ import annotations

import os
from pathlib import Path

from hinaug.errors import ReportError
from hinaug.report.page import page
from hinaug.report.read import read

__all__ = ["ReportError", "report"]


def report(folder: str | os.PathLike[str], path: str | os.PathLike[str] | None = None) -> Path:
    """Writes the HTML page of a run, and gives its path.

    folder: where the run left results.jsonl and its stores.
    path: the page to write; report.html in `folder` without it.

    The same input gives the same bytes. Raises ReportError or StoreError where the input is missing
    or broken, and ReportError where the page cannot be written; an older page is then unchanged.
    """
    folder = Path(folder)
    target = folder / "report.html" if path is None else Path(path)
    made = page(read(folder))
    draft = target.with_name(f".{target.name}-{os.getpid()}.tmp")
    try:
        draft.write_text(made, encoding="utf-8")
        draft.replace(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ReportError(f"cannot write {target}: {error.strerror or error}") from error
    return target
