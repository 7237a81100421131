"""Reads what was typed: "EASE", "JointVAE:0.1", "l2=300" and "user,rates,item".

Only the command line names classes, sizes, hyperparameters and edge types by strings.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import json
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hinaug.cli.own import own_class
from hinaug.errors import ParameterError, UnknownNameError, nearest
from hinaug.graph import EdgeType


def edge_type(text: str, there: Mapping[EdgeType, Any]) -> EdgeType:
    """The edge type that "user,rates,item" names, out of those in `there`."""
    parts = tuple(part.strip() for part in text.split(","))
    if len(parts) != 3 or parts not in there:
        names = [",".join(edge) for edge in there]
        raise UnknownNameError(
            f"no edge type {text!r}; this graph has {names}{nearest(text, names)}",
            asked=text,
            there=names,
        )
    return parts


def method(package: str, name: str, base: type) -> type:
    """The public class `name` of `hinaug.<package>` that is a `base`, in upper or lower case.

    "module:Class" and "file.py:Class" name a class of the user's own.
    """
    if ":" in name:
        return own_class(name, base)
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
    methods = list(there.values())
    raise UnknownNameError(
        f"no method {name!r} in hinaug.{package}; there are {methods}{hint}; a class of your own "
        "is named module:Class or file.py:Class",
        asked=name,
        there=methods,
    )


def sized(text: str) -> tuple[str, int | float]:
    """ "JointVAE:0.1" as a name and a share, "JointVAE:100" as a name and a count."""
    name, colon, size = text.rpartition(":")
    if not (name and colon):
        raise ParameterError(
            f"{text!r} does not say how much: NAME:0.1 is a share of what is observed, NAME:100 a "
            "count",
            asked=text,
        )
    return name, number(size, text)


def listed(text: str, option: str) -> list[str]:
    """The ids that "u1,u2" names, or a file with one a line as "@FILE"; each once, in order."""
    try:
        given = (
            Path(text[1:]).read_text(encoding="utf-8-sig").splitlines()
            if text.startswith("@")
            else text.split(",")
        )
    except UnicodeDecodeError as error:
        raise ParameterError(f"{option} {text}: the file is no UTF-8 text ({error})") from error
    names = list(dict.fromkeys(name.strip() for name in given if name.strip()))
    if not names:
        raise ParameterError(f"{option} {text!r} names nobody", asked=text)
    return names


def number(text: str, where: str) -> int | float:
    """A whole number is a count, one with a point a share; both at least 0."""
    try:
        value = int(text) if text.strip().isdecimal() else float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ParameterError(
            f"{where!r}: {text!r} is no size; 0.1 is a share of what is observed, 100 a count",
            asked=text,
        )
    return value


@dataclasses.dataclass(frozen=True)
class Setting:
    """One `--set`: `l2=300` for every method that has it, `EASE.l2=300` for one."""

    owner: str | None
    name: str
    value: Any
    text: str

    @classmethod
    def read(cls, text: str) -> Setting:
        key, equals, value = text.partition("=")
        owner, dot, name = key.strip().rpartition(".")
        if not equals or not name or (dot and not owner):
            raise ParameterError(
                f"--set {text!r}: written NAME=VALUE or METHOD.NAME=VALUE, such as l2=300 or "
                "EASE.l2=300",
                asked=text,
            )
        return cls(owner.casefold() or None, name, _value(value), text)

    def is_for(self, method: type) -> bool:
        return self.owner in (None, method.__name__.casefold())


class Settings:
    """All `--set` of a command; one that no method took is an error."""

    def __init__(self, given: Iterable[str]) -> None:
        self.given = [Setting.read(text) for text in given]
        self.used: set[str] = set()
        self.seen: dict[str, list[str]] = {}  # the settings of each method that was made

    def make(self, cls: type, *args: Any, **fixed: Any) -> Any:
        """An instance of `cls` with what was set for it."""
        own = [f for f in dataclasses.fields(cls) if f.init][len(args) :]
        names = sorted({f.name for f in own} - set(fixed))
        self.seen[cls.__name__] = names
        values = {**fixed, **self._values(cls, names)}
        missing = [f.name for f in own if _is_needed(f) and f.name not in values]
        if missing:
            raise ParameterError(
                f"{cls.__name__} needs {missing}: say it with --set "
                f"{cls.__name__}.{missing[0]}=VALUE",
                there=missing,
            )
        return cls(*args, **values)

    def _values(self, cls: type, names: Sequence[str]) -> dict[str, Any]:
        """What was set for `cls`, checked against the types of its fields."""
        hints = _hints(cls)
        values = {}
        for setting in self.given:
            if not setting.is_for(cls) or setting.name not in names:
                continue
            self.used.add(setting.text)
            if not _fits(setting.value, hints.get(setting.name, Any)):
                kind = _kind_in_words(hints[setting.name])
                raise ParameterError(
                    f"--set {setting.text!r}: {cls.__name__}.{setting.name} takes {kind}",
                    asked=setting.value,
                    there=kind,
                )
            values[setting.name] = setting.value
        return values

    def check(self) -> None:
        """Raises UnknownNameError for a setting that no method took."""
        for setting in self.given:
            if setting.text not in self.used:
                names = sorted({n for fields in self.seen.values() for n in fields})
                near = nearest(setting.name, names)
                raise UnknownNameError(
                    f"--set {setting.text!r}: no method has that; there is {self.seen}{near}",
                    asked=setting.name,
                    there=names,
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
    """Whether a value is of the type that a field declares."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is None:
        return _fits_plain(value, hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, arg) for arg in args)
    if origin is typing.Literal:
        return value in args
    if not isinstance(value, list):
        return False
    if origin is tuple:
        return len(value) == len(args) and all(map(_fits, value, args))
    return origin in (list, Sequence) and all(_fits(v, args[0]) for v in value)


def _fits_plain(value: Any, hint: Any) -> bool:
    if hint is Any or not isinstance(hint, type):
        return True
    if isinstance(value, bool):
        return hint is bool
    if hint is float:
        return isinstance(value, int | float)
    return hint in (int, str, type(None)) and isinstance(value, hint)


_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    type(None): "null",
}


def _kind_in_words(hint: Any) -> str:
    """What a field may hold, as one types it."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint in _WORDS:
        return _WORDS[hint]
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_kind_in_words, args))
    if origin is typing.Literal:
        return f"one of {list(args)}"
    return str(hint)
