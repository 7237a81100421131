"""The command line: `hinaug demo` runs the main job on real data, `hinaug info` shows a saved store."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def demo(
    dataset: Annotated[str, typer.Argument(help="ml-100k or amazon-musical-instruments")] = "ml-100k",
    data: Annotated[
        Path | None, typer.Option(help="Folder that holds the data's files; found or fetched without it.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for results.jsonl and the augmented stores.")] = Path("hinaug-demo"),
    encoder: Annotated[
        str, typer.Option(help="Text encoder: 'minilm', a hub name such as bert-base-uncased, or a folder.")
    ] = "minilm",
    seeds: Annotated[int, typer.Option(min=1, help="Random splits to average over.")] = 2,
) -> None:
    """From raw files to honest recommendations: plain, random and augmented side by side.

    Example: hinaug demo amazon-musical-instruments --data ~/data/musical-instruments
    """
    from hinaug.demo import run

    run(dataset, folder=data, out=out, encoder=encoder, seeds=range(seeds))


@app.command()
def info(store: Annotated[Path, typer.Argument(help="A folder written by hinaug.save.")]) -> None:
    """What a saved store holds.

    Example: hinaug info hinaug-demo/thin
    """
    from hinaug.hin import HIN
    from hinaug.io import load

    thing = load(store)
    typer.echo(thing.summary() if isinstance(thing, HIN) else repr(thing))


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        from hinaug import __version__

        typer.echo(f"hinaug {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point: a user's mistake ends in one line and exit code 2, never in a traceback."""
    try:
        app()
    except (ValueError, OSError, ImportError) as error:
        sys.stderr.write(f"hinaug: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
