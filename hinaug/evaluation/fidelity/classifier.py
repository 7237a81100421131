"""Can a classifier tell generated nodes from real ones, and do generated nodes cover the real?"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from hinaug.evaluation.fidelity.tree import Measured

FOLDS = 5
TREES: dict[str, Any] = {
    "max_iter": 40,
    "learning_rate": 0.15,
    "max_leaf_nodes": 12,
    "max_bins": 63,
    "early_stopping": False,
}
NEIGHBOURS = 5
FEW = 10  # nodes or groups on either side, below which no classifier is trained


def two_sample(
    real: np.ndarray,
    made: np.ndarray,
    groups: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
) -> Measured:
    """Classifier two-sample test (Lopez-Paz and Oquab, "Revisiting Classifier Two-Sample Tests",
    ICLR 2017): gradient boosted trees, in five folds that keep groups together.

        score = 2 (1 - max(AUC, .5))

    An AUC of .5 scores 1: nothing tells the two apart.

    real, made: rows of numbers, NaN where there is none. groups: the source of each row; a copy in
    another fold than its source would be taken for real.
    """
    n = min(len(real), len(made))
    if n < FEW or real.shape[1] == 0 or len(np.unique(groups[0])) < FEW:
        return Measured(None, says="too few nodes, or nothing to tell them by")
    keep = [rng.permutation(len(x))[:n] for x in (real, made)]
    x = np.concatenate([real[keep[0]], made[keep[1]]])
    y = np.repeat([0, 1], n)
    group = np.concatenate([g[k] for g, k in zip(groups, keep, strict=True)])
    auc = float(roc_auc_score(y, _out_of_fold(x, y, group, rng)))
    return Measured(2 * (1 - max(auc, 0.5)), auc)


def _out_of_fold(
    x: np.ndarray, y: np.ndarray, group: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """How sure trees are that a row is generated, that have seen no row of its group, [n]."""
    _, place = np.unique(group, return_inverse=True)
    fold = rng.permutation(place.max() + 1)[place] % FOLDS
    seed, score = int(rng.integers(2**31)), np.full(len(y), 0.5)
    for one in range(FOLDS):
        train, test = fold != one, fold == one
        there = ~np.isnan(x[train]).all(axis=0)  # trees refuse columns without any value
        if test.any() and there.any() and 0 < y[train].mean() < 1:
            trees = HistGradientBoostingClassifier(**TREES, random_state=seed)
            trees.fit(x[train][:, there], y[train])
            score[test] = trees.predict_proba(x[test][:, there])[:, 1]
    return score


def coverage(real: np.ndarray, made: np.ndarray) -> Measured:
    """The share of real nodes that have a generated one among their neighbourhood.

    The neighbourhood of a real node reaches to its fifth nearest other real node (Naeem et al.,
    "Reliable Fidelity and Diversity Metrics for Generative Models", ICML 2020).
    """
    if len(real) <= NEIGHBOURS or not len(made):
        return Measured(None, says="too few nodes")
    own = distances(real, real)
    np.fill_diagonal(own, np.inf)
    reach = np.partition(own, NEIGHBOURS - 1, axis=1)[:, NEIGHBOURS - 1]
    share = float((distances(real, made).min(axis=1) <= reach).mean())
    return Measured(share, share)


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances [n, m]."""
    square = np.square(x).sum(axis=1)[:, None] + np.square(y).sum(axis=1)
    return np.maximum(square - 2 * (x @ y.T), 0)


def nearest(rows: np.ndarray, among: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
    """The position of the nearest of `among` to each row, int64 [n].

    own: the position of each row in `among`, which does not count; None where they are others.
    """
    out = np.zeros(len(rows), np.int64)
    for at in range(0, len(rows), 1024):
        block = distances(rows[at : at + 1024], among)
        if own is not None:
            block[np.arange(len(block)), own[at : at + 1024]] = np.inf
        out[at : at + 1024] = block.argmin(axis=1)
    return out
