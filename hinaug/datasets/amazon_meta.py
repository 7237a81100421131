"""Amazon product metadata: titles, prices, brands, categories, and lists such as "also bought"."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from hinaug.datasets.amazon_files import Reader, records
from hinaug.datasets.amazon_values import identity, leaves, literal, plain
from hinaug.datasets.files import pairs
from hinaug.graph.schema import EdgeType

RELATED = {  # relation -> the names it has in the files of 2014 (under `related`), 2018 and 2023
    "also_bought": ("also_bought", "also_buy"),
    "also_viewed": ("also_viewed", "also_view"),
    "bought_together": ("bought_together",),
    "buy_after_viewing": ("buy_after_viewing",),
}
_TEXT = pa.string()
log = logging.getLogger(__name__)


def add_metadata(
    file: Path,
    nodes: dict[str, pa.Table],
    edges: dict[EdgeType, pa.Table],
    lineage: dict[Any, Any],
    skip: bool,
) -> dict[str, int]:
    """Puts what the file says of the graph's items into the tables; gives counts."""
    ids = nodes["item"]["id"].to_pylist()
    reader = Reader(file, skip, meta=True)
    found, repeated = _found(reader, set(ids))
    if not found:
        log.warning(
            "%s: no item of the reviews is in it; is it of the same category and year?", file
        )
    rows = {item: found.get(item, {}) for item in ids}
    nodes["item"] = pa.table({"id": nodes["item"]["id"], **_columns(list(rows.values()))})
    lineage["item"] = "row"
    for relation, type, names in (("made_by", "brand", _brands), ("in", "category", _categories)):
        links = _links(rows, names)
        if links:
            names_in_use = list(dict.fromkeys(name for _, name in links))
            nodes[type] = pa.table({"id": pa.array(names_in_use, _TEXT)})
            edges["item", relation, type] = pairs(links, _TEXT, _TEXT)
            lineage["item", relation, type] = "row"
    for relation, fields in RELATED.items():  # lineage unknown: Amazon computed it from behaviour
        links = _links_among(rows, fields)
        if links:
            edges["item", relation, "item"] = pairs(links, _TEXT, _TEXT)
    return {
        "metadata_items": len(found),
        "metadata_repeated": repeated,
        "metadata_unreadable": reader.skipped,
    }


def _found(reader: Reader, known: set[str]) -> tuple[dict[str, Mapping[str, Any]], int]:
    """{item: its first record} of the known items, and how many records came again."""
    found, repeated = dict[str, Mapping[str, Any]](), 0
    for record in records(reader):
        item = _item(record)
        if not item:
            reader.bad("no asin", record)
        elif item in found:
            repeated += 1
        elif item in known:
            found[item] = record
    return found, repeated


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, pa.Array]:
    """Title, price and text of each record; columns without any value are left out."""
    columns = {
        "title": pa.array([_line(r.get("title")) for r in rows], _TEXT),
        "price": pa.array([_price(r.get("price")) for r in rows], pa.float32()),
        "text": pa.array([_words(r) for r in rows], _TEXT),
    }
    return {name: values for name, values in columns.items() if values.null_count < len(values)}


def _links(
    rows: Mapping[str, Mapping[str, Any]], names: Callable[[Mapping[str, Any]], Iterable[str]]
) -> list[tuple[str, str]]:
    """(item, name) for each distinct name that an item's record has."""
    return [(item, name) for item, row in rows.items() for name in dict.fromkeys(names(row))]


def _links_among(
    rows: Mapping[str, Mapping[str, Any]], fields: tuple[str, ...]
) -> list[tuple[str, str]]:
    """(item, other item) for each other item of the graph that the fields of a record name."""
    links = _links(rows, partial(_related, fields=fields))
    return [(item, other) for item, other in links if other in rows and other != item]


def _item(record: Mapping[str, Any]) -> str:
    try:
        return identity(record.get("parent_asin")) or identity(record.get("asin"))
    except UnicodeEncodeError:
        return ""


def _lines(value: Any) -> Iterator[str]:
    """Lines of plain text; in files of 2018 some titles are a page's script, which is no title."""
    for part in leaves(value):
        if "getTime()" not in part and (line := " ".join(plain(part).split())):
            yield line


def _line(value: Any) -> str | None:
    return " ".join(_lines(value)) or None


def _brands(record: Mapping[str, Any]) -> Iterator[str]:
    """`brand`, in files of 2023 `store`; of a list each is one."""
    for brand in _lines(record.get("brand") or record.get("store")):
        if name := brand.removeprefix("by ").strip():
            yield name


def _price(value: Any) -> float | None:
    """A number, or text such as "$1,234.50"; a range or anything else is not one price."""
    money = re.fullmatch(r"\s*\$?\s*([\d,]*\d(?:\.\d+)?)\s*", str(value))
    return float(money[1].replace(",", "")) if money else None


def _words(record: Mapping[str, Any]) -> str | None:
    names = ("title", "description", "features")
    return " ".join(part for name in names for part in _lines(record.get(name))) or None


def _categories(record: Mapping[str, Any]) -> Iterator[str]:
    """2014: `categories`, a list of paths; 2018: `category`, one flat list; 2023: `main_category`
    and a flat list.
    """
    for name in ("main_category", "categories", "category"):
        yield from _lines(record.get(name))


def _related(record: Mapping[str, Any], fields: tuple[str, ...]) -> Iterator[str]:
    related = record.get("related")
    if isinstance(related, str):  # in CSV
        related = literal(related)
    for place in (related if isinstance(related, Mapping) else {}, record):
        for field in fields:
            yield from (v.strip() for v in leaves(place.get(field)))
