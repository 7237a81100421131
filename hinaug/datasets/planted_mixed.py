"""A made-up world for generators of whole nodes: mixed columns, three relations, times, and missing
values that depend on other columns.

Everything follows from latent topics, so what a generator must keep is known: which column depends
on which, why values are missing, and that relations agree with each other.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, overload

import numpy as np
import pyarrow as pa

from hinaug import checks
from hinaug.datasets.planted import (
    ABOUT,
    COMMON,
    RATES,
    VERDICTS,
    WROTE,
    bag_of_words,
    job_of,
    topic_words,
)
from hinaug.errors import ParameterError
from hinaug.graph import arrow as tb
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType

BY: EdgeType = ("item", "by", "brand")
FOLLOWS: EdgeType = ("user", "follows", "user")
START = 1_577_836_800  # seconds: 2020-01-01
DAY = 86_400
COUNTRIES = ("at", "br", "ca", "de", "fi", "jp")
MISSING = {  # share of null: (where the condition holds, elsewhere); see `planted_mixed`
    "income": (0.40, 0.05),
    "level": (0.15, 0.02),
    "job": (0.30, 0.05),
    "member": (0.05, 0.05),
    "joined": (0.25, 0.05),
    "price": (0.30, 0.05),
}


@overload
def planted_mixed(
    n_users: int = ...,
    n_items: int = ...,
    n_brands: int = ...,
    n_topics: int = ...,
    *,
    degree: float = ...,
    follows: float = ...,
    within: float = ...,
    reviews: bool = ...,
    dim: int = ...,
    rng: Any = ...,
    return_truth: Literal[False] = ...,
) -> HIN: ...
@overload
def planted_mixed(
    n_users: int = ...,
    n_items: int = ...,
    n_brands: int = ...,
    n_topics: int = ...,
    *,
    degree: float = ...,
    follows: float = ...,
    within: float = ...,
    reviews: bool = ...,
    dim: int = ...,
    rng: Any = ...,
    return_truth: Literal[True],
) -> tuple[HIN, dict[str, np.ndarray]]: ...
def planted_mixed(
    n_users: int = 2000,
    n_items: int = 400,
    n_brands: int = 40,
    n_topics: int = 5,
    *,
    degree: float = 12.0,
    follows: float = 4.0,
    within: float = 0.8,
    reviews: bool = False,
    dim: int = 0,
    rng: Any = 0,
    return_truth: bool = False,
) -> HIN | tuple[HIN, dict[str, np.ndarray]]:
    """A graph of users, items and brands whose columns and relations follow from planted topics.

    | column         | kind             | follows                     | null more often where     |
    |----------------|------------------|-----------------------------|----------------------------|
    | user.income    | float, skewed    | topic, level                | level is 0                |
    | user.level     | integer, 0 to 3  | topic                       | the user is of topic 0    |
    | user.job       | words            | topic (four of five)        | the user is no member     |
    | user.member    | boolean          | level                       | nowhere                   |
    | user.joined    | date             | topic (a year each), member | income is above its median |
    | item.category  | words            | topic (nine of ten)         | never null                |
    | item.price     | float, skewed    | brand, topic                | the category is the first |
    | item.text      | text             | topic                       | never null                |
    | item.tags      | list of words    | topic                       | never null                |
    | brand.country  | words            | topic                       | never null                |

    "Follows" and "where" speak of the values before any are left out. `MISSING` has the shares.

    | edge type                   | rows                                                           |
    |-----------------------------|----------------------------------------------------------------|
    | ("user", "rates", "item")   | skewed degrees; rating 1 to 5, higher in topic and for high    |
    |                             | levels; time in seconds, after the user joined                 |
    | ("user", "follows", "user") | few, some users none; nobody follows themselves                |
    | ("item", "by", "brand")     | exactly one an item, nine of ten within the topic              |

    Parameters
    ----------
    n_users, n_items, n_brands, n_topics
        Sizes. Each topic has at least one item and one brand.
    degree, follows
        Mean number of draws of rated items and of followed users; a pair drawn twice counts once.
    within
        Probability that a draw stays inside the user's topic.
    reviews
        Also a review node for each rating (text, rating, time), with edges ("user", "wrote",
        "review") and ("review", "about", "item").
    dim
        Length of a vector column "x" of items, a bag of the words of their text; 0 leaves it out.
    rng
        A seed or a numpy Generator; the same seed gives the same graph.
    return_truth
        Also give {"user_topic", "item_topic", "brand_topic"}, which are never columns.

    Raises ParameterError where there are fewer items or brands than topics.

    Example
    -------
    >>> hin = planted_mixed(100, 40, 10, rng=0)
    >>> hin.n(("item", "by", "brand"))
    40
    """
    _check(n_users, n_items, n_brands, n_topics)
    for name, value in (("degree", degree), ("follows", follows), ("within", within)):
        checks.number(value, f"planted_mixed: {name}", "a number")
    rng = checks.generator(rng, "planted_mixed")
    user_topic, item_topic, brand_topic = (
        rng.permutation(np.arange(n) % n_topics) for n in (n_users, n_items, n_brands)
    )
    users = _users(user_topic, rng)
    brand = _brands_of(item_topic, brand_topic, rng)
    items = _items(item_topic, brand, n_brands, dim, rng)
    rates = _rates(user_topic, item_topic, users, degree, within, rng)
    followed = _pairs(user_topic, user_topic, rng.poisson(follows, n_users), within, rng)
    followed = followed[:, followed[0] != followed[1]]
    ids = {
        "user": _ids("u", n_users),
        "item": _ids("i", n_items),
        "brand": _ids("b", n_brands),
    }
    country = [COUNTRIES[t % len(COUNTRIES)] for t in brand_topic]
    nodes: dict[str, Any] = {
        "user": {"id": ids["user"], **_with_holes(users, user_topic, rng)},
        "item": {"id": ids["item"], **items},
        "brand": {"id": ids["brand"], "country": country},
    }
    edges: dict[EdgeType, Any] = {
        RATES: _edges(ids, RATES, rates.src, rates.dst, rating=rates.rating, time=rates.time),
        FOLLOWS: _edges(ids, FOLLOWS, *followed),
        BY: _edges(ids, BY, np.arange(n_items), brand),
    }
    if reviews:
        _add_reviews(nodes, edges, rates, item_topic, rng)
    hin = HIN.from_tables(nodes, edges, lineage="row")
    truth = {"user_topic": user_topic, "item_topic": item_topic, "brand_topic": brand_topic}
    return (hin, truth) if return_truth else hin


def _check(n_users: int, n_items: int, n_brands: int, n_topics: int) -> None:
    sizes = {"n_items": n_items, "n_brands": n_brands}
    for name, value in {"n_users": n_users, **sizes, "n_topics": n_topics}.items():
        checks.whole(value, f"planted_mixed: {name}", 1)
    for name, value in sizes.items():
        if value < n_topics:
            raise ParameterError(
                f"planted_mixed: {name}={value}: each of n_topics={n_topics} topics needs one; "
                f"raise {name} or lower n_topics",
                asked=value,
                there=n_topics,
            )


class _Users(NamedTuple):
    """The columns of users before any value is left out; joined in days since 1970."""

    income: np.ndarray
    level: np.ndarray
    job: np.ndarray
    member: np.ndarray
    joined: np.ndarray


class _Rates(NamedTuple):
    """One row a pair, sorted by user and time."""

    src: np.ndarray
    dst: np.ndarray
    rating: np.ndarray
    time: np.ndarray


def _users(topic: np.ndarray, rng: np.random.Generator) -> _Users:
    n, n_topics = len(topic), int(topic.max()) + 1
    level = np.clip(rng.binomial(3, (1 + topic) / (n_topics + 1)), 0, 3)
    income = np.exp(10 + topic / n_topics + 0.2 * level + rng.normal(0, 0.3, n))
    shown = np.where(rng.random(n) < 0.8, topic, rng.integers(n_topics, size=n))
    member = rng.random(n) < 0.15 + 0.22 * level
    year = 365 * (topic % 3) + 120 * member
    joined = START // DAY + year + rng.integers(0, 365, n)
    return _Users(income, level, np.array([job_of(t) for t in shown]), member, joined)


def _brands_of(
    item_topic: np.ndarray, brand_topic: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The brand of each item, nine of ten within the topic; a few brands have most items."""
    popularity = 1.0 / (1 + np.arange(len(brand_topic)))
    return _drawn(item_topic, brand_topic, popularity, 0.9, rng)


def _items(
    topic: np.ndarray, brand: np.ndarray, n_brands: int, dim: int, rng: np.random.Generator
) -> dict[str, Any]:
    n, n_topics = len(topic), int(topic.max()) + 1
    shown = np.where(rng.random(n) < 0.9, topic, rng.integers(n_topics, size=n))
    of_brand = rng.normal(0, 0.4, n_brands)
    price = np.exp(2.5 + 0.3 * topic + of_brand[brand] + rng.normal(0, 0.3, n))
    words = [topic_words(t) for t in range(n_topics)]
    where, elsewhere = MISSING["price"]
    hidden = rng.random(n) < np.where(shown == 0, where, elsewhere)
    texts = [
        " ".join([*rng.choice(words[t], 5).tolist(), *rng.choice(COMMON, 3).tolist()])
        for t in topic
    ]
    columns: dict[str, Any] = {
        "category": [f"kind {c}" for c in shown],
        "price": pa.array(np.round(price, 2), mask=hidden),
        "text": texts,
        "tags": [sorted(set(rng.choice(words[t], 2).tolist())) for t in topic],
    }
    if dim:
        columns["x"] = bag_of_words(texts, dim)
    return columns


def _rates(
    user_topic: np.ndarray,
    item_topic: np.ndarray,
    users: _Users,
    degree: float,
    within: float,
    rng: np.random.Generator,
) -> _Rates:
    """Who rated what. A user's gaps between ratings are log-normal, some days each."""
    n = len(user_topic)
    draws = 2 + rng.negative_binomial(1.5, 1.5 / (1.5 + max(degree - 2, 0.1)), n)
    src, dst = _pairs(user_topic, item_topic, draws, within, rng)
    order = np.lexsort((rng.random(len(src)), src))
    src, dst = src[order], dst[order]
    likes = np.where(user_topic[src] == item_topic[dst], 3.6, 2.6) + 0.3 * users.level[src]
    rating = np.clip(np.rint(likes + rng.normal(0, 0.8, len(src))), 1, 5).astype(np.int64)
    gap = np.exp(rng.normal(0, 1.2, len(src))) * 2 * DAY
    total = np.cumsum(gap)
    first = np.searchsorted(src, src)
    since = total - total[first] + gap[first]
    time = (users.joined[src] * DAY + since).astype(np.int64)
    return _Rates(src, dst, rating, time)


def _pairs(
    src_topic: np.ndarray,
    dst_topic: np.ndarray,
    draws: np.ndarray,
    within: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Different pairs [2, n]: each source draws targets by popularity, `within` in its topic."""
    popularity = rng.permutation(1.0 / (15 + np.arange(len(dst_topic))))
    src = np.repeat(np.arange(len(src_topic)), draws)
    dst = _drawn(src_topic[src], dst_topic, popularity, within, rng)
    code = np.unique(src * np.int64(len(dst_topic)) + dst)
    return np.stack(np.divmod(code, len(dst_topic)))


def _drawn(
    topic: np.ndarray,
    dst_topic: np.ndarray,
    popularity: np.ndarray,
    within: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """A target for each row [n] by popularity, with probability `within` of the row's topic."""
    order = np.argsort(dst_topic, kind="stable")
    total = np.cumsum(popularity[order])
    edges = np.searchsorted(dst_topic[order], np.arange(dst_topic.max() + 2))
    mass = np.concatenate([[0.0], total])[edges]
    inside = rng.random(len(topic)) < within
    low = np.where(inside, mass[topic], 0.0)
    high = np.where(inside, mass[topic + 1], total[-1])
    at = np.searchsorted(total, low + rng.random(len(topic)) * (high - low), side="right")
    return order[np.minimum(at, len(order) - 1)]


def _with_holes(users: _Users, topic: np.ndarray, rng: np.random.Generator) -> dict[str, pa.Array]:
    """The columns of users with values left out, where `planted_mixed` says."""
    where = {
        "income": users.level == 0,
        "level": topic == 0,
        "job": ~users.member,
        "member": np.zeros(len(topic), bool),
        "joined": users.income > np.median(users.income),
    }
    out = {}
    for name, holds in where.items():
        more, less = MISSING[name]
        hidden = rng.random(len(topic)) < np.where(holds, more, less)
        values = getattr(users, name)
        if name == "joined":
            out[name] = pa.array(values.astype(np.int32), pa.int32(), mask=hidden).cast(pa.date32())
        else:
            out[name] = pa.array(values, mask=hidden)
    return out


def _add_reviews(
    nodes: dict[str, Any],
    edges: dict[EdgeType, Any],
    rates: _Rates,
    item_topic: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """A review a rating: words of the item's topic, and a verdict that fits the rating."""
    words = np.array([topic_words(t) for t in range(int(item_topic.max()) + 1)])
    n = len(rates.src)
    picked = words[item_topic[rates.dst][:, None], rng.integers(words.shape[1], size=(n, 3))]
    verdict = np.array(VERDICTS)[rates.rating - 1, rng.integers(2, size=n)]
    common = rng.choice(COMMON, (n, 2))
    texts = [" ".join(row) for row in np.c_[picked, common, verdict].tolist()]
    ids = {"user": nodes["user"]["id"], "item": nodes["item"]["id"], "review": _ids("r", n)}
    nodes["review"] = {
        "id": ids["review"],
        "text": texts,
        "rating": rates.rating,
        "time": rates.time,
    }
    edges[WROTE] = _edges(ids, WROTE, rates.src, np.arange(n))
    edges[ABOUT] = _edges(ids, ABOUT, np.arange(n), rates.dst)


def _edges(
    ids: dict[str, pa.Array], type: EdgeType, src: np.ndarray, dst: np.ndarray, **columns: Any
) -> dict[str, Any]:
    """An edge table by external ids."""
    ends = zip(("src", "dst"), (type[0], type[2]), (src, dst), strict=True)
    return {side: ids[node].take(pa.array(at)) for side, node, at in ends} | columns


def _ids(letter: str, n: int) -> pa.Array:
    width = len(str(max(n - 1, 0)))
    return tb.as_array([f"{letter}{k:0{width}d}" for k in range(n)], "ids")
