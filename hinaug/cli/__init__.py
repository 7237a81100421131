"""The command line: from raw files to honest recommendations, one verb a step, each over folders
written by hinaug.save.
"""

from __future__ import annotations

import io
import sys

__all__ = ["main"]


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 a leak under --strict, 2 a user's mistake, 130
    interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="replace"
            )  # a terminal that lacks a letter shows a question mark
    try:
        from hinaug.cli.verbs import app  # here, so that an interrupt while it loads is one, too

        app()
    except KeyboardInterrupt:
        sys.stderr.write("hinaug: interrupted\n")
        raise SystemExit(130) from None
