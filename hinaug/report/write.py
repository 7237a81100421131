"""Writes a page: of the folder of a run, or of results at hand."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hinaug.errors import ParameterError, ReportError
from hinaug.report.blocks import Block, Command, Facts, Section
from hinaug.report.log import Run
from hinaug.report.page import page
from hinaug.report.results import section_of

__all__ = ["ReportError", "report"]


def report(
    what: str | os.PathLike[str] | Any,
    path: str | os.PathLike[str] | None = None,
    *,
    title: str = "Results",
    about: str = "",
) -> Path:
    """Writes one self-contained HTML page, and gives its path.

    Parameters
    ----------
    what
        The folder of a run (`hinaug demo`, `hinaug evaluate --run`), or results: a Comparison, an
        ErrorAnalysis, a Delta, a table, a Section of blocks, or a list of these.
    path
        The page to write; report.html in the folder of the run without it.
    title, about
        The heading, and a line above it, for results at hand; a run has its own.

    The same input gives the same bytes. Raises ReportError or StoreError where the input is missing
    or broken, ParameterError for what has no place on a page, and ReportError where the page cannot
    be written; an older page is then unchanged.

    Example
    -------
    >>> import tempfile, pathlib
    >>> import hinaug
    >>> from hinaug.evaluation import compare
    >>> from hinaug.predictors import EASE, Popularity
    >>> RATES = ("user", "rates", "item")
    >>> split = hinaug.random_split(hinaug.datasets.planted(60, 30, rng=0), RATES, rng=0)
    >>> runs = [hinaug.evaluate(m(RATES).fit(split.train), split.train, split)
    ...         for m in (Popularity, EASE)]
    >>> made = hinaug.report.report(compare(*runs), pathlib.Path(tempfile.mkdtemp()) / "page.html")
    >>> made.name
    'page.html'
    """
    if isinstance(what, str | os.PathLike):
        folder = Path(what)
        made = _page_of_run(folder)
        return _write(made, folder / "report.html" if path is None else Path(path))
    if path is None:
        raise ParameterError("report of results at hand needs path=, the page to write")
    parts = what if isinstance(what, Sequence) else [what]
    sections = [part if isinstance(part, Section) else section_of(part) for part in parts]
    return _write(page(title, about, [], sections), Path(path))


def _page_of_run(folder: Path) -> str:
    run = Run(folder / "results.jsonl")
    versions = ", ".join(f"{name} {number}" for name, number in run.versions.items())
    commands = [b for b in run.head.blocks if isinstance(b, Command)]
    head = [b for b in run.head.blocks if not isinstance(b, Command)]
    time = f"{run.seconds:.0f} s" if run.seconds is not None else ""
    last: list[Block] = [*commands, Facts({"Versions": versions, "Time": time})]
    again = Section("To run it again", "The same command and versions give the same figures.", last)
    return page(run.title, run.about, head, [*run.sections, again])


def _write(made: str, target: Path) -> Path:
    draft = target.with_name(f".{target.name}-{os.getpid()}.tmp")
    try:
        draft.write_text(made, encoding="utf-8")
        draft.replace(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ReportError(f"cannot write {target}: {error.strerror or error}") from error
    return target
