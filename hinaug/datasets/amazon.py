"""Amazon product reviews: user, item and review nodes with text, from the files of 2014 and 2018 or their CSV form.

Sources: R. He and J. McAuley, "Ups and Downs", WWW 2016, and J. McAuley et al., SIGIR 2015 (files of 2014);
J. Ni, J. Li and J. McAuley, EMNLP 2019 (files of 2018). Terms: none stated by the publishers; cite the papers.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from hinaug.datasets.amazon_files import Reader, plain, records, review_file
from hinaug.datasets.amazon_meta import add_metadata
from hinaug.datasets.files import in_order
from hinaug.hin import HIN, EdgeType

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


def amazon_reviews(
    path: Any, metadata: Any = None, *, errors: str = "raise", report: dict[str, int] | None = None
) -> HIN:
    """A graph of users, items and reviews.

    path: a file, or a folder that holds one: JSON lines of 2014 (also the early ones in Python's notation) or 2018, or
        CSV with the same field names; .json, .jsonl, .csv, each also .gz, and .csv.zip.
    metadata: a meta_* file (JSON lines, either year), or a folder with one. See below.
    errors: "raise" stops at the first row that cannot be read, with file, line and content; "skip" counts such rows.
    report: a dict that is filled with counts: rows, duplicates, unreadable, [metadata_*]. They are logged too.

    Types: user; item; review (text, summary, rating, time in seconds; helpful_yes and helpful_total where the file has
    votes, verified where it says so); ("user", "rates", "item") with rating and time, one row a review;
    ("user", "wrote", "review"); ("review", "about", "item"). A review is called "user/item", the next "user/item#2".
    HTML entities in text are read; blank text is null. Rows repeated in full are dropped and counted; several reviews
    of an item by one user stay, as reviews and as rows. Rows are sorted by user, time and item. Names of
    reviewers, pictures and style options are never stored.

    With metadata, for items that have reviews: item columns title, price, text (title and description); nodes brand and
    category with ("item", "made_by", "brand") and ("item", "in", "category"); and, between items of the graph,
    ("item", "also_bought", "item"), also_viewed, bought_together, buy_after_viewing, as far as the file has them.

    Lineage is "row" for what is recorded with the review or the item. It stays unknown for helpful votes (they come
    after the review, some after the split) and for also_bought and its like: Amazon computed those from behaviour that
    may include the very purchases that a split holds out, so `audit` cannot call them clean.
    Official address: https://snap.stanford.edu/data/amazon/productGraph/categoryFiles/ (2014).
    """
    if errors not in ("raise", "skip"):
        raise ValueError(f"errors={errors!r}: expected 'raise' or 'skip'")
    file = review_file(path, ADDRESS)
    reader = Reader(file, skip=errors == "skip")
    columns: dict[str, list] = {name: [] for name in KINDS}
    seen: set[bytes] = set()
    counts = {"rows": 0, "duplicates": 0, "unreadable": 0}
    for record in records(reader):
        counts["rows"] += 1
        try:
            row = _review(record)
        except (ValueError, TypeError, AttributeError) as error:
            reader.bad(str(error), record)
            continue
        key = hashlib.blake2b(repr(row).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if key in seen:
            counts["duplicates"] += 1
            continue
        seen.add(key)
        for name, values in columns.items():
            values.append(row[name])
    counts["unreadable"] = reader.skipped
    counts["rows"] += reader.skipped_lines
    if not columns["user"]:
        raise ValueError(f"{file}: no reviews in it; expected rows with reviewerID, asin, overall and reviewText")
    nodes, edges, lineage = _tables(columns)
    if metadata is not None:
        counts |= add_metadata(review_file(metadata, ADDRESS, meta=True), nodes, edges, lineage, skip=errors == "skip")
    if report is not None:
        report.update(counts)
    log.info("%s: %s", file, ", ".join(f"{n} {c:,}" for n, c in counts.items()))
    return HIN.from_tables(nodes, edges, lineage=lineage)


def _tables(columns: dict[str, list]) -> tuple[dict[str, pa.Table], dict[EdgeType, pa.Table], dict[Any, Any]]:
    table = pa.table({name: pa.array(values, KINDS[name]) for name, values in columns.items()})
    table = in_order(table, "user", "time", "item", "text", "summary")
    ids, count = [], dict[str, int]()
    for user, item in zip(table["user"].to_pylist(), table["item"].to_pylist(), strict=True):
        pair = f"{user}/{item}"
        count[pair] = count.get(pair, 0) + 1
        ids.append(pair if count[pair] == 1 else f"{pair}#{count[pair]}")
    review = pa.array(ids, pa.string())
    keep = [
        "text",
        "summary",
        "rating",
        "time",
        *(c for c in ("helpful_yes", "helpful_total", "verified") if _some(table, c)),
    ]
    nodes = {
        "user": pa.table({"id": pa.array(sorted(set(columns["user"])), pa.string())}),
        "item": pa.table({"id": pa.array(sorted(set(columns["item"])), pa.string())}),
        "review": table.select(keep).add_column(0, "id", review),
    }
    edges: dict[EdgeType, pa.Table] = {
        RATES: pa.table({"src": table["user"], "dst": table["item"], "rating": table["rating"], "time": table["time"]}),
        WROTE: pa.table({"src": table["user"], "dst": review}),
        ABOUT: pa.table({"src": review, "dst": table["item"]}),
    }
    lineage: dict[Any, Any] = dict.fromkeys(edges, "row")
    lineage["review"] = {c: "row" for c in keep if not c.startswith("helpful")}
    return nodes, edges, lineage


def _some(table: pa.Table, name: str) -> bool:
    return table[name].null_count < table.num_rows


def _review(record: Mapping[str, Any]) -> dict[str, Any]:
    """One record of any of the forms as one row; raises ValueError for a record that names no user or no item."""
    user, item = (str(record.get(name) or "").strip() for name in ("reviewerID", "asin"))
    if not user or not item:
        raise ValueError(f"no {'asin' if user else 'reviewerID'}")
    yes, total = _votes(record)
    return {
        "user": user,
        "item": item,
        "time": _time(record),
        "rating": _number(record.get("overall")),
        "text": _text(record.get("reviewText")),
        "summary": _text(record.get("summary")),
        "helpful_yes": yes,
        "helpful_total": total,
        "verified": _truth(record.get("verified")),
    }


def _text(value: Any) -> str | None:
    return (plain(value).strip() or None) if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    return None if value is None or value == "" else float(value)


def _truth(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return value if isinstance(value, bool) else None


def _votes(record: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """2014: `helpful` is [yes, all], in CSV as text; 2018: `vote` is text such as "1,234", absent for none."""
    value = record.get("helpful")
    if value is not None and value != "":
        found = re.findall(r"\d+", value) if isinstance(value, str) else list(value)
        if len(found) != 2:
            raise ValueError(f"helpful is {value!r}, expected [yes, all]")
        return int(found[0]), int(found[1])
    vote = record.get("vote")
    return (int(str(vote).replace(",", "").partition(".")[0]), None) if vote not in (None, "") else (None, None)


def _time(record: Mapping[str, Any]) -> int | None:
    stamp = record.get("unixReviewTime")
    if stamp not in (None, ""):
        return int(float(stamp))
    day = re.fullmatch(r"\s*(\d{1,2}) (\d{1,2}), (\d{4})\s*", str(record.get("reviewTime") or ""))
    return int(datetime(int(day[3]), int(day[1]), int(day[2]), tzinfo=UTC).timestamp()) if day else None
