"""Every exception of hinaug."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass


class SchemaError(ValueError):
    """Input that does not fit the schema: says what was asked, what there is, and what to do."""


class UnknownNameError(SchemaError, KeyError):
    """A type or column that is not there; the message suggests the nearest."""

    __str__ = ValueError.__str__


def nearest(asked: Any, there: Iterable[Any]) -> str:
    """`; did you mean ...?` for the most similar name, or nothing when none is close."""
    names = {str(t): t for t in there}
    hit = difflib.get_close_matches(str(asked), list(names), n=1, cutoff=0.6)
    return f"; did you mean {names[hit[0]]!r}?" if hit else ""


def some(values: Iterable[Any], n: int = 5) -> str:
    """The first few of `values` for an error message."""
    values = list(values)
    return ", ".join(repr(v) for v in values[:n]) + (
        f", ... ({len(values)} in all)" if len(values) > n else ""
    )


class NotFittedError(ValueError):
    """Asked for results before `fit`."""


class LeakError(ValueError):
    """Held-out pairs are where the predictor could have seen them."""


class StoreError(ValueError):
    """A store that cannot be written or read: says where, what is wrong, and what to do."""


class ReportError(ValueError):
    """A folder of which no report can be made: says what is missing or broken, and what to do."""


class EdgeWarning(UserWarning):
    """A best value lies on the edge of its space: the true best may lie beyond."""
