"""A schema to start from, made of the files' own names."""

import tomllib
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from hinaug.io.tables import build, example


def write_dat(folder):
    for name in (
        "user_book",
        "user_user",
        "book_author",
        "book_publisher",
        "book_year",
        "user_location",
    ):
        width = 3 if name == "user_book" else 2
        rows = ["\t".join(str((r * (c + 3)) % 7) for c in range(width)) for r in range(9)]
        (folder / f"{name}.dat").write_text("\n".join(rows) + "\n")


def test_six_files_without_headers_build_as_the_example_says(tmp_path):
    write_dat(tmp_path)
    (tmp_path / "readme.txt").write_text("Nothing to see.\n\nReally, nothing at all.\n")
    hin, _ = build([tmp_path], tomllib.loads(example([tmp_path])))
    assert set(hin.edges) == {
        ("user", "to", "book"),
        ("user", "to", "user"),
        ("book", "to", "author"),
        ("book", "to", "publisher"),
        ("book", "to", "year"),
        ("user", "to", "location"),
    }
    assert hin.edges["user", "to", "book"].column_names == ["src", "dst", "value_1"]


def test_files_with_names_build_as_the_example_says(tmp_path):
    (tmp_path / "ratings.csv").write_text("user_id;movie_id;stars;when\n1;7;5;2020-01-01\n")
    (tmp_path / "movies.jsonl").write_text('{"movieId": 7, "title": "One", "deep": {"a": 1}}\n')
    (tmp_path / "bad.csv.gz").write_bytes(b"no archive")
    text = example([tmp_path])
    assert "# bad.csv.gz: cannot be read" in text
    hin, _ = build([tmp_path], tomllib.loads(text))
    assert hin.edges["user", "rates", "movie"]["time"].to_pylist() == [1577836800]
    assert hin.nodes["movie"].to_pylist() == [{"id": "7", "title": "One"}]


def test_reviews_and_databases_build_as_the_example_says(tmp_path):
    (tmp_path / "r.json").write_text(
        '{"reviewerID": "a", "asin": "x", "overall": 4.0, "reviewText": "good"}\n'
    )
    with duckdb.connect(str(tmp_path / "shop.db")) as connection:
        connection.execute("CREATE TABLE shops AS SELECT 1 AS id, 'Rome' AS city")
    hin, _ = build([tmp_path], tomllib.loads(example([tmp_path])))
    assert hin.nodes["review"]["text"].to_pylist() == ["good"]
    assert hin.nodes["shop"].to_pylist() == [{"id": "1", "city": "Rome"}]


def test_parts_of_a_table_are_one_section_and_tables_of_a_database_are_not(tmp_path):
    for n in (1, 2):
        row = f'{{"reviewerID": "u{n}", "asin": "x", "overall": 4.0, "reviewText": "good"}}\n'
        (tmp_path / f"part-{n}.jsonl").write_text(row)
    with duckdb.connect(str(tmp_path / "shop.db")) as connection:
        for n in (1, 2):
            connection.execute(f"CREATE TABLE sales{n} AS SELECT {n} AS id, 'Rome' AS city")
    text = example([tmp_path])
    assert '"part-*.jsonl"' in text
    hin, _ = build([tmp_path], tomllib.loads(text))
    assert sorted(hin.ids("user").to_pylist()) == ["u1", "u2"]
    assert list(hin.edges) == [
        ("user", "rates", "item"),
        ("user", "wrote", "review"),
        ("review", "about", "item"),
    ]
    assert text.count("SELECT") == 2


def test_pairs_join_the_nodes_that_another_table_describes(tmp_path):
    (tmp_path / "customers.csv").write_text("id,job\n1,baker\n")
    (tmp_path / "orders.csv").write_text("customer_id,product_id,bought_at\n1,7,2020-01-01\n")
    hin, _ = build([tmp_path], tomllib.loads(example([tmp_path])))
    assert list(hin.edges) == [("customer", "order", "item")]
    assert hin.edges["customer", "order", "item"]["time"].to_pylist() == [1577836800]


def test_rows_with_two_ids_and_more_are_links_to_nodes_that_another_table_describes(tmp_path):
    (tmp_path / "artists.dat").write_text("id\tname\n7\tOne\n")
    (tmp_path / "user_artists.dat").write_text("userID\tartistID\tweight\n1\t7\t3\n1\t7\t4\n")
    (tmp_path / "artist_days.csv").write_text("artist_day_id,artist_id,plays\n1,7,3\n")
    hin, _ = build([tmp_path], tomllib.loads(example([tmp_path])))
    assert list(hin.edges) == [("user", "user_artist", "artist")]
    assert hin.edges["user", "user_artist", "artist"]["weight"].to_pylist() == [3, 4]
    assert set(hin.nodes) == {"user", "artist", "artist_day"}


def test_columns_of_parquet_have_the_types_that_those_of_databases_have(tmp_path):

    table = pa.table(
        {
            "user": pa.array(["a", "b"]).dictionary_encode(),
            "item": pa.array([1, 2], pa.int32()),
            "price": [Decimal("1.50"), None],
            "n": [Decimal("3.00"), Decimal("4.00")],
            "seen": pa.array([1, 1_700_000_000_000_000_007], pa.timestamp("ns", "Europe/Berlin")),
        }
    )
    pq.write_table(table, tmp_path / "events.parquet")
    text = example([tmp_path])
    assert 'time = "seen"' in text  # by its type, whatever it is called
    hin, _ = build([tmp_path], tomllib.loads(text + 'keep = ["price", "n"]\n'))
    (edges,) = hin.edges.values()
    assert edges["price"].to_pylist() == [1.5, None]
    assert edges["n"].to_pylist() == [3, 4]
    assert edges["time"].type == pa.timestamp("ns", "UTC")
    assert edges["time"].cast(pa.int64()).to_pylist() == [1, 1_700_000_000_000_000_007]


def test_files_of_one_stem_are_told_apart_by_their_endings(tmp_path):
    (tmp_path / "u.data").write_text("1\t7\t5\t881250949\n2\t8\t3\t881250950\n")
    (tmp_path / "u.item").write_text("7|One (1995)|01-Jan-1995\n8|Two (1996)|01-Jan-1996\n")
    (tmp_path / "u.user").write_text("1|24|M|writer\n2|53|F|other\n")
    hin, counts = build([tmp_path], tomllib.loads(example([tmp_path])))
    assert {type: hin.n(type) for type in hin.nodes} == {"user": 2, "item": 2}
    assert list(hin.edges) == [("user", "to", "item")]
    assert not any("added" in note for count in counts for note in count.notes)


def test_ratings_without_a_header_join_what_is_called_a_user_and_an_item(tmp_path):
    (tmp_path / "users.dat").write_text("1::F::1\n2::M::56\n")
    (tmp_path / "movies.dat").write_text("7::One (1995)::Drama\n8::Two (1996)::Drama\n")
    (tmp_path / "ratings.dat").write_text("1::7::5::978300760\n2::8::3::978302109\n")
    hin, _ = build([tmp_path], tomllib.loads(example([tmp_path])))
    assert list(hin.edges) == [("user", "to", "movie")]
    assert set(hin.nodes) == {"user", "movie"}


def test_nodes_go_by_the_column_that_other_files_name_them_by(tmp_path):
    (tmp_path / "a.inter").write_text("user_id:token\titem_id:token\n1\t7\n")
    (tmp_path / "a.item").write_text("raw_id\titem_id:token\ttitle\n70\t7\tx\n")
    hin, _ = build([tmp_path], tomllib.loads(example([tmp_path])))
    assert hin.nodes["item"].to_pylist() == [{"id": "7", "raw_id": 70, "title": "x"}]


def test_names_of_files_in_any_script_are_types(tmp_path):
    (tmp_path / "用户.csv").write_text("id,年龄\n1,30\n")
    (tmp_path / "Größen.csv").write_text("id,x\n1,30\n")
    hin, _ = build([tmp_path], tomllib.loads(example([tmp_path])))
    assert set(hin.nodes) == {"用户", "größen"}


def test_tables_of_every_schema_of_a_database_are_seen(tmp_path):
    with duckdb.connect(str(tmp_path / "shop.db")) as connection:
        connection.execute("CREATE SCHEMA sales")
        connection.execute("CREATE TABLE sales.shops AS SELECT 1 AS id, 'Rome' AS city")
        connection.execute('CREATE TABLE "odd ""name" AS SELECT 2 AS id')
    hin, _ = build([tmp_path], tomllib.loads(example([tmp_path])))
    assert {type: hin.ids(type).to_pylist() for type in hin.nodes} == {
        "shop": ["1"],
        "odd_name": ["2"],
    }


def test_further_sections_of_a_name_are_comments_with_their_titles(tmp_path):
    for name in ("one1.csv", "one2.csv", "one3.csv"):
        (tmp_path / name).write_text(f"id,{name[:4]}\na,x\n")
    lines = example([tmp_path]).splitlines()
    assert lines.count("[node.one]") == 1
    assert lines.count("# [node.one]") == 2


def test_a_second_section_of_a_name_is_a_comment(tmp_path):
    for name in ("one.csv", "two.csv"):
        (tmp_path / name).write_text("user,item,rating\na,x,1\n")
    text = example([tmp_path])
    assert '# file = "two.csv"' in text
    assert build([tmp_path], tomllib.loads(text))[0].n(("user", "rates", "item")) == 1
