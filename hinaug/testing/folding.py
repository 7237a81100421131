"""Does a predictor score new sources and targets without a refit as it promises?"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hinaug.errors import FoldInError, NotFittedError, ParameterError
from hinaug.graph.hin import HIN
from hinaug.predictors.base import FoldsIn, FoldsInItems, LinkPredictor
from hinaug.testing.shared import close, raises, same_bytes, unchanged, world


def check_folds_in(
    predictor: LinkPredictor, hin: HIN | None = None, rng: int = 0, tolerance: float = 1e-4
) -> None:
    """The contract of `fold_in`: new sources are scored from their histories alone.

    Parameters
    ----------
    predictor
        An instance, fitted or not; it is cloned and stays as it is. One that is no FoldsIn must
        raise FoldInError with a reason.
    hin
        A graph with its relation; a small planted world unless given.
    rng
        The seed that it is fitted with.
    tolerance
        The largest difference from `score` on a graph that holds new sources with the same
        histories, as a share of the largest score. Where that is NaN, the fitted sources of these
        histories are compared with; methods that learn a vector for each source come only near
        them, so name what yours keeps.

    Raises AssertionError that says which rule was broken.
    """
    name = type(predictor).__name__
    train, _, valid = world(hin, predictor.relation)
    model = predictor.clone().fit(train, valid=valid, rng=rng)
    histories = sp.csr_array(train.adjacency(predictor.relation)[:16])
    if not isinstance(predictor, FoldsIn):
        _check_refusal(partial(model.fold_in, histories), f"{name}.fold_in", "FoldsIn")
        return
    raises(
        lambda: predictor.clone().fold_in(histories), NotFittedError, f"{name}.fold_in before fit"
    )
    expected = model.score(train, np.arange(histories.shape[0]))
    with unchanged(train, f"{name}.fold_in"):
        scores = model.fold_in(histories)
    _check_shape(scores, expected.shape, name)
    assert same_bytes(model.score(train, np.arange(histories.shape[0])), expected), (
        f"{name}.fold_in changes the scores of fitted sources; work on copies"
    )
    _check_forms(model, train, histories, scores, name)
    held = _scores_in_graph(model, train, histories.shape[0])
    expected = np.where(np.isnan(held), expected, held)
    _check_near(scores, expected, tolerance, f"{name}.fold_in")


def check_folds_in_items(
    predictor: LinkPredictor,
    hin: HIN | None = None,
    rng: int = 0,
    tolerance: float | None = None,
) -> None:
    """The contract of `fold_in_items`: a copy that scores new targets too.

    A third of the targets is left out of the graph that is fitted on, and folded in.

    Parameters
    ----------
    predictor
        An instance, fitted or not; it is cloned and stays as it is. One that is no FoldsInItems
        must raise FoldInError with a reason.
    hin, rng
        As in `check_folds_in`.
    tolerance
        The largest difference between the scores of new targets and those of a fit on the whole
        graph, as a share of the largest score. None: not compared, as most methods come only near.

    Raises AssertionError that says which rule was broken.
    """
    name = type(predictor).__name__
    relation = predictor.relation
    full, _, valid = world(hin, relation)
    is_old = np.arange(full.n_observed(relation[2])) % 3 > 0
    train = full.filter_nodes(relation[2], is_old)
    valid = valid.filter(pc.is_in(valid["dst"], value_set=train.ids(relation[2])))
    model = predictor.clone().fit(train, valid=valid, rng=rng)
    if not isinstance(predictor, FoldsInItems):
        _check_refusal(partial(model.fold_in_items, full), f"{name}.fold_in_items", "FoldsInItems")
        return
    raises(
        lambda: predictor.clone().fold_in_items(full),
        NotFittedError,
        f"{name}.fold_in_items before fit",
    )
    src = np.arange(min(16, train.n(relation[0])))
    before, n_before = model.score(train, src), len(model.dst_ids_)
    with unchanged(full, f"{name}.fold_in_items"):
        grown = model.fold_in_items(full)
    is_copy = grown is not model and type(grown) is type(model)
    assert is_copy, f"{name}.fold_in_items must give a copy that has the new targets"
    unharmed = len(model.dst_ids_) == n_before and same_bytes(model.score(train, src), before)
    assert unharmed, f"{name}.fold_in_items changes the model itself; replace arrays in the copy"
    _check_grown(grown, full, src, is_old, name)
    if tolerance is not None:
        whole = predictor.clone().fit(full, valid=valid, rng=rng).score(full, src)
        _check_near(
            grown.score(full, src)[:, ~is_old],
            whole[:, ~is_old],
            tolerance,
            f"{name}.fold_in_items",
        )


# ---- parts ---------------------------------------------------------------------------------------


def _check_refusal(act: Any, what: str, ability: str) -> None:
    """A method without the ability says why."""
    try:
        act()
    except FoldInError as error:
        said = str(error)
    except Exception as other:
        raise AssertionError(f"{what} raises {other!r}; FoldInError is expected") from other
    else:
        raise AssertionError(
            f"{what} gives scores, but the class is no {ability}; make it a subclass of "
            f"hinaug.predictors.base.{ability}"
        )
    assert "refit" in said, f"{what}: the error must say why, and what to do: refit"


def _scores_in_graph(model: LinkPredictor, train: HIN, k: int) -> np.ndarray:
    """Scores of new sources in a graph where they have the links of the first k."""
    source, _, target = model.relation
    src, dst = train.links(model.relation)
    of_first = src < k
    new = pa.array([f"new-{i}" for i in range(k)])
    links = {
        "src": new.take(pa.array(src[of_first])),
        "dst": train.ids(target, dst[of_first]),
    }
    grown = train.with_nodes(source, {"id": new}).with_edges(model.relation, links)
    return model.score(grown, grown.positions(source, new))[:, : train.n(target)]


def _check_shape(scores: Any, expected: tuple[int, ...], name: str) -> None:
    kind = (getattr(scores, "dtype", type(scores)), np.shape(scores))
    assert kind == (np.dtype(np.float32), expected), (
        f"{name}.fold_in gives {kind[0]} {kind[1]}; float32 {expected} is expected: histories x "
        "fitted targets"
    )
    assert not np.isinf(scores).any(), (
        f"{name}.fold_in gives infinite numbers; NaN says that it cannot tell"
    )
    assert not np.isnan(scores).all(), f"{name}.fold_in is NaN everywhere"


def _check_forms(
    model: LinkPredictor, train: HIN, histories: sp.csr_array, scores: np.ndarray, name: str
) -> None:
    """Lists of ids give what CSR gives; ids never seen do not count."""
    n = len(model.dst_ids_)
    lists = [
        model.dst_ids_.take(histories.indices[a:b]).to_pylist()
        for a, b in zip(histories.indptr[:-1], histories.indptr[1:], strict=True)
    ]
    assert close(model.fold_in(lists), scores), (
        f"{name}.fold_in: lists of ids give other scores than the same histories as CSR"
    )
    unknown = [[*row, "an id that nobody has"] for row in lists]
    assert close(model.fold_in(unknown), scores), (
        f"{name}.fold_in: ids never seen change the scores; leave them out"
    )
    half = len(lists) // 2
    parts = np.concatenate([model.fold_in(lists[:half]), model.fold_in(lists[half:])])
    assert close(parts, scores), f"{name}.fold_in depends on which histories are asked for together"
    assert model.fold_in([]).shape == (0, n), f"{name}.fold_in([]) must have shape (0, {n})"
    raises(
        lambda: model.fold_in(sp.csr_array((1, n + 1))),
        ParameterError,
        f"{name}.fold_in of histories with {n + 1} columns",
    )


def _check_near(found: np.ndarray, expected: np.ndarray, tolerance: float, what: str) -> None:
    both = ~np.isnan(found) & ~np.isnan(expected)
    assert both.any(), f"{what}: not one score to compare with those of a fit"
    largest = float(np.abs(expected[both]).max())
    error = float(np.abs(found - expected)[both].max())
    assert error <= tolerance * max(largest, 1e-30), (
        f"{what} differs from score by up to {error:.3g}, where scores reach {largest:.3g}, more "
        f"than tolerance={tolerance:g} allows; new ones must be scored as fitted ones with the "
        "same links are"
    )


def _check_grown(
    grown: LinkPredictor,
    full: HIN,
    src: np.ndarray,
    is_old: np.ndarray,
    name: str,
) -> None:
    relation = grown.relation
    ids = set(full.ids(relation[2]).to_pylist())
    assert set(grown.dst_ids_.to_pylist()) == ids, (
        f"{name}.fold_in_items: the copy does not know all targets of the graph"
    )
    scores = grown.score(full, src)
    assert scores.shape == (len(src), full.n(relation[2])), (
        f"{name}.fold_in_items: the copy scores {scores.shape}"
    )
    assert not np.isinf(scores).any(), f"{name}.fold_in_items gives infinite numbers"
    assert not np.isnan(scores[:, ~is_old]).all(), (
        f"{name}.fold_in_items: all new targets are NaN, though they have links"
    )
    again = grown.fold_in_items(full)
    assert close(again.score(full, src), scores), (
        f"{name}.fold_in_items changes scores where there is nothing new"
    )
