"""The command line: from raw files to honest recommendations, one verb a step.

Each verb is a file of its own here; `app.py` lists them. Verbs read and write folders that
`hinaug.save` makes and `hinaug.load` opens.
"""

from __future__ import annotations

import io
import sys

__all__ = ["main"]


def main() -> None:
    """The entry point.

    Exit codes: 0 done, 1 a leak under --strict, 2 a user's mistake, 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a letter that the terminal lacks becomes "?"
    try:
        from hinaug.cli.app import app  # here, so that an interrupt while it loads is caught

        app()
    except KeyboardInterrupt:
        sys.stderr.write("hinaug: interrupted\n")
        raise SystemExit(130) from None
