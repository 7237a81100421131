"""The verb errors; the analysis is `hinaug.evaluation.analyse_errors`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hinaug.cli.evaluate import On
from hinaug.cli.folders import opened
from hinaug.cli.options import Json, Seed
from hinaug.cli.output import answer, table, tell
from hinaug.cli.recommend import opened_model
from hinaug.evaluation import ErrorAnalysis, analyse_errors
from hinaug.report import keep_errors, shown


def errors(
    model: Annotated[Path, typer.Argument(help="The store of a fitted model.")],
    split: Annotated[Path, typer.Option(help="The store of the split whose pairs are judged.")],
    on: Annotated[On, typer.Option(help="The held-out pairs to look at.")] = On.test,
    delta: Annotated[
        Path | None, typer.Option(help="The delta that the model learned from as well.")
    ] = None,
    k: Annotated[int, typer.Option(min=1, metavar="N", help="The length of the lists.")] = 20,
    cold: Annotated[
        int, typer.Option(min=0, metavar="N", help="So many links, or fewer, are cold.")
    ] = 3,
    run: Annotated[
        Path | None, typer.Option(help="The folder of a run; its report shows this as well.")
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Show which held-out items a model misses, in what way, and for whom most.

    A slice of users or items is named only if it is worse than the rest beyond
    chance, on users and items that were not used to find it.

    Example, after that of evaluate:
      hinaug errors model --split split --delta delta --run run
    """
    predictor, made = opened_model(model), opened(split, "split")
    graph = made.train if on is On.valid else made.train_valid
    if delta is not None:
        graph = graph + opened(delta, "delta")
    found = analyse_errors(predictor, graph, made, on=on.value, k=k, cold=cold, rng=seed)
    document = found.document()
    if run is not None:
        keep_errors(run, found)
        document["run"] = run

    def show_all(console: Any) -> None:
        _show(found, console)
        if run is not None:
            tell(console, f"kept in {run}; hinaug report {run} makes a page of it")

    answer(as_json, document, show_all)


def _show(found: ErrorAnalysis, console: Any) -> None:
    title = (
        f"{found.name} on {found.on}: {100 * found.missed:.1f} % of {len(found.pairs):,} held-out "
        f"pairs are not among the first {found.k}"
    )
    kinds = table(title, "kind", "% of misses", "pairs", "what it means")
    for row in found.kinds.to_pylist():
        kinds.add_row(row["kind"], f"{100 * row['share']:.1f}", f"{row['pairs']:,}", row["meaning"])
    console.print(kinds)
    _show_slices(found, console)
    examples = table("examples", "kind", "user", "held out", "rank", "in its place")
    for row in found.examples.to_pylist():
        rank = str(row["rank"] or f"> {2 * found.k}")
        instead = ", ".join(map(str, row["instead"]))
        examples.add_row(row["kind"], str(row["user"]), str(row["item"]), rank, instead)
    console.print(examples)


def _show_slices(found: ErrorAnalysis, console: Any) -> None:
    if not found.slices.num_rows:
        tell(
            console,
            f"No slice is worse than the rest beyond chance; {found.looked_at} were looked at.\n",
        )
        return
    rows = table(
        f"worst slices, of {found.looked_at} looked at (gain: NDCG@{found.k} of each pair)",
        *("slice", "% of pairs", "gain", "rest", "difference [95 %]", "p", "mostly"),
    )
    for row in found.slices.to_pylist():
        change = f"{row['difference']:+.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        figures = (f"{100 * row['share']:.0f}", f"{row['gain']:.3f}", f"{row['rest']:.3f}")
        rows.add_row(row["where"], *figures, change, shown(row["p"]), row["mostly"] or "")
    console.print(rows)
