"""A small world with a known answer: users and items belong to topics, and everything else follows
from that.

Users mostly pick items of their own topic, item and review text uses the topic's words, and a user
attribute tells the topic. Many users are thin, so the attribute and the text know what their few
interactions do not: a method that uses them must gain here, and must stop gaining in the shuffled
world, where who meets whom is chance.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Literal, overload

import numpy as np

from hinaug import checks
from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN

RATES = ("user", "rates", "item")
WROTE = ("user", "wrote", "review")
ABOUT = ("review", "about", "item")
HAS = ("item", "has", "tag")
TOPICS = (
    ("guitar", "string", "chord", "amp", "fret", "tune"),
    ("oven", "flour", "dough", "butter", "crust", "bake"),
    ("trail", "boot", "tent", "summit", "river", "pack"),
    ("planet", "orbit", "comet", "lens", "galaxy", "star"),
    ("brush", "canvas", "pigment", "sketch", "easel", "frame"),
    ("engine", "gear", "brake", "piston", "wheel", "clutch"),
)
JOBS = ("musician", "baker", "guide", "astronomer", "painter", "mechanic")
COMMON = ("the", "a", "with", "this", "one", "it", "and", "for", "very", "box", "day", "thing")
VERDICTS = (
    ("awful", "broke"),
    ("poor", "weak"),
    ("fine", "okay"),
    ("good", "solid"),
    ("great", "perfect"),
)


@overload
def planted(
    n_users: int = ..., n_items: int = ..., n_groups: int = ..., *, degree: float = ..., thin: float = ...,
    thin_degree: int = ..., within: float = ..., attribute: float = ..., missing: float = ..., dim: int = ...,
    tags: bool = ..., rng: Any = ..., shuffle: bool = ..., return_truth: Literal[False] = ...,
) -> HIN: ...  # fmt: skip
@overload
def planted(
    n_users: int = ..., n_items: int = ..., n_groups: int = ..., *, degree: float = ..., thin: float = ...,
    thin_degree: int = ..., within: float = ..., attribute: float = ..., missing: float = ..., dim: int = ...,
    tags: bool = ..., rng: Any = ..., shuffle: bool = ..., return_truth: Literal[True],
) -> tuple[HIN, dict[str, np.ndarray]]: ...  # fmt: skip
def planted(
    n_users: int = 200,
    n_items: int = 120,
    n_groups: int = 4,
    *,
    degree: float = 10.0,
    thin: float = 0.4,
    thin_degree: int = 3,
    within: float = 0.85,
    attribute: float = 0.9,
    missing: float = 0.0,
    dim: int = 32,
    tags: bool = False,
    rng: Any = 0,
    shuffle: bool = False,
    return_truth: bool = False,
) -> HIN | tuple[HIN, dict[str, np.ndarray]]:
    """A graph of users, items and reviews with planted topics.

    n_groups: number of topics; users and items are spread evenly over them, in an order that tells
        nothing.
    degree: mean number of interactions of a user who is not thin (Poisson, at least `thin_degree` +
        2).
    thin: share of users with exactly `thin_degree` interactions; what they like is told by their
        attribute.
    within: probability that an interaction stays inside the user's topic; 1 / n_groups plants
        nothing.
    attribute: probability that a user's `job` is that of the topic rather than any job; `age`
        follows the topic too.
    missing: share of `job` and of `age` values left out, for imputers.
    dim: length of the vector column "x" of items and reviews: `bag_of_words(text, dim)`, a function
        of the row's own text. 0 leaves it out.
    tags: also tag nodes (the topic words in an item's text) with edges ("item", "has", "tag").
    shuffle: the control. Who meets whom is permuted, keeping every user's and every item's degree,
        so nothing about a user tells what the user will pick; text, attributes, ratings and times
        are made as before.
    return_truth: also give {"user_topic": [n_users], "item_topic": [n_items]}. It is never a
        column: that would leak.

    Types: user (age, job), item (title, text, x), review (text, rating, time, x), ("user", "rates",
    "item") with rating 1-5 and time in seconds, one row a pair, sorted by user and time; ("user",
    "wrote", "review") and ("review", "about", "item"), one review for each rating. All lineage is
    "row".
    """
    for name, value in (
        ("n_users", n_users),
        ("n_items", n_items),
        ("thin_degree", thin_degree),
        ("dim", dim),
    ):
        checks.whole(value, f"planted: {name}")
    for name, part in (
        ("degree", degree),
        ("thin", thin),
        ("within", within),
        ("attribute", attribute),
        ("missing", missing),
    ):
        checks.number(part, f"planted: {name}", "a number")
    if not 1 <= checks.whole(n_groups, "planted: n_groups", 1) <= n_items:
        raise ParameterError(f"planted: n_groups={n_groups}: between 1 and n_items={n_items}")
    rng = checks.generator(rng, "planted")
    user_topic = rng.permutation(np.arange(n_users) % n_groups)
    item_topic = rng.permutation(np.arange(n_items) % n_groups)
    src, dst = _interactions(
        user_topic, item_topic, n_groups, degree, thin, thin_degree, within, rng
    )
    likes = np.where(user_topic[src] == item_topic[dst], 4.3, 2.8)
    rating = np.clip(np.rint(likes + rng.normal(0, 0.8, len(src))), 1, 5)
    time = 1_577_836_800 + rng.choice(10**8, len(src), replace=False)
    if shuffle:
        dst = _shuffled(src, dst, rng)
    order = np.lexsort((time, src))
    src, dst, rating, time = src[order], dst[order], rating[order], time[order]

    words = [
        TOPICS[t % len(TOPICS)] if t < len(TOPICS) else tuple(f"w{t}{k}" for k in "abcdef")
        for t in range(n_groups)
    ]
    jobs = np.array([JOBS[t] if t < len(JOBS) else f"job{t}" for t in range(n_groups)])
    told = np.where(
        rng.random(n_users) < attribute, user_topic, rng.integers(n_groups, size=n_users)
    )
    age = np.clip(np.rint(rng.normal(22 + 10 * user_topic, 4)), 12, 90)
    items = [_sentence(rng, words[t], 8, 4) for t in item_topic]
    reviews = [
        f"{_sentence(rng, words[item_topic[i]], 4, 5)} {VERDICTS[int(r) - 1][rng.integers(2)]}"
        for i, r in zip(dst, rating, strict=True)
    ]
    hole = rng.random((2, n_users)) < missing
    users_id, items_id = _ids("u", n_users), _ids("i", n_items)
    review_id = _ids("r", len(src))
    time = time.astype(np.int64)
    nodes: dict[str, dict[str, Any]] = {
        "user": {
            "id": users_id,
            "age": [None if h else int(a) for a, h in zip(age, hole[0], strict=True)],
            "job": [None if h else str(j) for j, h in zip(jobs[told], hole[1], strict=True)],
        },
        "item": {"id": items_id, "title": [" ".join(t.split()[:2]) for t in items], "text": items},
        "review": {"id": review_id, "text": reviews, "rating": rating, "time": time},
    }
    who, what = [users_id[u] for u in src], [items_id[i] for i in dst]
    edges: dict[tuple[str, str, str], dict[str, Any]] = {
        RATES: {"src": who, "dst": what, "rating": rating, "time": time},
        WROTE: {"src": who, "dst": review_id},
        ABOUT: {"src": review_id, "dst": what},
    }
    if tags:
        vocabulary = sorted({w for group in words for w in group})
        nodes["tag"] = {"id": vocabulary}
        has = [
            (i, w)
            for i, text in zip(items_id, items, strict=True)
            for w in sorted(set(text.split()) & set(vocabulary))
        ]
        edges[HAS] = {"src": [i for i, _ in has], "dst": [w for _, w in has]}
    if dim:
        nodes["item"]["x"] = bag_of_words(items, dim)
        nodes["review"]["x"] = bag_of_words(reviews, dim)
    hin = HIN.from_tables(nodes, edges, lineage="row")
    return (hin, {"user_topic": user_topic, "item_topic": item_topic}) if return_truth else hin


def bag_of_words(texts: Sequence[str | None], dim: int = 32) -> np.ndarray:
    """A stand-in for a text encoder: the mean of one fixed random vector a word, float32 [n, dim];
    NaN for no text.
    """
    known: dict[str, np.ndarray] = {}
    out = np.full((len(texts), dim), np.nan, np.float32)
    for row, text in enumerate(texts):
        for word in (text or "").lower().split():
            if word not in known:
                known[word] = np.random.default_rng(zlib.crc32(word.encode())).normal(size=dim)
        if text and text.strip():
            out[row] = np.mean([known[w] for w in text.lower().split()], axis=0)
    return out


def _interactions(
    user_topic: np.ndarray,
    item_topic: np.ndarray,
    n_groups: int,
    degree: float,
    thin: float,
    thin_degree: int,
    within: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Each user draws items without replacement (Gumbel top-n), popular ones more often, `within`
    of them in topic.
    """
    n_users, n_items = len(user_topic), len(item_topic)
    popularity = rng.permutation(1.0 / (15 + np.arange(n_items)))
    mass = np.bincount(item_topic, popularity, n_groups)
    same = user_topic[:, None] == item_topic[None, :]
    inside = popularity / mass[item_topic]
    outside = popularity[None, :] / np.maximum(popularity.sum() - mass[user_topic], 1e-12)[:, None]
    share = np.where(same, within * inside[None, :], (1 - within) * outside)
    n = np.maximum(rng.poisson(degree, n_users), thin_degree + 2)
    n[rng.permutation(n_users)[: round(thin * n_users)]] = thin_degree
    n = np.minimum(n, n_items)
    keys = np.log(np.maximum(share, 1e-12)) + rng.gumbel(size=share.shape)
    ranked = np.argsort(-keys, axis=1)
    src = np.repeat(np.arange(n_users), n)
    dst = (
        np.concatenate([ranked[u, : n[u]] for u in range(n_users)])
        if n_users
        else np.zeros(0, np.int64)
    )
    return src, dst


def _shuffled(src: np.ndarray, dst: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The item side permuted; rows that repeat a pair swap items with another row until no pair
    stands twice.
    """
    dst = rng.permutation(dst)
    count: dict[tuple[int, int], int] = {}
    for pair in zip(src.tolist(), dst.tolist(), strict=True):
        count[pair] = count.get(pair, 0) + 1
    for row in range(len(src)):
        for _ in range(1000):
            a = (int(src[row]), int(dst[row]))
            if count[a] == 1:
                break
            other = int(rng.integers(len(src)))
            b = (int(src[other]), int(dst[other]))
            new_a, new_b = (a[0], b[1]), (b[0], a[1])
            if count.get(new_a, 0) or count.get(new_b, 0):
                continue
            for pair, step in ((a, -1), (b, -1), (new_a, 1), (new_b, 1)):
                count[pair] = count.get(pair, 0) + step
            dst[row], dst[other] = b[1], a[1]
    return dst


def _sentence(rng: np.random.Generator, topic: Sequence[str], n_topic: int, n_common: int) -> str:
    words = [*rng.choice(topic, n_topic), *rng.choice(COMMON, n_common)]
    return " ".join(str(w) for w in rng.permutation(words))


def _ids(letter: str, n: int) -> list[str]:
    width = len(str(max(n - 1, 0)))
    return [f"{letter}{k:0{width}d}" for k in range(n)]
