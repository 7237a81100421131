"""The verb report; the page itself is made in `hinaug.report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hinaug.cli.options import Json
from hinaug.cli.output import answer, tell
from hinaug.report import report as write_report


def report(
    folder: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    out: Annotated[
        Path | None, typer.Option(help="The page to write; FOLDER/report.html without it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make one HTML page of a run, with its verdict, tables and pictures.

    A run is what `hinaug demo` leaves, or `hinaug evaluate --run`.

    Example, after that of evaluate:
      hinaug report run
    """
    path = write_report(folder, out)
    answer(as_json, {"report": path}, lambda console: tell(console, f"written to {path}"))
