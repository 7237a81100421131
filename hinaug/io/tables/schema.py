"""The schema language of `hinaug build`: what a section may say, by example and by check."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hinaug.errors import ParameterError, nearest
from hinaug.graph import arrow as tb
from hinaug.graph.schema import EdgeType
from hinaug.io.tables.database import check_address, check_query
from hinaug.io.tables.records import FORM

EXAMPLE = """\
# A schema says which file gives which nodes and edges. Nothing is stored that is not named here.

[review]                         # a file of reviews: nodes user, item and review, and their edges
file = "reviews.jsonl"           # text, JSON, Parquet or Arrow, also packed; or "part-*.csv"
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

# How a file of delimited text is written is seen from its first lines. A section may say it, too:
# [edge.user.likes.book]
# file = "user_book.dat"
# columns = ["user", "book"]     # names, for a file without a header line
# delimiter = "::"               # any text; "blanks" is a run of blanks and tabs
# decimal = ","                  # numbers such as 1.234,5
# quote = false                  # quotes are text; the rule but in .csv files
# escape = true                  # a quote inside quotes is written \\"
# comment = "#"                  # lines that start with it are left out
# encoding = "latin-1"           # of JSON lines, too; UTF-16 is known by its mark
# src = "user"
# dst = "book"

# A query of a database stands in place of a file. It is read only, and its rows are sorted by
# their columns, so the same rows give the same graph. Decimals become numbers, times with a zone
# UTC, uuid and JSON text. Passwords: ${NAME} is the environment variable NAME.
# [node.shop]
# database = "duckdb:///shop.db" # or "sqlite:///shop.db", "postgresql://ann:${PASSWORD}@host/shop"
# query = "SELECT id, city FROM shop"
# id = "id"
# keep = "all"

# Above all sections may stand
# null = ["NA", "-"]             # words that mean nothing
# duplicates = "keep"            # also rows that repeat another one in every column
# and delimiter, decimal, quote, escape, comment, encoding, header and database, for all sections
"""

SOURCE = ("file", "query", "database", *FORM)
COMMON = (*SOURCE, "keep", "text", "rating", "time", "time_format", "lineage", "need")
SHARED = (*(key for key in FORM if key != "columns"), "database")  # above all sections
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
        raise ParameterError(f"{path} is no TOML: {error}", asked=str(path)) from error


def check(schema: Mapping[str, Any]) -> None:
    """ParameterError for a key or a value that the language does not have."""
    _known(schema, ("node", "edge", "review", "null", "duplicates", *SHARED), "the schema")
    nodes, edges = node_sections(schema), edge_sections(schema)
    if not nodes and not edges and "review" not in schema:
        raise ParameterError(
            "the schema has no section [node.TYPE], [edge.SOURCE.RELATION.TARGET] or [review]"
        )
    _check_above(schema)
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


def _check_above(schema: Mapping[str, Any]) -> None:
    """What stands above all sections."""
    if not are_words(schema.get("null", [])):
        raise ParameterError(
            f'null = {schema["null"]!r}: a list of words, such as ["NA"]', asked=schema["null"]
        )
    _one_of(schema, "duplicates", ("drop", "keep"), "the schema")
    _check_values({key: schema[key] for key in SHARED if key in schema}, "the schema:")


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
    if not isinstance(node, Mapping) or "id" in node:
        return False
    return all(node.get(key) == edge.get(key) for key in ("file", "query"))


def _check_section(section: Any, kind: str, where: str) -> None:
    _known(section, KEYS[kind], where)
    _check_values(section, where)
    if "query" in section and "file" in section:
        raise ParameterError(
            f"{where}: rows come from a file or from a query; keep one of the two",
            asked=["file", "query"],
        )


def _check_values(section: Mapping[str, Any], where: str) -> None:
    for key, value in section.items():
        if key == "database":  # without the value, which may hold a password
            check_address(value, f"{where} database")
            continue
        expected, is_right = VALUES.get(key, ("", lambda value: True))
        if not is_right(value):
            raise ParameterError(f"{where} {key} = {value!r}: {expected}", asked=value)
        if key == "query":
            check_query(value, f"{where} query")


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_word_or_words(value: Any) -> bool:
    return isinstance(value, str) or (are_words(value) and bool(value))


def _is_keep(value: Any) -> bool:
    renamed = isinstance(value, Mapping) and are_words(list(value.values()))
    return renamed or value == "all" or are_words(value)


def _is_names(value: Any) -> bool:
    return are_words(value) and bool(value) and len(set(value)) == len(value)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_lineage(value: Any) -> bool:
    words = value.values() if isinstance(value, Mapping) else [value]
    return all(word is None or word in tb.LINEAGES for word in words)


# what a key may say, in words and as a check
VALUES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "file": ("one name or pattern", _is_word),
    "query": ("one SELECT", _is_word),
    "columns": ("a list of names, each once", _is_names),
    **dict.fromkeys(("header", "quote", "escape"), ("true or false", _is_flag)),
    **dict.fromkeys(("delimiter", "encoding", "comment"), ("one text", _is_word)),
    **dict.fromkeys(("id", "src", "dst", "user", "item"), ("one column", _is_word)),
    **dict.fromkeys(("rating", "time"), ("one column", _is_word)),
    **dict.fromkeys(("split", "time_format"), ("one text", _is_word)),
    **dict.fromkeys(("text", "need"), ("a column, or a list of columns", _is_word_or_words)),
    "decimal": ('"." or ","', lambda value: value in (".", ",")),
    "keep": ('a list of columns, { new = "old" }, or "all"', _is_keep),
    "lineage": (f"one of {tb.LINEAGES}, or {{ column = one of them }}", _is_lineage),
}


def _known(section: Any, keys: Sequence[str], where: str) -> None:
    if not isinstance(section, Mapping):
        raise ParameterError(
            f"{where} is {section!r}; expected a section with {list(keys)}",
            asked=section,
            there=list(keys),
        )
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
        raise ParameterError(HOW_NODES, asked=found)
    return dict(found)


def edge_sections(schema: Mapping[str, Any]) -> dict[EdgeType, Any]:
    """{(source, relation, target): section}."""
    level: dict[tuple[str, ...], Any] = {(): schema.get("edge", {})}
    for _ in range(3):
        if not all(isinstance(part, Mapping) for part in level.values()):
            raise ParameterError(HOW_EDGES, asked=schema["edge"])
        level = {
            (*path, name): part for path, parts in level.items() for name, part in parts.items()
        }
    if not all(isinstance(section, Mapping) for section in level.values()):
        raise ParameterError(HOW_EDGES, asked=schema["edge"])
    return {
        (source, relation, target): section for (source, relation, target), section in level.items()
    }
