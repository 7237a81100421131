"""The verb ab; the statistics are in `hinaug.evaluation.ab`."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import typer

from hinaug.cli.options import Json
from hinaug.cli.output import answer, table, tell
from hinaug.errors import ParameterError, SchemaError
from hinaug.evaluation.ab import Kind, Look, SequentialTest, effect_size, sample_size


class Action(StrEnum):
    plan = "plan"
    look = "look"


def ab(
    action: Annotated[
        Action, typer.Argument(help="plan: how many users; look: what they say so far.")
    ],
    file: Annotated[
        Path | None,
        typer.Argument(help="look: a CSV file with columns arm, value, day; one row a user."),
    ] = None,
    effect: Annotated[
        str | None,
        typer.Option(help="The effect worth having: 2% of the baseline, or 0.002 more."),
    ] = None,
    baseline: Annotated[
        float | None, typer.Option(help="The value of the arm as it is: a rate, or a mean.")
    ] = None,
    sd: Annotated[
        float | None, typer.Option(help="plan: standard deviation of a value that is no rate.")
    ] = None,
    control: Annotated[
        str | None, typer.Option(help="look: the arm as it is; else the first by name.")
    ] = None,
    power: Annotated[float, typer.Option(help="Probability to show such an effect.")] = 0.8,
    level: Annotated[float, typer.Option(help="Probability to show one by chance.")] = 0.05,
    as_json: Json = False,
) -> None:
    """Plan an A/B test, or look at one: every day, without more false alarms.

    look replays all days of the file. The effect and the level are chosen before
    the first day, and stay.

    Example:
      hinaug ab plan --baseline 0.1 --effect 2%
    """
    relative, amount = _effect(effect)
    if relative and baseline is None:
        raise ParameterError(f"--effect {effect}: a share of what? add --baseline", asked=effect)
    if action is Action.plan:
        _plan(amount, relative, baseline, sd, power, level, as_json)
        return
    size = abs(amount * baseline) if relative and baseline is not None else abs(amount)
    arms, values, days = _read(file, control)
    kind: Kind = "rate" if np.isin(values[2], (0, 1)).all() else "mean"
    test = SequentialTest(size, kind, level, power)
    looks = _replayed(test, *values, days)
    document = {
        "arms": arms,
        "kind": kind,
        "effect": size,
        "looks": [{"day": day, **asdict(look)} for day, look in looks],
    }
    answer(as_json, document, lambda console: _show(looks, arms, test, console))


def _effect(text: str | None) -> tuple[bool, float]:
    """ "2%" as (True, 0.02), a share of the baseline; "0.002" as (False, 0.002)."""
    if text is None:
        raise ParameterError("name the effect worth having, such as --effect 2% or --effect 0.002")
    relative = text.strip().endswith("%")
    try:
        amount = float(text.strip().removesuffix("%"))
    except ValueError:
        raise ParameterError(
            f"--effect {text!r}: written 2% (of the baseline) or 0.002 (more than it)", asked=text
        ) from None
    return relative, amount / 100 if relative else amount


def _plan(
    amount: float,
    relative: bool,
    baseline: float | None,
    sd: float | None,
    power: float,
    level: float,
    as_json: bool,
) -> None:
    if baseline is None:
        raise ParameterError("plan needs --baseline, the value of the arm as it is")
    named = {"relative" if relative else "absolute": amount}
    n = sample_size(baseline, sd=sd, power=power, level=level, **named)
    size = effect_size(baseline, **named)
    found = {"users_per_arm": n, "users": 2 * n, "baseline": baseline, "effect": size}
    text = (
        f"{n:,} users in each of two arms show a change from {baseline:g} to "
        f"{baseline + size:g} in {100 * power:g} % of the tests, at level {level:g}. This is for "
        "one look at the end; hinaug ab look may be used daily, and needs up to twice as many."
    )
    answer(as_json, found, lambda console: tell(console, text))


Values = tuple[np.ndarray, np.ndarray, np.ndarray]


def _read(file: Path | None, control: str | None) -> tuple[list[str], Values, pa.Array]:
    """The two arms; whether each row is of the first, of the second, and its value; its day."""
    if file is None:
        raise ParameterError("look needs a file: hinaug ab look FILE.csv --effect 0.002")
    rows = _rows(file)
    names = sorted(pc.unique(rows["arm"]).to_pylist())
    if len(names) != 2 or control not in (None, *names):
        raise ParameterError(
            f"{file} has the arms {names}; two are needed, and --control names one of them",
            asked=control,
            there=names,
        )
    names.sort(key=lambda name: name != control)
    is_a, is_b = (pc.equal(rows["arm"], name).to_numpy() for name in names)
    return names, (is_a, is_b, rows["value"].to_numpy()), rows["day"]


def _rows(file: Path) -> pa.Table:
    """The columns arm, value and day of a CSV file; SchemaError where one is missing or null."""
    types = {"arm": pa.string(), "value": pa.float64(), "day": pa.string()}
    rows = pa.csv.read_csv(file, convert_options=pa.csv.ConvertOptions(column_types=types))
    missing = [name for name in types if name not in rows.column_names]
    if missing:
        raise SchemaError(
            f"{file} has no column {', '.join(missing)}; the columns arm, value and day are needed",
            asked=missing,
            there=rows.column_names,
        )
    rows = rows.select(list(types)).combine_chunks()
    if any(column.null_count for column in rows.columns):
        raise SchemaError(f"{file}: a row lacks its arm, its value or its day; drop such rows")
    return rows


def _replayed(
    test: SequentialTest, is_a: np.ndarray, is_b: np.ndarray, values: np.ndarray, days: Any
) -> list[tuple[str, Look]]:
    """One look after each day, in the order of days: by number where all are numbers."""
    order = pc.unique(days).to_pylist()
    is_number = all(day.strip().isdecimal() for day in order)
    order.sort(key=int if is_number else None)
    looks = []
    for day in order:
        now = pc.equal(days, day).to_numpy()
        looks.append((day, test.update(values[now & is_a], values[now & is_b])))
    return looks


def _show(
    looks: list[tuple[str, Look]], arms: list[str], test: SequentialTest, console: Any
) -> None:
    a, b = arms
    title = f"{b} (B) against {a} (A): {test.kind}s, effect worth having {test.effect:g}"
    kept = f"{100 * (1 - test.level):g} % at all looks"
    rows = table(title, "day", "users A", "users B", "A", "B", f"B - A [{kept}]", "p", "outcome")
    for day, x in looks:
        change = f"{x.difference:+.4g} [{x.low:.4g}, {x.high:.4g}]"
        rows.add_row(
            day, f"{x.n_a:,}", f"{x.n_b:,}", f"{x.mean_a:.4g}", f"{x.mean_b:.4g}", change,
            f"{x.p:.2g}", x.outcome,
        )  # fmt: skip
    console.print(rows)
    tell(console, _advice(looks[-1][1], test))


def _advice(last: Look, test: SequentialTest) -> str:
    """What to do after the last look."""
    if last.outcome.endswith("better"):
        return f"{last.outcome} (p {last.p:.2g} at level {test.level:g}): the test may stop here."
    if last.needed is None:
        return "Too early: wait for more users before anything is judged."
    return (
        f"Not decided. {last.needed:,} more users in each arm show an effect of {test.effect:g} "
        f"with a probability of {100 * test.power:g} %."
    )
