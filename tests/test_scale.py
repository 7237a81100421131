"""The benchmarks of what is larger than memory, with little data."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from static_tables import static_vectors

SCRIPTS = Path(__file__).parents[1] / "benchmarks"


def printed(script, file, *options):
    """The rows that a benchmark writes to a file."""
    command = [sys.executable, "-W", "ignore", str(SCRIPTS / script), *map(str, options)]
    subprocess.run([*command, "--json", str(file)], check=True, capture_output=True)
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.slow
def test_every_step_runs_under_a_limit(tmp_path):
    options = ["--edges", "2e5", "--limit", "3", "--audit", "5", "--folder", tmp_path]
    rows = printed("scale.py", tmp_path / "rows", "store", *options)
    assert [row["step"] for row in rows][-3:] == ["csr", "propagate", "evaluate"]
    assert all(row["anon_mb"] < 3 * 1024 for row in rows)
    assert [path.name for path in tmp_path.iterdir()] == ["rows"]


@pytest.mark.slow
def test_many_lists_and_many_texts_under_a_limit(tmp_path):
    options = ["--limit", "3", "--folder", tmp_path / "work"]
    rows = printed("scale.py", tmp_path / "top", "top", "--users", 5000, "--items", 300, *options)
    assert [row["step"] for row in rows] == ["build", "fit", "lists"]
    model = static_vectors(tmp_path, ["other", "banana"])
    rows = printed(
        "scale.py", tmp_path / "texts", "texts", "--texts", 5000, "--model", model, *options
    )
    assert [row["step"] for row in rows] == ["encode", "save"]


@pytest.mark.slow
def test_one_process_and_two_write_the_same(tmp_path):
    model = static_vectors(tmp_path, ["other", "banana"])
    options = ["--users", 6000, "--texts", 5000, "--model", model, "--rounds", 1, "--no-ray"]
    rows = printed("shards.py", tmp_path / "rows", *options)
    assert [row["verb"] for row in rows] == ["recommend", "recommend", "embed", "embed"]
    assert all(row["same_bytes"] for row in rows)
    assert not any(row["left"] for row in rows)
