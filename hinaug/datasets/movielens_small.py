"""MovieLens latest-small: users rate and tag movies; text from titles, tags and, from a third
party, plots.

Source: F. M. Harper and J. A. Konstan, "The MovieLens Datasets: History and Context", ACM TiiS
    5(4), 2015.
Terms (GroupLens): research use, non-commercial, no redistribution without permission, cite the
paper.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hinaug import checks
from hinaug.datasets.files import in_order, pairs, require, split_year
from hinaug.datasets.movielens import assemble
from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType
from hinaug.io.delimited import read_delimited

WROTE = ("user", "wrote", "tagging")
ABOUT = ("tagging", "about", "movie")
USES = ("tagging", "uses", "tag")
ADDRESS = "https://files.grouplens.org/datasets/movielens/ml-latest-small.zip"
_MORE = re.compile(r"\s*(\.\.\.)?\s*See full (summary|synopsis)\s*»?\s*$")
_INT, _TEXT = pa.int64(), pa.string()


def movielens_latest_small(
    folder: Any, plots: Any = None, *, tags: bool = True, tag_nodes: bool = False
) -> HIN:
    """MovieLens latest-small (9/2018): 610 users, 9,742 movies (9,724 rated), 100,836 ratings,
    3,683 tags given.

    folder: the unpacked archive (ratings.csv, movies.csv, tags.csv).
    plots: a file (or folder with) `ml-latest-small.item`, tab-separated, with raw_movieID and
        intro:token_seq; adds the column `plot` and puts the plot at the end of `text`. It is a
        third party's file without stated terms.
    tags: each act of tagging is an evidence node "tagging" (text, time) with ("user", "wrote",
        "tagging") and ("tagging", "about", "movie"): a split can take it away with the rating it
        belongs to.
    tag_nodes: also nodes "tag" (the text in small letters) and ("tagging", "uses", "tag").

    Types: user, movie (title, year, [plot], text), genre, [tagging, tag]; ("user", "rates",
    "movie") with rating 0.5-5 and time in seconds, ("movie", "has", "genre"). Ids are the published
    integers; a tagging is called "user:movie:n". All lineage is "row".
    Official address: https://files.grouplens.org/datasets/movielens/ml-latest-small.zip
    """
    path = require(
        folder, ["ratings.csv", "movies.csv", *(["tags.csv"] if tags or tag_nodes else [])], ADDRESS
    )
    plot = _plots(plots) if plots is not None else None
    kinds = {"userId": _INT, "movieId": _INT, "rating": pa.float32(), "timestamp": _INT}
    ratings = read_delimited(path / "ratings.csv", name=path / "ratings.csv", types=kinds)
    ratings = ratings.rename_columns(["src", "dst", "rating", "time"])
    movies = []
    for row in read_delimited(
        path / "movies.csv", name=path / "movies.csv", types=kinds
    ).to_pylist():
        title, year = split_year(row["title"])
        genres = [g for g in row["genres"].split("|") if g != "(no genres listed)"]
        movies.append({"id": row["movieId"], "title": title, "year": year, "genres": genres})
        if plot is not None:
            movies[-1]["plot"] = plot.get(row["movieId"])
    nodes, edges = assemble(ratings, movies, sorted({g for m in movies for g in m["genres"]}))
    used = [ratings["src"]]
    if tags or tag_nodes:
        table = in_order(
            read_delimited(path / "tags.csv", name=path / "tags.csv", types=kinds),
            "userId",
            "timestamp",
            "movieId",
            "tag",
        )
        used.append(table["userId"])
        more_nodes, more_edges = _taggings(table, tag_nodes)
        nodes |= more_nodes
        edges |= more_edges
    users = pc.unique(pa.chunked_array([c for column in used for c in column.chunks], _INT))
    nodes = {"user": in_order(pa.table({"id": users}), "id"), **nodes}
    return HIN.from_tables(nodes, edges, lineage="row")


def _taggings(
    table: pa.Table, tag_nodes: bool
) -> tuple[dict[str, pa.Table], dict[EdgeType, pa.Table]]:
    user, movie, text = (table[c].to_pylist() for c in ("userId", "movieId", "tag"))
    seen: dict[tuple[int, int], int] = {}
    ids = []
    for pair in zip(user, movie, strict=True):
        seen[pair] = seen.get(pair, 0) + 1
        ids.append(f"{pair[0]}:{pair[1]}:{seen[pair]}")
    nodes = {
        "tagging": pa.table(
            {"id": pa.array(ids, _TEXT), "text": table["tag"], "time": table["timestamp"]}
        )
    }
    edges: dict[EdgeType, pa.Table] = {
        WROTE: pairs(zip(user, ids, strict=True), _INT, _TEXT),
        ABOUT: pairs(zip(ids, movie, strict=True), _TEXT, _INT),
    }
    if tag_nodes:
        tags = [" ".join((t or "").split()).lower() for t in text]
        nodes["tag"] = pa.table({"id": pa.array(sorted(set(tags) - {""}), _TEXT)})
        edges[USES] = pairs(((i, t) for i, t in zip(ids, tags, strict=True) if t), _TEXT, _TEXT)
    return nodes, edges


def _plots(where: Any) -> Mapping[int, str | None]:
    path = checks.folder(where, "movielens_latest_small").expanduser()
    path = (
        require(path, ["ml-latest-small.item"], "(no official address)") / "ml-latest-small.item"
        if not path.is_file()
        else path
    )
    with open(path, encoding="utf-8", newline="") as stream:  # fields hold quoted line breaks
        rows = csv.DictReader(stream, delimiter="\t")
        for name in ("raw_movieID", "intro:token_seq"):
            if name not in (rows.fieldnames or ()):
                raise ParameterError(f"{path}: no field {name!r}; there is {rows.fieldnames}")
        return {int(r["raw_movieID"]): _plot(r["intro:token_seq"] or "") for r in rows}


def _plot(text: str) -> str | None:
    """Without the web page's own words: "See full summary", "Add a Plot"."""
    text = " ".join(_MORE.sub("", text).split())
    return None if not text or text.startswith("Add a Plot") else text
