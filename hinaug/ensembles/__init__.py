"""Ensembles of link predictors; each is a link predictor itself, so it recommends, generates edges
and joins others.

    Weighted([EASE(RATES), LightGCN(RATES)]).fit(split.train,
    valid=split.valid).refit(split.train_valid)

What is learned about the members is learned on `valid`, while they saw `train` alone. Imported
lazily.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
