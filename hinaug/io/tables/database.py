"""Rows of a database query as Arrow columns: DuckDB by its own library, SQLite and PostgreSQL by
ADBC. Everything is read only, and no password leaves this file.

Types are those of `kinds`. SQL gives rows no order of their own, so they are sorted by their
columns, from the first to the last.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.compute as pc

from hinaug.errors import ParameterError
from hinaug.graph import arrow as tb
from hinaug.io.convert.shared import need
from hinaug.io.tables import values as va
from hinaug.io.tables.kinds import stated
from hinaug.io.tables.records import Part, Records

FORMS = ("duckdb:///FILE", "sqlite:///FILE", "postgresql://USER@HOST:PORT/DATABASE")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_PART = r"(?:[^\s:@/?#]|\$\{\w+\})"
_FILE = re.compile(r"(duckdb|sqlite):///[^\s?#][^?#]*")
_SERVER = re.compile(
    rf"(?:postgresql|postgres)://(?:{_PART}*(?::(?P<password>[^@/]*))?@)?"
    rf"(?:{_PART}|\[[0-9a-fA-F:]+\])*(?::(?:\d+|\$\{{\w+\}}))?(?:/{_PART}*)?(?:\?[^@\s]*)?"
)
_SELECT = re.compile(r"(?is)(?:\s|--[^\n]*\n|/\*.*?\*/)*\(*\s*(select|with|values|from|table)\b")
_ROUNDED = r"^-?\d\.\d{6}e[-+]\d\d+$"  # how SQLite's driver writes a float among texts


# ---- what a schema may say -----------------------------------------------------------------------


def check_address(address: Any, where: str) -> None:
    """ParameterError for what is no address, or holds a password; it never shows the address."""
    address = address if isinstance(address, str) else ""
    if _FILE.fullmatch(address):
        return
    server = _SERVER.fullmatch(address)
    if server is None:
        raise ParameterError(
            f"{where}: expected one of {FORMS}; a special character in it is written as its code, "
            "such as %40 for @",
            there=FORMS,
        )
    options = re.findall(r"password=([^&]*)", address)
    secrets = [word for word in (server["password"], *options) if word]
    if any(_VARIABLE.fullmatch(secret) is None for secret in secrets):
        raise ParameterError(
            f"{where}: a password stands in it; write ${{NAME}} in its place and set the "
            "environment variable NAME, or leave it out and set PGPASSWORD",
            there=FORMS,
        )


def check_query(query: str, where: str) -> None:
    """ParameterError for what is no SELECT."""
    if _SELECT.match(query) is None:
        raise ParameterError(
            f"{where}: expected one statement that reads rows, such as SELECT; databases are read "
            "only",
            asked=query.split()[0] if query.split() else "",
        )


# ---- reading -------------------------------------------------------------------------------------


def read_query(address: str, query: str, where: str) -> Records:
    """The rows of a query.

    address: as `check_address` takes it. where: the section, for messages. Raises ParameterError,
    and ImportError where the library of the database is not installed.
    """
    check_address(address, f"{where} database")
    check_query(query, f"{where} query")
    table = _answered(address, query, where)
    name = f"query of {where}"
    twice = sorted({n for n in table.column_names if table.column_names.count(n) > 1})
    if twice:
        raise ParameterError(
            f"{name}: column {twice[0]!r} stands more than once; name them apart with AS",
            asked=twice,
        )
    columns = {
        field.name: stated(tb.one_chunk(column), field, f"{name}, column {field.name!r}")
        for field, column in zip(table.schema, table.columns, strict=True)
    }
    rows = _sorted(pa.table(columns))
    return Records(name, rows, typed=True, parts=[Part(name, rows.num_rows)])


def tables_of(address: str) -> list[tuple[str, ...]]:
    """The names of the tables and views of a file of DuckDB or SQLite, sorted; those outside the
    schema "main" with that of their schema before.
    """
    query = (
        "SELECT table_schema AS space, table_name AS name FROM information_schema.tables"
        if address.startswith("duckdb")
        else "SELECT 'main' AS space, name FROM sqlite_master WHERE type IN ('table', 'view')"
    )
    found = read_query(address, query, "the database").rows
    both = zip(found["space"].to_pylist(), found["name"].to_pylist(), strict=True)
    return sorted((name,) if space == "main" else (space, name) for space, name in both)


def _duckdb(path: Path, query: str) -> pa.Table:
    duckdb = need("duckdb", "'hinaug[db]'", "a DuckDB database")
    closed = {"enable_external_access": "false"}  # a query could write and read other files
    with duckdb.connect(str(path), read_only=True, config=closed) as connection:
        if len(connection.extract_statements(query)) != 1:
            raise ValueError("several statements; keep one")
        return connection.sql(query).to_arrow_table()


def _sqlite(path: Path, query: str) -> pa.Table:
    dbapi = need("adbc_driver_sqlite.dbapi", "'hinaug[db]'", "a SQLite database")
    every = {"adbc.sqlite.query.batch_rows": 2**31 - 2}  # types are those of all rows
    with (
        dbapi.connect(f"file:{quote(str(path))}?mode=ro") as connection,
        connection.cursor(adbc_stmt_kwargs=every) as cursor,
    ):
        cursor.execute(query)
        table = cursor.fetch_arrow_table()
    for name in table.column_names:
        column = table[name]
        if (
            pa.types.is_string(column.type)
            and pc.any(pc.match_substring_regex(column, _ROUNDED)).as_py()
        ):
            raise ValueError(
                f"column {name!r} mixes floats and text, and floats would be rounded; CAST it to "
                "one type in the query"
            )
    return table


def _postgresql(address: str, query: str) -> pa.Table:
    dbapi = need("adbc_driver_postgresql.dbapi", "'hinaug[db]'", "a PostgreSQL database")
    reading = "options=" + quote("-c default_transaction_read_only=on", safe="")
    address += ("&" if "?" in address else "?") + reading
    with dbapi.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetch_arrow_table()


def is_at(address: str, path: Path) -> bool:
    """Whether the address is that of a file."""
    return _FILE.fullmatch(address) is not None and _named(address).resolve() == path.resolve()


def _named(address: str) -> Path:
    """duckdb:///shop.db is beside the working folder, duckdb:////data/shop.db is absolute."""
    return Path(unquote(address.partition(":///")[2])).expanduser()


def _path(address: str, where: str) -> Path:
    path = _named(address)
    if not path.is_file():
        raise FileNotFoundError(f"{where}: {path}: not there")
    return path


def _filled(address: str, where: str) -> str:
    """The address with environment variables in their places."""

    def value(found: re.Match) -> str:
        if found[1] not in os.environ:
            raise ParameterError(
                f"{where} database: the environment variable {found[1]} is not set",
                asked=found[1],
            )
        return quote(os.environ[found[1]], safe="")

    return _VARIABLE.sub(value, address)


def _secrets(address: str) -> list[str]:
    """What no message may show, the long ones first."""
    names = [*_VARIABLE.findall(address), "PGPASSWORD"]
    values = [os.environ[name] for name in names if os.environ.get(name)]
    return sorted({*values, *(quote(v, safe="") for v in values)}, key=len, reverse=True)


def _answered(address: str, query: str, where: str) -> pa.Table:
    """The rows of a query. Errors of a driver become ParameterError without secrets, and without
    the driver's own error behind it.
    """
    kind, filled = address.partition(":")[0], _filled(address, where)
    try:
        if kind == "duckdb":
            return _duckdb(_path(filled, where), query)
        if kind == "sqlite":
            return _sqlite(_path(filled, where), query)
        return _postgresql(filled, query)
    except (ImportError, FileNotFoundError):
        raise
    except Exception as error:  # each driver has a tree of errors of its own
        message = " ".join(str(error).split())
    for secret in _secrets(address):
        message = message.replace(secret, "***")
    raise ParameterError(f"{where}: the database did not answer the query: {message}")


# ---- order ---------------------------------------------------------------------------------------


def _sorted(rows: pa.Table) -> pa.Table:
    """The rows by their columns, the first one first; nested values by how they are written."""
    keys = {}
    for name in rows.column_names:
        column = va.decoded(tb.one_chunk(rows[name]))
        unordered = pa.types.is_nested(column.type) or pa.types.is_interval(column.type)
        keys[name] = pa.array(map(repr, column.to_pylist())) if unordered else column
    order = [(str(n), "ascending") for n in range(len(keys))]
    numbered = pa.table(list(keys.values()), names=[name for name, _ in order])
    return rows.take(pc.sort_indices(numbered, sort_keys=order)) if order else rows
