"""The verb augment."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer

from hinaug.cli.drop import said, split_without
from hinaug.cli.facts import describe, facts_of
from hinaug.cli.folders import check_out, opened
from hinaug.cli.names import Settings, edge_type, method, sized
from hinaug.cli.options import (
    GENERATORS,
    PREDICTORS,
    Drop,
    Force,
    Json,
    Seed,
    Setting,
    SplitStore,
    complete_edges,
    complete_entities,
    complete_generator,
)
from hinaug.cli.output import answer, command, tell
from hinaug.cli.whom import FEW, Whom, whom
from hinaug.errors import ParameterError
from hinaug.generators import RelationGenerator
from hinaug.generators.base import EntityGenerator
from hinaug.graph import Delta, EdgeType, merge
from hinaug.io import save
from hinaug.predictors.base import LinkPredictor
from hinaug.split import Split

DEFAULT = "JointVAE"  # generator of new users and items


def augment(
    split: SplitStore,
    out: Annotated[Path, typer.Option(help="The store to write the delta to.")],
    edges: Annotated[
        list[str] | None,
        typer.Option(
            help="New edges by a predictor: EASE:0.1 (a share) or EASE:500 (a count). "
            f"{PREDICTORS}",
            autocompletion=complete_edges,
        ),
    ] = None,
    relation: Annotated[
        str | None,
        typer.Option(
            help="What --edges join, such as item,similar,item; it may be new. The split's own "
            "relation unless given."
        ),
    ] = None,
    users: Annotated[
        list[str] | None,
        typer.Option(
            help="New users: 500 (a count) or 0.1 (a share), or by which generator, such as "
            f"SecondMoment:0.1. {GENERATORS}",
            autocompletion=complete_entities,
        ),
    ] = None,
    items: Annotated[
        list[str] | None,
        typer.Option(
            help="New items, in the same way: 500, 0.1, JointVAE:0.1.",
            autocompletion=complete_entities,
        ),
    ] = None,
    like: Annotated[
        list[str] | None,
        typer.Option(
            help="What new users or items are like: region=B, age=60.. or age=18..25. Repeated "
            "for one column, any of the values; for several columns, all of them."
        ),
    ] = None,
    given: Annotated[
        str | None,
        typer.Option(
            "--for",
            help="Users or items that get neighbours: new ones that share their links and have "
            "more of the kind. Ids with commas between them, @FILE with one a line, or thin: those "
            f"with one to {FEW} links. --users 5 then makes five for each.",
        ),
    ] = None,
    generator: Annotated[
        str | None,
        typer.Option(
            help="Of --users 500 and --items 500; JointVAE unless given.",
            autocompletion=complete_generator,
        ),
    ] = None,
    setting: Setting = None,
    drop: Drop = None,
    seed: Seed = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Generate edges, users and items from what the split lets a method see.

    All of them become one delta. It is marked, reversible, and no more than a
    guess: `hinaug evaluate` says whether it helps. For items that nobody had:
    --edges KernelRidge:20000 --set targets=cold. New users are not anonymous:
    they tell of those that they were made after.

    Example, after that of split:
      hinaug augment split --edges EASE:0.1 --users Synthesis:0.1 --out delta
      hinaug augment split --users 20 --like job=baker --out bakers
      hinaug augment split --users 5 --for u000,u001 --out near
    """
    made = split_without(opened(split, "split"), drop)
    check_out(out, "delta", force)
    wanted = {
        "edges": edges or [],
        "users": _by(generator, users or []),
        "items": _by(generator, items or []),
    }
    _check_generator(generator, [*(users or []), *(items or [])])
    joined = made.target if relation is None else _relation(relation, made)
    nodes = _whom(wanted, made, like or [], given, seed)
    delta = _generated(wanted, made, joined, nodes, Settings(setting or []), seed)
    save(delta, out)

    def show(console: Any) -> None:
        describe(delta, console)
        judge = command("hinaug", "evaluate", split, "--model", "EASE", "--delta", out, *said(drop))
        tell(console, f"saved to {out}; {judge} says whether it helps")

    answer(as_json, {"store": out, **facts_of(delta)}, show)


# a generator, how much it makes (a share or a count), for whom, and held-out pairs to choose by
Job = tuple[Any, int | float, Whom, pa.Table | None]


def _by(generator: str | None, wanted: list[str]) -> list[str]:
    """Each with its generator: "500" as "JointVAE:500"."""
    return [f"{generator or DEFAULT}:{text}" if _is_size(text) else text for text in wanted]


def _is_size(text: str) -> bool:
    return text.strip()[:1] in tuple("0123456789.")


def _check_generator(generator: str | None, wanted: list[str]) -> None:
    """Raises ParameterError where --generator is given for nothing."""
    if generator is not None and not any(map(_is_size, wanted)):
        raise ParameterError(
            f"--generator {generator}: say how many it makes: --users 500 or --items 0.1",
            asked=generator,
        )


def _whom(
    wanted: dict[str, list[str]], split: Split, like: list[str], given: str | None, seed: int
) -> Whom:
    """For whom the new users, or the new items, are made."""
    if not like and given is None:
        return Whom()
    source, _, target = split.target
    asked = [n for n, texts in ((source, wanted["users"]), (target, wanted["items"])) if texts]
    if len(asked) != 1:
        option = "--like" if like else "--for"
        raise ParameterError(
            f"{option} speaks of new users or of new items; say one of --users and --items",
            asked=option,
        )
    return whom(like, given, split.train, split.target, asked[0], seed)


def _relation(text: str, split: Split) -> EdgeType:
    """The edge type that "item,similar,item" names: one of the graph, or a new one between nodes
    of the graph.
    """
    parts = tuple(part.strip() for part in text.split(","))
    nodes = split.train.nodes
    if len(parts) == 3 and all(parts) and parts[0] in nodes and parts[2] in nodes:
        return parts
    return edge_type(text, split.train.edges)  # raises, naming what there is


def _generated(
    wanted: dict[str, list[str]],
    split: Split,
    joined: EdgeType,
    nodes: Whom,
    settings: Settings,
    seed: int,
) -> Delta:
    """One delta of everything that is wanted.

    wanted: {"edges", "users" and "items": texts such as "JointVAE:0.1"}. joined: the relation of
    the edges. nodes: for whom new nodes are made.
    """
    source, _, target = split.target
    jobs = [
        *_edge_jobs(wanted["edges"], split, joined, settings),
        *_entity_jobs(source, wanted["users"], split, nodes, settings),
        *_entity_jobs(target, wanted["items"], split, nodes, settings),
    ]
    if not jobs:
        raise ParameterError(
            "nothing to generate; say --edges LightGCN:0.1, --users 500 or --items JointVAE:0.1"
        )
    settings.check()
    train = split.train
    delta = merge(
        [
            made_for.make(generator.fit(train, valid=held, rng=seed), train, size, seed)
            for generator, size, made_for, held in jobs
        ]
    )
    if not len(delta):
        asked = [text for texts in wanted.values() for text in texts]
        raise ParameterError(
            f"nothing was generated: {', '.join(asked)}; ask for more", asked=asked
        )
    return delta


def _valid(split: Split) -> pa.Table | None:
    return split.valid if split.valid.num_rows else None


def _edge_jobs(wanted: list[str], split: Split, joined: EdgeType, settings: Settings) -> list[Job]:
    jobs: list[Job] = []
    is_target = joined == split.target
    evidence, valid = (split.evidence, _valid(split)) if is_target else ((), None)
    for text in wanted:
        name, size = sized(text)
        predictor = settings.make(method("predictors", name, LinkPredictor), joined)
        generator = settings.make(RelationGenerator, predictor, evidence=evidence)
        jobs.append((generator, size, Whom(), valid))
    return jobs


def _entity_jobs(
    node: str, wanted: list[str], split: Split, nodes: Whom, settings: Settings
) -> list[Job]:
    jobs: list[Job] = []
    for text in wanted:
        name, size = sized(text)
        cls = method("generators", name, EntityGenerator)
        nodes.check(cls, size)
        has_one = any(field.name == "relation" for field in dataclasses.fields(cls))
        one = {"relation": split.target} if has_one else {}  # the others link in every relation
        jobs.append((settings.make(cls, node, **one), size, nodes, _valid(split)))
    return jobs
