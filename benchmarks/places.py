"""New items in one list with the others, at places that are kept for them.

    HINAUG_DATA=folder python benchmarks/places.py [--data ml-100k ...] [--seeds 0 1 2]

A tenth of the items is new on test, and a tenth of each user's other pairs is held out too. Nothing is tuned; everything is
fitted once on train + valid: EASE, KernelRidge and RelationGenerator as they come, four times the mean links for each new item,
some of 20 places reserved, the last ones. Controls fill the same places at random, by predicted popularity, and by edges from
the features of other items. "ridge" puts the ridge itself into the places, without edges; "one list" is the augmented model
alone. Rows are appended to results/places.jsonl; what stands there is not measured again. NDCG@20 and Recall@20 on test, once
a split. --table writes results/places.md.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hinaug import Split, cold_items, evaluate
from hinaug.datasets import amazon_hin, load, movielens_latest_small
from hinaug.ensembles import ReservedPlaces
from hinaug.evaluation.advise_cold import feature_columns
from hinaug.evaluation.probes import Chance, PredictedPopularity
from hinaug.features.axes import PrincipalAxes
from hinaug.generators import RelationGenerator
from hinaug.graph import EdgeType
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import linked_targets
from hinaug.predictors import EASE, KernelRidge

RESULTS = Path(__file__).parent / "results" / "places.jsonl"
DATA = ("ml-100k", "ml-latest-small", "amazon-hin")
TIMES = 4.0  # links that a new item gets, in units of the mean
FEATURES, SHUFFLED = "features", "shuffled features"


# ---- data ----------------------------------------------------------------------------------------


def folder() -> Path:
    return Path(os.environ.get("HINAUG_DATA", "."))


def liked(hin: HIN) -> HIN:
    """Ratings of at least 4, the movies that have some, and their texts as numbers."""
    from linear import words

    rates = ("user", "rates", "movie")
    hin = hin.filter_edges(rates, hin.column(rates, "rating").to_numpy() >= 4)
    hin = hin.filter_nodes("movie", np.bincount(hin.links(rates)[1], minlength=hin.n("movie")) > 0)
    texts = hin.column("movie", "text").to_pylist()
    return hin.with_column("movie", "words", words(texts), lineage="row")


def data_set(name: str) -> tuple[HIN, EdgeType, tuple[str, ...]]:
    """A graph, the relation that is asked for, and what witnesses it."""
    if name == "ml-latest-small":
        plots = folder() / "ml-latest-small-text"
        hin = movielens_latest_small(folder() / name, plots=plots)
        return liked(hin), ("user", "rates", "movie"), ("tagging",)
    if name == "amazon-hin":
        return amazon_hin(folder() / name), ("user", "rates", "item"), ()
    return liked(load("ml-100k")), ("user", "rates", "movie"), ()


# ---- reserved places -----------------------------------------------------------------------------


def described(hin: HIN, relation: EdgeType, evidence: tuple[str, ...], seed: int) -> HIN:
    """The graph with what describes its items as one column, and with that of other items."""
    target = relation[2]
    columns, _ = feature_columns(hin, relation, evidence)
    rows, has_any = PrincipalAxes(target, columns, 512).fit(hin).encode(hin)
    rows = np.where(has_any[:, None], rows, np.nan)
    order = np.random.default_rng(seed).permutation(len(rows))
    hin = hin.with_column(target, FEATURES, rows, lineage="row")
    return hin.with_column(target, SHUFFLED, rows[order], lineage="row")


def with_edges(hin: HIN, relation: EdgeType, evidence: tuple[str, ...], column: str) -> HIN:
    """The graph with edges for items without links."""
    links = hin.adjacency(relation)
    linked = int(linked_targets(links).sum())
    size = round(TIMES * links.nnz / linked * (links.shape[1] - linked))
    ridge = KernelRidge(relation, column)
    generator = RelationGenerator(ridge, targets="cold", evidence=evidence).fit(hin, rng=0)
    return hin + generator.generate(hin, size, rng=0)


def places_arms(split: Split, seed: int) -> Iterator[tuple[str, Any, HIN]]:
    """(name, fitted model, the graph that it scores on)."""
    hin, relation = split.train_valid, split.target
    plain = EASE(relation).fit(hin)
    yield "plain", plain, hin
    graph = with_edges(hin, relation, split.evidence, FEATURES)
    augmented = EASE(relation, weight="confidence").fit(graph)
    yield "one list", augmented, graph
    other = with_edges(hin, relation, split.evidence, SHUFFLED)
    ridge = KernelRidge(relation, FEATURES)
    fillers = {
        "edges": (augmented, graph),
        "random": (Chance(relation, seed).fit(hin), hin),
        "predicted popularity": (PredictedPopularity(relation, ridge).fit(hin), hin),
        "shuffled features": (EASE(relation, weight="confidence").fit(other), other),
        "ridge": (ridge.fit(hin), hin),
    }
    for name, (filler, scored) in fillers.items():
        for places in (1, 2, 4) if name == "edges" else (2,):
            model = ReservedPlaces([plain, filler], places=places, length=20)
            yield f"{places} places, {name}", model.fit_with([plain, filler], scored), scored


def places(data: str, seed: int) -> Iterator[dict[str, Any]]:
    hin, relation, evidence = data_set(data)
    hin = described(hin, relation, evidence, seed)
    split = cold_items(hin, relation, evidence=evidence, warm=0.1, rng=seed)
    for arm, model, graph in places_arms(split, seed):
        found = evaluate(model, graph, split, k=20, on="test", protocol="joint")
        row: dict[str, Any] = {"data": data, "seed": seed, "arm": arm}
        row["all NDCG@20"] = found["NDCG@20"]
        for kind, part in (("warm", found.warm), ("new", found.new)):
            row |= {f"{kind} {metric}": part[metric] for metric in ("NDCG@20", "Recall@20")}
        row["new only NDCG@20"] = None
        if arm.startswith("one list") or arm == "2 places, ridge":
            alone = model if arm.startswith("one list") else model.predictors_[1]
            row["new only NDCG@20"] = evaluate(
                alone, graph, split, k=20, on="test", protocol="new"
            )["NDCG@20"]
        yield {k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()}


def known() -> list[dict[str, Any]]:
    return (
        [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    )


def table(rows: list[dict[str, Any]]) -> str:
    """Means over splits; changes are to the plain list."""
    lines = [
        "# Places for new items",
        "",
        "`HINAUG_DATA=folder python benchmarks/places.py`, then `--table`. Test, means over splits; "
        "nothing is tuned.",
        "",
        "| data | splits | list | all NDCG@20 | warm NDCG@20 | new NDCG@20 | new Recall@20 |",
        "|---|---|---|---|---|---|---|",
    ]
    for data, arm in dict.fromkeys((row["data"], row["arm"]) for row in rows):
        own, plain = (
            [row for row in rows if (row["data"], row["arm"]) == (data, name)]
            for name in (arm, "plain")
        )
        mean = {
            k: float(np.mean([row[k] for row in own]))
            for k in own[0]
            if k.endswith("NDCG@20") and "only" not in k
        }
        change = [
            100 * (mean[k] / float(np.mean([row[k] for row in plain])) - 1)
            for k in ("all NDCG@20", "warm NDCG@20")
        ]
        lines.append(
            f"| {data} | {len(own)} | {arm} | {change[0]:+.1f} % | {change[1]:+.1f} % | "
            f"{mean['new NDCG@20']:.4f} | {float(np.mean([r['new Recall@20'] for r in own])):.4f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--table", action="store_true", help="write results/places.md and end")
    options = parser.parse_args()
    if options.table:
        RESULTS.with_suffix(".md").write_text(table(known()))
        return
    done = {(row["data"], row["seed"]) for row in known()}
    for data in options.data:
        for seed in options.seeds:
            if (data, seed) in done:
                continue
            rows = list(places(data, seed))
            with RESULTS.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)
            for row in rows:
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
