"""Ensembles of link predictors; each is a link predictor itself. Imported lazily."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hinaug.ensemble.base import Ensemble
    from hinaug.ensemble.weighted import Weighted

_WHERE = {"Ensemble": "base", "Weighted": "weighted"}
__all__ = ["Ensemble", "Weighted"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"hinaug.ensemble.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
