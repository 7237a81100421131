"""Every exception of hinaug, and the words that their messages share.

    HinaugError                      anything below; `asked` and `there` say what it is about
    ├── ParameterError   ValueError      a parameter has a value that it cannot have
    ├── KindError        TypeError       an argument is of another kind than the one that is taken
    ├── SchemaError      ValueError      data do not fit the schema of a graph
    │   └── UnknownNameError  KeyError       a type, column, metric or slice that is not there
    ├── ReadOnlyError    AttributeError, TypeError  a graph was to be changed in place
    ├── NotFittedError   ValueError      results were asked for before `fit`
    ├── FoldInError      ValueError      a method cannot score somebody new without a refit
    ├── LeakError        ValueError      held-out pairs are where a model could have seen them
    ├── DivergenceError  ArithmeticError  training left the numbers
    ├── StoreError       ValueError      a folder cannot be saved to or loaded from
    ├── ReportError      ValueError      no report can be made of a folder
    ├── WriterError      RuntimeError    a writer of texts gave no answer that can be used
    └── RankError        RuntimeError    a process of several that train together is lost
    EdgeWarning          UserWarning     a best value lies on the edge of its search space
    EmptyListWarning     UserWarning     users got fewer items than were asked for, or none
    TrainingDataWarning  UserWarning     a saved model holds the data it was fitted on
    SelectionWarning     UserWarning     rows were chosen by the pairs that judge them
    TextLeavesWarning    UserWarning     texts are sent to another machine

Each is also the built-in exception beside it, so `except ValueError` works without importing
hinaug. A message says what was asked, what there is, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class HinaugError(Exception):
    """The base of all exceptions of hinaug.

    asked: what was given or asked for, as it came; None where the message says it all.
    there: what there is instead: names, counts or a limit; None where nothing is.
    """

    def __init__(self, message: str = "", *, asked: Any = None, there: Any = None) -> None:
        super().__init__(message)
        self.asked, self.there = asked, there

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ParameterError(HinaugError, ValueError):
    """A parameter has a value that it cannot have; `there` says which ones it can."""


class KindError(HinaugError, TypeError):
    """An argument is of another kind than the one that is taken."""


class SchemaError(HinaugError, ValueError):
    """Data that do not fit the schema of a graph."""


class UnknownNameError(SchemaError, KeyError):
    """A name that is not there; `there` lists those that are, and the message has the nearest."""


class ReadOnlyError(HinaugError, AttributeError, TypeError):
    """A graph or a delta was to be changed in place; whatever changes one makes a new one."""


class NotFittedError(HinaugError, ValueError):
    """Results were asked for before `fit`."""


class FoldInError(HinaugError, ValueError):
    """A method that cannot score somebody new without a refit; the message says why."""


class LeakError(HinaugError, ValueError):
    """Held-out pairs are where the predictor could have seen them."""


class DivergenceError(HinaugError, ArithmeticError):
    """Training left the numbers: a loss or a parameter is not finite. `asked` is the epoch."""


class StoreError(HinaugError, ValueError):
    """A folder that cannot be saved to or loaded from."""


class ReportError(HinaugError, ValueError):
    """A folder of which no report can be made."""


class WriterError(HinaugError, RuntimeError):
    """A writer of texts gave no answer, or none that can be used."""


class RankError(HinaugError, RuntimeError):
    """A process of several that work together failed; `there` has the numbers of those that did."""


class EdgeWarning(UserWarning):
    """A best value lies on the edge of its space: the true best may lie beyond."""


class EmptyListWarning(UserWarning):
    """Users got fewer items than were asked for, or none.

    asked: how many items each was to get. there: {"short": users with fewer, "empty": with none}.
    """

    def __init__(
        self, message: str = "", *, asked: int | None = None, there: dict[str, int] | None = None
    ) -> None:
        super().__init__(message)
        self.asked, self.there = asked, there


class TrainingDataWarning(UserWarning):
    """A saved model holds the data that it was fitted on, because the method is its data."""


class SelectionWarning(UserWarning):
    """Rows were chosen by the very pairs that judge them: what these say is worthless."""


class TextLeavesWarning(UserWarning):
    """Texts of the graph are sent to another machine."""


class NarrowedWarning(UserWarning):
    """A selection of generated nodes is less like all of them than it should be."""


def nearest(asked: Any, there: Iterable[Any]) -> str:
    """`; did you mean ...?` for the most similar name, or nothing when none is close."""
    names = {str(t): t for t in there}
    hit = difflib.get_close_matches(str(asked), list(names), n=1, cutoff=0.6)
    return f"; did you mean {names[hit[0]]!r}?" if hit else ""


def some(values: Iterable[Any], n: int = 5) -> str:
    """The first few of `values` for an error message."""
    values = list(values)
    more = f", ... ({len(values)} in all)" if len(values) > n else ""
    return ", ".join(repr(v) for v in values[:n]) + more
