"""MovieLens 100K: users rate movies, movies have genres.

Source: F. M. Harper and J. A. Konstan, "The MovieLens Datasets: History and Context", ACM TiiS
    5(4), 2015.
Terms (GroupLens): research use, no redistribution without permission, cite the paper; no warranty.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from hinaug import checks
from hinaug.datasets.files import graph, movie_text, pairs, require, split_year
from hinaug.datasets.recbole import knowledge, read_atomic
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType
from hinaug.io.delimited import read_delimited

RATES = ("user", "rates", "movie")
HAS = ("movie", "has", "genre")
ADDRESS_100K = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
GENRES = (  # in the order of the 19 flags of u.item
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_INT, _TEXT = pa.int64(), pa.string()


def movielens_100k(folder: Any, *, freebase: bool = False) -> HIN:
    """MovieLens 100K: 943 users, 1,682 movies, 100,000 ratings, 19 genres (one of them "unknown").

    folder: the unpacked official archive (u.data, u.user, u.item; latin-1), or RecBole's copy
        (ml-100k.inter, .user, .item). Both give the same rows in the same order (nodes by a
        hash of their ids, ratings as in the file) and the same titles: the year moves from the
        title into its own column, "(V)" for video goes, and two slips of the copy (movies 267 and
        1412) are mended. Only the official files have `date`, a release day.
    freebase: with the copy only: nodes "entity", edges ("movie", "is", "entity") and ("entity",
        relation, "entity").

    Types: user (age, gender, occupation, zip), movie (title, year, [date], text "Title (year).
    Genres: a, b."), genre; ("user", "rates", "movie") with rating 1-5 and time in seconds,
    ("movie", "has", "genre"). Ids are the published integers, genres are called by name. All
    lineage is "row".
    Official address: https://files.grouplens.org/datasets/movielens/ml-100k.zip
    """
    path = checks.folder(folder, "movielens_100k").expanduser()
    copy = (path / "ml-100k.inter").is_file() and not (path / "u.data").is_file()
    if freebase and not copy:
        raise FileNotFoundError(
            f"{path}: the Freebase graph is only in RecBole's copy (ml-100k.inter, .item, .user, "
            ".link and .kg)"
        )
    if copy:
        endings = ["inter", "user", "item", *(["link", "kg"] if freebase else [])]
        require(path, [f"ml-100k.{end}" for end in endings], ADDRESS_100K)
        ratings, users, movies = _copy_100k(path)
    else:
        require(path, ["u.data", "u.user", "u.item"], ADDRESS_100K)
        ratings, users, movies = _official_100k(path)
    nodes, edges = assemble(ratings, movies, GENRES)
    nodes = {"user": users, **nodes}
    if freebase:
        more_nodes, more_edges = knowledge(
            path / "ml-100k.link", path / "ml-100k.kg", "movie", nodes["movie"]["id"]
        )
        nodes |= more_nodes
        edges |= more_edges
    return graph(nodes, edges, "row")


def assemble(
    ratings: pa.Table, movies: list[dict], genres: Any
) -> tuple[dict[str, pa.Table], dict[EdgeType, pa.Table]]:
    """Node tables of movies and genres, and edge tables of ratings and genres, from what a reader
    has read.
    """
    for movie in movies:
        movie["text"] = movie_text(
            movie["title"], movie["year"], movie["genres"], movie.get("plot")
        )
    kinds = {
        "id": _INT,
        "title": _TEXT,
        "year": pa.int32(),
        "date": pa.date32(),
        "plot": _TEXT,
        "text": _TEXT,
    }
    there = [c for c in kinds if c == "id" or any(c in m for m in movies)]
    table = pa.table({c: pa.array([m.get(c) for m in movies], kinds[c]) for c in there})
    nodes = {"movie": table, "genre": pa.table({"id": pa.array(list(genres), _TEXT)})}
    has = pairs(((m["id"], g) for m in movies for g in m["genres"]), _INT, _TEXT)
    return nodes, {RATES: ratings, HAS: has}


def _official_100k(path: Path) -> tuple[pa.Table, pa.Table, list[dict]]:
    kinds = {
        "src": _INT,
        "dst": _INT,
        "rating": pa.float32(),
        "time": _INT,
        "id": _INT,
        "age": _INT,
    }

    def read(name: str, delimiter: str, *columns: str) -> pa.Table:
        form: dict[str, Any] = {"encoding": "latin-1", "quote": False, "types": kinds}
        return read_delimited(
            path / name, name=path / name, delimiter=delimiter, columns=columns, **form
        )

    ratings = read("u.data", "\t", "src", "dst", "rating", "time")
    users = read("u.user", "|", "id", "age", "gender", "occupation", "zip")
    movies = []
    for row in read("u.item", "|", "id", "title", "date", "video", "url", *GENRES).to_pylist():
        title, year = split_year(row["title"])
        genres = [g for g in GENRES if row[g] == "1"]
        movies.append(
            {
                "id": row["id"],
                "title": title,
                "year": year,
                "date": _date(row["date"]),
                "genres": genres,
            }
        )
    return ratings, users, movies


def _copy_100k(path: Path) -> tuple[pa.Table, pa.Table, list[dict]]:
    inter = read_atomic(path / "ml-100k.inter").select(
        ["user_id", "item_id", "rating", "timestamp"]
    )
    ratings = inter.cast(
        pa.schema(
            [("user_id", _INT), ("item_id", _INT), ("rating", pa.float32()), ("timestamp", _INT)]
        )
    )
    users = read_atomic(path / "ml-100k.user").select(
        ["user_id", "age", "gender", "occupation", "zip_code"]
    )
    users = users.rename_columns(["id", "age", "gender", "occupation", "zip"])
    users = users.cast(
        pa.schema(
            [("id", _INT), ("age", _INT), ("gender", _TEXT), ("occupation", _TEXT), ("zip", _TEXT)]
        )
    )
    movies = []
    raw = read_delimited(path / "ml-100k.item", name=path / "ml-100k.item", delimiter="\t")
    for row in raw.rename_columns([c.partition(":")[0] for c in raw.column_names]).to_pylist():
        title, year = split_year(row["movie_title"])
        title = "unknown" if title == "unkonwn" else title
        if year is None and row["release_year"] and row["release_year"].isdecimal():
            year = int(row["release_year"])
        own = set((row["class"] or "").split())
        movies.append(
            {
                "id": int(row["item_id"]),
                "title": title,
                "year": year,
                "genres": [g for g in GENRES if g in own],
            }
        )
    return ratings.rename_columns(["src", "dst", "rating", "time"]), users, movies


def _date(text: str | None) -> datetime.date | None:
    """`01-Jan-1995`, whatever language the computer speaks."""
    if not text:
        return None
    day, month, year = text.split("-")
    return datetime.date(int(year), _MONTHS.index(month) + 1, int(day))
