"""The verb demo: where augmentation wins on public data, and where it does not.

Read `story.py` from top to bottom as the example of how the folders of hinaug fit together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hinaug.cli.demo.story import run
from hinaug.cli.folders import check_out, check_place
from hinaug.cli.options import Json
from hinaug.cli.output import answer, make_console
from hinaug.errors import ParameterError

__all__ = ["demo", "run"]


def demo(
    dataset: Annotated[
        str,
        typer.Argument(help="ml-100k, ml-latest-small, amazon-hin or amazon-musical-instruments."),
    ] = "ml-100k",
    data: Annotated[
        Path | None,
        typer.Option(help="Folder that holds the data's files; found or fetched without it."),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for results.jsonl, report.html and the augmented stores.")
    ] = Path("hinaug-demo"),
    encoder: Annotated[
        str,
        typer.Option(
            help="Text encoder: 'minilm', a hub name such as bert-base-uncased, or a folder."
        ),
    ] = "minilm",
    seeds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Random splits; a verdict needs eight.")
    ] = 8,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="The first of them.")] = 0,
    as_json: Json = False,
) -> None:
    """Where augmentation wins, and where it does not, on public data.

    From raw files to a page: edges from a better teacher for a simple model on
    thin data, places for items that nobody has seen yet, a model trained on
    generated users alone and what these give away, and the cases without a
    gain. Minutes on MovieLens 100K.

    Example:
      hinaug demo ml-100k --out hinaug-demo
    """
    if out.is_file():
        raise ParameterError(f"--out {out} is a file; name a folder", asked=out)
    check_place(out, "--out")
    for name in ("shop", "new-items"):
        check_out(out / name, "hin", force=False)
    console = make_console(to_stderr=as_json, markup=True)
    found = run(
        dataset,
        folder=data,
        out=out,
        encoder=encoder,
        seeds=range(seed, seed + seeds),
        console=console,
    )
    if as_json:
        findings = [finding.document() for finding in found]
        answer(True, {"data": dataset, "out": out, "findings": findings}, lambda _: None)
