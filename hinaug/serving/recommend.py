"""recommend: the best items for users, by external id."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug import checks
from hinaug.graph import expect
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import own_pairs
from hinaug.graph.schema import EdgeType
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

    users: external ids.
    k: at most so many items for each user.
    exclude_observed: leave out what was *observed* between user and item. A generated edge is a
        guess, so its item may be recommended.
    candidates: external ids of the items to choose from (all by default).

    Left out are also generated items, items that the predictor cannot score, and, in a relation
    between nodes of one type, the node itself. A user may so get fewer than k rows, or none.
    Raises SchemaError for an unknown id, with the nearest one, and NotFittedError before `fit`.
    """
    scorer(predictor, "recommend")
    expect.graph(hin, "recommend")
    k = checks.whole(k, "recommend: k", 1)
    source, _, target = predictor.relation
    src = hin.positions(source, [users] if isinstance(users, str | int | np.integer) else users)
    hidden = _hidden(hin, predictor.relation, src, exclude_observed)
    allowed = None if candidates is None else _allowed(hin, target, candidates)
    n_items = hin.n_observed(target)
    ranked, scores = ranked_lists(predictor, hin, src, min(k, max(n_items, 1)), hidden, allowed)
    row, rank = np.nonzero(ranked >= 0)
    return pa.table(
        {
            "user": hin.ids(source, src[row]),
            "item": hin.ids(target, ranked[row, rank]),
            "score": pa.array(scores[row, rank].astype(np.float64)),
            "rank": pa.array(rank + 1),
        }
    )


def _hidden(
    hin: HIN, relation: EdgeType, src: np.ndarray, exclude_observed: bool
) -> sp.csr_array | None:
    """What is not recommended to each source: CSR [len(src), observed targets], or None."""
    observed = hin.observed().adjacency(relation)
    hidden = sp.csr_array((len(src), observed.shape[1]), dtype=np.float32)
    if exclude_observed:
        is_observed = src < observed.shape[0]  # generated users have no observed history
        rows = observed[np.where(is_observed, src, 0)] if observed.shape[0] else hidden
        hidden = sp.diags_array(is_observed.astype(np.float32)).tocsr() @ rows
    if relation[0] == relation[2]:
        hidden = hidden + own_pairs(src, observed.shape[1])
    return hidden.tocsr() if hidden.nnz else None


def _allowed(hin: HIN, target: str, candidates: Any) -> np.ndarray:
    """Which observed targets are among the candidates, bool [observed targets]."""
    allowed = np.zeros(hin.n_observed(target), bool)
    wanted = hin.positions(target, candidates)
    allowed[wanted[wanted < len(allowed)]] = True
    return allowed
