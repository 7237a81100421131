"""Is what was handed over of the right kind? Each check raises one error that says what is taken,
what came, what to pass.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from hinaug.errors import KindError


def folder(value: Any, who: str) -> Path:
    """The path; TypeError for what is none."""
    try:
        return Path(value)
    except TypeError:
        raise KindError(
            f"{who}: a folder is needed, a string or a path; got {kind(value)} {value!r:.80}"
        ) from None


def whole(value: Any, name: str, least: int = 0) -> int:
    """The number, a whole one of at least `least`; TypeError for another kind, ValueError for a
    smaller one.
    """
    if is_number(value, Integral) and value >= least:
        return int(value)
    wrong = ValueError if is_number(value, Integral) else TypeError
    raise wrong(
        f"{name}={value!r}: a whole number of at least {least} is needed{_but(value, Integral)}"
    )


def number(value: Any, name: str, what: str) -> None:
    """TypeError unless `value` is a number; what: in words, which one is needed."""
    if not is_number(value):
        raise KindError(f"{name}={value!r}: {what} is needed{_but(value)}")


def is_number(value: Any, of: type = Real) -> bool:
    """Whether `value` is a number of that kind (also one of numpy's); true and false are none, NaN
    is none.
    """
    return isinstance(value, of) and not isinstance(value, bool | np.bool_) and bool(value == value)


def generator(rng: Any, who: str) -> np.random.Generator:
    """The generator that `rng` stands for; TypeError where it stands for none."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise KindError(
            f"{who}: rng={rng!r} is no seed; pass a whole number of at least 0, a numpy "
            "Generator, or None for chance"
        ) from error


def kind(value: Any) -> str:
    """What somebody handed over, in a word: the name of its class, or of itself where it is a
    class.
    """
    return f"the class {value.__name__} itself" if isinstance(value, type) else type(value).__name__


def _but(value: Any, of: type = Real) -> str:
    """`, got str`, unless the kind is right and the number alone is wrong."""
    return "" if is_number(value, of) else f", got {kind(value)}"


Rng = np.random.Generator | int | None


@dataclass(frozen=True)
class Interval:
    """The finite numbers that a parameter can be. Ends that are None are open.

    Example
    -------
    >>> 0.5 in Interval(above=0, below=1), 1 in Interval(above=0, below=1)
    (True, False)
    >>> str(Interval(least=1))
    'at least 1'
    """

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def __contains__(self, value: Any) -> bool:
        return bool(
            np.isfinite(value)
            and (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        ends = {
            "at least": self.least,
            "above": self.above,
            "at most": self.most,
            "below": self.below,
        }
        return " and ".join(f"{word} {end}" for word, end in ends.items() if end is not None)


COUNT = Interval(least=1)
POSITIVE = Interval(above=0)
NOT_NEGATIVE = Interval(least=0)
INSIDE = Interval(above=0, below=1)  # a share that leaves something on both sides
DROPOUT = Interval(least=0, below=1)
SHARE = Interval(least=0, most=1)

Limits = Mapping[str, Interval | Collection[Any]]  # parameter: the values that it can have
Space = Mapping[str, Sequence[Any]]  # parameter: what a search tries, as `tune` takes it
