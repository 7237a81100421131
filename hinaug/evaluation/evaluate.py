"""Evaluate a predictor by full ranking on held-out pairs, and compare two ways of making one.

Every item that the user has not met is ranked; nothing is sampled. Metric definitions stand in
`hinaug.training.metrics`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug import checks
from hinaug.errors import KindError, ParameterError
from hinaug.evaluation.guard import refuse_leaks
from hinaug.evaluation.result import Result
from hinaug.graph import arrow as tb
from hinaug.graph import expect
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import held_out
from hinaug.predictors.base import LinkPredictor, scorer
from hinaug.predictors.ranking import ranked_lists
from hinaug.split.base import Split
from hinaug.training import metrics

PER_USER = {
    "NDCG": metrics.ndcg,
    "Recall": metrics.recall,
    "Precision": metrics.precision,
    "F1": metrics.f1,
    "Hit": metrics.hit,
    "MAP": metrics.average_precision,
    "MRR": metrics.reciprocal_rank,
}
DEGREES = (5, 20, 60)


def evaluate(
    predictor: LinkPredictor,
    hin: HIN,
    split: Split,
    *,
    k: int | Sequence[int] = (10, 20),
    on: str = "valid",
) -> Result:
    """Full-ranking metrics of a fitted predictor on the held-out pairs of `split`.

    hin: the graph to score on, such as `split.train` (on valid) or `split.train_valid` (on test),
        with or without deltas.
    on: "valid" or "test". Observed pairs of the graph and of train (on test: and of valid) are not
    ranked. Users without held-out pairs are left out; a user whom the predictor cannot score counts
    with an empty list. Raises LeakError when the held-out pairs, or their evidence, are in `hin` or
    in the graph the predictor was fitted on, and NotFittedError before `fit`.
    """
    scorer(predictor, "evaluate")
    expect.graph(hin, "evaluate")
    if not isinstance(split, Split):
        raise KindError(
            f"evaluate(predictor, hin, split) takes a Split third, got {checks.kind(split)}; see "
            "random_split"
        )
    if on not in ("valid", "test"):
        raise ParameterError(f"evaluate: on={on!r}: expected 'valid' or 'test'")
    if predictor.relation != split.target:
        raise ParameterError(
            f"the predictor scores {predictor.relation}, the split holds out {split.target}; make "
            "both of one relation"
        )
    cuts = k if isinstance(k, Iterable) and not isinstance(k, str) else [k]
    ks = sorted({checks.whole(cut, "evaluate: k", 1) for cut in cuts})
    if not ks:
        raise ParameterError(
            f"evaluate: k={k!r} names no cut-off; give one or more, each at least 1, such as "
            "k=(10, 20)"
        )
    pairs = split.valid if on == "valid" else split.test
    if pairs.num_rows == 0:
        raise ParameterError(
            f"the split has no {on} pairs ({split.valid.num_rows} valid, {split.test.num_rows} "
            f"test); make one with {on} > 0"
        )
    refuse_leaks(predictor, hin, split, pairs, on)
    started = time.perf_counter()
    users, relevant = held_out(hin.observed(), split.target, pairs)
    train = split.train.observed().adjacency(split.target)
    hide = hin.observed().adjacency(split.target)[users] + _among(
        hin, split.train, split, users, train
    )
    if on == "test" and split.valid.num_rows:
        src, dst = (
            hin.positions(t, split.valid[c])
            for t, c in ((split.target[0], "src"), (split.target[2], "dst"))
        )
        valid = sp.csr_array(
            (np.ones(len(src), np.float32), (src, dst)),
            shape=(hin.n_observed(split.target[0]), relevant.shape[1]),
        )
        hide = hide + valid[users]
    depth = min(ks[-1], relevant.shape[1])
    what = f"evaluating {type(predictor).__name__}"
    ranked, _ = ranked_lists(predictor, hin, users, depth, hide.tocsr(), what=what)
    if depth < ks[-1]:
        ranked = np.pad(ranked, ((0, 0), (0, ks[-1] - depth)), constant_values=-1)
    found = metrics.hits(ranked, relevant)
    values = {
        f"{name}@{cut}": measure(ranked, relevant, cut, found=found)
        for cut in ks
        for name, measure in PER_USER.items()
    }
    popularity = np.bincount(train.indices, minlength=train.shape[1])
    n_items = relevant.shape[1]
    overall = {
        f"Coverage@{ks[-1]}": metrics.coverage(ranked, n_items, ks[-1]),
        f"Gini@{ks[-1]}": metrics.gini(ranked, n_items, ks[-1]),
    }
    if len(popularity) == n_items:
        novelty = metrics.novelty(ranked, popularity, train.shape[0], ks[-1])
        there = np.isfinite(novelty)  # a user with an empty list has none
        overall[f"Novelty@{ks[-1]}"] = float(novelty[there].mean()) if there.any() else float("nan")
    slices = _slices(split, hin, users, relevant)
    return Result(
        type(predictor).__name__,
        on,
        hin.ids(split.target[0], users),
        values,
        overall,
        slices,
        time.perf_counter() - started,
    )


def _among(
    hin: HIN, other: HIN, split: Split, users: np.ndarray, matrix: sp.csr_array
) -> sp.csr_array:
    """Rows of the train matrix for `users`, over the observed targets of `hin`."""
    source, _, target = split.target
    same = all(
        hin.observed().nodes[t]["id"].equals(other.observed().nodes[t]["id"])
        for t in (source, target)
    )
    if same:
        return matrix[users]
    row = tb.lookup(
        other.nodes[source]["id"].chunk(0), hin.observed().nodes[source]["id"].chunk(0)
    )[users]
    column = tb.lookup(
        hin.observed().nodes[target]["id"].chunk(0), other.observed().nodes[target]["id"].chunk(0)
    )
    known = np.flatnonzero(row >= 0)
    part = matrix[row[known]].tocoo()
    at, to = known[part.coords[0]], column[part.coords[1]]
    keep = to >= 0
    return sp.csr_array(
        (part.data[keep], (at[keep], to[keep])), shape=(len(users), hin.n_observed(target))
    )


def _slices(
    split: Split, hin: HIN, users: np.ndarray, relevant: sp.csr_array
) -> dict[str, np.ndarray]:
    train = split.train.observed()
    matrix = train.adjacency(split.target)
    ids = hin.nodes[split.target[0]]["id"].chunk(0).take(pa.array(users))
    row = tb.lookup(train.nodes[split.target[0]]["id"].chunk(0), ids)
    degree = np.where(row >= 0, np.diff(matrix.indptr)[row], 0)
    edges = [0, *DEGREES]
    names = np.array(
        [
            f"{low + 1}-{high}" if low else f"0-{high}"
            for low, high in zip(edges, DEGREES, strict=False)
        ]
        + [f"{DEGREES[-1] + 1}+"]
    )
    labels = {"train degree": names[np.searchsorted(DEGREES, degree)]}
    if matrix.shape[1] == relevant.shape[1]:
        popularity = np.bincount(matrix.indices, minlength=matrix.shape[1])
        head = np.zeros(len(popularity), bool)
        head[np.argsort(-popularity, kind="stable")[: max(1, len(popularity) // 5)]] = (
            True  # the most popular fifth
        )
        tail = relevant.copy()
        tail.data = (~head[tail.indices]).astype(np.float32)
        share = tail.sum(axis=1) / np.diff(relevant.indptr)
        labels["tail items held out"] = np.array(["none", "under half", "half or more"])[
            np.digitize(share, [1e-9, 0.5])
        ]
    return labels


# ---- comparing -----------------------------------------------------------------------------------
