"""Queries of real DuckDB and SQLite files, and, as a slow test, of a real PostgreSQL server."""

import contextlib
import getpass
import os
import pwd
import shutil
import socket
import sqlite3
import subprocess
import tomllib
import traceback
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from raising import raises

from hinaug.errors import ParameterError
from hinaug.io.store import save
from hinaug.io.tables import build, parse
from hinaug.io.tables.database import check_address, read_query, tables_of

RATES = ("user", "rates", "item")
SECRET = "s3cr@t/wörd"
ROWS = [("ann", "x", 5, "2024-01-01"), ("bob", "y", 3, "2024-01-02"), ("ann", "y", 1, "2024-01-03")]
SCHEMA = """
[edge.user.rates.item]
database = "{address}"
query = "SELECT who, what, stars, day FROM likes"
src = "who"
dst = "what"
rating = "stars"
time = "day"
"""


def fill(connection, rows=ROWS):
    connection.execute("CREATE TABLE likes (who TEXT, what TEXT, stars INTEGER, day TEXT)")
    connection.executemany("INSERT INTO likes VALUES (?, ?, ?, ?)", rows)
    if isinstance(connection, sqlite3.Connection):
        connection.commit()
    connection.close()


OPEN = {"duckdb": duckdb.connect, "sqlite": sqlite3.connect}


@pytest.fixture(params=OPEN)
def shop(request, tmp_path):
    """The address of a database of that kind."""
    path = tmp_path / f"my shop.{request.param}"
    fill(OPEN[request.param](str(path)))
    return f"{request.param}:///{str(path).replace(' ', '%20')}"


def built(address):
    return build([], tomllib.loads(SCHEMA.format(address=address)))


def test_a_query_stands_in_place_of_a_file(shop):
    hin, counts = built(shop)
    assert hin.ids("user").to_pylist() == ["ann", "bob"]
    assert hin.ids("item").to_pylist() == ["x", "y"]
    table = hin.edges[RATES].to_pydict()
    assert table["rating"] == [5, 1, 3]
    assert table["time"] == [1704067200, 1704240000, 1704153600]
    assert (counts[0].what, counts[0].read, counts[0].kept) == (
        "query of [edge.user.rates.item]",
        3,
        3,
    )


def test_rows_without_an_order_give_the_same_graph(tmp_path):
    prints = {kind: set() for kind in OPEN}
    for n, rows in enumerate((ROWS, ROWS[::-1], [*ROWS[1:], ROWS[0]])):
        for kind, opened in OPEN.items():
            fill(opened(str(tmp_path / f"{n}.{kind}")), rows)
            prints[kind].add(built(f"{kind}:///{tmp_path}/{n}.{kind}")[0].fingerprint())
    assert [len(found) for found in prints.values()] == [1, 1]


def test_files_and_queries_stand_side_by_side(shop, tmp_path):
    (tmp_path / "items.csv").write_text("id,name\nx,Tea\ny,Jam\n")
    schema = f'database = "{shop}"\n[node.item]\nfile = "items.csv"\nid = "id"\nkeep = ["name"]\n'
    schema += '[edge.user.rates.item]\nquery = "SELECT * FROM likes"\nsrc = "who"\ndst = "what"\n'
    hin, _ = build([tmp_path / "items.csv"], tomllib.loads(schema))
    assert hin.nodes["item"]["name"].to_pylist() == ["Tea", "Jam"]
    assert hin.n(RATES) == 3


def test_paths_are_relative_or_absolute(tmp_path, monkeypatch):
    fill(duckdb.connect(str(tmp_path / "shop.db")))
    monkeypatch.chdir(tmp_path)
    assert built("duckdb:///shop.db")[0] == built(f"duckdb:///{tmp_path}/shop.db")[0]
    with pytest.raises(FileNotFoundError):
        built("duckdb:///other.db")
    assert not Path("other.db").exists()


def test_types_of_duckdb(tmp_path):
    connection = duckdb.connect(str(tmp_path / "t.db"))
    connection.execute("""
        CREATE TABLE t AS SELECT 1.25::DECIMAL(10, 2) AS price, 7::DECIMAL(18, 0) AS whole,
        12345678901234567890123::HUGEINT AS huge,
        '0471ab55-ad77-42e9-a9aa-cee5cd16a999'::UUID AS uuid, '{"a": 1}'::JSON AS json,
        '2024-01-01 02:00:00+02'::TIMESTAMPTZ AS zone, '2024-01-01 00:00:00.000000001'::TIMESTAMP_NS AS nano,
        'low'::ENUM('low', 'high') AS kind, [1, 2] AS list
    """)
    connection.close()
    rows = read_query(f"duckdb:///{tmp_path}/t.db", "FROM t", "here").rows
    assert {f.name: str(f.type) for f in rows.schema} == {
        "price": "double",
        "whole": "int64",
        "huge": "string",
        "uuid": "string",
        "json": "string",
        "zone": "timestamp[us, tz=UTC]",
        "nano": "timestamp[ns]",
        "kind": "dictionary<values=string, indices=uint8, ordered=0>",
        "list": "list<l: int32>",
    }
    row = rows.to_pylist()[0]
    assert (row["price"], row["whole"], row["huge"]) == (1.25, 7, "12345678901234567890123")
    assert (row["uuid"], row["json"]) == ("0471ab55-ad77-42e9-a9aa-cee5cd16a999", '{"a": 1}')
    assert row["zone"].isoformat() == "2024-01-01T00:00:00+00:00"
    assert rows["nano"].cast(pa.int64()).to_pylist() == [1704067200000000001]


def test_types_of_sqlite_are_those_of_all_rows(tmp_path):
    connection = sqlite3.connect(tmp_path / "t.db")
    connection.execute("CREATE TABLE t (late, whole, mixed)")
    connection.executemany(
        "INSERT INTO t VALUES (?, ?, ?)",
        [(None, 1, 1)] * 2_000 + [("x", 2**62, "y"), (None, 3, 1.123456789)],
    )
    connection.commit()
    connection.close()
    address = f"sqlite:///{tmp_path}/t.db"
    rows = read_query(address, "SELECT late, whole FROM t", "here").rows
    assert rows.schema.types == [pa.string(), pa.int64()]
    assert rows["whole"].to_pylist()[0] == 2**62
    with pytest.raises(ParameterError):  # the driver would round the float
        read_query(address, "SELECT mixed FROM t", "here")
    rows = read_query(address, "SELECT CAST(mixed AS TEXT) AS mixed FROM t", "here").rows
    assert "1.123456789" in rows["mixed"].to_pylist()


def test_bytes_among_texts_of_sqlite_are_an_error_and_tables_of_any_kind_are_read(tmp_path):
    connection = sqlite3.connect(tmp_path / "t.db")
    connection.execute("CREATE TABLE t (u BLOB, i TEXT, PRIMARY KEY (u, i)) WITHOUT ROWID")
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(b"\x00\xff", "x"), ("a", "y")])
    connection.execute("CREATE VIEW v AS SELECT hex(u) AS u, i FROM t")
    connection.commit()
    connection.close()
    address = f"sqlite:///{tmp_path}/t.db"
    with raises(ParameterError, asked=pa.binary(), names="src"):
        likes = {"database": address, "query": "SELECT * FROM t", "src": "u", "dst": "i"}
        build([], {"edge": {"user": {"likes": {"item": likes}}}})
    assert tables_of(address) == [("t",), ("v",)]
    rows = read_query(address, "SELECT * FROM v", "here").rows
    assert rows.to_pylist() == [{"u": "00FF", "i": "x"}, {"u": "61", "i": "y"}]


@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO likes VALUES ('eve', 'x', 1, '')",
        "DROP TABLE likes",
        "SELECT 1; DROP TABLE likes",
        "ATTACH 'other.db' AS other",
        "SELECT * FROM nowhere",
        "COPY likes TO 'likes.csv'",
        "",
    ],
)
def test_databases_are_read_only(shop, query, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    if query.startswith("SELECT 1;") and shop.startswith("sqlite"):
        read_query(shop, query, "here")  # its driver runs the first statement only
    else:
        with pytest.raises(ParameterError):
            read_query(shop, query, "here")
    assert built(shop)[0].n(RATES) == 3
    assert sorted(tmp_path.iterdir()) == before


def test_a_query_of_duckdb_reaches_no_other_file(tmp_path):
    fill(duckdb.connect(str(tmp_path / "shop.db")))
    (tmp_path / "other.csv").write_text("a\n1\n")
    with pytest.raises(ParameterError):
        read_query(f"duckdb:///{tmp_path}/shop.db", f"SELECT * FROM '{tmp_path}/other.csv'", "here")


def test_tables_of_a_file(shop):
    assert tables_of(shop) == [("likes",)]


# ---- passwords -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://ann:s3cret@host/shop",
        "postgresql://ann:s3@cret@host/shop",
        "postgresql://ann:s3/cret@host/shop",
        "postgresql://ann:s3#cret@host/shop",
        "postgresql://host/shop?password=s3cret",
        "postgresql://ann:${NAME}s3cret@host/shop",
        "mysql://ann:s3cret@host/shop",
        "host=h password=s3cret",
    ],
)
def test_a_password_in_a_schema_is_refused_and_not_shown(address, tmp_path):
    path = tmp_path / "schema.toml"
    path.write_text(SCHEMA.format(address=address))
    with pytest.raises(ParameterError) as error:
        build([], parse(path))
    assert "cret" not in "".join(traceback.format_exception(error.value))
    assert "cret" not in repr((error.value.asked, error.value.there))


@pytest.mark.parametrize(
    "address",
    [
        "duckdb:///shop.db",
        "sqlite:////data/shop.db",
        "postgresql:///shop",
        "postgresql://ann:${PASSWORD}@[::1]:5432/shop?sslmode=require",
    ],
)
def test_addresses(address):
    check_address(address, "here")


def test_a_variable_that_is_not_set_is_named(monkeypatch):
    monkeypatch.delenv("SHOP_PASSWORD", raising=False)
    with pytest.raises(ParameterError) as error:
        built("postgresql://ann:${SHOP_PASSWORD}@127.0.0.1:1/shop")
    assert error.value.asked == "SHOP_PASSWORD"


def test_no_error_shows_a_password(monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", SECRET)
    with pytest.raises(ParameterError) as error:
        built("postgresql://ann:${SHOP_PASSWORD}@127.0.0.1:1/shop")
    assert "s3cr" not in "".join(traceback.format_exception(error.value))
    assert error.value.__context__ is None


# ---- PostgreSQL ----------------------------------------------------------------------------------

NEEDED = (
    "this test starts a PostgreSQL server: install the system package (apt-get install postgresql)"
)


def binaries():
    """The folder of initdb and pg_ctl."""
    found = [
        *map(Path, sorted(Path("/usr/lib/postgresql").glob("*/bin"))),
        *filter(None, [shutil.which("initdb")]),
    ]
    folders = [path if path.is_dir() else Path(path).resolve().parent for path in map(Path, found)]
    folders = [folder for folder in folders if (folder / "pg_ctl").exists()]
    assert folders, NEEDED
    return folders[-1]


def unprivileged():
    """Options that run a command as another user than root, whom the server refuses."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid}
    raise AssertionError(NEEDED)


@pytest.fixture
def server(tmp_path_factory, monkeypatch):
    """The address of a server with a table; the password is in SHOP_PASSWORD."""
    who, bins = unprivileged(), binaries()
    folder = Path("/tmp") / f"hinaug-postgres-{getpass.getuser()}-{os.getpid()}"
    folder.mkdir(mode=0o755)
    (folder / "password").write_text(SECRET)
    if who:
        for path in (folder, folder / "password"):
            os.chown(path, who["user"], who["group"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run = {
        "check": True,
        "cwd": folder,
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.STDOUT,
        **who,
    }
    data, password = folder / "data", folder / "password"
    try:
        subprocess.run(
            [
                bins / "initdb",
                "-D",
                data,
                "-U",
                "ann",
                "-A",
                "scram-sha-256",
                f"--pwfile={password}",
                "-E",
                "UTF8",
                "--no-sync",
            ],
            **run,
        )
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        subprocess.run(
            [bins / "pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", "start"], **run
        )
        monkeypatch.setenv("SHOP_PASSWORD", SECRET)
        yield f"postgresql://ann:${{SHOP_PASSWORD}}@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run(
            [bins / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **{**run, "check": False}
        )
        shutil.rmtree(folder)


def execute(address, *statements):
    import adbc_driver_postgresql.dbapi as dbapi

    from hinaug.io.tables.database import _filled

    with dbapi.connect(_filled(address, "here")) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        connection.commit()


@pytest.mark.slow
def test_a_real_postgresql_server(server, tmp_path, monkeypatch):
    values = ", ".join(str(row) for row in ROWS)
    execute(
        server,
        "CREATE TABLE likes (who text, what text, stars int, day text)",
        f"INSERT INTO likes VALUES {values}",
        """CREATE TABLE t AS SELECT 1.25::numeric(10, 2) AS price, 12345678901234567890.5::numeric AS huge,
        '0471ab55-ad77-42e9-a9aa-cee5cd16a999'::uuid AS uuid, '{"a": 1}'::jsonb AS json,
        '2024-01-01 02:00:00+02'::timestamptz AS zone, '127.0.0.1'::inet AS net, 5.5::numeric::money AS money
        UNION ALL SELECT null, null, null, null, null, null, null""",
    )
    hin, counts = built(server)
    assert hin.edges[RATES]["rating"].to_pylist() == [5, 1, 3]
    fill(duckdb.connect(str(tmp_path / "shop.db")))
    assert hin == built(f"duckdb:///{tmp_path}/shop.db")[0]

    rows = read_query(server, "SELECT price, huge, uuid, json, zone FROM t", "here").rows
    kinds = ["double", "string", "string", "string", "timestamp[us, tz=UTC]"]
    assert list(map(str, rows.schema.types)) == kinds
    first, second = rows.to_pylist()
    assert (first["price"], first["huge"], first["json"]) == (
        1.25,
        "12345678901234567890.5",
        '{"a": 1}',
    )
    assert first["uuid"] == "0471ab55-ad77-42e9-a9aa-cee5cd16a999"
    assert set(second.values()) == {None}
    for column in ("net", "money"):
        with pytest.raises(ParameterError) as error:
            read_query(server, f"SELECT {column} FROM t", "here")
        assert error.value.asked in ("inet", "money")

    execute(
        server,
        "CREATE TABLE moved AS SELECT * FROM likes ORDER BY stars DESC",
        "DELETE FROM likes",
        "INSERT INTO likes SELECT * FROM moved",
    )
    assert built(server)[0].fingerprint() == hin.fingerprint()

    shown = [repr(counts), repr(hin), hin.summary(), repr(hin.schema)]
    save(hin, tmp_path / "store")
    stored = b"".join(p.read_bytes() for p in (tmp_path / "store").rglob("*") if p.is_file())
    assert b"s3cr" not in stored
    for query in (
        "WITH x AS (DELETE FROM likes RETURNING *) SELECT * FROM x",
        "SELECT * FROM nowhere",
        f"SELECT '{SECRET}' FROM nowhere",
    ):
        with pytest.raises(ParameterError) as error:
            read_query(server, query, "here")
        shown += traceback.format_exception(error.value)
    with pytest.raises(ParameterError) as error:
        read_query(server.replace("ann:", "nobody:"), "SELECT 1", "here")
    shown += traceback.format_exception(error.value)
    assert "s3cr" not in "".join(map(str, shown))
    assert built(server)[0].n(RATES) == 3
