"""How far each predictor as it comes stays behind itself, tuned: NDCG@20 on validation pairs.

    HINAUG_DATA=folder python benchmarks/defaults.py [--data ml-100k ...] [--only EASE ...]
        [--trials 8] [--seconds 300] [--folder results/defaults]

Ratings of at least 4 are links, where there are ratings; a random split per user, seed 0. The goal
is 85 % of the value of a search, which begins at a start of its own and has at most 8 trials and
the seconds given; where it finds less than the defaults have, these are the best. Test is never
looked at. Searches and rows are kept in the folder, and a run that was stopped goes on from there.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

from hinaug.datasets import load
from hinaug.errors import EdgeWarning
from hinaug.evaluation.evaluate import evaluate
from hinaug.evaluation.tune import tune
from hinaug.graph.schema import EdgeType
from hinaug.predictors import (
    ALS,
    BSPM,
    EASE,
    GFCF,
    MF,
    SLIM,
    ItemKNN,
    LightGCN,
    LightGCNPP,
    MultVAE,
    Popularity,
    UserKNN,
    XSimGCL,
)
from hinaug.predictors.base import LinkPredictor
from hinaug.split.base import Split
from hinaug.split.random import random_split

GOAL = 0.85
DATA: dict[str, tuple[EdgeType, list[str]]] = {  # the relation, and the evidence of its links
    "ml-100k": (("user", "rates", "movie"), []),
    "amazon-musical-instruments": (("user", "rates", "item"), ["review"]),
    "amazon-hin": (("user", "rates", "item"), []),
    "hetrec2011-lastfm-2k": (("user", "listens", "artist"), []),
    "ml-latest-small": (("user", "rates", "movie"), []),  # no default was set on it
}
EMBEDDINGS = {"lr": (0.01, 0.1, "log"), "l2": (0.01, 1.0, "log")}
SOFTMAX = {"lr": (0.02, 0.2, "log"), "l2": (0.3, 15.0, "log")}
SPACES: dict[str, tuple[type[LinkPredictor], dict[str, Any], dict[str, Any]]] = {
    "Popularity": (Popularity, {}, {}),
    "ItemKNN": (ItemKNN, {}, {"k": (20, 500, "log"), "shrinkage": (1.0, 500.0, "log")}),
    "UserKNN": (UserKNN, {}, {"k": (20, 500, "log"), "shrinkage": (1.0, 100.0, "log")}),
    "EASE": (EASE, {}, {"l2": (10.0, 3000.0, "log")}),
    "SLIM": (SLIM, {}, {"l2": (10.0, 1000.0, "log")}),
    "GFCF": (GFCF, {}, {"dim": (4, 256, "log"), "alpha": (0.05, 5.0, "log")}),
    "BSPM": (
        BSPM,
        {},
        {"dim": (4, 448, "log"), "beta": (0.05, 5.0, "log"), "sharpen": (0.5, 3.0)},
    ),
    "ALS": (ALS, {}, {"l2": (1e-3, 0.2, "log"), "unobserved_weight": (0.005, 0.5, "log")}),
    "MF": (MF, {}, {"lr": (0.01, 0.1, "log"), "l2": (0.1, 5.0, "log")}),
    "MF softmax": (MF, {"loss": "softmax"}, SOFTMAX),
    "LightGCN": (LightGCN, {}, EMBEDDINGS | {"n_layers": [2, 3]}),
    "LightGCN softmax": (LightGCN, {"loss": "softmax"}, SOFTMAX),
    "LightGCN++": (LightGCNPP, {}, {"lr": (0.01, 0.1, "log"), "l2": (0.003, 0.3, "log")}),
    "LightGCN++ softmax": (LightGCNPP, {"loss": "softmax"}, SOFTMAX),
    "XSimGCL": (XSimGCL, {}, EMBEDDINGS | {"cl": (0.003, 0.3, "log")}),
    "XSimGCL softmax": (XSimGCL, {"loss": "softmax"}, SOFTMAX | {"cl": (0.003, 0.3, "log")}),
    "MultVAE": (MultVAE, {}, {"kl": (0.1, 1.0, "log"), "dropout": (0.3, 0.8)}),
}


def split_of(name: str) -> Split:
    relation, evidence = DATA[name]
    hin = load(name)
    if "rating" in hin.edges[relation].column_names:
        hin = hin.filter_edges(relation, hin.column(relation, "rating").to_numpy() >= 4)
    return random_split(hin, relation, evidence=evidence, rng=0)


def measured(name: str, model: str, split: Split, options: argparse.Namespace) -> dict[str, Any]:
    """The row of a predictor on a data set."""
    kind, settings, space = SPACES[model]
    as_it_comes = kind(split.target, **settings)
    begin = time.perf_counter()
    as_it_comes.fit(split.train, valid=split.valid, rng=0)
    seconds = time.perf_counter() - begin
    value = evaluate(as_it_comes, split.train, split, k=20)["NDCG@20"]
    row = {"data": name, "model": model, "defaults": value, "tuned": value, "fit_s": seconds}
    if space:
        file = options.folder / f"{name} {model}.search"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EdgeWarning)
            found = tune(
                kind(split.target, **settings),
                space,
                split,
                trials=options.trials,
                seconds=options.seconds,
                file=file,
                rng=0,
            )
        row |= {"tuned": max(value, found.value), "best": repr(found.best)}
        row |= {"trials": found.trials.num_rows, "tune_s": found.seconds}
    return row | {"ratio": row["defaults"] / row["tuned"]}


def table(rows: list[dict[str, Any]]) -> str:
    """Defaults / tuned and their ratio, a row a predictor."""
    data = [name for name in DATA if any(r["data"] == name for r in rows)]
    lines = [f"| model | {' | '.join(data)} |", "|---" * (len(data) + 1) + "|"]
    for model in SPACES:
        found = {r["data"]: r for r in rows if r["model"] == model}
        cells = [
            f"{r['defaults']:.4f} / {r['tuned']:.4f} = {r['ratio']:.2f}" if r else ""
            for r in (found.get(name) for name in data)
        ]
        lines.append(f"| {model} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=list(DATA))
    parser.add_argument("--only", nargs="+", choices=list(SPACES), default=list(SPACES))
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=300.0, help="for each search")
    parser.add_argument("--folder", type=Path, default=Path("defaults"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    kept = options.folder / "rows.jsonl"
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    done = {(r["data"], r["model"]) for r in rows}
    for name in options.data:
        split = split_of(name)
        for model in options.only:
            if (name, model) in done:
                continue
            rows.append(measured(name, model, split, options))
            print(json.dumps(rows[-1]), flush=True)
            with kept.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    print(table(rows))
    misses = [f"{r['model']} on {r['data']}: {r['ratio']:.2f}" for r in rows if r["ratio"] < GOAL]
    print(f"\nbelow {GOAL} of the tuned value: {'; '.join(misses) or 'none'}")


if __name__ == "__main__":
    main()
