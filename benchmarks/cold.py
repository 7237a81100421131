"""Predictors that read features, on movies that nobody had in training and on those that somebody
had.

    HINAUG_DATA=folder python benchmarks/cold.py [--seeds 0 1 2] [--where cold warm] [--only MODEL
    ...] [--out results.jsonl]

MovieLens 100K, ratings of at least 4. Features of a movie: genres, year, 64 components of the tf-idf of title and genres; the
network also reads age, gender and occupation of the users.
cold   a tenth of the movies lost all their links (another tenth for validation); only they are ranked. The networks hide all
       links of a fifth of the nodes in each step ("node_dropout"); one row without.
warm   random 80/10/10 per user; all unseen movies are ranked. The networks hide no node; one row with. LightGCN, which knows
       ids alone, stands beside.
The networks stop by the ranking of all movies without links, valid's and test's together; choices
are made on valid's alone. Each arm chooses from its grid on valid (8 trials for KernelRidge, 4 for
each network and for LightGCN, 2 for NearestNeighbors), then is refitted on train + valid; test
NDCG@20, once a seed. "permuted" has each movie carry the features of another one: what is left of
the gain then does not come from them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from linear import MOVIE, movies

from hinaug import evaluate
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import held_out
from hinaug.predictors import HeteroGNN, KernelRidge, LightGCN, NearestNeighbors
from hinaug.predictors.base import LinkPredictor
from hinaug.split.base import Split
from hinaug.split.cold import cold_items
from hinaug.split.random import random_split
from hinaug.training import ranking

COLUMNS: list[Any] = [("genre", "id"), "year", "words"]
READS = {"movie": ["year", "words"], "user": ["age", "gender", "occupation"]}
CONVS = ("sage", "rgcn", "hgt", "han")


def networks(conv: str, node_dropout: float) -> list[LinkPredictor]:
    grid = [(lr, dropout) for lr in (0.003, 0.01) for dropout in (0.0, 0.3)]
    return [
        HeteroGNN(MOVIE, conv=conv, columns=READS, lr=lr, dropout=d, node_dropout=node_dropout)
        for lr, d in grid
    ]


RIDGE: list[LinkPredictor] = [
    KernelRidge(MOVIE, COLUMNS, kernel=kernel, l2=l2)
    for kernel in ("rbf", "cosine")
    for l2 in (1.0, 3.0, 10.0, 30.0)
]
WORDS: list[LinkPredictor] = [
    NearestNeighbors(MOVIE, column="words", centre=c) for c in (True, False)
]
LIGHTGCN: list[LinkPredictor] = [
    LightGCN(MOVIE, loss="softmax", embedding_dim=64, l2=l2) for l2 in (0.5, 1.0, 2.0, 4.0)
]
ARMS: dict[str, dict[str, list[LinkPredictor]]] = {
    "cold": {"NearestNeighbors": WORDS, "KernelRidge": RIDGE}
    | {f"HeteroGNN {conv}": networks(conv, 0.2) for conv in CONVS}
    | {"HeteroGNN sage, node_dropout 0": networks("sage", 0.0)},
    "warm": {"NearestNeighbors": WORDS, "KernelRidge": RIDGE, "LightGCN": LIGHTGCN}
    | {f"HeteroGNN {conv}": networks(conv, 0.0) for conv in CONVS}
    | {"HeteroGNN sage, node_dropout 0.2": networks("sage", 0.2)},
}
PERMUTED = ("KernelRidge", "HeteroGNN sage")
WORLDS = {"cold": cold_items, "warm": random_split}


def permuted(hin: HIN) -> HIN:
    """Every movie's links go to another movie, whose features they then meet; the graph of links
    keeps its form.
    """
    deal = np.random.default_rng(0).permutation(hin.n("movie"))
    edges = {}
    for edge in hin.edges:
        src, dst = hin.links(edge)
        dst = deal[dst] if edge == MOVIE else dst
        edges[edge] = pa.table({"src": hin.ids(edge[0], src), "dst": hin.ids(edge[2], dst)})
    return HIN.from_tables(dict(hin.nodes), edges)


def among_cold(model: LinkPredictor | None, hin: HIN, pairs: pa.Table) -> float:
    """NDCG@20 where only the items that the pairs speak of are ranked; without a model, at random."""
    users, relevant = held_out(hin, MOVIE, pairs)
    items = np.flatnonzero(relevant.sum(axis=0) > 0)
    scores = np.random.default_rng(0).random((len(users), len(items)), np.float32)
    if model is not None:
        scores = np.nan_to_num(model.score(hin, users)[:, items], nan=-1e9)
    ranked, _ = ranking.top_k(scores, min(20, len(items)))
    return float(ranking.ndcg(ranked, relevant[:, items].tocsr(), 20).mean())


def judged(where: str, model: LinkPredictor | None, hin: HIN, split: Split, on: str) -> float:
    if where == "cold":
        return among_cold(model, hin, split.valid if on == "valid" else split.test)
    assert model is not None
    return evaluate(model, hin, split, k=20, on=on)["NDCG@20"]


def arm(where: str, name: str, split: Split, seed: int) -> dict[str, Any]:
    begin = time.process_time()
    fitted = [
        model.clone().fit(split.train, valid=split.valid, rng=seed) for model in ARMS[where][name]
    ]
    values = [judged(where, model, split.train, split, "valid") for model in fitted]
    best = fitted[int(np.argmax(values))].refit(split.train_valid, rng=seed)
    return {
        "where": where,
        "model": name,
        "seed": seed,
        "trials": len(values),
        "valid": round(max(values), 5),
        "NDCG@20": round(judged(where, best, split.train_valid, split, "test"), 5),
        "cpu_s": round(time.process_time() - begin, 1),
        "chosen": repr(best)[:300],
    }


def rows(hin: HIN, where: str, only: list[str] | None, seed: int) -> Iterator[dict[str, Any]]:
    split, dealt = (WORLDS[where](graph, MOVIE, rng=seed) for graph in (hin, permuted(hin)))
    if where == "cold":
        chance = round(among_cold(None, split.train_valid, split.test), 5)
        yield {"where": where, "model": "random", "seed": seed, "NDCG@20": chance}
    for name in ARMS[where]:
        if only and name not in only:
            continue
        yield arm(where, name, split, seed)
        if name in PERMUTED:
            yield arm(where, name, dealt, seed) | {"model": f"{name}, permuted"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--where", nargs="+", choices=list(WORLDS), default=list(WORLDS))
    parser.add_argument("--only", nargs="+", choices=sorted({*ARMS["cold"], *ARMS["warm"]}))
    parser.add_argument("--out", type=Path, help="JSON lines are appended here")
    options = parser.parse_args()
    hin = movies()
    for seed in options.seeds:
        for where in options.where:
            for row in rows(hin, where, options.only, seed):
                print(json.dumps(row), flush=True)
                if options.out:
                    with options.out.open("a") as file:
                        file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
