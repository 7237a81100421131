"""What views of texts, profiles and items' texts bring to EASE, each with a permuted control.

    HINAUG_DATA=folder python benchmarks/large_models.py [--data instruments plots names] [--views static tfidf minilm]
        [--seeds 0 1 2] [--trials 12] [--shared] [--replaced VIEW] [--out FILE]

instruments  Musical Instruments; texts are reviews, which go with their pairs where these are held out.
plots        ml-latest-small: ratings of 4 and more, movies with at least 5 of them; texts are their plots.
names        amazon-hin: the text of an item is the names of its brand and categories, the only words that there are.

Each text becomes a vector. side: a user's column is the mean over the user's reviews, or over the texts of the user's
items, in the graph at hand: `UserProfile` on train, and again on train + valid for the refit; EASE centres it and gives
its rows a mean square length of 1, and a weight of 1. prior: EASE shrinks towards the cosines of the items' texts.
`permuted` deals the columns out among the users, or the items. Random 80/10/10 per user. Words, weights and axes of
tf-idf are fitted on the texts of train. The ridge of EASE is searched on valid, in each arm among the same values.
NDCG@20 over all unseen items: on test, fitted on train and refitted on train + valid; p over users and splits, against
plain EASE.

The valid pairs of one split are few, and their best ridge changes much from split to split. --shared takes one ridge an
arm, the best on the valid pairs of all splits together. A test pair of one split can be a valid pair of another.

--replaced VIEW asks on Musical Instruments what becomes of the profiles where the text of half of the reviews is
replaced: by `Paraphrase` (in other words), by the text of another review of the graph at hand, or by none. The base is
then the profile of the reviews' own texts.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from hinaug import Split, compare, embed_text, evaluate, random_split
from hinaug.datasets import load
from hinaug.features import TextEncoder, TextViews, UserProfile
from hinaug.generators.values import Paraphrase
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType
from hinaug.predictors import EASE

RIDGES = (10, 20_000)  # where it is searched
K = 20
METRIC = f"NDCG@{K}"
REVIEWS = ("review", "text")
Row = dict[str, Any]
Arm = tuple[str, str]  # the parameter of EASE and the column, such as ("side", "profile")


class World(NamedTuple):
    """A graph, the relation that is ranked, and where the texts are."""

    name: str
    hin: HIN
    relation: EdgeType
    text: tuple[str, str]


def instruments() -> World:
    hin = load("amazon-musical-instruments")
    return World("Musical Instruments", hin, ("user", "rates", "item"), REVIEWS)


def plots() -> World:
    texts = Path(os.environ.get("HINAUG_DATA", ".")) / "ml-latest-small-text"
    relation = ("user", "rates", "movie")
    hin = load("ml-latest-small", plots=texts, tags=False)
    hin = hin.filter_edges(relation, hin.column(relation, "rating").to_numpy() >= 4)
    liked = np.bincount(hin.links(relation)[1], minlength=hin.n("movie"))
    return World(
        "ml-latest-small", hin.filter_nodes("movie", liked >= 5), relation, ("movie", "plot")
    )


def names() -> World:
    hin = load("amazon-hin")
    said: list[list[str]] = [[] for _ in range(hin.n("item"))]
    for edge in (("item", "made_by", "brand"), ("item", "in", "category")):
        item, other = hin.links(edge)
        for at, name in zip(item, hin.ids(edge[2], other).to_pylist(), strict=True):
            said[at].append(f"{edge[2]}{name}")
    hin = hin.with_column("item", "names", [" ".join(words) for words in said], "row")
    return World("amazon-hin", hin, ("user", "rates", "item"), ("item", "names"))


WORLDS: dict[str, Callable[[], World]] = {
    "instruments": instruments,
    "plots": plots,
    "names": names,
}


def encoder(view: str, train: HIN, text: tuple[str, str]) -> Any:
    """The view, fitted on the texts of train where it is fitted at all."""
    if view == "minilm":
        return TextEncoder("minilm", max_length=256, dtype="auto")
    return TextViews(view.split("+")).fit(train.column(*text).to_pylist())


# ---- columns -------------------------------------------------------------------------------------


def profiles(world: World, encode: Any, texts: Callable[[HIN], HIN], hin: HIN) -> np.ndarray:
    """The mean vector of the texts of each user in the graph at hand; the mean over users for one without, [users, d]."""
    made = embed_text(texts(hin), world.text[0], encode, world.text[1])
    rows, has = UserProfile(world.relation, vectors=(world.text[0], "x")).mean_vectors(made)
    return np.where(has[:, None], rows, rows[has].mean(axis=0))


def same(hin: HIN) -> HIN:
    return hin


def with_columns(world: World, split: Split, view: str) -> tuple[Split, list[Arm]]:
    """The split with profiles of users, vectors of items where texts are theirs, both also permuted; and the arms."""
    encode = encoder(view, split.train, world.text)
    arms = [("side", "profile"), ("side", "permuted")]
    own = partial(profiles, world, encode, same)
    made = {(world.relation[0], "profile"): own}
    if world.text[0] == world.relation[2]:
        own = partial(_vectors, world.text, encode)
        made[world.relation[2], "text"] = own
        arms += [("prior", "text"), ("prior", "permuted")]
    for (node, name), function in made.items():
        split = split.with_derived(node, name, function)
        split = split.with_derived(node, "permuted", partial(_dealt, function))
    return split, arms


def _vectors(text: tuple[str, str], encode: Any, hin: HIN) -> np.ndarray:
    """The vector of each node's text; the mean of all for one without, [nodes, d]."""
    x = embed_text(hin, text[0], encode, text[1]).vectors(text[0], "x", fill=np.nan)
    return np.where(np.isnan(x), np.nanmean(x, axis=0), x)


def _dealt(function: Callable[[HIN], np.ndarray], hin: HIN) -> np.ndarray:
    return np.random.default_rng(0).permutation(function(hin))


class Replaced:
    """Graphs in which half of the reviews, drawn by a hash of their ids, have another text.

    how: "in other words", "of another review", or "none", where they have no text at all.
    """

    def __init__(self, world: World, how: str) -> None:
        self.how, self.words = how, {}
        if how == "in other words":
            ids, texts = world.hin.ids("review").to_pylist(), world.hin.column(*REVIEWS).to_pylist()
            said = Paraphrase()([text or "" for text in texts], rng=0)
            self.words = dict(zip(ids, said, strict=True))

    def __call__(self, hin: HIN) -> HIN:
        ids, texts = hin.ids("review"), hin.column(*REVIEWS).to_pylist()
        half = tb.hashed(ids) % 2 == 0
        others: Sequence[str | None] = [None] * len(texts)
        if self.how == "in other words":
            others = [self.words[name] for name in ids.to_pylist()]
        elif self.how == "of another review":
            others = [texts[k] for k in np.random.default_rng(0).permutation(len(texts))]
        new = [b if h else a for a, b, h in zip(texts, others, half, strict=True)]
        return hin.with_column("review", "text", pa.array(new, pa.string()), "row")


# ---- EASE ----------------------------------------------------------------------------------------


def on_valid(world: World, split: Split, how: dict[str, str], ridges: list[Any]) -> list[float]:
    """NDCG on valid of each ridge."""
    if len(ridges) == 1:
        return [0.0]
    models = (EASE(world.relation, l2=l2, **how).fit(split.train) for l2 in ridges)
    return [evaluate(model, split.train, split, k=K)[METRIC] for model in models]


def on_test(
    world: World, split: Split, how: dict[str, str], l2: float | None
) -> tuple[float, dict[str, Any]]:
    """The ridge taken, and the results on test, fitted on train and on train + valid."""
    found = {}
    for part, graph in (("train", split.train), ("refit", split.train_valid)):
        model = EASE(world.relation, l2=l2, **how).fit(graph)
        found[part] = evaluate(model, graph, split, k=K, on="test")
    return float(model.l2_), found


def chosen(curves: np.ndarray, shared: bool) -> np.ndarray:
    """The place of the best ridge in each split, from NDCG on valid [splits, ridges]."""
    if shared:
        curves = np.broadcast_to(curves.mean(axis=0), curves.shape)
    return curves.argmax(axis=1)


def told(found: list[Any], base: list[Any]) -> Row:
    """One arm against another: means over users, p over users and splits."""
    row: Row = {}
    for part in ("train", "refit"):
        one, two = ([[results[part]] for results in given] for given in (base, found))
        c = compare(one, two, METRIC, splits=True)
        row[part] = {"base": round(c.mean_a, 5), "arm": round(c.mean_b, 5)}
        row[part] |= {"%": round(100 * c.relative, 2), "p": c.p}
    return row


def rows(
    world: World, arms: dict[tuple[str, str, str], list[Split]], options: argparse.Namespace
) -> list[Row]:
    """A row for each arm (view, parameter, column), the first of which is the base."""
    made: list[Row] = []
    base: list[Any] = []
    ridges = np.geomspace(*RIDGES, options.trials).tolist() if options.trials else [None]
    for (view, parameter, column), own in arms.items():
        start = time.process_time()
        how = {parameter: column} if parameter else {}
        curves = np.array([on_valid(world, split, how, ridges) for split in own])
        best = chosen(curves, options.shared)
        tested = [on_test(world, s, how, ridges[k]) for s, k in zip(own, best, strict=True)]
        found = [results for _, results in tested]
        base = base or found
        row = {"part": f"{parameter or 'side'} column", "data": world.name, "view": view}
        row |= {
            "side": column or "none",
            "splits": len(own),
            "l2": [round(ridge, 1) for ridge, _ in tested],
        }
        row |= told(found, base)
        row |= {"ridge": "shared" if options.shared else "own", "trials": options.trials}
        print(json.dumps(row | {"cpu_s": round(time.process_time() - start, 1)}), flush=True)
        made.append(row)
    return made


def views(world: World, options: argparse.Namespace) -> list[Row]:
    """Profiles and priors of each view, against no text."""
    arms: dict[tuple[str, str, str], list[Split]] = {}
    evidence = [] if world.text[0] in world.relation else [world.text[0]]
    for seed in options.seeds:
        split = random_split(world.hin, world.relation, evidence=evidence, rng=seed)
        arms.setdefault(("no text", "", ""), []).append(split)
        for view in options.views:
            made, forms = with_columns(world, split, view)
            for parameter, column in forms:
                arms.setdefault((view, parameter, column), []).append(made)
    return rows(world, arms, options)


def replaced(options: argparse.Namespace) -> list[Row]:
    """Profiles where half of the reviews have another text, against their own texts."""
    world, arms = instruments(), {}
    texts: dict[str, Callable[[HIN], HIN]] = {"own": same}
    texts |= {h: Replaced(world, h) for h in ("in other words", "of another review", "none")}
    for seed in options.seeds:
        split = random_split(world.hin, world.relation, evidence=["review"], rng=seed)
        encode = encoder(options.replaced, split.train, world.text)
        for name, function in texts.items():
            column = f"half {name}" if name != "own" else name
            made = split.with_derived("user", column, partial(profiles, world, encode, function))
            arms.setdefault((options.replaced, "side", column), []).append(made)
    return [row | {"part": "replaced reviews"} for row in rows(world, arms, options)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", nargs="*", choices=WORLDS, default=list(WORLDS))
    parser.add_argument("--views", nargs="+", default=["static", "tfidf", "minilm"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--trials", type=int, default=12, help="ridges tried; 0 takes the default")
    parser.add_argument("--shared", action="store_true", help="one ridge an arm for all splits")
    parser.add_argument("--replaced", metavar="VIEW", help="half of the reviews replaced")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = [row for name in options.data for row in views(WORLDS[name](), options)]
    found += replaced(options) if options.replaced else []
    if options.out:
        with options.out.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in found)


if __name__ == "__main__":
    main()
