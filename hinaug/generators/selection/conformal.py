"""Pairs of which at most a given share is false, by conformal p-values."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from hinaug.errors import ParameterError, SchemaError
from hinaug.generators.pairs import main_relation, rows_of_pairs, twin_rows
from hinaug.generators.selection.choose import keep_pairs
from hinaug.graph.delta import Delta
from hinaug.graph.schema import EdgeType


def conformal(
    delta: Delta, labelled: pa.Table, *, alpha: float = 0.1, relation: EdgeType | None = None
) -> Delta:
    """Pairs of which at most a share `alpha` is expected to be false.

    With n labelled pairs, those that are false among them and as confident as pair j give it a
    p-value, and Benjamini and Hochberg's rule takes the pairs whose p-values are small enough,

        p_j = (1 + #{labelled i: i is false, confidence_i >= confidence_j}) / (n + 1),
        taken are the k smallest of m, with k the largest for which p_(k) <= alpha k / m

    (Jin and Candes, "Selection by Prediction with Conformal p-values", JMLR 2023). The share of
    false pairs among those taken is then at most `alpha` in the mean over draws of the labelled
    pairs, whatever the generator and however wrong its confidence. One draw may have more. It holds
    if the labelled pairs are exchangeable with the others: draw them at random *from the delta*,
    such as `at_random(delta, 500, rng=0)`, and label them. Pairs found in another way break it.

    On real data nobody knows what is false. If "true" means "was held out", a pair that the user
    would like, but has no link with, counts as false, and even good pairs are rarely held out. The
    bound is then one on the share that is *not held out*: it holds as stated, takes nothing for a
    small alpha, and says little about truth. Report the share of held-out pairs instead, beside
    that of random pairs.

    Parameters
    ----------
    delta
        With edges of the relation. Pairs that are labelled are not taken again.
    labelled
        External ids in "src" and "dst", and a column "true" of booleans. Pairs that the delta lacks
        are not used.
    alpha
        The share of false pairs that is borne, between 0 and 1.
    relation
        None takes the first edge type of the delta.

    Raises ParameterError for an alpha that is no share, and where the delta has none of the
    labelled pairs; SchemaError for a table without "true".

    Example
    -------
    >>> rates = ("user", "rates", "item")
    >>> ids = [f"u{k}" for k in range(60)]
    >>> made = {"src": ids, "dst": ["x"] * 60, "confidence": [0.9] * 50 + [0.1] * 10}
    >>> known = {"src": ids[:40] + ids[55:], "dst": ["x"] * 45, "true": [True] * 40 + [False] * 5}
    >>> conformal(Delta(edges={rates: made}), pa.table(known), alpha=0.1)
    Delta(10 user rates item edges by unnamed)
    """
    relation = main_relation(delta, relation, "conformal")
    if not 0 < alpha < 1:
        raise ParameterError(f"conformal: alpha={alpha!r}; a share between 0 and 1", asked=alpha)
    if "true" not in labelled.column_names:
        raise SchemaError(
            f"conformal: labelled has no column 'true', there is {labelled.column_names}; say of "
            "each pair whether it is true",
            asked="true",
            there=labelled.column_names,
        )
    rows = delta.edges[relation]
    repeats = dict(twin_rows(delta, relation))
    is_true = np.asarray(labelled["true"].to_numpy(zero_copy_only=False), bool)
    found = rows_of_pairs(labelled, rows)
    is_pair = repeats[relation] == np.arange(rows.num_rows)  # not its other direction
    known, asked = is_pair & (found >= 0), np.flatnonzero(is_pair & (found < 0))
    if not known.any():
        raise ParameterError(
            f"conformal: none of the {labelled.num_rows:,} labelled pairs is in the delta; draw "
            "them from it, such as at_random(delta, 500)",
            asked=labelled.num_rows,
        )
    confidence = rows["confidence"].to_numpy()
    false = np.sort(confidence[known][~is_true[found[known]]])
    n_above = len(false) - np.searchsorted(false, confidence[asked], side="left")
    p = (1 + n_above) / (known.sum() + 1)
    chosen = np.zeros(rows.num_rows, bool)
    chosen[asked[_taken(p, alpha)]] = True
    return keep_pairs(delta, repeats, chosen)


def _taken(p: np.ndarray, alpha: float) -> np.ndarray:
    """Which hypotheses Benjamini and Hochberg's rule rejects, bool."""
    ordered = np.sort(p)
    good = np.flatnonzero(ordered <= alpha * np.arange(1, len(p) + 1) / max(len(p), 1))
    return p <= ordered[good[-1]] if len(good) else np.zeros(len(p), bool)
