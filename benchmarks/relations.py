"""What generated relations are worth: methods, regimes and data sets, nulls included.

    HINAUG_DATA=folder python benchmarks/relations.py PART ... [--data ml-100k ...] [--seeds 8]
        [--work folder] [--out benchmarks/results/relations.jsonl]

Parts, each with a control and eight splits (a verdict needs p < .005 and eight):

    tuned      a tuned LightGCN on all its data, with its own edges and with those of an ensemble
    teacher    EASE and ItemKNN on a fifth of the training links, with a teacher's edges
    pupil      one LightGCN on the edges of an ensemble, beside that ensemble
    users      users without links, and with at most three: popularity, a tuned l2, edges
    moonshot   item - item and user - user edges from features in a tuned LightGCN

A killed run goes on: each fit is a folder in --work. Each row of --out is what one part found on
one set; an older row of the same part and set is replaced. Choices are made on valid of the first
split, from as many candidates for every arm; test is looked at once.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hinaug import HIN, Split, evaluate
from hinaug.cli.demo.jobs import JOBS, Job
from hinaug.datasets import find
from hinaug.ensembles import Weighted
from hinaug.evaluation import Comparison, Result, compare
from hinaug.features import TextEncoder, embed_text
from hinaug.generators import RelationGenerator, random_delta
from hinaug.graph import Delta
from hinaug.predictors import EASE, ItemKNN, LightGCN, NearestNeighbors, Popularity
from hinaug.predictors.base import LinkPredictor
from hinaug.split import cold_users, random_split, thin

METRIC = "NDCG@20"
OUT = Path(__file__).parent / "results" / "relations.jsonl"
WORK = Path(os.environ.get("TMPDIR", "/tmp")) / "hinaug-relations"
STRENGTHS = (1.0, 2.0, 4.0, 8.0)  # l2 of LightGCN
CONFIDENCE = 0.3

Trial = tuple[LinkPredictor, HIN]
Table = dict[str, list[Result]]  # arm -> a result a split
Maker = Callable[[], Delta | None]


class Work:
    """Results of fits that are kept in a folder, so that a killed run goes on."""

    def __init__(self, folder: Path, seeds: int) -> None:
        self.folder, self.seeds = folder, range(seeds)

    def result(self, key: str, make: Callable[[], Result]) -> Result:
        place = self.folder / key
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            made = make()
            made.save(place)
            return made
        return Result.load(place)

    def choice(self, key: str, trials: Sequence[Trial], split: Split) -> int:
        """The number of the trial that ranks valid best."""
        values = [
            self.result(f"{key}/choice-{n}", partial(on_valid, m, g, split))[METRIC]
            for n, (m, g) in enumerate(trials)
        ]
        return int(np.argmax(values))


def on_valid(model: LinkPredictor, graph: HIN, split: Split) -> Result:
    return evaluate(model.clone().fit(graph, valid=split.valid, rng=0), graph, split)


def on_test(model: LinkPredictor, split: Split, seed: int, delta: Maker | None = None) -> Result:
    """Fitted on train with choices on valid, refitted on both, judged on test."""
    made = None if delta is None else delta()
    known, full = (g if made is None else g + made for g in (split.train, split.train_valid))
    fitted = model.clone().fit(known, valid=split.valid, rng=seed).refit(full, rng=seed)
    return evaluate(fitted, full, split, on="test")


# ---- parts ---------------------------------------------------------------------------------------


def tuned(job: Job, work: Work) -> dict[str, Any]:
    """A tuned LightGCN on all its data: no edges, random ones, its own, an ensemble's."""
    found: Table = {}
    gcn = plain = None
    for seed in work.seeds:
        split = random_split(job.hin, job.relation, evidence=job.evidence, rng=seed)
        if gcn is None or plain is None:
            l2s = (*(0.0625, 0.125, 0.25, 0.5), *STRENGTHS)
            trials = [(light(job, l2), split.train) for l2 in l2s]
            plain = trials[work.choice("plain", trials, split)][0]
            gcn = plain.clone(weight="confidence")
        deltas = lazily(job, split, seed, {"own": plain, "ensemble": team(job, plain)})
        size = {"own": 0.5, "ensemble": 0.5}
        for arm, model, source in (
            ("plain", plain, None),
            ("random", gcn, "random"),
            ("own edges", gcn, "own"),
            ("edges of an ensemble", gcn, "ensemble"),
        ):
            made = work.result(
                f"{seed}-{arm}",
                partial(on_test, model, split, seed, partial(deltas, source, size)),
            )
            found.setdefault(arm, []).append(made)
    return told(found, "plain", "random")


def teacher(job: Job, work: Work) -> dict[str, Any]:
    """EASE and ItemKNN on thin data, with edges of LightGCN: 2 or 4 times the observed ones."""
    rows: dict[str, Any] = {}
    found: Table = {}
    chosen: dict[str, Any] = {}
    for seed in work.seeds:
        split = random_split(job.hin, job.relation, evidence=job.evidence, rng=seed)
        split = thin(split, 0.2, rng=seed)
        if not chosen:
            trials = [(light(job, l2), split.train) for l2 in STRENGTHS]
            chosen["teacher"] = trials[work.choice("teacher", trials, split)][0]
        deltas = lazily(job, split, seed, {"teacher": chosen["teacher"]}, CONFIDENCE)
        for name, (plain, augmented) in students(job).items():
            if name not in chosen:
                simple = plain[work.choice(name, [(m, split.train) for m in plain], split)]
                offers = [(m, size) for m in augmented for size in (2.0, 4.0)]
                graphs = {s: split.train + deltas("teacher", {"teacher": s}) for s in (2.0, 4.0)}
                at = work.choice(f"{name}+", [(m, graphs[s]) for m, s in offers], split)
                chosen[name] = simple, *offers[at]
            simple, better, size = chosen[name]
            for arm, model, source in (
                ("plain", simple, None),
                ("random", better, "random"),
                ("teacher's edges", better, "teacher"),
            ):
                made = work.result(
                    f"{seed}-{name}-{arm}",
                    partial(
                        on_test, model, split, seed, partial(deltas, source, {"teacher": size})
                    ),
                )
                found.setdefault(f"{name}, {arm}", []).append(made)
        made = work.result(f"{seed}-teacher", partial(on_test, chosen["teacher"], split, seed))
        found.setdefault("teacher", []).append(made)
    for name in students(job):
        arms = {a: found[f"{name}, {a}"] for a in ("plain", "random", "teacher's edges")}
        rows[name] = told(arms, "plain", "random") | {"settings": repr(chosen[name])}
    rows["teacher"] = float(np.mean([r[METRIC] for r in found["teacher"]]))
    return rows


def pupil(job: Job, work: Work) -> dict[str, Any]:
    """One LightGCN that learns from the edges of an ensemble, in graph and loss."""
    found: Table = {}
    for seed in work.seeds:
        split = random_split(job.hin, job.relation, evidence=job.evidence, rng=seed)
        split = thin(split, 0.2, rng=seed)
        trials = [(light(job, l2), split.train) for l2 in STRENGTHS]
        plain = trials[work.choice("plain", trials, split)][0]
        members = team(job, plain)
        deltas = lazily(job, split, seed, {"ensemble": members})
        learner = plain.clone(weight="confidence")
        for arm, model, source in (
            ("plain", plain, None),
            ("random", learner, "random"),
            ("edges of an ensemble", learner, "ensemble"),
            ("the ensemble itself", members, None),
        ):
            made = work.result(
                f"{seed}-{arm}",
                partial(on_test, model, split, seed, partial(deltas, source, {"ensemble": 4.0})),
            )
            found.setdefault(arm, []).append(made)
    return told(found, "plain", "random")


def users(job: Job, work: Work) -> dict[str, Any]:
    """Users with no link and with three: popularity, EASE with a tuned l2, EASE with own edges."""
    rows: dict[str, Any] = {}
    for known in (0, 3):
        found: Table = {}
        for seed in work.seeds:
            split = cold_users(job.hin, job.relation, evidence=job.evidence, known=known, rng=seed)
            arms: dict[str, LinkPredictor] = {"popularity": Popularity(job.relation)}
            if known:
                grid = [EASE(job.relation, l2=l2) for l2 in (30, 100, 300, 1000, 3000, 10_000)]
                at = work.choice(f"{known}", [(m, split.train) for m in grid], split)
                arms["EASE, tuned l2"] = grid[at]
            for arm, model in arms.items():
                made = work.result(f"{known}-{seed}-{arm}", partial(on_test, model, split, seed))
                found.setdefault(arm, []).append(made)
            if known:
                best = arms["EASE, tuned l2"]
                deltas = lazily(job, split, seed, {"own": best}, CONFIDENCE)
                heavier = best.clone(weight="confidence")
                made = work.result(
                    f"{known}-{seed}-edges",
                    partial(on_test, heavier, split, seed, partial(deltas, "own", {"own": 0.5})),
                )
                found.setdefault("EASE, edges", []).append(made)
        rows[f"known {known}"] = told(found, "EASE, tuned l2" if known else "popularity", None)
    return rows


def moonshot(job: Job, work: Work) -> dict[str, Any]:
    """Neighbours by features join the propagation of a tuned LightGCN: 12 trials an arm."""
    found: Table = {}
    chosen: dict[str, LinkPredictor] = {}
    columns = [c for c in job.features if isinstance(c, str)]
    if not columns:
        return {"left out": "no column of the items to make relations of"}
    similar = [{"smooth": beta, "feature_scale": 0.0} for beta in (0.4, 0.8, 1.6)]
    arms: dict[str, list[dict[str, Any]]] = {
        "plain": [{"n_layers": n} for n in (1, 2, 3)],
        "similar items": [{"features": [columns[0]], **more} for more in similar],
        "shuffled": [{"features": ["shuffled"], **more} for more in similar],
        "similar items and features": [
            {"features": [columns[0]], **more, "feature_scale": 0.3} for more in similar
        ],
    }
    for seed in work.seeds:
        split = random_split(job.hin, job.relation, evidence=job.evidence, rng=seed)
        for arm, freedom in arms.items():
            here = split if arm != "shuffled" else shuffled(split, job, columns[0], seed)
            if arm not in chosen:
                l2s = (0.25, 0.5, 1.0, 2.0)
                grid = [light(job, l2).clone(**more) for l2 in l2s for more in freedom]
                at = work.choice(arm, [(m, here.train) for m in grid], here)
                chosen[arm] = grid[at]
            made = work.result(f"{seed}-{arm}", partial(on_test, chosen[arm], here, seed))
            found.setdefault(arm, []).append(made)
    settings = {arm: {"l2": m.l2, "n_layers": m.n_layers, "smooth": m.smooth}
                for arm, m in chosen.items() if isinstance(m, LightGCN)}  # fmt: skip
    return told(found, "plain", "shuffled") | {"settings": settings}


# ---- what the parts share ------------------------------------------------------------------------


def light(job: Job, l2: float) -> LightGCN:
    return LightGCN(job.relation, loss="softmax", lr=0.1, embedding_dim=64, l2=l2)


def team(job: Job, gcn: LinkPredictor) -> Weighted:
    members = [gcn.clone(), EASE(job.relation), ItemKNN(job.relation)]
    if any(column == "x" for column in job.features):
        members.append(NearestNeighbors(job.relation))
    return Weighted(members)


def students(job: Job) -> dict[str, tuple[list[LinkPredictor], list[LinkPredictor]]]:
    """Eight candidates without generated edges, and four for each of two sizes with them."""
    strengths = (30, 100, 300, 1000, 2000, 3000, 10_000, 30_000)
    neighbours = (5, 10, 20, 50, 100, 200, 500, 1000)
    weight = "confidence"
    return {
        "EASE": (
            [EASE(job.relation, l2=l2) for l2 in strengths],
            [EASE(job.relation, l2=l2, weight=weight) for l2 in (100, 300, 1000, 3000)],
        ),
        "ItemKNN": (
            [ItemKNN(job.relation, k=k) for k in neighbours],
            [ItemKNN(job.relation, k=k, weight=weight) for k in (20, 50, 100, 200)],
        ),
    }


def lazily(
    job: Job,
    split: Split,
    seed: int,
    makers: dict[str, LinkPredictor],
    confidence: float | None = None,
) -> Callable[[str | None, dict[str, float]], Delta | None]:
    """Deltas by name, made when they are first asked for; "random" is like the last maker's."""
    fitted: dict[str, RelationGenerator] = {}

    def delta(name: str | None, size: dict[str, float]) -> Delta | None:
        if name is None:
            return None
        maker = list(makers)[-1] if name == "random" else name
        if maker not in fitted:
            generator = RelationGenerator(makers[maker], evidence=job.evidence)
            fitted[maker] = generator.fit(split.train, valid=split.valid, rng=seed)
        made = fitted[maker].generate(split.train, size[maker], rng=seed)
        made = made if confidence is None else made.with_confidence(confidence)
        return made if name != "random" else random_delta(split.train, made, rng=seed)

    return delta


def shuffled(split: Split, job: Job, column: str, seed: int) -> Split:
    """The split with a column "shuffled": each item has the values of another one."""
    item = job.relation[2]
    order = np.random.default_rng(seed).permutation(split.train.n(item))
    values = split.train.column(item, column).take(pa.array(order))
    graph = job.hin.with_column(item, "shuffled", values, lineage="row")
    return random_split(graph, job.relation, evidence=job.evidence, rng=seed)


def told(found: Table, base: str, control: str | None) -> dict[str, Any]:
    """Means, and every arm against the base and, where there is one, against the control."""
    rows: dict[str, Any] = {arm: round(mean(results), 5) for arm, results in found.items()}
    for arm in found:
        for other in {base, control} - {arm, None}:
            if arm not in (base, control) or other == base:
                rows[f"{arm} - {other}"] = in_short(against(found, str(other), arm))
    return rows


def mean(results: list[Result]) -> float:
    return float(np.mean([r[METRIC] for r in results]))


def against(found: Table, a: str, b: str) -> Comparison:
    one, two = ([[result] for result in found[arm]] for arm in (a, b))
    return compare(one, two, METRIC, (a, b), splits=True)


def in_short(c: Comparison) -> dict[str, Any]:
    low, high = (
        round(100 * bound / c.mean_a, 2) if c.mean_a else None for bound in (c.low, c.high)
    )
    return {"%": round(100 * c.relative, 2), "low": low, "high": high, "p": c.p,
            "outcome": c.outcome(), "splits": c.splits}  # fmt: skip


PARTS: dict[str, Callable[[Job, Work], dict[str, Any]]] = {
    "tuned": tuned,
    "teacher": teacher,
    "pupil": pupil,
    "users": users,
    "moonshot": moonshot,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="+", choices=[*PARTS])
    parser.add_argument("--data", nargs="+", default=["ml-100k"], choices=[*JOBS])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    for data in given.data:
        job = JOBS[data](find(data).folder)
        if job.embed is not None:
            job.hin = embed_text(job.hin, job.embed, TextEncoder("minilm"))
        for part in given.parts:
            begin = time.perf_counter()
            found = PARTS[part](job, Work(given.work / data / part, given.seeds))
            seconds = round(time.perf_counter() - begin, 1)
            row = {"part": part, "data": data, "seconds": seconds, **found}
            print(json.dumps(row), flush=True)
            keep(given.out, row)


def keep(path: Path, row: dict[str, Any]) -> None:
    """Adds a row; an older one of the same part and set goes."""
    lines = path.read_text().splitlines() if path.exists() else []
    same = [(r["part"], r["data"]) == (row["part"], row["data"]) for r in map(json.loads, lines)]
    kept = [line for line, is_same in zip(lines, same, strict=True) if not is_same]
    path.write_text("\n".join([*kept, json.dumps(row)]) + "\n")


if __name__ == "__main__":
    main()
