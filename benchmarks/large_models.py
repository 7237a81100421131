"""What large models' views of texts and profiles bring to EASE on Musical Instruments, with a permuted control.

    HINAUG_DATA=folder python benchmarks/large_models.py [--views static tfidf minilm] [--seeds 0 1 2] [--trials 10] [--out FILE]

Each review's text becomes a vector. A user's side column is the mean over the user's reviews in the graph at hand:
`UserProfile` on train, and again on train + valid for the refit. Random 80/10/10 per user, evidence removed. Words,
weights and axes of tf-idf are fitted on the reviews of train. The ridge of EASE is searched on valid, in each arm with the same
number of trials; the weight of the side column is 1. `permuted` deals the profiles out among the users. NDCG@20 over
all unseen items: on test, fitted on train and refitted on train + valid.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from hinaug import Split, embed_text, evaluate, random_split
from hinaug.datasets import load
from hinaug.features import TextEncoder, TextViews, UserProfile
from hinaug.graph.hin import HIN
from hinaug.predictors import EASE

RATES = ("user", "rates", "item")
RIDGES = (10, 2000)  # where it is searched
K = 20


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


def judged(split: Split, side: str | None, trials: int) -> dict[str, Any]:
    """NDCG on test of the ridge that is best on valid, fitted on train and refitted on train + valid."""
    name, start = f"NDCG@{K}", time.perf_counter()
    ridges = [None] if trials == 0 else np.geomspace(*RIDGES, trials).tolist()
    models = [EASE(RATES, l2=l2, side=side).fit(split.train) for l2 in ridges]
    on_valid = [
        evaluate(model, split.train, split, k=K).values[name].mean()
        for model in (models if trials > 1 else [])
    ]
    best = int(np.argmax(on_valid or [0]))
    fitted = evaluate(models[best], split.train, split, k=K, on="test")
    model = EASE(RATES, l2=ridges[best], side=side).fit(split.train_valid)
    refit = evaluate(model, split.train_valid, split, k=K, on="test")
    return {
        "l2": round(float(model.l2_), 1),
        "train": float(fitted.values[name].mean()),
        "refit": float(refit.values[name].mean()),
        "seconds": round(time.perf_counter() - start, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--views", nargs="+", default=["static", "tfidf", "tfidf+static", "minilm"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--trials", type=int, default=10, help="ridges tried; 0 takes the default")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    hin = load("amazon-musical-instruments")
    rows: list[dict[str, Any]] = []
    for seed in options.seeds:
        split = random_split(hin, RATES, evidence=["review"], rng=seed)
        plain = judged(split, None, options.trials)
        arms = [("none", "none", plain)]
        for view in options.views:
            made = with_profiles(split, encoder(view, split.train))
            arms += [
                (view, side, judged(made, side, options.trials)) for side in ("profile", "permuted")
            ]
        for view, side, found in arms:
            gain = {part: round(found[part] / plain[part] - 1, 4) for part in ("train", "refit")}
            rows.append({"seed": seed, "view": view, "side": side, "gain": gain} | found)
            print(json.dumps(rows[-1]), flush=True)
    for view, side in dict.fromkeys((row["view"], row["side"]) for row in rows):
        own = [row for row in rows if (row["view"], row["side"]) == (view, side)]
        gains = [np.mean([row["gain"][part] for row in own]) for part in ("train", "refit")]
        print(f"{view:16} {side:10} train {gains[0]:+7.1%}  refit {gains[1]:+7.1%}")
    if options.out:
        options.out.write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
