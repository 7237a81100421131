"""The verb compare; its arms are in `contest.py`."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hinaug.cli.arms import METRIC, deltas_by_name
from hinaug.cli.contest import Arm, Contest, arms_of, base_of, check_search, document, judged
from hinaug.cli.drop import split_without
from hinaug.cli.evaluate import On
from hinaug.cli.folders import check_place, drafted, opened
from hinaug.cli.models import named, settings_of
from hinaug.cli.names import Settings
from hinaug.cli.options import (
    PREDICTORS,
    Drop,
    Json,
    Seed,
    Setting,
    SplitStore,
    complete_predictor,
)
from hinaug.cli.output import answer, tell
from hinaug.cli.run_folder import audit_of, check_older
from hinaug.evaluation import mean_over_fits
from hinaug.report import (
    METRICS,
    RULE,
    Bars,
    Command,
    Facts,
    Finding,
    Findings,
    Log,
    Table,
    Text,
    brief,
    report,
    show,
    shown,
)
from hinaug.report.results import in_percent
from hinaug.report.wording import change
from hinaug.split import Split


def compare(
    split: SplitStore,
    model: Annotated[
        list[str],
        typer.Option(
            help="A predictor by name, or the file of hinaug tune; repeat it for more. The first "
            f"is what the others are compared with. {PREDICTORS}",
            autocompletion=complete_predictor,
        ),
    ],
    delta: Annotated[
        list[Path] | None,
        typer.Option(
            help="A delta that each model is also fitted with; may be repeated. Beside each, a "
            "random one of the same size."
        ),
    ] = None,
    fits: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Fits of each arm, with seeds from --seed on. A test needs 8."
        ),
    ] = 1,
    trials: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="T",
            help="Trials of each arm in a search on validation pairs; 0: no search.",
        ),
    ] = 0,
    search: Annotated[
        list[str] | None,
        typer.Option(help="What --trials tries, as in hinaug tune. Usual ranges unless given."),
    ] = None,
    on: Annotated[
        On, typer.Option(help="The held-out pairs to judge by; test is for the end.")
    ] = On.valid,
    out: Annotated[
        Path | None, typer.Option(help="A folder for the figures and the page of the report.")
    ] = None,
    setting: Setting = None,
    drop: Drop = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Compare several models, alone and with deltas, all with the same budget.

    Every arm gets as many trials and as many fits. Differences are tested over
    users and fits, and p is corrected for the number of comparisons (Holm). A
    difference that could not be shown is printed like any other. A delta is one
    draw: the test is about this delta, not about its generator.

    Example, after that of augment:
      hinaug compare split --model EASE --model ItemKNN --delta delta \\
        --fits 2 --on test --out compared
    """
    started = time.monotonic()
    made = split_without(opened(split, "split"), drop)
    deltas = deltas_by_name(delta or [], made)
    settings = Settings(setting or [])
    models = [named(text, made.target, settings) for text in model]
    settings.check()
    check_search(models, search or [])
    arms = arms_of(models, list(deltas))
    if out is not None:
        check_place(out, "--out")
        check_older(out, "--out")
    found = judged(
        arms,
        made,
        deltas,
        on=on.value,
        fits=fits,
        trials=trials,
        search=search or [],
        seed=seed,
    )
    budget = {"fits": fits, "trials": trials, "seed": seed}
    facts = _facts(split, made, arms, budget)
    told = {"split": split, "on": on.value, **budget, **document(found)}
    if out is not None:
        options = {"model": model, "delta": delta, "set": setting, "search": search, "drop": drop}
        command = _command(split, {**options, **budget, "on": on.value})
        _keep(out, found, facts, command, time.monotonic() - started)
        told["report"] = out / "report.html"

    def show_all(console: Any) -> None:
        for block in (_table(found), *_chosen(found), *_sentences(found)):
            show(block, console)
        if out is not None:
            tell(console, f"kept in {out}; the page is {out / 'report.html'}")

    answer(as_json, told, show_all)


def _facts(
    folder: Path, split: Split, arms: Sequence[Arm], budget: Mapping[str, int]
) -> dict[str, str]:
    """What the page says of the data, the models and the budget."""
    searched = f"{budget['trials']} trials on valid, " if budget["trials"] else "no search, "
    fits = f"at most {budget['fits']} fits (one where nothing is random)"
    return {
        "Data": f"{folder.name}: {split}",
        "Budget of each arm": searched + fits,
        **audit_of(split),
        **{arm.name: brief(repr(arm.chosen)) for arm in arms},
    }


def _command(split: Path, options: Mapping[str, Any]) -> str:
    line = ["hinaug", "compare", str(split)]
    for name, value in options.items():
        for each in value if isinstance(value, list) else [value]:
            line += [] if each is None else [f"--{name}", str(each)]
    return shlex.join(line)


def _keep(
    folder: Path, found: Contest, facts: dict[str, str], command: str, seconds: float
) -> None:
    """Writes results.jsonl and the page; the folder appears when both are written."""
    with drafted(folder) as draft:
        draft.mkdir()
        log = Log(draft / "results.jsonl", "Models and deltas compared")
        log.add(Findings("What may be said", _findings(found)), Facts(facts), Command(command))
        log.section("All arms")
        log.add(_table(found), *_chosen(found), *_sentences(found), _bars(found))
        for arm in found.arms:
            for n, result in enumerate(arm.results):
                log.result(result, arm=arm.name, fit=n)
        log.end(seconds)
        report(draft)


def _findings(found: Contest) -> list[Finding]:
    sentences = found.sentences()
    by_name = {arm.name: arm for arm in found.arms}
    return [_finding(found, by_name[name], said) for name, said in sentences.items()]


def _finding(found: Contest, arm: Arm, sentence: str) -> Finding:
    base = base_of(arm, found.arms)
    c = found.found[base, arm.name]
    return Finding(
        f"{arm.name} against {base}",
        METRIC,
        c.mean_a,
        c.mean_b,
        found.beside(arm)[1].mean_a if arm.delta else None,
        change(c.mean_a, c.mean_b),
        found.outcome(arm),  # type: ignore[arg-type]
        sentence,
        plain_name=base,
        augmented_name=arm.name,
    )


def _table(found: Contest) -> Table:
    """One row an arm; the change is against the first model, or the arm's model alone."""
    columns = ["arm", METRIC, "against", "change, % [95 %]", "p", *METRICS[1:], "fits"]
    rows = [_row(found, arm) for arm in found.arms]
    first = found.arms[0].results[0]
    caption = f"{first.on}, full ranking, {len(first.users):,} users"
    marked = [n for n, arm in enumerate(found.arms) if arm.delta and not arm.drawn]
    return Table(caption, columns, rows, marked)


def _row(found: Contest, arm: Arm) -> list[Any]:
    means = [mean_over_fits(arm.results, metric)[0] for metric in METRICS]
    first, *others = (f"{mean:.4f}" for mean in means)
    base, gain = base_of(arm, found.arms), ["", "", ""]
    if base != arm.name:
        gain = [base, in_percent(found.found[base, arm.name]), shown(found.p[base, arm.name])]
    return [arm.name, first, *gain, *others, len(arm.results)]


def _chosen(found: Contest) -> list[Table]:
    """What the searches chose; nothing where there was none."""
    rows: list[list[Any]] = [
        [arm.name, f"{arm.value:.4f}", _settings(arm)]
        for arm in found.arms
        if arm.value is not None
    ]
    title = "chosen on valid, with equal trials; * on the edge of what was tried"
    return [Table(title, ["arm", METRIC, "settings"], rows)] if rows else []


def _settings(arm: Arm) -> str:
    """The settings that are not those of the class, searched or given."""
    assert arm.chosen is not None
    params = arm.chosen.get_params()
    chosen = {**settings_of(arm.chosen), **{n: params[n] for n in arm.edges}}
    return ", ".join(
        f"{n}={f'{v:.4g}' if isinstance(v, float) else v}{'*' * (n in arm.edges)}"
        for n, v in chosen.items()
    )


def _sentences(found: Contest) -> list[Text]:
    said = [Text(f"{name}: {sentence}.") for name, sentence in found.sentences().items()]
    return [*said, Text(RULE)]


def _bars(found: Contest) -> Bars:
    values = {
        arm.name: [float(v) for v in mean_over_fits(arm.results, METRIC)] for arm in found.arms
    }
    made = [arm.name for arm in found.arms if arm.delta and not arm.drawn]
    return Bars(f"{METRIC} of all arms", METRIC, {"all users": values}, made)
