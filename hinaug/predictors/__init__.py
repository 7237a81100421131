"""Link predictors, one method a file. Imported lazily: torch is loaded when a method that trains with it is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hinaug.predictors.ease import EASE
    from hinaug.predictors.item_knn import ItemKNN
    from hinaug.predictors.lightgcn import LightGCN
    from hinaug.predictors.nearest import NearestNeighbors
    from hinaug.predictors.popularity import Popularity

_WHERE = {
    "EASE": "ease",
    "ItemKNN": "item_knn",
    "LightGCN": "lightgcn",
    "NearestNeighbors": "nearest",
    "Popularity": "popularity",
}
__all__ = ["EASE", "ItemKNN", "LightGCN", "NearestNeighbors", "Popularity"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"hinaug.predictors.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
