"""Names in strings exist here only: "EASE", "WGAN:0.1" and "l2=300" become classes, sizes and
hyperparameters.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import json
import types
import typing
from collections.abc import Iterable, Sequence
from typing import Any

from hinaug.errors import ParameterError, nearest


def method(package: str, name: str, base: type) -> type:
    """The class of that name among the public ones of `hinaug.<package>` that are a `base`; upper
    and lower case alike.
    """
    module = importlib.import_module(f"hinaug.{package}")

    def is_method(thing: Any) -> bool:
        return (
            isinstance(thing, type)
            and issubclass(thing, base)
            and thing.__module__ != base.__module__
        )

    public = {n.casefold(): n for n in module.__all__}
    found = getattr(module, public[name.casefold()]) if name.casefold() in public else None
    if is_method(found):
        return found  # type: ignore[return-value]
    there = {fold: n for fold, n in public.items() if is_method(getattr(module, n))}
    near = difflib.get_close_matches(name.casefold(), there, 1)
    hint = f"; did you mean {there[near[0]]!r}?" if near else ""
    raise ParameterError(
        f"no method {name!r} in hinaug.{package}; there are {list(there.values())}{hint}"
    )


def sized(text: str) -> tuple[str, int | float]:
    """ "WGAN:0.1" as a name and a share, "WGAN:100" as a name and a count."""
    name, colon, size = text.rpartition(":")
    if not (name and colon):
        raise ParameterError(
            f"{text!r} does not say how much: NAME:0.1 is a share of what is observed, NAME:100 a "
            "count"
        )
    return name, number(size, text)


def number(text: str, where: str) -> int | float:
    """A whole number is a count, one with a point a share; both at least 0."""
    try:
        value = int(text) if text.strip().isdecimal() else float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ParameterError(
            f"{where!r}: {text!r} is no size; 0.1 is a share of what is observed, 100 a count"
        )
    return value


class Settings:
    """`--set l2=300` (of every method that has it) and `--set EASE.l2=300`; what nobody has is an
    error.
    """

    def __init__(self, given: Iterable[str]) -> None:
        self.given: list[tuple[str | None, str, Any, str]] = []
        self.used: set[str] = set()
        self.seen: dict[str, list[str]] = {}
        for text in given:
            key, equals, value = text.partition("=")
            owner, dot, name = key.strip().rpartition(".")
            if not equals or not name or (dot and not owner):
                raise ParameterError(
                    f"--set {text!r}: written NAME=VALUE or METHOD.NAME=VALUE, such as l2=300 or "
                    "EASE.l2=300"
                )
            self.given.append((owner.casefold() or None, name, _value(value), text))

    def make(self, cls: type, *args: Any, **fixed: Any) -> Any:
        """An instance with what was set for it."""
        own = [f for f in dataclasses.fields(cls) if f.init][len(args) :]
        fields = {f.name for f in own} - set(fixed)
        hints = _hints(cls)
        self.seen[cls.__name__] = sorted(fields)
        for owner, name, value, text in self.given:
            if owner not in (None, cls.__name__.casefold()) or name not in fields:
                continue
            self.used.add(text)
            if not _fits(value, hints.get(name, Any)):
                raise ParameterError(
                    f"--set {text!r}: {cls.__name__}.{name} is {_words(hints[name])}"
                )
            fixed[name] = value
        missing = [f.name for f in own if _is_needed(f) and f.name not in fixed]
        if missing:
            raise ParameterError(
                f"{cls.__name__} needs {missing}: say it with --set "
                f"{cls.__name__}.{missing[0]}=VALUE"
            )
        return cls(*args, **fixed)

    def check(self) -> None:
        """Raises ValueError for a setting that no method took."""
        for _, name, _, text in self.given:
            if text not in self.used:
                names = sorted({n for fields in self.seen.values() for n in fields})
                raise ParameterError(
                    f"--set {text!r}: nobody has that; there is {self.seen}{nearest(name, names)}"
                )


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return {"None": None, "True": True, "False": False}.get(text.strip(), text)


def _is_needed(field: Any) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except NameError:  # a type that is only imported for type checkers
        return {}


def _fits(value: Any, hint: Any) -> bool:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or (origin is None and not isinstance(hint, type)):
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, arg) for arg in args)
    if origin is typing.Literal:
        return value in args
    if origin is tuple:
        return isinstance(value, list) and len(value) == len(args) and all(map(_fits, value, args))
    if origin in (list, Sequence):
        return isinstance(value, list) and all(_fits(v, args[0]) for v in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return hint in (str, bool, type(None)) and isinstance(value, hint)


def _words(hint: Any) -> str:
    return (
        hint.__name__ if isinstance(hint, type) and typing.get_origin(hint) is None else str(hint)
    )
