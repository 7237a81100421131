"""Top k real, unseen items for users, by external id."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug import checks
from hinaug.graph import expect
from hinaug.graph.hin import HIN
from hinaug.predictors.base import LinkPredictor, scorer
from hinaug.predictors.ranking import ranked_lists


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
    Left out: what was *observed* between user and item (a generated edge is a guess, so its item
    may be recommended), generated items, and items that the predictor cannot score; a user may so
    get fewer than k rows, or none. Raises SchemaError for an unknown id, with the nearest one, and
    NotFittedError before `fit`.
    """
    scorer(predictor, "recommend")
    expect.graph(hin, "recommend")
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
    ranked, scores = ranked_lists(
        predictor, hin, src, min(k, max(hin.n_observed(target), 1)), exclude, allowed
    )
    row, rank = np.nonzero(ranked >= 0)
    return pa.table(
        {
            "user": hin.ids(source, src[row]),
            "item": hin.ids(target, ranked[row, rank]),
            "score": pa.array(scores[row, rank].astype(np.float64)),
            "rank": pa.array(rank + 1),
        }
    )
