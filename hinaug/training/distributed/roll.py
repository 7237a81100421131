"""Which ranks are lost, once a message among them has failed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch.distributed as dist

GRACE = 0.1  # of the timeout, 5 s at most: in it a rank that runs answers once a message failed
PAUSE = 0.05
LOOK = 0.25  # seconds


class RollCall:
    """Finds the ranks that do not answer once a message failed, the same at all that do.

    A rank whose message fails asks the others by a store that all see. It may be that a rank waits
    for another that has given up: its message fails much later. So a thread answers for a rank that
    waits for a message, and for one that has computed for less than the timeout.

    Parameters
    ----------
    store
        Where ranks leave words for each other.
    rank, size
        The number of this process, and how many there are.
    timeout
        Seconds after which a rank that does not answer counts as lost.
    """

    def __init__(self, store: dist.Store, rank: int, size: int, timeout: float) -> None:
        self.store, self.rank, self.size, self.timeout = store, rank, size, timeout
        self._missing: list[int] | None = None
        self._waits, self._since = False, time.monotonic()
        self._lock, self._ended = threading.Lock(), threading.Event()

    @contextmanager
    def answering(self) -> Iterator[RollCall]:
        """Answers for this rank while the block runs."""
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """This rank waits for a message while the block runs."""
        self._waits = True
        try:
            yield
        finally:
            self._waits, self._since = False, time.monotonic()

    def missing(self) -> list[int]:
        """The ranks that do not answer; RuntimeError where what holds the store is gone."""
        with self._lock:
            if self._missing is None:
                self._missing = self._called()
        return self._missing

    def _called(self) -> list[int]:
        others = [rank for rank in range(self.size) if rank != self.rank]
        self.store.set("lost", "")
        self.store.set(f"here {self.rank}", "")
        silent = json.dumps(self._silent("here", others))
        found: list[int] = json.loads(self.store.compare_set("missing", "", silent))
        self.store.set(f"known {self.rank}", "")
        if self.rank == 0:  # the store may end with this process
            self._silent("known", [rank for rank in others if rank not in found])
        return found

    def _silent(self, word: str, ranks: list[int]) -> list[int]:
        """Which of these ranks do not say a word within the grace."""
        end = time.monotonic() + min(GRACE * self.timeout, 5.0)
        while ranks and time.monotonic() < end:
            time.sleep(PAUSE)
            ranks = [rank for rank in ranks if not self.store.check([f"{word} {rank}"])]
        return ranks

    def _watch(self) -> None:
        while not self._ended.wait(min(LOOK, GRACE * self.timeout / 2)):
            try:
                is_fast = time.monotonic() - self._since < (1 - GRACE) * self.timeout
                if self.store.check(["lost"]) and (self._waits or is_fast):
                    self.missing()
                    return
            except RuntimeError:  # what holds the store is gone
                return
