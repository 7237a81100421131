"""The verb augment."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer

from hinaug.cli.facts import describe, facts_of
from hinaug.cli.folders import check_out, opened
from hinaug.cli.names import Settings, edge_type, method, sized
from hinaug.cli.options import (
    GENERATORS,
    PREDICTORS,
    Force,
    Json,
    Seed,
    Setting,
    SplitStore,
    complete_edges,
    complete_entities,
)
from hinaug.cli.output import answer, tell
from hinaug.errors import ParameterError
from hinaug.generators import RelationGenerator
from hinaug.generators.base import EntityGenerator
from hinaug.graph import Delta, EdgeType, merge
from hinaug.io import save
from hinaug.predictors.base import LinkPredictor
from hinaug.split import Split


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
            help=f"New users by a generator: JointVAE:0.1. {GENERATORS}",
            autocompletion=complete_entities,
        ),
    ] = None,
    items: Annotated[
        list[str] | None,
        typer.Option(
            help="New items by a generator: JointVAE:0.1.", autocompletion=complete_entities
        ),
    ] = None,
    setting: Setting = None,
    seed: Seed = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Generate edges, users and items from what the split lets a method see.

    All of them become one delta. It is marked, reversible, and no more than a
    guess: `hinaug evaluate` says whether it helps. For items that nobody had:
    --edges KernelRidge:20000 --set targets=cold.

    Example, after that of split:
      hinaug augment split --edges EASE:0.1 --users Synthesis:0.1 --out delta
    """
    made = opened(split, "split")
    check_out(out, "delta", force)
    wanted = {"edges": edges or [], "users": users or [], "items": items or []}
    joined = made.target if relation is None else _relation(relation, made)
    delta = _generated(wanted, made, joined, Settings(setting or []), seed)
    save(delta, out)

    def show(console: Any) -> None:
        describe(delta, console)
        tell(
            console,
            f"saved to {out}; hinaug evaluate {split} --model EASE --delta {out} says whether it "
            "helps",
        )

    answer(as_json, {"store": out, **facts_of(delta)}, show)


# a generator, how much it is to make (a share or a count), and held-out pairs to choose by
Job = tuple[Any, int | float, pa.Table | None]


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
    wanted: dict[str, list[str]], split: Split, joined: EdgeType, settings: Settings, seed: int
) -> Delta:
    """One delta of everything that is wanted.

    wanted: {"edges", "users" and "items": texts such as "JointVAE:0.1"}. joined: the relation of
    the edges.
    """
    source, _, target = split.target
    jobs = [
        *_edge_jobs(wanted["edges"], split, joined, settings),
        *_entity_jobs(source, wanted["users"], split, settings),
        *_entity_jobs(target, wanted["items"], split, settings),
    ]
    if not jobs:
        raise ParameterError(
            "nothing to generate; say --edges LightGCN:0.1, --users JointVAE:0.1 or "
            "--items JointVAE:0.1"
        )
    settings.check()
    train = split.train
    delta = merge(
        [
            generator.fit(train, valid=held, rng=seed).generate(train, size, rng=seed)
            for generator, size, held in jobs
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
    jobs = []
    is_target = joined == split.target
    evidence, valid = (split.evidence, _valid(split)) if is_target else ((), None)
    for text in wanted:
        name, size = sized(text)
        predictor = settings.make(method("predictors", name, LinkPredictor), joined)
        generator = settings.make(RelationGenerator, predictor, evidence=evidence)
        jobs.append((generator, size, valid))
    return jobs


def _entity_jobs(node: str, wanted: list[str], split: Split, settings: Settings) -> list[Job]:
    jobs = []
    for text in wanted:
        name, size = sized(text)
        cls = method("generators", name, EntityGenerator)
        has_one = any(field.name == "relation" for field in dataclasses.fields(cls))
        one = {"relation": split.target} if has_one else {}  # the others link in every relation
        jobs.append((settings.make(cls, node, **one), size, _valid(split)))
    return jobs
