"""How values in Amazon files are read: ids, texts, numbers, and lists and dicts of them."""

from __future__ import annotations

import ast
import html
import json
import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from hinaug.errors import ParameterError


def identity(value: Any) -> str:
    """An id as text: 0 and 5.0 are the ids "0" and "5"; "" for null, NaN and whatever is no text or
    number.
    """
    if isinstance(value, float):
        value = int(value) if value.is_integer() else "" if math.isnan(value) else value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    out = str(value).strip()
    out.encode()  # half a character cannot be stored: UnicodeEncodeError, a ValueError
    return out


def text(value: Any) -> str | None:
    """Plain text; the parts of a list one under another; null for what is blank."""
    if isinstance(value, str):
        return plain(value).strip() or None
    return "\n".join(part for v in leaves(value, parse=False) if (part := plain(v).strip())) or None


def plain(text: str) -> str:
    """HTML entities read; halves of a character, which escapes in JSON can leave, replaced."""
    text = html.unescape(text)
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def leaves(value: Any, parse: bool = True) -> Iterator[str]:
    """The texts and numbers in nested lists and dicts, as text; nulls and NaN left out.

    Of a dict the values count, or the keys where no value is a text, list or dict ({"B01": 3}).
    parse: text in the notation of a list or dict, as CSV has it, is read as one.
    """
    todo = [value]
    while todo:
        value = todo.pop(0)
        if parse and isinstance(value, str):
            value = _parsed(value)
        if isinstance(value, Mapping):
            value = _values_or_keys(value)
        if isinstance(value, list | tuple | set):
            todo = [*value, *todo]
        elif isinstance(value, str):
            yield value
        elif _is_number(value):
            yield identity(value)


def _parsed(source: str) -> Any:
    """Text in the notation of a list or dict as that list or dict; other text as it is."""
    inner = literal(source.strip()) if source.strip()[:1] in ("[", "{") else None
    return source if inner is None else inner


def _values_or_keys(value: Mapping) -> list[Any]:
    named = [v for v in value.values() if isinstance(v, str | list | tuple | Mapping)]
    return named or list(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def literal(source: str) -> Any:
    """JSON, else Python's notation (some files of 2014), as a value; None for neither."""
    try:
        return json.loads(source)
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # "\/" in a Python string
            return ast.literal_eval(source)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def number(value: Any, what: str) -> float | None:
    """A number or text of one; null, "", NaN and infinities are None; anything else is a
    ValueError.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        out = float(value)
    except (ValueError, TypeError, OverflowError):
        raise ParameterError(f"{what} is {str(value)[:40]!r}, expected a number") from None
    return out if math.isfinite(out) else None
