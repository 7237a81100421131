"""Progress of whatever lasts over two seconds.

A bar on a terminal or in a notebook, a line every ten seconds in a log; both on stderr.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import Any, TypeVar

T = TypeVar("T")
enabled = True

QUIET = 2  # seconds; what is done sooner shows nothing
BETWEEN_LINES = 10  # seconds


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yields `items`, and shows on stderr how far it is once two seconds have passed.

    what: the work, in a word or two.
    total: how many items there are, where `items` does not know.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    meter = _Meter(what, total)
    try:
        for done, item in enumerate(items):
            if enabled:
                meter.show(done)
            yield item
    finally:
        meter.close()


class _Meter:
    """Shows how many items are done: as a bar where stderr is a terminal, else as lines."""

    def __init__(self, what: str, total: int | None) -> None:
        self.what, self.total = what, total
        self.start = self.last_line = time.monotonic()
        self.bar: Any = None
        self.task: Any = None

    def show(self, done: int) -> None:
        now = time.monotonic()
        if now - self.start <= QUIET:
            return
        if self.bar is None and sys.stderr.isatty():
            self._open_bar(done)
        if self.bar is not None:
            self.bar.update(self.task, completed=done)
        elif now - self.last_line > BETWEEN_LINES:
            self.last_line = now
            of = f" of {self.total}" if self.total else ""
            sys.stderr.write(f"{self.what}: {done}{of}, {now - self.start:.0f} s\n")

    def _open_bar(self, done: int) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self.bar = Progress(console=Console(stderr=True), transient=True)
        self.bar.start()
        self.task = self.bar.add_task(self.what, total=self.total, completed=done)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
