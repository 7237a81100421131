"""Top k real, unseen items for users, by external id."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug import checks
from hinaug.base import LinkPredictor, scorer
from hinaug.hin import HIN
from hinaug.metrics import top_k
from hinaug.progress import track

BLOCK = 512  # sources ranked together, at most
SCORES = 2**22  # and their scores: new memory costs more than sums


def recommend(
    predictor: LinkPredictor,
    hin: HIN,
    users: Any,
    k: int = 10,
    *,
    exclude_observed: bool = True,
    candidates: Any = None,
) -> pa.Table:
    """The k best items of each user: columns user, item, score, rank (from 1), best first.

    users: external ids. candidates: external ids of the items to choose from (all by default).
    Left out: what was *observed* between user and item (a generated edge is a guess, so its item may be recommended),
    generated items, and items that the predictor cannot score; a user may so get fewer than k rows, or none.
    Raises SchemaError for an unknown id, with the nearest one, and NotFittedError before `fit`.
    """
    scorer(predictor, "recommend")
    checks.graph(hin, "recommend")
    k = checks.whole(k, "recommend: k", 1)
    source, _, target = predictor.relation
    src = hin.positions(source, [users] if isinstance(users, str | int | np.integer) else users)
    exclude = None
    if exclude_observed:
        observed = hin.observed().adjacency(predictor.relation)
        exclude = observed[np.where(src < observed.shape[0], src, 0)]
        if (src >= observed.shape[0]).any():  # generated users have no observed history
            exclude = sp.diags_array((src < observed.shape[0]).astype(np.float32)).tocsr() @ exclude
    allowed = None
    if candidates is not None:
        allowed = np.zeros(hin.n_observed(target), bool)
        wanted = hin.positions(target, candidates)
        allowed[wanted[wanted < len(allowed)]] = True
    ranked, scores = ranked_lists(predictor, hin, src, min(k, max(hin.n_observed(target), 1)), exclude, allowed)
    row, rank = np.nonzero(ranked >= 0)
    return pa.table(
        {
            "user": hin.ids(source, src[row]),
            "item": hin.ids(target, ranked[row, rank]),
            "score": pa.array(scores[row, rank].astype(np.float64)),
            "rank": pa.array(rank + 1),
        }
    )


def ranked_lists(
    predictor: LinkPredictor,
    hin: HIN,
    src: np.ndarray,
    k: int,
    exclude: sp.csr_array | None = None,
    allowed: np.ndarray | None = None,
    what: str = "ranking",
) -> tuple[np.ndarray, np.ndarray]:
    """Positions and scores of the k best observed targets of each source, [len(src), k]; -1 and NaN pad short lists.

    exclude: CSR [len(src), observed targets] of what to leave out. allowed: bool over the observed targets.
    """
    n = hin.n_observed(predictor.relation[2])
    ranked, best = [np.zeros((0, k), np.int64)], [np.zeros((0, k), np.float32)]
    size = max(1, min(BLOCK, SCORES // max(n, 1)))
    for at in track(range(0, len(src), size), what):
        block = src[at : at + size]
        scores = predictor.score(hin, block)[:, :n]
        if allowed is not None:
            scores = np.where(allowed, scores, np.float32(np.nan))
        hide = None if exclude is None else exclude[at : at + size]
        items, values = top_k(scores, k, hide, in_place=True)
        ranked.append(items)
        best.append(values)
    return np.concatenate(ranked), np.concatenate(best)
