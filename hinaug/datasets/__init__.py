"""Readers of public data, one a file: a folder in the layout of its publisher goes in, a HIN comes out.

`lightgcn_split` alone gives a Split: a published one.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hinaug.datasets.planted import bag_of_words, planted  # not lazy: the function stands in the place of its module

if TYPE_CHECKING:
    from hinaug.datasets.amazon import amazon_reviews
    from hinaug.datasets.fetch import find, load
    from hinaug.datasets.hetrec import hetrec_lastfm
    from hinaug.datasets.librahu import amazon_hin, yelp_hin
    from hinaug.datasets.lightgcn import lightgcn_split
    from hinaug.datasets.movielens import movielens_100k
    from hinaug.datasets.movielens_small import movielens_latest_small
    from hinaug.datasets.recbole import recbole_atomic
    from hinaug.datasets.recipes import recipe_reviews

_WHERE = {
    "amazon_hin": "librahu",
    "amazon_reviews": "amazon",
    "find": "fetch",
    "hetrec_lastfm": "hetrec",
    "lightgcn_split": "lightgcn",
    "load": "fetch",
    "movielens_100k": "movielens",
    "movielens_latest_small": "movielens_small",
    "recbole_atomic": "recbole",
    "recipe_reviews": "recipes",
    "yelp_hin": "librahu",
}
__all__ = [
    "amazon_hin",
    "amazon_reviews",
    "bag_of_words",
    "find",
    "hetrec_lastfm",
    "lightgcn_split",
    "load",
    "movielens_100k",
    "movielens_latest_small",
    "planted",
    "recbole_atomic",
    "recipe_reviews",
    "yelp_hin",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"hinaug.datasets.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {__all__}")
