"""Pieces of HTML that several sections use.

Text from data always goes through `data` or `clean`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from hinaug.report.svg import clean


def typeset(text: str) -> str:
    """A sentence of the terminal with real arrows and minus signs."""
    text = clean(text).replace("-&gt;", "→")
    text = text.replace("p = ", "p\u00a0=\u00a0").replace(" %", "\u00a0%")
    return re.sub(r"(?<=\d)%", "\u00a0%", re.sub(r"(?<![\w.])-(?=\d)", "−", text))


def command(line: str) -> str:
    """A command line that breaks between its words alone."""
    return f"<pre>{' '.join(f'<span>{clean(word)}</span>' for word in line.split(' '))}</pre>"


def named(regime: str) -> str:
    """A regime at the start of a line; only its first letter changes."""
    return regime[:1].upper() + regime[1:]


def data(text: Any) -> str:
    """Text from data, escaped, and kept from turning the direction of what stands around it."""
    return f"<bdi>{clean(text)}</bdi>"


def figure(panels: list[tuple[str, str]], caption: str) -> str:
    shown = "".join(
        f'<div class="panel">{f"<h3>{data(title)}</h3>" if title else ""}{picture}</div>'
        for title, picture in panels
    )
    below = f"<figcaption>{clean(caption)}</figcaption>"
    return f'<figure><div class="panels">{shown}</div>{below}</figure>'


def legend(marks: dict[str, str]) -> str:
    keys = "".join(
        f'<li><svg viewBox="0 0 34 12" aria-hidden="true">{mark}</svg>{name}</li>'
        for name, mark in marks.items()
    )
    return f'<ul class="legend">{keys}</ul>'


def table(caption: str, head: Iterable[tuple[str, str]], bodies: Iterable[str]) -> str:
    """A table in a box of its own, which scrolls where the page is narrower."""
    columns = "".join(f'<th scope="col" class="{cls}">{clean(name)}</th>' for name, cls in head)
    return (
        '<div class="scroll" tabindex="0" role="region" '
        f'aria-label="{clean(caption)}"><table><caption>{data(caption)}</caption>'
        f"<thead><tr>{columns}</tr></thead>{''.join(bodies)}</table></div>"
    )


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    return (
        f"<dl>{''.join(f'<dt>{name}</dt><dd>{value}</dd>' for name, value in rows if value)}</dl>"
    )
