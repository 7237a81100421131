"""The benchmark of a graph larger than memory, with a small graph."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "scale.py"


@pytest.mark.slow
def test_every_step_runs_under_a_limit(tmp_path):
    options = ["--edges", "2e5", "--limit", "3", "--audit", "5", "--folder", str(tmp_path)]
    command = [sys.executable, str(SCRIPT), "store", *options, "--json", str(tmp_path / "rows")]
    subprocess.run(command, check=True, capture_output=True)
    rows = [json.loads(line) for line in (tmp_path / "rows").read_text().splitlines()]
    assert [row["step"] for row in rows][-3:] == ["csr", "propagate", "evaluate"]
    assert all(row["anon_mb"] < 3 * 1024 for row in rows)
    assert [path.name for path in tmp_path.iterdir()] == ["rows"]
