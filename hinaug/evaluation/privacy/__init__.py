"""What generated nodes give away of real ones: copies, distances, and membership.

None of these measures shows that generated data are safe to give away. They show how they are not.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
