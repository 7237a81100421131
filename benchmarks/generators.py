"""What each generator does for EASE on thin MovieLens 100K, beside no augmentation and a random
delta of the same size.

    HINAUG_DATA=folder python benchmarks/generators.py [--seeds 3] [--only WGAN VAE] [--out
    results.jsonl]

Ratings of at least 4 are links; per user 80/10/10 at random, then a fifth of each user's train
links is left. Generators are fitted on train. Users are generated six for each real one (`--times`)
and edges as many as there are. EASE is fitted on train + delta with its l2 and the weight of the
delta chosen by NDCG@20 on valid (the same grid for every row, l2 alone without a delta), and then
judged on test, still fitted on train. p from a paired test over users, seeds averaged: against no
delta, and against the random delta of the same size with real popularity.

weight: generated rows count with confidence c, the same for all, so that c^2 = w 2 U / M is their
weight in the Gram matrix (U real and M generated users), w in {.3, 1, 3}, at most 1. For generated
edges their own confidence is tried as well.
AUC: of a classifier that tells real users' links from generated ones (0.5: it cannot). Its features
are learned from half of the real users, and the other half is told from as many generated ones.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from threadpoolctl import threadpool_limits

from hinaug.datasets import load
from hinaug.evaluation.compare import compare
from hinaug.evaluation.evaluate import evaluate
from hinaug.evaluation.result import Result
from hinaug.generators import VAE, WGAN, Aggregation, RelationGenerator, Synthesis, random_delta
from hinaug.graph.delta import Delta
from hinaug.predictors import EASE, LightGCN
from hinaug.split.base import Split
from hinaug.split.random import random_split
from hinaug.split.thin import thin
from hinaug.training.estimator import Estimator

RATES = ("user", "rates", "movie")
L2 = (300.0, 1000.0, 3000.0, 10000.0, 30000.0)
# NDCG@20 of EASE and gains over it, by earlier implementations of the same ideas
BEFORE = {
    "none": ".0914",
    "Synthesis": "-2 to +2 %",
    "Aggregation": "-2 to +2 %",
    "random users, popularity": "+9.7 %, AUC .86",
    "WGAN": "+10 to +12 %, AUC .99",
    "VAE": "+25 %, AUC .67",
    "VAE, 30 % kept": "+23 %, AUC .62",
    "edges by LightGCN": "+12 to +14 %, best of several",
}


def generators() -> dict[str, Estimator]:
    return {
        "Synthesis": Synthesis(),
        "Synthesis, random pairs": Synthesis(pair="random"),
        "Aggregation": Aggregation(),
        "WGAN": WGAN(),
        "VAE": VAE(),
        "VAE, 30 % kept": VAE(keep=0.3),
        "edges by LightGCN": RelationGenerator(LightGCN(RATES, l2=0.2)),
        "edges by EASE": RelationGenerator(EASE(RATES, l2=1000.0)),
    }


def choose(split: Split, delta: Delta | None) -> tuple[float, float, float, Result]:
    """(valid NDCG@20, l2, weight, test result) of the best l2 and weight on valid."""
    train, best = split.train, (-1.0, 0.0, 0.0, split.train)
    if delta is None:
        graphs = {1.0: train}
    elif delta.nodes:
        share = 2 * train.n("user") / delta.nodes["user"].num_rows
        graphs = {w: train + weighted(delta, min(1.0, (w * share) ** 0.5)) for w in (0.3, 1.0, 3.0)}
    else:
        graphs = {
            -1.0: train + delta,
            **{w: train + weighted(delta, w) for w in (0.3, 1.0)},
        }  # -1: as confident as they are
    for w, graph in graphs.items():
        for l2 in L2:
            model = EASE(RATES, l2=l2, weight="confidence").fit(graph)
            best = max(
                best,
                (evaluate(model, graph, split, k=20)["NDCG@20"], l2, w, graph),
                key=lambda b: b[0],
            )
    value, l2, w, graph = best
    model = EASE(RATES, l2=l2, weight="confidence").fit(graph)
    return value, l2, w, evaluate(model, graph, split, k=20, on="test")


def weighted(delta: Delta, confidence: float) -> Delta:
    """The same delta with one confidence for all its edges."""
    edges = {}
    for type, rows in delta.edges.items():
        at = rows.column_names.index("confidence")
        edges[type] = rows.set_column(
            at, "confidence", pa.array(np.full(rows.num_rows, confidence, np.float32))
        )
    return Delta(delta.nodes, edges)


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


def p_over_splits(a: list[Result], b: list[Result]) -> float:
    """p over users and splits of two arms, one result a split; NaN where there is one split."""
    p = compare([[result] for result in a], [[result] for result in b], splits=True).p
    return float("nan") if p is None else p


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--times", type=float, default=6.0, help="generated users for each real one"
    )
    parser.add_argument("--only", nargs="*", help="names of generators")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    hin = load("ml-100k")
    hin = hin.filter_edges(RATES, hin.column(RATES, "rating").to_numpy() >= 4)
    chosen = {
        name: g for name, g in generators().items() if not options.only or name in options.only
    }
    found: dict[str, list[dict]] = {}
    for seed in range(options.seeds):
        split = thin(random_split(hin, RATES, rng=seed), 0.2, rng=seed)
        adjacency = split.train.adjacency(RATES)
        real = adjacency[np.diff(adjacency.indptr) > 0].toarray()
        deltas: list[tuple[str, Delta | None, float]] = [("none", None, 0.0)]
        for name, generator in chosen.items():
            start = time.perf_counter()
            size = 1.0 if isinstance(generator, RelationGenerator) else options.times
            delta = (
                generator.clone()
                .fit(split.train, valid=split.valid, rng=seed)
                .generate(split.train, size, rng=seed)
            )
            deltas.append((name, delta, time.perf_counter() - start))
            like = "users" if delta.nodes else "edges"
            for by in ("popularity", "uniform"):
                if all(n != f"random {like}, {by}" for n, _, _ in deltas):
                    deltas.append(
                        (f"random {like}, {by}", random_delta(split.train, delta, seed, by=by), 0.0)
                    )
        for name, delta, seconds in deltas:
            valid, l2, weight, result = choose(split, delta)
            row = {
                "name": name,
                "seed": seed,
                "valid": valid,
                "test": result["NDCG@20"],
                "l2": l2,
                "w": weight,
                "s": seconds,
            }
            if delta is not None and delta.nodes:
                row["auc"] = auc(real, links(split, delta), seed)
            if options.out:
                with options.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
            found.setdefault(name, []).append({**row, "result": result})
    results = {name: [r["result"] for r in rows] for name, rows in found.items()}
    print(
        f"{'':<26} {'valid':>6} {'test':>6} {'gain':>7} {'p':>8} {'p random':>8} {'AUC':>5} "
        f"{'fit s':>6}  l2/w of each seed; before"
    )
    for name, rows in found.items():
        mean = {
            key: np.mean([r.get(key, np.nan) for r in rows])
            for key in ("valid", "test", "auc", "s")
        }
        gain = mean["test"] / np.mean([r["test"] for r in found["none"]]) - 1
        control = "random edges, popularity" if "edges" in name else "random users, popularity"
        p = [
            p_over_splits(results[other], results[name])
            for other in ("none", control if control in results else "none")
        ]
        tuned = " ".join(f"{r['l2']:.0f}/{r['w']:g}" for r in rows)
        print(
            f"{name:<26} {mean['valid']:6.4f} {mean['test']:6.4f} {gain:+7.1%} {p[0]:8.1e} "
            f"{p[1]:8.1e} {mean['auc']:5.2f}"
            f" {mean['s']:6.0f}  {tuned}; {BEFORE.get(name, '')}"
        )


if __name__ == "__main__":
    main()
