"""A griffe extension: prose below a list of parameters is prose, and an example is code.

griffe takes every line below "Parameters" that is not set in for the name of one more parameter,
and knows "Examples" but not "Example". This adds the headings that it needs; no file changes.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

LISTS = ("Parameters", "Attributes", "Returns")
NAMES = re.compile(r"\*{0,2}\w+(, \*{0,2}\w+)*( : .+)?")


def headed(text: str) -> str:
    """A docstring in which every part has a heading that griffe knows."""
    lines = text.splitlines()
    made: list[str] = []
    in_list = False
    for i, line in enumerate(lines):
        titled = i + 1 < len(lines) and re.fullmatch("-{3,}", lines[i + 1]) is not None
        if titled:
            in_list = line in LISTS
        elif in_list and starts_prose(lines, i):
            made += ["Notes", "-----"]
            in_list = False
        made.append("Examples" if titled and line == "Example" else line)
    return "\n".join(made)


def starts_prose(lines: list[str], i: int) -> bool:
    """A line at the margin, below an empty one, that is no name."""
    line = lines[i]
    at_margin = bool(line.strip()) and not line.startswith(" ")
    return at_margin and not lines[i - 1].strip() and not NAMES.fullmatch(line)


class Sections(griffe.Extension):
    """Gives the parts of each docstring their headings."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Before a docstring is parsed."""
        if obj.docstring:
            obj.docstring.value = headed(obj.docstring.value)
