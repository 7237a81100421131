"""A shop that runs a simple model on thin data: edges from a better teacher.

The teacher is LightGCN. Its likeliest unobserved pairs become edges, EASE and ItemKNN learn from
these too, and still run as cheaply as before. Beside them: as many random edges, and the teacher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hinaug.cli.demo.jobs import Job
from hinaug.evaluation import Result, evaluate
from hinaug.generators import RelationGenerator, random_delta
from hinaug.graph import HIN, Delta, EdgeType
from hinaug.io import save
from hinaug.predictors import EASE, ItemKNN, LightGCN
from hinaug.predictors.base import LinkPredictor
from hinaug.progress import track
from hinaug.report import Arms, Bars, Finding, Log, Text, compared, generated, graph_blocks, lists
from hinaug.split import Split, audit, random_split, thin

SHARE = 0.2  # of the training links that a thin shop has
SIZES = (2.0, 4.0)  # generated edges, in units of the observed ones
CONFIDENCE = 0.3  # what a generated edge counts, where an observed one counts 1
METRIC = "NDCG@20"


@dataclass
class Choices:
    """What was chosen on valid at the first seed; each model from as many candidates."""

    teacher: LinkPredictor | None = None
    plain: dict[str, LinkPredictor] = field(default_factory=dict)
    augmented: dict[str, tuple[LinkPredictor, float]] = field(default_factory=dict)


def shop(job: Job, seeds: Sequence[int], log: Log, folder: Path, quick: bool) -> list[Finding]:
    """Runs the step over all seeds, a split each, and tells what was found."""
    log.section(
        "A shop with a simple model and thin data",
        f"{SHARE:.0%} of the training links are kept. LightGCN, the teacher, proposes edges; EASE "
        f"and ItemKNN learn from them at confidence {CONFIDENCE}.",
    )
    choices = Choices()
    results: dict[tuple[str, str], list[Result]] = {}
    taught: list[Result] = []
    for seed in track(list(seeds), "splits of the shop"):
        split = thin(
            random_split(job.hin, job.relation, evidence=job.evidence, rng=seed), SHARE, rng=seed
        )
        made = _one_seed(split, seed, choices, results, taught, quick)
        if seed == seeds[0]:
            first = split, made
    arms = compared("Thin data", results, splits=True)
    log.write(*arms.documents())
    log.add(*_told(arms, taught), *arms.blocks())
    _first(job, *first, log, folder)
    return [arms.finding(model) for model in arms.models]


def _one_seed(
    split: Split,
    seed: int,
    choices: Choices,
    results: dict[tuple[str, str], list[Result]],
    taught: list[Result],
    quick: bool,
) -> tuple[Delta, dict[str, tuple[LinkPredictor, HIN]]]:
    """Fits every arm on one split. Gives the delta of EASE, and its models."""
    train, full = split.train, split.train_valid
    teacher = _teacher(split, seed, choices, quick)
    generator = RelationGenerator(teacher).fit(train, valid=split.valid, rng=seed)
    offers = {
        size: generator.generate(train, size, rng=seed).with_confidence(CONFIDENCE)
        for size in SIZES
    }
    if not choices.plain:
        _choose_students(split, seed, offers, choices)
    taught.append(_tested(generator.predictor_, split, full, seed)[0])
    shown = {}
    for name, student in choices.plain.items():
        better, size = choices.augmented[name]
        delta = offers[size]
        noise = random_delta(train, delta, rng=seed).with_confidence(CONFIDENCE)
        for arm, model, extra in (
            ("plain", student, None),
            ("random", better, noise),
            ("augmented", better, delta),
        ):
            known, graph = (g if extra is None else g + extra for g in (train, full))
            fitted = model.clone().fit(known, valid=split.valid, rng=seed)
            result, fitted = _tested(fitted, split, graph, seed)
            results.setdefault((name, arm), []).append(result)
            if name == "EASE":
                shown[arm] = fitted, graph
    return offers[choices.augmented["EASE"][1]], shown


def _tested(
    model: LinkPredictor, split: Split, graph: HIN, seed: int
) -> tuple[Result, LinkPredictor]:
    """Refitted on train and valid with the choices made, and judged on test."""
    fitted = model.refit(graph, rng=seed)
    return evaluate(fitted, graph, split, on="test"), fitted


def _teacher(split: Split, seed: int, choices: Choices, quick: bool) -> LinkPredictor:
    if choices.teacher is None:
        plain = LightGCN(split.target, loss="softmax", lr=0.1, embedding_dim=64)
        plain = plain.clone(epochs=10) if quick else plain
        candidates = [(plain.clone(l2=l2), split.train) for l2 in (1.0, 2.0, 4.0)]
        choices.teacher = candidates[_best(candidates, split, seed)][0]
    return choices.teacher


def _choose_students(split: Split, seed: int, offers: dict[float, Delta], choices: Choices) -> None:
    """Eight candidates without generated edges, and eight with them."""
    graphs = {size: split.train + delta for size, delta in offers.items()}
    for name, (plain, augmented) in _students(split.target).items():
        at = _best([(m, split.train) for m in plain], split, seed)
        choices.plain[name] = plain[at]
        trials = [(m, size) for m in augmented for size in SIZES]
        at = _best([(m, graphs[size]) for m, size in trials], split, seed)
        choices.augmented[name] = trials[at]


def _students(relation: EdgeType) -> dict[str, tuple[list[LinkPredictor], list[LinkPredictor]]]:
    """Candidates without generated edges, and candidates that weigh them."""
    strengths = (30, 100, 300, 1000, 2000, 3000, 10_000, 30_000)
    neighbours = (5, 10, 20, 50, 100, 200, 500, 1000)
    by = "confidence"
    return {
        "EASE": (
            [EASE(relation, l2=l2) for l2 in strengths],
            [EASE(relation, l2=l2, weight=by) for l2 in (100, 300, 1000, 3000)],
        ),
        "ItemKNN": (
            [ItemKNN(relation, k=k) for k in neighbours],
            [ItemKNN(relation, k=k, weight=by) for k in (20, 50, 100, 200)],
        ),
    }


def _best(candidates: Sequence[tuple[LinkPredictor, HIN]], split: Split, seed: int) -> int:
    """The number of the candidate, a model and its graph, that ranks valid best."""
    values = [
        evaluate(model.clone().fit(graph, valid=split.valid, rng=seed), graph, split)[METRIC]
        for model, graph in candidates
    ]
    return int(np.argmax(values))


def _first(
    job: Job,
    split: Split,
    made: tuple[Delta, dict[str, tuple[LinkPredictor, HIN]]],
    log: Log,
    folder: Path,
) -> None:
    """What is shown of the first split: its audit, what was generated, two lists, the store."""
    delta, models = made
    log.add(Text(f"First split: {split}; audit: {audit(split)}"))
    log.add(generated(delta))
    log.add(*graph_blocks(models["augmented"][1], job.relation, "thin data"), quiet=True)
    log.add(*lists(models["plain"], models["augmented"], split, job.title()))
    save(models["augmented"][1], folder)


def _told(arms: Arms, taught: list[Result]) -> list[Text | Bars]:
    """One sentence, and the bars: deployed, random, augmented, teacher."""
    teacher = float(np.mean([r[METRIC] for r in taught]))
    values, told = {}, []
    for model in arms.models:
        c, random = (arms.found[model, f"{a} - plain"] for a in ("augmented", "random"))
        values[model] = {
            "deployed": [c.mean_a],
            "with random edges": [random.mean_b],
            "with the teacher's edges": [c.mean_b],
            "the teacher": [teacher],
        }
        gap = teacher - c.mean_a
        closed = f", {100 * c.difference / gap:.0f} % of the way to it" if gap > 0 else ""
        told.append(
            f"{model} goes from {c.mean_a:.4f} to {c.mean_b:.4f} ({100 * c.relative:+.0f} %); "
            f"random edges: {100 * random.relative:+.1f} %; the teacher itself: "
            f"{teacher:.4f}{closed}"
        )
    title = "Deployed, augmented, teacher"
    return [Text(f"{'. '.join(told)}."), Bars(title, METRIC, values, ["with the teacher's edges"])]
