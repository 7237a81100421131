"""N new random inputs for from_tables, Delta, the splitters and recommend; anything but a
documented error is a failure.

python benchmarks/fuzz.py 10000           # about two minutes; a failure prints the smallest input that shows it
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    os.environ["HINAUG_FUZZ"] = str(-(-n // 3))  # three tests
    tests = Path(__file__).parents[1] / "tests" / "test_hostile.py"
    sys.exit(
        pytest.main([str(tests), "-q", "-k", "fuzz", "-p", "no:cacheprovider", "--durations=3"])
    )
