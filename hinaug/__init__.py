"""hinaug: augment the data of recommender systems on heterogeneous information networks, and measure whether it helped.

A typed graph (`HIN`) is stored; generators propose `Delta`s to it (edges, users, items, values); link predictors and
ensembles rank items for users; `evaluate` and `compare` say whether the delta helped. Methods are imported from
`hinaug.predictors`, `hinaug.generators` and `hinaug.ensemble`, graph layers from `hinaug.nn`, data sets from
`hinaug.datasets`. Names are imported when first used, so `import hinaug` loads no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "HIN": "hin",
    "Schema": "hin",
    "SchemaError": "tables",
    "Delta": "delta",
    "merge": "delta",
    "Split": "split",
    "random_split": "split",
    "temporal_split": "split",
    "leave_last": "split",
    "cold_users": "split",
    "cold_items": "split",
    "thin": "split",
    "audit": "leaks",
    "TextEncoder": "text",
    "embed_text": "text",
    "recommend": "ranking",
    "evaluate": "evaluation",
    "compare": "evaluation",
    "tune": "tuning",
    "save": "io",
    "load": "io",
}
__all__ = [*_HOME, "__version__"]

if TYPE_CHECKING:
    from hinaug.delta import Delta, merge
    from hinaug.evaluation import compare, evaluate
    from hinaug.hin import HIN, Schema
    from hinaug.io import load, save
    from hinaug.leaks import audit
    from hinaug.ranking import recommend
    from hinaug.split import Split, cold_items, cold_users, leave_last, random_split, temporal_split, thin
    from hinaug.tables import SchemaError
    from hinaug.text import TextEncoder, embed_text
    from hinaug.tuning import tune


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hinaug' has no attribute {name!r}; it has {__all__}")
    value = getattr(importlib.import_module(f"hinaug.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
