"""A small world with a known answer: users and items belong to topics, and everything else follows
from that.

Users mostly pick items of their own topic, item and review text uses the topic's words, and a user
attribute tells the topic. Many users are thin, so the attribute and the text know what their few
interactions do not: a method that uses them must gain here, and must stop gaining in the shuffled
world, where who meets whom is chance.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, overload

import numpy as np

from hinaug import checks
from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType

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
    n_users: int = ...,
    n_items: int = ...,
    n_groups: int = ...,
    *,
    degree: float = ...,
    thin: float = ...,
    thin_degree: int = ...,
    within: float = ...,
    attribute: float = ...,
    missing: float = ...,
    dim: int = ...,
    tags: bool = ...,
    rng: Any = ...,
    shuffle: bool = ...,
    return_truth: Literal[False] = ...,
) -> HIN: ...
@overload
def planted(
    n_users: int = ...,
    n_items: int = ...,
    n_groups: int = ...,
    *,
    degree: float = ...,
    thin: float = ...,
    thin_degree: int = ...,
    within: float = ...,
    attribute: float = ...,
    missing: float = ...,
    dim: int = ...,
    tags: bool = ...,
    rng: Any = ...,
    shuffle: bool = ...,
    return_truth: Literal[True],
) -> tuple[HIN, dict[str, np.ndarray]]: ...
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
    _check(
        {"n_users": n_users, "n_items": n_items, "thin_degree": thin_degree, "dim": dim},
        {
            "degree": degree,
            "thin": thin,
            "within": within,
            "attribute": attribute,
            "missing": missing,
        },
    )
    if not 1 <= checks.whole(n_groups, "planted: n_groups", 1) <= n_items:
        raise ParameterError(
            f"planted: n_groups={n_groups}: between 1 and n_items={n_items}",
            asked=n_groups,
            there=n_items,
        )
    rng = checks.generator(rng, "planted")
    user_topic = rng.permutation(np.arange(n_users) % n_groups)
    item_topic = rng.permutation(np.arange(n_items) % n_groups)
    src, dst = _interactions(
        user_topic, item_topic, n_groups, degree, thin, thin_degree, within, rng
    )
    ratings = _rated(src, dst, user_topic, item_topic, shuffle, rng)
    words = [topic_words(topic) for topic in range(n_groups)]
    users = _users(user_topic, n_groups, attribute, rng)
    items = [_sentence(rng, words[topic], 8, 4) for topic in item_topic]
    reviews = _reviews(ratings, [words[topic] for topic in item_topic], rng)
    users = _with_holes(users, missing, rng)
    nodes, edges = _tables(users, items, reviews, ratings)
    if tags:
        _add_tags(nodes, edges, {word for group in words for word in group})
    if dim:
        nodes["item"]["x"] = bag_of_words(items, dim)
        nodes["review"]["x"] = bag_of_words(reviews, dim)
    hin = HIN.from_tables(nodes, edges, lineage="row")
    return (hin, {"user_topic": user_topic, "item_topic": item_topic}) if return_truth else hin


class Ratings(NamedTuple):
    """Who rated what, one row a pair, sorted by user and time: positions, ratings, seconds, [n]."""

    src: np.ndarray
    dst: np.ndarray
    rating: np.ndarray
    time: np.ndarray


def _check(whole: Mapping[str, Any], numbers: Mapping[str, Any]) -> None:
    for name, value in whole.items():
        checks.whole(value, f"planted: {name}")
    for name, value in numbers.items():
        checks.number(value, f"planted: {name}", "a number")


def topic_words(topic: int) -> tuple[str, ...]:
    """The words of a topic; beyond those that have a name they are made up."""
    return TOPICS[topic] if topic < len(TOPICS) else tuple(f"w{topic}{k}" for k in "abcdef")


def job_of(topic: int) -> str:
    """The job of a topic."""
    return JOBS[topic] if topic < len(JOBS) else f"job{topic}"


def _rated(
    src: np.ndarray,
    dst: np.ndarray,
    user_topic: np.ndarray,
    item_topic: np.ndarray,
    shuffle: bool,
    rng: np.random.Generator,
) -> Ratings:
    """Ratings, higher inside the user's topic, and times; then `shuffle` permutes the items."""
    likes = np.where(user_topic[src] == item_topic[dst], 4.3, 2.8)
    rating = np.clip(np.rint(likes + rng.normal(0, 0.8, len(src))), 1, 5)
    time = 1_577_836_800 + rng.choice(10**8, len(src), replace=False)
    if shuffle:
        dst = _shuffled(src, dst, rng)
    order = np.lexsort((time, src))
    return Ratings(src[order], dst[order], rating[order], time[order].astype(np.int64))


def _users(
    topic: np.ndarray, n_groups: int, attribute: float, rng: np.random.Generator
) -> dict[str, list]:
    """Job and age of each user; both follow the topic, the job with probability `attribute`."""
    n = len(topic)
    shown = np.where(rng.random(n) < attribute, topic, rng.integers(n_groups, size=n))
    age = np.clip(np.rint(rng.normal(22 + 10 * topic, 4)), 12, 90)
    return {"age": [int(a) for a in age], "job": [job_of(t) for t in shown.tolist()]}


def _with_holes(
    columns: dict[str, list], missing: float, rng: np.random.Generator
) -> dict[str, list]:
    """The columns with None for a share of their values."""
    n = len(next(iter(columns.values())))
    holes = rng.random((len(columns), n)) < missing
    return {
        name: [None if hole else value for value, hole in zip(values, row, strict=True)]
        for (name, values), row in zip(columns.items(), holes, strict=True)
    }


def _reviews(
    ratings: Ratings, item_words: Sequence[Sequence[str]], rng: np.random.Generator
) -> list[str]:
    """One text a rating: words of the item's topic, and a verdict that fits the rating."""
    return [
        f"{_sentence(rng, item_words[item], 4, 5)} {VERDICTS[int(rating) - 1][rng.integers(2)]}"
        for item, rating in zip(ratings.dst, ratings.rating, strict=True)
    ]


def _tables(
    users: dict[str, list], items: list[str], reviews: list[str], ratings: Ratings
) -> tuple[dict[str, dict[str, Any]], dict[EdgeType, dict[str, Any]]]:
    """Node and edge tables; items and reviews are given by their texts."""
    user_ids, item_ids = _ids("u", len(users["age"])), _ids("i", len(items))
    review_ids = _ids("r", len(reviews))
    rated = {"rating": ratings.rating, "time": ratings.time}
    src, dst = [user_ids[u] for u in ratings.src], [item_ids[i] for i in ratings.dst]
    titles = [" ".join(text.split()[:2]) for text in items]
    nodes: dict[str, dict[str, Any]] = {
        "user": {"id": user_ids, **users},
        "item": {"id": item_ids, "title": titles, "text": items},
        "review": {"id": review_ids, "text": reviews, **rated},
    }
    edges: dict[EdgeType, dict[str, Any]] = {
        RATES: {"src": src, "dst": dst, **rated},
        WROTE: {"src": src, "dst": review_ids},
        ABOUT: {"src": review_ids, "dst": dst},
    }
    return nodes, edges


def _add_tags(
    nodes: dict[str, dict[str, Any]], edges: dict[EdgeType, dict[str, Any]], words: set[str]
) -> None:
    """A node for each topic word, and an edge to it from each item whose text has it."""
    nodes["tag"] = {"id": sorted(words)}
    has = [
        (item, word)
        for item, text in zip(nodes["item"]["id"], nodes["item"]["text"], strict=True)
        for word in sorted(set(text.split()) & words)
    ]
    edges[HAS] = {"src": [item for item, _ in has], "dst": [word for _, word in has]}


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
    return np.repeat(np.arange(n_users), n), ranked[np.arange(n_items) < n[:, None]]


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
