"""A first schema for files: their own names in their places, guessed from the names of columns."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from hinaug.errors import HinaugError
from hinaug.io import packed
from hinaug.io.delimited import BLANKS, Dialect, stream_delimited, utf8_of
from hinaug.io.packed import opener
from hinaug.io.tables.database import read_query, tables_of
from hinaug.io.tables.json_lines import is_spread, read_json
from hinaug.io.tables.records import ENDINGS, FORMATS, ending_of, form_of, source_name
from hinaug.io.tables.sniff import dialect_of, first_lines, looks_like_data, split
from hinaug.io.tables.typed import typed_schema
from hinaug.io.tables.values import is_list

ROLES = {  # words in names of columns, the likeliest first
    "user": ("user", "reviewer", "customer", "member", "person", "who", "uid"),
    "item": (
        *("item", "asin", "product", "business", "movie", "book", "song", "track", "recipe"),
        *("article", "isbn", "sku", "game", "what"),
    ),
    "rating": ("rating", "stars", "overall", "score"),
    "time": ("timestamp", "unixreviewtime", "time", "date", "day", "when", "ts", "at"),
    "text": ("text", "reviewtext", "review", "body", "comment", "content"),
}
PAIRS = ("rating", "data", "inter", "event", "click", "order", "purchase", "play", "like", "train")
OWN = ("id", "origin", "confidence", "key")  # names of the store
PROSE = ("txt", "data")  # endings of tables and of other things
_COMMA = re.compile(r"[-+]?\d+,\d+")
_HEAD = 1 << 22  # bytes of a JSON file that are looked at
_MAGIC = ((0, b"SQLite format 3\0", "sqlite"), (8, b"DUCK", "duckdb"))


@dataclass
class Source:
    """What a section reads: `source`, its lines in a schema, such as file = "a.csv".

    nested: {column of records or lists: {path of the values in it: whether a row has several}}.
    type: what its rows are, as far as the names of the files tell. times: columns of times.
    """

    name: str
    source: list[str]
    columns: list[str]
    nested: dict[str, dict[str, bool]] = field(default_factory=dict)
    is_named: bool = True  # whether the file gives the names of its columns
    type: str = ""
    times: Sequence[str] = ()


def draft(paths: Iterable[Path], encoding: str = "utf8") -> str:
    """A schema that builds from the files, with their columns and what could not be read as
    comments.
    """
    head: list[str] = []
    found: list[Source] = []
    for path in paths:
        try:
            found += _sources(path, encoding)
        except (HinaugError, ValueError, OSError) as error:
            head.append(_comment(f"{path.name}: cannot be read: {' '.join(str(error).split())}"))
    sources = _typed(_joined(found))
    head += [_comment(f"{source.name}: {', '.join(source.columns)}") for source in sources]
    parts: list[str] = []
    titles: set[str] = set()
    others = Others(sources)
    for source in sources:
        lines = _section(source, "[review]" in titles, others)
        lines += _left_out(source, lines)
        if lines[0] in titles:  # a second section of that name is no TOML
            lines = [f"# {line}" for line in lines]
        titles.add(lines[0])
        parts.append("\n".join(lines))
    head.append(
        "# A first guess from the names; change what is wrong. hinaug build --example has all."
    )
    if encoding != "utf8":
        head.append(f"encoding = {_quoted(encoding)}")
    return "\n\n".join(["\n".join(head), *parts]) + "\n"


def columns_of(path: Path, encoding: str = "utf8") -> list[str]:
    """The names of the columns of a file."""
    return [name for source in _sources(path, encoding) for name in source.columns]


# ---- what there is -------------------------------------------------------------------------------


def database_of(path: Path) -> str | None:
    """ "sqlite" or "duckdb" for a database file, by its first bytes; else None."""
    with path.open("rb") as file:
        start = file.read(32)
    return next((kind for at, mark, kind in _MAGIC if start[at : at + len(mark)] == mark), None)


def is_table(path: Path) -> bool:
    """Whether a file of a folder is looked at: a table, not prose, or a database."""
    try:
        ending = ending_of(path)
    except HinaugError:
        return True  # the reason is told where it is read
    if ending in PROSE:
        return _is_even(path)
    return ending in ENDINGS or database_of(path) is not None


def _is_even(path: Path) -> bool:
    """Whether all lines have as many fields, and more than one."""
    try:
        dialect = dialect_of(opener(path), {}, ending_of(path), path)
        lines = first_lines(opener(path), dialect.encoding)
    except (HinaugError, OSError, EOFError):
        return True  # the reason is told where it is read
    widths = {len(split(line, dialect.delimiter)) for line in lines}
    return len(lines) > 1 and len(widths) == 1 and widths != {1}


def _sources(path: Path, encoding: str) -> list[Source]:
    kind = database_of(path)
    if kind is not None:
        return _of_database(path, f"{kind}:///{quote(path.as_posix())}")
    form, file = form_of(path, {}), _file(source_name(path))
    if form in ("parquet", "arrow"):
        schema = typed_schema(path, form)
    elif form == "json":
        schema = _head_of_json(path, encoding)
    else:
        return [_of_text(path, file, encoding)]
    return [_typed_source(source_name(path), [file], schema)]


def _typed_source(name: str, source: list[str], schema: pa.Schema) -> Source:
    nested = {f.name: dict(_paths(f)) for f in schema if pa.types.is_nested(f.type)}
    times = [f.name for f in schema if pa.types.is_timestamp(f.type) or pa.types.is_date(f.type)]
    return Source(name, source, schema.names, nested, times=times)


def _paths(column: pa.Field, above: str = "", in_list: bool = False) -> Iterator[tuple[str, bool]]:
    """(path, whether a row has several values) of each value that a name can reach."""
    kind, path = column.type, above + column.name
    while is_list(kind):
        kind, in_list = kind.value_type, True
    if pa.types.is_struct(kind):
        for inner in kind:
            yield from _paths(inner, f"{path}.", in_list)
    elif not pa.types.is_nested(kind):
        yield path, in_list


def _joined(sources: Sequence[Source]) -> list[Source]:
    """Files of the same columns whose names differ in their numbers as one: part-*.jsonl."""
    parts: dict[tuple[str, ...], list[Source]] = {}
    for source in sources:
        is_file = source.source[0].startswith("file")
        name = re.sub(r"\d+", "*", source.name) if is_file else source.name
        parts.setdefault((name, *source.columns), []).append(source)
    return [
        one if not more else replace(one, name=name, source=[_file(name), *one.source[1:]])
        for (name, *_), (one, *more) in parts.items()
    ]


def _file(name: str) -> str:
    return f"file = {_quoted(name)}"


def _of_database(path: Path, address: str) -> list[Source]:
    found = []
    for table in tables_of(address):
        names = ".".join('"{}"'.format(part.replace('"', '""')) for part in table)
        query, name = f"SELECT * FROM {names}", table[-1]
        rows = read_query(address, f"{query} LIMIT 100", f"table {name}").rows
        source = [f"database = {_quoted(address)}", f"query = {_quoted(query)}"]
        found.append(_typed_source(f"{path.name}, table {name}", source, rows.schema))
    return found


def _head_of_json(path: Path, encoding: str) -> pa.Schema:
    with utf8_of(opener(path), encoding) as stream:
        head = stream.read(_HEAD)
    lines = head[: head.rfind(b"\n") + 1]
    if len(head) < _HEAD or not lines or lines.lstrip()[:1] == b"[" or is_spread(lines):
        return read_json(opener(path), path, encoding).table.schema
    return read_json(lambda: io.BytesIO(lines), path).table.schema


def _of_text(path: Path, file: str, encoding: str) -> Source:
    source = opener(path)
    dialect = dialect_of(source, {"encoding": encoding}, ending_of(path), path)
    lines = first_lines(source, encoding)
    if not looks_like_data(lines, dialect):
        schema, _ = stream_delimited(source, dialect, name=path)
        said = [file, *_decimal(lines[1:], dialect)]
        return Source(source_name(path), said, schema.names)
    names = _made_up(source_name(path), len(split(lines[0], dialect.delimiter)))
    form = [*_delimiter(dialect), *_decimal(lines, dialect)]
    said = [file, f"columns = {_list(names)}", *form]
    return Source(source_name(path), said, names, is_named=False)


def _delimiter(dialect: Dialect) -> list[str]:
    is_plain = dialect.delimiter in (",", BLANKS)
    return [] if is_plain else [f"delimiter = {_quoted(dialect.delimiter)}"]


def _decimal(rows: Sequence[str], dialect: Dialect) -> list[str]:
    """Whether a column holds numbers with a decimal comma alone."""
    fields = [[cell.strip().strip('"') for cell in split(r, dialect.delimiter)] for r in rows]
    columns = zip(*fields, strict=False) if dialect.delimiter != "," else ()
    is_comma = any(all(map(_COMMA.fullmatch, column)) for column in columns)
    return ['decimal = ","'] if is_comma else []


def _made_up(name: str, n: int) -> list[str]:
    """Names for the columns of a file such as user_book.dat."""
    words = _two_words(name)
    if words is None or n < 2:
        return [f"column_{k}" for k in range(1, n + 1)]
    names = [words[0], words[1] if words[1] != words[0] else f"{words[1]}_2"]
    return [*names, *(f"value_{k}" for k in range(1, n - 1))]


def _two_words(name: str) -> tuple[str, str] | None:
    words = re.findall(r"[^\W\d_]+", name.split(".")[0])
    return (words[0].lower(), words[1].lower()) if len(words) == 2 else None


# ---- what it may mean ----------------------------------------------------------------------------


class Others:
    """What is known of all sources together.

    types: of their rows. shared: names of columns that stand in several.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.types = {source.type for source in sources}
        counts = Counter(name for source in sources for name in source.columns)
        self.shared = {name for name, n in counts.items() if n > 1}

    def like(self, kind: str) -> str:
        """The type that is called like a user, or like an item; else the word itself."""
        return next((word for word in ROLES[kind] if word in self.types), kind)


def _typed(sources: Sequence[Source]) -> list[Source]:
    """With the types: the name of the file without its ending, or, where several have the same, the
    ending: u.user, u.item.
    """
    stems = Counter(map(_stem, sources))
    return [replace(source, type=_type(_told(source, stems))) for source in sources]


def _told(source: Source, stems: Counter[str]) -> str:
    suffixes = [suffix[1:].lower() for suffix in Path(source.name).suffixes]
    stem, ending = _stem(source), [s for s in ["", *suffixes] if s not in packed.ENDINGS][-1]
    is_format = ending in FORMATS or not source.source[0].startswith("file")
    return stem if stems[stem] == 1 or is_format else ending


def _section(source: Source, has_review: bool, others: Others) -> list[str]:
    """The lines of a section."""
    columns = [name for name in source.columns if name not in source.nested]
    role = {kind: _named(columns, words) for kind, words in ROLES.items()}
    role["time"] = role["time"] or next(iter(source.times), None)
    ends = _ends(source, columns, others)
    if role["user"] and role["item"] and source.is_named:
        return _of_pairs(source, role, has_review, others.types)
    return _of_edges(source, ends, columns) if ends else _of_nodes(source, columns, role, others)


def _left_out(source: Source, lines: Sequence[str]) -> list[str]:
    """What the section does not keep, as comments."""
    told = " ".join(lines[1 + len(source.source) :])
    rest = [name for name in source.columns if _quoted(name) not in told]
    paths = {p: several for n in rest for p, several in source.nested.get(n, {n: False}).items()}
    lists = [path for path, several in paths.items() if several]
    out = [_comment(f"not kept: {', '.join(paths)}")] if paths else []
    if lists:
        out.append(
            _comment(f"as dst of an [edge] section, an edge for each entry: {', '.join(lists)}")
        )
    return out


def _comment(text: str) -> str:
    """A line that TOML passes over, which may hold no control character."""
    plain = re.sub(r"[\x00-\x1f\x7f]+", " ", text)
    return f"# {plain}"


def _ends(source: Source, columns: Sequence[str], others: Others) -> tuple[str, str] | None:
    """The types that the rows join: those of the file's name, or of two columns of ids. Files of
    numbers alone that are called ratings, or u.data, join users and items.

    With more columns the second id must be of nodes that another source describes, and the first
    not the row's own: user_artists.dat with userID, artistID, weight beside artists.dat.
    """
    if not source.is_named:
        return _unnamed_ends(source, others) if len(columns) > 1 else None
    ids = _ids(columns)
    if len(ids) < 2:
        return None
    ends = (_type(ids[0]), _type(ids[1]))
    is_link = ends[1] in others.types and ends[0] not in ("thing", source.type)
    return ends if is_link or len(columns) == len(ids) == 2 else None


def _unnamed_ends(source: Source, others: Others) -> tuple[str, str] | None:
    if source.type in PAIRS:
        return others.like("user"), others.like("item")
    return _two_words(source.name)


def _ids(columns: Sequence[str]) -> list[str]:
    return [name for name in columns if "id" in _words(name)]


def _of_nodes(
    source: Source, columns: Sequence[str], role: dict[str, Any], others: Others
) -> list[str]:
    key = _key(columns, others) or role["item"] or role["user"] or "".join(columns[:1])
    rest = [name for name in columns if name not in (key, *OWN)]
    keys = [f"id = {_quoted(key)}", f"keep = {_list(rest)}"]
    return [f"[node.{_bare(source.type)}]", *source.source, *keys]


def _key(columns: Sequence[str], others: Others) -> str | None:
    """The column that nodes go by: "id", or that of ids which other sources name, too."""
    if plain := [name for name in columns if name.lower() == "id"]:
        return plain[0]
    ids = sorted(_ids(columns), key=lambda name: name not in others.shared)
    return ids[0] if ids else None


def _of_pairs(
    source: Source, role: dict[str, Any], has_review: bool, types: Collection[str]
) -> list[str]:
    """Reviews where there is text, else edges of users and items."""
    told = [f"{k} = {_quoted(role[k])}" for k in ("rating", "time") if role[k]]
    ends = [_quoted(role[kind]) for kind in ("user", "item")]
    if role["text"] and not has_review:
        keys = [f"user = {ends[0]}", f"item = {ends[1]}", f"text = {_quoted(role['text'])}"]
        return ["[review]", *source.source, *keys, *told]
    relation = "rates" if role["rating"] else source.type
    keys = [f"src = {ends[0]}", f"dst = {ends[1]}"]
    named = {kind: _type(role[kind]) for kind in ("user", "item")}
    user, item = (name if name in types else kind for kind, name in named.items())
    return [_edge(user, relation, item), *source.source, *keys, *told]


def _of_edges(source: Source, ends: tuple[str, str], columns: Sequence[str]) -> list[str]:
    first = _ids(columns)[:2] if source.is_named else columns[:2]
    src, dst, *rest = [*first, *(name for name in columns if name not in first)]
    relation = source.type if source.is_named and rest else "to"
    keys = [f"src = {_quoted(src)}", f"dst = {_quoted(dst)}"]
    keep = [f"keep = {_list(rest)}"] if rest else []
    return [_edge(ends[0], relation, ends[1]), *source.source, *keys, *keep]


def _edge(*names: str) -> str:
    return f"[edge.{'.'.join(map(_bare, names))}]"


def _bare(name: str) -> str:
    """A name as a key of TOML."""
    return name if name.isascii() else _quoted(name)


def _named(columns: Sequence[str], words: Sequence[str]) -> str | None:
    """The column that has the first of the words in its name."""
    for word in words:
        for name in columns:
            if word in _words(name) or word == name.lower():
                return name
    return None


def _words(name: str) -> list[str]:
    """reviewerID, reviewer_id: reviewer, id."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+", name)
    return [part.lower() for part in parts]


def _stem(source: Source) -> str:
    return source.name.rpartition("table ")[2].split(".")[0]


def _type(name: str) -> str:
    """A name as a type: one word, in the singular."""
    words = [word for word in _words(name) if word != "id"] or ["thing"]
    joined = "_".join(words)
    return joined[:-1] if joined.endswith("s") and not joined.endswith("ss") else joined


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _list(names: Sequence[str]) -> str:
    return f"[{', '.join(map(_quoted, names))}]"
