"""`save` and `load`: one folder for a HIN, a Delta, a Split or a fitted estimator.

Nothing is pickled: tables are Arrow IPC files, arrays are safetensors, the rest is JSON. FORMAT.md,
beside this file, describes the disk format.

A kill at any moment of a save leaves the old store or the new one. Saves and loads of one folder
wait for each other. Whatever is wrong with a store raises StoreError. Loading imports classes of
`hinaug` by name and no others: hand over your own with `classes=`. Stores of version 1 stay
readable.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
