"""Evaluate a predictor by full ranking on held-out pairs.

Every item without a link of the user is ranked; nothing is sampled. `hinaug.evaluation.metrics`
defines the metrics.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hinaug import checks
from hinaug.ensembles.base import Ensemble
from hinaug.errors import KindError, ParameterError
from hinaug.evaluation import metrics
from hinaug.evaluation.guard import refuse_leaks
from hinaug.evaluation.result import JointResult, Result
from hinaug.graph import arrow as tb
from hinaug.graph import expect
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import PairIndex, held_out, linked_targets, own_pairs
from hinaug.predictors.base import LinkPredictor, scorer
from hinaug.predictors.ranking import ranked_lists
from hinaug.split.base import Split
from hinaug.training.estimator import Searched

PROTOCOLS = ("all", "new", "joint")
DEGREES = (0, 3, 5, 20, 60)  # upper ends of the slices by train degree
HEAD = 5  # the most popular items, one of so many, are the head; the others are the tail


@overload
def evaluate(
    predictor: LinkPredictor,
    hin: HIN,
    split: Split,
    *,
    k: int | Sequence[int] = ...,
    on: str = ...,
    trust: bool = ...,
    protocol: Literal["joint"],
) -> JointResult: ...
@overload
def evaluate(
    predictor: LinkPredictor,
    hin: HIN,
    split: Split,
    *,
    k: int | Sequence[int] = ...,
    on: str = ...,
    trust: bool = ...,
    protocol: str = ...,
) -> Result: ...
def evaluate(
    predictor: LinkPredictor,
    hin: HIN,
    split: Split,
    *,
    k: int | Sequence[int] = (10, 20),
    on: str = "valid",
    trust: bool = False,
    protocol: str = "all",
) -> Result:
    """Full-ranking metrics of a fitted predictor on the held-out pairs of `split`.

    Not ranked are observed pairs of the graph and of train (on test: and of valid), and in a
    relation between nodes of one type the node itself. Users without held-out pairs are left out.
    A user whom the predictor cannot score counts with an empty list.

    Items are *new* where split.train (on test: split.train_valid) has no link of them, else *warm*.
    With L_u the list of user u, W_u and N_u the warm and new items held out for u, and DCG@k(L, R)
    the sum of 1 / log2(j + 1) over the ranks j <= k at which L has an item of R, the protocols are

        "all"    L_u ranks warm and new items; relevant are W_u and N_u, as if they were one kind.
        "new"    L_u ranks the new items alone; relevant are N_u. It says how well new items are
                 ordered, not whether they come into a list with the others.
        "joint"  L_u ranks warm and new items. The figures of all targets are those of "all"; those
                 of `warm` count W_u alone, those of `new` N_u alone, in the same list L_u:
                     warm: NDCG@k(u) = DCG@k(L_u, W_u) / sum over j <= min(k, |W_u|) of
                           1 / log2(j + 1),   Recall@k(u) = |W_u in the first k of L_u| / |W_u|
                     new:  the same with N_u
                 each a mean over the users who have such items held out. "New items@k" is the
                 share of the filled places up to k that new items hold.

    A split that holds out new items alone (`cold_items` without `warm`) is judged by "new": in a
    list with warm items it would reward whatever pushes these down.

    Parameters
    ----------
    hin
        The graph to score on, such as `split.train` (on valid) or `split.train_valid` (on test),
        with or without deltas.
    k
        One cut-off or several, each at least 1.
    on
        "valid" or "test".
    trust
        Accept a predictor that was fitted on pairs other than those of the split's graphs, such as
        a sample of split.train. Pass it only if none of the held-out pairs was among them:
        `evaluate` cannot check that.
    protocol
        "all", "new" or "joint".

    Raises LeakError where the held-out pairs or their evidence are in `hin`, or where the predictor
    was fitted on a graph that holds them, or on unknown pairs without `trust`. Raises
    ParameterError for a protocol that asks for a kind of item of which none is held out, and
    NotFittedError before `fit`.

    Example
    -------
    >>> from hinaug import cold_items
    >>> from hinaug.datasets import planted
    >>> from hinaug.predictors import Popularity
    >>> rates = ("user", "rates", "item")
    >>> split = cold_items(planted(rng=0), rates, evidence=["review"], warm=0.1, rng=0)
    >>> model = Popularity(rates).fit(split.train)
    >>> found = evaluate(model, split.train, split, k=20, protocol="joint")
    >>> round(found.warm["Recall@20"], 2), round(found.new["Recall@20"], 2)
    (0.45, 0.0)
    """
    scorer(predictor, "evaluate")
    expect.graph(hin, "evaluate")
    check_split(split, on, predictor)
    _check_protocol(protocol)
    ks = _cutoffs(k)
    pairs = judged_pairs(split, on)
    predictor._check_fitted()
    refuse_leaks(predictor, hin, split, pairs, on, trust)
    started = time.perf_counter()
    users, relevant = held_out(hin.observed(), split.target, pairs)
    is_new = np.zeros(0, bool) if protocol == "all" else new_targets(hin, split, on)
    if protocol != "all":
        _check_kinds(protocol, relevant, is_new)
    if protocol == "new":
        users, relevant = _of_kind(users, relevant, is_new)
    allowed = is_new if protocol == "new" else None
    hidden = not_ranked(hin, split, users, on)
    ranked = _rank(predictor, hin, users, hidden, ks[-1], allowed)
    fingerprint = tb.content_hash(pairs.select(["src", "dst"]))
    lists = _Lists(predictor, hin, split, on, ks, users, ranked, fingerprint, started)
    found = lists.judged_by(users, relevant, kind=" new" if protocol == "new" else "")
    if protocol != "joint":
        return found
    found.overall |= _share_of_new(ranked, is_new, ks)
    warm = lists.judged_by(*_of_kind(users, relevant, ~is_new), kind=" warm")
    new = lists.judged_by(*_of_kind(users, relevant, is_new), kind=" new")
    return JointResult(**vars(found), warm=warm, new=new)


@dataclass
class _Lists:
    """Ranked lists, and what a result says of them besides how well they meet what is held out."""

    predictor: LinkPredictor
    hin: HIN
    split: Split
    on: str
    ks: list[int]
    users: np.ndarray
    ranked: np.ndarray
    pairs: str
    started: float

    def judged_by(self, users: np.ndarray, relevant: sp.csr_array, kind: str = "") -> Result:
        """Judged by `relevant` [users, targets], for `users`, some of those who have a list.

        kind: which of the held-out pairs they are; "" for all that were ranked.
        """
        predictor, hin, split = self.predictor, self.hin, self.split
        found = searches(predictor)
        ranked = self.ranked[np.searchsorted(self.users, users)]
        hits = metrics.hits(ranked, relevant)
        values = {
            f"{name}@{cut}": measure(ranked, relevant, cut, found=hits)
            for cut in self.ks
            for name, measure in metrics.PER_USER.items()
        }
        return Result(
            name=type(predictor).__name__,
            on=self.on,
            users=hin.ids(split.target[0], users),
            values=values,
            overall=_overall(ranked, split, relevant.shape[1], self.ks[-1]),
            slices=_slices(split, hin, users, relevant),
            seconds=time.perf_counter() - self.started,
            deterministic=_deterministic(predictor, hin, split),
            split=self.pairs + kind,
            edges=tuple(name for search in found for name in search.edges),
            trials=sum(search.trials for search in found) if found else None,
        )


def new_targets(hin: HIN, split: Split, on: str) -> np.ndarray:
    """Which observed targets of `hin` have no link in the split's own graph, bool."""
    clean = (split.train if on == "valid" else split.train_valid).observed()
    linked = linked_targets(clean.adjacency(split.target))
    ids, clean_ids = (g.nodes[split.target[2]]["id"].chunk(0) for g in (hin.observed(), clean))
    at = tb.lookup(clean_ids, ids)
    return ~((at >= 0) & linked[at])


def _of_kind(
    users: np.ndarray, relevant: sp.csr_array, kind: np.ndarray
) -> tuple[np.ndarray, sp.csr_array]:
    """The held-out items of one kind, bool [targets], and the users who have some."""
    entries = relevant.tocoo()
    row, item = entries.coords
    keep = kind[item]
    own = sp.csr_array((entries.data[keep], (row[keep], item[keep])), shape=relevant.shape)
    has = np.flatnonzero(np.diff(own.indptr))
    return users[has], own[has]


def _check_protocol(protocol: str) -> None:
    if protocol not in PROTOCOLS:
        raise ParameterError(
            f"evaluate: protocol={protocol!r}: expected one of {list(PROTOCOLS)}",
            asked=protocol,
            there=PROTOCOLS,
        )


def _check_kinds(protocol: str, relevant: sp.csr_array, is_new: np.ndarray) -> None:
    """ParameterError where a kind of item that the protocol judges is not held out."""
    n_new = int(is_new[relevant.indices].sum())
    there = {"warm": relevant.nnz - n_new, "new": n_new}
    if n_new and (there["warm"] or protocol == "new"):
        return
    raise ParameterError(
        f"evaluate: protocol={protocol!r} judges new items"
        f"{' and warm ones' if protocol == 'joint' else ''}; held out are {there['warm']:,} pairs "
        f"of warm items and {n_new:,} of new ones; split with cold_items(hin, relation, warm=0.1)",
        asked=protocol,
        there=there,
    )


def _share_of_new(ranked: np.ndarray, is_new: np.ndarray, ks: list[int]) -> dict[str, float]:
    """The share of the filled places up to each cut-off that new items hold."""
    filled = ranked >= 0
    new = filled & is_new[ranked]
    return {f"New items@{k}": float(new[:, :k].sum() / max(filled[:, :k].sum(), 1)) for k in ks}


def searches(predictor: LinkPredictor) -> list[Searched]:
    """How the hyperparameters of a predictor, and of the members of an ensemble, were found."""
    members = predictor.predictors if isinstance(predictor, Ensemble) else []
    own = [] if predictor.searched is None else [predictor.searched]
    return own + [search for member in members for search in searches(member)]


def _deterministic(predictor: LinkPredictor, hin: HIN, split: Split) -> bool:
    """Whether another fit of the whole pipeline gives the same: no chance, and no delta drawn."""
    graphs = [hin, split.train, split.train_valid]
    if not predictor.deterministic or any(graph.deltas for graph in graphs):
        return False
    return predictor.fitted_on_ in [graph.fingerprint() for graph in graphs]


def check_split(split: Split, on: str, predictor: LinkPredictor) -> None:
    if not isinstance(split, Split):
        raise KindError(
            f"evaluate(predictor, hin, split) takes a Split third, got {checks.kind(split)}; see "
            "random_split"
        )
    if on not in ("valid", "test"):
        raise ParameterError(
            f"evaluate: on={on!r}: expected 'valid' or 'test'", asked=on, there=["valid", "test"]
        )
    if predictor.relation != split.target:
        raise ParameterError(
            f"the predictor scores {predictor.relation}, the split holds out {split.target}; make "
            "both of one relation",
            asked=predictor.relation,
            there=split.target,
        )


def _cutoffs(k: int | Sequence[int]) -> list[int]:
    """The cut-offs asked for, ascending."""
    cuts = k if isinstance(k, Iterable) and not isinstance(k, str) else [k]
    ks = sorted({checks.whole(cut, "evaluate: k", 1) for cut in cuts})
    if not ks:
        raise ParameterError(
            f"evaluate: k={k!r} names no cut-off; give one or more, each at least 1, such as "
            "k=(10, 20)",
            asked=k,
        )
    return ks


def judged_pairs(split: Split, on: str) -> pa.Table:
    """The held-out pairs of one part; a node's link to itself is not judged."""
    pairs = split.valid if on == "valid" else split.test
    if split.target[0] == split.target[2]:
        pairs = pairs.filter(pc.not_equal(pairs["src"], pairs["dst"]))
    if pairs.num_rows == 0:
        raise ParameterError(
            f"the split has no {on} pairs ({split.valid.num_rows} valid, {split.test.num_rows} "
            f"test); make one with {on} > 0",
            asked=on,
            there={"valid": split.valid.num_rows, "test": split.test.num_rows},
        )
    return pairs


def not_ranked(hin: HIN, split: Split, users: np.ndarray, on: str) -> sp.csr_array:
    """What is not ranked for each of the users: CSR [users, observed targets of hin]."""
    observed = hin.observed()
    hidden = observed.adjacency(split.target)[users] + _train_rows(observed, split, users)
    if on == "test" and split.valid.num_rows:
        hidden = hidden + PairIndex.from_ids(hin, split.target, split.valid).matrix()[users]
    if split.target[0] == split.target[2]:
        hidden = hidden + own_pairs(users, hidden.shape[1])
    return hidden.tocsr()


def _train_rows(hin: HIN, split: Split, users: np.ndarray) -> sp.csr_array:
    """The train pairs of users of `hin`, over the targets of `hin`: CSR [users, targets]."""
    source, _, target = split.target
    train = split.train.observed()
    matrix = train.adjacency(split.target)
    user_ids, train_user_ids = (g.nodes[source]["id"].chunk(0) for g in (hin, train))
    item_ids, train_item_ids = (g.nodes[target]["id"].chunk(0) for g in (hin, train))
    if user_ids.equals(train_user_ids) and item_ids.equals(train_item_ids):
        return matrix[users]
    row_in_train = tb.lookup(train_user_ids, user_ids)[users]
    column_here = tb.lookup(item_ids, train_item_ids)
    known = np.flatnonzero(row_in_train >= 0)
    pairs = matrix[row_in_train[known]].tocoo()
    row, column = known[pairs.coords[0]], column_here[pairs.coords[1]]
    here = column >= 0
    shape = (len(users), len(item_ids))
    return sp.csr_array((pairs.data[here], (row[here], column[here])), shape=shape)


def _rank(
    predictor: LinkPredictor,
    hin: HIN,
    users: np.ndarray,
    hidden: sp.csr_array,
    k: int,
    allowed: np.ndarray | None,
) -> np.ndarray:
    """The k best targets of each user, [users, k]; -1 fills up lists that are shorter.

    allowed: which targets are ranked, bool; None for all.
    """
    depth = min(k, hidden.shape[1])
    what = f"evaluating {type(predictor).__name__}"
    ranked, _ = ranked_lists(predictor, hin, users, depth, hidden, allowed, what=what)
    return np.pad(ranked, ((0, 0), (0, k - depth)), constant_values=-1)


def _overall(ranked: np.ndarray, split: Split, n_items: int, k: int) -> dict[str, float]:
    """Figures over all lists: coverage, Gini, and novelty where the items are those of train."""
    overall = {
        f"Coverage@{k}": metrics.coverage(ranked, n_items, k),
        f"Gini@{k}": metrics.gini(ranked, n_items, k),
    }
    train = split.train.observed().adjacency(split.target)
    if train.shape[1] == n_items:
        popularity = np.bincount(train.indices, minlength=n_items)
        novelty = metrics.novelty(ranked, popularity, train.shape[0], k)
        known = np.isfinite(novelty)  # a user with an empty list has no novelty
        overall[f"Novelty@{k}"] = float(novelty[known].mean()) if known.any() else float("nan")
    return overall


def _slices(
    split: Split, hin: HIN, users: np.ndarray, relevant: sp.csr_array
) -> dict[str, np.ndarray]:
    """{slice: label of each user}: by train degree, and by the share of tail items held out."""
    train = split.train.observed()
    matrix = train.adjacency(split.target)
    ids = hin.nodes[split.target[0]]["id"].chunk(0).take(pa.array(users))
    row = tb.lookup(train.nodes[split.target[0]]["id"].chunk(0), ids)
    degree = np.where(row >= 0, np.diff(matrix.indptr)[row], 0)
    labels = {"train degree": _degree_names()[np.searchsorted(DEGREES, degree)]}
    if matrix.shape[1] == relevant.shape[1]:
        share = _tail_share(matrix, relevant)
        names = np.array(["none", "under half", "half or more"])
        labels["tail items held out"] = names[np.digitize(share, [1e-9, 0.5])]
    return labels


def _degree_names() -> np.ndarray:
    """The labels of `DEGREES`: "0", "1-3", "4-5", "6-20", "21-60", "61+"."""
    lows = [0, *(high + 1 for high in DEGREES)]
    names = [
        f"{low}-{high}" if low < high else f"{high}"
        for low, high in zip(lows, DEGREES, strict=False)
    ]
    return np.array([*names, f"{lows[-1]}+"])


def _tail_share(train: sp.csr_array, relevant: sp.csr_array) -> np.ndarray:
    """The share of each user's held-out items that are tail items, float [users]."""
    popularity = np.bincount(train.indices, minlength=train.shape[1])
    is_head = np.zeros(len(popularity), bool)
    is_head[np.argsort(-popularity, kind="stable")[: max(1, len(popularity) // HEAD)]] = True
    tail = relevant.copy()
    tail.data = (~is_head[tail.indices]).astype(np.float32)
    return tail.sum(axis=1) / np.diff(relevant.indptr)
