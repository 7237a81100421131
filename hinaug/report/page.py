"""Blocks as one self-contained HTML page; the same blocks give the same bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

import hinaug
from hinaug.report.blocks import Block, Picture, Section, Table
from hinaug.report.pictures import svg
from hinaug.report.wording import clean

if TYPE_CHECKING:
    from jinja2 import Environment


def page(title: str, eyebrow: str, first: Sequence[Block], sections: Sequence[Section]) -> str:
    """The whole document. first: what stands before the links to the sections."""
    template = _environment().get_template("page.html")
    style = Markup(files("hinaug.report").joinpath("templates/style.css").read_text())
    return template.render(
        title=title,
        eyebrow=eyebrow,
        first=[_View(b) for b in first],
        sections=sections,
        style=style,
        version=hinaug.__version__,
        grouped=_grouped,
        is_text=is_text,
        shown=shown_cell,
        draw=lambda view, name: svg(view.block, name),
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # only where a page is made

    return Environment(
        loader=PackageLoader("hinaug.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markup) else clean(value),
    )


class _View:
    """A block as the template sees it: its fields, and its kind."""

    def __init__(self, block: Block) -> None:
        self.block, self.kind = block, type(block).__name__

    def __getattr__(self, name: str) -> Any:
        return getattr(self.block, name)


def _grouped(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """Neighbouring pictures stand beside each other."""
    runs = groupby(blocks, lambda b: isinstance(b, Picture))
    return [{"pictures": is_picture, "blocks": [_View(b) for b in run]} for is_picture, run in runs]


def is_text(table: Table, column: int) -> bool:
    """Whether a column holds words, which stand at the left."""
    cells = [row[column] for row in table.rows if len(row) > column]
    return any(isinstance(cell, str) and not _is_figure(cell) for cell in cells)


def _is_figure(cell: str) -> bool:
    return re.fullmatch(r"[-+−–±<>\[\]\d.,e% ]*", cell) is not None


def shown_cell(cell: Any) -> str:
    """A cell as text: four places of a fraction, thousands apart, nothing for None."""
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.4f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
