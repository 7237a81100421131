"""recommend: the best items for users, by external id."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hinaug import checks
from hinaug.errors import EmptyListWarning
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
    between nodes of one type, the node itself. A user may so get fewer than k rows, or none: an
    EmptyListWarning says for how many and why. An ensemble with a member that scores everybody,
    such as `Popularity`, leaves no user without a list.
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
    n_choices = _choices(n_items, len(src), hidden, allowed)
    _warn_of_short_lists(predictor, k, (ranked >= 0).sum(axis=1), n_choices)
    row, rank = np.nonzero(ranked >= 0)
    return pa.table(
        {
            "user": hin.ids(source, src[row]),
            "item": hin.ids(target, ranked[row, rank]),
            "score": pa.array(scores[row, rank].astype(np.float64)),
            "rank": pa.array(rank + 1),
        }
    )


def _choices(
    n_items: int, n_users: int, hidden: sp.csr_array | None, allowed: np.ndarray | None
) -> np.ndarray:
    """How many items each user could be given, scored or not, int64 [n_users]."""
    allowed = np.ones(n_items, bool) if allowed is None else allowed
    n_choices = np.full(n_users, np.count_nonzero(allowed))
    return n_choices if hidden is None else n_choices - (hidden != 0) @ allowed.astype(np.int64)


def _warn_of_short_lists(
    predictor: LinkPredictor, k: int, given: np.ndarray, n_choices: np.ndarray
) -> None:
    """EmptyListWarning where scores are missing, or where a list is empty.

    given, n_choices: how many items each user got, and could have got [users].
    """
    unscored, empty = given < np.minimum(k, n_choices), given == 0
    n_unscored, n_without_choice = int(unscored.sum()), int((n_choices == 0).sum())
    reasons = []
    if n_unscored:
        reasons.append(
            f"{type(predictor).__name__} cannot score enough items for {n_unscored:,} of them, as "
            "it may be for users and items without links; combine it in an ensemble with "
            "Popularity(relation), or with a model that reads attributes"
        )
    if n_without_choice:
        reasons.append(f"no item is left to choose from for {n_without_choice:,} of them")
    if reasons:
        short = unscored | empty
        warnings.warn(
            EmptyListWarning(
                f"recommend: {short.sum():,} of {len(given):,} users got fewer than {k} items, "
                f"{empty.sum():,} of them none: {'; '.join(reasons)}",
                asked=k,
                there={"short": int(short.sum()), "empty": int(empty.sum())},
            ),
            stacklevel=3,
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
