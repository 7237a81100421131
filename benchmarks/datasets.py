"""Counts found by the readers beside the published ones. Exits with 1 when one differs or nothing was found.

    HINAUG_DATA=folder python benchmarks/datasets.py [--download]

Reads $HINAUG_DATA and the user's cache; `--download` also asks the publishers. What is not found is skipped, and said.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hinaug.datasets import amazon_reviews, find, movielens_100k, movielens_latest_small, recbole_atomic
from hinaug.datasets.fetch import cache_folder

Check = tuple[str, Callable[[], Any], dict[Any, int]]


def checks(download: bool) -> list[Check]:
    """Name, how to get the graph, and the published counts by type (from the data's own readme files and papers)."""
    data = Path(os.environ.get("HINAUG_DATA", "."))

    def folder(name: str) -> Path:
        return find(name, download=download).folder

    def copy() -> Path:
        path = cache_folder() / "ml-100k-copy"
        if not path.is_dir():
            raise FileNotFoundError(f"no {path}: it comes when the official address of ml-100k does not answer")
        return path

    ml = {"user": 943, "movie": 1682, "genre": 19, ("user", "rates", "movie"): 100_000}
    freebase = {("movie", "is", "entity"): 1598, "triples": 91_631, "relations": 24}
    small = {"user": 610, "movie": 9742, "rated movies": 9724, ("user", "rates", "movie"): 100_836, "tagging": 3683}
    music = {"user": 1429, "item": 900, "review": 10_261, ("user", "rates", "item"): 10_261}
    plots = data / "ml-latest-small-text"
    return [
        ("ml-100k", lambda: movielens_100k(folder("ml-100k")), ml),
        ("ml-100k, copy with Freebase", lambda: movielens_100k(copy(), freebase=True), ml | freebase),
        ("ml-latest-small", lambda: movielens_latest_small(folder("ml-latest-small")), small),
        ("the same with plots", lambda: movielens_latest_small(folder("ml-latest-small"), plots), small),
        (
            "ml-latest-small, atomic files",
            lambda: recbole_atomic(plots),
            {"user": 610, "item": 9742, ("user", "rates", "item"): 100_836},
        ),
        ("amazon-musical-instruments", lambda: amazon_reviews(folder("amazon-musical-instruments")), music),
    ]  # fmt: skip


def count(hin: Any, what: Any) -> int:
    triples = [t for t in hin.edges if t[0] == t[2] == "entity"]
    if what == "triples":
        return sum(hin.n(t) for t in triples)
    if what == "relations":
        return len(triples)
    if what == "rated movies":
        return len(set(hin.links(("user", "rates", "movie"))[1].tolist()))
    return hin.n(what)


def main() -> int:
    checked, wrong = 0, 0
    for name, read, published in checks("--download" in sys.argv[1:]):
        start = time.perf_counter()
        try:
            hin = read()
        except FileNotFoundError as error:
            print(f"{name}: skipped, {str(error).splitlines()[0]}")
            continue
        print(f"{name}: read in {time.perf_counter() - start:.1f} s")
        for what, number in published.items():
            found = count(hin, what)
            checked, wrong = checked + 1, wrong + (found != number)
            label = " ".join(what) if isinstance(what, tuple) else what
            print(f"  {label:<20} published {number:>9,}   found {found:>9,}{'' if found == number else '   DIFFERS'}")
    print(f"{checked} counts, {wrong} differ" if checked else "nothing was found to count; set HINAUG_DATA")
    return int(wrong > 0 or not checked)


if __name__ == "__main__":
    sys.exit(main())
