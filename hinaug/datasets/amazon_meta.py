"""Amazon product metadata: titles, prices, brands, categories and Amazon's own "also bought" lists."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
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
    known, found, repeated = set(ids), dict[str, Mapping[str, Any]](), 0
    reader = Reader(file, skip, meta=True)
    for record in records(reader):
        item = _item(record)
        if not item:
            reader.bad("no asin", record)
        elif item in found:
            repeated += 1
        elif item in known:
            found[item] = record
    rows = [found.get(i, {}) for i in ids]
    if not found:
        log.warning(
            "%s: no item of the reviews is in it; is it of the same category and year?", file
        )
    brands = [(i, b) for i, r in zip(ids, rows, strict=True) for b in _unique(_brands(r))]
    categories = [(i, c) for i, r in zip(ids, rows, strict=True) for c in _unique(_categories(r))]
    columns = {
        "title": pa.array([_line(r.get("title")) for r in rows], _TEXT),
        "price": pa.array([_price(r.get("price")) for r in rows], pa.float32()),
        "text": pa.array([_words(r) for r in rows], _TEXT),
    }
    there = {name: values for name, values in columns.items() if values.null_count < len(values)}
    nodes["item"] = pa.table({"id": nodes["item"]["id"], **there})
    lineage["item"] = "row"
    for type, links in (("brand", brands), ("category", categories)):
        relation = ("item", "made_by" if type == "brand" else "in", type)
        if links:
            nodes[type] = pa.table({"id": pa.array(sorted({b for _, b in links}), _TEXT)})
            edges[relation] = pairs(links, _TEXT, _TEXT)
            lineage[relation] = "row"
    for (
        name,
        fields,
    ) in RELATED.items():  # their lineage stays unknown: computed by Amazon from behaviour
        near = [
            (i, j)
            for i, r in zip(ids, rows, strict=True)
            for j in _unique(_related(r, fields))
            if j in known and j != i
        ]
        if near:
            edges["item", name, "item"] = pairs(near, _TEXT, _TEXT)
    return {
        "metadata_items": len(found),
        "metadata_repeated": repeated,
        "metadata_unreadable": reader.skipped,
    }


def _item(record: Mapping[str, Any]) -> str:
    try:
        return identity(record.get("parent_asin")) or identity(record.get("asin"))
    except UnicodeEncodeError:
        return ""


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


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
    return (
        " ".join(
            part
            for name in ("title", "description", "features")
            for part in _lines(record.get(name))
        )
        or None
    )


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
