"""Folders that need no schema."""

from __future__ import annotations

from pathlib import Path

from hinaug.graph.hin import HIN


def known_folder(folder: Path) -> HIN | None:
    """The graph of a folder that needs no schema: atomic files of RecBole, or what `hinaug export`
    wrote as Parquet.
    """
    if any(folder.glob("*.inter")):
        from hinaug.datasets import recbole_atomic

        return recbole_atomic(folder)
    if any(folder.glob("nodes/*.parquet")):
        from hinaug.io.convert import from_parquet

        return from_parquet(folder)
    return None
