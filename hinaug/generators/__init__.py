"""Generators: a graph goes in, a `Delta` comes out, whose rows say who made them and how sure the maker is.

    delta = Synthesis("user").fit(split.train, rng=0).generate(split.train, 0.2, rng=0)
    augmented = split.train + delta                       # and `augmented - delta == split.train`

`size` is a count (int) or a share of what is observed (float). `random_delta` is the control of the same size that stands
beside every claim. One method a file; imported when asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hinaug.generators.aggregation import Aggregation
    from hinaug.generators.random import random_delta
    from hinaug.generators.relation import RelationGenerator
    from hinaug.generators.synthesis import Synthesis
    from hinaug.generators.vae import VAE
    from hinaug.generators.wgan import WGAN

_WHERE = {
    "VAE": "vae",
    "WGAN": "wgan",
    "Aggregation": "aggregation",
    "RelationGenerator": "relation",
    "Synthesis": "synthesis",
    "random_delta": "random",
}
__all__ = ["VAE", "WGAN", "Aggregation", "RelationGenerator", "Synthesis", "random_delta"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"hinaug.generators.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
