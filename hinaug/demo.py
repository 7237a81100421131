"""The main job, end to end: raw files -> graph -> text features -> split -> deltas -> ensemble -> honest comparison.

Read it top to bottom as the example of how the rooms of the house fit together; `hinaug demo` runs it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from hinaug.base import LinkPredictor
from hinaug.datasets import amazon_reviews, find, movielens_100k
from hinaug.delta import Delta, merge
from hinaug.ensemble import Weighted
from hinaug.evaluation import Comparison, Result, evaluate
from hinaug.generators import WGAN, RelationGenerator, random_delta
from hinaug.hin import HIN, EdgeType
from hinaug.io import save
from hinaug.leaks import audit
from hinaug.predictors import EASE, ItemKNN, LightGCN, NearestNeighbors
from hinaug.show import Log, show_comparisons, show_generated, show_recommendations
from hinaug.split import Split, random_split, thin
from hinaug.text import TextEncoder, embed_text

L2_GRID = (30.0, 100.0, 300.0, 1000.0)
EDGE_SIZES = (0.1, 0.5)
USER_SIZE = 0.2


@dataclass
class Job:
    """What differs between data sets: the graph, the relation, its evidence, and how to print an item."""

    hin: HIN
    relation: EdgeType
    evidence: tuple[str, ...]
    title: Callable[[Any], str]
    embed: str
    notes: list[str] = field(default_factory=list)


def movielens(folder: Path) -> Job:
    hin = movielens_100k(folder)
    relation = ("user", "rates", "movie")
    liked = np.asarray(hin.edges[relation]["rating"]) >= 4
    titles = dict(zip(hin.ids("movie").to_pylist(), hin.nodes["movie"]["title"].to_pylist(), strict=True))
    note = f"a rating of 4 or 5 counts as a link: {int(liked.sum()):,} of {len(liked):,} ratings"
    return Job(hin.filter_edges(relation, liked), relation, (), lambda i: titles[i] or str(i), "movie", [note])


def amazon(folder: Path) -> Job:
    hin = amazon_reviews(folder)
    relation = ("user", "rates", "item")
    note = "every review counts as a link, whatever its rating; the files name no titles, so items show by their number"
    return Job(hin, relation, ("review",), str, "review", [note])


JOBS = {"ml-100k": movielens, "amazon-musical-instruments": amazon}


def run(
    dataset: str = "ml-100k",
    *,
    folder: Path | None = None,
    out: Path | str = "hinaug-demo",
    encoder: str = "minilm",
    seeds: Iterable[int] = (0, 1),
    console: Console | None = None,
) -> dict[str, list[Comparison]]:
    """Runs the demo on a public data set, prints what it finds and writes `out`/results.jsonl and the stores."""
    console = console or Console(width=120, highlight=False)
    if dataset not in JOBS:
        raise ValueError(f"no demo for {dataset!r}; there are {list(JOBS)}")
    found = find(dataset, folder)
    console.print(f"[bold]{dataset}[/]: read from {found.source}\n  terms: {found.terms}")
    job = JOBS[dataset](found.folder)
    started = time.perf_counter()
    job.hin = embed_text(job.hin, job.embed, TextEncoder(encoder))
    console.print(f"  text of {job.embed} nodes embedded with {encoder} in {time.perf_counter() - started:.1f} s")
    return experiment(job, out=Path(out), seeds=tuple(seeds), console=console)


def experiment(
    job: Job, *, out: Path, seeds: tuple[int, ...], console: Console, quick: bool = False
) -> dict[str, list[Comparison]]:
    """Both regimes of one job. quick: small models, for a smoke test."""
    started = time.perf_counter()
    for note in job.notes:
        console.print(f"  {note}")
    console.print(job.hin.summary())
    out.mkdir(parents=True, exist_ok=True)
    log = Log(out / "results.jsonl")
    found = {}
    for regime in ("all data", "thin data"):
        console.rule(f"[bold]{regime}")
        results: dict[tuple[str, str], list[Result]] = {}
        for seed in seeds:
            split = random_split(job.hin, job.relation, evidence=job.evidence, rng=seed)
            if regime == "thin data":
                split = thin(split, 0.2, rng=seed)
            if seed == seeds[0]:
                console.print(f"{split}\naudit: {audit(split)}")
            delta, model, graph = one_seed(job, split, seed, results, log, regime, console, quick)
            if seed == seeds[0]:
                show_generated(delta, console, "what was generated (first seed)")
                show_recommendations(model, graph, split, delta, job.title, console)
                save(graph, out / regime.split()[0])
        found[regime] = show_comparisons(results, regime, log, console)
    console.rule()
    console.print(f"results: {log.path}; augmented stores: {out}/all, {out}/thin (hinaug info {out}/thin)")
    console.print(f"done in {time.perf_counter() - started:.0f} s")
    return found


def one_seed(
    job: Job, split: Split, seed: int, results: dict, log: Log, regime: str, console: Console, quick: bool
) -> tuple[Delta, Weighted, HIN]:
    """Generate on train, learn on train with choices on valid, refit on train + valid, evaluate on test, for each arm."""
    clock = time.perf_counter()
    relation = job.relation
    steps = 20 if quick else None
    teacher = RelationGenerator(LightGCN(relation, loss="softmax", steps=steps), evidence=job.evidence)
    teacher.fit(split.train, valid=split.valid, rng=seed)
    users = (
        WGAN("user", relation=relation, steps=50 if quick else WGAN.steps)
        .fit(split.train, rng=seed)
        .generate(split.train, USER_SIZE, rng=seed)
    )
    guesses = [teacher.generate(split.train, size, rng=seed) for size in EDGE_SIZES]
    chosen = max(
        guesses, key=lambda g: tuned_ease(job, split, g)[1]
    )  # how many edges: on valid, by the cheapest member
    delta = merge([chosen, users])
    deltas = {"plain": None, "random": random_delta(split.train, delta, rng=seed), "augmented": delta}
    console.print(f"seed {seed}: generated {len(delta):,} rows in {time.perf_counter() - clock:.1f} s")
    for arm, extra in deltas.items():
        clock = time.perf_counter()
        train, full = (g if extra is None else g + extra for g in (split.train, split.train_valid))
        ease, _ = tuned_ease(job, split, extra)
        members = [ease, LightGCN(relation, loss="softmax", steps=steps), ItemKNN(relation)]
        if job.embed == relation[2]:
            members.append(NearestNeighbors(relation))
        model = Weighted(members).fit(train, valid=split.valid, rng=seed).refit(full, rng=seed)
        shown: dict[str, LinkPredictor] = {
            "ensemble": model,
            "EASE alone": model.predictors_[0],
            "LightGCN alone": model.predictors_[1],
        }
        for name, predictor in shown.items():
            result = evaluate(predictor, full, split, on="test")
            results.setdefault((name, arm), []).append(result)
            log.result(result, regime=regime, seed=seed, model=name, arm=arm)
        said = f"  {arm:<10} ensemble NDCG@20 {results['ensemble', arm][-1]['NDCG@20']:.4f}, weights {model.weights_.round(2).tolist()}"
        console.print(f"{said}, {time.perf_counter() - clock:.1f} s")
    return delta, model, full


def tuned_ease(job: Job, split: Split, delta: Delta | None) -> tuple[EASE, float]:
    """EASE with the l2 that is best on valid: every arm gets the same grid."""
    train = split.train if delta is None else split.train + delta
    scored = []
    for l2 in L2_GRID:
        model = EASE(job.relation, l2=l2).fit(train)
        scored.append((evaluate(model, train, split, k=20)["NDCG@20"], l2))
    value, l2 = max(scored)
    return EASE(job.relation, l2=l2), value
