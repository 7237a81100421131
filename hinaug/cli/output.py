"""How a verb answers: one JSON document, or text and tables for people."""

from __future__ import annotations

import json
import math
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table


def answer(as_json: bool, document: Any, show: Callable[[Console], None]) -> None:
    """The result of a verb: `document` as JSON, or what `show` prints."""
    if as_json:
        plain = not (sys.stdout.encoding or "").lower().startswith("utf")
        typer.echo(json.dumps(_jsonable(document), indent=2, ensure_ascii=plain, allow_nan=False))
    else:
        show(make_console())


def make_console(to_stderr: bool = False, markup: bool = False) -> Console:
    """A console that prints text as it is, 120 columns wide where there is no terminal to ask.

    to_stderr: prints on stderr instead of stdout.
    markup: reads [bold] and the like as styles.
    """
    stream = sys.stderr if to_stderr else sys.stdout
    width = None if stream.isatty() else 120
    return Console(file=stream, width=width, highlight=False, markup=markup, emoji=False)


def tell(console: Console, text: str) -> None:
    """Prints a text as it is: the terminal breaks its lines, a pipe gets them whole."""
    console.print(text, soft_wrap=True)


def note(text: str) -> None:
    """Tells people something on stderr, where it never mixes with an answer."""
    sys.stderr.write(text + "\n")


def table(title: str, *columns: str) -> Table:
    return Table(*columns, title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)


def words(value: Any) -> str:
    """A value of a column as text: nothing for null, the words of a list one after another."""
    if value is None:
        return ""
    return " ".join(map(words, value)) if isinstance(value, list) else str(value)


def counted(n: int, thing: str) -> str:
    """1 file, 2 files."""
    return f"{n:,} {thing}{'s' * (n != 1)}"


def command(*words: Any) -> str:
    """A command line as one types it, with quotes around names that need them."""
    return shlex.join(map(str, words))


def in_options(text: str, options: list[str]) -> str:
    """A message of the library for those who type: held_out= as --held-out.

    A keyword is also found in the plural (students=) and in the singular (column=).
    """

    def typed(found: re.Match[str]) -> str:
        word = found[1].replace("_", "-")
        near = (f"--{word}", f"--{word.removesuffix('s')}", f"--{word}s")
        return next((option for option in near if option in options), found[0])

    return re.sub(r"(?<![\w.-])([a-z_]+)=(?![\w'\"=\[(.-])", typed, text)


def _jsonable(value: Any) -> Any:
    """The value without NaN, tuples as keys, paths, and types of numpy and Arrow."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {_json_key(key): _jsonable(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return _jsonable(value.tolist()) if hasattr(value, "tolist") else str(value)


def _json_key(key: str | tuple[str, ...]) -> str:
    return key if isinstance(key, str) else ",".join(key)
