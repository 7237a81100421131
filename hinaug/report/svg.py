"""A few lines of inline SVG.

Text is escaped, numbers are short, colours are left to the page's style sheet.
"""

from __future__ import annotations

import html
import re
from typing import Any

import numpy as np

WIDTH = 340  # of a picture in pixels: a phone shows it whole

# characters that no document may hold, and those that turn the direction of the text after them
_UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def clean(text: Any) -> str:
    """Text from data, safe to stand in HTML and in attributes."""
    return html.escape(_UNFIT.sub("\ufffd", str(text)))


def cut(text: str, most: int) -> str:
    """At most `most` characters, the last an ellipsis where something is left out."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def number(value: float) -> str:
    """A number with one decimal at most.

    A tenth of a pixel is enough, and keeps the page small and the same on every machine.
    """
    short = f"{float(value):.1f}".removesuffix(".0")
    return "0" if short == "-0" else short


def signed(value: float, digits: int) -> str:
    """+0.0123 or −0.0123, with a real minus sign."""
    return f"{value:+.{digits}f}".replace("-", "−")


class Svg:
    """One picture with a title and a description for readers who do not see it.

    name: unique on the page. width, height: in pixels at its natural size; it shrinks with its
    column.
    """

    def __init__(
        self, name: str, width: float, height: float, title: str, description: str
    ) -> None:
        self.head = (
            f'<svg viewBox="0 0 {number(width)} {number(height)}" width="{number(width)}" '
            f'role="img" aria-labelledby="{name}-title {name}-what">'
            f'<title id="{name}-title">{clean(title)}</title>'
            f'<desc id="{name}-what">{clean(description)}</desc>'
        )
        self.parts: list[str] = []

    def add(self, tag: str, text: Any = None, cls: str = "", **attributes: Any) -> None:
        """One element; `stroke_width=2` becomes stroke-width="2"."""
        given = ({"class": cls} if cls else {}) | attributes
        start = tag + "".join(_attribute(name, value) for name, value in given.items())
        self.parts.append(f"<{start}/>" if text is None else f"<{start}>{clean(text)}</{tag}>")

    def text(self, x: float, y: float, text: Any, cls: str = "", anchor: str = "start") -> None:
        self.add(
            "text", text, cls, x=x, y=y, **({} if anchor == "start" else {"text_anchor": anchor})
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, cls: str = "rule") -> None:
        self.add("path", cls=cls, d=f"M{number(x1)} {number(y1)}L{number(x2)} {number(y2)}")

    def whisker(self, low: float, high: float, y: float) -> None:
        """A horizontal interval; a rim in the colour of the paper lets it show on a bar."""
        a, b, top, foot = number(low), number(high), number(y - 3), number(y + 3)
        d = f"M{a} {number(y)}H{b}M{a} {top}V{foot}M{b} {top}V{foot}"
        self.add("path", cls="rim", d=d)
        self.add("path", cls="whisker", d=d)

    def curve(self, x: np.ndarray, y: np.ndarray, cls: str) -> None:
        points = "L".join(f"{number(a)} {number(b)}" for a, b in zip(x, y, strict=True))
        self.add("path", cls=cls, d=f"M{points}")

    def __str__(self) -> str:
        return self.head + "".join(self.parts) + "</svg>"


def _attribute(name: str, value: str | float) -> str:
    shown = clean(value) if isinstance(value, str) else number(value)
    return f' {name.replace("_", "-")}="{shown}"'


def ticks(low: float, high: float, n: int = 4) -> list[float]:
    """About n round numbers from low to high."""
    if not high > low:
        return [low]
    rough = (high - low) / n
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * next(m for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first, last = int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9))
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten from low to high.

    Where there are fewer than three, also their doubles and fives.
    """
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for steps in ((1,), (1, 2, 5)):
        found = [float(f"{m * 10.0**p:.12g}") for p in powers for m in steps]
        found = [t for t in found if low * 0.999 <= t <= high * 1.001]
        if len(found) > 2:
            break
    return found


def diamond(x: float, y: float, r: float) -> str:
    """The mark of what was generated, as path data."""
    return f"M{number(x - r)} {number(y)}l{r} {-r} {r} {r} {-r} {r}z"
