"""Amazon product metadata: titles, prices, brands, categories and Amazon's own "also bought" lists."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from hinaug.datasets.amazon_files import Reader, plain, records
from hinaug.datasets.files import pairs
from hinaug.hin import EdgeType

RELATED = {  # relation -> the names it has in the files of 2014 (under `related`) and 2018
    "also_bought": ("also_bought", "also_buy"),
    "also_viewed": ("also_viewed", "also_view"),
    "bought_together": ("bought_together",),
    "buy_after_viewing": ("buy_after_viewing",),
}
_TEXT = pa.string()


def add_metadata(
    file: Path, nodes: dict[str, pa.Table], edges: dict[EdgeType, pa.Table], lineage: dict[Any, Any], skip: bool
) -> dict[str, int]:
    """Puts what the file says of the graph's items into the tables; gives counts."""
    ids = nodes["item"]["id"].to_pylist()
    known, found, repeated = set(ids), dict[str, Mapping[str, Any]](), 0
    reader = Reader(file, skip)
    for record in records(reader):
        item = str(record.get("asin") or "").strip()
        if not item:
            reader.bad("no asin", record)
        elif item in found:
            repeated += 1
        elif item in known:
            found[item] = record
    rows = [found.get(i, {}) for i in ids]
    brands = [(i, b) for i, r in zip(ids, rows, strict=True) if (b := _brand(r.get("brand")))]
    categories = [(i, c) for i, r in zip(ids, rows, strict=True) for c in _unique(_categories(r))]
    nodes["item"] = pa.table(
        {
            "id": nodes["item"]["id"],
            "title": pa.array([_clean(r.get("title")) for r in rows], _TEXT),
            "price": pa.array([_price(r.get("price")) for r in rows], pa.float32()),
            "text": pa.array([_words(r) for r in rows], _TEXT),
        }
    )
    lineage["item"] = "row"
    for type, links in (("brand", brands), ("category", categories)):
        relation = ("item", "made_by" if type == "brand" else "in", type)
        if links:
            nodes[type] = pa.table({"id": pa.array(sorted({b for _, b in links}), _TEXT)})
            edges[relation] = pairs(links, _TEXT, _TEXT)
            lineage[relation] = "row"
    for name, fields in RELATED.items():  # their lineage stays unknown: computed by Amazon from behaviour
        near = [
            (i, j)
            for i, r in zip(ids, rows, strict=True)
            for j in _unique(_related(r, fields))
            if j in known and j != i
        ]
        if near:
            edges["item", name, "item"] = pairs(near, _TEXT, _TEXT)
    return {"metadata_items": len(found), "metadata_repeated": repeated, "metadata_unreadable": reader.skipped}


def _unique(values: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _clean(value: Any) -> str | None:
    """One line of plain text; in files of 2018 some titles are a page's script, which is no title."""
    if not isinstance(value, str) or "getTime()" in value:
        return None
    return " ".join(plain(value).split()) or None


def _brand(value: Any) -> str | None:
    brand = _clean(value)
    return brand.removeprefix("by ").strip() or None if brand else None


def _price(value: Any) -> float | None:
    """A number, or text such as "$1,234.50"; a range or anything else is not one price."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    money = re.fullmatch(r"\s*\$?\s*([\d,]+(?:\.\d+)?)\s*", value) if isinstance(value, str) else None
    return float(money[1].replace(",", "")) if money and money[1].strip(",") else None


def _words(record: Mapping[str, Any]) -> str | None:
    description = record.get("description")
    parts = description if isinstance(description, list) else [description]
    return " ".join(p for p in (_clean(record.get("title")), *map(_clean, parts)) if p) or None


def _categories(record: Mapping[str, Any]) -> Iterator[str]:
    """2014: `categories`, a list of paths; 2018: `category`, one flat list."""
    todo = [record.get("categories"), record.get("category")]
    while todo:
        value = todo.pop(0)
        if isinstance(value, list):
            todo = [*value, *todo]
        elif name := _clean(value):
            yield name


def _related(record: Mapping[str, Any], fields: tuple[str, ...]) -> Iterator[str]:
    related = record.get("related")
    for place in (related if isinstance(related, Mapping) else {}, record):
        for field in fields:
            values = place.get(field)
            yield from (str(v) for v in values) if isinstance(values, list) else ()
