"""The application with all its verbs."""

from __future__ import annotations

from hinaug.cli import judge, runs, splits, stores  # noqa: F401  (their verbs)
from hinaug.cli.shared import app

__all__ = ["app"]
