"""Blocks on the terminal. Pictures are for the page."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text as RichText

from hinaug.report.blocks import Block, Command, Facts, Finding, Findings, Table, Text
from hinaug.report.page import is_text, shown_cell
from hinaug.report.wording import clean


def show(block: Block, console: Console) -> None:
    """Prints a block."""
    if isinstance(block, Table):
        console.print(_table(block))
    elif isinstance(block, Finding):
        where = RichText(f"{clean(block.where)}: ", style="bold")
        console.print(where.append(RichText(clean(block.sentence), style="not bold")))
    elif isinstance(block, Findings):
        console.print(_summary(block))
    elif isinstance(block, Facts):
        for name, value in block.rows.items():
            console.print(f"  {clean(name)}: {clean(value)}", markup=False)
    elif isinstance(block, Text | Command):
        text = block.text if isinstance(block, Text) else f"  {block.line}"
        console.print(clean(text), markup=False)


def _table(block: Table) -> RichTable:
    made = _empty(block.caption)
    for n, name in enumerate(block.columns):
        made.add_column(RichText(clean(name)), justify="left" if is_text(block, n) else "right")
    for row in block.rows:
        made.add_row(*(RichText(clean(shown_cell(cell))) for cell in row))
    return made


def _empty(title: str) -> RichTable:
    title_text = RichText(clean(title))
    return RichTable(title=title_text, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)


def _summary(block: Findings) -> RichTable:
    made = _empty(block.title)
    made.add_column("where")
    for name in ("plain", "control", "augmented", "change"):
        made.add_column(name, justify="right")
    made.add_column("outcome")
    for one in block.findings:
        name = one.where + (f" ({one.measured})" if one.measured else "")
        control = "" if one.control is None else f"{one.control:.4f}"
        figures = (f"{one.plain:.4f}", control, f"{one.augmented:.4f}", one.change, one.outcome)
        made.add_row(RichText(clean(name)), *figures)
    return made
