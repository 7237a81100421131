"""Does confidence mean what it says? A table for a reliability diagram, and probabilities of truth
where some of it is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy import stats
from scipy.special import expit

from hinaug import checks
from hinaug.checks import Rng
from hinaug.errors import ParameterError
from hinaug.generators.pairs import main_relation, rows_of_pairs
from hinaug.generators.relations.calibration import knots
from hinaug.graph import arrow as tb
from hinaug.graph.delta import Delta
from hinaug.graph.schema import EdgeType

TRUE = "confidence_true"


@dataclass(frozen=True)
class Reliability:
    """Confidence beside what was found, as `reliability` gives it.

    table: one row a bin, of rising confidence: "edges", how many; "confidence", their mean;
        "found", the share that is in the truth; "low" and "high", the ends of a 95 % interval of
        that share (Wilson).
    error: the expected calibration error, the mean of |found - confidence| weighted by edges.
    """

    table: pa.Table
    error: float


def reliability(
    delta: Delta,
    truth: pa.Table,
    *,
    relation: EdgeType | None = None,
    column: str = "confidence",
    bins: int = 15,
) -> Reliability:
    """How often generated edges are true, beside how sure their generator was.

    ECE = sum_b n_b / n |found_b - confidence_b|, over bins of as many edges each (Naeini et al.,
    "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015). Bins of equal
    width would leave most of them empty, since confidence is low where few pairs are held out.
    The error is never 0: with n edges a bin that is well calibrated is off by about
    .8 sqrt(p (1 - p) / n).

    Parameters
    ----------
    delta
        With edges of the relation.
    truth
        The true pairs, external ids in "src" and "dst": held-out pairs of the size that confidence
        speaks of, or pairs that are known to be true, for `column="confidence_true"`. Pairs that it
        lacks count as false. Of a symmetric relation it has both directions.
    relation
        None takes the first edge type of the delta, which is that of its generator.
    column
        The column that is judged.
    bins
        At most so many.

    Raises ParameterError for a delta without edges, and for a column that it lacks.

    Example
    -------
    >>> made = {"src": list("aabb"), "dst": list("xyxy"), "confidence": [0.9, 0.6, 0.6, 0.1]}
    >>> delta = Delta(edges={("user", "rates", "item"): made})
    >>> found = reliability(delta, pa.table({"src": ["a", "b"], "dst": ["x", "x"]}), bins=2)
    >>> found.table["found"].to_pylist(), round(found.error, 2)
    ([0.0, 1.0], 0.3)
    """
    relation = main_relation(delta, relation, "reliability")
    rows = delta.edges[relation]
    if column not in rows.column_names:
        raise ParameterError(
            f"reliability: {relation} edges of the delta have no column {column!r}; there are "
            f"{rows.column_names}",
            asked=column,
            there=rows.column_names,
        )
    said = rows[column].to_numpy().astype(np.float64)
    true = rows_of_pairs(truth, rows) >= 0
    order = np.argsort(said, kind="stable")
    parts = np.array_split(order, min(checks.whole(bins, "reliability: bins", 1), len(order)))
    n, mean, found = (
        np.array([how(part) for part in parts])
        for how in (len, lambda part: said[part].mean(), lambda part: true[part].mean())
    )
    low, high = _wilson(found, n)
    columns = {"edges": n, "confidence": mean, "found": found, "low": low, "high": high}
    return Reliability(pa.table(columns), float(np.sum(n * np.abs(found - mean)) / n.sum()))


def with_truth(
    delta: Delta, truth: pa.Table, *, relation: EdgeType | None = None, rng: Rng = None
) -> Delta:
    """The delta with a column "confidence_true": the probability that an edge is true.

    "confidence" is the probability of being held out, and a true link that nobody recorded counts
    against it. Where the truth is known, such as in a planted world or after people have looked,

        confidence_true = sigmoid(f(logit(confidence)))

    is fitted to it, with f increasing and piecewise linear through the shares of true edges of up
    to 15 groups (or a line, where true or false ones are few). The probability of an edge comes
    from the edges of the other half of the sources, so that it can be judged on the same truth.

    Parameters
    ----------
    delta
        With edges of the relation.
    truth
        All true pairs of the sources in the delta, external ids in "src" and "dst".
    relation
        None takes the first edge type of the delta.
    rng
        Draws the halves.

    Example
    -------
    >>> made = {"src": list("abcd"), "dst": list("xxxx"), "confidence": [0.2, 0.2, 0.2, 0.2]}
    >>> delta = Delta(edges={("user", "rates", "item"): made})
    >>> known = with_truth(delta, pa.table({"src": list("abcd"), "dst": list("xxxx")}), rng=0)
    >>> known.edges["user", "rates", "item"]["confidence_true"].to_pylist()
    [0.75, 0.75, 0.75, 0.75]
    """
    relation = main_relation(delta, relation, "with_truth")
    rng = checks.generator(rng, "with_truth")
    rows = delta.edges[relation]
    sources = tb.one_chunk(rows["src"]).dictionary_encode()
    half = rng.permutation(len(sources.dictionary))[sources.indices.to_numpy()] % 2 == 0
    true = rows_of_pairs(truth, rows) >= 0
    c = np.clip(rows["confidence"].to_numpy().astype(np.float64), 1e-6, 1 - 1e-6)
    x = np.log(c / (1 - c))
    sure = np.empty(len(c))
    for these in (half, ~half):
        sure[these] = _recalibrated(x[~these], true[~these], x[these])
    kept = rows.drop_columns([TRUE]) if TRUE in rows.column_names else rows
    edges = {relation: kept.append_column(TRUE, pa.array(sure, pa.float32()))}
    return Delta(
        delta.nodes,
        {**delta.edges, **edges},
        delta.masks,
        delta.values,
        delta.columns,
        fitted_on=delta.fitted_on,
    )


def _recalibrated(x: np.ndarray, true: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The probability of truth for each of the logits `asked`, learned from those in x."""
    from sklearn.linear_model import LogisticRegression

    curve = knots(x, true)
    if curve:
        return expit(np.interp(asked, curve["at"], curve["to"]))
    if not 0 < true.sum() < len(true) or x.std() < 1e-9:
        return np.full(len(asked), (true.sum() + 1) / (len(true) + 2))
    return LogisticRegression().fit(x[:, None], true).predict_proba(asked[:, None])[:, 1]


def _wilson(share: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the 95 % score interval of a share."""
    z = stats.norm.ppf(0.975)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    width = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return middle - width, middle + width
