"""Progress for whatever lasts over two seconds: a bar on a terminal or in a notebook, a line every
ten seconds in a log.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")
enabled = True


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yields `items`, and shows how far it is once two seconds have passed. Written to stderr."""
    total = total if total is not None else len(items) if isinstance(items, Sized) else None
    start = said = time.monotonic()
    bar = task = None
    try:
        for done, item in enumerate(items):
            now = time.monotonic()
            if enabled and now - start > 2:
                if bar is None and sys.stderr.isatty():
                    from rich.console import Console
                    from rich.progress import Progress

                    bar = Progress(console=Console(stderr=True), transient=True)
                    bar.start()
                    task = bar.add_task(what, total=total, completed=done)
                if bar is not None and task is not None:
                    bar.update(task, completed=done)
                elif now - said > 10:
                    said = now
                    of = f" of {total}" if total else ""
                    sys.stderr.write(f"{what}: {done}{of}, {now - start:.0f} s\n")
            yield item
    finally:
        if bar is not None:
            bar.stop()
