"""Confidence as a probability: which candidates of a model turn out to be links."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hinaug.generators.relations.candidates import N_FEATURES, Block
from hinaug.graph.pairs import PairIndex

Calibration = dict[str, np.ndarray]

# A second step straightens the logistic curve through the shares of hits in so many groups of
# candidates at most, of so many hits each at least; with fewer than THREE groups there is none.
GROUPS, HITS, THREE = 15, 10, 3


def calibrated(blocks: Iterable[Block], held: PairIndex, symmetric: bool = False) -> Calibration:
    """What turns features of candidates into the probability of being one of the held-out pairs;
    see `RelationGenerator`. One constant where no candidate is held out.

    symmetric: a pair of nodes is proposed by whichever of the two is surer.
    """
    from sklearn.linear_model import LogisticRegression

    rows, pairs = [np.zeros((0, N_FEATURES))], [np.zeros((2, 0), np.int64)]
    for src, dst, features, _, possible in blocks:
        rows.append(features[possible])
        ends = np.broadcast_to(src[:, None], dst.shape)[possible], dst[possible]
        pairs.append(np.stack(ends))
    x, (src, dst) = np.concatenate(rows), np.concatenate(pairs, axis=1)
    y = held.contains(src, dst)
    counts = np.array([len(y), y.sum()])
    if not 0 < y.sum() < len(y):
        constant = np.log((y.sum() + 1) / (len(y) - y.sum() + 1))
        return {"coef": np.zeros(N_FEATURES), "intercept": np.array([constant]), "counts": counts}
    mean, scale = x.mean(axis=0), np.where(x.std(axis=0) > 1e-9, x.std(axis=0), 1.0)
    fitted = LogisticRegression(max_iter=1000).fit((x - mean) / scale, y)
    coef = fitted.coef_[0] / scale
    logit = x @ coef
    if symmetric:
        logit, y = _surest(np.minimum(src, dst) * held.shape[1] + np.maximum(src, dst), logit, y)
    return {
        "coef": coef,
        "intercept": fitted.intercept_ - mean @ coef,
        "counts": counts,
        **knots(logit + fitted.intercept_ - mean @ coef, y),
    }


def _surest(code: np.ndarray, logit: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The highest logit of each pair, given by its code, and whether it is a hit."""
    order = np.lexsort((-logit, code))
    first = order[np.append(True, np.diff(code[order]) != 0)[: len(order)]]
    return logit[first], y[first]


def knots(logit: np.ndarray, y: np.ndarray) -> Calibration:
    """Mean logits of groups of about as many hits (or misses, if these are fewer), and the logits
    of their shares of hits, made to increase (pool adjacent violators); none where hits are few.
    """
    from sklearn.isotonic import IsotonicRegression

    rare = y if 2 * y.sum() < len(y) else ~y
    n_groups = min(GROUPS, int(rare.sum()) // HITS)
    if n_groups < THREE:
        return {}
    order = np.argsort(logit, kind="stable")
    done = np.cumsum(rare[order]) - rare[order] / 2
    group = np.minimum((done * n_groups / rare.sum()).astype(np.int64), n_groups - 1)
    n = np.bincount(group, minlength=n_groups)
    share = (np.bincount(group, y[order], n_groups) + 0.5) / (n + 1)
    at = np.bincount(group, logit[order], n_groups) / np.maximum(n, 1)
    share = IsotonicRegression().fit_transform(np.arange(n_groups), share, sample_weight=n)
    return {"at": at[n > 0], "to": np.log(share / (1 - share))[n > 0]}


def span_of_scores(blocks: Iterable[Block]) -> Calibration:
    """The mean and the highest score, where no link says what is true."""
    total, count, highest = 0.0, 0, -np.inf
    for block in blocks:
        scores = block.score[block.possible]
        total, count = total + scores.sum(), count + len(scores)
        highest = max(highest, scores.max(initial=-np.inf))
    return {"span": np.array([total / max(count, 1), highest]), "counts": np.array([count, 0])}


def confidence(calibration: Calibration, block: Block) -> np.ndarray:
    """The confidence of the candidates, [b, k] in [0, 1]."""
    if "span" in calibration:
        mean, highest = calibration["span"]
        return np.clip((block.score - mean) / max(highest - mean, 1e-12), 0, 1)
    logit = block.features @ calibration["coef"] + calibration["intercept"]
    if "at" in calibration:
        logit = np.interp(logit, calibration["at"], calibration["to"])
    return 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
