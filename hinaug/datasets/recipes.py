"""Recipe reviews: users review the 100 most reviewed recipes of a cooking site, with text, stars
and votes.

Source: A. Ali, S. Matuszewski and J. Czupyt, "Recipe Reviews and User Feedback Dataset", UCI
    Machine Learning
Repository 911, 2023. Terms: CC BY 4.0.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hinaug import checks
from hinaug.datasets.amazon_values import plain
from hinaug.datasets.files import graph
from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType
from hinaug.io.delimited import read_delimited

RATES = ("user", "rates", "recipe")
WROTE = ("user", "wrote", "review")
ABOUT = ("review", "about", "recipe")
ADDRESS = (
    "https://archive.ics.uci.edu/static/public/911/recipe+reviews+and+user+feedback+dataset.zip"
)
NUMBERS = {  # in the file -> on the review
    "stars": "rating",
    "thumbs_up": "thumbs_up",
    "thumbs_down": "thumbs_down",
    "reply_count": "replies",
    "user_reputation": "reputation",
    "created_at": "imported",
}
_TEXT = ("recipe_code", "recipe_name", "comment_id", "user_id", "text")


def recipe_reviews(path: Any) -> HIN:
    """Recipe reviews: 13,812 users, 100 recipes, 18,182 reviews (17,393 pairs); 11,700 users have
    one review.

    path: the .csv, or a .zip with it, or a folder that holds one of them.
    Types: user; recipe (name); review (text, rating, thumbs_up, thumbs_down, replies, reputation,
    imported); ("user", "rates", "recipe") with rating 1-5, one row a review; ("user", "wrote",
    "review"); ("review", "about", "recipe"). Users and reviews keep their published ids, a recipe
    its code. Nodes stand in the order of a hash of their ids, edges in the file's. HTML entities
    in text are read. Names of users and `best_score`, the site's own order, are never stored.

    Stars 0 mean "no rating given": null. `imported` (seconds) is no `time`: for 92 % of the rows it
    is one day, 3 June 2021, on which the site took over older reviews, so a split by it would be a
    split by chance. `reputation` is the user's, as it stood beside this review (62 users have
    several), so it leaves with the review. Lineage is "row"; unknown for votes, replies and
    reputation, which others gave, some of it later.
    Official address:
    https://archive.ics.uci.edu/dataset/911/recipe+reviews+and+user+feedback+dataset
    """
    file = _file(checks.folder(path, "recipe_reviews").expanduser())
    kinds = dict.fromkeys(NUMBERS, pa.int64())
    table = read_delimited(lambda: _open(file), name=file, types=kinds)
    missing = [c for c in (*_TEXT, *NUMBERS) if c not in table.column_names]
    if missing:
        raise ParameterError(f"{file}: no column {missing[0]!r}; there is {table.column_names}")
    stars = table["stars"].cast(pa.float32())
    rating = pc.if_else(pc.equal(stars, 0), pa.scalar(None, pa.float32()), stars)
    user, recipe, review = (table[c] for c in ("user_id", "recipe_code", "comment_id"))
    text = pa.array(
        [plain(t).strip() or None if t else None for t in table["text"].to_pylist()], pa.string()
    )
    columns = {new: table[old] for old, new in NUMBERS.items()} | {"rating": rating}
    names = (
        table.group_by("recipe_code")
        .aggregate([("recipe_name", "min")])
        .rename_columns(["id", "name"])
    )
    nodes = {
        "user": pa.table({"id": pc.unique(user)}),
        "recipe": names,
        "review": pa.table({"id": review, "text": text, **columns}),
    }
    edges: dict[EdgeType, pa.Table] = {
        RATES: pa.table({"src": user, "dst": recipe, "rating": rating}),
        WROTE: pa.table({"src": user, "dst": review}),
        ABOUT: pa.table({"src": review, "dst": recipe}),
    }
    lineage: dict[Any, Any] = dict.fromkeys(edges, "row") | {"recipe": "row"}
    lineage["review"] = dict.fromkeys(("text", "rating", "imported"), "row")
    return graph(nodes, edges, lineage)


def _file(path: Path) -> Path:
    if path.is_file():
        return path
    there = sorted(path.iterdir()) if path.is_dir() else []
    found = [p for p in there if p.suffix in (".csv", ".zip") and "ecipe" in p.name]
    if not found:
        raise FileNotFoundError(
            f"{path}: expected the recipe reviews as a .csv or .zip, as published at {ADDRESS}"
        )
    return found[0]


def _open(file: Path) -> Any:
    if not zipfile.is_zipfile(file):
        return open(file, "rb")
    archive = zipfile.ZipFile(file)
    inside = [n for n in archive.namelist() if n.endswith(".csv") and not n.startswith("__MACOSX")]
    if len(inside) != 1:
        raise ParameterError(f"{file}: expected one .csv inside, found {archive.namelist()[:5]}")
    return archive.open(inside[0])
