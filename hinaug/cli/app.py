"""What every verb shares: the application, how mistakes end, how answers are given, and which
folder may be written to.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hinaug.errors import ParameterError

HELP = """Augment the data of a recommender system on a graph, and find out honestly whether it helped.

Each verb reads and writes folders: a graph, a split, a delta, a model. `hinaug VERB --help` says more.

Example, from a graph to a page of what was found:
  hinaug datasets planted --out store
  hinaug split store --target user,rates,item --evidence review --out split
  hinaug augment split --edges EASE:0.1 --users Synthesis:0.1 --out delta
  hinaug evaluate split --model EASE --set l2=50 --delta delta \\
    --on test --out model --run run
  hinaug recommend model --store split --users u000,u001 --show title
  hinaug report run
"""
ENDS = """\
Exit codes:
  0    done
  1    a leak was found (split --strict), or the reader of stdout went away
  2    a mistake in what was asked, in a file or on the disk; nothing written
  130  interrupted; nothing half-written
"""
MISTAKES = (ValueError, OSError, ImportError, MemoryError)


ORDER = (
    "demo",
    "datasets",
    "build",
    "info",
    "split",
    "augment",
    "evaluate",
    "recommend",
    "report",
    "export",
)


class Guarded(TyperGroup):
    """A user's mistake ends in a message on stderr and exit code 2; a fault of ours keeps its
    traceback.
    """

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
            sys.stderr.write(f"hinaug: {_told(error)}\n")
            raise typer.Exit(2) from error


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return (
        f"{'not enough memory: ' * isinstance(error, MemoryError)}{error}".strip(" :")
        or type(error).__name__
    )


def _is_mistake(error: Exception) -> bool:
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "hinaug":
        return (
            False  # a package that is not installed is the user's to mend, a module of ours is not
        )
    return isinstance(error, MISTAKES) or type(error).__module__.startswith("pyarrow")


app = typer.Typer(
    cls=Guarded,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help=HELP,
    epilog=ENDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout and nothing else there.")
]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Of every random choice.")]
Force = Annotated[
    bool, typer.Option("--force", help="Also replace a store of another kind at --out.")
]


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        from hinaug import __version__

        typer.echo(f"hinaug {__version__}")
        raise typer.Exit


def console(to_stderr: bool = False, markup: bool = False) -> Any:
    """A rich console that prints text as it is, or [bold] as such; 120 wide where there is no
    terminal to ask.
    """
    from rich.console import Console

    stream = sys.stderr if to_stderr else sys.stdout
    return Console(
        file=stream,
        width=None if stream.isatty() else 120,
        highlight=False,
        markup=markup,
        emoji=False,
    )


def answer(as_json: bool, document: Any, show: Callable[[Any], None]) -> None:
    """The result of a verb: one JSON document, or what `show` prints."""
    if as_json:
        plain = not (sys.stdout.encoding or "").lower().startswith("utf")
        typer.echo(json.dumps(_jsonable(document), indent=2, ensure_ascii=plain, allow_nan=False))
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


def words(value: Any) -> str:
    """A value of a column as text: nothing for null, the words of a list one after another."""
    return (
        ""
        if value is None
        else " ".join(map(words, value))
        if isinstance(value, list)
        else str(value)
    )


def counted(n: int, thing: str) -> str:
    """1 file, 2 files."""
    return f"{n:,} {thing}{'s' * (n != 1)}"


def edge_type(text: str, there: Mapping[Any, Any]) -> tuple[str, str, str]:
    """ "user,rates,item" as an edge type of a graph."""
    from hinaug.errors import nearest

    parts = tuple(p.strip() for p in text.split(","))
    if len(parts) != 3 or parts not in there:
        names = [",".join(t) for t in there]
        raise ParameterError(f"no edge type {text!r}; this graph has {names}{nearest(text, names)}")
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
