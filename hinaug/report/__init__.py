"""One self-contained HTML page from a run, and the same findings on the terminal.

    report("hinaug-demo")          # writes hinaug-demo/report.html

The verdict comes first, then results, pictures, and how to run it again. The page holds its style
and its pictures; it runs no script and loads nothing from the network.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
