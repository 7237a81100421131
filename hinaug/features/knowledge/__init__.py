"""Knowledge from text: names that are mentioned, and facts that sentences state, as deltas."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
