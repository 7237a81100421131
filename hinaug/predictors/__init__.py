"""Link predictors, one method a file: `fit` on a graph, then `score` sources against every target
of one relation.

    model = EASE(("user", "rates", "item")).fit(split.train)
    hinaug.evaluate(model, split.train, split)

Imported lazily: torch is loaded when a method that trains with it is asked for, or when GFCF or
BSPM score.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
