"""What a projection that starts at the identity makes of frozen text vectors, for new items.

    HINAUG_DATA=folder python benchmarks/large_models_new.py [--data reviews told plots] [--seeds 0 1 2] [--out FILE]

reviews  Musical Instruments; an item is the mean of three reviews, whose authors have no link with it.
told     the same, an item is the mean of all its reviews, and their authors keep their links. A leak: a new item's vector
         then holds words of the users that it is ranked for. It shows how much of a gain comes from there.
plots    ml-latest-small: ratings of 4 and more, movies with at least 5 of them; an item is its plot.

MiniLM vectors. A tenth of the items lost all their links, another tenth for validation (`cold_items`); only the new ones of
test are ranked. All models have their defaults and are fitted on train. `cosine` is the frozen vectors, `FeatureProjection`
starts there and stops by a tenth of the items of train; `permuted` deals the vectors out among the items. NDCG@20 on test;
%, p against the cosine over users and splits.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from cold import frozen

from hinaug import TextEncoder, compare, embed_text, evaluate
from hinaug.datasets import load
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import random_order_within
from hinaug.graph.schema import EdgeType
from hinaug.predictors import FeatureProjection, KernelRidge, LinkPredictor
from hinaug.split.cold import cold_items
from hinaug.split.last import rank_in_run

PRODUCT, MOVIE = ("user", "rates", "item"), ("user", "rates", "movie")
SHOWN = 3  # reviews that describe an item


class World(NamedTuple):
    """A graph whose items have the vectors "x", and the relation that is ranked."""

    name: str
    hin: HIN
    relation: EdgeType


def with_vectors(hin: HIN, node: str, column: str) -> HIN:
    return embed_text(hin, node, TextEncoder("minilm", max_length=256, dtype="auto"), column=column)


def told() -> World:
    """All reviews of an item, all links."""
    hin = with_vectors(load("amazon-musical-instruments"), "review", "text")
    return World("Musical Instruments, told by their users", _meant(hin), PRODUCT)


def reviews() -> World:
    """Some reviews of each item; what their authors have to do with it is taken out."""
    hin = load("amazon-musical-instruments")
    about, wrote = (hin.metapath("review", end).tocsr().indices for end in ("item", "user"))
    order = random_order_within(about, np.random.default_rng(0))
    shown = np.zeros(len(about), bool)
    shown[order] = rank_in_run(about[order]) < SHOWN
    pairs = [
        src.astype(np.int64) * hin.n("item") + dst
        for src, dst in (hin.links(PRODUCT), (wrote[shown], about[shown]))
    ]
    hin = hin.filter_edges(PRODUCT, ~np.isin(*pairs))
    made = with_vectors(hin.filter_nodes("review", shown), "review", "text")
    return World("Musical Instruments", _meant(made), PRODUCT)


def _meant(hin: HIN) -> HIN:
    """The graph with the mean vector of its reviews at each item, without the reviews."""
    pool = hin.metapath("item", "review")
    x = (pool @ hin.vectors("review", "x", fill=0.0)) / np.maximum(np.diff(pool.indptr), 1)[:, None]
    return hin.with_column("item", "x", x, lineage="row").drop("review")


def plots() -> World:
    texts = Path(os.environ.get("HINAUG_DATA", ".")) / "ml-latest-small-text"
    hin = load("ml-latest-small", plots=texts, tags=False)
    hin = hin.filter_edges(MOVIE, hin.column(MOVIE, "rating").to_numpy() >= 4)
    hin = hin.filter_nodes("movie", np.bincount(hin.links(MOVIE)[1], minlength=hin.n("movie")) >= 5)
    return World("ml-latest-small, plots", with_vectors(hin, "movie", "plot"), MOVIE)


WORLDS: dict[str, Callable[[], World]] = {"reviews": reviews, "told": told, "plots": plots}


def dealt(world: World) -> World:
    """The world with the vectors dealt out among the items."""
    node = world.relation[2]
    x = np.random.default_rng(0).permutation(world.hin.vectors(node, "x", fill=np.nan))
    return world._replace(hin=world.hin.with_column(node, "x", x, lineage="row"))


def models(world: World, seed: int) -> Iterator[tuple[str, LinkPredictor, Any]]:
    """Name, fitted model and split of each arm."""
    split = cold_items(world.hin, world.relation, rng=seed)
    fitted = FeatureProjection(world.relation, "x").fit(split.train, rng=seed)
    yield "cosine", frozen(fitted), split
    yield "FeatureProjection", fitted, split
    yield "KernelRidge", KernelRidge(world.relation, "x").fit(split.train, rng=seed), split
    split = cold_items(dealt(world).hin, world.relation, rng=seed)
    fitted = FeatureProjection(world.relation, "x").fit(split.train, rng=seed)
    yield "FeatureProjection, permuted", fitted, split


def rows(world: World, seeds: list[int]) -> Iterator[dict[str, Any]]:
    """A row for each model, against the cosine of frozen vectors."""
    found: dict[str, list[list[Any]]] = {}
    start = time.process_time()
    for seed in seeds:
        for name, model, split in models(world, seed):
            result = evaluate(model, split.train, split, k=20, on="test", protocol="new")
            found.setdefault(name, []).append([result])
    for name, results in found.items():
        c = compare(found["cosine"], results, "NDCG@20", splits=True)
        row = {"part": "projection", "data": world.name, "model": name, "splits": len(seeds)}
        row |= {"items": world.hin.n(world.relation[2]), "base": round(c.mean_a, 5)}
        row |= {"NDCG@20": round(c.mean_b, 5)}
        yield row | {"%": round(100 * c.relative, 2), "p": c.p}
    print(f"{world.name}: {time.process_time() - start:.0f} CPU s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", nargs="+", choices=WORLDS, default=list(WORLDS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    for name in options.data:
        for row in rows(WORLDS[name](), options.seeds):
            print(json.dumps(row), flush=True)
            if options.out:
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
