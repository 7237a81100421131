"""One self-contained HTML page from what `hinaug demo` leaves: verdict first, then results,
pictures, how to run it again.

    report("hinaug-demo")          # writes hinaug-demo/report.html

The page holds its style and its pictures; it runs no script and asks for nothing from anywhere.
"""

from __future__ import annotations

import os
from pathlib import Path

from hinaug.errors import ReportError
from hinaug.report.page import page
from hinaug.report.read import read

__all__ = ["ReportError", "report"]


def report(folder: str | os.PathLike[str], path: str | os.PathLike[str] | None = None) -> Path:
    """Writes the page of the run in `folder` (results.jsonl and the stores beside it) to `path`, by
    default into `folder`.

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
