"""Generators: a graph goes in, a `Delta` comes out, whose rows say who made them and how sure the
maker is.

    delta = Synthesis("user").fit(split.train, rng=0).generate(split.train, 0.2, rng=0)
    augmented = split.train + delta                       # and `augmented - delta == split.train`

`size` is a count (int) or a share of what is observed (float). `random_delta` is the control of the
same size that stands beside every claim. One method a file; imported when asked for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
