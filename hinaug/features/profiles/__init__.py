"""What a graph says of a user or an item as columns, and what goes with an item."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
