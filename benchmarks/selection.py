"""Is confidence what it says, what does each selection keep, and does strength by degree pay?

    HINAUG_DATA=folder python benchmarks/selection.py [reliability] [rules] [adaptive] [--seeds 8]
        [--out results.jsonl]

reliability  Planted worlds (1,000 users, 300 items): ECE of 10,000 edges in 15 bins of equal mass,
             of "confidence" against held-out test pairs and of "confidence_true" against pairs of
             one topic. The bar is .02.
rules        MovieLens 100K, ratings of at least 4 are links, 80/10/10, a fifth of train. A LightGCN
             proposes 4 edges a link; each rule keeps one a link, EASE learns from train + these at
             confidence .3 and is judged on test. p of a paired test over users, seeds averaged,
             against as many at random. "influence on valid" is a control.
adaptive     Planted worlds, 1,500 users, half with 4 links and half with about 40. EASE, fitted on
             train, judged on test: no edges; the best common strength and confidence on valid;
             `adapt_strength` with the same grid. p over users, and over worlds.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import stats

from hinaug.datasets import load, planted
from hinaug.datasets.planted import RATES
from hinaug.errors import SelectionWarning
from hinaug.evaluation import evaluate
from hinaug.generators.relations import RelationGenerator, reliability, with_truth
from hinaug.generators.selection import (
    adapt_strength,
    agreed,
    at_random,
    diverse,
    influential,
    influential_on_valid,
    most_confident,
)
from hinaug.generators.selection.adaptive import _Pool
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.predictors import EASE, ItemKNN, LightGCN
from hinaug.split.base import Split
from hinaug.split.random import random_split
from hinaug.split.thin import thin

MOVIE = ("user", "rates", "movie")
STRENGTHS = (1.0, 2.0, 5.0, 10.0, 20.0)
WEIGHTS = (0.1, 0.3, 1.0)


def of_reliability(seeds: int) -> Iterator[dict[str, Any]]:
    for predictor in (EASE(RATES), ItemKNN(RATES), LightGCN(RATES)):
        for seed in range(min(seeds, 3)):
            hin, topics = planted(1000, 300, rng=seed, return_truth=True)
            split = random_split(hin, RATES, evidence=["review"], rng=seed)
            generator = RelationGenerator(predictor, evidence=["review"], per_source=30)
            generator.fit(split.train, valid=split.valid, rng=seed)
            delta = generator.generate(split.train, 10_000, rng=seed)
            same = topics["user_topic"][:, None] == topics["item_topic"][None, :]
            src, dst = same.nonzero()
            truth = pa.table({"src": hin.ids("user", src), "dst": hin.ids("item", dst)})
            known = with_truth(delta, truth, rng=seed)
            yield {
                "part": "reliability",
                "predictor": type(predictor).__name__,
                "seed": seed,
                "held out": reliability(delta, split.test).error,
                "true": reliability(known, truth, column="confidence_true").error,
            }


def judged(graph: HIN, split: Split, on: str) -> np.ndarray:
    model = EASE(split.target, weight="confidence").fit(graph)
    return evaluate(model, graph, split, k=20, on=on).values["NDCG@20"]


def rules(split: Split, seed: int) -> dict[str, Delta]:
    train = split.train
    n = train.adjacency(MOVIE).nnz
    pools = [
        RelationGenerator(teacher)
        .fit(train, valid=split.valid, rng=seed)
        .generate(train, 4 * n, rng=seed)
        for teacher in (LightGCN(MOVIE, l2=0.2), EASE(MOVIE))
    ]
    pool = pools[0]
    vectors = LightGCN(MOVIE, l2=0.2).fit(train, rng=seed).vectors()[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SelectionWarning)
        on_valid = influential_on_valid(pool, train, split.valid, n)
    return {
        "all": pool,
        "random": at_random(pool, n, rng=seed),
        "confidence": most_confident(pool, n),
        "agreement": agreed(pools, n),
        "diversity": diverse(pool, train, n, by=vectors),
        "influence": influential(pool, train, n, rng=seed),
        "influence on valid": on_valid,
    }


def of_rules(seeds: int) -> Iterator[dict[str, Any]]:
    full = load("ml-100k")
    found: dict[str, list[np.ndarray]] = {}
    on_valid: dict[str, list[float]] = {}
    for seed in range(min(seeds, 3)):
        split = thin(random_split(full, MOVIE, rng=seed), 0.2, rng=seed)
        arms = {"none": split.train} | {
            name: split.train + delta.with_confidence(0.3)
            for name, delta in rules(split, seed).items()
        }
        for name, graph in arms.items():
            found.setdefault(name, []).append(judged(graph, split, "test"))
            on_valid.setdefault(name, []).append(judged(graph, split, "valid").mean())
    for name, values in found.items():
        gaps = np.concatenate([a - b for a, b in zip(values, found["random"], strict=True)])
        yield {
            "part": "rules",
            "rule": name,
            "valid": np.mean(on_valid[name]),
            "test": np.mean([v.mean() for v in values]),
            "over random": gaps.mean(),
            "p": float(stats.ttest_1samp(gaps, 0).pvalue) if gaps.any() else 1.0,
        }


def of_adaptive(seeds: int) -> Iterator[dict[str, Any]]:
    gaps: dict[str, list[np.ndarray]] = {"none": [], "common": []}
    for seed in range(seeds):
        hin = planted(1500, 200, 6, degree=40, thin=0.5, thin_degree=4, dim=0, rng=seed)
        split = random_split(hin.drop("review"), RATES, valid=1, test=1, rng=seed)
        train, teacher = split.train, EASE(RATES, side=["job", "age"], side_weight=3.0)
        pool = (
            RelationGenerator(teacher, per_source=60)
            .fit(train, valid=split.valid, rng=seed)
            .generate(train, rng=seed)
        )

        def judge(graph: HIN, split: Split = split) -> tuple[Any, np.ndarray]:
            model = EASE(RATES, weight="confidence").fit(graph)
            result = evaluate(model, graph, split, k=20)
            return result.users, result.values["NDCG@20"]

        cut = _Pool(pool, train, RATES, 1, 1)
        offers = [cut.kept(np.array([s]), w) for s in STRENGTHS for w in WEIGHTS]
        graphs = [train, *(train + offer for offer in offers)]
        common = graphs[int(np.argmax([judge(graph)[1].mean() for graph in graphs]))]
        adapted = adapt_strength(pool, train, judge, strengths=STRENGTHS, weights=WEIGHTS, rng=seed)
        kept = train + adapted.delta if len(adapted.delta) else train
        values = {
            name: judged(graph, split, "test")
            for name, graph in (("none", train), ("common", common), ("adaptive", kept))
        }
        for name, rows in gaps.items():
            rows.append(values["adaptive"] - values[name])
        yield {"part": "adaptive", "seed": seed} | {n: v.mean() for n, v in values.items()}
    for name, rows in gaps.items():
        yield {
            "part": "adaptive",
            "over": name,
            "gain": np.mean([row.mean() for row in rows]),
            "p over users": float(stats.ttest_1samp(np.concatenate(rows), 0).pvalue),
            "p over worlds": float(stats.ttest_1samp([r.mean() for r in rows], 0).pvalue),
        }


PARTS = {"reliability": of_reliability, "rules": of_rules, "adaptive": of_adaptive}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=list(PARTS))
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    for part in given.parts:
        for row in PARTS[part](given.seeds):
            shown = {k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()}
            line = json.dumps(shown)
            print(line, flush=True)
            if given.out is not None:
                with given.out.open("a") as file:
                    file.write(line + "\n")


if __name__ == "__main__":
    main()
