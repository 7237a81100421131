"""The command line: from raw files to honest recommendations, one verb a step, each over folders written by hinaug.save."""

from __future__ import annotations

from hinaug.cli import judge, runs, stores  # noqa: F401  (their verbs)
from hinaug.cli.shared import app

__all__ = ["app", "main"]


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 a problem found under --strict, 2 a user's mistake, 130 interrupted."""
    app()
