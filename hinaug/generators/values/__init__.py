"""Values: texts and categories that are written, and texts that are said in other words."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
