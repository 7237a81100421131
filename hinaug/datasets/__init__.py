"""Readers of public data, one a file: a folder in the layout of its publisher goes in, a HIN comes
out.

`lightgcn_split` alone gives a Split: a published one.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
