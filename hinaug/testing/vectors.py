"""Are the scores of a predictor the products of its vectors?"""

from __future__ import annotations

import numpy as np

from hinaug.graph.hin import HIN
from hinaug.predictors.base import HasVectors, LinkPredictor
from hinaug.testing.shared import unchanged, world


def check_vectors(
    predictor: LinkPredictor, hin: HIN | None = None, rng: int = 0, tolerance: float = 1e-4
) -> None:
    """The contract of HasVectors: one vector a fitted source and target, whose product is `score`.

    Parameters
    ----------
    predictor
        An instance, fitted or not; it is cloned and stays as it is.
    hin
        A graph with its relation; a small planted world unless given.
    rng
        The seed that it is fitted with.
    tolerance
        The largest difference between a product and a score, as a share of the largest score.

    Raises AssertionError that says which rule was broken.
    """
    name = type(predictor).__name__
    assert isinstance(predictor, HasVectors), (
        f"{name} has no vectors(); write vectors(self) -> (sources [n, d], targets [m, d])"
    )
    train, _, valid = world(hin, predictor.relation)
    model = predictor.clone().fit(train, valid=valid, rng=rng)
    with unchanged(train, f"{name}.vectors"):
        sources, targets = model.vectors()
    _check_shapes(sources, targets, model, name)

    scores = model.score(train, np.arange(train.n(model.relation[0])))
    products = sources @ targets.T
    known = ~np.isnan(scores)
    largest = float(np.abs(scores[known]).max(initial=0.0))
    error = float(np.abs(products - scores)[known].max(initial=0.0))
    assert error <= tolerance * max(largest, 1e-30), (
        f"{name}: products of vectors() differ from score by up to {error:.3g}, where scores reach "
        f"{largest:.3g}; vectors must give exactly the scores, constants of a target included (one "
        "more dimension that is 1 for every source)"
    )
    for unknown, rows, what in ((~known, sources, "source"), (~known.T, targets, "target")):
        bare = unknown.all(axis=1)
        assert not rows[bare].any(), (
            f"{name}: a {what} that cannot be scored (NaN) must have a vector of zeros"
        )


def _check_shapes(
    sources: np.ndarray, targets: np.ndarray, model: LinkPredictor, name: str
) -> None:
    n, m = len(model.src_ids_), len(model.dst_ids_)
    for rows, size, what in ((sources, n, "sources"), (targets, m, "targets")):
        is_right = isinstance(rows, np.ndarray) and rows.ndim == 2 and len(rows) == size
        assert is_right, (
            f"{name}.vectors: {np.shape(rows)} for {size} fitted {what}; one row a node is expected"
        )
        assert rows.dtype == np.float32, f"{name}.vectors: {what} are {rows.dtype}, not float32"
        assert np.isfinite(rows).all(), (
            f"{name}.vectors: {what} are not finite; zeros for a node that cannot be scored"
        )
    assert sources.shape[1] == targets.shape[1], (
        f"{name}.vectors: sources have {sources.shape[1]} numbers and targets {targets.shape[1]}"
    )
