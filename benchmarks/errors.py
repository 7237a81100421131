"""Does `analyse_errors` find a bad slice that is there, and none where there is none?

    python benchmarks/errors.py [--worlds 200]

A world has 1,500 users (age, job, premium, some values missing) and 400 items (year, genre, a
vector of its text). The scores are made by hand: each held-out item gets a bonus that depends on
the user and the item by chance, so that some users and items are hard; 59 % are among the first
20. In a planted world the bonus is smaller in one slice of 8 to 25 % of the pairs, where 20 % are
among the first 20. The slice is by users (job; age; age and premium), by items (genre; year; text)
or by both (premium and genre), one sort in turn. In a null world there is no such slice.

Found: a named slice that shares half of its pairs with the planted one, |A & B| / |A | B| >= 0.5.
Exit status 1 where a bar is missed: found in at least 95 % of planted worlds, none named in at
least 95 % of null worlds.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hinaug.evaluation import analyse_errors
from hinaug.graph import HIN
from hinaug.predictors.base import LinkPredictor
from hinaug.split import Split, random_split

RATES = ("user", "rates", "item")
HAS = ("item", "has", "genre")
JOBS = ("baker", "guide", "painter", "nurse", "pilot", "clerk")
GENRES = tuple(f"genre {i}" for i in range(8))
PLANTS = ("job", "age", "age and premium", "genre", "year", "text", "premium and genre")
USERS, ITEMS = 1500, 400
HARD, EASY = 0.6, 1.9  # mean bonus of a held-out pair, in and out of the slice


@dataclass(eq=False)
class ByHand(LinkPredictor):
    """Scores as given, [users, items]."""

    scores: object = None

    def _fit(self, hin, valid, rng):
        self.table_ = np.asarray(self.scores, np.float32)

    def _score(self, hin, src):
        return self.table_[src]


def world(plant: str | None, seed: int) -> tuple[ByHand, Split, np.ndarray]:
    """A model, the split it is judged on, and which (user, item) are in the slice."""
    rng = np.random.default_rng([seed, 0 if plant is None else 1 + PLANTS.index(plant)])
    hin, inside = graph(plant, rng)
    split = random_split(hin, RATES, valid=0.0, test=0.25, rng=int(rng.integers(2**31)))
    scores = rng.normal(size=(USERS, ITEMS))
    rows = hin.positions("user", split.test["src"]), hin.positions("item", split.test["dst"])
    hard_users, hard_items = rng.normal(0, 0.5, USERS), rng.normal(0, 0.5, ITEMS)
    bonus = np.where(inside[rows], HARD, EASY) + hard_users[rows[0]] + hard_items[rows[1]]
    scores[rows] += bonus
    return ByHand(RATES, scores).fit(split.train), split, inside


def graph(plant: str | None, rng: np.random.Generator) -> tuple[HIN, np.ndarray]:
    """Users, items and who met what, and which (user, item) are in the slice."""
    age, job = rng.integers(15, 80, USERS), rng.integers(len(JOBS), size=USERS)
    premium, year = rng.random(USERS) < 0.4, rng.integers(1950, 2020, ITEMS)
    genre, text = rng.integers(len(GENRES), size=(ITEMS, 2)), rng.normal(size=(ITEMS, 8))
    text[:, 0] *= 3  # the axis along which texts differ most
    users, items = np.ones(USERS, bool), np.ones(ITEMS, bool)
    masks = {
        "job": (job == 2, items),
        "age": (age <= 24, items),
        "age and premium": ((age <= 40) & premium, items),
        "genre": (users, (genre == 3).any(axis=1)),
        "year": (users, year > 2009),
        "text": (users, text[:, 0] > 3.5),
        "premium and genre": (premium, (genre == 3).any(axis=1)),
    }
    by_user, by_item = masks[plant] if plant else (~users, ~items)
    unknown = rng.random(USERS) < 0.1
    nodes = {
        "user": {
            "id": [f"u{i}" for i in range(USERS)],
            "age": pa.array(age, mask=unknown),
            "job": [JOBS[j] for j in job],
            "premium": premium,
        },
        "item": {
            "id": [f"i{i}" for i in range(ITEMS)],
            "year": year,
            "x": text.astype(np.float32),
        },
        "genre": {"id": list(GENRES)},
    }
    return HIN.from_tables(nodes, edges(genre, rng), lineage="row"), by_user[:, None] & by_item


def edges(genre: np.ndarray, rng: np.random.Generator) -> dict:
    """Who met what, popular items more often; and one or two genres an item, [ITEMS, 2]."""
    popularity = 1 / (30 + rng.permutation(ITEMS))
    degree = rng.integers(8, 24, USERS)
    met = np.argsort(-np.log(popularity) - rng.gumbel(size=(USERS, ITEMS)), axis=1)
    pairs = [(u, i) for u in range(USERS) for i in met[u, : degree[u]]]
    has = [(i, g) for i in range(ITEMS) for g in sorted(set(genre[i]))]
    return {
        RATES: {"src": [f"u{u}" for u, _ in pairs], "dst": [f"i{i}" for _, i in pairs]},
        HAS: {"src": [f"i{i}" for i, _ in has], "dst": [GENRES[g] for _, g in has]},
    }


def found(plant: str | None, seed: int) -> tuple[float, int, list[str]]:
    """The best overlap of a named slice with the planted one, how many are named, and which."""
    model, split, inside = world(plant, seed)
    errors = analyse_errors(model, split.train, split, rng=seed)
    pairs = errors.pairs
    hin = split.train
    rows = hin.positions("user", pairs["user"]), hin.positions("item", pairs["item"])
    planted = inside[rows]
    named = pairs["slice"].fill_null(-1).to_numpy()
    overlaps = [
        float((planted & (named == i)).sum() / (planted | (named == i)).sum())
        for i in range(len(errors.slices))
    ]
    return max(overlaps, default=0.0), len(overlaps), errors.slices["where"].to_pylist()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", type=int, default=200)
    worlds = parser.parse_args().worlds
    begun = time.perf_counter()
    hits: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    extra = 0
    for seed in range(worlds):
        plant = PLANTS[seed % len(PLANTS)]
        overlap, n_named, names = found(plant, seed)
        tried[plant] += 1
        hits[plant] += overlap >= 0.5
        extra += n_named - (overlap >= 0.5)
        if overlap < 0.5:
            print(f"  missed, world {seed}: {plant}; named: {names}", flush=True)
    for plant in PLANTS:
        print(f"{plant:17} found in {hits[plant]} of {tried[plant]}")
    silent = 0
    for seed in range(worlds):
        _, n_named, names = found(None, seed)
        silent += n_named == 0
        if n_named:
            print(f"  null world {seed}: named {names}", flush=True)
    rate = sum(hits.values()) / worlds
    print(
        f"planted slices found: {rate:.1%}; slices named beside them: {extra / worlds:.2f} a world"
    )
    print(f"null worlds without a slice: {silent / worlds:.1%}")
    print(f"{worlds} worlds of each sort, {time.perf_counter() - begun:.0f} s")
    if rate < 0.95 or silent / worlds < 0.95:
        raise SystemExit("a bar is missed")


if __name__ == "__main__":
    main()
