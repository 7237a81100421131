"""What each generator does for EASE on thin MovieLens 100K, beside no augmentation and a random
delta of the same size.

    HINAUG_DATA=folder python benchmarks/generators.py [--seeds 8] [--trials 15]
        [--only JointVAE ...] [--out results.jsonl]

Ratings of at least 4 are links; per user 80/10/10 at random, then a fifth of each user's train
links is left. Generators are fitted on train. Users are generated six for each real one (`--times`)
and edges as many as there are. EASE is fitted on train + delta and judged on test.

Every arm is searched by `tune` with the same number of trials on valid, the one without a delta
too: l2, and where there is a delta the one confidence that all its rows get. `compare` reports no
gain where the numbers differ, or where the base ends on the edge of its space. p is over users and
splits, corrected for the table (Holm): against no delta, and against the random delta of the same
size with real popularity.

AUC: of a classifier that tells real users' links from generated ones (0.5: it cannot). Its features
are learned from half of the real users, and the other half is told from as many generated ones.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from threadpoolctl import threadpool_limits

from hinaug.datasets import load
from hinaug.errors import EdgeWarning
from hinaug.evaluation import Result, compare, evaluate, holm
from hinaug.evaluation.tune import tune
from hinaug.generators import (
    Aggregation,
    JointVAE,
    RelationGenerator,
    SecondMoment,
    Synthesis,
    random_delta,
)
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.predictors import EASE, LightGCN
from hinaug.split.base import Split
from hinaug.split.random import random_split
from hinaug.split.thin import thin
from hinaug.training.estimator import Estimator

RATES = ("user", "rates", "movie")
L2 = (30.0, 1_000_000.0, "log")
CONFIDENCE = (0.03, 1.0, "log")  # 1 is a natural end: there is nothing beyond


def generators() -> dict[str, Estimator]:
    return {
        "Synthesis": Synthesis(),
        "Synthesis, random pairs": Synthesis(pair="random"),
        "Aggregation": Aggregation(),
        "SecondMoment": SecondMoment(),
        "JointVAE": JointVAE(),
        "JointVAE, 30 % kept": JointVAE(keep=0.3),
        "edges by LightGCN": RelationGenerator(LightGCN(RATES, l2=0.2)),
        "edges by EASE": RelationGenerator(EASE(RATES, l2=1000.0)),
    }


@dataclass(eq=False)
class Augmented(EASE):
    """EASE on a graph whose generated rows all count with one confidence."""

    weight: str | None = "confidence"
    confidence: float = 0.3

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        super()._fit(self._weighted(hin), valid, rng)

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        return super()._score(self._weighted(hin), src)

    def _weighted(self, hin: HIN) -> HIN:
        def with_confidence() -> HIN:
            graph = hin.observed()
            for delta in hin.deltas:
                graph = graph + delta.with_confidence(self.confidence)
            return graph

        return self._per_graph(hin, "weighted", with_confidence)


def judged(split: Split, delta: Delta | None, trials: int, seed: int) -> tuple[Result, dict]:
    """The test result of an arm with the settings that a search found, and what it found."""
    if delta is None:
        graph, model, space = split.train, EASE(RATES, weight="confidence"), {"l2": L2}
    else:
        graph, model = split.train + delta, Augmented(RATES)
        space = {"l2": L2, "confidence": CONFIDENCE}
    natural = {"confidence": 1.0} if delta is not None else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EdgeWarning)  # the table says it
        found = tune(
            model,
            space,
            dataclasses.replace(split, train=graph),
            trials=trials,
            natural=natural,
            rng=seed,
        )
    fitted = found.best.clone().fit(graph, rng=seed)
    chosen = {name: round(getattr(found.best, name), 3) for name in space}
    said = {"valid": found.value, "chosen": chosen, "edges": found.edges}
    return evaluate(fitted, graph, split, k=20, on="test"), said


def arms(
    split: Split, chosen: dict[str, Estimator], times: float, seed: int
) -> Iterator[tuple[str, Delta | None, float]]:
    """(name, delta, seconds) of each arm; a random delta for the first of users and of edges."""
    yield "none", None, 0.0
    controls: set[str] = set()
    for name, generator in chosen.items():
        start = time.perf_counter()
        size = 1.0 if isinstance(generator, RelationGenerator) else times
        fitted = generator.clone().fit(split.train, valid=split.valid, rng=seed)
        delta = fitted.generate(split.train, size, rng=seed)
        yield name, delta, time.perf_counter() - start
        if control(name) not in controls:
            controls.add(control(name))
            yield control(name), random_delta(split.train, delta, seed), 0.0


def control(name: str) -> str:
    """The name of the random arm that a generator is compared with."""
    return "random edges" if name.startswith("edges") else "random users"


def links(split: Split, delta: Delta) -> np.ndarray:
    rows, users = delta.edges[RATES], delta.nodes["user"]["id"]
    out = np.zeros((len(users), split.train.n("movie")))
    at = pc.index_in(rows["src"], value_set=users).to_numpy()
    out[at, split.train.positions("movie", rows["dst"])] = 1
    return out


def auc(real: np.ndarray, made: np.ndarray, seed: int) -> float:
    """Half of the real users give the basis (popularity, cosines, axes); the others are told from
    as many made ones.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(real))
    basis, real = real[order[: len(real) // 2]], real[order[len(real) // 2 :]]
    made = made[rng.permutation(len(made))[: len(real)]]
    popular = np.log1p(basis.sum(0))
    unit = basis / np.maximum(np.linalg.norm(basis, axis=0), 1)
    axes = np.linalg.svd(unit, full_matrices=False)[2][:32].T
    both = np.concatenate([real, made])
    n = np.maximum(both.sum(1), 1)
    mean = both @ popular / n
    spread = np.sqrt(np.maximum(both @ popular**2 / n - mean**2, 0))
    together = ((both @ unit.T) ** 2).sum(1) - both @ (unit**2).sum(0)
    x = np.column_stack(
        [
            np.log(n),
            mean,
            spread,
            together / np.maximum(n * (n - 1), 1),
            both @ axes / np.sqrt(n)[:, None],
        ]
    )
    y = np.r_[np.ones(len(real)), np.zeros(len(made))]
    shuffle = rng.permutation(len(y))
    model = HistGradientBoostingClassifier(
        max_iter=50, max_depth=3, min_samples_leaf=10, random_state=0
    )
    with threadpool_limits(1):  # small data: more threads only wait for each other
        said = cross_val_predict(model, x[shuffle], y[shuffle], cv=5, method="predict_proba")[:, 1]
    return float(roc_auc_score(y[shuffle], said))


def show(rows: dict[str, list[dict]], results: dict[str, list[Result]]) -> None:
    """A row an arm: means over the splits, and the settings of the first three."""
    print(f"{'':<26} {'valid':>6} {'test':>6} {'gain':>7} {'AUC':>5} {'fit s':>6}  chosen")
    test = {name: np.mean([r["NDCG@20"] for r in found]) for name, found in results.items()}
    for name, found in rows.items():
        valid, seconds, auc = (
            np.mean([row.get(key, np.nan) for row in found]) for key in ("valid", "seconds", "auc")
        )
        chosen = "; ".join(str(row["chosen"]) for row in found[:3])
        print(
            f"{name:<26} {valid:6.4f} {test[name]:6.4f} {test[name] / test['none'] - 1:+7.1%} "
            f"{auc:5.2f} {seconds:6.0f}  {chosen}"
        )


def verdicts(results: dict[str, list[Result]]) -> list[str]:
    """What may be said of each generator against no delta, and against the random one."""
    by_split = {name: [[result] for result in found] for name, found in results.items()}
    made = [name for name in results if name != "none" and not name.startswith("random")]
    found = {
        (base, name): compare(by_split[base], by_split[name], names=(base, name), splits=True)
        for name in made
        for base in ("none", control(name))
    }
    p = holm({pair: comparison.p for pair, comparison in found.items()})
    return [comparison.verdict(p=p[pair]) for pair, comparison in found.items()]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=8, help="splits; a verdict needs eight")
    parser.add_argument("--trials", type=int, default=15, help="settings that each arm may try")
    parser.add_argument("--times", type=float, default=6.0, help="generated users for a real one")
    parser.add_argument("--only", nargs="*", choices=list(generators()))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    hin = load("ml-100k")
    hin = hin.filter_edges(RATES, hin.column(RATES, "rating").to_numpy() >= 4)
    chosen = {n: g for n, g in generators().items() if not options.only or n in options.only}
    rows: dict[str, list[dict]] = {}
    results: dict[str, list[Result]] = {}
    for seed in range(options.seeds):
        split = thin(random_split(hin, RATES, rng=seed), 0.2, rng=seed)
        adjacency = split.train.adjacency(RATES)
        real = adjacency[np.diff(adjacency.indptr) > 0].toarray()
        for name, delta, seconds in arms(split, chosen, options.times, seed):
            result, said = judged(split, delta, options.trials, seed)
            row = {"name": name, "seed": seed, "test": result["NDCG@20"], "seconds": seconds} | said
            if delta is not None and delta.nodes:
                row["auc"] = auc(real, links(split, delta), seed)
            rows.setdefault(name, []).append(row)
            results.setdefault(name, []).append(result)
            if options.out:
                with options.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
    show(rows, results)
    print(*verdicts(results), sep="\n")


if __name__ == "__main__":
    main()
