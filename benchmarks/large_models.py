"""What large models' views of texts and profiles bring to EASE on Musical Instruments, with a permuted control.

    HINAUG_DATA=folder python benchmarks/large_models.py [--views static tfidf minilm] [--seeds 0 1 2] [--trials 10] [--shared]
        [--out FILE]

Each review's text becomes a vector. A user's side column is the mean over the user's reviews in the graph at hand:
`UserProfile` on train, and again on train + valid for the refit; EASE centres it and gives its rows a mean square length
of 1. Random 80/10/10 per user, evidence removed. Words, weights and axes of tf-idf are fitted on the reviews of train.
The ridge of EASE is searched on valid, in each arm among the same values; the weight of the side column is 1. `permuted`
deals the profiles out among the users. NDCG@20 over all unseen items: on test, fitted on train and refitted on train +
valid; p over users and splits, against no side column.

The valid pairs of one split are few, and their best ridge changes much from split to split. --shared takes one ridge an
arm, the best on the valid pairs of all splits together. A test pair of one split can be a valid pair of another.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from hinaug import Split, compare, embed_text, evaluate, random_split
from hinaug.datasets import load
from hinaug.features import TextEncoder, TextViews, UserProfile
from hinaug.graph.hin import HIN
from hinaug.predictors import EASE

RATES = ("user", "rates", "item")
RIDGES = (10, 2000)  # where it is searched
K = 20
METRIC = f"NDCG@{K}"
DATA = "Musical Instruments"
Row = dict[str, Any]


def encoder(view: str, train: HIN) -> Any:
    """The view, fitted on the texts of train where it is fitted at all."""
    if view == "minilm":
        return TextEncoder("minilm", max_length=256, dtype="auto")
    return TextViews(view.split("+")).fit(train.column("review", "text").to_pylist())


def with_profiles(split: Split, encode: Any) -> Split:
    """The split with the mean vector of each user's own reviews in the graph at hand, and with that of another user."""
    profile = UserProfile(RATES, vectors=("review", "x"))

    def mean(hin: HIN) -> np.ndarray:
        rows, has = profile.mean_vectors(embed_text(hin, "review", encode))
        return np.where(has[:, None], rows, rows[has].mean(axis=0))

    def permuted(hin: HIN) -> np.ndarray:
        return np.random.default_rng(0).permutation(mean(hin))

    split = split.with_derived("user", "profile", mean)
    return split.with_derived("user", "permuted", permuted)


def on_valid(split: Split, side: str | None, ridges: list[Any]) -> list[float]:
    """NDCG on valid of each ridge."""
    if len(ridges) == 1:
        return [0.0]
    models = (EASE(RATES, l2=l2, side=side).fit(split.train) for l2 in ridges)
    return [evaluate(model, split.train, split, k=K)[METRIC] for model in models]


def on_test(split: Split, side: str | None, l2: float | None) -> tuple[float, dict[str, Any]]:
    """The ridge taken, and the results on test, fitted on train and on train + valid."""
    found = {}
    for part, graph in (("train", split.train), ("refit", split.train_valid)):
        model = EASE(RATES, l2=l2, side=side).fit(graph)
        found[part] = evaluate(model, graph, split, k=K, on="test")
    return float(model.l2_), found


def chosen(curves: np.ndarray, shared: bool) -> np.ndarray:
    """The place of the best ridge in each split, from NDCG on valid [splits, ridges]."""
    if shared:
        curves = np.broadcast_to(curves.mean(axis=0), curves.shape)
    return curves.argmax(axis=1)


def told(arm: tuple[str, str], found: list[Any], plain: list[Any], l2: list[float]) -> Row:
    """One arm against EASE without a side column: means over users, p over users and splits."""
    row: Row = {"part": "side column", "data": DATA, "view": arm[0], "side": arm[1]}
    row |= {"splits": len(found), "l2": l2}
    for part in ("train", "refit"):
        one, two = ([[results[part]] for results in given] for given in (plain, found))
        c = compare(one, two, METRIC, splits=True)
        row[part] = {"base": round(c.mean_a, 5), "arm": round(c.mean_b, 5)}
        row[part] |= {"%": round(100 * c.relative, 2), "p": c.p}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--views", nargs="+", default=["static", "tfidf", "tfidf+static", "minilm"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--trials", type=int, default=10, help="ridges tried; 0 takes the default")
    parser.add_argument("--shared", action="store_true", help="one ridge an arm for all splits")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    hin = load("amazon-musical-instruments")
    ridges = np.geomspace(*RIDGES, options.trials).tolist() if options.trials else [None]
    splits: dict[tuple[str, str], list[Split]] = {}
    for seed in options.seeds:
        split = random_split(hin, RATES, evidence=["review"], rng=seed)
        splits.setdefault(("no text", "none"), []).append(split)
        for view in options.views:
            made = with_profiles(split, encoder(view, split.train))
            for side in ("profile", "permuted"):
                splits.setdefault((view, side), []).append(made)
    plain: list[Any] = []
    for arm, own in splits.items():
        side, start = (None if arm[1] == "none" else arm[1]), time.process_time()
        curves = np.array([on_valid(split, side, ridges) for split in own])
        best = chosen(curves, options.shared)
        found = [on_test(split, side, ridges[k]) for split, k in zip(own, best, strict=True)]
        plain = plain or [results for _, results in found]
        l2 = [round(ridge, 1) for ridge, _ in found]
        row = told(arm, [results for _, results in found], plain, l2)
        row |= {"ridge": "shared" if options.shared else "own", "trials": options.trials}
        print(json.dumps(row | {"cpu_s": round(time.process_time() - start, 1)}), flush=True)
        if options.out:
            with options.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
