"""How columns are named in arguments: names, and pairs of a type and a name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from hinaug.errors import KindError
from hinaug.graph.schema import EdgeType


def names(value: Any, who: str) -> list[str]:
    """A list of names, or one name alone, as a list; KindError for anything else.

    Example
    -------
    >>> names("title", "reads"), names(("title", "year"), "reads")
    (['title'], ['title', 'year'])
    """
    if isinstance(value, str):
        return [value]
    found = list(value) if isinstance(value, Iterable) else [value]
    wrong = [name for name in found if not isinstance(name, str)]
    if wrong:
        raise KindError(
            f"{who}: names of columns are needed, such as ['title']; got {wrong[0]!r}", asked=wrong
        )
    return found


def pair(value: Any, who: str) -> tuple[str | EdgeType, str]:
    """A node type, or an edge type, and a column; KindError for anything else.

    Example
    -------
    >>> pair(["review", "text"], "about")
    ('review', 'text')
    """
    parts = tuple(value) if isinstance(value, tuple | list) else ()
    if len(parts) != 2 or not isinstance(parts[1], str):
        raise KindError(
            f"{who}: (node type, column) is needed, such as ('review', 'text'); got {value!r}",
            asked=value,
        )
    return cast(tuple[str | EdgeType, str], parts)


def pairs(value: Any, who: str) -> list[tuple[str | EdgeType, str]]:
    """A list of such pairs; KindError for anything else, one pair alone among it."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        value = [value]
    return [pair(each, f"{who}, a list") for each in value]
