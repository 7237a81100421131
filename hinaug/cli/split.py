"""The verb split."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from hinaug import split as splits
from hinaug.cli.drop import graph_without
from hinaug.cli.facts import facts_of
from hinaug.cli.folders import check_out, opened
from hinaug.cli.names import edge_type, number
from hinaug.cli.options import Drop, Force, GraphStore, Json, Seed
from hinaug.cli.output import answer, tell
from hinaug.errors import KindError, ParameterError
from hinaug.graph import HIN, EdgeType
from hinaug.graph.arrow import is_number
from hinaug.io import save


class How(StrEnum):
    random = "random"
    temporal = "temporal"
    leave_last = "leave-last"
    cold_users = "cold-users"
    cold_items = "cold-items"


STRATEGIES: dict[How, Callable[..., splits.Split]] = {
    How.random: splits.random_split,
    How.temporal: splits.temporal_split,
    How.leave_last: splits.leave_last,
    How.cold_users: splits.cold_users,
    How.cold_items: splits.cold_items,
}
BY_TIME = (How.temporal, How.leave_last)  # these draw nothing, so they take no seed
NO_AUDIT = "none was made (--no-audit)"
COLD = (How.cold_users, How.cold_items)


def split(
    store: GraphStore,
    target: Annotated[
        str, typer.Option(help="The edge type to hold out, such as user,rates,item.")
    ],
    out: Annotated[Path, typer.Option(help="The store to write the split to.")],
    how: Annotated[
        How, typer.Option(help=f"Which pairs are held out: {', '.join(How)}.", metavar="HOW")
    ] = How.random,
    evidence: Annotated[
        list[str] | None,
        typer.Option(help="A node type that witnesses a pair, such as review; may be repeated."),
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
    audit_seconds: Annotated[
        float, typer.Option(metavar="S", help="How long the audit may take.")
    ] = 120.0,
    no_audit: Annotated[
        bool, typer.Option("--no-audit", help="Do not look for leaks: quick, and at your own risk.")
    ] = False,
    drop: Drop = None,
    seed: Seed = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Hold out pairs together with their evidence, and audit what could still leak them.

    A held-out rating takes its review with it when --evidence names the reviews.

    Example:
      hinaug datasets planted --out store
      hinaug split store --target user,rates,item --evidence review --out split
    """
    _check_audit(strict, no_audit)
    hin = graph_without(opened(store, "hin"), drop)
    relation = edge_type(target, hin.edges)
    check_out(out, "split", force)
    options = {
        "evidence": evidence or [],
        **_options_of_some(how, time, known),
        **_sizes(how, valid, test),
        **({} if how in BY_TIME else {"rng": seed}),
    }
    hin = _rated_at_least(hin, relation, min_rating)
    made = STRATEGIES[how](hin, relation, **options)
    made = made if thin is None else splits.thin(made, thin, rng=seed)
    choices = {
        "seed": seed if "rng" in options or thin is not None else None,
        "min_rating": min_rating,
        "thin": thin,
        "dropped": drop,
        "audit": NO_AUDIT if no_audit else None,
    }
    made = _with_choices(made, **choices)
    _check_not_empty(made, hin.n(relation), min_rating)
    save(made, out)
    found = None if no_audit else splits.audit(made, seconds=audit_seconds)
    document = {"store": out, **facts_of(made), "audit": _facts_of_audit(found)}
    answer(as_json, document, lambda console: _show(made, found, out, console))
    _end(strict, found)


def _end(strict: bool, found: splits.Audit | None) -> None:
    """Ends with code 1 under --strict where there is a leak."""
    if strict and found is not None and found.leaks:
        raise typer.Exit(1)


def _check_audit(strict: bool, no_audit: bool) -> None:
    if strict and no_audit:
        raise ParameterError("--strict asks what the audit found, and --no-audit makes none")


def _options_of_some(how: How, time: str | None, known: int | None) -> dict[str, Any]:
    """The options that only some strategies take."""
    options = {}
    for name, value, takers in (("time", time, BY_TIME), ("known", known, COLD)):
        if value is None:
            continue
        if how not in takers:
            raise ParameterError(
                f"--{name} is for {' and '.join(takers)}, not for --how {how}",
                asked=how,
                there=takers,
            )
        options[name] = value
    return options


def _sizes(how: How, valid: str | None, test: str | None) -> dict[str, int | float]:
    """How much is held out, each as a share or a count."""
    given = {"valid": valid, "test": test}
    return {
        name: _size(number(text, f"--{name} {text}"), name, how)
        for name, text in given.items()
        if text is not None
    }


def _size(size: int | float, name: str, how: How) -> int | float:
    is_count = isinstance(size, int)
    if how is How.leave_last and not is_count:
        raise ParameterError(
            f"--{name} {size}: leave-last holds out a count of pairs of each user, such as 1",
            asked=size,
        )
    if how not in (How.leave_last, How.random) and is_count and size:
        raise ParameterError(f"--{name} {size}: {how} holds out a share, such as 0.1", asked=size)
    return size


def _rated_at_least(hin: HIN, relation: EdgeType, least: float | None) -> HIN:
    if least is None:
        return hin
    rating = hin.observed().column(relation, "rating")
    if not is_number(rating.type):
        raise KindError(
            f"--min-rating: the column 'rating' of {relation} is {rating.type}, not a number",
            asked=str(rating.type),
        )
    numbers = rating.to_numpy(zero_copy_only=False).astype(float)
    return hin.filter_edges(relation, np.nan_to_num(numbers, nan=-np.inf) >= least)


def _with_choices(split: splits.Split, **choices: Any) -> splits.Split:
    """The split, which now says what was chosen for it; None stands for no choice."""
    made = {name: value for name, value in choices.items() if value is not None}
    return replace(split, how={**split.how, **made})


def _check_not_empty(split: splits.Split, n_rows: int, min_rating: float | None) -> None:
    if split.valid.num_rows + split.test.num_rows:
        return
    limit = "" if min_rating is None else f", with --min-rating {min_rating:g}"
    raise ParameterError(
        f"nothing is held out: {n_rows:,} rows of {','.join(split.target)} are left to split{limit}"
    )


def _facts_of_audit(found: splits.Audit | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "leaks": [vars(finding) for finding in found.leaks],
        "unknown": [vars(finding) for finding in found.unknown],
    }


def _show(made: splits.Split, found: splits.Audit | None, out: Path, console: Any) -> None:
    tell(console, f"{made!r}\naudit: {NO_AUDIT if found is None else found}\nsaved to {out}")
    for hint in () if found is None else (*_of_schema(found), *_of_options(found, made)):
        tell(console, hint)


def _of_schema(found: splits.Audit) -> Iterator[str]:
    """What can be done about findings in the schema of hinaug build."""
    if any("lineage" in finding.why for finding in found.unknown):
        yield (
            'lineage is told in the schema of hinaug build: lineage = "row" or "aggregate" in '
            "a section"
        )
    every = [*found.leaks, *found.unknown]
    if any(finding.remedy.startswith("drop the column") for finding in every):
        yield "a column is left out in the schema of hinaug build: keep does not name it"


def _of_options(found: splits.Audit, made: splits.Split) -> Iterator[str]:
    """The options of this verb that do something about findings."""
    if any("seconds=" in finding.remedy for finding in found.unknown):
        yield "the audit ran out of time; --audit-seconds 600 gives it more"
    if options := " ".join(f"--drop {','.join(edge)}" for edge in _derived(found, made)):
        yield f"what was computed before the split is left out by: {options}"
    if options := " ".join(f"--evidence {node}" for node in _witnesses(found, made)):
        yield (
            "what leaks through nodes leaves with the held-out pairs when they are named: "
            f"{options}"
        )


def _derived(found: splits.Audit, made: splits.Split) -> list[EdgeType]:
    """The edge types that leak because they were computed from all pairs."""
    leaks = {finding.where for finding in found.leaks if finding.kind == "derived edges"}
    return [edge for edge in made.source.edges if " ".join(edge) in leaks]


def _witnesses(found: splits.Audit, made: splits.Split) -> list[str]:
    """The node types on the paths by which held-out pairs leak."""
    paths = [finding.where.split()[1:-1] for finding in found.leaks if finding.kind == "path"]
    return sorted({node for path in paths for node in path if node in made.source.nodes})
