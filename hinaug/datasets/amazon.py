"""Amazon product reviews: user, item and review nodes with text, from the files of 2014, 2018 and
2023 or as CSV.

Sources: R. He and J. McAuley, "Ups and Downs", WWW 2016, and J. McAuley et al., SIGIR 2015 (files
of 2014); J. Ni, J. Li and J. McAuley, EMNLP 2019 (files of 2018); Y. Hou et al., "Bridging Language
and Items for Retrieval and Recommendation", arXiv 2403.03952 (files of 2023). Terms: none stated by
the publishers; cite the papers.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hinaug.datasets.amazon_files import Reader, records, review_file
from hinaug.datasets.amazon_meta import add_metadata
from hinaug.datasets.amazon_rows import review
from hinaug.datasets.files import graph, numbered
from hinaug.errors import ParameterError
from hinaug.graph.hin import HIN
from hinaug.graph.schema import EdgeType

log = logging.getLogger(__name__)
RATES = ("user", "rates", "item")
WROTE = ("user", "wrote", "review")
ABOUT = ("review", "about", "item")
ADDRESS = "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles/"
KINDS = {
    "user": pa.string(),
    "item": pa.string(),
    "time": pa.int64(),
    "rating": pa.float32(),
    "text": pa.string(),
    "summary": pa.string(),
    "helpful_yes": pa.int64(),
    "helpful_total": pa.int64(),
    "verified": pa.bool_(),
}
VOTES = ("helpful_yes", "helpful_total")
KEPT = ("text", "summary", "rating", "time", *VOTES, "verified")  # columns of a review


def amazon_reviews(
    path: Any, metadata: Any = None, *, errors: str = "raise", report: dict[str, int] | None = None
) -> HIN:
    """A graph of users, items and reviews.

    path: a file, or a folder that holds one (metadata beside it is left alone): JSON lines of 2014
        (also the early ones in Python's notation), 2018 or 2023, the same as one JSON list, or CSV
        with the same field names; .json, .jsonl, .csv, each also .gz, and .csv.zip. The item of a
        review is its parent_asin where it has one (2023), else its asin.
    metadata: a meta_* file (of any of these years), or a folder with one. See below.
    errors: "raise" stops at the first row that cannot be read, with file, line and content; "skip"
        counts such rows.
    report: a dict that is filled with counts: rows, duplicates, unreadable, [metadata_*]. They are
        logged too.

    Types: user; item; review with those of text, summary, rating, time (seconds), helpful_yes,
    helpful_total and verified that the file has; ("user", "rates", "item") with rating and time,
    one row a review; ("user", "wrote", "review"); ("review", "about", "item"). A review is called
    "user/item", the next in time "user/item#2" ("/", "#" and "%" inside of an id are written %2F,
    %23 and %25 there). HTML entities in text are read; the parts of a list of texts stand one under
    another; blank text is null. A row that repeats another in all but its votes and its
    reviewer's name is the same review: it is dropped and counted, the higher votes stay; several
    reviews of an item by one user stay, as reviews and as rows. Edges keep the file's order; nodes
    stand in the order of a hash of their ids. Names of reviewers, pictures and style options are
    never stored.

    With metadata, for items that have reviews: item columns title, price, text (title, description,
    features); nodes brand and category with ("item", "made_by", "brand") and ("item", "in",
    "category"); and, between items of the graph, ("item", "also_bought", "item"), also_viewed,
    bought_together, buy_after_viewing, as far as the file has them. Mean ratings, rating counts and
    sales ranks are aggregates of all reviews, held-out ones too: never stored.

    Lineage is "row" for what is recorded with the review or the item. It stays unknown for helpful
    votes (they come after the review, some after the split) and for also_bought and its like:
    Amazon computed those from behaviour that may include the very purchases that a split holds out,
    so `audit` cannot call them clean.
    Official address: https://snap.stanford.edu/data/amazon/productGraph/categoryFiles/ (2014),
    https://amazon-reviews-2023.github.io (2023).
    """
    if errors not in ("raise", "skip"):
        raise ParameterError(
            f"errors={errors!r}: expected 'raise' or 'skip'", asked=errors, there=("raise", "skip")
        )
    file = review_file(path, ADDRESS)
    reader = Reader(file, skip=errors == "skip")
    columns, counts = _collected(reader)
    if not columns["user"]:
        raise ParameterError(
            f"{file}: no reviews in it; expected rows with reviewerID (or user_id) and asin"
        )
    nodes, edges, lineage = _tables(columns)
    if metadata is not None:
        file_of_items = review_file(metadata, ADDRESS, meta=True)
        counts |= add_metadata(file_of_items, nodes, edges, lineage, skip=errors == "skip")
    if report is not None:
        report.update(counts)
    log.info("%s: %s", file, ", ".join(f"{n} {c:,}" for n, c in counts.items()))
    return graph(nodes, edges, lineage)


def _collected(reader: Reader) -> tuple[dict[str, list], dict[str, int]]:
    """The distinct reviews of a file as columns, and counts of its rows."""
    columns: dict[str, list] = {name: [] for name in KINDS}
    row_of: dict[bytes, int] = {}  # what a review says, without its votes -> its row
    counts = {"rows": 0, "duplicates": 0, "unreadable": 0}
    for record in records(reader):
        counts["rows"] += 1
        try:
            row = review(record)
        except ValueError as error:
            reader.bad(str(error), record)
            continue
        votes = {name: row.pop(name) for name in VOTES}
        said = hashlib.blake2b(repr(row).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if said in row_of:
            counts["duplicates"] += 1
            _raise_votes(columns, row_of[said], votes)
            continue
        row_of[said] = len(columns["user"])
        for name, value in (row | votes).items():
            columns[name].append(value)
    counts["unreadable"] = reader.skipped
    counts["rows"] += reader.skipped_lines
    return columns, counts


def _raise_votes(columns: dict[str, list], row: int, votes: dict[str, int | None]) -> None:
    """Gives a review that was collected twice its later votes, which are the higher ones."""
    old = {name: columns[name][row] for name in VOTES}
    later, former = (
        [-1 if v[name] is None else v[name] for name in ("helpful_total", "helpful_yes")]
        for v in (votes, old)
    )
    if later > former:
        for name, value in votes.items():
            columns[name][row] = value


def _tables(
    columns: dict[str, list],
) -> tuple[dict[str, pa.Table], dict[EdgeType, pa.Table], dict[Any, Any]]:
    table = pa.table({name: pa.array(values, KINDS[name]) for name, values in columns.items()})
    ends = ("user", "item")
    time = numbered(table, ends, ("time", "text", "summary", "rating", "verified")).tolist()
    pairs = zip(*(map(_escaped, table[end].to_pylist()) for end in ends), time, strict=True)
    names = pa.array([f"{u}/{i}" + (f"#{n}" if n > 1 else "") for u, i, n in pairs], pa.string())
    keep = [c for c in KEPT if table[c].null_count < table.num_rows]  # what the file has
    recorded = [c for c in ("rating", "time") if c in keep]
    nodes = {
        "user": pa.table({"id": pc.unique(table["user"])}),
        "item": pa.table({"id": pc.unique(table["item"])}),
        "review": table.select(keep).add_column(0, "id", names),
    }
    edges: dict[EdgeType, pa.Table] = {
        RATES: table.select(["user", "item", *recorded]).rename_columns(["src", "dst", *recorded]),
        WROTE: pa.table({"src": table["user"], "dst": names}),
        ABOUT: pa.table({"src": names, "dst": table["item"]}),
    }
    lineage: dict[Any, Any] = dict.fromkeys(edges, "row")
    lineage["review"] = {c: "row" for c in keep if c not in VOTES}
    return nodes, edges, lineage


def _escaped(part: str) -> str:
    """So that "a/b" of "c" and "a" of "b/c" are two reviews, and the item "x#2" is not the second
    review of "x".
    """
    return part.replace("%", "%25").replace("/", "%2F").replace("#", "%23")
