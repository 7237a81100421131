"""What text, attributes and types bring to tuned predictors where behaviour is thin, with a
permuted control.

    HINAUG_DATA=folder python benchmarks/side_information.py [--data movies instruments amazon]
        [--seeds 0 1 2] [--trials 15] [--searches FOLDER] [--out FILE]

movies       MovieLens 100K, ratings of at least 4, a fifth of each user's links; titles and genres as text, genre, age, gender
instruments  Amazon Musical Instruments; each review's text, averaged over the reviews in the graph at hand
amazon       librahu's Amazon graph with its fixed 80/20 split; brand, category and view of the items; valid a tenth of train
Elsewhere random 80/10/10 per user, evidence removed. For each seed, each arm is searched for on valid with the same number of trials,
fitted on train, refitted on train + valid, and judged on test once. NDCG@20 over all unseen items.

LightGCN, +side      BPR, without and with `features`, `feature_scale` and `smooth`
+permuted            the same search with the features' rows dealt out anew: what is gained by parameters alone
EASE, +side          `side`, `constant` and `prior`
stack, weighted, greedy   ensembles over all but the permuted arm, all refitted; against the best plain single (by valid)
Text: the small BERT of the demo where it is installed, else 64 components of tf-idf; the first line
says which.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hinaug import Split, compare, embed_text, evaluate, random_split, thin, tune
from hinaug.datasets import amazon_hin, lightgcn_split, load
from hinaug.ensembles import EnsembleSelection, Stacking, Weighted, split_valid
from hinaug.evaluation.result import Result
from hinaug.features.axes import principal_axes
from hinaug.graph.hin import HIN
from hinaug.predictors import ALS, EASE, SLIM, ItemKNN, LightGCN, MultVAE, NearestNeighbors
from hinaug.predictors.base import LinkPredictor

DATA = ["movies", "instruments", "amazon"]
K = 20
BPR: dict[str, Any] = {"lr": (0.005, 0.04, "log"), "l2": (0.03, 0.6, "log"), "n_layers": [1, 2, 3]}
EASES: dict[str, Any] = {"l2": (10.0, 5000.0, "log")}


@dataclass(eq=False)
class Permuted(LightGCN):
    """LightGCN whose features belong to somebody else."""

    def _sides(self, hin: HIN) -> list[np.ndarray | None]:
        deal = np.random.default_rng(0)
        return [None if side is None else deal.permutation(side) for side in super()._sides(hin)]


def encoded(hin: HIN, node: str) -> tuple[HIN, str]:
    try:
        from hinaug.features.text import TextEncoder

        return embed_text(hin, node, TextEncoder("minilm")), "BERT"
    except (OSError, ValueError, ImportError):
        from linear import words

        x = words(hin.column(node, "text").to_pylist())
        return hin.with_column(node, "x", x, lineage="row"), "tf-idf"


def world(data: str) -> tuple[HIN, dict[str, Any], str]:
    """The graph, what to read of it, and whose text vectors they are."""
    if data == "movies":
        relation = ("user", "rates", "movie")
        hin = load("ml-100k")
        hin = hin.filter_edges(relation, hin.column(relation, "rating").to_numpy() >= 4)
        hin, by = encoded(hin, "movie")
        how = {
            "relation": relation,
            "evidence": (),
            "features": ["x", ("genre",)],
            "side": ["age", "gender", "occupation"],
            "prior": [("genre", "id"), "x"],
            "near": {"column": "x"},
            "vae": ["age", "gender", "occupation"],
        }
        return hin, how, by
    if data == "amazon":
        features = [("brand",), ("category",), ("view",)]
        hin = amazon_hin(Path(os.environ.get("HINAUG_DATA", ".")) / "amazon-hin")
        axes = principal_axes(
            hin, "item", features
        )  # of no user's links, so no split can leak through them
        hin = hin.with_column("item", "axes", axes, lineage="row")
        how = {
            "relation": ("user", "rates", "item"),
            "evidence": (),
            "features": features,
            "side": None,
            "prior": "axes",
            "near": {"column": "axes"},
            "vae": (),
            "more": True,
        }
        return hin, how, "none"
    hin, by = encoded(load("amazon-musical-instruments"), "review")
    text = ("review", "x")
    how = {
        "relation": ("user", "rates", "item"),
        "evidence": ("review",),
        "features": [text],
        "side": text,
        "prior": text,
        "near": {"through": "review"},
        "vae": [text],
    }
    return hin, how, by


def splitting(data: str, hin: HIN, how: dict[str, Any], seed: int) -> Split:
    if data == "amazon":
        return lightgcn_split(
            Path(os.environ.get("HINAUG_DATA", ".")) / "amazon-hin", hin, how["relation"], rng=seed
        )
    split = random_split(hin, how["relation"], evidence=how["evidence"], rng=seed)
    return thin(split, 0.2, rng=seed) if data == "movies" else split


def arms(how: dict[str, Any]) -> dict[str, tuple[LinkPredictor, dict[str, Any]]]:
    at = how["relation"]
    side = BPR | {"smooth": (0.0, 0.4), "feature_scale": (0.03, 1.0, "log")}
    start = {"lr": 0.014, "l2": 0.2, "n_layers": 2}
    ease = EASES | {"constant": [0.0, 0.3, 1.0], "prior_weight": (0.3, 10.0, "log")}
    if how["side"] is not None:
        ease |= {"side_weight": (0.1, 10.0, "log")}
    near: dict[str, tuple[LinkPredictor, dict[str, Any]]] = {
        "nearest": (NearestNeighbors(at, **how["near"]), {})
    }
    if "more" in how:  # what is strongest on amazon without its types
        softmax = LightGCN(at, loss="softmax", lr=0.05, l2=1.0, n_layers=2)
        near["LightGCN softmax"] = (
            softmax,
            {"lr": (0.01, 0.2, "log"), "l2": (0.3, 10.0, "log"), "n_layers": [1, 2, 3]},
        )
        near["SLIM"] = (SLIM(at), EASES | {"k": (20, 200, "log"), "shrinkage": (0.1, 100.0, "log")})
    return {
        "LightGCN": (LightGCN(at, **start), BPR),
        "LightGCN +side": (LightGCN(at, features=how["features"], **start), side),
        "LightGCN +permuted": (Permuted(at, features=how["features"], **start), side),
        "EASE": (EASE(at), EASES | {"constant": [0.0, 0.3, 1.0]}),
        "EASE +side": (EASE(at, side=how["side"], prior=how["prior"]), ease),
        "ALS": (
            ALS(at),
            {
                "embedding_dim": (16, 128, "log"),
                "l2": (1e-4, 0.3, "log"),
                "unobserved_weight": (0.003, 1.0, "log"),
            },
        ),
        "ItemKNN": (ItemKNN(at), {"k": (5, 500, "log"), "shrinkage": (0.1, 300.0, "log")}),
        "MultVAE +side": (
            MultVAE(at, features=how["vae"], epochs=100, kl=0.5, latent=32),
            {},
        ),  # as it is
    } | near


def run(
    data: str, seeds: list[int], trials: int, searches: Path | None
) -> tuple[list[dict], dict[str, list[Result]]]:
    hin, how, by = world(data)
    if searches is not None:
        searches.mkdir(parents=True, exist_ok=True)
    print(f"{data}: text by {by}", flush=True)
    rows: list[dict] = []
    found: dict[str, list[Result]] = {}

    def judge(
        name: str,
        fitted: LinkPredictor,
        again: Callable,
        split: Split,
        seed: int,
        said: dict[str, Any],
    ) -> None:
        row = {"data": data, "seed": seed, "arm": name, **said}
        row["test"] = round(evaluate(fitted, split.train, split, k=K, on="test")["NDCG@20"], 5)
        found.setdefault(name, []).append(
            evaluate(again(), split.train_valid, split, k=K, on="test")
        )
        row["refit"] = round(found[name][-1]["NDCG@20"], 5)
        rows.append(row)
        print(json.dumps(row), flush=True)

    for seed in seeds:
        split = splitting(data, hin, how, seed)
        shown, _ = split_valid(split.valid, 0.25, rng=seed)  # the others are for weights
        train: dict[str, LinkPredictor] = {}
        full: dict[str, LinkPredictor] = {}
        valid: dict[str, float] = {}
        for name, (predictor, space) in arms(how).items():
            begin = time.perf_counter()
            best, said = predictor, {}
            if space:
                file = (
                    None
                    if searches is None
                    else searches / f"{data}-{seed}-{name.replace(' ', '')}.log"
                )
                result = tune(predictor, space, split, trials=trials, file=file, rng=seed)
                best = result.best
                said = {
                    "valid": round(result.value, 5),
                    "chosen": {n: getattr(best, n) for n in space},
                }
                valid[name] = result.value
            train[name] = best.clone().fit(split.train, valid=shown, rng=seed)
            full[name] = copy.copy(train[name])  # refitting binds new arrays
            said["seconds"] = round(time.perf_counter() - begin, 1)
            judge(
                name,
                train[name],
                partial(full[name].refit, split.train_valid, rng=seed),
                split,
                seed,
                said,
            )
        plain = max((name for name in valid if "+" not in name), key=lambda name: valid[name])
        found.setdefault("best plain single", []).append(found[plain][-1])
        members = [name for name in train if "permuted" not in name]
        for name, kind in (
            ("stack", Stacking),
            ("stack of trees", Stacking),
            ("weighted", Weighted),
            ("greedy", EnsembleSelection),
        ):
            options = {"meta": "trees"} if "trees" in name else {}
            model = kind([train[m].clone() for m in members], **options)
            model.fit_with([train[m] for m in members], split.train, valid=split.valid, rng=seed)
            said = {
                "best plain single": plain,
                "weights": dict(zip(members, np.round(model.weights_, 2).tolist(), strict=True)),
                "share": getattr(model, "share_", None),
            }
            again = partial(model.refit_with, [full[m] for m in members], split.train_valid)
            judge(name, model, again, split, seed, said)
    return rows, found


PAIRS = [
    ("LightGCN", "LightGCN +side"),
    ("LightGCN", "LightGCN +permuted"),
    ("LightGCN +permuted", "LightGCN +side"),
    ("EASE", "EASE +side"),
    ("LightGCN", "EASE +side"),
    ("best plain single", "stack"),
    ("best plain single", "stack of trees"),
    ("best plain single", "weighted"),
    ("best plain single", "greedy"),
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", choices=DATA, default=DATA)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--trials", type=int, default=15)
    parser.add_argument("--out", type=Path, help="JSON lines are appended here")
    parser.add_argument(
        "--searches", type=Path, help="a folder that keeps searches, so that a killed one goes on"
    )
    options = parser.parse_args()
    for data in options.data:
        rows, found = run(data, options.seeds, options.trials, options.searches)
        for a, b in PAIRS:
            one, two = ([[result] for result in found[arm]] for arm in (a, b))  # a split a seed
            both = compare(one, two, names=(a, b), splits=True)
            degrees = both.slices["train degree"]
            cold = {name: degrees[name] for name in ("0", "1-3", "4-5") if name in degrees}
            rows.append({"data": data, "verdict": both.verdict(), "cold": cold})
            print(f"{data}: {both.verdict()}; users with at most 5 links: {cold}", flush=True)
        if options.out:
            with options.out.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="tune: on the edge")
    main()
