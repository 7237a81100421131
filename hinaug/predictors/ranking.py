"""Ranked lists of a predictor, a block of sources at a time."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from hinaug.graph.hin import HIN
from hinaug.predictors.base import LinkPredictor
from hinaug.progress import track
from hinaug.training.ranking import tie_order, top_k

BLOCK = 512  # sources ranked together, at most


SCORES = 2**22  # and their scores: new memory costs more than sums


def ranked_lists(
    predictor: LinkPredictor,
    hin: HIN,
    src: np.ndarray,
    k: int,
    exclude: sp.csr_array | None = None,
    allowed: np.ndarray | None = None,
    what: str = "ranking",
) -> tuple[np.ndarray, np.ndarray]:
    """Positions and scores of the k best observed targets of each source, [len(src), k]; -1 and NaN
    pad short lists.

    exclude: CSR [len(src), observed targets] of what to leave out. allowed: bool over the observed
    targets.
    """
    n = hin.n_observed(predictor.relation[2])
    ranked, best = [np.zeros((0, k), np.int64)], [np.zeros((0, k), np.float32)]
    ties = tie_order(hin.observed(), predictor.relation[2])
    size = max(1, min(BLOCK, SCORES // max(n, 1)))
    for at in track(range(0, len(src), size), what):
        block = src[at : at + size]
        scores = predictor.score(hin, block)[:, :n]
        if allowed is not None:
            scores = np.where(allowed, scores, np.float32(np.nan))
        hide = None if exclude is None else exclude[at : at + size]
        items, values = top_k(scores, k, hide, ties=ties, in_place=True)
        ranked.append(items)
        best.append(values)
    return np.concatenate(ranked), np.concatenate(best)
