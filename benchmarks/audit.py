"""How often the audit of a split is right: honest worlds, planted leaks, public data, speed.

    python benchmarks/audit.py worlds 200     # false alarms on honest worlds
    python benchmarks/audit.py plants         # 64 leaks, planted after the thresholds were frozen
    python benchmarks/audit.py data [NAME]    # public sets under HINAUG_DATA
    python benchmarks/audit.py speed          # 1 M ratings with reviews; 800 k with 170 k friends

Every column is declared row-local, whatever it is, so that lineage tells the audit nothing.

What was measured stands in results/audit.md, and two blind tests in results/audit_blind.md.
"""

from __future__ import annotations

import dataclasses
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from hinaug import datasets
from hinaug.datasets.lightgcn import INTERACTS
from hinaug.graph import HIN
from hinaug.split import Split, audit, cold_items, leave_last, random_split, temporal_split, thin

RATES = ("user", "rates", "item")
WORDS = np.array([a + b for a in ("ba", "ke", "lo", "mi", "nu", "ra") for b in "bdfgklmnprst"])


class World:
    """Users, items and who rated what, with the truth behind it."""

    def __init__(self, seed: int, reviews: bool = False) -> None:
        rng = self.rng = np.random.default_rng(seed)
        self.n, self.m = int(rng.integers(80, 1200)), int(rng.integers(50, 700))
        dim = int(rng.integers(2, 6))
        self.taste, self.style = (rng.normal(size=(k, dim)) for k in (self.n, self.m))
        self.appeal = rng.normal(scale=rng.choice([0.3, 1.0, 1.8]), size=self.m)
        self.habit = rng.normal(scale=rng.choice([0.3, 1.0]), size=self.n)
        logit = self.taste @ self.style.T * rng.uniform(0, 1.2) / np.sqrt(dim) + self.appeal
        logit += self.habit[:, None]
        wanted = self.n * rng.uniform(6, 30)
        low, high = -20.0, 20.0
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if _expected(logit + middle) < wanted else (low, middle)
        self.logit = logit + low
        self.user, self.item = np.nonzero(rng.random(logit.shape) < 1 / (1 + np.exp(-self.logit)))
        order = rng.permutation(len(self.user))
        self.user, self.item = self.user[order], self.item[order]
        self.rating = np.clip(
            np.rint(3.4 + self.style[self.item, 0] + rng.normal(size=len(order))), 1, 5
        )
        born = rng.uniform(0, 6e7, self.n)
        self.time = (1.5e9 + born[self.user] + rng.exponential(1e7, len(order))).astype(int)
        self.born = born
        self.reviews = reviews
        self.text = _texts(rng, len(order), 12) if reviews else None

    def hin(self) -> HIN:
        u, i = (
            np.array([f"{c}{k:05d}" for k in range(n)]) for c, n in (("u", self.n), ("i", self.m))
        )
        nodes = {"user": {"id": u}, "item": {"id": i}}
        edges = {
            RATES: {
                "src": u[self.user],
                "dst": i[self.item],
                "rating": self.rating,
                "time": self.time,
            }
        }
        if self.reviews:
            r = np.array([f"r{k:06d}" for k in range(len(self.user))])
            nodes["review"] = {"id": r, "text": self.text}
            edges["user", "wrote", "review"] = {"src": u[self.user], "dst": r}
            edges["review", "about", "item"] = {"src": r, "dst": i[self.item]}
        return HIN.from_tables(nodes, edges, lineage="row")

    def count(self, side: int) -> np.ndarray:
        return np.bincount((self.user, self.item)[side], minlength=(self.n, self.m)[side])

    def mean(self, side: int) -> np.ndarray:
        at, n = ((self.user, self.n), (self.item, self.m))[side]
        total = np.bincount(at, self.rating, minlength=n)
        return np.where(self.count(side), total / np.maximum(self.count(side), 1), np.nan)

    def matrix(self) -> np.ndarray:
        out = np.zeros((self.n, self.m))
        out[self.user, self.item] = 1
        return out


def _expected(logit: np.ndarray) -> float:
    return float((1 / (1 + np.exp(-logit))).sum())


def _texts(rng: np.random.Generator, n: int, length: int) -> list[str]:
    return [" ".join(row) for row in WORDS[rng.integers(0, len(WORDS), (n, length))].tolist()]


# ---- honest worlds -------------------------------------------------------------------------------


def honest(world: World) -> HIN:
    """Side information that knows rates and tastes, and no held-out pair."""
    rng, w = world.rng, world
    hin = w.hin()
    rate = np.exp(w.appeal)
    columns = {
        ("item", "price"): rng.gamma(2, 10, w.m),
        ("item", "sales elsewhere"): rng.poisson(rate / rate.mean() * 30),
        ("item", "appeal"): w.appeal,
        ("item", "bestseller"): w.appeal > np.quantile(w.appeal, 0.9),
        ("item", "genre"): [f"g{k}" for k in np.argmax(w.style, axis=1)],
        ("item", "style"): w.style + rng.normal(scale=0.1, size=w.style.shape),
        ("item", "released"): 1.4e9 + rng.uniform(0, 1e8, w.m),
        ("item", "title"): _texts(rng, w.m, 3),
        ("user", "age"): np.rint(40 + 8 * w.taste[:, 0] + rng.normal(size=w.n)),
        ("user", "joined"): (1.5e9 + w.born).astype(int),
        ("user", "taste"): w.taste,
        ("user", "city"): [f"c{k}" for k in rng.integers(0, max(w.n // 12, 2), w.n)],
        ("user", "activity elsewhere"): rng.poisson(np.exp(w.habit) * 8),
        ("user", "bio"): _texts(rng, w.n, 8),
    }
    for (type, name), values in columns.items():
        if rng.random() < 0.7:
            hin = hin.with_column(type, name, values, "row")
    return hin


def from_train(graph: HIN) -> HIN:
    """Columns that are made of the graph alone."""
    for side, end in ((0, "user"), (1, "item")):
        at = graph.links(RATES)[side]
        count = np.bincount(at, minlength=graph.n(end))
        total = np.bincount(at, graph.vectors(RATES, "rating")[:, 0], minlength=graph.n(end))
        graph = graph.with_column(end, "seen", count, "row")
        graph = graph.with_column(end, "liked", total / np.maximum(count, 1), "row")
    u, s, vt = np.linalg.svd(graph.adjacency(RATES).toarray(), full_matrices=False)
    graph = graph.with_column("user", "factors", u[:, :8] * s[:8], "row")
    return graph.with_column("item", "factors", vt[:8].T, "row")


SPLITS = {
    "random": lambda h, s: random_split(h, RATES, rng=s),
    "two each": lambda h, s: random_split(h, RATES, valid=1, test=1, rng=s),
    "leave last": lambda h, s: leave_last(h, RATES),
    "temporal": lambda h, s: temporal_split(h, RATES),
    "cold items": lambda h, s: cold_items(h, RATES, rng=s),
    "thin": lambda h, s: thin(random_split(h, RATES, rng=s), 0.5, rng=s),
}


def worlds(n: int) -> None:
    """False alarms over n honest worlds."""
    kinds: Counter = Counter()
    names = list(SPLITS)
    for seed in range(n):
        name = names[seed % len(names)] if seed % 2 else "random"
        world = World(110_000 + seed)
        split = SPLITS[name](honest(world), seed)
        if seed % 3 == 0:
            both = {part: from_train(getattr(split, part)) for part in ("train", "train_valid")}
            split = dataclasses.replace(split, **both)
        found = audit(split)
        kinds["worlds"] += 1
        kinds["with a false leak"] += bool(found.leaks)
        kinds["with an unknown"] += bool(found.unknown)
        for finding in (*found.leaks, *found.unknown):
            sure = "LEAK" if finding in found.leaks else "unknown"
            print(
                f"  {seed} {name} {world.n} x {world.m}, {len(world.user)}: {sure} {finding}"[:250]
            )
        sys.stdout.flush()
    print(dict(kinds))


# ---- planted leaks -------------------------------------------------------------------------------


def _column(end: str, make):
    return lambda w, hin: hin.with_column(end, "x", make(w), "row")


def _noisy(w: World) -> np.ndarray:
    count = w.count(1)
    return count + w.rng.normal(scale=0.5 * np.sqrt(count + 1))


def _neighbours(w: World, side: int, k: int = 8) -> list[tuple[int, int]]:
    x = w.matrix() if side == 0 else w.matrix().T
    score = x @ x.T / np.sqrt(np.outer(x.sum(1), x.sum(1)) + 1e-9)
    np.fill_diagonal(score, 0)
    best = np.argsort(-score, axis=1)[:, :k]
    return [(a, int(b)) for a in range(len(x)) for b in best[a]]


def _edges(side: int):
    def make(w: World, hin: HIN) -> HIN:
        end = ("user", "item")[side]
        rows, ids = _neighbours(w, side), hin.ids(end).to_pylist()
        table = {"src": [ids[a] for a, _ in rows], "dst": [ids[b] for _, b in rows]}
        return hin.with_edges((end, "like", end), table, lineage="row")

    return make


def _also_bought(w: World, hin: HIN) -> HIN:
    ids = hin.ids("item").to_pylist()
    lists: list[list[str]] = [[] for _ in ids]
    for a, b in _neighbours(w, 1):
        lists[a].append(ids[b])
    lists[0] = lists[0][:-1]  # lists of one length would be vectors
    return hin.with_column("item", "also_bought", pa.array(lists), "row")


def _two_columns(w: World, hin: HIN) -> HIN:
    count = w.count(1)
    part = w.rng.binomial(count, 0.5)
    return hin.with_column("item", "web", part, "row").with_column(
        "item", "app", count - part, "row"
    )


def _per_user(w: World, f) -> np.ndarray:
    order = np.lexsort((w.time, w.user))
    starts = np.searchsorted(w.user[order], np.arange(w.n))
    ends = np.searchsorted(w.user[order], np.arange(w.n), side="right")
    return np.array(
        [f(order[s:e]) if e > s else None for s, e in zip(starts, ends, strict=True)], object
    )


def _last_title(w: World, hin: HIN) -> HIN:
    titles = [f"part {k // 2}" for k in range(w.m)]
    last = [None if r is None else titles[w.item[r]] for r in _per_user(w, lambda rows: rows[-1])]
    hin = hin.with_column("item", "title", titles, "row")
    return hin.with_column("user", "last_item_title", pa.array(last, pa.string()), "row")


def _hashed_last(w: World) -> pa.Array:
    last = _per_user(w, lambda rows: rows[-1])
    return pa.array(
        [None if r is None else f"h{w.item[r] * 7919 % 100_003}" for r in last], pa.string()
    )


def _iso(w: World) -> pa.Array:
    last = _per_user(w, lambda rows: int(w.time[rows].max()))
    stamps = [None if t is None else str(np.datetime64(int(t), "s")) for t in last]
    return pa.array(stamps, pa.string())


def _next_seconds(w: World, hin: HIN) -> HIN:
    order = np.lexsort((w.time, w.user))
    gap = np.full(len(order), np.nan)
    same = w.user[order][1:] == w.user[order][:-1]
    gap[order[:-1][same]] = np.diff(w.time[order])[same]
    return hin.with_column(RATES, "to_next", gap, "row")


def _nth(w: World, hin: HIN) -> HIN:
    order = np.lexsort((w.time, w.item))
    rank = np.empty(len(order))
    rank[order] = np.arange(len(order))
    return hin.with_column(RATES, "row_number", rank, "row")


def _by_popularity(w: World, hin: HIN) -> HIN:
    order = np.argsort(-w.count(1), kind="stable")
    return HIN(
        {**hin._nodes, "item": hin.nodes["item"].take(pa.array(order))},
        {e: _moved(hin.edges[e], e, np.argsort(order)) for e in hin.edges},
    )


def _moved(table: pa.Table, edge, place: np.ndarray) -> pa.Table:
    for k, column in enumerate(("src", "dst")):
        if edge[2 * k] == "item":
            values = place[table[column].to_numpy()].astype(table[column].to_numpy().dtype)
            table = table.set_column(k, table.schema.field(column), pa.array(values))
    return table


def _svd(side: int, k: int):
    def make(w: World) -> np.ndarray:
        u, s, vt = np.linalg.svd(w.matrix(), full_matrices=False)
        return u[:, :k] * s[:k] if side == 0 else vt[:k].T

    return make


def _carts(w: World, hin: HIN) -> HIN:
    names = [f"cart{k}" for k in range(len(w.user))]
    lines = [f"line{k}" for k in range(len(w.user))]
    u, i = hin.ids("user").to_pylist(), hin.ids("item").to_pylist()
    new = HIN.from_tables({"cart": {"id": names}, "line": {"id": lines}}, {}, lineage="row")
    hin = HIN({**hin._nodes, **new._nodes}, dict(hin._edges))
    hin = hin.with_edges(
        ("user", "has", "cart"), {"src": [u[k] for k in w.user], "dst": names}, lineage="row"
    )
    hin = hin.with_edges(("cart", "with", "line"), {"src": names, "dst": lines}, lineage="row")
    return hin.with_edges(
        ("line", "of", "item"), {"src": lines, "dst": [i[k] for k in w.item]}, lineage="row"
    )


def _author(w: World, hin: HIN) -> HIN:
    """Reviews keep a hashed author; their edges to users are not there."""
    code = [f"a{k * 7919 % 100_003}" for k in w.user]
    return hin.with_column("review", "author", code, "row")


def _said(side: int):
    def make(w: World, hin: HIN) -> HIN:
        end, n = (("user", w.n), ("item", w.m))[side]
        at = (w.user, w.item)[side]
        texts = [[] for _ in range(n)]
        for k, node in enumerate(at):
            texts[node].append(w.text[k])
        return hin.with_column(end, "summary", [" ".join(t[:3]) for t in texts], "row")

    return make


def _cluster(w: World) -> list[str]:
    u, s, _ = np.linalg.svd(w.matrix(), full_matrices=False)
    centres = w.rng.normal(size=(12, 8))
    return [f"k{k}" for k in np.argmax((u[:, :8] * s[:8]) @ centres.T, axis=1)]


def _pooled(w: World, hin: HIN) -> HIN:
    x = w.rng.normal(size=(w.m, 16))
    mean = w.matrix() @ x / np.maximum(w.count(0), 1)[:, None]
    return hin.with_column("item", "image", x, "row").with_column("user", "profile", mean, "row")


def _windowed(w: World) -> np.ndarray:
    late = w.time > np.quantile(w.time, 0.7)
    return np.bincount(w.item[late], minlength=w.m)


PLANTS = {
    "full count": _column("item", lambda w: w.count(1)),
    "log count, rounded": _column("item", lambda w: np.round(np.log1p(w.count(1)), 1)),
    "count + noise": _column("item", _noisy),
    "count in hundreds of users": _column("item", lambda w: w.count(1) // 5),
    "bestseller flag": _column("item", lambda w: w.count(1) >= np.sort(w.count(1))[-w.m // 4]),
    "rank as text": _column(
        "item", lambda w: [str(k) for k in np.argsort(np.argsort(-w.count(1)))]
    ),
    "deciles": _column("item", lambda w: np.argsort(np.argsort(w.count(1))) * 10 // w.m),
    "count of fives": _column("item", lambda w: np.bincount(w.item[w.rating == 5], minlength=w.m)),
    "mean rating": _column("item", lambda w: w.mean(1)),
    "mean rating, one digit": _column("item", lambda w: np.round(w.mean(1), 1)),
    "mean rating of a user": _column("user", lambda w: w.mean(0)),
    "count in the last weeks": _column("item", _windowed),
    "two columns that sum to the count": _two_columns,
    "rows sorted by popularity": _by_popularity,
    "also bought": _also_bought,
    "item neighbours": _edges(1),
    "user neighbours": _edges(0),
    "user factors": _column("user", _svd(0, 12)),
    "item factors": _column("item", _svd(1, 12)),
    "one factor of items": _column("item", lambda w: _svd(1, 1)(w)[:, 0]),
    "clusters of users": _column("user", _cluster),
    "pooled vectors": _pooled,
    "last item's title": _last_title,
    "hashed last item": _column("user", _hashed_last),
    "last active, as text": _column("user", _iso),
    "first active": _column(
        "user",
        lambda w: np.array(
            [np.nan if t is None else t for t in _per_user(w, lambda r: w.time[r].min())], float
        ),
    ),
    "seconds to the next": _next_seconds,
    "row number by item": _nth,
    "carts and lines": _carts,
    "hashed author on reviews": _author,
    "user text of reviews": _said(0),
    "item text of reviews": _said(1),
}
WITH_REVIEWS = ("hashed author on reviews", "user text of reviews", "item text of reviews")


def plants() -> None:
    """Each leak in two worlds: which are found, which are unknown, which pass."""
    verdicts: Counter = Counter()
    for k, (name, plant) in enumerate(PLANTS.items()):
        for seed in (54_000 + k, 64_000 + k):
            world = World(seed, reviews=name in WITH_REVIEWS)
            hin = plant(world, world.hin())
            evidence = ["review"] if name.endswith("of reviews") and name in WITH_REVIEWS else []
            split = random_split(hin, RATES, evidence=evidence, rng=seed)
            if name == "hashed author on reviews":
                split = dataclasses.replace(
                    split,
                    **{
                        part: getattr(split, part).drop(("user", "wrote", "review"))
                        for part in ("train", "train_valid")
                    },
                )
            found = audit(split)
            verdict = "found" if found.leaks else "unknown" if found.unknown else "PASSED"
            verdicts[verdict] += 1
            where = (*found.leaks, *found.unknown)
            shown = str(where[0])[:110] if where else ""
            print(
                f"{name:36} {world.n:5} x {world.m:4}, {len(world.user):6} pairs  {verdict:8}"
                f" {shown}",
                flush=True,
            )
    print(dict(verdicts))


# ---- public data, speed --------------------------------------------------------------------------


SMALL, REVIEWS = "ml-latest-small", "amazon-musical-instruments"
PUBLIC = {  # name: (folder, reader, more that it takes)
    "ml-100k": ("ml-100k", "movielens_100k", {}),
    f"{SMALL} with plots": (SMALL, "movielens_latest_small", {"plots": f"{SMALL}-text"}),
    f"{SMALL}, atomic": (f"{SMALL}-text", "recbole_atomic", {}),
    "hetrec-lastfm": ("hetrec2011-lastfm-2k", "hetrec_lastfm", {}),
    "amazon-hin": ("amazon-hin", "amazon_hin", {}),
    "yelp-hin": ("yelp-hin", "yelp_hin", {}),
    "recipe-reviews": ("recipe-reviews", "recipe_reviews", {}),
    "Musical Instruments": (REVIEWS, "amazon_reviews", {}),
}
PUBLISHED = {  # name: (folder, the graph that it speaks of, first id)
    "gowalla": ("gowalla", None, 0),
    "lastfm-lightgcnpp": ("lastfm-lightgcnpp", None, 0),
    "ml-1m-lightgcnpp": ("ml-1m-lightgcnpp", None, 0),
    "amazon-hin": ("amazon-hin", datasets.amazon_hin, 0),
    "yelp-hin": ("yelp-hin", datasets.yelp_hin, 1),
}
TARGETS = ("rates", "listens")


def data(*asked: str) -> None:
    """Public sets by each split that they allow: a row of a table each, then what was found."""
    print("| data | split | held out | CPU s | leaks | unknown |")
    print("|---|---|---|---|---|---|")
    told = []
    for name, split in _public(asked):
        start = time.process_time()
        found = audit(split, seconds=3600)
        seconds = time.process_time() - start
        held = split.valid.num_rows + split.test.num_rows
        counts = f"{len(found.leaks)} | {len(found.unknown)}"
        how = split.how["split"].removesuffix("_split")
        print(f"| {name} | {how} | {held:,} | {seconds:.1f} | {counts} |", flush=True)
        told.append(f"{name}, {how}: {found}")
    print("", *told, sep="\n")


def _public(asked: tuple[str, ...]) -> Iterator[tuple[str, Split]]:
    root = Path(os.environ.get("HINAUG_DATA", "data"))
    for name, (folder, reader, more) in PUBLIC.items():
        if not asked or name in asked:
            options = {key: root / value for key, value in more.items()}
            hin = getattr(datasets, reader)(root / folder, **options)
            yield from ((name, split) for split in _splits(hin))
    for name, (folder, graph, first) in PUBLISHED.items():
        if not asked or name in asked:
            hin = graph and graph(root / folder)
            target = next(e for e in hin.edges if e[1] in TARGETS) if hin else INTERACTS
            yield name, datasets.lightgcn_split(root / folder, hin, target, first_id=first, rng=0)


def _splits(hin: HIN) -> Iterator[Split]:
    target = next(e for e in hin.edges if e[0] == "user" and e[1] in TARGETS)
    evidence = [t for t in ("review", "tagging") if t in hin.nodes]
    yield random_split(hin, target, evidence=evidence, rng=0)
    if "time" in hin.edges[target].column_names:
        yield leave_last(hin, target, evidence=evidence)
        yield temporal_split(hin, target, evidence=evidence)


def speed() -> None:
    """Seconds and memory of two large worlds, one thread."""
    for name, hin, evidence in ((n, *make()) for n, make in LARGE.items()):
        split = random_split(hin, RATES, evidence=evidence, rng=0)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        wall, cpu = time.perf_counter(), time.process_time()
        found = audit(split, seconds=600)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{name}: {wall:.1f} s ({cpu:.1f} s of one core), {peak - before:.2f} GB more than "
            f"the data's {before:.2f}; {len(found.leaks)} leaks, {len(found.unknown)} unknown"
        )


def _power(rng: np.random.Generator, n: int, size: int, exponent: float) -> np.ndarray:
    weight = (np.arange(n) + 10.0) ** -exponent
    return rng.permutation(n)[rng.choice(n, size, p=weight / weight.sum())]


def _pairs(rng, n: int, m: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    code = np.unique(
        _power(rng, n, int(1.12 * size), 0.6) * m + _power(rng, m, int(1.12 * size), 0.8)
    )
    return np.divmod(rng.permutation(code)[:size], m)


def _with_reviews() -> tuple[HIN, list[str]]:
    rng, n, m = np.random.default_rng(0), 60_000, 20_000
    user, item = _pairs(rng, n, m, 1_000_000)
    u, i, r = (
        np.array([f"{c}{k}" for k in range(size)])
        for c, size in (("u", n), ("i", m), ("r", len(user)))
    )
    text = [" ".join(w) for w in WORDS[rng.integers(0, len(WORDS), (len(user), 12))].tolist()]
    nodes = {
        "user": {"id": u, "age": rng.integers(15, 80, n)},
        "item": {"id": i, "title": _texts(rng, m, 4), "price": rng.gamma(2, 10, m)},
        "review": {"id": r, "text": text},
    }
    rated = {"rating": rng.integers(1, 6, len(user)), "time": rng.integers(1e9, 2e9, len(user))}
    edges = {
        RATES: {"src": u[user], "dst": i[item], **rated},
        ("user", "wrote", "review"): {"src": u[user], "dst": r},
        ("review", "about", "item"): {"src": r, "dst": i[item]},
    }
    return HIN.from_tables(nodes, edges, lineage="row"), ["review"]


def _with_friends() -> tuple[HIN, list[str]]:
    rng, n, m = np.random.default_rng(0), 70_000, 70_000
    user, item = _pairs(rng, n, m, 800_000)
    u, i = (np.array([f"{c}{k}" for k in range(n)]) for c in "ui")
    a, b = _pairs(rng, n, n, 170_000)
    edges = {
        RATES: {"src": u[user], "dst": i[item]},
        ("user", "knows", "user"): {"src": u[a[a != b]], "dst": u[b[a != b]]},
    }
    return HIN.from_tables({"user": {"id": u}, "item": {"id": i}}, edges, lineage="row"), []


LARGE = {"1 M ratings with reviews": _with_reviews, "800 k ratings, 170 k friends": _with_friends}


if __name__ == "__main__":
    job, *more = sys.argv[1:] or ["plants"]
    {
        "worlds": lambda: worlds(int(more[0]) if more else 200),
        "plants": plants,
        "data": lambda: data(*more),
        "speed": speed,
    }[job]()
