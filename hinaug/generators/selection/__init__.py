"""Which rows of a delta to keep, and which observed edges to leave out."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
