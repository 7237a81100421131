"""The verb split."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hinaug.cli.places import check_out, opened
from hinaug.cli.shared import Force, Json, Seed, answer, app, edge_type, tell
from hinaug.errors import ParameterError


class How(StrEnum):
    random = "random"
    temporal = "temporal"
    leave_last = "leave-last"
    cold_users = "cold-users"
    cold_items = "cold-items"


@app.command()
def split(
    store: Annotated[Path, typer.Argument(help="The store of a graph.")],
    target: Annotated[
        str, typer.Option(help="The edge type to hold out, such as user,rates,item.")
    ],
    out: Annotated[Path, typer.Option(help="The store to write the split to.")],
    how: Annotated[
        How, typer.Option(help=f"Which pairs are held out: {', '.join(How)}.", metavar="HOW")
    ] = How.random,
    evidence: Annotated[
        list[str] | None,
        typer.Option(help="A node type that witnesses a pair, such as review; may stand again."),
    ] = None,
    valid: Annotated[
        str | None, typer.Option(help="Share (0.1) or, of each user, count (1).")
    ] = None,
    test: Annotated[
        str | None, typer.Option(help="Share (0.1) or, of each user, count (1).")
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(help="The time column; for temporal and leave-last. Default: time."),
    ] = None,
    known: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Pairs that a cold user or item keeps. Default: 0."),
    ] = None,
    min_rating: Annotated[
        float | None, typer.Option(help="Only edges rated at least so are links.")
    ] = None,
    thin: Annotated[
        float | None, typer.Option(help="Share of what each user had before the test that is left.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 1 when the audit finds a leak.")
    ] = False,
    seed: Seed = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Hold out pairs together with their evidence, and audit what could still give them away.

    A held-out rating takes its review with it when --evidence names the reviews.

    Example:
      hinaug datasets planted --out store
      hinaug split store --target user,rates,item --evidence review --out split
    """
    from hinaug import split as splits
    from hinaug.cli.names import number
    from hinaug.io.store import save
    from hinaug.split.audit import audit

    hin = opened(store, "hin")
    relation = edge_type(target, hin.edges)
    check_out(out, "split", force)
    options: dict[str, Any] = {"evidence": evidence or []}
    fits = {"time": (How.temporal, How.leave_last), "known": (How.cold_users, How.cold_items)}
    for name, value in (("time", time), ("known", known)):
        if value is not None:
            if how not in fits[name]:
                raise ParameterError(
                    f"--{name} is for {' and '.join(fits[name])}, not for --how {how}"
                )
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
    chosen = {
        "seed": seed if "rng" in options or thin is not None else None,
        "min_rating": min_rating,
        "thin": thin,
    }
    made = replace(
        made, how={**made.how, **{name: v for name, v in chosen.items() if v is not None}}
    )
    if not made.valid.num_rows + made.test.num_rows:
        raise ParameterError(
            f"nothing is held out: {hin.n(relation):,} rows of {target} are left to "
            f"split{_least(min_rating)}"
        )
    found = audit(made)
    save(made, out)
    witnesses = sorted(
        {
            node
            for f in found.leaks
            if f.kind == "path"
            for node in f.where.split()[1:-1]
            if node in hin.nodes
        }
    )

    def show(console: Any) -> None:
        tell(console, f"{made!r}\naudit: {found}\nsaved to {out}")
        if any("lineage" in f.why for f in found.unknown):
            tell(
                console,
                'lineage is told in the schema of hinaug build: lineage = "row" or "aggregate" in '
                "a section",
            )
        if witnesses:
            again = " ".join(f"--evidence {node}" for node in witnesses)
            tell(
                console,
                "what leaks through nodes leaves with the held-out pairs when they are named: "
                f"{again}",
            )

    from hinaug.cli.facts import facts_of

    leaks, unknown = ([vars(f) for f in findings] for findings in (found.leaks, found.unknown))
    answer(
        as_json,
        {"store": out, **facts_of(made), "audit": {"leaks": leaks, "unknown": unknown}},
        show,
    )
    if strict and found.leaks:
        raise typer.Exit(1)


def _least(rating: float | None) -> str:
    return "" if rating is None else f", with --min-rating {rating:g}"


def _part(size: int | float, name: str, how: How) -> int | float:
    """A share or a count, as the split takes it."""
    if how is How.leave_last and not isinstance(size, int):
        raise ParameterError(
            f"--{name} {size}: leave-last holds out a count of pairs of each user, such as 1"
        )
    if how not in (How.leave_last, How.random) and isinstance(size, int) and size:
        raise ParameterError(f"--{name} {size}: {how} holds out a share, such as 0.1")
    return size


def _liked(hin: Any, relation: tuple[str, str, str], least: float) -> Any:
    import numpy as np

    from hinaug.graph.arrow import is_number

    rating = hin.observed().column(relation, "rating")
    if not is_number(rating.type):
        raise ParameterError(
            f"--min-rating: the column 'rating' of {relation} is {rating.type}, not a number"
        )
    numbers = rating.to_numpy(zero_copy_only=False).astype(float)
    return hin.filter_edges(relation, np.nan_to_num(numbers, nan=-np.inf) >= least)
