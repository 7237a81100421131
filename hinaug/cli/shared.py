"""What every verb shares: the application, how mistakes end, how answers are given, and which folder may be written to."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

HELP = """Augment the data of a recommender system on a graph, and find out honestly whether it helped.

The verbs in order: build (or datasets), split, augment, evaluate, recommend. `hinaug VERB --help` has an example of each.
"""
MISTAKES = (ValueError, OSError, ImportError, MemoryError)


ORDER = ("demo", "datasets", "build", "info", "split", "augment", "evaluate", "recommend", "report", "export")


class Guarded(TyperGroup):
    """A user's mistake ends in a message on stderr and exit code 2; a fault of ours keeps its traceback."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=ORDER.index)  # as one meets them

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # `hinaug ... | head`
            raise
        except KeyboardInterrupt as error:
            sys.stderr.write("hinaug: interrupted\n")
            raise typer.Exit(130) from error
        except Exception as error:
            if not _is_mistake(error):
                raise
            sys.stderr.write(f"hinaug: {str(error) or type(error).__name__}\n")
            raise typer.Exit(2) from error


def _is_mistake(error: Exception) -> bool:
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "hinaug":
        return False  # a package that is not installed is the user's to mend, a module of ours is not
    return isinstance(error, MISTAKES) or type(error).__module__.startswith("pyarrow")


app = typer.Typer(
    cls=Guarded,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help=HELP,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout and nothing else there.")]
Seed = Annotated[int, typer.Option(min=0, help="Of every random choice.")]
Force = Annotated[bool, typer.Option("--force", help="Also replace a store of another kind at --out.")]


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        from hinaug import __version__

        typer.echo(f"hinaug {__version__}")
        raise typer.Exit


def console(to_stderr: bool = False) -> Any:
    """A rich console that prints text as it is; 120 wide where there is no terminal to ask."""
    from rich.console import Console

    stream = sys.stderr if to_stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else 120, highlight=False, markup=False, emoji=False)


def answer(as_json: bool, document: Any, show: Callable[[Any], None]) -> None:
    """The result of a verb: one JSON document, or what `show` prints."""
    if as_json:
        typer.echo(json.dumps(_jsonable(document), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        show(console())


def tell(console: Any, text: str) -> None:
    """A text as it is: the terminal breaks its lines, a pipe gets them whole."""
    console.print(text, soft_wrap=True)


def table(title: str, *columns: str) -> Any:
    from rich import box
    from rich.table import Table

    return Table(*columns, title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)


def note(text: str) -> None:
    """For people, on stderr: it never mixes with an answer."""
    sys.stderr.write(text + "\n")


def opened(path: Path, *kinds: str) -> Any:
    """What the store at `path` holds; ValueError when that is none of the kinds ("hin", "delta", "split", "estimator")."""
    from hinaug.io import load

    if path.is_dir() and (there := kind_of(path)) is not None and there not in kinds:
        raise ValueError(f"{path} holds {WORDS[there]}; expected {' or '.join(WORDS[k] for k in kinds)}{HOW[kinds[0]]}")
    return load(path)


WORDS = {"hin": "a graph", "delta": "a delta", "split": "a split", "estimator": "a fitted model"}
HOW = {
    "hin": "",
    "delta": " (hinaug augment makes one)",
    "split": " (hinaug split makes one)",
    "estimator": " (hinaug evaluate --out saves one)",
}


def kind_of(folder: Path) -> str | None:
    """What a folder says it holds; None where it is no store."""
    from hinaug.io import MANIFEST

    try:
        found = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    kind = found.get("kind") if isinstance(found, dict) and found.get("format") == "hinaug" else None
    return kind if kind in WORDS else None


def check_out(out: Path, kind: str, force: bool) -> None:
    """Asked before any work: a store of the same kind may be replaced, one of another kind with --force, nothing else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    there = kind_of(out) if out.is_dir() else None
    if there is None:
        what = "a file" if not out.is_dir() else "not a store, and not empty"
        raise ValueError(f"--out {out} is {what}; name a new folder")
    if there != kind and not force:
        raise ValueError(
            f"--out {out} holds {WORDS[there]}, and would get {WORDS[kind]}; name another folder, or --force"
        )


def edge_type(text: str, there: Mapping[Any, Any]) -> tuple[str, str, str]:
    """ "user,rates,item" as an edge type of a graph."""
    from hinaug.tables import nearest

    parts = tuple(p.strip() for p in text.split(","))
    if len(parts) != 3 or parts not in there:
        names = [",".join(t) for t in there]
        raise ValueError(f"no edge type {text!r}; this graph has {names}{nearest(text, names)}")
    return parts


def _jsonable(value: Any) -> Any:
    """JSON has no NaN, no tuples as keys, and knows nothing of numpy, Arrow or paths."""
    if isinstance(value, Mapping):
        return {k if isinstance(k, str) else ",".join(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(v) for v in value]
    if hasattr(value, "tolist") and not isinstance(value, str):
        return _jsonable(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)
