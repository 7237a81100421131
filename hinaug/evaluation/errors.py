"""What goes wrong, for whom: the kinds of missed items, and the worst slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug import checks
from hinaug.evaluation.evaluate import check_split, judged_pairs, not_ranked
from hinaug.evaluation.guard import refuse_leaks
from hinaug.evaluation.intervals import check_level
from hinaug.evaluation.traits import categories_of, traits_of
from hinaug.evaluation.worst import Pairs, Slice, worst_slices
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import held_out
from hinaug.predictors.base import LinkPredictor, scorer
from hinaug.predictors.ranking import BLOCK, SCORES
from hinaug.progress import track
from hinaug.split.base import Split
from hinaug.training.ranking import tie_order, top_k

EXAMPLES = 3  # of each kind
SHOWN = 3  # items that stood in the place of a missed one, in an example
MORE_POPULAR = 0.75  # part of what stood in its place that has more links: "popular instead"
SAME_CATEGORY = 0.5  # part of it that shares a category: "right category"
CHUNK = 4096  # missed pairs whose lists are compared together

KINDS = {  # each missed pair is of the first kind that fits
    "not ranked": "the model gives this user and item no score",
    "cold item": "the item has at most {cold} links to learn from",
    "cold user": "the user has at most {cold} links to learn from",
    "near miss": "rank {after} to {twice}",
    "in no list": "no judged user has the item among the first {k}",
    "right category": "at least half of the items in its place share a category with it",
    "popular instead": "at least three quarters of the items in its place have more links",
    "other": "none of these",
}


@dataclass(eq=False)
class ErrorAnalysis:
    """Which held-out items were missed, in what way, and where that happens most.

    name: the class of the predictor. on: the part of the split. k: the length of the lists.
    pairs: one row a held-out pair: user, item (external ids), rank (null beyond 2k), gain, kind
        (null for a hit) and slice (the first row of `slices` that holds it, or null).
    kinds: kind, meaning, pairs, share; the shares of the missed pairs add up to 1.
    slices: where, gain, rest, difference, low, high, p, users, pairs, share, mostly; the surest
        first. Means and p are those of the half that judges; mostly: the most frequent kind of
        its misses.
    examples: kind, user, item, rank and `instead`: the first items in its place.
    looked_at: how many slices were looked at; `p` is corrected for that.
    """

    name: str
    on: str
    k: int
    pairs: pa.Table
    kinds: pa.Table
    slices: pa.Table
    examples: pa.Table
    looked_at: int

    @property
    def missed(self) -> float:
        """The part of the held-out pairs that is missed."""
        return 1 - self.pairs["kind"].null_count / max(len(self.pairs), 1)

    def document(self) -> dict[str, Any]:
        """All but the pairs, as plain values for JSON."""
        tables = {n: getattr(self, n).to_pylist() for n in ("kinds", "slices", "examples")}
        users = len(self.pairs["user"].unique())
        return {
            **{n: getattr(self, n) for n in ("name", "on", "k", "missed", "looked_at")},
            "users": users,
            "pairs": len(self.pairs),
            **tables,
        }

    def __repr__(self) -> str:
        lines = [
            f"ErrorAnalysis({self.name} on {self.on}, {len(self.pairs):,} held-out pairs: "
            f"{100 * self.missed:.1f} % not among the first {self.k})"
        ]
        lines += [
            f"  {100 * row['share']:5.1f} %  {row['kind']}: {row['meaning']}"
            for row in self.kinds.to_pylist()
            if row["pairs"]
        ]
        lines += [
            f"  worse: {row['where']}: gain {row['gain']:.3f} beside {row['rest']:.3f} "
            f"(p {row['p']:.2g}, {100 * row['share']:.0f} % of the pairs)"
            for row in self.slices.to_pylist()
        ]
        if not self.slices.num_rows:
            lines.append(f"  no slice is worse beyond chance ({self.looked_at} looked at)")
        return "\n".join(lines)


def analyse_errors(
    predictor: LinkPredictor,
    hin: HIN,
    split: Split,
    *,
    on: str = "test",
    k: int = 20,
    cold: int = 3,
    level: float = 0.01,
    rng: Any = 0,
    trust: bool = False,
) -> ErrorAnalysis:
    """How the held-out pairs are missed, and which users and items do worse than the rest.

    The rank of a held-out item is 1 + the items with a higher score that the user has no link with
    and that are not held out: held-out items of one user do not compete. So a user with more than k
    held-out items can still have no miss, and the part missed is at most 1 - Recall@k. The gain of
    a pair is 1 / log2(1 + rank) where rank <= k, else 0: its NDCG@k.

    Each missed pair (rank > k) is of one kind, the first in `KINDS` that fits. A slice is
    named where users and items that were not used to find it are worse there beyond chance; see
    `hinaug.evaluation.worst`.

    Parameters
    ----------
    predictor
        A fitted predictor.
    hin
        The graph to score on, as in `evaluate`.
    on
        "valid" or "test".
    k
        The length of the lists.
    cold
        A user or item with so many links in `hin`, or fewer, is cold.
    level
        Of the test of a slice, after correction for all slices looked at.
    rng
        A seed or Generator: which half grows the tree, and which examples are shown.
    trust
        As in `evaluate`.

    Raises as `evaluate` does.

    Cost: one ranking of all items, and 2k numbers a user of memory.

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> from hinaug.predictors import EASE
    >>> from hinaug.split import random_split
    >>> relation = ("user", "rates", "item")
    >>> split = random_split(planted(200, 120, rng=0), relation, evidence=["review"], rng=0)
    >>> model = EASE(relation).fit(split.train)
    >>> found = analyse_errors(model, split.train, split, on="valid", k=10)
    >>> sum(found.kinds["share"].to_pylist())
    1.0
    """
    scorer(predictor, "analyse_errors")
    check_split(split, on, predictor)
    k, cold = checks.whole(k, "analyse_errors: k", 1), checks.whole(cold, "analyse_errors: cold")
    check_level(level)
    rng = checks.generator(rng, "analyse_errors")
    held = judged_pairs(split, on)
    predictor._check_fitted()
    refuse_leaks(predictor, hin, split, held, on, trust)
    users, relevant = held_out(hin.observed(), split.target, held)
    lists = _rank(predictor, hin, users, relevant, not_ranked(hin, split, users, on), k)
    kind = _kinds(lists, hin, split, cold)
    slices, looked_at = _slices(lists, hin, split, rng, level)
    return ErrorAnalysis(
        name=type(predictor).__name__,
        on=on,
        k=k,
        pairs=_pairs_table(lists, hin, split, kind, slices),
        kinds=_kinds_table(kind, k, cold),
        slices=_slices_table(slices, kind),
        examples=_examples(lists, hin, split, kind, rng),
        looked_at=looked_at,
    )


# ---- ranks ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Lists:
    """The held-out pairs, and the lists that they are not in.

    users: positions [users]. row, item: of each pair, its row among `users` and its item, [pairs].
    rank: of each pair; 2k + 1 for all beyond 2k. scored: whether it has a score.
    wrong: the first k items of each user that are not held out, [users, k]; -1 for none.
    """

    k: int
    users: np.ndarray
    row: np.ndarray
    item: np.ndarray
    rank: np.ndarray
    scored: np.ndarray
    wrong: np.ndarray

    @property
    def missed(self) -> np.ndarray:
        return self.rank > self.k


def _rank(
    predictor: LinkPredictor,
    hin: HIN,
    users: np.ndarray,
    relevant: sp.csr_array,
    hidden: sp.csr_array,
    k: int,
) -> _Lists:
    """Ranks of the held-out items among those that are not, a block of users at a time."""
    n = relevant.shape[1]
    row = np.repeat(np.arange(len(users)), np.diff(relevant.indptr))
    rank, scored = np.empty(len(row), np.int64), np.empty(len(row), bool)
    wrong = np.full((len(users), k), -1)
    exclude = (hidden + relevant).tocsr()
    ties = tie_order(hin.observed(), predictor.relation[2])
    size = max(1, min(BLOCK, SCORES // max(n, 1)))
    for at in track(range(0, len(users), size), f"errors of {type(predictor).__name__}"):
        block = slice(at, at + size)
        scores = predictor.score(hin, users[block])[:, :n]
        here = slice(relevant.indptr[at], relevant.indptr[min(at + size, len(users))])
        own, items = row[here] - at, relevant.indices[here]
        score = scores[own, items]
        others, best = top_k(scores, 2 * k, exclude[block], ties=ties, in_place=True)
        higher = (best[own] > score[:, None]) | (
            (best[own] == score[:, None]) & (ties[others[own]] < ties[items[:, None]])
        )
        scored[here] = ~np.isnan(score)
        rank[here] = np.where(scored[here], 1 + higher.sum(axis=1), 2 * k + 1)
        wrong[block] = others[:, :k]
    return _Lists(k, users, row, relevant.indices.astype(np.int64), rank, scored, wrong)


# ---- kinds ---------------------------------------------------------------------------------------


def _kinds(lists: _Lists, hin: HIN, split: Split, cold: int) -> np.ndarray:
    """The kind of each pair, as its place in `KINDS`; -1 for a hit."""
    links = hin.observed().adjacency(split.target)
    of_users, of_items = np.diff(links.indptr), np.bincount(links.indices, minlength=links.shape[1])
    shares_category, is_popular = _in_their_place(lists, hin, split, of_items)
    fits = {
        "not ranked": ~lists.scored,
        "cold item": of_items[lists.item] <= cold,
        "cold user": of_users[lists.users[lists.row]] <= cold,
        "near miss": lists.rank <= 2 * lists.k,
        "in no list": ~_reached(lists, links.shape[1])[lists.item],
        "right category": shares_category,
        "popular instead": is_popular,
        "other": np.ones(len(lists.item), bool),
    }
    first = np.argmax(np.stack([fits[kind] for kind in KINDS]), axis=0)
    return np.where(lists.missed, first, -1)


def _reached(lists: _Lists, n_items: int) -> np.ndarray:
    """Whether each item is among the first k of some judged user, bool [n_items]."""
    reached = np.zeros(n_items, bool)
    reached[lists.wrong[lists.wrong >= 0]] = True
    reached[lists.item[~lists.missed]] = True
    return reached


def _in_their_place(
    lists: _Lists, hin: HIN, split: Split, popularity: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Whether what stood in the place of each missed pair shares its category, or is popular."""
    categories = categories_of(hin.observed(), split.target[2], split.target)
    category, popular = np.zeros(len(lists.item), bool), np.zeros(len(lists.item), bool)
    missed = np.flatnonzero(lists.missed)
    for at in range(0, len(missed), CHUNK):
        chosen = missed[at : at + CHUNK]
        instead = lists.wrong[lists.row[chosen]]
        own, column = np.nonzero(instead >= 0)
        held, shown = lists.item[chosen[own]], instead[own, column]
        n_shown = np.maximum(np.bincount(own, minlength=len(chosen)), 1)
        common = categories[held].multiply(categories[shown]).sum(axis=1) > 0
        more = popularity[shown] > popularity[held]
        for out, is_so, part in (
            (category, common, SAME_CATEGORY),
            (popular, more, MORE_POPULAR),
        ):
            out[chosen] = np.bincount(own, is_so, len(chosen)) >= part * n_shown
    return category, popular


def _kinds_table(kind: np.ndarray, k: int, cold: int) -> pa.Table:
    count = np.bincount(kind[kind >= 0], minlength=len(KINDS))
    told = {"k": k, "after": k + 1, "twice": 2 * k, "cold": cold}
    return pa.table(
        {
            "kind": list(KINDS),
            "meaning": [meaning.format(**told) for meaning in KINDS.values()],
            "pairs": count,
            "share": count / max(count.sum(), 1),
        }
    )


# ---- slices --------------------------------------------------------------------------------------


def _gain(lists: _Lists) -> np.ndarray:
    return np.where(lists.missed, 0.0, 1 / np.log2(1 + lists.rank))


def _slices(
    lists: _Lists, hin: HIN, split: Split, rng: np.random.Generator, level: float
) -> tuple[list[Slice], int]:
    source, _, target = split.target
    weight = 1 / np.bincount(lists.row)[lists.row]
    pairs = Pairs(lists.users[lists.row], lists.item, _gain(lists), weight)
    of_users, of_items = (traits_of(hin, node, split.target) for node in (source, target))
    return worst_slices(pairs, of_users, of_items, rng, level)


def _slices_table(slices: list[Slice], kind: np.ndarray) -> pa.Table:
    names = [*KINDS, None]
    rows = [
        {
            "where": one.where,
            "gain": one.mean,
            "rest": one.rest,
            "difference": one.mean - one.rest,
            "low": one.low,
            "high": one.high,
            "p": one.p,
            "users": one.users,
            "pairs": one.pairs,
            "share": one.share,
            "mostly": names[_most_frequent(kind[one.inside])],
        }
        for one in slices
    ]
    words, counts = ("where", "mostly"), ("users", "pairs")
    order = ("where", "gain", "rest", "difference", "low", "high", "p", "users", "pairs", "share")
    schema = pa.schema(
        [
            (n, pa.string() if n in words else pa.int64() if n in counts else pa.float64())
            for n in (*order, "mostly")
        ]
    )
    return pa.Table.from_pylist(rows, schema=schema)


def _most_frequent(kind: np.ndarray) -> int:
    """The most frequent kind of miss; -1 where there is no miss."""
    missed = kind[kind >= 0]
    return int(np.bincount(missed).argmax()) if len(missed) else -1


# ---- pairs and examples --------------------------------------------------------------------------


def _names(kind: np.ndarray) -> pa.Array:
    return pa.array(list(KINDS)).take(pa.array(kind, mask=kind < 0))


def _ids(lists: _Lists, hin: HIN, split: Split, chosen: np.ndarray) -> dict[str, pa.Array]:
    """User, item and rank of the chosen pairs."""
    source, _, target = split.target
    rank = lists.rank[chosen]
    return {
        "user": hin.ids(source, lists.users[lists.row[chosen]]),
        "item": hin.ids(target, lists.item[chosen]),
        "rank": pa.array(rank, mask=rank > 2 * lists.k),
    }


def _pairs_table(
    lists: _Lists, hin: HIN, split: Split, kind: np.ndarray, slices: list[Slice]
) -> pa.Table:
    place = np.full(len(kind), -1)
    for i, one in reversed(list(enumerate(slices))):
        place[one.inside] = i
    return pa.table(
        {
            **_ids(lists, hin, split, np.arange(len(kind))),
            "gain": _gain(lists),
            "kind": _names(kind),
            "slice": pa.array(place, mask=place < 0),
        }
    )


def _examples(
    lists: _Lists, hin: HIN, split: Split, kind: np.ndarray, rng: np.random.Generator
) -> pa.Table:
    """A few missed pairs of each kind, drawn at random."""
    drawn = []
    for i in range(len(KINDS)):
        own = np.flatnonzero(kind == i)
        drawn.append(np.sort(rng.choice(own, min(EXAMPLES, len(own)), replace=False)))
    chosen = np.concatenate(drawn).astype(np.int64)
    wrong = lists.wrong[lists.row[chosen], :SHOWN]
    ids = hin.ids(split.target[2], wrong[wrong >= 0])
    ends = np.append(0, np.cumsum((wrong >= 0).sum(axis=1))).astype(np.int32)
    return pa.table(
        {
            "kind": _names(kind[chosen]),
            **_ids(lists, hin, split, chosen),
            "instead": pa.ListArray.from_arrays(pa.array(ends), ids),
        }
    )
