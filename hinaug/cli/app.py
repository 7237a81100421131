"""The application: its verbs, and how a mistake ends.

To add a verb, write `hinaug/cli/NAME.py` with a function `NAME`, and add its line to `VERBS`. The
parameters of the function are the arguments and options of the verb, in Typer's notation. Its
docstring is the help, in lines of at most 78 columns; the first is the line in `VERBS`. A file is
imported only when its verb is asked for, so `hinaug --help` stays light, and a verb's own imports
stand at the top.
"""

from __future__ import annotations

import functools
import importlib
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hinaug import __version__
from hinaug.cli.output import in_options
from hinaug.errors import HinaugError

VERBS = {  # in the order in which one meets them
    "demo": "Where augmentation wins, and where it does not, on public data.",
    "datasets": "List public data sets and their terms, or read one into a store.",
    "build": "Make a store from files of any shape and a short schema.",
    "info": "Show what a saved store holds.",
    "embed": "Turn the text of nodes into a vector column that models and generators can use.",
    "split": "Hold out pairs together with their evidence, and audit what could still leak them.",
    "advise": "Say on one page whether augmentation is worth it here, which, and how much.",
    "augment": "Generate edges, users and items from what the split lets a method see.",
    "select": "Keep some of a delta's edges: the surest, agreed on, far apart, useful or random.",
    "tune": "Search the hyperparameters of a model, judged by validation pairs alone.",
    "train": "Fit one model on a split, and save it.",
    "evaluate": "Compare a model with a delta, without it, and with a random one of the same size.",
    "compare": "Compare several models, alone and with deltas, all with the same budget.",
    "fidelity": "Show how real and how useful generated nodes are, and what they give away.",
    "errors": "Show which held-out items a model misses, in what way, and for whom most.",
    "ab": "Plan an A/B test, or look at one: every day, without more false alarms.",
    "recommend": "List the k best items of each user that the user has not met.",
    "report": "Make one HTML page of a run, with its verdict, tables and pictures.",
    "export": "Write a graph as files for other programs.",
}
HELP = """\
Augment the data of a recommender system on a graph, and find out honestly whether it helped.

Each verb reads and writes folders: a graph, a split, a delta, a model.
`hinaug VERB --help` says more.

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
MISTAKES = (HinaugError, ValueError, OSError, ImportError, MemoryError)


class Verbs(TyperGroup):
    """Loads a verb when it is asked for, and ends a user's mistake in one sentence.

    A mistake gives a message on stderr and exit code 2; a fault of hinaug keeps its traceback.
    """

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed and load_verb(listed.name), rest

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
            said = in_options(_message(error), options_of(ctx.invoked_subcommand))
            sys.stderr.write(f"hinaug: {said}\n")
            raise typer.Exit(2) from error


@functools.cache
def load_verb(name: str) -> Any:
    """The command of one verb, made from the function in the file of that name."""
    function = getattr(importlib.import_module(f"hinaug.cli.{name}"), name)
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command(name)(function)
    return typer.main.get_command(alone)


def options_of(name: str | None) -> list[str]:
    """The options of a verb as they are typed: --held-out."""
    verb = load_verb(name) if name in VERBS else None
    return [option for p in verb.params for option in p.opts] if verb else []


def _is_mistake(error: Exception) -> bool:
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "hinaug":
        return False  # users can install a missing package, but not a missing file of hinaug
    return isinstance(error, MISTAKES) or type(error).__module__.startswith("pyarrow")


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    kind = "not enough memory: " if isinstance(error, MemoryError) else ""
    return f"{kind}{error}".strip(" :") or type(error).__name__


app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help=HELP,
    epilog=ENDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _listed() -> None:
    """Stands for a verb in the list of verbs; `Verbs` puts the verb in its place."""


for _name, _help in VERBS.items():
    app.command(_name, help=_help)(_listed)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        typer.echo(f"hinaug {__version__}")
        raise typer.Exit
