"""Link predictors, one method a file: `fit` on a graph, then `score` sources against every target of one relation.

    model = EASE(("user", "rates", "item")).fit(split.train)
    hinaug.evaluate(model, split.train, split)

Imported lazily: torch is loaded when a method that trains with it is asked for, or when GFCF or BSPM score.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hinaug.predictors.als import ALS
    from hinaug.predictors.bspm import BSPM
    from hinaug.predictors.ease import EASE
    from hinaug.predictors.gfcf import GFCF
    from hinaug.predictors.hetero_gnn import HeteroGNN
    from hinaug.predictors.item_knn import ItemKNN
    from hinaug.predictors.kernel_ridge import KernelRidge
    from hinaug.predictors.lightgcn import LightGCN
    from hinaug.predictors.lightgcn_pp import LightGCNPP
    from hinaug.predictors.mf import MF
    from hinaug.predictors.mult_vae import MultVAE
    from hinaug.predictors.nearest import NearestNeighbors
    from hinaug.predictors.popularity import Popularity
    from hinaug.predictors.slim import SLIM
    from hinaug.predictors.user_knn import UserKNN
    from hinaug.predictors.xsimgcl import XSimGCL

_WHERE = {
    "ALS": "als",
    "BSPM": "bspm",
    "EASE": "ease",
    "GFCF": "gfcf",
    "HeteroGNN": "hetero_gnn",
    "ItemKNN": "item_knn",
    "KernelRidge": "kernel_ridge",
    "LightGCN": "lightgcn",
    "LightGCNPP": "lightgcn_pp",
    "MF": "mf",
    "MultVAE": "mult_vae",
    "NearestNeighbors": "nearest",
    "Popularity": "popularity",
    "SLIM": "slim",
    "UserKNN": "user_knn",
    "XSimGCL": "xsimgcl",
}
__all__ = [
    "ALS",
    "BSPM",
    "EASE",
    "GFCF",
    "MF",
    "SLIM",
    "HeteroGNN",
    "ItemKNN",
    "KernelRidge",
    "LightGCN",
    "LightGCNPP",
    "MultVAE",
    "NearestNeighbors",
    "Popularity",
    "UserKNN",
    "XSimGCL",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"hinaug.predictors.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
