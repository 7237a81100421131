"""Models by name, by class of one's own, or by the file that `hinaug tune` wrote."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hinaug.cli.folders import kind_of
from hinaug.cli.names import Settings, method
from hinaug.cli.recommend import opened_model
from hinaug.errors import ParameterError
from hinaug.graph import EdgeType
from hinaug.predictors.base import LinkPredictor
from hinaug.training.estimator import Searched


@dataclass(frozen=True)
class Named:
    """A model as it was asked for.

    text: the name of its class, as it was typed. name: how tables call it. predictor: unfitted.
    """

    text: str
    name: str
    predictor: LinkPredictor


def named(text: str, relation: EdgeType, settings: Settings) -> Named:
    """The model that a text names: EASE, file.py:Class, best.json, which `hinaug tune` wrote, or
    the store of a fitted model.

    Values of --set go before those of the file.
    """
    if kind_of(Path(text)) == "estimator":
        return Named(text, Path(text).name, opened_model(Path(text)))
    if not text.endswith(".json"):
        predictor = settings.make(method("predictors", text, LinkPredictor), relation)
        return Named(text, type(predictor).__name__, predictor)
    found = read_tuned(Path(text))
    cls = method("predictors", found["model"], LinkPredictor)
    predictor = settings.make(cls, relation)
    typed = {setting.name for setting in settings.given if setting.is_for(cls)}
    own = {n: v for n, v in found["set"].items() if n not in typed}
    predictor = predictor.clone(**own)
    predictor._mark(Searched(tuple(found["edges"]), int(found["trials"])))
    return Named(found["model"], Path(text).stem, predictor)


def is_fitted(predictor: LinkPredictor) -> bool:
    """Whether the model was fitted, and so comes from a store."""
    return hasattr(predictor, "fitted_on_")


def settings_of(predictor: LinkPredictor) -> dict[str, Any]:
    """The hyperparameters that differ from what the class has of itself."""
    usual = {f.name: f.default for f in dataclasses.fields(predictor)}
    params = predictor.get_params()
    return {n: v for n, v in params.items() if n != "relation" and v != usual[n]}


def read_tuned(path: Path) -> dict[str, Any]:
    """What `hinaug tune --out` wrote; ParameterError for another file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if {"model", "set", "edges", "trials"} <= set(found):
            return dict(found)
    except (ValueError, TypeError):
        pass
    raise ParameterError(f"{path} is no file that hinaug tune --out wrote", asked=str(path))


def space_of(predictor: LinkPredictor, search: Sequence[str]) -> dict[str, Any]:
    """What a search tries: --search, else the SPACE of the class; may be empty."""
    if search:
        return dict(_searched(text) for text in search)
    return dict(predictor.SPACE)


def _searched(text: str) -> tuple[str, Any]:
    """ "l2=1..3000:log" as ("l2", (1, 3000, "log")), "k=[10,20]" as ("k", [10, 20])."""
    name, equals, values = (part.strip() for part in text.partition("="))
    body, colon, scale = values.partition(":")
    low, dots, high = body.partition("..")
    try:
        if not (name and equals) or (colon and scale != "log"):
            raise ValueError
        if dots:
            return name, _range(_number(low), _number(high), bool(colon))
        found = json.loads(values)
        if not isinstance(found, list):
            raise ValueError
        return name, found
    except ValueError:
        raise ParameterError(
            f"--search {text!r}: written NAME=LOW..HIGH, NAME=LOW..HIGH:log with LOW above 0, or "
            "NAME=[1,2,3]; LOW is below HIGH",
            asked=text,
        ) from None


def _range(low: float, high: float, log: bool) -> tuple[Any, ...]:
    """ValueError where nothing lies between the bounds."""
    if not low < high or (log and low <= 0):
        raise ValueError
    return low, high, *(["log"] if log else [])


def _number(text: str) -> int | float:
    return int(text) if text.strip().lstrip("+-").isdecimal() else float(text)
