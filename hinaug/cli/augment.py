"""Verbs that run: demo, augment, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hinaug.cli import listed
from hinaug.cli.listed import GENERATORS, PREDICTORS, SET
from hinaug.cli.places import check_out, check_place, opened
from hinaug.cli.shared import Force, Json, Seed, answer, app, console, tell
from hinaug.errors import ParameterError


@app.command()
def demo(
    dataset: Annotated[
        str, typer.Argument(help="ml-100k or amazon-musical-instruments")
    ] = "ml-100k",
    data: Annotated[
        Path | None,
        typer.Option(help="Folder that holds the data's files; found or fetched without it."),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for results.jsonl and the augmented stores.")
    ] = Path("hinaug-demo"),
    encoder: Annotated[
        str,
        typer.Option(
            help="Text encoder: 'minilm', a hub name such as bert-base-uncased, or a folder."
        ),
    ] = "minilm",
    seeds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Random splits to average over.")
    ] = 2,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="The first of them.")] = 0,
    as_json: Json = False,
) -> None:
    """From raw files to honest recommendations: plain, random and augmented side by side.

    About five minutes on MovieLens 100K. Leaves results, augmented graphs and report.html in --out.

    Example:
      hinaug demo ml-100k --out hinaug-demo
    """
    from hinaug.cli.demo import run

    if out.is_file():
        raise ParameterError(f"--out {out} is a file; name a folder")
    check_place(out, "--out")
    for regime in ("all", "thin"):
        check_out(out / regime, "hin", force=False)
    own = {"console": console(to_stderr=True, markup=True)} if as_json else {}
    found = run(
        dataset, folder=data, out=out, encoder=encoder, seeds=range(seed, seed + seeds), **own
    )
    if as_json:
        comparisons = {regime: [vars(c) for c in each] for regime, each in found.items()}
        answer(True, {"data": dataset, "out": out, "comparisons": comparisons}, lambda _: None)


@app.command()
def augment(
    split: Annotated[Path, typer.Argument(help="The store of a split.")],
    out: Annotated[Path, typer.Option(help="The store to write the delta to.")],
    edges: Annotated[
        list[str] | None,
        typer.Option(
            help="New edges by a predictor: EASE:0.1 (a share) or EASE:500 (a count). "
            f"{PREDICTORS}",
            autocompletion=listed.edges,
        ),
    ] = None,
    users: Annotated[
        list[str] | None,
        typer.Option(
            help=f"New users by a generator: WGAN:0.1. {GENERATORS}", autocompletion=listed.entities
        ),
    ] = None,
    items: Annotated[
        list[str] | None,
        typer.Option(help="New items by a generator: WGAN:0.1.", autocompletion=listed.entities),
    ] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help=SET)] = None,
    seed: Seed = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Generate edges, users and items from what the split lets a method see; all of them become one
    delta.

    A delta is marked, reversible, and no more than a guess: `hinaug evaluate` says whether it
    helps.

    Example, after that of split:
      hinaug augment split --edges EASE:0.1 --users Synthesis:0.1 --out delta
    """
    from hinaug.cli.facts import describe, facts_of
    from hinaug.cli.names import Settings, method, sized
    from hinaug.generators import RelationGenerator
    from hinaug.generators.base import EntityGenerator
    from hinaug.graph.delta import merge
    from hinaug.io.store import save
    from hinaug.predictors.base import LinkPredictor

    made = opened(split, "split")
    check_out(out, "delta", force)
    settings, jobs = Settings(setting or []), []
    for text in edges or []:
        name, size = sized(text)
        predictor = settings.make(method("predictors", name, LinkPredictor), made.target)
        jobs.append((RelationGenerator(predictor, evidence=made.evidence), size))
    for node, wanted in ((made.target[0], users), (made.target[2], items)):
        for text in wanted or []:
            name, size = sized(text)
            cls = method("generators", name, EntityGenerator)
            jobs.append((settings.make(cls, node, relation=made.target), size))
    if not jobs:
        raise ParameterError(
            "nothing to generate; say --edges LightGCN:0.1, --users WGAN:0.1 or --items WGAN:0.1"
        )
    settings.check()
    valid = made.valid if made.valid.num_rows else None
    deltas = [
        g.fit(made.train, valid=valid, rng=seed).generate(made.train, size, rng=seed)
        for g, size in jobs
    ]
    delta = merge(deltas)
    if not len(delta):
        raise ParameterError(
            "nothing was generated: "
            f"{', '.join([*(edges or []), *(users or []), *(items or [])])}; ask for more"
        )
    save(delta, out)

    def show(console: Any) -> None:
        describe(delta, console)
        tell(
            console,
            f"saved to {out}; hinaug evaluate {split} --model EASE --delta {out} says whether it "
            "helps",
        )

    answer(as_json, {"store": out, **facts_of(delta)}, show)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    out: Annotated[
        Path | None, typer.Option(help="The page to write; FOLDER/report.html without it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """One HTML page of a run, with its verdict, tables and pictures.

    A run is what `hinaug demo` leaves, or `hinaug evaluate --run`.

    Example, after that of evaluate:
      hinaug report run
    """
    from hinaug.report import report as write

    path = write(folder, out)
    answer(as_json, {"report": path}, lambda console: tell(console, f"written to {path}"))
