"""How a contestant talks to speed.py: it loads its data, says that it is ready, and runs once for
each line it gets.

It runs in the environment of the peer, so it needs numpy alone (and scipy where the peer has it).
Standard output belongs
to the talk: what a library prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


class Clock:
    """Wall and CPU seconds of this process (all its threads) since it was made, less what passed in
    `pause`.
    """

    def __init__(self) -> None:
        self.start = self._now()

    def _now(self) -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    def read(self) -> list[float]:
        return [b - a for a, b in zip(self.start, self._now(), strict=True)]

    def pause(self, what: Callable[[], Any]) -> Any:
        before = self.read()
        out = what()
        self.start = tuple(
            s + b - a for s, a, b in zip(self.start, before, self.read(), strict=True)
        )
        return out


def peak(reset: bool = False) -> float:
    """Most memory that the process held since the last reset, in MB; Linux."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
        return 0.0
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def csr(path: str) -> Any:
    """A 0/1 float32 scipy matrix from a file that speed.py wrote."""
    import scipy.sparse as sp

    file = np.load(path)
    ones = np.ones(len(file["indices"]), np.float32)
    return sp.csr_matrix((ones, file["indices"], file["indptr"]), shape=tuple(file["shape"]))


def serve(run: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer each line (JSON, the arguments of `run`) with a line (JSON, what `run` gives back)."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    print("ready", file=out, flush=True)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), file=out, flush=True)
