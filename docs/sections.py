"""A griffe extension: lists of names are parameters, prose below them is prose, examples are code.

griffe takes every line below "Parameters" that is not set in for the name of one more parameter,
knows "Examples" but not "Example", and reads "name: what it is" as prose. This adds the headings
and lists that it needs; no file changes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

import griffe

LISTS = ("Parameters", "Attributes", "Returns")
NAMES = re.compile(r"\*{0,2}\w+(, \*{0,2}\w+)*( : .+)?")
TERM = re.compile(r"([a-z_]\w*(?:, [a-z_]\w*)*): (.*)")


def headed(text: str, names: Collection[str] = ()) -> str:
    """A docstring in which every part has a heading that griffe knows.

    names: the parameters; a list of others stays a list.
    """
    made: list[str] = []
    in_list = False
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        lines = block.splitlines()
        title = lines[0] if len(lines) > 1 and re.fullmatch("-{3,}", lines[1]) else ""
        terms = [] if title or not made else terms_of(lines)
        if title:
            in_list = title in LISTS
            lines[0] = "Examples" if title == "Example" else title
        elif terms and all(name in names for term, _ in terms for name in term.split(", ")):
            in_list, lines = True, ["Parameters", "-" * 10, *parameters(terms)]
        elif in_list and not lines[0].startswith(" ") and not NAMES.fullmatch(lines[0]):
            in_list, lines = False, ["Notes", "-----", *(bullets(terms) if terms else lines)]
        elif terms and not in_list:
            lines = list(bullets(terms))
        made.append("\n".join(lines))
    return "\n\n".join(made)


def terms_of(lines: list[str]) -> list[tuple[str, str]]:
    """The pairs (names, what they are) of a block that is a list of such; else nothing."""
    found: list[tuple[str, str]] = []
    for line in lines:
        term = TERM.fullmatch(line)
        if term:
            found.append((term[1], term[2]))
        elif found and line.startswith("    "):
            found[-1] = (found[-1][0], f"{found[-1][1]}\n{line[4:]}")
        else:
            return []
    return found


def parameters(terms: list[tuple[str, str]]) -> Iterator[str]:
    """Terms as numpy docstrings have them."""
    for names, said in terms:
        yield names
        yield from ("    " + line for line in said.splitlines())


def bullets(terms: list[tuple[str, str]]) -> Iterator[str]:
    """Terms as a markdown list."""
    for names, said in terms:
        yield f"- `{names}`: " + "\n    ".join(said.splitlines())


class Sections(griffe.Extension):
    """Gives the parts of each docstring their headings."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Once all of a package is read."""
        self._visit(pkg)

    def _visit(self, obj: griffe.Object) -> None:
        if obj.docstring:
            names = [p.name.lstrip("*") for p in getattr(obj, "parameters", ())]
            if obj.is_class:
                names += [*obj.all_members]
            obj.docstring.value = headed(obj.docstring.value, names)
        for member in list(obj.members.values()):
            if not member.is_alias:
                self._visit(member)
