"""Edges by what they would do to the lists of EASE on links that are held out inside of train."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from scipy.special import logsumexp, softmax

from hinaug import checks
from hinaug.checks import Rng
from hinaug.errors import SelectionWarning
from hinaug.generators.pairs import main_relation, rows_at_once
from hinaug.generators.selection.choose import keep_best
from hinaug.graph import arrow as tb
from hinaug.graph import expect
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.graph.pairs import PairIndex
from hinaug.graph.schema import EdgeType
from hinaug.predictors import EASE
from hinaug.predictors.ease import check_memory, fill_gram, invert_in_place, ridge_of

SHARPNESS = 2.0 ** np.arange(10)  # of the softmax; the likeliest is taken
ASKED = 1024  # rows with held-out links that decide on it


def influential(
    delta: Delta,
    hin: HIN,
    size: int | float,
    *,
    l2: float | None = None,
    folds: int = 3,
    relation: EdgeType | None = None,
    rng: Rng = None,
) -> Delta:
    """The pairs that would raise the likelihood of held-out links most, to first order.

    Train is cut into folds; EASE learns from the others and ranks the links of one. With G = X^T X
    of what it learns from, U the mean log likelihood of the fold's links under a softmax of EASE's
    scores over all targets that a source has not, and D = dU/dG, an edge (u, i) of confidence c is
    worth

        <D, c (x_u e_i^T + e_i x_u^T) + c^2 e_i e_i^T> = 2 c (x_u D)_i + c^2 D_ii

    in the mean over the folds (influence functions: Koh and Liang, ICML 2017; here D is exact, and
    what is left out are second-order terms and the change of u's own history). No validation pair
    is read. The choice is made for EASE; for other models it is a guess.

    Parameters
    ----------
    delta
        With edges of the relation. x_u is zero for sources that are not in `hin`, such as generated
        ones; an edge to a target that is not there is worth 0.
    hin
        The graph that the delta is for, such as split.train.
    size
        How many pairs to keep: an int is a count, a float a share of them.
    l2
        The ridge of EASE; None as there.
    folds
        At least 2.
    relation
        None takes the first edge type of the delta.
    rng
        Deals the links to the folds.

    Raises MemoryError where a few matrices over the targets do not fit. Time O(folds x (targets^3 +
    links x targets)).

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> from hinaug.generators import RelationGenerator
    >>> hin = planted(rng=0)
    >>> made = RelationGenerator(EASE(("user", "rates", "item"))).fit(hin, rng=0).generate(hin, 200)
    >>> len(influential(made, hin, 0.25, rng=0))
    50
    """
    expect.graph(hin, "influential")
    relation = main_relation(delta, relation, "influential")
    folds, rng = checks.whole(folds, "influential: folds", 2), checks.generator(rng, "influential")
    pairs = PairIndex.of(hin, relation)
    fold = rng.permutation(len(pairs)) % folds
    worth = np.zeros(delta.edges[relation].num_rows)
    for k in range(folds):
        x, held = (pairs.take(these).matrix() for these in (fold != k, fold == k))
        worth += _worth(delta, hin, relation, x, gram_gradient(x, held, _ridge(relation, l2, x)))
    return keep_best(delta, relation, worth, size)


def influential_on_valid(
    delta: Delta,
    hin: HIN,
    valid: pa.Table,
    size: int | float,
    *,
    l2: float | None = None,
    relation: EdgeType | None = None,
) -> Delta:
    """As `influential`, on the validation pairs themselves: a control, not a method.

    Thousands of choices are made by the pairs that judge them. Validation figures then rise and
    test figures do not: on MovieLens 100K, users chosen so doubled the first and lowered the
    second. A SelectionWarning says so.

    delta, hin, size, l2, relation: as for `influential`. valid: external ids in "src" and "dst".

    Example
    -------
    >>> from hinaug.datasets import planted
    >>> from hinaug.generators import RelationGenerator
    >>> from hinaug.split import random_split
    >>> split = random_split(planted(rng=0), ("user", "rates", "item"), rng=0)
    >>> generator = RelationGenerator(EASE(split.target)).fit(split.train, rng=0)
    >>> made = generator.generate(split.train, 200)
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", SelectionWarning)
    ...     len(influential_on_valid(made, split.train, split.valid, 50))
    50
    """
    expect.graph(hin, "influential_on_valid")
    relation = main_relation(delta, relation, "influential_on_valid")
    warnings.warn(
        "influential_on_valid chooses edges by the validation pairs: what these say of the result "
        "is worthless; use it as a control beside influential()",
        SelectionWarning,
        stacklevel=2,
    )
    x = PairIndex.of(hin, relation).matrix()
    held = PairIndex.from_ids(hin, relation, valid).matrix()
    worth = _worth(delta, hin, relation, x, gram_gradient(x, held, _ridge(relation, l2, x)))
    return keep_best(delta, relation, worth, size)


def gram_gradient(x: sp.csr_array, held: sp.csr_array, l2: float) -> np.ndarray:
    """dU/dG, float32 [targets, targets], symmetric; see `influential`.

    With P = (G + l2 I)^-1, B_ij = -P_ij / P_jj, dB = dU/dB with a zero diagonal, and

        F_ij = -dB_ij / P_jj,    F_jj = sum_i dB_ij P_ij / P_jj^2,

    dU/dG is the symmetric part of -P F P.

    x: links that EASE learns from, CSR [sources, targets]. held: links to be ranked.
    """
    n = x.shape[1]
    check_memory(n, "influential", copies=4)
    p = np.zeros((n, n), np.float32)
    fill_gram(p, x)
    p[np.diag_indices(n)] += np.float32(l2)
    invert_in_place(p)
    diagonal = p.diagonal().copy()
    weights = p / -diagonal
    np.fill_diagonal(weights, 0)
    of_weights = _weight_gradient(x, held, weights)
    of_inverse = -of_weights / diagonal
    of_inverse[np.diag_indices(n)] = (of_weights * p).sum(axis=0) / diagonal**2
    gradient = -(p @ of_inverse @ p)
    return (gradient + gradient.T) / 2


def _weight_gradient(x: sp.csr_array, held: sp.csr_array, weights: np.ndarray) -> np.ndarray:
    """dU/dB [targets, targets] with a zero diagonal."""
    who = np.flatnonzero(np.diff(held.indptr))
    sharpness = _sharpness(x, held, weights, who)
    out, size = np.zeros_like(weights), rows_at_once(x.shape[1])
    for at in range(0, len(who), size):
        rows = who[at : at + size]
        wanted = held[rows].toarray()
        surplus = wanted - wanted.sum(axis=1)[:, None] * softmax(
            sharpness * _scores(x[rows], weights), axis=1
        )
        out += x[rows].T @ (np.float32(sharpness / max(held.nnz, 1)) * surplus)
    np.fill_diagonal(out, 0)
    return out


def _sharpness(x: sp.csr_array, held: sp.csr_array, weights: np.ndarray, who: np.ndarray) -> float:
    """The factor of the scores under which the held-out links are likeliest."""
    some = who[:: max(1, len(who) // ASKED)][:ASKED]
    total = np.zeros(len(SHARPNESS))
    size = rows_at_once(x.shape[1])
    for at in range(0, len(some), size):
        rows = some[at : at + size]
        scores, wanted = _scores(x[rows], weights), held[rows]
        row, column = wanted.nonzero()
        for k, factor in enumerate(SHARPNESS):
            total[k] += (factor * scores[row, column]).sum()
            total[k] -= (logsumexp(factor * scores, axis=1)[row]).sum()
    return float(SHARPNESS[np.argmax(total)])


def _scores(x: sp.csr_array, weights: np.ndarray) -> np.ndarray:
    """Scores [rows, targets], -inf for what a source has."""
    scores = np.asarray(x @ weights)
    scores[x.nonzero()] = -np.inf
    return scores


def _worth(
    delta: Delta, hin: HIN, relation: EdgeType, x: sp.csr_array, gradient: np.ndarray
) -> np.ndarray:
    """The first-order change of U by each edge of the delta, float64 [rows]."""
    rows, hin = delta.edges[relation], hin.observed()
    src, dst = (
        tb.lookup(hin.nodes[relation[2 * k]]["id"].chunk(0), tb.one_chunk(rows[end]))
        for k, end in ((0, "src"), (1, "dst"))
    )
    c = rows["confidence"].to_numpy().astype(np.float64)
    told = np.flatnonzero(dst >= 0)  # EASE says nothing of a target that nobody has
    worth = np.zeros(len(c))
    worth[told] = c[told] ** 2 * gradient[dst[told], dst[told]]
    told = told[src[told] >= 0]  # a new source has no history to go with
    sources, row = np.unique(src[told], return_inverse=True)
    size = rows_at_once(x.shape[1])
    for at in range(0, len(sources), size):
        here = (row >= at) & (row < at + size)
        moved = x[sources[at : at + size]] @ gradient
        edges = told[here]
        worth[edges] += 2 * c[edges] * moved[row[here] - at, dst[edges]]
    return worth


def _ridge(relation: EdgeType, l2: float | None, x: Any) -> float:
    return ridge_of(EASE(relation, l2=l2), x)
