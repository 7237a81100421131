"""results.jsonl: what a run found, a block a line, from which its page is made."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from hinaug.errors import ReportError
from hinaug.evaluation import Result
from hinaug.report.blocks import KINDS, Block, Section, as_block
from hinaug.report.terminal import show

PACKAGES = (
    "hinaug",
    "numpy",
    "scipy",
    "pyarrow",
    "torch",
    "torch-geometric",
    "scikit-learn",
    "transformers",
)


class Log:
    """Keeps blocks as lines of JSON, and prints them, as the run goes.

    Until `end` the file is called results.jsonl.part, so an older run stays until a newer one is
    complete.
    """

    def __init__(self, path: Path, title: str, *, about: str = "", console: Console | None = None):
        self.path, self.part, self.console = path, path.with_name(path.name + ".part"), console
        self.title = ""
        self.part.write_text("")
        versions = {"python": platform.python_version()} | {p: version(p) for p in PACKAGES}
        self.write({"kind": "page", "title": title, "about": about, "versions": versions})

    def section(self, title: str, about: str = "") -> None:
        """What is added from here on belongs to this section. "" is the head of the page."""
        self.title = title
        self.write({"kind": "section", "title": title, "about": about})
        if self.console is not None and title:
            self.console.rule(f"[bold]{title}")
            if about:
                self.console.print(about, markup=False)

    def add(self, *blocks: Block, quiet: bool = False) -> None:
        """Keeps blocks, and prints them unless they are for the page alone."""
        for block in blocks:
            self.write({**block.document(), "section": self.title})
            if self.console is not None and not quiet:
                show(block, self.console)

    def result(self, result: Result, **where: Any) -> None:
        """The figures of one fit, for machines. where: such as seed, model, arm."""
        figures = {m: result[m] for m in [*result.values, *result.overall]}
        row = {"kind": "result", **where, "on": result.on, "users": len(result.users)}
        self.write(row | figures)

    def write(self, *rows: dict[str, Any]) -> None:
        """Any lines; `kind` says what each holds."""
        with self.part.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)

    def end(self, seconds: float) -> None:
        """The last line; an older results.jsonl is replaced."""
        self.write({"kind": "end", "seconds": seconds})
        self.part.replace(self.path)


class Run:
    """A run read back: a title, what it is about, the head of the page, its sections."""

    def __init__(self, path: Path) -> None:
        self.title = self.about = ""
        self.versions: dict[str, str] = {}
        self.seconds: float | None = None
        self.head, self.sections = Section(""), [Section("")]
        for n, line in enumerate(_text(path).splitlines(), 1):
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ReportError(
                    f"{path}, line {n}, is not what a run writes ({error}); run it again",
                    asked=line[:200],
                ) from error
        if self.seconds is None:
            raise ReportError(f"{path} has no end: the run did not finish; run it again")
        self.head, *self.sections = self.sections

    def _take(self, row: dict[str, Any]) -> None:
        kind = row["kind"]
        if kind == "page":
            self.title, self.about, self.versions = row["title"], row["about"], row["versions"]
        elif kind == "end":
            self.seconds = float(row["seconds"])
        elif kind == "section":
            self._at(row["title"]).about = row["about"]
        elif kind in KINDS:
            self._at(row["section"]).blocks.append(as_block(row))

    def _at(self, title: str) -> Section:
        """The section of that title; a new one at the end where there is none."""
        found = [section for section in self.sections if section.title == title]
        if not found:
            self.sections.append(Section(title))
        return found[0] if found else self.sections[-1]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ReportError(
            f"cannot read {path}: {reason}; a report is made from the folder of a finished run "
            "(hinaug demo, or hinaug evaluate --run)"
        ) from error


def keep(folder: str | os.PathLike[str], title: str, about: str, blocks: Iterable[Block]) -> None:
    """Adds a section to a finished run; an older one of that title is replaced.

    Raises ReportError where the folder holds no finished run.
    """
    path = Path(folder) / "results.jsonl"
    Run(path)
    lines = [json.loads(line) for line in _text(path).splitlines()]
    kept = [row for row in lines if not _is_of(row, title)]
    kept.append({"kind": "section", "title": title, "about": about})
    kept += [{**block.document(), "section": title} for block in blocks]
    draft = path.with_name(f"{path.name}.part")
    draft.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    draft.replace(path)


def _is_of(row: dict[str, Any], title: str) -> bool:
    return row.get("section") == title or (row["kind"] == "section" and row["title"] == title)
