"""hinaug: augment the data of recommender systems on heterogeneous information networks, and
measure whether it helped.

A typed graph (`HIN`) is stored; generators propose `Delta`s to it (edges, users, items, values);
link predictors and ensembles rank items for users; `evaluate` and `compare` say whether the delta
helped. Methods are imported from `hinaug.predictors`, `hinaug.generators` and `hinaug.ensembles`,
graph layers from `hinaug.nn`, data sets from `hinaug.datasets`. Names are imported when first used,
so `import hinaug` loads no torch.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
