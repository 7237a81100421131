"""Spaces of hyperparameters: what may be tried, what lies on an edge, what is simpler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hinaug.checks import Space
from hinaug.errors import ParameterError, nearest
from hinaug.predictors.base import LinkPredictor

if TYPE_CHECKING:
    from optuna import Trial

EDGE = 0.02  # a best value in the outer 2 % of a range lies on its edge


def checked(space: Space, predictor: LinkPredictor) -> dict[str, Sequence[Any]]:
    """The space, with values in the order given; ParameterError for what cannot be tried."""
    return {name: _checked(name, values, predictor) for name, values in space.items()}


def checked_natural(natural: Mapping[str, Any] | None, space: Space) -> dict[str, list[Any]]:
    """{parameter: its natural ends}; ParameterError for a parameter that is not searched."""
    for name in natural or {}:
        if name not in space:
            raise ParameterError(
                f"tune: natural names {name!r}, which is not searched; the space has {list(space)}",
                asked=name,
                there=list(space),
            )
    return {
        name: list(ends) if isinstance(ends, list | tuple) else [ends]
        for name, ends in (natural or {}).items()
    }


def _checked(name: str, values: Any, predictor: LinkPredictor) -> list[Any] | tuple[Any, ...]:
    known = predictor.get_params()
    if name not in known:
        raise ParameterError(
            f"tune: {type(predictor).__name__} has no parameter {name!r}; it has "
            f"{list(known)}{nearest(name, known)}",
            asked=name,
            there=list(known),
        )
    if isinstance(values, list) and values:
        return list(values)
    if isinstance(values, tuple) and _is_range(values):
        return values
    raise ParameterError(
        f"tune: space[{name!r}]={values!r}; expected a list of values, (low, high), or (low, "
        "high, 'log') with 0 < low < high",
        asked=values,
    )


def _is_range(values: tuple[Any, ...]) -> bool:
    """Whether it is (low, high) or (low, high, "log")."""
    if len(values) not in (2, 3) or values[2:] not in ((), ("log",)):
        return False
    if not all(_is_number(v) for v in values[:2]):
        return False
    low, high = values[:2]
    return bool(low < high and (len(values) == 2 or low > 0))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(values: Sequence[Any]) -> bool:
    return all(isinstance(v, int) for v in values[:2])


# ---- values of a trial ---------------------------------------------------------------------------


def suggest(trial: Trial, space: Space) -> dict[str, Any]:
    """{parameter: value} for a trial. Of a list, the trial keeps the place of the value."""
    return {name: _suggest(trial, name, values) for name, values in space.items()}


def _suggest(trial: Trial, name: str, values: Sequence[Any]) -> Any:
    if isinstance(values, list):
        return values[trial.suggest_categorical(name, list(range(len(values))))]
    log = len(values) == 3
    if _whole(values):
        return trial.suggest_int(name, values[0], values[1], log=log)
    return trial.suggest_float(name, float(values[0]), float(values[1]), log=log)


def own_values(predictor: LinkPredictor, space: Space) -> dict[str, Any]:
    """The predictor's own values as a trial keeps them, as far as the space holds them."""
    own = {}
    for name, values in space.items():
        value = getattr(predictor, name)
        if _inside(value, values):
            own[name] = values.index(value) if isinstance(values, list) else value
    return own


def _inside(value: Any, values: Sequence[Any]) -> bool:
    if isinstance(values, list):
        return value in values
    return (
        isinstance(value, int | float)
        and values[0] <= value <= values[1]
        and not (_whole(values) and value % 1)
    )


def params(trial: Any, space: Space) -> dict[str, Any]:
    """The parameters that a trial had."""
    return {
        name: values[trial.params[name]] if isinstance(values, list) else trial.params[name]
        for name, values in space.items()
        if name in trial.params
    }


def simplicity(trial: Any, space: Space) -> tuple[int, ...]:
    """The places of a trial's values in their lists, in the order of the space: lowest first.

    Ranges have no order of simplicity.
    """
    return tuple(trial.params[name] for name, values in space.items() if isinstance(values, list))


# ---- edges ---------------------------------------------------------------------------------------


def edges(
    best: Mapping[str, Any], space: Space, natural: Mapping[str, list[Any]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(parameters whose best value lies on an edge, those where the edge is a natural end)."""
    found: dict[bool, list[str]] = {False: [], True: []}
    for name, values in space.items():
        end = _end(best[name], values)
        if end is not None:
            found[end in natural.get(name, [])].append(name)
    return tuple(found[False]), tuple(found[True])


def _end(value: Any, values: Sequence[Any]) -> Any:
    """The end of the values at which this one lies; None inside, and in lists of no numbers."""
    if isinstance(values, list):
        return _end_of_list(value, values)
    low, high, at = (np.log(v) if len(values) == 3 else v for v in (*values[:2], value))
    margin = 0 if _whole(values) else EDGE * (high - low)
    if low + margin < at < high - margin:
        return None
    return values[0] if at <= low + margin else values[1]


def _end_of_list(value: Any, values: list[Any]) -> Any:
    if len(values) < 3 or not all(_is_number(v) for v in values):
        return None
    return value if value in (min(values), max(values)) else None
