"""Ensembles of link predictors; each is a link predictor itself, so it recommends, generates edges and joins others.

    Weighted([EASE(RATES), LightGCN(RATES)]).fit(split.train, valid=split.valid).refit(split.train_valid)

What is learned about the members is learned on `valid`, while they saw `train` alone. Imported lazily.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hinaug.ensemble.base import Ensemble
    from hinaug.ensemble.boosting import Boosting
    from hinaug.ensemble.fusion import RankFusion
    from hinaug.ensemble.greedy import Greedy
    from hinaug.ensemble.stacking import Stacking
    from hinaug.ensemble.weighted import Weighted

_WHERE = {
    "Boosting": "boosting",
    "Ensemble": "base",
    "Greedy": "greedy",
    "RankFusion": "fusion",
    "Stacking": "stacking",
    "Weighted": "weighted",
}
__all__ = ["Boosting", "Ensemble", "Greedy", "RankFusion", "Stacking", "Weighted"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"hinaug.ensemble.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
