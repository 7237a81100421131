"""Verbs that run: demo, split, augment, report."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hinaug.cli.shared import Force, Json, Seed, answer, app, check_out, console, edge_type, opened, tell


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
    seed: Annotated[int, typer.Option(min=0, help="The first of them.")] = 0,
    as_json: Json = False,
) -> None:
    """From raw files to honest recommendations: plain, random and augmented side by side.

    Example: hinaug demo amazon-musical-instruments --data ~/data/musical-instruments
    """
    from hinaug.demo import run

    own = {"console": console(to_stderr=True)} if as_json else {}
    found = run(dataset, folder=data, out=out, encoder=encoder, seeds=range(seed, seed + seeds), **own)
    if as_json:
        comparisons = {regime: [vars(c) for c in each] for regime, each in found.items()}
        answer(True, {"data": dataset, "out": out, "comparisons": comparisons}, lambda _: None)


class How(StrEnum):
    random = "random"
    temporal = "temporal"
    leave_last = "leave-last"
    cold_users = "cold-users"
    cold_items = "cold-items"


@app.command()
def split(
    store: Annotated[Path, typer.Argument(help="The store of a graph.")],
    target: Annotated[str, typer.Option(help="The edge type to hold out, such as user,rates,item.")],
    out: Annotated[Path, typer.Option(help="The store to write the split to.")],
    how: Annotated[How, typer.Option(help="Which pairs are held out.")] = How.random,
    evidence: Annotated[
        list[str] | None, typer.Option(help="A node type that witnesses a pair, such as review; may stand again.")
    ] = None,
    valid: Annotated[str | None, typer.Option(help="Share (0.1) or, of each user, count (1).")] = None,
    test: Annotated[str | None, typer.Option(help="Share (0.1) or, of each user, count (1).")] = None,
    time: Annotated[
        str | None, typer.Option(help="The time column; for temporal and leave-last. Default: time.")
    ] = None,
    known: Annotated[int | None, typer.Option(min=0, help="Pairs that a cold user or item keeps. Default: 0.")] = None,
    min_rating: Annotated[float | None, typer.Option(help="Only edges rated at least so are links.")] = None,
    thin: Annotated[
        float | None, typer.Option(help="Share of what each user had before the test that is left.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 when the audit finds a leak.")] = False,
    seed: Seed = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Hold out pairs together with their evidence, and audit what could still give them away.

    Example: hinaug split store --target user,rates,item --how leave-last --evidence review --out split
    """
    from hinaug import split as splits
    from hinaug.cli.names import number
    from hinaug.io import save
    from hinaug.leaks import audit

    hin = opened(store, "hin")
    relation = edge_type(target, hin.edges)
    check_out(out, "split", force)
    options: dict[str, Any] = {"evidence": evidence or []}
    fits = {"time": (How.temporal, How.leave_last), "known": (How.cold_users, How.cold_items)}
    for name, value in (("time", time), ("known", known)):
        if value is not None:
            if how not in fits[name]:
                raise ValueError(f"--{name} is for {' and '.join(fits[name])}, not for --how {how}")
            options[name] = value
    for name, text in (("valid", valid), ("test", test)):
        if text is not None:
            options[name] = _part(number(text, f"--{name} {text}"), name, how)
    if how not in fits["time"]:
        options["rng"] = seed
    if min_rating is not None:
        hin = _liked(hin, relation, min_rating)
    function = "leave_last" if how is How.leave_last else f"{how.value.replace('-', '_')}"
    function = {"random": "random_split", "temporal": "temporal_split"}.get(function, function)
    made = getattr(splits, function)(hin, relation, **options)
    if thin is not None:
        made = splits.thin(made, thin, rng=seed)
    found = audit(made)
    save(made, out)

    def show(console: Any) -> None:
        tell(console, f"{made!r}\naudit: {found}\nsaved to {out}")

    from hinaug.cli.stores import facts_of

    leaks, unknown = ([vars(f) for f in findings] for findings in (found.leaks, found.unknown))
    answer(as_json, {"store": out, **facts_of(made), "audit": {"leaks": leaks, "unknown": unknown}}, show)
    if strict and found.leaks:
        raise typer.Exit(1)


def _part(size: int | float, name: str, how: How) -> int | float:
    """A share or a count, as the split takes it."""
    if how is How.leave_last and not isinstance(size, int):
        raise ValueError(f"--{name} {size}: leave-last holds out a count of pairs of each user, such as 1")
    if how not in (How.leave_last, How.random) and isinstance(size, int) and size:
        raise ValueError(f"--{name} {size}: {how} holds out a share, such as 0.1")
    return size


def _liked(hin: Any, relation: tuple[str, str, str], least: float) -> Any:
    import numpy as np

    from hinaug.tables import is_number

    rating = hin.observed().column(relation, "rating")
    if not is_number(rating.type):
        raise ValueError(f"--min-rating: the column 'rating' of {relation} is {rating.type}, not a number")
    numbers = rating.to_numpy(zero_copy_only=False).astype(float)
    return hin.filter_edges(relation, np.nan_to_num(numbers, nan=-np.inf) >= least)


@app.command()
def augment(
    split: Annotated[Path, typer.Argument(help="The store of a split.")],
    out: Annotated[Path, typer.Option(help="The store to write the delta to.")],
    edges: Annotated[
        list[str] | None, typer.Option(help="New edges by a predictor: LightGCN:0.1 (a share) or EASE:500 (a count).")
    ] = None,
    users: Annotated[list[str] | None, typer.Option(help="New users by a generator: WGAN:0.1.")] = None,
    items: Annotated[list[str] | None, typer.Option(help="New items by a generator: Aggregation:0.05.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="A hyperparameter: l2=300, or WGAN.steps=200.")
    ] = None,
    seed: Seed = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Generate edges, users and items from what the split lets a method see; all of them become one delta.

    Example: hinaug augment split --edges LightGCN:0.1 --users WGAN:0.1 --out delta
    """
    from hinaug.base import EntityGenerator, LinkPredictor
    from hinaug.cli.names import Settings, method, sized
    from hinaug.cli.stores import describe, facts_of
    from hinaug.delta import merge
    from hinaug.generators import RelationGenerator
    from hinaug.io import save

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
        raise ValueError("nothing to generate; say --edges LightGCN:0.1, --users WGAN:0.1 or --items WGAN:0.1")
    settings.check()
    valid = made.valid if made.valid.num_rows else None
    deltas = [g.fit(made.train, valid=valid, rng=seed).generate(made.train, size, rng=seed) for g, size in jobs]
    delta = merge(deltas)
    save(delta, out)

    def show(console: Any) -> None:
        describe(delta, console)
        tell(console, f"saved to {out}; hinaug evaluate {split} --model EASE --delta {out} says whether it helps")

    answer(as_json, {"store": out, **facts_of(delta)}, show)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="The folder of a finished run, such as hinaug-demo.")],
    out: Annotated[Path | None, typer.Option(help="The page to write; FOLDER/report.html without it.")] = None,
    as_json: Json = False,
) -> None:
    """One HTML page of a run, with its verdict, tables and pictures.

    Example: hinaug report hinaug-demo
    """
    from hinaug.report import report as write

    path = write(folder, out)
    answer(as_json, {"report": path}, lambda console: tell(console, f"written to {path}"))
