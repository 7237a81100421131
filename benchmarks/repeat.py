"""Does the same commit give the same verdict elsewhere? Comparisons rerun with other last digits.

    HINAUG_DATA=folder python benchmarks/repeat.py [--reruns 20] [--fits 8] [--noise 1e-7]
        [--threads 1 2] [--out results/repeat.md] [--folder repeat]

Training is chaotic in the last digits, and machines differ in these. So every rerun has the same
seeds, and weights of links that differ by a relative 1e-7; --threads gives the reruns unlike numbers
of threads, in turn. The comparisons are those of the demo's thin data: MovieLens 100K, ratings of at
least 4, a fifth of each user's train links. A fit is a whole pipeline under one seed: LightGCN
learns, proposes twice as many edges as there are, and EASE and LightGCN learn from them. The l2 of
EASE is chosen on valid in each rerun, from as many values in every arm.

The first rerun has no noise. Bars, exit status 1 outside: of each comparison 19 of 20 verdicts equal
the first, and none is its opposite. Reruns are kept in --folder, and a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from hinaug import HIN, Delta, Split, compare, evaluate, random_split, thin
from hinaug.datasets import load
from hinaug.evaluation import Result, holm
from hinaug.generators import RelationGenerator, random_delta
from hinaug.predictors import EASE, LightGCN
from hinaug.predictors.base import LinkPredictor

RATES = ("user", "rates", "movie")
METRIC = "NDCG@20"
L2 = (100.0, 300.0, 1000.0, 3000.0, 10_000.0, 30_000.0)  # of EASE
CONFIDENCE = 0.3  # what a generated edge counts, where an observed one counts 1
EQUAL = 0.95  # of the verdicts must equal the first
OPPOSITE = {"helps": "hurts", "hurts": "helps"}
COMPARISONS = [
    ("EASE", "EASE + edges"),
    ("EASE", "EASE + random edges"),
    ("LightGCN", "LightGCN + edges"),
    ("EASE + edges", "LightGCN"),
]


# ---- one rerun -----------------------------------------------------------------------------------


def thin_split(noise: float, rng: np.random.Generator) -> Split:
    """The same split each time; weights of its links are 1 but for the noise."""
    hin = load("ml-100k")
    hin = hin.filter_edges(RATES, hin.column(RATES, "rating").to_numpy() >= 4)
    weights = np.float32(1 + noise * rng.standard_normal(hin.n(RATES)))
    hin = hin.with_column(RATES, "weight", weights, lineage="row")
    return thin(random_split(hin, RATES, rng=0), 0.2, rng=0)


def with_weights(delta: Delta, noise: float, rng: np.random.Generator) -> Delta:
    """The same edges with a weight each: CONFIDENCE, but for the noise."""
    rows = delta.edges[RATES]
    weights = CONFIDENCE * (1 + noise * rng.standard_normal(rows.num_rows))
    return Delta(edges={RATES: {"src": rows["src"], "dst": rows["dst"], "weight": weights}})


def chosen(graph: HIN, split: Split) -> LinkPredictor:
    """EASE with the l2 that ranks valid best."""
    models = [EASE(RATES, l2=l2, weight="weight") for l2 in L2]
    values = [evaluate(m.clone().fit(graph), graph, split, k=20)[METRIC] for m in models]
    return models[int(np.argmax(values))]


def rerun(number: int, n_fits: int, noise: float) -> dict[str, Any]:
    """The outcome, p and relative change of every comparison."""
    rng = np.random.default_rng(number)
    split = thin_split(noise, rng)
    results: dict[str, list[Result]] = {}
    students: dict[str, LinkPredictor] = {}
    gcn = LightGCN(RATES, loss="softmax", lr=0.1, embedding_dim=64, weight="weight")

    def judge(arm: str, model: LinkPredictor, graph: HIN) -> None:
        results.setdefault(arm, []).append(evaluate(model, graph, split, k=20, on="test"))

    for seed in range(n_fits):
        train = split.train
        teacher = RelationGenerator(gcn.clone()).fit(train, valid=split.valid, rng=seed)
        judge("LightGCN", teacher.predictor_, train)
        proposed = teacher.generate(train, 2.0, rng=seed)
        deltas = {
            "EASE": None,
            "EASE + edges": proposed,
            "EASE + random edges": random_delta(train, proposed, rng=seed),
        }
        graphs = {
            arm: train if delta is None else train + with_weights(delta, noise, rng)
            for arm, delta in deltas.items()
        }
        for arm, graph in graphs.items():
            if arm not in students:
                students[arm] = chosen(graph, split)
            judge(arm, students[arm].clone().fit(graph, rng=seed), graph)
        augmented = graphs["EASE + edges"]
        judge(
            "LightGCN + edges", gcn.clone().fit(augmented, valid=split.valid, rng=seed), augmented
        )
    return told(results)


def told(results: dict[str, list[Result]]) -> dict[str, Any]:
    """{comparison: outcome, p, relative change}, p corrected for the table."""
    found = {
        f"{b} against {a}": compare(results[a], results[b], METRIC, (a, b)) for a, b in COMPARISONS
    }
    p = holm({name: comparison.p for name, comparison in found.items()})
    return {
        name: {
            "outcome": comparison.outcome(p=p[name]),
            "p": p[name],
            "before": comparison.mean_a,
            "relative": comparison.relative,
        }
        for name, comparison in found.items()
    }


# ---- all reruns ----------------------------------------------------------------------------------


def reruns(options: argparse.Namespace) -> list[dict[str, Any]]:
    """What each rerun found; those in the folder are read."""
    options.folder.mkdir(parents=True, exist_ok=True)
    found = []
    threads = itertools.cycle(options.threads)
    for number in range(options.reruns + 1):
        n, noise = next(threads), options.noise if number else 0.0
        file = options.folder / f"{number}-{options.fits}-{noise:g}-{n}.json"
        if not file.exists():
            start = time.perf_counter()
            torch.set_num_threads(n)
            with threadpool_limits(n):
                row = rerun(number, options.fits, noise)
            file.write_text(json.dumps(row | {"seconds": time.perf_counter() - start}))
        found.append(json.loads(file.read_text()))
        print(number, {name: found[-1][name]["outcome"] for name in names()}, flush=True)
    return found


def names() -> list[str]:
    return [f"{b} against {a}" for a, b in COMPARISONS]


def table(found: list[dict[str, Any]], options: argparse.Namespace) -> tuple[str, bool]:
    """The page, and whether the bars are met."""
    first, others = found[0], found[1:]
    lines = [
        "# The same verdict elsewhere",
        "",
        f"`python benchmarks/repeat.py --reruns {options.reruns} --fits {options.fits}`: MovieLens "
        f"100K, a fifth of train, {options.fits} fits each. Every rerun has the same seeds; weights "
        f"of links differ by a relative {options.noise:g}, threads: "
        f"{', '.join(map(str, options.threads))}. p is corrected for the table (Holm).",
        "",
        "| comparison | first: change, p, verdict | equal | opposite | changes | p |",
        "|---|---|---|---|---|---|",
    ]
    good = True
    for name in names():
        rows, one = [row[name] for row in others], first[name]
        counts = Counter(row["outcome"] for row in rows)
        equal, opposite = counts[one["outcome"]], counts[OPPOSITE.get(one["outcome"], "")]
        changes, ps = ([row[key] for row in rows] for key in ("relative", "p"))
        good &= equal >= EQUAL * len(rows) and opposite == 0
        lines.append(
            f"| {name} | {100 * one['relative']:+.1f} %, {one['p']:.2g}, {one['outcome']} | "
            f"{equal} of {len(rows)} | {opposite} | {100 * min(changes):+.1f} to "
            f"{100 * max(changes):+.1f} % | {min(ps):.2g} to {max(ps):.2g} |"
        )
    seconds = np.mean([row["seconds"] for row in found])
    bar = f"Bar: {100 * EQUAL:.0f} % equal, none opposite: {'met' if good else '**missed**'}."
    return "\n".join([*lines, "", f"{bar} A rerun took {seconds:.0f} s."]), good


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reruns", type=int, default=20)
    parser.add_argument("--fits", type=int, default=8, help="a verdict needs eight")
    parser.add_argument("--noise", type=float, default=1e-7)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--folder", type=Path, default=Path("repeat"), help="keeps the reruns")
    parser.add_argument("--out", type=Path, help="a Markdown file")
    options = parser.parse_args()
    if options.fits < 2:
        parser.error("--fits: at least 2, so that there is a test")
    page, good = table(reruns(options), options)
    print(page)
    if options.out:
        options.out.write_text(page + "\n")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
