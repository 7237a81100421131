"""The verb select; the methods are in `hinaug.generators.selection`."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hinaug.cli.drop import split_without
from hinaug.cli.facts import describe, facts_of
from hinaug.cli.folders import check_out, opened
from hinaug.cli.names import edge_type, number
from hinaug.cli.options import Drop, Force, Json, Seed
from hinaug.cli.output import answer, tell
from hinaug.errors import ParameterError
from hinaug.features.columns import Column
from hinaug.generators import selection
from hinaug.graph import Delta, EdgeType
from hinaug.io import save


class By(StrEnum):
    confidence = "confidence"
    agreement = "agreement"
    diversity = "diversity"
    influence = "influence"
    random = "random"


def select(
    deltas: Annotated[
        list[Path], typer.Argument(help="The store of a delta; several for --by agreement.")
    ],
    size: Annotated[str, typer.Option(help="How many pairs to keep: 0.5 is a share, 500 a count.")],
    out: Annotated[Path, typer.Option(help="The store to write the smaller delta to.")],
    by: Annotated[By, typer.Option(help="What decides; random is the control.")] = By.confidence,
    split: Annotated[
        Path | None, typer.Option(help="The store of its split, for diversity and influence.")
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="Of the targets, which diversity compares.")
    ] = None,
    relation: Annotated[
        str | None, typer.Option(help="Whose edges: user,rates,item; the first unless given.")
    ] = None,
    drop: Drop = None,
    seed: Seed = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Keep some of a delta's edges: the surest, agreed on, far apart, useful or random.

    Compare what is kept with as many at random: a rule is worth something only
    if it beats that. Nothing here reads the validation or test pairs.

    Example, after that of augment:
      hinaug select delta --size 0.5 --by influence --split split --out smaller
    """
    check_out(out, "delta", force)
    given = [opened(path, "delta") for path in deltas]
    if (len(given) > 1) != (by is By.agreement):
        raise ParameterError(
            f"--by {by.value} takes {'several deltas' if by is By.agreement else 'one delta'}; "
            f"there are {len(given)}",
            asked=by.value,
            there=len(given),
        )
    edge = None if relation is None else edge_type(relation, given[0].edges)
    n = number(size, "--size")
    if isinstance(n, float) and n > 1:
        raise ParameterError(
            f"--size {size}: a share of the delta's pairs is at most 1.0, and a count is whole",
            asked=n,
        )
    train = _train(split, by, drop)
    kept = _kept(given, by, n, edge, train, [*(column or ["x"])], seed)
    save(kept, out)

    def show(console: Any) -> None:
        describe(kept, console)
        tell(console, f"saved to {out}")

    answer(as_json, {"store": out, "by": by.value, **facts_of(kept)}, show)


def _train(split: Path | None, by: By, drop: list[str] | None) -> Any:
    """The train graph of the split for the rules that read it, else None.

    Raises ParameterError where such a rule is asked for, and no split is given.
    """
    if by not in (By.diversity, By.influence):
        return None
    if split is None:
        raise ParameterError(f"--by {by.value} needs --split, the split of the delta")
    return split_without(opened(split, "split"), drop).train


def _kept(
    deltas: list[Delta],
    by: By,
    size: int | float,
    relation: EdgeType | None,
    train: Any,
    columns: list[Column],
    seed: int,
) -> Delta:
    delta = deltas[0]
    rules: dict[By, Callable[[], Delta]] = {
        By.confidence: lambda: selection.most_confident(delta, size, relation=relation),
        By.agreement: lambda: selection.agreed(deltas, size, relation=relation),
        By.diversity: lambda: selection.diverse(delta, train, size, by=columns, relation=relation),
        By.influence: lambda: selection.influential(
            delta, train, size, relation=relation, rng=seed
        ),
        By.random: lambda: selection.at_random(delta, size, relation=relation, rng=seed),
    }
    return rules[by]()
