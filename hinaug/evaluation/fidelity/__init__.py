"""Are generated nodes like real ones, of use, and no copies? A tree of small properties.

print(fidelity(split.train, delta, "user", rng=0))
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
