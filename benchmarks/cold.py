"""Predictors that read features: movies and products that nobody had in training, and movies that
somebody had.

    HINAUG_DATA=folder python benchmarks/cold.py [--where new cold warm] [--seeds 0 1 2]
        [--data WORLD ...] [--only MODEL ...] [--out results.jsonl]
    python benchmarks/cold.py --table results.jsonl > results/cold.md

new    A tenth of the items lost all their links, another tenth for validation; only the new ones of
       test are ranked. ml-100k: genres, year, words of the title. ml-latest-small: movies with at
       least 5 ratings of 4 and more; plots alone, or with genres, year and tags. instruments: an item is
       described by 3 of its reviews. Who tagged or wrote these has no links there: a description never comes
       from somebody whose wishes are ranked. Vectors: the small BERT where it is installed, else 64 components
       of tf-idf. Defaults, no search: members are fitted on train, the ensemble chooses on valid,
       all are refitted on train + valid and judged on test, once.
cold   MovieLens 100K as in "new"; the networks hide all links of a fifth of the nodes in each step
       ("node_dropout"), one row without. They stop by the ranking of all movies without links, valid's and test's
       together; choices are made on valid's alone.
warm   MovieLens 100K, random 80/10/10 per user; all unseen movies are ranked. The networks hide no node;
       one row with. LightGCN, which knows ids alone, stands beside.
In "cold" and "warm" each arm chooses from its grid on valid (8 trials for KernelRidge, 4 for each
network and for LightGCN, 2 for NearestNeighbors), then is refitted on train + valid; test NDCG@20,
once a seed. "permuted" has each item carry the features of another one: what is left of the gain
then does not come from them.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from linear import MOVIE, PRODUCT, movies, words

from hinaug import TextEncoder, compare, embed_text, evaluate
from hinaug.datasets import load
from hinaug.ensembles import EnsembleSelection, ScoreFusion
from hinaug.evaluation.result import Result
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import held_out, random_order_within
from hinaug.graph.schema import EdgeType
from hinaug.predictors import (
    FeatureProjection,
    HeteroGNN,
    KernelRidge,
    LightGCN,
    MetapathSimilarity,
    NearestNeighbors,
)
from hinaug.predictors.base import LinkPredictor
from hinaug.split.base import Split
from hinaug.split.cold import cold_items
from hinaug.split.last import rank_in_run
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


def permuted(hin: HIN, relation: EdgeType = MOVIE) -> HIN:
    """Every item's links go to another item, whose features they then meet; the graph of links
    keeps its form.
    """
    deal = np.random.default_rng(0).permutation(hin.n(relation[2]))
    edges = {}
    for edge in hin.edges:
        src, dst = hin.links(edge)
        dst = deal[dst] if edge == relation else dst
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


# ---- new items, three data sets ------------------------------------------------------------------


class World(NamedTuple):
    """A graph, the relation that is ranked, what describes an item, and its column of text vectors."""

    hin: HIN
    relation: EdgeType
    sources: list[Any]
    text: str


def vectors(hin: HIN, node: str, column: str) -> HIN:
    """Column "x" of text vectors."""
    try:
        return embed_text(hin, node, TextEncoder("minilm"), column=column)
    except (ImportError, OSError, ValueError) as error:
        print(f"no small BERT ({error}): tf-idf", flush=True)
        return hin.with_column(node, "x", words(hin.column(node, column).to_pylist()), "row")


def plots() -> HIN:
    """ml-latest-small; movie - tag from the people who tagged, who rank nothing."""
    texts = Path(os.environ.get("HINAUG_DATA", ".")) / "ml-latest-small-text"
    hin = load("ml-latest-small", plots=texts, tag_nodes=True)
    hin = hin.filter_edges(MOVIE, hin.column(MOVIE, "rating").to_numpy() >= 4)
    hin = hin.filter_nodes("movie", np.bincount(hin.links(MOVIE)[1], minlength=hin.n("movie")) >= 5)
    tagged = hin.metapath("movie", "tagging", "tag").tocoo()
    ends = {"src": hin.ids("movie", tagged.coords[0]), "dst": hin.ids("tag", tagged.coords[1])}
    taggers = np.diff(hin.adjacency(("user", "wrote", "tagging")).indptr) > 0
    hin = hin.drop("tagging").with_edges(("movie", "tagged", "tag"), ends)
    return vectors(hin.filter_nodes("user", ~taggers), "movie", "plot")


def reviews(shown: int = 3) -> HIN:
    """Instruments; an item has the mean vector of `shown` reviews, whose pairs are no links."""
    hin = load("amazon-musical-instruments")
    about = hin.metapath("review", "item").tocsr()
    item = about.indices[about.indptr[:-1]]
    order = random_order_within(item, np.random.default_rng(0))
    describes = np.zeros(len(item), bool)
    describes[order] = rank_in_run(item[order]) < shown
    writer = hin.metapath("review", "user").tocsr()
    told = writer.indices[describes], item[describes]
    hin = vectors(hin.filter_nodes("review", describes), "review", "text")
    pool, src, dst = hin.metapath("item", "review"), *hin.links(PRODUCT)
    mean = (pool @ hin.vectors("review", "x", fill=0.0)) / np.diff(pool.indptr)[:, None]
    taken = np.isin(
        src.astype(np.int64) * hin.n("item") + dst,
        told[0].astype(np.int64) * hin.n("item") + told[1],
    )
    return hin.with_column("item", "x", mean).filter_edges(PRODUCT, ~taken).drop("review")


NEW: dict[str, Callable[[], World]] = {
    "ml-100k": lambda: World(movies(), MOVIE, [("genre",), "year", "words"], "words"),
    "ml-latest-small, plots": lambda: World(plots(), MOVIE, ["x"], "x"),
    "ml-latest-small": lambda: World(plots(), MOVIE, [("genre",), "year", "x", ("tag",)], "x"),
    "instruments": lambda: World(reviews(), PRODUCT, ["x"], "x"),
}


def members(world: World) -> dict[str, LinkPredictor]:
    """Predictors as they come."""
    found: dict[str, LinkPredictor] = {
        "KernelRidge": KernelRidge(world.relation, world.sources),
        "FeatureProjection": FeatureProjection(world.relation, world.sources),
        "text similarity": NearestNeighbors(world.relation, world.text, k=20),
    }
    if len(world.hin.nodes) > 2:
        found["MetapathSimilarity"] = MetapathSimilarity(world.relation)
    return found


def frozen(model: LinkPredictor) -> LinkPredictor:
    """The cosine that a fitted projection starts from."""
    model = copy.copy(model)
    model.__dict__.pop("_caches", None)
    model.weights_ = np.eye(len(model.weights_), dtype=np.float32)  # type: ignore[attr-defined]
    return model


def new_items(name: str, seed: int) -> Iterator[tuple[dict[str, Any], Result]]:
    """A row and its result for each model of a data set."""
    world = NEW[name]()
    split = cold_items(world.hin, world.relation, rng=seed)
    graph, fitted, seconds = split.train_valid, {}, {}
    for model, member in members(world).items():
        begin = time.process_time()
        fitted[model] = member.fit(split.train, rng=seed)
        seconds[model] = round(time.process_time() - begin, 1)

    def judged(model: str, predictor: LinkPredictor) -> tuple[dict[str, Any], Result]:
        result = evaluate(predictor, graph, split, k=20, on="test", protocol="new")
        row = {"where": "new", "data": name, "seed": seed, "model": model}
        row |= {"NDCG@20": round(result["NDCG@20"], 5), "cpu_s": seconds.get(model)}
        return row, result

    everything = list(fitted.values())
    ensemble = EnsembleSelection([member.clone() for member in everything])
    ensemble.fit_with(everything, split.train, valid=split.valid, rng=seed)
    for member in everything:
        member.refit(graph, rng=seed)
    for model, member in fitted.items():
        yield judged(model, member)
    yield judged("cosine", frozen(fitted["FeatureProjection"]))
    both = [fitted[model] for model in BOTH]
    fusion = ScoreFusion([member.clone() for member in both])
    yield judged("z-mean", fusion.fit_with(both, graph))
    yield judged("ensemble of all", ensemble.refit_with(everything, graph))
    world = world._replace(hin=permuted(world.hin, world.relation))
    split = cold_items(world.hin, world.relation, rng=seed)
    graph = split.train_valid
    fusion = ScoreFusion([members(world)[model] for model in BOTH]).fit(graph, rng=seed)
    yield judged("z-mean, permuted", fusion)
    yield judged("random", Chance(world.relation).fit(graph, rng=seed))


@dataclass(eq=False)
class Chance(LinkPredictor):
    """Scores that say nothing."""

    def _fit(self, hin: HIN, valid: pa.Table | None, rng: np.random.Generator) -> None:
        self.seed_ = int(rng.integers(2**31))

    def _score(self, hin: HIN, src: np.ndarray) -> np.ndarray:
        shape = (hin.n(self.relation[0]), hin.n(self.relation[2]))
        return np.random.default_rng(self.seed_).random(shape, np.float32)[src]


BOTH = ["KernelRidge", "FeatureProjection"]
VERDICTS = [
    ("KernelRidge", "z-mean"),
    ("cosine", "FeatureProjection"),
    ("KernelRidge", "ensemble of all"),
]


def new_rows(data: list[str], seeds: list[int]) -> Iterator[dict[str, Any]]:
    """Rows of "new", then a verdict over the splits for each pair of VERDICTS."""
    for name in data:
        found: dict[str, list[list[Result]]] = {}
        for seed in seeds:
            for row, result in new_items(name, seed):
                found.setdefault(row["model"], []).append([result])
                yield row
        for a, b in VERDICTS:
            said = compare(found[a], found[b], names=(a, b), splits=True)
            yield {"where": "verdict", "data": name, "said": said.verdict()}


def table(rows: list[dict[str, Any]]) -> str:
    """The rows of "new" as a page: a table of means over the splits, then the verdicts."""
    new = [row for row in rows if row["where"] == "new"]
    data, models = (list(dict.fromkeys(row[key] for row in new)) for key in ("data", "model"))

    def cell(model: str, name: str) -> str:
        values = [r["NDCG@20"] for r in new if (r["model"], r["data"]) == (model, name)]
        return f"{np.mean(values):.4f}" if values else ""

    lines = [f"| | {' | '.join(data)} |", f"|---|{'---|' * len(data)}"]
    lines += [f"| {m} | {' | '.join(cell(m, name) for name in data)} |" for m in models]
    seconds = {
        m: [r["cpu_s"] for r in new if r["model"] == m and r["cpu_s"] is not None] for m in models
    }
    lines += ["", "Seconds of CPU for a fit, over all: "]
    lines[-1] += ", ".join(f"{m} {min(v):g} to {max(v):g}" for m, v in seconds.items() if v) + "."
    lines += ["", *(f"- {r['data']}: {r['said']}" for r in rows if r["where"] == "verdict")]
    return "\n".join(lines)


def old_rows(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Rows of "cold" and "warm"."""
    hin = movies()
    for seed in options.seeds:
        for where in options.where:
            if where in WORLDS:
                yield from rows(hin, where, options.only, seed)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--where", nargs="+", choices=["new", *WORLDS], default=["new", *WORLDS])
    parser.add_argument("--data", nargs="+", choices=list(NEW), default=list(NEW), help="of new")
    parser.add_argument("--only", nargs="+", choices=sorted({*ARMS["cold"], *ARMS["warm"]}))
    parser.add_argument("--out", type=Path, help="JSON lines are appended here")
    parser.add_argument("--table", type=Path, help="print the table of such a file, and no more")
    options = parser.parse_args()
    if options.table:
        print(table([json.loads(line) for line in options.table.read_text().splitlines()]))
        return
    found = new_rows(options.data, options.seeds) if "new" in options.where else iter(())
    for row in itertools.chain(found, old_rows(options) if {*options.where} - {"new"} else ()):
        print(json.dumps(row), flush=True)
        if options.out:
            with options.out.open("a") as file:
                file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
