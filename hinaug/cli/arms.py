"""The arms of an evaluation: plain, each delta, and beside each a random delta of the same size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hinaug.cli.places import opened
from hinaug.cli.shared import note, table, tell
from hinaug.errors import ParameterError
from hinaug.evaluation.compare import Comparison, compare, holm
from hinaug.evaluation.evaluate import evaluate
from hinaug.evaluation.result import Result
from hinaug.generators import random_delta
from hinaug.graph.delta import Delta
from hinaug.predictors.base import LinkPredictor
from hinaug.progress import track
from hinaug.report.pieces import brief
from hinaug.report.terminal import METRICS, verdict
from hinaug.split.base import Split

METRIC = "NDCG@20"


@dataclass
class Learned:
    """results: {arm: one a seed}; models: {arm: that of the first seed}."""

    results: dict[str, list[Result]]
    models: dict[str, LinkPredictor]


def deltas_by_name(paths: Sequence[Path], split: Split) -> dict[str, Delta]:
    """Deltas by the name of their folder, or by their path where two have one name; each must be
    made for the split.
    """
    short = [p.resolve().name for p in paths]
    names = [
        str(p) if short.count(s) > 1 or s == "plain" else s
        for p, s in zip(paths, short, strict=True)
    ]
    if len(set(names)) < len(names):
        raise ParameterError(
            f"--delta: {next(n for n in names if names.count(n) > 1)} stands twice"
        )
    deltas = {name: opened(path, "delta") for name, path in zip(names, paths, strict=True)}
    for name, delta in deltas.items():
        _check_made_for(name, delta, split)
    empty = [name for name, delta in deltas.items() if not len(delta)]
    if empty:
        raise ParameterError(f"--delta {empty[0]} holds nothing: there is nothing to compare")
    return deltas


def _check_made_for(name: str, delta: Delta, split: Split) -> None:
    """A delta that learned from another graph may hold this split's test pairs, or name nodes that
    are not there.
    """
    if not delta.fitted_on:
        note(
            f"--delta {name} does not say what it was fitted on; it counts only if it never saw "
            "what is held out"
        )
    elif set(delta.fitted_on) != {split.train.fingerprint()}:
        raise ParameterError(
            f"--delta {name} was fitted on another graph than what this split trains on, so it "
            "may hold what the split holds "
            "out; make one for this split with hinaug augment"
        )
    try:
        split.train + delta
    except ValueError as error:
        raise ParameterError(f"--delta {name} does not fit this split: {error}") from error


def control(name: str) -> str:
    return f"random like {name}"


def learned(
    predictor: LinkPredictor,
    split: Split,
    deltas: dict[str, Delta],
    on: str,
    cuts: list[int],
    seeds: Iterable[int],
) -> Learned:
    """Every arm fitted on train (on test: then refitted on train and valid) and judged on the same
    held-out pairs.
    """
    out = Learned({}, {})
    valid = split.valid if split.valid.num_rows else None
    for seed in seeds:
        arms: dict[str, Delta | None] = {"plain": None}
        for name, delta in deltas.items():
            arms |= {name: delta, control(name): random_delta(split.train, delta, rng=seed)}
        for arm, extra in track(list(arms.items()), f"arms of seed {seed}"):
            train, full = (
                g if extra is None else g + extra for g in (split.train, split.train_valid)
            )
            model = predictor.clone().fit(train, valid=valid, rng=seed)
            graph = train
            if on == "test":
                model, graph = model.refit(full, rng=seed), full
            out.results.setdefault(arm, []).append(evaluate(model, graph, split, k=cuts, on=on))
            out.models.setdefault(arm, model)
    return out


def newcomers(split: Split, on: str) -> tuple[int, int]:
    """How many of the users judged have no link in what a model learns from last, and how many are
    judged.
    """
    graph, pairs = (split.train, split.valid) if on == "valid" else (split.train_valid, split.test)
    users = np.unique(graph.positions(split.target[0], pairs["src"]))
    return int((np.diff(graph.observed().adjacency(split.target).indptr)[users] == 0).sum()), len(
        users
    )


def compared(
    results: dict[str, list[Result]], deltas: Sequence[str]
) -> list[tuple[Comparison, float]]:
    """For each delta: against plain, its control against plain, and against its control; with
    Holm's p over all of them.
    """
    pairs = [p for d in deltas for p in (("plain", d), ("plain", control(d)), (control(d), d))]
    found = [compare(results[a], results[b], METRIC, (a, b)) for a, b in pairs]
    corrected = holm({(c.a, c.b): c.p for c in found})
    return [(c, corrected[c.a, c.b]) for c in found]


def document(
    results: dict[str, list[Result]], comparisons: list[tuple[Comparison, float]]
) -> dict[str, Any]:
    """The figures for machines."""
    arms = {}
    for arm, each in results.items():
        names = [*each[0].values, *each[0].overall]
        arms[arm] = {name: sum(r[name] for r in each) / len(each) for name in names}
    told = [{**vars(c), "relative": c.relative, "p_holm": p} for c, p in comparisons]
    first = next(iter(results.values()))[0]
    return {
        "users": len(first.users),
        "arms": arms,
        "comparisons": told,
        "verdicts": verdicts(comparisons),
    }


def verdicts(comparisons: list[tuple[Comparison, float]]) -> dict[str, str]:
    """{delta: the sentence to take away}."""
    by_pair = {(c.a, c.b): (c, p) for c, p in comparisons}
    out = {}
    for (a, name), (plain, p) in by_pair.items():
        if a == "plain" and (control(name), name) in by_pair:
            random, p_random = by_pair[control(name), name]
            out[name] = verdict(plain, random, p, p_random)
    return out


def show(
    results: dict[str, list[Result]],
    comparisons: list[tuple[Comparison, float]],
    facts: Any,
    console: Any,
) -> None:
    """The figures for people."""
    against = {c.b: (c, p) for c, p in comparisons if c.a == "plain"}
    first = next(iter(results.values()))[0]
    more = [m for m in first.values if m.startswith("NDCG@") and m not in (METRIC, "NDCG@10")]
    tell(console, brief(facts["model"]))
    title = f"{facts['on']}, full ranking, {len(first.users)} users, seeds {facts['seeds']}"
    rows = table(title, "data", *METRICS, *more, "NDCG@20, % over plain [95 %]", "p")
    for arm, each in results.items():
        cells = [f"{sum(r[m] for r in each) / len(each):.4f}" for m in (*METRICS, *more)]
        if arm in against:
            c, p = against[arm]
            low, high = (
                100 * bound / c.mean_a if c.mean_a else float("nan") for bound in (c.low, c.high)
            )
            cells += [f"{100 * c.relative:+.1f} [{low:.1f}, {high:.1f}]", f"{p:.1g}"]
        rows.add_row(arm, *cells)
    console.print(rows)
    for name, sentence in verdicts(comparisons).items():
        tell(console, f"{name}: {sentence}")
    if comparisons:
        tell(
            console,
            "(p: paired t-test over users, seeds averaged, Holm over the table; 0.005 or more "
            "counts as nothing)",
        )
