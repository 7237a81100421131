"""Counts found by the readers beside the published ones. Exits with 1 when one differs or nothing
was found.

    HINAUG_DATA=folder python benchmarks/datasets.py [--download]

Reads $HINAUG_DATA and the user's cache; `--download` also asks the publishers. What is not found is
skipped, and said.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hinaug.datasets import (
    amazon_hin,
    amazon_reviews,
    find,
    hetrec_lastfm,
    lightgcn_split,
    movielens_100k,
    movielens_latest_small,
    recbole_atomic,
    recipe_reviews,
    yelp_hin,
)
from hinaug.datasets.fetch import cache_folder
from hinaug.graph.hin import HIN
from hinaug.split.base import Split

Check = tuple[str, Callable[[], Any], dict[Any, int]]


def checks(download: bool) -> list[Check]:
    """Name, how to get the graph, and the published counts by type (from the data's own readme
    files, papers and split files).
    """
    data = Path(os.environ.get("HINAUG_DATA", "."))

    def folder(name: str) -> Path:
        return find(name, download=download).folder

    def copy() -> Path:
        path = cache_folder() / "ml-100k-copy"
        if not path.is_dir():
            raise FileNotFoundError(
                f"no {path}: it comes when the official address of ml-100k does not answer"
            )
        return path

    ml = {"user": 943, "movie": 1682, "genre": 19, ("user", "rates", "movie"): 100_000}
    freebase = {("movie", "is", "entity"): 1598, "triples": 91_631, "relations": 24}
    small = {
        "user": 610,
        "movie": 9742,
        "rated movies": 9724,
        ("user", "rates", "movie"): 100_836,
        "tagging": 3683,
    }
    music = {"user": 1429, "item": 900, "review": 10_261, ("user", "rates", "item"): 10_261}
    recipes = {"user": 13_812, "recipe": 100, "review": 18_182, ("user", "rates", "recipe"): 18_182}
    lastfm = {
        "user": 1892,
        "artist": 17_632,
        "tag": 11_946,
        "tagging": 186_479,
        ("user", "listens", "artist"): 92_834,
        ("user", "friend", "user"): 25_434,
    }
    amazon = {
        "user": 6170,
        "item": 2753,
        "brand": 334,
        "category": 22,
        "view": 3857,
        ("user", "rates", "item"): 195_791,
        ("item", "made_by", "brand"): 2753,
        ("item", "in", "category"): 5508,
        ("item", "has", "view"): 5694,
    }
    yelp = {
        "user": 16_239,
        "business": 14_284,
        "compliment": 11,
        "city": 47,
        "category": 511,
        ("user", "rates", "business"): 198_397,
        ("user", "friend", "user"): 158_590,
        ("user", "received", "compliment"): 76_875,
        ("business", "in", "city"): 14_267,
        ("business", "has", "category"): 40_009,
    }
    rates, visits = ("user", "rates", "item"), ("user", "rates", "business")
    plots = data / "ml-latest-small-text"
    return [
        ("ml-100k", lambda: movielens_100k(folder("ml-100k")), ml),
        ("ml-100k, copy with "
         "Freebase", lambda: movielens_100k(copy(), freebase=True), ml | freebase),
        ("ml-latest-small", lambda: movielens_latest_small(folder("ml-latest-small")), small),
        ("the same with plots", lambda: movielens_latest_small(folder("ml-latest-small"), plots), small),
        (
            "ml-latest-small, atomic files",
            lambda: recbole_atomic(plots),
            {"user": 610, "item": 9742, ("user", "rates", "item"): 100_836},
        ),
        ("amazon-musical-instruments", lambda: amazon_reviews(folder("amazon-musical-instruments")), music),
        ("recipe-reviews", lambda: recipe_reviews(folder("recipe-reviews")), recipes),
        ("hetrec2011-lastfm-2k", lambda: hetrec_lastfm(folder("hetrec2011-lastfm-2k")), lastfm),
        ("amazon-hin", lambda: amazon_hin(folder("amazon-hin")), amazon),
        ("its fixed split", lambda: lightgcn_split(folder("amazon-hin"), amazon_hin(folder("amazon-hin")), rates, rng=0),
         {"interactions": 195_791}),
        ("yelp-hin", lambda: yelp_hin(folder("yelp-hin")), yelp),
        ("its fixed split", lambda: lightgcn_split(folder("yelp-hin"), yelp_hin(folder("yelp-hin")), visits, first_id=1, rng=0),
         {"interactions": 198_397, "users of test": 8891}),
        ("gowalla", lambda: lightgcn_split(folder("gowalla"), rng=0),
         {"user": 29_858, "item": 40_981, "before the test": 810_128, "test": 217_242}),
        ("lastfm-lightgcnpp", lambda: lightgcn_split(folder("lastfm-lightgcnpp")),
         {"user": 1885, "item": 17_388, "interactions": 91_779}),
        ("ml-1m-lightgcnpp", lambda: lightgcn_split(folder("ml-1m-lightgcnpp")),
         {"user": 6039, "item": 3628, "interactions": 836_478}),
    ]  # fmt: skip


def count_split(split: Split, what: str) -> int:
    parts = {"before the test": split.train_valid.n(split.target), "test": split.test.num_rows}
    parts["interactions"] = sum(parts.values())
    parts["users of test"] = len(set(split.test["src"].to_pylist()))
    return parts[what] if what in parts else split.source.n(what)


def count(hin: HIN, what: Any) -> int:
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
            found = count_split(hin, what) if isinstance(hin, Split) else count(hin, what)
            checked, wrong = checked + 1, wrong + (found != number)
            label = " ".join(what) if isinstance(what, tuple) else what
            print(
                f"  {label:<28} published {number:>9,}   found "
                f"{found:>9,}{'' if found == number else '   DIFFERS'}"
            )
    print(
        f"{checked} counts, {wrong} differ"
        if checked
        else "nothing was found to count; set HINAUG_DATA"
    )
    return int(wrong > 0 or not checked)


if __name__ == "__main__":
    sys.exit(main())
