"""How anything learns: the base of every method, and one loop for all that learn by gradient steps.

`Estimator` is the base of predictors and generators. A method that trains with torch gives `train`
a network, an `epoch` function and a measure; `Estimator.training` adds callbacks and checkpoints.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
