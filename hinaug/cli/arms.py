"""The arms of an evaluation: plain, each delta, and beside each a random delta of the same size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hinaug.cli.folders import opened
from hinaug.cli.models import is_fitted
from hinaug.cli.output import note, table, tell
from hinaug.errors import ParameterError
from hinaug.evaluation import Comparison, Result, compare, evaluate, holm
from hinaug.generators import random_delta
from hinaug.graph import HIN, Delta
from hinaug.predictors.base import LinkPredictor
from hinaug.progress import track
from hinaug.report import METRICS, RULE, brief, shown, verdict
from hinaug.split import Split

METRIC = "NDCG@20"
Corrected = tuple[Comparison, float | None]  # a comparison, and its p after Holm's correction


@dataclass
class Learned:
    """What was measured, and what it was measured on.

    results: {arm: one result a seed}.
    models: {arm: the model of the first seed}.
    """

    results: dict[str, list[Result]]
    models: dict[str, LinkPredictor]


def deltas_by_name(paths: Sequence[Path], split: Split) -> dict[str, Delta]:
    """The deltas by the name of their folder, or by their path where two folders have one name.

    Raises ParameterError for a delta that is empty, stands twice or was made for another split.
    """
    names = _names_of(paths)
    deltas = {name: opened(path, "delta") for name, path in zip(names, paths, strict=True)}
    for name, delta in deltas.items():
        _check_made_for(name, delta, split)
    for name, delta in deltas.items():
        if not len(delta):
            raise ParameterError(
                f"--delta {name} holds nothing: there is nothing to compare", asked=name
            )
    return deltas


def _names_of(paths: Sequence[Path]) -> list[str]:
    short = [path.resolve().name for path in paths]
    names = [
        str(path) if short.count(name) > 1 or name == "plain" else name
        for path, name in zip(paths, short, strict=True)
    ]
    for name in names:
        if names.count(name) > 1:
            raise ParameterError(f"--delta: {name} stands twice", asked=name)
    return names


def _check_made_for(name: str, delta: Delta, split: Split) -> None:
    """Raises ParameterError for a delta that learned from another graph, or does not fit this one.

    It may hold this split's test pairs, or name nodes that are not there.
    """
    if not delta.fitted_on:
        note(
            f"--delta {name} does not say what it was fitted on; it counts only if it never saw "
            "what is held out"
        )
    elif set(delta.fitted_on) != {split.train.fingerprint()}:
        raise ParameterError(
            f"--delta {name} was fitted on another graph than what this split trains on, so it "
            "may hold what the split holds out; make one for this split with hinaug augment",
            asked=name,
        )
    try:
        split.train + delta
    except ValueError as error:
        raise ParameterError(f"--delta {name} does not fit this split: {error}") from error


def control(name: str) -> str:
    """The name of the arm with a random delta of the same size."""
    return f"random like {name}"


def learned(
    predictor: LinkPredictor,
    split: Split,
    deltas: dict[str, Delta],
    on: str,
    cuts: list[int],
    seeds: Iterable[int],
) -> Learned:
    """Every arm fitted, and judged on the same held-out pairs.

    An arm is fitted on train; on test it is then refitted on train and valid.
    """
    out = Learned({}, {})
    for seed in seeds:
        arms: dict[str, Delta | None] = {"plain": None}
        for name, delta in deltas.items():
            arms |= {name: delta, control(name): random_delta(split.train, delta, rng=seed)}
        for arm, extra in track(list(arms.items()), f"arms of seed {seed}"):
            model, graph = _fitted(predictor, split, extra, on, seed)
            out.results.setdefault(arm, []).append(evaluate(model, graph, split, k=cuts, on=on))
            out.models.setdefault(arm, model)
    return out


def _fitted(
    predictor: LinkPredictor, split: Split, extra: Delta | None, on: str, seed: int
) -> tuple[LinkPredictor, HIN]:
    """The model of an arm, and the graph that it scores on; a fitted one stays as it is."""
    graph, full = (g if extra is None else g + extra for g in (split.train, split.train_valid))
    if is_fitted(predictor):
        return predictor, full if on == "test" else graph
    valid = split.valid if split.valid.num_rows else None
    model = predictor.clone().fit(graph, valid=valid, rng=seed)
    return (model.refit(full, rng=seed), full) if on == "test" else (model, graph)


def newcomers(split: Split, on: str) -> tuple[int, int]:
    """How many of the users judged have no link to learn from, and how many are judged."""
    graph, pairs = (split.train, split.valid) if on == "valid" else (split.train_valid, split.test)
    users = np.unique(graph.positions(split.target[0], pairs["src"]))
    n_links = np.diff(graph.observed().adjacency(split.target).indptr)[users]
    return int((n_links == 0).sum()), len(users)


def compared(results: dict[str, list[Result]], deltas: Sequence[str]) -> list[Corrected]:
    """For each delta three comparisons, with Holm's p over all of them.

    They are delta - plain, control - plain and delta - control.
    """
    pairs = [p for d in deltas for p in (("plain", d), ("plain", control(d)), (control(d), d))]
    found = [compare(results[a], results[b], METRIC, (a, b)) for a, b in pairs]
    corrected = holm({(c.a, c.b): c.p for c in found})
    return [(c, corrected[c.a, c.b]) for c in found]


def document(results: dict[str, list[Result]], comparisons: list[Corrected]) -> dict[str, Any]:
    """The figures for machines."""
    arms = {}
    for arm, each in results.items():
        names = [*each[0].values, *each[0].overall]
        arms[arm] = {name: sum(r[name] for r in each) / len(each) for name in names}
    return {
        "users": len(_first(results).users),
        "arms": arms,
        "comparisons": [{**vars(c), "relative": c.relative, "p_holm": p} for c, p in comparisons],
        "verdicts": verdicts(comparisons),
    }


def verdicts(comparisons: list[Corrected]) -> dict[str, str]:
    """{delta: the sentence to take away}."""
    by_pair = {(c.a, c.b): (c, p) for c, p in comparisons}
    out = {}
    for (a, name), (plain, p) in by_pair.items():
        if a == "plain" and (control(name), name) in by_pair:
            random, p_random = by_pair[control(name), name]
            out[name] = verdict(plain, random, p, p_random)
    return out


def show(
    results: dict[str, list[Result]], comparisons: list[Corrected], facts: Any, console: Any
) -> None:
    """The figures for people."""
    tell(console, brief(facts["model"]))
    console.print(_table_of_arms(results, comparisons, facts))
    for name, sentence in verdicts(comparisons).items():
        tell(console, f"{name}: {sentence}")
    if comparisons:
        tell(console, f"({RULE})")


def _table_of_arms(
    results: dict[str, list[Result]], comparisons: list[Corrected], facts: Any
) -> Any:
    against_plain = {c.b: (c, p) for c, p in comparisons if c.a == "plain"}
    first = _first(results)
    more = [m for m in first.values if m.startswith("NDCG@") and m not in (METRIC, "NDCG@10")]
    title = f"{facts['on']}, full ranking, {len(first.users)} users, seeds {facts['seeds']}"
    rows = table(title, "data", *METRICS, *more, "NDCG@20, % over plain [95 %]", "p")
    for arm, each in results.items():
        cells = [f"{sum(r[m] for r in each) / len(each):.4f}" for m in (*METRICS, *more)]
        if arm in against_plain:
            cells += _gain(*against_plain[arm])
        rows.add_row(arm, *cells)
    return rows


def _gain(c: Comparison, p: float | None) -> list[str]:
    """The change in percent of plain with its interval, and p."""
    bounds = [100 * bound / c.mean_a if c.mean_a else float("nan") for bound in (c.low, c.high)]
    return [f"{100 * c.relative:+.1f} [{bounds[0]:.1f}, {bounds[1]:.1f}]", shown(p)]


def _first(results: dict[str, list[Result]]) -> Result:
    return next(iter(results.values()))[0]
