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
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hinaug import checks
from hinaug.datasets.files import graph, numbered, pairs, require, split_year
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
_KINDS = {"userId": _INT, "movieId": _INT, "rating": pa.float32(), "timestamp": _INT}


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
    integers; a tagging is called "user:movie:n". Nodes stand in the order of a hash of their ids,
    edges in the file's. All lineage is "row".
    Official address: https://files.grouplens.org/datasets/movielens/ml-latest-small.zip
    """
    tags = tags or tag_nodes
    names = ["ratings.csv", "movies.csv", *(["tags.csv"] if tags else [])]
    path = require(folder, names, ADDRESS)
    ratings = _read(path / "ratings.csv").rename_columns(["src", "dst", "rating", "time"])
    movies = _movies(path / "movies.csv", None if plots is None else _plots(plots))
    nodes, edges = assemble(ratings, movies, sorted({g for m in movies for g in m["genres"]}))
    users = ratings["src"].chunks
    if tags:
        table = _read(path / "tags.csv")
        users += table["userId"].chunks
        more_nodes, more_edges = _taggings(table, tag_nodes)
        nodes |= more_nodes
        edges |= more_edges
    ids = pc.unique(pa.chunked_array(users, _INT))
    nodes = {"user": pa.table({"id": ids}), **nodes}
    return graph(nodes, edges, "row")


def _read(file: Path) -> pa.Table:
    return read_delimited(file, name=file, types=_KINDS)


def _movies(file: Path, plots: Mapping[int, str | None] | None) -> list[dict[str, Any]]:
    """Id, title, year, genres and, with `plots`, plot of each movie."""
    movies = []
    for row in _read(file).to_pylist():
        title, year = split_year(row["title"])
        genres = [g for g in row["genres"].split("|") if g != "(no genres listed)"]
        movie = {"id": row["movieId"], "title": title, "year": year, "genres": genres}
        movies.append(movie if plots is None else {**movie, "plot": plots.get(row["movieId"])})
    return movies


def _taggings(
    table: pa.Table, tag_nodes: bool
) -> tuple[dict[str, pa.Table], dict[EdgeType, pa.Table]]:
    user, movie, text = (table[c].to_pylist() for c in ("userId", "movieId", "tag"))
    number = numbered(table, ("userId", "movieId"), ("timestamp", "tag"))
    ids = [f"{u}:{m}:{n}" for u, m, n in zip(user, movie, number, strict=True)]
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
    if not path.is_file():
        name = "ml-latest-small.item"
        path = require(path, [name], "(no official address)") / name
    with open(path, encoding="utf-8", newline="") as stream:  # fields hold quoted line breaks
        rows = csv.DictReader(stream, delimiter="\t")
        for name in ("raw_movieID", "intro:token_seq"):
            if name not in (rows.fieldnames or ()):
                raise ParameterError(f"{path}: no field {name!r}; there is {rows.fieldnames}")
        return {int(r["raw_movieID"]): _plot(r["intro:token_seq"] or "") for r in rows}


def _plot(text: str) -> str | None:
    """The plot without the words of the web page, "See full summary" and "Add a Plot"."""
    text = " ".join(_MORE.sub("", text).split())
    return None if not text or text.startswith("Add a Plot") else text
