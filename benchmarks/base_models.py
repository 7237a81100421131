"""The base models on MovieLens 100K, each tuned on validation, beside what was measured before.

    HINAUG_DATA=folder python benchmarks/base_models.py [--seeds 3] [--data dense sparse] [--out
    results.jsonl]

Ratings of at least 4 are links; per user 80/10/10 at random; every movie that the user has not is
ranked; NDCG@20 over the users with held-out pairs. "sparse" keeps a fifth of each user's train
links. Hyperparameters are those of the highest validation NDCG@20 of each seed. "test" is the model
fitted on train; "refit" the same choices refitted on train + valid.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np

from hinaug.datasets import load
from hinaug.ensembles import Weighted
from hinaug.evaluation.evaluate import evaluate
from hinaug.graph.hin import HIN
from hinaug.predictors import EASE, ItemKNN, LightGCN, Popularity
from hinaug.predictors.base import LinkPredictor
from hinaug.split.base import Split
from hinaug.split.random import random_split
from hinaug.split.thin import thin

RATES = ("user", "rates", "movie")
# NDCG@20 of earlier implementations, on other draws of the split (popularity tells by how much
# those differ)
BEFORE = {
    "dense": {
        "Popularity": ".132",
        "ItemKNN": ".251",
        "EASE": ".279",
        "LightGCN bpr": ".261",
        "LightGCN softmax": ".281",
    },
    "sparse": {
        "Popularity": ".097",
        "EASE": ".092",
        "LightGCN bpr": ".124-.128",
        "LightGCN softmax": ".118",
    },
}


def grids() -> dict[str, list[LinkPredictor]]:
    return {
        "Popularity": [Popularity(RATES)],
        "ItemKNN": [
            ItemKNN(RATES, k=k, shrinkage=s)
            for k in (50, 100, 200)
            for s in (5.0, 20.0, 100.0, 500.0)
        ],
        "EASE": [EASE(RATES, l2=l2) for l2 in (100.0, 200.0, 300.0, 500.0, 1000.0, 3000.0)],
        "LightGCN bpr": [
            LightGCN(RATES, n_layers=n, l2=l2) for n in (2, 3) for l2 in (0.1, 0.2, 0.3)
        ],
        "LightGCN softmax": [LightGCN(RATES, loss="softmax", l2=l2) for l2 in (1.0, 2.0, 3.0)],
    }


def run(
    data: str, name: str, grid: list[LinkPredictor], split: Split, seed: int
) -> tuple[dict, LinkPredictor]:
    best: tuple[float, float, LinkPredictor] | None = None
    for predictor in grid:
        start = time.perf_counter()
        model = predictor.clone().fit(split.train, valid=split.valid, rng=seed)
        seconds = time.perf_counter() - start
        value = evaluate(model, split.train, split, k=20)["NDCG@20"]
        if best is None or value > best[0]:
            best = value, seconds, model
    assert best is not None
    valid, seconds, model = best
    test = evaluate(model, split.train, split, k=20, on="test")["NDCG@20"]
    model.refit(split.train_valid, rng=seed)
    refit = evaluate(model, split.train_valid, split, k=20, on="test")["NDCG@20"]
    row = {
        "data": data,
        "seed": seed,
        "model": name,
        "valid": valid,
        "test": test,
        "refit": refit,
        "fit_s": seconds,
    }
    row |= {"epochs": getattr(model, "epochs_", None), "tried": len(grid), "chosen": repr(model)}
    if isinstance(model, Weighted):
        row["weights"] = model.weights_.round(3).tolist()
    return row, model


def liked(hin: HIN) -> HIN:
    return hin.filter_edges(RATES, hin.column(RATES, "rating").to_numpy() >= 4)


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument(
        "--data", nargs="+", choices=["dense", "sparse"], default=["dense", "sparse"]
    )
    arguments.add_argument("--out", type=Path, help="JSON lines are appended here")
    options = arguments.parse_args()
    hin = liked(load("ml-100k"))
    rows: list[dict] = []
    for data in options.data:
        for seed in range(options.seeds):
            split = random_split(hin, RATES, rng=seed)
            split = thin(split, 0.2, rng=seed) if data == "sparse" else split
            chosen: list[LinkPredictor] = []
            for name, grid in grids().items():
                row, model = run(data, name, grid, split, seed)
                rows.append(row)
                chosen.append(model.clone())
                print(json.dumps(row), flush=True)
            row, _ = run(data, "Weighted", [Weighted(chosen)], split, seed)
            rows.append(row)
            print(json.dumps(row), flush=True)
    if options.out:
        with options.out.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    for data in options.data:
        print(f"\nMovieLens 100K, {data}, NDCG@20, mean over {options.seeds} seeds")
        print(f"{'':18}{'valid':>8}{'test':>8}{'before':>11}{'refit':>8}{'s a fit':>9}")
        for name in dict.fromkeys(r["model"] for r in rows):
            mean = {
                c: np.mean([r[c] for r in rows if (r["data"], r["model"]) == (data, name)])
                for c in ("valid", "test", "refit", "fit_s")
            }
            before = BEFORE[data].get(name, "")
            print(
                f"{name:18}{mean['valid']:8.4f}{mean['test']:8.4f}{before:>11}{mean['refit']:8.4f}{mean['fit_s']:9.1f}"
            )


if __name__ == "__main__":
    warnings.simplefilter("error")
    main()
