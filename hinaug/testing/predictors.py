"""Does a predictor keep its contract?

    from hinaug.testing import check_predictor
    check_predictor(MyPredictor(("user", "rates", "item")))

It fits a handful of times: hand over an instance with few steps.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pyarrow as pa

from hinaug.errors import NotFittedError
from hinaug.graph.delta import Delta
from hinaug.graph.hin import HIN
from hinaug.predictors.base import LinkPredictor
from hinaug.testing.saving import check_no_training_set, check_saving
from hinaug.testing.shared import (
    check_parameters,
    checked_fit,
    close,
    equal,
    other_global_seed,
    raises,
    reversed_rows,
    same_bytes,
    unchanged,
    world,
)


def check_predictor(predictor: LinkPredictor, hin: HIN | None = None, rng: int = 0) -> None:
    """The contract of LinkPredictor: parameters, randomness, scores, ids that move, refit, saving,
    and no training set in what is saved.

    Parameters
    ----------
    predictor
        An instance, fitted or not; it is cloned and stays as it is.
    hin
        A graph with its relation, at least ten sources and ten targets; a small planted world
        unless given.
    rng
        The seed that everything is fitted with.

    Raises AssertionError that says which rule was broken and what to do.
    """
    name = type(predictor).__name__
    assert isinstance(predictor, LinkPredictor), (
        f"{name} is no LinkPredictor: subclass hinaug.predictors.base.LinkPredictor"
    )
    check_parameters(predictor, name)
    train, full, valid = world(hin, predictor.relation)
    src = np.arange(min(train.n(predictor.relation[0]), 32))
    _check_unfitted(predictor, train, src, name)

    model = checked_fit(predictor, train, valid, rng, name)
    assert model.fitted_on_ == train.fingerprint(), (
        f"{name}.fitted_on_ is not the fingerprint of the graph it was fitted on"
    )
    with unchanged(train, f"{name}.score"):
        scores = model.score(train, src)
    _check_scores(model, train, src, scores, name)
    _check_positions(model, train, src, name)
    raises(
        lambda: model.score(train.drop(predictor.relation), src),
        KeyError,
        f"{name}.score on a graph without {predictor.relation}",
    )
    _check_moved(model, train, src, scores, name)
    _check_repeated(predictor, train, valid, scores, rng, hin)
    check_saving(model, lambda loaded: loaded.score(train, src))
    check_no_training_set(model, train, [predictor.relation])
    _check_refit(model, full, src, rng, name)


def _check_unfitted(predictor: LinkPredictor, hin: HIN, src: np.ndarray, name: str) -> None:
    fresh = predictor.clone()
    raises(lambda: fresh.score(hin, src), NotFittedError, f"{name}.score before fit")
    raises(lambda: fresh.refit(hin), NotFittedError, f"{name}.refit before fit")
    raises(
        lambda: predictor.clone().fit(hin.drop(predictor.relation)),
        KeyError,
        f"{name}.fit on a graph without {predictor.relation}",
    )


def _check_repeated(
    predictor: LinkPredictor,
    train: HIN,
    valid: pa.Table,
    scores: np.ndarray,
    rng: int,
    hin: HIN | None,
) -> None:
    """The seed alone decides, and an earlier fit leaves nothing behind."""
    name, src = type(predictor).__name__, np.arange(len(scores))
    with other_global_seed():
        again = predictor.clone().fit(train, valid=valid, rng=rng).score(train, src)
    assert same_bytes(again, scores), (
        f"{name}: fitted twice with rng={rng}, the scores differ; draw from the rng that is given "
        "alone"
    )
    other, _, unlike = world(hin, predictor.relation, seed=1)
    used = predictor.clone().fit(other, valid=unlike, rng=rng + 1)
    again = used.fit(train, valid=valid, rng=rng).score(train, src)
    assert same_bytes(again, scores), (
        f"{name}: what an earlier fit learned is still there after another fit"
    )


def _check_refit(model: LinkPredictor, full: HIN, src: np.ndarray, rng: int, name: str) -> None:
    params = model.get_params()
    with unchanged(full, f"{name}.refit"):
        result = model.refit(full, rng=rng)
    assert result is model, f"{name}.refit must return self"
    assert equal(params, model.get_params()), f"{name}.refit changed a parameter"
    assert model.fitted_on_ == full.fingerprint(), (
        f"{name}.refit did not remember the graph; write _refit, not refit"
    )
    scores = model.score(full, src)
    _check_scores(model, full, src, scores, f"{name} after refit")
    if type(model)._refit is LinkPredictor._refit:  # it carries no choices over: it is a fit
        again = model.clone().fit(full, rng=rng).score(full, src)
        assert same_bytes(again, scores), (
            f"{name}: refit scores otherwise than a new fit on the same graph; write _refit if "
            "choices of fit shall stay"
        )


def _check_scores(
    model: LinkPredictor, hin: HIN, src: np.ndarray, scores: np.ndarray, name: str
) -> None:
    """Shape, finiteness, and that the scores of a source are its own."""
    n = hin.n(model.relation[2])
    kind = (getattr(scores, "dtype", type(scores)), np.shape(scores))
    expected = (np.dtype(np.float32), (len(src), n))
    assert kind == expected, (
        f"{name}.score gives {kind[0]} {kind[1]}; {expected[0]} {expected[1]} is expected"
    )
    assert not np.isinf(scores).any(), (
        f"{name}.score gives infinite numbers; NaN says that it cannot tell"
    )
    assert not np.isnan(scores).all(), (
        f"{name}.score is NaN everywhere on the graph it was fitted on"
    )
    half = len(src) // 2
    parts = np.concatenate([model.score(hin, src[:half]), model.score(hin, src[half:])])
    assert close(parts, scores), (
        f"{name}.score depends on which sources are asked for together; scores of a source are "
        "its own"
    )
    mixed = src[::-1]
    assert close(model.score(hin, mixed), scores[::-1]), (
        f"{name}.score depends on the order of the sources"
    )
    assert model.score(hin, src[:0]).shape == (0, n), (
        f"{name}.score of no sources must have shape (0, {n})"
    )


def _check_positions(model: LinkPredictor, hin: HIN, src: np.ndarray, name: str) -> None:
    """Positions that are not there are refused, and score_pairs gives what score gives."""
    n, scores = hin.n(model.relation[2]), model.score(hin, src)
    n_src = hin.n(model.relation[0])
    for bad in ([n_src], [-1]):
        raises(
            partial(model.score, hin, np.array(bad)),
            (ValueError, IndexError),
            f"{name}.score of position {bad[0]} among {n_src}",
        )
    dst = np.stack([np.arange(len(src)) % n, np.zeros(len(src), np.int64)], axis=1)
    pairs = model.score_pairs(hin, src, dst)
    assert close(pairs, np.take_along_axis(scores, dst, axis=1)), (
        f"{name}.score_pairs disagrees with score"
    )


def _check_moved(
    model: LinkPredictor, hin: HIN, src: np.ndarray, scores: np.ndarray, name: str
) -> None:
    """Scores follow the ids where the graph has grown or its rows stand in another order."""
    source, _, target = model.relation
    sources, targets = hin.ids(source, src), hin.ids(target)
    new = {t: [f"new-{t}-{i}" for i in range(3)] for t in dict.fromkeys((source, target))}
    grown = hin
    for type, ids in new.items():
        grown = grown.with_nodes(type, {"id": ids})
    edge = {"src": new[source][:1], "dst": new[target][:1]}
    delta = Delta(
        {t: {"id": ids} for t, ids in new.items()}, {model.relation: edge}, origin="check"
    )
    for how, graph in (
        ("grown", grown),
        ("with a delta", hin + delta),
        ("in another order", reversed_rows(hin)),
    ):
        rows, columns = graph.positions(source, sources), graph.positions(target, targets)
        everything = model.score(graph, np.arange(graph.n(source)))
        assert everything.shape == (graph.n(source), graph.n(target)), (
            f"{name}.score on a graph {how}: shape {everything.shape}"
        )
        assert not np.isinf(everything).any(), (
            f"{name}.score on a graph {how} gives infinite numbers"
        )
        moved = everything[np.ix_(rows, columns)]
        same = close(moved, np.where(np.isnan(moved), np.nan, scores))  # NaN is always allowed here
        assert same, (
            f"{name}.score on a graph {how}: known nodes have other scores; go by ids (_rows, "
            "_history, _columns)"
        )
