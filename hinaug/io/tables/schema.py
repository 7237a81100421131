"""The schema language of `hinaug build`: what a section may say, by example and by check."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hinaug.errors import ParameterError, nearest
from hinaug.graph import arrow as tb
from hinaug.graph.schema import EdgeType

EXAMPLE = """\
# A schema says which file gives which nodes and edges. Nothing is stored that is not named here.

[review]                         # a file of reviews: nodes user, item and review, and their edges
file = "reviews.jsonl"           # CSV, TSV, JSON lines or Parquet, also .gz; or "part-*.csv"
user = "reviewerID"              # the columns with the ids
item = "asin"
text = ["summary", "reviewText"] # becomes the column "text"
rating = "overall"               # becomes the column "rating"
time = "unixReviewTime"          # becomes the column "time": seconds, or dates in ISO 8601
# time_format = "%m %d, %Y"      # other dates
# id = "review_id"               # without it the number of the row
# need = ["rating", "time"]      # rows without these are left out

# Ratings without text are edges alone:
# [edge.user.rates.item]         # source, relation, target
# file = "ratings.csv"
# src = "user_id"
# dst = "item_id"
# rating = "stars"
# time = "date"

[node.item]                      # attributes of nodes; types without a [node] section have ids only
file = "items.jsonl"
id = "asin"
keep = ["title", "price"]        # or { name = "title" } to rename, or "all"
text = "description"
lineage = "row"                  # values come from their own row; "aggregate": from other rows

[edge.item.in.category]
file = "items.jsonl"
src = "asin"
dst = "categories"               # a list gives an edge for each entry; a text with split = "|" too

[edge.item.also_bought.item]
file = "items.jsonl"
src = "asin"
dst = "related.also_bought"      # a field of a nested record
missing = "drop"                 # ids that are no nodes yet: "add" them (default) or "drop" edges
lineage = "aggregate"

# Above all sections may stand
# null = ["NA", "-"]             # words that mean nothing
# duplicates = "keep"            # also rows that repeat another one in every column
# encoding = "latin-1"           # of CSV files
"""

COMMON = ("file", "keep", "text", "rating", "time", "time_format", "lineage", "need")
KEYS = {
    "node": (*COMMON, "id"),
    "edge": (*COMMON, "src", "dst", "split", "missing"),
    "review": (*COMMON, "id", "user", "item"),
}
HOW_NODES = "sections of nodes are written [node.TYPE], such as [node.item]"
HOW_EDGES = (
    "sections of edges are written [edge.SOURCE.RELATION.TARGET], such as [edge.user.rates.item]"
)


def parse(path: Path) -> dict[str, Any]:
    """A schema file. ValueError with the file's name where it is no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path} is no TOML: {error}") from error


def check(schema: Mapping[str, Any]) -> None:
    """ParameterError for a key or a value that the language does not have."""
    _known(schema, ("node", "edge", "review", "null", "duplicates", "encoding"), "the schema")
    nodes, edges = node_sections(schema), edge_sections(schema)
    if not nodes and not edges and "review" not in schema:
        raise ParameterError(
            "the schema has no section [node.TYPE], [edge.SOURCE.RELATION.TARGET] or [review]"
        )
    if not are_words(schema.get("null", [])):
        raise ParameterError(f'null = {schema["null"]!r}: a list of words, such as ["NA"]')
    _one_of(schema, "duplicates", ("drop", "keep"), "the schema")
    for type, section in nodes.items():
        _check_section(section, "node", f"[node.{type}]")
    for edge, section in edges.items():
        ends = {**nodes, "review": schema.get("review")}
        _check_edge(section, edge, ends, f"[edge.{'.'.join(edge)}]")
    if "review" in schema:
        _check_section(schema["review"], "review", "[review]")
        for end in ("user", "item"):
            if end not in schema["review"]:
                raise _no_ids("[review]", end, end)


def _check_edge(
    section: Mapping[str, Any], edge: EdgeType, nodes: Mapping[str, Any], where: str
) -> None:
    """nodes: the sections of node types; an end may be left out where it is the row itself."""
    _check_section(section, "edge", where)
    _one_of(section, "missing", ("add", "drop"), where)
    for side, end in (("src", edge[0]), ("dst", edge[2])):
        if side not in section and not _is_row(nodes.get(end), section):
            raise _no_ids(where, side, end)


def _no_ids(where: str, key: str, node: str) -> ParameterError:
    return ParameterError(
        f"{where}: no {key!r}; it names the column with the ids of the {node}s", asked=key
    )


def _is_row(node: Any, edge: Mapping[str, Any]) -> bool:
    """Whether the node of an end is the row itself: its section reads the same file and names no
    ids.
    """
    return isinstance(node, Mapping) and "id" not in node and node.get("file") == edge.get("file")


def _check_section(section: Any, kind: str, where: str) -> None:
    _known(section, KEYS[kind], where)
    for key, value in section.items():
        expected, is_right = VALUES.get(key, ("", lambda value: True))
        if not is_right(value):
            raise ParameterError(f"{where} {key} = {value!r}: {expected}", asked=value)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_word_or_words(value: Any) -> bool:
    return isinstance(value, str) or (are_words(value) and bool(value))


def _is_keep(value: Any) -> bool:
    renamed = isinstance(value, Mapping) and are_words(list(value.values()))
    return renamed or value == "all" or are_words(value)


def _is_lineage(value: Any) -> bool:
    words = value.values() if isinstance(value, Mapping) else [value]
    return all(word is None or word in tb.LINEAGES for word in words)


# what a key may say, in words and as a check
VALUES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "file": ("one name or pattern", _is_word),
    **dict.fromkeys(("id", "src", "dst", "user", "item"), ("one column", _is_word)),
    **dict.fromkeys(("rating", "time"), ("one column", _is_word)),
    **dict.fromkeys(("split", "time_format"), ("one text", _is_word)),
    **dict.fromkeys(("text", "need"), ("a column, or a list of columns", _is_word_or_words)),
    "keep": ('a list of columns, { new = "old" }, or "all"', _is_keep),
    "lineage": (f"one of {tb.LINEAGES}, or {{ column = one of them }}", _is_lineage),
}


def _known(section: Any, keys: Sequence[str], where: str) -> None:
    if not isinstance(section, Mapping):
        raise ParameterError(f"{where} is {section!r}; expected a section with {list(keys)}")
    for key in section:
        if key not in keys:
            raise ParameterError(
                f"{where}: unknown {key!r}; there may be {list(keys)}{nearest(key, keys)}",
                asked=key,
                there=list(keys),
            )


def _one_of(section: Mapping[str, Any], key: str, words: Sequence[str], where: str) -> None:
    if section.get(key, words[0]) not in words:
        raise ParameterError(
            f"{where}: {key} = {section[key]!r}; expected one of {list(words)}",
            asked=section[key],
            there=words,
        )


def are_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(w, str) for w in value)


def node_sections(schema: Mapping[str, Any]) -> dict[str, Any]:
    """{type: section}."""
    found = schema.get("node", {})
    if not isinstance(found, Mapping) or not all(isinstance(s, Mapping) for s in found.values()):
        raise ParameterError(HOW_NODES)
    return dict(found)


def edge_sections(schema: Mapping[str, Any]) -> dict[EdgeType, Any]:
    """{(source, relation, target): section}."""
    level: dict[tuple[str, ...], Any] = {(): schema.get("edge", {})}
    for _ in range(3):
        if not all(isinstance(part, Mapping) for part in level.values()):
            raise ParameterError(HOW_EDGES)
        level = {
            (*path, name): part for path, parts in level.items() for name, part in parts.items()
        }
    if not all(isinstance(section, Mapping) for section in level.values()):
        raise ParameterError(HOW_EDGES)
    return {
        (source, relation, target): section for (source, relation, target), section in level.items()
    }
